#include "drivers/console/registry.h"

#include "core/error.h"

/* What the controller knows of a relay; the same for one that is open and one that is over. */
typedef struct {
  bool opened_told, used_told, used;
  bool opened_in_flight, used_in_flight, active_in_flight;
} News;

struct RegistryEntry {
  char *id, *user;
  Loop *loop;
  void *relay;
  News news;
  bool active;     /* input since it was last told; written by the relay's loop without a lock */
  bool input_seen; /* ever; the relay's loop alone */
};

typedef struct {
  char *id;
  News news;
  const char *reason;
  int64_t in_bytes, out_bytes;
  bool in_flight;
} Ended;

struct Registry {
  RegistryConfig config;
  GMutex lock;
  GHashTable *open;     /* id → entry */
  GHashTable *per_user; /* user → count */
  GPtrArray *ended;     /* of Ended */
};

static void entry_free(RegistryEntry *e)
{
  g_free(e->id);
  g_free(e->user);
  g_free(e);
}

static void ended_free(Ended *e)
{
  g_free(e->id);
  g_free(e);
}

Registry *registry_new(const RegistryConfig *config)
{
  Registry *r = g_new0(Registry, 1);
  r->config = *config;
  g_mutex_init(&r->lock);
  r->open = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)entry_free);
  r->per_user = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  r->ended = g_ptr_array_new_with_free_func((GDestroyNotify)ended_free);
  return r;
}

void registry_free(Registry *r)
{
  if (!r)
    return;
  g_hash_table_unref(r->open);
  g_hash_table_unref(r->per_user);
  g_ptr_array_unref(r->ended);
  g_mutex_clear(&r->lock);
  g_free(r);
}

/* With the lock held. */
static bool has_room(Registry *r, GError **err)
{
  g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT, r->config.relays);
  if (g_hash_table_size(r->open) >= r->config.relays)
    return error_false(err, REASON_GATEWAY_FULL, "what", "consoles", "limit", limit, NULL);
  if (r->ended->len >= 2 * r->config.relays)
    return error_false(err, REASON_GATEWAY_FULL, "what", "consoles whose end the controller has not heard of", "limit", limit,
                       NULL);
  return true;
}

bool registry_has_room(Registry *r, GError **err)
{
  g_mutex_lock(&r->lock);
  bool room = has_room(r, err);
  g_mutex_unlock(&r->lock);
  return room;
}

static int user_count(Registry *r, const char *user) { return GPOINTER_TO_INT(g_hash_table_lookup(r->per_user, user)); }

static void user_add(Registry *r, const char *user, int n)
{
  int count = user_count(r, user) + n;
  if (count > 0)
    g_hash_table_insert(r->per_user, g_strdup(user), GINT_TO_POINTER(count));
  else
    g_hash_table_remove(r->per_user, user);
}

static bool may_open(Registry *r, const char *id, const char *user, GError **err)
{
  g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT, r->config.relays_per_user);
  if (!has_room(r, err))
    return false;
  if (user_count(r, user) >= r->config.relays_per_user)
    return error_false(err, REASON_CONSOLES_OF_USER, "user", user, "limit", limit, NULL);
  return !g_hash_table_contains(r->open, id) || error_false(err, REASON_EXISTS, "kind", "relay", "name", id, NULL);
}

RegistryEntry *registry_open(Registry *r, const char *id, const char *user, Loop *loop, void *relay, GError **err)
{
  RegistryEntry *e = NULL;
  g_mutex_lock(&r->lock);
  if (may_open(r, id, user, err)) {
    e = g_new0(RegistryEntry, 1);
    *e = (RegistryEntry){ .id = g_strdup(id), .user = g_strdup(user), .loop = loop, .relay = relay };
    g_hash_table_insert(r->open, e->id, e);
    user_add(r, user, 1);
  }
  g_mutex_unlock(&r->lock);
  if (e)
    r->config.changed(r->config.owner);
  return e;
}

void registry_input(Registry *r, RegistryEntry *e)
{
  __atomic_store_n(&e->active, true, __ATOMIC_RELAXED);
  if (e->input_seen)
    return;
  e->input_seen = true;
  g_mutex_lock(&r->lock);
  e->news.used = true;
  g_mutex_unlock(&r->lock);
  r->config.changed(r->config.owner);
}

void registry_close(Registry *r, RegistryEntry *e, const char *reason, int64_t in_bytes, int64_t out_bytes)
{
  Ended *ended = g_new0(Ended, 1);
  g_mutex_lock(&r->lock);
  *ended = (Ended){ .id = g_strdup(e->id), .news = e->news, .reason = reason, .in_bytes = in_bytes, .out_bytes = out_bytes };
  g_ptr_array_add(r->ended, ended);
  user_add(r, e->user, -1);
  g_hash_table_remove(r->open, e->id);
  g_mutex_unlock(&r->lock);
  r->config.changed(r->config.owner);
}

void registry_note_end(Registry *r, const char *id, const char *reason)
{
  Ended *ended = g_new0(Ended, 1);
  *ended = (Ended){ .id = g_strdup(id), .news.opened_told = true, .reason = reason };
  g_mutex_lock(&r->lock);
  g_ptr_array_add(r->ended, ended);
  g_mutex_unlock(&r->lock);
  r->config.changed(r->config.owner);
}

const char *registry_entry_id(const RegistryEntry *e) { return e->id; }

int registry_count(Registry *r)
{
  g_mutex_lock(&r->lock);
  int n = (int)g_hash_table_size(r->open);
  g_mutex_unlock(&r->lock);
  return n;
}

typedef struct {
  json_t *opened, *first_input, *active, *closed, *open;
} Report;

static void news_report(News *news, const char *id, Report *report)
{
  news->opened_in_flight = !news->opened_told;
  news->used_in_flight = news->used && !news->used_told;
  if (news->opened_in_flight)
    json_array_append_new(report->opened, json_string(id));
  if (news->used_in_flight)
    json_array_append_new(report->first_input, json_string(id));
}

static void entry_report(RegistryEntry *e, Report *report)
{
  news_report(&e->news, e->id, report);
  e->news.active_in_flight = __atomic_exchange_n(&e->active, false, __ATOMIC_RELAXED);
  if (e->news.active_in_flight)
    json_array_append_new(report->active, json_string(e->id));
  if (report->open)
    json_array_append_new(report->open, json_string(e->id));
}

static void ended_report(Ended *e, Report *report)
{
  news_report(&e->news, e->id, report);
  e->in_flight = true;
  json_array_append_new(report->closed, json_pack("{s:s, s:s, s:I, s:I}", "relay", e->id, "reason", e->reason, "bytes_in",
                                                  (json_int_t)e->in_bytes, "bytes_out", (json_int_t)e->out_bytes));
}

json_t *registry_report(Registry *r, bool full)
{
  Report report = { json_array(), json_array(), json_array(), json_array(), full ? json_array() : NULL };
  GHashTableIter iter;
  gpointer entry;
  g_mutex_lock(&r->lock);
  g_hash_table_iter_init(&iter, r->open);
  while (g_hash_table_iter_next(&iter, NULL, &entry))
    entry_report(entry, &report);
  for (guint i = 0; i < r->ended->len; i++)
    ended_report(r->ended->pdata[i], &report);
  g_mutex_unlock(&r->lock);
  json_t *body = json_pack("{s:b, s:o, s:o, s:o, s:o}", "full", full, "opened", report.opened, "first_input", report.first_input,
                           "active", report.active, "closed", report.closed);
  if (report.open)
    json_object_set_new(body, "open", report.open);
  return body;
}

static void news_told(News *news, bool reached)
{
  news->opened_told |= news->opened_in_flight && reached;
  news->used_told |= news->used_in_flight && reached;
  news->opened_in_flight = news->used_in_flight = false;
}

void registry_told(Registry *r, bool reached)
{
  GHashTableIter iter;
  gpointer value;
  g_mutex_lock(&r->lock);
  g_hash_table_iter_init(&iter, r->open);
  while (g_hash_table_iter_next(&iter, NULL, &value)) {
    RegistryEntry *e = value;
    news_told(&e->news, reached);
    if (e->news.active_in_flight && !reached)
      __atomic_store_n(&e->active, true, __ATOMIC_RELAXED);
    e->news.active_in_flight = false;
  }
  for (guint i = r->ended->len; i--;) {
    Ended *e = r->ended->pdata[i];
    news_told(&e->news, reached);
    if (e->in_flight && reached)
      g_ptr_array_remove_index(r->ended, i);
    else
      e->in_flight = false;
  }
  g_mutex_unlock(&r->lock);
}

bool registry_has_news(Registry *r)
{
  GHashTableIter iter;
  gpointer value;
  g_mutex_lock(&r->lock);
  bool news = r->ended->len > 0;
  g_hash_table_iter_init(&iter, r->open);
  while (!news && g_hash_table_iter_next(&iter, NULL, &value)) {
    const News *n = &((RegistryEntry *)value)->news;
    news = (!n->opened_told && !n->opened_in_flight) || (n->used && !n->used_told && !n->used_in_flight);
  }
  g_mutex_unlock(&r->lock);
  return news;
}

typedef struct {
  Registry *registry;
  char *id, *reason;
} Cut;

/* On the relay's loop: only there can the entry go away. */
static void cut_run(void *data)
{
  Cut *cut = data;
  Registry *r = cut->registry;
  g_mutex_lock(&r->lock);
  RegistryEntry *e = g_hash_table_lookup(r->open, cut->id);
  void *relay = e ? e->relay : NULL;
  g_mutex_unlock(&r->lock);
  if (relay)
    r->config.cut(relay, cut->reason);
  g_free(cut->id);
  g_free(cut->reason);
  g_free(cut);
}

void registry_cut(Registry *r, const char *id, const char *reason)
{
  g_mutex_lock(&r->lock);
  RegistryEntry *e = g_hash_table_lookup(r->open, id);
  Loop *loop = e ? e->loop : NULL;
  g_mutex_unlock(&r->lock);
  if (!loop)
    return;
  Cut *cut = g_new0(Cut, 1);
  *cut = (Cut){ r, g_strdup(id), g_strdup(reason) };
  loop_post(loop, cut_run, cut);
}

#include "drivers/console/sync.h"

#include "core/error.h"
#include "core/log.h"
#include "drivers/console/query.h"

struct Sync {
  Loop *loop;
  Registry *registry;
  char *socket_path, *id;
  Query *query;
  Deadline deadline;
  bool full;  /* tell everything with the next call */
  bool away;  /* the last call failed */
  bool dirty; /* something changed since the call under way began */
  int poked;  /* a poke is in the mail; any thread */
};

static void query_begin(Sync *s);

static void away_set(Sync *s, bool away, const char *why)
{
  if (away && !s->away)
    log_warning("sync", "the controller is away; open consoles go on", "why", why);
  if (!away && s->away)
    log_info("sync", "the controller is back");
  s->away = away;
}

static void cuts_read(Sync *s, json_t *cuts)
{
  size_t i;
  json_t *cut;
  json_array_foreach(cuts, i, cut) {
    const char *relay = json_string_value(json_object_get(cut, "relay"));
    const char *reason = json_string_value(json_object_get(cut, "reason"));
    if (relay)
      registry_cut(s->registry, relay, reason ? reason : "session-ended");
  }
}

static void query_answered(void *owner, int status, json_t *document, const GError *error)
{
  Sync *s = owner;
  s->query = NULL;
  bool good = !error && status == 200 && json_is_object(document);
  g_autofree char *why = good ? NULL : error ? g_strdup(error->message) : g_strdup_printf("it answered with status %d", status);
  registry_told(s->registry, good);
  away_set(s, !good, why);
  s->full = !good || json_is_true(json_object_get(document, "full"));
  if (good)
    cuts_read(s, json_object_get(document, "cut"));
  bool soon = good && (s->dirty || s->full);
  s->dirty = false;
  if (soon)
    query_begin(s);
  else
    deadline_set(s->loop, &s->deadline, TIMER_SYNC);
}

static void query_begin(Sync *s)
{
  deadline_clear(&s->deadline);
  json_t *body = registry_report(s->registry, s->full);
  json_object_set_new(body, "gateway", json_string(s->id));
  QueryAsk ask = { s->socket_path, "/gateway/v1/sync", body, TIMER_CALL, query_answered, s };
  s->query = query_new(s->loop, &ask);
}

static void passed(Deadline *deadline)
{
  Sync *s = (Sync *)((char *)deadline - offsetof(Sync, deadline));
  query_begin(s);
}

static void poke_read(void *data)
{
  Sync *s = data;
  __atomic_store_n(&s->poked, 0, __ATOMIC_RELEASE);
  if (s->query)
    s->dirty = true;
  else if (!s->away)
    query_begin(s);
}

void sync_poke(Sync *s)
{
  if (!__atomic_exchange_n(&s->poked, 1, __ATOMIC_ACQ_REL))
    loop_post(s->loop, poke_read, s);
}

Sync *sync_new(Loop *loop, Registry *registry, const char *socket_path, const char *id)
{
  Sync *s = g_new0(Sync, 1);
  *s = (Sync){ .loop = loop, .registry = registry, .socket_path = g_strdup(socket_path), .id = g_strdup(id), .full = true };
  s->deadline.passed = passed;
  sync_poke(s);
  return s;
}

void sync_free(Sync *s)
{
  if (!s)
    return;
  query_cancel(s->query);
  deadline_clear(&s->deadline);
  g_free(s->socket_path);
  g_free(s->id);
  g_free(s);
}

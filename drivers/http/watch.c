#include "drivers/http/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "drivers/http/caller.h"
#include "drivers/http/localise.h"
#include "drivers/http/openapi.h"
#include "drivers/http/reply.h"
#include "drivers/http/runs.h"
#include "drivers/http/taken.h"

enum { CHUNK_BYTES = 16384, EVENTS_AT_ONCE = 64, CHANGES_A_TURN = 1024 };

typedef struct {
  gint refs;                /* atomic: the hub's and the response's */
  WatchHub *hub;
  struct MHD_Connection *connection;
  Caller caller;
  Lang lang;
  unsigned hidden;
  bool wanted[N_NOUNS];
  int64_t after;            /* the batch behind which it begins */
  PublishedWatch *news;
  GHashTable *seen;         /* "noun name" of what a caller who isn't staff has, so that its loss is shown too; NULL = staff */
  int64_t seen_sequence;    /* as of when that was looked up at first */
  bool doubted;             /* a reset was sent, because something may have been lost before that */
  Taken *taken;             /* how much of the hosts is taken, summed once a turn for all that it tells; NULL = no host yet */
  int64_t beat_us;
  GMutex mutex;             /* of what follows */
  GString *buffer;
  bool suspended, ended, gone;
} Watch;

struct WatchHub {
  Server *server;
  int epoll, wake;
  GAsyncQueue *coming;      /* of Watch */
  GPtrArray *watches;       /* of Watch; the hub's thread */
  bool ending;
  GMutex mutex;             /* of what follows */
  int count;
  GHashTable *by_user;      /* user → number of watches */
};

/* ── counting ─────────────────────────────────────────────────────────────── */

static int user_count(WatchHub *hub, const char *user) { return GPOINTER_TO_INT(g_hash_table_lookup(hub->by_user, user)); }

static bool hub_admit(WatchHub *hub, const char *user, GError **err)
{
  const int most = (int)hub->server->config.http_watchers;
  g_mutex_lock(&hub->mutex);
  int limit = hub->count >= most ? most : user_count(hub, user) >= WATCHERS_A_USER_MAX ? WATCHERS_A_USER_MAX : 0;
  if (!limit) {
    hub->count++;
    g_hash_table_insert(hub->by_user, g_strdup(user), GINT_TO_POINTER(user_count(hub, user) + 1));
  }
  g_mutex_unlock(&hub->mutex);
  g_autofree char *text = g_strdup_printf("%d", limit);
  return !limit || error_false(err, REASON_SERVER_BUSY, "what", "streams of changes", "limit", text, NULL);
}

static void hub_dismiss(WatchHub *hub, const char *user)
{
  g_mutex_lock(&hub->mutex);
  hub->count--;
  int left = user_count(hub, user) - 1;
  if (left)
    g_hash_table_insert(hub->by_user, g_strdup(user), GINT_TO_POINTER(left));
  else
    g_hash_table_remove(hub->by_user, user);
  g_mutex_unlock(&hub->mutex);
}

/* ── a watch ──────────────────────────────────────────────────────────────── */

static void watch_unref(Watch *w)
{
  if (!g_atomic_int_dec_and_test(&w->refs))
    return;
  hub_dismiss(w->hub, w->caller.user);
  g_free(w->caller.user);
  g_free(w->caller.token);
  g_free(w->caller.client);
  g_clear_pointer(&w->seen, g_hash_table_unref);
  if (w->news)
    published_watch_free(w->news);
  g_string_free(w->buffer, TRUE);
  g_mutex_clear(&w->mutex);
  g_free(w);
}

/* Hands text to the connection; NULL: there is no more to come. With w->mutex held by nobody. */
static void watch_give(Watch *w, const GString *text)
{
  g_mutex_lock(&w->mutex);
  if (text && !w->ended)
    g_string_append_len(w->buffer, text->str, text->len);
  if (!text || w->buffer->len > (size_t)w->hub->server->config.http_watcher_bytes)
    w->ended = true;
  if (w->suspended && !w->gone) {
    w->suspended = false;
    MHD_resume_connection(w->connection);
  }
  g_mutex_unlock(&w->mutex);
}

static bool watch_is_over(Watch *w)
{
  g_mutex_lock(&w->mutex);
  bool over = w->ended || w->gone;
  g_mutex_unlock(&w->mutex);
  return over;
}

/* The connection's side: what is there, or a pause until there is something. */
static ssize_t watch_read(void *data, uint64_t position, char *out, size_t most)
{
  Watch *w = data;
  g_mutex_lock(&w->mutex);
  size_t n = MIN(most, w->buffer->len);
  bool over = !n && w->ended;
  memcpy(out, w->buffer->str, n);
  g_string_erase(w->buffer, 0, n);
  if (!n && !over) {
    w->suspended = true;
    MHD_suspend_connection(w->connection);
  }
  g_mutex_unlock(&w->mutex);
  return over ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)n;
}

static void watch_closed(void *data)
{
  Watch *w = data;
  g_mutex_lock(&w->mutex);
  w->gone = true;
  g_mutex_unlock(&w->mutex);
  watch_hub_wake(w->hub);
  watch_unref(w);
}

/* ── events ───────────────────────────────────────────────────────────────── */

static void append_event(GString *out, int64_t id, const char *noun, const char *verb)
{
  if (id)
    g_string_append_printf(out, "id: %" G_GINT64_FORMAT "\n", id);
  g_string_append_printf(out, "event: %s%s%s\ndata: ", noun, *verb ? "." : "", verb);
}

static void append_sequence(GString *out, const char *event, int64_t sequence)
{
  append_event(out, sequence, event, "");
  g_string_append_printf(out, "{\"sequence\":%" G_GINT64_FORMAT "}\n\n", sequence);
}

static char *seen_key(const Object *object) { return g_strdup_printf("%d %s", object->noun, object->name); }

static bool seen_take(const Object *object, void *watch)
{
  Watch *w = watch;
  if (caller_owns(w->hub->server, &w->caller, object->noun, object))
    g_hash_table_add(w->seen, seen_key(object));
  return false;
}

/* What the caller has now. */
static void seen_init(Watch *w)
{
  Published *published = runtime_published(w->hub->server->runtime);
  w->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  w->seen_sequence = published_sequence(published);
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    if (w->wanted[noun])
      g_ptr_array_unref(published_list(published, noun, NULL, 1, seen_take, w));
}

typedef enum { SIGHT_NONE, SIGHT_OWN, SIGHT_LOST, SIGHT_DOUBT } Sight;

/* What a caller of no role is told of a change: the object while it is theirs, its name when it no longer is; or to list anew,
 * where it may have been theirs before anybody looked. */
static Sight watch_sight(Watch *w, const PublishedChange *change)
{
  if (!w->seen)
    return SIGHT_OWN;
  g_autofree char *key = seen_key(change->object);
  if (caller_owns(w->hub->server, &w->caller, change->object->noun, change->object)) {
    g_hash_table_add(w->seen, g_steal_pointer(&key));
    return SIGHT_OWN;
  }
  if (g_hash_table_remove(w->seen, key))
    return SIGHT_LOST;
  return change->sequence <= w->seen_sequence && !w->doubted ? SIGHT_DOUBT : SIGHT_NONE;
}

static void append_name(GString *out, const char *name)
{
  g_string_append(out, "{\"name\":");
  json_append_text(out, name);
  g_string_append_c(out, '}');
}

/* A host as lists tell it. */
static void append_host(Watch *w, const Host *host, GString *out)
{
  if (!w->taken)
    w->taken = taken_new(runtime_published(w->hub->server->runtime), NULL);
  taken_append(w->taken, host, out);
}

static void watch_append(Watch *w, const PublishedChange *change, GString *out)
{
  const Object *object = change->object;
  const Schema *schema = &schemas[object->noun];
  int64_t id = change->last ? change->sequence : 0;
  gsize from = out->len;
  switch (w->wanted[object->noun] ? watch_sight(w, change) : SIGHT_NONE) {
  case SIGHT_NONE:
    return;
  case SIGHT_OWN:
    append_event(out, id, schema->noun, change->how == CHANGE_PUT ? "put" : "delete");
    object_append_json_without(schema, object, w->hidden, out);
    if (object->noun == NOUN_HOST && change->how == CHANGE_PUT)
      append_host(w, (const Host *)object, out);
    localise(out, from, w->lang);
    break;
  case SIGHT_LOST:
    append_event(out, id, schema->noun, "delete");
    append_name(out, object->name);
    break;
  case SIGHT_DOUBT:
    w->doubted = true;
    append_sequence(out, "reset", w->seen_sequence);
    return;
  }
  g_string_append(out, "\n\n");
}

/* Whether a change could end what the watch's caller may do here. */
static bool touches_login(const Watch *w, const Object *object)
{
  return (object->noun == NOUN_TOKEN && !g_strcmp0(object->name, w->caller.token)) ||
         (object->noun == NOUN_USER && !g_strcmp0(object->name, w->caller.user));
}

/* ── the hub's side ───────────────────────────────────────────────────────── */

static void watch_pump(Watch *w)
{
  g_autoptr(GString) out = g_string_new(NULL);
  bool good = true;
  for (int i = 0; i < CHANGES_A_TURN && good; i++) {
    PublishedChange change;
    WatchNews news = published_watch_next(w->news, 0, &change);
    if (news == WATCH_NOTHING)
      break;
    if (news == WATCH_RESET) {
      append_sequence(out, "reset", change.sequence);
      continue;
    }
    if (touches_login(w, change.object))
      good = caller_is_good(w->hub->server, &w->caller);
    watch_append(w, &change, out);
    published_drop((void *)change.object);
  }
  g_clear_pointer(&w->taken, taken_free);
  if (out->len && good)
    watch_give(w, out);
  if (!good)
    watch_give(w, NULL);
}

static int64_t beat_us(const WatchHub *hub) { return hub->server->config.http_watch_beat_s * (int64_t)G_USEC_PER_SEC; }

static void watch_beat(Watch *w, int64_t now_us)
{
  if (now_us < w->beat_us)
    return;
  w->beat_us = now_us + beat_us(w->hub);
  g_autoptr(GString) sign = g_string_new(": here\n\n");
  watch_give(w, caller_is_good(w->hub->server, &w->caller) ? sign : NULL);
}

static void hub_take(WatchHub *hub, Watch *w)
{
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = w };
  w->beat_us = g_get_monotonic_time() + beat_us(hub);
  g_ptr_array_add(hub->watches, w);
  if (!caller_is_staff(&w->caller))
    seen_init(w);
  g_autoptr(GString) ready = g_string_new(NULL);
  append_sequence(ready, "ready", w->after);
  watch_give(w, ready);
  if (hub->ending || epoll_ctl(hub->epoll, EPOLL_CTL_ADD, published_watch_fd(w->news), &event))
    watch_give(w, NULL);
  else
    watch_pump(w); /* it signals only after it once had nothing */
}

/* Lets go of what ended; gives signs of life to the rest. */
static void hub_sweep(WatchHub *hub)
{
  int64_t now_us = g_get_monotonic_time();
  for (guint i = 0; i < hub->watches->len;) {
    Watch *w = hub->watches->pdata[i];
    if (watch_is_over(w)) {
      epoll_ctl(hub->epoll, EPOLL_CTL_DEL, published_watch_fd(w->news), NULL);
      g_ptr_array_remove_index_fast(hub->watches, i);
      watch_unref(w);
      continue;
    }
    watch_beat(w, now_us);
    i++;
  }
}

void watch_hub_turn(WatchHub *hub, int timeout_ms)
{
  struct epoll_event events[EVENTS_AT_ONCE];
  int n = epoll_wait(hub->epoll, events, EVENTS_AT_ONCE, timeout_ms);
  for (int i = 0; i < n; i++) {
    uint64_t count;
    if (events[i].data.ptr)
      watch_pump(events[i].data.ptr);
    else if (read(hub->wake, &count, sizeof count) < 0)
      continue;
  }
  for (Watch *w; (w = g_async_queue_try_pop(hub->coming));)
    hub_take(hub, w);
  hub_sweep(hub);
}

void watch_hub_end(WatchHub *hub)
{
  hub->ending = true;
  for (guint i = 0; i < hub->watches->len; i++)
    watch_give(hub->watches->pdata[i], NULL);
}

void watch_hub_wake(WatchHub *hub)
{
  uint64_t one = 1;
  if (write(hub->wake, &one, sizeof one) < 0)
    return; /* full: it is awake */
}

WatchHub *watch_hub_new(Server *server, GError **err)
{
  WatchHub *hub = g_new0(WatchHub, 1);
  struct epoll_event event = { .events = EPOLLIN };
  hub->server = server;
  hub->epoll = epoll_create1(EPOLL_CLOEXEC);
  hub->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  hub->coming = g_async_queue_new();
  hub->watches = g_ptr_array_new();
  hub->by_user = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_mutex_init(&hub->mutex);
  if (hub->epoll >= 0 && hub->wake >= 0 && !epoll_ctl(hub->epoll, EPOLL_CTL_ADD, hub->wake, &event))
    return hub;
  watch_hub_free(hub);
  return error_null(err, REASON_IO, "action", "open", "path", "eventfd", "detail", g_strerror(errno), NULL);
}

void watch_hub_free(WatchHub *hub)
{
  if (!hub)
    return;
  if (hub->epoll >= 0)
    close(hub->epoll);
  if (hub->wake >= 0)
    close(hub->wake);
  g_async_queue_unref(hub->coming);
  g_ptr_array_unref(hub->watches);
  g_hash_table_unref(hub->by_user);
  g_mutex_clear(&hub->mutex);
  g_free(hub);
}

/* Unless the server is stopping: what is brought before that, the hub ends. */
static bool hub_bring(WatchHub *hub, Watch *w)
{
  Server *server = hub->server;
  g_mutex_lock(&server->mutex);
  bool open = !server->stopping;
  if (open)
    g_async_queue_push(hub->coming, w);
  g_mutex_unlock(&server->mutex);
  watch_hub_wake(hub);
  return open;
}

/* ── the verb ─────────────────────────────────────────────────────────────── */

static bool want_nouns(const char *text, bool wanted[N_NOUNS], GError **err)
{
  g_auto(GStrv) names = g_strsplit(text ? text : "", ",", -1);
  for (Noun noun = 0; !text && noun < N_NOUNS; noun++)
    wanted[noun] = noun_is_listed(noun);
  for (char **name = names; *name; name++) {
    Noun noun = noun_find(*name);
    if (noun == N_NOUNS || !noun_is_listed(noun))
      return error_false(err, REASON_BAD_VALUE, "field", "nouns", "value", *name, "limit", "nouns, separated by commas", NULL);
    wanted[noun] = true;
  }
  return true;
}

/* Behind which batch the stream begins: what the browser saw last, or after, or now. */
static bool read_after(const Exchange *x, int64_t *after, GError **err)
{
  const char *seen = x->head.last_event_id;
  if (seen && !g_ascii_string_to_signed(seen, 10, 0, INT64_MAX, after, NULL))
    return error_false(err, REASON_BAD_VALUE, "field", "Last-Event-ID", "value", seen, "limit", "a number", NULL);
  return seen || arguments_number(&x->arguments, "after", 0, INT64_MAX, after, err);
}

static Watch *watch_new(Exchange *x, int64_t after)
{
  Watch *w = g_new0(Watch, 1);
  w->refs = 2;
  w->hub = x->server->hub;
  w->connection = x->connection;
  w->hidden = caller_hidden(&x->caller);
  w->lang = x->lang;
  w->caller = x->caller;
  memset(&x->caller, 0, sizeof x->caller);
  w->news = published_watch_new(runtime_published(x->server->runtime), after);
  w->after = after;
  w->buffer = g_string_new("retry: 2000\n\n");
  g_mutex_init(&w->mutex);
  return w;
}

bool watch_run(Exchange *x, GError **err)
{
  static const char *const known[] = { "after", "nouns", NULL };
  bool wanted[N_NOUNS] = { false };
  int64_t after = published_sequence(runtime_published(x->server->runtime));
  if (!caller_may(x, NULL, err) || !arguments_check(&x->arguments, known, err) ||
      !want_nouns(arguments_find(&x->arguments, "nouns"), wanted, err) || !read_after(x, &after, err) ||
      !hub_admit(x->server->hub, x->caller.user, err))
    return false;
  Watch *w = watch_new(x, after);
  memcpy(w->wanted, wanted, sizeof wanted);
  if (w->news && hub_bring(w->hub, w)) {
    reply_stream(x, "text/event-stream", CHUNK_BYTES, watch_read, w, watch_closed);
    return true;
  }
  Reason reason = w->news ? REASON_SHUTTING_DOWN : REASON_SERVER_BUSY;
  w->refs = 1;
  watch_unref(w);
  return error_false(err, reason, "what", "open files", "limit", "too many", NULL);
}

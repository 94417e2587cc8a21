#include "drivers/runtime/lanes_inside.h"

#include <string.h>

ENUM_DEFINE(LaneKind, lane_kind, LANE_KINDS, N_LANE_KINDS)
ENUM_DEFINE(BreakerState, breaker_state, BREAKER_STATES, N_BREAKER_STATES)
ENUM_DEFINE(LaneEnd, lane_end, LANE_ENDS, N_LANE_ENDS)
ENUM_DEFINE(LaneObservationKind, lane_observation, LANE_OBSERVATIONS, N_LANE_OBSERVATIONS)

LanesConfig lanes_config_default(void)
{
  return (LanesConfig){
    .call_threads = 4,
    .agent_threads = 4,
    .threads_max = 512,
    .queue_max = 4096,
    .written_off_max = 8,
    .failures = 3,
    .open_timeout_us = 15 * G_USEC_PER_SEC,
    .poll_us = 30 * G_USEC_PER_SEC,
    .poll_timeout_us = 20 * G_USEC_PER_SEC,
    .backoff_min_us = G_USEC_PER_SEC / 2,
    .backoff_max_us = 5 * G_USEC_PER_SEC / 2,
    .probes_per_s = 25,
    .idle_us = 5 * G_USEC_PER_SEC,
  };
}

/* ── observations ───────────────────────────────────────────────────────── */

void lane_observation_free(LaneObservation *observation)
{
  if (!observation)
    return;
  g_free(observation->host);
  host_facts_clear(&observation->facts);
  g_clear_pointer(&observation->domains, g_ptr_array_unref);
  domain_facts_free(observation->domain);
  g_clear_error(&observation->state.error);
  g_free(observation->late);
  g_free(observation);
}

LaneObservation *lane_observation_new(const HostLanes *host, LaneObservationKind kind)
{
  LaneObservation *observation = g_new0(LaneObservation, 1);
  observation->kind = kind;
  observation->host = g_strdup(host->name);
  observation->began_us = observation->ended_us = g_get_monotonic_time();
  return observation;
}

/* ── what is due ────────────────────────────────────────────────────────── */

static int due_compare(const void *a, const void *b, void *unused)
{
  const Due *x = a, *y = b;
  return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

void due_clear(Lanes *lanes, Due *due)
{
  if (due->iter)
    g_sequence_remove(due->iter);
  due->iter = NULL;
}

void due_set(Lanes *lanes, Due *due, int64_t at_us)
{
  due_clear(lanes, due);
  due->at_us = at_us;
  due->iter = g_sequence_insert_sorted(lanes->dues, due, due_compare, NULL);
  if (g_sequence_iter_is_begin(due->iter))
    pthread_cond_signal(&lanes->time);
}

/* ── the outbox ─────────────────────────────────────────────────────────── */

/* A completion or an observation on its way. */
typedef struct {
  Entry *entry;
  LaneEnd end;
  GError *err;
  LaneObservation *observation;
} Out;

void out_observation(HostLanes *host, LaneObservation *observation)
{
  Lanes *lanes = host->lanes;
  if (host->gone || lanes->stopping) {
    lane_observation_free(observation);
    return;
  }
  Out *out = g_new0(Out, 1);
  out->observation = observation;
  g_queue_push_tail(&lanes->outbox, out);
  pthread_cond_signal(&lanes->time);
}

void entry_tell(Entry *entry, LaneEnd end, const GError *err)
{
  Lanes *lanes = entry->host->lanes;
  due_clear(lanes, &entry->due);
  if (!entry->kind->is_job)
    return;
  Out *out = g_new0(Out, 1);
  *out = (Out){ .entry = entry, .end = end, .err = err ? g_error_copy(err) : NULL };
  g_queue_push_tail(&lanes->outbox, out);
  pthread_cond_signal(&lanes->time);
}

static void out_hand_over(Lanes *lanes, Out *out)
{
  if (out->observation)
    lanes->sink.observe(lanes->sink.owner, out->observation);
  else
    out->entry->job.done(out->entry->job.job, out->end, out->err);
  g_clear_error(&out->err);
}

void outbox_deliver(Lanes *lanes)
{
  if (lanes->delivering)
    return;
  lanes->delivering = true;
  for (Out *out; (out = g_queue_pop_head(&lanes->outbox));) {
    pthread_mutex_unlock(&lanes->lock);
    out_hand_over(lanes, out);
    pthread_mutex_lock(&lanes->lock);
    if (out->entry) {
      out->entry->told = true;
      entry_free(out->entry);
    }
    g_free(out);
  }
  lanes->delivering = false;
  pthread_cond_broadcast(&lanes->quiet);
}

/* ── entries ────────────────────────────────────────────────────────────── */

Entry *entry_new(HostLanes *host, Lane *lane, const EntryKind *kind, const char *what)
{
  Entry *entry = g_new0(Entry, 1);
  entry->kind = kind;
  entry->host = host_ref(host);
  entry->lane = lane;
  entry->what = g_strdup(what);
  entry->node.data = entry;
  entry->told = !kind->is_job;
  entry->due = (Due){ .fire = entry_expire, .owner = entry };
  return entry;
}

void entry_free(Entry *entry)
{
  Lanes *lanes = entry->host->lanes;
  if (!entry->told || !entry->returned)
    return;
  due_clear(lanes, &entry->due);
  if (entry->job.free) {
    pthread_mutex_unlock(&lanes->lock);
    entry->job.free(entry->job.job);
    pthread_mutex_lock(&lanes->lock);
  }
  lane_observation_free(entry->seen);
  host_unref(entry->host);
  g_free(entry->what);
  g_free(entry);
}

static void entry_enqueue(Entry *entry, GQueue *queue)
{
  entry->in = queue;
  g_queue_push_tail_link(queue, &entry->node);
}

/* Its turn has come. */
static void entry_ready(Entry *entry)
{
  entry_enqueue(entry, &entry->lane->ready);
  lane_kick(entry->lane);
}

static void turn_take(Entry *entry, const char *key)
{
  GHashTable *turns = entry->lane->turns;
  Turn *turn = g_hash_table_lookup(turns, key);
  if (!turn) {
    turn = g_new0(Turn, 1);
    turn->key = g_strdup(key);
    g_hash_table_insert(turns, turn->key, turn);
  }
  entry->turn = turn;
  if (turn->holder) {
    entry_enqueue(entry, &turn->waiting);
    return;
  }
  turn->holder = entry;
  entry_ready(entry);
}

void turn_pass(Entry *entry)
{
  Turn *turn = entry->turn;
  if (!turn || turn->holder != entry)
    return;
  entry->turn = NULL;
  GList *next = g_queue_pop_head_link(&turn->waiting);
  turn->holder = next ? next->data : NULL;
  if (turn->holder) {
    entry_ready(turn->holder);
    return;
  }
  g_hash_table_remove(entry->lane->turns, turn->key);
}

static void turn_free(void *data)
{
  Turn *turn = data;
  g_free(turn->key);
  g_free(turn);
}

/* Ends one that waits. */
void entry_drop(Entry *entry, LaneEnd end, const GError *err)
{
  g_queue_unlink(entry->in, &entry->node);
  entry->in = NULL;
  entry->state = ENTRY_OVER;
  entry->returned = true;
  entry->lane->waiting -= entry->kind->is_job;
  turn_pass(entry);
  entry_tell(entry, end, err);
  entry_free(entry);
}

void lane_refuse_waiting(Lane *lane, LaneEnd end, const GError *err)
{
  GHashTableIter iter;
  void *each;
  g_autoptr(GPtrArray) all = g_ptr_array_new();
  for (GList *node = lane->ready.head; node; node = node->next)
    g_ptr_array_add(all, node->data);
  g_hash_table_iter_init(&iter, lane->turns);
  while (g_hash_table_iter_next(&iter, NULL, &each))
    for (GList *node = ((Turn *)each)->waiting.head; node; node = node->next)
      g_ptr_array_add(all, node->data);
  for (guint i = 0; i < all->len; i++) {
    Entry *entry = all->pdata[i];
    if (entry->kind->is_job || end == LANE_CANCELLED)
      entry_drop(entry, end, err);
  }
}

void chore_add(HostLanes *host, const EntryKind *kind, Line *line)
{
  Entry *entry = entry_new(host, NULL, kind, "close");
  entry->line = line;
  entry_enqueue(entry, &host->lanes->chores);
  worker_wake(host->lanes);
}

/* ── hosts ──────────────────────────────────────────────────────────────── */

static void lane_init(Lane *lane, HostLanes *host, LaneKind kind, int limit)
{
  lane->host = host;
  lane->kind = kind;
  lane->limit = limit;
  lane->turns = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, turn_free);
  g_queue_init(&lane->ready);
}

static HostLanes *host_new(Lanes *lanes, const LaneHost *given)
{
  HostLanes *host = g_new0(HostLanes, 1);
  host->lanes = lanes;
  host->refs = 1;
  host->name = g_strdup(given->name);
  host->uri = g_strdup(given->uri);
  host->allow_plain_tcp = given->allow_plain_tcp;
  host->backoff_us = lanes->config.backoff_min_us;
  host->dirty = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  host->poll = (Due){ .fire = host_poll_fire, .owner = host };
  host->retry = (Due){ .fire = host_retry_fire, .owner = host };
  lane_init(&host->lane[LANE_CALL], host, LANE_CALL, lanes->config.call_threads);
  lane_init(&host->lane[LANE_AGENT], host, LANE_AGENT, lanes->config.agent_threads);
  lane_init(&host->lane[LANE_WATCH], host, LANE_WATCH, 1);
  return host;
}

HostLanes *host_ref(HostLanes *host)
{
  host->refs++;
  return host;
}

void host_unref(HostLanes *host)
{
  if (--host->refs)
    return;
  for (LaneKind kind = 0; kind < N_LANE_KINDS; kind++) {
    g_hash_table_unref(host->lane[kind].turns);
    g_clear_error(&host->lane[kind].open_error);
  }
  g_hash_table_unref(host->dirty);
  g_clear_error(&host->error);
  g_free(host->name);
  g_free(host->uri);
  g_free(host);
}

/* Takes host out of service: what runs goes on, nothing else does. */
static void host_retire(HostLanes *host)
{
  g_autoptr(GError) err = NULL;
  host->gone = true;
  error_set(&err, REASON_CANCELLED, "what", "the call", NULL);
  due_clear(host->lanes, &host->poll);
  due_clear(host->lanes, &host->retry);
  for (LaneKind kind = 0; kind < N_LANE_KINDS; kind++) {
    Lane *lane = &host->lane[kind];
    lane_refuse_waiting(lane, LANE_CANCELLED, err);
    lane_hang_up(lane);
    if (lane->listed)
      g_queue_remove(lane->listed, lane);
    lane->listed = NULL;
  }
}

static void host_remove(Lanes *lanes, HostLanes *host)
{
  g_hash_table_remove(lanes->hosts, host->name);
  host_retire(host);
  host_unref(host);
}

bool lanes_put_host(Lanes *lanes, const LaneHost *given, GError **err)
{
  if (!hypervisor_uri_check(given->uri, given->allow_plain_tcp, err))
    return false;
  pthread_mutex_lock(&lanes->lock);
  HostLanes *old = g_hash_table_lookup(lanes->hosts, given->name);
  bool same = old && !strcmp(old->uri, given->uri) && old->allow_plain_tcp == given->allow_plain_tcp;
  if (old && !same)
    host_remove(lanes, old);
  if (!same) {
    HostLanes *host = host_new(lanes, given);
    g_hash_table_insert(lanes->hosts, host->name, host);
    host_poll_fire(host);
  }
  pthread_mutex_unlock(&lanes->lock);
  return true;
}

void lanes_del_host(Lanes *lanes, const char *name)
{
  pthread_mutex_lock(&lanes->lock);
  HostLanes *host = g_hash_table_lookup(lanes->hosts, name);
  if (host)
    host_remove(lanes, host);
  pthread_mutex_unlock(&lanes->lock);
}

/* ── jobs ───────────────────────────────────────────────────────────────── */

static bool job_run(Entry *entry, GError **err)
{
  return entry->job.run(entry->line->hypervisor, entry->job.job, err);
}

static void late_tell(Entry *entry, bool ok, const GError *err)
{
  LaneObservation *observation = lane_observation_new(entry->host, LANE_SAW_LATE);
  observation->began_us = entry->began_us;
  observation->late = g_strdup_printf("%s came back after %.1f s: %s", entry->what,
                                      (observation->ended_us - entry->began_us) / 1e6, ok ? "ok" : err->message);
  out_observation(entry->host, observation);
}

static void job_finish(Entry *entry, bool ok, GError *err)
{
  if (entry->state == ENTRY_WRITTEN_OFF) {
    late_tell(entry, ok, err);
    return;
  }
  if (!ok && error_is(err, REASON_HOST_UNREACHABLE))
    line_lost(entry->line, err);
  else if (entry->lane->kind != LANE_AGENT)
    host_well(entry->host);
  entry_tell(entry, LANE_RAN, err);
}

static const EntryKind entry_job = { .run = job_run, .finish = job_finish, .is_job = true };

/* NULL ⇔ the job may wait for its turn. */
static GError *refusal(Lanes *lanes, HostLanes *host, const Lane *lane, const char *name)
{
  GError *err = NULL;
  if (!host)
    error_set(&err, REASON_NOT_FOUND, "kind", "host", "name", name, NULL);
  else if (host->breaker != BREAKER_CLOSED)
    error_set(&err, REASON_HOST_UNREACHABLE, "host", name, "detail", host->error ? host->error->message : "", NULL);
  else if (!lane->line && g_get_monotonic_time() < lane->not_before_us)
    err = g_error_copy(lane->open_error);
  else if (lane->waiting >= lanes->config.queue_max) {
    g_autofree char *value = g_strdup_printf("%d", lane->waiting), *limit = g_strdup_printf("%d", lanes->config.queue_max);
    error_set(&err, REASON_HOST_BUSY, "host", name, "value", value, "limit", limit, NULL);
  }
  return err;
}

/* A host that nobody knows still needs an entry to be told about: it is told with one of its own. */
static HostLanes *host_unknown(Lanes *lanes, const char *name)
{
  HostLanes *host = host_new(lanes, &(LaneHost){ name, "", false });
  host->gone = true;
  return host;
}

void lanes_submit(Lanes *lanes, const char *name, const LaneJob *job)
{
  g_assert(job->kind != LANE_WATCH && job->run && job->done);
  pthread_mutex_lock(&lanes->lock);
  HostLanes *known = lanes->stopping ? NULL : g_hash_table_lookup(lanes->hosts, name);
  HostLanes *host = known ? host_ref(known) : host_unknown(lanes, name);
  Lane *lane = &host->lane[job->kind];
  Entry *entry = entry_new(host, lane, &entry_job, job->what);
  g_autoptr(GError) err = refusal(lanes, known, lane, name);
  entry->job = *job;
  entry->began_us = g_get_monotonic_time();
  if (err) {
    entry->state = ENTRY_OVER;
    entry->returned = true;
    entry_tell(entry, lanes->stopping ? LANE_CANCELLED : LANE_REFUSED, err);
  } else {
    lane->waiting++;
    due_set(lanes, &entry->due, entry->began_us + job->timeout_us);
    if (job->key)
      turn_take(entry, job->key);
    else
      entry_ready(entry);
  }
  host_unref(host);
  pthread_mutex_unlock(&lanes->lock);
}

/* ── asking ─────────────────────────────────────────────────────────────── */

void lanes_look(Lanes *lanes, const char *name, const char *uuid)
{
  pthread_mutex_lock(&lanes->lock);
  HostLanes *host = g_hash_table_lookup(lanes->hosts, name);
  if (host && uuid)
    g_hash_table_add(host->dirty, g_strdup(uuid));
  else if (host)
    host->want_list = host->want_facts = true;
  if (host && !uuid && host->error)
    host_tell_state(host);
  if (host)
    host_watch(host);
  pthread_mutex_unlock(&lanes->lock);
}

bool lanes_state(Lanes *lanes, const char *name, LaneState *ret_state)
{
  pthread_mutex_lock(&lanes->lock);
  HostLanes *host = g_hash_table_lookup(lanes->hosts, name);
  if (host)
    *ret_state = host_state(host);
  pthread_mutex_unlock(&lanes->lock);
  return host;
}

LanesFigures lanes_figures(Lanes *lanes)
{
  pthread_mutex_lock(&lanes->lock);
  LanesFigures figures = { .hosts = (int)g_hash_table_size(lanes->hosts), .threads = lanes->threads, .threads_idle = lanes->idle,
                           .running = lanes->running, .written_off = lanes->written_off };
  GHashTableIter iter;
  void *host;
  g_hash_table_iter_init(&iter, lanes->hosts);
  while (g_hash_table_iter_next(&iter, NULL, &host))
    for (LaneKind kind = 0; kind < N_LANE_KINDS; kind++)
      figures.waiting += ((HostLanes *)host)->lane[kind].waiting;
  pthread_mutex_unlock(&lanes->lock);
  return figures;
}

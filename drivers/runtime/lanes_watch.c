/* Connections, looks and the breaker: how a host is watched, and what is made of its failures. */
#include "core/log.h"
#include "drivers/runtime/lanes_inside.h"

/* More than that to look at one by one is looked at whole. */
enum { LOOKS_AT_ONCE = 8 };

/* ── connections ────────────────────────────────────────────────────────── */

static void line_free(Line *line)
{
  host_unref(line->host);
  g_free(line);
}

void line_unref(Line *line)
{
  if (--line->refs)
    return;
  if (line->hypervisor)
    chore_add(line->host, &entry_close, line);
  else
    line_free(line);
}

void lane_hang_up(Lane *lane)
{
  Line *line = g_steal_pointer(&lane->line);
  if (line)
    line_unref(line);
}

void line_lost(Line *line, const GError *why)
{
  HostLanes *host = line->host;
  Lane *lane = &host->lane[line->kind];
  bool known = line->lost;
  line->lost = true;
  if (lane->line != line)
    return;
  lane_hang_up(lane);
  /* a host's three connections break together: that is one failure, told by the one that always stands */
  if (!known && line->kind == LANE_WATCH)
    host_failed(host, why);
}

static void on_lost(Line *line, const HypervisorEvent *event)
{
  g_autoptr(GError) why = NULL;
  error_set(&why, REASON_HOST_UNREACHABLE, "host", line->host->name, "detail",
            event->detail ? event->detail : "the connection is gone", NULL);
  line_lost(line, why);
}

static void on_serial(Line *line, const HypervisorEvent *event)
{
  LaneObservation *observation = lane_observation_new(line->host, LANE_SAW_SERIAL);
  g_strlcpy(observation->uuid, event->uuid, sizeof observation->uuid);
  out_observation(line->host, observation);
}

/* On an event thread. A line that is not yet, or no longer, its lane's only remembers that it was lost. */
static void on_event(void *owner, const HypervisorEvent *event)
{
  Line *line = owner;
  HostLanes *host = line->host;
  pthread_mutex_lock(&host->lanes->lock);
  bool in_use = host->lane[line->kind].line == line && !host->gone;
  switch (event->kind) {
  case HYPERVISOR_LOST:
    if (in_use)
      on_lost(line, event);
    line->lost = true;
    break;
  case HYPERVISOR_SERIAL:
    on_serial(line, event);
    break;
  case HYPERVISOR_DOMAIN_CHANGED:
    if (in_use) {
      g_hash_table_add(host->dirty, g_strdup(event->uuid));
      host_watch(host);
    }
    break;
  case HYPERVISOR_DEVICES_CHANGED:
    if (in_use)
      out_observation(host, lane_observation_new(host, LANE_SAW_DEVICES));
    break;
  case N_HYPERVISOR_EVENTS:
    break;
  }
  pthread_mutex_unlock(&host->lanes->lock);
}

static void open_begin(Entry *entry)
{
  Lanes *lanes = entry->host->lanes;
  Line *line = entry->line = g_new0(Line, 1);
  line->refs = 1;
  line->host = host_ref(entry->host);
  line->kind = entry->lane->kind;
  entry->began_us = g_get_monotonic_time();
  due_set(lanes, &entry->due, entry->began_us + lanes->config.open_timeout_us);
}

static bool open_run(Entry *entry, GError **err)
{
  Line *line = entry->line;
  HostLanes *host = line->host;
  HypervisorOptions options = {
    .uri = host->uri,
    .host = host->name,
    .controller = host->lanes->controller,
    .allow_plain_tcp = host->allow_plain_tcp,
    .domain_events = line->kind == LANE_WATCH,
    .device_memo = line->kind == LANE_CALL, /* where cards are looked at */
    .knock = line->kind == LANE_WATCH, /* the one that is tried again and again */
    .sink = { on_event, line },
  };
  return hypervisor_open(&options, &line->hypervisor, err);
}

/* Nobody waits for a connection that cannot be had. */
static void open_failed(Lane *lane, const GError *why)
{
  HostLanes *host = lane->host;
  lane->opening = false;
  lane->not_before_us = g_get_monotonic_time() + host->lanes->config.backoff_min_us;
  g_clear_error(&lane->open_error);
  lane->open_error = g_error_copy(why);
  lane_refuse_waiting(lane, LANE_REFUSED, why);
  /* without the watching connection the failure is known already, and is being seen to */
  if (lane->kind == LANE_WATCH || host->lane[LANE_WATCH].line)
    host_failed(host, why);
}

static void open_finish(Entry *entry, bool ok, GError *err)
{
  Lane *lane = entry->lane;
  if (entry->state == ENTRY_WRITTEN_OFF || entry->host->gone)
    return;
  if (ok && entry->line->lost)
    error_set(&err, REASON_HOST_UNREACHABLE, "host", entry->host->name, "detail", "the connection broke at once", NULL);
  if (err) {
    open_failed(lane, err);
    if (ok)
      g_error_free(err);
    return;
  }
  lane->opening = false;
  lane->line = g_steal_pointer(&entry->line);
  if (lane->kind == LANE_WATCH) {
    entry->host->want_facts = entry->host->want_list = true;
    host_watch(entry->host);
  }
}

void open_expired(Entry *entry, const GError *why)
{
  open_failed(entry->lane, why);
}

const EntryKind entry_open = { .begin = open_begin, .run = open_run, .finish = open_finish };

static bool close_run(Entry *entry, GError **err)
{
  hypervisor_close(entry->line->hypervisor);
  return true;
}

static void close_begin(Entry *entry)
{
  Lanes *lanes = entry->host->lanes;
  entry->began_us = g_get_monotonic_time();
  due_set(lanes, &entry->due, entry->began_us + lanes->config.open_timeout_us);
}

static void close_finish(Entry *entry, bool ok, GError *err)
{
  line_free(g_steal_pointer(&entry->line));
}

const EntryKind entry_close = { .begin = close_begin, .run = close_run, .finish = close_finish };

/* ── the breaker ────────────────────────────────────────────────────────── */

LaneState host_state(const HostLanes *host)
{
  return (LaneState){
    .breaker = host->breaker,
    .connected = host->lane[LANE_WATCH].line,
    .failures = host->failures,
    .written_off = host->written_off,
    .next_probe_us = host->retry.iter ? host->retry.at_us : 0,
    .error = host->error ? g_error_copy(host->error) : NULL,
  };
}

void host_tell_state(HostLanes *host)
{
  LaneObservation *observation = lane_observation_new(host, LANE_SAW_STATE);
  observation->state = host_state(host);
  out_observation(host, observation);
}

/* A fifth to and fro, so that a thousand hosts that were lost together do not come back in one instant. */
static void retry_set(HostLanes *host, int64_t in_us)
{
  int64_t jitter_us = (int64_t)(in_us * g_random_double_range(-0.2, 0.2));
  due_set(host->lanes, &host->retry, g_get_monotonic_time() + in_us + jitter_us);
}

/* As long as hosts that are probed, together, take to be probed once. */
static int64_t round_of_probes_us(Lanes *lanes)
{
  GHashTableIter iter;
  void *host;
  int64_t unwell = 0;
  g_hash_table_iter_init(&iter, lanes->hosts);
  while (g_hash_table_iter_next(&iter, NULL, &host))
    unwell += ((HostLanes *)host)->breaker != BREAKER_CLOSED;
  return unwell * G_USEC_PER_SEC / lanes->config.probes_per_s;
}

static void breaker_open(HostLanes *host)
{
  g_autoptr(GError) why = NULL;
  host->breaker = BREAKER_OPEN;
  error_set(&why, REASON_HOST_UNREACHABLE, "host", host->name, "detail", host->error->message, NULL);
  for (LaneKind kind = 0; kind < N_LANE_KINDS; kind++) {
    lane_refuse_waiting(&host->lane[kind], LANE_REFUSED, why);
    lane_hang_up(&host->lane[kind]);
  }
  retry_set(host, MAX(host->backoff_us, round_of_probes_us(host->lanes)));
  host->backoff_us = MIN(2 * host->backoff_us, host->lanes->config.backoff_max_us);
}

void host_failed(HostLanes *host, const GError *why)
{
  if (host->gone || host->lanes->stopping)
    return;
  host->failures++;
  host->told_up = false;
  g_clear_error(&host->error);
  host->error = g_error_copy(why);
  if (host->breaker == BREAKER_HALF_OPEN || (host->breaker == BREAKER_CLOSED && host->failures >= host->lanes->config.failures))
    breaker_open(host);
  else if (host->breaker == BREAKER_CLOSED && !host->lane[LANE_WATCH].line)
    retry_set(host, host->lanes->config.backoff_min_us);
  host_tell_state(host);
}

void host_well(HostLanes *host)
{
  if (host->gone || host->breaker == BREAKER_OPEN)
    return;
  host->failures = 0;
  if (host->told_up || !host->lane[LANE_WATCH].line)
    return;
  host->breaker = BREAKER_CLOSED;
  host->backoff_us = host->lanes->config.backoff_min_us;
  host->told_up = true;
  g_clear_error(&host->error);
  due_clear(host->lanes, &host->retry);
  host_tell_state(host);
  for (LaneKind kind = 0; kind < N_LANE_KINDS; kind++) {
    host->lane[kind].not_before_us = 0;
    lane_kick(&host->lane[kind]);
  }
}

void host_retry_fire(void *data)
{
  HostLanes *host = data;
  if (host->breaker == BREAKER_OPEN) {
    host->breaker = BREAKER_HALF_OPEN;
    host_tell_state(host);
  }
  host->want_facts = true;
  host_watch(host);
  lane_kick(&host->lane[LANE_WATCH]);
}

/* ── looks ──────────────────────────────────────────────────────────────── */

void host_poll_fire(void *data)
{
  HostLanes *host = data;
  host->want_facts = host->want_list = true;
  host_watch(host);
  due_set(host->lanes, &host->poll, g_get_monotonic_time() + host->lanes->config.poll_us);
}

void host_watch(HostLanes *host)
{
  Lane *lane = &host->lane[LANE_WATCH];
  bool wanted = host->want_facts || host->want_list || g_hash_table_size(host->dirty);
  bool waits_for_retry = host->retry.iter && !lane->line;
  if (host->gone || host->watching || !wanted || waits_for_retry || host->breaker == BREAKER_OPEN)
    return;
  host->watching = true;
  Entry *entry = entry_new(host, lane, &entry_watch, "look");
  entry->in = &lane->ready;
  g_queue_push_tail_link(&lane->ready, &entry->node);
  lane_kick(lane);
}

static void one_dirty_take(HostLanes *host, Entry *entry)
{
  GHashTableIter iter;
  void *uuid;
  g_hash_table_iter_init(&iter, host->dirty);
  if (g_hash_table_iter_next(&iter, &uuid, NULL)) {
    g_strlcpy(entry->uuid, uuid, sizeof entry->uuid);
    g_hash_table_iter_remove(&iter);
  }
}

static void watch_begin(Entry *entry)
{
  HostLanes *host = entry->host;
  host->want_list |= g_hash_table_size(host->dirty) > LOOKS_AT_ONCE;
  entry->step = host->want_facts ? WATCH_FACTS : host->want_list ? WATCH_LIST : WATCH_LOOK;
  if (entry->step == WATCH_FACTS)
    host->want_facts = false;
  else if (entry->step == WATCH_LOOK)
    one_dirty_take(host, entry);
  else {
    host->want_list = false;
    g_hash_table_remove_all(host->dirty);
  }
  entry->began_us = g_get_monotonic_time();
  due_set(host->lanes, &entry->due, entry->began_us + host->lanes->config.poll_timeout_us);
}

static bool look_run(Entry *entry, LaneObservation *seen, GError **err)
{
  GError *why = NULL;
  seen->kind = LANE_SAW_DOMAIN;
  if (hypervisor_look(entry->line->hypervisor, entry->uuid, &seen->domain, &why))
    return true;
  if (!error_is(why, REASON_NOT_FOUND)) {
    g_propagate_error(err, why);
    return false;
  }
  g_error_free(why);
  seen->kind = LANE_SAW_NO_DOMAIN;
  g_strlcpy(seen->uuid, entry->uuid, sizeof seen->uuid);
  return true;
}

static bool watch_run(Entry *entry, GError **err)
{
  Hypervisor *hypervisor = entry->line->hypervisor;
  LaneObservation *seen = entry->seen = lane_observation_new(entry->host, LANE_SAW_HOST);
  bool ok = false;
  switch (entry->step) {
  case WATCH_FACTS:
    ok = hypervisor_host(hypervisor, &seen->facts, err);
    break;
  case WATCH_LIST:
    seen->kind = LANE_SAW_DOMAINS;
    ok = hypervisor_list(hypervisor, &seen->domains, err);
    break;
  case WATCH_LOOK:
    ok = look_run(entry, seen, err);
    break;
  }
  seen->ended_us = g_get_monotonic_time();
  return ok;
}

static void watch_finish(Entry *entry, bool ok, GError *err)
{
  HostLanes *host = entry->host;
  if (entry->state == ENTRY_WRITTEN_OFF)
    return;
  host->watching = false;
  if (ok) {
    host_well(host);
    out_observation(host, g_steal_pointer(&entry->seen));
  } else if (error_is(err, REASON_HOST_UNREACHABLE)) {
    line_lost(entry->line, err);
  } else {
    log_warning("lanes", "a look at a host failed", "host", host->name, "error", err->message);
    if (host->breaker == BREAKER_HALF_OPEN)
      host_failed(host, err);
  }
  host_watch(host);
}

void watch_expired(Entry *entry, const GError *why)
{
  HostLanes *host = entry->host;
  host->watching = false;
  if (host->lane[LANE_WATCH].line == entry->line)
    lane_hang_up(&host->lane[LANE_WATCH]);
  host_failed(host, why);
}

const EntryKind entry_watch = { .begin = watch_begin, .run = watch_run, .finish = watch_finish };

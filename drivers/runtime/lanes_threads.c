/* The threads of the lanes: workers, which call hosts, and one timer thread, which keeps deadlines, back-offs and polls, and
 * delivers what no worker delivers. */
#include "drivers/runtime/lanes_inside.h"

enum {
  THREADS_QUICK = 8,        /* threads that are not slow: fewer, and another is made at once */
  SLOW_US = 5000,           /* a call that took so long may hang: its thread no longer counts as quick */
  STACK_BYTES = 512 << 10,
};

static void *worker_main(void *lanes);

/* jemalloc's (jemalloc(3)), in programs that are linked with it. */
int mallctl(const char *name, void *old, size_t *old_size, void *fresh, size_t fresh_size) __attribute__((weak));

/* There may be hundreds of workers for a moment. Where each takes memory by the dozen, to have some ready, what one of them makes and leaves keeps
 * whole pages from all others: 2,500 hosts cost 12 MiB more. A worker mostly waits for hosts; what it makes comes one by one. */
static void memory_one_by_one(void)
{
  bool cached = false;
  if (mallctl)
    mallctl("thread.tcache.enabled", NULL, NULL, &cached, sizeof cached);
}

/* ── waiting ────────────────────────────────────────────────────────────── */

static struct timespec timespec_of(int64_t us)
{
  return (struct timespec){ us / G_USEC_PER_SEC, us % G_USEC_PER_SEC * 1000 };
}

/* false: until_us has passed. */
static bool wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_us)
{
  struct timespec until = timespec_of(until_us);
  return pthread_cond_timedwait(cond, lock, &until) == 0;
}

static void cond_init(pthread_cond_t *cond)
{
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(cond, &monotonic);
  pthread_condattr_destroy(&monotonic);
}

/* Lets go of the lock, which the caller holds, and of the lanes with it. */
static void unref_unlock(Lanes *lanes)
{
  bool last = !--lanes->refs;
  pthread_mutex_unlock(&lanes->lock);
  if (!last)
    return;
  g_hash_table_unref(lanes->hosts);
  g_sequence_free(lanes->dues);
  pthread_cond_destroy(&lanes->work);
  pthread_cond_destroy(&lanes->time);
  pthread_cond_destroy(&lanes->quiet);
  pthread_mutex_destroy(&lanes->lock);
  g_free(lanes->controller);
  g_free(lanes);
}

/* ── how many threads ───────────────────────────────────────────────────── */

/* In the timer thread, which lets go of the lock meanwhile: a new thread may take its time. */
static void worker_make(Lanes *lanes)
{
  pthread_attr_t attributes;
  pthread_t thread;
  lanes->wanted--;
  lanes->refs++;
  lanes->threads++;
  pthread_mutex_unlock(&lanes->lock);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  bool made = !pthread_create(&thread, &attributes, worker_main, lanes);
  pthread_attr_destroy(&attributes);
  pthread_mutex_lock(&lanes->lock);
  if (made)
    return;
  lanes->refs--;
  lanes->threads--;
  due_set(lanes, &lanes->starving, g_get_monotonic_time() + G_USEC_PER_SEC);
}

static bool work_waits(const Lanes *lanes)
{
  return lanes->fresh.length || lanes->runnable.length || lanes->chores.length;
}

/* busy is in the order in which calls began, so the slow ones are its first. */
static int threads_quick(const Lanes *lanes)
{
  int64_t since_us = g_get_monotonic_time() - SLOW_US;
  int quick = lanes->threads;
  for (const GList *node = lanes->busy.head; node && ((Entry *)node->data)->taken_us < since_us; node = node->next)
    quick -= ((Entry *)node->data)->state == ENTRY_RUNNING || ((Entry *)node->data)->holds_slot;
  return quick;
}

static bool may_grow(const Lanes *lanes)
{
  return threads_quick(lanes) + lanes->wanted < THREADS_QUICK && lanes->threads + lanes->wanted < lanes->config.threads_max;
}

void worker_wake(Lanes *lanes)
{
  if (lanes->stopped)
    return; /* whoever made the work does it before it goes */
  if (lanes->idle > lanes->woken) {
    lanes->woken++;
    pthread_cond_signal(&lanes->work);
  } else if (may_grow(lanes)) {
    lanes->wanted++;
    pthread_cond_signal(&lanes->time);
  } else if (!lanes->starving.iter) {
    due_set(lanes, &lanes->starving, g_get_monotonic_time() + SLOW_US);
  }
}

/* Work has waited until the threads that were quick may be slow. */
void starve_fire(void *data)
{
  Lanes *lanes = data;
  int waiting = (int)(lanes->chores.length + lanes->fresh.length + lanes->runnable.length);
  while (waiting-- > 0 && may_grow(lanes))
    lanes->wanted++;
  if (work_waits(lanes))
    due_set(lanes, &lanes->starving, g_get_monotonic_time() + SLOW_US);
}

/* ── what to do next ────────────────────────────────────────────────────── */

static bool lane_runnable(const Lane *lane)
{
  const HostLanes *host = lane->host;
  if (host->gone || !lane->ready.length || lane->opening || lane->running >= lane->limit)
    return false;
  return lane->kind == LANE_WATCH ? lane->line || !host->retry.iter : host->breaker == BREAKER_CLOSED;
}

/* Lanes on which nothing runs come first: a host that hangs waits behind those that answer. */
void lane_kick(Lane *lane)
{
  Lanes *lanes = lane->host->lanes;
  if (lane->listed || !lane_runnable(lane))
    return;
  lane->listed = lane->running ? &lanes->runnable : &lanes->fresh;
  g_queue_push_tail(lane->listed, lane);
  worker_wake(lanes);
}

static Lane *lane_next(Lanes *lanes)
{
  Lane *lane = g_queue_pop_head(&lanes->fresh);
  if (!lane)
    lane = g_queue_pop_head(&lanes->runnable);
  if (lane)
    lane->listed = NULL;
  return lane;
}

static Entry *lane_take(Lane *lane)
{
  if (!lane->line) {
    lane->opening = true;
    return entry_new(lane->host, lane, &entry_open, "connect");
  }
  Entry *entry = g_queue_pop_head_link(&lane->ready)->data;
  entry->line = lane->line;
  entry->line->refs++;
  lane->waiting -= entry->kind->is_job;
  return entry;
}

static Entry *take(Lanes *lanes)
{
  Entry *entry = NULL;
  GList *chore = g_queue_pop_head_link(&lanes->chores);
  if (chore)
    entry = chore->data;
  for (Lane *lane; !entry && (lane = lane_next(lanes));) {
    if (!lane_runnable(lane))
      continue;
    entry = lane_take(lane);
    lane->running++;
    lane_kick(lane);
  }
  if (!entry)
    return NULL;
  entry->taken_us = g_get_monotonic_time();
  entry->state = ENTRY_RUNNING;
  entry->in = &lanes->busy;
  g_queue_push_tail_link(&lanes->busy, &entry->node);
  lanes->running++;
  if (entry->kind->begin)
    entry->kind->begin(entry);
  return entry;
}

/* ── deadlines ──────────────────────────────────────────────────────────── */

static GError *timeout_error(const Entry *entry)
{
  GError *err = NULL;
  g_autofree char *limit = g_strdup_printf("%.3g s", (g_get_monotonic_time() - entry->began_us) / 1e6);
  error_set(&err, REASON_TIMEOUT, "what", entry->what, "limit", limit, NULL);
  return err;
}

/* The thread is given up, as long as that many may be. */
static void write_off(Entry *entry)
{
  Lanes *lanes = entry->host->lanes;
  entry->state = ENTRY_WRITTEN_OFF;
  entry->holds_slot = entry->host->written_off >= lanes->config.written_off_max;
  if (entry->holds_slot)
    return;
  entry->host->written_off++;
  lanes->written_off++;
  lanes->threads--;
  lanes->running--;
  if (entry->lane)
    entry->lane->running--;
}

static void job_expired(Entry *entry, const GError *why)
{
  Lane *lane = entry->lane;
  if (lane->line == entry->line)
    lane_hang_up(lane);
  entry_tell(entry, LANE_EXPIRED_RUNNING, why);
  if (lane->kind != LANE_AGENT)
    host_failed(entry->host, why);
}

void entry_expire(void *data)
{
  Entry *entry = data;
  g_autoptr(GError) why = timeout_error(entry);
  if (entry->state == ENTRY_WAITING) {
    entry_drop(entry, LANE_EXPIRED_WAITING, why);
    return;
  }
  write_off(entry);
  if (entry->kind->is_job)
    job_expired(entry, why);
  else if (entry->kind == &entry_open)
    open_expired(entry, why);
  else if (entry->kind == &entry_watch)
    watch_expired(entry, why);
  if (entry->lane)
    lane_kick(entry->lane);
}

/* ── workers ────────────────────────────────────────────────────────────── */

/* run() has returned, in time or not. */
static void finish(Lanes *lanes, Entry *entry, bool ok, GError *err)
{
  bool written_off = entry->state == ENTRY_WRITTEN_OFF;
  g_queue_unlink(&lanes->busy, &entry->node);
  due_clear(lanes, &entry->due);
  if (written_off && !entry->holds_slot) {
    entry->host->written_off--;
    lanes->written_off--;
    lanes->threads++;
  } else {
    lanes->running--;
    if (entry->lane)
      entry->lane->running--;
  }
  entry->kind->finish(entry, ok, err);
  entry->state = ENTRY_OVER;
  entry->returned = true;
  turn_pass(entry);
  if (entry->line)
    line_unref(entry->line);
  Lane *lane = entry->host->gone ? NULL : entry->lane;
  if (lane)
    lane_kick(lane);
  entry_free(entry);
  pthread_cond_broadcast(&lanes->quiet);
}

/* false: there was nothing to do for so long that the thread can go. */
static bool wait_for_work(Lanes *lanes)
{
  int64_t until_us = g_get_monotonic_time() + lanes->config.idle_us;
  bool in_time = true;
  lanes->idle++;
  while (in_time && !lanes->woken && !lanes->stopped && !work_waits(lanes))
    in_time = wait_until(&lanes->work, &lanes->lock, until_us);
  lanes->idle--;
  lanes->woken -= lanes->woken > 0;
  return in_time || work_waits(lanes);
}

static void *worker_main(void *data)
{
  Lanes *lanes = data;
  pthread_setname_np(pthread_self(), "lane");
  memory_one_by_one();
  pthread_mutex_lock(&lanes->lock);
  for (;;) {
    Entry *entry = take(lanes);
    if (!entry) {
      outbox_deliver(lanes);
      if (lanes->stopped || (!work_waits(lanes) && !wait_for_work(lanes)))
        break;
      continue;
    }
    GError *err = NULL;
    pthread_mutex_unlock(&lanes->lock);
    bool ok = entry->kind->run(entry, &err);
    pthread_mutex_lock(&lanes->lock);
    finish(lanes, entry, ok, err);
    g_clear_error(&err);
    outbox_deliver(lanes);
  }
  lanes->threads--;
  pthread_cond_broadcast(&lanes->quiet);
  unref_unlock(lanes);
  return NULL;
}

/* ── the timer thread ───────────────────────────────────────────────────── */

static Due *due_next(Lanes *lanes)
{
  GSequenceIter *first = g_sequence_get_begin_iter(lanes->dues);
  return g_sequence_iter_is_end(first) ? NULL : g_sequence_get(first);
}

static void *timer_main(void *data)
{
  Lanes *lanes = data;
  pthread_setname_np(pthread_self(), "lane-timer");
  pthread_mutex_lock(&lanes->lock);
  while (!lanes->stopped) {
    Due *due = due_next(lanes);
    if (due && due->at_us <= g_get_monotonic_time()) {
      due_clear(lanes, due);
      due->fire(due->owner);
    } else if (lanes->wanted) {
      worker_make(lanes);
    } else if (lanes->outbox.length && !lanes->delivering) {
      outbox_deliver(lanes);
    } else if (due) {
      wait_until(&lanes->time, &lanes->lock, due->at_us);
    } else {
      pthread_cond_wait(&lanes->time, &lanes->lock);
    }
  }
  pthread_mutex_unlock(&lanes->lock);
  return NULL;
}

/* ── begin and end ──────────────────────────────────────────────────────── */

Lanes *lanes_new(const LanesConfig *config, LaneSink sink)
{
  Lanes *lanes = g_new0(Lanes, 1);
  pthread_mutex_init(&lanes->lock, NULL);
  cond_init(&lanes->work);
  cond_init(&lanes->time);
  cond_init(&lanes->quiet);
  lanes->refs = 1;
  lanes->config = *config;
  lanes->controller = g_strdup(config->controller);
  lanes->sink = sink;
  lanes->hosts = g_hash_table_new(g_str_hash, g_str_equal);
  lanes->dues = g_sequence_new(NULL);
  lanes->starving = (Due){ .fire = starve_fire, .owner = lanes };
  g_assert(!pthread_create(&lanes->timer, NULL, timer_main, lanes));
  return lanes;
}

static void hosts_remove_all(Lanes *lanes)
{
  g_autoptr(GList) names = g_hash_table_get_keys(lanes->hosts);
  g_autoptr(GPtrArray) copies = g_ptr_array_new_with_free_func(g_free);
  for (GList *name = names; name; name = name->next)
    g_ptr_array_add(copies, g_strdup(name->data));
  for (guint i = 0; i < copies->len; i++)
    lanes_del_host(lanes, copies->pdata[i]);
}

static void expire_busy(Lanes *lanes)
{
  for (GList *node = lanes->busy.head; node; node = node->next) {
    Entry *entry = node->data;
    if (entry->state == ENTRY_RUNNING)
      entry_expire(entry);
  }
}

void lanes_free(Lanes *lanes, int64_t timeout_us)
{
  if (!lanes)
    return;
  int64_t until_us = g_get_monotonic_time() + timeout_us;
  pthread_mutex_lock(&lanes->lock);
  lanes->stopping = true;
  pthread_mutex_unlock(&lanes->lock);
  hosts_remove_all(lanes);
  pthread_mutex_lock(&lanes->lock);
  while ((lanes->busy.length || lanes->chores.length) && g_get_monotonic_time() < until_us)
    wait_until(&lanes->quiet, &lanes->lock, until_us);
  expire_busy(lanes);
  outbox_deliver(lanes);
  while (lanes->outbox.length || lanes->delivering)
    pthread_cond_wait(&lanes->quiet, &lanes->lock);
  lanes->stopped = true;
  pthread_cond_broadcast(&lanes->work);
  pthread_cond_signal(&lanes->time);
  pthread_mutex_unlock(&lanes->lock);
  pthread_join(lanes->timer, NULL);
  pthread_mutex_lock(&lanes->lock);
  while (lanes->threads > lanes->running)
    pthread_cond_wait(&lanes->quiet, &lanes->lock);
  unref_unlock(lanes);
}

#include <string.h>

#include "core/log.h"
#include "drivers/runtime/lanes.h"
#include "drivers/runtime/runtime_parts.h"
#include "drivers/runtime/steps.h"

enum {
  FILE_WORKERS = 4, LOOK_AGAIN_MS = 250, LISTEN_AGAIN_MS = 1000, LOOK_S = 10, SERIAL_LOOKS = 6, STOP_WAIT_US = 2000000, MARGIN_US = 500000,
  DEVICES_SETTLE_MS = 300
};

struct Dispatch {
  Runtime *runtime;
  StepOptions steps;
  int64_t poll_us, look_us;
  Lanes *lanes;             /* NULL until started */
  GPtrArray *early;         /* of Host *: known before that */
  GThreadPool *files;
  GCancellable *stop;
  GMainContext *context;    /* for looking again */
  GMainLoop *loop;
  GThread *looker;
  GMutex lock;
  GHashTable *again;        /* Jobs that wait to look again; under lock */
  GHashTable *looks;        /* task → Job that looks whether its guest is ready, the newest one; under lock */
  GHashTable *devices;      /* host → GSource: its devices changed, and it is told when they have settled; under lock */
};

/* One order under way. Owned by who handles it: the lanes until it is done, then looked at by done. */
typedef struct {
  Dispatch *dispatch;
  StepOrder *order;
  StepRun run;
  int64_t end_us;           /* of the step, monotonic */
  char *serial;             /* UUID of the domain for whose line on the serial console it waits, or NULL */
  GSource *timer;
  bool over;                /* its task has gone on without it: it looks no more; under lock */
  gint refs;                /* the lane's, and its completion's */
} Job;

/* ── looks: one a task ────────────────────────────────────────────────────── */

static bool is_look(const StepOrder *order) { return order && order->kind == STEP_READY && order->task; }

/* Sees to it that it looks no more; lock held. */
static void look_end(Job *job)
{
  job->over = true;
  if (g_hash_table_contains(job->dispatch->again, job))
    g_source_set_ready_time(job->timer, 0);
}

/* Instead of any that looked for the same task; lock held. */
static void look_note(Job *job)
{
  Job *before = is_look(job->order) ? g_hash_table_lookup(job->dispatch->looks, job->order->task) : NULL;
  if (before)
    look_end(before);
  if (is_look(job->order))
    g_hash_table_replace(job->dispatch->looks, g_strdup(job->order->task), job);
}

/* Before it may be freed: a call that hangs outlives the dispatcher. */
static void look_forget(Job *job)
{
  Dispatch *d = job->dispatch;
  g_mutex_lock(&d->lock);
  if (is_look(job->order) && g_hash_table_lookup(d->looks, job->order->task) == job)
    g_hash_table_remove(d->looks, job->order->task);
  g_mutex_unlock(&d->lock);
}

/* A task that was cancelled, dropped, or is at another step or try needs no more looks. */
static void look_judge(Dispatch *d, const Change *change)
{
  const Task *task = (const Task *)change->object;
  g_mutex_lock(&d->lock);
  Job *job = g_hash_table_lookup(d->looks, task->head.name);
  bool goes_on = job && change->how == CHANGE_PUT && task->state == TASK_RUNNING && !task->undoing &&
                 task->step_index == job->order->index && task->attempt == job->order->attempt;
  if (job && !goes_on)
    look_end(job);
  g_mutex_unlock(&d->lock);
}

static void job_unref(void *data)
{
  Job *job = data;
  if (!g_atomic_int_dec_and_test(&job->refs))
    return;
  step_result_free(job->run.result);
  step_order_free(job->order);
  g_object_unref(job->run.cancel);
  g_free(job->serial);
  g_free(job);
}

/* ── on lanes ─────────────────────────────────────────────────────────────── */

static bool lane_run(Hypervisor *hypervisor, void *data, GError **err)
{
  Job *job = data;
  StepRun *run = &job->run;
  run->hypervisor = hypervisor;
  step_run(run);
  if (!run->result->error)
    return true;
  g_propagate_error(err, g_error_copy(run->result->error)); /* so that the breaker hears of it */
  return false;
}

static void job_submit(Job *job);

static gboolean look_again(void *data)
{
  Job *job = data;
  Dispatch *d = job->dispatch;
  g_mutex_lock(&d->lock);
  g_hash_table_remove(d->again, job);
  bool over = job->over;
  g_mutex_unlock(&d->lock);
  g_clear_pointer(&job->timer, g_source_unref);
  if (over)
    look_forget(job);
  else
    job_submit(job);
  job_unref(job);
  return G_SOURCE_REMOVE;
}

static Job *job_new(Dispatch *d, StepOrder *take_order, int64_t end_us)
{
  Job *job = g_new0(Job, 1);
  job->dispatch = d;
  job->order = take_order;
  job->end_us = end_us;
  job->refs = 1;
  job->run = (StepRun){ .order = take_order, .result = step_result_new(take_order), .options = &d->steps, .cancel = g_object_ref(d->stop) };
  return job;
}

/* The guest is not there yet: another look, as a job of its own, while there is time. */
static bool job_again(Job *old)
{
  if (!old->run.not_yet || g_get_monotonic_time() + MARGIN_US > old->end_us)
    return false;
  Dispatch *d = old->dispatch;
  g_mutex_lock(&d->lock);
  bool over = old->over;
  Job *job = over ? NULL : job_new(d, g_steal_pointer(&old->order), old->end_us);
  if (job) {
    old->run.order = NULL;
    job->serial = g_steal_pointer(&old->serial);
    job->timer = g_timeout_source_new(job->serial ? LISTEN_AGAIN_MS : LOOK_AGAIN_MS);
    g_source_set_callback(job->timer, look_again, job, NULL);
    g_hash_table_add(d->again, job);
    if (is_look(job->order))
      g_hash_table_replace(d->looks, g_strdup(job->order->task), job);
    g_source_attach(job->timer, d->context);
  }
  g_mutex_unlock(&d->lock);
  return job;
}

/* A guest said something: whoever waits for its line looks at once. What is said between a look and the wait is found by the next one. */
static void guest_spoke(Dispatch *d, const char *uuid)
{
  GHashTableIter i;
  void *key;
  g_mutex_lock(&d->lock);
  g_hash_table_iter_init(&i, d->again);
  while (g_hash_table_iter_next(&i, &key, NULL)) {
    const Job *job = key;
    if (!g_strcmp0(job->serial, uuid))
      g_source_set_ready_time(job->timer, 0);
  }
  g_mutex_unlock(&d->lock);
}

static void lane_done(void *data, LaneEnd end, const GError *err)
{
  Job *job = data;
  switch (end) {
  case LANE_RAN:
    if (job_again(job))
      return;
    look_forget(job);
    runtime_push_result(job->dispatch->runtime, g_steal_pointer(&job->run.result));
    return;
  case LANE_EXPIRED_WAITING: /* nobody has looked yet: the host was busy with others, which is not this guest's fault */
    job->run.not_yet = job->order->kind == STEP_READY;
    if (job_again(job))
      return;
    G_GNUC_FALLTHROUGH;
  case LANE_EXPIRED_RUNNING:
  case LANE_REFUSED: {
    /* run() may still write into the job: only what was there before may be read */
    look_forget(job);
    StepResult *result = step_result_new(job->order);
    result->error = g_error_copy(err);
    runtime_push_result(job->dispatch->runtime, result);
    return;
  }
  case LANE_CANCELLED:
    look_forget(job);
    return;
  case N_LANE_ENDS:
    return;
  }
}

/* What keeps its order: the calls of a domain, and those for a part that was a desktop's with that desktop's. */
static char *order_key(const StepOrder *order)
{
  const Vgpu *part = order->kind == STEP_GPU_REAP ? order->vgpus->pdata[0] : NULL;
  const char *desktop = order->desktop ? order->desktop->head.name : part ? part->desktop : NULL;
  if (desktop)
    return desktop_domain_uuid(order->controller, desktop);
  return g_strdup(order->domain ? order->domain : step_rows[order->kind].name);
}

/* A guest that hangs may not keep the few threads for agents. A line is listened to by a call like any other: a host that is busy with
 * starts takes as long for it. */
static int64_t look_longest_us(const Job *job)
{
  return job->serial ? SERIAL_LOOKS * job->dispatch->look_us : job->dispatch->look_us;
}

/* Not once the dispatcher ends: a call that nobody waits for any more outlives it. */
static void job_progress(int pct, void *data)
{
  Job *job = data;
  if (g_cancellable_is_cancelled(job->run.cancel))
    return;
  StepResult *result = step_result_new(job->order);
  result->progress_only = true;
  result->progress_pct = pct;
  runtime_push_result(job->dispatch->runtime, result);
}

static void job_submit(Job *job)
{
  const StepOrder *order = job->order;
  bool waits = order->kind == STEP_POWER && order->verb == VERB_SHUTDOWN;
  bool agent = (step_rows[order->kind].place == ON_AGENT && !job->serial) || waits;
  g_autofree char *uuid = order_key(order);
  g_autofree char *what = g_strdup_printf("%s of %s", step_rows[order->kind].name, order->desktop ? order->desktop->head.name : uuid);
  int64_t now = g_get_monotonic_time();
  int64_t longest = order->kind == STEP_READY ? look_longest_us(job) : INT64_MAX;
  int64_t timeout = MAX(MIN(job->end_us - now, longest), MARGIN_US);
  job->run.deadline_us = now + timeout;
  job->run.progress = order->kind == STEP_MIGRATE ? job_progress : NULL;
  job->run.progress_data = job;
  g_atomic_int_inc(&job->refs);
  LaneJob lane_job = { .kind = agent ? LANE_AGENT : LANE_CALL, .what = what, .key = uuid, .timeout_us = timeout,
                       .run = lane_run, .done = lane_done, .job = job, .free = job_unref };
  lanes_submit(job->dispatch->lanes, order->host->head.name, &lane_job);
}

/* ── on files ─────────────────────────────────────────────────────────────── */

static void file_run(void *data, void *dispatch)
{
  Job *job = data;
  job->run.deadline_us = job->end_us;
  job->run.progress = job_progress;
  job->run.progress_data = job;
  step_run(&job->run);
  if (!g_cancellable_is_cancelled(job->run.cancel))
    runtime_push_result(job->dispatch->runtime, g_steal_pointer(&job->run.result));
  job_unref(job);
}

void dispatch_order(Dispatch *d, StepOrder *take_order)
{
  Job *job = job_new(d, take_order, g_get_monotonic_time() + take_order->timeout_us);
  if (step_rows[take_order->kind].place == ON_FILES) {
    g_thread_pool_push(d->files, job, NULL);
    return;
  }
  g_mutex_lock(&d->lock);
  look_note(job);
  g_mutex_unlock(&d->lock);
  if (step_listens(take_order))
    job->serial = desktop_domain_uuid(take_order->controller, take_order->desktop->head.name);
  if (take_order->host) {
    job_submit(job);
  } else {
    look_forget(job);
    error_set(&job->run.result->error, REASON_NOT_FOUND, "kind", "host", "name", "", NULL);
    runtime_push_result(d->runtime, g_steal_pointer(&job->run.result));
  }
  job_unref(job);
}

/* ── observations ─────────────────────────────────────────────────────────── */

static void add_domain(Observation *o, const LaneObservation *look, const DomainFacts *facts)
{
  DomainSeen *seen = observation_add_domain(o, facts->uuid);
  seen->desktop = g_strdup(facts->owner.desktop);
  seen->ours = facts->owner.ours;
  seen->transient = facts->transient;
  seen->clone = facts->owner.generation;
  seen->parts = g_strdupv(facts->hostdevs);
  seen->looked_us = g_get_real_time() - (g_get_monotonic_time() - look->began_us);
  if (!power_state_parse(domain_state_name(facts->state), &seen->power))
    seen->power = POWER_UNKNOWN;
}

static const char *virt_type_of(const Dispatch *d, const HostFacts *facts)
{
  static const VirtType best_first[] = { VIRT_XEN, VIRT_KVM, VIRT_QEMU, VIRT_TEST };
  for (size_t i = 0; i < G_N_ELEMENTS(best_first); i++)
    if (facts->virt_types & (1u << best_first[i]) && !(best_first[i] == VIRT_KVM && d->steps.never_kvm))
      return virt_type_name(best_first[i]);
  return NULL;
}

static Observation *host_observation(const Dispatch *d, const LaneObservation *seen)
{
  Observation *o = observation_new(SAW_HOST, seen->host);
  o->hostname = g_strdup(seen->facts.hostname);
  o->uuid = g_strdup(seen->facts.uuid);
  o->virt_type = g_strdup(virt_type_of(d, &seen->facts));
  o->hypervisor = g_strdup(seen->facts.hypervisor);
  o->cpus = seen->facts.cpus;
  o->memory_mib = seen->facts.memory_mib;
  o->page_kib = seen->facts.page_kib;
  o->huge_mib = seen->facts.huge_mib;
  o->cells = g_strdup(seen->facts.cells);
  o->cpu_model = g_strdup(seen->facts.cpu_model);
  o->cpu_features = g_strdup(seen->facts.cpu_features);
  return o;
}

static Observation *state_observation(const LaneObservation *seen)
{
  if (seen->state.breaker == BREAKER_CLOSED || !seen->state.error)
    return NULL;
  Observation *o = observation_new(SAW_SILENT, seen->host);
  o->error = g_error_copy(seen->state.error);
  return o;
}

static Observation *observation_of(const Dispatch *d, const LaneObservation *seen)
{
  Observation *o = NULL;
  switch (seen->kind) {
  case LANE_SAW_HOST:
    return host_observation(d, seen);
  case LANE_SAW_DOMAINS:
    o = observation_new(SAW_DOMAINS, seen->host);
    for (guint i = 0; i < seen->domains->len; i++)
      add_domain(o, seen, seen->domains->pdata[i]);
    return o;
  case LANE_SAW_DOMAIN:
    o = observation_new(SAW_DOMAIN, seen->host);
    add_domain(o, seen, seen->domain);
    return o;
  case LANE_SAW_NO_DOMAIN:
    o = observation_new(SAW_NO_DOMAIN, seen->host);
    g_strlcpy(o->gone, seen->uuid, sizeof o->gone);
    return o;
  case LANE_SAW_STATE:
    return state_observation(seen);
  case LANE_SAW_LATE:
    log_warning("host", "a call that was given up has come back", "host", seen->host, "call", seen->late);
    return NULL;
  case LANE_SAW_SERIAL:
  case LANE_SAW_DEVICES:
  case N_LANE_OBSERVATIONS:
    return NULL;
  }
  return NULL;
}

typedef struct {
  Dispatch *dispatch;
  char host[];
} DevicesChanged;

static gboolean devices_settled(void *data)
{
  const DevicesChanged *changed = data;
  Dispatch *d = changed->dispatch;
  Observation *o = observation_new(SAW_DEVICES, changed->host);
  g_mutex_lock(&d->lock);
  g_hash_table_remove(d->devices, changed->host);
  g_mutex_unlock(&d->lock);
  runtime_push_observation(d->runtime, o);
  return G_SOURCE_REMOVE;
}

/* A card with its functions is a burst of announcements, and one is enough: it comes after the first, and whatever follows it begins another. */
static void devices_changed(Dispatch *d, const char *host)
{
  g_mutex_lock(&d->lock);
  if (!g_hash_table_contains(d->devices, host)) {
    DevicesChanged *changed = g_malloc(sizeof *changed + strlen(host) + 1);
    changed->dispatch = d;
    memcpy(changed->host, host, strlen(host) + 1);
    GSource *timer = g_timeout_source_new(DEVICES_SETTLE_MS);
    g_source_set_callback(timer, devices_settled, changed, g_free);
    g_hash_table_insert(d->devices, g_strdup(host), timer);
    g_source_attach(timer, d->context);
  }
  g_mutex_unlock(&d->lock);
}

static void observe(void *owner, LaneObservation *observation)
{
  g_autoptr(LaneObservation) seen = observation;
  Dispatch *d = owner;
  if (seen->kind == LANE_SAW_SERIAL)
    guest_spoke(d, seen->uuid);
  if (seen->kind == LANE_SAW_DEVICES)
    devices_changed(d, seen->host);
  Observation *o = observation_of(d, seen);
  if (o)
    runtime_push_observation(d->runtime, o);
}

/* ── hosts ────────────────────────────────────────────────────────────────── */

/* Lanes tell changes alone, and for one they know nothing has changed: but what they told before may not have been kept. */
static void host_put(Dispatch *d, const Host *h)
{
  LaneHost host = { h->head.name, h->uri, d->steps.allow_plain_tcp };
  g_autoptr(GError) err = NULL;
  if (lanes_put_host(d->lanes, &host, &err)) {
    lanes_look(d->lanes, h->head.name, NULL);
    return;
  }
  Observation *o = observation_new(SAW_SILENT, h->head.name);
  o->error = g_steal_pointer(&err);
  runtime_push_observation(d->runtime, o);
}

void dispatch_replace(Dispatch *d, GPtrArray *objects)
{
  for (guint i = 0; i < objects->len; i++) {
    Object *object = objects->pdata[i];
    if (object->noun != NOUN_HOST)
      continue;
    if (d->lanes) {
      host_put(d, (Host *)object);
      continue;
    }
    object_ref(&schemas[NOUN_HOST], object);
    g_ptr_array_add(d->early, object);
  }
}

void dispatch_apply(Dispatch *d, const Batch *batch)
{
  for (guint i = 0; i < batch->changes->len; i++) {
    const Change *c = &g_array_index(batch->changes, Change, i);
    if (c->noun == NOUN_TASK)
      look_judge(d, c);
    else if (c->noun == NOUN_HOST && c->how == CHANGE_DELETE)
      lanes_del_host(d->lanes, c->object->name);
    else if (c->noun == NOUN_HOST && ((Host *)c->object)->state == HOST_ENROLLING)
      host_put(d, (Host *)c->object);
  }
}

/* ── opening and closing ──────────────────────────────────────────────────── */

static void host_drop(void *host)
{
  object_unref(&schemas[NOUN_HOST], host);
}

static void timer_end(void *timer)
{
  g_source_destroy(timer);
  g_source_unref(timer);
}

static void *looker_main(void *data)
{
  Dispatch *d = data;
  g_main_context_push_thread_default(d->context);
  g_main_loop_run(d->loop);
  g_main_context_pop_thread_default(d->context);
  return NULL;
}

Dispatch *dispatch_new(Runtime *runtime, const DispatchOptions *options)
{
  Dispatch *d = g_new0(Dispatch, 1);
  d->runtime = runtime;
  d->steps = (StepOptions){ options->allow_plain_tcp, options->never_kvm, step_memo_new(), options->ground, options->guest_networks };
  d->poll_us = options->poll_us;
  d->look_us = options->look_us ? options->look_us : LOOK_S * G_USEC_PER_SEC;
  d->early = g_ptr_array_new_with_free_func(host_drop);
  d->files = g_thread_pool_new(file_run, d, FILE_WORKERS, FALSE, NULL);
  d->stop = g_cancellable_new();
  d->context = g_main_context_new();
  d->loop = g_main_loop_new(d->context, FALSE);
  d->again = g_hash_table_new(NULL, NULL);
  d->looks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  d->devices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, timer_end);
  g_mutex_init(&d->lock);
  d->looker = g_thread_new("looker", looker_main, d);
  return d;
}

void dispatch_start(Dispatch *d, const char *controller)
{
  LanesConfig config = lanes_config_default();
  config.controller = controller;
  /* a daemon that hangs is told within 40 s: keepalive cuts the connection after 20, one try to open another fails after 10 */
  config.failures = 2;
  config.open_timeout_us = 10 * G_USEC_PER_SEC;
  if (d->poll_us)
    config.poll_us = d->poll_us;
  d->lanes = lanes_new(&config, (LaneSink){ observe, d });
  for (guint i = 0; i < d->early->len; i++)
    host_put(d, d->early->pdata[i]);
  g_ptr_array_set_size(d->early, 0);
}

static gboolean quit(void *loop)
{
  g_main_loop_quit(loop);
  return G_SOURCE_REMOVE;
}

static void drop_waiting(Dispatch *d)
{
  GHashTableIter i;
  void *key;
  g_hash_table_iter_init(&i, d->again);
  while (g_hash_table_iter_next(&i, &key, NULL)) {
    Job *job = key;
    g_source_destroy(job->timer);
    g_clear_pointer(&job->timer, g_source_unref);
    job_unref(job);
  }
  g_hash_table_unref(d->again);
}

void dispatch_free(Dispatch *d)
{
  if (!d)
    return;
  g_cancellable_cancel(d->stop);
  g_autoptr(GSource) end = g_idle_source_new(); /* by the loop itself: it may not run yet */
  g_source_set_callback(end, quit, d->loop, NULL);
  g_source_attach(end, d->context);
  g_thread_join(d->looker);
  g_thread_pool_free(d->files, FALSE, TRUE);
  if (d->lanes)
    lanes_free(d->lanes, STOP_WAIT_US);
  drop_waiting(d);
  g_hash_table_unref(d->looks);
  g_hash_table_unref(d->devices);
  step_memo_free(d->steps.memo);
  g_main_loop_unref(d->loop);
  g_main_context_unref(d->context);
  g_object_unref(d->stop);
  g_ptr_array_unref(d->early);
  g_mutex_clear(&d->lock);
  g_free(d);
}

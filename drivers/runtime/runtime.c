#include "drivers/runtime/runtime.h"

#include "core/brain.h"
#include "core/log.h"
#include "drivers/runtime/runtime_parts.h"
#include "drivers/runtime/told.h"

/* ── messages to the brain ────────────────────────────────────────────────── */

typedef enum { MESSAGE_REQUEST, MESSAGE_RESULT, MESSAGE_OBSERVATION, MESSAGE_TOKEN_USED, MESSAGE_FAILED, MESSAGE_STOP } MessageKind;

/* Who waits for an answer. */
typedef struct {
  RuntimeAnswerFn fn;
  void *data;
} Waiter;

typedef struct {
  MessageKind kind;
  Request *request;
  Waiter *waiter;
  StepResult *result;
  Observation *observation;
  char *token;
} Message;

/* What the brain decided, on its way through the committer. era: of the brain that decided it. */
typedef struct {
  Output output;
  int era;
  bool stop;
} Decision;

struct Runtime {
  RuntimeOptions options;
  Store *store;
  Published *published;
  Dispatch *dispatch;
  GAsyncQueue *inbox, *decisions;
  GThread *brain_thread, *commit_thread;
  gint waiting;              /* requests in the inbox or the brain; atomic */
  gint era;                  /* +1 when a commit failed: what older brains decided is void; atomic */
  GMutex lock;
  GError *down;              /* why the store takes nothing; under lock */
  GError *failure;           /* of the last commit; under lock. It outlasts down: a store that can be read again may still be full */
  GHashTable *waiters;       /* of requests that the brain has: under lock, for the day it is dropped */
  int64_t wall_us, boot_us;  /* the two clocks at start */
};

enum { MESSAGES_AT_ONCE = 256, DECISIONS_AT_ONCE = 512, RELOAD_PAUSE_US = 1000000 };

static int64_t boot_now_us(void)
{
  struct timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return t.tv_sec * G_USEC_PER_SEC + t.tv_nsec / 1000;
}

int64_t runtime_now_us(Runtime *rt) { return rt->wall_us + (boot_now_us() - rt->boot_us); }
Published *runtime_published(Runtime *rt) { return rt->published; }
Store *runtime_store(Runtime *rt) { return rt->store; }

GError *runtime_store_failure(Runtime *rt)
{
  g_mutex_lock(&rt->lock);
  GError *failure = rt->failure ? g_error_copy(rt->failure) : NULL;
  g_mutex_unlock(&rt->lock);
  return failure;
}

static void message_free(Message *m)
{
  request_free(m->request);
  step_result_free(m->result);
  observation_free(m->observation);
  g_free(m->token);
  g_free(m);
}

/* ── answers ──────────────────────────────────────────────────────────────── */

static void waiter_answer(Runtime *rt, Waiter *waiter, Answer *take_answer)
{
  g_mutex_lock(&rt->lock);
  bool known = g_hash_table_remove(rt->waiters, waiter);
  g_mutex_unlock(&rt->lock);
  if (!known) {
    answer_free(take_answer);
    return;
  }
  g_atomic_int_add(&rt->waiting, -1);
  waiter->fn(take_answer, waiter->data);
  g_free(waiter);
}

static Answer *answer_stopping(void)
{
  GError *err = NULL;
  error_set(&err, REASON_STOPPING, NULL);
  return answer_new_error(err);
}

/* Everyone who waits for the brain that is being dropped. */
static void waiters_refuse(Runtime *rt)
{
  g_mutex_lock(&rt->lock);
  GList *all = g_hash_table_get_keys(rt->waiters);
  GError *down = rt->down ? g_error_copy(rt->down) : NULL;
  g_mutex_unlock(&rt->lock);
  for (GList *i = all; i; i = i->next)
    waiter_answer(rt, i->data, down ? answer_new_error(g_error_copy(down)) : answer_stopping());
  g_list_free(all);
  g_clear_error(&down);
}

void runtime_submit(Runtime *rt, Request *take_request, RuntimeAnswerFn answer, void *data)
{
  GError *err = NULL;
  g_mutex_lock(&rt->lock);
  if (rt->down) {
    err = g_error_copy(rt->down);
  } else if (g_atomic_int_get(&rt->waiting) >= rt->options.requests_max) {
    g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT, rt->options.requests_max);
    error_set(&err, REASON_OVERLOADED, "limit", limit, NULL);
  }
  Waiter *waiter = NULL;
  if (!err) {
    waiter = g_new(Waiter, 1);
    *waiter = (Waiter){ answer, data };
    g_hash_table_add(rt->waiters, waiter);
    g_atomic_int_inc(&rt->waiting);
  }
  g_mutex_unlock(&rt->lock);
  if (err) {
    request_free(take_request);
    answer(answer_new_error(err), data);
    return;
  }
  Message *m = g_new0(Message, 1);
  *m = (Message){ .kind = MESSAGE_REQUEST, .request = take_request, .waiter = waiter };
  g_async_queue_push(rt->inbox, m);
}

void runtime_push_result(Runtime *rt, StepResult *take_result)
{
  Message *m = g_new0(Message, 1);
  *m = (Message){ .kind = MESSAGE_RESULT, .result = take_result };
  g_async_queue_push(rt->inbox, m);
}

void runtime_push_observation(Runtime *rt, Observation *take_observation)
{
  Message *m = g_new0(Message, 1);
  *m = (Message){ .kind = MESSAGE_OBSERVATION, .observation = take_observation };
  g_async_queue_push(rt->inbox, m);
}

void runtime_token_used(Runtime *rt, const char *token)
{
  Message *m = g_new0(Message, 1);
  *m = (Message){ .kind = MESSAGE_TOKEN_USED, .token = g_strdup(token) };
  g_async_queue_push(rt->inbox, m);
}

/* ── the committer ────────────────────────────────────────────────────────── */

static void decision_refuse(Runtime *rt, Decision *d, const GError *err)
{
  for (guint i = 0; i < d->output.replies->len; i++) {
    Reply *reply = &g_array_index(d->output.replies, Reply, i);
    waiter_answer(rt, reply->reply, err ? answer_new_error(g_error_copy(err)) : answer_stopping());
  }
}

static void decision_release(Runtime *rt, Decision *d)
{
  if (d->output.batch) {
    published_apply(rt->published, d->output.batch);
    dispatch_apply(rt->dispatch, d->output.batch);
    told_log(d->output.batch);
  }
  if (d->output.seen)
    published_see(rt->published, d->output.seen);
  for (guint i = 0; d->output.notices && i < d->output.notices->len; i++)
    told_notice(d->output.notices->pdata[i]);
  for (guint i = 0; i < d->output.replies->len; i++) {
    Reply *reply = &g_array_index(d->output.replies, Reply, i);
    waiter_answer(rt, reply->reply, g_steal_pointer(&reply->answer));
  }
  for (guint i = 0; i < d->output.orders->len; i++) {
    ((StepOrder *)d->output.orders->pdata[i])->era = d->era;
    dispatch_order(rt->dispatch, d->output.orders->pdata[i]);
  }
  g_ptr_array_set_size(d->output.orders, 0);
}

static void decision_free(Decision *d)
{
  output_clear(&d->output);
  g_free(d);
}

/* The store said no: nothing that any brain of this era decided holds. */
static void commit_failed(Runtime *rt, GError *take_err)
{
  log_error("store", "a commit failed; deciding stops until the store is loaded again", "error", take_err->message);
  g_mutex_lock(&rt->lock);
  g_clear_error(&rt->down);
  rt->down = take_err;
  g_clear_error(&rt->failure);
  rt->failure = g_error_copy(take_err);
  g_mutex_unlock(&rt->lock);
  g_atomic_int_inc(&rt->era);
  Message *m = g_new0(Message, 1);
  m->kind = MESSAGE_FAILED;
  g_async_queue_push_front(rt->inbox, m);
}

static void commit_worked(Runtime *rt)
{
  g_mutex_lock(&rt->lock);
  g_clear_error(&rt->failure);
  g_mutex_unlock(&rt->lock);
}

/* One commit for everything that waits. */
static void commit(Runtime *rt, GPtrArray *decisions)
{
  g_autoptr(GPtrArray) batches = g_ptr_array_new();
  for (guint i = 0; i < decisions->len; i++) {
    Decision *d = decisions->pdata[i];
    if (d->output.batch && d->era == g_atomic_int_get(&rt->era))
      g_ptr_array_add(batches, d->output.batch);
  }
  g_autoptr(GError) err = NULL;
  bool ok = !batches->len || rt->store->driver->apply(rt->store, (const Batch *const *)batches->pdata, batches->len, 0, &err);
  if (ok && batches->len)
    commit_worked(rt);
  int era = g_atomic_int_get(&rt->era);
  for (guint i = 0; i < decisions->len; i++) {
    Decision *d = decisions->pdata[i];
    if (ok && d->era == era)
      decision_release(rt, d);
    else
      decision_refuse(rt, d, err);
    decision_free(d);
  }
  if (!ok)
    commit_failed(rt, g_steal_pointer(&err));
}

static void *commit_main(void *data)
{
  Runtime *rt = data;
  for (bool stop = false; !stop;) {
    g_autoptr(GPtrArray) decisions = g_ptr_array_new();
    for (Decision *d = g_async_queue_pop(rt->decisions); d; d = g_async_queue_try_pop(rt->decisions)) {
      stop = stop || d->stop;
      if (d->stop)
        g_free(d);
      else
        g_ptr_array_add(decisions, d);
      if (decisions->len >= DECISIONS_AT_ONCE || stop)
        break;
    }
    commit(rt, decisions);
  }
  return NULL;
}

/* ── the brain's thread ───────────────────────────────────────────────────── */

static void random_bytes(void *data, uint8_t *bytes, size_t n)
{
  step_random(bytes, n);
}

static int64_t last_event(Store *store)
{
  StoreReader *reader = store->driver->reader_open(store, NULL);
  if (!reader)
    return 0;
  g_autoptr(GPtrArray) events = store->driver->history(reader, NOUN_EVENT, NULL, 1, NULL);
  int64_t number = events && events->len ? ((Event *)events->pdata[0])->number : 0;
  store->driver->reader_close(reader);
  return number;
}

static void collect(Object *take_object, void *array)
{
  g_ptr_array_add(array, take_object);
}

/* By the controller's own clock: a day of 23 or 25 hours has such minutes as it has. */
static int minute_of_day(int64_t now_us)
{
  time_t seconds = (time_t)(now_us / G_USEC_PER_SEC);
  struct tm here;
  return localtime_r(&seconds, &here) ? 60 * here.tm_hour + here.tm_min : 0;
}

/* A brain of what the store holds; readers see just that. NULL with the store's reason. */
static Brain *brain_from_store(Runtime *rt, GError **err)
{
  g_autoptr(GPtrArray) objects = g_ptr_array_new();
  int64_t sequence;
  bool ok = rt->store->driver->load(rt->store, collect, objects, &sequence, err);
  BrainOptions options = { .random = random_bytes, .minute = minute_of_day, .last_event = last_event(rt->store), .sequence = sequence,
                           .allow_plain_tcp = rt->options.allow_plain_tcp, .page_url = rt->options.page_url,
                           .imports = rt->options.imports, .ground = rt->options.ground, .token_days_max = rt->options.token_days_max,
                           .rate = rt->options.rate, .staff_rate = rt->options.staff_rate };
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    options.keep_us[noun] = rt->options.keep_days[noun] * 86400 * G_USEC_PER_SEC;
  Brain *brain = ok ? brain_new(&options) : NULL;
  for (guint i = 0; i < objects->len; i++) {
    Object *object = objects->pdata[i];
    if (!ok) {
      object_unref(&schemas[object->noun], object);
      continue;
    }
    object_ref(&schemas[object->noun], object);
    brain_load(object, brain);
  }
  if (!ok)
    return NULL;
  dispatch_replace(rt->dispatch, objects);
  published_replace(rt->published, objects, sequence);
  brain_start(brain, runtime_now_us(rt));
  return brain;
}

static void decide(Runtime *rt, Brain *brain, int era, int64_t *ret_wake_us)
{
  Decision *d = g_new0(Decision, 1);
  d->era = era;
  brain_take_output(brain, &d->output);
  *ret_wake_us = d->output.wake_us;
  if (d->output.batch || d->output.seen || d->output.replies->len || d->output.orders->len)
    g_async_queue_push(rt->decisions, d);
  else
    decision_free(d);
}

static Message *inbox_pop(Runtime *rt, int64_t wake_us)
{
  int64_t now = runtime_now_us(rt);
  int64_t wait = wake_us == INT64_MAX ? INT64_C(3600000000) : MAX(wake_us - now, 0);
  return wait ? g_async_queue_timeout_pop(rt->inbox, wait) : g_async_queue_try_pop(rt->inbox);
}

static void brain_take(Runtime *rt, Brain *brain, Message *m)
{
  int64_t now = runtime_now_us(rt);
  if (m->request)
    brain_request(brain, g_steal_pointer(&m->request), m->waiter, now);
  else if (m->result)
    brain_result(brain, g_steal_pointer(&m->result), now);
  else if (m->observation)
    brain_observe(brain, g_steal_pointer(&m->observation), now);
  else if (m->token)
    brain_token_used(brain, m->token, now);
}

/* Decides until it is told to stop (true) or that the store failed (false). */
static bool brain_loop(Runtime *rt, Brain *brain)
{
  int era = g_atomic_int_get(&rt->era);
  int64_t wake_us;
  decide(rt, brain, era, &wake_us);
  for (;;) {
    Message *m = inbox_pop(rt, wake_us);
    for (int n = 0; m; m = ++n < MESSAGES_AT_ONCE ? g_async_queue_try_pop(rt->inbox) : NULL) {
      MessageKind kind = m->kind;
      bool void_result = kind == MESSAGE_RESULT && m->result->era != era; /* the new brain ordered it again, and waits for that */
      if (kind == MESSAGE_REQUEST || (kind == MESSAGE_RESULT && !void_result) || kind == MESSAGE_OBSERVATION || kind == MESSAGE_TOKEN_USED)
        brain_take(rt, brain, m);
      message_free(m);
      if (kind == MESSAGE_STOP)
        decide(rt, brain, era, &wake_us);
      if (kind == MESSAGE_STOP || kind == MESSAGE_FAILED)
        return kind == MESSAGE_STOP;
    }
    brain_tick(brain, runtime_now_us(rt));
    decide(rt, brain, era, &wake_us);
  }
}

/* Drops what came for the brain that is gone. Returns true when told to stop meanwhile. */
static bool inbox_drain(Runtime *rt, int64_t for_us)
{
  for (int64_t end = boot_now_us() + for_us; boot_now_us() < end;) {
    Message *m = g_async_queue_timeout_pop(rt->inbox, MAX(end - boot_now_us(), 1));
    bool stop = m && m->kind == MESSAGE_STOP;
    if (m)
      message_free(m);
    if (stop)
      return true;
  }
  return false;
}

static Brain *brain_again(Runtime *rt)
{
  waiters_refuse(rt);
  for (;;) {
    if (inbox_drain(rt, RELOAD_PAUSE_US))
      return NULL;
    g_autoptr(GError) err = NULL;
    Brain *brain = brain_from_store(rt, &err);
    if (brain) {
      g_mutex_lock(&rt->lock);
      g_clear_error(&rt->down);
      g_mutex_unlock(&rt->lock);
      log_info("store", "loaded again; deciding goes on");
      return brain;
    }
    log_warning("store", "cannot be loaded", "error", err->message);
  }
}

static void *brain_main(void *data)
{
  RuntimeStart *start = data;
  Runtime *rt = start->runtime;
  Brain *brain = start->brain;
  g_free(start);
  while (brain && !brain_loop(rt, brain)) {
    brain_free(brain);
    brain = brain_again(rt);
  }
  brain_free(brain);
  return NULL;
}

/* ── opening and closing ──────────────────────────────────────────────────── */

static Runtime *runtime_alloc(const RuntimeOptions *options)
{
  Runtime *rt = g_new0(Runtime, 1);
  rt->options = *options;
  rt->inbox = g_async_queue_new();
  rt->decisions = g_async_queue_new();
  rt->waiters = g_hash_table_new(NULL, NULL);
  g_mutex_init(&rt->lock);
  rt->boot_us = boot_now_us();
  rt->wall_us = g_get_real_time();
  rt->published = published_new(PUBLISHED_CHANGES);
  return rt;
}

Runtime *runtime_new(const RuntimeOptions *options, GError **err)
{
  Runtime *rt = runtime_alloc(options);
  rt->store = store_open(options->store_uri, err);
  DispatchOptions how = { options->never_kvm, options->allow_plain_tcp, options->poll_us };
  how.ground = options->ground;
  how.guest_networks = options->guest_networks;
  rt->dispatch = rt->store ? dispatch_new(rt, &how) : NULL;
  Brain *brain = rt->store ? brain_from_store(rt, err) : NULL;
  if (!brain) {
    runtime_free(rt);
    return NULL;
  }
  dispatch_start(rt->dispatch, brain_controller(brain));
  RuntimeStart *start = g_new(RuntimeStart, 1);
  *start = (RuntimeStart){ rt, brain };
  rt->commit_thread = g_thread_new("committer", commit_main, rt);
  rt->brain_thread = g_thread_new("brain", brain_main, start);
  return rt;
}

static void join(GThread **thread)
{
  if (*thread)
    g_thread_join(*thread);
  *thread = NULL;
}

void runtime_free(Runtime *rt)
{
  if (!rt)
    return;
  if (rt->brain_thread) {
    Message *m = g_new0(Message, 1);
    m->kind = MESSAGE_STOP;
    g_async_queue_push(rt->inbox, m);
    join(&rt->brain_thread);
    Decision *last = g_new0(Decision, 1);
    last->stop = true;
    g_async_queue_push(rt->decisions, last);
    join(&rt->commit_thread);
  }
  dispatch_free(rt->dispatch);
  waiters_refuse(rt);
  for (Message *m; (m = g_async_queue_try_pop(rt->inbox));)
    message_free(m);
  g_async_queue_unref(rt->inbox);
  g_async_queue_unref(rt->decisions);
  g_hash_table_unref(rt->waiters);
  published_free(rt->published);
  store_close(rt->store);
  g_clear_error(&rt->down);
  g_clear_error(&rt->failure);
  g_mutex_clear(&rt->lock);
  g_free(rt);
}

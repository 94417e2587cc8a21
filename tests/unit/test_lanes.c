/* The lanes, on fake hosts: order, deadlines, hung calls, the breaker, what is observed, and how many threads it all takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "drivers/hypervisor/fake.h"
#include "drivers/hypervisor/knock.h"
#include "drivers/runtime/lanes.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLACK_MS = 300 };
#else
enum { SLACK_MS = 50 };
#endif
enum { WAIT_S = 10, MS = 1000 };

static const char controller[] = "11111111-2222-4333-8444-555555555555";

/* ── a stand: lanes, what they said, and jobs ───────────────────────────── */

typedef struct {
  Lanes *lanes;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  GPtrArray *seen;       /* of LaneObservation */
  GString *story;        /* what jobs did, in order */
  int running, most;     /* jobs at a time */
  bool gate_open;
  int freed;
  GPtrArray *jobs;       /* outlive the lanes */
} Stand;

typedef struct {
  Stand *stand;
  const char *name;
  bool waits_at_gate;
  bool (*call)(Hypervisor *hypervisor, const char *name, GError **err);
  int64_t submitted_us, done_us;
  bool done;
  LaneEnd end;
  GError *err;
} Job;

static void on_observation(void *owner, LaneObservation *observation)
{
  Stand *stand = owner;
  pthread_mutex_lock(&stand->lock);
  g_ptr_array_add(stand->seen, observation);
  pthread_cond_broadcast(&stand->changed);
  pthread_mutex_unlock(&stand->lock);
}

static struct timespec deadline(void)
{
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += WAIT_S;
  return until;
}

/* Waits until the condition holds; the stand's lock is held while it is looked at. */
#define WAIT(stand, condition) \
  do { \
    struct timespec until_ = deadline(); \
    int late_ = 0; \
    pthread_mutex_lock(&(stand)->lock); \
    while (!(condition) && !late_) \
      late_ = pthread_cond_timedwait(&(stand)->changed, &(stand)->lock, &until_); \
    bool holds_ = (condition); \
    pthread_mutex_unlock(&(stand)->lock); \
    if (!holds_) \
      fail_msg("not within %d s: %s", WAIT_S, #condition); \
  } while (0)

static bool job_run(Hypervisor *hypervisor, void *data, GError **err)
{
  Job *job = data;
  Stand *stand = job->stand;
  pthread_mutex_lock(&stand->lock);
  stand->running++;
  stand->most = MAX(stand->most, stand->running);
  g_string_append_printf(stand->story, "%s ", job->name);
  pthread_cond_broadcast(&stand->changed);
  while (job->waits_at_gate && !stand->gate_open)
    pthread_cond_wait(&stand->changed, &stand->lock);
  pthread_mutex_unlock(&stand->lock);
  bool ok = !job->call || job->call(hypervisor, job->name, err);
  pthread_mutex_lock(&stand->lock);
  stand->running--;
  pthread_cond_broadcast(&stand->changed);
  pthread_mutex_unlock(&stand->lock);
  return ok;
}

static void job_done(void *data, LaneEnd end, const GError *err)
{
  Job *job = data;
  pthread_mutex_lock(&job->stand->lock);
  g_assert(!job->done); /* once */
  job->done = true;
  job->end = end;
  job->err = err ? g_error_copy(err) : NULL;
  job->done_us = g_get_monotonic_time();
  pthread_cond_broadcast(&job->stand->changed);
  pthread_mutex_unlock(&job->stand->lock);
}

static void job_free(void *data)
{
  Job *job = data;
  pthread_mutex_lock(&job->stand->lock);
  job->stand->freed++;
  pthread_cond_broadcast(&job->stand->changed);
  pthread_mutex_unlock(&job->stand->lock);
}

static void job_drop(void *data)
{
  Job *job = data;
  g_clear_error(&job->err);
  g_free(job);
}

static Job *job_new(Stand *stand, Job given)
{
  Job *job = g_new(Job, 1);
  *job = given;
  g_ptr_array_add(stand->jobs, job);
  return job;
}

static void submit(Stand *stand, const char *host, Job *job, const char *key, int64_t timeout_us)
{
  LaneJob lane_job = { .kind = LANE_CALL, .what = job->name, .key = key, .timeout_us = timeout_us,
                       .run = job_run, .done = job_done, .job = job, .free = job_free };
  job->stand = stand;
  job->submitted_us = g_get_monotonic_time();
  lanes_submit(stand->lanes, host, &lane_job);
}

static void submit_agent(Stand *stand, const char *host, Job *job, const char *key, int64_t timeout_us)
{
  LaneJob lane_job = { .kind = LANE_AGENT, .what = job->name, .key = key, .timeout_us = timeout_us,
                       .run = job_run, .done = job_done, .job = job, .free = job_free };
  job->stand = stand;
  job->submitted_us = g_get_monotonic_time();
  lanes_submit(stand->lanes, host, &lane_job);
}

#define assert_ended(job, wanted) \
  do { \
    WAIT((job)->stand, (job)->done); \
    if ((job)->end != (wanted)) \
      fail_msg("%s ended %s: %s", (job)->name, lane_end_name((job)->end), (job)->err ? (job)->err->message : ""); \
  } while (0)

static void host_put(Stand *stand, const char *host)
{
  g_autofree char *uri = g_strdup_printf("fake:%s", host);
  assert_true(lanes_put_host(stand->lanes, &(LaneHost){ host, uri, false }, NULL));
}

static void tell(const char *host, const char *line)
{
  GError *err = NULL;
  if (!fake_do(host, line, &err))
    fail_msg("%s: %s", line, err->message);
}

/* Whether such an observation is there; lock held. */
static const LaneObservation *saw(const Stand *stand, LaneObservationKind kind, const char *host)
{
  for (guint i = stand->seen->len; i--;) {
    const LaneObservation *o = stand->seen->pdata[i];
    if (o->kind == kind && !strcmp(o->host, host))
      return o;
  }
  return NULL;
}

static bool saw_breaker(const Stand *stand, const char *host, BreakerState breaker, bool connected)
{
  const LaneObservation *o = saw(stand, LANE_SAW_STATE, host);
  return o && o->state.breaker == breaker && o->state.connected == connected;
}

static bool saw_domain(const Stand *stand, const char *name, DomainState state)
{
  for (guint i = stand->seen->len; i--;) {
    const LaneObservation *o = stand->seen->pdata[i];
    if (o->kind == LANE_SAW_DOMAIN && !strcmp(o->domain->name, name))
      return o->domain->state == state;
  }
  return false;
}

static void forget(Stand *stand)
{
  pthread_mutex_lock(&stand->lock);
  g_ptr_array_set_size(stand->seen, 0);
  pthread_mutex_unlock(&stand->lock);
}

static void gate_open(Stand *stand)
{
  pthread_mutex_lock(&stand->lock);
  stand->gate_open = true;
  pthread_cond_broadcast(&stand->changed);
  pthread_mutex_unlock(&stand->lock);
}

static LanesConfig config_of_tests(void)
{
  LanesConfig config = lanes_config_default();
  config.controller = controller;
  config.backoff_min_us = 20 * MS;
  config.backoff_max_us = 100 * MS;
  config.open_timeout_us = 300 * MS;
  config.poll_timeout_us = 500 * MS;
  config.idle_us = 100 * MS;
  return config;
}

static Stand *stand_new(const LanesConfig *config)
{
  Stand *stand = g_new0(Stand, 1);
  pthread_mutex_init(&stand->lock, NULL);
  pthread_cond_init(&stand->changed, NULL);
  stand->seen = g_ptr_array_new_with_free_func((GDestroyNotify)lane_observation_free);
  stand->story = g_string_new(NULL);
  stand->jobs = g_ptr_array_new_with_free_func(job_drop);
  stand->lanes = lanes_new(config, (LaneSink){ on_observation, stand });
  return stand;
}

static int stand_up(void **state)
{
  LanesConfig config = config_of_tests();
  *state = stand_new(&config);
  return 0;
}

static void stand_free(Stand *stand)
{
  fake_forget();
  g_ptr_array_unref(stand->jobs);
  g_ptr_array_unref(stand->seen);
  g_string_free(stand->story, TRUE);
  pthread_mutex_destroy(&stand->lock);
  pthread_cond_destroy(&stand->changed);
  g_free(stand);
}

static int stand_down(void **state)
{
  Stand *stand = *state;
  lanes_free(stand->lanes, WAIT_S * G_USEC_PER_SEC);
  stand_free(stand);
  return 0;
}

static bool call_host(Hypervisor *hypervisor, const char *name, GError **err)
{
  HostFacts facts = { 0 };
  bool ok = hypervisor_host(hypervisor, &facts, err);
  host_facts_clear(&facts);
  return ok;
}

static bool call_screenshot(Hypervisor *hypervisor, const char *name, GError **err)
{
  g_autoptr(GBytes) picture = NULL;
  return hypervisor_screenshot(hypervisor, "00000000-0000-4000-8000-000000000001", &picture, err);
}

static bool call_define(Hypervisor *hypervisor, const char *name, GError **err)
{
  g_autofree char *xml = g_strdup_printf(
    "<domain type='kvm'><name>d1</name><uuid>00000000-0000-4000-8000-000000000001</uuid><metadata>"
    "<s:owner xmlns:s='" DOMAIN_OWNER_XMLNS "' controller='%s' desktop='d-1' generation='1'/></metadata>"
    "<memory>65536</memory><vcpu>1</vcpu><devices><serial type='pty'/><channel type='unix'><target type='virtio' "
    "name='org.qemu.guest_agent.0'/></channel></devices></domain>", controller);
  return hypervisor_define(hypervisor, xml, false, err) &&
         hypervisor_power(hypervisor, "00000000-0000-4000-8000-000000000001", DOMAIN_START, err);
}

/* ── running ────────────────────────────────────────────────────────────── */

static void job_runs_and_the_host_is_observed(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  Job *job = job_new(stand, (Job){ .name = "facts", .call = call_host });
  submit(stand, "h1", job, NULL, G_USEC_PER_SEC);
  assert_ended(job, LANE_RAN);
  assert_null(job->err);
  WAIT(stand, saw(stand, LANE_SAW_HOST, "h1") && saw(stand, LANE_SAW_DOMAINS, "h1"));
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_CLOSED, true));
  WAIT(stand, stand->freed == 1);
  pthread_mutex_lock(&stand->lock);
  const LaneObservation *host = saw(stand, LANE_SAW_HOST, "h1");
  bool right = !strcmp(host->facts.hostname, "h1") && host->began_us > 0 && host->ended_us >= host->began_us;
  pthread_mutex_unlock(&stand->lock);
  assert_true(right);
}

static void own_failures_of_a_job_are_its_own(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  for (int i = 0; i < 5; i++) {
    Job *job = job_new(stand, (Job){ .name = "picture", .call = call_screenshot });
    submit(stand, "h1", job, NULL, G_USEC_PER_SEC);
    assert_ended(job, LANE_RAN);
    assert_true(error_is(job->err, REASON_NOT_FOUND));
    WAIT(stand, stand->freed == i + 1);
  }
  LaneState now;
  assert_true(lanes_state(stand->lanes, "h1", &now));
  assert_int_equal(now.breaker, BREAKER_CLOSED);
  assert_int_equal(now.failures, 0);
}

static void one_key_runs_in_order_others_side_by_side(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  Job *a[3] = { job_new(stand, (Job){ .name = "a1", .waits_at_gate = true }), job_new(stand, (Job){ .name = "a2" }),
                job_new(stand, (Job){ .name = "a3" }) };
  Job *b = job_new(stand, (Job){ .name = "b1" });
  for (int i = 0; i < 3; i++)
    submit(stand, "h1", a[i], "a", WAIT_S * G_USEC_PER_SEC);
  WAIT(stand, strstr(stand->story->str, "a1"));
  submit(stand, "h1", b, "b", WAIT_S * G_USEC_PER_SEC);
  assert_ended(b, LANE_RAN);
  gate_open(stand);
  for (int i = 0; i < 3; i++)
    assert_ended(a[i], LANE_RAN);
  assert_string_equal(stand->story->str, "a1 b1 a2 a3 ");
  WAIT(stand, stand->freed == 4);
}

static void a_lane_runs_four_at_a_time(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  Job *jobs[12];
  for (int i = 0; i < 12; i++) {
    jobs[i] = job_new(stand, (Job){ .name = "j", .waits_at_gate = true });
    submit(stand, "h1", jobs[i], NULL, WAIT_S * G_USEC_PER_SEC);
  }
  Job *agent = job_new(stand, (Job){ .name = "agent" });
  WAIT(stand, stand->running == 4);
  submit_agent(stand, "h1", agent, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(agent, LANE_RAN); /* on a lane of its own */
  gate_open(stand);
  for (int i = 0; i < 12; i++)
    assert_ended(jobs[i], LANE_RAN);
  assert_true(stand->most <= 5);
  WAIT(stand, stand->freed == 13);
}

static void refusals_say_why(void **state)
{
  Stand *stand = *state;
  Job *unknown = job_new(stand, (Job){ .name = "unknown" });
  submit(stand, "nowhere", unknown, NULL, G_USEC_PER_SEC);
  assert_ended(unknown, LANE_REFUSED);
  assert_true(error_is(unknown->err, REASON_NOT_FOUND));
  GError *err = NULL;
  assert_false(lanes_put_host(stand->lanes, &(LaneHost){ "h1", "qemu+tcp://h1/system", false }, &err));
  assert_true(error_is(err, REASON_BAD_URI));
  g_error_free(err);
  WAIT(stand, stand->freed == 1);
}

static void full_queue_is_busy(void **state)
{
  LanesConfig config = config_of_tests();
  config.queue_max = 3;
  Stand *stand = stand_new(&config);
  void *own = stand;
  host_put(stand, "h1");
  Job *first = job_new(stand, (Job){ .name = "first" });
  submit(stand, "h1", first, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(first, LANE_RAN);
  Job *jobs[8];
  for (int i = 0; i < 4; i++) {
    jobs[i] = job_new(stand, (Job){ .name = "j", .waits_at_gate = true });
    submit(stand, "h1", jobs[i], NULL, WAIT_S * G_USEC_PER_SEC);
    WAIT(stand, stand->running == i + 1);
  }
  for (int i = 4; i < 8; i++) {
    jobs[i] = job_new(stand, (Job){ .name = "j" });
    submit(stand, "h1", jobs[i], NULL, WAIT_S * G_USEC_PER_SEC);
  }
  assert_ended(jobs[7], LANE_REFUSED);
  assert_true(error_is(jobs[7]->err, REASON_HOST_BUSY));
  gate_open(stand);
  for (int i = 0; i < 7; i++)
    assert_ended(jobs[i], LANE_RAN);
  WAIT(stand, stand->freed == 9);
  stand_down(&own);
}

/* ── deadlines ──────────────────────────────────────────────────────────── */

static void waiting_job_expires_without_having_run(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  Job *first = job_new(stand, (Job){ .name = "first", .waits_at_gate = true });
  Job *second = job_new(stand, (Job){ .name = "second" });
  submit(stand, "h1", first, "k", WAIT_S * G_USEC_PER_SEC);
  WAIT(stand, stand->running == 1);
  submit(stand, "h1", second, "k", 30 * MS);
  assert_ended(second, LANE_EXPIRED_WAITING);
  assert_true(error_is(second->err, REASON_TIMEOUT));
  gate_open(stand);
  assert_ended(first, LANE_RAN);
  assert_string_equal(stand->story->str, "first ");
  WAIT(stand, stand->freed == 2);
}

static void hung_call_is_given_up_and_told_late(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "h1"));
  tell("h1", "hang screenshot 1");
  Job *hung = job_new(stand, (Job){ .name = "hung", .call = call_screenshot });
  Job *same = job_new(stand, (Job){ .name = "same" });
  Job *other = job_new(stand, (Job){ .name = "other", .call = call_host });
  submit(stand, "h1", hung, "k", 50 * MS);
  assert_ended(hung, LANE_EXPIRED_RUNNING);
  assert_true(error_is(hung->err, REASON_TIMEOUT));
  assert_true(hung->done_us - hung->submitted_us < G_USEC_PER_SEC);
  submit(stand, "h1", same, "k", 50 * MS); /* what hangs may still take effect: nothing overtakes it */
  submit(stand, "h1", other, "l", WAIT_S * G_USEC_PER_SEC);
  assert_ended(other, LANE_RAN);
  assert_ended(same, LANE_EXPIRED_WAITING);
  assert_int_equal(lanes_figures(stand->lanes).written_off, 1);
  WAIT(stand, stand->freed == 2); /* the hung call still has its job */
  tell("h1", "release");
  WAIT(stand, saw(stand, LANE_SAW_LATE, "h1"));
  WAIT(stand, stand->freed == 3);
  assert_int_equal(lanes_figures(stand->lanes).written_off, 0);
  Job *after = job_new(stand, (Job){ .name = "after" });
  submit(stand, "h1", after, "k", WAIT_S * G_USEC_PER_SEC);
  assert_ended(after, LANE_RAN);
  WAIT(stand, stand->freed == 4);
}

static void hung_open_costs_a_job_no_more_than_its_deadline(void **state)
{
  Stand *stand = *state;
  tell("h1", "freeze");
  host_put(stand, "h1");
  Job *job = job_new(stand, (Job){ .name = "job", .call = call_host });
  submit(stand, "h1", job, NULL, 50 * MS);
  assert_ended(job, LANE_EXPIRED_WAITING);
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_OPEN, false)); /* three opens in a row came to nothing */
  tell("h1", "thaw");
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_CLOSED, true));
  Job *after = job_new(stand, (Job){ .name = "after", .call = call_host });
  submit(stand, "h1", after, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(after, LANE_RAN);
  WAIT(stand, stand->freed == 2);
}

static void written_off_calls_are_bounded(void **state)
{
  LanesConfig config = config_of_tests();
  config.written_off_max = 2;
  config.failures = 1000;
  Stand *stand = stand_new(&config);
  void *own = stand;
  host_put(stand, "h1");
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "h1"));
  tell("h1", "hang screenshot always");
  Job *jobs[20];
  for (int i = 0; i < 20; i++) {
    jobs[i] = job_new(stand, (Job){ .name = "hung", .call = call_screenshot });
    submit(stand, "h1", jobs[i], NULL, (50 + 10 * i) * MS);
  }
  int ran = 0;
  for (int i = 0; i < 20; i++) {
    WAIT(stand, jobs[i]->done);
    ran += jobs[i]->end == LANE_EXPIRED_RUNNING;
  }
  assert_int_equal(ran, 4 + 2); /* four threads, two of them replaced */
  assert_int_equal(lanes_figures(stand->lanes).written_off, 2);
  tell("h1", "release");
  WAIT(stand, stand->freed == 20);
  stand_down(&own);
}

/* ── one hung host ──────────────────────────────────────────────────────── */

static int compare_us(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* The 99th of 100 latencies of calls on host. */
static int64_t p99_us(Stand *stand, const char *host)
{
  enum { JOBS = 300 };
  static Job *jobs[JOBS];
  int64_t took_us[JOBS];
  for (int i = 0; i < JOBS; i++) {
    jobs[i] = job_new(stand, (Job){ .name = "j", .call = call_host });
    submit(stand, host, jobs[i], NULL, WAIT_S * G_USEC_PER_SEC);
    assert_ended(jobs[i], LANE_RAN);
    took_us[i] = jobs[i]->done_us - jobs[i]->submitted_us;
  }
  WAIT(stand, stand->freed >= JOBS);
  qsort(took_us, JOBS, sizeof took_us[0], compare_us);
  return took_us[JOBS * 99 / 100];
}

static void hung_hosts_cost_another_host_nothing(void **state)
{
  enum { HUNG = 40 };
  LanesConfig config = config_of_tests();
  config.open_timeout_us = config.poll_timeout_us = 2 * G_USEC_PER_SEC;
  Stand *stand = stand_new(&config);
  void *own = stand;
  host_put(stand, "well");
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "well"));
  int64_t alone_us = p99_us(stand, "well");
  Job **jobs = g_new0(Job *, HUNG * 8);
  for (int i = 0; i < HUNG; i++) {
    g_autofree char *name = g_strdup_printf("hung%d", i);
    tell(name, "hang screenshot always");
    host_put(stand, name);
    for (int k = 0; k < 8; k++) {
      jobs[i * 8 + k] = job_new(stand, (Job){ .name = "hung", .call = call_screenshot });
      submit(stand, name, jobs[i * 8 + k], NULL, G_USEC_PER_SEC);
    }
  }
  int64_t beside_us = p99_us(stand, "well");
  print_message("p99 alone %.2f ms, beside %d hung hosts %.2f ms\n", alone_us / 1e3, HUNG, beside_us / 1e3);
  assert_true(beside_us < 2 * alone_us + 4 * SLACK_MS * MS); /* each hung call takes its whole second */
  for (int i = 0; i < HUNG * 8; i++) {
    WAIT(stand, jobs[i]->done);
    assert_int_not_equal(jobs[i]->end, LANE_RAN);
  }
  for (int i = 0; i < HUNG; i++) {
    g_autofree char *name = g_strdup_printf("hung%d", i);
    tell(name, "release");
  }
  stand_down(&own);
  g_free(jobs);
}

static void hung_guests_do_not_condemn_their_host(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "h1"));
  tell("h1", "hang screenshot always");
  Job *jobs[6];
  for (int i = 0; i < 6; i++) {
    jobs[i] = job_new(stand, (Job){ .name = "agent", .call = call_screenshot });
    submit_agent(stand, "h1", jobs[i], NULL, 30 * MS);
  }
  for (int i = 0; i < 6; i++) {
    WAIT(stand, jobs[i]->done);
  }
  Job *call = job_new(stand, (Job){ .name = "call", .call = call_host });
  submit(stand, "h1", call, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(call, LANE_RAN);
  LaneState now;
  lanes_state(stand->lanes, "h1", &now);
  assert_int_equal(now.breaker, BREAKER_CLOSED);
  assert_int_equal(now.failures, 0);
  tell("h1", "release");
  WAIT(stand, stand->freed == 7);
}

/* ── the breaker ────────────────────────────────────────────────────────── */

static void breaker_opens_fails_fast_and_closes_again(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_CLOSED, true));
  tell("h1", "die");
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_OPEN, false));
  Job *refused = job_new(stand, (Job){ .name = "refused", .call = call_host });
  submit(stand, "h1", refused, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(refused, LANE_REFUSED);
  assert_true(error_is(refused->err, REASON_HOST_UNREACHABLE));
  assert_true(refused->done_us - refused->submitted_us < G_USEC_PER_SEC);
  tell("h1", "live");
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_CLOSED, true));
  pthread_mutex_lock(&stand->lock);
  bool half_open = false;
  for (guint i = 0; i < stand->seen->len; i++) {
    const LaneObservation *o = stand->seen->pdata[i];
    half_open |= o->kind == LANE_SAW_STATE && o->state.breaker == BREAKER_HALF_OPEN;
  }
  pthread_mutex_unlock(&stand->lock);
  assert_true(half_open);
  Job *after = job_new(stand, (Job){ .name = "after", .call = call_host });
  submit(stand, "h1", after, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(after, LANE_RAN);
  WAIT(stand, stand->freed == 2);
}

/* How often a host was tried again; lock held. */
static int probes(const Stand *stand)
{
  int n = 0;
  for (guint i = 0; i < stand->seen->len; i++) {
    const LaneObservation *o = stand->seen->pdata[i];
    n += o->kind == LANE_SAW_STATE && o->state.breaker == BREAKER_HALF_OPEN;
  }
  return n;
}

static void host_that_was_long_away_is_found_within_five_seconds(void **state)
{
  LanesConfig shipped = lanes_config_default();
  assert_true(shipped.backoff_max_us * 12 / 10 + KNOCK_MS * MS <= 5 * G_USEC_PER_SEC); /* with its jitter, and a try under way into nothing */
  Stand *stand = *state;
  host_put(stand, "h1");
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_CLOSED, true));
  tell("h1", "die");
  WAIT(stand, probes(stand) >= 10); /* it has come to the longest wait between two */
  int64_t back_us = g_get_monotonic_time();
  tell("h1", "live");
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_CLOSED, true));
  assert_in_range(g_get_monotonic_time() - back_us, 0, (120 + 8 * SLACK_MS) * MS);
}

static void many_lost_hosts_share_their_probes(void **state)
{
  enum { HOSTS = 50, PROBES = 150, PER_S = 100 };
  LanesConfig config = config_of_tests();
  config.failures = 1;
  config.probes_per_s = PER_S; /* alone, each host would have ten a second */
  Stand *stand = stand_new(&config);
  void *own = stand;
  int64_t began_us = g_get_monotonic_time();
  for (int i = 0; i < HOSTS; i++) {
    g_autofree char *name = g_strdup_printf("many%d", i);
    tell(name, "die");
    host_put(stand, name);
  }
  WAIT(stand, probes(stand) >= PROBES);
  assert_true(g_get_monotonic_time() - began_us > G_USEC_PER_SEC * PROBES / PER_S * 2 / 3);
  stand_down(&own);
}

static void lost_connection_comes_back_by_itself(void **state)
{
  LanesConfig config = config_of_tests();
  config.poll_us = INT64_C(3600) * G_USEC_PER_SEC; /* what is noticed is noticed by events */
  Stand *stand = stand_new(&config);
  void *own = stand;
  host_put(stand, "h1");
  Job *define = job_new(stand, (Job){ .name = "define", .call = call_define });
  submit(stand, "h1", define, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(define, LANE_RAN);
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_CLOSED, true));
  forget(stand);
  tell("h1", "lose");
  WAIT(stand, saw_breaker(stand, "h1", BREAKER_CLOSED, true));
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "h1"));
  bool opened = false;
  pthread_mutex_lock(&stand->lock);
  for (guint i = 0; i < stand->seen->len; i++) {
    const LaneObservation *o = stand->seen->pdata[i];
    opened |= o->kind == LANE_SAW_STATE && o->state.breaker != BREAKER_CLOSED;
  }
  pthread_mutex_unlock(&stand->lock);
  assert_false(opened); /* three connections were lost, but that is one failure */
  tell("h1", "power d1 off");
  WAIT(stand, saw_domain(stand, "d1", DOMAIN_OFF));
  Job *after = job_new(stand, (Job){ .name = "after", .call = call_host });
  submit(stand, "h1", after, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(after, LANE_RAN);
  WAIT(stand, stand->freed == 2);
  stand_down(&own);
}

/* ── observations ───────────────────────────────────────────────────────── */

static void change_behind_our_back_is_observed(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  Job *define = job_new(stand, (Job){ .name = "define", .call = call_define });
  submit(stand, "h1", define, NULL, WAIT_S * G_USEC_PER_SEC);
  assert_ended(define, LANE_RAN);
  WAIT(stand, saw_domain(stand, "d1", DOMAIN_ON) || saw(stand, LANE_SAW_DOMAINS, "h1"));
  int64_t changed_us = g_get_monotonic_time();
  tell("h1", "power d1 crashed");
  WAIT(stand, saw_domain(stand, "d1", DOMAIN_CRASHED));
  assert_true(g_get_monotonic_time() - changed_us < G_USEC_PER_SEC);
  tell("h1", "gone d1");
  WAIT(stand, saw(stand, LANE_SAW_NO_DOMAIN, "h1"));
  forget(stand);
  lanes_look(stand->lanes, "h1", NULL);
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "h1") && saw(stand, LANE_SAW_HOST, "h1"));
  WAIT(stand, stand->freed == 1);
}

/* The store was read again: who asks has forgotten all that was told. */
static void what_is_known_is_told_again_when_asked_for(void **state)
{
  LanesConfig config = config_of_tests();
  config.poll_us = INT64_C(3600) * G_USEC_PER_SEC;
  config.backoff_min_us = config.backoff_max_us = INT64_C(3600) * G_USEC_PER_SEC;
  config.failures = 1;
  Stand *stand = stand_new(&config);
  void *own = stand;
  host_put(stand, "well");
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "well") && saw(stand, LANE_SAW_HOST, "well"));
  tell("unwell", "die");
  host_put(stand, "unwell");
  WAIT(stand, saw_breaker(stand, "unwell", BREAKER_OPEN, false));
  forget(stand);
  lanes_look(stand->lanes, "well", NULL);
  lanes_look(stand->lanes, "unwell", NULL);
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "well") && saw(stand, LANE_SAW_HOST, "well"));
  WAIT(stand, saw_breaker(stand, "unwell", BREAKER_OPEN, false));
  stand_down(&own);
}

static bool call_serial(Hypervisor *hypervisor, const char *name, GError **err)
{
  SerialText text = { 0 };
  bool ok = hypervisor_serial(hypervisor, "00000000-0000-4000-8000-000000000001", 0, &text, err);
  serial_text_clear(&text);
  return ok;
}

static void serial_line_is_observed(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  Job *define = job_new(stand, (Job){ .name = "define", .call = call_define });
  Job *serial = job_new(stand, (Job){ .name = "serial", .call = call_serial });
  submit(stand, "h1", define, "d1", WAIT_S * G_USEC_PER_SEC);
  submit(stand, "h1", serial, "d1", WAIT_S * G_USEC_PER_SEC);
  assert_ended(serial, LANE_RAN);
  tell("h1", "serial d1 hello there");
  WAIT(stand, saw(stand, LANE_SAW_SERIAL, "h1"));
  WAIT(stand, stand->freed == 2);
}

static void polls_go_on(void **state)
{
  LanesConfig config = config_of_tests();
  config.poll_us = 20 * MS;
  Stand *stand = stand_new(&config);
  void *own = stand;
  host_put(stand, "h1");
  for (int i = 0; i < 3; i++) {
    WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "h1"));
    forget(stand);
  }
  stand_down(&own);
}

/* ── coming and going ───────────────────────────────────────────────────── */

static void removed_host_cancels_what_waits(void **state)
{
  Stand *stand = *state;
  host_put(stand, "h1");
  Job *running = job_new(stand, (Job){ .name = "running", .waits_at_gate = true });
  Job *waiting = job_new(stand, (Job){ .name = "waiting" });
  submit(stand, "h1", running, "k", WAIT_S * G_USEC_PER_SEC);
  WAIT(stand, stand->running == 1);
  submit(stand, "h1", waiting, "k", WAIT_S * G_USEC_PER_SEC);
  lanes_del_host(stand->lanes, "h1");
  assert_ended(waiting, LANE_CANCELLED);
  gate_open(stand);
  assert_ended(running, LANE_RAN);
  WAIT(stand, stand->freed == 2);
  LaneState none;
  assert_false(lanes_state(stand->lanes, "h1", &none));
  FakeFigures figures;
  for (int i = 0; i < 1000 && fake_figures("h1", &figures) && figures.connections; i++)
    g_usleep(MS);
  assert_int_equal(figures.connections, 0);
}

static void freeing_leaves_a_hung_call_behind(void **state)
{
  LanesConfig config = config_of_tests();
  Stand *stand = stand_new(&config);
  host_put(stand, "h1");
  WAIT(stand, saw(stand, LANE_SAW_DOMAINS, "h1"));
  tell("h1", "hang screenshot 1");
  Job *hung = job_new(stand, (Job){ .name = "hung", .call = call_screenshot });
  submit(stand, "h1", hung, NULL, WAIT_S * G_USEC_PER_SEC);
  WAIT(stand, stand->running == 1);
  lanes_free(stand->lanes, 20 * MS);
  assert_true(hung->done);
  assert_int_equal(hung->end, LANE_EXPIRED_RUNNING);
  tell("h1", "release");
  WAIT(stand, stand->freed == 1);
  FakeFigures figures;
  for (int i = 0; i < 5000 && fake_figures("h1", &figures) && figures.connections; i++)
    g_usleep(MS);
  assert_int_equal(figures.connections, 0);
  stand_free(stand);
}

/* Every host's list has come. */
static bool all_listed(const Stand *stand, int hosts)
{
  g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < stand->seen->len; i++) {
    LaneObservation *o = stand->seen->pdata[i];
    if (o->kind == LANE_SAW_DOMAINS)
      g_hash_table_add(names, o->host);
  }
  return (int)g_hash_table_size(names) == hosts;
}

static void thousand_hosts_take_few_threads(void **state)
{
  enum { HOSTS = 1000 };
  Stand *stand = *state;
  int most = 0;
  for (int i = 0; i < HOSTS; i++) {
    g_autofree char *name = g_strdup_printf("many%d", i);
    host_put(stand, name);
    most = MAX(most, lanes_figures(stand->lanes).threads);
  }
  WAIT(stand, all_listed(stand, HOSTS));
  most = MAX(most, lanes_figures(stand->lanes).threads);
  print_message("%d hosts: at most %d threads\n", HOSTS, most);
  assert_true(most <= 128);
  for (int i = 0; i < 5000 && lanes_figures(stand->lanes).threads; i++)
    g_usleep(MS);
  assert_int_equal(lanes_figures(stand->lanes).threads, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, stand_up, stand_down)
  const struct CMUnitTest tests[] = {
    T(job_runs_and_the_host_is_observed), T(own_failures_of_a_job_are_its_own), T(one_key_runs_in_order_others_side_by_side),
    T(a_lane_runs_four_at_a_time), T(refusals_say_why), cmocka_unit_test(full_queue_is_busy),
    T(waiting_job_expires_without_having_run), T(hung_call_is_given_up_and_told_late),
    T(hung_open_costs_a_job_no_more_than_its_deadline), cmocka_unit_test(written_off_calls_are_bounded),
    cmocka_unit_test(hung_hosts_cost_another_host_nothing), T(hung_guests_do_not_condemn_their_host),
    T(breaker_opens_fails_fast_and_closes_again),
    T(host_that_was_long_away_is_found_within_five_seconds), cmocka_unit_test(many_lost_hosts_share_their_probes),
    cmocka_unit_test(what_is_known_is_told_again_when_asked_for), cmocka_unit_test(lost_connection_comes_back_by_itself),
    T(change_behind_our_back_is_observed), T(serial_line_is_observed), cmocka_unit_test(polls_go_on),
    T(removed_host_cancels_what_waits), cmocka_unit_test(freeing_leaves_a_hung_call_behind), T(thousand_hosts_take_few_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

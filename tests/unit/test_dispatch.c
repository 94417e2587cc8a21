/* Orders on their way to a fake host, and when their results come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/template/domain.h"
#include "drivers/hypervisor/fake.h"
#include "drivers/runtime/runtime.h"
#include "drivers/runtime/runtime_parts.h"
#include "tests/unit/volume_help.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555";
static GAsyncQueue *results, *devices;

/* The dispatcher under test tells a runtime that is not there. */
void runtime_push_result(Runtime *runtime, StepResult *take_result)
{
  g_async_queue_push(results, take_result);
}

void runtime_push_observation(Runtime *runtime, Observation *take_observation)
{
  if (take_observation->kind == SAW_DEVICES)
    g_async_queue_push(devices, take_observation);
  else
    observation_free(take_observation);
}

/* ── a desktop whose guest says that it is ready ──────────────────────────── */

typedef struct {
  Dispatch *dispatch;
  Host *host;
  Desktop *desktop;
  TemplateVersion *template;
} Stand;

static void define(const char *uri, const char *desktop)
{
  g_autofree char *uuid = desktop_domain_uuid(controller, desktop);
  g_autofree char *xml = g_strdup_printf(
    "<domain type='kvm'><name>sarang-%s</name><uuid>%s</uuid><metadata><s:owner xmlns:s='" DOMAIN_OWNER_XMLNS "' controller='%s' "
    "desktop='%s' generation='1'/></metadata><memory>65536</memory><vcpu>1</vcpu><devices><serial type='pty'/></devices></domain>",
    desktop, uuid, controller, desktop);
  Hypervisor *hypervisor;
  HypervisorOptions options = { .uri = uri, .controller = controller };
  assert_true(hypervisor_open(&options, &hypervisor, NULL));
  assert_true(hypervisor_define(hypervisor, xml, false, NULL));
  hypervisor_close(hypervisor);
}

static GPtrArray *hosts_of(Stand *s)
{
  GPtrArray *hosts = g_ptr_array_new();
  g_ptr_array_add(hosts, s->host);
  return hosts;
}

static Stand *stand_new(const char *uri)
{
  Stand *s = g_new0(Stand, 1);
  results = g_async_queue_new();
  devices = g_async_queue_new_full((GDestroyNotify)observation_free);
  define(uri, "d-1");
  s->host = (Host *)object_new(&schemas[NOUN_HOST], NOUN_HOST, "h1");
  text_set(&s->host->uri, uri);
  s->desktop = (Desktop *)object_new(&schemas[NOUN_DESKTOP], NOUN_DESKTOP, "d-1");
  s->desktop->clone = 1;
  s->template = (TemplateVersion *)object_new(&schemas[NOUN_TEMPLATE], NOUN_TEMPLATE, "micro@1");
  assert_true(g_file_get_contents("templates/micro.xml", &s->template->xml, NULL, NULL));
  DispatchOptions options = { .poll_us = 30 * G_USEC_PER_SEC, .look_us = G_USEC_PER_SEC };
  s->dispatch = dispatch_new(NULL, &options);
  g_autoptr(GPtrArray) hosts = hosts_of(s);
  dispatch_replace(s->dispatch, hosts);
  dispatch_start(s->dispatch, controller);
  return s;
}

static void stand_free(Stand *s)
{
  dispatch_free(s->dispatch);
  object_unref(&schemas[NOUN_HOST], &s->host->head);
  object_unref(&schemas[NOUN_DESKTOP], &s->desktop->head);
  object_unref(&schemas[NOUN_TEMPLATE], &s->template->head);
  g_async_queue_unref(results);
  g_async_queue_unref(devices);
  fake_forget();
  g_free(s);
}

static void *grab(void *object)
{
  object_ref(&schemas[((Object *)object)->noun], object);
  return object;
}

static void order(Stand *s, StepKind kind, Desktop *desktop)
{
  StepOrder *made = g_new0(StepOrder, 1);
  *made = (StepOrder){ .kind = kind, .timeout_us = 20 * G_USEC_PER_SEC, .controller = g_strdup(controller), .host = grab(s->host),
                        .desktop = grab(desktop), .template = grab(s->template) };
  dispatch_order(s->dispatch, made);
}

/* What came of a step, and how long it took. */
static int64_t take(Stand *s, StepKind kind, StepResult **ret_result)
{
  int64_t begin_us = g_get_monotonic_time();
  order(s, kind, s->desktop);
  *ret_result = g_async_queue_timeout_pop(results, 30 * G_USEC_PER_SEC);
  assert_non_null(*ret_result);
  return g_get_monotonic_time() - begin_us;
}

static void must_work(Stand *s, StepKind kind, PowerState power)
{
  g_autoptr(StepResult) result = NULL;
  take(s, kind, &result);
  assert_null(result->error);
  assert_int_equal(result->power, power);
}

/* It is looked at each second, and as soon as it speaks. A machine that is busy may make any one try slow. */
static void a_guest_that_speaks_is_heard_at_once(void **state)
{
  enum { BOOT_MS = 200, LOOKS_MS = 1000, TRIES = 8 };
  g_autofree char *uri = g_strdup_printf("fake:speaks?boot_ms=%d&ready=count", BOOT_MS);
  Stand *s = stand_new(uri);
  int64_t best_us = INT64_MAX;
  for (int i = 0; i < TRIES && best_us >= LOOKS_MS * 1000; i++) {
    must_work(s, STEP_START, POWER_ON);
    g_autoptr(StepResult) result = NULL;
    int64_t took_us = take(s, STEP_READY, &result);
    assert_null(result->error);
    assert_int_equal(result->power, POWER_ON);
    best_us = MIN(best_us, took_us);
    must_work(s, STEP_POWER_OFF, POWER_OFF);
  }
  assert_true(best_us < LOOKS_MS * 1000);
  stand_free(s);
}

static void *pull_the_plug(void *unused)
{
  g_usleep(100 * 1000);
  assert_true(fake_do("dies", "power sarang-d-1 off", NULL));
  return NULL;
}

/* Its line falls silent with it: the host is asked, and tells. */
static void a_guest_that_goes_off_is_not_waited_for(void **state)
{
  Stand *s = stand_new("fake:dies?boot_ms=60000&ready=count");
  must_work(s, STEP_START, POWER_ON);
  GThread *other = g_thread_new("other", pull_the_plug, NULL);
  g_autoptr(StepResult) result = NULL;
  take(s, STEP_READY, &result);
  assert_non_null(result->error);
  assert_string_equal(reason_wire(error_reason(result->error)), reason_wire(REASON_DESKTOP_OFF));
  g_thread_join(other);
  stand_free(s);
}

/* Ten desktops that start on a slow host held all its threads; a look at another that waited behind them failed, and the desktop with it. */
static void a_look_that_waited_for_its_turn_failed_the_desktop(void **state)
{
  enum { THREADS = 4, SLOW_MS = 2500 };
  Stand *s = stand_new("fake:busy?boot_ms=0&ready=count");
  g_autofree char *slow = g_strdup_printf("slow start %d", SLOW_MS);
  must_work(s, STEP_START, POWER_ON);
  assert_true(fake_do("busy", slow, NULL));
  for (int i = 0; i < THREADS; i++) {
    g_autofree char *name = g_strdup_printf("d-%d", i + 2);
    define("fake:busy", name);
    Desktop *other = (Desktop *)object_new(&schemas[NOUN_DESKTOP], NOUN_DESKTOP, name);
    order(s, STEP_START, other);
    object_unref(&schemas[NOUN_DESKTOP], &other->head);
  }
  order(s, STEP_READY, s->desktop);
  for (int i = 0; i < THREADS + 1; i++) {
    g_autoptr(StepResult) result = g_async_queue_timeout_pop(results, 30 * G_USEC_PER_SEC);
    assert_non_null(result);
    assert_null(result->error);
  }
  stand_free(s);
}

/* A host busy with starts answered after the time of one look, and the desktop failed though its guest had minutes left. */
static void a_slow_host_failed_the_desktop_that_was_listened_to(void **state)
{
  enum { LONGER_THAN_A_LOOK_MS = 1800 };
  Stand *s = stand_new("fake:crawls?boot_ms=0&ready=count");
  g_autofree char *slow = g_strdup_printf("slow serial %d", LONGER_THAN_A_LOOK_MS);
  must_work(s, STEP_START, POWER_ON);
  assert_true(fake_do("crawls", slow, NULL));
  must_work(s, STEP_READY, POWER_ON);
  stand_free(s);
}

/* ── looks of a task ──────────────────────────────────────────────────────── */

static void order_for(Stand *s, StepKind kind, const char *task)
{
  StepOrder *made = g_new0(StepOrder, 1);
  *made = (StepOrder){ .kind = kind, .task = g_strdup(task), .index = 4, .attempt = 1, .timeout_us = 20 * G_USEC_PER_SEC,
                        .controller = g_strdup(controller), .host = grab(s->host), .desktop = grab(s->desktop), .template = grab(s->template) };
  dispatch_order(s->dispatch, made);
}

static void task_becomes(Stand *s, const char *name, TaskState state, bool undoing, int attempt)
{
  Task *task = (Task *)object_new(&schemas[NOUN_TASK], NOUN_TASK, name);
  task->state = state;
  task->undoing = undoing;
  task->step_index = 4;
  task->attempt = attempt;
  g_autoptr(Batch) batch = batch_new(1);
  Change change = { NOUN_TASK, CHANGE_PUT, &task->head };
  g_array_append_val(batch->changes, change);
  dispatch_apply(s->dispatch, batch);
}

/* It looked on, for minutes, at a guest that nobody waited for any more, and held a thread of the host each time. */
static void a_look_went_on_after_its_task_was_cancelled(void **state)
{
  static const struct { TaskState state; bool undoing; int attempt; bool goes_on; const char *why; } rows[] = {
    { TASK_RUNNING, false, 1, true, "nothing has changed for it" },
    { TASK_RUNNING, true, 1, false, "what it did is being undone" },
    { TASK_RUNNING, false, 2, false, "another try looks" },
    { TASK_CANCELLED, false, 1, false, "it was cancelled" },
    { TASK_FAILED, false, 1, false, "it has ended" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *uri = g_strdup_printf("fake:looks%zu?boot_ms=600&ready=count", i);
    Stand *s = stand_new(uri);
    must_work(s, STEP_START, POWER_ON);
    order_for(s, STEP_READY, "t-1");
    task_becomes(s, "t-1", rows[i].state, rows[i].undoing, rows[i].attempt);
    order_for(s, STEP_READY, "t-2"); /* behind it: what the guest says, both hear */
    bool first = false;
    for (bool second = false; !second;) {
      g_autoptr(StepResult) result = g_async_queue_timeout_pop(results, 30 * G_USEC_PER_SEC);
      assert_non_null(result);
      first |= !result->error && !g_strcmp0(result->task, "t-1");
      second |= !g_strcmp0(result->task, "t-2");
    }
    order(s, STEP_POWER_OFF, s->desktop); /* behind whatever still looks */
    for (bool off = false; !off;) {
      g_autoptr(StepResult) result = g_async_queue_timeout_pop(results, 30 * G_USEC_PER_SEC);
      assert_non_null(result);
      first |= !result->error && !g_strcmp0(result->task, "t-1");
      off = result->kind == STEP_POWER_OFF;
    }
    if (first != rows[i].goes_on)
      fail_msg("%s: the first %s", rows[i].why, first ? "looked on" : "looked no more");
    stand_free(s);
  }
}

/* ── a host that announces cards ──────────────────────────────────────────── */

static void card_comes(const char *line)
{
  g_autoptr(GError) err = NULL;
  if (!fake_do("cards", line, &err))
    fail_msg("%s", err->message);
}

static void must_be_told(const char *host)
{
  g_autoptr(Observation) seen = g_async_queue_timeout_pop(devices, 30 * G_USEC_PER_SEC);
  assert_non_null(seen);
  assert_string_equal(seen->host, host);
}

/* Its events are asked for once it is watched: until then a change may go by unheard. */
static void cards_come_and_go(Stand *s)
{
  for (int i = 0; i < 100 && !g_async_queue_length(devices); i++) {
    card_comes(i % 2 ? "nocard 0000:08:00.0" : "card 0000:08:00.0 mdpy");
    g_usleep(50 * 1000);
  }
  must_be_told("h1");
}

static void devices_that_change_are_told(void **state)
{
  char *dir = tmp_make();
  g_autofree char *uri = g_strdup_printf("fake:cards?gpus=%s", dir);
  Stand *s = stand_new(uri);
  cards_come_and_go(s);
  while (g_async_queue_length(devices)) /* what was announced while that was told */
    must_be_told("h1");
  for (int i = 0; i < 10; i++) { /* a burst is told, and not each of it */
    g_autofree char *line = g_strdup_printf("card 0000:%02x:00.0 a40", 0x20 + i);
    card_comes(line);
  }
  must_be_told("h1");
  stand_free(s);
  tmp_remove(dir);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_guest_that_speaks_is_heard_at_once),
    cmocka_unit_test(a_guest_that_goes_off_is_not_waited_for),
    cmocka_unit_test(a_look_went_on_after_its_task_was_cancelled),
    cmocka_unit_test(a_look_that_waited_for_its_turn_failed_the_desktop),
    cmocka_unit_test(a_slow_host_failed_the_desktop_that_was_listened_to),
    cmocka_unit_test(devices_that_change_are_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

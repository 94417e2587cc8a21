/* Who did what, and why: what the events of the brain tell an operator afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

static void host_seen(World *w, ObservationKind kind)
{
  Observation *o = observation_new(kind, "h1");
  if (kind == SAW_SILENT)
    error_set(&o->error, REASON_TIMEOUT, "what", "h1", "limit", "15 s", NULL);
  else
    o->hostname = g_strdup("h1");
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

static void assert_event(World *w, const char *kind, const char *object, const char *user, const char *detail)
{
  const Event *event = world_event(w, kind);
  if (!event)
    fail_msg("there is no event %s", kind);
  assert_string_equal(event->object, object);
  if (user)
    assert_string_equal(event->user, user);
  else
    assert_null(event->user);
  if (detail)
    assert_non_null(strstr(event->detail ? event->detail : "", detail));
}

static void what_an_administrator_asked_names_them(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  assert_event(w, "host.added", "h1", "root", NULL);
  assert_event(w, "host.up", "h1", NULL, NULL);
  assert_event(w, "storage.added", "disk", "root", NULL);
  assert_event(w, "image.added", "linux@1", "root", NULL);
  assert_event(w, "template.added", "linux@1", "root", NULL);
  assert_event(w, "user.added", "minsu", "root", NULL);
  assert_event(w, "pool.added", "cad", "root", NULL);
  assert_event(w, "desktop.provisioning", "d-2", NULL, NULL); /* the pool's own doing */
  world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'vcpus':9000}");
  assert_event(w, "host.changed", "h1", "root", "\"vcpus\"");
  world_ask(w, API_POOL_PAUSE, NULL, "cad", NULL);
  assert_event(w, "pool.paused", "cad", "root", NULL);
  world_ask(w, API_POOL_RESUME, NULL, "cad", NULL);
  assert_event(w, "pool.ready", "cad", "root", NULL);
  world_ask(w, API_DESKTOP_MAINTAIN, NULL, "d-2", NULL);
  assert_event(w, "desktop.maintenance", "d-2", "root", NULL);
  world_ask(w, API_HOST_DRAIN, NULL, "h1", NULL);
  assert_event(w, "host.draining", "h1", "root", NULL);
  host_seen(w, SAW_SILENT);
  assert_event(w, "host.unreachable", "h1", NULL, "timeout");
  world_ask(w, API_HOST_FENCE, NULL, "h1", NULL);
  assert_event(w, "host.fenced", "h1", "root", NULL);
  world_ask(w, API_POOL_DELETE, NULL, "cad", NULL);
  assert_event(w, "pool.deleting", "cad", "root", NULL);
  world_ask(w, API_USER_REMOVE, NULL, "minsu", NULL);
  assert_event(w, "user.removed", "minsu", "root", NULL);
  world_free(w);
}

static void a_token_names_whose_it_is(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  world_ask(w, API_TOKEN_CREATE, NULL, NULL, "{'user':'jihye'}");
  g_autofree char *token = g_strdup(w->last->object->name);
  assert_event(w, "token.added", token, "root", "jihye");
  world_ask(w, API_TOKEN_REVOKE, NULL, token, NULL);
  assert_event(w, "token.removed", token, "root", "jihye");
  world_free(w);
}

static void what_was_refused_is_no_event(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  guint before = w->events->len;
  assert_non_null(world_ask(w, API_STORAGE_ADD, NULL, NULL, "{'name':'disk','path':'/srv/disk'}")->error);
  assert_non_null(world_ask(w, API_STORAGE_REMOVE, NULL, "disk", NULL)->error);
  assert_int_equal(w->events->len, before);
  world_free(w);
}

static void a_lost_desktop_says_why(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  host_seen(w, SAW_SILENT);
  assert_event(w, "desktop.lost", "d-2", NULL, "timeout");
  world_free(w);
}

static void an_ended_session_names_who_ended_it(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *session = g_strdup(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'cad'}")->object->name);
  world_ask(w, API_SESSION_END, NULL, session, NULL);
  assert_event(w, "session.ended", session, "root", "\"by-operator\"");
  assert_event(w, "session.ended", session, "root", "\"jihye\"");
  world_free(w);
}

static GError *never_starts(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (order->kind == STEP_START)
    error_set(&err, REASON_UNSUPPORTED, "what", "kvm", "by", "h1", NULL);
  return err;
}

static void a_restrained_pool_refuses_in_words(void **state)
{
  World *w = world_new();
  w->answer = never_starts;
  world_furnish(w, 1, 0, 4);
  for (int i = 0; i < 20; i++)
    world_pass(w, 5);
  assert_int_equal(WORLD_GET(w, Pool, POOL, "cad")->state, POOL_RESTRAINED);
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'cad'}");
  assert_true(error_is(a->error, REASON_POOL_STOPPED));
  g_autofree char *person = error_text(a->error, LANG_EN);
  assert_null(strstr(person, "h1"));
  a = world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'cad','user':'jihye'}");
  assert_true(error_is(a->error, REASON_POOL_RESTRAINED));
  assert_string_equal(error_arg(a->error, "error"), "kvm is not supported by h1");
  world_free(w);
}

static const Task *task_of(World *w, TaskKind kind)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_TASK);
  for (guint i = 0; i < names->len; i++) {
    const Task *task = WORLD_GET(w, Task, TASK, names->pdata[i]);
    if (task->kind == (int)kind)
      return task;
  }
  fail_msg("there is no task %s", task_kind_name(kind));
  return NULL;
}

static int undo_tries;

static GError *undo_fails_once(World *w, const StepOrder *order)
{
  GError *err = never_starts(w, order);
  if (order->kind == STEP_DELETE_VOLUMES && !undo_tries++)
    error_set(&err, REASON_IO, "action", "remove", "path", "/srv/disk/d", "detail", "busy", NULL);
  return err;
}

static void a_failed_task_keeps_what_failed(void **state)
{
  World *w = world_new();
  undo_tries = 0;
  w->answer = undo_fails_once;
  world_furnish(w, 1, 0, 1);
  const Task *task = task_of(w, TASK_PROVISION);
  assert_true(task->undoing);
  assert_string_equal(task->step, "start");
  assert_non_null(strstr(task->error, "\"unsupported\""));
  assert_event(w, "task.undo-failed", task->head.name, NULL, "busy");
  world_ask(w, API_POOL_PAUSE, NULL, "cad", NULL);
  world_pass(w, 2);
  task = task_of(w, TASK_PROVISION);
  assert_int_equal(task->state, TASK_FAILED);
  assert_string_equal(task->step, "start");
  assert_non_null(strstr(task->error, "\"unsupported\""));
  world_free(w);
}

static void a_cancelled_task_ends_cancelled(void **state)
{
  World *w = world_new();
  w->hold = true;
  world_furnish(w, 0, 0, 1);
  g_autofree char *name = g_strdup(task_of(w, TASK_IMPORT)->head.name);
  assert_int_equal(world_ask(w, API_TASK_CANCEL, NULL, name, NULL)->status, 202);
  w->hold = false;
  world_release(w);
  world_settle(w);
  assert_int_equal(WORLD_GET(w, Task, TASK, name)->state, TASK_CANCELLED);
  assert_event(w, "task.cancelled", name, "root", NULL);
  world_free(w);
}

static void a_cancelled_desktop_is_no_error_of_its_pool(void **state)
{
  World *w = world_new();
  w->hold = true;
  world_furnish(w, 1, 0, 1);
  world_release(w); /* the import */
  world_settle(w);
  g_autofree char *name = g_strdup(task_of(w, TASK_PROVISION)->head.name);
  world_ask(w, API_POOL_PAUSE, NULL, "cad", NULL);
  world_ask(w, API_TASK_CANCEL, NULL, name, NULL);
  w->hold = false;
  world_release(w);
  world_settle(w);
  assert_int_equal(WORLD_GET(w, Task, TASK, name)->state, TASK_CANCELLED);
  assert_int_equal(WORLD_GET(w, Pool, POOL, "cad")->errors, 0);
  world_free(w);
}

static void login_refused(World *w, const char *name)
{
  Request *r = request_new(API_LOGIN);
  r->refused = true;
  r->body = json_pack("{ss ss}", "name", name, "from", "10.0.0.9");
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  assert_true(error_is(w->last->error, REASON_BAD_LOGIN));
}

static void a_refused_login_is_told_once_a_minute(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  login_refused(w, "jihye");
  assert_event(w, "user.login-refused", "jihye", NULL, "10.0.0.9");
  guint events = w->events->len;
  login_refused(w, "jihye");
  assert_int_equal(w->events->len, events);
  login_refused(w, "hunter2"); /* a password in the wrong field */
  login_refused(w, "hunter3");
  assert_int_equal(w->events->len, events + 1);
  assert_event(w, "user.login-refused", "", NULL, NULL);
  world_pass(w, 61);
  login_refused(w, "jihye");
  assert_event(w, "user.login-refused", "jihye", NULL, NULL);
  world_free(w);
}

static void a_desktop_that_is_away_gives_no_ticket(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *session = g_strdup(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'cad'}")->object->name);
  assert_null(world_ask(w, API_SESSION_TICKET, "jihye", session, NULL)->error);
  Observation *gone = observation_new(SAW_DOMAINS, "h1");
  brain_observe(w->brain, gone, w->now_us);
  world_settle(w);
  assert_true(error_is(world_ask(w, API_SESSION_TICKET, "jihye", session, NULL)->error, REASON_DESKTOP_VANISHED));
  host_seen(w, SAW_SILENT);
  assert_true(error_is(world_ask(w, API_SESSION_TICKET, "jihye", session, NULL)->error, REASON_DESKTOP_AWAY));
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_an_administrator_asked_names_them),
    cmocka_unit_test(a_token_names_whose_it_is),
    cmocka_unit_test(what_was_refused_is_no_event),
    cmocka_unit_test(a_lost_desktop_says_why),
    cmocka_unit_test(an_ended_session_names_who_ended_it),
    cmocka_unit_test(a_restrained_pool_refuses_in_words),
    cmocka_unit_test(a_refused_login_is_told_once_a_minute),
    cmocka_unit_test(a_desktop_that_is_away_gives_no_ticket),
    cmocka_unit_test(a_failed_task_keeps_what_failed),
    cmocka_unit_test(a_cancelled_task_ends_cancelled),
    cmocka_unit_test(a_cancelled_desktop_is_no_error_of_its_pool),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

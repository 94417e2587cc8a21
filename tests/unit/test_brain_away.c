/* A person is let in only while the desktop is there and on; one whose domain was removed behind our back is healed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

typedef struct {
  World *w;
  char *session, *desktop;
} Held;

static const Session *session_at(Held *h) { return WORLD_GET(h->w, Session, SESSION, h->session); }
static const Desktop *desktop_at(Held *h) { return WORLD_GET(h->w, Desktop, DESKTOP, h->desktop); }

static void held_in(Held *h, const char *pool)
{
  g_autofree char *body = g_strdup_printf("{'pool':'%s'}", pool);
  const Answer *a = world_ask(h->w, API_SESSION_REQUEST, "jihye", NULL, body);
  assert_non_null(a->object);
  g_free(h->session);
  g_free(h->desktop);
  h->session = g_strdup(a->object->name);
  h->desktop = g_strdup(session_at(h)->desktop);
  assert_true(session_at(h)->ready);
}

static Held held_new(void)
{
  Held h = { .w = world_new() };
  world_furnish(h.w, 1, 0, 2);
  held_in(&h, "cad");
  return h;
}

static Held owned_new(void)
{
  Held h = { .w = world_new() };
  world_furnish(h.w, 0, 0, 2);
  world_ask(h.w, API_POOL_CREATE, NULL, NULL, "{'name':'own','kind':'dedicated','template':'linux','image':'linux','min':1,'max':1}");
  held_in(&h, "own");
  return h;
}

static void held_done(Held *h)
{
  g_free(h->session);
  g_free(h->desktop);
  world_free(h->w);
}

/* ── what is seen ─────────────────────────────────────────────────────────── */

static void see_list(Held *h, const char *host, PowerState power, bool there)
{
  Observation *o = observation_new(SAW_DOMAINS, host);
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(h->w->brain), h->desktop);
  DomainSeen *seen = there ? observation_add_domain(o, uuid) : NULL;
  if (seen) {
    seen->ours = true;
    seen->desktop = g_strdup(h->desktop);
    seen->clone = 1;
    seen->power = power;
  }
  brain_observe(h->w->brain, o, h->w->now_us);
  world_settle(h->w);
}

static void see_host(Held *h, const char *host, bool answers)
{
  Observation *o = observation_new(answers ? SAW_HOST : SAW_SILENT, host);
  if (answers)
    o->hostname = g_strdup(host);
  else
    error_set(&o->error, REASON_TIMEOUT, "what", host, "limit", "15 s", NULL);
  brain_observe(h->w->brain, o, h->w->now_us);
  world_settle(h->w);
}

/* Its definition is gone, it runs on. */
static void see_undefined(Held *h, bool transient)
{
  Observation *o = observation_new(SAW_DOMAINS, "h1");
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(h->w->brain), h->desktop);
  DomainSeen *seen = observation_add_domain(o, uuid);
  seen->ours = true;
  seen->desktop = g_strdup(h->desktop);
  seen->clone = 1;
  seen->power = POWER_ON;
  seen->transient = transient;
  brain_observe(h->w->brain, o, h->w->now_us);
  world_settle(h->w);
}

/* ── who is let in ────────────────────────────────────────────────────────── */

static void ticket_is(Held *h, const char *wanted)
{
  const Answer *a = world_ask(h->w, API_SESSION_TICKET, "jihye", h->session, "{}");
  assert_string_equal(a->error ? reason_wire(error_reason(a->error)) : "given", wanted);
}

static const struct {
  PowerState power;
  bool ready;
  const char *ticket, *why;
} powers[] = {
  { POWER_ON, true, "given", "it is on" },
  { POWER_OFF, false, "desktop-off", "there is nothing behind the console" },
  { POWER_SUSPENDED, false, "desktop-off", "its screen stands still" },
  { POWER_SAVED, false, "desktop-off", "its memory is on disk" },
  { POWER_CRASHED, false, "desktop-off", "its guest is dead" },
  { POWER_UNKNOWN, false, "desktop-away", "nobody has seen it" },
};

static void a_session_was_ready_while_its_desktop_was_off(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(powers); i++) {
    Held h = held_new();
    see_list(&h, "h1", powers[i].power, true);
    if (session_at(&h)->ready != powers[i].ready)
      fail_msg("%s: ready %d (%s)", power_state_name(powers[i].power), session_at(&h)->ready, powers[i].why);
    ticket_is(&h, powers[i].ticket);
    assert_int_equal(!session_at(&h)->error, powers[i].ready);
    see_list(&h, "h1", POWER_ON, true);
    assert_true(session_at(&h)->ready);
    assert_null(session_at(&h)->error);
    ticket_is(&h, "given");
    held_done(&h);
  }
}

static char *ticket_take(Held *h)
{
  const Answer *a = world_ask(h->w, API_SESSION_TICKET, "jihye", h->session, "{}");
  json_auto_t *json = json_loads(a->json, 0, NULL);
  return g_strdup_printf("{'ticket':'%s','protocol':'vnc'}", json_string_value(json_object_get(json, "ticket")));
}

/* Taken while it was on: what it would open now is said, not that the ticket were bad. */
static void a_ticket_tells_that_its_desktop_is_off(void **state)
{
  Held h = held_new();
  g_autofree char *body = ticket_take(&h);
  see_list(&h, "h1", POWER_OFF, true);
  const Answer *a = world_ask(h.w, API_GATEWAY_REDEEM, NULL, NULL, body);
  assert_string_equal(reason_wire(error_reason(a->error)), "desktop-off");
  held_done(&h);
}

static void a_silent_host_lets_nobody_in(void **state)
{
  Held h = held_new();
  see_host(&h, "h1", false);
  assert_false(session_at(&h)->ready);
  ticket_is(&h, "desktop-away");
  assert_non_null(world_event(h.w, "session.away"));
  see_host(&h, "h1", true);
  assert_false(session_at(&h)->ready); /* it answers, but how the desktop fared was not seen yet */
  ticket_is(&h, "desktop-away");
  see_list(&h, "h1", POWER_ON, true);
  assert_true(session_at(&h)->ready);
  ticket_is(&h, "given");
  held_done(&h);
}

/* Somebody's desktop was undefined by hand while it runs: it is said once, and nobody is kept out; it is unsaid when the definition is back. */
static void one_without_a_definition_is_told_and_used_on(void **state)
{
  Held h = held_new();
  see_undefined(&h, true);
  assert_non_null(strstr(desktop_at(&h)->error, "\"desktop-undefined\""));
  const Event *told = world_event(h.w, "desktop.undefined");
  assert_string_equal(told->object, h.desktop);
  int64_t said = told->head.created_us;
  assert_true(session_at(&h)->ready);
  ticket_is(&h, "given");
  h.w->now_us += G_USEC_PER_SEC;
  see_undefined(&h, true);
  assert_int_equal(world_event(h.w, "desktop.undefined")->head.created_us, said);
  see_undefined(&h, false);
  assert_null(desktop_at(&h)->error);
  see_undefined(&h, true);
  see_list(&h, "h1", POWER_ON, false); /* off, so gone: as any that vanished */
  ticket_is(&h, "desktop-vanished");
  held_done(&h);
}

/* What hindered somebody is over with the session. */
static void an_ended_session_tells_no_hindrance(void **state)
{
  Held h = held_new();
  see_list(&h, "h1", POWER_OFF, true);
  world_ask(h.w, API_SESSION_END, "jihye", h.session, NULL);
  assert_null(session_at(&h)->error);
  held_done(&h);
}

/* ── removed behind our back ──────────────────────────────────────────────── */

static void a_vanished_domain_is_made_again_of_its_disk(void **state)
{
  Held h = held_new();
  see_list(&h, "h1", POWER_OFF, false);
  assert_false(session_at(&h)->ready);
  ticket_is(&h, "desktop-vanished");
  assert_string_equal(world_event(h.w, "desktop.vanished")->object, h.desktop);
  h.w->hold = true;
  world_pass(h.w, 4);
  static const StepKind wanted[] = { STEP_FIND_DISK, STEP_DEFINE, STEP_FIND_DISK, STEP_DEFINE, STEP_START, STEP_READY };
  for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
    assert_int_equal(h.w->held->len, 1);
    assert_int_equal(((StepOrder *)h.w->held->pdata[0])->kind, wanted[i]);
    world_release(h.w);
    world_settle(h.w);
  }
  assert_int_equal(h.w->held->len, 0);
  assert_true(session_at(&h)->ready);
  assert_null(desktop_at(&h)->error);
  assert_int_equal(desktop_at(&h)->clone, 1);
  assert_string_equal(desktop_at(&h)->session, h.session);
  held_done(&h);
}

static void one_that_was_off_is_not_switched_on(void **state)
{
  Held h = held_new();
  world_ask(h.w, API_DESKTOP_DESTROY, "jihye", h.desktop, NULL);
  see_list(&h, "h1", POWER_OFF, false);
  world_pass(h.w, 4);
  assert_null(desktop_at(&h)->task);
  assert_int_equal(desktop_at(&h)->power, POWER_OFF);
  ticket_is(&h, "desktop-off");
  held_done(&h);
}

static GError *disk_is_gone(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (order->kind == STEP_FIND_DISK)
    error_set(&err, REASON_DISK_GONE, "desktop", order->desktop->head.name, "storage", "disk", "volume", "v", NULL);
  return err;
}

static void without_its_disk_the_desktop_is_replaced(void **state)
{
  Held h = held_new();
  h.w->answer = disk_is_gone;
  see_list(&h, "h1", POWER_OFF, false);
  for (int i = 0; i < 5; i++)
    world_pass(h.w, 5);
  assert_int_equal(session_at(&h)->state, SESSION_ENDED);
  assert_int_equal(session_at(&h)->reason, END_FAILED);
  assert_non_null(strstr(session_at(&h)->error, "disk-gone"));
  assert_null(desktop_at(&h)); /* never handed on: destroyed */
  assert_int_equal(world_count(h.w, NOUN_DESKTOP, DESKTOP_AVAILABLE), 1);
  assert_int_equal(WORLD_GET(h.w, Pool, POOL, "cad")->errors, 0);
  held_done(&h);
}

/* What its owner lost may be put back; nobody makes a fresh one in its place, and nobody tries for ever. */
static void an_owners_desktop_waits_for_its_disk(void **state)
{
  Held h = owned_new();
  h.w->answer = disk_is_gone;
  see_list(&h, "h1", POWER_OFF, false);
  for (int i = 0; i < 5; i++)
    world_pass(h.w, 5);
  assert_int_equal(session_at(&h)->state, SESSION_ENDED);
  assert_non_null(strstr(desktop_at(&h)->error, "disk-gone"));
  assert_string_equal(desktop_at(&h)->owner, "jihye");
  see_list(&h, "h1", POWER_OFF, false);
  assert_null(desktop_at(&h)->task);
  world_ask(h.w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'own'}");
  for (int i = 0; i < 5; i++)
    world_pass(h.w, 5);
  assert_non_null(strstr(desktop_at(&h)->error, "disk-gone")); /* still, and said to whoever asks for it */
  h.w->answer = NULL;
  held_in(&h, "own");
  held_done(&h);
}

static void host_add(Held *h, const char *name)
{
  g_autofree char *body = g_strdup_printf("{'name':'%s','uri':'fake:%s'}", name, name);
  world_ask(h->w, API_HOST_ADD, NULL, NULL, body);
  see_host(h, name, true);
}

static void one_moved_by_hand_runs_once(void **state)
{
  for (int seen_first = 0; seen_first < 2; seen_first++) {
    Held h = held_new();
    host_add(&h, "h2");
    if (seen_first)
      see_list(&h, "h2", POWER_ON, true);
    see_list(&h, "h1", POWER_OFF, false);
    if (!seen_first)
      see_list(&h, "h2", POWER_ON, true);
    h.w->hold = true;
    world_pass(h.w, 40);
    assert_int_equal(h.w->held->len, 0);
    ticket_is(&h, "desktop-elsewhere");
    see_list(&h, "h1", POWER_OFF, false);
    assert_null(desktop_at(&h)->task);
    see_list(&h, "h2", POWER_ON, false);
    see_list(&h, "h1", POWER_ON, true); /* moved back */
    assert_true(session_at(&h)->ready);
    assert_null(desktop_at(&h)->error);
    held_done(&h);
  }
}

/* Nobody is in it: it goes back by a start, and its host may have forgotten it. */
static void an_untouched_one_that_vanished_is_defined_before_it_starts(void **state)
{
  Held h = { .w = world_new() };
  world_furnish(h.w, 1, 0, 1);
  world_ask(h.w, API_POOL_CHANGE, NULL, "cad", "{'personalise':'none'}");
  held_in(&h, "cad");
  see_list(&h, "h1", POWER_OFF, false);
  h.w->hold = true;
  world_ask(h.w, API_SESSION_END, "jihye", h.session, NULL);
  assert_int_equal(h.w->held->len, 1);
  assert_int_equal(((StepOrder *)h.w->held->pdata[0])->kind, STEP_DEFINE);
  h.w->hold = false;
  world_release(h.w);
  world_settle(h.w);
  assert_int_equal(desktop_at(&h)->state, DESKTOP_AVAILABLE);
  held_done(&h);
}

/* Its host falls silent while its domain is made again, and its person leaves: two tasks had it once the host was back. */
static void one_that_was_healed_when_its_host_came_back_had_two_tasks(void **state)
{
  Held h = { .w = world_new() };
  world_furnish(h.w, 1, 0, 1);
  world_ask(h.w, API_POOL_CHANGE, NULL, "cad", "{'personalise':'none'}");
  held_in(&h, "cad");
  see_list(&h, "h1", POWER_OFF, false);
  h.w->hold = true;
  world_pass(h.w, 4);
  assert_int_equal(h.w->held->len, 1);
  g_autofree char *healing = g_strdup(desktop_at(&h)->task);
  see_host(&h, "h1", false);
  world_ask(h.w, API_SESSION_END, "jihye", h.session, NULL);
  see_host(&h, "h1", true);
  assert_string_not_equal(desktop_at(&h)->task, healing);
  assert_int_equal(WORLD_GET(h.w, Task, TASK, healing)->state, TASK_CANCELLED);
  h.w->hold = false;
  world_release(h.w);
  world_settle(h.w);
  assert_int_equal(desktop_at(&h)->state, DESKTOP_AVAILABLE);
  assert_null(desktop_at(&h)->task);
  held_done(&h);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_session_was_ready_while_its_desktop_was_off),
    cmocka_unit_test(a_ticket_tells_that_its_desktop_is_off),
    cmocka_unit_test(a_silent_host_lets_nobody_in),
    cmocka_unit_test(one_without_a_definition_is_told_and_used_on),
    cmocka_unit_test(an_ended_session_tells_no_hindrance),
    cmocka_unit_test(a_vanished_domain_is_made_again_of_its_disk),
    cmocka_unit_test(one_that_was_off_is_not_switched_on),
    cmocka_unit_test(without_its_disk_the_desktop_is_replaced),
    cmocka_unit_test(an_owners_desktop_waits_for_its_disk),
    cmocka_unit_test(one_moved_by_hand_runs_once),
    cmocka_unit_test(an_untouched_one_that_vanished_is_defined_before_it_starts),
    cmocka_unit_test(one_that_was_healed_when_its_host_came_back_had_two_tasks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

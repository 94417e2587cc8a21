/* What the simulator found wrong in the brain, each as the smallest story of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

#define DESKTOPS(w, state) world_count(w, NOUN_DESKTOP, DESKTOP_##state)

static void host_seen(World *w, ObservationKind kind)
{
  Observation *o = observation_new(kind, "h1");
  if (kind == SAW_SILENT)
    error_set(&o->error, REASON_TIMEOUT, "what", "h1", "limit", "15 s", NULL);
  else
    o->hostname = g_strdup("h1");
  brain_observe(w->brain, o, w->now_us);
}

static void events_stayed_in_memory_for_ever(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 2);
  g_autoptr(GPtrArray) events = brain_names(w->brain, NOUN_EVENT);
  assert_int_equal(events->len, 0);
  world_free(w);
}

static void a_desktop_being_made_could_not_be_retired(void **state)
{
  World *w = world_new();
  w->hold = true;
  world_furnish(w, 1, 0, 1);
  world_release(w); /* the import */
  world_settle(w);
  assert_int_equal(DESKTOPS(w, PROVISIONING), 1);
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  g_autofree char *name = g_strdup(names->pdata[0]);
  assert_int_equal(world_ask(w, API_DESKTOP_RETIRE, NULL, name, NULL)->status, 202);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, name)->state, DESKTOP_RETIRING);
  world_free(w);
}

static void a_desktop_ready_on_a_host_gone_silent_was_offered(void **state)
{
  World *w = world_new();
  w->hold = true;
  world_furnish(w, 1, 0, 1);
  for (int step = 0; step < 5; step++) { /* the import, and all but the last step */
    world_release(w);
    world_settle(w);
  }
  assert_int_equal(DESKTOPS(w, WAIT_READY), 1);
  host_seen(w, SAW_SILENT);
  world_release(w);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 0);
  assert_int_equal(DESKTOPS(w, LOST), 1);
  world_settle(w);
  world_free(w);
}

static char *session_of(World *w, const char *user)
{
  const Answer *a = world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'cad'}");
  assert_non_null(a);
  assert_null(a->error);
  return g_strdup(a->object->name);
}

/* Asks, and answers the step only after the session has ended and somebody else has the desktop. */
static const Answer *answered_late(World *w, ApiVerb verb, const char *user, const char *name, const char *body, const char *session)
{
  w->hold = true;
  assert_null(world_ask(w, verb, user, name, body));
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  int before = w->answers;
  w->hold = false;
  world_release(w);
  world_settle(w);
  return w->answers > before ? w->last : NULL;
}

static void a_console_was_opened_for_a_session_that_had_ended(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 1);
  g_autofree char *session = session_of(w, "jihye");
  const Answer *a = world_ask(w, API_SESSION_TICKET, "jihye", session, "{}");
  json_auto_t *json = json_loads(a->json, 0, NULL);
  g_autofree char *body = g_strdup_printf("{'ticket':'%s','protocol':'vnc'}", json_string_value(json_object_get(json, "ticket")));
  a = answered_late(w, API_GATEWAY_REDEEM, NULL, NULL, body, session);
  assert_non_null(a);
  assert_non_null(a->error);
  assert_string_equal(reason_wire(error_reason(a->error)), "bad-ticket");
  world_free(w);
}

static void a_picture_was_of_the_next_persons_screen(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 1);
  g_autofree char *session = session_of(w, "jihye");
  g_autofree char *desktop = g_strdup(WORLD_GET(w, Session, SESSION, session)->desktop);
  const Answer *a = answered_late(w, API_DESKTOP_SCREENSHOT, "jihye", desktop, NULL, session);
  assert_non_null(a);
  assert_non_null(a->error);
  assert_string_equal(reason_wire(error_reason(a->error)), "desktop-changed-hands");
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_console_was_opened_for_a_session_that_had_ended),
    cmocka_unit_test(a_picture_was_of_the_next_persons_screen),
    cmocka_unit_test(events_stayed_in_memory_for_ever),
    cmocka_unit_test(a_desktop_being_made_could_not_be_retired),
    cmocka_unit_test(a_desktop_ready_on_a_host_gone_silent_was_offered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

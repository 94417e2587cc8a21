/* A desktop that was given waits for its person so long and no longer; and who sits at one is told before its time is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "core/lifecycle.h"
#include "tests/unit/brain_world.h"

static const Desktop *desktop_of(World *w, const char *session)
{
  return WORLD_GET(w, Desktop, DESKTOP, WORLD_GET(w, Session, SESSION, session)->desktop);
}

static char *ask(World *w, const char *user)
{
  world_answered(world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'p'}"), 201);
  return g_strdup(w->last->object->name);
}

/* A ticket as a gateway hands it in; owned by the caller. */
static char *ticket_body(World *w, const char *user, const char *session)
{
  world_answered(world_ask(w, API_SESSION_TICKET, user, session, NULL), 201);
  json_auto_t *json = json_loads(w->last->json, 0, NULL);
  return g_strdup_printf("{'ticket':'%s','protocol':'vnc'}", json_string_value(json_object_get(json, "ticket")));
}

static void gateway_says(World *w, const char *what)
{
  g_autofree char *body = g_strdup_printf("{'gateway':'g1',%s}", what);
  assert_null(world_ask(w, API_GATEWAY_SYNC, NULL, NULL, body)->error);
}

/* The relay's name, owned by the caller. */
static char *redeem(World *w, const char *ticket)
{
  const Answer *a = world_ask(w, API_GATEWAY_REDEEM, NULL, NULL, ticket);
  world_answered(a, 200);
  json_auto_t *json = json_loads(a->json, 0, NULL);
  return g_strdup(json_string_value(json_object_get(json, "relay")));
}

static char *connects(World *w, const char *user, const char *session)
{
  g_autofree char *ticket = ticket_body(w, user, session);
  char *relay = redeem(w, ticket);
  g_autofree char *opened = g_strdup_printf("'opened':['%s']", relay);
  gateway_says(w, opened);
  return relay;
}

static void leaves(World *w, const char *relay)
{
  g_autofree char *closed = g_strdup_printf("'closed':['%s']", relay);
  gateway_says(w, closed);
}

static void alive(World *w, int64_t seconds)
{
  for (; seconds > 0; seconds -= 10) {
    world_pass(w, MIN(seconds, 10));
    gateway_says(w, "'opened':[]");
  }
}

static void who_waited_is_offered_the_desktop_and_takes_it(void **state)
{
  World *w = world_one_seat("");
  g_autofree char *one = ask(w, "ann"), *two = ask(w, "bea");
  assert_int_equal(world_session_is(w, one, SESSION_ASSIGNED)->take_by, w->now_us + OFFER_S * SECOND_US);
  world_session_is(w, two, SESSION_QUEUED);
  assert_string_equal(world_event(w, "session.queued")->object, two);
  world_answered(world_ask(w, API_SESSION_END, "ann", one, NULL), 200);
  const Session *s = world_session_is(w, two, SESSION_OFFERED);
  assert_string_equal(world_event(w, "session.offered")->object, two);
  assert_int_equal(s->take_by, w->now_us + OFFER_S * SECOND_US);
  assert_string_equal(s->licences[0], "cad"); /* held with it */
  assert_true(s->ready);
  world_pass(w, OFFER_S - 1);
  g_autofree char *ticket = ticket_body(w, "bea", two); /* at the last moment: there is time for the connect */
  world_session_is(w, two, SESSION_ASSIGNED);
  world_pass(w, TICKET_LIFE_S - 1);
  g_autofree char *relay = redeem(w, ticket), *opened = g_strdup_printf("'opened':['%s']", relay);
  gateway_says(w, opened);
  assert_int_equal(world_session_is(w, two, SESSION_ACTIVE)->take_by, 0);
  alive(w, 3 * OFFER_S);
  world_session_is(w, two, SESSION_ACTIVE);
  leaves(w, relay); /* and has been there: no offer any more */
  world_pass(w, 3 * OFFER_S);
  world_session_is(w, two, SESSION_DISCONNECTED);
  world_free(w);
}

static void what_nobody_takes_goes_to_the_next_in_line(void **state)
{
  World *w = world_one_seat(",'offer_s':300,'disconnected_s':60");
  g_autofree char *one = ask(w, "ann"), *two = ask(w, "bea"), *desktop = g_strdup(desktop_of(w, one)->head.name);
  bool touched = desktop_of(w, one)->touched;
  int64_t clone = desktop_of(w, one)->clone;
  world_pass(w, 299);
  world_session_is(w, one, SESSION_ASSIGNED);
  world_pass(w, 1);
  assert_int_equal(world_session_is(w, one, SESSION_ENDED)->reason, END_OFFER);
  assert_int_equal(WORLD_GET(w, Session, SESSION, one)->take_by, 0);
  world_session_is(w, two, SESSION_OFFERED);
  const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, desktop);
  assert_true(touched); /* ann's account was put into it, so it was reset before it is there for others */
  assert_int_equal(d->state, DESKTOP_AVAILABLE);
  assert_int_equal(d->clone, clone + 1);
  world_pass(w, 300);
  assert_int_equal(world_session_is(w, two, SESSION_ENDED)->reason, END_OFFER);
  assert_int_equal(world_count(w, NOUN_DESKTOP, DESKTOP_AVAILABLE), 2);
  assert_int_equal(WORLD_GET(w, Licence, LICENCE, "cad")->held, 0);
  world_free(w);
}

static void one_that_nothing_of_a_person_got_into_is_not_reset(void **state)
{
  World *w = world_one_seat(",'personalise':'none'");
  g_autofree char *one = ask(w, "ann"), *desktop = g_strdup(desktop_of(w, one)->head.name);
  world_pass(w, OFFER_S);
  assert_int_equal(world_session_is(w, one, SESSION_ENDED)->reason, END_OFFER);
  const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, desktop);
  assert_int_equal(d->state, DESKTOP_AVAILABLE);
  assert_int_equal(d->clone, 1);
  g_autofree char *two = ask(w, "ann"), *used = g_strdup(desktop_of(w, two)->head.name);
  g_autofree char *ticket = ticket_body(w, "ann", two), *relay = redeem(w, ticket); /* but a console that never opened counts */
  world_pass(w, RELAY_OPEN_S);
  world_session_is(w, two, SESSION_DISCONNECTED);
  world_pass(w, OFFER_S);
  assert_int_equal(world_session_is(w, two, SESSION_ENDED)->reason, END_OFFER);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, used)->clone, 2);
  world_free(w);
}

static void the_time_to_come_begins_when_it_can_be_opened(void **state)
{
  World *w = world_one_seat(",'offer_s':10");
  w->hold = true;
  g_autofree char *one = ask(w, "ann");
  assert_false(world_session_is(w, one, SESSION_ASSIGNED)->ready);
  world_pass(w, 20); /* it takes longer to get ready than its person has to come */
  world_session_is(w, one, SESSION_ASSIGNED);
  w->hold = false;
  world_release(w);
  const Session *s = world_session_is(w, one, SESSION_ASSIGNED);
  assert_true(s->ready);
  assert_int_equal(s->take_by, w->now_us + 10 * SECOND_US);
  world_free(w);
}

static void who_else_looks_in_does_not_take_it_for_its_person(void **state)
{
  World *w = world_one_seat(",'personalise':'none'");
  world_answered(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'oper','role':'operator'}"), 201);
  g_autofree char *one = ask(w, "ann");
  int64_t take_by_us = world_session_is(w, one, SESSION_ASSIGNED)->take_by;
  g_autofree char *relay = connects(w, "oper", one);
  assert_int_equal(world_session_is(w, one, SESSION_ACTIVE)->take_by, take_by_us);
  leaves(w, relay);
  world_session_is(w, one, SESSION_DISCONNECTED);
  world_pass(w, OFFER_S);
  assert_int_equal(world_session_is(w, one, SESSION_ENDED)->reason, END_OFFER);
  world_free(w);
}

static void an_offer_outlives_the_controller(void **state)
{
  World *w = world_one_seat("");
  g_autofree char *one = ask(w, "ann"), *two = ask(w, "bea");
  world_answered(world_ask(w, API_SESSION_END, "ann", one, NULL), 200);
  int64_t take_by_us = world_session_is(w, two, SESSION_OFFERED)->take_by;
  world_pass(w, 60);
  world_crash(w);
  assert_int_equal(world_session_is(w, two, SESSION_OFFERED)->take_by, take_by_us);
  assert_true(w->wake_us <= take_by_us);
  w->now_us = take_by_us;
  world_crash(w);
  assert_int_equal(world_session_is(w, two, SESSION_ENDED)->reason, END_OFFER);
  world_free(w);
}

static void who_sits_there_is_warned_before_the_time_is_over(void **state)
{
  World *w = world_one_seat(",'lasts_s':3600,'warn_s':600");
  g_autofree char *one = ask(w, "ann"), *relay = connects(w, "ann", one);
  int64_t ends_us = world_session_is(w, one, SESSION_ACTIVE)->ends;
  assert_int_equal(WORLD_GET(w, Session, SESSION, one)->warns, ends_us - 600 * SECOND_US);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'warn_s':10}"), 200); /* for later sessions */
  alive(w, 2990);
  world_session_is(w, one, SESSION_ACTIVE);
  alive(w, 10);
  world_session_is(w, one, SESSION_WARNED);
  const Event *e = world_event(w, "session.warned");
  assert_string_equal(e->object, one);
  assert_non_null(strstr(e->detail, "\"ends\":\"20"));
  g_autofree char *second = connects(w, "ann", one); /* beside the first: nothing new to them */
  world_session_is(w, one, SESSION_WARNED);
  leaves(w, second);
  world_session_is(w, one, SESSION_WARNED);
  leaves(w, relay);
  world_session_is(w, one, SESSION_DISCONNECTED);
  g_autofree char *third = connects(w, "ann", one);
  world_pass(w, 0); /* who comes back is told again */
  world_session_is(w, one, SESSION_WARNED);
  alive(w, 600);
  assert_int_equal(world_session_is(w, one, SESSION_ENDED)->reason, END_OVER);
  world_free(w);
}

static void a_pool_that_gives_more_time_later_takes_nobody_by_the_old_one(void **state)
{
  World *w = world_one_seat(",'disconnected_s':60");
  g_autofree char *one = ask(w, "ann"), *relay = connects(w, "ann", one);
  leaves(w, relay);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'disconnected_s':600}"), 200);
  world_pass(w, 61);
  world_session_is(w, one, SESSION_DISCONNECTED);
  world_pass(w, 540);
  assert_int_equal(world_session_is(w, one, SESSION_ENDED)->reason, END_TIMEOUT);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(who_waited_is_offered_the_desktop_and_takes_it),
    cmocka_unit_test(what_nobody_takes_goes_to_the_next_in_line),
    cmocka_unit_test(one_that_nothing_of_a_person_got_into_is_not_reset),
    cmocka_unit_test(the_time_to_come_begins_when_it_can_be_opened),
    cmocka_unit_test(who_else_looks_in_does_not_take_it_for_its_person),
    cmocka_unit_test(an_offer_outlives_the_controller),
    cmocka_unit_test(who_sits_there_is_warned_before_the_time_is_over),
    cmocka_unit_test(a_pool_that_gives_more_time_later_takes_nobody_by_the_old_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

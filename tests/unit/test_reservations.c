/* Desktops that are kept for some people, or for whoever comes: made in time, given to nobody else, and told where there is no room for all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "core/lifecycle.h"
#include "tests/unit/brain_world.h"

static void refused(const Answer *a, Reason reason)
{
  if (!a->error || !error_is(a->error, reason))
    fail_msg("%s instead of %s", a->error ? a->error->message : "done", reason_wire(reason));
}

/* Host h1 has so many CPUs, one a desktop; pool p; ann, bea, cho and dan may ask. more: of the pool's JSON. */
static World *house(int vcpus, const char *more)
{
  static const char *const people[] = { "ann", "bea", "cho", "dan" };
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  g_autofree char *host = g_strdup_printf("{'vcpus':%d}", vcpus);
  world_ask(w, API_HOST_CHANGE, NULL, "h1", host);
  for (size_t i = 0; i < G_N_ELEMENTS(people); i++) {
    g_autofree char *user = g_strdup_printf("{'name':'%s'}", people[i]);
    world_answered(world_ask(w, API_USER_ADD, NULL, NULL, user), 201);
  }
  g_autofree char *pool = g_strdup_printf("{'name':'p','template':'linux','image':'linux','vcpus':1,'memory_mib':256,'offer_s':604800%s}", more);
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL, pool), 201);
  return w;
}

static void reserve(World *w, const char *body)
{
  g_autofree char *all = g_strdup_printf("{'name':'class','pool':'p',%s}", body);
  world_answered(world_ask(w, API_RESERVATION_ADD, NULL, NULL, all), 201);
}

static const Reservation *class_is(World *w, ReservationState state, int held, int used)
{
  const Reservation *r = WORLD_GET(w, Reservation, RESERVATION, "class");
  assert_non_null(r);
  assert_string_equal(reservation_state_name(r->state), reservation_state_name(state));
  assert_int_equal(r->held, held);
  assert_int_equal(r->used, used);
  return r;
}

static char *ask(World *w, const char *user)
{
  world_answered(world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'p'}"), 201);
  return g_strdup(w->last->object->name);
}

static bool holds(World *w, const char *session)
{
  return session_state_is_live(WORLD_GET(w, Session, SESSION, session)->state);
}

static int ready(World *w) { return world_count(w, NOUN_DESKTOP, DESKTOP_AVAILABLE); }

static void they_are_made_in_time_and_go_when_it_is_over(void **state)
{
  World *w = house(8, ",'min':0,'max':8,'surplus_s':60");
  reserve(w, "'count':3,'from':'2h','until':'3h','users':['ann','bea','cho']");
  assert_null(class_is(w, RESERVATION_PLANNED, 0, 0)->error);
  assert_int_equal(WORLD_GET(w, Reservation, RESERVATION, "class")->fits, 3);
  assert_int_equal(ready(w), 0);
  assert_true(w->wake_us <= w->now_us + (7200 - LEAD_S) * SECOND_US);
  world_pass(w, 7200 - LEAD_S - 1);
  assert_int_equal(ready(w), 0);
  world_pass(w, 1);
  assert_non_null(world_event(w, "reservation.begun"));
  assert_null(world_event(w, "reservation.short"));
  assert_int_equal(ready(w), 3);
  assert_int_equal(class_is(w, RESERVATION_HELD, 3, 0)->ready, 3);
  world_crash(w);
  class_is(w, RESERVATION_HELD, 3, 0);
  g_autofree char *ann = ask(w, "ann");
  assert_true(holds(w, ann));
  class_is(w, RESERVATION_HELD, 3, 1);
  assert_int_equal(ready(w), 2); /* and none is made for the one that was taken */
  world_pass(w, LEAD_S + 3600 - 1);
  assert_int_equal(ready(w), 2);
  world_pass(w, 1);
  assert_null(WORLD_GET(w, Reservation, RESERVATION, "class"));
  assert_non_null(world_event(w, "reservation.over"));
  world_pass(w, 61);
  assert_int_equal(ready(w), 0);
  assert_true(holds(w, ann)); /* who has one keeps it */
  world_free(w);
}

static void nobody_else_gets_what_is_kept(void **state)
{
  World *w = house(2, ",'min':0,'max':2");
  reserve(w, "'count':2,'until':'3h','users':['ann','bea']");
  assert_int_equal(ready(w), 2);
  refused(world_ask(w, API_SESSION_REQUEST, "cho", NULL, "{'pool':'p'}"), REASON_POOL_RESERVED);
  g_autofree char *ann = ask(w, "ann"), *bea = ask(w, "bea");
  assert_true(holds(w, ann) && holds(w, bea));
  world_answered(world_ask(w, API_SESSION_END, "ann", ann, NULL), 200); /* it was reset, and is ann's again if she comes back */
  class_is(w, RESERVATION_HELD, 2, 1);
  refused(world_ask(w, API_SESSION_REQUEST, "cho", NULL, "{'pool':'p'}"), REASON_POOL_RESERVED);
  g_autofree char *again = ask(w, "ann");
  assert_true(holds(w, again));
  world_answered(world_ask(w, API_SESSION_END, "ann", again, NULL), 200);
  world_answered(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'title':'A class','until':'4h'}"), 200);
  assert_int_equal(class_is(w, RESERVATION_HELD, 2, 1)->fits, 2); /* what it has counts */
  world_answered(world_ask(w, API_RESERVATION_REMOVE, NULL, "class", NULL), 200);
  g_autofree char *cho = ask(w, "cho");
  assert_true(holds(w, cho));
  world_free(w);
}

static int begun(World *w)
{
  int n = 0;
  for (guint i = 0; i < w->events->len; i++)
    n += !strcmp(((const Event *)w->events->pdata[i])->kind, "reservation.begun");
  return n;
}

static void assert_people(const Reservation *r, const char *few)
{
  g_autofree char *n = g_strdup_printf("\"n\":\"%s\"", few);
  if (!r->error || !strstr(r->error, "reservation-people") || !strstr(r->error, n))
    fail_msg("%s instead of %s people", r->error ? r->error : "nothing", few);
}

/* A person has one desktop of a pool: what is beyond that is told, and left to others. */
static void no_more_are_kept_than_there_are_people_for(void **state)
{
  World *w = house(4, ",'min':0,'max':4");
  reserve(w, "'count':4,'until':'3h','users':['ann','ann','bea']");
  assert_people(class_is(w, RESERVATION_SHORT, 2, 0), "2");
  assert_int_equal(WORLD_GET(w, Reservation, RESERVATION, "class")->fits, 2);
  assert_int_equal(g_strv_length(WORLD_GET(w, Reservation, RESERVATION, "class")->users), 2);
  assert_int_equal(ready(w), 2);
  g_autofree char *cho = ask(w, "cho"), *ann = ask(w, "ann");
  assert_true(holds(w, cho) && holds(w, ann));
  assert_people(class_is(w, RESERVATION_SHORT, 2, 1), "2");
  world_answered(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'count':2}"), 200);
  assert_null(class_is(w, RESERVATION_HELD, 2, 1)->error);
  world_answered(world_ask(w, API_USER_CHANGE, NULL, "bea", "{'disabled':true}"), 200);
  assert_people(class_is(w, RESERVATION_SHORT, 1, 1), "1");
  world_answered(world_ask(w, API_USER_CHANGE, NULL, "bea", "{'disabled':false}"), 200);
  class_is(w, RESERVATION_HELD, 2, 1);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'users':['ann','cho']}"), 200);
  assert_people(class_is(w, RESERVATION_SHORT, 1, 1), "1");
  world_answered(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'count':1}"), 200); /* bea is not asked about */
  class_is(w, RESERVATION_HELD, 1, 1);
  refused(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'users':['ann','bea']}"), REASON_BAD_VALUE);
  world_free(w);
}

static void what_is_to_come_for_too_few_is_told_at_once(void **state)
{
  World *w = house(4, ",'min':0,'max':4");
  reserve(w, "'count':3,'from':'2h','until':'3h','users':['ann','bea']");
  const Reservation *r = class_is(w, RESERVATION_PLANNED, 0, 0);
  assert_people(r, "2");
  assert_int_equal(r->fits, 2);
  world_free(w);
}

static void who_is_removed_leaves_nothing_to_who_comes_by_that_name(void **state)
{
  World *w = house(2, ",'min':0,'max':2");
  reserve(w, "'count':2,'until':'3h','users':['ann','bea']");
  world_answered(world_ask(w, API_RESERVATION_ADD, NULL, NULL, "{'name':'hers','pool':'p','count':1,'from':'2h','until':'3h','users':['bea']}"), 201);
  world_answered(world_ask(w, API_USER_REMOVE, NULL, "bea", NULL), 200);
  assert_null(WORLD_GET(w, Reservation, RESERVATION, "hers")); /* it is not for all now */
  assert_people(class_is(w, RESERVATION_SHORT, 1, 0), "1");
  world_answered(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'bea'}"), 201);
  assert_people(class_is(w, RESERVATION_SHORT, 1, 0), "1");
  world_answered(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'count':1}"), 200);
  class_is(w, RESERVATION_HELD, 1, 0);
  world_free(w);
}

static void one_that_is_changed_begins_once(void **state)
{
  World *w = house(2, ",'min':0,'max':4");
  reserve(w, "'count':3,'until':'3h'");
  class_is(w, RESERVATION_SHORT, 2, 0);
  guint before = w->events->len;
  world_answered(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'title':'A class','until':'4h'}"), 200);
  class_is(w, RESERVATION_SHORT, 2, 0);
  assert_int_equal(begun(w), 1);
  for (guint i = before; i < w->events->len; i++)
    assert_string_not_equal(((const Event *)w->events->pdata[i])->kind, "reservation.short");
  world_answered(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'from':'2h'}"), 200);
  class_is(w, RESERVATION_PLANNED, 0, 0);
  world_pass(w, 7200);
  assert_int_equal(begun(w), 2);
  world_free(w);
}

/* Both are due at the same moment, or were while nobody looked. */
static void what_is_too_many_as_it_begins_is_not(void **state)
{
  World *w = house(8, ",'min':3,'max':8,'surplus_s':60");
  assert_int_equal(ready(w), 3);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'min':0}"), 200);
  reserve(w, "'count':2,'from':'61s','until':'3h','lead_s':1");
  int64_t changed_us = w->now_us += SECOND_US / 1000;
  world_pass(w, 60);
  class_is(w, RESERVATION_HELD, 2, 0);
  assert_int_equal(ready(w), 2); /* only the third went */
  g_autoptr(GPtrArray) after = brain_names(w->brain, NOUN_DESKTOP);
  for (guint i = 0; i < after->len; i++)
    assert_true(WORLD_GET(w, Desktop, DESKTOP, after->pdata[i])->head.created_us < changed_us);
  world_free(w);
}

/* Which event it was that told of a session's desktop. */
static guint offered_as(World *w, const char *session)
{
  guint i = 0;
  while (i < w->events->len)
    if (!strcmp(((Event *)w->events->pdata[i])->kind, "session.offered") && !strcmp(((Event *)w->events->pdata[i])->object, session))
      return i;
    else
      i++;
  fail_msg("%s was offered nothing", session);
  return i;
}

/* cho waits first; what becomes free goes to ann all the same, for whom it is kept. */
static void who_has_a_reservation_is_served_before_who_waits_longer(void **state)
{
  World *w = house(8, ",'min':1,'max':8");
  g_autofree char *dan = ask(w, "dan");
  w->hold = true;
  reserve(w, "'count':1,'until':'3h','users':['ann']");
  g_autofree char *cho = ask(w, "cho"), *ann = ask(w, "ann");
  assert_false(holds(w, cho) || holds(w, ann));
  w->hold = false;
  world_release(w);
  world_settle(w);
  class_is(w, RESERVATION_HELD, 1, 1);
  assert_true(holds(w, cho)); /* one was made for them too */
  assert_true(offered_as(w, ann) < offered_as(w, cho));
  world_free(w);
}

static void other_pools_do_not_get_its_room(void **state)
{
  World *w = house(2, ",'min':0,'max':2");
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL,
                 "{'name':'q','template':'linux','image':'linux','vcpus':1,'memory_mib':256,'min':0,'spare':0,'max':4}"), 201);
  reserve(w, "'count':2,'until':'3h','users':['ann','bea']");
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "q", "{'spare':2}"), 200);
  assert_int_equal(ready(w), 2);
  refused(world_ask(w, API_SESSION_REQUEST, "cho", NULL, "{'pool':'q'}"), REASON_NO_ROOM);
  g_autofree char *ann = ask(w, "ann");
  assert_true(holds(w, ann));
  world_free(w);
}

static void what_there_is_no_room_for_is_told_and_held_as_far_as_it_goes(void **state)
{
  World *w = house(2, ",'min':0,'max':8");
  reserve(w, "'count':3,'from':'2h','until':'3h','users':['ann','bea','cho']");
  const Reservation *r = class_is(w, RESERVATION_PLANNED, 0, 0); /* as early as that */
  assert_int_equal(r->fits, 2);
  assert_non_null(strstr(r->error, "place-vcpus"));
  world_pass(w, 7200);
  r = class_is(w, RESERVATION_SHORT, 2, 0);
  assert_non_null(strstr(r->error, "no-place"));
  assert_non_null(strstr(world_event(w, "reservation.short")->detail, "no-place"));
  world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'vcpus':8}");
  world_pass(w, 1);
  assert_null(class_is(w, RESERVATION_HELD, 3, 0)->error);
  assert_non_null(world_event(w, "reservation.held"));
  world_free(w);
}

static void whoever_comes_takes_of_what_is_kept_for_all(void **state)
{
  World *w = house(8, ",'min':0,'max':8");
  g_autofree char *dan = ask(w, "dan"); /* was there before */
  world_pass(w, LEAD_S + 1);
  reserve(w, "'count':2,'until':'3h','lead_s':1");
  class_is(w, RESERVATION_HELD, 2, 0);
  assert_int_equal(ready(w), 2);
  world_pass(w, 1);
  g_autofree char *ann = ask(w, "ann"), *bea = ask(w, "bea");
  assert_true(holds(w, ann) && holds(w, bea));
  class_is(w, RESERVATION_HELD, 2, 2);
  assert_int_equal(ready(w), 0);
  world_free(w);
}

static void seats_are_kept_with_it(void **state)
{
  World *w = house(8, ",'min':4,'max':8");
  world_answered(world_ask(w, API_LICENCE_ADD, NULL, NULL, "{'name':'cad','total':2}"), 201);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'licences':['cad']}"), 200);
  reserve(w, "'count':2,'until':'3h','users':['ann','bea']");
  class_is(w, RESERVATION_HELD, 2, 0);
  g_autofree char *cho = ask(w, "cho"), *ann = ask(w, "ann");
  assert_false(holds(w, cho));
  assert_true(holds(w, ann));
  assert_non_null(strstr(WORLD_GET(w, Session, SESSION, cho)->error, "licence-kept"));
  assert_non_null(strstr(WORLD_GET(w, Session, SESSION, cho)->error, "\"kept\":\"1\""));
  world_answered(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'count':1}"), 200);
  assert_true(holds(w, cho));
  world_answered(world_ask(w, API_RESERVATION_CHANGE, NULL, "class", "{'count':2}"), 200);
  const Reservation *r = class_is(w, RESERVATION_SHORT, 1, 1);
  assert_non_null(strstr(r->error, "licence-kept"));
  world_free(w);
}

/* What many miss is counted once for all who ask: it took minutes when each counted it for each other. */
static void many_of_a_pool_with_licences_hold_nothing_up(void **state)
{
  enum { MANY = 96 };
  World *w = house(2 * MANY, ",'min':0,'max':200");
  world_answered(world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'memory_mib':1000000}"), 200);
  world_answered(world_ask(w, API_LICENCE_ADD, NULL, NULL, "{'name':'cad','total':100}"), 201);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'licences':['cad']}"), 200);
  int64_t begun_us = g_get_monotonic_time();
  for (int i = 0; i < MANY; i++) {
    g_autofree char *one = g_strdup_printf("{'name':'c%d','pool':'p','count':1,'until':'3h'%s}", i, i ? "" : ",'users':['ann']");
    world_answered(world_ask(w, API_RESERVATION_ADD, NULL, NULL, one), 201);
  }
  assert_int_equal(ready(w), MANY);
  g_autofree char *ann = ask(w, "ann"), *cho = ask(w, "cho");
  assert_true(holds(w, ann) && holds(w, cho));
  assert_int_equal(WORLD_GET(w, Reservation, RESERVATION, "c0")->used, 1);
  assert_true(g_get_monotonic_time() - begun_us < 60 * SECOND_US);
  world_free(w);
}

/* Two reservations for the same two desktops: neither waits for the other. */
static void of_two_the_earlier_is_held_first(void **state)
{
  World *w = house(2, ",'min':0,'max':2");
  reserve(w, "'count':2,'until':'3h','users':['ann','bea']");
  world_pass(w, 1);
  world_answered(world_ask(w, API_RESERVATION_ADD, NULL, NULL, "{'name':'late','pool':'p','count':2,'until':'2h','users':['cho','dan']}"), 201);
  class_is(w, RESERVATION_HELD, 2, 0);
  assert_int_equal(WORLD_GET(w, Reservation, RESERVATION, "late")->held, 0);
  assert_non_null(strstr(WORLD_GET(w, Reservation, RESERVATION, "late")->error, "pool-full"));
  g_autofree char *ann = ask(w, "ann");
  assert_true(holds(w, ann));
  refused(world_ask(w, API_SESSION_REQUEST, "cho", NULL, "{'pool':'p'}"), REASON_POOL_RESERVED);
  world_free(w);
}

static void what_cannot_be_is_refused(void **state)
{
  static const struct {
    const char *body;
    Reason reason;
  } rows[] = {
    { "'pool':'none','count':1,'until':'1h'", REASON_NOT_FOUND },
    { "'pool':'own','count':1,'until':'1h'", REASON_BAD_VALUE },
    { "'pool':'p','count':9,'until':'1h'", REASON_BAD_VALUE },
    { "'pool':'p','count':0,'until':'1h'", REASON_BAD_VALUE },
    { "'pool':'p','until':'1h'", REASON_MISSING_FIELD },
    { "'pool':'p','count':1", REASON_MISSING_FIELD },
    { "'pool':'p','count':1,'until':'soon'", REASON_BAD_VALUE },
    { "'pool':'p','count':1,'until':'367d'", REASON_BAD_VALUE },
    { "'pool':'p','count':1,'until':'1h','from':'2h'", REASON_BAD_VALUE },
    { "'pool':'p','count':1,'until':'1h','from':'2001-01-01T00:00:00Z'", REASON_BAD_VALUE },
    { "'pool':'p','count':1,'until':'1h','users':['nobody']", REASON_NOT_FOUND },
    { "'pool':'shut','count':1,'until':'1h','users':['bea']", REASON_BAD_VALUE },
  };
  World *w = house(8, ",'min':0,'max':8");
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'own','kind':'dedicated','template':'linux','image':'linux','max':2}"), 201);
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'shut','template':'linux','image':'linux','max':2,'users':['ann']}"), 201);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *body = g_strdup_printf("{'name':'class',%s}", rows[i].body);
    refused(world_ask(w, API_RESERVATION_ADD, NULL, NULL, body), rows[i].reason);
  }
  refused(world_ask(w, API_RESERVATION_ADD, "ann", NULL, "{'name':'class','pool':'p','count':1,'until':'1h'}"), REASON_DENIED);
  reserve(w, "'count':2,'until':'1h'");
  world_answered(world_ask(w, API_POOL_DELETE, NULL, "p", NULL), 202); /* goes with its pool */
  assert_null(WORLD_GET(w, Reservation, RESERVATION, "class"));
  world_free(w);
}

static void one_is_over_though_nobody_was_there_to_see(void **state)
{
  World *w = house(2, ",'min':0,'max':2");
  reserve(w, "'count':1,'from':'2h','until':'3h'");
  w->now_us += 4 * 3600 * SECOND_US;
  world_crash(w);
  assert_null(WORLD_GET(w, Reservation, RESERVATION, "class"));
  assert_int_equal(ready(w), 0);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(they_are_made_in_time_and_go_when_it_is_over),
    cmocka_unit_test(nobody_else_gets_what_is_kept),
    cmocka_unit_test(no_more_are_kept_than_there_are_people_for),
    cmocka_unit_test(what_is_to_come_for_too_few_is_told_at_once),
    cmocka_unit_test(who_is_removed_leaves_nothing_to_who_comes_by_that_name),
    cmocka_unit_test(one_that_is_changed_begins_once),
    cmocka_unit_test(what_is_too_many_as_it_begins_is_not),
    cmocka_unit_test(who_has_a_reservation_is_served_before_who_waits_longer),
    cmocka_unit_test(other_pools_do_not_get_its_room),
    cmocka_unit_test(what_there_is_no_room_for_is_told_and_held_as_far_as_it_goes),
    cmocka_unit_test(whoever_comes_takes_of_what_is_kept_for_all),
    cmocka_unit_test(seats_are_kept_with_it),
    cmocka_unit_test(many_of_a_pool_with_licences_hold_nothing_up),
    cmocka_unit_test(of_two_the_earlier_is_held_first),
    cmocka_unit_test(what_cannot_be_is_refused),
    cmocka_unit_test(one_is_over_though_nobody_was_there_to_see),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

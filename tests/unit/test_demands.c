/* Demand, met or denied, is kept as rows that can be played back: one a person and wish, however often they ask. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/brain_world.h"

/* Desktops of more virtual CPUs than any host has, until the pool is made smaller. */
#define TOO_LARGE "{'name':'p','template':'linux','image':'linux','vcpus':500,'memory_mib':1024,'min':0,'max':2}"

static World *one_pool(const char *pool)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'vcpus':8}");
  assert_int_equal(world_ask(w, API_POOL_CREATE, NULL, NULL, pool)->status, 201);
  return w;
}

static const DemandRow *past(World *w, guint i)
{
  assert_true(i < w->demands->len);
  return w->demands->pdata[i];
}

static int open_rows(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DEMAND);
  return (int)names->len;
}

static void asks_in_vain(World *w, const char *user)
{
  const Answer *a = world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'p'}");
  if (!a->error || !error_is(a->error, REASON_NO_ROOM))
    fail_msg("%s", a->error ? a->error->message : "taken");
}

static char *asks(World *w, const char *user)
{
  const Answer *a = world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'p'}");
  assert_int_equal(a->status, 201);
  return g_strdup(a->object->name);
}

static void a_loop_of_requests_is_one_demand(void **state)
{
  World *w = one_pool(TOO_LARGE);
  int64_t begun_us = w->now_us;
  for (int i = 0; i < 200; i++) {
    asks_in_vain(w, "jihye");
    world_pass(w, 3);
  }
  assert_int_equal(w->demands->len, 0);
  assert_int_equal(open_rows(w), 1);
  world_pass(w, 1000);
  const DemandRow *d = past(w, 0);
  assert_int_equal(w->demands->len, 1);
  assert_int_equal(d->outcome, DEMAND_DENIED);
  assert_string_equal(d->user, "jihye");
  assert_string_equal(d->pool, "p");
  assert_int_equal(d->vcpus, 500);
  assert_int_equal(d->memory_mib, 1024);
  assert_int_equal(d->tries, 10);
  assert_string_equal(d->reason, "no-place");
  assert_int_equal(d->asked, begun_us);
  assert_true(d->ended == d->last && d->last > begun_us + 500 * G_USEC_PER_SEC);
  world_free(w);
}

static void who_asks_again_later_or_is_another_is_another_demand(void **state)
{
  World *w = one_pool(TOO_LARGE);
  asks_in_vain(w, "jihye");
  asks_in_vain(w, "minsu");
  world_pass(w, 1000);
  asks_in_vain(w, "jihye");
  world_pass(w, 1000);
  assert_int_equal(w->demands->len, 3);
  assert_int_equal(open_rows(w), 0);
  world_free(w);
}

static void a_grant_is_kept_when_it_is_over(void **state)
{
  World *w = one_pool("{'name':'p','template':'linux','image':'linux','vcpus':2,'memory_mib':2048,'min':0,'max':2,'offer_s':7200}");
  int64_t asked_us = w->now_us;
  g_autofree char *session = asks(w, "jihye");
  world_pass(w, 3600);
  assert_int_equal(w->demands->len, 0);
  world_ask(w, API_SESSION_END, NULL, session, NULL);
  const DemandRow *d = past(w, 0);
  assert_int_equal(d->outcome, DEMAND_GRANTED);
  assert_int_equal(d->asked, asked_us);
  assert_true(d->granted >= asked_us && d->granted < asked_us + 60 * G_USEC_PER_SEC);
  assert_int_equal(d->ended, w->now_us);
  assert_int_equal(d->vcpus, 2);
  assert_int_equal(d->memory_mib, 2048);
  assert_string_equal(d->session, session);
  world_free(w);
}

static void who_was_denied_and_came_in_waited_so_long(void **state)
{
  World *w = one_pool(TOO_LARGE);
  int64_t asked_us = w->now_us;
  asks_in_vain(w, "jihye");
  world_pass(w, 600);
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'vcpus':1}");
  g_autofree char *session = asks(w, "jihye");
  world_pass(w, 3600);
  world_ask(w, API_SESSION_END, NULL, session, NULL);
  const DemandRow *d = past(w, 0);
  assert_int_equal(w->demands->len, 1);
  assert_int_equal(d->outcome, DEMAND_GRANTED);
  assert_int_equal(d->asked, asked_us);
  assert_true(d->granted >= asked_us + 600 * G_USEC_PER_SEC);
  assert_int_equal(d->vcpus, 1);
  assert_int_equal(open_rows(w), 0);
  world_free(w);
}

static void who_leaves_the_line_gave_up(void **state)
{
  World *w = one_pool("{'name':'p','template':'linux','image':'linux','vcpus':1,'memory_mib':1024,'min':0,'max':2}");
  w->hold = true;
  g_autofree char *session = asks(w, "jihye");
  world_pass(w, 30);
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  const DemandRow *d = past(w, 0);
  assert_int_equal(d->outcome, DEMAND_GIVEN_UP);
  assert_int_equal(d->granted, 0);
  assert_int_equal(d->ended - d->asked, 30 * G_USEC_PER_SEC);
  assert_int_equal(d->vcpus, 1);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_loop_of_requests_is_one_demand),
    cmocka_unit_test(who_asks_again_later_or_is_another_is_another_demand),
    cmocka_unit_test(a_grant_is_kept_when_it_is_over),
    cmocka_unit_test(who_was_denied_and_came_in_waited_so_long),
    cmocka_unit_test(who_leaves_the_line_gave_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

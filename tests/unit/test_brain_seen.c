/* What is observed: shown, decided by, and never a commit of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

#define GIB (INT64_C(1) << 30)

static void answers(World *w)
{
  Observation *o = observation_new(SAW_HOST, "h1");
  o->hostname = g_strdup("h1");
  o->cpus = 64;
  o->memory_mib = 1 << 20;
  brain_observe(w->brain, o, w->now_us);
}

static void poll_host(World *w, int64_t seconds)
{
  world_pass(w, seconds);
  answers(w);
  world_settle(w);
}

static const Storage *storage(World *w) { return WORLD_GET(w, Storage, STORAGE, "disk"); }

static void a_host_tells_when_it_answered_last(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  int64_t generation = WORLD_GET(w, Host, HOST, "h1")->head.generation;
  poll_host(w, 30);
  assert_int_equal(WORLD_GET(w, Host, HOST, "h1")->seen, w->now_us);
  assert_int_equal(WORLD_GET(w, Host, HOST, "h1")->head.generation, generation);
  world_free(w);
}

static void what_is_only_observed_is_no_commit(void **state)
{
  World *w = world_new();
  w->total_bytes = 20 * GIB;
  world_furnish(w, 1, 0, 1);
  poll_host(w, 3600); /* what else had to end by then has */
  int before = w->batches;
  for (int i = 0; i < 10; i++) {
    w->free_bytes = 10 * GIB - i;
    poll_host(w, 30);
    assert_int_equal(storage(w)->free_bytes, w->free_bytes);
  }
  assert_int_equal(w->batches, before);
  world_free(w);
}

/* Readers get it all the same, and what they hold does not change under them. */
static void what_is_observed_is_put_out(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  world_pass(w, 3600);
  answers(w);
  Output out;
  brain_take_output(w->brain, &out);
  assert_null(out.batch);
  assert_non_null(out.seen);
  assert_int_equal(out.seen->len, 1);
  const Host *h = out.seen->pdata[0];
  int64_t seen = h->seen;
  assert_int_equal(seen, w->now_us);
  w->now_us += 30 * G_USEC_PER_SEC;
  answers(w);
  assert_int_equal(h->seen, seen);
  output_clear(&out);
  world_free(w);
}

static void a_storage_is_measured_now_and_then(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  w->total_bytes = 20 * GIB;
  w->free_bytes = 5 * GIB;
  poll_host(w, 60);
  assert_int_equal(storage(w)->total_bytes, 20 * GIB);
  w->free_bytes = 4 * GIB;
  poll_host(w, 5); /* a hundred hosts share it: not each of them asks */
  assert_int_equal(storage(w)->free_bytes, 5 * GIB);
  poll_host(w, 30);
  assert_int_equal(storage(w)->free_bytes, 4 * GIB);
  world_free(w);
}

/* The world's image has 1 MiB. */
static const struct {
  const char *disk;
  int64_t total_bytes, free_bytes;
  int wanted, made;
  const char *why;
} rooms[] = {
  { "copy", 0, 0, 2, 2, "nobody has measured it: it is tried" },
  { "copy", 20 << 20, 2 << 20, 2, 2, "just enough for both" },
  { "copy", 20 << 20, (2 << 20) - 1, 2, 1, "the second would find its room taken by the first" },
  { "copy", 20 << 20, (1 << 20) - 1, 2, 0, "no copy fits" },
  { "overlay", 20 << 20, (1 << 20) - 1, 2, 2, "an overlay takes next to nothing" },
};

static void a_copy_is_not_begun_where_it_cannot_fit(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rooms); i++) {
    World *w = world_new();
    world_furnish(w, 0, 0, 1);
    w->total_bytes = rooms[i].total_bytes;
    w->free_bytes = rooms[i].free_bytes;
    poll_host(w, 60);
    w->hold = true;
    g_autofree char *body = g_strdup_printf("{'name':'big','template':'linux','image':'linux','disk':'%s','min':%d,'max':9}", rooms[i].disk,
                                            rooms[i].wanted);
    world_ask(w, API_POOL_CREATE, NULL, NULL, body);
    if (world_count(w, NOUN_DESKTOP, DESKTOP_PROVISIONING) != rooms[i].made)
      fail_msg("%s: %d desktops", rooms[i].why, world_count(w, NOUN_DESKTOP, DESKTOP_PROVISIONING));
    const char *error = WORLD_GET(w, Pool, POOL, "big")->error;
    if (rooms[i].made < rooms[i].wanted)
      assert_non_null(strstr(error, "storage disk has room for 0 MiB of its 20, a copy of linux@1 takes 1"));
    else
      assert_null(error);
    world_free(w);
  }
}

static void room_that_comes_is_used(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  w->total_bytes = 20 << 20;
  poll_host(w, 60);
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'big','template':'linux','image':'linux','disk':'copy','min':1,'max':1}");
  assert_int_equal(world_count(w, NOUN_DESKTOP, DESKTOP_AVAILABLE), 0);
  w->free_bytes = 9 << 20;
  poll_host(w, 30);
  assert_int_equal(world_count(w, NOUN_DESKTOP, DESKTOP_AVAILABLE), 1);
  assert_null(WORLD_GET(w, Pool, POOL, "big")->error);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_host_tells_when_it_answered_last),
    cmocka_unit_test(what_is_only_observed_is_no_commit),
    cmocka_unit_test(what_is_observed_is_put_out),
    cmocka_unit_test(a_storage_is_measured_now_and_then),
    cmocka_unit_test(a_copy_is_not_begun_where_it_cannot_fit),
    cmocka_unit_test(room_that_comes_is_used),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

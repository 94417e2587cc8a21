/* Rebalance by policy: whose desktops move, when, how many, what is told, and that it comes to rest. The whole brain over hosts of eight vCPUs; three
 * desktops of three are on one host each, so that one of eight has room only once one of them has moved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/ledger.h"
#include "tests/unit/brain_world.h"

static const char *fails; /* the desktop whose moves fail, "" = all do; NULL = none */

static GError *answers(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (fails && order->kind == STEP_MIGRATE && (!*fails || !strcmp(order->desktop->head.name, fails)))
    error_set(&err, REASON_MIGRATION_UNSAFE, "host", order->host->head.name, "domain", "u", "detail", "not shared", NULL);
  return err;
}

static void tells(World *w, const StepOrder *order, StepResult *result)
{
  if (order->kind == STEP_STAY || order->kind == STEP_ARRIVE)
    result->power = POWER_ON;
}

static const Pool *pool(World *w, const char *name) { return WORLD_GET(w, Pool, POOL, name); }

static void change(World *w, const char *name, const char *fields) { assert_null(world_ask(w, API_POOL_CHANGE, NULL, name, fields)->error); }

static void pool_add(World *w, const char *name, int vcpus, int n, const char *fields)
{
  g_autofree char *body = g_strdup_printf("{'name':'%s','template':'linux','image':'linux','vcpus':%d,'memory_mib':256,'min':%d,'max':20%s}", name, vcpus,
                                          n, fields);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->error);
}

static World *world_of_small(const char *policy)
{
  World *w = world_of_three(",'vcpus':8", ",'vcpus':8", ",'vcpus':8");
  w->answer = answers;
  w->fill = tells;
  fails = NULL;
  pool_add(w, "small", 3, 3, policy);
  pool_add(w, "large", 8, 0, "");
  return w;
}

static int events(World *w, const char *kind)
{
  int n = 0;
  for (guint i = 0; i < w->events->len; i++)
    n += !strcmp(((const Event *)w->events->pdata[i])->kind, kind);
  return n;
}

static int desktops(World *w, const char *name)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  int n = 0;
  for (guint i = 0; i < names->len; i++)
    n += !strcmp(WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->pool, name);
  return n;
}

static const Desktop *moved(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  for (guint i = 0; i < names->len; i++)
    if (WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->moved)
      return WORLD_GET(w, Desktop, DESKTOP, names->pdata[i]);
  return NULL;
}

static const char *one_on(World *w, const char *host)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  for (guint i = 0; i < names->len; i++)
    if (!strcmp(WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->host, host))
      return WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->head.name;
  fail_msg("nothing is on %s", host);
  return NULL;
}

/* In steps in which the brain is asked for the time as it is by its daemon. */
static void pass(World *w, int64_t seconds)
{
  for (int64_t s = 0; s < seconds; s += 30)
    world_pass(w, 30);
}

static void assert_told(const char *json, Lang lang, const char *text)
{
  g_autoptr(GError) why = brain_error_of(json);
  g_autofree char *said = json ? error_text(why, lang) : g_strdup("nothing");
  if (!strstr(said, text))
    fail_msg("\"%s\" does not say \"%s\"", said, text);
}

static void room_is_made_where_pools_allow_it(void **state)
{
  World *w = world_of_small(",'rebalance':'always'");
  change(w, "large", "{'min':1}");
  assert_int_equal(desktops(w, "large"), 0);
  assert_non_null(pool(w, "large")->error);
  world_pass(w, 9);
  assert_int_equal(events(w, "desktop.migrated"), 0); /* a moment, in which something may end by itself */
  world_pass(w, 1);
  assert_int_equal(desktops(w, "large"), 1);
  const Desktop *d = moved(w);
  assert_non_null(d);
  assert_int_equal(events(w, "desktop.migrated"), 1);
  assert_int_equal(pool(w, "small")->rebalance_moves, 1);
  assert_null(pool(w, "large")->rebalance_error);
  const Event *told = world_event(w, "pool.room-made"), *of = world_event(w, "desktop.room-made");
  g_autofree char *text = g_strdup_printf("desktop %s goes from host ", d->head.name);
  assert_string_equal(told->object, "large");
  assert_string_equal(of->object, d->head.name);
  assert_null(told->user);
  assert_told(told->detail, LANG_EN, text);
  assert_told(told->detail, LANG_EN, "to make room for 8 vCPU, 256 MiB of pool large");
  assert_told(told->detail, LANG_KO, "풀 large의 8 vCPU, 256 MiB 자리를 내기 위해 데스크톱 ");
  assert_non_null(strstr(world_event(w, "desktop.migrated")->detail, "\"room_for\":\"large\""));
  pass(w, 6 * 3600);
  assert_int_equal(events(w, "desktop.migrated"), 1);
  world_same_fleet(w);
  world_free(w);
}

static void without_a_word_nothing_moves(void **state)
{
  World *w = world_of_small("");
  change(w, "large", "{'min':1,'rebalance':'always'}"); /* its own may, and it has none */
  pass(w, 3600);
  assert_int_equal(events(w, "desktop.migrated"), 0);
  assert_told(pool(w, "large")->rebalance_error, LANG_EN, "no desktops that may be moved by policy now make room for 8 vCPU, 256 MiB of pool large");
  assert_told(pool(w, "large")->rebalance_error, LANG_KO, "풀 large의 8 vCPU, 256 MiB 자리를 낼 수 없습니다");
  change(w, "large", "{'min':0}");
  assert_null(pool(w, "large")->rebalance_error); /* it lacks nothing */
  change(w, "large", "{'min':1,'rebalance':'never'}");
  pass(w, 60);
  assert_null(pool(w, "large")->rebalance_error);
  assert_int_equal(w->wake_us > w->now_us + 600 * SECOND_US, true); /* nobody allows it: it is not looked at */
  change(w, "small", "{'rebalance':'always'}");
  pass(w, 60);
  assert_int_equal(desktops(w, "large"), 1);
  world_free(w);
}

/* The world begins at 22:13:20 of UTC. */
static void hours_may_go_over_midnight(void **state)
{
  static const struct { const char *window; int moves; } rows[] = {
    { "22:00-06:00", 1 }, { "23:00-06:00", 0 }, { "23:00-22:10", 0 }, { "23:00-22:15", 1 }, { "22:00-23:00", 1 }, { "21:00-22:00", 0 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *fields = g_strdup_printf(",'rebalance':'window','rebalance_window':'%s'", rows[i].window);
    World *w = world_of_small(fields);
    change(w, "large", "{'min':1}");
    pass(w, 60);
    if (events(w, "desktop.migrated") != rows[i].moves)
      fail_msg("%s: %d moves", rows[i].window, events(w, "desktop.migrated"));
    world_free(w);
  }
}

static void moves_wait_for_their_hours(void **state)
{
  World *w = world_of_small(",'rebalance':'window','rebalance_window':'01:00-02:00'");
  change(w, "large", "{'min':1}");
  pass(w, 2 * 3600 + 45 * 60);
  assert_int_equal(events(w, "desktop.migrated"), 0);
  pass(w, 15 * 60);
  assert_int_equal(events(w, "desktop.migrated"), 1);
  assert_int_equal(desktops(w, "large"), 1);
  world_free(w);
}

static int noon(int64_t now_us) { return 12 * 60; }

static void the_hours_are_those_of_the_controller(void **state)
{
  World *w = world_of_small(",'rebalance':'window','rebalance_window':'11:59-12:01'");
  w->options.minute = noon;
  world_crash(w);
  change(w, "large", "{'min':1}");
  pass(w, 60);
  assert_int_equal(desktops(w, "large"), 1);
  world_free(w);
}

static void windows_are_read_or_refused(void **state)
{
  static const struct { const char *text; int from, to; } good[] = {
    { "22:00-06:00", 1320, 360 }, { "00:00-24:00", 0, 1440 }, { "08:30-09:00", 510, 540 }, { "23:59-00:00", 1439, 0 },
  };
  static const char *const bad[] = { "", "22-06", "22:00", "22:00-22:00", "24:00-06:00", "22:60-06:00", "22:00-25:00", "22:00-24:01", "2a:00-06:00",
                                     "22:00–06:00", "22:00-06:00 " };
  for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
    int from, to;
    assert_true(rebalance_window_read(good[i].text, &from, &to));
    assert_int_equal(from, good[i].from);
    assert_int_equal(to, good[i].to);
  }
  World *w = world_of_small("");
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    int from, to;
    if (rebalance_window_read(bad[i], &from, &to))
      fail_msg("\"%s\" is taken", bad[i]);
    g_autofree char *body = g_strdup_printf("{'rebalance_window':'%s'}", bad[i]);
    assert_non_null(world_ask(w, API_POOL_CHANGE, NULL, "small", body)->error);
  }
  const Answer *a = world_ask(w, API_POOL_CHANGE, NULL, "small", "{'rebalance':'window'}");
  assert_true(a->error && error_is(a->error, REASON_BAD_VALUE));
  assert_non_null(strstr(a->error->message, "rebalance_window"));
  world_free(w);
}

/* Two want room that takes one move each. */
static void so_many_an_hour_are_moved(void **state)
{
  World *w = world_of_small(",'rebalance':'always','rebalance_per_hour':1");
  assert_null(world_ask(w, API_HOST_CHANGE, NULL, "c", "{'vcpus':9}")->error);
  change(w, "large", "{'min':2}");
  pass(w, 3500);
  assert_int_equal(events(w, "desktop.room-made"), 1);
  assert_int_equal(desktops(w, "large"), 1);
  assert_told(pool(w, "large")->rebalance_error, LANG_EN, "no desktops that may be moved by policy now");
  pass(w, 300);
  assert_int_equal(events(w, "desktop.room-made"), 2);
  assert_int_equal(desktops(w, "large"), 2);
  assert_null(pool(w, "large")->rebalance_error);
  world_free(w);
}

static void a_clock_that_is_set_back_stops_nothing(void **state)
{
  World *w = world_of_small(",'rebalance':'always'");
  fails = "";
  change(w, "large", "{'min':1}");
  pass(w, 60);
  assert_true(pool(w, "large")->rebalance_next > w->now_us);
  fails = NULL;
  w->now_us -= 86400 * SECOND_US;
  world_crash(w);
  pass(w, 600);
  assert_int_equal(desktops(w, "large"), 1);
  world_free(w);
}

/* Its person has seen the console go once. */
static void a_desktop_moves_once_an_hour(void **state)
{
  World *w = world_of_small(",'rebalance':'always','surplus_s':1");
  change(w, "large", "{'min':1,'hosts':['a'],'surplus_s':1}");
  pass(w, 60);
  g_autofree char *there = g_strdup(moved(w)->host);
  g_autofree char *hosts = g_strdup_printf("{'min':1,'hosts':['%s']}", there);
  change(w, "large", "{'min':0}");
  pass(w, 60);
  assert_int_equal(desktops(w, "large"), 0);
  change(w, "large", hosts); /* there it is in the way again */
  pass(w, 3400);
  assert_int_equal(events(w, "desktop.room-made"), 1);
  assert_told(pool(w, "large")->rebalance_error, LANG_EN, "no desktops that may be moved by policy now");
  pass(w, 400);
  assert_int_equal(events(w, "desktop.room-made"), 3);
  assert_int_equal(desktops(w, "large"), 1);
  world_free(w);
}

static void more_moves_than_are_worth_it_are_not_begun(void **state)
{
  World *w = world_of_three(",'vcpus':8", ",'vcpus':8", ",'vcpus':8");
  w->answer = answers;
  w->fill = tells;
  fails = NULL;
  pool_add(w, "small", 1, 15, ",'rebalance':'always'"); /* five on each */
  pool_add(w, "large", 8, 1, "");
  pass(w, 300);
  assert_int_equal(events(w, "desktop.room-made"), 0);
  assert_told(pool(w, "large")->rebalance_error, LANG_EN, "would take 5 moves of desktops, and by policy at most 4 are made for one");
  change(w, "large", "{'vcpus':7}");
  change(w, "small", "{'rebalance_per_hour':3}");
  pass(w, 300);
  assert_int_equal(events(w, "desktop.room-made"), 0); /* half of a plan helps nobody */
  assert_told(pool(w, "large")->rebalance_error, LANG_EN, "takes 4 moves of desktops of pool small, which allows 3 more within this hour");
  change(w, "small", "{'rebalance_per_hour':0}");
  pass(w, 300);
  assert_int_equal(events(w, "desktop.room-made"), 4); /* two at a time */
  assert_int_equal(desktops(w, "large"), 1);
  world_free(w);
}

static void a_move_that_fails_stops_it_for_a_while(void **state)
{
  World *w = world_of_small(",'rebalance':'always'");
  fails = "";
  change(w, "large", "{'min':1}");
  pass(w, 600);
  assert_int_equal(events(w, "desktop.room-made"), 1);
  assert_int_equal(events(w, "pool.room-not-made"), 1);
  assert_told(pool(w, "large")->rebalance_error, LANG_EN, "to make room for pool large; no more are moved for it for a while: host \"");
  assert_told(pool(w, "large")->rebalance_error, LANG_EN, "not shared");
  assert_told(pool(w, "large")->rebalance_error, LANG_KO, "도메인 u을(를) 옮기지 않습니다");
  assert_true(pool(w, "large")->rebalance_next > w->now_us);
  world_crash(w); /* it is not forgotten */
  pass(w, 240);
  assert_int_equal(events(w, "desktop.room-made"), 1);
  pass(w, 240); /* a quarter of an hour after: another one is tried, and then it takes twice as long */
  assert_int_equal(events(w, "desktop.room-made"), 2);
  pass(w, 1500);
  assert_int_equal(events(w, "desktop.room-made"), 2);
  fails = NULL;
  pass(w, 600);
  assert_int_equal(events(w, "desktop.room-made"), 3);
  assert_int_equal(desktops(w, "large"), 1);
  assert_null(pool(w, "large")->rebalance_error);
  assert_int_equal(pool(w, "large")->rebalance_next, 0);
  world_free(w);
}

static void it_goes_on_after_a_crash(void **state)
{
  World *w = world_of_small(",'rebalance':'always'");
  change(w, "large", "{'min':1}");
  w->hold = true;
  world_pass(w, 10);
  const Desktop *d = moved(w);
  assert_non_null(d->moving);
  assert_string_equal(WORLD_GET(w, Task, TASK, d->task)->room_for, "large");
  world_crash(w);
  w->hold = false;
  world_release(w);
  world_settle(w);
  pass(w, 600);
  assert_int_equal(events(w, "desktop.migrated"), 1);
  assert_int_equal(events(w, "desktop.room-made"), 1);
  assert_int_equal(desktops(w, "large"), 1);
  assert_int_equal(pool(w, "small")->rebalance_moves, 1);
  world_free(w);
}

/* They wait for no session: who was refused asks again. */
static void room_is_made_for_who_was_refused(void **state)
{
  World *w = world_of_small(",'rebalance':'always'");
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'large'}");
  assert_non_null(a->error);
  assert_null(pool(w, "large")->error);
  pass(w, 60);
  assert_int_equal(events(w, "desktop.migrated"), 1);
  assert_null(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'large'}")->error);
  pass(w, 3600);
  assert_int_equal(events(w, "desktop.migrated"), 1);
  world_free(w);
}

static void nothing_is_begun_while_others_move(void **state)
{
  World *w = world_of_small(",'rebalance':'always'");
  g_autofree char *first = g_strdup(one_on(w, "a"));
  w->hold = true;
  assert_null(world_ask(w, API_DESKTOP_MIGRATE, NULL, first, "{'host':'b'}")->error);
  change(w, "large", "{'min':1,'hosts':['c']}");
  world_pass(w, 60);
  assert_int_equal(events(w, "desktop.room-made"), 0);
  w->hold = false;
  world_release(w);
  world_settle(w);
  assert_int_equal(events(w, "desktop.migrated") - events(w, "desktop.room-made"), 1);
  pass(w, 300);
  assert_int_equal(desktops(w, "large"), 1);
  world_free(w);
}

/* ── it comes to rest ─────────────────────────────────────────────────────── */

static int on_hosts(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  return (int)names->len;
}

static const struct { const char *name; int vcpus; const char *fields; } sizes[] = {
  { "p1", 1, ",'policy':'spread'" }, { "p2", 2, ",'policy':'pack'" }, { "p3", 3, "" }, { "p5", 5, "" }, { "p8", 8, "" },
};

/* What is wanted, at random; at rest each pool that lacks room says why, and nobody moves any more. */
static void want_and_settle(World *w, GRand *rand)
{
  for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autofree char *body = g_strdup_printf("{'min':%d}", (int)g_rand_int_range(rand, 0, 12 / sizes[i].vcpus + 2));
    change(w, sizes[i].name, body);
  }
  pass(w, 3 * 3600);
  int moves = events(w, "desktop.room-made"), stand = on_hosts(w);
  pass(w, 3 * 3600);
  assert_int_equal(events(w, "desktop.room-made"), moves);
  assert_int_equal(on_hosts(w), stand);
  for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
    assert_int_equal(pool(w, sizes[i].name)->error != NULL, pool(w, sizes[i].name)->rebalance_error != NULL);
  world_same_fleet(w);
}

static void whatever_is_wanted_it_comes_to_rest(void **state)
{
  int moves = 0;
  for (guint32 seed = 1; seed <= 12; seed++) {
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    World *w = world_of_three(",'vcpus':8", ",'vcpus':9", ",'vcpus':10");
    world_host_add(w, "d", ",'vcpus':11");
    w->answer = answers;
    w->fill = tells;
    fails = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
      g_autofree char *fields = g_strconcat(sizes[i].fields, ",'rebalance':'always','rebalance_per_hour':1000,'surplus_s':1", NULL);
      pool_add(w, sizes[i].name, sizes[i].vcpus, 0, fields);
    }
    for (int round = 0; round < 5; round++)
      want_and_settle(w, rand);
    /* each plan is of four moves at most, and ends with one more desktop that is made */
    assert_in_range(events(w, "desktop.room-made"), 0, 4 * events(w, "desktop.provisioning"));
    moves += events(w, "desktop.room-made");
    world_free(w);
  }
  assert_in_range(moves, 10, 1000); /* it was about something */
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(room_is_made_where_pools_allow_it),
    cmocka_unit_test(without_a_word_nothing_moves),
    cmocka_unit_test(moves_wait_for_their_hours),
    cmocka_unit_test(hours_may_go_over_midnight),
    cmocka_unit_test(a_clock_that_is_set_back_stops_nothing),
    cmocka_unit_test(a_desktop_moves_once_an_hour),
    cmocka_unit_test(the_hours_are_those_of_the_controller),
    cmocka_unit_test(windows_are_read_or_refused),
    cmocka_unit_test(so_many_an_hour_are_moved),
    cmocka_unit_test(more_moves_than_are_worth_it_are_not_begun),
    cmocka_unit_test(a_move_that_fails_stops_it_for_a_while),
    cmocka_unit_test(it_goes_on_after_a_crash),
    cmocka_unit_test(room_is_made_for_who_was_refused),
    cmocka_unit_test(nothing_is_begun_while_others_move),
    cmocka_unit_test(whatever_is_wanted_it_comes_to_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

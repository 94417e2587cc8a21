/* Moves that free a host or make room, as the whole brain tells them: which desktops, where to, what stays and why. The fleet that is kept is
 * compared with one made anew after each change that matters to a move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/ledger.h"
#include "tests/unit/brain_world.h"

/* Hosts of 8 virtual CPUs each, sharing the image's storage. */
static World *three_hosts(void) { return world_of_three(",'vcpus':8,'labels':['ssd']", ",'vcpus':8,'labels':['ssd']", ",'vcpus':8"); }

static void pool_add(World *w, const char *name, int vcpus, int n, const char *fields)
{
  g_autofree char *body = g_strdup_printf("{'name':'%s','template':'linux','image':'linux','vcpus':%d,'memory_mib':1024,'min':%d,'max':20%s}", name,
                                          vcpus, n, fields);
  assert_int_equal(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->status, 201);
}

static json_t *told(World *w, const char *body)
{
  const Answer *a = world_ask(w, API_HOST_REBALANCE, NULL, NULL, body);
  if (!a || a->error)
    fail_msg("%s: %s", body, a ? a->error->message : "no answer");
  return json_loads(a->json, 0, NULL);
}

static int number(json_t *object, const char *name) { return (int)json_integer_value(json_object_get(object, name)); }

static const char *text(json_t *object, const char *name)
{
  const char *value = json_string_value(json_object_get(object, name));
  return value ? value : "";
}

static const char *stays(json_t *plan, guint i) { return text(json_array_get(json_object_get(plan, "stays"), i), "kind"); }

static json_t *move(json_t *plan, guint i) { return json_array_get(json_object_get(plan, "moves"), i); }

static const char *only_desktop(World *w, const char *pool)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  for (guint i = 0; i < names->len; i++)
    if (!strcmp(WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->pool, pool))
      return WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->head.name;
  fail_msg("pool %s has no desktop", pool);
  return NULL;
}

static void power_seen(World *w, const char *host, const char *desktop, PowerState power)
{
  Observation *o = observation_new(SAW_DOMAINS, host);
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(w->brain), desktop);
  DomainSeen *seen = observation_add_domain(o, uuid);
  seen->ours = true;
  seen->desktop = g_strdup(desktop);
  seen->clone = 1;
  seen->power = power;
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

/* ── a host to be free ────────────────────────────────────────────────────── */

static void a_host_is_freed_and_nothing_is_done(void **state)
{
  World *w = three_hosts();
  pool_add(w, "p", 2, 2, ",'hosts':['a']");
  g_autofree char *before = ledger_text(w->brain, false);
  int batches = w->batches;
  json_auto_t *bound = told(w, "{'host':'a'}");
  assert_true(json_is_false(json_object_get(bound, "reached")));
  assert_string_equal(stays(bound, 0), "nowhere");
  assert_int_equal(number(json_array_get(json_object_get(bound, "stays"), 0), "n"), 2);
  g_autofree char *after = ledger_text(w->brain, false);
  assert_string_equal(before, after);
  assert_int_equal(w->batches, batches);
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'hosts':[]}");
  json_auto_t *free = told(w, "{'host':'a'}");
  assert_true(json_is_true(json_object_get(free, "reached")));
  assert_int_equal(number(free, "moves_in_all"), 2);
  assert_int_equal(number(free, "memory_mib"), 2048);
  assert_string_equal(text(move(free, 0), "from"), "a");
  assert_string_not_equal(text(move(free, 0), "to"), "a");
  world_same_fleet(w);
  world_free(w);
}

static void moves_obey_the_pool_s_labels_and_the_kind_of_hypervisor(void **state)
{
  World *w = three_hosts();
  pool_add(w, "p", 2, 1, ",'labels':['ssd'],'policy':'pack'");
  const char *on = WORLD_GET(w, Desktop, DESKTOP, only_desktop(w, "p"))->host, *other = strcmp(on, "a") ? "a" : "b";
  g_autofree char *body = g_strdup_printf("{'host':'%s'}", on), *there = g_strdup(other);
  json_auto_t *to_label = told(w, body);
  assert_string_equal(text(move(to_label, 0), "to"), there);
  world_host_answers(w, there, "xen");
  json_auto_t *none = told(w, body);
  assert_int_equal(number(none, "moves_in_all"), 0);
  assert_string_equal(stays(none, 0), "nowhere");
  world_same_fleet(w);
  world_free(w);
}

/* What the desktop is or has, and the word for why it stays; "" = it moves. */
static const struct {
  const char *why, *word;
  Noun noun;
  const char *field, *value;   /* as JSON, put on the object */
} rows[] = {
  { "a running desktop on shared storage", "", N_NOUNS, NULL, NULL },
  { "a local disk", "disk", NOUN_STORAGE, "hosts", "[\"a\"]" },
  { "two hosts that have it", "", NOUN_STORAGE, "hosts", "[\"a\",\"c\"]" },
  { "none that has it but itself and one that is full", "nowhere", NOUN_STORAGE, "hosts", "[\"a\",\"h1\"]" },
};

static void what_live_migration_cannot_move_stays_and_says_why(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = three_hosts();
    pool_add(w, "p", 2, 1, ",'prefers':['ssd'],'policy':'pack','hosts':['a']");
    world_ask(w, API_POOL_CHANGE, NULL, "p", "{'hosts':[]}");
    if (rows[i].field) {
      g_autofree char *body = g_strdup_printf("{\"%s\":%s}", rows[i].field, rows[i].value);
      const Answer *a = world_ask(w, API_STORAGE_CHANGE, NULL, "disk", body);
      assert_true(a && !a->error);
    }
    json_auto_t *plan = told(w, "{'host':'a'}");
    if (strcmp(stays(plan, 0), rows[i].word))
      fail_msg("%s: %s", rows[i].why, stays(plan, 0));
    assert_int_equal(number(plan, "moves_in_all"), *rows[i].word ? 0 : 1);
    world_same_fleet(w);
    world_free(w);
  }
}

static void what_is_off_or_worked_on_stays_for_now(void **state)
{
  World *w = three_hosts();
  pool_add(w, "p", 2, 1, ",'hosts':['a']");
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'hosts':[]}");
  g_autofree char *name = g_strdup(only_desktop(w, "p"));
  world_ask(w, API_DESKTOP_MAINTAIN, NULL, name, NULL);
  w->hold = true;
  world_ask(w, API_DESKTOP_DESTROY, NULL, name, NULL);
  json_auto_t *busy = told(w, "{'host':'a'}");
  assert_string_equal(stays(busy, 0), "task");
  world_same_fleet(w);
  w->hold = false;
  world_release(w);
  world_settle(w);
  power_seen(w, "a", name, POWER_OFF);
  json_auto_t *off = told(w, "{'host':'a'}");
  assert_string_equal(stays(off, 0), "state");
  assert_int_equal(number(off, "moves_in_all"), 0);
  world_same_fleet(w);
  world_free(w);
}

/* A reason that names what works on each would be a row a desktop, and grow by their square. */
static void those_that_are_worked_on_are_told_together(void **state)
{
  World *w = three_hosts();
  w->hold = true;
  pool_add(w, "p", 1, 4, ",'hosts':['a']");
  json_auto_t *plan = told(w, "{'host':'a'}");
  assert_int_equal(json_array_size(json_object_get(plan, "stays")), 1);
  assert_string_equal(stays(plan, 0), "task");
  assert_int_equal(number(json_array_get(json_object_get(plan, "stays"), 0), "n"), 4);
  world_free(w);
}

/* One on b and three on a, that may be anywhere. */
static World *many_and_few(int few)
{
  World *w = three_hosts();
  pool_add(w, "many", 1, 3, ",'hosts':['a']");
  pool_add(w, "few", 1, few, ",'hosts':['b']");
  world_ask(w, API_POOL_CHANGE, NULL, "many", "{'hosts':[]}");
  world_ask(w, API_POOL_CHANGE, NULL, "few", "{'hosts':[]}");
  return w;
}

/* Asked again and again it ends: what was freed stays free. */
static void the_cheapest_host_is_told_and_a_free_one_is_not_filled(void **state)
{
  World *w = many_and_few(1);
  json_auto_t *plan = told(w, "{}");
  assert_string_equal(text(plan, "host"), "b");
  assert_int_equal(number(plan, "moves_in_all"), 1);
  assert_string_equal(json_string_value(json_object_get(move(plan, 0), "to")), "a"); /* c has more room, and is empty */
  world_same_fleet(w);
  pool_add(w, "big", 5, 1, ",'hosts':['b']"); /* now neither a nor b can take what the other has */
  json_auto_t *then = told(w, "{}");
  assert_true(json_is_true(json_object_get(then, "reached")));
  assert_string_equal(text(then, "host"), "c");
  assert_int_equal(number(then, "moves_in_all"), 0);
  world_free(w);
}

/* While two are on their way the third waits; neither another host nor less than all is the goal then. */
static void a_host_that_is_being_emptied_stays_the_goal(void **state)
{
  World *w = many_and_few(3);
  w->hold = true;
  json_auto_t *first = told(w, "{'apply':true}");
  g_autofree char *goal = g_strdup(text(first, "host"));
  assert_int_equal(number(first, "moves_in_all"), 3);
  assert_int_equal(number(first, "begun"), 2);
  json_auto_t *then = told(w, "{'apply':true}");
  assert_string_equal(text(then, "host"), goal);
  assert_true(json_is_true(json_object_get(then, "reached")));
  assert_int_equal(number(then, "under_way"), 2);
  assert_int_equal(number(then, "moves_in_all"), 1);
  assert_int_equal(number(then, "begun"), 0);
  assert_int_equal(json_array_size(json_object_get(then, "stays")), 0);
  g_autofree char *body = g_strdup_printf("{'host':'%s'}", goal);
  json_auto_t *named = told(w, body);
  assert_true(json_is_true(json_object_get(named, "reached"))); /* those on their way do not stay */
  w->hold = false;
  world_release(w);
  world_settle(w);
  json_auto_t *last = told(w, "{'apply':true}");
  assert_string_equal(text(last, "host"), goal);
  assert_int_equal(number(last, "begun"), 1);
  world_free(w);
}

/* One that is drained by moving is the goal, whatever it takes. */
static void a_host_that_is_drained_is_the_goal(void **state)
{
  World *w = many_and_few(1);
  world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'many'}");
  w->hold = true;
  assert_null(world_ask(w, API_HOST_DRAIN, NULL, "a", "{'migrate':true}")->error);
  json_auto_t *plan = told(w, "{}");
  assert_string_equal(text(plan, "host"), "a");
  world_free(w);
}

/* ── moves that are made ──────────────────────────────────────────────────── */

static const json_t *of_move(json_t *plan, guint i, const char *name) { return json_object_get(move(plan, i), name); }

/* Two at a time leave a host; who is not let go yet is told why, and asks again. */
static void moves_are_begun_where_that_is_asked_for(void **state)
{
  World *w = three_hosts();
  pool_add(w, "p", 2, 3, ",'hosts':['a']");
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'hosts':[]}");
  w->hold = true;
  json_auto_t *plan = told(w, "{'host':'a','apply':true}");
  assert_int_equal(number(plan, "begun"), 2);
  for (guint i = 0; i < 3; i++) {
    const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, text(move(plan, i), "desktop"));
    assert_string_equal(d->host, "a");
    assert_int_equal(of_move(plan, i, "task") != NULL, i < 2);
    assert_int_equal(of_move(plan, i, "reason") != NULL, i == 2);
    if (i < 2)
      assert_string_equal(d->moving, text(move(plan, i), "to"));
    else
      assert_null(d->moving);
  }
  assert_string_equal(text(json_object_get(move(plan, 2), "reason"), "code"), "moves-enough");
  w->hold = false;
  world_release(w);
  world_settle(w);
  json_auto_t *rest = told(w, "{'host':'a','apply':true}");
  assert_int_equal(number(rest, "begun"), 1);
  json_auto_t *free = told(w, "{'host':'a'}");
  assert_int_equal(number(free, "moves_in_all"), 0);
  assert_true(json_is_true(json_object_get(free, "reached")));
  world_same_fleet(w);
  world_free(w);
}

static void viewers_are_told_the_plan_alone(void **state)
{
  World *w = three_hosts();
  pool_add(w, "p", 2, 1, ",'hosts':['a']");
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'hosts':[]}");
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'eye','role':'viewer'}")->error);
  assert_null(world_ask(w, API_HOST_REBALANCE, "eye", NULL, "{'host':'a'}")->error);
  const Answer *a = world_ask(w, API_HOST_REBALANCE, "eye", NULL, "{'host':'a','apply':true}");
  assert_true(a->error && error_is(a->error, REASON_DENIED));
  assert_null(WORLD_GET(w, Desktop, DESKTOP, only_desktop(w, "p"))->moving);
  world_free(w);
}

/* ── room to be made ──────────────────────────────────────────────────────── */

static void room_is_made_by_the_fewest_moves_and_they_do_make_it(void **state)
{
  World *w = three_hosts();
  pool_add(w, "small", 3, 3, ",'policy':'spread'");
  pool_add(w, "large", 8, 0, "");
  json_auto_t *full = told(w, "{'pool':'large'}");
  assert_true(json_is_true(json_object_get(full, "reached")));
  assert_int_equal(number(full, "moves_in_all"), 1);
  assert_string_not_equal(text(move(full, 0), "to"), text(move(full, 0), "from"));
  json_auto_t *easy = told(w, "{'pool':'small'}");
  assert_int_equal(number(easy, "moves_in_all"), 0);
  assert_true(json_is_true(json_object_get(easy, "reached")));
  const Answer *a = world_ask(w, API_POOL_PLAN, NULL, "large", "{'count':1}");
  assert_non_null(strstr(a->json, "live migration of desktop d-"));
  world_ask(w, API_STORAGE_CHANGE, NULL, "disk", "{'hosts':['a']}");
  json_auto_t *local = told(w, "{'pool':'large'}");
  assert_true(json_is_false(json_object_get(local, "reached")));
  assert_string_equal(stays(local, 0), "disk");
  world_free(w);
}

static void what_is_not_there_is_refused(void **state)
{
  static const struct { const char *body; Reason reason; } bad[] = {
    { "{'host':'x'}", REASON_NOT_FOUND }, { "{'pool':'x'}", REASON_NOT_FOUND }, { "{'host':'a','pool':'p'}", REASON_BAD_VALUE },
    { "{'pool':'p','profile':'nvidia-558'}", REASON_BAD_VALUE },
  };
  World *w = three_hosts();
  pool_add(w, "p", 1, 0, "");
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    const Answer *a = world_ask(w, API_HOST_REBALANCE, NULL, NULL, bad[i].body);
    if (!a->error || !error_is(a->error, bad[i].reason))
      fail_msg("%s: %s", bad[i].body, a->error ? a->error->message : "taken");
  }
  json_auto_t *none = told(w, "{'profile':'nvidia-558'}");
  assert_true(json_is_false(json_object_get(none, "reached")));
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_host_is_freed_and_nothing_is_done),
    cmocka_unit_test(moves_obey_the_pool_s_labels_and_the_kind_of_hypervisor),
    cmocka_unit_test(what_live_migration_cannot_move_stays_and_says_why),
    cmocka_unit_test(what_is_off_or_worked_on_stays_for_now),
    cmocka_unit_test(those_that_are_worked_on_are_told_together),
    cmocka_unit_test(the_cheapest_host_is_told_and_a_free_one_is_not_filled),
    cmocka_unit_test(a_host_that_is_being_emptied_stays_the_goal),
    cmocka_unit_test(a_host_that_is_drained_is_the_goal),
    cmocka_unit_test(moves_are_begun_where_that_is_asked_for),
    cmocka_unit_test(viewers_are_told_the_plan_alone),
    cmocka_unit_test(room_is_made_by_the_fewest_moves_and_they_do_make_it),
    cmocka_unit_test(what_is_not_there_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

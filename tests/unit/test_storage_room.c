/* Desktops' disks at their full size against what storages take: the whole brain over three hosts, disks of one MiB each. The fleet that is kept is
 * compared with one made anew in each story. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/ledger.h"
#include "tests/unit/brain_world.h"

static World *three_hosts(void) { return world_of_three(",'vcpus':64", ",'vcpus':64", ",'vcpus':64"); }

static void ask(World *w, ApiVerb verb, const char *name, const char *body, int status)
{
  const Answer *a = world_ask(w, verb, NULL, name, body);
  if (a->error || a->status != status)
    fail_msg("%s: %s", body, a->error ? a->error->message : "another status");
}

static void pool_add(World *w, const char *name, int n, const char *fields)
{
  g_autofree char *body = g_strdup_printf("{'name':'%s','template':'linux','image':'linux','vcpus':1,'memory_mib':256,'min':%d,'max':40%s}", name, n,
                                          fields);
  ask(w, API_POOL_CREATE, NULL, body, 201);
}

static int on_storage(World *w, const char *storage, const char *host)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  int n = 0;
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, names->pdata[i]);
    n += !strcmp(d->storage, storage) && (!host || !strcmp(d->host, host));
  }
  return n;
}

static int number(json_t *object, const char *name) { return (int)json_integer_value(json_object_get(object, name)); }

static json_t *told(World *w, ApiVerb verb, const char *name, const char *body)
{
  const Answer *a = world_ask(w, verb, NULL, name, body);
  assert_null(a->error);
  return json_loads(a->json, 0, NULL);
}

static void a_shared_storage_takes_as_many_disks_as_it_has_room_for(void **state)
{
  World *w = three_hosts();
  ask(w, API_STORAGE_CHANGE, "disk", "{'disks_mib':5}", 200);
  pool_add(w, "p", 8, "");
  assert_int_equal(on_storage(w, "disk", NULL), 5);
  const char *why = WORLD_GET(w, Pool, POOL, "p")->error;
  assert_non_null(why);
  if (!strstr(why, "storage disk of host") || !strstr(why, "has 0 of 5 MiB free, 1 wanted"))
    fail_msg("%s", why);
  assert_non_null(strstr(why, "\"counts\":\"storage 3, "));
  world_same_fleet(w);
  ask(w, API_STORAGE_CHANGE, "disk", "{'disks_mib':7}", 200);
  assert_int_equal(on_storage(w, "disk", NULL), 7);
  world_same_fleet(w);
  ask(w, API_STORAGE_CHANGE, "disk", "{'disks_mib':0}", 200);
  assert_int_equal(on_storage(w, "disk", NULL), 8);
  world_same_fleet(w);
  world_free(w);
}

static void a_plan_counts_disks_and_tells_the_storage(void **state)
{
  World *w = three_hosts();
  ask(w, API_STORAGE_CHANGE, "disk", "{'disks_mib':5}", 200);
  pool_add(w, "p", 2, "");
  json_auto_t *plan = told(w, API_POOL_PLAN, "p", "{'count':6}");
  assert_int_equal(number(plan, "placed"), 3);
  json_t *first = json_array_get(json_object_get(plan, "hosts_stopped"), 0);
  assert_string_equal(json_string_value(json_object_get(first, "rule")), "storage");
  assert_int_equal(number(first, "n"), 3);
  const char *text = json_string_value(json_object_get(json_object_get(first, "reason"), "text"));
  assert_non_null(strstr(text, "storage disk of host"));
  assert_non_null(strstr(text, "has 0 of 5 MiB free, 1 wanted"));
  world_same_fleet(w);
  world_free(w);
}

static void own_storages(World *w, const char *more)
{
  static const char *const hosts[] = { "a", "b", "c" };
  for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
    g_autofree char *body = g_strdup_printf("{'name':'on-%s','path':'/srv/own','hosts':['%s']%s}", hosts[i], hosts[i], more);
    ask(w, API_STORAGE_ADD, NULL, body, 201);
  }
  ask(w, API_IMAGE_IMPORT, NULL, "{'family':'own','format':'qcow2','storages':['on-a','on-b','on-c'],'source':'/srv/own.qcow2'}", 202);
}

static void each_host_has_what_its_own_storage_takes(void **state)
{
  World *w = three_hosts();
  own_storages(w, ",'disks_mib':3");
  ask(w, API_STORAGE_CHANGE, "on-b", "{'disks_mib':1}", 200);
  pool_add(w, "p", 9, ",'image':'own'");
  assert_int_equal(on_storage(w, "on-a", "a"), 3);
  assert_int_equal(on_storage(w, "on-b", "b"), 1);
  assert_int_equal(on_storage(w, "on-c", "c"), 3);
  json_auto_t *plan = told(w, API_POOL_PLAN, "p", "{'count':1}");
  assert_int_equal((int)json_array_size(json_object_get(plan, "hosts_stopped")), 2); /* the three by one rule, and h1, which is drained */
  world_same_fleet(w);
  ask(w, API_POOL_CHANGE, "p", "{'min':0,'surplus_s':1}", 200);
  world_pass(w, 60);
  world_pass(w, 60);
  assert_int_equal(world_count(w, NOUN_DESKTOP, DESKTOP_AVAILABLE), 0);
  world_same_fleet(w);
  ask(w, API_POOL_CHANGE, "p", "{'min':2}", 200);
  assert_int_equal(world_count(w, NOUN_DESKTOP, DESKTOP_AVAILABLE), 2);
  world_free(w);
}

static void by_ratio_images_are_taken_off_what_was_measured(void **state)
{
  World *w = three_hosts();
  ask(w, API_STORAGE_CHANGE, "disk", "{'disk_overcommit_pct':200}", 200);
  pool_add(w, "p", 6, "");
  assert_int_equal(on_storage(w, "disk", NULL), 6); /* not measured: not counted */
  w->total_bytes = w->free_bytes = 5 << 20;
  world_pass(w, 30);
  world_host_answers(w, "a", "kvm");
  ask(w, API_POOL_CHANGE, "p", "{'min':30}", 200);
  assert_int_equal(on_storage(w, "disk", NULL), 8); /* (5 − 1) × 200 % */
  world_same_fleet(w);
  w->total_bytes = 9 << 20;
  world_pass(w, 30);
  world_host_answers(w, "a", "kvm");
  assert_int_equal(on_storage(w, "disk", NULL), 16);
  world_same_fleet(w);
  world_free(w);
}

static void the_next_storage_takes_over_where_the_first_is_full(void **state)
{
  World *w = three_hosts();
  ask(w, API_STORAGE_ADD, NULL, "{'name':'more','path':'/srv/more','disks_mib':3}", 201);
  ask(w, API_STORAGE_CHANGE, "disk", "{'disks_mib':2}", 200);
  ask(w, API_IMAGE_IMPORT, NULL, "{'family':'both','format':'qcow2','storages':['disk','more'],'source':'/srv/both.qcow2'}", 202);
  pool_add(w, "p", 9, ",'image':'both'");
  assert_int_equal(on_storage(w, "disk", NULL), 2);
  assert_int_equal(on_storage(w, "more", NULL), 3);
  ask(w, API_STORAGE_CHANGE, "more", "{'disks_mib':0}", 200);
  assert_int_equal(on_storage(w, "more", NULL), 7); /* its room is nobody's to count */
  world_same_fleet(w);
  world_free(w);
}

static void a_disk_that_hosts_share_stays_when_its_desktop_moves(void **state)
{
  World *w = world_of_three(",'vcpus':8,'migrate_uri':'qemu+tls://a/system'", ",'vcpus':8,'migrate_uri':'qemu+tls://b/system'",
                            ",'vcpus':8,'migrate_uri':'qemu+tls://c/system'");
  ask(w, API_STORAGE_CHANGE, "disk", "{'disks_mib':2}", 200);
  pool_add(w, "p", 2, ",'hosts':['a']");
  ask(w, API_POOL_CHANGE, "p", "{'hosts':[]}", 200);
  json_auto_t *plan = told(w, API_HOST_REBALANCE, NULL, "{'host':'a'}");
  assert_true(json_is_true(json_object_get(plan, "reached")));
  assert_int_equal(number(plan, "moves_in_all"), 2);
  w->hold = true;
  json_auto_t *begun = told(w, API_HOST_REBALANCE, NULL, "{'host':'a','apply':true}");
  assert_int_equal(number(begun, "begun"), 2);
  int64_t room_mib;
  ledger_fleet(w->brain);
  assert_true(ledger_storage_room(w->brain, "b", "disk", &room_mib));
  assert_int_equal(room_mib, 0); /* once, though its memory is claimed on both hosts */
  world_same_fleet(w);
  world_free(w);
}

static void where_more_is_than_fits_nothing_is_added_and_nothing_lost(void **state)
{
  World *w = three_hosts();
  own_storages(w, "");
  pool_add(w, "p", 6, ",'image':'own'");
  pool_add(w, "q", 4, "");
  ask(w, API_STORAGE_CHANGE, "on-a", "{'disks_mib':1}", 200);
  ask(w, API_STORAGE_CHANGE, "disk", "{'disks_mib':1}", 200);
  int64_t room_mib;
  ledger_fleet(w->brain);
  assert_true(ledger_storage_room(w->brain, "a", "on-a", &room_mib));
  assert_int_equal(room_mib, 1 - on_storage(w, "on-a", "a"));
  assert_true(ledger_storage_room(w->brain, "b", "disk", &room_mib));
  assert_int_equal(room_mib, 1 - 4);
  ask(w, API_POOL_CHANGE, "q", "{'min':5}", 200);
  assert_int_equal(on_storage(w, "disk", NULL), 4);
  const char *why = WORLD_GET(w, Pool, POOL, "q")->error;
  assert_true(why && strstr(why, "has 0 of 1 MiB free"));
  world_same_fleet(w);
  world_free(w);
}

static void more_storages_than_are_counted_are_not_there(void **state)
{
  World *w = three_hosts();
  for (int i = 1; i <= 3; i++) {
    g_autofree char *body = g_strdup_printf("{'name':'s%d','path':'/srv/s%d','hosts':['a'],'disks_mib':9}", i, i);
    ask(w, API_STORAGE_ADD, NULL, body, 201);
  }
  ask(w, API_IMAGE_IMPORT, NULL, "{'family':'third','format':'qcow2','storages':['s3'],'source':'/srv/third.qcow2'}", 202);
  pool_add(w, "p", 1, ",'image':'third'");
  assert_int_equal(on_storage(w, "s3", NULL), 0);
  assert_non_null(WORLD_GET(w, Pool, POOL, "p")->error);
  ask(w, API_STORAGE_CHANGE, "s1", "{'disks_mib':0}", 200);
  assert_int_equal(on_storage(w, "s3", "a"), 1);
  world_same_fleet(w);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_shared_storage_takes_as_many_disks_as_it_has_room_for),
    cmocka_unit_test(a_plan_counts_disks_and_tells_the_storage),
    cmocka_unit_test(each_host_has_what_its_own_storage_takes),
    cmocka_unit_test(by_ratio_images_are_taken_off_what_was_measured),
    cmocka_unit_test(the_next_storage_takes_over_where_the_first_is_full),
    cmocka_unit_test(a_disk_that_hosts_share_stays_when_its_desktop_moves),
    cmocka_unit_test(where_more_is_than_fits_nothing_is_added_and_nothing_lost),
    cmocka_unit_test(more_storages_than_are_counted_are_not_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

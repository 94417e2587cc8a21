/* Hosts that are drained by moving what runs there: two at a time, one after the other, what cannot go is told with its reason, and a move that failed
 * is not made again at once. The whole brain over three hosts of eight vCPUs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/ledger.h"
#include "tests/unit/brain_world.h"

static const char *fails; /* the desktop whose moves fail; NULL = none */

static GError *answers(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (fails && order->kind == STEP_MIGRATE && !strcmp(order->desktop->head.name, fails))
    error_set(&err, REASON_MIGRATION_UNSAFE, "host", order->host->head.name, "domain", "u", "detail", "not shared", NULL);
  return err;
}

static void tells(World *w, const StepOrder *order, StepResult *result)
{
  if (order->kind == STEP_STAY || order->kind == STEP_ARRIVE)
    result->power = POWER_ON;
}

/* So many sessions hold their desktops on a. */
static World *world_held(int n)
{
  World *w = world_of_three(",'vcpus':8", ",'vcpus':8", ",'vcpus':8");
  w->answer = answers;
  w->fill = tells;
  fails = NULL;
  g_autofree char *body = g_strdup_printf("{'name':'p','template':'linux','image':'linux','vcpus':1,'memory_mib':256,'min':%d,'max':20,'hosts':['a']}", n);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->error);
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'hosts':[],'min':0}")->error);
  for (int i = 0; i < n; i++) {
    g_autofree char *user = g_strdup_printf("{'name':'u%d'}", i), *name = g_strdup_printf("u%d", i);
    assert_null(world_ask(w, API_USER_ADD, NULL, NULL, user)->error);
    assert_null(world_ask(w, API_SESSION_REQUEST, name, NULL, "{'pool':'p'}")->error);
  }
  return w;
}

static int on_their_way(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  int n = 0;
  for (guint i = 0; i < names->len; i++)
    n += WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->moving != NULL;
  return n;
}

static const char *first_on(World *w, const char *host)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  for (guint i = 0; i < names->len; i++)
    if (!strcmp(WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->host, host))
      return WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->head.name;
  return NULL;
}

static void change(World *w, ApiVerb verb, const char *name, const char *body) { assert_null(world_ask(w, verb, NULL, name, body)->error); }

static const Host *host_a(World *w) { return WORLD_GET(w, Host, HOST, "a"); }

static void drain(World *w) { assert_null(world_ask(w, API_HOST_DRAIN, NULL, "a", "{'migrate':true}")->error); }

static int events(World *w, const char *kind)
{
  int n = 0;
  for (guint i = 0; i < w->events->len; i++)
    n += !strcmp(((const Event *)w->events->pdata[i])->kind, kind);
  return n;
}

static void a_host_is_left_two_at_a_time_until_it_is_empty(void **state)
{
  World *w = world_held(5);
  assert_int_equal(world_on_host(w, "a"), 5);
  w->hold = true;
  drain(w);
  world_settle(w);
  assert_int_equal(on_their_way(w), 2);
  assert_true(host_a(w)->leaving);
  for (int i = 0; i < 30 && world_on_host(w, "a"); i++) {
    world_release(w);
    world_settle(w);
    assert_in_range(on_their_way(w), 0, 2);
    world_same_fleet(w);
  }
  assert_int_equal(world_on_host(w, "a"), 0);
  assert_int_equal(events(w, "desktop.migrated"), 5);
  assert_int_equal(host_a(w)->state, HOST_MAINTENANCE);
  assert_false(host_a(w)->leaving);
  assert_null(host_a(w)->stays);
  assert_int_equal(world_count(w, NOUN_SESSION, SESSION_ENDED), 0);
  world_free(w);
}

static void assert_told(World *w, Lang lang, const char *text)
{
  g_autoptr(GError) why = host_a(w)->stays ? brain_error_of(host_a(w)->stays) : NULL;
  g_autofree char *said = why ? error_text(why, lang) : g_strdup("nothing");
  if (!strstr(said, text))
    fail_msg("\"%s\" does not say \"%s\"", said, text);
}

/* Two go, two have their turn, one that nobody holds is destroyed, one was made on another storage. */
static void who_waits_for_what_is_told(void **state)
{
  World *w = world_held(4);
  change(w, API_STORAGE_ADD, NULL, "{'name':'own','path':'/srv/own','hosts':['a']}");
  change(w, API_IMAGE_IMPORT, NULL, "{'family':'small','format':'qcow2','storages':['own'],'source':'/srv/small.qcow2'}");
  change(w, API_POOL_CREATE, NULL, "{'name':'bound','template':'linux','image':'small','vcpus':1,'memory_mib':256,'min':0,'spare':0,'max':2,'hosts':['a']}");
  change(w, API_POOL_CHANGE, "bound", "{'min':1}");
  assert_null(world_ask(w, API_SESSION_REQUEST, "u0", NULL, "{'pool':'bound'}")->error);
  change(w, API_POOL_CHANGE, "p", "{'hosts':['a'],'spare':1}");
  assert_int_equal(world_on_host(w, "a"), 6);
  change(w, API_POOL_CHANGE, "p", "{'hosts':[]}");
  w->hold = true;
  drain(w);
  world_settle(w);
  assert_told(w, LANG_EN, "6 desktops are still on host a: d-");
  assert_told(w, LANG_EN, ": its disk is on storage own, which hosts do not share; d-");
  assert_told(w, LANG_EN, ": it is being destroyed; d-");
  assert_told(w, LANG_EN, ": its turn comes when others have arrived; d-");
  assert_told(w, LANG_EN, ": it is on its way to host ");
  assert_told(w, LANG_KO, "호스트 a에 아직 데스크톱 6대가 있습니다: d-");
  assert_told(w, LANG_KO, ": 디스크가 호스트끼리 공유하지 않는 스토리지 own에 있습니다; d-");
  assert_told(w, LANG_KO, ": 삭제하는 중입니다; d-");
  assert_told(w, LANG_KO, ": 다른 데스크톱이 도착하면 차례가 옵니다; d-");
  assert_told(w, LANG_KO, "(으)로 옮기는 중입니다");
  w->hold = false;
  world_release(w);
  world_settle(w);
  world_pass(w, 60);
  assert_told(w, LANG_EN, "1 desktops are still on host a: d-");
  world_free(w);
}

static void without_the_word_nothing_moves(void **state)
{
  World *w = world_held(2);
  assert_null(world_ask(w, API_HOST_DRAIN, NULL, "a", "{}")->error);
  world_pass(w, 120);
  assert_int_equal(world_on_host(w, "a"), 2);
  assert_int_equal(host_a(w)->state, HOST_DRAINING);
  drain(w); /* said later */
  world_pass(w, 60);
  assert_int_equal(world_on_host(w, "a"), 0);
  world_free(w);
}

static void what_cannot_go_is_told_and_goes_when_it_can(void **state)
{
  World *w = world_held(3);
  assert_null(world_ask(w, API_HOST_CHANGE, NULL, "b", "{'vcpus':1}")->error);
  assert_null(world_ask(w, API_HOST_CHANGE, NULL, "c", "{'vcpus':1}")->error);
  drain(w);
  world_pass(w, 60);
  assert_int_equal(world_on_host(w, "a"), 1);
  assert_int_equal(host_a(w)->state, HOST_DRAINING);
  const char *stays = host_a(w)->stays;
  g_autofree char *told = g_strdup_printf("1 desktops are still on host a: %s: no other host", first_on(w, "a"));
  if (!stays || !strstr(stays, "\"move-stays-why\"") || !strstr(stays, told))
    fail_msg("%s, not %s", stays, told);
  assert_null(world_ask(w, API_HOST_CHANGE, NULL, "c", "{'vcpus':8}")->error);
  world_pass(w, 60);
  assert_int_equal(world_on_host(w, "a"), 0);
  assert_null(host_a(w)->stays);
  assert_int_equal(host_a(w)->state, HOST_MAINTENANCE);
  world_free(w);
}

static void a_move_that_failed_rests_and_the_others_go(void **state)
{
  World *w = world_held(3);
  g_autofree char *bad = g_strdup(first_on(w, "a"));
  fails = bad;
  drain(w);
  world_pass(w, 300);
  assert_int_equal(world_on_host(w, "a"), 1);
  assert_string_equal(first_on(w, "a"), bad);
  assert_int_equal(events(w, "desktop.not-migrated"), 1);
  assert_told(w, LANG_EN, ": its move failed, the next is tried later: host \"a\" does not move domain u: it does not know its storage as shared: not shared");
  assert_told(w, LANG_KO, ": 옮기지 못해 나중에 다시 시도합니다: 호스트 \"a\"이(가) 도메인 u을(를) 옮기지 않습니다.");
  fails = NULL;
  world_pass(w, 900);
  assert_int_equal(world_on_host(w, "a"), 0);
  assert_int_equal(host_a(w)->state, HOST_MAINTENANCE);
  world_free(w);
}

static void used_again_no_more_moves_are_begun(void **state)
{
  World *w = world_held(5);
  w->hold = true;
  drain(w);
  world_settle(w);
  assert_int_equal(on_their_way(w), 2);
  assert_null(world_ask(w, API_HOST_ACTIVATE, NULL, "a", "{}")->error);
  w->hold = false;
  world_release(w);
  world_settle(w);
  world_pass(w, 120);
  assert_int_equal(world_on_host(w, "a"), 3);
  assert_false(host_a(w)->leaving);
  assert_int_equal(host_a(w)->state, HOST_UP);
  world_free(w);
}

static void it_goes_on_after_a_crash(void **state)
{
  World *w = world_held(4);
  w->hold = true;
  drain(w);
  world_settle(w);
  world_crash(w);
  w->hold = false;
  for (int i = 0; i < 20 && world_on_host(w, "a"); i++)
    world_pass(w, 60);
  world_host_answers(w, "a", "kvm");
  world_host_answers(w, "b", "kvm");
  world_host_answers(w, "c", "kvm");
  for (int i = 0; i < 60 && world_on_host(w, "a"); i++)
    world_pass(w, 60);
  assert_int_equal(world_on_host(w, "a"), 0);
  assert_int_equal(host_a(w)->state, HOST_MAINTENANCE);
  assert_int_equal(world_count(w, NOUN_SESSION, SESSION_ENDED), 0);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_host_is_left_two_at_a_time_until_it_is_empty), cmocka_unit_test(without_the_word_nothing_moves),
    cmocka_unit_test(who_waits_for_what_is_told),
    cmocka_unit_test(what_cannot_go_is_told_and_goes_when_it_can),    cmocka_unit_test(a_move_that_failed_rests_and_the_others_go),
    cmocka_unit_test(used_again_no_more_moves_are_begun),             cmocka_unit_test(it_goes_on_after_a_crash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What desktops claim of a host's NUMA cells, huge pages and CPU: the whole brain over hosts that tell of them. The fleet that is kept is compared with one
 * made anew after each story. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/ledger.h"
#include "tests/unit/brain_world.h"

#define HUGE_PAGES "<memoryBacking><hugepages/></memoryBacking>"

static World *world_of_machines(void)
{
  return world_of_three(",'cpu_overcommit_pct':200", ",'cpu_overcommit_pct':200", ",'cpu_overcommit_pct':200");
}

static const char *pool_add(World *w, const char *fields, int n)
{
  g_autofree char *body = g_strdup_printf("{'name':'p','image':'linux',%s,'min':%d,'max':%d}", fields, n, n);
  assert_int_equal(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->status, 201);
  return WORLD_GET(w, Pool, POOL, "p")->error;
}

static void pool_ends(World *w)
{
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'min':0,'max':0}")->error);
  world_ask(w, API_POOL_DELETE, NULL, "p", NULL);
  world_pass(w, 60);
  g_autoptr(GPtrArray) left = brain_names(w->brain, NOUN_DESKTOP);
  assert_int_equal(left->len, 0);
}

/* Desktops on host, in that cell where it is not any. */
static int there(World *w, const char *host, NumaCell cell)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  int n = 0;
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, names->pdata[i]);
    n += !strcmp(d->host, host) && (cell == CELL_ANY || d->cell == (int)cell);
  }
  return n;
}

static void a_desktop_of_one_cell_is_claimed_in_one(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 2, 0, 0, NULL); /* 2 CPUs a cell, handed out twice */
  const char *error = pool_add(w, "'template':'linux','vcpus':3,'memory_mib':1024,'hosts':['a'],'numa':'one-cell'", 3);
  assert_int_equal(there(w, "a", CELL_0), 1);
  assert_int_equal(there(w, "a", CELL_1), 1);
  assert_int_equal(there(w, "a", CELL_ANY), 2);
  assert_non_null(strstr(error, "has 2 of 8 vCPUs free, 3 wanted"));
  world_same_fleet(w);
  world_crash(w);
  world_same_fleet(w);
  assert_int_equal(there(w, "a", CELL_1), 1);
  world_free(w);
}

static void what_is_free_of_a_host_may_be_in_no_one_cell(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 2, 0, 0, NULL);
  const char *error = pool_add(w, "'template':'linux','vcpus':5,'memory_mib':1024,'hosts':['a'],'numa':'one-cell'", 1);
  assert_non_null(strstr(error, "no NUMA cell of host a has room: at best 4 of 4 vCPU are free in one, 5 wanted"));
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'numa':'template'}")->error);
  world_pass(w, 60);
  assert_int_equal(there(w, "a", CELL_ANY), 1);
  world_same_fleet(w);
  world_free(w);
}

static void memory_of_a_cell_counts_as_its_cpus_do(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 2, 0, 0, NULL); /* 8192 MiB a cell, a tenth of it the host's */
  const char *error = pool_add(w, "'template':'linux','vcpus':1,'memory_mib':4000,'hosts':['a'],'numa':'one-cell'", 3);
  assert_int_equal(there(w, "a", CELL_ANY), 2);
  assert_non_null(strstr(error, "at best 3373 of 7373 MiB are free in one, 4000 wanted"));
  world_same_fleet(w);
  world_free(w);
}

static void what_a_desktop_had_of_a_cell_comes_back(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 2, 0, 0, NULL);
  for (int i = 0; i < 3; i++) {
    assert_null(pool_add(w, "'template':'linux','vcpus':4,'memory_mib':1024,'hosts':['a'],'numa':'one-cell'", 2));
    assert_int_equal(there(w, "a", CELL_ANY), 2);
    pool_ends(w);
    world_same_fleet(w);
  }
  world_free(w);
}

static void a_host_without_cells_binds_to_none(void **state)
{
  World *w = world_of_machines();
  assert_null(pool_add(w, "'template':'linux','vcpus':3,'memory_mib':1024,'hosts':['a'],'numa':'one-cell'", 2));
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, names->pdata[0])->cell, CELL_ANY);
  world_same_fleet(w);
  world_free(w);
}

static void a_machine_that_changes_is_counted_anew(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 2, 2048, 2048, "aes");
  assert_null(pool_add(w, "'template':'linux','vcpus':2,'memory_mib':1024,'hosts':['a'],'numa':'one-cell'", 3));
  static const int cells[] = { 4, 1, 2 };
  for (size_t i = 0; i < G_N_ELEMENTS(cells); i++) {
    world_host_is(w, "a", cells[i], 1024 * (int)i, 2048, i ? "aes avx2" : NULL);
    world_same_fleet(w);
  }
  world_free(w);
}

static void huge_pages_are_handed_out_apart(void **state)
{
  World *w = world_of_machines();
  world_template_add(w, "huge", HUGE_PAGES, NULL);
  world_host_is(w, "a", 2, 8192, 2048, NULL);
  world_host_is(w, "b", 1, 4000, 1 << 20, NULL);
  const char *error = pool_add(w, "'template':'huge','vcpus':1,'memory_mib':3000", 4);
  assert_int_equal(there(w, "a", CELL_ANY), 2);
  assert_int_equal(there(w, "b", CELL_ANY), 1);
  assert_int_equal(there(w, "c", CELL_ANY), 0);
  assert_non_null(strstr(error, "host a has 2192 of 8192 MiB of such huge pages free, 3000 wanted"));
  world_same_fleet(w);
  world_crash(w);
  world_same_fleet(w);
  pool_ends(w);
  /* what is no huge page, less a tenth of the machine */
  error = pool_add(w, "'template':'linux','vcpus':1,'memory_mib':7000,'hosts':['a']", 1);
  assert_non_null(strstr(error, "host a has 6554 of 6554 MiB free, 7000 wanted"));
  world_free(w);
}

static void pages_of_another_size_are_none(void **state)
{
  World *w = world_of_machines();
  world_template_add(w, "giant", "<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>", NULL);
  world_host_is(w, "a", 1, 8192, 2048, NULL);
  const char *error = pool_add(w, "'template':'giant','vcpus':1,'memory_mib':1024,'hosts':['a']", 1);
  assert_non_null(strstr(error, "host a has 0 of 0 MiB of such huge pages free, 1024 wanted"));
  world_host_is(w, "a", 1, 8192, 1 << 20, NULL);
  world_pass(w, 60);
  assert_int_equal(there(w, "a", CELL_ANY), 1);
  world_same_fleet(w);
  world_free(w);
}

static void pages_of_one_cell_are_counted_there(void **state)
{
  World *w = world_of_machines();
  world_template_add(w, "huge", HUGE_PAGES "<numatune><memory mode='strict' nodeset='0'/></numatune>", NULL);
  world_host_is(w, "a", 2, 8192, 2048, NULL);
  const char *error = pool_add(w, "'template':'huge','vcpus':1,'memory_mib':2600,'hosts':['a']", 3);
  assert_int_equal(there(w, "a", CELL_0), 1);
  assert_int_equal(there(w, "a", CELL_1), 1);
  assert_non_null(strstr(error, "at best 1496 of 4096 MiB (huge pages) are free in one, 2600 wanted"));
  world_same_fleet(w);
  world_free(w);
}

static void what_a_template_requires_of_the_cpu_is_asked_of_hosts(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 0, 0, 0, "aes avx avx2 qemu64");
  world_host_is(w, "b", 0, 0, 0, "aes avx qemu64");
  world_ask(w, API_HOST_DRAIN, NULL, "c", NULL);
  world_template_add(w, "fast", "<cpu mode='host-model'><feature policy='require' name='avx2'/></cpu>", NULL);
  assert_null(pool_add(w, "'template':'fast','vcpus':1,'memory_mib':1024", 2));
  assert_int_equal(there(w, "a", CELL_ANY), 2);
  world_same_fleet(w);
  pool_ends(w);
  const char *error = pool_add(w, "'template':'fast','vcpus':1,'memory_mib':1024,'hosts':['b']", 1);
  assert_non_null(strstr(error, "the CPUs of host b lack \\\"avx2\\\""));
  world_host_is(w, "b", 0, 0, 0, "aes avx2");
  world_pass(w, 60);
  assert_int_equal(there(w, "b", CELL_ANY), 1);
  world_same_fleet(w);
  pool_ends(w);
  /* a template that came later asks for what nobody asked for before */
  world_template_add(w, "model", "<cpu mode='custom' match='exact'><model>qemu64</model></cpu>", NULL);
  error = pool_add(w, "'template':'model','vcpus':1,'memory_mib':1024,'hosts':['b']", 1);
  assert_non_null(strstr(error, "the CPUs of host b lack \\\"qemu64\\\""));
  world_same_fleet(w);
  world_free(w);
}

/* Nothing is known of c's CPU, and b emulates one: there the requirement is left out of the domain. */
static void a_cpu_that_is_not_known_refuses_nothing(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 0, 0, 0, "aes");
  world_host_answers(w, "b", "qemu");
  world_template_add(w, "fast", "<cpu mode='host-model'><feature policy='require' name='avx2'/></cpu>", NULL);
  assert_null(pool_add(w, "'template':'fast','vcpus':1,'memory_mib':1024,'policy':'spread'", 2));
  assert_int_equal(there(w, "b", CELL_ANY), 1);
  assert_int_equal(there(w, "c", CELL_ANY), 1);
  world_same_fleet(w);
  world_free(w);
}

/* A slow host is not asked each time: what it told of the same CPU holds until it tells otherwise. */
static void what_a_host_told_of_its_cpu_is_kept(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 0, 0, 0, "aes avx2");
  Observation *o = observation_new(SAW_HOST, "a");
  o->hostname = g_strdup("a");
  o->virt_type = g_strdup("kvm");
  o->cpus = 4;
  o->memory_mib = 16384;
  o->cpu_model = g_strdup("EPYC");
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
  assert_string_equal(WORLD_GET(w, Host, HOST, "a")->cpu_features, "aes avx2");
  world_host_answers(w, "a", "kvm");
  assert_null(WORLD_GET(w, Host, HOST, "a")->cpu_features);
  world_same_fleet(w);
  world_free(w);
}

/* ── moves ────────────────────────────────────────────────────────────────── */

static char *moves_of(World *w, const char *host)
{
  g_autofree char *body = g_strdup_printf("{'host':'%s'}", host);
  const Answer *a = world_ask(w, API_HOST_REBALANCE, NULL, NULL, body);
  assert_null(a->error);
  return g_strdup(a->json);
}

static void a_guest_with_the_host_s_cpu_moves_to_the_same_one_alone(void **state)
{
  static const struct { const char *why, *cpu, *here, *other; bool moves; } rows[] = {
    { "the same CPU", NULL, "aes avx2", "aes avx2", true },
    { "more than it has is another one", NULL, "aes", "aes avx2", false },
    { "less", NULL, "aes avx2", "aes", false },
    { "a model that both can run", "<cpu mode='custom'><model>qemu64</model></cpu>", "aes qemu64", "avx2 qemu64", true },
    { "a model that one cannot", "<cpu mode='custom'><model>qemu64</model></cpu>", "aes qemu64", "avx2", false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = world_of_machines();
    world_template_add(w, "t", rows[i].cpu, NULL);
    world_host_is(w, "a", 0, 0, 0, rows[i].here);
    world_host_is(w, "b", 0, 0, 0, rows[i].other);
    world_ask(w, API_HOST_DRAIN, NULL, "c", NULL);
    assert_null(pool_add(w, "'template':'t','vcpus':1,'memory_mib':1024,'hosts':['a']", 1));
    world_ask(w, API_POOL_CHANGE, NULL, "p", "{'hosts':[]}");
    g_autofree char *told = moves_of(w, "a");
    if (!!strstr(told, "\"to\":\"b\"") != rows[i].moves)
      fail_msg("%s: %s", rows[i].why, told);
    world_same_fleet(w);
    world_free(w);
  }
}

static void a_desktop_in_a_cell_stays(void **state)
{
  World *w = world_of_machines();
  world_host_is(w, "a", 2, 0, 0, NULL);
  assert_null(pool_add(w, "'template':'linux','vcpus':1,'memory_mib':1024,'hosts':['a'],'numa':'one-cell'", 1));
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'hosts':[]}");
  g_autofree char *told = moves_of(w, "a");
  assert_non_null(strstr(told, "bound to a NUMA cell of host a"));
  world_same_fleet(w);
  world_free(w);
}

/* ── near ─────────────────────────────────────────────────────────────────── */

static GpuCard *card_on_cell(int node)
{
  GpuCard *card = gpu_card_new("0000:65:00.0", GPU_MDEV);
  GpuType *type = gpu_card_add_type(card, "m-1");
  type->max = type->free = 4;
  card->numa_node = node;
  return card;
}

static World *world_with_card(int node)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  assert_null(world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'vcpus':8,'memory_mib':16000}")->error);
  world_host_is(w, "h1", 2, 0, 0, NULL);
  world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['m-1']}");
  world_look(w, card_on_cell(node));
  world_pass(w, 60);
  return w;
}

static void memory_is_taken_where_the_card_is(void **state)
{
  World *w = world_with_card(1);
  const char *error = pool_add(w, "'template':'linux','vcpus':2,'memory_mib':1024,'gpu_class':'small','numa':'near'", 3);
  assert_int_equal(there(w, "h1", CELL_1), 2);
  assert_int_equal(there(w, "h1", CELL_ANY), 2);
  assert_non_null(strstr(error, "no NUMA cell of host h1 has both the memory and its cards free"));
  world_same_fleet(w);
  world_crash(w);
  world_same_fleet(w);
  world_free(w);
}

static void a_card_that_tells_no_cell_is_near_to_none(void **state)
{
  World *w = world_with_card(-1);
  world_template_add(w, "t", NULL, "<sarang:gpu need=\"required\" near=\"yes\"/>");
  const char *error = pool_add(w, "'template':'t','vcpus':2,'memory_mib':1024,'gpu_class':'small'", 1);
  assert_int_equal(there(w, "h1", CELL_ANY), 0);
  assert_non_null(strstr(error, "both the memory and its cards"));
  world_same_fleet(w);
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'template':'linux'}")->error);
  world_pass(w, 60);
  assert_int_equal(there(w, "h1", CELL_ANY), 1);
  world_same_fleet(w);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_desktop_of_one_cell_is_claimed_in_one),
    cmocka_unit_test(what_is_free_of_a_host_may_be_in_no_one_cell),
    cmocka_unit_test(memory_of_a_cell_counts_as_its_cpus_do),
    cmocka_unit_test(what_a_desktop_had_of_a_cell_comes_back),
    cmocka_unit_test(a_host_without_cells_binds_to_none),
    cmocka_unit_test(a_machine_that_changes_is_counted_anew),
    cmocka_unit_test(huge_pages_are_handed_out_apart),
    cmocka_unit_test(pages_of_another_size_are_none),
    cmocka_unit_test(pages_of_one_cell_are_counted_there),
    cmocka_unit_test(what_a_template_requires_of_the_cpu_is_asked_of_hosts),
    cmocka_unit_test(a_cpu_that_is_not_known_refuses_nothing),
    cmocka_unit_test(what_a_host_told_of_its_cpu_is_kept),
    cmocka_unit_test(a_guest_with_the_host_s_cpu_moves_to_the_same_one_alone),
    cmocka_unit_test(a_desktop_in_a_cell_stays),
    cmocka_unit_test(memory_is_taken_where_the_card_is),
    cmocka_unit_test(a_card_that_tells_no_cell_is_near_to_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Recorded demand in virtual time: by hand-made lists whose waits can be reckoned, and the public list on fewer hosts. */
#include "core/placement/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NODES "sn,cpu_milli,memory_mib,gpu,model\na,8000,8192,1,T4\nb,8000,8192,1,T4\n"
#define HEAD "cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time\n"

typedef struct {
  const char *why, *demands;
  int hosts_pct, patience_s;
  int64_t placed, denied, p50_s, p95_s;
  double used_pct;
} Row;

static void waits_denials_and_use_are_those_one_can_reckon(void **state)
{
  const Row rows[] = {
    { "all at once fit", HEAD "1000,1024,1,1000,,0,100\n1000,1024,1,1000,,100,200\n", 100, 1000, 2, 0, 0, 0, 50 },
    { "one card: the second waits until the first goes", HEAD "1000,1024,1,1000,,0,100\n1000,1024,1,1000,,40,100\n", 50, 1000, 2, 0, 60, 60, 100 },
    { "and is denied where it does not wait so long", HEAD "1000,1024,1,1000,,0,100\n1000,1024,1,1000,,40,100\n", 50, 59, 1, 1, 0, 0, 100 },
    { "who never leaves leaves no room", HEAD "1000,1024,1,1000,,0,\n1000,1024,1,1000,,40,100\n", 50, 1000, 1, 1, 0, 0, 100 },
    { "twice the hosts", HEAD "1000,1024,1,1000,,0,9\n1000,1024,1,1000,,0,9\n1000,1024,1,1000,,0,9\n1000,1024,1,1000,,0,9\n", 200, 0, 4, 0, 0, 0, 100 },
    { "halves share a card", HEAD "1000,1024,1,500,,0,100\n1000,1024,1,500,,50,100\n1000,1024,1,500,,100,150\n", 50, 0, 3, 0, 0, 0, 75 },
    { "what fits nowhere", HEAD "1000,1024,1,1000,V100,0,100\n1000,1024,1,1000,,10,20\n", 100, 1000, 1, 1, 0, 0, 0 },
  };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    ReplaySpec spec = { NODES, rows[i].demands, rows[i].hosts_pct, rows[i].patience_s * G_USEC_PER_SEC, 1 };
    ReplayResult r;
    assert_true(replay_run(&spec, &r, NULL));
    bool same = r.placed == rows[i].placed && r.denied == rows[i].denied && r.wait_p50_us == rows[i].p50_s * G_USEC_PER_SEC &&
                r.wait_p95_us == rows[i].p95_s * G_USEC_PER_SEC && r.used_pct > rows[i].used_pct - 0.01 && r.used_pct < rows[i].used_pct + 0.01;
    if (!same)
      fail_msg("%s: %d placed, %d denied, waits %d and %d s, %.2f %%", rows[i].why, (int)r.placed, (int)r.denied, (int)(r.wait_p50_us / G_USEC_PER_SEC),
               (int)(r.wait_p95_us / G_USEC_PER_SEC), r.used_pct);
  }
}

static void fewer_hosts_deny_more_and_are_used_more(void **state)
{
  g_autofree char *nodes = NULL, *demands = NULL;
  assert_true(g_file_get_contents("tests/traces/openb_node_list_gpu_node.csv", &nodes, NULL, NULL));
  assert_true(g_file_get_contents("tests/traces/openb_pod_list_default.csv", &demands, NULL, NULL));
  ReplayResult r[3];
  const int pct[3] = { 100, 2, 1 };
  for (int i = 0; i < 3; i++) {
    ReplaySpec spec = { nodes, demands, pct[i], 60 * (int64_t)G_USEC_PER_SEC, 1 };
    assert_true(replay_run(&spec, &r[i], NULL));
    assert_int_equal(r[i].arrived, r[i].placed + r[i].denied);
    assert_true(r[i].used_pct > 0 && r[i].used_pct <= 100);
  }
  g_autofree char *table = replay_table(r, NULL, 3, LANG_EN), *svg = replay_svg(r, NULL, 3, NULL, LANG_EN);
  print_message("%s", table);
  assert_int_equal(r[0].cards, 6212);
  assert_true(r[0].denied <= r[1].denied && r[1].denied < r[2].denied);
  assert_true(r[0].used_pct < r[2].used_pct);
  assert_true(g_str_has_prefix(svg, "<svg ") && g_str_has_suffix(svg, "</svg>\n"));
  g_auto(GStrv) curves = g_strsplit(svg, "<polyline", -1);
  assert_int_equal(g_strv_length(curves), 1 + 2 * 3);
}

/* A walk of all who wait for each that goes would take minutes. */
static void a_long_line_is_served_one_by_one(void **state)
{
  enum { PEOPLE = 100000, STAY_S = 10, PLACES = 2 };
  g_autoptr(GString) demands = g_string_new(HEAD);
  for (int i = 0; i < PEOPLE; i++)
    g_string_append_printf(demands, "1000,1024,1,1000,,100,%d\n", 100 + STAY_S);
  ReplaySpec spec = { NODES, demands->str, 100, PEOPLE * (int64_t)STAY_S * G_USEC_PER_SEC, 1 };
  ReplayResult r;
  assert_true(replay_run(&spec, &r, NULL));
  assert_int_equal(r.placed, PEOPLE);
  assert_int_equal(r.wait_most_us, (PEOPLE / PLACES - 1) * (int64_t)STAY_S * G_USEC_PER_SEC);
  assert_int_equal(r.wait_p50_us, PEOPLE / PLACES / 2 * (int64_t)STAY_S * G_USEC_PER_SEC);
}

static void lists_that_say_nothing_are_refused(void **state)
{
  const ReplaySpec rows[] = { { NODES, HEAD, 100, 0, 1 }, { NODES, "", 100, 0, 1 }, { "", HEAD "1,1,0,0,,1,2\n", 100, 0, 1 }, { NODES, HEAD "1,1,0,0,,1,2\n", 0, 0, 1 },
                              { NODES, HEAD "1,1,0,0,,x,2\n", 100, 0, 1 } };
  for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
    ReplayResult r;
    g_autoptr(GError) err = NULL;
    assert_false(replay_run(&rows[i], &r, &err));
    assert_true(error_is(err, REASON_BAD_VALUE));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(waits_denials_and_use_are_those_one_can_reckon),
    cmocka_unit_test(fewer_hosts_deny_more_and_are_used_more),
    cmocka_unit_test(a_long_line_is_served_one_by_one),
    cmocka_unit_test(lists_that_say_nothing_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* bench_place  - placement on the public openb trace and larger: quality against the published results, rate, growth, and the request
 * that other allocators enumerate. One JSON row a figure. The floor beside the rate is a plain scan that only checks what fits. */
#include "core/placement/plan.h"
#include "core/placement/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NODES "tests/traces/openb_node_list_gpu_node.csv"
#define EXPECTED "tests/traces/expected_allocation.csv"

enum { SEEDS = 10, FIRST_SEED = 42, ARRIVALS_PCT = 130, TIMES = 8, SIX = 6, SPREAD_PCT = 75, ROUNDS = 2001 };
static const char *const lists[] = { "default", "cpu100", "gpushare40", "gpushare80", "gpuspec10", "multigpu20" };

static double seconds(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(bool ok, const GError *err)
{
  if (ok)
    return;
  g_autofree char *text = err ? error_text(err, LANG_EN) : NULL;
  fprintf(stderr, "bench_place: %s\n", text ? text : "failed");
  exit(1);
}

static char *file_text(const char *path)
{
  char *text = NULL;
  GError *err = NULL;
  if (!g_file_get_contents(path, &text, NULL, &err)) {
    fprintf(stderr, "bench_place: %s\n", err->message);
    exit(1);
  }
  return text;
}

static void row(const char *name, double value, const char *unit, const char *against, const char *sign, double reach)
{
  bool holds = sign[0] == '<' ? value <= reach : value >= reach;
  printf("{\"name\": \"%s\", \"value\": %.4f, \"unit\": \"%s\", \"against\": \"%s\", \"reach\": \"%s %g\", \"holds\": %s}\n", name, value, unit, against,
         sign, reach, holds ? "true" : "false");
  fflush(stdout);
}

/* ── one run ──────────────────────────────────────────────────────────────── */

typedef struct {
  double share_pct, cpu_s, p50_us;
  int64_t placed;
} Run;

static int compare_floats(const void *a, const void *b)
{
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

typedef struct {
  Fleet *f;
  GArray *demands, *arrivals;
  int64_t capacity;
} Scene;

static void scene_open_as(Scene *s, const char *nodes, const char *pods, int times, uint64_t seed, PolicyName name, int pct)
{
  GError *err = NULL;
  Policy policy = policy_of(name);
  s->f = fleet_new(seed);
  for (int i = 0; i < times; i++) {
    g_autofree char *suffix = g_strdup_printf("-%d", i);
    must(trace_add_hosts(s->f, nodes, suffix, &err), err);
  }
  s->demands = trace_read_demands(s->f, pods, &policy, &err);
  must(s->demands, err);
  trace_set_mix(s->f, s->demands);
  s->capacity = fleet_capacity(s->f, -1).cards;
  s->arrivals = trace_draw(s->demands, s->capacity, pct, seed);
}

static void scene_open(Scene *s, const char *nodes, const char *pods, int times, uint64_t seed)
{
  scene_open_as(s, nodes, pods, times, seed, POLICY_FRAGMENTS, ARRIVALS_PCT);
}

static void scene_close(Scene *s)
{
  g_array_unref(s->demands);
  g_array_unref(s->arrivals);
  fleet_free(s->f);
}

static Run run(const char *nodes, const char *pods, int times, uint64_t seed, bool each)
{
  Scene s;
  scene_open(&s, nodes, pods, times, seed);
  Run r = {};
  g_autofree float *took = g_new0(float, s.arrivals->len);
  double began = seconds(CLOCK_PROCESS_CPUTIME_ID), last = 0;
  for (guint i = 0; i < s.arrivals->len; i++) {
    DemandClass *class = g_array_index(s.demands, TraceDemand, g_array_index(s.arrivals, guint, i)).class;
    Place place;
    ClaimId claim;
    if (each)
      last = seconds(CLOCK_MONOTONIC);
    if (!place_find(class, &place, NULL) || !place_claim(class, &place, NULL, &claim, NULL))
      continue;
    if (each)
      took[r.placed] = (float)(1e6 * (seconds(CLOCK_MONOTONIC) - last));
    r.placed++;
  }
  r.cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
  r.share_pct = 100.0 * (double)fleet_used(s.f, -1).cards / (double)s.capacity;
  qsort(took, (size_t)r.placed, sizeof *took, compare_floats);
  r.p50_us = r.placed ? took[r.placed / 2] : 0;
  scene_close(&s);
  return r;
}

/* ── the floor: first fit over arrays ─────────────────────────────────────── */

typedef struct {
  int32_t cpu, memory, n_gpus;
  int16_t gpu[8];
} FloorNode;

static GArray *floor_nodes(const char *text)
{
  GArray *nodes = g_array_new(FALSE, TRUE, sizeof(FloorNode));
  g_auto(GStrv) rows = g_strsplit(text, "\n", -1);
  for (int i = 1; rows[i] && *rows[i]; i++) {
    g_auto(GStrv) fields = g_strsplit(rows[i], ",", -1);
    FloorNode n = { atoi(fields[1]), atoi(fields[2]), MIN(8, atoi(fields[3])), {} };
    for (int g = 0; g < n.n_gpus; g++)
      n.gpu[g] = CARD_WHOLE;
    g_array_append_val(nodes, n);
  }
  return nodes;
}

static bool floor_take(FloorNode *n, int cpu, int memory, int count, int share)
{
  int fits = 0;
  if (n->cpu < cpu || n->memory < memory)
    return false;
  for (int g = 0; g < n->n_gpus; g++)
    fits += n->gpu[g] >= share;
  if (fits < count)
    return false;
  n->cpu -= cpu;
  n->memory -= memory;
  for (int g = 0; count && g < n->n_gpus; g++)
    if (n->gpu[g] >= share) {
      n->gpu[g] -= (int16_t)share;
      count--;
    }
  return true;
}

/* Placements per CPU-second of the plain scan on the same arrivals. */
static double floor_rate(const char *nodes_text, const char *pods_text)
{
  Scene s;
  scene_open(&s, nodes_text, pods_text, 1, FIRST_SEED);
  g_autoptr(GArray) nodes = floor_nodes(nodes_text);
  g_auto(GStrv) rows = g_strsplit(pods_text, "\n", -1);
  g_autofree int(*want)[4] = g_malloc0_n(s.demands->len, sizeof *want);
  for (guint i = 0; i < s.demands->len; i++) {
    g_auto(GStrv) fields = g_strsplit(rows[i + 1], ",", -1);
    for (int k = 0; k < 4; k++)
      want[i][k] = atoi(fields[k + 1]);
  }
  int64_t placed = 0;
  double began = seconds(CLOCK_PROCESS_CPUTIME_ID);
  for (guint i = 0; i < s.arrivals->len; i++) {
    const int *w = want[g_array_index(s.arrivals, guint, i)];
    bool done = false;
    for (guint n = 0; n < nodes->len && !done; n++)
      done = floor_take(&g_array_index(nodes, FloorNode, n), w[0], w[1], w[2], w[3]);
    placed += done;
  }
  double rate = (double)placed / (seconds(CLOCK_PROCESS_CPUTIME_ID) - began);
  scene_close(&s);
  return rate;
}

/* ── the published results ────────────────────────────────────────────────── */

typedef struct {
  double sum[8];
  int n[8];
} Published;

/* Means at saturation by policy ("01-Random" … "06-FGD") of one list at tune 1.3. */
static Published published(const char *text, const char *list)
{
  Published p = {};
  g_autofree char *workload = g_strconcat("openb_pod_list_", list, NULL);
  g_auto(GStrv) rows = g_strsplit(text, "\n", -1);
  for (int i = 0; rows[i]; i++) {
    g_auto(GStrv) fields = g_strsplit(g_strchomp(rows[i]), ",", -1);
    if (g_strv_length(fields) < 6 || strcmp(fields[0], workload) || strcmp(fields[2], "1.3"))
      continue;
    int policy = atoi(fields[1]) & 7;
    p.sum[policy] += atof(fields[g_strv_length(fields) - 1]);
    p.n[policy]++;
  }
  return p;
}

static void quality(const char *nodes)
{
  g_autofree char *expected = file_text(EXPECTED);
  double sum = 0, least_above = 100;
  for (guint l = 0; l < G_N_ELEMENTS(lists); l++) {
    g_autofree char *path = g_strdup_printf("tests/traces/openb_pod_list_%s.csv", lists[l]), *pods = file_text(path);
    Published p = published(expected, lists[l]);
    must(p.n[6] == SEEDS, NULL);
    double mean = 0, fgd = p.sum[6] / p.n[6], other = 0;
    for (int i = 1; i < 6; i++)
      other = p.n[i] ? MAX(other, p.sum[i] / p.n[i]) : other;
    for (int i = 0; i < SEEDS; i++)
      mean += run(nodes, pods, 1, FIRST_SEED + i, false).share_pct / SEEDS;
    g_autofree char *name = g_strdup_printf("trace_%s_pp", lists[l]);
    g_autofree char *against = g_strdup_printf("%.3f %% of GPUs allocated, published FGD %.3f %%, best other %.3f %%", mean, fgd, other);
    row(name, mean - fgd, "pp", against, ">=", -0.25);
    sum += mean - fgd;
    least_above = MIN(least_above, mean - other);
  }
  row("trace_mean_pp", sum / G_N_ELEMENTS(lists), "pp", "mean over the lists, ten seeds each, against published FGD", ">=", 0);
  row("trace_above_others_pp", least_above, "pp", "least lead over the best published policy that is not FGD", ">=", 0);
}

/* ── speed ────────────────────────────────────────────────────────────────── */

static int compare_doubles(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void speed(const char *nodes)
{
  g_autofree char *pods = file_text("tests/traces/openb_pod_list_default.csv");
  double rates[5], floors[5], small[5], large[3], p50[3];
  for (int i = 0; i < 5; i++) {
    Run r = run(nodes, pods, 1, FIRST_SEED + i, false);
    floors[i] = floor_rate(nodes, pods);
    rates[i] = (double)r.placed / r.cpu_s;
    small[i] = 1e6 * r.cpu_s / (double)r.placed;
  }
  for (int i = 0; i < 3; i++) {
    Run r = run(nodes, pods, TIMES, FIRST_SEED + i, true);
    large[i] = 1e6 * r.cpu_s / (double)r.placed;
    p50[i] = r.p50_us;
  }
  qsort(rates, 5, sizeof *rates, compare_doubles);
  qsort(floors, 5, sizeof *floors, compare_doubles);
  qsort(small, 5, sizeof *small, compare_doubles);
  qsort(large, 3, sizeof *large, compare_doubles);
  qsort(p50, 3, sizeof *p50, compare_doubles);
  g_autofree char *beside = g_strdup_printf("a plain scan that only checks fit: %.0f placements/CPU-s", floors[2]);
  row("place_rate", rates[2], "1/CPU-s", beside, ">=", 100000);
  g_autofree char *growth = g_strdup_printf("%.2f us a placement at 1,213 hosts, %.2f us at 9,704", small[2], large[1]);
  row("place_growth", log(large[1] / small[2]) / log(TIMES), "exponent", growth, "<=", 0.5);
  row("place_p50_us_10k", p50[1], "us", "find and claim at 9,704 hosts, wall clock", "<=", 20);
}

/* n vGPUs, each on another of a host's 8 cards: a fresh demand, found, claimed, given back. Median in microseconds. */
static double several_us(int n)
{
  g_autoptr(Fleet) f = fleet_new(1);
  CardModelSpec model = { .name = "gpu", .any_share = true };
  must(fleet_add_model(f, &model, NULL), NULL);
  CardSpec cards[8];
  for (int i = 0; i < 8; i++)
    cards[i] = (CardSpec){ "gpu", 0 };
  HostSpec spec = { .name = "h", .state = "up", .vcpus = 128000, .memory_mib = 1 << 20, .n_cards = 8, .cards = cards };
  int host;
  must(fleet_add_host(f, &spec, &host, NULL), NULL);
  g_autofree double *took = g_new0(double, ROUNDS);
  for (int i = 0; i < ROUNDS; i++) {
    Place place;
    ClaimId claim;
    Demand d = { .vcpus = 4000, .memory_mib = 8192, .gpu = { .count = n, .share = 125, .apart = true }, .policy = policy_of(POLICY_FRAGMENTS) };
    double began = seconds(CLOCK_MONOTONIC);
    g_autoptr(DemandClass) class = demand_class(f, &d, NULL);
    must(place_find(class, &place, NULL) && place_claim(class, &place, NULL, &claim, NULL), NULL);
    took[i] = 1e6 * (seconds(CLOCK_MONOTONIC) - began);
    must(place.n_cards == n && place_release(f, claim, NULL), NULL);
  }
  qsort(took, ROUNDS, sizeof *took, compare_doubles);
  return took[ROUNDS / 2];
}

/* ── explanations and plans on full fleets ────────────────────────────────── */

/* Filled with claims that end some time, two of three movable. */
static void scene_fill(Scene *s)
{
  for (guint i = 0; i < s->arrivals->len; i++) {
    DemandClass *class = g_array_index(s->demands, TraceDemand, g_array_index(s->arrivals, guint, i)).class;
    ClaimTerms terms = { (int64_t)(i * 7919 % 86400) * G_USEC_PER_SEC, i % 3 != 0, i };
    Place place;
    ClaimId claim;
    if (place_find(class, &place, NULL))
      must(place_claim(class, &place, &terms, &claim, NULL), NULL);
  }
}

/* Eight whole GPUs with all that comes with them: nobody has that any more. */
static DemandClass *large_demand(Fleet *f)
{
  Demand d = { .vcpus = 64000, .memory_mib = 262144, .gpu = { .count = 8, .share = CARD_WHOLE }, .policy = policy_of(POLICY_FRAGMENTS) };
  DemandClass *class = demand_class(f, &d, NULL);
  must(class && !place_find(class, &(Place){}, NULL), NULL);
  return class;
}

/* What a plan costs before it looks at anything: the view it works on, beside a full copy. */
static void view_speed(const Fleet *f)
{
  double took[9], full[9];
  for (int i = 0; i < 9; i++) {
    double began = seconds(CLOCK_PROCESS_CPUTIME_ID);
    fleet_free(fleet_view(f));
    took[i] = 1000 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - began);
    began = seconds(CLOCK_PROCESS_CPUTIME_ID);
    fleet_free(fleet_dup(f));
    full[i] = 1000 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - began);
  }
  qsort(took, 9, sizeof *took, compare_doubles);
  qsort(full, 9, sizeof *full, compare_doubles);
  g_autofree char *beside = g_strdup_printf("%d hosts, %d claims; a full copy %.1f CPU-ms", fleet_hosts(f), (int)fleet_claims(f), full[4]);
  row("plan_view_ms_10k", took[4], "CPU-ms", beside, "<=", 5);
}

static void explain_speed(const char *nodes, const char *pods)
{
  Scene s;
  double took[9];
  scene_open(&s, nodes, pods, TIMES, FIRST_SEED);
  scene_fill(&s);
  DemandClass *class = large_demand(s.f);
  guint fixes = 0;
  for (int i = 0; i < 9; i++) {
    double began = seconds(CLOCK_PROCESS_CPUTIME_ID);
    g_autoptr(Explanation) e = explain_new(class);
    g_autofree char *text = explanation_text(s.f, e, LANG_EN, 0);
    took[i] = 1000 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - began);
    fixes = e->fixes->len;
    if (!i)
      fprintf(stderr, "%s", text);
  }
  qsort(took, 9, sizeof *took, compare_doubles);
  view_speed(s.f);
  g_autofree char *with = g_strdup_printf("%d hosts, %d claims, with %u fixes", fleet_hosts(s.f), (int)fleet_claims(s.f), fixes);
  row("explain_ms_10k", took[4], "CPU-ms", with, "<=", 20);
  demand_class_unref(class);
  scene_close(&s);
}

static void rebalance_speed(const char *nodes, const char *pods)
{
  Scene s;
  scene_open_as(&s, nodes, pods, 1, FIRST_SEED, POLICY_SPREAD, SPREAD_PCT);
  scene_fill(&s);
  DemandClass *class = large_demand(s.f);
  double began = seconds(CLOCK_PROCESS_CPUTIME_ID);
  g_autoptr(GArray) room = plan_make_room(s.f, class, NULL, NULL), left = plan_free_a_host(s.f, NULL);
  double took = seconds(CLOCK_PROCESS_CPUTIME_ID) - began;
  g_autofree char *what = g_strdup_printf("%d hosts: room for eight GPUs by %d moves, a host freed by %d moves (-1: not possible)", fleet_hosts(s.f),
                                          room ? (int)room->len : -1, left ? (int)left->len : -1);
  row("rebalance_s_1k", took, "CPU-s", what, "<=", 1);
  demand_class_unref(class);
  scene_close(&s);
}

int main(void)
{
  g_autofree char *nodes = file_text(NODES);
  quality(nodes);
  speed(nodes);
  double one = several_us(1), six = several_us(SIX), eight = several_us(8);
  g_autofree char *flat = g_strdup_printf("one vGPU %.2f us, eight %.2f us", one, eight);
  row("six_vgpus_us", six, "us", flat, "<=", 1000);
  g_autofree char *pods = file_text("tests/traces/openb_pod_list_default.csv");
  explain_speed(nodes, pods);
  rebalance_speed(nodes, pods);
  return 0;
}

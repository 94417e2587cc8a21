/* trace NODES PODS SEEDS [OUT]  - the product's placement engine on recorded lists: arrivals drawn to 130 % of the GPU capacity, one
 * line a seed with the share of GPUs allocated in the end, then the mean and the placements per CPU-second. OUT gets every
 * placement as CSV: seed, arrival, row of the pod list, host, cards with shares. */
#include "core/placement/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ARRIVALS_PCT = 130, FIRST_SEED = 42 };

typedef struct {
  double share_pct, cpu_s;
  int64_t placed, arrived;
} Run;

static char *file_text(const char *path)
{
  char *text = NULL;
  GError *err = NULL;
  if (g_file_get_contents(path, &text, NULL, &err))
    return text;
  fprintf(stderr, "%s\n", err->message);
  exit(2);
}

static void must(bool ok, const GError *err)
{
  if (ok)
    return;
  g_autofree char *text = err ? error_text(err, LANG_EN) : NULL;
  fprintf(stderr, "%s\n", text ? text : "failed");
  exit(2);
}

static double cpu_seconds(void)
{
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_place(FILE *out, uint64_t seed, guint arrival, guint row, Fleet *f, const Place *p)
{
  fprintf(out, "%" G_GUINT64_FORMAT ",%u,%u,%s,", seed, arrival, row, p ? fleet_host_name(f, p->host) : "");
  for (int i = 0; p && i < p->n_cards; i++)
    fprintf(out, "%s%d:%d", i ? " " : "", p->cards[i].card, p->cards[i].share);
  fputc('\n', out);
}

static Run run_seed(const char *nodes, const char *pods, uint64_t seed, FILE *out)
{
  GError *err = NULL;
  Policy policy = policy_of(POLICY_FRAGMENTS);
  g_autoptr(Fleet) f = fleet_new(seed);
  must(trace_add_hosts(f, nodes, "", &err), err);
  g_autoptr(GArray) demands = trace_read_demands(f, pods, &policy, &err);
  must(demands, err);
  trace_set_mix(f, demands);
  int64_t capacity = fleet_capacity(f, -1).cards;
  g_autoptr(GArray) arrivals = trace_draw(demands, capacity, ARRIVALS_PCT, seed);
  Run r = { .arrived = arrivals->len };
  double began = cpu_seconds();
  for (guint i = 0; i < arrivals->len; i++) {
    guint row = g_array_index(arrivals, guint, i);
    DemandClass *class = g_array_index(demands, TraceDemand, row).class;
    Place place;
    ClaimId claim;
    bool found = place_find(class, &place, NULL) && place_claim(class, &place, NULL, &claim, NULL);
    r.placed += found;
    if (out)
      write_place(out, seed, i, row, f, found ? &place : NULL);
  }
  r.cpu_s = cpu_seconds() - began;
  r.share_pct = 100.0 * (double)fleet_used(f, -1).cards / (double)capacity;
  return r;
}

int main(int argc, char **argv)
{
  if (argc < 4) {
    fprintf(stderr, "trace NODES PODS SEEDS [OUT]\n");
    return 2;
  }
  g_autofree char *nodes = file_text(argv[1]), *pods = file_text(argv[2]);
  int seeds = atoi(argv[3]);
  FILE *out = argc > 4 ? fopen(argv[4], "w") : NULL;
  if (out)
    fputs("seed,arrival,pod,host,cards\n", out);
  double share = 0, cpu = 0;
  int64_t placed = 0;
  for (int i = 0; i < seeds; i++) {
    Run r = run_seed(nodes, pods, FIRST_SEED + i, out);
    printf("seed %d  allocated %.3f %%  placed %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT "  %.0f placements/CPU-s\n", FIRST_SEED + i, r.share_pct,
           r.placed, r.arrived, (double)r.placed / r.cpu_s);
    share += r.share_pct, cpu += r.cpu_s, placed += r.placed;
  }
  printf("mean %.3f %%  %.0f placements/CPU-s\n", share / MAX(seeds, 1), (double)placed / cpu);
  if (out && fclose(out))
    return 1;
  return seeds > 0 ? 0 : 2;
}

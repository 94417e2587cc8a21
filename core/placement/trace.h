/* Recorded demand as text: a list of hosts and a list of what was asked for, CSV (core/csv.h) with a header, in the columns of the public openb
 * trace (cluster-trace-gpu-v2023) or any list with those names. Columns may come in any order; unknown ones are left alone. */
#pragma once

#include "core/placement/place.h"

enum { TRACE_LINES_MOST = 2000000 };

/* One thing that was asked for. */
typedef struct {
  DemandClass *class;     /* a reference */
  int64_t from_us, until_us;  /* creation and deletion, 0 where the list has none */
  int gpu_milli;          /* all its vGPUs together, 1/1000 of a card */
} TraceDemand;

/* Adds the hosts of a node list (sn, cpu_milli, memory_mib, gpu, model) to f, each name with suffix, and the card models they
 * have: cards that give any share. Errors: BAD_VALUE with the line, as fleet_add_host. */
bool trace_add_hosts(Fleet *f, const char *text, const char *suffix, GError **err);
/* The demands of a pod list (cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec, creation_time, deletion_time in seconds): GArray of
 * TraceDemand, owned by the caller. Errors: BAD_VALUE with the line. */
GArray *trace_read_demands(Fleet *f, const char *text, const Policy *policy, GError **err);
/* Tells f that its demand is mixed as in the list. */
void trace_set_mix(Fleet *f, const GArray *demands);
/* Arrivals out of a list of demands, as the published simulator draws them: the whole list in a random order, then demands drawn with
 * replacement, until their vGPUs add up to pct % of gpu_milli. GArray of guint, indexes into demands; owned by the caller. One
 * seed, one sequence. */
GArray *trace_draw(const GArray *demands, int64_t gpu_milli, int pct, uint64_t seed);

/* What recorded demand would have met on more or fewer hosts: the placement engine in virtual time, first come, first served, with
 * people who wait so long and then give up. Lists are those of core/placement/trace.h. Pure. */
#pragma once

#include "core/error.h"

#include <stdint.h>

enum { REPLAY_POINTS = 200, REPLAY_PCT_MOST = 1000 };

typedef struct {
  const char *nodes, *demands;   /* CSV, borrowed */
  int hosts_pct;                 /* 100: the list; 50: every second host; 150: and each second one twice */
  int64_t patience_us;           /* who waits longer is denied */
  uint64_t seed;
} ReplaySpec;

typedef struct {
  int hosts_pct, hosts, cards;
  int64_t arrived, placed, denied;
  int64_t wait_p50_us, wait_p95_us, wait_most_us;   /* of those who got a place */
  double used_pct;               /* of the cards, mean over the time from the first arrival to the last */
  int64_t span_us;
  double used_at[REPLAY_POINTS]; /* the same at even steps of that time */
} ReplayResult;

/* Plays the list once. Errors: BAD_VALUE (hosts_pct, a line of the lists, no line), as trace_add_hosts. */
bool replay_run(const ReplaySpec *spec, ReplayResult *ret, GError **err);
/* One line a result under a header; owned by the caller. */
char *replay_table(const ReplayResult *results, int n, Lang lang);
/* Use of the cards over time, a curve a result, as an SVG document; owned by the caller. */
char *replay_svg(const ReplayResult *results, int n);

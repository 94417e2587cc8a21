/* What recorded demand would have met on more or fewer hosts: the placement engine in virtual time, first come, first served, with
 * people who wait so long and then give up. Pure. */
#pragma once

#include "core/error.h"
#include "core/placement/demand.h"

#include <stdint.h>

enum { REPLAY_POINTS = 200, REPLAY_PCT_MOST = 1000 };

/* ── any fleet ── */

/* So many seats of one of the terms' licences. */
typedef struct {
  int licence;
  int64_t n;
} ReplaySeats;

/* Somebody who asks. */
typedef struct {
  GPtrArray *classes;        /* of DemandClass: the first of them that has a place is taken; none: it has a desktop already. A reference */
  int64_t from_us, lasts_us; /* when it is asked for; how long a desktop and seats are kept, 0: for good */
  int pool;                  /* which of the terms' pools; -1: none */
  GArray *seats;             /* of ReplaySeats: had with the desktop, all or none; NULL: none. A reference */
  bool keeps;                /* the desktop stays for good, the seats do not */
  int64_t waits_us;          /* for a place: who would wait longer is denied, 0: at once */
  int64_t waits_seats_us;    /* the same for seats, once there is a place */
} ReplayDemand;

#define REPLAY_FOR_EVER INT64_MAX

typedef struct {
  const int64_t *most;       /* desktops that each pool may have; NULL where no demand has a pool; borrowed */
  int n_pools;
  const int64_t *seats;      /* of each licence; NULL where no demand has any; borrowed */
  int n_licences;
} ReplayTerms;

typedef struct {
  int hosts_pct, hosts, cards;
  int64_t arrived, placed, denied;
  int64_t denied_full;       /* of these, for their pool had as many as it may */
  int64_t denied_seats;      /* and for want of seats of a licence */
  int64_t wait_p50_us, wait_p95_us, wait_most_us;   /* of those who got a place */
  double used_pct;           /* of the cards, where there are none of the vCPUs: mean over the time from the first arrival to the last */
  int64_t begin_us, span_us;
  double used_at[REPLAY_POINTS]; /* the same at even steps of that time */
  int waiting_at[REPLAY_POINTS]; /* people in line at these */
} ReplayResult;

/* Mean use over that time, of a host and of each of its cards. */
typedef struct {
  char *host, *model;        /* owned; model NULL: of the host itself */
  int card;                  /* of the host, from 0; -1: of the host itself */
  double vcpus_pct, memory_pct, card_pct;
} ReplayUse;

/* An array for demands that frees what they hold; owned by the caller. */
GArray *replay_demands_new(void);
/* Plays demands, sorted by arrival here, on f, whose claims then are theirs. ret_uses, if not NULL: GArray of ReplayUse, the most used
 * hosts first, each before its cards; owned by the caller. Errors: BAD_VALUE (no demand). */
bool replay_play(Fleet *f, GArray *demands, const ReplayTerms *terms, ReplayResult *ret, GArray **ret_uses, GError **err);

/* ── lists ── */

/* Lists are those of core/placement/trace.h. */
typedef struct {
  const char *nodes, *demands;   /* CSV, borrowed */
  int hosts_pct;                 /* 100: the list; 50: every second host; 150: and each second one twice */
  int64_t patience_us;           /* who waits longer is denied */
  uint64_t seed;
} ReplaySpec;

/* Plays the list once. Errors: BAD_VALUE (hosts_pct, a line of the lists, no line), as trace_add_hosts. */
bool replay_run(const ReplaySpec *spec, ReplayResult *ret, GError **err);

/* ── told ── */

/* One line a result under a header, titles (NULL: percentages of the hosts) before it; owned by the caller. */
char *replay_table(const ReplayResult *results, const char *const *titles, int n, Lang lang);
/* Use over time and people in line over time, a curve a result, and what each host and card was used (uses may be NULL), as an SVG
 * document that reads on white and on black; owned by the caller. */
char *replay_svg(const ReplayResult *results, const char *const *titles, int n, const GArray *uses, Lang lang);

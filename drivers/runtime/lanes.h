/* Lanes: the threads on which hosts are called, so that one hung host, guest or console costs only itself. A host has three
 * lanes, each with a connection of its own (libvirtd stops reading, keepalive too, from a connection with five calls in
 * flight): CALL for what the engine asks, AGENT for what waits for guests, WATCH for our own looks, polls and probes and for
 * events. What happens on a host comes out as observations; what was asked comes back through the job's completion. Nothing is
 * decided here.
 *
 * Order. Jobs of one host, lane and key (a domain's uuid) run one after another, as submitted; others side by side, at most
 * call_threads or agent_threads of a lane at a time. A key whose call timed out stays blocked until that call comes back: later
 * jobs for it wait, and time out without having touched anything.
 *
 * Deadlines. Every job has one from its submission on: waiting, opening the connection and the call all count. When it passes,
 * the job's completion is called with TIMEOUT at once. A call that still runs then is written off: its thread no longer counts,
 * its connection takes no new calls (the next job gets a fresh one), its result is dropped and told as LANE_LATE. At most
 * written_off_max calls of a host are written off at a time; beyond that its lanes run out of threads, and of nobody else's.
 *
 * Breaker, per host: CLOSED → OPEN after `failures` times in a row that a connection could not be made, was lost, or a CALL or
 * WATCH call ran into its deadline (agent calls hang with their guest, not with the host) → HALF_OPEN, one probe on a fresh
 * connection after a back-off that doubles → CLOSED, or OPEN again. While it is not CLOSED, jobs end at once with
 * HOST_UNREACHABLE. A lost connection is reopened by itself, also below that number. Every change is an observation.
 *
 * Threads: a pool for all hosts, grown on demand, shrunk when idle. Every function here may be called from any thread.
 * Completions and the sink are called on lane threads, never inside a function of this header and with no lock held; they must
 * only push into a queue. Times are monotonic. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/names.h"
#include "drivers/hypervisor/hypervisor.h"

typedef struct Lanes Lanes;

#define LANE_KINDS(X) X(LANE_CALL, "call") X(LANE_AGENT, "agent") X(LANE_WATCH, "watch")
ENUM_DECLARE(LaneKind, lane_kind, LANE_KINDS, N_LANE_KINDS)

#define BREAKER_STATES(X) X(BREAKER_CLOSED, "closed") X(BREAKER_OPEN, "open") X(BREAKER_HALF_OPEN, "half-open")
ENUM_DECLARE(BreakerState, breaker_state, BREAKER_STATES, N_BREAKER_STATES)

/* How a job ended. RAN: run() returned in time, err is its own (NULL = ok). EXPIRED_WAITING: TIMEOUT, and run() was not and
 * will not be called. EXPIRED_RUNNING: TIMEOUT, and what run() does may still take effect. REFUSED: HOST_UNREACHABLE,
 * HOST_BUSY, NOT_FOUND (kind "host"), or why the connection could not be opened; run() not called. CANCELLED: host or lanes
 * were removed; run() not called. */
#define LANE_ENDS(X) \
  X(LANE_RAN, "ran") X(LANE_EXPIRED_WAITING, "expired-waiting") X(LANE_EXPIRED_RUNNING, "expired-running") \
  X(LANE_REFUSED, "refused") X(LANE_CANCELLED, "cancelled")
ENUM_DECLARE(LaneEnd, lane_end, LANE_ENDS, N_LANE_ENDS)

/* The call itself, on a lane thread, with the lane's connection. */
typedef bool (*LaneFn)(Hypervisor *hypervisor, void *job, GError **err);
/* The job is over for its submitter: called once for every submitted job. err is borrowed. After EXPIRED_RUNNING run() may
 * still be writing into job: only what was there before the submission may be read. */
typedef void (*LaneDone)(void *job, LaneEnd end, const GError *err);

typedef struct {
  LaneKind kind;        /* CALL or AGENT */
  const char *what;     /* for errors, such as "start of d-17"; copied */
  const char *key;      /* order is kept per key; NULL = none; copied */
  int64_t timeout_us;   /* from now */
  LaneFn run;
  LaneDone done;
  void *job;
  GDestroyNotify free;  /* frees job when both done and run have returned, on a lane thread; NULL = nothing to free */
} LaneJob;

/* ── observations ───────────────────────────────────────────────────────── */

/* HOST: facts of a host that answers. DOMAINS: every domain of the host. DOMAIN: one. NO_DOMAIN: uuid is not there. STATE:
 * breaker or connection changed. SERIAL: uuid wrote to its serial line. LATE: a call that was written off has come back. DEVICES:
 * cards or mediated devices of the host changed. */
#define LANE_OBSERVATIONS(X) \
  X(LANE_SAW_HOST, "host") X(LANE_SAW_DOMAINS, "domains") X(LANE_SAW_DOMAIN, "domain") X(LANE_SAW_NO_DOMAIN, "no-domain") \
  X(LANE_SAW_STATE, "state") X(LANE_SAW_SERIAL, "serial") X(LANE_SAW_LATE, "late") \
  X(LANE_SAW_DEVICES, "devices")
ENUM_DECLARE(LaneObservationKind, lane_observation, LANE_OBSERVATIONS, N_LANE_OBSERVATIONS)

typedef struct {
  BreakerState breaker;
  bool connected;         /* the WATCH connection stands: events come */
  int failures;           /* in a row */
  int written_off;        /* calls that never came back so far */
  int64_t next_probe_us;  /* monotonic; 0 = none is due */
  GError *error;          /* what the last failure said; NULL when all is well */
} LaneState;

typedef struct {
  LaneObservationKind kind;
  char *host;
  int64_t began_us, ended_us;  /* when it was asked and answered, monotonic: what began before a later call ended may be stale */
  char uuid[UUID_TEXT_BYTES];  /* NO_DOMAIN, SERIAL */
  HostFacts facts;             /* HOST */
  GPtrArray *domains;          /* DOMAINS: of DomainFacts * */
  DomainFacts *domain;         /* DOMAIN */
  LaneState state;             /* STATE */
  char *late;                  /* LATE: what it was, and how it ended */
} LaneObservation;

void lane_observation_free(LaneObservation *observation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaneObservation, lane_observation_free)

/* observe() owns the observation. */
typedef struct {
  void (*observe)(void *owner, LaneObservation *observation);
  void *owner;
} LaneSink;

/* ── lanes ──────────────────────────────────────────────────────────────── */

typedef struct {
  const char *controller;     /* uuid, for every connection; copied */
  int call_threads;           /* calls at a time on a host's CALL lane; at most 4, see above */
  int agent_threads;          /* the same for its AGENT lane */
  int threads_max;            /* of all hosts together */
  int queue_max;              /* waiting jobs of one lane; more are HOST_BUSY */
  int written_off_max;        /* calls of one host that are given up and have not come back */
  int failures;               /* in a row, to open a breaker */
  int64_t open_timeout_us;    /* for making a connection */
  int64_t poll_us;            /* between polls of all domains and the host's facts */
  int64_t poll_timeout_us;    /* for each of our own calls */
  int64_t backoff_min_us, backoff_max_us;  /* until a lost connection or an open breaker is tried again */
  int probes_per_s;           /* of all hosts whose breaker is open, together: many wait longer than backoff_max_us */
  int64_t idle_us;            /* a thread without work ends after this */
} LanesConfig;

/* 4, 4, 512, 4096, 8, 3 · 15 s, 30 s, 20 s, 0.5 s, 2.5 s, 25, 5 s; controller NULL. A host that answers again is so found within 5 s, as a
 * probe into nothing ends after KNOCK_MS. One that is taken, and not answered, holds a thread for open_timeout_us: 25 a second leave
 * enough to hosts that live. */
LanesConfig lanes_config_default(void);

Lanes *lanes_new(const LanesConfig *config, LaneSink sink);

/* Stops: waiting jobs end CANCELLED, running ones are waited for until timeout_us has passed and then ended as EXPIRED_RUNNING.
 * No completion and no observation comes after it has returned. Threads that hang in a call are left behind and clean up after
 * themselves. */
void lanes_free(Lanes *lanes, int64_t timeout_us);
static inline void lanes_free_now(Lanes *lanes) { lanes_free(lanes, 0); }
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lanes, lanes_free_now)

typedef struct {
  const char *name, *uri;
  bool allow_plain_tcp;
} LaneHost;

/* Adds a host, or gives it another URI; connects in the background and goes on watching it. BAD_URI. */
bool lanes_put_host(Lanes *lanes, const LaneHost *host, GError **err);
/* Its waiting jobs end CANCELLED, nothing more is observed of it (but what a sink call already under way says). */
void lanes_del_host(Lanes *lanes, const char *host);

void lanes_submit(Lanes *lanes, const char *host, const LaneJob *job);

/* Looks at uuid soon, as after an event; NULL = at the whole host, as after a poll, and what is wrong with it is said again: all
 * that is known, for one who has forgotten. An unknown host is ignored. */
void lanes_look(Lanes *lanes, const char *host, const char *uuid);

/* false for an unknown host. ret_state->error is the caller's to free. */
bool lanes_state(Lanes *lanes, const char *host, LaneState *ret_state);

typedef struct {
  int hosts, threads, threads_idle, running, waiting, written_off;
} LanesFigures;
LanesFigures lanes_figures(Lanes *lanes);

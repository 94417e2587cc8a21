/* What the files of the lanes share. Asked by lanes*.c alone. Everything here is behind lanes->lock, but what says otherwise;
 * the lock is never held while a host is called, nor while a completion or the sink runs. */
#pragma once

#include <pthread.h>

#include "drivers/runtime/lanes.h"

typedef struct HostLanes HostLanes;
typedef struct Lane Lane;
typedef struct Line Line;
typedef struct Entry Entry;

/* Something that is due; part of what it is about. */
typedef struct {
  int64_t at_us;
  void (*fire)(void *owner);  /* lock held */
  void *owner;
  GSequenceIter *iter;        /* NULL: not set */
} Due;

/* A connection. refs: its lane, and each call that runs on it; closed by a worker after the last. */
struct Line {
  int refs;
  HostLanes *host;            /* a reference */
  LaneKind kind;
  Hypervisor *hypervisor;     /* set before anyone else sees it */
  bool lost;
};

struct Lane {
  HostLanes *host;
  LaneKind kind;
  Line *line;                 /* NULL: none, or being opened */
  bool opening;
  int64_t not_before_us;      /* an open failed: no new try before */
  GError *open_error;         /* what it said */
  int running, limit;
  int waiting;                /* jobs, in ready or behind their key */
  GQueue ready;               /* of Entry: may run as soon as a thread is free */
  GHashTable *turns;          /* key → Turn */
  GQueue *listed;             /* lanes->fresh, runnable, or NULL */
};

struct HostLanes {
  Lanes *lanes;
  int refs;                   /* the table, each line, each entry */
  char *name, *uri;
  bool allow_plain_tcp, gone;
  Lane lane[N_LANE_KINDS];
  BreakerState breaker;
  int failures, written_off;
  int64_t backoff_us;
  GError *error;              /* the last failure; NULL: all is well */
  Due poll, retry;
  GHashTable *dirty;          /* set of uuids to be looked at */
  bool want_facts, want_list;
  bool watching;              /* a look waits or runs */
  bool told_up;               /* the sink knows that all is well */
};

/* Who of a key may run, and who waits for it. */
typedef struct {
  char *key;
  Entry *holder;
  GQueue waiting;
} Turn;

typedef enum { ENTRY_WAITING, ENTRY_RUNNING, ENTRY_WRITTEN_OFF, ENTRY_OVER } EntryState;

/* What a thread can be given to do. run() is called without the lock, finish() with it, once run() has returned. */
typedef struct {
  void (*begin)(Entry *entry);  /* lock held; may be NULL */
  bool (*run)(Entry *entry, GError **err);
  void (*finish)(Entry *entry, bool ok, GError *err);  /* err is borrowed */
  bool is_job;
} EntryKind;

typedef enum { WATCH_FACTS, WATCH_LIST, WATCH_LOOK } WatchStep;

struct Entry {
  const EntryKind *kind;
  EntryState state;
  Due due;
  HostLanes *host;            /* a reference */
  Lane *lane;                 /* NULL: a chore, of no lane */
  Line *line;                 /* a reference, while it runs */
  Turn *turn;                 /* NULL: no key */
  GQueue *in;                 /* the queue that holds it */
  GList node;
  char *what;
  LaneJob job;
  int64_t began_us;           /* when it was asked for */
  int64_t taken_us;           /* when a thread took it */
  bool holds_slot;            /* written off, but its lane has no thread to spare */
  bool told, returned;        /* both: it can go */
  WatchStep step;
  char uuid[UUID_TEXT_BYTES];
  LaneObservation *seen;      /* of a look; set by run() */
};

struct Lanes {
  pthread_mutex_t lock;
  pthread_cond_t work;        /* for idle workers */
  pthread_cond_t time;        /* for the timer thread */
  pthread_cond_t quiet;       /* for lanes_free(): something ended */
  int refs;                   /* the owner, and each thread */
  LanesConfig config;
  char *controller;
  LaneSink sink;
  GHashTable *hosts;          /* name → HostLanes */
  GSequence *dues;            /* of Due, earliest first */
  GQueue fresh, runnable;     /* of Lane with work, each in at most one: nothing runs on it yet; something does */
  GQueue chores;              /* of Entry without a lane */
  GQueue busy;                /* of Entry that runs, written off or not */
  GQueue outbox;              /* of Out */
  bool delivering, stopping, stopped;
  int threads;                /* without those that hang in a call that was written off */
  int wanted;                 /* threads to be made */
  int idle, woken;            /* threads that wait for work; how many of them were told to look */
  int running, written_off;
  pthread_t timer;
  Due starving;
};

/* ── lanes.c ────────────────────────────────────────────────────────────── */

void due_set(Lanes *lanes, Due *due, int64_t at_us);
void due_clear(Lanes *lanes, Due *due);
HostLanes *host_ref(HostLanes *host);
void host_unref(HostLanes *host);
/* The entry is over for its submitter; err is borrowed and may be NULL. */
void entry_tell(Entry *entry, LaneEnd end, const GError *err);
/* Puts an entry that is none of a lane's jobs to work. */
void chore_add(HostLanes *host, const EntryKind *kind, Line *line);
Entry *entry_new(HostLanes *host, Lane *lane, const EntryKind *kind, const char *what);
/* Frees the entry if its submitter knows and run() is out of it; then the lock is let go for its job's free(). */
void entry_free(Entry *entry);
/* Ends all waiting jobs of lane. */
void lane_refuse_waiting(Lane *lane, LaneEnd end, const GError *err);
/* Ends one entry that waits. */
void entry_drop(Entry *entry, LaneEnd end, const GError *err);
/* The next of its key may run. */
void turn_pass(Entry *entry);
void out_observation(HostLanes *host, LaneObservation *observation);
LaneObservation *lane_observation_new(const HostLanes *host, LaneObservationKind kind);

/* ── lanes_threads.c ────────────────────────────────────────────────────── */

/* Lists lane as runnable if it is, and wakes or makes a thread for it. */
void lane_kick(Lane *lane);
void worker_wake(Lanes *lanes);
/* Delivers what is in the outbox, unless another thread is at it. The lock is let go meanwhile. */
void outbox_deliver(Lanes *lanes);
/* A job's time is over. */
void entry_expire(void *entry);
void starve_fire(void *lanes);

/* ── lanes_watch.c ──────────────────────────────────────────────────────── */

extern const EntryKind entry_open, entry_watch, entry_close;
/* Lets go of the lane's connection: calls on it go on, new ones get another. */
void lane_hang_up(Lane *lane);
void line_unref(Line *line);
/* The connection broke. */
void line_lost(Line *line, const GError *why);
/* A failure that counts for the breaker, or a success that ends a row of them. */
void host_failed(HostLanes *host, const GError *why);
void host_well(HostLanes *host);
void host_tell_state(HostLanes *host);
/* Sees to it that what is wanted is looked at. */
void host_watch(HostLanes *host);
void host_poll_fire(void *host);
void host_retry_fire(void *host);
/* An open's or a look's time is over; its thread is written off. */
void open_expired(Entry *entry, const GError *why);
void watch_expired(Entry *entry, const GError *why);
LaneState host_state(const HostLanes *host);

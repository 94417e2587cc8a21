/* What everyone but the brain reads: the objects as of the last durable batch, and the changes that led there. The committer puts a batch in after
 * it became durable; API threads get, list and watch. Objects are immutable and shared, so a reader takes a reference and goes.
 * Nothing here decides, waits for a disk or calls the core. All functions may be called from any thread, except that published_apply()
 * and published_replace() are called by one thread at a time, and that a watch belongs to one thread at a time. */
#pragma once

#include "core/model.h"

typedef struct Published Published;
typedef struct PublishedWatch PublishedWatch;

/* n_changes: how many changes are kept for those who watch; each keeps the object it names. */
enum { PUBLISHED_CHANGES = 8192 };
Published *published_new(int n_changes);
/* After every watch was freed. */
void published_free(Published *p);

/* A durable batch: takes references of its own. Events are only watched, not kept. */
void published_apply(Published *p, const Batch *batch);
/* Objects (of Object *) as they were observed last, in place of those of their names: no change that anybody watches. Takes references of its
 * own; what is not there is passed over. */
void published_see(Published *p, GPtrArray *objects);
/* All of it anew, after a start or a failed commit: objects (of Object *) is emptied, its references are taken. Readers see the old set until
 * this returns; every watch is told to list anew, unless nothing changed since sequence. */
void published_replace(Published *p, GPtrArray *objects, int64_t sequence);

/* Of the last batch put in. */
int64_t published_sequence(Published *p);

/* The object, with a reference of the caller's, or NULL. */
const Object *published_get(Published *p, Noun noun, const char *name);

/* Whether an object belongs in a list. Called without a lock. */
typedef bool (*PublishedFilter)(const Object *object, void *data);

/* Up to limit objects (0 = all) that filter takes (NULL = all), in natural order of names (d-2 before d-10), those behind after (a name, which need
 * not exist any more; NULL = from the first). GPtrArray of const Object *, owned by the caller, with its references. What stays from
 * begin to end of the call is in it once. */
GPtrArray *published_list(Published *p, Noun noun, const char *after, int limit, PublishedFilter filter, void *data);
int64_t published_count(Published *p, Noun noun);

/* < 0, 0, > 0: names in natural order, digits by their number. Total: 0 for equal names only. */
int name_compare(const char *a, const char *b);

/* ── watching ─────────────────────────────────────────────────────────────── */

typedef enum {
  WATCH_NOTHING,  /* no news within the time */
  WATCH_CHANGE,   /* one change */
  WATCH_RESET,    /* changes were missed: list anew, then go on watching */
} WatchNews;

typedef struct {
  int64_t sequence;      /* of its batch */
  bool last;             /* the last change of that batch: a watch may be resumed here */
  int how;               /* CHANGE_… */
  const Object *object;  /* a reference of the caller's; give it to published_drop() */
} PublishedChange;

/* Watches what comes after the batch called after; -1 = after the last one. Where that is too long ago, the first news is a reset. NULL where the process
 * has no descriptor left. */
PublishedWatch *published_watch_new(Published *p, int64_t after);
void published_watch_free(PublishedWatch *watch);
/* Waits up to timeout_ms (0 = not at all) for the next news. *ret_change is written for WATCH_CHANGE; for WATCH_RESET its sequence alone:
 * what is listed from now on is at least that new. */
WatchNews published_watch_next(PublishedWatch *watch, int timeout_ms, PublishedChange *ret_change);
/* An eventfd, readable when published_watch_next() may have news: ask until it says WATCH_NOTHING, then poll again. Borrowed. */
int published_watch_fd(const PublishedWatch *watch);

/* Drops a reference; a GDestroyNotify. NULL is ignored. */
void published_drop(void *object);

/* Reservations: desktops of a pool that are kept for some people, or for whoever comes, for a time. They are ready desktops like all others, so that what they
 * hold (room, parts of cards, storage) is claimed as ever; only who is given one, and the seats of licences for it, is decided by this. Part of the brain. */
#pragma once

#include "core/brain_parts.h"

/* One whose time has come, as its pool stands. */
typedef struct {
  const Reservation *r;  /* borrowed until the batch is closed */
  int64_t used;          /* desktops that its people have */
  int64_t missing;       /* that they may still ask for: no more than there are people left who may */
  int64_t waiting;       /* of its people in line, so many of these are for */
  int64_t ready, coming; /* of these, kept now, and on their way */
} Kept;

typedef struct {
  GArray *all;                   /* of Kept, who is served first first */
  int64_t missing, waiting;      /* of all */
  int64_t ready, free, coming;   /* kept; ready for anybody; on their way to anybody */
} Keeping;

/* Whether the time of any has come. */
bool reservations_begun(Brain *b);
/* What is kept of a pool now; NULL = nothing. */
Keeping *keeping_of(Brain *b, const char *pool);
void keeping_free(Keeping *keeping);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Keeping, keeping_free)
/* Whether a desktop that is ready may be given to user; NULL keeps none from anybody. */
bool keeping_lets(const Keeping *keeping, const char *user);
/* Whether one that is kept, or on its way, is for user and for nobody before them. */
bool keeping_expects(const Keeping *keeping, const char *user);

/* What each of all those whose time has come misses, read once for many questions: nothing that is held may change meanwhile. */
typedef struct {
  GPtrArray *begun;     /* in the order in which they are served */
  GHashTable *missing;  /* const Reservation * → desktops; borrowed until the batch is closed */
} Misses;

/* NULL = the time of none has come. */
Misses *misses_of(Brain *b);
void misses_free(Misses *misses);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Misses, misses_free)

/* Of the free seats of a licence, those that are kept for others than this user of that pool; user NULL = for whoever has a reservation. */
int64_t reservations_seats(Brain *b, const Misses *misses, const char *licence, const char *pool, const char *user, int64_t free);
/* What is held of those of the pool, and why not all. */
void reservations_tell(Brain *b, const char *pool);
/* The pool goes. */
void reservations_drop(Brain *b, const char *pool);
/* Whether user may have desktops at all is another matter now. */
void reservations_user_changed(Brain *b, const char *user);
/* The user goes: who is made anew under that name has none of it. One that named nobody else ends. */
void reservations_user_gone(Brain *b, const char *user);
void reservation_due(Brain *b, const char *name);

bool verb_reservation_add(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_reservation_change(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_reservation_remove(Brain *b, const Request *r, Answer *a, GError **err);

/* The state between its two files: core/state.c has the objects and the open batch, core/state_index.c files them and answers from what is
 * filed. Nobody else includes this. One owner. */
#pragma once

#include "core/state.h"

typedef struct {
  Object *object;
  int change;      /* its place in the open batch; -1 = not in it */
  bool indexed;
  bool observed;   /* it left the indexes for what is seen alone */
  int64_t due_us;  /* as filed in the timers; 0 = not filed */
  GList link;      /* in its pool's available desktops or its user's receipts; its data is the slot */
} Slot;

typedef struct {
  PoolUse use;
  GQueue available;           /* of Slot, who came last at the end */
  GTree *waiting;             /* of Slot, who came first first */
  GHashTable *desktops;       /* set of names: of the objects themselves, as in every set here */
} PoolIndex;

typedef struct {
  HostUse use;
  GHashTable *desktops, *coming;  /* coming: on their way to it */
} HostIndex;

struct State {
  GHashTable *slots[N_NOUNS];  /* object's name → Slot */
  GHashTable *pools, *hosts;   /* name → PoolIndex, HostIndex */
  GHashTable *user_sessions, *user_tickets, *user_tokens, *session_relays, *machine_hosts;  /* name → set of names */
  GHashTable *user_receipts;   /* name → GQueue of Slot, the oldest first */
  Seats *seats;
  GHashTable *host_gpus, *gpu_claims, *desktop_claims;  /* name → set of names */
  GTree *timers;               /* Slot by due_us, then address */
  GPtrArray *unsettled;        /* Slots that left the indexes */
  GHashTable *seen;            /* set of Slots whose object was observed anew */
  Touched *touched;            /* NULL = nobody asks */
  GPtrArray *replaced;         /* objects as they were: whoever borrowed one may read it until the batch is closed */
  Batch *batch;
  int64_t changes;
};

/* All indexes, empty; and away with them, before the objects whose names they borrow. */
void indexes_init(State *state);
void indexes_done(State *state);
/* An object comes into all indexes (in), or leaves them, as it is; nothing where that is so already. */
void slot_index(State *state, Slot *slot, bool in);
/* It leaves them until the next question to one. */
void unsettle(State *state, Slot *slot);
/* Whatever left them is in them again. */
void settle(State *state);
/* Notes what changed for who keeps account of it. */
void slot_touch(State *state, const Object *object);

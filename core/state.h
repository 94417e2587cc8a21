/* The live objects in memory, the indexes that decisions need, and the open batch. One thread owns a State. Objects in it are shared with the
 * published snapshot and never change: state_edit() replaces one by a private copy, once a batch. An edited object leaves the indexes and
 * comes back by settle() (core/state_parts.h), which every question to an index calls first: so no index can disagree with the objects. */
#pragma once

#include "core/licence.h"

typedef struct State State;

State *state_new(void);
void state_free(State *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(State, state_free)

/* What the store holds at start; takes the reference. Not part of a batch. */
void state_load(State *state, Object *take_object);

/* A live object, borrowed until the batch is closed; an edit leaves it as it was. NULL where there is none. */
const Object *state_find(State *state, Noun noun, const char *name);
#define FIND(state, Type, NOUN, name) ((const Type *)state_find(state, NOUN_##NOUN, name))

/* The copy that may be changed until the batch is closed, borrowed. The object must exist. now_us goes to its changed time. */
void *state_edit(State *state, Noun noun, const char *name, int64_t now_us);
/* The same for F_SEEN fields alone: no part of the batch, and the generation stays. */
void *state_observe(State *state, Noun noun, const char *name);
/* A new object of that name, which must be free, borrowed. */
void *state_add(State *state, Noun noun, const char *name, int64_t now_us);
/* Puts an object made elsewhere in place of the one of its name, or as a new one; takes the reference, which must be the only one. */
void state_put(State *state, Object *take_object, int64_t now_us);
void state_delete(State *state, Noun noun, const char *name);
/* Out of memory, kept in the store as history. */
void state_archive(State *state, Noun noun, const char *name);
/* History that goes with the batch. */
void state_prune(State *state, const Prune *prune);
/* Whether anything is in the batch yet. */
bool state_changed(const State *state);
/* Counts every change of an object, also a second one in the same batch: two that are equal enclose nothing. */
int64_t state_changes(const State *state);

/* Closes the open batch and gives it to the caller; NULL when nothing changed. */
Batch *state_take_batch(State *state, int64_t sequence);

/* What was observed since the last time, as it is now: of Object *, with references; owned by the caller. NULL where nothing was. */
GPtrArray *state_take_seen(State *state);

/* ── what the indexes answer ── */

/* All names of a noun, unordered: borrowed strings, valid until the next change. Owned by the caller. */
GPtrArray *state_names(State *state, Noun noun);

typedef struct {
  int total, by_state[N_DESKTOP_STATES];
  int waiting;  /* sessions without a desktop */
  int ready;    /* desktops that can be given now */
  int held;     /* desktops that somebody has, or whose owner comes back to them */
} PoolUse;
PoolUse state_pool_use(State *state, const char *pool);
/* The desktop that has been available longest, without an owner, and with no task at work on it; NULL when there is none. */
const Desktop *state_pool_available(State *state, const char *pool);
/* The sessions that wait, who came first first: of const Session *, each borrowed until the batch is closed; the caller's array. */
GPtrArray *state_pool_line(State *state, const char *pool);
/* Who holds what of licences, borrowed until the next change. */
Seats *state_seats(State *state);
/* The session that has waited longest; NULL when none does. */
const Session *state_pool_waiting(State *state, const char *pool);

typedef struct {
  int desktops, starting;  /* starting: provisioning, waiting to be ready, resetting */
  int64_t vcpus, memory_mib;
} HostUse;
HostUse state_host_use(State *state, const char *host);
/* Names of the desktops on a host, of a pool's desktops, of a user's sessions, of a session's relays; borrowed strings, owned array. */
GPtrArray *state_host_desktops(State *state, const char *host);
/* Those that are on their way to it: they count in its use too. */
GPtrArray *state_host_coming(State *state, const char *host);
GPtrArray *state_pool_desktops(State *state, const char *pool);
GPtrArray *state_user_sessions(State *state, const char *user);
GPtrArray *state_session_relays(State *state, const char *session);
/* How many tickets a user holds. */
int state_user_tickets(State *state, const char *user);
/* How many receipts a user has, and the oldest of them (NULL for none). */
int state_user_receipts(State *state, const char *user, const Receipt **ret_oldest);
/* Hosts that tell this UUID of their machine; tokens of a user; cards of a host; claims on a card, and of a desktop, by name. The array owns its strings: whoever asks goes on to change them. */
GPtrArray *state_machine_hosts(State *state, const char *uuid);
GPtrArray *state_user_tokens(State *state, const char *user);
GPtrArray *state_host_gpus(State *state, const char *host);
GPtrArray *state_gpu_claims(State *state, const char *gpu);
GPtrArray *state_desktop_claims(State *state, const char *desktop);
/* The owner's desktop in a dedicated pool, or NULL; one on its way out is nobody's. */
const Desktop *state_owned_desktop(State *state, const char *pool, const char *owner);

/* What changed, for one who keeps numbers of their own: noted from the first time it is asked for. Borrowed; the asker empties it. */
typedef struct {
  GHashTable *hosts, *cards, *claims, *desktops; /* sets of names, owned: hosts, hosts of cards, hosts of claims, desktops of themselves and of claims */
  bool pools, images, storages, classes, gone;  /* one of them changed; gone: a host was removed */
} Touched;
Touched *state_touched(State *state);
/* The same names, each a copy that stays where its object goes; eats the array, owned by the caller. */
GPtrArray *names_copy(GPtrArray *take_names);
void touched_clear(Touched *touched);

/* The first object whose time has come: its noun and name (borrowed); false when none is due by now_us. The asker must change
 * or remove it, or it stays first. */
bool state_next_due(State *state, int64_t now_us, Noun *ret_noun, const char **ret_name);
/* When the next one is due; INT64_MAX for never. */
int64_t state_wake_us(State *state);

/* Licences as the brain gives them: with the desktop, to who waits longest, never more than there are. Part of the brain. */
#pragma once

#include "core/brain_parts.h"
#include "core/reservations.h"
#include "core/placement/demand.h"

#include <jansson.h>

/* Whether what a pool wants is written as it should be and there: BAD_VALUE, NOT_FOUND. */
bool licences_ok(Brain *b, const Pool *pool, GError **err);
/* Whether all seats together are enough for one session of the pool: LICENCE_FEW. */
bool licences_enough(Brain *b, const Pool *pool, GError **err);
/* How many more sessions of the pool there are seats for now, of that user or (NULL) of somebody without a reservation; INT_MAX where it wants none. */
int64_t licences_fit(Brain *b, const Pool *pool, const char *user);
/* The same where what is kept of them was read before; NULL = nothing is. */
int64_t licences_fit_beside(Brain *b, const Misses *misses, const Pool *pool, const char *user);
/* How many of waiting that are in line in the pool a desktop is made for: those there are seats for, and who is first in the line of a licence, as the
 * seat that is free next must find a desktop there; else who has one would overtake without end. */
int64_t licences_worth(Brain *b, const Pool *pool, int64_t waiting);
/* Seats that no session holds, below 0 where more are held than there are. */
int64_t licences_free(Brain *b, const char *licence);
/* That so many seats are not there, as others are kept for reservations; owned by the caller. */
GError *licences_kept_error(Brain *b, const LicenceNeed *need, int64_t wanted, int64_t kept);
/* Gives desktops of pools that want licences to those in line for whom there are seats. */
void licences_serve(Brain *b);
/* Whatever changed who holds or wants seats: those in line are served and told, the figures are put right. */
void licences_follow(Brain *b);
/* Why a session in line has no seat, with numbers; NULL = that is not what it waits for. Owned by the caller. */
GError *licence_wait(Brain *b, const Session *session);

/* What the pool wants, for a demand of f, in which those that hold some of it now hold it: how many. wishes borrow from needs. */
int licences_ask(Brain *b, Fleet *f, const Pool *pool, LicenceNeed needs[LICENCES_MOST], LicenceWish wishes[LICENCES_MOST]);
/* Into out: "licences" with numbers, and to its "fixes" what frees seats for n more sessions. session: in line itself, or NULL = behind all. */
void licences_plan(Brain *b, const Pool *pool, const Session *session, int64_t n, json_t *out);

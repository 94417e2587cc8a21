/* What if: the same engine on a copy of the fleet. A plan has no effect; its places hold, in order, as long as nobody changes the
 * hosts they name. Moves are live migrations, so only claims that are movable are ever in one. */
#pragma once

#include "core/placement/explain.h"

typedef struct {
  GArray *places;        /* Place: where the first, second … would go; claim them in this order */
  Explanation *why;      /* of the first that has no place; NULL where all have */
} Plan;

/* Where n more of class would go. Owned by the caller. */
Plan *plan_more(const Fleet *f, const DemandClass *class, int n);
void plan_free(Plan *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)

typedef struct {
  ClaimId claim;
  uint64_t tag;
  int from;
  Place to;
  int64_t cost_mib;      /* memory that goes over the wire */
} Move;

/* Where everything on a host goes, so that it can be left; largest first, so that the order can be followed. GArray of Move owned by the
 * caller, as few as there are claims. Errors: PLACE_NOT_MOVABLE, PLACE_NOWHERE. */
GArray *plan_leave_host(const Fleet *f, int host, GError **err);
/* The same as far as it goes: *ret_stays gets the claims (ClaimId) that are not movable or have no place elsewhere. Both owned by the caller. */
GArray *plan_leave_host_partly(const Fleet *f, int host, GArray **ret_stays);
/* Where one claim goes: to the best other host, or with to >= 0 to that one. Errors: PLACE_STALE, PLACE_NOWHERE, or with to >= 0 the rule that
 * stops it there. */
bool plan_move(const Fleet *f, ClaimId claim, int to, Place *ret_place, GError **err);
/* The first host that takes desktops and has none; -1 = there is no such host. */
int plan_empty_host(const Fleet *f);
/* A view of f in which nothing goes to a host that is empty; owned by the caller. */
Fleet *plan_used_hosts(const Fleet *f);
/* The host that is left with the fewest and cheapest moves, none of them to an empty host; NULL with PLACE_NO_MOVES where none can be. */
GArray *plan_free_a_host(const Fleet *f, GError **err);
/* Which of the claims that are movable may be moved: by the tag that they were claimed with. */
typedef struct {
  bool (*may)(uint64_t tag, void *data);
  void *data;
} MoveRule;
/* The fewest and cheapest moves after which class has a place (none where it has one), of claims that rule lets move (NULL: of all). Errors:
 * PLACE_NO_MOVES. */
GArray *plan_make_room(const Fleet *f, const DemandClass *class, const MoveRule *rule, GError **err);

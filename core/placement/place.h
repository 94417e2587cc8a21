/* Where a desktop goes: pick looks, claim takes, release gives back. A pick names the host's generation; a claim on a host that
 * changed since is a conflict and takes nothing, so two controllers or two threads never take one slot. */
#pragma once

#include "core/placement/demand.h"

/* Every rule that can say no, in the order they are asked: X(RULE_NAME, "wire", REASON of core/reasons.def) */
#define RULES(X) \
  X(RULE_NONE, "fits", INTERNAL) \
  X(RULE_LICENCE, "licence", PLACE_LICENCE) \
  X(RULE_STATE, "host-state", PLACE_STATE) \
  X(RULE_HOSTS, "hosts", PLACE_HOSTS) \
  X(RULE_LABEL, "label", PLACE_LABEL) \
  X(RULE_FEATURE, "cpu-feature", PLACE_FEATURE) \
  X(RULE_STORES, "image", PLACE_STORES) \
  X(RULE_DISK_KIND, "storage-kind", PLACE_DISK_KIND) \
  X(RULE_MODEL, "card-model", PLACE_MODEL) \
  X(RULE_VCPUS, "vcpus", PLACE_VCPUS) \
  X(RULE_MEMORY, "memory", PLACE_MEMORY) \
  X(RULE_HUGE, "huge-pages", PLACE_HUGE) \
  X(RULE_DISK, "storage", PLACE_DISK) \
  X(RULE_CELL, "numa-cell", PLACE_CELL) \
  X(RULE_CARDS, "cards", PLACE_CARDS) \
  X(RULE_NEAR, "card-near", PLACE_NEAR) \
  X(RULE_CARD_MODEL, "card-offer", PLACE_CARD_MODEL) \
  X(RULE_CARD_TYPE, "card-type", PLACE_CARD_TYPE) \
  X(RULE_CARD_SHARE, "card-share", PLACE_CARD_SHARE) \
  X(RULE_CARD_SLOTS, "card-position", PLACE_CARD_SLOTS) \
  X(RULE_GROUP_APART, "group-apart", PLACE_GROUP_APART) \
  X(RULE_GROUP_TOGETHER, "group-together", PLACE_GROUP_TOGETHER)

#define RULE_ROW_(name, wire, reason) name,
typedef enum { RULES(RULE_ROW_) N_RULES } Rule;
#undef RULE_ROW_
const char *rule_name(Rule rule);

/* What a rule found: numbers in the rule's unit, and a word (label, feature, state, kind) where it is about one. */
typedef struct {
  int64_t wanted, free, capacity;
  const char *word;      /* borrowed from the fleet, or NULL */
} Finding;

typedef struct {
  int card;              /* of the host, from 0 */
  int share;             /* 1/1000 */
  uint32_t slots;        /* by position: the slots, a bit each */
} CardShare;

/* A place that was looked at and is not taken yet. */
typedef struct {
  int host;
  uint32_t generation;   /* of that host when it was looked at */
  int cell;              /* NUMA cell, -1: none was asked for */
  int disk;              /* which of the host's storages, -1: none */
  int n_cards;
  CardShare cards[16];
} Place;

typedef struct {
  int32_t number;
  uint32_t generation;
} ClaimId;

/* The best host for one more of class. Errors: NO_PLACE_IN_FLEET with the rule that most hosts fail (explain.h tells all). */
bool place_find(DemandClass *class, Place *ret_place, GError **err);
/* The same on one host only. */
bool place_find_on(DemandClass *class, int host, Place *ret_place, GError **err);

typedef struct {
  int64_t ends_us;       /* when it is expected to end, 0: not known */
  bool movable;          /* live migration can move it */
  uint64_t tag;          /* the caller's own number of it */
} ClaimTerms;

/* Takes a place for class. Errors: PLACE_CHANGED where the host's generation is not the place's any more. */
bool place_claim(DemandClass *class, const Place *place, const ClaimTerms *terms, ClaimId *ret_claim, GError **err);
/* Takes what is known to be taken, as it is: no rule is asked, CPUs and memory may go below 0, of a part of a card as much is
 * taken as is free. */
ClaimId place_put(DemandClass *class, const Place *place, const ClaimTerms *terms);
/* That would take all of the place's parts, on cards that are empty or in use as the same type: puts that fit come to the same in whatever order. */
bool place_fits(const DemandClass *class, const Place *place);
/* Gives a claim back. Errors: PLACE_STALE where the id names an earlier owner of that number: the present one keeps it. */
bool place_release(Fleet *f, ClaimId claim, GError **err);

/* A claim goes to place, as a live migration does: the new one is taken before the old one is given back, and a counted licence goes
 * with it. *ret_claim is the new id. Errors: PLACE_STALE, PLACE_CHANGED (then nothing moved). */
bool place_move(Fleet *f, ClaimId claim, const Place *place, ClaimId *ret_claim, GError **err);

/* Whether live migration can move it, from now on. Errors: PLACE_STALE. */
bool place_set_movable(Fleet *f, ClaimId claim, bool movable, GError **err);

/* What a claim holds; false where the id is stale. Any of the results may be NULL. */
bool claim_find(const Fleet *f, ClaimId claim, Place *ret_place, ClaimTerms *ret_terms, DemandClass **ret_class);
/* The claims of a host, newest first: begin with claim_first, end at number -1. */
ClaimId claim_first(const Fleet *f, int host);
ClaimId claim_next(const Fleet *f, ClaimId claim);
int64_t fleet_claims(const Fleet *f);

/* Why a demand gets no place, or why not there: the rules that placement itself asks, told host by host, grouped so that a large
 * fleet reads in a few lines, and with the nearest ways out. Nothing here changes the fleet. */
#pragma once

#include "core/placement/place.h"

/* The first rule that stops class on that host, with its numbers; RULE_NONE where place_find_on would succeed. */
Rule explain_host(const DemandClass *class, int host, Finding *ret_finding);
/* The same for one card of the host, alone (RULE_CARD_…): RULE_NONE where it takes at least one vGPU of class. */
Rule explain_card(const DemandClass *class, int host, int card, Finding *ret_finding);
/* A finding as an error with numbers in people's units; owned by the caller. */
GError *explain_error(const Fleet *f, int host, Rule rule, const Finding *finding);

typedef struct Fix Fix;
/* What could be done, as a reason whose text is the way out; now_us dates the ends of claims. Owned by the caller. */
GError *explain_fix_error(const Fleet *f, const Fix *fix, int64_t now_us);

/* Hosts (or cards) that one rule stops over one word. */
typedef struct {
  Rule rule;
  const char *word;      /* borrowed, or NULL */
  int n;
  int host;              /* the one with most free, and what was found there */
  Finding finding;
  int64_t least_free;    /* of them all */
} Stopped;

#define FIX_KINDS(X) \
  X(FIX_SMALLER, "smaller-profile") X(FIX_ENDS, "wait") X(FIX_MOVE, "move")
ENUM_DECLARE(FixKind, fix_kind, FIX_KINDS, N_FIX_KINDS)

/* A way out, after which place_find succeeds. */
struct Fix {
  FixKind kind;
  const char *profile;   /* SMALLER: the largest smaller one that fits, borrowed; NULL: a share */
  int share;             /* SMALLER: of a card, 1/1000 */
  ClaimId claim;         /* ENDS: the last that has to end · MOVE: which */
  int claims;            /* ENDS: how many have to end until then */
  int64_t ends_us;       /* ENDS: when */
  int host;              /* where room is or comes to be */
  Place to;              /* MOVE: where it goes, for place_move */
};

typedef struct {
  int hosts, fit;        /* all hosts, those with room */
  int cards;             /* of the hosts that fail by their cards */
  GArray *stopped;       /* Stopped by hosts, most first */
  GArray *stopped_cards; /* Stopped by cards, of hosts that fail by their cards alone */
  GArray *fixes;         /* Fix, one a kind at most, in the order of FIX_KINDS; none where there is room */
} Explanation;

/* Looks at each state of a host once, and at claims only for the fixes. Owned by the caller. */
Explanation *explain_new(DemandClass *class);
/* The same without the ways out. */
Explanation *explain_rules(DemandClass *class);
enum { EXPLAIN_ANY_MOST = 5 };
/* Of demands any of which would do (types of one class, the best first; at least one, and the first EXPLAIN_ANY_MOST are looked at): each host by the
 * first whose profile its cards have. fixes: with the ways out, of each kind the best demand's. Owned by the caller. */
Explanation *explain_any(const GPtrArray *classes, bool fixes);
void explanation_free(Explanation *e);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Explanation, explanation_free)
/* Lines for people, at most 20. now_us dates the ends of claims. Owned by the caller. */
char *explanation_text(const Fleet *f, const Explanation *e, Lang lang, int64_t now_us);

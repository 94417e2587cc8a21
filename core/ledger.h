/* The one Fleet of the model: hosts, cards, storages, desktops and claims as the placement engine sees them. It is made at the first question
 * and kept true from then on: the state notes which objects changed, and what they hold on their hosts is put anew before the next answer.
 * The same objects give the same fleet, whatever happened on the way. Part of the brain; nobody else asks. */
#pragma once

#include "core/brain_parts.h"
#include "core/placement/plan.h"

void ledger_free(Ledger *ledger);
/* The fleet as the objects are now, borrowed until one of them changes. */
Fleet *ledger_fleet(Brain *b);
/* The name of the card that the fleet counts as that one of the host, borrowed. */
const char *ledger_card(Brain *b, int host, int card);
/* The cell that the fleet counts as that one of the host (-1: none), by the host's own number; and back, -1 where there is none. */
NumaCell ledger_cell(Brain *b, int host, int index);
int ledger_cell_index(Brain *b, int host, NumaCell cell);
/* What that desktop holds on its host; false = nothing. After ledger_fleet(), which keeps it. */
bool ledger_claim(Brain *b, const char *desktop, ClaimId *ret_claim);
/* What that storage of the host has left for disks at their full size, in MiB; false = it is not counted. After ledger_fleet(). */
bool ledger_storage_room(Brain *b, const char *host, const char *storage, int64_t *ret_mib);
/* The full size of a disk on that image in MiB, 0 = not known; and whether a storage counts it. */
int64_t image_disk_mib(const ImageVersion *image);
bool storage_is_counted(const Storage *storage);
/* Whether that card is of one more kind than the engine keeps apart, MODELS_MOST, and so of none that anything is placed on; *ret_shapes: how
 * many kinds there are. Before the first question about the fleet none is. */
bool ledger_leaves_out(Brain *b, const Gpu *gpu, int *ret_shapes);
/* Card models of the fleet: CardShape, borrowed. */
GPtrArray *ledger_shapes(Brain *b);
/* The desktop that a claim's tag names: "d-17"; owned by the caller. */
char *ledger_desktop(uint64_t tag);
/* What every host is and has left, a line each: of the fleet that is kept, or of one made anew. Owned by the caller. For tests. */
char *ledger_text(Brain *b, bool anew);

/* ── rebalance.c: what live migration can move ── */

/* Why a desktop stays where it is, or is still there: X(STAY_NAME, "wire", REASON of core/reasons.def). What only holds for now comes behind the
 * rest, and what goes by itself last. */
#define STAYS(X) \
  X(STAY_NOT, "movable", INTERNAL) \
  X(STAY_FOREIGN, "foreign", MOVE_FOREIGN) \
  X(STAY_GONE, "gone", MOVE_GONE) \
  X(STAY_CARD, "card", MOVE_CARD) \
  X(STAY_DEVICE, "device", MOVE_DEVICE) \
  X(STAY_DISK, "disk", MOVE_DISK) \
  X(STAY_CELL, "cell", MOVE_CELL) \
  X(STAY_KIND, "hypervisor", MOVE_KIND) \
  X(STAY_HOST, "host", MOVE_HOST) \
  X(STAY_TASK, "task", MOVE_TASK) \
  X(STAY_STATE, "state", MOVE_STATE) \
  X(STAY_NOWHERE, "nowhere", MOVE_NOWHERE) \
  X(STAY_RESTS, "rests", MOVE_RESTS) \
  X(STAY_RETIRING, "retiring", MOVE_RETIRING) \
  X(STAY_TURN, "turn", MOVE_TURN) \
  X(STAY_WAY, "under-way", MOVE_WAY)
#define STAY_ROW_(name, wire, reason) name,
typedef enum { STAYS(STAY_ROW_) N_STAYS } Stay;
#undef STAY_ROW_

/* As far as the desktop itself says: its parts of cards, what its template ties to a host, its disk, what is done with it. */
Stay desktop_stay(Brain *b, const Desktop *desktop);
/* What stays for good: the rest may be otherwise in a moment. */
bool stay_is_for_good(Stay stay);
/* That as a reason; d is NULL for what is foreign, or gone. Owned by the caller. */
GError *stay_error(Brain *b, Stay stay, const Desktop *d, const char *host);
/* What the desktops of a host wait for, those alike together: empty, owned by the caller. */
GArray *waits_new(void);
/* desktop NULL = something that is none. */
void wait_add(GArray *waits, Stay stay, const GError *why, const char *desktop);
/* Those of ClaimId, by what they are and what is done with them; what could go has no place elsewhere. */
void waits_add_claims(Brain *b, const Fleet *f, const GArray *claims, GArray *waits);
/* "d-4, d-12: its disk is on …; d-9: …", some hundred bytes, what goes by itself last; *ret_n: how many desktops they are. Owned by the caller. */
char *waits_text(GArray *waits, int *ret_n);
/* Fewest moves over the types that will do, the first of equals, of claims that rule lets move: GArray of Move, owned by the caller. NULL where none
 * can be; *ret_refused says why. */
GArray *room_moves(const Fleet *f, GPtrArray *classes, const MoveRule *rule, GError **ret_refused);
/* Moves by name, as beginning one makes the plan's fleet another one. */
typedef struct {
  char *desktop, *to;
} Way;
GArray *ways_new(const Fleet *f, const GArray *moves);
/* A way out as a reason that names the desktop; owned by the caller. */
GError *fix_error(const Fleet *f, const Fix *fix, int64_t now_us);

/* ── ledger_cards.c: a card as the engine sees it ── */

/* How a card may be asked: a card model of the fleet. */
typedef struct {
  char *name;       /* what people call it, 0x1f, and a number that tells those apart that are cut otherwise */
  GpuBackend backend;
  bool same_type;
  int n;
  ProfileSpec profiles[PROFILES_MOST];  /* names are owned */
  int heads[PROFILES_MOST];
} CardShape;

/* Of a card as it was seen last, with the types that some class accepts; one that may not be asked offers nothing, and its name says why. */
CardShape *card_shape_new(Brain *b, const Gpu *gpu);
void card_shape_free(void *shape);
/* A GPU instance without a function that no claim names, of that type or any (NULL): a container's, say. The driver would give it to the next
 * function that asks for its type, so none of that type is offered. NULL = there is none. */
const GpuPart *card_loose_instance(const GpuCard *card, const GPtrArray *claims, const char *type);
/* What a class calls a card's type: its id, or whole:vvvv:dddd. Owned by the caller. */
char *card_profile_name(const GpuCard *card, const char *type);

/* What is taken of a card, in the fleet's numbers. */
typedef struct {
  int share;
  uint32_t slots;
} CardExtent;

/* Of one part of a type at start (-1: it has no place). */
CardExtent card_extent(const CardShape *shape, const GpuCard *card, const char *type, int start);

/* Whether what is seen and claimed of the card leaves room for a type that is asked for, but for functions to give. */
bool card_has_room(Brain *b, const Gpu *gpu);

/* A part that no claim of ours is on, or room that the card says it does not have. */
typedef struct {
  char *profile;    /* owned */
  CardExtent extent;
} CardHold;
/* Of CardHold, owned by the caller. */
GArray *card_holds_new(Brain *b, const Gpu *gpu, const CardShape *shape);

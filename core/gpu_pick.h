/* Which card, type and place a wish for a part gets: pure, on what was seen of the cards last and the claims that this does not show yet.
 * Types in the class's order; of the cards that can give one, the card where the fewest other parts become impossible; of these the fullest.
 * Asked by the brain; placement's engine may take its place. */
#pragma once

#include "core/model.h"

/* A part that is claimed and that the card's picture does not show. */
typedef struct {
  const char *type, *address;  /* borrowed; address NULL = none is claimed */
  int start;
} GpuPending;

/* A card that may be asked. Everything is borrowed but pending. */
typedef struct {
  const Gpu *gpu;
  const GpuCard *card;
  GArray *pending;  /* of GpuPending */
  int ours;         /* claims on it */
} GpuBox;

typedef struct {
  guint box;
  const char *type, *address;  /* borrowed from the box; address NULL = the card chooses, or needs none */
  int start;
  int rank;      /* place in the class's list; 0 is best */
  int stranded;  /* parts of other types that become impossible */
} GpuPick;

/* How many more parts of type the card could give now. */
int gpu_box_free(const GpuBox *box, const GpuType *type);
/* *ret_pick for one more part of class. false: nothing fits, and why has each card with the first rule that fails and its numbers. */
bool gpu_pick(const GpuClass *class, const GArray *boxes, GpuPick *ret_pick, GString *why);
/* The pick counts as claimed from now on. */
void gpu_box_take(GArray *boxes, const GpuPick *pick);

/* What is kept of a card in its object, and back. Owned by the caller. */
char *gpu_types_json(const GpuCard *card);
char *gpu_parts_json(const GpuCard *card);
GpuCard *gpu_card_read(const Gpu *gpu);

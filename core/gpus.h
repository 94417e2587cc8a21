/* What is kept of each card between its looks: as what it was seen, and what its driver refused. Part of the brain: asked by gpus.c, which takes the
 * looks, by claims and by verbs. */
#pragma once

#include "core/brain_parts.h"

typedef struct {
  GpuCard *card;      /* as it was seen last */
  int64_t looked_us;  /* when that look began */
  int refusals;       /* in a row */
  int64_t refused_us; /* when it was last marked for that */
  char *refused_type;
  char *refused;      /* the last one's words, of a card that is marked; NULL = it is not */
} CardPicture;

/* Of a card that was not looked at since the start, what the store knows. Borrowed until the card is removed. */
CardPicture *gpu_picture_of(Brain *b, const Gpu *gpu);
/* Tells of it, and has the pools look again where the card is ready now. */
void gpu_set_state(Brain *b, const char *gpu, GpuState state);
/* Marked as broken for what it refused: what it gave before is as well as it was. */
bool gpu_is_refusing(Brain *b, const Gpu *gpu);
/* A look that finds it well some minutes later gives it another try; the next refusal marks it at once then. */
void gpu_refusals_follow(Brain *b, const char *gpu, const GpuCard *seen);
/* The host refused to make a part of that type there. After the second such refusal in a row the card is broken, with the host's words, until a look some
 * minutes later, a part made there, or an operator. true ⇔ it is now: the claim goes elsewhere. The last card of its kind that a host of several has,
 * or the fleet, stays in use: where each refuses a type it is not the cards' fault, and those that are broken for that type alone are ready again. */
bool gpu_refused_again(Brain *b, const char *gpu, const char *type, const GError *err);
/* It made a part, or an operator says that it is well: what it refused before is forgotten. */
void gpu_forgive(Brain *b, const char *gpu);

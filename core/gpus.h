/* Cards whose driver refuses: part of the brain. */
#pragma once

#include "core/brain_parts.h"

/* The host refused to make a part of that type there. After the second such refusal in a row the card is broken, with the host's words, until a look some
 * minutes later, a part made there, or an operator. true ⇔ it is now: the claim goes elsewhere. The last card of its kind that a host of several has,
 * or the fleet, stays in use: where each refuses a type it is not the cards' fault, and those that are broken for that type alone are ready again. */
bool gpu_refused_again(Brain *b, const char *gpu, const char *type, const GError *err);
/* It made a part, or an operator says that it is well: what it refused before is forgotten. */
void gpu_forgive(Brain *b, const char *gpu);

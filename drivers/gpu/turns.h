/* Turns at cards: what a card gives is read before it is asked for, and what one asks for changes what another has read, so orders to a card go one at a
 * time. Each card of each host has a turn of its own: one that hangs keeps nobody from another card. Asked by gpu.c alone; looks take none. */
#pragma once

#include "core/error.h"

typedef struct CardTurn CardTurn;

enum { CARD_TURN_S = 30 };  /* the longest that anybody waits for a card */

/* Waits until nobody else has that card of that host: until until_us (monotonic; 0 = as long as may be) and CARD_TURN_S at most. GPU_BUSY: whoever has it has
 * not let go by then. Any thread; not twice in one. The turn is the caller's, who ends it. */
bool card_turn_take(const char *host, const char *card, int64_t until_us, CardTurn **ret_turn, GError **err);
/* NULL: nothing. A card that nobody has or waits for is forgotten. */
void card_turn_end(CardTurn *turn);
/* Cards that are had or waited for now. */
guint card_turns(void);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CardTurn, card_turn_end)

/* Why a demand gets no place, or why not there: the rules that placement itself asks, told host by host, grouped for a fleet, and
 * with the nearest way out. Nothing here changes the fleet. */
#pragma once

#include "core/placement/place.h"

/* The first rule that stops class on that host, with its numbers; RULE_NONE where place_find_on would succeed. */
Rule explain_host(const DemandClass *class, int host, Finding *ret_finding);
/* The same for one card of the host, alone: RULE_NONE where it takes at least one vGPU of class. */
Rule explain_card(const DemandClass *class, int host, int card, Finding *ret_finding);
/* A finding as an error with numbers in people's units; owned by the caller. */
GError *explain_error(const Fleet *f, int host, Rule rule, const Finding *finding);

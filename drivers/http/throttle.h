/* Delays for those who guess passwords. Of a stranger, who never logged in as that user from that address, the address and the
 * user's strangers all together are slowed down; of a known pair of user and address, that pair alone, and by its right
 * passwords too, as each costs a hash that others wait behind. So an attacker slows himself and other strangers, and nobody at a place they are known at, not even behind the same address. Bounded memory,
 * whatever the texts' length: those whose last counted try is oldest are forgotten, and a refused try makes or renews nothing, so
 * that only who may try, at the price of a password's hash each, can push others out. The caller brings the time. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* After how many wrong passwords the delays begin; each further one doubles the delay from a second up to the limit. */
enum { THROTTLE_FREE_TRIES = 5, THROTTLE_ADDRESS_MAX_S = 900, THROTTLE_USER_MAX_S = 60, THROTTLE_ENTRIES = 4096 };
/* Tries of a known pair, right or wrong: at once, and then a minute. A hash is a tenth of a second of a processor. */
enum { THROTTLE_TRIES_BURST = 30, THROTTLE_TRIES_PER_MINUTE = 30 };

typedef struct Throttle Throttle;

Throttle *throttle_new(void);
void throttle_free(Throttle *throttle);

/* Seconds until a try for user from address may be made; 0: now, and the try counts as wrong until throttle_right() says
 * otherwise, so that tries side by side gain nothing. address: any text; of IPv6 addresses the first 64 bits count. Any thread.
 * */
int throttle_try(Throttle *throttle, const char *user, const char *address, int64_t now_us);

/* The password was right: address is known for user from now on, and this try is taken back. */
void throttle_right(Throttle *throttle, const char *user, const char *address);

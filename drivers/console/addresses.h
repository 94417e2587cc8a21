/* How many connections each address has, so that one can't take all. An IPv6 host has a whole /64 to itself: that counts as one.
 * Any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

typedef struct Addresses Addresses;

typedef struct {
  uint64_t key; /* of the address, or of its /64 */
  char text[46];
} Address;

Addresses *addresses_new(int64_t all_max, int64_t each_max);
void addresses_free(Addresses *addresses);
/* The key and text of a peer's address; an IPv4 address mapped into IPv6 is the IPv4 one. */
Address address_of(const struct sockaddr_storage *peer);
/* true ⇔ one more connection is within the limits; it is counted until addresses_leave. */
bool addresses_enter(Addresses *addresses, const Address *address);
void addresses_leave(Addresses *addresses, const Address *address);
int addresses_count(Addresses *addresses);

/* How many connections, and bytes of request bodies in memory, each address has, so that one can't take all. An IPv6 host has a whole /64 to itself: that counts as one.
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

/* each: 0 is as many as all. */
typedef struct {
  int64_t all, each;
  int64_t all_bytes, each_bytes;
} AddressLimits;

Addresses *addresses_new(const AddressLimits *limits);
void addresses_free(Addresses *addresses);
/* The key and text of a peer's address; an IPv4 address mapped into IPv6 is the IPv4 one. */
Address address_of(const struct sockaddr_storage *peer);
/* true ⇔ one more connection is within the limits; it is counted until addresses_leave. */
bool addresses_enter(Addresses *addresses, const Address *address);
void addresses_leave(Addresses *addresses, const Address *address);
/* true ⇔ n more bytes are within the limits; they are counted until addresses_release. Of an address that has entered. */
bool addresses_hold(Addresses *addresses, const Address *address, int64_t n);
/* Before the address leaves. */
void addresses_release(Addresses *addresses, const Address *address, int64_t n);
int addresses_count(Addresses *addresses);

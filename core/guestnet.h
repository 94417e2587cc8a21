/* Where a server in a guest may be dialled. A guest's word for its own address is a stranger's: whoever follows it without a look can be sent to any
 * service that the controller or a gateway reaches. So an address must lie in a network that the operator allows for guests' servers, be one machine's
 * on a network (no loopback, link-local, multicast, nor an IPv4 address hidden in an IPv6 one), and nobody's of the house. Pure; any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { GUEST_NETWORKS_MAX = 64 };

typedef struct {
  uint8_t bytes[16]; /* IPv4: the first four */
  int n;             /* bytes that count: 4 or 16 */
} GuestAddressBits;

typedef struct {
  GuestAddressBits base;
  int prefix;
} GuestNetwork;

/* Of console.guest_networks. None allows no address at all. */
typedef struct {
  GuestNetwork each[GUEST_NETWORKS_MAX];
  int n;
} GuestNetworks;

/* Numbers alone, without a zone; false else. */
bool guest_address_parse(const char *text, GuestAddressBits *ret_bits);
bool guest_address_same(const GuestAddressBits *a, const GuestAddressBits *b);
/* Whether it is none that a guest of ours can have: this machine's loopback, link-local, multicast, broadcast, reserved, unspecified, or one in which an IPv4
 * address is hidden (mapped, compatible, NAT64, 6to4, Teredo): IANA's registries of special-purpose addresses. */
bool guest_address_is_special(const GuestAddressBits *bits);

/* Of "NETWORK/PREFIX" each, NULL-ended. BAD_VALUE: none of that form, with bits behind the prefix, or one in which every address is special. */
bool guest_networks_parse(const char *const *texts, GuestNetworks *ret_networks, GError **err);

/* Whether the guest of desktop may be dialled at address. Errors: GUEST_NETWORKS_UNSET, GUEST_ADDRESS_SPECIAL, GUEST_ADDRESS_OUTSIDE (a network's first and
 * last IPv4 address are outside too). Whose of the house it may be is the caller's to ask: guest_address_same(). */
bool guest_address_check(const GuestNetworks *networks, const char *desktop, const char *address, GError **err);

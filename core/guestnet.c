#include "core/guestnet.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/error.h"
#include "core/text.h"

enum { V4 = 4, V6 = 16, SHOWN_CHARACTERS = 64, WHOLE_PREFIX = 4 };

typedef struct {
  const char *text;
  int prefix;
} Special;

/* https://www.iana.org/assignments/iana-ipv4-special-registry and …-ipv6-special-registry: what is no machine's of a network, or leads elsewhere. */
static const Special specials[] = {
  { "0.0.0.0", 8 },     { "127.0.0.0", 8 },  { "169.254.0.0", 16 }, { "224.0.0.0", 4 }, { "240.0.0.0", 4 },
  { "::", 96 },         { "::ffff:0:0", 96 }, { "64:ff9b::", 96 },  { "64:ff9b:1::", 48 }, { "100::", 64 },
  { "2001::", 32 },     { "2002::", 16 },    { "fe80::", 10 },      { "fec0::", 10 },   { "ff00::", 8 },
};

bool guest_address_parse(const char *text, GuestAddressBits *ret_bits)
{
  *ret_bits = (GuestAddressBits){ 0 };
  if (!text)
    return false;
  ret_bits->n = inet_pton(AF_INET, text, ret_bits->bytes) == 1 ? V4 : inet_pton(AF_INET6, text, ret_bits->bytes) == 1 ? V6 : 0;
  return ret_bits->n;
}

bool guest_address_same(const GuestAddressBits *a, const GuestAddressBits *b)
{
  return a->n == b->n && !memcmp(a->bytes, b->bytes, (size_t)a->n);
}

static bool within(const GuestAddressBits *bits, const GuestNetwork *network)
{
  int whole = network->prefix / 8, rest = network->prefix % 8;
  if (bits->n != network->base.n || memcmp(bits->bytes, network->base.bytes, (size_t)whole) != 0)
    return false;
  return !rest || !((bits->bytes[whole] ^ network->base.bytes[whole]) >> (8 - rest));
}

bool guest_address_is_special(const GuestAddressBits *bits)
{
  for (size_t i = 0; i < G_N_ELEMENTS(specials); i++) {
    GuestNetwork network = { .prefix = specials[i].prefix };
    bool parsed = guest_address_parse(specials[i].text, &network.base);
    g_assert(parsed);
    if (within(bits, &network))
      return true;
  }
  return false;
}

/* Whether all bits behind the prefix are bit. */
static bool rest_is(const GuestAddressBits *bits, int prefix, bool bit)
{
  for (int i = prefix; i < 8 * bits->n; i++)
    if ((bits->bytes[i / 8] >> (7 - i % 8) & 1) != bit)
      return false;
  return true;
}

static bool network_parse(const char *text, GuestNetwork *ret)
{
  const char *slash = strchr(text, '/');
  g_autofree char *base = slash ? g_strndup(text, (gsize)(slash - text)) : NULL;
  int64_t prefix = 0;
  if (!base || !guest_address_parse(base, &ret->base) || !number_parse(slash + 1, 0, 8 * ret->base.n, &prefix))
    return false;
  ret->prefix = (int)prefix;
  return rest_is(&ret->base, ret->prefix, false) && !(prefix >= WHOLE_PREFIX && guest_address_is_special(&ret->base));
}

bool guest_networks_parse(const char *const *texts, GuestNetworks *ret_networks, GError **err)
{
  *ret_networks = (GuestNetworks){ 0 };
  for (; texts && *texts; texts++)
    if (ret_networks->n == GUEST_NETWORKS_MAX || !network_parse(*texts, &ret_networks->each[ret_networks->n++]))
      return error_false(err, REASON_BAD_VALUE, "field", "console.guest_networks", "value", *texts, "limit",
                         "networks such as 10.20.0.0/16 or fd00:20::/64: no bit behind the prefix, not loopback, link-local or multicast", NULL);
  return true;
}

static bool has_host(const GuestAddressBits *bits, const GuestNetwork *network)
{
  bool edges = bits->n == V4 && network->prefix <= 30;
  return within(bits, network) && !(edges && (rest_is(bits, network->prefix, false) || rest_is(bits, network->prefix, true)));
}

bool guest_address_check(const GuestNetworks *networks, const char *desktop, const char *address, GError **err)
{
  GuestAddressBits bits;
  if (!networks || !networks->n)
    return error_false(err, REASON_GUEST_NETWORKS_UNSET, "desktop", desktop, NULL);
  g_autofree char *shown = text_dup_visible(address ? address : "", SHOWN_CHARACTERS);
  if (!guest_address_parse(address, &bits) || guest_address_is_special(&bits))
    return error_false(err, REASON_GUEST_ADDRESS_SPECIAL, "desktop", desktop, "address", shown, NULL);
  for (int i = 0; i < networks->n; i++)
    if (has_host(&bits, &networks->each[i]))
      return true;
  return error_false(err, REASON_GUEST_ADDRESS_OUTSIDE, "desktop", desktop, "address", shown, NULL);
}

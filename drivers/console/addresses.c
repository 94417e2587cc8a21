#include "drivers/console/addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

typedef struct {
  uint64_t key;
  int64_t connections, bytes;
} Share;

struct Addresses {
  GMutex lock;
  GHashTable *shares; /* Share, by its key */
  AddressLimits limits;
  int64_t connections, bytes;
};

Addresses *addresses_new(const AddressLimits *limits)
{
  Addresses *a = g_new0(Addresses, 1);
  g_mutex_init(&a->lock);
  a->shares = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
  a->limits = *limits;
  if (!limits->each)
    a->limits.each = limits->all;
  if (!limits->each_bytes)
    a->limits.each_bytes = limits->all_bytes;
  return a;
}

void addresses_free(Addresses *a)
{
  if (!a)
    return;
  g_hash_table_unref(a->shares);
  g_mutex_clear(&a->lock);
  g_free(a);
}

Address address_of(const struct sockaddr_storage *peer)
{
  Address a = { 0 };
  const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
  const struct in_addr *v4 = peer->ss_family == AF_INET ? &((const struct sockaddr_in *)peer)->sin_addr : NULL;
  if (peer->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
    v4 = (const struct in_addr *)&v6->sin6_addr.s6_addr[12];
  if (v4) {
    memcpy((char *)&a.key + 4, v4, 4);
    inet_ntop(AF_INET, v4, a.text, sizeof a.text);
  } else if (peer->ss_family == AF_INET6) {
    memcpy(&a.key, &v6->sin6_addr, sizeof a.key);
    inet_ntop(AF_INET6, &v6->sin6_addr, a.text, sizeof a.text);
  }
  return a;
}

static Share *share_of(Addresses *a, const Address *address)
{
  Share *share = g_hash_table_lookup(a->shares, &address->key);
  if (share)
    return share;
  share = g_new0(Share, 1);
  share->key = address->key;
  g_hash_table_insert(a->shares, &share->key, share);
  return share;
}

bool addresses_enter(Addresses *a, const Address *address)
{
  g_mutex_lock(&a->lock);
  const Share *old = g_hash_table_lookup(a->shares, &address->key);
  bool room = a->connections < a->limits.all && (!old || old->connections < a->limits.each);
  if (room) {
    a->connections++;
    share_of(a, address)->connections++;
  }
  g_mutex_unlock(&a->lock);
  return room;
}

void addresses_leave(Addresses *a, const Address *address)
{
  g_mutex_lock(&a->lock);
  a->connections--;
  if (!--share_of(a, address)->connections)
    g_hash_table_remove(a->shares, &address->key);
  g_mutex_unlock(&a->lock);
}

bool addresses_hold(Addresses *a, const Address *address, int64_t n)
{
  g_mutex_lock(&a->lock);
  Share *share = share_of(a, address);
  bool room = a->bytes + n <= a->limits.all_bytes && share->bytes + n <= a->limits.each_bytes;
  if (room) {
    a->bytes += n;
    share->bytes += n;
  }
  g_mutex_unlock(&a->lock);
  return room;
}

void addresses_release(Addresses *a, const Address *address, int64_t n)
{
  g_mutex_lock(&a->lock);
  a->bytes -= n;
  share_of(a, address)->bytes -= n;
  g_mutex_unlock(&a->lock);
}

int addresses_count(Addresses *a)
{
  g_mutex_lock(&a->lock);
  int all = (int)a->connections;
  g_mutex_unlock(&a->lock);
  return all;
}

#include "drivers/console/addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct Addresses {
  GMutex lock;
  GHashTable *each; /* key → count */
  int64_t all, all_max, each_max;
};

Addresses *addresses_new(int64_t all_max, int64_t each_max)
{
  Addresses *a = g_new0(Addresses, 1);
  g_mutex_init(&a->lock);
  a->each = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
  a->all_max = all_max;
  a->each_max = each_max ? each_max : all_max;
  return a;
}

void addresses_free(Addresses *a)
{
  if (!a)
    return;
  g_hash_table_unref(a->each);
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

bool addresses_enter(Addresses *a, const Address *address)
{
  g_mutex_lock(&a->lock);
  int64_t count = GPOINTER_TO_INT(g_hash_table_lookup(a->each, &address->key));
  bool room = a->all < a->all_max && count < a->each_max;
  if (room) {
    a->all++;
    g_hash_table_insert(a->each, g_memdup2(&address->key, sizeof address->key), GINT_TO_POINTER(count + 1));
  }
  g_mutex_unlock(&a->lock);
  return room;
}

void addresses_leave(Addresses *a, const Address *address)
{
  g_mutex_lock(&a->lock);
  int64_t count = GPOINTER_TO_INT(g_hash_table_lookup(a->each, &address->key)) - 1;
  a->all--;
  if (count > 0)
    g_hash_table_insert(a->each, g_memdup2(&address->key, sizeof address->key), GINT_TO_POINTER(count));
  else
    g_hash_table_remove(a->each, &address->key);
  g_mutex_unlock(&a->lock);
}

int addresses_count(Addresses *a)
{
  g_mutex_lock(&a->lock);
  int all = (int)a->all;
  g_mutex_unlock(&a->lock);
  return all;
}

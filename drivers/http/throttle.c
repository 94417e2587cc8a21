#include "drivers/http/throttle.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/rate.h"

/* What is counted for one key: hash of "a ADDRESS" and "u USER" for strangers, "k USER ADDRESS" for a known pair. */
typedef struct {
  char *key;
  int wrong;
  int64_t seen_us;
  int64_t free_us; /* when the next try may be made */
  int64_t full_us; /* of a known pair: the tries taken, right ones too, as rate_take answers */
  GList link;      /* in order of the last counted try: newest first */
} Entry;

enum { FORGET_AFTER_S = 3600 };

static const Rate tries = { THROTTLE_TRIES_BURST, THROTTLE_TRIES_PER_MINUTE };

struct Throttle {
  GMutex mutex;
  GHashTable *entries;
  GQueue order;
};

static void entry_free(void *entry)
{
  g_free(((Entry *)entry)->key);
  g_free(entry);
}

Throttle *throttle_new(void)
{
  Throttle *t = g_new0(Throttle, 1);
  g_mutex_init(&t->mutex);
  g_queue_init(&t->order);
  t->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
  return t;
}

void throttle_free(Throttle *t)
{
  if (!t)
    return;
  g_hash_table_unref(t->entries);
  g_mutex_clear(&t->mutex);
  g_free(t);
}

static Entry *entry_find(const Throttle *t, const char *key) { return g_hash_table_lookup(t->entries, key); }

/* The entry of key, made where there is none; the newest from now on. A pointer to another entry may be dead after it. */
static Entry *entry_take(Throttle *t, const char *key)
{
  Entry *e = entry_find(t, key);
  if (e) {
    g_queue_unlink(&t->order, &e->link);
  } else {
    e = g_new0(Entry, 1);
    e->key = g_strdup(key);
    e->link.data = e;
    g_hash_table_insert(t->entries, e->key, e);
  }
  g_queue_push_head_link(&t->order, &e->link);
  if (t->order.length > THROTTLE_ENTRIES) {
    Entry *oldest = t->order.tail->data;
    g_queue_unlink(&t->order, &oldest->link);
    g_hash_table_remove(t->entries, oldest->key);
  }
  return e;
}

static int wait_s(const Entry *e, int64_t now_us)
{
  int64_t wait_us = e ? MAX(e->free_us - now_us, rate_wait_us(&tries, e->full_us, now_us)) : 0;
  return wait_us > 0 ? (int)((wait_us + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC) : 0;
}

static void count_wrong(Entry *e, int max_s, int64_t now_us)
{
  if (now_us - e->seen_us > FORGET_AFTER_S * (int64_t)G_USEC_PER_SEC)
    e->wrong = 0;
  e->seen_us = now_us;
  int doublings = ++e->wrong - THROTTLE_FREE_TRIES;
  if (doublings >= 0)
    e->free_us = now_us + MIN(max_s, 1 << MIN(doublings, 20)) * (int64_t)G_USEC_PER_SEC;
}

/* Takes one wrong try back. */
static void count_right(Entry *e)
{
  if (!e)
    return;
  e->wrong = MAX(0, e->wrong - 1);
  e->free_us = 0;
}

/* The network that one customer has: a whole IPv4 address, half of an IPv6 one. */
static char *address_key(const char *address)
{
  struct in6_addr six;
  char text[INET6_ADDRSTRLEN];
  if (!address || !strchr(address, ':') || inet_pton(AF_INET6, address, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six))
    return g_strconcat("a ", address ? address : "", NULL);
  memset(six.s6_addr + 8, 0, 8);
  return g_strconcat("a ", inet_ntop(AF_INET6, &six, text, sizeof text), NULL);
}

/* What is counted of a try; hashes, as a stranger chose the texts. */
typedef struct {
  char *pair, *place, *person;
} Keys;

static void keys_clear(Keys *k)
{
  g_free(k->pair);
  g_free(k->place);
  g_free(k->person);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Keys, keys_clear)

static char *hashed(const char *text) { return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1); }

static Keys keys_of(const char *user, const char *address)
{
  g_autofree char *place = address_key(address), *person = g_strconcat("u ", user, NULL);
  g_autofree char *pair = g_strconcat("k ", user, " ", place, NULL);
  return (Keys){ hashed(pair), hashed(place), hashed(person) };
}

int throttle_try(Throttle *t, const char *user, const char *address, int64_t now_us)
{
  g_auto(Keys) keys = keys_of(user, address);
  g_mutex_lock(&t->mutex);
  bool known = entry_find(t, keys.pair);
  int seconds = known ? wait_s(entry_find(t, keys.pair), now_us)
                      : MAX(wait_s(entry_find(t, keys.place), now_us), wait_s(entry_find(t, keys.person), now_us));
  if (!seconds && known) {
    Entry *pair = entry_take(t, keys.pair);
    count_wrong(pair, THROTTLE_USER_MAX_S, now_us);
    pair->full_us = rate_take(&tries, pair->full_us, now_us);
  }
  if (!seconds && !known) {
    count_wrong(entry_take(t, keys.place), THROTTLE_ADDRESS_MAX_S, now_us);
    count_wrong(entry_take(t, keys.person), THROTTLE_USER_MAX_S, now_us);
  }
  g_mutex_unlock(&t->mutex);
  return seconds;
}

void throttle_right(Throttle *t, const char *user, const char *address)
{
  g_auto(Keys) keys = keys_of(user, address);
  g_mutex_lock(&t->mutex);
  if (!entry_find(t, keys.pair)) {
    count_right(entry_find(t, keys.place));
    count_right(entry_find(t, keys.person));
  }
  Entry *pair = entry_take(t, keys.pair);
  pair->wrong = 0;
  pair->free_us = 0;
  g_mutex_unlock(&t->mutex);
}

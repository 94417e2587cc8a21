#include "core/licence.h"

#include <string.h>

#include "core/lifecycle.h"

/* ── "cad=2" ──────────────────────────────────────────────────────────────── */

bool licence_need_read(const char *text, LicenceNeed *ret)
{
  const char *equals = strchr(text, '=');
  size_t length = equals ? (size_t)(equals - text) : strlen(text);
  if (length > NAME_MAX_BYTES)
    return false;
  memcpy(ret->name, text, length);
  ret->name[length] = '\0';
  ret->n = 1;
  return name_check("licences", ret->name, NULL) && (!equals || number_parse(equals + 1, 1, LICENCE_SEATS_MOST, &ret->n));
}

int licence_needs(char *const *list, LicenceNeed ret[LICENCES_MOST])
{
  int n = 0;
  for (; list && *list && n < LICENCES_MOST; list++)
    n += licence_need_read(*list, &ret[n]);
  return n;
}

int64_t licence_wanted(char *const *list, const char *licence)
{
  LicenceNeed needs[LICENCES_MOST];
  int n = licence_needs(list, needs);
  for (int i = 0; i < n; i++)
    if (!strcmp(needs[i].name, licence))
      return needs[i].n;
  return 0;
}

/* ── who holds them ───────────────────────────────────────────────────────── */

typedef struct {
  int64_t held;
  GHashTable *sessions;  /* set of names, borrowed */
} Seat;

struct Seats {
  GHashTable *licences;  /* name → Seat */
  GHashTable *pools;     /* set of names, borrowed */
  bool touched;
};

static void seat_free(void *seat)
{
  g_hash_table_unref(((Seat *)seat)->sessions);
  g_free(seat);
}

Seats *seats_new(void)
{
  Seats *seats = g_new0(Seats, 1);
  seats->licences = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, seat_free);
  seats->pools = g_hash_table_new(g_str_hash, g_str_equal);
  return seats;
}

void seats_free(Seats *seats)
{
  g_hash_table_unref(seats->licences);
  g_hash_table_unref(seats->pools);
  g_free(seats);
}

static Seat *seat_of(Seats *seats, const char *licence)
{
  Seat *seat = g_hash_table_lookup(seats->licences, licence);
  if (seat)
    return seat;
  seat = g_new0(Seat, 1);
  seat->sessions = g_hash_table_new(g_str_hash, g_str_equal);
  g_hash_table_insert(seats->licences, g_strdup(licence), seat);
  return seat;
}

static void session_change(Seats *seats, const Session *s, bool in)
{
  seats->touched = seats->touched || (session_state_is_waiting(s->state) && s->pool && g_hash_table_contains(seats->pools, s->pool));
  if (!s->licences || !session_state_is_live(s->state))
    return;
  LicenceNeed needs[LICENCES_MOST];
  int n = licence_needs(s->licences, needs);
  for (int i = 0; i < n; i++) {
    Seat *seat = seat_of(seats, needs[i].name);
    seat->held += in ? needs[i].n : -needs[i].n;
    if (in)
      g_hash_table_add(seat->sessions, s->head.name);
    else
      g_hash_table_remove(seat->sessions, s->head.name);
    if (!g_hash_table_size(seat->sessions))
      g_hash_table_remove(seats->licences, needs[i].name);
  }
  seats->touched = true;
}

static void pool_change(Seats *seats, const Pool *pool, bool in)
{
  if (!pool->licences)
    return;
  if (in)
    g_hash_table_add(seats->pools, pool->head.name);
  else
    g_hash_table_remove(seats->pools, pool->head.name);
  seats->touched = true;
}

void seats_change(Seats *seats, const Object *object, bool in)
{
  if (object->noun == NOUN_SESSION)
    session_change(seats, (const Session *)object, in);
  else if (object->noun == NOUN_POOL)
    pool_change(seats, (const Pool *)object, in);
  else if (object->noun == NOUN_LICENCE)
    seats->touched = true;
}

int64_t seats_held(const Seats *seats, const char *licence)
{
  const Seat *seat = g_hash_table_lookup(seats->licences, licence);
  return seat ? seat->held : 0;
}

static int compare_names(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *names_of(GHashTable *set)
{
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  GHashTableIter i;
  void *name;
  if (!set)
    return names;
  g_hash_table_iter_init(&i, set);
  while (g_hash_table_iter_next(&i, &name, NULL))
    g_ptr_array_add(names, g_strdup(name));
  g_ptr_array_sort(names, compare_names);
  return names;
}

GPtrArray *seats_sessions(const Seats *seats, const char *licence)
{
  const Seat *seat = g_hash_table_lookup(seats->licences, licence);
  return names_of(seat ? seat->sessions : NULL);
}

GPtrArray *seats_pools(const Seats *seats)
{
  return names_of(seats->pools);
}

bool seats_take_touched(Seats *seats)
{
  bool touched = seats->touched;
  seats->touched = false;
  return touched;
}

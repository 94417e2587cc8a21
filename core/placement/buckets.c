/* Hosts of equal state lie in one bucket. A bucket is found by its content; when it comes to life it is written to a list that the
 * demand classes follow, each at its own pace. */
#include "core/placement/parts.h"

static uint64_t state_hash(const Fleet *f, const HostState *s)
{
  uint64_t h = hash_mix(f->seed, kind_at(f, s->kind)->hash);
  h = hash_mix(h, (uint64_t)(uint32_t)s->vcpus << 32 | (uint32_t)s->memory);
  h = hash_mix(h, (uint64_t)(uint32_t)s->huge << 32 | (uint32_t)s->disk[0]);
  h = hash_mix(h, (uint32_t)s->disk[1]);
  for (int i = 0; i < s->n_cards; i++)
    h = hash_mix(h, card_key(s->cards[i]));
  for (int i = 0; i < s->n_cells; i++) {
    h = hash_mix(h, (uint64_t)(uint32_t)s->cells[i].vcpus << 32 | (uint32_t)s->cells[i].memory);
    h = hash_mix(h, (uint32_t)s->cells[i].huge);
  }
  return h;
}

static bool state_equal(const HostState *a, const HostState *b)
{
  return !memcmp(a, b, offsetof(HostState, cards)) && !memcmp(a->cards, b->cards, a->n_cards * sizeof *a->cards) &&
         !memcmp(a->cells, b->cells, a->n_cells * sizeof *a->cells);
}

/* ── the table from content to bucket ─────────────────────────────────────── */

static void table_put(Fleet *f, uint64_t hash, uint32_t bucket)
{
  uint32_t i = hash & f->table_mask;
  while (f->table[i])
    i = (i + 1) & f->table_mask;
  f->table[i] = bucket + 1;
}

static void table_grow(Fleet *f)
{
  uint32_t size = f->table ? (f->table_mask + 1) * 2 : 1024;
  g_free(f->table);
  f->table = g_new0(uint32_t, size);
  f->table_mask = size - 1;
  for (uint32_t b = 0; b < f->buckets->len; b++)
    if (bucket_at(f, b)->count)
      table_put(f, bucket_at(f, b)->hash, b);
}

/* Closes the gap, so that no search stops too early. */
static void table_take(Fleet *f, uint32_t bucket)
{
  uint32_t i = bucket_at(f, bucket)->hash & f->table_mask;
  while (f->table[i] != bucket + 1)
    i = (i + 1) & f->table_mask;
  for (uint32_t j = (i + 1) & f->table_mask; f->table[j]; j = (j + 1) & f->table_mask) {
    uint32_t home = bucket_at(f, f->table[j] - 1)->hash & f->table_mask;
    if (((j - home) & f->table_mask) < ((j - i) & f->table_mask))
      continue;
    f->table[i] = f->table[j];
    i = j;
  }
  f->table[i] = 0;
}

static int64_t table_find(const Fleet *f, uint64_t hash, const HostState *state)
{
  for (uint32_t i = hash & f->table_mask; f->table[i]; i = (i + 1) & f->table_mask) {
    const Bucket *b = bucket_at(f, f->table[i] - 1);
    if (b->hash == hash && state_equal(&b->state, state))
      return f->table[i] - 1;
  }
  return -1;
}

/* ── life of a bucket ─────────────────────────────────────────────────────── */

/* The list keeps to a few times the number of states; a class that fell behind looks at all of them again. */
static void born_trim(Fleet *f)
{
  guint most = 4 * (guint)f->live_buckets + 4096;
  if (f->born->len < most)
    return;
  guint drop = f->born->len / 2;
  g_array_remove_range(f->born, 0, drop);
  f->born_base += drop;
}

static uint32_t bucket_new(Fleet *f, uint64_t hash, const HostState *state)
{
  uint32_t b;
  if (f->free_bucket >= 0) {
    b = (uint32_t)f->free_bucket;
    f->free_bucket = bucket_at(f, b)->next_free;
  } else {
    b = f->buckets->len;
    g_array_set_size(f->buckets, b + 1);
  }
  *bucket_at(f, b) = (Bucket){ .state = *state, .hash = hash, .serial = ++f->serials, .first = NO_HOST };
  if (!f->table || 2u * (uint32_t)++f->live_buckets > f->table_mask)
    table_grow(f);
  table_put(f, hash, b);
  Born born = { b, f->serials };
  g_array_append_val(f->born, born);
  born_trim(f);
  return b;
}

static void bucket_end(Fleet *f, uint32_t b)
{
  table_take(f, b);
  bucket_at(f, b)->serial = ++f->serials;
  bucket_at(f, b)->next_free = f->free_bucket;
  f->free_bucket = (int32_t)b;
  f->live_buckets--;
}

void bucket_leave(Fleet *f, int host)
{
  uint32_t number = *u32_at(f->bucket, host);
  Bucket *b = bucket_at(f, number);
  int32_t next = *i32_at(f->next, host), before = *i32_at(f->before, host);
  if (next != NO_HOST)
    *i32_at(f->before, next) = before;
  if (before != NO_HOST)
    *i32_at(f->next, before) = next;
  else
    b->first = next;
  if (--b->count == 0)
    bucket_end(f, number);
}

void bucket_enter(Fleet *f, int host, const HostState *state)
{
  if (!f->table)
    table_grow(f);
  uint64_t hash = state_hash(f, state);
  int64_t found = table_find(f, hash, state);
  uint32_t number = found < 0 ? bucket_new(f, hash, state) : (uint32_t)found;
  Bucket *b = bucket_at(f, number);
  *u32_at(f->bucket, host) = number;
  *i32_at(f->before, host) = NO_HOST;
  *i32_at(f->next, host) = b->first;
  if (b->first != NO_HOST)
    *i32_at(f->before, b->first) = host;
  b->first = host;
  b->count++;
}

void bucket_move(Fleet *f, int host, const HostState *state)
{
  HostState copy = *state;
  bucket_leave(f, host);
  bucket_enter(f, host, &copy);
  ++*u32_at(f->generation, host);
}

void state_sort_cards(HostState *s, const HostKind *k)
{
  for (int i = 1; i < s->n_cards; i++) {
    CardState c = s->cards[i];
    int j = i;
    while (j > 0 && k->run_end[j - 1] == k->run_end[i] && card_key(s->cards[j - 1]) > card_key(c)) {
      s->cards[j] = s->cards[j - 1];
      j--;
    }
    s->cards[j] = c;
  }
}

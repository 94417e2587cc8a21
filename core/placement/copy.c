/* A fleet again: a copy for plans, and every number from scratch for tests. */
#include "core/placement/parts.h"

static void copy_words(Fleet *to, const Fleet *from)
{
  for (guint i = 0; i < from->words.words->len; i++)
    words_id(&to->words, words_text(&from->words, i));
}

static void copy_models(Fleet *to, const Fleet *from)
{
  to->n_models = from->n_models;
  memcpy(to->models, from->models, sizeof to->models);
  for (int m = 0; m < to->n_models; m++) {
    to->models[m].name = g_strdup(from->models[m].name);
    for (int p = 0; p < to->models[m].n_profiles; p++)
      to->models[m].profiles[p].name = g_strdup(from->models[m].profiles[p].name);
  }
  to->n_shared = from->n_shared;
  memcpy(to->shared, from->shared, sizeof to->shared);
  for (int i = 0; i < to->n_shared; i++)
    to->shared[i].name = g_strdup(from->shared[i].name);
}

static IdSet copy_set(IdSet set)
{
  return (IdSet){ g_memdup2(set.ids, set.n * sizeof *set.ids), set.n };
}

static void copy_kinds(Fleet *to, const Fleet *from)
{
  for (guint i = 0; i < from->kinds->len; i++) {
    HostKind *k = g_memdup2(kind_at(from, i), sizeof *k);
    k->text = g_strdup(k->text);
    k->state = g_strdup(k->state);
    k->labels = copy_set(k->labels);
    k->features = copy_set(k->features);
    k->images = copy_set(k->images);
    k->stores = copy_set(k->stores);
    k->boundless = copy_set(k->boundless);
    k->weight = NULL;
    g_ptr_array_add(to->kinds, k);
    g_hash_table_insert(to->kind_ids, k->text, GUINT_TO_POINTER(i + 1));
  }
}

static void copy_counts(Fleet *to, const Fleet *from)
{
  GHashTableIter outer, inner;
  gpointer key, value, host, n;
  g_hash_table_iter_init(&outer, from->licences);
  while (g_hash_table_iter_next(&outer, &key, &value))
    g_hash_table_insert(to->licences, key, g_memdup2(value, sizeof(Licence)));
  g_hash_table_iter_init(&outer, from->groups);
  while (g_hash_table_iter_next(&outer, &key, &value)) {
    GHashTable *members = g_hash_table_new(NULL, NULL);
    g_hash_table_iter_init(&inner, value);
    while (g_hash_table_iter_next(&inner, &host, &n))
      g_hash_table_insert(members, host, n);
    g_hash_table_insert(to->groups, key, members);
  }
}

static void copy_arrays(Fleet *to, const Fleet *from)
{
  const struct {
    GArray *to, *from;
  } arrays[] = { { to->kind, from->kind }, { to->bucket, from->bucket }, { to->next, from->next }, { to->before, from->before },
                 { to->first_card, from->first_card }, { to->generation, from->generation }, { to->first_claim, from->first_claim },
                 { to->cards, from->cards }, { to->buckets, from->buckets } };
  for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
    g_array_append_vals(arrays[i].to, arrays[i].from->data, arrays[i].from->len);
  to->table = g_memdup2(from->table, from->table ? (from->table_mask + 1) * sizeof *from->table : 0);
  to->table_mask = from->table_mask;
  to->free_bucket = from->free_bucket;
  to->live_buckets = from->live_buckets;
  to->serials = from->serials;
  to->free_claim = from->free_claim;
  to->n_claims = from->n_claims;
  to->n_cards = from->n_cards;
  to->used = from->used;
  to->capacity = from->capacity;
}

/* Rows of a claim that are shared by reference in the source get what is theirs. */
static void copy_claims(Fleet *f, const Fleet *from)
{
  g_autoptr(GHashTable) classes = g_hash_table_new(NULL, NULL);
  g_array_set_size(f->claims, claims_len(from));
  for (int i = 0; i < claims_len(from); i++) {
    ClaimRow *r = claim_at(f, i);
    *r = *claim_at(from, i);
    if (r->host == NO_HOST)
      continue;
    r->parts = r->parts ? g_memdup2(r->parts, r->n_parts * sizeof *r->parts) : NULL;
    DemandClass *copy = g_hash_table_lookup(classes, r->class);
    if (copy) {
      r->class = demand_class_ref(copy);
      continue;
    }
    copy = class_dup(r->class, f);
    g_hash_table_insert(classes, r->class, copy);
    r->class = copy;
  }
}

/* ── a view ───────────────────────────────────────────────────────────────── */

ClaimRow *claim_borrowed(const Fleet *f, int i)
{
  ClaimRow *own = g_hash_table_size(f->changed) ? g_hash_table_lookup(f->changed, GINT_TO_POINTER(i + 1)) : NULL;
  return own ? own : claim_at(f->under, i);
}

static void row_free(void *data)
{
  ClaimRow *r = data;
  g_free(r->parts);
  demand_class_unref(r->class);
  g_free(r);
}

ClaimRow *claim_edit(const Fleet *f, int i)
{
  ClaimRow *r = claim_at(f, i);
  if (i >= f->borrowed || g_hash_table_contains(f->changed, GINT_TO_POINTER(i + 1)))
    return r;
  ClaimRow *own = g_memdup2(r, sizeof *r);
  own->parts = r->parts ? g_memdup2(r->parts, r->n_parts * sizeof *r->parts) : NULL;
  own->class = r->class ? class_dup(r->class, (Fleet *)f) : NULL;
  g_hash_table_insert(f->changed, GINT_TO_POINTER(i + 1), own);
  return own;
}

/* All but the claims. */
static Fleet *fleet_like(const Fleet *from)
{
  Fleet *f = fleet_new(from->seed);
  copy_words(f, from);
  copy_models(f, from);
  copy_kinds(f, from);
  copy_counts(f, from);
  copy_arrays(f, from);
  for (guint i = 0; i < from->host_names->len; i++) {
    char *name = g_strdup(from->host_names->pdata[i]);
    g_ptr_array_add(f->host_names, name);
    g_hash_table_insert(f->names, name, GINT_TO_POINTER(i + 1));
  }
  mix_dup(f, from);
  return f;
}

Fleet *fleet_dup(const Fleet *from)
{
  Fleet *f = fleet_like(from);
  copy_claims(f, from);
  return f;
}

Fleet *fleet_view(const Fleet *from)
{
  Fleet *f = fleet_like(from);
  f->under = from;
  f->borrowed = claims_len(from);
  f->changed = g_hash_table_new_full(NULL, NULL, NULL, row_free);
  return f;
}

char *fleet_host_text(const Fleet *f, int host)
{
  HostState s = state_as_is(f, host);
  const HostKind *k = kind_at(f, s.kind);
  GString *text = g_string_new(k->text);
  state_sort_cards(&s, k);
  g_string_append_printf(text, " left %d %d %d %d %d", s.vcpus, s.memory, s.huge, s.disk[0], s.disk[1]);
  for (int i = 0; i < s.n_cards; i++)
    g_string_append_printf(text, " %d/%d/%x", s.cards[i].free, s.cards[i].type, s.cards[i].slots);
  return g_string_free(text, FALSE);
}

/* ── the same numbers by another way ──────────────────────────────────────── */

static bool differs(char **ret_why, const Fleet *f, int host, const char *what)
{
  *ret_why = g_strdup_printf("host %s: %s", host == NO_HOST ? "(all)" : fleet_host_name(f, host), what);
  return false;
}

/* What the host has left by its claims alone, cards in its own order; false where two claims hold one slot. */
static bool host_from_claims(const Fleet *f, int host, HostState *ret)
{
  *ret = kind_at(f, *u32_at(f->kind, host))->full;
  const HostKind *k = kind_at(f, ret->kind);
  for (int n = *i32_at(f->first_claim, host); n >= 0; n = claim_at(f, n)->host_next) {
    const ClaimRow *r = claim_at(f, n);
    state_take(r->class, ret, r->cell, r->disk_index >= 0 && k->shared[r->disk_index] < 0 ? r->disk_index : -1);
    for (int i = 0; i < r->n_parts; i++) {
      const CardPart *p = r->parts ? &r->parts[i] : &r->part;
      CardState *card = &ret->cards[p->card];
      uint16_t type = r->class->need[k->model[p->card]].type;
      if ((card->slots & p->slots) || card->free < p->share || (card->free < CARD_WHOLE && card->type != type))
        return false;
      *card = (CardState){ card->free - p->share, type, card->slots | p->slots };
    }
  }
  return true;
}

static bool not_over(const HostState *s)
{
  bool ok = s->vcpus >= 0 && s->memory >= 0 && s->huge >= 0;
  for (int i = 0; i < DISKS_OWN; i++)
    ok = ok && s->disk[i] >= 0;
  for (int i = 0; i < s->n_cells; i++)
    ok = ok && s->cells[i].vcpus >= 0 && s->cells[i].memory >= 0 && s->cells[i].huge >= 0;
  for (int i = 0; i < s->n_cards; i++)
    ok = ok && s->cards[i].free <= CARD_WHOLE;
  return ok;
}

static bool check_host(const Fleet *f, int host, char **ret_why)
{
  HostState s;
  if (!host_from_claims(f, host, &s))
    return differs(ret_why, f, host, "two claims hold one part of a card");
  if (!not_over(&s))
    return differs(ret_why, f, host, "more is claimed than there is");
  if (memcmp(s.cards, cards_of(f, host), s.n_cards * sizeof *s.cards))
    return differs(ret_why, f, host, "its cards are not what its claims leave");
  const Bucket *b = bucket_of(f, host);
  state_sort_cards(&s, kind_at(f, s.kind));
  if (memcmp(&s, &b->state, sizeof s))
    return differs(ret_why, f, host, "it lies in the bucket of another state");
  return true;
}

static bool check_buckets(const Fleet *f, char **ret_why)
{
  int hosts = 0, live = 0;
  for (guint i = 0; i < f->buckets->len; i++) {
    const Bucket *b = bucket_at(f, i);
    int count = 0;
    for (int h = b->count ? b->first : NO_HOST; h != NO_HOST; h = *i32_at(f->next, h))
      count++;
    if (count != b->count)
      return differs(ret_why, f, NO_HOST, "a bucket does not hold the hosts it counts");
    hosts += count;
    live += count > 0;
  }
  return (hosts == fleet_hosts(f) && live == f->live_buckets) || differs(ret_why, f, NO_HOST, "a host is in no bucket or in two");
}

static bool check_licences(const Fleet *f, char **ret_why)
{
  GHashTableIter i;
  gpointer id, value;
  g_hash_table_iter_init(&i, f->licences);
  while (g_hash_table_iter_next(&i, &id, &value)) {
    const Licence *l = value;
    int64_t used = 0;
    for (int n = 0; n < claims_len(f); n++) {
      const ClaimRow *r = claim_at(f, n);
      for (int k = 0; r->host != NO_HOST && k < r->class->n_licences; k++)
        used += r->class->licences[k].id == GPOINTER_TO_UINT(id) ? r->class->licences[k].n : 0;
    }
    if (used != l->used)
      return differs(ret_why, f, NO_HOST, "what is used of a licence is not what its claims have");
    if (used && used > l->total - l->elsewhere)
      return differs(ret_why, f, NO_HOST, "more of a licence is claimed than there is");
  }
  return true;
}

bool fleet_check(const Fleet *f, char **ret_why)
{
  FleetSum sum = {};
  for (int h = 0; h < fleet_hosts(f); h++) {
    if (!check_host(f, h, ret_why))
      return false;
    FleetSum one = fleet_used(f, h);
    sum = (FleetSum){ sum.vcpus + one.vcpus, sum.memory_mib + one.memory_mib, sum.huge_mib + one.huge_mib, sum.cards + one.cards };
  }
  if (memcmp(&sum, &f->used, sizeof sum))
    return differs(ret_why, f, NO_HOST, "what is used on the hosts does not add up to what is used");
  for (int i = 0; i < f->n_shared; i++)
    if (f->shared[i].used < 0 || f->shared[i].used > f->shared[i].capacity)
      return differs(ret_why, f, NO_HOST, "a shared storage is over its capacity");
  return check_licences(f, ret_why) && check_buckets(f, ret_why);
}

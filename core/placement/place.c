/* Find, claim, release. A class keeps the states it fits in a heap, best first, and adds only those that came to life since it was
 * asked last; a state that nobody is in any more falls out when it comes to the top. */
#include "core/placement/parts.h"

/* ── the heap of a class ──────────────────────────────────────────────────── */

static HeapEntry *entry(const DemandClass *c, guint i)
{
  return &g_array_index(c->heap, HeapEntry, i);
}

/* Equal keys are decided by the hash of the state's content and the seed. */
static bool entry_before(const DemandClass *c, const HeapEntry *a, const HeapEntry *b)
{
  if (a->key != b->key)
    return a->key < b->key;
  return bucket_at(c->fleet, a->bucket)->hash < bucket_at(c->fleet, b->bucket)->hash;
}

static void heap_push(DemandClass *c, HeapEntry e)
{
  g_array_append_val(c->heap, e);
  guint i = c->heap->len - 1;
  while (i && entry_before(c, &e, entry(c, (i - 1) / 2))) {
    *entry(c, i) = *entry(c, (i - 1) / 2);
    i = (i - 1) / 2;
  }
  *entry(c, i) = e;
}

static void heap_pop(DemandClass *c)
{
  guint n = c->heap->len - 1, i = 0;
  HeapEntry e = *entry(c, n);
  g_array_set_size(c->heap, n);
  for (guint child = 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && entry_before(c, entry(c, child + 1), entry(c, child)))
      child++;
    if (!entry_before(c, entry(c, child), &e))
      break;
    *entry(c, i) = *entry(c, child);
    i = child;
  }
  if (n)
    *entry(c, i) = e;
}

static bool entry_alive(const DemandClass *c, const HeapEntry *e)
{
  return bucket_at(c->fleet, e->bucket)->serial == e->serial;
}

static bool class_kind_ok(DemandClass *c, uint32_t kind)
{
  if (kind >= c->kind_ok->len)
    g_array_set_size(c->kind_ok, kind + 1);
  int8_t *ok = &g_array_index(c->kind_ok, int8_t, kind);
  if (!*ok)
    *ok = filter_kind(c, kind_at(c->fleet, kind), NULL) == RULE_NONE ? 1 : -1;
  return *ok > 0;
}

static bool bucket_fit(DemandClass *c, Bucket *b, Fit *ret_fit)
{
  HostKind *k = kind_at(c->fleet, b->state.kind);
  return class_kind_ok(c, b->state.kind) && filter_state(c, k, &b->state, NULL) == RULE_NONE && score_fit(c, k, &b->state, b, ret_fit);
}

static void class_look(DemandClass *c, uint32_t number)
{
  Fit fit;
  Bucket *b = bucket_at(c->fleet, number);
  if (bucket_fit(c, b, &fit))
    heap_push(c, (HeapEntry){ fit.key, number, b->serial });
}

static void class_look_at_all(DemandClass *c)
{
  g_array_set_size(c->heap, 0);
  for (guint b = 0; b < c->fleet->buckets->len; b++)
    if (bucket_at(c->fleet, b)->count)
      class_look(c, b);
}

/* A shared storage without room says no for states that fitted before. */
static uint64_t shared_ok(const DemandClass *c)
{
  uint64_t ok = 0;
  for (int i = 0; c->disk && i < c->fleet->n_shared; i++)
    ok |= (uint64_t)(c->fleet->shared[i].capacity - c->fleet->shared[i].used >= c->disk) << i;
  return ok;
}

static void class_follow(DemandClass *c)
{
  Fleet *f = c->fleet;
  uint64_t ok = shared_ok(c);
  bool fresh = c->cursor >= f->born_base && c->mix_version == f->mix_version && c->shared_ok == ok;
  if (!fresh || c->heap->len > 4 * (guint)f->live_buckets + 256)
    class_look_at_all(c);
  else
    for (int64_t i = c->cursor - f->born_base; i < f->born->len; i++) {
      const Born *born = &g_array_index(f->born, Born, i);
      if (bucket_at(f, born->bucket)->serial == born->serial)
        class_look(c, born->bucket);
    }
  c->cursor = f->born_base + f->born->len;
  c->mix_version = f->mix_version;
  c->shared_ok = ok;
}

/* ── find ─────────────────────────────────────────────────────────────────── */

/* Which of the host's own cards the changed ones of fit are: any of equal model, cell and state will do. */
static void place_cards(const DemandClass *c, int host, const HostState *before, const Fit *fit, Place *p)
{
  const HostKind *k = kind_at(c->fleet, before->kind);
  const CardState *cards = cards_of(c->fleet, host);
  uint32_t used = 0;
  for (int i = 0; i < before->n_cards; i++) {
    if (card_equal(before->cards[i], fit->after.cards[i]))
      continue;
    int card = 0;
    while (used & (1u << card) || k->run_end[card] != k->run_end[i] || !card_equal(cards[card], before->cards[i]))
      card++;
    used |= 1u << card;
    CardState old = before->cards[i], new = fit->after.cards[i];
    p->cards[p->n_cards++] = (CardShare){ card, old.free - new.free, old.slots ^ new.slots };
  }
}

static void place_make(DemandClass *c, int host, Place *ret_place)
{
  Fit fit;
  Bucket *b = bucket_of(c->fleet, host);
  bool fits = bucket_fit(c, b, &fit);
  g_assert(fits);
  Place p = { .host = host, .generation = *u32_at(c->fleet->generation, host), .cell = fit.cell, .disk = fit.disk };
  place_cards(c, host, &b->state, &fit, &p);
  *ret_place = p;
}

static int bucket_host(const DemandClass *c, const Bucket *b)
{
  int host = b->first;
  while (host != NO_HOST && filter_host(c, host, NULL) != RULE_NONE)
    host = *i32_at(c->fleet->next, host);
  return host;
}

/* States whose hosts are all refused by a rule of the single host stand aside and come back afterwards. */
static int heap_host(DemandClass *c)
{
  g_autoptr(GArray) aside = NULL;
  int host = NO_HOST;
  while (host == NO_HOST && c->heap->len) {
    HeapEntry top = *entry(c, 0);
    bool alive = entry_alive(c, &top);
    host = alive ? bucket_host(c, bucket_at(c->fleet, top.bucket)) : NO_HOST;
    if (host != NO_HOST)
      break;
    heap_pop(c);
    if (!alive)
      continue;
    if (!aside)
      aside = g_array_new(FALSE, FALSE, sizeof(HeapEntry));
    g_array_append_val(aside, top);
  }
  for (guint i = 0; aside && i < aside->len; i++)
    heap_push(c, g_array_index(aside, HeapEntry, i));
  return host;
}

typedef struct {
  int host;
  HeapEntry entry;
} Candidate;

static void candidate_try(DemandClass *c, int host, Candidate *best)
{
  Fit fit;
  Bucket *b = bucket_of(c->fleet, host);
  if (filter_host(c, host, NULL) != RULE_NONE || !bucket_fit(c, b, &fit))
    return;
  HeapEntry e = { fit.key, *u32_at(c->fleet->bucket, host), b->serial };
  if (best->host != NO_HOST && !entry_before(c, &e, &best->entry) && (entry_before(c, &best->entry, &e) || best->host < host))
    return;
  *best = (Candidate){ host, e };
}

/* Few hosts come into question: each of them is looked at. */
static int listed_host(DemandClass *c, GHashTable *members)
{
  Candidate best = { .host = NO_HOST };
  GHashTableIter iter;
  gpointer key;
  if (!members) {
    for (guint i = 0; i < c->hosts->len; i++)
      candidate_try(c, g_array_index(c->hosts, int32_t, i), &best);
    return best.host;
  }
  g_hash_table_iter_init(&iter, members);
  while (g_hash_table_iter_next(&iter, &key, NULL))
    candidate_try(c, GPOINTER_TO_INT(key), &best);
  return best.host;
}

static int best_host(DemandClass *c)
{
  GHashTable *members = c->group_rule == GROUP_TOGETHER ? group_hosts(c) : NULL;
  if (members || (c->hosts && c->hosts->len * 4 < (guint)fleet_hosts(c->fleet)))
    return listed_host(c, members);
  class_follow(c);
  return heap_host(c);
}

Rule filter_on(const DemandClass *c, int host, Finding *finding)
{
  const Bucket *b = bucket_of(c->fleet, host);
  const HostKind *k = kind_at(c->fleet, b->state.kind);
  Rule rule = filter_fleet(c, finding);
  rule = rule == RULE_NONE ? filter_kind(c, k, finding) : rule;
  rule = rule == RULE_NONE ? filter_state(c, k, &b->state, finding) : rule;
  return rule == RULE_NONE ? filter_host(c, host, finding) : rule;
}

/* The rule that stops most hosts. Looks at every state: for a refusal that somebody reads. */
static bool refuse(const DemandClass *c, GError **err)
{
  if (!err)
    return false;
  int stopped[N_RULES] = {}, worst = RULE_STATE;
  const Fleet *f = c->fleet;
  for (int h = 0; h < fleet_hosts(f); h++)
    stopped[filter_on(c, h, NULL)]++;
  for (int r = RULE_NONE + 1; r < N_RULES; r++)
    worst = stopped[r] > stopped[worst] ? r : worst;
  g_autofree char *n = g_strdup_printf("%d", stopped[worst]), *of = g_strdup_printf("%d", fleet_hosts(f));
  return error_false(err, REASON_PLACE_NONE, "hosts", of, "stopped", n, "rule", rule_name(worst), NULL);
}

bool place_find(DemandClass *c, Place *ret_place, GError **err)
{
  int host = filter_fleet(c, NULL) == RULE_NONE ? best_host(c) : NO_HOST;
  if (host == NO_HOST)
    return refuse(c, err);
  place_make(c, host, ret_place);
  return true;
}

bool place_find_on(DemandClass *c, int host, Place *ret_place, GError **err)
{
  Finding finding;
  Rule rule = filter_on(c, host, &finding);
  if (rule != RULE_NONE)
    return finding_refuse(c->fleet, host, rule, &finding, err);
  place_make(c, host, ret_place);
  return true;
}

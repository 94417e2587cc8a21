/* Claims: what is taken on a host, by whom, and how it is given back. */
#include "core/placement/parts.h"

void state_take(const DemandClass *c, HostState *s, int cell, int disk)
{
  s->vcpus -= c->vcpus;
  s->memory -= c->memory;
  s->huge -= c->huge;
  if (disk >= 0)
    s->disk[disk] -= c->disk;
  if (cell == NO_CELL)
    return;
  s->cells[cell].vcpus -= c->vcpus;
  s->cells[cell].memory -= c->memory;
  s->cells[cell].huge -= c->huge;
}

static CardPart *parts_of(ClaimRow *r)
{
  return r->parts ? r->parts : &r->part;
}

/* One of the state's cards of that run goes from old to new. */
static void state_change_card(HostState *s, const HostKind *k, int card, CardState old, CardState new)
{
  int i = 0;
  while (k->run_end[i] != k->run_end[card] || !card_equal(s->cards[i], old))
    i++;
  s->cards[i] = new;
}

/* Takes (sign 1) or gives back (-1) all that row holds, in every number there is. */
static void row_apply(Fleet *f, ClaimRow *r, int sign)
{
  HostState s = bucket_of(f, r->host)->state;
  HostKind *k = kind_at(f, s.kind);
  CardState *cards = cards_of(f, r->host);
  s.vcpus -= sign * r->vcpus;
  s.memory -= sign * r->memory;
  s.huge -= sign * r->huge;
  if (r->cell != NO_CELL) {
    s.cells[r->cell].vcpus -= sign * r->vcpus;
    s.cells[r->cell].memory -= sign * r->memory;
    s.cells[r->cell].huge -= sign * r->huge;
  }
  if (r->disk_index >= 0 && k->shared[r->disk_index] >= 0)
    f->shared[k->shared[r->disk_index]].used += sign * (int64_t)r->disk;
  else if (r->disk_index >= 0)
    s.disk[r->disk_index] -= sign * r->disk;
  for (int i = 0; i < r->n_parts; i++) {
    const CardPart *p = &parts_of(r)[i];
    CardState old = cards[p->card], new = old;
    new.free -= sign * p->share;
    new.slots ^= p->slots;
    new.type = sign > 0 ? r->class->need[k->model[p->card]].type : new.free == CARD_WHOLE ? 0 : old.type;
    cards[p->card] = new;
    state_change_card(&s, k, p->card, old, new);
    f->used.cards += sign * p->share;
  }
  state_sort_cards(&s, k);
  f->used.vcpus += sign * r->vcpus;
  f->used.memory_mib += sign * r->memory;
  f->used.huge_mib += sign * r->huge;
  bucket_move(f, r->host, &s);
}

void licence_lend(const Fleet *f, const ClaimRow *r, int sign)
{
  const DemandClass *c = r->class;
  for (int i = 0; i < c->n_licences; i++)
    licence_made((Fleet *)f, c->licences[i].id)->used += sign * c->licences[i].n;
}

static void row_count(Fleet *f, const ClaimRow *r, int sign)
{
  licence_lend(f, r, sign);
  f->n_claims += sign;
  if (!r->group)
    return;
  GHashTable *members = g_hash_table_lookup(f->groups, GUINT_TO_POINTER(r->group));
  if (!members) {
    members = g_hash_table_new(NULL, NULL);
    g_hash_table_insert(f->groups, GUINT_TO_POINTER(r->group), members);
  }
  int here = GPOINTER_TO_INT(g_hash_table_lookup(members, GINT_TO_POINTER(r->host))) + sign;
  if (here)
    g_hash_table_insert(members, GINT_TO_POINTER(r->host), GINT_TO_POINTER(here));
  else
    g_hash_table_remove(members, GINT_TO_POINTER(r->host));
}

static void row_link(Fleet *f, int number)
{
  ClaimRow *r = claim_at(f, number);
  int32_t first = *i32_at(f->first_claim, r->host);
  r->host_before = -1;
  r->host_next = first;
  if (first >= 0)
    claim_edit(f, first)->host_before = number;
  *i32_at(f->first_claim, r->host) = number;
}

static void row_unlink(Fleet *f, const ClaimRow *r)
{
  if (r->host_next >= 0)
    claim_edit(f, r->host_next)->host_before = r->host_before;
  if (r->host_before >= 0)
    claim_edit(f, r->host_before)->host_next = r->host_next;
  else
    *i32_at(f->first_claim, r->host) = r->host_next;
}

static int row_new(Fleet *f)
{
  int number = f->free_claim;
  if (number >= 0) {
    f->free_claim = claim_at(f, number)->host_next;
    return number;
  }
  g_array_set_size(f->claims, f->claims->len + 1);
  return claims_len(f) - 1;
}

static void row_fill(ClaimRow *r, DemandClass *c, const Place *p, const ClaimTerms *terms)
{
  *r = (ClaimRow){ .host = p->host, .generation = r->generation + 1, .vcpus = c->vcpus, .memory = c->memory, .huge = c->huge, .disk = c->disk,
                   .disk_index = (int8_t)p->disk, .cell = (int8_t)p->cell, .n_parts = (uint8_t)p->n_cards, .group = c->group,
                   .class = demand_class_ref(c) };
  if (terms) {
    r->ends_us = terms->ends_us;
    r->movable = terms->movable;
    r->tag = terms->tag;
  }
  if (p->n_cards > 1)
    r->parts = g_new(CardPart, p->n_cards);
  for (int i = 0; i < p->n_cards; i++)
    parts_of(r)[i] = (CardPart){ (uint16_t)p->cards[i].card, (uint16_t)p->cards[i].share, p->cards[i].slots };
}

/* Of parts that are put without being asked, what is free: a card cannot have less than nothing left. */
static void row_fit(Fleet *f, ClaimRow *r)
{
  for (int i = 0; i < r->n_parts; i++) {
    CardPart *p = &parts_of(r)[i];
    CardState card = cards_of(f, r->host)[p->card];
    p->share = MIN(p->share, card.free);
    p->slots &= ~card.slots;
  }
}

bool place_fits(const DemandClass *c, const Place *p)
{
  const HostKind *k = kind_at(c->fleet, bucket_of(c->fleet, p->host)->state.kind);
  for (int i = 0; i < p->n_cards; i++) {
    const CardShare *part = &p->cards[i];
    CardState card = cards_of(c->fleet, p->host)[part->card];
    bool same = card.free == CARD_WHOLE || card.type == c->need[k->model[part->card]].type;
    if (part->share > card.free || part->slots & card.slots || !same)
      return false;
  }
  return true;
}

ClaimId place_put(DemandClass *c, const Place *p, const ClaimTerms *terms)
{
  Fleet *f = c->fleet;
  int number = row_new(f);
  ClaimRow *r = claim_edit(f, number);
  row_fill(r, c, p, terms);
  row_fit(f, r);
  row_apply(f, r, 1);
  row_count(f, r, 1);
  row_link(f, number);
  return (ClaimId){ number, r->generation };
}

bool place_claim(DemandClass *c, const Place *p, const ClaimTerms *terms, ClaimId *ret_claim, GError **err)
{
  Fleet *f = c->fleet;
  bool same = p->host >= 0 && p->host < fleet_hosts(f) && *u32_at(f->generation, p->host) == p->generation;
  if (!same || shared_full(c, p) || filter_fleet(c, NULL) != RULE_NONE || filter_host(c, p->host, NULL) != RULE_NONE)
    return error_false(err, REASON_PLACE_CHANGED, "host", p->host >= 0 && p->host < fleet_hosts(f) ? fleet_host_name(f, p->host) : "?", NULL);
  *ret_claim = place_put(c, p, terms);
  return true;
}

static ClaimRow *row_find(const Fleet *f, ClaimId id)
{
  if (id.number < 0 || id.number >= claims_len(f))
    return NULL;
  ClaimRow *r = claim_at(f, id.number);
  return r->host != NO_HOST && r->generation == id.generation ? r : NULL;
}

static ClaimRow *row_edit(const Fleet *f, ClaimId id)
{
  return row_find(f, id) ? claim_edit(f, id.number) : NULL;
}

bool place_release(Fleet *f, ClaimId id, GError **err)
{
  ClaimRow *r = row_edit(f, id);
  if (!r)
    return error_false(err, REASON_PLACE_STALE, NULL);
  row_apply(f, r, -1);
  row_count(f, r, -1);
  row_unlink(f, r);
  g_clear_pointer(&r->parts, g_free);
  DemandClass *class = g_steal_pointer(&r->class);
  r->host = NO_HOST;
  r->host_next = f->free_claim;
  f->free_claim = id.number;
  demand_class_unref(class);
  return true;
}

bool place_move(Fleet *f, ClaimId id, const Place *place, ClaimId *ret_claim, GError **err)
{
  const ClaimRow *r = row_edit(f, id);
  if (!r)
    return error_false(err, REASON_PLACE_STALE, NULL);
  ClaimTerms terms = { r->ends_us, r->movable, r->tag };
  ClaimRow lent = *r;
  licence_lend(f, &lent, -1);
  bool ok = place_claim(lent.class, place, &terms, ret_claim, err);
  licence_lend(f, &lent, 1);
  return ok && place_release(f, id, err);
}

bool place_set_movable(Fleet *f, ClaimId id, bool movable, GError **err)
{
  ClaimRow *r = row_edit(f, id);
  if (!r)
    return error_false(err, REASON_PLACE_STALE, NULL);
  r->movable = movable;
  return true;
}

bool claim_find(const Fleet *f, ClaimId id, Place *ret_place, ClaimTerms *ret_terms, DemandClass **ret_class)
{
  ClaimRow *r = row_find(f, id);
  if (!r)
    return false;
  if (ret_terms)
    *ret_terms = (ClaimTerms){ r->ends_us, r->movable, r->tag };
  if (ret_class)
    *ret_class = claim_edit(f, id.number)->class;
  if (!ret_place)
    return true;
  *ret_place = (Place){ .host = r->host, .generation = *u32_at(f->generation, r->host), .cell = r->cell, .disk = r->disk_index,
                        .n_cards = r->n_parts };
  for (int i = 0; i < r->n_parts; i++)
    ret_place->cards[i] = (CardShare){ parts_of(r)[i].card, parts_of(r)[i].share, parts_of(r)[i].slots };
  return true;
}

static ClaimId id_of(const Fleet *f, int number)
{
  return (ClaimId){ number, number >= 0 ? claim_at(f, number)->generation : 0 };
}

ClaimId claim_first(const Fleet *f, int host)
{
  return id_of(f, *i32_at(f->first_claim, host));
}

ClaimId claim_next(const Fleet *f, ClaimId claim)
{
  return id_of(f, claim_at(f, claim.number)->host_next);
}

int64_t fleet_claims(const Fleet *f)
{
  return f->n_claims;
}

HostState state_as_is(const Fleet *f, int host)
{
  HostState s = bucket_of(f, host)->state;
  memcpy(s.cards, cards_of(f, host), s.n_cards * sizeof *s.cards);
  return s;
}

void state_give(const Fleet *f, HostState *s, int number)
{
  const ClaimRow *r = claim_at(f, number);
  const HostKind *k = kind_at(f, s->kind);
  s->vcpus += r->vcpus;
  s->memory += r->memory;
  s->huge += r->huge;
  if (r->disk_index >= 0 && k->shared[r->disk_index] < 0)
    s->disk[r->disk_index] += r->disk;
  if (r->cell != NO_CELL) {
    s->cells[r->cell].vcpus += r->vcpus;
    s->cells[r->cell].memory += r->memory;
    s->cells[r->cell].huge += r->huge;
  }
  for (int i = 0; i < r->n_parts; i++) {
    const CardPart *p = r->parts ? &r->parts[i] : &r->part;
    CardState *card = &s->cards[p->card];
    card->free += p->share;
    card->slots ^= p->slots;
    card->type = card->free == CARD_WHOLE ? 0 : card->type;
  }
}

/* The nearest ways out of a refusal: a smaller part of a card, what ends first, what can be moved away. */
#include "core/placement/parts.h"

#include "core/placement/explain.h"

ENUM_DEFINE(FixKind, fix_kind, FIX_KINDS, N_FIX_KINDS)

enum { SHARES_TRIED = 3, MOVES_TRIED = 16 };

/* ── a smaller profile ────────────────────────────────────────────────────── */

typedef struct {
  const char *profile;
  int share;
} Smaller;

static int compare_smaller(const void *a, const void *b)
{
  const Smaller *x = a, *y = b;
  return x->share != y->share ? y->share - x->share : g_strcmp0(x->profile, y->profile);
}

/* Parts of the models that come into question, below what is asked for, largest first. */
static GArray *smaller_parts(const DemandClass *c)
{
  GArray *parts = g_array_new(FALSE, FALSE, sizeof(Smaller));
  for (int m = 0; m < c->fleet->n_models; m++) {
    const CardModel *model = &c->fleet->models[m];
    int most = c->need[m].share;
    for (int p = 0; p < model->n_profiles; p++) {
      Smaller one = { model->profiles[p].name, model->profiles[p].share };
      if (one.share < most)
        g_array_append_val(parts, one);
    }
    for (int n = 1; model->any_share && n <= SHARES_TRIED && most >> n; n++) {
      Smaller one = { NULL, most >> n };
      g_array_append_val(parts, one);
    }
  }
  g_array_sort(parts, compare_smaller);
  return parts;
}

static bool fix_smaller(const DemandClass *c, Fix *ret)
{
  g_autoptr(GArray) parts = smaller_parts(c);
  for (guint i = 0; c->count && i < parts->len; i++) {
    Smaller *s = &g_array_index(parts, Smaller, i);
    g_autoptr(DemandClass) other = class_with_gpu(c, s->profile, s->profile ? 0 : s->share);
    Place place;
    if (!place_find(other, &place, NULL))
      continue;
    *ret = (Fix){ .kind = FIX_SMALLER, .profile = s->profile, .share = s->share, .host = place.host };
    return true;
  }
  return false;
}

/* ── what ends first ──────────────────────────────────────────────────────── */

typedef struct {
  int64_t ends_us;
  int number;
} Ending;

static int compare_endings(const void *a, const void *b)
{
  const Ending *x = a, *y = b;
  return x->ends_us != y->ends_us ? (x->ends_us > y->ends_us ? 1 : -1) : x->number - y->number;
}

/* Claims of host that are known to end before best, soonest first. */
static void endings_of(const Fleet *f, int host, int64_t before, GArray *endings)
{
  g_array_set_size(endings, 0);
  for (int n = *i32_at(f->first_claim, host); n >= 0; n = claim_at(f, n)->host_next) {
    Ending e = { claim_at(f, n)->ends_us, n };
    if (e.ends_us && e.ends_us < before)
      g_array_append_val(endings, e);
  }
  g_array_sort(endings, compare_endings);
}

static bool kind_may(const DemandClass *c, int host)
{
  return filter_kind(c, kind_at(c->fleet, *u32_at(c->fleet->kind, host)), NULL) == RULE_NONE && filter_host(c, host, NULL) == RULE_NONE;
}

/* A demand that must be with its group loses by the end of that group's own. */
static bool of_its_group(const DemandClass *c, const ClaimRow *r)
{
  return c->group_rule == GROUP_TOGETHER && r->group == c->group;
}

static void host_ends(const DemandClass *c, int host, GArray *endings, Fix *best)
{
  const Fleet *f = c->fleet;
  endings_of(f, host, best->ends_us, endings);
  HostState s = state_as_is(f, host);
  for (guint i = 0; i < endings->len; i++) {
    const Ending *e = &g_array_index(endings, Ending, i);
    if (of_its_group(c, claim_at(f, e->number)))
      return;
    state_give(f, &s, e->number);
    if (filter_state(c, kind_at(f, s.kind), &s, NULL) != RULE_NONE)
      continue;
    ClaimId last = { e->number, claim_at(f, e->number)->generation };
    *best = (Fix){ .kind = FIX_ENDS, .claim = last, .claims = (int)i + 1, .ends_us = e->ends_us, .host = host };
    return;
  }
}

static bool fix_ends(const DemandClass *c, Fix *ret)
{
  Fix best = { .ends_us = INT64_MAX };
  g_autoptr(GArray) endings = g_array_new(FALSE, FALSE, sizeof(Ending));
  for (int h = 0; h < fleet_hosts(c->fleet); h++)
    if (kind_may(c, h))
      host_ends(c, h, endings, &best);
  *ret = best;
  return best.claims > 0;
}

/* ── what can be moved ────────────────────────────────────────────────────── */

typedef struct {
  int64_t cost;
  int number;
} Eviction;

static int compare_evictions(const void *a, const void *b)
{
  const Eviction *x = a, *y = b;
  return x->cost != y->cost ? (x->cost > y->cost ? 1 : -1) : x->number - y->number;
}

/* The cheapest few are kept, in order. */
static void eviction_keep(Eviction *best, int *n, Eviction e)
{
  if (*n == MOVES_TRIED && compare_evictions(&e, &best[*n - 1]) >= 0)
    return;
  int i = *n < MOVES_TRIED ? (*n)++ : *n - 1;
  for (; i > 0 && compare_evictions(&e, &best[i - 1]) < 0; i--)
    best[i] = best[i - 1];
  best[i] = e;
}

static void host_evictions(const DemandClass *c, int host, Eviction *best, int *n)
{
  const Fleet *f = c->fleet;
  HostState now = state_as_is(f, host);
  for (int number = *i32_at(f->first_claim, host); number >= 0; number = claim_at(f, number)->host_next) {
    const ClaimRow *r = claim_at(f, number);
    if (!r->movable || of_its_group(c, r))
      continue;
    HostState s = now;
    state_give(f, &s, number);
    if (filter_state(c, kind_at(f, s.kind), &s, NULL) == RULE_NONE)
      eviction_keep(best, n, (Eviction){ (int64_t)r->memory + r->huge, number });
  }
}

bool claim_find_elsewhere(const Fleet *f, int number, Place *ret_place)
{
  ClaimRow *r = claim_edit(f, number);
  r->class->not_host = r->host + 1;
  licence_lend(f, r, -1);
  bool found = place_find(r->class, ret_place, NULL);
  licence_lend(f, r, 1);
  r->class->not_host = 0;
  return found;
}

static bool fix_move(const DemandClass *c, Fix *ret)
{
  Eviction best[MOVES_TRIED];
  int n = 0;
  for (int h = 0; h < fleet_hosts(c->fleet); h++)
    if (kind_may(c, h))
      host_evictions(c, h, best, &n);
  for (int i = 0; i < n; i++) {
    Place to;
    const ClaimRow *r = claim_at(c->fleet, best[i].number);
    if (!claim_find_elsewhere(c->fleet, best[i].number, &to))
      continue;
    *ret = (Fix){ .kind = FIX_MOVE, .claim = { best[i].number, r->generation }, .claims = 1, .host = r->host, .to = to };
    return true;
  }
  return false;
}

GArray *fixes_new(const DemandClass *c)
{
  static bool (*const finders[N_FIX_KINDS])(const DemandClass *c, Fix *ret) = {
    [FIX_SMALLER] = fix_smaller, [FIX_ENDS] = fix_ends, [FIX_MOVE] = fix_move,
  };
  GArray *fixes = g_array_new(FALSE, FALSE, sizeof(Fix));
  Fix fix;
  for (int i = 0; filter_fleet(c, NULL) == RULE_NONE && i < N_FIX_KINDS; i++)
    if (finders[i](c, &fix))
      g_array_append_val(fixes, fix);
  return fixes;
}

/* Plans: more desktops, and moves that free a host or make room. */
#include "core/placement/parts.h"

#include "core/placement/plan.h"

enum { ROOMS_TRIED = 32, HOSTS_TRIED = 32 };

/* ── more of one class ────────────────────────────────────────────────────── */

Plan *plan_more(const Fleet *f, const DemandClass *class, int n)
{
  Plan *p = g_new0(Plan, 1);
  g_autoptr(Fleet) copy = fleet_view(f);
  g_autoptr(DemandClass) c = class_dup(class, copy);
  p->places = g_array_new(FALSE, FALSE, sizeof(Place));
  for (int i = 0; i < n && !p->why; i++) {
    Place place;
    ClaimId claim;
    if (place_find(c, &place, NULL) && place_claim(c, &place, NULL, &claim, NULL))
      g_array_append_val(p->places, place);
    else
      p->why = explain_new(c);
  }
  return p;
}

void plan_free(Plan *p)
{
  g_array_unref(p->places);
  g_clear_pointer(&p->why, explanation_free);
  g_free(p);
}

/* ── moves on a copy ──────────────────────────────────────────────────────── */

typedef struct {
  int64_t cost, size;
  int number;
} Going;

static int compare_going(const void *a, const void *b)
{
  const Going *x = a, *y = b;
  if (x->size != y->size)
    return x->size > y->size ? -1 : 1;
  return x->number - y->number;
}

static int64_t row_cost(const ClaimRow *r)
{
  return (int64_t)r->memory + r->huge;
}

/* Large ones first: by share of cards, then by memory. */
static Going going_of(const Fleet *f, int number)
{
  const ClaimRow *r = claim_at(f, number);
  int64_t share = 0;
  for (int i = 0; i < r->n_parts; i++)
    share += (r->parts ? r->parts[i] : r->part).share;
  return (Going){ row_cost(r), share * (INT64_C(1) << 32) + row_cost(r), number };
}

/* Claim of f goes from its host to the best other one; false where there is none. */
static bool move_claim(Fleet *f, int number, Move *ret_move)
{
  ClaimId fresh;
  const ClaimRow *r = claim_at(f, number);
  Move move = { .claim = { number, r->generation }, .tag = r->tag, .from = r->host, .cost_mib = row_cost(r) };
  if (!claim_find_elsewhere(f, number, &move.to) || !place_move(f, move.claim, &move.to, &fresh, NULL))
    return false;
  *ret_move = move;
  return true;
}

static void put_error(const Fleet *f, Reason reason, int number, GError **err)
{
  g_autofree char *tag = g_strdup_printf("%" G_GUINT64_FORMAT, claim_at(f, number)->tag);
  error_set(err, reason, "claim", tag, "host", fleet_host_name(f, claim_at(f, number)->host), NULL);
}

/* ── leaving a host ───────────────────────────────────────────────────────── */

static GArray *host_going(const Fleet *f, int host)
{
  GArray *going = g_array_new(FALSE, FALSE, sizeof(Going));
  for (int n = *i32_at(f->first_claim, host); n >= 0; n = claim_at(f, n)->host_next) {
    Going one = going_of(f, n);
    g_array_append_val(going, one);
  }
  g_array_sort(going, compare_going);
  return going;
}

static bool all_movable(const Fleet *f, const GArray *going, GError **err)
{
  for (guint i = 0; i < going->len; i++) {
    int number = g_array_index(going, Going, i).number;
    if (claim_at(f, number)->movable)
      continue;
    put_error(f, REASON_PLACE_NOT_MOVABLE, number, err);
    return false;
  }
  return true;
}

/* On f itself, a copy. */
static bool leave_host(Fleet *f, int host, GArray *moves, GError **err)
{
  g_autoptr(GArray) going = host_going(f, host);
  if (!all_movable(f, going, err))
    return false;
  for (guint i = 0; i < going->len; i++) {
    Move move;
    int number = g_array_index(going, Going, i).number;
    if (!move_claim(f, number, &move)) {
      put_error(f, REASON_PLACE_NOWHERE, number, err);
      return false;
    }
    g_array_append_val(moves, move);
  }
  return true;
}

GArray *plan_leave_host(const Fleet *f, int host, GError **err)
{
  g_autoptr(Fleet) copy = fleet_view(f);
  g_autoptr(GArray) moves = g_array_new(FALSE, FALSE, sizeof(Move));
  return leave_host(copy, host, moves, err) ? g_steal_pointer(&moves) : NULL;
}

GArray *plan_leave_host_partly(const Fleet *f, int host, GArray **ret_stays)
{
  g_autoptr(Fleet) copy = fleet_view(f);
  g_autoptr(GArray) going = host_going(copy, host);
  GArray *moves = g_array_new(FALSE, FALSE, sizeof(Move)), *stays = g_array_new(FALSE, FALSE, sizeof(ClaimId));
  for (guint i = 0; i < going->len; i++) {
    Move move;
    int number = g_array_index(going, Going, i).number;
    ClaimId id = { number, claim_at(copy, number)->generation };
    if (claim_at(copy, number)->movable && move_claim(copy, number, &move))
      g_array_append_val(moves, move);
    else
      g_array_append_val(stays, id);
  }
  *ret_stays = stays;
  return moves;
}

typedef struct {
  int claims, host;
  int64_t cost;
} Leaving;

static int compare_leaving(const void *a, const void *b)
{
  const Leaving *x = a, *y = b;
  if (x->claims != y->claims)
    return x->claims - y->claims;
  return x->cost != y->cost ? (x->cost > y->cost ? 1 : -1) : x->host - y->host;
}

/* Hosts in use that could be left, fewest and cheapest claims first. */
static GArray *hosts_to_leave(const Fleet *f)
{
  GArray *hosts = g_array_new(FALSE, FALSE, sizeof(Leaving));
  for (int h = 0; h < fleet_hosts(f); h++) {
    Leaving l = { 0, h, 0 };
    bool movable = true;
    for (int n = *i32_at(f->first_claim, h); n >= 0; n = claim_at(f, n)->host_next) {
      movable = movable && claim_at(f, n)->movable;
      l.claims++;
      l.cost += row_cost(claim_at(f, n));
    }
    if (l.claims && movable && kind_at(f, *u32_at(f->kind, h))->up)
      g_array_append_val(hosts, l);
  }
  g_array_sort(hosts, compare_leaving);
  return hosts;
}

static bool no_moves(int tried, GError **err)
{
  g_autofree char *n = g_strdup_printf("%d", tried);
  return error_false(err, REASON_PLACE_NO_MOVES, "tried", n, NULL);
}

int plan_empty_host(const Fleet *f)
{
  for (int h = 0; h < fleet_hosts(f); h++)
    if (*i32_at(f->first_claim, h) < 0 && kind_at(f, *u32_at(f->kind, h))->up)
      return h;
  return -1;
}

/* Nothing goes to a host that is empty: one would be free then that was not, and one that was is not, and whoever asks again would have people moved
 * for ever. */
Fleet *plan_used_hosts(const Fleet *f)
{
  Fleet *view = fleet_view(f);
  for (int h = 0; h < fleet_hosts(f); h++)
    if (*i32_at(f->first_claim, h) < 0 && kind_at(f, *u32_at(f->kind, h))->up)
      fleet_set_state(view, h, "empty");
  return view;
}

GArray *plan_free_a_host(const Fleet *f, GError **err)
{
  g_autoptr(Fleet) used = plan_used_hosts(f);
  g_autoptr(GArray) hosts = hosts_to_leave(used);
  guint n = MIN(hosts->len, HOSTS_TRIED);
  for (guint i = 0; i < n; i++) {
    GArray *moves = plan_leave_host(used, g_array_index(hosts, Leaving, i).host, NULL);
    if (moves)
      return moves;
  }
  no_moves((int)n, err);
  return NULL;
}

bool plan_move(const Fleet *f, ClaimId claim, int to, Place *ret_place, GError **err)
{
  g_autoptr(Fleet) copy = fleet_view(f);
  Finding finding;
  DemandClass *class;
  if (!claim_find(copy, claim, NULL, NULL, &class))
    return error_false(err, REASON_PLACE_STALE, NULL);
  if (to < 0 && claim_find_elsewhere(copy, claim.number, ret_place))
    return true;
  if (to >= 0 && place_find_on(class, to, ret_place, NULL))
    return true;
  if (to < 0) {
    put_error(copy, REASON_PLACE_NOWHERE, claim.number, err);
    return false;
  }
  Rule rule = explain_host(class, to, &finding);
  g_propagate_error(err, explain_error(copy, to, rule, &finding));
  return false;
}

/* ── making room ──────────────────────────────────────────────────────────── */

/* Claims of one host that have to go, so that the class fits there. */
typedef struct {
  int host, n;
  int64_t cost;
  int numbers[16];
} Room;

static int compare_rooms(const void *a, const void *b)
{
  const Room *x = a, *y = b;
  if (x->n != y->n)
    return x->n - y->n;
  return x->cost != y->cost ? (x->cost > y->cost ? 1 : -1) : x->host - y->host;
}

static bool fits_without(const DemandClass *c, int host, const Room *r, int but)
{
  HostState s = state_as_is(c->fleet, host);
  for (int i = 0; i < r->n; i++)
    if (i != but)
      state_give(c->fleet, &s, r->numbers[i]);
  return filter_state(c, kind_at(c->fleet, s.kind), &s, NULL) == RULE_NONE;
}

static void room_drop(Room *r, int i)
{
  r->numbers[i] = r->numbers[--r->n];
}

static bool may_move(const Fleet *f, int number, const MoveRule *rule)
{
  const ClaimRow *r = claim_at(f, number);
  return r->movable && (!rule || rule->may(r->tag, rule->data));
}

/* One claim that is enough alone, the cheapest; else large ones until it fits, less those that turn out not to be needed. */
static bool room_on(const DemandClass *c, int host, const MoveRule *rule, Room *ret)
{
  const Fleet *f = c->fleet;
  g_autoptr(GArray) going = host_going(f, host);
  Room many = { .host = host }, one = { .host = host, .cost = INT64_MAX };
  bool fits = false;
  for (guint i = 0; i < going->len; i++) {
    const Going *g = &g_array_index(going, Going, i);
    Room alone = { .host = host, .n = 1, .cost = g->cost, .numbers = { g->number } };
    bool with_group = c->group_rule == GROUP_TOGETHER && claim_at(f, g->number)->group == c->group;
    if (with_group || !may_move(f, g->number, rule))
      continue;
    if (alone.cost < one.cost && fits_without(c, host, &alone, -1))
      one = alone;
    if (fits || many.n == (int)G_N_ELEMENTS(many.numbers))
      continue;
    many.numbers[many.n++] = g->number;
    fits = fits_without(c, host, &many, -1);
  }
  for (int i = many.n - 1; fits && i >= 0; i--)
    if (fits_without(c, host, &many, i))
      room_drop(&many, i);
  for (int i = 0; i < many.n; i++)
    many.cost += row_cost(claim_at(f, many.numbers[i]));
  *ret = one.n ? one : many;
  return one.n || fits;
}

static GArray *rooms_new(const DemandClass *c, const MoveRule *rule)
{
  GArray *rooms = g_array_new(FALSE, FALSE, sizeof(Room));
  Room room;
  for (int h = 0; h < fleet_hosts(c->fleet); h++) {
    bool may = filter_kind(c, kind_at(c->fleet, *u32_at(c->fleet->kind, h)), NULL) == RULE_NONE && filter_host(c, h, NULL) == RULE_NONE;
    if (may && room_on(c, h, rule, &room))
      g_array_append_val(rooms, room);
  }
  g_array_sort(rooms, compare_rooms);
  return rooms;
}

/* On a copy of its own: numbers of claims are those of f. */
static GArray *room_try(const Fleet *f, const DemandClass *class, const Room *room)
{
  g_autoptr(Fleet) copy = fleet_view(f);
  g_autoptr(DemandClass) c = class_dup(class, copy);
  g_autoptr(GArray) moves = g_array_new(FALSE, FALSE, sizeof(Move));
  Place place;
  for (int i = 0; i < room->n; i++) {
    Move move;
    if (!move_claim(copy, room->numbers[i], &move))
      return NULL;
    g_array_append_val(moves, move);
  }
  return place_find_on(c, room->host, &place, NULL) ? g_steal_pointer(&moves) : NULL;
}

GArray *plan_make_room(const Fleet *f, const DemandClass *class, const MoveRule *rule, GError **err)
{
  bool fits = false;
  for (int h = 0; h < fleet_hosts(f) && !fits; h++)
    fits = filter_on(class, h, NULL) == RULE_NONE;
  if (fits)
    return g_array_new(FALSE, FALSE, sizeof(Move));
  g_autoptr(GArray) rooms = rooms_new(class, rule);
  guint n = MIN(rooms->len, ROOMS_TRIED);
  for (guint i = 0; i < n; i++) {
    GArray *moves = room_try(f, class, &g_array_index(rooms, Room, i));
    if (moves)
      return moves;
  }
  no_moves((int)n, err);
  return NULL;
}

/* What must hold for any fleet, any demands and any order of events. A scenario is a value: when it fails, hosts and events are taken
 * away for as long as it goes on failing, and what is left is printed. */
#include "core/placement/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { HOSTS_MOST = 12, EVENTS_MOST = 60, DEMANDS = 10, RUNS = 400, CLAIMS_MOST = 64 };

typedef struct {
  uint64_t state;
} Dice;

static uint32_t roll(Dice *d, uint32_t n)
{
  uint64_t x = d->state += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)(((x ^ (x >> 31)) >> 32) % n);
}

typedef enum { EVENT_PLACE, EVENT_RELEASE, EVENT_STATE, EVENT_HOST } EventKind;
static const char *const event_names[] = { "place demand", "release claim", "change state of host", "add host" };

typedef struct {
  EventKind kind;
  uint32_t which;
} Event;

typedef struct {
  uint64_t seed;      /* of hosts and demands */
  int n_hosts, n_events;
  uint32_t hosts[HOSTS_MOST];   /* a seed each, so that one may go without changing the others */
  Event events[EVENTS_MOST];
} Scenario;

/* ── a world out of numbers ───────────────────────────────────────────────── */

static const ProfileSpec same_profiles[] = { { "a-4q", 4096, 250, 0, 0 }, { "a-8q", 8192, 500, 0, 0 }, { "a-16q", 16384, 1000, 0, 0 } };
static const ProfileSpec slot_profiles[] = {
  { "m-1g", 5120, 125, 1, 0x7f }, { "m-2g", 10240, 250, 2, 0x15 }, { "m-3g", 20480, 500, 4, 0x11 }, { "m-7g", 40960, 1000, 8, 0x01 },
};
static const CardModelSpec models[] = {
  { "share", 16384, false, true, 0, NULL }, { "same", 16384, true, false, 3, same_profiles }, { "slots", 40960, false, false, 4, slot_profiles },
};
static const char *const label_sets[][3] = { { NULL }, { "rack=a", NULL }, { "rack=a", "ssd", NULL } };
static const char *const feature_sets[][3] = { { "avx", NULL }, { "avx", "avx512", NULL } };

static const char *const store_sets[][3] = { { NULL }, { "own", "san", NULL }, { "own", "nfs", NULL } };

static int add_host(Fleet *f, uint32_t seed)
{
  Dice d = { seed };
  CardSpec cards[4];
  CellSpec cells[2] = { { 8000, 8192, 2048 }, { 8000, 8192, 2048 } };
  int n_cards = (int)roll(&d, 5), n_cells = (int)roll(&d, 2) * 2;
  uint32_t model = roll(&d, 4);
  for (int i = 0; i < n_cards; i++)
    cards[i] = (CardSpec){ models[model < 3 ? model : roll(&d, 3)].name, n_cells ? (int)roll(&d, 2) : 0 };
  DiskSpec disks[2] = { { "ssd", 200, NULL, "own" }, { "net", 0, "array", "san" } };
  g_autofree char *name = g_strdup_printf("h%d-%u", fleet_hosts(f), seed);
  HostSpec spec = { .name = name, .state = "up", .vcpus = 4000 + 4000 * roll(&d, 4), .memory_mib = 4096 + 4096 * roll(&d, 4), .huge_mib = 2048 * roll(&d, 3),
                    .labels = label_sets[roll(&d, 3)], .features = feature_sets[roll(&d, 2)], .n_cells = n_cells, .cells = cells,
                    .n_cards = n_cards, .cards = cards, .n_disks = (int)roll(&d, 3), .disks = disks };
  spec.stores = store_sets[roll(&d, 3)];
  int host = -1;
  assert_true(fleet_add_host(f, &spec, &host, NULL));
  return host;
}

static DemandClass *make_demand(Fleet *f, uint64_t seed, int which)
{
  static const char *const gpu_lists[][2] = { { "share", NULL }, { "same", NULL }, { "slots", NULL } };
  static const char *const profiles[] = { "a-4q", "a-8q", "m-1g", "m-2g", "m-3g", "whole" };
  Dice d = { seed * 1000 + which };
  Demand demand = { .vcpus = 500 + 500 * roll(&d, 8), .memory_mib = 512 << roll(&d, 4), .policy = policy_of((PolicyName)roll(&d, N_POLICIES)) };
  if (roll(&d, 4)) {
    demand.gpu.count = roll(&d, 3) ? 1 : 1 + (int)roll(&d, 4);
    demand.gpu.apart = !roll(&d, 4);
    switch (roll(&d, 3)) {
    case 0: demand.gpu.profile = profiles[roll(&d, 6)]; break;
    case 1: demand.gpu.framebuffer_mib = 4096 << roll(&d, 3); break;
    case 2: demand.gpu.share = 100 + 100 * (int)roll(&d, 10); break;
    }
    demand.gpu.models = roll(&d, 4) ? NULL : gpu_lists[roll(&d, 3)];
  }
  demand.huge = !roll(&d, 6);
  demand.one_cell = !roll(&d, 4);
  demand.near = !roll(&d, 5);
  demand.disk_mib = roll(&d, 2) ? 20 * (int)roll(&d, 5) : 0;
  demand.disk_kind = roll(&d, 3) ? NULL : roll(&d, 2) ? "ssd" : "net";
  demand.stores = roll(&d, 3) ? NULL : store_sets[1 + roll(&d, 2)];
  demand.labels = roll(&d, 4) ? NULL : label_sets[roll(&d, 3)];
  demand.prefers = roll(&d, 3) ? NULL : label_sets[roll(&d, 3)];
  demand.features = roll(&d, 4) ? NULL : feature_sets[roll(&d, 2)];
  const LicenceWish licences[] = { { "cad", 1 + (int)roll(&d, 2) }, { "sim", (int)roll(&d, 3) } };
  demand.licences = licences + roll(&d, 2);
  demand.n_licences = roll(&d, 4) ? 0 : demand.licences == licences ? 1 + (int)roll(&d, 2) : 1;
  demand.group = roll(&d, 3) ? NULL : "g";
  demand.group_rule = (GroupRule)roll(&d, N_GROUP_RULES);
  DemandClass *class = demand_class(f, &demand, NULL);
  assert_non_null(class);
  return class;
}

typedef struct {
  Fleet *f;
  uint64_t seed;
  DemandClass *demands[DEMANDS];
  ClaimId claims[CLAIMS_MOST];
  int n_claims;
  char why[256];
} World;

static void world_init(World *w, const Scenario *s)
{
  *w = (World){ fleet_new(s->seed), s->seed };
  for (guint m = 0; m < G_N_ELEMENTS(models); m++)
    assert_true(fleet_add_model(w->f, &models[m], NULL));
  assert_true(fleet_add_shared(w->f, "array", "net", 300, NULL));
  fleet_put_licence(w->f, "cad", 8, 3);
  fleet_put_licence(w->f, "sim", 3, 0);
  for (int i = 0; i < s->n_hosts; i++)
    add_host(w->f, s->hosts[i]);
  int64_t weights[DEMANDS];
  for (int i = 0; i < DEMANDS; i++) {
    w->demands[i] = make_demand(w->f, s->seed, i);
    weights[i] = 1 + i;
  }
  if (s->seed % 4)
    fleet_set_mix(w->f, w->demands, weights, DEMANDS);
}

static void world_done(World *w)
{
  for (int i = 0; i < DEMANDS; i++)
    demand_class_unref(w->demands[i]);
  fleet_free(w->f);
}

static bool says(World *w, bool ok, const char *what, int n)
{
  if (!ok && !*w->why)
    g_snprintf(w->why, sizeof w->why, "%s (%d)", what, n);
  return ok;
}

/* ── the properties ───────────────────────────────────────────────────────── */

static bool adds_up(World *w)
{
  g_autofree char *why = NULL;
  return fleet_check(w->f, &why) || says(w, false, why, 0);
}

/* Explanation and placement say the same of every host, and together the same of the fleet. */
static bool explain_agrees(World *w, DemandClass *class, bool found, const Place *place)
{
  bool any = false;
  for (int h = 0; h < fleet_hosts(w->f); h++) {
    Place on;
    Finding finding;
    bool fits = explain_host(class, h, &finding) == RULE_NONE;
    if (!says(w, fits == place_find_on(class, h, &on, NULL), "explain and place differ on a host", h) || (fits && !says(w, on.host == h, "another host", h)))
      return false;
    if (found && h == place->host && !says(w, fits, "the chosen host does not fit", h))
      return false;
    any = any || fits;
  }
  return says(w, any == found, "explain finds room where place does not, or the other way round", any);
}

/* On a copy with one host more, what had a place still has one; and the copy decides as the fleet does. */
static bool one_more_host_helps(World *w, uint32_t which, bool found, const Place *place)
{
  g_autoptr(Fleet) copy = fleet_dup(w->f);
  g_autofree char *why = NULL;
  if (!fleet_check(copy, &why))
    return says(w, false, why, 1);
  Place other = { .host = -1 };
  g_autoptr(DemandClass) class = make_demand(copy, w->seed, (int)(which % DEMANDS));
  bool same = place_find(class, &other, NULL) == found;
  if (!says(w, same && (!found || other.host == place->host), "a copy of the fleet decides otherwise", other.host))
    return false;
  add_host(copy, which);
  return !found || says(w, place_find(class, &other, NULL), "a host more took the place away", 0);
}

/* ── plans ────────────────────────────────────────────────────────────────── */

static bool explanation_counts(World *w, DemandClass *class, bool found)
{
  g_autoptr(Explanation) e = explain_new(class);
  int fit = 0, stopped = 0, lines = 0;
  Finding finding;
  for (int h = 0; h < fleet_hosts(w->f); h++)
    fit += explain_host(class, h, &finding) == RULE_NONE;
  for (guint i = 0; i < e->stopped->len; i++)
    stopped += g_array_index(e->stopped, Stopped, i).n;
  g_autofree char *text = explanation_text(w->f, e, LANG_EN, 0);
  for (const char *at = text; *at; at++)
    lines += *at == '\n';
  return says(w, e->fit == fit && e->hosts == fleet_hosts(w->f) && fit + stopped == e->hosts, "an explanation does not count its hosts", stopped) &&
         says(w, lines >= 1 && lines <= 20, "an explanation is longer than a screen", lines) && says(w, !found || !e->fixes->len, "a fix for nothing", 0);
}

/* All that end on the host until then, gone. */
static void end_until(Fleet *f, int host, int64_t until_us)
{
  ClaimTerms terms;
  for (ClaimId id = claim_first(f, host), next; id.number >= 0; id = next) {
    next = claim_next(f, id);
    if (claim_find(f, id, NULL, &terms, NULL) && terms.ends_us && terms.ends_us <= until_us)
      place_release(f, id, NULL);
  }
}

static bool fix_works(World *w, const Fix *fix, uint32_t which)
{
  g_autoptr(Fleet) copy = fleet_dup(w->f);
  g_autoptr(DemandClass) class = make_demand(copy, w->seed, (int)(which % DEMANDS));
  ClaimId fresh;
  ClaimTerms terms;
  Place place;
  switch (fix->kind) {
  case FIX_SMALLER: return true;
  case FIX_ENDS: end_until(copy, fix->host, fix->ends_us); break;
  case FIX_MOVE:
    if (!claim_find(copy, fix->claim, NULL, &terms, NULL) || !terms.movable || !place_move(copy, fix->claim, &fix->to, &fresh, NULL))
      return says(w, false, "a fix's move is refused", fix->to.host);
    break;
  case N_FIX_KINDS: return false;
  }
  return says(w, place_find_on(class, fix->host, &place, NULL), "a fix does not help", (int)fix->kind);
}

static bool fixes_work(World *w, DemandClass *class, uint32_t which)
{
  g_autoptr(Explanation) e = explain_new(class);
  bool ok = true;
  for (guint i = 0; ok && i < e->fixes->len; i++)
    ok = fix_works(w, &g_array_index(e->fixes, Fix, i), which);
  return ok;
}

/* The places of a plan are taken one after the other on the fleet it was made for. */
static bool plan_holds(World *w, DemandClass *class, uint32_t which)
{
  g_autoptr(Plan) p = plan_more(w->f, class, 4);
  g_autoptr(Fleet) copy = fleet_dup(w->f);
  g_autoptr(DemandClass) c = make_demand(copy, w->seed, (int)(which % DEMANDS));
  ClaimId claim;
  bool ok = says(w, (p->places->len == 4) == !p->why, "a plan is short and does not say why", (int)p->places->len);
  for (guint i = 0; ok && i < p->places->len; i++)
    ok = says(w, place_claim(c, &g_array_index(p->places, Place, i), NULL, &claim, NULL), "a planned claim is refused", (int)i);
  g_autofree char *why = NULL;
  return ok && (fleet_check(copy, &why) || says(w, false, why, 2));
}

static bool apply_moves(World *w, Fleet *f, const GArray *moves)
{
  bool ok = true;
  g_autofree char *why = NULL;
  for (guint i = 0; ok && i < moves->len; i++) {
    const Move *m = &g_array_index(moves, Move, i);
    ClaimId fresh;
    ClaimTerms terms;
    ok = says(w, claim_find(f, m->claim, NULL, &terms, NULL) && terms.movable, "a move of what cannot be moved", (int)i) &&
         says(w, m->to.host != m->from && place_move(f, m->claim, &m->to, &fresh, NULL), "a planned move is refused", (int)i);
  }
  return ok && (fleet_check(f, &why) || says(w, false, why, 3));
}

typedef struct {
  int host, share;
  ClaimId id;
} Packed;

static int compare_packed(const void *a, const void *b)
{
  const Packed *x = a, *y = b;
  return x->share != y->share ? y->share - x->share : x->id.number - y->id.number;
}

/* What an empty-and-fill-again would move: the demand first, then all that is movable, large ones first, each on the first host that
 * takes it. -1 where that leaves somebody without a place. */
static int repack_moves(const Fleet *from, uint64_t seed, uint32_t which)
{
  g_autoptr(Fleet) f = fleet_dup(from);
  g_autoptr(DemandClass) first = make_demand(f, seed, (int)(which % DEMANDS));
  g_autoptr(GPtrArray) classes = g_ptr_array_new_with_free_func((GDestroyNotify)demand_class_unref);
  Packed packed[CLAIMS_MOST + 1] = { { -1, INT32_MAX, {} } };
  int n = 1, moves = 0;
  g_ptr_array_add(classes, demand_class_ref(first));
  for (int h = 0; h < fleet_hosts(f); h++)
    for (ClaimId id = claim_first(f, h); id.number >= 0; id = claim_next(f, id)) {
      Place p;
      ClaimTerms terms;
      claim_find(f, id, &p, &terms, NULL);
      int share = 0;
      for (int i = 0; i < p.n_cards; i++)
        share += p.cards[i].share;
      if (terms.movable)
        packed[n++] = (Packed){ h, share, id };
    }
  qsort(packed, (size_t)n, sizeof *packed, compare_packed);
  for (int i = 1; i < n; i++) {
    DemandClass *class;
    claim_find(f, packed[i].id, NULL, NULL, &class);
    g_ptr_array_add(classes, demand_class_ref(class));
    place_release(f, packed[i].id, NULL);
  }
  for (int i = 0; i < n; i++) {
    Place p = { .host = -1 };
    ClaimId id;
    for (int h = 0; h < fleet_hosts(f) && p.host < 0; h++)
      if (!place_find_on(classes->pdata[i], h, &p, NULL))
        p.host = -1;
    if (p.host < 0 || !place_claim(classes->pdata[i], &p, NULL, &id, NULL))
      return -1;
    moves += i && p.host != packed[i].host;
  }
  return moves;
}

/* No move of a plan could be left out. (A demand with a group can find room by what a move does to its group.) */
static bool moves_are_needed(World *w, uint32_t which, const GArray *moves)
{
  for (guint out = 0; out < moves->len; out++) {
    g_autoptr(Fleet) copy = fleet_dup(w->f);
    g_autoptr(DemandClass) c = make_demand(copy, w->seed, (int)(which % DEMANDS));
    bool applied = true;
    for (guint i = 0; i < moves->len; i++) {
      ClaimId fresh;
      Place to = g_array_index(moves, Move, i).to;
      to.generation = fleet_host_generation(copy, to.host);
      applied = applied && (i == out || place_move(copy, g_array_index(moves, Move, i).claim, &to, &fresh, NULL));
    }
    Place place;
    if (applied && place_find(c, &place, NULL))
      return says(w, false, "a move was not needed", (int)out);
  }
  return true;
}

static bool rebalance_holds(World *w, DemandClass *class, uint32_t which, int64_t *tally)
{
  g_autoptr(GArray) moves = plan_make_room(w->f, class, NULL, NULL);
  int repack = repack_moves(w->f, w->seed, which);
  if (!moves) {
    tally[0] += repack >= 0;
    return true;
  }
  tally[1] += moves->len > 0;
  if (!says(w, repack < 0 || (int)moves->len <= repack, "a first-fit repack needs fewer moves", repack))
    return false;
  g_autoptr(Fleet) copy = fleet_dup(w->f);
  g_autoptr(DemandClass) c = make_demand(copy, w->seed, (int)(which % DEMANDS));
  Place place;
  return moves_are_needed(w, which, moves) && apply_moves(w, copy, moves) && says(w, place_find(c, &place, NULL), "the moves made no room", (int)moves->len);
}

static bool leaving_holds(World *w, int host)
{
  g_autoptr(GArray) moves = plan_leave_host(w->f, host, NULL);
  g_autoptr(Fleet) copy = fleet_dup(w->f);
  return !moves || (apply_moves(w, copy, moves) && says(w, claim_first(copy, host).number < 0, "a host that was left is not empty", host));
}

static bool same_place(const Place *a, const Place *b)
{
  bool same = a->host == b->host && a->cell == b->cell && a->disk == b->disk && a->n_cards == b->n_cards;
  for (int i = 0; same && i < a->n_cards; i++)
    same = a->cards[i].card == b->cards[i].card && a->cards[i].share == b->cards[i].share && a->cards[i].slots == b->cards[i].slots;
  return same;
}

static bool equal_sums(FleetSum a, FleetSum b)
{
  return a.vcpus == b.vcpus && a.memory_mib == b.memory_mib && a.huge_mib == b.huge_mib && a.cards == b.cards;
}

/* Taking and giving back leaves everything as it was but the generation, and a stale place or claim is refused. */
static bool release_restores(World *w, DemandClass *class, const Place *place)
{
  ClaimId claim, second;
  Place again;
  FleetSum before = fleet_used(w->f, place->host);
  if (!says(w, place_claim(class, place, NULL, &claim, NULL), "what was found could not be claimed", place->host))
    return false;
  g_autoptr(GError) stale = NULL;
  if (!says(w, !place_claim(class, place, NULL, &second, &stale) && error_is(stale, REASON_PLACE_CHANGED), "one place was taken twice", place->host))
    return false;
  if (!adds_up(w) || !says(w, place_release(w->f, claim, NULL) && !place_release(w->f, claim, NULL), "released twice, or not at all", place->host))
    return false;
  bool back = equal_sums(before, fleet_used(w->f, place->host)) && place_find_on(class, place->host, &again, NULL) && same_place(place, &again);
  return says(w, back, "a release did not restore the host", place->host) && adds_up(w);
}

/* Where moves made room, and where only a repack would have. */
static int64_t tally[2];

static bool event_place(World *w, uint32_t which)
{
  Place place = { .host = -1 };
  DemandClass *class = w->demands[which % DEMANDS];
  bool found = place_find(class, &place, NULL);
  if (!explain_agrees(w, class, found, &place) || !one_more_host_helps(w, which, found, &place))
    return false;
  if (!explanation_counts(w, class, found) || !fixes_work(w, class, which) || !plan_holds(w, class, which) || !rebalance_holds(w, class, which, tally))
    return false;
  if (fleet_hosts(w->f) && !leaving_holds(w, (int)(which % (uint32_t)fleet_hosts(w->f))))
    return false;
  if (!found)
    return true;
  if (!release_restores(w, class, &place))
    return false;
  if (w->n_claims == CLAIMS_MOST || !says(w, place_find(class, &place, NULL), "room went away by a claim that was given back", 0))
    return w->n_claims == CLAIMS_MOST;
  ClaimTerms terms = { which % 5 ? 1000000 * (int64_t)(1 + which) : 0, which % 3 != 0, which };
  return says(w, place_claim(class, &place, &terms, &w->claims[w->n_claims++], NULL), "not claimed", place.host) && adds_up(w);
}

static bool event_release(World *w, uint32_t which)
{
  if (!w->n_claims)
    return true;
  int at = (int)(which % (uint32_t)w->n_claims);
  bool ok = place_release(w->f, w->claims[at], NULL);
  w->claims[at] = w->claims[--w->n_claims];
  return says(w, ok, "a claim could not be released", at) && adds_up(w);
}

static bool event_run(World *w, const Event *e)
{
  switch (e->kind) {
  case EVENT_PLACE: return event_place(w, e->which);
  case EVENT_RELEASE: return event_release(w, e->which);
  case EVENT_STATE:
    if (fleet_hosts(w->f))
      fleet_set_state(w->f, (int)(e->which % (uint32_t)fleet_hosts(w->f)), e->which & 1 ? "draining" : "up");
    return adds_up(w);
  case EVENT_HOST: return add_host(w->f, e->which) >= 0 && adds_up(w);
  }
  return false;
}

static bool scenario_holds(const Scenario *s, char *why)
{
  World w;
  world_init(&w, s);
  bool ok = true;
  for (int i = 0; ok && i < s->n_events; i++)
    ok = event_run(&w, &s->events[i]);
  g_strlcpy(why, w.why, sizeof w.why);
  world_done(&w);
  return ok;
}

/* ── smaller and smaller ──────────────────────────────────────────────────── */

static Scenario without_events(const Scenario *s, int from, int n)
{
  Scenario t = *s;
  memmove(&t.events[from], &t.events[from + n], (size_t)(t.n_events - from - n) * sizeof *t.events);
  t.n_events -= n;
  return t;
}

static Scenario without_host(const Scenario *s, int host)
{
  Scenario t = *s;
  memmove(&t.hosts[host], &t.hosts[host + 1], (size_t)(t.n_hosts - host - 1) * sizeof *t.hosts);
  t.n_hosts--;
  return t;
}

static bool shrink_once(Scenario *s, char *why)
{
  for (int n = s->n_events / 2; n >= 1; n /= 2)
    for (int from = 0; from + n <= s->n_events; from++) {
      Scenario t = without_events(s, from, n);
      if (!scenario_holds(&t, why)) {
        *s = t;
        return true;
      }
    }
  for (int h = 0; h < s->n_hosts; h++) {
    Scenario t = without_host(s, h);
    if (!scenario_holds(&t, why)) {
      *s = t;
      return true;
    }
  }
  return false;
}

static void scenario_print(const Scenario *s, const char *why)
{
  print_error("seed %" G_GUINT64_FORMAT ": %s; %d hosts:", s->seed, why, s->n_hosts);
  for (int i = 0; i < s->n_hosts; i++)
    print_error(" %u", s->hosts[i]);
  for (int i = 0; i < s->n_events; i++)
    print_error("\n  %s %u", event_names[s->events[i].kind], s->events[i].which);
  print_error("\n");
}

static Scenario scenario_make(uint64_t seed)
{
  Dice d = { seed };
  Scenario s = { .seed = seed, .n_hosts = 1 + (int)roll(&d, HOSTS_MOST), .n_events = 10 + (int)roll(&d, EVENTS_MOST - 10) };
  for (int i = 0; i < s.n_hosts; i++)
    s.hosts[i] = roll(&d, 6);
  for (int i = 0; i < s.n_events; i++) {
    uint32_t kind = roll(&d, 12);
    s.events[i] = (Event){ kind < 7 ? EVENT_PLACE : kind < 10 ? EVENT_RELEASE : kind < 11 ? EVENT_STATE : EVENT_HOST, roll(&d, 1000) };
  }
  return s;
}

static void properties_hold_for_any_scenario(void **state)
{
  char why[256];
  for (uint64_t seed = 1; seed <= RUNS; seed++) {
    Scenario s = scenario_make(seed);
    if (scenario_holds(&s, why))
      continue;
    while (shrink_once(&s, why))
      ;
    scenario_holds(&s, why);
    scenario_print(&s, why);
    fail();
  }
  print_message("moves made room %d times; %d times only a repack of everything would have\n", (int)tally[1], (int)tally[0]);
  assert_true(tally[1] > 50);
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(properties_hold_for_any_scenario) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

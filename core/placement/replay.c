/* Recorded demand again, on more or fewer hosts. */
#include "core/placement/replay.h"

#include "core/placement/parts.h"
#include "core/placement/trace.h"

#include <string.h>

/* ── virtual time ─────────────────────────────────────────────────────────── */

typedef enum { WAITS_PLACE, WAITS_POOL, WAITS_SEATS } WaitsFor;

/* Somebody goes: with a desktop, or out of the line. */
typedef struct {
  int64_t at_us;
  ClaimId claim;
  int host;         /* NO_HOST: nothing was claimed for it */
  guint demand;
  bool gives_up;
} Leaving;

/* Of each demand. */
typedef struct {
  uint8_t waiting;
  uint8_t why;      /* WaitsFor, the last time it was tried */
} Asked;

/* Those who wait for the same classes, oldest first. */
typedef struct {
  GArray *waiting;      /* guint, of demands: some of them gave up since */
  guint first;          /* those before it are served or gone */
  GSequenceIter *place; /* among the lines, by its oldest; NULL: nobody waits */
} Line;

/* What a host, or a card, was used, times time. */
typedef struct {
  int64_t since_us;
  double vcpus_us, memory_us, cards_us[CARDS_MOST];
} HostTime;

typedef struct {
  const ReplayTerms *terms;
  Fleet *f;
  GArray *demands;        /* ReplayDemand by arrival */
  GArray *leaving;        /* Leaving, a heap, soonest first */
  GHashTable *lines;      /* classes → Line */
  GSequence *queue;       /* lines that somebody waits in, the one with the oldest first */
  int n_waiting;
  GArray *waits;          /* int64_t of those placed */
  HostTime *hosts;
  int *held;              /* desktops of each pool */
  int64_t *seats;         /* held of each licence */
  Asked *asked;           /* of each demand */
  FleetSum capacity;
  int64_t begin_us, now_us;
  double used_us;         /* integral of used share over time */
  ReplayResult r;
} Replay;

static void line_free(void *data)
{
  g_array_unref(((Line *)data)->waiting);
  g_free(data);
}

static void replay_done(Replay *p)
{
  GArray *arrays[] = { p->leaving, p->waits };
  g_clear_pointer(&p->queue, g_sequence_free);
  g_clear_pointer(&p->lines, g_hash_table_unref);
  for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
    if (arrays[i])
      g_array_unref(arrays[i]);
  g_free(p->hosts);
  g_free(p->held);
  g_free(p->seats);
  g_free(p->asked);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Replay, replay_done)

static const ReplayDemand *demand_at(const Replay *p, guint i)
{
  return &g_array_index(p->demands, ReplayDemand, i);
}

static Leaving *leaving_at(const Replay *p, guint i)
{
  return &g_array_index(p->leaving, Leaving, i);
}

/* At the same moment whoever has something goes first: who waits may get it. */
static bool goes_before(const Leaving *a, const Leaving *b)
{
  return a->at_us != b->at_us ? a->at_us < b->at_us : a->gives_up < b->gives_up;
}

static void leaving_push(Replay *p, Leaving l)
{
  g_array_append_val(p->leaving, l);
  guint i = p->leaving->len - 1;
  for (; i && goes_before(&l, leaving_at(p, (i - 1) / 2)); i = (i - 1) / 2)
    *leaving_at(p, i) = *leaving_at(p, (i - 1) / 2);
  *leaving_at(p, i) = l;
}

static Leaving leaving_pop(Replay *p)
{
  Leaving top = *leaving_at(p, 0), last = *leaving_at(p, p->leaving->len - 1);
  g_array_set_size(p->leaving, p->leaving->len - 1);
  guint n = p->leaving->len, i = 0;
  for (guint child = 1; child < n; child = 2 * i + 1) {
    child += child + 1 < n && goes_before(leaving_at(p, child + 1), leaving_at(p, child));
    if (!goes_before(leaving_at(p, child), &last))
      break;
    *leaving_at(p, i) = *leaving_at(p, child);
    i = child;
  }
  if (n)
    *leaving_at(p, i) = last;
  return top;
}

static double used_pct(const Replay *p)
{
  FleetSum used = fleet_used(p->f, -1);
  if (p->capacity.cards)
    return 100.0 * (double)used.cards / (double)p->capacity.cards;
  return p->capacity.vcpus ? 100.0 * (double)used.vcpus / (double)p->capacity.vcpus : 0;
}

/* Time goes on to at_us; what is in use until then is counted and drawn. */
static void pass_time(Replay *p, int64_t at_us)
{
  double used = used_pct(p);
  int64_t step = MAX(1, p->r.span_us / REPLAY_POINTS), end = p->begin_us + p->r.span_us;
  for (int64_t i = (p->now_us - p->begin_us + step - 1) / step; i < REPLAY_POINTS && p->begin_us + i * step < at_us; i++) {
    p->r.used_at[i] = used;
    p->r.waiting_at[i] = p->n_waiting;
  }
  p->used_us += used * (double)MAX(0, MIN(at_us, end) - MIN(p->now_us, end));
  p->now_us = at_us;
}

/* What a host was used since it was looked at last: asked before anything of it changes. */
static void host_pass_time(Replay *p, int host)
{
  HostTime *t = &p->hosts[host];
  int64_t end = p->begin_us + p->r.span_us;
  double passed_us = (double)MAX(0, MIN(p->now_us, end) - MIN(t->since_us, end));
  FleetSum used = fleet_used(p->f, host);
  t->vcpus_us += passed_us * (double)used.vcpus;
  t->memory_us += passed_us * (double)used.memory_mib;
  for (int card = 0; card < fleet_host_cards(p->f, host); card++)
    t->cards_us[card] += passed_us * (CARD_WHOLE - fleet_card_free(p->f, host, card));
  t->since_us = p->now_us;
}

/* ── who comes, waits and goes ────────────────────────────────────────────── */

static bool pool_is_full(const Replay *p, const ReplayDemand *d)
{
  return d->pool >= 0 && d->classes->len && p->held[d->pool] >= p->terms->most[d->pool];
}

static bool seats_fit(const Replay *p, const ReplayDemand *d)
{
  for (guint i = 0; d->seats && i < d->seats->len; i++) {
    const ReplaySeats *s = &g_array_index(d->seats, ReplaySeats, i);
    if (p->seats[s->licence] + s->n > p->terms->seats[s->licence])
      return false;
  }
  return true;
}

static void seats_change(Replay *p, const ReplayDemand *d, int sign)
{
  for (guint i = 0; d->seats && i < d->seats->len; i++) {
    const ReplaySeats *s = &g_array_index(d->seats, ReplaySeats, i);
    p->seats[s->licence] += sign * s->n;
  }
}

static bool find_place(const ReplayDemand *d, Place *ret_place, DemandClass **ret_class)
{
  for (guint i = 0; i < d->classes->len; i++)
    if (place_find(d->classes->pdata[i], ret_place, NULL)) {
      *ret_class = d->classes->pdata[i];
      return true;
    }
  return false;
}

/* What it has to wait for now; places are asked for last of those who wait, as seats cost less to look at. */
static bool may_place(Replay *p, guint demand, bool comes, Place *ret_place, DemandClass **ret_class)
{
  const ReplayDemand *d = demand_at(p, demand);
  Asked *asked = &p->asked[demand];
  bool full = pool_is_full(p, d), seats = seats_fit(p, d);
  *ret_class = NULL;
  asked->why = full ? WAITS_POOL : WAITS_SEATS;
  if (full || (!seats && !comes))
    return false;
  asked->why = d->classes->len && !find_place(d, ret_place, ret_class) ? WAITS_PLACE : WAITS_SEATS;
  return seats && asked->why != WAITS_PLACE;
}

static bool try_place(Replay *p, guint demand, bool comes)
{
  const ReplayDemand *d = demand_at(p, demand);
  Leaving l = { .at_us = p->now_us + d->lasts_us, .host = NO_HOST, .demand = demand };
  Place place;
  DemandClass *class;
  if (!may_place(p, demand, comes, &place, &class))
    return false;
  if (class) {
    host_pass_time(p, place.host);
    l.host = place.host;
    bool taken = place_claim(class, &place, NULL, &l.claim, NULL);
    g_assert(taken); /* it was just found */
    if (d->pool >= 0)
      p->held[d->pool]++;
  }
  seats_change(p, d, 1);
  int64_t waited = p->now_us - d->from_us;
  g_array_append_val(p->waits, waited);
  if (d->lasts_us)
    leaving_push(p, l);
  return true;
}

static void give_up(Replay *p, guint demand)
{
  p->r.denied++;
  p->r.denied_full += p->asked[demand].why == WAITS_POOL;
  p->r.denied_seats += p->asked[demand].why == WAITS_SEATS;
}

static guint line_first(const Line *line)
{
  return g_array_index(line->waiting, guint, line->first);
}

static gint compare_lines(gconstpointer a, gconstpointer b, gpointer data)
{
  guint x = line_first(a), y = line_first(b);
  return (x > y) - (x < y);
}

static void line_add(Replay *p, guint demand)
{
  gpointer classes = demand_at(p, demand)->classes;
  Line *line = g_hash_table_lookup(p->lines, classes);
  if (!line) {
    line = g_new0(Line, 1);
    line->waiting = g_array_new(FALSE, FALSE, sizeof(guint));
    g_hash_table_insert(p->lines, classes, line);
  }
  g_array_append_val(line->waiting, demand);
  p->asked[demand].waiting = true;
  p->n_waiting++;
  if (!line->place)
    line->place = g_sequence_insert_sorted(p->queue, line, compare_lines, NULL);
}

/* The oldest of it is served or gone: the line stands where its next one does. */
static void line_drop(Line *line)
{
  if (++line->first < line->waiting->len) {
    g_sequence_sort_changed(line->place, compare_lines, NULL);
    return;
  }
  g_sequence_remove(g_steal_pointer(&line->place));
  g_array_set_size(line->waiting, line->first = 0);
}

static void stop_waiting(Replay *p, guint demand)
{
  p->asked[demand].waiting = false;
  p->n_waiting--;
}

/* Who waits (of that pool; -1: of all) is served in the order of coming; a class that found no place now is not asked for again in this turn. */
static void serve_queue(Replay *p, int pool)
{
  GSequenceIter *refused = NULL; /* all up to it found no place */
  for (;;) {
    GSequenceIter *at = refused ? g_sequence_iter_next(refused) : g_sequence_get_begin_iter(p->queue);
    if (g_sequence_iter_is_end(at))
      return;
    Line *line = g_sequence_get(at);
    guint first = line_first(line);
    bool gone = !p->asked[first].waiting, other = pool >= 0 && demand_at(p, first)->pool != pool;
    if (!gone && (other || !try_place(p, first, false))) {
      refused = at;
      continue;
    }
    if (!gone)
      stop_waiting(p, first);
    line_drop(line);
  }
}

static void leave(Replay *p, const Leaving *l)
{
  const ReplayDemand *d = demand_at(p, l->demand);
  bool waits = l->gives_up && p->asked[l->demand].waiting;
  if (waits) {
    give_up(p, l->demand);
    stop_waiting(p, l->demand);
  }
  if (l->gives_up)
    return;
  seats_change(p, d, -1);
  if (l->host != NO_HOST && !d->keeps) {
    host_pass_time(p, l->host);
    place_release(p->f, l->claim, NULL);
    p->held[MAX(d->pool, 0)] -= d->pool >= 0;
  }
  if (d->pool >= 0 && !d->seats) /* its desktop comes back to its pool before it makes room for others; seats are nobody's */
    serve_queue(p, d->pool);
  serve_queue(p, -1);
}

static void leave_until(Replay *p, int64_t at_us)
{
  while (p->leaving->len && leaving_at(p, 0)->at_us <= at_us) {
    Leaving l = leaving_pop(p);
    pass_time(p, l.at_us);
    leave(p, &l);
  }
  pass_time(p, at_us);
}

static void arrive(Replay *p, guint demand)
{
  const ReplayDemand *d = demand_at(p, demand);
  leave_until(p, d->from_us);
  if (try_place(p, demand, true))
    return;
  int64_t waits_us = p->asked[demand].why == WAITS_SEATS ? d->waits_seats_us : d->waits_us;
  if (waits_us <= 0) {
    give_up(p, demand);
    return;
  }
  line_add(p, demand);
  if (waits_us < REPLAY_FOR_EVER - d->from_us)
    leaving_push(p, (Leaving){ .at_us = d->from_us + waits_us, .host = NO_HOST, .demand = demand, .gives_up = true });
}

/* ── what was used ────────────────────────────────────────────────────────── */

static void use_clear(void *use)
{
  g_free(((ReplayUse *)use)->host);
  g_free(((ReplayUse *)use)->model);
}

static double share_pct(double used_us, int64_t capacity, int64_t span_us)
{
  return capacity > 0 && span_us > 0 ? 100.0 * used_us / ((double)capacity * (double)span_us) : 0;
}

typedef struct {
  int host;
  double used_us;
} Rank;

static int compare_ranks(const void *a, const void *b)
{
  const Rank *x = a, *y = b;
  return x->used_us != y->used_us ? (x->used_us < y->used_us ? 1 : -1) : x->host - y->host;
}

static double cards_us(const HostTime *t)
{
  double sum = 0;
  for (int card = 0; card < CARDS_MOST; card++)
    sum += t->cards_us[card];
  return sum;
}

static void host_uses(Replay *p, int host, GArray *uses)
{
  const HostTime *t = &p->hosts[host];
  FleetSum capacity = fleet_capacity(p->f, host);
  ReplayUse whole = { g_strdup(fleet_host_name(p->f, host)), NULL, -1, share_pct(t->vcpus_us, capacity.vcpus, p->r.span_us),
                      share_pct(t->memory_us, capacity.memory_mib, p->r.span_us), share_pct(cards_us(t), capacity.cards, p->r.span_us) };
  g_array_append_val(uses, whole);
  for (int card = 0; card < fleet_host_cards(p->f, host); card++) {
    ReplayUse one = { g_strdup(whole.host), g_strdup(fleet_card_model(p->f, host, card)), card, 0, 0,
                      share_pct(t->cards_us[card], CARD_WHOLE, p->r.span_us) };
    one.model[strcspn(one.model, "\x1f")] = 0;
    g_array_append_val(uses, one);
  }
}

static GArray *uses_new(Replay *p)
{
  GArray *uses = g_array_new(FALSE, FALSE, sizeof(ReplayUse));
  g_array_set_clear_func(uses, use_clear);
  g_autoptr(GArray) ranks = g_array_new(FALSE, FALSE, sizeof(Rank));
  for (int host = 0; host < fleet_hosts(p->f); host++) {
    if (!fleet_host_is_up(p->f, host))
      continue;
    host_pass_time(p, host);
    Rank rank = { host, p->capacity.cards ? cards_us(&p->hosts[host]) : p->hosts[host].vcpus_us };
    g_array_append_val(ranks, rank);
  }
  g_array_sort(ranks, compare_ranks);
  for (guint i = 0; i < ranks->len; i++)
    host_uses(p, g_array_index(ranks, Rank, i).host, uses);
  return uses;
}

/* ── played ───────────────────────────────────────────────────────────────── */

static int compare_arrivals(const void *a, const void *b)
{
  const ReplayDemand *x = a, *y = b;
  return (x->from_us > y->from_us) - (x->from_us < y->from_us);
}

static void demand_clear(void *demand)
{
  ReplayDemand *d = demand;
  g_ptr_array_unref(d->classes);
  if (d->seats)
    g_array_unref(d->seats);
}

GArray *replay_demands_new(void)
{
  GArray *demands = g_array_new(FALSE, FALSE, sizeof(ReplayDemand));
  g_array_set_clear_func(demands, demand_clear);
  return demands;
}

/* Hosts that take nothing are no part of what could be used. */
static void count_hosts(Replay *p)
{
  p->r.hosts = p->r.cards = 0;
  for (int host = 0; host < fleet_hosts(p->f); host++) {
    if (!fleet_host_is_up(p->f, host))
      continue;
    FleetSum one = fleet_capacity(p->f, host);
    p->capacity.vcpus += one.vcpus;
    p->capacity.cards += one.cards;
    p->r.hosts++;
    p->r.cards += fleet_host_cards(p->f, host);
  }
}

static void replay_begin(Replay *p, Fleet *f, GArray *demands, const ReplayTerms *terms)
{
  *p = (Replay){ .terms = terms, .f = f, .demands = demands };
  g_array_sort(demands, compare_arrivals);
  p->leaving = g_array_new(FALSE, FALSE, sizeof(Leaving));
  p->lines = g_hash_table_new_full(NULL, NULL, NULL, line_free);
  p->queue = g_sequence_new(NULL);
  p->waits = g_array_new(FALSE, FALSE, sizeof(int64_t));
  p->hosts = g_new0(HostTime, fleet_hosts(f) + 1);
  p->held = g_new0(int, terms->n_pools + 1);
  p->seats = g_new0(int64_t, terms->n_licences + 1);
  p->asked = g_new0(Asked, demands->len);
  p->begin_us = p->now_us = demand_at(p, 0)->from_us;
  for (int host = 0; host < fleet_hosts(f); host++)
    p->hosts[host].since_us = p->begin_us;
  p->r = (ReplayResult){ .hosts_pct = 100, .arrived = demands->len, .begin_us = p->begin_us };
  count_hosts(p);
  p->r.span_us = MAX(REPLAY_POINTS, demand_at(p, demands->len - 1)->from_us - p->begin_us); /* of a single moment: what is used then */
}

static int compare_waits(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* The wait that pct % of those placed did not exceed. */
static int64_t wait_at(const Replay *p, int pct)
{
  guint n = p->waits->len;
  return n ? g_array_index(p->waits, int64_t, MIN(n - 1, n * pct / 100)) : 0;
}

static void replay_end(Replay *p)
{
  leave_until(p, MAX(p->now_us, p->begin_us + p->r.span_us));
  while (p->n_waiting && p->leaving->len)
    leave_until(p, leaving_at(p, 0)->at_us);
  for (guint i = 0; i < p->demands->len && p->n_waiting; i++)
    if (p->asked[i].waiting) {
      give_up(p, i);
      stop_waiting(p, i);
    }
  g_array_sort(p->waits, compare_waits);
  p->r.placed = p->waits->len;
  p->r.wait_p50_us = wait_at(p, 50);
  p->r.wait_p95_us = wait_at(p, 95);
  p->r.wait_most_us = wait_at(p, 100);
  p->r.used_pct = p->r.span_us ? p->used_us / (double)p->r.span_us : 0;
}

bool replay_play(Fleet *f, GArray *demands, const ReplayTerms *terms, ReplayResult *ret, GArray **ret_uses, GError **err)
{
  g_auto(Replay) p = {};
  if (!demands->len)
    return error_false(err, REASON_BAD_VALUE, "field", "the demand list", "value", "", "limit", "of one line at least", NULL);
  replay_begin(&p, f, demands, terms);
  for (guint i = 0; i < demands->len; i++)
    arrive(&p, i);
  replay_end(&p);
  *ret = p.r;
  if (ret_uses)
    *ret_uses = uses_new(&p);
  return true;
}

/* ── the lists ────────────────────────────────────────────────────────────── */

/* Every row of the list whose turn it is: evenly spread ones where pct < 100. */
static char *rows_of(const char *text, int pct)
{
  g_auto(GStrv) rows = g_strsplit(text, "\n", -1);
  GString *some = g_string_new(rows[0]);
  for (int i = 0; rows[0] && rows[i + 1]; i++)
    if ((i + 1) * (int64_t)pct / 100 > i * (int64_t)pct / 100)
      g_string_append_printf(some, "\n%s", rows[i + 1]);
  return g_string_free(some, FALSE);
}

static bool add_hosts(Fleet *f, const ReplaySpec *spec, GError **err)
{
  for (int left = spec->hosts_pct, copy = 0; left > 0; left -= 100, copy++) {
    g_autofree char *suffix = g_strdup_printf("-%d", copy), *rows = rows_of(spec->nodes, MIN(left, 100));
    if (!trace_add_hosts(f, rows, copy ? suffix : "", err))
      return false;
  }
  return true;
}

/* A class is one array, however many ask for it. */
static GArray *demands_of(const GArray *rows, int64_t patience_us)
{
  GArray *demands = replay_demands_new();
  g_autoptr(GHashTable) known = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_ptr_array_unref);
  for (guint i = 0; i < rows->len; i++) {
    const TraceDemand *row = &g_array_index(rows, TraceDemand, i);
    GPtrArray *classes = g_hash_table_lookup(known, row->class);
    if (!classes) {
      classes = g_ptr_array_new_with_free_func((GDestroyNotify)demand_class_unref);
      g_ptr_array_add(classes, demand_class_ref(row->class));
      g_hash_table_insert(known, row->class, classes);
    }
    ReplayDemand one = { .classes = g_ptr_array_ref(classes), .from_us = row->from_us, .pool = -1, .waits_us = patience_us,
                         .lasts_us = row->until_us ? MAX(1, row->until_us - row->from_us) : 0 };
    g_array_append_val(demands, one);
  }
  return demands;
}

bool replay_run(const ReplaySpec *spec, ReplayResult *ret, GError **err)
{
  Policy policy = policy_of(POLICY_FRAGMENTS);
  g_autoptr(Fleet) f = fleet_new(spec->seed);
  if (spec->hosts_pct < 1 || spec->hosts_pct > REPLAY_PCT_MOST) {
    g_autofree char *pct = g_strdup_printf("%d", spec->hosts_pct);
    return error_false(err, REASON_BAD_VALUE, "field", "the percentage of hosts", "value", pct, "limit", "from 1 to 1000", NULL);
  }
  g_autoptr(GArray) rows = add_hosts(f, spec, err) ? trace_read_demands(f, spec->demands, &policy, err) : NULL;
  if (!rows)
    return false;
  trace_set_mix(f, rows);
  g_autoptr(GArray) demands = demands_of(rows, spec->patience_us);
  ReplayTerms terms = { 0 };
  if (!replay_play(f, demands, &terms, ret, NULL, err))
    return false;
  ret->hosts_pct = spec->hosts_pct;
  return true;
}

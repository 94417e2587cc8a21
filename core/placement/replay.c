/* Recorded demand again, on more or fewer hosts. */
#include "core/placement/replay.h"

#include "core/placement/trace.h"

#include <string.h>

/* ── virtual time ─────────────────────────────────────────────────────────── */

typedef struct {
  int64_t at_us;
  ClaimId claim;
} Leaving;

typedef struct {
  guint demand;
  int64_t since_us;
} Waiting;

typedef struct {
  const ReplaySpec *spec;
  Fleet *f;
  GArray *demands;        /* TraceDemand by arrival */
  GArray *leaving;        /* Leaving, a heap, soonest first */
  GArray *queue;          /* Waiting, oldest first */
  GArray *waits;          /* int64_t of those placed */
  int64_t capacity, begin_us, now_us;
  double used_us;         /* integral of used share over time */
  ReplayResult r;
} Replay;

static void replay_done(Replay *p)
{
  GArray *arrays[] = { p->demands, p->leaving, p->queue, p->waits };
  for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
    if (arrays[i])
      g_array_unref(arrays[i]);
  fleet_free(p->f);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Replay, replay_done)

static Leaving *leaving_at(const Replay *p, guint i)
{
  return &g_array_index(p->leaving, Leaving, i);
}

static void leaving_push(Replay *p, Leaving l)
{
  g_array_append_val(p->leaving, l);
  guint i = p->leaving->len - 1;
  for (; i && l.at_us < leaving_at(p, (i - 1) / 2)->at_us; i = (i - 1) / 2)
    *leaving_at(p, i) = *leaving_at(p, (i - 1) / 2);
  *leaving_at(p, i) = l;
}

static Leaving leaving_pop(Replay *p)
{
  Leaving top = *leaving_at(p, 0), last = *leaving_at(p, p->leaving->len - 1);
  g_array_set_size(p->leaving, p->leaving->len - 1);
  guint n = p->leaving->len, i = 0;
  for (guint child = 1; child < n; child = 2 * i + 1) {
    child += child + 1 < n && leaving_at(p, child + 1)->at_us < leaving_at(p, child)->at_us;
    if (leaving_at(p, child)->at_us >= last.at_us)
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
  return p->capacity ? 100.0 * (double)fleet_used(p->f, -1).cards / (double)p->capacity : 0;
}

/* Time goes on to at_us; what is in use until then is counted and drawn. */
static void pass_time(Replay *p, int64_t at_us)
{
  double used = used_pct(p);
  int64_t step = MAX(1, p->r.span_us / REPLAY_POINTS), end = p->begin_us + p->r.span_us;
  for (int64_t i = (p->now_us - p->begin_us + step - 1) / step; i < REPLAY_POINTS && p->begin_us + i * step < at_us; i++)
    p->r.used_at[i] = used;
  p->used_us += used * (double)MAX(0, MIN(at_us, end) - MIN(p->now_us, end));
  p->now_us = at_us;
}

/* ── who comes, waits and goes ────────────────────────────────────────────── */

static bool try_place(Replay *p, Waiting w)
{
  const TraceDemand *d = &g_array_index(p->demands, TraceDemand, w.demand);
  Place place;
  Leaving l;
  if (!place_find(d->class, &place, NULL) || !place_claim(d->class, &place, NULL, &l.claim, NULL))
    return false;
  int64_t waited = p->now_us - w.since_us, lasts = d->until_us - d->from_us;
  g_array_append_val(p->waits, waited);
  l.at_us = p->now_us + lasts;
  if (d->until_us)
    leaving_push(p, l);
  return true;
}

/* Who waits is served in the order of coming; a class that found no place now is not asked for again in this turn. */
static void serve_queue(Replay *p)
{
  g_autoptr(GHashTable) refused = g_hash_table_new(NULL, NULL);
  guint kept = 0;
  for (guint i = 0; i < p->queue->len; i++) {
    Waiting w = g_array_index(p->queue, Waiting, i);
    gpointer class = g_array_index(p->demands, TraceDemand, w.demand).class;
    if (p->now_us - w.since_us > p->spec->patience_us) {
      p->r.denied++;
      continue;
    }
    if (!g_hash_table_contains(refused, class) && try_place(p, w))
      continue;
    g_hash_table_add(refused, class);
    g_array_index(p->queue, Waiting, kept++) = w;
  }
  g_array_set_size(p->queue, kept);
}

static void leave_until(Replay *p, int64_t at_us)
{
  while (p->leaving->len && leaving_at(p, 0)->at_us <= at_us) {
    Leaving l = leaving_pop(p);
    pass_time(p, l.at_us);
    place_release(p->f, l.claim, NULL);
    serve_queue(p);
  }
  pass_time(p, at_us);
}

static void arrive(Replay *p, guint demand)
{
  int64_t at_us = g_array_index(p->demands, TraceDemand, demand).from_us;
  leave_until(p, at_us);
  Waiting w = { demand, at_us };
  if (!try_place(p, w))
    g_array_append_val(p->queue, w);
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

static bool add_hosts(Replay *p, GError **err)
{
  for (int left = p->spec->hosts_pct, copy = 0; left > 0; left -= 100, copy++) {
    g_autofree char *suffix = g_strdup_printf("-%d", copy), *rows = rows_of(p->spec->nodes, MIN(left, 100));
    if (!trace_add_hosts(p->f, rows, copy ? suffix : "", err))
      return false;
  }
  return true;
}

static int compare_arrivals(const void *a, const void *b)
{
  const TraceDemand *x = a, *y = b;
  return (x->from_us > y->from_us) - (x->from_us < y->from_us);
}

static bool replay_open(Replay *p, const ReplaySpec *spec, GError **err)
{
  Policy policy = policy_of(POLICY_FRAGMENTS);
  p->spec = spec;
  p->f = fleet_new(spec->seed);
  if (spec->hosts_pct < 1 || spec->hosts_pct > REPLAY_PCT_MOST) {
    g_autofree char *pct = g_strdup_printf("%d", spec->hosts_pct);
    return error_false(err, REASON_BAD_VALUE, "field", "the percentage of hosts", "value", pct, "limit", "from 1 to 1000", NULL);
  }
  p->demands = add_hosts(p, err) ? trace_read_demands(p->f, spec->demands, &policy, err) : NULL;
  if (!p->demands)
    return false;
  if (!p->demands->len)
    return error_false(err, REASON_BAD_VALUE, "field", "the demand list", "value", "", "limit", "of one line at least", NULL);
  g_array_sort(p->demands, compare_arrivals);
  trace_set_mix(p->f, p->demands);
  p->leaving = g_array_new(FALSE, FALSE, sizeof(Leaving));
  p->queue = g_array_new(FALSE, FALSE, sizeof(Waiting));
  p->waits = g_array_new(FALSE, FALSE, sizeof(int64_t));
  p->capacity = fleet_capacity(p->f, -1).cards;
  p->begin_us = p->now_us = g_array_index(p->demands, TraceDemand, 0).from_us;
  p->r = (ReplayResult){ .hosts_pct = spec->hosts_pct, .hosts = fleet_hosts(p->f), .cards = fleet_cards(p->f), .arrived = p->demands->len };
  p->r.span_us = g_array_index(p->demands, TraceDemand, p->demands->len - 1).from_us - p->begin_us;
  return true;
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

bool replay_run(const ReplaySpec *spec, ReplayResult *ret, GError **err)
{
  g_auto(Replay) p = {};
  if (!replay_open(&p, spec, err))
    return false;
  for (guint i = 0; i < p.demands->len; i++)
    arrive(&p, i);
  while (p.queue->len && p.leaving->len)
    leave_until(&p, leaving_at(&p, 0)->at_us);
  p.r.denied += p.queue->len;
  g_array_sort(p.waits, compare_waits);
  p.r.placed = p.waits->len;
  p.r.wait_p50_us = wait_at(&p, 50);
  p.r.wait_p95_us = wait_at(&p, 95);
  p.r.wait_most_us = wait_at(&p, 100);
  p.r.used_pct = p.r.span_us ? p.used_us / (double)p.r.span_us : 0;
  *ret = p.r;
  return true;
}

/* ── told ─────────────────────────────────────────────────────────────────── */

static char *minutes(int64_t us)
{
  return g_strdup_printf("%.1f min", (double)us / (60.0 * G_USEC_PER_SEC));
}

char *replay_table(const ReplayResult *results, int n, Lang lang)
{
  GString *text = g_string_new(lang == LANG_KO ? "호스트 %    호스트    카드    요청    배치    거부      대기 p50      대기 p95  카드 사용\n"
                                               : "hosts %    hosts    cards  arrived   placed   denied      wait p50      wait p95  cards used\n");
  for (int i = 0; i < n; i++) {
    const ReplayResult *r = &results[i];
    g_autofree char *p50 = minutes(r->wait_p50_us), *p95 = minutes(r->wait_p95_us);
    g_string_append_printf(text, "%7d %8d %8d %8d %8d %8d %13s %13s %9.1f %%\n", r->hosts_pct, r->hosts, r->cards, (int)r->arrived, (int)r->placed,
                           (int)r->denied, p50, p95, r->used_pct);
  }
  return g_string_free(text, FALSE);
}

enum { SVG_LEFT = 50, SVG_TOP = 20, SVG_WIDTH = 600, SVG_HEIGHT = 300, SVG_KEY = 18 };

static void svg_axes(GString *svg, double days)
{
  for (int pct = 0; pct <= 100; pct += 25) {
    int y = SVG_TOP + SVG_HEIGHT - pct * SVG_HEIGHT / 100;
    g_string_append_printf(svg, "<path d=\"M%d %dh%d\" stroke=\"#ccc\"/>", SVG_LEFT, y, SVG_WIDTH);
    g_string_append_printf(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%d %%</text>\n", SVG_LEFT - 6, y + 4, pct);
  }
  g_string_append_printf(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.1f d</text>\n", SVG_LEFT + SVG_WIDTH, SVG_TOP + SVG_HEIGHT + 16, days);
}

char *replay_svg(const ReplayResult *results, int n)
{
  static const char *const colours[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00" };
  GString *svg = g_string_new(NULL);
  g_string_append_printf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n",
                         SVG_LEFT + SVG_WIDTH + 20, SVG_TOP + SVG_HEIGHT + 30 + n * SVG_KEY);
  svg_axes(svg, n ? (double)results[0].span_us / (86400.0 * G_USEC_PER_SEC) : 0);
  for (int i = 0; i < n; i++) {
    const char *colour = colours[i % G_N_ELEMENTS(colours)];
    g_string_append_printf(svg, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", colour);
    for (int x = 0; x < REPLAY_POINTS; x++) {
      int y = SVG_TOP + SVG_HEIGHT - (int)(results[i].used_at[x] * SVG_HEIGHT / 100);
      g_string_append_printf(svg, "%d,%d ", SVG_LEFT + x * SVG_WIDTH / REPLAY_POINTS, y);
    }
    g_string_append_printf(svg, "\"/><text x=\"%d\" y=\"%d\" fill=\"%s\">%d %% of the hosts: %d cards</text>\n", SVG_LEFT,
                           SVG_TOP + SVG_HEIGHT + 30 + i * SVG_KEY, colour, results[i].hosts_pct, results[i].cards);
  }
  g_string_append(svg, "</svg>\n");
  return g_string_free(svg, FALSE);
}

/* What a replay found, as a table and as plots. The plots have no background and are drawn in colours that read on white and on black
 * (Okabe and Ito's, which the colour-blind tell apart). */
#include "core/placement/replay.h"
#include "core/text.h"

static char *minutes(int64_t us)
{
  return g_strdup_printf("%.1f min", (double)us / (60.0 * G_USEC_PER_SEC));
}

char *replay_table(const ReplayResult *results, const char *const *titles, int n, Lang lang)
{
  static const char *const heads[][2] = {
    { "hosts %    hosts    cards  arrived   placed   denied      wait p50      wait p95  cards used\n",
      "호스트 %    호스트    카드    요청    배치    거부      대기 p50      대기 p95  카드 사용\n" },
    { "  hosts    cards  arrived   placed   denied  by pool by seats      wait p50      wait p95    used\n",
      " 호스트     카드     요청     배치     거부  풀한도    좌석      대기 p50      대기 p95    사용\n" },
  };
  GString *text = g_string_new(heads[titles != NULL][lang == LANG_KO]);
  for (int i = 0; i < n; i++) {
    const ReplayResult *r = &results[i];
    g_autofree char *p50 = minutes(r->wait_p50_us), *p95 = minutes(r->wait_p95_us);
    if (!titles)
      g_string_append_printf(text, "%7d ", r->hosts_pct);
    g_string_append_printf(text, titles ? "%7d %8d %8d %8d %8d" : "%8d %8d %8d %8d %8d", r->hosts, r->cards, (int)r->arrived, (int)r->placed,
                           (int)r->denied);
    if (titles)
      g_string_append_printf(text, " %8d %8d", (int)r->denied_full, (int)r->denied_seats);
    g_string_append_printf(text, titles ? " %13s %13s %5.1f %%  %s\n" : " %13s %13s %9.1f %%%s\n", p50, p95, r->used_pct, titles ? titles[i] : "");
  }
  return g_string_free(text, FALSE);
}

/* ── plots ────────────────────────────────────────────────────────────────── */

enum { WIDTH = 760, LEFT = 64, RIGHT = 20, PANEL = 220, GAP = 64, TOP = 56, KEY = 20, BAR = 16, BARS_MOST = 40, TICKS = 4, NAME = 230 };
enum { NAME_SHOWN = 120 };

static const char *const colours[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00" };
#define INK "#808080"

static const char *in(Lang lang, const char *english, const char *korean) __attribute__((format_arg(2), format_arg(3)));
static const char *in(Lang lang, const char *english, const char *korean)
{
  return lang == LANG_KO ? korean : english;
}

/* Where a value of 0 to most lies between the ends of a panel that begins at y. */
static double height_at(int y, double value, double most)
{
  return y + PANEL * (1 - (most > 0 ? CLAMP(value / most, 0, 1) : 0));
}

/* 1, 2 or 5 times a power of ten that is not below value: what an axis ends at. */
static double round_up(double value)
{
  static const int steps[] = { 1, 2, 5 };
  double end = 1;
  for (int i = 0; end < value; i++)
    end = end * steps[(i + 1) % 3] / steps[i % 3] * (i % 3 == 2 ? 10 : 1);
  return end;
}

static void append_text(GString *svg, double x, double y, const char *anchor, const char *text)
{
  g_autofree char *visible = text_dup_visible(text, NAME_SHOWN), *escaped = g_markup_escape_text(visible, -1); /* XML has no control characters */
  g_string_append_printf(svg, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, escaped);
}

static void append_line(GString *svg, double x1, double y1, double x2, double y2, double opacity)
{
  g_string_append_printf(svg, "<path d=\"M%.0f %.0fL%.0f %.0f\" stroke=\"" INK "\" stroke-opacity=\"%.2g\"/>\n", x1, y1, x2, y2, opacity);
}

/* Dates where the replay has any, else days since its begin: lists count from some moment of their own. */
static char *tick_text(const ReplayResult *r, int i)
{
  int64_t at_us = r->span_us * i / TICKS;
  g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc((r->begin_us + at_us) / G_USEC_PER_SEC);
  bool dated = date && g_date_time_get_year(date) >= 2000;
  if (!dated)
    return g_strdup_printf("%.1f d", (double)at_us / (86400.0 * G_USEC_PER_SEC));
  return g_date_time_format(date, r->span_us > INT64_C(3) * 86400 * G_USEC_PER_SEC ? "%Y-%m-%d" : "%m-%d %H:%M");
}

static void append_axes(GString *svg, const ReplayResult *r, int y, double most, const char *unit)
{
  for (int i = 0; i <= TICKS; i++) {
    g_autofree char *value = g_strdup_printf("%g%s", most * i / TICKS, unit), *when = tick_text(r, i);
    double at = height_at(y, most * i / TICKS, most), x = LEFT + (double)(WIDTH - LEFT - RIGHT) * i / TICKS;
    append_line(svg, LEFT, at, WIDTH - RIGHT, at, i ? 0.25 : 1);
    append_text(svg, LEFT - 8, at + 4, "end", value);
    append_line(svg, x, y + PANEL, x, y + PANEL + 5, 1);
    append_text(svg, x, y + PANEL + 20, i == 0 ? "start" : i == TICKS ? "end" : "middle", when);
  }
}

typedef double (*ValueFn)(const ReplayResult *r, int point);

static double used_of(const ReplayResult *r, int point) { return r->used_at[point]; }
static double waiting_of(const ReplayResult *r, int point) { return r->waiting_at[point]; }

static double most_of(const ReplayResult *results, int n, ValueFn value)
{
  double most = 0;
  for (int i = 0; i < n; i++)
    for (int x = 0; x < REPLAY_POINTS; x++)
      most = MAX(most, value(&results[i], x));
  return most;
}

static void append_curve(GString *svg, const ReplayResult *r, int y, double most, ValueFn value, const char *colour)
{
  g_string_append_printf(svg, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" stroke-linejoin=\"round\" points=\"", colour);
  for (int x = 0; x < REPLAY_POINTS; x++)
    g_string_append_printf(svg, "%.1f,%.1f ", LEFT + (double)(WIDTH - LEFT - RIGHT) * x / (REPLAY_POINTS - 1), height_at(y, value(r, x), most));
  g_string_append(svg, "\"/>\n");
}

static void append_panel(GString *svg, const ReplayResult *results, int n, int y, const char *title, ValueFn value)
{
  bool share = value == used_of;
  double most = share ? 100 : round_up(MAX(most_of(results, n, value), TICKS));
  append_text(svg, LEFT, y - 12, "start", title);
  append_axes(svg, &results[0], y, most, share ? " %" : "");
  for (int i = 0; i < n; i++)
    append_curve(svg, &results[i], y, most, value, colours[i % G_N_ELEMENTS(colours)]);
}

static char *key_of(const ReplayResult *r, const char *title, Lang lang)
{
  g_autofree char *pct = g_strdup_printf(in(lang, "%d %% of the hosts", "호스트의 %d %%"), r->hosts_pct), *p95 = minutes(r->wait_p95_us);
  return g_strdup_printf(in(lang, "%s: %d hosts, %d cards, %d of %d denied, wait p95 %s", "%s: 호스트 %d, 카드 %d, 거부 %d / %d, 대기 p95 %s"),
                         title ? title : pct, r->hosts, r->cards, (int)r->denied, (int)r->arrived, p95);
}

static void append_key(GString *svg, const ReplayResult *r, const char *title, int y, int i, Lang lang)
{
  g_autofree char *text = key_of(r, title, lang);
  g_string_append_printf(svg, "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"4\" rx=\"2\" fill=\"%s\"/>", LEFT, y - 7,
                         colours[i % G_N_ELEMENTS(colours)]);
  append_text(svg, LEFT + 22, y, "start", text);
}

static void append_bar(GString *svg, const ReplayUse *u, int y)
{
  bool host = u->card < 0;
  g_autofree char *name = host ? g_strdup(u->host) : g_strdup_printf("%s · %d  %s", u->host, u->card, u->model);
  double pct = host ? u->vcpus_pct : u->card_pct, width = WIDTH - NAME - 60;
  g_autofree char *value = g_strdup_printf(host ? "%.0f %% vCPU" : "%.0f %%", pct);
  append_text(svg, NAME - 8, y + 10, "end", name);
  g_string_append_printf(svg, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"9\" rx=\"2\" fill=\"%s\"/>", NAME, y + 2,
                         width * CLAMP(pct, 0, 100) / 100, host ? INK : colours[0]);
  append_text(svg, NAME + width * CLAMP(pct, 0, 100) / 100 + 6, y + 10, "start", value);
}

static int bars_of(const GArray *uses)
{
  return uses ? MIN((int)uses->len, BARS_MOST) : 0;
}

char *replay_svg(const ReplayResult *results, const char *const *titles, int n, const GArray *uses, Lang lang)
{
  int second = TOP + PANEL + GAP, keys = second + PANEL + GAP, bars = keys + n * KEY + (uses ? 40 : 0), height = bars + bars_of(uses) * BAR + 20;
  GString *svg = g_string_new(NULL);
  g_string_append_printf(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
                         "font-size=\"12\" fill=\"" INK "\">\n", WIDTH, height, WIDTH, height);
  bool cards = n && results[0].cards;
  append_panel(svg, results, n, TOP, cards ? in(lang, "graphics cards in use", "사용 중인 그래픽 카드") : in(lang, "vCPUs in use", "사용 중인 가상 CPU"), used_of);
  append_panel(svg, results, n, second, in(lang, "people in line", "기다리는 사람"), waiting_of);
  for (int i = 0; i < n; i++)
    append_key(svg, &results[i], titles ? titles[i] : NULL, keys + i * KEY, i, lang);
  if (uses)
    append_text(svg, LEFT, bars - 14, "start", in(lang, "mean use of hosts and their cards, most used first", "호스트와 카드의 평균 사용, 많은 순"));
  for (int i = 0; i < bars_of(uses); i++)
    append_bar(svg, &g_array_index(uses, ReplayUse, i), bars + i * BAR);
  g_string_append(svg, "</svg>\n");
  return g_string_free(svg, FALSE);
}

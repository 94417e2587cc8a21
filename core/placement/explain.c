/* Why not: every host's and card's first failing rule, grouped, and the nearest fix. */
#include "core/placement/explain.h"
#include "core/placement/parts.h"

static const Reason rule_reasons[N_RULES] = {
#define X(rule, wire, reason) [rule] = REASON_##reason,
  RULES(X)
#undef X
};

/* In the unit people use: whole vCPUs with up to three decimals, everything else as it is. */
static char *number_text(Rule rule, int64_t value)
{
  if (rule != RULE_VCPUS && rule != RULE_CELL)
    return g_strdup_printf("%" G_GINT64_FORMAT, value);
  char *text = g_strdup_printf("%.3f", (double)value / 1000);
  for (size_t n = strlen(text); text[n - 1] == '0' || text[n - 1] == '.'; n--) {
    bool point = text[n - 1] == '.';
    text[n - 1] = '\0';
    if (point)
      break;
  }
  return text;
}

bool finding_refuse(const Fleet *f, int host, Rule rule, const Finding *finding, GError **err)
{
  g_autofree char *wanted = number_text(rule, finding->wanted), *free = number_text(rule, finding->free);
  g_autofree char *capacity = number_text(rule, finding->capacity);
  const char *text = finding->word ? finding->word : "";
  g_autofree char *word = g_strndup(text, strcspn(text, "\x1f")); /* what follows tells apart what people call the same */
  return error_false(err, rule_reasons[rule], "host", fleet_host_name(f, host), "wanted", wanted, "free", free, "capacity", capacity, "word",
                     word, NULL);
}

GError *explain_error(const Fleet *f, int host, Rule rule, const Finding *finding)
{
  GError *err = NULL;
  finding_refuse(f, host, rule, finding, &err);
  return err;
}

Rule explain_host(const DemandClass *c, int host, Finding *ret_finding)
{
  return filter_on(c, host, ret_finding);
}

Rule explain_card(const DemandClass *c, int host, int card, Finding *ret_finding)
{
  return filter_card(c, kind_at(c->fleet, *u32_at(c->fleet->kind, host)), card, cards_of(c->fleet, host)[card], ret_finding);
}

/* ── grouped ──────────────────────────────────────────────────────────────── */

static void stopped_add(GArray *all, Rule rule, const Finding *f, int host, int n)
{
  for (guint i = 0; i < all->len; i++) {
    Stopped *s = &g_array_index(all, Stopped, i);
    if (s->rule != rule || (s->word != f->word && rule != RULE_DISK)) /* each host may have a storage of its own */
      continue;
    s->n += n;
    s->least_free = MIN(s->least_free, f->free);
    if (f->free > s->finding.free) {
      s->finding = *f;
      s->host = host;
    }
    return;
  }
  Stopped fresh = { rule, f->word, n, host, *f, f->free };
  g_array_append_val(all, fresh);
}

static int compare_stopped(const void *a, const void *b)
{
  const Stopped *x = a, *y = b;
  return x->n != y->n ? y->n - x->n : (int)x->rule - (int)y->rule;
}

static bool by_cards(Rule rule)
{
  return rule == RULE_CARDS || rule == RULE_NEAR;
}

static void add_cards(Explanation *e, const DemandClass *c, const Bucket *b)
{
  const HostKind *k = kind_at(c->fleet, b->state.kind);
  for (int i = 0; i < b->state.n_cards; i++) {
    Finding finding;
    Rule rule = filter_card(c, k, i, b->state.cards[i], &finding);
    e->cards += b->count;
    if (rule != RULE_NONE)
      stopped_add(e->stopped_cards, rule, &finding, b->first, b->count);
  }
}

static void add_bucket(Explanation *e, const DemandClass *c, const Bucket *b)
{
  Finding finding = {};
  const HostKind *k = kind_at(c->fleet, b->state.kind);
  Rule rule = filter_kind(c, k, &finding);
  rule = rule == RULE_NONE ? filter_state(c, k, &b->state, &finding) : rule;
  if (rule != RULE_NONE) {
    stopped_add(e->stopped, rule, &finding, b->first, b->count);
    if (by_cards(rule))
      add_cards(e, c, b);
    return;
  }
  for (int host = b->first; host != NO_HOST; host = *i32_at(c->fleet->next, host)) {
    finding = (Finding){};
    rule = filter_host(c, host, &finding);
    if (rule == RULE_NONE)
      e->fit++;
    else
      stopped_add(e->stopped, rule, &finding, host, 1);
  }
}

/* Where no host has a card that could be asked, why not: of another model, or taken out of use, as its name says. */
static void add_other_cards(Explanation *e, const DemandClass *c)
{
  for (guint i = 0; i < c->fleet->buckets->len; i++) {
    const Bucket *b = bucket_at(c->fleet, i);
    if (b->count && filter_kind(c, kind_at(c->fleet, b->state.kind), NULL) == RULE_MODEL)
      add_cards(e, c, b);
  }
}

Explanation *explain_rules(DemandClass *c)
{
  Explanation *e = g_new0(Explanation, 1);
  Finding finding = {};
  e->hosts = fleet_hosts(c->fleet);
  e->stopped = g_array_new(FALSE, FALSE, sizeof(Stopped));
  e->stopped_cards = g_array_new(FALSE, FALSE, sizeof(Stopped));
  Rule rule = filter_fleet(c, &finding);
  for (guint b = 0; rule == RULE_NONE && b < c->fleet->buckets->len; b++)
    if (bucket_at(c->fleet, b)->count)
      add_bucket(e, c, bucket_at(c->fleet, b));
  if (rule != RULE_NONE && e->hosts)
    stopped_add(e->stopped, rule, &finding, 0, e->hosts);
  else if (!e->fit && !e->stopped_cards->len)
    add_other_cards(e, c);
  g_array_sort(e->stopped, compare_stopped);
  g_array_sort(e->stopped_cards, compare_stopped);
  e->fixes = g_array_new(FALSE, FALSE, sizeof(Fix));
  return e;
}

Explanation *explain_new(DemandClass *c)
{
  Explanation *e = explain_rules(c);
  if (e->fit)
    return e;
  g_array_unref(e->fixes);
  e->fixes = fixes_new(c);
  return e;
}

static bool has_host(const GArray *all, int host)
{
  for (guint i = 0; i < all->len; i++)
    if (g_array_index(all, Stopped, i).host == host)
      return true;
  return false;
}

/* Takes what more tells of hosts that all has nothing of; that one of the demands asks for what is not there is no news where another's is. */
static void stopped_merge(GArray *all, const GArray *more)
{
  for (guint i = 0; i < more->len; i++) {
    const Stopped *s = &g_array_index(more, Stopped, i);
    if (s->rule != RULE_MODEL && s->rule != RULE_CARD_MODEL && !has_host(all, s->host))
      g_array_append_val(all, *s);
  }
}

static GArray *stopped_any(const GPtrArray *each, bool cards)
{
  const Explanation *best = each->pdata[0];
  const GArray *only = cards ? best->stopped_cards : best->stopped;
  GArray *all = g_array_new(FALSE, FALSE, sizeof(Stopped));
  for (guint i = 0; i < each->len && each->len > 1; i++) {
    const Explanation *e = each->pdata[i];
    stopped_merge(all, cards ? e->stopped_cards : e->stopped);
  }
  if (!all->len)
    g_array_append_vals(all, only->data, only->len);
  g_array_sort(all, compare_stopped);
  return all;
}

static void fixes_merge(GArray *all, const GArray *more)
{
  for (guint i = 0; i < more->len; i++) {
    const Fix *fix = &g_array_index(more, Fix, i);
    bool has = false;
    for (guint k = 0; k < all->len; k++)
      has |= g_array_index(all, Fix, k).kind == fix->kind;
    if (!has)
      g_array_append_val(all, *fix);
  }
}

Explanation *explain_any(const GPtrArray *classes, bool fixes)
{
  g_autoptr(GPtrArray) each = g_ptr_array_new_with_free_func((GDestroyNotify)explanation_free);
  Explanation *any = g_new0(Explanation, 1);
  any->fixes = g_array_new(FALSE, FALSE, sizeof(Fix));
  for (guint i = 0; i < MIN(classes->len, EXPLAIN_ANY_MOST); i++) {
    Explanation *e = fixes ? explain_new(classes->pdata[i]) : explain_rules(classes->pdata[i]);
    any->hosts = e->hosts;
    any->fit = MAX(any->fit, e->fit);
    any->cards = MAX(any->cards, e->cards);
    fixes_merge(any->fixes, e->fixes);
    g_ptr_array_add(each, e);
  }
  any->stopped = stopped_any(each, false);
  any->stopped_cards = stopped_any(each, true);
  return any;
}

void explanation_free(Explanation *e)
{
  g_array_unref(e->stopped);
  g_array_unref(e->stopped_cards);
  g_array_unref(e->fixes);
  g_free(e);
}

/* ── in words ─────────────────────────────────────────────────────────────── */

enum { LINES_HOSTS = 10, LINES_CARDS = 5 };

static const char *word_of(Lang lang, const char *en, const char *ko)
{
  return lang == LANG_KO ? ko : en;
}

static void text_stopped(GString *text, const Fleet *f, const GArray *all, guint most, const char *unit, Lang lang)
{
  for (guint i = 0; i < all->len && i < most; i++) {
    const Stopped *s = &g_array_index(all, Stopped, i);
    g_autoptr(GError) err = explain_error(f, s->host, s->rule, &s->finding);
    g_autofree char *why = error_text(err, lang);
    g_string_append_printf(text, "%6d %s  %-14s %s%s\n", s->n, unit, rule_name(s->rule), s->n > 1 ? word_of(lang, "best: ", "최선: ") : "", why);
  }
  int more = 0;
  for (guint i = most; i < all->len; i++)
    more += g_array_index(all, Stopped, i).n;
  if (more)
    g_string_append_printf(text, "%6d %s  %s\n", more, unit, word_of(lang, "by other rules", "그 밖의 조건"));
}

/* What could be done, as a reason: its text is the way out. */
GError *explain_fix_error(const Fleet *f, const Fix *fix, int64_t now_us)
{
  GError *err = NULL;
  const char *host = fleet_host_name(f, fix->host);
  g_autofree char *claims = g_strdup_printf("%d", fix->claims);
  g_autofree char *part = fix->profile ? g_strdup(fix->profile) : g_strdup_printf("%d/1000", fix->share);
  g_autofree char *minutes = g_strdup_printf("%d", (int)(MAX(0, fix->ends_us - now_us) / (60 * G_USEC_PER_SEC)));
  switch (fix->kind) {
  case FIX_SMALLER: error_set(&err, REASON_PLACE_FIX_SMALLER, "part", part, "host", host, NULL); break;
  case FIX_ENDS: error_set(&err, REASON_PLACE_FIX_ENDS, "minutes", minutes, "claims", claims, "host", host, NULL); break;
  case FIX_MOVE: {
    g_autofree char *tag = g_strdup_printf("%" G_GUINT64_FORMAT, claim_at(f, fix->claim.number)->tag);
    error_set(&err, REASON_PLACE_FIX_MOVE, "claim", tag, "host", host, "to", fleet_host_name(f, fix->to.host), NULL);
    break;
  }
  case N_FIX_KINDS: break;
  }
  return err;
}

static void text_line(GString *text, const char *before, const GError *err, Lang lang)
{
  g_autofree char *line = error_text(err, lang);
  g_string_append_printf(text, "%s%s\n", before, line);
}

char *explanation_text(const Fleet *f, const Explanation *e, Lang lang, int64_t now_us)
{
  GString *text = g_string_new(NULL);
  g_autoptr(GError) head = NULL;
  g_autofree char *fit = g_strdup_printf("%d", e->fit), *hosts = g_strdup_printf("%d", e->hosts);
  error_set(&head, REASON_PLACE_ROOM, "fit", fit, "hosts", hosts, NULL);
  text_line(text, "", head, lang);
  text_stopped(text, f, e->stopped, LINES_HOSTS, word_of(lang, "hosts", "호스트"), lang);
  text_stopped(text, f, e->stopped_cards, LINES_CARDS, word_of(lang, "cards", "카드"), lang);
  for (guint i = 0; i < e->fixes->len; i++) {
    g_autoptr(GError) fix = explain_fix_error(f, &g_array_index(e->fixes, Fix, i), now_us);
    text_line(text, "→ ", fix, lang);
  }
  return g_string_free(text, FALSE);
}

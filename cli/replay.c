/* sarang plan replay: recorded demand on the fleet there is, and on the one there would be. What the daemon knows is fetched once; the playing is
 * done here, so that it keeps nobody waiting. */
#include <stdio.h>

#include "cli/command.h"
#include "core/recorded.h"
#include "core/text.h"

enum { YEAR_S = 31536000, NAME_SHOWN = 63, ROWS_SHOWN = 24, VARIANTS = 2 };

typedef struct {
  Recorded *recorded;
  RecordedPlan plan;
  char *add_hosts;
  const char *titles[VARIANTS];
  ReplayResult results[VARIANTS];
  GArray *uses[VARIANTS];
  int n, left_out;
} Replayed;

static void replayed_clear(Replayed *r)
{
  recorded_free(r->recorded);
  g_free(r->add_hosts);
  for (int i = 0; i < VARIANTS; i++)
    g_clear_pointer(&r->uses[i], g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Replayed, replayed_clear)

/* ── fetched ──────────────────────────────────────────────────────────────── */

static bool ask_page(Command *c, ApiVerb verb, const char *after, json_t **ret_page, GError **err)
{
  g_autofree char *escaped = after ? g_uri_escape_string(after, NULL, FALSE) : NULL;
  g_autofree char *path = g_strdup_printf("%s?limit=1000%s%s", api_rows[verb].path, after ? "&after=" : "", escaped ? escaped : "");
  return client_ask(&c->place, METHOD_GET, path, NULL, ret_page, NULL, err);
}

typedef bool (*TakeFn)(Recorded *r, json_t *items, GError **err);

static bool take_sessions(Recorded *r, json_t *items, GError **err)
{
  return recorded_add_sessions(r, items, g_get_real_time(), err);
}

/* take NULL: they are objects of the model. */
static bool fetch_rows(Command *c, ApiVerb verb, TakeFn take, Recorded *r, GError **err)
{
  g_autofree char *after = NULL;
  for (bool more = true; more;) {
    json_auto_t *page = NULL;
    if (!ask_page(c, verb, after, &page, err) || (take && !take(r, json_object_get(page, "items"), err)))
      return false;
    if (!take)
      recorded_load(r, api_rows[verb].noun, json_object_get(page, "items"));
    g_free(after);
    after = g_strdup(json_string_value(json_object_get(page, "next")));
    more = after;
  }
  return true;
}

static bool fetch_model(Command *c, Recorded *r, GError **err)
{
  static const ApiVerb verbs[] = { API_HOST_LIST, API_GPU_LIST, API_GPU_CLASS_LIST, API_STORAGE_LIST, API_IMAGE_LIST,
                                   API_TEMPLATE_LIST, API_LICENCE_LIST, API_POOL_LIST, API_DESKTOP_LIST, API_VGPU_LIST };
  for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++)
    if (!fetch_rows(c, verbs[i], NULL, r, err))
      return false;
  return true;
}

static bool fetch_demand(Command *c, Recorded *r, GError **err)
{
  const char *csv = command_flag(c, "csv");
  g_autofree char *text = NULL;
  if (csv)
    return plan_read_text(csv, &text, err) && recorded_add_csv(r, text, err);
  if (!fetch_rows(c, API_DEMAND_LIST, recorded_add_rows, r, err))
    return false;
  bool none = !recorded_rows(r);
  if (!fetch_rows(c, API_SESSION_LIST, take_sessions, r, err))
    return false;
  if (none && recorded_rows(r) && !c->quiet) {
    fprintf(stderr,
            say(c->place.lang, "nothing is recorded yet: this plays the %d sessions open now; a list of your own: sarang plan replay --csv FILE"),
            (int)recorded_rows(r));
    fputc('\n', stderr);
  }
  return true;
}

/* ── asked ────────────────────────────────────────────────────────────────── */

static bool read_date(Command *c, const char *flag, int64_t *ret_us, GError **err)
{
  const char *text = command_flag(c, flag);
  *ret_us = 0;
  g_autofree char *typed = g_strdup_printf("--%s", flag);
  return !text || recorded_time(text, ret_us) ||
         error_false(err, REASON_BAD_VALUE, "field", typed, "value", text, "limit", "a date, such as 2026-11-23 or 2026-11-23T08:00:00Z", NULL);
}

static bool read_flags(Command *c, Replayed *r, GError **err)
{
  const char *patience = command_flag(c, "patience"), *add_hosts = command_flag(c, "add_hosts");
  int64_t patience_s = 0;
  if (command_flag(c, "hosts"))
    return error_false(err, REASON_BAD_VALUE, "field", "--hosts", "value", command_flag(c, "hosts"), "limit", "used with lists of hosts alone", NULL);
  if (!read_date(c, "from", &r->plan.from_us, err) || !read_date(c, "to", &r->plan.to_us, err) ||
      (patience && !plan_number_flag("--patience", patience, YEAR_S, &patience_s, err)))
    return false;
  r->plan.patience_us = patience ? patience_s * G_USEC_PER_SEC : RECORDED_PATIENCE;
  r->plan.without_host = command_flag(c, "without_host");
  return !add_hosts || plan_read_text(add_hosts, &r->add_hosts, err);
}

static bool play(Replayed *r, const RecordedPlan *plan, const char *title, GError **err)
{
  if (!recorded_play(r->recorded, plan, &r->results[r->n], &r->uses[r->n], &r->left_out, err))
    return false;
  r->titles[r->n++] = title;
  return true;
}

/* ── told ─────────────────────────────────────────────────────────────────── */

static void print_uses(const GArray *uses, Lang lang)
{
  printf("\n%s\n%-40s %10s %10s %10s\n", say(lang, "mean use, most used first"), "", "vCPU", "MiB", "GPU");
  for (guint i = 0; i < uses->len && i < ROWS_SHOWN; i++) {
    const ReplayUse *u = &g_array_index(uses, ReplayUse, i);
    g_autofree char *name = text_dup_visible(u->card < 0 ? u->host : u->model, NAME_SHOWN); /* hosts tell what their cards are called */
    g_autofree char *card = u->card < 0 ? NULL : g_strdup_printf(say(lang, "card %d, %s"), u->card, name);
    print_padded(card ? "  " : "", card ? 2 : 0);
    print_padded(card ? card : name, card ? 38 : 40);
    if (card)
      printf(" %10s %10s %8.1f %%\n", "", "", u->card_pct);
    else
      printf(" %8.1f %% %8.1f %% %8.1f %%\n", u->vcpus_pct, u->memory_pct, u->card_pct);
  }
  if (uses->len > ROWS_SHOWN) {
    printf(say(lang, "%d more, all of them with -o json"), (int)uses->len - ROWS_SHOWN);
    printf("\n");
  }
}

static void print_people(const Replayed *r, Lang lang)
{
  g_autofree char *table = replay_table(r->results, r->titles, r->n, lang);
  fputs(table, stdout);
  print_uses(r->uses[r->n - 1], lang);
  if (r->left_out) {
    printf(say(lang, "%d rows were left out: their pool, template or image is gone"), r->left_out);
    printf("\n");
  }
}

static json_t *use_json(const ReplayUse *u)
{
  json_t *json = json_pack("{ss sf}", "host", u->host, "cards_pct", u->card_pct);
  if (u->card >= 0) {
    json_object_set_new(json, "card", json_integer(u->card));
    json_object_set_new(json, "model", json_string(u->model));
  } else {
    json_object_set_new(json, "vcpus_pct", json_real(u->vcpus_pct));
    json_object_set_new(json, "memory_pct", json_real(u->memory_pct));
  }
  return json;
}

static json_t *result_json(const ReplayResult *r, const GArray *uses, const char *name)
{
  json_t *list = json_array();
  for (guint i = 0; i < uses->len; i++)
    json_array_append_new(list, use_json(&g_array_index(uses, ReplayUse, i)));
  double p50_s = (double)r->wait_p50_us / G_USEC_PER_SEC, p95_s = (double)r->wait_p95_us / G_USEC_PER_SEC;
  json_t *json = json_pack("{ss si si sf sf sf so}", "name", name, "hosts", r->hosts, "cards", r->cards, "wait_p50_s", p50_s, "wait_p95_s", p95_s,
                           "used_pct", r->used_pct, "uses", list);
  json_object_set_new(json, "asked", json_integer(r->arrived));
  json_object_set_new(json, "granted", json_integer(r->placed));
  json_object_set_new(json, "denied", json_integer(r->denied));
  json_object_set_new(json, "denied_by_pool", json_integer(r->denied_full));
  json_object_set_new(json, "denied_by_seats", json_integer(r->denied_seats));
  return json;
}

static void print_programs(Command *c, const Replayed *r)
{
  json_auto_t *all = json_pack("{si s[]}", "left_out", r->left_out, "fleets");
  for (int i = 0; i < r->n; i++)
    json_array_append_new(json_object_get(all, "fleets"), result_json(&r->results[i], r->uses[i], i ? "would-be" : "as-is"));
  OutputStyle style = { .form = c->form, .headers = !c->no_headers, .lang = LANG_EN };
  output_print(&style, NOUN_DEMAND, all);
}

bool replay_recorded(Command *c, GError **err)
{
  g_auto(Replayed) r = { .recorded = recorded_new() };
  const char *svg = command_flag(c, "svg");
  if (!read_flags(c, &r, err) || !place_complete(&c->place, err) || !fetch_model(c, r.recorded, err) || !fetch_demand(c, r.recorded, err))
    return false;
  RecordedPlan as_is = r.plan, would_be = r.plan;
  as_is.without_host = NULL;
  would_be.add_hosts = r.add_hosts;
  would_be.licences = command_flag(c, "licences");
  bool other = would_be.add_hosts || would_be.without_host || would_be.licences;
  if (!play(&r, &as_is, say(c->place.lang, "the fleet as it is"), err) || (other && !play(&r, &would_be, say(c->place.lang, "as it would be"), err)))
    return false;
  bool people = c->form == OUTPUT_TABLE || c->form == OUTPUT_WIDE;
  g_autofree char *plot = replay_svg(r.results, r.titles, r.n, r.uses[r.n - 1], c->place.lang);
  if (people)
    print_people(&r, c->place.lang);
  else
    print_programs(c, &r);
  return !svg || text_write(svg, plot, 0644, err);
}

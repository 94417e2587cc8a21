/* sarang plan: where more desktops would go, by the daemon's own placement. sarang plan replay: what recorded demand would have met on more or
 * fewer hosts, played here, without a daemon. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "cli/output.h"
#include "core/placement/replay.h"
#include "core/text.h"

enum { VARIANTS_MOST = 6, PATIENCE_S = 3600, YEAR_S = 31536000 };

bool plan_read_text(const char *path, char **ret, GError **err)
{
  g_autoptr(GError) why = NULL;
  g_autofree char *text = NULL;
  gsize length;
  if (!g_file_get_contents(path, &text, &length, &why))
    return error_false(err, REASON_IO, "action", "read", "path", path, "detail", why->message, NULL);
  if (strlen(text) != length) /* spreadsheets' "Unicode text" is UTF-16 */
    return error_false(err, REASON_BAD_VALUE, "field", "the encoding", "value", path, "limit", "UTF-8: save it as \"CSV UTF-8\"", NULL);
  *ret = g_steal_pointer(&text);
  return true;
}

/* Whatever it is, it stays that. */
static bool write_into(const char *path, const char *text, GError **err)
{
  FILE *file = fopen(path, "we");
  bool good = file && fputs(text, file) >= 0;
  int why = errno;
  if (file && fclose(file) && good) {
    why = errno;
    good = false;
  }
  return good || error_false(err, REASON_IO, "action", "write", "path", path, "detail", g_strerror(why), NULL);
}

bool text_write(const char *path, const char *text, int mode, GError **err)
{
  struct stat there;
  if (!lstat(path, &there) && !S_ISREG(there.st_mode))
    return write_into(path, text, err);
  g_autoptr(GError) why = NULL;
  return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, mode, &why) ||
         error_false(err, REASON_IO, "action", "write", "path", path, "detail", why->message, NULL);
}

bool plan_number_flag(const char *flag, const char *text, int64_t most, int64_t *ret, GError **err)
{
  g_autofree char *limit = g_strdup_printf("a number from 0 to %d", (int)most);
  return number_parse(text, 0, most, ret) || error_false(err, REASON_BAD_VALUE, "field", flag, "value", text, "limit", limit, NULL);
}

/* A result for each percentage of "100,150"; *ret_n of them. */
static bool replay_variants(const char *list, ReplaySpec *spec, ReplayResult *results, int *ret_n, GError **err)
{
  g_auto(GStrv) parts = g_strsplit(list, ",", -1);
  if (g_strv_length(parts) > VARIANTS_MOST)
    return error_false(err, REASON_BAD_VALUE, "field", "--hosts", "value", list, "limit", "at most six percentages", NULL);
  for (*ret_n = 0; parts[*ret_n]; ++*ret_n) {
    int64_t pct;
    if (!plan_number_flag("--hosts", parts[*ret_n], REPLAY_PCT_MOST, &pct, err))
      return false;
    spec->hosts_pct = (int)pct;
    if (!replay_run(spec, &results[*ret_n], err))
      return false;
  }
  return true;
}

bool command_plan_replay(Command *c, GError **err)
{
  if (!c->words->len)
    return replay_recorded(c, err);
  if (c->words->len == 1)
    return error_false(err, REASON_MISSING_WORDS, "usage", "sarang plan replay HOSTS.csv DEMANDS.csv", NULL);
  const char *licences = command_flag(c, "licences");
  if (licences)
    return error_false(err, REASON_BAD_VALUE, "field", "--licences", "value", licences, "limit", "used with recorded demand alone", NULL);
  const char *hosts = command_flag(c, "hosts"), *patience = command_flag(c, "patience"), *svg = command_flag(c, "svg");
  g_autofree char *nodes = NULL, *demands = NULL;
  int64_t patience_s = PATIENCE_S;
  if (patience && !plan_number_flag("--patience", patience, YEAR_S, &patience_s, err))
    return false;
  if (!plan_read_text(c->words->pdata[0], &nodes, err) || !plan_read_text(c->words->pdata[1], &demands, err))
    return false;
  ReplaySpec spec = { .nodes = nodes, .demands = demands, .patience_us = patience_s * G_USEC_PER_SEC, .seed = 1 };
  ReplayResult results[VARIANTS_MOST];
  int n = 0;
  if (!replay_variants(hosts ? hosts : "100", &spec, results, &n, err))
    return false;
  g_autofree char *table = replay_table(results, NULL, n, c->place.lang), *plot = replay_svg(results, NULL, n, NULL, c->place.lang);
  fputs(table, stdout);
  return !svg || text_write(svg, plot, 0644, err);
}

/* ── what if ──────────────────────────────────────────────────────────────── */

enum { PLACES_MOST = 6 };

static int number_of(json_t *object, const char *name)
{
  return (int)json_integer_value(json_object_get(object, name));
}

static const char *reason_text(json_t *row)
{
  const char *text = json_string_value(json_object_get(json_object_get(row, "reason"), "text"));
  return text ? text : "";
}

static void print_places(json_t *plan, Lang lang)
{
  size_t i;
  json_t *place, *places = json_object_get(plan, "places");
  int rest = 0;
  json_array_foreach(places, i, place) {
    if (i < PLACES_MOST)
      printf("%6d × %s\n", number_of(place, "desktops"), json_string_value(json_object_get(place, "host")));
    else
      rest += number_of(place, "desktops");
  }
  if (rest)
    printf("%6d × %s\n", rest, say(lang, "other hosts"));
}

static void print_stopped(json_t *rows, const char *what, Lang lang)
{
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row)
    printf("%6d × %s  %-14s %s%s\n", number_of(row, "n"), say(lang, what), json_string_value(json_object_get(row, "rule")),
           number_of(row, "n") > 1 ? say(lang, "at best: ") : "", reason_text(row));
}

void plan_print(json_t *plan, Lang lang)
{
  size_t i;
  json_t *fix;
  printf(say(lang, "%d of %d more desktops have a place"), number_of(plan, "placed"), number_of(plan, "count"));
  printf("\n");
  print_places(plan, lang);
  if (json_object_get(plan, "hosts_in_all")) {
    printf(say(lang, "%d of %d hosts have room for the next"), number_of(plan, "hosts_with_room"), number_of(plan, "hosts_in_all"));
    printf("\n");
  }
  print_stopped(json_object_get(plan, "hosts_stopped"), "host", lang);
  print_stopped(json_object_get(plan, "cards_stopped"), "card", lang);
  json_array_foreach(json_object_get(plan, "fixes"), i, fix)
    printf("→ %s\n", reason_text(fix));
}

static bool plan_body(Command *c, json_t *body, GError **err)
{
  const char *count = command_flag(c, "count"), *file = command_flag(c, "add_hosts");
  int64_t n = 1;
  if (count && !plan_number_flag("--count", count, 10000, &n, err))
    return false;
  g_autofree char *hosts = NULL;
  if (file && !plan_read_text(file, &hosts, err))
    return false;
  json_object_set_new(body, "count", json_integer(n));
  if (hosts)
    json_object_set_new(body, "add_hosts", json_string(hosts));
  static const char *const texts[] = { "without_host", "profile" };
  for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
    if (command_flag(c, texts[i]))
      json_object_set_new(body, texts[i], json_string(command_flag(c, texts[i])));
  return true;
}

bool command_plan(Command *c, GError **err)
{
  json_auto_t *body = json_object(), *plan = NULL;
  bool people = c->form == OUTPUT_TABLE || c->form == OUTPUT_WIDE;
  if (!plan_body(c, body, err))
    return false;
  if (!people)
    c->place.lang = LANG_EN;
  g_autofree char *path = client_path(API_POOL_PLAN, command_flag(c, "pool"));
  if (!client_ask(&c->place, METHOD_POST, path, body, &plan, NULL, err))
    return false;
  if (people) {
    const char *beyond = json_string_value(json_object_get(json_object_get(plan, "beyond_max"), "text"));
    plan_print(plan, c->place.lang);
    if (beyond)
      printf("→ %s\n", beyond);
    return true;
  }
  OutputStyle style = { .form = c->form, .headers = !c->no_headers, .lang = LANG_EN };
  output_print(&style, NOUN_POOL, plan);
  return true;
}

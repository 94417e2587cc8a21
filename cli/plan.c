/* sarang plan replay: what recorded demand would have met on more or fewer hosts, played here, without a daemon. */
#include <stdio.h>

#include "cli/command.h"
#include "core/placement/replay.h"
#include "core/text.h"

enum { VARIANTS_MOST = 6, PATIENCE_S = 3600, YEAR_S = 31536000 };

static bool read_text(const char *path, char **ret, GError **err)
{
  g_autoptr(GError) why = NULL;
  return g_file_get_contents(path, ret, NULL, &why) || error_false(err, REASON_IO, "action", "read", "path", path, "detail", why->message, NULL);
}

static bool write_text(const char *path, const char *text, GError **err)
{
  g_autoptr(GError) why = NULL;
  return g_file_set_contents(path, text, -1, &why) || error_false(err, REASON_IO, "action", "write", "path", path, "detail", why->message, NULL);
}

static bool number_flag(const char *flag, const char *text, int64_t most, int64_t *ret, GError **err)
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
    if (!number_flag("--hosts", parts[*ret_n], REPLAY_PCT_MOST, &pct, err))
      return false;
    spec->hosts_pct = (int)pct;
    if (!replay_run(spec, &results[*ret_n], err))
      return false;
  }
  return true;
}

bool command_plan_replay(Command *c, GError **err)
{
  const char *hosts = command_flag(c, "hosts"), *patience = command_flag(c, "patience"), *svg = command_flag(c, "svg");
  g_autofree char *nodes = NULL, *demands = NULL;
  int64_t patience_s = PATIENCE_S;
  if (patience && !number_flag("--patience", patience, YEAR_S, &patience_s, err))
    return false;
  if (!read_text(c->words->pdata[0], &nodes, err) || !read_text(c->words->pdata[1], &demands, err))
    return false;
  ReplaySpec spec = { .nodes = nodes, .demands = demands, .patience_us = patience_s * G_USEC_PER_SEC, .seed = 1 };
  ReplayResult results[VARIANTS_MOST];
  int n = 0;
  if (!replay_variants(hosts ? hosts : "100", &spec, results, &n, err))
    return false;
  g_autofree char *table = replay_table(results, n, c->place.lang), *plot = replay_svg(results, n);
  fputs(table, stdout);
  return !svg || write_text(svg, plot, err);
}

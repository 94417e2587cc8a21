/* Help in Korean: each English text of the tables and its Korean one, in korean.def. */
#include <string.h>

#include "cli/command.h"

/* X: a whole text. P: a limit with numbers or names in it, each {} of one standing for the same {} of the other. */
static const struct { const char *english, *korean; } rows[] = {
#define X(english, korean) { english, korean },
#define P(english, korean)
#include "cli/korean.def"
#undef X
#undef P
};

static const struct { const char *english, *korean; } patterns[] = {
#define X(english, korean)
#define P(english, korean) { english, korean },
#include "cli/korean.def"
#undef X
#undef P
};

static GHashTable *table_new(void)
{
  GHashTable *table = g_hash_table_new(g_str_hash, g_str_equal);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    g_hash_table_insert(table, (char *)rows[i].english, (char *)rows[i].korean);
  return table;
}

const char *korean_find(const char *english)
{
  static GHashTable *table;
  if (g_once_init_enter(&table))
    g_once_init_leave(&table, table_new());
  return g_hash_table_lookup(table, english);
}

const char *say(Lang lang, const char *english)
{
  const char *korean = lang == LANG_KO ? korean_find(english) : NULL;
  return korean ? korean : english;
}

/* ── arguments of errors ──────────────────────────────────────────────────── */

enum { HOLES_MAX = 4 };

/* The texts that stand where pattern has {}; NULL where text is not of it. Owned by the caller. */
static char **holes_of(const char *pattern, const char *text)
{
  g_auto(GStrv) fixed = g_strsplit(pattern, "{}", HOLES_MAX + 1);
  g_autoptr(GPtrArray) holes = g_ptr_array_new_with_free_func(g_free);
  if (!g_str_has_prefix(text, fixed[0]))
    return NULL;
  text += strlen(fixed[0]);
  for (char **f = fixed + 1; *f; f++) {
    const char *end = **f ? strstr(text, *f) : text + strlen(text);
    if (!end)
      return NULL;
    g_ptr_array_add(holes, g_strndup(text, end - text));
    text = end + strlen(*f);
  }
  g_ptr_array_add(holes, NULL);
  return *text ? NULL : (char **)g_ptr_array_free(g_steal_pointer(&holes), FALSE);
}

static char *fill(const char *pattern, char **holes)
{
  g_auto(GStrv) fixed = g_strsplit(pattern, "{}", HOLES_MAX + 1);
  GString *out = g_string_new(fixed[0]);
  for (int i = 0; fixed[0] && fixed[i + 1] && holes[i]; i++)
    g_string_append_printf(out, "%s%s", holes[i], fixed[i + 1]);
  return g_string_free(out, FALSE);
}

static char *argument_said(const char *english)
{
  for (size_t i = 0; i < G_N_ELEMENTS(patterns); i++) {
    g_auto(GStrv) holes = holes_of(patterns[i].english, english);
    if (holes)
      return fill(patterns[i].korean, holes);
  }
  return g_strdup(say(LANG_KO, english));
}

char *error_said(const GError *err, Lang lang)
{
  if (lang == LANG_EN || err->domain != SARANG_ERROR)
    return error_text(err, lang);
  g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
  for (const char *const *p = error_args(err); p[0]; p += 2) {
    g_ptr_array_add(pairs, g_strdup(p[0]));
    g_ptr_array_add(pairs, strcmp(p[0], "limit") && strcmp(p[0], "action") ? g_strdup(p[1]) : argument_said(p[1]));
  }
  g_ptr_array_add(pairs, NULL);
  g_autoptr(GError) korean = error_new_from_pairs(reason_wire(error_reason(err)), (const char *const *)pairs->pdata);
  return error_text(korean, lang);
}

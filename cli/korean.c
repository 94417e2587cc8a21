/* Help in Korean: each English text of the tables and its Korean one, in korean.def. */
#include <string.h>

#include "cli/command.h"

static const struct { const char *english, *korean; } rows[] = {
#define X(english, korean) { english, korean },
#include "cli/korean.def"
#undef X
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

#include "core/config.h"

#include <string.h>

#include "core/error.h"

enum { FILE_MAX_BYTES = 1 << 20, NAME_MAX_BYTES = 128 };

static void *member_of(void *config, const ConfigOption *o) { return (char *)config + o->offset; }

static const ConfigOption *option_find(const ConfigTable *t, const char *group, const char *key)
{
  for (size_t i = 0; i < t->n; i++)
    if (!strcmp(t->options[i].group, group) && !strcmp(t->options[i].key, key))
      return &t->options[i];
  return NULL;
}

static bool group_is_known(const ConfigTable *t, const char *group)
{
  for (size_t i = 0; i < t->n; i++)
    if (!strcmp(t->options[i].group, group))
      return true;
  return false;
}

/* group NULL: the groups; else that group's keys. */
static char *names_list(const ConfigTable *t, const char *group)
{
  GString *out = g_string_new(NULL);
  for (size_t i = 0; i < t->n; i++) {
    const ConfigOption *o = &t->options[i];
    bool first_of_group = !i || strcmp(o->group, t->options[i - 1].group);
    if (group ? strcmp(o->group, group) != 0 : !first_of_group)
      continue;
    g_string_append_printf(out, "%s%s", out->len ? ", " : "", group ? o->key : o->group);
  }
  return g_string_free(out, FALSE);
}

static bool unknown(const ConfigTable *t, const char *group, const char *key, GError **err)
{
  g_autofree char *field = key ? g_strdup_printf("%s.%s", group, key) : g_strdup_printf("[%s]", group);
  g_autofree char *known = names_list(t, key ? group : NULL);
  return error_false(err, REASON_UNKNOWN_FIELD, "field", field, "known", known, NULL);
}

static char *limit_text(const ConfigOption *o)
{
  switch (o->type) {
  case CONFIG_INT:
    return g_strdup_printf("a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT "%s%s", o->min, o->max,
                           *o->unit ? " " : "", o->unit);
  case CONFIG_BOOL:
    return g_strdup("true or false");
  case CONFIG_TEXT:
    return g_strdup_printf("text of %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " bytes", o->min, o->max);
  case CONFIG_PATH:
    return g_strdup_printf("an absolute path of at most %" G_GINT64_FORMAT " bytes", o->max);
  case CONFIG_LIST:
    return g_strdup_printf("%" G_GINT64_FORMAT " to %" G_GINT64_FORMAT " items, separated by ;", o->min, o->max);
  case CONFIG_CHOICE:
    return g_strdup_printf("one of %s", o->unit);
  case N_CONFIG_TYPES:
    break;
  }
  g_assert_not_reached();
}

static bool bad_value(const ConfigOption *o, const char *value, GError **err)
{
  g_autofree char *field = g_strdup_printf("%s.%s", o->group, o->key);
  g_autofree char *limit = limit_text(o);
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", value, "limit", limit, NULL);
}

static bool int_read(const ConfigOption *o, const char *value, void *member)
{
  return g_ascii_string_to_signed(value, 10, o->min, o->max, (gint64 *)member, NULL);
}

static bool bool_read(const ConfigOption *o, const char *value, void *member)
{
  bool yes = !strcmp(value, "true");
  *(bool *)member = yes;
  return yes || !strcmp(value, "false");
}

static bool text_read(const ConfigOption *o, const char *value, void *member)
{
  int64_t bytes = (int64_t)strlen(value);
  if (bytes < o->min || bytes > o->max)
    return false;
  *(char **)member = g_strdup(value);
  return true;
}

static bool path_read(const ConfigOption *o, const char *value, void *member)
{
  return g_path_is_absolute(value) && text_read(o, value, member);
}

static bool list_read(const ConfigOption *o, const char *value, void *member)
{
  g_auto(GStrv) parts = g_strsplit(value, ";", -1);
  g_autoptr(GStrvBuilder) items = g_strv_builder_new();
  int64_t n = 0;
  for (char **p = parts; *p; p++)
    if (*g_strstrip(*p)) {
      g_strv_builder_add(items, *p);
      n++;
    }
  if (n < o->min || n > o->max)
    return false;
  *(char ***)member = g_strv_builder_end(items);
  return true;
}

static bool choice_read(const ConfigOption *o, const char *value, void *member)
{
  g_auto(GStrv) words = g_strsplit(o->unit, "|", -1);
  for (int i = 0; words[i]; i++)
    if (!strcmp(words[i], value)) {
      *(int *)member = i;
      return true;
    }
  return false;
}

static bool (*const readers[N_CONFIG_TYPES])(const ConfigOption *, const char *, void *) = {
  [CONFIG_INT] = int_read,   [CONFIG_BOOL] = bool_read, [CONFIG_TEXT] = text_read,
  [CONFIG_PATH] = path_read, [CONFIG_LIST] = list_read, [CONFIG_CHOICE] = choice_read,
};

static void member_clear(const ConfigOption *o, void *member)
{
  if (o->type == CONFIG_TEXT || o->type == CONFIG_PATH)
    g_clear_pointer((char **)member, g_free);
  if (o->type == CONFIG_LIST)
    g_clear_pointer((char ***)member, g_strfreev);
}

static bool option_set(const ConfigOption *o, const char *value, void *config, GError **err)
{
  member_clear(o, member_of(config, o));
  return readers[o->type](o, value, member_of(config, o)) || bad_value(o, value, err);
}

static void presets_set(const ConfigTable *t, void *config)
{
  for (size_t i = 0; i < t->n; i++) {
    const ConfigOption *o = &t->options[i];
    bool may_stay_unset = o->type == CONFIG_TEXT || o->type == CONFIG_PATH;
    bool good = o->preset ? option_set(o, o->preset, config, NULL) : may_stay_unset;
    g_assert(good);
  }
}

static bool group_set(const ConfigTable *t, GKeyFile *file, const char *group, void *config, GError **err)
{
  if (!group_is_known(t, group))
    return unknown(t, group, NULL, err);
  g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);
  for (char **key = keys; key && *key; key++) {
    const ConfigOption *o = option_find(t, group, *key);
    if (!o)
      return unknown(t, group, *key, err);
    g_autoptr(GError) bad_escape = NULL;
    g_autofree char *value = g_key_file_get_string(file, group, *key, &bad_escape);
    if (bad_escape)
      return bad_value(o, value ? value : "", err);
    if (!option_set(o, g_strstrip(value), config, err))
      return false;
  }
  return true;
}

static bool text_set(const ConfigTable *t, const char *text, void *config, GError **err)
{
  g_autoptr(GKeyFile) file = g_key_file_new();
  g_autoptr(GError) why = NULL;
  if (!g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, &why))
    return error_false(err, REASON_BAD_CONFIG, "path", "configuration", "detail", why->message, NULL);
  g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
  for (char **group = groups; *group; group++)
    if (!group_set(t, file, *group, config, err))
      return false;
  return true;
}

static bool pair_set(const ConfigTable *t, const char *pair, void *config, GError **err)
{
  const char *equals = strchr(pair, '='), *dot = strchr(pair, '.');
  if (!equals || !dot || dot > equals || equals - pair > NAME_MAX_BYTES)
    return error_false(err, REASON_BAD_VALUE, "field", "--set", "value", pair, "limit", "GROUP.KEY=VALUE", NULL);
  g_autofree char *group = g_strndup(pair, dot - pair);
  g_autofree char *key = g_strndup(dot + 1, equals - dot - 1);
  const ConfigOption *o = option_find(t, group, key);
  if (!o)
    return unknown(t, group, group_is_known(t, group) ? key : NULL, err);
  return option_set(o, equals + 1, config, err);
}

bool config_parse(const ConfigTable *table, const char *text, const char *const *sets, void *ret_config, GError **err)
{
  void *config = g_malloc0(table->struct_bytes);
  presets_set(table, config);
  bool good = !text || text_set(table, text, config, err);
  for (const char *const *pair = sets; good && pair && *pair; pair++)
    good = pair_set(table, *pair, config, err);
  if (!good)
    config_free(table, config);
  else
    *(void **)ret_config = config;
  return good;
}

static bool file_read(const char *path, char **ret_text, GError **err)
{
  g_autoptr(GError) why = NULL;
  g_autofree char *text = NULL;
  gsize bytes;
  if (!g_file_get_contents(path, &text, &bytes, &why))
    return error_false(err, REASON_IO, "action", "read", "path", path, "detail", why->message, NULL);
  if (bytes > FILE_MAX_BYTES)
    return error_false(err, REASON_TOO_LARGE, "what", "the configuration file", "value", "longer", "limit", "1 MiB", NULL);
  if (strlen(text) != bytes)
    return error_false(err, REASON_BAD_CONFIG, "path", path, "detail", "a NUL byte in the text", NULL);
  *ret_text = g_steal_pointer(&text);
  return true;
}

bool config_load(const ConfigTable *table, const char *path, const char *const *sets, void *ret_config, GError **err)
{
  g_autofree char *text = NULL;
  if (path && !file_read(path, &text, err))
    return false;
  g_autoptr(GError) why = NULL;
  if (config_parse(table, text, sets, ret_config, &why))
    return true;
  g_autofree char *detail = error_is(why, REASON_BAD_CONFIG) ? g_strdup(error_arg(why, "detail")) : error_text(why, LANG_EN);
  g_autofree char *fix = error_fix(why, LANG_EN);
  g_autofree char *whole = fix ? g_strdup_printf("%s (%s)", detail, fix) : g_strdup(detail);
  return error_false(err, REASON_BAD_CONFIG, "path", path ? path : "--set", "detail", whole, NULL);
}

void config_free(const ConfigTable *table, void *config)
{
  for (size_t i = 0; config && i < table->n; i++)
    member_clear(&table->options[i], member_of(config, &table->options[i]));
  g_free(config);
}

/* NULL where the option is unset. */
static char *value_text(const ConfigOption *o, const void *config)
{
  const void *member = (const char *)config + o->offset;
  switch (o->type) {
  case CONFIG_INT:
    return g_strdup_printf("%" G_GINT64_FORMAT, *(const int64_t *)member);
  case CONFIG_BOOL:
    return g_strdup(*(const bool *)member ? "true" : "false");
  case CONFIG_TEXT:
  case CONFIG_PATH:
    return g_strdup(*(char *const *)member);
  case CONFIG_LIST:
    return g_strjoinv(";", *(char **const *)member);
  case CONFIG_CHOICE: {
    g_auto(GStrv) words = g_strsplit(o->unit, "|", -1);
    return g_strdup(words[*(const int *)member]);
  }
  case N_CONFIG_TYPES:
    break;
  }
  g_assert_not_reached();
}

char *config_dump(const ConfigTable *table, const void *config)
{
  g_autoptr(GKeyFile) escape = g_key_file_new();
  GString *out = g_string_new(NULL);
  for (size_t i = 0; i < table->n; i++) {
    const ConfigOption *o = &table->options[i];
    if (!i || strcmp(o->group, table->options[i - 1].group))
      g_string_append_printf(out, "%s[%s]\n", i ? "\n" : "", o->group);
    g_autofree char *limit = limit_text(o);
    const char *preset = !o->preset ? "unset" : *o->preset ? o->preset : "empty";
    g_string_append_printf(out, "# %s\n#   %s (default: %s)\n", o->help, limit, preset);
    g_autofree char *value = value_text(o, config);
    if (!value) {
      g_string_append_printf(out, "#%s=\n", o->key);
      continue;
    }
    g_key_file_set_string(escape, "g", "k", value);
    g_autofree char *escaped = g_key_file_get_value(escape, "g", "k", NULL);
    g_string_append_printf(out, "%s=%s\n", o->key, escaped);
  }
  return g_string_free(out, FALSE);
}

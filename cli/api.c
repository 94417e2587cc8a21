/* Verbs of the API's table as commands: words and flags become a request, by the rows of the noun's fields. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

/* Where the first words of a command go when they are not the object's name. */
static const struct { ApiVerb verb; const char *words[3]; } positions[] = {
  { API_IMAGE_IMPORT, { "family", "source" } },
  { API_TEMPLATE_ADD, { "family", "xml" } },
  { API_SESSION_REQUEST, { "pool" } },
  { API_TOKEN_CREATE, { "title" } },
  { API_BACKUP, { "path" } },
};

/* "@FILE" stands for what the file holds. */
static char *text_of(const char *value, GError **err)
{
  g_autoptr(GError) why = NULL;
  char *text = NULL;
  if (value[0] != '@')
    return g_strdup(value);
  if (g_file_get_contents(value + 1, &text, NULL, &why))
    return text;
  return error_null(err, REASON_IO, "action", "read", "path", value + 1, "detail", why->message, NULL);
}

static json_t *list_value(const char *text)
{
  json_t *list = json_array();
  g_auto(GStrv) items = g_strsplit(text, ",", -1);
  for (char **i = items; *i; i++)
    if (**i)
      json_array_append_new(list, json_string(*i));
  return list;
}

/* Text as a field's type wants it; what does not fit goes as text, and the server says what is wrong with it. */
static json_t *typed_value(const Field *f, const char *text)
{
  char *end;
  gint64 number = g_ascii_strtoll(text, &end, 10);
  bool is_number = *text && !*end;
  switch (f->type) {
  case FIELD_INT:
    return is_number ? json_integer(number) : json_string(text);
  case FIELD_BOOL:
    if (!*text || !strcmp(text, "true") || !strcmp(text, "yes"))
      return json_true();
    return !strcmp(text, "false") || !strcmp(text, "no") ? json_false() : json_string(text);
  case FIELD_LIST:
    return list_value(text);
  case FIELD_JSON: {
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    return json ? json : json_string(text);
  }
  case FIELD_TEXT:
  case FIELD_REF:
  case FIELD_ENUM:
  case FIELD_TIME:
    return json_string(text);
  }
  return json_string(text);
}

static bool is_argument(ApiVerb verb, const char *name)
{
  g_auto(GStrv) names = g_strsplit(api_rows[verb].args, " ", -1);
  for (char **n = names; *n; n++)
    if (!strncmp(*n, name, strlen(name)) && (!(*n)[strlen(name)] || (*n)[strlen(name)] == '?'))
      return true;
  return false;
}

static bool body_set(json_t *body, ApiVerb verb, const char *name, const char *value, GError **err)
{
  const Schema *schema = &schemas[api_rows[verb].noun];
  const Field *f = schema_field(schema, name);
  unsigned wanted = api_rows[verb].how == HOW_CREATE ? F_IN : api_rows[verb].how == HOW_CHANGE ? F_CHANGE : 0;
  bool list = api_rows[verb].how == HOW_LIST || api_rows[verb].how == HOW_HISTORY;
  if (!is_argument(verb, name) && !(f && f->flags & wanted) && !list) {
    g_autofree char *help = g_strdup_printf("%s %s", schema->noun, api_rows[verb].verb);
    g_autofree char *what = g_strdup_printf("%s does not know --%s", help, name);
    return error_false(err, REASON_USAGE, "what", what, "help", help, NULL);
  }
  g_autofree char *text = text_of(value ? value : "", err);
  if (!text)
    return false;
  char *end;
  bool number = !f && *text && (g_ascii_strtoll(text, &end, 10), !*end);
  json_object_set_new(body, name, f ? typed_value(f, text) : !value ? json_true() : number ? json_integer(atoll(text)) : json_string(text));
  return true;
}

/* What stands in place of flags: the object's name, or what positions says. */
static bool take_words(Command *c, json_t *body, char **ret_name, GError **err)
{
  const ApiRow *row = &api_rows[c->verb];
  guint used = 0;
  if (strchr(row->path, '{') && c->words->len)
    *ret_name = g_strdup(c->words->pdata[used++]);
  else if (g_str_has_prefix(row->args, "name") && c->words->len)
    json_object_set_new(body, "name", json_string(c->words->pdata[used++]));
  for (size_t p = 0; p < G_N_ELEMENTS(positions); p++)
    for (int i = 0; positions[p].verb == c->verb && positions[p].words[i] && used < c->words->len; i++, used++) {
      g_autofree char *file = !strcmp(positions[p].words[i], "xml") ? g_strconcat("@", c->words->pdata[used], NULL) : g_strdup(c->words->pdata[used]);
      if (!body_set(body, c->verb, positions[p].words[i], file, err))
        return false;
    }
  g_autofree char *help = g_strdup_printf("%s %s", schemas[row->noun].noun, row->verb);
  if (strchr(row->path, '{') && !*ret_name)
    return error_false(err, REASON_USAGE, "what", "the name is missing", "help", help, NULL);
  if (used < c->words->len)
    return error_false(err, REASON_USAGE, "what", "there are too many words", "help", help, NULL);
  return true;
}

/* Passwords come from the terminal or standard input, never from the command line, where everyone sees them. */
static bool read_password(json_t *body, const char *member, GError **err)
{
  char line[256] = "";
  const char *typed = isatty(STDIN_FILENO) ? getpass("Password: ") : fgets(line, sizeof line, stdin);
  if (!typed)
    return error_false(err, REASON_MISSING_FIELD, "field", member, NULL);
  g_autofree char *password = g_strdup(typed);
  password[strcspn(password, "\n")] = 0;
  json_object_set_new(body, member, json_string(password));
  memset(password, 0, strlen(password));
  memset(line, 0, sizeof line);
  return true;
}

static bool take_flags(Command *c, json_t *body, GError **err)
{
  for (guint i = 0; i + 1 < c->flags->len; i += 2) {
    const char *name = c->flags->pdata[i], *value = c->flags->pdata[i + 1];
    bool secret = !strcmp(name, "password") && is_argument(c->verb, "password");
    if (secret ? !read_password(body, name, err) : !body_set(body, c->verb, name, value, err))
      return false;
  }
  bool wants = c->verb == API_USER_PASSWORD && !json_object_get(body, "password");
  return !wants || read_password(body, "password", err);
}

/* The filters of a list as a query. */
static char *query_of(json_t *body)
{
  g_autoptr(GString) query = g_string_new(NULL);
  const char *key;
  json_t *value;
  json_object_foreach(body, key, value) {
    g_autofree char *text = json_is_string(value) ? g_strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
    g_autofree char *escaped = g_uri_escape_string(text, NULL, FALSE);
    g_string_append_printf(query, "%c%s=%s", query->len ? '&' : '?', key, escaped);
  }
  return g_string_free(g_steal_pointer(&query), FALSE);
}

/* Every page of a list, as one array. */
static bool ask_list(Command *c, json_t *filters, json_t **ret_list, GError **err)
{
  json_auto_t *all = json_array();
  bool one_page = json_object_get(filters, "limit") != NULL;
  for (;;) {
    g_autofree char *query = query_of(filters);
    g_autofree char *path = g_strconcat(api_rows[c->verb].path, query, NULL);
    json_auto_t *page = NULL;
    if (!client_ask(&c->place, METHOD_GET, path, NULL, &page, NULL, err))
      return false;
    json_array_extend(all, json_object_get(page, "items"));
    json_t *next = json_object_get(page, "next");
    if (one_page || !json_is_string(next))
      break;
    json_object_set(filters, api_rows[c->verb].how == HOW_HISTORY ? "before" : "after", next);
    if (api_rows[c->verb].how == HOW_HISTORY && json_array_size(all) >= 1000)
      break;
  }
  *ret_list = json_incref(all);
  return true;
}

static Noun answer_noun(const Command *c, json_t *json)
{
  const char *name = json_string_value(json_object_get(json, "name"));
  bool task = name && g_str_has_prefix(name, "t-") && api_rows[c->verb].how == HOW_ACT;
  return task ? NOUN_TASK : api_rows[c->verb].noun;
}

static bool ask_one(Command *c, const char *name, json_t *body, json_t **ret_json, GError **err)
{
  g_autofree char *path = client_path(c->verb, name);
  g_autoptr(GBytes) bytes = NULL;
  if (!client_ask(&c->place, api_rows[c->verb].method, path, api_rows[c->verb].method == METHOD_GET ? NULL : body, ret_json, &bytes, err))
    return false;
  if (bytes)
    fwrite(g_bytes_get_data(bytes, NULL), 1, g_bytes_get_size(bytes), stdout);
  return true;
}

bool command_run_api(Command *c, GError **err)
{
  const ApiRow *row = &api_rows[c->verb];
  json_auto_t *body = json_object();
  g_autofree char *name = NULL;
  if (!take_words(c, body, &name, err) || !take_flags(c, body, err))
    return false;
  json_t *answer = NULL;
  bool list = row->how == HOW_LIST || row->how == HOW_HISTORY;
  if (!(list ? ask_list(c, body, &answer, err) : ask_one(c, name, body, &answer, err)))
    return false;
  bool ok = true;
  if (answer && !list && c->wait)
    ok = command_wait(c, answer_noun(c, answer), &answer, err);
  if (answer && (json_is_array(answer) || json_object_get(answer, "name") || json_object_size(answer)) && !(c->quiet && !list))
    output_print(c->form, list ? row->noun : answer_noun(c, answer), answer, !c->no_headers);
  json_decref(answer);
  return ok;
}

/* Verbs of the API's table as commands: words and flags become a request, by the rows of the noun's fields. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "core/text.h"
#include "core/words.h"

enum { HISTORY_MOST = 1000 };

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

json_t *typed_value(const Field *f, const char *text)
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

static json_t *plain_value(const char *text)
{
  char *end;
  gint64 number = g_ascii_strtoll(text, &end, 10);
  return *text && !*end ? json_integer(number) : json_string(text);
}

/* value NULL: a flag that stands alone. */
static bool body_set(json_t *body, ApiVerb verb, const char *name, const char *value, GError **err)
{
  const CommandFlag *flag = verb_flag(verb, name);
  const Field *f = flag ? flag->field : NULL;
  g_autofree char *text = text_of(value ? value : "", err);
  if (!text)
    return false;
  bool names_file = verb == API_IMAGE_IMPORT && !strcmp(name, "source");
  g_autofree char *absolute = names_file && *text ? g_canonicalize_filename(text, NULL) : NULL;
  bool counts = flag && !g_strcmp0(flag->value, "N");
  json_t *typed = f ? typed_value(f, absolute ? absolute : text) : !value ? json_true() : counts ? plain_value(text) : json_string(text);
  json_object_set_new(body, name, typed);
  return true;
}

/* The word behind --password is meant as one: it is not told. */
static bool too_many(const Command *c, guint used, GError **err)
{
  g_autofree char *usage = verb_usage(c->verb);
  if (command_flag(c, "password") || command_flag(c, "old_password") || c->verb == API_USER_PASSWORD)
    return refuse_typed_secret("--password", err);
  return error_false(err, REASON_TOO_MANY_WORDS, "word", c->words->pdata[used], "usage", usage, NULL);
}

/* What stands in place of flags: the object's name, or what verb_positions says. */
static bool take_words(Command *c, json_t *body, char **ret_name, GError **err)
{
  guint used = 0;
  if (verb_takes_name(c->verb) && !c->words->len) {
    g_autofree char *usage = verb_usage(c->verb);
    return error_false(err, REASON_MISSING_WORDS, "usage", usage, NULL);
  }
  if (strchr(api_rows[c->verb].path, '{'))
    *ret_name = g_strdup(c->words->pdata[used++]);
  else if (verb_takes_name(c->verb))
    json_object_set_new(body, "name", json_string(c->words->pdata[used++]));
  for (const char *const *word = verb_positions(c->verb); *word && used < c->words->len; word++, used++) {
    g_autofree char *value = g_strconcat(strcmp(*word, "xml") ? "" : "@", c->words->pdata[used], NULL);
    if (!body_set(body, c->verb, *word, value, err))
      return false;
  }
  return used == c->words->len || too_many(c, used, err);
}

/* What was typed blind is typed twice, or a slip locks its owner out. */
static bool read_again(const char *password, Lang lang, GError **err)
{
  g_autofree char *again = secret_read(say(lang, "The same again: "));
  bool same = !g_strcmp0(password, again);
  if (again)
    explicit_bzero(again, strlen(again));
  return same || error_false(err, REASON_PASSWORDS_DIFFER, NULL);
}

/* Passwords come from the terminal or standard input, never from the command line, where everyone sees them. */
static bool read_password(const Command *c, json_t *body, const char *member, GError **err)
{
  Lang lang = c->place.lang;
  bool fresh = !strcmp(member, "password");
  g_autofree char *password = secret_read(fresh ? say(lang, "Password: ") : say(lang, "Old password: "));
  if (!password)
    return error_false(err, REASON_MISSING_FIELD, "field", member, NULL);
  bool good = !fresh || !isatty(STDIN_FILENO) || read_again(password, lang, err);
  if (good)
    json_object_set_new(body, member, json_string(password));
  explicit_bzero(password, strlen(password));
  return good;
}

static bool take_flags(Command *c, json_t *body, GError **err)
{
  bool old = command_flag(c, "old_password") && verb_has_argument(c->verb, "old_password");
  if (old && !read_password(c, body, "old_password", err))
    return false;
  for (guint i = 0; i + 1 < c->flags->len; i += 2) {
    const char *name = c->flags->pdata[i];
    if (!flag_is_secret(name) && !body_set(body, c->verb, name, c->flags->pdata[i + 1], err))
      return false;
  }
  bool wanted = command_flag(c, "password") || c->verb == API_USER_PASSWORD;
  return !wanted || !verb_has_argument(c->verb, "password") || read_password(c, body, "password", err);
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

/* How many were asked for, 0 = all. */
static int64_t limit_of(const json_t *filters)
{
  const json_t *limit = json_object_get(filters, "limit");
  return json_is_string(limit) ? g_ascii_strtoll(json_string_value(limit), NULL, 10) : json_integer_value(limit);
}

bool command_ask_list(Command *c, ApiVerb verb, json_t *filters, json_t **ret_list, int64_t *ret_sequence, GError **err)
{
  json_auto_t *all = json_array();
  bool history = api_rows[verb].how == HOW_HISTORY;
  int64_t limit = limit_of(filters), most = limit ? limit : history ? HISTORY_MOST : INT64_MAX;
  for (json_t *next = json_true(); next;) {
    g_autofree char *query = query_of(filters);
    g_autofree char *path = g_strconcat(api_rows[verb].path, query, NULL);
    json_auto_t *page = NULL;
    if (!client_ask(&c->place, METHOD_GET, path, NULL, &page, NULL, err))
      return false;
    json_array_extend(all, json_object_get(page, "items"));
    if (ret_sequence)
      *ret_sequence = json_integer_value(json_object_get(page, "sequence"));
    /* a page of history that holds fewer is not the last: what is rare lies further back */
    next = (int64_t)json_array_size(all) >= most ? NULL : json_object_get(page, "next");
    next = json_is_string(next) ? next : NULL;
    if (next)
      json_object_set(filters, "after", next);
  }
  while (limit && (int64_t)json_array_size(all) > limit)
    json_array_remove(all, json_array_size(all) - 1);
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
  if (bytes && g_bytes_get_size(bytes)) /* what is done without a word has none */
    fwrite(g_bytes_get_data(bytes, NULL), 1, g_bytes_get_size(bytes), stdout);
  return true;
}

/* ── dry run ──────────────────────────────────────────────────────────────── */

/* What the tables can say of a request without asking: names, fields, limits. */
static bool request_check(ApiVerb verb, json_t *body, GError **err)
{
  const ApiRow *row = &api_rows[verb];
  bool create = row->how == HOW_CREATE;
  if (!create && row->how != HOW_CHANGE)
    return true;
  json_auto_t *fields = json_object();
  const char *key;
  json_t *value;
  json_object_foreach(body, key, value)
    if (!verb_has_argument(verb, key) || (schema_field(&schemas[row->noun], key) && schema_field(&schemas[row->noun], key)->flags & F_IN))
      json_object_set(fields, key, value);
  const char *name = json_string_value(json_object_get(body, "name"));
  if (create && verb_takes_name(verb) && !(verb == API_USER_ADD ? account_check : name_check)("name", name, err))
    return false;
  Object *object = object_new(&schemas[row->noun], row->noun, "dry-run");
  bool ok = object_set_json(&schemas[row->noun], object, fields, create ? JSON_CREATE : JSON_CHANGE, err);
  object_unref(&schemas[row->noun], object);
  return ok;
}

static void hide_secrets(json_t *body)
{
  static const char *const secrets[] = { "password", "old_password" };
  for (size_t i = 0; i < G_N_ELEMENTS(secrets); i++)
    if (json_object_get(body, secrets[i]))
      json_object_set_new(body, secrets[i], json_string("…"));
}

/* Says what would be asked for. Whether the object is there is looked up; whether it can be done the server alone knows. */
static bool dry_run(Command *c, const char *name, json_t *body, GError **err)
{
  const ApiRow *row = &api_rows[c->verb];
  ApiVerb show = name ? api_find_words(schemas[row->noun].noun, "show") : N_API_VERBS;
  g_autofree char *there = show == N_API_VERBS ? NULL : client_path(show, name);
  if (!request_check(c->verb, body, err) || (there && !client_ask(&c->place, METHOD_GET, there, NULL, NULL, NULL, err)))
    return false;
  hide_secrets(body);
  g_autofree char *path = client_path(c->verb, name), *text = json_dumps(body, JSON_INDENT(2));
  printf("%s %s\n%s\n", api_method_name(row->method), path, text);
  return true;
}

/* ── running ──────────────────────────────────────────────────────────────── */

static OutputStyle style_of(const Command *c)
{
  return (OutputStyle){ c->form, c->color, c->columns, !c->no_headers, c->place.lang };
}

/* "sarang pool create NAME --template NAME …": how the first one is made, or NULL. Owned by the caller. */
static char *first_of(Noun noun)
{
  for (ApiVerb verb = 0; verb < N_API_VERBS; verb++) {
    if (api_rows[verb].noun != noun || api_rows[verb].how != HOW_CREATE)
      continue;
    g_autofree char *usage = verb_usage(verb);
    g_autoptr(GString) text = g_string_new(usage);
    g_autoptr(GArray) flags = verb_flags(verb);
    for (guint i = 0; i < flags->len; i++) {
      const CommandFlag *f = &g_array_index(flags, CommandFlag, i);
      if (f->needed && !g_strv_contains(verb_positions(verb), f->name))
        g_string_append_printf(text, " --%s %s", f->name, f->value);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
  }
  return NULL;
}

/* A list without lines leaves people wondering. */
static void tell_of_nothing(const Command *c, json_t *filters)
{
  Lang lang = c->place.lang;
  const Schema *schema = &schemas[api_rows[c->verb].noun];
  const char *what = lang == LANG_KO ? word_noun(schema->noun, lang) : schema->plural;
  g_autofree char *first = api_rows[c->verb].how == HOW_LIST ? first_of(api_rows[c->verb].noun) : NULL;
  if (c->quiet || c->place.programs)
    return;
  if (json_object_size(filters))
    fprintf(stderr, say(lang, "no %s are like that; all of them: sarang %s %s\n"), what, schema->noun, api_rows[c->verb].verb);
  else if (first)
    fprintf(stderr, say(lang, "no %s yet: %s\n"), what, first);
  else
    fprintf(stderr, say(lang, "no %s\n"), what);
}

static bool run_list(Command *c, json_t *filters, GError **err)
{
  json_auto_t *list = NULL;
  int64_t sequence = 0;
  json_auto_t *wanted = json_deep_copy(filters);
  Noun noun = api_rows[c->verb].noun;
  if (c->columns && !output_columns_check(noun, c->columns, err))
    return false;
  if (c->watch)
    return command_watch(c, noun, NULL, wanted, err);
  if (!command_ask_list(c, c->verb, filters, &list, &sequence, err))
    return false;
  OutputStyle style = style_of(c);
  if (!json_array_size(list))
    tell_of_nothing(c, wanted);
  output_print(&style, noun, list);
  return true;
}

/* What a session that was asked for waits for, where it is known. */
static void wait_say(json_t *session, Lang lang)
{
  g_autoptr(GError) why = output_error(json_object_get(session, "error"));
  g_autofree char *text = why ? error_text(why, lang) : NULL;
  if (text)
    fprintf(stderr, "%s\n", text);
}

/* What was done, and perhaps not as it was meant; for programs it stands in the answer. */
static void warning_say(const Command *c, json_t *answer)
{
  g_autoptr(GError) why = output_error(json_object_get(answer, "warning"));
  if (!why)
    return;
  g_autofree char *text = error_text(why, c->place.lang), *fix = error_fix(why, c->place.lang);
  fprintf(stderr, say(c->place.lang, "warning: %s\n"), text);
  if (fix && *fix)
    fprintf(stderr, "         %s\n", fix);
  if (c->form != OUTPUT_JSON && c->form != OUTPUT_YAML)
    json_object_del(answer, "warning");
}

static bool run_one(Command *c, const char *name, json_t *body, GError **err)
{
  json_t *answer = NULL;
  if (c->watch && api_rows[c->verb].how == HOW_GET)
    return command_watch(c, api_rows[c->verb].noun, name, NULL, err);
  if (!ask_one(c, name, body, &answer, err))
    return false;
  bool ok = !answer || !c->wait || command_wait(c, answer_noun(c, answer), &answer, err);
  OutputStyle style = style_of(c);
  if (answer && c->verb == API_STATUS) {
    status_add_troubles(c, answer, c->place.programs ? LANG_EN : c->place.lang);
    if (!c->place.programs)
      status_print(answer, c->place.lang);
  }
  bool shown = c->verb == API_STATUS && !c->place.programs;
  bool told = answer && !shown && json_object_size(answer) && (!c->quiet || api_rows[c->verb].method == METHOD_GET || c->form != OUTPUT_TABLE);
  warning_say(c, answer);
  if (told)
    output_print(&style, answer_noun(c, answer), answer);
  if (told && c->verb == API_SESSION_REQUEST && !c->place.programs)
    wait_say(answer, c->place.lang);
  json_decref(answer);
  return ok;
}

bool command_run_api(Command *c, GError **err)
{
  const ApiRow *row = &api_rows[c->verb];
  json_auto_t *body = json_object();
  g_autofree char *name = NULL;
  if (!take_words(c, body, &name, err) || !take_flags(c, body, err) || (c->verb == API_TEMPLATE_ADD && !template_add_check(c, body, err)))
    return false;
  if (c->dry_run && row->method != METHOD_GET)
    return dry_run(c, name, body, err);
  return row->how == HOW_LIST || row->how == HOW_HISTORY ? run_list(c, body, err) : run_one(c, name, body, err);
}

#include "drivers/http/body.h"

#include <string.h>

static int depth_step(char c)
{
  return c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
}

/* Counted before parsing, so that the parser's recursion stays ours. */
static bool depth_is_good(const char *text, size_t bytes)
{
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < bytes && depth <= BODY_MAX_DEPTH; i++) {
    if (quoted && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted)
      depth += depth_step(text[i]);
  }
  return depth <= BODY_MAX_DEPTH;
}

json_t *body_parse(const char *text, size_t bytes, GError **err)
{
  if (!depth_is_good(text, bytes))
    return error_null(err, REASON_BAD_JSON, "detail", "it is deeper than 32 levels", NULL);
  json_error_t fault;
  json_t *body = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &fault);
  if (!body) {
    char *near_text = strstr(fault.text, " near ");
    if (near_text)
      *near_text = 0;
    g_autofree char *detail = g_strdup_printf("%s (line %d, column %d)", fault.text, fault.line, fault.column);
    return error_null(err, REASON_BAD_JSON, "detail", detail, NULL);
  }
  if (json_is_object(body))
    return body;
  json_decref(body);
  return error_null(err, REASON_BAD_JSON, "detail", "it must be an object", NULL);
}

/* Whether word is one of those in list, "name password?"; with its "?" told apart. */
static bool list_has(const char *list, const char *word)
{
  size_t length = strlen(word);
  for (const char *at = list; *at; at += strspn(at, " ")) {
    size_t n = strcspn(at, " ?");
    if (n == length && !strncmp(at, word, n))
      return true;
    at += strcspn(at, " ");
  }
  return false;
}

static unsigned settable(ApiHow how)
{
  return how == HOW_CREATE ? F_IN : how == HOW_CHANGE ? F_CHANGE : 0;
}

static bool refuse_member(const ApiRow *row, const char *member, GError **err)
{
  g_autoptr(GString) known = g_string_new(NULL);
  g_auto(GStrv) args = g_strsplit(row->args, " ", -1);
  const Schema *schema = &schemas[row->noun];
  for (char **arg = args; *arg; arg++)
    if (**arg)
      g_string_append_printf(known, "%s%.*s", known->len ? ", " : "", (int)strcspn(*arg, "?"), *arg);
  for (int i = 0; i < schema->n_fields; i++)
    if (schema->fields[i].flags & settable(row->how))
      g_string_append_printf(known, "%s%s", known->len ? ", " : "", schema->fields[i].name);
  return error_false(err, REASON_UNKNOWN_FIELD, "field", member, "known", known->len ? known->str : "nothing", NULL);
}

static bool check_needed(const ApiRow *row, json_t *body, GError **err)
{
  g_auto(GStrv) args = g_strsplit(row->args, " ", -1);
  for (char **arg = args; *arg; arg++)
    if (**arg && !strchr(*arg, '?') && !json_object_get(body, *arg))
      return error_false(err, REASON_MISSING_FIELD, "field", *arg, NULL);
  const Schema *schema = &schemas[row->noun];
  for (int i = 0; row->how == HOW_CREATE && i < schema->n_fields; i++)
    if (schema->fields[i].flags & F_NEED && !json_object_get(body, schema->fields[i].name))
      return error_false(err, REASON_MISSING_FIELD, "field", schema->fields[i].name, NULL);
  return true;
}

/* What a member is that is no text. Passwords and paths are refused by their own words, fields of numbers and lists by their schema. */
static const char *limit_of(const char *member, const Field *field, const json_t *value)
{
  static const char *const numbers = "days clone slot count", *const answers = "force ticket apply migrate";
  static const char *const others = "password old_password path";
  bool text = field ? field->type == FIELD_TEXT || field->type == FIELD_REF : !list_has(others, member);
  if (json_is_null(value))
    return NULL;
  if (!field && list_has(numbers, member))
    return json_is_integer(value) ? NULL : "a whole number";
  if (!field && list_has(answers, member))
    return json_is_boolean(value) ? NULL : "true or false";
  return !text || json_is_string(value) ? NULL : "a text";
}

/* What is of another kind than it must be is not taken for absent. A gateway is a program of ours. */
static bool check_kind(const ApiRow *row, const char *member, const Field *field, json_t *value, GError **err)
{
  const char *limit = row->allow & MAY_GATEWAY ? NULL : limit_of(member, field, value);
  if (!limit)
    return true;
  bool is_short = json_is_number(value) || json_is_boolean(value);
  g_autofree char *text = is_short ? json_dumps(value, JSON_ENCODE_ANY) : g_strdup(json_is_string(value) ? json_string_value(value) : "…");
  return error_false(err, REASON_BAD_VALUE, "field", member, "value", text, "limit", limit, NULL);
}

bool body_check(ApiVerb verb, json_t *body, GError **err)
{
  const ApiRow *row = &api_rows[verb];
  const char *member;
  json_t *value;
  json_object_foreach(body, member, value) {
    const Field *field = schema_field(&schemas[row->noun], member);
    bool is_field = field && field->flags & settable(row->how);
    if (!list_has(row->args, member) && !is_field)
      return refuse_member(row, member, err);
    if (!check_kind(row, member, is_field ? field : NULL, value, err))
      return false;
  }
  return check_needed(row, body, err);
}

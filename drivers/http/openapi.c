#include "drivers/http/openapi.h"

#include <string.h>

#include "core/version.h"

bool noun_is_listed(Noun noun)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    if (api_rows[v].noun == noun && (api_rows[v].how == HOW_LIST || api_rows[v].how == HOW_HISTORY))
      return true;
  return false;
}

static void append_name(GString *out, const char *name)
{
  if (out->str[out->len - 1] != '{' && out->str[out->len - 1] != '[')
    g_string_append_c(out, ',');
  json_append_text(out, name);
  g_string_append_c(out, ':');
}

static void append_member(GString *out, const char *name, const char *value)
{
  append_name(out, name);
  json_append_text(out, value);
}

/* ── nouns ────────────────────────────────────────────────────────────────── */

static const char *const json_types[] = {
  [FIELD_TEXT] = "\"type\":[\"string\",\"null\"]", [FIELD_REF] = "\"type\":[\"string\",\"null\"]",
  [FIELD_INT] = "\"type\":\"integer\"", [FIELD_BOOL] = "\"type\":\"boolean\"", [FIELD_ENUM] = "\"type\":\"string\"",
  [FIELD_TIME] = "\"type\":[\"string\",\"null\"],\"format\":\"date-time\"",
  [FIELD_LIST] = "\"type\":\"array\",\"items\":{\"type\":\"string\"}", [FIELD_JSON] = "\"description\":\"any JSON\"",
};

static void append_field(GString *out, const Field *f)
{
  append_name(out, f->name);
  g_string_append_printf(out, "{%s", json_types[f->type]);
  if (f->type == FIELD_INT)
    g_string_append_printf(out, ",\"minimum\":%" G_GINT64_FORMAT ",\"maximum\":%" G_GINT64_FORMAT, f->min, f->max);
  if (f->type == FIELD_ENUM) {
    g_string_append(out, ",\"enum\":[");
    for (int i = 0; i < f->names->n; i++) {
      g_string_append(out, i ? "," : "");
      json_append_text(out, f->names->names[i]);
    }
    g_string_append_c(out, ']');
  }
  if (f->type != FIELD_JSON)
    append_member(out, "description", f->help);
  g_string_append_c(out, '}');
}

static void append_required(GString *out, const Schema *schema)
{
  bool any = false;
  for (int i = 0; i < schema->n_fields; i++) {
    if (!(schema->fields[i].flags & F_NEED))
      continue;
    g_string_append(out, any ? "," : ",\"required\":[");
    json_append_text(out, schema->fields[i].name);
    any = true;
  }
  g_string_append(out, any ? "]" : "");
}

/* The object itself, or what of it may be given (wanted: F_IN, F_CHANGE). */
static void append_schema(GString *out, const char *prefix, Noun noun, unsigned wanted)
{
  static const char head[] =
      "\"name\":{\"type\":\"string\"},\"generation\":{\"type\":\"integer\"},"
      "\"created\":{\"type\":\"string\",\"format\":\"date-time\"},\"changed\":{\"type\":\"string\",\"format\":\"date-time\"}";
  static const char taken[] =
      ",\"desktops\":{\"type\":\"integer\"},\"vcpus_used\":{\"type\":\"integer\"},\"vcpus_total\":{\"type\":\"integer\"},"
      "\"memory_used_mib\":{\"type\":\"integer\"},\"memory_total_mib\":{\"type\":\"integer\"},"
      "\"huge_used_mib\":{\"type\":\"integer\"},\"huge_free_mib\":{\"type\":\"integer\"}";
  const Schema *schema = &schemas[noun];
  g_autofree char *name = g_strconcat(prefix, schema->noun, NULL);
  append_name(out, name);
  g_string_append(out, "{\"type\":\"object\",\"properties\":{");
  g_string_append(out, wanted ? "" : head);
  for (int i = 0; i < schema->n_fields; i++)
    if (!(schema->fields[i].flags & F_SECRET) && (!wanted || schema->fields[i].flags & wanted))
      append_field(out, &schema->fields[i]);
  if (noun == NOUN_HOST && !wanted)
    g_string_append(out, taken);
  g_string_append_c(out, '}');
  if (wanted == F_IN)
    append_required(out, schema);
  g_string_append_c(out, '}');
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

static void append_arguments(GString *out, const ApiRow *row)
{
  g_auto(GStrv) args = g_strsplit(row->args, " ", -1);
  g_string_append(out, "{\"type\":\"object\",\"properties\":{");
  for (char **arg = args; *arg; arg++)
    if (**arg) {
      g_autofree char *name = g_strndup(*arg, strcspn(*arg, "?"));
      append_name(out, name);
      g_string_append(out, "{}");
    }
  g_string_append(out, "}}");
}

static void append_body(GString *out, const ApiRow *row)
{
  bool fields = row->how == HOW_CREATE || row->how == HOW_CHANGE;
  if (row->method == METHOD_GET || (!fields && !*row->args))
    return;
  append_name(out, "requestBody");
  g_string_append(out, "{\"content\":{\"application/json\":{\"schema\":");
  if (fields)
    g_string_append_printf(out, "{\"allOf\":[{\"$ref\":\"#/components/schemas/%s-%s\"},",
                           row->how == HOW_CREATE ? "new" : "changed", schemas[row->noun].noun);
  append_arguments(out, row);
  g_string_append(out, fields ? "]}}}}" : "}}}");
}

static void append_parameter(GString *out, const char *where, const char *name, const char *type)
{
  if (out->str[out->len - 1] != '[')
    g_string_append_c(out, ',');
  g_string_append_printf(out, "{\"in\":\"%s\",\"name\":\"%s\",\"required\":%s,\"schema\":{\"type\":\"%s\"}}", where, name,
                         strcmp(where, "path") ? "false" : "true", type);
}

static void append_parameters(GString *out, const ApiRow *row)
{
  append_name(out, "parameters");
  g_string_append_c(out, '[');
  if (strchr(row->path, '{'))
    append_parameter(out, "path", "name", "string");
  if (row->how == HOW_LIST || row->how == HOW_HISTORY) {
    append_parameter(out, "query", "limit", "integer");
    append_parameter(out, "query", "after", "string");
  }
  if (row->how == HOW_CREATE || row->how == HOW_CHANGE || row->how == HOW_ACT)
    append_parameter(out, "header", "Idempotency-Key", "string");
  if (row->how == HOW_CHANGE || (row->how == HOW_ACT && strchr(row->path, '{')))
    append_parameter(out, "header", "If-Match", "string");
  g_string_append_c(out, ']');
}

static void append_answer(GString *out, const ApiRow *row)
{
  const char *noun = schemas[row->noun].noun;
  append_name(out, "responses");
  g_string_append(out, "{\"default\":{\"description\":\"refused\",\"content\":{\"application/problem+json\":{\"schema\":"
                       "{\"$ref\":\"#/components/schemas/problem\"}}}},\"2XX\":{\"description\":\"done\"");
  if (row->how == HOW_LIST || row->how == HOW_HISTORY)
    g_string_append_printf(
        out,
        ",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\","
        "\"items\":{\"$ref\":\"#/components/schemas/%s\"}},\"next\":{\"type\":[\"string\",\"null\"]},"
        "\"sequence\":{\"type\":\"integer\"}}}}}",
        noun);
  else if (row->how == HOW_GET)
    g_string_append_printf(out, ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}", noun);
  g_string_append(out, "}}");
}

static void append_verb(GString *out, const ApiRow *row)
{
  g_autofree char *method = g_ascii_strdown(api_method_name(row->method), -1);
  g_autofree char *id = g_strdup_printf("%s.%s", schemas[row->noun].noun, row->verb);
  append_name(out, method);
  g_string_append_c(out, '{');
  append_member(out, "operationId", id);
  append_member(out, "summary", row->help);
  append_parameters(out, row);
  append_body(out, row);
  append_answer(out, row);
  if (row->allow & MAY_NOBODY)
    g_string_append(out, ",\"security\":[]");
  g_string_append_c(out, '}');
}

/* A path once, with all its methods, at the first row that has it. */
static void append_path(GString *out, ApiVerb first)
{
  const char *path = api_rows[first].path;
  for (ApiVerb v = 0; v < first; v++)
    if (!strcmp(api_rows[v].path, path))
      return;
  append_name(out, path);
  g_string_append_c(out, '{');
  for (ApiVerb v = first; v < N_API_VERBS; v++)
    if (!strcmp(api_rows[v].path, path))
      append_verb(out, &api_rows[v]);
  g_string_append_c(out, '}');
}

GString *openapi_new(void)
{
  static const char problem[] = "{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":"
                                "\"string\"},\"status\":{\"type\":\"integer\"},"
                                "\"detail\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},\"fix\":{\"type\":[\"string\","
                                "\"null\"]},\"reasons\":{\"type\":\"array\",\"items\":"
                                "{\"type\":\"object\",\"properties\":{\"code\":{\"type\":\"string\"},\"args\":{\"type\":"
                                "\"object\"},\"text\":{\"type\":\"string\"}}}}}}";
  GString *out =
      g_string_new("{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Sarang\",\"version\":\"" SARANG_VERSION "\"},\"paths\":{");
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    if (!(api_rows[v].allow & MAY_GATEWAY))
      append_path(out, v);
  g_string_append(out,
                  "},\"security\":[{\"token\":[]},{\"cookie\":[]}],\"components\":{\"securitySchemes\":{\"token\":{\"type\":"
                  "\"http\",\"scheme\":\"bearer\"},"
                  "\"cookie\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"__Host-sarang\"}},\"schemas\":{\"problem\":");
  g_string_append(out, problem);
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    if (noun_is_listed(noun)) {
      append_schema(out, "", noun, 0);
      append_schema(out, "new-", noun, F_IN);
      append_schema(out, "changed-", noun, F_CHANGE);
    }
  g_string_append(out, "}}}");
  return out;
}

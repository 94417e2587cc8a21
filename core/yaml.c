#include "core/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/error.h"

typedef struct {
  const char *file;
  yaml_parser_t parser;
  yaml_event_t event;
  int nodes;
} Reader;

static bool refuse(Reader *r, size_t line, const char *what, GError **err)
{
  g_autofree char *number = g_strdup_printf("%zu", line + 1);
  return error_false(err, REASON_YAML_REFUSED, "file", r->file, "line", number, "what", what, NULL);
}

static bool refuse_here(Reader *r, const char *what, GError **err)
{
  return refuse(r, r->event.start_mark.line, what, err);
}

static bool next(Reader *r, GError **err)
{
  yaml_event_delete(&r->event);
  if (yaml_parser_parse(&r->parser, &r->event))
    return true;
  memset(&r->event, 0, sizeof r->event);
  const char *problem = r->parser.problem ? r->parser.problem : "it is not YAML";
  return refuse(r, r->parser.problem_mark.line, problem, err);
}

/* ── scalars ──────────────────────────────────────────────────────────────── */

static bool is_one_of(const char *text, const char *const *words)
{
  return g_strv_contains(words, text);
}

/* An integer as JSON would write it, or NULL. */
static json_t *integer_of(const char *text)
{
  const char *digits = text + (*text == '-');
  char *end;
  if (!*digits || strspn(digits, "0123456789") != strlen(digits) || (digits[0] == '0' && digits[1]))
    return NULL;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  return errno ? NULL : json_integer(value);
}

static json_t *plain_of(const char *text)
{
  static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL }, *const yes[] = { "true", "True", "TRUE", NULL },
                     *const no[] = { "false", "False", "FALSE", NULL };
  if (is_one_of(text, nulls))
    return json_null();
  if (is_one_of(text, yes) || is_one_of(text, no))
    return json_boolean(is_one_of(text, yes));
  json_t *integer = integer_of(text);
  return integer ? integer : json_string(text);
}

static json_t *scalar_of(Reader *r, GError **err)
{
  const char *text = (const char *)r->event.data.scalar.value;
  if (strlen(text) != r->event.data.scalar.length) {
    refuse_here(r, "a text holds a NUL", err);
    return NULL;
  }
  bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  json_t *value = plain ? plain_of(text) : json_string(text);
  if (!value)
    refuse_here(r, "a text is not UTF-8", err);
  return value;
}

/* ── nodes ────────────────────────────────────────────────────────────────── */

static json_t *node_of(Reader *r, int depth, GError **err);

/* Anchors and tags give a node a second life or another type. */
static bool node_check(Reader *r, int depth, GError **err)
{
  const yaml_event_t *e = &r->event;
  yaml_char_t *anchor = e->type == YAML_SCALAR_EVENT           ? e->data.scalar.anchor
                        : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor
                                                               : e->data.mapping_start.anchor;
  yaml_char_t *tag = e->type == YAML_SCALAR_EVENT ? e->data.scalar.tag : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.tag
                                                                                                               : e->data.mapping_start.tag;
  if (anchor)
    return refuse_here(r, "anchors (&) are not taken: write the value out", err);
  if (tag)
    return refuse_here(r, "tags (!) are not taken", err);
  if (depth > YAML_MAX_DEPTH)
    return refuse_here(r, "it is nested deeper than 32 levels", err);
  return ++r->nodes <= YAML_MAX_NODES || refuse_here(r, "it holds more than a million values", err);
}

static bool fill_sequence(Reader *r, json_t *array, int depth, GError **err)
{
  for (;;) {
    if (!next(r, err))
      return false;
    if (r->event.type == YAML_SEQUENCE_END_EVENT)
      return true;
    json_t *item = node_of(r, depth + 1, err);
    if (!item)
      return false;
    json_array_append_new(array, item);
  }
}

static char *key_of(Reader *r, json_t *object, GError **err)
{
  g_autofree char *key = r->event.type == YAML_SCALAR_EVENT ? g_strdup((char *)r->event.data.scalar.value) : NULL;
  bool whole = key && strlen(key) == r->event.data.scalar.length && g_utf8_validate(key, -1, NULL);
  g_autofree char *twice = whole ? g_strdup_printf("the key \"%s\" comes twice", key) : NULL;
  if (r->event.type == YAML_ALIAS_EVENT)
    refuse_here(r, "aliases (*) are not taken: write the value out", err);
  else if (!whole)
    refuse_here(r, "a key is no plain text", err);
  else if (!strcmp(key, "<<"))
    refuse_here(r, "merge keys (<<) are not taken", err);
  else if (json_object_get(object, key))
    refuse_here(r, twice, err);
  else if (node_check(r, 0, err))
    return g_steal_pointer(&key);
  return NULL;
}

static bool fill_mapping(Reader *r, json_t *object, int depth, GError **err)
{
  for (;;) {
    if (!next(r, err))
      return false;
    if (r->event.type == YAML_MAPPING_END_EVENT)
      return true;
    g_autofree char *key = key_of(r, object, err);
    json_t *value = key && next(r, err) ? node_of(r, depth + 1, err) : NULL;
    if (!value)
      return false;
    json_object_set_new(object, key, value);
  }
}

/* The node that begins with the event at hand. */
static json_t *node_of(Reader *r, int depth, GError **err)
{
  yaml_event_type_t type = r->event.type;
  if (type == YAML_ALIAS_EVENT) {
    refuse_here(r, "aliases (*) are not taken: write the value out", err);
    return NULL;
  }
  if (!node_check(r, depth, err))
    return NULL;
  if (type == YAML_SCALAR_EVENT)
    return scalar_of(r, err);
  bool sequence = type == YAML_SEQUENCE_START_EVENT;
  json_t *value = sequence ? json_array() : json_object();
  if (sequence ? fill_sequence(r, value, depth, err) : fill_mapping(r, value, depth, err))
    return value;
  json_decref(value);
  return NULL;
}

/* ── documents ────────────────────────────────────────────────────────────── */

static bool take_document(Reader *r, json_t *documents, GError **err)
{
  bool tags = r->event.data.document_start.tag_directives.start != r->event.data.document_start.tag_directives.end;
  if (r->event.data.document_start.version_directive || tags)
    return refuse_here(r, "directives (%) are not taken", err);
  if (json_array_size(documents) >= YAML_MAX_DOCUMENTS)
    return refuse_here(r, "it holds more than 10000 documents", err);
  json_t *document = next(r, err) ? node_of(r, 1, err) : NULL;
  if (document)
    json_array_append_new(documents, document);
  return document && next(r, err); /* its end */
}

static bool take_documents(Reader *r, json_t *documents, GError **err)
{
  while (next(r, err)) {
    if (r->event.type == YAML_STREAM_END_EVENT)
      return true;
    if (r->event.type == YAML_DOCUMENT_START_EVENT && !take_document(r, documents, err))
      return false;
  }
  return false;
}

json_t *yaml_read(const char *file, const char *text, gsize n, GError **err)
{
  Reader r = { .file = file };
  g_autofree char *size = g_strdup_printf("%" G_GSIZE_FORMAT " bytes", n);
  if (n > YAML_MAX_BYTES)
    return error_null(err, REASON_TOO_LARGE, "what", file, "value", size, "limit", "4 MiB", NULL);
  g_assert(yaml_parser_initialize(&r.parser));
  yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
  json_t *documents = json_array();
  bool ok = take_documents(&r, documents, err);
  yaml_event_delete(&r.event);
  yaml_parser_delete(&r.parser);
  if (ok)
    return documents;
  json_decref(documents);
  return NULL;
}

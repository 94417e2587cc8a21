#include "drivers/http/select.h"

#include <string.h>

#include "drivers/http/caller.h"
#include "drivers/http/taken.h"

static bool bad_value(const char *name, const char *value, const char *limit, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", name, "value", value, "limit", limit, NULL);
}

static bool enum_value(const Field *f, const char *text, int64_t *ret_value, GError **err)
{
  for (*ret_value = 0; *ret_value < f->names->n; ++*ret_value)
    if (!strcmp(f->names->names[*ret_value], text))
      return true;
  g_autofree char **words = g_new0(char *, f->names->n + 1);
  for (int i = 0; i < f->names->n; i++)
    words[i] = (char *)f->names->names[i];
  g_autofree char *all = g_strjoinv(", ", words), *limit = g_strconcat("one of ", all, NULL);
  return bad_value(f->name, text, limit, err);
}

/* Whether a field can be asked for, and the value it must have. */
static bool field_value(const Field *f, SelectField *ret, GError **err)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_REF:
  case FIELD_LIST:
    return true;
  case FIELD_ENUM:
    return enum_value(f, ret->text, &ret->number, err);
  case FIELD_INT:
    return g_ascii_string_to_signed(ret->text, 10, INT64_MIN, INT64_MAX, &ret->number, NULL) ||
           bad_value(f->name, ret->text, "a whole number", err);
  case FIELD_BOOL:
    ret->number = !strcmp(ret->text, "true");
    return ret->number || !strcmp(ret->text, "false") || bad_value(f->name, ret->text, "true or false", err);
  case FIELD_TIME:
  case FIELD_JSON:
    return bad_value(f->name, ret->text, "left out: it cannot be asked for", err);
  }
  return false;
}

static bool refuse_argument(const Select *s, const char *name, GError **err)
{
  g_autoptr(GString) known = g_string_new("limit, after");
  for (int i = 0; i < schemas[s->noun].n_fields; i++)
    if (!(schemas[s->noun].fields[i].flags & s->hidden))
      g_string_append_printf(known, ", %s", schemas[s->noun].fields[i].name);
  return error_false(err, REASON_UNKNOWN_FIELD, "field", name, "known", known->str, NULL);
}

static bool add_field(Select *s, const char *name, const char *text, GError **err)
{
  const Field *f = schema_field(&schemas[s->noun], name);
  if (!f || f->flags & s->hidden)
    return refuse_argument(s, name, err);
  if (s->n_fields == SELECT_FIELDS_MAX)
    return bad_value(name, text, "one of at most 8 fields", err);
  SelectField *field = &s->fields[s->n_fields++];
  *field = (SelectField){ .field = f, .text = text };
  return field_value(f, field, err);
}

bool select_init(Select *s, Exchange *x, GError **err)
{
  *s = (Select){ .server = x->server, .caller = &x->caller, .noun = api_rows[x->verb].noun, .limit = SELECT_LIMIT };
  s->staff = caller_is_staff(&x->caller);
  s->hidden = caller_hidden(&x->caller);
  s->after = arguments_find(&x->arguments, "after");
  if (!arguments_number(&x->arguments, "limit", 1, SELECT_LIMIT_MAX, &s->limit, err))
    return false;
  const GPtrArray *pairs = x->arguments.pairs;
  for (guint i = 0; pairs && i < pairs->len; i += 2)
    if (strcmp(pairs->pdata[i], "limit") && strcmp(pairs->pdata[i], "after") &&
        !add_field(s, pairs->pdata[i], pairs->pdata[i + 1], err))
      return false;
  return true;
}

bool select_takes_all(const Select *s) { return s->staff && !s->n_fields; }

static bool list_holds(char **list, const char *text)
{
  return list && g_strv_contains((const char *const *)list, text);
}

static bool field_fits(const SelectField *s, const Object *object)
{
  const Field *f = s->field;
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_REF:
    return !g_strcmp0(FIELD_AT(char *, object, f) ? FIELD_AT(char *, object, f) : "", s->text);
  case FIELD_LIST:
    return list_holds(FIELD_AT(char **, object, f), s->text);
  case FIELD_ENUM:
    return FIELD_AT(int, object, f) == s->number;
  case FIELD_INT:
    return FIELD_AT(int64_t, object, f) == s->number;
  case FIELD_BOOL:
    return FIELD_AT(bool, object, f) == s->number;
  case FIELD_TIME:
  case FIELD_JSON:
    return false;
  }
  return false;
}

bool select_takes(const Object *object, void *select)
{
  const Select *s = select;
  for (int i = 0; i < s->n_fields; i++)
    if (!field_fits(&s->fields[i], object))
      return false;
  return s->staff || caller_owns(s->server, s->caller, s->noun, object);
}

void select_append(const Select *s, const GPtrArray *objects, const char *reached, int64_t sequence, GString *out)
{
  const char *next = objects->len > s->limit ? ((const Object *)objects->pdata[s->limit - 1])->name : reached;
  g_autoptr(Taken) taken = s->noun == NOUN_HOST ? taken_new(runtime_published(s->server->runtime), NULL) : NULL;
  g_string_append(out, "{\"items\":[");
  for (guint i = 0; i < objects->len && i < s->limit; i++) {
    if (i)
      g_string_append_c(out, ',');
    object_append_json_without(&schemas[s->noun], objects->pdata[i], s->hidden, out);
    if (taken)
      taken_append(taken, objects->pdata[i], out);
  }
  g_string_append(out, "],\"next\":");
  if (next)
    json_append_text(out, next);
  else
    g_string_append(out, "null");
  g_string_append_printf(out, ",\"sequence\":%" G_GINT64_FORMAT "}", sequence);
}

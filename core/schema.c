#include "core/schema.h"

#include <string.h>

#include "core/reftext.h"
#include "core/text.h"

/* Where a name that the object was made with lies: behind its struct, which spares an allocation for each of tens of thousands. */
static char *name_place(const Schema *schema, Object *object)
{
  return (char *)object + schema->size;
}

/* Room for the struct, zeroed, and for name behind it. */
static Object *object_alloc(const Schema *schema, const char *name)
{
  size_t name_size = name ? strlen(name) + 1 : 0;
  Object *object = g_malloc(schema->size + name_size);
  memset(object, 0, schema->size);
  object->refs = 1;
  object->name = name ? memcpy(name_place(schema, object), name, name_size) : NULL;
  return object;
}

Object *object_new(const Schema *schema, int noun, const char *name)
{
  Object *object = object_alloc(schema, name);
  object->noun = noun;
  object->generation = 1;
  return object;
}

void text_set(char **field, const char *value)
{
  char *old = *field;
  *field = g_strdup(value);
  g_free(old);
}

void ref_set(char **field, const char *value)
{
  char *old = *field;
  *field = value ? reftext_intern(value) : NULL;
  if (old)
    reftext_drop(old);
}

void list_set(char ***field, const char *const *value)
{
  char **old = *field;
  *field = value && value[0] ? g_strdupv((char **)value) : NULL;
  g_strfreev(old);
}

/* Makes the copied pointers of a shallow copy the copy's own. */
static void field_own(Object *copy, const Field *f)
{
  char **text = field_at(copy, f);
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_JSON:
    *text = g_strdup(*text);
    return;
  case FIELD_REF:
    *text = *text ? reftext_share(*text) : NULL;
    return;
  case FIELD_LIST:
    FIELD_AT(char **, copy, f) = g_strdupv(FIELD_AT(char **, copy, f));
    return;
  case FIELD_INT:
  case FIELD_BOOL:
  case FIELD_ENUM:
  case FIELD_TIME:
    return;
  }
}

static void field_clear(Object *object, const Field *f)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_JSON:
    text_set(field_at(object, f), NULL);
    return;
  case FIELD_REF:
    ref_set(field_at(object, f), NULL);
    return;
  case FIELD_LIST:
    list_set(field_at(object, f), NULL);
    return;
  case FIELD_INT:
  case FIELD_BOOL:
  case FIELD_ENUM:
  case FIELD_TIME:
    return;
  }
}

Object *object_dup(const Schema *schema, const Object *object)
{
  Object *copy = object_alloc(schema, object->name);
  char *name = copy->name;
  size_t counted = offsetof(Object, noun); /* other threads may be counting the original's references meanwhile */
  memcpy((char *)copy + counted, (const char *)object + counted, schema->size - counted);
  copy->name = name;
  for (int i = 0; i < schema->n_fields; i++)
    field_own(copy, &schema->fields[i]);
  return copy;
}

void object_ref(const Schema *schema, const Object *object)
{
  g_atomic_int_inc(&((Object *)object)->refs);
}

void object_unref(const Schema *schema, const Object *object)
{
  Object *o = (Object *)object;
  if (!o || !g_atomic_int_dec_and_test(&o->refs))
    return;
  for (int i = 0; i < schema->n_fields; i++)
    field_clear(o, &schema->fields[i]);
  if (o->name != name_place(schema, o))
    g_free(o->name);
  g_free(o);
}

const Field *schema_field(const Schema *schema, const char *name)
{
  for (int i = 0; i < schema->n_fields; i++)
    if (!strcmp(schema->fields[i].name, name))
      return &schema->fields[i];
  return NULL;
}

/* ── JSON out ─────────────────────────────────────────────────────────────── */

void json_append_text(GString *out, const char *text)
{
  static const char hex[] = "0123456789abcdef";
  g_autofree char *valid = g_utf8_validate(text, -1, NULL) ? NULL : g_utf8_make_valid(text, -1); /* one bad byte, and readers refuse all of it */
  text = valid ? valid : text;
  g_string_append_c(out, '"');
  for (const char *run = text; *run; text++) {
    unsigned char c = *text;
    if (c >= 0x20 && c != '"' && c != '\\')
      continue;
    g_string_append_len(out, run, text - run);
    run = text + 1;
    if (!c)
      break;
    if (c == '"' || c == '\\') {
      g_string_append_c(out, '\\');
      g_string_append_c(out, c);
    } else {
      const char escape[] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15], 0 };
      g_string_append(out, escape);
    }
  }
  g_string_append_c(out, '"');
}

void json_append_error(GString *out, const GError *err, Lang lang)
{
  g_autofree char *text = error_text(err, lang);
  g_string_append(out, "{\"code\":");
  json_append_text(out, reason_wire(error_reason(err)));
  g_string_append(out, ",\"args\":{");
  for (const char *const *p = error_args(err); p[0]; p += 2) {
    if (p != error_args(err))
      g_string_append_c(out, ',');
    json_append_text(out, p[0]);
    g_string_append_c(out, ':');
    json_append_text(out, p[1]);
  }
  g_string_append(out, "},\"text\":");
  json_append_text(out, text);
  g_string_append_c(out, '}');
}

static void append_int(GString *out, int64_t value)
{
  char digits[24], *c = digits + sizeof digits;
  uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
  do
    *--c = '0' + rest % 10;
  while (rest /= 10);
  if (value < 0)
    *--c = '-';
  g_string_append_len(out, c, digits + sizeof digits - c);
}

/* value in width digits, ended by end. */
static char *digits(char *at, int64_t value, int width, char end)
{
  for (int i = width - 1; i >= 0; i--, value /= 10)
    at[i] = '0' + value % 10;
  at[width] = end;
  return at + width + 1;
}

/* Reads make three of these an object, so the calendar is computed here: days since 0000-03-01, whose 400 years have 146097 days
 * (Fliegel and Van Flandern's way of counting the year from March). */
static void append_time(GString *out, int64_t us)
{
  enum { DAY_S = 86400, DAYS_0000_TO_1970 = 719468, DAYS_400_YEARS = 146097 };
  if (!us) {
    g_string_append(out, "null");
    return;
  }
  int64_t s = CLAMP(us, 0, INT64_C(253402300799999999)) / G_USEC_PER_SEC, days = s / DAY_S + DAYS_0000_TO_1970, second = s % DAY_S;
  int64_t era = days / DAYS_400_YEARS, day = days % DAYS_400_YEARS;
  int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  int64_t march_month = (5 * day + 2) / 153, month = march_month < 10 ? march_month + 3 : march_month - 9;
  char text[32] = "\"", *at = text + 1;
  at = digits(at, era * 400 + year + (month <= 2), 4, '-');
  at = digits(at, month, 2, '-');
  at = digits(at, day - (153 * march_month + 2) / 5 + 1, 2, 'T');
  at = digits(at, second / 3600, 2, ':');
  at = digits(at, second / 60 % 60, 2, ':');
  at = digits(at, second % 60, 2, '.');
  at = digits(at, CLAMP(us, 0, INT64_MAX) % G_USEC_PER_SEC, 6, 'Z');
  *at++ = '"';
  g_string_append_len(out, text, at - text);
}

static void append_list(GString *out, char **list)
{
  g_string_append_c(out, '[');
  for (char **item = list; item && *item; item++) {
    if (item != list)
      g_string_append_c(out, ',');
    json_append_text(out, *item);
  }
  g_string_append_c(out, ']');
}

static void append_field(GString *out, const Object *object, const Field *f)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_REF:
    if (FIELD_AT(char *, object, f))
      json_append_text(out, FIELD_AT(char *, object, f));
    else
      g_string_append(out, "null");
    return;
  case FIELD_JSON:
    g_string_append(out, FIELD_AT(char *, object, f) ? FIELD_AT(char *, object, f) : "null");
    return;
  case FIELD_INT:
    append_int(out, FIELD_AT(int64_t, object, f));
    return;
  case FIELD_BOOL:
    g_string_append(out, FIELD_AT(bool, object, f) ? "true" : "false");
    return;
  case FIELD_ENUM:
    json_append_text(out, f->names->names[FIELD_AT(int, object, f)]);
    return;
  case FIELD_TIME:
    append_time(out, FIELD_AT(int64_t, object, f));
    return;
  case FIELD_LIST:
    append_list(out, FIELD_AT(char **, object, f));
    return;
  }
}

void object_append_json(const Schema *schema, const Object *object, GString *out)
{
  object_append_json_without(schema, object, F_SECRET, out);
}

void object_append_json_without(const Schema *schema, const Object *object, unsigned hidden, GString *out)
{
  g_string_append(out, "{\"id\":");
  json_append_text(out, object->name);
  g_string_append(out, ",\"name\":");
  json_append_text(out, object->name);
  g_string_append(out, ",\"generation\":");
  append_int(out, object->generation);
  g_string_append(out, ",\"created\":");
  append_time(out, object->created_us);
  g_string_append(out, ",\"changed\":");
  append_time(out, object->changed_us);
  for (int i = 0; i < schema->n_fields; i++) {
    const Field *f = &schema->fields[i];
    if (f->flags & hidden)
      continue;
    g_string_append(out, f->key);
    append_field(out, object, f);
  }
  g_string_append_c(out, '}');
}

/* ── JSON in ──────────────────────────────────────────────────────────────── */

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define HOST_NAME_CHARACTERS LETTERS "0123456789-"
enum { LIST_ITEM_MAX_BYTES = 16384 };

static bool refuse(const Field *f, json_t *value, const char *limit, GError **err)
{
  g_autofree char *text = json_is_string(value) ? g_strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  return error_false(err, REASON_BAD_VALUE, "field", f->name, "value", text ? text : "?", "limit", limit, NULL);
}

static bool path_is_plain(const char *path)
{
  return path[0] == '/' && path[1] && !strstr(path, "/../") && !g_str_has_suffix(path, "/..");
}

/* RFC 1123, 2.1: labels of letters, digits and hyphens; digits and dots alone are an address or nothing. */
static bool is_host_name(const char *text)
{
  g_auto(GStrv) labels = g_strsplit(text, ".", -1);
  bool letter = false;
  for (char **label = labels; *label; label++) {
    size_t length = strlen(*label);
    if (!length || length > 63 || **label == '-' || (*label)[length - 1] == '-' || strspn(*label, HOST_NAME_CHARACTERS) != length)
      return false;
    letter |= strcspn(*label, LETTERS) != length;
  }
  return letter;
}

/* What a text may be beyond its length, and of which names are only the narrowest kind. */
static bool text_fits(const Field *f, const char *text, GError **err)
{
  if (f->flags & F_NAME)
    return name_check(f->name, text, err);
  if (f->flags & F_LINES)
    return true;
  if (!text_check(f->name, text, f->type == FIELD_LIST ? LIST_ITEM_MAX_BYTES : (int)f->max, err))
    return false;
  if (f->flags & F_PATH && !path_is_plain(text))
    return error_false(err, REASON_BAD_VALUE, "field", f->name, "value", text, "limit", "an absolute path without ..", NULL);
  if (f->flags & F_ADDRESS && !g_hostname_is_ip_address(text) && !is_host_name(text))
    return error_false(err, REASON_BAD_VALUE, "field", f->name, "value", text, "limit", "an IP address or a host's name", NULL);
  return true;
}

static bool set_text(Object *object, const Field *f, json_t *value, GError **err)
{
  const char *text = json_string_value(value);
  if (!text && !json_is_null(value))
    return refuse(f, value, "a text", err);
  if (text && strlen(text) != json_string_length(value))
    return error_false(err, REASON_BAD_VALUE, "field", f->name, "value", "…", "limit", "a text without NUL", NULL);
  if (text && !text_fits(f, text, err))
    return false;
  if (text && (int64_t)json_string_length(value) > f->max) {
    g_autofree char *limit = g_strdup_printf("at most %" G_GINT64_FORMAT " bytes", f->max);
    return error_false(err, REASON_BAD_VALUE, "field", f->name, "value", text, "limit", limit, NULL);
  }
  if (f->type == FIELD_REF)
    ref_set(field_at(object, f), text);
  else
    text_set(field_at(object, f), text);
  return true;
}

static bool set_int(Object *object, const Field *f, json_t *value, GError **err)
{
  if (!json_is_integer(value) || json_integer_value(value) < f->min || json_integer_value(value) > f->max) {
    g_autofree char *limit = g_strdup_printf("a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, f->min, f->max);
    return refuse(f, value, limit, err);
  }
  FIELD_AT(int64_t, object, f) = json_integer_value(value);
  return true;
}

static bool set_enum(Object *object, const Field *f, json_t *value, GError **err)
{
  const char *text = json_string_value(value);
  for (int i = 0; text && i < f->names->n; i++)
    if (!strcmp(f->names->names[i], text)) {
      FIELD_AT(int, object, f) = i;
      return true;
    }
  g_autoptr(GString) limit = g_string_new("one of ");
  for (int i = 0; i < f->names->n; i++)
    g_string_append_printf(limit, "%s%s", i ? ", " : "", f->names->names[i]);
  return refuse(f, value, limit->str, err);
}

static bool set_list(Object *object, const Field *f, json_t *value, GError **err)
{
  if (!json_is_array(value) || (int64_t)json_array_size(value) > f->max)
    return refuse(f, value, "a list of texts", err);
  g_autoptr(GPtrArray) items = g_ptr_array_new();
  size_t i;
  json_t *item;
  json_array_foreach(value, i, item) {
    const char *text = json_string_value(item);
    if (!text || strlen(text) != json_string_length(item) || !*text || strlen(text) > LIST_ITEM_MAX_BYTES)
      return refuse(f, item, "a line of text", err);
    if (!text_fits(f, text, err))
      return false;
    g_ptr_array_add(items, (char *)text);
  }
  g_ptr_array_add(items, NULL);
  list_set(field_at(object, f), (const char *const *)items->pdata);
  return true;
}

static bool set_json(Object *object, const Field *f, json_t *value, GError **err)
{
  char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  if (!text || (int64_t)strlen(text) > f->max) {
    g_free(text);
    return refuse(f, value, "shorter", err);
  }
  text_set(field_at(object, f), json_is_null(value) ? NULL : text);
  g_free(text);
  return true;
}

static bool field_set_json(Object *object, const Field *f, json_t *value, GError **err)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_REF:
    return set_text(object, f, value, err);
  case FIELD_INT:
    return set_int(object, f, value, err);
  case FIELD_ENUM:
    return set_enum(object, f, value, err);
  case FIELD_LIST:
    return set_list(object, f, value, err);
  case FIELD_JSON:
    return set_json(object, f, value, err);
  case FIELD_BOOL:
    if (!json_is_boolean(value))
      return refuse(f, value, "true or false", err);
    FIELD_AT(bool, object, f) = json_boolean_value(value);
    return true;
  case FIELD_TIME:
    return refuse(f, value, "left to Sarang", err);
  }
  return false;
}

static bool refuse_unknown(const Schema *schema, const char *key, unsigned wanted, GError **err)
{
  g_autoptr(GString) known = g_string_new(NULL);
  for (int i = 0; i < schema->n_fields; i++)
    if (schema->fields[i].flags & wanted)
      g_string_append_printf(known, "%s%s", known->len ? ", " : "", schema->fields[i].name);
  return error_false(err, REASON_UNKNOWN_FIELD, "field", key, "known", known->str, NULL);
}

bool object_set_json(const Schema *schema, Object *object, json_t *values, JsonUse use, GError **err)
{
  unsigned wanted = use == JSON_CREATE ? F_IN : F_CHANGE;
  const char *key;
  json_t *value;
  json_object_foreach(values, key, value) {
    const Field *f = schema_field(schema, key);
    if (!f || !(f->flags & wanted))
      return refuse_unknown(schema, key, wanted, err);
    if (!field_set_json(object, f, value, err))
      return false;
  }
  for (int i = 0; use == JSON_CREATE && i < schema->n_fields; i++)
    if (schema->fields[i].flags & F_NEED && !json_object_get(values, schema->fields[i].name))
      return error_false(err, REASON_MISSING_FIELD, "field", schema->fields[i].name, NULL);
  return true;
}

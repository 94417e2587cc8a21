#include "drivers/store/sqlite_rows.h"

#include <string.h>

#include "core/reftext.h"
#include "drivers/store/store.h"

/* The columns before the fields, in the order of every statement. */
enum { COL_ID, COL_NAME, COL_GENERATION, COL_CREATED, COL_CHANGED, COL_SUM, N_HEAD };
/* REF fields of the row before, by their place among the fields; those beyond are interned one by one. */
enum { N_LASTS = 64 };
static const char HEAD[] = "id,name,generation,created_us,changed_us,sum";

int64_t row_id(Noun noun, const char *name, int64_t fresh_id)
{
  int64_t number = store_name_number(noun, name);
  return number ? number : fresh_id;
}

/* ── statement texts ──────────────────────────────────────────────────────── */

void row_append_columns(Noun noun, GString *out)
{
  g_string_append(out, HEAD);
  for (int i = 0; i < schemas[noun].n_fields; i++)
    g_string_append_printf(out, ",\"%s\"", schemas[noun].fields[i].name);
}

static void append_insert(Noun noun, const char *suffix, GString *sql)
{
  g_string_append_printf(sql, "INSERT INTO \"%s%s\"(", schemas[noun].noun, suffix);
  row_append_columns(noun, sql);
  g_string_append(sql, ")VALUES(?");
  for (int i = 1; i < N_HEAD + schemas[noun].n_fields; i++)
    g_string_append(sql, ",?");
  g_string_append_c(sql, ')');
}

/* name is what the conflict was about, and id what the index on it asks: leaving both alone leaves the index alone. */
static void append_update(Noun noun, GString *sql)
{
  g_string_append(sql, "DO UPDATE SET generation=excluded.generation,created_us=excluded.created_us,"
                       "changed_us=excluded.changed_us,sum=excluded.sum");
  for (int i = 0; i < schemas[noun].n_fields; i++)
    g_string_append_printf(sql, ",\"%s\"=excluded.\"%s\"", schemas[noun].fields[i].name, schemas[noun].fields[i].name);
}

char *row_sql_put(Noun noun)
{
  GString *sql = g_string_new(NULL);
  append_insert(noun, "", sql);
  g_string_append(sql, "ON CONFLICT(id)");
  append_update(noun, sql);
  g_string_append_printf(sql, " ON CONFLICT(name)WHERE id>=%" G_GINT64_FORMAT " ", ROW_UNNUMBERED);
  append_update(noun, sql);
  return g_string_free(sql, FALSE);
}

char *row_sql_archive(Noun noun)
{
  GString *sql = g_string_new(NULL);
  append_insert(noun, "_archive", sql);
  return g_string_free(sql, FALSE);
}

char *row_sql_delete(Noun noun, bool numbered)
{
  if (numbered)
    return g_strdup_printf("DELETE FROM \"%s\" WHERE id=?1 RETURNING id", schemas[noun].noun);
  return g_strdup_printf("DELETE FROM \"%s\" WHERE name=?1 AND id>=%" G_GINT64_FORMAT " RETURNING id", schemas[noun].noun, ROW_UNNUMBERED);
}

/* The oldest ids alone are looked at, in their order: so it costs the same however much there is. */
char *row_sql_prune(Noun noun)
{
  const char *table = schemas[noun].noun, *suffix = noun == NOUN_EVENT ? "" : "_archive";
  return g_strdup_printf("DELETE FROM \"%1$s%2$s\" WHERE id IN (SELECT id FROM (SELECT id,changed_us FROM \"%1$s%2$s\" ORDER BY id LIMIT ?2)"
                         " WHERE changed_us<?1 AND id<(SELECT max(id) FROM \"%1$s%2$s\"))", table, suffix);
}

char *row_sql_all(Noun noun, const char *suffix)
{
  GString *sql = g_string_new("SELECT ");
  row_append_columns(noun, sql);
  g_string_append_printf(sql, " FROM \"%s%s\" ORDER BY id", schemas[noun].noun, suffix);
  return g_string_free(sql, FALSE);
}

/* ── sums ─────────────────────────────────────────────────────────────────── */

static uint64_t mix(uint64_t h)
{
  h ^= h >> 32;
  h *= UINT64_C(0xd6e8feb86659fd93);
  h ^= h >> 32;
  return h;
}

static uint64_t hash_bytes(uint64_t h, const char *bytes, size_t n)
{
  for (uint64_t word; n >= sizeof word; bytes += sizeof word, n -= sizeof word) {
    memcpy(&word, bytes, sizeof word);
    h = mix(h ^ GUINT64_FROM_LE(word));
  }
  uint64_t rest = 0;
  memcpy(&rest, bytes, n);
  return mix(h ^ GUINT64_FROM_LE(rest) ^ (uint64_t)n << 56);
}

static uint64_t hash_text(uint64_t h, const char *text)
{
  return hash_bytes(h, text, strlen(text));
}

/* What every field's sum begins with, made once. Any thread. */
static const uint64_t *seeds_of(Noun noun)
{
  static gsize made[N_NOUNS];
  if (g_once_init_enter(&made[noun])) {
    const Schema *schema = &schemas[noun];
    uint64_t *seeds = g_new(uint64_t, schema->n_fields + 1);
    for (int i = 0; i < schema->n_fields; i++)
      seeds[i] = hash_text(schema->fields[i].type, schema->fields[i].name);
    g_once_init_leave(&made[noun], (gsize)seeds);
  }
  return (const uint64_t *)made[noun];
}

static uint64_t sum_field(const Object *object, const Field *f, uint64_t seed)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_REF:
  case FIELD_JSON:
    return FIELD_AT(char *, object, f) ? hash_text(seed, FIELD_AT(char *, object, f)) : 0;
  case FIELD_INT:
  case FIELD_TIME:
    return FIELD_AT(int64_t, object, f) ? mix(seed ^ (uint64_t)FIELD_AT(int64_t, object, f)) : 0;
  case FIELD_BOOL:
    return FIELD_AT(bool, object, f) ? seed : 0;
  case FIELD_ENUM:
    return FIELD_AT(int, object, f) ? hash_text(seed, f->names->names[FIELD_AT(int, object, f)]) : 0;
  case FIELD_LIST:
    for (char **item = FIELD_AT(char **, object, f); item && *item; item++)
      seed = hash_text(seed, *item);
    return FIELD_AT(char **, object, f) ? seed : 0;
  }
  return 0;
}

int64_t row_sum(const Object *object)
{
  const Schema *schema = &schemas[object->noun];
  const uint64_t *seeds = seeds_of(object->noun);
  uint64_t sum = hash_text(0, object->name) + mix(object->generation) + mix((uint64_t)object->created_us + 1) +
                 mix((uint64_t)object->changed_us + 2);
  for (int i = 0; i < schema->n_fields; i++)
    sum += sum_field(object, &schema->fields[i], seeds[i]);
  return sum ? (int64_t)sum : 1;
}

int64_t row_sum_store(int64_t sequence, int64_t epoch)
{
  return sequence || epoch ? (int64_t)(mix((uint64_t)sequence + 1) + mix(mix((uint64_t)epoch + 1))) : 0;
}

/* ── object → parameters ──────────────────────────────────────────────────── */

static bool bind_list(sqlite3_stmt *stmt, int column, const Field *f, char **list, GError **err)
{
  if (!list || !list[0]) {
    sqlite3_bind_null(stmt, column);
    return true;
  }
  for (char **item = list; *item; item++)
    if (strchr(*item, '\n'))
      return error_false(err, REASON_BAD_VALUE, "field", f->name, "value", *item, "limit", "a line of text", NULL);
  sqlite3_bind_text(stmt, column, g_strjoinv("\n", list), -1, g_free);
  return true;
}

static bool bind_field(sqlite3_stmt *stmt, int column, const Object *object, const Field *f, GError **err)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_REF:
  case FIELD_JSON:
    sqlite3_bind_text(stmt, column, FIELD_AT(char *, object, f), -1, SQLITE_STATIC);
    return true;
  case FIELD_INT:
  case FIELD_TIME:
    sqlite3_bind_int64(stmt, column, FIELD_AT(int64_t, object, f));
    return true;
  case FIELD_BOOL:
    sqlite3_bind_int64(stmt, column, FIELD_AT(bool, object, f));
    return true;
  case FIELD_ENUM:
    sqlite3_bind_text(stmt, column, f->names->names[FIELD_AT(int, object, f)], -1, SQLITE_STATIC);
    return true;
  case FIELD_LIST:
    return bind_list(stmt, column, f, FIELD_AT(char **, object, f), err);
  }
  return false;
}

bool row_bind(sqlite3_stmt *stmt, const Object *object, int64_t id, GError **err)
{
  const Schema *schema = &schemas[object->noun];
  sqlite3_bind_int64(stmt, 1 + COL_ID, id);
  sqlite3_bind_text(stmt, 1 + COL_NAME, object->name, -1, SQLITE_STATIC);
  sqlite3_bind_int64(stmt, 1 + COL_GENERATION, object->generation);
  sqlite3_bind_int64(stmt, 1 + COL_CREATED, object->created_us);
  sqlite3_bind_int64(stmt, 1 + COL_CHANGED, object->changed_us);
  sqlite3_bind_int64(stmt, 1 + COL_SUM, row_sum(object));
  for (int i = 0; i < schema->n_fields; i++)
    if (!bind_field(stmt, 1 + N_HEAD + i, object, &schema->fields[i], err))
      return false;
  return true;
}

/* ── columns → object ─────────────────────────────────────────────────────── */

static bool damaged(sqlite3_stmt *stmt, Noun noun, const char *column, const char *what, GError **err)
{
  const char *name = (const char *)sqlite3_column_text(stmt, COL_NAME);
  g_autofree char *detail = g_strdup_printf("table %s, row \"%s\" (%" G_GINT64_FORMAT "), column %s: %s", schemas[noun].noun,
                                            name ? name : "?", (int64_t)sqlite3_column_int64(stmt, COL_ID), column, what);
  return error_false(err, REASON_STORE_DAMAGED, "detail", detail, NULL);
}

/* NULL with *ret_ok where the column holds none. */
static const char *column_text(sqlite3_stmt *stmt, int column, bool *ret_ok)
{
  int type = sqlite3_column_type(stmt, column);
  *ret_ok = type == SQLITE_NULL;
  if (type != SQLITE_TEXT)
    return NULL;
  const char *text = (const char *)sqlite3_column_text(stmt, column);
  *ret_ok = text && strlen(text) == (size_t)sqlite3_column_bytes(stmt, column);
  return text;
}

static bool read_text(sqlite3_stmt *stmt, int column, char **field, const char **ret_wrong)
{
  bool ok;
  const char *text = column_text(stmt, column, &ok);
  if (ok)
    text_set(field, text);
  else
    *ret_wrong = "not a text";
  return ok;
}

/* Interning takes a lock and a look-up, and neighbours mostly name the same pool, image and host. */
static bool read_ref(sqlite3_stmt *stmt, int column, char **field, char **last, const char **ret_wrong)
{
  bool ok;
  const char *text = column_text(stmt, column, &ok);
  if (!ok) {
    *ret_wrong = "not a text";
    return false;
  }
  if (text && last && *last && !strcmp(*last, text))
    *field = reftext_share(*last);
  else
    ref_set(field, text);
  if (text && last && *last != *field)
    ref_set(last, text);
  return true;
}

static bool read_int(sqlite3_stmt *stmt, int column, int64_t *field, const char **ret_wrong)
{
  if (sqlite3_column_type(stmt, column) != SQLITE_INTEGER) {
    *ret_wrong = "not a number";
    return false;
  }
  *field = sqlite3_column_int64(stmt, column);
  return true;
}

static bool read_bool(sqlite3_stmt *stmt, int column, bool *field, const char **ret_wrong)
{
  int64_t value;
  if (!read_int(stmt, column, &value, ret_wrong))
    return false;
  *field = value;
  if (value != 0 && value != 1)
    *ret_wrong = "neither 0 nor 1";
  return value == 0 || value == 1;
}

static bool read_enum(sqlite3_stmt *stmt, int column, const EnumNames *names, int *field, const char **ret_wrong)
{
  bool ok;
  const char *text = column_text(stmt, column, &ok);
  for (int i = 0; ok && text && i < names->n; i++)
    if (!strcmp(names->names[i], text)) {
      *field = i;
      return true;
    }
  *ret_wrong = "a value that is not known";
  return false;
}

static bool read_list(sqlite3_stmt *stmt, int column, char ***field, const char **ret_wrong)
{
  bool ok;
  const char *text = column_text(stmt, column, &ok);
  if (!ok)
    *ret_wrong = "not a text";
  else if (text && !*text)
    list_set(field, (const char *const[]){ "", NULL });
  else if (text)
    *field = g_strsplit(text, "\n", -1);
  return ok;
}

static bool read_field(sqlite3_stmt *stmt, int column, Object *object, const Field *f, char **last, const char **ret_wrong)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_JSON:
    return read_text(stmt, column, field_at(object, f), ret_wrong);
  case FIELD_REF:
    return read_ref(stmt, column, field_at(object, f), last, ret_wrong);
  case FIELD_INT:
  case FIELD_TIME:
    return read_int(stmt, column, field_at(object, f), ret_wrong);
  case FIELD_BOOL:
    return read_bool(stmt, column, field_at(object, f), ret_wrong);
  case FIELD_ENUM:
    return read_enum(stmt, column, f->names, field_at(object, f), ret_wrong);
  case FIELD_LIST:
    return read_list(stmt, column, field_at(object, f), ret_wrong);
  }
  return false;
}

static bool read_head(sqlite3_stmt *stmt, Noun noun, Object *object, GError **err)
{
  int64_t id = sqlite3_column_int64(stmt, COL_ID), number = store_name_number(noun, object->name);
  const char *wrong = NULL;
  if (number ? number != id : id < ROW_UNNUMBERED)
    return damaged(stmt, noun, "id", "not that of its name", err);
  if (!read_int(stmt, COL_GENERATION, &object->generation, &wrong))
    return damaged(stmt, noun, "generation", wrong, err);
  if (!read_int(stmt, COL_CREATED, &object->created_us, &wrong))
    return damaged(stmt, noun, "created_us", wrong, err);
  return read_int(stmt, COL_CHANGED, &object->changed_us, &wrong) || damaged(stmt, noun, "changed_us", wrong, err);
}

static bool read_fields(sqlite3_stmt *stmt, Noun noun, Object *object, char **last, GError **err)
{
  const Schema *schema = &schemas[noun];
  for (int i = 0; i < schema->n_fields; i++) {
    const char *wrong = NULL;
    char **last_ref = i < N_LASTS ? &last[i] : NULL;
    if (!read_field(stmt, N_HEAD + i, object, &schema->fields[i], last_ref, &wrong))
      return damaged(stmt, noun, schema->fields[i].name, wrong, err);
  }
  int64_t sum = sqlite3_column_int64(stmt, COL_SUM);
  return !sum || sum == row_sum(object) || damaged(stmt, noun, "sum", "the values are not those that were written", err);
}

static Object *row_read(sqlite3_stmt *stmt, Noun noun, char **last, GError **err)
{
  bool ok;
  const char *name = column_text(stmt, COL_NAME, &ok);
  if (!ok || !name || !*name) {
    damaged(stmt, noun, "name", "not a name", err);
    return NULL;
  }
  Object *object = object_new(&schemas[noun], noun, name);
  if (read_head(stmt, noun, object, err) && read_fields(stmt, noun, object, last, err))
    return object;
  object_unref(&schemas[noun], object);
  return NULL;
}

bool row_read_all(sqlite3_stmt *stmt, Noun noun, void (*sink)(Object *object, void *data), void *data, GError **err)
{
  char *last[N_LASTS] = { 0 };
  Object *object = NULL;
  int code;
  while ((code = sqlite3_step(stmt)) == SQLITE_ROW && (object = row_read(stmt, noun, last, err)))
    sink(object, data);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    db_error(sqlite3_db_handle(stmt), "read", err);
  for (int i = 0; i < N_LASTS; i++)
    ref_set(&last[i], NULL);
  sqlite3_reset(stmt);
  return code == SQLITE_DONE;
}

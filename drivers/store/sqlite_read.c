/* History and single rows of a SQLite store: reader connections with snapshots of their own, one a thread. */
#include "drivers/store/sqlite_rows.h"
#include "drivers/store/sqlite_store.h"

/* Kept statements of one noun. */
typedef struct {
  sqlite3_stmt *history, *find_numbered, *find_named;
} ReadStatements;

typedef struct {
  StoreReader head;
  sqlite3 *db;
  ReadStatements nouns[N_NOUNS];
} SqliteReader;

static SqliteReader *reader_of(StoreReader *reader)
{
  return (SqliteReader *)reader;
}

/* "SELECT … FROM desktop WHERE … UNION ALL SELECT … FROM desktop_archive WHERE … ORDER BY 1 DESC LIMIT ?2", which SQLite walks like
 * one list: both sides come in the order of ids. Live ids are above archived ones of the same name. */
static char *sql_both(Noun noun, const char *where)
{
  GString *sql = g_string_new("SELECT ");
  row_append_columns(noun, sql);
  g_string_append_printf(sql, " FROM \"%s\" WHERE %s", schemas[noun].noun, where);
  if (noun != NOUN_EVENT) {
    g_string_append(sql, " UNION ALL SELECT ");
    row_append_columns(noun, sql);
    g_string_append_printf(sql, " FROM \"%s_archive\" WHERE %s", schemas[noun].noun, where);
  }
  g_string_append(sql, " ORDER BY 1 DESC LIMIT ?2");
  return g_string_free(sql, FALSE);
}

static sqlite3_stmt *kept(SqliteReader *r, sqlite3_stmt **slot, Noun noun, const char *where, GError **err)
{
  if (*slot)
    return *slot;
  g_autofree char *sql = sql_both(noun, where);
  return *slot = db_prepare(r->db, sql, err);
}

static void add_row(Object *object, void *rows)
{
  g_ptr_array_add(rows, object);
}

static GPtrArray *read_rows(sqlite3_stmt *stmt, Noun noun, GError **err)
{
  g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(store_object_drop);
  return row_read_all(stmt, noun, add_row, rows, err) ? g_steal_pointer(&rows) : NULL;
}

static sqlite3_stmt *find_statement(SqliteReader *r, Noun noun, const char *name, GError **err)
{
  int64_t number = store_name_number(noun, name);
  ReadStatements *of = &r->nouns[noun];
  g_autofree char *named = g_strdup_printf("name=?1 AND id>=%" G_GINT64_FORMAT, ROW_UNNUMBERED);
  sqlite3_stmt *stmt = number ? kept(r, &of->find_numbered, noun, "id=?1", err) : kept(r, &of->find_named, noun, named, err);
  if (!stmt)
    return NULL;
  if (number)
    sqlite3_bind_int64(stmt, 1, number);
  else
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_TRANSIENT);
  sqlite3_bind_int(stmt, 2, 1);
  return stmt;
}

Object *sqlite_find(StoreReader *reader, Noun noun, const char *name, GError **err)
{
  sqlite3_stmt *stmt = find_statement(reader_of(reader), noun, name, err);
  g_autoptr(GPtrArray) rows = stmt ? read_rows(stmt, noun, err) : NULL;
  if (!rows)
    return NULL;
  if (!rows->len)
    return error_null(err, REASON_NOT_FOUND, "kind", schemas[noun].noun, "name", name, NULL);
  Object *found = rows->pdata[0];
  object_ref(&schemas[noun], found);
  return found;
}

static bool id_before(SqliteReader *r, Noun noun, const char *name, int64_t *ret_id, GError **err)
{
  *ret_id = name ? store_name_number(noun, name) : INT64_MAX;
  if (*ret_id)
    return true;
  sqlite3_stmt *stmt = find_statement(r, noun, name, err);
  if (!stmt)
    return false;
  int code = sqlite3_step(stmt);
  if (code == SQLITE_ROW)
    *ret_id = sqlite3_column_int64(stmt, 0);
  else if (code == SQLITE_DONE)
    error_set(err, REASON_NOT_FOUND, "kind", schemas[noun].noun, "name", name, NULL);
  else
    db_error(r->db, "read", err);
  sqlite3_reset(stmt);
  return code == SQLITE_ROW;
}

GPtrArray *sqlite_history(StoreReader *reader, Noun noun, const char *before, int limit, GError **err)
{
  SqliteReader *r = reader_of(reader);
  int64_t id;
  if (!id_before(r, noun, before, &id, err))
    return NULL;
  sqlite3_stmt *stmt = kept(r, &r->nouns[noun].history, noun, "id<?1", err);
  if (!stmt)
    return NULL;
  sqlite3_bind_int64(stmt, 1, id);
  sqlite3_bind_int(stmt, 2, MAX(limit, 0));
  return read_rows(stmt, noun, err);
}

StoreReader *sqlite_reader_open(Store *store, GError **err)
{
  sqlite3 *db = db_open(((SqliteStore *)store)->path, DB_READ, err);
  if (!db)
    return NULL;
  SqliteReader *r = g_new0(SqliteReader, 1);
  r->head.driver = store->driver;
  r->db = db;
  return &r->head;
}

void sqlite_reader_close(StoreReader *reader)
{
  SqliteReader *r = reader_of(reader);
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    sqlite3_finalize(r->nouns[noun].history);
    sqlite3_finalize(r->nouns[noun].find_numbered);
    sqlite3_finalize(r->nouns[noun].find_named);
  }
  sqlite3_close(r->db);
  g_free(r);
}

/* A damaged database file, read as the store reads it. The input is a list of edits to a whole one with rows of every noun: four bytes say where (modulo
 * its size), one says what the byte becomes, so that an input of some bytes reaches any page. */
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

#include "drivers/store/sqlite_rows.h"
#include "drivers/store/sqlite_schema.h"
#include "drivers/store/sqlite_store.h"

enum { EDIT_BYTES = 5, ROWS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void put_row(sqlite3 *db, Noun noun, int i)
{
  g_autofree char *name = g_strdup_printf(i ? "%c-%d" : "%cname%d", schemas[noun].noun[0], i), *sql = row_sql_put(noun);
  Object *object = object_new(&schemas[noun], noun, name);
  for (int k = 0; k < schemas[noun].n_fields; k++) {
    const Field *f = &schemas[noun].fields[k];
    if (f->type == FIELD_TEXT || f->type == FIELD_JSON)
      text_set(field_at(object, f), i ? "{\"a\":1}" : NULL);
    if (f->type == FIELD_REF)
      ref_set(field_at(object, f), "shared");
    if (f->type == FIELD_LIST)
      list_set(field_at(object, f), (const char *const[]){ "one", "two", NULL });
  }
  g_autoptr(sqlite3_stmt) stmt = db_prepare(db, sql, NULL);
  g_assert(row_bind(stmt, object, row_id(noun, name, ROW_UNNUMBERED + i), NULL) && db_step(stmt, NULL));
  object_unref(&schemas[noun], object);
}

static const uint8_t *whole_database(sqlite3_int64 *ret_size)
{
  static uint8_t *bytes;
  static sqlite3_int64 size;
  if (!bytes) {
    g_autoptr(sqlite3) db = NULL;
    g_assert(sqlite3_open(":memory:", &db) == SQLITE_OK && schema_migrate(db, NULL));
    for (Noun noun = 0; noun < N_NOUNS; noun++)
      for (int i = 0; i < ROWS; i++)
        put_row(db, noun, i);
    bytes = sqlite3_serialize(db, "main", &size, 0);
  }
  *ret_size = size;
  return bytes;
}

static void drop(Object *object, void *data)
{
  object_unref(&schemas[object->noun], object);
}

static bool read_all(sqlite3 *db, GError **err)
{
  int64_t version, sequence, epoch;
  if (!schema_check(db, &version, err) || !db_check(db, "PRAGMA quick_check(1)", err) || !sqlite_read_state(db, &sequence, &epoch, err))
    return false;
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    g_autofree char *sql = row_sql_all(noun, "");
    g_autoptr(sqlite3_stmt) stmt = db_prepare(db, sql, err);
    if (!stmt || !row_read_all(stmt, noun, drop, NULL, err))
      return false;
  }
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  sqlite3_int64 size;
  const uint8_t *whole = whole_database(&size);
  g_autoptr(sqlite3) db = NULL;
  g_assert(sqlite3_open(":memory:", &db) == SQLITE_OK);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
  uint8_t *bytes = sqlite3_malloc64(size);
  memcpy(bytes, whole, size);
  for (; n >= EDIT_BYTES; data += EDIT_BYTES, n -= EDIT_BYTES) {
    uint32_t where;
    memcpy(&where, data, sizeof where);
    bytes[where % size] = data[4];
  }
  g_assert(sqlite3_deserialize(db, "main", bytes, size, size, SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY) == SQLITE_OK);
  g_autoptr(GError) err = NULL;
  bool read = read_all(db, &err);
  g_assert(read == !err);
  return 0;
}

#include "drivers/store/sqlite_schema.h"

enum { APPLICATION_ID = 0x53524e47 }; /* "SRNG": what file(1) and we know our stores by */

static bool is_empty(sqlite3 *db, bool *ret_empty, GError **err)
{
  int64_t tables;
  if (!db_get_int(db, "SELECT count(*) FROM sqlite_schema", &tables, err))
    return false;
  *ret_empty = tables == 0;
  return true;
}

static bool check_version(sqlite3 *db, int n_known, int64_t *ret_version, GError **err)
{
  int64_t application, version;
  if (!db_get_int(db, "PRAGMA application_id", &application, err) || !db_get_int(db, "PRAGMA user_version", &version, err))
    return false;
  if (application != APPLICATION_ID || version < 1)
    return error_false(err, REASON_STORE_DAMAGED, "detail", "this is not a store of Sarang", NULL);
  if (version > n_known) {
    g_autofree char *found = g_strdup_printf("%" G_GINT64_FORMAT, version);
    g_autofree char *known = g_strdup_printf("%d", n_known);
    return error_false(err, REASON_STORE_NEWER, "found", found, "known", known, NULL);
  }
  *ret_version = version;
  return true;
}

bool schema_check(sqlite3 *db, int64_t *ret_version, GError **err)
{
  return check_version(db, n_migrations, ret_version, err);
}

static bool migrate_to(sqlite3 *db, const char *text, int version, GError **err)
{
  g_autofree char *sql = g_strdup_printf("BEGIN IMMEDIATE;%s;PRAGMA application_id=%d;PRAGMA user_version=%d;COMMIT", text,
                                         APPLICATION_ID, version);
  if (db_run(db, sql, err))
    return true;
  sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return false;
}

bool schema_migrate_by(sqlite3 *db, const char *const *texts, int n_texts, GError **err)
{
  bool empty;
  int64_t version = 0;
  if (!is_empty(db, &empty, err) || (!empty && !check_version(db, n_texts, &version, err)))
    return false;
  for (; version < n_texts; version++)
    if (!migrate_to(db, texts[version], version + 1, err))
      return false;
  return true;
}

bool schema_migrate(sqlite3 *db, GError **err)
{
  return schema_migrate_by(db, migrations, n_migrations, err);
}

#include "drivers/store/sqlite_db.h"

#include <errno.h>

#include "drivers/store/sqlite_vfs.h"

enum { BUSY_MS = 5000 };

/* Cache: what a grant touches, not the store; a store of 40,000 desktops must not be in memory twice. */
static const char *const pragmas[] = {
  [DB_WRITE] = "PRAGMA synchronous=FULL; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864;"
               "PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;",
  [DB_READ] = "PRAGMA query_only=ON; PRAGMA cache_size=-1000; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON;"
              "PRAGMA trusted_schema=OFF;",
  [DB_ALONE] = "PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;",
};

static bool is_full(int os_errno)
{
  return os_errno == ENOSPC || os_errno == EDQUOT || os_errno == EFBIG;
}

static Reason reason_of(int code, int os_errno)
{
  static const struct {
    int code;
    Reason reason;
  } rows[] = {
    { SQLITE_FULL, REASON_STORE_FULL },       { SQLITE_READONLY, REASON_STORE_READ_ONLY }, { SQLITE_PERM, REASON_STORE_READ_ONLY },
    { SQLITE_BUSY, REASON_STORE_BUSY },       { SQLITE_LOCKED, REASON_STORE_BUSY },        { SQLITE_CORRUPT, REASON_STORE_DAMAGED },
    { SQLITE_NOTADB, REASON_STORE_DAMAGED },  { SQLITE_FORMAT, REASON_STORE_DAMAGED },     { SQLITE_IOERR, REASON_STORE_IO },
    { SQLITE_CANTOPEN, REASON_STORE_IO },     { SQLITE_PROTOCOL, REASON_STORE_IO },        { SQLITE_NOLFS, REASON_STORE_IO },
    { SQLITE_TOOBIG, REASON_STORE_DAMAGED },  { SQLITE_MISMATCH, REASON_STORE_DAMAGED },
  };
  int primary = code & 0xff;
  if ((primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) && is_full(os_errno))
    return REASON_STORE_FULL;
  if ((primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) && os_errno == EROFS)
    return REASON_STORE_READ_ONLY;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (rows[i].code == primary)
      return rows[i].reason;
  return REASON_INTERNAL;
}

static bool set_error(sqlite3 *db, Reason reason, const char *doing, GError **err)
{
  g_autofree char *detail = g_strdup_printf("%s: %s (SQLite %d)", doing, sqlite3_errmsg(db), sqlite3_extended_errcode(db));
  return error_false(err, reason, "detail", detail, "holder", "", NULL);
}

bool db_error(sqlite3 *db, const char *doing, GError **err)
{
  return set_error(db, reason_of(sqlite3_extended_errcode(db), sqlite3_system_errno(db)), doing, err);
}

/* The commit record may have reached the disk before the error did: only the next commit overwrites it (see seal() in sqlite.c). It does not
 * where there was no room for it (SQLITE_FULL): it comes last. */
bool db_error_commit(sqlite3 *db, GError **err)
{
  if ((sqlite3_extended_errcode(db) & 0xff) == SQLITE_IOERR)
    return !set_error(db, REASON_STORE_UNCERTAIN, "commit", err);
  return db_error(db, "commit", err);
}

sqlite3 *db_open(const char *path, DbUse use, GError **err)
{
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (use == DB_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
  g_autoptr(sqlite3) db = NULL;
  if (sqlite3_open_v2(path, &db, flags, sqlite_vfs_name()) != SQLITE_OK) {
    db_error(db, "open", err);
    return NULL;
  }
  sqlite3_busy_timeout(db, BUSY_MS);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* a column that is missing is an error, not its name as a text */
  return db_run(db, pragmas[use], err) ? g_steal_pointer(&db) : NULL;
}

bool db_run(sqlite3 *db, const char *sql, GError **err)
{
  return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || db_error(db, "run", err);
}

sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql, GError **err)
{
  sqlite3_stmt *stmt = NULL;
  int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
  if (code == SQLITE_OK)
    return stmt;
  if (code == SQLITE_ERROR)
    set_error(db, REASON_STORE_DAMAGED, "prepare", err);
  else
    db_error(db, "prepare", err);
  return NULL;
}

bool db_step(sqlite3_stmt *stmt, GError **err)
{
  int code = sqlite3_step(stmt);
  bool done = code == SQLITE_DONE || code == SQLITE_ROW;
  if (!done)
    db_error(sqlite3_db_handle(stmt), "write", err);
  sqlite3_reset(stmt);
  return done;
}

bool db_get_int(sqlite3 *db, const char *sql, int64_t *ret_value, GError **err)
{
  g_autoptr(sqlite3_stmt) stmt = db_prepare(db, sql, err);
  if (!stmt)
    return false;
  int code = sqlite3_step(stmt);
  if (code == SQLITE_DONE)
    return error_false(err, REASON_STORE_DAMAGED, "detail", sql, NULL);
  if (code != SQLITE_ROW)
    return db_error(db, "read", err);
  *ret_value = sqlite3_column_int64(stmt, 0);
  return true;
}

static bool is_readable(sqlite3 *db, int which)
{
  enum { STEP_BYTES = 64 << 10 };
  sqlite3_file *file = NULL;
  sqlite3_int64 size = 0;
  if (sqlite3_file_control(db, "main", which, &file) != SQLITE_OK || !file || !file->pMethods)
    return true;
  if (file->pMethods->xFileSize(file, &size) != SQLITE_OK)
    return false;
  g_autofree char *bytes = g_malloc(STEP_BYTES);
  for (sqlite3_int64 at = 0; at < size; at += STEP_BYTES) {
    int code = file->pMethods->xRead(file, bytes, STEP_BYTES, at);
    if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ)
      return false;
  }
  return true;
}

/* The check calls a page that can't be read damaged. Whoever is told so restores a backup, which does not help against a cable: look again, and
 * tell the one from the other. */
bool db_check(sqlite3 *db, const char *pragma, GError **err)
{
  g_autoptr(sqlite3_stmt) stmt = db_prepare(db, pragma, err);
  if (!stmt)
    return false;
  g_autofree char *verdict = NULL;
  for (int i = 0; i < 2 && g_strcmp0(verdict, "ok"); i++) {
    sqlite3_reset(stmt);
    if (sqlite3_step(stmt) != SQLITE_ROW)
      return db_error(db, "check", err);
    g_free(verdict);
    verdict = g_strdup((const char *)sqlite3_column_text(stmt, 0));
  }
  if (!g_strcmp0(verdict, "ok"))
    return true;
  sqlite3_reset(stmt);
  bool readable = is_readable(db, SQLITE_FCNTL_FILE_POINTER) && is_readable(db, SQLITE_FCNTL_JOURNAL_POINTER);
  return error_false(err, readable ? REASON_STORE_DAMAGED : REASON_STORE_IO, "detail", verdict, NULL);
}

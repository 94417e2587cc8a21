/* One SQLite connection: how it is opened, asked and closed, and the one place where SQLite's answers become our reasons. Inside
 * drivers/store only. A connection is used by one thread at a time. */
#pragma once

#include <sqlite3.h>

#include "core/error.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3_stmt, sqlite3_finalize)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3, sqlite3_close)

typedef enum {
  DB_WRITE, /* WAL, synchronous=FULL, no checkpoint of its own accord */
  DB_READ,  /* a reader beside a writer */
  DB_ALONE, /* read-only, a file that nobody else has open: a backup */
} DbUse;

/* Opens the database at path, which exists. Owned by the caller: sqlite3_close(), statements first. Store errors. */
sqlite3 *db_open(const char *path, DbUse use, GError **err);

/* Sets err from the connection's last failure; doing says what was tried ("read", "write"). Returns false. */
bool db_error(sqlite3 *db, const char *doing, GError **err);
/* The same, for a failed COMMIT. Returns whether it is uncertain what became of it: STORE_UNCERTAIN. */
bool db_error_commit(sqlite3 *db, GError **err);

/* Runs SQL text without parameters, any number of statements. */
bool db_run(sqlite3 *db, const char *sql, GError **err);
/* The first column of the first row of sql. */
bool db_get_int(sqlite3 *db, const char *sql, int64_t *ret_value, GError **err);
/* A statement to keep. SQL that the schema cannot answer is STORE_DAMAGED. */
sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql, GError **err);
/* Runs a kept statement that answers no rows, and resets it. */
bool db_step(sqlite3_stmt *stmt, GError **err);

/* Runs a pragma that answers "ok" or what is wrong: integrity_check(1), quick_check(1), quick_check(TABLE). */
bool db_check(sqlite3 *db, const char *pragma, GError **err);

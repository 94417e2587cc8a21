/* The schema of the SQLite store, as versioned migrations that are never changed once released. A field that a noun gains needs a migration
 * that adds its column: tests/unit/test_store_schema says which text is missing. Inside drivers/store only. */
#pragma once

#include "drivers/store/sqlite_db.h"

/* SQL texts: [0] makes version 1 out of nothing, [n] makes version n + 1 out of n. */
extern const char *const migrations[];
extern const int n_migrations;

/* Brings a database of any known version, or an empty one, to the newest, each step in a transaction of its own: a crash leaves a whole
 * version. STORE_NEWER, STORE_DAMAGED (not a store of ours), store errors. */
bool schema_migrate(sqlite3 *db, GError **err);
/* The same with other texts, for tests. */
bool schema_migrate_by(sqlite3 *db, const char *const *texts, int n_texts, GError **err);
/* Whether db is a store of ours of a version that we know; the version is not changed. Errors as above. */
bool schema_check(sqlite3 *db, int64_t *ret_version, GError **err);

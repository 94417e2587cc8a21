/* Objects as rows of SQLite, by the field tables: statement texts, parameters, columns. Inside drivers/store only. */
#pragma once

#include "core/model.h"
#include "drivers/store/sqlite_db.h"

/* Names without a number have ids from here up, in the order of creation. */
#define ROW_UNNUMBERED (INT64_C(1) << 62)

/* id of the object called name: its number, else fresh_id. */
int64_t row_id(Noun noun, const char *name, int64_t fresh_id);

/* Statement texts, owned by the caller. suffix: "" for live rows, "_archive". */
char *row_sql_put(Noun noun);
char *row_sql_archive(Noun noun);
/* Parameter 1: numbered ? id : name. Answers the id of the row that went. */
char *row_sql_delete(Noun noun, bool numbered);
/* Parameters 1: of when rows may go, 2: how many of the oldest are looked at. */
char *row_sql_prune(Noun noun);
/* "id, name, generation, … every field", as row_read() wants them. */
void row_append_columns(Noun noun, GString *out);
/* Every row in the order of ids. */
char *row_sql_all(Noun noun, const char *suffix);

/* Binds object to a put or archive statement. BAD_VALUE for a list item with a newline. The object must live until the statement was reset. */
bool row_bind(sqlite3_stmt *stmt, const Object *object, int64_t id, GError **err);

/* Steps through all rows of a statement of row_append_columns(), gives each object to sink, which takes the reference, and resets the
 * statement. STORE_DAMAGED names table, row and column. */
bool row_read_all(sqlite3_stmt *stmt, Noun noun, void (*sink)(Object *object, void *data), void *data, GError **err);

/* What a row's values add up to, absent and zero ones left out, so that a column that is added later changes nothing. Against disks that lie, not
 * against people. Never 0. */
int64_t row_sum(const Object *object);
/* The same for the store's own row. */
int64_t row_sum_store(int64_t sequence, int64_t epoch);

/* The migrations make what the field tables say: a field that was added without its column is found here, and the text that is missing is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/model.h"
#include "drivers/store/sqlite_schema.h"

static const char *declared(const Field *f)
{
  switch (f->type) {
  case FIELD_INT:
  case FIELD_BOOL:
  case FIELD_TIME:
    return "INTEGER NOT NULL";
  case FIELD_ENUM:
    return "TEXT NOT NULL";
  case FIELD_TEXT:
  case FIELD_REF:
  case FIELD_LIST:
  case FIELD_JSON:
    return "TEXT";
  }
  return NULL;
}

static sqlite3 *fresh(void)
{
  sqlite3 *db;
  g_autoptr(GError) err = NULL;
  assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
  bool migrated = schema_migrate(db, &err);
  if (err)
    print_error("%s\n", err->message);
  assert_true(migrated);
  return db;
}

/* name → "TYPE" or "TYPE NOT NULL" of the columns of table. */
static GHashTable *columns_of(sqlite3 *db, const char *table)
{
  GHashTable *columns = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr(sqlite3_stmt) stmt = db_prepare(db, "SELECT name, type, \"notnull\" FROM pragma_table_info(?1)", NULL);
  sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
  while (sqlite3_step(stmt) == SQLITE_ROW)
    g_hash_table_insert(columns, g_strdup((const char *)sqlite3_column_text(stmt, 0)),
                        g_strconcat((const char *)sqlite3_column_text(stmt, 1), sqlite3_column_int(stmt, 2) ? " NOT NULL" : "", NULL));
  return columns;
}

static void print_missing(const char *table, const Field *f)
{
  static const char *const defaults[] = { [FIELD_INT] = " DEFAULT 0", [FIELD_BOOL] = " DEFAULT 0", [FIELD_TIME] = " DEFAULT 0" };
  g_autofree char *first = f->type == FIELD_ENUM ? g_strdup_printf(" DEFAULT '%s'", f->names->names[0]) : NULL;
  const char *value = first ? first : f->type < G_N_ELEMENTS(defaults) && defaults[f->type] ? defaults[f->type] : "";
  print_error("  \"ALTER TABLE \\\"%s\\\" ADD COLUMN %s %s%s;\"\n", table, f->name, declared(f), value);
}

/* How many columns are missing, wrong, or there without a field. */
static int differences(sqlite3 *db, Noun noun, const char *suffix)
{
  static const char *const head[] = { "id", "name", "generation", "created_us", "changed_us", "sum" };
  g_autofree char *table = g_strconcat(schemas[noun].noun, suffix, NULL);
  g_autoptr(GHashTable) columns = columns_of(db, table);
  int wrong = 0;
  for (size_t i = 0; i < G_N_ELEMENTS(head); i++)
    wrong += !g_hash_table_remove(columns, head[i]);
  for (int i = 0; i < schemas[noun].n_fields; i++) {
    const Field *f = &schemas[noun].fields[i];
    if (g_strcmp0(g_hash_table_lookup(columns, f->name), declared(f))) {
      print_missing(table, f);
      wrong++;
    }
    g_hash_table_remove(columns, f->name);
  }
  if (g_hash_table_size(columns)) {
    print_error("table %s has %u columns that no field names\n", table, g_hash_table_size(columns));
    wrong++;
  }
  return wrong;
}

static void the_schema_is_that_of_the_field_tables(void **state)
{
  g_autoptr(sqlite3) db = fresh();
  int wrong = 0;
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    wrong += differences(db, noun, "");
    wrong += noun == NOUN_EVENT ? 0 : differences(db, noun, "_archive");
  }
  if (wrong)
    print_error("a field needs a migration in drivers/store/sqlite_migrations.c that adds its column\n");
  assert_int_equal(wrong, 0);
}

static void the_schema_has_no_other_tables(void **state)
{
  g_autoptr(sqlite3) db = fresh();
  int64_t tables;
  assert_true(db_get_int(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'", &tables, NULL));
  assert_int_equal(tables, 2 * N_NOUNS - 1 + 1);
}

static void a_migrated_store_is_of_the_newest_version(void **state)
{
  g_autoptr(sqlite3) db = fresh();
  int64_t version;
  assert_true(schema_check(db, &version, NULL));
  assert_int_equal(version, n_migrations);
  assert_true(schema_migrate(db, NULL));
}

static void strangers_and_newer_ones_are_refused(void **state)
{
  static const struct {
    const char *sql;
    Reason reason;
    const char *message;
  } rows[] = {
    { "CREATE TABLE t(x)", REASON_STORE_DAMAGED, "the store is damaged: this is not a store of Sarang" },
    { "CREATE TABLE t(x);PRAGMA user_version=1", REASON_STORE_DAMAGED, "the store is damaged: this is not a store of Sarang" },
    { "CREATE TABLE t(x);PRAGMA application_id=0x53524e47", REASON_STORE_DAMAGED, "the store is damaged: this is not a store of Sarang" },
    { "CREATE TABLE t(x);PRAGMA application_id=0x53524e47;PRAGMA user_version=9999", REASON_STORE_NEWER,
      "the store was written by a newer Sarang: schema 9999, this one knows " },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(sqlite3) db = NULL;
    g_autoptr(GError) err = NULL;
    sqlite3_open(":memory:", &db);
    assert_int_equal(sqlite3_exec(db, rows[i].sql, NULL, NULL, NULL), SQLITE_OK);
    assert_false(schema_migrate(db, &err));
    assert_int_equal(error_reason(err), rows[i].reason);
    assert_true(g_str_has_prefix(err->message, rows[i].message));
  }
}

/* ── version 1 as text ────────────────────────────────────────────────────── */

static void print_table(Noun noun, const char *suffix)
{
  enum { WIDTH = 118 };
  const char *name = schemas[noun].noun;
  printf("\"CREATE TABLE \\\"%s%s\\\"(id INTEGER PRIMARY KEY, name TEXT NOT NULL, generation INTEGER NOT NULL,\"\n", name, suffix);
  printf("\" created_us INTEGER NOT NULL, changed_us INTEGER NOT NULL, sum INTEGER NOT NULL");
  size_t column = WIDTH;
  for (int i = 0; i < schemas[noun].n_fields; i++) {
    const Field *f = &schemas[noun].fields[i];
    bool is_sql = !strcmp(f->name, "group") || !strcmp(f->name, "from") || !strcmp(f->name, "to");
    const char *quote = is_sql ? "\\\"" : "";
    g_autofree char *text = g_strdup_printf("%s%s%s %s", quote, f->name, quote, declared(f));
    bool fits = column + strlen(text) < WIDTH;
    printf("%s%s", fits ? ", " : ",\"\n\" ", text);
    column = fits ? column + strlen(text) + 2 : strlen(text) + 4;
  }
  printf(") STRICT;\"\n\"CREATE %sINDEX \\\"%s%s_name\\\" ON \\\"%s%s\\\"(name) WHERE id >= 4611686018427387904;\"\n", *suffix ? "" : "UNIQUE ", name,
         suffix, name, suffix);
}

/* Until the first release version 1 grows with the field tables: test_store_schema print >drivers/store/version_1.def */
static int print_version_1(void)
{
  printf("/* printed by test_store_schema; frozen with the first release */\n");
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    print_table(noun, "");
    if (noun != NOUN_EVENT)
      print_table(noun, "_archive");
  }
  return 0;
}

int main(int argc, char **argv)
{
  if (argc > 1 && !strcmp(argv[1], "print"))
    return print_version_1();
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_schema_is_that_of_the_field_tables),
    cmocka_unit_test(the_schema_has_no_other_tables),
    cmocka_unit_test(a_migrated_store_is_of_the_newest_version),
    cmocka_unit_test(strangers_and_newer_ones_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

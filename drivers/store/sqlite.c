/* SQLite: one file, a table a noun. Commits go through WAL with synchronous=FULL: one write and one sync each, into a log that was filled
 * beforehand and is folded into the file by another thread. */
#include <unistd.h>

#include "core/log.h"
#include "drivers/store/sqlite_files.h"
#include "drivers/store/sqlite_rows.h"
#include "drivers/store/sqlite_schema.h"
#include "drivers/store/sqlite_store.h"

enum {
  LOG_BYTES = 8 << 20,          /* as long as the log is made beforehand: about 2,000 pages */
  CHECKPOINT_FRAMES = 700,      /* pages in the log before the thread folds it in, while commits go on */
  LOG_FRAMES_MAX = 1800,        /* a log that grew to this under a load without a gap is folded in by the committer itself */
  QUICK_CHECK_BYTES = 64 << 20, /* a file beyond this has only its live tables looked through at start */
  CHANGE_BITS = 20,             /* ids of unnumbered rows: 2^62 + sequence · 2^20 + place in the batch */
};

static SqliteStore *sqlite_of(Store *store)
{
  return (SqliteStore *)store;
}

/* ── what the store knows of itself ───────────────────────────────────────── */

bool sqlite_read_state(sqlite3 *db, int64_t *ret_sequence, int64_t *ret_epoch, GError **err)
{
  g_autoptr(sqlite3_stmt) stmt = db_prepare(db, "SELECT sequence, epoch, sum FROM store WHERE id = 1", err);
  if (!stmt)
    return false;
  int code = sqlite3_step(stmt);
  if (code != SQLITE_ROW && code != SQLITE_DONE)
    return db_error(db, "read", err);
  int64_t sequence = sqlite3_column_int64(stmt, 0), epoch = sqlite3_column_int64(stmt, 1);
  if (code == SQLITE_DONE || sqlite3_column_int64(stmt, 2) != row_sum_store(sequence, epoch))
    return error_false(err, REASON_STORE_DAMAGED, "detail", "table store: the values are not those that were written", NULL);
  *ret_sequence = sequence;
  *ret_epoch = epoch;
  return true;
}

static bool refuse_pair(Reason reason, const char *name, int64_t value, const char *other_name, int64_t other, GError **err)
{
  g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value), *other_text = g_strdup_printf("%" G_GINT64_FORMAT, other);
  return error_false(err, reason, name, text, other_name, other_text, NULL);
}

static bool refuse_advance(SqliteStore *s, int64_t sequence, int64_t epoch, GError **err)
{
  int64_t last, found;
  if (!sqlite_read_state(s->db, &last, &found, err))
    return false;
  if (found > epoch)
    return refuse_pair(REASON_STORE_FENCED, "found", found, "ours", epoch, err);
  return refuse_pair(REASON_STORE_GAP, "found", sequence, "last", last, err);
}

/* From batch first - 1 to last, if the store is there and no other leader took over: one statement is both question and answer. */
static bool advance(SqliteStore *s, int64_t first, int64_t last, int64_t epoch, GError **err)
{
  sqlite3_bind_int64(s->advance, 1, last);
  sqlite3_bind_int64(s->advance, 2, epoch);
  sqlite3_bind_int64(s->advance, 3, first - 1);
  sqlite3_bind_int64(s->advance, 4, row_sum_store(last, epoch));
  return db_step(s->advance, err) && (sqlite3_changes(s->db) == 1 || refuse_advance(s, first, epoch, err));
}

/* ── one change ───────────────────────────────────────────────────────────── */

static sqlite3_stmt *kept(SqliteStore *s, sqlite3_stmt **slot, char *take_sql, GError **err)
{
  g_autofree char *sql = take_sql;
  if (!*slot)
    *slot = db_prepare(s->db, sql, err);
  return *slot;
}

static bool insert(sqlite3_stmt *stmt, const Object *object, int64_t id, GError **err)
{
  return stmt && row_bind(stmt, object, id, err) && db_step(stmt, err);
}

static bool put(SqliteStore *s, const Object *object, int64_t fresh_id, GError **err)
{
  sqlite3_stmt **slot = &s->nouns[object->noun].put;
  sqlite3_stmt *stmt = kept(s, slot, *slot ? NULL : row_sql_put(object->noun), err);
  return insert(stmt, object, row_id(object->noun, object->name, fresh_id), err);
}

/* *ret_id: of the row that went; left alone where there was none. */
static bool del(SqliteStore *s, const Object *object, int64_t *ret_id, GError **err)
{
  int64_t number = store_name_number(object->noun, object->name);
  NounStatements *of = &s->nouns[object->noun];
  sqlite3_stmt **slot = number ? &of->delete_numbered : &of->delete_named;
  sqlite3_stmt *stmt = kept(s, slot, *slot ? NULL : row_sql_delete(object->noun, number), err);
  if (!stmt)
    return false;
  if (number)
    sqlite3_bind_int64(stmt, 1, number);
  else
    sqlite3_bind_text(stmt, 1, object->name, -1, SQLITE_STATIC);
  int code = sqlite3_step(stmt);
  if (code == SQLITE_ROW)
    *ret_id = sqlite3_column_int64(stmt, 0);
  bool done = code == SQLITE_ROW || code == SQLITE_DONE || db_error(s->db, "write", err);
  sqlite3_reset(stmt);
  return done;
}

static bool archive(SqliteStore *s, const Object *object, int64_t fresh_id, GError **err)
{
  g_assert(object->noun != NOUN_EVENT); /* events are history already */
  int64_t id = row_id(object->noun, object->name, fresh_id);
  if (!del(s, object, &id, err))
    return false;
  sqlite3_stmt **slot = &s->nouns[object->noun].archive;
  sqlite3_stmt *stmt = kept(s, slot, *slot ? NULL : row_sql_archive(object->noun), err);
  return insert(stmt, object, id, err);
}

static bool change(SqliteStore *s, const Change *c, int64_t fresh_id, GError **err)
{
  switch (c->how) {
  case CHANGE_PUT:
    return put(s, c->object, fresh_id, err);
  case CHANGE_DELETE:
    return del(s, c->object, &fresh_id, err);
  case CHANGE_ARCHIVE:
    return archive(s, c->object, fresh_id, err);
  }
  return false;
}

static bool prune(SqliteStore *s, const Prune *p, GError **err)
{
  sqlite3_stmt **slot = &s->nouns[p->noun].prune;
  sqlite3_stmt *stmt = kept(s, slot, *slot ? NULL : row_sql_prune(p->noun), err);
  if (!stmt)
    return false;
  sqlite3_bind_int64(stmt, 1, p->before_us);
  sqlite3_bind_int64(stmt, 2, p->max);
  return db_step(stmt, err);
}

/* ── batches ──────────────────────────────────────────────────────────────── */

static bool write_batch(SqliteStore *s, const Batch *batch, GError **err)
{
  g_assert(batch->changes->len < 1u << CHANGE_BITS);
  int64_t fresh_id = ROW_UNNUMBERED | batch->sequence << CHANGE_BITS;
  for (guint i = 0; i < batch->changes->len; i++)
    if (!change(s, &g_array_index(batch->changes, Change, i), fresh_id | i, err))
      return false;
  for (guint i = 0; i < batch->prunes->len; i++)
    if (!prune(s, &g_array_index(batch->prunes, Prune, i), err))
      return false;
  return true;
}

static bool write_batches(SqliteStore *s, const Batch *const *batches, int n, int64_t epoch, GError **err)
{
  if (!advance(s, batches[0]->sequence, batches[n - 1]->sequence, epoch, err))
    return false;
  for (int i = 1; i < n; i++)
    if (batches[i]->sequence != batches[i - 1]->sequence + 1)
      return refuse_pair(REASON_STORE_GAP, "found", batches[i]->sequence, "last", batches[i - 1]->sequence, err);
  for (int i = 0; i < n; i++)
    if (!write_batch(s, batches[i], err))
      return false;
  return true;
}

static void roll_back(SqliteStore *s)
{
  if (sqlite3_get_autocommit(s->db))
    return;
  sqlite3_step(s->rollback);
  sqlite3_reset(s->rollback);
}

static bool commit(SqliteStore *s, GError **err)
{
  int code = sqlite3_step(s->commit);
  if (code != SQLITE_DONE)
    s->uncertain = db_error_commit(s->db, err);
  sqlite3_reset(s->commit);
  return code == SQLITE_DONE;
}

/* A log begins anew when all of it was folded in, which the thread can't reach while commits come without a gap: past the limit the committer folds
 * in what is left. Where a reader holds the log's beginning it grows on, and is asked about again a good deal later. */
static void tend_log(SqliteStore *s)
{
  if (s->log_frames < s->log_asked)
    s->log_asked = 0;
  if (s->log_frames - s->log_asked < CHECKPOINT_FRAMES)
    return;
  s->log_asked = s->log_frames;
  if (s->log_frames < LOG_FRAMES_MAX) {
    checkpointer_ask(s->checkpointer);
    return;
  }
  checkpointer_wait(s->checkpointer);
  sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static bool sqlite_apply(Store *store, const Batch *const *batches, int n, int64_t epoch, GError **err)
{
  SqliteStore *s = sqlite_of(store);
  if (s->uncertain)
    return error_false(err, REASON_STORE_UNCERTAIN, "detail", "the store was not loaded again since", NULL);
  if (n < 1)
    return true;
  if (!db_step(s->begin, err))
    return false;
  if (!write_batches(s, batches, n, epoch, err) || !commit(s, err)) {
    roll_back(s);
    return false;
  }
  tend_log(s);
  return true;
}

/* An uncertain commit is not in force here, but its record may lie whole in the log, where a crash would find it. The next commit
 * overwrites it; this is one that changes nothing else. */
static bool seal(SqliteStore *s, GError **err)
{
  if (!s->uncertain)
    return true;
  if (!db_step(s->begin, err))
    return false;
  if (db_step(s->seal, err) && commit(s, err)) {
    s->uncertain = false;
    return true;
  }
  roll_back(s);
  s->uncertain = true;
  return false;
}

/* ── load ─────────────────────────────────────────────────────────────────── */

static bool load_noun(SqliteStore *s, Noun noun, StoreSink sink, void *data, GError **err)
{
  g_autofree char *sql = row_sql_all(noun, "");
  g_autoptr(sqlite3_stmt) stmt = db_prepare(s->db, sql, err);
  return stmt && row_read_all(stmt, noun, sink, data, err);
}

static bool load_all(SqliteStore *s, StoreSink sink, void *data, int64_t *ret_sequence, GError **err)
{
  int64_t sequence, epoch;
  if (!sqlite_read_state(s->db, &sequence, &epoch, err))
    return false;
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    if (noun != NOUN_EVENT && !load_noun(s, noun, sink, data, err))
      return false;
  *ret_sequence = sequence;
  return true;
}

static bool sqlite_load(Store *store, StoreSink sink, void *data, int64_t *ret_sequence, GError **err)
{
  SqliteStore *s = sqlite_of(store);
  if (!seal(s, err))
    return false;
  bool loaded = db_run(s->db, "BEGIN", err) && load_all(s, sink, data, ret_sequence, err);
  roll_back(s);
  sqlite3_db_release_memory(s->db);
  return loaded;
}

/* ── open, close ──────────────────────────────────────────────────────────── */

static int note_frames(void *data, sqlite3 *db, const char *name, int frames)
{
  ((SqliteStore *)data)->log_frames = frames;
  return SQLITE_OK;
}

static bool prepare_statements(SqliteStore *s, GError **err)
{
  const struct {
    sqlite3_stmt **slot;
    const char *sql;
  } rows[] = {
    { &s->begin, "BEGIN IMMEDIATE" },
    { &s->commit, "COMMIT" },
    { &s->rollback, "ROLLBACK" },
    { &s->advance, "UPDATE store SET sequence=?1, epoch=?2, sum=?4 WHERE id=1 AND sequence=?3 AND epoch<=?2" },
    { &s->seal, "UPDATE store SET seals=seals+1 WHERE id=1" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (!(*rows[i].slot = db_prepare(s->db, rows[i].sql, err)))
      return false;
  return true;
}

/* Archives and events grow for years, and a damaged row there is found when it is read. */
static bool check_quickly(SqliteStore *s, GError **err)
{
  int64_t pages, page_bytes;
  if (!db_get_int(s->db, "PRAGMA page_count", &pages, err) || !db_get_int(s->db, "PRAGMA page_size", &page_bytes, err))
    return false;
  if (pages * page_bytes <= QUICK_CHECK_BYTES)
    return db_check(s->db, "PRAGMA quick_check(1)", err);
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    g_autofree char *pragma = g_strdup_printf("PRAGMA quick_check(\"%s\")", schemas[noun].noun);
    if (noun != NOUN_EVENT && !db_check(s->db, pragma, err))
      return false;
  }
  return true;
}

static bool open_locked(SqliteStore *s, GError **err)
{
  if (!sqlite_restore_finish(s->path, err) || !files_prepare(s->path, err) || !(s->db = db_open(s->path, DB_WRITE, err)))
    return false;
  if (!schema_migrate(s->db, err) || !check_quickly(s, err) || !prepare_statements(s, err))
    return false;
  /* on a full disk it fails, and the log keeps what it holds: that stops no start */
  sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
  files_fill_wal(s->path, LOG_BYTES);
  sqlite3_wal_hook(s->db, note_frames, s);
  return (s->checkpointer = checkpointer_new(s->path, err)) != NULL;
}

static void sqlite_store_close(Store *store)
{
  SqliteStore *s = sqlite_of(store);
  sqlite3_stmt *own[] = { s->begin, s->commit, s->rollback, s->advance, s->seal };
  for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
    sqlite3_finalize(own[i]);
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    NounStatements *of = &s->nouns[noun];
    sqlite3_stmt *kept_ones[] = { of->put, of->archive, of->delete_numbered, of->delete_named, of->prune };
    for (size_t i = 0; i < G_N_ELEMENTS(kept_ones); i++)
      sqlite3_finalize(kept_ones[i]);
  }
  checkpointer_free(s->checkpointer);
  sqlite3_close(s->db);
  close(s->lock_fd);
  g_free(s->path);
  g_free(s);
}

static Store *sqlite_open(const char *location, GError **err)
{
  int lock_fd;
  if (!files_lock(location, &lock_fd, err))
    return NULL;
  SqliteStore *s = g_new0(SqliteStore, 1);
  s->head.driver = &store_sqlite;
  s->path = g_strdup(location);
  s->lock_fd = lock_fd;
  if (open_locked(s, err))
    return &s->head;
  sqlite_store_close(&s->head);
  return NULL;
}

const StoreDriver store_sqlite = {
  .scheme = "sqlite",
  .open = sqlite_open,
  .close = sqlite_store_close,
  .load = sqlite_load,
  .apply = sqlite_apply,
  .backup = sqlite_backup,
  .check = sqlite_check,
  .reader_open = sqlite_reader_open,
  .reader_close = sqlite_reader_close,
  .history = sqlite_history,
  .find = sqlite_find,
  .restore = sqlite_restore,
};

/* Copies of a SQLite store: made while it runs, looked through, and put in its place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/store/sqlite_files.h"
#include "drivers/store/sqlite_rows.h"
#include "drivers/store/sqlite_schema.h"
#include "drivers/store/sqlite_store.h"

enum { COPY_BYTES = 1 << 20 };

/* ── check ────────────────────────────────────────────────────────────────── */

static void drop_row(Object *object, void *data)
{
  store_object_drop(object);
}

static bool check_rows(sqlite3 *db, Noun noun, const char *suffix, GError **err)
{
  g_autofree char *sql = row_sql_all(noun, suffix);
  g_autoptr(sqlite3_stmt) stmt = db_prepare(db, sql, err);
  return stmt && row_read_all(stmt, noun, drop_row, NULL, err);
}

static bool check_all(sqlite3 *db, GError **err)
{
  int64_t sequence, epoch;
  if (!db_check(db, "PRAGMA integrity_check(1)", err) || !sqlite_read_state(db, &sequence, &epoch, err))
    return false;
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    if (!check_rows(db, noun, "", err) || (noun != NOUN_EVENT && !check_rows(db, noun, "_archive", err)))
      return false;
  return true;
}

bool sqlite_check(Store *store, GError **err)
{
  g_autoptr(sqlite3) db = db_open(((SqliteStore *)store)->path, DB_READ, err);
  return db && check_all(db, err);
}

/* ── backup ───────────────────────────────────────────────────────────────── */

/* A folder that is not there is said of the backup that was asked for, not of the name it has meanwhile. */
static bool make_file(const char *path, const char *wanted, GError **err)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == ENOENT)
    return error_false(err, REASON_BAD_VALUE, "field", "path", "value", wanted, "limit", "in a folder that is there", NULL);
  if (fd < 0)
    return files_error("make", path, err);
  close(fd);
  return true;
}

static bool vacuum_into(sqlite3 *db, const char *path, GError **err)
{
  /* the copy is attached to the connection, whose "query only" would hold for it too */
  g_autoptr(sqlite3_stmt) stmt = db_run(db, "PRAGMA query_only=OFF", err) ? db_prepare(db, "VACUUM INTO ?1", err) : NULL;
  if (!stmt)
    return false;
  sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC);
  return sqlite3_step(stmt) == SQLITE_DONE || db_error(db, "copy", err);
}

static bool rename_new(const char *from, const char *to, GError **err)
{
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 || files_error("make", to, err);
}

/* Under a name of its own until it is whole and durable: what has the name of a backup is one. */
bool sqlite_backup(Store *store, const char *path, GError **err)
{
  if (!access(path, F_OK))
    return error_false(err, REASON_EXISTS, "kind", "file", "name", path, NULL);
  g_autoptr(sqlite3) db = db_open(((SqliteStore *)store)->path, DB_READ, err);
  g_autofree char *partial = g_strconcat(path, ".partial", NULL);
  if (!db || !make_file(partial, path, err))
    return false;
  bool made = vacuum_into(db, partial, err) && files_sync(partial, err) && rename_new(partial, path, err);
  if (!made)
    unlink(partial);
  return made && files_sync_directory(path, err);
}

/* ── restore ──────────────────────────────────────────────────────────────── */

static bool write_all(int fd, const char *bytes, ssize_t n)
{
  for (ssize_t wrote; n > 0; bytes += wrote, n -= wrote)
    if ((wrote = write(fd, bytes, n)) < 0)
      return false;
  return true;
}

static bool copy_bytes(int from, int to)
{
  g_autofree char *bytes = g_malloc(COPY_BYTES);
  ssize_t n;
  while ((n = read(from, bytes, COPY_BYTES)) > 0)
    if (!write_all(to, bytes, n))
      return false;
  return n == 0 && fsync(to) == 0;
}

static bool copy_file(const char *from, const char *to, GError **err)
{
  int in = open(from, O_RDONLY | O_CLOEXEC);
  if (in < 0)
    return files_error("open", from, err);
  int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool copied = (out >= 0 && copy_bytes(in, out)) || files_error("copy to", to, err);
  close(in);
  if (out >= 0)
    close(out);
  return copied;
}

/* A backup has no log beside it: what it holds is all in the file. */
static bool check_backup(const char *path, GError **err)
{
  g_autoptr(sqlite3) db = db_open(path, DB_ALONE, err);
  int64_t version;
  if (!db || !schema_check(db, &version, err))
    return false;
  /* an older schema lacks columns that our rows have; its pages and sums are looked at after its migration */
  return version == n_migrations ? check_all(db, err) : db_check(db, "PRAGMA integrity_check(1)", err);
}

static void keep_controller(Object *object, void *data)
{
  *(Object **)data = object;
}

static bool mark_row(sqlite3 *db, GError **err)
{
  g_autofree char *all = row_sql_all(NOUN_CONTROLLER, ""), *put = row_sql_put(NOUN_CONTROLLER);
  Object *self = NULL;
  g_autoptr(sqlite3_stmt) read = db_prepare(db, all, err);
  if (!read || !row_read_all(read, NOUN_CONTROLLER, keep_controller, &self, err))
    return false;
  if (!self)
    return true; /* of a store that no brain has seen: nothing was ever made by it */
  ((Controller *)self)->restored = true;
  g_autoptr(sqlite3_stmt) write = db_prepare(db, put, err);
  bool marked = write && row_bind(write, self, row_id(NOUN_CONTROLLER, self->name, ROW_UNNUMBERED), err) && db_step(write, err);
  store_object_drop(self);
  return marked;
}

/* Told in the copy before it is the store: no start can find one without the other. */
static bool mark_restored(const char *path, GError **err)
{
  g_autoptr(sqlite3) db = db_open(path, DB_WRITE, err);
  if (!db || !schema_migrate(db, err) || !mark_row(db, err))
    return false;
  return sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK || db_error(db, "write", err);
}

/* So that the kept file is whole by itself. A store that can't be opened any more keeps its log beside it. */
static void fold_log(const char *location, const char *kept)
{
  {
    g_autoptr(sqlite3) db = db_open(location, DB_WRITE, NULL);
    if (db)
      sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  }
  g_autofree char *log = g_strconcat(location, "-wal", NULL), *kept_log = g_strconcat(kept, "-wal", NULL);
  struct stat st;
  if (!stat(log, &st) && st.st_size)
    rename(log, kept_log);
}

static bool keep_aside(const char *location, char **ret_kept, GError **err)
{
  if (access(location, F_OK) < 0)
    return true;
  g_autoptr(GDateTime) now = g_date_time_new_now_utc();
  g_autofree char *stamp = g_date_time_format(now, "%Y%m%dT%H%M%S");
  g_autofree char *kept = g_strdup_printf("%s.before-restore-%s.%06d", location, stamp, g_date_time_get_microsecond(now));
  fold_log(location, kept);
  if (link(location, kept) < 0)
    return files_error("keep", kept, err);
  *ret_kept = g_steal_pointer(&kept);
  return true;
}

/* From the moment a file has this name, the store is what is in it. */
static char *coming_path(const char *location)
{
  return g_strconcat(location, ".restoring", NULL);
}

bool sqlite_restore_finish(const char *location, GError **err)
{
  g_autofree char *coming = coming_path(location);
  if (access(coming, F_OK) < 0)
    return true;
  static const char *const stale[] = { "-wal", "-shm", "-journal" };
  for (size_t i = 0; i < G_N_ELEMENTS(stale); i++) {
    g_autofree char *path = g_strconcat(location, stale[i], NULL);
    if (unlink(path) < 0 && errno != ENOENT)
      return files_error("remove", path, err);
  }
  if (!files_sync_directory(location, err))
    return false;
  return rename(coming, location) == 0 ? files_sync_directory(location, err) : files_error("put in place", location, err);
}

static bool restore_locked(const char *location, const char *path, char **ret_kept, GError **err)
{
  g_autofree char *copy = g_strconcat(location, ".restore-copy", NULL), *coming = coming_path(location), *kept = NULL;
  if (!sqlite_restore_finish(location, err))
    return false;
  if (!copy_file(path, copy, err) || !check_backup(copy, err) || !mark_restored(copy, err) || !files_sync(copy, err) ||
      !keep_aside(location, &kept, err)) {
    unlink(copy);
    return false;
  }
  if (rename(copy, coming) < 0)
    return files_error("make", coming, err);
  if (!files_sync_directory(location, err) || !sqlite_restore_finish(location, err))
    return false;
  *ret_kept = g_steal_pointer(&kept);
  return true;
}

bool sqlite_restore(const char *location, const char *path, char **ret_kept, GError **err)
{
  int lock_fd;
  if (!files_lock(location, &lock_fd, err))
    return false;
  bool restored = restore_locked(location, path, ret_kept, err);
  close(lock_fd);
  return restored;
}

/* What only a store on a disk can suffer: full and read-only disks, other processes, kill -9, bytes that flip, backups and restores. */
#include <glib/gstdio.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store_files.h"
#include "tests/unit/store_objects.h"

static Store *story_store(const char *directory, int n)
{
  Store *store = must_open_sqlite(directory);
  for (int i = 1; i <= n; i++)
    must_apply(store, story_batch(i));
  return store;
}

static void drop(Object *object, void *data)
{
  store_object_drop(object);
}

static int64_t sequence_of(Store *store)
{
  int64_t sequence;
  g_ptr_array_unref(load_objects(store, &sequence));
  return sequence;
}

#define assert_open_fails(directory, reason) \
  do { \
    g_autoptr(GError) err_ = NULL; \
    assert_null(open_sqlite(directory, &err_)); \
    assert_string_equal(reason_wire(error_reason(err_)), reason_wire(reason)); \
  } while (0)

/* ── in a process of its own ──────────────────────────────────────────────── */

/* Runs f in a child, where limits, mounts and signals harm nobody; its asserts end it with 1. */
static void in_child(void (*f)(const char *directory), const char *directory)
{
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (!pid) {
    f(directory);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

#define child_wants(condition) \
  do { \
    if (!(condition)) { \
      g_printerr("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      _exit(1); \
    } \
  } while (0)

static Reason apply_reason(Store *store, int64_t sequence)
{
  g_autoptr(Batch) batch = story_batch(sequence);
  g_autoptr(GError) err = NULL;
  const Batch *one = batch;
  return store->driver->apply(store, &one, 1, 1, &err) ? N_REASONS : error_reason(err);
}

/* Applies the story until the store refuses; returns the last batch that it took. */
static int64_t apply_until_refused(Store *store, int64_t last, Reason *ret_reason)
{
  while ((*ret_reason = apply_reason(store, last + 1)) == N_REASONS && last < 20000)
    last++;
  return last;
}

/* ── disks ────────────────────────────────────────────────────────────────── */

static bool mount_private(const char *directory, const char *options)
{
  return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
         mount("tmpfs", directory, "tmpfs", 0, options) == 0;
}

static void fill_disk(const char *directory)
{
  g_autofree char *path = directory_path(directory, "ballast");
  static const char bytes[4096];
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  while (fd >= 0 && write(fd, bytes, sizeof bytes) > 0)
    ;
  close(fd);
}

static void full_disk_child(const char *directory)
{
  child_wants(mount_private(directory, "size=12m,mode=0700"));
  Store *store = story_store(directory, 4);
  fill_disk(directory);
  Reason reason;
  int64_t last = apply_until_refused(store, 4, &reason); /* the log that was made beforehand takes some more */
  child_wants(reason == REASON_STORE_FULL);
  for (int i = 0; i < 5; i++)
    child_wants(apply_reason(store, last + 1) == REASON_STORE_FULL);
  assert_story(store, last);
  g_autofree char *ballast = directory_path(directory, "ballast");
  child_wants(unlink(ballast) == 0);
  child_wants(apply_reason(store, last + 1) == N_REASONS);
  fill_disk(directory);
  store_close(store);
  store = must_open_sqlite(directory); /* a full disk stops no start */
  assert_story(store, last + 1);
  store_close(store);
}

static void a_full_disk_is_said_and_survived(void **state)
{
  if (geteuid())
    skip();
  char *directory = directory_new();
  in_child(full_disk_child, directory);
  directory_free(directory);
}

static void file_limit_child(const char *directory)
{
  Store *store = story_store(directory, 3);
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = { 8 << 20, RLIM_INFINITY };
  child_wants(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  StoreReader *reader = must_read(store); /* holds the log, which has to grow */
  sqlite3 *db;
  g_autofree char *path = directory_path(directory, "sarang.db");
  child_wants(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, "BEGIN;SELECT * FROM store", NULL, NULL, NULL) == SQLITE_OK);
  Reason reason;
  int64_t last = apply_until_refused(store, 3, &reason);
  child_wants(reason == REASON_STORE_FULL);
  assert_story(store, last);
  sqlite3_close(db);
  limit.rlim_cur = RLIM_INFINITY;
  child_wants(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  child_wants(apply_reason(store, last + 1) == N_REASONS);
  assert_story(store, last + 1);
  reader->driver->reader_close(reader);
  store_close(store);
}

static void a_file_limit_is_a_full_disk(void **state)
{
  char *directory = directory_new();
  in_child(file_limit_child, directory);
  Store *store = must_open_sqlite(directory);
  assert_story(store, sequence_of(store));
  store_close(store);
  directory_free(directory);
}

static void read_only_child(const char *directory)
{
  child_wants(mount_private(directory, "size=40m,mode=0700"));
  Store *store = story_store(directory, 3);
  store_close(store);
  child_wants(mount("none", directory, NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0);
  g_autoptr(GError) err = NULL;
  child_wants(!open_sqlite(directory, &err) && error_is(err, REASON_STORE_READ_ONLY));
  child_wants(mount("none", directory, NULL, MS_REMOUNT, NULL) == 0);
  store = must_open_sqlite(directory);
  assert_story(store, 3);
  store_close(store);
}

static void a_read_only_disk_is_said(void **state)
{
  if (geteuid())
    skip();
  char *directory = directory_new();
  in_child(read_only_child, directory);
  directory_free(directory);
}

/* ── who may hold and read it ─────────────────────────────────────────────── */

static void second_daemon_child(const char *directory)
{
  g_autoptr(GError) err = NULL;
  child_wants(!open_sqlite(directory, &err) && error_is(err, REASON_STORE_BUSY));
  g_autofree char *wanted = g_strdup_printf("the store is held by another process: process %d", getppid());
  child_wants(!strcmp(err->message, wanted));
}

static void a_second_daemon_is_told_who_holds_it(void **state)
{
  char *directory = directory_new();
  Store *store = story_store(directory, 3);
  in_child(second_daemon_child, directory);
  must_apply(store, story_batch(4));
  assert_story(store, 4);
  store_close(store);
  directory_free(directory);
}

static void only_its_owner_reads_it(void **state)
{
  static const char *const files[] = { "sarang.db", "sarang.db-wal", "sarang.db-shm", "sarang.db.lock", "backup" };
  char *parent = directory_new(), *directory = directory_path(parent, "made");
  mode_t old = umask(0);
  Store *store = story_store(directory, 3);
  g_autofree char *backup = directory_path(directory, "backup");
  assert_true(store->driver->backup(store, backup, NULL));
  struct stat st;
  assert_int_equal(stat(directory, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0700);
  for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
    g_autofree char *path = directory_path(directory, files[i]);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
  }
  umask(old);
  store_close(store);
  directory_free(directory);
  directory_free(parent);
}

static void one_that_others_can_read_is_refused(void **state)
{
  char *directory = directory_new();
  g_autofree char *path = directory_path(directory, "sarang.db");
  store_close(story_store(directory, 3));
  static const int modes[] = { 0640, 0604, 0660, 0777 };
  for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
    chmod(path, modes[i]);
    assert_open_fails(directory, REASON_STORE_OPEN_TO_OTHERS);
  }
  chmod(path, 0600);
  chmod(directory, 0750);
  assert_open_fails(directory, REASON_STORE_OPEN_TO_OTHERS);
  chmod(directory, 0700);
  Store *store = must_open_sqlite(directory);
  assert_story(store, 3);
  store_close(store);
  directory_free(directory);
}

/* ── what is not a store of ours ──────────────────────────────────────────── */

static void run_sql(const char *directory, const char *sql)
{
  g_autofree char *path = directory_path(directory, "sarang.db");
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  char *message = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
    fail_msg("%s: %s", sql, message);
  sqlite3_close(db);
}

static void strangers_newer_ones_and_wrong_rows_are_refused(void **state)
{
  static const struct {
    const char *sql;
    Reason reason;
    const char *message; /* a part of it */
  } rows[] = {
    { "PRAGMA user_version=99", REASON_STORE_NEWER, "schema 99, this one knows " },
    { "PRAGMA application_id=7", REASON_STORE_DAMAGED, "this is not a store of Sarang" },
    { "UPDATE desktop SET state='melted' WHERE id=3", REASON_STORE_DAMAGED, "table desktop, row \"d-3\" (3), column state: a value that is not known" },
    { "UPDATE desktop SET touched=7 WHERE id=3", REASON_STORE_DAMAGED, "table desktop, row \"d-3\" (3), column touched: neither 0 nor 1" },
    { "UPDATE desktop SET vcpus=vcpus+1 WHERE id=3", REASON_STORE_DAMAGED, "column sum: the values are not those that were written" },
    { "UPDATE desktop SET name='d-4' WHERE id=3", REASON_STORE_DAMAGED, "column id: not that of its name" },
    { "UPDATE desktop SET name='' WHERE id=3", REASON_STORE_DAMAGED, "column name: not a name" },
    { "UPDATE desktop SET owner='a'||char(0)||'b' WHERE id=3", REASON_STORE_DAMAGED, "column owner: not a text" },
    { "UPDATE store SET sequence=2", REASON_STORE_DAMAGED, "table store: the values are not those that were written" },
    { "DELETE FROM store", REASON_STORE_DAMAGED, "table store: the values are not those that were written" },
    { "DROP TABLE relay", REASON_STORE_DAMAGED, "no such table: relay" },
    { "ALTER TABLE relay DROP COLUMN gateway", REASON_STORE_DAMAGED, "no such column: gateway" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    char *directory = directory_new();
    store_close(story_store(directory, 3));
    run_sql(directory, rows[i].sql);
    g_autoptr(GError) err = NULL;
    Store *store = open_sqlite(directory, &err);
    int64_t sequence;
    if (store && store->driver->load(store, drop, NULL, &sequence, &err))
      fail_msg("%s: not noticed", rows[i].sql);
    if (error_reason(err) != rows[i].reason || !strstr(err->message, rows[i].message))
      fail_msg("%s: %s", rows[i].sql, err->message);
    store_close(store);
    directory_free(directory);
  }
}

/* ── bytes that flip ──────────────────────────────────────────────────────── */

static void put_file(const char *directory, const char *file, const char *bytes, gsize n)
{
  g_autofree char *path = directory_path(directory, file);
  assert_true(g_file_set_contents_full(path, bytes, n, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
}

/* Whether everything that is in the store of a story of n batches is as it was written, or an error says that it is not. */
static bool story_or_error(const char *directory, int n)
{
  g_autoptr(GError) err = NULL;
  Store *store = open_sqlite(directory, &err);
  bool sound = store && store->driver->check(store, &err);
  if (sound)
    assert_story(store, n);
  else
    assert_non_null(err);
  store_close(store);
  return sound;
}

static void a_flipped_byte_is_an_error_or_harmless(void **state)
{
  enum { N = 9, FLIPS = 250 };
  char *directory = directory_new();
  store_close(story_store(directory, N));
  g_autofree char *path = directory_path(directory, "sarang.db"), *bytes = NULL;
  gsize n;
  assert_true(g_file_get_contents(path, &bytes, &n, NULL));
  g_autoptr(GRand) random = g_rand_new_with_seed(5);
  int found = 0;
  for (int i = 0; i < FLIPS; i++) {
    gsize at = i < 110 ? (gsize)i : (gsize)g_rand_int_range(random, 0, n);
    char was = bytes[at];
    bytes[at] ^= 1 << g_rand_int_range(random, 0, 8);
    put_file(directory, "sarang.db", bytes, n);
    found += !story_or_error(directory, N);
    bytes[at] = was;
    put_file(directory, "sarang.db-wal", "", 0);
  }
  print_message("%d of %d flips were found, the others harmless\n", found, FLIPS);
  assert_true(found > FLIPS / 10);
  put_file(directory, "sarang.db", bytes, n);
  assert_true(story_or_error(directory, N));
  directory_free(directory);
}

static void a_file_cut_short_is_an_error(void **state)
{
  char *directory = directory_new();
  store_close(story_store(directory, 9));
  g_autofree char *path = directory_path(directory, "sarang.db"), *bytes = NULL;
  gsize n;
  assert_true(g_file_get_contents(path, &bytes, &n, NULL));
  for (gsize cut = n - 4096; cut > 4096; cut = cut * 4 / 5) {
    put_file(directory, "sarang.db", bytes, cut);
    assert_false(story_or_error(directory, 9));
  }
  put_file(directory, "sarang.db", "no database at all, but some text that is long enough to be looked at by whoever opens it, page by page.", 100);
  assert_open_fails(directory, REASON_STORE_DAMAGED);
  directory_free(directory);
}

/* The log has sums of its own: what is behind a flipped byte is gone, what is before it is whole. */
static void a_flipped_byte_in_the_log_leaves_what_was_before(void **state)
{
  char *directory = directory_new();
  Store *store = story_store(directory, 9);
  char *copy = directory_copy(directory);
  g_autofree char *path = directory_path(copy, "sarang.db-wal"), *db = directory_path(copy, "sarang.db"), *log = NULL, *bytes = NULL;
  gsize n_log, n;
  assert_true(g_file_get_contents(path, &log, &n_log, NULL) && g_file_get_contents(db, &bytes, &n, NULL));
  for (gsize at = 5; at < n_log; at += n_log / 40) {
    log[at] ^= 0x10;
    put_file(copy, "sarang.db", bytes, n);
    put_file(copy, "sarang.db-wal", log, n_log);
    Store *after = must_open_sqlite(copy);
    int64_t sequence = sequence_of(after);
    assert_in_range(sequence, 0, 9);
    assert_story(after, sequence);
    store_close(after);
    log[at] ^= 0x10;
  }
  store_close(store);
  directory_free(directory);
  directory_free(copy);
}

/* ── kill -9 ──────────────────────────────────────────────────────────────── */

static void apply_and_tell(const char *directory, int pipe_fd)
{
  Store *store = open_sqlite(directory, NULL);
  child_wants(store);
  for (int64_t i = sequence_of(store) + 1;; i++) {
    child_wants(apply_reason(store, i) == N_REASONS);
    child_wants(write(pipe_fd, &i, sizeof i) == sizeof i);
  }
}

/* A child applies until it is killed; returns the last batch that it told was durable. */
static int64_t apply_until_killed(const char *directory, int after, int64_t last, GRand *random)
{
  int fds[2];
  assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (!pid)
    apply_and_tell(directory, fds[1]);
  close(fds[1]);
  for (int i = 0; i < after; i++)
    assert_int_equal(read(fds[0], &last, sizeof last), sizeof last);
  g_usleep(g_rand_int_range(random, 0, 400)); /* somewhere in the next commits */
  kill(pid, SIGKILL);
  while (read(fds[0], &last, sizeof last) == sizeof last)
    ;
  close(fds[0]);
  waitpid(pid, NULL, 0);
  return last;
}

static void what_was_acknowledged_survives_kill(void **state)
{
  enum { KILLS = 25 };
  char *directory = directory_new();
  g_autoptr(GRand) random = g_rand_new_with_seed(3);
  int64_t last = 0;
  int ahead = 0;
  for (int i = 0; i < KILLS; i++) {
    last = apply_until_killed(directory, g_rand_int_range(random, 1, 30), last, random);
    Store *store = must_open_sqlite(directory);
    int64_t found = sequence_of(store);
    assert_true(found == last || found == last + 1);
    assert_story(store, found);
    store_close(store);
    ahead += found > last;
    last = found;
  }
  print_message("%d kills, %d of them behind a commit, %d batches\n", KILLS, ahead, (int)last);
  directory_free(directory);
}

/* ── backup, restore ──────────────────────────────────────────────────────── */

typedef struct {
  Store *store;
  char *path;
  gint begun; /* atomic */
} Backing;

static void *back_up(void *data)
{
  Backing *b = data;
  g_atomic_int_set(&b->begun, 1);
  g_autoptr(GError) err = NULL;
  bool made = b->store->driver->backup(b->store, b->path, &err);
  if (err)
    print_error("%s\n", err->message);
  return made ? b : NULL;
}

static bool restore_to(const char *directory, const char *backup, char **ret_kept, GError **err)
{
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", directory);
  return store_restore(uri, backup, ret_kept, err);
}

static void a_backup_beside_commits_is_one_moment(void **state)
{
  char *directory = directory_new(), *other = directory_new();
  Store *store = story_store(directory, 200);
  Backing backing = { store, directory_path(directory, "backup"), 0 };
  GThread *thread = g_thread_new("backup", back_up, &backing);
  while (!g_atomic_int_get(&backing.begun))
    ;
  for (int i = 201; i <= 400; i++)
    must_apply(store, story_batch(i));
  assert_non_null(g_thread_join(thread));
  assert_story(store, 400);
  store_close(store);
  assert_true(restore_to(other, backing.path, NULL, NULL));
  store = must_open_sqlite(other);
  int64_t sequence = sequence_of(store);
  assert_in_range(sequence, 200, 400);
  assert_story(store, sequence);
  store_close(store);
  g_free(backing.path);
  directory_free(directory);
  directory_free(other);
}

static void a_backup_overwrites_nothing(void **state)
{
  char *directory = directory_new();
  g_autofree char *path = directory_path(directory, "mine"), *absent = directory_path(directory, "absent/backup");
  Store *store = story_store(directory, 3);
  put_file(directory, "mine", "precious", 8);
  g_autoptr(GError) err = NULL;
  assert_false(store->driver->backup(store, path, &err));
  assert_int_equal(error_reason(err), REASON_EXISTS);
  g_autofree char *content = NULL;
  assert_true(g_file_get_contents(path, &content, NULL, NULL));
  assert_string_equal(content, "precious");
  g_clear_error(&err);
  assert_false(store->driver->backup(store, absent, &err));
  assert_int_equal(error_reason(err), REASON_BAD_VALUE);
  store_close(store);
  directory_free(directory);
}

static void a_restore_puts_back_and_keeps_what_was(void **state)
{
  char *directory = directory_new();
  g_autofree char *backup = directory_path(directory, "backup"), *kept = NULL;
  Store *store = story_store(directory, 5);
  assert_true(store->driver->backup(store, backup, NULL));
  for (int i = 6; i <= 9; i++)
    must_apply(store, story_batch(i));
  store_close(store);
  assert_true(restore_to(directory, backup, &kept, NULL));
  assert_non_null(kept);
  store = must_open_sqlite(directory);
  assert_story(store, 5);
  must_apply(store, story_batch(6));
  store_close(store);
  g_autofree char *undone = NULL;
  assert_true(restore_to(directory, kept, &undone, NULL)); /* the kept file is a backup too */
  store = must_open_sqlite(directory);
  assert_story(store, 9);
  store_close(store);
  directory_free(directory);
}

static void keep_controller(Object *object, void *data)
{
  if (object->noun == NOUN_CONTROLLER)
    *(bool *)data = ((Controller *)object)->restored;
  store_object_drop(object);
}

static bool is_restored(const char *directory)
{
  Store *store = must_open_sqlite(directory);
  bool restored = false;
  int64_t sequence;
  assert_true(store->driver->load(store, keep_controller, &restored, &sequence, NULL));
  store_close(store);
  return restored;
}

/* The next brain must not take an old store for the world as it is. */
static void a_restore_says_so_in_the_store(void **state)
{
  char *directory = directory_new();
  g_autofree char *backup = directory_path(directory, "backup");
  Store *store = must_open_sqlite(directory);
  Batch *batch = batch_new(1);
  batch_add(batch, CHANGE_PUT, object_new(&schemas[NOUN_CONTROLLER], NOUN_CONTROLLER, "controller"));
  must_apply(store, batch);
  assert_true(store->driver->backup(store, backup, NULL));
  store_close(store);
  assert_false(is_restored(directory));
  assert_true(restore_to(directory, backup, NULL, NULL));
  assert_true(is_restored(directory));
  directory_free(directory);
}

/* What a killed daemon left in its log is in the kept file, too. */
static void a_restore_after_a_crash_keeps_the_log(void **state)
{
  char *directory = directory_new();
  g_autofree char *backup = directory_path(directory, "backup"), *kept = NULL, *again = NULL;
  Store *store = story_store(directory, 5);
  assert_true(store->driver->backup(store, backup, NULL));
  for (int i = 6; i <= 9; i++)
    must_apply(store, story_batch(i));
  char *crashed = directory_copy(directory);
  store_close(store);
  assert_true(restore_to(crashed, backup, &kept, NULL));
  store = must_open_sqlite(crashed);
  assert_story(store, 5);
  store_close(store);
  assert_true(restore_to(crashed, kept, &again, NULL));
  store = must_open_sqlite(crashed);
  assert_story(store, 9);
  store_close(store);
  directory_free(directory);
  directory_free(crashed);
}

static void a_restore_into_nothing_makes_the_store(void **state)
{
  char *directory = directory_new(), *other = directory_new();
  g_autofree char *backup = directory_path(directory, "backup"), *kept = NULL;
  Store *store = story_store(directory, 5);
  assert_true(store->driver->backup(store, backup, NULL));
  store_close(store);
  assert_true(restore_to(other, backup, &kept, NULL));
  assert_null(kept);
  store = must_open_sqlite(other);
  assert_story(store, 5);
  store_close(store);
  directory_free(directory);
  directory_free(other);
}

static void spoil(const char *directory, const char *what)
{
  g_autofree char *path = directory_path(directory, "backup"), *bytes = NULL, *new_path = NULL;
  gsize n;
  assert_true(g_file_get_contents(path, &bytes, &n, NULL));
  if (!strcmp(what, "flipped"))
    memset(bytes + n / 2, 0x5a, 4096);
  if (!strcmp(what, "cut"))
    n /= 2;
  if (!strcmp(what, "text"))
    n = g_strlcpy(bytes, "this is not a store", n);
  if (!strcmp(what, "newer"))
    bytes[63] = 99; /* user_version, big-endian, at 60: sqlite.org/fileformat2.html#the_database_header */
  if (!strcmp(what, "empty"))
    n = 0;
  if (!strcmp(what, "missing"))
    unlink(path);
  else
    put_file(directory, "backup", bytes, n);
}

static void a_spoilt_backup_changes_nothing(void **state)
{
  static const struct {
    const char *what;
    Reason reason;
  } rows[] = { { "flipped", REASON_STORE_DAMAGED }, { "cut", REASON_STORE_DAMAGED },   { "text", REASON_STORE_DAMAGED },
               { "newer", REASON_STORE_NEWER },     { "empty", REASON_STORE_DAMAGED }, { "missing", REASON_NOT_FOUND } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    char *directory = directory_new();
    g_autofree char *backup = directory_path(directory, "backup"), *kept = NULL;
    Store *store = story_store(directory, 5);
    assert_true(store->driver->backup(store, backup, NULL));
    must_apply(store, story_batch(6));
    store_close(store);
    spoil(directory, rows[i].what);
    g_autoptr(GError) err = NULL;
    assert_false(restore_to(directory, backup, &kept, &err));
    assert_string_equal(reason_wire(error_reason(err)), reason_wire(rows[i].reason));
    assert_null(kept);
    store = must_open_sqlite(directory);
    assert_story(store, 6);
    store_close(store);
    directory_free(directory);
  }
}

static void a_held_store_is_not_restored(void **state)
{
  char *directory = directory_new();
  g_autofree char *backup = directory_path(directory, "backup");
  Store *store = story_store(directory, 5);
  assert_true(store->driver->backup(store, backup, NULL));
  must_apply(store, story_batch(6));
  g_autoptr(GError) err = NULL;
  assert_false(restore_to(directory, backup, NULL, &err));
  assert_int_equal(error_reason(err), REASON_STORE_BUSY);
  must_apply(store, story_batch(7));
  assert_story(store, 7);
  store_close(store);
  directory_free(directory);
}

static void a_damaged_store_is_restored(void **state)
{
  char *directory = directory_new();
  g_autofree char *backup = directory_path(directory, "backup"), *kept = NULL;
  Store *store = story_store(directory, 5);
  assert_true(store->driver->backup(store, backup, NULL));
  store_close(store);
  put_file(directory, "sarang.db", "rubbish", 7);
  put_file(directory, "sarang.db-wal", "rubbish, too", 12);
  assert_open_fails(directory, REASON_STORE_DAMAGED);
  assert_true(restore_to(directory, backup, &kept, NULL));
  store = must_open_sqlite(directory);
  assert_story(store, 5);
  store_close(store);
  g_autofree char *content = NULL;
  assert_true(g_file_get_contents(kept, &content, NULL, NULL));
  assert_string_equal(content, "rubbish");
  directory_free(directory);
}

static void a_killed_restore_leaves_old_or_new(void **state)
{
  enum { KILLS = 30 };
  char *directory = directory_new();
  g_autofree char *backup = directory_path(directory, "backup");
  Store *store = story_store(directory, 5);
  assert_true(store->driver->backup(store, backup, NULL));
  must_apply(store, story_batch(6));
  store_close(store);
  int old = 0, new = 0;
  for (int i = 0; i < KILLS; i++) {
    pid_t pid = fork();
    if (!pid)
      _exit(!restore_to(directory, backup, NULL, NULL));
    g_usleep(i * 400);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    store = must_open_sqlite(directory);
    int64_t sequence = sequence_of(store);
    assert_true(sequence == 5 || sequence == 6);
    assert_story(store, sequence);
    old += sequence == 6;
    new += sequence == 5;
    if (sequence == 5)
      must_apply(store, story_batch(6));
    store_close(store);
  }
  print_message("%d kills left the old store, %d the new one\n", old, new);
  directory_free(directory);
}

/* Cut short between its last steps: the backup is whole and named as what comes, the old log still lies there. */
static void a_restore_cut_short_is_ended_by_the_next_start(void **state)
{
  char *directory = directory_new();
  g_autofree char *backup = directory_path(directory, "backup"), *coming = directory_path(directory, "sarang.db.restoring");
  Store *store = story_store(directory, 5);
  assert_true(store->driver->backup(store, backup, NULL));
  for (int i = 6; i <= 9; i++)
    must_apply(store, story_batch(i));
  char *crashed = directory_copy(directory);
  g_autofree char *crashed_coming = directory_path(crashed, "sarang.db.restoring");
  store_close(store);
  assert_int_equal(rename(backup, crashed_coming), 0);
  store = must_open_sqlite(crashed);
  assert_story(store, 5);
  store_close(store);
  assert_int_equal(access(crashed_coming, F_OK), -1);
  directory_free(directory);
  directory_free(crashed);
}

/* ── readers ──────────────────────────────────────────────────────────────── */

/* A reader's snapshot, held open by another connection, keeps the log from beginning anew: commits go on, and the log ends when it does. */
static void a_slow_reader_delays_nothing(void **state)
{
  char *directory = directory_new();
  Store *store = story_store(directory, 3);
  g_autofree char *path = directory_path(directory, "sarang.db");
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "BEGIN;SELECT * FROM store", NULL, NULL, NULL), SQLITE_OK);
  for (int i = 4; i <= 600; i++)
    must_apply(store, story_batch(i));
  assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  for (int i = 601; i <= 1200; i++)
    must_apply(store, story_batch(i));
  assert_story(store, 1200);
  store_close(store);
  directory_free(directory);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_full_disk_is_said_and_survived),
    cmocka_unit_test(a_file_limit_is_a_full_disk),
    cmocka_unit_test(a_read_only_disk_is_said),
    cmocka_unit_test(a_second_daemon_is_told_who_holds_it),
    cmocka_unit_test(only_its_owner_reads_it),
    cmocka_unit_test(one_that_others_can_read_is_refused),
    cmocka_unit_test(strangers_newer_ones_and_wrong_rows_are_refused),
    cmocka_unit_test(a_flipped_byte_is_an_error_or_harmless),
    cmocka_unit_test(a_file_cut_short_is_an_error),
    cmocka_unit_test(a_flipped_byte_in_the_log_leaves_what_was_before),
    cmocka_unit_test(what_was_acknowledged_survives_kill),
    cmocka_unit_test(a_backup_beside_commits_is_one_moment),
    cmocka_unit_test(a_backup_overwrites_nothing),
    cmocka_unit_test(a_restore_puts_back_and_keeps_what_was),
    cmocka_unit_test(a_restore_says_so_in_the_store),
    cmocka_unit_test(a_restore_after_a_crash_keeps_the_log),
    cmocka_unit_test(a_restore_into_nothing_makes_the_store),
    cmocka_unit_test(a_spoilt_backup_changes_nothing),
    cmocka_unit_test(a_held_store_is_not_restored),
    cmocka_unit_test(a_damaged_store_is_restored),
    cmocka_unit_test(a_killed_restore_leaves_old_or_new),
    cmocka_unit_test(a_restore_cut_short_is_ended_by_the_next_start),
    cmocka_unit_test(a_slow_reader_delays_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

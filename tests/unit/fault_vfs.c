#include "tests/unit/fault_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

enum { SECTOR_BYTES = 512 };

typedef enum { FAULT_WRITE, FAULT_TORN, FAULT_SYNC, FAULT_SYNC_LOST, FAULT_READ, FAULT_TRUNCATE, FAULT_OPEN, FAULT_SHM } FaultCall;

static const struct {
  const char *name;
  FaultCall call;
  int code;
} faults[N_DISK_FAULTS] = {
#define X(name, call, code) { #name, call, code },
  DISK_FAULTS(X)
#undef X
};

typedef struct {
  sqlite3_file file;
  sqlite3_file *real; /* right behind this struct */
  char *path;
} FaultFile;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over all that follows */
static struct {
  DiskFault fault;
  int left; /* calls before it; -1: disarmed */
  bool forever, met;
  pthread_t thread;
} armed = { .left = -1 };

/* What was written since the last sync. */
typedef struct {
  int64_t offset;
  GBytes *bytes;
} Pending;

typedef struct {
  GByteArray *durable;
  GPtrArray *pending; /* of Pending */
} DiskFile;

static struct {
  char *directory; /* NULL: not watched */
  GHashTable *files; /* path → DiskFile */
  bool lies, failed;
  int left; /* calls before it fails; -1: never */
} power = { .left = -1 };

const char *disk_fault_name(DiskFault fault)
{
  return faults[fault].name;
}

/* SQLITE_OK, or the code to fail with. */
static int fault_of(FaultCall call)
{
  pthread_mutex_lock(&lock);
  bool mine = armed.left >= 0 && faults[armed.fault].call == call && pthread_equal(armed.thread, pthread_self());
  bool fails = mine && (armed.left == 0 || --armed.left == 0);
  int code = fails ? faults[armed.fault].code : SQLITE_OK;
  armed.met = armed.met || fails;
  if (fails && !armed.forever)
    armed.left = -1;
  pthread_mutex_unlock(&lock);
  return code;
}

void fault_arm(DiskFault fault, int k, bool forever)
{
  pthread_mutex_lock(&lock);
  armed.fault = fault;
  armed.left = k;
  armed.forever = forever;
  armed.met = false;
  armed.thread = pthread_self();
  pthread_mutex_unlock(&lock);
}

bool fault_disarm(void)
{
  pthread_mutex_lock(&lock);
  bool met = armed.met;
  armed.left = -1;
  pthread_mutex_unlock(&lock);
  return met;
}

/* ── power ────────────────────────────────────────────────────────────────── */

static void pending_free(void *data)
{
  Pending *p = data;
  g_bytes_unref(p->bytes);
  g_free(p);
}

static void disk_file_free(void *data)
{
  DiskFile *f = data;
  g_byte_array_unref(f->durable);
  g_ptr_array_unref(f->pending);
  g_free(f);
}

/* The mapped index of the log is memory: no power loss leaves it. */
static bool is_watched(const char *path)
{
  return power.directory && path && g_str_has_prefix(path, power.directory) && !g_str_has_suffix(path, "-shm");
}

static DiskFile *disk_file(const char *path)
{
  DiskFile *f = g_hash_table_lookup(power.files, path);
  if (f)
    return f;
  f = g_new0(DiskFile, 1);
  f->durable = g_byte_array_new();
  f->pending = g_ptr_array_new_with_free_func(pending_free);
  g_autofree char *content = NULL;
  gsize size = 0;
  if (g_file_get_contents(path, &content, &size, NULL))
    g_byte_array_append(f->durable, (guint8 *)content, size);
  g_hash_table_insert(power.files, g_strdup(path), f);
  return f;
}

static void put_bytes(GByteArray *to, int64_t offset, const void *bytes, size_t n)
{
  if (to->len < offset + n) {
    guint old = to->len;
    g_byte_array_set_size(to, offset + n);
    memset(to->data + old, 0, offset + n - old);
  }
  memcpy(to->data + offset, bytes, n);
}

static void sync_file(DiskFile *f)
{
  for (guint i = 0; i < f->pending->len; i++) {
    Pending *p = f->pending->pdata[i];
    gsize n;
    const void *bytes = g_bytes_get_data(p->bytes, &n);
    put_bytes(f->durable, p->offset, bytes, n);
  }
  g_ptr_array_set_size(f->pending, 0);
}

/* Counts a call; false when power is gone. Under lock. */
static bool has_power(void)
{
  if (power.left > 0 && --power.left == 0)
    power.failed = true;
  return !power.failed;
}

static bool power_write(const char *path, const void *bytes, int n, int64_t offset)
{
  pthread_mutex_lock(&lock);
  bool watched = is_watched(path), on = !watched || has_power();
  if (watched && on) {
    Pending *p = g_new(Pending, 1);
    *p = (Pending){ offset, g_bytes_new(bytes, n) };
    g_ptr_array_add(disk_file(path)->pending, p);
  }
  pthread_mutex_unlock(&lock);
  return on;
}

static bool power_sync(const char *path)
{
  pthread_mutex_lock(&lock);
  bool watched = is_watched(path), on = !watched || has_power();
  if (watched && on && !power.lies)
    sync_file(disk_file(path));
  pthread_mutex_unlock(&lock);
  return on;
}

static bool power_truncate(const char *path, int64_t size)
{
  pthread_mutex_lock(&lock);
  bool watched = is_watched(path), on = !watched || has_power();
  if (watched && on) {
    DiskFile *f = disk_file(path);
    sync_file(f);
    g_byte_array_set_size(f->durable, MIN((int64_t)f->durable->len, size));
  }
  pthread_mutex_unlock(&lock);
  return on;
}

static void power_delete(const char *path)
{
  pthread_mutex_lock(&lock);
  if (is_watched(path) && !power.failed)
    g_hash_table_remove(power.files, path);
  pthread_mutex_unlock(&lock);
}

/* What is there already counts as synced. */
static void take_in_files(void)
{
  GDir *dir = g_dir_open(power.directory, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(power.directory, name, NULL);
    if (is_watched(path))
      disk_file(path);
  }
  g_dir_close(dir);
}

void power_watch(const char *directory, bool lies)
{
  pthread_mutex_lock(&lock);
  power.directory = g_strdup(directory);
  power.files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, disk_file_free);
  power.lies = lies;
  power.failed = false;
  power.left = -1;
  take_in_files();
  pthread_mutex_unlock(&lock);
}

void power_fail_at(int k)
{
  pthread_mutex_lock(&lock);
  power.left = k ? k : -1;
  pthread_mutex_unlock(&lock);
}

bool power_has_failed(void)
{
  pthread_mutex_lock(&lock);
  bool failed = power.failed;
  pthread_mutex_unlock(&lock);
  return failed;
}

static void apply_some_sectors(GByteArray *image, const Pending *p, GRand *random)
{
  gsize n;
  const char *bytes = g_bytes_get_data(p->bytes, &n);
  int mood = g_rand_int_range(random, 0, 3); /* nothing of it, all of it, some of it */
  for (gsize at = 0; at < n; at += SECTOR_BYTES)
    if (mood == 1 || (mood == 2 && g_rand_boolean(random)))
      put_bytes(image, p->offset + at, bytes + at, MIN(n - at, (gsize)SECTOR_BYTES));
}

static void write_image(const char *path, const DiskFile *f, const char *to, GRand *random)
{
  GByteArray *image = g_byte_array_new();
  g_byte_array_append(image, f->durable->data, f->durable->len);
  for (guint i = 0; i < f->pending->len; i++)
    apply_some_sectors(image, f->pending->pdata[i], random);
  g_autofree char *name = g_path_get_basename(path), *copy = g_build_filename(to, name, NULL);
  g_assert(g_file_set_contents_full(copy, (char *)image->data, image->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
  g_byte_array_unref(image);
}

void power_image(const char *to, guint32 seed)
{
  g_autoptr(GRand) random = g_rand_new_with_seed(seed);
  pthread_mutex_lock(&lock);
  GHashTableIter iter;
  void *path, *file;
  g_hash_table_iter_init(&iter, power.files);
  while (g_hash_table_iter_next(&iter, &path, &file))
    write_image(path, file, to, random);
  pthread_mutex_unlock(&lock);
}

void power_end(void)
{
  pthread_mutex_lock(&lock);
  g_clear_pointer(&power.directory, g_free);
  g_clear_pointer(&power.files, g_hash_table_unref);
  power.failed = false;
  power.left = -1;
  pthread_mutex_unlock(&lock);
}

/* ── files ────────────────────────────────────────────────────────────────── */

static FaultFile *file_of(sqlite3_file *file)
{
  return (FaultFile *)file;
}

#define REAL(file, method, ...) file_of(file)->real->pMethods->method(file_of(file)->real __VA_OPT__(,) __VA_ARGS__)

static int fault_close(sqlite3_file *file)
{
  g_free(file_of(file)->path);
  return REAL(file, xClose);
}

static int fault_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 offset)
{
  int code = fault_of(FAULT_READ);
  return code ? code : REAL(file, xRead, bytes, n, offset);
}

static int fault_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
  int code = fault_of(FAULT_WRITE);
  if (code)
    return code;
  if ((code = fault_of(FAULT_TORN))) {
    REAL(file, xWrite, bytes, n / 2, offset);
    return code;
  }
  return power_write(file_of(file)->path, bytes, n, offset) ? REAL(file, xWrite, bytes, n, offset) : SQLITE_IOERR_WRITE;
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
  int code = fault_of(FAULT_TRUNCATE);
  if (code)
    return code;
  return power_truncate(file_of(file)->path, size) ? REAL(file, xTruncate, size) : SQLITE_IOERR_TRUNCATE;
}

static int fault_sync(sqlite3_file *file, int flags)
{
  int code = fault_of(FAULT_SYNC_LOST);
  if (code)
    return code;
  int synced = power_sync(file_of(file)->path) ? REAL(file, xSync, flags) : SQLITE_IOERR_FSYNC;
  code = fault_of(FAULT_SYNC);
  return code ? code : synced;
}

static int fault_file_size(sqlite3_file *file, sqlite3_int64 *ret_size) { return REAL(file, xFileSize, ret_size); }
static int fault_lock(sqlite3_file *file, int level) { return REAL(file, xLock, level); }
static int fault_unlock(sqlite3_file *file, int level) { return REAL(file, xUnlock, level); }
static int fault_check_lock(sqlite3_file *file, int *ret_locked) { return REAL(file, xCheckReservedLock, ret_locked); }
static int fault_control(sqlite3_file *file, int op, void *arg) { return REAL(file, xFileControl, op, arg); }
static int fault_sector_size(sqlite3_file *file) { return REAL(file, xSectorSize); }
static int fault_characteristics(sqlite3_file *file) { return REAL(file, xDeviceCharacteristics); }
static int fault_shm_lock(sqlite3_file *file, int offset, int n, int flags) { return REAL(file, xShmLock, offset, n, flags); }
static void fault_shm_barrier(sqlite3_file *file) { REAL(file, xShmBarrier); }
static int fault_shm_unmap(sqlite3_file *file, int remove) { return REAL(file, xShmUnmap, remove); }

static int fault_shm_map(sqlite3_file *file, int page, int page_bytes, int extend, void volatile **ret_map)
{
  int code = fault_of(FAULT_SHM);
  return code ? code : REAL(file, xShmMap, page, page_bytes, extend, ret_map);
}

static const sqlite3_io_methods fault_methods = {
  .iVersion = 2,
  .xClose = fault_close,
  .xRead = fault_read,
  .xWrite = fault_write,
  .xTruncate = fault_truncate,
  .xSync = fault_sync,
  .xFileSize = fault_file_size,
  .xLock = fault_lock,
  .xUnlock = fault_unlock,
  .xCheckReservedLock = fault_check_lock,
  .xFileControl = fault_control,
  .xSectorSize = fault_sector_size,
  .xDeviceCharacteristics = fault_characteristics,
  .xShmMap = fault_shm_map,
  .xShmLock = fault_shm_lock,
  .xShmBarrier = fault_shm_barrier,
  .xShmUnmap = fault_shm_unmap,
};

static sqlite3_vfs *real_vfs;

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
  FaultFile *f = file_of(file);
  f->file.pMethods = NULL;
  int code = fault_of(FAULT_OPEN);
  if (code)
    return code;
  f->real = (sqlite3_file *)(f + 1);
  code = real_vfs->xOpen(real_vfs, name, f->real, flags, ret_flags);
  if (f->real->pMethods) {
    f->path = g_strdup(name);
    f->file.pMethods = &fault_methods;
  }
  return code;
}

static int fault_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
  power_delete(name);
  return real_vfs->xDelete(real_vfs, name, sync_directory);
}

void fault_vfs_install(void)
{
  static sqlite3_vfs vfs;
  real_vfs = sqlite3_vfs_find(NULL);
  vfs = *real_vfs;
  vfs.zName = "fault";
  vfs.szOsFile = sizeof(FaultFile) + real_vfs->szOsFile;
  vfs.xOpen = fault_open;
  vfs.xDelete = fault_delete;
  g_assert(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

#include "drivers/store/sqlite_vfs.h"

#include <errno.h>
#include <glib.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
  GATHER_BYTES = 96 << 10, /* SQLite's own VFS takes less than 128 KiB at a time */
  FRAME_HEADER_BYTES = 24, /* sqlite.org/fileformat2.html#the_write_ahead_log: pages behind a commit in bytes 4 to 7, 0 elsewhere */
};

/* A log. Writes that follow one another are gathered until the page of a commit frame has come: from then on others read it. */
typedef struct {
  sqlite3_file file;
  sqlite3_file *real; /* right behind this struct */
  char *gathered;
  int n_gathered;
  int64_t start; /* of gathered, in the file */
  bool commits;  /* a commit frame's header was gathered: its page comes next */
} Log;

static Log *log_of(sqlite3_file *file)
{
  return (Log *)file;
}

/* A quota or a limit that is reached is a full disk, too, and SQLite's own VFS knows only ENOSPC for one. */
static int real_write(Log *log, const void *bytes, int n, int64_t offset)
{
  int code = log->real->pMethods->xWrite(log->real, bytes, n, offset);
  return code == SQLITE_IOERR_WRITE && (errno == EDQUOT || errno == EFBIG) ? SQLITE_FULL : code;
}

static int flush(Log *log)
{
  int n = log->n_gathered;
  log->n_gathered = 0;
  log->commits = false;
  return n ? real_write(log, log->gathered, n, log->start) : SQLITE_OK;
}

static bool is_commit_header(const void *bytes, int n)
{
  static const char none[4];
  return n == FRAME_HEADER_BYTES && memcmp((const char *)bytes + 4, none, sizeof none);
}

static int log_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
  Log *log = log_of(file);
  bool follows = offset == log->start + log->n_gathered && log->n_gathered + n <= GATHER_BYTES;
  int code = log->n_gathered && !follows ? flush(log) : SQLITE_OK;
  if (code != SQLITE_OK)
    return code;
  if (n > GATHER_BYTES)
    return real_write(log, bytes, n, offset);
  if (!log->gathered)
    log->gathered = g_malloc(GATHER_BYTES);
  if (!log->n_gathered)
    log->start = offset;
  memcpy(log->gathered + log->n_gathered, bytes, n);
  log->n_gathered += n;
  bool ends = log->commits;
  log->commits = is_commit_header(bytes, n);
  return ends ? flush(log) : SQLITE_OK;
}

static int log_close(sqlite3_file *file)
{
  Log *log = log_of(file);
  int code = flush(log);
  g_free(log->gathered);
  int closed = log->real->pMethods->xClose(log->real);
  return code != SQLITE_OK ? code : closed;
}

static int log_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 offset)
{
  int code = flush(log_of(file));
  return code != SQLITE_OK ? code : log_of(file)->real->pMethods->xRead(log_of(file)->real, bytes, n, offset);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
  int code = flush(log_of(file));
  return code != SQLITE_OK ? code : log_of(file)->real->pMethods->xTruncate(log_of(file)->real, size);
}

static int log_sync(sqlite3_file *file, int flags)
{
  int code = flush(log_of(file));
  return code != SQLITE_OK ? code : log_of(file)->real->pMethods->xSync(log_of(file)->real, flags);
}

static int log_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
  int code = flush(log_of(file));
  return code != SQLITE_OK ? code : log_of(file)->real->pMethods->xFileSize(log_of(file)->real, ret_size);
}

static int log_file_control(sqlite3_file *file, int op, void *arg)
{
  return log_of(file)->real->pMethods->xFileControl(log_of(file)->real, op, arg);
}

static int log_sector_size(sqlite3_file *file)
{
  return log_of(file)->real->pMethods->xSectorSize(log_of(file)->real);
}

static int log_device_characteristics(sqlite3_file *file)
{
  return log_of(file)->real->pMethods->xDeviceCharacteristics(log_of(file)->real);
}

/* SQLite locks and maps the store's file, never the log. */
static const sqlite3_io_methods log_methods = {
  .iVersion = 1,
  .xClose = log_close,
  .xRead = log_read,
  .xWrite = log_write,
  .xTruncate = log_truncate,
  .xSync = log_sync,
  .xFileSize = log_file_size,
  .xFileControl = log_file_control,
  .xSectorSize = log_sector_size,
  .xDeviceCharacteristics = log_device_characteristics,
};

static sqlite3_vfs *base_of(sqlite3_vfs *vfs)
{
  return vfs->pAppData;
}

/* Only logs are ours; every other file is opened as the base's own. */
static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
  sqlite3_vfs *base = base_of(vfs);
  if (!(flags & SQLITE_OPEN_WAL))
    return base->xOpen(base, name, file, flags, ret_flags);
  Log *log = log_of(file);
  *log = (Log){ .real = (sqlite3_file *)(log + 1) };
  int code = base->xOpen(base, name, log->real, flags, ret_flags);
  if (log->real->pMethods)
    log->file.pMethods = &log_methods;
  return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory)
{
  return base_of(vfs)->xDelete(base_of(vfs), name, sync_directory);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_result)
{
  return base_of(vfs)->xAccess(base_of(vfs), name, flags, ret_result);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int n_out, char *out)
{
  return base_of(vfs)->xFullPathname(base_of(vfs), name, n_out, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int n, char *out)
{
  return base_of(vfs)->xRandomness(base_of(vfs), n, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
  return base_of(vfs)->xSleep(base_of(vfs), us);
}

static int vfs_current_time(sqlite3_vfs *vfs, double *ret_time)
{
  return base_of(vfs)->xCurrentTime(base_of(vfs), ret_time);
}

static int vfs_get_last_error(sqlite3_vfs *vfs, int n, char *text)
{
  return base_of(vfs)->xGetLastError(base_of(vfs), n, text);
}

const char *sqlite_vfs_name(void)
{
  static sqlite3_vfs vfs = {
    .iVersion = 1,
    .zName = "sarang",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_pathname,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_current_time,
    .xGetLastError = vfs_get_last_error,
  };
  static gsize registered;
  if (g_once_init_enter(&registered)) {
    sqlite3_vfs *base = sqlite3_vfs_find(NULL);
    vfs.szOsFile = sizeof(Log) + base->szOsFile;
    vfs.mxPathname = base->mxPathname;
    vfs.pAppData = base;
    g_once_init_leave(&registered, sqlite3_vfs_register(&vfs, 0) == SQLITE_OK ? 1 : 2);
  }
  return registered == 1 ? vfs.zName : NULL;
}

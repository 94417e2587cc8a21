/* A disk that fails as it is told, and one that loses power: an SQLite VFS on top of the real one, the process's default from fault_vfs_install()
 * on, which must come before the first store is opened. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What fails: SQLite's code, and at which kind of call. */
#define DISK_FAULTS(X) \
  X(DISK_WRITE_FAILS, FAULT_WRITE, SQLITE_IOERR_WRITE) \
  X(DISK_IS_FULL, FAULT_WRITE, SQLITE_FULL) \
  X(DISK_WRITE_IS_TORN, FAULT_TORN, SQLITE_IOERR_WRITE) \
  X(DISK_SYNC_FAILS, FAULT_SYNC, SQLITE_IOERR_FSYNC) \
  X(DISK_SYNC_FAILS_BEFORE, FAULT_SYNC_LOST, SQLITE_IOERR_FSYNC) \
  X(DISK_READ_FAILS, FAULT_READ, SQLITE_IOERR_READ) \
  X(DISK_TRUNCATE_FAILS, FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE) \
  X(DISK_OPEN_FAILS, FAULT_OPEN, SQLITE_CANTOPEN) \
  X(DISK_SHM_FAILS, FAULT_SHM, SQLITE_IOERR_SHMMAP)

typedef enum {
#define X(name, call, code) name,
  DISK_FAULTS(X)
#undef X
  N_DISK_FAULTS
} DiskFault;

void fault_vfs_install(void);
const char *disk_fault_name(DiskFault fault);

/* The k-th such call from now on (1 = the next) fails, if this thread makes it; forever = and all that follow. */
void fault_arm(DiskFault fault, int k, bool forever);
/* No fault any more. Whether the armed one was met. */
bool fault_disarm(void);

/* ── power ────────────────────────────────────────────────────────────────── */

/* From now on it is remembered what of the files in directory was synced and what was not. lies: a sync is answered, and does nothing. */
void power_watch(const char *directory, bool lies);
/* Power goes at the k-th write or sync of any thread from now on (0 = never): that one and all later ones fail and change nothing. */
void power_fail_at(int k);
bool power_has_failed(void);
/* What the disk holds after power came back, into the new directory: what was synced, and of what was not a part that seed picks, by sectors. */
void power_image(const char *to, guint32 seed);
/* Forgets all. After the files were closed. */
void power_end(void);

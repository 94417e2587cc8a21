/* The files around a SQLite store: who may read them, who holds them, and what makes a change of names durable. Inside drivers/store only. */
#pragma once

#include "core/error.h"

/* Makes the directory of a store (0700) where it is missing, and takes the lock file beside path, which says whose it is. *ret_fd: close() lets go.
 * STORE_BUSY with the holder's process, STORE_OPEN_TO_OTHERS where anyone but us could read it, files_error(). */
bool files_lock(const char *path, int *ret_fd, GError **err);
/* Makes the store's file (0600) where it is missing. Only under the lock: closing any descriptor of the file drops SQLite's own locks in
 * this process. Errors as above. */
bool files_prepare(const char *path, GError **err);

/* Makes the file path + "-wal" at least bytes long by zeros behind its end, which SQLite takes for the end of the log: a commit that overwrites is twice as
 * fast as one that grows a file. Best effort. Only while nobody writes. */
void files_fill_wal(const char *path, int64_t bytes);
/* Makes that durable, so that no commit has to. Best effort; any thread. */
void files_sync_wal(const char *path);

/* Makes the names in the directory of path durable. */
bool files_sync_directory(const char *path, GError **err);
/* Makes the file durable. */
bool files_sync(const char *path, GError **err);
/* Sets err from errno: STORE_FULL, STORE_READ_ONLY, EXISTS, NOT_FOUND or STORE_IO. Returns false. */
bool files_error(const char *action, const char *path, GError **err);

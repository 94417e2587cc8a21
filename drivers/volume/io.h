/* The system's words made ours, for drivers whose volumes are files of this machine. */
#pragma once

#include <glib/gstdio.h>
#include <unistd.h>

#include "drivers/volume/volume.h"

/* Sets *err from an errno and returns false: ENOSPC, EDQUOT, EFBIG are STORAGE_FULL, ENOENT is NOT_FOUND (kind "volume"), the
 * rest IO. action reads after "cannot", such as "write". */
bool volume_io_error(const char *storage, const char *action, const char *name, int error, GError **err);

/* Reads exactly bytes; an early end of the file is EIO. Retries what signals interrupt. errno on false. */
bool fd_read_all(int fd, int64_t offset, void *buffer, size_t bytes);
bool fd_write_all(int fd, int64_t offset, const void *data, size_t bytes);

/* A VolumeContent's extent() for a file of size_bytes: data and holes as the file system tells, all data where it cannot.
 * errno on false. */
bool fd_extent(int fd, int64_t size_bytes, int64_t offset, int64_t *ret_from, int64_t *ret_to);

/* Closes a descriptor at the end of a block. */
static inline void fd_clear(int *fd)
{
  if (*fd >= 0)
    close(*fd);
}
#define AUTO_FD __attribute__((cleanup(fd_clear))) int

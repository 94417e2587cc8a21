#include "drivers/volume/io.h"

#include <errno.h>

bool volume_io_error(const char *storage, const char *action, const char *name, int error, GError **err)
{
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return error_false(err, REASON_STORAGE_FULL, "storage", storage, "name", name, NULL);
    case ENOENT: return error_false(err, REASON_NOT_FOUND, "kind", "volume", "name", name, NULL);
    default: return error_false(err, REASON_IO, "action", action, "path", name, "detail", g_strerror(error), NULL);
  }
}

bool fd_read_all(int fd, int64_t offset, void *buffer, size_t bytes)
{
  for (size_t done = 0; done < bytes;) {
    ssize_t n = pread(fd, (char *)buffer + done, bytes - done, offset + (int64_t)done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n == 0)
      errno = EIO;
    if (n <= 0)
      return false;
    done += (size_t)n;
  }
  return true;
}

bool fd_write_all(int fd, int64_t offset, const void *data, size_t bytes)
{
  for (size_t done = 0; done < bytes;) {
    ssize_t n = pwrite(fd, (const char *)data + done, bytes - done, offset + (int64_t)done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return false;
    done += (size_t)n;
  }
  return true;
}

/* A file that another process makes longer meanwhile still has only size_bytes to us. */
bool fd_extent(int fd, int64_t size_bytes, int64_t offset, int64_t *ret_from, int64_t *ret_to)
{
  off_t from = lseek(fd, offset, SEEK_DATA);
  if (from < 0 && errno == EINVAL) {
    *ret_from = offset;
    *ret_to = size_bytes;
    return true;
  }
  if (from < 0 && errno != ENXIO)
    return false;
  if (from < 0 || from >= size_bytes) {
    *ret_from = *ret_to = size_bytes;
    return true;
  }
  off_t to = lseek(fd, from, SEEK_HOLE);
  if (to < 0)
    return false;
  *ret_from = from;
  *ret_to = MIN(to, size_bytes);
  return true;
}

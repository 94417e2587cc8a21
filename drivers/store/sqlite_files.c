#include "drivers/store/sqlite_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool files_error(const char *action, const char *path, GError **err)
{
  int os_errno = errno;
  g_autofree char *detail = g_strdup_printf("%s \"%s\": %s", action, path, g_strerror(os_errno));
  if (os_errno == ENOSPC || os_errno == EDQUOT || os_errno == EFBIG)
    return error_false(err, REASON_STORE_FULL, "detail", detail, NULL);
  if (os_errno == EROFS || os_errno == EACCES || os_errno == EPERM)
    return error_false(err, REASON_STORE_READ_ONLY, "detail", detail, NULL);
  if (os_errno == EEXIST)
    return error_false(err, REASON_EXISTS, "kind", "file", "name", path, NULL);
  if (os_errno == ENOENT)
    return error_false(err, REASON_NOT_FOUND, "kind", "file", "name", path, NULL);
  return error_false(err, REASON_STORE_IO, "detail", detail, NULL);
}

static void fd_close(const int *fd)
{
  if (*fd >= 0)
    close(*fd);
}
#define AUTO_FD __attribute__((cleanup(fd_close))) int

static bool is_private(const char *path, GError **err)
{
  struct stat st;
  if (stat(path, &st) < 0)
    return files_error("look at", path, err);
  if (!(st.st_mode & 077) && (st.st_uid == geteuid() || st.st_uid == 0))
    return true;
  g_autofree char *mode = g_strdup_printf("%04o", st.st_mode & 07777);
  g_autofree char *owner = g_strdup_printf("%u", st.st_uid);
  return error_false(err, REASON_STORE_OPEN_TO_OTHERS, "path", path, "mode", mode, "owner", owner, NULL);
}

bool files_prepare(const char *path, GError **err)
{
  AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  return fd < 0 ? files_error("open", path, err) : is_private(path, err);
}

static bool prepare_directory(const char *path, GError **err)
{
  g_autofree char *directory = g_path_get_dirname(path);
  return g_mkdir_with_parents(directory, 0700) < 0 ? files_error("make", directory, err) : is_private(directory, err);
}

static bool refuse_held(const char *lock_path, int fd, GError **err)
{
  char pid[16] = "";
  ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
  pid[n > 0 ? n : 0] = 0;
  g_autofree char *holder = g_strdup_printf("%s%s", *g_strstrip(pid) ? "process " : "another process", pid);
  return error_false(err, REASON_STORE_BUSY, "holder", holder, "path", lock_path, NULL);
}

bool files_lock(const char *path, int *ret_fd, GError **err)
{
  if (!prepare_directory(path, err))
    return false;
  g_autofree char *lock_path = g_strconcat(path, ".lock", NULL);
  int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return files_error("open", lock_path, err);
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    bool held = errno == EWOULDBLOCK;
    if (held)
      refuse_held(lock_path, fd, err);
    else
      files_error("lock", lock_path, err);
    close(fd);
    return false;
  }
  char pid[16];
  int n = g_snprintf(pid, sizeof pid, "%d\n", getpid());
  /* for people only: a lock without the process's number is as good */
  if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, n, 0) != n)
    errno = 0;
  *ret_fd = fd;
  return true;
}

void files_fill_wal(const char *path, int64_t bytes)
{
  static const char zeros[64 << 10];
  g_autofree char *wal = g_strconcat(path, "-wal", NULL);
  AUTO_FD fd = open(wal, O_WRONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0)
    return;
  int64_t at = st.st_size;
  for (ssize_t n = 1; at < bytes && n > 0; at += n > 0 ? n : 0)
    n = pwrite(fd, zeros, MIN((int64_t)sizeof zeros, bytes - at), at);
  /* on a disk that is nearly full the commits need the room more than the speed */
  if (at < bytes && ftruncate(fd, st.st_size) < 0)
    return;
}

void files_sync_wal(const char *path)
{
  g_autofree char *wal = g_strconcat(path, "-wal", NULL);
  AUTO_FD fd = open(wal, O_WRONLY | O_CLOEXEC);
  if (fd >= 0)
    fdatasync(fd);
}

static bool sync_opened(const char *path, int flags, GError **err)
{
  AUTO_FD fd = open(path, flags | O_CLOEXEC);
  return (fd >= 0 && fsync(fd) == 0) || files_error("sync", path, err);
}

bool files_sync(const char *path, GError **err)
{
  return sync_opened(path, O_RDWR, err);
}

bool files_sync_directory(const char *path, GError **err)
{
  g_autofree char *directory = g_path_get_dirname(path);
  return sync_opened(directory, O_RDONLY | O_DIRECTORY, err);
}

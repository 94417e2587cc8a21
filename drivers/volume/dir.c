/* Volumes in a directory that this machine sees: a local one, or one on NFS that the hosts mount too. Everything goes by one
 * descriptor of the directory and by names without slashes, and no symbolic link is ever followed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "drivers/volume/io.h"
#include "drivers/volume/pour.h"

enum { SYNC_EVERY_BYTES = 256 << 20 };

typedef struct {
  Volumes base;
  int fd;
  bool ordered; /* see part_settle() */
} DirVolumes;

/* A volume on its way: what is known about it until it has its name. */
typedef struct {
  DirVolumes *dir;
  const char *name;
  char *part_name;
  int fd;                /* of the part; -1 = none */
  int clone_fd;          /* a file whose blocks may be shared instead of copied; -1 = none */
  int64_t unsynced_bytes;
} Put;

static int dir_fd(const Put *put) { return put->dir->fd; }

static bool failed(const Put *put, const char *action, GError **err)
{
  return volume_io_error(put->dir->base.storage, action, put->name, errno, err);
}

static char *part_name(const char *name) { return g_strdup_printf(".%s.part", name); }

/* Also where a fifo or a device has taken the name: O_NONBLOCK keeps open() from waiting for its other end. */
static int open_volume(const DirVolumes *dir, const char *name, struct stat *ret_st, GError **err)
{
  AUTO_FD fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(fd, ret_st) < 0) {
    volume_io_error(dir->base.storage, "open", name, errno, err);
    return -1;
  }
  if (!S_ISREG(ret_st->st_mode)) {
    error_set(err, REASON_IO, "action", "open", "path", name, "detail", "it is not a regular file", NULL);
    return -1;
  }
  return g_steal_fd(&fd);
}

/* ── open, close, look ──────────────────────────────────────────────────── */

/* Where callers over the network may name a path, whoever shares that directory may have made it a link: it must stay there. What lies elsewhere was
 * named by root. */
static bool stays_inside(const VolumesOptions *options, const char *path, int fd, GError **err)
{
  if (!storage_ground_takes(options->ground, path))
    return true;
  g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd), *real = g_file_read_link(link, err);
  if (!real || storage_ground_takes(options->ground, real))
    return real;
  g_autofree char *directories = g_strjoinv(", ", options->ground->inside);
  return error_false(err, REASON_STORAGE_OUTSIDE, "field", "path", "directories", directories, "path", real, NULL);
}

static bool dir_open(const VolumesOptions *options, const VolumeCall *call, Volumes **ret_volumes, GError **err)
{
  const char *path = options->controller_path ? options->controller_path : options->path;
  if (options->create && mkdir(path, 0711) < 0 && errno != EEXIST)
    return error_false(err, REASON_STORAGE_UNREACHABLE, "storage", options->storage, "detail", g_strerror(errno), NULL);
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return error_false(err, REASON_STORAGE_UNREACHABLE, "storage", options->storage, "detail", g_strerror(errno), NULL);
  if (!stays_inside(options, path, fd, err)) {
    close(fd);
    return false;
  }
  struct statfs st;
  DirVolumes *dir = g_new0(DirVolumes, 1);
  dir->fd = fd;
  dir->ordered = fstatfs(fd, &st) == 0 && (st.f_type == EXT4_SUPER_MAGIC || st.f_type == XFS_SUPER_MAGIC);
  *ret_volumes = &dir->base;
  return true;
}

static void dir_close(Volumes *volumes)
{
  DirVolumes *dir = (DirVolumes *)volumes;
  close(dir->fd);
  g_free(dir);
}

static bool dir_space(Volumes *volumes, const VolumeCall *call, VolumeSpace *ret_space, GError **err)
{
  struct statvfs st;
  if (fstatvfs(((DirVolumes *)volumes)->fd, &st) < 0)
    return error_false(err, REASON_STORAGE_UNREACHABLE, "storage", volumes->storage, "detail", g_strerror(errno), NULL);
  ret_space->total_bytes = (int64_t)st.f_blocks * (int64_t)st.f_frsize;
  ret_space->free_bytes = (int64_t)st.f_bavail * (int64_t)st.f_frsize;
  return true;
}

static VolumeFacts *facts_new(const char *name, const struct stat *st)
{
  VolumeFacts *facts = g_new0(VolumeFacts, 1);
  size_t bytes = strlen(name);
  facts->partial = *name == '.' && g_str_has_suffix(name, ".part") && bytes > strlen("..part");
  facts->name = facts->partial ? g_strndup(name + 1, bytes - strlen("..part")) : g_strdup(name);
  facts->size_bytes = st->st_size;
  facts->allocated_bytes = st->st_blocks * INT64_C(512);
  facts->read_only = !(st->st_mode & 0222);
  return facts;
}

static bool dir_look(Volumes *volumes, const VolumeCall *call, const char *name, VolumeFacts **ret_facts, GError **err)
{
  struct stat st;
  AUTO_FD fd = open_volume((DirVolumes *)volumes, name, &st, err);
  if (fd < 0)
    return false;
  *ret_facts = facts_new(name, &st);
  return true;
}

static void dir_end(DIR **dir)
{
  if (*dir)
    closedir(*dir);
}

static bool begins_with(const char *file, const char *prefix)
{
  return g_str_has_prefix(file, prefix) || (*file == '.' && g_str_has_prefix(file + 1, prefix));
}

static bool dir_list(Volumes *volumes, const VolumeCall *call, const char *prefix, GPtrArray *volumes_out, GError **err)
{
  int fd = openat(((DirVolumes *)volumes)->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  __attribute__((cleanup(dir_end))) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  if (!dir)
    return error_false(err, REASON_STORAGE_UNREACHABLE, "storage", volumes->storage, "detail", g_strerror(errno), NULL);
  struct dirent *entry;
  struct stat st;
  for (errno = 0; (entry = readdir(dir)); errno = 0) {
    if (!begins_with(entry->d_name, prefix) || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
      continue;
    if (volumes_out->len == VOLUME_LIST_MAX)
      return error_false(err, REASON_TOO_LARGE, "what", "the number of files", "value", "more", "limit", "1000000", NULL);
    g_ptr_array_add(volumes_out, facts_new(entry->d_name, &st));
    if (!volume_call_check(call, volumes->storage, err))
      return false;
  }
  return !errno || error_false(err, REASON_STORAGE_UNREACHABLE, "storage", volumes->storage, "detail", g_strerror(errno), NULL);
}

static bool dir_read(Volumes *volumes, const VolumeCall *call, const char *name, int64_t offset, size_t bytes, GBytes **ret_bytes,
                     GError **err)
{
  struct stat st;
  AUTO_FD fd = open_volume((DirVolumes *)volumes, name, &st, err);
  if (fd < 0)
    return false;
  size_t there = (size_t)CLAMP(st.st_size - offset, 0, (int64_t)bytes);
  g_autofree void *buffer = g_malloc(MAX(there, 1));
  if (!fd_read_all(fd, offset, buffer, there))
    return volume_io_error(volumes->storage, "read", name, errno, err);
  *ret_bytes = g_bytes_new_take(g_steal_pointer(&buffer), there);
  return true;
}

/* ── put ────────────────────────────────────────────────────────────────── */

static bool sink_write(void *owner, int64_t offset, const void *data, size_t bytes, GError **err)
{
  Put *put = owner;
  if (!fd_write_all(put->fd, offset, data, bytes))
    return failed(put, "write", err);
  put->unsynced_bytes += (int64_t)bytes;
  if (put->unsynced_bytes < SYNC_EVERY_BYTES)
    return true;
  put->unsynced_bytes = 0;
  return fdatasync(put->fd) == 0 || failed(put, "write", err);
}

static bool same_data(const Put *put, int64_t offset, const void *data, int64_t bytes, bool *ret_same, GError **err)
{
  g_autofree uint8_t *there = g_malloc((gsize)bytes);
  if (!fd_read_all(put->fd, offset, there, (size_t)bytes))
    return failed(put, "read", err);
  *ret_same = data ? !memcmp(there, data, (size_t)bytes) : bytes_are_zero(there, (size_t)bytes);
  return true;
}

/* data NULL: zeros, most of which will be a hole here too. */
static bool sink_same(void *owner, int64_t offset, const void *data, int64_t bytes, bool *ret_same, GError **err)
{
  Put *put = owner;
  if (data)
    return same_data(put, offset, data, bytes, ret_same, err);
  int64_t end = offset + bytes, from, to;
  *ret_same = true;
  for (int64_t at = offset; at < end && *ret_same; at = to) {
    if (!fd_extent(put->fd, end, at, &from, &to))
      return failed(put, "read", err);
    to = MIN(to, from + VOLUME_READ_MAX_BYTES);
    if (to > from && !same_data(put, from, NULL, to - from, ret_same, err))
      return false;
  }
  return true;
}

static bool sink_cut(void *owner, int64_t offset, GError **err)
{
  Put *put = owner;
  struct stat st;
  if (fstat(put->fd, &st) == 0 && ftruncate(put->fd, offset) == 0 && ftruncate(put->fd, st.st_size) == 0)
    return true;
  return failed(put, "write", err);
}

static bool sink_refuse(void *owner, int64_t offset, GError **err)
{
  return volume_refuse_other(((const Put *)owner)->name, offset, err);
}

/* The lock says that somebody writes this part now. After it we look again: its last writer may have given it its name
 * meanwhile. */
static bool part_lock(Put *put, GError **err)
{
  struct stat ours, named;
  return (flock(put->fd, LOCK_EX | LOCK_NB) == 0 && fstat(put->fd, &ours) == 0 && S_ISREG(ours.st_mode) &&
          fstatat(dir_fd(put), put->part_name, &named, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == named.st_ino) ||
         error_false(err, REASON_VOLUME_BUSY, "storage", put->dir->base.storage, "name", put->name, NULL);
}

/* A part is made read-only before it gets its name. One whose writer died just then is ours to go on with, but who is not root must first be able to
 * write to it again. */
static bool part_unprotect(const Put *put)
{
  struct stat st;
  AUTO_FD fd = openat(dir_fd(put), put->part_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && fchmod(fd, 0600) == 0;
}

static bool part_open(Put *put, GError **err)
{
  const int how = O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  put->fd = openat(dir_fd(put), put->part_name, how, 0600);
  if (put->fd < 0 && errno == EACCES && part_unprotect(put))
    put->fd = openat(dir_fd(put), put->part_name, how, 0600);
  return put->fd >= 0 ? part_lock(put, err) : failed(put, "make", err);
}

/* *ret_resume: there is a part of the same length from an earlier call. */
static bool part_size(Put *put, int64_t size_bytes, bool *ret_resume, GError **err)
{
  struct stat st;
  if (fstat(put->fd, &st) < 0)
    return failed(put, "look at", err);
  *ret_resume = *ret_resume && st.st_size == size_bytes;
  if (*ret_resume || (st.st_size == 0 && ftruncate(put->fd, size_bytes) == 0))
    return true;
  return (ftruncate(put->fd, 0) == 0 && ftruncate(put->fd, size_bytes) == 0) || failed(put, "write", err);
}

static bool part_fill(Put *put, const VolumeCall *call, const VolumeContent *content, bool resume, GError **err)
{
  const VolumeSink sink = { sink_write, sink_same, sink_cut, put };
  if (put->clone_fd < 0 || ioctl(put->fd, FICLONE, put->clone_fd) < 0)
    return volume_pour(content, &sink, resume, call, put->name, err);
  if (call && call->progress)
    call->progress(call->owner, content->size_bytes, content->size_bytes);
  return true;
}

/* Best effort: tmpfs and NFS have no such flag, and it takes CAP_LINUX_IMMUTABLE. */
static void set_immutable(int fd, bool immutable)
{
  int now;
  if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
    return;
  int wanted = immutable ? now | FS_IMMUTABLE_FL : now & ~FS_IMMUTABLE_FL;
  if (wanted != now)
    (void)ioctl(fd, FS_IOC_SETFLAGS, &wanted);
}

/* A file system that cannot rename without replacing (some NFS) can still link without replacing. */
static bool part_rename(const Put *put, bool replace, GError **err)
{
  int done = replace ? renameat(dir_fd(put), put->part_name, dir_fd(put), put->name)
                     : renameat2(dir_fd(put), put->part_name, dir_fd(put), put->name, RENAME_NOREPLACE);
  if (done < 0 && errno == EINVAL) {
    done = linkat(dir_fd(put), put->part_name, dir_fd(put), put->name, 0);
    if (done == 0)
      done = unlinkat(dir_fd(put), put->part_name, 0);
  }
  if (done < 0 && errno == EEXIST)
    return error_false(err, REASON_EXISTS, "kind", "volume", "name", put->name, NULL);
  return done == 0 || failed(put, "name", err);
}

/* Before a volume gets its name all its bytes must be where a power cut can't take them, or what has a name might not be
 * whole. ext4 and XFS log in order, and flush the disk's cache before they write to the log: there it is enough that the
 * bytes have gone to the disk before the name is logged, and one flush, part_seal()'s, does for both. Elsewhere each is
 * flushed by itself. */
static bool part_settle(const Put *put, GError **err)
{
  const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  return (put->dir->ordered ? sync_file_range(put->fd, 0, 0, all) : fsync(put->fd)) == 0 || failed(put, "write", err);
}

static bool part_seal(const Put *put, GError **err)
{
  return fsync(put->dir->ordered ? put->fd : dir_fd(put)) == 0 || failed(put, "name", err);
}

/* The mode stands before the name does, the flag can only come after it. */
static bool part_publish(Put *put, const VolumeContent *content, VolumeFlags flags, GError **err)
{
  if ((flags & VOLUME_READ_ONLY) && fchmod(put->fd, 0444) < 0)
    return failed(put, "protect", err);
  if (!part_settle(put, err) || (content->check && !content->check(content->owner, put->fd, err)) ||
      !part_rename(put, flags & VOLUME_REPLACE, err) || !part_seal(put, err))
    return false;
  if (flags & VOLUME_READ_ONLY)
    set_immutable(put->fd, true);
  return true;
}

/* What has its name already: the same content is success, and what a crash kept from being done to it is done now. */
static bool put_again(Put *put, const VolumeCall *call, const VolumeContent *content, VolumeFlags flags, GError **err)
{
  struct stat st;
  const VolumeSink sink = { NULL, sink_same, sink_refuse, put };
  put->fd = open_volume(put->dir, put->name, &st, err);
  if (put->fd < 0)
    return false;
  if (st.st_size != content->size_bytes)
    return sink_refuse(put, MIN(st.st_size, content->size_bytes), err);
  if (!volume_pour(content, &sink, true, call, put->name, err))
    return false;
  if ((flags & VOLUME_READ_ONLY) && (st.st_mode & 0222) && fchmod(put->fd, 0444) < 0)
    return failed(put, "protect", err);
  if (!part_settle(put, err) || !part_seal(put, err))
    return false;
  if (flags & VOLUME_READ_ONLY)
    set_immutable(put->fd, true);
  return true;
}

static bool put_new(Put *put, const VolumeCall *call, const VolumeContent *content, VolumeFlags flags, GError **err)
{
  bool resume = flags & VOLUME_RESUME;
  g_autoptr(GError) why = NULL;
  if (!part_open(put, err))
    return false;
  if (part_size(put, content->size_bytes, &resume, &why) && part_fill(put, call, content, resume, &why) &&
      part_publish(put, content, flags, &why))
    return true;
  if (!(flags & VOLUME_RESUME) || !volume_error_keeps_part(why))
    (void)unlinkat(dir_fd(put), put->part_name, 0);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

static bool put_run(Put *put, const VolumeCall *call, const VolumeContent *content, VolumeFlags flags, GError **err)
{
  struct stat st;
  bool there = !(flags & VOLUME_REPLACE) && fstatat(dir_fd(put), put->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
  bool ok = there && (flags & VOLUME_RESUME) ? put_again(put, call, content, flags, err)
            : there ? error_false(err, REASON_EXISTS, "kind", "volume", "name", put->name, NULL)
                    : put_new(put, call, content, flags, err);
  if (put->fd >= 0)
    close(put->fd);
  g_free(put->part_name);
  return ok;
}

static bool dir_put(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content, VolumeFlags flags,
                    GError **err)
{
  Put put = { (DirVolumes *)volumes, name, part_name(name), -1, -1, 0 };
  return put_run(&put, call, content, flags, err);
}

/* ── copy, delete ───────────────────────────────────────────────────────── */

typedef struct {
  int fd;
  int64_t size_bytes;
  const char *storage, *name;
} FileContent;

static bool file_extent(void *owner, int64_t offset, int64_t *ret_from, int64_t *ret_to, GError **err)
{
  const FileContent *c = owner;
  return fd_extent(c->fd, c->size_bytes, offset, ret_from, ret_to) || volume_io_error(c->storage, "read", c->name, errno, err);
}

static bool file_read(void *owner, int64_t offset, void *buffer, size_t bytes, GError **err)
{
  const FileContent *c = owner;
  return fd_read_all(c->fd, offset, buffer, bytes) || volume_io_error(c->storage, "read", c->name, errno, err);
}

static bool dir_copy(Volumes *volumes, const VolumeCall *call, const char *from, const char *name, GError **err)
{
  struct stat st;
  AUTO_FD fd = open_volume((DirVolumes *)volumes, from, &st, err);
  if (fd < 0)
    return false;
  FileContent owner = { fd, st.st_size, volumes->storage, from };
  const VolumeContent content = { st.st_size, file_extent, file_read, NULL, &owner };
  Put put = { (DirVolumes *)volumes, name, part_name(name), -1, fd, 0 };
  return put_run(&put, call, &content, 0, err);
}

/* file: the volume, or its part, which is locked while somebody writes it. */
static bool remove_file(const DirVolumes *dir, const char *name, const char *file, GError **err)
{
  AUTO_FD fd = openat(dir->fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
    return error_false(err, REASON_VOLUME_BUSY, "storage", dir->base.storage, "name", name, NULL);
  if (fd >= 0)
    set_immutable(fd, false);
  return unlinkat(dir->fd, file, 0) == 0 || errno == ENOENT ||
         volume_io_error(dir->base.storage, "delete", name, errno, err);
}

static bool dir_del(Volumes *volumes, const VolumeCall *call, const char *name, GError **err)
{
  const DirVolumes *dir = (DirVolumes *)volumes;
  g_autofree char *part = part_name(name);
  if (!remove_file(dir, name, part, err) || !remove_file(dir, name, name, err))
    return false;
  return fsync(dir->fd) == 0 || volume_io_error(volumes->storage, "delete", name, errno, err);
}

const VolumeDriver volume_driver_dir = {
  .open = dir_open,
  .close = dir_close,
  .space = dir_space,
  .list = dir_list,
  .look = dir_look,
  .read = dir_read,
  .put = dir_put,
  .copy = dir_copy,
  .del = dir_del,
};

#include "drivers/volume/image.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "drivers/volume/image_check.h"
#include "drivers/volume/io.h"

enum { SECTOR_BYTES = 512, ZEROS_BYTES = 1 << 20, SHA256_BYTES = 32 };

/* ── SHA-256 as it goes ─────────────────────────────────────────────────── */

typedef struct {
  gnutls_hash_hd_t handle;
  int64_t bytes;
} Hash;

static void hash_begin(Hash *hash)
{
  int failed = gnutls_hash_init(&hash->handle, GNUTLS_DIG_SHA256);
  g_assert(failed == 0);
  hash->bytes = 0;
}

static void hash_add(Hash *hash, const void *data, size_t bytes)
{
  gnutls_hash(hash->handle, data, bytes);
  hash->bytes += (int64_t)bytes;
}

/* hex NULL: what was hashed is forgotten. */
static void hash_end(Hash *hash, char hex[65])
{
  uint8_t digest[SHA256_BYTES];
  gnutls_hash_deinit(hash->handle, digest);
  hash->handle = NULL;
  for (size_t i = 0; hex && i < sizeof digest; i++)
    g_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static bool hash_compare(const char *value, const char *wanted, GError **err)
{
  return !g_ascii_strcasecmp(value, wanted) || error_false(err, REASON_IMAGE_HASH, "value", value, "wanted", wanted, NULL);
}

/* ── the source ─────────────────────────────────────────────────────────── */

typedef struct {
  const ImageImport *import;
  const VolumeCall *call;
  int fd;
  struct stat st; /* as it was when it was opened */
  ImageFacts facts;
  Hash hash;
  uint8_t *zeros;
} Source;

static bool source_bad(const Source *s, const char *detail, GError **err)
{
  return error_false(err, REASON_IMAGE_SOURCE, "path", s->import->source, "detail", detail, NULL);
}

static bool source_failed(const Source *s, int error, GError **err)
{
  return source_bad(s, error == ELOOP ? "it is a symbolic link, or reached through one" : g_strerror(error), err);
}

/* Whoever may write to a directory on the way could otherwise swap it for a link to what only the controller may read. */
static int open_source(const char *path)
{
  const struct open_how how = {
    .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
    .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  };
  return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
}

static bool source_open(Source *s, GError **err)
{
  if (!s->import->source || s->import->source[0] != '/')
    return source_bad(s, "it is not an absolute path", err);
  s->fd = open_source(s->import->source);
  if (s->fd < 0 || fstat(s->fd, &s->st) < 0)
    return source_failed(s, errno, err);
  s->facts.size_bytes = s->st.st_size;
  return S_ISREG(s->st.st_mode) || source_bad(s, "it is not a regular file", err);
}

static void source_close(Source *s)
{
  if (s->fd >= 0)
    close(s->fd);
  if (s->hash.handle)
    hash_end(&s->hash, NULL);
  g_free(s->zeros);
}

static bool check_qcow2(const Source *s, int fd, int64_t file_bytes, int64_t *ret_virtual_bytes, GError **err)
{
  size_t head_bytes = (size_t)MIN(file_bytes, QCOW2_HEAD_BYTES);
  g_autofree uint8_t *head = g_malloc(QCOW2_HEAD_BYTES);
  g_autoptr(Qcow2Header) header = NULL;
  if (!fd_read_all(fd, 0, head, head_bytes))
    return source_failed(s, errno, err);
  if (!qcow2_header_parse(head, head_bytes, file_bytes, &header, err) || !qcow2_header_check_image(header, err))
    return false;
  *ret_virtual_bytes = header->virtual_bytes;
  return true;
}

static bool check_raw(const Source *s, int64_t file_bytes, int64_t *ret_virtual_bytes, GError **err)
{
  *ret_virtual_bytes = file_bytes;
  if (file_bytes > 0 && file_bytes % SECTOR_BYTES == 0)
    return true;
  g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT " bytes", file_bytes);
  return error_false(err, REASON_BAD_VALUE, "field", "size of the raw image", "value", value,
                     "limit", "a multiple of 512 and not 0", NULL);
}

static bool check_size(const Source *s, GError **err)
{
  int64_t limit = s->import->max_virtual_bytes ? s->import->max_virtual_bytes : QCOW2_VIRTUAL_MAX_BYTES;
  if (s->facts.virtual_bytes <= limit)
    return true;
  g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT " bytes", s->facts.virtual_bytes);
  g_autofree char *most = g_strdup_printf("%" G_GINT64_FORMAT " bytes", limit);
  return error_false(err, REASON_TOO_LARGE, "what", "the disk in the image", "value", value, "limit", most, NULL);
}

static bool source_check(Source *s, GError **err)
{
  bool ok = s->import->format == FORMAT_RAW ? check_raw(s, s->st.st_size, &s->facts.virtual_bytes, err)
                                            : check_qcow2(s, s->fd, s->st.st_size, &s->facts.virtual_bytes, err);
  return ok && check_size(s, err);
}

/* ── the content of the new volume ──────────────────────────────────────── */

/* Holes are zeros to the hash. They can be long, so the call's end is looked at. */
static bool hash_zeros(Source *s, int64_t to, GError **err)
{
  while (s->hash.bytes < to) {
    hash_add(&s->hash, s->zeros, (size_t)MIN(to - s->hash.bytes, ZEROS_BYTES));
    if (!volume_call_check(s->call, s->import->volume, err))
      return false;
  }
  return true;
}

static bool source_extent(void *owner, int64_t offset, int64_t *ret_from, int64_t *ret_to, GError **err)
{
  Source *s = owner;
  if (offset == 0) {
    hash_end(&s->hash, NULL);
    hash_begin(&s->hash);
  }
  if (!fd_extent(s->fd, s->st.st_size, offset, ret_from, ret_to))
    return source_failed(s, errno, err);
  return hash_zeros(s, *ret_from, err);
}

static bool source_changed(const Source *s)
{
  struct stat now;
  return fstat(s->fd, &now) < 0 || now.st_dev != s->st.st_dev || now.st_ino != s->st.st_ino || now.st_size != s->st.st_size ||
         memcmp(&now.st_mtim, &s->st.st_mtim, sizeof now.st_mtim) || memcmp(&now.st_ctim, &s->st.st_ctim, sizeof now.st_ctim);
}

static bool check_unchanged(const Source *s, GError **err)
{
  return !source_changed(s) || error_false(err, REASON_IMAGE_CHANGED, "path", s->import->source, NULL);
}

/* A source that became shorter is a changed one, not a broken disk. */
static bool source_read(void *owner, int64_t offset, void *buffer, size_t bytes, GError **err)
{
  Source *s = owner;
  if (!fd_read_all(s->fd, offset, buffer, bytes)) {
    int error = errno;
    return check_unchanged(s, err) && volume_io_error("", "read", s->import->source, error, err);
  }
  hash_add(&s->hash, buffer, bytes);
  return true;
}

/* What counts is the copy: it is checked itself, where it is on this machine. */
static bool source_accept(void *owner, int fd, GError **err)
{
  Source *s = owner;
  int64_t virtual_bytes;
  hash_end(&s->hash, s->facts.sha256);
  if (!check_unchanged(s, err) || (s->import->sha256 && !hash_compare(s->facts.sha256, s->import->sha256, err)))
    return false;
  if (s->import->format == FORMAT_RAW)
    return true;
  int copy = fd >= 0 ? fd : s->fd;
  return check_qcow2(s, copy, s->st.st_size, &virtual_bytes, err) && image_check_file(copy, s->call, err);
}

/* ── verbs ──────────────────────────────────────────────────────────────── */

static bool check_volume_name(const ImageImport *import, GError **err)
{
  VolumeName name;
  VolumeRole wanted = import->format == FORMAT_RAW ? VOLUME_IMAGE_RAW : VOLUME_IMAGE_QCOW2;
  return (volume_name_parse(import->volume, &name) && name.role == wanted) ||
         error_false(err, REASON_BAD_VALUE, "field", "volume", "value", import->volume,
                     "limit", "the name of an image of that format", NULL);
}

static bool import_run(Source *s, Volumes *volumes, GError **err)
{
  const VolumeContent content = { s->st.st_size, source_extent, source_read, source_accept, s };
  hash_begin(&s->hash);
  s->zeros = g_malloc0(ZEROS_BYTES);
  if (!volume_put(volumes, s->call, s->import->volume, &content, VOLUME_RESUME | VOLUME_READ_ONLY, err))
    return false;
  /* a volume that was whole already was compared, and nobody asked for its acceptance */
  if (!s->hash.handle)
    return true;
  hash_end(&s->hash, s->facts.sha256);
  return check_unchanged(s, err) && (!s->import->sha256 || hash_compare(s->facts.sha256, s->import->sha256, err));
}

bool image_import(Volumes *volumes, const VolumeCall *call, const ImageImport *import, ImageFacts *ret_facts, GError **err)
{
  Source s = { .import = import, .call = call, .fd = -1 };
  bool ok = check_volume_name(import, err) && source_open(&s, err) && source_check(&s, err) &&
            (import->format == FORMAT_RAW || image_check_available(err)) && import_run(&s, volumes, err);
  source_close(&s);
  if (ok)
    *ret_facts = s.facts;
  return ok;
}

#include "drivers/console/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

enum { FILES_MAX = 20000, PATH_MAX_DEPTH = 32 };
static const int64_t all_max_bytes = 256ll << 20;

struct Files {
  gint refs;
  GHashTable *by_path; /* "/a/b" → File */
  int64_t bytes;
};

/* A browser asks again each time, unless the file changes with its name only: after an update the page is one piece. */
static const char ask_again[] = "no-cache", keep_a_day[] = "public, max-age=86400";

static const struct { const char *suffix, *type, *cache; } kinds[] = {
  { ".html", "text/html; charset=utf-8", ask_again },
  { ".js", "text/javascript; charset=utf-8", ask_again },
  { ".mjs", "text/javascript; charset=utf-8", ask_again },
  { ".css", "text/css; charset=utf-8", ask_again },
  { ".json", "application/json", ask_again },
  { ".webmanifest", "application/manifest+json", ask_again },
  { ".txt", "text/plain; charset=utf-8", ask_again },
  { ".wasm", "application/wasm", ask_again },
  { ".svg", "image/svg+xml", keep_a_day },
  { ".png", "image/png", keep_a_day },
  { ".ico", "image/x-icon", keep_a_day },
  { ".jpg", "image/jpeg", keep_a_day },
  { ".webp", "image/webp", keep_a_day },
  { ".woff2", "font/woff2", keep_a_day },
  { ".oga", "audio/ogg", keep_a_day },
  { ".mp3", "audio/mpeg", keep_a_day },
};

static void file_free(File *file)
{
  g_bytes_unref(file->bytes);
  g_free(file);
}

static File *file_new(const char *path, GBytes *bytes)
{
  File *file = g_new0(File, 1);
  file->bytes = bytes;
  file->type = "application/octet-stream";
  file->cache = ask_again;
  for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
    if (g_str_has_suffix(path, kinds[i].suffix)) {
      file->type = kinds[i].type;
      file->cache = kinds[i].cache;
    }
  g_autofree char *hash = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
  g_snprintf(file->etag, sizeof file->etag, "\"%.20s\"", hash);
  return file;
}

static bool io_failed(const char *path, GError **err)
{
  return error_false(err, REASON_IO, "action", "read", "path", path, "detail", g_strerror(errno), NULL);
}

static bool bytes_read(int fd, int64_t bytes, const char *path, GBytes **ret, GError **err)
{
  g_autofree char *data = g_malloc((gsize)bytes + 1);
  gsize at = 0;
  while (at < (gsize)bytes) {
    ssize_t got = read(fd, data + at, (gsize)bytes - at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return io_failed(path, err);
    at += (gsize)got;
  }
  *ret = g_bytes_new_take(g_steal_pointer(&data), at);
  return true;
}

static bool file_load(Files *files, const char *path, const char *name, GError **err)
{
  struct stat facts;
  GBytes *bytes = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &facts) < 0) {
    if (fd >= 0)
      close(fd);
    return io_failed(path, err);
  }
  bool fits = files->bytes + facts.st_size <= all_max_bytes && g_hash_table_size(files->by_path) < FILES_MAX;
  bool good = S_ISREG(facts.st_mode) && fits && bytes_read(fd, facts.st_size, path, &bytes, err);
  close(fd);
  if (!fits)
    return error_false(err, REASON_TOO_LARGE, "what", "the folder of static files", "value", "larger", "limit",
                       "20,000 files of 256 MiB together", NULL);
  if (!good)
    return !S_ISREG(facts.st_mode); /* a socket or a device is no page */
  files->bytes += facts.st_size;
  g_hash_table_insert(files->by_path, g_strdup(name), file_new(name, bytes));
  return true;
}

/* A link may lead anywhere inside the folder, and nowhere else. */
static bool link_check(const char *root, const char *path, GError **err)
{
  char *real = realpath(path, NULL);
  bool inside = real && g_str_has_prefix(real, root) && (real[strlen(root)] == '/' || !real[strlen(root)]);
  free(real);
  return inside || error_false(err, REASON_FILE_OUTSIDE, "path", path, "folder", root, NULL);
}

static bool folder_load(Files *files, const char *root, const char *name, int depth, GError **err);

static bool entry_load(Files *files, const char *root, const char *name, int depth, GError **err)
{
  struct stat facts;
  g_autofree char *path = g_strconcat(root, name, NULL);
  if (lstat(path, &facts) < 0)
    return io_failed(path, err);
  if (S_ISDIR(facts.st_mode))
    return folder_load(files, root, name, depth + 1, err);
  if (S_ISLNK(facts.st_mode) && !link_check(root, path, err))
    return false;
  return file_load(files, path, name, err);
}

static bool folder_load(Files *files, const char *root, const char *name, int depth, GError **err)
{
  g_autofree char *path = g_strconcat(root, name, NULL);
  g_autoptr(GError) why = NULL;
  g_autoptr(GDir) dir = g_dir_open(path, 0, &why);
  if (!dir)
    return error_false(err, REASON_IO, "action", "read", "path", path, "detail", why->message, NULL);
  if (depth > PATH_MAX_DEPTH)
    return error_false(err, REASON_TOO_LARGE, "what", "the depth of folders", "value", "larger", "limit", "32", NULL);
  for (const char *entry; (entry = g_dir_read_name(dir));) {
    g_autofree char *below = g_strconcat(name, "/", entry, NULL);
    if (entry[0] != '.' && !entry_load(files, root, below, depth, err))
      return false;
  }
  return true;
}

Files *files_load(const char *folder, GError **err)
{
  g_autoptr(Files) files = g_new0(Files, 1);
  files->refs = 1;
  files->by_path = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)file_free);
  if (!folder)
    return g_steal_pointer(&files);
  char *root = realpath(folder, NULL);
  bool good = root ? folder_load(files, root, "", 0, err) : io_failed(folder, err);
  free(root);
  return good ? g_steal_pointer(&files) : NULL;
}

Files *files_ref(Files *files)
{
  g_atomic_int_inc(&files->refs);
  return files;
}

void files_unref(Files *files)
{
  if (!files || !g_atomic_int_dec_and_test(&files->refs))
    return;
  g_hash_table_unref(files->by_path);
  g_free(files);
}

const File *files_find(const Files *files, Slice path)
{
  char name[512];
  static const char index[] = "index.html";
  if (!path.n || path.n + sizeof index > sizeof name)
    return NULL;
  memcpy(name, path.at, path.n);
  name[path.n] = '\0';
  if (name[path.n - 1] == '/')
    memcpy(name + path.n, index, sizeof index);
  return g_hash_table_lookup(files->by_path, name);
}

int files_count(const Files *files) { return (int)g_hash_table_size(files->by_path); }

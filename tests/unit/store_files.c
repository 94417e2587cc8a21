#include "tests/unit/store_files.h"

#include <glib/gstdio.h>
#include <unistd.h>

char *directory_new(void)
{
  static const char memory[] = "/dev/shm"; /* what is tested is not the disk */
  g_autofree char *parent = g_strdup(access(memory, W_OK) == 0 ? memory : g_get_tmp_dir());
  char *directory = g_build_filename(parent, "sarang-store-XXXXXX", NULL);
  g_assert(g_mkdtemp(directory));
  return directory;
}

void directory_free(void *data)
{
  g_autofree char *directory = data;
  GDir *dir = g_dir_open(directory, 0, NULL);
  for (const char *name; dir && (name = g_dir_read_name(dir));) {
    g_autofree char *path = directory_path(directory, name);
    g_unlink(path);
  }
  if (dir)
    g_dir_close(dir);
  g_rmdir(directory);
}

char *directory_path(const char *directory, const char *file)
{
  return g_build_filename(directory, file, NULL);
}

Store *open_sqlite(const char *directory, GError **err)
{
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", directory);
  return store_open(uri, err);
}

Store *must_open_sqlite(const char *directory)
{
  g_autoptr(GError) err = NULL;
  Store *store = open_sqlite(directory, &err);
  if (err)
    g_printerr("%s\n", err->message);
  g_assert(store);
  return store;
}

char *directory_copy(const char *directory)
{
  enum { FRAME_BYTES = 24 + 4096 };
  static const char *const files[] = { "sarang.db", "sarang.db-wal" };
  char *copy = directory_new();
  for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
    g_autofree char *from = directory_path(directory, files[i]), *to = directory_path(copy, files[i]), *content = NULL;
    gsize size = 0;
    bool there = g_file_get_contents(from, &content, &size, NULL);
    gsize used = size;
    while (used && !content[used - 1]) /* the log's part that was made beforehand: not worth a copy */
      used--;
    if (i == 1)
      size = MIN(size, used + FRAME_BYTES);
    if (there)
      g_assert(g_file_set_contents_full(to, content, size, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
  }
  return copy;
}

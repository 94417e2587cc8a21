#include "tests/unit/store_files.h"

#include <glib/gstdio.h>

char *directory_new(void)
{
  char *directory = g_dir_make_tmp("sarang-store-XXXXXX", NULL);
  g_assert(directory);
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

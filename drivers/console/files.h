/* The page's files, read into memory at once: a request for a file is one look into a table, so no path of a request ever
 * reaches the file system. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "drivers/console/httphead.h"

typedef struct Files Files;

typedef struct {
  const char *type;  /* Content-Type */
  const char *cache; /* Cache-Control */
  char etag[24];     /* with its quotes */
  GBytes *bytes;
} File;

/* Reads folder and what is below it. Names that begin with a dot are left out; a symbolic link counts if it leads to a regular
 * file inside folder, and FILE_OUTSIDE where it does not. At most 20,000 files of 256 MiB together: TOO_LARGE. IO. NULL folder:
 * an empty set. One reference, the caller's. */
Files *files_load(const char *folder, GError **err);
Files *files_ref(Files *files);
void files_unref(Files *files);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Files, files_unref)

/* The file of a request's path: "/" and "/x/" mean their index.html. NULL: there is none. Borrowed. Any thread. */
const File *files_find(const Files *files, Slice path);
int files_count(const Files *files);

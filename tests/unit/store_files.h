/* Directories with a SQLite store in them, as its tests need them. */
#pragma once

#include "drivers/store/store.h"

/* A new private directory; its path, owned by the caller. */
char *directory_new(void);
/* Removes it with all files in it, and frees the path. */
void directory_free(void *directory);
char *directory_path(const char *directory, const char *file);

/* The store DIRECTORY/sarang.db. */
Store *open_sqlite(const char *directory, GError **err);
Store *must_open_sqlite(const char *directory);
/* What a crash of this process would leave of DIRECTORY/sarang.db: a new directory with copies of it and its log. */
char *directory_copy(const char *directory);

/* A small FAT12 disk made in memory: a label and some files in its root. Enough for a NoCloud seed, which any guest can read
 * without more. Made of its arguments alone: the same files give the same bytes. Pure; any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum { FAT_MAX_FILES = 8, FAT_MAX_CONTENT_BYTES = 1 << 20 };

typedef struct {
  const char *name;    /* ASCII, at most 26 characters */
  const char *bytes;
  size_t len;
} FatFile;

/* An image of whole 512-byte sectors, labelled label (at most 11 characters, upper case). At most FAT_MAX_FILES files. Owned by
 * the caller. Errors: TOO_LARGE (contents together over FAT_MAX_CONTENT_BYTES). */
bool fat_image(const char *label, const FatFile *files, size_t n_files, GBytes **ret_image, GError **err);

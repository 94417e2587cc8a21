/* Images: files that people bring, made into read-only volumes that desktops stand on. An import takes a local file of a
 * stated format, looks at its header before a byte is copied, hashes while it copies, lets qemu-img check the copy, and only
 * then gives it its name. It decides nothing about versions, and never finds out a format by itself: what is said to be raw
 * is raw, whatever it begins with.
 *
 * Verbs block for as long as the bytes take; see volume.h for threads, deadlines, progress and ownership. */
#pragma once

#include "drivers/volume/volume.h"

typedef struct {
  const char *source;        /* absolute path on the controller: a regular file, reached without symbolic links */
  ImageFormat format;
  const char *volume;        /* name to be: volume_name(VOLUME_IMAGE_QCOW2 or VOLUME_IMAGE_RAW, …), as the format is */
  const char *sha256;        /* what the source's must be, 64 hexadecimal digits; NULL = whatever it is */
  int64_t max_virtual_bytes; /* limit for the disk it holds; 0 = 64 TiB */
} ImageImport;

typedef struct {
  char sha256[65];       /* of the file's bytes, holes as zeros: what sha256sum says */
  int64_t size_bytes;    /* of the file */
  int64_t virtual_bytes; /* of the disk it holds */
} ImageFacts;

/* Imports. A call that failed, was cancelled or died is gone on with by the same call; one that had succeeded succeeds again.
 * Errors: IMAGE_SOURCE (path, detail), BAD_VALUE (raw that is no whole sectors), TOO_LARGE, those of qcow2_header_parse,
 * qcow2_header_check_image and volume_put (VOLUME_RESUME), IMAGE_CHANGED (path: somebody wrote to the source meanwhile), IMAGE_CHECK
 * (detail: qemu-img found damage), IMAGE_TOOL (detail: qemu-img could not be run, or did not end), IMAGE_HASH (value, wanted). */
bool image_import(Volumes *volumes, const VolumeCall *call, const ImageImport *import, ImageFacts *ret_facts, GError **err);

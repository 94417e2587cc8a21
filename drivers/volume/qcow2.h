/* The qcow2 format, as far as we trust ourselves with it: the strict check of a header that somebody gave us, the bytes of a
 * fresh overlay, and the proof that an overlay still is that fresh one. Pure: bytes in, values out; no file is opened here,
 * and no guest data is ever read. Facts: QEMU's docs/interop/qcow2 and the limits of its block/qcow2.c. Any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  QCOW2_HEAD_BYTES = 65536,      /* what qcow2_header_parse wants of a file's beginning, or all of a shorter file */
  QCOW2_TAG_MAX_BYTES = 255,
  QCOW2_BACKING_MAX_BYTES = 1023 /* as the format says */
};
#define QCOW2_VIRTUAL_MAX_BYTES (INT64_C(64) << 40)

/* A header that is sound in itself: every number is within what the format and QEMU allow, every table lies inside the file. */
typedef struct {
  int version, cluster_bits, refcount_order;
  int64_t virtual_bytes;
  int64_t l1_entries, l1_offset;
  int64_t refcount_table_offset, refcount_table_clusters;
  uint64_t incompatible, compatible, autoclear; /* feature bits */
  uint32_t crypt_method, snapshots, bitmaps;
  bool luks;                                    /* has a header of its own for encryption */
  char *backing_path, *backing_format;          /* NULL: none */
  char *data_file;                              /* name of an external data file, NULL: none */
  char *tag;                                    /* ours, see Qcow2Overlay; NULL: none */
} Qcow2Header;

void qcow2_header_free(Qcow2Header *header);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qcow2Header, qcow2_header_free)

/* Reads a header of version 2 or 3 out of head, the first QCOW2_HEAD_BYTES of a file of file_bytes (or all of it, where it is
 * shorter). *ret_header is the caller's. Errors: QCOW2_MAGIC, QCOW2_FIELD (field, value, limit), QCOW2_TRUNCATED (part,
 * needs, size), QCOW2_FEATURE (bit). */
bool qcow2_header_parse(const uint8_t *head, size_t head_bytes, int64_t file_bytes, Qcow2Header **ret_header, GError **err);

/* True where the file may become an image: it stands alone (no backing or data file), is not encrypted, was closed cleanly,
 * holds no internal snapshots or bitmaps. Errors: QCOW2_BACKING, QCOW2_DATA_FILE, QCOW2_ENCRYPTED, QCOW2_DIRTY,
 * QCOW2_CORRUPT, QCOW2_SNAPSHOTS, QCOW2_BITMAPS. */
bool qcow2_header_check_image(const Qcow2Header *header, GError **err);

/* What makes one overlay different from any other. */
typedef struct {
  int64_t virtual_bytes;      /* size of the disk that the guest sees; a multiple of 512 */
  const char *backing_path;   /* absolute, as QEMU on the hosts sees it */
  const char *backing_format; /* "qcow2" or "raw": stated, so that nobody probes */
  const char *tag;            /* whose overlay, which generation: text in a header extension that QEMU keeps and ignores */
} Qcow2Overlay;

/* The bytes of a fresh overlay of version 3 with clusters of 64 KiB. The file is these bytes and then zeros up to
 * *ret_file_bytes; long runs of zeros among the bytes may be holes. Owned by the caller. Errors: BAD_VALUE (field, value,
 * limit). */
GBytes *qcow2_overlay_emit(const Qcow2Overlay *overlay, int64_t *ret_file_bytes, GError **err);

/* True where file, the whole of an overlay's bytes, is byte for byte what qcow2_overlay_emit makes of overlay: this
 * desktop's, this generation's, on this base, and nothing was ever written to it. Errors: QCOW2_NOT_FRESH (field, value,
 * wanted), those of qcow2_header_parse and qcow2_overlay_emit. */
bool qcow2_overlay_prove(const Qcow2Overlay *overlay, const uint8_t *file, size_t file_bytes, GError **err);

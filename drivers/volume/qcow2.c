#include "drivers/volume/qcow2.h"

#include <string.h>

#include "core/error.h"

enum {
  MAGIC = 0x514649fb, /* "QFI\xfb" */
  V2_HEADER_BYTES = 72,
  V3_HEADER_BYTES = 104,
  OUR_HEADER_BYTES = 112,
  OUR_CLUSTER_BITS = 16,
  OUR_CLUSTER_BYTES = 1 << OUR_CLUSTER_BITS,
  SECTOR_BYTES = 512,
  L1_MAX_BYTES = 32 << 20,            /* QCOW_MAX_L1_SIZE */
  REFCOUNT_TABLE_MAX_BYTES = 8 << 20, /* QCOW_MAX_REFTABLE_SIZE */
  EXTENSIONS_MAX = 64
};

enum { EXTENSION_END = 0, EXTENSION_HEAD_BYTES = 8 };
#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_DATA_FILE      0x44415441u
#define EXTENSION_BITMAPS        0x23852875u
#define EXTENSION_ENCRYPTION     0x0537be77u
#define EXTENSION_TAG            0x53726e67u /* "Srng": ours */

#define BIT_DIRTY       (UINT64_C(1) << 0)
#define BIT_CORRUPT     (UINT64_C(1) << 1)
#define BIT_DATA_FILE   (UINT64_C(1) << 2)
#define BIT_COMPRESSION (UINT64_C(1) << 3)
#define BIT_EXTENDED_L2 (UINT64_C(1) << 4)
#define BITS_KNOWN      ((UINT64_C(1) << 5) - 1)

/* Where a reader stands: what it has of the file's beginning, and the numbers that are only needed while reading. */
typedef struct {
  const uint8_t *head;
  uint64_t head_bytes, file_bytes;
  uint64_t header_bytes, cluster_bytes, backing_offset, backing_bytes;
  uint8_t compression;
} Reader;

static uint32_t be32(const uint8_t *at)
{
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return GUINT32_FROM_BE(value);
}

static uint64_t be64(const uint8_t *at)
{
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return GUINT64_FROM_BE(value);
}

static void put32(uint8_t *at, uint32_t value)
{
  value = GUINT32_TO_BE(value);
  memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
  value = GUINT64_TO_BE(value);
  memcpy(at, &value, sizeof value);
}

static uint64_t round_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }

static bool bad_field(const char *field, uint64_t value, const char *limit, GError **err)
{
  g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);
  return error_false(err, REASON_QCOW2_FIELD, "field", field, "value", text, "limit", limit, NULL);
}

static bool truncated(const char *part, uint64_t needs, uint64_t size, GError **err)
{
  g_autofree char *needs_text = g_strdup_printf("%" G_GUINT64_FORMAT, needs);
  g_autofree char *size_text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
  return error_false(err, REASON_QCOW2_TRUNCATED, "part", part, "needs", needs_text, "size", size_text, NULL);
}

/* A file of less than four bytes is no qcow2 file either, so this must not look past its end. */
static bool check_magic(const Reader *r, GError **err)
{
  if (r->head_bytes >= V2_HEADER_BYTES && be32(r->head) == MAGIC)
    return true;
  if (r->head_bytes >= 4 && be32(r->head) == MAGIC)
    return truncated("header", V2_HEADER_BYTES, r->file_bytes, err);
  GString *found = g_string_new("0x");
  for (size_t i = 0; i < MIN(r->head_bytes, 4); i++)
    g_string_append_printf(found, "%02x", r->head[i]);
  error_set(err, REASON_QCOW2_MAGIC, "found", r->head_bytes ? found->str : "nothing", NULL);
  g_string_free(found, TRUE);
  return false;
}

static bool check_features(uint64_t bits, GError **err)
{
  uint64_t unknown = bits & ~BITS_KNOWN;
  if (!unknown)
    return true;
  g_autofree char *bit = g_strdup_printf("%d", __builtin_ctzll(unknown));
  return error_false(err, REASON_QCOW2_FEATURE, "bit", bit, NULL);
}

/* Version 2 has none of the later fields; the format names the values that stand for them. */
static bool parse_version(Reader *r, Qcow2Header *h, GError **err)
{
  h->version = be32(r->head + 4) == 2 ? 2 : be32(r->head + 4) == 3 ? 3 : 0;
  if (!h->version)
    return bad_field("version", be32(r->head + 4), "2 or 3", err);
  r->header_bytes = V2_HEADER_BYTES;
  h->refcount_order = 4;
  if (h->version == 2)
    return true;
  if (r->head_bytes < V3_HEADER_BYTES)
    return truncated("header", V3_HEADER_BYTES, r->file_bytes, err);
  h->incompatible = be64(r->head + 72);
  h->compatible = be64(r->head + 80);
  h->autoclear = be64(r->head + 88);
  if (be32(r->head + 96) > 6)
    return bad_field("refcount order", be32(r->head + 96), "0 to 6", err);
  h->refcount_order = (int)be32(r->head + 96);
  r->header_bytes = be32(r->head + 100);
  if (r->header_bytes < V3_HEADER_BYTES || r->header_bytes % 8 || r->header_bytes > QCOW2_HEAD_BYTES)
    return bad_field("header length", r->header_bytes, "104 to 65536 and a multiple of 8", err);
  if (r->header_bytes > r->head_bytes)
    return truncated("header", r->header_bytes, r->file_bytes, err);
  r->compression = r->header_bytes > V3_HEADER_BYTES ? r->head[V3_HEADER_BYTES] : 0;
  return check_features(h->incompatible, err);
}

/* The bit and the byte say the same thing, or one of them lies. */
static bool check_compression(const Reader *r, const Qcow2Header *h, GError **err)
{
  bool marked = h->incompatible & BIT_COMPRESSION;
  if (r->compression > 1 || marked != (r->compression == 1))
    return bad_field("compression type", r->compression, marked ? "1 (zstd), as its feature bit says" : "0 (zlib)", err);
  return true;
}

static bool parse_geometry(Reader *r, Qcow2Header *h, GError **err)
{
  uint32_t bits = be32(r->head + 20);
  if (bits < 9 || bits > 21)
    return bad_field("cluster bits", bits, "9 to 21", err);
  if ((h->incompatible & BIT_EXTENDED_L2) && bits < 14)
    return bad_field("cluster bits", bits, "14 to 21 with extended L2 entries", err);
  h->cluster_bits = (int)bits;
  r->cluster_bytes = UINT64_C(1) << bits;
  if (r->header_bytes > r->cluster_bytes)
    return bad_field("header length", r->header_bytes, "at most one cluster", err);
  uint64_t size = be64(r->head + 24);
  if (size == 0 || size > QCOW2_VIRTUAL_MAX_BYTES || size % SECTOR_BYTES)
    return bad_field("virtual size", size, "1 to 70368744177664 bytes (64 TiB) and a multiple of 512", err);
  h->virtual_bytes = (int64_t)size;
  return true;
}

/* Offset and length come from strangers: they are compared without adding where adding could wrap. */
static bool check_table(const Reader *r, const char *part, uint64_t offset, uint64_t bytes, GError **err)
{
  g_autofree char *field = g_strdup_printf("%s offset", part);
  if (offset < r->cluster_bytes || offset % r->cluster_bytes || offset > INT64_MAX - REFCOUNT_TABLE_MAX_BYTES - L1_MAX_BYTES)
    return bad_field(field, offset, "a multiple of the cluster size after the first cluster", err);
  return offset + bytes <= r->file_bytes || truncated(part, offset + bytes, r->file_bytes, err);
}

static uint64_t l1_entries_for(uint64_t virtual_bytes, int cluster_bits, bool extended)
{
  uint64_t cluster = UINT64_C(1) << cluster_bits;
  return (virtual_bytes + cluster * (cluster / (extended ? 16 : 8)) - 1) / (cluster * (cluster / (extended ? 16 : 8)));
}

static bool parse_l1(const Reader *r, Qcow2Header *h, GError **err)
{
  uint64_t entries = be32(r->head + 36), offset = be64(r->head + 40);
  uint64_t needed = l1_entries_for((uint64_t)h->virtual_bytes, h->cluster_bits, h->incompatible & BIT_EXTENDED_L2);
  if (entries > L1_MAX_BYTES / 8 || needed > L1_MAX_BYTES / 8)
    return bad_field("L1 table size", MAX(entries, needed), "at most 4194304 entries", err);
  if (entries < needed) {
    g_autofree char *limit = g_strdup_printf("at least %" G_GUINT64_FORMAT " for its virtual size", needed);
    return bad_field("L1 table size", entries, limit, err);
  }
  h->l1_entries = (int64_t)entries;
  h->l1_offset = (int64_t)offset;
  return check_table(r, "L1 table", offset, entries * 8, err);
}

static bool parse_refcounts(const Reader *r, Qcow2Header *h, GError **err)
{
  uint64_t offset = be64(r->head + 48), clusters = be32(r->head + 56);
  if (!clusters || clusters > REFCOUNT_TABLE_MAX_BYTES / r->cluster_bytes)
    return bad_field("refcount table clusters", clusters, "at least 1, and at most 8 MiB together", err);
  h->refcount_table_offset = (int64_t)offset;
  h->refcount_table_clusters = (int64_t)clusters;
  return check_table(r, "refcount table", offset, clusters * r->cluster_bytes, err);
}

static bool take_text(char **slot, const char *field, const uint8_t *data, uint64_t bytes, GError **err)
{
  if (*slot)
    return bad_field(field, 2, "there at most once", err);
  if (bytes > QCOW2_BACKING_MAX_BYTES)
    return bad_field(field, bytes, "at most 1023 bytes", err);
  *slot = g_strndup((const char *)data, bytes);
  return true;
}

static bool take_extension(Qcow2Header *h, uint32_t type, const uint8_t *data, uint64_t bytes, GError **err)
{
  switch (type) {
    case EXTENSION_BACKING_FORMAT: return take_text(&h->backing_format, "backing format extension", data, bytes, err);
    case EXTENSION_DATA_FILE: return take_text(&h->data_file, "data file extension", data, bytes, err);
    case EXTENSION_TAG: return take_text(&h->tag, "tag extension", data, bytes, err);
    case EXTENSION_ENCRYPTION: h->luks = true; return true;
    case EXTENSION_BITMAPS: h->bitmaps = bytes >= 4 ? MAX(be32(data), 1) : 1; return true;
    default: return true; /* the format: an unknown extension can be safely ignored */
  }
}

static bool parse_extensions(const Reader *r, Qcow2Header *h, GError **err)
{
  uint64_t end = r->backing_offset ? r->backing_offset : MIN(r->cluster_bytes, r->head_bytes);
  uint64_t at = r->header_bytes;
  for (int n = 0; at + EXTENSION_HEAD_BYTES <= end; n++) {
    uint32_t type = be32(r->head + at);
    uint64_t bytes = be32(r->head + at + 4);
    at += EXTENSION_HEAD_BYTES;
    if (type == EXTENSION_END)
      return true;
    if (n == EXTENSIONS_MAX)
      return bad_field("number of header extensions", EXTENSIONS_MAX + 1, "at most 64", err);
    if (bytes > end - at)
      return bad_field("header extension length", bytes, "inside the first cluster, and at most 64 KiB", err);
    if (!take_extension(h, type, r->head + at, bytes, err))
      return false;
    at += round_up(bytes, 8);
  }
  return true;
}

static bool parse_backing(Reader *r, Qcow2Header *h, GError **err)
{
  r->backing_offset = be64(r->head + 8);
  r->backing_bytes = be32(r->head + 16);
  if (!r->backing_offset)
    return true;
  if (r->backing_bytes == 0 || r->backing_bytes > QCOW2_BACKING_MAX_BYTES)
    return bad_field("backing file name length", r->backing_bytes, "1 to 1023", err);
  uint64_t end = MIN(r->cluster_bytes, QCOW2_HEAD_BYTES);
  if (r->backing_offset < r->header_bytes || r->backing_offset > end || r->backing_bytes > end - r->backing_offset)
    return bad_field("backing file name offset", r->backing_offset, "inside the first cluster, after the header", err);
  if (r->backing_offset + r->backing_bytes > r->head_bytes)
    return truncated("backing file name", r->backing_offset + r->backing_bytes, r->file_bytes, err);
  h->backing_path = g_strndup((const char *)r->head + r->backing_offset, r->backing_bytes);
  return true;
}

void qcow2_header_free(Qcow2Header *header)
{
  if (!header)
    return;
  g_free(header->backing_path);
  g_free(header->backing_format);
  g_free(header->data_file);
  g_free(header->tag);
  g_free(header);
}

bool qcow2_header_parse(const uint8_t *head, size_t head_bytes, int64_t file_bytes, Qcow2Header **ret_header, GError **err)
{
  Reader r = { .head = head, .head_bytes = head_bytes, .file_bytes = (uint64_t)MAX(file_bytes, 0) };
  g_autoptr(Qcow2Header) h = g_new0(Qcow2Header, 1);
  if (!check_magic(&r, err) || !parse_version(&r, h, err) || !check_compression(&r, h, err) || !parse_geometry(&r, h, err) ||
      !parse_l1(&r, h, err) || !parse_refcounts(&r, h, err) || !parse_backing(&r, h, err) || !parse_extensions(&r, h, err))
    return false;
  h->crypt_method = be32(head + 32);
  h->snapshots = be32(head + 60);
  *ret_header = g_steal_pointer(&h);
  return true;
}

bool qcow2_header_check_image(const Qcow2Header *h, GError **err)
{
  if (h->backing_path)
    return error_false(err, REASON_QCOW2_BACKING, "path", h->backing_path, NULL);
  if (h->data_file || (h->incompatible & BIT_DATA_FILE))
    return error_false(err, REASON_QCOW2_DATA_FILE, "path", h->data_file ? h->data_file : "", NULL);
  if (h->crypt_method || h->luks) {
    g_autofree char *method = g_strdup_printf("%u", h->crypt_method);
    return error_false(err, REASON_QCOW2_ENCRYPTED, "method", method, NULL);
  }
  if (h->incompatible & BIT_CORRUPT)
    return error_false(err, REASON_QCOW2_CORRUPT, NULL);
  if (h->incompatible & BIT_DIRTY)
    return error_false(err, REASON_QCOW2_DIRTY, NULL);
  if (h->snapshots || h->bitmaps) {
    g_autofree char *count = g_strdup_printf("%u", h->snapshots ? h->snapshots : h->bitmaps);
    return error_false(err, h->snapshots ? REASON_QCOW2_SNAPSHOTS : REASON_QCOW2_BITMAPS, "count", count, NULL);
  }
  return true;
}

static bool check_text(const char *field, const char *value, size_t max_bytes, GError **err)
{
  if (value && *value && strlen(value) <= max_bytes)
    return true;
  g_autofree char *limit = g_strdup_printf("1 to %zu bytes", max_bytes);
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", value, "limit", limit, NULL);
}

static bool check_overlay(const Qcow2Overlay *o, GError **err)
{
  if (o->virtual_bytes <= 0 || o->virtual_bytes > QCOW2_VIRTUAL_MAX_BYTES || o->virtual_bytes % SECTOR_BYTES) {
    g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT, o->virtual_bytes);
    return error_false(err, REASON_BAD_VALUE, "field", "virtual size", "value", value,
                       "limit", "512 bytes to 64 TiB and a multiple of 512", NULL);
  }
  if (!check_text("backing path", o->backing_path, QCOW2_BACKING_MAX_BYTES, err) ||
      !check_text("tag", o->tag, QCOW2_TAG_MAX_BYTES, err))
    return false;
  /* QEMU takes a name with a colon before its first slash for a protocol, such as json: or nbd: */
  if (o->backing_path[0] != '/')
    return error_false(err, REASON_BAD_VALUE, "field", "backing path", "value", o->backing_path,
                       "limit", "an absolute path", NULL);
  if (g_strcmp0(o->backing_format, "qcow2") && g_strcmp0(o->backing_format, "raw"))
    return error_false(err, REASON_BAD_VALUE, "field", "backing format", "value", o->backing_format,
                       "limit", "qcow2 or raw", NULL);
  return true;
}

static size_t emit_extension(uint8_t *at, uint32_t type, const char *text)
{
  size_t bytes = text ? strlen(text) : 0;
  put32(at, type);
  put32(at + 4, (uint32_t)bytes);
  memcpy(at + EXTENSION_HEAD_BYTES, text ? text : "", bytes);
  return EXTENSION_HEAD_BYTES + round_up(bytes, 8);
}

static void emit_header(uint8_t *file, const Qcow2Overlay *o, uint64_t l1_entries)
{
  size_t at = OUR_HEADER_BYTES;
  at += emit_extension(file + at, EXTENSION_BACKING_FORMAT, o->backing_format);
  at += emit_extension(file + at, EXTENSION_TAG, o->tag);
  at += emit_extension(file + at, EXTENSION_END, NULL);
  size_t path_bytes = strlen(o->backing_path);
  memcpy(file + at, o->backing_path, path_bytes);
  put32(file, MAGIC);
  put32(file + 4, 3);
  put64(file + 8, at);
  put32(file + 16, (uint32_t)path_bytes);
  put32(file + 20, OUR_CLUSTER_BITS);
  put64(file + 24, (uint64_t)o->virtual_bytes);
  put32(file + 36, (uint32_t)l1_entries);
  put64(file + 40, 3 * OUR_CLUSTER_BYTES);
  put64(file + 48, OUR_CLUSTER_BYTES);
  put32(file + 56, 1);
  put32(file + 96, 4);
  put32(file + 100, OUR_HEADER_BYTES);
}

/* Clusters: 0 the header, 1 the refcount table, 2 its one block, 3 and on an L1 table of zeros. */
GBytes *qcow2_overlay_emit(const Qcow2Overlay *overlay, int64_t *ret_file_bytes, GError **err)
{
  if (!check_overlay(overlay, err))
    return NULL;
  uint64_t l1_bytes = 8 * l1_entries_for((uint64_t)overlay->virtual_bytes, OUR_CLUSTER_BITS, false);
  size_t clusters = 3 + round_up(l1_bytes, OUR_CLUSTER_BYTES) / OUR_CLUSTER_BYTES;
  size_t bytes = 2 * OUR_CLUSTER_BYTES + clusters * 2;
  uint8_t *file = g_malloc0(bytes);
  emit_header(file, overlay, l1_bytes / 8);
  put64(file + OUR_CLUSTER_BYTES, 2 * OUR_CLUSTER_BYTES);
  for (size_t i = 0; i < clusters; i++)
    file[2 * OUR_CLUSTER_BYTES + i * 2 + 1] = 1;
  *ret_file_bytes = (int64_t)(3 * OUR_CLUSTER_BYTES + l1_bytes);
  return g_bytes_new_take(file, bytes);
}

static bool not_fresh(const char *field, const char *value, const char *wanted, GError **err)
{
  return error_false(err, REASON_QCOW2_NOT_FRESH, "field", field, "value", value ? value : "absent", "wanted", wanted, NULL);
}

static bool prove_header(const Qcow2Overlay *o, const Qcow2Header *h, GError **err)
{
  g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, h->virtual_bytes);
  g_autofree char *wanted_size = g_strdup_printf("%" G_GINT64_FORMAT, o->virtual_bytes);
  const struct { const char *field, *value, *wanted; } rows[] = {
    { "tag", h->tag, o->tag },
    { "backing path", h->backing_path, o->backing_path },
    { "backing format", h->backing_format, o->backing_format },
    { "virtual size", size, wanted_size },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (g_strcmp0(rows[i].value, rows[i].wanted))
      return not_fresh(rows[i].field, rows[i].value, rows[i].wanted, err);
  return true;
}

static bool prove_bytes(GBytes *wanted, int64_t wanted_bytes, const uint8_t *file, size_t file_bytes, GError **err)
{
  if (file_bytes != (uint64_t)wanted_bytes) {
    g_autofree char *value = g_strdup_printf("%zu", file_bytes);
    g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT, wanted_bytes);
    return not_fresh("file size", value, limit, err);
  }
  size_t head_bytes;
  const uint8_t *head = g_bytes_get_data(wanted, &head_bytes);
  for (size_t i = 0; i < file_bytes; i++)
    if (file[i] != (i < head_bytes ? head[i] : 0)) {
      g_autofree char *field = g_strdup_printf("byte %zu", i);
      g_autofree char *value = g_strdup_printf("0x%02x", file[i]);
      return not_fresh(field, value, "as it was made", err);
    }
  return true;
}

bool qcow2_overlay_prove(const Qcow2Overlay *overlay, const uint8_t *file, size_t file_bytes, GError **err)
{
  g_autoptr(Qcow2Header) h = NULL;
  int64_t wanted_bytes;
  g_autoptr(GBytes) wanted = qcow2_overlay_emit(overlay, &wanted_bytes, err);
  return wanted && qcow2_header_parse(file, MIN(file_bytes, QCOW2_HEAD_BYTES), (int64_t)file_bytes, &h, err) &&
         prove_header(overlay, h, err) && prove_bytes(wanted, wanted_bytes, file, file_bytes, err);
}

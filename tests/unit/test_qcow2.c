/* The qcow2 format: what is refused and by which name, what QEMU's own tool makes and we must take, what we make and QEMU
 * must take. */
#include "drivers/volume/qcow2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/volume_help.h"

enum { FILE_BYTES = 196768, EXTENSIONS = 112 };
#define GIB (INT64_C(1) << 30)

typedef struct {
  uint16_t at;
  uint8_t width;
  uint64_t value;
} Patch;

static void put(uint8_t *bytes, size_t at, int width, uint64_t value)
{
  for (int i = 0; i < width; i++)
    bytes[at + i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

/* The header that qemu-img 7.2 writes for a disk of 10 GiB. */
static void make_header(uint8_t head[QCOW2_HEAD_BYTES])
{
  static const Patch fields[] = { { 0, 4, 0x514649fb }, { 4, 4, 3 }, { 20, 4, 16 }, { 24, 8, 10 * GIB }, { 36, 4, 20 },
                                  { 40, 8, 0x30000 }, { 48, 8, 0x10000 }, { 56, 4, 1 }, { 96, 4, 4 }, { 100, 4, 112 } };
  memset(head, 0, QCOW2_HEAD_BYTES);
  for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
    put(head, fields[i].at, fields[i].width, fields[i].value);
}

typedef struct {
  const char *why;
  Patch patches[4];
  int64_t file_bytes; /* 0: FILE_BYTES */
  Reason reason;      /* N_REASONS: it is taken */
  const char *arg, *value;
} Row;

static const Row parse_rows[] = {
  { "the header as it is", { { 0 } }, 0, N_REASONS },
  { "version 2 has no later fields, whatever stands there", { { 4, 4, 2 }, { 72, 8, UINT64_MAX }, { 96, 4, 99 },
    { 72, 8, 0 } }, 0, N_REASONS },
  { "no magic", { { 0, 4, 0x4b444d56 } }, 0, REASON_QCOW2_MAGIC, "found", "0x4b444d56" },
  { "version 1 is another format", { { 4, 4, 1 } }, 0, REASON_QCOW2_FIELD, "value", "1" },
  { "version 4 does not exist", { { 4, 4, 4 } }, 0, REASON_QCOW2_FIELD, "field", "version" },
  { "version of 32 bits", { { 4, 4, 0xffffffff } }, 0, REASON_QCOW2_FIELD, "value", "4294967295" },
  { "clusters of 256 bytes", { { 20, 4, 8 } }, 0, REASON_QCOW2_FIELD, "field", "cluster bits" },
  { "clusters of 4 MiB", { { 20, 4, 22 } }, 0, REASON_QCOW2_FIELD, "value", "22" },
  { "cluster bits that would shift out of the word", { { 20, 4, 64 } }, 0, REASON_QCOW2_FIELD, "field", "cluster bits" },
  { "extended L2 with clusters of 8 KiB", { { 72, 8, 16 }, { 20, 4, 13 } },
    0, REASON_QCOW2_FIELD, "limit", "14 to 21 with extended L2 entries" },
  { "2^63 bytes", { { 24, 8, UINT64_C(1) << 63 } }, 0, REASON_QCOW2_FIELD, "value", "9223372036854775808" },
  { "2^64-1 bytes", { { 24, 8, UINT64_MAX } }, 0, REASON_QCOW2_FIELD, "field", "virtual size" },
  { "a sector over the limit", { { 24, 8, QCOW2_VIRTUAL_MAX_BYTES + 512 } }, 0, REASON_QCOW2_FIELD, "field", "virtual size" },
  { "no disk at all", { { 24, 8, 0 } }, 0, REASON_QCOW2_FIELD, "field", "virtual size" },
  { "half a sector", { { 24, 8, 10 * GIB + 256 } }, 0, REASON_QCOW2_FIELD, "field", "virtual size" },
  { "L1 of 32 GiB", { { 36, 4, 0xffffffff } }, 0, REASON_QCOW2_FIELD, "value", "4294967295" },
  { "L1 one entry over QEMU's limit", { { 36, 4, (4 << 20) + 1 } }, 0, REASON_QCOW2_FIELD, "field", "L1 table size" },
  { "L1 too short for the disk", { { 36, 4, 19 } }, 0, REASON_QCOW2_FIELD, "limit", "at least 20 for its virtual size" },
  { "a disk that clusters of 512 bytes can't hold", { { 20, 4, 9 }, { 24, 8, UINT64_C(1) << 45 }, { 100, 4, 104 } },
    0, REASON_QCOW2_FIELD, "field", "L1 table size" },
  { "L1 inside the header", { { 40, 8, 0 } }, 0, REASON_QCOW2_FIELD, "field", "L1 table offset" },
  { "L1 between two clusters", { { 40, 8, 0x30008 } }, 0, REASON_QCOW2_FIELD, "field", "L1 table offset" },
  { "L1 so far out that its end wraps", { { 40, 8, UINT64_C(0xffffffffffff0000) } },
    0, REASON_QCOW2_FIELD, "field", "L1 table offset" },
  { "L1 behind the end of the file", { { 40, 8, 0x40000 } }, 0, REASON_QCOW2_TRUNCATED, "part", "L1 table" },
  { "L1 cut by the end of the file", { { 0 } }, FILE_BYTES - 1, REASON_QCOW2_TRUNCATED, "needs", "196768" },
  { "no refcount table", { { 56, 4, 0 } }, 0, REASON_QCOW2_FIELD, "field", "refcount table clusters" },
  { "refcount table of 8 MiB and a cluster", { { 56, 4, 129 } }, 0, REASON_QCOW2_FIELD, "value", "129" },
  { "refcount table behind the end", { { 48, 8, 0x7fff0000 } }, 0, REASON_QCOW2_TRUNCATED, "part", "refcount table" },
  { "refcount table over the header", { { 48, 8, 0 } }, 0, REASON_QCOW2_FIELD, "field", "refcount table offset" },
  { "refcounts of 128 bits", { { 96, 4, 7 } }, 0, REASON_QCOW2_FIELD, "field", "refcount order" },
  { "header shorter than its fields", { { 100, 4, 96 } }, 0, REASON_QCOW2_FIELD, "field", "header length" },
  { "header length not a multiple of 8", { { 100, 4, 108 } }, 0, REASON_QCOW2_FIELD, "field", "header length" },
  { "header of 4 GiB", { { 100, 4, 0xfffffff8 } }, 0, REASON_QCOW2_FIELD, "field", "header length" },
  { "header longer than its cluster", { { 20, 4, 9 }, { 100, 4, 1024 } }, 0, REASON_QCOW2_FIELD, "limit", "at most one cluster" },
  { "unknown feature bit 5", { { 72, 8, 32 } }, 0, REASON_QCOW2_FEATURE, "bit", "5" },
  { "unknown feature bit 63", { { 72, 8, UINT64_C(1) << 63 } }, 0, REASON_QCOW2_FEATURE, "bit", "63" },
  { "unknown compatible and autoclear bits may be ignored", { { 80, 8, UINT64_MAX }, { 88, 8, UINT64_MAX - 3 } }, 0, N_REASONS },
  { "zstd with its bit", { { 72, 8, 8 }, { 104, 1, 1 } }, 0, N_REASONS },
  { "zstd without its bit", { { 104, 1, 1 } }, 0, REASON_QCOW2_FIELD, "field", "compression type" },
  { "the bit without zstd", { { 72, 8, 8 } }, 0, REASON_QCOW2_FIELD, "field", "compression type" },
  { "compression type 2", { { 72, 8, 8 }, { 104, 1, 2 } }, 0, REASON_QCOW2_FIELD, "value", "2" },
  { "backing name inside the header", { { 8, 8, 64 }, { 16, 4, 9 } },
    0, REASON_QCOW2_FIELD, "field", "backing file name offset" },
  { "backing name after the first cluster", { { 8, 8, 0x10000 }, { 16, 4, 9 } },
    0, REASON_QCOW2_FIELD, "field", "backing file name offset" },
  { "backing name whose end wraps", { { 8, 8, UINT64_MAX - 3 }, { 16, 4, 9 } },
    0, REASON_QCOW2_FIELD, "field", "backing file name offset" },
  { "backing name longer than its cluster", { { 20, 4, 9 }, { 8, 8, 112 }, { 16, 4, 1000 }, { 24, 8, 1 << 19 } },
    FILE_BYTES * 100, REASON_QCOW2_FIELD, "field", "backing file name offset" },
  { "backing name of 1024 bytes", { { 8, 8, 256 }, { 16, 4, 1024 } }, 0, REASON_QCOW2_FIELD, "value", "1024" },
  { "backing name of no bytes", { { 8, 8, 256 }, { 16, 4, 0 } }, 0, REASON_QCOW2_FIELD, "field", "backing file name length" },
  { "extension longer than the cluster", { { EXTENSIONS, 4, 0x11111111 }, { EXTENSIONS + 4, 4, 0xffffffff } },
    0, REASON_QCOW2_FIELD, "field", "header extension length" },
  { "extension that runs into the backing name", { { EXTENSIONS, 4, 0x11111111 }, { EXTENSIONS + 4, 4, 200 }, { 8, 8, 256 },
    { 16, 4, 9 } }, 0, REASON_QCOW2_FIELD, "value", "200" },
  { "unknown extension", { { EXTENSIONS, 4, 0x11111111 }, { EXTENSIONS + 4, 4, 31 } }, 0, N_REASONS },
};

static bool parse_patched(const Row *row, Qcow2Header **ret_header, GError **err)
{
  uint8_t head[QCOW2_HEAD_BYTES];
  make_header(head);
  for (size_t i = 0; i < G_N_ELEMENTS(row->patches) && row->patches[i].width; i++)
    put(head, row->patches[i].at, row->patches[i].width, row->patches[i].value);
  return qcow2_header_parse(head, sizeof head, row->file_bytes ? row->file_bytes : FILE_BYTES, ret_header, err);
}

static void header_is_refused_by_name_and_number(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(parse_rows); i++) {
    const Row *row = &parse_rows[i];
    g_autoptr(Qcow2Header) h = NULL;
    g_autoptr(GError) err = NULL;
    bool ok = parse_patched(row, &h, &err);
    if (ok != (row->reason == N_REASONS))
      fail_msg("%s: %s", row->why, err ? err->message : "was taken");
    assert_true(ok == (h != NULL));
    if (!ok)
      assert_reason(&err, row->reason, row->arg, row->value);
  }
}

static const Row gate_rows[] = {
  { "stands alone", { { 0 } }, 0, N_REASONS },
  { "lazy refcounts do no harm", { { 80, 8, 1 } }, 0, N_REASONS },
  { "backing file", { { 8, 8, 0x210 }, { 16, 4, 11 }, { 0x210, 8, 0x2f6574632f736861 }, { 0x218, 4, 0x646f7700 } },
    0, REASON_QCOW2_BACKING, "path", "/etc/shadow" },
  { "data file by its bit", { { 72, 8, 4 } }, 0, REASON_QCOW2_DATA_FILE, "path", "" },
  { "data file by its extension alone", { { EXTENSIONS, 4, 0x44415441 }, { EXTENSIONS + 4, 4, 4 },
    { EXTENSIONS + 8, 4, 0x2f612f62 } }, 0, REASON_QCOW2_DATA_FILE, "path", "/a/b" },
  { "AES", { { 32, 4, 1 } }, 0, REASON_QCOW2_ENCRYPTED, "method", "1" },
  { "LUKS", { { 32, 4, 2 } }, 0, REASON_QCOW2_ENCRYPTED, "method", "2" },
  { "an encryption header alone", { { EXTENSIONS, 4, 0x0537be77 }, { EXTENSIONS + 4, 4, 16 } },
    0, REASON_QCOW2_ENCRYPTED, "method", "0" },
  { "dirty", { { 72, 8, 1 } }, 0, REASON_QCOW2_DIRTY, NULL, NULL },
  { "corrupt, and dirty too", { { 72, 8, 3 } }, 0, REASON_QCOW2_CORRUPT, NULL, NULL },
  { "snapshots", { { 60, 4, 7 } }, 0, REASON_QCOW2_SNAPSHOTS, "count", "7" },
  { "bitmaps", { { EXTENSIONS, 4, 0x23852875 }, { EXTENSIONS + 4, 4, 24 }, { EXTENSIONS + 8, 4, 3 } },
    0, REASON_QCOW2_BITMAPS, "count", "3" },
};

static void image_gate_refuses_what_does_not_stand_alone(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(gate_rows); i++) {
    const Row *row = &gate_rows[i];
    g_autoptr(Qcow2Header) h = NULL;
    g_autoptr(GError) err = NULL;
    if (!parse_patched(row, &h, &err))
      fail_msg("%s: %s", row->why, err->message);
    bool ok = qcow2_header_check_image(h, &err);
    if (ok != (row->reason == N_REASONS))
      fail_msg("%s: %s", row->why, err ? err->message : "was taken");
    if (!ok)
      assert_reason(&err, row->reason, row->arg, row->value);
  }
}

static void endless_and_double_extensions_are_refused(void **state)
{
  uint8_t head[QCOW2_HEAD_BYTES];
  g_autoptr(Qcow2Header) h = NULL;
  g_autoptr(GError) err = NULL;
  make_header(head);
  for (size_t at = EXTENSIONS; at + 8 <= sizeof head; at += 8)
    put(head, at, 4, 0x11111111);
  assert_false(qcow2_header_parse(head, sizeof head, FILE_BYTES, &h, &err));
  assert_reason(&err, REASON_QCOW2_FIELD, "field", "number of header extensions");
  make_header(head);
  for (size_t at = EXTENSIONS; at < EXTENSIONS + 32; at += 16) {
    put(head, at, 4, 0xe2792aca);
    put(head, at + 4, 4, 5);
  }
  assert_false(qcow2_header_parse(head, sizeof head, FILE_BYTES, &h, &err));
  assert_reason(&err, REASON_QCOW2_FIELD, "field", "backing format extension");
}

/* Every length of a good file is either taken or refused: none is read past its end (the allocation is exact, so ASan sees
 * it). */
static void file_cut_anywhere_is_refused(void **state)
{
  const Qcow2Overlay overlay = { GIB, "/srv/img-a-v1.qcow2", "qcow2", "d-1/1" };
  int64_t file_bytes;
  g_autoptr(GError) err = NULL;
  g_autoptr(GBytes) bytes = qcow2_overlay_emit(&overlay, &file_bytes, &err);
  assert_ok(bytes != NULL, err);
  for (size_t n = 0; n < 512; n++) {
    g_autofree uint8_t *cut = g_memdup2(g_bytes_get_data(bytes, NULL), n);
    Qcow2Header *h = NULL;
    assert_false(qcow2_header_parse(cut, n, (int64_t)n, &h, &err));
    assert_reason(&err, n < 4 ? REASON_QCOW2_MAGIC : REASON_QCOW2_TRUNCATED, NULL, NULL);
  }
}

typedef struct {
  const char *why, *options, *size;
  Reason reason;
} ToolRow;

/* made by qemu-img itself; reason N_REASONS: we must take it */
static const ToolRow tool_rows[] = {
  { "default", "preallocation=off", "10G", N_REASONS },
  { "version 2", "compat=0.10", "1G", N_REASONS },
  { "clusters of 512", "cluster_size=512", "1G", N_REASONS },
  { "clusters of 2 MiB", "cluster_size=2M", "1T", N_REASONS },
  { "refcounts of 1 bit", "refcount_bits=1", "64M", N_REASONS },
  { "refcounts of 64 bits", "refcount_bits=64", "64M", N_REASONS },
  { "lazy refcounts", "lazy_refcounts=on", "64M", N_REASONS },
  { "zstd", "compression_type=zstd", "64M", N_REASONS },
  { "extended L2", "extended_l2=on,cluster_size=128k", "64M", N_REASONS },
  { "metadata allocated", "preallocation=metadata", "1G", N_REASONS },
  { "64 TiB", "preallocation=off", "64T", N_REASONS },
  { "65 TiB", "preallocation=off", "65T", REASON_QCOW2_FIELD },
};

static bool check_file(const char *path, GError **err)
{
  g_autoptr(GBytes) head = file_head(path, QCOW2_HEAD_BYTES);
  g_autoptr(Qcow2Header) h = NULL;
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  return qcow2_header_parse(g_bytes_get_data(head, NULL), g_bytes_get_size(head), st.st_size, &h, err) &&
         qcow2_header_check_image(h, err);
}

static void what_qemu_img_makes_is_taken(void **state)
{
  g_autofree char *file = tmp_path(*state, "tool.qcow2");
  for (size_t i = 0; i < G_N_ELEMENTS(tool_rows); i++) {
    const ToolRow *row = &tool_rows[i];
    g_autoptr(GError) err = NULL;
    run_ok("qemu-img", "create", "-q", "-f", "qcow2", "-o", row->options, file, row->size);
    bool ok = check_file(file, &err);
    if (ok != (row->reason == N_REASONS))
      fail_msg("%s: %s", row->why, err ? err->message : "was taken");
    if (!ok)
      assert_reason(&err, row->reason, NULL, NULL);
  }
}

static void what_qemu_img_makes_of_several_files_is_refused(void **state)
{
  g_autofree char *base = tmp_path(*state, "base.qcow2"), *file = tmp_path(*state, "many.qcow2");
  g_autofree char *data = tmp_path(*state, "data.raw");
  g_autofree char *with_data = g_strdup_printf("data_file=%s", data);
  g_autoptr(GError) err = NULL;
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", base, "64M");
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", file);
  assert_false(check_file(file, &err));
  assert_reason(&err, REASON_QCOW2_BACKING, "path", base);
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", "-o", with_data, file, "64M");
  assert_false(check_file(file, &err));
  assert_reason(&err, REASON_QCOW2_DATA_FILE, "path", data);
  /* AES and not LUKS: for LUKS the tool times the CPU first, and gives up on a machine whose clock of it is coarse */
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=abc",
         "-o", "encrypt.format=aes,encrypt.key-secret=s", file, "64M");
  assert_false(check_file(file, &err));
  assert_reason(&err, REASON_QCOW2_ENCRYPTED, "method", "1");
  run_ok("qemu-img", "snapshot", "-q", "-c", "before", base);
  assert_false(check_file(base, &err));
  assert_reason(&err, REASON_QCOW2_SNAPSHOTS, "count", "1");
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", file, "64M");
  run_ok("qemu-img", "bitmap", "--add", "-f", "qcow2", file, "b0");
  assert_false(check_file(file, &err));
  assert_reason(&err, REASON_QCOW2_BITMAPS, "count", "1");
}

/* ── what we make ───────────────────────────────────────────────────────── */

/* The whole file as it would stand on disk. */
static GBytes *emit_whole(const Qcow2Overlay *overlay)
{
  int64_t file_bytes = 0;
  g_autoptr(GError) err = NULL;
  g_autoptr(GBytes) head = qcow2_overlay_emit(overlay, &file_bytes, &err);
  assert_ok(head != NULL, err);
  size_t n;
  const uint8_t *data = g_bytes_get_data(head, &n);
  assert_true(n <= (size_t)file_bytes);
  uint8_t *whole = g_malloc0((size_t)file_bytes);
  memcpy(whole, data, n);
  return g_bytes_new_take(whole, (size_t)file_bytes);
}

static void write_overlay(const char *path, const Qcow2Overlay *overlay)
{
  g_autoptr(GBytes) whole = emit_whole(overlay);
  file_write(path, g_bytes_get_data(whole, NULL), g_bytes_get_size(whole));
}

static bool prove_file(const char *path, const Qcow2Overlay *overlay, GError **err)
{
  g_autoptr(GBytes) bytes = file_bytes(path);
  return qcow2_overlay_prove(overlay, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), err);
}

static const int64_t sizes[] = { 512, 1 << 20, (512 << 20) - 512, 512 << 20, (512 << 20) + 512, 10 * GIB, 5000 * GIB,
                                 QCOW2_VIRTUAL_MAX_BYTES };

static void overlays_of_every_size_are_clean_to_qemu_img(void **state)
{
  g_autofree char *base = tmp_path(*state, "sizes.raw"), *file = tmp_path(*state, "sizes.qcow2");
  file_write(base, "", 0);
  run_ok("truncate", "-s", "512", base);
  for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
    const Qcow2Overlay overlay = { sizes[i], base, "raw", "0f2a/d-17/4" };
    g_autofree char *info = NULL, *size = g_strdup_printf("\"virtual-size\": %" G_GINT64_FORMAT, sizes[i]);
    g_autofree char *backing = g_strdup_printf("\"backing-filename\": \"%s\"", base);
    g_autoptr(GError) err = NULL;
    write_overlay(file, &overlay);
    assert_int_equal(run_words(&info, "qemu-img", "info", "--output=json", "-f", "qcow2", file, NULL), 0);
    assert_non_null(strstr(info, size));
    assert_non_null(strstr(info, backing));
    assert_non_null(strstr(info, "\"backing-filename-format\": \"raw\""));
    g_autofree char *check = NULL;
    assert_int_equal(run_words(&check, "qemu-img", "check", "-f", "qcow2", file, NULL), 0);
    assert_non_null(strstr(check, "No errors were found"));
    assert_ok(prove_file(file, &overlay, &err), err);
  }
}

static void overlay_that_nobody_can_use_is_not_made(void **state)
{
  g_autofree char *long_path = g_strnfill(1024, 'a'), *long_tag = g_strnfill(256, 't');
  long_path[0] = '/';
  const struct { const char *why; Qcow2Overlay overlay; const char *field; } rows[] = {
    { "no size", { 0, "/b", "raw", "t" }, "virtual size" },
    { "negative", { -512, "/b", "raw", "t" }, "virtual size" },
    { "half a sector", { 1000, "/b", "raw", "t" }, "virtual size" },
    { "over the limit", { QCOW2_VIRTUAL_MAX_BYTES + 512, "/b", "raw", "t" }, "virtual size" },
    { "no base", { 512, NULL, "raw", "t" }, "backing path" },
    { "a protocol to QEMU", { 512, "nbd:unix:/x", "raw", "t" }, "backing path" },
    { "longer than the format allows", { 512, long_path, "raw", "t" }, "backing path" },
    { "format left to probing", { 512, "/b", NULL, "t" }, "backing format" },
    { "a format we don't stand on", { 512, "/b", "vmdk", "t" }, "backing format" },
    { "no tag: nobody could say whose it is", { 512, "/b", "raw", "" }, "tag" },
    { "long tag", { 512, "/b", "raw", long_tag }, "tag" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    int64_t bytes;
    g_autoptr(GError) err = NULL;
    if (qcow2_overlay_emit(&rows[i].overlay, &bytes, &err))
      fail_msg("%s: was made", rows[i].why);
    assert_reason(&err, REASON_BAD_VALUE, "field", rows[i].field);
  }
}

static void longest_names_fit(void **state)
{
  g_autofree char *path = g_strnfill(1023, 'a'), *tag = g_strnfill(255, 't');
  path[0] = '/';
  const Qcow2Overlay overlay = { GIB, path, "qcow2", tag };
  g_autoptr(GBytes) whole = emit_whole(&overlay);
  g_autoptr(GError) err = NULL;
  assert_ok(qcow2_overlay_prove(&overlay, g_bytes_get_data(whole, NULL), g_bytes_get_size(whole), &err), err);
}

/* One bit anywhere in the file, and it is no longer the fresh overlay. */
static void proof_sees_every_bit(void **state)
{
  const Qcow2Overlay overlay = { GIB, "/srv/img-a-v1.qcow2", "qcow2", "d-1/1" };
  g_autoptr(GBytes) whole = emit_whole(&overlay);
  size_t n = g_bytes_get_size(whole);
  g_autofree uint8_t *bytes = g_memdup2(g_bytes_get_data(whole, NULL), n);
  for (size_t bit = 0; bit < n * 8; bit += bit < 8 * 288 ? 1 : 8 * 1021 + 1) {
    g_autoptr(GError) err = NULL;
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    if (qcow2_overlay_prove(&overlay, bytes, n, &err))
      fail_msg("bit %zu", bit);
    assert_non_null(err);
    bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  g_autoptr(GError) err = NULL;
  assert_ok(qcow2_overlay_prove(&overlay, bytes, n, &err), err);
}

static void proof_names_what_differs(void **state)
{
  const Qcow2Overlay made = { GIB, "/srv/img-a-v1.qcow2", "qcow2", "d-17/3" };
  g_autoptr(GBytes) whole = emit_whole(&made);
  const struct { Qcow2Overlay wanted; const char *field, *value; } rows[] = {
    { { GIB, "/srv/img-a-v1.qcow2", "qcow2", "d-17/4" }, "tag", "d-17/3" },
    { { GIB, "/srv/img-a-v2.qcow2", "qcow2", "d-17/3" }, "backing path", "/srv/img-a-v1.qcow2" },
    { { GIB, "/srv/img-a-v1.qcow2", "raw", "d-17/3" }, "backing format", "qcow2" },
    { { 2 * GIB, "/srv/img-a-v1.qcow2", "qcow2", "d-17/3" }, "virtual size", "1073741824" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    assert_false(qcow2_overlay_prove(&rows[i].wanted, g_bytes_get_data(whole, NULL), g_bytes_get_size(whole), &err));
    assert_string_equal(error_arg(err, "value"), rows[i].value);
    assert_reason(&err, REASON_QCOW2_NOT_FRESH, "field", rows[i].field);
  }
}

/* QEMU writes into the overlay: the image keeps its hash, the overlay keeps its tag, and the proof is gone. */
static void written_overlay_keeps_its_tag_and_loses_its_proof(void **state)
{
  g_autofree char *base = tmp_path(*state, "written-base.qcow2"), *file = tmp_path(*state, "written.qcow2");
  const Qcow2Overlay overlay = { 128 << 20, base, "qcow2", "0f2a/d-17/4" };
  g_autoptr(GError) err = NULL;
  run_ok("qemu-img", "create", "-q", "-f", "qcow2", base, "64M");
  run_ok("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 1M", base);
  g_autofree char *before = file_sha256(base);
  write_overlay(file, &overlay);
  run_ok("qemu-io", "-f", "qcow2", "-c", "read -P 7 0 1M", "-c", "read -P 0 64M 1M", file);
  assert_ok(prove_file(file, &overlay, &err), err);
  run_ok("qemu-io", "-f", "qcow2", "-c", "write -P 9 512k 1M", "-c", "write -P 5 127M 1M", "-c", "discard 0 64k",
         "-c", "flush", file);
  run_ok("qemu-io", "-f", "qcow2", "-c", "read -P 9 512k 1M", "-c", "read -P 5 127M 1M", "-c", "read -P 7 256k 256k", file);
  run_ok("qemu-img", "check", "-q", "-f", "qcow2", file);
  g_autofree char *after = file_sha256(base);
  assert_string_equal(before, after);
  assert_false(prove_file(file, &overlay, &err));
  assert_reason(&err, REASON_QCOW2_NOT_FRESH, "field", "file size");
  run_ok("qemu-img", "amend", "-f", "qcow2", "-o", "lazy_refcounts=on", file);
  g_autoptr(GBytes) bytes = file_bytes(file);
  g_autoptr(Qcow2Header) h = NULL;
  assert_ok(qcow2_header_parse(g_bytes_get_data(bytes, NULL), QCOW2_HEAD_BYTES, (int64_t)g_bytes_get_size(bytes), &h, &err), err);
  assert_string_equal(h->tag, "0f2a/d-17/4");
  assert_string_equal(h->backing_path, base);
  assert_string_equal(h->backing_format, "qcow2");
}

static int setup(void **state)
{
  *state = tmp_make();
  return 0;
}

static int teardown(void **state)
{
  tmp_remove(*state);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(header_is_refused_by_name_and_number),
    cmocka_unit_test(image_gate_refuses_what_does_not_stand_alone),
    cmocka_unit_test(endless_and_double_extensions_are_refused),
    cmocka_unit_test(file_cut_anywhere_is_refused),
    cmocka_unit_test(what_qemu_img_makes_is_taken),
    cmocka_unit_test(what_qemu_img_makes_of_several_files_is_refused),
    cmocka_unit_test(overlays_of_every_size_are_clean_to_qemu_img),
    cmocka_unit_test(overlay_that_nobody_can_use_is_not_made),
    cmocka_unit_test(longest_names_fit),
    cmocka_unit_test(proof_sees_every_bit),
    cmocka_unit_test(proof_names_what_differs),
    cmocka_unit_test(written_overlay_keeps_its_tag_and_loses_its_proof),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}

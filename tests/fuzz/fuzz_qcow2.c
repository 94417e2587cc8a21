/* Fuzzes the reader of qcow2 headers. The input is a file's beginning; it is read as a whole file and as the head of a big
 * one. What is taken must keep the promises of qcow2.h, and an overlay on it must read back as what it was made from. */
#include "drivers/volume/qcow2.h"

#include <string.h>

#include "core/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_promises(const Qcow2Header *h, int64_t file_bytes)
{
  int64_t cluster = INT64_C(1) << h->cluster_bits;
  g_assert(h->version == 2 || h->version == 3);
  g_assert(h->cluster_bits >= 9 && h->cluster_bits <= 21 && h->refcount_order >= 0 && h->refcount_order <= 6);
  g_assert(h->virtual_bytes > 0 && h->virtual_bytes <= QCOW2_VIRTUAL_MAX_BYTES && h->virtual_bytes % 512 == 0);
  g_assert(h->l1_entries > 0 && h->l1_offset >= cluster && h->l1_offset + h->l1_entries * 8 <= file_bytes);
  g_assert(h->refcount_table_offset + h->refcount_table_clusters * cluster <= file_bytes);
}

static void check_overlay_on(const Qcow2Header *h)
{
  const Qcow2Overlay overlay = { h->virtual_bytes, h->backing_path ? h->backing_path : "/b", "qcow2", h->tag ? h->tag : "t" };
  int64_t file_bytes;
  g_autoptr(GBytes) head = qcow2_overlay_emit(&overlay, &file_bytes, NULL);
  if (!head)
    return;
  g_autofree uint8_t *file = g_malloc0((size_t)file_bytes);
  memcpy(file, g_bytes_get_data(head, NULL), g_bytes_get_size(head));
  g_assert(qcow2_overlay_prove(&overlay, file, (size_t)file_bytes, NULL));
}

static void check_as(const uint8_t *data, size_t size, int64_t file_bytes)
{
  g_autoptr(Qcow2Header) h = NULL;
  g_autoptr(GError) err = NULL;
  if (!qcow2_header_parse(data, MIN(size, QCOW2_HEAD_BYTES), file_bytes, &h, &err)) {
    g_assert(err && !h);
    return;
  }
  g_assert(!err);
  check_promises(h, file_bytes);
  bool stands_alone = qcow2_header_check_image(h, &err);
  g_assert(stands_alone == !err && !(stands_alone && (h->backing_path || h->data_file || h->luks)));
  if (h->virtual_bytes <= INT64_C(1) << 40)
    check_overlay_on(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const Qcow2Overlay wanted = { 512, "/b", "raw", "t" };
  check_as(data, size, (int64_t)size);
  check_as(data, size, INT64_MAX);
  qcow2_overlay_prove(&wanted, data, size, NULL);
  return 0;
}

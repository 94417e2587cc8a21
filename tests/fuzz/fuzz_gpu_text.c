/* Fuzzes what hosts print of their cards: the tables of `nvidia-smi mig` and the files of sysfs. The first byte says which. What is taken has numbers
 * within their bounds; what is not is refused by name. */
#include <string.h>

#include "drivers/gpu/mig_table.h"
#include "drivers/gpu/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_told(bool read, const GError *err) { g_assert(read == !err && (read || error_is(err, REASON_GPU_FACTS))); }

static void check_profiles(const char *text)
{
  g_autoptr(GPtrArray) profiles = NULL;
  g_autoptr(GError) err = NULL, other = NULL;
  bool read = mig_profiles_parse("h1", text, &profiles, &err);
  assert_told(read, err);
  for (guint i = 0; read && i < profiles->len; i++) {
    const MigProfile *p = profiles->pdata[i];
    g_assert(*p->name && p->id >= 0 && p->free >= 0 && p->free <= p->total);
  }
  bool placed = read && mig_placements_parse("h1", text, profiles, &other);
  g_assert(!read || placed == !other);
}

static void check_instances(const char *text)
{
  g_autoptr(GPtrArray) instances = NULL;
  g_autoptr(GError) err = NULL;
  bool read = mig_instances_parse("h1", text, &instances, &err);
  assert_told(read, err);
  for (guint i = 0; read && i < instances->len; i++) {
    const MigInstance *instance = instances->pdata[i];
    g_assert(*instance->profile && instance->id >= 0 && instance->start >= 0 && instance->size >= 0);
  }
}

static void check_files(const char *text)
{
  g_autoptr(GpuView) view = gpu_view_new();
  g_autoptr(GError) err = NULL;
  gpu_view_node(view, "h1", "<device><name>pci_0000_81_00_0</name><capability type='pci'><class>0x030200</class></capability></device>", NULL);
  bool read = gpu_view_files(view, "h1", text, &err);
  g_assert(read == !err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static void (*const readers[])(const char *) = { check_profiles, check_instances, check_files };
  if (!size)
    return 0;
  g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
  readers[*data % G_N_ELEMENTS(readers)](text);
  return 0;
}

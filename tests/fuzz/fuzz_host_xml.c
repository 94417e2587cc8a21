/* Fuzzes what hosts tell in XML of themselves, their devices and volumes; domains have a target of their own. The first byte says whose reader it is for. What is
 * taken has no DOCTYPE, and numbers within their bounds. */
#include <string.h>

#include "core/cells.h"
#include "drivers/gpu/view.h"
#include "drivers/hypervisor/capabilities_xml.h"
#include "drivers/hypervisor/device_xml.h"
#include "drivers/hypervisor/xml_read.h"
#include "drivers/volume/libvirt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_device(const char *xml)
{
  g_autofree char *parent = NULL;
  DeviceKind kind = device_xml_kind(xml, &parent);
  g_assert(kind == DEVICE_OTHER || kind == DEVICE_CARD || kind == DEVICE_MDEV);
  g_assert(device_xml_free(xml, "nvidia-474") >= -1);
}

static void check_card(const char *xml)
{
  g_autoptr(GpuView) view = gpu_view_new();
  g_autoptr(GError) err = NULL;
  bool read = gpu_view_node(view, "h1", xml, &err);
  g_assert(read == !err && (read || error_is(err, REASON_GPU_FACTS)));
}

static void check_volume(const char *xml)
{
  LibvirtVolume volume;
  if (!libvirt_volume_read(xml, &volume))
    return;
  g_assert(volume.size_bytes >= 0 && volume.allocated_bytes >= 0 && strlen(volume.format) < sizeof volume.format);
  xmlDoc *doc = xml_doc_read(xml, NULL); /* the same rule for all: a DOCTYPE, or 4 MiB, is not taken */
  g_assert(doc);
  xmlFreeDoc(doc);
}

/* What placement counts by: sums that hold, and text that is read again as it was meant. */
static void check_machine(const HostFacts *facts)
{
  HostCells cells;
  int64_t huge_mib = 0;
  host_cells_read(facts->cells, &cells);
  for (int i = 0; i < cells.n; i++)
    huge_mib += cells.cells[i].huge_mib;
  g_autofree char *again = host_cells_text(&cells);
  g_assert(!g_strcmp0(again, facts->cells) && huge_mib == facts->huge_mib && !huge_mib == !facts->page_kib);
  g_assert(!facts->cpu_model || (*facts->cpu_model && strlen(facts->cpu_model) < 64));
}

static void check_capabilities(const char *xml)
{
  HostFacts facts = { .memory_mib = 65536 };
  capabilities_xml_read(xml, &facts);
  g_assert(!*facts.uuid || g_uuid_string_is_valid(facts.uuid));
  g_assert(facts.virt_types < 1u << N_VIRT_TYPES);
  for (VirtType type = 0; type < N_VIRT_TYPES; type++)
    g_assert(!(facts.virt_types & 1u << type) || strstr(xml, virt_type_name(type)) || strchr(xml, '&'));
  check_machine(&facts);
  host_facts_clear(&facts);
  g_autofree char *cpu = capabilities_xml_cpu(xml), *words = capabilities_xml_words(cpu, xml);
  g_assert(!words || (*words && strlen(words) < 16384 && !strpbrk(words, "<>&\"'\n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static void (*const readers[])(const char *) = { check_device, check_card, check_volume, check_capabilities };
  if (!size)
    return 0;
  g_autofree char *xml = g_strndup((const char *)data + 1, size - 1);
  readers[*data % G_N_ELEMENTS(readers)](xml);
  return 0;
}

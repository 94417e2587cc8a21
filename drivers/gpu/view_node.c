/* libvirt's node device XML (https://libvirt.org/formatnode.html) as facts. It comes from the host: every number is checked, and what
 * is not understood is an error that names it, not a guess. */
#include <string.h>

#include "drivers/gpu/view_inside.h"
#include "drivers/hypervisor/xml_read.h"

static inline void doc_free(xmlDoc **doc) { xmlFreeDoc(*doc); }
#define XML_DOC __attribute__((cleanup(doc_free))) xmlDoc *

static bool is(const xmlNode *node, const char *name)
{
  return node->type == XML_ELEMENT_NODE && xmlStrEqual(node->name, BAD_CAST name);
}

static xmlNode *child(xmlNode *parent, const char *name)
{
  for (xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
    if (is(node, name))
      return node;
  return NULL;
}

/* An attribute's value, owned by the caller, or NULL. */
static char *attribute(xmlNode *node, const char *name)
{
  xmlChar *value = node ? xmlGetNoNsProp(node, BAD_CAST name) : NULL;
  char *copy = g_strdup((char *)value);
  xmlFree(value);
  return copy;
}

static bool attribute_is(xmlNode *node, const char *name, const char *wanted)
{
  g_autofree char *value = attribute(node, name);
  return !g_strcmp0(value, wanted);
}

static char *text_of(xmlNode *node)
{
  xmlChar *text = node ? xmlNodeGetContent(node) : NULL;
  char *copy = text ? g_strstrip(g_strdup((char *)text)) : NULL;
  xmlFree(text);
  return copy;
}

/* A number in base 10 or 0x…, at most max; -1 where there is none or it is none. */
static int number(const char *text, int max)
{
  guint64 value;
  bool hex = text && g_str_has_prefix(text, "0x");
  bool ok = text && g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, 0, (guint64)max, &value, NULL);
  return ok ? (int)value : -1;
}

static int number_in(xmlNode *node, int max)
{
  g_autofree char *text = text_of(node);
  return number(text, max);
}

static int number_at(xmlNode *node, const char *name, int max)
{
  g_autofree char *text = attribute(node, name);
  return number(text, max);
}

static bool address_make(const int parts[4], char ret_address[GPU_ADDRESS_BYTES])
{
  if (parts[0] < 0 || parts[1] < 0 || parts[2] < 0 || parts[3] < 0)
    return false;
  g_snprintf(ret_address, GPU_ADDRESS_BYTES, "%04x:%02x:%02x.%x", parts[0] & 0xffff, parts[1] & 0xff, parts[2] & 0x1f, parts[3] & 7);
  return true;
}

/* <address domain='0x0000' bus='0x42' slot='0x00' function='0x4'/> */
static bool address_at(xmlNode *node, char ret_address[GPU_ADDRESS_BYTES])
{
  const int parts[4] = { number_at(node, "domain", 0xffff), number_at(node, "bus", 0xff), number_at(node, "slot", 0x1f),
                         number_at(node, "function", 7) };
  return node && address_make(parts, ret_address);
}

static bool address_in(xmlNode *pci, char ret_address[GPU_ADDRESS_BYTES])
{
  const int parts[4] = { number_in(child(pci, "domain"), 0xffff), number_in(child(pci, "bus"), 0xff),
                         number_in(child(pci, "slot"), 0x1f), number_in(child(pci, "function"), 7) };
  return address_make(parts, ret_address);
}

/* ── parts of a PCI function ────────────────────────────────────────────── */

static bool types_read(ViewFunction *function, xmlNode *capability)
{
  for (xmlNode *node = capability->children; node; node = node->next) {
    g_autofree char *id = is(node, "type") ? attribute(node, "id") : NULL;
    g_autofree char *title = text_of(child(node, "name")), *description = text_of(child(node, "description"));
    if (!is(node, "type"))
      continue;
    int free_ones = number_in(child(node, "availableInstances"), G_MAXINT);
    if (!id || !*id || strlen(id) > 128 || free_ones < 0)
      return false;
    if (view_types_full(function, function->types, id))
      return true;
    ViewType *type = view_type_add(function->types, id, title && *title ? title : id);
    type->description = g_steal_pointer(&description);
    type->free = free_ones;
  }
  return true;
}

static bool group_read(ViewFunction *function, xmlNode *group)
{
  g_autoptr(GStrvBuilder) all = g_strv_builder_new();
  function->iommu_group = number_at(group, "number", G_MAXINT);
  for (xmlNode *node = group->children; node; node = node->next) {
    char address[GPU_ADDRESS_BYTES];
    if (!is(node, "address"))
      continue;
    if (!address_at(node, address))
      return false;
    g_strv_builder_add(all, address);
  }
  g_strfreev(function->group);
  function->group = g_strv_builder_end(all);
  return function->iommu_group >= 0;
}

static bool functions_read(ViewFunction *function, xmlNode *capability)
{
  int n = 0;
  for (xmlNode *node = capability->children; node; node = node->next)
    n += is(node, "address");
  function->vfs = n;
  function->max_vfs = MAX(number_at(capability, "maxCount", 0xffff), n);
  return true;
}

static bool physical_read(ViewFunction *function, xmlNode *capability)
{
  return address_at(child(capability, "address"), function->physical);
}

static const struct { const char *type; bool (*read)(ViewFunction *function, xmlNode *capability); } capability_rows[] = {
  { "mdev_types", types_read }, { "virt_functions", functions_read }, { "phys_function", physical_read },
};

static bool capabilities_read(ViewFunction *function, xmlNode *pci)
{
  for (xmlNode *node = pci->children; node; node = node->next) {
    if (is(node, "iommuGroup") && !group_read(function, node))
      return false;
    for (size_t i = 0; is(node, "capability") && i < G_N_ELEMENTS(capability_rows); i++)
      if (attribute_is(node, "type", capability_rows[i].type) && !capability_rows[i].read(function, node))
        return false;
  }
  return true;
}

static bool facts_read(ViewFunction *function, xmlNode *pci)
{
  int class = number_in(child(pci, "class"), 0xffffff), vendor = number_at(child(pci, "vendor"), "id", 0xffff);
  int product = number_at(child(pci, "product"), "id", 0xffff);
  if (class < 0 || vendor < 0 || product < 0)
    return false;
  function->class = (uint32_t)class;
  function->vendor_id = (uint16_t)vendor;
  function->device_id = (uint16_t)product;
  function->vendor = text_of(child(pci, "vendor"));
  function->model = text_of(child(pci, "product"));
  function->numa_node = number_at(child(pci, "numa"), "node", 0xffff);
  return capabilities_read(function, pci);
}

static bool is_far(xmlNode *pci)
{
  return number_in(child(pci, "domain"), G_MAXINT) > 0xffff;
}

static bool pci_read(GpuView *view, xmlNode *device, xmlNode *pci)
{
  char address[GPU_ADDRESS_BYTES];
  if (!address_in(pci, address))
    return is_far(pci);
  ViewFunction *function = view_ensure(view, address);
  function->node = text_of(child(device, "name"));
  function->driver = text_of(child(child(device, "driver"), "name"));
  if (!facts_read(function, pci))
    view_wrong(function, "libvirt's node device is not understood:", function->node ? function->node : address);
  return true;
}

/* Its parent is a node device's name; a mediated device of something that is no PCI function is none of a card. */
static bool mdev_read(GpuView *view, xmlNode *device, xmlNode *capability)
{
  g_autofree char *uuid = text_of(child(capability, "uuid")), *parent = text_of(child(device, "parent"));
  g_autofree char *type = attribute(child(capability, "type"), "id");
  char address[GPU_ADDRESS_BYTES];
  if (!parent)
    return false;
  if (!gpu_address_of_node(parent, address))
    return true;
  if (!uuid || !g_uuid_string_is_valid(uuid) || !type) {
    view_wrong(view_ensure(view, address), "a mediated device of it is not understood:", uuid ? uuid : "no UUID");
    return true;
  }
  ViewMdev *mdev = g_new0(ViewMdev, 1);
  g_autofree char *lower = g_ascii_strdown(uuid, -1);
  g_strlcpy(mdev->uuid, lower, sizeof mdev->uuid);
  g_strlcpy(mdev->parent, address, sizeof mdev->parent);
  mdev->type = g_steal_pointer(&type);
  mdev->iommu_group = number_at(child(capability, "iommuGroup"), "number", G_MAXINT);
  g_ptr_array_add(view->mdevs, mdev);
  return true;
}

static bool device_read(GpuView *view, xmlNode *device)
{
  for (xmlNode *node = device->children; node; node = node->next) {
    if (!is(node, "capability"))
      continue;
    if (attribute_is(node, "type", "pci"))
      return pci_read(view, device, node);
    if (attribute_is(node, "type", "mdev"))
      return mdev_read(view, device, node);
  }
  return true;
}

bool gpu_view_node(GpuView *view, const char *host, const char *xml, GError **err)
{
  XML_DOC doc = xml_doc_read(xml, NULL);
  xmlNode *top = doc ? xmlDocGetRootElement(doc) : NULL;
  if (top && is(top, "device") && device_read(view, top))
    return true;
  g_autofree char *detail = g_strdup_printf("node device XML: %.160s", xml);
  return error_false(err, REASON_GPU_FACTS, "host", host, "detail", detail, NULL);
}

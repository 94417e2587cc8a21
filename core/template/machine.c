#include "core/template/machine.h"

#include "core/error.h"
#include "core/template/xml.h"
#include "core/text.h"

#include <string.h>

/* ── looking ─────────────────────────────────────────────────────────────── */

static xmlNode *first_device(const xmlNode *root, const char *name)
{
  xmlNode *devices = xml_find(root, "devices");
  return devices ? xml_find(devices, name) : NULL;
}

xmlNode *machine_devices(xmlNode *root) { return xml_ensure(root, "devices"); }
xmlNode *machine_interface(const xmlNode *root) { return first_device(root, "interface"); }

xmlNode *machine_system_disk(const xmlNode *root)
{
  xmlNode *disk = first_device(root, "disk");
  while (disk && !xml_has(disk, "device", NULL) && !xml_has(disk, "device", "disk"))
    disk = xml_next(disk, false);
  return disk;
}

/* ── memory and processors ───────────────────────────────────────────────── */

/* libvirt's units of memory; without one it is KiB. */
static const struct { const char *unit; int64_t bytes; } memory_units[] = {
  { "b", 1 }, { "bytes", 1 },
  { "KB", 1000 }, { "k", 1024 }, { "KiB", 1024 },
  { "MB", 1000000 }, { "M", 1 << 20 }, { "MiB", 1 << 20 },
  { "GB", 1000000000 }, { "G", 1 << 30 }, { "GiB", 1 << 30 },
  { "TB", 1000000000000 }, { "T", (int64_t)1 << 40 }, { "TiB", (int64_t)1 << 40 },
};

static int64_t unit_bytes(const xmlNode *node)
{
  g_autofree char *unit = xml_dup(node, "unit");
  for (size_t i = 0; i < G_N_ELEMENTS(memory_units); i++)
    if (!strcmp(memory_units[i].unit, unit ? unit : "KiB"))
      return memory_units[i].bytes;
  return 0;
}

static int64_t memory_bytes(const xmlNode *node)
{
  g_autofree char *text = node ? xml_dup_text(node) : g_strdup("");
  int64_t number, bytes;
  if (!number_parse(text, 0, G_MAXINT64, &number))
    return 0;
  return __builtin_mul_overflow(number, unit_bytes(node), &bytes) ? 0 : bytes;
}

int64_t machine_memory_mib(const xmlNode *root)
{
  int64_t bytes = memory_bytes(xml_find(root, "memory"));
  return bytes / (1 << 20) + (bytes % (1 << 20) != 0);
}

static void set_mib(xmlNode *node, int64_t mib)
{
  g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, mib);
  xml_set_text(node, text);
  xml_set(node, "unit", "MiB");
}

static bool refuse_fixed(const char *what, const char *by, GError **err)
{
  return error_false(err, REASON_TEMPLATE_FIXED, "what", what, "by", by, NULL);
}

bool machine_set_memory_mib(xmlNode *root, int64_t mib, GError **err)
{
  const char *attribute;
  xmlNode *memory = xml_ensure(root, "memory"), *current = xml_find(root, "currentMemory");
  int64_t was = memory_bytes(memory), was_current = current ? memory_bytes(current) : 0;
  if (was == mib << 20)
    return true;
  if (xml_find_path(root->doc, "/domain/cpu/numa/cell", &attribute))
    return refuse_fixed("memory", "/domain/cpu/numa", err);
  set_mib(memory, mib);
  if (current && (was_current == was || was_current > mib << 20))
    set_mib(current, mib);
  return true;
}

int64_t machine_vcpus(const xmlNode *root)
{
  xmlNode *node = xml_find(root, "vcpu");
  g_autofree char *text = node ? xml_dup_text(node) : g_strdup("");
  int64_t vcpus;
  return number_parse(text, 1, G_MAXINT16, &vcpus) ? vcpus : 1;
}

static int64_t count_of(const xmlNode *topology, const char *attribute)
{
  g_autofree char *text = xml_dup(topology, attribute);
  int64_t count;
  return text && number_parse(text, 1, G_MAXINT16, &count) ? count : 1;
}

static void fit_topology(xmlNode *topology, int64_t vcpus)
{
  int64_t threads = count_of(topology, "threads");
  if (count_of(topology, "sockets") * count_of(topology, "dies") * count_of(topology, "cores") * threads == vcpus)
    return;
  if (vcpus % threads)
    threads = 1;
  xml_set_number(topology, "sockets", 1);
  xml_set(topology, "dies", NULL);
  xml_set_number(topology, "cores", vcpus / threads);
  xml_set_number(topology, "threads", threads);
}

bool machine_set_vcpus(xmlNode *root, int64_t vcpus, GError **err)
{
  const char *attribute;
  if (machine_vcpus(root) == vcpus && xml_find(root, "vcpu"))
    return true;
  if (xml_find(root, "vcpus"))
    return refuse_fixed("number of virtual CPUs", "/domain/vcpus", err);
  xmlNode *node = xml_ensure(root, "vcpu");
  g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, vcpus);
  xml_set_text(node, text);
  if (!xml_has(node, "current", NULL))
    xml_set(node, "current", text);
  xmlNode *topology = xml_find_path(root->doc, "/domain/cpu/topology", &attribute);
  if (topology)
    fit_topology(topology, vcpus);
  return true;
}

/* ── what is asked of a host ─────────────────────────────────────────────── */

static xmlNode *huge_pages(const xmlNode *root)
{
  xmlNode *backing = xml_find(root, "memoryBacking");
  return backing ? xml_find(backing, "hugepages") : NULL;
}

/* A page's size in KiB, 0 where it tells none. */
static int64_t page_kib(const xmlNode *page)
{
  g_autofree char *text = xml_dup(page, "size");
  int64_t size, bytes;
  if (!text || !number_parse(text, 1, G_MAXINT32, &size) || __builtin_mul_overflow(size, unit_bytes(page), &bytes))
    return 0;
  return bytes >> 10;
}

static void pages_read(const xmlNode *root, MachineNeeds *needs)
{
  const xmlNode *huge = huge_pages(root);
  needs->huge = huge != NULL;
  for (const xmlNode *page = huge ? xml_find(huge, "page") : NULL; page; page = xml_next(page, false)) {
    int64_t kib = page_kib(page);
    needs->page_kib = !needs->page_kib || needs->page_kib == kib ? kib : -1;
  }
}

/* Which one the file names is of no account: it cannot know the hosts. */
static bool binds_to_one_cell(const xmlNode *root)
{
  const xmlNode *tune = xml_find(root, "numatune"), *memory = tune ? xml_find(tune, "memory") : NULL;
  g_autofree char *cells = memory ? xml_dup(memory, "nodeset") : NULL;
  int64_t cell;
  bool strict = memory && (xml_has(memory, "mode", NULL) || xml_has(memory, "mode", "strict"));
  return strict && cells && number_parse(cells, 0, G_MAXINT16, &cell) && !xml_has(memory, "placement", "auto");
}

/* A file that has nothing checked is run with what there is. */
static void cpu_read(const xmlNode *cpu, MachineNeeds *needs)
{
  const xmlNode *model = xml_find(cpu, "model");
  needs->cpu_of_host = xml_has(cpu, "mode", "host-passthrough") || xml_has(cpu, "mode", "host-model") || xml_has(cpu, "mode", "maximum");
  if (xml_has(cpu, "check", "none"))
    return;
  if (model && !needs->cpu_of_host)
    g_ptr_array_add(needs->cpu, xml_dup_text(model));
  for (const xmlNode *f = xml_find(cpu, "feature"); f; f = xml_next(f, false)) {
    g_autofree char *name = xml_dup(f, "name");
    if (name && *name && (xml_has(f, "policy", "require") || xml_has(f, "policy", NULL)))
      g_ptr_array_add(needs->cpu, g_steal_pointer(&name));
  }
}

void machine_needs_read(const xmlNode *root, MachineNeeds *ret_needs)
{
  const xmlNode *cpu = xml_find(root, "cpu");
  *ret_needs = (MachineNeeds){ .cpu = g_ptr_array_new_with_free_func(g_free), .one_cell = binds_to_one_cell(root) };
  pages_read(root, ret_needs);
  if (cpu)
    cpu_read(cpu, ret_needs);
}

void machine_needs_clear(MachineNeeds *needs)
{
  g_clear_pointer(&needs->cpu, g_ptr_array_unref);
}

void machine_set_page_kib(xmlNode *root, int64_t kib)
{
  xmlNode *huge = huge_pages(root);
  if (!huge)
    return;
  for (xmlNode *page = xml_ensure(huge, "page"); page; page = xml_next(page, false)) {
    xml_set_number(page, "size", kib);
    xml_set(page, "unit", "KiB");
  }
}

void machine_set_cell(xmlNode *root, int cell, const char *cpus, bool numatune)
{
  static const char *const pins[] = { "vcpupin", "emulatorpin", "iothreadpin" };
  xmlNode *vcpu = xml_ensure(root, "vcpu"), *tune = xml_find(root, "cputune");
  xml_set(vcpu, "placement", "static");
  xml_set(vcpu, "cpuset", cpus);
  for (size_t i = 0; tune && i < G_N_ELEMENTS(pins); i++)
    xml_remove_all(tune, pins[i]);
  xml_remove_all(root, "numatune");
  if (!numatune)
    return;
  xmlNode *memory = xml_append(xml_ensure_behind(vcpu, "numatune"), "memory");
  xml_set(memory, "mode", "strict");
  xml_set_number(memory, "nodeset", cell);
}

/* ── without acceleration ────────────────────────────────────────────────── */

static void remove_promises(xmlNode *cpu)
{
  xmlNode *next;
  for (xmlNode *feature = xml_find(cpu, "feature"); feature; feature = next) {
    next = xml_next(feature, false);
    if (xml_has(feature, "policy", "require") || xml_has(feature, "policy", "force") || xml_has(feature, "policy", NULL))
      xml_remove(feature);
  }
}

static void fit_cpu(xmlNode *cpu)
{
  bool of_host = xml_has(cpu, "mode", "host-passthrough") || xml_has(cpu, "mode", "host-model");
  if (of_host) {
    xml_set(cpu, "mode", "maximum");
    xml_set(cpu, "match", NULL);
    xml_remove_all(cpu, "model");
  }
  if (of_host || xml_has(cpu, "mode", "custom") || xml_find(cpu, "model"))
    xml_set(cpu, "check", "none");
  remove_promises(cpu);
}

void machine_fit_tcg(xmlNode *root)
{
  xmlNode *cpu = xml_find(root, "cpu"), *features = xml_find(root, "features"), *clock = xml_find(root, "clock"), *next;
  if (cpu)
    fit_cpu(cpu);
  if (features)
    xml_remove_all(features, "hyperv");
  for (xmlNode *timer = clock ? xml_find(clock, "timer") : NULL; timer; timer = next) {
    next = xml_next(timer, false);
    if (xml_has(timer, "name", "hypervclock"))
      xml_remove(timer);
  }
}

/* ── boot and disks ──────────────────────────────────────────────────────── */

void machine_set_kernel(xmlNode *root, const char *kernel, const char *initrd)
{
  xmlNode *os = xml_ensure(root, "os");
  xml_remove_all(os, "kernel");
  xml_remove_all(os, "initrd");
  if (!kernel)
    xml_remove_all(os, "cmdline");
  else
    xml_set_text(xml_append(os, "kernel"), kernel);
  if (kernel && initrd)
    xml_set_text(xml_append(os, "initrd"), initrd);
}

static bool is_target_used(const xmlNode *root, const char *dev)
{
  for (xmlNode *disk = first_device(root, "disk"); disk; disk = xml_next(disk, false)) {
    xmlNode *target = xml_find(disk, "target");
    if (target && xml_has(target, "dev", dev))
      return true;
  }
  return false;
}

/* How libvirt names disks of a bus, and whether a disk there can be read-only: IDE and SATA have no such thing. */
typedef struct {
  const char *bus, *prefix;
  bool can_be_readonly;
} Bus;

static const Bus buses[] = {
  { "virtio", "vd", true }, { "xen", "xvd", true }, { "scsi", "sd", true }, { "usb", "sd", true }, { "sata", "sd", false },
  { "ide", "hd", false },
};

static const Bus *bus_of(const xmlNode *root, const xmlNode *disk)
{
  xmlNode *target = disk ? xml_find(disk, "target") : NULL;
  g_autofree char *dev = target ? xml_dup(target, "dev") : NULL;
  for (size_t i = 0; target && i < G_N_ELEMENTS(buses); i++)
    if (xml_has(target, "bus", buses[i].bus))
      return &buses[i];
  for (size_t i = 0; dev && i < G_N_ELEMENTS(buses); i++)
    if (g_str_has_prefix(dev, buses[i].prefix))
      return &buses[i];
  return xml_has(root, "type", "xen") ? &buses[1] : &buses[0];
}

static void set_target(xmlNode *root, xmlNode *disk, const Bus *bus)
{
  for (char letter = 'a'; letter <= 'z'; letter++) {
    g_autofree char *dev = g_strdup_printf("%s%c", bus->prefix, letter);
    if (is_target_used(root, dev))
      continue;
    xmlNode *target = xml_append(disk, "target");
    xml_set(target, "dev", dev);
    xml_set(target, "bus", bus->bus);
    return;
  }
}

static void set_source(xmlNode *disk, const char *path, const char *format)
{
  xml_set(disk, "type", "file");
  xml_set(disk, "device", "disk");
  xmlNode *driver = xml_ensure(disk, "driver");
  xml_set(driver, "name", "qemu");
  xml_set(driver, "type", format);
  xml_remove_all(disk, "source");
  xml_remove_all(disk, "backingStore");
  xml_set(xml_append(disk, "source"), "file", path);
}

void machine_set_disk(xmlNode *root, const char *path, ImageFormat format)
{
  xmlNode *disk = machine_system_disk(root);
  bool made = !disk;
  if (made)
    disk = xml_append(machine_devices(root), "disk");
  set_source(disk, path, image_format_name(format));
  if (made)
    set_target(root, disk, bus_of(root, NULL));
}

void machine_add_seed(xmlNode *root, const char *path)
{
  const Bus *bus = bus_of(root, machine_system_disk(root));
  xmlNode *disk = xml_append(machine_devices(root), "disk");
  set_source(disk, path, image_format_name(FORMAT_RAW));
  set_target(root, disk, bus);
  if (bus->can_be_readonly)
    xml_append(disk, "readonly");
}

/* ── network, screens, agent ─────────────────────────────────────────────── */

void machine_set_network(xmlNode *root, const char *network)
{
  static const char BRIDGE[] = "bridge:";
  xmlNode *interface = machine_interface(root);
  if (!interface) {
    interface = xml_append(machine_devices(root), "interface");
    if (!xml_has(root, "type", "xen"))
      xml_set(xml_append(interface, "model"), "type", "virtio");
  }
  bool is_bridge = g_str_has_prefix(network, BRIDGE), is_user = !strcmp(network, "user");
  const char *type = is_bridge ? "bridge" : is_user ? "user" : "network";
  xml_set(interface, "type", type);
  xml_remove_all(interface, "source");
  if (!is_user)
    xml_set(xml_append(interface, "source"), type, is_bridge ? network + strlen(BRIDGE) : network);
}

void machine_set_mac(xmlNode *root, const char *mac)
{
  xmlNode *interface = machine_interface(root);
  if (mac && interface)
    xml_set(xml_ensure(interface, "mac"), "address", mac);
}

static void set_screen(xmlNode *screen, const char *address, int port, bool closed)
{
  static const char *const ours[] = {
    "autoport", "port", "tlsPort", "websocket", "socket", "passwd", "passwdValidTo", "connected",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(ours); i++)
    xml_set(screen, ours[i], NULL);
  xml_remove_all(screen, "listen");
  xml_set(screen, "listen", address);
  xml_set(screen, "autoport", port ? "no" : "yes");
  xml_set_number(screen, "port", port ? port : -1);
  xml_set(screen, "passwd", closed ? "" : NULL);
}

void machine_set_screens(xmlNode *root, const char *address, int port, bool closed)
{
  for (xmlNode *screen = first_device(root, "graphics"); screen; screen = xml_next(screen, false)) {
    if (xml_has(screen, "type", "vnc"))
      set_screen(screen, address, port, closed);
    else if (xml_has(screen, "type", "spice"))
      set_screen(screen, address, 0, closed);
  }
}

void machine_ensure_screen(xmlNode *root, const char *kind)
{
  for (xmlNode *screen = first_device(root, "graphics"); screen; screen = xml_next(screen, false))
    if (xml_has(screen, "type", kind))
      return;
  xml_set(xml_append(machine_devices(root), "graphics"), "type", kind);
}

void machine_ensure_agent(xmlNode *root)
{
  for (xmlNode *channel = first_device(root, "channel"); channel; channel = xml_next(channel, false)) {
    xmlNode *target = xml_find(channel, "target");
    if (target && xml_has(target, "name", AGENT_CHANNEL))
      return;
  }
  xmlNode *channel = xml_append(machine_devices(root), "channel");
  xml_set(channel, "type", "unix");
  xmlNode *target = xml_append(channel, "target");
  xml_set(target, "type", "virtio");
  xml_set(target, "name", AGENT_CHANNEL);
}

/* ── graphics cards ──────────────────────────────────────────────────────── */

bool machine_takes_hostdevs(const xmlNode *root)
{
  xmlNode *os = xml_find(root, "os"), *type = os ? xml_find(os, "type") : NULL;
  g_autofree char *kind = type ? xml_dup_text(type) : NULL;
  return !type || (g_strcmp0(kind, "xenpvh") != 0 && !xml_has(type, "machine", "xenpvh"));
}

/* A number as libvirt reads one, such as "0x1f"; -1 = none. */
static int number_of(const xmlNode *node, const char *name)
{
  g_autofree char *text = xml_dup(node, name);
  bool hex = text && g_str_has_prefix(text, "0x");
  guint64 value;
  return text && g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, 0, 255, &value, NULL) ? (int)value : -1;
}

/* Buses of PCI Express have one slot each, made by a controller; on the others, of i440fx, a slot is free or not. */
static bool has_express(const xmlNode *root)
{
  xmlNode *os = xml_find(root, "os"), *type = os ? xml_find(os, "type") : NULL;
  g_autofree char *machine = type ? xml_dup(type, "machine") : NULL;
  return machine && (strstr(machine, "q35") || g_str_has_prefix(machine, "virt"));
}

enum { BUSES = 256, SLOTS = 32 };

/* What the template says of buses, and of slots on the first. */
typedef struct {
  bool bus[BUSES], slot[SLOTS];
} Places;

static void places_read(const xmlNode *parent, Places *places)
{
  for (xmlNode *node = parent->children; node; node = node->next) {
    if (node->type != XML_ELEMENT_NODE || xmlStrEqual(node->name, BAD_CAST "source"))
      continue;
    bool address = xmlStrEqual(node->name, BAD_CAST "address") && xml_has(node, "type", "pci");
    bool controller = xmlStrEqual(node->name, BAD_CAST "controller") && xml_has(node, "type", "pci");
    int bus = address ? number_of(node, "bus") : controller ? number_of(node, "index") : -1, slot = number_of(node, "slot");
    if (bus >= 0)
      places->bus[bus] = true;
    if (address && bus == 0 && slot >= 0)
      places->slot[slot % SLOTS] = true;
    places_read(node, places);
  }
}

/* libvirt fills up what buses lie between, so the lowest is taken; it puts devices without an address into the lowest slots, so the highest is. */
static int place_free(const bool *taken, int from, int to)
{
  int step = from < to ? 1 : -1;
  while (from != to && taken[from])
    from += step;
  return from;
}

static void hostdev_place(xmlNode *root, xmlNode *hostdev)
{
  xmlNode *address = xml_find(hostdev, "address"), *first = NULL;
  if (!address || number_of(address, "bus") >= 0)
    return;
  for (xmlNode *each = first_device(root, "hostdev"); each && each != hostdev; each = xml_next(each, false)) {
    xmlNode *at = xml_find(each, "address");
    first = at && xml_has(at, "multifunction", "on") ? at : first;
  }
  Places places = { 0 };
  bool express = has_express(root);
  places_read(machine_devices(root), &places);
  bool joins = first && !xml_has(address, "multifunction", "on");
  int bus = joins ? number_of(first, "bus") : express ? place_free(places.bus, 1, BUSES - 1) : 0;
  int slot = joins ? number_of(first, "slot") : express ? 0 : place_free(places.slot, SLOTS - 1, 1);
  xml_set(address, "domain", "0x0000");
  xml_set_number(address, "bus", bus);
  xml_set_number(address, "slot", slot);
  if (joins || !express)
    return;
  xmlNode *port = xml_append(machine_devices(root), "controller");
  xml_set(port, "type", "pci");
  xml_set_number(port, "index", bus);
  xml_set(port, "model", "pcie-root-port");
}

bool machine_add_hostdev(xmlNode *root, const char *xml, GError **err)
{
  g_autoptr(xmlDoc) doc = NULL;
  if (!xml_parse(xml, strlen(xml), &doc, err))
    return false;
  xmlNode *place = xml_append(machine_devices(root), "hostdev");
  xmlNode *copy = xmlDocCopyNode(xmlDocGetRootElement(doc), root->doc, 1);
  g_assert(copy);
  xmlReplaceNode(place, copy);
  xmlFreeNode(place);
  hostdev_place(root, copy);
  return true;
}

/* libxl refuses model "none" (libvirt: "video type none is not supported by libxl"); without graphics its device model shows nothing. */
void machine_hide_video(xmlNode *root)
{
  xml_remove_all(machine_devices(root), "video");
  if (xml_has(root, "type", "xen")) {
    xml_remove_all(machine_devices(root), "graphics");
    return;
  }
  xml_set(xml_append(xml_append(machine_devices(root), "video"), "model"), "type", "none");
}

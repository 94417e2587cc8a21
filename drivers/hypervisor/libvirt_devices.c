/* Devices of the host: cards, mediated devices, what is plugged into running domains. */
#include <libvirt/virterror.h>
#include <libxml/tree.h>
#include <string.h>

#include "drivers/hypervisor/device_xml.h"
#include "drivers/hypervisor/domain_xml.h"
#include "drivers/hypervisor/libvirt.h"

/* Between two looks at a device that is to go away: events only make us look sooner. */
enum { LOOK_AGAIN_MS = 2000 };
enum { GONE_LOOK_US = 20 * 1000, GONE_WITHIN_US = 5 * 1000 * 1000 };

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virNodeDevice, virNodeDeviceFree)

/* What is known of a node device. stale: its XML is to be read again. */
typedef struct {
  DeviceKind kind;
  char *parent;
  char *xml;    /* NULL where kind is DEVICE_OTHER */
  bool stale, listed;
} Seen;

void seen_free(void *data)
{
  Seen *seen = data;
  g_free(seen->parent);
  g_free(seen->xml);
  g_free(seen);
}

/* ── the list ───────────────────────────────────────────────────────────── */

static void nodes_free(virNodeDevicePtr *nodes, int n)
{
  for (int i = 0; i < n; i++)
    virNodeDeviceFree(nodes[i]);
  free(nodes);
}

static int nodes_list(Libvirt *libvirt, unsigned capabilities, virNodeDevicePtr **ret_nodes, GError **err)
{
  int n = virConnectListAllNodeDevices(libvirt->conn, ret_nodes, capabilities | VIR_CONNECT_LIST_NODE_DEVICES_ACTIVE);
  /* a driver that does not tell active devices from defined ones has none that are only defined */
  if (n < 0 && virGetLastErrorCode() == VIR_ERR_INVALID_ARG)
    n = virConnectListAllNodeDevices(libvirt->conn, ret_nodes, capabilities);
  if (n < 0)
    libvirt_failed(libvirt, "list devices", NULL, err);
  return n;
}

static void parent_touch(GHashTable *all, const Seen *seen)
{
  Seen *parent = seen->kind == DEVICE_MDEV && seen->parent ? g_hash_table_lookup(all, seen->parent) : NULL;
  if (parent)
    parent->stale = true;
}

/* Reads the XML of one into seen. A device that is gone by now is left unlisted. */
static bool seen_read(Libvirt *libvirt, virNodeDevicePtr node, Seen *seen, GError **err)
{
  char *xml = virNodeDeviceGetXMLDesc(node, 0);
  if (!xml && virGetLastErrorCode() == VIR_ERR_NO_NODE_DEVICE) {
    seen->listed = false;
    return true;
  }
  if (!xml)
    return libvirt_failed(libvirt, "describe a device", NULL, err);
  g_clear_pointer(&seen->parent, g_free);
  g_clear_pointer(&seen->xml, g_free);
  seen->kind = device_xml_kind(xml, &seen->parent);
  if (seen->kind != DEVICE_OTHER)
    seen->xml = g_strdup(xml);
  free(xml);
  return true;
}

static bool list_merge(Libvirt *libvirt, GHashTable *all, virNodeDevicePtr *nodes, int n, GError **err)
{
  for (int i = 0; i < n; i++) {
    const char *name = virNodeDeviceGetName(nodes[i]);
    Seen *seen = g_hash_table_lookup(all, name);
    if (!seen) {
      seen = g_new0(Seen, 1);
      seen->stale = true;
      g_hash_table_insert(all, g_strdup(name), seen);
    }
    seen->listed = true;
    if (!seen->stale || strncmp(name, "mdev_", 5))
      continue;
    if (!seen_read(libvirt, nodes[i], seen, err))
      return false;
    seen->stale = false;
    parent_touch(all, seen);
  }
  return true;
}

static gboolean is_unlisted(void *name, void *seen, void *all)
{
  if (!((Seen *)seen)->listed)
    parent_touch(all, seen);
  return !((Seen *)seen)->listed;
}

static bool cards_read(Libvirt *libvirt, GHashTable *all, virNodeDevicePtr *nodes, int n, GError **err)
{
  for (int i = 0; i < n; i++) {
    Seen *seen = g_hash_table_lookup(all, virNodeDeviceGetName(nodes[i]));
    if (!seen || !seen->stale)
      continue;
    if (!seen_read(libvirt, nodes[i], seen, err))
      return false;
    seen->stale = false;
  }
  return true;
}

/* Mediated devices first, as each that came or went makes its card's numbers old. */
static bool seen_update(Libvirt *libvirt, GHashTable *all, GError **err)
{
  virNodeDevicePtr *nodes = NULL;
  GHashTableIter iter;
  void *seen;
  int n = nodes_list(libvirt, VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV | VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV |
                     VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV_TYPES, &nodes, err);
  if (n < 0)
    return false;
  g_hash_table_iter_init(&iter, all);
  while (g_hash_table_iter_next(&iter, NULL, &seen))
    ((Seen *)seen)->listed = false;
  bool ok = list_merge(libvirt, all, nodes, n, err);
  if (ok)
    g_hash_table_foreach_remove(all, is_unlisted, all);
  ok = ok && cards_read(libvirt, all, nodes, n, err);
  nodes_free(nodes, n);
  return ok;
}

static int by_name(const void *a, const void *b)
{
  return strcmp((*(HostDevice *const *)a)->name, (*(HostDevice *const *)b)->name);
}

static GPtrArray *devices_of(GHashTable *all)
{
  GPtrArray *devices = g_ptr_array_new_with_free_func((GDestroyNotify)host_device_free);
  GHashTableIter iter;
  void *name, *each;
  g_hash_table_iter_init(&iter, all);
  while (g_hash_table_iter_next(&iter, &name, &each)) {
    const Seen *seen = each;
    if (!seen->listed || !seen->xml)
      continue;
    HostDevice *device = g_new0(HostDevice, 1);
    device->name = g_strdup(name);
    device->xml = g_strdup(seen->xml);
    g_ptr_array_add(devices, device);
  }
  g_ptr_array_sort(devices, by_name);
  return devices;
}

/* The table is taken out of the link while it is worked on, so no lock is held across a call. What was announced meanwhile is
 * stale in it afterwards. */
static GHashTable *seen_take(Link *link)
{
  pthread_mutex_lock(&link->lock);
  GHashTable *all = g_steal_pointer(&link->devices);
  g_clear_pointer(&link->touched, g_hash_table_unref);
  link->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  pthread_mutex_unlock(&link->lock);
  return all ? all : g_hash_table_new_full(g_str_hash, g_str_equal, g_free, seen_free);
}

static void seen_give(Link *link, GHashTable *all)
{
  GHashTableIter iter;
  void *name;
  pthread_mutex_lock(&link->lock);
  g_hash_table_iter_init(&iter, link->touched);
  while (g_hash_table_iter_next(&iter, &name, NULL)) {
    Seen *seen = g_hash_table_lookup(all, name);
    if (seen)
      seen->stale = true;
  }
  g_clear_pointer(&link->devices, g_hash_table_unref);
  if (link->keeps_devices)
    link->devices = g_hash_table_ref(all);
  pthread_mutex_unlock(&link->lock);
  g_hash_table_unref(all);
}

void link_touch_device(Link *link, const char *name)
{
  pthread_mutex_lock(&link->lock);
  Seen *seen = link->devices ? g_hash_table_lookup(link->devices, name) : NULL;
  if (seen)
    seen->stale = true;
  if (link->touched)
    g_hash_table_add(link->touched, g_strdup(name));
  pthread_mutex_unlock(&link->lock);
}

bool libvirt_devices(Hypervisor *hypervisor, GPtrArray **ret_devices, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  GHashTable *all = seen_take(libvirt->link);
  bool ok = seen_update(libvirt, all, err);
  if (!ok)
    g_hash_table_remove_all(all);
  else
    *ret_devices = devices_of(all);
  seen_give(libvirt->link, all);
  return ok;
}

/* ── mediated devices ───────────────────────────────────────────────────── */

/* *ret_node is NULL where there is none. Their names end in the parent's address since libvirt 7.8, not before. */
static bool mdev_find(Libvirt *libvirt, const char *uuid, virNodeDevicePtr *ret_node, GError **err)
{
  g_autofree char *prefix = g_strconcat("mdev_", uuid, NULL);
  virNodeDevicePtr *nodes = NULL;
  int n = nodes_list(libvirt, VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV, &nodes, err);
  if (n < 0)
    return false;
  g_strdelimit(prefix, "-", '_');
  *ret_node = NULL;
  for (int i = 0; i < n && !*ret_node; i++)
    if (g_str_has_prefix(virNodeDeviceGetName(nodes[i]), prefix)) {
      *ret_node = nodes[i];
      virNodeDeviceRef(nodes[i]);
    }
  nodes_free(nodes, n);
  return true;
}

/* Why it could not be made, as the host shows itself now: mdevctl's words are a shell's. */
static bool create_failed(Libvirt *libvirt, const char *parent, const char *type, const char *uuid, GError **err)
{
  g_autoptr(virNodeDevice) card = NULL, same = NULL;
  GError *why = NULL;
  libvirt_failed(libvirt, "make a mediated device", NULL, &why);
  if (error_is(why, REASON_HOST_UNREACHABLE) || !mdev_find(libvirt, uuid, &same, NULL)) {
    g_propagate_error(err, why);
    return false;
  }
  card = virNodeDeviceLookupByName(libvirt->conn, parent);
  char *xml = card ? virNodeDeviceGetXMLDesc(card, 0) : NULL;
  int free_ones = xml ? device_xml_free(xml, type) : -1;
  free(xml);
  if (same)
    error_set(err, REASON_EXISTS, "kind", "mediated device", "name", uuid, NULL);
  else if (!card)
    error_set(err, REASON_NOT_FOUND, "kind", "device", "name", parent, NULL);
  else if (!free_ones)
    error_set(err, REASON_GPU_FULL, "host", libvirt->base.host, "card", parent, "type", type, "detail", "none is free now", NULL);
  else {
    g_propagate_error(err, why);
    return false;
  }
  g_error_free(why);
  return false;
}

bool libvirt_mdev_create(Hypervisor *hypervisor, const char *parent, const char *type, const char *uuid, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autofree char *xml = device_xml_mdev(parent, type, uuid);
  g_autoptr(virNodeDevice) node = virNodeDeviceCreateXML(libvirt->conn, xml, 0);
  if (!node)
    return create_failed(libvirt, parent, type, uuid, err);
  link_touch_device(libvirt->link, parent);
  return true;
}

/* Whether it is gone by then: the host's list follows the kernel by a moment. */
static bool mdev_gone(Libvirt *libvirt, const char *uuid, int64_t within_us)
{
  int64_t until_us = g_get_monotonic_time() + within_us;
  for (;;) {
    g_autoptr(virNodeDevice) node = NULL;
    if (!mdev_find(libvirt, uuid, &node, NULL))
      return false;
    if (!node || g_get_monotonic_time() >= until_us)
      return !node;
    g_usleep(GONE_LOOK_US);
  }
}

static bool destroy_failed(Libvirt *libvirt, const char *uuid, GError **err)
{
  GError *why = NULL;
  libvirt_failed(libvirt, "end a mediated device", NULL, &why);
  bool in_use = strstr(why->message, "in use");
  if (!in_use && !error_is(why, REASON_HOST_UNREACHABLE) && mdev_gone(libvirt, uuid, GONE_WITHIN_US)) {
    g_error_free(why);
    return true;
  }
  if (!in_use) {
    g_propagate_error(err, why);
    return false;
  }
  g_error_free(why);
  return error_false(err, REASON_GPU_IN_USE, "what", uuid, "host", libvirt->base.host, "detail", "a process has it open", NULL);
}

bool libvirt_mdev_destroy(Hypervisor *hypervisor, const char *uuid, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virNodeDevice) node = NULL;
  if (!mdev_find(libvirt, uuid, &node, err))
    return false;
  if (!node)
    return true;
  g_autofree char *parent = g_strdup(virNodeDeviceGetParent(node));
  if (virNodeDeviceDestroy(node) < 0 && !destroy_failed(libvirt, uuid, err))
    return false;
  if (parent)
    link_touch_device(libvirt->link, parent);
  if (mdev_gone(libvirt, uuid, GONE_WITHIN_US))
    return true;
  return error_false(err, REASON_HYPERVISOR_REFUSED, "host", hypervisor->host, "what", "end a mediated device",
                     "detail", "it said done, and the device is still there", NULL);
}

/* ── devices of a running domain ────────────────────────────────────────── */

/* *ret_in: whether it runs and has a device of that alias. */
static bool alias_look(Libvirt *libvirt, virDomainPtr domain, const char *alias, bool *ret_in, GError **err)
{
  char *xml = virDomainGetXMLDesc(domain, 0);
  if (!xml)
    return libvirt_failed(libvirt, "describe", domain, err);
  *ret_in = virDomainIsActive(domain) == 1 && domain_xml_has_alias(xml, alias);
  free(xml);
  return true;
}

bool libvirt_attach(Hypervisor *hypervisor, const char *uuid, const char *device_xml, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autofree char *alias = device_xml_alias(device_xml);
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  bool in;
  if (!domain)
    return false;
  if (!alias)
    return error_false(err, REASON_BAD_DOMAIN_XML, "detail", "the device has no alias of its own, \"ua-…\"", NULL);
  if (virDomainIsActive(domain) == 0)
    return error_false(err, REASON_DOMAIN_STATE, "what", "plug a device into", "domain", virDomainGetName(domain),
                       "state", domain_state_name(DOMAIN_OFF), NULL);
  if (!alias_look(libvirt, domain, alias, &in, err) || in)
    return in;
  if (virDomainAttachDeviceFlags(domain, device_xml, VIR_DOMAIN_AFFECT_LIVE) < 0)
    return libvirt_failed(libvirt, "plug a device into", domain, err);
  link_forget(libvirt->link, uuid);
  return true;
}

/* Returns when a device was let go of, the connection was lost, or after ms. */
static void device_gone_wait(Link *link, int64_t ms)
{
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += ms % 1000 * 1000000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_mutex_lock(&link->lock);
  int64_t before = link->gone_count;
  bool late = false;
  while (before == link->gone_count && !link->lost && !late)
    late = pthread_cond_timedwait(&link->device_gone, &link->lock, &until);
  pthread_mutex_unlock(&link->lock);
}

/* libxl takes no alias (virDomainDetachDeviceAlias is not its), only the device's XML. What is in no longer by then is no failure. */
static int detach_ask(Libvirt *libvirt, virDomainPtr domain, const char *alias)
{
  if (libvirt->base.flavour->kind != FLAVOUR_XEN)
    return virDomainDetachDeviceAlias(domain, alias, VIR_DOMAIN_AFFECT_LIVE);
  char *xml = virDomainGetXMLDesc(domain, 0);
  if (!xml)
    return -1;
  g_autofree char *device = domain_xml_device(xml, alias);
  free(xml);
  return device ? virDomainDetachDeviceFlags(domain, device, VIR_DOMAIN_AFFECT_LIVE) : 0;
}

bool libvirt_detach(Hypervisor *hypervisor, const char *uuid, const char *alias, int timeout_s, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  int64_t until_us = g_get_monotonic_time() + timeout_s * G_USEC_PER_SEC, left_us;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  bool in;
  if (!domain || !alias_look(libvirt, domain, alias, &in, err))
    return false;
  /* a second asking is refused while the first is not answered: only what stays in matters */
  if (in && detach_ask(libvirt, domain, alias) < 0 &&
      virGetLastErrorCode() != VIR_ERR_DEVICE_MISSING && virGetLastErrorCode() != VIR_ERR_OPERATION_FAILED)
    return libvirt_failed(libvirt, "unplug a device from", domain, err);
  while (alias_look(libvirt, domain, alias, &in, err)) {
    left_us = until_us - g_get_monotonic_time();
    if (!in)
      link_forget(libvirt->link, uuid);
    if (!in || left_us <= 0)
      return !in || error_false(err, REASON_DEVICE_STAYS, "domain", virDomainGetName(domain), "name", alias,
                                "detail", "it was asked, and the device is still in the domain", NULL);
    device_gone_wait(libvirt->link, MIN(left_us / 1000 + 1, LOOK_AGAIN_MS));
  }
  return false;
}

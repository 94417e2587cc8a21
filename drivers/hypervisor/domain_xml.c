#include "drivers/hypervisor/domain_xml.h"

#include <libxml/tree.h>
#include <string.h>

#include "drivers/hypervisor/xml_hostdev.h"
#include "drivers/hypervisor/xml_read.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

static inline void xml_chars_free(xmlChar **text) { xmlFree(*text); }
static inline void xml_doc_free(xmlDoc **doc) { xmlFreeDoc(*doc); }
#define XML_CHARS __attribute__((cleanup(xml_chars_free))) xmlChar *
#define XML_DOC __attribute__((cleanup(xml_doc_free))) xmlDoc *

/* ── reading ────────────────────────────────────────────────────────────── */

static xmlDoc *doc_parse(const char *xml, const char *root, GError **err)
{
  XmlVerdict verdict;
  xmlDoc *doc = xml_doc_read(xml, &verdict);
  if (!doc)
    return error_null(err, REASON_BAD_DOMAIN_XML, "detail", xml_verdict_text(verdict), NULL);
  xmlNode *top = xmlDocGetRootElement(doc);
  if (top && xmlStrEqual(top->name, BAD_CAST root))
    return doc;
  xmlFreeDoc(doc);
  return error_null(err, REASON_BAD_DOMAIN_XML, "detail", "its root element is another", NULL);
}

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
  XML_CHARS value = node ? xmlGetNoNsProp(node, BAD_CAST name) : NULL;
  return value ? g_strdup((char *)value) : NULL;
}

static bool attribute_is(xmlNode *node, const char *name, const char *wanted)
{
  g_autofree char *value = attribute(node, name);
  return !g_strcmp0(value, wanted);
}

static char *text_of(xmlNode *node)
{
  XML_CHARS text = node ? xmlNodeGetContent(node) : NULL;
  return text ? g_strstrip(g_strdup((char *)text)) : NULL;
}

static int64_t number(const char *text, int64_t max)
{
  int64_t value = text ? g_ascii_strtoll(text, NULL, 10) : 0;
  return CLAMP(value, 0, max);
}

/* ── parts of a domain ──────────────────────────────────────────────────── */

/* https://libvirt.org/formatdomain.html#memory-allocation: the unit defaults to KiB */
static int64_t memory_mib(xmlNode *node)
{
  static const struct { const char *unit; int64_t bytes; } units[] = {
    { "b", 1 }, { "bytes", 1 }, { "KB", 1000 }, { "k", 1024 }, { "KiB", 1024 }, { "MB", 1000000 }, { "M", 1 << 20 },
    { "MiB", 1 << 20 }, { "GB", 1000000000 }, { "G", 1 << 30 }, { "GiB", 1 << 30 }, { "TB", 1000000000000 },
    { "T", INT64_C(1) << 40 }, { "TiB", INT64_C(1) << 40 },
  };
  g_autofree char *text = text_of(node), *unit = attribute(node, "unit");
  int64_t bytes = 1024;
  for (size_t i = 0; unit && i < G_N_ELEMENTS(units); i++)
    if (!strcmp(units[i].unit, unit))
      bytes = units[i].bytes;
  return number(text, INT64_MAX / bytes) * bytes >> 20;
}

static void owner_read(xmlNode *node, const char *controller, DomainOwner *owner)
{
  g_autofree char *generation = attribute(node, "generation");
  owner->controller = attribute(node, "controller");
  owner->desktop = attribute(node, "desktop");
  owner->generation = number(generation, INT64_MAX);
  owner->ours = controller && !g_strcmp0(owner->controller, controller);
}

static bool is_owner(const xmlNode *node)
{
  return is(node, DOMAIN_OWNER_ELEMENT) && node->ns && xmlStrEqual(node->ns->href, BAD_CAST DOMAIN_OWNER_XMLNS);
}

static void owner_find(xmlNode *metadata, const char *controller, DomainOwner *owner)
{
  for (xmlNode *node = metadata ? metadata->children : NULL; node; node = node->next)
    if (is_owner(node)) {
      owner_read(node, controller, owner);
      return;
    }
}

static void agent_read(xmlNode *channel, DomainXml *domain)
{
  xmlNode *target = child(channel, "target");
  if (!target || !attribute_is(target, "name", AGENT_CHANNEL))
    return;
  g_autofree char *state = attribute(target, "state");
  domain->has_agent = true;
  if (state)
    domain->agent = strcmp(state, "connected") ? AGENT_SILENT : AGENT_CONNECTED;
}

static xmlNode *listen_by_socket(xmlNode *graphics)
{
  for (xmlNode *node = graphics->children; node; node = node->next)
    if (is(node, "listen") && attribute_is(node, "type", "socket"))
      return node;
  return NULL;
}

static void graphics_read(xmlNode *graphics, DomainXml *domain)
{
  g_autofree char *type = attribute(graphics, "type"), *port = attribute(graphics, "port");
  DomainConsole console = { 0 };
  if (!console_protocol_parse(type, &console.protocol))
    return;
  domain->graphics |= 1u << console.protocol;
  xmlNode *listen = listen_by_socket(graphics);
  console.path = listen ? attribute(listen, "socket") : attribute(graphics, "socket");
  console.port = console.path ? 0 : (int)number(port, 65535);
  if (console.path || console.port)
    g_array_append_val(domain->consoles, console);
}

static void disk_read(xmlNode *disk, DomainXml *domain)
{
  xmlNode *source = child(disk, "source");
  for (xmlAttr *a = source ? source->properties : NULL; a; a = a->next) {
    XML_CHARS value = xmlNodeGetContent((xmlNode *)a);
    domain->disks = domain->disks * 31 + g_str_hash((char *)value);
  }
}

static unsigned hex(xmlNode *node, const char *name, unsigned max)
{
  g_autofree char *text = attribute(node, name);
  guint64 value;
  const char *digits = text && g_str_has_prefix(text, "0x") ? text + 2 : text;
  return digits && g_ascii_string_to_unsigned(digits, 16, 0, max, &value, NULL) ? (unsigned)value : 0;
}

char *xml_hostdev(xmlNode *hostdev)
{
  xmlNode *address = child(child(hostdev, "source"), "address");
  if (!address)
    return NULL;
  if (attribute_is(hostdev, "type", "pci"))
    return g_strdup_printf("%04x:%02x:%02x.%x", hex(address, "domain", 0xffff), hex(address, "bus", 0xff), hex(address, "slot", 0x1f),
                           hex(address, "function", 7));
  g_autofree char *uuid = attribute_is(hostdev, "type", "mdev") ? attribute(address, "uuid") : NULL;
  return uuid && g_uuid_string_is_valid(uuid) ? g_ascii_strdown(uuid, -1) : NULL;
}

static char **hostdevs_read(xmlNode *devices, char ***ret_aliases)
{
  g_autoptr(GStrvBuilder) all = g_strv_builder_new(), aliases = g_strv_builder_new();
  bool any = false;
  for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
    g_autofree char *device = is(node, "hostdev") ? xml_hostdev(node) : NULL;
    g_autofree char *alias = device ? attribute(child(node, "alias"), "name") : NULL;
    if (!device)
      continue;
    g_strv_builder_add(all, device);
    g_strv_builder_add(aliases, alias ? alias : "");
    any = true;
  }
  *ret_aliases = any ? g_strv_builder_end(aliases) : NULL;
  return any ? g_strv_builder_end(all) : NULL;
}

static void devices_read(xmlNode *devices, DomainXml *domain)
{
  for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
    if (is(node, "channel"))
      agent_read(node, domain);
    else if (is(node, "graphics"))
      graphics_read(node, domain);
    else if (is(node, "disk"))
      disk_read(node, domain);
    else if (is(node, "serial") || is(node, "console"))
      domain->has_serial = true;
  }
}

bool domain_xml_parse(const char *xml, const char *controller, DomainXml *ret_domain, GError **err)
{
  XML_DOC doc = doc_parse(xml, "domain", err);
  if (!doc)
    return false;
  xmlNode *top = xmlDocGetRootElement(doc);
  DomainXml domain = { .agent = AGENT_NONE, .consoles = g_array_new(FALSE, TRUE, sizeof(DomainConsole)) };
  g_array_set_clear_func(domain.consoles, (GDestroyNotify)domain_console_clear);
  g_autofree char *uuid = text_of(child(top, "uuid")), *vcpus = text_of(child(top, "vcpu"));
  g_autofree char *lower = uuid && g_uuid_string_is_valid(uuid) ? g_ascii_strdown(uuid, -1) : NULL;
  if (lower)
    g_strlcpy(domain.uuid, lower, sizeof domain.uuid);
  domain.name = text_of(child(top, "name"));
  domain.vcpus = (int)number(vcpus, INT_MAX);
  domain.memory_mib = memory_mib(child(top, "memory"));
  owner_find(child(top, "metadata"), controller, &domain.owner);
  devices_read(child(top, "devices"), &domain);
  domain.hostdevs = hostdevs_read(child(top, "devices"), &domain.aliases);
  *ret_domain = domain;
  return true;
}

void domain_xml_clear(DomainXml *domain)
{
  g_free(domain->name);
  domain_owner_clear(&domain->owner);
  g_clear_pointer(&domain->consoles, g_array_unref);
  g_strfreev(domain->hostdevs);
  g_strfreev(domain->aliases);
  *domain = (DomainXml){ 0 };
}

static xmlNode *device_find(xmlNode *domain, const char *alias)
{
  xmlNode *devices = child(domain, "devices");
  for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next)
    if (attribute_is(child(node, "alias"), "name", alias))
      return node;
  return NULL;
}

bool domain_xml_has_alias(const char *xml, const char *alias)
{
  XML_DOC doc = doc_parse(xml, "domain", NULL);
  return doc && device_find(xmlDocGetRootElement(doc), alias);
}

static char *node_text(xmlDoc *doc, xmlNode *node)
{
  xmlBuffer *buffer = xmlBufferCreate();
  xmlNodeDump(buffer, doc, node, 0, 0);
  char *text = g_strdup((const char *)xmlBufferContent(buffer));
  xmlBufferFree(buffer);
  return text;
}

char *domain_xml_device(const char *xml, const char *alias)
{
  XML_DOC doc = doc_parse(xml, "domain", NULL);
  xmlNode *device = doc ? device_find(xmlDocGetRootElement(doc), alias) : NULL;
  return device ? node_text(doc, device) : NULL;
}

bool domain_owner_parse(const char *xml, const char *controller, DomainOwner *ret_owner, GError **err)
{
  DomainOwner owner = { 0 };
  if (xml) {
    XML_DOC doc = doc_parse(xml, DOMAIN_OWNER_ELEMENT, err);
    if (!doc)
      return false;
    owner_read(xmlDocGetRootElement(doc), controller, &owner);
  }
  *ret_owner = owner;
  return true;
}

/* ── a console with another password ────────────────────────────────────── */

static xmlNode *graphics_find(xmlNode *top, ConsoleProtocol protocol)
{
  xmlNode *devices = child(top, "devices");
  for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next)
    if (is(node, "graphics") && attribute_is(node, "type", console_protocol_name(protocol)))
      return node;
  return NULL;
}

bool domain_xml_console_key(const char *xml, ConsoleProtocol protocol, const char *password, int64_t valid_until_s,
                            char **ret_device, GError **err)
{
  XML_DOC doc = doc_parse(xml, "domain", err);
  if (!doc)
    return false;
  xmlNode *graphics = graphics_find(xmlDocGetRootElement(doc), protocol);
  if (!graphics)
    return error_false(err, REASON_NOT_FOUND, "kind", "console", "name", console_protocol_name(protocol), NULL);
  g_autoptr(GDateTime) until = g_date_time_new_from_unix_utc(valid_until_s);
  g_autofree char *valid_to = g_date_time_format(until, "%Y-%m-%dT%H:%M:%S");
  xmlSetProp(graphics, BAD_CAST "passwd", BAD_CAST password);
  xmlSetProp(graphics, BAD_CAST "passwdValidTo", BAD_CAST valid_to);
  *ret_device = node_text(doc, graphics);
  return true;
}

/* ── a domain for another host ──────────────────────────────────────────── */

static void listen_set(xmlNode *graphics, const char *address)
{
  if (xmlHasProp(graphics, BAD_CAST "socket") || listen_by_socket(graphics))
    return;
  xmlSetProp(graphics, BAD_CAST "listen", BAD_CAST address);
  for (xmlNode *node = graphics->children; node; node = node->next)
    if (is(node, "listen") && attribute_is(node, "type", "address"))
      xmlSetProp(node, BAD_CAST "address", BAD_CAST address);
}

char *domain_xml_listen(const char *xml, const char *address)
{
  XML_DOC doc = doc_parse(xml, "domain", NULL);
  xmlNode *devices = doc ? child(xmlDocGetRootElement(doc), "devices") : NULL;
  for (xmlNode *node = devices ? devices->children : NULL; node; node = node->next)
    if (is(node, "graphics"))
      listen_set(node, address);
  xmlChar *text = NULL;
  int n = 0;
  if (doc)
    xmlDocDumpMemory(doc, &text, &n);
  char *out = text ? g_strndup((char *)text, n) : NULL;
  xmlFree(text);
  return out;
}

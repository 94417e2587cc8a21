/* Fuzzes what hosts tell of domains, by every reader of it. What is taken has no DOCTYPE, is ours only where our mark is in it, and has numbers within
 * their bounds. */
#include <string.h>

#include "drivers/hypervisor/domain_xml.h"
#include "drivers/hypervisor/xml_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONTROLLER "9e2c5b0e-5d56-4a3b-9f0e-1c2d3e4f5a6b"

static void check_consoles(const GArray *consoles)
{
  for (guint i = 0; i < consoles->len; i++) {
    const DomainConsole *c = &g_array_index(consoles, DomainConsole, i);
    g_assert(c->path ? !c->port : c->port > 0 && c->port <= 65535);
  }
}

static void check_domain(const char *xml)
{
  DomainXml d;
  g_autoptr(GError) err = NULL;
  if (!domain_xml_parse(xml, CONTROLLER, &d, &err)) {
    g_assert(error_is(err, REASON_BAD_DOMAIN_XML));
    return;
  }
  g_assert(d.vcpus >= 0 && d.memory_mib >= 0 && d.owner.generation >= 0);
  g_assert(!*d.uuid || g_uuid_string_is_valid(d.uuid));
  g_assert(!d.owner.ours || !strcmp(d.owner.controller, CONTROLLER));
  check_consoles(d.consoles);
  domain_xml_clear(&d);
  DomainXml of_nobody;
  g_assert(domain_xml_parse(xml, NULL, &of_nobody, NULL) && !of_nobody.owner.ours);
  domain_xml_clear(&of_nobody);
}

static void check_owner(const char *xml)
{
  DomainOwner owner;
  if (!domain_owner_parse(xml, CONTROLLER, &owner, NULL))
    return;
  g_assert(!owner.ours || strstr(xml, CONTROLLER) || strchr(xml, '&'));
  domain_owner_clear(&owner);
}

static void check_key(const char *xml)
{
  g_autofree char *device = NULL;
  if (!domain_xml_console_key(xml, CONSOLE_VNC, "Abcd1234", 1700000000, &device, NULL))
    return;
  g_assert(strstr(device, "passwd=\"Abcd1234\"") && strstr(device, "passwdValidTo=\"2023-11-14T22:13:20\""));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autofree char *xml = g_strndup((const char *)data, size);
  xmlDoc *doc = xml_doc_read(xml, NULL);
  g_assert(!doc || (!doc->intSubset && !doc->extSubset));
  xmlFreeDoc(doc);
  check_domain(xml);
  check_owner(xml);
  check_key(xml);
  domain_xml_has_alias(xml, "ua-1");
  return 0;
}

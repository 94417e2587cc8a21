/* Reads what both drivers need out of a domain's XML: who owns it, how big it is, its agent, consoles and disks. Asked by the
 * drivers about XML that comes from templates or from libvirt. What it writes is a console with another password, and a
 * domain whose screens listen elsewhere. */
#pragma once

#include "drivers/hypervisor/hypervisor.h"

typedef struct {
  char uuid[UUID_TEXT_BYTES];  /* "" where the XML has none */
  char *name;
  DomainOwner owner;
  int vcpus;
  int64_t memory_mib;
  DomainAgent agent;    /* NONE: no channel; CONNECTED and SILENT only in the XML of a running domain */
  bool has_agent;       /* it has the channel */
  bool has_serial;
  GArray *consoles;     /* of DomainConsole: those with a port or path; protocols of the others are in graphics */
  unsigned graphics;    /* bits 1 << CONSOLE_… */
  unsigned disks;       /* a hash over the sources of its disks */
  char **hostdevs;      /* as DomainFacts.hostdevs */
  char **aliases;       /* beside each of them its alias, "" = none */
} DomainXml;

/* BAD_DOMAIN_XML: not well-formed, with a DOCTYPE, over 4 MiB, or not a <domain>. controller decides owner.ours; may be NULL. */
bool domain_xml_parse(const char *xml, const char *controller, DomainXml *ret_domain, GError **err);
void domain_xml_clear(DomainXml *domain);

/* Whether a device of that alias is in it. */
bool domain_xml_has_alias(const char *xml, const char *alias);
/* That device's element, for a call that wants XML; NULL where there is none. Owned by the caller. */
char *domain_xml_device(const char *xml, const char *alias);

/* The whole domain, with screens that listen at that address; one that listens on a socket stays as it is. NULL where the XML is none.
 * Owned by the caller, with whatever secrets were in it. */
char *domain_xml_listen(const char *xml, const char *address);

/* The owner element alone, as libvirt's metadata call returns it: chosen by namespace, but told without it. NULL = there is
 * none. */
bool domain_owner_parse(const char *xml, const char *controller, DomainOwner *ret_owner, GError **err);

/* The graphics device of a running domain's XML with a new password that ends at valid_until_s (since 1970), for an update of
 * that device. NOT_FOUND (kind "console"). The caller frees it, and forgets it soon. */
bool domain_xml_console_key(const char *xml, ConsoleProtocol protocol, const char *password, int64_t valid_until_s,
                            char **ret_device, GError **err);

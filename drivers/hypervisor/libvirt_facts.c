/* Reading: hosts and domains as they are. */
#include <gio/gio.h>
#include <libvirt/virterror.h>
#include <string.h>

#include "drivers/hypervisor/capabilities_xml.h"
#include "drivers/hypervisor/domain_xml.h"
#include "drivers/hypervisor/libvirt.h"

enum { SLOW_US = 1000 * 1000 };

/* What only a new definition changes. */
typedef struct {
  DomainOwner owner;
  int vcpus;
  int64_t memory_mib;
  char **hostdevs;
} Known;

void known_free(void *data)
{
  Known *known = data;
  domain_owner_clear(&known->owner);
  g_strfreev(known->hostdevs);
  g_free(known);
}

/* ── the host ───────────────────────────────────────────────────────────── */

static char *version_text(unsigned long version)
{
  return g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}

/* Containers share the kernel, so this is right for every libvirtd behind a local socket. */
static void boot_id_read(HostFacts *facts)
{
  g_autofree char *text = NULL;
  if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
    g_strlcpy(facts->boot_id, g_strstrip(text), sizeof facts->boot_id);
}

/* What KVM would really give a guest, or what a machine under Xen has; libvirt alone can write out a model's features. NULL where it does not. */
static char *cpu_words(virConnectPtr conn, const char *capabilities, unsigned virt_types)
{
  bool kvm = virt_types & 1u << VIRT_KVM;
  char *domain = kvm ? virConnectGetDomainCapabilities(conn, NULL, NULL, NULL, "kvm", 0) : NULL;
  g_autofree char *cpu = kvm ? capabilities_xml_cpu(domain) : virt_types & 1u << VIRT_XEN ? capabilities_xml_cpu(capabilities) : NULL;
  const char *cpus[] = { cpu };
  unsigned flags = VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES;
  char *whole = NULL;
  if (cpu)
    whole = kvm ? virConnectBaselineHypervisorCPU(conn, NULL, NULL, NULL, "kvm", cpus, 1, flags) : virConnectBaselineCPU(conn, cpus, 1, flags);
  char *words = whole ? capabilities_xml_words(whole, domain) : NULL;
  free(whole);
  free(domain);
  return words;
}

/* They change with the machine, its microcode, libvirt or the hypervisor, of which the host tells otherwise then. One that took long to tell what it
 * can would take as long again, and who waits for its facts does not wait for ever: it is asked another time. */
static void cpu_read(Libvirt *libvirt, const char *capabilities, bool slow, HostFacts *facts)
{
  Link *link = libvirt->link;
  g_autofree char *all = g_strconcat(facts->hypervisor, "|", facts->libvirt, "|", capabilities, NULL);
  g_autofree char *asked = g_compute_checksum_for_string(G_CHECKSUM_SHA256, all, -1);
  pthread_mutex_lock(&link->lock);
  bool known = !g_strcmp0(asked, link->cpu_asked);
  facts->cpu_features = known || slow ? g_strdup(link->cpu_features) : NULL;
  pthread_mutex_unlock(&link->lock);
  if (known || slow)
    return;
  facts->cpu_features = cpu_words(libvirt->conn, capabilities, facts->virt_types);
  pthread_mutex_lock(&link->lock);
  g_free(link->cpu_asked);
  g_free(link->cpu_features);
  link->cpu_asked = g_steal_pointer(&asked);
  link->cpu_features = g_strdup(facts->cpu_features);
  pthread_mutex_unlock(&link->lock);
}

bool libvirt_host(Hypervisor *hypervisor, HostFacts *ret_facts, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  virNodeInfo node;
  unsigned long version = 0, libvirt_version = 0;
  HostFacts facts = { .flavour = hypervisor->flavour->kind };
  if (virNodeGetInfo(libvirt->conn, &node) < 0 || virConnectGetVersion(libvirt->conn, &version) < 0 ||
      virConnectGetLibVersion(libvirt->conn, &libvirt_version) < 0)
    return libvirt_failed(libvirt, "tell what it is", NULL, err);
  int64_t began_us = g_get_monotonic_time();
  char *capabilities = virConnectGetCapabilities(libvirt->conn);
  bool slow = g_get_monotonic_time() - began_us > SLOW_US;
  if (!capabilities)
    return libvirt_failed(libvirt, "tell what it can", NULL, err);
  facts.memory_mib = (int64_t)(node.memory / 1024);
  capabilities_xml_read(capabilities, &facts);
  char *hostname = virConnectGetHostname(libvirt->conn);
  const char *type = virConnectGetType(libvirt->conn);
  g_autofree char *number = version_text(version);
  facts.hostname = g_strdup(hostname ? hostname : "");
  free(hostname);
  facts.hypervisor = g_strdup_printf("%s %s", type ? type : "?", number);
  facts.libvirt = version_text(libvirt_version);
  facts.cpus = (int)node.cpus;
  cpu_read(libvirt, capabilities, slow, &facts);
  free(capabilities);
  if (libvirt->local)
    boot_id_read(&facts);
  *ret_facts = facts;
  return true;
}

/* ── one domain ─────────────────────────────────────────────────────────── */

virDomainPtr domain_find(Libvirt *libvirt, const char *uuid, GError **err)
{
  virDomainPtr domain = virDomainLookupByUUIDString(libvirt->conn, uuid);
  if (!domain)
    libvirt_find_failed(libvirt, uuid, err);
  return domain;
}

static bool state_of(int state, int reason, DomainState *ret_state, bool *ret_active)
{
  static const DomainState states[] = {
    [VIR_DOMAIN_NOSTATE] = DOMAIN_ON,  /* Xen: between two of its scheduler's states */
    [VIR_DOMAIN_RUNNING] = DOMAIN_ON,
    [VIR_DOMAIN_BLOCKED] = DOMAIN_ON,
    [VIR_DOMAIN_PAUSED] = DOMAIN_SUSPENDED,
    [VIR_DOMAIN_SHUTDOWN] = DOMAIN_ON,
    [VIR_DOMAIN_SHUTOFF] = DOMAIN_OFF,
    [VIR_DOMAIN_CRASHED] = DOMAIN_CRASHED,
    [VIR_DOMAIN_PMSUSPENDED] = DOMAIN_SUSPENDED,
  };
  if (state < 0 || state >= (int)G_N_ELEMENTS(states))
    return false;
  *ret_state = state == VIR_DOMAIN_SHUTOFF && reason == VIR_DOMAIN_SHUTOFF_CRASHED ? DOMAIN_CRASHED : states[state];
  *ret_active = state != VIR_DOMAIN_SHUTOFF;
  return true;
}

static bool state_unknown(Libvirt *libvirt, const char *domain, GError **err)
{
  return error_false(err, REASON_HYPERVISOR_REFUSED, "host", libvirt->base.host, "what", "tell a state we know of",
                     "detail", domain, NULL);
}

bool domain_state_read(Libvirt *libvirt, virDomainPtr domain, DomainState *ret_state, bool *ret_active, GError **err)
{
  int state, reason;
  const char *name = virDomainGetName(domain);
  if (virDomainGetState(domain, &state, &reason, 0) < 0)
    return libvirt_failed(libvirt, "tell the state", domain, err);
  if (!state_of(state, reason, ret_state, ret_active))
    return state_unknown(libvirt, name, err);
  if (*ret_active)
    return true;
  int saved = virDomainHasManagedSaveImage(domain, 0);
  if (saved > 0)
    *ret_state = DOMAIN_SAVED;
  return true;
}

static bool xml_read(Libvirt *libvirt, virDomainPtr domain, DomainXml *ret_xml, GError **err)
{
  char *text = virDomainGetXMLDesc(domain, 0);
  if (!text)
    return libvirt_failed(libvirt, "describe", domain, err);
  bool ok = domain_xml_parse(text, libvirt->base.controller, ret_xml, err);
  free(text);
  return ok;
}

bool libvirt_look(Hypervisor *hypervisor, const char *uuid, DomainFacts **ret_facts, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  DomainState state;
  bool active;
  DomainXml xml;
  if (!domain || !domain_state_read(libvirt, domain, &state, &active, err) || !xml_read(libvirt, domain, &xml, err))
    return false;
  DomainFacts *facts = g_new0(DomainFacts, 1);
  g_strlcpy(facts->uuid, uuid, sizeof facts->uuid);
  facts->name = g_steal_pointer(&xml.name);
  facts->state = state;
  facts->has_saved = state == DOMAIN_SAVED;
  facts->transient = active && virDomainIsPersistent(domain) == 0;
  facts->owner = xml.owner;
  xml.owner = (DomainOwner){ 0 };
  facts->vcpus = xml.vcpus;
  facts->memory_mib = xml.memory_mib;
  facts->hostdevs = g_steal_pointer(&xml.hostdevs);
  /* libvirt writes the channel's state once QEMU has told it: until then nobody is there */
  facts->agent = !active || !xml.has_agent ? AGENT_NONE : xml.agent == AGENT_CONNECTED ? AGENT_CONNECTED : AGENT_SILENT;
  if (active)
    facts->consoles = g_steal_pointer(&xml.consoles);
  domain_xml_clear(&xml);
  *ret_facts = facts;
  return true;
}

bool libvirt_owner(Hypervisor *hypervisor, const char *uuid, DomainOwner *ret_owner, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  if (!domain)
    return false;
  char *text = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_OWNER_XMLNS, 0);
  if (!text && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN_METADATA)
    return libvirt_failed(libvirt, "tell the owner", domain, err);
  bool ok = domain_owner_parse(text, hypervisor->controller, ret_owner, err);
  free(text);
  return ok;
}

/* ── where one is to be found ───────────────────────────────────────────── */

enum { ADDRESSES_MAX = 32 };

static void addresses_add(GPtrArray *addresses, const virDomainInterface *interface)
{
  for (unsigned i = 0; i < interface->naddrs && addresses->len < ADDRESSES_MAX; i++) {
    g_autoptr(GInetAddress) parsed = interface->addrs[i].addr ? g_inet_address_new_from_string(interface->addrs[i].addr) : NULL;
    g_autofree char *text = parsed ? g_inet_address_to_string(parsed) : NULL;
    if (text && !g_ptr_array_find_with_equal_func(addresses, text, g_str_equal, NULL))
      g_ptr_array_add(addresses, g_steal_pointer(&text));
  }
}

/* libxl's driver knows leases alone, QEMU's both: what one of them cannot tell, the other may. */
bool libvirt_addresses(Hypervisor *hypervisor, const char *uuid, GPtrArray **ret_addresses, GError **err)
{
  static const unsigned sources[] = { VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP };
  g_autoptr(virDomain) domain = domain_find((Libvirt *)hypervisor, uuid, err);
  if (!domain)
    return false;
  GPtrArray *addresses = *ret_addresses = g_ptr_array_new_with_free_func(g_free);
  for (size_t i = 0; i < G_N_ELEMENTS(sources) && virDomainIsActive(domain) == 1; i++) {
    virDomainInterfacePtr *interfaces = NULL;
    int n = virDomainInterfaceAddresses(domain, &interfaces, sources[i], 0);
    for (int k = 0; k < n; k++) {
      addresses_add(addresses, interfaces[k]);
      virDomainInterfaceFree(interfaces[k]);
    }
    free(interfaces);
  }
  return true;
}

/* ── all domains ────────────────────────────────────────────────────────── */

static Known *known_new(const DomainFacts *facts)
{
  Known *known = g_new0(Known, 1);
  known->owner = domain_owner_dup(&facts->owner);
  known->vcpus = facts->vcpus;
  known->memory_mib = facts->memory_mib;
  known->hostdevs = g_strdupv(facts->hostdevs);
  return known;
}

/* false: not known. *ret_epoch: to be given to known_put(). */
static bool known_get(Link *link, DomainFacts *facts, int64_t *ret_epoch)
{
  pthread_mutex_lock(&link->lock);
  const Known *known = link->known ? g_hash_table_lookup(link->known, facts->uuid) : NULL;
  *ret_epoch = link->epoch;
  if (known) {
    facts->owner = domain_owner_dup(&known->owner);
    facts->vcpus = known->vcpus;
    facts->memory_mib = known->memory_mib;
    facts->hostdevs = g_strdupv(known->hostdevs);
  }
  pthread_mutex_unlock(&link->lock);
  return known;
}

/* What was read before somebody defined anew is not remembered. */
static void known_put(Link *link, const DomainFacts *facts, int64_t epoch)
{
  Known *known = known_new(facts);
  pthread_mutex_lock(&link->lock);
  if (link->known && link->epoch == epoch)
    g_hash_table_insert(link->known, g_strdup(facts->uuid), g_steal_pointer(&known));
  pthread_mutex_unlock(&link->lock);
  if (known)
    known_free(known);
}

static bool definition_fill(Libvirt *libvirt, virDomainPtr domain, DomainFacts *facts, GError **err)
{
  DomainXml xml;
  int64_t epoch;
  if (known_get(libvirt->link, facts, &epoch))
    return true;
  if (!xml_read(libvirt, domain, &xml, err))
    return false;
  facts->owner = xml.owner;
  xml.owner = (DomainOwner){ 0 };
  facts->vcpus = xml.vcpus;
  facts->memory_mib = xml.memory_mib;
  facts->hostdevs = g_steal_pointer(&xml.hostdevs);
  domain_xml_clear(&xml);
  known_put(libvirt->link, facts, epoch);
  return true;
}

/* Adds a domain in that state; one that is gone by now is left out. */
static bool list_add(Libvirt *libvirt, GPtrArray *domains, virDomainPtr domain, const int state[2], GError **err)
{
  g_autoptr(DomainFacts) facts = g_new0(DomainFacts, 1);
  bool active;
  GError *why = NULL;
  facts->name = g_strdup(virDomainGetName(domain));
  virDomainGetUUIDString(domain, facts->uuid);
  if (!state_of(state[0], state[1], &facts->state, &active))
    return state_unknown(libvirt, facts->name, err);
  if (definition_fill(libvirt, domain, facts, &why)) {
    g_ptr_array_add(domains, g_steal_pointer(&facts));
    return true;
  }
  if (error_is(why, REASON_NOT_FOUND)) {
    g_error_free(why);
    return true;
  }
  g_propagate_error(err, why);
  return false;
}

static bool list_by_stats(Libvirt *libvirt, GPtrArray *domains, GError **err)
{
  virDomainStatsRecordPtr *records;
  int n = virConnectGetAllDomainStats(libvirt->conn, VIR_DOMAIN_STATS_STATE, &records, 0);
  if (n < 0)
    return libvirt_failed(libvirt, "list domains", NULL, err);
  bool ok = true;
  for (int i = 0; ok && i < n; i++) {
    int state[2] = { -1, 0 };
    virTypedParamsGetInt(records[i]->params, records[i]->nparams, "state.state", &state[0]);
    virTypedParamsGetInt(records[i]->params, records[i]->nparams, "state.reason", &state[1]);
    ok = list_add(libvirt, domains, records[i]->dom, state, err);
  }
  virDomainStatsRecordListFree(records);
  return ok;
}

static void domains_free(virDomainPtr *domains, int n)
{
  for (int i = 0; i < n; i++)
    virDomainFree(domains[i]);
  free(domains);
}

static bool list_one_by_one(Libvirt *libvirt, GPtrArray *domains, GError **err)
{
  virDomainPtr *all;
  int n = virConnectListAllDomains(libvirt->conn, &all, 0);
  if (n < 0)
    return libvirt_failed(libvirt, "list domains", NULL, err);
  bool ok = true;
  for (int i = 0; ok && i < n; i++) {
    int state[2];
    if (!virDomainGetState(all[i], &state[0], &state[1], 0))
      ok = list_add(libvirt, domains, all[i], state, err);
    else if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
      ok = libvirt_failed(libvirt, "tell the state", all[i], err);
  }
  domains_free(all, n);
  return ok;
}

/* The uuids of those that a flag of virConnectListAllDomains() chooses: what no state tells. */
static GHashTable *uuids_of(Libvirt *libvirt, unsigned which, GError **err)
{
  virDomainPtr *chosen;
  int n = virConnectListAllDomains(libvirt->conn, &chosen, which);
  if (n < 0) {
    libvirt_failed(libvirt, "list domains", NULL, err);
    return NULL;
  }
  GHashTable *uuids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (int i = 0; i < n; i++) {
    char uuid[UUID_TEXT_BYTES];
    if (!virDomainGetUUIDString(chosen[i], uuid))
      g_hash_table_add(uuids, g_strdup(uuid));
  }
  domains_free(chosen, n);
  return uuids;
}

static bool marks_read(Libvirt *libvirt, GPtrArray *domains, GError **err)
{
  g_autoptr(GHashTable) saved = uuids_of(libvirt, VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, err);
  g_autoptr(GHashTable) transient = saved ? uuids_of(libvirt, VIR_CONNECT_LIST_DOMAINS_TRANSIENT, err) : NULL;
  if (!transient)
    return false;
  for (guint i = 0; i < domains->len && g_hash_table_size(saved) + g_hash_table_size(transient); i++) {
    DomainFacts *facts = domains->pdata[i];
    facts->has_saved = g_hash_table_contains(saved, facts->uuid);
    facts->transient = g_hash_table_contains(transient, facts->uuid);
    if (facts->has_saved && (facts->state == DOMAIN_OFF || facts->state == DOMAIN_CRASHED))
      facts->state = DOMAIN_SAVED;
  }
  return true;
}

bool libvirt_list(Hypervisor *hypervisor, GPtrArray **ret_domains, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(GPtrArray) domains = g_ptr_array_new_with_free_func((GDestroyNotify)domain_facts_free);
  bool bulk = !hypervisor->flavour->why_not[CAN_BULK_STATE];
  if (!(bulk ? list_by_stats : list_one_by_one)(libvirt, domains, err) || !marks_read(libvirt, domains, err))
    return false;
  *ret_domains = g_steal_pointer(&domains);
  return true;
}

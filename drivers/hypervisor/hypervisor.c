#include "drivers/hypervisor/hypervisor.h"

#include <string.h>

#include "core/gpu.h"
#include "drivers/hypervisor/domain_xml.h"
#include "drivers/hypervisor/flavours.h"
#include "drivers/hypervisor/power.h"

enum { SHUTDOWN_LOOK_US = 200 * 1000 };

ENUM_DEFINE(DomainState, domain_state, DOMAIN_STATES, N_DOMAIN_STATES)
ENUM_DEFINE(DomainAgent, domain_agent, DOMAIN_AGENTS, N_DOMAIN_AGENTS)
ENUM_DEFINE(DomainVerb, domain_verb, DOMAIN_VERBS, N_DOMAIN_VERBS)
ENUM_DEFINE(ConsoleProtocol, console_protocol, CONSOLE_PROTOCOLS, N_CONSOLE_PROTOCOLS)
ENUM_DEFINE(HypervisorEventKind, hypervisor_event, HYPERVISOR_EVENTS, N_HYPERVISOR_EVENTS)

void host_facts_clear(HostFacts *facts)
{
  g_free(facts->hostname);
  g_free(facts->hypervisor);
  g_free(facts->libvirt);
  g_free(facts->cells);
  g_free(facts->cpu_model);
  g_free(facts->cpu_features);
  *facts = (HostFacts){ 0 };
}

void domain_console_clear(DomainConsole *console)
{
  g_free(console->path);
  *console = (DomainConsole){ 0 };
}

DomainOwner domain_owner_dup(const DomainOwner *owner)
{
  return (DomainOwner){ g_strdup(owner->controller), g_strdup(owner->desktop), owner->generation, owner->ours };
}

void domain_owner_clear(DomainOwner *owner)
{
  g_free(owner->controller);
  g_free(owner->desktop);
  *owner = (DomainOwner){ 0 };
}

void domain_facts_free(DomainFacts *facts)
{
  if (!facts)
    return;
  g_free(facts->name);
  domain_owner_clear(&facts->owner);
  g_clear_pointer(&facts->consoles, g_array_unref);
  g_strfreev(facts->hostdevs);
  g_free(facts);
}

void serial_text_clear(SerialText *text)
{
  g_clear_pointer(&text->text, g_bytes_unref);
  *text = (SerialText){ 0 };
}

void host_device_free(HostDevice *device)
{
  if (!device)
    return;
  g_free(device->name);
  g_free(device->xml);
  g_free(device);
}

/* ── connections ────────────────────────────────────────────────────────── */

bool hypervisor_open(const HypervisorOptions *options, Hypervisor **ret_hypervisor, GError **err)
{
  const UriRow *row = uri_row(options->uri, options->allow_plain_tcp, err);
  Hypervisor *hypervisor;
  if (!row || !row->driver->open(options, row->flavour, &hypervisor, err))
    return false;
  hypervisor->driver = row->driver;
  if (!hypervisor->flavour) /* a fake may pass for another */
    hypervisor->flavour = &hypervisor_flavours[row->flavour];
  *ret_hypervisor = hypervisor;
  return true;
}

void hypervisor_close(Hypervisor *hypervisor)
{
  if (hypervisor)
    hypervisor->driver->close(hypervisor);
}

const HypervisorFlavour *hypervisor_flavour(const Hypervisor *hypervisor)
{
  return hypervisor->flavour;
}

/* ── the one place for UNSUPPORTED and FOREIGN ──────────────────────────── */

static bool can(const Hypervisor *hypervisor, bool has_slot, int capability, GError **err)
{
  const char *what = capability < 0 ? "this" : capability_name(capability);
  if (has_slot && (capability < 0 || !hypervisor->flavour->why_not[capability]))
    return true;
  return error_false(err, REASON_UNSUPPORTED, "what", what, "by", hypervisor->flavour->title, NULL);
}

static bool uuid_check(const char *uuid, GError **err)
{
  if (uuid && strlen(uuid) == UUID_TEXT_BYTES - 1 && g_uuid_string_is_valid(uuid))
    return true;
  return error_false(err, REASON_BAD_VALUE, "field", "uuid", "value", uuid, "limit", "a uuid in text form", NULL);
}

static bool ours_or_foreign(const Hypervisor *hypervisor, const DomainOwner *owner, const char *domain, GError **err)
{
  return owner->ours || error_false(err, REASON_FOREIGN, "domain", domain, "host", hypervisor->host,
                                    "owner", owner->controller ? owner->controller : "it has no owner", NULL);
}

static bool ours(Hypervisor *hypervisor, const char *uuid, GError **err)
{
  DomainOwner owner = { 0 };
  if (!hypervisor->driver->owner(hypervisor, uuid, &owner, err))
    return false;
  bool is_ours = ours_or_foreign(hypervisor, &owner, uuid, err);
  domain_owner_clear(&owner);
  return is_ours;
}

/* Checks of every verb that touches one domain of ours. */
static bool may_change(Hypervisor *hypervisor, const char *uuid, bool has_slot, int capability, GError **err)
{
  return can(hypervisor, has_slot, capability, err) && uuid_check(uuid, err) && ours(hypervisor, uuid, err);
}

/* What is missing is as gone and as off as could be wished for. */
static bool gone_is_fine(GError *why, GError **err)
{
  if (error_is(why, REASON_NOT_FOUND)) {
    g_error_free(why);
    return true;
  }
  g_propagate_error(err, why);
  return false;
}

/* ── verbs ──────────────────────────────────────────────────────────────── */

bool hypervisor_host(Hypervisor *hypervisor, HostFacts *ret_facts, GError **err)
{
  return hypervisor->driver->host(hypervisor, ret_facts, err);
}

bool hypervisor_list(Hypervisor *hypervisor, GPtrArray **ret_domains, GError **err)
{
  return hypervisor->driver->list(hypervisor, ret_domains, err);
}

bool hypervisor_look(Hypervisor *hypervisor, const char *uuid, DomainFacts **ret_facts, GError **err)
{
  return uuid_check(uuid, err) && hypervisor->driver->look(hypervisor, uuid, ret_facts, err);
}

/* What is defined must say whose it is, and must not take the place of someone else's. */
static bool definition_check(Hypervisor *hypervisor, const DomainXml *xml, GError **err)
{
  const char *wrong = !*xml->uuid ? "it has no uuid" : !xml->name ? "it has no name" :
                      !xml->owner.controller ? "it has no owner element" : NULL;
  if (wrong)
    return error_false(err, REASON_BAD_DOMAIN_XML, "detail", wrong, NULL);
  GError *why = NULL;
  return ours_or_foreign(hypervisor, &xml->owner, xml->name, err) &&
         (ours(hypervisor, xml->uuid, &why) || gone_is_fine(why, err));
}

bool hypervisor_define(Hypervisor *hypervisor, const char *xml, bool validate, GError **err)
{
  DomainXml parsed;
  if (!domain_xml_parse(xml, hypervisor->controller, &parsed, err))
    return false;
  bool by_host = validate && !hypervisor->flavour->why_not[CAN_DEFINE_VALIDATED];
  bool ok = definition_check(hypervisor, &parsed, err) && hypervisor->driver->define(hypervisor, xml, by_host, err);
  domain_xml_clear(&parsed);
  return ok;
}

bool hypervisor_power(Hypervisor *hypervisor, const char *uuid, DomainVerb verb, GError **err)
{
  GError *why = NULL;
  if (may_change(hypervisor, uuid, hypervisor->driver->power, power_rules[verb].needs, &why) &&
      hypervisor->driver->power(hypervisor, uuid, verb, &why))
    return true;
  if (verb == DOMAIN_DESTROY)
    return gone_is_fine(why, err);
  g_propagate_error(err, why);
  return false;
}

bool hypervisor_undefine(Hypervisor *hypervisor, const char *uuid, GError **err)
{
  GError *why = NULL;
  if (may_change(hypervisor, uuid, hypervisor->driver->undefine, -1, &why) &&
      hypervisor->driver->undefine(hypervisor, uuid, &why))
    return true;
  return gone_is_fine(why, err);
}

static bool key_check(const ConsoleKey *key, GError **err)
{
  size_t bytes = key->password ? strlen(key->password) : 0;
  size_t max = key->protocol == CONSOLE_VNC ? VNC_PASSWORD_MAX_BYTES : SPICE_PASSWORD_MAX_BYTES;
  bool plain = true;
  for (size_t i = 0; i < bytes; i++)
    plain &= g_ascii_isalnum(key->password[i]);
  if (bytes < 1 || bytes > max || !plain)
    return error_false(err, REASON_BAD_VALUE, "field", "console password", "value", "(not shown)", "limit",
                       key->protocol == CONSOLE_VNC ? "1 to 8 letters and digits" : "1 to 60 letters and digits", NULL);
  if (key->valid_s < 1 || key->valid_s > 24 * 3600)
    return error_false(err, REASON_BAD_VALUE, "field", "console validity", "value", "(seconds)", "limit", "1 s to a day", NULL);
  return true;
}

bool hypervisor_console(Hypervisor *hypervisor, const char *uuid, const ConsoleKey *key, DomainConsole *ret_console,
                        GError **err)
{
  return key_check(key, err) && may_change(hypervisor, uuid, hypervisor->driver->console, CAN_CONSOLE_PASSWORD, err) &&
         hypervisor->driver->console(hypervisor, uuid, key, ret_console, err);
}

bool hypervisor_screenshot(Hypervisor *hypervisor, const char *uuid, GBytes **ret_picture, GError **err)
{
  return can(hypervisor, hypervisor->driver->screenshot, CAN_SCREENSHOT, err) && uuid_check(uuid, err) &&
         hypervisor->driver->screenshot(hypervisor, uuid, ret_picture, err);
}

bool hypervisor_agent(Hypervisor *hypervisor, const char *uuid, const char *json, int timeout_s, char **ret_json, GError **err)
{
  return may_change(hypervisor, uuid, hypervisor->driver->agent, CAN_AGENT, err) &&
         hypervisor->driver->agent(hypervisor, uuid, json, MAX(timeout_s, 1), ret_json, err);
}

bool hypervisor_serial(Hypervisor *hypervisor, const char *uuid, int64_t from, SerialText *ret_text, GError **err)
{
  return may_change(hypervisor, uuid, hypervisor->driver->serial, CAN_SERIAL, err) &&
         hypervisor->driver->serial(hypervisor, uuid, from, ret_text, err);
}

bool hypervisor_addresses(Hypervisor *hypervisor, const char *uuid, GPtrArray **ret_addresses, GError **err)
{
  return uuid_check(uuid, err) && can(hypervisor, hypervisor->driver->addresses, -1, err) &&
         hypervisor->driver->addresses(hypervisor, uuid, ret_addresses, err);
}

/* ── devices of the host ────────────────────────────────────────────────── */

bool hypervisor_devices(Hypervisor *hypervisor, GPtrArray **ret_devices, GError **err)
{
  return can(hypervisor, hypervisor->driver->devices, -1, err) && hypervisor->driver->devices(hypervisor, ret_devices, err);
}

/* Mediated devices have no metadata: the mark in their UUID is what makes them ours. */
static bool may_change_mdev(Hypervisor *hypervisor, const char *uuid, bool has_slot, GError **err)
{
  if (!can(hypervisor, has_slot, CAN_MDEV, err) || !uuid_check(uuid, err))
    return false;
  return gpu_uuid_is_ours(hypervisor->controller, uuid) ||
         error_false(err, REASON_GPU_NOT_OURS, "what", uuid, "host", hypervisor->host, "detail", "its UUID has no mark of ours", NULL);
}

bool hypervisor_mdev_create(Hypervisor *hypervisor, const char *parent, const char *type, const char *uuid, GError **err)
{
  return may_change_mdev(hypervisor, uuid, hypervisor->driver->mdev_create, err) &&
         hypervisor->driver->mdev_create(hypervisor, parent, type, uuid, err);
}

bool hypervisor_mdev_destroy(Hypervisor *hypervisor, const char *uuid, GError **err)
{
  GError *why = NULL;
  if (may_change_mdev(hypervisor, uuid, hypervisor->driver->mdev_destroy, &why) &&
      hypervisor->driver->mdev_destroy(hypervisor, uuid, &why))
    return true;
  return gone_is_fine(why, err);
}

bool hypervisor_attach(Hypervisor *hypervisor, const char *uuid, const char *device_xml, GError **err)
{
  return may_change(hypervisor, uuid, hypervisor->driver->attach, CAN_PLUG, err) &&
         hypervisor->driver->attach(hypervisor, uuid, device_xml, err);
}

bool hypervisor_detach(Hypervisor *hypervisor, const char *uuid, const char *alias, int timeout_s, GError **err)
{
  return may_change(hypervisor, uuid, hypervisor->driver->detach, CAN_PLUG, err) &&
         hypervisor->driver->detach(hypervisor, uuid, alias, MAX(timeout_s, 1), err);
}

/* ── live migration ─────────────────────────────────────────────────────── */

bool hypervisor_migrate(Hypervisor *hypervisor, const char *uuid, const Migration *migration, GError **err)
{
  return may_change(hypervisor, uuid, hypervisor->driver->migrate, CAN_MIGRATE, err) &&
         hypervisor->driver->migrate(hypervisor, uuid, migration, err);
}

bool hypervisor_migrate_stop(Hypervisor *hypervisor, const char *uuid, int timeout_s, GError **err)
{
  GError *why = NULL;
  if (may_change(hypervisor, uuid, hypervisor->driver->migrate_stop, CAN_MIGRATE, &why) &&
      hypervisor->driver->migrate_stop(hypervisor, uuid, MAX(timeout_s, 1), &why))
    return true;
  return gone_is_fine(why, err);
}

/* ── the shutdown ladder ────────────────────────────────────────────────── */

/* *ret_off: whether the domain is off, at until_us at the latest; a missing one is. */
static bool wait_off(Hypervisor *hypervisor, const char *uuid, int64_t until_us, bool *ret_off, GError **err)
{
  for (;;) {
    g_autoptr(DomainFacts) facts = NULL;
    GError *why = NULL;
    if (!hypervisor_look(hypervisor, uuid, &facts, &why)) {
      *ret_off = true;
      return gone_is_fine(why, err);
    }
    *ret_off = facts->state != DOMAIN_ON && facts->state != DOMAIN_SUSPENDED;
    int64_t left_us = until_us - g_get_monotonic_time();
    if (*ret_off || left_us <= 0)
      return true;
    g_usleep(MIN(left_us, SHUTDOWN_LOOK_US));
  }
}

/* A guest that cannot be asked one way may be asked the next. */
static bool next_rung(const GError *why)
{
  Reason reason = error_reason(why);
  return reason == REASON_NO_AGENT || reason == REASON_AGENT_REFUSED || reason == REASON_TIMEOUT ||
         reason == REASON_UNSUPPORTED || reason == REASON_NEEDS_DESTROY;
}

static bool of_generation(Hypervisor *hypervisor, const char *uuid, int64_t generation, GError **err)
{
  g_autoptr(DomainFacts) facts = NULL;
  if (!generation)
    return true;
  if (!hypervisor_look(hypervisor, uuid, &facts, err))
    return false;
  if (facts->owner.ours && facts->owner.generation == generation)
    return true;
  g_autofree char *found = g_strdup_printf("%" G_GINT64_FORMAT, facts->owner.generation);
  g_autofree char *meant = g_strdup_printf("%" G_GINT64_FORMAT, generation);
  return error_false(err, REASON_DESKTOP_PASSED_ON, "desktop", uuid, "found", found, "meant", meant, NULL);
}

bool hypervisor_shutdown(Hypervisor *hypervisor, const char *uuid, int64_t generation, int64_t patience_us, GError **err)
{
  static const DomainVerb rungs[] = { DOMAIN_SHUTDOWN, DOMAIN_SHUTDOWN_ACPI };
  int64_t start_us = g_get_monotonic_time();
  for (size_t i = 0; i < G_N_ELEMENTS(rungs); i++) {
    g_autoptr(GError) why = NULL;
    bool off = false;
    if (!of_generation(hypervisor, uuid, generation, &why) || !hypervisor_power(hypervisor, uuid, rungs[i], &why)) {
      if (next_rung(why))
        continue;
      return gone_is_fine(g_steal_pointer(&why), err);
    }
    if (!wait_off(hypervisor, uuid, start_us + patience_us * (int64_t)(i + 1) / (int64_t)G_N_ELEMENTS(rungs), &off, err))
      return false;
    if (off)
      return true;
  }
  g_autofree char *detail = g_strdup_printf("asked by agent and ACPI for %.1f s", patience_us / 1e6);
  return error_false(err, REASON_NEEDS_DESTROY, "domain", uuid, "detail", detail, NULL);
}

/* Cards of a fake host, by the directory that holds them, and what guests have of them. */
#include <string.h>

#include "drivers/gpu/fake_cards.h"
#include "drivers/hypervisor/device_xml.h"
#include "drivers/hypervisor/domain_xml.h"
#include "drivers/hypervisor/fake_world.h"

static bool missing(const FakeHost *host, const char *device, GError **err)
{
  g_autofree char *detail = g_strdup_printf("device not found: %s is not there, or another domain has it", device);
  return error_false(err, REASON_HYPERVISOR_REFUSED, "host", host->name, "what", "give a domain its device", "detail", detail, NULL);
}

static const char *device_of(const char *line)
{
  return strchr(line, ' ') + 1;
}

static void devices_as_defined(FakeDomain *domain)
{
  g_strfreev(domain->devices);
  domain->devices = g_strdupv(domain->defined);
}

void fake_devices_define(FakeDomain *domain, char **devices, char **aliases)
{
  g_strfreev(domain->defined);
  guint n = devices ? g_strv_length(devices) : 0;
  domain->defined = n ? g_new0(char *, n + 1) : NULL;
  for (guint i = 0; i < n; i++)
    domain->defined[i] = g_strdup_printf("%s %s", aliases[i], devices[i]);
  if (!fake_is_active(domain))
    devices_as_defined(domain);
}

char **fake_devices_named(const FakeDomain *domain)
{
  guint n = domain->devices ? g_strv_length(domain->devices) : 0;
  char **named = n ? g_new0(char *, n + 1) : NULL;
  for (guint i = 0; i < n; i++)
    named[i] = g_strdup(device_of(domain->devices[i]));
  return named;
}

/* A host without a directory has whatever a domain names, as a domain XML of people's own may. */
bool fake_devices_hold(FakeHost *host, FakeDomain *domain, GError **err)
{
  const char *dir = host->parameters.gpus;
  for (char **line = domain->devices; dir && line && *line; line++) {
    if (fake_cards_hold(dir, device_of(*line)))
      continue;
    missing(host, device_of(*line), err);
    while (line-- != domain->devices)
      fake_cards_let_go(dir, device_of(*line));
    return false;
  }
  return true;
}

void fake_devices_let_go(FakeHost *host, FakeDomain *domain)
{
  const char *dir = host->parameters.gpus;
  for (char **line = domain->devices; dir && line && *line; line++)
    fake_cards_let_go(dir, device_of(*line));
  devices_as_defined(domain);
}

/* ── the host's ─────────────────────────────────────────────────────────── */

const char *fake_cards_of(const Hypervisor *hypervisor)
{
  return hypervisor->driver == &hypervisor_fake ? ((const FakeConnection *)hypervisor)->host->parameters.gpus : NULL;
}

bool fake_devices(Hypervisor *hypervisor, GPtrArray **ret_devices, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeHost *host = connection->host;
  if (!fake_enter(host, connection, FAKE_DEVICES, err))
    return false;
  *ret_devices = host->parameters.gpus ? fake_cards_devices(host->parameters.gpus)
                                       : g_ptr_array_new_with_free_func((GDestroyNotify)host_device_free);
  return fake_leave(host, true);
}

bool fake_mdev_create(Hypervisor *hypervisor, const char *parent, const char *type, const char *uuid, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeHost *host = connection->host;
  if (!fake_enter(host, connection, FAKE_MDEV_CREATE, err))
    return false;
  bool ok = host->parameters.gpus ? fake_cards_mdev_create(host->parameters.gpus, host->name, parent, type, uuid, err)
                                  : error_false(err, REASON_NOT_FOUND, "kind", "device", "name", parent, NULL);
  if (ok)
    fake_devices_changed(host);
  return fake_leave(host, ok);
}

bool fake_mdev_destroy(Hypervisor *hypervisor, const char *uuid, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeHost *host = connection->host;
  if (!fake_enter(host, connection, FAKE_MDEV_DESTROY, err))
    return false;
  bool ok = !host->parameters.gpus || fake_cards_mdev_destroy(host->parameters.gpus, host->name, uuid, err);
  if (ok)
    fake_devices_changed(host);
  return fake_leave(host, ok);
}

/* ── a running domain's ─────────────────────────────────────────────────── */

/* Its place among those it runs with; -1. */
static int device_find(const FakeDomain *domain, const char *alias)
{
  for (int i = 0; domain->devices && domain->devices[i]; i++)
    if (g_str_has_prefix(domain->devices[i], alias) && domain->devices[i][strlen(alias)] == ' ')
      return i;
  return -1;
}

static void list_add(char ***list, const char *text)
{
  g_auto(GStrv) old = *list;
  g_autoptr(GStrvBuilder) all = g_strv_builder_new();
  if (old)
    g_strv_builder_addv(all, (const char **)old);
  g_strv_builder_add(all, text);
  *list = g_strv_builder_end(all);
}

static void list_remove(char ***list, const char *text)
{
  g_auto(GStrv) old = *list;
  g_autoptr(GStrvBuilder) all = g_strv_builder_new();
  guint left = 0;
  for (char **each = old; each && *each; each++)
    if (strcmp(*each, text)) {
      g_strv_builder_add(all, *each);
      left++;
    }
  *list = left ? g_strv_builder_end(all) : NULL;
}

static bool plug(FakeHost *host, FakeDomain *domain, const char *alias, const char *device, GError **err)
{
  if (device_find(domain, alias) >= 0)
    return true;
  if (host->parameters.gpus && !fake_cards_hold(host->parameters.gpus, device))
    return missing(host, device, err);
  g_autofree char *line = g_strdup_printf("%s %s", alias, device);
  list_add(&domain->devices, line);
  fake_state_domain(host, domain);
  fake_domain_changed(host, domain);
  return true;
}

bool fake_attach(Hypervisor *hypervisor, const char *uuid, const char *device_xml, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  g_autofree char *alias = device_xml_alias(device_xml), *device = device_xml_hostdev(device_xml);
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_ATTACH, err);
  if (!domain)
    return false;
  bool ok;
  if (!alias || !device)
    ok = error_false(err, REASON_BAD_DOMAIN_XML, "detail", "it is no device with an alias of its own, \"ua-…\"", NULL);
  else if (!fake_is_active(domain))
    ok = error_false(err, REASON_DOMAIN_STATE, "what", "plug a device into", "domain", domain->name, "state",
                     domain_state_name(domain->state), NULL);
  else
    ok = plug(connection->host, domain, alias, device, err);
  return fake_leave(connection->host, ok);
}

bool fake_detach(Hypervisor *hypervisor, const char *uuid, const char *alias, int timeout_s, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_DETACH, err);
  if (!domain)
    return false;
  int at = fake_is_active(domain) ? device_find(domain, alias) : -1;
  if (at < 0)
    return fake_leave(connection->host, true);
  if (domain->sticky)
    return fake_leave(connection->host, error_false(err, REASON_DEVICE_STAYS, "domain", domain->name, "name", alias, "detail",
                                                    "its guest does not answer", NULL));
  g_autofree char *line = g_strdup(domain->devices[at]);
  if (connection->host->parameters.gpus)
    fake_cards_let_go(connection->host->parameters.gpus, device_of(line));
  list_remove(&domain->devices, line);
  fake_state_domain(connection->host, domain);
  fake_domain_changed(connection->host, domain);
  return fake_leave(connection->host, true);
}

/* The libvirt driver: connections, definitions, consoles, pictures, the agent's wire. Reading, power, serial lines, events and
 * errors have files of their own. Nothing here retries or remembers: that is for the lanes and the reconciler. */
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <string.h>

#include "drivers/hypervisor/domain_xml.h"
#include "drivers/hypervisor/knock.h"
#include "drivers/hypervisor/libvirt.h"

enum {
  KEEPALIVE_S = 5, KEEPALIVE_COUNT = 3,  /* a silent host is noticed after 15 s idle, 20 s in a call */
  PICTURE_MAX_BYTES = 64 << 20,
  AGENT_ANSWER_MAX_BYTES = 16 << 20,
};

/* ── what callbacks hold ────────────────────────────────────────────────── */

Link *link_new(const HypervisorOptions *options)
{
  Link *link = g_new0(Link, 1);
  pthread_mutex_init(&link->lock, NULL);
  pthread_cond_init(&link->device_gone, NULL);
  link->refs = 1;
  link->sink = options->sink;
  if (options->domain_events)
    link->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_free);
  link->serials = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, serial_free);
  return link;
}

Link *link_ref(Link *link)
{
  pthread_mutex_lock(&link->lock);
  link->refs++;
  pthread_mutex_unlock(&link->lock);
  return link;
}

void link_unref(void *data)
{
  Link *link = data;
  pthread_mutex_lock(&link->lock);
  bool last = !--link->refs;
  pthread_mutex_unlock(&link->lock);
  if (!last)
    return;
  g_clear_pointer(&link->known, g_hash_table_unref);
  g_hash_table_unref(link->serials);
  g_clear_pointer(&link->devices, g_hash_table_unref);
  g_clear_pointer(&link->touched, g_hash_table_unref);
  g_free(link->cpu_asked);
  g_free(link->cpu_features);
  pthread_cond_destroy(&link->device_gone);
  pthread_mutex_destroy(&link->lock);
  g_free(link);
}

bool link_lost(Link *link)
{
  pthread_mutex_lock(&link->lock);
  bool lost = link->lost;
  pthread_mutex_unlock(&link->lock);
  return lost;
}

void link_tell(Link *link, HypervisorEventKind kind, const char *uuid, const char *detail)
{
  HypervisorEvent event = { .kind = kind, .detail = detail };
  g_strlcpy(event.uuid, uuid, sizeof event.uuid);
  pthread_mutex_lock(&link->lock);
  if (!link->closed && link->sink.event)
    link->sink.event(link->sink.owner, &event);
  pthread_mutex_unlock(&link->lock);
}

void link_forget(Link *link, const char *uuid)
{
  pthread_mutex_lock(&link->lock);
  link->epoch++;
  if (link->known)
    g_hash_table_remove(link->known, uuid);
  pthread_mutex_unlock(&link->lock);
}

/* ── connections ────────────────────────────────────────────────────────── */

static bool is_local(const char *uri)
{
  g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, NULL);
  const char *host = parsed ? g_uri_get_host(parsed) : NULL;
  return !host || !*host;
}

static void libvirt_close(Hypervisor *hypervisor)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  pthread_mutex_lock(&libvirt->link->lock);
  libvirt->link->closed = true;
  pthread_mutex_unlock(&libvirt->link->lock);
  serial_close(libvirt);
  events_deregister(libvirt);
  virConnectClose(libvirt->conn);
  link_unref(libvirt->link);
  g_free(libvirt->base.host);
  g_free(libvirt->base.controller);
  g_free(libvirt);
}

static bool libvirt_open(const HypervisorOptions *options, FlavourKind flavour, Hypervisor **ret_hypervisor, GError **err)
{
  const char *host = options->host ? options->host : options->uri;
  if (options->knock && !knock(options->uri, host, err))
    return false;
  events_start();
  virConnectPtr conn = virConnectOpen(options->uri);
  if (!conn)
    return libvirt_open_failed(host, err);
  Libvirt *libvirt = g_new0(Libvirt, 1);
  libvirt->base.host = g_strdup(host);
  libvirt->base.controller = g_strdup(options->controller);
  libvirt->base.flavour = &hypervisor_flavours[flavour];
  libvirt->conn = conn;
  libvirt->local = is_local(options->uri);
  libvirt->link = link_new(options);
  bool alive = virConnectSetKeepAlive(conn, KEEPALIVE_S, KEEPALIVE_COUNT) >= 0 ||
               virGetLastErrorCode() == VIR_ERR_NO_SUPPORT || libvirt_failed(libvirt, "be kept alive", NULL, err);
  if (!alive || !events_register(libvirt, options, err)) {
    libvirt_close(&libvirt->base);
    return false;
  }
  *ret_hypervisor = &libvirt->base;
  return true;
}

/* ── definitions ────────────────────────────────────────────────────────── */

/* libvirt's words for a name that is taken differ from driver to driver, so the host is asked. */
static bool name_taken(Libvirt *libvirt, const DomainXml *xml, GError **err)
{
  g_autoptr(virDomain) other = virDomainLookupByName(libvirt->conn, xml->name);
  char uuid[UUID_TEXT_BYTES] = "";
  if (!other || virDomainGetUUIDString(other, uuid) || !strcmp(uuid, xml->uuid))
    return false;
  error_set(err, REASON_DOMAIN_NAME_TAKEN, "host", libvirt->base.host, "name", xml->name, "uuid", uuid, NULL);
  return true;
}

static bool libvirt_define(Hypervisor *hypervisor, const char *xml, bool validate, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  DomainXml parsed;
  GError *why = NULL;
  g_autoptr(virDomain) domain = virDomainDefineXMLFlags(libvirt->conn, xml, validate ? VIR_DOMAIN_DEFINE_VALIDATE : 0);
  if (domain)
    return true;
  libvirt_failed(libvirt, "define", NULL, &why);
  if (domain_xml_parse(xml, NULL, &parsed, NULL)) {
    if (!error_is(why, REASON_HOST_UNREACHABLE) && name_taken(libvirt, &parsed, err))
      g_clear_error(&why);
    domain_xml_clear(&parsed);
  }
  if (why)
    g_propagate_error(err, why);
  return false;
}

static unsigned undefine_flags(const HypervisorFlavour *flavour)
{
  if (flavour->why_not[CAN_NVRAM])
    return VIR_DOMAIN_UNDEFINE_MANAGED_SAVE;
  return VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
         VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_TPM;
}

static bool libvirt_undefine(Hypervisor *hypervisor, const char *uuid, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  DomainState state;
  bool active;
  if (!domain || !domain_state_read(libvirt, domain, &state, &active, err))
    return false;
  const char *name = virDomainGetName(domain);
  if (active)
    return error_false(err, REASON_DOMAIN_STATE, "what", "undefine", "domain", name, "state", domain_state_name(state), NULL);
  unsigned flags = undefine_flags(hypervisor->flavour);
  int result = virDomainUndefineFlags(domain, flags);
  /* before 8.9 there was no such flag, and TPM state went with the domain */
  if (result < 0 && flags & VIR_DOMAIN_UNDEFINE_TPM && virGetLastErrorCode() == VIR_ERR_INVALID_ARG)
    result = virDomainUndefineFlags(domain, flags & ~(unsigned)VIR_DOMAIN_UNDEFINE_TPM);
  return result >= 0 || libvirt_failed(libvirt, "undefine", domain, err);
}

/* ── consoles ───────────────────────────────────────────────────────────── */

static bool console_find(DomainXml *xml, ConsoleProtocol protocol, DomainConsole *ret_console)
{
  for (guint i = 0; i < xml->consoles->len; i++) {
    DomainConsole *console = &g_array_index(xml->consoles, DomainConsole, i);
    if (console->protocol != protocol)
      continue;
    *ret_console = (DomainConsole){ protocol, console->port, g_strdup(console->path) };
    return true;
  }
  return false;
}

/* libvirt's words may quote the device they were about. */
static bool key_failed(Libvirt *libvirt, virDomainPtr domain, const char *password, GError **err)
{
  GError *why = NULL;
  libvirt_failed(libvirt, "set the console password of", domain, &why);
  if (!strstr(why->message, password)) {
    g_propagate_error(err, why);
    return false;
  }
  g_error_free(why);
  return error_false(err, REASON_HYPERVISOR_REFUSED, "host", libvirt->base.host, "what", "set a console password",
                     "detail", "(its words held the password)", NULL);
}

static bool key_set(Libvirt *libvirt, virDomainPtr domain, const char *xml, const ConsoleKey *key, GError **err)
{
  g_autofree char *device = NULL;
  int64_t until_s = g_get_real_time() / G_USEC_PER_SEC + key->valid_s;
  if (!domain_xml_console_key(xml, key->protocol, key->password, until_s, &device, err))
    return false;
  int result = virDomainUpdateDeviceFlags(domain, device, VIR_DOMAIN_AFFECT_LIVE);
  bool ok = result >= 0 || key_failed(libvirt, domain, key->password, err);
  explicit_bzero(device, strlen(device));
  return ok;
}

static bool libvirt_console(Hypervisor *hypervisor, const char *uuid, const ConsoleKey *key, DomainConsole *ret_console,
                            GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  if (!domain)
    return false;
  if (virDomainIsActive(domain) == 0)
    return error_false(err, REASON_DOMAIN_STATE, "what", "open the console of", "domain", virDomainGetName(domain),
                       "state", domain_state_name(DOMAIN_OFF), NULL);
  char *text = virDomainGetXMLDesc(domain, 0);
  if (!text)
    return libvirt_failed(libvirt, "describe", domain, err);
  DomainXml xml = { 0 };
  DomainConsole console = { 0 };
  bool ok = domain_xml_parse(text, hypervisor->controller, &xml, err);
  if (ok && !console_find(&xml, key->protocol, &console))
    ok = error_false(err, REASON_NOT_FOUND, "kind", "console", "name", console_protocol_name(key->protocol), NULL);
  ok = ok && key_set(libvirt, domain, text, key, err);
  if (ok)
    *ret_console = console;
  else
    domain_console_clear(&console);
  if (xml.consoles)
    domain_xml_clear(&xml);
  free(text);
  return ok;
}

/* ── pictures ───────────────────────────────────────────────────────────── */

static bool stream_drain(Libvirt *libvirt, virStreamPtr stream, GByteArray *bytes, virDomainPtr domain, GError **err)
{
  char part[64 << 10];
  for (;;) {
    int n = virStreamRecv(stream, part, sizeof part);
    if (n == 0)
      return virStreamFinish(stream) >= 0 || libvirt_failed(libvirt, "take a picture of", domain, err);
    if (n < 0)
      return libvirt_failed(libvirt, "take a picture of", domain, err);
    if (bytes->len + (guint)n > PICTURE_MAX_BYTES) {
      virStreamAbort(stream);
      return error_false(err, REASON_TOO_LARGE, "what", "a picture", "value", "larger", "limit", "64 MiB", NULL);
    }
    g_byte_array_append(bytes, (guint8 *)part, n);
  }
}

static bool libvirt_screenshot(Hypervisor *hypervisor, const char *uuid, GBytes **ret_picture, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  g_autoptr(virStream) stream = domain ? virStreamNew(libvirt->conn, 0) : NULL;
  if (!domain)
    return false;
  const char *name = virDomainGetName(domain);
  if (virDomainIsActive(domain) == 0)
    return error_false(err, REASON_DOMAIN_STATE, "what", "take a picture of", "domain", name,
                       "state", domain_state_name(DOMAIN_OFF), NULL);
  char *mime = stream ? virDomainScreenshot(domain, stream, 0, 0) : NULL;
  if (!mime)
    return libvirt_failed(libvirt, "take a picture of", domain, err);
  free(mime);
  GByteArray *bytes = g_byte_array_new();
  if (stream_drain(libvirt, stream, bytes, domain, err)) {
    *ret_picture = g_byte_array_free_to_bytes(bytes);
    return true;
  }
  g_byte_array_unref(bytes);
  return false;
}

/* ── the agent's wire ───────────────────────────────────────────────────── */

static bool libvirt_agent(Hypervisor *hypervisor, const char *uuid, const char *json, int timeout_s, char **ret_json,
                          GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  if (!domain)
    return false;
  const char *name = virDomainGetName(domain);
  if (virDomainIsActive(domain) == 0)
    return error_false(err, REASON_NO_AGENT, "domain", name, "detail", "it is off", NULL);
  char *answer = virDomainQemuAgentCommand(domain, json, timeout_s, 0);
  if (!answer)
    return libvirt_failed(libvirt, "the command", domain, err);
  if (strlen(answer) > AGENT_ANSWER_MAX_BYTES) {
    free(answer);
    return error_false(err, REASON_TOO_LARGE, "what", "an answer of a guest agent", "value", "larger", "limit", "16 MiB", NULL);
  }
  *ret_json = g_strdup(answer);
  free(answer);
  return true;
}

const HypervisorDriver hypervisor_libvirt = {
  .name = "libvirt",
  .open = libvirt_open,
  .close = libvirt_close,
  .host = libvirt_host,
  .list = libvirt_list,
  .look = libvirt_look,
  .owner = libvirt_owner,
  .define = libvirt_define,
  .power = libvirt_power,
  .undefine = libvirt_undefine,
  .console = libvirt_console,
  .screenshot = libvirt_screenshot,
  .agent = libvirt_agent,
  .serial = libvirt_serial,
  .addresses = libvirt_addresses,
  .devices = libvirt_devices,
  .mdev_create = libvirt_mdev_create,
  .mdev_destroy = libvirt_mdev_destroy,
  .attach = libvirt_attach,
  .detach = libvirt_detach,
  .migrate = libvirt_migrate,
  .migrate_stop = libvirt_migrate_stop,
};

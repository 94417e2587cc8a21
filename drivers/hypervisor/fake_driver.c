/* The fake driver: the contract's verbs on hosts in memory. */
#include <string.h>

#include "drivers/hypervisor/domain_xml.h"
#include "core/cells.h"
#include "drivers/hypervisor/fake_world.h"
#include "drivers/hypervisor/power.h"

/* ── the way into a host ────────────────────────────────────────────────── */

static bool unreachable(const FakeHost *host, const char *detail, GError **err)
{
  return error_false(err, REASON_HOST_UNREACHABLE, "host", host->name, "detail", detail, NULL);
}

static bool fault_fail(const FakeHost *host, FakeCall call, Reason reason, GError **err)
{
  const char *what = fake_call_name(call);
  return error_false(err, reason, "host", host->name, "what", what, "domain", "", "detail", "the fake was told to fail",
                     "state", "told to fail", "command", what, "kind", "domain", "name", "", "by", "the fake",
                     "limit", "its time", NULL);
}

static int64_t wait_us(const FakeHost *host, const FakeFault *fault)
{
  return (host->parameters.latency_ms + fault->slow_ms) * INT64_C(1000);
}

/* Sleeps without the lock, which the caller holds. */
static void crawl(FakeHost *host, int64_t us)
{
  if (us <= 0)
    return;
  pthread_mutex_unlock(&host->lock);
  g_usleep(us);
  pthread_mutex_lock(&host->lock);
}

/* Hangs until released, thawed or cut off, as a call on a stopped libvirtd does. */
static void hang(FakeHost *host, FakeFault *fault, const FakeConnection *connection)
{
  int64_t release = host->release;
  bool told = fault->hang != 0;
  if (!told && !host->frozen)
    return;
  fault->hang -= fault->hang > 0;
  host->hung++;
  while ((told ? host->release == release : host->frozen) && !(connection && connection->lost))
    pthread_cond_wait(&host->changed, &host->lock);
  host->hung--;
}

bool fake_enter(FakeHost *host, const FakeConnection *connection, FakeCall call, GError **err)
{
  fake_control_poll(host);
  pthread_mutex_lock(&host->lock);
  FakeFault *fault = &host->faults[call];
  host->calls[call]++;
  hang(host, fault, connection);
  crawl(host, wait_us(host, fault));
  bool ok = true;
  if (host->dead || (connection && connection->lost))
    ok = unreachable(host, host->dead ? "no route to host" : "the connection is gone", err);
  else if (fault->fail) {
    fault->fail -= fault->fail > 0;
    ok = fault_fail(host, call, fault->reason, err);
  }
  if (!ok)
    pthread_mutex_unlock(&host->lock);
  return ok;
}

bool fake_leave(FakeHost *host, bool ok)
{
  pthread_mutex_unlock(&host->lock);
  return ok;
}

static bool missing(const char *uuid, GError **err)
{
  return error_false(err, REASON_NOT_FOUND, "kind", "domain", "name", uuid, NULL);
}

FakeDomain *fake_enter_domain(FakeConnection *connection, const char *uuid, FakeCall call, GError **err)
{
  if (!fake_enter(connection->host, connection, call, err))
    return NULL;
  FakeDomain *domain = fake_domain_find(connection->host, uuid);
  if (domain)
    return domain;
  pthread_mutex_unlock(&connection->host->lock);
  missing(uuid, err);
  return NULL;
}

static bool state_refused(const FakeDomain *domain, const char *what, GError **err)
{
  return error_false(err, REASON_DOMAIN_STATE, "what", what, "domain", domain->name,
                     "state", domain_state_name(domain->state), NULL);
}

/* ── connections ────────────────────────────────────────────────────────── */

static void serial_free(void *data)
{
  FakeSerial *serial = data;
  g_byte_array_unref(serial->ring);
  g_free(serial);
}

static FakeConnection *connection_new(FakeHost *host, const HypervisorOptions *options)
{
  FakeConnection *connection = g_new0(FakeConnection, 1);
  connection->base.host = g_strdup(options->host ? options->host : options->uri);
  connection->base.controller = g_strdup(options->controller);
  connection->base.sink = options->sink;
  connection->base.flavour = host->parameters.xen ? &hypervisor_flavours[FLAVOUR_XEN] : NULL;
  connection->host = host;
  connection->refs = 1;
  connection->serials = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, serial_free);
  connection->domain_events = options->domain_events;
  pthread_mutex_init(&connection->sink_lock, NULL);
  return connection;
}

static bool fake_open(const HypervisorOptions *options, FlavourKind flavour, Hypervisor **ret_hypervisor, GError **err)
{
  g_autoptr(GUri) uri = g_uri_parse(options->uri, G_URI_FLAGS_NONE, err);
  if (!uri)
    return false;
  FakeHost *host = fake_host(g_uri_get_path(uri));
  pthread_mutex_lock(&host->lock);
  bool known = fake_parameters_take(host, options->uri, err);
  pthread_mutex_unlock(&host->lock);
  if (!known || !fake_enter(host, NULL, FAKE_OPEN, err))
    return false;
  FakeConnection *connection = connection_new(host, options);
  g_ptr_array_add(host->connections, connection);
  *ret_hypervisor = &connection->base;
  return fake_leave(host, true);
}

static void fake_close(Hypervisor *hypervisor)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeHost *host = connection->host;
  pthread_mutex_lock(&connection->sink_lock);
  connection->closed = true;
  pthread_mutex_unlock(&connection->sink_lock);
  pthread_mutex_lock(&host->lock);
  g_ptr_array_remove_fast(host->connections, connection);
  fake_connection_unref(connection);
  pthread_mutex_unlock(&host->lock);
}

/* ── facts ──────────────────────────────────────────────────────────────── */

/* A uuid that the same text always gives (version 8: https://www.rfc-editor.org/rfc/rfc9562#section-5.8). */
static void uuid_of_text(const char *text, int number, char ret_uuid[UUID_TEXT_BYTES])
{
  g_autofree char *seed = g_strdup_printf("%s#%d", text, number);
  g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, seed, -1);
  g_snprintf(ret_uuid, UUID_TEXT_BYTES, "%.8s-%.4s-8%.3s-8%.3s-%.12s", hash, hash + 8, hash + 12, hash + 15, hash + 18);
}

/* CPUs and memory are shared out evenly; what does not divide is the last cell's. */
static void cells_make(const FakeParameters *p, HostFacts *facts)
{
  HostCells cells = { .n = p->huge_mib ? MAX(1, p->cells) : p->cells };
  for (int i = 0; i < cells.n; i++) {
    bool cpus[HOST_CPUS_MAX] = { false }, last = i == cells.n - 1;
    int each = MIN(p->cpus, HOST_CPUS_MAX) / cells.n;
    for (int cpu = i * each; cpu < (last ? MIN(p->cpus, HOST_CPUS_MAX) : (i + 1) * each); cpu++)
      cpus[cpu] = true;
    int64_t memory_mib = p->memory_mib / cells.n, huge_mib = p->huge_mib / cells.n;
    cells.cells[i] = (HostCell){ .id = i, .memory_mib = last ? p->memory_mib - i * memory_mib : memory_mib,
                                 .huge_mib = last ? p->huge_mib - i * huge_mib : huge_mib };
    cell_set_cpus(&cells.cells[i], cpus);
  }
  facts->cells = host_cells_text(&cells);
  facts->huge_mib = p->huge_mib;
  facts->page_kib = p->huge_mib ? p->page_kib : 0;
}

static bool fake_host_facts(Hypervisor *hypervisor, HostFacts *ret_facts, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeHost *host = connection->host;
  if (!fake_enter(host, connection, FAKE_HOST, err))
    return false;
  *ret_facts = (HostFacts){
    .hostname = g_strdup(host->name),
    .flavour = host->parameters.xen ? FLAVOUR_XEN : FLAVOUR_FAKE,
    .cpus = host->parameters.cpus,
    .memory_mib = host->parameters.memory_mib,
    .hypervisor = g_strdup("Fake 1.0.0"),
    .libvirt = g_strdup("0.0.0"),
    .virt_types = host->parameters.xen ? 1u << VIRT_XEN : 1u << VIRT_QEMU | 1u << VIRT_KVM,
    .cpu_model = g_strdup(host->parameters.cpu),
    .cpu_features = host->parameters.features ? g_strdelimit(g_strdup(host->parameters.features), ",", ' ') : NULL,
  };
  cells_make(&host->parameters, ret_facts);
  uuid_of_text(host->name, 0, ret_facts->uuid);
  uuid_of_text(host->name, 1 + host->boots, ret_facts->boot_id);
  return fake_leave(host, true);
}

static DomainOwner owner_of(const FakeConnection *connection, const FakeDomain *domain)
{
  return (DomainOwner){
    .controller = g_strdup(domain->controller),
    .desktop = g_strdup(domain->desktop),
    .generation = domain->generation,
    .ours = domain->controller && !g_strcmp0(domain->controller, connection->base.controller),
  };
}

static DomainFacts *facts_of(const FakeConnection *connection, const FakeDomain *domain)
{
  DomainFacts *facts = g_new0(DomainFacts, 1);
  fake_domain_uuid(domain, facts->uuid);
  facts->name = g_strdup(domain->name);
  facts->state = domain->state;
  facts->has_saved = domain->state == DOMAIN_SAVED;
  facts->transient = domain->transient && fake_is_active(domain);
  facts->owner = owner_of(connection, domain);
  facts->vcpus = domain->vcpus;
  facts->memory_mib = domain->memory_mib;
  facts->hostdevs = fake_devices_named(domain);
  return facts;
}

static bool fake_list(Hypervisor *hypervisor, GPtrArray **ret_domains, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeHost *host = connection->host;
  if (!fake_enter(host, connection, FAKE_LIST, err))
    return false;
  GPtrArray *domains = g_ptr_array_new_full(g_hash_table_size(host->domains), (GDestroyNotify)domain_facts_free);
  GHashTableIter iter;
  void *domain;
  g_hash_table_iter_init(&iter, host->domains);
  while (g_hash_table_iter_next(&iter, &domain, NULL))
    g_ptr_array_add(domains, facts_of(connection, domain));
  *ret_domains = domains;
  return fake_leave(host, true);
}

static bool agent_answers(const FakeDomain *domain)
{
  return domain->has_agent && domain->booted && !domain->agent_off && domain->state == DOMAIN_ON;
}

static DomainConsole console_of(const FakeHost *host, const FakeDomain *domain, ConsoleProtocol protocol)
{
  const FakeParameters *p = &host->parameters;
  return (DomainConsole){ protocol, p->console_port ? p->console_port : domain->port, NULL };
}

static GArray *consoles_of(const FakeHost *host, const FakeDomain *domain)
{
  GArray *consoles = g_array_new(FALSE, TRUE, sizeof(DomainConsole));
  g_array_set_clear_func(consoles, (GDestroyNotify)domain_console_clear);
  for (ConsoleProtocol protocol = 0; protocol < N_CONSOLE_PROTOCOLS; protocol++)
    if (domain->graphics & 1u << protocol) {
      DomainConsole console = console_of(host, domain, protocol);
      g_array_append_val(consoles, console);
    }
  return consoles;
}

static bool fake_look(Hypervisor *hypervisor, const char *uuid, DomainFacts **ret_facts, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_LOOK, err);
  if (!domain)
    return false;
  DomainFacts *facts = facts_of(connection, domain);
  bool active = fake_is_active(domain);
  facts->agent = !active || !domain->has_agent ? AGENT_NONE : agent_answers(domain) ? AGENT_CONNECTED : AGENT_SILENT;
  if (active)
    facts->consoles = consoles_of(connection->host, domain);
  *ret_facts = facts;
  return fake_leave(connection->host, true);
}

static bool fake_addresses(Hypervisor *hypervisor, const char *uuid, GPtrArray **ret_addresses, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_ADDRESSES, err);
  if (!domain)
    return false;
  *ret_addresses = g_ptr_array_new_with_free_func(g_free);
  if (fake_is_active(domain) && domain->lease)
    g_ptr_array_add(*ret_addresses, g_strdup(domain->lease));
  return fake_leave(connection->host, true);
}

/* Part of every changing verb, so it is neither counted nor disturbed. */
static bool fake_owner(Hypervisor *hypervisor, const char *uuid, DomainOwner *ret_owner, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeHost *host = connection->host;
  pthread_mutex_lock(&host->lock);
  FakeDomain *domain = connection->lost ? NULL : fake_domain_find(host, uuid);
  if (domain)
    *ret_owner = owner_of(connection, domain);
  bool ok = domain || (connection->lost ? unreachable(host, "the connection is gone", err) : missing(uuid, err));
  return fake_leave(host, ok);
}

/* ── definitions ────────────────────────────────────────────────────────── */

static void domain_fill(FakeHost *host, FakeDomain *domain, const DomainXml *xml)
{
  g_free(domain->desktop);
  domain->desktop = g_strdup(xml->owner.desktop);
  domain->controller = xml->owner.controller ? g_string_chunk_insert_const(host->texts, xml->owner.controller) : NULL;
  domain->generation = xml->owner.generation;
  domain->vcpus = (uint16_t)xml->vcpus;
  domain->memory_mib = (int32_t)xml->memory_mib;
  domain->graphics = (uint8_t)xml->graphics;
  domain->has_agent = xml->has_agent;
  domain->has_serial = xml->has_serial;
  /* another disk is another guest: what people left in the old one is gone */
  if (domain->disks != xml->disks && domain->guest)
    g_clear_pointer(&domain->guest, fake_guest_free);
  domain->disks = xml->disks;
  fake_devices_define(domain, xml->hostdevs, xml->aliases);
}

static bool define(FakeHost *host, const DomainXml *xml, GError **err)
{
  FakeDomain wanted = { .name = xml->name };
  FakeDomain *domain = fake_domain_find(host, xml->uuid), *same_name = g_hash_table_lookup(host->names, &wanted);
  if (same_name && same_name != domain) {
    char uuid[UUID_TEXT_BYTES];
    fake_domain_uuid(same_name, uuid);
    return error_false(err, REASON_DOMAIN_NAME_TAKEN, "host", host->name, "name", xml->name, "uuid", uuid, NULL);
  }
  if (domain && strcmp(domain->name, xml->name))
    return error_false(err, REASON_HYPERVISOR_REFUSED, "host", host->name, "what", "define",
                       "detail", "a domain with this uuid has another name", NULL);
  if (domain) {
    domain->transient = false;
    domain_fill(host, domain, xml);
    fake_state_domain(host, domain);
    fake_domain_changed(host, domain);
    return true;
  }
  domain = g_new0(FakeDomain, 1);
  fake_uuid_parse(xml->uuid, domain->uuid);
  domain->name = g_strdup(xml->name);
  domain_fill(host, domain, xml);
  fake_domain_add(host, domain);
  return true;
}

static bool fake_define(Hypervisor *hypervisor, const char *text, bool validate, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  DomainXml xml;
  if (!domain_xml_parse(text, connection->base.controller, &xml, err))
    return false;
  bool entered = fake_enter(connection->host, connection, FAKE_DEFINE, err);
  bool ok = entered && define(connection->host, &xml, err);
  domain_xml_clear(&xml);
  return entered ? fake_leave(connection->host, ok) : false;
}

static bool fake_undefine(Hypervisor *hypervisor, const char *uuid, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_UNDEFINE, err);
  if (!domain)
    return false;
  bool ok = !fake_is_active(domain) || state_refused(domain, "undefine", err);
  if (ok)
    fake_domain_remove(connection->host, domain);
  return fake_leave(connection->host, ok);
}

/* ── power ──────────────────────────────────────────────────────────────── */

static void run_start(FakeHost *host, FakeDomain *domain)
{
  if (domain->state == DOMAIN_SAVED || domain->state == DOMAIN_SUSPENDED)
    fake_domain_set(host, domain, DOMAIN_ON);
  else
    fake_domain_start(host, domain);
}

static void run_reboot(FakeHost *host, FakeDomain *domain)
{
  if (!domain->deaf)
    fake_domain_restart(host, domain);
}

static void run_destroy(FakeHost *host, FakeDomain *domain) { fake_domain_set(host, domain, DOMAIN_OFF); }
static void run_suspend(FakeHost *host, FakeDomain *domain) { fake_domain_set(host, domain, DOMAIN_SUSPENDED); }
static void run_resume(FakeHost *host, FakeDomain *domain) { fake_domain_set(host, domain, DOMAIN_ON); }
static void run_save(FakeHost *host, FakeDomain *domain) { fake_domain_set(host, domain, DOMAIN_SAVED); }

static const struct { FakeCall call; void (*run)(FakeHost *host, FakeDomain *domain); } verbs[N_DOMAIN_VERBS] = {
  [DOMAIN_START] = { FAKE_START, run_start },
  [DOMAIN_SHUTDOWN] = { FAKE_SHUTDOWN, fake_domain_ask_off },
  [DOMAIN_SHUTDOWN_ACPI] = { FAKE_SHUTDOWN_ACPI, fake_domain_ask_off },
  [DOMAIN_REBOOT] = { FAKE_REBOOT, run_reboot },
  [DOMAIN_RESET] = { FAKE_RESET, fake_domain_restart },
  [DOMAIN_DESTROY] = { FAKE_DESTROY, run_destroy },
  [DOMAIN_SUSPEND] = { FAKE_SUSPEND, run_suspend },
  [DOMAIN_RESUME] = { FAKE_RESUME, run_resume },
  [DOMAIN_SAVE] = { FAKE_SAVE, run_save },
  [DOMAIN_RESTORE] = { FAKE_RESTORE, run_start },
  [DOMAIN_FORGET_SAVED] = { FAKE_FORGET_SAVED, run_destroy },
};

static bool fake_power(Hypervisor *hypervisor, const char *uuid, DomainVerb verb, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, verbs[verb].call, err);
  if (!domain)
    return false;
  /* nothing holds a crashed one: the fake has no guests that are kept for a post mortem */
  DomainState state = domain->state == DOMAIN_CRASHED ? DOMAIN_OFF : domain->state;
  PowerNext next = power_next(verb, state, domain->name, err);
  bool ok = next != POWER_REFUSED;
  if (next == POWER_ACT && (verb == DOMAIN_START || verb == DOMAIN_RESTORE) && !fake_is_active(domain))
    ok = fake_devices_hold(connection->host, domain, err);
  if (ok && next == POWER_ACT)
    verbs[verb].run(connection->host, domain);
  return fake_leave(connection->host, ok);
}

/* ── consoles, pictures, agent, serial line ─────────────────────────────── */

static bool fake_console(Hypervisor *hypervisor, const char *uuid, const ConsoleKey *key, DomainConsole *ret_console,
                         GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_CONSOLE, err);
  if (!domain)
    return false;
  bool ok = fake_is_active(domain) || state_refused(domain, "open the console of", err);
  if (ok && !(domain->graphics & 1u << key->protocol))
    ok = error_false(err, REASON_NOT_FOUND, "kind", "console", "name", console_protocol_name(key->protocol), NULL);
  if (ok)
    *ret_console = console_of(connection->host, domain, key->protocol);
  return fake_leave(connection->host, ok);
}

static bool fake_screenshot(Hypervisor *hypervisor, const char *uuid, GBytes **ret_picture, GError **err)
{
  static const char header[] = "P6\n64 48\n255\n";
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_SCREENSHOT, err);
  if (!domain)
    return false;
  if (!fake_is_active(domain))
    return fake_leave(connection->host, state_refused(domain, "take a picture of", err));
  GByteArray *picture = g_byte_array_new();
  g_byte_array_append(picture, (const guint8 *)header, sizeof header - 1);
  for (int i = 0; i < 64 * 48; i++)
    g_byte_array_append(picture, domain->uuid, 3);
  *ret_picture = g_byte_array_free_to_bytes(picture);
  return fake_leave(connection->host, true);
}

static bool fake_agent(Hypervisor *hypervisor, const char *uuid, const char *json, int timeout_s, char **ret_json, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_AGENT, err);
  if (!domain)
    return false;
  bool ok = agent_answers(domain) ? fake_guest_ask(connection->host, domain, json, ret_json, err)
                                  : error_false(err, REASON_NO_AGENT, "domain", domain->name,
                                                "detail", domain->has_agent ? "it is not connected" : "it has no channel", NULL);
  return fake_leave(connection->host, ok);
}

static bool serial_elsewhere(const FakeConnection *connection, const FakeDomain *domain, const char *uuid)
{
  for (guint i = 0; fake_is_active(domain) && i < connection->host->connections->len; i++) {
    const FakeConnection *other = connection->host->connections->pdata[i];
    if (other != connection && !other->lost && g_hash_table_contains(other->serials, uuid))
      return true;
  }
  return false;
}

static FakeSerial *serial_ensure(FakeConnection *connection, const char *uuid)
{
  FakeSerial *serial = g_hash_table_lookup(connection->serials, uuid);
  if (serial)
    return serial;
  serial = g_new0(FakeSerial, 1);
  serial->ring = g_byte_array_new();
  g_hash_table_insert(connection->serials, g_strdup(uuid), serial);
  return serial;
}

static bool fake_serial(Hypervisor *hypervisor, const char *uuid, int64_t from, SerialText *ret_text, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_SERIAL, err);
  if (!domain)
    return false;
  if (from < 0) {
    g_hash_table_remove(connection->serials, uuid);
    *ret_text = (SerialText){ .text = g_bytes_new(NULL, 0) };
    return fake_leave(connection->host, true);
  }
  if (serial_elsewhere(connection, domain, uuid))
    return fake_leave(connection->host, error_false(err, REASON_SERIAL_BUSY, "domain", domain->name, NULL));
  FakeSerial *serial = serial_ensure(connection, uuid);
  int64_t end = serial->start + serial->ring->len, begin = CLAMP(from, serial->start, end);
  *ret_text = (SerialText){ .text = g_bytes_new(serial->ring->data + (begin - serial->start), end - begin),
                            .start = begin, .end = end, .open = fake_is_active(domain) };
  serial->told = false;
  return fake_leave(connection->host, true);
}

const HypervisorDriver hypervisor_fake = {
  .name = "fake",
  .open = fake_open,
  .close = fake_close,
  .host = fake_host_facts,
  .list = fake_list,
  .look = fake_look,
  .owner = fake_owner,
  .define = fake_define,
  .power = fake_power,
  .undefine = fake_undefine,
  .console = fake_console,
  .screenshot = fake_screenshot,
  .agent = fake_agent,
  .serial = fake_serial,
  .addresses = fake_addresses,
  .devices = fake_devices,
  .mdev_create = fake_mdev_create,
  .mdev_destroy = fake_mdev_destroy,
  .attach = fake_attach,
  .detach = fake_detach,
  .migrate = fake_migrate,
  .migrate_stop = fake_migrate_stop,
};

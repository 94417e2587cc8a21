/* The hypervisor family: one connection to one host, and what can be asked of it there. libvirt (KVM/QEMU, Xen, libvirt's own
 * test driver) and fake (everything in memory, for tests, simulation and scale) are its drivers. It moves no disks, makes no
 * XML and knows no desktop: it takes whole domain XML, and tells facts.
 *
 * Threads. Every verb blocks until the host has answered and may be called by several threads at once on one connection.
 * Nothing here limits how long: libvirt cannot be interrupted. Callers therefore go through drivers/runtime/lanes.h, which
 * gives each call a deadline and each host threads of its own; only tests call verbs directly. The sink is called on an event
 * thread, must return at once and must not call back.
 *
 * Ownership. Strings handed in are borrowed for the call. What comes out belongs to the caller: host_facts_clear(),
 * domain_facts_free(), domain_console_clear(), g_bytes_unref(), g_free(). A connection belongs to whoever opened it; close it
 * when no call is running on it.
 *
 * Level, not edge. Events only say "look again": their order means nothing (Xen reports a reboot as started, then stopped).
 * After HYPERVISOR_LOST every verb fails with HOST_UNREACHABLE; close the connection and open another.
 *
 * Idempotent. A verb's promise is an end state: start of a running domain, destroy of an off or missing one, undefine of a
 * missing one and define of the same uuid again succeed. What cannot be told (a host that does not answer, a state libvirt does
 * not know) is an error.
 *
 * Foreign domains, those without our owner metadata or with another controller's, are listed and looked at, never changed:
 * every changing verb reads the owner afresh and refuses with FOREIGN. That and UNSUPPORTED (a NULL slot, or a capability the
 * flavour lacks) are decided in hypervisor.c alone; drivers need not look.
 *
 * Errors, any verb: HOST_UNREACHABLE (connection lost or never made), HYPERVISOR_LOGIN (not let in), NOT_FOUND (kind "domain"),
 * FOREIGN, UNSUPPORTED, HYPERVISOR_REFUSED (the rest, with libvirt's own words); verbs name what they add. Passwords are in no
 * error and no log. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/names.h"

/* The owner element that makes a domain ours, a child of <metadata>:
 *   <sarang:owner xmlns:sarang="urn:sarang:owner:1" controller="UUID" desktop="d-17" generation="3"/> */
#define DOMAIN_OWNER_XMLNS "urn:sarang:owner:1"
#define DOMAIN_OWNER_ELEMENT "owner"

enum { UUID_TEXT_BYTES = 37, VNC_PASSWORD_MAX_BYTES = 8, SPICE_PASSWORD_MAX_BYTES = 60 };

/* ── flavours: what a kind of hypervisor can do, as data ────────────────── */

#define CAPABILITIES(X) \
  X(CAN_RESET, "reset") X(CAN_SUSPEND, "suspend") X(CAN_SAVE, "save") X(CAN_AGENT, "agent") \
  X(CAN_CONSOLE_PASSWORD, "console password") \
  X(CAN_SCREENSHOT, "screenshot") X(CAN_SERIAL, "serial console") X(CAN_BULK_STATE, "state of all domains in one call") \
  X(CAN_DEFINE_VALIDATED, "validation of domain XML by the host") X(CAN_NVRAM, "UEFI variables and TPM state") \
  X(CAN_MDEV, "mediated devices") X(CAN_PCI, "PCI devices for guests") X(CAN_PLUG, "devices plugged while the guest runs") \
  X(CAN_MIGRATE, "live migration")
ENUM_DECLARE(Capability, capability, CAPABILITIES, N_CAPABILITIES)

#define VIRT_TYPES(X) X(VIRT_QEMU, "qemu") X(VIRT_KVM, "kvm") X(VIRT_XEN, "xen") X(VIRT_TEST, "test")
ENUM_DECLARE(VirtType, virt_type, VIRT_TYPES, N_VIRT_TYPES)

#define FLAVOURS(X) X(FLAVOUR_QEMU, "qemu") X(FLAVOUR_XEN, "xen") X(FLAVOUR_TEST, "test") X(FLAVOUR_FAKE, "fake")
ENUM_DECLARE(FlavourKind, flavour, FLAVOURS, N_FLAVOURS)

/* why_not[c] is NULL where the flavour can do c, else one English clause for `host explain` and the docs. */
typedef struct {
  FlavourKind kind;
  const char *title;  /* "KVM/QEMU by libvirt" */
  const char *why_not[N_CAPABILITIES];
} HypervisorFlavour;

extern const HypervisorFlavour hypervisor_flavours[N_FLAVOURS];

/* ── facts ──────────────────────────────────────────────────────────────── */

typedef struct {
  char *hostname;
  char uuid[UUID_TEXT_BYTES];  /* of the host; lower case */
  FlavourKind flavour;
  int cpus;                    /* logical CPUs of the machine */
  int64_t memory_mib;          /* without what lies in huge pages of a size that does not count, see page_kib */
  char *hypervisor;            /* "QEMU 7.2.22" */
  char *libvirt;               /* "9.0.0" */
  unsigned virt_types;         /* bits 1 << VIRT_…: what the host offers; only a guest that came up proves that KVM works */
  char boot_id[UUID_TEXT_BYTES];  /* of the running kernel; "" for remote hosts: libvirt has no call for it */
  char *cells;                 /* NUMA cells as host_cells_text(); NULL: it tells none */
  int64_t page_kib, huge_mib;  /* size of its huge pages and how much memory is in them; 0: it has none */
  char *cpu_model;             /* "Skylake-Server-IBRS"; NULL: it tells none */
  char *cpu_features;          /* features and models that a guest may require, between spaces; NULL: they are not known */
} HostFacts;

void host_facts_clear(HostFacts *facts);

/* Wire names are those of the desktop's power. CRASHED: ended by a fault, or panicked and kept; SAVED: off, with a managed
 * save. */
#define DOMAIN_STATES(X) \
  X(DOMAIN_OFF, "off") X(DOMAIN_ON, "on") X(DOMAIN_SUSPENDED, "suspended") X(DOMAIN_SAVED, "saved") X(DOMAIN_CRASHED, "crashed")
ENUM_DECLARE(DomainState, domain_state, DOMAIN_STATES, N_DOMAIN_STATES)

/* Of the guest agent's channel. UNKNOWN: a list does not tell; NONE: the domain has no such channel, or is not running. */
#define DOMAIN_AGENTS(X) \
  X(AGENT_UNKNOWN, "unknown") X(AGENT_NONE, "none") X(AGENT_SILENT, "silent") X(AGENT_CONNECTED, "connected")
ENUM_DECLARE(DomainAgent, domain_agent, DOMAIN_AGENTS, N_DOMAIN_AGENTS)

#define CONSOLE_PROTOCOLS(X) X(CONSOLE_VNC, "vnc") X(CONSOLE_SPICE, "spice")
ENUM_DECLARE(ConsoleProtocol, console_protocol, CONSOLE_PROTOCOLS, N_CONSOLE_PROTOCOLS)

/* Where the host listens for a console: a port, or the path of a unix socket there. At which address is ours to say: see
 * hypervisor_console_address(). */
typedef struct {
  ConsoleProtocol protocol;
  int port;  /* 0 where path is set */
  char *path;
} DomainConsole;

void domain_console_clear(DomainConsole *console);

/* From the owner element; controller and desktop NULL, generation 0 where the domain has none. */
typedef struct {
  char *controller, *desktop;
  int64_t generation;
  bool ours;  /* controller is the connection's own */
} DomainOwner;

DomainOwner domain_owner_dup(const DomainOwner *owner);
void domain_owner_clear(DomainOwner *owner);

typedef struct {
  char uuid[UUID_TEXT_BYTES];  /* lower case */
  char *name;
  DomainState state;
  bool has_saved;       /* a managed save image, which the next start would resume */
  bool transient;       /* it runs, but has no definition: gone once it is off */
  DomainOwner owner;
  int vcpus;            /* as defined */
  int64_t memory_mib;   /* as defined */
  DomainAgent agent;
  GArray *consoles;     /* of DomainConsole, owned; NULL in a list, and while the domain is off */
  char **hostdevs;      /* devices of the host in it: mediated ones by UUID, PCI functions by address; NULL = none */
} DomainFacts;

void domain_facts_free(DomainFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainFacts, domain_facts_free)

/* ── events ─────────────────────────────────────────────────────────────── */

/* DOMAIN_CHANGED: state, definition, metadata or agent of uuid changed, or it came or went. SERIAL: uuid wrote to its serial
 * line (said once, again after the next hypervisor_serial()). LOST: the connection is gone; detail says why. DEVICES_CHANGED: a
 * PCI card or mediated device of the host came, went or changed; look again with hypervisor_devices(). */
#define HYPERVISOR_EVENTS(X) \
  X(HYPERVISOR_DOMAIN_CHANGED, "domain-changed") X(HYPERVISOR_SERIAL, "serial") X(HYPERVISOR_LOST, "lost") \
  X(HYPERVISOR_DEVICES_CHANGED, "devices-changed")
ENUM_DECLARE(HypervisorEventKind, hypervisor_event, HYPERVISOR_EVENTS, N_HYPERVISOR_EVENTS)

typedef struct {
  HypervisorEventKind kind;
  char uuid[UUID_TEXT_BYTES];  /* "" for LOST and DEVICES_CHANGED */
  const char *detail;          /* borrowed, or NULL */
} HypervisorEvent;

/* event may be NULL. It may be called until hypervisor_close() has returned, not after. */
typedef struct {
  void (*event)(void *owner, const HypervisorEvent *event);
  void *owner;
} HypervisorSink;

/* ── connections ────────────────────────────────────────────────────────── */

typedef struct Hypervisor Hypervisor;

typedef struct {
  const char *uri;        /* see hypervisor_uri_check() */
  const char *host;       /* what people call the host: goes into errors; NULL = the URI */
  const char *controller; /* uuid of this controller: decides what is ours */
  bool allow_plain_tcp;   /* qemu+tcp and xen+tcp: neither encrypted nor authenticated; for labs */
  bool knock;             /* first see whether anybody takes connections there: an open that cannot work fails within seconds */
  bool domain_events;     /* ask the host for DOMAIN_CHANGED and DEVICES_CHANGED; SERIAL and LOST are told in any case */
  bool device_memo;       /* listen to what happens to devices, so that only what changed is read again; nothing is told of it */
  HypervisorSink sink;
} HypervisorOptions;

/* Accepts qemu:///system, qemu:///session, xen:///, test:///default, test:///FILE, fake:NAME, and the transports +unix, +tls,
 * +tcp of the first two families, with the parameters that transport knows. BAD_URI names what is wrong: unknown scheme, a
 * password, a parameter such as `command` or `no_verify`, plain TCP that is not allowed. Pure. */
bool hypervisor_uri_check(const char *uri, bool allow_plain_tcp, GError **err);

/* What only root at the controller may name, of URIs that hypervisor_uri_check() takes: a fake host (which reads and writes files that its
 * parameters name), a file that libvirt's test driver would read, a socket or a directory of keys. Pure. */
bool hypervisor_uri_is_private(const char *uri);

/* Whether it says by which name or address the host is reached from elsewhere; fake hosts reach each other by theirs. Of URIs that
 * hypervisor_uri_check() takes. Pure. */
bool hypervisor_uri_names_host(const char *uri);
/* At which URI other hosts reach a host's libvirtd: the one that was said for it, else its own where that names a host. Either may be NULL.
 * Borrowed; NULL = nobody said. */
const char *hypervisor_migrate_uri(const char *said, const char *own);

/* The IP address at which the screens of that host's guests listen, and where a gateway reaches them: told where that is not NULL; else this
 * machine's own loopback for a host that is this machine, and the address in uri for one elsewhere. Never what the host says of itself: it would
 * choose where the gateway connects to. NULL with CONSOLE_ADDRESS where uri has a name (/etc/hosts of many a machine calls itself 127.0.1.1) or told is one: so of every host an
 * address is known that no guest may claim. Owned by the caller. Pure. */
char *hypervisor_console_address(const char *uri, const char *told, GError **err);

/* May take long (libvirt's open has no time-out of its own: 39 s were seen with a cable pulled). BAD_URI. */
bool hypervisor_open(const HypervisorOptions *options, Hypervisor **ret_hypervisor, GError **err);
/* Ends events and serial collection, then frees. Takes leave of the host, so it may wait as long as any verb. NULL is ignored. */
void hypervisor_close(Hypervisor *hypervisor);
const HypervisorFlavour *hypervisor_flavour(const Hypervisor *hypervisor);

/* ── verbs ──────────────────────────────────────────────────────────────── */

/* Also the probe: it succeeds ⇔ the host answers. */
bool hypervisor_host(Hypervisor *hypervisor, HostFacts *ret_facts, GError **err);

/* Every domain of the host as DomainFacts * (agent UNKNOWN, no consoles): one bulk call for states, one for managed saves, and
 * a call a domain only for those this connection has not met since their last definition. The array frees its elements. */
bool hypervisor_list(Hypervisor *hypervisor, GPtrArray **ret_domains, GError **err);

/* One domain, with agent and consoles. */
bool hypervisor_look(Hypervisor *hypervisor, const char *uuid, DomainFacts **ret_facts, GError **err);

/* Makes or replaces the domain of the XML's uuid; a running one takes it at its next start. xml must hold uuid, name and our
 * owner element. With validate the host checks it against its own schema first (tens of ms). BAD_DOMAIN_XML, DOMAIN_NAME_TAKEN
 * (a domain of that name has another uuid: the error has both), FOREIGN (the uuid is there and not ours). */
bool hypervisor_define(Hypervisor *hypervisor, const char *xml, bool validate, GError **err);

/* START        running, resumed from a managed save if there is one; a crashed one that the host still holds is destroyed
 * first.
 * SHUTDOWN     asks the guest through its agent when one is connected, else by ACPI; returns when asked, not when off.
 * SHUTDOWN_ACPI asks by ACPI (Xen: by its own control line).
 * REBOOT       as SHUTDOWN, and the guest comes back: asks only.    RESET    as the reset button.    DESTROY   as the plug: off
 * at return.
 * SUSPEND      paused in memory.  RESUME: runs.  SAVE: to a managed save, off at return.  RESTORE: as START, but needs a
 * managed save. FORGET_SAVED drops a managed save; ok where there is none. */
#define DOMAIN_VERBS(X) \
  X(DOMAIN_START, "start") X(DOMAIN_SHUTDOWN, "shutdown") X(DOMAIN_SHUTDOWN_ACPI, "shutdown-acpi") X(DOMAIN_REBOOT, "reboot") \
  X(DOMAIN_RESET, "reset") X(DOMAIN_DESTROY, "destroy") X(DOMAIN_SUSPEND, "suspend") X(DOMAIN_RESUME, "resume") \
  X(DOMAIN_SAVE, "save") X(DOMAIN_RESTORE, "restore") X(DOMAIN_FORGET_SAVED, "forget-saved")
ENUM_DECLARE(DomainVerb, domain_verb, DOMAIN_VERBS, N_DOMAIN_VERBS)

/* DOMAIN_STATE where the verb makes no sense in the domain's state (reset of an off one), NO_SAVED_STATE (RESTORE), DISK_IN_USE
 * (START: another process holds its disk), NEEDS_DESTROY (SHUTDOWN of one whose guest cannot be asked). DESTROY of a missing
 * domain is ok. */
bool hypervisor_power(Hypervisor *hypervisor, const char *uuid, DomainVerb verb, GError **err);

/* The whole ladder, blocking for at most patience_us: agent (half of the patience), ACPI (the rest), then NEEDS_DESTROY: a
 * person, or a rule a person made, decides about pulling the plug. Ok where the domain is off. Give it an agent lane: it may
 * wait for minutes, in which the domain may be reset for somebody else: each way of asking is for generation of its owner
 * element (0 = any), else DESKTOP_PASSED_ON. */
bool hypervisor_shutdown(Hypervisor *hypervisor, const char *uuid, int64_t generation, int64_t patience_us, GError **err);

/* Forgets the domain with its managed save, UEFI variables and TPM state. DOMAIN_STATE while it is running. */
bool hypervisor_undefine(Hypervisor *hypervisor, const char *uuid, GError **err);

/* What opens a console, once given to the host. */
typedef struct {
  ConsoleProtocol protocol;
  const char *password;  /* VNC 1..8 bytes, all significant; SPICE 1..60; letters and digits */
  int valid_s;           /* from now, by the host's clock: hosts need their time right */
} ConsoleKey;

/* Sets password and expiry of the running domain's console and tells where it listens. The last key set is the only one.
 * BAD_VALUE for a password that does not fit, DOMAIN_STATE while off, NOT_FOUND (kind "console"). */
bool hypervisor_console(Hypervisor *hypervisor, const char *uuid, const ConsoleKey *key, DomainConsole *ret_console,
                        GError **err);

/* The first screen as a picture: PNG or PPM (P6), at most 64 MiB. DOMAIN_STATE while off. */
bool hypervisor_screenshot(Hypervisor *hypervisor, const char *uuid, GBytes **ret_picture, GError **err);

/* One guest agent command, JSON in and out; the answer is at most 16 MiB and not checked: see drivers/guest/guest.h. timeout_s
 * ≥ 1. NO_AGENT where none is connected, AGENT_REFUSED with the agent's own words, TIMEOUT. */
bool hypervisor_agent(Hypervisor *hypervisor, const char *uuid, const char *json, int timeout_s, char **ret_json, GError **err);

/* What a running domain wrote to its first serial line since collection began, at most the last 64 KiB. */
typedef struct {
  GBytes *text;     /* raw bytes of the guest */
  int64_t start;    /* how many bytes of this run came before text (dropped, or below `from`) */
  int64_t end;      /* start + size: give it as `from` the next time */
  bool open;        /* being collected now; false while the domain is off */
} SerialText;

void serial_text_clear(SerialText *text);

/* Begins to collect (asked for an off domain: from its very first byte at the next START through this connection), and answers
 * what came from byte `from` on. Never waits for the guest; HYPERVISOR_SERIAL says when there is more. Collection ends with the
 * run, with hypervisor_close(), and with from < 0. SERIAL_BUSY: someone else has the console open. */
bool hypervisor_serial(Hypervisor *hypervisor, const char *uuid, int64_t from, SerialText *ret_text, GError **err);

/* The addresses that the host itself knows of the domain: by its DHCP server, else by ARP. char * in text form, each once, freed with the array; none while it
 * is off. The guest is never asked, so it need not have an agent, and what the host cannot tell is left out. Touches none but the host; read-only. NOT_FOUND,
 * UNSUPPORTED. */
bool hypervisor_addresses(Hypervisor *hypervisor, const char *uuid, GPtrArray **ret_addresses, GError **err);

/* ── devices of the host ────────────────────────────────────────────────── */

/* A PCI display or 3D controller (class 0x03…), a PCI function that offers mediated devices, or a mediated device, in libvirt's
 * node device XML (https://libvirt.org/formatnode.html), which is hostile until parsed: see drivers/gpu. */
typedef struct {
  char *name;  /* "pci_0000_00_08_0" */
  char *xml;
} HostDevice;

void host_device_free(HostDevice *device);

/* Those of the host, as HostDevice *, by name; the array frees its elements. One list call; XML is read only of what this
 * connection has not met, of what the host announced as changed, and of a card whose mediated devices came or went (its
 * numbers of free ones changed). Without domain events nothing is remembered. */
bool hypervisor_devices(Hypervisor *hypervisor, GPtrArray **ret_devices, GError **err);

/* Makes the mediated device of that UUID on the node device `parent` ("pci_0000_00_08_0"). The UUID must have our mark
 * (gpu_part_uuid), else GPU_NOT_OURS. EXISTS: there is one of that UUID, be it as wanted; GPU_FULL: the card has no more of that type;
 * NOT_FOUND (kind "device") for a parent that is not there. Never defined at the host: what is made ends with the host's run. */
bool hypervisor_mdev_create(Hypervisor *hypervisor, const char *parent, const char *type, const char *uuid, GError **err);

/* Ends it. Ok where there is none. GPU_NOT_OURS without our mark, GPU_IN_USE while a guest or any process has it. */
bool hypervisor_mdev_destroy(Hypervisor *hypervisor, const char *uuid, GError **err);

/* Plugs a device (with an alias of its own, "ua-…") into the running domain alone: its definition stays. Ok where a device of
 * that alias is in. DOMAIN_STATE while off, BAD_DOMAIN_XML. */
bool hypervisor_attach(Hypervisor *hypervisor, const char *uuid, const char *device_xml, GError **err);

/* Unplugs the device of that alias from the running domain, and returns when the guest has let go of it: libvirt says "done"
 * when it has asked, and a guest may never answer. DEVICE_STAYS after timeout_s: it is still in, and still in use. Ok where the
 * domain is off or has none of that alias. */
bool hypervisor_detach(Hypervisor *hypervisor, const char *uuid, const char *alias, int timeout_s, GError **err);

/* ── live migration ─────────────────────────────────────────────────────── */

/* How a domain goes to another host as it runs. The two libvirtds do it between themselves (libvirt's peer to peer): it goes on without us. */
typedef struct {
  const char *to;        /* URI of the other host's libvirtd, as this host reaches it */
  const char *listen;    /* the address at which its screens listen over there; NULL = as here */
  bool tunnel;           /* its memory goes through the connection of the two libvirtds; else straight from one to the other */
  bool tls;              /* where it does not: encrypted, with certificates of the hosts' own */
  bool coherent;         /* an operator says that both see each other's writes at once, whatever the host knows of the file system */
  int64_t most_mib_s;    /* 0 = as fast as it goes */
  int downtime_ms;       /* for how long the guest may stand still at the end; 0 = as the hypervisor has it */
  int64_t until_us;      /* monotonic: then it is given up, and the guest stays */
  void (*progress)(int pct, void *data);  /* on a thread of the driver's, during the call alone; NULL = nobody asks */
  void *data;
} Migration;

/* Returns when the domain runs over there, is defined there and is gone from here; every error leaves it here as it was, but for what
 * HOST_UNREACHABLE and TIMEOUT (the connection broke meanwhile) leave open: look at both. Where it is on its way already, because of a call that
 * nobody waits for any more, that is waited for. What pages it writes may come faster than they can be sent: it is slowed down then.
 * DOMAIN_STATE while off, MIGRATION_STOPPED (until_us is past, or hypervisor_migrate_stop()), MIGRATION_UNSAFE (the host does not know that the
 * storage is shared), MIGRATION_FAILED with the hosts' own words. */
bool hypervisor_migrate(Hypervisor *hypervisor, const char *uuid, const Migration *migration, GError **err);

/* Ends a migration away from here, and returns when none is under way: whether it was stopped in time shows whether the domain still runs.
 * Ok where the domain is missing or does not move. TIMEOUT after timeout_s. */
bool hypervisor_migrate_stop(Hypervisor *hypervisor, const char *uuid, int timeout_s, GError **err);

/* ── drivers ────────────────────────────────────────────────────────────── */

/* A driver's verbs; NULL = the driver cannot. They are called by hypervisor.c after its checks. owner() reads afresh, from the
 * host itself. */
typedef struct {
  const char *name;
  bool (*open)(const HypervisorOptions *options, FlavourKind flavour, Hypervisor **ret_hypervisor, GError **err);
  void (*close)(Hypervisor *hypervisor);
  bool (*host)(Hypervisor *hypervisor, HostFacts *ret_facts, GError **err);
  bool (*list)(Hypervisor *hypervisor, GPtrArray **ret_domains, GError **err);
  bool (*look)(Hypervisor *hypervisor, const char *uuid, DomainFacts **ret_facts, GError **err);
  bool (*owner)(Hypervisor *hypervisor, const char *uuid, DomainOwner *ret_owner, GError **err);
  bool (*define)(Hypervisor *hypervisor, const char *xml, bool validate, GError **err);
  bool (*power)(Hypervisor *hypervisor, const char *uuid, DomainVerb verb, GError **err);
  bool (*undefine)(Hypervisor *hypervisor, const char *uuid, GError **err);
  bool (*console)(Hypervisor *hypervisor, const char *uuid, const ConsoleKey *key, DomainConsole *ret_console, GError **err);
  bool (*screenshot)(Hypervisor *hypervisor, const char *uuid, GBytes **ret_picture, GError **err);
  bool (*agent)(Hypervisor *hypervisor, const char *uuid, const char *json, int timeout_s, char **ret_json, GError **err);
  bool (*serial)(Hypervisor *hypervisor, const char *uuid, int64_t from, SerialText *ret_text, GError **err);
  bool (*addresses)(Hypervisor *hypervisor, const char *uuid, GPtrArray **ret_addresses, GError **err);
  bool (*devices)(Hypervisor *hypervisor, GPtrArray **ret_devices, GError **err);
  bool (*mdev_create)(Hypervisor *hypervisor, const char *parent, const char *type, const char *uuid, GError **err);
  bool (*mdev_destroy)(Hypervisor *hypervisor, const char *uuid, GError **err);
  bool (*attach)(Hypervisor *hypervisor, const char *uuid, const char *device_xml, GError **err);
  bool (*detach)(Hypervisor *hypervisor, const char *uuid, const char *alias, int timeout_s, GError **err);
  bool (*migrate)(Hypervisor *hypervisor, const char *uuid, const Migration *migration, GError **err);
  bool (*migrate_stop)(Hypervisor *hypervisor, const char *uuid, int timeout_s, GError **err);
} HypervisorDriver;

/* Every driver of the family. */
extern const HypervisorDriver hypervisor_libvirt, hypervisor_fake;

/* What a driver's connection begins with; hypervisor_open() fills it after the driver's open: the flavour where that left it NULL. */
struct Hypervisor {
  const HypervisorDriver *driver;
  const HypervisorFlavour *flavour;
  char *host, *controller;
  HypervisorSink sink;
};

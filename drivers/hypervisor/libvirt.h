/* What the files of the libvirt driver share: its connection, what libvirt's callbacks hold of it, and the one function that
 * turns a virError into ours. Asked by libvirt*.c alone. */
#pragma once

#include <libvirt/libvirt.h>
#include <pthread.h>

#include "drivers/hypervisor/hypervisor.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(virDomain, virDomainFree)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(virStream, virStreamFree)

/* Outlives its connection while callbacks of libvirt's may still come. Every member is behind lock, which is held while the
 * sink runs, never across a libvirt call. */
typedef struct {
  pthread_mutex_t lock;
  int refs;
  bool closed;          /* hypervisor_close() has begun: the sink is not called any more */
  bool lost;
  HypervisorSink sink;
  GHashTable *known;    /* uuid → what only a new definition changes, see libvirt_facts.c; NULL without domain events */
  int64_t epoch;        /* counts what was forgotten */
  GHashTable *serials;  /* uuid → Serial, see libvirt_serial.c */
  GHashTable *devices;  /* name → Seen, see libvirt_devices.c; NULL before the first look, during one, and without domain events */
  bool keeps_devices;   /* the host announces what happens to devices: what was read of them holds until then */
  GHashTable *touched;  /* names that were announced since the look that is under way began */
  pthread_cond_t device_gone;
  int64_t gone_count;   /* devices that guests let go of */
  char *cpu_asked;      /* what the host told of itself when its processors were asked for last, as a hash; NULL = not yet */
  char *cpu_features;   /* what came of it */
} Link;

typedef struct {
  Hypervisor base;
  virConnectPtr conn;
  Link *link;
  bool local;           /* the host is this machine */
  int callbacks[8], n_callbacks;
  int node_callbacks[2], n_node_callbacks;
} Libvirt;

Link *link_new(const HypervisorOptions *options);
Link *link_ref(Link *link);
void link_unref(void *link);
bool link_lost(Link *link);
void link_tell(Link *link, HypervisorEventKind kind, const char *uuid, const char *detail);
/* Forgets what was known of uuid's definition. */
void link_forget(Link *link, const char *uuid);
/* The host announced that node device. */
void link_touch_device(Link *link, const char *name);

/* ── libvirt_events.c ───────────────────────────────────────────────────── */

/* Registers our event loop, once a process and before the first connection is opened; it runs in a thread of its own for ever. */
void events_start(void);
/* Asks for domain events (if wanted) and for the end of the connection. Events that a host does not know are left out. */
bool events_register(Libvirt *libvirt, const HypervisorOptions *options, GError **err);
void events_deregister(Libvirt *libvirt);

/* ── libvirt_error.c ────────────────────────────────────────────────────── */

/* Sets err from libvirt's last error of this thread and returns false. Nothing of libvirt's, not even virDomainGetName(), may
 * have been called since: it would have wiped that error. what: "start"; domain: NULL = none. */
bool libvirt_failed(const Libvirt *libvirt, const char *what, virDomainPtr domain, GError **err);
/* The same about a domain that was looked for. */
bool libvirt_find_failed(const Libvirt *libvirt, const char *uuid, GError **err);
/* The same while there is no connection yet. */
bool libvirt_open_failed(const char *host, GError **err);

/* ── libvirt_facts.c ────────────────────────────────────────────────────── */

/* The domain of a uuid, to be freed; NULL with NOT_FOUND. */
virDomainPtr domain_find(Libvirt *libvirt, const char *uuid, GError **err);
/* *ret_active: the host still holds it, be it crashed. */
bool domain_state_read(Libvirt *libvirt, virDomainPtr domain, DomainState *ret_state, bool *ret_active, GError **err);
void known_free(void *known);
bool libvirt_host(Hypervisor *hypervisor, HostFacts *ret_facts, GError **err);
bool libvirt_list(Hypervisor *hypervisor, GPtrArray **ret_domains, GError **err);
bool libvirt_look(Hypervisor *hypervisor, const char *uuid, DomainFacts **ret_facts, GError **err);
bool libvirt_addresses(Hypervisor *hypervisor, const char *uuid, GPtrArray **ret_addresses, GError **err);
bool libvirt_owner(Hypervisor *hypervisor, const char *uuid, DomainOwner *ret_owner, GError **err);

/* ── libvirt_devices.c ──────────────────────────────────────────────────── */

void seen_free(void *seen);
bool libvirt_devices(Hypervisor *hypervisor, GPtrArray **ret_devices, GError **err);
bool libvirt_mdev_create(Hypervisor *hypervisor, const char *parent, const char *type, const char *uuid, GError **err);
bool libvirt_mdev_destroy(Hypervisor *hypervisor, const char *uuid, GError **err);
bool libvirt_attach(Hypervisor *hypervisor, const char *uuid, const char *device_xml, GError **err);
bool libvirt_detach(Hypervisor *hypervisor, const char *uuid, const char *alias, int timeout_s, GError **err);

/* ── libvirt_migrate.c ──────────────────────────────────────────────────── */

bool libvirt_migrate(Hypervisor *hypervisor, const char *uuid, const Migration *migration, GError **err);
bool libvirt_migrate_stop(Hypervisor *hypervisor, const char *uuid, int timeout_s, GError **err);

/* ── libvirt_power.c, libvirt_serial.c ──────────────────────────────────── */

bool libvirt_power(Hypervisor *hypervisor, const char *uuid, DomainVerb verb, GError **err);

bool libvirt_serial(Hypervisor *hypervisor, const char *uuid, int64_t from, SerialText *ret_text, GError **err);
/* Whether uuid's serial line is wanted from the first byte of its next run. */
bool serial_armed(Libvirt *libvirt, const char *uuid);
/* Opens the console of a domain that was started paused. A failure is only logged: a domain that runs is worth more than its
 * first line. */
void serial_begin(Libvirt *libvirt, virDomainPtr domain);
/* Ends all collection, before the connection is closed. */
void serial_close(Libvirt *libvirt);
void serial_free(void *serial);

/* What the fake's files share: hosts, domains, the one thread that lets time pass. Asked by fake*.c alone. */
#pragma once

#include <pthread.h>

#include "drivers/hypervisor/fake.h"

typedef struct FakeHost FakeHost;
typedef struct FakeGuest FakeGuest;

/* 40,000 of them fit: what few domains have lives in FakeGuest. */
typedef struct {
  uint8_t uuid[16];         /* first: it is the key */
  char *name;
  char *desktop;            /* NULL: none */
  const char *controller;   /* in the host's texts; NULL: foreign */
  int64_t generation;
  FakeGuest *guest;         /* NULL until the first agent command, account or console key */
  int32_t memory_mib;
  uint16_t vcpus, port;
  uint32_t disks;           /* hash over its disks: another one is another guest */
  uint32_t runs;            /* how often it was started or reset: timers of an older run mean nothing */
  uint8_t state;            /* DomainState */
  char **devices;           /* "ALIAS DEVICE" of what runs, of the definition while it is off; the device as in DomainFacts.hostdevs, the alias may be "" */
  char **defined;           /* the same, of the definition */
  char *lease;              /* the address that the host says it has, or NULL */
  char *told;               /* the address that its agent says it has; NULL = one made of its UUID */
  uint8_t graphics;         /* bits 1 << CONSOLE_… */
  bool has_agent : 1, has_serial : 1;
  bool booted : 1, deaf : 1, agent_off : 1;
  bool transient : 1;       /* as DomainFacts.transient */
  bool sticky : 1;          /* its guest keeps the devices it is asked to let go of */
  bool leaving : 1;         /* it is on its way to another host */
  bool stop : 1;            /* and that is to end */
} FakeDomain;

/* How calls are disturbed; counts of -1 mean always. */
typedef struct {
  int fail, hang, slow_ms;
  Reason reason;
} FakeFault;

typedef struct {
  int cpus, boot_ms, shutdown_ms, latency_ms, console_port, migrate_ms;
  int cells, page_kib, huge_mib;
  int64_t memory_mib;
  char *cpu, *features;     /* features: words between commas; NULL = it tells none */
  char *ready, *state_path, *control_path;
  char *gpus;               /* directory of its cards, see drivers/gpu/fake_cards.h; NULL = it has none */
  bool xen;                 /* it passes for a Xen host */
} FakeParameters;

struct FakeHost {
  char *name;
  pthread_mutex_t lock;     /* all below; never held while a sink or a sleep runs */
  bool mute;                /* no event comes */
  pthread_cond_t changed;   /* release, thaw, lost connections */
  FakeParameters parameters;
  bool opened;              /* parameters are settled */
  bool dead, frozen;
  int64_t release;          /* counts `release` */
  int hung;
  FakeFault faults[N_FAKE_CALLS];
  FakeMigration way;        /* of the next ways migrations */
  int ways;
  int64_t calls[N_FAKE_CALLS];
  GHashTable *domains;      /* set of FakeDomain by uuid */
  GHashTable *names;        /* set of FakeDomain by name */
  GStringChunk *texts;      /* controllers, once each */
  GPtrArray *connections;   /* of FakeConnection, each a reference */
  int running, port, boots;
  int state_fd;             /* -1: nothing is kept */
  int64_t control_offset;
};

/* A connection; refs: its opener, the host's list, events on their way. */
typedef struct {
  Hypervisor base;
  FakeHost *host;
  int refs;                 /* behind the host's lock */
  bool lost;                /* behind the host's lock */
  GHashTable *serials;      /* behind the host's lock: uuid text → FakeSerial */
  bool domain_events;
  pthread_mutex_t sink_lock;
  bool closed;              /* behind sink_lock */
} FakeConnection;

typedef struct {
  GByteArray *ring;
  int64_t start;
  bool told;
} FakeSerial;

/* ── fake_world.c ───────────────────────────────────────────────────────── */

/* The host of that name, made if need be; hosts live until fake_forget(). */
FakeHost *fake_host(const char *name);
FakeHost *fake_host_find(const char *name);

/* In these, the host's lock is held by the caller. */
FakeDomain *fake_domain_find(FakeHost *host, const char *uuid);
FakeDomain *fake_domain_find_any(FakeHost *host, const char *name_or_uuid);
/* Adds domain, which the host owns from now on. */
void fake_domain_add(FakeHost *host, FakeDomain *domain);
void fake_domain_remove(FakeHost *host, FakeDomain *domain);
/* Text of g_uuid_string_is_valid(); other text gives a uuid that nobody has. */
void fake_uuid_parse(const char *text, uint8_t ret_uuid[16]);
void fake_domain_uuid(const FakeDomain *domain, char ret_text[UUID_TEXT_BYTES]);
void fake_domain_free(FakeDomain *domain);
static inline bool fake_is_active(const FakeDomain *domain)
{
  return domain->state == DOMAIN_ON || domain->state == DOMAIN_SUSPENDED;
}
/* Power as the hypervisor or the guest does it; tells events, keeps the state. */
void fake_domain_start(FakeHost *host, FakeDomain *domain);
void fake_domain_restart(FakeHost *host, FakeDomain *domain);
void fake_domain_set(FakeHost *host, FakeDomain *domain, DomainState state);
void fake_domain_ask_off(FakeHost *host, FakeDomain *domain);
void fake_domain_changed(FakeHost *host, const FakeDomain *domain);
/* Cards or mediated devices of the host changed. */
void fake_devices_changed(FakeHost *host);
void fake_domain_write(FakeHost *host, FakeDomain *domain, const char *line);
/* The time thread looks at control files from now on. Lock held. */
void fake_control_watch(void);
/* Every connection breaks. */
void fake_host_lose(FakeHost *host, const char *why);

FakeConnection *fake_connection_ref(FakeConnection *connection);
/* Frees with the last reference. */
void fake_connection_unref(FakeConnection *connection);

/* ── fake_control.c ─────────────────────────────────────────────────────── */

/* Takes the URI's parameters, opens state and control files. Lock held. BAD_URI. */
bool fake_parameters_take(FakeHost *host, const char *uri, GError **err);
void fake_parameters_clear(FakeParameters *parameters);
/* Obeys what was appended to the control file. Lock not held. */
void fake_control_poll(FakeHost *host);

/* ── fake_devices.c ─────────────────────────────────────────────────────── */

/* The devices of its definition, and beside each its alias; what runs keeps what it has. Lock held. */
void fake_devices_define(FakeDomain *domain, char **devices, char **aliases);
/* As DomainFacts.hostdevs, owned by the caller. Lock held. */
char **fake_devices_named(const FakeDomain *domain);
/* Takes the devices of a domain that starts; DOMAIN_GPU_MISSING names the one that is not there or not free. Lock held. */
bool fake_devices_hold(FakeHost *host, FakeDomain *domain, GError **err);
void fake_devices_let_go(FakeHost *host, FakeDomain *domain);
bool fake_devices(Hypervisor *hypervisor, GPtrArray **ret_devices, GError **err);
bool fake_mdev_create(Hypervisor *hypervisor, const char *parent, const char *type, const char *uuid, GError **err);
bool fake_mdev_destroy(Hypervisor *hypervisor, const char *uuid, GError **err);
bool fake_attach(Hypervisor *hypervisor, const char *uuid, const char *device_xml, GError **err);
bool fake_detach(Hypervisor *hypervisor, const char *uuid, const char *alias, int timeout_s, GError **err);

/* ── fake_migrate.c ─────────────────────────────────────────────────────── */

bool fake_migrate(Hypervisor *hypervisor, const char *uuid, const Migration *migration, GError **err);
bool fake_migrate_stop(Hypervisor *hypervisor, const char *uuid, int timeout_s, GError **err);

/* ── fake_driver.c ──────────────────────────────────────────────────────── */

/* Begins a call: takes the host's lock, and keeps it ⇔ true. connection is NULL for open. */
bool fake_enter(FakeHost *host, const FakeConnection *connection, FakeCall call, GError **err);
/* The same about one domain; NULL where it is not there. */
FakeDomain *fake_enter_domain(FakeConnection *connection, const char *uuid, FakeCall call, GError **err);
/* Gives the lock back; ok. */
bool fake_leave(FakeHost *host, bool ok);

/* ── fake_state.c: what survives the process ────────────────────────────── */

/* Lock held. IO. */
bool fake_state_open(FakeHost *host, GError **err);
void fake_state_domain(FakeHost *host, const FakeDomain *domain);
void fake_state_gone(FakeHost *host, const FakeDomain *domain);
void fake_state_account(FakeHost *host, const FakeDomain *domain, const char *account);

/* ── fake_guest.c: the inside of a guest ────────────────────────────────── */

/* Lock held. One agent command; JSON as qemu-ga answers. AGENT_REFUSED. */
bool fake_guest_ask(FakeHost *host, FakeDomain *domain, const char *json, char **ret_json, GError **err);
FakeGuest *fake_guest_ensure(FakeDomain *domain);
void fake_guest_free(FakeGuest *guest);
/* A new run: nobody is logged in, no process runs, files stay. */
void fake_guest_boot(FakeGuest *guest);
void fake_guest_login(FakeDomain *domain, const char *login);
void fake_guest_account(FakeDomain *domain, const char *login);
/* Accounts beyond the template's own, one after another, for the state file; borrowed. */
const GPtrArray *fake_guest_accounts(const FakeGuest *guest);

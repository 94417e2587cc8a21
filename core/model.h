/* The nouns of Sarang as field tables, and the batch of changes that goes to the store.
 * Objects are immutable once a batch is closed; core/state.h holds the live ones. */
#pragma once

#include "core/gpu.h"
#include "core/placement/demand.h"
#include "core/schema.h"

/* NOUN, "noun", "plural", Struct: hosts, storages … in the order in which a store loads them */
#define NOUNS(X) \
  X(CONTROLLER, "controller", "controllers", Controller) \
  X(HOST, "host", "hosts", Host) \
  X(GPU, "gpu", "gpus", Gpu) \
  X(GPU_CLASS, "gpu-class", "gpu-classes", GpuClass) \
  X(LICENCE, "licence", "licences", Licence) \
  X(STORAGE, "storage", "storages", Storage) \
  X(IMAGE, "image", "images", ImageVersion) \
  X(TEMPLATE, "template", "templates", TemplateVersion) \
  X(POOL, "pool", "pools", Pool) \
  X(USER, "user", "users", User) \
  X(RESERVATION, "reservation", "reservations", Reservation) \
  X(TOKEN, "token", "tokens", Token) \
  X(DESKTOP, "desktop", "desktops", Desktop) \
  X(VGPU, "vgpu", "vgpus", Vgpu) \
  X(SESSION, "session", "sessions", Session) \
  X(TICKET, "ticket", "tickets", Ticket) \
  X(RELAY, "relay", "relays", Relay) \
  X(TASK, "task", "tasks", Task) \
  X(DEMAND, "demand", "demands", DemandRow) \
  X(RECEIPT, "receipt", "receipts", Receipt) \
  X(EVENT, "event", "events", Event)

typedef enum {
#define X(name, noun, plural, Struct) NOUN_##name,
  NOUNS(X)
#undef X
  N_NOUNS
} Noun;

extern const Schema schemas[N_NOUNS];
/* NOUN_… of "desktop" or "desktops"; N_NOUNS where there is none. */
Noun noun_find(const char *text);

/* ── states ─────────────────────────────────────────────────────────────── */
#define HOST_STATES(X) \
  X(HOST_ENROLLING, "enrolling") X(HOST_UP, "up") X(HOST_DRAINING, "draining") X(HOST_MAINTENANCE, "maintenance") \
  X(HOST_UNREACHABLE, "unreachable") X(HOST_FENCED, "fenced")
ENUM_DECLARE(HostState, host_state, HOST_STATES, N_HOST_STATES)

#define DESKTOP_STATES(X) \
  X(DESKTOP_DEFINED, "defined") X(DESKTOP_PROVISIONING, "provisioning") X(DESKTOP_WAIT_READY, "wait-ready") \
  X(DESKTOP_AVAILABLE, "available") X(DESKTOP_ASSIGNED, "assigned") X(DESKTOP_USED, "used") X(DESKTOP_RESETTING, "resetting") \
  X(DESKTOP_ERROR, "error") X(DESKTOP_QUARANTINED, "quarantined") X(DESKTOP_MAINTENANCE, "maintenance") X(DESKTOP_LOST, "lost") \
  X(DESKTOP_RETIRING, "retiring")
ENUM_DECLARE(DesktopState, desktop_state, DESKTOP_STATES, N_DESKTOP_STATES)

#define POWER_STATES(X) \
  X(POWER_UNKNOWN, "unknown") X(POWER_OFF, "off") X(POWER_ON, "on") X(POWER_SUSPENDED, "suspended") X(POWER_SAVED, "saved") \
  X(POWER_CRASHED, "crashed")
ENUM_DECLARE(PowerState, power_state, POWER_STATES, N_POWER_STATES)

#define SESSION_STATES(X) \
  X(SESSION_REQUESTED, "requested") X(SESSION_QUEUED, "queued") X(SESSION_OFFERED, "offered") X(SESSION_ASSIGNED, "assigned") \
  X(SESSION_CONNECTING, "connecting") X(SESSION_ACTIVE, "active") X(SESSION_DISCONNECTED, "disconnected") \
  X(SESSION_WARNED, "warned") X(SESSION_ENDING, "ending") X(SESSION_ENDED, "ended")
ENUM_DECLARE(SessionState, session_state, SESSION_STATES, N_SESSION_STATES)

#define TASK_STATES(X) \
  X(TASK_PENDING, "pending") X(TASK_RUNNING, "running") X(TASK_WAITING, "waiting") \
  X(TASK_DONE, "done") X(TASK_FAILED, "failed") X(TASK_CANCELLED, "cancelled")
ENUM_DECLARE(TaskState, task_state, TASK_STATES, N_TASK_STATES)

#define TASK_KINDS(X) \
  X(TASK_PROVISION, "provision") X(TASK_PERSONALISE, "personalise") X(TASK_RESET, "reset") X(TASK_DESTROY, "destroy") \
  X(TASK_RECOVER, "recover") X(TASK_WAKE, "wake") X(TASK_HEAL, "heal") X(TASK_RESEED, "reseed") X(TASK_POWER, "power") X(TASK_IMPORT, "import") X(TASK_IMAGE_DELETE, "image-delete") \
  X(TASK_GPU_ATTACH, "gpu-attach") X(TASK_GPU_DETACH, "gpu-detach") X(TASK_MIGRATE, "migrate")
ENUM_DECLARE(TaskKind, task_kind, TASK_KINDS, N_TASK_KINDS)

/* How a desktop's memory gets to a host: through the connection of the two libvirtds, from QEMU to QEMU by TLS with the hosts' own certificates, or
 * so and open to whoever listens. */
#define MIGRATE_WAYS(X) X(MIGRATE_TUNNEL, "tunnel") X(MIGRATE_TLS, "tls") X(MIGRATE_PLAIN, "plain")
ENUM_DECLARE(MigrateWay, migrate_way, MIGRATE_WAYS, N_MIGRATE_WAYS)

#define POWER_VERBS(X) \
  X(VERB_NONE, "none") X(VERB_START, "start") X(VERB_SHUTDOWN, "shutdown") X(VERB_REBOOT, "reboot") X(VERB_RESET, "reset") X(VERB_DESTROY, "destroy") \
  X(VERB_SUSPEND, "suspend") X(VERB_RESUME, "resume") X(VERB_SAVE, "save") X(VERB_RESTORE, "restore") \
  X(VERB_DISCARD_SAVED, "discard-saved")
ENUM_DECLARE(PowerVerb, power_verb, POWER_VERBS, N_POWER_VERBS)

/* quarantined: by an operator; broken: the host says so; gone: the host no longer has it. Only a ready card gets new claims. */
#define GPU_STATES(X) X(GPU_READY, "ready") X(GPU_QUARANTINED, "quarantined") X(GPU_BROKEN, "broken") X(GPU_STATE_GONE, "gone") \
  X(GPU_UNSEEN, "unseen")
ENUM_DECLARE(GpuState, gpu_state, GPU_STATES, N_GPU_STATES)

/* A claim's life: durable, then made on the card, then in a domain that was started; at the end it is let go of, and ends when the card no
 * longer has it. */
#define VGPU_STATES(X) X(VGPU_CLAIMED, "claimed") X(VGPU_MADE, "made") X(VGPU_ATTACHED, "attached") X(VGPU_RELEASING, "releasing")
ENUM_DECLARE(VgpuState, vgpu_state, VGPU_STATES, N_VGPU_STATES)

#define IMAGE_STATES(X) X(IMAGE_IMPORTING, "importing") X(IMAGE_READY, "ready") X(IMAGE_FAILED, "failed") X(IMAGE_DELETING, "deleting")
ENUM_DECLARE(ImageState, image_state, IMAGE_STATES, N_IMAGE_STATES)
#define IMAGE_FORMATS(X) X(FORMAT_QCOW2, "qcow2") X(FORMAT_RAW, "raw")
ENUM_DECLARE(ImageFormat, image_format, IMAGE_FORMATS, N_IMAGE_FORMATS)

#define POOL_KINDS(X) X(POOL_FLOATING, "floating") X(POOL_DEDICATED, "dedicated")
ENUM_DECLARE(PoolKind, pool_kind, POOL_KINDS, N_POOL_KINDS)
#define POOL_STATES(X) X(POOL_READY, "ready") X(POOL_RESTRAINED, "restrained") X(POOL_PAUSED, "paused") X(POOL_DELETING, "deleting")
ENUM_DECLARE(PoolState, pool_state, POOL_STATES, N_POOL_STATES)
/* short: its time has come, and fewer desktops are held than were asked for. */
#define RESERVATION_STATES(X) X(RESERVATION_PLANNED, "planned") X(RESERVATION_SHORT, "short") X(RESERVATION_HELD, "held")
ENUM_DECLARE(ReservationState, reservation_state, RESERVATION_STATES, N_RESERVATION_STATES)
#define DISK_MODES(X) X(DISK_OVERLAY, "overlay") X(DISK_COPY, "copy")
ENUM_DECLARE(DiskMode, disk_mode, DISK_MODES, N_DISK_MODES)
#define PERSONALISE_MODES(X) \
  X(PERSONALISE_TEMPLATE, "template") X(PERSONALISE_AGENT, "agent") X(PERSONALISE_SEED, "seed") X(PERSONALISE_NONE, "none")
ENUM_DECLARE(PersonaliseMode, personalise_mode, PERSONALISE_MODES, N_PERSONALISE_MODES)
#define POOL_POLICIES(X) X(PLACE_AUTO, "auto") X(PLACE_SPREAD, "spread") X(PLACE_PACK, "pack") X(PLACE_FRAGMENTS, "fragments")
ENUM_DECLARE(PoolPolicy, pool_policy, POOL_POLICIES, N_POOL_POLICIES)
#define POOL_REBALANCES(X) X(REBALANCE_NEVER, "never") X(REBALANCE_WINDOW, "window") X(REBALANCE_ALWAYS, "always")
ENUM_DECLARE(PoolRebalance, pool_rebalance, POOL_REBALANCES, N_POOL_REBALANCES)
#define POOL_NUMAS(X) X(NUMA_TEMPLATE, "template") X(NUMA_ONE_CELL, "one-cell") X(NUMA_NEAR, "near")
ENUM_DECLARE(PoolNuma, pool_numa, POOL_NUMAS, N_POOL_NUMAS)
/* The NUMA cell that a desktop is bound to: by the host's numbers. */
#define NUMA_CELLS(X) \
  X(CELL_ANY, "any") X(CELL_0, "0") X(CELL_1, "1") X(CELL_2, "2") X(CELL_3, "3") X(CELL_4, "4") X(CELL_5, "5") X(CELL_6, "6") X(CELL_7, "7")
ENUM_DECLARE(NumaCell, numa_cell, NUMA_CELLS, N_NUMA_CELLS)
#define CLIPBOARD_MODES(X) \
  X(CLIPBOARD_BOTH, "both") X(CLIPBOARD_TO_GUEST, "to-guest") X(CLIPBOARD_FROM_GUEST, "from-guest") X(CLIPBOARD_NONE, "none")
ENUM_DECLARE(ClipboardMode, clipboard_mode, CLIPBOARD_MODES, N_CLIPBOARD_MODES)

#define ROLES(X) X(ROLE_USER, "user") X(ROLE_VIEWER, "viewer") X(ROLE_OPERATOR, "operator") X(ROLE_ADMINISTRATOR, "administrator")
ENUM_DECLARE(Role, role, ROLES, N_ROLES)
#define TOKEN_KINDS(X) X(TOKEN_LOGIN, "login") X(TOKEN_API, "api")
ENUM_DECLARE(TokenKind, token_kind, TOKEN_KINDS, N_TOKEN_KINDS)

#define END_REASONS(X) \
  X(END_NONE, "none") X(END_BY_USER, "by-user") X(END_BY_OPERATOR, "by-operator") X(END_TIMEOUT, "disconnected-too-long") \
  X(END_FAILED, "failed") X(END_HOST_LOST, "host-lost") X(END_POOL_DELETED, "pool-deleted") X(END_CANCELLED, "cancelled") \
  X(END_DENIED, "denied") X(END_OVER, "time-over") X(END_OFFER, "offer-expired")
ENUM_DECLARE(EndReason, end_reason, END_REASONS, N_END_REASONS)

/* denied: refused for want of room each time; given-up: taken into line, and gone before there was a desktop. */
#define DEMAND_OUTCOMES(X) X(DEMAND_DENIED, "denied") X(DEMAND_GRANTED, "granted") X(DEMAND_GIVEN_UP, "given-up")
ENUM_DECLARE(DemandOutcome, demand_outcome, DEMAND_OUTCOMES, N_DEMAND_OUTCOMES)

/* ── fields: F(type, name, flags, names, min, max, help) ────────────────── */

/* The one row about ourselves: who we are to the hosts, and how far each kind of number has been handed out. */
#define CONTROLLER_FIELDS(F) \
  F(TEXT, uuid, 0, NULL, 0, 36, "marks what is ours on the hosts") \
  F(INT, numbers, 0, NULL, 0, INT64_MAX, "no object's number at or above this was ever handed out") \
  F(BOOL, restored, 0, NULL, 0, 0, "a backup was put in place since the last start: what it says of hosts is old") \
  F(INT, doubtful, 0, NULL, 0, INT64_MAX, "domains of numbers below may be of desktops that a backup did not know: never removed")

#define HOST_FIELDS(F) \
  F(TEXT, uri, F_IN | F_NEED | F_COL, NULL, 0, 1024, "libvirt URI of the host; on the controller itself also fake:NAME, for tests") \
  F(ENUM, state, F_COL, &host_state_names, 0, 0, "enrolling, up, draining, maintenance, unreachable or fenced") \
  F(TEXT, console_address, F_ADDRESS | F_IN | F_CHANGE | F_WIDE, NULL, 0, 255, "the IP address where the gateway reaches this host's consoles; absent = 127.0.0.1, or for a host elsewhere the one in its URI") \
  F(TEXT, ssh_address, F_ADDRESS | F_IN | F_CHANGE | F_WIDE, NULL, 0, 255, "where its files are reached by SSH, or local; absent = not at all, and its cards give mediated devices alone") \
  F(INT, ssh_port, F_IN | F_CHANGE | F_WIDE, NULL, 0, 65535, "port of its SSH; 0 = 22") \
  F(TEXT, ssh_user, F_IN | F_CHANGE | F_WIDE, NULL, 0, 63, "who logs in there (default root)") \
  F(TEXT, ssh_key, F_PATH | F_IN | F_CHANGE | F_WIDE, NULL, 0, 1024, "file on the controller with the private key to log in with") \
  F(TEXT, ssh_host_key, F_IN | F_CHANGE | F_WIDE, NULL, 0, 100, "fingerprint of the host's own key, SHA256:… as ssh-keygen -l tells it") \
  F(TEXT, migrate_uri, F_IN | F_CHANGE | F_WIDE, NULL, 0, 1024, "URI at which the other hosts reach its libvirtd, for live migration; absent = its own where that names a host") \
  F(ENUM, migrate_way, F_IN | F_CHANGE | F_WIDE, &migrate_way_names, 0, 0, "how a desktop's memory comes to it: tunnel (through the hosts' libvirtds, as safe as that connection), tls (from QEMU to QEMU, with the hosts' certificates) or plain") \
  F(INT, migrate_mib_s, F_IN | F_CHANGE | F_WIDE, NULL, 0, 1 << 20, "MiB of memory a second that a desktop may send to another host; 0 = as fast as it goes") \
  F(INT, migrate_pause_ms, F_IN | F_CHANGE | F_WIDE, NULL, 0, 60000, "how long a desktop may stand still when it leaves, in milliseconds; 0 = as the hypervisor has it (300)") \
  F(INT, vcpus, F_IN | F_CHANGE | F_WIDE, NULL, 0, 65536, "virtual CPUs to hand out; 0 = four for each of the host's own") \
  F(INT, memory_mib, F_IN | F_CHANGE | F_WIDE, NULL, 0, 1 << 30, "memory to hand out in MiB; 0 = all but a tenth") \
  F(INT, cpu_overcommit_pct, F_IN | F_CHANGE | F_WIDE, NULL, 0, 10000, "virtual CPUs to hand out for 100 of the host's own, where vcpus is 0; 0 = 400") \
  F(INT, cpu_reserve, F_IN | F_CHANGE | F_WIDE, NULL, 0, 65536, "virtual CPUs of these that stay the host's") \
  F(INT, memory_overcommit_pct, F_IN | F_CHANGE | F_WIDE, NULL, 0, 1000, "memory to hand out in percent of the host's, where memory_mib is 0; 0 = 100") \
  F(INT, memory_reserve_mib, F_IN | F_CHANGE | F_WIDE, NULL, 0, 1 << 30, "MiB of these that stay the host's; 0 = a tenth of the host's memory") \
  F(LIST, labels, F_IN | F_CHANGE | F_WIDE, NULL, 0, 64, "what pools may ask of their hosts, such as rack-a") \
  F(BOOL, drain, F_WIDE, NULL, 0, 0, "an operator wants it empty: no new desktops, and floating ones go as soon as nobody holds them") \
  F(BOOL, leaving, F_WIDE, NULL, 0, 0, "and what runs there is moved to other hosts meanwhile") \
  F(INT, starts, F_IN | F_CHANGE | F_WIDE, NULL, 1, 64, "desktops that may be starting at the same time (default 4)") \
  F(TEXT, uuid, F_WIDE, NULL, 0, 36, "as the host tells it") \
  F(TEXT, hostname, F_WIDE, NULL, 0, 255, "as the host tells it") \
  F(TEXT, virt_type, F_COL, NULL, 0, 16, "kvm, qemu (no acceleration), xen or test") \
  F(TEXT, hypervisor, F_WIDE, NULL, 0, 64, "hypervisor and version") \
  F(INT, host_cpus, F_WIDE, NULL, 0, INT64_MAX, "CPUs of the machine") \
  F(INT, host_memory_mib, F_WIDE, NULL, 0, INT64_MAX, "memory of the machine in MiB") \
  F(INT, huge_mib, F_WIDE, NULL, 0, INT64_MAX, "of that, memory in huge pages, in MiB: handed out apart, to desktops whose templates ask for it") \
  F(INT, page_kib, F_WIDE, NULL, 0, INT64_MAX, "size of these pages in KiB; 0 = it has none") \
  F(JSON, cells, 0, NULL, 0, 16384, "its NUMA cells: CPUs, memory, and of that huge pages, in MiB") \
  F(REF, cpu_model, F_WIDE, NULL, 0, 63, "model of its CPUs, as libvirt calls it") \
  F(REF, cpu_features, 0, NULL, 0, 16384, "what its guests may require of their CPU: features and models; absent = not known") \
  F(JSON, error, F_COL, NULL, 0, 4096, "why it is not up") \
  F(JSON, stays, F_WIDE, NULL, 0, 4096, "which of its desktops cannot be moved away, and why") \
  F(JSON, cards_error, F_WIDE, NULL, 0, 4096, "why its graphics cards could not be looked at") \
  F(TIME, seen, F_WIDE | F_SEEN, NULL, 0, 0, "when it answered last")

/* A graphics card of a host, as it was seen last. */
#define GPU_FIELDS(F) \
  F(REF, host, F_COL, NULL, 0, 63, "the host it is in") \
  F(TEXT, address, F_COL, NULL, 0, 12, "PCI address") \
  F(ENUM, backend, F_COL, &gpu_backend_names, 0, 0, "how parts of it are given: mdev, vendor-vf, sr-iov, mig or whole") \
  F(ENUM, state, F_COL, &gpu_state_names, 0, 0, "ready, quarantined (by an operator), broken, gone, or unseen (the host does not tell enough of it, or it is not what its claims are on)") \
  F(TIME, since, F_WIDE, NULL, 0, 0, "when it came into this state") \
  F(REF, vendor, F_COL, NULL, 0, 200, "who made it") \
  F(REF, model, F_COL, NULL, 0, 200, "what it is called") \
  F(REF, pci_id, F_WIDE, NULL, 0, 9, "vendor and device, such as 10de:2235") \
  F(REF, driver, F_WIDE, NULL, 0, 63, "the host's driver that has it") \
  F(TEXT, serial, F_WIDE, NULL, 0, 100, "as the card tells it") \
  F(INT, numa_node, F_WIDE, NULL, -1, 4096, "-1 = none") \
  F(INT, iommu_group, F_WIDE, NULL, -1, 1 << 20, "-1 = none") \
  F(BOOL, same_type_only, F_WIDE, NULL, 0, 0, "all its parts must be of one type at a time") \
  F(BOOL, console, F_WIDE, NULL, 0, 0, "the host's own screen is on it") \
  F(BOOL, quarantined, F_WIDE, NULL, 0, 0, "an operator keeps it from new claims, whatever else becomes of it") \
  F(BOOL, give_console, F_CHANGE | F_WIDE, NULL, 0, 0, "may be given away although the host's own screen is on it") \
  F(INT, used, F_COL, NULL, 0, 10000, "parts in use, whoever has them") \
  F(INT, foreign_parts, F_COL, NULL, 0, 10000, "of these, parts that are not ours: never touched") \
  F(JSON, types, 0, NULL, 0, 65536, "what it can give, and how much of it now") \
  F(JSON, parts, 0, NULL, 0, 65536, "what it has given") \
  F(JSON, error, F_WIDE, NULL, 0, 4096, "why it is not ready, or how it differs from the claims") \
  F(TIME, seen, F_WIDE, NULL, 0, 0, "when it was last seen otherwise than before")

/* What people ask for. */
#define GPU_CLASS_FIELDS(F) \
  F(TEXT, title, F_IN | F_CHANGE | F_TITLE | F_COL, NULL, 0, 200, "for people") \
  F(LIST, accepts, F_IN | F_CHANGE | F_NEED | F_COL, NULL, 0, 64, "acceptable types, best first: nvidia-558, whole:10de:2235 for a whole card, mib:8192 for any with so much framebuffer") \
  F(ENUM, display, F_IN | F_CHANGE | F_COL, &gpu_display_names, 0, 0, "off, on (it is the guest's screen; mediated devices alone) or ramfb (on, from the first line of boot)") \
  F(INT, heads, F_IN | F_CHANGE | F_COL, NULL, 0, 16, "screens a part must be able to have, where its type tells them (NVIDIA's vGPUs do; functions as they are and whole cards are taken as named); 0 = any")

/* A counted right to use something in a desktop: seats, of which a session holds some as long as it holds a desktop. */
#define LICENCE_FIELDS(F) \
  F(TEXT, title, F_IN | F_CHANGE | F_TITLE | F_COL, NULL, 0, 200, "for people") \
  F(INT, total, F_IN | F_CHANGE | F_NEED | F_COL, NULL, 0, 1000000, "seats there are; fewer than are held takes none away, and gives none until enough sessions have ended") \
  F(INT, held, F_COL | F_SEEN, NULL, 0, INT64_MAX, "seats that sessions hold") \
  F(INT, waiting, F_COL | F_SEEN, NULL, 0, INT64_MAX, "sessions in line in pools that want some of it") \
  F(TEXT, vendor, F_IN | F_CHANGE | F_WIDE, NULL, 0, 200, "who sells it") \
  F(TEXT, note, F_IN | F_CHANGE | F_WIDE, NULL, 0, 500, "for operators, such as the contract") \
  F(JSON, error, F_WIDE | F_SEEN, NULL, 0, 4096, "why it gives no more, where more are held than there are")

#define STORAGE_FIELDS(F) \
  F(TEXT, path, F_PATH | F_IN | F_NEED | F_COL, NULL, 0, 1024, "directory as the hosts see it") \
  F(TEXT, controller_path, F_PATH | F_IN | F_CHANGE | F_WIDE, NULL, 0, 1024, "the same directory as the controller sees it; absent = only through the hosts") \
  F(LIST, hosts, F_IN | F_CHANGE | F_COL, NULL, 0, 10000, "hosts that have it; empty = all, it is shared") \
  F(BOOL, coherent, F_IN | F_CHANGE | F_WIDE, NULL, 0, 0, "its hosts see each other's writes at once, which libvirt asks of shared storage before a desktop moves: set it where libvirt does not know the file system") \
  F(INT, disks_mib, F_IN | F_CHANGE | F_WIDE, NULL, 0, INT32_MAX, "MiB of desktops' disks that it takes, each counted at its full size; 0 = by disk_overcommit_pct") \
  F(INT, disk_overcommit_pct, F_IN | F_CHANGE | F_WIDE, NULL, 0, 100000, "disks that it takes in percent of its measured size less its images, where disks_mib is 0; 0 = disks are not counted") \
  F(INT, total_bytes, F_WIDE | F_SEEN, NULL, 0, INT64_MAX, "size of the file system in bytes; 0 = not measured yet") \
  F(INT, free_bytes, F_COL | F_SEEN, NULL, 0, INT64_MAX, "free in bytes, as measured last") \
  F(JSON, error, F_WIDE | F_SEEN, NULL, 0, 4096, "why it cannot be used")

/* One version of an image; its name is FAMILY@VERSION. */
#define IMAGE_FIELDS(F) \
  F(REF, family, F_IN | F_NEED | F_NAME, NULL, 0, 63, "what its versions are called together") \
  F(INT, version, F_COL, NULL, 1, INT64_MAX, "counts up with each import") \
  F(ENUM, state, F_COL, &image_state_names, 0, 0, "importing, ready, failed or deleting") \
  F(ENUM, format, F_IN | F_NEED | F_COL, &image_format_names, 0, 0, "qcow2 or raw; never guessed") \
  F(LIST, storages, F_IN | F_NEED | F_COL, NULL, 0, 1000, "storages that hold a copy") \
  F(TEXT, source, F_PATH | F_IN | F_NEED | F_WIDE, NULL, 0, 4096, "file it is imported from, on the controller") \
  F(TEXT, kernel, F_PATH | F_IN | F_WIDE, NULL, 0, 4096, "kernel to boot directly, a file on the hosts") \
  F(TEXT, initrd, F_PATH | F_IN | F_WIDE, NULL, 0, 4096, "its initial RAM disk, a file on the hosts") \
  F(TEXT, volume, F_WIDE, NULL, 0, 255, "name of its volume") \
  F(TEXT, sha256, F_WIDE, NULL, 0, 64, "of the source's bytes") \
  F(INT, size_bytes, F_WIDE, NULL, 0, INT64_MAX, "of the file in bytes") \
  F(INT, virtual_bytes, F_COL, NULL, 0, INT64_MAX, "size of the disk it holds in bytes") \
  F(REF, task, F_WIDE, NULL, 0, 63, "what works on it") \
  F(JSON, error, F_WIDE, NULL, 0, 4096, "why it failed")

/* One version of a template; its name is FAMILY@VERSION. */
#define TEMPLATE_FIELDS(F) \
  F(REF, family, F_IN | F_NEED | F_NAME | F_COL, NULL, 0, 63, "what its versions are called together") \
  F(INT, version, F_COL, NULL, 1, INT64_MAX, "counts up with each change") \
  F(TEXT, title_en, F_COL, NULL, 0, 200, "for people, in English") \
  F(TEXT, title_ko, F_WIDE, NULL, 0, 200, "for people, in Korean") \
  F(INT, vcpus, F_COL, NULL, 0, 512, "virtual CPUs it gives where a pool says nothing else") \
  F(INT, memory_mib, F_COL, NULL, 0, 1 << 24, "memory in MiB it gives where a pool says nothing else") \
  F(INT, ready_s, F_WIDE, NULL, 0, 86400, "seconds a desktop may take to be ready") \
  F(BOOL, agent, F_WIDE, NULL, 0, 0, "its guests run the guest agent") \
  F(BOOL, seed, F_WIDE, NULL, 0, 0, "its guests read a NoCloud seed") \
  F(ENUM, personalise, F_WIDE, &personalise_mode_names, 0, 0, "how a person's account gets in, where a pool says nothing else") \
  F(TEXT, autologin, F_WIDE, NULL, 0, 63, "account that may be logged in while nobody has the desktop") \
  F(REF, gpu_class, F_WIDE, NULL, 0, 63, "GPU class of its desktops where a pool says nothing else") \
  F(REF, gpu_parameter, F_WIDE, NULL, 0, 63, "its parameter that names a GPU class") \
  F(BOOL, gpu_needed, F_WIDE, NULL, 0, 0, "its desktops get a part of a graphics card, or are not made") \
  F(BOOL, guest_screen, F_WIDE, NULL, 0, 0, "people are shown a VNC server in the guest, not the host's screen") \
  F(BOOL, huge_pages, F_WIDE, NULL, 0, 0, "its memory is huge pages of the host") \
  F(BOOL, one_cell, F_WIDE, NULL, 0, 0, "memory and CPUs are of one NUMA cell of the host") \
  F(BOOL, near, F_WIDE, NULL, 0, 0, "of the cell that its part of a graphics card hangs on") \
  F(BOOL, cpu_of_host, 0, NULL, 0, 0, "its CPU is the host's own: it moves between hosts of one CPU alone") \
  F(INT, page_kib, F_WIDE, NULL, 0, INT64_MAX, "size of its huge pages in KiB; 0 = whatever the host has") \
  F(LIST, cpu, F_WIDE, NULL, 0, 1024, "features, and the model, that it requires of the host's CPU") \
  F(TEXT, xml, F_LINES | F_IN | F_NEED, NULL, 0, 1 << 20, "the libvirt domain XML") \
  F(LIST, waive, F_IN | F_WIDE, NULL, 0, 64, "policy rules an administrator waives for it")

#define POOL_FIELDS(F) \
  F(TEXT, title, F_IN | F_CHANGE | F_TITLE | F_WIDE, NULL, 0, 200, "for people") \
  F(ENUM, kind, F_IN | F_COL, &pool_kind_names, 0, 0, "floating (reset after use) or dedicated (stays its owner's)") \
  F(ENUM, state, F_COL, &pool_state_names, 0, 0, "ready, restrained (growth stopped by errors), paused or deleting") \
  F(REF, template, F_IN | F_CHANGE | F_NEED | F_COL, NULL, 0, 80, "template; a version by NAME@N, else the newest") \
  F(REF, image, F_IN | F_CHANGE | F_NEED | F_COL, NULL, 0, 80, "image; a version by NAME@N, else the newest that is ready") \
  F(LIST, storages, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 1000, "storages it may use; empty = where the image is") \
  F(LIST, hosts, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 10000, "hosts it may use; empty = all") \
  F(LIST, labels, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 64, "labels that a host of its desktops must have") \
  F(LIST, prefers, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 64, "labels that a host of its desktops should have") \
  F(ENUM, policy, F_IN | F_CHANGE | F_WIDE | F_STAFF, &pool_policy_names, 0, 0, "which host is best: spread (the emptiest), pack (the fullest), fragments (where the least of what cards could give is lost), or auto: fragments with a GPU class, else spread") \
  F(LIST, weights, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 16, "rules of the policy weighed otherwise, 0 to 100: keep-gpu=0, image=50") \
  F(TEXT, group, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 63, "its desktops count as of this group, with those of other pools") \
  F(ENUM, group_rule, F_IN | F_CHANGE | F_WIDE | F_STAFF, &group_rule_names, 0, 0, "together (on hosts that have one of the group), apart (one of the group a host) or none") \
  F(ENUM, numa, F_IN | F_CHANGE | F_WIDE | F_STAFF, &pool_numa_names, 0, 0, "template (as that says), one-cell (memory and CPUs of a desktop are of one NUMA cell) or near (of the one that its part of a graphics card hangs on)") \
  F(ENUM, rebalance, F_IN | F_CHANGE | F_WIDE | F_STAFF, &pool_rebalance_names, 0, 0, "whether its desktops may be moved to other hosts, as they run, to make room for a pool without: never, window (at the hours of rebalance_window) or always") \
  F(TEXT, rebalance_window, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 11, "these hours, each day, by the controller's clock: 22:00-06:00") \
  F(INT, rebalance_per_hour, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 1000, "how many of its desktops may be moved so within an hour; 0 = 12") \
  F(INT, rebalance_moves, F_WIDE | F_STAFF, NULL, 0, INT64_MAX, "how many were in the hour that began with the first of them") \
  F(TIME, rebalance_since, F_WIDE | F_STAFF, NULL, 0, 0, "when that was") \
  F(JSON, rebalance_error, F_WIDE | F_STAFF, NULL, 0, 4096, "why no moves make room for what it lacks") \
  F(INT, rebalance_fails, F_STAFF, NULL, 0, INT64_MAX, "how many of these moves failed since it had what it wants") \
  F(TIME, rebalance_next, F_WIDE | F_STAFF, NULL, 0, 0, "no moves are tried before, as one failed") \
  F(ENUM, disk, F_IN | F_WIDE, &disk_mode_names, 0, 0, "overlay on the image, or a full copy of it") \
  F(ENUM, personalise, F_IN | F_CHANGE | F_WIDE, &personalise_mode_names, 0, 0, "how a person's account gets in: agent, seed (the desktop is started anew with it), none, or as the template says (default)") \
  F(ENUM, clipboard, F_IN | F_CHANGE | F_WIDE, &clipboard_mode_names, 0, 0, "both, to-guest, from-guest or none") \
  F(INT, min, F_IN | F_CHANGE | F_COL, NULL, 0, 100000, "desktops that always exist") \
  F(INT, spare, F_IN | F_CHANGE | F_COL, NULL, 0, 100000, "desktops kept available beyond those in use") \
  F(INT, max, F_IN | F_CHANGE | F_NEED | F_COL, NULL, 0, 100000, "desktops it may have at most") \
  F(INT, surplus_s, F_IN | F_CHANGE | F_WIDE, NULL, 0, 31536000, "seconds after which desktops beyond min and spare are destroyed; 0 = 1800") \
  F(INT, surplus, F_STAFF, NULL, 0, INT64_MAX, "desktops that were too many all that time") \
  F(TIME, surplus_since, F_STAFF, NULL, 0, 0, "since when") \
  F(INT, vcpus, F_IN | F_CHANGE | F_WIDE, NULL, 0, 512, "virtual CPUs of a desktop; 0 = as the template says") \
  F(INT, memory_mib, F_IN | F_CHANGE | F_WIDE, NULL, 0, 1 << 24, "memory of a desktop in MiB; 0 = as the template says") \
  F(REF, gpu_class, F_IN | F_CHANGE | F_WIDE, NULL, 0, 63, "GPU class of a desktop; absent = as the template says") \
  F(INT, gpus, F_IN | F_CHANGE | F_WIDE, NULL, 0, 8, "parts of that class a desktop gets; 0 = one where there is a class") \
  F(LIST, licences, F_IN | F_CHANGE | F_WIDE, NULL, 0, LICENCES_MOST, "seats of licences that a session holds with its desktop: cad=1, sim=2") \
  F(TEXT, network, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 63, "libvirt network, or bridge:NAME; absent = as the template says") \
  F(JSON, parameters, F_IN | F_CHANGE | F_STAFF, NULL, 0, 65536, "values for the template's parameters") \
  F(LIST, users, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 100000, "who may use it; empty = everyone") \
  F(INT, disconnected_s, F_IN | F_CHANGE | F_WIDE, NULL, 0, 31536000, "seconds a session may stay disconnected before it ends; 0 = for ever") \
  F(INT, lasts_s, F_IN | F_CHANGE | F_WIDE, NULL, 0, 31536000, "seconds a session may last from when it gets its desktop; then it ends. 0 = for ever") \
  F(INT, warn_s, F_IN | F_CHANGE | F_WIDE, NULL, 0, 31536000, "seconds before that end at which a session is warned; 0 = 300") \
  F(INT, offer_s, F_IN | F_CHANGE | F_WIDE, NULL, 0, 31536000, "seconds for which a desktop is held for a session that has not connected yet; 0 = 600") \
  F(INT, errors, F_WIDE | F_STAFF, NULL, 0, INT64_MAX, "failures that count for the brake") \
  F(TIME, errors_since, F_STAFF, NULL, 0, 0, "when the first of them was") \
  F(JSON, error, F_WIDE | F_STAFF, NULL, 0, 4096, "why it is restrained")

#define USER_FIELDS(F) \
  F(TEXT, title, F_IN | F_CHANGE | F_TITLE | F_COL, NULL, 0, 200, "the person's name") \
  F(ENUM, role, F_IN | F_CHANGE | F_COL, &role_names, 0, 0, "user, viewer, operator or administrator") \
  F(TEXT, password_hash, F_SECRET, NULL, 0, 128, "argon2id; absent = no login by password") \
  F(TEXT, guest_hash, F_SECRET, NULL, 0, 128, "crypt(3) hash set in guests; absent = no password there") \
  F(LIST, ssh_keys, F_IN | F_CHANGE, NULL, 0, 64, "public keys put into the person's desktops") \
  F(TEXT, locale, F_IN | F_CHANGE | F_WIDE, NULL, 0, 32, "such as ko_KR.UTF-8") \
  F(BOOL, disabled, F_IN | F_CHANGE | F_COL, NULL, 0, 0, "may not log in; tokens and consoles end")

/* Desktops of a pool that are kept for some people, or for those to come, for a time. */
#define RESERVATION_FIELDS(F) \
  F(TEXT, title, F_IN | F_CHANGE | F_TITLE | F_WIDE, NULL, 0, 200, "for people") \
  F(REF, pool, F_IN | F_NEED | F_NAME | F_COL, NULL, 0, 63, "whose desktops are kept: a floating pool") \
  F(INT, count, F_IN | F_CHANGE | F_NEED | F_COL, NULL, 1, 100000, "desktops that are kept") \
  F(ENUM, state, F_COL, &reservation_state_names, 0, 0, "planned (its time has not come), short (fewer are held than were asked for) or held") \
  F(TIME, from, F_COL, NULL, 0, 0, "from when they are to be ready") \
  F(TIME, until, F_COL, NULL, 0, 0, "until when they are kept") \
  F(INT, lead_s, F_IN | F_CHANGE | F_WIDE, NULL, 0, 604800, "seconds before that at which they begin to be made, and kept from others; 0 = 900") \
  F(LIST, users, F_IN | F_CHANGE | F_WIDE | F_STAFF, NULL, 0, 1000, "for whom; empty = whoever may use the pool") \
  F(INT, fits, F_WIDE, NULL, 0, 100000, "desktops that there was room for when it was made or changed") \
  F(INT, held, F_COL | F_SEEN, NULL, 0, INT64_MAX, "desktops that are held for it: in use by its people, ready, or on their way") \
  F(INT, ready, F_WIDE | F_SEEN, NULL, 0, INT64_MAX, "of these, desktops that are ready to be given") \
  F(INT, used, F_COL | F_SEEN, NULL, 0, INT64_MAX, "of these, desktops that its people have") \
  F(JSON, error, F_WIDE | F_SEEN | F_STAFF, NULL, 0, 4096, "why there is no room for all of it, or was none when it was made")

#define TOKEN_FIELDS(F) \
  F(REF, user, F_IN | F_NAME | F_COL, NULL, 0, 63, "whose it is") \
  F(ENUM, kind, F_COL, &token_kind_names, 0, 0, "login (a browser's) or api") \
  F(TEXT, title, F_IN | F_TITLE | F_COL, NULL, 0, 200, "what it is for") \
  F(TEXT, hash, F_SECRET, NULL, 0, 64, "SHA-256 of the secret, hexadecimal") \
  F(TIME, expires, F_COL, NULL, 0, 0, "when it ends") \
  F(TIME, used, F_COL, NULL, 0, 0, "when it was used last, to some minutes")

#define DESKTOP_FIELDS(F) \
  F(REF, pool, F_COL, NULL, 0, 63, "the pool it belongs to") \
  F(ENUM, state, F_COL, &desktop_state_names, 0, 0, "where it is in its life") \
  F(ENUM, power, F_COL, &power_state_names, 0, 0, "as last seen on its host") \
  F(ENUM, want_power, F_WIDE, &power_state_names, 0, 0, "as it should be") \
  F(ENUM, cell, F_WIDE, &numa_cell_names, 0, 0, "the NUMA cell of its host that its memory and CPUs are claimed in, or any") \
  F(REF, host, F_COL, NULL, 0, 63, "the host it lives on") \
  F(REF, moving, F_WIDE, NULL, 0, 63, "the host it is on its way to: claimed there too") \
  F(TIME, moved, F_WIDE, NULL, 0, 0, "when it was last sent to another host to make room there for others") \
  F(REF, storage, F_WIDE, NULL, 0, 63, "the storage of its disk") \
  F(REF, template, F_WIDE, NULL, 0, 80, "template version it was made from") \
  F(REF, image, F_WIDE, NULL, 0, 80, "image version its disk stands on") \
  F(TEXT, mac, F_WIDE, NULL, 0, 17, "address of its network card, for life") \
  F(INT, clone, F_WIDE, NULL, 0, INT64_MAX, "generation of its disk: a reset makes the next") \
  F(INT, vcpus, F_WIDE, NULL, 0, 512, "claimed on its host") \
  F(INT, memory_mib, F_WIDE, NULL, 0, 1 << 24, "claimed on its host, in MiB") \
  F(REF, gpu_class, F_WIDE, NULL, 0, 63, "GPU class it was made with") \
  F(INT, gpus, F_WIDE, NULL, 0, 8, "parts of that class it has a right to") \
  F(INT, unplugged, F_WIDE | F_SLOTS, NULL, 0, 255, "which of these an operator has taken out of this generation: a bit a slot") \
  F(REF, owner, F_COL, NULL, 0, 63, "whose it is, in a dedicated pool") \
  F(TEXT, session, F_COL, NULL, 0, 63, "the session that holds it") \
  F(TEXT, task, F_WIDE, NULL, 0, 63, "what works on it") \
  F(REF, seeded, F_WIDE, NULL, 0, 63, "whose account its seed brought into this generation") \
  F(BOOL, touched, F_WIDE, NULL, 0, 0, "a person's account, input or files may be in it: only a proven reset clears this") \
  F(BOOL, retire, 0, NULL, 0, 0, "to be destroyed as soon as nobody holds it") \
  F(TIME, since, F_WIDE, NULL, 0, 0, "when it came into this state") \
  F(JSON, evidence, F_WIDE, NULL, 0, 8192, "proof of its last reset") \
  F(JSON, error, F_WIDE, NULL, 0, 4096, "why it is in error, lost or quarantined")

/* A claim on a part of a card, or on all of it, for one generation of a desktop's disk. */
#define VGPU_FIELDS(F) \
  F(REF, gpu, F_COL, NULL, 0, 63, "the card") \
  F(REF, host, F_COL, NULL, 0, 63, "the card's host") \
  F(TEXT, desktop, F_COL, NULL, 0, 63, "for whom") \
  F(INT, slot, F_COL, NULL, 0, 7, "which of the desktop's parts it is") \
  F(REF, class, F_WIDE, NULL, 0, 63, "the class that was asked for") \
  F(REF, type, F_COL, NULL, 0, 100, "type of the part") \
  F(ENUM, display, F_WIDE, &gpu_display_names, 0, 0, "off, on or ramfb") \
  F(INT, clone, F_COL, NULL, 0, INT64_MAX, "generation of the desktop's disk that it is for: a release names it") \
  F(INT, start, F_WIDE, NULL, -1, 10000, "place on the card; -1 = any") \
  F(TEXT, uuid, F_WIDE, NULL, 0, 36, "of the mediated device") \
  F(TEXT, address, F_WIDE, NULL, 0, 12, "of the function or card") \
  F(LIST, beside, F_WIDE, NULL, 0, GPU_BESIDE_MOST, "other functions of a whole card that its guest gets, too: sound, USB-C") \
  F(TEXT, boot, F_WIDE, NULL, 0, 36, "the run of its host that it was made in: one that the host has ended needs no other reset") \
  F(ENUM, state, F_COL, &vgpu_state_names, 0, 0, "claimed, made, attached or releasing") \
  F(TIME, since, F_WIDE, NULL, 0, 0, "when it came into this state") \
  F(INT, tries, F_WIDE, NULL, 0, 1000000, "how often the host was told to make it since the card was last seen without it") \
  F(JSON, error, F_WIDE, NULL, 0, 4096, "how the card differs from it")

#define SESSION_FIELDS(F) \
  F(REF, user, F_IN | F_NAME | F_COL, NULL, 0, 63, "whose it is") \
  F(REF, pool, F_IN | F_NEED | F_NAME | F_COL, NULL, 0, 63, "where the desktop comes from") \
  F(ENUM, state, F_COL, &session_state_names, 0, 0, "where it is in its life") \
  F(TEXT, desktop, F_COL, NULL, 0, 63, "the desktop it holds") \
  F(REF, host, F_COL, NULL, 0, 63, "the host of that desktop") \
  F(ENUM, reason, F_WIDE, &end_reason_names, 0, 0, "why it ended") \
  F(LIST, licences, F_WIDE, NULL, 0, LICENCES_MOST, "seats of licences that it holds, or held") \
  F(BOOL, ready, F_COL, NULL, 0, 0, "its desktop may be connected to") \
  F(BOOL, prepared, 0, NULL, 0, 0, "what its person needs is in the desktop: it is ready whenever that one is on") \
  F(JSON, connect, F_WIDE, NULL, 0, 1024, "where its person goes: url of the page") \
  F(TEXT, task, F_WIDE, NULL, 0, 63, "what works on it") \
  F(TIME, by, F_WIDE, NULL, 0, 0, "its deadline: without a desktop by then it is denied") \
  F(TIME, assigned, F_WIDE, NULL, 0, 0, "when it got its desktop") \
  F(TIME, take_by, F_WIDE, NULL, 0, 0, "until when its desktop is held for its person, who has not connected yet; absent = they have") \
  F(TIME, warns, F_WIDE, NULL, 0, 0, "when its person is told that it ends") \
  F(TIME, ends, F_WIDE, NULL, 0, 0, "when it ends at the latest") \
  F(TIME, connected, F_WIDE, NULL, 0, 0, "when its person came last") \
  F(TIME, disconnected, F_WIDE, NULL, 0, 0, "when its person left last") \
  F(TIME, ended, F_WIDE, NULL, 0, 0, "when it ended") \
  F(JSON, error, F_WIDE, NULL, 0, 4096, "what went wrong, what it waits for, or why its desktop cannot be connected to now")

/* What is given away is "NAME.SECRET", SECRET 256 random bits in base64url; they themselves are never kept. */
#define TICKET_FIELDS(F) \
  F(TEXT, hash, F_SECRET, NULL, 0, 64, "SHA-256 of SECRET, hexadecimal") \
  F(REF, user, 0, NULL, 0, 63, "who asked for it") \
  F(TEXT, session, 0, NULL, 0, 63, "what it opens") \
  F(TEXT, desktop, 0, NULL, 0, 63, "what it opens") \
  F(REF, protocol, 0, NULL, 0, 16, "vnc") \
  F(REF, origin, 0, NULL, 0, 255, "the page it was given to; absent = a native viewer") \
  F(TEXT, token, 0, NULL, 0, 63, "the login or token it was asked for with; absent = at the controller itself") \
  F(TIME, expires, 0, NULL, 0, 0, "after which it opens nothing")

/* A console that a gateway holds open. */
#define RELAY_FIELDS(F) \
  F(TEXT, session, F_COL, NULL, 0, 63, "whose console it is") \
  F(REF, user, F_COL, NULL, 0, 63, "who sits there") \
  F(TEXT, desktop, F_COL, NULL, 0, 63, "what it shows") \
  F(REF, host, 0, NULL, 0, 63, "the host that shows it; absent = the guest itself") \
  F(TEXT, token, 0, NULL, 0, 63, "as its ticket's, until that one ends by itself: where it is revoked, this is cut") \
  F(REF, gateway, F_WIDE, NULL, 0, 63, "which gateway holds it") \
  F(BOOL, open, F_COL, NULL, 0, 0, "the gateway said so") \
  F(TIME, seen, F_WIDE, NULL, 0, 0, "when the gateway said so")

#define TASK_FIELDS(F) \
  F(ENUM, kind, F_COL, &task_kind_names, 0, 0, "what is done") \
  F(ENUM, state, F_COL, &task_state_names, 0, 0, "pending, running, waiting (for its next try), done, failed or cancelled") \
  F(BOOL, undoing, F_WIDE, NULL, 0, 0, "it failed, and what it did is being undone") \
  F(REF, noun, F_WIDE, NULL, 0, 16, "to which kind of object") \
  F(TEXT, object, F_COL, NULL, 0, 80, "to which object") \
  F(REF, step, F_COL, NULL, 0, 32, "the step it is at") \
  F(INT, step_index, 0, NULL, 0, 64, "its place in the list of steps") \
  F(INT, attempt, F_WIDE, NULL, 0, 1000, "how often that step was begun") \
  F(INT, progress_pct, F_WIDE, NULL, 0, 100, "of a step that can tell, else 0") \
  F(REF, from, F_WIDE, NULL, 0, 63, "the host that a desktop leaves") \
  F(REF, to, F_WIDE, NULL, 0, 63, "the host that it goes to") \
  F(REF, room_for, F_WIDE, NULL, 0, 63, "the pool that the move makes room for; absent = it was asked for") \
  F(ENUM, verb, 0, &power_verb_names, 0, 0, "of a power task, else none") \
  F(REF, user, F_WIDE, NULL, 0, 63, "who asked for it; absent = Sarang itself") \
  F(TIME, next_try, F_WIDE, NULL, 0, 0, "when it is looked at again: its next try, or the end of its step's time") \
  F(TIME, ended, F_WIDE, NULL, 0, 0, "when it ended") \
  F(JSON, error, F_COL, NULL, 0, 4096, "what the last try said")

/* What somebody asked a pool for, with what came of it: written when it is over, so that it can be played back. See core/demands.c. */
#define DEMAND_FIELDS(F) \
  F(REF, user, F_COL, NULL, 0, 63, "who asked") \
  F(REF, pool, F_COL, NULL, 0, 63, "which pool") \
  F(ENUM, outcome, F_COL, &demand_outcome_names, 0, 0, "denied, granted or given-up") \
  F(INT, vcpus, F_COL, NULL, 0, 512, "virtual CPUs of the desktop that was asked for") \
  F(INT, memory_mib, F_COL, NULL, 0, 1 << 24, "its memory in MiB") \
  F(REF, gpu_class, F_COL, NULL, 0, 63, "its GPU class") \
  F(INT, gpus, F_COL, NULL, 0, 8, "parts of that class") \
  F(LIST, licences, F_WIDE, NULL, 0, LICENCES_MOST, "seats of licences with it") \
  F(TIME, asked, F_COL, NULL, 0, 0, "when it was asked for first") \
  F(TIME, by, F_WIDE, NULL, 0, 0, "the deadline it came with") \
  F(TIME, granted, F_COL, NULL, 0, 0, "when a desktop was given") \
  F(TIME, ended, F_COL, NULL, 0, 0, "when that ended, or was not asked for any more") \
  F(INT, tries, F_WIDE, NULL, 0, INT64_MAX, "how often it was refused, at most once a minute counted") \
  F(TIME, last, F_WIDE, NULL, 0, 0, "when it was refused last") \
  F(TEXT, reason, F_WIDE, NULL, 0, 64, "why it was refused last, such as no-place") \
  F(TEXT, session, F_WIDE, NULL, 0, 63, "the session that came of it")

/* The answer to a request that came with an idempotency key, named by SHA-256 of user and key. */
#define RECEIPT_FIELDS(F) \
  F(REF, user, 0, NULL, 0, 63, "whose key it was") \
  F(TEXT, request, 0, NULL, 0, 64, "SHA-256 of verb, name and body") \
  F(INT, status, 0, NULL, 0, 599, "HTTP status of the answer") \
  F(TEXT, noun, 0, NULL, 0, 16, "what was answered") \
  F(TEXT, object, 0, NULL, 0, 80, "what was answered")

#define EVENT_FIELDS(F) \
  F(INT, number, F_COL, NULL, 0, INT64_MAX, "counts up without gaps") \
  F(REF, kind, F_COL, NULL, 0, 64, "what happened, such as desktop.available") \
  F(REF, noun, F_WIDE, NULL, 0, 16, "to which kind of object") \
  F(TEXT, object, F_COL, NULL, 0, 80, "to which object") \
  F(REF, user, F_COL, NULL, 0, 63, "whose doing it was; absent = Sarang itself") \
  F(JSON, detail, F_WIDE, NULL, 0, 4096, "numbers and reasons")

#define X(NAME, noun, plural, Struct) typedef struct { Object head; NAME##_FIELDS(FIELD_MEMBER_) } Struct;
NOUNS(X)
#undef X

/* What a host has to hand out, huge pages apart: what an operator said, else what fits such a machine. */
int64_t host_offer_vcpus(const Host *host);
int64_t host_offer_mib(const Host *host);

/* ── what becomes durable together ──────────────────────────────────────── */

/* One change of a batch: object as it is afterwards (a reference), or its end. */
typedef struct {
  Noun noun;
  enum { CHANGE_PUT, CHANGE_DELETE, CHANGE_ARCHIVE } how;  /* archived: kept as history, no longer in the model */
  Object *object;  /* for DELETE and ARCHIVE as it last was */
} Change;

/* History that is too old to be kept: of the noun's oldest rows by number, looked at up to max of them, those go that were last changed before then. Live
 * objects and the newest row of history stay. */
typedef struct {
  Noun noun;           /* one whose objects are archived, or EVENT */
  int64_t before_us;
  int64_t max;
} Prune;

/* What must become durable together. Changes of one object appear once. */
typedef struct {
  int64_t sequence;    /* 1, 2, 3 …: which batch this is since the store was made */
  GArray *changes;     /* of Change; owns a reference each */
  GArray *prunes;      /* of Prune; done after the changes */
} Batch;

Batch *batch_new(int64_t sequence);
void batch_free(Batch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Batch, batch_free)


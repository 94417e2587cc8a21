/* The GPU family: what cards a host has, and the five ways to give a guest a part of one. mdev, vendor_vf, sriov, mig and whole are its
 * back ends; fake has the vendors' rules and no hardware. It decides nothing: which card, which type and for whom are the brain's, and are
 * durable before a verb here is called.
 *
 * Where it touches. Mediated devices and PCI facts come through libvirt's node devices (hypervisor_devices() and its neighbours); what
 * needs files of the host (sysfs, nvidia-smi) goes through an Exec, on a connection of its own. A host without an Exec has mdev alone and
 * says so. On Xen those files are dom0's, and there are virtual functions as they are and whole cards alone (UNSUPPORTED for the others).
 *
 * Threads. Verbs block, and are called on the host's lanes like the hypervisor's; nothing is kept between calls. Orders to a card that needs files go
 * one at a time (turns.h), by the time of their Exec at the latest: GPU_BUSY.
 *
 * Idempotent. make of a part that is there as ordered, and release of one that is gone, succeed. A verb that finds something else in the
 * place than the order names refuses with GPU_NOT_OURS and changes nothing: a late release cannot free the next owner's part. What has no mark
 * and is there as ordered is ours only where the order says that it was made before (again); else others made it since the last look. A function or
 * card that another domain runs with is that domain's, whatever the order says: a store that is older than the host knows no better.
 *
 * Errors, any verb: those of the hypervisor's, GPU_NEEDS_EXEC (files of the host are out of reach), GPU_REFUSED (the host's own words),
 * GPU_GONE (no such card any more). */
#pragma once

#include "core/gpu.h"
#include "drivers/exec/exec.h"
#include "drivers/hypervisor/hypervisor.h"

typedef struct {
  Hypervisor *hypervisor;
  Exec *exec;               /* NULL = no way to the host's files */
  const char *host;         /* for errors */
  const char *controller;
} GpuHost;

/* The way to the files of a host, owned by the caller: a fake host's own, or by options (by SSH, or this machine where its address is "").
 * *ret_exec is NULL where options is NULL and the host is no fake one with cards: then it has mediated devices alone. Nothing is
 * connected yet. */
bool gpu_exec_open(const Hypervisor *hypervisor, const ExecOptions *options, Exec **ret_exec, GError **err);

/* One claim, as the brain made it. */
typedef struct {
  const char *card;         /* PCI address */
  GpuBackend backend;
  const char *type;         /* GpuType.id */
  const char *claim;        /* "v-12" */
  int64_t generation;
  const char *domain;       /* UUID of the one it is for; NULL = nobody asks whose a function is */
  const char *address;      /* the function that was claimed; NULL for mdev and MIG without one */
  int start;                /* place on the card; -1 = any */
  bool again;               /* an earlier order of this claim may have made it */
  bool force;               /* give the card away though the host's own screen is on it (whole cards) */
  const char *boot;         /* GpuHandle.boot when it was made last; NULL = not known */
  bool unproven;            /* an operator takes it for clean: a reset that is not confirmed does not stop the release */
} GpuOrder;

/* What a domain gets. */
typedef struct {
  GpuBackend backend;
  char uuid[GPU_UUID_TEXT_BYTES];
  char address[GPU_ADDRESS_BYTES];
  GpuBeside beside;         /* of a whole card: its functions that go to the guest, too */
  char boot[GPU_UUID_TEXT_BYTES];  /* the run of the host that it was made in; "" = not told */
  int start;
} GpuHandle;

/* Every card of the host, with types and parts as they are now. GpuCard *; the array owns them. One that the host does not tell all of is unread, and the
 * others are looked at as ever. */
bool gpu_discover(const GpuHost *host, GPtrArray **ret_cards, GError **err);
/* One card, read again; it may be unread. GPU_GONE. */
bool gpu_look(const GpuHost *host, const char *card, GpuCard **ret_card, GError **err);
/* The order's card with its parts, as the order's back end alone sees it; for a mediated device an Exec is not needed. Nothing else of the host, and nothing that
 * its files do not take, stands in the way: GPU_FACTS where the card or the order's function is not understood, or nvidia-smi does not tell of a MIG card;
 * GPU_GONE where there is no such card of that kind any more. */
bool gpu_look_part(const GpuHost *host, const GpuOrder *order, GpuCard **ret_card, GError **err);
/* Makes the part that was claimed, or finds it made by an earlier order of the same claim. GPU_FULL (the card says that no more of the type fits: the order was made of an old
 * picture), GPU_DIRTY (the function's reset is not confirmed). */
bool gpu_make(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err);
/* Ends the part of this order's generation, resets what a reset is for, and reads that it is gone. GPU_IN_USE while a guest has it. GPU_DIRTY where the reset
 * is not confirmed, unless its host has been started anew since the part was made (nobody has run with it since, and the machine's own reset went over it)
 * or the order says that it is taken for clean. The error's "boot" is the run in which it was found dirty: it no longer shows what was in it, and the next
 * order has to name that one. */
bool gpu_release(const GpuHost *host, const GpuOrder *order, GError **err);
/* Resets a dirty function or card. */
bool gpu_reset(const GpuHost *host, const GpuOrder *order, GError **err);

/* The <hostdev> of a domain, or those of a card's functions, the first first; owned by the caller. Pure. display other than OFF is refused for all but mdev
 * (GPU_NO_DISPLAY): the page then shows a server in the guest. one_slot: several functions are to be functions of one slot of the guest, which
 * machine_add_hostdev() finds; else each gets a slot of its own of libvirt's choice. */
bool gpu_xml(const GpuHandle *handle, GpuDisplay display, const char *claim, bool one_slot, GStrv *ret_xmls, GError **err);
/* "ua-v-12", "ua-v-12-1" of claim v-12's n-th function: by that it is unplugged. Owned by the caller. */
char *gpu_alias(const char *claim, int n);

/* ── back ends ──────────────────────────────────────────────────────────── */

typedef struct GpuView GpuView;  /* one reading of a host: view.h */

/* A back end's verbs. discover claims the cards of the view that are its own kind; the others are left to the next row. */
typedef struct {
  GpuBackend backend;
  const char *title;
  bool needs_exec;
  bool on_xen;              /* it passes PCI functions as they are: libxl's one way */
  bool (*discover)(const GpuHost *host, const GpuView *view, GPtrArray *cards, GError **err);
  bool (*make)(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err);
  bool (*release)(const GpuHost *host, const GpuOrder *order, GError **err);
  bool (*reset)(const GpuHost *host, const GpuOrder *order, GError **err);
} GpuDriver;

extern const GpuDriver *const gpu_drivers[N_GPU_BACKENDS];
extern const GpuDriver gpu_mdev, gpu_vendor_vf, gpu_sriov, gpu_mig, gpu_whole;

/* What the files of the ledger share: ledger.c (the fleet, kept true), ledger_hosts.c (what a host is to the engine), ledger_storages.c (what is
 * counted of storages) and ledger_desktops.c (what a desktop puts on its host). Nobody else includes this. */
#pragma once

#include "core/cells.h"
#include "core/ledger.h"

typedef struct {
  int number;       /* of the fleet */
  char *text;       /* what it was made of */
  GPtrArray *gpus;  /* names, in the order in which the fleet counts the host's cards */
  GPtrArray *shapes;  /* CardShape of each, borrowed */
  uint64_t cpu;     /* of its CPU: guests that have the host's own move between hosts that have the same */
  int n_cells;
  int8_t cells[HOST_CELLS_MAX];  /* ids of its NUMA cells, in the order in which the fleet counts them */
  GPtrArray *disks; /* names of the storages whose room is counted, in the order in which the fleet counts them */
  int n_own;        /* the first of these are no other host's */
  bool crowded;     /* more was put on a card than it has, or parts of two types: who was put first matters */
} HostEntry;

typedef struct {
  int host;
  uint64_t digest;  /* of what it holds */
  ClaimId first;
  char *shared;     /* the shared storage that its disk is counted on; NULL = none */
  int64_t disk_mib; /* what it takes there */
  GArray *more;     /* ClaimId: parts that are let go of, or of other types, and what it holds where it is on its way to; NULL = none */
} DesktopEntry;

struct Ledger {
  Fleet *fleet;
  GHashTable *hosts, *desktops;   /* name → HostEntry, DesktopEntry */
  GPtrArray *shapes;              /* CardShape, sorted by name */
  char *pools, *storages;         /* what of them is in it */
  GPtrArray *cpu;                 /* what templates require of CPUs: no other feature of a host is in it */
};

/* What a host has to have for desktops to move to it: an address at which the others reach it. */
#define CAN_COME "live-migration"

/* ── ledger.c ── */

/* Live names of a noun in their order; owned by the caller. */
GPtrArray *ledger_names(Brain *b, Noun noun);

/* ── ledger_hosts.c ── */

/* A card model's place among the ledger's, -1: it is not known. */
int ledger_shape_find(const Ledger *l, const char *name);

/* What a host is made of: the spec, and the arrays behind it. */
typedef struct {
  HostSpec spec;
  GPtrArray *features;                /* its hypervisor and CPU, as desktops move between those of one kind, and what templates require; ends with NULL */
  uint64_t cpu_digest;
  char *cpu;                          /* the word for it, one of them */
  HostCells cells;
  CellSpec cell_specs[HOST_CELLS_MAX];
  int n_disks;
  DiskSpec disks[DISKS_MOST];
  GPtrArray *stores, *images, *gpus, *shapes;  /* the first two end with NULL */
  GArray *cards;                      /* CardSpec, in the fleet's order */
  GArray *holds;                      /* GArray of CardHold a card */
  GString *text;
} HostMaking;

void making_clear(HostMaking *m);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostMaking, making_clear)
/* known: its cards are as they were then; NULL: they have to be looked at. false: a card is of a shape that the fleet does not know yet. */
bool host_make(Brain *b, const Ledger *l, const Host *h, const GArray *stores, const HostEntry *known, HostMaking *m);

/* The word for a CPU that hosts of that one have; owned by the caller. */
char *host_cpu_word(uint64_t cpu);
/* What all templates require of CPUs, each once, in order; owned by the caller. */
GPtrArray *templates_cpu(Brain *b);
/* The place of a cell among the host's as the fleet counts them, -1: there is none. */
int host_cell_index(const HostEntry *host, NumaCell cell);

/* ── ledger_storages.c ── */

/* A storage as hosts see it, read once for many of them. */
typedef struct {
  const Storage *storage;
  enum { STORE_BOUNDLESS, STORE_OWN, STORE_SHARED, STORE_TOO_MANY } count;  /* not at all, of its one host, of all, more than the engine counts */
  int64_t offer_mib;  /* of disks at their full size, where it is counted */
  GPtrArray *images;  /* names of the versions it holds, borrowed; none of one that all hosts have */
} Store;
/* All of them in order; owned by the caller. */
GArray *ledger_stores_new(Brain *b);
/* The shared ones among them that are counted become known to f. */
void ledger_stores_share(Fleet *f, const GArray *stores);
/* What a host has of them. */
void storages_make(const GArray *stores, const char *host, HostMaking *m);
/* The place of a storage among the disks of its one host, -1: it is not counted there. */
int host_disk_own(const HostEntry *host, const char *storage);
/* Its name, borrowed, where it is counted as shared by hosts, else NULL. */
const char *host_disk_shared(const HostEntry *host, const char *storage);

/* ── ledger_desktops.c ── */

/* Puts on a host what its cards lack though no claim of ours is on it. */
void holds_put(Fleet *f, HostEntry *host, const HostMaking *m);

/* What one desktop, or one that has gone, holds on a host. */
typedef struct {
  const Desktop *desktop;   /* NULL = gone, or elsewhere */
  const Pool *pool;
  Stay stay;
  HostEntry *host;          /* NULL = it is none of the fleet's */
  int64_t disk_mib;         /* its disk at its full size */
  GPtrArray *claims;        /* const Vgpu *, those that count */
  GString *text;
} Holding;

void holding_clear(Holding *h);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Holding, holding_clear)
/* What the desktop of that name holds now, gone or not. */
void holding_make(Brain *b, const Ledger *l, const char *name, Holding *h);
/* Onto its host with it. */
void desktop_put(Brain *b, Ledger *l, const char *name, const Holding *h);
/* And off again; one that holds nothing is let be. */
void desktop_take_out(Ledger *l, const char *name);

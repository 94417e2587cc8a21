/* The fleet as the placement engine sees it: kinds of hosts, what each host has free, its cards, and what is claimed there.
 * Hosts of equal state lie in one bucket and are decided about once; a change touches the bucket of the changed host alone.
 * Pure: no clock, lock or thread; one owner. Numbers: vCPUs in 1/1000, memory and disks in MiB, cards in 1/1000 of a card. */
#pragma once

#include "core/error.h"

#include <stdint.h>

enum {
  CARD_WHOLE = 1000,    /* share of a whole card */
  CARDS_MOST = 16,      /* cards of a host */
  CELLS_MOST = 8,       /* NUMA cells of a host */
  DISKS_MOST = 8,       /* storages of a host whose room is counted */
  DISKS_OWN = 2,        /* of these, local ones */
  PROFILES_MOST = 32,   /* profiles of a card model */
  MODELS_MOST = 64,     /* card models of a fleet: bits of a word */
  SLOTS_MOST = 32,      /* memory slots of a card that is cut by position (a MIG card has 8) */
  SHARED_MOST = 64      /* shared storages of a fleet */
};

/* One vGPU profile of a card model. A profile with slots lies at one of its starts (bit i: may start at slot i), as
 * `nvidia-smi mig -lgipp` tells them; one without takes any free share. */
typedef struct {
  const char *name;
  int64_t framebuffer_mib;
  int share;        /* 1..1000 of the card */
  int slots;        /* 0: not by position */
  uint32_t starts;
} ProfileSpec;

typedef struct {
  const char *name;               /* "A40": also what gpu.models of a demand names */
  int64_t framebuffer_mib;        /* of the whole card */
  bool same_type;                 /* all vGPUs of a card are of one profile, as time-sliced NVIDIA vGPUs are by default */
  bool any_share;                 /* shares without a profile are given too (software that divides a card freely) */
  int n_profiles;
  const ProfileSpec *profiles;
} CardModelSpec;

typedef struct {
  const char *model;              /* of a CardModelSpec that was added */
  int cell;                       /* NUMA cell it hangs on, -1: of none */
} CardSpec;

typedef struct {
  int64_t vcpus, memory_mib, huge_mib;
} CellSpec;

typedef struct {
  const char *kind;               /* "ssd": what a demand asks for */
  int64_t capacity_mib;           /* of a local storage; a shared one has its own */
  const char *shared;             /* name given to fleet_add_shared, or NULL: local; local ones come first */
  const char *store;              /* which of the host's stores it is, or NULL: of none of these */
} DiskSpec;

/* What may be handed out on a host: after overcommit and reserves (capacity_of does that sum). Strings and arrays are borrowed for
 * the call. Lists end with NULL and may be NULL. */
typedef struct {
  const char *name;
  const char *state;              /* "up", else why nothing goes there: "draining" */
  int64_t vcpus, memory_mib, huge_mib;  /* memory without huge pages */
  int64_t page_kib;               /* size of its huge pages */
  const char *const *labels, *const *features, *const *images;
  const char *const *stores;      /* storages it has, by name: for demands that must have one of some; what is no disk is never full */
  int n_cells, n_cards, n_disks;
  const CellSpec *cells;
  const CardSpec *cards;
  const DiskSpec *disks;
} HostSpec;

typedef struct Fleet Fleet;

/* capacity × overcommit_pct / 100 − reserve, not below 0: what of a host may be handed out. */
int64_t capacity_of(int64_t capacity, int overcommit_pct, int64_t reserve);

/* An empty fleet. seed decides between hosts that are equally good; the same seed and the same calls give the same answers. */
Fleet *fleet_new(uint64_t seed);
void fleet_free(Fleet *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fleet, fleet_free)
/* A copy that shares nothing: plans work on it. Claims keep their ids and generations. */
Fleet *fleet_dup(const Fleet *f);

/* The same for a plan: it reads f's claims until it changes them, so f neither changes nor ends before it. Cheaper by all the claims. */
Fleet *fleet_view(const Fleet *f);

/* Errors: EXISTS, TOO_LARGE (more than MODELS_MOST, PROFILES_MOST), BAD_VALUE (share, slots or starts that can't be). */
bool fleet_add_model(Fleet *f, const CardModelSpec *spec, GError **err);
bool fleet_add_shared(Fleet *f, const char *name, const char *kind, int64_t capacity_mib, GError **err);
/* What is on a shared storage without being a claim's, as disks stay there when their desktops move: so much more of it is used (less where below 0). */
void fleet_shared_take(Fleet *f, const char *name, int64_t mib);
/* Nothing is on any shared storage. */
void fleet_shared_clear(Fleet *f);
/* What one of the host's stores has left, below 0 where more was put on it than it has; false: its room is not counted. */
bool fleet_store_free(const Fleet *f, int host, const char *store, int64_t *ret_free_mib);
/* A licensed feature of which so many may be in use at once; put again to change the number. */
void fleet_put_licence(Fleet *f, const char *name, int64_t total, int64_t elsewhere);
/* Adds a host; *ret_host is its number for as long as the fleet lives. Errors: EXISTS, TOO_LARGE, NOT_FOUND (card model, shared
 * storage), BAD_VALUE (a card's cell). */
bool fleet_add_host(Fleet *f, const HostSpec *spec, int *ret_host, GError **err);
/* The same host with other capacities, cards, labels: nobody may have a claim on it. Errors as fleet_add_host. */
bool fleet_put_host(Fleet *f, int host, const HostSpec *spec, GError **err);
/* A host of that name that is as another one is with nothing claimed, but with so many of its cards (-1: as many). Errors: EXISTS, BAD_VALUE (more than
 * CARDS_MOST; that one has none). */
bool fleet_add_like(Fleet *f, const char *name, int like, int n_cards, GError **err);
/* The order in which a host counts its cards: by model and cell, whatever order they were given in. */
int card_spec_compare(const CardSpec *a, const CardSpec *b);
/* The host's state in one word: "up" takes desktops, anything else says why not. */
void fleet_set_state(Fleet *f, int host, const char *state);

int fleet_hosts(const Fleet *f);
int fleet_cards(const Fleet *f);
/* -1 where there is none. */
int fleet_find_host(const Fleet *f, const char *name);
const char *fleet_host_name(const Fleet *f, int host);
/* Counts every claim, release and change of state of that host. */
uint32_t fleet_host_generation(const Fleet *f, int host);

typedef struct {
  int64_t vcpus, memory_mib, huge_mib;
  int64_t cards;                  /* in 1/1000 of a card */
} FleetSum;
/* What is claimed on a host, on all of them (host -1), and what may be. */
FleetSum fleet_used(const Fleet *f, int host);
FleetSum fleet_capacity(const Fleet *f, int host);
/* Free share of a card in 1/1000; card counts from 0 in the host's spec, sorted by model and cell. */
int fleet_card_free(const Fleet *f, int host, int card);
/* Whether it takes desktops at all. */
bool fleet_host_is_up(const Fleet *f, int host);
int fleet_host_cards(const Fleet *f, int host);
const char *fleet_card_model(const Fleet *f, int host, int card);

/* What a host is and has left, as text without numbers that were given out on the way: two fleets that say the same of each host are
 * alike. Owned by the caller. For tests. */
char *fleet_host_text(const Fleet *f, int host);

/* Every number of the fleet again from capacities and claims alone; *ret_why says what differs. For tests. */
bool fleet_check(const Fleet *f, char **ret_why);

/* What the files of this room share; nobody outside includes it. */
#pragma once

#include "core/placement/demand.h"
#include "core/placement/fleet.h"
#include "core/placement/intern.h"
#include "core/placement/place.h"

#include <string.h>

enum { NO_HOST = -1, NO_CELL = -1, COLUMNS_MOST = 96 };

/* What a card has left. Equal cards of equal state are interchangeable. */
typedef struct {
  uint16_t free;      /* share in 1/1000; CARD_WHOLE: nobody is on it */
  uint16_t type;      /* profile in use + 1 where all must be of one, else 0 */
  uint32_t slots;     /* taken ones, a bit each */
} CardState;

typedef struct {
  int32_t vcpus, memory, huge;
} CellState;

/* What a host has left: equal bytes (of the used part) ⇔ equal state. Cards of one run (model and cell) are in order. */
typedef struct {
  uint32_t kind;
  uint8_t n_cards, n_cells;
  uint16_t unused;
  int32_t vcpus, memory, huge;
  int32_t disk[DISKS_OWN];
  CardState cards[CARDS_MOST];
  CellState cells[CELLS_MOST];
} HostState;

/* What doesn't change by claims, shared by hosts that are alike. */
typedef struct {
  char *text;         /* its content: what makes two kinds one */
  uint64_t hash;      /* of that, so that no order of names matters */
  char *state;
  bool up;
  HostState full;     /* nothing claimed */
  IdSet labels, features, images, stores;
  IdSet boundless;                  /* of the stores those whose room is not counted */
  int n_disks;
  uint32_t disk_kind[DISKS_MOST];
  uint32_t disk_store[DISKS_MOST];  /* id + 1; 0: none of the stores */
  int shared[DISKS_MOST];           /* index of a shared storage, -1: local */
  uint8_t model[CARDS_MOST], cell[CARDS_MOST], run_end[CARDS_MOST];
  uint64_t models;                  /* bit a model */
  int32_t page_kib;
  int32_t *weight;                  /* of each item of the mix that may go here at all; NULL: not made yet */
} HostKind;

typedef struct {
  HostState state;
  uint64_t hash;      /* of content and seed: no name, no order */
  uint32_t serial;    /* another state lives here when it changed */
  int32_t count, first;   /* hosts, list through Fleet.next */
  int32_t next_free;
  bool worth_known;
  int32_t worth;      /* what of its cards the demand mix could use (score.c) */
} Bucket;

typedef struct {
  char *name;
  uint32_t name_id;
  int64_t framebuffer_mib;
  int share, slots;
  uint32_t starts;
} Profile;

typedef struct {
  char *name;
  uint64_t hash;
  int64_t framebuffer_mib;
  bool same_type, any_share;
  int n_profiles;
  Profile profiles[PROFILES_MOST];
} CardModel;

typedef struct {
  char *name;
  uint32_t kind;
  int64_t capacity, used;
} SharedDisk;

typedef struct {
  int64_t total, elsewhere, used;   /* elsewhere: held without a claim of the fleet */
} Licence;

/* A card that a claim holds a part of. */
typedef struct {
  uint16_t card, share;
  uint32_t slots;
} CardPart;

typedef struct {
  int32_t host;       /* NO_HOST: the place is free, next is the next free one */
  uint32_t generation;
  int32_t vcpus, memory, huge, disk;
  int8_t disk_index, cell;
  uint8_t n_parts;
  bool movable;
  uint32_t group;                   /* id + 1; 0: none */
  int32_t host_next, host_before;   /* list of a host's claims; -1 ends it */
  CardPart part;                    /* the only one */
  CardPart *parts;                  /* or more of them, owned */
  int64_t ends_us;
  uint64_t tag;
  DemandClass *class;               /* a reference: what it asked for, to ask again when it has to move */
} ClaimRow;

typedef struct {
  uint32_t bucket, serial;
} Born;

typedef struct Mix Mix;

struct Fleet {
  uint64_t seed;
  Words words;
  GHashTable *names;        /* host name → number + 1 */
  GPtrArray *host_names;    /* owned */
  GPtrArray *kinds;         /* HostKind, owned */
  GHashTable *kind_ids;     /* text → id + 1 */
  int n_models;
  CardModel models[MODELS_MOST];
  int n_shared;
  SharedDisk shared[SHARED_MOST];
  GHashTable *licences;     /* name id → Licence */
  GHashTable *groups;       /* group id → GHashTable host → number of claims */
  /* hosts: one array each */
  GArray *kind, *bucket, *next, *before, *first_card, *generation, *first_claim;
  int n_cards;
  GArray *cards;            /* CardState in the order of the kind's models and cells */
  /* buckets */
  GArray *buckets;          /* Bucket */
  int32_t free_bucket;
  int live_buckets;
  uint32_t *table;          /* open addressing: bucket + 1 */
  uint32_t table_mask;
  uint32_t serials;
  GArray *born;             /* Born: each bucket as it came to life, in order */
  int64_t born_base;        /* number of the first of them */
  /* claims */
  const Fleet *under;       /* of a view: whose claims these are until they change; NULL: all are its own */
  int32_t borrowed;         /* how many of them, by number */
  GHashTable *changed;      /* number + 1 → ClaimRow, owned: those of them that are otherwise here; NULL without under */
  GArray *claims;           /* ClaimRow, from number borrowed on */
  int32_t free_claim;
  int64_t n_claims;
  GHashTable *classes;      /* content → DemandClass */
  GPtrArray *class_list;
  Mix *mix;
  uint32_t mix_version;
  FleetSum used, capacity;
};

static inline uint32_t *u32_at(const GArray *a, int i)
{
  return &g_array_index(a, uint32_t, i);
}
static inline int32_t *i32_at(const GArray *a, int i)
{
  return &g_array_index(a, int32_t, i);
}
static inline Bucket *bucket_at(const Fleet *f, uint32_t i)
{
  return &g_array_index(f->buckets, Bucket, i);
}
static inline Bucket *bucket_of(const Fleet *f, int host)
{
  return bucket_at(f, *u32_at(f->bucket, host));
}
static inline HostKind *kind_at(const Fleet *f, uint32_t i)
{
  return f->kinds->pdata[i];
}
static inline CardState *cards_of(const Fleet *f, int host)
{
  return &g_array_index(f->cards, CardState, *i32_at(f->first_card, host));
}
/* copy.c: a claim that a view has from under it, to look at alone: its class may be of the fleet below. */
ClaimRow *claim_borrowed(const Fleet *f, int i);
/* copy.c: a claim to be changed, or to ask its class: the view's own from now on. */
ClaimRow *claim_edit(const Fleet *f, int i);
static inline ClaimRow *claim_at(const Fleet *f, int i)
{
  return i >= f->borrowed ? &g_array_index(f->claims, ClaimRow, i - f->borrowed) : claim_borrowed(f, i);
}
static inline int claims_len(const Fleet *f)
{
  return f->borrowed + (int)f->claims->len;
}
static inline uint64_t card_key(CardState c)
{
  return (uint64_t)c.free << 48 | (uint64_t)c.type << 32 | c.slots;
}
static inline bool card_equal(CardState a, CardState b)
{
  return card_key(a) == card_key(b);
}

/* buckets.c: puts host into the bucket of state, taking it out of the one it was in. */
void bucket_move(Fleet *f, int host, const HostState *state);
/* The two halves of that, for a host that comes or changes its kind. */
void bucket_leave(Fleet *f, int host);
void bucket_enter(Fleet *f, int host, const HostState *state);
/* The cards of a run in order again after one of them changed. */
void state_sort_cards(HostState *s, const HostKind *k);

/* NULL: nobody said that there is one. */
Licence *licence_of(const Fleet *f, uint32_t id);
/* The same, made where there is none: of a total of 0. */
Licence *licence_made(Fleet *f, uint32_t id);
/* The fleet ends before the class: it stays a value that nothing can be asked of. */
void class_orphan(DemandClass *c);
/* The same class in another fleet that holds all of this one. */
DemandClass *class_dup(const DemandClass *c, Fleet *f);
/* The same demand with another part of a card: as profile, or as share where profile is NULL. */
DemandClass *class_with_gpu(const DemandClass *c, const char *profile, int share);

/* ── demands ──────────────────────────────────────────────────────────────── */

/* What one vGPU of a demand takes of a card of some model; share 0: that model does not offer it. */
typedef struct {
  uint16_t share, type;
  uint8_t slots;
  uint32_t starts;
} Need;

typedef struct {
  uint64_t key;       /* least is best: score, then how tightly it fits */
  uint32_t bucket, serial;
} HeapEntry;

struct DemandClass {
  char *text;         /* what makes two demands one class */
  int refs;
  Fleet *fleet;
  int32_t vcpus, memory, huge, disk;
  int32_t page_kib;   /* of huge; 0: any */
  uint32_t disk_kind; /* id + 1 */
  bool one_cell, near, apart;
  int in_cell;        /* + 1: that one; 0: any */
  int count;          /* vGPUs */
  Need need[MODELS_MOST];
  uint64_t models;    /* that offer it */
  int need_milli;     /* least share of all vGPUs together, for sums */
  IdSet labels, prefers, features, stores;
  bool any_store, stays;
  uint32_t image, group;            /* id + 1 */
  int n_licences;
  struct {
    uint32_t id;
    int32_t n;
  } licences[LICENCES_MOST];
  GroupRule group_rule;
  GArray *hosts;      /* of int32_t, the only ones allowed; NULL: all */
  int32_t not_host;   /* + 1: not there, while a move is looked for */
  Policy policy;
  /* what was found out about the states of hosts */
  GArray *heap;       /* HeapEntry */
  int64_t cursor;     /* into Fleet.born */
  uint64_t shared_ok; /* shared storages with room, when the heap was made */
  uint32_t mix_version;
  GArray *kind_ok;    /* int8_t a kind: 0 unknown, 1 may, -1 may not */
};

/* ── filters ──────────────────────────────────────────────────────────────── */

/* The first rule of the table that (class, kind, state) fails, RULE_NONE where it fits. finding may be NULL. */
Rule filter_kind(const DemandClass *c, const HostKind *k, Finding *finding);
Rule filter_state(const DemandClass *c, const HostKind *k, const HostState *s, Finding *finding);
/* Rules that hang on the host itself or on all of the fleet; asked last. */
Rule filter_host(const DemandClass *c, int host, Finding *finding);
Rule filter_fleet(const DemandClass *c, Finding *finding);
/* The host's storage that takes the demand's disk, -1: none, or none is wanted. */
int state_disk(const DemandClass *c, const HostKind *k, const HostState *s);
/* vCPUs and memory fit in that NUMA cell. */
bool state_cell(const DemandClass *c, const HostState *s, int cell);
/* Hosts that hold a claim of c's group, with how many; NULL where none does. */
GHashTable *group_hosts(const DemandClass *c);
/* How many vGPUs of need a card takes, alone in a host's cell. */
int card_room(const Need *need, CardState card);
/* The card after one more vGPU of need, which fits, at start (by position) or anywhere. */
CardState card_take(const Need *need, CardState card, int start);
/* The lowest free start of need on card, -1 where there is none. */
int card_start(const Need *need, CardState card, int from);

/* Why one card takes no vGPU of c: of another model, type or position, or full. */
Rule filter_card(const DemandClass *c, const HostKind *k, int card, CardState state, Finding *finding);
/* All of them for one host. */
Rule filter_on(const DemandClass *c, int host, Finding *finding);
/* *err is that finding as a reason with numbers; returns false. */
bool finding_refuse(const Fleet *f, int host, Rule rule, const Finding *finding, GError **err);
/* The place is on a shared storage that has no room for c's disk any more. */
bool shared_full(const DemandClass *c, const Place *p);

/* ── claims ───────────────────────────────────────────────────────────────── */

/* s after c's CPUs, memory and disk are taken, in that cell (NO_CELL) and from that local storage (-1). */
void state_take(const DemandClass *c, HostState *s, int cell, int disk);
/* The state of a host with cards in the host's own order, and the same after one of its claims is given back: for filters, which
 * ask no order. */
HostState state_as_is(const Fleet *f, int host);
void state_give(const Fleet *f, HostState *s, int number);

/* Ways out for c, which has no place. GArray of Fix, owned by the caller. */
GArray *fixes_new(const DemandClass *c);
/* What a claim has of its licences, out of the count (-1) and back (1), while it is in two places. */
void licence_lend(const Fleet *f, const ClaimRow *r, int sign);
/* A place for an existing claim on any other host. */
bool claim_find_elsewhere(const Fleet *f, int number, Place *ret_place);

/* ── scores ───────────────────────────────────────────────────────────────── */

/* The best way to put a class on a state: its key, and the state after. */
typedef struct {
  uint64_t key;
  int cell;
  int disk;           /* of the host's storages, -1: none */
  HostState after;    /* cards are where they were, not in order */
} Fit;
/* For a state that passes the filters. bucket keeps what was computed, or is NULL. */
bool score_fit(const DemandClass *c, HostKind *k, const HostState *s, Bucket *bucket, Fit *ret_fit);
void mix_free(Mix *mix);
void mix_dup(Fleet *to, const Fleet *from);

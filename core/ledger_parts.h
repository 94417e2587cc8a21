/* What the files of the ledger share: ledger.c (the fleet, kept true), ledger_hosts.c (what a host is to the engine) and ledger_desktops.c
 * (what a desktop puts on its host). Nobody else includes this. */
#pragma once

#include "core/ledger.h"

typedef struct {
  int number;       /* of the fleet */
  char *text;       /* what it was made of */
  GPtrArray *gpus;  /* names, in the order in which the fleet counts the host's cards */
  GPtrArray *shapes;  /* CardShape of each, borrowed */
  bool crowded;     /* more was put on a card than it has, or parts of two types: who was put first matters */
} HostEntry;

typedef struct {
  int host;
  uint64_t digest;  /* of what it holds */
  ClaimId first;
  GArray *more;     /* ClaimId: parts that are let go of, or of other types; NULL = none */
} DesktopEntry;

struct Ledger {
  Fleet *fleet;
  GHashTable *hosts, *desktops;   /* name → HostEntry, DesktopEntry */
  GPtrArray *shapes;              /* CardShape, sorted by name */
  char *pools, *storages;         /* what of them is in it */
};

/* ── ledger.c ── */

/* Live names of a noun in their order; owned by the caller. */
GPtrArray *ledger_names(Brain *b, Noun noun);

/* ── ledger_hosts.c ── */

/* Storages as hosts see them, read once for many hosts; owned by the caller. */
GArray *ledger_stores_new(Brain *b);
/* A card model's place among the ledger's, -1: it is not known. */
int ledger_shape_find(const Ledger *l, const char *name);

/* What a host is made of: the spec, and the arrays behind it. */
typedef struct {
  HostSpec spec;
  const char *features[2];            /* its hypervisor: desktops move between those of one kind */
  GPtrArray *stores, *images, *gpus, *shapes;  /* the first two end with NULL */
  GArray *cards;                      /* CardSpec, in the fleet's order */
  GArray *holds;                      /* GArray of CardHold a card */
  GString *text;
} HostMaking;

void making_clear(HostMaking *m);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostMaking, making_clear)
/* known: its cards are as they were then; NULL: they have to be looked at. false: a card is of a shape that the fleet does not know yet. */
bool host_make(Brain *b, const Ledger *l, const Host *h, const GArray *stores, const HostEntry *known, HostMaking *m);

/* ── ledger_desktops.c ── */

/* Puts on a host what its cards lack though no claim of ours is on it. */
void holds_put(Fleet *f, HostEntry *host, const HostMaking *m);

/* What one desktop, or one that has gone, holds on a host. */
typedef struct {
  const Desktop *desktop;   /* NULL = gone, or elsewhere */
  const Pool *pool;
  Stay stay;
  HostEntry *host;          /* NULL = it is none of the fleet's */
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

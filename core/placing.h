/* Where a pool's next desktop goes, and where on its host a desktop gets its parts of cards: the placement engine, asked in the pool's terms.
 * Part of the brain. */
#pragma once

#include "core/brain_parts.h"
#include "core/placement/explain.h"

/* What one more desktop of a pool asks for. */
typedef struct {
  const Pool *pool;
  const TemplateVersion *template;
  const ImageVersion *image;
  const GpuClass *class;   /* NULL = no GPU */
  int64_t gpus;
  const char *profile;     /* in place of what the class accepts; NULL = the class */
  const LicenceWish *licences;  /* borrowed: of a plan, which asks for a session too */
  int n_licences;
} Wish;

/* NOT_FOUND, IMAGE_NOT_READY, MISSING_FIELD. */
bool wish_of(Brain *b, const Pool *pool, Wish *ret_wish, GError **err);
/* Demands of a wish, the best type of its class first: GPtrArray of DemandClass of f, owned by the caller. */
GPtrArray *wish_classes(Brain *b, Fleet *f, const Wish *wish, GError **err);
/* The first of them that has a place. */
bool classes_find(GPtrArray *classes, Place *ret_place);
/* Whether its desktops are to be in the cell that their parts of cards hang on. */
bool wish_near(const Pool *pool, const TemplateVersion *template);
/* The weights of a pool. BAD_VALUE where its list names none there are. */
bool pool_policy_read(const Pool *pool, bool gpu, Policy *ret_policy, GError **err);

/* ── planning.c ── */
/* Lines of NAME,LIKE or NAME,LIKE,CARDS: as if there were these hosts too; text may be NULL. BAD_VALUE, NOT_FOUND, EXISTS. */
bool plan_add_hosts(Fleet *f, const char *text, GError **err);
/* Of count more desktops of the pool, with their sessions' seats: how many have a place. why: where not all have one; NULL = nobody asks for it. */
int plan_room(Brain *b, const Pool *pool, int count, GError **why);
/* As if that host (NULL: none) took nothing. NOT_FOUND. */
bool plan_leave_out(Fleet *f, const char *name, GError **err);

/* One part of a card, found. */
typedef struct {
  const char *gpu;   /* borrowed, as the next two */
  const char *type, *address;  /* address NULL = the card chooses, or needs none */
  int start;
} PartPlace;
/* n more parts of class on a host, all of one type. */
typedef struct {
  const char *host;
  const GpuClass *class;
  bool in_guest;    /* a server in the guest shows what they draw, so none needs a display */
  NumaCell cell;    /* on cards of that cell */
  int n;
} PartsWish;
/* Places for them: GArray of PartPlace, owned by the caller. NO_GPU with what each card says. */
GArray *parts_find(Brain *b, const PartsWish *wish, GError **err);

/* The fleet is another one: nothing that was found out about the old one counts. */
void placing_forget(Brain *b);
/* Tells the fleet what is asked for, and how often. */
void placing_mix(Brain *b, Fleet *f);

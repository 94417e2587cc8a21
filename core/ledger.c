#include "core/ledger.h"
#include "core/placement/intern.h"
#include "core/placing.h"

#include <stdlib.h>
#include <string.h>

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

/* A storage as hosts see it, read once for many of them. */
typedef struct {
  const Storage *storage;
  GPtrArray *images;  /* names of the versions it holds, borrowed */
} Store;

struct Ledger {
  Fleet *fleet;
  GHashTable *hosts, *desktops;   /* name → HostEntry, DesktopEntry */
  GPtrArray *shapes;              /* CardShape, sorted by name */
  char *pools, *storages;         /* what of them is in it */
};

static void host_entry_free(void *data)
{
  HostEntry *e = data;
  g_free(e->text);
  g_ptr_array_unref(e->gpus);
  g_ptr_array_unref(e->shapes);
  g_free(e);
}

static void desktop_entry_free(void *data)
{
  DesktopEntry *e = data;
  g_clear_pointer(&e->more, g_array_unref);
  g_free(e);
}

void ledger_free(Ledger *l)
{
  if (!l)
    return;
  g_hash_table_unref(l->hosts);
  g_hash_table_unref(l->desktops);
  fleet_free(l->fleet);
  g_ptr_array_unref(l->shapes);
  g_free(l->pools);
  g_free(l->storages);
  g_free(l);
}

static int compare_texts(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *sorted_names(Brain *b, Noun noun)
{
  GPtrArray *names = state_names(b->state, noun);
  g_ptr_array_sort(names, compare_texts);
  return names;
}

static GPtrArray *sorted_keys(GHashTable *set)
{
  GPtrArray *keys = g_ptr_array_new();
  GHashTableIter i;
  void *key;
  g_hash_table_iter_init(&i, set);
  while (g_hash_table_iter_next(&i, &key, NULL))
    g_ptr_array_add(keys, key);
  g_ptr_array_sort(keys, compare_texts);
  return keys;
}

char *ledger_desktop(uint64_t tag)
{
  return g_strdup_printf("d-%" G_GUINT64_FORMAT, tag);
}

static uint64_t tag_of(const char *desktop)
{
  return g_ascii_strtoull(desktop + 2, NULL, 10);
}

/* ── hosts ────────────────────────────────────────────────────────────────── */

static void store_clear(void *store)
{
  g_ptr_array_unref(((Store *)store)->images);
}

static GArray *stores_new(Brain *b)
{
  GArray *stores = g_array_new(FALSE, FALSE, sizeof(Store));
  g_array_set_clear_func(stores, store_clear);
  g_autoptr(GPtrArray) names = sorted_names(b, NOUN_STORAGE), images = sorted_names(b, NOUN_IMAGE);
  for (guint i = 0; i < names->len; i++) {
    Store s = { GET(b, Storage, STORAGE, names->pdata[i]), g_ptr_array_new() };
    for (guint k = 0; s.storage->hosts && k < images->len; k++) {
      const ImageVersion *image = GET(b, ImageVersion, IMAGE, images->pdata[k]);
      if (image->state == IMAGE_READY && image->storages && g_strv_contains((const char *const *)image->storages, names->pdata[i]))
        g_ptr_array_add(s.images, images->pdata[k]);
    }
    g_array_append_val(stores, s);
  }
  return stores;
}

/* What a host is made of: the spec, and the arrays behind it. */
typedef struct {
  HostSpec spec;
  const char *features[2];            /* its hypervisor: desktops move between those of one kind */
  GPtrArray *stores, *images, *gpus, *shapes;  /* the first two end with NULL */
  GArray *cards;                      /* CardSpec, in the fleet's order */
  GArray *holds;                      /* GArray of CardHold a card */
  GString *text;
} HostMaking;

static void holds_clear(void *holds)
{
  g_array_unref(*(GArray **)holds);
}

static void making_clear(HostMaking *m)
{
  g_ptr_array_unref(m->stores);
  g_ptr_array_unref(m->images);
  g_clear_pointer(&m->gpus, g_ptr_array_unref);
  g_clear_pointer(&m->shapes, g_ptr_array_unref);
  g_array_unref(m->cards);
  g_array_unref(m->holds);
  g_string_free(m->text, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HostMaking, making_clear)

/* Its place, -1: it is not known. */
static int shape_find(const Ledger *l, const char *name)
{
  for (guint i = 0; i < l->shapes->len; i++)
    if (!strcmp(((CardShape *)l->shapes->pdata[i])->name, name))
      return (int)i;
  return -1;
}

typedef struct {
  CardSpec spec;
  const char *gpu;
  const CardShape *shape;
} CardMaking;

static int compare_cards(const void *a, const void *b)
{
  const CardMaking *x = a, *y = b;
  int by_spec = card_spec_compare(&x->spec, &y->spec);
  return by_spec ? by_spec : strcmp(x->gpu, y->gpu);
}

static void card_put(Brain *b, HostMaking *m, const CardMaking *c)
{
  GArray *holds = card_holds_new(b, GET(b, Gpu, GPU, c->gpu), c->shape);
  g_array_append_val(m->cards, c->spec);
  g_array_append_val(m->holds, holds);
  g_ptr_array_add(m->gpus, g_strdup(c->gpu));
  g_ptr_array_add(m->shapes, (CardShape *)c->shape);
  g_string_append_printf(m->text, "|%s %s", c->gpu, c->spec.model);
  for (guint i = 0; i < holds->len; i++) {
    const CardHold *h = &g_array_index(holds, CardHold, i);
    g_string_append_printf(m->text, " %s/%d/%x", h->profile, h->extent.share, h->extent.slots);
  }
}

static void cards_keep(Brain *b, const HostEntry *known, HostMaking *m)
{
  for (guint i = 0; i < known->gpus->len; i++) {
    const CardShape *s = known->shapes->pdata[i];
    card_put(b, m, &(CardMaking){ { s->name, 0 }, known->gpus->pdata[i], s });
  }
}

/* false: a card is of a shape that the fleet does not know yet. */
static bool cards_make(Brain *b, const Ledger *l, const char *host, HostMaking *m)
{
  g_autoptr(GPtrArray) names = state_host_gpus(b->state, host);
  g_autoptr(GArray) cards = g_array_new(FALSE, FALSE, sizeof(CardMaking));
  for (guint i = 0; i < names->len; i++) {
    CardShape *shape = card_shape_new(b, GET(b, Gpu, GPU, names->pdata[i]));
    int known = shape_find(l, shape->name);
    card_shape_free(shape);
    if (known < 0)
      return false;
    if (known >= MODELS_MOST)
      continue;
    const CardShape *s = l->shapes->pdata[known];
    CardMaking c = { { s->name, 0 }, names->pdata[i], s };
    g_array_append_val(cards, c);
  }
  g_array_sort(cards, compare_cards);
  for (guint i = 0; i < cards->len && i < CARDS_MOST; i++)
    card_put(b, m, &g_array_index(cards, CardMaking, i));
  return true;
}

static void storages_make(const GArray *stores, const char *host, HostMaking *m)
{
  for (guint i = 0; i < stores->len; i++) {
    const Store *s = &g_array_index(stores, Store, i);
    if (s->storage->hosts && !g_strv_contains((const char *const *)s->storage->hosts, host))
      continue;
    g_ptr_array_add(m->stores, s->storage->head.name);
    g_string_append_printf(m->text, "|%s", s->storage->head.name);
    for (guint k = 0; k < s->images->len; k++) {
      g_ptr_array_add(m->images, s->images->pdata[k]);
      g_string_append_printf(m->text, " %s", (char *)s->images->pdata[k]);
    }
  }
  g_ptr_array_add(m->stores, NULL);
  g_ptr_array_add(m->images, NULL);
}

/* known: its cards are as they were then; NULL: they have to be looked at. */
static bool host_make(Brain *b, const Ledger *l, const Host *h, const GArray *stores, const HostEntry *known, HostMaking *m)
{
  g_autofree char *labels = h->labels ? g_strjoinv(" ", h->labels) : g_strdup("");
  *m = (HostMaking){ .stores = g_ptr_array_new(), .images = g_ptr_array_new(), .gpus = g_ptr_array_new_with_free_func(g_free),
                     .shapes = g_ptr_array_new(),
                     .cards = g_array_new(FALSE, FALSE, sizeof(CardSpec)), .holds = g_array_new(FALSE, FALSE, sizeof(GArray *)),
                     .text = g_string_new(NULL) };
  g_array_set_clear_func(m->holds, holds_clear);
  m->spec = (HostSpec){ .name = h->head.name, .state = host_state_name(h->state), .vcpus = MIN(1000 * host_offer_vcpus(h), INT32_MAX),
                        .memory_mib = MIN(host_offer_mib(h), INT32_MAX), .labels = (const char *const *)h->labels };
  m->features[0] = h->virt_type;
  m->spec.features = m->features;
  g_string_append_printf(m->text, "%s %s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s", m->spec.state, h->virt_type ? h->virt_type : "",
                         m->spec.vcpus, m->spec.memory_mib, labels);
  storages_make(stores, h->head.name, m);
  if (known)
    cards_keep(b, known, m);
  else if (!cards_make(b, l, h->head.name, m))
    return false;
  m->spec.stores = (const char *const *)m->stores->pdata;
  m->spec.images = (const char *const *)m->images->pdata;
  m->spec.cards = (const CardSpec *)m->cards->data;
  m->spec.n_cards = (int)m->cards->len;
  return true;
}

/* ── claims ───────────────────────────────────────────────────────────────── */

static ClaimId claim_put(Fleet *f, HostEntry *host, const Demand *demand, const Place *place, const ClaimTerms *terms)
{
  g_autoptr(DemandClass) class = demand_class(f, demand, NULL);
  host->crowded = host->crowded || !place_fits(class, place);
  return place_put(class, place, terms);
}

static void holds_put(Fleet *f, HostEntry *host, const HostMaking *m)
{
  for (guint card = 0; card < m->holds->len; card++) {
    const GArray *holds = g_array_index(m->holds, GArray *, card);
    for (guint i = 0; i < holds->len; i++) {
      const CardHold *h = &g_array_index(holds, CardHold, i);
      Demand demand = { .gpu = { .count = 1, .profile = h->profile } };
      Place place = { .host = host->number, .cell = -1, .disk = -1, .n_cards = 1, .cards = { { (int)card, h->extent.share, h->extent.slots } } };
      claim_put(f, host, &demand, &place, NULL);
    }
  }
}

static int card_index(const HostEntry *host, const char *gpu)
{
  for (guint i = 0; i < host->gpus->len; i++)
    if (!strcmp(host->gpus->pdata[i], gpu))
      return (int)i;
  return -1;
}

static void place_add(Place *p, int card, CardExtent e)
{
  int i = 0;
  while (i < p->n_cards && p->cards[i].card != card)
    i++;
  p->n_cards = MAX(p->n_cards, i + 1);
  p->cards[i].card = card;
  p->cards[i].share += e.share;
  p->cards[i].slots |= e.slots;
}

static char *profile_of(Brain *b, const Vgpu *v)
{
  const Gpu *gpu = GET(b, Gpu, GPU, v->gpu);
  return gpu ? card_profile_name(gpu_picture(b, gpu), v->type) : g_strdup(v->type);
}

/* The claim's card in the host's order, and what of it is taken; -1: the host has no such card. */
static int claim_extent(Brain *b, const HostEntry *host, const Vgpu *v, CardExtent *ret_extent)
{
  const Gpu *gpu = GET(b, Gpu, GPU, v->gpu);
  int card = gpu && host ? card_index(host, v->gpu) : -1;
  if (card >= 0)
    *ret_extent = card_extent(host->shapes->pdata[card], gpu_picture(b, gpu), v->type, (int)v->start);
  return card;
}

static bool claim_add(Brain *b, const HostEntry *host, const Vgpu *v, Place *place)
{
  CardExtent extent;
  int card = claim_extent(b, host, v, &extent);
  if (card >= 0)
    place_add(place, card, extent);
  return card >= 0;
}

/* What one desktop, or one that has gone, holds on a host. */
typedef struct {
  const Desktop *desktop;   /* NULL = gone, or elsewhere */
  const Pool *pool;
  Stay stay;
  HostEntry *host;          /* NULL = it is none of the fleet's */
  GPtrArray *claims;        /* const Vgpu *, those that count */
  GString *text;
} Holding;

static void holding_clear(Holding *h)
{
  g_ptr_array_unref(h->claims);
  g_string_free(h->text, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Holding, holding_clear)

static void holding_tell(Brain *b, Holding *h, const Vgpu *v)
{
  g_autofree char *profile = profile_of(b, v);
  CardExtent extent = { 0 };
  int card = claim_extent(b, h->host, v, &extent);
  g_string_append_printf(h->text, "|%s %d %s %d/%x %d", v->gpu, card, profile, extent.share, extent.slots, v->state == VGPU_RELEASING);
}

static void holding_make(Brain *b, const Ledger *l, const char *name, Holding *h)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  *h = (Holding){ d, d ? GET(b, Pool, POOL, d->pool) : NULL, d ? desktop_stay(b, d) : STAY_GONE, NULL, g_ptr_array_new(), g_string_new(NULL) };
  if (d)
    g_string_append_printf(h->text, "%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s", d->host, d->vcpus, d->memory_mib,
                           stay_is_for_good(h->stay) ? "" : d->storage);
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, name);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    if (vgpu_is_succeeded(b, v))
      continue;
    g_ptr_array_add(h->claims, (Vgpu *)v);
    h->stay = STAY_CARD;
  }
  const Vgpu *any = h->claims->len ? h->claims->pdata[0] : NULL;
  const char *on = d ? d->host : any ? any->host : NULL;
  h->host = on ? g_hash_table_lookup(l->hosts, on) : NULL;
  for (guint i = 0; i < h->claims->len; i++)
    holding_tell(b, h, h->claims->pdata[i]);
}

static bool goes_with(const Vgpu *a, const Vgpu *v)
{
  return v->state != VGPU_RELEASING && !g_strcmp0(a->type, v->type);
}

/* Where it may go when it has to: where its disk is, its pool's labels hold, and the hypervisor is of the same kind. */
static void demand_elsewhere(Brain *b, const Holding *h, Demand *demand, const char **stores, const char **features)
{
  const Host *host = GET(b, Host, HOST, h->desktop->host);
  stores[0] = h->desktop->storage;
  features[0] = host ? host->virt_type : NULL;
  demand->stores = stores;
  demand->features = features;
  if (!h->pool)
    return;
  demand->labels = (const char *const *)h->pool->labels;
  demand->prefers = (const char *const *)h->pool->prefers;
  demand->hosts = (const char *const *)h->pool->hosts;
  pool_policy_read(h->pool, false, &demand->policy, NULL);
}

/* The desktop itself with its parts; rank by rank, as its pool asks. */
static ClaimId whole_put(Brain *b, Fleet *f, const Holding *h, const Vgpu *lead, uint64_t tag)
{
  HostEntry *host = h->host;
  Place place = { .host = host->number, .cell = -1, .disk = -1 };
  g_autofree char *profile = lead ? profile_of(b, lead) : NULL;
  const char *stores[2] = { NULL }, *features[2] = { NULL };
  Demand demand = { .gpu = { .profile = profile } };
  for (guint i = 0; lead && i < h->claims->len; i++)
    if (goes_with(lead, h->claims->pdata[i]))
      demand.gpu.count += claim_add(b, host, h->claims->pdata[i], &place);
  if (h->desktop) {
    demand.vcpus = 1000 * h->desktop->vcpus;
    demand.memory_mib = h->desktop->memory_mib;
    demand.group = h->pool ? h->pool->group : NULL;
    demand.group_rule = h->pool ? (GroupRule)h->pool->group_rule : GROUP_NONE;
  }
  if (h->desktop && !stay_is_for_good(h->stay))
    demand_elsewhere(b, h, &demand, stores, features);
  return claim_put(f, host, &demand, &place, &(ClaimTerms){ .tag = tag, .movable = h->stay == STAY_NOT });
}

static void part_put(Brain *b, Fleet *f, HostEntry *host, const Vgpu *v, DesktopEntry *e, uint64_t tag)
{
  Place place = { .host = host->number, .cell = -1, .disk = -1 };
  g_autofree char *profile = profile_of(b, v);
  Demand demand = { .gpu = { .count = 1, .profile = profile } };
  if (!claim_add(b, host, v, &place))
    return;
  ClaimId id = claim_put(f, host, &demand, &place, &(ClaimTerms){ .tag = tag });
  if (!e->more)
    e->more = g_array_new(FALSE, FALSE, sizeof(ClaimId));
  g_array_append_val(e->more, id);
}

static void desktop_put(Brain *b, Ledger *l, const char *name, const Holding *h)
{
  const Vgpu *lead = NULL;
  if (!h->host)
    return;
  for (guint i = 0; !lead && i < h->claims->len; i++)
    lead = ((Vgpu *)h->claims->pdata[i])->state != VGPU_RELEASING ? h->claims->pdata[i] : NULL;
  DesktopEntry *e = g_new0(DesktopEntry, 1);
  e->host = h->host->number;
  e->digest = hash_text(h->text->str);
  e->first = whole_put(b, l->fleet, h, lead, tag_of(name));
  for (guint i = 0; i < h->claims->len; i++)
    if (!lead || !goes_with(lead, h->claims->pdata[i]))
      part_put(b, l->fleet, h->host, h->claims->pdata[i], e, tag_of(name));
  g_hash_table_insert(l->desktops, g_strdup(name), e);
}

static void desktop_take_out(Ledger *l, const char *name)
{
  DesktopEntry *e = g_hash_table_lookup(l->desktops, name);
  if (!e)
    return;
  place_release(l->fleet, e->first, NULL);
  for (guint i = 0; e->more && i < e->more->len; i++)
    place_release(l->fleet, g_array_index(e->more, ClaimId, i), NULL);
  g_hash_table_remove(l->desktops, name);
}

/* ── one host anew ────────────────────────────────────────────────────────── */

/* All that hold something on the host, in one order: claims of those that are gone as well. */
static GPtrArray *holders_on(Brain *b, const char *host)
{
  g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(GPtrArray) names = state_host_desktops(b->state, host), gpus = state_host_gpus(b->state, host);
  for (guint i = 0; i < names->len; i++)
    g_hash_table_add(set, g_strdup(names->pdata[i]));
  for (guint i = 0; i < gpus->len; i++) {
    g_autoptr(GPtrArray) claims = state_gpu_claims(b->state, gpus->pdata[i]);
    for (guint k = 0; k < claims->len; k++)
      g_hash_table_add(set, g_strdup(GET(b, Vgpu, VGPU, claims->pdata[k])->desktop));
  }
  g_autoptr(GPtrArray) keys = sorted_keys(set);
  GPtrArray *sorted = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < keys->len; i++)
    g_ptr_array_add(sorted, g_strdup(keys->pdata[i]));
  return sorted;
}

static void host_empty(Ledger *l, int host)
{
  for (ClaimId id = claim_first(l->fleet, host); id.number >= 0; id = claim_first(l->fleet, host)) {
    ClaimTerms terms;
    claim_find(l->fleet, id, NULL, &terms, NULL);
    g_autofree char *desktop = ledger_desktop(terms.tag);
    if (terms.tag && g_hash_table_contains(l->desktops, desktop))
      desktop_take_out(l, desktop);
    else
      place_release(l->fleet, id, NULL);
  }
}

static bool host_enter(Ledger *l, const char *name, HostMaking *m)
{
  HostEntry *e = g_hash_table_lookup(l->hosts, name);
  if (e) {
    host_empty(l, e->number);
    if (!fleet_put_host(l->fleet, e->number, &m->spec, NULL))
      return false;
    g_free(e->text);
    g_ptr_array_unref(e->gpus);
    g_ptr_array_unref(e->shapes);
  } else {
    int number;
    if (!fleet_add_host(l->fleet, &m->spec, &number, NULL))
      return false;
    e = g_new0(HostEntry, 1);
    e->number = number;
    g_hash_table_insert(l->hosts, g_strdup(name), e);
  }
  e->text = g_strdup(m->text->str);
  e->gpus = g_steal_pointer(&m->gpus);
  e->shapes = g_steal_pointer(&m->shapes);
  e->crowded = false;
  holds_put(l->fleet, e, m);
  return true;
}

/* What may be otherwise on a host since it was entered. */
typedef enum {
  RENEW_OWN,      /* its own numbers, and what is held of its cards */
  RENEW_CARDS,    /* its cards as well */
  RENEW_ALL,      /* all that is put on it, again in order */
} Renewal;

/* false: the fleet has to be made anew. */
static bool host_renew(Brain *b, Ledger *l, const char *name, const GArray *stores, Renewal what)
{
  const Host *h = GET(b, Host, HOST, name);
  const HostEntry *e = g_hash_table_lookup(l->hosts, name);
  g_auto(HostMaking) m = { 0 };
  if (!h)
    return true;
  if (!host_make(b, l, h, stores, what == RENEW_CARDS ? NULL : e, &m))
    return false;
  if (e && what != RENEW_ALL && !strcmp(e->text, m.text->str))
    return true;
  if (!host_enter(l, name, &m))
    return false;
  g_autoptr(GPtrArray) holders = holders_on(b, name);
  for (guint i = 0; i < holders->len; i++) {
    g_auto(Holding) holding;
    holding_make(b, l, holders->pdata[i], &holding);
    desktop_take_out(l, holders->pdata[i]);
    desktop_put(b, l, holders->pdata[i], &holding);
  }
  return true;
}

/* ── all of it ────────────────────────────────────────────────────────────── */

static int compare_shapes(const void *a, const void *b)
{
  return strcmp((*(CardShape *const *)a)->name, (*(CardShape *const *)b)->name);
}

static void shapes_gather(Brain *b, Ledger *l)
{
  g_autoptr(GPtrArray) names = sorted_names(b, NOUN_GPU);
  for (guint i = 0; i < names->len; i++) {
    CardShape *shape = card_shape_new(b, GET(b, Gpu, GPU, names->pdata[i]));
    if (shape_find(l, shape->name) >= 0)
      card_shape_free(shape);
    else
      g_ptr_array_add(l->shapes, shape);
  }
  g_ptr_array_sort(l->shapes, compare_shapes);
  for (guint i = 0; i < l->shapes->len && i < MODELS_MOST; i++) {
    const CardShape *s = l->shapes->pdata[i];
    CardModelSpec spec = { .name = s->name, .same_type = s->same_type, .n_profiles = s->n, .profiles = s->profiles };
    for (int p = 0; p < s->n; p++)
      spec.framebuffer_mib = MAX(spec.framebuffer_mib, s->profiles[p].framebuffer_mib);
    fleet_add_model(l->fleet, &spec, NULL);
  }
}

static void list_tell(GString *text, char *const *list)
{
  for (; list && *list; list++)
    g_string_append_printf(text, ",%s", *list);
  g_string_append_c(text, ';');
}

/* What of storages is in the claims: who has them. */
static char *storages_text(Brain *b)
{
  GString *text = g_string_new(NULL);
  g_autoptr(GPtrArray) names = sorted_names(b, NOUN_STORAGE);
  for (guint i = 0; i < names->len; i++) {
    g_string_append(text, names->pdata[i]);
    list_tell(text, GET(b, Storage, STORAGE, names->pdata[i])->hosts);
  }
  return g_string_free(text, FALSE);
}

/* What of pools is in the claims: their groups, and where their desktops may be. */
static char *pools_text(Brain *b)
{
  GString *text = g_string_new(NULL);
  g_autoptr(GPtrArray) names = sorted_names(b, NOUN_POOL);
  for (guint i = 0; i < names->len; i++) {
    const Pool *p = GET(b, Pool, POOL, names->pdata[i]);
    g_string_append_printf(text, "%s %s %d %d", p->head.name, p->group ? p->group : "", p->group_rule, p->policy);
    list_tell(text, p->weights);
    list_tell(text, p->labels);
    list_tell(text, p->prefers);
    list_tell(text, p->hosts);
  }
  return g_string_free(text, FALSE);
}

static Ledger *ledger_new(Brain *b)
{
  Ledger *l = g_new0(Ledger, 1);
  l->fleet = fleet_new(0);
  l->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, host_entry_free);
  l->desktops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, desktop_entry_free);
  l->shapes = g_ptr_array_new_with_free_func(card_shape_free);
  l->pools = pools_text(b);
  l->storages = storages_text(b);
  shapes_gather(b, l);
  g_autoptr(GPtrArray) names = sorted_names(b, NOUN_HOST);
  g_autoptr(GArray) stores = stores_new(b);
  for (guint i = 0; i < names->len; i++)
    host_renew(b, l, names->pdata[i], stores, RENEW_ALL);
  return l;
}

/* ── kept true ────────────────────────────────────────────────────────────── */

static bool pools_differ(Brain *b, const Ledger *l)
{
  g_autofree char *now = pools_text(b);
  return strcmp(now, l->pools) != 0;
}

static bool storages_differ(Brain *b, const Ledger *l)
{
  g_autofree char *now = storages_text(b);
  return strcmp(now, l->storages) != 0;
}

static void names_join(GHashTable *set, GHashTable *names)
{
  GHashTableIter i;
  void *name;
  g_hash_table_iter_init(&i, names);
  while (g_hash_table_iter_next(&i, &name, NULL))
    g_hash_table_add(set, g_strdup(name));
}

/* What a card tells may change what each part of it takes. */
static void holders_touch(Brain *b, Touched *t)
{
  g_autoptr(GPtrArray) hosts = sorted_keys(t->cards);
  for (guint i = 0; i < hosts->len; i++) {
    g_autoptr(GPtrArray) holders = holders_on(b, hosts->pdata[i]);
    for (guint k = 0; k < holders->len; k++)
      g_hash_table_add(t->desktops, g_strdup(holders->pdata[k]));
  }
}

static bool hosts_follow(Brain *b, Ledger *l, Touched *t)
{
  names_join(t->hosts, t->cards);
  names_join(t->hosts, t->claims);
  bool all = t->storages || t->images, known = true;
  if (!all && !g_hash_table_size(t->hosts))
    return true;
  g_autoptr(GArray) stores = stores_new(b);
  g_autoptr(GPtrArray) names = all ? sorted_names(b, NOUN_HOST) : sorted_keys(t->hosts);
  for (guint i = 0; known && i < names->len; i++)
    known = host_renew(b, l, names->pdata[i], stores, g_hash_table_contains(t->cards, names->pdata[i]) ? RENEW_CARDS : RENEW_OWN);
  holders_touch(b, t);
  return known;
}

static void whole_add(GHashTable *whole, const HostEntry *host, const Ledger *l)
{
  if (host && host->crowded)
    g_hash_table_add(whole, g_strdup(fleet_host_name(l->fleet, host->number)));
}

/* Where it matters who was put first, all of the host's are put again. */
static void desktop_follow(Brain *b, Ledger *l, const char *name, GHashTable *whole)
{
  const DesktopEntry *e = g_hash_table_lookup(l->desktops, name);
  g_auto(Holding) h;
  holding_make(b, l, name, &h);
  bool same = e ? e->digest == hash_text(h.text->str) : !h.desktop && !h.claims->len;
  if (e && same)
    place_set_movable(l->fleet, e->first, h.stay == STAY_NOT, NULL);
  if (same)
    return;
  if (e)
    whole_add(whole, g_hash_table_lookup(l->hosts, fleet_host_name(l->fleet, e->host)), l);
  desktop_take_out(l, name);
  desktop_put(b, l, name, &h);
  whole_add(whole, h.host, l);
}

static bool desktops_follow(Brain *b, Ledger *l, Touched *t)
{
  g_autoptr(GHashTable) whole = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  bool known = true;
  GHashTableIter i;
  void *name;
  g_hash_table_iter_init(&i, t->desktops);
  while (g_hash_table_iter_next(&i, &name, NULL))
    desktop_follow(b, l, name, whole);
  if (!g_hash_table_size(whole))
    return true;
  g_autoptr(GArray) stores = stores_new(b);
  g_autoptr(GPtrArray) names = sorted_keys(whole);
  for (guint k = 0; known && k < names->len; k++)
    known = host_renew(b, l, names->pdata[k], stores, RENEW_ALL);
  return known;
}

static bool ledger_follow(Brain *b, Ledger *l, Touched *t)
{
  if (t->gone || t->classes || (t->pools && pools_differ(b, l)) || (t->storages && storages_differ(b, l)))
    return false;
  return hosts_follow(b, l, t) && desktops_follow(b, l, t);
}

Fleet *ledger_fleet(Brain *b)
{
  Touched *t = state_touched(b->state);
  bool fresh = !b->ledger || !ledger_follow(b, b->ledger, t);
  if (fresh) {
    placing_forget(b);
    g_clear_pointer(&b->ledger, ledger_free);
    b->ledger = ledger_new(b);
  }
  bool pools = fresh || t->pools;
  touched_clear(t);
  if (pools)
    placing_mix(b, b->ledger->fleet);
  return b->ledger->fleet;
}

const char *ledger_card(Brain *b, int host, int card)
{
  const HostEntry *e = g_hash_table_lookup(b->ledger->hosts, fleet_host_name(b->ledger->fleet, host));
  return card < (int)e->gpus->len ? e->gpus->pdata[card] : "?";
}

GPtrArray *ledger_shapes(Brain *b)
{
  return b->ledger->shapes;
}

static int movable_on(const Fleet *f, int host)
{
  int n = 0;
  for (ClaimId id = claim_first(f, host); id.number >= 0; id = claim_next(f, id)) {
    ClaimTerms terms;
    n += claim_find(f, id, NULL, &terms, NULL) && terms.movable;
  }
  return n;
}

char *ledger_text(Brain *b, bool anew)
{
  Fleet *kept = ledger_fleet(b);
  Ledger *other = anew ? ledger_new(b) : NULL;
  const Fleet *f = other ? other->fleet : kept;
  GString *text = g_string_new(NULL);
  g_autoptr(GPtrArray) names = sorted_names(b, NOUN_HOST);
  for (guint i = 0; i < names->len; i++) {
    int host = fleet_find_host(f, names->pdata[i]);
    g_autofree char *line = host < 0 ? g_strdup("not there") : fleet_host_text(f, host);
    g_string_append_printf(text, "%s: %s, %d can move\n", (char *)names->pdata[i], line, host < 0 ? 0 : movable_on(f, host));
  }
  ledger_free(other);
  return g_string_free(text, FALSE);
}

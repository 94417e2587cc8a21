/* What a desktop puts on its host, in the engine's numbers: its CPUs and memory, and its parts of cards; and what a card lacks without one. */
#include "core/ledger_parts.h"
#include "core/placement/intern.h"
#include "core/placing.h"
#include "drivers/hypervisor/hypervisor.h"

#include <string.h>

static uint64_t tag_of(const char *desktop)
{
  return g_ascii_strtoull(desktop + 2, NULL, 10);
}

static ClaimId claim_put(Fleet *f, HostEntry *host, const Demand *demand, const Place *place, const ClaimTerms *terms)
{
  g_autoptr(DemandClass) class = demand_class(f, demand, NULL);
  host->crowded = host->crowded || !place_fits(class, place);
  return place_put(class, place, terms);
}

void holds_put(Fleet *f, HostEntry *host, const HostMaking *m)
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

void holding_clear(Holding *h)
{
  g_ptr_array_unref(h->claims);
  g_string_free(h->text, TRUE);
}

static void holding_tell(Brain *b, Holding *h, const Vgpu *v)
{
  g_autofree char *profile = profile_of(b, v);
  CardExtent extent = { 0 };
  int card = claim_extent(b, h->host, v, &extent);
  g_string_append_printf(h->text, "|%s %d %s %d/%x %d", v->gpu, card, profile, extent.share, extent.slots, v->state == VGPU_RELEASING);
}

void holding_make(Brain *b, const Ledger *l, const char *name, Holding *h)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  *h = (Holding){ d, d ? GET(b, Pool, POOL, d->pool) : NULL, d ? desktop_stay(b, d) : STAY_GONE, NULL, 0,
                  g_ptr_array_new(), g_string_new(NULL) };
  h->disk_mib = d ? image_disk_mib(GET(b, ImageVersion, IMAGE, d->image)) : 0;
  if (d)
    g_string_append_printf(h->text, "%s>%s %d %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s %d", d->host,
                           d->moving ? d->moving : "", d->cell, d->vcpus, d->memory_mib, h->disk_mib, d->storage, stay_is_for_good(h->stay));
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

/* A guest that is given the host's CPU goes to hosts of the same one, and so does each of Xen's; others need what their template requires. */
static GPtrArray *features_elsewhere(Brain *b, const Holding *h)
{
  GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
  const Host *host = GET(b, Host, HOST, h->desktop->host);
  const TemplateVersion *t = GET(b, TemplateVersion, TEMPLATE, h->desktop->template);
  const char *virt = host ? host->virt_type : NULL;
  g_ptr_array_add(words, g_strdup(CAN_COME));
  if (virt)
    g_ptr_array_add(words, g_strdup(virt));
  if (!t || t->cpu_of_host || !g_strcmp0(virt, virt_type_name(VIRT_XEN)))
    g_ptr_array_add(words, host_cpu_word(h->host->cpu));
  for (char **w = t ? t->cpu : NULL; w && *w; w++)
    g_ptr_array_add(words, g_strdup(*w));
  g_ptr_array_add(words, NULL);
  return words;
}

/* Where it may go when it has to: where its disk is, its pool's labels hold, and hypervisor and CPU are right. */
static void demand_elsewhere(const Holding *h, Demand *demand, const char **stores, const GPtrArray *features)
{
  stores[0] = h->desktop->storage;
  demand->stores = stores;
  demand->features = (const char *const *)features->pdata;
  if (!h->pool)
    return;
  demand->labels = (const char *const *)h->pool->labels;
  demand->prefers = (const char *const *)h->pool->prefers;
  demand->hosts = (const char *const *)h->pool->hosts;
  pool_policy_read(h->pool, false, &demand->policy, NULL);
}

static void demand_size(Brain *b, const Holding *h, Demand *demand, Place *place)
{
  const Desktop *d = h->desktop;
  const TemplateVersion *t = GET(b, TemplateVersion, TEMPLATE, d->template);
  const Host *host = GET(b, Host, HOST, d->host);
  demand->vcpus = 1000 * d->vcpus;
  demand->memory_mib = d->memory_mib;
  demand->huge = t && t->huge_pages;
  demand->page_kib = demand->huge && host ? host->page_kib : 0;
  demand->one_cell = d->cell != CELL_ANY;
  demand->group = h->pool ? h->pool->group : NULL;
  demand->group_rule = h->pool ? (GroupRule)h->pool->group_rule : GROUP_NONE;
  place->cell = host_cell_index(h->host, (NumaCell)d->cell);
}

/* The desktop itself with its parts; rank by rank, as its pool asks. */
static ClaimId whole_put(Brain *b, Fleet *f, const Holding *h, const Vgpu *lead, uint64_t tag)
{
  HostEntry *host = h->host;
  Place place = { .host = host->number, .cell = -1, .disk = -1 };
  g_autofree char *profile = lead ? profile_of(b, lead) : NULL;
  const char *stores[2] = { NULL };
  g_autoptr(GPtrArray) features = NULL;
  Demand demand = { .gpu = { .profile = profile } };
  for (guint i = 0; lead && i < h->claims->len; i++)
    if (goes_with(lead, h->claims->pdata[i]))
      demand.gpu.count += claim_add(b, host, h->claims->pdata[i], &place);
  if (h->desktop) {
    demand_size(b, h, &demand, &place);
    place.disk = host_disk_own(host, h->desktop->storage);
    demand.disk_mib = place.disk >= 0 ? h->disk_mib : 0;
  }
  if (h->desktop && !stay_is_for_good(h->stay)) {
    features = features_elsewhere(b, h);
    demand_elsewhere(h, &demand, stores, features);
  }
  return claim_put(f, host, &demand, &place, &(ClaimTerms){ .tag = tag, .movable = h->stay == STAY_NOT });
}

static void more_add(DesktopEntry *e, ClaimId id)
{
  if (!e->more)
    e->more = g_array_new(FALSE, FALSE, sizeof(ClaimId));
  g_array_append_val(e->more, id);
}

/* On its way, it holds as much over there: nobody is given that meanwhile, and it goes nowhere else. */
static void coming_put(Brain *b, Ledger *l, const Holding *h, DesktopEntry *e, uint64_t tag)
{
  HostEntry *there = h->desktop && h->desktop->moving ? g_hash_table_lookup(l->hosts, h->desktop->moving) : NULL;
  if (!there)
    return;
  Place place = { .host = there->number, .cell = -1, .disk = -1 };
  Demand demand = { 0 };
  demand_size(b, h, &demand, &place);
  place.cell = -1; /* what a cell holds does not move */
  demand.one_cell = false;
  more_add(e, claim_put(l->fleet, there, &demand, &place, &(ClaimTerms){ .tag = tag }));
}

static void part_put(Brain *b, Fleet *f, HostEntry *host, const Vgpu *v, DesktopEntry *e, uint64_t tag)
{
  Place place = { .host = host->number, .cell = -1, .disk = -1 };
  g_autofree char *profile = profile_of(b, v);
  Demand demand = { .gpu = { .count = 1, .profile = profile } };
  if (!claim_add(b, host, v, &place))
    return;
  more_add(e, claim_put(f, host, &demand, &place, &(ClaimTerms){ .tag = tag }));
}

/* A disk on a storage that hosts share stays where it is when its desktop moves: it is counted beside the claim. */
static void shared_put(Fleet *f, const Holding *h, DesktopEntry *e)
{
  const char *shared = h->desktop ? host_disk_shared(h->host, h->desktop->storage) : NULL;
  if (!shared)
    return;
  e->shared = g_strdup(shared);
  e->disk_mib = h->disk_mib;
  fleet_shared_take(f, shared, e->disk_mib);
}

void desktop_put(Brain *b, Ledger *l, const char *name, const Holding *h)
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
  coming_put(b, l, h, e, tag_of(name));
  shared_put(l->fleet, h, e);
  g_hash_table_insert(l->desktops, g_strdup(name), e);
}

void desktop_take_out(Ledger *l, const char *name)
{
  DesktopEntry *e = g_hash_table_lookup(l->desktops, name);
  if (!e)
    return;
  place_release(l->fleet, e->first, NULL);
  if (e->shared)
    fleet_shared_take(l->fleet, e->shared, -e->disk_mib);
  for (guint i = 0; e->more && i < e->more->len; i++)
    place_release(l->fleet, g_array_index(e->more, ClaimId, i), NULL);
  g_hash_table_remove(l->desktops, name);
}

/* What must hold of cards, claims and parts, whatever happens. */
#include "tests/sim/gpu_inside.h"

#include <string.h>

enum { LOST_SHOWN_S = 150 };

#define LIVE(s, Type, NOUN, name) ((const Type *)((name) ? brain_find((s)->brain, NOUN_##NOUN, name) : NULL))

static void check_claims_apart(Sim *s, const Vgpu *a, GPtrArray *names, guint from)
{
  for (guint i = from; i < names->len; i++) {
    const Vgpu *v = LIVE(s, Vgpu, VGPU, names->pdata[i]);
    if (v->state == VGPU_RELEASING || g_strcmp0(a->gpu, v->gpu))
      continue;
    if (a->address && !g_strcmp0(a->address, v->address))
      broken(s, "no vGPU is claimed twice", "%s of %s and %s of %s have %s", a->head.name, a->desktop, v->head.name, v->desktop, a->address);
    if (!g_strcmp0(a->desktop, v->desktop) && a->slot == v->slot)
      broken(s, "no vGPU is claimed twice", "%s has %s and %s for one slot", a->desktop, a->head.name, v->head.name);
  }
}

static void card_told(Sim *s, const SimCard *card)
{
  for (guint i = 0; i < card->parts->len; i++) {
    const SimPart *p = card->parts->pdata[i];
    tell(s, "  %s has %s at %d, %s%s, made for %s, its function for %s", card->address, p->type, p->start, p->uuid, p->address, p->claim, p->function_claim);
  }
}

static void claims_told(Sim *s, const Gpu *gpu, const SimCard *card, int units)
{
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_VGPU);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = LIVE(s, Vgpu, VGPU, names->pdata[i]);
    if (!g_strcmp0(v->gpu, gpu->head.name))
      tell(s, "  %s (%s of %s at %d, place %d, %s) is %s%s", v->head.name, v->type, v->desktop, (int)v->clone, (int)v->start, v->address,
           vgpu_state_name(v->state), v->error ? " with an error" : "");
  }
  card_told(s, card);
  broken(s, "claims on a card add up to no more than it has", "%s of %s, %s: %d of %d", gpu->head.name, gpu->host, gpu_state_name(gpu->state), units, UNITS);
}

static void check_claim(Sim *s, const Vgpu *v, int units[])
{
  const Desktop *d = LIVE(s, Desktop, DESKTOP, v->desktop);
  if (v->state == VGPU_RELEASING)
    return;
  if (!d || d->clone != v->clone)
    broken(s, "a claim is for its desktop's generation", "%s is for %s at %d, which is %s", v->head.name, v->desktop, (int)v->clone,
           d ? "at another" : "gone");
  const Gpu *gpu = LIVE(s, Gpu, GPU, v->gpu);
  for (guint i = 0; gpu && i < s->cards->len; i++) {
    const SimCard *card = s->cards->pdata[i];
    if (card->host != host_index(v->host) || strcmp(card->address, gpu->address))
      continue;
    units[i] += type_of(card, v->type)->size;
    if (units[i] > UNITS)
      claims_told(s, gpu, card, units[i]);
  }
}

/* Parts vanish under a guest: soon after, its desktop is no longer shown as well. */
static void check_shown(Sim *s, const SimDomain *domain)
{
  const Desktop *d = LIVE(s, Desktop, DESKTOP, domain->desktop);
  const SimHost *h = &s->hosts[domain->host];
  if (!domain->gpu_lost_us || !d || d->task || host_index(d->host) != domain->host || h->health != SIM_UP || h->silent)
    return;
  bool shown = d->state == DESKTOP_AVAILABLE || d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED;
  int64_t since = MAX(MAX(domain->gpu_lost_us, d->since), s->boot_us);
  if (shown && domain->power == POWER_ON && s->now_us - since > LOST_SHOWN_S * SECOND_US && s->now_us - h->well_us > LOST_SHOWN_S * SECOND_US)
    broken(s, "a desktop whose GPU is missing is not shown as well", "%s is %s, %s to us, its parts are gone for %d s", d->head.name,
           desktop_state_name(d->state), power_state_name(d->power), (int)((s->now_us - domain->gpu_lost_us) / SECOND_US));
}

/* What an operator took out is put back by the next generation: nobody gets a floating desktop without it. */
static void check_whole(Sim *s)
{
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_DESKTOP);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = LIVE(s, Desktop, DESKTOP, names->pdata[i]);
    if (d->unplugged && d->state == DESKTOP_AVAILABLE && !d->owner)
      broken(s, "a desktop that is given has its GPU", "%s is available, and slots %x are out", d->head.name, (unsigned)d->unplugged);
  }
}

void gpus_check(Sim *s)
{
  check_whole(s);
  int units[2 * HOSTS] = { 0 };
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_VGPU);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = LIVE(s, Vgpu, VGPU, names->pdata[i]);
    check_claim(s, v, units);
    if (v->state != VGPU_RELEASING)
      check_claims_apart(s, v, names, i + 1);
  }
  for (guint i = 0; i < s->domains->len; i++)
    check_shown(s, s->domains->pdata[i]);
}

static void end_claim(Sim *s, const Vgpu *v)
{
  const Desktop *d = LIVE(s, Desktop, DESKTOP, v->desktop);
  if (!d || v->state == VGPU_RELEASING || v->error)
    broken(s, "in a quiet world every claim is held", "%s of %s is %s%s", v->head.name, v->desktop, vgpu_state_name(v->state), v->error ? " with an error" : "");
  const Gpu *gpu = LIVE(s, Gpu, GPU, v->gpu);
  SimCard *card = card_at(s, host_index(v->host), gpu->address);
  SimPart *p = part_at(card, v->uuid, v->address);
  SimDomain *domain = world_domain_of(s, v->desktop, host_index(v->host));
  bool on = domain && domain->power == POWER_ON && !domain->gpu_slipped;
  if (on && (!p || g_strcmp0(p->claim, v->head.name) || user_of(s, card->host, p) != domain))
    broken(s, "no vGPU is lost", "%s of %s, which runs, is not on its card", v->head.name, v->desktop);
}

static void end_card(Sim *s, const SimCard *card)
{
  for (int f = 0; f < FUNCTIONS; f++)
    if (card->functions[f].used_by && !LIVE(s, Vgpu, VGPU, card->functions[f].used_by))
      broken(s, "no function is left dirty", "function %d of %s of h%d, as %s left it", f, card->address, card->host + 1, card->functions[f].used_by);
  for (guint i = 0; i < card->parts->len; i++) {
    const SimPart *p = card->parts->pdata[i];
    if (p->function_claim && !p->claim)
      broken(s, "no function of ours is left behind", "%s of %s on %s of h%d", p->address, p->function_claim, card->address, card->host + 1);
    if (p->claim && !LIVE(s, Vgpu, VGPU, p->claim))
      broken(s, "no part of ours is left behind", "%s of %s on %s of h%d", p->type, p->claim, card->address, card->host + 1);
  }
}

/* One that can give nothing says so, and does not say it of others. */
static bool lacks_functions(const Gpu *gpu, const SimCard *card)
{
  return card && !card->n_functions && gpu->state == GPU_READY && strstr(gpu->error, "place-card-functions");
}

void gpus_check_end(Sim *s)
{
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_VGPU);
  for (guint i = 0; i < names->len; i++)
    end_claim(s, LIVE(s, Vgpu, VGPU, names->pdata[i]));
  for (guint i = 0; i < s->cards->len; i++)
    end_card(s, s->cards->pdata[i]);
  g_autoptr(GPtrArray) gpus = brain_names(s->brain, NOUN_GPU);
  for (guint i = 0; i < gpus->len; i++) {
    const Gpu *gpu = LIVE(s, Gpu, GPU, gpus->pdata[i]);
    SimCard *card = card_at(s, host_index(gpu->host), gpu->address);
    bool wrong = gpu->foreign_parts || (gpu->error && !lacks_functions(gpu, card));
    if (wrong)
      card_told(s, card);
    if (wrong)
      broken(s, "in a quiet world cards and claims agree", "%s of %s: %s, %d foreign", gpu->head.name, gpu->host, gpu->error, (int)gpu->foreign_parts);
  }
}

/* What befalls the simulated cards: a reboot takes all parts with it, cards fall off and come back empty, and others make and remove parts behind our
 * back. */
#include "tests/sim/gpu_inside.h"

#include <string.h>

static void announce(Sim *s, void *host)
{
  const SimHost *h = host;
  if (h->health == SIM_UP && !h->silent)
    runtime_observe(s, observation_new(SAW_DEVICES, h->name));
}

static void cards_change(Sim *s, const SimCard *card)
{
  if (!fault(s, 300))
    sim_after(s, chance_ms(s, 1, 2000), announce, &s->hosts[card->host]);
}

/* ── what befalls cards ───────────────────────────────────────────────────── */

/* Without power nothing stays in it either. */
static void parts_forget(SimCard *card)
{
  g_ptr_array_set_size(card->parts, 0);
  for (int f = 0; f < FUNCTIONS; f++)
    g_clear_pointer(&card->functions[f].used_by, g_free);
}

static void parts_lost(Sim *s, SimCard *card)
{
  for (guint i = 0; i < card->parts->len; i++) {
    SimDomain *d = user_of(s, card->host, card->parts->pdata[i]);
    if (d && !d->gpu_lost_us)
      d->gpu_lost_us = s->now_us;
  }
  parts_forget(card);
}

void gpus_host_dies(Sim *s, int host)
{
  s->reboots++;
  for (guint i = 0; i < s->cards->len; i++) {
    SimCard *card = s->cards->pdata[i];
    if (card->host == host)
      parts_forget(card);
  }
}

/* What is given as it is leaves nothing to see between two looks: the guest that had it still runs, without it. */
static void card_returns(Sim *s, SimCard *card)
{
  bool slips = (card->backend == GPU_WHOLE || card->backend == GPU_SRIOV) && (card->gone || card->broken);
  card->gone = card->broken = false;
  for (int f = 0; slips && f < FUNCTIONS; f++) {
    SimPart was = { 0 };
    if (card->backend == GPU_WHOLE)
      g_strlcpy(was.address, card->address, sizeof was.address);
    else
      function_address(card, f, was.address);
    SimDomain *d = user_of(s, card->host, &was);
    if (!d)
      continue;
    d->gpu_lost_us = 0;
    d->gpu_slipped = true;
  }
}

static void card_heals(Sim *s, void *data)
{
  SimCard *card = data;
  tell(s, "card %s of h%d is well again", card->address, card->host + 1);
  card_returns(s, card);
  cards_change(s, card);
}

static void card_suffers(Sim *s, SimCard *card)
{
  if (card->gone || card->broken)
    return;
  card->gone = chance(s, 600);
  card->broken = !card->gone;
  tell(s, "card %s of h%d %s", card->address, card->host + 1, card->gone ? "falls off the bus" : "is broken");
  parts_lost(s, card);
  cards_change(s, card);
  sim_after(s, haste_ms(s, 20000, 200000), card_heals, card);
}

/* Others make what they like, on functions that nobody has, with a guest of theirs or without, and remove what is theirs, clean. What a guest of ours has
 * left in a function keeps them from it. */
static void others_make(Sim *s, SimCard *card)
{
  int n;
  const SimType *types = types_of(card, &n), *type = &types[chance_below(s, n)];
  char uuid[GPU_UUID_TEXT_BYTES] = "", address[GPU_ADDRESS_BYTES] = "";
  if (card->gone || card->broken || !has_room(card, type))
    return;
  if (card->backend == GPU_MDEV)
    g_snprintf(uuid, sizeof uuid, "f0000000-0000-4000-8000-%012x", ++s->foreign_parts);
  else if (card->backend == GPU_WHOLE)
    g_strlcpy(address, card->address, sizeof address);
  else if (card->backend != GPU_MIG || chance(s, 600))
    function_idle(card, address);
  const SimFunction *f = function_at(card, address);
  SimPart would_be = { 0 };
  g_strlcpy(would_be.address, address, sizeof would_be.address);
  if (f && (f->used_by || user_of(s, card->host, &would_be)))
    return;
  bool placed = card->backend == GPU_VENDOR_VF || card->backend == GPU_MIG;
  SimPart *p = part_add(s, card, type->id, uuid, address, placed ? place_for(card, type) : -1);
  p->runs = address[0] && chance(s, 500);
  tell(s, "others make %s %s on %s of h%d", type->id, address, card->address, card->host + 1);
  cards_change(s, card);
}

static void others_remove(Sim *s, SimCard *card)
{
  for (guint i = card->parts->len; i-- > 0;) {
    const SimPart *p = card->parts->pdata[i];
    if (p->claim || p->function_claim || !chance(s, 500))
      continue;
    tell(s, "others remove %s %s from %s of h%d", p->type, p->address, card->address, card->host + 1);
    g_ptr_array_remove_index(card->parts, i);
    s->gpu_steps++;
    cards_change(s, card);
  }
}

void others_act(Sim *s, SimCard *card)
{
  if (chance(s, 600))
    others_make(s, card);
  else
    others_remove(s, card);
}

static void gpu_act(Sim *s, void *unused)
{
  if (s->quiet)
    return;
  sim_after(s, haste_ms(s, 2000, 20000), gpu_act, NULL);
  SimCard *card = s->cards->pdata[chance_below(s, s->cards->len)];
  int64_t what = chance_below(s, 10);
  if (what < 1)
    card_suffers(s, card);
  else if (what < 4)
    others_make(s, card);
  else if (what < 7)
    others_remove(s, card);
}

void gpus_begin(Sim *s)
{
  if (s->cards->len)
    sim_after(s, chance_ms(s, 20000, 60000), gpu_act, NULL);
}

/* Nothing goes wrong any more: cards are well, and others are gone. */
void gpus_mend(Sim *s)
{
  for (guint i = 0; i < s->cards->len; i++) {
    SimCard *card = s->cards->pdata[i];
    card_returns(s, card);
    for (guint k = card->parts->len; k-- > 0;)
      if (!((SimPart *)card->parts->pdata[k])->claim && !((SimPart *)card->parts->pdata[k])->function_claim)
        g_ptr_array_remove_index(card->parts, k);
  }
}

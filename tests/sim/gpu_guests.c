/* Domains of the simulated hosts and the parts they run with: what is passed to a guest is passed by its address alone, dirty or not. */
#include "tests/sim/gpu_inside.h"

#include <string.h>

void gpus_define(SimDomain *d, const StepOrder *o)
{
  g_strfreev(d->next_gpus);
  d->next_gpus = g_new0(char *, o->vgpus->len + 1);
  for (guint i = 0; i < o->vgpus->len; i++) {
    d->next_gpus[i] = g_strdup(part_key(o->vgpus->pdata[i], o->gpus->pdata[i]));
  }
}

static SimPart *part_of_host(Sim *s, int host, const char *key, SimCard **ret_card)
{
  for (guint i = 0; i < s->cards->len; i++) {
    SimCard *card = s->cards->pdata[i];
    SimPart *p = card->host == host && !card->gone ? part_at(card, key, key) : NULL;
    *ret_card = card;
    if (p)
      return p;
  }
  return NULL;
}

/* The claim by which a desktop has the part in its definition. */
static const Vgpu *claim_of(Sim *s, const char *desktop, int host, const char *key)
{
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[NOUN_VGPU]);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = STORED(s, Vgpu, VGPU, names->pdata[i]);
    if (!g_strcmp0(v->desktop, desktop) && host_index(v->host) == host && (!g_strcmp0(v->uuid, key) || !g_strcmp0(v->address, key)))
      return v;
  }
  return NULL;
}

/* From now on a guest has what is in it; what the guest before left there is in it, too, unless it was reset. */
static void hand_out(Sim *s, const SimDomain *d, SimCard *card, SimPart *p, const char *key)
{
  const Vgpu *v = p->claim ? NULL : claim_of(s, d->desktop, d->host, key);
  if (!p->claim && !v)
    broken(s, "no vGPU is taken from others", "%s gets %s, which is foreign", d->desktop, key);
  if (v)
    part_take(s, p, v, true);
  SimFunction *f = function_at(card, p->address);
  if (!f)
    return;
  if (f->used_by && strcmp(f->used_by, p->claim))
    broken(s, "no vGPU is handed out dirty", "%s gets %s of h%d for %s as %s left it", d->desktop, key, d->host + 1, p->claim, f->used_by);
  g_free(f->used_by);
  f->used_by = g_strdup(p->claim);
}

bool gpus_runs_without(const StepOrder *o)
{
  for (guint i = 0; i < o->vgpus->len; i++)
    if (((Vgpu *)o->vgpus->pdata[i])->state == VGPU_MADE)
      return true;
  return false;
}

/* Why libvirt would not start the domain with this part, or NULL. */
static const char *why_held(Sim *s, const SimDomain *d, const SimPart *p)
{
  if (!p)
    return "no such device";
  if (!p->claim && p->runs)
    return "device in use";
  const SimDomain *user = user_of(s, d->host, p);
  if (!user || user == d)
    return NULL;
  return world_domain_is_unknown(s, user) ? GPU_HELD_UNKNOWN : "device in use";
}

static void key_remove(char ***keys, const char *key)
{
  g_autoptr(GPtrArray) left = g_ptr_array_new();
  g_auto(GStrv) old = *keys;
  for (char **each = old; *each; each++)
    if (strcmp(*each, key))
      g_ptr_array_add(left, g_strdup(*each));
  g_ptr_array_add(left, NULL);
  *keys = (char **)g_memdup2(left->pdata, left->len * sizeof(char *));
}

static void key_add(char ***keys, const char *key)
{
  guint n = *keys ? g_strv_length(*keys) : 0;
  *keys = g_renew(char *, *keys, n + 2);
  (*keys)[n] = g_strdup(key);
  (*keys)[n + 1] = NULL;
}

/* Into a guest that runs; while it comes in, the call may fail although it does. */
static GError *plug_one(Sim *s, SimDomain *d, const Vgpu *v, const char *key)
{
  SimCard *card;
  SimPart *p = part_of_host(s, d->host, key, &card);
  GError *err = NULL;
  if (!p || (!p->claim && p->runs) || user_of(s, d->host, p)) {
    error_set(&err, REASON_HYPERVISOR_REFUSED, "what", "plug", "host", v->host, "detail", p ? "device in use" : "no such device", NULL);
    return err;
  }
  if (p->claim && strcmp(p->claim, v->head.name))
    broken(s, "no vGPU is taken from others", "%s is plugged in as %s, and is %s", key, v->head.name, p->claim);
  if (fault(s, 150)) {
    error_set(&err, REASON_HYPERVISOR_REFUSED, "what", "plug", "host", v->host, "detail", "it may have come in", NULL);
    if (chance(s, 500))
      return err;
  }
  hand_out(s, d, card, p, key);
  key_add(&d->gpus, key);
  s->gpu_steps++;
  return err;
}

/* NULL = it may start: its parts are there and nobody runs with them. */
GError *gpus_start(Sim *s, SimDomain *d)
{
  SimCard *card;
  for (char **key = d->next_gpus; key && *key; key++) {
    const char *held = why_held(s, d, part_of_host(s, d->host, *key, &card));
    if (held) {
      GError *err = NULL;
      error_set(&err, REASON_HYPERVISOR_REFUSED, "what", "start", "host", "", "detail", held, NULL);
      return err;
    }
  }
  for (char **key = d->next_gpus; key && *key; key++) {
    SimPart *p = part_of_host(s, d->host, *key, &card);
    hand_out(s, d, card, p, *key);
  }
  g_strfreev(d->gpus);
  d->gpus = g_strdupv(d->next_gpus);
  d->gpu_lost_us = 0;
  d->gpu_slipped = false;
  return NULL;
}

typedef struct {
  char uuid[37], *key;
  int boot;
} Leaving;

/* After we gave up waiting: it runs without what it has a right to, and libvirt announces nothing that is heard. */
static void leaves_late(Sim *s, void *data)
{
  Leaving *leaving = data;
  SimDomain *d = world_domain(s, leaving->uuid);
  bool in = d && d->boot == leaving->boot && d->power == POWER_ON && d->gpus && g_strv_contains((const char *const *)d->gpus, leaving->key);
  if (in && !s->quiet) {
    tell(s, "%s lets go of %s after all", d->desktop, leaving->key);
    key_remove(&d->gpus, leaving->key);
    s->gpu_steps++;
    if (!d->gpu_lost_us)
      d->gpu_lost_us = s->now_us;
  }
  g_free(leaving->key);
  g_free(leaving);
}

static GError *stays(Sim *s, const SimDomain *d, const char *key, const Vgpu *v)
{
  GError *err = NULL;
  if (chance(s, 400)) {
    Leaving *leaving = g_new0(Leaving, 1);
    g_strlcpy(leaving->uuid, d->uuid, sizeof leaving->uuid);
    leaving->key = g_strdup(key);
    leaving->boot = d->boot;
    sim_after(s, haste_ms(s, 500, 60000), leaves_late, leaving);
  }
  error_set(&err, REASON_DEVICE_STAYS, "domain", d->desktop, "name", v->head.name, "detail", "", NULL);
  return err;
}

/* A guest may keep what it is asked to let go of, or do so in its own time; what left is told also where the next one stays. */
GError *gpus_unplug(Sim *s, const StepOrder *o, SimDomain *d, StepResult *r)
{
  for (guint i = 0; i < o->vgpus->len; i++) {
    const Vgpu *v = o->vgpus->pdata[i];
    const char *key = part_key(v, o->gpus->pdata[i]);
    bool in = d && d->power == POWER_ON && key && d->gpus && g_strv_contains((const char *const *)d->gpus, key);
    if (in && fault(s, 250))
      return stays(s, d, key, v);
    if (in)
      key_remove(&d->gpus, key);
    if (in && !*d->gpus) { /* what was lost under it is no longer in it */
      d->gpu_lost_us = 0;
      d->gpu_slipped = false;
    }
    s->gpu_steps += in;
    step_result_add_vgpu(r, v);
  }
  return NULL;
}

GError *gpus_plug(Sim *s, const StepOrder *o, SimDomain *d)
{
  GError *err = NULL;
  for (guint i = 0; i < o->vgpus->len && !err; i++) {
    const Vgpu *v = o->vgpus->pdata[i];
    const char *key = part_key(v, o->gpus->pdata[i]);
    if (!d || d->power != POWER_ON)
      error_set(&err, REASON_DOMAIN_STATE, "what", "plug a device into", "domain", o->desktop->head.name, "state", "off", NULL);
    else if (!d->gpus || !g_strv_contains((const char *const *)d->gpus, key))
      err = plug_one(s, d, v, key);
  }
  return err;
}


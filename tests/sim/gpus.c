/* Graphics cards of the simulated hosts, with the vendors' rules: parts take units, a card may take one type at a time, functions have places, what
 * can be made changes with every part, a reboot takes all parts with it, cards fall off and come back empty, and others make and remove parts
 * behind our back. For whom a part was made is known here and nowhere else. */
#include "tests/sim/sim.h"

#include <string.h>

enum { UNITS = 4, FUNCTIONS = 4, LOST_SHOWN_S = 150 };

typedef struct {
  const char *id;
  int size;
} SimType;

static const SimType mdev_types[] = { { "m-1", 1 }, { "m-2", 2 } };
static const SimType function_types[] = { { "f-1", 1 }, { "f-2", 2 } };
static const SimType whole_types[] = { { "whole", UNITS } };

static const SimType *types_of(const SimCard *card, int *ret_n)
{
  bool mdev = card->backend == GPU_MDEV, whole = card->backend == GPU_WHOLE;
  *ret_n = whole ? 1 : 2;
  return mdev ? mdev_types : whole ? whole_types : function_types;
}

static const SimType *type_of(const SimCard *card, const char *id)
{
  int n;
  const SimType *types = types_of(card, &n);
  for (int i = 0; i < n; i++)
    if (!g_strcmp0(types[i].id, id))
      return &types[i];
  return NULL;
}

static void part_free(void *part)
{
  g_free(((SimPart *)part)->claim);
  g_free(part);
}

static void card_new(Sim *s, int host, int bus, GpuBackend backend)
{
  SimCard *card = g_new0(SimCard, 1);
  card->host = host;
  card->backend = backend;
  g_snprintf(card->address, sizeof card->address, "0000:%02x:00.0", bus);
  card->same_type_only = backend != GPU_WHOLE && chance(s, 400);
  card->parts = g_ptr_array_new_with_free_func(part_free);
  g_ptr_array_add(s->cards, card);
}

void gpus_furnish(Sim *s)
{
  static const GpuBackend backends[] = { GPU_MDEV, GPU_VENDOR_VF, GPU_WHOLE };
  s->cards = g_ptr_array_new();
  for (int host = 0; s->has_gpus && host < HOSTS; host++)
    for (int bus = 0; bus < 2; bus++)
      card_new(s, host, 8 + bus, bus ? backends[chance_below(s, 3)] : backends[chance_below(s, 2)]);
}

/* ── one card ─────────────────────────────────────────────────────────────── */

static SimCard *card_at(Sim *s, int host, const char *address)
{
  for (guint i = 0; i < s->cards->len; i++) {
    SimCard *card = s->cards->pdata[i];
    if (card->host == host && !g_strcmp0(card->address, address))
      return card;
  }
  return NULL;
}

static int units_used(const SimCard *card)
{
  int used = 0;
  for (guint i = 0; i < card->parts->len; i++)
    used += type_of(card, ((SimPart *)card->parts->pdata[i])->type)->size;
  return used;
}

static bool place_free(const SimCard *card, int start, int size)
{
  for (guint i = 0; i < card->parts->len; i++) {
    const SimPart *p = card->parts->pdata[i];
    int other = type_of(card, p->type)->size;
    if (start < p->start + other && p->start < start + size)
      return false;
  }
  return true;
}

static bool type_allowed(const SimCard *card, const SimType *type)
{
  const SimPart *first = card->parts->len ? card->parts->pdata[0] : NULL;
  return !card->same_type_only || !first || !strcmp(first->type, type->id);
}

/* How many more of type it would take; functions have places, aligned to their size. */
static int room_for(const SimCard *card, const SimType *type)
{
  if (!type_allowed(card, type))
    return 0;
  if (card->backend != GPU_VENDOR_VF)
    return (UNITS - units_used(card)) / type->size;
  int n = 0;
  for (int start = 0; start < UNITS; start += type->size)
    n += place_free(card, start, type->size);
  return n;
}

static void function_address(const SimCard *card, int function, char ret_address[GPU_ADDRESS_BYTES])
{
  g_strlcpy(ret_address, card->address, GPU_ADDRESS_BYTES);
  ret_address[11] = (char)('1' + function);
}

static SimPart *part_at(const SimCard *card, const char *uuid, const char *address)
{
  for (guint i = 0; i < card->parts->len; i++) {
    SimPart *p = card->parts->pdata[i];
    if (p->uuid[0] ? !g_strcmp0(p->uuid, uuid) : !g_strcmp0(p->address, address))
      return p;
  }
  return NULL;
}

/* The domain that runs with it, or NULL. */
static SimDomain *user_of(Sim *s, int host, const SimPart *part)
{
  const char *key = part->uuid[0] ? part->uuid : part->address;
  for (guint i = 0; i < s->domains->len; i++) {
    SimDomain *d = s->domains->pdata[i];
    bool runs = d->power == POWER_ON || d->power == POWER_SUSPENDED;
    if (d->host == host && runs && d->gpus && g_strv_contains((const char *const *)d->gpus, key))
      return d;
  }
  return NULL;
}

/* ── what is seen ─────────────────────────────────────────────────────────── */

static void add_types(const SimCard *card, GpuCard *seen)
{
  int n;
  const SimType *types = types_of(card, &n);
  for (int i = 0; i < n; i++) {
    GpuType *type = gpu_card_add_type(seen, types[i].id);
    type->max = UNITS / types[i].size;
    type->free = room_for(card, &types[i]);
    if (card->backend != GPU_VENDOR_VF)
      continue;
    type->size = types[i].size;
    for (int start = 0; start < UNITS && type_allowed(card, &types[i]); start += type->size)
      if (place_free(card, start, type->size))
        g_array_append_val(type->starts, start);
  }
}

static void add_idle_functions(const SimCard *card, GpuCard *seen)
{
  for (int f = 0; card->backend == GPU_VENDOR_VF && f < FUNCTIONS; f++) {
    char address[GPU_ADDRESS_BYTES];
    function_address(card, f, address);
    if (!part_at(card, "", address))
      gpu_card_add_function(seen, address);
  }
}

static GpuCard *card_seen(const SimCard *card, const char *controller)
{
  GpuCard *seen = gpu_card_new(card->address, card->backend);
  seen->vendor_id = 0x10de;
  seen->device_id = 0x2235;
  seen->model = g_strdup("S40");
  seen->same_type_only = card->same_type_only;
  seen->broken = card->broken ? g_strdup("Xid 79") : NULL;
  add_types(card, seen);
  add_idle_functions(card, seen);
  for (guint i = 0; i < card->parts->len; i++) {
    const SimPart *p = card->parts->pdata[i];
    GpuPart *part = gpu_card_add_part(seen, p->type);
    g_strlcpy(part->uuid, p->uuid, sizeof part->uuid);
    g_strlcpy(part->address, p->address, sizeof part->address);
    part->start = p->start;
    part->marked = p->uuid[0] && gpu_uuid_is_ours(controller, p->uuid);
  }
  return seen;
}

static void card_drop(void *card) { gpu_card_free(card); }

/* address NULL: all of the host. */
static void look(Sim *s, const StepOrder *o, StepResult *r, const char *address)
{
  int host = host_index(o->host->head.name);
  if (!r->cards)
    r->cards = g_ptr_array_new_with_free_func(card_drop);
  r->looked_us = s->now_us;
  for (guint i = 0; i < s->cards->len; i++) {
    const SimCard *card = s->cards->pdata[i];
    if (card->host == host && !card->gone && (!address || !strcmp(card->address, address)))
      g_ptr_array_add(r->cards, card_seen(card, o->controller));
  }
}

/* ── what is done ─────────────────────────────────────────────────────────── */

static GError *refuse_gpu_why(Reason reason, const Vgpu *v, const char *detail)
{
  GError *err = NULL;
  error_set(&err, reason, "what", v->head.name, "card", v->gpu, "host", v->host, "type", v->type, "detail", detail, NULL);
  return err;
}

static GError *refuse_gpu(Reason reason, const Vgpu *v) { return refuse_gpu_why(reason, v, ""); }

/* One claim, one part, wherever one looks. */
static void check_alone(Sim *s, const Vgpu *v)
{
  for (guint i = 0; i < s->cards->len; i++) {
    const SimCard *card = s->cards->pdata[i];
    for (guint k = 0; k < card->parts->len; k++)
      if (!g_strcmp0(((SimPart *)card->parts->pdata[k])->claim, v->head.name))
        broken(s, "no vGPU is doubled", "%s of %s is made a second time", v->head.name, v->desktop);
  }
}

static SimPart *part_add(SimCard *card, const char *type, const char *uuid, const char *address, int start)
{
  SimPart *p = g_new0(SimPart, 1);
  g_strlcpy(p->type, type, sizeof p->type);
  g_strlcpy(p->uuid, uuid ? uuid : "", sizeof p->uuid);
  g_strlcpy(p->address, address ? address : "", sizeof p->address);
  p->start = start;
  g_ptr_array_add(card->parts, p);
  return p;
}

/* Another domain that runs with the function, or NULL: it has no mark, but who runs with it has it. */
static const SimDomain *another_with(Sim *s, const SimCard *card, const SimPart *part, const Vgpu *v)
{
  for (guint i = 0; !part->uuid[0] && i < s->domains->len; i++) {
    const SimDomain *d = s->domains->pdata[i];
    bool runs = d->power == POWER_ON || d->power == POWER_SUSPENDED;
    bool has = runs && d->gpus && g_strv_contains((const char *const *)d->gpus, part->address);
    if (has && d->host == card->host && g_strcmp0(d->desktop, v->desktop))
      return d;
  }
  return NULL;
}

/* Made after the backup that was put back, on what has no mark: nobody can tell for which claim, of the same desktop or of one that is not known. */
static bool is_forgotten(Sim *s, const SimPart *part, const char *desktop)
{
  const Controller *self = STORED(s, Controller, CONTROLLER, "controller");
  if (!self || !self->doubtful || part->uuid[0] || !part->claim)
    return false;
  const Vgpu *known = STORED(s, Vgpu, VGPU, part->claim);
  return !known || !g_strcmp0(known->desktop, desktop);
}

static GError *make_one(Sim *s, SimCard *card, const Vgpu *v, bool *ret_fresh)
{
  *ret_fresh = false;
  const SimType *type = card ? type_of(card, v->type) : NULL;
  if (!type || card->gone || card->broken)
    return refuse_gpu(REASON_GPU_GONE, v);
  SimPart *there = part_at(card, v->uuid, v->address);
  const SimDomain *another = there ? another_with(s, card, there, v) : NULL;
  if (another)
    return refuse_gpu_why(REASON_GPU_NOT_OURS, v, world_domain_is_unknown(s, another) ? GPU_HELD_UNKNOWN : "");
  if (there && !g_strcmp0(there->claim, v->head.name))
    return NULL;
  if (there && is_forgotten(s, there, v->desktop) && !strcmp(there->type, v->type)) { /* as it is already, it counts as made */
    g_free(there->claim);
    there->claim = g_strdup(v->head.name);
    there->clone = v->clone;
    return NULL;
  }
  if (there)
    return refuse_gpu(REASON_GPU_NOT_OURS, v);
  bool fits = room_for(card, type) > 0 && (card->backend != GPU_VENDOR_VF || (v->start >= 0 && place_free(card, v->start, type->size)));
  if (!fits)
    return refuse_gpu(REASON_GPU_FULL, v);
  check_alone(s, v);
  SimPart *made = part_add(card, v->type, v->uuid, v->address, v->start);
  made->claim = g_strdup(v->head.name);
  made->clone = v->clone;
  *ret_fresh = true;
  s->gpu_steps++;
  return NULL;
}

static GError *do_make(Sim *s, const StepOrder *o, StepResult *r)
{
  GError *err = NULL;
  for (guint i = 0; i < o->vgpus->len && !err; i++) {
    const Vgpu *v = o->vgpus->pdata[i];
    const Gpu *gpu = o->gpus->pdata[i];
    bool fresh;
    err = make_one(s, gpu ? card_at(s, host_index(v->host), gpu->address) : NULL, v, &fresh);
    if (!err)
      step_result_add_vgpu(r, v)->fresh = fresh;
    if (gpu)
      look(s, o, r, gpu->address);
  }
  return err;
}

void gpus_sweep(Sim *s)
{
  for (guint i = 0; i < s->cards->len; i++) {
    const SimCard *card = s->cards->pdata[i];
    for (guint k = card->parts->len; k-- > 0;)
      if (s->hosts[card->host].health == SIM_UP && is_forgotten(s, card->parts->pdata[k], NULL) && !user_of(s, card->host, card->parts->pdata[k]))
        g_ptr_array_remove_index(card->parts, k);
  }
}

static GError *release_one(Sim *s, SimCard *card, const Vgpu *v)
{
  SimPart *p = card ? part_at(card, v->uuid, v->address) : NULL;
  if (!p || (v->head.name[0] && strcmp(p->type, v->type)))
    return NULL;
  if (!p->uuid[0] && !p->claim)
    return NULL; /* a function has no mark, but a guest that is not ours runs with it: GPU_NOT_OURS, and so nothing of ours is there */
  if (another_with(s, card, p, v))
    return NULL; /* GPU_NOT_OURS: nothing of the claim is there */
  if (user_of(s, card->host, p))
    return refuse_gpu(REASON_GPU_IN_USE, v);
  if (!p->claim)
    broken(s, "what is foreign is never touched", "%s on %s is released as %s", p->uuid[0] ? p->uuid : p->address, card->address, v->head.name);
  if (v->head.name[0] && !is_forgotten(s, p, v->desktop) && (strcmp(p->claim, v->head.name) || p->clone != v->clone))
    broken(s, "a release frees what it names, and nobody else's", "%s of generation %d frees %s of %d", v->head.name, (int)v->clone, p->claim,
           (int)p->clone);
  s->gpu_steps++;
  g_ptr_array_remove(card->parts, p);
  return NULL;
}

static GError *do_release(Sim *s, const StepOrder *o, StepResult *r)
{
  GError *err = NULL;
  for (guint i = 0; i < o->vgpus->len && !err; i++) {
    const Vgpu *v = o->vgpus->pdata[i];
    const Gpu *gpu = o->gpus->pdata[i];
    err = release_one(s, gpu ? card_at(s, host_index(o->host->head.name), gpu->address) : NULL, v);
    if (!err)
      step_result_add_vgpu(r, v);
    if (gpu)
      look(s, o, r, gpu->address);
  }
  return err;
}

GError *gpus_do(Sim *s, const StepOrder *o, StepResult *r)
{
  if (o->kind == STEP_GPU_DISCOVER) {
    s->gpu_looks++;
    look(s, o, r, NULL);
    return NULL;
  }
  return o->kind == STEP_GPU_MAKE ? do_make(s, o, r) : do_release(s, o, r);
}

/* ── domains and their parts ──────────────────────────────────────────────── */

void gpus_define(SimDomain *d, const StepOrder *o)
{
  g_strfreev(d->next_gpus);
  d->next_gpus = g_new0(char *, o->vgpus->len + 1);
  for (guint i = 0; i < o->vgpus->len; i++) {
    const Vgpu *v = o->vgpus->pdata[i];
    d->next_gpus[i] = g_strdup(v->uuid ? v->uuid : v->address);
  }
}

static SimPart *part_of_host(Sim *s, int host, const char *key)
{
  for (guint i = 0; i < s->cards->len; i++) {
    const SimCard *card = s->cards->pdata[i];
    SimPart *p = card->host == host && !card->gone ? part_at(card, key, key) : NULL;
    if (p)
      return p;
  }
  return NULL;
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
  if (!p->uuid[0] && !p->claim)
    return "device in use"; /* the guest of others runs with that function */
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
  SimPart *p = part_of_host(s, d->host, key);
  GError *err = NULL;
  if (!p || !p->claim || user_of(s, d->host, p)) {
    error_set(&err, REASON_HYPERVISOR_REFUSED, "what", "plug", "host", v->host, "detail", p ? "device in use" : "no such device", NULL);
    return err;
  }
  if (strcmp(p->claim, v->head.name))
    broken(s, "no vGPU is taken from others", "%s is plugged in as %s, and is %s", key, v->head.name, p->claim);
  if (fault(s, 150)) {
    error_set(&err, REASON_HYPERVISOR_REFUSED, "what", "plug", "host", v->host, "detail", "it may have come in", NULL);
    if (chance(s, 500))
      return err;
  }
  key_add(&d->gpus, key);
  s->gpu_steps++;
  return err;
}

/* NULL = it may start: its parts are there and nobody runs with them. */
GError *gpus_start(Sim *s, SimDomain *d)
{
  for (char **key = d->next_gpus; key && *key; key++) {
    const SimPart *p = part_of_host(s, d->host, *key);
    const char *held = why_held(s, d, p);
    if (held) {
      GError *err = NULL;
      error_set(&err, REASON_HYPERVISOR_REFUSED, "what", "start", "host", "", "detail", held, NULL);
      return err;
    }
    if (!p->claim)
      broken(s, "no vGPU is taken from others", "%s starts with %s, which is foreign", d->desktop, *key);
  }
  g_strfreev(d->gpus);
  d->gpus = g_strdupv(d->next_gpus);
  d->gpu_lost_us = 0;
  d->gpu_slipped = false;
  return NULL;
}

/* A guest may keep what it is asked to let go of; what left is told also where the next one stays. */
GError *gpus_unplug(Sim *s, const StepOrder *o, SimDomain *d, StepResult *r)
{
  for (guint i = 0; i < o->vgpus->len; i++) {
    const Vgpu *v = o->vgpus->pdata[i];
    const char *key = v->uuid ? v->uuid : v->address;
    bool in = d && d->power == POWER_ON && key && d->gpus && g_strv_contains((const char *const *)d->gpus, key);
    GError *err = NULL;
    if (in && fault(s, 250)) {
      error_set(&err, REASON_DEVICE_STAYS, "domain", d->desktop, "name", v->head.name, "detail", "", NULL);
      return err;
    }
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
    const char *key = v->uuid ? v->uuid : v->address;
    if (!d || d->power != POWER_ON)
      error_set(&err, REASON_DOMAIN_STATE, "what", "plug a device into", "domain", o->desktop->head.name, "state", "off", NULL);
    else if (!d->gpus || !g_strv_contains((const char *const *)d->gpus, key))
      err = plug_one(s, d, v, key);
  }
  return err;
}

/* The host announces it, most times, to a controller that listens. */
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

static void parts_lost(Sim *s, SimCard *card)
{
  for (guint i = 0; i < card->parts->len; i++) {
    SimDomain *d = user_of(s, card->host, card->parts->pdata[i]);
    if (d && !d->gpu_lost_us)
      d->gpu_lost_us = s->now_us;
  }
  g_ptr_array_set_size(card->parts, 0);
}

void gpus_host_dies(Sim *s, int host)
{
  s->reboots++;
  for (guint i = 0; i < s->cards->len; i++) {
    SimCard *card = s->cards->pdata[i];
    if (card->host == host)
      g_ptr_array_set_size(card->parts, 0);
  }
}

static void card_returns(Sim *s, SimCard *card)
{
  SimPart all = { 0 };
  g_strlcpy(all.address, card->address, sizeof all.address);
  SimDomain *d = card->backend == GPU_WHOLE && (card->gone || card->broken) ? user_of(s, card->host, &all) : NULL;
  card->gone = card->broken = false;
  if (!d)
    return;
  d->gpu_lost_us = 0;
  d->gpu_slipped = true;
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

/* Others make what they like, on functions that nobody has, and remove what is theirs. */
static void others_make(Sim *s, SimCard *card)
{
  int n;
  const SimType *types = types_of(card, &n), *type = &types[chance_below(s, n)];
  char uuid[GPU_UUID_TEXT_BYTES] = "", address[GPU_ADDRESS_BYTES] = "";
  int start = -1;
  if (card->gone || card->broken || room_for(card, type) < 1)
    return;
  if (card->backend == GPU_MDEV)
    g_snprintf(uuid, sizeof uuid, "f0000000-0000-4000-8000-%012x", ++s->foreign_parts);
  for (int f = 0; card->backend == GPU_VENDOR_VF && f < FUNCTIONS && !address[0]; f++) {
    function_address(card, f, address);
    if (part_at(card, "", address))
      address[0] = '\0';
  }
  for (start = 0; card->backend == GPU_VENDOR_VF && start < UNITS && !place_free(card, start, type->size);)
    start += type->size;
  if (card->backend == GPU_WHOLE)
    g_strlcpy(address, card->address, sizeof address);
  if (!uuid[0] && !address[0])
    return;
  part_add(card, type->id, uuid, address, card->backend == GPU_VENDOR_VF ? start : -1);
  s->gpu_steps++;
  tell(s, "others make %s on %s of h%d", type->id, card->address, card->host + 1);
  cards_change(s, card);
}

static void others_remove(Sim *s, SimCard *card)
{
  for (guint i = card->parts->len; i-- > 0;)
    if (!((SimPart *)card->parts->pdata[i])->claim && chance(s, 500)) {
      g_ptr_array_remove_index(card->parts, i);
      s->gpu_steps++;
      cards_change(s, card);
    }
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
      if (!((SimPart *)card->parts->pdata[k])->claim)
        g_ptr_array_remove_index(card->parts, k);
  }
}

/* ── what must hold ───────────────────────────────────────────────────────── */

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

static void claims_told(Sim *s, const Gpu *gpu, const SimCard *card, int units)
{
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_VGPU);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = LIVE(s, Vgpu, VGPU, names->pdata[i]);
    if (!g_strcmp0(v->gpu, gpu->head.name))
      tell(s, "  %s (%s of %s at %d, place %d, %s) is %s%s", v->head.name, v->type, v->desktop, (int)v->clone, (int)v->start, v->address,
           vgpu_state_name(v->state), v->error ? " with an error" : "");
  }
  for (guint i = 0; i < card->parts->len; i++)
    tell(s, "  it has %s of %s at %d", ((SimPart *)card->parts->pdata[i])->type, ((SimPart *)card->parts->pdata[i])->claim, ((SimPart *)card->parts->pdata[i])->start);
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
  for (guint i = 0; i < card->parts->len; i++) {
    const SimPart *p = card->parts->pdata[i];
    if (p->claim && !LIVE(s, Vgpu, VGPU, p->claim))
      broken(s, "no part of ours is left behind", "%s of %s on %s of h%d", p->type, p->claim, card->address, card->host + 1);
  }
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
    if (gpu->error || gpu->foreign_parts)
      broken(s, "in a quiet world cards and claims agree", "%s of %s: %s, %d foreign", gpu->head.name, gpu->host, gpu->error, (int)gpu->foreign_parts);
  }
}

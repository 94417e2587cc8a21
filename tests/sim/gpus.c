/* What drivers do on the simulated cards, call by call as drivers/gpu does: each call may be refused or be the last one before the way to the host is cut,
 * and others may come between two of them. A function that has a type already, or a driver for guests, looks the same whoever gave it that. */
#include "tests/sim/gpu_inside.h"

#include <string.h>

enum { CALLS_MOST = 12, REFUSED = 20, RESET_FAILS = 120, TOOL_MUTE = 20, OTHERS_COME = 20 };

/* One claim's part, made or released. again: it is not known whether an earlier try made it. */
typedef struct {
  Sim *s;
  SimCard *card;
  const Vgpu *v;
  bool again;
  char address[GPU_ADDRESS_BYTES];
} Deed;

static bool refuse(const Deed *d, Reason reason, const char *detail, GError **err)
{
  const Vgpu *v = d->v;
  return error_false(err, reason, "what", v->head.name, "card", v->gpu, "host", v->host, "type", v->type, "detail", detail, NULL);
}

/* ── calls to the host ────────────────────────────────────────────────────── */

static bool call(const Deed *d, GError **err)
{
  if (d->s->calls_left-- > 0)
    return true;
  return refuse(d, chance(d->s, 500) ? REASON_HOST_UNREACHABLE : REASON_TIMEOUT, "the way to the host is cut", err);
}

static bool change(const Deed *d, const char *what, GError **err)
{
  return call(d, err) && (!fault(d->s, REFUSED) || refuse(d, REASON_GPU_REFUSED, what, err));
}

/* The vendor's tool may say nothing, and then nothing is known. */
static bool view_read(const Deed *d, GError **err)
{
  return call(d, err) && (d->card->backend == GPU_MDEV || !fault(d->s, TOOL_MUTE) || refuse(d, REASON_GPU_FACTS, "nvidia-smi says nothing", err));
}

/* Another domain that runs with the function, or NULL: it has no mark, but who runs with it has it. */
static const SimDomain *another_with(const Deed *d, const char *address)
{
  for (guint i = 0; i < d->s->domains->len; i++) {
    const SimDomain *each = d->s->domains->pdata[i];
    bool runs = each->power == POWER_ON || each->power == POWER_SUSPENDED;
    bool has = runs && each->gpus && g_strv_contains((const char *const *)each->gpus, address);
    if (has && each->host == d->card->host && g_strcmp0(each->desktop, d->v->desktop))
      return each;
  }
  return NULL;
}

static bool others_run_with(const Deed *d, const char *address)
{
  const SimPart *p = part_at(d->card, "", address);
  return p && !p->claim && p->runs;
}

static bool not_anothers(const Deed *d, const char *address, GError **err)
{
  if (!call(d, err))
    return false;
  const SimDomain *another = another_with(d, address);
  if (another)
    return refuse(d, REASON_GPU_NOT_OURS, world_domain_is_unknown(d->s, another) ? GPU_HELD_UNKNOWN : "", err);
  return !others_run_with(d, address) || refuse(d, REASON_GPU_NOT_OURS, "a guest of others", err);
}

static bool nobody_elses(const Deed *d, GError **err)
{
  bool asked = d->card->backend != GPU_MDEV && d->card->backend != GPU_MIG;
  return !asked || not_anothers(d, d->address, err);
}

static bool is_unused(const Deed *d, const SimPart *p, GError **err)
{
  return call(d, err) && (!user_of(d->s, d->card->host, p) || refuse(d, REASON_GPU_IN_USE, "", err)) &&
         (!others_run_with(d, p->address) || refuse(d, REASON_GPU_IN_USE, "a guest of others", err));
}

static bool reset(const Deed *d, const char *address, GError **err)
{
  SimFunction *f = function_at(d->card, address);
  if (!call(d, err))
    return false;
  if (!d->s->quiet && f->unwell_us <= d->s->now_us && fault(d->s, RESET_FAILS))
    f->unwell_us = chance(d->s, 500) ? d->s->now_us + haste_ms(d->s, 20000, 300000) : d->s->now_us + 1;
  if (!d->s->quiet && (d->card->broken || f->unwell_us > d->s->now_us))
    return refuse(d, REASON_GPU_DIRTY, "Inappropriate ioctl for device", err);
  g_clear_pointer(&f->used_by, g_free);
  return true;
}

/* ── whose it is ──────────────────────────────────────────────────────────── */

bool is_forgotten(Sim *s, const SimPart *part, const char *desktop)
{
  const Controller *self = STORED(s, Controller, CONTROLLER, "controller");
  if (!self || !self->doubtful || part->uuid[0] || !part->claim)
    return false;
  const Vgpu *known = STORED(s, Vgpu, VGPU, part->claim);
  return !known || !g_strcmp0(known->desktop, desktop);
}

/* An order that left before the backup was put back, of a claim which that does not know, and that comes through only now: what it finds made as it was
 * to be is left as it is, and nobody hears its answer. */
static bool is_of_before(Sim *s, const Vgpu *v)
{
  const Controller *self = STORED(s, Controller, CONTROLLER, "controller");
  bool named = v->head.name[0] && !STORED(s, Vgpu, VGPU, v->head.name);
  return named && self && g_ascii_strtoll(v->head.name + 2, NULL, 10) < self->doubtful;
}

static void part_own(SimPart *p, const Vgpu *v)
{
  g_free(p->claim);
  p->claim = g_strdup(v->head.name);
  p->clone = v->clone;
  p->runs = false;
}

void part_take(Sim *s, SimPart *p, const Vgpu *v, bool in_doubt)
{
  if (!in_doubt)
    broken(s, "what is foreign is never touched", "%s %s%s, which others made, is taken by %s of %s", p->type, p->uuid, p->address, v->head.name, v->desktop);
  tell(s, "  %s %s that others made is lost to %s, which nobody knew to be made or not", p->type, p->address, v->head.name);
  s->doubts++;
  part_own(p, v);
}

static int64_t tries_of(Sim *s, const Vgpu *v)
{
  return GPOINTER_TO_INT(g_hash_table_lookup(s->tried, v->head.name));
}

static void tries_add(Sim *s, const Vgpu *v, int n)
{
  g_hash_table_insert(s->tried, g_strdup(v->head.name), GINT_TO_POINTER(tries_of(s, v) + n));
}

void gpus_ordered(Sim *s, const StepOrder *o)
{
  for (guint i = 0; o->kind == STEP_GPU_MAKE && i < o->vgpus->len; i++)
    tries_add(s, o->vgpus->pdata[i], 1);
}

void gpus_dropped(Sim *s)
{
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[NOUN_VGPU]);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = STORED(s, Vgpu, VGPU, names->pdata[i]);
    if (v->tries)
      tries_add(s, v, 1);
  }
}

/* What is there already counts as made. */
static bool adopt(const Deed *d, SimPart *p)
{
  const Vgpu *v = d->v;
  if (!g_strcmp0(p->claim, v->head.name) || (p->claim && is_of_before(d->s, v)))
    return true;
  if (!p->claim)
    part_take(d->s, p, v, tries_of(d->s, v) > 1);
  else if (!is_forgotten(d->s, p, v->desktop))
    broken(d->s, "no vGPU is doubled", "%s %s of %s is made for %s of %s as it is", p->type, p->address, p->claim, v->head.name, v->desktop);
  part_own(p, v);
  return true;
}

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

static SimPart *part_new(const Deed *d, const char *uuid, const char *address, int start)
{
  check_alone(d->s, d->v);
  SimPart *p = part_add(d->s, d->card, type_of(d->card, d->v->type)->id, uuid, address, start);
  part_own(p, d->v);
  return p;
}

static void part_end(const Deed *d, SimPart *p)
{
  const Vgpu *v = d->v;
  if (!p->claim)
    part_take(d->s, p, v, v->head.name[0] && tries_of(d->s, v) > 0);
  if (v->head.name[0] && !is_forgotten(d->s, p, v->desktop) && (strcmp(p->claim, v->head.name) || p->clone != v->clone))
    broken(d->s, "a release frees what it names, and nobody else's", "%s of generation %d frees %s of %d", v->head.name, (int)v->clone, p->claim,
           (int)p->clone);
  d->s->gpu_steps++;
  g_ptr_array_remove(d->card->parts, p);
}

/* ── mediated devices ─────────────────────────────────────────────────────── */

static bool mdev_make(Deed *d, GError **err)
{
  if (!view_read(d, err))
    return false;
  if (part_at(d->card, d->v->uuid, NULL))
    return true;
  if (!has_room(d->card, type_of(d->card, d->v->type)))
    return refuse(d, REASON_GPU_FULL, "", err);
  if (!change(d, "make a mediated device", err))
    return false;
  part_new(d, d->v->uuid, NULL, -1);
  return true;
}

static bool mdev_release(Deed *d, GError **err)
{
  if (!view_read(d, err))
    return false;
  SimPart *p = part_at(d->card, d->v->uuid, NULL);
  if (!p)
    return true;
  if (user_of(d->s, d->card->host, p))
    return refuse(d, REASON_GPU_IN_USE, "", err);
  if (!change(d, "end a mediated device", err))
    return false;
  part_end(d, p);
  return true;
}

/* ── functions that get a type ────────────────────────────────────────────── */

static bool found_made(const Deed *d, SimPart *p, GError **err)
{
  return d->again ? adopt(d, p) : refuse(d, REASON_GPU_NOT_OURS, "it is made already", err);
}

static bool vendor_make(Deed *d, GError **err)
{
  const SimType *type = type_of(d->card, d->v->type);
  if (!view_read(d, err))
    return false;
  SimPart *p = part_at(d->card, "", d->address);
  if (p)
    return strcmp(p->type, type->id) ? refuse(d, REASON_GPU_NOT_OURS, "it has another type", err) : found_made(d, p, err);
  if (!has_room(d->card, type))
    return refuse(d, REASON_GPU_FULL, "the card's list does not have it now", err);
  if (fault(d->s, OTHERS_COME))
    others_act(d->s, d->card);
  if (!change(d, "write a type", err))
    return false;
  if (part_at(d->card, "", d->address))
    return refuse(d, REASON_GPU_IN_USE, "Device or resource busy", err);
  if (!has_room(d->card, type))
    return refuse(d, REASON_GPU_REFUSED, "Invalid argument", err);
  part_new(d, NULL, d->address, place_for(d->card, type));
  return call(d, err);
}

static bool vendor_release(Deed *d, GError **err)
{
  if (!view_read(d, err))
    return false;
  SimPart *p = part_at(d->card, "", d->address);
  if (p && strcmp(p->type, d->v->type))
    return refuse(d, REASON_GPU_NOT_OURS, "it has another type", err);
  if (p && (!is_unused(d, p, err) || !change(d, "write type 0", err)))
    return false;
  if (p)
    part_end(d, p);
  return call(d, err) && reset(d, d->address, err);
}

/* ── functions and cards as they are ──────────────────────────────────────── */

static bool plain_make(Deed *d, GError **err)
{
  if (!view_read(d, err))
    return false;
  SimPart *p = part_at(d->card, "", d->address);
  if (p)
    return is_unused(d, p, NULL) || user_of(d->s, d->card->host, p) ? found_made(d, p, err) : refuse(d, REASON_GPU_IN_USE, "", err);
  if (!change(d, "write driver_override", err) || !change(d, "write driver/unbind", err) || !change(d, "write drivers_probe", err))
    return false;
  part_new(d, NULL, d->address, -1);
  return call(d, err);
}

static bool plain_release(Deed *d, GError **err)
{
  if (!view_read(d, err))
    return false;
  SimPart *p = part_at(d->card, "", d->address);
  if (!p)
    return true;
  if (!is_unused(d, p, err) || !reset(d, d->address, err) || !change(d, "write driver/unbind", err))
    return false;
  part_end(d, p);
  return true;
}

/* ── GPU instances ────────────────────────────────────────────────────────── */

/* What nvidia-smi tells of the card. */
static bool smi_read(const Deed *d, GError **err)
{
  return view_read(d, err) && call(d, err) && call(d, err) && call(d, err);
}

static bool function_is_of(const Deed *d, const SimPart *instance) { return !d->v->address || !strcmp(instance->address, d->v->address); }

static bool instance_make(Deed *d, SimPart **ret_instance, bool *ret_made, GError **err)
{
  const Vgpu *v = d->v;
  *ret_instance = instance_at(d->card, v->type, (int)v->start);
  *ret_made = false;
  SimPart *there = *ret_instance;
  if (there && !there->claim && there->address[0] && !function_is_of(d, there)) /* it is left to others as it is */
    return refuse(d, REASON_GPU_NOT_OURS, "another function has it", err);
  if (there)
    return found_made(d, there, err);
  if (!place_free(d->card, (int)v->start, type_of(d->card, v->type)->size))
    return refuse(d, REASON_GPU_FULL, "the place is not free", err);
  if (!change(d, "make a GPU instance", err))
    return false;
  *ret_instance = part_new(d, NULL, NULL, (int)v->start);
  *ret_made = true;
  return call(d, err);
}

/* The card's own choice: any instance of the profile that has no function yet. */
static SimPart *instance_paired(const Deed *d)
{
  g_autoptr(GPtrArray) bare = g_ptr_array_new();
  for (guint i = 0; i < d->card->parts->len; i++) {
    SimPart *p = d->card->parts->pdata[i];
    if (!p->address[0] && !strcmp(p->type, d->v->type))
      g_ptr_array_add(bare, p);
  }
  return bare->len ? bare->pdata[chance_below(d->s, bare->len)] : NULL;
}

static bool function_take(const Deed *d, SimPart *p, GError **err)
{
  bool own = p->function_claim && !strcmp(p->function_claim, d->v->head.name) && strcmp(p->claim ? p->claim : "", d->v->head.name);
  if (!own && !change(d, "write type 0", err))
    return false;
  g_autofree char *address = g_strdup(p->address);
  p->address[0] = '\0';
  g_clear_pointer(&p->function_claim, g_free);
  d->s->gpu_steps++;
  return call(d, err) && reset(d, address, err);
}

static bool function_give(Deed *d, const SimPart *instance, GError **err)
{
  if (instance->address[0]) { /* of a try before */
    g_strlcpy(d->address, instance->address, sizeof d->address);
    return function_is_of(d, instance) ? not_anothers(d, d->address, err) : refuse(d, REASON_GPU_NOT_OURS, "another function has it", err);
  }
  bool any = d->v->address ? !part_at(d->card, "", d->v->address) : function_idle(d->card, d->address);
  if (!any)
    return refuse(d, REASON_GPU_FULL, "no virtual function could become one", err);
  if (!not_anothers(d, d->address, err) || !change(d, "write a type", err))
    return false;
  SimPart *paired = instance_paired(d);
  g_strlcpy(paired->address, d->address, sizeof paired->address);
  paired->function_claim = g_strdup(d->v->head.name);
  d->s->gpu_steps++;
  if (paired == instance)
    return call(d, err) && call(d, err);
  d->s->calls_left = INT64_MAX; /* a way that is cut right here leaves the function there: docs/testing.md */
  return function_take(d, paired, err) && refuse(d, REASON_GPU_REFUSED, "its driver took another instance", err);
}

static bool instance_end(Deed *d, SimPart *p, GError **err)
{
  if (p->address[0] && (!is_unused(d, p, err) || !function_take(d, p, err)))
    return false;
  if (!change(d, "end a GPU instance", err))
    return false;
  part_end(d, p);
  return true;
}

/* The order failed at the function: its instance goes, and as long as it does not, that is told where the claim would go elsewhere. */
static bool function_failed(Deed *d, SimPart *instance, bool made, GError *why, GError **err)
{
  g_autoptr(GError) stays = NULL;
  bool elsewhere = error_is(why, REASON_GPU_FULL) || error_is(why, REASON_GPU_NOT_OURS);
  bool anothers = instance->address[0] && !function_is_of(d, instance);
  bool gone = (made || elsewhere) && view_read(d, &stays) && (anothers || instance_end(d, instance, &stays));
  bool tells_why = !elsewhere || gone;
  g_propagate_error(err, tells_why ? why : g_steal_pointer(&stays));
  if (!tells_why)
    g_error_free(why);
  return false;
}

static bool mig_make(Deed *d, GError **err)
{
  SimPart *instance;
  GError *why = NULL;
  bool made;
  if (!smi_read(d, err))
    return false;
  if (!d->card->n_functions)
    return refuse(d, REASON_GPU_FULL, "it has no virtual functions", err);
  if (!instance_make(d, &instance, &made, err))
    return false;
  return (view_read(d, &why) && function_give(d, instance, &why)) || function_failed(d, instance, made, why, err);
}

static bool mig_release(Deed *d, GError **err)
{
  if (!smi_read(d, err))
    return false;
  SimPart *p = instance_at(d->card, d->v->type, (int)d->v->start);
  bool has = p && p->address[0], dirty = !has && d->v->address && !part_at(d->card, "", d->v->address);
  if (dirty && (!call(d, err) || !reset(d, d->v->address, err)))
    return false;
  if (has && !function_is_of(d, p))
    return refuse(d, REASON_GPU_NOT_OURS, "another function has that GPU instance", err);
  return !p || ((!has || not_anothers(d, p->address, err)) && instance_end(d, p, err));
}

/* ── steps ────────────────────────────────────────────────────────────────── */

typedef bool (*DeedFn)(Deed *d, GError **err);

static const struct { DeedFn make, release; } deeds[N_GPU_BACKENDS] = {
  [GPU_MDEV] = { mdev_make, mdev_release }, [GPU_VENDOR_VF] = { vendor_make, vendor_release }, [GPU_SRIOV] = { plain_make, plain_release },
  [GPU_MIG] = { mig_make, mig_release }, [GPU_WHOLE] = { plain_make, plain_release },
};

static Deed deed_of(Sim *s, const StepOrder *o, guint i)
{
  const Vgpu *v = o->vgpus->pdata[i];
  const Gpu *gpu = o->gpus->pdata[i];
  SimCard *card = gpu ? card_at(s, host_index(o->host->head.name), gpu->address) : NULL;
  Deed d = { s, card && !card->gone ? card : NULL, v, vgpu_may_be_made(v), "" };
  g_strlcpy(d.address, v->address ? v->address : "", sizeof d.address);
  return d;
}

/* A look that the tool leaves without an answer tells nothing of the card. */
static void look_again(Sim *s, const StepOrder *o, StepResult *r)
{
  for (guint i = 0; i < o->gpus->len; i++) {
    const Gpu *gpu = o->gpus->pdata[i];
    if (gpu && s->calls_left-- > 0 && !fault(s, TOOL_MUTE))
      look(s, o, r, gpu->address);
  }
}

static bool make_one(Deed *d, StepResult *r, GError **err)
{
  if (!d->card || !type_of(d->card, d->v->type) || d->card->broken)
    return refuse(d, REASON_GPU_GONE, "", err);
  const SimPart *there = part_at(d->card, d->v->uuid, d->v->address);
  bool fresh = d->v->state != VGPU_ATTACHED || !there;
  if (!nobody_elses(d, err) || !deeds[d->card->backend].make(d, err))
    return false;
  VgpuDone *done = step_result_add_vgpu(r, d->v);
  const SimPart *made = part_at(d->card, d->v->uuid, d->address);
  if (!made || (g_strcmp0(made->claim, d->v->head.name) && !is_of_before(d->s, d->v)))
    broken(d->s, "no vGPU is taken from others", "%s of %s is made at %s, which is %s", d->v->head.name, d->v->desktop, d->address,
           made ? made->claim : "nothing");
  g_strlcpy(done->address, d->address, sizeof done->address);
  done->start = d->card->backend == GPU_VENDOR_VF ? (int)d->v->start : made->start;
  done->fresh = fresh;
  return true;
}

static GError *do_make(Sim *s, const StepOrder *o, StepResult *r)
{
  GError *err = NULL;
  for (guint i = 0; i < o->vgpus->len && !err; i++) {
    Deed d = deed_of(s, o, i);
    make_one(&d, r, &err);
  }
  look_again(s, o, r);
  return err;
}

static bool part_starts_at(const SimCard *card, int start)
{
  for (guint i = 0; start >= 0 && i < card->parts->len; i++)
    if (((SimPart *)card->parts->pdata[i])->start == start)
      return true;
  return false;
}

/* Its host was never told to make it: what is in its place is not freed for it, whoever made it. */
static bool others_have_its_place(const Deed *d)
{
  if (d->v->tries || d->card->backend == GPU_MDEV || d->s->calls_left-- <= 0)
    return false;
  return d->card->backend == GPU_WHOLE ? d->card->parts->len > 0 : part_at(d->card, "", d->v->address) || part_starts_at(d->card, (int)d->v->start);
}

/* A card that is gone took its parts with it, and what is not ours now was freed by others: either way nothing of the claim is left. */
static bool release_one(Deed *d, StepResult *r, GError **err)
{
  g_autoptr(GError) why = NULL;
  bool freed = !d->card || !type_of(d->card, d->v->type) || others_have_its_place(d) || (nobody_elses(d, &why) && deeds[d->card->backend].release(d, &why));
  if (!freed && (!d->v->head.name[0] || !error_is(why, REASON_GPU_NOT_OURS))) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  step_result_add_vgpu(r, d->v);
  return true;
}

static GError *do_release(Sim *s, const StepOrder *o, StepResult *r)
{
  GError *err = NULL;
  for (guint i = 0; i < o->vgpus->len && !err; i++) {
    Deed d = deed_of(s, o, i);
    release_one(&d, r, &err);
  }
  look_again(s, o, r);
  return err;
}

static GError *do_discover(Sim *s, const StepOrder *o, StepResult *r)
{
  GError *err = NULL;
  s->gpu_looks++;
  if (fault(s, TOOL_MUTE))
    error_set(&err, REASON_GPU_FACTS, "host", o->host->head.name, "detail", "nvidia-smi says nothing", NULL);
  else
    look(s, o, r, NULL);
  return err;
}

GError *gpus_do(Sim *s, const StepOrder *o, StepResult *r)
{
  s->calls_left = s->cut || fault(s, 50) ? chance_below(s, CALLS_MOST) : INT64_MAX;
  if (o->kind == STEP_GPU_DISCOVER)
    return do_discover(s, o, r);
  return o->kind == STEP_GPU_MAKE ? do_make(s, o, r) : do_release(s, o, r);
}

void gpus_sweep(Sim *s)
{
  for (guint i = 0; i < s->cards->len; i++) {
    SimCard *card = s->cards->pdata[i];
    for (guint k = card->parts->len; k-- > 0;) {
      SimPart *p = card->parts->pdata[k];
      if (s->hosts[card->host].health != SIM_UP || !is_forgotten(s, p, NULL) || user_of(s, card->host, p))
        continue;
      SimFunction *f = function_at(card, p->address);
      if (f)
        g_clear_pointer(&f->used_by, g_free);
      g_ptr_array_remove_index(card->parts, k);
    }
  }
}

void gpus_restored(Sim *s)
{
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[NOUN_VGPU]);
  for (guint i = 0; i < names->len; i++)
    tries_add(s, STORED(s, Vgpu, VGPU, names->pdata[i]), 2);
  for (guint i = 0; i < s->cards->len; i++)
    for (int f = 0; f < FUNCTIONS; f++) {
      SimFunction *each = &((SimCard *)s->cards->pdata[i])->functions[f];
      if (each->used_by && !STORED(s, Vgpu, VGPU, each->used_by))
        g_clear_pointer(&each->used_by, g_free);
    }
}

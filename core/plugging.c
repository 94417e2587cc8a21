/* Parts of graphics cards in a desktop that runs: taken out and freed, claimed and plugged in. What an operator took out of a slot stays out until it
 * is attached again or the desktop's next generation. */
#include "core/brain_parts.h"

static Desktop *slots_mark(Brain *b, const char *desktop, int64_t slots)
{
  Desktop *d = EDIT(b, Desktop, DESKTOP, desktop);
  d->unplugged = slots;
  return d;
}

/* Of an attach all but what the guest has: that one is not touched, whatever its card says. */
bool plug_step_takes(Brain *b, StepKind step, const Task *task, const Vgpu *claim)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, claim->desktop);
  if (step == STEP_GPU_UNPLUG)
    return d && claim->state != VGPU_RELEASING && slot_is_out(d, claim->slot);
  if (step == STEP_GPU_PLUG)
    return claim->state == VGPU_MADE && !claim->error;
  if (step == STEP_GPU_MAKE && task && task->kind == TASK_GPU_ATTACH)
    return claim->state != VGPU_ATTACHED && !claim->error;
  return true;
}

/* ── what came to nothing ─────────────────────────────────────────────────── */

/* Slots that the guest may have half: neither in, nor known to be lost. */
static int64_t slots_half_in(Brain *b, const Desktop *d)
{
  int64_t slots = 0;
  for (int64_t slot = 0; slot < d->gpus; slot++) {
    const Vgpu *v = claim_of_slot(b, d, slot);
    if (!v || (v->state != VGPU_ATTACHED && !v->error))
      slots |= INT64_C(1) << slot;
  }
  return slots;
}

static void attach_failed(Brain *b, const char *desktop)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  slots_mark(b, desktop, d->unplugged | slots_half_in(b, d));
  task_begin(b, TASK_GPU_DETACH, NOUN_DESKTOP, desktop, NULL);
}

/* What has not gone is the desktop's as before; whether some has. What has gone and was not told, a look at the guest finds missing. */
static bool slots_keep(Brain *b, const char *desktop, const GError *err)
{
  int64_t slots = GET(b, Desktop, DESKTOP, desktop)->unplugged;
  bool gone = false;
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    gone |= v->state == VGPU_RELEASING;
    if (v->state == VGPU_RELEASING || !(slots >> v->slot & 1))
      continue;
    slots &= ~(INT64_C(1) << v->slot);
    if (v->state == VGPU_MADE && error_is(err, REASON_DEVICE_STAYS))
      vgpu_set_state(b, names->pdata[i], VGPU_ATTACHED); /* of an attach that failed: it did come in */
  }
  slots_mark(b, desktop, slots);
  return gone;
}

/* What went of the others has to go on going. */
static void detach_failed(Brain *b, const char *desktop, bool unplugging, const GError *err)
{
  if (slots_keep(b, desktop, err) && unplugging)
    task_begin(b, TASK_GPU_DETACH, NOUN_DESKTOP, desktop, NULL);
}

void detach_dropped(Brain *b, const char *desktop)
{
  slots_keep(b, desktop, NULL);
}

/* The desktop is rid of it, and its person goes on. The claim says why it is not free, and is tried at each look until it is. */
static void out_not_freed(Brain *b, const Task *task)
{
  g_clear_pointer(&EDIT(b, Desktop, DESKTOP, task->object)->error, g_free);
  brain_event(b, "desktop.gpu-detached", NOUN_DESKTOP, task->object, task->user, NULL);
}

void plug_failed(Brain *b, const Task *task, const GError *err)
{
  bool attach = task->kind == TASK_GPU_ATTACH, unplugging = !g_strcmp0(task->step, step_rows[STEP_GPU_UNPLUG].name);
  g_autofree char *why = brain_error_json(err), *desktop = g_strdup(task->object);
  if (!attach && !g_strcmp0(task->step, step_rows[STEP_GPU_RELEASE].name)) {
    out_not_freed(b, task);
    return;
  }
  brain_event(b, attach ? "desktop.gpu-not-attached" : "desktop.gpu-not-detached", NOUN_DESKTOP, desktop, task->user, why);
  if (attach)
    attach_failed(b, desktop);
  else
    detach_failed(b, desktop, unplugging, err);
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

static bool may_plug(Brain *b, const Desktop *d, GError **err)
{
  const Task *busy = d->task ? GET(b, Task, TASK, d->task) : NULL;
  if (busy)
    return error_false(err, REASON_DESKTOP_BUSY, "desktop", d->head.name, "task", d->task, "kind", task_kind_name(busy->kind), NULL);
  if (d->state != DESKTOP_ASSIGNED && d->state != DESKTOP_USED && d->state != DESKTOP_MAINTENANCE)
    return error_false(err, REASON_DESKTOP_NOT_HELD, "desktop", d->head.name, "state", desktop_state_name(d->state), NULL);
  return d->power == POWER_ON || error_false(err, REASON_DESKTOP_NOT_ON, "desktop", d->head.name, "state", power_state_name(d->power), NULL);
}

/* A word that is no number is not taken for the first slot. */
static bool slot_ok(const Request *r, GError **err)
{
  const json_t *named = json_object_get(r->body, "slot");
  if (!named || (json_is_integer(named) && json_integer_value(named) >= 0 && json_integer_value(named) < 8))
    return true;
  g_autofree char *value = json_dumps(named, JSON_ENCODE_ANY);
  return error_false(err, REASON_BAD_VALUE, "field", "slot", "value", value, "limit", "a whole number from 0 to 7", NULL);
}

/* The slots that are meant, as bits: the one that was named, or those that are as `out` says. */
static int64_t slots_meant(const Desktop *d, const Request *r, bool out)
{
  json_t *named = json_object_get(r->body, "slot");
  int64_t all = (INT64_C(1) << d->gpus) - 1, slot = json_integer_value(named);
  if (named)
    return INT64_C(1) << slot;
  return out ? d->unplugged & all : all & ~d->unplugged;
}

static char *slot_named(const Request *r, int64_t slot)
{
  json_t *named = json_object_get(r->body, "slot");
  return g_strdup_printf("%" G_GINT64_FORMAT, named ? (int64_t)json_integer_value(named) : slot);
}

static bool is_screen(const Vgpu *v)
{
  return !v->slot && v->display != GPU_DISPLAY_OFF;
}

/* libvirt: "cannot hot unplug hostdev device with multifunction PCI guest address". On Xen each function has a slot of its own. */
static bool is_in_one_slot(Brain *b, const Vgpu *v)
{
  const Host *h = GET(b, Host, HOST, v->host);
  return v->beside && v->beside[0] && h && g_strcmp0(h->virt_type, "xen");
}

static bool may_leave(Brain *b, const Desktop *d, int64_t slot, GError **err)
{
  const Vgpu *v = claim_of_slot(b, d, slot);
  g_autofree char *number = g_strdup_printf("%" G_GINT64_FORMAT, slot);
  if (!v || v->state != VGPU_ATTACHED)
    return error_false(err, REASON_GPU_NOT_IN, "desktop", d->head.name, "slot", number, NULL);
  if (is_screen(v))
    return error_false(err, REASON_GPU_IS_SCREEN, "desktop", d->head.name, "slot", number, "vgpu", v->head.name, NULL);
  return !is_in_one_slot(b, v) || error_false(err, REASON_GPU_ONE_SLOT, "desktop", d->head.name, "slot", number, "vgpu", v->head.name, NULL);
}

static bool task_answer(Brain *b, const Request *r, Answer *a, TaskKind kind)
{
  const char *task = task_begin(b, kind, NOUN_DESKTOP, r->name, r->caller.user);
  a->noun = NOUN_TASK;
  answer_object(b, a, 202, task);
  return true;
}

bool verb_desktop_detach_gpu(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, r->name);
  if (!slot_ok(r, err) || !may_plug(b, d, err))
    return false;
  int64_t slots = slots_meant(d, r, false);
  g_autofree char *number = slot_named(r, 0);
  if (!slots)
    return error_false(err, REASON_GPU_NOT_IN, "desktop", r->name, "slot", number, NULL);
  for (int64_t slot = 0; slot < 8; slot++)
    if (slots >> slot & 1 && !may_leave(b, d, slot, err))
      return false;
  slots_mark(b, r->name, d->unplugged | slots)->touched = true; /* nobody else gets it without what it should have */
  return task_answer(b, r, a, TASK_GPU_DETACH);
}

/* The claim is durable before the host is asked for anything. */
static bool claim_again(Brain *b, const char *desktop, int64_t slots, GError **err)
{
  int64_t before = GET(b, Desktop, DESKTOP, desktop)->unplugged;
  slots_mark(b, desktop, before & ~slots);
  if (vgpus_claim(b, desktop, err))
    return true;
  slots_mark(b, desktop, before);
  return false;
}

bool verb_desktop_attach_gpu(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, r->name);
  if (!slot_ok(r, err) || !may_plug(b, d, err))
    return false;
  int64_t slots = slots_meant(d, r, true);
  g_autofree char *number = slot_named(r, 0), *gpus = g_strdup_printf("%" G_GINT64_FORMAT, d->gpus);
  if (!slots || (slots & ~d->unplugged))
    return error_false(err, REASON_GPU_NOT_OUT, "desktop", r->name, "slot", number, "gpus", gpus, NULL);
  return claim_again(b, r->name, slots, err) && task_answer(b, r, a, TASK_GPU_ATTACH);
}

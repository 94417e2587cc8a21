/* Claims on parts of graphics cards: made in the batch of the desktop's task, before a host is touched; let go of by generation; ended when the
 * card no longer has the part. */
#include "core/gpus.h"
#include "core/placing.h"

#include <string.h>

/* ── what is wished for ───────────────────────────────────────────────────── */

static char *parameter_of(const Pool *pool, const char *name)
{
  json_auto_t *all = pool->parameters ? json_loads(pool->parameters, 0, NULL) : NULL;
  return g_strdup(json_string_value(json_object_get(all, name)));
}

bool gpu_wish(Brain *b, const Pool *pool, const TemplateVersion *t, const GpuClass **ret_class, int64_t *ret_n, GError **err)
{
  g_autofree char *chosen = t->gpu_parameter ? parameter_of(pool, t->gpu_parameter) : NULL;
  const char *name = pool->gpu_class ? pool->gpu_class : chosen ? chosen : t->gpu_class;
  *ret_class = NULL;
  *ret_n = 0;
  if (!name)
    return !t->gpu_needed || error_false(err, REASON_MISSING_FIELD, "field", "gpu_class", NULL);
  *ret_class = NEED(b, GpuClass, GPU_CLASS, name, err);
  *ret_n = MAX(pool->gpus, 1);
  return *ret_class != NULL;
}

/* The part that the desktop had in this slot is still there, and goes before the new one is made: it counts once. */
bool vgpu_is_succeeded(Brain *b, const Vgpu *v)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, v->desktop);
  for (guint i = 0; v->state == VGPU_RELEASING && i < names->len; i++) {
    const Vgpu *next = GET(b, Vgpu, VGPU, names->pdata[i]);
    bool same = next->slot == v->slot && !g_strcmp0(next->gpu, v->gpu) && !g_strcmp0(next->type, v->type);
    if (same && next->clone > v->clone && next->state != VGPU_RELEASING && (next->uuid || !g_strcmp0(next->address, v->address)) && vgpu_part(b, v))
      return true;
  }
  return false;
}

/* ── claiming ─────────────────────────────────────────────────────────────── */

void vgpu_set_state(Brain *b, const char *name, VgpuState state)
{
  if (GET(b, Vgpu, VGPU, name)->state == (int)state)
    return;
  Vgpu *v = EDIT(b, Vgpu, VGPU, name);
  v->state = state;
  v->since = b->now_us;
  if (state == VGPU_MADE || state == VGPU_ATTACHED)
    v->tries = MAX(v->tries, 1); /* what its card has for it is ours to free, also one that was missed for a while */
  if (state == VGPU_RELEASING)
    g_clear_pointer(&v->error, g_free); /* how the card differed from it is nobody's concern now */
  g_autofree char *kind = g_strconcat("vgpu.", vgpu_state_name(state), NULL);
  brain_event(b, kind, NOUN_VGPU, name, NULL, NULL);
}

void vgpu_set_error(Brain *b, const char *name, const GError *err)
{
  g_autofree char *why = err ? brain_error_json(err) : NULL;
  if (g_strcmp0(GET(b, Vgpu, VGPU, name)->error, why))
    text_set(&EDIT(b, Vgpu, VGPU, name)->error, why);
}

void vgpu_end(Brain *b, const char *name, const char *event)
{
  const Vgpu *v = GET(b, Vgpu, VGPU, name);
  g_autofree char *detail = g_strdup_printf("{\"gpu\":\"%s\",\"desktop\":\"%s\",\"clone\":%" G_GINT64_FORMAT "}", v->gpu, v->desktop, v->clone);
  brain_event(b, event, NOUN_VGPU, name, NULL, detail);
  const Desktop *d = GET(b, Desktop, DESKTOP, v->desktop);
  if (d)
    brain_dirty(b, d->pool);
  pools_wake(b);
  state_delete(b->state, NOUN_VGPU, name);
}

bool desktop_screen_in_guest(Brain *b, const Desktop *d)
{
  const TemplateVersion *t = GET(b, TemplateVersion, TEMPLATE, d->template);
  return t && t->guest_screen;
}

static Vgpu *claim_new(Brain *b, const Desktop *d, const char *gpu, int64_t slot, const char *type)
{
  g_autofree char *name = brain_number(b, 'v');
  const GpuClass *class = GET(b, GpuClass, GPU_CLASS, d->gpu_class);
  Vgpu *v = state_add(b->state, NOUN_VGPU, name, b->now_us);
  ref_set(&v->gpu, gpu);
  ref_set(&v->host, d->host);
  text_set(&v->desktop, d->head.name);
  v->slot = slot;
  ref_set(&v->class, d->gpu_class);
  ref_set(&v->type, type);
  v->display = class && !desktop_screen_in_guest(b, d) ? class->display : GPU_DISPLAY_OFF;
  v->clone = d->clone;
  v->since = b->now_us;
  v->start = -1;
  if (GET(b, Gpu, GPU, gpu)->backend == GPU_MDEV) { /* of the others a function's or card's address is what a guest gets */
    char uuid[GPU_UUID_TEXT_BYTES];
    gpu_part_uuid(b->controller, name, d->clone, uuid);
    text_set(&v->uuid, uuid);
  }
  g_autofree char *detail = g_strdup_printf("{\"gpu\":\"%s\",\"type\":\"%s\",\"desktop\":\"%s\",\"clone\":%" G_GINT64_FORMAT "}", gpu, type,
                                            d->head.name, d->clone);
  brain_event(b, "vgpu.claimed", NOUN_VGPU, name, NULL, detail);
  return v;
}

/* The slot's claim of an earlier generation, which a reset lets go of first, on a card that can be used: its place is the next one's. */
static const Vgpu *predecessor(Brain *b, const char *desktop, int64_t slot)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  const Vgpu *last = NULL;
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    const Gpu *gpu = GET(b, Gpu, GPU, v->gpu);
    bool before = v->slot == slot && v->clone < GET(b, Desktop, DESKTOP, desktop)->clone;
    if (before && v->state == VGPU_RELEASING && gpu && gpu->state == GPU_READY && vgpu_part(b, v))
      last = v;
  }
  return last;
}

const Vgpu *claim_of_slot(Brain *b, const Desktop *d, int64_t slot)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, d->head.name);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    if (v->slot == slot && v->clone == d->clone && v->state != VGPU_RELEASING)
      return v;
  }
  return NULL;
}

/* The slot goes on where it was; false: it has to be found a place. */
static bool claim_where_it_was(Brain *b, const Desktop *d, int64_t slot)
{
  const Vgpu *before = predecessor(b, d->head.name, slot);
  if (!before)
    return false;
  Vgpu *v = claim_new(b, d, before->gpu, slot, before->type);
  v->start = before->start;
  text_set(&v->address, before->uuid ? NULL : before->address);
  return true;
}

bool slot_is_out(const Desktop *d, int64_t slot)
{
  return d->unplugged >> slot & 1;
}

/* Slots without a claim, as bits. */
static unsigned slots_lacking(Brain *b, const char *desktop)
{
  unsigned lacking = 0;
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  for (int64_t slot = 0; slot < d->gpus; slot++)
    if (!slot_is_out(d, slot) && !claim_of_slot(b, d, slot) && !claim_where_it_was(b, d, slot))
      lacking |= 1u << slot;
  return lacking;
}

/* The cell that its cards must hang on. */
static NumaCell cell_of_cards(Brain *b, const Desktop *d)
{
  const Pool *pool = GET(b, Pool, POOL, d->pool);
  const TemplateVersion *t = GET(b, TemplateVersion, TEMPLATE, d->template);
  return pool && t && wish_near(pool, t) ? (NumaCell)d->cell : CELL_ANY;
}

bool vgpus_claim(Brain *b, const char *desktop, GError **err)
{
  unsigned lacking = slots_lacking(b, desktop);
  if (!lacking)
    return true;
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  const GpuClass *class = NEED(b, GpuClass, GPU_CLASS, d->gpu_class, err);
  PartsWish wish = { d->host, class, desktop_screen_in_guest(b, d), cell_of_cards(b, d), __builtin_popcount(lacking) };
  g_autoptr(GArray) parts = class ? parts_find(b, &wish, err) : NULL;
  for (guint i = 0; parts && i < parts->len; i++) {
    const PartPlace *p = &g_array_index(parts, PartPlace, i);
    Vgpu *v = claim_new(b, d, p->gpu, __builtin_ctz(lacking), p->type);
    v->start = p->start;
    text_set(&v->address, p->address);
    lacking &= lacking - 1;
  }
  return parts;
}

void vgpus_let_go(Brain *b, const char *desktop, int64_t clone)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  for (guint i = 0; i < names->len; i++)
    if (GET(b, Vgpu, VGPU, names->pdata[i])->clone <= clone)
      vgpu_set_state(b, names->pdata[i], VGPU_RELEASING);
}

/* A claim that was ordered may have been made; it stays, as let go of, until the card is seen without it. */
void vgpus_drop(Brain *b, const char *desktop)
{
  vgpus_let_go(b, desktop, INT64_MAX);
}

/* ── steps ────────────────────────────────────────────────────────────────── */

static bool has_claims(Brain *b, const char *desktop, bool releasing)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  for (guint i = 0; i < names->len; i++)
    if ((GET(b, Vgpu, VGPU, names->pdata[i])->state == VGPU_RELEASING) == releasing)
      return true;
  return false;
}

static bool verb_starts(PowerVerb verb)
{
  return verb == VERB_START || verb == VERB_RESTORE;
}

static bool has_for_step(Brain *b, const Task *task, StepKind step)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, task->object);
  for (guint i = 0; i < names->len; i++)
    if (plug_step_takes(b, step, task, GET(b, Vgpu, VGPU, names->pdata[i])))
      return true;
  return false;
}

bool desktop_is_off(const Desktop *d)
{
  return d->power == POWER_OFF || d->power == POWER_CRASHED;
}

/* A guest that was saved goes on with the part that it had, or not at all; one that runs is not switched off by being started. */
static bool may_refit(Brain *b, const Task *task)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, task->object);
  bool person_s = task->kind == TASK_POWER || task->kind == TASK_RESEED;
  if (!person_s || !d)
    return !d || d->power != POWER_SAVED;
  return desktop_is_off(d) && (task->kind == TASK_RESEED || task->verb == VERB_START);
}

bool gpu_step_is_idle(Brain *b, const Task *task, StepKind step)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, task->object);
  if (!d)
    return false;
  if (step == STEP_GPU_MAKE)
    return !d->gpus || (task->kind == TASK_POWER && !verb_starts(task->verb));
  if (step == STEP_DEFINE) /* most tasks need it anyway; a start, since the last one's parts may be others now */
    return (task->kind == TASK_POWER || task->kind == TASK_RESEED) && (!d->gpus || !may_refit(b, task));
  if (step == STEP_GPU_RELEASE && task->undoing && task->kind == TASK_RECOVER)
    return true; /* its guest may run with them; it is destroyed next, in the right order */
  if (step == STEP_GPU_RELEASE)
    return !has_claims(b, task->object, true) && !(task->undoing && has_claims(b, task->object, false));
  if (step == STEP_GPU_PLUG || step == STEP_GPU_UNPLUG)
    return !has_for_step(b, task, step);
  return false;
}

/* Whether its card can no longer give it. What a card that is another way now gave before, a guest may yet run with. */
static bool must_refit(Brain *b, const Vgpu *v)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, v->desktop);
  const Gpu *gpu = GET(b, Gpu, GPU, v->gpu);
  if (v->state == VGPU_RELEASING)
    return false;
  return !gpu || gpu->state == GPU_BROKEN || gpu->state == GPU_STATE_GONE || (desktop_is_off(d) && gpu_is_changed(gpu));
}

static void claims_fit(Brain *b, const Task *task, StepKind step)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, task->object);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    if (!plug_step_takes(b, step, task, v))
      continue;
    if (must_refit(b, v))
      vgpu_set_state(b, names->pdata[i], VGPU_RELEASING);
    else if (v->state == VGPU_ATTACHED && task->attempt)
      vgpu_set_state(b, names->pdata[i], VGPU_CLAIMED); /* the last try may have made it anew, and its answer is not known */
  }
  vgpus_claim(b, task->object, NULL); /* that there is no room is said when those that have a place are made */
}

void gpu_step_begins(Brain *b, const Task *task, StepKind step)
{
  if (step == STEP_GPU_RELEASE && task->undoing)
    vgpus_let_go(b, task->object, INT64_MAX);
  if (step != STEP_GPU_MAKE || !GET(b, Desktop, DESKTOP, task->object))
    return;
  if (may_refit(b, task))
    claims_fit(b, task, step);
}

void gpu_order_leaves(Brain *b, const Task *task)
{
  enum { TRIES_MOST = 1000000 };
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, task->object);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    if (v->state != VGPU_RELEASING && v->tries < TRIES_MOST && plug_step_takes(b, STEP_GPU_MAKE, task, v))
      EDIT(b, Vgpu, VGPU, names->pdata[i])->tries++;
  }
}

void vgpu_seen_missing(Brain *b, const char *name)
{
  vgpu_set_state(b, name, VGPU_CLAIMED);
  const Vgpu *v = GET(b, Vgpu, VGPU, name);
  if (v->tries) /* nobody has it, and nobody is making it: what is found there from now on is others' */
    EDIT(b, Vgpu, VGPU, name)->tries = 0;
}

static void beside_set(Vgpu *v, const GpuBeside beside)
{
  g_autoptr(GStrvBuilder) all = g_strv_builder_new();
  for (int i = 0; i < GPU_BESIDE_MOST && beside[i][0]; i++)
    g_strv_builder_add(all, beside[i]);
  g_strfreev(v->beside);
  v->beside = beside[0][0] ? g_strv_builder_end(all) : NULL;
}

static void vgpu_made(Brain *b, const VgpuDone *done)
{
  const Vgpu *v = GET(b, Vgpu, VGPU, done->vgpu);
  if (v->state == VGPU_CLAIMED || (v->state == VGPU_ATTACHED && done->fresh))
    vgpu_set_state(b, done->vgpu, VGPU_MADE);
  Vgpu *made = EDIT(b, Vgpu, VGPU, done->vgpu);
  gpu_forgive(b, made->gpu);
  made->since = b->now_us; /* pictures of before say nothing of it */
  made->start = done->start;
  if (done->uuid[0])
    text_set(&made->uuid, done->uuid);
  if (done->address[0])
    text_set(&made->address, done->address);
  beside_set(made, done->beside);
  text_set(&made->boot, done->boot[0] ? done->boot : NULL); /* what was not told is not the run of before */
}

static void vgpu_done(Brain *b, StepKind kind, const VgpuDone *done)
{
  const Vgpu *v = GET(b, Vgpu, VGPU, done->vgpu);
  if (!v || v->clone != done->clone)
    return;
  if (kind == STEP_GPU_UNPLUG) {
    vgpu_set_error(b, done->vgpu, NULL);
    vgpu_set_state(b, done->vgpu, VGPU_RELEASING);
    return;
  }
  if (kind == STEP_GPU_MAKE && v->state != VGPU_RELEASING)
    vgpu_made(b, done);
  else if (kind != STEP_GPU_MAKE && v->state == VGPU_RELEASING)
    vgpu_end(b, done->vgpu, "vgpu.released");
}

static bool done_has(const StepResult *result, const char *vgpu)
{
  for (guint i = 0; result->vgpus && i < result->vgpus->len; i++)
    if (!strcmp(((VgpuDone *)result->vgpus->pdata[i])->vgpu, vgpu))
      return true;
  return false;
}

/* An instance is made first, then a function given to it: without one it is there and nobody's. What is another's, or on no card, is not. */
static bool may_be_half_made(Brain *b, const Vgpu *v, const GError *err)
{
  const Gpu *gpu = GET(b, Gpu, GPU, v->gpu);
  return gpu && gpu->backend == GPU_MIG && !error_is(err, REASON_GPU_GONE) && !error_is(err, REASON_GPU_NOT_OURS);
}

/* The card said that this cannot be. */
static bool is_card_s_no(const GError *err)
{
  return error_is(err, REASON_GPU_FULL) || error_is(err, REASON_GPU_GONE) || error_is(err, REASON_GPU_NOT_OURS) ||
         error_is(err, REASON_GPU_DIRTY);
}

/* They are made in the order of slots: the first one that was not. One behind it may stand since an earlier try. */
static const Vgpu *first_not_made(Brain *b, const char *desktop, const StepResult *result)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  const Vgpu *first = NULL;
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    if (v->state != VGPU_RELEASING && !done_has(result, names->pdata[i]) && (!first || v->slot < first->slot))
      first = v;
  }
  return first;
}

/* What was not made is claimed elsewhere. */
static void make_failed(Brain *b, const Task *task, const StepResult *result)
{
  const Vgpu *v = first_not_made(b, task->object, result);
  bool again = v && error_is(result->error, REASON_GPU_REFUSED) && gpu_refused_again(b, v->gpu, v->type, result->error);
  if (!v || !may_refit(b, task) || !(again || is_card_s_no(result->error)))
    return;
  g_autofree char *name = g_strdup(v->head.name);
  if (may_be_half_made(b, v, result->error))
    vgpu_set_state(b, name, VGPU_RELEASING);
  else
    vgpu_end(b, name, "vgpu.refused"); /* nothing of it is there: what stands in its place is not to be touched */
  vgpus_claim(b, task->object, NULL);
}

void vgpu_not_freed(Brain *b, const char *name, const GError *err)
{
  const Vgpu *v = GET(b, Vgpu, VGPU, name);
  if (!v || v->state != VGPU_RELEASING || error_class(err) == CLASS_UNREACHABLE)
    return;
  g_autofree char *why = brain_error_json(err);
  if (!v->error)
    brain_event(b, "vgpu.not-freed", NOUN_VGPU, name, NULL, why);
  const char *boot = error_is(err, REASON_GPU_DIRTY) ? error_arg(err, "boot") : NULL;
  if (boot && g_strcmp0(v->boot, *boot ? boot : NULL)) /* dirty in this run of its host: that one's end cleans it, no earlier one's did */
    text_set(&EDIT(b, Vgpu, VGPU, name)->boot, *boot ? boot : NULL);
  vgpu_set_error(b, name, err);
}

/* They are freed in the order of slots, and none behind the one that was not. */
static void release_failed(Brain *b, const char *desktop, const StepResult *result)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  for (int64_t slot = 0; slot < 8; slot++)
    for (guint i = 0; i < names->len; i++) {
      const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
      if (v->slot != slot || v->state != VGPU_RELEASING)
        continue;
      vgpu_not_freed(b, names->pdata[i], result->error);
      return;
    }
}

void gpu_step_ended(Brain *b, const Task *task, const StepResult *result)
{
  for (guint i = 0; result->vgpus && i < result->vgpus->len; i++)
    vgpu_done(b, result->kind, result->vgpus->pdata[i]);
  const Desktop *d = task ? GET(b, Desktop, DESKTOP, task->object) : NULL;
  if (result->error && result->kind == STEP_GPU_RELEASE && d)
    release_failed(b, task->object, result);
  if (result->cards && d)
    gpus_seen(b, d->host, result, false);
  if (result->error && result->kind == STEP_GPU_MAKE && !task->undoing)
    make_failed(b, task, result);
}

/* The claim for which a saved guest cannot go on, or NULL. */
static const Vgpu *claim_that_keeps(Brain *b, const char *desktop, const GError *why)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  const Vgpu *first = NULL;
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    const Gpu *gpu = GET(b, Gpu, GPU, v->gpu);
    if (v->state == VGPU_RELEASING)
      continue;
    if (!gpu || gpu->state == GPU_BROKEN || gpu->state == GPU_STATE_GONE || gpu_is_changed(gpu))
      return v;
    first = first ? first : v;
  }
  return is_card_s_no(why) ? first : NULL;
}

void vgpus_saved_tell(Brain *b, const char *desktop, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  const Vgpu *v = d && d->power == POWER_SAVED ? claim_that_keeps(b, desktop, *err) : NULL;
  if (!v)
    return;
  g_autoptr(GError) why = g_steal_pointer(err);
  g_autofree char *detail = error_text(why, LANG_EN);
  error_set(err, REASON_GPU_SAVED, "desktop", desktop, "type", v->type, "gpu", v->gpu, "host", v->host, "detail", detail, NULL);
}

bool vgpus_complete(Brain *b, const char *desktop, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  if (d && !vgpus_claim(b, desktop, err))
    return false;
  for (int64_t slot = 0; d && slot < d->gpus; slot++) {
    const Vgpu *v = claim_of_slot(b, d, slot);
    if (v && v->state == VGPU_CLAIMED) /* claimed just now, on another card: the next try makes it */
      return error_false(err, REASON_GPU_PART_MISSING, "gpu", v->gpu, "host", v->host, "type", v->type, "vgpu", v->head.name, NULL);
  }
  return true;
}

void vgpus_started(Brain *b, const char *desktop)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  for (guint i = 0; i < names->len; i++)
    if (GET(b, Vgpu, VGPU, names->pdata[i])->state == VGPU_MADE) {
      vgpu_set_state(b, names->pdata[i], VGPU_ATTACHED);
      vgpu_set_error(b, names->pdata[i], NULL);
    }
}

/* What is known of a domain is read anew at the news of a change, and the news may come behind the change. */
enum { PART_SETTLES_US = 5 * SECOND_US };

/* All of it: a card without its sound is not what its guest was given. */
static bool guest_has(const DomainSeen *seen, const Vgpu *v)
{
  const char *const *parts = (const char *const *)seen->parts;
  bool has = parts && g_strv_contains(parts, v->uuid ? v->uuid : v->address);
  for (char **function = v->beside; has && function && *function; function++)
    has = g_strv_contains(parts, *function);
  return has;
}

bool vgpus_left(Brain *b, const char *desktop, const DomainSeen *seen)
{
  bool any = false, runs = seen->power == POWER_ON || seen->power == POWER_SUSPENDED;
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  for (guint i = 0; runs && i < names->len; i++) {
    const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
    if (v->state != VGPU_ATTACHED || v->error || v->since + PART_SETTLES_US > seen->looked_us || guest_has(seen, v))
      continue;
    g_autoptr(GError) err = NULL;
    error_set(&err, REASON_GPU_LEFT, "vgpu", v->head.name, "type", v->type, "gpu", v->gpu, "desktop", desktop, "host", v->host, NULL);
    g_autofree char *detail = brain_error_json(err);
    brain_event(b, "vgpu.missing", NOUN_VGPU, names->pdata[i], NULL, detail);
    vgpu_set_error(b, names->pdata[i], err);
    vgpu_set_state(b, names->pdata[i], VGPU_MADE);
    any = true;
  }
  return any;
}

char *vgpus_missing(Brain *b, const char *desktop)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  for (int64_t slot = 0; slot < d->gpus; slot++) {
    const Vgpu *v = claim_of_slot(b, d, slot);
    bool runs = !d->task && (d->power == POWER_ON || d->power == POWER_SUSPENDED);
    if (slot_is_out(d, slot) || (v && !v->error && (!runs || v->state == VGPU_ATTACHED)))
      continue;
    g_autoptr(GError) err = NULL;
    if (v) /* it runs, and nobody started it with the part as it is now */
      error_set(&err, REASON_GPU_PART_MISSING, "vgpu", v->head.name, "type", v->type, "gpu", v->gpu, "host", v->host, NULL);
    else
      error_set(&err, REASON_NO_GPU, "class", d->gpu_class, "host", d->host, "cards", "its card is gone, and there was no other", NULL);
    return v && v->error ? g_strdup(v->error) : brain_error_json(err);
  }
  return NULL;
}

/* ── orders ───────────────────────────────────────────────────────────────── */

void order_add_vgpu(Brain *b, StepOrder *order, const Vgpu *v)
{
  if (!order->vgpus) {
    order->vgpus = g_ptr_array_new();
    order->gpus = g_ptr_array_new();
  }
  const Gpu *gpu = GET(b, Gpu, GPU, v->gpu);
  object_ref(&schemas[NOUN_VGPU], &v->head);
  if (gpu)
    object_ref(&schemas[NOUN_GPU], &gpu->head);
  g_ptr_array_add(order->vgpus, (Vgpu *)v);
  g_ptr_array_add(order->gpus, (Gpu *)gpu);
}

void order_add_vgpus(Brain *b, StepOrder *order, const Task *task, const char *desktop)
{
  StepKind kind = order->kind;
  bool goes = kind == STEP_GPU_RELEASE, plugs = kind == STEP_GPU_PLUG || kind == STEP_GPU_UNPLUG;
  if (!goes && !plugs && kind != STEP_GPU_MAKE && kind != STEP_DEFINE && kind != STEP_START)
    return;
  order->vgpus = g_ptr_array_new();
  order->gpus = g_ptr_array_new();
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, desktop);
  for (int64_t slot = 0; slot < 8; slot++)
    for (guint i = 0; i < names->len; i++) {
      const Vgpu *v = GET(b, Vgpu, VGPU, names->pdata[i]);
      if (v->slot == slot && (v->state == VGPU_RELEASING) == goes && plug_step_takes(b, kind, task, v))
        order_add_vgpu(b, order, v);
    }
}

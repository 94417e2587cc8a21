/* Desktops: how they come, what they go through, and the one way back to being available. */
#include "core/brain_parts.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"

bool desktop_can(const Desktop *desktop, DesktopMove move)
{
  DesktopState to;
  return desktop_next(desktop->state, move, &to, NULL);
}

Desktop *desktop_move(Brain *b, const char *name, DesktopMove move)
{
  Desktop *d = EDIT(b, Desktop, DESKTOP, name);
  DesktopState to;
  if (!desktop_next(d->state, move, &to, NULL))
    g_error("desktop %s: a desktop that is %s cannot %s", name, desktop_state_name(d->state), desktop_move_name(move));
  if (to == DESKTOP_AVAILABLE && !d->owner && (d->touched || d->session))
    g_error("desktop %s would be handed out dirty", name);
  if (to != (DesktopState)d->state)
    d->since = b->now_us;
  d->state = to;
  g_autofree char *kind = g_strconcat("desktop.", desktop_state_name(to), NULL);
  bool wrong = to == DESKTOP_ERROR || to == DESKTOP_QUARANTINED || to == DESKTOP_LOST;
  brain_event(b, kind, NOUN_DESKTOP, name, NULL, wrong ? d->error : NULL);
  brain_dirty(b, d->pool);
  return d;
}

void desktop_set_error(Brain *b, const char *name, const GError *err)
{
  Desktop *d = EDIT(b, Desktop, DESKTOP, name);
  g_free(d->error);
  d->error = brain_error_json(err);
}

void desktop_create(Brain *b, const Pool *pool, const DesktopPlace *place)
{
  const ImageVersion *image = image_resolve(b, pool->image, NULL);
  const TemplateVersion *template = template_resolve(b, pool->template, NULL);
  g_autofree char *name = brain_number(b, 'd');
  Desktop *d = state_add(b->state, NOUN_DESKTOP, name, b->now_us);
  ref_set(&d->pool, pool->head.name);
  ref_set(&d->host, place->host->head.name);
  ref_set(&d->storage, place->storage->head.name);
  d->cell = place->cell;
  ref_set(&d->template, template->head.name);
  ref_set(&d->image, image->head.name);
  d->mac = desktop_mac(b->controller, name);
  d->clone = 1;
  d->vcpus = pool->vcpus ? pool->vcpus : template->vcpus;
  d->memory_mib = pool->memory_mib ? pool->memory_mib : template->memory_mib;
  d->want_power = POWER_ON;
  d->since = b->now_us;
  const GpuClass *class;
  if (gpu_wish(b, pool, template, &class, &d->gpus, NULL) && class)
    ref_set(&d->gpu_class, class->head.name);
  vgpus_claim(b, name, NULL); /* the place was found for them; what is missing yet is claimed when its step begins */
  desktop_move(b, name, MOVE_PROVISION);
  task_begin(b, TASK_PROVISION, NOUN_DESKTOP, name, NULL);
}

void desktop_retire(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (d->state == DESKTOP_RETIRING || !desktop_can(d, MOVE_RETIRE))
    return;
  if (desktop_is_migrating(b, d)) { /* on which host its domain has to end is not known before that is over */
    EDIT(b, Desktop, DESKTOP, name)->retire = true;
    return;
  }
  task_drop(b, d->task);
  Desktop *retiring = desktop_move(b, name, MOVE_RETIRE);
  retiring->want_power = POWER_OFF;
  text_set(&retiring->session, NULL);
  vgpus_let_go(b, name, INT64_MAX);
  task_begin(b, TASK_DESTROY, NOUN_DESKTOP, name, NULL);
}

void desktop_reset(Brain *b, const char *name)
{
  task_drop(b, GET(b, Desktop, DESKTOP, name)->task);
  Desktop *d = desktop_move(b, name, MOVE_RESET);
  d->clone++;  /* everything of the next generation has other names than the last one's */
  d->unplugged = 0;
  d->want_power = POWER_ON;
  g_clear_pointer(&d->evidence, g_free);
  g_clear_pointer(&d->error, g_free);
  ref_set(&d->seeded, NULL);
  vgpus_let_go(b, name, d->clone - 1);
  g_autoptr(GError) err = NULL;
  if (vgpus_claim(b, name, &err)) {
    task_begin(b, TASK_RESET, NOUN_DESKTOP, name, NULL);
    return;
  }
  desktop_set_error(b, name, err);
  desktop_move(b, name, MOVE_FAIL);
  desktop_retire(b, name);
}

bool desktop_can_prove(Brain *b, const Desktop *d)
{
  const TemplateVersion *t = GET(b, TemplateVersion, TEMPLATE, d->template);
  return t && t->agent;
}

bool desktop_must_go(Brain *b, const Desktop *d)
{
  const Host *h = GET(b, Host, HOST, d->host);
  return d->retire || (h && h->drain && !d->owner);
}

void desktop_recover(Brain *b, const char *name)
{
  task_drop(b, GET(b, Desktop, DESKTOP, name)->task); /* of whoever had it, while its host was away */
  desktop_move(b, name, MOVE_RECOVER)->want_power = POWER_ON;
  task_begin(b, TASK_RECOVER, NOUN_DESKTOP, name, NULL);
}

/* Nobody was in it. What a person asked of its power may still be under way. */
static void desktop_give_back(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  bool ready = d->power == POWER_ON && d->want_power == POWER_ON && !d->task;
  task_drop(b, d->task);
  if (ready)
    desktop_move(b, name, MOVE_CANCEL);
  else
    desktop_recover(b, name);
}

void desktop_release(Brain *b, const char *name)
{
  Desktop *d = EDIT(b, Desktop, DESKTOP, name);
  text_set(&d->session, NULL);
  if (d->state == DESKTOP_LOST || d->state == DESKTOP_RETIRING || d->state == DESKTOP_ERROR)
    return;
  if (d->owner && !d->retire) {
    if (d->state == DESKTOP_USED)
      desktop_move(b, name, MOVE_KEEP);
  } else if (desktop_is_migrating(b, d)) {
    return; /* comes with desktop_settled() */
  } else if (desktop_must_go(b, d) || (d->touched && !desktop_can_prove(b, d))) {
    desktop_retire(b, name);
  } else if (d->touched) {
    desktop_reset(b, name);
  } else {
    desktop_give_back(b, name);
  }
}

/* ── the proof of a reset ─────────────────────────────────────────────────── */

/* What a step bears witness to counts for one generation of the disk. */
static void evidence_add(Desktop *d, const char *step, const StepResult *result)
{
  if (result->clone != d->clone)
    return;
  json_auto_t *all = d->evidence ? json_loads(d->evidence, 0, NULL) : json_object();
  json_auto_t *one = json_loads(result->evidence, JSON_REJECT_DUPLICATES, NULL);
  if (!one || !json_is_object(all))
    return;
  json_object_set_new(all, "clone", json_integer(d->clone));
  json_object_set(all, step, one);
  char *text = json_dumps(all, JSON_COMPACT);
  text_set(&d->evidence, text);
  free(text);
}

/* A fresh disk of this very generation, and a guest of it that names nobody. */
static bool evidence_holds(const Desktop *d)
{
  json_auto_t *all = d->evidence ? json_loads(d->evidence, 0, NULL) : NULL;
  return json_integer_value(json_object_get(all, "clone")) == d->clone && json_is_object(json_object_get(all, "clone-disk")) &&
         json_is_object(json_object_get(all, "prove"));
}

/* ── what follows from steps and tasks ────────────────────────────────────── */

void desktop_set_power(Brain *b, const char *name, PowerState power)
{
  EDIT(b, Desktop, DESKTOP, name)->power = power;
  session_refresh(b, name);
}

void desktop_step_done(Brain *b, const Task *task, const StepResult *result)
{
  const Desktop *seen = GET(b, Desktop, DESKTOP, task->object);
  if (!seen)
    return;
  bool was_on = seen->power == POWER_ON || seen->power == POWER_SUSPENDED;
  if (result->power != POWER_UNKNOWN && (int)result->power != seen->power)
    desktop_set_power(b, task->object, result->power);
  bool starts = result->kind == STEP_START || (result->kind == STEP_POWER && !was_on && (task->verb == VERB_START || task->verb == VERB_RESTORE));
  if ((starts && result->power == POWER_ON) || result->kind == STEP_GPU_PLUG)
    vgpus_started(b, task->object);
  if (result->kind == STEP_START && seen->state == DESKTOP_PROVISIONING)
    desktop_move(b, task->object, MOVE_STARTED);
  if (result->kind == STEP_ARRIVE)
    migrate_arrived(b, task);
  if (result->evidence)
    evidence_add(EDIT(b, Desktop, DESKTOP, task->object), step_rows[result->kind].name, result);
}

bool desktop_lacks_gpu(Brain *b, const char *name)
{
  g_autofree char *why = vgpus_missing(b, name);
  return why != NULL;
}

void desktop_tell_gpu_missing(Brain *b, const char *name, const char *why)
{
  text_set(&EDIT(b, Desktop, DESKTOP, name)->error, why);
  brain_event(b, "desktop.gpu-missing", NOUN_DESKTOP, name, NULL, why);
}

void desktop_retire_without_gpu(Brain *b, const char *name)
{
  g_autofree char *why = vgpus_missing(b, name);
  desktop_tell_gpu_missing(b, name, why);
  desktop_retire(b, name);
}

static void desktop_became_free(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (desktop_must_go(b, d)) {
    desktop_retire(b, name);
    return;
  }
  if (desktop_lacks_gpu(b, name)) {
    desktop_retire_without_gpu(b, name);
    return;
  }
  const Host *h = GET(b, Host, HOST, d->host);
  if (h && (h->state == HOST_UNREACHABLE || h->state == HOST_FENCED)) { /* its host fell silent before the news of it came */
    g_autoptr(GError) err = NULL;
    error_set(&err, REASON_HOST_UNREACHABLE, "host", d->host, "detail", "it stopped answering", NULL);
    desktop_lose(b, name, err);
    return;
  }
  g_autofree char *pool = g_strdup(d->pool);
  sessions_serve(b, pool);
}

static void reset_done(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (!evidence_holds(d)) {
    g_autoptr(GError) err = NULL;
    error_set(&err, REASON_NO_PROOF, "desktop", name, NULL);
    desktop_set_error(b, name, err);
    desktop_move(b, name, MOVE_FAIL);
    desktop_retire(b, name);
    return;
  }
  EDIT(b, Desktop, DESKTOP, name)->touched = false;
  desktop_move(b, name, MOVE_PROVEN);
  desktop_became_free(b, name);
}

void desktop_settled(Brain *b, const char *name)
{
  ref_set(&EDIT(b, Desktop, DESKTOP, name)->moving, NULL);
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  const Host *h = GET(b, Host, HOST, d->host);
  bool held = d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED;
  if (d->retire && !d->session) {
    desktop_retire(b, name);
  } else if (held && !d->session && !d->owner) {
    desktop_release(b, name);
  } else if (d->state == DESKTOP_AVAILABLE && d->power != POWER_ON && h && host_state_is_reachable(h->state)) {
    desktop_recover(b, name);
  } else if (d->state == DESKTOP_AVAILABLE) {
    desktop_became_free(b, name);
  } else if (held && h && (h->state == HOST_UNREACHABLE || h->state == HOST_FENCED)) {
    g_autoptr(GError) err = NULL;
    error_set(&err, REASON_HOST_UNREACHABLE, "host", d->host, "detail", "it stopped answering", NULL);
    desktop_lose(b, name, err);
  } else {
    session_refresh(b, name);
  }
}

/* There again, as it was: on if that is what was wanted of it. */
static void desktop_healed(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  const Session *s = d->session ? GET(b, Session, SESSION, d->session) : NULL;
  if (d->want_power == POWER_ON)
    task_begin(b, TASK_WAKE, NOUN_DESKTOP, name, s ? s->user : NULL);
  else
    g_clear_pointer(&EDIT(b, Desktop, DESKTOP, name)->error, g_free);
  session_refresh(b, name);
}

void desktop_task_done(Brain *b, const Task *task)
{
  g_autofree char *name = g_strdup(task->object);
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (d->error && task->kind != TASK_HEAL)
    g_clear_pointer(&EDIT(b, Desktop, DESKTOP, name)->error, g_free);
  switch ((TaskKind)task->kind) {
  case TASK_PROVISION:
  case TASK_RECOVER:
    desktop_move(b, name, MOVE_READY);
    desktop_became_free(b, name);
    return;
  case TASK_RESET:
    reset_done(b, name);
    return;
  case TASK_DESTROY: {
    g_autofree char *host = g_strdup(d->host);
    brain_dirty(b, d->pool);
    brain_event(b, "desktop.gone", NOUN_DESKTOP, name, NULL, NULL);
    vgpus_drop(b, name);
    state_delete(b->state, NOUN_DESKTOP, name);
    host_check_empty(b, host);
    pools_wake(b);
    return;
  }
  case TASK_WAKE:
    session_woken(b, name);
    return;
  case TASK_HEAL:
    desktop_healed(b, name);
    return;
  case TASK_RESEED: {
    const Session *s = d->session ? GET(b, Session, SESSION, d->session) : NULL;
    ref_set(&EDIT(b, Desktop, DESKTOP, name)->seeded, s ? s->user : NULL);
    G_GNUC_FALLTHROUGH;
  }
  case TASK_PERSONALISE:
    session_personalised(b, name, NULL);
    return;
  case TASK_MIGRATE:
    desktop_settled(b, name);
    return;
  case TASK_GPU_ATTACH:
  case TASK_GPU_DETACH:
    brain_event(b, task->kind == TASK_GPU_ATTACH ? "desktop.gpu-attached" : "desktop.gpu-detached", NOUN_DESKTOP, name, task->user, NULL);
    return;
  case TASK_POWER:
    if (d->state == DESKTOP_LOST && d->power == POWER_OFF) /* it ran without its part, and runs no more */
      desktop_gpus_seen(b, name);
    return;
  case TASK_IMPORT:
  case TASK_IMAGE_DELETE:
  case N_TASK_KINDS:
    return;
  }
}

/* The agent named a person: nobody gets this desktop, and an operator looks at it. */
static void desktop_quarantine(Brain *b, const char *name, const GError *err)
{
  desktop_set_error(b, name, err);
  desktop_move(b, name, MOVE_SUSPECT);
}

void desktop_task_failed(Brain *b, const Task *task, const GError *err)
{
  g_autofree char *name = g_strdup(task->object);
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  desktop_set_error(b, name, err);
  switch ((TaskKind)task->kind) {
  case TASK_PROVISION: {
    /* what it made is undone already: nothing of it is left */
    g_autofree char *pool = g_strdup(d->pool);
    g_autofree char *host = g_strdup(d->host);
    brain_event(b, "desktop.failed", NOUN_DESKTOP, name, NULL, d->error);
    vgpus_drop(b, name);
    state_delete(b->state, NOUN_DESKTOP, name);
    if (!error_is(err, REASON_CANCELLED))
      pool_failed(b, pool, err);
    brain_dirty(b, pool);
    host_check_empty(b, host);
    pools_wake(b);
    return;
  }
  case TASK_RESET:
    if (error_is(err, REASON_GUEST_NOT_CLEAN)) {
      desktop_quarantine(b, name, err);
      return;
    }
    G_GNUC_FALLTHROUGH;
  case TASK_RECOVER:
    pool_failed(b, d->pool, err);
    desktop_move(b, name, MOVE_FAIL);
    desktop_retire(b, name);
    return;
  case TASK_HEAL:
    /* what is left of it is worth nothing, but to its owner */
    EDIT(b, Desktop, DESKTOP, name)->retire = d->retire || !d->owner;
    G_GNUC_FALLTHROUGH;
  case TASK_WAKE:
  case TASK_RESEED:
  case TASK_PERSONALISE:
    session_personalised(b, name, err);
    return;
  case TASK_MIGRATE:
    migrate_failed(b, task, err);
    return;
  case TASK_GPU_ATTACH:
  case TASK_GPU_DETACH:
    plug_failed(b, task, err);
    return;
  case TASK_POWER:
  case TASK_DESTROY:
  case TASK_IMPORT:
  case TASK_IMAGE_DELETE:
  case N_TASK_KINDS:
    return;
  }
}

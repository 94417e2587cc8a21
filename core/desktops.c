/* Desktops: how they come, what they go through, and the one way back to being available. */
#include "core/brain_parts.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"

/* So that a domain which was moved by hand is seen where it went, before anything is made of its disk. */
enum { HEAL_IN_S = 3 };

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

static void desktop_reset(Brain *b, const char *name)
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

/* Without an agent nothing in the guest can bear witness: such a desktop is destroyed and replaced. */
static bool desktop_can_prove(Brain *b, const Desktop *d)
{
  const TemplateVersion *t = GET(b, TemplateVersion, TEMPLATE, d->template);
  return t && t->agent;
}

/* It is to go, or its host is to be emptied: a draining host is asked anew each time, so that one in use again gives nothing away. */
static bool desktop_must_go(Brain *b, const Desktop *d)
{
  const Host *h = GET(b, Host, HOST, d->host);
  return d->retire || (h && h->drain && !d->owner);
}

/* On again and ready before anybody gets it. */
static void desktop_recover(Brain *b, const char *name)
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

static bool lacks_gpu(Brain *b, const char *name)
{
  g_autofree char *why = vgpus_missing(b, name);
  return why != NULL;
}

static void error_without_gpu(Brain *b, const char *name, const char *why)
{
  text_set(&EDIT(b, Desktop, DESKTOP, name)->error, why);
  brain_event(b, "desktop.gpu-missing", NOUN_DESKTOP, name, NULL, why);
}

/* It runs without what it was made with: another one takes its place. */
static void desktop_retire_without_gpu(Brain *b, const char *name)
{
  g_autofree char *why = vgpus_missing(b, name);
  error_without_gpu(b, name, why);
  desktop_retire(b, name);
}

static void desktop_became_free(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (desktop_must_go(b, d)) {
    desktop_retire(b, name);
    return;
  }
  if (lacks_gpu(b, name)) {
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

/* ── what is seen on hosts ────────────────────────────────────────────────── */

/* Its host has a generation that we never made: the store is older than the world, and somebody else may be in it. A person's own has one
 * generation for life. */
static bool passed_on(Brain *b, const char *name, const DomainSeen *seen)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (!seen || seen->clone <= d->clone || d->task || d->owner || !desktop_can(d, MOVE_SUSPECT))
    return false;
  g_autofree char *found = g_strdup_printf("%" G_GINT64_FORMAT, seen->clone), *meant = g_strdup_printf("%" G_GINT64_FORMAT, d->clone);
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_DESKTOP_PASSED_ON, "desktop", name, "found", found, "meant", meant, NULL);
  desktop_suspect(b, name, err);
  return true;
}

/* ── a domain that vanished behind our back ──────────────────────────────── */

/* Said once, on the desktop and as an event; false where it was said before. */
static bool desktop_tell(Brain *b, const char *name, const char *kind, const GError *err)
{
  g_autofree char *why = brain_error_json(err);
  if (!g_strcmp0(GET(b, Desktop, DESKTOP, name)->error, why))
    return false;
  text_set(&EDIT(b, Desktop, DESKTOP, name)->error, why);
  brain_event(b, kind, NOUN_DESKTOP, name, NULL, why);
  session_refresh(b, name);
  return true;
}

static GError *moved_error(Brain *b, const Desktop *d)
{
  const char *found = g_hash_table_lookup(b->elsewhere, d->head.name);
  GError *err = NULL;
  if (found)
    error_set(&err, REASON_DESKTOP_ELSEWHERE, "desktop", d->head.name, "host", d->host, "found", found, NULL);
  return err;
}

void desktop_moved(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  const Task *task = d->task ? GET(b, Task, TASK, d->task) : NULL;
  if (!task || task->kind != TASK_HEAL)
    return; /* where we put it, it still is, or nobody needs it */
  task_drop(b, d->task);
  g_autoptr(GError) moved = moved_error(b, d);
  desktop_tell(b, name, "desktop.elsewhere", moved);
}

/* Somebody needs it: made again of the disk that it had, the same generation. One that was moved by hand runs elsewhere, and two would be
 * worse than none. */
static void desktop_heal(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  g_autoptr(GError) known = d->error ? brain_error_of(d->error) : NULL, err = moved_error(b, d);
  if (error_is(known, REASON_DISK_GONE))
    return; /* its owner's next session tries again */
  if (err) {
    desktop_tell(b, name, "desktop.elsewhere", err);
    return;
  }
  g_autofree char *uuid = desktop_domain_uuid(b->controller, name);
  error_set(&err, REASON_DESKTOP_VANISHED, "domain", uuid, "desktop", name, "host", d->host, NULL);
  desktop_tell(b, name, "desktop.vanished", err);
  task_begin_in(b, HEAL_IN_S, TASK_HEAL, name);
}

/* It was put back by somebody else, or was never gone. */
static void desktop_came_back(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  g_autoptr(GError) known = d->error ? brain_error_of(d->error) : NULL;
  if (!error_is(known, REASON_DESKTOP_ELSEWHERE))
    return;
  g_clear_pointer(&EDIT(b, Desktop, DESKTOP, name)->error, g_free);
  session_refresh(b, name);
}

/* It goes on as long as it runs, but there is something to be said of it. */
static void desktop_definition_seen(Brain *b, const char *name, const DomainSeen *seen)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  g_autoptr(GError) known = d->error ? brain_error_of(d->error) : NULL, err = NULL;
  bool said = error_is(known, REASON_DESKTOP_UNDEFINED);
  if (said && !seen->transient)
    g_clear_pointer(&EDIT(b, Desktop, DESKTOP, name)->error, g_free);
  if (known || !seen->transient)
    return;
  error_set(&err, REASON_DESKTOP_UNDEFINED, "domain", seen->uuid, "desktop", name, "host", d->host, NULL);
  desktop_tell(b, name, "desktop.undefined", err);
}

/* seen is NULL where the host has no such domain. */
void desktop_seen(Brain *b, const char *name, const DomainSeen *seen)
{
  if (passed_on(b, name, seen))
    return;
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (desktop_is_migrating(b, d))
    return;
  PowerState power = seen ? seen->power : POWER_OFF;
  if (d->power != (int)power) {
    desktop_set_power(b, name, power);
    g_autofree char *kind = g_strconcat("desktop.power-", power_state_name(power), NULL);
    brain_event(b, kind, NOUN_DESKTOP, name, NULL, NULL);
    d = GET(b, Desktop, DESKTOP, name);
  }
  if (d->task)
    return; /* a task knows better */
  if (seen && vgpus_left(b, name, seen)) {
    desktop_gpus_seen(b, name);
    return;
  }
  if (seen && (d->state == DESKTOP_AVAILABLE || d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED))
    desktop_definition_seen(b, name, seen);
  if (d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED) { /* a person's desktop is theirs to power */
    if (seen)
      desktop_came_back(b, name);
    else
      desktop_heal(b, name);
    return;
  }
  if (d->state != DESKTOP_AVAILABLE || d->owner)
    return;
  if (!seen)
    desktop_retire(b, name);
  else if (power != POWER_ON)
    desktop_recover(b, name);
}

void desktop_lose(Brain *b, const char *name, const GError *err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  bool held = d->state == DESKTOP_AVAILABLE || d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED;
  if (!held)
    return; /* a task is at work; it waits for the host */
  if (desktop_is_migrating(b, d)) { /* it may be on the other one already */
    desktop_set_power(b, name, POWER_UNKNOWN);
    return;
  }
  desktop_set_error(b, name, err);
  desktop_move(b, name, MOVE_LOSE);
  desktop_set_power(b, name, POWER_UNKNOWN);
}

/* Its host is back: looked at as if the controller had just started. */
void desktop_find(Brain *b, const char *name)
{
  Desktop *d = EDIT(b, Desktop, DESKTOP, name);
  if (d->state != DESKTOP_LOST)
    return;
  g_clear_pointer(&d->error, g_free);
  if (d->session || d->owner) {
    desktop_move(b, name, d->touched && d->session ? MOVE_FOUND_USED : MOVE_FOUND_HELD);
    session_refresh(b, name); /* let in once it was seen to be on */
  } else if (desktop_must_go(b, d) || (d->touched && !desktop_can_prove(b, d))) {
    desktop_retire(b, name);
  } else if (d->touched) {
    desktop_reset(b, name);
  } else if (lacks_gpu(b, name)) {
    desktop_retire_without_gpu(b, name);
  } else {
    desktop_recover(b, name);
  }
}

/* ── its graphics cards ───────────────────────────────────────────────────── */

/* Nobody sits there: pulled off, it gets its parts again at its next start. */
static void pull_plug(Brain *b, const char *name)
{
  task_begin_power(b, VERB_DESTROY, name, NULL);
}

static void found_after_loss(Brain *b, const char *name, bool runs_without)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (runs_without && d->session)
    return; /* somebody's; they end it, or switch it off */
  desktop_find(b, name);
  d = GET(b, Desktop, DESKTOP, name);
  if (runs_without && d && d->owner && d->state == DESKTOP_ASSIGNED && !d->task)
    pull_plug(b, name);
}

void desktop_gpus_seen(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (d->task)
    return; /* a task knows better */
  g_autofree char *missing = vgpus_missing(b, name);
  bool runs_without = missing && (d->power == POWER_ON || d->power == POWER_SUSPENDED);
  bool held = d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED;
  if (d->state == DESKTOP_LOST) {
    found_after_loss(b, name, runs_without);
  } else if (d->state == DESKTOP_AVAILABLE && missing && !d->owner) {
    desktop_retire_without_gpu(b, name);
  } else if (held && runs_without) {
    error_without_gpu(b, name, missing);
    desktop_move(b, name, MOVE_LOSE);
    session_refresh(b, name);
    found_after_loss(b, name, true);
  }
}

void desktop_task_over(Brain *b, const char *name)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (d && (d->state == DESKTOP_AVAILABLE || d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED))
    desktop_gpus_seen(b, name);
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

static PowerVerb verb_of(ApiVerb verb)
{
  PowerVerb power = VERB_NONE;
  bool known = power_verb_parse(api_rows[verb].verb, &power);
  g_assert(known);
  return power;
}

static PowerState wanted_after(PowerVerb verb)
{
  switch (verb) {
  case VERB_SHUTDOWN:
  case VERB_DESTROY:
    return POWER_OFF;
  case VERB_SUSPEND:
    return POWER_SUSPENDED;
  case VERB_SAVE:
    return POWER_SAVED;
  case VERB_NONE:
  case VERB_START:
  case VERB_REBOOT:
  case VERB_RESET:
  case VERB_RESUME:
  case VERB_RESTORE:
  case N_POWER_VERBS:
    return POWER_ON;
  }
  return POWER_ON;
}

bool verb_desktop_power(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, r->name);
  const Task *busy = d->task ? GET(b, Task, TASK, d->task) : NULL;
  if (busy)
    return error_false(err, REASON_DESKTOP_BUSY, "desktop", r->name, "task", d->task, "kind", task_kind_name(busy->kind), NULL);
  PowerVerb verb = verb_of(r->verb);
  bool without_gpu = d->state == DESKTOP_LOST && lacks_gpu(b, r->name) && wanted_after(verb) == POWER_OFF;
  if (d->state != DESKTOP_ASSIGNED && d->state != DESKTOP_USED && d->state != DESKTOP_MAINTENANCE && d->state != DESKTOP_QUARANTINED &&
      !without_gpu)
    return error_false(err, REASON_DESKTOP_NOT_HELD, "desktop", r->name, "state", desktop_state_name(d->state), NULL);
  EDIT(b, Desktop, DESKTOP, r->name)->want_power = wanted_after(verb);
  const char *task = task_begin_power(b, verb, r->name, r->caller.user);
  a->noun = NOUN_TASK;
  answer_object(b, a, 202, task);
  return true;
}

bool verb_desktop_maintain(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, r->name);
  DesktopState to;
  if (desktop_is_migrating(b, d))
    return error_false(err, REASON_DESKTOP_BUSY, "desktop", r->name, "task", d->task, "kind", task_kind_name(TASK_MIGRATE), NULL);
  if (d->state == DESKTOP_MAINTENANCE) {
    EDIT(b, Desktop, DESKTOP, r->name)->touched = true; /* whatever was done to it */
    desktop_reset(b, r->name);
  } else if (!desktop_next(d->state, MOVE_MAINTAIN, &to, err)) {
    return false;
  } else {
    desktop_move(b, r->name, MOVE_MAINTAIN);
  }
  answer_object(b, a, 200, r->name);
  return true;
}

/* Why an operator did it, for whoever looks later. */
static bool reason_note(Brain *b, const Request *r, const char *kind, GError **err)
{
  const char *reason = request_text(r, "reason");
  if (reason && !title_check("reason", reason, err))
    return false;
  g_autoptr(GString) detail = g_string_new("{\"reason\":");
  json_append_text(detail, reason ? reason : "");
  g_string_append_c(detail, '}');
  brain_event(b, kind, NOUN_DESKTOP, r->name, r->caller.user, reason ? detail->str : NULL);
  return true;
}

bool verb_desktop_release(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, r->name);
  if (d->state != DESKTOP_QUARANTINED)
    return error_false(err, REASON_NO_TRANSITION, "kind", "desktop", "state", desktop_state_name(d->state), "move", "be released", NULL);
  if (desktop_is_migrating(b, d))
    return error_false(err, REASON_DESKTOP_BUSY, "desktop", r->name, "task", d->task, "kind", task_kind_name(TASK_MIGRATE), NULL);
  if (!request_text(r, "reason"))
    return error_false(err, REASON_MISSING_FIELD, "field", "reason", NULL);
  if (!reason_note(b, r, "desktop.released", err))
    return false;
  if (desktop_must_go(b, d) || !desktop_can_prove(b, d))
    desktop_retire(b, r->name);
  else
    desktop_reset(b, r->name);
  answer_object(b, a, 202, r->name);
  return true;
}

bool verb_desktop_retire(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, r->name);
  if (!reason_note(b, r, "desktop.retire-asked", err))
    return false;
  if (d->session)
    EDIT(b, Desktop, DESKTOP, r->name)->retire = true;
  else
    desktop_retire(b, r->name);
  answer_object(b, a, 202, r->name);
  return true;
}

/* A look at somebody else's screen stays on record. */
static void screenshot_tell(Brain *b, const Desktop *d, const char *user)
{
  const Session *s = d->session ? GET(b, Session, SESSION, d->session) : NULL;
  const char *of = s ? s->user : d->owner;
  if (!of || !g_strcmp0(of, user))
    return;
  json_auto_t *detail = json_pack("{ss ss*}", "of", of, "session", d->session);
  g_autofree char *text = json_dumps(detail, JSON_COMPACT);
  brain_event(b, "desktop.screenshot", NOUN_DESKTOP, d->head.name, user, text);
}

bool verb_desktop_screenshot(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, r->name);
  if (desktop_screen_in_guest(b, d))
    return error_false(err, REASON_SCREEN_IN_GUEST, "desktop", d->head.name, NULL);
  screenshot_tell(b, d, r->caller.user);
  brain_call(b, STEP_SCREENSHOT, r->name, d->host, r->name);
  b->deferred = true;
  return true;
}

/* What hosts show of desktops: found, gone, elsewhere, lost, and without their graphics cards. */
#include "core/brain_parts.h"

#include "core/text.h"

/* So that a domain which was moved by hand is seen where it went, before anything is made of its disk. */
enum { HEAL_IN_S = 3 };

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

/* The host is at starting it, and the news that it is on came before the answer. */
static bool start_seen(Brain *b, const Desktop *d, PowerState power)
{
  const Task *task = d->task ? GET(b, Task, TASK, d->task) : NULL;
  bool starts = task && task->kind == TASK_POWER && (task->verb == VERB_START || task->verb == VERB_RESTORE) && task->state == TASK_RUNNING;
  bool was_off = desktop_is_off(d) || d->power == POWER_SAVED;
  return starts && was_off && power == POWER_ON && !g_strcmp0(task->step, step_rows[STEP_POWER].name);
}

void desktop_seen(Brain *b, const char *name, const DomainSeen *seen)
{
  if (passed_on(b, name, seen))
    return;
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  if (desktop_is_migrating(b, d))
    return;
  PowerState power = seen ? seen->power : POWER_OFF;
  if (d->power != (int)power) {
    if (start_seen(b, d, power))
      vgpus_started(b, name);
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
  } else if (desktop_lacks_gpu(b, name)) {
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
    desktop_tell_gpu_missing(b, name, missing);
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

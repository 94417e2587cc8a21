/* What people and operators ask of a desktop. */
#include "core/brain_parts.h"

#include "core/text.h"

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
  case VERB_DISCARD_SAVED:
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
  bool without_gpu = d->state == DESKTOP_LOST && desktop_lacks_gpu(b, r->name) && wanted_after(verb) == POWER_OFF;
  if (d->state != DESKTOP_ASSIGNED && d->state != DESKTOP_USED && d->state != DESKTOP_MAINTENANCE && d->state != DESKTOP_QUARANTINED &&
      !without_gpu)
    return error_false(err, REASON_DESKTOP_NOT_HELD, "desktop", r->name, "state", desktop_state_name(d->state), NULL);
  if (verb == VERB_DISCARD_SAVED && d->power != POWER_SAVED)
    return error_false(err, REASON_NO_SAVED_STATE, "domain", r->name, NULL);
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

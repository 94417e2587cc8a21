#include "drivers/runtime/told.h"

#include <string.h>

/* What needs somebody to look. */
static const char *const warnings[] = {
  "host.unreachable", "host.fenced", "host.orphan-removed", "host.orphan-kept", "desktop.failed", "desktop.error", "desktop.quarantined",
  "desktop.lost", "pool.restrained", "image.failed", "task.undo-failed", "user.login-refused", "session.denied", NULL,
};

/* Of desktops and sessions there are too many to read: their ordinary life is for the debug level. */
static const char *const many[] = { "desktop.", "session.", NULL };

LogLevel told_level(const char *kind)
{
  if (g_strv_contains(warnings, kind))
    return LOG_WARNING;
  for (int i = 0; many[i]; i++)
    if (g_str_has_prefix(kind, many[i]))
      return LOG_DEBUG;
  return LOG_INFO;
}

static void event_log(const Event *event)
{
  Noun noun = noun_find(event->noun);
  const char *about = noun == N_NOUNS ? "event" : schemas[noun].noun; /* a text that stays: the log keeps its address */
  log_write(told_level(event->kind), about, event->kind, about, event->object, "by", event->user ? event->user : "sarang", "detail",
            event->detail, NULL);
}

static void task_log(const Task *task)
{
  if (task->state == TASK_FAILED)
    log_warning("task", "task.failed", "task", task->head.name, "kind", task_kind_name(task->kind), task->noun, task->object, "step",
                task->step, "error", task->error);
}

void told_log(const Batch *batch)
{
  for (guint i = 0; i < batch->changes->len; i++) {
    const Change *c = &g_array_index(batch->changes, Change, i);
    if (c->how != CHANGE_PUT)
      continue;
    if (c->noun == NOUN_EVENT)
      event_log((const Event *)c->object);
    else if (c->noun == NOUN_TASK)
      task_log((const Task *)c->object);
  }
}

void told_notice(const GError *refusal)
{
  log_warning("user", reason_wire(error_reason(refusal)), "user", error_arg(refusal, "user"), "error", refusal->message);
}

/* Waiting: an object is asked for again until nothing more will come of it by itself; on a terminal a line tells
 * meanwhile what is done for it, how far that is, and how long it takes as a rule. Ctrl-C ends the waiting, not the work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "core/step.h"
#include "core/text.h"
#include "core/words.h"

enum { ASK_FIRST_MS = 20, ASK_MOST_MS = 500, SAMPLES_LEAST = 3, SAMPLES_MOST = 100 };

typedef enum { GOING, GOOD, BAD } Ended;

typedef struct {
  Command *command;
  Noun noun;
  char *name;
  int64_t begun_us;
  char *kind, *usual;   /* of a task whose usual time was looked up, and that, or NULL */
  bool told;
} Wait;

static const char *member(json_t *json, const char *name)
{
  const char *text = json_string_value(json_object_get(json, name));
  return text ? text : "";
}

static Ended by_words(const char *state, const char *good, const char *bad)
{
  g_auto(GStrv) goods = g_strsplit(good, " ", -1), bads = g_strsplit(bad, " ", -1);
  return g_strv_contains((const char *const *)goods, state) ? GOOD : g_strv_contains((const char *const *)bads, state) ? BAD : GOING;
}

/* A host that was up comes back by itself; one that never answered has to be mended first, or is not what it was called. */
static bool is_host_never_up(Noun noun, json_t *json)
{
  return noun == NOUN_HOST && !strcmp(member(json, "state"), "unreachable") && !*member(json, "seen") &&
         json_is_object(json_object_get(json, "error"));
}

static Ended ended(Noun noun, json_t *json)
{
  const char *state = member(json, "state");
  switch (noun) {
  case NOUN_TASK:
    return by_words(state, "done", "failed cancelled");
  case NOUN_SESSION:
    return json_is_true(json_object_get(json, "ready")) ? GOOD : by_words(state, "", "ended");
  case NOUN_IMAGE:
    return by_words(state, "ready", "failed");
  case NOUN_HOST:
    return is_host_never_up(noun, json) ? BAD : by_words(state, "up maintenance", "fenced");
  case NOUN_DESKTOP:
    return by_words(state, "available", "error quarantined");
  case NOUN_POOL:
  case NOUN_CONTROLLER:
  case NOUN_GPU:
  case NOUN_GPU_CLASS:
  case NOUN_LICENCE:
  case NOUN_RESERVATION:
  case NOUN_VGPU:
  case NOUN_STORAGE:
  case NOUN_TEMPLATE:
  case NOUN_USER:
  case NOUN_TOKEN:
  case NOUN_TICKET:
  case NOUN_RELAY:
  case NOUN_RECEIPT:
  case NOUN_DEMAND:
  case NOUN_EVENT:
  case N_NOUNS:
    return GOOD;
  }
  return GOOD;
}

/* ── how long it takes as a rule ──────────────────────────────────────────── */

static int by_size(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double seconds_between(json_t *task)
{
  g_autoptr(GDateTime) from = g_date_time_new_from_iso8601(member(task, "created"), NULL);
  g_autoptr(GDateTime) to = g_date_time_new_from_iso8601(member(task, "ended"), NULL);
  return from && to ? (double)g_date_time_difference(to, from) / G_USEC_PER_SEC : -1;
}

/* The middle half of how long such tasks took, or NULL where too few are known. */
static char *usual_time(Command *c, const char *kind)
{
  json_auto_t *filters = json_pack("{ss ss si}", "state", "done", "kind", kind, "limit", SAMPLES_MOST), *list = NULL;
  g_autoptr(GError) silent = NULL;
  if (!command_ask_list(c, API_TASK_LIST, filters, &list, NULL, &silent) || json_array_size(list) < SAMPLES_LEAST)
    return NULL;
  g_autoptr(GArray) took = g_array_new(FALSE, FALSE, sizeof(double));
  size_t i;
  json_t *task;
  json_array_foreach(list, i, task) {
    double s = seconds_between(task);
    g_array_append_val(took, s);
  }
  qsort(took->data, took->len, sizeof(double), by_size);
  double low = g_array_index(took, double, took->len / 4), high = g_array_index(took, double, took->len * 3 / 4);
  return low < 0 ? NULL : g_strdup_printf(say(c->place.lang, "takes %.0f–%.0f s as a rule"), low, high);
}

/* ── what is told ─────────────────────────────────────────────────────────── */

static json_t *ask(Command *c, Noun noun, const char *name)
{
  g_autofree char *path = client_path(api_find_words(schemas[noun].noun, "show"), name);
  g_autoptr(GError) silent = NULL;
  json_t *json = NULL;
  return client_ask(&c->place, METHOD_GET, path, NULL, &json, NULL, &silent) ? json : NULL;
}

/* The task of the desktop of a pool that will be ready first: one that boots is ahead of one that is being made. */
static json_t *task_of_next(Command *c, const char *pool)
{
  static const char *const coming[] = { "wait-ready", "provisioning", "resetting" };
  g_autoptr(GError) silent = NULL;
  for (size_t i = 0; i < G_N_ELEMENTS(coming) && !silent; i++) {
    json_auto_t *filters = json_pack("{ss ss si}", "pool", pool, "state", coming[i], "limit", 1), *list = NULL;
    const char *task = command_ask_list(c, API_DESKTOP_LIST, filters, &list, NULL, &silent) ? member(json_array_get(list, 0), "task") : "";
    if (*task)
      return ask(c, NOUN_TASK, task);
  }
  return NULL;
}

/* The task that works on the object, or on the desktop that a session waits for; NULL where none does or it is not shown to the person. */
static json_t *task_of(Command *c, Noun noun, json_t *json)
{
  if (noun == NOUN_TASK)
    return json_incref(json);
  const char *task = member(json, "task"), *desktop = noun == NOUN_SESSION ? member(json, "desktop") : "";
  if (*task)
    return ask(c, NOUN_TASK, task);
  if (noun == NOUN_SESSION && !*desktop)
    return task_of_next(c, member(json, "pool"));
  json_auto_t *held = *desktop ? ask(c, NOUN_DESKTOP, desktop) : NULL;
  return held && *member(held, "task") ? ask(c, NOUN_TASK, member(held, "task")) : NULL;
}

/* What stands in an object's way, in lang; owned by the caller. NULL where nothing does. */
static char *why_of(json_t *object, Lang lang)
{
  g_autoptr(GError) why = error_of_object(object);
  return why ? error_text(why, lang) : NULL;
}

static bool append_why(GString *line, json_t *object, Lang lang)
{
  g_autofree char *why = why_of(object, lang);
  if (why)
    g_string_append_printf(line, " · %s", why);
  return why;
}

static void append_task(Wait *w, json_t *task, GString *line)
{
  Lang lang = w->command->place.lang;
  TaskKind kind;
  int steps = 0, pct = (int)json_integer_value(json_object_get(task, "progress_pct"));
  if (!task_kind_parse(member(task, "kind"), &kind))
    return;
  task_steps(kind, &steps);
  int step = MIN((int)json_integer_value(json_object_get(task, "step_index")) + 1, steps);
  if (g_strcmp0(member(task, "object"), w->name) != 0 && w->noun != NOUN_TASK)
    g_string_append_printf(line, " · %s %s", word_noun(member(task, "noun"), lang), member(task, "object"));
  g_string_append_printf(line, say(lang, " · %s: %s, step %d of %d"), word_value(&task_kind_names, member(task, "kind"), lang),
                         word_step(member(task, "step"), lang), step, steps);
  if (pct > 0 && pct < 100)
    g_string_append_printf(line, ", %d%%", pct);
  append_why(line, task, lang);
  if (g_strcmp0(w->kind, member(task, "kind")) != 0) {
    g_free(w->kind);
    g_free(w->usual);
    w->kind = g_strdup(member(task, "kind"));
    w->usual = usual_time(w->command, w->kind);
  }
  if (w->usual)
    g_string_append_printf(line, " · %s", w->usual);
}

static bool may_tell(const Wait *w)
{
  return !w->command->quiet && isatty(STDERR_FILENO) && g_strcmp0(g_getenv("TERM"), "dumb") != 0;
}

static void tell(Wait *w, json_t *json)
{
  if (!may_tell(w))
    return;
  Lang lang = w->command->place.lang;
  g_autoptr(GString) line = g_string_new(NULL);
  json_auto_t *task = task_of(w->command, w->noun, json);
  const char *noun = schemas[w->noun].noun;
  g_string_printf(line, "%s %s: %s", word_noun(noun, lang), w->name, state_said(noun, member(json, "state"), lang));
  if (task)
    append_task(w, task, line);
  else if (!append_why(line, json, lang) && w->noun == NOUN_SESSION && !*member(json, "desktop"))
    g_string_append_printf(line, say(lang, " · no desktop of pool %s is free yet"), member(json, "pool"));
  g_string_append_printf(line, say(lang, " · %d s so far"), (int)((g_get_monotonic_time() - w->begun_us) / G_USEC_PER_SEC));
  g_autofree char *visible = text_dup_visible(line->str, 400);
  fprintf(stderr, "\r%s\033[K", visible);
  w->told = true;
}

static void tell_no_more(Wait *w)
{
  if (w->told)
    fputs("\r\033[K", stderr);
  g_free(w->kind);
  g_free(w->usual);
  g_free(w->name);
}

/* ── waiting ──────────────────────────────────────────────────────────────── */

/* What the object's own error says of it, in the person's language. */
static bool refuse_bad_end(const Wait *w, json_t *json, GError **err)
{
  Lang lang = w->command->place.lang;
  g_autoptr(GError) cause = error_of_object(json);
  if (cause && is_host_never_up(w->noun, json)) { /* it is the whole answer, with its own exit status */
    g_propagate_error(err, g_steal_pointer(&cause));
    return false;
  }
  const char *none = w->command->verb == API_HOST_DRAIN ? say(lang, "it is not being drained any more") : say(lang, "no reason was given");
  g_autofree char *why = cause ? error_text(cause, lang) : g_strdup(none), *fix = cause ? error_fix(cause, lang) : NULL;
  return error_false(err, REASON_WAIT_FAILED, "kind", schemas[w->noun].noun, "name", w->name, "state", member(json, "state"), "why", why, "fix",
                     fix ? fix : "", NULL);
}

static bool left(const Wait *w, Reason reason, json_t *json, GError **err)
{
  g_autofree char *text = why_of(json, w->command->place.lang), *why = text ? g_strdup_printf(" (%s)", text) : g_strdup("");
  return error_false(err, reason, "kind", schemas[w->noun].noun, "name", w->name, "state", member(json, "state"), "why", why, NULL);
}

/* What is on its way out has come to a good end when it is no more. */
static bool is_leaving(json_t *json)
{
  return by_words(member(json, "state"), "deleting", "retiring") != GOING;
}

/* Who ends a session waits for its end; who drains a host for its last desktop, and is told where somebody wants the host back before. */
static Ended come_to(const Wait *w, json_t *json)
{
  const char *state = member(json, "state");
  if (w->command->verb == API_SESSION_END)
    return by_words(state, "ended", "");
  return w->command->verb == API_HOST_DRAIN ? by_words(state, "maintenance", "up enrolling fenced") : ended(w->noun, json);
}

static bool wait_on(Wait *w, int64_t end_us, json_t **json, GError **err)
{
  volatile sig_atomic_t *stop = interrupt_flag();
  g_autofree char *path = client_path(api_find_words(schemas[w->noun].noun, "show"), w->name);
  for (int pause_ms = ASK_FIRST_MS;; pause_ms = MIN(pause_ms * 3 / 2, ASK_MOST_MS)) {
    Ended how = come_to(w, *json);
    if (how == BAD)
      return refuse_bad_end(w, *json, err);
    if (how == GOOD)
      return true;
    if (*stop || g_get_monotonic_time() >= end_us)
      return left(w, *stop ? REASON_DETACHED : REASON_STILL_GOING, *json, err);
    tell(w, *json);
    g_usleep(pause_ms * 1000);
    json_t *fresh = NULL;
    g_autoptr(GError) why = NULL;
    if (!*stop && !client_ask(&w->command->place, METHOD_GET, path, NULL, &fresh, NULL, &why)) {
      if (error_class(why) == CLASS_NOT_FOUND && is_leaving(*json))
        return true;
      g_propagate_error(err, g_steal_pointer(&why));
      return false;
    }
    if (fresh) {
      json_decref(*json);
      *json = fresh;
    }
  }
}

bool command_wait(Command *c, Noun noun, json_t **json, GError **err)
{
  int64_t now_us = g_get_monotonic_time();
  Wait w = { .command = c, .noun = noun, .name = g_strdup(member(*json, "name")), .begun_us = now_us };
  bool ok = wait_on(&w, c->wait_s ? now_us + c->wait_s * G_USEC_PER_SEC : INT64_MAX, json, err);
  tell_no_more(&w);
  return ok;
}

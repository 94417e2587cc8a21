/* Waiting: an object is asked for again until nothing more will come of it by itself; on a terminal its state is told meanwhile. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

enum { ASK_FIRST_MS = 20, ASK_MOST_MS = 500 };

typedef enum { GOING, GOOD, BAD } Ended;

static const char *member(json_t *json, const char *name)
{
  const char *text = json_string_value(json_object_get(json, name));
  return text ? text : "";
}

static Ended by_words(const char *state, const char *good, const char *bad)
{
  const char *const goods[] = { good, NULL };
  g_auto(GStrv) bads = g_strsplit(bad, " ", -1);
  return g_strv_contains(goods, state) ? GOOD : g_strv_contains((const char *const *)bads, state) ? BAD : GOING;
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
    return by_words(state, "up", "fenced");
  case NOUN_DESKTOP:
    return by_words(state, "available", "error quarantined");
  case NOUN_POOL:
  case NOUN_CONTROLLER:
  case NOUN_STORAGE:
  case NOUN_TEMPLATE:
  case NOUN_USER:
  case NOUN_TOKEN:
  case NOUN_TICKET:
  case NOUN_RELAY:
  case NOUN_RECEIPT:
  case NOUN_EVENT:
  case N_NOUNS:
    return GOOD;
  }
  return GOOD;
}

static void tell(const Command *c, Noun noun, json_t *json, char **last)
{
  if (c->quiet || !isatty(STDERR_FILENO))
    return;
  const char *step = member(json, "step");
  g_autofree char *now = g_strdup_printf("%s %s: %s%s%s", schemas[noun].noun, member(json, "name"), member(json, "state"), *step ? ", " : "", step);
  if (!g_strcmp0(now, *last))
    return;
  fprintf(stderr, "%s\n", now);
  g_free(*last);
  *last = g_steal_pointer(&now);
}

static ApiVerb show_verb(Noun noun)
{
  return api_find_words(schemas[noun].noun, "show");
}

bool command_wait(Command *c, Noun noun, json_t **json, GError **err)
{
  int64_t end = c->wait_s ? g_get_monotonic_time() + c->wait_s * G_USEC_PER_SEC : INT64_MAX;
  g_autofree char *name = g_strdup(member(*json, "name"));
  g_autofree char *path = client_path(show_verb(noun), name);
  g_autofree char *last = NULL;
  for (int pause_ms = ASK_FIRST_MS;; pause_ms = MIN(pause_ms * 3 / 2, ASK_MOST_MS)) {
    tell(c, noun, *json, &last);
    Ended how = ended(noun, *json);
    json_t *why = json_object_get(*json, "error");
    if (how == BAD)
      return error_false(err, REASON_WAIT_FAILED, "kind", schemas[noun].noun, "name", name, "state", member(*json, "state"), "why",
                         *member(why, "text") ? member(why, "text") : "no reason was given", NULL);
    if (how == GOOD)
      return true;
    if (g_get_monotonic_time() >= end)
      return error_false(err, REASON_STILL_GOING, "kind", schemas[noun].noun, "name", name, "state", member(*json, "state"), NULL);
    g_usleep(pause_ms * 1000);
    json_t *fresh = NULL;
    if (!client_ask(&c->place, METHOD_GET, path, NULL, &fresh, NULL, err))
      return false;
    json_decref(*json);
    *json = fresh;
  }
}

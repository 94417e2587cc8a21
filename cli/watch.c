/* sarang … --watch: what there is, then each change as it comes, by the API's stream of changes. A stream
 * that breaks is taken up again where it broke. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/interrupt.h"

enum { TRIES_MOST = 20, PAUSE_MS = 500, EVENTS_SHOWN = 10 };

typedef struct {
  Command *command;
  Noun noun;
  const char *name;       /* the one object, or NULL */
  json_t *filters;        /* fields as the list was narrowed by; borrowed */
  OutputStream *out;
  volatile sig_atomic_t *stop;
  Sse sse;                /* .after: what was seen */
  bool again, ended;      /* to be listed anew; there is no more to come */
  int tries;
} Watch;

static bool filter_takes(json_t *filters, json_t *object)
{
  const char *key;
  json_t *wanted;
  json_object_foreach(filters, key, wanted) {
    json_t *value = json_object_get(object, key);
    if (value && !json_equal(value, wanted) && !(json_is_true(value) && json_is_string(wanted) && !strcmp(json_string_value(wanted), "true")))
      return false;
  }
  return true;
}

static void take_change(Watch *w, const char *data)
{
  json_auto_t *object = json_loads(data, 0, NULL);
  const char *name = json_string_value(json_object_get(object, "name"));
  bool gone = g_str_has_suffix(w->sse.event, ".delete");
  if (!name || (w->name && strcmp(w->name, name) != 0) || !filter_takes(w->filters, object))
    return;
  output_stream_put(w->out, object, gone);
  w->ended = gone && w->name;
}

static bool on_line(const char *line, void *data)
{
  Watch *w = data;
  const char *json;
  switch (sse_read(&w->sse, line, &json)) {
  case SSE_RESET:
    w->again = true;
    break;
  case SSE_READY:
    w->tries = 0;
    break;
  case SSE_CHANGE:
    take_change(w, json);
    break;
  case SSE_NOTHING:
    break;
  }
  return !w->ended && !w->again;
}

/* Prints what there is; of what happened, the newest last. */
static bool show_all(Watch *w, GError **err)
{
  ApiVerb verb = api_find_words(schemas[w->noun].noun, "list");
  bool history = api_rows[verb].how == HOW_HISTORY;
  json_auto_t *filters = w->filters ? json_deep_copy(w->filters) : json_object(), *list = NULL;
  if (history && !json_object_get(filters, "limit"))
    json_object_set_new(filters, "limit", json_integer(EVENTS_SHOWN));
  if (!command_ask_list(w->command, verb, filters, &list, &w->sse.after, err))
    return false;
  size_t n = json_array_size(list);
  for (size_t i = 0; i < n; i++)
    output_stream_put(w->out, json_array_get(list, history ? n - 1 - i : i), false);
  return true;
}

/* The object as it is. It is looked at after the number of the last change was asked for, so none is missed. */
static bool show_one(Watch *w, GError **err)
{
  json_auto_t *status = NULL, *object = NULL;
  g_autofree char *path = client_path(api_find_words(schemas[w->noun].noun, "show"), w->name);
  if (!client_ask(&w->command->place, METHOD_GET, api_rows[API_STATUS].path, NULL, &status, NULL, err) ||
      !client_ask(&w->command->place, METHOD_GET, path, NULL, &object, NULL, err))
    return false;
  w->sse.after = json_integer_value(json_object_get(status, "sequence"));
  output_stream_put(w->out, object, false);
  return true;
}

/* A stream that was cut: taken up again after a while, or *tries were enough and err says what became of it. */
static bool try_again(const Place *p, int *tries, const GError *why, GError **err)
{
  if (++*tries <= TRIES_MOST && (!why || error_class(why) == CLASS_UNREACHABLE || error_class(why) == CLASS_UNAVAILABLE)) {
    g_usleep(PAUSE_MS * 1000);
    return true;
  }
  g_autofree char *text = why ? error_text(why, LANG_EN) : g_strdup("it was cut");
  return error_false(err, REASON_STREAM_ENDED, "server", p->socket ? p->socket : p->server, "detail", text, NULL);
}

static char *stream_path(const char *nouns, int64_t after)
{
  return g_strdup_printf("/api/v1/watch?nouns=%s&after=%" G_GINT64_FORMAT, nouns, after);
}

static bool watch_on(Watch *w, GError **err)
{
  const Place *place = &w->command->place;
  g_autofree char *path = stream_path(schemas[w->noun].noun, w->sse.after);
  g_autoptr(GError) why = NULL;
  client_stream(place, path, on_line, w, w->stop, &why);
  return *w->stop || w->ended || w->again || try_again(place, &w->tries, why, err);
}

bool command_watch(Command *c, Noun noun, const char *name, json_t *filters, GError **err)
{
  OutputStyle style = { c->form, c->color, c->columns, !c->no_headers, c->place.lang };
  Watch w = { .command = c, .noun = noun, .name = name, .filters = filters, .out = output_stream_new(&style, noun), .stop = interrupt_flag() };
  bool ok = name ? show_one(&w, err) : show_all(&w, err);
  for (; ok && !*w.stop && !w.ended; w.again = false)
    ok = (!w.again || (name ? show_one(&w, err) : show_all(&w, err))) && watch_on(&w, err);
  output_stream_free(w.out);
  return ok;
}

/* ── the next change ──────────────────────────────────────────────────────── */

typedef struct {
  Sse sse;
  bool changed;
  int tries;
} Await;

static bool on_awaited(const char *line, void *data)
{
  Await *a = data;
  const char *json;
  SseWhat what = sse_read(&a->sse, line, &json);
  if (what == SSE_READY)
    a->tries = 0;
  a->changed = what == SSE_CHANGE || what == SSE_RESET;
  return !a->changed;
}

bool command_await_change(Command *c, const char *nouns, int64_t after, GError **err)
{
  Await a = { .sse.after = after };
  volatile sig_atomic_t *stop = interrupt_flag();
  for (bool ok = true; ok;) {
    g_autofree char *path = stream_path(nouns, a.sse.after);
    g_autoptr(GError) why = NULL;
    client_stream(&c->place, path, on_awaited, &a, stop, &why);
    if (*stop || a.changed)
      return true;
    ok = try_again(&c->place, &a.tries, why, err);
  }
  return false;
}

/* LIST and GET: what is published, as JSON. */
#include <string.h>

#include "drivers/http/caller.h"
#include "drivers/http/history.h"
#include "drivers/http/reply.h"
#include "drivers/http/runs.h"
#include "drivers/http/select.h"
#include "drivers/http/taken.h"

enum { ONE_BYTES = 1024 };

bool get_run(Exchange *x, GError **err)
{
  static const char *const none[] = { NULL };
  Noun noun = api_rows[x->verb].noun;
  if (!arguments_check(&x->arguments, none, err))
    return false;
  const Object *object = published_get(runtime_published(x->server->runtime), noun, x->name);
  if (!object)
    return history_find(x, err);
  bool may = caller_may(x, object, err);
  if (may)
    reply_read_object(x, noun, object);
  published_drop((void *)object);
  return may;
}

void reply_read_object(Exchange *x, Noun noun, const Object *object)
{
  GString *text = g_string_sized_new(ONE_BYTES);
  object_append_json_without(&schemas[noun], object, caller_hidden(&x->caller), text);
  if (noun == NOUN_HOST) {
    g_autoptr(Taken) taken = taken_new(runtime_published(x->server->runtime), object->name);
    taken_append(taken, (const Host *)object, text);
  }
  reply_json(x, 200, text);
  char tag[24];
  g_snprintf(tag, sizeof tag, "\"%" G_GINT64_FORMAT "\"", object->generation);
  reply_header(x, "ETag", tag);
}

bool list_run(Exchange *x, GError **err)
{
  Select select;
  if (!caller_may(x, NULL, err) || !select_init(&select, x, err))
    return false;
  Published *published = runtime_published(x->server->runtime);
  int64_t sequence = published_sequence(published); /* before the list: a watch behind it misses nothing */
  g_autoptr(GPtrArray) objects = published_list(published, select.noun, select.after, (int)select.limit + 1,
                                                select_takes_all(&select) ? NULL : select_takes, &select);
  GString *text = g_string_sized_new(ONE_BYTES * (1 + objects->len / 2));
  select_append(&select, objects, NULL, sequence, text);
  reply_json(x, 200, text);
  return true;
}

/* Bodies of requests: the first byte chooses the verb, the rest is the body. What is taken must come out of an object as JSON
 * again. */
#include <glib.h>
#include <string.h>

#include "drivers/http/body.h"
#include "drivers/http/problem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int depth_of(json_t *value)
{
  int deepest = 0, depth;
  const char *key;
  size_t i;
  json_t *child;
  json_object_foreach(value, key, child)
    deepest = (depth = depth_of(child)) > deepest ? depth : deepest;
  json_array_foreach(value, i, child)
    deepest = (depth = depth_of(child)) > deepest ? depth : deepest;
  return deepest + (json_is_object(value) || json_is_array(value));
}

static void object_check(Noun noun, json_t *body, JsonUse use)
{
  g_autoptr(GError) err = NULL;
  Object *object = object_new(&schemas[noun], noun, "fuzz");
  bool set = object_set_json(&schemas[noun], object, body, use, &err);
  g_assert(set == !err);
  if (set) {
    g_autoptr(GString) text = g_string_new(NULL);
    object_append_json(&schemas[noun], object, text);
    json_t *again = json_loadb(text->str, text->len, 0, NULL);
    g_assert(json_is_object(again));
    json_decref(again);
  }
  object_unref(&schemas[noun], object);
}

/* Every refusal must make a whole problem document, whatever it quotes. */
static void problem_check(const GError *err)
{
  for (Lang lang = LANG_EN; lang <= LANG_KO; lang++) {
    g_autoptr(GString) text = problem_new(err, lang);
    json_t *problem = json_loadb(text->str, text->len, 0, NULL);
    g_assert(json_is_object(problem) && json_integer_value(json_object_get(problem, "status")) >= 400);
    json_decref(problem);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  if (!n)
    return 0;
  ApiVerb verb = data[0] % N_API_VERBS;
  g_autoptr(GError) err = NULL;
  json_t *body = body_parse((const char *)data + 1, n - 1, &err);
  g_assert(!body == !!err);
  if (body && body_check(verb, body, &err)) {
    g_assert(depth_of(body) <= BODY_MAX_DEPTH);
    if (api_rows[verb].how == HOW_CREATE || api_rows[verb].how == HOW_CHANGE)
      object_check(api_rows[verb].noun, body, api_rows[verb].how == HOW_CREATE ? JSON_CREATE : JSON_CHANGE);
  }
  if (err)
    problem_check(err);
  json_decref(body);
  return 0;
}

#include "drivers/http/localise.h"

#include <jansson.h>
#include <string.h>

#include "core/schema.h"

/* As the brain writes them. A string that merely looks like this cannot: its quotes have backslashes. */
static const char BEGIN[] = "{\"code\":\"";

/* The text of a refusal in lang, owned by the caller; NULL where it is none that we know. */
static char *text_of(const json_t *refusal, Lang lang)
{
  const char *code = json_string_value(json_object_get(refusal, "code")), *name;
  json_t *args = json_object_get(refusal, "args"), *value;
  if (!code || !json_is_object(args) || !json_is_string(json_object_get(refusal, "text")) || reason_find(code) == N_REASONS)
    return NULL;
  g_autoptr(GPtrArray) pairs = g_ptr_array_new();
  json_object_foreach(args, name, value)
    if (json_is_string(value)) {
      g_ptr_array_add(pairs, (char *)name);
      g_ptr_array_add(pairs, (char *)json_string_value(value));
    }
  g_ptr_array_add(pairs, NULL);
  g_autoptr(GError) err = error_new_from_pairs(code, (const char *const *)pairs->pdata);
  return error_text(err, lang);
}

/* Writes what stands at `at` anew; how many bytes it has then, 0 where there is nothing to do. */
static gsize localise_at(GString *json, gsize at, Lang lang)
{
  json_error_t end;
  json_t *refusal = json_loadb(json->str + at, json->len - at, JSON_DISABLE_EOF_CHECK, &end);
  g_autofree char *text = refusal ? text_of(refusal, lang) : NULL;
  gsize length = 0;
  if (text) {
    json_object_set_new(refusal, "text", json_string(text));
    char *fresh = json_dumps(refusal, JSON_COMPACT);
    g_string_erase(json, (gssize)at, end.position);
    g_string_insert(json, (gssize)at, fresh);
    length = strlen(fresh);
    free(fresh);
  }
  json_decref(refusal);
  return length;
}

void localise(GString *json, gsize from, Lang lang)
{
  if (lang == LANG_EN)
    return;
  for (const char *found; (found = strstr(json->str + from, BEGIN));) {
    gsize at = (gsize)(found - json->str), length = localise_at(json, at, lang);
    from = at + (length ? length : strlen(BEGIN));
  }
}

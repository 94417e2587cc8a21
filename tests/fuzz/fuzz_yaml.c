/* YAML of people: it is taken as values that JSON can say, or refused with a line; nothing in between. */
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/error.h"
#include "core/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  g_autoptr(GError) err = NULL;
  json_t *documents = yaml_read("fuzz", (const char *)data, n, &err);
  g_assert(!documents == !!err);
  g_assert(!err || error_class(err) == CLASS_INVALID || error_class(err) == CLASS_TOO_LARGE);
  if (documents) {
    char *text = json_dumps(documents, JSON_COMPACT);
    g_assert(text);
    free(text);
    json_decref(documents);
  }
  return 0;
}

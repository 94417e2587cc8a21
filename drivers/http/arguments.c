#include "drivers/http/arguments.h"

#include <string.h>

#include "core/error.h"

typedef struct {
  Arguments *arguments;
  GError **err;
} Reading;

static bool refuse(GError **err, const char *name, const char *value, const char *limit)
{
  return error_false(err, REASON_BAD_VALUE, "field", name, "value", value, "limit", limit, NULL);
}

static char *decode(const char *raw)
{
  char *text = g_uri_unescape_string(raw ? raw : "", NULL);
  if (!text || g_utf8_validate(text, -1, NULL))
    return text;
  g_free(text);
  return NULL;
}

bool arguments_add(Arguments *arguments, const char *name, const char *value, GError **err)
{
  g_autofree char *n = decode(name), *v = decode(value);
  if (!n || !v)
    return refuse(err, n ? n : "an argument", "…", "percent-encoded UTF-8 without NUL");
  if (arguments_find(arguments, n))
    return refuse(err, n, v, "given once");
  if (!arguments->pairs)
    arguments->pairs = g_ptr_array_new_with_free_func(g_free);
  g_ptr_array_add(arguments->pairs, g_steal_pointer(&n));
  g_ptr_array_add(arguments->pairs, g_steal_pointer(&v));
  return true;
}

static enum MHD_Result read_one(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
  Reading *reading = data;
  return arguments_add(reading->arguments, name, value, reading->err) ? MHD_YES : MHD_NO;
}

bool arguments_read(struct MHD_Connection *connection, Arguments *ret_arguments, GError **err)
{
  GError *fault = NULL;
  Reading reading = { ret_arguments, &fault };
  ret_arguments->pairs = NULL;
  MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, read_one, &reading);
  if (!fault)
    return true;
  arguments_clear(ret_arguments);
  g_propagate_error(err, fault);
  return false;
}

void arguments_clear(Arguments *arguments)
{
  g_clear_pointer(&arguments->pairs, g_ptr_array_unref);
}

const char *arguments_find(const Arguments *arguments, const char *name)
{
  for (guint i = 0; arguments->pairs && i < arguments->pairs->len; i += 2)
    if (!strcmp(arguments->pairs->pdata[i], name))
      return arguments->pairs->pdata[i + 1];
  return NULL;
}

bool arguments_number(const Arguments *arguments, const char *name, int64_t min, int64_t max, int64_t *value, GError **err)
{
  const char *text = arguments_find(arguments, name);
  if (!text || g_ascii_string_to_signed(text, 10, min, max, value, NULL))
    return true;
  g_autofree char *limit = g_strdup_printf("a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, min, max);
  return refuse(err, name, text, limit);
}

bool arguments_check(const Arguments *arguments, const char *const *known, GError **err)
{
  for (guint i = 0; arguments->pairs && i < arguments->pairs->len; i += 2) {
    if (g_strv_contains(known, arguments->pairs->pdata[i]))
      continue;
    g_autofree char *list = g_strjoinv(", ", (char **)known);
    return error_false(err, REASON_UNKNOWN_FIELD, "field", arguments->pairs->pdata[i], "known", *list ? list : "nothing", NULL);
  }
  return true;
}

#include "drivers/http/reply.h"

#include <string.h>

#include "core/schema.h"
#include "drivers/http/localise.h"
#include "drivers/http/problem.h"

static const char JSON_TYPE[] = "application/json";

void reply_header(Exchange *x, const char *name, const char *value)
{
  MHD_add_response_header(x->response, name, value);
}

static void reply_take(Exchange *x, int status, struct MHD_Response *response, const char *type)
{
  g_assert(!x->response && response);
  x->response = response;
  x->status = status;
  if (type)
    reply_header(x, "Content-Type", type);
  reply_header(x, "Cache-Control", "no-store");
}

void reply_json(Exchange *x, int status, GString *take_text)
{
  localise(take_text, 0, x->lang);
  size_t bytes = take_text->len;
  char *text = g_string_free(take_text, FALSE);
  reply_take(x, status, MHD_create_response_from_buffer_with_free_callback(bytes, text, g_free), JSON_TYPE);
}

static void bytes_unref(void *bytes) { g_bytes_unref(bytes); }

void reply_bytes(Exchange *x, int status, const char *type, GBytes *bytes)
{
  size_t n;
  const void *data = g_bytes_get_data(bytes, &n);
  reply_take(x, status,
             MHD_create_response_from_buffer_with_free_callback_cls(n, (void *)data, bytes_unref, g_bytes_ref(bytes)), type);
}

void reply_static(Exchange *x, const GString *text)
{
  reply_take(x, 200, MHD_create_response_from_buffer(text->len, text->str, MHD_RESPMEM_PERSISTENT), JSON_TYPE);
}

void reply_stream(Exchange *x, const char *type, size_t chunk_bytes, MHD_ContentReaderCallback read, void *data,
                  MHD_ContentReaderFreeCallback freed)
{
  x->endless = true;
  reply_take(x, 200, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, chunk_bytes, read, data, freed), type);
}

void reply_empty(Exchange *x, int status)
{
  reply_take(x, status, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), NULL);
}

static void add_allow(Exchange *x)
{
  g_autoptr(GString) allow = g_string_new(NULL);
  unsigned methods = api_methods(x->path);
  for (ApiMethod m = 0; m < N_API_METHODS; m++)
    if (methods & 1u << m)
      g_string_append_printf(allow, "%s%s", allow->len ? ", " : "", api_method_name(m));
  reply_header(x, "Allow", allow->str);
}

void reply_error(Exchange *x, GError *take_err)
{
  g_autoptr(GError) err = take_err;
  GString *text = problem_new(err, x->lang);
  size_t bytes = text->len;
  reply_take(x, problem_status(err),
             MHD_create_response_from_buffer_with_free_callback(bytes, g_string_free(text, FALSE), g_free),
             "application/problem+json");
  reply_header(x, "Content-Language", x->lang == LANG_KO ? "ko" : "en");
  if (x->status == 401)
    reply_header(x, "WWW-Authenticate", "Bearer realm=\"sarang\"");
  if (x->status == 405)
    add_allow(x);
  int seconds = problem_retry_after(err);
  if (seconds) {
    g_autofree char *value = g_strdup_printf("%d", seconds);
    reply_header(x, "Retry-After", value);
  }
}

/* What came beside an object (a ticket) stands among its members. */
static void append_members(GString *out, const char *json)
{
  if (!strcmp(json, "{}"))
    return;
  g_assert(out->len > 2 && out->str[out->len - 1] == '}' && json[0] == '{');
  out->str[out->len - 1] = ',';
  g_string_append(out, json + 1);
}

static void reply_object(Exchange *x, const Answer *answer)
{
  const Schema *schema = &schemas[answer->noun];
  GString *text = g_string_sized_new(1024);
  object_append_json(schema, answer->object, text);
  if (answer->json)
    append_members(text, answer->json);
  reply_json(x, answer->status, text);
  g_autofree char *tag = g_strdup_printf("\"%" G_GINT64_FORMAT "\"", answer->object->generation);
  reply_header(x, "ETag", tag);
}

static const char *picture_type(GBytes *bytes)
{
  size_t n;
  const char *data = g_bytes_get_data(bytes, &n);
  return n > 8 && !memcmp(data, "\x89PNG", 4) ? "image/png" : "application/octet-stream";
}

void reply_answer(Exchange *x, Answer *take_answer)
{
  g_autoptr(Answer) answer = take_answer;
  if (answer->error)
    reply_error(x, g_steal_pointer(&answer->error));
  else if (answer->object)
    reply_object(x, answer);
  else if (answer->bytes)
    reply_bytes(x, answer->status, picture_type(answer->bytes), answer->bytes);
  else if (answer->json)
    reply_json(x, answer->status, g_string_new(answer->json));
  else
    reply_empty(x, answer->status ? answer->status : 204);
}

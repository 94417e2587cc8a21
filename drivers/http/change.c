/* CREATE, CHANGE, ACT: a request for the brain, made of body and head. */
#include <string.h>

#include "drivers/http/body.h"
#include "drivers/http/caller.h"
#include "drivers/http/gateways.h"
#include "drivers/http/runs.h"
#include "drivers/http/secrets.h"

/* If-Match: "12" (RFC 9110, 13.1.1) means generation 12; * means any. */
static bool read_generation(Exchange *x, GError **err)
{
  const char *text = x->head.if_match;
  if (!text || !strcmp(text, "*"))
    return true;
  size_t length = strlen(text);
  bool quoted = length > 2 && text[0] == '"' && text[length - 1] == '"';
  g_autofree char *number = quoted ? g_strndup(text + 1, length - 2) : NULL;
  return (number && g_ascii_string_to_signed(number, 10, 1, INT64_MAX, &x->request->expect_generation, NULL)) ||
         error_false(err, REASON_BAD_VALUE, "field", "If-Match", "value", text, "limit", "a generation in quotes", NULL);
}

static bool read_request(Exchange *x, GError **err)
{
  static const char *const none[] = { NULL };
  Request *request = exchange_request(x, x->verb);
  request->idempotency_key = g_strdup(x->head.idempotency_key);
  if (!arguments_check(&x->arguments, none, err) || !read_generation(x, err))
    return false;
  request->body = x->body_bytes ? body_parse(x->body, x->body_bytes, err) : NULL;
  return request->body || !x->body_bytes;
}

bool change_run(Exchange *x, GError **err)
{
  const ApiRow *row = &api_rows[x->verb];
  const Object *object = x->name ? published_get(runtime_published(x->server->runtime), row->noun, x->name) : NULL;
  bool ok = read_request(x, err) && caller_may(x, object, err) && body_check(x->verb, x->request->body, err);
  published_drop((void *)object);
  if (!ok)
    return false;
  if (x->verb == API_GATEWAY_SYNC)
    gateways_heard(x);
  if (x->verb == API_GATEWAY_REDEEM)
    caller_of_page(x);
  return secrets_in(x->verb) ? secrets_run(x, err) : exchange_submit(x, NULL, err);
}

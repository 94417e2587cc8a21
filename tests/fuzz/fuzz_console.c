/* How a console is opened: what somebody offers who knocks, and what the controller answers to his ticket. The first byte says which. */
#include <glib.h>
#include <string.h>

#include "core/error.h"
#include "drivers/console/dial.h"
#include "drivers/console/front.h"
#include "drivers/console/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int tickets_offered(const char *text, size_t n)
{
  int tickets = 0;
  for (const char *at = text; (at = g_strstr_len(at, (gssize)(text + n - at), "ticket.")); at++)
    tickets++;
  return tickets;
}

static void check_offers(const char *text, size_t whole)
{
  HttpRequest r;
  HttpRefusal why;
  Slice ticket = { 0 };
  size_t scanned = 0, n;
  if (http_head_scan(text, whole, &scanned, &n, &why) != HTTP_READY || !http_request_parse(text, n, &r, &why))
    return;
  const Refusal *refusal = offers_read(&r.headers, &ticket);
  if (refusal) {
    g_assert((refusal->status == 400 || refusal->status == 401) && refusal->wire && refusal->detail);
    return;
  }
  g_assert(ticket.at >= text && ticket.at + ticket.n <= text + n && ticket.n >= 16 && ticket.n <= 128);
  for (size_t i = 0; i < ticket.n; i++)
    g_assert(g_ascii_isalnum(ticket.at[i]) || strchr("-_.", ticket.at[i]));
  g_assert(!memcmp(ticket.at - strlen("ticket."), "ticket.", strlen("ticket.")) && tickets_offered(text, n) >= 1);
}

static void check_answer(const char *text, size_t n)
{
  json_auto_t *document = query_document(text, n);
  g_auto(Target) target = { 0 };
  g_autoptr(GError) err = NULL;
  if (!target_parse_json(document, &target, &err)) {
    g_assert(err && !target.host && !target.path && !target.password);
    return;
  }
  g_assert(!err && *target.relay && *target.user && *target.session && target.dial && target.protocol && target.password);
  g_assert(target.path ? !target.host && *target.path : *target.host && target.port >= 1 && target.port <= 65535);
  g_assert(target.protocol->rfb || (!target.view_only && target.clipboard == CLIPBOARD_BOTH));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  static void (*const readers[])(const char *, size_t) = { check_offers, check_answer };
  if (n)
    readers[*data % G_N_ELEMENTS(readers)]((const char *)data + 1, n - 1);
  return 0;
}

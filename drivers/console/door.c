#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "drivers/console/front.h"
#include "drivers/console/sockets.h"
#include "drivers/console/websocket.h"

enum { TICKET_MIN_CHARS = 16, TICKET_MAX_CHARS = 128 };

/* What was asked of us, as slices of the request's head. */
typedef struct {
  Slice ticket, origin, protocol;
  Slice cookie, authorization; /* of a page whose person is logged in */
  char accept[WS_ACCEPT_BYTES + 1]; /* "" for CONNECT */
} Knock;

static const Refusal
    not_upgrade = { 426, "upgrade-required", "consoles are WebSockets, version 13",
                    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" },
    bad_key = { 400, "bad-websocket-key", "Sec-WebSocket-Key must be 16 bytes in base64, given once", NULL },
    foreign_origin = { 403, "foreign-origin", "consoles are opened by our own page alone", NULL },
    bad_protocol = { 400, "bad-subprotocol", "Sec-WebSocket-Protocol must offer binary and one ticket.TICKET", NULL },
    no_ticket = { 401, "ticket-missing", "a console needs a ticket", NULL },
    bad_target = { 400, "bad-target", "CONNECT is for console:0 alone", NULL },
    early_bytes = { 400, "early-bytes", "there are bytes behind the request that must wait for its answer", NULL };

static bool ticket_is_good(Slice t)
{
  for (size_t i = 0; i < t.n; i++)
    if (!g_ascii_isalnum(t.at[i]) && t.at[i] != '-' && t.at[i] != '_' && t.at[i] != '.')
      return false;
  return t.n >= TICKET_MIN_CHARS && t.n <= TICKET_MAX_CHARS;
}

const Refusal *offers_read(const HttpHeaders *headers, Slice *ret_ticket)
{
  Slice offers, item;
  int binaries = 0, tickets = 0;
  if (http_header_count(headers, "sec-websocket-protocol", &offers) != 1)
    return &bad_protocol;
  while (http_list_next(&offers, &item)) {
    binaries += slice_is(item, "binary");
    if (!slice_has_prefix(item, "ticket."))
      continue;
    tickets++;
    *ret_ticket = (Slice){ item.at + 7, item.n - 7 };
  }
  if (binaries != 1 || tickets > 1)
    return &bad_protocol;
  return tickets && ticket_is_good(*ret_ticket) ? NULL : &no_ticket;
}

static const Refusal *websocket_read(Conn *c, const HttpRequest *r, Knock *k)
{
  const HttpHeaders *h = &r->headers;
  Slice version, key;
  bool upgrade = slice_is(r->method, "GET") && http_header_has_token(h, "upgrade", "websocket") &&
                 http_header_has_token(h, "connection", "upgrade");
  if (!upgrade || http_header_count(h, "sec-websocket-version", &version) != 1 || !slice_is(version, "13"))
    return &not_upgrade;
  if (http_header_count(h, "sec-websocket-key", &key) != 1 || !ws_accept(key.at, key.n, k->accept))
    return &bad_key;
  if (http_header_count(h, "origin", &k->origin) != 1 || !origins_have(c->front->shared->origins, k->origin))
    return &foreign_origin;
  k->protocol = (Slice){ "vnc", 3 };
  if (http_header_count(h, "cookie", &k->cookie) != 1)
    k->cookie = (Slice){ 0 };
  if (http_header_count(h, "authorization", &k->authorization) != 1)
    k->authorization = (Slice){ 0 };
  return offers_read(h, &k->ticket);
}

static const Refusal *connect_read(const HttpRequest *r, Knock *k)
{
  Slice authorization;
  if (!slice_is(r->host, "console:0"))
    return &bad_target;
  if (http_header_count(&r->headers, "authorization", &authorization) != 1 || !slice_has_prefix(authorization, "Ticket "))
    return &no_ticket;
  k->ticket = (Slice){ authorization.at + 7, authorization.n - 7 };
  if (http_header_count(&r->headers, "x-sarang-protocol", &k->protocol) != 1)
    k->protocol = (Slice){ "vnc", 3 };
  return ticket_is_good(k->ticket) ? NULL : &no_ticket;
}

static json_t *slice_json(Slice s) { return json_stringn(s.at, s.n); }

static void open_ready(void *owner, const GError *error)
{
  static const char stands[] = "HTTP/1.1 200 OK\r\n\r\n";
  Conn *c = owner;
  if (error) {
    g_clear_pointer(&c->relay, relay_free);
    respond_error(c, error);
    conn_run(c);
    return;
  }
  c->status = 200;
  wire_write(&c->wire, stands, sizeof stands - 1, false);
  conn_enter(c, CONN_RELAY);
}

static void open_ended(void *owner)
{
  Conn *c = owner;
  g_clear_pointer(&c->relay, relay_free);
  conn_done(c);
  conn_run(c);
}

static void upgrade_send(Conn *c)
{
  g_autofree char *head = g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                          "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: binary\r\n\r\n", c->accept);
  c->status = 101;
  wire_write(&c->wire, head, strlen(head), false);
  conn_enter(c, CONN_RELAY);
  conn_run(c);
}

static void target_open(Conn *c, const Target *target)
{
  g_autoptr(GError) error = NULL;
  RelayPeer peer = { .loop = c->front->loop, .registry = c->front->shared->registry, .wire = &c->wire,
                     .websocket = *c->accept, .ready = open_ready, .ended = open_ended, .owner = c };
  c->keep_alive = false;
  socket_tune_console(c->wire.source.fd);
  c->relay = relay_open(&peer, target, &error);
  if (!c->relay) {
    registry_note_end(c->front->shared->registry, target->relay, "not-opened");
    respond_error(c, error);
  } else if (peer.websocket) {
    upgrade_send(c);
  }
}

static void redeem_answered(void *owner, int status, json_t *document, const GError *error)
{
  Conn *c = owner;
  g_auto(Target) target = { 0 };
  g_autoptr(GError) bad = NULL;
  c->query = NULL;
  if (error) {
    respond_error(c, error);
  } else if (status == 200) {
    if (target_parse_json(document, &target, &bad))
      target_open(c, &target);
    else
      respond_error(c, bad);
  } else if (status >= 400 && status < 600 && json_is_object(document)) {
    respond_document(c, status, document);
  } else {
    error_set(&bad, REASON_CONTROLLER_AWAY, "detail", "it answered a ticket with something unknown", NULL);
    respond_error(c, bad);
  }
  conn_run(c);
}

static void redeem(Conn *c, const Knock *k)
{
  json_t *body = json_pack("{s:o, s:o, s:s}", "ticket", slice_json(k->ticket), "protocol", slice_json(k->protocol), "client",
                           c->address.text);
  const struct { const char *name; Slice text; } more[] = {
    { "origin", k->origin }, { "cookie", k->cookie }, { "authorization", k->authorization },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(more); i++)
    if (more[i].text.at)
      json_object_set_new(body, more[i].name, slice_json(more[i].text));
  g_strlcpy(c->accept, k->accept, sizeof c->accept);
  conn_enter(c, CONN_WAIT);
  QueryAsk ask = { c->front->shared->config->socket, "/gateway/v1/redeem", body, TIMER_ANSWER, redeem_answered, c };
  c->query = query_new(c->front->loop, &ask);
}

void door_begin(Conn *c, const HttpRequest *r)
{
  Knock k = { 0 };
  g_autoptr(GError) error = NULL;
  bool connect = slice_is(r->method, "CONNECT");
  const Refusal *refusal = connect ? connect_read(r, &k) : websocket_read(c, r, &k);
  if (!refusal && c->in->len > c->head_bytes)
    refusal = &early_bytes;
  if (refusal) {
    c->keep_alive = false;
    respond_refusal(c, refusal);
  } else if (!registry_has_room(c->front->shared->registry, &error)) {
    c->keep_alive = false;
    respond_error(c, error);
  } else {
    redeem(c, &k);
  }
}

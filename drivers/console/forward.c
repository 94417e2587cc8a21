#include <string.h>

#include "core/error.h"
#include "drivers/console/front.h"

enum { CHUNK_ROOM = 16, STREAM_BYTES = 64 * 1024, LOGIN_BYTES = 4096 };

/* What of a request's head the controller gets to see; each may come once. */
static const char *const passed_headers[] = {
  "Cookie", "Authorization", "Content-Type", "Accept", "Accept-Language", "Idempotency-Key", "If-Match", "X-Sarang-CSRF",
  "Last-Event-ID", "traceparent",
};

/* Of its answers, what belongs to the connection between us, or is said by us. */
static const char *const dropped_headers[] = {
  "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
  "Content-Length", "Date", "Server", "Strict-Transport-Security", "Content-Security-Policy", "X-Content-Type-Options",
  "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy",
};

static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

static bool method_is_known(Slice method)
{
  for (size_t i = 0; i < G_N_ELEMENTS(methods); i++)
    if (slice_is(method, methods[i]))
      return true;
  return false;
}

static void append(GByteArray *to, const char *text) { g_byte_array_append(to, (const guint8 *)text, (guint)strlen(text)); }
static void append_slice(GByteArray *to, Slice s) { g_byte_array_append(to, (const guint8 *)s.at, (guint)s.n); }

/* false: a header that may come once came twice. */
static bool headers_append(GByteArray *to, const HttpHeaders *headers)
{
  for (size_t i = 0; i < G_N_ELEMENTS(passed_headers); i++) {
    Slice value;
    int count = http_header_count(headers, passed_headers[i], &value);
    if (count > 1)
      return false;
    if (!count)
      continue;
    append(to, passed_headers[i]);
    append(to, ": ");
    append_slice(to, value);
    append(to, "\r\n");
  }
  return true;
}

static bool head_build(Conn *c, const HttpRequest *r)
{
  g_autofree char *tail = g_strdup_printf("X-Sarang-Client: %s\r\nConnection: close\r\nContent-Length: %" G_GINT64_FORMAT
                                          "\r\n\r\n", c->address.text, r->body_bytes);
  c->forward = g_byte_array_sized_new(1024);
  append_slice(c->forward, r->method);
  append(c->forward, " ");
  append_slice(c->forward, r->path);
  if (r->query.at) {
    append(c->forward, "?");
    append_slice(c->forward, r->query);
  }
  append(c->forward, " HTTP/1.1\r\nHost: ");
  append_slice(c->forward, r->host);
  append(c->forward, "\r\n");
  bool good = headers_append(c->forward, &r->headers);
  append(c->forward, tail);
  return good;
}

void forward_drop(Conn *c)
{
  if (c->forward) {
    explicit_bzero(c->forward->data, c->forward->len);
    g_clear_pointer(&c->forward, g_byte_array_unref);
  }
  if (c->body_counted)
    addresses_release(c->front->shared->addresses, &c->address, c->body_counted);
  c->body_counted = 0;
  g_clear_pointer(&c->upstream, upstream_free);
}

/* All bodies together have a limit, and those of an address, so that many slow ones fill neither the memory nor what others need
 * of it. */
bool forward_body(Conn *c, const uint8_t *bytes, size_t n)
{
  if (addresses_hold(c->front->shared->addresses, &c->address, (int64_t)n)) {
    g_byte_array_append(c->forward, bytes, (guint)n);
    c->body_counted += (int64_t)n;
    c->body_left -= (int64_t)n;
    return true;
  }
  g_autoptr(GError) error = NULL;
  forward_drop(c);
  c->keep_alive = false; /* the rest of it would be taken for the next request */
  error_set(&error, REASON_GATEWAY_FULL, "what", "request bodies", "limit", "memory", NULL);
  respond_error(c, error);
  return false;
}

/* Before a login nobody is known: what it may hold is little. */
static int64_t body_limit(const Conn *c, const HttpRequest *r)
{
  int64_t limit = c->front->shared->config->body_kib << 10;
  return slice_is(r->path, "/api/v1/login") ? MIN(limit, LOGIN_BYTES) : limit;
}

static bool request_check(Conn *c, const HttpRequest *r)
{
  Slice origin;
  int origins = http_header_count(&r->headers, "origin", &origin);
  Refusal refusal = { 0 };
  if (!method_is_known(r->method))
    refusal = (Refusal){ 405, "method-not-allowed", "this method is not taken here",
                         "Allow: GET, HEAD, POST, PUT, PATCH, DELETE\r\n" };
  else if (origins > 1 || (origins && !origins_have(c->front->shared->origins, origin)))
    refusal = (Refusal){ 403, "foreign-origin", "pages of other sites may not ask here", NULL };
  else if (r->body_bytes > body_limit(c, r))
    refusal = (Refusal){ 413, "too-large", "the body of the request is too large", NULL };
  if (refusal.status)
    respond_refusal(c, &refusal);
  return !refusal.status;
}

void forward_begin(Conn *c, const HttpRequest *r)
{
  static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
  bool keep_alive = c->keep_alive;
  c->keep_alive &= !r->body_bytes; /* a body that is not read would be taken for the next request */
  if (!request_check(c, r))
    return;
  if (!head_build(c, r)) {
    forward_drop(c);
    respond_http_refusal(c, HTTP_BAD_HEADER);
    return;
  }
  c->keep_alive = keep_alive;
  c->body_left = r->body_bytes;
  if (r->expects_continue && r->body_bytes)
    wire_write(&c->wire, go_on, sizeof go_on - 1, false);
  if (c->body_left)
    conn_enter(c, CONN_BODY);
  else
    forward_send(c);
}

static void answer_changed(void *owner)
{
  Conn *c = owner;
  conn_run(c);
}

void forward_send(Conn *c)
{
  UpstreamAsk ask = { .socket_path = c->front->shared->config->socket, .request = g_steal_pointer(&c->forward),
                      .head_request = c->head_only, .patience = TIMER_ANSWER, .changed = answer_changed, .owner = c };
  c->upstream = upstream_new(c->front->loop, &ask);
  c->chunked = false;
  conn_enter(c, CONN_STREAM);
}

static bool is_dropped(Slice name)
{
  for (size_t i = 0; i < G_N_ELEMENTS(dropped_headers); i++)
    if (slice_is_nocase(name, dropped_headers[i]))
      return true;
  return false;
}

static void head_pass(Conn *c)
{
  const HttpResponse *answer = upstream_head(c->upstream);
  GString *head = respond_head(c, answer->status);
  for (int i = 0; i < answer->headers.n; i++) {
    const HttpHeader *h = &answer->headers.all[i];
    if (!is_dropped(h->name))
      g_string_append_printf(head, "%.*s: %.*s\r\n", (int)h->name.n, h->name.at, (int)h->value.n, h->value.at);
  }
  c->chunked = answer->body_bytes < 0 && answer->status != 204 && answer->status != 304;
  if (c->chunked)
    g_string_append(head, "Transfer-Encoding: chunked\r\n");
  else if (answer->body_bytes >= 0)
    g_string_append_printf(head, "Content-Length: %" G_GINT64_FORMAT "\r\n", answer->body_bytes);
  c->chunked &= !c->head_only;
  g_string_append(head, "\r\n");
  wire_write(&c->wire, head->str, head->len, false);
  explicit_bzero(head->str, head->len); /* it may hold a login's cookie */
  g_string_free(head, TRUE);
}

static void piece_pass(Conn *c, uint8_t *body, size_t n)
{
  char size[CHUNK_ROOM];
  size_t head = 0;
  c->sent_bytes += (int64_t)n;
  if (c->chunked) {
    head = (size_t)g_snprintf(size, sizeof size, "%zx\r\n", n);
    memcpy(body - head, size, head);
    memcpy(body + n, "\r\n", 2);
    n += 2;
  }
  wire_write(&c->wire, body - head, head + n, false);
}

static void answer_failed(Conn *c)
{
  g_autoptr(GError) error = g_error_copy(upstream_error(c->upstream));
  if (c->status) { /* its head is out already: all that is left is to break off */
    conn_close(c);
    return;
  }
  forward_drop(c);
  respond_error(c, error);
}

static void answer_end(Conn *c)
{
  if (c->chunked)
    wire_write(&c->wire, "0\r\n\r\n", 5, false);
  forward_drop(c);
  conn_enter(c, CONN_SEND);
}

bool forward_stream(Conn *c)
{
  uint8_t *room = loop_scratch(c->front->loop) + CHUNK_ROOM;
  while (wire_flush(&c->wire) == WIRE_OK) {
    size_t n;
    switch (upstream_next(c->upstream, room, STREAM_BYTES, &n)) {
    case UPSTREAM_WAIT:
      deadline_clear(&c->deadline);
      return false;
    case UPSTREAM_HEAD:
      head_pass(c);
      break;
    case UPSTREAM_DATA:
      piece_pass(c, room, n);
      break;
    case UPSTREAM_END:
      answer_end(c);
      return true;
    case UPSTREAM_FAILED:
      answer_failed(c);
      return true;
    }
  }
  if (c->wire.broken)
    conn_close(c);
  else
    deadline_set(c->front->loop, &c->deadline, TIMER_PROGRESS);
  return c->wire.broken;
}

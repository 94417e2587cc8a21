#include <string.h>
#include <time.h>

#include "core/error.h"
#include "drivers/console/front.h"

/* What every answer says to browsers. No script, style, frame or connection but our own; nobody may frame us. */
static const char security_headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; media-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Permissions-Policy: clipboard-read=(self), clipboard-write=(self), fullscreen=(self), camera=(), microphone=(), "
    "geolocation=(), usb=(), payment=()\r\n";

static const struct { int status; const char *phrase; } phrases[] = {
  { 101, "Switching Protocols" }, { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
  { 304, "Not Modified" }, { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" },
  { 405, "Method Not Allowed" }, { 408, "Request Timeout" }, { 409, "Conflict" }, { 413, "Content Too Large" },
  { 417, "Expectation Failed" }, { 421, "Misdirected Request" }, { 426, "Upgrade Required" }, { 429, "Too Many Requests" },
  { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" }, { 501, "Not Implemented" },
  { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
};

static const char *phrase_of(int status)
{
  for (size_t i = 0; i < G_N_ELEMENTS(phrases); i++)
    if (phrases[i].status == status)
      return phrases[i].phrase;
  return "Status";
}

static void append_date(GString *head)
{
  struct tm now;
  char text[64];
  time_t seconds = time(NULL);
  strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&seconds, &now));
  g_string_append_printf(head, "Date: %s\r\n", text);
}

GString *respond_head(Conn *c, int status)
{
  GString *head = g_string_sized_new(1024);
  c->status = status;
  c->keep_alive &= !c->front->stopping;
  g_string_printf(head, "HTTP/1.1 %d %s\r\n", status, phrase_of(status));
  append_date(head);
  g_string_append_len(head, security_headers, sizeof security_headers - 1);
  if (c->front->tls && !c->front->shared->config->self_signed)
    g_string_append(head, "Strict-Transport-Security: max-age=31536000\r\n");
  if (!c->keep_alive)
    g_string_append(head, "Connection: close\r\n");
  return head;
}

void respond_send(Conn *c, GString *head, GBytes *body)
{
  gsize n = body ? g_bytes_get_size(body) : 0;
  if (c->status != 304 && c->status != 204)
    g_string_append_printf(head, "Content-Length: %zu\r\n", n);
  g_string_append(head, "\r\n");
  bool more = n && !c->head_only;
  wire_write(&c->wire, head->str, head->len, more);
  g_string_free(head, TRUE);
  if (more)
    c->body = g_bytes_ref(body);
  if (body)
    g_bytes_unref(body);
  c->body_at = 0;
  conn_enter(c, CONN_SEND);
}

static void document_send(Conn *c, int status, json_t *document, const char *header)
{
  char *text = json_dumps(document, JSON_COMPACT);
  GString *head = respond_head(c, status);
  g_string_append(head, "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n");
  if (header)
    g_string_append(head, header);
  respond_send(c, head, g_bytes_new(text, strlen(text)));
  explicit_bzero(text, strlen(text));
  free(text);
}

void respond_document(Conn *c, int status, json_t *document)
{
  document_send(c, status, document, status == 429 || status == 503 ? "Retry-After: 2\r\n" : NULL);
}

void respond_refusal(Conn *c, const Refusal *r)
{
  g_autofree char *type = g_strconcat("urn:sarang:reason:", r->wire, NULL);
  json_t *document = json_pack("{s:s, s:s, s:i, s:s, s:s, s:[{s:s, s:{}, s:s}], s:n}", "type", type, "title",
                               phrase_of(r->status), "status", r->status, "detail", r->detail, "code", r->wire, "reasons", "code",
                               r->wire, "args", "text", r->detail, "fix");
  document_send(c, r->status, document, r->header);
  json_decref(document);
}

void respond_http_refusal(Conn *c, HttpRefusal why)
{
  const HttpRefusalRow *row = &http_refusals[why];
  c->keep_alive = false; /* where the next request would begin is anybody's guess */
  respond_refusal(c, &(Refusal){ row->status, row->wire, row->text, NULL });
}

void respond_error(Conn *c, const GError *error)
{
  Lang lang = c->korean ? LANG_KO : LANG_EN;
  g_autofree char *text = error_text(error, lang), *fix = error_fix(error, lang);
  const char *wire = reason_wire(error_reason(error));
  g_autofree char *type = g_strconcat("urn:sarang:reason:", wire, NULL);
  int status = error_class_http(error_class(error));
  json_t *args = json_object();
  for (const char *const *p = error_args(error); p[0]; p += 2)
    json_object_set_new(args, p[0], json_string(p[1]));
  json_t *document = json_pack("{s:s, s:s, s:i, s:s, s:s, s:[{s:s, s:o, s:s}], s:s?}", "type", type, "title",
                               phrase_of(status), "status", status, "detail", text, "code", wire, "reasons", "code", wire, "args",
                               args, "text", text, "fix", fix);
  respond_document(c, status, document);
  json_decref(document);
}

static bool etag_matches(const HttpRequest *request, const char *etag)
{
  Slice list, item;
  if (!http_header_count(&request->headers, "if-none-match", &list))
    return false;
  while (http_list_next(&list, &item)) {
    if (slice_has_prefix(item, "W/"))
      item = (Slice){ item.at + 2, item.n - 2 };
    if (slice_is(item, etag) || slice_is(item, "*"))
      return true;
  }
  return false;
}

void respond_file(Conn *c, const HttpRequest *request)
{
  const File *file = files_find(c->front->files, request->path);
  if (!file) {
    respond_refusal(c, &(Refusal){ 404, "not-found", "there is nothing here", NULL });
    return;
  }
  if (!slice_is(request->method, "GET") && !slice_is(request->method, "HEAD")) {
    respond_refusal(c, &(Refusal){ 405, "method-not-allowed", "files can only be read", "Allow: GET, HEAD\r\n" });
    return;
  }
  bool known = etag_matches(request, file->etag);
  GString *head = respond_head(c, known ? 304 : 200);
  g_string_append_printf(head, "ETag: %s\r\nCache-Control: %s\r\n", file->etag, file->cache);
  if (!known)
    g_string_append_printf(head, "Content-Type: %s\r\n", file->type);
  respond_send(c, head, known ? NULL : g_bytes_ref(file->bytes));
}

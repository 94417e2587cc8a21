/* The head of a request, read strictly: what two programs could understand in two ways is refused. libmicrohttpd 0.9.75 lets a
 * NUL, a bare LF, a folded line and two Content-Lengths through; this is the check behind it. Internal to drivers/http. */
#pragma once

#include <glib.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

enum { HEAD_MAX_BYTES = 16384, HEAD_MAX_HEADERS = 100, HEAD_MAX_ARGUMENTS = 32 };

/* Headers that anything here reads: member, name. Each may come once. */
#define HEAD_FIELDS(X) \
  X(host, "Host") \
  X(origin, "Origin") \
  X(authorization, "Authorization") \
  X(cookie, "Cookie") \
  X(content_type, "Content-Type") \
  X(content_length, "Content-Length") \
  X(content_encoding, "Content-Encoding") \
  X(transfer_encoding, "Transfer-Encoding") \
  X(accept_language, "Accept-Language") \
  X(if_match, "If-Match") \
  X(idempotency_key, "Idempotency-Key") \
  X(last_event_id, "Last-Event-ID") \
  X(csrf, "X-Sarang-CSRF") \
  X(client, "X-Sarang-Client")

typedef struct {
#define X(member, name) const char *member;
  HEAD_FIELDS(X)
#undef X
  int64_t body_bytes;
} Head;

/* The request line as libmicrohttpd hands it out: pointers into its own buffer. What is said of the uri was seen before it was
 * taken apart there. */
typedef struct {
  const char *method, *uri, *version;
  size_t uri_bytes;  /* up to its first NUL */
  bool uri_is_good;  /* begins with a slash, holds no blanks or control characters */
} RequestLine;

/* Looks at the target of a request as it came; NULL: there was none. */
void head_see_uri(RequestLine *line, const char *uri);

/* Checks and reads the head; its texts live as long as the request. BAD_REQUEST, HEAD_TOO_LARGE. */
bool head_read(struct MHD_Connection *connection, const RequestLine *line, Head *ret_head, GError **err);

/* What head_read() does, in pieces: begun, told each line as libmicrohttpd hands it out, then checked as a whole. */
typedef struct {
  Head *head;
  const char *next;   /* where the next line must begin */
  int headers;
  const char *fault;
  const char *fault_name;
} HeadScan;

typedef struct {
  size_t bytes;  /* of the head, from the method to behind its empty line */
  int arguments;
} HeadSize;

/* line->uri is there. */
void head_scan_begin(HeadScan *scan, const RequestLine *line, Head *head);
void head_scan_line(HeadScan *scan, const char *name, size_t name_bytes, const char *value, size_t value_bytes);
bool head_check(const HeadScan *scan, const RequestLine *line, const HeadSize *size, GError **err);

/* True where text is HOST[:PORT] of letters, digits, dots, hyphens, or an IPv6 address in brackets. */
bool host_is_good(const char *text);

/* True where origin (RFC 6454: "https://HOST[:PORT]") is a page of host, as in the header of that name. */
bool origin_is_of(const char *origin, const char *host);

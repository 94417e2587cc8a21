/* Heads of HTTP/1.1 messages (RFC 9110, 9112): requests of strangers, strictly, and answers of our own controller. Pure: text in,
 * slices of the same text out, nothing is copied or kept. What two programs could understand in two ways is refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEAD_MAX_BYTES = 16 * 1024, HTTP_HEADERS_MAX = 100 };

/* Bytes of somebody else's buffer; at is NULL where there is nothing. */
typedef struct {
  const char *at;
  size_t n;
} Slice;

/* wire name in logs and problem documents, status, what was wrong */
#define HTTP_REFUSALS(X) \
  X(HTTP_HEAD_TOO_LARGE, "head-too-large", 431, "the request head is larger than 16 KiB") \
  X(HTTP_TOO_MANY_HEADERS, "too-many-headers", 431, "there are more than 100 header lines") \
  X(HTTP_BAD_LINE, "bad-line", 400, "a line of the head does not end with CR LF, or holds a control character") \
  X(HTTP_BAD_REQUEST_LINE, "bad-request-line", 400, "the request line is malformed") \
  X(HTTP_BAD_TARGET, "bad-target", 400, "the request target is malformed") \
  X(HTTP_BAD_VERSION, "bad-version", 505, "only HTTP/1.1 is spoken here") \
  X(HTTP_BAD_HEADER, "bad-header", 400, "a header line is malformed") \
  X(HTTP_BAD_HOST, "bad-host", 400, "there must be exactly one well-formed Host, the same as in the request target") \
  X(HTTP_BAD_LENGTH, "bad-length", 400, "Content-Length must be one number, given once") \
  X(HTTP_BAD_ENCODING, "bad-encoding", 400, "Transfer-Encoding is not taken in requests")

typedef enum {
#define X(name, wire, status, text) name,
  HTTP_REFUSALS(X)
#undef X
  N_HTTP_REFUSALS
} HttpRefusal;

typedef struct {
  const char *wire;
  int status;
  const char *text;
} HttpRefusalRow;
extern const HttpRefusalRow http_refusals[N_HTTP_REFUSALS];

typedef enum { HTTP_MORE, HTTP_READY, HTTP_REFUSED } HttpStep;

typedef struct {
  Slice name, value; /* value without blanks around it */
} HttpHeader;

typedef struct {
  HttpHeader all[HTTP_HEADERS_MAX];
  int n;
} HttpHeaders;

typedef struct {
  Slice method;
  Slice path;  /* begins with /; empty for CONNECT and OPTIONS * */
  Slice query; /* behind the ?; at is NULL where there is no ? */
  Slice host;  /* as in Host, with its port; for CONNECT as in the target */
  HttpHeaders headers;
  int64_t body_bytes;
  bool keep_alive;
  bool expects_continue;
} HttpRequest;

typedef struct {
  int status;
  HttpHeaders headers;
  int64_t body_bytes; /* -1: not told */
  bool chunked;
} HttpResponse;

/* Looks for the end of a head in data[0..n). *scanned: bytes already looked at; 0 at first, kept by the caller between calls.
 * HTTP_READY: *ret_bytes is the length of the head with its empty line. HTTP_REFUSED: *ret_why. */
HttpStep http_head_scan(const char *data, size_t n, size_t *scanned, size_t *ret_bytes, HttpRefusal *ret_why);

/* Parses a whole head found by http_head_scan. Slices point into data. */
bool http_request_parse(const char *data, size_t n, HttpRequest *ret, HttpRefusal *ret_why);
/* The same for an answer; Content-Length together with chunked, or any other coding, is refused too. */
bool http_response_parse(const char *data, size_t n, HttpResponse *ret, HttpRefusal *ret_why);

/* How often a header of that name stands there; *ret_value is the first one's value. */
int http_header_count(const HttpHeaders *headers, const char *name, Slice *ret_value);
/* Does any header of that name hold token in its comma-separated list, whatever its case? */
bool http_header_has_token(const HttpHeaders *headers, const char *name, const char *token);
/* The next item of a comma-separated list; *rest shrinks. false at its end. */
bool http_list_next(Slice *rest, Slice *ret_item);

/* true ⇔ path holds no dot segment, no empty segment, no backslash and no %-escape of / \ . % or a control character, so
 * that whoever normalises it gets what stands there. */
bool http_path_is_plain(Slice path);

bool slice_is(Slice s, const char *text);
bool slice_is_nocase(Slice s, const char *text);
bool slice_has_prefix(Slice s, const char *prefix);

/* A body in chunked coding, piece by piece. Zeroed at first. */
typedef struct {
  uint64_t left;
  uint32_t line_bytes;
  uint8_t state;
} HttpChunks;

/* Takes from *data, *n what the coding needs. HTTP_READY with *ret_n > 0: body bytes at *ret_body (inside data); with *ret_n 0:
 * the body has ended. HTTP_MORE: all of data was used. HTTP_REFUSED: not chunked coding. */
HttpStep http_chunks_next(HttpChunks *c, const char **data, size_t *n, const char **ret_body, size_t *ret_n);

#include "drivers/console/httphead.h"

#include <string.h>
#include <strings.h>

const HttpRefusalRow http_refusals[N_HTTP_REFUSALS] = {
#define X(name, wire, status, text) [name] = { wire, status, text },
  HTTP_REFUSALS(X)
#undef X
};

bool slice_is(Slice s, const char *text) { return s.at && s.n == strlen(text) && !memcmp(s.at, text, s.n); }
bool slice_is_nocase(Slice s, const char *text) { return s.at && s.n == strlen(text) && !strncasecmp(s.at, text, s.n); }
bool slice_has_prefix(Slice s, const char *prefix)
{
  return s.at && s.n >= strlen(prefix) && !memcmp(s.at, prefix, strlen(prefix));
}

static bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
static bool is_token(char c) { return c && (is_alpha(c) || is_digit(c) || strchr("!#$%&'*+-.^_`|~", c)); }
static bool is_visible(char c) { return c > 0x20 && c < 0x7f; }
/* obs-text is left through: a name in a header may be UTF-8, and nobody splits lines on it */
static bool is_value(char c) { return c == '\t' || c == ' ' || is_visible(c) || (unsigned char)c >= 0x80; }
static int hex_value(char c) { return is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10; }

static bool all(Slice s, bool (*is)(char))
{
  for (size_t i = 0; i < s.n; i++)
    if (!is(s.at[i]))
      return false;
  return s.n > 0;
}

static bool refuse(HttpRefusal why, HttpRefusal *ret_why)
{
  *ret_why = why;
  return false;
}

HttpStep http_head_scan(const char *data, size_t n, size_t *scanned, size_t *ret_bytes, HttpRefusal *ret_why)
{
  size_t within = n < HTTP_HEAD_MAX_BYTES ? n : HTTP_HEAD_MAX_BYTES;
  for (size_t i = *scanned; i < within; i++) {
    bool ends = data[i] == '\n';
    if (!data[i] || (ends && (!i || data[i - 1] != '\r')) || (!ends && i && data[i - 1] == '\r')) {
      *ret_why = HTTP_BAD_LINE;
      return HTTP_REFUSED;
    }
    if (ends && (i < 2 || data[i - 2] == '\n')) {
      *ret_bytes = i + 1;
      return HTTP_READY;
    }
  }
  *scanned = within;
  if (n < HTTP_HEAD_MAX_BYTES)
    return HTTP_MORE;
  *ret_why = HTTP_HEAD_TOO_LARGE;
  return HTTP_REFUSED;
}

/* The next line of *rest without its CR LF; http_head_scan has seen that there is one. */
static Slice line_next(Slice *rest)
{
  const char *end = memchr(rest->at, '\n', rest->n);
  size_t whole = end ? (size_t)(end - rest->at) + 1 : rest->n;
  Slice line = { rest->at, whole >= 2 ? whole - 2 : 0 };
  rest->at += whole;
  rest->n -= whole;
  return line;
}

static Slice trim(Slice s)
{
  while (s.n && (*s.at == ' ' || *s.at == '\t'))
    s.at++, s.n--;
  while (s.n && (s.at[s.n - 1] == ' ' || s.at[s.n - 1] == '\t'))
    s.n--;
  return s;
}

static bool header_parse(Slice line, HttpHeader *ret)
{
  const char *colon = memchr(line.at, ':', line.n);
  if (!colon)
    return false;
  ret->name = (Slice){ line.at, colon - line.at };
  Slice value = { colon + 1, line.n - ret->name.n - 1 };
  ret->value = trim(value);
  return all(ret->name, is_token) && (!value.n || all(value, is_value));
}

static bool headers_parse(Slice rest, HttpHeaders *ret, HttpRefusal *ret_why)
{
  ret->n = 0;
  for (Slice line = line_next(&rest); line.n; line = line_next(&rest)) {
    if (ret->n == HTTP_HEADERS_MAX)
      return refuse(HTTP_TOO_MANY_HEADERS, ret_why);
    if (!header_parse(line, &ret->all[ret->n]))
      return refuse(HTTP_BAD_HEADER, ret_why);
    ret->n++;
  }
  return !rest.n || refuse(HTTP_BAD_LINE, ret_why);
}

int http_header_count(const HttpHeaders *headers, const char *name, Slice *ret_value)
{
  int count = 0;
  *ret_value = (Slice){ NULL, 0 };
  for (int i = 0; i < headers->n; i++)
    if (slice_is_nocase(headers->all[i].name, name) && !count++)
      *ret_value = headers->all[i].value;
  return count;
}

bool http_list_next(Slice *rest, Slice *ret_item)
{
  while (rest->n) {
    const char *comma = memchr(rest->at, ',', rest->n);
    Slice item = { rest->at, comma ? (size_t)(comma - rest->at) : rest->n };
    size_t used = item.n + (comma ? 1 : 0);
    rest->at += used;
    rest->n -= used;
    *ret_item = trim(item);
    if (ret_item->n)
      return true;
  }
  return false;
}

bool http_header_has_token(const HttpHeaders *headers, const char *name, const char *token)
{
  for (int i = 0; i < headers->n; i++) {
    Slice rest = headers->all[i].value, item;
    if (!slice_is_nocase(headers->all[i].name, name))
      continue;
    while (http_list_next(&rest, &item))
      if (slice_is_nocase(item, token))
        return true;
  }
  return false;
}

static bool host_is_name(Slice s)
{
  for (size_t i = 0; i < s.n; i++)
    if (!is_alpha(s.at[i]) && !is_digit(s.at[i]) && s.at[i] != '-' && s.at[i] != '.' && s.at[i] != '_')
      return false;
  return s.n > 0 && s.n <= 253;
}

static bool host_is_ipv6(Slice s)
{
  for (size_t i = 1; i + 1 < s.n; i++)
    if (!is_hex(s.at[i]) && s.at[i] != ':' && s.at[i] != '.')
      return false;
  return s.n > 3 && s.at[0] == '[' && s.at[s.n - 1] == ']';
}

/* host or host:port, as RFC 3986 has it, without user information and without %-escapes. */
static bool host_is_good(Slice host)
{
  Slice name = host, port = { NULL, 0 };
  for (size_t i = host.n; i-- && (is_digit(host.at[i]) || host.at[i] == ':');)
    if (host.at[i] == ':') {
      name.n = i;
      port = (Slice){ host.at + i + 1, host.n - i - 1 };
      break;
    }
  return (!port.at || (all(port, is_digit) && port.n <= 5)) && (host_is_name(name) || host_is_ipv6(name));
}

static bool path_is_good(Slice path)
{
  for (size_t i = 0; i < path.n; i++) {
    char c = path.at[i];
    if (!is_visible(c) || strchr("#\"<>\\^`{}", c))
      return false;
    if (c == '%' && (path.n - i < 3 || !is_hex(path.at[i + 1]) || !is_hex(path.at[i + 2])))
      return false;
  }
  return path.n && path.at[0] == '/';
}

bool http_path_is_plain(Slice path)
{
  if (!path_is_good(path))
    return false;
  for (size_t i = 0; i < path.n; i++) {
    if (path.at[i] == '/' && i + 1 < path.n && (path.at[i + 1] == '/' || path.at[i + 1] == '.'))
      return false;
    if (path.at[i] != '%')
      continue;
    int c = hex_value(path.at[i + 1]) * 16 + hex_value(path.at[i + 2]);
    if (c < 0x20 || c == 0x7f || c == '/' || c == '\\' || c == '.' || c == '%')
      return false;
  }
  return true;
}

/* Splits http://HOST/PATH; a target in that form must name the host that Host names. */
static bool target_absolute(Slice target, HttpRequest *ret, Slice *ret_path)
{
  size_t scheme = slice_has_prefix(target, "https://") ? 8 : slice_has_prefix(target, "http://") ? 7 : 0;
  Slice rest = { target.at + scheme, target.n - scheme };
  const char *slash = memchr(rest.at, '/', rest.n);
  if (!scheme || !slash)
    return false;
  Slice host = { rest.at, slash - rest.at };
  *ret_path = (Slice){ slash, rest.n - host.n };
  return host.n == ret->host.n && !strncasecmp(host.at, ret->host.at, host.n);
}

static bool target_parse(Slice target, HttpRequest *ret)
{
  if (slice_is(ret->method, "CONNECT")) {
    ret->host = target;
    return host_is_good(target);
  }
  if (slice_is(target, "*"))
    return slice_is(ret->method, "OPTIONS");
  Slice whole = target;
  if (target.at[0] != '/' && !target_absolute(target, ret, &whole))
    return false;
  const char *mark = memchr(whole.at, '?', whole.n);
  ret->path = (Slice){ whole.at, mark ? (size_t)(mark - whole.at) : whole.n };
  if (mark)
    ret->query = (Slice){ mark + 1, whole.n - ret->path.n - 1 };
  for (size_t i = 0; i < ret->query.n; i++)
    if (!is_visible(ret->query.at[i]) || ret->query.at[i] == '#')
      return false;
  return path_is_good(ret->path);
}

/* -1: there is none; -2: it is bad. */
static int64_t length_parse(const HttpHeaders *headers)
{
  Slice value;
  int count = http_header_count(headers, "content-length", &value);
  if (!count)
    return -1;
  if (count > 1 || !all(value, is_digit) || value.n > 15)
    return -2;
  int64_t bytes = 0;
  for (size_t i = 0; i < value.n; i++)
    bytes = bytes * 10 + (value.at[i] - '0');
  return bytes;
}

static bool request_line_parse(Slice line, HttpRequest *ret, Slice *ret_target, HttpRefusal *ret_why)
{
  const char *first = memchr(line.at, ' ', line.n);
  const char *last = memrchr(line.at, ' ', line.n);
  if (!first || first == last)
    return refuse(HTTP_BAD_REQUEST_LINE, ret_why);
  ret->method = (Slice){ line.at, first - line.at };
  *ret_target = (Slice){ first + 1, last - first - 1 };
  Slice version = { last + 1, line.n - (last + 1 - line.at) };
  if (!all(ret->method, is_alpha) || ret->method.n > 16)
    return refuse(HTTP_BAD_REQUEST_LINE, ret_why);
  if (!all(*ret_target, is_visible))
    return refuse(HTTP_BAD_TARGET, ret_why);
  if (slice_has_prefix(version, "HTTP/") && !slice_is(version, "HTTP/1.1"))
    return refuse(HTTP_BAD_VERSION, ret_why);
  return slice_is(version, "HTTP/1.1") || refuse(HTTP_BAD_REQUEST_LINE, ret_why);
}

bool http_request_parse(const char *data, size_t n, HttpRequest *ret, HttpRefusal *ret_why)
{
  Slice rest = { data, n }, target, unused;
  memset(ret, 0, offsetof(HttpRequest, headers));
  Slice line = line_next(&rest);
  if (!request_line_parse(line, ret, &target, ret_why) || !headers_parse(rest, &ret->headers, ret_why))
    return false;
  if (http_header_count(&ret->headers, "host", &ret->host) != 1 || !host_is_good(ret->host))
    return refuse(HTTP_BAD_HOST, ret_why);
  bool absolute = target.at[0] == 'h';
  if (!target_parse(target, ret))
    return refuse(absolute ? HTTP_BAD_HOST : HTTP_BAD_TARGET, ret_why);
  if (http_header_count(&ret->headers, "transfer-encoding", &unused))
    return refuse(HTTP_BAD_ENCODING, ret_why);
  int64_t length = length_parse(&ret->headers);
  if (length == -2)
    return refuse(HTTP_BAD_LENGTH, ret_why);
  ret->body_bytes = length < 0 ? 0 : length;
  ret->keep_alive = !http_header_has_token(&ret->headers, "connection", "close");
  ret->expects_continue = http_header_has_token(&ret->headers, "expect", "100-continue");
  return true;
}

bool http_response_parse(const char *data, size_t n, HttpResponse *ret, HttpRefusal *ret_why)
{
  Slice rest = { data, n }, coding;
  Slice line = line_next(&rest);
  Slice number = { line.at + 9, 3 };
  if (line.n < 12 || !slice_has_prefix(line, "HTTP/1.1 ") || !all(number, is_digit) || (line.n > 12 && line.at[12] != ' '))
    return refuse(HTTP_BAD_REQUEST_LINE, ret_why);
  ret->status = (number.at[0] - '0') * 100 + (number.at[1] - '0') * 10 + (number.at[2] - '0');
  if (!headers_parse(rest, &ret->headers, ret_why))
    return false;
  ret->body_bytes = length_parse(&ret->headers);
  int codings = http_header_count(&ret->headers, "transfer-encoding", &coding);
  ret->chunked = codings == 1 && slice_is_nocase(coding, "chunked");
  if (ret->body_bytes == -2)
    return refuse(HTTP_BAD_LENGTH, ret_why);
  if (codings && (!ret->chunked || ret->body_bytes >= 0))
    return refuse(HTTP_BAD_ENCODING, ret_why);
  return true;
}

/* SIZE: digits so far; EXTENSION: behind ; until LF; DATA; DATA_CR, DATA_LF: the line end behind data; TRAILER: lines until an
 * empty one. */
enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_CR, CHUNK_DATA_LF, CHUNK_TRAILER, CHUNK_DONE };
enum { CHUNK_LINE_MAX_BYTES = 4096 };

/* One byte of a size line, or of a trailer; false where it cannot stand there. */
static bool chunk_byte(HttpChunks *c, char byte)
{
  if (c->state == CHUNK_DATA_CR || c->state == CHUNK_DATA_LF) {
    bool good = byte == (c->state == CHUNK_DATA_CR ? '\r' : '\n');
    c->state = c->state == CHUNK_DATA_CR ? CHUNK_DATA_LF : CHUNK_SIZE;
    return good;
  }
  if (++c->line_bytes > CHUNK_LINE_MAX_BYTES)
    return false;
  if (byte == '\n') {
    bool empty = c->line_bytes <= 2, size_told = c->state != CHUNK_SIZE;
    if (c->state == CHUNK_TRAILER)
      c->state = empty ? CHUNK_DONE : CHUNK_TRAILER;
    else
      c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
    c->line_bytes = 0;
    return size_told;
  }
  if (c->state != CHUNK_SIZE)
    return true;
  if (!is_hex(byte)) {
    c->state = CHUNK_EXTENSION;
    return c->line_bytes > 1 && (byte == ';' || byte == '\r' || byte == ' ');
  }
  c->left = c->left * 16 + hex_value(byte);
  return c->left <= (uint64_t)1 << 40;
}

HttpStep http_chunks_next(HttpChunks *c, const char **data, size_t *n, const char **ret_body, size_t *ret_n)
{
  *ret_n = 0;
  while (*n && c->state != CHUNK_DATA && c->state != CHUNK_DONE) {
    if (!chunk_byte(c, **data))
      return HTTP_REFUSED;
    ++*data, --*n;
  }
  if (c->state == CHUNK_DONE)
    return HTTP_READY;
  if (!*n)
    return HTTP_MORE;
  *ret_body = *data;
  *ret_n = *n < c->left ? *n : c->left;
  *data += *ret_n;
  *n -= *ret_n;
  c->left -= *ret_n;
  if (!c->left)
    c->state = CHUNK_DATA_CR;
  return HTTP_READY;
}

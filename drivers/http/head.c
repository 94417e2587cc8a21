#include "drivers/http/head.h"

#include <string.h>
#include <strings.h>

#include "core/error.h"

/* From that version on libmicrohttpd refuses these itself, and may lay its buffer out in another way. */
static const bool own_check = MHD_VERSION < 0x00097701;

typedef struct {
  const char *name;
  size_t length, offset;
} HeadField;

static const HeadField head_fields[] = {
#define X(member, name) { name, sizeof name - 1, offsetof(Head, member) },
  HEAD_FIELDS(X)
#undef X
};

static bool name_is_token(const char *name, size_t length)
{
  static const char token[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['^'] = 1,
    ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1,
  };
  for (size_t i = 0; i < length; i++)
    if (!token[(unsigned char)name[i]])
      return false;
  return length > 0;
}

static bool value_is_text(const char *value, size_t length)
{
  for (size_t i = 0; i < length; i++)
    if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f)
      return false;
  return true;
}

static void scan_field(HeadScan *scan, const char *name, size_t length, const char *value)
{
  for (size_t i = 0; i < G_N_ELEMENTS(head_fields); i++) {
    const HeadField *f = &head_fields[i];
    if (f->length != length || strncasecmp(f->name, name, length))
      continue;
    const char **member = (const char **)((char *)scan->head + f->offset);
    if (*member) {
      scan->fault = "comes twice";
      scan->fault_name = f->name;
    }
    *member = value;
    return;
  }
}

void head_scan_begin(HeadScan *scan, const RequestLine *line, Head *head)
{
  memset(head, 0, sizeof *head);
  *scan = (HeadScan){ .head = head, .next = line->version + strlen(line->version) + 2 };
}

void head_scan_line(HeadScan *scan, const char *name, size_t name_bytes, const char *value, size_t value_bytes)
{
  scan->headers++;
  /* each line was cut by putting zeros over its CR LF, so one that was cut elsewhere leaves a gap */
  if (name != scan->next)
    scan->fault = "a line does not end with CR LF, or holds a NUL";
  scan->next = value + value_bytes + 2;
  if (!name_is_token(name, name_bytes))
    scan->fault = "a header's name is malformed";
  if (!value_is_text(value, value_bytes))
    scan->fault = "a header holds a control character";
  scan_field(scan, name, name_bytes, value);
}

static enum MHD_Result scan_header(void *data, enum MHD_ValueKind kind, const char *name, size_t name_bytes, const char *value,
                                   size_t value_bytes)
{
  head_scan_line(data, name, name_bytes, value, value_bytes);
  return MHD_YES;
}

void head_see_uri(RequestLine *line, const char *uri)
{
  line->uri = uri;
  line->uri_bytes = uri ? strlen(uri) : 0;
  line->uri_is_good = uri && uri[0] == '/' && value_is_text(uri, line->uri_bytes) && !strchr(uri, ' ');
}

static bool line_is_whole(const RequestLine *line)
{
  return line->uri && line->method + strlen(line->method) + 1 == line->uri && line->uri + line->uri_bytes + 1 == line->version;
}

static bool bad_request(GError **err, const char *name, const char *detail)
{
  g_autofree char *text = name ? g_strdup_printf("%s %s", name, detail) : g_strdup(detail);
  return error_false(err, REASON_BAD_REQUEST, "detail", text, NULL);
}

static bool read_body_bytes(Head *head, GError **err)
{
  if (head->transfer_encoding)
    return bad_request(err, "Transfer-Encoding", "is not taken, a body needs a Content-Length");
  if (head->content_encoding && strcasecmp(head->content_encoding, "identity"))
    return bad_request(err, "Content-Encoding", "is not taken");
  const char *text = head->content_length;
  size_t digits = text ? strspn(text, "0123456789") : 0;
  if (text && (!digits || digits > 18 || text[digits]))
    return bad_request(err, "Content-Length", "is not a number");
  head->body_bytes = text ? g_ascii_strtoll(text, NULL, 10) : 0;
  return true;
}

static bool check_size(const HeadScan *scan, const char *method, const HeadSize *size, GError **err)
{
  if (size->bytes > HEAD_MAX_BYTES)
    return error_false(err, REASON_HEAD_TOO_LARGE, "value", "too many bytes", "limit", "16384", NULL);
  if (scan->headers > HEAD_MAX_HEADERS)
    return error_false(err, REASON_HEAD_TOO_LARGE, "value", "too many header lines", "limit", "100", NULL);
  if (size->arguments > HEAD_MAX_ARGUMENTS)
    return error_false(err, REASON_HEAD_TOO_LARGE, "value", "too many arguments", "limit", "32", NULL);
  if (own_check && scan->next + 2 != method + size->bytes)
    return bad_request(err, NULL, "a line does not end with CR LF, or holds a NUL");
  return true;
}

bool head_check(const HeadScan *scan, const RequestLine *line, const HeadSize *size, GError **err)
{
  Head *head = scan->head;
  bool http11 = !strcmp(line->version, "HTTP/1.1");
  if (!http11 && strcmp(line->version, "HTTP/1.0"))
    return bad_request(err, NULL, "HTTP/1.1 is spoken here");
  if (own_check && !line_is_whole(line))
    return bad_request(err, NULL, "the request line is malformed");
  if (!line->uri_is_good)
    return bad_request(err, NULL, "the request's target is no path");
  if (scan->fault && (own_check || scan->fault_name))
    return bad_request(err, scan->fault_name, scan->fault);
  if (!check_size(scan, line->method, size, err))
    return false;
  if (http11 && !head->host)
    return bad_request(err, "Host", "is missing");
  if (head->host && !host_is_good(head->host))
    return bad_request(err, "Host", "is no host");
  return read_body_bytes(head, err);
}

bool head_read(struct MHD_Connection *connection, const RequestLine *line, Head *ret_head, GError **err)
{
  HeadScan scan;
  if (!line->uri)
    return bad_request(err, NULL, "the request line is malformed");
  head_scan_begin(&scan, line, ret_head);
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, scan_header, &scan);
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  const HeadSize size = { info ? info->header_size : 0, MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, NULL, NULL) };
  return head_check(&scan, line, &size, err);
}

bool host_is_good(const char *text)
{
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  const char *end = text + strspn(text, letters);
  if (*text == '[') {
    end = text + 1 + strspn(text + 1, "0123456789abcdefABCDEF:.");
    if (end == text + 1 || *end++ != ']')
      return false;
  }
  if (end == text || end - text > 255)
    return false;
  if (*end != ':')
    return !*end;
  size_t digits = strspn(end + 1, "0123456789");
  return digits && digits <= 5 && !end[1 + digits];
}

bool origin_is_of(const char *origin, const char *host)
{
  if (!host)
    return false;
  const char *rest = g_str_has_prefix(origin, "https://") ? origin + 8 : g_str_has_prefix(origin, "http://") ? origin + 7 : NULL;
  return rest && !strcasecmp(rest, host);
}

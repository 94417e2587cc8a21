/* Heads of the controller's own doors, cut into lines the lenient way libmicrohttpd cuts them: what is taken after that must have been a head that
 * nobody can read in another way. */
#include <glib.h>
#include <string.h>
#include <strings.h>

#include "core/error.h"
#include "drivers/http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct {
  char *at, *end;
} Rest;

/* The next line, ended by CR LF, LF or CR, over which zeros are put; NULL where there is no end of one. */
static char *line_next(Rest *rest)
{
  char *line = rest->at;
  while (rest->at < rest->end && *rest->at != '\r' && *rest->at != '\n')
    rest->at++;
  if (rest->at == rest->end)
    return NULL;
  if (*rest->at == '\r' && rest->at + 1 < rest->end && rest->at[1] == '\n')
    *rest->at++ = '\0';
  *rest->at++ = '\0';
  return line;
}

static bool request_line(char *line, RequestLine *ret)
{
  char *uri = strchr(line, ' '), *version = strrchr(line, ' ');
  if (!uri || version == uri)
    return false;
  *uri = *version = '\0';
  *ret = (RequestLine){ .method = line, .version = version + 1 };
  head_see_uri(ret, uri + 1);
  return true;
}

/* One that is folded moves elsewhere, with what it continues; it is borrowed from kept. */
static char *line_whole(Rest *rest, GPtrArray *kept)
{
  char *line = line_next(rest);
  while (line && *line && rest->at < rest->end && (*rest->at == ' ' || *rest->at == '\t')) {
    char *more = line_next(rest);
    if (!more)
      return NULL;
    line = g_strconcat(line, more + strspn(more, " \t"), NULL);
    g_ptr_array_add(kept, line);
  }
  return line;
}

static int count(const char *text, size_t n, const char *what)
{
  int found = 0;
  size_t length = strlen(what);
  for (size_t i = 0; i + length <= n; i++)
    found += !strncasecmp(text + i, what, length);
  return found;
}

/* libmicrohttpd puts zeros over the ends of lines and tells strings. So two bytes that end a line, one of them a zero, look like CR LF to whoever comes
 * after it; no gateway passes such a head on. Everything else must be what was sent. */
static void is_what_was_sent(const GString *seen, const char *sent, size_t n)
{
  g_assert(seen->len == n && n <= HEAD_MAX_BYTES);
  for (size_t i = 0; i < n; i++)
    g_assert(seen->str[i] == sent[i] || seen->str[i] == '\r' || seen->str[i] == '\n');
}

static void head_is_good(const Head *head, const char *text, size_t n)
{
  g_assert(head->body_bytes >= 0 && !head->transfer_encoding);
  g_assert(count(text, n, "\r\n") == count(text, n, "\n") && count(text, n, "\r\n") == count(text, n, "\r"));
  g_assert(!count(text, n, "\r\n ") && !count(text, n, "\r\n\t"));
  g_assert(count(text, n, "\ncontent-length:") <= 1 && !count(text, n, "\ntransfer-encoding:") && count(text, n, "\nhost:") <= 1);
  g_assert((count(text, n, "\ncontent-length:") == 1) == !!head->content_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  g_autofree char *copy = g_memdup2(data, n);
  g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
  Rest rest = { copy, copy + n };
  RequestLine line;
  HeadScan scan;
  Head head;
  g_autoptr(GString) seen = g_string_new(NULL);
  char *first = line_next(&rest), *next;
  if (first)
    g_string_printf(seen, "%s\r\n", first);
  if (!first || !request_line(first, &line))
    return 0;
  head_scan_begin(&scan, &line, &head);
  while ((next = line_whole(&rest, kept)) && *next) {
    g_string_append_printf(seen, "%s\r\n", next);
    char *value = strchr(next, ':');
    if (!value)
      return 0; /* refused before it comes to us */
    *value++ = '\0';
    value += strspn(value, " \t");
    head_scan_line(&scan, next, strlen(next), value, strlen(value));
  }
  if (!next)
    return 0;
  const HeadSize size = { (size_t)(rest.at - copy), 0 };
  g_autoptr(GError) err = NULL;
  bool good = head_check(&scan, &line, &size, &err);
  g_assert(good == !err && (good || error_is(err, REASON_BAD_REQUEST) || error_is(err, REASON_HEAD_TOO_LARGE)));
  g_string_append(seen, "\r\n");
  if (good) {
    is_what_was_sent(seen, (const char *)data, size.bytes);
    head_is_good(&head, seen->str, seen->len);
  }
  return 0;
}

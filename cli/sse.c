#include "cli/sse.h"

#include <string.h>

bool lines_feed(Lines *lines, const char *bytes, size_t n, LineFn line, void *data)
{
  GString *rest = lines->rest;
  g_string_append_len(rest, bytes, (gssize)n);
  size_t begin = 0;
  bool more = true;
  for (char *end; more && line && (end = memchr(rest->str + lines->scanned, '\n', rest->len - lines->scanned));) {
    *end = '\0';
    more = line(rest->str + begin, data);
    begin = lines->scanned = (size_t)(end - rest->str) + 1;
  }
  g_string_erase(rest, 0, (gssize)begin);
  lines->scanned = line && more ? rest->len : 0;
  return more;
}

SseWhat sse_read(Sse *sse, const char *line, const char **ret_data)
{
  if (g_str_has_prefix(line, "id: "))
    sse->after = g_ascii_strtoll(line + 4, NULL, 10);
  else if (g_str_has_prefix(line, "event: "))
    g_strlcpy(sse->event, line + 7, sizeof sse->event);
  if (!g_str_has_prefix(line, "data: "))
    return SSE_NOTHING;
  *ret_data = line + 6;
  return !strcmp(sse->event, "reset") ? SSE_RESET : !strcmp(sse->event, "ready") ? SSE_READY : SSE_CHANGE;
}

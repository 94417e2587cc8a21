/* Heads of requests and answers, and chunked bodies. The first byte says how the stream is cut. */
#include <glib.h>

#include "drivers/console/httphead.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void inside_check(Slice s, const char *text, size_t n)
{
  g_assert(!s.at || (s.at >= text && s.at + s.n <= text + n));
}

static void request_check(const char *text, size_t n)
{
  HttpRequest r;
  HttpRefusal why = N_HTTP_REFUSALS;
  if (!http_request_parse(text, n, &r, &why)) {
    g_assert(why < N_HTTP_REFUSALS);
    return;
  }
  inside_check(r.method, text, n);
  inside_check(r.path, text, n);
  inside_check(r.query, text, n);
  inside_check(r.host, text, n);
  g_assert(r.host.n && r.body_bytes >= 0 && r.headers.n <= HTTP_HEADERS_MAX);
  for (int i = 0; i < r.headers.n; i++)
    inside_check(r.headers.all[i].value, text, n);
  if (r.path.n && http_path_is_plain(r.path))
    g_assert(!g_strstr_len(r.path.at, r.path.n, "/.") && !g_strstr_len(r.path.at, r.path.n, "//"));
}

static size_t body_read(const char *text, size_t n, size_t step)
{
  HttpChunks c = { 0 };
  size_t body = 0;
  for (size_t at = 0; at < n; at += step) {
    const char *piece = text + at, *out;
    size_t left = MIN(step, n - at), out_n;
    HttpStep answer;
    while ((answer = http_chunks_next(&c, &piece, &left, &out, &out_n)) == HTTP_READY && out_n)
      body += out_n;
    if (answer == HTTP_REFUSED)
      return SIZE_MAX;
    if (answer == HTTP_READY)
      break;
  }
  return body;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  if (!n)
    return 0;
  const char *text = (const char *)data + 1;
  size_t step = data[0] + 1, scanned = 0, whole = 0, bytes = 0, bytes_whole = 0;
  n--;
  HttpRefusal why;
  HttpStep cut = HTTP_MORE;
  for (size_t have = MIN(step, n); cut == HTTP_MORE; have = MIN(have + step, n)) {
    cut = http_head_scan(text, have, &scanned, &bytes, &why);
    if (have == n)
      break;
  }
  HttpStep at_once = http_head_scan(text, n, &whole, &bytes_whole, &why);
  g_assert(cut == at_once && (cut != HTTP_READY || bytes == bytes_whole));
  if (cut == HTTP_READY) {
    HttpResponse answer;
    request_check(text, bytes);
    http_response_parse(text, bytes, &answer, &why);
  }
  g_assert(body_read(text, n, step) == body_read(text, n, n ? n : 1));
  return 0;
}

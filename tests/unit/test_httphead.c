/* drivers/console/httphead: what is taken as a head, and what is refused with which status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>
#include <string.h>

#include "drivers/console/httphead.h"

#define END "\r\nHost: a.example\r\n\r\n"

/* refusal N_HTTP_REFUSALS: it is taken; more: it waits for more bytes */
static const struct {
  const char *head;
  HttpRefusal refusal;
  bool more;
} rows[] = {
  { "GET / HTTP/1.1" END, N_HTTP_REFUSALS },
  { "GET /a/b?c=d%20&e=/.. HTTP/1.1" END, N_HTTP_REFUSALS },
  { "GET http://a.example/x HTTP/1.1" END, N_HTTP_REFUSALS },
  { "GET https://A.Example/x HTTP/1.1" END, N_HTTP_REFUSALS },
  { "OPTIONS * HTTP/1.1" END, N_HTTP_REFUSALS },
  { "CONNECT console:0 HTTP/1.1" END, N_HTTP_REFUSALS },
  { "GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", N_HTTP_REFUSALS },
  { "GET / HTTP/1.1\r\nHost:10.0.0.1:443 \t\r\n\r\n", N_HTTP_REFUSALS },
  { "GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", N_HTTP_REFUSALS },
  { "GET / HTTP/1.1\r\nHost: a\r\nX: \xec\x82\xac\r\n\r\n", N_HTTP_REFUSALS },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", N_HTTP_REFUSALS },
  { "GET / HTTP/1.1\r\nHost: a\r\n", 0, true },
  { "GET", 0, true },
  { "\r", 0, true },
  /* lines */
  { "GET / HTTP/1.1\nHost: a\n\n", HTTP_BAD_LINE },
  { "GET / HTTP/1.1\r\nHost: a\n\r\n", HTTP_BAD_LINE },
  { "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", HTTP_BAD_LINE },
  { "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", HTTP_BAD_LINE },
  { "\n", HTTP_BAD_LINE },
  { "\r\n", HTTP_BAD_REQUEST_LINE },
  { "\r\nGET / HTTP/1.1" END, HTTP_BAD_REQUEST_LINE },
  /* request line */
  { "GET /" END, HTTP_BAD_REQUEST_LINE },
  { "GET" END, HTTP_BAD_REQUEST_LINE },
  { "GET / HTTP/1.1 " END, HTTP_BAD_TARGET },
  { " GET / HTTP/1.1" END, HTTP_BAD_REQUEST_LINE },
  { "GET  / HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET / x HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET\t/ HTTP/1.1" END, HTTP_BAD_REQUEST_LINE },
  { "G3T / HTTP/1.1" END, HTTP_BAD_REQUEST_LINE },
  { "GETGETGETGETGETGETG / HTTP/1.1" END, HTTP_BAD_REQUEST_LINE },
  { "GET / HTTP/1.0" END, HTTP_BAD_VERSION },
  { "GET / HTTP/2.0" END, HTTP_BAD_VERSION },
  { "PRI * HTTP/2.0" END, HTTP_BAD_VERSION },
  { "GET / http/1.1" END, HTTP_BAD_REQUEST_LINE },
  /* targets */
  { "GET a HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET * HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET /a#b HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET /?a#b HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET /% HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET /%2 HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET /%zz HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET /\\ HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET /\xec\x82\xac HTTP/1.1" END, HTTP_BAD_TARGET },
  { "GET http://b.example/x HTTP/1.1" END, HTTP_BAD_HOST },
  { "GET http://a.example HTTP/1.1" END, HTTP_BAD_HOST },
  { "GET http://u@a.example/ HTTP/1.1" END, HTTP_BAD_HOST },
  { "GET ftp://a.example/x HTTP/1.1" END, HTTP_BAD_TARGET },
  { "CONNECT / HTTP/1.1" END, HTTP_BAD_TARGET },
  { "CONNECT a@b:0 HTTP/1.1" END, HTTP_BAD_TARGET },
  /* Host */
  { "GET / HTTP/1.1\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: []\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HTTP_BAD_HOST },
  { "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HTTP_BAD_HOST },
  /* headers */
  { "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", HTTP_BAD_HEADER },
  { "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", HTTP_BAD_HEADER },
  { "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", HTTP_BAD_HEADER },
  { "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", HTTP_BAD_HEADER }, /* obs-fold */
  { "GET / HTTP/1.1\r\nHost: a\r\n\tb: c\r\n\r\n", HTTP_BAD_HEADER },
  { "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", HTTP_BAD_HEADER },
  { "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", HTTP_BAD_HEADER },
  { "GET / HTTP/1.1\r\nHost: a\r\n\xec\x82\xac: b\r\n\r\n", HTTP_BAD_HEADER },
  /* length and coding of the body */
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", HTTP_BAD_LENGTH },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", HTTP_BAD_LENGTH },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", HTTP_BAD_LENGTH },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", HTTP_BAD_LENGTH },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", HTTP_BAD_LENGTH },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", HTTP_BAD_LENGTH },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", HTTP_BAD_LENGTH },
  { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BAD_ENCODING },
  { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BAD_ENCODING },
  { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", HTTP_BAD_ENCODING },
};

static HttpStep parse(const char *data, size_t n, HttpRequest *ret, HttpRefusal *ret_why)
{
  size_t scanned = 0, bytes;
  HttpStep step = HTTP_MORE;
  for (size_t have = 1; have <= n && step == HTTP_MORE; have++)
    step = http_head_scan(data, have, &scanned, &bytes, ret_why);
  if (step == HTTP_READY && !http_request_parse(data, bytes, ret, ret_why))
    step = HTTP_REFUSED;
  return step;
}

static void heads_are_taken_or_refused(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    HttpRequest r;
    HttpRefusal why = N_HTTP_REFUSALS;
    HttpStep step = parse(rows[i].head, strlen(rows[i].head), &r, &why);
    HttpStep want = rows[i].more ? HTTP_MORE : rows[i].refusal == N_HTTP_REFUSALS ? HTTP_READY : HTTP_REFUSED;
    if (step != want || (step == HTTP_REFUSED && why != rows[i].refusal))
      fail_msg("row %zu: step %d, refused as %d: %s", i, step, why, rows[i].head);
  }
}

static void a_nul_is_refused(void **state)
{
  static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
  HttpRequest r;
  HttpRefusal why;
  assert_int_equal(parse(head, sizeof head - 1, &r, &why), HTTP_REFUSED);
  assert_int_equal(why, HTTP_BAD_LINE);
}

static void heads_have_limits(void **state)
{
  g_autoptr(GString) head = g_string_new("GET / HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 99; i++)
    g_string_append(head, "X: y\r\n");
  gsize lines = head->len;
  HttpRequest r;
  HttpRefusal why;
  g_string_append(head, "\r\n");
  assert_int_equal(parse(head->str, head->len, &r, &why), HTTP_READY);
  assert_int_equal(r.headers.n, 100);
  g_string_truncate(head, lines);
  g_string_append(head, "X: y\r\n\r\n");
  assert_int_equal(parse(head->str, head->len, &r, &why), HTTP_REFUSED);
  assert_int_equal(http_refusals[why].status, 431);

  g_autofree char *filler = g_strnfill(HTTP_HEAD_MAX_BYTES, 'x');
  g_string_assign(head, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
  g_string_append_len(head, filler, HTTP_HEAD_MAX_BYTES - head->len - 4);
  g_string_append(head, "\r\n\r\n");
  assert_int_equal(head->len, HTTP_HEAD_MAX_BYTES);
  assert_int_equal(parse(head->str, head->len, &r, &why), HTTP_READY);
  g_string_insert_c(head, 30, 'x');
  assert_int_equal(parse(head->str, head->len, &r, &why), HTTP_REFUSED);
  assert_int_equal(why, HTTP_HEAD_TOO_LARGE);
}

static void parts_of_a_request_are_found(void **state)
{
  static const char head[] = "POST https://a.example:8443/api/v1/x?y=z&w HTTP/1.1\r\nhost: a.example:8443\r\nX:  two words \t\r\n"
                             "Connection: Keep-Alive , CLOSE\r\nContent-length: 42\r\nExpect: 100-Continue\r\nx: second\r\n\r\n";
  HttpRequest r;
  HttpRefusal why;
  Slice x;
  assert_int_equal(parse(head, sizeof head - 1, &r, &why), HTTP_READY);
  assert_true(slice_is(r.method, "POST"));
  assert_true(slice_is(r.path, "/api/v1/x"));
  assert_true(slice_is(r.query, "y=z&w"));
  assert_true(slice_is(r.host, "a.example:8443"));
  assert_int_equal(r.body_bytes, 42);
  assert_false(r.keep_alive);
  assert_true(r.expects_continue);
  assert_int_equal(http_header_count(&r.headers, "X", &x), 2);
  assert_true(slice_is(x, "two words"));
  assert_true(http_header_has_token(&r.headers, "connection", "keep-alive"));
  assert_false(http_header_has_token(&r.headers, "connection", "keep"));
}

static void only_plain_paths_are_plain(void **state)
{
  static const struct { const char *path; bool plain; } paths[] = {
    { "/api/v1/desktops", true }, { "/api/v1/users/%ED%99%8D@a", true }, { "/a/", true }, { "/a.b", true }, { "/a..b", true },
    { "/", true }, { "/..", false }, { "/a/../b", false }, { "/a/./b", false }, { "/.hidden", false }, { "//a", false },
    { "/a//b", false }, { "/a/%2e%2e/b", false }, { "/a/%2E./b", false }, { "/a%2fb", false }, { "/a%5Cb", false },
    { "/a%00", false }, { "/a%0a", false }, { "/a%252e", false }, { "/a%7f", false }, { "a", false }, { "", false },
    { "/a b", false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
    if (http_path_is_plain((Slice){ paths[i].path, strlen(paths[i].path) }) != paths[i].plain)
      fail_msg("%s", paths[i].path);
}

static const struct {
  const char *head;
  int status; /* 0: refused */
  int64_t body_bytes;
  bool chunked;
} answers[] = {
  { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, 5, false },
  { "HTTP/1.1 204\r\n\r\n", 204, -1, false },
  { "HTTP/1.1 404 \r\n\r\n", 404, -1, false },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", 200, -1, true },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 0 },
  { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 0 },
  { "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 0 },
  { "HTTP/1.0 200 OK\r\n\r\n", 0 },
  { "HTTP/1.1 20\r\n\r\n", 0 },
  { "HTTP/1.1 2000 OK\r\n\r\n", 0 },
  { "HTTP/1.1 abc OK\r\n\r\n", 0 },
  { "\r\n", 0 },
};

static void answers_are_taken_or_refused(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
    HttpResponse r;
    HttpRefusal why;
    bool good = http_response_parse(answers[i].head, strlen(answers[i].head), &r, &why);
    if (good != (answers[i].status != 0))
      fail_msg("row %zu", i);
    if (!good)
      continue;
    assert_int_equal(r.status, answers[i].status);
    assert_int_equal(r.body_bytes, answers[i].body_bytes);
    assert_int_equal(r.chunked, answers[i].chunked);
  }
}

static const struct {
  const char *coded, *body; /* body NULL: refused */
  bool ends;
} bodies[] = {
  { "5\r\nhello\r\n0\r\n\r\n", "hello", true },
  { "1;ext=1\r\na\r\n00a\r\n0123456789\r\n0\r\nX: y\r\n\r\n", "a0123456789", true },
  { "5\r\nhel", "hel", false },
  { "0\r\n\r\n", "", true },
  { "5\r\nhello0\r\n\r\n", NULL },
  { "g\r\n", NULL },
  { "\r\n", NULL },
  { "\n", NULL },
  { "5\nhello", NULL },
  { "fffffffffffffffffffff\r\n", NULL },
  { ";\r\n", NULL },
};

static bool chunks_feed(HttpChunks *c, const char *data, size_t n, GString *body, bool *ret_ended)
{
  const char *piece;
  size_t piece_n;
  HttpStep step;
  while ((step = http_chunks_next(c, &data, &n, &piece, &piece_n)) == HTTP_READY && piece_n)
    g_string_append_len(body, piece, piece_n);
  *ret_ended = step == HTTP_READY;
  return step != HTTP_REFUSED;
}

static void chunked_bodies_are_read_wherever_they_are_cut(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
    size_t n = strlen(bodies[i].coded);
    for (size_t cut = 0; cut <= n; cut++) {
      HttpChunks c = { 0 };
      g_autoptr(GString) body = g_string_new(NULL);
      bool ended;
      bool good = chunks_feed(&c, bodies[i].coded, cut, body, &ended) &&
                  (ended || chunks_feed(&c, bodies[i].coded + cut, n - cut, body, &ended));
      if (good != (bodies[i].body != NULL) || (good && (strcmp(body->str, bodies[i].body) || ended != bodies[i].ends)))
        fail_msg("row %zu cut at %zu: \"%s\"", i, cut, body->str);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(heads_are_taken_or_refused),
    cmocka_unit_test(a_nul_is_refused),
    cmocka_unit_test(heads_have_limits),
    cmocka_unit_test(parts_of_a_request_are_found),
    cmocka_unit_test(only_plain_paths_are_plain),
    cmocka_unit_test(answers_are_taken_or_refused),
    cmocka_unit_test(chunked_bodies_are_read_wherever_they_are_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

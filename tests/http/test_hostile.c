/* Requests that are broken, ambiguous, huge or slow: each has its refusal, and the server goes on as if nothing had been. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "tests/http/scene.h"

#define LINE(text) text "\r\n"
#define GET_HOSTS LINE("GET /api/v1/hosts HTTP/1.1")
#define POST_HOST LINE("POST /api/v1/hosts HTTP/1.1") LINE("Host: x") LINE("Content-Type: application/json")
#define RAW(text) text, sizeof text - 1

static Scene *scene;

static int set_up(void **state)
{
  static const char *const sets[] = { "http.head_s=1", "http.body_s=1", "http.idle_s=1", NULL };
  scene = scene_new(sets);
  return 0;
}

static int tear_down(void **state)
{
  scene_free(scene);
  return 0;
}

static void assert_alive(void)
{
  g_autoptr(Response) r = client_ask(scene->local, "GET", "/api/v1/hosts/h1", NULL, NULL, NULL);
  assert_int_equal(r->status, 200);
}

static Response *ask_raw(const char *bytes, size_t n)
{
  int fd = client_connect(scene->local);
  client_send(fd, bytes, n);
  Response *r = client_read(fd);
  close(fd);
  return r;
}

static void check(const Response *r, int status, const char *code, const char *why)
{
  if (r->status != status || (code && strcmp(response_code(r), code)))
    fail_msg("%s: want %d %s, got %d %s", why, status, code ? code : "", r->status, r->body->str);
}

/* ── heads ────────────────────────────────────────────────────────────────── */

static void heads_are_read_strictly(void **state)
{
  /* no code: libmicrohttpd answers before we are asked */
  static const struct { const char *bytes; size_t n; int status; const char *code, *why;
  } rows[] = {
    { RAW(GET_HOSTS LINE("Host: x") LINE("")), 200, NULL, "a good one" },
    { RAW(POST_HOST LINE("Content-Length: 2") LINE("Transfer-Encoding: chunked") LINE("") LINE("2") LINE("{}") LINE("0")
              LINE("")),
      400, "bad-request", "CL and TE" },
    { RAW(POST_HOST LINE("Transfer-Encoding: chunked") LINE("") LINE("2") LINE("{}") LINE("0") LINE("")), 400, "bad-request",
      "TE alone" },
    { RAW(POST_HOST LINE("Transfer-Encoding: gzip, chunked") LINE("")), 400, "bad-request", "another TE" },
    { RAW(POST_HOST LINE("Content-Length: 2") LINE("Content-Length: 2") LINE("") "{}"), 400, "bad-request", "two CLs, the same" },
    { RAW(POST_HOST LINE("Content-Length: 2") LINE("Content-Length: 200") LINE("") "{}"), 400, "bad-request", "two CLs" },
    { RAW(POST_HOST LINE("Content-Length: 2, 2") LINE("") "{}"), 400, NULL, "a list of CLs" },
    { RAW(POST_HOST LINE("Content-Length: -2") LINE("") "{}"), 400, NULL, "a negative CL" },
    { RAW(POST_HOST LINE("Content-Length: +2") LINE("") "{}"), 400, NULL, "a signed CL" },
    { RAW(POST_HOST LINE("Content-Length: 0x2") LINE("") "{}"), 400, NULL, "a hexadecimal CL" },
    { RAW(POST_HOST LINE("Content-Length: ") LINE("") "{}"), 400, NULL, "an empty CL" },
    { RAW(POST_HOST LINE("Content-Length: 99999999999999999999999") LINE("") "{}"), 413, NULL, "a CL beyond numbers" },
    { RAW(POST_HOST LINE("Content-Length: 1048577") LINE("") "{}"), 413, "too-large", "a CL beyond the limit" },
    { RAW(POST_HOST LINE("Content-Encoding: gzip") LINE("Content-Length: 2") LINE("") "{}"), 400, "bad-request",
      "a packed body" },
    { RAW("GET /api/v1/hosts HTTP/1.1\nHost: x\n\n"), 400, "bad-request", "bare LFs" },
    { RAW(GET_HOSTS "Host: x\n\r\n"), 400, "bad-request", "one bare LF" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("X: a\0b") LINE("")), 400, "bad-request", "NUL in a value" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("X\0Y: a") LINE("")), 400, NULL, "NUL in a name" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("\0Content-Length: 9") LINE("")), 400, "bad-request", "NUL before a name" },
    { RAW("GET /api/v1/hosts\0/h1 HTTP/1.1\r\nHost: x\r\n\r\n"), 400, "bad-request", "NUL in the target" },
    { RAW("GET\0 /api/v1/hosts HTTP/1.1\r\nHost: x\r\n\r\n"), 400, "bad-request", "NUL in the method" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("X: a") LINE(" folded: b") LINE("")), 400, "bad-request", "a folded line" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("X : a") LINE("")), 400, "bad-request", "a blank before the colon" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("no colon") LINE("")), 400, NULL, "no colon" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("X: a\x01") LINE("")), 400, "bad-request", "a control character" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("X: a\rb") LINE("")), 400, "bad-request", "a bare CR" },
    { RAW(GET_HOSTS LINE("")), 400, "bad-request", "no Host" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("Host: y") LINE("")), 400, "bad-request", "two Hosts" },
    { RAW(GET_HOSTS LINE("Host: ") LINE("")), 400, "bad-request", "an empty Host" },
    { RAW(GET_HOSTS LINE("Host: x/y") LINE("")), 400, "bad-request", "a Host with a path" },
    { RAW(GET_HOSTS LINE("Host: a@b") LINE("")), 400, "bad-request", "a Host with a user" },
    { RAW(GET_HOSTS LINE("Host: x:99999999") LINE("")), 400, "bad-request", "a Host with an endless port" },
    { RAW(GET_HOSTS LINE("Host: [::1]:8443") LINE("")), 200, NULL, "an IPv6 Host" },
    { RAW(LINE("GET  /api/v1/hosts HTTP/1.1") LINE("Host: x") LINE("")), 400, "bad-request", "two blanks" },
    { RAW(LINE("GET /api/v1/hosts x HTTP/1.1") LINE("Host: x") LINE("")), 400, "bad-request", "a blank in the target" },
    { RAW(LINE("GET http://evil.example/api/v1/hosts HTTP/1.1") LINE("Host: x") LINE("")), 400, "bad-request",
      "an absolute target" },
    { RAW(LINE("GET * HTTP/1.1") LINE("Host: x") LINE("")), 400, "bad-request", "an asterisk" },
    { RAW(LINE("GET /api/v1/hosts HTTP/1.2") LINE("Host: x") LINE("")), 400, "bad-request", "HTTP/1.2" },
    { RAW(LINE("GET /api/v1/hosts HTTP/2.0") LINE("Host: x") LINE("")), 505, NULL, "HTTP/2.0" },
    { RAW(LINE("GET /api/v1/hosts") LINE("")), 400, NULL, "no version" },
    { RAW(LINE("GET") LINE("")), 0, NULL, "a method alone" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("Authorization: Bearer a") LINE("Authorization: Bearer b") LINE("")), 400, "bad-request",
      "two Authorizations" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("Content-Type: application/json") LINE("Content-Length: 2") LINE("") "{}"), 400,
      "bad-request", "a GET with a body" },
    { RAW(GET_HOSTS LINE("Host: x") LINE("X-HTTP-Method-Override: DELETE") LINE("")), 200, NULL, "a method in disguise" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r = ask_raw(rows[i].bytes, rows[i].n);
    check(r, rows[i].status, rows[i].code, rows[i].why);
    assert_alive();
  }
}

static void heads_have_a_size(void **state)
{
  static const struct { size_t lines, value; int status; const char *code; } rows[] = {
    { 99, 10, 200, NULL }, { 100, 10, 431, "head-too-large" }, { 1, 16000, 200, NULL }, { 1, 16400, 431, "head-too-large" },
    { 1, 8 << 20, 431, NULL }, { 100000, 4, 431, NULL },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *value = g_strnfill(rows[i].value, 'x');
    g_autoptr(GString) text = g_string_new(GET_HOSTS LINE("Host: x"));
    for (size_t line = 0; line < rows[i].lines; line++)
      g_string_append_printf(text, "X-%zu: %s\r\n", line, value);
    g_string_append(text, "\r\n");
    g_autoptr(Response) r = ask_raw(text->str, text->len);
    check(r, rows[i].status, rows[i].code, "size");
    assert_alive();
  }
  g_autofree char *name = g_strnfill(1 << 20, 'n');
  g_autofree char *target = g_strconcat("/api/v1/hosts/", name, NULL);
  g_autoptr(Response) r = client_ask(scene->local, "GET", target, NULL, NULL, NULL);
  check(r, 414, NULL, "a long target");
}

static void paths_stay_paths(void **state)
{
  static const struct { const char *method, *target; int status; const char *code; } rows[] = {
    { "GET", "/api/v1/hosts/..%2fhosts", 404, "no-such-path" }, { "GET", "/api/v1/hosts/h1%00", 404, "no-such-path" },
    { "GET", "/api/v1/hosts/%00", 404, "no-such-path" },        { "GET", "/api/v1/hosts/..", 404, "not-found" },
    { "GET", "/api/v1/hosts/%2e%2e", 404, "not-found" },        { "GET", "/api/v1/../v1/hosts", 404, "no-such-path" },
    { "GET", "//api/v1/hosts", 404, "no-such-path" },           { "GET", "/api/v1/hosts/h1/", 404, "no-such-path" },
    { "GET", "/api/v1/hosts/%ff", 404, "no-such-path" },        { "GET", "/api/v1/hosts/%zz", 404, "no-such-path" },
    { "GET", "/api/v1/hosts%2fh1", 404, "no-such-path" },       { "GET", "/etc/passwd", 404, "no-such-path" },
    { "GET", "/api/v1/hosts/<script>", 404, "not-found" },      { "GET", "/api/v1/hosts/h1#x", 404, "not-found" },
    { "PUT", "/api/v1/hosts/h1", 405, "method-not-allowed" },   { "HEAD", "/api/v1/hosts", 405, NULL },
    { "OPTIONS", "/api/v1/hosts", 405, "method-not-allowed" },  { "TRACE", "/api/v1/hosts", 405, "method-not-allowed" },
    { "get", "/api/v1/hosts", 405, "method-not-allowed" },      { "GETT", "/api/v1/hosts", 405, "method-not-allowed" },
    { "DELETE", "/api/v1/hosts", 405, "method-not-allowed" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r = client_ask(scene->local, rows[i].method, rows[i].target, NULL, NULL, NULL);
    check(r, rows[i].status, rows[i].code, rows[i].target);
    g_autofree char *allow = response_header(r, "Allow");
    assert_true(r->status != 405 || !strcmp(allow, strstr(rows[i].target, "h1") ? "GET, PATCH, DELETE" : "GET, POST"));
  }
}

static void arguments_are_read_strictly(void **state)
{
  static const struct { const char *target; int status; const char *code; } rows[] = {
    { "/api/v1/hosts?limit=1", 200, NULL },
    { "/api/v1/hosts?limit=1000&after=zzz&state=up&uri=qemu%3a%2f%2f%2fsystem", 200, NULL },
    { "/api/v1/hosts?limit=0", 400, "bad-value" },
    { "/api/v1/hosts?limit=1001", 400, "bad-value" },
    { "/api/v1/hosts?limit=-1", 400, "bad-value" },
    { "/api/v1/hosts?limit=1e3", 400, "bad-value" },
    { "/api/v1/hosts?limit=99999999999999999999", 400, "bad-value" },
    { "/api/v1/hosts?limit=1&limit=2", 400, "bad-value" },
    { "/api/v1/hosts?nonsense=1", 400, "unknown-field" },
    { "/api/v1/hosts?state=flying", 400, "bad-value" },
    { "/api/v1/hosts?vcpus=many", 400, "bad-value" },
    { "/api/v1/hosts?seen=2026", 400, "bad-value" },
    { "/api/v1/hosts?uri=%00", 400, "bad-value" },
    { "/api/v1/hosts?uri=%ff", 400, "bad-value" },
    { "/api/v1/hosts?%00=1", 400, "bad-value" },
    { "/api/v1/hosts?=", 400, "unknown-field" },
    { "/api/v1/hosts?", 200, NULL },
    { "/api/v1/hosts/h1?x=1", 400, "unknown-field" },
    { "/api/v1/watch?nouns=host,nonsense", 400, "bad-value" },
    { "/api/v1/watch?nouns=ticket", 400, "bad-value" },
    { "/api/v1/watch?after=-1", 400, "bad-value" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r = client_ask(scene->local, "GET", rows[i].target, NULL, NULL, NULL);
    check(r, rows[i].status, rows[i].code, rows[i].target);
  }
  g_autoptr(GString) many = g_string_new("/api/v1/hosts?a");
  for (int i = 0; i < 40; i++)
    g_string_append_printf(many, "&a%d", i);
  g_autoptr(Response) r = client_ask(scene->local, "GET", many->str, NULL, NULL, NULL);
  check(r, 431, "head-too-large", "40 arguments");
}

/* ── bodies ───────────────────────────────────────────────────────────────── */

static void bodies_are_read_strictly(void **state)
{
  static const struct { const char *body, *code; } rows[] = {
    { "{\"name\":\"h2\",\"uri\":\"fake:h2\"}", "" },
    { "", "missing-field" },
    { "{}", "missing-field" },
    { "{\"name\":\"h2\"}", "missing-field" },
    { "[]", "bad-json" },
    { "null", "bad-json" },
    { "\"text\"", "bad-json" },
    { "{", "bad-json" },
    { "{\"name\":\"h2\",\"name\":\"h3\",\"uri\":\"fake:h2\"}", "bad-json" },
    { "{\"name\":\"h2\",\"uri\":\"fake:h2\"} {}", "bad-json" },
    { "{\"name\":\"h2\",\"uri\":\"fake:h2\"}x", "bad-json" },
    { "{\"name\":\"h2\",\"uri\":\"a\\u0000b\"}", "bad-json" },
    { "{\"name\":\"h2\",\"uri\":\"\xff\"}", "bad-json" },
    { "{\"name\":\"h2\",\"uri\":\"\\ud800\"}", "bad-json" },
    { "\xef\xbb\xbf{}", "bad-json" },
    { "{'name':'h2'}", "bad-json" },
    { "{\"name\":\"h2\",}", "bad-json" },
    { "{\"name\":NaN}", "bad-json" },
    { "{\"vcpus\":99999999999999999999}", "bad-json" },
    { "{\"vcpus\":1e999}", "bad-json" },
    { "{\"vcpus\":01}", "bad-json" },
    { "{\"name\":\"h2\",\"uri\":\"fake:h2\",\"nonsense\":1}", "unknown-field" },
    { "{\"name\":\"h2\",\"uri\":\"fake:h2\",\"state\":\"up\"}", "unknown-field" },
    { "{\"name\":\"h2\",\"uri\":\"fake:h2\",\"generation\":7}", "unknown-field" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/hosts", NULL, NULL, rows[i].body);
    check(r, *rows[i].code ? 400 : 200, rows[i].code, rows[i].body);
  }
}

/* A word of another kind is not one that is absent: a session for whoever "user" was meant to be is not the caller's. */
static void words_of_another_kind_are_refused(void **state)
{
  static const struct { const char *path, *body; } rows[] = {
    { "sessions", "{\"pool\":\"cad\",\"user\":5}" },  { "sessions", "{\"pool\":7}" },
    { "sessions", "{\"pool\":\"cad\",\"ticket\":\"yes\"}" }, { "tokens", "{\"user\":[\"jihye\"]}" },
    { "tokens", "{\"title\":7}" },                     { "tokens", "{\"days\":\"7\"}" },
    { "rebalance", "{\"host\":3}" },                   { "rebalance", "{\"pool\":true}" },
    { "users", "{\"name\":{}}" },                      { "hosts", "{\"name\":\"h2\",\"uri\":1.5}" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *path = g_strconcat("/api/v1/", rows[i].path, NULL);
    g_autoptr(Response) r = client_ask(scene->local, "POST", path, NULL, NULL, rows[i].body);
    check(r, 400, "bad-value", rows[i].body);
  }
}

static void deep_bodies_end_early(void **state)
{
  static const struct { size_t n; const char *open, *close; int status; const char *code; } rows[] = {
    { 30, "[", "]", 400, "unknown-field" }, { 32, "[", "]", 400, "bad-json" }, { 500000, "[", "]", 400, "bad-json" },
    { 500000, "[", "", 400, "bad-json" },   { 100000, "{\"a\":", "}", 400, "bad-json" }, { 2 << 20, "[", "", 413, "too-large" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GString) body = g_string_new("{\"x\":");
    for (size_t n = 0; n < rows[i].n; n++)
      g_string_append(body, rows[i].open);
    for (size_t n = 0; n < rows[i].n && body->len < 1 << 20; n++)
      g_string_append(body, rows[i].close);
    g_string_append(body, "}");
    g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/hosts", NULL, NULL, body->str);
    check(r, rows[i].status, rows[i].code, "depth");
    assert_alive();
  }
}

static void bodies_are_json_by_name(void **state)
{
  static const struct { const char *type; int status;
  } rows[] = {
    { "Content-Type: application/json", 200 },
    { "Content-Type: Application/JSON; charset=utf-8", 200 },
    { "Content-Type: text/plain", 415 },
    { "Content-Type: application/jsonx", 415 },
    { "Content-Type: application/x-www-form-urlencoded", 415 },
    { "X: y", 415 },
    { "Content-Type: ", 415 },
  };
  static const char body[] = "{\"name\":\"h2\",\"uri\":\"fake:h2\"}";
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = g_strdup_printf("POST /api/v1/hosts HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %zu\r\n\r\n%s",
                                            rows[i].type, strlen(body), body);
    g_autoptr(Response) r = ask_raw(text, strlen(text));
    check(r, rows[i].status, rows[i].status == 200 ? NULL : "content-type", rows[i].type);
  }
}

static void a_refusal_quotes_no_password(void **state)
{
  static const char *const bodies[] = {
    "{\"name\":\"u1\",\"password\":\"hunter2hunter2\" oops}", "{\"name\":\"u1\",\"password\":\"short77\"}",
    "{\"name\":\"u1\",\"password\":[\"hunter2hunter2\"]}", "{\"name\":\"u1\",\"password\":\"hunter2hunter2\",\"nonsense\":1}",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
    g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/users", NULL, NULL, bodies[i]);
    assert_int_equal(r->status, 400);
    assert_null(strstr(r->body->str, "hunter2"));
    assert_null(strstr(r->body->str, "short77"));
  }
}

static void heads_of_changes_are_checked(void **state)
{
  static const struct { const char *headers; int status; const char *code; } rows[] = {
    { "Idempotency-Key: 0123-abc\r\n", 200, NULL },
    { "Idempotency-Key: \r\n", 400, "bad-value" },
    { "Idempotency-Key: with blank\r\n", 400, "bad-value" },
    { "Idempotency-Key: 12345678901234567890123456789012345678901234567890123456789012345\r\n", 400, "bad-value" },
    { "If-Match: \"3\"\r\n", 200, NULL },
    { "If-Match: *\r\n", 200, NULL },
    { "If-Match: 3\r\n", 400, "bad-value" },
    { "If-Match: \"x\"\r\n", 400, "bad-value" },
    { "If-Match: \"1\", \"2\"\r\n", 400, "bad-value" },
    { "Origin: https://desk.example\r\n", 200, NULL },
    { "Origin: https://DESK.example\r\n", 200, NULL },
    { "Origin: https://evil.example\r\n", 403, "foreign-origin" },
    { "Origin: https://desk.example.evil.example\r\n", 403, "foreign-origin" },
    { "Origin: https://desk.example:444\r\n", 403, "foreign-origin" },
    { "Origin: null\r\n", 403, "foreign-origin" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/hosts/h1/drain", NULL, rows[i].headers, NULL);
    check(r, rows[i].status, rows[i].code, rows[i].headers);
  }
  g_autoptr(Request) last = fake_last_request(scene->runtime);
  assert_non_null(last);
}

/* ── time ─────────────────────────────────────────────────────────────────── */

/* A byte every tenth of a second keeps libmicrohttpd's own time-out from ever passing. */
static bool drip_is_cut(int fd, int seconds)
{
  for (int tenths = 0; tenths < seconds * 10; tenths++) {
    if (client_is_closed(fd, 100))
      return true;
    client_send(fd, "x", 1);
  }
  return false;
}

static void slow_heads_are_cut(void **state)
{
  int fd = client_connect(scene->local);
  client_send(fd, RAW(GET_HOSTS "X-Slow: "));
  assert_true(drip_is_cut(fd, 5));
  close(fd);
}

static void slow_bodies_are_cut(void **state)
{
  int fd = client_connect(scene->local);
  client_send(fd, RAW(POST_HOST LINE("Content-Length: 1000000") LINE("")));
  assert_true(drip_is_cut(fd, 5));
  close(fd);
}

static void silent_connections_are_cut(void **state)
{
  int fds[64];
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
    fds[i] = client_connect(scene->local);
  assert_alive();
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
    assert_true(client_is_closed(fds[i], 5000));
    close(fds[i]);
  }
}

static void answers_that_nobody_takes_are_cut(void **state)
{
  for (int i = 0; i < 1500; i++) {
    g_autofree char *name = g_strdup_printf("d-%d", 100 + i);
    fake_put(scene->runtime, object_new(&schemas[NOUN_DESKTOP], NOUN_DESKTOP, name));
  }
  int fd = client_connect(scene->local);
  for (int i = 0; i < 8; i++)
    client_send(fd, RAW(LINE("GET /api/v1/desktops?limit=1000 HTTP/1.1") LINE("Host: x") LINE("")));
  struct pollfd hang_up = { fd, 0, 0 };
  assert_int_equal(poll(&hang_up, 1, 6000), 1);
  assert_true(hang_up.revents & POLLHUP);
  assert_alive();
  close(fd);
}

/* ── what is allowed, though odd ──────────────────────────────────────────── */

static void a_request_may_come_byte_by_byte(void **state)
{
  static const char text[] = GET_HOSTS LINE("Host: x") LINE("");
  int fd = client_connect(scene->local);
  for (size_t i = 0; i < sizeof text - 1; i++)
    client_send(fd, text + i, 1);
  g_autoptr(Response) r = client_read(fd);
  assert_int_equal(r->status, 200);
  close(fd);
}

static void a_connection_takes_one_request_after_the_other(void **state)
{
  int fd = client_connect(scene->local);
  for (int i = 0; i < 20; i++) {
    client_send(fd, RAW(LINE("POST /api/v1/hosts/h1/drain HTTP/1.1") LINE("Host: x") LINE("")));
    g_autoptr(Response) changed = client_read(fd);
    assert_int_equal(changed->status, 200);
    client_send(fd, RAW(LINE("GET /nowhere HTTP/1.1") LINE("Host: x") LINE("")));
    g_autoptr(Response) refused = client_read(fd);
    assert_int_equal(refused->status, 404);
    assert_false(refused->closed);
  }
  close(fd);
}

static void a_small_body_of_a_refused_request_is_read_away(void **state)
{
  int fd = client_connect(scene->gateway);
  client_send(fd, RAW(POST_HOST LINE("Content-Length: 10") LINE("") "0123456789"));
  g_autoptr(Response) first = client_read(fd);
  assert_int_equal(first->status, 401);
  client_send(fd, RAW(GET_HOSTS LINE("Host: x") LINE("")));
  g_autoptr(Response) second = client_read(fd);
  assert_int_equal(second->status, 401);
  close(fd);
}

static void a_client_that_leaves_hurts_nobody(void **state)
{
  fake_hold(scene->runtime);
  for (int i = 0; i < 20; i++) {
    int fd = client_connect(scene->local);
    client_send(fd, RAW(LINE("POST /api/v1/hosts/h1/drain HTTP/1.1") LINE("Host: x") LINE("")));
    close(fd);
  }
  assert_alive(); /* reads never wait for the brain */
  fake_release(scene->runtime);
  assert_alive();
}

static void more_connections_than_allowed_wait(void **state)
{
  static const char *const sets[] = { "http.connections=8", NULL };
  Scene *small = scene_new(sets);
  int kept = client_connect(small->local), fds[40];
  client_send(kept, RAW(GET_HOSTS LINE("Host: x") LINE("")));
  g_autoptr(Response) first = client_read(kept);
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
    fds[i] = client_connect(small->local);
  client_send(kept, RAW(GET_HOSTS LINE("Host: x") LINE("")));
  g_autoptr(Response) second = client_read(kept);
  assert_int_equal(second->status, 200);
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
    close(fds[i]);
  g_autoptr(Response) later = client_ask(small->local, "GET", "/api/v1/hosts", NULL, NULL, NULL);
  assert_int_equal(later->status, 200);
  close(kept);
  scene_free(small);
}

static int lowest_free_fd(void)
{
  int fd = dup(0);
  close(fd);
  return fd;
}

/* libmicrohttpd's threads may be anywhere between two connections when a server closes. */
static void a_server_may_close_at_any_moment(void **state)
{
  static const char *const sets[] = { "http.connections=64", "http.threads=32", NULL };
  int before = lowest_free_fd();
  for (int round = 0; round < 40; round++) {
    Scene *brief = scene_new(sets);
    int fds[12];
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
      fds[i] = client_connect(brief->local);
      client_send(fds[i], RAW(GET_HOSTS LINE("Host: x") LINE("")));
    }
    g_usleep(round * 50);
    scene_free(brief);
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
      close(fds[i]);
  }
  assert_int_equal(lowest_free_fd(), before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(heads_are_read_strictly),
    cmocka_unit_test(heads_have_a_size),
    cmocka_unit_test(paths_stay_paths),
    cmocka_unit_test(arguments_are_read_strictly),
    cmocka_unit_test(bodies_are_read_strictly),
    cmocka_unit_test(words_of_another_kind_are_refused),
    cmocka_unit_test(deep_bodies_end_early),
    cmocka_unit_test(bodies_are_json_by_name),
    cmocka_unit_test(a_refusal_quotes_no_password),
    cmocka_unit_test(heads_of_changes_are_checked),
    cmocka_unit_test(slow_heads_are_cut),
    cmocka_unit_test(slow_bodies_are_cut),
    cmocka_unit_test(silent_connections_are_cut),
    cmocka_unit_test(answers_that_nobody_takes_are_cut),
    cmocka_unit_test(a_request_may_come_byte_by_byte),
    cmocka_unit_test(a_connection_takes_one_request_after_the_other),
    cmocka_unit_test(a_small_body_of_a_refused_request_is_read_away),
    cmocka_unit_test(a_client_that_leaves_hurts_nobody),
    cmocka_unit_test(more_connections_than_allowed_wait),
    cmocka_unit_test(a_server_may_close_at_any_moment),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

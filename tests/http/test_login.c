/* Passwords, tokens and cookies from end to end: what gets in, what the brain gets to see, what is shown once, what ends a login.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <crypt.h>
#include <string.h>
#include <unistd.h>

#include "drivers/identity/password.h"
#include "drivers/identity/token.h"
#include "tests/http/scene.h"

#define GOOD "{\"name\":\"alice\",\"password\":\"" ALICES_PASSWORD "\"}"
#define WRONG "{\"name\":\"alice\",\"password\":\"wrong horse\"}"
#define FROM(address) "X-Sarang-Client: " address "\r\n"
#define PAGE "X-Sarang-CSRF: 1\r\n"

static Scene *scene;

static int set_up(void **state)
{
  scene = scene_new(NULL);
  return 0;
}

static int tear_down(void **state)
{
  scene_free(scene);
  return 0;
}

static Response *login(const char *headers, const char *body)
{
  return client_ask(scene->gateway, "POST", "/api/v1/login", NULL, headers, body);
}

static int status_of(const char *method, const char *target, const char *token, const char *headers)
{
  g_autoptr(Response) r = client_ask(scene->gateway, method, target, token, headers, NULL);
  return r->status;
}

/* "Cookie: …" out of the answer to a login, with more header lines behind. */
static char *cookie_of(const Response *r, const char *more)
{
  g_autofree char *set = response_header(r, "Set-Cookie");
  assert_non_null(set);
  assert_true(g_str_has_prefix(set, "__Host-sarang=k-"));
  const char *attributes = strchr(set, ';');
  assert_string_equal(attributes, "; Path=/; Secure; HttpOnly; SameSite=Strict");
  return g_strdup_printf("Cookie: a=b; %.*s; c=d\r\n%s", (int)(attributes - set), set, more);
}

static void a_page_gets_a_cookie(void **state)
{
  g_autoptr(Response) r = login(FROM("192.0.2.1") PAGE, GOOD);
  assert_int_equal(r->status, 201);
  assert_null(json_object_get(r->json, "token"));
  g_autofree char *cookie = cookie_of(r, "");
  assert_null(strstr(r->body->str, strchr(cookie, '.')));
  g_autoptr(Response) me = client_ask(scene->gateway, "GET", "/api/v1/me", NULL, cookie, NULL);
  assert_string_equal(json_string_value(json_object_get(me->json, "name")), "alice");
  assert_string_equal(json_string_value(json_object_get(me->json, "role")), "user");
  g_autoptr(Response) local = client_ask(scene->local, "GET", "/api/v1/me", NULL, cookie, NULL);
  assert_true(json_is_true(json_object_get(local->json, "local"))); /* there cookies mean nothing */
}

static void a_program_gets_a_token(void **state)
{
  g_autoptr(Response) r = login(FROM("192.0.2.1"), GOOD);
  assert_int_equal(r->status, 201);
  g_autofree char *cookie = response_header(r, "Set-Cookie");
  assert_null(cookie);
  const char *token = json_string_value(json_object_get(r->json, "token"));
  assert_int_equal(status_of("GET", "/api/v1/me", token, NULL), 200);
  g_autoptr(Request) seen = fake_last_request(scene->runtime);
  assert_int_equal(seen->verb, API_LOGIN);
  assert_string_equal(seen->caller.user, "alice");
  assert_true(token_fits(strchr(token, '.') + 1, seen->secret_hash));
  assert_null(seen->body);
}

static void changes_by_cookie_need_the_header(void **state)
{
  g_autoptr(Response) r = login(FROM("192.0.2.1") PAGE, GOOD);
  g_autofree char *bare = cookie_of(r, ""), *page = cookie_of(r, PAGE), *other = cookie_of(r, "X-Sarang-CSRF: 0\r\n");
  assert_int_equal(status_of("GET", "/api/v1/desktops/d-1", NULL, bare), 200);
  assert_int_equal(status_of("POST", "/api/v1/desktops/d-1/start", NULL, bare), 403);
  assert_int_equal(status_of("POST", "/api/v1/desktops/d-1/start", NULL, other), 403);
  assert_int_equal(status_of("POST", "/api/v1/desktops/d-1/start", NULL, page), 200);
  g_autofree char *evil = cookie_of(r, PAGE "Origin: https://evil.example\r\n"),
                  *own = cookie_of(r, PAGE "Origin: https://desk.example\r\n");
  assert_int_equal(status_of("POST", "/api/v1/desktops/d-1/start", NULL, evil), 403);
  assert_int_equal(status_of("POST", "/api/v1/desktops/d-1/start", NULL, own), 200);
  g_autofree char *twice = cookie_of(r, PAGE);
  char *end = strstr(twice, "; c=d");
  g_autofree char *two = g_strdup_printf("%.*s; __Host-sarang=k-1.x\r\n", (int)(end - twice), twice);
  assert_int_equal(status_of("GET", "/api/v1/me", NULL, two), 401);
}

static void logging_out_ends_the_token(void **state)
{
  g_autoptr(Response) r = login(FROM("192.0.2.1") PAGE, GOOD);
  g_autofree char *page = cookie_of(r, PAGE);
  g_autoptr(Response) out = client_ask(scene->gateway, "POST", "/api/v1/logout", NULL, page, NULL);
  assert_int_equal(out->status, 204);
  g_autofree char *cookie = response_header(out, "Set-Cookie");
  assert_non_null(strstr(cookie, "Max-Age=0"));
  assert_int_equal(status_of("GET", "/api/v1/me", NULL, page), 401);
}

static void wrong_passwords_and_nobodies_are_told_the_same(void **state)
{
  static const struct { const char *body; int status; const char *code; } rows[] = {
    { WRONG, 401, "bad-login" },
    { "{\"name\":\"nobody-here\",\"password\":\"wrong horse\"}", 401, "bad-login" },
    { "{\"name\":\"bob\",\"password\":\"wrong horse\"}", 401, "bad-login" },                   /* has no password */
    { "{\"name\":\"dora\",\"password\":\"" ALICES_PASSWORD "\"}", 401, "bad-login" },          /* disabled */
    { "{\"name\":\"root\",\"password\":\"\"}", 401, "bad-login" },
    { "{\"name\":\"alice\"}", 400, "missing-field" },
    { "{\"name\":[],\"password\":\"x\"}", 400, "bad-value" },
    { "", 400, "missing-field" },
  };
  g_autofree char *first = NULL;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *from = g_strdup_printf(FROM("198.51.100.%zu"), i);
    g_autoptr(Response) r = login(from, rows[i].body);
    assert_int_equal(r->status, rows[i].status);
    assert_string_equal(response_code(r), rows[i].code);
    if (rows[i].status != 401)
      continue;
    g_autofree char *challenge = response_header(r, "WWW-Authenticate");
    assert_string_equal(challenge, "Bearer realm=\"sarang\"");
    if (first)
      assert_string_equal(r->body->str, first);
    else
      first = g_strdup(r->body->str);
  }
}

static void a_long_password_is_wrong_before_it_costs(void **state)
{
  g_autofree char *password = g_strnfill(100000, 'x'),
                  *body = g_strdup_printf("{\"name\":\"alice\",\"password\":\"%s\"}", password);
  g_autoptr(Response) r = login(FROM("198.51.100.99"), body);
  assert_int_equal(r->status, 401);
}

/* Nothing is kept of a name that no user can have, so that it delays nobody either. */
static void a_name_nobody_can_have_is_wrong_before_it_counts(void **state)
{
  g_autofree char *name = g_strnfill(100000, 'x');
  const char *names[] = { name, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "change alice", "", "Alice" };
  for (size_t i = 0; i < 4 * G_N_ELEMENTS(names); i++) {
    g_autofree char *body = g_strdup_printf("{\"name\":\"%s\",\"password\":\"x\"}", names[i % G_N_ELEMENTS(names)]);
    g_autoptr(Response) r = login(FROM("198.51.100.98"), body);
    assert_int_equal(r->status, 401);
    assert_string_equal(response_code(r), "bad-login");
  }
}

static void guessing_is_slowed_down_and_nobody_else_is(void **state)
{
  g_autoptr(Response) known = login(FROM("203.0.113.1"), GOOD);
  assert_int_equal(known->status, 201);
  bool delayed = false;
  for (int i = 0; i < 8 && !delayed; i++) {
    g_autoptr(Response) r = login(FROM("203.0.113.66"), WRONG);
    delayed = r->status == 429;
    g_autofree char *after = response_header(r, "Retry-After");
    assert_true(delayed ? atoi(after) >= 1 : r->status == 401);
  }
  assert_true(delayed);
  g_autoptr(Response) guessed = login(FROM("203.0.113.66"), GOOD);
  assert_int_equal(guessed->status, 429); /* also the right one, or the delay would tell */
  g_autoptr(Response) again = login(FROM("203.0.113.1"), GOOD);
  assert_int_equal(again->status, 201);
}

static void a_flood_of_logins_is_turned_away(void **state)
{
  static const char *const sets[] = { "http.logins=2", NULL };
  Scene *small = scene_new(sets);
  int fds[24], busy = 0, wrong = 0;
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
    fds[i] = client_connect(small->gateway);
    g_autofree char *body = g_strdup_printf("{\"name\":\"u%zu\",\"password\":\"wrong horse\"}", i);
    g_autofree char *text = g_strdup_printf(
        "POST /api/v1/login HTTP/1.1\r\nHost: x\r\nX-Sarang-Client: 192.0.2.%zu\r\nContent-Type: application/json\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        i, strlen(body), body);
    client_send(fds[i], text, strlen(text));
  }
  g_autoptr(Response) meanwhile = client_ask(small->gateway, "GET", "/api/v1/me", small->alice, NULL, NULL);
  assert_int_equal(meanwhile->status, 200);
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
    g_autoptr(Response) r = client_read(fds[i]);
    busy += r->status == 503;
    wrong += r->status == 401;
    close(fds[i]);
  }
  assert_true(busy > 0 && wrong > 0);
  assert_int_equal(busy + wrong, G_N_ELEMENTS(fds));
  scene_free(small);
}

/* ── what the brain gets to see ───────────────────────────────────────────── */

static void a_new_user_reaches_the_brain_without_password(void **state)
{
  g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/users", NULL, NULL,
                                     "{\"name\":\"eve\",\"role\":\"user\",\"password\":\"battery staple\"}");
  assert_int_equal(r->status, 200);
  g_autoptr(Request) seen = fake_last_request(scene->runtime);
  assert_int_equal(seen->verb, API_USER_ADD);
  assert_null(json_object_get(seen->body, "password"));
  assert_string_equal(json_string_value(json_object_get(seen->body, "name")), "eve");
  assert_true(password_fits("battery staple", seen->secret_hash));
  struct crypt_data data = { 0 };
  assert_string_equal(crypt_r("battery staple", seen->guest_hash, &data), seen->guest_hash);
}

static void a_user_may_have_no_password(void **state)
{
  g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/users", NULL, NULL, "{\"name\":\"eve\"}");
  assert_int_equal(r->status, 200);
  g_autoptr(Request) seen = fake_last_request(scene->runtime);
  assert_null(seen->secret_hash);
  assert_null(seen->guest_hash);
}

static void ones_own_password_needs_the_old_one(void **state)
{
  static const struct { const char *body; int status; const char *code; } rows[] = {
    { "{\"password\":\"battery staple\"}", 400, "missing-field" },
    { "{\"password\":\"battery staple\",\"old_password\":\"wrong horse\"}", 403, "old-password-wrong" },
    { "{\"password\":\"short\",\"old_password\":\"" ALICES_PASSWORD "\"}", 400, "bad-value" },
    { "{\"password\":\"battery staple\",\"old_password\":\"" ALICES_PASSWORD "\"}", 200, "" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r =
        client_ask(scene->gateway, "POST", "/api/v1/users/alice/password", scene->alice, FROM("192.0.2.9"), rows[i].body);
    assert_int_equal(r->status, rows[i].status);
    assert_string_equal(response_code(r), rows[i].code);
  }
  g_autoptr(Request) seen = fake_last_request(scene->runtime);
  assert_int_equal(json_object_size(seen->body), 0);
  g_autoptr(Response) admin =
      client_ask(scene->gateway, "POST", "/api/v1/users/alice/password", scene->administrator, NULL, rows[0].body);
  assert_int_equal(admin->status, 200);
}

/* ── tokens ───────────────────────────────────────────────────────────────── */

static void a_token_is_shown_once(void **state)
{
  g_autoptr(Response) r =
      client_ask(scene->gateway, "POST", "/api/v1/tokens", scene->alice, NULL, "{\"title\":\"ci\",\"days\":30}");
  assert_int_equal(r->status, 201);
  const char *token = json_string_value(json_object_get(r->json, "token"));
  assert_int_equal(status_of("GET", "/api/v1/me", token, NULL), 200);
  g_autoptr(Request) seen = fake_last_request(scene->runtime);
  assert_int_equal(json_integer_value(json_object_get(seen->body, "days")), 30);
  const char *name = json_string_value(json_object_get(r->json, "name"));
  g_autofree char *target = g_strconcat("/api/v1/tokens/", name, NULL);
  g_autoptr(Response) shown = client_ask(scene->gateway, "GET", target, scene->alice, NULL, NULL);
  assert_null(json_object_get(shown->json, "token"));
  assert_null(strstr(shown->body->str, strchr(token, '.')));
}

static void a_login_ends_with_token_user_and_role(void **state)
{
  fake_user(scene->runtime, "gus", ROLE_ADMINISTRATOR, NULL, false);
  g_autofree char *token = fake_token(scene->runtime, "gus", 3600), *orphan = fake_token(scene->runtime, "no-such-user", 3600);
  assert_int_equal(status_of("GET", "/api/v1/hosts", token, NULL), 200);
  assert_int_equal(status_of("GET", "/api/v1/me", orphan, NULL), 401);
  fake_user(scene->runtime, "gus", ROLE_USER, NULL, false);
  assert_int_equal(status_of("GET", "/api/v1/hosts", token, NULL), 403);
  fake_user(scene->runtime, "gus", ROLE_ADMINISTRATOR, NULL, true);
  assert_int_equal(status_of("GET", "/api/v1/hosts", token, NULL), 401);
  fake_user(scene->runtime, "gus", ROLE_ADMINISTRATOR, NULL, false);
  assert_int_equal(status_of("GET", "/api/v1/hosts", token, NULL), 200);
  fake_delete(scene->runtime, NOUN_USER, "gus");
  assert_int_equal(status_of("GET", "/api/v1/hosts", token, NULL), 401);
}

static void other_authorizations_are_none(void **state)
{
  static const char *const rows[] = {
    "Authorization: Basic YWxpY2U6eA==\r\n",
    "Authorization: Bearer\r\n",
    "Authorization: Bearer \r\n",
    "Authorization: k-1.x\r\n",
    "Authorization: \r\n",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    assert_int_equal(status_of("GET", "/api/v1/me", NULL, rows[i]), 401);
  g_autofree char *lower = g_strdup_printf("Authorization: bearer %s\r\n", scene->alice);
  assert_int_equal(status_of("GET", "/api/v1/me", NULL, lower), 200);
  assert_int_equal(status_of("GET", "/api/v1/me", scene->alice, "X-Sarang-Client: not an address\r\n"), 400);
  assert_int_equal(status_of("GET", "/api/v1/me", scene->alice, "X-Sarang-Client: fe80::1%eth0\r\n"), 200);
}

/* However many requests come with it, and never for one that is not good. */
static void a_tokens_use_is_told_once_a_minute(void **state)
{
  g_autofree char *token = fake_token(scene->runtime, "alice", 3600);
  assert_int_equal(fake_uses(scene->runtime, token), 0);
  for (int i = 0; i < 20; i++) {
    g_autoptr(Response) r = client_ask(scene->gateway, "GET", "/api/v1/me", token, NULL, NULL);
    assert_int_equal(r->status, 200);
  }
  assert_int_equal(fake_uses(scene->runtime, token), 1);
  g_autoptr(Response) r = client_ask(scene->gateway, "GET", "/api/v1/me", scene->expired, NULL, NULL);
  assert_int_equal(r->status, 401);
  assert_int_equal(fake_uses(scene->runtime, scene->expired), 0);
}

/* A gateway tells whose page knocks; who that is goes on, what proves it does not. */
static void a_redeem_tells_whose_page_it_is(void **state)
{
  const struct { const char *member, *value, *user; } rows[] = {
    { "cookie", scene->alice, "alice" }, { "authorization", scene->bob, "bob" }, { "cookie", scene->wrong, NULL },
    { "cookie", scene->expired, NULL }, { "authorization", "x", NULL }, { "note", NULL, NULL },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const char *before = !strcmp(rows[i].member, "cookie") ? "a=b; __Host-sarang=" : "Bearer ";
    g_autofree char *member = rows[i].value ? g_strdup_printf(",\"%s\":\"%s%s\"", rows[i].member, before, rows[i].value) : g_strdup("");
    g_autofree char *body = g_strdup_printf("{\"ticket\":\"aaaaaaaaaaaaaaaaaaaa\",\"protocol\":\"vnc\"%s}", member);
    g_autoptr(Response) r = client_ask(scene->gateway, "POST", "/gateway/v1/redeem", NULL, NULL, body);
    assert_int_equal(r->status, 200);
    g_autoptr(Request) asked = fake_last_request(scene->runtime);
    assert_true(!g_strcmp0(asked->caller.user, rows[i].user));
    assert_false(asked->caller.logged_in);
    assert_null(json_object_get(asked->body, "cookie"));
    assert_null(json_object_get(asked->body, "authorization"));
    assert_non_null(json_object_get(asked->body, "ticket"));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_redeem_tells_whose_page_it_is),
    cmocka_unit_test(a_tokens_use_is_told_once_a_minute),
    cmocka_unit_test(a_page_gets_a_cookie),
    cmocka_unit_test(a_program_gets_a_token),
    cmocka_unit_test(changes_by_cookie_need_the_header),
    cmocka_unit_test(logging_out_ends_the_token),
    cmocka_unit_test(wrong_passwords_and_nobodies_are_told_the_same),
    cmocka_unit_test(a_long_password_is_wrong_before_it_costs),
    cmocka_unit_test(a_name_nobody_can_have_is_wrong_before_it_counts),
    cmocka_unit_test(guessing_is_slowed_down_and_nobody_else_is),
    cmocka_unit_test(a_flood_of_logins_is_turned_away),
    cmocka_unit_test(a_new_user_reaches_the_brain_without_password),
    cmocka_unit_test(a_user_may_have_no_password),
    cmocka_unit_test(ones_own_password_needs_the_old_one),
    cmocka_unit_test(a_token_is_shown_once),
    cmocka_unit_test(a_login_ends_with_token_user_and_role),
    cmocka_unit_test(other_authorizations_are_none),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

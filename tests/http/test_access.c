/* Every verb of the table × everyone who could call it, over real sockets. What is right stands here once more, verb by verb,
 * apart from the table that the server reads: a row changed there, or a new one, fails until somebody says here who may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "tests/http/scene.h"

/* For nobody, bob (owns nothing), alice (owns what is named), viewer, operator, administrator:
 * o: may · l: not logged in · d: denied · n: not found, as if it were not there */
static const char *const wanted[N_API_VERBS] = {
  [API_HOST_LIST] = "lddooo",       [API_HOST_SHOW] = "lnnooo",
  [API_HOST_ADD] = "lddddo",        [API_HOST_CHANGE] = "lnnddo",
  [API_HOST_DRAIN] = "lnndoo",      [API_HOST_ACTIVATE] = "lnndoo",
  [API_HOST_FENCE] = "lnnddo",      [API_HOST_REMOVE] = "lnnddo",
  [API_GPU_LIST] = "lddooo",        [API_GPU_SHOW] = "lnnooo",
  [API_GPU_CHANGE] = "lnnddo",      [API_GPU_QUARANTINE] = "lnndoo",
  [API_GPU_ACTIVATE] = "lnndoo",    [API_GPU_REMOVE] = "lnnddo",
  [API_HOST_REBALANCE] = "lddooo",
  [API_GPU_CLASS_LIST] = "lddooo",  [API_GPU_CLASS_SHOW] = "lnnooo",
  [API_GPU_CLASS_ADD] = "lddddo",   [API_GPU_CLASS_CHANGE] = "lnnddo",
  [API_LICENCE_LIST] = "lddooo",    [API_LICENCE_SHOW] = "lnnooo",
  [API_LICENCE_ADD] = "lddddo",     [API_LICENCE_CHANGE] = "lnnddo",  [API_LICENCE_REMOVE] = "lnnddo",
  [API_RESERVATION_LIST] = "looooo", [API_RESERVATION_SHOW] = "lnoooo",
  [API_RESERVATION_ADD] = "ldddoo", [API_RESERVATION_CHANGE] = "lnddoo", [API_RESERVATION_REMOVE] = "lnddoo",
  [API_GPU_CLASS_REMOVE] = "lnnddo", [API_VGPU_LIST] = "lddooo",
  [API_VGPU_SHOW] = "lnnooo",       [API_VGPU_RELEASE] = "lnndoo",
  [API_STORAGE_LIST] = "lddooo",    [API_STORAGE_SHOW] = "lnnooo",
  [API_STORAGE_ADD] = "lddddo",     [API_STORAGE_CHANGE] = "lnnddo",
  [API_STORAGE_REMOVE] = "lnnddo",  [API_IMAGE_LIST] = "lddooo",
  [API_IMAGE_SHOW] = "lnnooo",      [API_IMAGE_IMPORT] = "lddddo",
  [API_IMAGE_REMOVE] = "lnnddo",    [API_TEMPLATE_LIST] = "lddooo",
  [API_TEMPLATE_SHOW] = "lnnooo",   [API_TEMPLATE_ADD] = "lddddo",
  [API_TEMPLATE_REMOVE] = "lnnddo", [API_POOL_LIST] = "looooo",
  [API_POOL_SHOW] = "lnoooo",       [API_POOL_CREATE] = "lddddo",
  [API_POOL_CHANGE] = "lndddo",     [API_POOL_PAUSE] = "lnddoo",  [API_POOL_PLAN] = "lndooo",
  [API_POOL_RESUME] = "lnddoo",     [API_POOL_DELETE] = "lndddo",
  [API_DESKTOP_LIST] = "looooo",    [API_DESKTOP_SHOW] = "lnoooo",
  [API_DESKTOP_START] = "lnodoo",   [API_DESKTOP_SHUTDOWN] = "lnodoo",
  [API_DESKTOP_REBOOT] = "lnodoo",  [API_DESKTOP_RESET] = "lnodoo",
  [API_DESKTOP_DESTROY] = "lnodoo", [API_DESKTOP_SUSPEND] = "lnodoo",
  [API_DESKTOP_RESUME] = "lnodoo",  [API_DESKTOP_SAVE] = "lnodoo",
  [API_DESKTOP_DISCARD_SAVED] = "lnodoo",
  [API_DESKTOP_RESTORE] = "lnodoo", [API_DESKTOP_MAINTAIN] = "lnddoo",
  [API_DESKTOP_RELEASE] = "lnddoo", [API_DESKTOP_RETIRE] = "lnddoo",
   [API_DESKTOP_ATTACH_GPU] = "lnddoo", [API_DESKTOP_DETACH_GPU] = "lnddoo", [API_DESKTOP_MIGRATE] = "lnddoo",
   [API_DESKTOP_SCREENSHOT] = "lnodoo",
  [API_SESSION_HISTORY] = "looooo", [API_TASK_HISTORY] = "lddooo",
  [API_SESSION_LIST] = "looooo",    [API_SESSION_SHOW] = "lnoooo",
  [API_SESSION_REQUEST] = "looooo", [API_SESSION_TICKET] = "lnodoo",
  [API_SESSION_END] = "lnodoo",     [API_TASK_LIST] = "looooo",  [API_SESSION_EXPLAIN] = "lndooo",
  [API_TASK_SHOW] = "lnoooo",       [API_TASK_CANCEL] = "lnddoo",
  [API_TASK_RETRY] = "lnddoo",      [API_EVENT_LIST] = "lddooo",  [API_DEMAND_LIST] = "lddooo",
  [API_USER_LIST] = "lddooo",       [API_USER_SHOW] = "lnoooo",
  [API_USER_ADD] = "lddddo",        [API_USER_CHANGE] = "lndddo",
  [API_USER_PASSWORD] = "lnoddo",   [API_USER_REMOVE] = "lndddo",
  [API_TOKEN_LIST] = "looooo",      [API_TOKEN_CREATE] = "looooo",
  [API_TOKEN_REVOKE] = "lnodoo",    [API_LOGIN] = "oooooo",
  [API_LOGOUT] = "looooo",          [API_ME] = "looooo",
  [API_WATCH] = "looooo",           [API_STATUS] = "looooo",
  [API_OPENAPI] = "oooooo",         [API_METRICS] = "lddooo",
          [API_BACKUP] = "lddddo",
  [API_GATEWAY_REDEEM] = "oddddd",  [API_GATEWAY_SYNC] = "oddddd",
};

enum { NOBODY, BOB, ALICE, VIEWER, OPERATOR, ADMINISTRATOR };

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

/* A body with everything the verb needs. */
static char *body_of(const ApiRow *row)
{
  if (row->method == METHOD_GET)
    return NULL;
  json_t *body = json_object();
  g_auto(GStrv) args = g_strsplit(row->args, " ", -1);
  for (char **arg = args; *arg; arg++)
    if (**arg && !strchr(*arg, '?'))
      json_object_set_new(body, *arg, strcmp(*arg, "clone") ? json_string("something") : json_integer(1));
  for (int i = 0; row->how == HOW_CREATE && i < schemas[row->noun].n_fields; i++)
    if (schemas[row->noun].fields[i].flags & F_NEED)
      json_object_set_new(body, schemas[row->noun].fields[i].name, json_string("something"));
  char *text = json_dumps(body, JSON_COMPACT);
  json_decref(body);
  return text;
}

static char *target_of(const ApiRow *row)
{
  g_auto(GStrv) parts = g_strsplit(row->path, "{name}", 2);
  return g_strconcat(parts[0], parts[1] ? scene_object(row->noun) : "", parts[1], NULL);
}

/* What came back, in the letters of the table; a verb that may and then wants more than presence of its members says 400. */
static char verdict(ApiVerb verb, const Response *r)
{
  bool wants_more = verb == API_USER_PASSWORD || verb == API_BACKUP;
  if (verb == API_LOGIN && (!strcmp(response_code(r), "bad-login") || !strcmp(response_code(r), "login-delayed")))
    return 'o';
  if ((r->status >= 200 && r->status < 300) || (wants_more && r->status == 400))
    return 'o';
  return r->status == 401 ? 'l' : r->status == 403 ? 'd' : r->status == 404 ? 'n' : '?';
}

static void check(ApiVerb verb, const char *socket, const char *token, char want, const char *who)
{
  const ApiRow *row = &api_rows[verb];
  g_autofree char *target = target_of(row), *body = body_of(row);
  g_autoptr(Response) r = client_ask(socket, api_method_name(row->method), target, token, NULL, body);
  if (verdict(verb, r) != want)
    fail_msg("%s: %s %s: want %c, got %d %s", who, api_method_name(row->method), target, want, r->status, r->body->str);
  if (r->status >= 400) {
    assert_int_equal(json_integer_value(json_object_get(r->json, "status")), r->status);
    assert_true(json_is_array(json_object_get(r->json, "reasons")));
  }
}

static bool has_rule(ApiVerb verb) { return wanted[verb] && strlen(wanted[verb]) == 6; }

static void every_verb_has_a_rule(void **state)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    if (!has_rule(v))
      fail_msg("nobody said who may %s %s", schemas[api_rows[v].noun].noun, api_rows[v].verb);
}

static void as_person(const char *user, char *const *token, int column)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    g_autofree char *fresh = user && v == API_LOGOUT ? fake_token(scene->runtime, user, 3600) : NULL;
    const char *with = fresh ? fresh : token ? *token : NULL;
    check(v, scene->gateway, with, wanted[v][column], user ? user : "nobody");
    bool by_peer = !with && !(api_rows[v].allow & MAY_GATEWAY);
    if (by_peer || fresh)
      continue;
    char local = api_rows[v].allow & MAY_GATEWAY ? 'd' : wanted[v][column];
    check(v, scene->local, with, local, user ? user : "the peer");
  }
}

static void nobody_may_little(void **state) { as_person(NULL, NULL, NOBODY); }

/* A gateway may run as root: at its own door the peer grants nothing, at the local door it grants all. */
static void root_is_nobody_at_the_gateways_door(void **state)
{
  if (geteuid() != 0) {
    print_message("only root can show what root may not\n");
    skip();
  }
  g_autoptr(Response) local = client_ask(scene->local, "GET", "/api/v1/hosts", NULL, NULL, NULL);
  g_autoptr(Response) gateway = client_ask(scene->gateway, "GET", "/api/v1/hosts", NULL, NULL, NULL);
  assert_int_equal(local->status, 200);
  assert_int_equal(gateway->status, 401);
  as_person(NULL, NULL, NOBODY);
}

static void another_user_sees_nothing(void **state) { as_person("bob", &scene->bob, BOB); }
static void a_user_has_what_is_theirs(void **state) { as_person("alice", &scene->alice, ALICE); }
static void a_viewer_changes_nothing(void **state) { as_person("vera", &scene->viewer, VIEWER); }
static void an_operator_operates(void **state) { as_person("otto", &scene->operator, OPERATOR); }
static void an_administrator_may_all_but_the_gateways(void **state) { as_person("ada", &scene->administrator, ADMINISTRATOR); }

static void the_local_peer_is_administrator(void **state)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    check(v, scene->local, NULL, wanted[v][ADMINISTRATOR], "the peer");
}

/* Also on the local door, where the peer alone would be let in. */
static void as_stranger(const char *token, const char *who)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    unsigned allow = api_rows[v].allow;
    char want = allow & MAY_GATEWAY ? 'd' : allow & MAY_NOBODY ? 'o' : 'l';
    check(v, scene->gateway, token, want, who);
    check(v, scene->local, token, want, who);
  }
}

static void an_expired_token_is_none(void **state) { as_stranger(scene->expired, "expired"); }
static void a_disabled_users_token_is_none(void **state) { as_stranger(scene->disabled, "disabled"); }
static void an_unknown_token_is_none(void **state) { as_stranger(scene->unknown, "unknown"); }
static void a_wrong_secret_is_none(void **state) { as_stranger(scene->wrong, "wrong secret"); }

/* What a program may do is what its person may, but for these: with them, a token that was stolen would outlive its end. */
static void a_token_for_programs_makes_no_people_passwords_and_tokens(void **state)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    bool refused = v == API_USER_ADD || v == API_USER_CHANGE || v == API_USER_PASSWORD || v == API_TOKEN_CREATE;
    g_autofree char *fresh = fake_api_token(scene->runtime, "ada", 3600);
    check(v, scene->gateway, fresh, refused ? 'd' : wanted[v][ADMINISTRATOR], "ada's program");
    if (refused) {
      g_autofree char *target = target_of(&api_rows[v]), *body = body_of(&api_rows[v]);
      g_autoptr(Response) r = client_ask(scene->local, api_method_name(api_rows[v].method), target, fresh, NULL, body);
      assert_string_equal(response_code(r), "needs-login");
    }
  }
}

/* A gateway that forwards what a browser asks for must not lend it its own rights. */
static void the_gateways_verbs_are_not_for_those_behind_it(void **state)
{
  static const char *const headers[] = { "X-Sarang-Client: 192.0.2.1\r\n", "Cookie: a=b\r\n", "Authorization: Basic YTpi\r\n" };
  for (size_t i = 0; i < G_N_ELEMENTS(headers); i++) {
    g_autoptr(Response) r = client_ask(scene->gateway, "POST", "/gateway/v1/sync", NULL, headers[i], "{\"gateway\":\"g1\"}");
    assert_int_equal(r->status, 403);
  }
}

static void what_is_asked_for_another_is_denied(void **state)
{
  static const struct { const char *target, *body; bool is_good; } rows[] = {
    { "/api/v1/sessions", "{\"pool\":\"office\",\"user\":\"alice\"}", true },
    { "/api/v1/tokens", "{\"user\":\"alice\"}", true },
    { "/api/v1/tokens", "{\"user\":7}", false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) denied = client_ask(scene->gateway, "POST", rows[i].target, scene->bob, NULL, rows[i].body);
    assert_int_equal(denied->status, 403);
    g_autoptr(Response) operator = client_ask(scene->gateway, "POST", rows[i].target, scene->operator, NULL, rows[i].body);
    assert_int_equal(operator->status, 403);
    g_autoptr(Response) may = client_ask(scene->gateway, "POST", rows[i].target, scene->administrator, NULL, rows[i].body);
    assert_true(rows[i].is_good ? may->status >= 200 && may->status < 300 : may->status == 400);
  }
}

static void lists_hold_what_is_ones_own(void **state)
{
  static const char *const targets[] = { "/api/v1/pools", "/api/v1/desktops", "/api/v1/sessions", "/api/v1/tasks" };
  for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
    const struct { const char *token; size_t items; } rows[] = { { scene->bob, 0 }, { scene->alice, 1 }, { scene->viewer, 1 } };
    for (size_t j = 0; j < G_N_ELEMENTS(rows); j++) {
      g_autoptr(Response) r = client_ask(scene->gateway, "GET", targets[i], rows[j].token, NULL, NULL);
      assert_int_equal(json_array_size(json_object_get(r->json, "items")), rows[j].items);
    }
  }
}

static void people_do_not_read_who_else_uses_a_pool(void **state)
{
  g_autoptr(Response) alice = client_ask(scene->gateway, "GET", "/api/v1/pools/office", scene->alice, NULL, NULL);
  assert_null(json_object_get(alice->json, "users"));
  assert_null(json_object_get(alice->json, "hosts"));
  assert_non_null(json_object_get(alice->json, "state"));
  g_autoptr(Response) viewer = client_ask(scene->gateway, "GET", "/api/v1/pools/office", scene->viewer, NULL, NULL);
  assert_non_null(json_object_get(viewer->json, "users"));
  g_autoptr(Response) filter = client_ask(scene->gateway, "GET", "/api/v1/pools?users=bob", scene->alice, NULL, NULL);
  assert_string_equal(response_code(filter), "unknown-field");
}

static void hashes_never_leave(void **state)
{
  static const char *const targets[] = { "/api/v1/users/alice", "/api/v1/users", "/api/v1/tokens", "/api/v1/tokens/k-90",
                                         "/api/v1/me" };
  for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
    g_autoptr(Response) r = client_ask(scene->gateway, "GET", targets[i], scene->administrator, NULL, NULL);
    assert_null(strstr(r->body->str, "hash"));
    assert_null(strstr(r->body->str, "argon2"));
  }
  g_autoptr(Response) filter = client_ask(scene->gateway, "GET", "/api/v1/tokens?hash=00", scene->administrator, NULL, NULL);
  assert_string_equal(response_code(filter), "unknown-field");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_verb_has_a_rule),
    cmocka_unit_test(nobody_may_little),
    cmocka_unit_test(root_is_nobody_at_the_gateways_door),
    cmocka_unit_test(another_user_sees_nothing),
    cmocka_unit_test(a_user_has_what_is_theirs),
    cmocka_unit_test(a_viewer_changes_nothing),
    cmocka_unit_test(an_operator_operates),
    cmocka_unit_test(an_administrator_may_all_but_the_gateways),
    cmocka_unit_test(the_local_peer_is_administrator),
    cmocka_unit_test(a_token_for_programs_makes_no_people_passwords_and_tokens),
    cmocka_unit_test(an_expired_token_is_none),
    cmocka_unit_test(a_disabled_users_token_is_none),
    cmocka_unit_test(an_unknown_token_is_none),
    cmocka_unit_test(a_wrong_secret_is_none),
    cmocka_unit_test(the_gateways_verbs_are_not_for_those_behind_it),
    cmocka_unit_test(what_is_asked_for_another_is_denied),
    cmocka_unit_test(lists_hold_what_is_ones_own),
    cmocka_unit_test(people_do_not_read_who_else_uses_a_pool),
    cmocka_unit_test(hashes_never_leave),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

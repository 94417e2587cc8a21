/* How fast one person may have things changed, and who is not held up by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

static const Rate PEOPLE = { 5, 60 }, STAFF = { 20, 600 };

static World *furnished(int desktops)
{
  World *w = world_new_paced(PEOPLE, STAFF);
  world_furnish(w, desktops, 0, desktops);
  world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'oper','role':'operator'}");
  world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ada','role':'administrator'}");
  world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'vera','role':'viewer'}");
  return w;
}

static const Answer *ask_pool(World *w, const char *user)
{
  return world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'cad'}");
}

static bool too_fast(const Answer *a) { return a->error && error_is(a->error, REASON_TOO_FAST); }

/* Asks for a session and ends it, again and again; how many were made. */
static int looped(World *w, const char *user, int most)
{
  for (int i = 0; i < most; i++) {
    const Answer *a = ask_pool(w, user);
    if (too_fast(a))
      return i;
    assert_null(a->error);
    g_autofree char *session = g_strdup(a->object->name);
    assert_null(world_ask(w, API_SESSION_END, user, session, NULL)->error);
  }
  return most;
}

/* How many tokens for programs are got in one go (root: for somebody else); each is revoked at once. */
static int tokens_looped(World *w, const char *user, int most)
{
  g_autofree char *body = g_strdup_printf("{'days':1,'user':'%s'}", user ? user : "jihye");
  for (int i = 0; i < most; i++) {
    const Answer *a = world_ask(w, API_TOKEN_CREATE, user, NULL, body);
    if (too_fast(a))
      return i;
    assert_null(a->error);
    g_autofree char *token = g_strdup(a->object->name);
    assert_null(world_ask(w, API_TOKEN_REVOKE, user, token, NULL)->error);
  }
  return most;
}

static void who_asks_and_ends_in_a_loop_is_refused(void **state)
{
  World *w = furnished(8);
  assert_int_equal(looped(w, "jihye", 8), PEOPLE.burst);
  assert_int_equal(w->last->status, 429);
  assert_string_equal(error_arg(w->last->error, "seconds"), "1");
  g_autofree char *en = error_text(w->last->error, LANG_EN), *ko = error_text(w->last->error, LANG_KO);
  g_autofree char *fix = error_fix(w->last->error, LANG_EN), *fix_ko = error_fix(w->last->error, LANG_KO);
  assert_string_equal(en, "user \"jihye\" has things changed too fast: 5 at once and then 60 a minute are taken");
  assert_string_equal(fix, "try again in 1 seconds; where a program needs more, an administrator raises limits.changes_per_minute");
  assert_non_null(strstr(ko, "1분에 60건"));
  assert_non_null(strstr(fix_ko, "1초 뒤에 다시"));
  world_pass(w, 1);
  assert_int_equal(looped(w, "jihye", 8), 1);
  assert_int_equal(looped(w, "minsu", 2), 2); /* others are not held up */
  world_free(w);
}

static void a_refusal_costs_the_store_nothing(void **state)
{
  World *w = furnished(8);
  looped(w, "jihye", 8);
  int batches = w->batches;
  guint events = w->events->len;
  int64_t wake_us = w->wake_us;
  for (int i = 0; i < 1000; i++) {
    assert_true(too_fast(ask_pool(w, "jihye")));
    assert_true(too_fast(world_ask(w, API_TOKEN_CREATE, "jihye", NULL, "{'days':1}")));
  }
  assert_int_equal(w->batches, batches);
  assert_int_equal(w->events->len, events);
  assert_int_equal(w->wake_us, wake_us);
  world_free(w);
}

static void the_log_is_told_once_a_person_and_minute(void **state)
{
  World *w = furnished(8);
  looped(w, "jihye", 8);
  looped(w, "jihye", 8);
  assert_int_equal(w->notices->len, 1);
  assert_string_equal(error_arg(w->notices->pdata[0], "user"), "jihye");
  looped(w, "minsu", 8);
  assert_int_equal(w->notices->len, 2);
  for (int i = 0; i < 59; i++) {
    world_pass(w, 1);
    looped(w, "jihye", 8);
  }
  assert_int_equal(w->notices->len, 2);
  world_pass(w, 1);
  looped(w, "jihye", 8);
  assert_int_equal(w->notices->len, 3);
  world_free(w);
}

static const struct {
  const char *user;
  int wanted;
  const char *why;
} callers[] = {
  { "jihye", 5, "a user" },
  { "vera", 5, "a viewer" },
  { "oper", 20, "an operator" },
  { "ada", 20, "an administrator from afar" },
  { NULL, 100, "root at the controller" },
};

static void each_role_has_its_measure(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(callers); i++) {
    World *w = furnished(0);
    int n = tokens_looped(w, callers[i].user, 100);
    if (n != callers[i].wanted)
      fail_msg("%s: %d, not %d", callers[i].why, n, callers[i].wanted);
    world_free(w);
  }
}

static void what_only_ends_something_is_free(void **state)
{
  World *w = furnished(8);
  g_autofree char *session = g_strdup(ask_pool(w, "jihye")->object->name);
  g_autofree char *token = g_strdup(world_ask(w, API_TOKEN_CREATE, "jihye", NULL, "{'days':1}")->object->name);
  tokens_looped(w, "jihye", 100);
  assert_true(too_fast(ask_pool(w, "jihye")));
  assert_null(world_ask(w, API_SESSION_END, "jihye", session, NULL)->error);
  assert_null(world_ask(w, API_TOKEN_REVOKE, "jihye", token, NULL)->error);
  assert_null(WORLD_GET(w, Token, TOKEN, token));
  assert_null(world_ask(w, API_LOGOUT, "jihye", NULL, NULL)->error);
  world_free(w);
}

static const Answer *ask_keyed(World *w, const char *user, const char *key, const char *body)
{
  Request *r = request_new(API_SESSION_REQUEST);
  r->caller = (Caller){ .user = g_strdup(user), .logged_in = true };
  r->idempotency_key = g_strdup(key);
  r->body = json_loads(body, 0, NULL);
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  return w->last;
}

static void a_repeat_is_not_counted(void **state)
{
  World *w = furnished(1);
  for (int i = 0; i < 50; i++) /* the same by its key */
    assert_null(ask_keyed(w, "jihye", "once", "{\"pool\":\"cad\",\"ticket\":true}")->error);
  for (int i = 0; i < 50; i++) /* the one that is held is answered, and nothing is made */
    assert_int_equal(ask_pool(w, "jihye")->status, 200);
  assert_int_equal(tokens_looped(w, "jihye", 100), PEOPLE.burst - 1);
  assert_null(ask_keyed(w, "jihye", "once", "{\"pool\":\"cad\",\"ticket\":true}")->error); /* also when nothing is left */
  world_free(w);
}

/* Who may not, or asks for what is not there, is told so, and it is not counted; what the brain had to look for is. */
static void refusals_count_where_the_brain_worked(void **state)
{
  World *w = furnished(0);
  for (int i = 0; i < 50; i++) {
    assert_true(error_is(world_ask(w, API_POOL_DELETE, "jihye", "cad", NULL)->error, REASON_DENIED));
    assert_true(error_is(world_ask(w, API_SESSION_TICKET, "jihye", "s-99", NULL)->error, REASON_NOT_FOUND));
  }
  world_ask(w, API_POOL_PAUSE, NULL, "cad", NULL);
  for (int i = 0; i < PEOPLE.burst; i++)
    assert_true(error_is(ask_pool(w, "jihye")->error, REASON_POOL_CLOSED));
  assert_true(too_fast(ask_pool(w, "jihye")));
  world_free(w);
}

/* A person who is in line stays in line, and is served: nothing of that is asked for again. */
static void who_waits_is_served_whatever_they_ask_meanwhile(void **state)
{
  World *w = furnished(1);
  g_autofree char *held = g_strdup(ask_pool(w, "minsu")->object->name);
  w->hold = true;
  world_ask(w, API_SESSION_END, "minsu", held, NULL); /* its desktop is being reset */
  g_autofree char *waits = g_strdup(ask_pool(w, "jihye")->object->name);
  assert_int_equal(WORLD_GET(w, Session, SESSION, waits)->state, SESSION_QUEUED);
  tokens_looped(w, "jihye", 100);
  assert_int_equal(ask_pool(w, "jihye")->status, 429);
  assert_int_equal(WORLD_GET(w, Session, SESSION, waits)->state, SESSION_QUEUED);
  w->hold = false;
  world_release(w);
  world_settle(w);
  const Session *served = WORLD_GET(w, Session, SESSION, waits);
  assert_int_equal(served->state, SESSION_OFFERED);
  assert_non_null(served->desktop);
  world_free(w);
}

static void log_in(World *w, const char *user)
{
  Request *r = request_new(API_LOGIN);
  r->caller = (Caller){ .user = g_strdup(user), .logged_in = true };
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
}

/* With a stolen token nobody can keep its person from logging in and setting another password; who has the password, they can. */
static void logins_and_passwords_have_a_measure_of_their_own(void **state)
{
  World *w = furnished(0);
  tokens_looped(w, "jihye", 100);
  log_in(w, "jihye");
  assert_int_equal(w->last->status, 201);
  for (int i = 0; i < 100; i++) /* without a new password there is nothing to check the old one for */
    assert_true(error_is(world_ask(w, API_USER_PASSWORD, "jihye", "jihye", NULL)->error, REASON_MISSING_FIELD));
  int n = 1;
  for (; n < 100 && !too_fast(w->last); n++)
    log_in(w, "jihye");
  assert_int_equal(n - 1, PEOPLE.burst);
  assert_string_equal(error_arg(w->last->error, "seconds"), "1");
  world_free(w);
}

static int logins_of(World *w, const char *user)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_TOKEN);
  int n = 0;
  for (guint i = 0; i < names->len; i++) {
    const Token *token = WORLD_GET(w, Token, TOKEN, names->pdata[i]);
    n += token->kind == TOKEN_LOGIN && !strcmp(token->user, user);
  }
  return n;
}

static void of_too_many_logins_the_stalest_goes(void **state)
{
  World *w = furnished(0);
  log_in(w, "minsu");
  log_in(w, "jihye");
  g_autofree char *first = g_strdup(w->last->object->name);
  world_pass(w, 1);
  log_in(w, "jihye");
  g_autofree char *second = g_strdup(w->last->object->name);
  for (int i = 2; i < 256; i++) {
    world_pass(w, 1);
    log_in(w, "jihye");
  }
  brain_token_used(w->brain, first, w->now_us);
  world_pass(w, 120); /* it is written */
  assert_int_equal(logins_of(w, "jihye"), 256);
  log_in(w, "jihye");
  assert_int_equal(w->last->status, 201);
  assert_int_equal(logins_of(w, "jihye"), 256);
  assert_non_null(WORLD_GET(w, Token, TOKEN, first));
  assert_null(WORLD_GET(w, Token, TOKEN, second));
  assert_int_equal(logins_of(w, "minsu"), 1);
  world_free(w);
}

/* It may be somebody else. */
static void a_new_user_of_an_old_name_begins_anew(void **state)
{
  World *w = furnished(0);
  tokens_looped(w, "jihye", 100);
  world_ask(w, API_USER_REMOVE, NULL, "jihye", NULL);
  world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'jihye'}");
  assert_int_equal(tokens_looped(w, "jihye", 100), PEOPLE.burst);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(who_asks_and_ends_in_a_loop_is_refused),
    cmocka_unit_test(a_refusal_costs_the_store_nothing),
    cmocka_unit_test(the_log_is_told_once_a_person_and_minute),
    cmocka_unit_test(each_role_has_its_measure),
    cmocka_unit_test(what_only_ends_something_is_free),
    cmocka_unit_test(a_repeat_is_not_counted),
    cmocka_unit_test(refusals_count_where_the_brain_worked),
    cmocka_unit_test(who_waits_is_served_whatever_they_ask_meanwhile),
    cmocka_unit_test(logins_and_passwords_have_a_measure_of_their_own),
    cmocka_unit_test(of_too_many_logins_the_stalest_goes),
    cmocka_unit_test(a_new_user_of_an_old_name_begins_anew),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

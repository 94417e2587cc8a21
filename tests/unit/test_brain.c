/* The brain, alone: what it orders and answers, told as short stories in a world that does as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/lifecycle.h"
#include "tests/unit/brain_world.h"

#define DESKTOPS(w, state) world_count(w, NOUN_DESKTOP, DESKTOP_##state)

static void assert_refused(const Answer *answer, Reason reason)
{
  assert_non_null(answer);
  assert_non_null(answer->error);
  assert_string_equal(reason_wire(error_reason(answer->error)), reason_wire(reason));
}

static const Session *session_asked(World *w, const char *user)
{
  const Answer *a = world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'cad'}");
  assert_non_null(a);
  assert_null(a->error);
  return WORLD_GET(w, Session, SESSION, a->object->name);
}

static void a_pool_grows_to_its_spare_and_no_further(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 2, 5);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 2);
  session_asked(w, "jihye");
  assert_int_equal(DESKTOPS(w, AVAILABLE), 2);
  assert_int_equal(DESKTOPS(w, ASSIGNED), 1);
  world_free(w);
}

/* Gives the ticket of a fresh connect to session; owned by the caller. */
static char *ticket_of(World *w, const char *user, const char *session)
{
  const Answer *a = world_ask(w, API_SESSION_TICKET, user, session, "{}");
  assert_non_null(a);
  assert_null(a->error);
  json_auto_t *json = json_loads(a->json, 0, NULL);
  return g_strdup(json_string_value(json_object_get(json, "ticket")));
}

static const Answer *redeem(World *w, const char *ticket)
{
  g_autofree char *body = g_strdup_printf("{'ticket':'%s','protocol':'vnc'}", ticket);
  return world_ask(w, API_GATEWAY_REDEEM, NULL, NULL, body);
}

static void a_used_desktop_comes_back_only_by_a_proven_reset(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 1);
  g_autofree char *session = g_strdup(session_asked(w, "jihye")->head.name);
  g_autofree char *desktop = g_strdup(WORLD_GET(w, Session, SESSION, session)->desktop);
  g_autofree char *ticket = ticket_of(w, "jihye", session);
  assert_int_equal(redeem(w, ticket)->status, 200);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_USED);
  assert_refused(redeem(w, ticket), REASON_BAD_TICKET);
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, desktop);
  assert_int_equal(d->state, DESKTOP_AVAILABLE);
  assert_int_equal(d->clone, 2);
  assert_false(d->touched);
  assert_non_null(strstr(d->evidence, "\"clone\":2"));
  world_free(w);
}

/* A desktop handed out to jihye, and a ticket for it that was given to a page. */
typedef struct {
  World *w;
  char *session, *desktop, *body;
} Ticketed;

static Ticketed ticketed_new(const char *origin)
{
  Ticketed t = { .w = world_new() };
  world_furnish(t.w, 1, 1, 1);
  t.session = g_strdup(session_asked(t.w, "jihye")->head.name);
  t.desktop = g_strdup(WORLD_GET(t.w, Session, SESSION, t.session)->desktop);
  g_autofree char *ask = g_strdup_printf("{'origin':'%s'}", origin);
  json_auto_t *json = json_loads(world_ask(t.w, API_SESSION_TICKET, "jihye", t.session, ask)->json, 0, NULL);
  t.body = g_strdup_printf("{'ticket':'%s','protocol':'vnc','origin':'%s'}", json_string_value(json_object_get(json, "ticket")), origin);
  return t;
}

static void ticketed_clear(Ticketed *t)
{
  world_free(t->w);
  g_free(t->session);
  g_free(t->desktop);
  g_free(t->body);
}

/* The answer comes at once, and nothing has begun: no console was asked for, and nobody has used the desktop. */
static void assert_opens_nothing(Ticketed *t, const char *body)
{
  t->w->hold = true;
  assert_refused(world_ask(t->w, API_GATEWAY_REDEEM, NULL, NULL, body), REASON_BAD_TICKET);
  assert_int_equal(t->w->held->len, 0);
  t->w->hold = false;
  assert_int_equal(WORLD_GET(t->w, Desktop, DESKTOP, t->desktop)->state, DESKTOP_ASSIGNED);
  assert_int_equal(world_count(t->w, NOUN_SESSION, SESSION_ASSIGNED), 1);
}

static void a_ticket_opens_nothing_once_its_time_is_over(void **state)
{
  Ticketed late = ticketed_new("https://desk.example"), right = ticketed_new("https://desk.example");
  late.w->now_us += TICKET_LIFE_S * G_USEC_PER_SEC; /* nothing woke the brain meanwhile */
  assert_opens_nothing(&late, late.body);
  right.w->now_us += TICKET_LIFE_S * G_USEC_PER_SEC - 1;
  assert_int_equal(world_ask(right.w, API_GATEWAY_REDEEM, NULL, NULL, right.body)->status, 200);
  ticketed_clear(&late);
  ticketed_clear(&right);
}

/* What a ticket's secret looks like is known, and its name can be guessed. */
static void a_ticket_without_its_secret_opens_nothing(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  char *dot = strchr(t.body, '.');
  dot[1] = dot[1] == 'A' ? 'B' : 'A';
  assert_opens_nothing(&t, t.body);
  g_autofree char *name = g_strdup_printf("%.*s','protocol':'vnc','origin':'https://desk.example'}", (int)(dot - t.body), t.body);
  assert_opens_nothing(&t, name);
  g_autofree char *empty = g_strdup_printf("%.*s.','protocol':'vnc','origin':'https://desk.example'}", (int)(dot - t.body), t.body);
  assert_opens_nothing(&t, empty);
  ticketed_clear(&t);
}

static void a_ticket_of_a_disabled_user_opens_nothing(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  world_ask(t.w, API_USER_CHANGE, NULL, "jihye", "{'disabled':true}");
  assert_opens_nothing(&t, t.body);
  ticketed_clear(&t);
}

static void a_ticket_opens_nothing_for_another_page(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  g_autoptr(GString) other = g_string_new(t.body), viewer = g_string_new(t.body);
  g_string_replace(other, "https://desk.example", "https://desk.example.evil", 0);
  g_string_replace(viewer, ",'origin':'https://desk.example'", "", 0);
  assert_opens_nothing(&t, other->str);
  assert_opens_nothing(&t, viewer->str);
  assert_int_equal(world_ask(t.w, API_GATEWAY_REDEEM, NULL, NULL, t.body)->status, 200);
  ticketed_clear(&t);
}

static void gateway_says(World *w, const char *what)
{
  g_autofree char *body = g_strdup_printf("{'gateway':'g1',%s}", what);
  assert_null(world_ask(w, API_GATEWAY_SYNC, NULL, NULL, body)->error);
}

/* Opens the console of t's ticket at gateway g1; the relay's name, owned by the caller. */
static char *console_open(Ticketed *t)
{
  json_auto_t *json = json_loads(world_ask(t->w, API_GATEWAY_REDEEM, NULL, NULL, t->body)->json, 0, NULL);
  char *relay = g_strdup(json_string_value(json_object_get(json, "relay")));
  g_autofree char *opened = g_strdup_printf("'opened':['%s']", relay);
  gateway_says(t->w, opened);
  assert_int_equal(WORLD_GET(t->w, Session, SESSION, t->session)->state, SESSION_ACTIVE);
  return relay;
}

static void consoles_of_a_gateway_that_fell_silent_are_closed(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  g_autofree char *relay = console_open(&t);
  for (int i = 0; i < 10; i++) {
    gateway_says(t.w, "'opened':[]");
    world_pass(t.w, GATEWAY_SILENT_S - 1);
  }
  assert_non_null(WORLD_GET(t.w, Relay, RELAY, relay));
  world_pass(t.w, 3600); /* the clock was set, and the gateway speaks a second later */
  world_pass(t.w, 1);
  gateway_says(t.w, "'opened':[]");
  assert_int_equal(WORLD_GET(t.w, Session, SESSION, t.session)->state, SESSION_ACTIVE);
  world_pass(t.w, GATEWAY_SILENT_S);
  world_pass(t.w, GATEWAY_SILENT_S);
  assert_null(WORLD_GET(t.w, Relay, RELAY, relay));
  assert_int_equal(WORLD_GET(t.w, Session, SESSION, t.session)->state, SESSION_DISCONNECTED);
  gateway_says(t.w, "'opened':[]"); /* it was only away: it is to tell everything, and learns that the console is no more */
  assert_non_null(strstr(t.w->last->json, "\"full\":true"));
  g_autofree char *open = g_strdup_printf("'full':true,'open':['%s']", relay);
  gateway_says(t.w, open);
  assert_non_null(strstr(t.w->last->json, relay));
  assert_non_null(strstr(t.w->last->json, "\"full\":false"));
  ticketed_clear(&t);
}

static char *ticket_body(World *w, const char *user, const char *session)
{
  g_autofree char *ticket = ticket_of(w, user, session);
  return g_strdup_printf("{'ticket':'%s','protocol':'vnc'}", ticket);
}

static void assert_cut(Ticketed *t, const char *relay, bool cut)
{
  gateway_says(t->w, "'opened':[]");
  g_autofree char *named = g_strdup_printf("\"%s\"", relay);
  assert_int_equal(strstr(t->w->last->json, named) != NULL, cut);
}

static void an_operator_who_is_one_no_more_opens_nothing(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  world_ask(t.w, API_USER_ADD, NULL, NULL, "{'name':'oper','role':'operator'}");
  g_autofree char *body = ticket_body(t.w, "oper", t.session);
  world_ask(t.w, API_USER_CHANGE, NULL, "oper", "{'role':'viewer'}");
  assert_opens_nothing(&t, body);
  world_ask(t.w, API_USER_CHANGE, NULL, "oper", "{'role':'operator'}");
  g_free(t.body);
  t.body = g_steal_pointer(&body);
  g_autofree char *relay = console_open(&t);
  assert_cut(&t, relay, false);
  world_ask(t.w, API_USER_CHANGE, NULL, "oper", "{'role':'user'}");
  assert_cut(&t, relay, true);
  ticketed_clear(&t);
}

static void who_is_taken_off_a_pool_opens_nothing_of_it(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  world_ask(t.w, API_POOL_CHANGE, NULL, "cad", "{'users':['minsu']}");
  assert_opens_nothing(&t, t.body);
  assert_refused(world_ask(t.w, API_SESSION_TICKET, "jihye", t.session, "{}"), REASON_NOT_FOUND);
  world_ask(t.w, API_POOL_CHANGE, NULL, "cad", "{'users':['minsu','jihye']}");
  g_autofree char *relay = console_open(&t);
  assert_cut(&t, relay, false);
  world_ask(t.w, API_POOL_CHANGE, NULL, "cad", "{'users':['minsu']}");
  assert_cut(&t, relay, true);
  ticketed_clear(&t);
}

/* A new token of jihye's, owned by the caller; t's ticket is one asked for with it. */
static char *login_made(World *w, const char *user)
{
  Request *r = request_new(API_LOGIN);
  r->caller = (Caller){ .user = g_strdup(user), .logged_in = true };
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  assert_int_equal(w->last->status, 201);
  return g_strdup(w->last->object->name);
}

static char *token_use(Ticketed *t)
{
  char *token = g_strdup(world_ask(t->w, API_TOKEN_CREATE, "jihye", NULL, "{'days':1}")->object->name);
  t->w->token = token;
  g_free(t->body);
  t->body = ticket_body(t->w, "jihye", t->session);
  t->w->token = NULL;
  return token;
}

static void what_a_token_opened_is_cut_when_it_is_revoked(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  g_autofree char *first = token_use(&t);
  world_ask(t.w, API_TOKEN_REVOKE, "jihye", first, NULL);
  assert_opens_nothing(&t, t.body);
  g_autofree char *second = token_use(&t);
  g_autofree char *relay = console_open(&t);
  assert_cut(&t, relay, false);
  world_ask(t.w, API_TOKEN_REVOKE, "jihye", second, NULL);
  assert_cut(&t, relay, true);
  ticketed_clear(&t);
}

static void a_console_outlives_a_login_that_ran_out(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  g_autofree char *token = token_use(&t);
  g_autofree char *relay = console_open(&t);
  t.w->now_us = WORLD_GET(t.w, Token, TOKEN, token)->expires;
  world_pass(t.w, 0);
  assert_null(WORLD_GET(t.w, Token, TOKEN, token));
  assert_cut(&t, relay, false);
  ticketed_clear(&t);
}

static void assert_event(World *w, const char *kind, const char *object, const char *detail)
{
  const Event *event = world_event(w, kind);
  assert_non_null(event);
  assert_string_equal(event->object, object);
  assert_string_equal(event->user, "oper");
  assert_string_equal(event->detail, detail);
}

static void who_entered_whose_desktop_is_on_record(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  world_ask(t.w, API_USER_ADD, NULL, NULL, "{'name':'oper','role':'operator'}");
  g_autofree char *body = ticket_body(t.w, "oper", t.session);
  body[strlen(body) - 1] = 0;
  g_autofree char *told = g_strconcat(body, ",'client':'192.0.2.7'}", NULL);
  json_auto_t *json = json_loads(world_ask(t.w, API_GATEWAY_REDEEM, NULL, NULL, told)->json, 0, NULL);
  g_autofree char *detail = g_strdup_printf("{\"relay\":\"%s\",\"desktop\":\"%s\",\"of\":\"jihye\",\"client\":\"192.0.2.7\"}",
                                           json_string_value(json_object_get(json, "relay")), t.desktop);
  assert_event(t.w, "session.console", t.session, detail);
  ticketed_clear(&t);
}

static void a_look_at_anothers_screen_is_on_record(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  world_ask(t.w, API_DESKTOP_SCREENSHOT, "jihye", t.desktop, NULL);
  assert_null(world_event(t.w, "desktop.screenshot"));
  world_ask(t.w, API_USER_ADD, NULL, NULL, "{'name':'oper','role':'operator'}");
  world_ask(t.w, API_DESKTOP_SCREENSHOT, "oper", t.desktop, NULL);
  g_autofree char *detail = g_strdup_printf("{\"of\":\"jihye\",\"session\":\"%s\"}", t.session);
  assert_event(t.w, "desktop.screenshot", t.desktop, detail);
  ticketed_clear(&t);
}

static Request *password_new(const char *hash, const char *token)
{
  Request *r = request_new(API_USER_PASSWORD);
  r->caller = (Caller){ .user = g_strdup("jihye"), .role = ROLE_USER, .logged_in = true, .token = g_strdup(token) };
  r->name = g_strdup("jihye");
  r->body = json_object();
  r->secret_hash = g_strdup(hash);
  r->guest_hash = g_strdup(hash);
  return r;
}

/* The server takes passwords out of the body: with a key, a second one would be answered by the first one's receipt and change nothing. */
static void a_new_password_takes_no_key(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  Request *keyed = password_new("first", NULL);
  keyed->idempotency_key = g_strdup("once");
  brain_request(w->brain, keyed, w, w->now_us);
  world_settle(w);
  assert_refused(w->last, REASON_BAD_REQUEST);
  assert_null(WORLD_GET(w, User, USER, "jihye")->password_hash);
  brain_request(w->brain, password_new("second", NULL), w, w->now_us);
  world_settle(w);
  assert_null(w->last->error);
  assert_string_equal(WORLD_GET(w, User, USER, "jihye")->password_hash, "second");
  world_free(w);
}

static void a_new_password_ends_tokens_too(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  g_autofree char *stolen = token_use(&t), *own = login_made(t.w, "jihye");
  brain_request(t.w->brain, password_new("new", own), t.w, t.w->now_us);
  world_settle(t.w);
  assert_null(WORLD_GET(t.w, Token, TOKEN, stolen));
  assert_non_null(WORLD_GET(t.w, Token, TOKEN, own));
  ticketed_clear(&t);
}

static void nobody_revokes_tokens_of_a_higher_role(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  g_autofree char *token = token_use(&t);
  world_ask(t.w, API_USER_ADD, NULL, NULL, "{'name':'oper','role':'operator'}");
  world_ask(t.w, API_USER_CHANGE, NULL, "jihye", "{'role':'administrator'}");
  assert_refused(world_ask(t.w, API_TOKEN_REVOKE, "oper", token, NULL), REASON_DENIED);
  world_ask(t.w, API_USER_CHANGE, NULL, "jihye", "{'role':'operator'}");
  assert_null(world_ask(t.w, API_TOKEN_REVOKE, "oper", token, NULL)->error);
  assert_null(WORLD_GET(t.w, Token, TOKEN, token));
  ticketed_clear(&t);
}

static GError *prove_fails(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (order->kind == STEP_PROVE)
    error_set(&err, REASON_GUEST_NOT_CLEAN, NULL);
  return err;
}

static void a_guest_that_names_a_person_is_quarantined(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 1);
  g_autofree char *session = g_strdup(session_asked(w, "jihye")->head.name);
  w->answer = prove_fails;
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  for (int i = 0; i < 5; i++)
    world_pass(w, 61);
  assert_int_equal(DESKTOPS(w, QUARANTINED), 1);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 1); /* another took its place */
  world_free(w);
}

static GError *start_fails(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (order->kind == STEP_START)
    error_set(&err, REASON_INTERNAL, "detail", "no", NULL);
  return err;
}

static void three_failures_stop_growth_and_leave_nothing(void **state)
{
  World *w = world_new();
  w->answer = start_fails;
  world_furnish(w, 1, 1, 3);
  for (int i = 0; i < 30; i++)
    world_pass(w, 5);
  const Pool *pool = WORLD_GET(w, Pool, POOL, "cad");
  assert_int_equal(pool->state, POOL_RESTRAINED);
  assert_non_null(pool->error);
  assert_refused(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'cad'}"), REASON_POOL_STOPPED);
  w->answer = NULL;
  world_pass(w, 700);
  assert_int_equal(WORLD_GET(w, Pool, POOL, "cad")->state, POOL_READY);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 1);
  world_free(w);
}

static void a_full_pool_says_why(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  session_asked(w, "jihye");
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "minsu", NULL, "{'pool':'cad'}");
  assert_refused(a, REASON_POOL_FULL);
  assert_string_equal(error_arg(a->error, "max"), "1");
  assert_string_equal(error_arg(a->error, "held"), "1");
  world_free(w);
}

/* Who asks in a loop does not fill the history; each person is in it. */
static void a_denial_is_an_event_once_a_minute(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  session_asked(w, "jihye");
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'bob'}")->error);
  guint before = w->events->len;
  for (int i = 0; i < 20; i++)
    assert_refused(world_ask(w, API_SESSION_REQUEST, "minsu", NULL, "{'pool':'cad'}"), REASON_POOL_FULL);
  assert_int_equal(w->events->len, before + 1);
  assert_refused(world_ask(w, API_SESSION_REQUEST, "bob", NULL, "{'pool':'cad'}"), REASON_POOL_FULL);
  assert_int_equal(w->events->len, before + 2);
  world_pass(w, 61);
  before = w->events->len;
  assert_refused(world_ask(w, API_SESSION_REQUEST, "minsu", NULL, "{'pool':'cad'}"), REASON_POOL_FULL);
  assert_int_equal(w->events->len, before + 1);
  world_free(w);
}

static void a_person_has_so_many_tokens_and_no_more(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *first = NULL;
  for (int i = 0; i < 64; i++) {
    const Answer *a = world_ask(w, API_TOKEN_CREATE, "jihye", NULL, "{'days':1}");
    assert_int_equal(a->status, 201);
    if (!first)
      first = g_strdup(a->object->name);
  }
  const Answer *a = world_ask(w, API_TOKEN_CREATE, "jihye", NULL, "{'days':1}");
  assert_refused(a, REASON_TOKENS_HELD);
  assert_string_equal(error_arg(a->error, "limit"), "64");
  assert_int_equal(world_ask(w, API_TOKEN_CREATE, "minsu", NULL, NULL)->status, 201);
  assert_null(world_ask(w, API_TOKEN_REVOKE, "jihye", first, NULL)->error);
  assert_int_equal(world_ask(w, API_TOKEN_CREATE, "jihye", NULL, NULL)->status, 201);
  world_free(w);
}

/* The store itself was imported as a raw image, booted, and every hash in it read. */
static void an_administrator_elsewhere_imports_from_one_directory(void **state)
{
  static const char *const refused[] = { "/var/lib/sarang/sarang.db", WORLD_IMPORTS "/../sarang.db", WORLD_IMPORTS "/x/../../sarang.db",
                                         WORLD_IMPORTS, WORLD_IMPORTS "2/a.qcow2", "/etc/shadow" };
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ada','role':'administrator'}")->error);
  for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
    g_autofree char *body = g_strdup_printf("{'family':'stolen','format':'raw','storages':['disk'],'source':'%s'}", refused[i]);
    const Answer *a = world_ask(w, API_IMAGE_IMPORT, "ada", NULL, body);
    assert_non_null(a->error);
    if (error_reason(a->error) != REASON_BAD_VALUE) { /* as for everybody: a path with .. */
      assert_refused(a, REASON_PATH_OUTSIDE);
      assert_string_equal(error_arg(a->error, "directory"), WORLD_IMPORTS);
    }
  }
  assert_null(WORLD_GET(w, ImageVersion, IMAGE, "stolen@1"));
  assert_int_equal(world_ask(w, API_IMAGE_IMPORT, "ada", NULL,
                             "{'family':'own','format':'raw','storages':['disk'],'source':'" WORLD_IMPORTS "/a.img'}")->status, 202);
  assert_int_equal(world_ask(w, API_IMAGE_IMPORT, NULL, NULL,
                             "{'family':'roots','format':'raw','storages':['disk'],'source':'/srv/a.img'}")->status, 202);
  world_free(w);
}

/* Over the network a storage lies where root said that some may: sarangd writes its files as root. */
static void an_administrator_elsewhere_makes_storages_in_few_places(void **state)
{
  static const char *const refused[] = { "/etc/logrotate.d", "/var/lib/sarang", "/var/lib", "/", "/srv/own", "/srv/own/x", "/srv", "/srv2", "/srv/a/./../../etc",
                                         "/srv/x/..//own/" };
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ada','role':'administrator'}")->error);
  for (size_t i = 0; i < 2 * G_N_ELEMENTS(refused); i++) {
    const char *path = refused[i / 2];
    g_autofree char *body = i % 2 ? g_strdup_printf("{'name':'s','path':'%s'}", path)
                                  : g_strdup_printf("{'name':'s','path':'/srv/good','controller_path':'%s'}", path);
    const Answer *a = world_ask(w, API_STORAGE_ADD, "ada", NULL, body);
    assert_non_null(a->error);
    if (error_reason(a->error) != REASON_BAD_VALUE) { /* as for everybody: a path with .. */
      assert_refused(a, REASON_STORAGE_OUTSIDE);
      assert_string_equal(error_arg(a->error, "field"), i % 2 ? "path" : "controller_path");
      assert_string_equal(error_arg(a->error, "directories"), "/srv");
    }
    assert_null(WORLD_GET(w, Storage, STORAGE, "s"));
  }
  assert_int_equal(world_ask(w, API_STORAGE_ADD, "ada", NULL, "{'name':'s','path':'/srv/good/','controller_path':'/srv/ours'}")->status, 201);
  assert_refused(world_ask(w, API_STORAGE_CHANGE, "ada", "s", "{'controller_path':'/etc'}"), REASON_STORAGE_OUTSIDE);
  assert_int_equal(world_ask(w, API_STORAGE_ADD, NULL, NULL, "{'name':'t','path':'/data','controller_path':'/data'}")->status, 201);
  assert_int_equal(world_ask(w, API_STORAGE_CHANGE, "ada", "t", "{'hosts':['h1']}")->status, 200); /* what root named stays */
  world_free(w);
}

static void an_administrator_elsewhere_adds_no_host_of_the_controllers_own(void **state)
{
  static const char *const refused[] = { "fake:h2", "fake:h2?state=/var/lib/sarang/sarang.db", "fake:h2?control=/etc/shadow", "test:///etc/shadow",
                                         "qemu:///system?socket=/run/x" };
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ada','role':'administrator'}")->error);
  for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
    g_autofree char *body = g_strdup_printf("{'name':'h2','uri':'%s'}", refused[i]);
    const Answer *a = world_ask(w, API_HOST_ADD, "ada", NULL, body);
    assert_refused(a, REASON_PRIVATE_URI);
    assert_string_equal(error_arg(a->error, "uri"), refused[i]);
    assert_null(WORLD_GET(w, Host, HOST, "h2"));
  }
  assert_int_equal(world_ask(w, API_HOST_ADD, "ada", NULL, "{'name':'h2','uri':'test:///default'}")->status, 201);
  assert_int_equal(world_ask(w, API_HOST_ADD, "ada", NULL, "{'name':'h3','uri':'qemu+tls://192.0.2.3/system'}")->status, 201);
  assert_refused(world_ask(w, API_HOST_ADD, "ada", NULL, "{'name':'h5','uri':'qemu+tls://h5/system'}"), REASON_CONSOLE_ADDRESS);
  assert_int_equal(world_ask(w, API_HOST_ADD, NULL, NULL, "{'name':'h4','uri':'fake:h4?control=/tmp/h4'}")->status, 201);
  world_free(w);
}

/* A token of ten years was made with one that had been stolen, and outlived its revocation. */
static void only_a_login_makes_tokens_for_programs(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  g_autofree char *api = g_strdup(world_ask(w, API_TOKEN_CREATE, NULL, NULL, "{'user':'jihye','days':366}")->object->name);
  g_autofree char *login = login_made(w, "jihye");
  w->token = api;
  assert_refused(world_ask(w, API_TOKEN_CREATE, "jihye", NULL, "{'days':1}"), REASON_NEEDS_LOGIN);
  w->token = "k-999"; /* one that ended meanwhile */
  assert_refused(world_ask(w, API_TOKEN_CREATE, "jihye", NULL, "{'days':1}"), REASON_NEEDS_LOGIN);
  w->token = login;
  assert_int_equal(world_ask(w, API_TOKEN_CREATE, "jihye", NULL, "{'days':366}")->status, 201);
  const Answer *a = world_ask(w, API_TOKEN_CREATE, "jihye", NULL, "{'days':367}");
  assert_refused(a, REASON_BAD_VALUE);
  assert_string_equal(error_arg(a->error, "limit"), "from 1 to 366");
  assert_refused(world_ask(w, API_TOKEN_CREATE, NULL, NULL, "{'user':'jihye','days':3650}"), REASON_BAD_VALUE);
  assert_refused(world_ask(w, API_TOKEN_CREATE, NULL, NULL, "{'user':'jihye','days':0}"), REASON_BAD_VALUE);
  world_free(w);
}

/* One with an administrator's token made another administrator, logged in as that one, and outlived the token. */
static void only_a_login_makes_people_and_passwords(void **state)
{
  static const struct { ApiVerb verb; const char *name, *body; } rows[] = {
    { API_USER_ADD, NULL, "{'name':'eve','role':'administrator'}" },
    { API_USER_ADD, NULL, "{'name':'eve'}" },
    { API_USER_CHANGE, "jihye", "{'role':'administrator'}" },
    { API_USER_CHANGE, "ada", "{'disabled':false}" },
    { API_USER_PASSWORD, "jihye", "{}" },
    { API_USER_PASSWORD, "ada", "{}" },
  };
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ada','role':'administrator'}")->error);
  g_autofree char *api = g_strdup(world_ask(w, API_TOKEN_CREATE, NULL, NULL, "{'user':'ada'}")->object->name);
  g_autofree char *login = login_made(w, "ada");
  w->token = api;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    assert_refused(world_ask(w, rows[i].verb, "ada", rows[i].name, rows[i].body), REASON_NEEDS_LOGIN);
  assert_null(WORLD_GET(w, User, USER, "eve"));
  assert_int_equal(WORLD_GET(w, User, USER, "jihye")->role, ROLE_USER);
  w->token = login;
  assert_int_equal(world_ask(w, API_USER_ADD, "ada", NULL, "{'name':'eve','role':'administrator'}")->status, 201);
  assert_int_equal(world_ask(w, API_USER_CHANGE, "ada", "jihye", "{'role':'operator'}")->status, 200);
  world_free(w);
}

/* Tickets are durable for a minute: one person made thousands. */
static void a_person_has_so_many_tickets_and_no_more(void **state)
{
  World *w = world_new();
  world_furnish(w, 2, 0, 2);
  g_autofree char *session = g_strdup(session_asked(w, "jihye")->head.name);
  for (int i = 0; i < 32; i++)
    assert_int_equal(world_ask(w, API_SESSION_TICKET, "jihye", session, NULL)->status, 201);
  const Answer *a = world_ask(w, API_SESSION_TICKET, "jihye", session, NULL);
  assert_refused(a, REASON_TICKETS_HELD);
  assert_string_equal(error_arg(a->error, "limit"), "32");
  assert_refused(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'cad','ticket':true}"), REASON_TICKETS_HELD);
  assert_int_equal(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'cad'}")->status, 200);
  assert_int_equal(world_ask(w, API_SESSION_REQUEST, "minsu", NULL, "{'pool':'cad','ticket':true}")->status, 201);
  world_pass(w, 61);
  assert_int_equal(world_ask(w, API_SESSION_TICKET, "jihye", session, NULL)->status, 201);
  world_free(w);
}

/* Events were kept for ever: the store of a site of some years was mostly those. */
static void events_that_are_old_enough_go(void **state)
{
  enum { KEEP_S = 400 * 86400 };
  World *w = world_new_keeping(KEEP_S);
  world_pass(w, 59);
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'a'}")->error);
  assert_int_equal(w->prunes->len, 0);
  world_pass(w, 2);
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'b'}")->error);
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'c'}")->error);
  assert_int_equal(w->prunes->len, 1); /* with what is written anyway, once a minute */
  const Prune *p = &g_array_index(w->prunes, Prune, 0);
  assert_int_equal(p->noun, NOUN_EVENT);
  assert_int_equal(p->before_us, w->now_us - KEEP_S * SECOND_US);
  assert_true(p->max > 0);
  int64_t asked_us = w->now_us;
  assert_int_equal(w->wake_us, asked_us + 3600 * SECOND_US); /* and each hour where nothing happens */
  world_pass(w, 3599);
  assert_int_equal(w->prunes->len, 1);
  world_pass(w, 1);
  assert_int_equal(w->prunes->len, 2);
  world_free(w);
  w = world_new();
  world_pass(w, 86400);
  assert_int_equal(w->prunes->len, 0);
  assert_int_equal(w->wake_us, INT64_MAX);
  world_free(w);
}

/* The field was there, and nobody ever wrote it. */
static void when_a_token_was_used_is_kept_once_a_minute(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  g_autofree char *name = g_strdup(world_ask(w, API_TOKEN_CREATE, NULL, NULL, "{'user':'jihye'}")->object->name);
  g_autofree char *other = g_strdup(world_ask(w, API_TOKEN_CREATE, NULL, NULL, "{'user':'jihye'}")->object->name);
  brain_token_used(w->brain, name, w->now_us);
  world_settle(w);
  assert_int_equal(WORLD_GET(w, Token, TOKEN, name)->used, w->now_us);
  int64_t first_us = w->now_us, generation = WORLD_GET(w, Token, TOKEN, name)->head.generation;
  for (int i = 0; i < 59; i++) {
    w->now_us += SECOND_US;
    brain_token_used(w->brain, name, w->now_us);
    brain_token_used(w->brain, other, w->now_us);
    world_settle(w);
  }
  assert_int_equal(WORLD_GET(w, Token, TOKEN, name)->head.generation, generation);
  assert_int_equal(WORLD_GET(w, Token, TOKEN, other)->used, 0);
  assert_int_equal(w->wake_us, first_us + 60 * SECOND_US); /* by itself, for all at once */
  world_pass(w, 1);
  assert_int_equal(WORLD_GET(w, Token, TOKEN, other)->used, w->now_us - SECOND_US);
  brain_token_used(w->brain, name, w->now_us);
  assert_null(world_ask(w, API_TOKEN_REVOKE, NULL, name, NULL)->error);
  brain_token_used(w->brain, "k-999999", w->now_us);
  world_pass(w, 61);
  assert_null(WORLD_GET(w, Token, TOKEN, name));
  world_free(w);
}

/* "Bound to user" was not true: the gateway did not tell whose page it was. */
static void a_ticket_opens_nothing_in_another_persons_page(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *session = g_strdup(session_asked(w, "jihye")->head.name);
  g_autofree char *ticket = ticket_of(w, "jihye", session);
  g_autofree char *body = g_strdup_printf("{'ticket':'%s','protocol':'vnc'}", ticket);
  assert_refused(world_ask(w, API_GATEWAY_REDEEM, "minsu", NULL, body), REASON_BAD_TICKET);
  assert_int_equal(world_ask(w, API_GATEWAY_REDEEM, "jihye", NULL, body)->status, 200);
  g_autofree char *other = ticket_of(w, "jihye", session); /* a viewer, which has no login */
  assert_int_equal(redeem(w, other)->status, 200);
  world_free(w);
}

static void asking_twice_gives_the_same_session(void **state)
{
  World *w = world_new();
  world_furnish(w, 2, 0, 2);
  g_autofree char *first = g_strdup(session_asked(w, "jihye")->head.name);
  assert_string_equal(session_asked(w, "jihye")->head.name, first);
  world_free(w);
}

static void another_persons_session_is_not_found(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *session = g_strdup(session_asked(w, "jihye")->head.name);
  assert_refused(world_ask(w, API_SESSION_END, "minsu", session, NULL), REASON_NOT_FOUND);
  world_free(w);
}

static void host_seen_again(World *w, ObservationKind kind)
{
  Observation *o = observation_new(kind, "h1");
  if (kind == SAW_SILENT)
    error_set(&o->error, REASON_TIMEOUT, "what", "h1", "limit", "15 s", NULL);
  else
    o->hostname = g_strdup("h1");
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

static void a_host_lost_and_back_keeps_its_sessions(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 2);
  g_autofree char *session = g_strdup(session_asked(w, "jihye")->head.name);
  g_autofree char *desktop = g_strdup(WORLD_GET(w, Session, SESSION, session)->desktop);
  host_seen_again(w, SAW_SILENT);
  assert_int_equal(DESKTOPS(w, LOST), 2);
  host_seen_again(w, SAW_HOST);
  assert_int_equal(DESKTOPS(w, LOST), 0);
  assert_string_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->session, session);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 1);
  world_free(w);
}

static void a_late_result_changes_nothing(void **state)
{
  World *w = world_new();
  w->hold = true;
  world_furnish(w, 1, 0, 1);
  world_release(w); /* the import */
  world_settle(w);
  assert_int_equal(w->held->len, 1);
  StepOrder *clone = w->held->pdata[0];
  assert_int_equal(clone->kind, STEP_CLONE);
  StepResult *twice[] = { step_result_new(clone), step_result_new(clone) };
  brain_result(w->brain, twice[0], w->now_us);
  brain_result(w->brain, twice[1], w->now_us);
  const Task *task = WORLD_GET(w, Task, TASK, clone->task);
  assert_int_equal(task->step_index, 1);
  world_free(w);
}

/* A brain that took the place of another gets the answers that were meant for that one: its own calls have other numbers. */
static void calls_are_not_numbered_from_one(void **state)
{
  Ticketed t = ticketed_new("https://desk.example");
  t.w->hold = true;
  world_ask(t.w, API_GATEWAY_REDEEM, NULL, NULL, t.body);
  assert_int_equal(t.w->held->len, 1);
  const StepOrder *console = t.w->held->pdata[0];
  assert_int_equal(console->kind, STEP_CONSOLE);
  assert_true(console->call > 1000000);
  ticketed_clear(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_pool_grows_to_its_spare_and_no_further),
    cmocka_unit_test(a_used_desktop_comes_back_only_by_a_proven_reset),
    cmocka_unit_test(a_ticket_opens_nothing_once_its_time_is_over),
    cmocka_unit_test(a_ticket_without_its_secret_opens_nothing),
    cmocka_unit_test(a_ticket_of_a_disabled_user_opens_nothing),
    cmocka_unit_test(a_ticket_opens_nothing_for_another_page),
    cmocka_unit_test(consoles_of_a_gateway_that_fell_silent_are_closed),
    cmocka_unit_test(an_operator_who_is_one_no_more_opens_nothing),
    cmocka_unit_test(who_is_taken_off_a_pool_opens_nothing_of_it),
    cmocka_unit_test(what_a_token_opened_is_cut_when_it_is_revoked),
    cmocka_unit_test(a_console_outlives_a_login_that_ran_out),
    cmocka_unit_test(who_entered_whose_desktop_is_on_record),
    cmocka_unit_test(a_look_at_anothers_screen_is_on_record),
    cmocka_unit_test(a_new_password_takes_no_key),
    cmocka_unit_test(a_new_password_ends_tokens_too),
    cmocka_unit_test(nobody_revokes_tokens_of_a_higher_role),
    cmocka_unit_test(a_guest_that_names_a_person_is_quarantined),
    cmocka_unit_test(three_failures_stop_growth_and_leave_nothing),
    cmocka_unit_test(a_full_pool_says_why),
    cmocka_unit_test(a_denial_is_an_event_once_a_minute),
    cmocka_unit_test(a_person_has_so_many_tokens_and_no_more),
    cmocka_unit_test(an_administrator_elsewhere_imports_from_one_directory),
    cmocka_unit_test(an_administrator_elsewhere_makes_storages_in_few_places),
    cmocka_unit_test(an_administrator_elsewhere_adds_no_host_of_the_controllers_own),
    cmocka_unit_test(only_a_login_makes_tokens_for_programs),
    cmocka_unit_test(only_a_login_makes_people_and_passwords),
    cmocka_unit_test(a_person_has_so_many_tickets_and_no_more),
    cmocka_unit_test(events_that_are_old_enough_go),
    cmocka_unit_test(when_a_token_was_used_is_kept_once_a_minute),
    cmocka_unit_test(a_ticket_opens_nothing_in_another_persons_page),
    cmocka_unit_test(asking_twice_gives_the_same_session),
    cmocka_unit_test(another_persons_session_is_not_found),
    cmocka_unit_test(a_host_lost_and_back_keeps_its_sessions),
    cmocka_unit_test(a_late_result_changes_nothing),
    cmocka_unit_test(calls_are_not_numbered_from_one),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

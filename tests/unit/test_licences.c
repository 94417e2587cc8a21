/* Licences: seats that a session holds with its desktop. Never more than there are; who waits longest is served first, whichever pool it is in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "core/licence.h"
#include "core/lifecycle.h"
#include "tests/unit/brain_world.h"

static void pool_add(World *w, const char *name, const char *more)
{
  g_autofree char *body = g_strdup_printf("{'name':'%s','template':'linux','image':'linux','vcpus':1,'memory_mib':256%s}", name, more);
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL, body), 201);
}

static void users_add(World *w)
{
  static const char *const names[] = { "a1", "a2", "a3", "a4", "a5", "a6" };
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *body = g_strdup_printf("{'name':'%s'}", names[i]);
    world_answered(world_ask(w, API_USER_ADD, NULL, NULL, body), 201);
  }
}

/* Two seats of cad; pools p and q want one each, of desktops there are enough. */
static World *two_seats(void)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  users_add(w);
  world_answered(world_ask(w, API_LICENCE_ADD, NULL, NULL, "{'name':'cad','total':2,'vendor':'ACME'}"), 201);
  pool_add(w, "p", ",'min':3,'max':4,'licences':['cad=1']");
  pool_add(w, "q", ",'min':2,'max':4,'licences':['cad']");
  return w;
}

static char *ask(World *w, const char *user, const char *pool)
{
  g_autofree char *body = g_strdup_printf("{'pool':'%s','user':'%s'}", pool, user);
  world_answered(world_ask(w, API_SESSION_REQUEST, NULL, NULL, body), 201);
  return g_strdup(w->last->object->name);
}

static void ends(World *w, const char *session) { world_answered(world_ask(w, API_SESSION_END, NULL, session, NULL), 200); }

static void cad_is(World *w, int total, int held, int waiting)
{
  const Licence *l = WORLD_GET(w, Licence, LICENCE, "cad");
  assert_int_equal(l->total, total);
  assert_int_equal(l->held, held);
  assert_int_equal(l->waiting, waiting);
}

/* That is why it waits, and text says what is in it. */
static void waits_for(World *w, const char *session, const char *code, const char *text)
{
  const Session *s = world_session_is(w, session, SESSION_QUEUED);
  if (!s->error || !strstr(s->error, code) || !strstr(s->error, text))
    fail_msg("\"%s\" and \"%s\" are not in: %s", code, text, s->error ? s->error : "nothing");
}

static void seats_are_never_more_than_there_are(void **state)
{
  World *w = two_seats();
  cad_is(w, 2, 0, 0);
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "q"), *three = ask(w, "a3", "p"), *four = ask(w, "a4", "q");
  const Session *held = world_session_holds(w, one);
  assert_string_equal(held->licences[0], "cad=1");
  world_session_holds(w, two);
  waits_for(w, three, "licence-full", "2 of 2 seats are held, 1 wanted, 0 wait before; no end is set");
  waits_for(w, four, "licence-full", "2 of 2 seats are held, 1 wanted, 1 wait before; no end is set");
  assert_null(world_session_is(w, three, SESSION_QUEUED)->licences);
  cad_is(w, 2, 2, 2);
  world_free(w);
}

static void who_waits_longest_gets_the_next_whichever_pool_frees_it(void **state)
{
  World *w = two_seats();
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "q"), *three = ask(w, "a3", "q"), *four = ask(w, "a4", "p"), *five = ask(w, "a5", "q");
  ends(w, one); /* of p: q's is first in line */
  assert_null(world_session_holds(w, three)->error);
  waits_for(w, four, "licence-full", "0 wait before");
  waits_for(w, five, "licence-full", "1 wait before");
  cad_is(w, 2, 2, 2);
  ends(w, two);
  world_session_holds(w, four);
  ends(w, three);
  world_session_holds(w, five);
  ends(w, four);
  ends(w, five);
  cad_is(w, 2, 0, 0);
  world_free(w);
}

static void one_pool_in_line_holds_up_no_other(void **state)
{
  World *w = two_seats();
  pool_add(w, "big", ",'min':1,'max':1,'licences':['cad=2']");
  pool_add(w, "free", ",'min':1,'max':1");
  g_autofree char *one = ask(w, "a1", "p"), *big = ask(w, "a2", "big"), *other = ask(w, "a3", "free");
  world_session_holds(w, one);
  waits_for(w, big, "licence-full", "1 of 2 seats are held, 2 wanted");
  world_session_holds(w, other);
  g_autofree char *small = ask(w, "a4", "q"); /* one seat is free, and not enough for the one before */
  world_session_holds(w, small);
  ends(w, one);
  waits_for(w, big, "licence-full", "1 of 2 seats are held, 2 wanted");
  ends(w, small);
  world_session_holds(w, big);
  world_free(w);
}

static void fewer_seats_throw_nobody_out(void **state)
{
  World *w = two_seats();
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "p"), *three = ask(w, "a3", "p");
  world_answered(world_ask(w, API_LICENCE_CHANGE, NULL, "cad", "{'total':1}"), 200);
  cad_is(w, 1, 2, 1);
  assert_non_null(strstr(WORLD_GET(w, Licence, LICENCE, "cad")->error, "licence-over"));
  world_session_holds(w, one);
  world_session_holds(w, two);
  ends(w, one);
  waits_for(w, three, "licence-full", "1 of 1 seats are held");
  assert_null(WORLD_GET(w, Licence, LICENCE, "cad")->error);
  world_answered(world_ask(w, API_LICENCE_CHANGE, NULL, "cad", "{'total':0}"), 200);
  waits_for(w, three, "licence-few", "0 seats in all");
  world_answered(world_ask(w, API_LICENCE_CHANGE, NULL, "cad", "{'total':3}"), 200);
  world_session_holds(w, three);
  cad_is(w, 3, 2, 0);
  world_free(w);
}

static void what_is_held_does_not_change_with_the_pool(void **state)
{
  World *w = two_seats();
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "p");
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'licences':[]}"), 200);
  cad_is(w, 2, 2, 0);
  g_autofree char *third = ask(w, "a3", "p"), *fourth = ask(w, "a4", "q");
  world_session_holds(w, third);
  waits_for(w, fourth, "licence-full", "2 of 2");
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "q", "{'licences':[]}"), 200); /* it waits for nothing any more */
  assert_null(world_session_holds(w, fourth)->error);
  ends(w, one);
  ends(w, two);
  ends(w, third);
  cad_is(w, 2, 0, 0);
  world_free(w);
}

static void several_licences_are_held_together_or_not_at_all(void **state)
{
  World *w = two_seats();
  world_answered(world_ask(w, API_LICENCE_ADD, NULL, NULL, "{'name':'sim','total':1}"), 201);
  pool_add(w, "both", ",'min':2,'max':2,'licences':['cad=1','sim=1']");
  g_autofree char *one = ask(w, "a1", "both"), *two = ask(w, "a2", "both");
  world_session_holds(w, one);
  waits_for(w, two, "licence-full", "\\\"sim\\\": 1 of 1");
  cad_is(w, 2, 1, 1);
  ends(w, one);
  world_session_holds(w, two);
  cad_is(w, 2, 1, 0);
  assert_int_equal(WORLD_GET(w, Licence, LICENCE, "sim")->held, 1);
  world_free(w);
}

static int desktops(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  return (int)names->len;
}

/* But one for the head of the line: it is there when the next seat is. */
static void a_pool_makes_no_desktops_for_whom_there_are_no_seats(void **state)
{
  World *w = two_seats();
  pool_add(w, "r", ",'min':0,'max':4,'licences':['cad=1']");
  pool_add(w, "s", ",'min':0,'max':4,'licences':['cad=1']");
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "p"), *head = ask(w, "a3", "r"), *next = ask(w, "a4", "r"), *other = ask(w, "a5", "s");
  world_pass(w, 10);
  waits_for(w, head, "licence-full", "2 of 2");
  assert_int_equal(desktops(w), 5 + 1);
  ends(w, one);
  world_session_holds(w, head);
  world_pass(w, 10);
  assert_int_equal(desktops(w), 5 + 2); /* next is the head now */
  ends(w, two);
  world_session_holds(w, next);
  world_session_is(w, other, SESSION_QUEUED);
  world_free(w);
}

static void who_can_never_have_a_seat_is_no_head(void **state)
{
  World *w = two_seats();
  pool_add(w, "big", ",'min':0,'max':4,'licences':['cad=2']");
  pool_add(w, "r", ",'min':0,'max':4,'licences':['cad=1']");
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "p"), *big = ask(w, "a3", "big"), *small = ask(w, "a4", "r");
  world_answered(world_ask(w, API_LICENCE_CHANGE, NULL, "cad", "{'total':1}"), 200);
  world_pass(w, 10);
  waits_for(w, big, "licence-few", "1 seats in all");
  ends(w, one);
  ends(w, two);
  world_session_holds(w, small);
  world_free(w);
}

/* Pools without a desktop to spare beside one that always has some: who is first when a seat frees gets it, as soon as its desktop could be made. */
static void no_head_waits_for_ever(void **state)
{
  static const char *const pools[] = { "p", "q", "r", "s" };
  for (guint32 seed = 1; seed <= 8; seed++) {
    World *w = two_seats();
    GRand *rand = g_rand_new_with_seed(seed);
    pool_add(w, "r", ",'min':0,'max':4,'spare':0,'licences':['cad=1']");
    pool_add(w, "s", ",'min':0,'max':4,'spare':0,'licences':['cad=1']");
    for (int step = 0; step < 80; step++) {
      g_autofree char *body = g_strdup_printf("{'pool':'%s','user':'a%d'}", pools[g_rand_int_range(rand, 0, 4)], g_rand_int_range(rand, 1, 7));
      world_ask(w, API_SESSION_REQUEST, NULL, NULL, body);
      world_pass(w, 20); /* long enough to make a desktop */
      g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_SESSION);
      const Session *head = NULL;
      int line = 0;
      g_autofree char *holder = NULL;
      for (guint i = 0; i < names->len; i++) {
        const Session *s = WORLD_GET(w, Session, SESSION, names->pdata[i]);
        line += s->state == SESSION_QUEUED;
        if (s->state == SESSION_QUEUED && (!head || session_compare_came(s, head) < 0))
          head = s;
        if (session_state_is_live(s->state) && (!holder || g_rand_boolean(rand))) {
          g_free(holder);
          holder = g_strdup(s->head.name);
        }
      }
      g_autofree char *first = head ? g_strdup(head->head.name) : NULL;
      if (!holder || line < g_rand_int_range(rand, 0, 6))
        continue;
      ends(w, holder);
      if (first)
        world_session_holds(w, first);
    }
    g_rand_free(rand);
    world_free(w);
  }
}

static void a_dedicated_desktop_waits_for_its_seat_too(void **state)
{
  World *w = two_seats();
  pool_add(w, "own", ",'kind':'dedicated','min':1,'max':3,'licences':['cad=1']");
  g_autofree char *first = ask(w, "a1", "own");
  g_autofree char *desktop = g_strdup(world_session_holds(w, first)->desktop);
  ends(w, first);
  cad_is(w, 2, 0, 0);
  g_autofree char *one = ask(w, "a2", "p"), *two = ask(w, "a3", "p"), *again = ask(w, "a1", "own");
  waits_for(w, again, "licence-full", "2 of 2");
  ends(w, one);
  assert_string_equal(world_session_holds(w, again)->desktop, desktop);
  world_free(w);
}

static void what_is_held_and_the_line_outlive_the_controller(void **state)
{
  World *w = two_seats();
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "q");
  w->now_us += G_USEC_PER_SEC;
  g_autofree char *three = ask(w, "a3", "q");
  w->now_us += G_USEC_PER_SEC;
  g_autofree char *four = ask(w, "a4", "p");
  world_crash(w);
  cad_is(w, 2, 2, 2);
  waits_for(w, three, "licence-full", "0 wait before");
  waits_for(w, four, "licence-full", "1 wait before");
  ends(w, two);
  world_session_holds(w, three);
  world_session_is(w, four, SESSION_QUEUED);
  world_free(w);
}

static void the_line_of_a_pool_outlives_the_controller(void **state)
{
  static const char *const users[] = { "a3", "a4", "a5", "a6" };
  World *w = two_seats();
  char *line[G_N_ELEMENTS(users)];
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "p");
  for (size_t i = 0; i < G_N_ELEMENTS(users); i++)
    line[i] = ask(w, users[i], "q");
  world_crash(w);
  ends(w, one);
  for (size_t i = 0; i < G_N_ELEMENTS(users); i++) {
    world_session_holds(w, line[i]);
    for (size_t k = i + 1; k < G_N_ELEMENTS(users); k++)
      world_session_is(w, line[k], SESSION_QUEUED);
    ends(w, line[i]);
    world_pass(w, 5);
    g_free(line[i]);
  }
  world_free(w);
}

static void an_end_that_is_known_is_told(void **state)
{
  World *w = two_seats();
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'disconnected_s':600}"), 200);
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "p");
  Session *left = (Session *)WORLD_GET(w, Session, SESSION, one);
  left->state = SESSION_DISCONNECTED; /* as its gateway would have said */
  left->disconnected = w->now_us;
  g_autofree char *three = ask(w, "a3", "q"), *four = ask(w, "a4", "q");
  waits_for(w, three, "licence-full", "; free at ");
  waits_for(w, four, "licence-full", "; no end is set");
  world_answered(world_ask(w, API_SESSION_EXPLAIN, NULL, three, NULL), 200);
  if (!strstr(w->last->json, "place-fix-licence-may-end") || !strstr(w->last->json, one) || !strstr(w->last->json, "of a1 ends"))
    fail_msg("%s", w->last->json);
  world_answered(world_ask(w, API_SESSION_EXPLAIN, NULL, four, NULL), 200);
  if (!strstr(w->last->json, "place-fix-licence-open") || !strstr(w->last->json, "2 more seats") || !strstr(w->last->json, "--total 4"))
    fail_msg("%s", w->last->json);
  world_free(w);
}

/* Two of two seats are had until a time that is set: one more gets the first of them, but who wants both can be overtaken by who wants one. */
static void only_what_is_sure_is_told_as_sure(void **state)
{
  World *w = two_seats();
  world_answered(world_ask(w, API_LICENCE_ADD, NULL, NULL, "{'name':'sim','total':1}"), 201);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'lasts_s':600}"), 200);
  pool_add(w, "big", ",'min':1,'max':1,'licences':['cad=2']");
  pool_add(w, "both", ",'min':1,'max':1,'licences':['cad=1','sim=1']");
  g_autofree char *one = ask(w, "a1", "p"), *two = ask(w, "a2", "p"), *small = ask(w, "a3", "p"), *big = ask(w, "a4", "big"), *both = ask(w, "a5", "both");
  waits_for(w, small, "licence-full", "at the latest");
  waits_for(w, big, "licence-full", "; no end is set"); /* small before it has none yet */
  ends(w, small);
  waits_for(w, big, "licence-full", " as things are now");
  waits_for(w, both, "licence-full", "; no end is set");
  world_answered(world_ask(w, API_SESSION_EXPLAIN, NULL, big, NULL), 200);
  if (!strstr(w->last->json, "place-fix-licence-may-end") || strstr(w->last->json, "place-fix-licence-end\""))
    fail_msg("%s", w->last->json);
  ends(w, big);
  waits_for(w, both, "licence-full", " as things are now");
  ends(w, both);
  g_autofree char *last = ask(w, "a6", "q");
  waits_for(w, last, "licence-full", "at the latest");
  Session *left = (Session *)WORLD_GET(w, Session, SESSION, one);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'disconnected_s':60}"), 200);
  left->state = SESSION_DISCONNECTED; /* as its gateway would have said */
  left->disconnected = w->now_us;
  ends(w, last);
  g_autofree char *more = ask(w, "a6", "q");
  waits_for(w, more, "licence-full", " as things are now"); /* a1 may come back */
  world_free(w);
}

static int64_t planned(World *w, const char *pool, const char *body)
{
  world_answered(world_ask(w, API_POOL_PLAN, NULL, pool, body), 200);
  json_auto_t *plan = json_loads(w->last->json, 0, NULL);
  return json_integer_value(json_object_get(plan, "placed"));
}

static void a_plan_has_no_more_places_than_seats(void **state)
{
  World *w = two_seats();
  assert_int_equal(planned(w, "p", "{'count':3}"), 2);
  if (!strstr(w->last->json, "place-licence") || !strstr(w->last->json, "1 more seats of licence") || !strstr(w->last->json, "\"held\":0"))
    fail_msg("%s", w->last->json);
  g_autofree char *one = ask(w, "a1", "q");
  assert_int_equal(planned(w, "p", "{'count':3}"), 1);
  assert_non_null(strstr(w->last->json, "place-fix-licence-open"));
  assert_non_null(strstr(w->last->json, "--total 4"));
  world_answered(world_ask(w, API_LICENCE_CHANGE, NULL, "cad", "{'total':4}"), 200);
  assert_int_equal(planned(w, "p", "{'count':3}"), 3); /* the way out that was told */
  world_same_fleet(w);
  world_free(w);
}

static void what_no_seats_will_ever_do_is_denied_and_recorded(void **state)
{
  World *w = two_seats();
  pool_add(w, "big", ",'min':1,'max':1,'licences':['cad=3']");
  const Answer *a = world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'big','user':'a1'}");
  assert_true(a->error && error_is(a->error, REASON_LICENCE_FEW));
  assert_non_null(strstr(world_event(w, "session.denied")->detail, "\"licences\":[\"cad=3\"]"));
  world_pass(w, 1000);
  const DemandRow *d = w->demands->pdata[0];
  assert_string_equal(d->reason, "licence-few");
  assert_string_equal(d->licences[0], "cad=3");
  world_free(w);
}

static void refuses(World *w, ApiVerb verb, const char *name, const char *body, Reason reason)
{
  const Answer *a = world_ask(w, verb, NULL, name, body);
  if (!a->error || !error_is(a->error, reason))
    fail_msg("%s: %s", body ? body : name, a->error ? a->error->message : "taken");
}

static void what_cannot_be_is_refused(void **state)
{
  static const struct {
    const char *licences;
    Reason reason;
  } rows[] = { { "['cae=1']", REASON_NOT_FOUND },       { "['cad=0']", REASON_BAD_VALUE },  { "['cad=']", REASON_BAD_VALUE },
               { "['cad=1','cad=1']", REASON_BAD_VALUE }, { "['cad=-1']", REASON_BAD_VALUE }, { "['=1']", REASON_BAD_VALUE },
               { "['cad=1x']", REASON_BAD_VALUE },        { "['Cad=1']", REASON_BAD_VALUE },  { "['cad=1000001']", REASON_BAD_VALUE } };
  World *w = two_seats();
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *body = g_strdup_printf("{'licences':%s}", rows[i].licences);
    refuses(w, API_POOL_CHANGE, "p", body, rows[i].reason);
  }
  refuses(w, API_LICENCE_ADD, NULL, "{'name':'cad','total':1}", REASON_EXISTS);
  refuses(w, API_LICENCE_ADD, NULL, "{'name':'x'}", REASON_MISSING_FIELD);
  refuses(w, API_LICENCE_CHANGE, "cad", "{'total':-1}", REASON_BAD_VALUE);
  refuses(w, API_LICENCE_CHANGE, "cad", "{'held':1}", REASON_UNKNOWN_FIELD);
  refuses(w, API_LICENCE_REMOVE, "cad", NULL, REASON_IN_USE);
  world_free(w);
}

static void a_licence_goes_when_nobody_wants_or_holds_it(void **state)
{
  World *w = two_seats();
  g_autofree char *one = ask(w, "a1", "p");
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'licences':[]}"), 200);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "q", "{'licences':[]}"), 200);
  refuses(w, API_LICENCE_REMOVE, "cad", NULL, REASON_IN_USE);
  ends(w, one);
  assert_null(world_ask(w, API_LICENCE_REMOVE, NULL, "cad", NULL)->error);
  assert_null(WORLD_GET(w, Licence, LICENCE, "cad"));
  world_free(w);
}

/* Whatever comes in whatever order: what is held is what sessions say, never more than there were when it was given, and nobody waits for what is free. */
static void random_days_add_up(void **state)
{
  static const char *const pools[] = { "p", "q", "big" };
  for (guint32 seed = 1; seed <= 12; seed++) {
    World *w = two_seats();
    GRand *rand = g_rand_new_with_seed(seed);
    pool_add(w, "big", ",'min':2,'max':4,'licences':['cad=2']");
    world_answered(world_ask(w, API_LICENCE_CHANGE, NULL, "cad", "{'total':3}"), 200);
    for (int step = 0; step < 60; step++) {
      g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_SESSION);
      g_autofree char *user = g_strdup_printf("a%d", g_rand_int_range(rand, 1, 7));
      g_autofree char *body = g_strdup_printf("{'pool':'%s','user':'%s'}", pools[g_rand_int_range(rand, 0, 3)], user);
      g_autofree char *session = names->len ? g_strdup(names->pdata[g_rand_int_range(rand, 0, (int)names->len)]) : NULL;
      if (session && g_rand_int_range(rand, 0, 2))
        world_ask(w, API_SESSION_END, NULL, session, NULL);
      else
        world_ask(w, API_SESSION_REQUEST, NULL, NULL, body);
      if (!g_rand_int_range(rand, 0, 20))
        world_crash(w);
      world_pass(w, g_rand_int_range(rand, 1, 30));
      int64_t held = 0, least = INT_MAX;
      g_autoptr(GPtrArray) now = brain_names(w->brain, NOUN_SESSION);
      for (guint i = 0; i < now->len; i++) {
        const Session *s = WORLD_GET(w, Session, SESSION, now->pdata[i]);
        held += session_state_is_live(s->state) ? licence_wanted(s->licences, "cad") : 0;
        if (s->state == SESSION_QUEUED && s->error && strstr(s->error, "licence-full"))
          least = MIN(least, licence_wanted(WORLD_GET(w, Pool, POOL, s->pool)->licences, "cad"));
      }
      const Licence *l = WORLD_GET(w, Licence, LICENCE, "cad");
      assert_int_equal(l->held, held);
      assert_true(held <= l->total);
      assert_true(least > l->total - held);
    }
    g_rand_free(rand);
    world_free(w);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(seats_are_never_more_than_there_are),
    cmocka_unit_test(who_waits_longest_gets_the_next_whichever_pool_frees_it),
    cmocka_unit_test(one_pool_in_line_holds_up_no_other),
    cmocka_unit_test(fewer_seats_throw_nobody_out),
    cmocka_unit_test(what_is_held_does_not_change_with_the_pool),
    cmocka_unit_test(several_licences_are_held_together_or_not_at_all),
    cmocka_unit_test(a_pool_makes_no_desktops_for_whom_there_are_no_seats),
    cmocka_unit_test(who_can_never_have_a_seat_is_no_head),
    cmocka_unit_test(no_head_waits_for_ever),
    cmocka_unit_test(a_dedicated_desktop_waits_for_its_seat_too),
    cmocka_unit_test(what_is_held_and_the_line_outlive_the_controller),
    cmocka_unit_test(the_line_of_a_pool_outlives_the_controller),
    cmocka_unit_test(an_end_that_is_known_is_told),
    cmocka_unit_test(only_what_is_sure_is_told_as_sure),
    cmocka_unit_test(a_plan_has_no_more_places_than_seats),
    cmocka_unit_test(what_no_seats_will_ever_do_is_denied_and_recorded),
    cmocka_unit_test(what_cannot_be_is_refused),
    cmocka_unit_test(a_licence_goes_when_nobody_wants_or_holds_it),
    cmocka_unit_test(random_days_add_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

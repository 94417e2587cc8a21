/* When things end: a session in line by its deadline, a session that has a desktop by its pool's time; and who is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "core/lifecycle.h"
#include "core/text.h"
#include "core/words.h"
#include "tests/unit/brain_world.h"

#define MINUTE_US (INT64_C(60) * G_USEC_PER_SEC)

/* Whom a desktop is offered to may take a day for it. */
static World *one_seat(const char *more)
{
  g_autofree char *fields = g_strconcat(",'offer_s':86400", more, NULL);
  return world_one_seat(fields);
}

static char *ask(World *w, const char *user, const char *more)
{
  g_autofree char *body = g_strdup_printf("{'pool':'p','user':'%s'%s}", user, more);
  world_answered(world_ask(w, API_SESSION_REQUEST, NULL, NULL, body), 201);
  return g_strdup(w->last->object->name);
}

static void in_text(const char *text, const char *what)
{
  if (!text || !strstr(text, what))
    fail_msg("\"%s\" is not in: %s", what, text ? text : "nothing");
}

static void who_still_waits_at_the_deadline_is_denied_with_the_reason(void **state)
{
  World *w = one_seat("");
  g_autofree char *holder = ask(w, "ann", ""), *late = ask(w, "bea", ",'by':'15m'");
  assert_int_equal(world_session_is(w, late, SESSION_QUEUED)->by, w->now_us + 15 * MINUTE_US);
  assert_true(w->wake_us <= w->now_us + 15 * MINUTE_US);
  world_pass(w, 15 * 60 - 1);
  world_session_is(w, late, SESSION_QUEUED);
  world_pass(w, 1);
  const Session *s = world_session_is(w, late, SESSION_ENDED);
  assert_int_equal(s->reason, END_DENIED);
  in_text(s->error, "licence-full");
  in_text(s->error, "1 of 1 seats are held");
  world_session_holds(w, holder);
  assert_int_equal(WORLD_GET(w, Licence, LICENCE, "cad")->waiting, 0);
  in_text(world_event(w, "session.denied")->detail, "licence-full");
  assert_int_equal(w->demands->len, 1);
  const DemandRow *d = w->demands->pdata[0];
  assert_int_equal(d->outcome, DEMAND_DENIED);
  assert_string_equal(d->reason, "licence-full");
  assert_string_equal(d->licences[0], "cad");
  assert_string_equal(d->session, late);
  assert_int_equal(d->ended - d->asked, 15 * MINUTE_US);
  world_free(w);
}

static void who_is_served_in_time_stays(void **state)
{
  World *w = one_seat("");
  g_autofree char *holder = ask(w, "ann", ""), *next = ask(w, "bea", ",'by':'15m'");
  world_pass(w, 600);
  world_answered(world_ask(w, API_SESSION_END, NULL, holder, NULL), 200);
  world_session_holds(w, next);
  world_pass(w, 3600);
  world_session_holds(w, next);
  world_free(w);
}

static void a_desktop_that_is_not_ready_in_time_is_the_reason_too(void **state)
{
  World *w = one_seat("");
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'q','template':'linux','image':'linux','vcpus':1,'memory_mib':256,'min':0,'max':1}"), 201);
  w->hold = true;
  world_answered(world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'q','user':'bea','by':'30s'}"), 201);
  g_autofree char *name = g_strdup(w->last->object->name);
  world_pass(w, 30);
  const Session *s = world_session_is(w, name, SESSION_ENDED);
  assert_int_equal(s->reason, END_DENIED);
  in_text(s->error, "deadline-passed");
  world_free(w);
}

static void who_has_a_deadline_waits_for_room_until_then(void **state)
{
  World *w = one_seat("");
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'q','template':'linux','image':'linux','vcpus':1,'memory_mib':256,'min':0,'max':1}"), 201);
  world_answered(world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'q','user':'ann'}"), 201);
  g_autofree char *holder = g_strdup(w->last->object->name);
  const Answer *a = world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'q','user':'bea'}");
  assert_true(a->error && error_is(a->error, REASON_POOL_FULL)); /* who has none is told at once */
  world_answered(world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'q','user':'bea','by':'15m'}"), 201);
  g_autofree char *served = g_strdup(w->last->object->name);
  in_text(world_session_is(w, served, SESSION_QUEUED)->error, "pool-full");
  world_answered(world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'q','user':'minsu','by':'18m'}"), 201);
  g_autofree char *late = g_strdup(w->last->object->name);
  world_pass(w, 600);
  world_answered(world_ask(w, API_SESSION_END, NULL, holder, NULL), 200);
  assert_null(world_session_is(w, served, SESSION_OFFERED)->error);
  world_pass(w, 480);
  in_text(world_session_is(w, late, SESSION_ENDED)->error, "pool-full");
  const DemandRow *d = w->demands->pdata[w->demands->len - 1];
  assert_int_equal(d->outcome, DEMAND_DENIED);
  assert_int_equal(d->by - d->asked, 18 * MINUTE_US);
  world_free(w);
}

static void a_deadline_that_is_too_early_is_told_at_once(void **state)
{
  World *w = one_seat(",'lasts_s':3600");
  g_autofree char *holder = ask(w, "ann", "");
  g_autofree char *late = ask(w, "bea", ",'by':'15m'");
  in_text(((const Session *)w->last->object)->error, "at the latest, and its deadline is ");
  json_auto_t *told = json_loads(((const Session *)w->last->object)->error, 0, NULL);
  const char *when = json_string_value(json_object_get(json_object_get(told, "args"), "when"));
  g_autofree char *korean = word_argument(REASON_LICENCE_FULL, "when", when, (const char *const[]){ NULL });
  in_text(korean, "기한은 ");
  world_answered(world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'p','user':'bea','by':'2h'}"), 200); /* asked again: that one counts */
  const Session *s = world_session_is(w, late, SESSION_QUEUED);
  assert_int_equal(s->by, w->now_us + 120 * MINUTE_US);
  in_text(s->error, "at the latest\"");
  world_pass(w, 16 * 60);
  world_session_is(w, late, SESSION_QUEUED);
  world_pass(w, 44 * 60); /* and it was said rightly when it would be free */
  assert_int_equal(world_session_is(w, holder, SESSION_ENDED)->reason, END_OVER);
  world_session_holds(w, late);
  world_free(w);
}

static void a_deadline_outlives_the_controller(void **state)
{
  World *w = one_seat("");
  g_autofree char *holder = ask(w, "ann", ""), *late = ask(w, "bea", ",'by':'15m'");
  w->now_us += 20 * MINUTE_US;
  world_crash(w);
  assert_int_equal(world_session_is(w, late, SESSION_ENDED)->reason, END_DENIED);
  world_session_holds(w, holder);
  world_free(w);
}

static void deadlines_that_cannot_be_are_refused(void **state)
{
  static const char *const rows[] = { "''", "'soon'", "'0s'", "'-5m'", "'5x'", "'2001-01-01T00:00:00Z'", "'31d'", "15", "'1000001d'", "'99999999999999999999s'" };
  World *w = one_seat("");
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *body = g_strdup_printf("{'pool':'p','by':%s}", rows[i]);
    const Answer *a = world_ask(w, API_SESSION_REQUEST, NULL, NULL, body);
    if (!a->error || !error_is(a->error, REASON_BAD_VALUE) || g_strcmp0(error_arg(a->error, "field"), "by"))
      fail_msg("%s: %s", rows[i], a->error ? a->error->message : "taken");
    g_autofree char *korean = error_text(a->error, LANG_KO);
    assert_false(strstr(korean, "from now") || strstr(korean, "time to come"));
  }
  g_autoptr(GPtrArray) none = brain_names(w->brain, NOUN_SESSION);
  assert_int_equal(none->len, 0);
  world_free(w);
}

static void moments_are_read(void **state)
{
  static const struct {
    const char *text;
    int64_t us;
  } rows[] = { { "90s", 90 }, { "15m", 900 }, { "2h", 7200 }, { "7d", 604800 }, { "1970-01-01T00:00:10Z", 9 }, { "1970-01-01T09:00:10+09:00", 9 },
             { "1970-01-01T00:05:01", 300 }, { "1970-01-01T01:00", 3599 }, { "1970-01-01 01:00", 3599 }, { "1970-01-01T01:00Z", 3599 },
             { "1970-01-01T10:00+09:00", 3599 } };
  static const char *const wrong[] = { "1970-01-01", "1970-01-01T01", "1970-01-01T01:0", "1970-01-01T01:60", "1970-01-01T01:00x", "1970-01-01T01:00:", "" };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    int64_t at_us;
    assert_true(moment_parse(rows[i].text, G_USEC_PER_SEC, &at_us));
    assert_int_equal(at_us, (rows[i].us + 1) * G_USEC_PER_SEC);
  }
  for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
    int64_t at_us;
    assert_false(moment_parse(wrong[i], G_USEC_PER_SEC, &at_us));
  }
}

static void a_session_ends_when_its_time_is_over_whatever_becomes_of_the_pool(void **state)
{
  World *w = one_seat(",'lasts_s':3600");
  g_autofree char *name = ask(w, "ann", "");
  assert_int_equal(world_session_holds(w, name)->ends, w->now_us + 60 * MINUTE_US);
  world_answered(world_ask(w, API_POOL_CHANGE, NULL, "p", "{'lasts_s':0}"), 200);
  world_pass(w, 3599);
  world_session_holds(w, name);
  world_pass(w, 1);
  assert_int_equal(world_session_is(w, name, SESSION_ENDED)->reason, END_OVER);
  g_autofree char *next = ask(w, "ann", "");
  assert_int_equal(world_session_holds(w, next)->ends, 0);
  world_free(w);
}

static void who_left_may_go_before_the_time_is_over(void **state)
{
  World *w = one_seat(",'lasts_s':3600,'disconnected_s':600");
  g_autofree char *name = ask(w, "ann", "");
  Session *left = (Session *)WORLD_GET(w, Session, SESSION, name);
  left->state = SESSION_DISCONNECTED; /* as its gateway would have said */
  left->disconnected = w->now_us;
  world_crash(w);
  world_pass(w, 600);
  assert_int_equal(world_session_is(w, name, SESSION_ENDED)->reason, END_TIMEOUT);
  world_free(w);
}

/* h1 has room for two desktops of p, and both are taken. */
static World *full_pool(const char *more)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'vcpus':2}");
  world_answered(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ann'}"), 201);
  g_autofree char *pool = g_strdup_printf("{'name':'p','template':'linux','image':'linux','vcpus':1,'memory_mib':256,'min':2,'max':4,'offer_s':86400%s}", more);
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL, pool), 201);
  return w;
}

static void the_nearest_end_is_a_way_out(void **state)
{
  World *w = full_pool(",'lasts_s':3600");
  g_autofree char *first = ask(w, "ann", "");
  world_pass(w, 60);
  g_autofree char *second = ask(w, "root", "");
  world_answered(world_ask(w, API_POOL_PLAN, NULL, "p", NULL), 200);
  const Session *s = world_session_holds(w, first);
  g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(s->ends / G_USEC_PER_SEC);
  g_autofree char *said = g_date_time_format(date, "comes back to the pool at %Y-%m-%dT%H:%M:%SZ at the latest");
  in_text(w->last->json, "place-fix-over");
  in_text(w->last->json, said);
  in_text(w->last->json, s->desktop);
  in_text(w->last->json, "of ann ends then");
  world_pass(w, 3600); /* and then there is one */
  g_autofree char *third = ask(w, "ann", "");
  world_session_holds(w, third);
  world_free(w);
}

static void that_no_end_is_set_is_told(void **state)
{
  World *w = full_pool("");
  g_autofree char *first = ask(w, "ann", ""), *second = ask(w, "root", "");
  world_answered(world_ask(w, API_POOL_PLAN, NULL, "p", NULL), 200);
  in_text(w->last->json, "in at most 1440 minutes desktop ");
  in_text(w->last->json, "unless the person of session ");
  ((Session *)WORLD_GET(w, Session, SESSION, first))->take_by = 0; /* as when they have come */
  ((Session *)WORLD_GET(w, Session, SESSION, second))->take_by = 0;
  world_answered(world_ask(w, API_POOL_PLAN, NULL, "p", NULL), 200);
  in_text(w->last->json, "no end is set for the 2 desktops");
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(who_still_waits_at_the_deadline_is_denied_with_the_reason),
    cmocka_unit_test(who_is_served_in_time_stays),
    cmocka_unit_test(a_desktop_that_is_not_ready_in_time_is_the_reason_too),
    cmocka_unit_test(who_has_a_deadline_waits_for_room_until_then),
    cmocka_unit_test(a_deadline_that_is_too_early_is_told_at_once),
    cmocka_unit_test(a_deadline_outlives_the_controller),
    cmocka_unit_test(deadlines_that_cannot_be_are_refused),
    cmocka_unit_test(moments_are_read),
    cmocka_unit_test(a_session_ends_when_its_time_is_over_whatever_becomes_of_the_pool),
    cmocka_unit_test(who_left_may_go_before_the_time_is_over),
    cmocka_unit_test(the_nearest_end_is_a_way_out),
    cmocka_unit_test(that_no_end_is_set_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

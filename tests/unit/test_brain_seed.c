/* A person's account that comes by the seed: the desktop is started anew with it, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

static void template_add(World *w, const char *family, const char *path)
{
  g_autofree char *xml = NULL;
  assert_true(g_file_get_contents(path, &xml, NULL, NULL));
  Request *r = request_new(API_TEMPLATE_ADD);
  r->caller = (Caller){ .user = g_strdup("root"), .role = ROLE_ADMINISTRATOR, .logged_in = true, .local = true };
  r->body = json_pack("{ss ss}", "family", family, "xml", xml);
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  assert_null(w->last->error);
}

static World *world_of_seeds(const char *kind, const char *more)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  template_add(w, "xen", "templates/xen-linux.xml");
  template_add(w, "micro", "templates/micro.xml");
  g_autofree char *body = g_strdup_printf("{'name':'seeds','template':'xen','image':'linux','kind':'%s','min':1,'max':1%s}", kind, more);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->error);
  return w;
}

static char *session_of(World *w, const char *user)
{
  const Answer *a = world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'seeds'}");
  assert_non_null(a);
  assert_null(a->error);
  return g_strdup(a->object->name);
}

static void steps_are(World *w, const StepKind *wanted, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    assert_int_equal(w->held->len, 1);
    const StepOrder *order = w->held->pdata[0];
    if (order->kind != wanted[i])
      fail_msg("step %zu is %s, not %s", i, step_rows[order->kind].name, step_rows[wanted[i]].name);
    world_release(w);
    world_settle(w);
  }
  assert_int_equal(w->held->len, 0);
}

static const StepKind reseed[] = { STEP_POWER_OFF, STEP_SEED_PERSON, STEP_START, STEP_READY };

static void a_pool_follows_its_template(void **state)
{
  World *w = world_of_seeds("floating", "");
  w->hold = true;
  g_autofree char *name = session_of(w, "jihye");
  const Session *s = WORLD_GET(w, Session, SESSION, name);
  assert_true(WORLD_GET(w, Desktop, DESKTOP, s->desktop)->touched);
  assert_false(s->ready);
  steps_are(w, reseed, G_N_ELEMENTS(reseed));
  s = WORLD_GET(w, Session, SESSION, name);
  assert_true(s->ready);
  assert_string_equal(WORLD_GET(w, Desktop, DESKTOP, s->desktop)->seeded, "jihye");
  world_free(w);
}

static void a_pool_may_say_its_own(void **state)
{
  World *w = world_of_seeds("floating", ",'personalise':'none'");
  w->hold = true;
  g_autofree char *name = session_of(w, "jihye");
  assert_int_equal(w->held->len, 0);
  assert_true(WORLD_GET(w, Session, SESSION, name)->ready);
  world_free(w);
}

/* Nothing in a guest without an agent can bear witness: it is replaced, and the next one's carries nobody. */
static void whoever_comes_next_gets_another(void **state)
{
  World *w = world_of_seeds("floating", "");
  g_autofree char *name = session_of(w, "jihye"), *desktop = g_strdup(WORLD_GET(w, Session, SESSION, name)->desktop);
  world_ask(w, API_SESSION_END, "jihye", name, NULL);
  assert_null(WORLD_GET(w, Desktop, DESKTOP, desktop));
  g_autofree char *next = session_of(w, "minsu");
  const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, WORLD_GET(w, Session, SESSION, next)->desktop);
  assert_string_not_equal(d->head.name, desktop);
  assert_string_equal(d->seeded, "minsu");
  world_free(w);
}

/* What its owner left running goes on. */
static void an_owners_desktop_is_not_started_anew_each_time(void **state)
{
  World *w = world_of_seeds("dedicated", "");
  g_autofree char *name = session_of(w, "jihye");
  world_ask(w, API_SESSION_END, "jihye", name, NULL);
  w->hold = true;
  g_autofree char *again = session_of(w, "jihye");
  static const StepKind wake[] = { STEP_FIND_DISK, STEP_DEFINE, STEP_START, STEP_READY };
  steps_are(w, wake, G_N_ELEMENTS(wake));
  assert_true(WORLD_GET(w, Session, SESSION, again)->ready);
  world_free(w);
}

static GError *start_fails(World *w, const StepOrder *order)
{
  GError *err = NULL;
  const Desktop *d = order->desktop;
  if (order->kind == STEP_START && d && d->session)
    error_set(&err, REASON_HYPERVISOR_REFUSED, "host", "h1", "what", "start", "detail", "no", NULL);
  return err;
}

static void a_desktop_that_does_not_come_up_with_it_is_replaced(void **state)
{
  World *w = world_of_seeds("floating", "");
  w->answer = start_fails;
  g_autofree char *name = session_of(w, "jihye"), *desktop = g_strdup(WORLD_GET(w, Session, SESSION, name)->desktop);
  for (int i = 0; i < 5; i++)
    world_pass(w, 5);
  assert_int_equal(WORLD_GET(w, Session, SESSION, name)->state, SESSION_ENDED);
  assert_null(WORLD_GET(w, Desktop, DESKTOP, desktop));
  world_free(w);
}

static void a_guest_that_reads_no_seed_cannot_be_seeded(void **state)
{
  World *w = world_of_seeds("floating", "");
  const Answer *a = world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'no','template':'micro','image':'linux','personalise':'seed','max':1}");
  assert_true(error_is(a->error, REASON_BAD_VALUE));
  assert_string_equal(error_arg(a->error, "field"), "personalise");
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_pool_follows_its_template),
    cmocka_unit_test(a_pool_may_say_its_own),
    cmocka_unit_test(whoever_comes_next_gets_another),
    cmocka_unit_test(an_owners_desktop_is_not_started_anew_each_time),
    cmocka_unit_test(a_desktop_that_does_not_come_up_with_it_is_replaced),
    cmocka_unit_test(a_guest_that_reads_no_seed_cannot_be_seeded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A desktop that goes to another host as it runs: the whole brain over three hosts of a fact each. Wherever the controller dies, whatever fails and
 * whoever keeps silent, it runs on one host at most, is never started by a move, and is where the brain says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

enum { LONG_S = 4000 };
typedef enum { NOTHING, OFF, HALF, RUNS } There;

/* What is on a, b and c, and what goes wrong next. */
static struct {
  There at[3];
  GString *steps;      /* of moves and starts, in order */
  StepKind fails;
  Reason reason;
  int times;
  bool after;          /* it is done, and only then told otherwise */
  bool leaves_half;
  bool loses;          /* what goes arrives nowhere */
} house;

static There *on(const char *host)
{
  static There elsewhere;
  return host[0] >= 'a' && host[0] <= 'c' && !host[1] ? &house.at[host[0] - 'a'] : &elsewhere;
}

static void runs_on_one_at_most(void)
{
  int n = 0;
  for (size_t i = 0; i < G_N_ELEMENTS(house.at); i++)
    n += house.at[i] == RUNS;
  assert_in_range(n, 0, 1);
}

static GError *says(Reason reason, const StepOrder *order)
{
  GError *err = NULL;
  error_set(&err, reason, "desktop", order->desktop->head.name, "host", order->host->head.name, "domain", "u", "to", "there", "detail", "-", "what",
            "move", "limit", "its time", NULL);
  return err;
}

static GError *goes(const StepOrder *order, There *here, There *there)
{
  if (*here != RUNS)
    return NULL;
  assert_int_not_equal(*there, RUNS);
  *here = NOTHING;
  *there = house.loses ? NOTHING : RUNS;
  return NULL;
}

static GError *swept(const StepOrder *order, There *here, There refused)
{
  if (*here >= refused)
    return says(REASON_RUNS_TWICE, order);
  *here = NOTHING;
  return NULL;
}

static GError *step_done(const StepOrder *order)
{
  There *here = on(order->host->head.name);
  switch ((int)order->kind) {
  case STEP_START:
    *here = RUNS;
    return NULL;
  case STEP_UNDEFINE:
    *here = NOTHING;
    return NULL;
  case STEP_AIM:
    return swept(order, here, HALF);
  case STEP_MIGRATE:
    return goes(order, here, on(order->other->head.name));
  case STEP_ARRIVE:
    return *here == RUNS ? NULL : says(REASON_NOT_ARRIVED, order);
  case STEP_LEAVE:
    return swept(order, here, HALF);
  case STEP_SWEEP:
    return swept(order, here, RUNS);
  default:
    return NULL;
  }
}

static bool is_told(StepKind kind) { return kind >= STEP_AIM && kind <= STEP_SWEEP; }

static GError *house_answers(World *w, const StepOrder *order)
{
  if (!order->desktop || !order->host)
    return NULL;
  if (house.steps && (is_told(order->kind) || order->kind == STEP_START))
    g_string_append_printf(house.steps, "%s@%s ", step_rows[order->kind].name, order->host->head.name);
  bool fails = house.times && order->kind == house.fails;
  if (fails && house.leaves_half)
    *on(order->other->head.name) = HALF;
  GError *err = fails && !house.after ? NULL : step_done(order);
  runs_on_one_at_most();
  if (!fails)
    return err;
  g_clear_error(&err);
  house.times--;
  return says(house.reason, order);
}

static void house_tells(World *w, const StepOrder *order, StepResult *result)
{
  if (order->kind == STEP_STAY || order->kind == STEP_ARRIVE)
    result->power = *on(order->host->head.name) == RUNS ? POWER_ON : POWER_OFF;
}

/* ── a desktop on a that jihye has ────────────────────────────────────────── */

typedef struct {
  World *w;
  char *desktop, *session;
} Held;

static const Desktop *desktop_of(const Held *h) { return WORLD_GET(h->w, Desktop, DESKTOP, h->desktop); }

/* The only task there is that moves something; NULL = none. */
static const Task *move_of(const Held *h)
{
  const Desktop *d = desktop_of(h);
  return d->task ? WORLD_GET(h->w, Task, TASK, d->task) : NULL;
}

static Held held_new(const char *fields_of_b)
{
  Held h = { world_of_three(",'vcpus':8", fields_of_b, ",'vcpus':8"), NULL, NULL };
  memset(&house, 0, sizeof house);
  h.w->answer = house_answers;
  h.w->fill = house_tells;
  assert_null(world_ask(h.w, API_POOL_CREATE, NULL, NULL,
                        "{'name':'p','template':'linux','image':'linux','offer_s':604800,'vcpus':2,'memory_mib':1024,'min':1,'max':9,'hosts':['a']}")->error);
  assert_null(world_ask(h.w, API_POOL_CHANGE, NULL, "p", "{'hosts':[],'min':0}")->error);
  const Answer *a = world_ask(h.w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'p'}");
  assert_null(a->error);
  h.session = g_strdup(a->object->name);
  h.desktop = g_strdup(WORLD_GET(h.w, Session, SESSION, h.session)->desktop);
  assert_string_equal(desktop_of(&h)->host, "a");
  assert_int_equal(*on("a"), RUNS);
  house.steps = g_string_new(NULL);
  return h;
}

static void held_done(Held *h)
{
  g_string_free(house.steps, TRUE);
  house.steps = NULL;
  g_free(h->desktop);
  g_free(h->session);
  world_free(h->w);
}

static const Answer *migrate(Held *h, const char *body) { return world_ask(h->w, API_DESKTOP_MIGRATE, NULL, h->desktop, body); }

static void begun(const Answer *a)
{
  if (!a || a->error)
    fail_msg("it does not begin: %s", a ? a->error->message : "no answer");
}

/* It runs on that host alone, the brain says so, nothing is left elsewhere, and no move has started it. */
static void is_on(Held *h, const char *host)
{
  assert_string_equal(desktop_of(h)->host, host);
  assert_null(desktop_of(h)->moving);
  assert_null(desktop_of(h)->task);
  assert_int_equal(desktop_of(h)->power, POWER_ON);
  assert_string_equal(WORLD_GET(h->w, Session, SESSION, h->session)->host, host);
  for (const char *other = "abc"; *other; other++)
    assert_int_equal(house.at[*other - 'a'], *other == *host ? RUNS : NOTHING);
  assert_null(strstr(house.steps->str, "start@"));
  world_same_fleet(h->w);
}

static void one_step(Held *h)
{
  world_release(h->w);
  world_settle(h->w);
}

static void go_on(Held *h)
{
  h->w->hold = false;
  world_release(h->w);
  world_settle(h->w);
}

static void later(Held *h)
{
  for (int i = 0; i < 20; i++)
    world_pass(h->w, 120);
}

/* ── in order ─────────────────────────────────────────────────────────────── */

static void it_is_claimed_over_there_before_a_host_hears_of_it(void **state)
{
  Held h = held_new(",'vcpus':2");
  h.w->hold = true;
  int batches = h.w->batches;
  begun(migrate(&h, "{'host':'b'}"));
  assert_true(h.w->batches > batches);
  assert_string_equal(house.steps->str, "");
  assert_int_equal(h.w->held->len, 1);
  const StepOrder *first = h.w->held->pdata[0];
  assert_int_equal(first->kind, STEP_AIM);
  assert_string_equal(first->host->head.name, "b");
  assert_string_equal(desktop_of(&h)->moving, "b");
  world_same_fleet(h.w);
  h.w->hold = false;
  assert_null(world_ask(h.w, API_POOL_CHANGE, NULL, "p", "{'hosts':['b'],'min':2}")->error);
  assert_int_equal(WORLD_GET(h.w, Pool, POOL, "p")->min, 2);
  g_autoptr(GPtrArray) names = brain_names(h.w->brain, NOUN_DESKTOP);
  assert_int_equal(names->len, 1); /* its two CPUs are all that b has */
  is_on(&h, "b");
  held_done(&h);
}

static void its_host_changes_once_when_it_is_seen_over_there(void **state)
{
  static const char *const steps[] = { "", "aim@b ", "aim@b migrate@a ", "aim@b migrate@a arrive@b ", "aim@b migrate@a arrive@b leave@a " };
  Held h = held_new(",'vcpus':8");
  h.w->hold = true;
  begun(migrate(&h, "{'host':'b'}"));
  for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
    assert_string_equal(house.steps->str, steps[i]);
    assert_string_equal(desktop_of(&h)->host, i < 3 ? "a" : "b");
    assert_int_equal(desktop_of(&h)->moving != NULL, i < 3);
    assert_string_equal(WORLD_GET(h.w, Session, SESSION, h.session)->host, i < 3 ? "a" : "b");
    world_same_fleet(h.w);
    one_step(&h);
  }
  assert_non_null(world_event(h.w, "desktop.migrated"));
  is_on(&h, "b");
  held_done(&h);
}

static void without_a_host_it_goes_to_the_best_one(void **state)
{
  Held h = held_new(",'vcpus':1");
  begun(migrate(&h, "{}"));
  is_on(&h, "c");
  held_done(&h);
}

/* The fleet is made anew when any pool changes, and once went host by host: desktops knew the hosts before their own alone. */
static void hosts_of_its_pool_are_known_whatever_their_order(void **state)
{
  Held h = held_new(",'vcpus':8");
  assert_null(world_ask(h.w, API_POOL_CHANGE, NULL, "p", "{'hosts':['a','b']}")->error);
  world_same_fleet(h.w);
  begun(migrate(&h, "{'host':'b'}"));
  is_on(&h, "b");
  assert_null(world_ask(h.w, API_POOL_CHANGE, NULL, "p", "{'max':8}")->error);
  begun(migrate(&h, "{'host':'a'}"));
  is_on(&h, "a");
  held_done(&h);
}

/* ── what is refused ──────────────────────────────────────────────────────── */

static void refused(Held *h, const char *host, Reason reason)
{
  g_autofree char *body = host ? g_strdup_printf("{'host':'%s'}", host) : g_strdup("{}");
  const Answer *a = migrate(h, body);
  assert_non_null(a->error);
  if (!error_is(a->error, reason))
    fail_msg("%s: refused otherwise: %s", reason_wire(reason), a->error->message);
  assert_null(desktop_of(h)->moving);
  assert_string_equal(house.steps->str, "");
}

static void changed(Held *h, ApiVerb verb, const char *name, const char *body) { assert_null(world_ask(h->w, verb, NULL, name, body)->error); }

static void what_cannot_be_is_refused_with_its_reason(void **state)
{
  Held h = held_new(",'vcpus':1");
  refused(&h, "a", REASON_MOVE_SAME);
  refused(&h, "x", REASON_NOT_FOUND);
  refused(&h, "b", REASON_PLACE_VCPUS);
  changed(&h, API_HOST_CHANGE, "c", "{'memory_mib':512}");
  refused(&h, NULL, REASON_MOVE_NOWHERE);
  changed(&h, API_HOST_CHANGE, "c", "{'memory_mib':0}");
  changed(&h, API_STORAGE_CHANGE, "disk", "{'hosts':['a']}");
  refused(&h, "c", REASON_MOVE_DISK);
  changed(&h, API_STORAGE_CHANGE, "disk", "{'hosts':[]}");
  world_host_answers(h.w, "c", "xen");
  refused(&h, "c", REASON_MOVE_UNLIKE);
  world_host_answers(h.w, "a", "xen");
  refused(&h, "c", REASON_MOVE_KIND);
  world_host_answers(h.w, "a", "kvm");
  world_host_answers(h.w, "c", "kvm");
  assert_null(world_ask(h.w, API_HOST_DRAIN, NULL, "c", NULL)->error);
  refused(&h, NULL, REASON_MOVE_NOWHERE);
  held_done(&h);
}

static void one_that_is_on_its_way_is_not_sent_elsewhere(void **state)
{
  Held h = held_new(",'vcpus':8");
  h.w->hold = true;
  begun(migrate(&h, "{'host':'b'}"));
  const Answer *a = migrate(&h, "{'host':'c'}");
  assert_true(a->error && error_is(a->error, REASON_DESKTOP_BUSY));
  assert_string_equal(desktop_of(&h)->moving, "b");
  go_on(&h);
  is_on(&h, "b");
  held_done(&h);
}

/* ── the controller dies ──────────────────────────────────────────────────── */

/* With an order out: nobody hears whether it was done. */
static void wherever_the_controller_dies_it_goes_on(void **state)
{
  for (int dies = 0; dies < 4; dies++)
    for (int done = 0; done < 2; done++) {
      Held h = held_new(",'vcpus':8");
      h.w->hold = true;
      begun(migrate(&h, "{'host':'b'}"));
      for (int i = 0; i < dies; i++)
        one_step(&h);
      assert_int_equal(h.w->held->len, 1);
      if (done)
        assert_null(step_done(h.w->held->pdata[0]));
      h.w->hold = false;
      world_crash(h.w);
      is_on(&h, "b");
      held_done(&h);
    }
}

/* ── what goes wrong ──────────────────────────────────────────────────────── */

static void one_that_does_not_go_stays_and_its_half_is_swept(void **state)
{
  static const Reason reasons[] = { REASON_MIGRATION_FAILED, REASON_MIGRATION_STOPPED, REASON_MIGRATION_UNSAFE };
  for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
    Held h = held_new(",'vcpus':8");
    house.fails = STEP_MIGRATE, house.reason = reasons[i], house.times = 1, house.leaves_half = true;
    begun(migrate(&h, "{'host':'b'}"));
    later(&h);
    assert_string_equal(house.steps->str, "aim@b migrate@a stay@a sweep@b ");
    assert_non_null(world_event(h.w, "desktop.not-migrated"));
    is_on(&h, "a");
    house.leaves_half = false;
    begun(migrate(&h, "{'host':'b'}"));
    is_on(&h, "b");
    held_done(&h);
  }
}

static void one_that_went_unheard_is_looked_for_at_both_ends(void **state)
{
  static const struct { Reason reason; const char *host; bool after; } rows[] = {
    { REASON_HOST_UNREACHABLE, "b", true }, { REASON_HOST_UNREACHABLE, "b", false }, { REASON_TIMEOUT, "b", true }, { REASON_TIMEOUT, "a", false },
    { REASON_MIGRATION_FAILED, "b", true }, { REASON_DOMAIN_STATE, "b", true },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    Held h = held_new(",'vcpus':8");
    house.fails = STEP_MIGRATE, house.reason = rows[i].reason, house.times = 1, house.after = rows[i].after;
    begun(migrate(&h, "{'host':'b'}"));
    later(&h);
    is_on(&h, rows[i].host);
    held_done(&h);
  }
}

static void an_answer_that_never_comes_is_not_waited_for(void **state)
{
  for (int went = 0; went < 2; went++) {
    Held h = held_new(",'vcpus':8");
    h.w->hold = true;
    begun(migrate(&h, "{'host':'b'}"));
    one_step(&h);
    if (went)
      assert_null(step_done(h.w->held->pdata[0]));
    step_order_free(g_ptr_array_steal_index(h.w->held, 0));
    world_pass(h.w, LONG_S);
    go_on(&h);
    later(&h);
    is_on(&h, went ? "b" : "a");
    held_done(&h);
  }
}

static void one_that_runs_over_there_already_is_left_alone(void **state)
{
  Held h = held_new(",'vcpus':8");
  house.at[0] = NOTHING, house.at[1] = RUNS;
  begun(migrate(&h, "{'host':'b'}"));
  later(&h);
  assert_null(strstr(house.steps->str, "migrate@"));
  assert_int_equal(*on("b"), RUNS);
  assert_string_equal(desktop_of(&h)->host, "a");
  assert_null(desktop_of(&h)->moving);
  held_done(&h);
}

/* Both were asked, and neither has it: then it is known to be off. */
static void one_that_is_lost_on_the_way_is_off_at_its_own_host(void **state)
{
  Held h = held_new(",'vcpus':8");
  house.loses = true;
  begun(migrate(&h, "{'host':'b'}"));
  h.w->hold = true;
  later(&h);
  go_on(&h);
  later(&h);
  assert_null(desktop_of(&h)->moving);
  assert_string_equal(desktop_of(&h)->host, "a");
  assert_non_null(world_event(h.w, "desktop.not-migrated"));
  assert_null(world_event(h.w, "desktop.migrated"));
  held_done(&h);
}

static void called_back_it_stays_or_has_gone(void **state)
{
  for (int went = 0; went < 2; went++) {
    Held h = held_new(",'vcpus':8");
    h.w->hold = true;
    begun(migrate(&h, "{'host':'b'}"));
    one_step(&h);
    g_autofree char *task = g_strdup(move_of(&h)->head.name);
    if (went)
      assert_null(step_done(h.w->held->pdata[0]));
    step_order_free(g_ptr_array_steal_index(h.w->held, 0));
    assert_null(world_ask(h.w, API_TASK_CANCEL, NULL, task, NULL)->error);
    go_on(&h);
    later(&h);
    is_on(&h, went ? "b" : "a");
    const Answer *again = world_ask(h.w, API_TASK_CANCEL, NULL, task, NULL);
    assert_non_null(again->error);
    held_done(&h);
  }
}

static void its_session_ends_on_the_way_and_it_is_taken_back_over_there(void **state)
{
  Held h = held_new(",'vcpus':8");
  h.w->hold = true;
  begun(migrate(&h, "{'host':'b'}"));
  one_step(&h);
  assert_null(world_ask(h.w, API_SESSION_END, NULL, h.session, NULL)->error);
  assert_string_equal(desktop_of(&h)->moving, "b");
  assert_int_equal(move_of(&h)->kind, TASK_MIGRATE);
  go_on(&h);
  later(&h);
  const Desktop *d = desktop_of(&h);
  assert_true(!d || !d->session);
  assert_int_not_equal(*on("a"), RUNS);
  assert_null(strstr(house.steps->str, "start@a"));
  held_done(&h);
}

/* ── what is seen meanwhile ───────────────────────────────────────────────── */

static void seen(Held *h, const char *host, PowerState power)
{
  Observation *o = observation_new(SAW_DOMAINS, host);
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(h->w->brain), h->desktop);
  DomainSeen *domain = observation_add_domain(o, uuid);
  domain->ours = true;
  domain->desktop = g_strdup(h->desktop);
  domain->clone = desktop_of(h)->clone;
  domain->power = power;
  brain_observe(h->w->brain, o, h->w->now_us);
  world_settle(h->w);
}

static void nothing_seen(Held *h, const char *host)
{
  brain_observe(h->w->brain, observation_new(SAW_DOMAINS, host), h->w->now_us);
  world_settle(h->w);
}

static void what_is_seen_on_the_way_is_not_taken_for_a_desktop_gone_astray(void **state)
{
  Held h = held_new(",'vcpus':8");
  h.w->hold = true;
  begun(migrate(&h, "{'host':'b'}"));
  one_step(&h);
  seen(&h, "b", POWER_SUSPENDED);
  assert_null(step_done(h.w->held->pdata[0]));
  seen(&h, "b", POWER_ON);
  nothing_seen(&h, "a");
  assert_string_equal(desktop_of(&h)->host, "a");
  go_on(&h);
  is_on(&h, "b");
  seen(&h, "a", POWER_ON); /* a look that began before */
  is_on(&h, "b");
  assert_null(world_event(h.w, "host.desktop-elsewhere"));
  world_pass(h.w, 120);
  seen(&h, "a", POWER_ON); /* now it is somebody's doing */
  assert_non_null(world_event(h.w, "host.desktop-elsewhere"));
  held_done(&h);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_is_claimed_over_there_before_a_host_hears_of_it),
    cmocka_unit_test(its_host_changes_once_when_it_is_seen_over_there),
    cmocka_unit_test(without_a_host_it_goes_to_the_best_one), cmocka_unit_test(hosts_of_its_pool_are_known_whatever_their_order),
    cmocka_unit_test(what_cannot_be_is_refused_with_its_reason),
    cmocka_unit_test(one_that_is_on_its_way_is_not_sent_elsewhere),
    cmocka_unit_test(wherever_the_controller_dies_it_goes_on),
    cmocka_unit_test(one_that_does_not_go_stays_and_its_half_is_swept),
    cmocka_unit_test(one_that_went_unheard_is_looked_for_at_both_ends),
    cmocka_unit_test(an_answer_that_never_comes_is_not_waited_for),
    cmocka_unit_test(one_that_runs_over_there_already_is_left_alone),
    cmocka_unit_test(one_that_is_lost_on_the_way_is_off_at_its_own_host),
    cmocka_unit_test(called_back_it_stays_or_has_gone),
    cmocka_unit_test(its_session_ends_on_the_way_and_it_is_taken_back_over_there),
    cmocka_unit_test(what_is_seen_on_the_way_is_not_taken_for_a_desktop_gone_astray),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

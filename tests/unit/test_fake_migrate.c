/* Domains that go from one fake host to another, and all that may become of them: what the tests of steps and of the whole controller stand on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/hypervisor/fake.h"
#include "tests/unit/contract_assert.h"
#include "tests/unit/hypervisor_contract.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555", uuid[] = "aaaaaaaa-0000-4000-8000-000000000001";

enum { TRIP_MS = 60 };

typedef struct {
  Hypervisor *from, *to;
  int told;              /* the last percentage */
} Pair;

static Hypervisor *open_at(const char *uri)
{
  HypervisorOptions options = { .uri = uri, .controller = controller };
  Hypervisor *hypervisor = NULL;
  assert_ok(hypervisor_open(&options, &hypervisor, E));
  return hypervisor;
}

static void told(int pct, void *data) { ((Pair *)data)->told = pct; }

static int pair_up(void **state)
{
  Pair *p = g_new0(Pair, 1);
  g_autofree char *from = g_strdup_printf("fake:m1?migrate_ms=%d", TRIP_MS);
  p->from = open_at(from);
  p->to = open_at("fake:m2");
  ContractDomain domain = { uuid, "moves", controller, 3, false, false };
  g_autofree char *metadata = contract_metadata(&domain);
  g_autofree char *xml = g_strdup_printf("<domain type='kvm'><name>moves</name><uuid>%s</uuid>%s<memory unit='MiB'>64</memory><vcpu>2</vcpu>"
                                         "<os><type>hvm</type></os><devices/></domain>", uuid, metadata);
  assert_ok(hypervisor_define(p->from, xml, false, E));
  assert_ok(hypervisor_power(p->from, uuid, DOMAIN_START, E));
  *state = p;
  return 0;
}

static int pair_down(void **state)
{
  Pair *p = *state;
  hypervisor_close(p->from);
  hypervisor_close(p->to);
  fake_forget();
  g_free(p);
  return 0;
}

static bool migrate(Pair *p, int seconds, GError **err)
{
  Migration how = { .to = "fake:m2", .until_us = g_get_monotonic_time() + seconds * G_USEC_PER_SEC, .progress = told, .data = p };
  return hypervisor_migrate(p->from, uuid, &how, err);
}

/* NULL = it is not there; owned by the caller. */
static DomainFacts *look(Hypervisor *at)
{
  DomainFacts *facts = NULL;
  g_autoptr(GError) err = NULL;
  if (!hypervisor_look(at, uuid, &facts, &err))
    assert_true(error_is(err, REASON_NOT_FOUND));
  return facts;
}

/* It runs there alone, defined, ours, of its generation; the other host has nothing of it. */
static void is_at(Hypervisor *here, Hypervisor *not_there)
{
  g_autoptr(DomainFacts) facts = look(here), other = look(not_there);
  assert_non_null(facts);
  assert_null(other);
  assert_int_equal(facts->state, DOMAIN_ON);
  assert_false(facts->transient);
  assert_true(facts->owner.ours);
  assert_int_equal(facts->owner.generation, 3);
}

static void ways(const char *line) { assert_ok(fake_do("m1", line, E)); }

static void it_goes_and_tells_how_far_it_is(void **state)
{
  Pair *p = *state;
  assert_ok(migrate(p, 10, E));
  assert_in_range(p->told, 1, 99);
  is_at(p->to, p->from);
}

static void half_way_it_fails_and_stays(void **state)
{
  Pair *p = *state;
  ways("migration halfway 1");
  assert_refused(migrate(p, 10, E), REASON_MIGRATION_FAILED);
  is_at(p->from, p->to);
  assert_ok(migrate(p, 10, E));
  is_at(p->to, p->from);
}

static void its_half_is_left_over_there(void **state)
{
  Pair *p = *state;
  ways("migration left 1");
  assert_refused(migrate(p, 10, E), REASON_MIGRATION_FAILED);
  g_autoptr(DomainFacts) here = look(p->from), half = look(p->to);
  assert_int_equal(here->state, DOMAIN_ON);
  assert_int_equal(half->state, DOMAIN_SUSPENDED);
  assert_true(half->transient);
  assert_refused(migrate(p, 10, E), REASON_MIGRATION_FAILED); /* it is in the way */
  assert_ok(hypervisor_power(p->to, uuid, DOMAIN_DESTROY, E));
  assert_ok(hypervisor_undefine(p->to, uuid, E));
  is_at(p->from, p->to);
}

static void it_arrives_and_nobody_hears_of_it(void **state)
{
  Pair *p = *state;
  ways("migration unheard 1");
  assert_refused(migrate(p, 10, E), REASON_HOST_UNREACHABLE);
  hypervisor_close(p->from);
  p->from = open_at("fake:m1");
  is_at(p->to, p->from);
}

static void its_time_is_over_and_it_stays(void **state)
{
  Pair *p = *state;
  ways("migration endless 1");
  assert_refused(migrate(p, 0, E), REASON_MIGRATION_STOPPED);
  is_at(p->from, p->to);
}

typedef struct {
  Pair *pair;
  GError *error;
} Other;

static void *other_main(void *data)
{
  Other *o = data;
  migrate(o->pair, 20, &o->error);
  return NULL;
}

static void it_is_stopped_from_elsewhere(void **state)
{
  Pair *p = *state;
  Other o = { p, NULL };
  ways("migration endless 1");
  GThread *thread = g_thread_new("move", other_main, &o);
  while (!p->told)
    g_usleep(1000);
  assert_ok(hypervisor_migrate_stop(p->from, uuid, 10, E));
  is_at(p->from, p->to);
  g_thread_join(thread);
  assert_true(error_is(o.error, REASON_MIGRATION_STOPPED));
  g_error_free(o.error);
}

/* A controller that died has left it on its way: the next one waits for that, and begins none of its own. */
static void one_that_is_under_way_is_waited_for(void **state)
{
  Pair *p = *state;
  Other o = { p, NULL };
  GThread *thread = g_thread_new("move", other_main, &o);
  g_autoptr(DomainFacts) half = NULL;
  while (!(half = look(p->to)))
    g_usleep(1000);
  Migration how = { .to = "fake:m2", .until_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC };
  Hypervisor *second = open_at("fake:m1");
  assert_ok(hypervisor_migrate(second, uuid, &how, E));
  g_thread_join(thread);
  assert_null(o.error);
  is_at(p->to, second);
  hypervisor_close(second);
}

static void a_host_that_is_off_takes_nothing(void **state)
{
  Pair *p = *state;
  assert_ok(fake_do("m2", "die", E));
  assert_refused(migrate(p, 10, E), REASON_MIGRATION_FAILED);
  assert_ok(fake_do("m2", "live", E));
  hypervisor_close(p->to);
  p->to = open_at("fake:m2");
  is_at(p->from, p->to);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, pair_up, pair_down)
  const struct CMUnitTest tests[] = {
    T(it_goes_and_tells_how_far_it_is), T(half_way_it_fails_and_stays), T(its_half_is_left_over_there), T(it_arrives_and_nobody_hears_of_it),
    T(its_time_is_over_and_it_stays), T(it_is_stopped_from_elsewhere), T(one_that_is_under_way_is_waited_for), T(a_host_that_is_off_takes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

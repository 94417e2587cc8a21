/* GPU instances and their functions at the end of a claim: neither is left behind, and no function stays as its guest left it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gpu_place.h"

static const GpuPlaceCard cards[] = { { "0000:81:00.0", "a100" }, { NULL, NULL } };

static int rules_up(void **state)
{
  *state = gpu_place_new(cards);
  return 0;
}

static int rules_down(void **state)
{
  gpu_place_free(*state);
  return 0;
}

/* Its type went first: the next try found a function without one, and did not reset it. */
static void function_of_an_instance_stays_dirty_until_a_reset_is_confirmed(void **state)
{
  GpuPlace *rules = *state;
  GpuHandle handle;
  GpuOrder order = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = 4,
                     .address = "0000:81:00.4" };
  assert_true(gpu_make(&rules->host, &order, &handle, NULL));
  gpu_place_put(rules, "sys/bus/pci/devices/0000:81:00.4/fail", "reset 25");
  for (int i = 0; i < 2; i++) {
    g_autoptr(GError) err = NULL;
    assert_false(gpu_release(&rules->host, &order, &err));
    assert_true(error_is(err, REASON_GPU_DIRTY));
  }
  gpu_place_put(rules, "sys/bus/pci/devices/0000:81:00.4/fail", NULL);
  assert_true(gpu_release(&rules->host, &order, NULL));
  assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "1g.5gb"), 7);
}

/* Another guest runs with the function by now: the instance behind ours stayed for ever. */
static void gpu_instance_goes_though_its_function_is_anothers(void **state)
{
  GpuPlace *rules = *state;
  static const char theirs[] = "aaaaaaaa-0000-4000-8000-000000000003";
  g_autoptr(GError) err = NULL;
  GpuHandle handle;
  GpuOrder order = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = 4,
                     .domain = "bbbbbbbb-0000-4000-8000-000000000004", .address = "0000:81:00.4" }, another = order;
  another.domain = theirs, another.start = 5, another.claim = "v-2";
  for (int i = 0; i < 2; i++) { /* released, and made once more by a try that failed at the function */
    const char *instance[] = { "nvidia-smi", "mig", "-cgi", "19:4", "-i", order.card, NULL };
    assert_true(gpu_make(&rules->host, &another, &handle, NULL));
    gpu_place_define(rules, theirs, &handle);
    assert_true(hypervisor_power(rules->host.hypervisor, theirs, DOMAIN_START, NULL));
    assert_true(exec_run(rules->host.exec, instance, 30, NULL, NULL));
    order.again = i > 0;
    assert_int_equal(order.again ? gpu_make(&rules->host, &order, &handle, &err) : !gpu_release(&rules->host, &order, NULL), 0);
    assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "1g.5gb"), 6);
    assert_true(hypervisor_power(rules->host.hypervisor, theirs, DOMAIN_DESTROY, NULL) && gpu_release(&rules->host, &another, NULL));
    assert_true(hypervisor_undefine(rules->host.hypervisor, theirs, NULL));
  }
  assert_true(error_is(err, REASON_GPU_FULL));
}

int main(void)
{
#define R(f) cmocka_unit_test_setup_teardown(f, rules_up, rules_down)
  const struct CMUnitTest tests[] = {
    R(function_of_an_instance_stays_dirty_until_a_reset_is_confirmed), R(gpu_instance_goes_though_its_function_is_anothers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

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

/* ── cut in the middle ────────────────────────────────────────────────────── */

/* A way to a host that is lost at the n-th command: before it is carried out, or before its answer comes. */
typedef struct {
  Exec base;
  Exec *inner;
  const GpuPlace *place;
  int left;
  bool after, race;
} CutExec;

/* By somebody at the host, between our look and our write: an instance that the driver finds before ours. */
static void others_race(const CutExec *cut)
{
  g_autofree char *path = g_build_filename(cut->place->dir, "mig/0000:81:00.0", NULL), *text = NULL;
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  g_autofree char *more = g_strconcat("19 77 2\n", text, NULL);
  if (!strstr(text, " 77 "))
    gpu_place_put(cut->place, "mig/0000:81:00.0", more);
}

static bool writes_a_type(const char *const *argv)
{
  for (; *argv; argv++)
    if (g_str_has_suffix(*argv, "/nvidia/current_vgpu_type") && g_str_has_prefix(*argv, "of="))
      return true;
  return false;
}

static bool cut_run(Exec *base, const char *const *argv, const char *input, int timeout_s, ExecResult *ret_result, GError **err)
{
  CutExec *cut = (CutExec *)base;
  bool last = cut->left-- == 0;
  if (cut->race && writes_a_type(argv))
    others_race(cut);
  if ((cut->left < -1 || (last && !cut->after)) || !cut->inner->driver->run(cut->inner, argv, input, timeout_s, ret_result, err))
    return error_false(err, REASON_HOST_UNREACHABLE, "host", "h1", "detail", "the connection was lost", NULL);
  if (!last)
    return true;
  g_clear_pointer(&ret_result->out, g_free);
  g_clear_pointer(&ret_result->first_error, g_free);
  return error_false(err, REASON_HOST_UNREACHABLE, "host", "h1", "detail", "the connection was lost", NULL);
}

static void cut_close(Exec *base) {}

static const ExecDriver cut_driver = { .name = "cut", .run = cut_run, .close = cut_close };

/* The order, with the way lost at its n-th command. */
static bool cut_at(const GpuPlace *p, bool release, const GpuOrder *order, CutExec *cut)
{
  GpuHost host = p->host;
  GpuHandle handle;
  cut->base = (Exec){ .driver = &cut_driver, .host = p->host.exec->host, .root = p->host.exec->root };
  cut->inner = p->host.exec;
  cut->place = p;
  g_mutex_init(&cut->base.lock);
  host.exec = &cut->base;
  bool ok = release ? gpu_release(&host, order, NULL) : gpu_make(&host, order, &handle, NULL);
  g_mutex_clear(&cut->base.lock);
  return ok;
}

static char *type_of(const GpuPlace *p, const char *function)
{
  g_autofree char *path = g_build_filename(p->dir, "sys/bus/pci/devices", function, "nvidia/current_vgpu_type", NULL);
  char *text = NULL;
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  return g_strchomp(text);
}

static const GpuOrder cut_order = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = 4,
                                    .address = "0000:81:00.4" };

static bool others_are_there(const GpuPlace *p)
{
  g_autofree char *path = g_build_filename(p->dir, "mig/0000:81:00.0", NULL), *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, "19 77 2");
}

/* Nothing of it is left, and what somebody else has is as it was: one instance, without a function. */
static void all_is_freed(const GpuPlace *p, const char *what, int n, bool others)
{
  g_autofree char *type = type_of(p, cut_order.address), *path = g_build_filename(p->dir, "mig/0000:81:00.0", NULL), *text = NULL;
  bool left = g_file_get_contents(path, &text, NULL, NULL) && strstr(text, " 4\n");
  if (strcmp(type, "0") || left || others_are_there(p) != others)
    fail_msg("%s cut at %d: the function has type %s, instances: %s", what, n, type, text);
}

/* The driver chooses an instance when a function gets its type; what it chose is read by another command. A connection lost between the two left the function
 * on somebody else's instance, and the next release said that it was not ours. */
static void order_that_is_cut_anywhere_is_finished_or_undone_by_the_next(void **state)
{
  GpuPlace *p = *state;
  for (int row = 0; row < 8; row++) {
    bool release = row & 1, race = row & 2, after = row & 4, done = false;
    for (int n = 0; !done; n++) {
      GpuHandle handle;
      GpuOrder again = cut_order;
      CutExec cut = { .left = n, .after = after, .race = race && !release };
      again.again = true;
      assert_true(n < 60);
      if (release)
        assert_true(gpu_make(&p->host, &cut_order, &handle, NULL));
      cut_at(p, release, release ? &again : &cut_order, &cut);
      done = cut.left >= 0;
      bool others = others_are_there(p);
      if (!others && !release && n % 2) /* the next try finds what this one made */
        assert_true(gpu_make(&p->host, &again, &handle, NULL));
      g_autoptr(GError) err = NULL;
      if (!gpu_release(&p->host, &again, &err))
        fail_msg("%s cut at %d: %s", release ? "release" : "make", n, err->message);
      all_is_freed(p, release ? "release" : "make", n, others);
      fake_cards_reboot(p->dir);
    }
  }
}

/* What sits on another's instance with a function that no order of this claim was out for is not touched. */
static void function_on_anothers_instance_is_left_without_an_earlier_order(void **state)
{
  GpuPlace *p = *state;
  GpuHandle handle;
  GpuOrder theirs = cut_order;
  theirs.start = 2;
  theirs.claim = "v-9";
  assert_true(gpu_make(&p->host, &theirs, &handle, NULL));
  assert_true(gpu_release(&p->host, &cut_order, NULL));
  g_autofree char *type = type_of(p, cut_order.address);
  assert_string_equal(type, "1019");
  assert_true(gpu_release(&p->host, &theirs, NULL));
}

int main(void)
{
#define R(f) cmocka_unit_test_setup_teardown(f, rules_up, rules_down)
  const struct CMUnitTest tests[] = {
    R(function_of_an_instance_stays_dirty_until_a_reset_is_confirmed), R(gpu_instance_goes_though_its_function_is_anothers),
    R(order_that_is_cut_anywhere_is_finished_or_undone_by_the_next), R(function_on_anothers_instance_is_left_without_an_earlier_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A whole card is all of its functions: bound, given, reset and given back together. */
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/gpu/pci.h"
#include "tests/unit/gpu_place.h"

#define CARD "0000:65:00.0"
#define DEVICES "sys/bus/pci/devices/"

static const GpuPlaceCard cards[] = { { CARD, "rtx2080" }, { NULL, NULL } };
static const char *const functions[] = { CARD, "0000:65:00.1", "0000:65:00.2", "0000:65:00.3" };
static const char ours[] = "aaaaaaaa-0000-4000-8000-000000000001", theirs[] = "bbbbbbbb-0000-4000-8000-000000000002";
static const GpuOrder order = { .card = CARD, .backend = GPU_WHOLE, .type = "whole", .claim = "v-1", .generation = 1, .address = CARD, .start = -1,
                                .domain = ours };

static int up(void **state)
{
  *state = gpu_place_new(cards);
  return 0;
}

static int up_xen(void **state)
{
  g_autofree char *dir = gpu_place_dir(cards);
  fake_cards_xen(dir);
  GpuPlace *p = gpu_place_in(dir, "&as=xen");
  p->shared = false;
  *state = p;
  return 0;
}

static int down(void **state)
{
  gpu_place_free(*state);
  return 0;
}

static char *driver_of(const GpuPlace *p, const char *address)
{
  g_autofree char *link = g_build_filename(p->dir, DEVICES, address, "driver", NULL), *to = g_file_read_link(link, NULL);
  return to ? g_path_get_basename(to) : g_strdup("");
}

static void all_have(const GpuPlace *p, const char *driver)
{
  for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
    g_autofree char *has = driver_of(p, functions[i]);
    if (strcmp(has, driver))
      fail_msg("%s has \"%s\", not \"%s\"", functions[i], has, driver);
  }
}

static void make(const GpuPlace *p, GpuHandle *handle)
{
  GpuOrder again = order;
  again.again = true;
  assert_true(gpu_make(&p->host, &again, handle, NULL));
}

static bool is_dirty(const GpuPlace *p, const char *address)
{
  g_autofree char *path = g_build_filename(p->dir, DEVICES, address, "dirty", NULL);
  return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void guest_gets_every_function_and_each_is_reset_and_given_back(void **state)
{
  GpuPlace *p = *state;
  GpuHandle handle;
  const char *passed = pci_pass(&p->host)->driver;
  make(p, &handle);
  assert_string_equal(handle.address, CARD);
  for (int i = 0; i < GPU_BESIDE_MOST; i++)
    assert_string_equal(handle.beside[i], i < 3 ? functions[i + 1] : "");
  all_have(p, passed);
  gpu_place_define(p, ours, &handle);
  assert_true(hypervisor_power(p->host.hypervisor, ours, DOMAIN_START, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
    assert_true(is_dirty(p, functions[i])); /* its guest has each of them */
  make(p, &handle); /* an order that is carried out twice, as its guest runs */
  assert_true(hypervisor_power(p->host.hypervisor, ours, DOMAIN_DESTROY, NULL));
  assert_true(gpu_release(&p->host, &order, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
    assert_false(is_dirty(p, functions[i]));
  all_have(p, "nouveau");
}

/* vfio-pci waits for a guest's end when it is told to let go of one: nothing of the card is touched as long as any of it is in a guest. */
static void function_that_a_guest_still_has_keeps_the_card(void **state)
{
  GpuPlace *p = *state;
  GpuHandle handle, half;
  g_autoptr(GError) released = NULL, made = NULL;
  GpuOrder next = order;
  const char *passed = pci_pass(&p->host)->driver;
  make(p, &handle);
  half = handle;
  g_strlcpy(half.address, handle.beside[1], sizeof half.address);
  memset(half.beside, 0, sizeof half.beside);
  gpu_place_define(p, theirs, &half);
  assert_true(hypervisor_power(p->host.hypervisor, theirs, DOMAIN_START, NULL));
  assert_false(gpu_release(&p->host, &order, &released));
  assert_true(error_is(released, REASON_GPU_IN_USE) && strstr(released->message, handle.beside[1]));
  next.again = true;
  assert_false(gpu_make(&p->host, &next, &handle, &made));
  assert_true(error_is(made, REASON_GPU_IN_USE));
  all_have(p, passed);
}

/* Sound has none of its own, and goes with the card's. One that has one and fails is as dirty as the card. */
static void reset_that_a_function_has_must_be_confirmed(void **state)
{
  static const struct { const char *fails; bool clean; } rows[] = { { "reset 2", true }, { "reset 25", false }, { "reset 5", false } };
  GpuPlace *p = *state;
  GpuHandle handle;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    make(p, &handle);
    gpu_place_put(p, DEVICES "0000:65:00.2/fail", rows[i].fails);
    bool released = gpu_release(&p->host, &order, &err);
    gpu_place_put(p, DEVICES "0000:65:00.2/fail", NULL);
    if (released != rows[i].clean || (err && !error_is(err, REASON_GPU_DIRTY)))
      fail_msg("%s: %s", rows[i].fails, err ? err->message : "released");
    all_have(p, released ? "nouveau" : pci_pass(&p->host)->driver);
    assert_true(gpu_release(&p->host, &order, NULL));
  }
}

/* A processor's graphics have its key store in their group: it is kept from the host, and is no guest's. */
static void what_is_no_part_of_a_card_is_bound_and_not_given(void **state)
{
  GpuPlace *p = *state;
  GpuHandle handle;
  gpu_place_put(p, DEVICES "0000:65:00.2/class", "0x108000\n");
  make(p, &handle);
  assert_string_equal(handle.beside[0], functions[1]);
  assert_string_equal(handle.beside[1], functions[3]);
  assert_string_equal(handle.beside[2], "");
  all_have(p, pci_pass(&p->host)->driver);
  assert_true(gpu_release(&p->host, &order, NULL));
  all_have(p, "nouveau");
}

/* Its host was started again without an IOMMU: sysfs has no groups, no guest can have it, and the claim on it can still end. */
static void card_without_a_group_is_refused_and_let_go_of(void **state)
{
  GpuPlace *p = *state;
  GpuHandle handle;
  g_autoptr(GError) err = NULL;
  make(p, &handle);
  fake_cards_reboot(p->dir);
  for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
    g_autofree char *link = g_build_filename(p->dir, DEVICES, functions[i], "iommu_group", NULL);
    assert_int_equal(g_unlink(link), 0);
  }
  assert_true(gpu_release(&p->host, &order, NULL));
  all_have(p, "nouveau");
  assert_false(gpu_make(&p->host, &order, &handle, &err));
  assert_true(error_is(err, REASON_GPU_REFUSED) && strstr(err->message, "no IOMMU group"));
  all_have(p, "nouveau");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down), { #f " on Xen", f, up_xen, down, NULL }
  const struct CMUnitTest tests[] = {
    T(guest_gets_every_function_and_each_is_reset_and_given_back), T(function_that_a_guest_still_has_keeps_the_card),
    cmocka_unit_test_setup_teardown(card_without_a_group_is_refused_and_let_go_of, up, down),
    T(reset_that_a_function_has_must_be_confirmed), T(what_is_no_part_of_a_card_is_bound_and_not_given),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

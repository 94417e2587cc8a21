/* Functions that go to the driver for guests and come back, on a fake host: what fails on the way leaves the host's card with the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gpu_place.h"

#define CARD "0000:65:00.0"
#define SOUND "0000:65:00.1"
#define FLEX "0000:51:00.0"
#define FUNCTION "0000:51:00.4"
#define DEVICES "sys/bus/pci/devices/"

static const GpuPlaceCard cards[] = { { CARD, "w6800" }, { FLEX, "flex170" }, { NULL, NULL } };

static int up(void **state)
{
  *state = gpu_place_new(cards);
  return 0;
}

static int down(void **state)
{
  gpu_place_free(*state);
  return 0;
}

static int write_to(const GpuPlace *p, const char *address, const char *name, const char *text)
{
  g_autofree char *path = g_strdup_printf("/" DEVICES "%s/%s", address, name);
  return fake_cards_write(p->dir, path, text);
}

/* driver "": none has it. */
static void has(const GpuPlace *p, const char *address, const char *driver, bool kept)
{
  g_autofree char *link = g_build_filename(p->dir, DEVICES, address, "driver", NULL), *to = g_file_read_link(link, NULL);
  g_autofree char *name = to ? g_path_get_basename(to) : g_strdup(""), *text = NULL;
  g_autofree char *path = g_build_filename(p->dir, DEVICES, address, "driver_override", NULL);
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  if (strcmp(name, driver) || strcmp(g_strchomp(text), kept ? "vfio-pci" : "(null)"))
    fail_msg("%s has \"%s\" and is kept for %s", address, name, text);
}

static GpuOrder order_of(GpuBackend backend)
{
  return backend == GPU_WHOLE ? (GpuOrder){ .card = CARD, .backend = GPU_WHOLE, .type = "whole", .claim = "v-1", .generation = 1, .address = CARD, .start = -1 }
                              : (GpuOrder){ .card = FLEX, .backend = GPU_SRIOV, .type = "vf", .claim = "v-1", .generation = 1, .address = FUNCTION,
                                            .start = -1 };
}

static void make_fails(GpuPlace *p, GpuBackend backend, Reason reason, const char *told)
{
  GpuOrder order = order_of(backend);
  GpuHandle handle;
  g_autoptr(GError) err = NULL;
  if (gpu_make(&p->host, &order, &handle, &err) || !error_is(err, reason) || !strstr(err->message, told))
    fail_msg("not \"%s\": %s", told, err ? err->message : "made");
  has(p, CARD, "amdgpu", false);
  has(p, SOUND, "amdgpu", false);
  has(p, FUNCTION, "i915", false);
}

static void make_that_fails_leaves_the_host_its_card(void **state)
{
  static const struct { GpuBackend backend; const char *file, *text; Reason reason; const char *told; } rows[] = {
    { GPU_WHOLE, "no-vfio-pci", "", REASON_GPU_REFUSED, "load module vfio-pci" },
    { GPU_SRIOV, "no-vfio-pci", "", REASON_GPU_REFUSED, "load module vfio-pci" },
    { GPU_WHOLE, DEVICES CARD "/unwanted", "", REASON_GPU_REFUSED, "no driver has it" },
    { GPU_WHOLE, DEVICES SOUND "/unwanted", "", REASON_GPU_REFUSED, "no driver has it" },
    { GPU_SRIOV, DEVICES FUNCTION "/unwanted", "", REASON_GPU_REFUSED, "no driver has it" },
    { GPU_WHOLE, DEVICES CARD "/fail", "driver/unbind 16", REASON_GPU_IN_USE, CARD },
    { GPU_WHOLE, DEVICES SOUND "/fail", "driver/unbind 16", REASON_GPU_IN_USE, SOUND },
    { GPU_WHOLE, DEVICES SOUND "/fail", "driver_override 13", REASON_GPU_REFUSED, "Permission denied" },
  };
  GpuPlace *p = *state;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    gpu_place_put(p, rows[i].file, rows[i].text);
    make_fails(p, rows[i].backend, rows[i].reason, rows[i].told);
    gpu_place_put(p, rows[i].file, NULL);
  }
}

/* What was bound before this order stays: its guest may run. */
static void later_try_that_fails_takes_nothing_back(void **state)
{
  GpuPlace *p = *state;
  GpuOrder order = order_of(GPU_WHOLE);
  GpuHandle handle;
  assert_true(gpu_make(&p->host, &order, &handle, NULL));
  assert_int_equal(write_to(p, SOUND, "driver_override", "\n"), 0);
  assert_int_equal(write_to(p, SOUND, "driver/unbind", SOUND), 0);
  gpu_place_put(p, DEVICES SOUND "/unwanted", "");
  order.again = true;
  assert_false(gpu_make(&p->host, &order, &handle, NULL));
  has(p, CARD, "vfio-pci", true);
  has(p, SOUND, "", false);
  gpu_place_put(p, DEVICES SOUND "/unwanted", NULL);
  assert_true(gpu_make(&p->host, &order, &handle, NULL));
  has(p, SOUND, "vfio-pci", true);
  assert_true(gpu_release(&p->host, &order, NULL));
  has(p, CARD, "amdgpu", false);
  has(p, SOUND, "amdgpu", false);
}

/* The controller ended in the middle: kept for guests, and nobody has it. */
static void release_clears_what_half_a_make_left(void **state)
{
  GpuPlace *p = *state;
  GpuOrder whole = order_of(GPU_WHOLE), function = order_of(GPU_SRIOV);
  static const char *const left[] = { CARD, FUNCTION };
  for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
    assert_int_equal(write_to(p, left[i], "driver_override", "vfio-pci"), 0);
    assert_int_equal(write_to(p, left[i], "driver/unbind", left[i]), 0);
    has(p, left[i], "", true);
  }
  assert_true(gpu_release(&p->host, &whole, NULL));
  assert_true(gpu_release(&p->host, &function, NULL));
  has(p, CARD, "amdgpu", false);
  has(p, FUNCTION, "", false); /* as it is after every release: the vendor's driver must not meet what a guest left */
}

/* Another's override is theirs. */
static void release_leaves_what_others_chose(void **state)
{
  GpuPlace *p = *state;
  GpuOrder order = order_of(GPU_WHOLE);
  g_autofree char *path = g_build_filename(p->dir, DEVICES CARD "/driver_override", NULL), *text = NULL;
  assert_int_equal(write_to(p, CARD, "driver_override", "amdgpu"), 0);
  assert_true(gpu_release(&p->host, &order, NULL));
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  assert_string_equal(g_strchomp(text), "amdgpu");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
  const struct CMUnitTest tests[] = {
    T(make_that_fails_leaves_the_host_its_card), T(later_try_that_fails_takes_nothing_back), T(release_clears_what_half_a_make_left),
    T(release_leaves_what_others_chose),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a card tells that it should not, or cannot: too many types, a list that cannot be read; and a reset that only a reboot of its host gives. */
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/gpu/mig_table.h"
#include "drivers/gpu/pci.h"
#include "tests/unit/gpu_place.h"

#define A40 "0000:41:00.0"
#define FUNCTION "0000:41:00.4"
#define L40S "0000:42:00.0"
#define A100 "0000:81:00.0"
#define DEVICES "sys/bus/pci/devices/"

static const GpuPlaceCard cards[] = { { A40, "a40" }, { L40S, "l40s" }, { A100, "a100" }, { NULL, NULL } };
static const char desktop[] = "aaaaaaaa-0000-4000-8000-000000000001";
static const GpuOrder claim = { .card = A40, .backend = GPU_VENDOR_VF, .type = "nvidia-558", .claim = "v-1", .generation = 1, .address = FUNCTION,
                                .start = -1, .again = true };

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

/* That card alone is unread, with these words. */
static void one_is_unread(const GpuPlace *p, const char *address, const char *words)
{
  g_autoptr(GPtrArray) found = NULL;
  assert_true(gpu_discover(&p->host, &found, NULL));
  assert_int_equal(found->len, 3);
  for (guint i = 0; i < found->len; i++) {
    const GpuCard *card = found->pdata[i];
    bool meant = g_str_has_prefix(card->address, address);
    if (!meant != !card->unread || (meant && (!strstr(card->unread, words) || !strstr(card->unread, address))))
      fail_msg("%s: %s", card->address, card->unread);
  }
}

static char *list_of(int from, int n)
{
  GString *list = g_string_new("ID    : vGPU Name\n");
  for (int i = 0; i < n; i++)
    g_string_append_printf(list, "%d : NVIDIA A40-%dQ\n", from + i, i + 1);
  return g_string_free(list, FALSE);
}

static void card_with_too_many_types_is_named_with_the_limit_and_stops_no_other(void **state)
{
  GpuPlace *p = *state;
  g_autofree char *most = list_of(1000, GPU_TYPES_MOST), *more = list_of(1000, GPU_TYPES_MOST + 1), *others = list_of(5000, GPU_TYPES_MOST);
  g_autofree char *huge = list_of(1000, 4000);
  g_autoptr(GpuCard) card = NULL;
  gpu_place_put(p, DEVICES FUNCTION "/nvidia/creatable_vgpu_types", more);
  one_is_unread(p, "0000:41:00", "tells of more than 256 types of parts, such as \"nvidia-1256\"");
  gpu_place_put(p, DEVICES FUNCTION "/nvidia/creatable_vgpu_types", huge);
  one_is_unread(p, "0000:41:00", "tells of more than 256 types of parts");
  gpu_place_put(p, DEVICES FUNCTION "/nvidia/creatable_vgpu_types", most);
  gpu_place_put(p, DEVICES "0000:41:00.5/nvidia/creatable_vgpu_types", others); /* each of its functions tells of others */
  one_is_unread(p, A40, "types of parts (256 may be)");
  for (int i = 4; i < 12; i++) {
    g_autofree char *file = g_strdup_printf(DEVICES "0000:41:%02x.%x/nvidia/creatable_vgpu_types", (unsigned)i / 8, (unsigned)i % 8);
    gpu_place_put(p, file, most);
  }
  assert_true(gpu_look(&p->host, A40, &card, NULL));
  assert_null(card->unread);
  assert_int_equal(card->types->len, GPU_TYPES_MOST);
}

static void too_many_types_of_libvirts_and_nvidia_smis_are_refused(void **state)
{
  g_autoptr(GString) xml = g_string_new("<device><name>pci_0000_08_00_0</name><capability type='pci'><class>0x030000</class><domain>0</domain><bus>8</bus>"
                                        "<slot>0</slot><function>0</function><product id='0x1'/><vendor id='0x10de'/><capability type='mdev_types'>");
  g_autoptr(GString) table = g_string_new(NULL);
  g_autoptr(GpuView) view = gpu_view_new();
  g_autoptr(GPtrArray) profiles = NULL;
  g_autoptr(GError) err = NULL;
  for (int i = 0; i <= GPU_TYPES_MOST; i++) {
    g_string_append_printf(xml, "<type id='t-%d'><availableInstances>1</availableInstances></type>", i);
    g_string_append_printf(table, "|   0  MIG 1g.%dgb          %d     7/7        4.75       No     14     0     0   |\n", i + 1, i);
  }
  g_string_append(xml, "</capability></capability></device>");
  assert_true(gpu_view_node(view, "h1", xml->str, NULL));
  const ViewFunction *function = gpu_view_find(view, "0000:08:00.0");
  assert_int_equal(function->types->len, GPU_TYPES_MOST);
  assert_non_null(strstr(function->wrong, "0000:08:00.0 tells of more than 256 types of parts, such as \"t-256\""));
  assert_false(mig_profiles_parse("h1", table->str, &profiles, &err));
  assert_true(error_is(err, REASON_GPU_FACTS) && strstr(err->message, "more than 256 types"));
}

/* A folder is opened and cannot be read, as a file of sysfs whose driver fails. */
static void list_that_cannot_be_read_is_not_an_empty_one(void **state)
{
  GpuPlace *p = *state;
  g_autofree char *path = g_build_filename(p->dir, DEVICES FUNCTION "/nvidia/creatable_vgpu_types", NULL);
  g_autoptr(GError) err = NULL;
  GpuHandle handle;
  gpu_place_put(p, DEVICES FUNCTION "/nvidia/creatable_vgpu_types", ""); /* as that of a function that has a type */
  g_autoptr(GpuCard) card = NULL;
  assert_true(gpu_look(&p->host, A40, &card, NULL));
  assert_null(card->unread);
  g_unlink(path);
  assert_int_equal(g_mkdir(path, 0700), 0);
  one_is_unread(p, "0000:41:00", "has a file that cannot be read: \"nvidia/creatable_vgpu_types\"");
  assert_false(gpu_make(&p->host, &claim, &handle, &err));
  assert_true(error_is(err, REASON_GPU_FACTS));
}

/* Of the driver's own words for the same types as mediated devices: num_heads of a GRID M60, a T4. */
static void screens_are_told_by_the_series(void **state)
{
  static const struct { const char *title; int heads; } rows[] = {
    { "NVIDIA A40-8Q", 4 }, { "NVIDIA L40S-1B", 4 }, { "GRID M60-0B", 2 }, { "GRID M10-0Q", 2 }, { "NVIDIA L40S-2A", 1 }, { "GRID T4-4C", 1 },
    { "NVIDIA A100-1-5C", 1 }, { "NVIDIA H100-1-10CME", 1 }, { "hd", 0 }, { "", 0 }, { "NVIDIA A40-", 0 }, { "NVIDIA A40-8X", 0 },
  };
  GpuPlace *p = *state;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (nvidia_heads(rows[i].title) != rows[i].heads)
      fail_msg("%s: %d", rows[i].title, nvidia_heads(rows[i].title));
  g_autoptr(GpuCard) card = NULL, mig = NULL;
  assert_true(gpu_look(&p->host, L40S, &card, NULL) && gpu_look(&p->host, A100, &mig, NULL));
  assert_int_equal(gpu_card_type(card, "nvidia-1158")->heads, 1);
  assert_int_equal(gpu_card_type(card, "nvidia-1152")->heads, 4);
  assert_int_equal(gpu_card_type(mig, "1g.5gb")->heads, 1);
}

/* ── a reset that never works ─────────────────────────────────────────────── */

static void is_dirty(const GpuPlace *p, const GpuOrder *order)
{
  g_autoptr(GError) err = NULL;
  assert_false(gpu_release(&p->host, order, &err));
  assert_true(error_is(err, REASON_GPU_DIRTY));
}

static void used_and_left_dirty(const GpuPlace *p, const GpuOrder *order, GpuHandle *handle)
{
  g_autofree char *fails = g_strdup_printf(DEVICES "%s/fail", order->address);
  assert_true(gpu_make(&p->host, order, handle, NULL));
  assert_true(g_uuid_string_is_valid(handle->boot));
  gpu_place_put(p, fails, "reset 25");
  gpu_place_define(p, desktop, handle);
  assert_true(hypervisor_power(p->host.hypervisor, desktop, DOMAIN_START, NULL));
  assert_true(hypervisor_power(p->host.hypervisor, desktop, DOMAIN_DESTROY, NULL));
  assert_true(hypervisor_undefine(p->host.hypervisor, desktop, NULL));
}

static void reboot_of_the_host_is_a_reset(void **state)
{
  const GpuOrder orders[] = { claim, { .card = A100, .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-2", .generation = 1, .address = "0000:81:00.4",
                                              .start = 4, .again = true } };
  GpuPlace *p = *state;
  for (size_t i = 0; i < G_N_ELEMENTS(orders); i++) {
    GpuHandle handle;
    GpuOrder order = orders[i], unknown = orders[i];
    used_and_left_dirty(p, &order, &handle);
    order.boot = handle.boot;
    is_dirty(p, &order);
    is_dirty(p, &order); /* without its type it is no cleaner */
    fake_cards_reboot(p->dir);
    is_dirty(p, &unknown); /* nobody knows in which run it was made */
    assert_true(gpu_release(&p->host, &order, NULL));
  }
}

/* What shows a type after the reboot was in somebody's hands since. */
static void reboot_does_not_clean_what_was_given_since(void **state)
{
  GpuPlace *p = *state;
  GpuHandle handle;
  GpuOrder order = claim;
  used_and_left_dirty(p, &order, &handle);
  order.boot = handle.boot;
  is_dirty(p, &order);
  fake_cards_reboot(p->dir);
  assert_int_equal(fake_cards_write(p->dir, "/" DEVICES FUNCTION "/nvidia/current_vgpu_type", "558"), 0);
  g_autoptr(GError) err = NULL;
  assert_false(gpu_release(&p->host, &order, &err));
  assert_true(error_is(err, REASON_GPU_DIRTY) && g_uuid_string_is_valid(error_arg(err, "boot")));
  assert_string_not_equal(error_arg(err, "boot"), handle.boot);
  order.boot = error_arg(err, "boot"); /* its type is gone by now, and it is no cleaner */
  is_dirty(p, &order);
}

/* The cards without a working reset are those whose reset hangs: nothing else was said of them than of a host that is slow. */
static void reset_that_hangs_is_none(void **state)
{
  GpuPlace *p = *state;
  GpuHandle handle;
  GpuOrder order = claim;
  used_and_left_dirty(p, &order, &handle);
  gpu_place_put(p, DEVICES FUNCTION "/fail", "reset 110"); /* ETIMEDOUT */
  order.boot = handle.boot;
  is_dirty(p, &order);
  fake_cards_reboot(p->dir);
  assert_true(gpu_release(&p->host, &order, NULL));
}

static void operator_takes_it_for_clean_but_not_from_a_guest(void **state)
{
  GpuPlace *p = *state;
  GpuHandle handle;
  GpuOrder order = claim;
  g_autoptr(GError) err = NULL;
  used_and_left_dirty(p, &order, &handle);
  is_dirty(p, &order);
  order.unproven = true;
  assert_true(fake_cards_hold(p->dir, FUNCTION));
  gpu_place_define(p, desktop, &handle);
  fake_cards_let_go(p->dir, FUNCTION);
  assert_true(hypervisor_power(p->host.hypervisor, desktop, DOMAIN_START, NULL));
  assert_false(gpu_release(&p->host, &order, &err));
  assert_true(error_is(err, REASON_GPU_IN_USE));
  assert_true(hypervisor_power(p->host.hypervisor, desktop, DOMAIN_DESTROY, NULL));
  assert_true(gpu_release(&p->host, &order, NULL));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
  const struct CMUnitTest tests[] = {
    T(card_with_too_many_types_is_named_with_the_limit_and_stops_no_other), cmocka_unit_test(too_many_types_of_libvirts_and_nvidia_smis_are_refused),
    T(list_that_cannot_be_read_is_not_an_empty_one), T(screens_are_told_by_the_series), T(reboot_of_the_host_is_a_reset), T(reset_that_hangs_is_none),
    T(reboot_does_not_clean_what_was_given_since), T(operator_takes_it_for_clean_but_not_from_a_guest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The GPU family on a Xen host without one: the contract over the back ends that libxl has, and dom0's own rules. */
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/gpu_place.h"
#include "tests/unit/gpu_contract.h"

#define CARD "0000:65:00.0"
#define SOUND "0000:65:00.1"
#define FLEX "0000:51:00.0"
#define FUNCTION "0000:51:00.4"
#define T4 "0000:21:00.0"
#define CONSOLE "0000:02:00.0"
#define SLOTS "sys/bus/pci/drivers/pciback/slots"

static const char desktop[] = "aaaaaaaa-0000-4000-8000-000000000001", other[] = "bbbbbbbb-0000-4000-8000-000000000002";
static char *dir;

static int up(void **state)
{
  *state = gpu_place_in(dir, "&as=xen");
  return 0;
}

static int down(void **state)
{
  gpu_place_free(*state);
  return 0;
}

static GpuOrder order_of(GpuBackend backend, const char *card, const char *address)
{
  return (GpuOrder){ .card = card, .backend = backend, .type = backend == GPU_WHOLE ? "whole" : "vf", .claim = "v-1", .generation = 1,
                     .address = address, .start = -1 };
}

static void make(GpuPlace *xen, const GpuOrder *order, GpuHandle *handle)
{
  g_autoptr(GError) err = NULL;
  if (!gpu_make(&xen->host, order, handle, &err))
    fail_msg("%s is not made: %s", order->card, err->message);
}

static void release(GpuPlace *xen, const GpuOrder *order)
{
  g_autoptr(GError) err = NULL;
  if (!gpu_release(&xen->host, order, &err))
    fail_msg("%s is not released: %s", order->card, err->message);
}

#define refused(call, reason, word) \
  do { \
    g_autoptr(GError) err = NULL; \
    if (call) \
      fail_msg("taken: %s", #call); \
    if (!error_is(err, reason) || !strstr(err->message, word)) \
      fail_msg("%s: %s", #call, err->message); \
  } while (0)

/* Writes a file below the directory; NULL takes it away. */
static void file(const char *name, const char *text)
{
  g_autofree char *path = g_build_filename(dir, name, NULL), *folder = g_path_get_dirname(path);
  g_mkdir_with_parents(folder, 0700);
  g_unlink(path);
  if (text)
    assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* "" = no driver has it. */
static void has(const char *address, const char *driver)
{
  g_autofree char *link = g_build_filename(dir, "sys/bus/pci/devices", address, "driver", NULL), *to = g_file_read_link(link, NULL);
  g_autofree char *name = to ? g_path_get_basename(to) : g_strdup("");
  if (strcmp(name, driver) != 0)
    fail_msg("%s has \"%s\", not \"%s\"", address, name, driver);
}

static bool remembered(const char *address)
{
  g_autofree char *path = g_build_filename(dir, SLOTS, NULL), *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, address);
}

/* ── who has it ─────────────────────────────────────────────────────────── */

static void card_goes_with_all_of_its_slot_and_comes_back_for_good(void **state)
{
  GpuHandle handle;
  GpuOrder order = order_of(GPU_WHOLE, CARD, CARD);
  g_autofree char *module = g_build_filename(dir, "modules/xen-pciback", NULL);
  assert_false(g_file_test(module, G_FILE_TEST_EXISTS));
  make(*state, &order, &handle);
  assert_true(g_file_test(module, G_FILE_TEST_EXISTS)); /* nobody had loaded it */
  assert_string_equal(handle.address, CARD);
  has(CARD, "pciback");
  has(SOUND, "pciback");
  release(*state, &order);
  has(CARD, "amdgpu"); /* pciback would have taken what it remembers */
  has(SOUND, "amdgpu");
  assert_false(remembered(CARD) || remembered(SOUND));
}

static void function_is_without_a_driver_when_it_comes_back(void **state)
{
  GpuHandle handle;
  GpuOrder order = order_of(GPU_SRIOV, FLEX, FUNCTION);
  make(*state, &order, &handle);
  has(FUNCTION, "pciback");
  has("0000:51:00.5", "i915");
  release(*state, &order);
  has(FUNCTION, "");
  assert_false(remembered(FUNCTION));
  make(*state, &order, &handle);
  has(FUNCTION, "pciback");
}

/* The controller ended between two writes. */
static void half_a_release_is_finished(void **state)
{
  GpuHandle handle;
  GpuOrder order = order_of(GPU_WHOLE, CARD, CARD);
  make(*state, &order, &handle);
  assert_int_equal(fake_cards_write(dir, "/sys/bus/pci/devices/" CARD "/driver_override", "\n"), 0);
  assert_int_equal(fake_cards_write(dir, "/sys/bus/pci/drivers/pciback/remove_slot", CARD), 0);
  release(*state, &order);
  has(CARD, "amdgpu");
  assert_false(remembered(SOUND));
}

/* Hidden from dom0 at boot: whose it is, nobody says. */
static void what_others_gave_to_pciback_is_not_free(void **state)
{
  GpuPlace *xen = *state;
  g_autoptr(GpuCard) card = NULL;
  assert_int_equal(fake_cards_modprobe(dir, "xen-pciback"), 0);
  assert_int_equal(fake_cards_write(dir, "/sys/bus/pci/devices/" CARD "/driver_override", "pciback"), 0);
  assert_int_equal(fake_cards_write(dir, "/sys/bus/pci/devices/" CARD "/driver/unbind", CARD), 0);
  assert_int_equal(fake_cards_write(dir, "/sys/bus/pci/drivers_probe", CARD), 0);
  assert_true(gpu_look(&xen->host, CARD, &card, NULL));
  assert_int_equal(((GpuType *)card->types->pdata[0])->free, 0);
  assert_int_equal(card->parts->len, 1);
}

/* ── who uses it ────────────────────────────────────────────────────────── */

/* xl's guests are no domains of libvirt's, and neither unbinding nor a reset is refused for them. */
static void guest_that_libvirt_does_not_know_keeps_what_it_has(void **state)
{
  static const struct { GpuBackend backend; const char *card, *address; } rows[] = { { GPU_WHOLE, CARD, CARD }, { GPU_SRIOV, FLEX, FUNCTION } };
  GpuPlace *xen = *state;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    GpuHandle handle;
    GpuOrder order = order_of(rows[i].backend, rows[i].card, rows[i].address);
    make(xen, &order, &handle);
    assert_true(fake_cards_hold(dir, rows[i].address));
    refused(gpu_release(&xen->host, &order, &err), REASON_GPU_IN_USE, "guest 1 of Xen");
    refused(gpu_reset(&xen->host, &order, &err), REASON_GPU_IN_USE, "guest 1 of Xen");
    order.domain = desktop;
    refused(gpu_make(&xen->host, &order, &handle, &err), REASON_GPU_IN_USE, "guest 1 of Xen");
    has(rows[i].address, "pciback");
    fake_cards_let_go(dir, rows[i].address);
    release(xen, &order);
  }
}

static void function_beside_the_card_in_a_guest_keeps_the_card(void **state)
{
  GpuPlace *xen = *state;
  GpuHandle handle;
  GpuOrder order = order_of(GPU_WHOLE, CARD, CARD);
  make(xen, &order, &handle);
  assert_true(fake_cards_hold(dir, SOUND));
  refused(gpu_release(&xen->host, &order, &err), REASON_GPU_IN_USE, SOUND);
  has(SOUND, "pciback");
  fake_cards_let_go(dir, SOUND);
  release(xen, &order);
}

static void store_that_does_not_answer_frees_nothing(void **state)
{
  GpuPlace *xen = *state;
  GpuHandle handle;
  GpuOrder order = order_of(GPU_SRIOV, FLEX, FUNCTION);
  make(xen, &order, &handle);
  file("xen-no-store", "");
  refused(gpu_release(&xen->host, &order, &err), REASON_GPU_REFUSED, "xenstore-ls: not found");
  file("xen-no-store", NULL);
  has(FUNCTION, "pciback");
  release(xen, &order);
}

static void card_without_a_reset_stays_dirty(void **state)
{
  GpuPlace *xen = *state;
  GpuHandle handle;
  GpuOrder order = order_of(GPU_WHOLE, CARD, CARD);
  make(xen, &order, &handle);
  file("sys/bus/pci/devices/" CARD "/fail", "reset 25");
  refused(gpu_release(&xen->host, &order, &err), REASON_GPU_DIRTY, CARD);
  file("sys/bus/pci/devices/" CARD "/fail", NULL);
  has(CARD, "pciback");
  release(xen, &order);
}

static void desktop_has_it_and_nobody_else_while_it_runs(void **state)
{
  GpuPlace *xen = *state;
  GpuHandle handle;
  GpuOrder order = order_of(GPU_WHOLE, CARD, CARD), stale = order;
  order.domain = desktop;
  stale.domain = other;
  make(xen, &order, &handle);
  gpu_place_define(xen, desktop, &handle);
  assert_true(hypervisor_power(xen->host.hypervisor, desktop, DOMAIN_START, NULL));
  refused(gpu_make(&xen->host, &stale, &handle, &err), REASON_GPU_NOT_OURS, "d-aaaa");
  refused(gpu_release(&xen->host, &stale, &err), REASON_GPU_NOT_OURS, "d-aaaa");
  order.again = true;
  make(xen, &order, &handle); /* its own */
  refused(gpu_release(&xen->host, &order, &err), REASON_GPU_IN_USE, "d-aaaa");
  assert_true(hypervisor_power(xen->host.hypervisor, desktop, DOMAIN_DESTROY, NULL));
  release(xen, &order);
  refused(hypervisor_power(xen->host.hypervisor, desktop, DOMAIN_START, &err), REASON_HYPERVISOR_REFUSED, CARD); /* it is dom0's again */
  assert_true(hypervisor_undefine(xen->host.hypervisor, desktop, NULL));
}

/* ── which may be given ─────────────────────────────────────────────────── */

static void what_shares_the_bridge_keeps_the_card_and_what_is_on_the_roots_bus_does_not(void **state)
{
  GpuPlace *xen = *state;
  GpuHandle handle;
  GpuOrder order = order_of(GPU_WHOLE, CARD, CARD);
  g_autofree char *bus = g_build_filename(dir, "sys/class/pci_bus/0000:65", NULL), *link = g_build_filename(bus, "device", NULL);
  file("sys/bus/pci/devices/0000:65:01.0/class", "0x010802\n");
  refused(gpu_make(&xen->host, &order, &handle, &err), REASON_GPU_REFUSED, "0000:65:01.0 is behind the same bridge");
  has(CARD, "amdgpu");
  g_mkdir_with_parents(bus, 0700);
  assert_int_equal(symlink("../../../0000:64:02.0", link), 0);
  refused(gpu_make(&xen->host, &order, &handle, &err), REASON_GPU_REFUSED, "0000:65:01.0 is behind the same bridge");
  g_unlink(link);
  assert_int_equal(symlink("../../../pci0000:65", link), 0);
  make(xen, &order, &handle);
  release(xen, &order);
  g_unlink(link);
  file("sys/bus/pci/devices/0000:65:01.0/class", "0x060400\n"); /* a bridge stays with the host */
  make(xen, &order, &handle);
  release(xen, &order);
  file("sys/bus/pci/devices/0000:65:01.0/class", NULL);
  g_autofree char *beside = g_build_filename(dir, "sys/bus/pci/devices/0000:65:01.0", NULL);
  g_rmdir(beside);
}

static void console_card_is_given_only_by_force(void **state)
{
  GpuPlace *xen = *state;
  GpuHandle handle;
  GpuOrder order = order_of(GPU_WHOLE, CONSOLE, CONSOLE);
  refused(gpu_make(&xen->host, &order, &handle, &err), REASON_GPU_CONSOLE_CARD, CONSOLE);
  order.force = true;
  make(xen, &order, &handle);
  release(xen, &order);
}

/* A card whose driver has mediated devices is a whole card there. */
static void what_libxl_does_not_pass_is_neither_offered_nor_made(void **state)
{
  static const GpuBackend without[] = { GPU_MDEV, GPU_VENDOR_VF, GPU_MIG };
  GpuPlace *xen = *state;
  GpuHandle handle;
  g_autoptr(GpuCard) card = NULL;
  assert_true(gpu_look(&xen->host, T4, &card, NULL));
  assert_int_equal(card->backend, GPU_WHOLE);
  for (size_t i = 0; i < G_N_ELEMENTS(without); i++) {
    GpuOrder order = order_of(without[i], T4, NULL);
    refused(gpu_make(&xen->host, &order, &handle, &err), REASON_UNSUPPORTED, "Xen");
    refused(gpu_release(&xen->host, &order, &err), REASON_UNSUPPORTED, "Xen");
  }
}

static void xen_without_an_iommu_gives_no_card(void **state)
{
  static const struct { const char *can; bool broken; } rows[] = {
    { NULL, false }, /* xl is not there: it shows when a guest starts */
    { "pv hvm hvm_directio pv_directio hap", false }, { "pv hvm hap gnttab-v1", true }, { "hvm hvm_directio", false },
  };
  GpuPlace *xen = *state;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GPtrArray) cards = NULL;
    file("xen-can", rows[i].can);
    assert_true(gpu_discover(&xen->host, &cards, NULL));
    assert_int_equal(cards->len, 4);
    for (guint j = 0; j < cards->len; j++) {
      const GpuCard *card = cards->pdata[j];
      assert_int_equal(card->broken != NULL, rows[i].broken);
      assert_true(!card->broken || strstr(card->broken, "IOMMU"));
    }
  }
  file("xen-can", NULL);
}

/* ── the run ────────────────────────────────────────────────────────────── */

static Exec *exec_of(const void *data)
{
  Exec *exec = NULL;
  assert_true(fake_exec_open("h1", dir, &exec, NULL));
  return exec;
}

static const struct { const char *model, *address; GpuBackend backend; const char *type; int most; } card_rows[] = {
  { "flex170", FLEX, GPU_SRIOV, "vf", 4 }, { "w6800", CARD, GPU_WHOLE, "whole", 1 }, { "t4", T4, GPU_WHOLE, "whole", 1 },
};

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
  const struct CMUnitTest tests[] = {
    T(card_goes_with_all_of_its_slot_and_comes_back_for_good), T(function_is_without_a_driver_when_it_comes_back), T(half_a_release_is_finished),
    T(what_others_gave_to_pciback_is_not_free), T(guest_that_libvirt_does_not_know_keeps_what_it_has),
    T(function_beside_the_card_in_a_guest_keeps_the_card), T(store_that_does_not_answer_frees_nothing), T(card_without_a_reset_stays_dirty),
    T(desktop_has_it_and_nobody_else_while_it_runs), T(what_shares_the_bridge_keeps_the_card_and_what_is_on_the_roots_bus_does_not),
    T(console_card_is_given_only_by_force), T(what_libxl_does_not_pass_is_neither_offered_nor_made), T(xen_without_an_iommu_gives_no_card),
  };
  GpuPlaceCard cards[G_N_ELEMENTS(card_rows) + 2] = { { CONSOLE, "console" } };
  for (size_t i = 0; i < G_N_ELEMENTS(card_rows); i++)
    cards[i + 1] = (GpuPlaceCard){ card_rows[i].address, card_rows[i].model };
  dir = gpu_place_dir(cards);
  g_autofree char *uri = g_strdup_printf("fake:xen?gpus=%s&as=xen", dir);
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS(card_rows); i++) {
    g_autofree char *title = g_strconcat(card_rows[i].model, " on Xen", NULL);
    GpuContract contract = { .title = title, .uri = uri, .backend = card_rows[i].backend, .card = card_rows[i].address,
                             .type = card_rows[i].type, .most = card_rows[i].most, .exec = exec_of };
    failed += gpu_contract_run(&contract);
  }
  gpu_place_dir_free(dir);
  return failed;
}

/* The contract suite of the GPU family on a real host with mediated devices, and what only such a host can show:
 *   contract_gpu URI        of the GPU host of tests/lab/gpu: two cards of vgpu_mdpy (0000:00:08.0, 09.0), one of vgpu_mbochs (0a.0)
 *   contract_gpu URI PHASE  a step of a story, with a foreign device on 09.0: made, kept (libvirtd was killed), rebooted (the host was)
 *   contract_gpu URI files ADDRESS PORT KEY HOST-KEY    the host's files by SSH, with every back end looking */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gpu_contract.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555";
static const char desktop[] = "aaaaaaaa-0000-4000-8000-000000000001";
static const char *uri;

enum { UP_WITHIN_S = 240, UNPLUG_S = 60, STAYS_S = 20, FOREIGN_S = 20 };

#define assert_ok(call) \
  do { \
    g_autoptr(GError) why_ = NULL; \
    if (!(call)) \
      fail_msg("%s: %s", #call, why_ ? why_->message : "no reason"); \
  } while (0)
#define E (&why_)

typedef struct {
  Hypervisor *hypervisor;
  GpuHost host;
  int devices_changed;
} Stand;

static void on_event(void *owner, const HypervisorEvent *event)
{
  if (event->kind == HYPERVISOR_DEVICES_CHANGED)
    __atomic_add_fetch(&((Stand *)owner)->devices_changed, 1, __ATOMIC_SEQ_CST);
}

static int up(void **state)
{
  Stand *stand = g_new0(Stand, 1);
  HypervisorOptions options = { .uri = uri, .host = "gpu0", .controller = controller, .allow_plain_tcp = true, .domain_events = true,
                                .sink = { on_event, stand } };
  assert_ok(hypervisor_open(&options, &stand->hypervisor, E));
  stand->host = (GpuHost){ stand->hypervisor, NULL, "gpu0", controller };
  *state = stand;
  return 0;
}

static int down(void **state)
{
  Stand *stand = *state;
  hypervisor_power(stand->hypervisor, desktop, DOMAIN_DESTROY, NULL);
  hypervisor_undefine(stand->hypervisor, desktop, NULL);
  hypervisor_close(stand->hypervisor);
  g_free(stand);
  return 0;
}

/* A tiny guest (tests/lab/gpu/tiny): it draws, tells on its serial line, and lets go of devices when asked by ACPI. */
static void desktop_define(Stand *stand, const char *devices)
{
  g_autofree char *xml = g_strdup_printf(
    "<domain type='qemu'><name>d-1</name><uuid>%s</uuid><metadata><sarang:owner xmlns:sarang='" DOMAIN_OWNER_XMLNS "' controller='%s' "
    "desktop='d-1' generation='1'/></metadata><memory unit='MiB'>32</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type>"
    "<kernel>/var/lib/libvirt/images/tiny.elf</kernel></os><features><acpi/></features><devices><controller type='usb' model='none'/>"
    "<controller type='pci' model='pcie-root'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/>"
    "<memballoon model='none'/><serial type='pty'/><graphics type='vnc' port='-1' autoport='yes'/><video><model type='none'/></video>%s"
    "</devices></domain>", desktop, controller, devices);
  assert_ok(hypervisor_define(stand->hypervisor, xml, true, E));
}

/* Waits until the guest has written those words. */
static void guest_says(Stand *stand, const char *words)
{
  int64_t until_us = g_get_monotonic_time() + UP_WITHIN_S * G_USEC_PER_SEC;
  for (;;) {
    SerialText text = { 0 };
    assert_ok(hypervisor_serial(stand->hypervisor, desktop, 0, &text, E));
    gsize n;
    const char *bytes = g_bytes_get_data(text.text, &n);
    bool said = n && g_strstr_len(bytes, (gssize)n, words);
    serial_text_clear(&text);
    if (said)
      return;
    if (g_get_monotonic_time() > until_us)
      fail_msg("the guest never said \"%s\"", words);
    g_usleep(100000);
  }
}

static GpuOrder order_of(const char *card, const char *type, const char *claim)
{
  return (GpuOrder){ .card = card, .backend = GPU_MDEV, .type = type, .claim = claim, .generation = 1, .start = -1 };
}

static bool is_listed(Stand *stand, const char *card, const char *uuid)
{
  g_autoptr(GpuCard) found = NULL;
  assert_ok(gpu_look(&stand->host, card, &found, E));
  for (guint i = 0; i < found->parts->len; i++)
    if (!strcmp(((GpuPart *)found->parts->pdata[i])->uuid, uuid))
      return true;
  return false;
}

/* ── tests ──────────────────────────────────────────────────────────────── */

static void every_card_is_discovered(void **state)
{
  static const struct { const char *address; int types; } rows[] = { { "0000:00:08.0", 3 }, { "0000:00:09.0", 3 }, { "0000:00:0a.0", 3 } };
  Stand *stand = *state;
  g_autoptr(GPtrArray) cards = NULL;
  assert_ok(gpu_discover(&stand->host, &cards, E));
  assert_int_equal(cards->len, G_N_ELEMENTS(rows));
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const GpuCard *card = cards->pdata[i];
    assert_string_equal(card->address, rows[i].address);
    assert_int_equal(card->types->len, rows[i].types);
    assert_int_equal(card->backend, GPU_MDEV);
  }
}

static void change_of_devices_is_told(void **state)
{
  Stand *stand = *state;
  GpuHandle handle;
  GpuOrder order = order_of("0000:00:09.0", "vgpu_mdpy-vga", "v-told");
  g_autoptr(GPtrArray) before = NULL;
  assert_ok(hypervisor_devices(stand->hypervisor, &before, E));
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  for (int i = 0; i < 300 && !__atomic_load_n(&stand->devices_changed, __ATOMIC_SEQ_CST); i++)
    g_usleep(100000);
  assert_true(__atomic_load_n(&stand->devices_changed, __ATOMIC_SEQ_CST) > 0);
  assert_true(is_listed(stand, "0000:00:09.0", handle.uuid));
  assert_ok(gpu_release(&stand->host, &order, E));
}

static void guest_has_it_and_nobody_else_until_it_stops(void **state)
{
  Stand *stand = *state;
  GpuHandle handle;
  GpuOrder order = order_of("0000:00:08.0", "vgpu_mdpy-vga", "v-screen");
  g_auto(GStrv) devices = NULL;
  g_autoptr(GError) err = NULL;
  g_autoptr(DomainFacts) facts = NULL;
  g_autoptr(GBytes) picture = NULL;
  SerialText armed;
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  assert_ok(gpu_xml(&handle, GPU_DISPLAY_ON, "v-screen", false, &devices, E));
  desktop_define(stand, devices[0]);
  assert_ok(hypervisor_serial(stand->hypervisor, desktop, 0, &armed, E));
  serial_text_clear(&armed);
  assert_ok(hypervisor_power(stand->hypervisor, desktop, DOMAIN_START, E));
  guest_says(stand, "TINY vgpu");
  assert_ok(hypervisor_look(stand->hypervisor, desktop, &facts, E));
  assert_non_null(facts->hostdevs);
  assert_string_equal(facts->hostdevs[0], handle.uuid);
  assert_ok(hypervisor_screenshot(stand->hypervisor, desktop, &picture, E));
  assert_true(g_bytes_get_size(picture) > 1000); /* the vGPU is its screen: a domain without one has no picture */
  assert_false(gpu_release(&stand->host, &order, &err));
  assert_true(error_is(err, REASON_GPU_IN_USE));
  assert_ok(hypervisor_power(stand->hypervisor, desktop, DOMAIN_DESTROY, E));
  assert_ok(gpu_release(&stand->host, &order, E));
  assert_false(is_listed(stand, "0000:00:08.0", handle.uuid));
}

static void display_off_is_unplugged_and_plugged_again(void **state)
{
  Stand *stand = *state;
  GpuHandle handle;
  GpuOrder order = order_of("0000:00:0a.0", "vgpu_mbochs-medium", "v-compute");
  g_auto(GStrv) devices = NULL;
  SerialText armed;
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  assert_ok(gpu_xml(&handle, GPU_DISPLAY_OFF, "v-compute", false, &devices, E));
  desktop_define(stand, "");
  assert_ok(hypervisor_serial(stand->hypervisor, desktop, 0, &armed, E));
  serial_text_clear(&armed);
  assert_ok(hypervisor_power(stand->hypervisor, desktop, DOMAIN_START, E));
  guest_says(stand, "TINY up");
  for (int i = 0; i < 2; i++) {
    assert_ok(hypervisor_attach(stand->hypervisor, desktop, devices[0], E));
    assert_ok(hypervisor_attach(stand->hypervisor, desktop, devices[0], E));
    assert_ok(hypervisor_detach(stand->hypervisor, desktop, "ua-v-compute", UNPLUG_S, E));
    assert_ok(hypervisor_detach(stand->hypervisor, desktop, "ua-v-compute", UNPLUG_S, E));
  }
  assert_ok(gpu_release(&stand->host, &order, E)); /* the guest let go: a device in use would be refused */
}

static void display_on_stays_and_says_so(void **state)
{
  Stand *stand = *state;
  GpuHandle handle;
  GpuOrder order = order_of("0000:00:08.0", "vgpu_mdpy-vga", "v-stays");
  g_auto(GStrv) devices = NULL;
  g_autoptr(GError) err = NULL, used = NULL;
  SerialText armed;
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  assert_ok(gpu_xml(&handle, GPU_DISPLAY_ON, "v-stays", false, &devices, E));
  desktop_define(stand, devices[0]);
  assert_ok(hypervisor_serial(stand->hypervisor, desktop, 0, &armed, E));
  serial_text_clear(&armed);
  assert_ok(hypervisor_power(stand->hypervisor, desktop, DOMAIN_START, E));
  guest_says(stand, "TINY vgpu");
  assert_false(hypervisor_detach(stand->hypervisor, desktop, "ua-v-stays", STAYS_S, &err));
  assert_true(error_is(err, REASON_DEVICE_STAYS));
  assert_false(gpu_release(&stand->host, &order, &used));
  assert_true(error_is(used, REASON_GPU_IN_USE));
  assert_ok(hypervisor_power(stand->hypervisor, desktop, DOMAIN_DESTROY, E));
  assert_ok(gpu_release(&stand->host, &order, E));
}

/* ── phases of a story ──────────────────────────────────────────────────── */

static const char foreign[] = "11111111-1111-4111-8111-111111111111";

static GpuOrder kept_order(void)
{
  return order_of("0000:00:08.0", "vgpu_mdpy-xga", "v-kept");
}

/* Whether a device is there, and that it has our mark or has not. */
static bool is_there(Stand *stand, const char *address, const char *uuid, bool marked)
{
  g_autoptr(GpuCard) card = NULL;
  assert_ok(gpu_look(&stand->host, address, &card, E));
  for (guint i = 0; i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    if (strcmp(part->uuid, uuid))
      continue;
    assert_int_equal(part->marked, marked);
    return true;
  }
  return false;
}

/* libvirtd learns by udev, a moment after mdevctl is done, of what others made. */
static void foreign_stays(Stand *stand)
{
  g_autoptr(GError) err = NULL;
  int64_t until_us = g_get_monotonic_time() + FOREIGN_S * G_USEC_PER_SEC;
  while (!is_there(stand, "0000:00:09.0", foreign, false) && g_get_monotonic_time() < until_us)
    g_usleep(100 * 1000);
  assert_true(is_there(stand, "0000:00:09.0", foreign, false));
  assert_false(hypervisor_mdev_destroy(stand->hypervisor, foreign, &err));
  assert_true(error_is(err, REASON_GPU_NOT_OURS));
}

static void ours_is_made_beside_a_foreign_one(void **state)
{
  GpuHandle handle;
  GpuOrder order = kept_order();
  foreign_stays(*state);
  assert_ok(gpu_make(&((Stand *)*state)->host, &order, &handle, E));
  assert_true(is_there(*state, order.card, handle.uuid, true));
}

static void both_outlive_libvirtd(void **state)
{
  GpuHandle handle;
  GpuOrder order = kept_order();
  char uuid[GPU_UUID_TEXT_BYTES];
  gpu_part_uuid(controller, order.claim, order.generation, uuid);
  assert_true(is_there(*state, order.card, uuid, true));
  assert_ok(gpu_make(&((Stand *)*state)->host, &order, &handle, E)); /* a controller that does not know whether it did */
  assert_string_equal(handle.uuid, uuid);
  foreign_stays(*state);
}

static void reboot_ends_ours_and_it_is_made_again(void **state)
{
  Stand *stand = *state;
  GpuHandle handle;
  GpuOrder order = kept_order();
  char uuid[GPU_UUID_TEXT_BYTES];
  gpu_part_uuid(controller, order.claim, order.generation, uuid);
  assert_false(is_there(stand, order.card, uuid, true));
  foreign_stays(stand); /* mdevctl started it */
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  assert_true(is_there(stand, order.card, uuid, true));
  assert_ok(gpu_release(&stand->host, &order, E));
  foreign_stays(stand);
}

static ExecOptions files;

static void files_and_devices_agree(void **state)
{
  Stand *stand = *state;
  GpuHost host = stand->host;
  g_autoptr(GPtrArray) cards = NULL;
  Exec *exec;
  assert_ok(exec_open(&files, &exec, E));
  host.exec = exec;
  assert_ok(gpu_discover(&host, &cards, E));
  assert_int_equal(cards->len, 3); /* what has mediated devices is not given away whole, too */
  for (guint i = 0; i < cards->len; i++)
    assert_int_equal(((GpuCard *)cards->pdata[i])->backend, GPU_MDEV);
  exec_close(exec);
}

static const struct { const char *phase; void (*run)(void **state); } phases[] = {
  { "made", ours_is_made_beside_a_foreign_one }, { "kept", both_outlive_libvirtd },
  { "rebooted", reboot_ends_ours_and_it_is_made_again }, { "files", files_and_devices_agree },
};

static int phase_run(const char *phase)
{
  for (size_t i = 0; i < G_N_ELEMENTS(phases); i++) {
    const struct CMUnitTest tests[] = { { phases[i].phase, phases[i].run, up, down, NULL } };
    if (!strcmp(phases[i].phase, phase))
      return cmocka_run_group_tests(tests, NULL, NULL);
  }
  return 1;
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
  const struct CMUnitTest tests[] = {
    T(every_card_is_discovered), T(change_of_devices_is_told), T(guest_has_it_and_nobody_else_until_it_stops),
    T(display_off_is_unplugged_and_plugged_again), T(display_on_stays_and_says_so),
  };
  if (argc != 2 && argc != 3 && argc != 7) {
    fputs("contract_gpu URI [PHASE [ADDRESS PORT KEY HOST-KEY]]\n", stderr);
    return 2;
  }
  uri = argv[1];
  if (argc == 7)
    files = (ExecOptions){ .host = "gpu0", .address = argv[3], .port = atoi(argv[4]), .user = "root", .key_file = argv[5],
                           .host_key = argv[6], .connect_timeout_s = 30 };
  if (argc > 2)
    return phase_run(argv[2]);
  const GpuContract mdpy = { .title = "vgpu_mdpy", .uri = uri, .allow_plain_tcp = true, .backend = GPU_MDEV, .card = "0000:00:09.0",
                             .type = "vgpu_mdpy-hd", .most = 4 };
  const GpuContract mbochs = { .title = "vgpu_mbochs", .uri = uri, .allow_plain_tcp = true, .backend = GPU_MDEV, .card = "0000:00:0a.0",
                               .type = "vgpu_mbochs-large", .most = 4 };
  return gpu_contract_run(&mdpy) + gpu_contract_run(&mbochs) + cmocka_run_group_tests(tests, NULL, NULL);
}

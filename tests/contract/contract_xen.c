/* Whole cards on a real Xen host: what dom0's kernel, libxl and Xen's store do with them, not the fake's rules.
 *   contract_xen URI ADDRESS PORT KEY HOST-KEY [again]    of the Xen host of tests/lab/xen: one card behind a port of its own, 0000:01:00.0,
 * that dom0's bochs-drm has; again: the host was rebooted while the card was given away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/gpu/gpu.h"
#include "tests/unit/contract_assert.h"

#define CARD "0000:01:00.0"
#define IMAGES "/var/lib/libvirt/images/"
#define DEVICES "/sys/bus/pci/devices/"

static const char controller[] = "11111111-2222-4333-8444-555555555555";
static const char desktop[] = "aaaaaaaa-0000-4000-8000-000000000001";
static const GpuOrder order = { .card = CARD, .backend = GPU_WHOLE, .type = "whole", .claim = "v-1", .generation = 1, .address = CARD,
                                .start = -1 };
static const char *uri;
static ExecOptions files;

enum { COMMAND_S = 120, UP_WITHIN_S = 240, OFF_WITHIN_S = 60 };

typedef struct {
  Hypervisor *hypervisor;
  Exec *exec;
  GpuHost host;
} Stand;

/* ── the host ───────────────────────────────────────────────────────────── */

/* A command of dom0's, as an operator types it. Owned by the caller. */
static char *dom0(Stand *stand, const char *words)
{
  const char *const argv[] = { "sh", "-c", words, NULL };
  char *text = NULL;
  assert_ok(exec_run(stand->exec, argv, COMMAND_S, &text, E));
  return g_strstrip(text);
}

static int up(void **state)
{
  Stand *stand = g_new0(Stand, 1);
  HypervisorOptions options = { .uri = uri, .host = "xen0", .controller = controller, .allow_plain_tcp = true, .domain_events = true };
  assert_ok(hypervisor_open(&options, &stand->hypervisor, E));
  assert_ok(exec_open(&files, &stand->exec, E));
  stand->host = (GpuHost){ stand->hypervisor, stand->exec, "xen0", controller };
  *state = stand;
  return 0;
}

static int down(void **state)
{
  Stand *stand = *state;
  hypervisor_power(stand->hypervisor, desktop, DOMAIN_DESTROY, NULL);
  hypervisor_undefine(stand->hypervisor, desktop, NULL);
  exec_close(stand->exec);
  hypervisor_close(stand->hypervisor);
  g_free(stand);
  return 0;
}

static GpuCard *look(Stand *stand)
{
  GpuCard *card = NULL;
  assert_ok(gpu_look(&stand->host, CARD, &card, E));
  return card;
}

static void card_is(Stand *stand, bool free)
{
  g_autoptr(GpuCard) card = look(stand);
  const GpuType *type = card->types->pdata[0];
  g_autofree char *driver = dom0(stand, "basename $(readlink " DEVICES CARD "/driver || echo none)");
  g_autofree char *slots = dom0(stand, "cat /sys/bus/pci/drivers/pciback/slots 2>/dev/null || true");
  assert_string_equal(driver, free ? "bochs-drm" : "pciback");
  assert_int_equal(strstr(slots, CARD) != NULL, !free);
  assert_int_equal(type->free, free);
  assert_int_equal(card->parts->len, !free);
}

/* ── guests ─────────────────────────────────────────────────────────────── */

static const char pv[] =
  "<memory unit='MiB'>192</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='xenpv'>linux</type><kernel>" IMAGES "vmlinux</kernel>"
  "<initrd>" IMAGES "domu.img</initrd><cmdline>console=hvc0 quiet mitigations=off nokaslr random.trust_cpu=on cryptomgr.notests</cmdline></os>"
  "<devices><console type='pty'><target type='xen'/></console>";
static const char hvm[] =
  "<memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='xenfv'>hvm</type><boot dev='hd'/></os>"
  "<features><acpi/><apic/><pae/></features><devices><disk type='file' device='disk'><driver name='qemu' type='raw'/>"
  "<source file='" IMAGES "micro.img'/><target dev='hda' bus='ide'/></disk><serial type='pty'/><console type='pty'/>";

/* A guest of that kind with the card that was made, started. */
static void guest_start(Stand *stand, const char *kind, const GpuHandle *handle)
{
  g_auto(GStrv) devices = NULL;
  assert_ok(gpu_xml(handle, GPU_DISPLAY_OFF, "v-1", false, &devices, E));
  g_autofree char *xml = g_strdup_printf(
    "<domain type='xen'><name>d-1</name><uuid>%s</uuid><metadata><sarang:owner xmlns:sarang='" DOMAIN_OWNER_XMLNS "' controller='%s' "
    "desktop='d-1' generation='1'/></metadata>%s%s</devices></domain>", desktop, controller, kind, devices[0]);
  assert_ok(hypervisor_define(stand->hypervisor, xml, true, E));
  assert_ok(hypervisor_power(stand->hypervisor, desktop, DOMAIN_START, E));
}

#define CONSOLE "cat /var/log/xen/console/guest-d-1.log"  /* as Xen's console daemon writes it down */
#define FIRMWARE "xl dmesg | grep 'pci dev'"  /* hvmloader's words */

/* Waits until a guest has said those words where the command reads them. */
static void guest_says(Stand *stand, const char *where, const char *words)
{
  g_autofree char *command = g_strconcat(where, " 2>/dev/null || true", NULL);
  int64_t until_us = g_get_monotonic_time() + UP_WITHIN_S * G_USEC_PER_SEC;
  for (;;) {
    g_autofree char *text = dom0(stand, command);
    if (strstr(text, words))
      return;
    if (g_get_monotonic_time() > until_us)
      fail_msg("the guest never said \"%s\" but \"%s\"", words, text);
    g_usleep(500000);
  }
}

/* libxl still works when the guest counts as off. */
static void card_comes_back(Stand *stand)
{
  int64_t until_us = g_get_monotonic_time() + OFF_WITHIN_S * G_USEC_PER_SEC;
  for (;;) {
    g_autoptr(GError) err = NULL;
    if (gpu_release(&stand->host, &order, &err))
      break;
    if (!error_is(err, REASON_GPU_IN_USE) || g_get_monotonic_time() > until_us)
      fail_msg("the card is not released: %s", err->message);
    g_usleep(500000);
  }
  card_is(stand, true);
}

static void release_is_refused(Stand *stand, const char *by)
{
  g_autoptr(GError) err = NULL;
  assert_false(gpu_release(&stand->host, &order, &err));
  if (!error_is(err, REASON_GPU_IN_USE) || !strstr(err->message, by))
    fail_msg("not %s: %s", by, err->message);
  card_is(stand, false);
}

/* ── tests ──────────────────────────────────────────────────────────────── */

static void card_is_discovered_and_free(void **state)
{
  Stand *stand = *state;
  g_autoptr(GPtrArray) cards = NULL;
  assert_ok(gpu_discover(&stand->host, &cards, E));
  assert_int_equal(cards->len, 1);
  const GpuCard *card = cards->pdata[0];
  assert_string_equal(card->address, CARD);
  assert_int_equal(card->backend, GPU_WHOLE);
  assert_int_equal(card->vendor_id, 0x1234);
  assert_null(card->broken); /* Xen says that it can: pv_directio */
  card_is(stand, true);
}

static void card_is_made_twice_and_released_twice(void **state)
{
  GpuHandle handle;
  GpuOrder twice = order;
  for (int i = 0; i < 2; i++) {
    twice.again = i > 0;
    assert_ok(gpu_make(&((Stand *)*state)->host, &twice, &handle, E));
    assert_string_equal(handle.address, CARD);
    card_is(*state, false);
  }
  for (int i = 0; i < 2; i++) {
    assert_ok(gpu_release(&((Stand *)*state)->host, &order, E));
    card_is(*state, true);
  }
}

/* What xl calls assignable is what we made, and it is not when it has been released. */
static void xl_agrees(void **state)
{
  GpuHandle handle;
  assert_ok(gpu_make(&((Stand *)*state)->host, &order, &handle, E));
  g_autofree char *made = dom0(*state, "xl pci-assignable-list");
  assert_string_equal(made, CARD);
  assert_ok(gpu_release(&((Stand *)*state)->host, &order, E));
  g_autofree char *released = dom0(*state, "xl pci-assignable-list");
  assert_string_equal(released, "");
}

static void pv_guest_has_it_until_it_stops(void **state)
{
  Stand *stand = *state;
  GpuHandle handle;
  g_autoptr(DomainFacts) facts = NULL;
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  guest_start(stand, pv, &handle);
  guest_says(stand, CONSOLE, "domU: pci 0000:00:00.0 0x1234 0x1111");
  assert_ok(hypervisor_look(stand->hypervisor, desktop, &facts, E));
  assert_non_null(facts->hostdevs);
  assert_string_equal(facts->hostdevs[0], CARD);
  release_is_refused(stand, "d-1");
  assert_ok(hypervisor_power(stand->hypervisor, desktop, DOMAIN_DESTROY, E));
  card_comes_back(stand);
}

static void hvm_guest_has_it_until_it_stops(void **state)
{
  Stand *stand = *state;
  GpuHandle handle;
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  guest_start(stand, hvm, &handle);
  g_autofree char *has = dom0(stand, "xl pci-list d-1");
  assert_non_null(strstr(has, CARD));
  guest_says(stand, FIRMWARE, "bar 10 size 001000000:"); /* the card's own 16 MiB: the guest has no other video */
  release_is_refused(stand, "d-1");
  assert_ok(hypervisor_power(stand->hypervisor, desktop, DOMAIN_DESTROY, E));
  card_comes_back(stand);
}

/* libvirt does not know it. */
static void guest_of_xl_keeps_it(void **state)
{
  Stand *stand = *state;
  GpuHandle handle;
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  g_free(dom0(stand, "printf '%s\\n' 'name=\"theirs\"' 'type=\"pv\"' 'kernel=\"" IMAGES "vmlinux\"' 'ramdisk=\"" IMAGES "domu.img\"' "
                     "'extra=\"console=hvc0 quiet\"' 'memory=192' 'pci=[\"01:00.0\"]' > /tmp/theirs.cfg && xl create /tmp/theirs.cfg >/dev/null"));
  release_is_refused(stand, "guest ");
  g_free(dom0(stand, "xl destroy theirs"));
  card_comes_back(stand);
}

/* Left so, for the reboot that comes next. */
static void card_is_left_given_away(void **state)
{
  GpuHandle handle;
  assert_ok(gpu_make(&((Stand *)*state)->host, &order, &handle, E));
  card_is(*state, false);
}

static void reboot_takes_it_back_and_it_is_made_again(void **state)
{
  GpuHandle handle;
  card_is(*state, true);
  assert_ok(gpu_release(&((Stand *)*state)->host, &order, E));
  assert_ok(gpu_make(&((Stand *)*state)->host, &order, &handle, E));
  card_is(*state, false);
  assert_ok(gpu_release(&((Stand *)*state)->host, &order, E));
  card_is(*state, true);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
  const struct CMUnitTest tests[] = {
    T(card_is_discovered_and_free), T(card_is_made_twice_and_released_twice), T(xl_agrees), T(pv_guest_has_it_until_it_stops),
    T(hvm_guest_has_it_until_it_stops), T(guest_of_xl_keeps_it), T(card_is_left_given_away),
  };
  const struct CMUnitTest again[] = { T(reboot_takes_it_back_and_it_is_made_again) };
  if (argc != 6 && (argc != 7 || strcmp(argv[6], "again") != 0)) {
    fputs("contract_xen URI ADDRESS PORT KEY HOST-KEY [again]\n", stderr);
    return 2;
  }
  uri = argv[1];
  files = (ExecOptions){ .host = "xen0", .address = argv[2], .port = atoi(argv[3]), .user = "root", .key_file = argv[4],
                         .host_key = argv[5], .connect_timeout_s = 30 };
  return argc == 7 ? cmocka_run_group_tests(again, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}

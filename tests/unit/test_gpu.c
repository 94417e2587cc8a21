/* The GPU family without a host: the contract over every back end on fake cards, and the vendors' rules. */
#include <errno.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/hypervisor/fake.h"
#include "tests/unit/gpu_contract.h"
#include "tests/unit/gpu_place.h"

static char *dir;

static Exec *exec_of(const void *data)
{
  Exec *exec = NULL;
  assert_true(fake_exec_open("h1", dir, &exec, NULL));
  return exec;
}

/* ── values ─────────────────────────────────────────────────────────────── */

static void mark_is_the_controllers_and_nobody_elses(void **state)
{
  char a[GPU_UUID_TEXT_BYTES], b[GPU_UUID_TEXT_BYTES];
  gpu_part_uuid(gpu_place_controller, "v-12", 3, a);
  gpu_part_uuid(gpu_place_controller, "v-12", 3, b);
  assert_string_equal(a, b);
  assert_true(g_uuid_string_is_valid(a));
  assert_int_equal(a[14], '8');
  assert_true(gpu_uuid_is_ours(gpu_place_controller, a));
  assert_false(gpu_uuid_is_ours("99999999-2222-4333-8444-555555555555", a));
  assert_false(gpu_uuid_is_ours(gpu_place_controller, "11111111-1111-4111-8111-111111111111"));
  assert_false(gpu_uuid_is_ours(gpu_place_controller, "nonsense"));
  gpu_part_uuid(gpu_place_controller, "v-12", 4, b);
  assert_string_not_equal(a, b);
  gpu_part_uuid(gpu_place_controller, "v-1", 23, b);
  assert_string_not_equal(a, b);
}

static void addresses_are_taken_or_refused(void **state)
{
  static const struct { const char *text; bool ok; } rows[] = {
    { "0000:65:00.4", true }, { "ffff:ff:1f.7", true }, { "0000:65:00.8", false }, { "0000:6G:00.0", false },
    { "0000:AB:00.0", false }, { "65:00.0", false }, { "0000:65:00.0 ", false }, { "", false }, { "../../65:00.0", false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    assert_int_equal(gpu_address_check(rows[i].text), rows[i].ok);
  assert_false(gpu_address_check(NULL));
}

/* ── XML for domains ────────────────────────────────────────────────────── */

static void device_of_each_back_end_is_as_recorded(void **state)
{
  static const struct { GpuBackend backend; GpuDisplay display; const char *xml; } rows[] = {
    { GPU_MDEV, GPU_DISPLAY_OFF,
      "<hostdev mode=\"subsystem\" type=\"mdev\" model=\"vfio-pci\" display=\"off\"><source>"
      "<address uuid=\"4b20d080-1b54-4048-85b3-a6a62d165c01\"/></source><alias name=\"ua-v-1\"/></hostdev>" },
    { GPU_MDEV, GPU_DISPLAY_ON,
      "<hostdev mode=\"subsystem\" type=\"mdev\" model=\"vfio-pci\" display=\"on\"><source>"
      "<address uuid=\"4b20d080-1b54-4048-85b3-a6a62d165c01\"/></source><alias name=\"ua-v-1\"/></hostdev>" },
    { GPU_MDEV, GPU_DISPLAY_RAMFB,
      "<hostdev mode=\"subsystem\" type=\"mdev\" model=\"vfio-pci\" display=\"on\" ramfb=\"on\"><source>"
      "<address uuid=\"4b20d080-1b54-4048-85b3-a6a62d165c01\"/></source><alias name=\"ua-v-1\"/></hostdev>" },
    { GPU_VENDOR_VF, GPU_DISPLAY_OFF,
      "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\"><source>"
      "<address domain=\"0x0000\" bus=\"0x41\" slot=\"0x00\" function=\"0x4\"/></source><alias name=\"ua-v-1\"/></hostdev>" },
  };
  GpuHandle handle = { .uuid = "4b20d080-1b54-4048-85b3-a6a62d165c01", .address = "0000:41:00.4" };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_auto(GStrv) xmls = NULL;
    handle.backend = rows[i].backend;
    assert_true(gpu_xml(&handle, rows[i].display, "v-1", true, &xmls, NULL));
    assert_int_equal(g_strv_length(xmls), 1);
    assert_string_equal(xmls[0], rows[i].xml);
  }
  for (GpuBackend backend = GPU_VENDOR_VF; backend < N_GPU_BACKENDS; backend++) {
    g_autoptr(GError) err = NULL;
    GStrv xmls;
    handle.backend = backend;
    assert_false(gpu_xml(&handle, GPU_DISPLAY_ON, "v-1", false, &xmls, &err));
    assert_true(error_is(err, REASON_GPU_NO_DISPLAY));
  }
}

#define FUNCTION(n, rest) \
  "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\"><source>" \
  "<address domain=\"0x0000\" bus=\"0x65\" slot=\"0x00\" function=\"0x" n "\"/></source><alias name=\"ua-v-1" rest "</hostdev>"

/* Its functions are those of one slot of the guest where that can be said, and each has an alias to go by where it cannot. */
static void devices_of_a_whole_card_are_as_recorded(void **state)
{
  static const char *const rows[2][3] = {
    { FUNCTION("0", "\"/>"), FUNCTION("1", "-1\"/>"), FUNCTION("3", "-2\"/>") },
    { FUNCTION("0", "\"/><address type=\"pci\" function=\"0x0\" multifunction=\"on\"/>"),
      FUNCTION("1", "-1\"/><address type=\"pci\" function=\"0x1\"/>"), FUNCTION("3", "-2\"/><address type=\"pci\" function=\"0x2\"/>") },
  };
  GpuHandle handle = { .backend = GPU_WHOLE, .address = "0000:65:00.0", .beside = { "0000:65:00.1", "0000:65:00.3" } };
  for (int one_slot = 0; one_slot < 2; one_slot++) {
    g_auto(GStrv) xmls = NULL;
    assert_true(gpu_xml(&handle, GPU_DISPLAY_OFF, "v-1", one_slot, &xmls, NULL));
    assert_int_equal(g_strv_length(xmls), 3);
    for (int i = 0; i < 3; i++)
      assert_string_equal(xmls[i], rows[one_slot][i]);
  }
  static const struct { GpuBackend backend; const char *beside; } wrong[] = { { GPU_SRIOV, "0000:65:00.1" }, { GPU_WHOLE, "0000:65:00.9" } };
  for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GError) err = NULL;
    GStrv xmls;
    handle.backend = wrong[i].backend;
    g_strlcpy(handle.beside[1], wrong[i].beside, GPU_ADDRESS_BYTES);
    assert_false(gpu_xml(&handle, GPU_DISPLAY_OFF, "v-1", true, &xmls, &err));
    assert_true(error_is(err, REASON_BAD_VALUE));
  }
}

/* ── the vendors' rules ─────────────────────────────────────────────────── */

static int rules_up(void **state)
{
  *state = gpu_place_in(dir, "");
  return 0;
}

static int rules_down(void **state)
{
  gpu_place_free(*state);
  return 0;
}

static bool make(GpuPlace *rules, const char *card, GpuBackend backend, const char *type, const char *address, GError **err)
{
  GpuOrder order = { .card = card, .backend = backend, .type = type, .claim = address, .generation = 1, .address = address, .start = -1 };
  GpuHandle handle;
  return gpu_make(&rules->host, &order, &handle, err);
}

static bool release(GpuPlace *rules, const char *card, GpuBackend backend, const char *type, const char *address, GError **err)
{
  GpuOrder order = { .card = card, .backend = backend, .type = type, .claim = address, .generation = 1, .address = address, .start = -1 };
  return gpu_release(&rules->host, &order, err);
}

static void same_type_card_offers_no_other_once_one_is_given(void **state)
{
  GpuPlace *rules = *state;
  assert_true(gpu_place_free_of(rules, "0000:41:00.0", "nvidia-559") > 0);
  assert_true(make(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", NULL));
  assert_int_equal(gpu_place_free_of(rules, "0000:41:00.0", "nvidia-559"), 0);
  g_autoptr(GError) err = NULL;
  assert_false(make(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-559", "0000:41:00.5", &err));
  assert_true(error_is(err, REASON_GPU_FULL));
  /* mixed sizes are another card's */
  assert_true(make(rules, "0000:42:00.0", GPU_VENDOR_VF, "nvidia-1155", "0000:42:00.4", NULL));
  assert_true(make(rules, "0000:42:00.0", GPU_VENDOR_VF, "nvidia-1152", "0000:42:00.5", NULL));
  assert_int_equal(gpu_place_free_of(rules, "0000:42:00.0", "nvidia-1155"), 0);
  assert_true(gpu_place_free_of(rules, "0000:42:00.0", "nvidia-1153") > 0);
}

static void function_in_a_guest_is_neither_released_nor_reset(void **state)
{
  GpuPlace *rules = *state;
  g_autoptr(GError) err = NULL;
  assert_true(make(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", NULL));
  assert_true(fake_cards_hold(dir, "0000:41:00.4"));
  assert_false(release(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", &err));
  assert_true(error_is(err, REASON_GPU_IN_USE));
  fake_cards_let_go(dir, "0000:41:00.4");
  assert_true(release(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", NULL));
}

static void function_whose_reset_failed_stays_dirty_until_one_is_confirmed(void **state)
{
  GpuPlace *rules = *state;
  g_autoptr(GError) err = NULL, again = NULL;
  g_autofree char *fail = g_build_filename(dir, "sys/bus/pci/devices/0000:41:00.4/fail", NULL);
  assert_true(make(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", NULL));
  assert_true(fake_cards_hold(dir, "0000:41:00.4"));
  fake_cards_let_go(dir, "0000:41:00.4");
  assert_true(g_file_set_contents(fail, "reset 5", -1, NULL));
  assert_false(release(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", &err));
  assert_true(error_is(err, REASON_GPU_DIRTY));
  assert_false(make(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", &again)); /* what the guest left is still in it */
  g_unlink(fail);
  assert_true(release(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", NULL));
  assert_true(make(rules, "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", "0000:41:00.4", NULL));
}

static void function_that_got_another_type_is_not_ours(void **state)
{
  GpuPlace *rules = *state;
  g_autoptr(GError) err = NULL, released = NULL;
  assert_int_equal(fake_cards_write(dir, "/sys/bus/pci/devices/0000:42:00.4/nvidia/current_vgpu_type", "1149"), 0);
  assert_false(make(rules, "0000:42:00.0", GPU_VENDOR_VF, "nvidia-1152", "0000:42:00.4", &err));
  assert_true(error_is(err, REASON_GPU_NOT_OURS));
  assert_false(release(rules, "0000:42:00.0", GPU_VENDOR_VF, "nvidia-1152", "0000:42:00.4", &released));
  assert_true(error_is(released, REASON_GPU_NOT_OURS));
}

static void console_card_is_given_only_by_force(void **state)
{
  GpuPlace *rules = *state;
  g_autoptr(GError) err = NULL;
  GpuHandle handle;
  GpuOrder order = { .card = "0000:02:00.0", .backend = GPU_WHOLE, .type = "whole", .claim = "v-1", .generation = 1, .start = -1 };
  assert_false(gpu_make(&rules->host, &order, &handle, &err));
  assert_true(error_is(err, REASON_GPU_CONSOLE_CARD));
  order.force = true;
  assert_true(gpu_make(&rules->host, &order, &handle, NULL));
  assert_true(gpu_release(&rules->host, &order, NULL));
}

/* At its address another card may lie since: nothing of that one is given or reset for the claim. */
static void whole_card_of_a_claim_is_the_one_that_was_meant(void **state)
{
  GpuPlace *rules = *state;
  g_autoptr(GError) err = NULL;
  g_autofree char *link = g_build_filename(dir, "sys/bus/pci/devices/0000:65:00.0/driver", NULL), *to = NULL, *still = NULL;
  assert_false(make(rules, "0000:65:00.0", GPU_WHOLE, "whole:10de:2235", "0000:65:00.0", &err));
  assert_true(error_is(err, REASON_GPU_GONE));
  to = g_file_read_link(link, NULL);
  assert_true(g_str_has_suffix(to, "/amdgpu"));
  assert_true(make(rules, "0000:65:00.0", GPU_WHOLE, "whole:1002:73a3", "0000:65:00.0", NULL));
  assert_true(release(rules, "0000:65:00.0", GPU_WHOLE, "whole:10de:2235", "0000:65:00.0", NULL));
  still = g_file_read_link(link, NULL);
  assert_true(g_str_has_suffix(still, "/vfio-pci"));
  assert_true(release(rules, "0000:65:00.0", GPU_WHOLE, "whole:1002:73a3", "0000:65:00.0", NULL));
}

static void whole_card_takes_its_sound_along_and_nobody_else(void **state)
{
  GpuPlace *rules = *state;
  g_autofree char *link = g_build_filename(dir, "sys/bus/pci/devices/0000:65:00.1/driver", NULL), *to = NULL, *after = NULL;
  assert_true(make(rules, "0000:65:00.0", GPU_WHOLE, "whole", "0000:65:00.0", NULL));
  to = g_file_read_link(link, NULL);
  assert_true(g_str_has_suffix(to, "/vfio-pci"));
  assert_true(release(rules, "0000:65:00.0", GPU_WHOLE, "whole", "0000:65:00.0", NULL));
  after = g_file_read_link(link, NULL);
  assert_false(g_str_has_suffix(after, "/vfio-pci"));
  /* a neighbour in the group that is not of the card */
  g_autofree char *neighbour = g_build_filename(dir, "sys/bus/pci/devices/0000:66:00.0", NULL);
  g_autofree char *class = g_build_filename(neighbour, "class", NULL);
  g_autofree char *group_link = g_build_filename(dir, "sys/bus/pci/devices/0000:65:00.0/iommu_group", NULL);
  g_autofree char *group = g_file_read_link(group_link, NULL), *number = g_path_get_basename(group);
  g_autofree char *member = g_build_filename(dir, "sys/kernel/iommu_groups", number, "devices/0000:66:00.0", NULL);
  g_autoptr(GError) err = NULL;
  g_mkdir_with_parents(neighbour, 0700);
  assert_true(g_file_set_contents(class, "0x010802\n", -1, NULL) && g_file_set_contents(member, "", -1, NULL));
  assert_false(make(rules, "0000:65:00.0", GPU_WHOLE, "whole", "0000:65:00.0", &err));
  assert_true(error_is(err, REASON_GPU_REFUSED) && strstr(err->message, "0000:66:00.0"));
  g_unlink(member);
  g_unlink(class);
  g_rmdir(neighbour);
}

static void mig_places_are_kept_apart(void **state)
{
  GpuPlace *rules = *state;
  GpuHandle handle;
  GpuOrder big = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "3g.20gb", .claim = "v-1", .generation = 1, .start = 0 };
  GpuOrder small = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-2", .generation = 1, .start = 2 };
  g_autoptr(GError) err = NULL;
  assert_true(gpu_make(&rules->host, &big, &handle, NULL));
  assert_false(gpu_make(&rules->host, &small, &handle, &err));
  assert_true(error_is(err, REASON_GPU_FULL));
  small.start = 4;
  assert_true(gpu_make(&rules->host, &small, &handle, NULL));
  assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "7g.40gb"), 0);
  assert_true(gpu_release(&rules->host, &big, NULL));
  assert_true(gpu_release(&rules->host, &small, NULL));
  assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "7g.40gb"), 1);
}

static void gpu_instance_of_others_is_not_taken(void **state)
{
  GpuPlace *rules = *state;
  GpuHandle handle;
  GpuOrder order = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = 4 };
  const char *made[] = { "nvidia-smi", "mig", "-cgi", "19:2", "-i", "0000:81:00.0", NULL };
  const char *ended[] = { "nvidia-smi", "mig", "-dgi", "-gi", "1", "-i", "0000:81:00.0", NULL };
  g_autoptr(GError) err = NULL;
  assert_true(exec_run(rules->host.exec, made, 5, NULL, NULL));
  assert_false(gpu_make(&rules->host, &order, &handle, &err));
  assert_true(error_is(err, REASON_GPU_REFUSED) && strstr(err->message, "could take instance 1, which has no function and is somebody else's"));
  assert_true(gpu_release(&rules->host, &order, NULL));
  assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "1g.5gb"), 6);
  assert_true(exec_run(rules->host.exec, ended, 5, NULL, NULL));
  assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "1g.5gb"), 7);
  assert_true(gpu_make(&rules->host, &order, &handle, NULL));
  order.address = handle.address;
  assert_true(gpu_release(&rules->host, &order, NULL));
}

/* A try that fails at the function took a place on the card for ever, and the next try another one. */
static void gpu_instance_goes_with_the_make_that_failed(void **state)
{
  static const struct { const char *fails; Reason reason; const char *told; } rows[] = {
    { "nvidia/current_vgpu_type 5", REASON_GPU_REFUSED, "Input/output error" }, { "nvidia/current_vgpu_type 16", REASON_GPU_IN_USE, "busy" },
  };
  GpuPlace *rules = *state;
  GpuHandle handle;
  GpuOrder order = { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = 4,
                     .address = "0000:81:00.4" };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    gpu_place_put(rules, "sys/bus/pci/devices/0000:81:00.4/fail", rows[i].fails);
    assert_false(gpu_make(&rules->host, &order, &handle, &err));
    assert_true(error_is(err, rows[i].reason) && strstr(err->message, rows[i].told));
    gpu_place_put(rules, "sys/bus/pci/devices/0000:81:00.4/fail", NULL);
    assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "1g.5gb"), 7);
  }
  assert_true(gpu_make(&rules->host, &order, &handle, NULL));
  /* one that an earlier try had made stays for the next */
  assert_int_equal(fake_cards_write(dir, "/sys/bus/pci/devices/0000:81:00.4/nvidia/current_vgpu_type", "0"), 0);
  gpu_place_put(rules, "sys/bus/pci/devices/0000:81:00.4/fail", "nvidia/current_vgpu_type 5");
  order.again = true;
  assert_false(gpu_make(&rules->host, &order, &handle, NULL));
  gpu_place_put(rules, "sys/bus/pci/devices/0000:81:00.4/fail", NULL);
  assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "1g.5gb"), 6);
  assert_true(gpu_release(&rules->host, &order, NULL));
}

static void mig_card_without_functions_makes_no_instance(void **state)
{
  GpuPlace *rules = *state;
  g_autoptr(GError) err = NULL;
  GpuHandle handle;
  GpuOrder order = { .card = "0000:c2:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = 0 };
  assert_true(fake_cards_add(dir, "0000:c2:00.0", "a100", NULL));
  for (int i = 4; i < 11; i++) {
    g_autofree char *function = g_strdup_printf("%s/sys/bus/pci/devices/0000:c2:%02x.%x", dir, (unsigned)i / 8, (unsigned)i % 8);
    fake_tree_del(function);
  }
  assert_false(gpu_make(&rules->host, &order, &handle, &err));
  assert_true(error_is(err, REASON_GPU_FULL) && strstr(err->message, "no virtual functions"));
  assert_int_equal(gpu_place_free_of(rules, "0000:c2:00.0", "1g.5gb"), 7);
  fake_cards_lose(dir, "0000:c2:00.0");
}

enum { AT_ONCE = 4, TURNS = 8 };
typedef struct {
  GpuPlace *rules;
  GpuOrder order;
  const char *step;
} AtOnce;

static void *make_and_release(void *data)
{
  AtOnce *one = data;
  for (int i = 0; i < TURNS && !one->step; i++) {
    GpuHandle handle;
    GpuOrder known = one->order;
    if (!gpu_make(&one->rules->host, &one->order, &handle, NULL))
      one->step = "make";
    known.address = handle.address;
    if (!one->step && !gpu_release(&one->rules->host, &known, NULL))
      one->step = "release";
  }
  return NULL;
}

/* As tasks of four desktops do. */
static void gpu_instances_are_made_at_once(void **state)
{
  GpuPlace *rules = *state;
  AtOnce all[AT_ONCE];
  GThread *threads[AT_ONCE];
  for (int i = 0; i < AT_ONCE; i++) {
    all[i] = (AtOnce){ rules, { .card = "0000:81:00.0", .backend = GPU_MIG, .type = "1g.5gb", .claim = "v-1", .generation = 1, .start = i }, NULL };
    threads[i] = g_thread_new("desktop", make_and_release, &all[i]);
  }
  for (int i = 0; i < AT_ONCE; i++)
    g_thread_join(threads[i]);
  for (int i = 0; i < AT_ONCE; i++)
    assert_null(all[i].step);
  assert_int_equal(gpu_place_free_of(rules, "0000:81:00.0", "7g.40gb"), 1);
}

/* Through the fake hypervisor, as a desktop has it. */
static void desktop_starts_only_with_its_devices(void **state)
{
  static const char uuid[] = "aaaaaaaa-0000-4000-8000-000000000001";
  GpuPlace *rules = *state;
  GpuOrder order = { .card = "0000:08:00.0", .backend = GPU_MDEV, .type = "vgpu_mdpy-hd", .claim = "v-1", .generation = 1, .start = -1 };
  GpuHandle handle = { 0 };
  g_autoptr(GError) missing = NULL, used = NULL, stays = NULL;
  g_auto(GStrv) devices = NULL, plugged = NULL;
  gpu_part_uuid(gpu_place_controller, "v-1", 1, handle.uuid);
  handle.backend = GPU_MDEV;
  assert_true(gpu_xml(&handle, GPU_DISPLAY_ON, "v-1", false, &devices, NULL));
  g_autofree char *xml = g_strdup_printf("<domain><name>d-1</name><uuid>%s</uuid><metadata><sarang:owner xmlns:sarang='" DOMAIN_OWNER_XMLNS
                                         "' controller='%s' desktop='d-1' generation='1'/></metadata><devices>%s</devices></domain>", uuid,
                                         gpu_place_controller, devices[0]);
  assert_true(hypervisor_define(rules->host.hypervisor, xml, false, NULL));
  assert_false(hypervisor_power(rules->host.hypervisor, uuid, DOMAIN_START, &missing));
  assert_true(error_is(missing, REASON_HYPERVISOR_REFUSED));
  assert_true(gpu_make(&rules->host, &order, &handle, NULL));
  assert_true(hypervisor_power(rules->host.hypervisor, uuid, DOMAIN_START, NULL));
  assert_false(gpu_release(&rules->host, &order, &used));
  assert_true(error_is(used, REASON_GPU_IN_USE));
  order.claim = "v-2";
  assert_true(gpu_make(&rules->host, &order, &handle, NULL));
  assert_true(gpu_xml(&handle, GPU_DISPLAY_OFF, "v-2", false, &plugged, NULL));
  assert_true(hypervisor_attach(rules->host.hypervisor, uuid, plugged[0], NULL));
  assert_true(fake_do("gpu", "sticky d-1 on", NULL));
  assert_false(hypervisor_detach(rules->host.hypervisor, uuid, "ua-v-2", 1, &stays));
  assert_true(error_is(stays, REASON_DEVICE_STAYS));
  assert_true(fake_do("gpu", "sticky d-1 off", NULL));
  assert_true(hypervisor_detach(rules->host.hypervisor, uuid, "ua-v-2", 1, NULL));
  assert_true(gpu_release(&rules->host, &order, NULL));
  assert_true(hypervisor_power(rules->host.hypervisor, uuid, DOMAIN_DESTROY, NULL));
  order.claim = "v-1";
  assert_true(gpu_release(&rules->host, &order, NULL));
  assert_true(hypervisor_undefine(rules->host.hypervisor, uuid, NULL));
}

/* ── whose guest runs with it ───────────────────────────────────────────── */

static void must_be_anothers(GpuPlace *rules, const GpuOrder *order, const char *what)
{
  g_autoptr(GError) made = NULL, released = NULL;
  GpuHandle handle;
  if (gpu_make(&rules->host, order, &handle, &made) || !error_is(made, REASON_GPU_NOT_OURS))
    fail_msg("%s: made: %s", what, made ? made->message : "yes");
  if (gpu_release(&rules->host, order, &released) || !error_is(released, REASON_GPU_NOT_OURS))
    fail_msg("%s: released: %s", what, released ? released->message : "yes");
}

/* Its own guest's: made again without harm, and let go of once that guest is off. */
static void must_be_its_own(GpuPlace *rules, const GpuOrder *order)
{
  g_autoptr(GError) used = NULL;
  GpuHandle handle;
  GpuOrder later = *order;
  later.again = true;
  assert_true(gpu_make(&rules->host, &later, &handle, NULL));
  assert_false(gpu_release(&rules->host, order, &used));
  assert_true(error_is(used, REASON_GPU_IN_USE));
}

/* A function has no mark: an order out of an older store took it from the guest that ran with it. */
static void what_another_guest_runs_with_is_neither_made_nor_released(void **state)
{
  static const char theirs[] = "aaaaaaaa-0000-4000-8000-000000000001", others[] = "bbbbbbbb-0000-4000-8000-000000000002";
  static const struct { GpuBackend backend; const char *card, *type, *address; int start; } rows[] = {
    { GPU_VENDOR_VF, "0000:41:00.0", "nvidia-558", "0000:41:00.4", -1 },
    { GPU_SRIOV, "0000:51:00.0", "vf", "0000:51:00.4", -1 },
    { GPU_WHOLE, "0000:65:00.0", "whole", "0000:65:00.0", -1 },
  };
  GpuPlace *rules = *state;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    GpuOrder order = { .card = rows[i].card, .backend = rows[i].backend, .type = rows[i].type, .claim = "v-1", .generation = 1,
                       .domain = theirs, .address = rows[i].address, .start = rows[i].start }, stale = order;
    GpuHandle handle;
    g_autoptr(GError) err = NULL;
    stale.domain = others;
    if (!gpu_make(&rules->host, &order, &handle, &err))
      fail_msg("%s: %s", rows[i].card, err->message);
    gpu_place_define(rules, theirs, &handle);
    stale.again = true;
    assert_true(gpu_make(&rules->host, &stale, &handle, NULL)); /* defined is not run */
    assert_true(hypervisor_power(rules->host.hypervisor, theirs, DOMAIN_START, NULL));
    must_be_anothers(rules, &stale, rows[i].card);
    must_be_its_own(rules, &order);
    assert_true(hypervisor_power(rules->host.hypervisor, theirs, DOMAIN_SUSPEND, NULL));
    must_be_anothers(rules, &stale, rows[i].card); /* it goes on with it */
    assert_true(hypervisor_power(rules->host.hypervisor, theirs, DOMAIN_DESTROY, NULL));
    assert_true(gpu_release(&rules->host, &stale, NULL));
    assert_true(hypervisor_undefine(rules->host.hypervisor, theirs, NULL));
  }
}

/* Between the look and the make, by an operator or another program. */
static void others_make(GpuPlace *rules, GpuBackend backend, const char *address)
{
  static const char *const passed[] = { "driver_override", "driver/unbind" };
  const char *instance[] = { "nvidia-smi", "mig", "-cgi", "19:4", "-i", "0000:81:00.0", NULL };
  const char *values[] = { "vfio-pci", address };
  g_autofree char *type = g_strdup_printf("/sys/bus/pci/devices/%s/nvidia/current_vgpu_type", address);
  if (backend == GPU_MIG)
    assert_true(exec_run(rules->host.exec, instance, 5, NULL, NULL));
  else if (backend == GPU_VENDOR_VF)
    assert_int_equal(fake_cards_write(dir, type, "558"), 0);
  else {
    fake_cards_modprobe(dir, "vfio-pci");
    for (int i = 0; i < 2; i++) {
      g_autofree char *file = g_strdup_printf("/sys/bus/pci/devices/%s/%s", address, passed[i]);
      assert_int_equal(fake_cards_write(dir, file, values[i]), 0);
    }
    assert_int_equal(fake_cards_write(dir, "/sys/bus/pci/drivers_probe", address), 0);
  }
}

/* What has no mark is ours only where an earlier order of the claim may have made it. */
static void what_others_made_since_the_look_is_not_taken(void **state)
{
  static const struct { GpuBackend backend; const char *card, *type, *address, *made; int start; } rows[] = {
    { GPU_VENDOR_VF, "0000:41:00.0", "nvidia-558", "0000:41:00.4", "0000:41:00.4", -1 },
    { GPU_SRIOV, "0000:51:00.0", "vf", "0000:51:00.4", "0000:51:00.4", -1 },
    { GPU_WHOLE, "0000:65:00.0", "whole", "0000:65:00.0", "0000:65:00.0", -1 },
    { GPU_WHOLE, "0000:65:00.0", "whole", "0000:65:00.0", "0000:65:00.1", -1 }, /* its sound alone */
    { GPU_MIG, "0000:81:00.0", "1g.5gb", NULL, NULL, 4 },
  };
  GpuPlace *rules = *state;
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    GpuOrder order = { .card = rows[i].card, .backend = rows[i].backend, .type = rows[i].type, .claim = "v-1", .generation = 1,
                       .address = rows[i].address, .start = rows[i].start };
    GpuHandle handle;
    g_autoptr(GError) err = NULL;
    g_autoptr(GpuCard) before = NULL, after = NULL;
    others_make(rules, rows[i].backend, rows[i].made);
    assert_true(gpu_look(&rules->host, rows[i].card, &before, NULL));
    if (gpu_make(&rules->host, &order, &handle, &err) || !error_is(err, REASON_GPU_NOT_OURS))
      fail_msg("row %d: %s", (int)i, err ? err->message : "taken");
    assert_true(gpu_look(&rules->host, rows[i].card, &after, NULL));
    assert_int_equal(after->parts->len, before->parts->len);
    order.again = true;
    assert_true(gpu_make(&rules->host, &order, &handle, NULL));
    fake_cards_reboot(dir);
  }
}

static void lost_card_is_gone(void **state)
{
  GpuPlace *rules = *state;
  g_autoptr(GError) err = NULL;
  assert_true(fake_cards_add(dir, "0000:c1:00.0", "l40s", NULL));
  assert_true(make(rules, "0000:c1:00.0", GPU_VENDOR_VF, "nvidia-1152", "0000:c1:00.4", NULL));
  fake_cards_lose(dir, "0000:c1:00.0");
  assert_false(make(rules, "0000:c1:00.0", GPU_VENDOR_VF, "nvidia-1152", "0000:c1:00.5", &err));
  assert_true(error_is(err, REASON_GPU_GONE));
  assert_true(release(rules, "0000:c1:00.0", GPU_VENDOR_VF, "nvidia-1152", "0000:c1:00.4", NULL));
}

/* ── the run ────────────────────────────────────────────────────────────── */

static const struct { const char *model, *address; GpuBackend backend; const char *type; int most; } card_rows[] = {
  { "mdpy", "0000:08:00.0", GPU_MDEV, "vgpu_mdpy-hd", 4 },
  { "mbochs", "0000:0a:00.0", GPU_MDEV, "vgpu_mbochs-large", 4 },
  { "t4", "0000:21:00.0", GPU_MDEV, "nvidia-233", 2 },
  { "a40mdev", "0000:43:00.0", GPU_MDEV, "nvidia-558", 6 },
  { "a40", "0000:41:00.0", GPU_VENDOR_VF, "nvidia-558", 6 },
  { "l40s", "0000:42:00.0", GPU_VENDOR_VF, "nvidia-1155", 2 },
  { "flex170", "0000:51:00.0", GPU_SRIOV, "vf", 4 },
  { "a100", "0000:81:00.0", GPU_MIG, "1g.5gb", 7 },
  { "w6800", "0000:65:00.0", GPU_WHOLE, "whole", 1 },
};

int main(void)
{
#define R(f) cmocka_unit_test_setup_teardown(f, rules_up, rules_down)
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(mark_is_the_controllers_and_nobody_elses), cmocka_unit_test(addresses_are_taken_or_refused),
    cmocka_unit_test(device_of_each_back_end_is_as_recorded),
    cmocka_unit_test(devices_of_a_whole_card_are_as_recorded),
    R(same_type_card_offers_no_other_once_one_is_given), R(function_in_a_guest_is_neither_released_nor_reset),
    R(function_whose_reset_failed_stays_dirty_until_one_is_confirmed), R(function_that_got_another_type_is_not_ours),
    R(console_card_is_given_only_by_force), R(whole_card_of_a_claim_is_the_one_that_was_meant),
    R(whole_card_takes_its_sound_along_and_nobody_else), R(mig_places_are_kept_apart),
    R(gpu_instance_of_others_is_not_taken), R(gpu_instance_goes_with_the_make_that_failed),
    R(mig_card_without_functions_makes_no_instance), R(gpu_instances_are_made_at_once),
    R(lost_card_is_gone), R(desktop_starts_only_with_its_devices), R(what_another_guest_runs_with_is_neither_made_nor_released),
    R(what_others_made_since_the_look_is_not_taken),
  };
  GpuPlaceCard cards[G_N_ELEMENTS(card_rows) + 2] = { { "0000:02:00.0", "console" } };
  for (size_t i = 0; i < G_N_ELEMENTS(card_rows); i++)
    cards[i + 1] = (GpuPlaceCard){ card_rows[i].address, card_rows[i].model };
  dir = gpu_place_dir(cards);
  g_autofree char *uri = g_strdup_printf("fake:gpu?gpus=%s", dir);
  int failed = 0;
  for (size_t i = 0; i < G_N_ELEMENTS(card_rows); i++) {
    GpuContract contract = { .title = card_rows[i].model, .uri = uri, .backend = card_rows[i].backend, .card = card_rows[i].address,
                             .type = card_rows[i].type, .most = card_rows[i].most, .exec = exec_of };
    failed += gpu_contract_run(&contract);
  }
  failed += cmocka_run_group_tests(tests, NULL, NULL);
  gpu_place_dir_free(dir);
  return failed;
}

/* What a host says of its cards, read strictly: lines, node devices and tables, the vendors' and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <glib/gstdio.h>

#include "drivers/gpu/fake_cards.h"
#include "drivers/gpu/mig_table.h"
#include "drivers/gpu/view.h"
#include "drivers/hypervisor/fake.h"

/* ── hostile hosts ──────────────────────────────────────────────────────── */

static void devices_that_are_none_are_refused(void **state)
{
  static const char *const bad[] = {
    "", "<device", "<domain/>", "<!DOCTYPE device [<!ENTITY x 'y'>]><device/>",
    "<device><capability type='pci'><domain>0</domain><bus>8</bus><slot>0</slot></capability></device>",
    "<device><capability type='pci'><class>0x030000</class><domain>0</domain><bus>8</bus><slot>0</slot><function>9</function>"
    "<product id='0x1'/><vendor id='0x2'/></capability></device>",
    "<device><capability type='mdev'><type id='a'/><uuid>4b20d080-1b54-4048-85b3-a6a62d165c01</uuid></capability></device>",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GpuView) view = gpu_view_new();
    g_autoptr(GError) err = NULL;
    if (gpu_view_node(view, "h1", bad[i], &err))
      fail_msg("taken: %s", bad[i]);
    assert_true(error_is(err, REASON_GPU_FACTS));
  }
}

#define CARD_XML "<device><name>pci_0000_08_00_0</name><capability type='pci'><class>0x030000</class><domain>0</domain><bus>8</bus><slot>0</slot>" \
                 "<function>0</function><product id='0x1'/>"

/* Of one card nothing is to be relied on then; of the others all is. */
static void device_that_is_not_understood_is_that_cards_trouble(void **state)
{
  static const struct { const char *xml, *wrong; } rows[] = {
    { CARD_XML "<vendor id='0x2'/></capability></device>", NULL },
    { CARD_XML "</capability></device>", "libvirt's node device is not understood: \"pci_0000_08_00_0\"" },
    { CARD_XML "<vendor id='0x2'/><capability type='mdev_types'><type id='a'><availableInstances>many</availableInstances></type></capability>"
      "</capability></device>", "pci_0000_08_00_0" },
    { CARD_XML "<vendor id='0x2'/><iommuGroup number='-4'/></capability></device>", "pci_0000_08_00_0" },
    { "<device><parent>pci_0000_08_00_0</parent><capability type='mdev'><type id='a'/><uuid>../../etc\033</uuid></capability></device>",
      "a mediated device of it is not understood: \"../../etc" },
    { "<device><parent>pci_0000_08_00_0</parent><capability type='mdev'><uuid>4b20d080-1b54-4048-85b3-a6a62d165c01</uuid></capability></device>", "4b20" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GpuView) view = gpu_view_new();
    g_autofree char *xml = g_strdelimit(g_strdup(rows[i].xml), "\033", '?');
    assert_true(gpu_view_node(view, "h1", xml, NULL));
    const char *wrong = gpu_view_find(view, "0000:08:00.0")->wrong;
    if (!wrong != !rows[i].wrong || (wrong && !strstr(wrong, rows[i].wrong)))
      fail_msg("row %d: %s", (int)i, wrong ? wrong : "all is well");
  }
}

/* What is about no card is no host's to say. */
static void lines_about_no_card_are_refused(void **state)
{
  static const char *const bad[] = {
    "nonsense", "0000:41:00.0", "../../:41:0 class 0x030000", "000000:41:00.0 class 0x030000", "g0000:41:00.0 class 0x030000", "smi what 1",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GpuView) view = gpu_view_new();
    g_autoptr(GError) err = NULL;
    if (gpu_view_files(view, "h1", bad[i], &err))
      fail_msg("taken: %s", bad[i]);
    assert_true(error_is(err, REASON_GPU_FACTS));
  }
}

static void line_that_is_not_understood_is_that_functions_trouble(void **state)
{
  static const char *const bad[] = {
    "0000:41:00.4 unheard_of 1", "0000:41:00.4 class 030000", "0000:41:00.4 class 0x1030000", "0000:41:00.4 boot_vga -1", "0000:41:00.4 boot_vga",
    "0000:41:00.4 physfn ../../x", "0000:41:00.4 creatable x : NVIDIA A40-8Q", "0000:41:00.4 creatable 99999999999 : NVIDIA A40-8Q",
    "0000:41:00.4 creatable 558 NVIDIA", "0000:41:00.4 iommu_group \xff",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GpuView) view = gpu_view_new();
    g_autofree char *text = g_strdup_printf("0000:42:00.0 class 0x030000\n%s\n10000:e1:00.0 class 0x030000\n", bad[i]);
    assert_true(gpu_view_files(view, "h1", text, NULL));
    assert_int_equal(view->functions->len, 2); /* a domain above ffff is passed over */
    const char *wrong = gpu_view_find(view, "0000:41:00.4")->wrong;
    if (!wrong || !g_str_has_prefix(wrong, "its files say \"0000:41:00.4 ") || !g_utf8_validate(wrong, -1, NULL))
      fail_msg("%s: %s", bad[i], wrong ? wrong : "all is well");
    assert_null(gpu_view_find(view, "0000:42:00.0")->wrong);
    assert_string_equal(gpu_view_find(view, "0000:41:00.4")->physical, "");
  }
}

static void host_with_too_many_is_not_believed(void **state)
{
  static const struct { int cards, functions; const char *told; } rows[] = {
    { 64, 1024, NULL }, { 65, 0, "65 cards" }, { 1, 1025, "1025 functions" }, { 70000, 0, "more than 1088 functions" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GpuView) view = gpu_view_new();
    g_autoptr(GError) err = NULL;
    for (int n = 0; n < rows[i].cards; n++)
      g_string_append_printf(text, "%04x:%02x:00.0 class 0x030000\n", (unsigned)n >> 8, (unsigned)n & 255);
    for (int n = 0; n < rows[i].functions; n++)
      g_string_append_printf(text, "ffff:%02x:%02x.%x physfn 0000:00:00.0\n", (unsigned)n >> 8, (unsigned)n >> 3 & 31, (unsigned)n & 7);
    bool ok = gpu_view_files(view, "h1", text->str, &err) && gpu_view_few(view, "h1", &err);
    if (ok != !rows[i].told || (err && !strstr(err->message, rows[i].told)))
      fail_msg("row %d: %s", (int)i, err ? err->message : "taken");
    assert_true(view->functions->len < 1100);
  }
}

/* As the README of NVIDIA's vgpu-device-manager prints it (https://github.com/NVIDIA/vgpu-device-manager), with and without heading. */
static void recorded_list_of_creatable_types_is_read(void **state)
{
  g_autoptr(GpuView) view = gpu_view_new();
  assert_true(gpu_view_files(view, "h1", "0000:41:00.4 class 0x030200\n0000:41:00.4 physfn 0000:41:00.0\n0000:41:00.4 creatable\n"
                             "0000:41:00.4 creatable ID    : vGPU Name\n0000:41:00.4 creatable 1428 : NVIDIA H200X-141C\n"
                             "0000:41:00.4 creatable 1414 : NVIDIA H200X-1-18C\n0000:41:00.4 nvidia/current_vgpu_type 0\n"
                             "0000:41:00.4 nvidia/gpu_instance_id 4294967295\n", NULL));
  const ViewFunction *function = gpu_view_find(view, "0000:41:00.4");
  assert_non_null(function);
  assert_int_equal(function->creatable->len, 2);
  assert_string_equal(((ViewType *)function->creatable->pdata[0])->id, "nvidia-1428");
  assert_string_equal(((ViewType *)function->creatable->pdata[1])->title, "NVIDIA H200X-1-18C");
  assert_int_equal(function->gpu_instance, -1);
}

/* A card's firmware says what it likes; people and programs read it. */
static void what_no_reader_should_get_is_spelled_out(void **state)
{
  g_autoptr(GpuView) view = gpu_view_new();
  assert_true(gpu_view_files(view, "h1", "0000:41:00.0 class 0x030200\n0000:41:00.0 serial_number A\033[2J\xff\xe2\x80\xae\n"
                             "0000:41:00.0 creatable 558 : A40\x07\xc3-8Q\n", NULL));
  const ViewFunction *function = gpu_view_find(view, "0000:41:00.0");
  assert_string_equal(function->serial, "A<U+001B>[2J<FF><U+202E>");
  assert_string_equal(((ViewType *)function->creatable->pdata[0])->title, "A40<U+0007><C3>-8Q");
}

/* Tables in the shapes of the MIG user guide, https://docs.nvidia.com/datacenter/tesla/mig-user-guide/ */
static void recorded_mig_tables_are_read(void **state)
{
  static const char lgip[] =
    "+-----------------------------------------------------------------------------+\n"
    "| GPU instance profiles:                                                      |\n"
    "| GPU   Name             ID    Instances   Memory     P2P    SM    DEC   ENC  |\n"
    "|                              Free/Total   GiB              CE    JPEG  OFA  |\n"
    "|=============================================================================|\n"
    "|   0  MIG 1g.10gb       19     7/7        9.75       No     16     1     0   |\n"
    "|                                                             1     1     0   |\n"
    "+-----------------------------------------------------------------------------+\n"
    "|   0  MIG 1g.10gb+me    20     1/1        9.75       No     16     1     0   |\n"
    "|                                                             1     1     1   |\n";
  g_autoptr(GPtrArray) profiles = NULL, instances = NULL;
  assert_true(mig_profiles_parse("h1", lgip, &profiles, NULL));
  assert_int_equal(profiles->len, 2);
  assert_true(mig_placements_parse("h1", "GPU  0 Profile ID 19 Placements: {0,1,2,3,4,5,6}:1\nGPU  0 Profile ID 20 Placements: {}:1\n",
                                   profiles, NULL));
  const MigProfile *small = profiles->pdata[0];
  assert_string_equal(small->name, "1g.10gb");
  assert_int_equal(small->starts->len, 7);
  assert_int_equal(small->size, 1);
  assert_true(mig_instances_parse("h1", "|   0  MIG 1g.10gb       19        9          2:1     |\n", &instances, NULL));
  const MigInstance *instance = instances->pdata[0];
  assert_int_equal(instance->id, 9);
  assert_int_equal(instance->start, 2);
}

static void other_mig_tables_are_refused(void **state)
{
  static const char *const bad[] = { "", "|   0  MIG 1g.10gb  x  7/7", "|   0  MIG 1g.10gb  19  8/7", "|   0  MIG 1g.10gb  19  99999/99999" };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GPtrArray) profiles = NULL;
    g_autoptr(GError) err = NULL;
    assert_false(mig_profiles_parse("h1", bad[i], &profiles, &err));
    assert_true(error_is(err, REASON_GPU_FACTS));
  }
  g_autoptr(GPtrArray) none = g_ptr_array_new(), instances = NULL;
  assert_false(mig_placements_parse("h1", "GPU  0 Profile ID 19 Placements: {0,x}:1", none, NULL));
  assert_false(mig_placements_parse("h1", "GPU  0 Profile ID 19 Placements: {0,1", none, NULL));
  assert_false(mig_instances_parse("h1", "|   0  MIG 1g.10gb  19  9  2", &instances, NULL));
}

/* ── a card of which not all is understood ──────────────────────────────── */

static bool unread(const GpuHost *host, const char *address)
{
  g_autoptr(GpuCard) card = NULL;
  g_autoptr(GError) err = NULL;
  if (!gpu_look(host, address, &card, &err))
    fail_msg("%s: %s", address, err->message);
  return card->unread != NULL;
}

/* Of a function's trouble its card has it; nothing is made or released by half of the facts, and the other card goes on. */
static void card_not_understood_is_left_alone(void **state)
{
  static const struct { GpuBackend backend; const char *model, *type, *file, *text, *spoils; } rows[] = {
    { GPU_VENDOR_VF, "a40", "nvidia-558", "nvidia/current_vgpu_type", "x", "0000:41:00.4" },
    { GPU_VENDOR_VF, "a40", "nvidia-558", "nvidia/current_vgpu_type", NULL, "0000:41:00.4" }, /* a type that cannot be read is not none */
    { GPU_MIG, "a100", "1g.5gb", "nvidia/current_vgpu_type", NULL, "0000:41:00.4" },
    { GPU_SRIOV, "flex170", "vf", "numa_node", "everywhere", "0000:41:00.4" },
    { GPU_WHOLE, "w6800", "whole", "boot_vga", "-1", "0000:41:00.0" },
    { GPU_MIG, "a100", "1g.5gb", "boot_vga", "-1", "0000:41:00.0" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *dir = g_dir_make_tmp("sarang-view-XXXXXX", NULL), *uri = g_strdup_printf("fake:view?gpus=%s", dir);
    g_autofree char *file = g_build_filename(dir, "sys/bus/pci/devices", rows[i].spoils, rows[i].file, NULL);
    HypervisorOptions of = { .uri = uri, .host = "h1", .controller = "11111111-2222-4333-8444-555555555555" };
    GpuHost host = { .host = "h1", .controller = of.controller };
    GpuHandle handle;
    GpuOrder order = { .card = "0000:41:00.0", .backend = rows[i].backend, .type = rows[i].type, .claim = "v-1", .generation = 1, .start = 0,
                       .address = rows[i].backend == GPU_MIG && rows[i].text ? NULL : rows[i].backend == GPU_WHOLE ? "0000:41:00.0" : "0000:41:00.4" };
    g_autoptr(GError) made = NULL, released = NULL;
    assert_true(fake_cards_add(dir, "0000:41:00.0", rows[i].model, NULL) && fake_cards_add(dir, "0000:65:00.0", "l40s", NULL));
    assert_true(hypervisor_open(&of, &host.hypervisor, NULL) && gpu_exec_open(host.hypervisor, NULL, &host.exec, NULL));
    assert_false(unread(&host, "0000:41:00.0"));
    g_autofree char *line = rows[i].text ? g_strconcat(rows[i].text, "\n", NULL) : NULL;
    assert_true(line ? g_file_set_contents(file, line, -1, NULL) : !g_unlink(file));
    assert_true(unread(&host, "0000:41:00.0"));
    assert_false(unread(&host, "0000:65:00.0"));
    if (gpu_make(&host, &order, &handle, &made) || !error_is(made, REASON_GPU_FACTS) || !strstr(made->message, rows[i].text ? rows[i].text : "cannot be read"))
      fail_msg("%s: %s", rows[i].model, made ? made->message : "made");
    if (gpu_release(&host, &order, &released) || !error_is(released, REASON_GPU_FACTS))
      fail_msg("%s: %s", rows[i].model, released ? released->message : "released");
    exec_close(host.exec);
    hypervisor_close(host.hypervisor);
    fake_forget();
    fake_tree_del(dir);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(devices_that_are_none_are_refused), cmocka_unit_test(device_that_is_not_understood_is_that_cards_trouble),
    cmocka_unit_test(lines_about_no_card_are_refused), cmocka_unit_test(line_that_is_not_understood_is_that_functions_trouble),
    cmocka_unit_test(host_with_too_many_is_not_believed), cmocka_unit_test(recorded_list_of_creatable_types_is_read),
    cmocka_unit_test(what_no_reader_should_get_is_spelled_out), cmocka_unit_test(recorded_mig_tables_are_read),
    cmocka_unit_test(other_mig_tables_are_refused), cmocka_unit_test(card_not_understood_is_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

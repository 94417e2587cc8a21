/* The GPU family over layouts of hosts as vendors' documents and other people's hosts show them (tests/gpu-trees/): what is read of each, and the
 * contract of a back end in each. */
#include <glib.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/gpu/fake_cards.h"
#include "drivers/hypervisor/fake.h"
#include "tests/unit/gpu_contract.h"
#include "tests/unit/gpu_tree.h"

typedef struct {
  const char *tree, *card;
  GpuBackend backend;
  const char *type;         /* of the contract, and how many of it fit */
  int most;
  uint16_t vendor, device;
  const char *driver;
  int group, numa, functions;
  bool console, listed;     /* listed: types come from the list in the tree */
  const char *last;         /* address of the last function; NULL = it has none */
  bool xen;                 /* as dom0 of a Xen host has the same */
} Layout;

static const Layout layouts[] = {
  { "nvidia-l40s", "0000:3d:00.0", GPU_VENDOR_VF, "nvidia-1155", 2, 0x10de, 0x26b9, "nvidia", 70, 0, 32, false, true, "0000:3d:04.3" },
  { "nvidia-rtx6000-ada", "0000:3e:00.0", GPU_VENDOR_VF, "nvidia-946", 2, 0x10de, 0x26b1, "nvidia", 40, 0, 2, false, true, "0000:3e:00.5" },
  { "nvidia-a100-mig", "0000:41:00.0", GPU_MIG, "3g.20gb", 2, 0x10de, 0x20b1, "nvidia", 50, 0, 16, false, false, "0000:41:02.3" },
  { "intel-alder-lake", "0000:00:02.0", GPU_SRIOV, "vf", 7, 0x8086, 0x4680, "i915", 0, -1, 7, true, false, "0000:00:02.7" },
  { "amd-cezanne", "0000:04:00.0", GPU_WHOLE, "whole", 1, 0x1002, 0x1638, "amdgpu", 5, -1, 0, false, false, NULL },
  { "intel-alder-lake", "0000:00:02.0", GPU_SRIOV, "vf", 7, 0x8086, 0x4680, "i915", -1, -1, 7, true, false, "0000:00:02.7", .xen = true },
  { "amd-cezanne", "0000:04:00.0", GPU_WHOLE, "whole", 1, 0x1002, 0x1638, "amdgpu", -1, -1, 0, false, false, NULL, .xen = true },
};

static const Layout *running;
static char *dir;

static Exec *exec_of(const void *data)
{
  Exec *exec = NULL;
  assert_true(fake_exec_open("h1", dir, &exec, NULL));
  return exec;
}

static char *uri_new(void) { return g_strdup_printf("fake:gpu?gpus=%s%s", dir, running->xen ? "&as=xen" : ""); }

static GpuCard *look(void)
{
  g_autofree char *uri = uri_new();
  HypervisorOptions options = { .uri = uri, .host = "h1", .controller = "11111111-2222-4333-8444-555555555555" };
  Hypervisor *hypervisor = NULL;
  assert_true(hypervisor_open(&options, &hypervisor, NULL));
  Exec *exec = exec_of(NULL);
  GpuHost host = { hypervisor, exec, "h1", options.controller };
  g_autoptr(GPtrArray) cards = NULL;
  g_autoptr(GError) why = NULL;
  if (!gpu_discover(&host, &cards, &why))
    fail_msg("%s: %s", running->tree, why->message);
  assert_int_equal(cards->len, 1); /* functions are parts of it, and no cards */
  g_autoptr(GpuCard) card = NULL;
  assert_true(gpu_look(&host, running->card, &card, NULL));
  exec_close(exec);
  hypervisor_close(hypervisor);
  return g_steal_pointer(&card);
}

static void card_is_read_as_the_host_has_it(void **state)
{
  g_autoptr(GpuCard) card = look();
  assert_string_equal(card->address, running->card);
  assert_int_equal(card->backend, running->backend);
  assert_int_equal(card->vendor_id, running->vendor);
  assert_int_equal(card->device_id, running->device);
  assert_string_equal(card->driver, running->driver);
  assert_int_equal(card->iommu_group, running->group);
  assert_int_equal(card->numa_node, running->numa);
  assert_int_equal(card->console, running->console);
  assert_null(card->broken);
  assert_int_equal(card->parts->len, 0);
  assert_int_equal(card->functions->len, running->functions);
  if (running->last)
    assert_string_equal(card->functions->pdata[running->functions - 1], running->last);
}

/* The lines "… nvidia/creatable_vgpu_types 1152  : NVIDIA L40S-8Q" of the tree's file. */
static GPtrArray *recorded_types(void)
{
  g_autofree char *file = g_strdup_printf("tests/gpu-trees/%s.tree", running->tree), *text = NULL;
  assert_true(g_file_get_contents(file, &text, NULL, NULL));
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  GPtrArray *types = g_ptr_array_new_with_free_func(g_free);
  for (char **line = lines; *line; line++) {
    const char *list = *line && **line != '#' ? strstr(*line, "creatable_vgpu_types ") : NULL;
    const char *colon = list ? strstr(list, ": NVIDIA ") : NULL;
    if (colon)
      g_ptr_array_add(types, g_strdup_printf("nvidia-%d %s", atoi(list + strlen("creatable_vgpu_types ")), colon + 2));
  }
  return types;
}

/* framebuffer: "8Q" at the end of the name is 8 GiB. */
static void types_are_as_recorded(void **state)
{
  g_autoptr(GpuCard) card = look();
  g_autoptr(GPtrArray) recorded = recorded_types();
  if (!running->listed)
    return;
  assert_true(recorded->len > 0);
  assert_int_equal(card->types->len, recorded->len);
  for (guint i = 0; i < recorded->len; i++) {
    const GpuType *type = card->types->pdata[i];
    g_autofree char *found = g_strdup_printf("%s %s", type->id, type->title);
    assert_string_equal(found, recorded->pdata[i]);
    assert_int_equal(type->framebuffer_mib, 1024 * atoi(strrchr(type->title, '-') + 1));
    assert_int_equal(type->free, running->functions);
  }
}

static int layout_run(const Layout *layout)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(card_is_read_as_the_host_has_it), cmocka_unit_test(types_are_as_recorded) };
  running = layout;
  dir = g_dir_make_tmp("sarang-tree-XXXXXX", NULL);
  g_autofree char *file = g_strdup_printf("tests/gpu-trees/%s.tree", layout->tree), *uri = uri_new();
  int failed = !gpu_tree_load(file, dir);
  GpuContract contract = { .title = layout->tree, .uri = uri, .backend = layout->backend, .card = layout->card, .type = layout->type,
                           .most = layout->most, .exec = exec_of };
  failed = failed || cmocka_run_group_tests_name(layout->tree, tests, NULL, NULL);
  failed += failed ? 0 : gpu_contract_run(&contract);
  failed += failed ? 0 : cmocka_run_group_tests_name(layout->tree, tests, NULL, NULL); /* what was made and released leaves the host as it was */
  fake_forget();
  fake_tree_del(dir);
  g_clear_pointer(&dir, g_free);
  return failed;
}

/* A tree that no row reads would be text and nothing else. */
static int unread_trees(void)
{
  g_autoptr(GDir) folder = g_dir_open("tests/gpu-trees", 0, NULL);
  const char *name;
  int files = 0, read = 0;
  while (folder && (name = g_dir_read_name(folder)))
    files += g_str_has_suffix(name, ".tree");
  for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++)
    read += !layouts[i].xen;
  if (files != read)
    fprintf(stderr, "tests/gpu-trees has %d trees, %d are read\n", files, read);
  return files != read;
}

int main(void)
{
  int failed = unread_trees();
  for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++)
    failed += layout_run(&layouts[i]);
  return failed;
}

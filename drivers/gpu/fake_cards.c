#include "drivers/gpu/fake_cards.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "drivers/gpu/fake_inside.h"

/* PCI ids by https://pci-ids.ucw.cz; MIG profiles, their numbers and places of an A100 40 GB by
 * https://docs.nvidia.com/datacenter/tesla/mig-user-guide/; names of vGPU types by https://docs.nvidia.com/vgpu. The numbers of an
 * L40S and an RTX 6000 Ada are the driver's (tests/gpu-trees/ says whence), the others the fake's own. */
static const FakeModel models[] = {
  { "mdpy", GPU_MDEV, "0x038000", "0x1234", "0x1111", "vgpu_mdpy", "", "bochs-display", .capacity = 4,
    .types = { { "vgpu_mdpy-vga", "vga", 1 }, { "vgpu_mdpy-xga", "xga", 1 }, { "vgpu_mdpy-hd", "hd", 1 } } },
  { "mbochs", GPU_MDEV, "0x030000", "0x1002", "0x5046", "vgpu_mbochs", "Advanced Micro Devices", "ati-vga", .capacity = 64,
    .types = { { "vgpu_mbochs-small", "small", 1 }, { "vgpu_mbochs-medium", "medium", 4 }, { "vgpu_mbochs-large", "large", 16 } } },
  { "t4", GPU_MDEV, "0x030200", "0x10de", "0x1eb8", "nvidia", "NVIDIA Corporation", "TU104GL [Tesla T4]", .capacity = 16, .same_type = true,
    .types = { { "nvidia-230", "GRID T4-1Q", 1 }, { "nvidia-231", "GRID T4-2Q", 2 }, { "nvidia-232", "GRID T4-4Q", 4 },
               { "nvidia-233", "GRID T4-8Q", 8 }, { "nvidia-234", "GRID T4-16Q", 16 } } },
  { "a40mdev", GPU_MDEV, "0x030200", "0x10de", "0x2235", "nvidia", "NVIDIA Corporation", "GA102GL [A40]", .capacity = 48, .vfs = 8,
    .same_type = true, .types = { { "nvidia-558", "NVIDIA A40-8Q", 8 }, { "nvidia-559", "NVIDIA A40-12Q", 12 } } },
  { "a40", GPU_VENDOR_VF, "0x030200", "0x10de", "0x2235", "nvidia", "NVIDIA Corporation", "GA102GL [A40]", .capacity = 48, .vfs = 8,
    .same_type = true,
    .types = { { "558", "NVIDIA A40-8Q", 8 }, { "559", "NVIDIA A40-12Q", 12 },
               { "560", "NVIDIA A40-24Q", 24 }, { "561", "NVIDIA A40-48Q", 48 } } },
  { "l40s", GPU_VENDOR_VF, "0x030200", "0x10de", "0x26b9", "nvidia", "NVIDIA Corporation", "AD102GL [L40S]", .capacity = 48, .vfs = 8,
    .types = { { "1145", "NVIDIA L40S-1B", 1 }, { "1146", "NVIDIA L40S-2B", 2 }, { "1147", "NVIDIA L40S-1Q", 1 },
               { "1148", "NVIDIA L40S-2Q", 2 }, { "1149", "NVIDIA L40S-3Q", 3 }, { "1150", "NVIDIA L40S-4Q", 4 },
               { "1151", "NVIDIA L40S-6Q", 6 }, { "1152", "NVIDIA L40S-8Q", 8 }, { "1153", "NVIDIA L40S-12Q", 12 },
               { "1154", "NVIDIA L40S-16Q", 16 }, { "1155", "NVIDIA L40S-24Q", 24 }, { "1156", "NVIDIA L40S-48Q", 48 },
               { "1157", "NVIDIA L40S-1A", 1 }, { "1158", "NVIDIA L40S-2A", 2 }, { "1159", "NVIDIA L40S-3A", 3 },
               { "1160", "NVIDIA L40S-4A", 4 }, { "1161", "NVIDIA L40S-6A", 6 }, { "1162", "NVIDIA L40S-8A", 8 },
               { "1163", "NVIDIA L40S-12A", 12 }, { "1164", "NVIDIA L40S-16A", 16 }, { "1165", "NVIDIA L40S-24A", 24 },
               { "1166", "NVIDIA L40S-48A", 48 }, { "2164", "NVIDIA L40S-3B", 3 } } },
  { "rtx6000ada", GPU_VENDOR_VF, "0x030000", "0x10de", "0x26b1", "nvidia", "NVIDIA Corporation", "AD102GL [RTX 6000 Ada Generation]",
    .capacity = 48, .vfs = 2, .same_type = true,
    .types = { { "941", "NVIDIA RTX6000-Ada-1Q", 1 }, { "942", "NVIDIA RTX6000-Ada-2Q", 2 }, { "943", "NVIDIA RTX6000-Ada-3Q", 3 },
               { "944", "NVIDIA RTX6000-Ada-4Q", 4 }, { "945", "NVIDIA RTX6000-Ada-6Q", 6 }, { "946", "NVIDIA RTX6000-Ada-8Q", 8 },
               { "947", "NVIDIA RTX6000-Ada-12Q", 12 }, { "948", "NVIDIA RTX6000-Ada-16Q", 16 },
               { "949", "NVIDIA RTX6000-Ada-24Q", 24 }, { "950", "NVIDIA RTX6000-Ada-48Q", 48 } } },
  { "flex170", GPU_SRIOV, "0x038000", "0x8086", "0x56c0", "i915", "Intel Corporation", "Data Center GPU Flex 170", .capacity = 4, .vfs = 4 },
  { "alderlake", GPU_SRIOV, "0x030000", "0x8086", "0x4680", "i915", "Intel Corporation", "AlderLake-S GT1", .capacity = 7, .vfs = 7,
    .console = true },
  { "a100", GPU_MIG, "0x030200", "0x10de", "0x20b1", "nvidia", "NVIDIA Corporation", "GA100 [A100 PCIe 40GB]", .capacity = 8, .vfs = 7,
    .types = { { "1g.5gb", "NVIDIA A100-1-5C", 1, 19, { 0, 1, 2, 3, 4, 5, 6 }, 7 }, { "2g.10gb", "NVIDIA A100-2-10C", 2, 14, { 0, 2, 4 }, 3 },
               { "3g.20gb", "NVIDIA A100-3-20C", 4, 9, { 0, 4 }, 2 }, { "4g.20gb", "NVIDIA A100-4-20C", 4, 5, { 0 }, 1 },
               { "7g.40gb", "NVIDIA A100-7-40C", 8, 0, { 0 }, 1 } } },
  { "w6800", GPU_WHOLE, "0x030000", "0x1002", "0x73a3", "amdgpu", "Advanced Micro Devices", "Navi 21 [Radeon PRO W6800]",
    .capacity = 1, .beside = 1 },
  { "rtx2080", GPU_WHOLE, "0x030000", "0x10de", "0x1e87", "nouveau", "NVIDIA Corporation", "TU104 [GeForce RTX 2080 Rev. A]",
    .capacity = 1, .beside = 3 },
  { "console", GPU_WHOLE, "0x030000", "0x1a03", "0x2000", "ast", "ASPEED Technology, Inc.", "ASPEED Graphics Family",
    .capacity = 1, .console = true },
};

/* ── small files ────────────────────────────────────────────────────────── */

static char *path_v(const char *dir, const char *format, va_list args)
{
  g_autofree char *below = g_strdup_vprintf(format, args);
  return g_build_filename(dir, below, NULL);
}

#define PATH(dir, format) \
  va_list args_; \
  va_start(args_, format); \
  g_autofree char *path = path_v(dir, format, args_); \
  va_end(args_)

char *fake_get(const char *dir, const char *format, ...)
{
  PATH(dir, format);
  char *text = NULL;
  return g_file_get_contents(path, &text, NULL, NULL) ? g_strchomp(text) : g_strdup("");
}

void fake_put(const char *dir, const char *text, const char *format, ...)
{
  PATH(dir, format);
  g_autofree char *folder = g_path_get_dirname(path), *line = g_strconcat(text, "\n", NULL);
  g_mkdir_with_parents(folder, 0700);
  g_file_set_contents(path, *text ? line : "", -1, NULL);
}

void fake_del(const char *dir, const char *format, ...)
{
  PATH(dir, format);
  g_unlink(path);
}

bool fake_has(const char *dir, const char *format, ...)
{
  PATH(dir, format);
  return g_file_test(path, G_FILE_TEST_EXISTS) || g_file_test(path, G_FILE_TEST_IS_SYMLINK);
}

void fake_link(const char *dir, const char *to, const char *format, ...)
{
  PATH(dir, format);
  g_autofree char *folder = g_path_get_dirname(path);
  g_mkdir_with_parents(folder, 0700);
  g_unlink(path);
  int ignored = symlink(to, path);
  (void)ignored;
}

static int by_text(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

GStrv fake_names(const char *dir, const char *below)
{
  g_autofree char *path = g_build_filename(dir, below, NULL);
  g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  const char *name;
  while (folder && (name = g_dir_read_name(folder)))
    g_ptr_array_add(names, g_strdup(name));
  g_ptr_array_sort(names, by_text);
  g_ptr_array_add(names, NULL);
  return (GStrv)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

/* ── cards ──────────────────────────────────────────────────────────────── */

static const FakeModel *model_find(const char *name)
{
  for (size_t i = 0; i < G_N_ELEMENTS(models); i++)
    if (!strcmp(models[i].name, name))
      return &models[i];
  return NULL;
}

const FakeModel *fake_model_of(const char *dir, const char *address)
{
  g_autofree char *name = fake_get(dir, FAKE_PCI "/%s/model", address);
  return model_find(name);
}

GStrv fake_functions(const char *dir, const char *card)
{
  g_auto(GStrv) all = fake_names(dir, FAKE_PCI);
  g_autoptr(GStrvBuilder) found = g_strv_builder_new();
  for (char **name = all; *name; name++) {
    g_autofree char *link = g_build_filename(dir, FAKE_PCI, *name, "physfn", NULL), *to = g_file_read_link(link, NULL);
    if (to && g_str_has_suffix(to, card))
      g_strv_builder_add(found, *name);
  }
  return g_strv_builder_end(found);
}

static void function_add(const char *dir, const char *address, const FakeModel *model, int group)
{
  g_autofree char *driver = g_strdup_printf("../../drivers/%s", model->driver);
  g_autofree char *groups = g_strdup_printf("../../../../kernel/iommu_groups/%d", group);
  fake_put(dir, model->class, FAKE_PCI "/%s/class", address);
  fake_put(dir, model->vendor, FAKE_PCI "/%s/vendor", address);
  fake_put(dir, model->device, FAKE_PCI "/%s/device", address);
  fake_put(dir, "0", FAKE_PCI "/%s/numa_node", address);
  fake_put(dir, model->driver, FAKE_PCI "/%s/default_driver", address);
  fake_put(dir, "(null)", FAKE_PCI "/%s/driver_override", address);
  fake_link(dir, driver, FAKE_PCI "/%s/driver", address);
  fake_link(dir, groups, FAKE_PCI "/%s/iommu_group", address);
  fake_put(dir, "", "sys/kernel/iommu_groups/%d/devices/%s", group, address);
  if (fake_has(dir, "xen"))
    fake_cards_xen(dir);
}

/* The n-th function from address on, as ARI counts them. */
static char *address_after(const char *address, int n)
{
  unsigned domain, bus, slot, function;
  if (sscanf(address, "%4x:%2x:%2x.%1x", &domain, &bus, &slot, &function) != 4)
    return g_strdup(address);
  unsigned number = slot * 8 + function + (unsigned)n;
  return g_strdup_printf("%04x:%02x:%02x.%x", domain, bus, number / 8 % 32, number % 8);
}

static void functions_add(const char *dir, const char *card, const FakeModel *model, int group)
{
  for (int i = 0; i < model->vfs; i++) {
    g_autofree char *address = address_after(card, 4 + i), *physical = g_strconcat("../", card, NULL);
    function_add(dir, address, model, group + 1 + i);
    fake_link(dir, physical, FAKE_PCI "/%s/physfn", address);
    if (model->backend == GPU_SRIOV || model->backend == GPU_MDEV)
      continue;
    fake_put(dir, "0", FAKE_PCI "/%s/nvidia/current_vgpu_type", address);
    fake_put(dir, "4294967295", FAKE_PCI "/%s/nvidia/gpu_instance_id", address);
  }
}

static void beside_add(const char *dir, const char *card, const FakeModel *model, int group)
{
  static const char *const classes[] = { "0x040300", "0x0c0330", "0x0c8000" };
  for (int i = 0; i < model->beside; i++) {
    g_autofree char *address = address_after(card, 1 + i);
    function_add(dir, address, model, group);
    fake_put(dir, classes[i], FAKE_PCI "/%s/class", address);
  }
}

/* Another run of the host's kernel. */
static void boot_new(const char *dir)
{
  g_autofree char *id = g_uuid_string_random();
  fake_put(dir, id, "proc/sys/kernel/random/boot_id");
}

bool fake_cards_add(const char *dir, const char *address, const char *name, GError **err)
{
  const FakeModel *model = model_find(name);
  if (!model || !gpu_address_check(address))
    return error_false(err, REASON_BAD_VALUE, "field", "card", "value", model ? address : name, "limit", "a model of fake_cards.h", NULL);
  if (!fake_has(dir, "proc/sys/kernel/random/boot_id"))
    boot_new(dir);
  g_auto(GStrv) groups = fake_names(dir, "sys/kernel/iommu_groups");
  int group = 10 + (int)g_strv_length(groups);
  function_add(dir, address, model, group);
  fake_put(dir, name, FAKE_PCI "/%s/model", address);
  fake_put(dir, model->console ? "1" : "0", FAKE_PCI "/%s/boot_vga", address);
  beside_add(dir, address, model, group);
  if (model->vfs) {
    g_autofree char *vfs = g_strdup_printf("%d", model->vfs);
    fake_put(dir, vfs, FAKE_PCI "/%s/sriov_numvfs", address);
    fake_put(dir, vfs, FAKE_PCI "/%s/sriov_totalvfs", address);
    functions_add(dir, address, model, group);
    fake_creatable(dir, address);
  }
  return true;
}

void fake_tree_del(const char *path)
{
  g_autoptr(GDir) folder = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
  const char *name;
  while (folder && (name = g_dir_read_name(folder))) {
    g_autofree char *below = g_build_filename(path, name, NULL);
    fake_tree_del(below);
  }
  if (g_unlink(path))
    g_rmdir(path);
}

void fake_cards_lose(const char *dir, const char *address)
{
  g_auto(GStrv) functions = fake_functions(dir, address);
  for (char **name = functions; *name; name++) {
    g_autofree char *path = g_build_filename(dir, FAKE_PCI, *name, NULL);
    fake_tree_del(path);
  }
  g_autofree char *path = g_build_filename(dir, FAKE_PCI, address, NULL);
  fake_tree_del(path);
}

static void folder_empty(const char *dir, const char *below)
{
  g_autofree char *path = g_build_filename(dir, below, NULL);
  fake_tree_del(path);
}

void fake_cards_reboot(const char *dir)
{
  boot_new(dir);
  g_auto(GStrv) all = fake_names(dir, FAKE_PCI);
  folder_empty(dir, "mdev");
  folder_empty(dir, "mig");
  folder_empty(dir, "held");
  folder_empty(dir, "modules");
  folder_empty(dir, "sys/bus/pci/drivers");
  for (char **name = all; *name; name++) {
    g_autofree char *driver = fake_get(dir, FAKE_PCI "/%s/default_driver", *name), *to = g_strconcat("../../drivers/", driver, NULL);
    fake_link(dir, to, FAKE_PCI "/%s/driver", *name);
    fake_put(dir, "(null)", FAKE_PCI "/%s/driver_override", *name);
    fake_del(dir, FAKE_PCI "/%s/dirty", *name);
    if (!fake_has(dir, FAKE_PCI "/%s/nvidia/current_vgpu_type", *name))
      continue;
    fake_put(dir, "0", FAKE_PCI "/%s/nvidia/current_vgpu_type", *name);
    fake_put(dir, "4294967295", FAKE_PCI "/%s/nvidia/gpu_instance_id", *name);
  }
  for (char **name = all; *name; name++)
    fake_creatable(dir, *name);
}

void fake_cards_xen(const char *dir)
{
  g_auto(GStrv) all = fake_names(dir, FAKE_PCI);
  folder_empty(dir, "sys/kernel/iommu_groups");
  for (char **name = all; *name; name++)
    fake_del(dir, FAKE_PCI "/%s/iommu_group", *name);
  fake_put(dir, "xen", "sys/hypervisor/type");
  fake_put(dir, "", "xen");
}

/* ── guests ─────────────────────────────────────────────────────────────── */

bool fake_cards_hold(const char *dir, const char *device)
{
  g_autofree char *link = g_build_filename(dir, FAKE_PCI, device, "driver", NULL), *to = g_file_read_link(link, NULL);
  bool there = fake_has(dir, "mdev/%s", device) || fake_has(dir, FAKE_PCI "/%s", device);
  bool detached = !fake_has(dir, "xen") || (to && g_str_has_suffix(to, "/pciback"));
  if (!there || !detached || fake_has(dir, "held/%s", device))
    return false;
  fake_put(dir, "", "held/%s", device);
  if (gpu_address_check(device))
    fake_put(dir, "", FAKE_PCI "/%s/dirty", device);
  return true;
}

void fake_cards_let_go(const char *dir, const char *device)
{
  fake_del(dir, "held/%s", device);
}

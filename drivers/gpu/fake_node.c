/* A fake host's cards as libvirt would tell them, and the way to its files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drivers/gpu/fake_inside.h"

/* ── node devices ───────────────────────────────────────────────────────── */

static char *node_of(const char *address)
{
  char *name = g_strconcat("pci_", address, NULL);
  return g_strdelimit(name, ":.", '_');
}

static void address_add(GString *xml, const char *address)
{
  g_string_append_printf(xml, "<address domain='0x%.4s' bus='0x%.2s' slot='0x%.2s' function='0x%.1s'/>", address, address + 5, address + 8,
                         address + 11);
}

static char *link_of(const char *dir, const char *address, const char *name)
{
  g_autofree char *path = g_build_filename(dir, FAKE_PCI, address, name, NULL), *to = g_file_read_link(path, NULL);
  return to ? g_path_get_basename(to) : NULL;
}

static void group_add(const char *dir, const char *address, GString *xml)
{
  g_autofree char *number = link_of(dir, address, "iommu_group");
  g_autofree char *below = number ? g_strdup_printf("sys/kernel/iommu_groups/%s/devices", number) : NULL;
  if (!below)
    return;
  g_auto(GStrv) members = fake_names(dir, below);
  g_string_append_printf(xml, "<iommuGroup number='%s'>", number);
  for (char **member = members; *member; member++)
    address_add(xml, *member);
  g_string_append(xml, "</iommuGroup>");
}

static void functions_add(const char *dir, const char *address, GString *xml)
{
  g_auto(GStrv) functions = fake_functions(dir, address);
  if (!*functions)
    return;
  g_string_append_printf(xml, "<capability type='virt_functions' maxCount='%u'>", g_strv_length(functions));
  for (char **name = functions; *name; name++)
    address_add(xml, *name);
  g_string_append(xml, "</capability>");
}

static void types_add(const char *dir, const char *address, const FakeModel *model, GString *xml)
{
  if (model->backend != GPU_MDEV)
    return;
  g_string_append(xml, "<capability type='mdev_types'>");
  for (int i = 0; i < FAKE_TYPES && model->types[i].id; i++)
    g_string_append_printf(xml, "<type id='%s'><name>%s</name><deviceAPI>vfio-pci</deviceAPI><availableInstances>%d</availableInstances></type>",
                           model->types[i].id, model->types[i].title, fake_mdev_free(dir, address, model, &model->types[i]));
  g_string_append(xml, "</capability>");
}

static char *function_xml(const char *dir, const char *address)
{
  const FakeModel *model = fake_model_of(dir, address);
  g_autofree char *physical = link_of(dir, address, "physfn"), *driver = link_of(dir, address, "driver"), *node = node_of(address);
  g_autofree char *class = fake_get(dir, FAKE_PCI "/%s/class", address), *vendor = fake_get(dir, FAKE_PCI "/%s/vendor", address);
  g_autofree char *device = fake_get(dir, FAKE_PCI "/%s/device", address);
  if (!g_str_has_prefix(class, "0x03"))
    return NULL;
  GString *xml = g_string_new(NULL);
  g_string_append_printf(xml, "<device><name>%s</name>", node);
  if (driver)
    g_string_append_printf(xml, "<driver><name>%s</name></driver>", driver);
  g_string_append_printf(xml, "<capability type='pci'><class>%s</class><domain>%d</domain><bus>%d</bus><slot>%d</slot><function>%d</function>",
                         class, (int)g_ascii_strtoll(address, NULL, 16), (int)g_ascii_strtoll(address + 5, NULL, 16),
                         (int)g_ascii_strtoll(address + 8, NULL, 16), address[11] - '0');
  g_string_append_printf(xml, "<product id='%s'>%s</product><vendor id='%s'>%s</vendor>", device, model ? model->title : "", vendor,
                         model ? model->vendor_name : "");
  if (physical) {
    g_string_append(xml, "<capability type='phys_function'>");
    address_add(xml, physical);
    g_string_append(xml, "</capability>");
  }
  functions_add(dir, address, xml);
  g_autofree char *card = fake_card_of(dir, address);
  const FakeModel *parts = fake_model_of(dir, card);
  if (parts && !parts->vfs == !physical)
    types_add(dir, address, parts, xml);
  group_add(dir, address, xml);
  g_string_append(xml, "<numa node='0'/></capability></device>");
  return g_string_free(xml, FALSE);
}

static void device_add(GPtrArray *devices, char *name, char *xml)
{
  HostDevice *device = g_new0(HostDevice, 1);
  device->name = name;
  device->xml = xml;
  g_ptr_array_add(devices, device);
}

static void mdev_add(const char *dir, const char *uuid, GPtrArray *devices)
{
  g_autofree char *line = fake_get(dir, "mdev/%s", uuid);
  g_auto(GStrv) words = g_strsplit(line, " ", 2);
  if (g_strv_length(words) != 2)
    return;
  g_autofree char *parent = node_of(words[0]);
  char *name = g_strdelimit(g_strdup_printf("mdev_%s_%s", uuid, words[0]), "-:.", '_');
  device_add(devices, name, g_strdup_printf("<device><name>%s</name><parent>%s</parent><capability type='mdev'><type id='%s'/><uuid>%s</uuid>"
                                            "<iommuGroup number='90'/></capability></device>", name, parent, words[1], uuid));
}

GPtrArray *fake_cards_devices(const char *dir)
{
  GPtrArray *devices = g_ptr_array_new_with_free_func((GDestroyNotify)host_device_free);
  g_auto(GStrv) functions = fake_names(dir, FAKE_PCI), mdevs = fake_names(dir, "mdev");
  for (char **uuid = mdevs; *uuid; uuid++)
    mdev_add(dir, *uuid, devices);
  for (char **address = functions; *address; address++) {
    char *xml = function_xml(dir, *address);
    if (xml)
      device_add(devices, node_of(*address), xml);
  }
  return devices;
}

/* ── the way to its files ───────────────────────────────────────────────── */

typedef struct {
  Exec base;
  char *dir;
  Exec *local;
} FakeExec;

static void answer(ExecResult *result, char *out, const char *error, int status)
{
  *result = (ExecResult){ out, g_strdup(error), status };
}

/* dd bs=… of=PATH: the one way a file is written */
static bool run_write(const FakeExec *exec, const char *const *argv, const char *input, ExecResult *result, GError **err)
{
  const char *of = NULL;
  for (; *argv; argv++)
    if (g_str_has_prefix(*argv, "of="))
      of = *argv + 3 + strlen(exec->dir);
  int number = of ? fake_cards_write(exec->dir, of, input ? input : "") : 22;
  if (number == ETIMEDOUT)
    return error_false(err, REASON_TIMEOUT, "what", "dd", "limit", "30 s", NULL);
  g_autofree char *said = g_strdup_printf("dd: error writing '%s': %s", of, g_strerror(number));
  answer(result, g_strdup(""), number ? said : "", number != 0);
  return true;
}

/* A host's own programs. false: it is none of them. */
static bool run_program(const FakeExec *exec, const char *const *argv, ExecResult *result)
{
  int status = 0;
  if (!strcmp(argv[0], "nvidia-smi")) {
    char *out = fake_cards_smi(exec->dir, argv, &status);
    answer(result, out, status && !*out ? "In use by another client" : "", status);
  } else if (!strcmp(argv[0], "modprobe")) {
    status = fake_cards_modprobe(exec->dir, argv[1]);
    answer(result, g_strdup(""), status ? "modprobe: FATAL: Module not found" : "", status);
  } else if (!strcmp(argv[0], "xenstore-ls")) {
    bool none = fake_has(exec->dir, "xen-no-store");
    char *out = none ? NULL : fake_cards_store(exec->dir);
    const char *said = none ? "sh: 1: xenstore-ls: not found" : "xenstore-ls: xs_directory (/local/domain/0/backend/pci): No such file or directory";
    answer(result, out ? out : g_strdup(""), out ? "" : said, out ? 0 : none ? 127 : 1);
  } else {
    return false;
  }
  return true;
}

static bool fake_run(Exec *base, const char *const *argv, const char *input, int timeout_s, ExecResult *ret_result, GError **err)
{
  FakeExec *exec = (FakeExec *)base;
  if (!strcmp(argv[0], "dd"))
    return run_write(exec, argv, input, ret_result, err);
  if (run_program(exec, argv, ret_result))
    return true;
  if (!exec->local->driver->run(exec->local, argv, input, timeout_s, ret_result, err))
    return false;
  if (!strcmp(argv[0], "sh")) {
    g_autofree char *out = ret_result->out, *lines = fake_cards_smi_lines(exec->dir), *can = fake_get(exec->dir, "xen-can");
    ret_result->out = g_strconcat(out, lines, *can ? "xen can " : "", can, *can ? "\n" : "", NULL);
  }
  return true;
}

static void fake_close(Exec *base)
{
  FakeExec *exec = (FakeExec *)base;
  exec_close(exec->local);
  g_free(exec->dir);
  g_free(exec);
}

static const ExecDriver fake_driver = { .name = "fake", .run = fake_run, .close = fake_close };

bool fake_exec_open(const char *host, const char *dir, Exec **ret_exec, GError **err)
{
  const ExecOptions options = { .host = host, .root = dir };
  Exec *local;
  if (!exec_open(&options, &local, err))
    return false;
  FakeExec *exec = g_new0(FakeExec, 1);
  exec->base = (Exec){ .driver = &fake_driver, .host = g_strdup(host), .root = g_strdup(dir) };
  g_mutex_init(&exec->base.lock);
  exec->dir = g_strdup(dir);
  exec->local = local;
  *ret_exec = &exec->base;
  return true;
}

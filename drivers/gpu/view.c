#include "drivers/gpu/view_inside.h"

#include <string.h>

#include "core/text.h"

static void type_free(void *data)
{
  ViewType *type = data;
  g_free(type->id);
  g_free(type->title);
  g_free(type->description);
  g_free(type);
}

static void function_free(void *data)
{
  ViewFunction *function = data;
  g_free(function->node);
  g_free(function->vendor);
  g_free(function->model);
  g_free(function->driver);
  g_free(function->serial);
  g_free(function->override);
  g_free(function->wrong);
  g_free(function->smi_said);
  g_strfreev(function->group);
  g_ptr_array_unref(function->types);
  g_clear_pointer(&function->creatable, g_ptr_array_unref);
  g_free(function);
}

static void mdev_free(void *data)
{
  ViewMdev *mdev = data;
  g_free(mdev->type);
  g_free(mdev);
}

GpuView *gpu_view_new(void)
{
  GpuView *view = g_new0(GpuView, 1);
  view->functions = g_ptr_array_new_with_free_func(function_free);
  view->mdevs = g_ptr_array_new_with_free_func(mdev_free);
  return view;
}

void gpu_view_free(GpuView *view)
{
  if (!view)
    return;
  g_ptr_array_unref(view->functions);
  g_ptr_array_unref(view->mdevs);
  g_free(view->smi_failed);
  g_free(view);
}

ViewFunction *gpu_view_find(const GpuView *view, const char *address)
{
  for (guint i = 0; i < view->functions->len; i++) {
    ViewFunction *function = view->functions->pdata[i];
    if (!strcmp(function->address, address))
      return function;
  }
  return NULL;
}

ViewFunction *view_ensure(GpuView *view, const char *address)
{
  ViewFunction *function = gpu_view_find(view, address);
  if (function)
    return function;
  function = g_new0(ViewFunction, 1);
  g_strlcpy(function->address, address, sizeof function->address);
  function->numa_node = function->iommu_group = function->boot_vga = function->vfs = function->max_vfs = -1;
  function->vgpu_type = function->gpu_instance = function->placement = -1;
  function->types = g_ptr_array_new_with_free_func(type_free);
  g_ptr_array_add(view->functions, function);
  return function;
}

ViewType *view_type_add(GPtrArray *types, const char *id, const char *title)
{
  ViewType *type = g_new0(ViewType, 1);
  type->id = g_strdup(id);
  type->title = g_strdup(title);
  type->free = -1;
  g_ptr_array_add(types, type);
  return type;
}

enum { WRONG_CHARACTERS = 120 };

bool view_types_full(ViewFunction *function, const GPtrArray *types, const char *id)
{
  if (types->len < GPU_TYPES_MOST)
    return false;
  g_autofree char *what = g_strdup_printf("%s tells of more than %d types of parts, such as", function->address, GPU_TYPES_MOST);
  view_wrong(function, what, id);
  return true;
}

void view_wrong(ViewFunction *function, const char *what, const char *text)
{
  g_autofree char *visible = text_dup_visible(text, WRONG_CHARACTERS);
  if (!function->wrong)
    function->wrong = g_strdup_printf("%s \"%s\"", what, visible);
}

bool view_is_far(const char *address)
{
  size_t length = strlen(address), more = length - MIN(length, GPU_ADDRESS_BYTES - 1);
  return more && more <= 4 && *address != '0' && strspn(address, "0123456789abcdef") == more + 4 && gpu_address_check(address + more);
}

GPtrArray *view_types_new(void)
{
  return g_ptr_array_new_with_free_func(type_free);
}

bool gpu_address_of_node(const char *node, char ret_address[GPU_ADDRESS_BYTES])
{
  if (!node || !g_str_has_prefix(node, "pci_") || strlen(node) != 4 + GPU_ADDRESS_BYTES - 1)
    return false;
  g_strlcpy(ret_address, node + 4, GPU_ADDRESS_BYTES);
  ret_address[4] = ret_address[7] = ':';
  ret_address[10] = '.';
  return gpu_address_check(ret_address);
}

/* ── what a host's files tell ───────────────────────────────────────────── */

/* Lines "ADDRESS KEY VALUE" about each display controller (class 03) and processing accelerator (12), by the shell's own means:
 * a process only for a link to nowhere, and for a list without a line, which may be one that cannot be read.
 * https://docs.kernel.org/PCI/sysfs-pci.html, https://docs.kernel.org/PCI/pci-iov-howto.html; the
 * nvidia/ files: https://docs.nvidia.com/vgpu/latest/grid-vgpu-user-guide/ (vendor-specific VFIO framework). */
static const char files_script[] =
  "cd -P \"${SARANG_ROOT}/sys/bus/pci/devices\" 2>/dev/null || exit 0\n"
  "top=$PWD\n"
  "for d in *; do\n"
  "  read -r c 2>/dev/null < \"$d/class\" || continue\n"
  "  case $c in 0x03*|0x12*) ;; *) continue ;; esac\n"
  "  for f in class vendor device boot_vga numa_node sriov_numvfs sriov_totalvfs driver_override serial_number unique_id \\\n"
  "           nvidia/current_vgpu_type nvidia/gpu_instance_id nvidia/placement_id; do\n"
  "    if [ -r \"$d/$f\" ] && read -r v 2>/dev/null < \"$d/$f\"; then printf '%s %s %.200s\\n' \"$d\" \"$f\" \"$v\"; fi\n"
  "  done\n"
  "  for f in driver physfn iommu_group; do\n"
  "    [ -L \"$d/$f\" ] || continue\n"
  "    if cd -P \"$d/$f\" 2>/dev/null; then l=$PWD; cd \"$top\"; else l=$(readlink \"$d/$f\") || continue; fi\n"
  "    printf '%s %s %.200s\\n' \"$d\" \"$f\" \"${l##*/}\"\n"
  "  done\n"
  "  f=\"$d/nvidia/creatable_vgpu_types\"\n"
  "  if [ -e \"$f\" ]; then\n"
  "    printf '%s creatable\\n' \"$d\"\n"
  "    n=0\n"
  "    [ ! -r \"$f\" ] || while read -r v; do n=1; printf '%s creatable %.200s\\n' \"$d\" \"$v\"; done 2>/dev/null < \"$f\"\n"
  "    [ $n = 1 ] || cat \"$f\" >/dev/null 2>&1 || printf '%s unread nvidia/creatable_vgpu_types\\n' \"$d\"\n"
  "  fi\n"
  "done\n"
  "if read -r v 2>/dev/null < \"${SARANG_ROOT}/proc/sys/kernel/random/boot_id\"; then printf 'boot id %.36s\\n' \"$v\"; fi\n"
  "if command -v nvidia-smi >/dev/null 2>&1; then\n"
  "  q='--query-gpu=pci.bus_id,mig.mode.current,serial --format=csv,noheader'\n"
  "  if t=$(nvidia-smi $q 2>&1); then\n"
  "    echo 'smi ran'\n"
  "    printf '%s\\n' \"$t\" | while read -r v; do printf 'smi gpu %.200s\\n' \"$v\"; done\n"
  "  else\n"
  "    s=$?\n"
  "    printf '%s\\n' \"$t\" | { read -r v; printf 'smi failed status %s: %.200s\\n' \"$s\" \"$v\"; }\n"
  "    w=; command -v timeout >/dev/null 2>&1 && w='timeout 5'\n"
  "    for d in *; do\n"
  "      [ ! -e \"$d/physfn\" ] && read -r v 2>/dev/null < \"$d/vendor\" && [ \"$v\" = 0x10de ] || continue\n"
  "      case $(readlink \"$d/driver\") in */nvidia) ;; *) continue ;; esac\n"
  "      { t=$($w nvidia-smi -i \"$d\" $q 2>/dev/null) && printf '%s\\n' \"$t\" | while read -r v; do printf 'smi gpu %.200s\\n' \"$v\"; done; } &\n"
  "    done\n"
  "    wait\n"
  "  fi\n"
  "fi\n"
  "read -r t 2>/dev/null < \"${SARANG_ROOT}/sys/hypervisor/type\" || exit 0\n"
  "if [ \"$t\" = xen ] && command -v xl >/dev/null 2>&1; then\n"
  "  xl info 2>/dev/null | while read -r k c v; do [ \"$k\" != virt_caps ] || printf 'xen can %.200s\\n' \"$v\"; done\n"
  "fi\n"
  "exit 0\n";

enum { FILES_TIMEOUT_S = 20 };

static bool facts_wrong(const char *host, const char *what, const char *text, GError **err)
{
  g_autofree char *visible = text_dup_visible(text, WRONG_CHARACTERS), *detail = g_strdup_printf("%s \"%s\"", what, visible);
  return error_false(err, REASON_GPU_FACTS, "host", host, "detail", detail, NULL);
}

static bool int_take(const char *text, int min, int *ret_value)
{
  gint64 value;
  bool ok = g_ascii_string_to_signed(text, 10, min, G_MAXINT, &value, NULL);
  if (ok)
    *ret_value = (int)value;
  return ok;
}

static bool hex_take(const char *text, uint32_t max, uint32_t *ret_value)
{
  guint64 value;
  bool ok = g_str_has_prefix(text, "0x") && g_ascii_string_to_unsigned(text + 2, 16, 0, max, &value, NULL);
  if (ok)
    *ret_value = (uint32_t)value;
  return ok;
}

static bool id_take(const char *text, uint16_t *ret_id)
{
  uint32_t value;
  bool ok = hex_take(text, 0xffff, &value);
  if (ok)
    *ret_id = (uint16_t)value;
  return ok;
}

/* Shown to people as it is: what no terminal, page or file should get is spelled out. */
enum { TEXT_CHARACTERS = 200 };

static bool text_take(char **field, const char *value)
{
  if (strcmp(value, "(null)")) {
    g_free(*field);
    *field = text_dup_visible(value, TEXT_CHARACTERS);
  }
  return true;
}

/* "1428 : NVIDIA H200X-141C"; the first line may be a heading. A type id is a number for the kernel and "nvidia-1428" for us, as
 * it was called when it was a mediated device. */
static bool creatable_take(ViewFunction *function, const char *value)
{
  guint64 id;
  if (!function->creatable)
    function->creatable = view_types_new();
  const char *colon = strchr(value, ':');
  if (!*value || g_ascii_strncasecmp(value, "ID", 2) == 0)
    return true;
  g_autofree char *number = colon ? g_strstrip(g_strndup(value, colon - value)) : NULL;
  g_autofree char *title = colon ? text_dup_visible(colon + 1 + strspn(colon + 1, " \t"), TEXT_CHARACTERS) : NULL;
  if (!number || !*title || !g_ascii_string_to_unsigned(number, 10, 1, G_MAXINT, &id, NULL))
    return false;
  g_autofree char *name = g_strdup_printf("nvidia-%d", (int)id);
  if (view_types_full(function, function->creatable, name))
    return true;
  view_type_add(function->creatable, name, title);
  return true;
}

static bool class_take(ViewFunction *f, const char *v) { return hex_take(v, 0xffffff, &f->class); }
static bool vendor_take(ViewFunction *f, const char *v) { return id_take(v, &f->vendor_id); }
static bool device_take(ViewFunction *f, const char *v) { return id_take(v, &f->device_id); }
static bool boot_vga_take(ViewFunction *f, const char *v) { return int_take(v, 0, &f->boot_vga); }
static bool numa_take(ViewFunction *f, const char *v) { return int_take(v, -1, &f->numa_node); }
static bool vfs_take(ViewFunction *f, const char *v) { return int_take(v, 0, &f->vfs); }
static bool max_vfs_take(ViewFunction *f, const char *v) { return int_take(v, 0, &f->max_vfs); }
static bool override_take(ViewFunction *f, const char *v) { return text_take(&f->override, v); }
static bool serial_take(ViewFunction *f, const char *v) { return text_take(&f->serial, v); }
static bool driver_take(ViewFunction *f, const char *v) { return text_take(&f->driver, v); }
static bool type_take(ViewFunction *f, const char *v) { return int_take(v, 0, &f->vgpu_type); }
static bool instance_take(ViewFunction *f, const char *v) { return int_take(v, -1, &f->gpu_instance) || !strcmp(v, "4294967295"); }
static bool placement_take(ViewFunction *f, const char *v) { return int_take(v, -1, &f->placement) || !strcmp(v, "65535"); }
static bool group_take(ViewFunction *f, const char *v) { return int_take(v, 0, &f->iommu_group); }

/* A list that cannot be read is not an empty one. */
static bool unread_take(ViewFunction *f, const char *v)
{
  g_autofree char *what = g_strdup_printf("%s has a file that cannot be read:", f->address);
  view_wrong(f, what, v);
  return true;
}

static bool physical_take(ViewFunction *f, const char *v)
{
  if (!gpu_address_check(v))
    return false;
  g_strlcpy(f->physical, v, sizeof f->physical);
  return true;
}

static const struct { const char *key; bool (*take)(ViewFunction *function, const char *value); } key_rows[] = {
  { "class", class_take }, { "vendor", vendor_take }, { "device", device_take }, { "boot_vga", boot_vga_take },
  { "numa_node", numa_take }, { "sriov_numvfs", vfs_take }, { "sriov_totalvfs", max_vfs_take },
  { "driver_override", override_take }, { "serial_number", serial_take }, { "unique_id", serial_take },
  { "nvidia/current_vgpu_type", type_take }, { "nvidia/gpu_instance_id", instance_take },
  { "nvidia/placement_id", placement_take }, { "driver", driver_take }, { "physfn", physical_take },
  { "iommu_group", group_take }, { "creatable", creatable_take }, { "unread", unread_take },
};

/* What stands in place of a mode: "[Unknown Error]", "[GPU requires reset]", "[GPU is lost]". */
static bool mode_is_told(const char *mode)
{
  return !strstr(mode, "rror") && !strstr(mode, "reset") && !strstr(mode, "lost");
}

/* "00000000:41:00.0, Enabled, 1650923004321": nvidia-smi has domains of eight digits. */
static void smi_card_take(GpuView *view, const char *value)
{
  g_auto(GStrv) fields = g_strsplit(value, ", ", -1);
  if (g_strv_length(fields) != 3 || strlen(fields[0]) != 16)
    return;
  g_autofree char *address = g_ascii_strdown(fields[0] + 4, -1);
  ViewFunction *function = gpu_address_check(address) ? gpu_view_find(view, address) : NULL;
  if (!function)
    return;
  function->mig = !strcmp(fields[1], "Enabled");
  function->listed = mode_is_told(fields[1]);
  if (!function->listed)
    text_take(&function->smi_said, fields[1]);
  if (!function->serial && fields[2][0] != '[')
    text_take(&function->serial, fields[2]);
}

/* "ran", "gpu CARD" or "failed WHY". */
static bool smi_take(GpuView *view, const char *what, const char *value)
{
  if (!strcmp(what, "gpu"))
    smi_card_take(view, value);
  else if (!strcmp(what, "failed"))
    text_take(&view->smi_failed, value);
  else if (!strcmp(what, "ran"))
    view->smi_ran = true;
  else
    return false;
  return true;
}

/* "pv hvm hvm_directio pv_directio hap": https://xenbits.xen.org/docs/4.17-testing/man/xl.1.html (xl info, virt_caps) */
static void xen_take(GpuView *view, const char *value)
{
  view->xen_told = true;
  view->xen_directio = strstr(value, "directio") != NULL;
}

/* Which run of the host's kernel it is: random(4). What is no such id is none. */
static void boot_take(GpuView *view, const char *value)
{
  if (g_uuid_string_is_valid(value))
    g_strlcpy(view->boot, value, sizeof view->boot);
}

static bool line_take(GpuView *view, const char *line)
{
  g_auto(GStrv) words = g_strsplit(line, " ", 3);
  guint n = g_strv_length(words);
  if (n >= 2 && !strcmp(words[0], "xen")) {
    xen_take(view, n == 3 ? words[2] : "");
    return true;
  }
  if (n == 3 && !strcmp(words[0], "boot")) {
    boot_take(view, words[2]);
    return true;
  }
  if (n >= 2 && !strcmp(words[0], "smi"))
    return smi_take(view, words[1], n == 3 ? words[2] : "");
  if (n < 2 || !gpu_address_check(words[0]))
    return n >= 2 && view_is_far(words[0]);
  ViewFunction *function = view_ensure(view, words[0]);
  bool taken = false;
  for (size_t i = 0; i < G_N_ELEMENTS(key_rows) && !taken; i++)
    taken = !strcmp(key_rows[i].key, words[1]) && key_rows[i].take(function, n == 3 ? g_strstrip(words[2]) : "");
  if (!taken)
    view_wrong(function, "its files say", line);
  return true;
}

/* Asked as they come, so that nobody reads a million. */
static bool few(const GpuView *view, const char *host, GError **err)
{
  if (view->functions->len <= VIEW_CARDS_MAX + VIEW_FUNCTIONS_MAX && view->mdevs->len <= VIEW_MDEVS_MAX)
    return true;
  g_autofree char *detail = g_strdup_printf("more than %d functions, or more than %d mediated devices", VIEW_CARDS_MAX + VIEW_FUNCTIONS_MAX,
                                            VIEW_MDEVS_MAX);
  return error_false(err, REASON_GPU_FACTS, "host", host, "detail", detail, NULL);
}

bool gpu_view_few(const GpuView *view, const char *host, GError **err)
{
  int cards = 0, functions = 0;
  for (guint i = 0; i < view->functions->len; i++)
    *(*((ViewFunction *)view->functions->pdata[i])->physical ? &functions : &cards) += 1;
  if (cards <= VIEW_CARDS_MAX && functions <= VIEW_FUNCTIONS_MAX)
    return true;
  g_autofree char *detail = g_strdup_printf("%d cards (%d may be) with %d functions (%d may be)", cards, VIEW_CARDS_MAX, functions,
                                            VIEW_FUNCTIONS_MAX);
  return error_false(err, REASON_GPU_FACTS, "host", host, "detail", detail, NULL);
}

/* A function that has a list has a type, be it 0. As long as it does not say which, nobody knows whether somebody has it. */
static void types_need(const GpuView *view)
{
  for (guint i = 0; i < view->functions->len; i++) {
    ViewFunction *function = view->functions->pdata[i];
    if (function->creatable && *function->physical && function->vgpu_type < 0)
      view_wrong(function, "it has types, and its nvidia/current_vgpu_type cannot be read:", function->address);
  }
}

bool gpu_view_files(GpuView *view, const char *host, const char *text, GError **err)
{
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++) {
    if (**line && !line_take(view, *line))
      return facts_wrong(host, "its files say", *line, err);
    if (!few(view, host, err))
      return false;
  }
  types_need(view);
  view->has_files = true;
  return true;
}

bool gpu_view_told(const GpuHost *host, const ViewFunction *function, GError **err)
{
  return !function || gpu_unread(host, function->wrong, err);
}

enum { NVIDIA_ID = 0x10de };

char *gpu_view_untold(const GpuView *view, const char *card)
{
  const ViewFunction *f = gpu_view_find(view, card);
  bool asked = f && f->vendor_id == NVIDIA_ID && !*f->physical && !g_strcmp0(f->driver, "nvidia");
  if (!asked || f->listed || !(view->smi_ran || view->smi_failed))
    return NULL;
  if (f->smi_said)
    return g_strdup_printf("nvidia-smi says \"%s\" in place of the MIG mode of card %s", f->smi_said, card);
  return view->smi_failed ? g_strdup_printf("nvidia-smi could not tell of card %s: \"%s\"", card, view->smi_failed)
                          : g_strdup_printf("nvidia-smi does not tell of card %s, which its driver has", card);
}

static bool files_read(const GpuHost *host, GpuView *view, GError **err)
{
  const char *argv[] = { "sh", "-c", files_script, NULL };
  g_autofree char *text = NULL;
  return exec_run(host->exec, argv, FILES_TIMEOUT_S, &text, err) && gpu_view_files(view, host->host, text, err);
}

static int by_address(const void *a, const void *b)
{
  return strcmp((*(ViewFunction *const *)a)->address, (*(ViewFunction *const *)b)->address);
}

bool gpu_view_read(const GpuHost *host, GpuView **ret_view, GError **err)
{
  g_autoptr(GpuView) view = gpu_view_new();
  g_autoptr(GPtrArray) devices = NULL;
  if (!hypervisor_devices(host->hypervisor, &devices, err))
    return false;
  for (guint i = 0; i < devices->len; i++) {
    const HostDevice *device = devices->pdata[i];
    if (!gpu_view_node(view, host->host, device->xml, err) || !few(view, host->host, err))
      return false;
  }
  if ((host->exec && !files_read(host, view, err)) || !gpu_view_few(view, host->host, err))
    return false;
  g_ptr_array_sort(view->functions, by_address);
  *ret_view = g_steal_pointer(&view);
  return true;
}

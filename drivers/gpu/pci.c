#include "drivers/gpu/pci.h"

#include <string.h>

enum { WRITE_TIMEOUT_S = 30, ASK_TIMEOUT_S = 20 };

static const PciPass vfio = { .driver = "vfio-pci", .module = "vfio-pci", .groups = true };
static const PciPass pciback = {
  .driver = "pciback", .module = "xen-pciback", .slots = "/sys/bus/pci/drivers/pciback/slots",
  .no_slot = "/sys/bus/pci/drivers/pciback/remove_slot", .asks_xenstore = true,
};

const PciPass *pci_pass(const GpuHost *host)
{
  return hypervisor_flavour(host->hypervisor)->kind == FLAVOUR_XEN ? &pciback : &vfio;
}

bool pci_is_passed(const GpuHost *host, const ViewFunction *function)
{
  return !g_strcmp0(function->driver, pci_pass(host)->driver);
}

/* ── who uses it ────────────────────────────────────────────────────────── */

static bool in_use(const GpuHost *host, const char *address, const char *detail, GError **err)
{
  return error_false(err, REASON_GPU_IN_USE, "what", address, "host", host->host, "detail", detail, NULL);
}

/* Lines such as /local/domain/0/backend/pci/5/0/dev-0 = "0000:01:00.0": guest 5 has it, made by libvirt or by xl. */
static bool store_has(const char *text, const char *address, char **ret_guest)
{
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  g_autofree char *value = g_strdup_printf(" = \"%s\"", address);
  for (char **line = lines; *line; line++) {
    g_auto(GStrv) parts = g_strsplit(*line, "/", -1);
    if (g_strv_length(parts) != 9 || strcmp(parts[5], "pci") != 0 || !g_str_has_prefix(parts[8], "dev-") || !g_str_has_suffix(*line, value))
      continue;
    *ret_guest = g_strdup_printf("guest %s of Xen", parts[6]);
    return true;
  }
  return false;
}

/* Without an answer it is not known, and what is not known is not free. */
static bool store_unused(const GpuHost *host, const GPtrArray *addresses, GError **err)
{
  static const char *const argv[] = { "xenstore-ls", "-f", "/local/domain/0/backend/pci", NULL };
  g_autofree char *text = NULL, *guest = NULL;
  GError *why = NULL;
  if (exec_run(host->exec, argv, ASK_TIMEOUT_S, &text, &why)) {
    for (guint i = 0; i < addresses->len; i++)
      if (store_has(text, addresses->pdata[i], &guest))
        return in_use(host, addresses->pdata[i], guest, err);
    return true;
  }
  const char *detail = error_is(why, REASON_EXEC_FAILED) ? error_arg(why, "detail") : "";
  if (!strstr(detail, "xs_directory") || !strstr(detail, "No such file"))
    return gpu_refused(host, "tell which guests have PCI devices", why, err);
  g_error_free(why); /* no guest has any */
  return true;
}

/* NULL = it has none of them. */
static const char *domain_has(const DomainFacts *domain, const GPtrArray *addresses)
{
  bool runs = domain->state == DOMAIN_ON || domain->state == DOMAIN_SUSPENDED;
  for (guint i = 0; runs && domain->hostdevs && i < addresses->len; i++)
    if (g_strv_contains((const char *const *)domain->hostdevs, addresses->pdata[i]))
      return addresses->pdata[i];
  return NULL;
}

bool pci_all_unused(const GpuHost *host, const GPtrArray *addresses, const char *own, GError **err)
{
  g_autoptr(GPtrArray) domains = NULL, left = g_ptr_array_new(); /* what the own domain has Xen's store tells, too */
  if (!hypervisor_list(host->hypervisor, &domains, err))
    return false;
  for (guint i = 0; i < addresses->len; i++)
    g_ptr_array_add(left, addresses->pdata[i]);
  for (guint i = 0; i < domains->len; i++) {
    const DomainFacts *domain = domains->pdata[i];
    bool is_own = own && !g_ascii_strcasecmp(domain->uuid, own);
    for (const char *has; (has = domain_has(domain, left)); g_ptr_array_remove(left, (char *)has))
      if (!is_own)
        return in_use(host, has, domain->name, err);
  }
  return !left->len || !pci_pass(host)->asks_xenstore || store_unused(host, left, err);
}

bool pci_unused(const GpuHost *host, const char *address, const char *own, GError **err)
{
  void *only[] = { (char *)address };
  return pci_all_unused(host, &(const GPtrArray){ only, 1 }, own, err);
}

/* ── files ──────────────────────────────────────────────────────────────── */

static bool write_failed(const GpuHost *host, const char *address, const char *name, GError *why, GError **err)
{
  const char *detail = error_is(why, REASON_EXEC_FAILED) ? error_arg(why, "detail") : NULL;
  g_autofree char *what = g_strdup_printf("write %s of %s", name, address);
  if (!detail || !strstr(detail, "busy"))
    return gpu_refused(host, what, why, err);
  error_set(err, REASON_GPU_IN_USE, "what", address, "host", host->host, "detail", detail, NULL);
  g_error_free(why);
  return false;
}

bool pci_write(const GpuHost *host, const char *address, const char *name, const char *text, GError **err)
{
  g_autofree char *path = gpu_file(address, name);
  GError *why = NULL;
  return exec_write(host->exec, path, text, WRITE_TIMEOUT_S, &why) || write_failed(host, address, name, why, err);
}

bool pci_absent(bool asked, GError *why, GError **err)
{
  if (asked)
    return true;
  if (!error_is(why, REASON_NOT_FOUND)) {
    g_propagate_error(err, why);
    return false;
  }
  g_error_free(why);
  return true;
}

/* *ret_driver: NULL = none has it. */
static bool driver_read(const GpuHost *host, const char *address, char **ret_driver, GError **err)
{
  g_autofree char *path = gpu_file(address, "driver");
  GError *why = NULL;
  *ret_driver = NULL;
  bool there = exec_link(host->exec, path, ret_driver, &why);
  return pci_absent(there, why, err);
}

bool pci_ask_passed(const GpuHost *host, const char *address, bool *ret_passed, GError **err)
{
  g_autofree char *driver = NULL;
  bool ok = driver_read(host, address, &driver, err);
  *ret_passed = ok && !g_strcmp0(driver, pci_pass(host)->driver);
  return ok;
}

static bool probe(const GpuHost *host, const char *address, GError **err)
{
  GError *why = NULL;
  return exec_write(host->exec, "/sys/bus/pci/drivers_probe", address, WRITE_TIMEOUT_S, &why) ||
         write_failed(host, address, "drivers_probe", why, err);
}

/* ── drivers ────────────────────────────────────────────────────────────── */

/* A driver that is in the kernel, or loaded, has a directory. */
static bool driver_load(const GpuHost *host, const PciPass *pass, GError **err)
{
  const char *argv[] = { "modprobe", pass->module, NULL };
  g_autofree char *path = g_strconcat("/sys/bus/pci/drivers/", pass->driver, NULL), *what = g_strconcat("load module ", pass->module, NULL);
  g_auto(GStrv) files = NULL;
  GError *why = NULL;
  if (exec_list(host->exec, path, &files, &why))
    return true;
  if (error_is(why, REASON_NOT_FOUND)) {
    g_clear_error(&why);
    return exec_run(host->exec, argv, WRITE_TIMEOUT_S, NULL, &why) || gpu_refused(host, what, why, err);
  }
  g_propagate_error(err, why);
  return false;
}

/* pciback remembers every function it ever had, and would take this one again at the next chance. */
static bool slot_forget(const GpuHost *host, const PciPass *pass, const char *address, GError **err)
{
  g_autofree char *text = NULL;
  GError *why = NULL;
  if (!pass->slots)
    return true;
  if (!exec_read(host->exec, pass->slots, &text, err))
    return false;
  g_auto(GStrv) slots = g_strsplit(text, "\n", -1);
  return !g_strv_contains((const char *const *)slots, address) || exec_write(host->exec, pass->no_slot, address, WRITE_TIMEOUT_S, &why) ||
         write_failed(host, address, "remove_slot", why, err);
}

/* Whether the host is told to give it to guests alone. */
static bool override_read(const GpuHost *host, const char *address, bool *ret_kept, GError **err)
{
  g_autofree char *path = gpu_file(address, "driver_override"), *text = NULL;
  GError *why = NULL;
  bool there = exec_read(host->exec, path, &text, &why);
  *ret_kept = there && !strcmp(g_strstrip(text), pci_pass(host)->driver);
  return pci_absent(there, why, err);
}

/* had: its driver until now; NULL = it had none, and has none again. */
static bool give_back(const GpuHost *host, const char *address, const char *had, GError **err)
{
  const PciPass *pass = pci_pass(host);
  g_autofree char *has = NULL;
  bool kept = false;
  if (!override_read(host, address, &kept, err) || (kept && !pci_write(host, address, "driver_override", "\n", err)) ||
      !driver_read(host, address, &has, err))
    return false;
  bool passed = !g_strcmp0(has, pass->driver);
  if (passed && (!slot_forget(host, pass, address, err) || !pci_write(host, address, "driver/unbind", address, err)))
    return false;
  return !had || (has && !passed) || probe(host, address, err);
}

static bool bind_one(const GpuHost *host, const char *address, const char *had, GError **err)
{
  const PciPass *pass = pci_pass(host);
  g_autofree char *has = NULL;
  if (!pci_write(host, address, "driver_override", pass->driver, err) || (had && !pci_write(host, address, "driver/unbind", address, err)) ||
      !probe(host, address, err) || !driver_read(host, address, &has, err))
    return false;
  g_autofree char *what = g_strdup_printf("give %s to driver %s", address, pass->driver);
  g_autofree char *detail = g_strdup_printf("%s has it", has ? has : "no driver");
  return !g_strcmp0(has, pass->driver) ||
         error_false(err, REASON_GPU_REFUSED, "host", host->host, "what", what, "detail", detail, NULL);
}

/* Whose they are now; "" = nobody's. */
static bool owners_read(const GpuHost *host, const GPtrArray *addresses, GPtrArray *had, GError **err)
{
  for (guint i = 0; i < addresses->len; i++) {
    char *driver = NULL;
    if (!driver_read(host, addresses->pdata[i], &driver, err))
      return false;
    g_ptr_array_add(had, driver ? driver : g_strdup(""));
  }
  return true;
}

bool pci_bind(const GpuHost *host, const GPtrArray *addresses, GError **err)
{
  const PciPass *pass = pci_pass(host);
  g_autoptr(GPtrArray) had = g_ptr_array_new_with_free_func(g_free);
  guint n = 0;
  bool bound = owners_read(host, addresses, had, err), loaded = false;
  for (; bound && n < addresses->len; n++) {
    const char *driver = had->pdata[n];
    if (!strcmp(driver, pass->driver))
      continue;
    loaded = loaded || driver_load(host, pass, err);
    bound = loaded && bind_one(host, addresses->pdata[n], *driver ? driver : NULL, err);
  }
  while (!bound && loaded && n-- > 0) {
    const char *driver = had->pdata[n];
    g_autoptr(GError) ignored = NULL; /* why it failed is told, whatever the way back says */
    if (strcmp(driver, pass->driver))
      give_back(host, addresses->pdata[n], *driver ? driver : NULL, &ignored);
  }
  return bound;
}

bool pci_unbind(const GpuHost *host, const char *address, bool again, GError **err)
{
  return give_back(host, address, again ? "any" : NULL, err);
}

bool pci_reset(const GpuHost *host, const char *address, GError **err)
{
  g_autoptr(GError) why = NULL;
  if (pci_write(host, address, "reset", "1", &why))
    return true;
  if (error_is(why, REASON_HOST_UNREACHABLE)) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  /* also where it took too long: the kernel waits a minute for a function that does not come back */
  return error_false(err, REASON_GPU_DIRTY, "what", address, "host", host->host, "detail",
                     error_arg(why, "detail") ? error_arg(why, "detail") : why->message, NULL);
}

bool pci_reset_last(const GpuHost *host, const GpuOrder *order, const GpuView *view, const char *address, GError **err)
{
  g_autoptr(GError) why = NULL;
  const ViewFunction *before = gpu_view_find(view, address);
  bool anew = order->boot && *order->boot && *view->boot && strcmp(order->boot, view->boot) != 0;
  bool unused = before && before->vgpu_type <= 0 && !pci_is_passed(host, before);
  if (pci_reset(host, address, &why) || (error_is(why, REASON_GPU_DIRTY) && (order->unproven || (anew && unused))))
    return true;
  if (error_is(why, REASON_GPU_DIRTY))
    return error_false(err, REASON_GPU_DIRTY, "what", address, "host", host->host, "detail", error_arg(why, "detail"), "boot", view->boot, NULL);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

bool pci_reset_beside(const GpuHost *host, const char *address, GError **err)
{
  g_autoptr(GError) why = NULL;
  if (pci_reset(host, address, &why))
    return true;
  const char *detail = error_is(why, REASON_GPU_DIRTY) ? error_arg(why, "detail") : NULL;
  if (detail && strstr(detail, "No such file"))
    return true;
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

/* https://docs.nvidia.com/vgpu/latest/grid-vgpu-user-guide/ (virtual GPU types, virtual displays per vGPU), and num_heads of the mediated devices of
 * the same types: A and C have one, B and Q four, or two where they have 512 MB. */
int nvidia_heads(const char *title)
{
  int mib = nvidia_framebuffer_mib(title);
  const char *series = strrchr(title, '-');
  if (!mib)
    return 0;
  series += 1 + strspn(series + 1, "0123456789");
  return *series == 'A' || *series == 'C' ? 1 : mib > 512 ? 4 : 2;
}

/* https://docs.nvidia.com/vgpu/latest/grid-vgpu-user-guide/: the number before the series' letter is the framebuffer in GB, 0 = 512
 * MB; MIG-backed names have the slices before it ("A100-1-5C", "H100-1-10CME"). */
int nvidia_framebuffer_mib(const char *title)
{
  const char *dash = strrchr(title, '-');
  char *end;
  if (!dash || !g_ascii_isdigit(dash[1]))
    return 0;
  gint64 gib = g_ascii_strtoll(dash + 1, &end, 10);
  if (!strchr("ABCQ", *end) || !*end || gib > 4096)
    return 0;
  return gib ? (int)gib * 1024 : 512;
}

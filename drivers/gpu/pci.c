#include "drivers/gpu/pci.h"

#include <string.h>

enum { WRITE_TIMEOUT_S = 30 };

bool pci_unused(const GpuHost *host, const char *address, GError **err)
{
  g_autoptr(GPtrArray) domains = NULL;
  if (!hypervisor_list(host->hypervisor, &domains, err))
    return false;
  for (guint i = 0; i < domains->len; i++) {
    const DomainFacts *domain = domains->pdata[i];
    bool runs = domain->state == DOMAIN_ON || domain->state == DOMAIN_SUSPENDED;
    if (runs && domain->hostdevs && g_strv_contains((const char *const *)domain->hostdevs, address))
      return error_false(err, REASON_GPU_IN_USE, "what", address, "host", host->host, "detail", domain->name, NULL);
  }
  return true;
}

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

/* *ret_driver: NULL = none has it. */
static bool driver_read(const GpuHost *host, const char *address, char **ret_driver, GError **err)
{
  g_autofree char *path = gpu_file(address, "driver");
  GError *why = NULL;
  *ret_driver = NULL;
  if (exec_link(host->exec, path, ret_driver, &why))
    return true;
  if (error_is(why, REASON_NOT_FOUND)) {
    g_error_free(why);
    return true;
  }
  g_propagate_error(err, why);
  return false;
}

static bool bus_write(const GpuHost *host, const char *name, const char *address, GError **err)
{
  g_autofree char *path = g_strconcat("/sys/bus/pci/", name, NULL);
  GError *why = NULL;
  return exec_write(host->exec, path, address, WRITE_TIMEOUT_S, &why) || write_failed(host, address, name, why, err);
}

bool pci_bind(const GpuHost *host, const char *address, const char *driver, GError **err)
{
  g_autofree char *had = NULL, *has = NULL;
  if (!driver_read(host, address, &had, err))
    return false;
  if (!g_strcmp0(had, driver))
    return true;
  if (!pci_write(host, address, "driver_override", driver, err) || (had && !pci_write(host, address, "driver/unbind", address, err)) ||
      !bus_write(host, "drivers_probe", address, err) || !driver_read(host, address, &has, err))
    return false;
  g_autofree char *what = g_strdup_printf("give %s to driver %s", address, driver);
  g_autofree char *detail = g_strdup_printf("%s has it", has ? has : "no driver");
  return !g_strcmp0(has, driver) ||
         error_false(err, REASON_GPU_REFUSED, "host", host->host, "what", what, "detail", detail, NULL);
}

bool pci_unbind(const GpuHost *host, const char *address, bool probe, GError **err)
{
  g_autofree char *has = NULL;
  if (!driver_read(host, address, &has, err))
    return false;
  if (g_strcmp0(has, PCI_PASS_DRIVER))
    return true;
  return pci_write(host, address, "driver_override", "\n", err) && pci_write(host, address, "driver/unbind", address, err) &&
         (!probe || bus_write(host, "drivers_probe", address, err));
}

bool pci_reset(const GpuHost *host, const char *address, GError **err)
{
  g_autoptr(GError) why = NULL;
  if (pci_write(host, address, "reset", "1", &why))
    return true;
  if (error_is(why, REASON_HOST_UNREACHABLE) || error_is(why, REASON_TIMEOUT)) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  return error_false(err, REASON_GPU_DIRTY, "what", address, "host", host->host, "detail",
                     error_arg(why, "detail") ? error_arg(why, "detail") : why->message, NULL);
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

/* Virtual functions as they are (Intel Flex and Arc Pro, AMD MxGPU): the card's policy gives each its share, and a function is passed by
 * vfio-pci, on Xen by pciback. In use = bound to that: a function that is free has the vendor's driver or none.
 * https://docs.kernel.org/PCI/pci-iov-howto.html, https://dgpu-docs.intel.com/ (SR-IOV), https://github.com/amd/MxGPU-Virtualization */
#include <string.h>

#include "drivers/gpu/pci.h"

static const char type_id[] = "vf";

static bool is_function_of(const ViewFunction *function, const char *card)
{
  return *function->physical && !strcmp(function->physical, card) && !function->creatable;
}

static void function_add(const GpuHost *host, GpuCard *card, GpuType *type, const ViewFunction *function)
{
  type->max++;
  if (!pci_is_passed(host, function)) {
    type->free++;
    gpu_card_add_function(card, function->address);
    return;
  }
  GpuPart *part = gpu_card_add_part(card, type_id);
  g_strlcpy(part->address, function->address, sizeof part->address);
  part->iommu_group = function->iommu_group;
}

static bool sriov_discover(const GpuHost *host, const GpuView *view, GPtrArray *cards, GError **err)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *physical = view->functions->pdata[i];
    if (*physical->physical || physical->vfs <= 0 || mdev_is_on(view, physical->address))
      continue;
    g_autoptr(GpuCard) card = gpu_card_of(view, physical, GPU_SRIOV);
    GpuType *type = gpu_card_add_type(card, type_id);
    type->title = g_strdup_printf("1/%d of the card", physical->vfs);
    for (guint j = 0; j < view->functions->len; j++)
      if (is_function_of(view->functions->pdata[j], physical->address))
        function_add(host, card, type, view->functions->pdata[j]);
    if (type->max)
      g_ptr_array_add(cards, g_steal_pointer(&card));
  }
  return true;
}

static const ViewFunction *function_of(const GpuHost *host, const GpuView *view, const GpuOrder *order)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    if (is_function_of(function, order->card) &&
        (order->address ? !strcmp(function->address, order->address) : !pci_is_passed(host, function)))
      return function;
  }
  return NULL;
}

static bool sriov_make(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  if (!gpu_view_read(host, &view, err))
    return false;
  const ViewFunction *function = function_of(host, view, order);
  if (!gpu_view_find(view, order->card))
    return gpu_gone(host, order->card, err);
  if (strcmp(order->type, type_id))
    return gpu_full(host, order, "the card does not offer that type", err);
  if (!function)
    return gpu_full(host, order, order->address ? "the function is not there" : "no function is free", err);
  if (!gpu_view_told(host, function, err) || !pci_unused(host, function->address, order->domain, err) ||
      (pci_is_passed(host, function) && !gpu_made_before(host, order, function->address, err)))
    return false;
  g_strlcpy(ret_handle->address, function->address, sizeof ret_handle->address);
  g_strlcpy(ret_handle->boot, view->boot, sizeof ret_handle->boot);
  void *only[] = { ret_handle->address };
  return pci_bind(host, &(const GPtrArray){ only, 1 }, err);
}

/* It stays bound, and so in use, until it is reset. */
static bool sriov_release(const GpuHost *host, const GpuOrder *order, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  if (!order->address)
    return error_false(err, REASON_BAD_VALUE, "field", "address", "value", "", "limit", "the function that was claimed", NULL);
  if (!gpu_view_read(host, &view, err))
    return false;
  const ViewFunction *function = gpu_view_find(view, order->address);
  if (!gpu_view_told(host, function, err))
    return false;
  if (!function)
    return true;
  if (!is_function_of(function, order->card))
    return gpu_not_ours(host, order->address, "it is no such function of that card", err);
  if (pci_is_passed(host, function) && (!pci_unused(host, order->address, NULL, err) || !pci_reset_last(host, order, view, order->address, err)))
    return false;
  return pci_unbind(host, order->address, false, err);
}

const GpuDriver gpu_sriov = {
  .backend = GPU_SRIOV,
  .title = "virtual functions",
  .needs_exec = true,
  .on_xen = true,
  .discover = sriov_discover,
  .make = sriov_make,
  .release = sriov_release,
  .reset = sriov_release,
};

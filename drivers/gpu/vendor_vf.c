/* NVIDIA's vendor-specific VFIO framework (vGPU 17 and newer on kernels without the vendor's mediated devices): a type's number is
 * written to a virtual function's own node, and the function is passed as it is, with the vendor's driver on it.
 * https://docs.nvidia.com/vgpu/latest/grid-vgpu-user-guide/, https://github.com/NVIDIA/vgpu-device-manager (README) */
#include "drivers/gpu/vendor_vf.h"

#include <string.h>

bool vendor_vf_of(const ViewFunction *function, const char *card)
{
  return function->creatable && !strcmp(function->physical, card);
}

/* What a free function's list says now: other functions' lists change when one of them gets a type. */
static const ViewType *creatable_find(const ViewFunction *function, const char *type)
{
  for (guint i = 0; i < function->creatable->len; i++) {
    const ViewType *each = function->creatable->pdata[i];
    if (!strcmp(each->id, type))
      return each;
  }
  return NULL;
}

static GpuType *type_ensure(GpuCard *card, const ViewType *from)
{
  GpuType *type = gpu_card_type(card, from->id);
  if (type)
    return type;
  type = gpu_card_add_type(card, from->id);
  type->title = g_strdup(from->title);
  type->framebuffer_mib = nvidia_framebuffer_mib(from->title);
  type->heads = nvidia_heads(from->title);
  return type;
}

/* free: functions on which it could be made. The driver tells no more: a write may still be refused. */
static void function_add(GpuCard *card, const ViewFunction *function)
{
  if (function->vgpu_type > 0) {
    g_autofree char *id = g_strdup_printf("nvidia-%d", function->vgpu_type);
    GpuPart *part = gpu_card_add_part(card, id);
    g_strlcpy(part->address, function->address, sizeof part->address);
    part->start = function->placement;
    part->iommu_group = function->iommu_group;
    return;
  }
  gpu_card_add_function(card, function->address);
  for (guint i = 0; i < function->creatable->len; i++)
    type_ensure(card, function->creatable->pdata[i])->free++;
}

static bool vendor_vf_discover(const GpuHost *host, const GpuView *view, GPtrArray *cards, GError **err)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *physical = view->functions->pdata[i];
    g_autoptr(GpuCard) card = gpu_card_of(view, physical, GPU_VENDOR_VF);
    int functions = 0;
    for (guint j = 0; j < view->functions->len; j++) {
      const ViewFunction *function = view->functions->pdata[j];
      if (!vendor_vf_of(function, physical->address))
        continue;
      functions++;
      function_add(card, function);
    }
    if (functions)
      g_ptr_array_add(cards, g_steal_pointer(&card));
  }
  return true;
}

/* ── one function ───────────────────────────────────────────────────────── */

/* The function of the order; without an address, the first that could become of the type, or that is it already. */
static const ViewFunction *function_of(const GpuView *view, const GpuOrder *order)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    if (vendor_vf_of(function, order->card) &&
        (order->address ? !strcmp(function->address, order->address)
                        : function->vgpu_type == 0 && creatable_find(function, order->type)))
      return function;
  }
  return NULL;
}

static int type_number(const char *type)
{
  return g_str_has_prefix(type, "nvidia-") ? (int)g_ascii_strtoll(type + strlen("nvidia-"), NULL, 10) : -1;
}

/* What the function's node says after a write: only that counts. */
static bool type_confirm(const GpuHost *host, const char *address, int wanted, GError **err)
{
  g_autofree char *path = gpu_file(address, "nvidia/current_vgpu_type"), *text = NULL;
  gint64 found;
  if (!exec_read(host->exec, path, &text, err))
    return false;
  bool ok = g_ascii_string_to_signed(g_strstrip(text), 10, 0, G_MAXINT, &found, NULL) && found == wanted;
  return ok || error_false(err, REASON_GPU_DIRTY, "what", address, "host", host->host, "detail", "its type is another than was written",
                           NULL);
}

bool vendor_vf_set(const GpuHost *host, const char *address, int type, GError **err)
{
  g_autofree char *number = g_strdup_printf("%d", type);
  return pci_write(host, address, "nvidia/current_vgpu_type", number, err) && type_confirm(host, address, type, err);
}

static bool vendor_vf_make(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  if (!gpu_view_read(host, &view, err))
    return false;
  const ViewFunction *function = function_of(view, order);
  int wanted = type_number(order->type);
  if (!gpu_view_find(view, order->card))
    return gpu_gone(host, order->card, err);
  if (!function)
    return gpu_full(host, order, order->address ? "the function is not there" : "no function could become one", err);
  if (!gpu_view_told(host, function, err))
    return false;
  g_strlcpy(ret_handle->address, function->address, sizeof ret_handle->address);
  g_strlcpy(ret_handle->boot, view->boot, sizeof ret_handle->boot);
  if (function->vgpu_type == wanted)
    return gpu_made_before(host, order, function->address, err);
  if (function->vgpu_type > 0)
    return gpu_not_ours(host, function->address, "it has another type", err);
  return creatable_find(function, order->type) ? vendor_vf_set(host, function->address, wanted, err)
                                               : gpu_full(host, order, "the card's list does not have it now", err);
}

/* Type 0 first: the vendor's driver refuses it while a guest runs. Then the reset; until it is confirmed the release has not happened. */
static bool vendor_vf_release(const GpuHost *host, const GpuOrder *order, GError **err)
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
  if (!vendor_vf_of(function, order->card))
    return gpu_not_ours(host, order->address, "it is no such function of that card", err);
  if (function->vgpu_type > 0 && function->vgpu_type != type_number(order->type))
    return gpu_not_ours(host, order->address, "it has another type", err);
  return pci_unused(host, order->address, NULL, err) &&
         (function->vgpu_type <= 0 || vendor_vf_set(host, order->address, 0, err)) &&
         pci_reset_last(host, order, view, order->address, err);
}

static bool vendor_vf_reset(const GpuHost *host, const GpuOrder *order, GError **err)
{
  return vendor_vf_release(host, order, err);
}

const GpuDriver gpu_vendor_vf = {
  .backend = GPU_VENDOR_VF,
  .title = "vendor virtual functions",
  .needs_exec = true,
  .discover = vendor_vf_discover,
  .make = vendor_vf_make,
  .release = vendor_vf_release,
  .reset = vendor_vf_reset,
};

/* The card itself, with all of its IOMMU group, by vfio-pci. Bound to vfio-pci = in use.
 * https://docs.kernel.org/driver-api/vfio.html (groups, devices, IOMMUs) */
#include <string.h>

#include "drivers/gpu/pci.h"

static const char type_id[] = "whole";
enum { SLOT_CHARS = 10 };  /* "0000:65:00": functions of one card differ only behind it */

static bool is_passed(const ViewFunction *function)
{
  return !g_strcmp0(function->driver, PCI_PASS_DRIVER);
}

static bool whole_discover(const GpuHost *host, const GpuView *view, GPtrArray *cards, GError **err)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    bool display = function->class >> 16 == 0x03 || function->class >> 16 == 0x12;
    if (!display || *function->physical)
      continue;
    GpuCard *card = gpu_card_of(view, function, GPU_WHOLE);
    GpuType *type = gpu_card_add_type(card, type_id);
    type->title = g_strdup(function->model ? function->model : type_id);
    type->max = 1;
    type->free = !is_passed(function) && function->iommu_group >= 0;
    if (function->iommu_group < 0)
      card->broken = g_strdup("it is in no IOMMU group: enable the IOMMU in firmware and on the kernel's command line");
    if (is_passed(function))
      g_strlcpy(gpu_card_add_part(card, type_id)->address, function->address, GPU_ADDRESS_BYTES);
    g_ptr_array_add(cards, card);
  }
  return true;
}

/* ── the group ──────────────────────────────────────────────────────────── */

/* https://pcisig.com class codes: bridges stay with the host; display, sound and the card's own USB go along. */
static bool member_goes(const char *card, const char *member, uint32_t class, bool *ret_goes)
{
  bool bridge = class >> 16 == 0x06, same_slot = !strncmp(card, member, SLOT_CHARS);
  *ret_goes = !bridge;
  return bridge || same_slot;
}

static bool class_read(const GpuHost *host, const char *address, uint32_t *ret_class, GError **err)
{
  g_autofree char *path = gpu_file(address, "class"), *text = NULL;
  guint64 value;
  if (!exec_read(host->exec, path, &text, err))
    return false;
  g_strstrip(text);
  if (!g_str_has_prefix(text, "0x") || !g_ascii_string_to_unsigned(text + 2, 16, 0, 0xffffff, &value, NULL))
    return error_false(err, REASON_GPU_FACTS, "host", host->host, "detail", text, NULL);
  *ret_class = (uint32_t)value;
  return true;
}

/* Who goes with the card: the functions of its slot that are in its group. GPU_REFUSED where another device is in it, too. */
static bool group_read(const GpuHost *host, const char *card, GPtrArray *members, GError **err)
{
  g_autofree char *path = gpu_file(card, "iommu_group/devices");
  g_auto(GStrv) names = NULL;
  if (!exec_list(host->exec, path, &names, err))
    return false;
  for (char **name = names; *name; name++) {
    uint32_t class = 0;
    bool goes = false;
    if (!gpu_address_check(*name))
      return error_false(err, REASON_GPU_FACTS, "host", host->host, "detail", *name, NULL);
    if (!class_read(host, *name, &class, err))
      return false;
    if (!member_goes(card, *name, class, &goes)) {
      g_autofree char *detail = g_strdup_printf("%s is in the same IOMMU group and would go with it", *name);
      return error_false(err, REASON_GPU_REFUSED, "host", host->host, "what", "give away card", "detail", detail, NULL);
    }
    if (goes)
      g_ptr_array_add(members, g_strdup(*name));
  }
  return true;
}

static const ViewFunction *card_find(const GpuHost *host, const GpuOrder *order, const GpuView *view, GError **err)
{
  const ViewFunction *card = gpu_view_find(view, order->card);
  if (!card || *card->physical)
    gpu_gone(host, order->card, err);
  return card && !*card->physical ? card : NULL;
}

static bool whole_make(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(g_free);
  const ViewFunction *card = gpu_view_read(host, &view, err) ? card_find(host, order, view, err) : NULL;
  if (!card)
    return false;
  if (card->boot_vga == 1 && !order->force)
    return error_false(err, REASON_GPU_CONSOLE_CARD, "host", host->host, "card", order->card, NULL);
  if (card->vfs > 0)
    for (guint i = 0; i < view->functions->len; i++)
      if (!strcmp(((ViewFunction *)view->functions->pdata[i])->physical, order->card))
        return gpu_full(host, order, "it has virtual functions: set sriov_numvfs to 0 first", err);
  bool asked = order->domain; /* whose it is, and its own guest may run with it */
  if ((!asked && !pci_unused(host, order->card, err)) || !group_read(host, order->card, members, err))
    return false;
  for (guint i = 0; i < members->len; i++)
    if (!pci_bind(host, members->pdata[i], PCI_PASS_DRIVER, err))
      return false;
  g_strlcpy(ret_handle->address, order->card, sizeof ret_handle->address);
  return true;
}

/* Reset while vfio-pci still has it: the host's driver must not meet what a guest left. */
static bool whole_release(const GpuHost *host, const GpuOrder *order, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(g_free);
  if (!gpu_view_read(host, &view, err))
    return false;
  const ViewFunction *card = gpu_view_find(view, order->card);
  if (!card)
    return true;
  if (!pci_unused(host, order->card, err) || !group_read(host, order->card, members, err) ||
      (is_passed(card) && !pci_reset(host, order->card, err)))
    return false;
  for (guint i = 0; i < members->len; i++)
    if (!pci_unbind(host, members->pdata[i], true, err))
      return false;
  return true;
}

const GpuDriver gpu_whole = {
  .backend = GPU_WHOLE,
  .title = "whole cards",
  .needs_exec = true,
  .discover = whole_discover,
  .make = whole_make,
  .release = whole_release,
  .reset = whole_release,
};

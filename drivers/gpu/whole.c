/* The card itself, with all of its IOMMU group, by vfio-pci, on Xen by pciback. Bound to that = in use. The guest gets the card's own functions, the
 * first first; what else is in the group is kept from the host alone.
 * https://docs.kernel.org/driver-api/vfio.html (groups, devices, IOMMUs) */
#include <string.h>

#include "drivers/gpu/pci.h"

static const char type_id[] = "whole";
static const char no_group[] = "it is in no IOMMU group: enable the IOMMU in firmware and on the kernel's command line";
enum { BUS_CHARS = 7, SLOT_CHARS = 10 };  /* "0000:65", "0000:65:00": functions of one card differ only behind it */

static bool whole_discover(const GpuHost *host, const GpuView *view, GPtrArray *cards, GError **err)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    bool display = function->class >> 16 == 0x03 || function->class >> 16 == 0x12;
    if (!display || *function->physical || (mdev_is_on(view, function->address) && pci_pass(host)->groups))
      continue;
    GpuCard *card = gpu_card_of(view, function, GPU_WHOLE);
    GpuType *type = gpu_card_add_type(card, type_id);
    type->title = g_strdup(function->model ? function->model : type_id);
    type->max = 1;
    bool passed = pci_is_passed(host, function), alone = !pci_pass(host)->groups || function->iommu_group >= 0;
    type->free = !passed && alone;
    if (!alone)
      card->broken = g_strdup(no_group);
    if (passed)
      g_strlcpy(gpu_card_add_part(card, type_id)->address, function->address, GPU_ADDRESS_BYTES);
    g_ptr_array_add(cards, card);
  }
  return true;
}

/* ── the group ──────────────────────────────────────────────────────────── */

/* all: who is bound. beside: of these who goes to the guest with the card itself. */
typedef struct {
  GPtrArray *all, *beside;
} Members;

static void members_done(Members *members)
{
  g_clear_pointer(&members->all, g_ptr_array_unref);
  g_clear_pointer(&members->beside, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Members, members_done)

/* https://pcisig.com class codes: bridges stay with the host. */
static bool is_bridge(uint32_t class)
{
  return class >> 16 == 0x06;
}

/* Display and accelerator, sound, USB, and USB-C's UCSI, which is "serial bus controller, other" and has no class of its own. What else processors
 * have in their graphics' group (a key store, say) is no guest's. */
static bool is_of_a_card(uint32_t class)
{
  uint32_t base = class >> 16, sub = class >> 8;
  return base == 0x03 || base == 0x12 || base == 0x04 || sub == 0x0c03 || sub == 0x0c80;
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

/* Whether its bus is behind a bridge: the root's buses have no PCI device for a parent. A bus that sysfs does not tell of counts as one. */
static bool bridge_read(const GpuHost *host, const char *card, bool *ret_behind, GError **err)
{
  g_autofree char *path = g_strdup_printf("/sys/class/pci_bus/%.*s/device", BUS_CHARS, card), *parent = NULL;
  GError *why = NULL;
  bool there = exec_link(host->exec, path, &parent, &why);
  *ret_behind = !there || gpu_address_check(parent);
  return pci_absent(there, why, err);
}

/* Those whose address begins like the card's. */
static bool like_read(const GpuHost *host, const char *card, size_t chars, GStrv *ret_names, GError **err)
{
  g_autoptr(GStrvBuilder) like = g_strv_builder_new();
  g_auto(GStrv) all = NULL;
  if (!exec_list(host->exec, "/sys/bus/pci/devices", &all, err))
    return false;
  for (char **name = all; *name; name++)
    if (!strncmp(*name, card, chars))
      g_strv_builder_add(like, *name);
  *ret_names = g_strv_builder_end(like);
  return true;
}

/* Where sysfs has no groups: functions of a slot are told apart by no IOMMU for sure, and what is on one bus behind a bridge to conventional
 * PCI has the bridge's own id (behind a PCI Express port there is one slot alone, so nothing is refused there for nothing). */
static bool neighbours_read(const GpuHost *host, const char *card, GStrv *ret_names, GError **err)
{
  bool behind = false;
  return bridge_read(host, card, &behind, err) && like_read(host, card, behind ? BUS_CHARS : SLOT_CHARS, ret_names, err);
}

/* A host that was started without its IOMMU has no groups: none of its guests can have a card then, and what was claimed is to be let go of. */
static bool grouped_read(const GpuHost *host, const char *card, GStrv *ret_names, GError **err)
{
  g_autofree char *path = gpu_file(card, "iommu_group/devices");
  GError *why = NULL;
  bool there = exec_list(host->exec, path, ret_names, &why);
  return pci_absent(there, why, err) && (there || like_read(host, card, SLOT_CHARS, ret_names, err));
}

static bool names_read(const GpuHost *host, const char *card, GStrv *ret_names, GError **err)
{
  return pci_pass(host)->groups ? grouped_read(host, card, ret_names, err) : neighbours_read(host, card, ret_names, err);
}

/* Who goes with the card: the functions of its slot that are in its group. GPU_REFUSED where another device is in it, too. */
static bool group_read(const GpuHost *host, const char *card, Members *members, GError **err)
{
  g_auto(GStrv) names = NULL;
  if (!names_read(host, card, &names, err))
    return false;
  members->all = g_ptr_array_new_with_free_func(g_free);
  members->beside = g_ptr_array_new();
  for (char **name = names; *name; name++) {
    uint32_t class = 0;
    if (!gpu_address_check(*name))
      return error_false(err, REASON_GPU_FACTS, "host", host->host, "detail", *name, NULL);
    if (!class_read(host, *name, &class, err))
      return false;
    if (is_bridge(class))
      continue;
    if (strncmp(card, *name, SLOT_CHARS)) {
      g_autofree char *detail = g_strdup_printf("%s is %s and would go with it", *name,
                                                pci_pass(host)->groups ? "in the same IOMMU group" : "behind the same bridge");
      return error_false(err, REASON_GPU_REFUSED, "host", host->host, "what", "give away card", "detail", detail, NULL);
    }
    char *address = g_strdup(*name);
    g_ptr_array_add(members->all, address);
    if (strcmp(card, address) && is_of_a_card(class) && members->beside->len < GPU_BESIDE_MOST)
      g_ptr_array_add(members->beside, address);
  }
  return true;
}

/* What is given away already, the card or what goes with it, others gave, unless an earlier order did. */
static bool members_free(const GpuHost *host, const GpuOrder *order, const GPtrArray *members, GError **err)
{
  for (guint i = 0; i < members->len; i++) {
    bool passed = false;
    if (!pci_ask_passed(host, members->pdata[i], &passed, err) || (passed && !gpu_made_before(host, order, members->pdata[i], err)))
      return false;
  }
  return true;
}

/* While the driver for guests still has them: the host's drivers must not meet what a guest left. */
static bool members_reset(const GpuHost *host, const GpuOrder *order, const GpuView *view, const Members *members, GError **err)
{
  bool passed = false;
  if (!pci_ask_passed(host, order->card, &passed, err) || (passed && !pci_reset_last(host, order, view, order->card, err)))
    return false;
  for (guint i = 0; i < members->beside->len; i++) {
    const char *address = members->beside->pdata[i];
    if (!pci_ask_passed(host, address, &passed, err) || (passed && !order->unproven && !pci_reset_beside(host, address, err)))
      return false;
  }
  return true;
}

/* A claim says which card it is on (whole:1002:73a3): another may be in its place since. */
static bool is_meant(const ViewFunction *card, const char *type)
{
  g_autofree char *name = g_strdup_printf("%s:%04x:%04x", type_id, card->vendor_id, card->device_id);
  return !strcmp(type, name) || !strcmp(type, type_id);
}

static const ViewFunction *card_find(const GpuHost *host, const GpuOrder *order, const GpuView *view, GError **err)
{
  const ViewFunction *card = gpu_view_find(view, order->card);
  if (!card || *card->physical) {
    gpu_gone(host, order->card, err);
    return NULL;
  }
  if (!gpu_view_told(host, card, err))
    return NULL;
  if (!is_meant(card, order->type))
    gpu_gone(host, order->card, err);
  return is_meant(card, order->type) ? card : NULL;
}

static bool whole_make(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  g_auto(Members) members = { 0 };
  const ViewFunction *card = gpu_view_read(host, &view, err) ? card_find(host, order, view, err) : NULL;
  if (!card)
    return false;
  if (card->boot_vga == 1 && !order->force)
    return error_false(err, REASON_GPU_CONSOLE_CARD, "host", host->host, "card", order->card, NULL);
  if (pci_pass(host)->groups && card->iommu_group < 0)
    return error_false(err, REASON_GPU_REFUSED, "host", host->host, "what", "give away card", "detail", no_group, NULL);
  if (mdev_is_on(view, order->card) && pci_pass(host)->groups)
    return gpu_full(host, order, "mediated devices are made on it", err);
  if (card->vfs > 0)
    for (guint i = 0; i < view->functions->len; i++)
      if (!strcmp(((ViewFunction *)view->functions->pdata[i])->physical, order->card))
        return gpu_full(host, order, "it has virtual functions: set sriov_numvfs to 0 first", err);
  if (!group_read(host, order->card, &members, err) || !pci_all_unused(host, members.all, order->domain, err) ||
      !members_free(host, order, members.all, err) || !pci_bind(host, members.all, err))
    return false;
  g_strlcpy(ret_handle->address, order->card, sizeof ret_handle->address);
  g_strlcpy(ret_handle->boot, view->boot, sizeof ret_handle->boot);
  for (guint i = 0; i < members.beside->len; i++)
    g_strlcpy(ret_handle->beside[i], members.beside->pdata[i], GPU_ADDRESS_BYTES);
  return true;
}

static bool whole_release(const GpuHost *host, const GpuOrder *order, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  g_auto(Members) members = { 0 };
  if (!gpu_view_read(host, &view, err))
    return false;
  const ViewFunction *card = gpu_view_find(view, order->card);
  if (!card)
    return true;
  if (!gpu_view_told(host, card, err))
    return false;
  if (!is_meant(card, order->type))
    return true;
  if (!group_read(host, order->card, &members, err) || !pci_all_unused(host, members.all, NULL, err) ||
      !members_reset(host, order, view, &members, err))
    return false;
  for (guint i = 0; i < members.all->len; i++)
    if (!pci_unbind(host, members.all->pdata[i], true, err))
      return false;
  return true;
}

const GpuDriver gpu_whole = {
  .backend = GPU_WHOLE,
  .title = "whole cards",
  .needs_exec = true,
  .on_xen = true,
  .discover = whole_discover,
  .make = whole_make,
  .release = whole_release,
  .reset = whole_release,
};

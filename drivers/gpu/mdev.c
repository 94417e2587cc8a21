/* Mediated devices, by libvirt's node devices alone. They are made when a claim is carried out and ended with it: nothing is defined at
 * the host, as Debian 12's autostart never fires (mdevctl's rule calls a path that is not there). */
#include <stdio.h>
#include <string.h>

#include "drivers/gpu/view.h"

/* What an NVIDIA or Intel card writes behind a type's name, such as "num_heads=4, frl_config=45, framebuffer=1024M,
 * max_resolution=4096x2160, max_instance=8" (https://docs.nvidia.com/vgpu, mdev_supported_types), one field a row. */
static const struct { const char *key; size_t offset; } description_rows[] = {
  { "num_heads=", offsetof(GpuType, heads) },
  { "framebuffer=", offsetof(GpuType, framebuffer_mib) },
  { "max_instance=", offsetof(GpuType, max) },
};

static int number_after(const char *text, const char *key)
{
  const char *at = strstr(text, key);
  return at ? (int)CLAMP(g_ascii_strtoll(at + strlen(key), NULL, 10), 0, G_MAXINT) : 0;
}

static void description_read(const char *text, GpuType *type)
{
  for (size_t i = 0; i < G_N_ELEMENTS(description_rows); i++)
    *(int *)((char *)type + description_rows[i].offset) = number_after(text, description_rows[i].key);
  const char *at = strstr(text, "max_resolution=");
  if (at && sscanf(at, "max_resolution=%5dx%5d", &type->width, &type->height) != 2)
    type->width = type->height = 0;
}

/* Mediated devices are made on the card, or, with the NVIDIA drivers before 17 for Ampere and newer, each on a virtual function of it
 * (https://docs.nvidia.com/vgpu/15.0/grid-vgpu-user-guide/, "Creating an NVIDIA vGPU that supports SR-IOV"). */
static bool is_of(const ViewFunction *function, const char *card)
{
  return function && (!strcmp(function->address, card) || !strcmp(function->physical, card));
}

static GpuType *type_ensure(GpuCard *card, const ViewType *from)
{
  GpuType *type = gpu_card_type(card, from->id);
  if (type)
    return type;
  type = gpu_card_add_type(card, from->id);
  type->title = g_strdup(from->title);
  if (from->description)
    description_read(from->description, type);
  return type;
}

static void types_add(GpuCard *card, const ViewFunction *function)
{
  for (guint i = 0; i < function->types->len; i++) {
    const ViewType *from = function->types->pdata[i];
    type_ensure(card, from)->free += from->free;
  }
}

static void parts_add(const GpuHost *host, GpuCard *card, const GpuView *view)
{
  for (guint i = 0; i < view->mdevs->len; i++) {
    const ViewMdev *mdev = view->mdevs->pdata[i];
    if (!is_of(gpu_view_find(view, mdev->parent), card->address))
      continue;
    GpuPart *part = gpu_card_add_part(card, mdev->type);
    g_strlcpy(part->uuid, mdev->uuid, sizeof part->uuid);
    part->iommu_group = mdev->iommu_group;
    part->marked = gpu_uuid_is_ours(host->controller, mdev->uuid);
  }
}

bool mdev_is_on(const GpuView *view, const char *card)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    if (function->types->len && is_of(function, card))
      return true;
  }
  return false;
}

static bool mdev_discover(const GpuHost *host, const GpuView *view, GPtrArray *cards, GError **err)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *physical = view->functions->pdata[i];
    if (*physical->physical || !mdev_is_on(view, physical->address))
      continue;
    GpuCard *card = gpu_card_of(view, physical, GPU_MDEV);
    /* time-sliced NVIDIA mdevs: one size at a time, unless the free numbers say otherwise
     * (https://docs.nvidia.com/vgpu/latest/grid-vgpu-user-guide/, "same vGPU type on a GPU") */
    card->same_type_only = physical->vendor_id == 0x10de;
    for (guint j = 0; j < view->functions->len; j++)
      if (is_of(view->functions->pdata[j], physical->address))
        types_add(card, view->functions->pdata[j]);
    parts_add(host, card, view);
    g_ptr_array_add(cards, card);
  }
  return true;
}

static const ViewMdev *mdev_find(const GpuView *view, const char *uuid)
{
  for (guint i = 0; i < view->mdevs->len; i++) {
    const ViewMdev *mdev = view->mdevs->pdata[i];
    if (!strcmp(mdev->uuid, uuid))
      return mdev;
  }
  return NULL;
}

/* The mediated device of the order, where there is one; false: something else has its UUID. */
static bool mdev_check(const GpuHost *host, const GpuOrder *order, const GpuView *view, const ViewMdev *mdev, GError **err)
{
  if (!mdev || (is_of(gpu_view_find(view, mdev->parent), order->card) && !strcmp(mdev->type, order->type)))
    return true;
  g_autofree char *detail = g_strdup_printf("it is a %s of card %s, and %s of %s was claimed", mdev->type, mdev->parent,
                                            order->type, order->card);
  return gpu_not_ours(host, mdev->uuid, detail, err);
}

/* Where it can be made now: the card, or the first of its functions that has room for it. */
static bool parent_find(const GpuHost *host, const GpuOrder *order, const GpuView *view, const ViewFunction **ret_parent, GError **err)
{
  bool offered = false;
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    for (guint k = 0; is_of(function, order->card) && k < function->types->len; k++) {
      const ViewType *type = function->types->pdata[k];
      if (strcmp(type->id, order->type))
        continue;
      offered = true;
      *ret_parent = function;
      if (type->free > 0)
        return true;
    }
  }
  return gpu_full(host, order, offered ? "the card says that none is free" : "the card does not offer that type", err);
}

static bool mdev_new(const GpuHost *host, const GpuOrder *order, const GpuView *view, const char *uuid, GError **err)
{
  const ViewFunction *parent = NULL;
  GError *why = NULL;
  if (!parent_find(host, order, view, &parent, err))
    return false;
  if (hypervisor_mdev_create(host->hypervisor, parent->node, order->type, uuid, &why))
    return true;
  if (error_is(why, REASON_EXISTS)) {  /* a try of ours that was late: nobody else makes that UUID */
    g_error_free(why);
    return true;
  }
  return gpu_refused(host, "make a mediated device", why, err);
}

static bool mdev_make(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  gpu_part_uuid(host->controller, order->claim, order->generation, ret_handle->uuid);
  GpuHost without_files = *host;
  without_files.exec = NULL;
  if (!gpu_view_read(&without_files, &view, err))
    return false;
  const ViewMdev *made = mdev_find(view, ret_handle->uuid);
  if (!gpu_view_told(host, gpu_view_find(view, order->card), err))
    return false;
  if (made)
    return mdev_check(host, order, view, made, err);
  return mdev_is_on(view, order->card) ? mdev_new(host, order, view, ret_handle->uuid, err) : gpu_gone(host, order->card, err);
}

static bool mdev_release(const GpuHost *host, const GpuOrder *order, GError **err)
{
  char uuid[GPU_UUID_TEXT_BYTES];
  g_autoptr(GpuView) view = NULL;
  GError *why = NULL;
  GpuHost without_files = *host;
  without_files.exec = NULL;
  gpu_part_uuid(host->controller, order->claim, order->generation, uuid);
  if (!gpu_view_read(&without_files, &view, err) || !gpu_view_told(host, gpu_view_find(view, order->card), err) ||
      !mdev_check(host, order, view, mdev_find(view, uuid), err))
    return false;
  if (!mdev_find(view, uuid) || hypervisor_mdev_destroy(host->hypervisor, uuid, &why))
    return true;
  return gpu_refused(host, "end a mediated device", why, err);
}

const GpuDriver gpu_mdev = {
  .backend = GPU_MDEV,
  .title = "mediated devices",
  .discover = mdev_discover,
  .make = mdev_make,
  .release = mdev_release,
};

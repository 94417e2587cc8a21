/* MIG-backed vGPUs: a GPU instance of a profile at a place, made by nvidia-smi, then a virtual function that gets the vGPU type of that
 * size. https://docs.nvidia.com/datacenter/tesla/mig-user-guide/, https://docs.nvidia.com/vgpu/latest/grid-vgpu-user-guide/ */
#include <stdio.h>
#include <string.h>

#include "drivers/gpu/mig_table.h"
#include "drivers/gpu/vendor_vf.h"

enum { SMI_TIMEOUT_S = 30 };

/* What nvidia-smi says of one card. */
typedef struct {
  GPtrArray *profiles, *instances;
} Mig;

static void mig_done(Mig *mig)
{
  g_clear_pointer(&mig->profiles, g_ptr_array_unref);
  g_clear_pointer(&mig->instances, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Mig, mig_done)

static bool smi(const GpuHost *host, const char *card, const char *verb, const char *value, char **ret_text, GError **err)
{
  const char *argv[] = { "nvidia-smi", "mig", verb, value ? value : "-i", value ? "-i" : card, value ? card : NULL, NULL };
  return exec_run(host->exec, argv, SMI_TIMEOUT_S, ret_text, err);
}

/* -lgi ends with a status of its own where there are no instances. */
static bool instances_read(const GpuHost *host, const char *card, GPtrArray **ret_instances, GError **err)
{
  g_autofree char *text = NULL;
  GError *why = NULL;
  if (smi(host, card, "-lgi", NULL, &text, &why))
    return mig_instances_parse(host->host, text, ret_instances, err);
  const char *detail = error_is(why, REASON_EXEC_FAILED) ? error_arg(why, "detail") : NULL;
  if (detail && strstr(detail, "No GPU instances found")) {
    g_error_free(why);
    *ret_instances = g_ptr_array_new_with_free_func((GDestroyNotify)mig_instance_free);
    return true;
  }
  return gpu_refused(host, "list GPU instances", why, err);
}

static bool mig_read(const GpuHost *host, const char *card, Mig *mig, GError **err)
{
  g_autofree char *profiles = NULL, *places = NULL;
  GError *why = NULL;
  if (!smi(host, card, "-lgip", NULL, &profiles, &why) || !smi(host, card, "-lgipp", NULL, &places, &why))
    return gpu_refused(host, "list GPU instance profiles", why, err);
  return mig_profiles_parse(host->host, profiles, &mig->profiles, err) &&
         mig_placements_parse(host->host, places, mig->profiles, err) && instances_read(host, card, &mig->instances, err);
}

/* ── types and parts ────────────────────────────────────────────────────── */

static void types_add(GpuCard *card, const Mig *mig)
{
  for (guint i = 0; i < mig->profiles->len; i++) {
    const MigProfile *profile = mig->profiles->pdata[i];
    GpuType *type = gpu_card_add_type(card, profile->name);
    int slices, gib;
    type->title = g_strdup_printf("MIG %s", profile->name);
    type->heads = 1; /* its vGPU is of series C: title_fits() */
    if (sscanf(profile->name, "%dg.%dgb", &slices, &gib) == 2)
      type->framebuffer_mib = CLAMP(gib, 0, 4096) * 1024;
    type->max = profile->total;
    type->free = profile->free;
    type->size = profile->size;
    g_array_append_vals(type->starts, profile->starts->data, profile->starts->len);
  }
}

static const ViewFunction *function_on(const GpuView *view, const char *card, int instance)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    if (vendor_vf_of(function, card) && function->vgpu_type > 0 && function->gpu_instance == instance)
      return function;
  }
  return NULL;
}

static void parts_add(GpuCard *card, const GpuView *view, const Mig *mig)
{
  for (guint i = 0; i < mig->instances->len; i++) {
    const MigInstance *instance = mig->instances->pdata[i];
    const ViewFunction *function = function_on(view, card->address, instance->id);
    GpuPart *part = gpu_card_add_part(card, instance->profile);
    part->start = instance->start;
    if (!function)
      continue;
    g_strlcpy(part->address, function->address, sizeof part->address);
    part->iommu_group = function->iommu_group;
  }
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    if (vendor_vf_of(function, card->address) && function->vgpu_type == 0)
      gpu_card_add_function(card, function->address);
  }
}

/* Where one does not answer, no other is asked in the same look: each would take as long. */
static bool mig_discover(const GpuHost *host, const GpuView *view, GPtrArray *cards, GError **err)
{
  g_autoptr(GError) why = NULL;
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *function = view->functions->pdata[i];
    g_auto(Mig) mig = { 0 };
    if (!function->mig || *function->physical || (view->only && strcmp(view->only, function->address)))
      continue;
    GpuCard *card = gpu_card_of(view, function, GPU_MIG);
    g_ptr_array_add(cards, card);
    if (!error_is(why, REASON_TIMEOUT))
      g_clear_error(&why);
    if (!why && mig_read(host, card->address, &mig, &why)) {
      types_add(card, &mig);
      parts_add(card, view, &mig);
    } else if (error_is(why, REASON_HOST_UNREACHABLE)) {
      g_propagate_error(err, g_steal_pointer(&why));
      return false;
    } else if (!card->unread)
      card->unread = error_text(why, LANG_EN);
  }
  return true;
}

/* ── one part ───────────────────────────────────────────────────────────── */

static const MigProfile *profile_find(const Mig *mig, const char *name)
{
  for (guint i = 0; i < mig->profiles->len; i++)
    if (!strcmp(((MigProfile *)mig->profiles->pdata[i])->name, name))
      return mig->profiles->pdata[i];
  return NULL;
}

static const MigInstance *instance_at(const Mig *mig, const char *profile, int start)
{
  for (guint i = 0; i < mig->instances->len; i++) {
    const MigInstance *instance = mig->instances->pdata[i];
    if (instance->start == start && !strcmp(instance->profile, profile))
      return instance;
  }
  return NULL;
}

typedef struct {
  int id;
  bool made;  /* by this order */
} Instance;

static bool start_is_free(const MigProfile *profile, int start)
{
  for (guint i = 0; i < profile->starts->len; i++)
    if (g_array_index(profile->starts, int, i) == start)
      return true;
  return false;
}

/* Finds or makes the instance of the order's profile at its place. */
static bool instance_ensure(const GpuHost *host, const GpuOrder *order, Mig *mig, Instance *ret, GError **err)
{
  const MigInstance *there = instance_at(mig, order->type, order->start);
  const MigProfile *profile = profile_find(mig, order->type);
  GError *why = NULL;
  if (there) {
    g_autofree char *name = g_strdup_printf("GPU instance %d of %s", there->id, order->card);
    *ret = (Instance){ there->id, false };
    return gpu_made_before(host, order, name, err);
  }
  if (!profile || !profile->free || !start_is_free(profile, order->start))
    return gpu_full(host, order, profile ? "the place is not free" : "the card has no such profile", err);
  g_autofree char *what = g_strdup_printf("%d:%d", profile->id, order->start);
  if (!smi(host, order->card, "-cgi", what, NULL, &why))
    return gpu_refused(host, "make a GPU instance", why, err);
  g_clear_pointer(&mig->instances, g_ptr_array_unref);
  if (!instances_read(host, order->card, &mig->instances, err))
    return false;
  there = instance_at(mig, order->type, order->start);
  *ret = (Instance){ there ? there->id : -1, true };
  return there || error_false(err, REASON_GPU_REFUSED, "host", host->host, "what", "make a GPU instance",
                              "detail", "it said done, and it is not there", NULL);
}

/* A vGPU of the profile's slices and memory: "…-1-10C" and "…-1-10CME" of "1g.10gb" and "1g.10gb+me". */
static bool title_fits(const char *title, const char *profile)
{
  int slices, gib;
  if (sscanf(profile, "%dg.%dgb", &slices, &gib) != 2)
    return false;
  g_autofree char *end = g_strdup_printf("-%d-%dC%s", slices, gib, g_str_has_suffix(profile, "+me") ? "ME" : "");
  return g_str_has_suffix(title, end);
}

static int creatable_number(const ViewFunction *function, const char *profile)
{
  for (guint i = 0; i < function->creatable->len; i++) {
    const ViewType *type = function->creatable->pdata[i];
    if (title_fits(type->title, profile))
      return (int)g_ascii_strtoll(type->id + strlen("nvidia-"), NULL, 10);
  }
  return -1;
}

static const ViewFunction *function_for(const GpuView *view, const GpuOrder *order)
{
  for (guint i = 0; i < view->functions->len; i++) {
    const ViewFunction *each = view->functions->pdata[i];
    if (vendor_vf_of(each, order->card) && each->vgpu_type == 0 && creatable_number(each, order->type) > 0 &&
        (!order->address || !strcmp(each->address, order->address)))
      return each;
  }
  return NULL;
}

/* The driver gives a function any instance of the profile that has none yet, be it somebody else's: what it gave is read, and a wrong one
 * given back. */
static bool instance_confirm(const GpuHost *host, const char *address, int instance, GError **err)
{
  g_autofree char *path = gpu_file(address, "nvidia/gpu_instance_id"), *text = NULL;
  gint64 found = -1;
  if (!exec_read(host->exec, path, &text, err))
    return false;
  if (g_ascii_string_to_signed(g_strstrip(text), 10, 0, G_MAXINT, &found, NULL) && found == instance)
    return true;
  if (!vendor_vf_set(host, address, 0, err) || !pci_reset(host, address, err))
    return false;
  g_autofree char *what = g_strdup_printf("give function %s the GPU instance %d", address, instance);
  g_autofree char *detail = g_strdup_printf("its driver took instance %d, which has no function and is somebody else's: end that one", (int)found);
  return error_false(err, REASON_GPU_REFUSED, "host", host->host, "what", what, "detail", detail, NULL);
}

/* Another of that profile without a function: the driver could give the function that one. */
static const MigInstance *instance_loose(const GpuView *view, const Mig *mig, const GpuOrder *order, int instance)
{
  for (guint i = 0; i < mig->instances->len; i++) {
    const MigInstance *each = mig->instances->pdata[i];
    if (each->id != instance && !strcmp(each->profile, order->type) && !function_on(view, order->card, each->id))
      return each;
  }
  return NULL;
}

/* Read before it is written: once the function is on somebody else's instance, a way back has to be found. */
static bool instance_alone(const GpuHost *host, const GpuOrder *order, const GpuView *view, const Mig *mig, int instance, GError **err)
{
  const MigInstance *loose = instance_loose(view, mig, order, instance);
  if (!loose)
    return true;
  g_autofree char *what = g_strdup_printf("give a function the GPU instance %d", instance);
  g_autofree char *detail = g_strdup_printf("its driver could take instance %d, which has no function and is somebody else's: end that one",
                                            loose->id);
  return error_false(err, REASON_GPU_REFUSED, "host", host->host, "what", what, "detail", detail, NULL);
}

/* Gives a free function, the order's if it names one, the vGPU of the instance; the list is read anew, as the instance changed it. */
static bool function_set(const GpuHost *host, const GpuOrder *order, const Mig *mig, int instance, GpuHandle *handle, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  if (!gpu_view_read(host, &view, err))
    return false;
  const ViewFunction *has = function_on(view, order->card, instance), *function = has ? has : function_for(view, order);
  if (!function)
    return gpu_full(host, order, "no virtual function could become one", err);
  if (order->address && strcmp(function->address, order->address))
    return gpu_not_ours(host, function->address, "another function has that GPU instance", err);
  g_strlcpy(handle->address, function->address, sizeof handle->address);
  g_strlcpy(handle->boot, view->boot, sizeof handle->boot);
  if (!gpu_nobody_elses(host, order, function->address, err) || (!has && !instance_alone(host, order, view, mig, instance, err)))
    return false;
  return has || (vendor_vf_set(host, function->address, creatable_number(function, order->type), err) &&
                 instance_confirm(host, function->address, instance, err));
}

static bool mig_card(const GpuHost *host, const GpuOrder *order, GpuView **ret_view, Mig *mig, GError **err)
{
  if (!gpu_view_read(host, ret_view, err))
    return false;
  g_autofree char *untold = gpu_view_untold(*ret_view, order->card);
  if (!gpu_unread(host, untold, err))
    return false;
  const ViewFunction *card = gpu_view_find(*ret_view, order->card);
  if (!gpu_view_told(host, card, err) || !gpu_view_told(host, order->address ? gpu_view_find(*ret_view, order->address) : NULL, err))
    return false;
  return card && card->mig ? mig_read(host, order->card, mig, err) : gpu_gone(host, order->card, err);
}

static bool function_free(const GpuHost *host, const GpuOrder *order, const GpuView *view, const char *address, GError **err)
{
  return pci_unused(host, address, NULL, err) && vendor_vf_set(host, address, 0, err) && pci_reset_last(host, order, view, address, err);
}

/* The order's function on an instance of the order's profile at another place: a try of this claim was cut after the driver chose, and before that
 * was read. The store says whose the function is, and no guest runs with it; whose the instance is, nobody asks: it stays. NULL = it is not so. */
static const ViewFunction *function_astray(const GpuView *view, const Mig *mig, const GpuOrder *order)
{
  const ViewFunction *function = order->again && order->address ? gpu_view_find(view, order->address) : NULL;
  if (!function || !vendor_vf_of(function, order->card) || function->vgpu_type <= 0)
    return NULL;
  for (guint i = 0; i < mig->instances->len; i++) {
    const MigInstance *each = mig->instances->pdata[i];
    if (each->id == function->gpu_instance)
      return !strcmp(each->profile, order->type) && each->start != order->start ? function : NULL;
  }
  return NULL;
}

/* *ret_freed: there was one. What another's guest runs with is that one's by now. */
static bool astray_free(const GpuHost *host, const GpuOrder *order, const GpuView *view, const Mig *mig, bool *ret_freed, GError **err)
{
  const ViewFunction *function = function_astray(view, mig, order);
  g_autoptr(GError) why = NULL;
  *ret_freed = false;
  if (!function || (!gpu_nobody_elses(host, order, function->address, &why) && error_is(why, REASON_GPU_NOT_OURS)))
    return true;
  if (why) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  *ret_freed = function_free(host, order, view, function->address, err);
  return *ret_freed;
}

/* The function first, then the instance below it. */
static bool instance_end(const GpuHost *host, const GpuOrder *order, const GpuView *view, const ViewFunction *function, int id, GError **err)
{
  GError *why = NULL;
  if (function && !function_free(host, order, view, function->address, err))
    return false;
  g_autofree char *text = g_strdup_printf("%d", id);
  const char *argv[] = { "nvidia-smi", "mig", "-dgi", "-gi", text, "-i", order->card, NULL };
  return exec_run(host->exec, argv, SMI_TIMEOUT_S, NULL, &why) || gpu_refused(host, "end a GPU instance", why, err);
}

/* One whose function is not the order's is somebody else's by now. */
static bool instance_undo(const GpuHost *host, const GpuOrder *order, int id, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  if (!gpu_view_read(host, &view, err))
    return false;
  const ViewFunction *function = function_on(view, order->card, id);
  bool anothers = function && order->address && strcmp(function->address, order->address);
  return anothers || instance_end(host, order, view, function, id, err);
}

/* The order failed at the function, and tells why. Where its claim goes elsewhere then, nobody comes back for an instance, whichever try made it: as
 * long as it may be there, that is what is told, and the order comes again. */
static bool function_failed(const GpuHost *host, const GpuOrder *order, const Instance *instance, GError *why, GError **err)
{
  g_autoptr(GError) stays = NULL;
  bool elsewhere = error_is(why, REASON_GPU_FULL) || error_is(why, REASON_GPU_NOT_OURS);
  if ((!instance->made && !elsewhere) || instance_undo(host, order, instance->id, &stays) || !elsewhere) {
    g_propagate_error(err, why);
    return false;
  }
  g_error_free(why);
  g_propagate_error(err, g_steal_pointer(&stays));
  return false;
}

static bool has_functions(const GpuView *view, const char *card)
{
  for (guint i = 0; i < view->functions->len; i++)
    if (vendor_vf_of(view->functions->pdata[i], card))
      return true;
  return false;
}

static bool mig_make(const GpuHost *host, const GpuOrder *order, GpuHandle *ret_handle, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  g_auto(Mig) mig = { 0 };
  Instance instance = { -1, false };
  if (order->start < 0)
    return error_false(err, REASON_BAD_VALUE, "field", "start", "value", "-1", "limit", "the place that was claimed", NULL);
  if (!mig_card(host, order, &view, &mig, err))
    return false;
  if (!has_functions(view, order->card))
    return gpu_full(host, order, "it has no virtual functions: enable them with sriov-manage", err);
  bool freed = false;
  if (!astray_free(host, order, view, &mig, &freed, err) || !instance_ensure(host, order, &mig, &instance, err))
    return false;
  GError *why = NULL;
  return function_set(host, order, &mig, instance.id, ret_handle, &why) || function_failed(host, order, &instance, why, err);
}

/* The instance has no function any more; the function may still hold what its guest left, unless it is another's by now. */
static bool function_clean(const GpuHost *host, const GpuOrder *order, const GpuView *view, GError **err)
{
  const ViewFunction *function = order->address ? gpu_view_find(view, order->address) : NULL;
  return !function || function->vgpu_type > 0 ||
         (pci_unused(host, order->address, NULL, err) && pci_reset_last(host, order, view, order->address, err));
}

static bool mig_release(const GpuHost *host, const GpuOrder *order, GError **err)
{
  g_autoptr(GpuView) view = NULL;
  g_auto(Mig) mig = { 0 };
  if (!mig_card(host, order, &view, &mig, err))
    return false;
  bool freed = false;
  if (!astray_free(host, order, view, &mig, &freed, err))
    return false;
  if (freed) /* what is told of the rest is older than that */
    return mig_release(host, order, err);
  const MigInstance *there = instance_at(&mig, order->type, order->start);
  const ViewFunction *function = there ? function_on(view, order->card, there->id) : NULL;
  if (!function && !function_clean(host, order, view, err))
    return false;
  if (!there)
    return true;
  if (function && order->address && strcmp(function->address, order->address))
    return gpu_not_ours(host, function->address, "another function has that GPU instance", err);
  if (function && !gpu_nobody_elses(host, order, function->address, err))
    return false;
  return instance_end(host, order, view, function, there->id, err);
}

const GpuDriver gpu_mig = {
  .backend = GPU_MIG,
  .title = "MIG-backed vGPUs",
  .needs_exec = true,
  .discover = mig_discover,
  .make = mig_make,
  .release = mig_release,
  .reset = mig_release,
};

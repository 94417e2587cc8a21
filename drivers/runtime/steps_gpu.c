/* Parts of graphics cards: what was claimed is made, what is let go of is released, and the cards are looked at again after either. */
#include <string.h>

#include "drivers/gpu/gpu.h"
#include "drivers/runtime/steps_parts.h"

enum { SSH_PORT = 22, SSH_CONNECT_S = 10, TELL_S = 5 };

/* The way to the host's files, as it was enrolled; "local" is said by the operator alone, as a local URI may be that of a host elsewhere. */
static ExecOptions exec_options(const Host *h)
{
  bool local = !g_strcmp0(h->ssh_address, "local");
  return (ExecOptions){ .host = h->head.name, .address = local ? "" : h->ssh_address, .port = h->ssh_port ? (int)h->ssh_port : SSH_PORT,
                        .user = h->ssh_user ? h->ssh_user : "root", .key_file = h->ssh_key, .host_key = h->ssh_host_key,
                        .connect_timeout_s = SSH_CONNECT_S };
}

/* A host's cards for one step; what it holds beside the connection ends with the scope. A card that hangs costs its step and no more: the step
 * tells so in time, while one that the lanes have to give up counts against its host. */
static bool gpu_host_open(const StepRun *run, GpuHost *ret_host, GError **err)
{
  const Host *h = run->order->host;
  ExecOptions options = exec_options(h);
  *ret_host = (GpuHost){ run->hypervisor, NULL, h->head.name, run->order->controller };
  if (!gpu_exec_open(run->hypervisor, h->ssh_address ? &options : NULL, &ret_host->exec, err))
    return false;
  if (ret_host->exec)
    exec_until(ret_host->exec, run->deadline_us - TELL_S * G_USEC_PER_SEC);
  return true;
}

static void gpu_host_close(GpuHost *host)
{
  g_clear_pointer(&host->exec, exec_close);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GpuHost, gpu_host_close)

static GpuOrder gpu_order(const Vgpu *v, const Gpu *gpu, const char *domain)
{
  return (GpuOrder){ .card = gpu->address, .backend = gpu->backend, .type = v->type, .claim = v->head.name, .generation = v->clone, .domain = domain,
                     .address = v->address, .start = v->start, .again = vgpu_may_be_made(v), .force = gpu->give_console, .boot = v->boot };
}

static void card_drop(void *card) { gpu_card_free(card); }

/* After success or failure alike: what the claims are held against next is not older than what was done. */
static void look_again(StepRun *run, const GpuHost *host)
{
  const StepOrder *o = run->order;
  run->result->cards = g_ptr_array_new_with_free_func(card_drop);
  run->result->looked_us = g_get_real_time();
  for (guint i = 0; i < o->gpus->len; i++) {
    const Gpu *gpu = o->gpus->pdata[i];
    GpuCard *card = NULL;
    if (gpu && (!i || o->gpus->pdata[i - 1] != gpu) && gpu_look(host, gpu->address, &card, NULL))
      g_ptr_array_add(run->result->cards, card);
  }
}

static bool part_is_of(const GpuPart *part, const Vgpu *v)
{
  return part->uuid[0] ? !g_strcmp0(part->uuid, v->uuid) : !g_strcmp0(part->address, v->address);
}

/* Whoever made it: what a claim has no address of yet goes by its place on the card, or is all of it. */
static bool part_is_in_place_of(const GpuPart *part, const Vgpu *v, const Gpu *gpu)
{
  return gpu->backend == GPU_WHOLE || part_is_of(part, v) || (v->start >= 0 && part->start == v->start);
}

/* A card that is gone has it no more; of one that cannot be looked at it is not known. A mediated device is libvirt's to tell alone. */
static bool part_look(const GpuHost *host, const Vgpu *v, const Gpu *gpu, bool *ret_there, GError **err)
{
  g_autoptr(GpuCard) card = NULL;
  g_autoptr(GError) why = NULL;
  GpuHost near = *host;
  const GpuOrder order = gpu_order(v, gpu, NULL);
  near.exec = gpu->backend == GPU_MDEV ? NULL : host->exec;
  *ret_there = false;
  if (!gpu_look_part(&near, &order, &card, &why) && !error_is(why, REASON_GPU_GONE)) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  for (guint i = 0; card && i < card->parts->len && !*ret_there; i++)
    *ret_there = part_is_of(card->parts->pdata[i], v);
  return true;
}

static bool make_clean(const GpuHost *host, const GpuOrder *order, GpuHandle *handle, GError **err)
{
  g_autoptr(GError) dirty = NULL;
  if (gpu_make(host, order, handle, &dirty))
    return true;
  if (!error_is(dirty, REASON_GPU_DIRTY)) {
    g_propagate_error(err, g_steal_pointer(&dirty));
    return false;
  }
  return gpu_reset(host, order, err) && gpu_make(host, order, handle, err);
}

static bool make_one(StepRun *run, const GpuHost *host, const Vgpu *v, const Gpu *gpu, GError **err)
{
  if (!gpu)
    return error_false(err, REASON_GPU_GONE, "host", host->host, "card", v->gpu, NULL);
  bool there = false;
  if (v->state == VGPU_ATTACHED && !part_look(host, v, gpu, &there, err))
    return false;
  g_autofree char *domain = desktop_domain_uuid(host->controller, v->desktop);
  GpuOrder order = gpu_order(v, gpu, domain);
  GpuHandle handle = { .start = v->start };
  if (!make_clean(host, &order, &handle, err))
    return false;
  VgpuDone *done = step_result_add_vgpu(run->result, v);
  g_strlcpy(done->uuid, handle.uuid, sizeof done->uuid);
  g_strlcpy(done->address, handle.address, sizeof done->address);
  memcpy(done->beside, handle.beside, sizeof done->beside);
  memcpy(done->boot, handle.boot, sizeof done->boot);
  done->start = handle.start;
  done->fresh = !there;
  return true;
}

bool run_gpu_make(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  g_auto(GpuHost) host = { 0 };
  bool made = gpu_host_open(run, &host, err);
  for (guint i = 0; i < o->vgpus->len && made; i++)
    made = make_one(run, &host, o->vgpus->pdata[i], o->gpus->pdata[i], err);
  look_again(run, &host);
  return made;
}

/* A card that is gone took its parts with it, and what is not ours now was freed by others: either way nothing of the claim is left. */
static bool nothing_left(GError *why)
{
  return error_is(why, REASON_GPU_GONE) || error_is(why, REASON_GPU_NOT_OURS);
}

/* Its host was never told to make it, or the card was seen without it since: what is in its place, made by whomever, is not freed for it. One that
 * shows nothing may still be dirty; of one that cannot be looked at nothing is known. */
static bool place_look(const GpuHost *host, const Vgpu *v, const Gpu *gpu, bool *ret_others, GError **err)
{
  g_autoptr(GpuCard) card = NULL;
  *ret_others = false;
  if (v->tries || gpu->backend == GPU_MDEV)
    return true;
  if (!gpu_look(host, gpu->address, &card, err))
    return false;
  const char *unknown = card->unread ? card->unread : card->broken;
  if (unknown) /* what it has may not be shown */
    return error_false(err, REASON_GPU_FACTS, "host", host->host, "detail", unknown, NULL);
  for (guint i = 0; i < card->parts->len && !*ret_others; i++)
    *ret_others = part_is_in_place_of(card->parts->pdata[i], v, gpu);
  return true;
}

static bool claim_release(const GpuHost *host, const Vgpu *v, const Gpu *gpu, bool unproven, GError **err)
{
  g_autofree char *domain = v->desktop ? desktop_domain_uuid(host->controller, v->desktop) : NULL;
  GpuOrder order = gpu_order(v, gpu, domain);
  order.unproven = unproven;
  bool others;
  return place_look(host, v, gpu, &others, err) && (others || gpu_release(host, &order, err));
}

static bool release_one(StepRun *run, const GpuHost *host, const Vgpu *v, const Gpu *gpu, GError **err)
{
  g_autoptr(GError) why = NULL;
  bool orphan = !v->head.name[0];
  bool freed = orphan ? hypervisor_mdev_destroy(host->hypervisor, v->uuid, &why) : !gpu || claim_release(host, v, gpu, run->order->unproven, &why);
  if (!freed && (orphan || !nothing_left(why))) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  step_result_add_vgpu(run->result, v);
  return true;
}

bool run_gpu_release(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  g_auto(GpuHost) host = { 0 };
  bool freed = gpu_host_open(run, &host, err);
  for (guint i = 0; i < o->vgpus->len && freed; i++)
    freed = release_one(run, &host, o->vgpus->pdata[i], o->gpus->pdata[i], err);
  look_again(run, &host);
  return freed;
}

/* A host that can have none tells none: nothing is known, which is not the same as no card. */
bool run_gpu_discover(StepRun *run, GError **err)
{
  g_auto(GpuHost) host = { 0 };
  g_autoptr(GError) why = NULL;
  run->result->looked_us = g_get_real_time();
  if (!gpu_host_open(run, &host, err))
    return false;
  run->result->without_files = !host.exec;
  if (gpu_discover(&host, &run->result->cards, &why) || error_is(why, REASON_UNSUPPORTED))
    return true;
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

/* ── in the domain ────────────────────────────────────────────────────────── */

static bool hostdev_of(const Vgpu *v, const Gpu *gpu, bool one_slot, GStrv *ret_xmls, GError **err)
{
  GpuHandle handle = { .backend = gpu ? gpu->backend : GPU_MDEV, .start = v->start };
  g_strlcpy(handle.uuid, v->uuid ? v->uuid : "", sizeof handle.uuid);
  g_strlcpy(handle.address, v->address ? v->address : "", sizeof handle.address);
  for (int i = 0; v->beside && v->beside[i] && i < GPU_BESIDE_MOST; i++)
    g_strlcpy(handle.beside[i], v->beside[i], sizeof handle.beside[i]);
  /* one screen a guest: of several parts the first is it */
  GpuDisplay display = v->slot ? GPU_DISPLAY_OFF : v->display;
  return gpu_xml(&handle, display, v->head.name, one_slot, ret_xmls, err);
}

/* libxl has slots of several functions, and libvirt's Xen driver no word for them: there each function has one of its own. */
static bool has_one_slot(const StepRun *run)
{
  return hypervisor_flavour(run->hypervisor)->kind != FLAVOUR_XEN;
}

bool step_hostdevs(const StepRun *run, GStrv *ret_xmls, bool *ret_screen, GError **err)
{
  const StepOrder *o = run->order;
  g_autoptr(GStrvBuilder) all = g_strv_builder_new();
  *ret_screen = false;
  for (guint i = 0; o->vgpus && i < o->vgpus->len; i++) {
    const Vgpu *v = o->vgpus->pdata[i];
    g_auto(GStrv) xmls = NULL;
    if (!hostdev_of(v, o->gpus->pdata[i], has_one_slot(run), &xmls, err))
      return false;
    g_strv_builder_addv(all, (const char **)xmls);
    *ret_screen = *ret_screen || (!v->slot && v->display != GPU_DISPLAY_OFF);
  }
  *ret_xmls = g_strv_builder_end(all);
  return true;
}

/* Each function in a slot of libvirt's choice: which of the guest's is free now it alone knows. */
static bool plug_one(StepRun *run, const char *uuid, const Vgpu *v, const Gpu *gpu, GError **err)
{
  g_auto(GStrv) xmls = NULL;
  bool plugged = hostdev_of(v, gpu, false, &xmls, err);
  for (char **xml = xmls; plugged && *xml; xml++)
    plugged = hypervisor_attach(run->hypervisor, uuid, *xml, err);
  return plugged;
}

bool run_gpu_plug(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  g_autofree char *uuid = step_uuid(o);
  bool plugged = step_meant(run, uuid, err);
  for (guint i = 0; i < o->vgpus->len && plugged; i++)
    plugged = plug_one(run, uuid, o->vgpus->pdata[i], o->gpus->pdata[i], err);
  return plugged;
}

/* The card's other functions first: without its first one they are of no use to the guest. A domain that is not there has none. */
static bool unplug_one(StepRun *run, const char *uuid, const Vgpu *v, GError **err)
{
  for (int n = v->beside ? (int)g_strv_length(v->beside) : 0; n >= 0; n--) {
    g_autofree char *alias = gpu_alias(v->head.name, n);
    int64_t left_s = (run->deadline_us - g_get_monotonic_time()) / G_USEC_PER_SEC - TELL_S;
    g_autoptr(GError) why = NULL;
    if (hypervisor_detach(run->hypervisor, uuid, alias, (int)MAX(left_s, 1), &why) || error_is(why, REASON_NOT_FOUND))
      continue;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  return true;
}

/* What left is told also where the next one stayed. */
static bool unplug_all(StepRun *run, const char *uuid, GError **err)
{
  const StepOrder *o = run->order;
  for (guint i = 0; i < o->vgpus->len; i++) {
    if (!unplug_one(run, uuid, o->vgpus->pdata[i], err))
      return false;
    step_result_add_vgpu(run->result, o->vgpus->pdata[i]);
  }
  return true;
}

bool run_gpu_unplug(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(GError) why = NULL;
  if (step_meant(run, uuid, &why) || error_is(why, REASON_NOT_FOUND))
    return unplug_all(run, uuid, err);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

bool step_runs_without_gpu(const StepOrder *o)
{
  for (guint i = 0; o->vgpus && i < o->vgpus->len; i++)
    if (((Vgpu *)o->vgpus->pdata[i])->state == VGPU_MADE)
      return true;
  return false;
}

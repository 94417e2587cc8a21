#include "core/log.h"
#include "drivers/runtime/steps_parts.h"
#include "drivers/volume/image.h"

/* How far an import is, all its storages together. */
typedef struct {
  StepRun *run;
  guint done, storages;
  int last_pct;
} Progress;

static void on_progress(void *owner, int64_t done_bytes, int64_t total_bytes)
{
  Progress *p = owner;
  int pct = total_bytes ? (int)((p->done * 100 + done_bytes * 100 / total_bytes) / p->storages) : 0;
  if (!p->run->progress || pct < p->last_pct + 2)
    return;
  p->last_pct = pct;
  p->run->progress(pct, p->run->progress_data);
}

static bool import_into(StepRun *run, guint i, Progress *progress, ImageFacts *ret_facts, GError **err)
{
  const ImageVersion *image = run->order->image;
  g_autoptr(Volumes) volumes = step_storage_open(run, run->order->storages->pdata[i], run->order->hosts->pdata[i], err);
  VolumeCall call = { run->deadline_us, run->cancel, on_progress, progress };
  /* the first copy tells what the bytes are; every other one must be the same */
  g_autofree char *same = *ret_facts->sha256 ? g_strdup(ret_facts->sha256) : NULL;
  ImageImport import = { .source = image->source, .format = image->format, .volume = image->volume, .sha256 = same };
  return volumes && image_import(volumes, &call, &import, ret_facts, err);
}

bool run_import(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  ImageFacts facts = { 0 };
  Progress progress = { .run = run, .storages = o->storages ? o->storages->len : 0 };
  if (!o->image || !progress.storages)
    return error_false(err, REASON_NOT_FOUND, "kind", "storage", "name", "", NULL);
  for (; progress.done < progress.storages; progress.done++)
    if (!import_into(run, progress.done, &progress, &facts, err))
      return false;
  run->result->sha256 = g_strdup(facts.sha256);
  run->result->size_bytes = facts.size_bytes;
  run->result->virtual_bytes = facts.virtual_bytes;
  return true;
}

/* Where a storage's directory has become a link to elsewhere, nothing is ours to touch, so nothing is left to do there. */
static bool delete_from(StepRun *run, guint i, GError **err)
{
  const Storage *storage = run->order->storages->pdata[i];
  VolumeCall call = { .deadline_us = run->deadline_us, .cancel = run->cancel };
  g_autoptr(GError) why = NULL;
  g_autoptr(Volumes) volumes = step_storage_open(run, storage, run->order->hosts->pdata[i], &why);
  if (volumes)
    return volume_delete(volumes, &call, run->order->image->volume, err);
  if (error_is(why, REASON_STORAGE_OUTSIDE)) {
    log_warning("runtime", why->message, "storage", storage->head.name, "image", run->order->image->head.name);
    return true;
  }
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

/* One storage that cannot be reached keeps the image on no other. */
bool run_delete_image(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  bool ok = true;
  for (guint i = 0; o->image && i < o->storages->len; i++)
    ok = delete_from(run, i, ok ? err : NULL) && ok;
  return ok;
}

#include "core/step.h"

#include <string.h>

const StepRow step_rows[N_STEPS] = {
#define X(name, wire, lane, seconds, tries, undo) [STEP_##name] = { wire, ON_##lane, seconds, tries, STEP_##undo },
  STEPS(X)
#undef X
};

#define LIST(name, ...) static const StepKind name##_steps[] = { __VA_ARGS__ }
LIST(provision, STEP_CLONE, STEP_SEED, STEP_GPU_MAKE, STEP_DEFINE, STEP_START, STEP_READY);
/* the old definition goes with its NVRAM and TPM before the next generation's disk is made */
LIST(reset, STEP_POWER_OFF, STEP_UNDEFINE, STEP_GPU_RELEASE, STEP_CLONE, STEP_SEED, STEP_GPU_MAKE, STEP_DEFINE, STEP_DELETE_OLD, STEP_START,
     STEP_READY, STEP_PROVE);
LIST(destroy, STEP_POWER_OFF, STEP_UNDEFINE, STEP_GPU_RELEASE, STEP_DELETE_VOLUMES);
LIST(personalise, STEP_PERSONALISE);
/* a host may have forgotten the domain; the disk is not made again. One that was off has no parts of cards any more: they may have to be made
 * elsewhere on it, and the definition names them */
LIST(recover, STEP_GPU_MAKE, STEP_DEFINE, STEP_START, STEP_READY);
LIST(wake, STEP_FIND_DISK, STEP_GPU_MAKE, STEP_DEFINE, STEP_START, STEP_READY);
LIST(heal, STEP_FIND_DISK, STEP_DEFINE);
/* a guest reads its seed when it boots */
LIST(reseed, STEP_POWER_OFF, STEP_SEED_PERSON, STEP_GPU_MAKE, STEP_DEFINE, STEP_START, STEP_READY);
/* the definition of one with parts of cards, when it is started: they may be others than at the last start */
LIST(power, STEP_GPU_MAKE, STEP_DEFINE, STEP_POWER);
/* the definition follows what runs, so that the next start has the same */
LIST(gpu_attach, STEP_GPU_MAKE, STEP_DEFINE, STEP_GPU_PLUG);
LIST(gpu_detach, STEP_GPU_UNPLUG, STEP_DEFINE, STEP_GPU_RELEASE);
/* claimed over there before anything is done; its host is another one from the moment it is seen there */
LIST(migrate, STEP_AIM, STEP_MIGRATE, STEP_ARRIVE, STEP_LEAVE);
LIST(import, STEP_IMPORT);
LIST(image_delete, STEP_DELETE_IMAGE);
#undef LIST

static const struct { const StepKind *steps; int n; } task_table[N_TASK_KINDS] = {
#define ROW(KIND, name) [KIND] = { name##_steps, G_N_ELEMENTS(name##_steps) }
  ROW(TASK_PROVISION, provision), ROW(TASK_RESET, reset), ROW(TASK_DESTROY, destroy), ROW(TASK_PERSONALISE, personalise),
  ROW(TASK_RECOVER, recover), ROW(TASK_WAKE, wake), ROW(TASK_HEAL, heal), ROW(TASK_RESEED, reseed),
  ROW(TASK_POWER, power), ROW(TASK_IMPORT, import), ROW(TASK_IMAGE_DELETE, image_delete),
  ROW(TASK_GPU_ATTACH, gpu_attach), ROW(TASK_GPU_DETACH, gpu_detach), ROW(TASK_MIGRATE, migrate),
#undef ROW
};

const StepKind *task_steps(TaskKind kind, int *ret_n)
{
  *ret_n = task_table[kind].n;
  return task_table[kind].steps;
}

static void drop(Noun noun, void *object)
{
  object_unref(&schemas[noun], object);
}

void step_order_free(StepOrder *order)
{
  if (!order)
    return;
  drop(NOUN_HOST, order->host);
  drop(NOUN_HOST, order->other);
  drop(NOUN_STORAGE, order->storage);
  drop(NOUN_DESKTOP, order->desktop);
  drop(NOUN_POOL, order->pool);
  drop(NOUN_TEMPLATE, order->template);
  drop(NOUN_IMAGE, order->image);
  drop(NOUN_SESSION, order->session);
  drop(NOUN_USER, order->person);
  for (guint i = 0; order->storages && i < order->storages->len; i++) {
    drop(NOUN_STORAGE, order->storages->pdata[i]);
    drop(NOUN_HOST, order->hosts->pdata[i]);
  }
  for (guint i = 0; order->house && i < order->house->len; i++)
    drop(NOUN_HOST, order->house->pdata[i]);
  g_clear_pointer(&order->house, g_ptr_array_unref);
  g_clear_pointer(&order->storages, g_ptr_array_unref);
  g_clear_pointer(&order->hosts, g_ptr_array_unref);
  for (guint i = 0; order->vgpus && i < order->vgpus->len; i++) {
    drop(NOUN_VGPU, order->vgpus->pdata[i]);
    drop(NOUN_GPU, order->gpus->pdata[i]);
  }
  g_clear_pointer(&order->vgpus, g_ptr_array_unref);
  g_clear_pointer(&order->gpus, g_ptr_array_unref);
  g_free(order->task);
  g_free(order->controller);
  g_free(order->domain);
  g_free(order);
}

StepResult *step_result_new(const StepOrder *order)
{
  StepResult *result = g_new0(StepResult, 1);
  result->kind = order->kind;
  result->task = g_strdup(order->task);
  result->index = order->index;
  result->attempt = order->attempt;
  result->call = order->call;
  result->era = order->era;
  return result;
}

void step_result_free(StepResult *result)
{
  if (!result)
    return;
  g_clear_error(&result->error);
  g_free(result->task);
  g_free(result->evidence);
  g_free(result->sha256);
  g_free(result->address);
  if (result->password)
    memset(result->password, 0, strlen(result->password));
  g_free(result->password);
  g_clear_pointer(&result->picture, g_bytes_unref);
  g_clear_pointer(&result->vgpus, g_ptr_array_unref);
  g_clear_pointer(&result->cards, g_ptr_array_unref);
  g_free(result);
}

bool vgpu_may_be_made(const Vgpu *claim)
{
  return claim->tries > 1 || claim->state != VGPU_CLAIMED;
}

static void vgpu_done_free(void *done)
{
  g_free(((VgpuDone *)done)->vgpu);
  g_free(done);
}

VgpuDone *step_result_add_vgpu(StepResult *result, const Vgpu *claim)
{
  if (!result->vgpus)
    result->vgpus = g_ptr_array_new_with_free_func(vgpu_done_free);
  VgpuDone *done = g_new0(VgpuDone, 1);
  done->vgpu = g_strdup(claim->head.name);
  done->clone = claim->clone;
  done->start = claim->start;
  g_strlcpy(done->uuid, claim->uuid ? claim->uuid : "", sizeof done->uuid);
  g_strlcpy(done->address, claim->address ? claim->address : "", sizeof done->address);
  g_ptr_array_add(result->vgpus, done);
  return done;
}

char *desktop_domain_uuid(const char *controller, const char *desktop)
{
  g_autoptr(GChecksum) sha = g_checksum_new(G_CHECKSUM_SHA1);
  g_checksum_update(sha, (const guchar *)controller, -1);
  g_checksum_update(sha, (const guchar *)"/", 1);
  g_checksum_update(sha, (const guchar *)desktop, -1);
  guint8 u[20];
  gsize n = sizeof u;
  g_checksum_get_digest(sha, u, &n);
  u[6] = (u[6] & 0x0f) | 0x50;
  u[8] = (u[8] & 0x3f) | 0x80;
  return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5], u[6],
                         u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

char *desktop_mac(const char *controller, const char *desktop)
{
  guint8 range[20];
  gsize n = sizeof range;
  g_autoptr(GChecksum) sha = g_checksum_new(G_CHECKSUM_SHA1);
  g_checksum_update(sha, (const guchar *)controller, -1);
  g_checksum_get_digest(sha, range, &n);
  guint32 number = (guint32)g_ascii_strtoull(desktop + strlen("d-"), NULL, 10);
  return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", (range[0] & 0xf0) | 0x02, range[1], number >> 24, number >> 16 & 0xff,
                         number >> 8 & 0xff, number & 0xff);
}

char *desktop_disk_volume(const char *desktop, int64_t clone)
{
  return g_strdup_printf("%s.g%" G_GINT64_FORMAT ".qcow2", desktop, clone);
}

char *desktop_seed_volume(const char *desktop, int64_t clone)
{
  return g_strdup_printf("%s.g%" G_GINT64_FORMAT ".seed.img", desktop, clone);
}

char *volume_owner(const char *controller, const char *of)
{
  g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, controller, -1);
  return g_strdup_printf("%s-%.8s", of, sum);
}

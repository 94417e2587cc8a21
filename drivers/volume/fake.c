#include "drivers/volume/fake.h"

#include <string.h>

#include "drivers/volume/lock.h"
#include "drivers/volume/pour.h"

enum { GRAIN_BYTES = 64, HANG_LOOK_US = 1000 };
#define FAKE_TOTAL_BYTES (INT64_C(1) << 40)

ENUM_DEFINE(VolumeVerb, volume_verb, VOLUME_VERBS, N_VOLUME_VERBS)
ENUM_DEFINE(VolumeFault, volume_fault, VOLUME_FAULTS, N_VOLUME_FAULTS)

/* Bytes that are not zeros, at an offset; a file is a list of such runs in ascending order. */
typedef struct {
  int64_t offset;
  GBytes *bytes;
} Run;

typedef struct {
  int64_t size_bytes, allocated_bytes;
  bool read_only, partial, busy;
  GArray *runs;
} FakeFile;

typedef struct {
  pthread_mutex_t lock;
  GHashTable *files; /* name → FakeFile; a part stands under ".NAME.part" */
  int64_t total_bytes, used_bytes;
  VolumeFakeFault faults[N_VOLUME_VERBS];
} Disk;

typedef struct {
  Volumes base;
  Disk *disk;
} FakeVolumes;

static pthread_mutex_t disks_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *disks; /* path → Disk */

static void run_clear(void *run) { g_bytes_unref(((Run *)run)->bytes); }

/* A file is counted: a call that reads it may outlive its name. */
static FakeFile *file_new(int64_t size_bytes)
{
  FakeFile *file = g_atomic_rc_box_new0(FakeFile);
  file->size_bytes = size_bytes;
  file->runs = g_array_new(FALSE, FALSE, sizeof(Run));
  g_array_set_clear_func(file->runs, run_clear);
  return file;
}

static void file_clear(void *file) { g_array_unref(((FakeFile *)file)->runs); }
static void file_unref(void *file) { g_atomic_rc_box_release_full(file, file_clear); }

static void disk_free(void *at)
{
  Disk *disk = at;
  g_hash_table_unref(disk->files);
  pthread_mutex_destroy(&disk->lock);
  g_free(disk);
}

static Disk *disk_get(const char *path)
{
  LOCKED(&disks_lock);
  if (!disks)
    disks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, disk_free);
  Disk *disk = g_hash_table_lookup(disks, path);
  if (disk)
    return disk;
  disk = g_new0(Disk, 1);
  pthread_mutex_init(&disk->lock, NULL);
  disk->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, file_unref);
  disk->total_bytes = FAKE_TOTAL_BYTES;
  g_hash_table_insert(disks, g_strdup(path), disk);
  return disk;
}

static Disk *disk_of(Volumes *volumes) { return ((FakeVolumes *)volumes)->disk; }

/* ── files ──────────────────────────────────────────────────────────────── */

static void file_drop(Disk *disk, const char *name)
{
  FakeFile *file = g_hash_table_lookup(disk->files, name);
  if (!file)
    return;
  disk->used_bytes -= file->allocated_bytes;
  g_hash_table_remove(disk->files, name);
}

/* A name changes hands; who held it before is gone. */
static void file_rename(Disk *disk, const char *from, const char *to)
{
  FakeFile *file = g_atomic_rc_box_acquire(g_hash_table_lookup(disk->files, from));
  g_hash_table_remove(disk->files, from);
  file_drop(disk, to);
  g_hash_table_insert(disk->files, g_strdup(to), file);
}

static void add_run(Disk *disk, FakeFile *file, int64_t offset, const uint8_t *data, size_t bytes)
{
  Run run = { offset, g_bytes_new(data, bytes) };
  g_array_append_val(file->runs, run);
  file->allocated_bytes += (int64_t)bytes;
  disk->used_bytes += (int64_t)bytes;
}

/* Keeps what is not zeros, in grains, neighbours together. */
static void file_append(Disk *disk, FakeFile *file, int64_t offset, const uint8_t *data, size_t bytes)
{
  for (size_t begin = 0, end; begin < bytes; begin = end) {
    end = MIN(begin + GRAIN_BYTES, bytes);
    if (bytes_are_zero(data + begin, end - begin))
      continue;
    while (end < bytes && !bytes_are_zero(data + end, MIN(GRAIN_BYTES, bytes - end)))
      end = MIN(end + GRAIN_BYTES, bytes);
    add_run(disk, file, offset + (int64_t)begin, data + begin, end - begin);
  }
}

static void file_read(const FakeFile *file, int64_t offset, uint8_t *buffer, size_t bytes)
{
  memset(buffer, 0, bytes);
  for (guint i = 0; i < file->runs->len; i++) {
    const Run *run = &g_array_index(file->runs, Run, i);
    size_t n;
    const uint8_t *data = g_bytes_get_data(run->bytes, &n);
    int64_t from = MAX(offset, run->offset), to = MIN(offset + (int64_t)bytes, run->offset + (int64_t)n);
    if (from < to)
      memcpy(buffer + (from - offset), data + (from - run->offset), (size_t)(to - from));
  }
}

static void file_cut(Disk *disk, FakeFile *file, int64_t offset)
{
  for (guint i = file->runs->len; i-- > 0;) {
    const Run run = g_array_index(file->runs, Run, i);
    int64_t bytes = (int64_t)g_bytes_get_size(run.bytes), keep = CLAMP(offset - run.offset, 0, bytes);
    if (keep == bytes)
      return;
    GBytes *kept = keep ? g_bytes_new(g_bytes_get_data(run.bytes, NULL), (gsize)keep) : NULL;
    file->allocated_bytes -= bytes;
    disk->used_bytes -= bytes;
    g_array_set_size(file->runs, i);
    if (kept)
      add_run(disk, file, run.offset, g_bytes_get_data(kept, NULL), (size_t)keep);
    g_clear_pointer(&kept, g_bytes_unref);
  }
}

/* ── faults ─────────────────────────────────────────────────────────────── */

/* Takes the verb's fault for this call; times is 0 where there is none. */
static VolumeFakeFault fault_take(Disk *disk, VolumeVerb verb)
{
  LOCKED(&disk->lock);
  VolumeFakeFault fault = disk->faults[verb];
  if (fault.times > 0)
    disk->faults[verb].times--;
  return fault;
}

static bool fault_fail(const VolumeFakeFault *fault, const char *name, GError **err)
{
  return error_false(err, REASON_IO, "action", volume_verb_name(fault->verb), "path", name, "detail", "scripted failure", NULL);
}

static bool fault_wait(const VolumeFakeFault *fault, const VolumeCall *call, const char *name, GError **err)
{
  int64_t end_us = g_get_monotonic_time() + fault->delay_us;
  while (fault->fault == VOLUME_FAULT_HANG || g_get_monotonic_time() < end_us) {
    if (!volume_call_check(call, name, err))
      return false;
    g_usleep(HANG_LOOK_US);
  }
  return true;
}

/* Before the work: false where the fault is all there is. */
static bool fault_before(const VolumeFakeFault *fault, const VolumeCall *call, const char *name, GError **err)
{
  if (!fault->times)
    return true;
  switch (fault->fault) {
    case VOLUME_FAULT_FAIL: return fault_fail(fault, name, err);
    case VOLUME_FAULT_SLOW:
    case VOLUME_FAULT_HANG: return fault_wait(fault, call, name, err);
    case VOLUME_FAULT_AFTER:
    case VOLUME_FAULT_CUT:
    case N_VOLUME_FAULTS: return true;
  }
  return true;
}

/* After the work has succeeded. */
static bool fault_after(const VolumeFakeFault *fault, const char *name, GError **err)
{
  return !fault->times || fault->fault != VOLUME_FAULT_AFTER || fault_fail(fault, name, err);
}

void volume_fake_script(const char *path, const VolumeFakeFault *fault)
{
  Disk *disk = disk_get(path);
  LOCKED(&disk->lock);
  disk->faults[fault->verb] = *fault;
}

void volume_fake_resize(const char *path, int64_t total_bytes)
{
  Disk *disk = disk_get(path);
  LOCKED(&disk->lock);
  disk->total_bytes = total_bytes;
}

void volume_fake_plant(const char *path, const char *name, GBytes *bytes)
{
  Disk *disk = disk_get(path);
  LOCKED(&disk->lock);
  file_drop(disk, name);
  if (!bytes)
    return;
  FakeFile *file = file_new((int64_t)g_bytes_get_size(bytes));
  file_append(disk, file, 0, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
  g_hash_table_insert(disk->files, g_strdup(name), file);
}

void volume_fake_forget(const char *path)
{
  LOCKED(&disks_lock);
  if (disks)
    g_hash_table_remove(disks, path);
}

/* ── verbs ──────────────────────────────────────────────────────────────── */

static bool fake_open(const VolumesOptions *options, const VolumeCall *call, Volumes **ret_volumes, GError **err)
{
  Disk *disk = disk_get(options->path);
  VolumeFakeFault fault = fault_take(disk, VOLUME_VERB_OPEN);
  g_autoptr(GError) why = NULL;
  if (!fault_before(&fault, call, options->path, &why) || !fault_after(&fault, options->path, &why))
    return error_false(err, REASON_STORAGE_UNREACHABLE, "storage", options->storage, "detail", why->message, NULL);
  FakeVolumes *fake = g_new0(FakeVolumes, 1);
  fake->disk = disk;
  *ret_volumes = &fake->base;
  return true;
}

static void fake_close(Volumes *volumes) { g_free(volumes); }

static bool fake_space(Volumes *volumes, const VolumeCall *call, VolumeSpace *ret_space, GError **err)
{
  Disk *disk = disk_of(volumes);
  VolumeFakeFault fault = fault_take(disk, VOLUME_VERB_SPACE);
  if (!fault_before(&fault, call, volumes->storage, err) || !fault_after(&fault, volumes->storage, err))
    return false;
  LOCKED(&disk->lock);
  *ret_space = (VolumeSpace){ disk->total_bytes, MAX(disk->total_bytes - disk->used_bytes, 0) };
  return true;
}

static VolumeFacts *facts_new(const char *name, const FakeFile *file)
{
  VolumeFacts *facts = g_new0(VolumeFacts, 1);
  facts->partial = file->partial;
  facts->name = file->partial ? g_strndup(name + 1, strlen(name) - strlen("..part")) : g_strdup(name);
  facts->size_bytes = file->size_bytes;
  facts->allocated_bytes = file->allocated_bytes;
  facts->read_only = file->read_only;
  return facts;
}

static bool fake_list(Volumes *volumes, const VolumeCall *call, const char *prefix, GPtrArray *volumes_out, GError **err)
{
  Disk *disk = disk_of(volumes);
  VolumeFakeFault fault = fault_take(disk, VOLUME_VERB_LIST);
  if (!fault_before(&fault, call, volumes->storage, err) || !fault_after(&fault, volumes->storage, err))
    return false;
  LOCKED(&disk->lock);
  GHashTableIter each;
  void *name, *file;
  g_hash_table_iter_init(&each, disk->files);
  while (g_hash_table_iter_next(&each, &name, &file))
    if (g_str_has_prefix((char *)name + ((FakeFile *)file)->partial, prefix))
      g_ptr_array_add(volumes_out, facts_new(name, file));
  return true;
}

static bool not_found(const char *name, GError **err)
{
  return error_false(err, REASON_NOT_FOUND, "kind", "volume", "name", name, NULL);
}

static bool fake_look(Volumes *volumes, const VolumeCall *call, const char *name, VolumeFacts **ret_facts, GError **err)
{
  Disk *disk = disk_of(volumes);
  VolumeFakeFault fault = fault_take(disk, VOLUME_VERB_LOOK);
  if (!fault_before(&fault, call, name, err) || !fault_after(&fault, name, err))
    return false;
  LOCKED(&disk->lock);
  const FakeFile *file = g_hash_table_lookup(disk->files, name);
  if (!file)
    return not_found(name, err);
  *ret_facts = facts_new(name, file);
  return true;
}

static bool fake_read(Volumes *volumes, const VolumeCall *call, const char *name, int64_t offset, size_t bytes,
                      GBytes **ret_bytes, GError **err)
{
  Disk *disk = disk_of(volumes);
  VolumeFakeFault fault = fault_take(disk, VOLUME_VERB_READ);
  if (!fault_before(&fault, call, name, err) || !fault_after(&fault, name, err))
    return false;
  LOCKED(&disk->lock);
  const FakeFile *file = g_hash_table_lookup(disk->files, name);
  if (!file)
    return not_found(name, err);
  size_t there = (size_t)CLAMP(file->size_bytes - offset, 0, (int64_t)bytes);
  uint8_t *buffer = g_malloc(MAX(there, 1));
  file_read(file, offset, buffer, there);
  *ret_bytes = g_bytes_new_take(buffer, there);
  return true;
}

/* ── put ────────────────────────────────────────────────────────────────── */

typedef struct {
  FakeVolumes *fake;
  const char *name;
  FakeFile *file;
  VolumeFakeFault fault;
} Put;

static bool sink_write(void *owner, int64_t offset, const void *data, size_t bytes, GError **err)
{
  const Put *put = owner;
  Disk *disk = put->fake->disk;
  bool cut = put->fault.times && put->fault.fault == VOLUME_FAULT_CUT && offset + (int64_t)bytes > put->fault.cut_bytes;
  size_t kept = cut ? (size_t)CLAMP(put->fault.cut_bytes - offset, 0, (int64_t)bytes) : bytes;
  LOCKED(&disk->lock);
  if (disk->used_bytes + (int64_t)kept > disk->total_bytes)
    return error_false(err, REASON_STORAGE_FULL, "storage", put->fake->base.storage, "name", put->name, NULL);
  file_append(disk, put->file, offset, data, kept);
  return !cut || fault_fail(&put->fault, put->name, err);
}

static bool sink_same(void *owner, int64_t offset, const void *data, int64_t bytes, bool *ret_same, GError **err)
{
  const Put *put = owner;
  uint8_t there[4096];
  *ret_same = true;
  LOCKED(&put->fake->disk->lock);
  for (int64_t at = 0; at < bytes && *ret_same; at += (int64_t)sizeof there) {
    size_t n = (size_t)MIN(bytes - at, (int64_t)sizeof there);
    file_read(put->file, offset + at, there, n);
    *ret_same = data ? !memcmp(there, (const uint8_t *)data + at, n) : bytes_are_zero(there, n);
  }
  return true;
}

static bool sink_cut(void *owner, int64_t offset, GError **err)
{
  const Put *put = owner;
  LOCKED(&put->fake->disk->lock);
  file_cut(put->fake->disk, put->file, offset);
  return true;
}

static bool sink_refuse(void *owner, int64_t offset, GError **err)
{
  return volume_refuse_other(((const Put *)owner)->name, offset, err);
}

static bool put_again(Put *put, const VolumeCall *call, const VolumeContent *content, GError **err)
{
  const VolumeSink sink = { NULL, sink_same, sink_refuse, put };
  if (put->file->size_bytes != content->size_bytes)
    return sink_refuse(put, MIN(put->file->size_bytes, content->size_bytes), err);
  return volume_pour(content, &sink, true, call, put->name, err);
}

/* The part is made, or taken over from an earlier call; false while another call writes it. */
static bool part_begin(Put *put, const char *part, int64_t size_bytes, bool *ret_resume, GError **err)
{
  Disk *disk = put->fake->disk;
  LOCKED(&disk->lock);
  FakeFile *file = g_hash_table_lookup(disk->files, part);
  if (file && file->busy)
    return error_false(err, REASON_VOLUME_BUSY, "storage", put->fake->base.storage, "name", put->name, NULL);
  *ret_resume = *ret_resume && file && file->size_bytes == size_bytes;
  if (!*ret_resume) {
    file_drop(disk, part);
    file = file_new(size_bytes);
    g_hash_table_insert(disk->files, g_strdup(part), file);
  }
  file->busy = file->partial = true;
  put->file = file;
  return true;
}

static bool part_publish(Put *put, const char *part, const VolumeContent *content, VolumeFlags flags, GError **err)
{
  Disk *disk = put->fake->disk;
  if (content->check && !content->check(content->owner, -1, err))
    return false;
  LOCKED(&disk->lock);
  if (!(flags & VOLUME_REPLACE) && g_hash_table_contains(disk->files, put->name))
    return error_false(err, REASON_EXISTS, "kind", "volume", "name", put->name, NULL);
  put->file->busy = put->file->partial = false;
  put->file->read_only = flags & VOLUME_READ_ONLY;
  file_rename(disk, part, put->name);
  return true;
}

static bool put_new(Put *put, const VolumeCall *call, const VolumeContent *content, VolumeFlags flags, GError **err)
{
  const VolumeSink sink = { sink_write, sink_same, sink_cut, put };
  g_autofree char *part = g_strdup_printf(".%s.part", put->name);
  g_autoptr(GError) why = NULL;
  bool resume = flags & VOLUME_RESUME;
  if (!part_begin(put, part, content->size_bytes, &resume, err))
    return false;
  if (volume_pour(content, &sink, resume, call, put->name, &why) && part_publish(put, part, content, flags, &why))
    return true;
  LOCKED(&put->fake->disk->lock);
  put->file->busy = false;
  if (!(flags & VOLUME_RESUME) || !volume_error_keeps_part(why))
    file_drop(put->fake->disk, part);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

/* A reference of the caller's, or NULL. */
static FakeFile *find(Disk *disk, const char *name)
{
  LOCKED(&disk->lock);
  FakeFile *file = g_hash_table_lookup(disk->files, name);
  return file ? g_atomic_rc_box_acquire(file) : NULL;
}

static bool fake_put(Volumes *volumes, const VolumeCall *call, const char *name, const VolumeContent *content, VolumeFlags flags,
                     GError **err)
{
  Put put = { (FakeVolumes *)volumes, name, NULL, fault_take(disk_of(volumes), VOLUME_VERB_PUT) };
  if (!fault_before(&put.fault, call, name, err))
    return false;
  FakeFile *there = put.file = flags & VOLUME_REPLACE ? NULL : find(disk_of(volumes), name);
  bool ok = !there                      ? put_new(&put, call, content, flags, err)
            : (flags & VOLUME_RESUME) ? put_again(&put, call, content, err)
                                      : error_false(err, REASON_EXISTS, "kind", "volume", "name", name, NULL);
  g_clear_pointer(&there, file_unref);
  return ok && fault_after(&put.fault, name, err);
}

static bool fake_copy(Volumes *volumes, const VolumeCall *call, const char *from, const char *name, GError **err)
{
  Disk *disk = disk_of(volumes);
  VolumeFakeFault fault = fault_take(disk, VOLUME_VERB_COPY);
  if (!fault_before(&fault, call, name, err))
    return false;
  LOCKED(&disk->lock);
  const FakeFile *source = g_hash_table_lookup(disk->files, from);
  if (!source)
    return not_found(from, err);
  if (g_hash_table_contains(disk->files, name))
    return error_false(err, REASON_EXISTS, "kind", "volume", "name", name, NULL);
  if (disk->used_bytes + source->allocated_bytes > disk->total_bytes)
    return error_false(err, REASON_STORAGE_FULL, "storage", volumes->storage, "name", name, NULL);
  FakeFile *file = file_new(source->size_bytes);
  for (guint i = 0; i < source->runs->len; i++) {
    const Run *run = &g_array_index(source->runs, Run, i);
    add_run(disk, file, run->offset, g_bytes_get_data(run->bytes, NULL), g_bytes_get_size(run->bytes));
  }
  g_hash_table_insert(disk->files, g_strdup(name), file);
  return fault_after(&fault, name, err);
}

static bool fake_del(Volumes *volumes, const VolumeCall *call, const char *name, GError **err)
{
  Disk *disk = disk_of(volumes);
  g_autofree char *part = g_strdup_printf(".%s.part", name);
  VolumeFakeFault fault = fault_take(disk, VOLUME_VERB_DELETE);
  if (!fault_before(&fault, call, name, err))
    return false;
  LOCKED(&disk->lock);
  const FakeFile *written = g_hash_table_lookup(disk->files, part);
  if (written && written->busy)
    return error_false(err, REASON_VOLUME_BUSY, "storage", volumes->storage, "name", name, NULL);
  file_drop(disk, name);
  file_drop(disk, part);
  return fault_after(&fault, name, err);
}

const VolumeDriver volume_driver_fake = {
  .open = fake_open,
  .close = fake_close,
  .space = fake_space,
  .list = fake_list,
  .look = fake_look,
  .read = fake_read,
  .put = fake_put,
  .copy = fake_copy,
  .del = fake_del,
};

/* Storages: how much room they have, as measured through the hosts that have them. */
#include "core/brain_parts.h"

enum { MEASURE_EVERY_S = 20 };

static bool host_has(const Storage *storage, const char *host)
{
  return !storage->hosts || g_strv_contains((const char *const *)storage->hosts, host);
}

static Measure *measure_of(Brain *b, const char *storage)
{
  Measure *m = g_hash_table_lookup(b->measures, storage);
  if (!m) {
    m = g_new0(Measure, 1);
    g_hash_table_insert(b->measures, g_strdup(storage), m);
  }
  return m;
}

void storages_look(Brain *b, const char *host)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_STORAGE);
  for (guint i = 0; i < names->len; i++) {
    Measure *m = measure_of(b, names->pdata[i]);
    bool lately = m->at_us && b->now_us - m->at_us < MEASURE_EVERY_S * SECOND_US;
    if (m->asked || lately || !host_has(GET(b, Storage, STORAGE, names->pdata[i]), host))
      continue;
    m->asked = true; /* one that hangs is asked once */
    b->reply = NULL;
    brain_call(b, STEP_MEASURE, NULL, host, names->pdata[i]);
  }
}

void storage_measured(Brain *b, const char *name, const StepResult *result)
{
  *measure_of(b, name) = (Measure){ b->now_us, false };
  const Storage *storage = GET(b, Storage, STORAGE, name);
  if (!storage) {
    g_hash_table_remove(b->measures, name);
    return;
  }
  g_autofree char *why = result->error ? brain_error_json(result->error) : NULL;
  bool same = storage->total_bytes == result->total_bytes && storage->free_bytes == result->free_bytes && !g_strcmp0(storage->error, why);
  if (same)
    return;
  bool other = !result->error && storage->total_bytes != result->total_bytes;
  Storage *seen = other ? EDIT(b, Storage, STORAGE, name) : SEE(b, Storage, STORAGE, name); /* what it takes of disks may hang on its size */
  text_set(&seen->error, why);
  if (result->error)
    return; /* what was measured before is the best that is known */
  bool more = result->free_bytes > seen->free_bytes || result->total_bytes > seen->total_bytes;
  seen->total_bytes = result->total_bytes;
  seen->free_bytes = result->free_bytes;
  if (more)
    all_pools_dirty(b); /* what had no room may have some now */
}

/* Its copy is being written, or will be: the room was there when it was measured. */
static int64_t under_way_bytes(Brain *b, const Desktop *d, const char *storage)
{
  const Pool *pool = GET(b, Pool, POOL, d->pool);
  const ImageVersion *image = GET(b, ImageVersion, IMAGE, d->image);
  bool writes = (d->state == DESKTOP_PROVISIONING || d->state == DESKTOP_RESETTING) && !g_strcmp0(d->storage, storage);
  return writes && pool && pool->disk == DISK_COPY && image ? image->size_bytes : 0;
}

int64_t storage_room_bytes(Brain *b, const Storage *storage)
{
  if (!storage->total_bytes)
    return INT64_MAX;
  int64_t room = storage->free_bytes;
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_DESKTOP);
  for (guint i = 0; i < names->len; i++)
    room -= under_way_bytes(b, GET(b, Desktop, DESKTOP, names->pdata[i]), storage->head.name);
  return MAX(room, 0);
}

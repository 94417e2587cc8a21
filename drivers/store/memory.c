#include "drivers/store/memory.h"

#include <pthread.h>
#include <string.h>

#define UNNUMBERED (INT64_C(1) << 62)

/* A copy of its own: who changes an object behind the store's back changes nothing here. */
typedef struct {
  Object *object;
  int64_t id; /* the order of history: number of the name, else of creation */
} Row;

typedef struct {
  GHashTable *live;   /* name (the object's) → Row */
  GPtrArray *archive; /* of Row, in the order of their ends */
} Table;

struct MemoryDisk {
  pthread_mutex_t lock; /* over all that follows: readers come on threads of their own */
  Table tables[N_NOUNS];
  int64_t sequence, epoch, next_id;
  bool held;
};

typedef struct {
  Store head;
  MemoryDisk *disk;
  bool owns_disk;
} MemoryStore;

typedef struct {
  StoreReader head;
  MemoryDisk *disk;
} MemoryReader;

static MemoryDisk *disk_of(Store *store)
{
  return ((MemoryStore *)store)->disk;
}

/* ── rows ─────────────────────────────────────────────────────────────────── */

static Row *row_new(const Object *object, int64_t id)
{
  Row *row = g_new(Row, 1);
  *row = (Row){ object_dup(&schemas[object->noun], object), id };
  return row;
}

static void row_free(void *data)
{
  Row *row = data;
  store_object_drop(row->object);
  g_free(row);
}

static int64_t fresh_id(MemoryDisk *disk, const Object *object)
{
  int64_t number = store_name_number(object->noun, object->name);
  return number ? number : disk->next_id++;
}

static void put(MemoryDisk *disk, const Object *object)
{
  GHashTable *live = disk->tables[object->noun].live;
  const Row *old = g_hash_table_lookup(live, object->name);
  Row *row = row_new(object, old ? old->id : fresh_id(disk, object));
  g_hash_table_replace(live, row->object->name, row);
}

static void archive(MemoryDisk *disk, const Object *object)
{
  Table *table = &disk->tables[object->noun];
  const Row *old = g_hash_table_lookup(table->live, object->name);
  g_ptr_array_add(table->archive, row_new(object, old ? old->id : fresh_id(disk, object)));
  g_hash_table_remove(table->live, object->name);
}

static void write_change(MemoryDisk *disk, const Change *c)
{
  switch (c->how) {
  case CHANGE_PUT:
    put(disk, c->object);
    return;
  case CHANGE_DELETE:
    g_hash_table_remove(disk->tables[c->noun].live, c->object->name);
    return;
  case CHANGE_ARCHIVE:
    g_assert(c->noun != NOUN_EVENT);
    archive(disk, c->object);
    return;
  }
}

static int compare_ids(const void *a, const void *b)
{
  int64_t x = (*(Row *const *)a)->id, y = (*(Row *const *)b)->id;
  return (x > y) - (x < y);
}

static GPtrArray *live_rows(MemoryDisk *disk, Noun noun)
{
  GPtrArray *rows = g_ptr_array_new();
  GHashTableIter iter;
  void *row;
  g_hash_table_iter_init(&iter, disk->tables[noun].live);
  while (g_hash_table_iter_next(&iter, NULL, &row))
    g_ptr_array_add(rows, row);
  return rows;
}

static void row_forget(MemoryDisk *disk, Row *row)
{
  Table *table = &disk->tables[row->object->noun];
  if (row->object->noun == NOUN_EVENT)
    g_hash_table_remove(table->live, row->object->name);
  else
    g_ptr_array_remove(table->archive, row);
}

static void write_prune(MemoryDisk *disk, const Prune *p)
{
  const GPtrArray *archive = disk->tables[p->noun].archive;
  g_autoptr(GPtrArray) rows = p->noun == NOUN_EVENT ? live_rows(disk, p->noun) : g_ptr_array_new();
  for (guint i = 0; p->noun != NOUN_EVENT && i < archive->len; i++)
    g_ptr_array_add(rows, archive->pdata[i]);
  g_ptr_array_sort(rows, compare_ids);
  for (guint i = 0; i + 1 < rows->len && i < p->max; i++)
    if (((Row *)rows->pdata[i])->object->changed_us < p->before_us)
      row_forget(disk, rows->pdata[i]);
}

static void write_batch(MemoryDisk *disk, const Batch *batch)
{
  for (guint i = 0; i < batch->changes->len; i++)
    write_change(disk, &g_array_index(batch->changes, Change, i));
  for (guint i = 0; i < batch->prunes->len; i++)
    write_prune(disk, &g_array_index(batch->prunes, Prune, i));
  disk->sequence = batch->sequence;
}

/* ── apply ────────────────────────────────────────────────────────────────── */

static bool refuse_number(Reason reason, const char *last_name, int64_t last, const char *found_name, int64_t found, GError **err)
{
  g_autofree char *last_text = g_strdup_printf("%" G_GINT64_FORMAT, last), *found_text = g_strdup_printf("%" G_GINT64_FORMAT, found);
  return error_false(err, reason, last_name, last_text, found_name, found_text, NULL);
}

static bool list_is_lines(char **list, const Field *f, GError **err)
{
  for (char **item = list; item && *item; item++)
    if (strchr(*item, '\n'))
      return error_false(err, REASON_BAD_VALUE, "field", f->name, "value", *item, "limit", "a line of text", NULL);
  return true;
}

static bool batch_is_writable(const Batch *batch, GError **err)
{
  for (guint i = 0; i < batch->changes->len; i++) {
    const Object *object = g_array_index(batch->changes, Change, i).object;
    const Schema *schema = &schemas[object->noun];
    for (int k = 0; k < schema->n_fields; k++)
      if (schema->fields[k].type == FIELD_LIST &&
          !list_is_lines(FIELD_AT(char **, object, &schema->fields[k]), &schema->fields[k], err))
        return false;
  }
  return true;
}

static bool may_apply(MemoryDisk *disk, const Batch *const *batches, int n, int64_t epoch, GError **err)
{
  if (epoch < disk->epoch)
    return refuse_number(REASON_STORE_FENCED, "found", disk->epoch, "ours", epoch, err);
  for (int i = 0; i < n; i++) {
    if (batches[i]->sequence != disk->sequence + 1 + i)
      return refuse_number(REASON_STORE_GAP, "last", disk->sequence + i, "found", batches[i]->sequence, err);
    if (!batch_is_writable(batches[i], err))
      return false;
  }
  return true;
}

static bool apply_locked(MemoryDisk *disk, const Batch *const *batches, int n, int64_t epoch, GError **err)
{
  if (!may_apply(disk, batches, n, epoch, err))
    return false;
  disk->epoch = epoch;
  for (int i = 0; i < n; i++)
    write_batch(disk, batches[i]);
  return true;
}

static bool memory_apply(Store *store, const Batch *const *batches, int n, int64_t epoch, GError **err)
{
  MemoryDisk *disk = disk_of(store);
  pthread_mutex_lock(&disk->lock);
  bool applied = n < 1 || apply_locked(disk, batches, n, epoch, err);
  pthread_mutex_unlock(&disk->lock);
  return applied;
}

/* ── load, history ────────────────────────────────────────────────────────── */

static int compare_ids_down(const void *a, const void *b)
{
  return compare_ids(b, a);
}

static void load_noun(MemoryDisk *disk, Noun noun, StoreSink sink, void *data)
{
  g_autoptr(GPtrArray) rows = live_rows(disk, noun);
  g_ptr_array_sort(rows, compare_ids);
  for (guint i = 0; i < rows->len; i++)
    sink(object_dup(&schemas[noun], ((Row *)rows->pdata[i])->object), data);
}

static bool memory_load(Store *store, StoreSink sink, void *data, int64_t *ret_sequence, GError **err)
{
  MemoryDisk *disk = disk_of(store);
  pthread_mutex_lock(&disk->lock);
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    if (noun != NOUN_EVENT)
      load_noun(disk, noun, sink, data);
  *ret_sequence = disk->sequence;
  pthread_mutex_unlock(&disk->lock);
  return true;
}

/* Live and archived rows, newest first; of two with one id the live one. */
static GPtrArray *all_rows(MemoryDisk *disk, Noun noun)
{
  GPtrArray *rows = live_rows(disk, noun);
  const GPtrArray *archived = disk->tables[noun].archive;
  for (guint i = archived->len; i-- > 0;)
    g_ptr_array_add(rows, archived->pdata[i]);
  g_ptr_array_sort(rows, compare_ids_down);
  return rows;
}

static const Row *newest_named(const GPtrArray *rows, const char *name)
{
  for (guint i = 0; i < rows->len; i++)
    if (!strcmp(((Row *)rows->pdata[i])->object->name, name))
      return rows->pdata[i];
  return NULL;
}

static GPtrArray *page(const GPtrArray *rows, Noun noun, const char *before, int limit, GError **err)
{
  int64_t id = before ? store_name_number(noun, before) : INT64_MAX;
  const Row *at = id ? NULL : newest_named(rows, before);
  if (!id && !at)
    return error_null(err, REASON_NOT_FOUND, "kind", schemas[noun].noun, "name", before, NULL);
  id = at ? at->id : id;
  GPtrArray *objects = g_ptr_array_new_with_free_func(store_object_drop);
  for (guint i = 0; i < rows->len && (int)objects->len < limit; i++)
    if (((Row *)rows->pdata[i])->id < id)
      g_ptr_array_add(objects, object_dup(&schemas[noun], ((Row *)rows->pdata[i])->object));
  return objects;
}

static GPtrArray *memory_history(StoreReader *reader, Noun noun, const char *before, int limit, GError **err)
{
  MemoryDisk *disk = ((MemoryReader *)reader)->disk;
  pthread_mutex_lock(&disk->lock);
  g_autoptr(GPtrArray) rows = all_rows(disk, noun);
  GPtrArray *objects = page(rows, noun, before, limit, err);
  pthread_mutex_unlock(&disk->lock);
  return objects;
}

static Object *memory_find(StoreReader *reader, Noun noun, const char *name, GError **err)
{
  MemoryDisk *disk = ((MemoryReader *)reader)->disk;
  pthread_mutex_lock(&disk->lock);
  const Row *row = g_hash_table_lookup(disk->tables[noun].live, name);
  g_autoptr(GPtrArray) rows = all_rows(disk, noun);
  row = row ? row : newest_named(rows, name);
  Object *object = row ? object_dup(&schemas[noun], row->object) : NULL;
  pthread_mutex_unlock(&disk->lock);
  return object ? object : error_null(err, REASON_NOT_FOUND, "kind", schemas[noun].noun, "name", name, NULL);
}

static StoreReader *memory_reader_open(Store *store, GError **err)
{
  MemoryReader *reader = g_new0(MemoryReader, 1);
  reader->head.driver = store->driver;
  reader->disk = disk_of(store);
  return &reader->head;
}

static void memory_reader_close(StoreReader *reader)
{
  g_free(reader);
}

/* ── life ─────────────────────────────────────────────────────────────────── */

extern const StoreDriver store_memory;

MemoryDisk *memory_disk_new(void)
{
  MemoryDisk *disk = g_new0(MemoryDisk, 1);
  pthread_mutex_init(&disk->lock, NULL);
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    disk->tables[noun].live = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, row_free);
    disk->tables[noun].archive = g_ptr_array_new_with_free_func(row_free);
  }
  disk->next_id = UNNUMBERED;
  return disk;
}

void memory_disk_free(MemoryDisk *disk)
{
  if (!disk)
    return;
  g_assert(!disk->held);
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    g_hash_table_unref(disk->tables[noun].live);
    g_ptr_array_unref(disk->tables[noun].archive);
  }
  pthread_mutex_destroy(&disk->lock);
  g_free(disk);
}

Store *memory_open(MemoryDisk *disk, GError **err)
{
  pthread_mutex_lock(&disk->lock);
  bool held = disk->held;
  disk->held = true;
  pthread_mutex_unlock(&disk->lock);
  if (held)
    return error_null(err, REASON_STORE_BUSY, "holder", "this process", NULL);
  MemoryStore *store = g_new0(MemoryStore, 1);
  store->head.driver = &store_memory;
  store->disk = disk;
  return &store->head;
}

static Store *memory_open_own(const char *location, GError **err)
{
  if (*location)
    return error_null(err, REASON_BAD_VALUE, "field", "store", "value", location, "limit", "empty behind \"memory:\"", NULL);
  Store *store = memory_open(memory_disk_new(), err);
  ((MemoryStore *)store)->owns_disk = true;
  return store;
}

static void memory_close(Store *store)
{
  MemoryStore *s = (MemoryStore *)store;
  pthread_mutex_lock(&s->disk->lock);
  s->disk->held = false;
  pthread_mutex_unlock(&s->disk->lock);
  if (s->owns_disk)
    memory_disk_free(s->disk);
  g_free(s);
}

static bool memory_check(Store *store, GError **err)
{
  return true;
}

const StoreDriver store_memory = {
  .scheme = "memory",
  .open = memory_open_own,
  .close = memory_close,
  .load = memory_load,
  .apply = memory_apply,
  .check = memory_check,
  .reader_open = memory_reader_open,
  .reader_close = memory_reader_close,
  .history = memory_history,
  .find = memory_find,
};

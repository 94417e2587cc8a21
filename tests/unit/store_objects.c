#include "tests/unit/store_objects.h"

#include <string.h>

/* ── objects ──────────────────────────────────────────────────────────────── */

static const char *const texts[N_VARIANTS] = {
  NULL, "", "x", "'; DROP TABLE desktop; --", "\xf0\x9f\x98\x80 \xec\x82\xac\xeb\x9e\x91 \xe2\x80\xae", "\x01\x02\x7f\t\n\r\"\\%s%n",
  "\xff\xfe\x80", "NULL",
};
static const int64_t numbers[N_VARIANTS] = { 0, 1, -1, INT64_MAX, INT64_MIN, 42, INT64_C(1) << 53, -1000000007 };
static const char *const lists[N_VARIANTS][4] = {
  { NULL }, { "" }, { "a" }, { "a", "b", "a" }, { "", "" }, { "\xf0\x9f\x98\x80", "\t'\"" }, { " ", "\r", "0" }, { "b", "", "c" },
};

static void set_field(Object *object, const Field *f, int variant)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_JSON:
    text_set(field_at(object, f), texts[variant]);
    return;
  case FIELD_REF:
    ref_set(field_at(object, f), texts[variant]);
    return;
  case FIELD_INT:
  case FIELD_TIME:
    FIELD_AT(int64_t, object, f) = numbers[variant];
    return;
  case FIELD_BOOL:
    FIELD_AT(bool, object, f) = variant & 1;
    return;
  case FIELD_ENUM:
    FIELD_AT(int, object, f) = variant == 3 ? f->names->n - 1 : variant % f->names->n;
    return;
  case FIELD_LIST:
    list_set(field_at(object, f), lists[variant]);
    return;
  }
}

Object *make_object(Noun noun, const char *name, int variant)
{
  const Schema *schema = &schemas[noun];
  Object *object = object_new(schema, noun, name);
  object->generation = 1 + variant;
  object->created_us = INT64_C(1700000000000000) + variant;
  object->changed_us = variant == 3 ? INT64_MAX : object->created_us;
  for (int i = 0; i < schema->n_fields; i++)
    set_field(object, &schema->fields[i], (variant + i * (variant > 0)) % N_VARIANTS);
  return object;
}

static void assert_texts_equal(const char *a, const char *b)
{
  assert_int_equal(a != NULL, b != NULL);
  if (a)
    assert_string_equal(a, b);
}

static void assert_lists_equal(char **a, char **b)
{
  assert_int_equal(a != NULL, b != NULL);
  if (!a)
    return;
  assert_int_equal(g_strv_length(a), g_strv_length(b));
  for (; *a; a++, b++)
    assert_string_equal(*a, *b);
}

static void assert_fields_equal(const Object *a, const Object *b, const Field *f)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_JSON:
  case FIELD_REF:
    assert_texts_equal(FIELD_AT(char *, a, f), FIELD_AT(char *, b, f));
    return;
  case FIELD_INT:
  case FIELD_TIME:
    assert_true(FIELD_AT(int64_t, a, f) == FIELD_AT(int64_t, b, f));
    return;
  case FIELD_BOOL:
    assert_true(FIELD_AT(bool, a, f) == FIELD_AT(bool, b, f));
    return;
  case FIELD_ENUM:
    assert_int_equal(FIELD_AT(int, a, f), FIELD_AT(int, b, f));
    return;
  case FIELD_LIST:
    assert_lists_equal(FIELD_AT(char **, a, f), FIELD_AT(char **, b, f));
    return;
  }
}

void assert_objects_equal(const Object *a, const Object *b)
{
  assert_int_equal(a->noun, b->noun);
  assert_string_equal(a->name, b->name);
  assert_true(a->generation == b->generation);
  assert_true(a->created_us == b->created_us);
  assert_true(a->changed_us == b->changed_us);
  for (int i = 0; i < schemas[a->noun].n_fields; i++)
    assert_fields_equal(a, b, &schemas[a->noun].fields[i]);
}

/* ── batches ──────────────────────────────────────────────────────────────── */

void batch_add(Batch *batch, int how, Object *object)
{
  g_array_append_val(batch->changes, ((Change){ object->noun, how, object }));
}

Batch *batch_of(int64_t sequence, int how, Noun noun, const char *name, int variant)
{
  Batch *batch = batch_new(sequence);
  batch_add(batch, how, make_object(noun, name, variant));
  return batch;
}

void must_apply(Store *store, Batch *take_batch)
{
  g_autoptr(Batch) batch = take_batch;
  g_autoptr(GError) err = NULL;
  const Batch *one = batch;
  bool applied = store->driver->apply(store, &one, 1, 1, &err);
  if (err)
    print_error("%s\n", err->message);
  assert_true(applied);
  assert_null(err);
}

void must_refuse(Store *store, Batch *take_batch, int64_t epoch, Reason reason)
{
  g_autoptr(Batch) batch = take_batch;
  g_autoptr(GError) err = NULL;
  const Batch *one = batch;
  assert_false(store->driver->apply(store, &one, 1, epoch, &err));
  assert_string_equal(reason_wire(error_reason(err)), reason_wire(reason));
}

/* ── reading ──────────────────────────────────────────────────────────────── */

static void add(Object *object, void *objects)
{
  g_ptr_array_add(objects, object);
}

GPtrArray *load_objects(Store *store, int64_t *ret_sequence)
{
  GPtrArray *objects = g_ptr_array_new_with_free_func(store_object_drop);
  g_autoptr(GError) err = NULL;
  int64_t sequence = -1;
  bool loaded = store->driver->load(store, add, objects, &sequence, &err);
  if (err)
    print_error("%s\n", err->message);
  assert_true(loaded);
  if (ret_sequence)
    *ret_sequence = sequence;
  return objects;
}

static char *names_of(const GPtrArray *objects, Noun noun)
{
  GString *names = g_string_new(NULL);
  for (guint i = 0; i < objects->len; i++)
    if (((Object *)objects->pdata[i])->noun == (int)noun)
      g_string_append_printf(names, "%s%s", names->len ? " " : "", ((Object *)objects->pdata[i])->name);
  return g_string_free(names, FALSE);
}

char *loaded_names(Store *store, Noun noun)
{
  g_autoptr(GPtrArray) objects = load_objects(store, NULL);
  return names_of(objects, noun);
}

char *history_names(StoreReader *reader, Noun noun, const char *before, int limit)
{
  g_autoptr(GError) err = NULL;
  g_autoptr(GPtrArray) rows = reader->driver->history(reader, noun, before, limit, &err);
  return rows ? names_of(rows, noun) : g_strdup(reason_wire(error_reason(err)));
}

StoreReader *must_read(Store *store)
{
  g_autoptr(GError) err = NULL;
  StoreReader *reader = store->driver->reader_open(store, &err);
  assert_non_null(reader);
  return reader;
}

/* ── a story ──────────────────────────────────────────────────────────────── */

/* One event that no single write takes. */
enum { STORY_LONG = 5, STORY_LONG_BYTES = 300 << 10 };

static Object *story_object(Noun noun, int64_t number)
{
  g_autofree char *name = g_strdup_printf("%c-%" G_GINT64_FORMAT, noun == NOUN_TICKET ? 'k' : schemas[noun].noun[0], number);
  Object *object = make_object(noun, name, number % N_VARIANTS);
  if (noun == NOUN_EVENT && number == STORY_LONG) {
    g_autofree char *detail = g_strnfill(STORY_LONG_BYTES, 'x');
    text_set(&((Event *)object)->detail, detail);
  }
  return object;
}

Batch *story_batch(int64_t sequence)
{
  Batch *batch = batch_new(sequence);
  batch_add(batch, CHANGE_PUT, story_object(NOUN_DESKTOP, sequence));
  batch_add(batch, CHANGE_PUT, story_object(NOUN_TICKET, sequence));
  batch_add(batch, CHANGE_PUT, story_object(NOUN_EVENT, sequence));
  if (sequence > 2)
    batch_add(batch, CHANGE_ARCHIVE, story_object(NOUN_DESKTOP, sequence - 2));
  if (sequence > 1)
    batch_add(batch, CHANGE_DELETE, story_object(NOUN_TICKET, sequence - 1));
  return batch;
}

static void assert_story_history(Store *store, Noun noun, int64_t n)
{
  StoreReader *reader = must_read(store);
  g_autoptr(GPtrArray) rows = store->driver->history(reader, noun, NULL, G_MAXINT, NULL);
  assert_non_null(rows);
  assert_int_equal(rows->len, n);
  for (int64_t i = 0; i < n; i++) {
    Object *wanted = story_object(noun, n - i);
    assert_objects_equal(rows->pdata[i], wanted);
    store_object_drop(wanted);
  }
  store->driver->reader_close(reader);
}

void assert_story(Store *store, int64_t sequence)
{
  int64_t found;
  g_autoptr(GPtrArray) objects = load_objects(store, &found);
  assert_int_equal(found, sequence);
  g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(store_object_drop);
  for (int64_t i = MAX(sequence - 1, 1); i <= sequence; i++)
    g_ptr_array_add(wanted, story_object(NOUN_DESKTOP, i));
  if (sequence)
    g_ptr_array_add(wanted, story_object(NOUN_TICKET, sequence));
  assert_int_equal(objects->len, wanted->len);
  for (guint i = 0; i < wanted->len; i++)
    assert_objects_equal(objects->pdata[i], wanted->pdata[i]);
  assert_story_history(store, NOUN_DESKTOP, sequence);
  assert_story_history(store, NOUN_EVENT, sequence);
}

#include "tests/unit/store_contract.h"

#include <string.h>

/* What a test holds: a fresh world, its store open. */
typedef struct {
  const StoreSubject *subject;
  void *world;
  Store *store;
} Bench;

static const StoreSubject *running;

static int setup(void **state)
{
  Bench *b = g_new0(Bench, 1);
  b->subject = running;
  b->world = running->world_new();
  b->store = running->open(b->world, NULL);
  *state = b;
  return b->store ? 0 : -1;
}

static int teardown(void **state)
{
  Bench *b = *state;
  store_close(b->store);
  b->subject->world_free(b->world);
  g_free(b);
  return 0;
}

static Store *store_of(void **state)
{
  return ((Bench *)*state)->store;
}

static Store *reopen(void **state)
{
  Bench *b = *state;
  store_close(b->store);
  b->store = b->subject->open(b->world, NULL);
  assert_non_null(b->store);
  return b->store;
}

#define assert_names(expression, wanted) \
  do { \
    g_autofree char *names_ = (expression); \
    assert_string_equal(names_, wanted); \
  } while (0)

/* ── what is put comes back ───────────────────────────────────────────────── */

static void a_new_store_is_empty(void **state)
{
  int64_t sequence;
  g_autoptr(GPtrArray) objects = load_objects(store_of(state), &sequence);
  assert_int_equal(objects->len, 0);
  assert_int_equal(sequence, 0);
  assert_true(store_of(state)->driver->check(store_of(state), NULL));
}

static Batch *every_noun_and_variant(int64_t sequence)
{
  Batch *batch = batch_new(sequence);
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    for (int variant = 0; variant < N_VARIANTS; variant++) {
      g_autofree char *name = g_strdup_printf("row%d", variant);
      batch_add(batch, CHANGE_PUT, make_object(noun, name, variant));
    }
  return batch;
}

static void assert_every_noun_and_variant(Store *store)
{
  g_autoptr(GPtrArray) objects = load_objects(store, NULL);
  assert_int_equal(objects->len, (N_NOUNS - 1) * N_VARIANTS);
  for (guint i = 0; i < objects->len; i++) {
    Noun noun = i / N_VARIANTS; /* EVENT, the last, is not loaded */
    g_autofree char *name = g_strdup_printf("row%d", i % N_VARIANTS);
    Object *wanted = make_object(noun, name, i % N_VARIANTS);
    assert_objects_equal(objects->pdata[i], wanted);
    store_object_drop(wanted);
  }
}

static void every_field_comes_back(void **state)
{
  must_apply(store_of(state), every_noun_and_variant(1));
  assert_every_noun_and_variant(store_of(state));
  assert_every_noun_and_variant(reopen(state));
  assert_true(store_of(state)->driver->check(store_of(state), NULL));
}

static void events_come_back_by_history(void **state)
{
  must_apply(store_of(state), every_noun_and_variant(1));
  StoreReader *reader = must_read(store_of(state));
  for (int variant = 0; variant < N_VARIANTS; variant++) {
    g_autofree char *name = g_strdup_printf("row%d", variant);
    Object *found = reader->driver->find(reader, NOUN_EVENT, name, NULL), *wanted = make_object(NOUN_EVENT, name, variant);
    assert_non_null(found);
    assert_objects_equal(found, wanted);
    store_object_drop(found);
    store_object_drop(wanted);
  }
  reader->driver->reader_close(reader);
}

static void a_put_replaces(void **state)
{
  static const char *const names[] = { "d-7", "cad-7" };
  for (int i = 0; i < 2; i++)
    for (int variant = 0; variant < N_VARIANTS; variant++) {
      must_apply(store_of(state), batch_of(1 + i * N_VARIANTS + variant, CHANGE_PUT, NOUN_DESKTOP, names[i], variant));
      g_autoptr(GPtrArray) objects = load_objects(store_of(state), NULL);
      Object *wanted = make_object(NOUN_DESKTOP, names[i], variant);
      assert_int_equal(objects->len, 1 + i);
      assert_objects_equal(objects->pdata[i], wanted);
      store_object_drop(wanted);
    }
}

static void texts_of_a_mebibyte_come_back(void **state)
{
  g_autofree char *xml = g_strnfill(1 << 20, 'x');
  Object *template = make_object(NOUN_TEMPLATE, "linux@1", 0);
  text_set(&((TemplateVersion *)template)->xml, xml);
  Batch *batch = batch_new(1);
  batch_add(batch, CHANGE_PUT, template);
  must_apply(store_of(state), batch);
  g_autoptr(GPtrArray) objects = load_objects(reopen(state), NULL);
  assert_string_equal(((TemplateVersion *)objects->pdata[0])->xml, xml);
}

/* The batch's objects stay the caller's: what is done to them later is not in the store. */
static void the_store_keeps_copies(void **state)
{
  g_autoptr(Batch) batch = batch_of(1, CHANGE_PUT, NOUN_HOST, "h1", 2);
  const Batch *one = batch;
  assert_true(store_of(state)->driver->apply(store_of(state), &one, 1, 1, NULL));
  Host *host = (Host *)g_array_index(batch->changes, Change, 0).object;
  text_set(&host->uri, "changed behind its back");
  g_autoptr(GPtrArray) objects = load_objects(store_of(state), NULL);
  Object *wanted = make_object(NOUN_HOST, "h1", 2);
  assert_objects_equal(objects->pdata[0], wanted);
  store_object_drop(wanted);
}

static void a_list_item_with_a_newline_is_refused(void **state)
{
  Object *user = make_object(NOUN_USER, "kim", 1);
  list_set(&((User *)user)->ssh_keys, (const char *const[]){ "one", "two\nthree", NULL });
  Batch *batch = batch_new(1);
  batch_add(batch, CHANGE_PUT, make_object(NOUN_USER, "lee", 1));
  batch_add(batch, CHANGE_PUT, user);
  must_refuse(store_of(state), batch, 1, REASON_BAD_VALUE);
  g_autoptr(GPtrArray) objects = load_objects(store_of(state), NULL);
  assert_int_equal(objects->len, 0);
  must_apply(store_of(state), batch_of(1, CHANGE_PUT, NOUN_USER, "lee", 1));
}

/* ── ends ─────────────────────────────────────────────────────────────────── */

static void what_is_deleted_is_nowhere(void **state)
{
  static const char *const names[] = { "t-3", "x" };
  StoreReader *reader = must_read(store_of(state));
  for (int i = 0; i < 2; i++) {
    must_apply(store_of(state), batch_of(1 + 2 * i, CHANGE_PUT, NOUN_TICKET, names[i], 3));
    must_apply(store_of(state), batch_of(2 + 2 * i, CHANGE_DELETE, NOUN_TICKET, names[i], 3));
    g_autoptr(GError) err = NULL;
    assert_null(reader->driver->find(reader, NOUN_TICKET, names[i], &err));
    assert_int_equal(error_reason(err), REASON_NOT_FOUND);
    assert_string_equal(err->message, i ? "there is no ticket \"x\"" : "there is no ticket \"t-3\"");
  }
  assert_names(loaded_names(store_of(state), NOUN_TICKET), "");
  assert_names(history_names(reader, NOUN_TICKET, NULL, 10), "");
  reader->driver->reader_close(reader);
}

static void what_is_archived_is_history(void **state)
{
  static const char *const names[] = { "s-3", "x" };
  StoreReader *reader = must_read(store_of(state));
  for (int i = 0; i < 2; i++) {
    must_apply(store_of(state), batch_of(1 + 2 * i, CHANGE_PUT, NOUN_SESSION, names[i], 2));
    must_apply(store_of(state), batch_of(2 + 2 * i, CHANGE_ARCHIVE, NOUN_SESSION, names[i], 5));
    Object *found = reader->driver->find(reader, NOUN_SESSION, names[i], NULL), *wanted = make_object(NOUN_SESSION, names[i], 5);
    assert_non_null(found);
    assert_objects_equal(found, wanted);
    store_object_drop(found);
    store_object_drop(wanted);
  }
  reader->driver->reader_close(reader);
  assert_names(loaded_names(reopen(state), NOUN_SESSION), "");
}

static void made_and_ended_in_one_batch(void **state)
{
  must_apply(store_of(state), batch_of(1, CHANGE_DELETE, NOUN_TICKET, "never-put", 1));
  must_apply(store_of(state), batch_of(2, CHANGE_ARCHIVE, NOUN_SESSION, "s-9", 1));
  must_apply(store_of(state), batch_of(3, CHANGE_ARCHIVE, NOUN_POOL, "never-put", 1));
  StoreReader *reader = must_read(store_of(state));
  assert_names(history_names(reader, NOUN_SESSION, NULL, 10), "s-9");
  assert_names(history_names(reader, NOUN_POOL, NULL, 10), "never-put");
  reader->driver->reader_close(reader);
}

static void put_at(Batch *batch, int how, Noun noun, const char *name, int64_t changed_us)
{
  Object *object = make_object(noun, name, 0);
  object->changed_us = changed_us;
  batch_add(batch, how, object);
}

static Batch *prune_of(int64_t sequence, Noun noun, int64_t before_us, int64_t max)
{
  Batch *batch = batch_new(sequence);
  g_array_append_val(batch->prunes, ((Prune){ noun, before_us, max }));
  return batch;
}

/* Of the oldest, so many at a time; live ones and the newest stay, and so does one that ended late. */
static void history_that_is_too_old_goes(void **state)
{
  static const Noun nouns[] = { NOUN_SESSION, NOUN_EVENT };
  int64_t sequence = 0;
  for (size_t n = 0; n < G_N_ELEMENTS(nouns); n++) {
    bool events = nouns[n] == NOUN_EVENT;
    Batch *batch = batch_new(++sequence);
    for (int i = 1; i <= 6; i++) {
      g_autofree char *name = g_strdup_printf(events ? "e-%d" : "s-%d", i);
      put_at(batch, events ? CHANGE_PUT : CHANGE_ARCHIVE, nouns[n], name, i == 2 ? 1000 : i * 10);
    }
    if (!events)
      put_at(batch, CHANGE_PUT, nouns[n], "s-99", 1);
    must_apply(store_of(state), batch);
    const char *const wanted[] = { events ? "e-6 e-5 e-4 e-3 e-2" : "s-99 s-6 s-5 s-4 s-3 s-2", events ? "e-6 e-5 e-4 e-2" : "s-99 s-6 s-5 s-4 s-2",
                                   events ? "e-6 e-5 e-4 e-2" : "s-99 s-6 s-5 s-4 s-2", events ? "e-6 e-2" : "s-99 s-6 s-2" };
    const struct { int64_t before_us, max; } steps[] = { { 40, 1 }, { 40, 2 }, { 40, 100 }, { 999, 100 } };
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
      must_apply(store_of(state), prune_of(++sequence, nouns[n], steps[i].before_us, steps[i].max));
      StoreReader *reader = must_read(store_of(state));
      assert_names(history_names(reader, nouns[n], NULL, 10), wanted[i]);
      reader->driver->reader_close(reader);
    }
  }
  for (Noun noun = 0; noun < N_NOUNS; noun++) /* whatever it is called */
    must_apply(store_of(state), prune_of(++sequence, noun, 1, 100));
  StoreReader *reader = must_read(reopen(state));
  assert_names(history_names(reader, NOUN_EVENT, NULL, 10), "e-6 e-2");
  assert_names(history_names(reader, NOUN_SESSION, "s-6", 10), "s-2");
  reader->driver->reader_close(reader);
  assert_true(store_of(state)->driver->check(store_of(state), NULL));
}

/* A pool's name may be given again: the live one is found, and both are history. */
static void a_name_lives_again(void **state)
{
  Store *store = store_of(state);
  for (int i = 0; i < 3; i++) {
    must_apply(store, batch_of(1 + 2 * i, CHANGE_PUT, NOUN_POOL, "cad", i));
    must_apply(store, batch_of(2 + 2 * i, CHANGE_ARCHIVE, NOUN_POOL, "cad", i));
  }
  StoreReader *reader = must_read(store);
  Object *found = reader->driver->find(reader, NOUN_POOL, "cad", NULL);
  assert_int_equal(found->generation, 3);
  store_object_drop(found);
  must_apply(store, batch_of(7, CHANGE_PUT, NOUN_POOL, "cad", 6));
  found = reader->driver->find(reader, NOUN_POOL, "cad", NULL);
  assert_int_equal(found->generation, 7);
  store_object_drop(found);
  assert_names(history_names(reader, NOUN_POOL, NULL, 10), "cad cad cad cad");
  assert_names(loaded_names(store, NOUN_POOL), "cad");
  reader->driver->reader_close(reader);
}

/* ── order and pages ──────────────────────────────────────────────────────── */

static void load_goes_by_noun_and_number(void **state)
{
  static const struct {
    Noun noun;
    const char *name;
  } rows[] = { { NOUN_SESSION, "s-10" }, { NOUN_SESSION, "s-9" },  { NOUN_HOST, "zeta" },  { NOUN_HOST, "alpha" },
               { NOUN_DESKTOP, "d-2" },  { NOUN_DESKTOP, "old" },  { NOUN_DESKTOP, "d-1" }, { NOUN_HOST, "h-1" } };
  Batch *batch = batch_new(1);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    batch_add(batch, CHANGE_PUT, make_object(rows[i].noun, rows[i].name, 1));
  must_apply(store_of(state), batch);
  g_autoptr(GPtrArray) objects = load_objects(store_of(state), NULL);
  static const char *const wanted[] = { "h-1", "zeta", "alpha", "d-1", "d-2", "old", "s-9", "s-10" };
  assert_int_equal(objects->len, G_N_ELEMENTS(wanted));
  for (guint i = 0; i < objects->len; i++)
    assert_string_equal(((Object *)objects->pdata[i])->name, wanted[i]);
}

static void history_pages_newest_first(void **state)
{
  for (int i = 1; i <= 12; i++) {
    g_autofree char *name = g_strdup_printf("s-%d", i);
    Batch *batch = batch_of(i, i % 3 ? CHANGE_ARCHIVE : CHANGE_PUT, NOUN_SESSION, name, i % N_VARIANTS);
    must_apply(store_of(state), batch);
  }
  static const struct {
    const char *before;
    int limit;
    const char *names;
  } rows[] = {
    { NULL, 3, "s-12 s-11 s-10" }, { "s-10", 4, "s-9 s-8 s-7 s-6" }, { "s-3", 10, "s-2 s-1" }, { "s-1", 10, "" },
    { "s-99", 2, "s-12 s-11" },    { NULL, 0, "" },                 { "none", 5, "not-found" }, { "s-012", 5, "not-found" },
    { "S-3", 5, "not-found" },     { "s-", 5, "not-found" },        { "", 5, "not-found" },
  };
  StoreReader *reader = must_read(store_of(state));
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    assert_names(history_names(reader, NOUN_SESSION, rows[i].before, rows[i].limit), rows[i].names);
  reader->driver->reader_close(reader);
}

static void history_of_free_names_goes_by_creation(void **state)
{
  static const char *const names[] = { "zeta", "alpha", "mid", "h-4" };
  for (int i = 0; i < 4; i++)
    must_apply(store_of(state), batch_of(1 + i, CHANGE_PUT, NOUN_HOST, names[i], 1));
  must_apply(store_of(state), batch_of(5, CHANGE_ARCHIVE, NOUN_HOST, "alpha", 2));
  StoreReader *reader = must_read(store_of(state));
  assert_names(history_names(reader, NOUN_HOST, NULL, 10), "mid alpha zeta h-4");
  assert_names(history_names(reader, NOUN_HOST, "mid", 10), "alpha zeta h-4");
  assert_names(history_names(reader, NOUN_HOST, "alpha", 1), "zeta");
  assert_names(history_names(reader, NOUN_HOST, "zeta", 10), "h-4");
  reader->driver->reader_close(reader);
}

/* ── batches ──────────────────────────────────────────────────────────────── */

static bool apply_group(Store *store, const int64_t *sequences, int n, int64_t epoch, GError **err)
{
  Batch *batches[8] = { 0 };
  for (int i = 0; i < n; i++)
    batches[i] = story_batch(sequences[i]);
  bool applied = store->driver->apply(store, (const Batch *const *)batches, n, epoch, err);
  for (int i = 0; i < n; i++)
    batch_free(batches[i]);
  return applied;
}

static void n_batches_are_one_commit(void **state)
{
  assert_true(apply_group(store_of(state), (int64_t[]){ 1, 2, 3 }, 3, 1, NULL));
  assert_story(store_of(state), 3);
  assert_true(apply_group(store_of(state), (int64_t[]){ 4 }, 1, 1, NULL));
  assert_true(apply_group(store_of(state), NULL, 0, 1, NULL));
  assert_true(apply_group(store_of(state), (int64_t[]){ 5, 6, 7, 8, 9 }, 5, 1, NULL));
  assert_story(store_of(state), 9);
  assert_story(reopen(state), 9);
}

static void a_gap_is_refused(void **state)
{
  static const struct {
    int64_t sequences[3];
    int n;
    const char *message;
  } rows[] = {
    { { 2 }, 1, "batch 2 does not follow the store's last batch, 3" },
    { { 3 }, 1, "batch 3 does not follow the store's last batch, 3" },
    { { 5 }, 1, "batch 5 does not follow the store's last batch, 3" },
    { { 0 }, 1, "batch 0 does not follow the store's last batch, 3" },
    { { 4, 6 }, 2, "batch 6 does not follow the store's last batch, 4" },
    { { 4, 5, 5 }, 3, "batch 5 does not follow the store's last batch, 5" },
  };
  assert_true(apply_group(store_of(state), (int64_t[]){ 1, 2, 3 }, 3, 1, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    assert_false(apply_group(store_of(state), rows[i].sequences, rows[i].n, 1, &err));
    assert_int_equal(error_reason(err), REASON_STORE_GAP);
    assert_string_equal(err->message, rows[i].message);
    assert_story(store_of(state), 3);
  }
  assert_true(apply_group(store_of(state), (int64_t[]){ 4 }, 1, 1, NULL));
}

static void a_batch_is_whole_or_not_there(void **state)
{
  Batch *batch = story_batch(3);
  assert_true(apply_group(store_of(state), (int64_t[]){ 1, 2 }, 2, 1, NULL));
  Object *bad = make_object(NOUN_USER, "kim", 1);
  list_set(&((User *)bad)->ssh_keys, (const char *const[]){ "\n", NULL });
  batch_add(batch, CHANGE_PUT, bad);
  must_refuse(store_of(state), batch, 1, REASON_BAD_VALUE);
  assert_story(store_of(state), 2);
  assert_story(reopen(state), 2);
  assert_true(apply_group(store_of(state), (int64_t[]){ 3 }, 1, 1, NULL));
  assert_story(store_of(state), 3);
}

static void a_lower_epoch_is_fenced(void **state)
{
  assert_true(apply_group(store_of(state), (int64_t[]){ 1 }, 1, 5, NULL));
  g_autoptr(GError) err = NULL;
  assert_false(apply_group(store_of(state), (int64_t[]){ 2 }, 1, 4, &err));
  assert_int_equal(error_reason(err), REASON_STORE_FENCED);
  assert_string_equal(err->message, "another controller has taken over: epoch 5, ours is 4");
  assert_story(reopen(state), 1);
  must_refuse(store_of(state), story_batch(2), 4, REASON_STORE_FENCED);
  assert_true(apply_group(store_of(state), (int64_t[]){ 2 }, 1, 6, NULL));
  must_refuse(store_of(state), story_batch(3), 5, REASON_STORE_FENCED);
  assert_story(store_of(state), 2);
}

static void a_store_is_held_by_one(void **state)
{
  Bench *b = *state;
  g_autoptr(GError) err = NULL;
  assert_null(b->subject->open(b->world, &err));
  assert_int_equal(error_reason(err), REASON_STORE_BUSY);
  assert_true(apply_group(b->store, (int64_t[]){ 1 }, 1, 1, NULL));
  assert_story(reopen(state), 1);
}

/* ── readers ──────────────────────────────────────────────────────────────── */

typedef struct {
  Store *store;
  gint ended; /* atomic */
  int reads;
} Reading;

/* A story's last event and last desktop come with one commit, so a reader that sees one half of a batch sees a number too few. */
static void *read_until_ended(void *data)
{
  Reading *r = data;
  StoreReader *reader = r->store->driver->reader_open(r->store, NULL);
  int64_t last = 0;
  while (reader && !(r->reads && g_atomic_int_get(&r->ended))) {
    g_autoptr(GPtrArray) rows = reader->driver->history(reader, NOUN_DESKTOP, NULL, G_MAXINT, NULL);
    if (!rows || (int64_t)rows->len < last)
      return NULL;
    last = rows->len;
    for (guint i = 0; i < rows->len; i++)
      if (store_name_number(NOUN_DESKTOP, ((Object *)rows->pdata[i])->name) != last - i)
        return NULL;
    r->reads++;
  }
  reader->driver->reader_close(reader);
  return r;
}

static void readers_see_whole_batches_while_it_writes(void **state)
{
  enum { BATCHES = 150, READERS = 2 };
  Reading readings[READERS] = { { .store = store_of(state) }, { .store = store_of(state) } };
  GThread *threads[READERS];
  for (int i = 0; i < READERS; i++)
    threads[i] = g_thread_new("reader", read_until_ended, &readings[i]);
  for (int i = 1; i <= BATCHES; i++)
    must_apply(store_of(state), story_batch(i));
  for (int i = 0; i < READERS; i++) {
    g_atomic_int_set(&readings[i].ended, 1);
    assert_non_null(g_thread_join(threads[i]));
    assert_true(readings[i].reads > 0);
  }
  assert_story(store_of(state), BATCHES);
}

int store_contract_run(const StoreSubject *subject)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
    ROW(a_new_store_is_empty),
    ROW(every_field_comes_back),
    ROW(events_come_back_by_history),
    ROW(a_put_replaces),
    ROW(texts_of_a_mebibyte_come_back),
    ROW(the_store_keeps_copies),
    ROW(a_list_item_with_a_newline_is_refused),
    ROW(what_is_deleted_is_nowhere),
    ROW(what_is_archived_is_history),
    ROW(history_that_is_too_old_goes),
    ROW(made_and_ended_in_one_batch),
    ROW(a_name_lives_again),
    ROW(load_goes_by_noun_and_number),
    ROW(history_pages_newest_first),
    ROW(history_of_free_names_goes_by_creation),
    ROW(n_batches_are_one_commit),
    ROW(a_gap_is_refused),
    ROW(a_batch_is_whole_or_not_there),
    ROW(a_lower_epoch_is_fenced),
    ROW(a_store_is_held_by_one),
    ROW(readers_see_whole_batches_while_it_writes),
  };
#undef ROW
  running = subject;
  return cmocka_run_group_tests_name(subject->name, tests, NULL, NULL);
}

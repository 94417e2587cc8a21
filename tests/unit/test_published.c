#include "drivers/runtime/published.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <time.h>

static Object *host(const char *name, int64_t generation)
{
  Object *object = object_new(&schemas[NOUN_HOST], NOUN_HOST, name);
  object->generation = generation;
  return object;
}

static void add(Batch *batch, int how, Object *object)
{
  g_array_append_val(batch->changes, ((Change){ object->noun, how, object }));
}

static void apply_one(Published *p, int64_t sequence, int how, const char *name, int64_t generation)
{
  g_autoptr(Batch) batch = batch_new(sequence);
  add(batch, how, host(name, generation));
  published_apply(p, batch);
}

/* "name:generation …" */
static char *text_of(GPtrArray *take_objects)
{
  g_autoptr(GPtrArray) objects = take_objects;
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < objects->len; i++) {
    const Object *o = objects->pdata[i];
    g_string_append_printf(text, "%s%s:%d", i ? " " : "", o->name, (int)o->generation);
  }
  return g_string_free(text, FALSE);
}

#define assert_text(expression, wanted) \
  do { \
    g_autofree char *text_ = (expression); \
    assert_string_equal(text_, wanted); \
  } while (0)
#define assert_list(p, after, limit, wanted) assert_text(text_of(published_list(p, NOUN_HOST, after, limit, NULL, NULL)), wanted)

/* ── order ────────────────────────────────────────────────────────────────── */

static void names_are_in_natural_order(void **state)
{
  static const char *const ascending[] = {
    "",     "0",    "00",   "01",   "1",   "2",    "9",     "0010", "10",  "99999999999999999998", "99999999999999999999",
    "a",    "a-1",  "a01",  "a1",   "a1b", "a2",   "a10",   "ab",   "b",   "b1c2",                 "b1c10",
    "b2c1", "d-1",  "d-2",  "d-10", "d-100", "debian@2", "debian@12", "s", "\xc3\xa9",
  };
  int n = G_N_ELEMENTS(ascending);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < n; k++) {
      int order = name_compare(ascending[i], ascending[k]);
      assert_true(i < k ? order < 0 : i > k ? order > 0 : order == 0);
    }
}

/* ── get, list ────────────────────────────────────────────────────────────── */

static void what_is_applied_is_got(void **state)
{
  Published *p = published_new(16);
  assert_null(published_get(p, NOUN_HOST, "h1"));
  apply_one(p, 1, CHANGE_PUT, "h1", 1);
  apply_one(p, 2, CHANGE_PUT, "h1", 2);
  const Object *got = published_get(p, NOUN_HOST, "h1");
  assert_int_equal(got->generation, 2);
  assert_null(published_get(p, NOUN_POOL, "h1"));
  apply_one(p, 3, CHANGE_DELETE, "h1", 2);
  assert_null(published_get(p, NOUN_HOST, "h1"));
  assert_int_equal(got->generation, 2); /* ours as long as we hold it */
  published_drop((void *)got);
  assert_int_equal(published_sequence(p), 3);
  assert_int_equal(published_count(p, NOUN_HOST), 0);
  published_free(p);
}

static void archived_objects_go_and_events_never_come(void **state)
{
  Published *p = published_new(16);
  apply_one(p, 1, CHANGE_PUT, "h1", 1);
  apply_one(p, 2, CHANGE_ARCHIVE, "h1", 1);
  apply_one(p, 3, CHANGE_DELETE, "never-there", 1);
  g_autoptr(Batch) batch = batch_new(4);
  add(batch, CHANGE_PUT, object_new(&schemas[NOUN_EVENT], NOUN_EVENT, "e-1"));
  published_apply(p, batch);
  assert_null(published_get(p, NOUN_HOST, "h1"));
  assert_null(published_get(p, NOUN_EVENT, "e-1"));
  assert_int_equal(published_count(p, NOUN_EVENT), 0);
  published_free(p);
}

static bool is_even(const Object *object, void *data)
{
  ++*(int *)data;
  return object->generation % 2 == 0;
}

static void lists_page_by_name(void **state)
{
  static const char *const names[] = { "h-10", "h-9", "a", "h-1", "zeta", "h-2" };
  Published *p = published_new(16);
  for (int i = 0; i < 6; i++)
    apply_one(p, i + 1, CHANGE_PUT, names[i], i);
  assert_list(p, NULL, 0, "a:2 h-1:3 h-2:5 h-9:1 h-10:0 zeta:4");
  assert_list(p, NULL, 2, "a:2 h-1:3");
  assert_list(p, "h-1", 2, "h-2:5 h-9:1");
  assert_list(p, "h-9", 10, "h-10:0 zeta:4");
  assert_list(p, "h-5", 1, "h-9:1"); /* the cursor's object may be gone */
  assert_list(p, "zeta", 0, "");
  assert_list(p, "", 1, "a:2");
  int asked = 0;
  assert_text(text_of(published_list(p, NOUN_HOST, NULL, 2, is_even, &asked)), "a:2 h-10:0");
  assert_text(text_of(published_list(p, NOUN_HOST, "h-1", 0, is_even, &asked)), "h-10:0 zeta:4");
  published_free(p);
}

static void fill(Published *p, int n, int64_t sequence)
{
  g_autoptr(GPtrArray) objects = g_ptr_array_new();
  for (int i = n; i > 0; i--) {
    g_autofree char *name = g_strdup_printf("d-%d", i);
    g_ptr_array_add(objects, object_new(&schemas[NOUN_DESKTOP], NOUN_DESKTOP, name));
  }
  published_replace(p, objects, sequence);
  assert_int_equal(objects->len, 0);
}

static void lists_longer_than_a_chunk_are_whole(void **state)
{
  enum { N = 3000 };
  Published *p = published_new(16);
  fill(p, N, 1);
  g_autoptr(GPtrArray) all = published_list(p, NOUN_DESKTOP, NULL, 0, NULL, NULL);
  assert_int_equal(all->len, N);
  for (int i = 0; i < N; i++) {
    g_autofree char *name = g_strdup_printf("d-%d", i + 1);
    assert_string_equal(((Object *)all->pdata[i])->name, name);
  }
  static const int limits[] = { 1, 511, 512, 513, 1024, 2999, 3000, 3001 };
  for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
    g_autoptr(GPtrArray) page = published_list(p, NOUN_DESKTOP, NULL, limits[i], NULL, NULL);
    assert_int_equal(page->len, MIN(limits[i], N));
  }
  published_free(p);
}

/* The same random changes to a plain table and to a Published leave the same. */
static void random_changes_leave_what_a_table_holds(void **state)
{
  Published *p = published_new(64);
  g_autoptr(GRand) random = g_rand_new_with_seed(7);
  int64_t generations[50] = { 0 };
  for (int64_t sequence = 1; sequence <= 3000; sequence++) {
    int i = g_rand_int_range(random, 0, 50);
    bool put = g_rand_int_range(random, 0, 3);
    g_autofree char *name = g_strdup_printf("h-%d", i);
    apply_one(p, sequence, put ? CHANGE_PUT : CHANGE_DELETE, name, sequence);
    generations[i] = put ? sequence : 0;
  }
  GString *wanted = g_string_new(NULL);
  for (int i = 0; i < 50; i++)
    if (generations[i])
      g_string_append_printf(wanted, "%sh-%d:%d", wanted->len ? " " : "", i, (int)generations[i]);
  assert_list(p, NULL, 0, wanted->str);
  g_string_free(wanted, TRUE);
  published_free(p);
}

/* ── watching ─────────────────────────────────────────────────────────────── */

/* "put h1@3. " for a change, with a full stop where its batch ends; "reset@3" and "nothing". */
static char *next_news(PublishedWatch *watch, int timeout_ms)
{
  static const char *const hows[] = { [CHANGE_PUT] = "put", [CHANGE_DELETE] = "delete", [CHANGE_ARCHIVE] = "archive" };
  PublishedChange c;
  switch (published_watch_next(watch, timeout_ms, &c)) {
  case WATCH_NOTHING:
    return g_strdup("nothing");
  case WATCH_RESET:
    return g_strdup_printf("reset@%d", (int)c.sequence);
  case WATCH_CHANGE:
    break;
  }
  char *text = g_strdup_printf("%s %s@%d%s", hows[c.how], c.object->name, (int)c.sequence, c.last ? "." : "");
  published_drop((void *)c.object);
  return text;
}
#define assert_news(watch, wanted) assert_text(next_news(watch, 0), wanted)

static void a_watch_tells_every_change_once(void **state)
{
  Published *p = published_new(16);
  PublishedWatch *watch = published_watch_new(p, -1);
  assert_news(watch, "nothing");
  g_autoptr(Batch) batch = batch_new(1);
  add(batch, CHANGE_PUT, host("h1", 1));
  add(batch, CHANGE_ARCHIVE, host("h2", 1));
  add(batch, CHANGE_PUT, object_new(&schemas[NOUN_EVENT], NOUN_EVENT, "e-1"));
  published_apply(p, batch);
  apply_one(p, 2, CHANGE_DELETE, "h1", 1);
  assert_news(watch, "put h1@1");
  assert_news(watch, "archive h2@1");
  assert_news(watch, "put e-1@1.");
  assert_news(watch, "delete h1@2.");
  assert_news(watch, "nothing");
  published_watch_free(watch);
  published_free(p);
}

static void a_watch_resumes_where_it_was(void **state)
{
  static const struct {
    int64_t after;
    const char *news;
  } rows[] = { { -1, "nothing" }, { 9, "nothing" }, { 8, "put h@9." }, { 6, "put h@7." }, { 5, "put h@6." },
               { 4, "reset@9" },  { 0, "reset@9" }, { 10, "reset@9" } };
  Published *p = published_new(4);
  for (int i = 1; i <= 9; i++)
    apply_one(p, i, CHANGE_PUT, "h", i);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    PublishedWatch *watch = published_watch_new(p, rows[i].after);
    assert_news(watch, rows[i].news);
    published_watch_free(watch);
  }
  published_free(p);
}

static void a_watch_that_falls_behind_is_told(void **state)
{
  Published *p = published_new(4);
  PublishedWatch *watch = published_watch_new(p, -1);
  for (int i = 1; i <= 4; i++)
    apply_one(p, i, CHANGE_PUT, "h", i);
  assert_news(watch, "put h@1.");
  for (int i = 5; i <= 6; i++)
    apply_one(p, i, CHANGE_PUT, "h", i);
  assert_news(watch, "reset@6");
  assert_news(watch, "nothing");
  apply_one(p, 7, CHANGE_PUT, "h", 7);
  assert_news(watch, "put h@7.");
  published_watch_free(watch);
  published_free(p);
}

static void a_batch_longer_than_the_ring_is_a_reset(void **state)
{
  Published *p = published_new(2);
  g_autoptr(Batch) batch = batch_new(1);
  for (int i = 0; i < 5; i++)
    add(batch, CHANGE_PUT, host("h", 1));
  PublishedWatch *watch = published_watch_new(p, -1), *resumed;
  published_apply(p, batch);
  assert_news(watch, "reset@1");
  resumed = published_watch_new(p, 0);
  assert_news(resumed, "reset@1");
  published_watch_free(watch);
  published_watch_free(resumed);
  published_free(p);
}

static void a_reload_resets_only_who_missed_something(void **state)
{
  Published *p = published_new(16);
  PublishedWatch *watch = published_watch_new(p, -1), *behind = published_watch_new(p, -1);
  apply_one(p, 1, CHANGE_PUT, "h1", 1);
  assert_news(watch, "put h1@1.");
  g_autoptr(GPtrArray) objects = g_ptr_array_new();
  g_ptr_array_add(objects, host("h1", 1));
  published_replace(p, objects, 1);
  assert_news(watch, "nothing");
  assert_news(behind, "reset@1");
  g_ptr_array_add(objects, host("h2", 1));
  published_replace(p, objects, 2);
  assert_news(watch, "reset@2");
  assert_news(watch, "nothing");
  assert_list(p, NULL, 0, "h2:1");
  published_watch_free(watch);
  published_watch_free(behind);
  watch = published_watch_new(p, 2);
  assert_news(watch, "nothing");
  published_watch_free(watch);
  published_free(p);
}

static bool is_readable(const PublishedWatch *watch)
{
  struct pollfd fd = { published_watch_fd(watch), POLLIN, 0 };
  return poll(&fd, 1, 0) == 1;
}

static void the_descriptor_wakes_who_waits(void **state)
{
  Published *p = published_new(16);
  PublishedWatch *watch = published_watch_new(p, -1);
  for (int i = 1; i <= 3; i++) {
    assert_news(watch, "nothing");
    assert_false(is_readable(watch));
    apply_one(p, i, CHANGE_PUT, "h", i);
    assert_true(is_readable(watch));
    g_autofree char *news = next_news(watch, 0);
    assert_true(g_str_has_prefix(news, "put h@"));
  }
  assert_news(watch, "nothing");
  g_autoptr(GPtrArray) none = g_ptr_array_new();
  published_replace(p, none, 9);
  assert_true(is_readable(watch));
  assert_news(watch, "reset@9");
  published_watch_free(watch);
  published_free(p);
}

static void waiting_ends_with_the_time(void **state)
{
  Published *p = published_new(16);
  PublishedWatch *watch = published_watch_new(p, -1);
  int64_t start_us = g_get_monotonic_time();
  assert_text(next_news(watch, 20), "nothing");
  assert_true(g_get_monotonic_time() - start_us >= 20000);
  published_watch_free(watch);
  published_free(p);
}

/* ── many threads ─────────────────────────────────────────────────────────── */

enum { CHANGES = 4000, NAMES = 40 };

typedef struct {
  Published *p;
  gint ended; /* atomic */
} Crowd;

static void *list_until_ended(void *data)
{
  Crowd *crowd = data;
  while (!g_atomic_int_get(&crowd->ended)) {
    g_autoptr(GPtrArray) rows = published_list(crowd->p, NOUN_HOST, NULL, 0, NULL, NULL);
    for (guint i = 1; i < rows->len; i++)
      if (name_compare(((Object *)rows->pdata[i - 1])->name, ((Object *)rows->pdata[i])->name) >= 0)
        return NULL;
    published_drop((void *)published_get(crowd->p, NOUN_HOST, "h-7"));
  }
  return crowd;
}

/* Follows the changes and holds the table that they make, which must be what is published in the end. */
static void *follow(void *data)
{
  Published *p = data;
  int64_t *generations = g_new0(int64_t, NAMES);
  PublishedWatch *watch = published_watch_new(p, 0);
  PublishedChange c = { 0 };
  while (c.sequence < CHANGES && published_watch_next(watch, 10000, &c) == WATCH_CHANGE) {
    int i = atoi(c.object->name + 2);
    generations[i] = c.how == CHANGE_PUT ? c.object->generation : 0;
    published_drop((void *)c.object);
  }
  published_watch_free(watch);
  return generations;
}

static void readers_and_watches_beside_a_writer(void **state)
{
  Crowd crowd = { .p = published_new(CHANGES) };
  GThread *readers[2], *watches[2];
  for (int i = 0; i < 2; i++) {
    readers[i] = g_thread_new("reader", list_until_ended, &crowd);
    watches[i] = g_thread_new("watch", follow, crowd.p);
  }
  for (int64_t sequence = 1; sequence <= CHANGES; sequence++) {
    g_autofree char *name = g_strdup_printf("h-%d", (int)(sequence * 7 % NAMES));
    apply_one(crowd.p, sequence, sequence % 5 ? CHANGE_PUT : CHANGE_DELETE, name, sequence);
  }
  g_autofree char *published = text_of(published_list(crowd.p, NOUN_HOST, NULL, 0, NULL, NULL));
  for (int i = 0; i < 2; i++) {
    g_autofree int64_t *generations = g_thread_join(watches[i]);
    GString *followed = g_string_new(NULL);
    for (int k = 0; k < NAMES; k++)
      if (generations[k])
        g_string_append_printf(followed, "%sh-%d:%d", followed->len ? " " : "", k, (int)generations[k]);
    assert_string_equal(followed->str, published);
    g_string_free(followed, TRUE);
  }
  g_atomic_int_set(&crowd.ended, 1);
  for (int i = 0; i < 2; i++)
    assert_non_null(g_thread_join(readers[i]));
  published_free(crowd.p);
}

/* ── figures ──────────────────────────────────────────────────────────────── */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static int64_t cpu_us(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void ten_thousand_are_listed_in_three_milliseconds(void **state)
{
  Published *p = published_new(16);
  fill(p, 10000, 1);
  int64_t best_us = INT64_MAX;
  for (int i = 0; i < 5; i++) {
    int64_t start_us = cpu_us();
    GPtrArray *rows = published_list(p, NOUN_DESKTOP, NULL, 0, NULL, NULL);
    best_us = MIN(best_us, cpu_us() - start_us);
    assert_int_equal(rows->len, 10000);
    g_ptr_array_unref(rows);
  }
  print_message("10,000 desktops listed in %d us of CPU\n", (int)best_us);
  assert_true(best_us <= 3000);
  published_free(p);
}

static void an_object_costs_fifty_bytes(void **state)
{
  enum { N = 40000 };
  Published *p = published_new(16);
  fill(p, N, 1);
  GPtrArray *rows = published_list(p, NOUN_DESKTOP, NULL, 0, NULL, NULL);
  struct mallinfo2 with = mallinfo2();
  published_free(p); /* rows hold the objects: only what is around them goes */
  struct mallinfo2 without = mallinfo2();
  double bytes = (double)(with.uordblks + with.hblkhd - without.uordblks - without.hblkhd) / N;
  print_message("%.1f bytes an object\n", bytes);
  assert_true(bytes > 8 && bytes <= 50);
  g_ptr_array_unref(rows);
}
#endif

/* ── what was only observed ───────────────────────────────────────────────── */

static Host *host_seen_at(const char *name, int64_t seen)
{
  Host *h = (Host *)host(name, 1);
  h->seen = seen;
  return h;
}

static int64_t seen_of(Published *p, const char *name)
{
  const Object *object = published_get(p, NOUN_HOST, name);
  int64_t seen = ((const Host *)object)->seen;
  published_drop((void *)object);
  return seen;
}

static void what_is_seen_is_read_and_not_watched(void **state)
{
  Published *p = published_new(16);
  apply_one(p, 1, CHANGE_PUT, "h1", 1);
  const Object *held = published_get(p, NOUN_HOST, "h1");
  PublishedWatch *watch = published_watch_new(p, -1);
  g_autoptr(GPtrArray) seen = g_ptr_array_new_with_free_func(published_drop);
  g_ptr_array_add(seen, host_seen_at("h1", 77));
  g_ptr_array_add(seen, host_seen_at("gone", 77));
  published_see(p, seen);
  assert_int_equal(seen_of(p, "h1"), 77);
  assert_int_equal(((const Host *)held)->seen, 0);
  assert_null(published_get(p, NOUN_HOST, "gone")); /* it was removed meanwhile, and stays so */
  PublishedChange change;
  assert_int_equal(published_watch_next(watch, 0, &change), WATCH_NOTHING);
  assert_int_equal(published_sequence(p), 1);
  published_watch_free(watch);
  published_drop((void *)held);
  published_free(p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_are_in_natural_order),
    cmocka_unit_test(what_is_applied_is_got),
    cmocka_unit_test(what_is_seen_is_read_and_not_watched),
    cmocka_unit_test(archived_objects_go_and_events_never_come),
    cmocka_unit_test(lists_page_by_name),
    cmocka_unit_test(lists_longer_than_a_chunk_are_whole),
    cmocka_unit_test(random_changes_leave_what_a_table_holds),
    cmocka_unit_test(a_watch_tells_every_change_once),
    cmocka_unit_test(a_watch_resumes_where_it_was),
    cmocka_unit_test(a_watch_that_falls_behind_is_told),
    cmocka_unit_test(a_batch_longer_than_the_ring_is_a_reset),
    cmocka_unit_test(a_reload_resets_only_who_missed_something),
    cmocka_unit_test(the_descriptor_wakes_who_waits),
    cmocka_unit_test(waiting_ends_with_the_time),
    cmocka_unit_test(readers_and_watches_beside_a_writer),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    cmocka_unit_test(ten_thousand_are_listed_in_three_milliseconds),
    cmocka_unit_test(an_object_costs_fifty_bytes),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

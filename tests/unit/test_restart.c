/* The daemon's runtime over a store that an earlier one left. */
#include "drivers/runtime/runtime.h"
#include "tests/unit/store_files.h"
#include "tests/unit/store_objects.h"

static char *store_with_events(int n)
{
  char *directory = directory_new();
  Store *store = must_open_sqlite(directory);
  g_autoptr(Batch) batch = batch_new(1);
  for (int i = 1; i <= n; i++) {
    g_autofree char *name = g_strdup_printf("e-%d", i);
    Object *event = make_object(NOUN_EVENT, name, 0);
    ((Event *)event)->number = i;
    batch_add(batch, CHANGE_PUT, event);
  }
  const Batch *one = batch;
  assert_true(store->driver->apply(store, &one, 1, 0, NULL));
  store_close(store);
  return directory;
}

/* It dropped the newest event's reference twice: once by hand, once with the list that history() hands out. */
static void a_start_behind_events_drops_them_once(void **state)
{
  char *directory = store_with_events(3);
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", directory);
  RuntimeOptions options = { .store_uri = uri, .requests_max = 16, .poll_us = 30 * G_USEC_PER_SEC };
  for (int i = 0; i < 3; i++) {
    g_autoptr(GError) err = NULL;
    Runtime *runtime = runtime_new(&options, &err);
    if (err)
      print_error("%s\n", err->message);
    assert_non_null(runtime);
    runtime_free(runtime);
  }
  directory_free(directory);
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(a_start_behind_events_drops_them_once) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

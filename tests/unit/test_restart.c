/* The daemon's runtime over a store that an earlier one left. */
#include <signal.h>
#include <sys/resource.h>

#include "drivers/hypervisor/fake.h"
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

/* ── the store fails, and is read again ───────────────────────────────────── */

static char *store_with_host(const char *name, const char *uri)
{
  char *directory = directory_new();
  Store *store = must_open_sqlite(directory);
  Object *host = make_object(NOUN_HOST, name, 0);
  ((Host *)host)->state = HOST_ENROLLING;
  text_set(&((Host *)host)->uri, uri);
  g_autoptr(Batch) batch = batch_new(1);
  batch_add(batch, CHANGE_PUT, host);
  const Batch *one = batch;
  assert_true(store->driver->apply(store, &one, 1, 0, NULL));
  store_close(store);
  return directory;
}

/* No file of this process may be written, or all may. */
static void disk_refuses(bool refuses)
{
  struct rlimit limit;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = refuses ? 0 : limit.rlim_max;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool is_state(Runtime *runtime, HostState state)
{
  const Host *host = (const Host *)published_get(runtime_published(runtime), NOUN_HOST, "h1");
  bool is = host && host->state == (int)state && (state == HOST_UP || host->error);
  published_drop((void *)host);
  return is;
}

static void answered(Answer *answer, void *ret_status)
{
  g_atomic_int_set((int *)ret_status, answer->status);
  answer_free(answer);
}

/* What has nothing to write is refused only while the store is not to be written. */
static bool is_down(Runtime *runtime)
{
  Request *request = request_new(API_TASK_CANCEL);
  request->name = g_strdup("none");
  request->caller = (Caller){ .user = g_strdup("root"), .role = ROLE_ADMINISTRATOR, .logged_in = true, .local = true };
  int status = 0;
  runtime_submit(runtime, request, answered, &status);
  while (!g_atomic_int_get(&status))
    g_usleep(1000);
  return status == 503;
}

#define UNTIL(condition) \
  do { \
    int64_t end_ = g_get_monotonic_time() + 20 * G_USEC_PER_SEC; \
    while (!(condition)) { \
      if (g_get_monotonic_time() > end_) \
        fail_msg("not within 20 s: %s", #condition); \
      g_usleep(10000); \
    } \
  } while (0)

/* That it is up was told once, and lost with the commit: it stayed out until the next poll. */
static void a_host_that_came_back_while_the_store_failed_is_up(void **state)
{
  char *directory = store_with_host("h1", "fake:h1");
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", directory);
  RuntimeOptions options = { .store_uri = uri, .requests_max = 16, .poll_us = INT64_C(3600) * G_USEC_PER_SEC };
  assert_true(fake_do("h1", "die", NULL));
  Runtime *runtime = runtime_new(&options, NULL);
  assert_non_null(runtime);
  UNTIL(is_state(runtime, HOST_UNREACHABLE));
  disk_refuses(true);
  assert_true(fake_do("h1", "live", NULL));
  UNTIL(is_down(runtime));
  disk_refuses(false);
  UNTIL(is_state(runtime, HOST_UP));
  runtime_free(runtime);
  directory_free(directory);
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(a_start_behind_events_drops_them_once),
                                      cmocka_unit_test(a_host_that_came_back_while_the_store_failed_is_up) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What the daemon's log tells an operator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "drivers/runtime/told.h"

static void add(Batch *batch, Noun noun, void *object)
{
  Change change = { .noun = noun, .how = CHANGE_PUT, .object = object };
  g_array_append_val(batch->changes, change);
}

static void event_add(Batch *batch, const char *kind, const char *noun, const char *object, const char *user, const char *detail)
{
  Event *event = (Event *)object_new(&schemas[NOUN_EVENT], NOUN_EVENT, "e-1");
  ref_set(&event->kind, kind);
  ref_set(&event->noun, noun);
  text_set(&event->object, object);
  ref_set(&event->user, user);
  text_set(&event->detail, detail);
  add(batch, NOUN_EVENT, event);
}

/* What is written of a batch, or of a refusal; owned by the caller. */
static char *logged(const Batch *batch, const GError *refusal)
{
  FILE *file = tmpfile();
  fflush(stderr);
  int kept = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  if (batch)
    told_log(batch);
  else
    told_notice(refusal);
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  char *text = g_malloc0(4096);
  rewind(file);
  size_t n = fread(text, 1, 4095, file);
  text[n] = 0;
  fclose(file);
  return text;
}

static void a_lost_host_is_a_warning_with_its_reason(void **state)
{
  g_autoptr(Batch) batch = batch_new(1);
  event_add(batch, "host.unreachable", "host", "h1", NULL, "{\"code\":\"timeout\"}");
  event_add(batch, "storage.added", "storage", "disk", "jihye", NULL);
  event_add(batch, "desktop.available", "desktop", "d-1", NULL, NULL);
  g_autofree char *text = logged(batch, NULL);
  assert_string_equal(text, "<4>host: host.unreachable host=\"h1\" by=\"sarang\" detail=\"{\\\"code\\\":\\\"timeout\\\"}\"\n"
                            "<6>storage: storage.added storage=\"disk\" by=\"jihye\"\n");
}

static void a_failed_task_is_told_with_its_step(void **state)
{
  g_autoptr(Batch) batch = batch_new(1);
  Task *task = (Task *)object_new(&schemas[NOUN_TASK], NOUN_TASK, "t-9");
  task->kind = TASK_IMPORT;
  task->state = TASK_FAILED;
  ref_set(&task->noun, "image");
  text_set(&task->object, "linux@1");
  ref_set(&task->step, "import");
  add(batch, NOUN_TASK, task);
  g_autofree char *text = logged(batch, NULL);
  assert_string_equal(text, "<4>task: task.failed task=\"t-9\" kind=\"import\" image=\"linux@1\" step=\"import\"\n");
}

static void a_person_who_is_too_fast_is_named(void **state)
{
  g_autoptr(GError) refusal = NULL;
  error_set(&refusal, REASON_TOO_FAST, "user", "jihye", "burst", "60", "limit", "60", "seconds", "1", "option", "limits.changes_per_minute", NULL);
  g_autofree char *text = logged(NULL, refusal);
  assert_string_equal(text, "<4>user: too-fast user=\"jihye\" error=\"user \\\"jihye\\\" has things changed too fast: "
                            "60 at once and then 60 a minute are taken\"\n");
}

static void levels_are_an_operators(void **state)
{
  assert_int_equal(told_level("pool.restrained"), LOG_WARNING);
  assert_int_equal(told_level("user.login-refused"), LOG_WARNING);
  assert_int_equal(told_level("host.removed"), LOG_INFO);
  assert_int_equal(told_level("session.ready"), LOG_DEBUG);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_lost_host_is_a_warning_with_its_reason),
    cmocka_unit_test(a_failed_task_is_told_with_its_step),
    cmocka_unit_test(a_person_who_is_too_fast_is_named),
    cmocka_unit_test(levels_are_an_operators),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

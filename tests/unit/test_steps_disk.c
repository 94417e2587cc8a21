/* Steps on a storage that the controller sees: what is there, and how much room it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "drivers/runtime/steps_parts.h"

static char controller[] = "11111111-2222-4333-8444-555555555555", name[] = "d-1", shared[] = "shared";

typedef struct {
  char *dir;
  Storage storage;
  Desktop desktop;
  ImageVersion image;
  StepOrder order;
} Stand;

static Stand *stand_new(void)
{
  Stand *s = g_new0(Stand, 1);
  s->dir = g_dir_make_tmp("sarang-disk-XXXXXX", NULL);
  s->storage = (Storage){ .head = { .refs = 1, .noun = NOUN_STORAGE, .name = shared }, .path = s->dir, .controller_path = s->dir };
  s->desktop = (Desktop){ .head = { .refs = 1, .noun = NOUN_DESKTOP, .name = name }, .clone = 2 };
  s->image = (ImageVersion){ .format = FORMAT_QCOW2 };
  s->order = (StepOrder){ .controller = controller, .desktop = &s->desktop, .storage = &s->storage, .image = &s->image };
  return s;
}

static void stand_free(Stand *s)
{
  g_rmdir(s->dir);
  g_free(s->dir);
  g_free(s);
}

static StepResult *run(Stand *s, StepKind kind)
{
  static const StepOptions options = { 0 };
  s->order.kind = kind;
  StepRun step = { .order = &s->order, .result = step_result_new(&s->order), .options = &options,
                   .deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC };
  step_run(&step);
  return step.result;
}

static char *disk_of(Stand *s, int64_t clone)
{
  g_autofree char *owner = volume_owner(controller, name), *volume = volume_name(VOLUME_DISK_QCOW2, owner, clone);
  return g_build_filename(s->dir, volume, NULL);
}

static void a_disk_is_there_or_its_loss_is_named(void **state)
{
  Stand *s = stand_new();
  g_autofree char *earlier = disk_of(s, 1), *own = disk_of(s, 2);
  assert_true(g_file_set_contents(earlier, "x", 1, NULL)); /* another generation's is none */
  g_autoptr(StepResult) gone = run(s, STEP_FIND_DISK);
  assert_true(error_is(gone->error, REASON_DISK_GONE));
  assert_string_equal(error_arg(gone->error, "storage"), "shared");
  assert_true(g_file_set_contents(own, "x", 1, NULL));
  g_autoptr(StepResult) there = run(s, STEP_FIND_DISK);
  assert_null(there->error);
  g_unlink(earlier);
  g_unlink(own);
  stand_free(s);
}

static void a_person_goes_into_the_seed_of_this_generation(void **state)
{
  Stand *s = stand_new();
  TemplateVersion template = { .head = { .refs = 1, .noun = NOUN_TEMPLATE, .name = name } };
  User person = { .head = { .refs = 1, .noun = NOUN_USER, .name = (char *)"jihye" }, .title = (char *)"Kim, Jihye: R&D" };
  assert_true(g_file_get_contents("templates/xen-linux.xml", &template.xml, NULL, NULL));
  s->order.template = &template;
  g_autofree char *owner = volume_owner(controller, name), *volume = volume_name(VOLUME_SEED, owner, 2);
  g_autofree char *path = g_build_filename(s->dir, volume, NULL), *nobodys = NULL, *hers = NULL;
  gsize n;
  g_autoptr(StepResult) plain = run(s, STEP_SEED);
  assert_null(plain->error);
  assert_true(g_file_get_contents(path, &nobodys, &n, NULL));
  assert_non_null(memmem(nobodys, n, "\"d-1.g2\"", strlen("\"d-1.g2\"")));
  assert_null(memmem(nobodys, n, "jihye", strlen("jihye")));
  s->order.person = &person;
  g_autoptr(StepResult) seeded = run(s, STEP_SEED_PERSON);
  assert_null(seeded->error);
  assert_true(g_file_get_contents(path, &hers, &n, NULL));
  assert_non_null(memmem(hers, n, "\"Kim Jihye R&D\"", strlen("\"Kim Jihye R&D\"")));
  assert_non_null(memmem(hers, n, "\"d-1.g2.jihye\"", strlen("\"d-1.g2.jihye\""))); /* another instance, or it would not be applied */
  g_free(template.xml);
  g_unlink(path);
  stand_free(s);
}

static void room_is_measured(void **state)
{
  Stand *s = stand_new();
  g_autoptr(StepResult) result = run(s, STEP_MEASURE);
  assert_null(result->error);
  assert_true(result->total_bytes > 0);
  assert_in_range(result->free_bytes, 0, result->total_bytes);
  g_rmdir(s->dir);
  g_autoptr(StepResult) away = run(s, STEP_MEASURE); /* not mounted: no measure of what lies below */
  assert_non_null(away->error);
  assert_int_equal(away->total_bytes, 0);
  stand_free(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_disk_is_there_or_its_loss_is_named),
    cmocka_unit_test(a_person_goes_into_the_seed_of_this_generation),
    cmocka_unit_test(room_is_measured),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

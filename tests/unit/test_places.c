#include "drivers/runtime/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

typedef struct {
  char *top, *state;
} Stand;

static Stand stand_new(void)
{
  Stand s = { .top = g_dir_make_tmp("sarang-places-XXXXXX", NULL) };
  s.state = g_build_filename(s.top, "state", NULL);
  assert_int_equal(g_mkdir(s.state, 0700), 0);
  return s;
}

static char *below(const Stand *s, const char *name) { return *name ? g_build_filename(s->top, name, NULL) : g_strdup(s->top); }

/* Everything that these tests make, in an order in which it can go. */
static void stand_clear(Stand *s)
{
  static const char *const made[] = { "state/imports", "state/backups", "state/x/y", "state/x", "state", "link", "in/out", "in", "out" };
  for (size_t i = 0; i < G_N_ELEMENTS(made); i++) {
    g_autofree char *path = below(s, made[i]);
    g_remove(path);
  }
  assert_int_equal(g_rmdir(s->top), 0);
  g_free(s->top);
  g_free(s->state);
}

static mode_t mode_of(const char *path)
{
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  return st.st_mode & 07777;
}

static void both_are_made_in_the_state_directory(void **state)
{
  Stand s = stand_new();
  g_autofree char *imports = below(&s, "state/imports"), *backups = below(&s, "state/backups");
  for (int again = 0; again < 2; again++) {
    g_auto(Places) places = { 0 };
    assert_true(places_prepare(s.state, NULL, NULL, &places, NULL));
    assert_string_equal(places.imports, imports);
    assert_string_equal(places.backups, backups);
    assert_int_equal(mode_of(imports), 0700);
    assert_int_equal(mode_of(backups), 0700);
  }
  stand_clear(&s);
}

/* Paths are compared by their text later: so what they are compared with has no link in it. */
static void a_link_is_followed_once_and_for_all(void **state)
{
  Stand s = stand_new();
  g_autofree char *real = below(&s, "in"), *link = below(&s, "link");
  assert_int_equal(g_mkdir(real, 0755), 0);
  assert_int_equal(symlink(real, link), 0);
  g_auto(Places) places = { 0 };
  assert_true(places_prepare(s.state, link, NULL, &places, NULL));
  assert_string_equal(places.imports, real);
  stand_clear(&s);
}

static void what_would_open_the_store_is_refused(void **state)
{
  static const struct {
    const char *imports, *backups, *option;
  } rows[] = {
    { "state", "out", "image.import_directory" }, { "", "out", "image.import_directory" }, { "link", "out", "image.import_directory" },
    { "in", "state", "backup.directory" },        { "in", "", "backup.directory" },        { "in", "in", "image.import_directory" },
    { "in", "in/out", "image.import_directory" }, { "state/x/y", "state/x", "image.import_directory" },
  };
  Stand s = stand_new();
  g_autofree char *link = below(&s, "link");
  assert_int_equal(symlink(s.state, link), 0);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *imports = below(&s, rows[i].imports), *backups = below(&s, rows[i].backups);
    g_auto(Places) places = { 0 };
    g_autoptr(GError) err = NULL;
    if (places_prepare(s.state, imports, backups, &places, &err))
      fail_msg("%s and %s were taken", imports, backups);
    assert_true(error_is(err, REASON_BAD_CONFIG));
    assert_string_equal(error_arg(err, "path"), rows[i].option);
    assert_null(places.imports);
  }
  stand_clear(&s);
}

static void backups_are_not_written_where_others_may_plant_links(void **state)
{
  Stand s = stand_new();
  g_autofree char *out = below(&s, "out");
  assert_int_equal(g_mkdir(out, 0700), 0);
  assert_int_equal(g_chmod(out, 0770), 0);
  g_auto(Places) places = { 0 };
  g_autoptr(GError) err = NULL;
  assert_false(places_prepare(s.state, NULL, out, &places, &err));
  assert_true(error_is(err, REASON_BAD_CONFIG));
  assert_int_equal(g_chmod(out, 0750), 0);
  assert_true(places_prepare(s.state, NULL, out, &places, NULL));
  stand_clear(&s);
}

static void backups_are_not_written_below_what_others_may_rename(void **state)
{
  static const struct {
    mode_t mode;
    bool taken;
  } rows[] = { { 0770, false }, { 0707, false }, { 0777, false }, { 0755, true }, { 01777, true } };
  Stand s = stand_new();
  g_autofree char *in = below(&s, "in"), *out = below(&s, "in/out");
  assert_int_equal(g_mkdir(in, 0755), 0);
  assert_int_equal(g_mkdir(out, 0700), 0);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_auto(Places) places = { 0 };
    g_autoptr(GError) err = NULL;
    assert_int_equal(g_chmod(in, rows[i].mode), 0);
    if (places_prepare(s.state, NULL, out, &places, &err) != rows[i].taken)
      fail_msg("below a directory of mode %o: %s", rows[i].mode, err ? err->message : "taken");
    if (rows[i].taken)
      continue;
    assert_true(error_is(err, REASON_BAD_CONFIG));
    assert_string_equal(error_arg(err, "path"), "backup.directory");
    assert_non_null(strstr(error_arg(err, "detail"), in));
  }
  stand_clear(&s);
}

static void storages_from_afar_stay_away_from_what_is_ours(void **state)
{
  static const struct {
    const char *path;
    bool taken;
  } rows[] = { { "in", false }, { "in/x", true }, { "link/x", true }, { "out", false }, { "", false }, { "state", false }, { "state/x", false }, { "in/out", false },
               { "in/out/x", false }, { "in2", false } };
  Stand s = stand_new();
  g_autofree char *in = below(&s, "in"), *out = below(&s, "in/out"), *link = below(&s, "link");
  assert_int_equal(g_mkdir(in, 0755), 0);
  assert_int_equal(symlink(in, link), 0);
  g_auto(Places) places = { 0 };
  assert_true(places_prepare(s.state, NULL, out, &places, NULL));
  g_auto(StorageGround) ground = { 0 };
  assert_true(places_ground(&places, s.state, (char *[]){ link, s.state, NULL }, &ground, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *path = below(&s, rows[i].path);
    if (storage_ground_takes(&ground, path) != rows[i].taken)
      fail_msg("%s: %s", path, rows[i].taken ? "refused" : "taken");
  }
  assert_false(storage_ground_takes(NULL, in));
  g_autoptr(GError) err = NULL;
  g_auto(StorageGround) none = { 0 };
  assert_false(places_ground(&places, s.state, (char *[]){ (char *)"srv", NULL }, &none, &err));
  assert_string_equal(error_arg(err, "path"), "storage.directories");
  stand_clear(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(both_are_made_in_the_state_directory),
    cmocka_unit_test(a_link_is_followed_once_and_for_all),
    cmocka_unit_test(what_would_open_the_store_is_refused),
    cmocka_unit_test(storages_from_afar_stay_away_from_what_is_ours),
    cmocka_unit_test(backups_are_not_written_below_what_others_may_rename),
    cmocka_unit_test(backups_are_not_written_where_others_may_plant_links),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* core/config: a table of options is read, refused by name, and written back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "core/config.h"
#include "core/error.h"

#define SAMPLE_OPTIONS(X) \
  X(workers, INT, "limits", "workers", 1, 64, "4", "threads", "calls at once") \
  X(floor, INT, "limits", "floor", -5, 5, "-5", "", "may be negative") \
  X(strict, BOOL, "limits", "strict", 0, 0, "true", "", "refuse what is odd") \
  X(title, TEXT, "page", "title", 1, 10, "Sarang", "", "shown on the page") \
  X(note, TEXT, "page", "note", 0, 100, NULL, "", "may stay unset") \
  X(key_file, PATH, "page", "key-file", 1, 20, NULL, "", "a secret's file") \
  X(origins, LIST, "page", "origins", 0, 2, "", "", "names we answer to") \
  X(level, CHOICE, "log", "level", 0, 0, "info", "error|info|debug", "what is logged")
CONFIG_DECLARE(Sample, sample, SAMPLE_OPTIONS)
CONFIG_DEFINE(Sample, sample, SAMPLE_OPTIONS)

static void sample_free(Sample *s) { config_free(&sample_table, s); }
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sample, sample_free)

static void defaults_hold_without_a_file(void **state)
{
  g_autoptr(Sample) s = NULL;
  assert_true(config_parse(&sample_table, NULL, NULL, &s, NULL));
  assert_int_equal(s->workers, 4);
  assert_int_equal(s->floor, -5);
  assert_true(s->strict);
  assert_string_equal(s->title, "Sarang");
  assert_null(s->note);
  assert_null(s->key_file);
  assert_int_equal(g_strv_length(s->origins), 0);
  assert_int_equal(s->level, 1);
}

static void file_is_read_and_sets_win_over_it(void **state)
{
  g_autoptr(Sample) s = NULL;
  const char *sets[] = { "limits.workers=9", "page.note=a=b.c", NULL };
  assert_true(config_parse(&sample_table,
                           "# note\n[limits]\nworkers = 64\nstrict=false\n[page]\ntitle=  two words \n"
                           "origins=a.example; b.example ;\nkey-file=/etc/key\n[log]\nlevel=debug\n",
                           sets, &s, NULL));
  assert_int_equal(s->workers, 9);
  assert_false(s->strict);
  assert_string_equal(s->title, "two words");
  assert_string_equal(s->note, "a=b.c");
  assert_string_equal(s->key_file, "/etc/key");
  assert_int_equal(g_strv_length(s->origins), 2);
  assert_string_equal(s->origins[1], "b.example");
  assert_int_equal(s->level, 2);
}

static const struct {
  const char *text, *set;
  Reason reason;
  const char *field, *says;
} refused[] = {
  { "[limits]\nworker=4\n", NULL, REASON_UNKNOWN_FIELD, "limits.worker", "\"limits.worker\" is not known here" },
  { "[limit]\n", NULL, REASON_UNKNOWN_FIELD, "[limit]", "\"[limit]\" is not known here" },
  { "[limits]\nworkers=0\n", NULL, REASON_BAD_VALUE, "limits.workers",
    "limits.workers is \"0\", but must be a whole number from 1 to 64 threads" },
  { "[limits]\nworkers=65\n", NULL, REASON_BAD_VALUE, "limits.workers", "\"65\"" },
  { "[limits]\nworkers=4x\n", NULL, REASON_BAD_VALUE, "limits.workers", "\"4x\"" },
  { "[limits]\nworkers=\n", NULL, REASON_BAD_VALUE, "limits.workers", "is \"\"" },
  { "[limits]\nworkers=99999999999999999999\n", NULL, REASON_BAD_VALUE, "limits.workers", "must be" },
  { "[limits]\nstrict=1\n", NULL, REASON_BAD_VALUE, "limits.strict", "true or false" },
  { "[page]\ntitle=\n", NULL, REASON_BAD_VALUE, "page.title", "text of 1 to 10 bytes" },
  { "[page]\ntitle=elevenbytes\n", NULL, REASON_BAD_VALUE, "page.title", "text of 1 to 10 bytes" },
  { "[page]\nkey-file=key.pem\n", NULL, REASON_BAD_VALUE, "page.key-file", "an absolute path of at most 20 bytes" },
  { "[page]\nkey-file=/a/path/that/is/too/long\n", NULL, REASON_BAD_VALUE, "page.key-file", "absolute path" },
  { "[page]\norigins=a;b;c\n", NULL, REASON_BAD_VALUE, "page.origins", "0 to 2 items, separated by ;" },
  { "[page]\ntitle=\\q\n", NULL, REASON_BAD_VALUE, "page.title", "text" },
  { "[log]\nlevel=loud\n", NULL, REASON_BAD_VALUE, "log.level", "one of error|info|debug" },
  { "workers=4\n", NULL, REASON_BAD_CONFIG, NULL, "not usable" },
  { "[limits\nworkers=4\n", NULL, REASON_BAD_CONFIG, NULL, "not usable" },
  { NULL, "limits.workers", REASON_BAD_VALUE, "--set", "GROUP.KEY=VALUE" },
  { NULL, "workers=4", REASON_BAD_VALUE, "--set", "GROUP.KEY=VALUE" },
  { NULL, "limits.nothing=4", REASON_UNKNOWN_FIELD, "limits.nothing", "not known" },
  { NULL, "nothing.workers=4", REASON_UNKNOWN_FIELD, "[nothing]", "not known" },
  { NULL, "limits.workers=many", REASON_BAD_VALUE, "limits.workers", "\"many\"" },
};

static void what_is_wrong_is_named(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
    Sample *s = NULL;
    g_autoptr(GError) err = NULL;
    const char *sets[] = { refused[i].set, NULL };
    assert_false(config_parse(&sample_table, refused[i].text, sets, &s, &err));
    assert_null(s);
    assert_string_equal(reason_wire(error_reason(err)), reason_wire(refused[i].reason));
    if (refused[i].field)
      assert_string_equal(error_arg(err, "field"), refused[i].field);
    if (!strstr(err->message, refused[i].says))
      fail_msg("row %zu says: %s", i, err->message);
  }
}

static void dump_reads_back_to_itself(void **state)
{
  g_autoptr(Sample) first = NULL, second = NULL;
  const char *sets[] = { "page.title= a\\b\tc ", "page.origins=x;y", "log.level=error", "limits.strict=false", NULL };
  assert_true(config_parse(&sample_table, NULL, sets, &first, NULL));
  g_autofree char *text = config_dump(&sample_table, first);
  assert_non_null(strstr(text, "# calls at once\n#   a whole number from 1 to 64 threads (default: 4)\nworkers=4\n"));
  assert_non_null(strstr(text, "\n#note=\n"));
  assert_true(config_parse(&sample_table, text, NULL, &second, NULL));
  g_autofree char *again = config_dump(&sample_table, second);
  /* leading and trailing blanks of a value in a file are not kept, by intent: nobody sees them */
  assert_string_equal(second->title, "a\\b\tc");
  assert_int_equal(g_strv_length(second->origins), 2);
  assert_int_equal(second->level, 0);
  assert_non_null(strstr(again, "strict=false"));
}

static void file_errors_name_the_file(void **state)
{
  g_autofree char *path = NULL;
  Sample *s = NULL;
  g_autoptr(GError) err = NULL, gone = NULL, big = NULL;
  close(g_file_open_tmp("config-XXXXXX", &path, NULL));
  assert_true(g_file_set_contents(path, "[limits]\nworkers=0\n", -1, NULL));
  assert_false(config_load(&sample_table, path, NULL, &s, &err));
  assert_true(error_is(err, REASON_BAD_CONFIG));
  assert_string_equal(error_arg(err, "path"), path);
  assert_non_null(strstr(err->message, "limits.workers is \"0\", but must be"));

  g_autofree char *large = g_strnfill((1 << 20) + 1, '\n');
  assert_true(g_file_set_contents(path, large, -1, NULL));
  assert_false(config_load(&sample_table, path, NULL, &s, &big));
  assert_true(error_is(big, REASON_TOO_LARGE));

  assert_true(g_file_set_contents(path, "[limits]\nworkers=7\n", -1, NULL));
  assert_true(config_load(&sample_table, path, NULL, &s, NULL));
  assert_int_equal(s->workers, 7);
  sample_free(s);
  unlink(path);
  assert_false(config_load(&sample_table, path, NULL, &s, &gone));
  assert_true(error_is(gone, REASON_IO));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(defaults_hold_without_a_file), cmocka_unit_test(file_is_read_and_sets_win_over_it),
    cmocka_unit_test(what_is_wrong_is_named),       cmocka_unit_test(dump_reads_back_to_itself),
    cmocka_unit_test(file_errors_name_the_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

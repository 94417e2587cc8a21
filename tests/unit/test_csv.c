/* CSV as spreadsheets write it: quotes, marks, line ends and separators; what cannot be read is refused by its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/csv.h"

/* "1:a|b 2:c": every row with its line. */
static char *told(const char *text, GError **err)
{
  g_autoptr(GString) all = g_string_new(NULL);
  Csv csv = csv_open(text);
  for (;;) {
    g_auto(GStrv) fields = NULL;
    if (!csv_next(&csv, &fields, err))
      return NULL;
    if (!fields)
      return g_string_free(g_steal_pointer(&all), FALSE);
    g_autofree char *joined = g_strjoinv("|", fields);
    g_string_append_printf(all, "%s%d:%s", all->len ? " " : "", csv.line, joined);
  }
}

static void rows_are_what_a_spreadsheet_shows(void **state)
{
  static const struct { const char *text, *rows; } rows[] = {
    { "a,b\nc,d\n", "1:a|b 2:c|d" }, { "a,b\r\nc,d\r\n", "1:a|b 2:c|d" }, { "a,b\nc,d", "1:a|b 2:c|d" },
    { "\xef\xbb\xbf" "a,b\n1,2\n", "1:a|b 2:1|2" }, { "\xef\xbb\xbf\"a\",\"b\"\r\n\"1\",\"2\"\r\n", "1:a|b 2:1|2" },
    { "a;b\n1,5;2\n", "1:a|b 2:1,5|2" }, { "a\tb\n\t2\n", "1:a|b 2:|2" }, { "\"a;x\",b\n1,2\n", "1:a;x|b 2:1|2" },
    { "a,b\n\"1,2\",\"3 \"\"x\"\"\"\n", "1:a|b 2:1,2|3 \"x\"" }, { "a,b\n\"x\ny\",2\n3,4\n", "1:a|b 2:x\ny|2 4:3|4" },
    { "\n \r\na,b\n\n\n1,2\n \n", "3:a|b 6:1|2" }, { "a , b\n 1 ,\"2 \" \n", "1:a|b 2:1|2 " }, { "a,b\n,\n1,\n", "1:a|b 2:| 3:1|" },
    { "a\"b,c\n", "1:a\"b|c" }, { "\"\",x\n", "1:|x" }, { "", "" }, { "\xef\xbb\xbf", "" }, { " \t\r\n", "" }, { "one\n2\n", "1:one 2:2" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    g_autofree char *said = told(rows[i].text, &err);
    if (g_strcmp0(said, rows[i].rows))
      fail_msg("row %d: \"%s\", not \"%s\": %s", (int)i, said ? said : "(refused)", rows[i].rows, err ? err->message : "");
  }
}

static void quotes_that_are_wrong_say_where(void **state)
{
  static const struct { const char *text, *field, *limit; } bad[] = {
    { "a,b\n1,\"2\n3,4\n", "line 2", "quotes end" }, { "a,b\n\"x\ny\",2\n\"1\"x,2\n", "line 4", "nothing behind" },
    { "\"", "line 1", "quotes end" }, { "a,b\n1,\"2\"\"\n", "line 2", "quotes end" }, { "a;b\n\"1\",2\n", "line 2", "nothing behind" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) err = NULL;
    g_autofree char *said = told(bad[i].text, &err);
    if (said || !error_is(err, REASON_BAD_VALUE) || strcmp(error_arg(err, "field"), bad[i].field) || !strstr(error_arg(err, "limit"), bad[i].limit))
      fail_msg("row %d: %s", (int)i, said ? said : err->message);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_are_what_a_spreadsheet_shows),
    cmocka_unit_test(quotes_that_are_wrong_say_where),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

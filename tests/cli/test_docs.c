/* What the manual says to type: every command in docs/ and the README is one that there is, with flags that it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "cli/command.h"

static int looked, wrong;

/* What a shell would not hand on, and comments of the manual behind two blanks. */
static char *typed_part(const char *line)
{
  g_autoptr(GRegex) end = g_regex_new("(  #.*|  [a-z].*| [|>&].*|;.*)$", 0, 0, NULL);
  return g_regex_replace_literal(end, line, -1, 0, "", 0, NULL);
}

static const char *fault(char **argv, char **ret_why)
{
  Command c = { .verb = N_API_VERBS, .words = g_ptr_array_new_with_free_func(g_free), .flags = g_ptr_array_new_with_free_func(g_free) };
  g_autoptr(GError) err = NULL;
  const char *said = NULL;
  if (!command_read(&c, argv, &err))
    said = *ret_why = g_strdup(err->message);
  const char *noun = c.words->len ? c.words->pdata[0] : "", *verb = c.words->len > 1 ? c.words->pdata[1] : NULL;
  static const char *const short_forms[] = { "status", "me", "whoami", NULL };
  bool whole = c.version || g_strv_contains(short_forms, noun) || (c.help && !c.words->len);
  bool known = extra_find(noun, verb) || (verb ? verb_find(noun, verb) != N_API_VERBS : c.help);
  command_clear(&c);
  return said ? said : whole || known ? NULL : "there is no such command";
}

static void look_at(const char *path, const char *text)
{
  g_autofree char *typed = typed_part(text), *why = NULL;
  g_auto(GStrv) argv = NULL;
  if (!g_shell_parse_argv(typed, NULL, &argv, NULL) || !argv[1] || strcmp(argv[0], "sarang") != 0)
    return;
  looked++;
  const char *said = fault(argv, &why);
  if (!said)
    return;
  print_message("%s: %s: %s\n", path, typed, said);
  wrong++;
}

/* Lines of their own, and in the text what stands in ticks, but for forms with words to be filled in. */
static void look_at_file(const char *path)
{
  g_autoptr(GRegex) line = g_regex_new("^    (sarang .*)$", G_REGEX_MULTILINE, 0, NULL);
  g_autoptr(GRegex) ticks = g_regex_new("`(sarang [a-z][^`…\\[|{]*)`", 0, 0, NULL);
  GRegex *const forms[] = { line, ticks };
  g_autofree char *text = NULL;
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
    g_autoptr(GMatchInfo) match = NULL;
    for (g_regex_match(forms[i], text, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
      g_autofree char *found = g_match_info_fetch(match, 1);
      look_at(path, found);
    }
  }
}

static void every_command_of_the_manual_is_one(void **state)
{
  g_autoptr(GDir) dir = g_dir_open("docs", 0, NULL);
  assert_non_null(dir);
  look_at_file("README.md");
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename("docs", name, NULL);
    if (g_str_has_suffix(name, ".md"))
      look_at_file(path);
  }
  assert_true(looked > 60);
  assert_int_equal(wrong, 0);
}

static void what_is_no_command_is_found(void **state)
{
  static const struct { const char *text; bool ok; } rows[] = {
    { "sarang gpu list  # comment", true }, { "sarang export > room.yaml", true }, { "sarang gpu lst", false }, { "sarang gpu list --frobnicate=1", false },
    { "sarang gpus", false }, { "sarang status", true },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    wrong = 0;
    look_at("here", rows[i].text);
    assert_int_equal(wrong, !rows[i].ok);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(every_command_of_the_manual_is_one), cmocka_unit_test(what_is_no_command_is_found) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

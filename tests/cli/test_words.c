/* What the command line says: suggestions, and that everything it says to people it says in Korean too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "cli/command.h"
#include "cli/explain.h"

/* ── suggestions ──────────────────────────────────────────────────────────── */

static void the_nearest_word_is_meant(void **state)
{
  static const char *const verbs[] = { "list", "show", "create", "change", "pause", "resume", "delete", "request", NULL };
  static const struct { const char *typed, *meant, *why; } rows[] = {
    { "lst", "list", "a letter left out" }, { "lsit", "list", "two swapped" }, { "lists", "list", "one too many" },
    { "creat", "create", "begun right" }, { "req", "request", "begun right, however short" }, { "delte", "delete", "left out" },
    { "show", "show", "the word itself" }, { "x", NULL, "like none" }, { "", NULL, "nothing typed" }, { "frobnicate", NULL, "like none" },
    { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, "longer than any word" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const char *meant = nearest(rows[i].typed, verbs);
    if (g_strcmp0(meant, rows[i].meant))
      fail_msg("%s: %s became %s", rows[i].why, rows[i].typed, meant ? meant : "nothing");
  }
}

/* ── Korean ───────────────────────────────────────────────────────────────── */

static int missing;

static void need(const char *english)
{
  if (!english || !*english || korean_find(english))
    return;
  g_autofree char *escaped = g_strescape(english, "…–·");
  print_message("X(\"%s\", \"\")\n", escaped);
  missing++;
}

static void need_flag(const CommandFlag *f)
{
  if (f->name)
    need(f->help);
}

static void every_row_of_ours_has_korean(void **state)
{
  missing = 0;
  for (const GlobalFlag *f = global_flags; f->name; f++)
    need(f->help);
  for (const ExtraCommand *e = extra_commands; e->noun; e++) {
    need(e->help);
    for (int i = 0; i < EXTRA_FLAGS; i++)
      need_flag(&e->flags[i]);
  }
  if (missing)
    fail_msg("%d texts have no row in cli/korean.def", missing);
}

static void rows_of_the_api_have_korean(void **state)
{
  missing = 0;
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    if (!verb_is_shown(v))
      continue;
    g_autoptr(GArray) flags = verb_flags(v);
    need(api_rows[v].help);
    for (guint i = 0; i < flags->len; i++)
      need_flag(&g_array_index(flags, CommandFlag, i));
  }
  for (Noun n = 0; n < N_NOUNS; n++)
    for (int i = 0; i < schemas[n].n_fields; i++)
      if (!(schemas[n].fields[i].flags & F_SECRET))
        need(schemas[n].fields[i].help);
  if (missing)
    fail_msg("%d texts have no row in cli/korean.def", missing);
}

/* Texts that stand in the code itself: say(…, "…"), print_heading("…", and rows of examples and exit statuses. */
static void need_texts_of(const char *path)
{
  static const char *const forms[] = { "\\bsay\\([^\"()]+, \"((?:[^\"\\\\]|\\\\.)*)\"\\)", "print_heading\\([^;{]*?\"((?:[^\"\\\\]|\\\\.)*)\"",
                                       "\\{ (?:\\d|\"sarang [^\"]*\"), \"((?:[^\"\\\\]|\\\\.)*)\" \\}" };
  g_autofree char *code = NULL;
  assert_true(g_file_get_contents(path, &code, NULL, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
    g_autoptr(GRegex) regex = g_regex_new(forms[i], 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    for (g_regex_match(regex, code, 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
      g_autofree char *escaped = g_match_info_fetch(match, 1);
      g_autofree char *text = g_strcompress(escaped);
      if (!korean_find(text))
        print_message("%s: ", path);
      need(text);
    }
  }
}

static void every_text_in_the_code_has_korean(void **state)
{
  g_autoptr(GDir) dir = g_dir_open("cli", 0, NULL);
  missing = 0;
  int files = 0;
  assert_non_null(dir);
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename("cli", name, NULL);
    if (g_str_has_suffix(name, ".c")) {
      need_texts_of(path);
      files++;
    }
  }
  assert_true(files > 10);
  if (missing)
    fail_msg("%d texts have no row in cli/korean.def", missing);
}

static void korean_keeps_the_places_of_values(void **state)
{
  static const struct { const char *english, *korean; } rows[] = {
#define X(english, korean) { english, korean },
#include "cli/korean.def"
#undef X
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const char *e = rows[i].english, *k = rows[i].korean;
    assert_true(g_utf8_validate(k, -1, NULL));
    /* printf takes what stands in the English order, so that order is the Korean one too */
    for (;; e++, k++) {
      e = strchrnul(e, '%');
      k = strchrnul(k, '%');
      if (!*e && !*k)
        break;
      if (!*e || !*k || e[1] != k[1])
        fail_msg("\"%s\" and \"%s\" take other values", rows[i].english, rows[i].korean);
    }
  }
}

/* ── arguments ────────────────────────────────────────────────────────────── */

static bool is_typed(ApiVerb verb, const char *argument)
{
  bool name = !strcmp(argument, "name") && verb_takes_name(verb);
  return name || g_strv_contains(verb_positions(verb), argument) || verb_flag(verb, argument);
}

static void every_argument_of_a_verb_can_be_typed(void **state)
{
  int looked = 0;
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    g_auto(GStrv) arguments = g_strsplit_set(api_rows[v].args, " ?", -1);
    for (char **a = arguments; verb_is_shown(v) && *a; a++)
      if (**a && looked++ >= 0 && !is_typed(v, *a))
        fail_msg("sarang %s %s has no way to say %s", schemas[api_rows[v].noun].noun, api_rows[v].verb, *a);
  }
  assert_true(looked > 10);
  assert_true(verb_flag(API_DESKTOP_RELEASE, "reason")->needed);
  assert_false(verb_flag(API_DESKTOP_RETIRE, "reason")->needed);
}

/* ── states ───────────────────────────────────────────────────────────────── */

static void a_task_not_begun_has_not_failed(void **state)
{
  json_auto_t *task = json_pack("{ss ss ss sn}", "name", "t-1", "state", "waiting", "next_try", "2026-01-01T00:00:00Z", "error");
  json_auto_t *told = explain_summary(NOUN_TASK, task, LANG_EN);
  assert_string_equal(json_string_value(json_object_get(told, "means")), "it waits to begin");
  json_object_set_new(task, "error", json_pack("{ss s{ss}}", "code", "internal", "args", "detail", "x"));
  json_auto_t *failed = explain_summary(NOUN_TASK, task, LANG_EN);
  assert_non_null(strstr(json_string_value(json_object_get(failed, "means")), "failed, and is tried again"));
}

static void every_state_is_explained(void **state)
{
  static const Noun nouns[] = { NOUN_HOST, NOUN_GPU, NOUN_VGPU, NOUN_IMAGE, NOUN_POOL, NOUN_DESKTOP, NOUN_SESSION, NOUN_TASK };
  for (size_t i = 0; i < G_N_ELEMENTS(nouns); i++) {
    const EnumNames *states = schema_field(&schemas[nouns[i]], "state")->names;
    for (int s = 0; s < states->n; s++)
      if (!state_text_find(nouns[i], states->names[s]))
        fail_msg("%s %s has no row in cli/states.def", schemas[nouns[i]].noun, states->names[s]);
  }
}

/* What stands in braces is a field of that noun, and the same in both languages. */
static void texts_of_states_name_fields(void **state)
{
  g_autoptr(GRegex) hole = g_regex_new("\\{([a-z_]+)\\}", 0, 0, NULL);
  for (const StateText *t = state_texts; t->noun != N_NOUNS; t++)
    for (Lang lang = LANG_EN; lang <= LANG_KO; lang++) {
      const char *texts[] = { t->means[lang], t->next[lang], t->fix[lang] };
      assert_true(*t->means[lang]);
      assert_int_equal(!*t->next[LANG_EN], !*t->next[LANG_KO]);
      assert_int_equal(!*t->fix[LANG_EN], !*t->fix[LANG_KO]);
      for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GMatchInfo) match = NULL;
        for (g_regex_match(hole, texts[i], 0, &match); g_match_info_matches(match); g_match_info_next(match, NULL)) {
          g_autofree char *field = g_match_info_fetch(match, 1);
          if (strcmp(field, "name") != 0 && !schema_field(&schemas[t->noun], field))
            fail_msg("%s %s names {%s}, which is no field", schemas[t->noun].noun, t->state, field);
        }
      }
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_nearest_word_is_meant),
    cmocka_unit_test(every_row_of_ours_has_korean),
    cmocka_unit_test(rows_of_the_api_have_korean),
    cmocka_unit_test(every_text_in_the_code_has_korean),
    cmocka_unit_test(korean_keeps_the_places_of_values),
    cmocka_unit_test(every_argument_of_a_verb_can_be_typed),
    cmocka_unit_test(a_task_not_begun_has_not_failed), cmocka_unit_test(every_state_is_explained),
    cmocka_unit_test(texts_of_states_name_fields),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

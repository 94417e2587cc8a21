#include "core/error.h"
#include "core/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

typedef struct {
  const char *text, *message; /* message NULL: taken */
} Row;

static void check_rows(const Row *rows, size_t n, bool (*check)(const char *, const char *, GError **))
{
  for (size_t i = 0; i < n; i++) {
    g_autoptr(GError) err = NULL;
    assert_int_equal(check("pool", rows[i].text, &err), rows[i].message == NULL);
    if (rows[i].message)
      assert_string_equal(err->message, rows[i].message);
    else
      assert_null(err);
  }
}

#define IS(shown) "pool \"" shown "\" is not a name: [a-z0-9][a-z0-9-]{0,62}"
#define X10 "xxxxxxxxxx"
#define X63 X10 X10 X10 X10 X10 X10 "xxx"

static void names(void **state)
{
  static const Row rows[] = {
    { "a", NULL },
    { "0", NULL },
    { "cad-2d", NULL },
    { "a--", NULL },
    { X63, NULL },
    { X63 "x", IS(X63 "x") },
    { NULL, "pool is missing" },
    { "", "pool is missing" },
    { "-rf", IS("-rf") },
    { "--all", IS("--all") },
    { "../etc", IS("../etc") },
    { "a/b", IS("a/b") },
    { "a.b", IS("a.b") },
    { "A", IS("A") },
    { "a_b", IS("a_b") },
    { "a b", IS("a b") },
    { "a\nb", IS("a<U+000A>b") },
    { "a\n", IS("a<U+000A>") },
    { "<&>", IS("<&>") },
    { "a\xe2\x80\xae" "cod", IS("a<U+202E>cod") },
    { "a\xff", IS("a<FF>") },
    { "\xec\x82\xac\xeb\x9e\x91", IS("\xec\x82\xac\xeb\x9e\x91") },
    { "\xf0\x9f\x98\x80", IS("\xf0\x9f\x98\x80") },
    { "$(id)", IS("$(id)") },
    { "%n", IS("%n") },
  };
  check_rows(rows, G_N_ELEMENTS(rows), name_check);
}

#define ACCOUNT(shown) "pool \"" shown "\" is not a name: [a-z_][a-z0-9_-]{0,31}, not root"

static void accounts(void **state)
{
  static const Row rows[] = {
    { "jihye", NULL },
    { "_apt", NULL },
    { "a_b-9", NULL },
    { X10 X10 X10 "xx", NULL },
    { X10 X10 X10 "xxx", ACCOUNT(X10 X10 X10 "xxx") },
    { "root", ACCOUNT("root") },
    { "9a", ACCOUNT("9a") },
    { "-a", ACCOUNT("-a") },
    { "a:b", ACCOUNT("a:b") },
    { "", "pool is missing" },
  };
  check_rows(rows, G_N_ELEMENTS(rows), account_check);
}

#define HIDDEN(character, position) \
  "pool holds " character " at character " position ", which is a control, invisible or text-reordering character"

static void titles(void **state)
{
  static const Row rows[] = {
    { "", NULL },
    { "Linux desktop <&> \"quoted\"", NULL },
    { "\xeb\xa6\xac\xeb\x88\x85\xec\x8a\xa4", NULL },
    { "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", NULL },
    { NULL, "pool is missing" },
    { "a\tb", HIDDEN("U+0009", "2") },
    { "a\nb", HIDDEN("U+000A", "2") },
    { "\x7f", HIDDEN("U+007F", "1") },
    { "ab\xc2\x85", HIDDEN("U+0085", "3") },
    { "\xeb\xa6\xac\xe2\x80\xae", HIDDEN("U+202E", "2") },
    { "\xe2\x81\xa6", HIDDEN("U+2066", "1") },
    { "\xd8\x9c", HIDDEN("U+061C", "1") },
    { "\xe2\x80\x8b", HIDDEN("U+200B", "1") },
    { "\xef\xbb\xbf", HIDDEN("U+FEFF", "1") },
    { "\xe2\x80\xa8", HIDDEN("U+2028", "1") },
    { "\xef\xbf\xbf", HIDDEN("U+FFFF", "1") },
    { "a\xc3", "pool is not valid UTF-8" },
    { "\xed\xa0\x80", "pool is not valid UTF-8" },
    { "\xc0\xaf", "pool is not valid UTF-8" },
  };
  check_rows(rows, G_N_ELEMENTS(rows), title_check);
}

static void a_title_has_at_most_200_characters(void **state)
{
  GString *title = g_string_new(NULL);
  for (int i = 0; i < TITLE_MAX_CHARACTERS; i++)
    g_string_append(title, "\xeb\xa6\xac");
  assert_true(title_check("title", title->str, NULL));
  g_string_append(title, "a");
  g_autoptr(GError) err = NULL;
  assert_false(title_check("title", title->str, &err));
  assert_string_equal(err->message, "title is 201 characters, more than the limit of 200");
  g_string_free(title, TRUE);
}

static void refusals_speak_korean(void **state)
{
  g_autoptr(GError) err = NULL;
  assert_false(title_check("title", "a\xe2\x80\xae", &err));
  g_autofree char *text = error_text(err, LANG_KO);
  assert_non_null(strstr(text, "title의 2번째 문자 U+202E"));
  g_autofree char *fix = error_fix(err, LANG_KO);
  assert_string_equal(fix, "그 문자를 빼십시오");
}

static void shown_text_is_cut(void **state)
{
  g_autofree char *shown = text_dup_visible("abcdef", 3);
  assert_string_equal(shown, "abc…");
  g_autofree char *broken = text_dup_visible("a\xe2\x80", 9);
  assert_string_equal(broken, "a<E2><80>");
}

static void numbers(void **state)
{
  static const struct { const char *text; bool taken; int64_t number; } rows[] = {
    { "0", true, 0 }, { "10", true, 10 }, { "-5", true, -5 }, { "007", true, 7 }, { "11", false, 0 }, { "-6", false, 0 }, { "+1", false, 0 },
    { " 1", false, 0 }, { "1 ", false, 0 }, { "1.0", false, 0 }, { "0x1", false, 0 }, { "1e1", false, 0 }, { "", false, 0 }, { NULL, false, 0 },
    { "99999999999999999999", false, 0 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    int64_t number = 77;
    assert_int_equal(number_parse(rows[i].text, -5, 10, &number), rows[i].taken);
    assert_int_equal(number, rows[i].taken ? rows[i].number : 77);
  }
}

static void paths_below_a_directory(void **state)
{
  static const struct { const char *path; bool below; } rows[] = {
    { "/srv/in/a.qcow2", true }, { "/srv/in/x/a.qcow2", true }, { "/srv/in/..a", true }, { "/srv/in/a..", true }, { "/srv/in", false },
    { "/srv/in/", false }, { "/srv/inside", false }, { "/srv/a", false }, { "/srv/in/../a", false }, { "/srv/in/x/../../a", false },
    { "/srv/in/..", false }, { "/srv/in/./a", false }, { "/srv/in//a", false }, { "srv/in/a", false }, { "//srv/in/a", false }, { "", false },
    { NULL, false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (path_is_below("/srv/in", rows[i].path) != rows[i].below)
      fail_msg("%s", rows[i].path ? rows[i].path : "NULL");
  assert_false(path_is_below(NULL, "/a"));
  assert_false(path_is_below("", "/a"));
}

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJk2"
#define X200 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static void keys_and_locales_have_a_shape(void **state)
{
  static const struct { bool (*check)(const char *, const char *, GError **); const char *text; bool taken; } rows[] = {
    { ssh_key_check, KEY, true }, { ssh_key_check, KEY " me@home", true }, { ssh_key_check, KEY " 김지혜 노트북", true },
    { ssh_key_check, "ssh-rsa AAAAB3+/=", true }, { ssh_key_check, "ecdsa-sha2-nistp256 AAAA==", true },
    { ssh_key_check, "sk-ssh-ed25519@openssh.com AAAA", true }, { ssh_key_check, KEY " " X200, true },
    { ssh_key_check, KEY " " X200 "x", false }, { ssh_key_check, "not a key", false }, { ssh_key_check, "ssh-ed25519", false },
    { ssh_key_check, "ssh-ed25519 A!A", false }, { ssh_key_check, "command=\"id\" " KEY, false }, { ssh_key_check, KEY "\n" KEY, false },
    { ssh_key_check, KEY " a\xe2\x80\x8d" "b", false }, { ssh_key_check, "-----BEGIN OPENSSH PRIVATE KEY-----", false }, { ssh_key_check, "", false },
    { locale_check, "ko_KR.UTF-8", true }, { locale_check, "C.UTF-8", true }, { locale_check, "C", true }, { locale_check, "POSIX", true },
    { locale_check, "de_DE@euro", true }, { locale_check, "en_US.ISO-8859-15", true }, { locale_check, "es_419", true },
    { locale_check, "foo bar", false }, { locale_check, "ko_KR.UTF-8\n", false }, { locale_check, "ko_KR=x", false }, { locale_check, "../x", false },
    { locale_check, "한국어", false }, { locale_check, "", false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    if (rows[i].check("field", rows[i].text, &err) != rows[i].taken)
      fail_msg("%s", rows[i].text);
    assert_int_equal(err == NULL, rows[i].taken);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names),
    cmocka_unit_test(accounts),
    cmocka_unit_test(titles),
    cmocka_unit_test(a_title_has_at_most_200_characters),
    cmocka_unit_test(numbers),
    cmocka_unit_test(paths_below_a_directory),
    cmocka_unit_test(keys_and_locales_have_a_shape),
    cmocka_unit_test(refusals_speak_korean),
    cmocka_unit_test(shown_text_is_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

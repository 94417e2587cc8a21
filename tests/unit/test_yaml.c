/* YAML that people write: what becomes of it, and what is refused, by name and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/error.h"
#include "core/yaml.h"

static json_t *read_text(const char *text, GError **err)
{
  return yaml_read("pools.yaml", text, strlen(text), err);
}

static void data_becomes_json(void **state)
{
  static const struct { const char *yaml, *json; } rows[] = {
    { "kind: pool\nname: cad\nspare: 2\n", "[{\"kind\":\"pool\",\"name\":\"cad\",\"spare\":2}]" },
    { "a: no\nb: yes\nc: true\nd: ~\ne:\nf: 'true'\ng: \"2\"\n", "[{\"a\":\"no\",\"b\":\"yes\",\"c\":true,\"d\":null,\"e\":null,\"f\":\"true\",\"g\":\"2\"}]" },
    { "a: 007\nb: -3\nc: 0\nd: 1.5\ne: 0x10\n", "[{\"a\":\"007\",\"b\":-3,\"c\":0,\"d\":\"1.5\",\"e\":\"0x10\"}]" },
    { "a: 99999999999999999999\n", "[{\"a\":\"99999999999999999999\"}]" },
    { "- [a, b]\n- {x: 1}\n", "[[[\"a\",\"b\"],{\"x\":1}]]" },
    { "a: 1\n---\nb: 2\n", "[{\"a\":1},{\"b\":2}]" },
    { "title: 김지혜\n", "[{\"title\":\"김지혜\"}]" },
    { "xml: |\n  <a>\n  </a>\n", "[{\"xml\":\"<a>\\n</a>\\n\"}]" },
    { "", "[]" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    json_auto_t *found = read_text(rows[i].yaml, &err), *wanted = json_loads(rows[i].json, 0, NULL);
    if (!found || !json_equal(found, wanted))
      fail_msg("%s became %s", rows[i].yaml, found ? json_dumps(found, JSON_COMPACT) : err->message);
  }
}

static void tricks_are_refused_with_their_line(void **state)
{
  static const struct { const char *yaml, *says; } rows[] = {
    { "a: 1\nb: 2\na: 3\n", "line 3: the key \"a\" comes twice" },
    { "a: &x [1]\nb: *x\n", "line 1: anchors (&) are not taken" },
    { "b: *x\n", "line 1: aliases (*) are not taken" },
    { "base: 1\n<<: {a: 1}\n", "line 2: merge keys (<<) are not taken" },
    { "a: !!python/object:os.system ls\n", "line 1: tags (!) are not taken" },
    { "%YAML 1.1\n---\na: 1\n", "directives (%) are not taken" },
    { "[a]: 1\n", "line 1: a key is no plain text" },
    { "a: \"x\\0y\"\n", "line 1: a text holds a NUL" },
    { "a: [1, 2\n", "line 2" },
    { "a: 1\n  b: 2\n", "line 2" },
    { "a:\n\t- 1\n", "line 2" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    assert_null(read_text(rows[i].yaml, &err));
    assert_true(error_is(err, REASON_YAML_REFUSED));
    if (!strstr(err->message, rows[i].says) || !strstr(err->message, "pools.yaml"))
      fail_msg("%s was refused by: %s", rows[i].yaml, err->message);
  }
}

static void what_is_too_much_is_refused(void **state)
{
  g_autoptr(GString) deep = g_string_new("a: ");
  for (int i = 0; i < 2000; i++)
    g_string_append_c(deep, '[');
  g_autoptr(GError) err = NULL;
  assert_null(read_text(deep->str, &err));
  assert_non_null(strstr(err->message, "deeper than 32 levels"));
  g_clear_error(&err);
  g_autoptr(GString) just = g_string_new("a: ");
  for (int i = 0; i < YAML_MAX_DEPTH - 2; i++)
    g_string_append_c(just, '[');
  g_string_append_c(just, '1');
  for (int i = 0; i < YAML_MAX_DEPTH - 2; i++)
    g_string_append_c(just, ']');
  json_auto_t *taken = read_text(just->str, &err);
  assert_non_null(taken);
  g_autofree char *large = g_malloc(YAML_MAX_BYTES + 1);
  memset(large, ' ', YAML_MAX_BYTES + 1);
  assert_null(yaml_read("large.yaml", large, YAML_MAX_BYTES + 1, &err));
  assert_true(error_is(err, REASON_TOO_LARGE));
}

static void bytes_that_are_no_text_are_refused(void **state)
{
  static const char *const rows[] = { "a: \xff\xfe\n", "\xff\xfe" "a\0", "a: \x01\n" };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    assert_null(read_text(rows[i], &err));
    assert_true(error_is(err, REASON_YAML_REFUSED));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(data_becomes_json),
    cmocka_unit_test(tricks_are_refused_with_their_line),
    cmocka_unit_test(what_is_too_much_is_refused),
    cmocka_unit_test(bytes_that_are_no_text_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

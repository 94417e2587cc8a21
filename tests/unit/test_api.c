/* The verb table: every row is found by its path, nothing else is, and who may what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/api.h"

static void every_row_is_found_by_its_path(void **state)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    g_auto(GStrv) parts = g_strsplit(api_rows[v].path, "{name}", 2);
    g_autofree char *path = parts[1] ? g_strconcat(parts[0], "some-1", parts[1], NULL) : g_strdup(parts[0]);
    g_autofree char *name = NULL;
    assert_int_equal(api_find(api_rows[v].method, path, &name, NULL), v);
    if (parts[1])
      assert_string_equal(name, "some-1");
    else
      assert_null(name);
    assert_true(api_methods(path) & 1u << api_rows[v].method);
  }
}

static void names_are_decoded(void **state)
{
  static const struct { const char *path, *name; } rows[] = {
    { "/api/v1/images/base@3", "base@3" },
    { "/api/v1/images/base%403", "base@3" },
    { "/api/v1/hosts/%7Bname%7D", "{name}" },
    { "/api/v1/hosts/{name}", "{name}" },
    { "/api/v1/hosts/..", ".." },
    { "/api/v1/hosts/%ED%95%9C", "한" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *name = NULL;
    assert_int_not_equal(api_find(METHOD_GET, rows[i].path, &name, NULL), N_API_VERBS);
    assert_string_equal(name, rows[i].name);
  }
}

static void other_paths_are_refused(void **state)
{
  static const struct { ApiMethod method; const char *path; Reason reason; } rows[] = {
    { METHOD_GET, "", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/", REASON_NO_SUCH_PATH },
    { METHOD_GET, "//api/v1/hosts", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/api/v1/hosts/", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/api/v1/hosts//drain", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/api/v1/hosts/a/b/c", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/api/v1/hosts/..%2fhosts", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/api/v1/hosts/a%00b", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/api/v1/hosts/%ff", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/api/v1/hosts/%4", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/api/v1/../v1/hosts", REASON_NO_SUCH_PATH },
    { METHOD_GET, "/API/v1/hosts", REASON_NO_SUCH_PATH },
    { METHOD_DELETE, "/api/v1/hosts", REASON_METHOD_NOT_ALLOWED },
    { METHOD_GET, "/api/v1/login", REASON_METHOD_NOT_ALLOWED },
    { N_API_METHODS, "/api/v1/hosts", REASON_METHOD_NOT_ALLOWED },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *name = NULL;
    g_autoptr(GError) err = NULL;
    assert_int_equal(api_find(rows[i].method, rows[i].path, &name, &err), N_API_VERBS);
    assert_null(name);
    assert_true(error_is(err, rows[i].reason));
  }
  g_autofree char *long_tail = g_strnfill(4096, 'x');
  g_autofree char *deep = g_strconcat("/api/v1/hosts/a/", long_tail, NULL);
  char *name;
  assert_int_equal(api_find(METHOD_GET, deep, &name, NULL), N_API_VERBS);
  assert_int_equal(api_methods("/api/v1/hosts"), 1 << METHOD_GET | 1 << METHOD_POST);
  assert_int_equal(api_methods("/nowhere"), 0);
}

static void words_are_found(void **state)
{
  assert_int_equal(api_find_words("desktop", "start"), API_DESKTOP_START);
  assert_int_equal(api_find_words("desktops", "list"), API_DESKTOP_LIST);
  assert_int_equal(api_find_words("desktop", "fly"), N_API_VERBS);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_row_is_found_by_its_path),
    cmocka_unit_test(names_are_decoded),
    cmocka_unit_test(other_paths_are_refused),
    cmocka_unit_test(words_are_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

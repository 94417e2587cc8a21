/* Objects as JSON: times, texts, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/model.h"

static char *time_of(int64_t us)
{
  g_autoptr(GString) out = g_string_new(NULL);
  Object *host = object_new(&schemas[NOUN_HOST], NOUN_HOST, "h1");
  host->created_us = us;
  object_append_json(&schemas[NOUN_HOST], host, out);
  object_unref(&schemas[NOUN_HOST], host);
  json_t *json = json_loads(out->str, 0, NULL);
  assert_non_null(json);
  char *text = g_strdup(json_string_value(json_object_get(json, "created")));
  json_decref(json);
  return text;
}

static void times_are_rfc_3339(void **state)
{
  static const struct { int64_t us; const char *text; } rows[] = {
    { 1, "1970-01-01T00:00:00.000001Z" },
    { INT64_C(951782399999999), "2000-02-28T23:59:59.999999Z" },
    { INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z" },
    { INT64_C(951868800000000), "2000-03-01T00:00:00.000000Z" },
    { INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z" },
    { INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z" },
    { 0, NULL },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = time_of(rows[i].us);
    assert_int_equal(g_strcmp0(text, rows[i].text), 0);
  }
}

static void times_agree_with_the_calendar_of_glib(void **state)
{
  for (int64_t day = 0; day < 200 * 366; day += 1) {
    int64_t s = day * 86400 + day * 7919 % 86400;
    g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(s);
    g_autofree char *want = g_date_time_format(date, "%Y-%m-%dT%H:%M:%S.000000Z"), *text = time_of(s * G_USEC_PER_SEC);
    if (s)
      assert_string_equal(text, want);
  }
}

static void hidden_fields_are_left_out(void **state)
{
  User *user = (User *)object_new(&schemas[NOUN_USER], NOUN_USER, "alice");
  text_set(&user->password_hash, "$argon2id$");
  text_set(&user->title, "a \"quoted\"\nname");
  g_autoptr(GString) out = g_string_new(NULL), titleless = g_string_new(NULL);
  object_append_json(&schemas[NOUN_USER], &user->head, out);
  assert_null(strstr(out->str, "argon2id"));
  assert_non_null(strstr(out->str, "\"title\":\"a \\\"quoted\\\"\\u000aname\""));
  object_append_json_without(&schemas[NOUN_USER], &user->head, F_SECRET | F_TITLE, titleless);
  assert_null(strstr(titleless->str, "title"));
  object_unref(&schemas[NOUN_USER], &user->head);
}

static void texts_are_json_whatever_is_in_them(void **state)
{
  static const struct { const char *text, *read; } rows[] = {
    { "\"\\\n\x01", "\"\\\n\x01" }, { "사랑방", "사랑방" }, { "A\xff" "B", "A\xef\xbf\xbd" "B" }, { "\xec\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GString) out = g_string_new("[");
    json_append_text(out, rows[i].text);
    g_string_append_c(out, ']');
    json_t *json = json_loads(out->str, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_array_get(json, 0)), rows[i].read);
    json_decref(json);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(times_are_rfc_3339),
    cmocka_unit_test(times_agree_with_the_calendar_of_glib),
    cmocka_unit_test(hidden_fields_are_left_out),
    cmocka_unit_test(texts_are_json_whatever_is_in_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

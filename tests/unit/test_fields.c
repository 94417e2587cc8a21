/* What text may come in: every text field that a request can set, and the name in every verb, against texts that hide, reorder or break lines, lead
 * out of a directory or into an option. Made from the tables, so a new field or verb is covered by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "tests/unit/brain_world.h"

/* None of these is a text for any field but one with lines. */
static const char *const hidden[] = {
  "/a\x01" "b", "/a\nb", "/a\rb", "/a\tb", "/a\x1b[2Jb", "/a\x7f" "b", "/a\xc2\x85" "b", "/a\u2028b", "/a\u200eb", "/a\u202ab", "/a\u202bb", "/a\u202cb",
  "/a\u202db", "/a\u202eb", "/a\u2066b", "/a\u2067b", "/a\u2068b", "/a\u2069b", "/a\ufeffb", "/a\u061cb",
};

/* Nor is any of these a name. */
static const char *const no_names[] = {
  "../x", "..", "a/b", "a\nb", "-rf", "--help", "<script>", "a&b", "a\"b", "a'b", "a b", "A", "a.b", "a\u202eb", "\u200fa", "a\x01", "한", "$(x)", "a;b",
  "a%2fb", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

static const char *const no_paths[] = { "a", "/", "a/b", "/a/../b", "/a/..", "../a" };
static const char *const no_addresses[] = {
  "1.2.3", "10.0.0.256", "a b", "-a", "a-", "a..b", ".a", "http://a", "a:5900", "a/b", "<a>", "::g", "$(x)", "10.0.0.1 ", "",
};
static const char *const addresses[] = { "10.0.0.1", "::1", "fe80::1", "h1", "h1.example.org", "3com.example", "KVM-7" };

static bool is_text(const Field *f)
{
  return (f->type == FIELD_TEXT || f->type == FIELD_REF || f->type == FIELD_LIST) && f->flags & (F_IN | F_CHANGE);
}

/* A refusal names its field in both languages. */
static void assert_told(const GError *err, const char *noun, const Field *f, const char *text)
{
  for (Lang lang = LANG_EN; lang <= LANG_KO; lang++) {
    g_autofree char *told = error_text(err, lang);
    if (!strstr(told, f->name))
      fail_msg("%s.%s, %s: \"%s\" does not name it", noun, f->name, text, told);
    for (const char *c = told; *c; c++)
      if ((unsigned char)*c < 0x20)
        fail_msg("%s.%s: the refusal holds a control character", noun, f->name);
  }
}

/* Refused for this field: another that is missing does not count. */
static GError *refusal_of(const Schema *schema, const Field *f, json_t *take_text)
{
  json_auto_t *body = json_object();
  json_object_set_new(body, f->name, f->type == FIELD_LIST ? json_pack("[s o]", "a", take_text) : take_text);
  Object *object = object_new(schema, 0, "a");
  GError *err = NULL;
  object_set_json(schema, object, body, f->flags & F_IN ? JSON_CREATE : JSON_CHANGE, &err);
  object_unref(schema, object);
  if (err && error_reason(err) == REASON_MISSING_FIELD && g_strcmp0(error_arg(err, "field"), f->name))
    g_clear_error(&err);
  return err;
}

static void assert_refused(const Schema *schema, const Field *f, json_t *take_text, const char *what)
{
  g_autoptr(GError) err = refusal_of(schema, f, take_text);
  if (!err)
    fail_msg("%s.%s takes %s", schema->noun, f->name, what);
  assert_told(err, schema->noun, f, what);
}

static void field_refuses(const Schema *schema, const Field *f)
{
  for (size_t i = 0; i < G_N_ELEMENTS(hidden) && !(f->flags & F_LINES); i++)
    assert_refused(schema, f, json_string(hidden[i]), "a hidden character");
  for (size_t i = 0; i < G_N_ELEMENTS(no_names) && f->flags & F_NAME; i++)
    assert_refused(schema, f, json_string(no_names[i]), no_names[i]);
  for (size_t i = 0; i < G_N_ELEMENTS(no_paths) && f->flags & F_PATH; i++)
    assert_refused(schema, f, json_string(no_paths[i]), no_paths[i]);
  for (size_t i = 0; i < G_N_ELEMENTS(no_addresses) && f->flags & F_ADDRESS; i++)
    assert_refused(schema, f, json_string(no_addresses[i]), no_addresses[i]);
  assert_refused(schema, f, json_stringn("/a\0b", 4), "NUL");
  if (!(f->flags & F_LINES))
    assert_refused(schema, f, json_stringn_nocheck("/a\xff", 3), "what is not UTF-8");
  size_t most = f->type == FIELD_LIST ? 16384 : (size_t)f->max;
  g_autofree char *long_text = g_strnfill(most + 1, 'a');
  *long_text = '/';
  assert_refused(schema, f, json_string(long_text), "a text beyond its limit");
}

static void no_field_takes_text_that_hides_or_breaks(void **state)
{
  int fields = 0, with_lines = 0;
  for (Noun n = 0; n < N_NOUNS; n++)
    for (int i = 0; i < schemas[n].n_fields; i++) {
      const Field *f = &schemas[n].fields[i];
      if (!is_text(f))
        continue;
      field_refuses(&schemas[n], f);
      fields++;
      with_lines += f->flags & F_LINES ? 1 : 0;
    }
  assert_true(fields > 20);
  assert_int_equal(with_lines, 1); /* a template's XML, which has a reader of its own */
}

static void ordinary_text_is_taken(void **state)
{
  static const struct { Noun noun; const char *field, *text; } rows[] = {
    { NOUN_STORAGE, "path", "/srv/데스크톱/a b" },         { NOUN_STORAGE, "controller_path", "/a..b/..c" },
    { NOUN_IMAGE, "source", "/srv/imports/Ubuntu 24.04 <x>.qcow2" }, { NOUN_POOL, "title", "디자인팀 👩‍💻" },
    { NOUN_HOST, "uri", "qemu+ssh://root@h1/system" },     { NOUN_POOL, "image", "base@3" },
    { NOUN_USER, "ssh_keys", "ssh-ed25519 AAAA a@b" },     { NOUN_USER, "locale", "ko_KR.UTF-8" },
    { NOUN_TEMPLATE, "xml", "<domain>\n\t<name/>\n</domain>\n" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const Field *f = schema_field(&schemas[rows[i].noun], rows[i].field);
    g_autoptr(GError) err = refusal_of(&schemas[rows[i].noun], f, json_string(rows[i].text));
    if (err)
      fail_msg("%s: %s", rows[i].text, err->message);
  }
  const Field *address = schema_field(&schemas[NOUN_HOST], "console_address");
  for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++)
    assert_null(refusal_of(&schemas[NOUN_HOST], address, json_string(addresses[i])));
}

/* ── names, by every verb ─────────────────────────────────────────────────── */

/* What the verb needs, plausible; member is what is wrong. */
static char *body_with(const ApiRow *row, const char *member, const char *bad)
{
  json_auto_t *body = json_object();
  json_object_set_new(body, member, json_string(bad));
  for (int i = 0; row->how == HOW_CREATE && i < schemas[row->noun].n_fields; i++) {
    const Field *f = &schemas[row->noun].fields[i];
    if (!(f->flags & F_NEED) || !strcmp(f->name, member))
      continue;
    json_t *value = f->type == FIELD_LIST ? json_pack("[s]", "st1") : f->type == FIELD_ENUM ? json_string(f->names->names[0])
                  : f->type == FIELD_INT ? json_integer(1) : json_string(f->flags & F_PATH ? "/a" : "cad");
    json_object_set_new(body, f->name, value);
  }
  if (!json_object_get(body, "name") && strstr(row->args, "name"))
    json_object_set_new(body, "name", json_string("fresh"));
  return json_dumps(body, JSON_COMPACT);
}

static void assert_no_name(World *w, ApiVerb verb, const char *path_name, const char *body, const char *bad)
{
  Request *r = request_new(verb);
  r->caller = (Caller){ .user = g_strdup("root"), .role = ROLE_ADMINISTRATOR, .logged_in = true, .local = true };
  r->caller.gateway = api_rows[verb].allow & MAY_GATEWAY;
  r->name = g_strdup(path_name);
  r->body = json_loads(body, 0, NULL);
  int before = w->answers;
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  if (w->answers == before || !w->last->error)
    fail_msg("%s %s takes the name \"%s\"", schemas[api_rows[verb].noun].noun, api_rows[verb].verb, bad);
  Reason why = error_reason(w->last->error);
  if (why != REASON_BAD_NAME && why != REASON_NOT_FOUND)
    fail_msg("%s %s refuses \"%s\" for another reason: %s", schemas[api_rows[verb].noun].noun, api_rows[verb].verb, bad, w->last->error->message);
}

/* The members that name something: of a new object its own name, and every field that is a name. */
static void every_member_refuses(World *w, ApiVerb verb, const char *bad)
{
  const ApiRow *row = &api_rows[verb];
  g_auto(GStrv) args = g_strsplit(row->args, " ", -1);
  if (g_strv_contains((const char *const *)args, "name")) {
    g_autofree char *body = body_with(row, "name", bad);
    assert_no_name(w, verb, NULL, body, bad);
  }
  for (int i = 0; i < schemas[row->noun].n_fields; i++) {
    const Field *f = &schemas[row->noun].fields[i];
    g_autofree char *body = f->flags & F_NAME && f->flags & F_IN ? body_with(row, f->name, bad) : NULL;
    if (body)
      assert_no_name(w, verb, NULL, body, bad);
  }
}

static void no_verb_takes_what_is_no_name(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  int verbs = 0;
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    for (size_t i = 0; i < G_N_ELEMENTS(no_names); i++) {
      bool creates = api_rows[v].how == HOW_CREATE, acts = api_rows[v].how == HOW_CHANGE || api_rows[v].how == HOW_ACT;
      verbs += !i && (creates || acts);
      if (creates)
        every_member_refuses(w, v, no_names[i]);
      else if (acts && strchr(api_rows[v].path, '{'))
        assert_no_name(w, v, no_names[i], "{}", no_names[i]);
    }
  assert_true(verbs > 30);
  world_free(w);
}

/* What a guest would refuse at every session is refused where it is given; a title never is. */
static void a_key_and_a_locale_are_judged_when_they_are_given(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  static const struct { const char *member, *field, *example; } rows[] = {
    { "'ssh_keys':['ssh-ed25519 AAAA a@b','not a key']", "ssh_keys", "ssh-ed25519 AAAA" }, { "'locale':'foo bar'", "locale", "ko_KR.UTF-8" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *add = g_strdup_printf("{'name':'bob',%s}", rows[i].member), *change = g_strdup_printf("{%s}", rows[i].member);
    const Answer *a = world_ask(w, API_USER_ADD, NULL, NULL, add);
    assert_true(error_is(a->error, REASON_BAD_VALUE));
    assert_string_equal(error_arg(a->error, "field"), rows[i].field);
    assert_non_null(strstr(error_arg(a->error, "limit"), rows[i].example));
    assert_true(error_is(world_ask(w, API_USER_CHANGE, NULL, "jihye", change)->error, REASON_BAD_VALUE));
  }
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'bob','title':'Kim, Bob: R&D','locale':'','ssh_keys':['ssh-rsa AAAA']}")->error);
  assert_null(world_ask(w, API_USER_CHANGE, NULL, "bob", "{'locale':'tlh_KX.UTF-8','ssh_keys':[]}")->error);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_field_takes_text_that_hides_or_breaks),
    cmocka_unit_test(ordinary_text_is_taken),
    cmocka_unit_test(no_verb_takes_what_is_no_name),
    cmocka_unit_test(a_key_and_a_locale_are_judged_when_they_are_given),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

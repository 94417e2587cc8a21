/* What is read: pages, filters, the past, languages, the server's own verbs; and how the server begins and ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/http/scene.h"

static Scene *scene;

static int set_up(void **state)
{
  scene = scene_new(NULL);
  return 0;
}

static int tear_down(void **state)
{
  scene_free(scene);
  return 0;
}

static Response *get(const char *target) { return client_ask(scene->local, "GET", target, NULL, NULL, NULL); }

static const char *text_of(const Response *r, const char *member) { return json_string_value(json_object_get(r->json, member)); }

/* The names in a list, with blanks between. */
static char *names_of(const Response *r)
{
  GString *names = g_string_new(NULL);
  size_t i;
  json_t *item;
  json_array_foreach(json_object_get(r->json, "items"), i, item)
    g_string_append_printf(names, "%s%s", i ? " " : "", json_string_value(json_object_get(item, "name")));
  return g_string_free(names, FALSE);
}

static void put_host(const char *name, const char *uri, HostState state, int64_t vcpus)
{
  Host *host = (Host *)object_new(&schemas[NOUN_HOST], NOUN_HOST, name);
  text_set(&host->uri, uri);
  host->state = state;
  host->vcpus = vcpus;
  fake_put(scene->runtime, host);
}

static void an_object_is_read_with_its_tag(void **state)
{
  g_autoptr(Response) r = get("/api/v1/hosts/h1");
  g_autofree char *tag = response_header(r, "ETag"), *type = response_header(r, "Content-Type"),
                  *cache = response_header(r, "Cache-Control");
  assert_int_equal(r->status, 200);
  assert_string_equal(text_of(r, "name"), "h1");
  assert_string_equal(tag, "\"1\"");
  assert_string_equal(type, "application/json");
  assert_string_equal(cache, "no-store");
}

static void lists_come_in_pages(void **state)
{
  for (int i = 1; i <= 12; i++) {
    g_autofree char *name = g_strdup_printf("page-%d", i);
    put_host(name, "fake:page", HOST_UP, 0);
  }
  g_autoptr(GString) all = g_string_new(NULL);
  g_autofree char *target = g_strdup("/api/v1/hosts?uri=fake:page&limit=5");
  for (int pages = 0; pages < 3; pages++) {
    g_autoptr(Response) r = get(target);
    g_autofree char *names = names_of(r);
    g_string_append_printf(all, "%s|", names);
    assert_true(json_integer_value(json_object_get(r->json, "sequence")) > 0);
    g_free(target);
    target = g_strdup_printf("/api/v1/hosts?uri=fake:page&limit=5&after=%s", text_of(r, "next"));
    assert_int_equal(json_is_null(json_object_get(r->json, "next")), pages == 2);
  }
  assert_string_equal(all->str, "page-1 page-2 page-3 page-4 page-5|page-6 page-7 page-8 page-9 page-10|page-11 page-12|");
  g_autoptr(Response) gone =
      get("/api/v1/hosts?uri=fake:page&limit=2&after=page-10a"); /* a name that is not there goes on behind it */
  g_autofree char *names = names_of(gone);
  assert_string_equal(names, "page-11 page-12");
}

static void lists_are_filtered_by_fields(void **state)
{
  put_host("f1", "fake:f", HOST_UP, 4);
  put_host("f2", "fake:f", HOST_DRAINING, 8);
  Storage *storage = (Storage *)object_new(&schemas[NOUN_STORAGE], NOUN_STORAGE, "st2");
  const char *const hosts[] = { "f1", "f2", NULL };
  list_set(&storage->hosts, hosts);
  fake_put(scene->runtime, storage);
  static const struct { const char *target, *names; } rows[] = {
    { "/api/v1/hosts?uri=fake:f", "f1 f2" },          { "/api/v1/hosts?uri=fake%3Af&state=draining", "f2" },
    { "/api/v1/hosts?vcpus=4", "f1" },                { "/api/v1/hosts?uri=nothing", "" },
    { "/api/v1/storages?hosts=f2", "st2" },           { "/api/v1/storages?hosts=f3", "" },
    { "/api/v1/users?disabled=true", "dora" },        { "/api/v1/users?role=viewer", "vera" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r = get(rows[i].target);
    g_autofree char *names = names_of(r);
    assert_string_equal(names, rows[i].names);
  }
}

/* ── the past ─────────────────────────────────────────────────────────────── */

static void put_past(Noun noun, const char *name, const char *user)
{
  Object *object = object_new(&schemas[noun], noun, name);
  char **field = noun == NOUN_SESSION ? &((Session *)object)->user : &((Event *)object)->user;
  ref_set(field, user);
  fake_archive(scene->runtime, object);
}

static void what_ended_is_still_found(void **state)
{
  put_past(NOUN_SESSION, "s-70", "alice");
  g_autoptr(Response) alice = client_ask(scene->gateway, "GET", "/api/v1/sessions/s-70", scene->alice, NULL, NULL);
  assert_string_equal(text_of(alice, "user"), "alice");
  g_autoptr(Response) bob = client_ask(scene->gateway, "GET", "/api/v1/sessions/s-70", scene->bob, NULL, NULL);
  g_autoptr(Response) never = client_ask(scene->gateway, "GET", "/api/v1/sessions/s-71", scene->bob, NULL, NULL);
  assert_int_equal(bob->status, 404);
  assert_int_equal(never->status, 404);
  g_autofree char *as_if = g_strdup(bob->body->str);
  for (char *name; (name = strstr(as_if, "s-70"));)
    name[3] = '1';
  assert_string_equal(as_if, never->body->str);
}

/* Once it had ended, and its minute was over, a session could be shown but was in no list. */
static void ended_sessions_were_in_no_list(void **state)
{
  put_past(NOUN_SESSION, "s-80", "alice");
  put_past(NOUN_SESSION, "s-81", "bob");
  put_past(NOUN_SESSION, "s-82", "alice");
  g_autoptr(Response) staff = get("/api/v1/history/sessions?limit=2");
  g_autofree char *newest = names_of(staff);
  assert_string_equal(newest, "s-82 s-81");
  g_autoptr(Response) alice = client_ask(scene->gateway, "GET", "/api/v1/history/sessions?limit=2", scene->alice, NULL, NULL);
  g_autofree char *own = names_of(alice);
  assert_string_equal(own, "s-82 s-80");
}

static void events_come_newest_first(void **state)
{
  for (int i = 1; i <= 1500; i++) {
    g_autofree char *name = g_strdup_printf("e-%d", i);
    put_past(NOUN_EVENT, name, i % 500 ? "alice" : "bob");
  }
  g_autoptr(Response) first = get("/api/v1/events?limit=2");
  g_autofree char *newest = names_of(first);
  assert_string_equal(newest, "e-1500 e-1499");
  assert_string_equal(text_of(first, "next"), "e-1499");
  g_autoptr(Response) second = get("/api/v1/events?limit=2&after=e-1499");
  g_autofree char *older = names_of(second);
  assert_string_equal(older, "e-1498 e-1497");
  g_autoptr(Response) filtered = get("/api/v1/events?user=bob&limit=2");
  g_autofree char *rare = names_of(filtered);
  assert_string_equal(rare, "e-1500 e-1000");
  g_autoptr(Response) last = get("/api/v1/events?user=bob&limit=2&after=e-1000");
  g_autofree char *end = names_of(last);
  assert_string_equal(end, "e-500");
  assert_true(json_is_null(json_object_get(last->json, "next")));
}

/* A list of what is rare ended after 32,000 rows, as if there were no more. */
static void what_is_rare_is_found_behind_many_rows(void **state)
{
  enum { ROWS = 40000 };
  for (int i = 1; i <= ROWS; i++) {
    g_autofree char *name = g_strdup_printf("s-%d", 1000 + i);
    put_past(NOUN_SESSION, name, i == 3 ? "vera" : "bob");
  }
  g_autoptr(Response) first = get("/api/v1/history/sessions?user=vera");
  g_autofree char *none = names_of(first);
  assert_string_equal(none, "");
  assert_non_null(text_of(first, "next"));
  g_autofree char *target = g_strconcat("/api/v1/history/sessions?user=vera&after=", text_of(first, "next"), NULL);
  g_autoptr(Response) second = get(target);
  g_autofree char *found = names_of(second);
  assert_string_equal(found, "s-1003");
  assert_true(json_is_null(json_object_get(second->json, "next")));
}

/* ── problems ─────────────────────────────────────────────────────────────── */

static void refusals_are_problem_documents(void **state)
{
  g_autoptr(Response) r = get("/api/v1/hosts/nowhere");
  g_autofree char *type = response_header(r, "Content-Type"), *language = response_header(r, "Content-Language");
  assert_string_equal(type, "application/problem+json");
  assert_string_equal(language, "en");
  assert_string_equal(text_of(r, "type"), "urn:sarang:reason:not-found");
  assert_string_equal(text_of(r, "title"), "Not Found");
  assert_string_equal(text_of(r, "detail"), "there is no host \"nowhere\"");
  assert_string_equal(text_of(r, "code"), "not-found");
  assert_string_equal(text_of(r, "fix"), "sarang host list shows what there is");
  json_t *reason = json_array_get(json_object_get(r->json, "reasons"), 0);
  assert_string_equal(json_string_value(json_object_get(reason, "code")), "not-found");
  assert_string_equal(json_string_value(json_object_get(json_object_get(reason, "args"), "name")), "nowhere");
}

static void refusals_are_told_in_the_language_asked_for(void **state)
{
  static const struct { const char *header; bool korean; } rows[] = {
    { "Accept-Language: ko\r\n", true },        { "Accept-Language: ko-KR,ko;q=0.9,en;q=0.8\r\n", true },
    { "Accept-Language: en,ko\r\n", false },    { "Accept-Language: en;q=0.5, KO;q=0.6\r\n", true },
    { "Accept-Language: kok\r\n", false },      { "Accept-Language: ko;q=0\r\n", false },
    { "Accept-Language: *\r\n", false },        { "Accept-Language: ,;q=,,,\r\n", false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r = client_ask(scene->local, "GET", "/api/v1/hosts/nowhere", NULL, rows[i].header, NULL);
    assert_int_equal(strstr(text_of(r, "detail"), "없습니다") != NULL, rows[i].korean);
  }
}

static void put_broken_host(const char *name, const char *error)
{
  Host *host = (Host *)object_new(&schemas[NOUN_HOST], NOUN_HOST, name);
  text_set(&host->uri, "fake:broken");
  text_set(&host->error, error);
  fake_put(scene->runtime, host);
}

static void refusals_within_objects_are_told_in_it_too(void **state)
{
  put_broken_host("ko-1", "{\"code\":\"not-found\",\"args\":{\"kind\":\"domain\",\"name\":\"\\\"x\"},\"text\":\"kept\"}");
  put_broken_host("ko-2", "{\"code\":\"of-a-later-version\",\"args\":{},\"text\":\"kept\"}");
  put_broken_host("ko-3", "{\"code\":\"not-found\",\"args\":7,\"text\":\"kept\"}");
  g_autoptr(Response) one = client_ask(scene->local, "GET", "/api/v1/hosts/ko-1", NULL, "Accept-Language: ko\r\n", NULL);
  json_t *error = json_object_get(one->json, "error");
  assert_non_null(strstr(json_string_value(json_object_get(error, "text")), "없습니다"));
  assert_string_equal(json_string_value(json_object_get(json_object_get(error, "args"), "name")), "\"x");
  g_autoptr(Response) all = client_ask(scene->local, "GET", "/api/v1/hosts?uri=fake:broken", NULL, "Accept-Language: ko\r\n", NULL);
  json_t *items = json_object_get(all->json, "items");
  assert_int_equal(json_array_size(items), 3);
  for (size_t i = 0; i < 3; i++) {
    const char *text = json_string_value(json_object_get(json_object_get(json_array_get(items, i), "error"), "text"));
    assert_int_equal(strcmp(text, "kept") == 0, i > 0);
  }
  g_autoptr(Response) english = get("/api/v1/hosts/ko-1");
  assert_string_equal(json_string_value(json_object_get(json_object_get(english->json, "error"), "text")), "kept");
}

static void what_the_brain_refuses_is_passed_on(void **state)
{
  static const struct { Reason reason; int status; const char *retry;
  } rows[] = {
    { REASON_STORE_FULL, 503, "2" },
    { REASON_GENERATION, 409, NULL },
    { REASON_STORE_UNCERTAIN, 503, "2" },
    { REASON_DENIED, 403, NULL },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    GError *err = NULL;
    error_set(&err, rows[i].reason, NULL);
    fake_fail_next(scene->runtime, err);
    g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/hosts/h1/drain", NULL, NULL, NULL);
    g_autofree char *retry = response_header(r, "Retry-After");
    assert_int_equal(r->status, rows[i].status);
    assert_string_equal(response_code(r), reason_wire(rows[i].reason));
    assert_int_equal(g_strcmp0(retry, rows[i].retry), 0);
  }
}

/* Each argument of a verb that is a word for yes: sent as the command line sends it. */
static void what_is_answered_by_yes_or_no_reaches_the_brain(void **state)
{
  static const struct {
    const char *target, *body;
    int status;
  } rows[] = {
    { "/api/v1/hosts/h1/drain", "{\"migrate\":true}", 200 },
    { "/api/v1/hosts/h1/drain", "{\"migrate\":\"true\"}", 400 },
    { "/api/v1/rebalance", "{\"apply\":true}", 200 },
    { "/api/v1/rebalance", "{\"apply\":\"yes\"}", 400 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(Response) r = client_ask(scene->local, "POST", rows[i].target, NULL, NULL, rows[i].body);
    if (r->status != rows[i].status)
      fail_msg("%s %s: %d", rows[i].target, rows[i].body, r->status);
  }
}

static void the_brain_gets_key_generation_and_caller(void **state)
{
  g_autoptr(Response) r = client_ask(scene->gateway, "POST", "/api/v1/desktops/d-1/start", scene->alice,
                                     "Idempotency-Key: k1\r\nIf-Match: \"7\"\r\nX-Sarang-Client: 192.0.2.7\r\n", NULL);
  assert_int_equal(r->status, 200);
  g_autoptr(Request) seen = fake_last_request(scene->runtime);
  assert_string_equal(seen->name, "d-1");
  assert_string_equal(seen->idempotency_key, "k1");
  assert_int_equal(seen->expect_generation, 7);
  assert_string_equal(seen->caller.user, "alice");
  assert_string_equal(seen->caller.client, "192.0.2.7");
  assert_false(seen->caller.gateway || seen->caller.local);
}

/* ── the controller's own verbs ───────────────────────────────────────────── */

static void the_state_is_told(void **state)
{
  g_autoptr(Response) staff = get("/api/v1/status");
  assert_int_equal(json_integer_value(json_object_get(json_object_get(staff->json, "counts"), "desktops")), 1);
  assert_non_null(text_of(staff, "version"));
  g_autoptr(Response) alice = client_ask(scene->gateway, "GET", "/api/v1/status", scene->alice, NULL, NULL);
  assert_int_equal(alice->status, 200);
  assert_null(json_object_get(alice->json, "counts"));
  assert_null(json_object_get(alice->json, "store"));
}

/* The path of names below json; -1 where there is no number. */
static json_int_t number_at(json_t *json, const char *a, const char *b, const char *c)
{
  json_t *found = json_object_get(json, a);
  found = b ? json_object_get(found, b) : found;
  found = c ? json_object_get(found, c) : found;
  return json_is_integer(found) ? json_integer_value(found) : -1;
}

static void the_state_counts_states_and_gateways(void **state)
{
  g_autoptr(Response) before = get("/api/v1/status");
  assert_int_equal(json_array_size(json_object_get(before->json, "gateways")), 0);
  static const Noun nouns[] = { NOUN_HOST, NOUN_DESKTOP };
  for (size_t i = 0; i < G_N_ELEMENTS(nouns); i++) {
    const char *name;
    json_t *states = json_object_get(json_object_get(before->json, "states"), schemas[nouns[i]].plural), *n;
    json_int_t sum = 0;
    json_object_foreach(states, name, n)
      sum += json_integer_value(n);
    assert_true(sum > 0);
    assert_int_equal(sum, number_at(before->json, "counts", schemas[nouns[i]].plural, NULL));
  }
  g_autoptr(Response) sync = client_ask(scene->gateway, "POST", "/gateway/v1/sync", NULL, NULL,
                                        "{\"gateway\":\"gw-1\",\"full\":true,\"opened\":[],\"first_input\":[],\"active\":[],\"closed\":[],\"open\":[]}");
  assert_int_equal(sync->status, 200);
  g_autoptr(Response) after = get("/api/v1/status");
  json_t *gateway = json_array_get(json_object_get(after->json, "gateways"), 0);
  assert_string_equal(json_string_value(json_object_get(gateway, "name")), "gw-1");
  assert_int_equal(number_at(gateway, "consoles", NULL, NULL), 0);
  assert_in_range(number_at(gateway, "heard_s", NULL, NULL), 0, 60);
}

static void a_host_tells_how_much_of_it_is_taken(void **state)
{
  Host *host = (Host *)object_new(&schemas[NOUN_HOST], NOUN_HOST, "full");
  text_set(&host->uri, "fake:full");
  host->host_cpus = 16;
  host->host_memory_mib = 1000;
  host->vcpus = 10;
  host->huge_mib = 500;
  fake_put(scene->runtime, host);
  for (int i = 1; i <= 2; i++) {
    g_autofree char *name = g_strdup_printf("d-90%d", i);
    Desktop *desktop = (Desktop *)object_new(&schemas[NOUN_DESKTOP], NOUN_DESKTOP, name);
    ref_set(&desktop->pool, "cad");
    ref_set(&desktop->host, "full");
    desktop->vcpus = 2;
    desktop->memory_mib = 100 * i;
    fake_put(scene->runtime, desktop);
  }
  TemplateVersion *huge = (TemplateVersion *)object_new(&schemas[NOUN_TEMPLATE], NOUN_TEMPLATE, "huge@1");
  huge->huge_pages = true;
  fake_put(scene->runtime, huge);
  Desktop *desktop = (Desktop *)object_new(&schemas[NOUN_DESKTOP], NOUN_DESKTOP, "d-903");
  ref_set(&desktop->pool, "cad");
  ref_set(&desktop->host, "full");
  ref_set(&desktop->template, "huge@1");
  desktop->memory_mib = 128;
  fake_put(scene->runtime, desktop);
  g_autoptr(Response) one = get("/api/v1/hosts/full"), all = get("/api/v1/hosts?uri=fake:full");
  json_t *both[] = { one->json, json_array_get(json_object_get(all->json, "items"), 0) };
  for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
    assert_int_equal(number_at(both[i], "desktops", NULL, NULL), 3);
    assert_int_equal(number_at(both[i], "vcpus_used", NULL, NULL), 4);
    assert_int_equal(number_at(both[i], "vcpus_total", NULL, NULL), 10);
    assert_int_equal(number_at(both[i], "memory_used_mib", NULL, NULL), 300);
    assert_int_equal(number_at(both[i], "memory_total_mib", NULL, NULL), 400); /* what is no huge page, less a tenth of the machine */
    assert_int_equal(number_at(both[i], "huge_used_mib", NULL, NULL), 128);
    assert_int_equal(number_at(both[i], "huge_free_mib", NULL, NULL), 372);
  }
  g_autoptr(Response) other = get("/api/v1/hosts/h1");
  assert_int_equal(number_at(other->json, "vcpus_used", NULL, NULL), 0);
}

static const char *store_member(const Response *r, const char *name)
{
  return json_string_value(json_object_get(json_object_get(r->json, "store"), name));
}

static void the_state_tells_of_the_store(void **state)
{
  g_autoptr(Response) well = get("/api/v1/status");
  assert_string_equal(store_member(well, "state"), "ok");
  GError *full = NULL;
  error_set(&full, REASON_STORE_FULL, NULL);
  fake_fail_store(scene->runtime, full);
  g_autoptr(Response) ill = get("/api/v1/status");
  assert_string_equal(store_member(ill, "state"), "failed");
  assert_string_equal(store_member(ill, "code"), "store-full");
  assert_non_null(store_member(ill, "error"));
  fake_fail_store(scene->runtime, NULL);
}

static void the_interface_is_described(void **state)
{
  g_autoptr(Response) r = client_ask(scene->gateway, "GET", "/api/v1/openapi.json", NULL, NULL, NULL);
  assert_string_equal(text_of(r, "openapi"), "3.1.0");
  json_t *paths = json_object_get(r->json, "paths"),
         *schemas_json = json_object_get(json_object_get(r->json, "components"), "schemas");
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    g_autofree char *method = g_ascii_strdown(api_method_name(api_rows[v].method), -1);
    json_t *verb = json_object_get(json_object_get(paths, api_rows[v].path), method);
    assert_int_equal(verb != NULL, !(api_rows[v].allow & MAY_GATEWAY));
    assert_true(!verb || !strcmp(json_string_value(json_object_get(verb, "summary")), api_rows[v].help));
  }
  json_t *user = json_object_get(json_object_get(schemas_json, "user"), "properties");
  assert_non_null(json_object_get(user, "role"));
  assert_null(json_object_get(user, "password_hash"));
  assert_non_null(json_object_get(schemas_json, "new-pool"));
}

static void a_copy_of_the_store_is_made(void **state)
{
  g_autofree char *absent = g_build_filename(scene->dir, "absent", "copy", NULL);
  const struct {
    const char *path;
    int status;
  } rows[] = { { "relative", 400 }, { "", 400 }, { absent, 503 } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *body = g_strdup_printf("{\"path\":\"%s\"}", rows[i].path);
    g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/backup", NULL, NULL, body);
    assert_int_equal(r->status, rows[i].status);
  }
  g_autofree char *path = g_build_filename(scene->dir, "copy", NULL), *body = g_strdup_printf("{\"path\":\"%s\"}", path);
  g_autoptr(Response) r = client_ask(scene->local, "POST", "/api/v1/backup", NULL, NULL, body);
  assert_int_equal(r->status, 201);
  assert_int_equal(json_integer_value(json_object_get(r->json, "bytes")), 6);
  assert_int_equal(g_unlink(path), 0);
}

/* Root wrote a file of root's to any path that an administrator named from afar. */
static void a_copy_asked_for_from_elsewhere_lies_in_one_directory(void **state)
{
  g_autofree char *outside = g_build_filename(scene->dir, "copy", NULL), *beside = g_strconcat(scene->backups, "2", NULL);
  g_autofree char *up = g_build_filename(scene->backups, "..", "copy", NULL), *below = g_build_filename(scene->backups, "x", "copy", NULL);
  const char *const refused[] = { outside, beside, up, below, scene->backups, "/etc/cron.d/copy" };
  for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
    g_autofree char *body = g_strdup_printf("{\"path\":\"%s\"}", refused[i]);
    g_autoptr(Response) r = client_ask(scene->gateway, "POST", "/api/v1/backup", scene->administrator, NULL, body);
    assert_int_equal(r->status, 403);
    assert_string_equal(response_code(r), "path-outside");
    assert_non_null(strstr(r->body->str, scene->backups));
  }
  assert_false(g_file_test(outside, G_FILE_TEST_EXISTS));
  g_autofree char *path = g_build_filename(scene->backups, "copy", NULL), *body = g_strdup_printf("{\"path\":\"%s\"}", path);
  g_autoptr(Response) r = client_ask(scene->gateway, "POST", "/api/v1/backup", scene->administrator, NULL, body);
  assert_int_equal(r->status, 201);
  assert_int_equal(g_unlink(path), 0);
}

/* ── beginning and end ────────────────────────────────────────────────────── */

/* The least a server needs, on two sockets; borrows the paths. */
static HttpConfig config_on(char *local, char *gateway)
{
  return (HttpConfig){ .http_socket = local,
                       .http_gateway_socket = gateway,
                       .http_threads = 1,
                       .http_connections = 8,
                       .http_idle_s = 5,
                       .http_head_s = 5,
                       .http_body_s = 5,
                       .http_watchers = 1,
                       .http_watch_beat_s = 15,
                       .http_logins = 1,
                       .http_watcher_bytes = 65536 };
}

static void a_second_server_does_not_take_the_sockets(void **state)
{
  HttpConfig config = config_on(scene->local, scene->gateway);
  g_autoptr(GError) err = NULL;
  assert_null(server_open(&config, scene->runtime, &err));
  assert_true(error_is(err, REASON_EXISTS));
  g_autoptr(Response) r = get("/api/v1/hosts/h1");
  assert_int_equal(r->status, 200);
}

static void leave_stale(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_strlcpy(address.sun_path, path, sizeof address.sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(fd, 1), 0);
  close(fd);
}

static void stale_sockets_are_replaced_and_files_are_not(void **state)
{
  g_autofree char *stale = g_build_filename(scene->dir, "stale", NULL), *file = g_build_filename(scene->dir, "file", NULL);
  HttpConfig config = config_on(stale, file);
  leave_stale(stale);
  g_file_set_contents(file, "mine", -1, NULL);
  g_autoptr(GError) err = NULL;
  assert_null(server_open(&config, scene->runtime, &err));
  assert_true(error_is(err, REASON_EXISTS));
  assert_true(g_file_test(file, G_FILE_TEST_IS_REGULAR));
  assert_false(g_file_test(stale, G_FILE_TEST_EXISTS)); /* what was opened first is closed again */
  assert_int_equal(g_unlink(file), 0);
  Server *server = server_open(&config, scene->runtime, NULL);
  struct stat about;
  assert_non_null(server);
  assert_int_equal(stat(file, &about), 0);
  assert_int_equal(about.st_mode & 0777, 0600);
  assert_int_equal(stat(scene->local, &about), 0);
  assert_int_equal(about.st_mode & 0777, 0660);
  server_close(server);
}

static void *close_later(void *server)
{
  server_close(server);
  return NULL;
}

static void what_is_under_way_is_answered_before_the_end(void **state)
{
  Scene *other = scene_new(NULL);
  static const char text[] = "POST /api/v1/hosts/h1/drain HTTP/1.1\r\nHost: x\r\n\r\n";
  fake_hold(other->runtime);
  int fd = client_connect(other->local), idle = client_connect(other->local);
  client_send(fd, text, sizeof text - 1);
  fake_wait_held(other->runtime);
  GThread *closing = g_thread_new("close", close_later, g_steal_pointer(&other->server));
  int64_t late_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
  while (g_file_test(other->gateway, G_FILE_TEST_EXISTS) && g_get_monotonic_time() < late_us)
    g_thread_yield();
  fake_release(other->runtime);
  g_autoptr(Response) r = client_read(fd);
  assert_int_equal(r->status, 200);
  g_thread_join(closing);
  assert_true(client_is_closed(idle, 1000));
  close(idle);
  close(fd);
  scene_free(other);
}

/* What a host calls its card is a host's word: whatever is in it, it stays in its quotes. */
static void a_card_s_name_breaks_no_line_of_the_metrics(void **state)
{
  Gpu *gpu = (Gpu *)object_new(&schemas[NOUN_GPU], NOUN_GPU, "g-7");
  ref_set(&gpu->host, "h1");
  ref_set(&gpu->model, "an \"A\\40\"\n# EOF");
  fake_put(scene->runtime, gpu);
  g_autoptr(Response) r = get("/api/v1/metrics");
  assert_int_equal(r->status, 200);
  assert_non_null(strstr(r->body->str, "sarang_gpu_info{gpu=\"g-7\",host=\"h1\",backend=\"mdev\",model=\"an \\\"A\\\\40\\\"\\n# EOF\"} 1\n"));
  assert_true(g_str_has_suffix(r->body->str, "\n# EOF\n"));
  assert_ptr_equal(strstr(r->body->str, "\n# EOF\n"), r->body->str + r->body->len - strlen("\n# EOF\n"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_object_is_read_with_its_tag),
    cmocka_unit_test(lists_come_in_pages),
    cmocka_unit_test(lists_are_filtered_by_fields),
    cmocka_unit_test(what_ended_is_still_found),
    cmocka_unit_test(ended_sessions_were_in_no_list),
    cmocka_unit_test(events_come_newest_first),
    cmocka_unit_test(what_is_rare_is_found_behind_many_rows),
    cmocka_unit_test(refusals_are_problem_documents),
    cmocka_unit_test(refusals_are_told_in_the_language_asked_for),
    cmocka_unit_test(refusals_within_objects_are_told_in_it_too),
    cmocka_unit_test(what_the_brain_refuses_is_passed_on),
    cmocka_unit_test(what_is_answered_by_yes_or_no_reaches_the_brain),
    cmocka_unit_test(the_brain_gets_key_generation_and_caller),
    cmocka_unit_test(the_state_is_told),
    cmocka_unit_test(the_state_counts_states_and_gateways),
    cmocka_unit_test(a_host_tells_how_much_of_it_is_taken),
    cmocka_unit_test(the_state_tells_of_the_store),
    cmocka_unit_test(the_interface_is_described),
    cmocka_unit_test(a_copy_of_the_store_is_made),
    cmocka_unit_test(a_copy_asked_for_from_elsewhere_lies_in_one_directory),
    cmocka_unit_test(a_second_server_does_not_take_the_sockets),
    cmocka_unit_test(stale_sockets_are_replaced_and_files_are_not),
    cmocka_unit_test(what_is_under_way_is_answered_before_the_end),
    cmocka_unit_test(a_card_s_name_breaks_no_line_of_the_metrics),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

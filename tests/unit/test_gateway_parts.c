/* The gateway's tables: whom it is known as, what files it has, whom it counts, what it tells the controller. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "drivers/console/addresses.h"
#include "drivers/console/dial.h"
#include "drivers/console/files.h"
#include "drivers/console/gateway_config.h"
#include "drivers/console/listener.h"
#include "drivers/console/origins.h"
#include "drivers/console/registry.h"
#include "drivers/console/sockets.h"

static Slice slice(const char *text) { return (Slice){ text, strlen(text) }; }

/* ── origins ── */

static const struct {
  const char *given, *host, *origin;
  bool host_ours, origin_ours;
} names[] = {
  { "https://desk.example", "desk.example", "https://desk.example", true, true },
  { "https://desk.example", "desk.example:443", "https://desk.example:443", true, false }, /* browsers leave the port out */
  { "https://Desk.Example:443", "DESK.example", "https://desk.example", true, true },
  { "https://desk.example", "desk.example:80", "http://desk.example", false, false },
  { "https://desk.example:8443", "desk.example:8443", "https://desk.example:8443", true, true },
  { "https://desk.example:8443", "desk.example", "https://desk.example", false, false },
  { "http://127.0.0.1:80", "127.0.0.1", "http://127.0.0.1", true, true },
  { "https://[::1]:8443", "[::1]:8443", "https://[::1]:8443", true, true },
  { "https://[::1]", "[::1]:443", "https://[::1]", true, true },
  { "https://desk.example", "desk.example.evil.example", "https://desk.example.evil.example", false, false },
  { "https://desk.example", "", "null", false, false },
};

static void hosts_and_origins_are_ours_or_not(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
    const char *given[] = { names[i].given, NULL };
    g_autoptr(Origins) o = origins_new(given, NULL);
    if (origins_have_host(o, slice(names[i].host)) != names[i].host_ours || origins_have(o, slice(names[i].origin)) != names[i].origin_ours)
      fail_msg("row %zu", i);
  }
}

static void what_is_no_origin_is_refused(void **state)
{
  static const char *const bad[] = { "desk.example", "https://", "https://a/b", "https://a:", "https://a:x", "ftp://a", "https://a b",
                                     "https://u@a", "" };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    const char *given[] = { bad[i], NULL };
    g_autoptr(GError) err = NULL;
    assert_null(origins_new(given, &err));
    assert_true(error_is(err, REASON_BAD_VALUE));
  }
}

static void a_gateway_that_was_told_no_names_answers_to_its_addresses(void **state)
{
  const char *addresses[] = { "127.0.0.1:8443", "[::]:9", "10.0.0.7:1", NULL };
  g_auto(GStrv) own = listener_default_origins(addresses, false);
  const char *const *texts = (const char *const *)own;
  for (const char *const *t = (const char *const[]){ "https://127.0.0.1:8443", "https://localhost:8443", "https://localhost:9",
                                                     "https://[::1]:9", "https://10.0.0.7:1", NULL }; *t; t++)
    assert_true(g_strv_contains(texts, *t));
  assert_false(g_strv_contains(texts, "https://localhost:1"));
  assert_false(g_strv_contains(texts, "https://[::]:9"));
}

/* ── files ── */

static void put(const char *folder, const char *name, const char *text)
{
  g_autofree char *path = g_build_filename(folder, name, NULL);
  g_autofree char *above = g_path_get_dirname(path);
  g_mkdir_with_parents(above, 0700);
  assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void files_are_found_by_their_path_alone(void **state)
{
  g_autofree char *folder = g_dir_make_tmp("files-XXXXXX", NULL);
  put(folder, "index.html", "top");
  put(folder, "a/index.html", "below");
  put(folder, "a/b.js", "1");
  put(folder, ".hidden/x", "no");
  put(folder, "empty", "");
  g_autofree char *link = g_build_filename(folder, "link.js", NULL);
  assert_int_equal(symlink("a/b.js", link), 0);
  g_autoptr(Files) files = files_load(folder, NULL);
  assert_int_equal(files_count(files), 5);
  static const struct { const char *path, *text; } rows[] = {
    { "/", "top" }, { "/index.html", "top" }, { "/a/", "below" }, { "/a/b.js", "1" }, { "/link.js", "1" }, { "/empty", "" },
    { "/a", NULL }, { "/a/b.js/", NULL }, { "/.hidden/x", NULL }, { "/a/../index.html", NULL }, { "index.html", NULL }, { "", NULL },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const File *file = files_find(files, slice(rows[i].path));
    if ((file != NULL) != (rows[i].text != NULL))
      fail_msg("%s", rows[i].path);
    if (file)
      assert_int_equal(g_bytes_get_size(file->bytes), strlen(rows[i].text));
  }
  const File *one = files_find(files, slice("/a/b.js")), *two = files_find(files, slice("/link.js"));
  assert_string_equal(one->etag, two->etag);
  assert_string_not_equal(one->etag, files_find(files, slice("/"))->etag);
  g_autofree char *out = g_build_filename(folder, "out", NULL);
  g_autoptr(GError) err = NULL;
  assert_int_equal(symlink("/etc/hostname", out), 0);
  assert_null(files_load(folder, &err));
  assert_true(error_is(err, REASON_FILE_OUTSIDE));
  for (const char *const *name = (const char *const[]){ "out", "link.js", "empty", ".hidden/x", ".hidden", "a/b.js", "a/index.html", "a",
                                                        "index.html", "", NULL }; *name; name++) {
    g_autofree char *path = g_build_filename(folder, *name, NULL);
    assert_int_equal(g_remove(path), 0);
  }
}

/* ── addresses ── */

static Address address(const char *text)
{
  struct sockaddr_storage peer = { 0 };
  if (strchr(text, ':')) {
    peer.ss_family = AF_INET6;
    inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&peer)->sin6_addr);
  } else {
    peer.ss_family = AF_INET;
    inet_pton(AF_INET, text, &((struct sockaddr_in *)&peer)->sin_addr);
  }
  return address_of(&peer);
}

static void an_ipv6_host_counts_by_its_net(void **state)
{
  Addresses *a = addresses_new(&(AddressLimits){ .all = 5, .each = 2 });
  Address v4 = address("10.0.0.1"), mapped = address("::ffff:10.0.0.1"), other = address("10.0.0.2");
  Address first = address("2001:db8::1"), second = address("2001:db8::ffff:2"), far = address("2001:db8:0:1::1");
  assert_string_equal(mapped.text, "10.0.0.1");
  assert_true(addresses_enter(a, &v4) && addresses_enter(a, &mapped));
  assert_false(addresses_enter(a, &v4));
  assert_true(addresses_enter(a, &first) && addresses_enter(a, &second));
  assert_false(addresses_enter(a, &first));
  assert_true(addresses_enter(a, &far));
  assert_false(addresses_enter(a, &other)); /* five in all */
  addresses_leave(a, &mapped);
  assert_true(addresses_enter(a, &other));
  assert_int_equal(addresses_count(a), 5);
  addresses_free(a);
}

static void bytes_of_an_address_leave_room_for_others(void **state)
{
  Addresses *a = addresses_new(&(AddressLimits){ .all = 9, .each = 9, .all_bytes = 100, .each_bytes = 60 });
  Address one = address("2001:db8::1"), same = address("2001:db8::2"), other = address("10.0.0.1");
  assert_true(addresses_enter(a, &one) && addresses_enter(a, &same) && addresses_enter(a, &other));
  assert_true(addresses_hold(a, &one, 40));
  assert_false(addresses_hold(a, &same, 21));
  assert_true(addresses_hold(a, &same, 20));
  assert_false(addresses_hold(a, &other, 41)); /* hundred in all */
  assert_true(addresses_hold(a, &other, 40));
  addresses_release(a, &one, 40);
  addresses_leave(a, &one);
  assert_true(addresses_hold(a, &same, 20));
  assert_false(addresses_hold(a, &same, 21));
  addresses_free(a);
}

/* ── registry ── */

static int changes;
static void changed(void *owner) { changes++; }
static void cut(void *relay, const char *reason) { }

static Registry *registry_of(int relays, int each)
{
  RegistryConfig config = { .relays = relays, .relays_per_user = each, .changed = changed, .cut = cut };
  return registry_new(&config);
}

static void report_is(Registry *r, bool full, const char *want)
{
  json_t *report = registry_report(r, full);
  char *got = json_dumps(report, JSON_COMPACT | JSON_SORT_KEYS);
  assert_string_equal(got, want);
  free(got);
  json_decref(report);
}

static void nothing_is_lost_when_a_report_does_not_arrive(void **state)
{
  Registry *r = registry_of(10, 10);
  RegistryEntry *e = registry_open(r, "r-1", "jihye", NULL, NULL, NULL);
  registry_input(r, e);
  registry_input(r, e);
  static const char *const first =
      "{\"active\":[\"r-1\"],\"closed\":[],\"first_input\":[\"r-1\"],\"full\":false,\"opened\":[\"r-1\"]}";
  report_is(r, false, first);
  registry_told(r, false);
  assert_true(registry_has_news(r));
  report_is(r, false, first);
  registry_told(r, true);
  assert_false(registry_has_news(r));
  report_is(r, true, "{\"active\":[],\"closed\":[],\"first_input\":[],\"full\":true,\"open\":[\"r-1\"],\"opened\":[]}");
  registry_told(r, true);
  registry_input(r, e);
  report_is(r, false, "{\"active\":[\"r-1\"],\"closed\":[],\"first_input\":[],\"full\":false,\"opened\":[]}");
  registry_close(r, e, "client-left", 3, 4); /* while its report is under way */
  registry_told(r, true);
  assert_true(registry_has_news(r));
  report_is(r, false, "{\"active\":[],\"closed\":[{\"bytes_in\":3,\"bytes_out\":4,\"reason\":\"client-left\",\"relay\":\"r-1\"}],"
                      "\"first_input\":[],\"full\":false,\"opened\":[]}");
  registry_told(r, true);
  assert_false(registry_has_news(r));
  registry_free(r);
}

static void a_console_used_and_over_between_reports_is_told_as_used(void **state)
{
  Registry *r = registry_of(10, 10);
  RegistryEntry *e = registry_open(r, "r-1", "jihye", NULL, NULL, NULL);
  registry_input(r, e);
  registry_close(r, e, "cut", 1, 2);
  report_is(r, false, "{\"active\":[],\"closed\":[{\"bytes_in\":1,\"bytes_out\":2,\"reason\":\"cut\",\"relay\":\"r-1\"}],"
                      "\"first_input\":[\"r-1\"],\"full\":false,\"opened\":[\"r-1\"]}");
  registry_told(r, true);
  registry_free(r);
}

static void consoles_are_counted_by_user_and_in_all(void **state)
{
  Registry *r = registry_of(3, 2);
  g_autoptr(GError) each = NULL, all = NULL, twice = NULL;
  RegistryEntry *e = registry_open(r, "r-1", "jihye", NULL, NULL, NULL);
  assert_null(registry_open(r, "r-1", "jihye", NULL, NULL, &twice));
  assert_true(error_is(twice, REASON_EXISTS));
  RegistryEntry *f = registry_open(r, "r-2", "jihye", NULL, NULL, NULL);
  assert_null(registry_open(r, "r-3", "jihye", NULL, NULL, &each));
  assert_true(error_is(each, REASON_CONSOLES_OF_USER));
  RegistryEntry *g = registry_open(r, "r-4", "minsu", NULL, NULL, NULL);
  assert_false(registry_has_room(r, &all));
  assert_true(error_is(all, REASON_GATEWAY_FULL));
  registry_close(r, e, "client-left", 0, 0);
  assert_true(registry_has_room(r, NULL));
  assert_non_null(e = registry_open(r, "r-1", "jihye", NULL, NULL, NULL));
  registry_close(r, e, "client-left", 0, 0);
  registry_close(r, f, "client-left", 0, 0);
  registry_close(r, g, "client-left", 0, 0);
  assert_int_equal(registry_count(r), 0);
  registry_free(r);
}

/* ── targets ── */

#define TARGET "\"relay\":\"r-9\",\"session\":\"s-3\",\"user\":\"jihye\",\"protocol\":\"vnc\",\"via\":\"direct\""
static const struct {
  const char *json;
  const char *bad; /* the reason, or NULL: it is taken */
} targets[] = {
  { "{" TARGET ",\"host\":\"127.0.0.1\",\"port\":5901,\"password\":\"p\",\"view_only\":true,\"clipboard\":\"to-guest\"}", NULL },
  { "{" TARGET ",\"path\":\"/run/x\"}", NULL },
  { "{" TARGET ",\"host\":\"127.0.0.1\",\"port\":0}", "bad-value" },
  { "{" TARGET ",\"host\":\"127.0.0.1\",\"port\":65536}", "bad-value" },
  { "{" TARGET ",\"host\":\"127.0.0.1\",\"port\":\"5901\"}", "bad-value" },
  { "{" TARGET ",\"port\":5901}", "missing-field" },
  { "{" TARGET ",\"host\":\"h\",\"port\":1,\"clipboard\":\"all\"}", "bad-value" },
  { "{\"relay\":\"r\",\"session\":\"s\",\"protocol\":\"vnc\",\"via\":\"direct\",\"host\":\"h\",\"port\":1}", "missing-field" },
  { "{\"relay\":\"r\",\"session\":\"s\",\"user\":\"u\",\"protocol\":\"vnc\",\"via\":\"ssh\",\"host\":\"h\",\"port\":1}", "bad-value" },
  { "{\"relay\":\"r\",\"session\":\"s\",\"user\":\"u\",\"protocol\":\"rdp\",\"via\":\"direct\",\"host\":\"h\",\"port\":1}", "bad-value" },
  { "{\"relay\":\"r\",\"session\":\"s\",\"user\":\"u\",\"protocol\":\"spice\",\"via\":\"direct\",\"host\":\"h\",\"port\":1}", NULL },
  { "{\"relay\":\"r\",\"session\":\"s\",\"user\":\"u\",\"protocol\":\"spice\",\"via\":\"direct\",\"host\":\"h\",\"port\":1,"
    "\"clipboard\":\"none\"}", "console-policy" },
  { "{\"relay\":\"r\",\"session\":\"s\",\"user\":\"u\",\"protocol\":\"vnc\",\"via\":\"guest\",\"host\":\"192.0.2.9\",\"port\":5900}", NULL },
  { "[]", "missing-field" },
};

/* What a guest named goes no further than other machines, whatever the controller has let through. */
static void a_guests_word_leads_to_no_service_of_the_gateways_own(void **state)
{
  static const char *const never[] = { "127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1", "ff02::1", "localhost" };
  g_autoptr(GSocketListener) listener = g_socket_listener_new();
  int port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS(never); i++) {
    json_t *document = json_pack("{ss ss ss ss ss ss si}", "relay", "r-1", "session", "s-1", "user", "u", "protocol", "vnc", "via", "guest", "host",
                                 never[i], "port", port);
    g_auto(Target) t = { 0 };
    g_autoptr(GError) err = NULL;
    assert_true(target_parse_json(document, &t, NULL));
    json_decref(document);
    int fd = t.dial->begin(&t, &err);
    if (fd >= 0)
      fail_msg("%s was dialled", never[i]);
    assert_true(error_is(err, REASON_GUEST_UNREACHABLE));
  }
  Target file = { .path = (char *)"/run/x" };
  for (int i = 0; i < n_dials; i++)
    assert_true(strcmp(dials[i].via, "guest") != 0 || dials[i].begin(&file, NULL) < 0);
}

static void this_machines_addresses_are_known(void **state)
{
  GuestAddressBits own, other;
  assert_true(guest_address_parse("127.0.0.1", &own) && guest_address_parse("192.0.2.211", &other));
  assert_true(socket_is_own(&own));
  assert_false(socket_is_own(&other));
}

static void targets_are_read_or_refused(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
    json_t *document = json_loads(targets[i].json, 0, NULL);
    g_auto(Target) t = { 0 };
    g_autoptr(GError) err = NULL;
    bool good = target_parse_json(document, &t, &err);
    json_decref(document);
    if (good != !targets[i].bad || (!good && strcmp(reason_wire(error_reason(err)), targets[i].bad)))
      fail_msg("row %zu: %s", i, err ? err->message : "taken");
    if (i == 0) {
      assert_true(t.view_only);
      assert_int_equal(t.clipboard, CLIPBOARD_TO_GUEST);
    }
  }
}

/* ── options ── */

static void secrets_are_files_and_defaults_are_within_limits(void **state)
{
  GatewayConfig *c = NULL;
  assert_true(config_parse(&gateway_config_table, NULL, NULL, &c, NULL));
  config_free(&gateway_config_table, c);
  for (size_t i = 0; i < gateway_config_table.n; i++) {
    const ConfigOption *o = &gateway_config_table.options[i];
    bool secret = strstr(o->key, "key") || strstr(o->key, "password") || strstr(o->key, "secret") || strstr(o->key, "token");
    assert_true(!secret || o->type == CONFIG_PATH);
    assert_true(*o->help && o->help[strlen(o->help) - 1] != '.');
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(hosts_and_origins_are_ours_or_not),
    cmocka_unit_test(what_is_no_origin_is_refused),
    cmocka_unit_test(a_gateway_that_was_told_no_names_answers_to_its_addresses),
    cmocka_unit_test(files_are_found_by_their_path_alone),
    cmocka_unit_test(an_ipv6_host_counts_by_its_net),
    cmocka_unit_test(bytes_of_an_address_leave_room_for_others),
    cmocka_unit_test(nothing_is_lost_when_a_report_does_not_arrive),
    cmocka_unit_test(a_console_used_and_over_between_reports_is_told_as_used),
    cmocka_unit_test(consoles_are_counted_by_user_and_in_all),
    cmocka_unit_test(targets_are_read_or_refused),
    cmocka_unit_test(a_guests_word_leads_to_no_service_of_the_gateways_own),
    cmocka_unit_test(this_machines_addresses_are_known),
    cmocka_unit_test(secrets_are_files_and_defaults_are_within_limits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Guests: the agent's verbs and both stories on a fake guest, and what is made of answers that cannot be right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "drivers/guest/guest.h"
#include "drivers/hypervisor/fake.h"

#define UUID "00000000-0000-4000-8000-000000000001"
static const char controller[] = "11111111-2222-4333-8444-555555555555";

static Hypervisor *hypervisor;
static const GuestDomain *domain;

static int guest_up(void **state)
{
  static GuestDomain where;
  HypervisorOptions options = { .uri = "fake:guests", .controller = controller };
  g_autofree char *xml = g_strdup_printf(
    "<domain type='kvm'><name>d1</name><uuid>" UUID "</uuid><metadata><s:owner xmlns:s='" DOMAIN_OWNER_XMLNS "' controller='%s' "
    "desktop='d-1' generation='1'/></metadata><memory>65536</memory><vcpu>1</vcpu><devices><channel type='unix'><target "
    "type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>", controller);
  assert_true(hypervisor_open(&options, &hypervisor, NULL));
  assert_true(hypervisor_define(hypervisor, xml, false, NULL));
  assert_true(hypervisor_power(hypervisor, UUID, DOMAIN_START, NULL));
  where = (GuestDomain){ hypervisor, UUID };
  domain = &where;
  Guest guest = guest_of_domain(domain, "d-1", 5 * G_USEC_PER_SEC);
  while (!guest_ping(&guest, NULL)) /* it boots within an instant, but on a thread of its own */
    assert_true(g_get_monotonic_time() < guest.deadline_us);
  return 0;
}

static int guest_down(void **state)
{
  hypervisor_power(hypervisor, UUID, DOMAIN_DESTROY, NULL);
  hypervisor_undefine(hypervisor, UUID, NULL);
  hypervisor_close(hypervisor);
  fake_forget();
  return 0;
}

static Guest the_guest(void)
{
  return guest_of_domain(domain, "d-1", 5 * G_USEC_PER_SEC);
}

static void programs_run_and_say_how_they_ended(void **state)
{
  Guest guest = the_guest();
  GuestResult result = { 0 };
  const char *const echo[] = { "/bin/echo", "a b", "$(c)", NULL }, *const cat[] = { "/bin/cat", NULL };
  const char *const no[] = { "/bin/false", NULL }, *const none[] = { "/no/such/program", NULL };
  assert_true(guest_exec(&guest, &(GuestCommand){ .argv = echo }, &result, NULL));
  assert_int_equal(result.status, 0);
  assert_string_equal(result.out, "a b $(c)\n"); /* no shell was there */
  guest_result_clear(&result);
  assert_true(guest_exec(&guest, &(GuestCommand){ cat, "line\n", 5 }, &result, NULL));
  assert_string_equal(result.out, "line\n");
  guest_result_clear(&result);
  GError *err = NULL;
  assert_false(guest_exec_ok(&guest, &(GuestCommand){ .argv = no }, &err));
  assert_true(error_is(err, REASON_GUEST_COMMAND));
  assert_string_equal(error_arg(err, "status"), "1");
  g_clear_error(&err);
  assert_false(guest_exec(&guest, &(GuestCommand){ .argv = none }, &result, &err));
  assert_true(error_is(err, REASON_AGENT_REFUSED));
  g_clear_error(&err);
}

static void files_and_addresses_are_read(void **state)
{
  Guest guest = the_guest();
  g_autofree char *text = NULL;
  g_autoptr(GPtrArray) addresses = NULL;
  assert_true(guest_read_file(&guest, "/etc/passwd", 12, &text, NULL));
  assert_string_equal(text, "root:x:0:0:r");
  assert_true(guest_addresses(&guest, &addresses, NULL));
  assert_int_equal(addresses->len, 1); /* loopback is nobody's address */
  const GuestAddress *address = addresses->pdata[0];
  assert_string_equal(address->interface, "eth0");
  assert_int_equal(strlen(address->mac), 17);
  assert_false(address->ipv6);
}

static void person_moves_in_and_is_seen(void **state)
{
  const char *const keys[] = { "ssh-ed25519 AAAA jihye", NULL };
  const GuestPerson person = { "jihye", "Kim Jihye", "$6$salt$hash", keys, "ko_KR.UTF-8" };
  Guest guest = the_guest();
  g_autofree char *evidence = NULL;
  GError *err = NULL;
  assert_true(guest_prove_no_one(&guest, NULL, &evidence, NULL));
  assert_non_null(strstr(evidence, "\"logged_in\":[]"));
  assert_true(guest_personalise(&guest, &person, &err));
  assert_true(guest_personalise(&guest, &person, &err));
  g_autofree char *none = NULL;
  assert_false(guest_prove_no_one(&guest, NULL, &none, &err));
  assert_true(error_is(err, REASON_GUEST_NOT_CLEAN));
  assert_non_null(strstr(err->message, "jihye"));
  g_clear_error(&err);
}

static void somebody_logged_in_is_no_proof(void **state)
{
  Guest guest = the_guest();
  GError *err = NULL;
  g_autofree char *evidence = NULL, *again = NULL;
  assert_true(fake_do("guests", "user d1 user", NULL));
  assert_true(guest_prove_no_one(&guest, "user", &evidence, NULL)); /* the template's own */
  assert_false(guest_prove_no_one(&guest, NULL, &again, NULL));
  assert_true(fake_do("guests", "user d1 mallory", NULL));
  assert_false(guest_prove_no_one(&guest, "user", &again, &err));
  assert_true(error_is(err, REASON_GUEST_NOT_CLEAN));
  assert_non_null(strstr(err->message, "mallory"));
  g_clear_error(&err);
}

/* A Linux guest without a program of its own: every program works, and is written down. */
static bool plain_guest(void *owner, const char *json, int timeout_s, char **ret_json, GError **err)
{
  json_auto_t *asked = json_loads(json, 0, NULL);
  const char *verb = json_string_value(json_object_get(asked, "execute"));
  if (!strcmp(verb, "guest-file-open"))
    return error_false(err, REASON_AGENT_REFUSED, "domain", "d1", "command", verb, "detail", "no such file", NULL);
  json_t *arguments = json_object_get(asked, "arguments");
  if (!strcmp(verb, "guest-exec")) {
    char *line = json_dumps(arguments, JSON_COMPACT);
    g_ptr_array_add(owner, g_strdup(line));
    free(line);
  }
  *ret_json = g_strdup(strcmp(verb, "guest-exec") ? "{\"return\":{\"exited\":true,\"exitcode\":0}}" : "{\"return\":{\"pid\":7}}");
  return true;
}

/* Root followed ~/.ssh -> /root/.ssh, and gave it to the person. */
static void root_touches_nothing_in_a_home(void **state)
{
  const char *const keys[] = { "ssh-ed25519 AAAA jihye", NULL };
  const GuestPerson person = { .name = "jihye", .ssh_keys = keys };
  g_autoptr(GPtrArray) ran = g_ptr_array_new_with_free_func(g_free);
  GuestWire wire = { plain_guest, ran };
  Guest guest = guest_of_wire(wire, "d1", 5 * G_USEC_PER_SEC);
  GError *err = NULL;
  assert_true(guest_personalise(&guest, &person, &err));
  int by_person = 0;
  for (guint i = 0; i < ran->len; i++) {
    bool as_person = strstr(ran->pdata[i], "\"/bin/su\"") && strstr(ran->pdata[i], "\"jihye\"");
    assert_true(as_person || !(strstr(ran->pdata[i], "/home") || strstr(ran->pdata[i], ".ssh")));
    by_person += as_person;
  }
  assert_int_equal(by_person, 1);
}

static void person_that_does_not_fit_is_refused(void **state)
{
  const GuestPerson bad[] = {
    { .name = "root:x" }, { .name = "-f" }, { .name = "" }, { .name = "jihye", .locale = "x\ny" }, { .name = "jihye", .password_hash = "a\nend=1" },
  };
  Guest guest = the_guest();
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    GError *err = NULL;
    assert_false(guest_personalise(&guest, &bad[i], &err));
    assert_int_equal(error_class(err), CLASS_INVALID);
    g_error_free(err);
  }
}

#define NAME30 "가나다라마바사아자차가나다라마바사아자차가나다라마바사아자차"
#define NAME42 NAME30 "가나다라마바사아자차가나"

/* Each was a session that failed, and a desktop spent, at every request of that person. */
static const struct { const char *title, *told; } names[] = {
  { "Kim, Bob: R&D", "Kim Bob R&D" }, { "김지혜", "김지혜" }, { "a\nend=1", "a end=1" }, { " , :", NULL }, { "", NULL }, { NULL, NULL },
  { "x\x1b[2Jy", "x[2Jy" }, { "디자인팀 👩\xe2\x80\x8d💻", "디자인팀 👩💻" }, { "x\xe2\x80\xaey", "xy" }, { "a\xff", "a\xef\xbf\xbd" },
  { NAME30 NAME30 NAME30 NAME30 NAME30 NAME30 "가나다라마바사아자차가나다라마바사아자차", NAME42 },
  { "x" NAME42 "가", "x" NAME42 }, { "xyz" NAME42, "xyz" NAME30 "가나다라마바사아자차가" },
};

static void a_title_becomes_a_full_name(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
    g_autofree char *told = guest_full_name(names[i].title), *again = guest_full_name(told);
    if (g_strcmp0(told, names[i].told) || g_strcmp0(again, told))
      fail_msg("%s: %s", names[i].title, told);
    assert_true(!told || strlen(told) <= 128);
  }
}

static void no_title_keeps_a_person_out(void **state)
{
  Guest guest = the_guest();
  for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
    const GuestPerson person = { .name = "jihye", .gecos = names[i].title };
    g_autoptr(GPtrArray) ran = g_ptr_array_new_with_free_func(g_free);
    Guest plain = guest_of_wire((GuestWire){ plain_guest, ran }, "d1", 5 * G_USEC_PER_SEC);
    g_autofree char *comment = g_strdup_printf("\"-c\",\"%s\",\"jihye\"", names[i].told ? names[i].told : "");
    GError *err = NULL;
    if (!guest_personalise(&guest, &person, &err) || !guest_personalise(&plain, &person, &err))
      fail_msg("%s: %s", names[i].title, err->message);
    assert_non_null(strstr(ran->pdata[0], comment));
  }
}

static void silent_agent_is_told(void **state)
{
  Guest guest = the_guest();
  GError *err = NULL;
  g_autofree char *evidence = NULL;
  assert_true(fake_do("guests", "agent d1 off", NULL));
  assert_false(guest_prove_no_one(&guest, NULL, &evidence, &err));
  assert_true(error_is(err, REASON_NO_AGENT));
  g_clear_error(&err);
  Guest late = guest_of_domain(domain, "d-1", -1);
  assert_false(guest_ping(&late, &err));
  assert_true(error_is(err, REASON_TIMEOUT));
  g_clear_error(&err);
}

/* ── hostile answers ────────────────────────────────────────────────────── */

static bool say(void *owner, const char *json, int timeout_s, char **ret_json, GError **err)
{
  *ret_json = g_strdup(owner);
  return true;
}

static void answers_that_cannot_be_right_are_refused(void **state)
{
  g_autofree char *deep = g_strnfill(200, '[');
  g_autofree char *nested = g_strconcat("{\"return\":", deep, NULL), *long_text = g_strnfill(GUEST_ANSWER_MAX_BYTES + 1, ' ');
  const struct { const char *answer; Reason reason; } rows[] = {
    { "", REASON_GUEST_ANSWER }, { "{\"return\":", REASON_GUEST_ANSWER }, { "[]", REASON_GUEST_ANSWER },
    { "{\"return\":{},\"return\":[]}", REASON_GUEST_ANSWER }, { "{\"return\":{}}", REASON_GUEST_ANSWER },
    { "{\"return\":[{\"login-time\":1}]}", REASON_GUEST_ANSWER }, { "{\"return\":[7]}", REASON_GUEST_ANSWER },
    { nested, REASON_GUEST_ANSWER }, { long_text, REASON_GUEST_ANSWER },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    Guest guest = guest_of_wire((GuestWire){ say, (void *)rows[i].answer }, "d-1", G_USEC_PER_SEC);
    GPtrArray *users;
    GError *err = NULL;
    assert_false(guest_users(&guest, &users, &err));
    assert_true(error_is(err, rows[i].reason));
    g_error_free(err);
  }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, guest_up, guest_down)
  const struct CMUnitTest tests[] = {
    T(programs_run_and_say_how_they_ended), T(files_and_addresses_are_read),
    T(person_moves_in_and_is_seen), T(somebody_logged_in_is_no_proof),
    T(person_that_does_not_fit_is_refused), T(no_title_keeps_a_person_out), T(silent_agent_is_told),
    cmocka_unit_test(a_title_becomes_a_full_name),
    cmocka_unit_test(root_touches_nothing_in_a_home),
    cmocka_unit_test(answers_that_cannot_be_right_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

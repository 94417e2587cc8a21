/* Steps made real, on a fake host: what an order does to the guest and the domain it names, and what a late one does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <gio/gio.h>

#include "drivers/guest/guest.h"
#include "drivers/hypervisor/fake.h"
#include "drivers/runtime/steps.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555";

typedef struct {
  Hypervisor *hypervisor;
  char *uuid;
  StepOrder order;     /* its objects are the stand's */
  Desktop desktop;
  User user;
} Stand;

static void define(Stand *s, int generation)
{
  g_autofree char *xml = g_strdup_printf(
    "<domain type='kvm'><name>sarang-d-1</name><uuid>%s</uuid><metadata><s:owner xmlns:s='" DOMAIN_OWNER_XMLNS "' controller='%s' "
    "desktop='d-1' generation='%d'/></metadata><memory>65536</memory><vcpu>1</vcpu><devices><channel type='unix'><target "
    "type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>", s->uuid, controller, generation);
  assert_true(hypervisor_define(s->hypervisor, xml, false, NULL));
}

static void boot(Stand *s)
{
  GuestDomain where = { s->hypervisor, s->uuid };
  Guest guest = guest_of_domain(&where, "d-1", 5 * G_USEC_PER_SEC);
  assert_true(hypervisor_power(s->hypervisor, s->uuid, DOMAIN_START, NULL));
  while (!guest_ping(&guest, NULL)) /* it boots within an instant, but on a thread of its own */
    assert_true(g_get_monotonic_time() < guest.deadline_us);
}

/* The domain of d-1 as the controller left it at generation, running; orders speak of generation 1. */
static Stand *stand_new(int generation)
{
  Stand *s = g_new0(Stand, 1);
  HypervisorOptions options = { .uri = "fake:steps", .controller = controller };
  assert_true(hypervisor_open(&options, &s->hypervisor, NULL));
  s->uuid = desktop_domain_uuid(controller, "d-1");
  s->desktop = (Desktop){ .head = { .refs = 1, .noun = NOUN_DESKTOP, .name = (char *)"d-1" }, .clone = 1 };
  s->user = (User){ .head = { .refs = 1, .noun = NOUN_USER, .name = (char *)"jihye" } };
  s->order = (StepOrder){ .controller = (char *)controller, .desktop = &s->desktop, .person = &s->user };
  define(s, generation);
  boot(s);
  return s;
}

static void stand_free(Stand *s)
{
  hypervisor_power(s->hypervisor, s->uuid, DOMAIN_DESTROY, NULL);
  hypervisor_undefine(s->hypervisor, s->uuid, NULL);
  hypervisor_close(s->hypervisor);
  fake_forget();
  g_free(s->uuid);
  g_free(s);
}

static GuestNetworks networks; /* where guests' servers may be; none but where a story says so */

static StepResult *run(Stand *s, StepKind kind, PowerVerb verb)
{
  static const StepOptions plain = { .guest_networks = &networks };
  s->order.kind = kind;
  s->order.verb = verb;
  StepRun step = { .order = &s->order, .result = step_result_new(&s->order), .hypervisor = s->hypervisor, .options = &plain,
                   .deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC };
  step_run(&step);
  return step.result;
}

static void assert_passed_on(StepResult *take_result)
{
  g_autoptr(StepResult) result = take_result;
  assert_non_null(result->error);
  assert_string_equal(reason_wire(error_reason(result->error)), reason_wire(REASON_DESKTOP_PASSED_ON));
}

static bool has_account(Stand *s, const char *name)
{
  GuestDomain where = { s->hypervisor, s->uuid };
  Guest guest = guest_of_domain(&where, "d-1", 5 * G_USEC_PER_SEC);
  g_autofree char *passwd = NULL, *line = g_strdup_printf("%s:", name);
  assert_true(guest_read_file(&guest, "/etc/passwd", 65536, &passwd, NULL));
  return strstr(passwd, line);
}

static DomainState state_of(Stand *s)
{
  g_autoptr(DomainFacts) facts = NULL;
  assert_true(hypervisor_look(s->hypervisor, s->uuid, &facts, NULL));
  return facts->state;
}

static void a_person_comes_into_the_generation_that_was_meant(void **state)
{
  Stand *s = stand_new(1);
  g_autoptr(StepResult) result = run(s, STEP_PERSONALISE, 0);
  assert_null(result->error);
  assert_true(has_account(s, "jihye"));
  stand_free(s);
}

/* The order waited behind a guest that hung; meanwhile the session ended, and the desktop was reset for somebody else. */
static void a_late_personalise_put_a_person_into_the_next_ones_desktop(void **state)
{
  Stand *s = stand_new(2);
  assert_passed_on(run(s, STEP_PERSONALISE, 0));
  assert_false(has_account(s, "jihye"));
  stand_free(s);
}

static void *personalise(void *stand)
{
  return run(stand, STEP_PERSONALISE, 0);
}

/* The same, in the middle: the first question hung, and what follows it would reach another guest. */
static void a_personalise_went_on_in_the_next_ones_desktop(void **state)
{
  Stand *s = stand_new(1);
  FakeFigures figures = { 0 };
  assert_true(fake_do("steps", "hang agent 1", NULL));
  GThread *thread = g_thread_new("personalise", personalise, s);
  for (int64_t end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC; !figures.hung; g_thread_yield()) {
    assert_true(fake_figures("steps", &figures));
    assert_true(g_get_monotonic_time() < end);
  }
  assert_true(hypervisor_power(s->hypervisor, s->uuid, DOMAIN_DESTROY, NULL));
  assert_true(hypervisor_undefine(s->hypervisor, s->uuid, NULL));
  define(s, 2);
  boot(s);
  assert_true(fake_do("steps", "release", NULL));
  g_autoptr(StepResult) result = g_thread_join(thread);
  assert_non_null(result->error); /* of the first question: its guest is gone; or that the desktop was passed on */
  assert_false(has_account(s, "jihye"));
  stand_free(s);
}

static void a_late_shutdown_switched_the_next_ones_desktop_off(void **state)
{
  static const PowerVerb verbs[] = { VERB_SHUTDOWN, VERB_DESTROY, VERB_RESET, VERB_SUSPEND };
  for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
    Stand *s = stand_new(2);
    assert_passed_on(run(s, STEP_POWER, verbs[i]));
    assert_int_equal(state_of(s), DOMAIN_ON);
    stand_free(s);
  }
}

static void *shut_down(void *stand)
{
  return run(stand, STEP_POWER, VERB_SHUTDOWN);
}

/* The guest was asked by its agent and took its time; the ACPI button was then pressed on the next one's desktop. */
static void a_shutdown_went_on_in_the_next_ones_desktop(void **state)
{
  Stand *s = stand_new(1);
  FakeFigures figures = { 0 };
  assert_true(fake_do("steps", "hang shutdown 1", NULL));
  assert_true(fake_do("steps", "fail shutdown 1 no-agent", NULL));
  GThread *thread = g_thread_new("shutdown", shut_down, s);
  for (int64_t end = g_get_monotonic_time() + 5 * G_USEC_PER_SEC; !figures.hung; g_thread_yield()) {
    assert_true(fake_figures("steps", &figures));
    assert_true(g_get_monotonic_time() < end);
  }
  assert_true(hypervisor_power(s->hypervisor, s->uuid, DOMAIN_DESTROY, NULL));
  assert_true(hypervisor_undefine(s->hypervisor, s->uuid, NULL));
  define(s, 2);
  boot(s);
  assert_true(fake_do("steps", "release", NULL));
  assert_passed_on(g_thread_join(thread));
  assert_true(fake_figures("steps", &figures));
  assert_int_equal(figures.calls[FAKE_SHUTDOWN_ACPI], 0);
  assert_int_equal(state_of(s), DOMAIN_ON);
  stand_free(s);
}

/* A store older than the world: whoever is in the desktop by now is not shown to the session of then. */
static void a_console_is_of_the_generation_that_was_meant(void **state)
{
  Stand *s = stand_new(2);
  assert_passed_on(run(s, STEP_CONSOLE, 0));
  assert_passed_on(run(s, STEP_SCREENSHOT, 0));
  stand_free(s);
}

static void a_shutdown_of_the_generation_that_was_meant_works(void **state)
{
  Stand *s = stand_new(1);
  g_autoptr(StepResult) result = run(s, STEP_POWER, VERB_SHUTDOWN);
  assert_null(result->error);
  assert_int_equal(result->power, POWER_OFF);
  stand_free(s);
}

/* A proof of another generation is none. */
static void a_proof_is_of_the_generation_that_was_meant(void **state)
{
  Stand *s = stand_new(2);
  g_autoptr(StepResult) result = run(s, STEP_PROVE, 0);
  assert_non_null(result->error);
  assert_string_equal(reason_wire(error_reason(result->error)), "no-proof");
  stand_free(s);
}

/* ── ready by TCP ───────────────────────────────────────────────────────────── */

static TemplateVersion *by_tcp(int port)
{
  g_autofree char *shipped = NULL;
  assert_true(g_file_get_contents("templates/xen-linux.xml", &shipped, NULL, NULL));
  g_autoptr(GString) xml = g_string_new(shipped);
  g_autofree char *line = g_strdup_printf("by=\"tcp\" port=\"%d\"", port);
  assert_int_equal(g_string_replace(xml, "by=\"tcp\" port=\"22\"", line, 0), 1);
  TemplateVersion *t = g_new0(TemplateVersion, 1);
  t->head = (Object){ .refs = 1, .noun = NOUN_TEMPLATE };
  t->xml = g_strdup(xml->str);
  return t;
}

static void assert_not_ready(Stand *s, const char *wanted)
{
  g_autoptr(StepResult) result = run(s, STEP_READY, 0);
  assert_non_null(result->error);
  assert_string_equal(reason_wire(error_reason(result->error)), reason_wire(REASON_NOT_READY));
  assert_string_equal(error_arg(result->error, "wanted"), wanted);
}

/* A guest without an agent: its host knows where it is. */
static void a_guest_without_an_agent_is_found_by_its_hosts_leases(void **state)
{
  Stand *s = stand_new(1);
  g_autoptr(GSocketListener) listener = g_socket_listener_new();
  int port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
  TemplateVersion *t = by_tcp(port);
  s->order.template = t;
  g_autofree char *off = g_strdup_printf("agent %s off", s->uuid), *lease = g_strdup_printf("lease %s 127.0.0.1", s->uuid);
  g_autofree char *elsewhere = g_strdup_printf("lease %s 127.0.0.1:1", s->uuid), *closed = g_strdup_printf("TCP port %d", port);
  g_autofree char *nowhere = g_strdup_printf("TCP port %d (neither DHCP nor ARP nor an agent tells an address)", port);
  assert_true(fake_do("steps", off, NULL));
  assert_not_ready(s, nowhere);
  assert_true(fake_do("steps", lease, NULL));
  g_autoptr(StepResult) result = run(s, STEP_READY, 0);
  assert_null(result->error);
  assert_true(fake_do("steps", elsewhere, NULL));
  assert_not_ready(s, closed);
  g_socket_listener_close(listener);
  assert_true(fake_do("steps", lease, NULL));
  assert_not_ready(s, closed);
  g_free(t->xml);
  g_free(t);
  stand_free(s);
}

/* ── screens that are servers in guests ────────────────────────────────────── */

static TemplateVersion *with_guest_screen(void)
{
  g_autofree char *shipped = NULL;
  assert_true(g_file_get_contents("templates/linux-cli.xml", &shipped, NULL, NULL));
  g_autoptr(GString) xml = g_string_new(shipped);
  assert_true(g_string_replace(xml, "<sarang:guest ", "<sarang:screen server=\"guest\" port=\"5907\"/><sarang:guest ", 1));
  TemplateVersion *t = g_new0(TemplateVersion, 1);
  t->head = (Object){ .refs = 1, .noun = NOUN_TEMPLATE };
  t->xml = g_strdup(xml->str);
  return t;
}

static void the_way_to_a_screen_in_the_guest_is_where_it_may_be(void **state)
{
  static const struct { const char *lease, *claim, *address, *reason; } rows[] = {
    { "192.0.2.17", "198.51.100.9", "192.0.2.17", NULL },   /* what the host knows goes first */
    { "198.51.100.9", "192.0.2.18", "192.0.2.18", NULL },   /* another of its networks */
    { "198.51.100.9", "198.51.100.9", NULL, "guest-address-outside" },
    { "169.254.9.9", "198.51.100.9", NULL, "guest-address-outside" },
    { "169.254.9.9", "169.254.169.254", NULL, "guest-address-special" },
    { "192.0.2.30", "::ffff:192.0.2.17", NULL, "guest-address-taken" }, /* of another host */
    { "192.0.2.31", "192.0.2.31", NULL, "guest-address-taken" },
    { "192.0.2.32", "192.0.2.32", NULL, "guest-address-taken" },
  };
  const char *const allowed[] = { "192.0.2.0/24", NULL };
  Stand *s = stand_new(1);
  Host hosts[] = { { .head = { .name = (char *)"h1" }, .uri = (char *)"qemu+tls://192.0.2.30/system" },
                   { .head = { .name = (char *)"h2" }, .uri = (char *)"qemu:///system", .console_address = (char *)"192.0.2.31" },
                   { .head = { .name = (char *)"h3" }, .uri = (char *)"qemu:///system", .ssh_address = (char *)"192.0.2.32" } };
  g_autoptr(GPtrArray) house = g_ptr_array_new();
  for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++)
    g_ptr_array_add(house, &hosts[i]);
  TemplateVersion *t = s->order.template = with_guest_screen();
  s->order.house = house;
  g_autoptr(StepResult) unset = run(s, STEP_GUEST_CONSOLE, 0);
  assert_true(error_is(unset->error, REASON_GUEST_NETWORKS_UNSET));
  assert_true(guest_networks_parse(allowed, &networks, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *lease = g_strdup_printf("lease %s %s", s->uuid, rows[i].lease), *claim = g_strdup_printf("claim %s %s", s->uuid, rows[i].claim);
    assert_true(fake_do("steps", lease, NULL) && fake_do("steps", claim, NULL));
    g_autoptr(StepResult) result = run(s, STEP_GUEST_CONSOLE, 0);
    const char *reason = result->error ? reason_wire(error_reason(result->error)) : NULL;
    if (g_strcmp0(reason, rows[i].reason) || g_strcmp0(result->address, rows[i].address))
      fail_msg("row %zu: %s at %s", i, reason ? reason : "taken", result->address);
    assert_true(rows[i].reason || result->port == 5907);
  }
  networks = (GuestNetworks){ 0 };
  g_free(t->xml);
  g_free(t);
  stand_free(s);
}

/* The password of this connect is in this guest: a server elsewhere, whose address it named, has another. */
static void a_screen_in_the_guest_has_a_password_of_its_own_each_time(void **state)
{
  const char *const allowed[] = { "192.0.2.0/24", NULL };
  Stand *s = stand_new(1);
  TemplateVersion *t = s->order.template = with_guest_screen();
  g_autofree char *lease = g_strdup_printf("lease %s 192.0.2.17", s->uuid), *before = g_strdup("");
  assert_true(fake_do("steps", lease, NULL) && guest_networks_parse(allowed, &networks, NULL));
  GuestDomain where = { s->hypervisor, s->uuid };
  Guest guest = guest_of_domain(&where, "d-1", 20 * G_USEC_PER_SEC);
  for (int i = 0; i < 2; i++) {
    g_autoptr(StepResult) result = run(s, STEP_GUEST_CONSOLE, 0);
    assert_null(result->error);
    assert_int_equal(strlen(result->password), 8);
    assert_string_not_equal(result->password, before);
    g_autofree char *told = NULL, *wanted = g_strdup_printf("version=1\npassword=%s\nseconds=20\nend=1\n", result->password);
    assert_true(guest_read_file(&guest, "/run/sarang-screen", 4096, &told, NULL));
    assert_string_equal(told, wanted);
    g_free(before);
    before = g_strdup(result->password);
  }
  define(s, 2); /* it was reset for somebody else since */
  assert_passed_on(run(s, STEP_GUEST_CONSOLE, 0));
  networks = (GuestNetworks){ 0 };
  g_free(t->xml);
  g_free(t);
  stand_free(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_person_comes_into_the_generation_that_was_meant),
    cmocka_unit_test(a_late_personalise_put_a_person_into_the_next_ones_desktop),
    cmocka_unit_test(a_personalise_went_on_in_the_next_ones_desktop),
    cmocka_unit_test(a_late_shutdown_switched_the_next_ones_desktop_off),
    cmocka_unit_test(a_shutdown_went_on_in_the_next_ones_desktop),
    cmocka_unit_test(a_console_is_of_the_generation_that_was_meant),
    cmocka_unit_test(a_shutdown_of_the_generation_that_was_meant_works),
    cmocka_unit_test(a_proof_is_of_the_generation_that_was_meant),
    cmocka_unit_test(a_guest_without_an_agent_is_found_by_its_hosts_leases),
    cmocka_unit_test(the_way_to_a_screen_in_the_guest_is_where_it_may_be),
    cmocka_unit_test(a_screen_in_the_guest_has_a_password_of_its_own_each_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

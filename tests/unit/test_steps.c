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

static StepResult *run(Stand *s, StepKind kind, PowerVerb verb)
{
  static const StepOptions plain = { 0 };
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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

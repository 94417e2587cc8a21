#include "tests/unit/hypervisor_contract.h"

#include "core/cells.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <gio/gio.h>
#include <pthread.h>

#include "core/gpu.h"
#include "tests/unit/contract_assert.h"

enum { EVENT_WITHIN_MS = 5000, OFF_WITHIN_S = 20 };

static const char controller[] = "11111111-2222-4333-8444-555555555555";
static const char other_controller[] = "99999999-8888-4777-8666-555555555555";

/* What one test stands on: a connection that hears events, and the domain it may use. */
typedef struct {
  const Contract *contract;
  Hypervisor *hypervisor;
  char uuid[UUID_TEXT_BYTES], name[64];
  pthread_mutex_t lock;
  pthread_cond_t came;
  GPtrArray *events;  /* of char *: "KIND UUID" */
} Stand;

static const Contract *running;

/* ── helpers ────────────────────────────────────────────────────────────── */

static void on_event(void *owner, const HypervisorEvent *event)
{
  Stand *stand = owner;
  pthread_mutex_lock(&stand->lock);
  g_ptr_array_add(stand->events, g_strdup_printf("%s %s", hypervisor_event_name(event->kind), event->uuid));
  pthread_cond_broadcast(&stand->came);
  pthread_mutex_unlock(&stand->lock);
}

static void forget_events(Stand *stand)
{
  pthread_mutex_lock(&stand->lock);
  g_ptr_array_set_size(stand->events, 0);
  pthread_mutex_unlock(&stand->lock);
}

/* Waits until that event has come since forget_events(). */
static bool event_comes(Stand *stand, HypervisorEventKind kind, const char *uuid)
{
  g_autofree char *wanted = g_strdup_printf("%s %s", hypervisor_event_name(kind), uuid);
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += EVENT_WITHIN_MS / 1000;
  bool came = false, late = false;
  pthread_mutex_lock(&stand->lock);
  while (!(came = g_ptr_array_find_with_equal_func(stand->events, wanted, g_str_equal, NULL)) && !late)
    late = pthread_cond_timedwait(&stand->came, &stand->lock, &until);
  pthread_mutex_unlock(&stand->lock);
  return came;
}

static Hypervisor *connect_as(Stand *stand, const char *who, bool hear)
{
  const Contract *contract = stand->contract;
  HypervisorOptions options = { .uri = contract->uri, .controller = who, .allow_plain_tcp = contract->allow_plain_tcp,
                                .domain_events = hear };
  Hypervisor *hypervisor = NULL;
  if (hear)
    options.sink = (HypervisorSink){ on_event, stand };
  assert_ok(hypervisor_open(&options, &hypervisor, E));
  return hypervisor;
}

static bool can(const Stand *stand, Capability capability)
{
  return !hypervisor_flavour(stand->hypervisor)->why_not[capability];
}

static char *xml_of(const Stand *stand, int generation, bool with_agent)
{
  ContractDomain domain = { stand->uuid, stand->name, controller, generation, true, with_agent };
  return stand->contract->xml(&domain, stand->contract->data);
}

static void define(Stand *stand, bool with_agent)
{
  g_autofree char *xml = xml_of(stand, 1, with_agent);
  assert_ok(hypervisor_define(stand->hypervisor, xml, false, E));
}

static void power(Stand *stand, DomainVerb verb)
{
  GError *err = NULL;
  if (!hypervisor_power(stand->hypervisor, stand->uuid, verb, &err))
    fail_msg("%s: %s", domain_verb_name(verb), err->message);
}

static DomainState state_of(Stand *stand)
{
  g_autoptr(DomainFacts) facts = NULL;
  assert_ok(hypervisor_look(stand->hypervisor, stand->uuid, &facts, E));
  return facts->state;
}

static void assert_state(Stand *stand, DomainState wanted)
{
  DomainState is = state_of(stand);
  if (is != wanted)
    fail_msg("it is %s, not %s", domain_state_name(is), domain_state_name(wanted));
}

/* The domain as the list tells it; NULL where it is not listed. */
static DomainFacts *listed(Stand *stand)
{
  g_autoptr(GPtrArray) domains = NULL;
  DomainFacts *found = NULL;
  assert_ok(hypervisor_list(stand->hypervisor, &domains, E));
  for (guint i = 0; i < domains->len && !found; i++) {
    DomainFacts *facts = domains->pdata[i];
    assert_true(g_uuid_string_is_valid(facts->uuid));
    if (strcmp(facts->uuid, stand->uuid))
      continue;
    found = g_new(DomainFacts, 1);
    *found = *facts;
    *facts = (DomainFacts){ 0 };
  }
  return found;
}

static int stand_up(void **state)
{
  static int number;
  Stand *stand = g_new0(Stand, 1);
  stand->contract = running;
  pthread_mutex_init(&stand->lock, NULL);
  pthread_cond_init(&stand->came, NULL);
  stand->events = g_ptr_array_new_with_free_func(g_free);
  g_autofree char *uuid = g_uuid_string_random();
  g_strlcpy(stand->uuid, uuid, sizeof stand->uuid);
  g_snprintf(stand->name, sizeof stand->name, "contract-%d-%d", getpid(), ++number);
  stand->hypervisor = connect_as(stand, controller, true);
  *state = stand;
  return 0;
}

static int stand_down(void **state)
{
  Stand *stand = *state;
  hypervisor_power(stand->hypervisor, stand->uuid, DOMAIN_DESTROY, NULL);
  hypervisor_undefine(stand->hypervisor, stand->uuid, NULL);
  hypervisor_close(stand->hypervisor);
  g_ptr_array_unref(stand->events);
  pthread_mutex_destroy(&stand->lock);
  pthread_cond_destroy(&stand->came);
  g_free(stand);
  return 0;
}

/* ── the host ───────────────────────────────────────────────────────────── */

static void host_tells_what_it_is(void **state)
{
  Stand *stand = *state;
  HostFacts facts = { 0 };
  assert_ok(hypervisor_host(stand->hypervisor, &facts, E));
  assert_int_equal(facts.flavour, hypervisor_flavour(stand->hypervisor)->kind);
  assert_true(facts.cpus > 0);
  assert_true(facts.memory_mib > 0);
  assert_true(facts.virt_types != 0);
  assert_true(strlen(facts.hostname) > 0);
  assert_true(strlen(facts.hypervisor) > 0 && strlen(facts.libvirt) > 0);
  assert_true(facts.flavour == FLAVOUR_TEST || g_uuid_string_is_valid(facts.uuid));
  HostCells cells;
  host_cells_read(facts.cells, &cells);
  assert_true(cells.n > 0);
  int cpus = 0;
  int64_t memory_mib = 0;
  for (int i = 0; i < cells.n; i++) {
    cpus += cells.cells[i].n_cpus;
    memory_mib += cells.cells[i].memory_mib;
  }
  assert_true(facts.flavour == FLAVOUR_TEST || cpus <= facts.cpus); /* that one has 16 in its cells, and node information of its own */
  assert_true(memory_mib > 0);
  host_facts_clear(&facts);
}

/* ── what is not there ──────────────────────────────────────────────────── */

static void missing_domain_is_not_found_but_off_and_gone(void **state)
{
  Stand *stand = *state;
  DomainFacts *facts;
  assert_refused(hypervisor_look(stand->hypervisor, stand->uuid, &facts, E), REASON_NOT_FOUND);
  assert_refused(hypervisor_power(stand->hypervisor, stand->uuid, DOMAIN_START, E), REASON_NOT_FOUND);
  assert_refused(hypervisor_power(stand->hypervisor, stand->uuid, DOMAIN_SUSPEND, E), REASON_NOT_FOUND);
  assert_ok(hypervisor_power(stand->hypervisor, stand->uuid, DOMAIN_DESTROY, E));
  assert_ok(hypervisor_undefine(stand->hypervisor, stand->uuid, E));
  assert_ok(hypervisor_shutdown(stand->hypervisor, stand->uuid, 0, 1000, E));
  assert_refused(hypervisor_look(stand->hypervisor, "not-a-uuid", &facts, E), REASON_BAD_VALUE);
}

/* ── definitions ────────────────────────────────────────────────────────── */

static void defined_domain_is_listed_as_ours_and_off(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  assert_true(event_comes(stand, HYPERVISOR_DOMAIN_CHANGED, stand->uuid));
  g_autoptr(DomainFacts) in_list = listed(stand);
  g_autoptr(DomainFacts) facts = NULL;
  assert_ok(hypervisor_look(stand->hypervisor, stand->uuid, &facts, E));
  assert_non_null(in_list);
  const DomainFacts *both[] = { in_list, facts };
  for (int i = 0; i < 2; i++) {
    assert_string_equal(both[i]->uuid, stand->uuid);
    assert_string_equal(both[i]->name, stand->name);
    assert_int_equal(both[i]->state, DOMAIN_OFF);
    assert_false(both[i]->has_saved);
    assert_true(both[i]->owner.ours);
    assert_string_equal(both[i]->owner.controller, controller);
    assert_string_equal(both[i]->owner.desktop, "d-17");
    assert_int_equal(both[i]->owner.generation, 1);
    assert_true(both[i]->vcpus >= 1);
    assert_true(both[i]->memory_mib >= 1);
  }
  assert_null(facts->consoles);
  assert_int_equal(facts->agent, AGENT_NONE);
}

static void define_again_replaces_and_the_list_knows(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  domain_facts_free(listed(stand)); /* the connection knows generation 1 now */
  event_comes(stand, HYPERVISOR_DOMAIN_CHANGED, stand->uuid);
  forget_events(stand);
  g_autofree char *second = xml_of(stand, 2, false);
  assert_ok(hypervisor_define(stand->hypervisor, second, false, E));
  assert_true(event_comes(stand, HYPERVISOR_DOMAIN_CHANGED, stand->uuid));
  g_autoptr(DomainFacts) in_list = listed(stand);
  assert_int_equal(in_list->owner.generation, 2);
  assert_ok(hypervisor_define(stand->hypervisor, second, false, E));
}

static void taken_name_is_told_with_its_uuid(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  ContractDomain twin = { "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", stand->name, controller, 1, true, false };
  g_autofree char *xml = stand->contract->xml(&twin, stand->contract->data);
  GError *err = NULL;
  assert_false(hypervisor_define(stand->hypervisor, xml, false, &err));
  assert_true(error_is(err, REASON_DOMAIN_NAME_TAKEN));
  assert_string_equal(error_arg(err, "uuid"), stand->uuid);
  assert_string_equal(error_arg(err, "name"), stand->name);
  g_error_free(err);
}

static void unusable_xml_is_refused(void **state)
{
  Stand *stand = *state;
  g_autofree char *good = xml_of(stand, 1, false);
  static const char *const bad[] = {
    "", "<domain", "<network><name>x</name></network>",
    "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain type='test'><name>&a;</name></domain>",
    "<domain type='test'><name>x</name></domain>",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_refused(hypervisor_define(stand->hypervisor, bad[i], false, E), REASON_BAD_DOMAIN_XML);
  g_autoptr(GString) unowned = g_string_new(good);
  g_string_replace(unowned, DOMAIN_OWNER_XMLNS, "urn:someone:else", 0);
  assert_refused(hypervisor_define(stand->hypervisor, unowned->str, false, E), REASON_BAD_DOMAIN_XML);
  assert_null(listed(stand));
}

static void host_validates_when_asked(void **state)
{
  Stand *stand = *state;
  g_autofree char *good = xml_of(stand, 1, false);
  g_autoptr(GString) odd = g_string_new(good);
  g_string_replace(odd, "</domain>", "<no-such-element/></domain>", 0);
  bool by_host = hypervisor_flavour(stand->hypervisor)->kind != FLAVOUR_FAKE && can(stand, CAN_DEFINE_VALIDATED);
  if (by_host)
    assert_refused(hypervisor_define(stand->hypervisor, odd->str, true, E), REASON_BAD_DOMAIN_XML);
  assert_ok(hypervisor_define(stand->hypervisor, good, true, E));
}

/* ── power ──────────────────────────────────────────────────────────────── */

static void power_verbs_promise_end_states(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  power(stand, DOMAIN_DESTROY);
  power(stand, DOMAIN_START);
  assert_state(stand, DOMAIN_ON);
  power(stand, DOMAIN_START);
  power(stand, DOMAIN_RESUME);
  power(stand, DOMAIN_SUSPEND);
  power(stand, DOMAIN_SUSPEND);
  assert_state(stand, DOMAIN_SUSPENDED);
  power(stand, DOMAIN_RESUME);
  assert_state(stand, DOMAIN_ON);
  power(stand, DOMAIN_SUSPEND);
  power(stand, DOMAIN_START);
  assert_state(stand, DOMAIN_ON);
  power(stand, DOMAIN_DESTROY);
  assert_state(stand, DOMAIN_OFF);
  power(stand, DOMAIN_DESTROY);
  power(stand, DOMAIN_SHUTDOWN);
  power(stand, DOMAIN_FORGET_SAVED);
}

static void verbs_that_make_no_sense_are_refused(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  static const struct { DomainVerb verb; Reason off, suspended; } rows[] = {
    { DOMAIN_SUSPEND, REASON_DOMAIN_STATE, N_REASONS }, { DOMAIN_RESUME, REASON_DOMAIN_STATE, N_REASONS },
    { DOMAIN_REBOOT, REASON_DOMAIN_STATE, REASON_DOMAIN_STATE }, { DOMAIN_SHUTDOWN, N_REASONS, REASON_DOMAIN_STATE },
    { DOMAIN_SAVE, REASON_DOMAIN_STATE, N_REASONS }, { DOMAIN_RESTORE, REASON_NO_SAVED_STATE, N_REASONS },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (rows[i].off != N_REASONS)
      assert_refused(hypervisor_power(stand->hypervisor, stand->uuid, rows[i].verb, E), rows[i].off);
  assert_refused(hypervisor_power(stand->hypervisor, stand->uuid, DOMAIN_RESET, E),
                 can(stand, CAN_RESET) ? REASON_DOMAIN_STATE : REASON_UNSUPPORTED);
  power(stand, DOMAIN_START);
  power(stand, DOMAIN_SUSPEND);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (rows[i].suspended != N_REASONS)
      assert_refused(hypervisor_power(stand->hypervisor, stand->uuid, rows[i].verb, E), rows[i].suspended);
}

static void saved_state_is_kept_restored_and_forgotten(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  power(stand, DOMAIN_START);
  if (!can(stand, CAN_SAVE)) {
    assert_refused(hypervisor_power(stand->hypervisor, stand->uuid, DOMAIN_SAVE, E), REASON_UNSUPPORTED);
    return;
  }
  power(stand, DOMAIN_SAVE);
  assert_state(stand, DOMAIN_SAVED);
  g_autoptr(DomainFacts) in_list = listed(stand);
  assert_int_equal(in_list->state, DOMAIN_SAVED);
  assert_true(in_list->has_saved);
  power(stand, DOMAIN_SAVE);
  power(stand, DOMAIN_RESTORE);
  assert_state(stand, DOMAIN_ON);
  power(stand, DOMAIN_RESTORE);
  power(stand, DOMAIN_SAVE);
  power(stand, DOMAIN_FORGET_SAVED);
  assert_state(stand, DOMAIN_OFF);
  power(stand, DOMAIN_START);
  power(stand, DOMAIN_SAVE);
  assert_ok(hypervisor_undefine(stand->hypervisor, stand->uuid, E));
  define(stand, false);
  assert_state(stand, DOMAIN_OFF); /* nothing of the old one came back */
}

static void reset_and_reboot_leave_it_running(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  power(stand, DOMAIN_START);
  if (can(stand, CAN_RESET))
    power(stand, DOMAIN_RESET);
  assert_state(stand, DOMAIN_ON);
  if (hypervisor_flavour(stand->hypervisor)->kind == FLAVOUR_TEST)
    return; /* the test driver's reboot may end in being off, by design */
  power(stand, DOMAIN_REBOOT);
  for (int i = 0; i < 50 && state_of(stand) != DOMAIN_ON; i++)
    g_usleep(100 * 1000);
  assert_state(stand, DOMAIN_ON);
}

static void shutdown_ladder_ends_in_off(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  power(stand, DOMAIN_START);
  g_usleep(stand->contract->boot_s ? 1500 * 1000 : 0); /* a real guest must be up far enough to hear the button */
  assert_refused(hypervisor_shutdown(stand->hypervisor, stand->uuid, 2, 1000, E), REASON_DESKTOP_PASSED_ON); /* it is of generation 1 */
  assert_state(stand, DOMAIN_ON);
  assert_ok(hypervisor_shutdown(stand->hypervisor, stand->uuid, 1, OFF_WITHIN_S * G_USEC_PER_SEC, E));
  assert_state(stand, DOMAIN_OFF);
  assert_ok(hypervisor_shutdown(stand->hypervisor, stand->uuid, 0, 1000, E));
}

static void running_domain_is_not_undefined(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  power(stand, DOMAIN_START);
  assert_refused(hypervisor_undefine(stand->hypervisor, stand->uuid, E), REASON_DOMAIN_STATE);
  assert_state(stand, DOMAIN_ON);
  power(stand, DOMAIN_DESTROY);
  assert_ok(hypervisor_undefine(stand->hypervisor, stand->uuid, E));
  assert_null(listed(stand));
}

/* ── others ─────────────────────────────────────────────────────────────── */

static void foreign_domain_is_shown_never_changed(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  power(stand, DOMAIN_START);
  Hypervisor *ours = stand->hypervisor;
  stand->hypervisor = connect_as(stand, other_controller, false);
  g_autoptr(DomainFacts) in_list = listed(stand);
  assert_non_null(in_list);
  assert_false(in_list->owner.ours);
  assert_string_equal(in_list->owner.controller, controller);
  for (DomainVerb verb = 0; verb < N_DOMAIN_VERBS; verb++)
    if (verb != DOMAIN_RESET || can(stand, CAN_RESET))
      assert_refused(hypervisor_power(stand->hypervisor, stand->uuid, verb, E), REASON_FOREIGN);
  assert_refused(hypervisor_undefine(stand->hypervisor, stand->uuid, E), REASON_FOREIGN);
  g_autofree char *xml = xml_of(stand, 1, false);
  assert_refused(hypervisor_define(stand->hypervisor, xml, false, E), REASON_FOREIGN);
  g_autoptr(GString) taken = g_string_new(xml);
  g_string_replace(taken, controller, other_controller, 0);
  assert_refused(hypervisor_define(stand->hypervisor, taken->str, false, E), REASON_FOREIGN);
  SerialText text;
  char *json;
  if (can(stand, CAN_SERIAL))
    assert_refused(hypervisor_serial(stand->hypervisor, stand->uuid, 0, &text, E), REASON_FOREIGN);
  if (can(stand, CAN_AGENT))
    assert_refused(hypervisor_agent(stand->hypervisor, stand->uuid, "{\"execute\":\"guest-ping\"}", 1, &json, E), REASON_FOREIGN);
  hypervisor_close(stand->hypervisor);
  stand->hypervisor = ours;
  assert_state(stand, DOMAIN_ON);
}

static void change_behind_our_back_is_told(void **state)
{
  Stand *stand = *state;
  define(stand, false);
  power(stand, DOMAIN_START);
  assert_true(event_comes(stand, HYPERVISOR_DOMAIN_CHANGED, stand->uuid));
  Hypervisor *second = connect_as(stand, controller, false);
  forget_events(stand);
  assert_ok(hypervisor_power(second, stand->uuid, DOMAIN_DESTROY, E));
  assert_true(event_comes(stand, HYPERVISOR_DOMAIN_CHANGED, stand->uuid));
  assert_state(stand, DOMAIN_OFF);
  hypervisor_close(second);
}

/* ── consoles, pictures, agent, serial line ─────────────────────────────── */

static void console_takes_a_password_and_tells_its_place(void **state)
{
  Stand *stand = *state;
  ConsoleKey key = { CONSOLE_VNC, "Secret77", 60 };
  DomainConsole console = { 0 };
  define(stand, false);
  if (!can(stand, CAN_CONSOLE_PASSWORD)) {
    assert_refused(hypervisor_console(stand->hypervisor, stand->uuid, &key, &console, E), REASON_UNSUPPORTED);
    return;
  }
  assert_refused(hypervisor_console(stand->hypervisor, stand->uuid, &key, &console, E), REASON_DOMAIN_STATE);
  power(stand, DOMAIN_START);
  assert_ok(hypervisor_console(stand->hypervisor, stand->uuid, &key, &console, E));
  assert_true(console.port > 0);
  g_autoptr(DomainFacts) facts = NULL;
  assert_ok(hypervisor_look(stand->hypervisor, stand->uuid, &facts, E));
  assert_int_equal(facts->consoles->len, 1);
  assert_int_equal(g_array_index(facts->consoles, DomainConsole, 0).port, console.port);
  domain_console_clear(&console);
  const char *const bad[] = { "", "ninebytes", "a b", "quote\"" };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    key.password = bad[i];
    assert_refused(hypervisor_console(stand->hypervisor, stand->uuid, &key, &console, E), REASON_BAD_VALUE);
  }
  ConsoleKey spice = { CONSOLE_SPICE, "Secret77", 60 };
  assert_refused(hypervisor_console(stand->hypervisor, stand->uuid, &spice, &console, E), REASON_NOT_FOUND);
}

static void picture_is_png_or_ppm(void **state)
{
  Stand *stand = *state;
  g_autoptr(GBytes) picture = NULL;
  define(stand, false);
  if (!can(stand, CAN_SCREENSHOT)) {
    assert_refused(hypervisor_screenshot(stand->hypervisor, stand->uuid, &picture, E), REASON_UNSUPPORTED);
    return;
  }
  assert_refused(hypervisor_screenshot(stand->hypervisor, stand->uuid, &picture, E), REASON_DOMAIN_STATE);
  power(stand, DOMAIN_START);
  assert_ok(hypervisor_screenshot(stand->hypervisor, stand->uuid, &picture, E));
  gsize bytes;
  const char *start = g_bytes_get_data(picture, &bytes);
  assert_true(bytes > 64);
  assert_true(!memcmp(start, "\x89PNG", 4) || !memcmp(start, "P6", 2));
}

static void agent_answers_or_is_told_missing(void **state)
{
  static const char ping[] = "{\"execute\":\"guest-ping\"}";
  Stand *stand = *state;
  g_autofree char *json = NULL;
  define(stand, false);
  if (!can(stand, CAN_AGENT)) {
    assert_refused(hypervisor_agent(stand->hypervisor, stand->uuid, ping, 2, &json, E), REASON_UNSUPPORTED);
    return;
  }
  assert_refused(hypervisor_agent(stand->hypervisor, stand->uuid, ping, 2, &json, E), REASON_NO_AGENT);
  power(stand, DOMAIN_START);
  assert_refused(hypervisor_agent(stand->hypervisor, stand->uuid, ping, 2, &json, E), REASON_NO_AGENT);
  power(stand, DOMAIN_DESTROY);
  if (!stand->contract->has_agent_guest)
    return;
  define(stand, true);
  power(stand, DOMAIN_START);
  GError *err = NULL;
  int64_t until_us = g_get_monotonic_time() + (stand->contract->boot_s + 1) * G_USEC_PER_SEC;
  while (!hypervisor_agent(stand->hypervisor, stand->uuid, ping, 2, &json, &err) && g_get_monotonic_time() < until_us) {
    assert_true(error_is(err, REASON_NO_AGENT));
    g_clear_error(&err);
    g_usleep(50 * 1000);
  }
  assert_null(err);
  assert_string_equal(json, "{\"return\":{}}");
  g_autofree char *none = NULL;
  static const char odd[] = "{\"execute\":\"no-such-command\"}";
  assert_refused(hypervisor_agent(stand->hypervisor, stand->uuid, odd, 5, &none, E), REASON_AGENT_REFUSED);
  g_autoptr(DomainFacts) facts = NULL;
  assert_ok(hypervisor_look(stand->hypervisor, stand->uuid, &facts, E));
  assert_int_equal(facts->agent, AGENT_CONNECTED);
}

/* Reads until text holds wanted. */
static char *serial_until(Stand *stand, const char *wanted, int64_t *ret_end)
{
  int64_t until_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
  for (;;) {
    SerialText text = { 0 };
    assert_ok(hypervisor_serial(stand->hypervisor, stand->uuid, 0, &text, E));
    gsize bytes;
    const char *raw = g_bytes_get_data(text.text, &bytes);
    char *copy = g_strndup(raw ? raw : "", bytes);
    *ret_end = text.end;
    serial_text_clear(&text);
    if (strstr(copy, wanted))
      return copy;
    if (g_get_monotonic_time() > until_us)
      fail_msg("no \"%s\" in \"%s\"", wanted, copy);
    g_free(copy);
    event_comes(stand, HYPERVISOR_SERIAL, stand->uuid);
    forget_events(stand);
  }
}

/* Without a word of the guest: a host that gives it an address, or saw it use one, knows. */
static void addresses_are_told_by_the_host(void **state)
{
  Stand *stand = *state;
  g_autoptr(GPtrArray) none = NULL, some = NULL;
  assert_refused(hypervisor_addresses(stand->hypervisor, stand->uuid, &none, E), REASON_NOT_FOUND);
  define(stand, false);
  assert_ok(hypervisor_addresses(stand->hypervisor, stand->uuid, &none, E));
  assert_int_equal(none->len, 0);
  power(stand, DOMAIN_START);
  assert_ok(hypervisor_addresses(stand->hypervisor, stand->uuid, &some, E));
  assert_true(!stand->contract->gives_address || some->len);
  for (guint i = 0; i < some->len; i++) {
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(some->pdata[i]);
    assert_non_null(address);
  }
}

static void serial_line_is_read_from_its_first_byte(void **state)
{
  Stand *stand = *state;
  SerialText text = { 0 };
  define(stand, false);
  if (!can(stand, CAN_SERIAL)) {
    assert_refused(hypervisor_serial(stand->hypervisor, stand->uuid, 0, &text, E), REASON_UNSUPPORTED);
    return;
  }
  assert_ok(hypervisor_serial(stand->hypervisor, stand->uuid, 0, &text, E));
  assert_false(text.open);
  assert_int_equal(text.end, 0);
  serial_text_clear(&text);
  forget_events(stand);
  power(stand, DOMAIN_START);
  assert_true(event_comes(stand, HYPERVISOR_SERIAL, stand->uuid));
  int64_t end;
  g_autofree char *first = serial_until(stand, "micro boot ", &end);
  assert_true(end > 0);
  assert_ok(hypervisor_serial(stand->hypervisor, stand->uuid, end, &text, E));
  assert_int_equal(text.start, end);
  assert_true(text.open);
  serial_text_clear(&text);
  power(stand, DOMAIN_DESTROY);
  power(stand, DOMAIN_START); /* another run begins anew, and is heard too */
  g_autofree char *second = serial_until(stand, "micro boot ", &end);
  assert_null(strstr(strstr(second, "micro boot ") + 1, "micro boot ")); /* nothing of the run before */
  assert_ok(hypervisor_serial(stand->hypervisor, stand->uuid, -1, &text, E));
  serial_text_clear(&text);
}

/* ── devices of the host ────────────────────────────────────────────────── */

static const char stranger_mdev[] = "11111111-1111-4111-8111-111111111111";

static void devices_are_listed_as_xml(void **state)
{
  Stand *stand = *state;
  g_autoptr(GPtrArray) devices = NULL, again = NULL;
  assert_ok(hypervisor_devices(stand->hypervisor, &devices, E));
  assert_ok(hypervisor_devices(stand->hypervisor, &again, E)); /* out of what is remembered */
  assert_int_equal(devices->len, again->len);
  for (guint i = 0; i < devices->len; i++) {
    const HostDevice *device = devices->pdata[i], *same = again->pdata[i];
    assert_string_equal(device->name, same->name);
    assert_true(g_str_has_prefix(device->xml, "<device>"));
  }
}

static void mediated_devices_are_ours_by_their_mark_alone(void **state)
{
  Stand *stand = *state;
  char ours[GPU_UUID_TEXT_BYTES];
  gpu_part_uuid(controller, "v-1", 1, ours);
  if (!can(stand, CAN_MDEV)) {
    assert_refused(hypervisor_mdev_create(stand->hypervisor, "pci_0000_00_1f_7", "none", ours, E), REASON_UNSUPPORTED);
    return;
  }
  assert_refused(hypervisor_mdev_create(stand->hypervisor, "pci_0000_00_1f_7", "none", stranger_mdev, E), REASON_GPU_NOT_OURS);
  assert_refused(hypervisor_mdev_destroy(stand->hypervisor, stranger_mdev, E), REASON_GPU_NOT_OURS);
  assert_refused(hypervisor_mdev_create(stand->hypervisor, "pci_0000_00_1f_7", "none", ours, E), REASON_NOT_FOUND);
  assert_ok(hypervisor_mdev_destroy(stand->hypervisor, ours, E));
  assert_refused(hypervisor_mdev_destroy(stand->hypervisor, "nonsense", E), REASON_BAD_VALUE);
}

static void plugging_is_for_running_domains(void **state)
{
  static const char device[] = "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address "
                               "uuid='11111111-1111-4111-8111-111111111111'/></source><alias name='ua-v-1'/></hostdev>";
  Stand *stand = *state;
  define(stand, false);
  if (!can(stand, CAN_PLUG)) {
    assert_refused(hypervisor_attach(stand->hypervisor, stand->uuid, device, E), REASON_UNSUPPORTED);
    return;
  }
  assert_refused(hypervisor_attach(stand->hypervisor, stand->uuid, device, E), REASON_DOMAIN_STATE);
  assert_refused(hypervisor_attach(stand->hypervisor, stand->uuid, "<hostdev/>", E), REASON_BAD_DOMAIN_XML);
  assert_ok(hypervisor_detach(stand->hypervisor, stand->uuid, "ua-v-1", 1, E));
  power(stand, DOMAIN_START);
  assert_ok(hypervisor_detach(stand->hypervisor, stand->uuid, "ua-v-1", 1, E));
}

static void what_does_not_move_stays_as_it_is(void **state)
{
  Stand *stand = *state;
  Migration how = { .to = "qemu+tls://127.0.0.1:1/system", .coherent = true, .until_us = g_get_monotonic_time() + 60 * G_USEC_PER_SEC };
  define(stand, false);
  if (!can(stand, CAN_MIGRATE)) {
    assert_refused(hypervisor_migrate(stand->hypervisor, stand->uuid, &how, E), REASON_UNSUPPORTED);
    return;
  }
  assert_ok(hypervisor_migrate_stop(stand->hypervisor, "11111111-1111-4111-8111-111111111111", 5, E));
  assert_refused(hypervisor_migrate(stand->hypervisor, "11111111-1111-4111-8111-111111111111", &how, E), REASON_NOT_FOUND);
  assert_refused(hypervisor_migrate(stand->hypervisor, stand->uuid, &how, E), REASON_DOMAIN_STATE);
  power(stand, DOMAIN_START);
  assert_ok(hypervisor_migrate_stop(stand->hypervisor, stand->uuid, 5, E));
  assert_refused(hypervisor_migrate(stand->hypervisor, stand->uuid, &how, E), REASON_MIGRATION_FAILED);
  assert_state(stand, DOMAIN_ON);
  Hypervisor *other = connect_as(stand, other_controller, false);
  assert_refused(hypervisor_migrate(other, stand->uuid, &how, E), REASON_FOREIGN);
  assert_refused(hypervisor_migrate_stop(other, stand->uuid, 5, E), REASON_FOREIGN);
  hypervisor_close(other);
  assert_state(stand, DOMAIN_ON);
}

/* ── closing ────────────────────────────────────────────────────────────── */

static void no_event_comes_after_close(void **state)
{
  Stand *stand = *state;
  Hypervisor *second = connect_as(stand, controller, false);
  define(stand, false);
  hypervisor_close(stand->hypervisor);
  stand->hypervisor = second;
  forget_events(stand);
  power(stand, DOMAIN_START);
  power(stand, DOMAIN_DESTROY);
  assert_int_equal(stand->events->len, 0);
}

char *contract_metadata(const ContractDomain *domain)
{
  return g_strdup_printf("<metadata><sarang:owner xmlns:sarang='" DOMAIN_OWNER_XMLNS "' controller='%s' desktop='d-17' "
                         "generation='%d'/></metadata>", domain->controller, domain->generation);
}

int contract_run(const Contract *contract)
{
#define T(f) cmocka_unit_test_setup_teardown(f, stand_up, stand_down)
  const struct CMUnitTest tests[] = {
    T(host_tells_what_it_is), T(missing_domain_is_not_found_but_off_and_gone), T(defined_domain_is_listed_as_ours_and_off),
    T(define_again_replaces_and_the_list_knows), T(taken_name_is_told_with_its_uuid), T(unusable_xml_is_refused),
    T(host_validates_when_asked), T(power_verbs_promise_end_states), T(verbs_that_make_no_sense_are_refused),
    T(saved_state_is_kept_restored_and_forgotten), T(reset_and_reboot_leave_it_running), T(shutdown_ladder_ends_in_off),
    T(running_domain_is_not_undefined), T(foreign_domain_is_shown_never_changed), T(change_behind_our_back_is_told),
    T(console_takes_a_password_and_tells_its_place), T(picture_is_png_or_ppm), T(agent_answers_or_is_told_missing),
    T(addresses_are_told_by_the_host),
    T(serial_line_is_read_from_its_first_byte), T(no_event_comes_after_close),
    T(devices_are_listed_as_xml), T(mediated_devices_are_ours_by_their_mark_alone), T(plugging_is_for_running_domains),
    T(what_does_not_move_stays_as_it_is),
  };
  running = contract;
  return cmocka_run_group_tests_name(contract->uri, tests, NULL, NULL);
}

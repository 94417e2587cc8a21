#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "drivers/runtime/steps_parts.h"

char *step_uuid(const StepOrder *order)
{
  return desktop_domain_uuid(order->controller, order->desktop->head.name);
}

void step_random(void *bytes, size_t n)
{
  for (size_t done = 0; done < n;) {
    ssize_t got = getrandom((char *)bytes + done, n - done, 0);
    g_assert(got > 0 || errno == EINTR);
    done += got > 0 ? got : 0;
  }
}

GuestPerson step_person(const User *user)
{
  return (GuestPerson){ user->head.name, user->title, user->guest_hash, (const char *const *)user->ssh_keys, user->locale };
}

char *step_password_new(void)
{
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";
  guint8 bits[VNC_PASSWORD_MAX_BYTES];
  char *text = g_malloc0(sizeof bits + 1);
  step_random(bits, sizeof bits);
  for (size_t i = 0; i < sizeof bits; i++)
    text[i] = letters[bits[i] & 63];
  return text;
}

DomainTemplate *step_template(const StepOrder *order, GError **err)
{
  DomainTemplate *t = NULL;
  if (!order->template)
    return error_null(err, REASON_NOT_FOUND, "kind", "template", "name", order->desktop->template, NULL);
  return template_parse(order->template->xml, strlen(order->template->xml), &t, err) ? t : NULL;
}

bool step_reads_serial(const StepOrder *order)
{
  g_autoptr(DomainTemplate) t = step_template(order, NULL);
  return t && t->ready == READY_BY_SERIAL;
}

bool step_listens(const StepOrder *order)
{
  return order->kind == STEP_READY && step_reads_serial(order);
}

/* ── readiness: one look; the runtime looks again until the step's time is over ── */

static bool ready_by_agent(StepRun *run, const DomainTemplate *t, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  GuestDomain where = { run->hypervisor, uuid };
  Guest guest = guest_of_domain(&where, run->order->desktop->head.name, 3 * G_USEC_PER_SEC);
  if (guest_ping(&guest, err))
    return true;
  run->not_yet = true;
  return false;
}

static bool port_answers(const char *address, int port)
{
  g_autoptr(GSocketClient) client = g_socket_client_new();
  g_socket_client_set_timeout(client, 2);
  g_autoptr(GSocketConnection) connection = g_socket_client_connect_to_host(client, address, port, NULL, NULL);
  return connection != NULL;
}

/* At an address that its host knows. *ret_known: how many those are. */
static bool answers_by_host(const StepRun *run, const char *uuid, int port, guint *ret_known)
{
  g_autoptr(GPtrArray) addresses = NULL;
  if (!hypervisor_addresses(run->hypervisor, uuid, &addresses, NULL))
    return false;
  *ret_known += addresses->len;
  for (guint i = 0; i < addresses->len; i++)
    if (port_answers(addresses->pdata[i], port))
      return true;
  return false;
}

/* At an address that the guest names itself, where it has an agent. */
static bool answers_by_agent(const StepRun *run, const char *uuid, int port, guint *ret_known)
{
  GuestDomain where = { run->hypervisor, uuid };
  Guest guest = guest_of_domain(&where, run->order->desktop->head.name, 3 * G_USEC_PER_SEC);
  g_autoptr(GPtrArray) addresses = NULL;
  if (!guest_addresses(&guest, &addresses, NULL))
    return false;
  *ret_known += addresses->len;
  for (guint i = 0; i < addresses->len; i++)
    if (port_answers(((GuestAddress *)addresses->pdata[i])->address, port))
      return true;
  return false;
}

static bool ready_by_tcp(StepRun *run, const DomainTemplate *t, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  guint known = 0;
  if (answers_by_host(run, uuid, t->ready_port, &known) || answers_by_agent(run, uuid, t->ready_port, &known))
    return true;
  run->not_yet = true;
  const char *why = known ? "" : " (neither DHCP nor ARP nor an agent tells an address)";
  g_autofree char *wanted = g_strdup_printf("TCP port %d%s", t->ready_port, why);
  return error_false(err, REASON_NOT_READY, "desktop", run->order->desktop->head.name, "wanted", wanted, NULL);
}

/* A guest that went off while it should come up never will. */
static bool still_on(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(DomainFacts) facts = NULL;
  if (!hypervisor_look(run->hypervisor, uuid, &facts, err))
    return false;
  if (facts->state == DOMAIN_ON)
    return true;
  return error_false(err, REASON_DESKTOP_OFF, "desktop", run->order->desktop->head.name, "state", domain_state_name(facts->state), NULL);
}

/* A line that is open has a domain behind it that is on: as long as nothing was heard there, the host is not asked. */
static bool ready_by_serial(StepRun *run, const DomainTemplate *t, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  SerialText text = { 0 };
  if (!hypervisor_serial(run->hypervisor, uuid, 0, &text, err))
    return false;
  gsize n;
  const char *bytes = g_bytes_get_data(text.text, &n);
  bool found = bytes && memmem(bytes, n, t->ready_line, strlen(t->ready_line)), listening = text.open;
  serial_text_clear(&text);
  if ((found || !listening) && !still_on(run, err))
    return false;
  run->not_yet = !found;
  return found || error_false(err, REASON_NOT_READY, "desktop", run->order->desktop->head.name, "wanted", t->ready_line, NULL);
}

static bool (*const readiness[N_TEMPLATE_READY_KINDS])(StepRun *, const DomainTemplate *, GError **) = {
  [READY_BY_AGENT] = ready_by_agent,
  [READY_BY_TCP] = ready_by_tcp,
  [READY_BY_SERIAL] = ready_by_serial,
};

bool run_ready(StepRun *run, GError **err)
{
  g_autoptr(DomainTemplate) t = step_template(run->order, err);
  if (!t || (t->ready != READY_BY_SERIAL && !still_on(run, err)))
    return false;
  run->result->power = POWER_ON;
  return readiness[t->ready](run, t, err) && (t->screen != SCREEN_BY_GUEST || step_screen_ready(run, t, err));
}

/* ── people ───────────────────────────────────────────────────────────────── */

bool step_meant(const StepRun *run, const char *uuid, GError **err)
{
  const Desktop *d = run->order->desktop;
  g_autoptr(DomainFacts) facts = NULL;
  if (!hypervisor_look(run->hypervisor, uuid, &facts, err))
    return false;
  if (facts->owner.ours && facts->owner.generation == d->clone)
    return true;
  g_autofree char *found = g_strdup_printf("%" G_GINT64_FORMAT, facts->owner.generation);
  g_autofree char *meant = g_strdup_printf("%" G_GINT64_FORMAT, d->clone);
  return error_false(err, REASON_DESKTOP_PASSED_ON, "desktop", d->head.name, "found", found, "meant", meant, NULL);
}

/* A story of many questions may outlast its guest: each is asked of the generation that was meant, or not at all. */
static bool ask_meant(void *owner, const char *json, int timeout_s, char **ret_json, GError **err)
{
  const MeantGuest *meant = owner;
  return step_meant(meant->run, meant->uuid, err) && hypervisor_agent(meant->run->hypervisor, meant->uuid, json, timeout_s, ret_json, err);
}

Guest step_meant_guest(const MeantGuest *meant)
{
  const StepRun *run = meant->run;
  GuestWire wire = { ask_meant, (void *)meant };
  return guest_of_wire(wire, run->order->desktop->head.name, run->deadline_us - g_get_monotonic_time());
}

bool run_personalise(StepRun *run, GError **err)
{
  const User *user = run->order->person;
  if (!user)
    return true; /* root's own session: nobody to make known */
  g_autofree char *uuid = step_uuid(run->order);
  MeantGuest meant = { run, uuid };
  Guest guest = step_meant_guest(&meant);
  GuestPerson person = step_person(user);
  return guest_personalise(&guest, &person, err);
}

/* The guest of this very generation runs, and bears witness that nobody is in it. */
bool run_prove(StepRun *run, GError **err)
{
  const Desktop *d = run->order->desktop;
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(DomainFacts) facts = NULL;
  if (!hypervisor_look(run->hypervisor, uuid, &facts, err))
    return false;
  if (!facts->owner.ours || facts->owner.generation != d->clone || facts->state != DOMAIN_ON)
    return error_false(err, REASON_NO_PROOF, "desktop", d->head.name, NULL);
  MeantGuest meant = { run, uuid };
  Guest guest = step_meant_guest(&meant);
  const char *autologin = run->order->template ? run->order->template->autologin : NULL;
  run->result->clone = facts->owner.generation;
  return guest_prove_no_one(&guest, autologin, &run->result->evidence, err);
}

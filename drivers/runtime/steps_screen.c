/* Screens that are servers in guests: where one is, whether it greets, and the way to it for one connect. What a guest says of its own
 * address is held against what the operator allows, and against the addresses of this machine and of the hosts, before anything is sent
 * there. */
#include "drivers/console/greeting.h"
#include "drivers/console/sockets.h"
#include "drivers/runtime/steps_parts.h"

enum { ADDRESSES_MOST = 8, GREETING_MS = 1500, AGENT_S = 3, TELL_MS = 200 };

static const char *desktop_of(const StepRun *run) { return run->order->desktop->head.name; }

/* ── whose an address may not be ──────────────────────────────────────────── */

static bool uri_names(const char *uri, const GuestAddressBits *bits)
{
  g_autoptr(GUri) parsed = uri ? g_uri_parse(uri, G_URI_FLAGS_NONE, NULL) : NULL;
  GuestAddressBits own;
  return parsed && guest_address_parse(g_uri_get_host(parsed), &own) && guest_address_same(&own, bits);
}

static bool text_names(const char *text, const GuestAddressBits *bits)
{
  GuestAddressBits own;
  return guest_address_parse(text, &own) && guest_address_same(&own, bits);
}

/* By the addresses that hosts are enrolled with: a name is not looked up, which would ask a stranger's server each time. */
static bool is_a_hosts(const GPtrArray *house, const GuestAddressBits *bits)
{
  for (guint i = 0; house && i < house->len; i++) {
    const Host *h = house->pdata[i];
    if (uri_names(h->uri, bits) || text_names(h->console_address, bits) || text_names(h->ssh_address, bits))
      return true;
  }
  return false;
}

static bool may_dial(const StepRun *run, const char *address, GError **err)
{
  GuestAddressBits bits;
  if (!guest_address_check(run->options->guest_networks, desktop_of(run), address, err) || !guest_address_parse(address, &bits))
    return false;
  const char *whose = socket_is_own(&bits) ? "the controller" : is_a_hosts(run->order->house, &bits) ? "a host" : NULL;
  return !whose || error_false(err, REASON_GUEST_ADDRESS_TAKEN, "desktop", desktop_of(run), "address", address, "whose", whose, NULL);
}

/* ── where it is ──────────────────────────────────────────────────────────── */

/* Keeps the first refusal; that of a link-local address, which nearly every guest has, says little where there is another. */
static void address_add(const StepRun *run, const char *address, GPtrArray *allowed, GError **refused)
{
  g_autoptr(GError) why = NULL;
  if (allowed->len >= ADDRESSES_MOST)
    return;
  if (may_dial(run, address, &why)) {
    g_ptr_array_add(allowed, g_strdup(address));
  } else if (!*refused || error_is(*refused, REASON_GUEST_ADDRESS_SPECIAL)) {
    g_clear_error(refused);
    *refused = g_steal_pointer(&why);
  }
}

/* What the host knows of it goes before what the guest says of itself, which is asked only where nothing of that will do. */
static bool addresses_find(const StepRun *run, const char *uuid, GPtrArray *allowed, GError **err)
{
  g_autoptr(GPtrArray) known = NULL, told = NULL;
  g_autoptr(GError) refused = NULL;
  if (hypervisor_addresses(run->hypervisor, uuid, &known, NULL))
    for (guint i = 0; i < known->len; i++)
      address_add(run, known->pdata[i], allowed, &refused);
  if (allowed->len)
    return true;
  GuestDomain where = { run->hypervisor, uuid };
  Guest guest = guest_of_domain(&where, desktop_of(run), AGENT_S * G_USEC_PER_SEC);
  if (guest_addresses(&guest, &told, NULL))
    for (guint i = 0; i < told->len; i++)
      address_add(run, ((GuestAddress *)told->pdata[i])->address, allowed, &refused);
  if (allowed->len)
    return true;
  if (!refused)
    return error_false(err, REASON_GUEST_ADDRESS_UNKNOWN, "desktop", desktop_of(run), NULL);
  g_propagate_error(err, g_steal_pointer(&refused));
  return false;
}

static bool greets(const StepRun *run, const char *address, int port, GError **err)
{
  g_autofree char *why = NULL;
  int64_t deadline_us = MIN(g_get_monotonic_time() + GREETING_MS * 1000, run->deadline_us - TELL_MS * 1000);
  if (greeting_heard(address, port, deadline_us, &why))
    return true;
  g_autofree char *number = g_strdup_printf("%d", port);
  return error_false(err, REASON_GUEST_SCREEN_SILENT, "desktop", desktop_of(run), "address", address, "port", number, "detail", why, NULL);
}

/* The first that greets, borrowed from allowed; NULL with the last one's silence. */
static const char *first_that_greets(const StepRun *run, GPtrArray *allowed, int port, GError **err)
{
  for (guint i = 0; i < allowed->len; i++) {
    g_clear_error(err);
    if (greets(run, allowed->pdata[i], port, err))
      return allowed->pdata[i];
  }
  return NULL;
}

static bool networks_set(const StepRun *run, GError **err)
{
  const GuestNetworks *networks = run->options->guest_networks;
  return (networks && networks->n) || error_false(err, REASON_GUEST_NETWORKS_UNSET, "desktop", desktop_of(run), NULL);
}

bool step_screen_ready(StepRun *run, const DomainTemplate *t, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(GPtrArray) allowed = g_ptr_array_new_with_free_func(g_free);
  if (!networks_set(run, err))
    return false;
  g_autoptr(GError) why = NULL;
  if (addresses_find(run, uuid, allowed, &why) && first_that_greets(run, allowed, t->screen_port, &why))
    return true;
  run->not_yet = true;
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

/* ── the way to it ────────────────────────────────────────────────────────── */

/* With one address the gateway's own connect finds out whether anybody is there. */
static bool screen_find(StepRun *run, const DomainTemplate *t, const char *uuid, GError **err)
{
  g_autoptr(GPtrArray) allowed = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GError) why = NULL;
  const char *address = NULL;
  if (networks_set(run, &why) && addresses_find(run, uuid, allowed, &why))
    address = allowed->len == 1 ? allowed->pdata[0] : first_that_greets(run, allowed, t->screen_port, &why);
  run->result->address = g_strdup(address);
  run->result->port = t->screen_port;
  if (!address)
    g_propagate_error(err, g_steal_pointer(&why));
  return address;
}

bool run_guest_console(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(DomainTemplate) t = step_template(run->order, err);
  if (!t || !step_meant(run, uuid, err) || !screen_find(run, t, uuid, err))
    return false;
  run->result->password = t->screen_key == SCREEN_KEY_BY_AGENT ? step_password_new() : g_strdup("");
  MeantGuest meant = { run, uuid };
  Guest guest = step_meant_guest(&meant);
  return t->screen_key != SCREEN_KEY_BY_AGENT || guest_screen_password(&guest, run->result->password, STEP_PASSWORD_S, err);
}

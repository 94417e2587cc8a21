/* Power verbs: what each does to a domain, once power_next() has said that something is to be done. */
#include <libvirt/virterror.h>

#include "drivers/hypervisor/domain_xml.h"
#include "drivers/hypervisor/libvirt.h"
#include "drivers/hypervisor/power.h"

/* Xen says "shut off" a while before libxl lets go of a domain */
enum { XEN_LETS_GO_US = 10 * 1000 * 1000, XEN_LOOK_US = 250 * 1000 };

typedef bool (*PowerFn)(Libvirt *libvirt, virDomainPtr domain, DomainState state, GError **err);

static bool failed(Libvirt *libvirt, DomainVerb verb, virDomainPtr domain, GError **err)
{
  return libvirt_failed(libvirt, power_rules[verb].what, domain, err);
}

/* ── start ──────────────────────────────────────────────────────────────── */

static int create(Libvirt *libvirt, virDomainPtr domain)
{
  int64_t until_us = g_get_monotonic_time() + XEN_LETS_GO_US;
  bool again = libvirt->base.flavour->kind == FLAVOUR_XEN;
  int result;
  while ((result = virDomainCreate(domain)) < 0 && again && virGetLastErrorCode() == VIR_ERR_OPERATION_INVALID &&
         g_get_monotonic_time() < until_us)
    g_usleep(XEN_LOOK_US);
  return result;
}

/* Started paused, its console opened, then let go: not a byte of its serial line is lost. */
static int create_listening(Libvirt *libvirt, virDomainPtr domain)
{
  if (virDomainCreateWithFlags(domain, VIR_DOMAIN_START_PAUSED) < 0)
    return -1;
  serial_begin(libvirt, domain);
  return virDomainResume(domain);
}

static bool run_start(Libvirt *libvirt, virDomainPtr domain, DomainState state, GError **err)
{
  char uuid[UUID_TEXT_BYTES] = "";
  virDomainGetUUIDString(domain, uuid);
  if (state == DOMAIN_SUSPENDED)
    return virDomainResume(domain) >= 0 || failed(libvirt, DOMAIN_START, domain, err);
  if (state == DOMAIN_CRASHED && virDomainDestroy(domain) < 0)
    return failed(libvirt, DOMAIN_START, domain, err);
  /* a restored guest goes on where it was: there is no first byte */
  bool listen = state != DOMAIN_SAVED && serial_armed(libvirt, uuid);
  int result = listen ? create_listening(libvirt, domain) : create(libvirt, domain);
  return result >= 0 || failed(libvirt, DOMAIN_START, domain, err);
}

/* ── shutdown and reboot ────────────────────────────────────────────────── */

static bool agent_connected(virDomainPtr domain)
{
  DomainXml xml;
  char *text = virDomainGetXMLDesc(domain, 0);
  bool parsed = text && domain_xml_parse(text, NULL, &xml, NULL);
  bool connected = parsed && xml.agent == AGENT_CONNECTED;
  if (parsed)
    domain_xml_clear(&xml);
  free(text);
  return connected;
}

static bool run_shutdown_acpi(Libvirt *libvirt, virDomainPtr domain, DomainState state, GError **err)
{
  unsigned flags = libvirt->base.flavour->kind == FLAVOUR_QEMU ? VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN : 0;
  return virDomainShutdownFlags(domain, flags) >= 0 || failed(libvirt, DOMAIN_SHUTDOWN, domain, err);
}

static bool run_shutdown(Libvirt *libvirt, virDomainPtr domain, DomainState state, GError **err)
{
  bool agent = libvirt->base.flavour->kind == FLAVOUR_QEMU && agent_connected(domain);
  if (agent && virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT) >= 0)
    return true;
  return run_shutdown_acpi(libvirt, domain, state, err);
}

static bool run_reboot(Libvirt *libvirt, virDomainPtr domain, DomainState state, GError **err)
{
  bool is_qemu = libvirt->base.flavour->kind == FLAVOUR_QEMU;
  if (is_qemu && agent_connected(domain) && virDomainReboot(domain, VIR_DOMAIN_REBOOT_GUEST_AGENT) >= 0)
    return true;
  unsigned flags = is_qemu ? VIR_DOMAIN_REBOOT_ACPI_POWER_BTN : 0;
  return virDomainReboot(domain, flags) >= 0 || failed(libvirt, DOMAIN_REBOOT, domain, err);
}

/* ── the others are one call each ───────────────────────────────────────── */

#define ONE_CALL(name, VERB, call) \
  static bool name(Libvirt *libvirt, virDomainPtr domain, DomainState state, GError **err) \
  { \
    return (call) >= 0 || failed(libvirt, VERB, domain, err); \
  }
ONE_CALL(run_reset, DOMAIN_RESET, virDomainReset(domain, 0))
ONE_CALL(run_destroy, DOMAIN_DESTROY, virDomainDestroy(domain))
ONE_CALL(run_suspend, DOMAIN_SUSPEND, virDomainSuspend(domain))
ONE_CALL(run_resume, DOMAIN_RESUME, virDomainResume(domain))
ONE_CALL(run_save, DOMAIN_SAVE, virDomainManagedSave(domain, 0))
ONE_CALL(run_forget_saved, DOMAIN_FORGET_SAVED, virDomainManagedSaveRemove(domain, 0))

static const PowerFn verbs[N_DOMAIN_VERBS] = {
  [DOMAIN_START] = run_start,
  [DOMAIN_SHUTDOWN] = run_shutdown,
  [DOMAIN_SHUTDOWN_ACPI] = run_shutdown_acpi,
  [DOMAIN_REBOOT] = run_reboot,
  [DOMAIN_RESET] = run_reset,
  [DOMAIN_DESTROY] = run_destroy,
  [DOMAIN_SUSPEND] = run_suspend,
  [DOMAIN_RESUME] = run_resume,
  [DOMAIN_SAVE] = run_save,
  [DOMAIN_RESTORE] = run_start,
  [DOMAIN_FORGET_SAVED] = run_forget_saved,
};

static PowerNext next(Libvirt *libvirt, virDomainPtr domain, DomainVerb verb, DomainState *ret_state, GError **err)
{
  bool active;
  if (!domain_state_read(libvirt, domain, ret_state, &active, err))
    return POWER_REFUSED;
  if (*ret_state == DOMAIN_CRASHED && !active)
    *ret_state = DOMAIN_OFF;
  return power_next(verb, *ret_state, virDomainGetName(domain), err);
}

bool libvirt_power(Hypervisor *hypervisor, const char *uuid, DomainVerb verb, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  DomainState state;
  PowerNext step = domain ? next(libvirt, domain, verb, &state, err) : POWER_REFUSED;
  if (step != POWER_ACT)
    return step == POWER_DONE;
  GError *why = NULL;
  if (verbs[verb](libvirt, domain, state, &why))
    return true;
  /* someone else may have been quicker: libvirt calls that an invalid operation, we call it done */
  if (error_is(why, REASON_DOMAIN_STATE) && next(libvirt, domain, verb, &state, NULL) == POWER_DONE) {
    g_error_free(why);
    return true;
  }
  g_propagate_error(err, why);
  return false;
}

/* libvirt's errors, turned into ours here and nowhere else. */
#include <errno.h>
#include <libvirt/virterror.h>
#include <string.h>

#include "drivers/hypervisor/libvirt.h"

/* What a code means wherever it comes from; codes that are not here are HYPERVISOR_REFUSED with libvirt's words. */
static const struct { int code; Reason reason; } code_rows[] = {
  { VIR_ERR_NO_DOMAIN, REASON_NOT_FOUND },
  { VIR_ERR_NO_SUPPORT, REASON_UNSUPPORTED },
  { VIR_ERR_OPERATION_UNSUPPORTED, REASON_UNSUPPORTED },
  { VIR_ERR_ARGUMENT_UNSUPPORTED, REASON_UNSUPPORTED },
  { VIR_ERR_NO_CONNECT, REASON_HOST_UNREACHABLE },
  { VIR_ERR_INVALID_CONN, REASON_HOST_UNREACHABLE },
  { VIR_ERR_AUTH_FAILED, REASON_HYPERVISOR_LOGIN },
  { VIR_ERR_AUTH_CANCELLED, REASON_HYPERVISOR_LOGIN },
  { VIR_ERR_AUTH_UNAVAILABLE, REASON_HYPERVISOR_LOGIN },
  { VIR_ERR_ACCESS_DENIED, REASON_HYPERVISOR_LOGIN },
  { VIR_ERR_AGENT_UNRESPONSIVE, REASON_NO_AGENT },
  { VIR_ERR_AGENT_UNSYNCED, REASON_NO_AGENT },
  { VIR_ERR_OPERATION_TIMEOUT, REASON_TIMEOUT },
  { VIR_ERR_OPERATION_INVALID, REASON_DOMAIN_STATE },
  { VIR_ERR_XML_ERROR, REASON_BAD_DOMAIN_XML },
  { VIR_ERR_XML_DETAIL, REASON_BAD_DOMAIN_XML },
  { VIR_ERR_XML_INVALID_SCHEMA, REASON_BAD_DOMAIN_XML },
  { VIR_ERR_CONFIG_UNSUPPORTED, REASON_BAD_DOMAIN_XML },
  { VIR_ERR_OS_TYPE, REASON_BAD_DOMAIN_XML },
};

/* What libvirt and QEMU have words for, but no code. */
static const struct { const char *words; Reason reason; } word_rows[] = {
  { "Failed to get \"write\" lock", REASON_DISK_IN_USE },
  { "Failed to get shared \"write\" lock", REASON_DISK_IN_USE },
  { "unable to execute QEMU agent command", REASON_AGENT_REFUSED },
  { "QEMU guest agent is not configured", REASON_NO_AGENT },
  { "End of file from agent socket", REASON_NO_AGENT },
  { "Active console session exists", REASON_SERIAL_BUSY },
};

static Reason reason_of(const virError *error)
{
  for (size_t i = 0; i < G_N_ELEMENTS(word_rows); i++)
    if (error->message && strstr(error->message, word_rows[i].words))
      return word_rows[i].reason;
  for (size_t i = 0; i < G_N_ELEMENTS(code_rows); i++)
    if (code_rows[i].code == error->code)
      return code_rows[i].reason;
  /* errors of the remote side keep their own domain: these two are of the wire between us */
  if (error->domain == VIR_FROM_RPC || error->domain == VIR_FROM_REMOTE)
    return REASON_HOST_UNREACHABLE;
  return REASON_HYPERVISOR_REFUSED;
}

/* Every reason takes the arguments it knows and leaves the others. */
static void set(GError **err, Reason reason, const char *host, const char *what, const char *domain, const char *detail)
{
  error_set(err, reason, "host", host, "what", what, "domain", domain ? domain : "", "detail", detail, "state", detail,
            "command", what, "kind", "domain", "name", domain ? domain : "", "by", "the host", "limit", "its time", NULL);
}

static bool failed(const Libvirt *libvirt, const char *what, virDomainPtr domain, const char *uuid, GError **err)
{
  virErrorPtr error = virSaveLastError();
  const char *name = domain ? virDomainGetName(domain) : uuid;
  Reason reason = error && error->code ? reason_of(error) : REASON_HYPERVISOR_REFUSED;
  if (link_lost(libvirt->link) || (reason == REASON_HYPERVISOR_REFUSED && virConnectIsAlive(libvirt->conn) == 0))
    reason = REASON_HOST_UNREACHABLE;
  set(err, reason, libvirt->base.host, what, name, error && error->message ? error->message : "it did not say why");
  virFreeError(error);
  return false;
}

bool libvirt_failed(const Libvirt *libvirt, const char *what, virDomainPtr domain, GError **err)
{
  return failed(libvirt, what, domain, NULL, err);
}

bool libvirt_find_failed(const Libvirt *libvirt, const char *uuid, GError **err)
{
  return failed(libvirt, "find", NULL, uuid, err);
}

/* What was read is a file that the URI names: libvirt quotes its lines, and whoever sees the host would read them. */
static bool quotes_a_file(const virError *error)
{
  return error->code == VIR_ERR_XML_ERROR || error->code == VIR_ERR_XML_DETAIL || error->code == VIR_ERR_XML_INVALID_SCHEMA;
}

static const char *open_words(const virError *error)
{
  if (!error || !error->message)
    return "it did not say why";
  return quotes_a_file(error) ? "the file that its URI names is not the XML that libvirt asks for there" : error->message;
}

bool libvirt_open_failed(const char *host, GError **err)
{
  const virError *error = virGetLastError();
  Reason reason = error ? reason_of(error) : REASON_HOST_UNREACHABLE;
  bool refused_by_kernel = error && error->code == VIR_ERR_SYSTEM_ERROR && (error->int1 == EACCES || error->int1 == EPERM);
  if (refused_by_kernel)
    reason = REASON_HYPERVISOR_LOGIN;
  else if (reason != REASON_HYPERVISOR_LOGIN)
    reason = REASON_HOST_UNREACHABLE;
  set(err, reason, host, "open", NULL, open_words(error));
  return false;
}

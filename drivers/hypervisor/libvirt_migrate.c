/* Live migration: from libvirtd to libvirtd, started by one call that returns at the end. Beside it a thread looks how far it is, and gives it up
 * when its time is over. */
#include <libvirt/virterror.h>
#include <string.h>

#include "drivers/hypervisor/domain_xml.h"
#include "drivers/hypervisor/libvirt.h"

enum { LOOK_US = 300 * 1000, STOP_LOOK_US = 100 * 1000 };

/* ── how far it is ────────────────────────────────────────────────────────── */

/* A job away from here; *ret_pct may be NULL. */
static bool under_way(virDomainPtr domain, int *ret_pct)
{
  virDomainJobInfo info = { 0 };
  if (virDomainGetJobInfo(domain, &info) < 0 || (info.type != VIR_DOMAIN_JOB_UNBOUNDED && info.type != VIR_DOMAIN_JOB_BOUNDED))
    return false;
  if (ret_pct)
    *ret_pct = info.dataTotal ? (int)MIN(99, info.dataProcessed * 100 / info.dataTotal) : 0;
  return true;
}

typedef struct {
  virDomainPtr domain;
  const Migration *how;
  GMutex lock;
  GCond changed;
  bool over;             /* behind lock */
  bool given_up;         /* its time was over; read when the thread has ended */
} Watch;

static void watch_look(Watch *w)
{
  int pct = 0;
  if (!w->given_up && g_get_monotonic_time() >= w->how->until_us)
    w->given_up = virDomainAbortJob(w->domain) >= 0;
  else if (under_way(w->domain, &pct) && w->how->progress)
    w->how->progress(pct, w->how->data);
}

static void *watch_main(void *data)
{
  Watch *w = data;
  g_mutex_lock(&w->lock);
  while (!w->over) {
    if (g_cond_wait_until(&w->changed, &w->lock, g_get_monotonic_time() + LOOK_US))
      continue;
    g_mutex_unlock(&w->lock);
    watch_look(w);
    g_mutex_lock(&w->lock);
  }
  g_mutex_unlock(&w->lock);
  return NULL;
}

/* ── what it is told ──────────────────────────────────────────────────────── */

typedef struct {
  virTypedParameterPtr list;
  int n, max;
} Parameters;

static void parameters_clear(Parameters *p) { virTypedParamsFree(p->list, p->n); }
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parameters, parameters_clear)

/* The domain with the address of its screens over there, as it runs or as it is defined; NULL with libvirt's error in place. */
static char *xml_over_there(virDomainPtr domain, unsigned flags, const char *listen)
{
  char *xml = virDomainGetXMLDesc(domain, flags | VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE);
  char *changed = xml ? domain_xml_listen(xml, listen) : NULL;
  if (xml)
    explicit_bzero(xml, strlen(xml));
  free(xml);
  return changed;
}

static bool add_xml(Parameters *p, virDomainPtr domain, const char *name, unsigned flags, const char *listen)
{
  char *xml = xml_over_there(domain, flags, listen);
  bool ok = xml && virTypedParamsAddString(&p->list, &p->n, &p->max, name, xml) >= 0;
  if (xml)
    explicit_bzero(xml, strlen(xml));
  g_free(xml);
  return ok;
}

static bool parameters_make(virDomainPtr domain, const Migration *how, Parameters *p)
{
  if (how->most_mib_s && virTypedParamsAddULLong(&p->list, &p->n, &p->max, VIR_MIGRATE_PARAM_BANDWIDTH, (unsigned long long)how->most_mib_s) < 0)
    return false;
  return !how->listen || (add_xml(p, domain, VIR_MIGRATE_PARAM_DEST_XML, 0, how->listen) &&
                          add_xml(p, domain, VIR_MIGRATE_PARAM_PERSIST_XML, VIR_DOMAIN_XML_INACTIVE, how->listen));
}

/* Never VIR_MIGRATE_POSTCOPY: a guest whose memory is on two hosts dies with either. */
static unsigned flags_of(const Migration *how)
{
  unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE |
                   VIR_MIGRATE_AUTO_CONVERGE | VIR_MIGRATE_ABORT_ON_ERROR;
  return flags | (how->tunnel ? VIR_MIGRATE_TUNNELLED : 0) | (!how->tunnel && how->tls ? VIR_MIGRATE_TLS : 0) |
         (how->coherent ? VIR_MIGRATE_UNSAFE : 0);
}

/* ── how it ended ─────────────────────────────────────────────────────────── */

static bool stopped(Libvirt *libvirt, const char *uuid, GError **err)
{
  return error_false(err, REASON_MIGRATION_STOPPED, "domain", uuid, "host", libvirt->base.host, NULL);
}

/* The words of the other side come by the same codes as ours: only where our own connection is gone is this host out of reach. */
static bool migrate_failed(Libvirt *libvirt, const char *uuid, const Watch *w, const virError *error, GError **err)
{
  int code = error ? error->code : 0;
  const char *words = error && error->message ? error->message : "it did not say why";
  if (link_lost(libvirt->link) || virConnectIsAlive(libvirt->conn) != 1)
    return error_false(err, REASON_HOST_UNREACHABLE, "host", libvirt->base.host, "detail", words, NULL);
  if (w->given_up || code == VIR_ERR_OPERATION_ABORTED)
    return stopped(libvirt, uuid, err);
  if (code == VIR_ERR_NO_DOMAIN)
    return error_false(err, REASON_NOT_FOUND, "kind", "domain", "name", uuid, NULL);
  Reason reason = code == VIR_ERR_MIGRATE_UNSAFE ? REASON_MIGRATION_UNSAFE : REASON_MIGRATION_FAILED;
  return error_false(err, reason, "domain", uuid, "host", libvirt->base.host, "to", w->how->to, "detail", words, NULL);
}

static bool migrate(Libvirt *libvirt, virDomainPtr domain, const char *uuid, const Migration *how, GError **err)
{
  Watch w = { .domain = domain, .how = how };
  g_auto(Parameters) p = { 0 };
  if (how->downtime_ms)
    virDomainMigrateSetMaxDowntime(domain, (unsigned long long)how->downtime_ms, 0); /* a host that cannot yet keeps its own */
  if (!parameters_make(domain, how, &p))
    return libvirt_failed(libvirt, "describe", domain, err);
  g_mutex_init(&w.lock);
  g_cond_init(&w.changed);
  GThread *watcher = g_thread_new("migration", watch_main, &w);
  int result = virDomainMigrateToURI3(domain, how->to, p.list, (unsigned)p.n, flags_of(how));
  virErrorPtr error = result < 0 ? virSaveLastError() : NULL;
  g_mutex_lock(&w.lock);
  w.over = true;
  g_cond_signal(&w.changed);
  g_mutex_unlock(&w.lock);
  g_thread_join(watcher);
  g_cond_clear(&w.changed);
  g_mutex_clear(&w.lock);
  bool ok = result >= 0 || migrate_failed(libvirt, uuid, &w, error, err);
  virFreeError(error);
  return ok;
}

/* One that somebody began who is not there any more. */
static bool await(Libvirt *libvirt, virDomainPtr domain, const char *uuid, const Migration *how, GError **err)
{
  while (under_way(domain, NULL) && g_get_monotonic_time() < how->until_us)
    g_usleep(LOOK_US);
  if (under_way(domain, NULL))
    return libvirt_migrate_stop(&libvirt->base, uuid, 30, err) && stopped(libvirt, uuid, err);
  int active = virDomainIsActive(domain);
  if (active < 0 && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
    return libvirt_failed(libvirt, "tell the state of", domain, err);
  return active <= 0 || error_false(err, REASON_MIGRATION_FAILED, "domain", uuid, "host", libvirt->base.host, "to", how->to, "detail",
                                    "it came back from an earlier try", NULL);
}

bool libvirt_migrate(Hypervisor *hypervisor, const char *uuid, const Migration *how, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  DomainState state;
  bool active;
  if (!domain)
    return false;
  if (under_way(domain, NULL))
    return await(libvirt, domain, uuid, how, err);
  if (!domain_state_read(libvirt, domain, &state, &active, err))
    return false;
  if (state != DOMAIN_ON && state != DOMAIN_SUSPENDED)
    return error_false(err, REASON_DOMAIN_STATE, "what", "migrate", "domain", virDomainGetName(domain), "state", domain_state_name(state), NULL);
  return migrate(libvirt, domain, uuid, how, err);
}

bool libvirt_migrate_stop(Hypervisor *hypervisor, const char *uuid, int timeout_s, GError **err)
{
  Libvirt *libvirt = (Libvirt *)hypervisor;
  g_autoptr(virDomain) domain = domain_find(libvirt, uuid, err);
  int64_t until_us = g_get_monotonic_time() + timeout_s * G_USEC_PER_SEC;
  if (!domain)
    return false;
  while (under_way(domain, NULL)) {
    virDomainAbortJob(domain); /* too late where it is about to end: then that is waited for */
    if (g_get_monotonic_time() >= until_us)
      return error_false(err, REASON_TIMEOUT, "what", "the end of a migration", "limit", "its time", NULL);
    g_usleep(STOP_LOOK_US);
  }
  return true;
}

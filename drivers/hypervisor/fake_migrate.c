/* The fake driver: domains that go from one host in memory to another, and what may go wrong on the way. Two hosts are never locked at once. */
#include <string.h>

#include "drivers/hypervisor/fake_world.h"

enum { SLICE_US = 5 * 1000 };

ENUM_DEFINE(FakeMigration, fake_migration, FAKE_MIGRATIONS, N_FAKE_MIGRATIONS)

/* One that is under way. */
typedef struct {
  FakeConnection *from;
  FakeHost *to;
  const char *uuid;
  const Migration *how;
  FakeMigration way;
  int64_t began_us;
} Trip;

static bool trip_failed(const Trip *trip, const char *detail, GError **err)
{
  return error_false(err, REASON_MIGRATION_FAILED, "domain", trip->uuid, "host", trip->from->host->name, "to", trip->how->to, "detail", detail, NULL);
}

/* ── over there ───────────────────────────────────────────────────────────── */

static FakeDomain *half_of(const FakeDomain *domain)
{
  FakeDomain *half = g_new0(FakeDomain, 1);
  *half = *domain;
  half->name = g_strdup(domain->name);
  half->desktop = g_strdup(domain->desktop);
  half->guest = NULL;
  half->devices = half->defined = NULL;
  half->lease = g_strdup(domain->lease);
  half->told = g_strdup(domain->told);
  half->leaving = half->stop = false;
  half->transient = true; /* its definition comes with the end */
  half->state = DOMAIN_SUSPENDED;
  return half;
}

/* The paused half, made of the domain as it is here. */
static bool half_put(Trip *trip, FakeDomain *take_half, GError **err)
{
  pthread_mutex_lock(&trip->to->lock);
  FakeDomain *there = fake_domain_find(trip->to, trip->uuid);
  const char *why = trip->to->dead ? "no route to host" : there && fake_is_active(there) ? "it is active there already" : NULL;
  if (!why && there)
    fake_domain_remove(trip->to, there);
  if (!why) {
    if (take_half->controller)
      take_half->controller = g_string_chunk_insert_const(trip->to->texts, take_half->controller);
    take_half->port = (uint16_t)(5900 + trip->to->port++ % 50000);
    fake_domain_add(trip->to, take_half);
  } else {
    fake_domain_free(take_half);
  }
  pthread_mutex_unlock(&trip->to->lock);
  return !why || trip_failed(trip, why, err);
}

static void half_drop(Trip *trip)
{
  pthread_mutex_lock(&trip->to->lock);
  FakeDomain *half = fake_domain_find(trip->to, trip->uuid);
  if (half && half->state == DOMAIN_SUSPENDED)
    fake_domain_remove(trip->to, half);
  pthread_mutex_unlock(&trip->to->lock);
}

static void half_wake(Trip *trip, DomainState state, FakeGuest *take_guest, bool booted)
{
  pthread_mutex_lock(&trip->to->lock);
  FakeDomain *half = fake_domain_find(trip->to, trip->uuid);
  if (half) {
    half->guest = take_guest;
    half->transient = false;
    fake_domain_set(trip->to, half, state);
    half->booted = booted;
    fake_state_domain(trip->to, half);
  } else {
    fake_guest_free(take_guest);
  }
  pthread_mutex_unlock(&trip->to->lock);
}

/* ── here ─────────────────────────────────────────────────────────────────── */

/* Why it does not go on; NULL = it does. */
static const char *trip_ends(const Trip *trip, FakeDomain *domain, bool *ret_stopped)
{
  *ret_stopped = domain && (domain->stop || g_get_monotonic_time() >= trip->how->until_us);
  if (trip->from->host->dead || trip->from->lost)
    return "the connection is gone";
  if (!domain || !fake_is_active(domain))
    return "the domain has ended";
  if (*ret_stopped)
    return "stopped";
  int64_t half_us = trip->from->host->parameters.migrate_ms * INT64_C(500);
  bool fails = trip->way == MIGRATES_HALFWAY || trip->way == MIGRATES_LEFT;
  return fails && g_get_monotonic_time() - trip->began_us >= half_us ? "end of file from the other side" : NULL;
}

static bool to_is_dead(FakeHost *to)
{
  pthread_mutex_lock(&to->lock);
  bool dead = to->dead;
  pthread_mutex_unlock(&to->lock);
  return dead;
}

static bool ended(const Trip *trip, const char *why, bool stopped, GError **err)
{
  if (!strcmp(why, "the connection is gone"))
    return error_false(err, REASON_HOST_UNREACHABLE, "host", trip->from->host->name, "detail", why, NULL);
  if (stopped)
    return error_false(err, REASON_MIGRATION_STOPPED, "domain", trip->uuid, "host", trip->from->host->name, NULL);
  return trip_failed(trip, why, err);
}

/* Until all of its memory is over there. */
static bool travel(Trip *trip, GError **err)
{
  FakeHost *from = trip->from->host;
  int64_t whole_us = MAX(from->parameters.migrate_ms * INT64_C(1000), 1);
  for (;;) {
    bool stopped;
    pthread_mutex_lock(&from->lock);
    const char *why = trip_ends(trip, fake_domain_find(from, trip->uuid), &stopped);
    pthread_mutex_unlock(&from->lock);
    if (!why && to_is_dead(trip->to))
      why = "the other side does not answer";
    if (why)
      return ended(trip, why, stopped, err);
    int64_t gone_us = g_get_monotonic_time() - trip->began_us;
    if (trip->way != MIGRATES_ENDLESS && trip->way != MIGRATES_HALFWAY && trip->way != MIGRATES_LEFT && gone_us >= whole_us)
      return true;
    if (trip->how->progress)
      trip->how->progress((int)MIN(99, gone_us * 100 / whole_us), trip->how->data);
    g_usleep(SLICE_US);
  }
}

/* From here on it is there alone. */
static bool arrive(Trip *trip, GError **err)
{
  FakeHost *from = trip->from->host;
  pthread_mutex_lock(&from->lock);
  FakeDomain *domain = fake_domain_find(from, trip->uuid);
  if (!domain || !fake_is_active(domain)) {
    pthread_mutex_unlock(&from->lock);
    return trip_failed(trip, "the domain has ended", err);
  }
  FakeGuest *guest = g_steal_pointer(&domain->guest);
  DomainState state = domain->state;
  bool booted = domain->booted;
  fake_domain_remove(from, domain);
  if (trip->way == MIGRATES_UNHEARD)
    fake_host_lose(from, "libvirtd closed the connection");
  pthread_mutex_unlock(&from->lock);
  half_wake(trip, state, guest, booted);
  return trip->way != MIGRATES_UNHEARD ||
         error_false(err, REASON_HOST_UNREACHABLE, "host", from->name, "detail", "the connection is gone", NULL);
}

static FakeMigration way_take(FakeHost *from)
{
  if (!from->ways)
    return MIGRATES_WELL;
  from->ways -= from->ways > 0;
  return from->way;
}

static void leaving_end(const Trip *trip)
{
  FakeHost *from = trip->from->host;
  pthread_mutex_lock(&from->lock);
  FakeDomain *domain = fake_domain_find(from, trip->uuid);
  if (domain)
    domain->leaving = domain->stop = false;
  pthread_cond_broadcast(&from->changed);
  pthread_mutex_unlock(&from->lock);
}

/* Somebody's migration of it from before: its end is waited for. */
static bool await_other(Trip *trip, GError **err)
{
  FakeHost *from = trip->from->host;
  for (;;) {
    pthread_mutex_lock(&from->lock);
    FakeDomain *domain = fake_domain_find(from, trip->uuid);
    bool lost = from->dead || trip->from->lost, leaving = domain && domain->leaving;
    pthread_mutex_unlock(&from->lock);
    if (lost)
      return ended(trip, "the connection is gone", false, err);
    if (!leaving)
      return !domain || trip_failed(trip, "it came back from an earlier try", err);
    if (g_get_monotonic_time() >= trip->how->until_us)
      return fake_migrate_stop(&trip->from->base, trip->uuid, 1, err) && ended(trip, "stopped", true, err);
    g_usleep(SLICE_US);
  }
}

bool fake_migrate(Hypervisor *hypervisor, const char *uuid, const Migration *how, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_MIGRATE, err);
  if (!domain)
    return false;
  FakeHost *to = g_str_has_prefix(how->to, "fake:") ? fake_host_find(how->to + strlen("fake:")) : NULL;
  Trip trip = { connection, to, uuid, how, MIGRATES_WELL, g_get_monotonic_time() };
  if (domain->leaving) {
    fake_leave(connection->host, true);
    return await_other(&trip, err);
  }
  if (!fake_is_active(domain))
    return fake_leave(connection->host, error_false(err, REASON_DOMAIN_STATE, "what", "migrate", "domain", domain->name, "state",
                                                    domain_state_name(domain->state), NULL));
  if (!to)
    return fake_leave(connection->host, trip_failed(&trip, "there is no such host", err));
  trip.way = way_take(connection->host);
  domain->leaving = true;
  FakeDomain *half = half_of(domain);
  fake_leave(connection->host, true);
  bool ok = half_put(&trip, half, err);
  if (ok && !travel(&trip, err)) {
    ok = false;
    if (trip.way != MIGRATES_LEFT)
      half_drop(&trip);
  }
  ok = ok && arrive(&trip, err);
  leaving_end(&trip);
  return ok;
}

bool fake_migrate_stop(Hypervisor *hypervisor, const char *uuid, int timeout_s, GError **err)
{
  FakeConnection *connection = (FakeConnection *)hypervisor;
  FakeDomain *domain = fake_enter_domain(connection, uuid, FAKE_MIGRATE_STOP, err);
  if (!domain)
    return false;
  domain->stop = domain->leaving;
  fake_leave(connection->host, true);
  int64_t until_us = g_get_monotonic_time() + timeout_s * G_USEC_PER_SEC;
  for (bool leaving = true; leaving;) {
    pthread_mutex_lock(&connection->host->lock);
    domain = fake_domain_find(connection->host, uuid);
    leaving = domain && domain->leaving;
    pthread_mutex_unlock(&connection->host->lock);
    if (leaving && g_get_monotonic_time() > until_us)
      return error_false(err, REASON_TIMEOUT, "what", "the end of a migration", "limit", "its time", NULL);
    if (leaving)
      g_usleep(SLICE_US);
  }
  return true;
}

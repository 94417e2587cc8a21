/* Hosts, domains, and the thread that lets time pass: it boots guests, switches them off and brings events, as libvirt's event
 * thread would. */
#include "drivers/hypervisor/fake_world.h"

#include <string.h>
#include <unistd.h>

ENUM_DEFINE(FakeCall, fake_call, FAKE_CALLS, N_FAKE_CALLS)

enum { CONTROL_LOOK_US = 20 * 1000, FIRST_PORT = 5900, PORTS = 50000, RING_MAX_BYTES = 64 << 10 };

/* What is to happen to a host's domain, or to its connections. */
typedef enum { TIMER_CHANGED, TIMER_DEVICES, TIMER_BOOTED, TIMER_OFF, TIMER_SERIAL, TIMER_LOST } TimerKind;

typedef struct {
  int64_t due_us, order;       /* what is due at one time happens in order */
  TimerKind kind;
  FakeHost *host;
  uint8_t uuid[16];
  uint32_t run;
  FakeConnection *connection;  /* SERIAL, LOST: a reference */
  const char *detail;          /* static */
} Timer;

static pthread_mutex_t world_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *hosts; /* name → FakeHost; world_lock is taken before any other */
static bool any_control;

static pthread_mutex_t time_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t time_changed;
static GArray *timers; /* a binary heap of Timer, earliest first */
static int64_t timer_order;
static bool firing; /* a timer was taken and is not done */

/* ── timers ─────────────────────────────────────────────────────────────── */

static bool earlier(guint a, guint b)
{
  const Timer *x = &g_array_index(timers, Timer, a), *y = &g_array_index(timers, Timer, b);
  return x->due_us != y->due_us ? x->due_us < y->due_us : x->order < y->order;
}

static void swap(guint a, guint b)
{
  Timer timer = g_array_index(timers, Timer, a);
  g_array_index(timers, Timer, a) = g_array_index(timers, Timer, b);
  g_array_index(timers, Timer, b) = timer;
}

static void timer_add(Timer timer, int64_t in_us)
{
  timer.due_us = g_get_monotonic_time() + in_us;
  pthread_mutex_lock(&time_lock);
  timer.order = timer_order++;
  g_array_append_val(timers, timer);
  for (guint i = timers->len - 1; i && earlier(i, (i - 1) / 2); i = (i - 1) / 2)
    swap(i, (i - 1) / 2);
  pthread_cond_signal(&time_changed);
  pthread_mutex_unlock(&time_lock);
}

/* Takes the earliest; called with time_lock held, on a heap that is not empty. */
static Timer timer_take(void)
{
  Timer first = g_array_index(timers, Timer, 0);
  swap(0, timers->len - 1);
  g_array_set_size(timers, timers->len - 1);
  for (guint i = 0;;) {
    guint least = i;
    for (guint child = 2 * i + 1; child <= 2 * i + 2 && child < timers->len; child++)
      if (earlier(child, least))
        least = child;
    if (least == i)
      return first;
    swap(i, least);
    i = least;
  }
}

static void domain_timer(FakeHost *host, const FakeDomain *domain, TimerKind kind, int in_ms)
{
  Timer timer = { .kind = kind, .host = host, .run = domain->runs };
  memcpy(timer.uuid, domain->uuid, sizeof timer.uuid);
  timer_add(timer, in_ms * INT64_C(1000));
}

/* ── events ─────────────────────────────────────────────────────────────── */

static void uuid_text(const uint8_t uuid[16], char ret_text[UUID_TEXT_BYTES])
{
  static const char digits[] = "0123456789abcdef";
  for (int i = 0, at = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      ret_text[at++] = '-';
    ret_text[at++] = digits[uuid[i] >> 4];
    ret_text[at++] = digits[uuid[i] & 15];
  }
  ret_text[UUID_TEXT_BYTES - 1] = 0;
}

static void tell(FakeConnection *connection, HypervisorEventKind kind, const uint8_t uuid[16], const char *detail)
{
  HypervisorEvent event = { .kind = kind, .detail = detail };
  if (kind != HYPERVISOR_LOST && kind != HYPERVISOR_DEVICES_CHANGED)
    uuid_text(uuid, event.uuid);
  pthread_mutex_lock(&connection->sink_lock);
  if (!connection->closed && connection->base.sink.event)
    connection->base.sink.event(connection->base.sink.owner, &event);
  pthread_mutex_unlock(&connection->sink_lock);
}

static void tell_all(FakeHost *host, HypervisorEventKind kind, const uint8_t uuid[16])
{
  g_autoptr(GPtrArray) all = g_ptr_array_new();
  pthread_mutex_lock(&host->lock);
  for (guint i = 0; i < host->connections->len; i++) {
    FakeConnection *connection = host->connections->pdata[i];
    if (connection->domain_events && !connection->lost)
      g_ptr_array_add(all, fake_connection_ref(connection));
  }
  pthread_mutex_unlock(&host->lock);
  for (guint i = 0; i < all->len; i++)
    tell(all->pdata[i], kind, uuid, NULL);
  pthread_mutex_lock(&host->lock);
  for (guint i = 0; i < all->len; i++)
    fake_connection_unref(all->pdata[i]);
  pthread_mutex_unlock(&host->lock);
}

/* ── time passes ────────────────────────────────────────────────────────── */

static void booted(FakeHost *host, FakeDomain *domain)
{
  domain->booted = true;
  fake_domain_write(host, domain, host->parameters.ready);
  fake_domain_changed(host, domain);
}

static void fire_domain(const Timer *timer)
{
  char text[UUID_TEXT_BYTES];
  uuid_text(timer->uuid, text);
  pthread_mutex_lock(&timer->host->lock);
  FakeDomain *domain = fake_domain_find(timer->host, text);
  bool this_run = domain && domain->runs == timer->run && domain->state == DOMAIN_ON;
  if (this_run && timer->kind == TIMER_BOOTED)
    booted(timer->host, domain);
  else if (this_run && timer->kind == TIMER_OFF)
    fake_domain_set(timer->host, domain, DOMAIN_OFF);
  pthread_mutex_unlock(&timer->host->lock);
}

static void fire_connection(const Timer *timer)
{
  bool lost = timer->kind == TIMER_LOST;
  tell(timer->connection, lost ? HYPERVISOR_LOST : HYPERVISOR_SERIAL, timer->uuid, timer->detail);
  pthread_mutex_lock(&timer->host->lock);
  fake_connection_unref(timer->connection);
  pthread_mutex_unlock(&timer->host->lock);
}

static void fire(const Timer *timer)
{
  if (!timer->host)
    return;
  switch (timer->kind) {
  case TIMER_CHANGED:
    tell_all(timer->host, HYPERVISOR_DOMAIN_CHANGED, timer->uuid);
    return;
  case TIMER_DEVICES:
    tell_all(timer->host, HYPERVISOR_DEVICES_CHANGED, timer->uuid);
    return;
  case TIMER_BOOTED:
  case TIMER_OFF:
    fire_domain(timer);
    return;
  case TIMER_SERIAL:
  case TIMER_LOST:
    fire_connection(timer);
    return;
  }
}

static void control_poll_all(void)
{
  GHashTableIter iter;
  void *host;
  pthread_mutex_lock(&world_lock);
  g_hash_table_iter_init(&iter, hosts);
  while (g_hash_table_iter_next(&iter, NULL, &host))
    fake_control_poll(host);
  pthread_mutex_unlock(&world_lock);
}

/* Waits for the next timer, at most for as long as control files may go unread. Called with time_lock held. */
static void wait_next(void)
{
  int64_t until_us = timers->len ? g_array_index(timers, Timer, 0).due_us : INT64_MAX;
  if (__atomic_load_n(&any_control, __ATOMIC_RELAXED))
    until_us = MIN(until_us, g_get_monotonic_time() + CONTROL_LOOK_US);
  if (until_us == INT64_MAX) {
    pthread_cond_wait(&time_changed, &time_lock);
    return;
  }
  struct timespec until = { until_us / G_USEC_PER_SEC, until_us % G_USEC_PER_SEC * 1000 };
  pthread_cond_timedwait(&time_changed, &time_lock, &until);
}

static void *run(void *unused)
{
  pthread_mutex_lock(&time_lock);
  for (;;) {
    bool due = timers->len && g_array_index(timers, Timer, 0).due_us <= g_get_monotonic_time();
    if (!due)
      wait_next();
    Timer timer = due ? timer_take() : (Timer){ 0 };
    firing = due;
    pthread_mutex_unlock(&time_lock);
    if (due)
      fire(&timer);
    else if (__atomic_load_n(&any_control, __ATOMIC_RELAXED))
      control_poll_all();
    pthread_mutex_lock(&time_lock);
    firing = false;
  }
  return NULL;
}

static void world_start(void)
{
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&time_changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  hosts = g_hash_table_new(g_str_hash, g_str_equal);
  timers = g_array_new(FALSE, FALSE, sizeof(Timer));
  pthread_t thread;
  g_assert(!pthread_create(&thread, NULL, run, NULL));
  pthread_setname_np(thread, "fake-events");
  pthread_detach(thread);
}

/* ── hosts ──────────────────────────────────────────────────────────────── */

static guint uuid_hash(const void *domain)
{
  guint words[4];
  memcpy(words, ((const FakeDomain *)domain)->uuid, sizeof words);
  return ((words[0] * 31 + words[1]) * 31 + words[2]) * 31 + words[3];
}

static gboolean uuid_equal(const void *a, const void *b)
{
  return !memcmp(((const FakeDomain *)a)->uuid, ((const FakeDomain *)b)->uuid, 16);
}

static guint name_hash(const void *domain) { return g_str_hash(((const FakeDomain *)domain)->name); }

static gboolean name_equal(const void *a, const void *b)
{
  return !strcmp(((const FakeDomain *)a)->name, ((const FakeDomain *)b)->name);
}

static FakeHost *host_new(const char *name)
{
  FakeHost *host = g_new0(FakeHost, 1);
  host->name = g_strdup(name);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_mutex_init(&host->lock, NULL);
  pthread_cond_init(&host->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  host->domains = g_hash_table_new_full(uuid_hash, uuid_equal, (GDestroyNotify)fake_domain_free, NULL);
  host->names = g_hash_table_new(name_hash, name_equal);
  host->texts = g_string_chunk_new(256);
  host->connections = g_ptr_array_new();
  host->state_fd = -1;
  return host;
}

static void host_free(FakeHost *host)
{
  g_hash_table_unref(host->names);
  g_hash_table_unref(host->domains);
  g_string_chunk_free(host->texts);
  g_ptr_array_unref(host->connections);
  fake_parameters_clear(&host->parameters);
  if (host->state_fd >= 0)
    close(host->state_fd);
  pthread_mutex_destroy(&host->lock);
  pthread_cond_destroy(&host->changed);
  g_free(host->name);
  g_free(host);
}

static FakeHost *host_get(const char *name, bool make)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, world_start);
  pthread_mutex_lock(&world_lock);
  FakeHost *host = g_hash_table_lookup(hosts, name);
  if (!host && make) {
    host = host_new(name);
    g_hash_table_insert(hosts, host->name, host);
  }
  pthread_mutex_unlock(&world_lock);
  return host;
}

FakeHost *fake_host(const char *name) { return host_get(name, true); }
FakeHost *fake_host_find(const char *name) { return host_get(name, false); }

void fake_control_watch(void)
{
  pthread_mutex_lock(&time_lock);
  __atomic_store_n(&any_control, true, __ATOMIC_RELAXED);
  pthread_cond_signal(&time_changed);
  pthread_mutex_unlock(&time_lock);
}

/* Makes host's timers mean nothing. Those of connections are due at once: they are waited for. */
static void timers_drop(const FakeHost *host)
{
  for (bool wait = true; wait;) {
    pthread_mutex_lock(&time_lock);
    wait = firing;
    for (guint i = 0; i < timers->len; i++) {
      Timer *timer = &g_array_index(timers, Timer, i);
      wait |= timer->host == host && timer->connection;
      if (timer->host == host && !timer->connection)
        timer->host = NULL;
    }
    pthread_mutex_unlock(&time_lock);
    if (wait)
      g_usleep(100);
  }
}

void fake_forget(void)
{
  if (!hosts)
    return;
  pthread_mutex_lock(&world_lock);
  GHashTableIter iter;
  void *each;
  g_hash_table_iter_init(&iter, hosts);
  while (g_hash_table_iter_next(&iter, NULL, &each)) {
    FakeHost *host = each;
    pthread_mutex_lock(&host->lock);
    bool used = host->connections->len;
    pthread_mutex_unlock(&host->lock);
    if (used)
      continue;
    g_hash_table_iter_remove(&iter);
    timers_drop(host);
    host_free(host);
  }
  pthread_mutex_unlock(&world_lock);
}

/* ── connections ────────────────────────────────────────────────────────── */

FakeConnection *fake_connection_ref(FakeConnection *connection)
{
  connection->refs++;
  return connection;
}

void fake_connection_unref(FakeConnection *connection)
{
  if (--connection->refs)
    return;
  g_hash_table_unref(connection->serials);
  pthread_mutex_destroy(&connection->sink_lock);
  g_free(connection->base.host);
  g_free(connection->base.controller);
  g_free(connection);
}

void fake_host_lose(FakeHost *host, const char *why)
{
  for (guint i = 0; i < host->connections->len; i++) {
    FakeConnection *connection = host->connections->pdata[i];
    if (connection->lost)
      continue;
    connection->lost = true;
    timer_add((Timer){ .kind = TIMER_LOST, .host = host, .connection = fake_connection_ref(connection), .detail = why }, 0);
  }
  pthread_cond_broadcast(&host->changed);
}

/* ── domains ────────────────────────────────────────────────────────────── */

void fake_domain_uuid(const FakeDomain *domain, char ret_text[UUID_TEXT_BYTES])
{
  uuid_text(domain->uuid, ret_text);
}

void fake_domain_free(FakeDomain *domain)
{
  fake_guest_free(domain->guest);
  g_free(domain->name);
  g_free(domain->desktop);
  g_strfreev(domain->devices);
  g_free(domain->lease);
  g_free(domain->told);
  g_strfreev(domain->defined);
  g_free(domain);
}

void fake_uuid_parse(const char *text, uint8_t ret_uuid[16])
{
  memset(ret_uuid, 0, 16);
  for (int nibble = 0; *text && nibble < 32; text++)
    if (*text != '-') {
      ret_uuid[nibble / 2] |= (uint8_t)(g_ascii_xdigit_value(*text) << (nibble % 2 ? 0 : 4));
      nibble++;
    }
}

FakeDomain *fake_domain_find(FakeHost *host, const char *uuid)
{
  FakeDomain wanted;
  fake_uuid_parse(uuid, wanted.uuid);
  return g_hash_table_lookup(host->domains, &wanted);
}

FakeDomain *fake_domain_find_any(FakeHost *host, const char *name_or_uuid)
{
  FakeDomain wanted = { .name = (char *)name_or_uuid };
  FakeDomain *domain = g_hash_table_lookup(host->names, &wanted);
  return domain || !g_uuid_string_is_valid(name_or_uuid) ? domain : fake_domain_find(host, name_or_uuid);
}

void fake_domain_changed(FakeHost *host, const FakeDomain *domain)
{
  for (guint i = 0; !host->mute && i < host->connections->len; i++)
    if (((FakeConnection *)host->connections->pdata[i])->domain_events) {
      domain_timer(host, domain, TIMER_CHANGED, 0);
      return;
    }
}

void fake_devices_changed(FakeHost *host)
{
  timer_add((Timer){ .kind = TIMER_DEVICES, .host = host }, 0);
}

void fake_domain_add(FakeHost *host, FakeDomain *domain)
{
  g_hash_table_add(host->domains, domain);
  g_hash_table_add(host->names, domain);
  host->running += fake_is_active(domain);
  fake_state_domain(host, domain);
  fake_domain_changed(host, domain);
}

void fake_domain_remove(FakeHost *host, FakeDomain *domain)
{
  host->running -= fake_is_active(domain);
  fake_state_gone(host, domain);
  fake_domain_changed(host, domain);
  g_hash_table_remove(host->names, domain);
  g_hash_table_remove(host->domains, domain);
}

void fake_domain_set(FakeHost *host, FakeDomain *domain, DomainState state)
{
  host->running -= fake_is_active(domain);
  domain->state = state;
  host->running += fake_is_active(domain);
  if (state == DOMAIN_OFF || state == DOMAIN_CRASHED)
    domain->booted = false;
  if (!fake_is_active(domain))
    fake_devices_let_go(host, domain);
  fake_state_domain(host, domain);
  fake_domain_changed(host, domain);
}

/* A run begins: from the outside what was on the serial line is over. */
void fake_domain_restart(FakeHost *host, FakeDomain *domain)
{
  g_autofree char *line = g_strdup_printf("micro boot %u", ++domain->runs);
  domain->booted = false;
  if (domain->guest)
    fake_guest_boot(domain->guest);
  fake_domain_write(host, domain, line);
  domain_timer(host, domain, TIMER_BOOTED, host->parameters.boot_ms);
  fake_domain_set(host, domain, DOMAIN_ON);
}

void fake_domain_start(FakeHost *host, FakeDomain *domain)
{
  char uuid[UUID_TEXT_BYTES];
  fake_domain_uuid(domain, uuid);
  for (guint i = 0; i < host->connections->len; i++) {
    FakeConnection *connection = host->connections->pdata[i];
    FakeSerial *serial = g_hash_table_lookup(connection->serials, uuid);
    if (!serial)
      continue;
    g_byte_array_set_size(serial->ring, 0);
    serial->start = 0;
    serial->told = false;
  }
  domain->port = (uint16_t)(FIRST_PORT + host->port++ % PORTS);
  fake_domain_restart(host, domain);
}

void fake_domain_ask_off(FakeHost *host, FakeDomain *domain)
{
  if (!domain->deaf)
    domain_timer(host, domain, TIMER_OFF, host->parameters.shutdown_ms);
}

static void serial_add(FakeConnection *connection, FakeSerial *serial, const uint8_t uuid[16], const char *text)
{
  g_byte_array_append(serial->ring, (const guint8 *)text, strlen(text));
  if (serial->ring->len > RING_MAX_BYTES) {
    guint surplus = serial->ring->len - RING_MAX_BYTES;
    g_byte_array_remove_range(serial->ring, 0, surplus);
    serial->start += surplus;
  }
  if (serial->told || connection->lost)
    return;
  serial->told = true;
  Timer timer = { .kind = TIMER_SERIAL, .host = connection->host, .connection = fake_connection_ref(connection) };
  memcpy(timer.uuid, uuid, sizeof timer.uuid);
  timer_add(timer, 0);
}

void fake_domain_write(FakeHost *host, FakeDomain *domain, const char *line)
{
  if (!domain->has_serial)
    return;
  char uuid[UUID_TEXT_BYTES];
  g_autofree char *text = g_strconcat(line, "\r\n", NULL);
  fake_domain_uuid(domain, uuid);
  for (guint i = 0; i < host->connections->len; i++) {
    FakeConnection *connection = host->connections->pdata[i];
    FakeSerial *serial = g_hash_table_lookup(connection->serials, uuid);
    if (serial)
      serial_add(connection, serial, domain->uuid, text);
  }
}

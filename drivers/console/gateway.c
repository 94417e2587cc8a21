#include "drivers/console/gateway.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "core/log.h"
#include "drivers/console/front.h"
#include "drivers/console/listener.h"
#include "drivers/console/sync.h"

enum { LISTENERS_MAX = 8, LANES_DEFAULT_MAX = 4, ACCEPTS_A_ROUND = 64, TELL_AT_END_US = 2 * G_USEC_PER_SEC };

/* A loop, its thread and its connections. */
typedef struct {
  Front front;
  Gateway *gateway;
  GThread *thread;
  Deadline check, consoles_end;
  int64_t empty_since_us;
} Lane;

typedef struct {
  Source source;
  Gateway *gateway;
} Listener;

struct Gateway {
  const GatewayConfig *config;
  Shared shared;
  Origins *origins;
  Listener listeners[LISTENERS_MAX];
  int n_listeners, n_lanes, next_lane, spare_fd;
  char **addresses;
  Lane *lanes;
  Sync *sync;
  GMutex lock;
  GCond ended;
  int running; /* lanes; under lock */
};

/* ── accepting ── */

typedef struct {
  Lane *lane;
  int fd;
  Address address;
} Arrival;

static void arrival_run(void *data)
{
  Arrival *a = data;
  conn_new(&a->lane->front, a->fd, &a->address);
  g_free(a);
}

static void arrive(Gateway *g, int fd, const struct sockaddr_storage *peer)
{
  Address address = address_of(peer);
  if (!addresses_enter(g->shared.addresses, &address)) {
    log_warning("gateway", "a connection over the limit was closed", "client", address.text);
    close(fd);
    return;
  }
  Lane *lane = &g->lanes[g->next_lane++ % g->n_lanes];
  if (lane == g->lanes) {
    conn_new(&lane->front, fd, &address);
    return;
  }
  Arrival *a = g_new0(Arrival, 1);
  *a = (Arrival){ lane, fd, address };
  loop_post(lane->front.loop, arrival_run, a);
}

/* Without a descriptor left the queue would stay full and the loop would spin: the one kept in reserve takes the next one out, to
 * be closed. */
static void shed(Gateway *g, int listener)
{
  log_warning("gateway", "no file descriptor is left; a connection was closed");
  close(g->spare_fd);
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0)
    close(fd);
  g->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void listener_ready(Source *source, uint32_t events)
{
  Listener *listener = (Listener *)source;
  for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    int fd = accept4(source->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
      arrive(listener->gateway, fd, &peer);
    else if (errno == EMFILE || errno == ENFILE)
      shed(listener->gateway, source->fd);
    else if (errno != EINTR && errno != ECONNABORTED)
      return;
  }
}

static bool listeners_open(Gateway *g, GError **err)
{
  g_autoptr(GStrvBuilder) addresses = g_strv_builder_new();
  for (char **text = g->config->listen; *text && g->n_listeners < LISTENERS_MAX; text++) {
    g_autofree char *real = NULL;
    g_autoptr(GError) why = NULL;
    int fd = listener_open(*text, g->config->plain, &real, &why);
    /* a machine without IPv6 is no reason not to serve, where we were to listen on any address */
    bool no_ipv6 = fd < 0 && g_str_has_prefix(*text, "[::]:") && g->n_listeners && error_is(why, REASON_LISTEN_FAILED);
    if (no_ipv6) {
      log_warning("gateway", why->message);
      continue;
    }
    if (fd < 0) {
      g_propagate_error(err, g_steal_pointer(&why));
      return false;
    }
    g->listeners[g->n_listeners++] = (Listener){ { fd, listener_ready }, g };
    g_strv_builder_add(addresses, real);
  }
  g->addresses = g_strv_builder_end(addresses);
  return true;
}

/* ── certificate and files ── */

typedef struct {
  Lane *lane;
  Tls *tls;
  Files *files;
} Fresh;

static void fresh_run(void *data)
{
  Fresh *fresh = data;
  Front *f = &fresh->lane->front;
  tls_unref(f->tls);
  files_unref(f->files);
  f->tls = fresh->tls;
  f->files = fresh->files;
  g_free(fresh);
}

static bool tls_open(Gateway *g, Tls **ret, GError **err)
{
  const GatewayConfig *c = g->config;
  if (c->plain)
    return true;
  if (!c->self_signed && (!c->certificate || !c->key))
    return error_false(err, REASON_MISSING_FIELD, "field", c->certificate ? "tls.key" : "tls.certificate", NULL);
  if (!c->self_signed)
    return (*ret = tls_load(c->certificate, c->key, err)) != NULL;
  g_autofree char *certificate = g_build_filename(c->state_dir, "gateway-certificate.pem", NULL);
  g_autofree char *key = g_build_filename(c->state_dir, "gateway-key.pem", NULL);
  if (g_mkdir_with_parents(c->state_dir, 0700) < 0)
    return error_false(err, REASON_IO, "action", "make", "path", c->state_dir, "detail", g_strerror(errno), NULL);
  return tls_ensure_self_signed(certificate, key, origins_names(g->origins), err) &&
         (*ret = tls_load(certificate, key, err)) != NULL;
}

static bool fresh_load(Gateway *g, Tls **ret_tls, Files **ret_files, GError **err)
{
  g_autoptr(Tls) tls = NULL;
  if (!tls_open(g, &tls, err))
    return false;
  *ret_files = files_load(g->config->static_dir, err);
  if (!*ret_files)
    return false;
  *ret_tls = g_steal_pointer(&tls);
  return true;
}

bool gateway_reload(Gateway *g, GError **err)
{
  g_autoptr(Tls) tls = NULL;
  g_autoptr(Files) files = NULL;
  if (!fresh_load(g, &tls, &files, err))
    return false;
  for (int i = 0; i < g->n_lanes; i++) {
    Fresh *fresh = g_new0(Fresh, 1);
    *fresh = (Fresh){ &g->lanes[i], tls ? tls_ref(tls) : NULL, files_ref(files) };
    loop_post(g->lanes[i].front.loop, fresh_run, fresh);
  }
  return true;
}

/* ── lanes ── */

static void *lane_main(void *data)
{
  Lane *lane = data;
  Gateway *g = lane->gateway;
  loop_run(lane->front.loop);
  while (lane->front.conns)
    conn_close(lane->front.conns);
  g_mutex_lock(&g->lock);
  g->running--;
  g_cond_broadcast(&g->ended);
  g_mutex_unlock(&g->lock);
  return NULL;
}

static int running(Gateway *g)
{
  g_mutex_lock(&g->lock);
  int n = g->running;
  g_mutex_unlock(&g->lock);
  return n;
}

/* The first lane also speaks with the controller: it waits for the others, and until their last words were told. */
static bool lane_may_end(Lane *lane)
{
  Gateway *g = lane->gateway;
  int64_t now_us = loop_now_us(lane->front.loop);
  if (lane->front.conns)
    return false;
  if (lane != g->lanes)
    return true;
  if (running(g) > 1)
    return false;
  if (!lane->empty_since_us)
    lane->empty_since_us = now_us;
  return !registry_has_news(g->shared.registry) || now_us - lane->empty_since_us > TELL_AT_END_US;
}

static void lane_check(Deadline *deadline)
{
  Lane *lane = (Lane *)((char *)deadline - offsetof(Lane, check));
  front_stop(&lane->front, false);
  if (lane_may_end(lane))
    loop_stop(lane->front.loop);
  else
    deadline_set(lane->front.loop, &lane->check, TIMER_SOON);
}

static void lane_consoles_end(Deadline *deadline)
{
  Lane *lane = (Lane *)((char *)deadline - offsetof(Lane, consoles_end));
  front_stop(&lane->front, true);
}

static void lane_stop(void *data)
{
  Lane *lane = data;
  Gateway *g = lane->gateway;
  for (int i = 0; lane == g->lanes && i < g->n_listeners; i++)
    loop_close(lane->front.loop, &g->listeners[i].source);
  deadline_set(lane->front.loop, &lane->check, TIMER_SOON);
  deadline_set(lane->front.loop, &lane->consoles_end, TIMER_STOP);
}

void gateway_stop(Gateway *g)
{
  for (int i = 0; i < g->n_lanes; i++)
    loop_post(g->lanes[i].front.loop, lane_stop, &g->lanes[i]);
}

bool gateway_wait(Gateway *g, int64_t until_us)
{
  g_mutex_lock(&g->lock);
  while (g->running && g_cond_wait_until(&g->ended, &g->lock, until_us))
    ;
  bool ended = !g->running;
  g_mutex_unlock(&g->lock);
  return ended;
}

/* ── beginning and end ── */

static void durations_fill(const GatewayConfig *c, int64_t us[N_LOOP_TIMERS])
{
  const int64_t seconds[N_LOOP_TIMERS] = {
    [TIMER_HANDSHAKE] = c->handshake_s,
    [TIMER_HEAD] = c->head_s,
    [TIMER_BODY] = c->body_s,
    [TIMER_KEEP_ALIVE] = c->keep_alive_s,
    [TIMER_PROGRESS] = c->progress_s,
    [TIMER_DIAL] = c->dial_s,
    [TIMER_ANSWER] = c->answer_s,
    [TIMER_CALL] = c->call_s,
    [TIMER_CLOSE] = 1,
    [TIMER_SYNC] = 1,
    [TIMER_STOP] = c->stop_s,
  };
  for (int i = 0; i < N_LOOP_TIMERS; i++)
    us[i] = seconds[i] * G_USEC_PER_SEC;
  us[TIMER_SOON] = 20000;
}

static void news_tell(void *owner)
{
  Gateway *g = owner;
  if (g->sync)
    sync_poke(g->sync);
}

static bool shared_open(Gateway *g, GError **err)
{
  const GatewayConfig *c = g->config;
  g_auto(GStrv) own = listener_default_origins((const char *const *)g->addresses, c->plain);
  g->origins = origins_new((const char *const *)(*c->origins ? c->origins : own), err);
  RegistryConfig registry = { c->relays, c->relays_per_user, news_tell, relay_cut, g };
  /* a share of a quarter, in which one body always has room; behind a proxy all come from one address */
  int64_t bodies = c->bodies_mib << 20, share = MAX(bodies / 4, c->body_kib << 10);
  AddressLimits limits = { .all = c->connections, .each = c->connections_per_address, .all_bytes = bodies,
                           .each_bytes = c->connections_per_address ? share : 0 };
  g->shared = (Shared){ .config = c, .origins = g->origins, .registry = registry_new(&registry),
                        .addresses = addresses_new(&limits) };
  return g->origins;
}

static bool lanes_open(Gateway *g, GError **err)
{
  int64_t durations_us[N_LOOP_TIMERS];
  g_autoptr(Tls) tls = NULL;
  g_autoptr(Files) files = NULL;
  durations_fill(g->config, durations_us);
  if (!fresh_load(g, &tls, &files, err))
    return false;
  int n = g->config->threads ? (int)g->config->threads : MIN((int)g_get_num_processors(), LANES_DEFAULT_MAX);
  g->lanes = g_new0(Lane, n);
  for (; g->n_lanes < n; g->n_lanes++) {
    Lane *lane = &g->lanes[g->n_lanes];
    lane->gateway = g;
    lane->check.passed = lane_check;
    lane->consoles_end.passed = lane_consoles_end;
    lane->front.loop = loop_new(durations_us);
    if (!lane->front.loop)
      return error_false(err, REASON_IO, "action", "open", "path", "epoll", "detail", g_strerror(errno), NULL);
    lane->front.shared = &g->shared;
    lane->front.tls = tls ? tls_ref(tls) : NULL;
    lane->front.files = files_ref(files);
  }
  return true;
}

static void begin(Gateway *g)
{
  uint64_t random;
  g_autofree char *threads = g_strdup_printf("%d", g->n_lanes);
  g_autofree char *files = g_strdup_printf("%d", files_count(g->lanes[0].front.files));
  gnutls_rnd(GNUTLS_RND_NONCE, &random, sizeof random);
  g_autofree char *id = g_strdup_printf("g-%016" G_GINT64_MODIFIER "x", random);
  g->sync = sync_new(g->lanes[0].front.loop, g->shared.registry, g->config->socket, id);
  for (int i = 0; i < g->n_listeners; i++)
    loop_watch_level(g->lanes[0].front.loop, &g->listeners[i].source, EPOLLIN);
  g->running = g->n_lanes;
  for (int i = 0; i < g->n_lanes; i++)
    g->lanes[i].thread = g_thread_new("lane", lane_main, &g->lanes[i]);
  g_autofree char *addresses = g_strjoinv(" ", g->addresses);
  g_autofree char *origins = g_strjoinv(" ", (char **)origins_texts(g->origins));
  log_info("gateway", "listening", "address", addresses, "origins", origins, "id", id, "threads", threads, "files", files);
}

Gateway *gateway_new(const GatewayConfig *config, GError **err)
{
  g_autoptr(Gateway) g = g_new0(Gateway, 1);
  g->config = config;
  g_mutex_init(&g->lock);
  g_cond_init(&g->ended);
  query_init();
  g->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (!listeners_open(g, err) || !shared_open(g, err) || !lanes_open(g, err))
    return NULL;
  begin(g);
  return g_steal_pointer(&g);
}

static void lanes_free(Gateway *g)
{
  for (int i = 0; i < g->n_lanes; i++)
    if (g->lanes[i].thread)
      loop_stop(g->lanes[i].front.loop);
  for (int i = 0; i < g->n_lanes; i++)
    if (g->lanes[i].thread)
      g_thread_join(g->lanes[i].thread);
  for (int i = 0; i < g->n_listeners; i++)
    if (g->listeners[i].source.fd >= 0)
      close(g->listeners[i].source.fd);
  g_clear_pointer(&g->sync, sync_free);
  for (int i = 0; i < g->n_lanes; i++) {
    tls_unref(g->lanes[i].front.tls);
    files_unref(g->lanes[i].front.files);
    loop_free(g->lanes[i].front.loop);
  }
  g_free(g->lanes);
}

void gateway_free(Gateway *g)
{
  if (!g)
    return;
  lanes_free(g);
  registry_free(g->shared.registry);
  addresses_free(g->shared.addresses);
  origins_free(g->origins);
  g_strfreev(g->addresses);
  if (g->spare_fd >= 0)
    close(g->spare_fd);
  g_mutex_clear(&g->lock);
  g_cond_clear(&g->ended);
  g_free(g);
}

#include "drivers/http/server.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"
#include "drivers/http/exchange.h"
#include "drivers/http/history.h"
#include "drivers/http/openapi.h"
#include "drivers/http/watch.h"

enum { PASSWORDS_AT_ONCE = 2, READS_AT_ONCE = 2, BACKLOG = 256, POOL_BYTES = 20480 };

/* ── sockets ──────────────────────────────────────────────────────────────── */

static bool io_error(GError **err, const char *action, const char *path)
{
  return error_false(err, REASON_IO, "action", action, "path", path, "detail", g_strerror(errno), NULL);
}

static bool address_of(const char *path, struct sockaddr_un *ret, GError **err)
{
  *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
  if (g_strlcpy(ret->sun_path, path, sizeof ret->sun_path) < sizeof ret->sun_path)
    return true;
  return error_false(err, REASON_BAD_VALUE, "field", "socket", "value", path, "limit", "at most 107 bytes", NULL);
}

/* A socket that nobody listens on any more is in the way; anything else stays. */
static bool remove_stale(const char *path, const struct sockaddr_un *address, GError **err)
{
  struct stat about;
  if (lstat(path, &about))
    return errno == ENOENT || io_error(err, "look at", path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool stale = S_ISSOCK(about.st_mode) && fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) &&
               errno == ECONNREFUSED;
  if (fd >= 0)
    close(fd);
  if (!stale)
    return error_false(err, REASON_EXISTS, "kind", "socket", "name", path, NULL);
  return !unlink(path) || io_error(err, "remove", path);
}

/* Made for its owner alone, then opened to the group: there is no moment at which it is open to more. */
static bool listen_at(int fd, const char *path, gid_t group, GError **err)
{
  struct sockaddr_un address;
  if (!address_of(path, &address, err) || !remove_stale(path, &address, err))
    return false;
  if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)&address, sizeof address))
    return io_error(err, "bind", path);
  bool for_group = group != (gid_t)-1;
  if ((for_group && (chown(path, (uid_t)-1, group) || chmod(path, 0660))) || listen(fd, BACKLOG)) {
    io_error(err, "listen at", path);
    unlink(path);
    return false;
  }
  return true;
}

static int socket_open(const char *path, gid_t group, GError **err)
{
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    io_error(err, "open", path);
  else if (listen_at(fd, path, group, err))
    return fd;
  if (fd >= 0)
    close(fd);
  return -1;
}

/* ── doors ────────────────────────────────────────────────────────────────── */

static void G_GNUC_PRINTF(2, 0) on_log(void *data, const char *format, va_list args)
{
  g_autofree char *line = g_strdup_vprintf(format, args);
  log_debug("http", g_strchomp(line));
}

/* Paths and arguments are decoded where they are understood, once. */
static size_t on_unescape(void *data, struct MHD_Connection *connection, char *text) { return strlen(text); }

static bool door_open(Door *door, gid_t group, GError **err)
{
  const HttpConfig *config = &door->server->config;
  int fd = socket_open(door->path, group, err);
  if (fd < 0)
    return false;
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  door->daemon = MHD_start_daemon(
      flags, 0, NULL, NULL, exchange_on_request, door,
      MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
      MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_THREAD_POOL_SIZE, (unsigned)config->http_threads,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->http_connections,
      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->http_idle_s,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES,
      MHD_OPTION_STRICT_FOR_CLIENT, 0, /* head.c is stricter, and says why */
      MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL,
      MHD_OPTION_URI_LOG_CALLBACK, exchange_on_uri, door,
      MHD_OPTION_NOTIFY_COMPLETED, exchange_on_done, door,
      MHD_OPTION_NOTIFY_CONNECTION, link_on_change, door,
      MHD_OPTION_END);
  if (door->daemon)
    return true;
  close(fd);
  unlink(door->path);
  return error_false(err, REASON_INTERNAL, "detail", "libmicrohttpd does not start", NULL);
}

/* The socket's path goes first: a new sarangd can take its place, nobody else comes in, and who was just coming in is told that sarangd stops.
   Not MHD_quiesce_daemon(): it and the library's own threads take the listening socket out of epoll at the same time, and who comes second aborts. */
static void door_shut(Door *door)
{
  if (door->daemon)
    unlink(door->path);
}

static void door_close(Door *door)
{
  if (door->daemon)
    MHD_stop_daemon(door->daemon);
  g_free(door->path);
}

/* ── the server ───────────────────────────────────────────────────────────── */

static gid_t group_of(const char *name)
{
  gid_t group = peer_group_find(name);
  if (name && group == (gid_t)-1)
    log_warning("http", "there is no such group: its socket is root's alone", "group", name);
  return group;
}

static bool server_start(Server *server, GError **err)
{
  const HttpConfig *config = &server->config;
  server->hub = watch_hub_new(server, err);
  if (!server->hub)
    return false;
  server->clock = g_thread_new("http-clock", link_clock_run, server);
  server->doors[DOOR_LOCAL] = (Door){ .server = server, .kind = DOOR_LOCAL, .path = g_strdup(config->http_socket) };
  server->doors[DOOR_GATEWAY] = (Door){ .server = server, .kind = DOOR_GATEWAY, .path = g_strdup(config->http_gateway_socket) };
  return door_open(&server->doors[DOOR_LOCAL], server->group, err) &&
         door_open(&server->doors[DOOR_GATEWAY], group_of(config->http_gateway_group), err);
}

Server *server_open(const HttpConfig *config, Runtime *runtime, GError **err)
{
  if (sodium_init() < 0)
    return error_null(err, REASON_INTERNAL, "detail", "libsodium does not start", NULL);
  Server *server = g_new0(Server, 1);
  server->config = *config;
  server->runtime = runtime;
  server->group = group_of(config->http_group);
  server->started_us = g_get_monotonic_time();
  server->throttle = throttle_new();
  server->openapi = openapi_new();
  server->idle_readers = g_async_queue_new();
  server->passwords = g_thread_pool_new(exchange_work_run, NULL, PASSWORDS_AT_ONCE, FALSE, NULL);
  server->readers = g_thread_pool_new(exchange_work_run, NULL, READS_AT_ONCE, FALSE, NULL);
  server->links = g_hash_table_new_full(NULL, NULL, g_free, NULL);
  server->uses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  server->gateways = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  g_mutex_init(&server->mutex);
  g_cond_init(&server->changed);
  if (server_start(server, err))
    return server;
  server_close(server);
  return NULL;
}

/* Returns when everything under way was answered and no connection is suspended: libmicrohttpd must not be stopped before. */
static void server_settle(Server *server)
{
  g_mutex_lock(&server->mutex);
  server->stopping = true;
  g_atomic_int_set(&server->leaving, 1);
  if (server->clock)
    watch_hub_wake(server->hub);
  while (server->waiting || (server->clock && !server->watches_ended))
    g_cond_wait(&server->changed, &server->mutex);
  g_mutex_unlock(&server->mutex);
}

static void server_end_clock(Server *server)
{
  if (!server->clock)
    return;
  g_atomic_int_set(&server->left, 1);
  watch_hub_wake(server->hub);
  g_thread_join(server->clock);
}

void server_close(Server *server)
{
  if (!server)
    return;
  for (DoorKind d = 0; d < N_DOORS; d++)
    door_shut(&server->doors[d]);
  server_settle(server);
  for (DoorKind d = 0; d < N_DOORS; d++)
    door_close(&server->doors[d]);
  server_end_clock(server);
  watch_hub_free(server->hub);
  g_thread_pool_free(server->passwords, FALSE, TRUE);
  g_thread_pool_free(server->readers, FALSE, TRUE);
  history_close(server);
  g_async_queue_unref(server->idle_readers);
  throttle_free(server->throttle);
  g_string_free(server->openapi, TRUE);
  g_hash_table_unref(server->links);
  g_hash_table_unref(server->uses);
  g_hash_table_unref(server->gateways);
  g_mutex_clear(&server->mutex);
  g_cond_clear(&server->changed);
  g_free(server);
}

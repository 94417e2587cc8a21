/* Connections, and the thread that cuts those which are late. libmicrohttpd's own time-out begins anew with every byte, so one
 * byte a minute would keep a connection for ever. */
#include <sys/socket.h>

#include "drivers/http/exchange.h"
#include "drivers/http/watch.h"

void link_set_deadline(Link *link, int64_t seconds)
{
  link->deadline_us = seconds ? g_get_monotonic_time() + seconds * G_USEC_PER_SEC : 0;
}

static Link *link_new(Door *door, struct MHD_Connection *connection)
{
  Link *link = g_new0(Link, 1);
  link->door = door;
  link->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  if (door->kind == DOOR_LOCAL)
    link->has_peer = peer_get(link->fd, door->server->group, &link->peer);
  link_set_deadline(link, door->server->config.http_head_s);
  return link;
}

void link_on_change(void *data, struct MHD_Connection *connection, void **slot, enum MHD_ConnectionNotificationCode code)
{
  Door *door = data;
  Server *server = door->server;
  Link *link = code == MHD_CONNECTION_NOTIFY_STARTED ? link_new(door, connection) : *slot;
  g_mutex_lock(&server->mutex);
  if (code == MHD_CONNECTION_NOTIFY_STARTED)
    g_hash_table_add(server->links, link);
  else
    g_hash_table_remove(server->links, link); /* frees it */
  g_mutex_unlock(&server->mutex);
  *slot = code == MHD_CONNECTION_NOTIFY_STARTED ? link : NULL;
}

static void links_cut_late(Server *server)
{
  int64_t now_us = g_get_monotonic_time();
  GHashTableIter i;
  void *key;
  g_mutex_lock(&server->mutex);
  g_hash_table_iter_init(&i, server->links);
  while (g_hash_table_iter_next(&i, &key, NULL)) {
    Link *link = key;
    if (link->deadline_us && link->deadline_us < now_us)
      shutdown(link->fd, SHUT_RDWR);
  }
  g_mutex_unlock(&server->mutex);
}

/* Only then no connection waits for news any more. */
static void end_watches(Server *server)
{
  watch_hub_end(server->hub);
  g_mutex_lock(&server->mutex);
  server->watches_ended = true;
  g_cond_broadcast(&server->changed);
  g_mutex_unlock(&server->mutex);
}

void *link_clock_run(void *data)
{
  enum { TURN_MS = 500 };
  Server *server = data;
  int64_t look_us = 0;
  while (!g_atomic_int_get(&server->left)) {
    bool leaving = g_atomic_int_get(&server->leaving);
    watch_hub_turn(server->hub, leaving && !server->watches_ended ? 0 : TURN_MS);
    if (leaving && !server->watches_ended)
      end_watches(server);
    if (g_get_monotonic_time() < look_us)
      continue;
    look_us = g_get_monotonic_time() + TURN_MS * 1000;
    links_cut_late(server);
  }
  watch_hub_turn(server->hub, 0);
  return NULL;
}

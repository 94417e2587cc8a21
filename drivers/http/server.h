/* The API over HTTP/JSON, on two unix sockets. On the local one the kernel says who calls: root and one group are administrators.
 * On the gateway's one peer credentials grant nothing: people come by cookie or token, and only there the gateway's own verbs are
 * taken. Rows of core/api.def are the routes.
 *
 * Reads come from what is published; changes are given to the runtime and answered when they are durable; no thread of the server
 * waits for the brain. */
#pragma once

#include "core/config.h"
#include "drivers/runtime/runtime.h"

/* Rows for the daemon's own table of options; they make HttpConfig too. */
#define HTTP_OPTIONS(X) \
  X(http_socket, PATH, "http", "socket", 1, 100, "/run/sarang/sarangd.sock", "", \
    "socket of the API for root and the administrators' group") \
  X(http_group, TEXT, "http", "group", 1, 32, "sarang", "", \
    "group whose members are administrators on that socket; root always is") \
  X(http_gateway_socket, PATH, "http", "gateway_socket", 1, 100, "/run/sarang/gateway.sock", "", \
    "socket of the API for sarang-gateway: people come by cookie or token") \
  X(http_gateway_group, TEXT, "http", "gateway_group", 1, 32, "sarang-gateway", "", "group that may open the gateway's socket") \
  X(http_threads, INT, "http", "threads", 1, 64, "2", "threads", "threads that serve each socket") \
  X(http_connections, INT, "http", "connections", 8, 65536, "1024", "connections", "open connections a socket takes") \
  X(http_watchers, INT, "http", "watchers", 1, 16384, "256", "streams", "streams of changes that may be open at a time") \
  X(http_watcher_bytes, INT, "http", "watcher_bytes", 65536, 67108864, "1048576", "bytes", \
    "unread changes after which a slow stream is cut") \
  X(http_watch_beat_s, INT, "http", "watch_beat_s", 1, 300, "15", "seconds", \
    "between signs of life on a stream of changes; at each one it is asked whether its login still holds") \
  X(http_head_s, INT, "http", "head_s", 1, 600, "10", "seconds", "until the head of a request must be there") \
  X(http_body_s, INT, "http", "body_s", 1, 600, "30", "seconds", \
    "until the body of a request must be there, and its answer taken") \
  X(http_idle_s, INT, "http", "idle_s", 1, 3600, "75", "seconds", "that a connection may be idle") \
  X(http_logins, INT, "http", "logins", 1, 1024, "32", "requests", \
    "passwords that may wait for one of the two threads that check them") \
  X(http_backups, PATH, "backup", "directory", 1, 4000, NULL, "", \
    "where backups may be written that are asked for over the network; unset: backups in the state directory")

typedef struct {
  HTTP_OPTIONS(CONFIG_MEMBER_)
} HttpConfig;

/* HttpConfig out of the daemon's own struct, in a function where config points to that. The texts stay the daemon's. */
#define HTTP_OPTION_TAKE_(member, ...) .member = config->member,
#define HTTP_CONFIG_OF_CONFIG() ((HttpConfig){ HTTP_OPTIONS(HTTP_OPTION_TAKE_) })

typedef struct Server Server;

/* Makes both sockets (a stale one is replaced) and begins to serve. config is
 * copied; runtime must outlive the server. EXISTS (another process listens there), IO, INTERNAL. */
Server *server_open(const HttpConfig *config, Runtime *runtime, GError **err);

/* Takes no new connections, ends watches, lets what is under way be answered, closes. The runtime must still answer. NULL is
 * nothing. Call once. */
void server_close(Server *server);

/* sarang connect: a console on a port of this machine. Each viewer that comes gets a ticket of its own, which opens one stream
 * through the gateway. */
#include <gio/gio.h>
#include <glib-unix.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "core/text.h"

enum { CHUNK_BYTES = 65536 };

typedef struct {
  Command *command;
  const char *session;
} Door;

static char *ticket_ask(Command *c, const char *session, GError **err)
{
  g_autofree char *path = client_path(API_SESSION_TICKET, session);
  json_auto_t *answer = NULL;
  json_auto_t *body = json_object();
  if (!client_ask(&c->place, METHOD_POST, path, body, &answer, NULL, err))
    return NULL;
  return g_strdup(json_string_value(json_object_get(answer, "ticket")));
}

static bool curl_send_all(CURL *curl, curl_socket_t fd, const char *bytes, size_t n)
{
  while (n) {
    size_t sent = 0;
    CURLcode code = curl_easy_send(curl, bytes, n, &sent);
    if (code == CURLE_AGAIN)
      poll(&(struct pollfd){ fd, POLLOUT, 0 }, 1, -1);
    else if (code != CURLE_OK)
      return false;
    bytes += sent;
    n -= sent;
  }
  return true;
}

/* The head of the gateway's answer, byte by byte: what follows it is the guest's. */
static bool head_ok(CURL *curl, curl_socket_t fd)
{
  char head[1024] = "";
  for (size_t n = 0; n + 1 < sizeof head;) {
    size_t got = 0;
    CURLcode code = curl_easy_recv(curl, head + n, 1, &got);
    if (code == CURLE_AGAIN)
      poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 10000);
    else if (code != CURLE_OK || !got)
      return false;
    n += got;
    if (n >= 4 && !memcmp(head + n - 4, "\r\n\r\n", 4))
      return g_str_has_prefix(head, "HTTP/1.1 200");
  }
  return false;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
  while (n) {
    ssize_t done = write(fd, bytes, n);
    if (done <= 0)
      return false;
    bytes += done;
    n -= done;
  }
  return true;
}

static bool from_gateway(CURL *curl, int viewer, char *buffer)
{
  size_t got = 0;
  CURLcode code = curl_easy_recv(curl, buffer, CHUNK_BYTES, &got);
  return code == CURLE_AGAIN || (code == CURLE_OK && got && write_all(viewer, buffer, got));
}

static void copy_both_ways(CURL *curl, curl_socket_t gateway, int viewer)
{
  g_autofree char *buffer = g_malloc(CHUNK_BYTES);
  for (bool open = true; open;) {
    struct pollfd fds[] = { { gateway, POLLIN, 0 }, { viewer, POLLIN, 0 } };
    /* TLS may hold bytes that the socket no longer shows */
    poll(fds, 2, 200);
    open = from_gateway(curl, viewer, buffer);
    if (open && fds[1].revents) {
      ssize_t n = read(viewer, buffer, CHUNK_BYTES);
      open = n > 0 && curl_send_all(curl, gateway, buffer, n);
    }
  }
}

static void serve_viewer(Door *door, int viewer)
{
  g_autoptr(GError) err = NULL;
  g_autofree char *ticket = ticket_ask(door->command, door->session, &err);
  CURL *curl = ticket ? client_connect_raw(&door->command->place, &err) : NULL;
  if (curl) {
    curl_socket_t fd;
    curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
    g_autofree char *host = g_strdup(strstr(door->command->place.server, "://") + 3);
    g_autofree char *head = g_strdup_printf("CONNECT console:0 HTTP/1.1\r\nHost: %s\r\nAuthorization: Ticket %s\r\n\r\n", host, ticket);
    if (curl_send_all(curl, fd, head, strlen(head)) && head_ok(curl, fd))
      copy_both_ways(curl, fd, viewer);
    else
      error_set(&err, REASON_BAD_TICKET, NULL);
    curl_easy_cleanup(curl);
  }
  if (err)
    report(door->command, err);
}

static gboolean on_viewer(GThreadedSocketService *service, GSocketConnection *connection, GObject *source, void *door)
{
  serve_viewer(door, g_socket_get_fd(g_socket_connection_get_socket(connection)));
  return TRUE;
}

/* What remote-viewer opens; it deletes the file once read. */
static bool vv_write(const char *path, const char *session, int port, GError **err)
{
  g_autofree char *text = g_strdup_printf("[virt-viewer]\ntype=vnc\nhost=127.0.0.1\nport=%d\ntitle=%s\ndelete-this-file=1\n"
                                          "secure-attention=ctrl+alt+end\nrelease-cursor=shift+f12\n", port, session);
  return text_write(path, text, 0600, err);
}

/* ── the port ─────────────────────────────────────────────────────────────── */

/* A port of the loopback address; *ret_port: which. */
static GSocketService *port_open(const char *wanted, int *ret_port, GError **err)
{
  g_autoptr(GError) why = NULL;
  int64_t port = 0;
  if (wanted && !number_parse(wanted, 0, 65535, &port))
    return error_null(err, REASON_BAD_VALUE, "field", "--port", "value", wanted, "limit", "a whole number from 0 to 65535", NULL);
  g_autoptr(GSocketService) service = g_threaded_socket_service_new(8);
  g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
  g_autoptr(GSocketAddress) address = g_inet_socket_address_new(loopback, (guint16)port);
  g_autoptr(GSocketAddress) bound = NULL;
  if (!g_socket_listener_add_address(G_SOCKET_LISTENER(service), address, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL, &bound, &why))
    return error_null(err, REASON_IO, "action", "listen at", "path", wanted ? wanted : "a free port", "detail", why->message, NULL);
  *ret_port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
  return g_steal_pointer(&service);
}

static gboolean on_stop(void *loop)
{
  g_main_loop_quit(loop);
  return G_SOURCE_CONTINUE;
}

static void on_viewer_end(GPid pid, int status, void *loop)
{
  g_spawn_close_pid(pid);
  g_main_loop_quit(loop);
}

/* remote-viewer with a file of its own, which it deletes. */
static bool viewer_start(const char *session, int port, GMainLoop *loop, GError **err)
{
  g_autofree char *dir = g_build_filename(g_get_user_runtime_dir(), "sarang", NULL);
  g_autofree char *path = g_strdup_printf("%s/%s-%d.vv", dir, session, port);
  const char *argv[] = { "remote-viewer", path, NULL };
  g_autoptr(GError) why = NULL;
  GPid pid;
  g_mkdir_with_parents(dir, 0700);
  if (!vv_write(path, session, port, err))
    return false;
  if (!g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &why)) {
    unlink(path);
    return error_false(err, REASON_NO_VIEWER, "detail", why->message, NULL);
  }
  g_child_watch_add(pid, on_viewer_end, loop);
  return true;
}

/* Who the session is of is asked before a viewer shows an empty window. */
static bool session_check(Command *c, const char *session, GError **err)
{
  g_autofree char *path = client_path(API_SESSION_SHOW, session);
  json_auto_t *json = NULL;
  if (!client_ask(&c->place, METHOD_GET, path, NULL, &json, NULL, err))
    return false;
  const char *state = json_string_value(json_object_get(json, "state"));
  return json_is_true(json_object_get(json, "ready")) ||
         error_false(err, REASON_SESSION_NOT_READY, "session", session, "state", state ? state : "?", NULL);
}

bool command_connect(Command *c, GError **err)
{
  if (!c->place.server)
    return error_false(err, REASON_NEEDS_GATEWAY, NULL);
  Door door = { c, c->words->pdata[0] };
  const char *vv = command_flag(c, "vv");
  int port = 0;
  g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
  g_autoptr(GSocketService) service = session_check(c, door.session, err) ? port_open(command_flag(c, "port"), &port, err) : NULL;
  if (!service)
    return false;
  g_signal_connect(service, "run", G_CALLBACK(on_viewer), &door);
  g_socket_service_start(service);
  g_unix_signal_add(SIGINT, on_stop, loop);
  g_unix_signal_add(SIGTERM, on_stop, loop);
  if ((vv && !vv_write(vv, door.session, port, err)) || (command_flag(c, "viewer") && !viewer_start(door.session, port, loop, err)))
    return false;
  printf("vnc://127.0.0.1:%d\n", port);
  fflush(stdout);
  g_main_loop_run(loop);
  return true;
}

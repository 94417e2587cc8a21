#include "drivers/hypervisor/knock.h"

#include <gio/gio.h>
#include <string.h>

#include "core/error.h"

/* The port that a URI means when it names none (libvirt.org/uri.html); 0 = there is nothing to knock at. */
static int port_of_way(const char *scheme)
{
  static const struct { const char *way; int port; } ways[] = { { "+tls", 16514 }, { "+tcp", 16509 } };
  const char *way = strchr(scheme, '+');
  for (size_t i = 0; way && i < G_N_ELEMENTS(ways); i++)
    if (!strcmp(way, ways[i].way))
      return ways[i].port;
  return 0;
}

bool knock(const char *uri, const char *host, GError **err)
{
  g_autoptr(GUri) parsed = g_uri_parse(uri, G_URI_FLAGS_NONE, NULL);
  const char *name = parsed ? g_uri_get_host(parsed) : NULL;
  int port = parsed ? port_of_way(g_uri_get_scheme(parsed)) : 0;
  if (!name || !*name || !port)
    return true;
  int own = g_uri_get_port(parsed);
  g_autoptr(GSocketConnectable) where = g_network_address_new(name, own > 0 ? own : port);
  g_autoptr(GSocketClient) client = g_socket_client_new();
  g_socket_client_set_timeout(client, KNOCK_MS / 1000);
  g_socket_client_set_enable_proxy(client, FALSE);
  g_autoptr(GError) why = NULL;
  g_autoptr(GSocketConnection) connection = g_socket_client_connect(client, where, NULL, &why);
  return connection || error_false(err, REASON_HOST_UNREACHABLE, "host", host, "detail", why->message, NULL);
}

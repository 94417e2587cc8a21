#include "drivers/console/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "drivers/console/sockets.h"

enum { BACKLOG = 1024 };

typedef struct addrinfo AddressInfo;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AddressInfo, freeaddrinfo)

static AddressInfo *address_parse(const char *text, GError **err)
{
  const char *colon = strrchr(text, ':');
  g_autofree char *host = colon ? g_strndup(text, colon - text) : NULL;
  AddressInfo *info = NULL;
  AddressInfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
  size_t n = host ? strlen(host) : 0;
  bool brackets = n > 2 && host[0] == '[' && host[n - 1] == ']';
  if (brackets)
    host[n - 1] = '\0';
  if (host && !getaddrinfo(brackets ? host + 1 : host, colon + 1, &hints, &info))
    return info;
  return error_null(err, REASON_BAD_VALUE, "field", "gateway.listen", "value", text, "limit",
                    "ADDRESS:PORT or [ADDRESS]:PORT, in numbers", NULL);
}

static char *name_of(int fd)
{
  struct sockaddr_storage own;
  socklen_t n = sizeof own;
  char host[64], port[8];
  if (getsockname(fd, (struct sockaddr *)&own, &n) < 0 ||
      getnameinfo((struct sockaddr *)&own, n, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
    return g_strdup("?");
  return g_strdup_printf(own.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int listener_open(const char *address, bool plain, char **ret_text, GError **err)
{
  g_autoptr(AddressInfo) info = address_parse(address, err);
  if (!info)
    return -1;
  if (plain && !socket_is_loopback(info->ai_addr)) {
    error_set(err, REASON_PLAIN_PUBLIC, "address", address, NULL);
    return -1;
  }
  int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0)
    socket_tune_listener(fd, info->ai_addr);
  bool good = fd >= 0 && bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
  if (good) {
    *ret_text = name_of(fd);
    return fd;
  }
  error_set(err, REASON_LISTEN_FAILED, "address", address, "detail", g_strerror(errno), NULL);
  if (fd >= 0)
    close(fd);
  return -1;
}

char **listener_default_origins(const char *const *addresses, bool plain)
{
  g_autoptr(GStrvBuilder) origins = g_strv_builder_new();
  char host_name[256] = "";
  gethostname(host_name, sizeof host_name - 1);
  const char *names[] = { "localhost", "127.0.0.1", "[::1]", host_name };
  for (; *addresses; addresses++) {
    const char *port = strrchr(*addresses, ':');
    bool any = g_str_has_prefix(*addresses, "0.0.0.0:") || g_str_has_prefix(*addresses, "[::]:");
    for (size_t i = 0; i < (any ? G_N_ELEMENTS(names) : 1); i++) {
      g_autofree char *host = any ? g_strdup(names[i]) : g_strndup(*addresses, port - *addresses);
      g_autofree char *origin = g_strdup_printf("%s://%s%s", plain ? "http" : "https", host, port);
      if (*host)
        g_strv_builder_add(origins, origin);
    }
    g_autofree char *local = g_strdup_printf("%s://localhost%s", plain ? "http" : "https", port);
    if (!any && (g_str_has_prefix(*addresses, "127.") || g_str_has_prefix(*addresses, "[::1]:")))
      g_strv_builder_add(origins, local);
  }
  return g_strv_builder_end(origins);
}

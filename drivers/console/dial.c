#include "drivers/console/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/error.h"
#include "drivers/console/sockets.h"

static int unreachable(const char *detail, int fd, GError **err)
{
  error_set(err, REASON_GUEST_UNREACHABLE, "detail", detail, NULL);
  if (fd >= 0)
    close(fd);
  return -1;
}

static int connect_begin(const struct sockaddr *address, socklen_t bytes, GError **err)
{
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return unreachable(g_strerror(errno), fd, err);
  socket_tune_guest(fd, address);
  if (connect(fd, address, bytes) < 0 && errno != EINPROGRESS)
    return unreachable(g_strerror(errno), fd, err);
  return fd;
}

static int path_begin(const Target *t, GError **err)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (strlen(t->path) >= sizeof address.sun_path)
    return unreachable("its path is too long", -1, err);
  g_strlcpy(address.sun_path, t->path, sizeof address.sun_path);
  return connect_begin((struct sockaddr *)&address, sizeof address, err);
}

static int direct_begin(const Target *t, GError **err)
{
  struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t->port) };
  struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)t->port) };
  if (t->path)
    return path_begin(t, err);
  if (inet_pton(AF_INET, t->host, &v4.sin_addr) == 1)
    return connect_begin((struct sockaddr *)&v4, sizeof v4, err);
  if (inet_pton(AF_INET6, t->host, &v6.sin6_addr) == 1)
    return connect_begin((struct sockaddr *)&v6, sizeof v6, err);
  return unreachable("its address is not in numbers", -1, err);
}

/* The controller has held the address against what it knows; what is this machine's own, it does not. */
static int guest_begin(const Target *t, GError **err)
{
  GuestAddressBits bits;
  if (t->path || !guest_address_parse(t->host, &bits) || guest_address_is_special(&bits))
    return unreachable("its address is no guest's", -1, err);
  if (socket_is_own(&bits))
    return unreachable("its address is the gateway's own", -1, err);
  return direct_begin(t, err);
}

const Dial dials[] = {
  { "direct", direct_begin },
  { "guest", guest_begin }, /* a server in a guest, at an address that the guest named */
};
const int n_dials = G_N_ELEMENTS(dials);

const ConsoleProtocol console_protocols[] = {
  { "vnc", .rfb = true },
  { "spice", .rfb = false },
};
const int n_console_protocols = G_N_ELEMENTS(console_protocols);

static bool bad_value(const char *field, const char *value, const char *limit, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", value ? value : "", "limit", limit, NULL);
}

static bool text_take(json_t *document, const char *field, char **ret, GError **err)
{
  const char *text = json_string_value(json_object_get(document, field));
  if (!text || !*text || strlen(text) > 255)
    return error_false(err, REASON_MISSING_FIELD, "field", field, NULL);
  *ret = g_strdup(text);
  return true;
}

static bool rows_find(json_t *document, Target *t, GError **err)
{
  const char *via = json_string_value(json_object_get(document, "via"));
  const char *protocol = json_string_value(json_object_get(document, "protocol"));
  for (int i = 0; i < n_dials; i++)
    if (!g_strcmp0(dials[i].via, via))
      t->dial = &dials[i];
  for (int i = 0; i < n_console_protocols; i++)
    if (!g_strcmp0(console_protocols[i].name, protocol))
      t->protocol = &console_protocols[i];
  if (!t->dial)
    return bad_value("via", via, "direct or guest", err);
  return t->protocol || bad_value("protocol", protocol, "vnc or spice", err);
}

static bool address_take(json_t *document, Target *t, GError **err)
{
  json_int_t port = json_integer_value(json_object_get(document, "port"));
  if (json_object_get(document, "path"))
    return text_take(document, "path", &t->path, err);
  if (!text_take(document, "host", &t->host, err))
    return false;
  if (port < 1 || port > 65535)
    return bad_value("port", "", "1 to 65535", err);
  t->port = (int)port;
  return true;
}

static bool policy_take(json_t *document, Target *t, GError **err)
{
  const char *clipboard = json_string_value(json_object_get(document, "clipboard"));
  const char *password = json_string_value(json_object_get(document, "password"));
  t->password = g_strdup(password ? password : "");
  t->view_only = json_is_true(json_object_get(document, "view_only"));
  t->clipboard = CLIPBOARD_BOTH;
  if (clipboard && !clipboard_policy_parse(clipboard, &t->clipboard))
    return bad_value("clipboard", clipboard, "none, to-guest, from-guest or both", err);
  if (!t->protocol->rfb && (t->view_only || t->clipboard != CLIPBOARD_BOTH))
    return error_false(err, REASON_CONSOLE_POLICY, "protocol", t->protocol->name, NULL);
  return true;
}

bool target_parse_json(json_t *document, Target *ret, GError **err)
{
  g_auto(Target) t = { 0 };
  if (!text_take(document, "relay", &t.relay, err) || !text_take(document, "user", &t.user, err) ||
      !text_take(document, "session", &t.session, err) || !rows_find(document, &t, err) || !address_take(document, &t, err) ||
      !policy_take(document, &t, err))
    return false;
  *ret = t;
  memset(&t, 0, sizeof t);
  return true;
}

void target_clear(Target *t)
{
  g_free(t->relay);
  g_free(t->session);
  g_free(t->user);
  g_free(t->host);
  g_free(t->path);
  if (t->password)
    explicit_bzero(t->password, strlen(t->password));
  g_free(t->password);
  memset(t, 0, sizeof *t);
}

#include "tests/http/client.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_MS = 10000 };

void response_free(Response *r)
{
  if (!r)
    return;
  g_free(r->head);
  g_string_free(r->body, TRUE);
  json_decref(r->json);
  g_free(r);
}

int client_connect(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_strlcpy(address.sun_path, path, sizeof address.sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  return fd;
}

void client_send(int fd, const char *bytes, size_t n)
{
  while (n) {
    struct pollfd wait = { fd, POLLOUT, 0 };
    ssize_t sent = poll(&wait, 1, WAIT_MS) == 1 ? send(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
    if (sent <= 0)
      return;
    bytes += sent;
    n -= sent;
  }
}

/* Bytes read into out; 0 at the end, or when nothing comes. */
static size_t receive(int fd, char *out, size_t most, int flags)
{
  struct pollfd wait = { fd, POLLIN, 0 };
  ssize_t n = poll(&wait, 1, WAIT_MS) == 1 ? recv(fd, out, most, flags) : 0;
  return MAX(n, 0);
}

/* Fills text up to and with the first end, and takes no byte more; false when the connection ends before. */
static bool fill_until(int fd, GString *text, const char *end)
{
  char buffer[4096];
  for (size_t before = 0;;) {
    size_t n = receive(fd, buffer, sizeof buffer, MSG_PEEK);
    g_string_append_len(text, buffer, n);
    const char *found = n ? strstr(text->str, end) : NULL;
    size_t wanted = found ? (size_t)(found + strlen(end) - text->str) : text->len;
    g_string_truncate(text, wanted);
    if (!n || receive(fd, buffer, wanted - before, 0) != wanted - before)
      return false;
    if (found)
      return true;
    before = wanted;
  }
}

static void fill_to(int fd, GString *text, size_t bytes)
{
  char buffer[65536];
  for (size_t n = 1; text->len < bytes && n;) {
    n = receive(fd, buffer, MIN(sizeof buffer, bytes - text->len), 0);
    g_string_append_len(text, buffer, n);
  }
}

char *response_header(const Response *r, const char *name)
{
  g_auto(GStrv) lines = g_strsplit(r->head, "\r\n", -1);
  size_t length = strlen(name);
  for (char **line = lines; *line; line++)
    if (!g_ascii_strncasecmp(*line, name, length) && (*line)[length] == ':')
      return g_strdup(g_strchug(*line + length + 1));
  return NULL;
}

const char *response_code(const Response *r)
{
  const char *code = json_string_value(json_object_get(r->json, "code"));
  return code ? code : "";
}

Response *client_read(int fd)
{
  Response *r = g_new0(Response, 1);
  r->body = g_string_new(NULL);
  if (!fill_until(fd, r->body, "\r\n\r\n")) {
    r->head = g_strdup("");
    r->closed = true;
    return r;
  }
  r->head = g_strdup(r->body->str);
  g_string_truncate(r->body, 0);
  r->status = atoi(r->head + strlen("HTTP/1.1 "));
  g_autofree char *length = response_header(r, "Content-Length"), *connection = response_header(r, "Connection");
  if (length)
    fill_to(fd, r->body, strtoul(length, NULL, 10));
  r->closed = connection && !g_ascii_strcasecmp(connection, "close");
  r->json = json_loadb(r->body->str, r->body->len, 0, NULL);
  return r;
}

char *client_read_until(int fd, const char *text)
{
  GString *out = g_string_new(NULL);
  bool found = fill_until(fd, out, text);
  return g_string_free(out, !found);
}

bool client_is_closed(int fd, int ms)
{
  char buffer[4096];
  int64_t end = g_get_monotonic_time() + ms * INT64_C(1000);
  for (int64_t left; (left = end - g_get_monotonic_time()) > 0;) {
    struct pollfd wait = { fd, POLLIN, 0 };
    if (poll(&wait, 1, (int)(left / 1000) + 1) == 1 && recv(fd, buffer, sizeof buffer, 0) <= 0)
      return true;
  }
  return false;
}

Response *client_ask(const char *path, const char *method, const char *target, const char *token, const char *headers,
                     const char *body)
{
  int fd = client_connect(path);
  g_autoptr(GString) text = g_string_new(NULL);
  g_string_append_printf(text, "%s %s HTTP/1.1\r\nHost: desk.example\r\n", method, target);
  if (token)
    g_string_append_printf(text, "Authorization: Bearer %s\r\n", token);
  if (headers)
    g_string_append(text, headers);
  if (body)
    g_string_append_printf(text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
  g_string_append_printf(text, "\r\n%s", body ? body : "");
  client_send(fd, text->str, text->len);
  Response *r = client_read(fd);
  close(fd);
  return r;
}

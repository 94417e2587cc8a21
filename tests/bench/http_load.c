/* A load of HTTP/1.1 requests over kept connections to a unix or TCP socket, one request at a time on each; for servers that wrk
 * cannot reach. One thread, epoll. http_load [-c CONNECTIONS] [-s SECONDS] [-m METHOD] [-d BODY] [-H "Name: value"]...
 * unix:PATH|HOST:PORT TARGET Prints one JSON line: requests, seconds, failed (answers other than 2xx, and connections lost),
 * bytes of the last body, and how long an answer took. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024, EVENTS = 64, BUCKETS = 40 * 8 };

typedef struct {
  int connections;
  double seconds;
  const char *method, *body, *address, *target;
  GString *headers;
} Options;

typedef struct {
  int fd;
  int64_t asked_ns;
  size_t have, want; /* bytes of the answer; want: 0 = its head has not come */
  bool good;
  char *buffer;
} Link;

typedef struct {
  int64_t requests, failed, body_bytes;
  int64_t took[BUCKETS]; /* eight buckets for each doubling of microseconds */
} Count;

static int64_t now_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void die(const char *what)
{
  fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* ── connections ──────────────────────────────────────────────────────────── */

static int connect_unix(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_strlcpy(address.sun_path, path, sizeof address.sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address))
    die(path);
  return fd;
}

static int connect_tcp(const char *address)
{
  g_auto(GStrv) parts = g_strsplit(address, ":", 2);
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *found;
  if (!parts[0] || !parts[1] || getaddrinfo(parts[0], parts[1], &hints, &found))
    die(address);
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
    die(address);
  freeaddrinfo(found);
  return fd;
}

static void link_open(Link *link, const Options *o, int epoll)
{
  bool local = g_str_has_prefix(o->address, "unix:");
  link->fd = local ? connect_unix(o->address + 5) : connect_tcp(o->address);
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = link };
  if (fcntl(link->fd, F_SETFL, O_NONBLOCK) || epoll_ctl(epoll, EPOLL_CTL_ADD, link->fd, &event))
    die("epoll");
}

/* ── requests and answers ─────────────────────────────────────────────────── */

static GString *request_new(const Options *o)
{
  GString *text = g_string_new(NULL);
  g_string_append_printf(text, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", o->method, o->target, o->headers->str);
  if (o->body)
    g_string_append_printf(text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(o->body));
  g_string_append_printf(text, "\r\n%s", o->body ? o->body : "");
  return text;
}

static void link_ask(Link *link, const GString *request)
{
  link->have = link->want = 0;
  link->asked_ns = now_ns();
  if (send(link->fd, request->str, request->len, MSG_NOSIGNAL) != (ssize_t)request->len)
    die("send");
}

/* How long the answer is, by its head; 0 while that has not come. */
static void read_head(Link *link, Count *count)
{
  link->buffer[link->have] = 0;
  const char *end = strstr(link->buffer, "\r\n\r\n"), *length = end ? strcasestr(link->buffer, "\r\nContent-Length:") : NULL;
  if (!end)
    return;
  if (!length || length > end)
    die("an answer without Content-Length");
  int64_t body = strtoll(length + 17, NULL, 10);
  count->body_bytes = body;
  link->want = end + 4 - link->buffer + body;
  link->good = link->buffer[9] == '2';
  if (link->want >= BUFFER_BYTES)
    die("an answer that is too long");
}

static void count_answer(Count *count, const Link *link)
{
  int64_t us = (now_ns() - link->asked_ns) / 1000, low = 1;
  int bucket = 0;
  for (; low * 2 <= us && bucket < BUCKETS - 8; low *= 2)
    bucket += 8;
  count->took[bucket + (us > low ? (us - low) * 8 / low : 0)]++;
  count->requests++;
  count->failed += !link->good;
}

/* False when the connection is lost. */
static bool link_receive(Link *link, const GString *request, Count *count)
{
  ssize_t n = recv(link->fd, link->buffer + link->have, BUFFER_BYTES - 1 - link->have, 0);
  if (n <= 0)
    return n < 0 && errno == EAGAIN;
  link->have += n;
  if (!link->want)
    read_head(link, count);
  if (!link->want || link->have < link->want)
    return true;
  count_answer(count, link);
  link_ask(link, request);
  return true;
}

static double percentile_us(const Count *count, double part)
{
  int64_t wanted = (int64_t)(count->requests * part), sum = 0;
  for (int i = 0; i < BUCKETS; i++)
    if ((sum += count->took[i]) > wanted)
      return (double)(INT64_C(1) << (i / 8)) * (1 + (i % 8) / 8.0);
  return 0;
}

static void turn(int epoll, const Options *o, const GString *request, Count *count)
{
  struct epoll_event events[EVENTS];
  int n = epoll_wait(epoll, events, EVENTS, 100);
  for (int i = 0; i < n; i++) {
    Link *link = events[i].data.ptr;
    if (link_receive(link, request, count))
      continue;
    count->failed++;
    close(link->fd);
    link_open(link, o, epoll);
    link_ask(link, request);
  }
}

static double load(const Options *o, Count *count)
{
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  g_autoptr(GString) request = request_new(o);
  g_autofree Link *links = g_new0(Link, o->connections);
  for (int i = 0; i < o->connections; i++) {
    links[i].buffer = g_malloc(BUFFER_BYTES);
    link_open(&links[i], o, epoll);
    link_ask(&links[i], request);
  }
  int64_t start = now_ns();
  while (now_ns() - start < o->seconds * 1e9)
    turn(epoll, o, request, count);
  double seconds = (now_ns() - start) / 1e9;
  for (int i = 0; i < o->connections; i++) {
    close(links[i].fd);
    g_free(links[i].buffer);
  }
  close(epoll);
  return seconds;
}

static bool options_read(Options *o, int argc, char **argv)
{
  *o = (Options){ .connections = 32, .seconds = 2, .method = "GET", .headers = g_string_new(NULL) };
  for (int c; (c = getopt(argc, argv, "c:s:m:d:H:")) != -1;)
    switch (c) {
    case 'c': o->connections = atoi(optarg); break;
    case 's': o->seconds = atof(optarg); break;
    case 'm': o->method = optarg; break;
    case 'd': o->body = optarg; break;
    case 'H': g_string_append_printf(o->headers, "%s\r\n", optarg); break;
    default: return false;
    }
  if (argc - optind != 2 || o->connections < 1 || o->seconds <= 0)
    return false;
  o->address = argv[optind];
  o->target = argv[optind + 1];
  return true;
}

int main(int argc, char **argv)
{
  Options o;
  Count count = { 0 };
  if (!options_read(&o, argc, argv)) {
    fprintf(stderr,
            "usage: http_load [-c CONNECTIONS] [-s SECONDS] [-m METHOD] [-d BODY] [-H HEADER]... unix:PATH|HOST:PORT TARGET\n");
    return 2;
  }
  double seconds = load(&o, &count);
  printf("{\"requests\":%" G_GINT64_FORMAT ",\"seconds\":%.3f,\"failed\":%" G_GINT64_FORMAT ",\"body_bytes\":%" G_GINT64_FORMAT
         ",\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
         count.requests, seconds, count.failed, count.body_bytes, percentile_us(&count, 0.5), percentile_us(&count, 0.99));
  g_string_free(o.headers, TRUE);
  return count.requests && !count.failed ? 0 : 1;
}

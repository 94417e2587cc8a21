/* Loads a console relay from both sides and tells what it cost: guests behind it, people before it, and the CPU time of its
 * processes in between, sampled while everything flows.
 *   relay_load KIND MODE PORT GUEST_PORT PID CONNECTIONS SECONDS    (TICKETS, one a line, on standard input for KIND gateway…)
 * KIND  gateway, gateway-tls: WebSocket with ticket and RFB handshake; websockify: WebSocket; tcp, tls: bare bytes
 * MODE  bulk: guests send as fast as they can; echo: 64-byte round trips; idle: nothing until standard input ends;
 *       paused: one guest offers 300 MiB to one person who does not read
 * Prints one line of JSON; for idle and paused a line when all is in place, and goes on until standard input ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <gnutls/gnutls.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  MESSAGE_BYTES = 64,
  BLOCK_BYTES = 1 << 20,
  PAUSED_BLOCK_BYTES = 4096,
  OFFERED_BYTES = 300 << 20,
  SERVER_INIT_BYTES = 29,
  WARM_US = 300000,
};

typedef struct {
  const char *name;
  bool rfb, websocket, tls;
} Kind;
static const Kind kinds[] = {
  { "gateway", true, true, false },
  { "gateway-tls", true, true, true },
  { "websockify", false, true, false },
  { "tcp", false, false, false },
  { "tls", false, false, true },
};

typedef struct {
  int fd;
  gnutls_session_t tls;
  size_t reply_left; /* bytes of the reply under way */
} Person;

static const Kind *kind;
static const char *mode;
static int port, guest_port, relay_pid, n_people;
static double seconds;
static bool going; /* guests may flood; atomic */
static uint64_t received, rounds, offered;
static int paused_guest = -1;
static gnutls_certificate_credentials_t credentials;

static void fail(const char *what)
{
  fprintf(stderr, "relay_load: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* ── what the relay costs ── */

static int parent_of(int pid)
{
  g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid), *text = NULL;
  if (!g_file_get_contents(path, &text, NULL, NULL))
    return 0;
  const char *end = strrchr(text, ')');
  int parent = 0;
  return end && sscanf(end + 2, "%*c %d", &parent) == 1 ? parent : 0;
}

static bool is_below(int pid)
{
  for (int p = pid; p > 1; p = parent_of(p))
    if (p == relay_pid)
      return true;
  return false;
}

static uint64_t threads_cpu_ns(int pid)
{
  g_autofree char *folder = g_strdup_printf("/proc/%d/task", pid);
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  uint64_t ns = 0;
  for (const char *name; dir && (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_strdup_printf("%s/%s/schedstat", folder, name), *text = NULL;
    if (g_file_get_contents(path, &text, NULL, NULL))
      ns += g_ascii_strtoull(text, NULL, 10);
  }
  return ns;
}

/* Of the relay and of what it forked. */
static uint64_t cpu_ns(void)
{
  g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
  uint64_t ns = 0;
  for (const char *name; (name = g_dir_read_name(dir));)
    if (g_ascii_isdigit(*name) && is_below(atoi(name)))
      ns += threads_cpu_ns(atoi(name));
  return ns;
}

/* ── guests ── */

static void exactly(int fd, void *buffer, size_t n)
{
  for (size_t at = 0; at < n;) {
    ssize_t got = recv(fd, (char *)buffer + at, n - at, 0);
    if (got <= 0)
      fail("a guest lost its relay");
    at += (size_t)got;
  }
}

static void guest_shake(int fd)
{
  uint8_t bytes[64] = { 0 };
  if (send(fd, "RFB 003.008\n", 12, MSG_NOSIGNAL) != 12)
    fail("guest");
  exactly(fd, bytes, 12);
  send(fd, "\x01\x01", 2, MSG_NOSIGNAL);
  exactly(fd, bytes, 1);
  send(fd, "\0\0\0\0", 4, MSG_NOSIGNAL);
  exactly(fd, bytes, 1);
  send(fd, "\x02\x80\x01\xe0                \0\0\0\x05guest", SERVER_INIT_BYTES, MSG_NOSIGNAL);
}

static void guest_flood(int fd)
{
  static char block[BLOCK_BYTES];
  bool pauses = !strcmp(mode, "paused");
  uint64_t left = pauses ? OFFERED_BYTES : UINT64_MAX;
  size_t piece = pauses ? PAUSED_BLOCK_BYTES : sizeof block; /* what is not yet told of, when it stops */
  while (!__atomic_load_n(&going, __ATOMIC_ACQUIRE))
    g_usleep(1000);
  paused_guest = fd;
  while (left) {
    ssize_t sent = send(fd, block, MIN(piece, left), MSG_NOSIGNAL);
    if (sent <= 0)
      return;
    left -= (uint64_t)sent;
    __atomic_add_fetch(&offered, (uint64_t)sent, __ATOMIC_RELAXED);
  }
}

static void *guest_main(void *data)
{
  int fd = GPOINTER_TO_INT(data);
  if (kind->rfb)
    guest_shake(fd);
  guest_flood(fd);
  return NULL;
}

static void *echoes_main(void *data)
{
  int epoll = GPOINTER_TO_INT(data);
  struct epoll_event events[64];
  char bytes[4096];
  for (int n; (n = epoll_wait(epoll, events, 64, -1)) >= 0 || errno == EINTR;)
    for (int i = 0; i < n; i++) {
      ssize_t got = recv(events[i].data.fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got > 0 && send(events[i].data.fd, bytes, (size_t)got, MSG_NOSIGNAL) != got)
        fail("echo");
      if (got == 0)
        close(events[i].data.fd);
    }
  return NULL;
}

static void *guests_main(void *data)
{
  int listener = GPOINTER_TO_INT(data), epoll = epoll_create1(0), on = 1;
  bool flood = !strcmp(mode, "bulk") || !strcmp(mode, "paused");
  g_thread_unref(g_thread_new("echoes", echoes_main, GINT_TO_POINTER(epoll)));
  for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (flood) {
      g_thread_unref(g_thread_new("guest", guest_main, GINT_TO_POINTER(fd)));
      continue;
    }
    if (kind->rfb)
      guest_shake(fd);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN, .data.fd = fd });
  }
  return NULL;
}

static int listen_on(int at)
{
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)at), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 1024) < 0)
    fail("listen");
  return fd;
}

/* ── people ── */

static void person_send(Person *p, const void *bytes, size_t n)
{
  ssize_t sent = p->tls ? gnutls_record_send(p->tls, bytes, n) : send(p->fd, bytes, n, MSG_NOSIGNAL);
  if (sent != (ssize_t)n)
    fail("a person's send");
}

/* -1: nothing now */
static ssize_t person_read(Person *p, void *buffer, size_t n)
{
  ssize_t got = p->tls ? gnutls_record_recv(p->tls, buffer, n) : recv(p->fd, buffer, n, 0);
  if (got == 0 || (p->tls ? got < 0 && got != GNUTLS_E_AGAIN && got != GNUTLS_E_INTERRUPTED : got < 0 && errno != EAGAIN))
    fail("a person lost the relay");
  return got < 0 ? -1 : got;
}

static void person_exactly(Person *p, void *buffer, size_t n)
{
  for (size_t at = 0; at < n;) {
    ssize_t got = person_read(p, (char *)buffer + at, n - at);
    at += got > 0 ? (size_t)got : 0;
  }
}

/* Small binary messages only, as a handshake has them. */
static void person_frames(Person *p, size_t n)
{
  uint8_t bytes[256];
  while (n) {
    person_exactly(p, bytes, 2);
    size_t length = bytes[1];
    if (bytes[0] != 0x82 || length > n)
      fail("not the frame of a handshake");
    person_exactly(p, bytes, length);
    n -= length;
  }
}

static size_t frame_of(uint8_t *out, const void *payload, size_t n)
{
  memcpy(out, "\x82\0\0\0\0\0", 6);
  out[1] = (uint8_t)(0x80 | n);
  memcpy(out + 6, payload, n);
  return 6 + n;
}

static void person_say(Person *p, const void *bytes, size_t n)
{
  uint8_t frame[256];
  person_send(p, frame, frame_of(frame, bytes, n));
}

static void person_upgrade(Person *p)
{
  char ticket[128] = "", head[2048], end[4] = { 0 };
  if (kind->rfb && !fgets(ticket, sizeof ticket, stdin))
    fail("a ticket on standard input");
  g_strchomp(ticket);
  int n = snprintf(head, sizeof head,
                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Origin: %s://127.0.0.1:%d\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: binary%s%s\r\n\r\n",
                   kind->rfb ? "/console" : "/", port, kind->tls ? "https" : "http", port, *ticket ? ", ticket." : "", ticket);
  person_send(p, head, (size_t)n);
  person_exactly(p, head, 12);
  if (memcmp(head, "HTTP/1.1 101", 12))
    fail("no 101");
  while (memcmp(end, "\r\n\r\n", 4)) {
    memmove(end, end + 1, 3);
    person_exactly(p, end + 3, 1);
  }
}

static void person_shake(Person *p)
{
  person_frames(p, 12);
  person_say(p, "RFB 003.008\n", 12);
  person_frames(p, 2);
  person_say(p, "\x01", 1);
  person_frames(p, 4);
  person_say(p, "\x01", 1);
  person_frames(p, SERVER_INIT_BYTES);
}

static void person_tls(Person *p)
{
  int result;
  gnutls_init(&p->tls, GNUTLS_CLIENT);
  gnutls_priority_set_direct(p->tls, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM", NULL);
  gnutls_credentials_set(p->tls, GNUTLS_CRD_CERTIFICATE, credentials);
  gnutls_transport_set_int(p->tls, p->fd);
  do
    result = gnutls_handshake(p->tls);
  while (result < 0 && !gnutls_error_is_fatal(result));
  if (result < 0)
    fail(gnutls_strerror(result));
}

static void person_come(Person *p)
{
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  int on = 1;
  p->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(p->fd, (struct sockaddr *)&a, sizeof a) < 0)
    fail("connect");
  setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (kind->tls)
    person_tls(p);
  if (kind->websocket)
    person_upgrade(p);
  if (kind->rfb)
    person_shake(p);
}

/* ── modes ── */

/* Eight KeyEvents: what a viewer may say. */
static size_t message_of(uint8_t *out)
{
  uint8_t keys[MESSAGE_BYTES] = { 0 };
  for (int i = 0; i < MESSAGE_BYTES; i += 8)
    memcpy(keys + i, "\x04\x01\0\0\0\0\0a", 8);
  if (kind->websocket)
    return frame_of(out, keys, sizeof keys);
  memcpy(out, keys, sizeof keys);
  return sizeof keys;
}

static size_t reply_bytes(void) { return MESSAGE_BYTES + (kind->websocket ? 2 : 0); }

static void person_ready(Person *p)
{
  static char buffer[BLOCK_BYTES];
  uint8_t message[MESSAGE_BYTES + 8];
  bool echo = !strcmp(mode, "echo");
  for (ssize_t got; (got = person_read(p, buffer, echo ? p->reply_left : sizeof buffer)) > 0;) {
    __atomic_add_fetch(&received, (uint64_t)got, __ATOMIC_RELAXED);
    if (!echo)
      continue;
    p->reply_left -= (size_t)got;
    if (p->reply_left)
      continue;
    __atomic_add_fetch(&rounds, 1, __ATOMIC_RELAXED);
    p->reply_left = reply_bytes();
    person_send(p, message, message_of(message));
  }
}

static void *people_main(void *data)
{
  Person *people = data;
  int epoll = epoll_create1(0);
  struct epoll_event events[64];
  uint8_t message[MESSAGE_BYTES + 8];
  for (int i = 0; i < n_people; i++) {
    fcntl(people[i].fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(epoll, EPOLL_CTL_ADD, people[i].fd, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = &people[i] });
    people[i].reply_left = reply_bytes();
    if (!strcmp(mode, "echo"))
      person_send(&people[i], message, message_of(message));
  }
  for (int n; (n = epoll_wait(epoll, events, 64, -1)) >= 0 || errno == EINTR;)
    for (int i = 0; i < n; i++)
      person_ready(events[i].data.ptr);
  return NULL;
}

static void wait_for_end(void)
{
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0)
    ;
}

static void run_flow(Person *people)
{
  __atomic_store_n(&going, true, __ATOMIC_RELEASE);
  g_thread_unref(g_thread_new("people", people_main, people));
  g_usleep(WARM_US);
  uint64_t cpu = cpu_ns(), bytes = __atomic_load_n(&received, __ATOMIC_RELAXED);
  uint64_t trips = __atomic_load_n(&rounds, __ATOMIC_RELAXED);
  int64_t began_us = g_get_monotonic_time();
  g_usleep((gulong)(seconds * 1e6));
  uint64_t cpu_end = cpu_ns(), bytes_end = __atomic_load_n(&received, __ATOMIC_RELAXED);
  uint64_t trips_end = __atomic_load_n(&rounds, __ATOMIC_RELAXED);
  printf("{\"bytes\": %" G_GUINT64_FORMAT ", \"rounds\": %" G_GUINT64_FORMAT ", \"cpu_s\": %.6f, \"seconds\": %.6f}\n",
         bytes_end - bytes, trips_end - trips, (double)(cpu_end - cpu) / 1e9, (double)(g_get_monotonic_time() - began_us) / 1e6);
}

/* What is on its way between a guest that offers and a person who does not read, without what the two hold themselves. */
static void run_paused(const Person *person)
{
  uint64_t before;
  int unsent = 0, unread = 0;
  __atomic_store_n(&going, true, __ATOMIC_RELEASE);
  do {
    before = __atomic_load_n(&offered, __ATOMIC_RELAXED);
    g_usleep(500000);
  } while (!before || before != __atomic_load_n(&offered, __ATOMIC_RELAXED));
  ioctl(paused_guest, SIOCOUTQ, &unsent);
  ioctl(person->fd, FIONREAD, &unread);
  printf("{\"offered\": %" G_GUINT64_FORMAT ", \"unsent\": %d, \"unread\": %d}\n", before, unsent, unread);
}

int main(int argc, char **argv)
{
  for (size_t i = 0; argc == 8 && i < G_N_ELEMENTS(kinds); i++)
    if (!strcmp(argv[1], kinds[i].name))
      kind = &kinds[i];
  if (!kind) {
    fprintf(stderr, "usage: relay_load KIND MODE PORT GUEST_PORT PID CONNECTIONS SECONDS\n");
    return 2;
  }
  mode = argv[2];
  port = atoi(argv[3]);
  guest_port = atoi(argv[4]);
  relay_pid = atoi(argv[5]);
  n_people = atoi(argv[6]);
  seconds = atof(argv[7]);
  gnutls_certificate_allocate_credentials(&credentials);
  g_thread_unref(g_thread_new("guests", guests_main, GINT_TO_POINTER(listen_on(guest_port))));
  g_autofree Person *people = g_new0(Person, n_people);
  for (int i = 0; i < n_people; i++)
    person_come(&people[i]);
  if (!strcmp(mode, "paused"))
    run_paused(people);
  else if (!strcmp(mode, "idle"))
    puts("{}");
  else
    run_flow(people);
  fflush(stdout);
  if (!strcmp(mode, "paused") || !strcmp(mode, "idle"))
    wait_for_end();
  _exit(0);
}

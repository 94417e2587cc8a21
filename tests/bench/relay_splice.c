/* The floor that relays are held against: TCP to TCP by splice alone. No framing, no ticket, no policy; one thread.
 *   relay_splice PORT TARGET_PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPE_BYTES = 256 * 1024 };

/* One direction: from → pipe → to. */
typedef struct {
  int from, to, pipe[2];
  size_t held;
} Flow;

/* false: one side is gone. */
static bool flow_run(Flow *f)
{
  for (;;) {
    if (!f->held) {
      ssize_t got = splice(f->from, NULL, f->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (got <= 0)
        return got < 0 && errno == EAGAIN;
      f->held = (size_t)got;
    }
    ssize_t put = splice(f->pipe[0], NULL, f->to, NULL, f->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (put <= 0)
      return put < 0 && errno == EAGAIN;
    f->held -= (size_t)put;
  }
}

/* As the gateway does on loopback: with a congestion control that paces, timers would be what is measured. */
static void tune(int fd) { setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); }

static int socket_to(int port)
{
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  tune(fd);
  if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
    perror("relay_splice: connect");
    exit(1);
  }
  return fd;
}

typedef struct {
  Flow flows[2];
  bool gone; /* closed; its memory stays for an event that may still name it */
} Pair;

static void pair_close(Pair *pair)
{
  for (int i = 0; i < 2; i++) {
    close(pair->flows[i].from);
    close(pair->flows[i].pipe[0]);
    close(pair->flows[i].pipe[1]);
  }
  pair->gone = true;
}

static void pair_begin(int epoll, int person, int target_port)
{
  Pair *pair = calloc(1, sizeof *pair);
  int guest = socket_to(target_port), on = 1, fds[2] = { person, guest };
  for (int i = 0; i < 2; i++) {
    Flow *f = &pair->flows[i];
    f->from = fds[i];
    f->to = fds[1 - i];
    if (pipe2(f->pipe, O_NONBLOCK) < 0)
      exit(1);
    fcntl(f->pipe[0], F_SETPIPE_SZ, PIPE_BYTES);
    fcntl(fds[i], F_SETFL, O_NONBLOCK);
    setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = pair };
    epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
  }
}

int main(int argc, char **argv)
{
  if (argc != 3)
    return 2;
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, epoll = epoll_create1(0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  tune(listener);
  if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 1024) < 0)
    return 1;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &(struct epoll_event){ .events = EPOLLIN, .data.ptr = NULL });
  struct epoll_event events[256];
  for (int n; (n = epoll_wait(epoll, events, 256, -1)) >= 0 || errno == EINTR;)
    for (int i = 0; i < n; i++) {
      Pair *pair = events[i].data.ptr;
      if (!pair) {
        pair_begin(epoll, accept(listener, NULL, NULL), atoi(argv[2]));
        continue;
      }
      if (!pair->gone && (!flow_run(&pair->flows[0]) || !flow_run(&pair->flows[1])))
        pair_close(pair);
    }
  return 1;
}

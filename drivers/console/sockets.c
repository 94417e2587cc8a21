#include "drivers/console/sockets.h"

#include <glib.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

enum {
  GUEST_QUIET_BYTES = 128 * 1024, /* SO_RCVBUF gives twice of it */
  GUEST_FLOWS_BYTES = 3 << 20,
  GUEST_HELD_MAX_BYTES = 8 << 20,
  PERSON_HELD_BYTES = 128 * 1024,
  UNSENT_BYTES = 128 * 1024,
  ALIVE_IDLE_S = 30,
  ALIVE_EVERY_S = 10,
  ALIVE_TIMES = 3,
};

bool socket_is_loopback(const struct sockaddr *a)
{
  if (a->sa_family == AF_INET)
    return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
  return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

bool socket_is_own(const GuestAddressBits *address)
{
  struct ifaddrs *all;
  if (getifaddrs(&all))
    return true;
  bool own = false;
  for (const struct ifaddrs *i = all; i && !own; i = i->ifa_next) {
    int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
    if (family == AF_INET && address->n == 4)
      own = !memcmp(&((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, address->bytes, 4);
    if (family == AF_INET6 && address->n == 16)
      own = !memcmp(&((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, address->bytes, 16);
  }
  freeifaddrs(all);
  return own;
}

static void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

/* Whoever is gone without a word is noticed within a minute, not after the kernel's two hours. */
static void alive_tune(int fd)
{
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, ALIVE_IDLE_S);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, ALIVE_EVERY_S);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, ALIVE_TIMES);
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000 * (ALIVE_IDLE_S + ALIVE_TIMES * ALIVE_EVERY_S));
}

/* There is no network to be gentle to: a congestion control that paces (BBR) would only cost timers. */
static void loopback_tune(int fd, const struct sockaddr *address)
{
  if (socket_is_loopback(address))
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

/* The last number in a file of /proc/sys; 0 where there is none. */
static int64_t kernel_limit(const char *path)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents(path, &text, NULL, NULL))
    return 0;
  const char *last = strrchr(g_strchomp(text), '\t');
  return g_ascii_strtoll(last ? last + 1 : text, NULL, 10);
}

static bool kernel_bounds_enough(void)
{
  enum { UNKNOWN, YES, NO };
  static gsize known;
  if (g_once_init_enter(&known))
    g_once_init_leave(&known, kernel_limit("/proc/sys/net/ipv4/tcp_rmem") <= GUEST_HELD_MAX_BYTES ? YES : NO);
  return known == YES;
}

void socket_bound_guest(int fd, bool flows)
{
  if (!kernel_bounds_enough())
    set(fd, SOL_SOCKET, SO_RCVBUF, flows ? GUEST_FLOWS_BYTES : GUEST_QUIET_BYTES);
}

void socket_tune_guest(int fd, const struct sockaddr *address)
{
  if (address->sa_family == AF_UNIX)
    return;
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  alive_tune(fd);
  loopback_tune(fd, address);
}

void socket_tune_listener(int fd, const struct sockaddr *address)
{
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set(fd, SOL_SOCKET, SO_RCVBUF, PERSON_HELD_BYTES);
  if (address->sa_family == AF_INET6)
    set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  loopback_tune(fd, address);
}

void socket_tune_console(int fd)
{
  set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
  alive_tune(fd);
}

void socket_push(int fd) { set(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

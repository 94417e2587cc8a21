/* What sockets of the gateway are told: how much they may hold, and how loopback is to be treated. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "core/guestnet.h"

/* 127.0.0.0/8 or ::1 */
bool socket_is_loopback(const struct sockaddr *address);

/* An interface of this machine has that address now. Where the kernel does not tell, every address is. */
bool socket_is_own(const GuestAddressBits *address);

/* Before connect, of a socket to a guest. */
void socket_tune_guest(int fd, const struct sockaddr *address);
/* Once a guest is connected, and again when some MiB have come from it. What it sends to one who does not read stays in its
 * socket: the kernel gives that more and more room while it flows, up to tcp_rmem; where that is more than 8 MiB it gets little
 * at first and at most 6 MiB then. Less would cost: with 1 MiB the same bytes take one and a half times the CPU time. */
void socket_bound_guest(int fd, bool flows);

/* Before listen: what a person may have sent before it is read. */
void socket_tune_listener(int fd, const struct sockaddr *address);

/* When a connection becomes a console: how much may wait to be sent to it. */
void socket_tune_console(int fd);

/* What waits to fill a segment goes out. */
void socket_push(int fd);

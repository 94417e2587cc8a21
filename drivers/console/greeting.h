/* Whether a VNC server answers at an address: a connection that hears the first word and leaves. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A server that listens there says an RFB version that we speak, before deadline_us (monotonic). address: in numbers, already held against
 * core/guestnet.h where a guest named it. On success true, else *ret_why, owned by the caller, says why not. Blocks. */
bool greeting_heard(const char *address, int port, int64_t deadline_us, char **ret_why);

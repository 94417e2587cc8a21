/* Whether anybody takes connections where a libvirt URI leads. libvirt itself tries as long as the kernel does, two minutes, and nothing ends
 * that: a host that comes back meanwhile would be found only then, and each try into nothing would hold a thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum { KNOCK_MS = 2000 };

/* For at most KNOCK_MS an address; true without trying where the URI leads to no TCP port. HOST_UNREACHABLE. Any thread that may wait. */
bool knock(const char *uri, const char *host, GError **err);

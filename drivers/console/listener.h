/* Public sockets: which addresses, and what they are called. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "drivers/console/origins.h"

/* Listens on ADDRESS:PORT or [ADDRESS]:PORT, in numbers: a non-blocking socket, and in *ret_text the same with its real port
 * (owned by the caller). plain: loopback addresses alone. -1: BAD_VALUE, PLAIN_PUBLIC, LISTEN_FAILED. */
int listener_open(const char *address, bool plain, char **ret_text, GError **err);

/* The origins of a gateway that was given none: what stands in addresses, and where that is any address, the names of this
 * machine. NULL-terminated, owned by the caller. */
char **listener_default_origins(const char *const *addresses, bool plain);

/* The gateway: the only door for people. One public port serves the page's files, passes /api/v1/ on to the controller, and opens
 * consoles against tickets, as WebSockets and by HTTP CONNECT. It knows nothing of hypervisors or the store; whatever it may do,
 * the controller told it. Nothing outside /api/v1/ reaches the controller. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "drivers/console/gateway_config.h"

typedef struct Gateway Gateway;

/* Listens and begins to serve on threads of its own. config stays the caller's and must outlive it. IO, BAD_CERTIFICATE,
 * BAD_VALUE, PLAIN_PUBLIC, LISTEN_FAILED, MISSING_FIELD, TOO_LARGE. */
Gateway *gateway_new(const GatewayConfig *config, GError **err);
/* Reads certificate and files again; what is wrong leaves the old ones in place. Sessions and consoles go on. */
bool gateway_reload(Gateway *gateway, GError **err);
/* Takes no more connections; consoles may go on for as long as configured. Returns at once. */
void gateway_stop(Gateway *gateway);
/* Waits until it has stopped by gateway_stop, at most until_us (monotonic); true if so. */
bool gateway_wait(Gateway *gateway, int64_t until_us);
/* Ends everything and frees. */
void gateway_free(Gateway *gateway);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Gateway, gateway_free)

/* Streams of changes (server-sent events) and the one thread that feeds them. It takes what is published, filters it by what each
 * caller may see, and puts it into each stream's buffer; connections take it from there. A reader that is slow fills its own
 * buffer and is cut. Internal to drivers/http. */
#pragma once

#include "drivers/http/exchange.h"

enum { WATCHERS_A_USER_MAX = 32 };

/* IO where the process has no descriptor left. */
WatchHub *watch_hub_new(Server *server, GError **err);
/* After watch_hub_end(). */
void watch_hub_free(WatchHub *hub);

/* One round: waits at most timeout_ms for news, hands them on. Of the hub's own thread. */
void watch_hub_turn(WatchHub *hub, int timeout_ms);
/* Ends every stream. Of the hub's own thread, when no more can come: after server->stopping was set. */
void watch_hub_end(WatchHub *hub);
/* Makes a turn that waits return. Any thread. */
void watch_hub_wake(WatchHub *hub);

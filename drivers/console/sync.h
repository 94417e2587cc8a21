/* Keeps the controller and this gateway of one mind about open consoles: every second, and at once when something changed, what
 * is new goes there, and what is to be cut comes back. While the controller is away consoles live on. Lives on one loop. */
#pragma once

#include "drivers/console/loop.h"
#include "drivers/console/registry.h"

typedef struct Sync Sync;

/* id: of this run of the gateway; copied, as is socket_path. */
Sync *sync_new(Loop *loop, Registry *registry, const char *socket_path, const char *id);
/* On the loop's thread, or when it has ended. */
void sync_free(Sync *sync);
/* Any thread. */
void sync_poke(Sync *sync);

/* Where callers over the network may have storages: what sarangd writes there it writes as root. Paths are judged by their text alone; whoever
 * opens one asks again with the path that it turned out to be. Pure; any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
  char **inside;  /* absolute directories, NULL-ended: as they were configured, and without links */
  char **apart;   /* the controller's own, without links, NULL-ended: no storage is one, holds one or lies in one */
} StorageGround;

void storage_ground_clear(StorageGround *ground);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StorageGround, storage_ground_clear)

/* path, absolute, is one of the directories inside or lies in one, apart from the controller's own. NULL as ground takes nothing. */
bool storage_ground_takes(const StorageGround *ground, const char *path);

/* The log of a SQLite store is folded into its file by a thread of its own, on a connection of its own: a checkpoint syncs the
 * file, and no commit should wait for that. Inside drivers/store only. */
#pragma once

#include "core/error.h"

typedef struct Checkpointer Checkpointer;

/* Starts the thread for the store at path, which stays open until checkpointer_free(). */
Checkpointer *checkpointer_new(const char *path, GError **err);
/* Waits for a checkpoint that runs. NULL is ignored. */
void checkpointer_free(Checkpointer *checkpointer);
/* Asks for a checkpoint soon. The committer's thread; never waits. */
void checkpointer_ask(Checkpointer *checkpointer);
/* Waits until the thread rests. The committer's thread. */
void checkpointer_wait(Checkpointer *checkpointer);

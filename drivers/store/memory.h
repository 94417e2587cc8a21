/* A store in memory for tests: a disk that outlives the stores opened on it. What the SQLite driver promises holds here too:
 * both pass tests/unit/store_contract. "memory:" opens one on a disk of its own. */
#pragma once

#include "drivers/store/store.h"

typedef struct MemoryDisk MemoryDisk;

MemoryDisk *memory_disk_new(void);
/* After every store on it was closed. NULL is ignored. */
void memory_disk_free(MemoryDisk *disk);

/* A store on disk; STORE_BUSY while another one is open there. What was applied before is there. */
Store *memory_open(MemoryDisk *disk, GError **err);

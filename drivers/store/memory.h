/* A store in memory for tests and the simulator: a disk that outlives the stores opened on it, and that fails as it is told. What the
 * SQLite driver promises holds here too: both pass tests/unit/store_contract. "memory:" opens one on a disk of its own. */
#pragma once

#include "drivers/store/store.h"

typedef struct MemoryDisk MemoryDisk;

/* What the next apply() does instead of succeeding. */
#define MEMORY_FAULTS(X) \
  X(MEMORY_FINE, "fine") \
  X(MEMORY_IO, "io")                         /* STORE_IO, nothing written */ \
  X(MEMORY_FULL, "full")                     /* STORE_FULL, nothing written */ \
  X(MEMORY_READ_ONLY, "read-only")           /* STORE_READ_ONLY, nothing written */ \
  X(MEMORY_UNCERTAIN_LOST, "uncertain-lost") /* STORE_UNCERTAIN: the next load(), or open, finds it was not written */ \
  X(MEMORY_UNCERTAIN_KEPT, "uncertain-kept") /* STORE_UNCERTAIN: the next load(), or open, finds it was */
ENUM_DECLARE(MemoryFault, memory_fault, MEMORY_FAULTS, N_MEMORY_FAULTS)

MemoryDisk *memory_disk_new(void);
/* After every store on it was closed. NULL is ignored. */
void memory_disk_free(MemoryDisk *disk);

/* A store on disk; STORE_BUSY while another one is open there. What was applied before is there. A crash of the process that held the disk is
 * store_close() and this: what an apply() had not finished is gone, and an uncertain one is decided. */
Store *memory_open(MemoryDisk *disk, GError **err);

/* The apply() after skip more of them ends with fault. One fault is armed at a time. Any thread. */
void memory_fail_apply(MemoryDisk *disk, MemoryFault fault, int skip);
/* Every apply() fails until it is MEMORY_FINE again. */
void memory_set_state(MemoryDisk *disk, MemoryFault fault);
/* The load() after skip more of them fails with STORE_IO. */
void memory_fail_load(MemoryDisk *disk, int skip);
/* Every apply() takes so long. */
void memory_set_delay(MemoryDisk *disk, int64_t delay_us);

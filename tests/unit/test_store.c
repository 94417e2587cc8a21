#include "drivers/store/memory.h"
#include "tests/unit/store_contract.h"
#include "tests/unit/store_files.h"

static void *sqlite_world(void)
{
  return directory_new();
}

static Store *sqlite_open_world(void *world, GError **err)
{
  return open_sqlite(world, err);
}

static void *memory_world(void)
{
  return memory_disk_new();
}

static void memory_world_free(void *world)
{
  memory_disk_free(world);
}

static Store *memory_open_world(void *world, GError **err)
{
  return memory_open(world, err);
}

int main(void)
{
  static const StoreSubject sqlite = { "sqlite", sqlite_world, directory_free, sqlite_open_world };
  static const StoreSubject memory = { "memory", memory_world, memory_world_free, memory_open_world };
  return store_contract_run(&sqlite) + store_contract_run(&memory);
}

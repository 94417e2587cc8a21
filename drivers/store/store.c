#include "drivers/store/store.h"

#include <string.h>

extern const StoreDriver store_sqlite, store_memory;

const StoreDriver *const store_drivers[] = { &store_sqlite, &store_memory, NULL };

static const StoreDriver *driver_find(const char *uri, const char **ret_location, GError **err)
{
  const char *colon = strchr(uri, ':');
  size_t length = colon ? (size_t)(colon - uri) : strlen(uri);
  for (const StoreDriver *const *d = store_drivers; *d; d++)
    if (colon && strlen((*d)->scheme) == length && !strncmp((*d)->scheme, uri, length)) {
      *ret_location = colon + 1;
      return *d;
    }
  return error_null(err, REASON_UNSUPPORTED, "what", uri, "by", "the store", NULL);
}

Store *store_open(const char *uri, GError **err)
{
  const char *location;
  const StoreDriver *driver = driver_find(uri, &location, err);
  return driver ? driver->open(location, err) : NULL;
}

void store_close(Store *store)
{
  if (store)
    store->driver->close(store);
}

bool store_restore(const char *uri, const char *path, char **ret_kept, GError **err)
{
  const char *location;
  const StoreDriver *driver = driver_find(uri, &location, err);
  if (!driver)
    return false;
  if (!driver->restore)
    return error_false(err, REASON_UNSUPPORTED, "what", "restore", "by", uri, NULL);
  g_autofree char *kept = NULL;
  if (!driver->restore(location, path, &kept, err))
    return false;
  if (ret_kept)
    *ret_kept = g_steal_pointer(&kept);
  return true;
}

int64_t store_name_number(Noun noun, const char *name)
{
  enum { DIGITS = 18 };
  if (name[0] != schemas[noun].noun[0] || name[1] != '-' || name[2] < '1' || name[2] > '9')
    return 0;
  int64_t number = 0;
  const char *c = name + 2;
  for (; *c >= '0' && *c <= '9' && c - name < 2 + DIGITS; c++)
    number = number * 10 + (*c - '0');
  return *c ? 0 : number;
}

void store_object_drop(void *object)
{
  const Object *o = object;
  object_unref(&schemas[o->noun], o);
}

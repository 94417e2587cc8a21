#include "core/ground.h"

#include "core/text.h"

void storage_ground_clear(StorageGround *ground)
{
  g_clear_pointer(&ground->inside, g_strfreev);
  g_clear_pointer(&ground->apart, g_strfreev);
}

bool storage_ground_takes(const StorageGround *ground, const char *path)
{
  if (!ground || *path != '/')
    return false;
  g_autofree char *plain = g_canonicalize_filename(path, NULL);
  for (char **own = ground->apart; own && *own; own++)
    if (path_holds(plain, *own) || path_holds(*own, plain))
      return false;
  for (char **directory = ground->inside; directory && *directory; directory++)
    if (path_holds(*directory, plain))
      return true;
  return false;
}

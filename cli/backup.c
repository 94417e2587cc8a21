/* sarang backup and restore: the store as a file. A backup is the daemon's work while it runs; a restore is done here while it does not. */
#include <stdio.h>

#include "cli/command.h"
#include "drivers/store/store.h"

bool command_backup(Command *c, GError **err)
{
  g_autofree char *path = g_canonicalize_filename(c->words->pdata[0], NULL);
  json_auto_t *body = json_pack("{ss}", "path", path);
  if (!client_ask(&c->place, METHOD_POST, api_rows[API_BACKUP].path, body, NULL, NULL, err))
    return false;
  if (!c->quiet)
    printf(say(c->place.lang, "the store is kept in %s: it holds hashes of passwords, keep it safe\n"), path);
  return true;
}

bool command_restore(Command *c, GError **err)
{
  const char *state = command_flag(c, "state");
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", state ? state : "/var/lib/sarang");
  g_autofree char *kept = NULL;
  if (!store_restore(uri, c->words->pdata[0], &kept, err))
    return false;
  if (!c->quiet && kept)
    printf(say(c->place.lang, "restored; what was there is kept as %s\n"), kept);
  else if (!c->quiet)
    puts(say(c->place.lang, "restored; there was nothing before"));
  return true;
}

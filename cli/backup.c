/* sarang backup and restore: the store as a file. A backup is the daemon's work while it runs; a restore is done here while it does not. */
#include <stdio.h>

#include "cli/command.h"
#include "drivers/store/store.h"

bool command_backup(Command *c, GError **err)
{
  if (c->words->len != 1)
    return error_false(err, REASON_USAGE, "what", "one new file is to be named", "help", "backup", NULL);
  json_auto_t *body = json_pack("{ss}", "path", c->words->pdata[0]);
  if (!client_ask(&c->place, METHOD_POST, api_rows[API_BACKUP].path, body, NULL, NULL, err))
    return false;
  if (!c->quiet)
    printf("the store is kept in %s: it holds hashes of passwords, keep it safe\n", (char *)c->words->pdata[0]);
  return true;
}

bool command_restore(Command *c, GError **err)
{
  const char *state = command_flag(c, "state");
  if (c->words->len != 1)
    return error_false(err, REASON_USAGE, "what", "one backup is to be named", "help", "restore", NULL);
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", state ? state : "/var/lib/sarang");
  g_autofree char *kept = NULL;
  if (!store_restore(uri, c->words->pdata[0], &kept, err))
    return false;
  if (!c->quiet)
    printf("restored; %s%s\n", kept ? "what was there is kept as " : "there was nothing before", kept ? kept : "");
  return true;
}

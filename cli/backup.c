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

typedef struct {
  Batch *batch;  /* ends every token and ticket */
} Revoking;

static void token_end(Object *take_object, void *data)
{
  Revoking *r = data;
  if (take_object->noun == NOUN_TOKEN || take_object->noun == NOUN_TICKET) {
    Change change = { take_object->noun, CHANGE_DELETE, take_object };
    g_array_append_val(r->batch->changes, change);
  } else {
    object_unref(&schemas[take_object->noun], take_object);
  }
}

/* A backup brings back what was revoked since; nobody can tell which that is. */
static bool tokens_revoke(const char *uri, GError **err)
{
  Store *store = store_open(uri, err);
  if (!store)
    return false;
  g_autoptr(Batch) batch = batch_new(0);
  Revoking revoking = { batch };
  int64_t sequence = 0;
  bool ok = store->driver->load(store, token_end, &revoking, &sequence, err);
  batch->sequence = sequence + 1;
  const Batch *one = batch;
  ok = ok && (!batch->changes->len || store->driver->apply(store, &one, 1, 0, err));
  store_close(store);
  return ok;
}

bool command_restore(Command *c, GError **err)
{
  const char *state = command_flag(c, "state");
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", state ? state : "/var/lib/sarang");
  g_autofree char *kept = NULL;
  bool revokes = command_flag(c, "revoke_tokens");
  if (!store_restore(uri, c->words->pdata[0], &kept, err) || (revokes && !tokens_revoke(uri, err)))
    return false;
  if (!c->quiet && kept)
    printf(say(c->place.lang, "restored; what was there is kept as %s\n"), kept);
  else if (!c->quiet)
    puts(say(c->place.lang, "restored; there was nothing before"));
  if (!c->quiet && !revokes)
    puts(say(c->place.lang,
             "passwords are those of the backup, and tokens revoked since are good again: restore with --revoke-tokens to end them all"));
  return true;
}

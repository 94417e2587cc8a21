#include "drivers/store/sqlite_checkpoint.h"

#include <pthread.h>

#include "core/log.h"
#include "drivers/store/sqlite_db.h"
#include "drivers/store/sqlite_files.h"

struct Checkpointer {
  sqlite3 *db;
  char *path;
  pthread_t thread;
  pthread_mutex_t lock; /* not GMutex: ThreadSanitizer does not see those */
  pthread_cond_t wake, rest;
  bool asked, works, ended; /* under lock */
};

static bool wait_asked(Checkpointer *c)
{
  pthread_mutex_lock(&c->lock);
  c->works = false;
  pthread_cond_signal(&c->rest);
  while (!c->asked && !c->ended)
    pthread_cond_wait(&c->wake, &c->lock);
  c->asked = false;
  c->works = !c->ended;
  bool go_on = c->works;
  pthread_mutex_unlock(&c->lock);
  return go_on;
}

/* One that fails loses nothing: the log keeps what it holds, and the next one tries again. Busy: it met a commit's very end. */
static void checkpoint(sqlite3 *db)
{
  g_autoptr(GError) err = NULL;
  int code = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY)
    return;
  db_error(db, "checkpoint", &err);
  log_warning("store", "the log could not be folded into the store", "error", err->message);
}

static void *checkpoint_until_ended(void *data)
{
  Checkpointer *c = data;
  files_sync_wal(c->path);
  while (wait_asked(c))
    checkpoint(c->db);
  return NULL;
}

Checkpointer *checkpointer_new(const char *path, GError **err)
{
  sqlite3 *db = db_open(path, DB_WRITE, err);
  if (!db)
    return NULL;
  Checkpointer *c = g_new0(Checkpointer, 1);
  c->db = db;
  c->path = g_strdup(path);
  c->works = true;
  pthread_mutex_init(&c->lock, NULL);
  pthread_cond_init(&c->wake, NULL);
  pthread_cond_init(&c->rest, NULL);
  g_assert(pthread_create(&c->thread, NULL, checkpoint_until_ended, c) == 0);
  return c;
}

void checkpointer_free(Checkpointer *c)
{
  if (!c)
    return;
  pthread_mutex_lock(&c->lock);
  c->ended = true;
  pthread_cond_signal(&c->wake);
  pthread_mutex_unlock(&c->lock);
  pthread_join(c->thread, NULL);
  sqlite3_close(c->db);
  pthread_mutex_destroy(&c->lock);
  pthread_cond_destroy(&c->wake);
  pthread_cond_destroy(&c->rest);
  g_free(c->path);
  g_free(c);
}

void checkpointer_ask(Checkpointer *c)
{
  pthread_mutex_lock(&c->lock);
  c->asked = true;
  pthread_cond_signal(&c->wake);
  pthread_mutex_unlock(&c->lock);
}

void checkpointer_wait(Checkpointer *c)
{
  pthread_mutex_lock(&c->lock);
  while (c->works || c->asked)
    pthread_cond_wait(&c->rest, &c->lock);
  pthread_mutex_unlock(&c->lock);
}

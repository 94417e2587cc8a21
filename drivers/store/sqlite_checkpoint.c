#include "drivers/store/sqlite_checkpoint.h"

#include <pthread.h>

#include "core/log.h"
#include "drivers/store/sqlite_db.h"

struct Checkpointer {
  sqlite3 *db;
  GThread *thread;
  pthread_mutex_t lock; /* not GMutex: ThreadSanitizer does not see those */
  pthread_cond_t wake;
  bool asked, ended; /* under lock */
};

static bool wait_asked(Checkpointer *c)
{
  pthread_mutex_lock(&c->lock);
  while (!c->asked && !c->ended)
    pthread_cond_wait(&c->wake, &c->lock);
  c->asked = false;
  bool go_on = !c->ended;
  pthread_mutex_unlock(&c->lock);
  return go_on;
}

/* A checkpoint that fails loses nothing: the log keeps what it holds, and the next one tries again. */
static void *checkpoint_until_ended(void *data)
{
  Checkpointer *c = data;
  while (wait_asked(c)) {
    g_autoptr(GError) err = NULL;
    if (sqlite3_wal_checkpoint_v2(c->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) == SQLITE_OK)
      continue;
    db_error(c->db, "checkpoint", &err);
    log_warning("store", "the log could not be folded into the store", "error", err->message);
  }
  return NULL;
}

Checkpointer *checkpointer_new(const char *path, GError **err)
{
  sqlite3 *db = db_open(path, DB_WRITE, err);
  if (!db)
    return NULL;
  Checkpointer *c = g_new0(Checkpointer, 1);
  c->db = db;
  pthread_mutex_init(&c->lock, NULL);
  pthread_cond_init(&c->wake, NULL);
  c->thread = g_thread_new("checkpoint", checkpoint_until_ended, c);
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
  g_thread_join(c->thread);
  sqlite3_close(c->db);
  pthread_mutex_destroy(&c->lock);
  pthread_cond_destroy(&c->wake);
  g_free(c);
}

void checkpointer_ask(Checkpointer *c)
{
  pthread_mutex_lock(&c->lock);
  c->asked = true;
  pthread_cond_signal(&c->wake);
  pthread_mutex_unlock(&c->lock);
}

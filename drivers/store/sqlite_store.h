/* What the files of the SQLite driver share: its handles, and the slots that live in files of their own. Inside drivers/store only. */
#pragma once

#include "drivers/store/sqlite_checkpoint.h"
#include "drivers/store/sqlite_db.h"
#include "drivers/store/store.h"

/* Kept statements of one noun, made when they are first needed. */
typedef struct {
  sqlite3_stmt *put, *archive, *delete_numbered, *delete_named, *prune;
} NounStatements;

typedef struct {
  Store head;
  char *path;
  int lock_fd;
  sqlite3 *db;
  sqlite3_stmt *begin, *commit, *rollback, *advance, *seal;
  NounStatements nouns[N_NOUNS];
  Checkpointer *checkpointer;
  int log_frames;      /* pages in the log after the last commit */
  int log_asked;       /* how many there were when it was folded in last */
  bool uncertain;      /* the last commit's fate is not known yet: seal() */
} SqliteStore;

extern const StoreDriver store_sqlite;

/* Slots of other files, see StoreDriver. */
StoreReader *sqlite_reader_open(Store *store, GError **err);
void sqlite_reader_close(StoreReader *reader);
GPtrArray *sqlite_history(StoreReader *reader, Noun noun, const char *before, int limit, GError **err);
Object *sqlite_find(StoreReader *reader, Noun noun, const char *name, GError **err);
bool sqlite_backup(Store *store, const char *path, GError **err);
bool sqlite_check(Store *store, GError **err);
bool sqlite_restore(const char *location, const char *path, char **ret_kept, GError **err);
/* Ends a restore that a crash cut short. Under the lock, before the store is opened. */
bool sqlite_restore_finish(const char *location, GError **err);
/* The store's own row, its sum proven. */
bool sqlite_read_state(sqlite3 *db, int64_t *ret_sequence, int64_t *ret_epoch, GError **err);

/* The store: what is durable. It keeps rows of our nouns and knows nothing of what they mean: no queries by predicate, no rules.
 * Everything that the brain decides reaches it as a Batch, which is applied whole or not at all; everything the brain knows at start comes
 * out of load(). History (archived objects, events) is paged.
 *
 * Threads: load and apply are called by one thread at a time, the committer's. backup and check may run beside them on another thread (one
 * at a time): a large store is copied while commits go on. history() and find() are called by reader threads, each on a reader of its own
 * (reader_open, any thread), and never wait for a writer, nor a writer for them. Every reader is closed before its store.
 * Errors: STORE_READ_ONLY, STORE_FULL, STORE_IO, STORE_BUSY (another process holds it), STORE_OPEN_TO_OTHERS (file modes), STORE_NEWER
 * (written by a newer Sarang), STORE_DAMAGED, STORE_FENCED (another controller took over: epoch), STORE_GAP (a batch does not follow the last
 * one). After a failed apply() nothing of the batches is durable; after STORE_UNCERTAIN nobody can know, and the store takes no
 * batch until the caller has loaded it again: a load() that succeeds makes one of the two answers final, also for a crash that follows.
 * Ownership: a Store is opened with store_open() and closed with store_close(); batches stay the caller's. Lists that are handed out drop
 * their objects' references when they are freed. */
#pragma once

#include "core/error.h"
#include "core/model.h"

typedef struct Store Store;
typedef struct StoreReader StoreReader;

/* Called for every live object, noun by noun in the order of NOUNS; takes the reference. Events are not loaded. */
typedef void (*StoreSink)(Object *object, void *data);

typedef struct {
  const char *scheme; /* "sqlite": of URIs such as sqlite:/var/lib/sarang/sarang.db */
  /* Makes or migrates it, refuses a newer one, looks whether it is whole within a bounded time, holds it against other processes. */
  Store *(*open)(const char *location, GError **err);
  void (*close)(Store *store);
  /* *ret_sequence: of the last batch applied; 0 for a new store. What the sink got before an error is worth nothing. */
  bool (*load)(Store *store, StoreSink sink, void *data, int64_t *ret_sequence, GError **err);
  /* n batches in one commit, in order; the first follows the last one applied, without a gap. epoch: which leader writes; a lower one than
   * the store's is STORE_FENCED, a higher one takes over. PUT makes or replaces; DELETE and ARCHIVE of an object that was never put are
   * fine (it was made and ended in one batch). List items with a newline are BAD_VALUE. */
  bool (*apply)(Store *store, const Batch *const *batches, int n, int64_t epoch, GError **err);
  /* A consistent copy while running, durable and readable by its owner alone (it holds hashes of passwords and tokens). path must not
   * exist: EXISTS. NULL: keeps nothing. */
  bool (*backup)(Store *store, const char *path, GError **err);
  /* Full integrity check: every page, every row. */
  bool (*check)(Store *store, GError **err);
  StoreReader *(*reader_open)(Store *store, GError **err);
  void (*reader_close)(StoreReader *reader);
  /* Up to limit rows of noun, live ones and archived, newest first: by the number in the name ("e-812"), else by the order of creation. before:
   * name of the row to go on behind, NULL from the newest; a numbered one need not exist, another one is NOT_FOUND then. GPtrArray of
   * Object *, owned by the caller. */
  GPtrArray *(*history)(StoreReader *reader, Noun noun, const char *before, int limit, GError **err);
  /* One row by name: the live one, else the one archived last; NULL with NOT_FOUND where there is none. */
  Object *(*find)(StoreReader *reader, Noun noun, const char *name, GError **err);
  /* Puts the backup at path in the place of the store at location, which no process may hold (STORE_BUSY). The backup is checked first, whole;
   * what was there is kept beside it. *ret_kept: under which name, owned by the caller, NULL where there was nothing. A crash leaves
   * the old store or the new one. NULL: keeps nothing. */
  bool (*restore)(const char *location, const char *path, char **ret_kept, GError **err);
} StoreDriver;

/* Every driver; ended by NULL. */
extern const StoreDriver *const store_drivers[];

/* What drivers' handles begin with. */
struct Store {
  const StoreDriver *driver;
};
struct StoreReader {
  const StoreDriver *driver;
};

/* Opens "SCHEME:LOCATION". UNSUPPORTED for an unknown scheme, else the driver's errors. */
Store *store_open(const char *uri, GError **err);
void store_close(Store *store);

/* For `sarang restore`: see StoreDriver.restore. UNSUPPORTED for an unknown scheme, or one that keeps nothing. ret_kept may be NULL. */
bool store_restore(const char *uri, const char *path, char **ret_kept, GError **err);

/* The number in a numbered object's name: 17 for the desktop "d-17", the session "s-17", the event "e-17": the noun's first letter, '-', a
 * number without leading zeros. 0 for every other name. */
int64_t store_name_number(Noun noun, const char *name);
/* GDestroyNotify of lists of Object *. */
void store_object_drop(void *object);

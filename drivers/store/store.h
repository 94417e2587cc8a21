/* The store: what is durable. It keeps rows of our nouns and knows nothing of what they mean: no queries by predicate, no rules.
 * Everything that the brain decides reaches it as a Batch, which is applied whole or not at all; everything the brain knows at start comes
 * out of load(). History (archived objects, events) is paged.
 *
 * Threads: load, apply, backup and check are called by one thread at a time, the committer's. history() is called by reader threads, each
 * on a reader of its own (reader_open), and never waits for a writer, nor a writer for it.
 * Errors: STORE_READ_ONLY, STORE_FULL, STORE_IO, STORE_BUSY, STORE_NEWER (written by a newer Sarang), STORE_DAMAGED, STORE_FENCED (another
 * controller took over: epoch). After a failed apply() nothing of the batches is durable; after STORE_UNCERTAIN nobody can know: the caller
 * reloads before it decides anything else.
 * Ownership: a Store is opened with store_open() and closed with store_close(); batches stay the caller's. */
#pragma once

#include "core/error.h"
#include "core/model.h"

typedef struct Store Store;
typedef struct StoreReader StoreReader;

/* Called for every live object, noun by noun in the order of NOUNS; takes the reference. Events are not loaded. */
typedef void (*StoreSink)(Object *object, void *data);

typedef struct {
  const char *scheme; /* "sqlite": of URIs such as sqlite:/var/lib/sarang/sarang.db */
  /* Makes or migrates it, refuses a newer one, checks its integrity. */
  Store *(*open)(const char *location, GError **err);
  void (*close)(Store *store);
  /* *ret_sequence: of the last batch applied; 0 for a new store. */
  bool (*load)(Store *store, StoreSink sink, void *data, int64_t *ret_sequence, GError **err);
  /* n batches in one commit, in order. epoch: which leader writes; a lower one than the store's is STORE_FENCED. */
  bool (*apply)(Store *store, const Batch *const *batches, int n, int64_t epoch, GError **err);
  /* A consistent copy while running; path must not exist. */
  bool (*backup)(Store *store, const char *path, GError **err);
  /* Full integrity check. */
  bool (*check)(Store *store, GError **err);
  StoreReader *(*reader_open)(Store *store, GError **err);
  void (*reader_close)(StoreReader *reader);
  /* Up to limit rows of noun, live ones and archived, newest first: those whose number (the number in "e-812", "s-3"; else the order of creation)
   * is below before; 0 = from the newest. GPtrArray of Object *, owned by the caller, who drops each reference. */
  GPtrArray *(*history)(StoreReader *reader, Noun noun, int64_t before, int limit, GError **err);
  /* One row by name, live or archived; NULL with NOT_FOUND where there is none. */
  Object *(*find)(StoreReader *reader, Noun noun, const char *name, GError **err);
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

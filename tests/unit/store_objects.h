/* Objects, batches and stores as the store's tests make them: shared by the contract suite, the SQLite tests and the tests of faults. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "drivers/store/store.h"

/* An object whose every field is set by its type, from empty (variant 0) to the longest, largest and most hostile it may hold. */
enum { N_VARIANTS = 8 };
Object *make_object(Noun noun, const char *name, int variant);
void assert_objects_equal(const Object *a, const Object *b);

/* Appends a change; takes the object's reference. */
void batch_add(Batch *batch, int how, Object *object);
/* A batch of one object in its variant. */
Batch *batch_of(int64_t sequence, int how, Noun noun, const char *name, int variant);

/* Applies one batch and drops it; asserts success. */
void must_apply(Store *store, Batch *take_batch);
/* Applies one batch and drops it; asserts failure by reason. */
void must_refuse(Store *store, Batch *take_batch, int64_t epoch, Reason reason);

/* What load() gives, in its order; owned by the caller. ret_sequence may be NULL. Asserts success. */
GPtrArray *load_objects(Store *store, int64_t *ret_sequence);
/* name of the only noun's live objects, "a b c" in the order of load. */
char *loaded_names(Store *store, Noun noun);
/* "e-3 e-2", or the reason's wire name. */
char *history_names(StoreReader *reader, Noun noun, const char *before, int limit);
StoreReader *must_read(Store *store);

/* Batch sequence of a story that tells by itself whether it is whole: a desktop put, the one before the last archived, an event, a ticket put and
 * another deleted. */
Batch *story_batch(int64_t sequence);
/* Asserts that the store holds exactly what story_batch() 1 … sequence left. */
void assert_story(Store *store, int64_t sequence);

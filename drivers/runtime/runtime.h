/* The runtime: where the pure core meets threads. One brain thread owns the model; one committer thread makes batches durable, several in one commit; lanes
 * run steps. Requests go in here, answers come back once what they say is durable. Reads never come here: see published.h. */
#pragma once

#include "core/api.h"
#include "drivers/runtime/published.h"
#include "drivers/store/store.h"

typedef struct Runtime Runtime;

/* Called once for each request, on the committer's or the brain's thread: it must only hand the answer on. Owns answer. */
typedef void (*RuntimeAnswerFn)(Answer *answer, void *data);

/* Takes request. Any thread; never blocks. When more than the configured number wait, answer is OVERLOADED at once; while the store cannot be
 * written, it is the store's reason (503). */
void runtime_submit(Runtime *runtime, Request *take_request, RuntimeAnswerFn answer, void *data);

/* What is durable, for reads; lives as long as the runtime. */
Published *runtime_published(Runtime *runtime);

/* The store, for history readers and backups; lives as long as the runtime. */
Store *runtime_store(Runtime *runtime);

/* Now, in µs since 1970: the wall clock at start plus what a monotonic clock counted since, so it never jumps. Any thread. */
int64_t runtime_now_us(Runtime *runtime);

/* The runtime: where the pure core meets threads. One brain thread owns the model; one committer thread makes batches durable, several in one commit; lanes
 * run steps. Requests go in here, answers come back once what they say is durable. Reads never come here: see published.h. */
#pragma once

#include "core/api.h"
#include "core/ground.h"
#include "core/guestnet.h"
#include "core/rate.h"
#include "drivers/runtime/published.h"
#include "drivers/store/store.h"

typedef struct Runtime Runtime;

/* Called once for each request, on the committer's or the brain's thread: it must only hand the answer on. Owns answer. */
typedef void (*RuntimeAnswerFn)(Answer *answer, void *data);

/* Takes request. Any thread; never blocks. When more than the configured number wait, answer is OVERLOADED at once; while the store cannot be
 * written, it is the store's reason (503). */
void runtime_submit(Runtime *runtime, Request *take_request, RuntimeAnswerFn answer, void *data);

/* A token let somebody in: kept with it, some minutes later at most. Any thread; never blocks. Tell it no oftener than once a minute. */
void runtime_token_used(Runtime *runtime, const char *token);

/* What is durable, for reads; lives as long as the runtime. */
Published *runtime_published(Runtime *runtime);

/* Why the last commit failed; NULL = it did not, or there was none yet. Owned by the caller. Any thread. */
GError *runtime_store_failure(Runtime *runtime);

/* The store, for history readers and backups; lives as long as the runtime. */
Store *runtime_store(Runtime *runtime);

/* Now, in µs since 1970: the wall clock at start plus what a monotonic clock counted since, so it never jumps. Any thread. */
int64_t runtime_now_us(Runtime *runtime);

/* ── opening and closing: the daemon's and the tests' ── */

typedef struct {
  const char *store_uri;       /* sqlite:PATH, memory: */
  int64_t requests_max;        /* waiting at the same time; more are OVERLOADED */
  const char *page_url;        /* where people find the gateway's page; outlives the runtime; NULL = nowhere */
  bool never_kvm;              /* guests are emulated even where a host offers KVM */
  bool allow_plain_tcp;        /* hosts by qemu+tcp, which nobody guards */
  int64_t poll_us;             /* between looks at each host beside its events */
  int64_t keep_days[N_NOUNS];  /* how long the history of EVENT, TASK, SESSION and DEMAND is kept; 0 = for ever */
  Rate rate, staff_rate;       /* how fast a person of role user or viewer, an operator or administrator has things changed over the network */
  int64_t token_days_max;      /* how long a token for programs may last; 0 = 366 */
  const GuestNetworks *guest_networks; /* where servers in guests may be dialled; outlives the runtime; NULL = nowhere */
  const StorageGround *ground; /* where a storage may lie that is made over the network, see places.h; outlives the runtime; NULL = nowhere */
  const char *imports;         /* directory whose files may be imported over the network, see places.h; outlives the runtime; NULL = none may */
} RuntimeOptions;

/* Opens the store, loads it, starts the threads, connects to the hosts. NULL with the store's reasons. */
Runtime *runtime_new(const RuntimeOptions *options, GError **err);
/* Stops: requests that wait are answered UNAVAILABLE, steps under way are left to the next start. NULL is ignored. */
void runtime_free(Runtime *runtime);

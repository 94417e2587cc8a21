/* The brain: it decides, and touches nothing. In go requests, results of steps, observations and the time; out come one batch to make durable, and what may
 * leave only after that: answers and orders. The same brain runs in the daemon, in tests and in the simulator. It keeps no clock, no thread, no
 * socket; one thread at a time calls it. Given the same inputs it decides the same. */
#pragma once

#include "core/api.h"
#include "core/ground.h"
#include "core/observe.h"
#include "core/rate.h"
#include "core/step.h"

typedef struct Brain Brain;

typedef struct {
  /* n unguessable bytes (in the simulator: repeatable ones) */
  void (*random)(void *data, uint8_t *bytes, size_t n);
  void *random_data;
  int64_t last_event;     /* number of the newest event in the store */
  int64_t sequence;       /* of the last batch in the store */
  const char *page_url;   /* of the gateway's page, without a slash at the end; NULL = sessions have no link. Outlives the brain */
  bool allow_plain_tcp;   /* hosts by qemu+tcp may be enrolled */
  int64_t keep_us[N_NOUNS]; /* how long the history of EVENT, TASK, SESSION and DEMAND is kept; 0 = for ever */
  Rate rate, staff_rate;  /* how fast a person of role user or viewer, an operator or administrator has things changed over the network */
  int64_t token_days_max; /* how long a token for programs may last; 0 = 366 */
  const StorageGround *ground; /* where a storage may lie that is made over the network; NULL = nowhere. Outlives the brain */
  int (*minute)(int64_t now_us); /* which of the day's 1440 it is where the controller stands; NULL = UTC's */
  const char *imports;    /* directory, without a link in it, whose files may be imported over the network; NULL = none may. Outlives the brain */
} BrainOptions;

/* An answer that may leave once the batch beside it is durable. reply is what the request came with. */
typedef struct {
  void *reply;
  Answer *answer;
} Reply;

typedef struct {
  Batch *batch;         /* NULL = nothing to make durable */
  GArray *replies;      /* of Reply */
  GPtrArray *orders;    /* of StepOrder * */
  GPtrArray *seen;      /* of Object *: as they are now, observed anew without a change to make durable; NULL = none */
  GPtrArray *notices;   /* of GError *: what the log is told beside events; NULL = nothing */
  int64_t wake_us;      /* call brain_tick at this time at the latest; INT64_MAX = not needed */
} Output;

Brain *brain_new(const BrainOptions *options);
void brain_free(Brain *brain);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Brain, brain_free)

/* Before brain_start: every live object of the store; takes the reference. A StoreSink. */
void brain_load(Object *take_object, void *brain);
/* Once, after loading: takes up what a crash or a stop left, by the ordinary rules. */
void brain_start(Brain *brain, int64_t now_us);

/* Takes request. Its answer comes in an Output, now or later, exactly once. */
void brain_request(Brain *brain, Request *take_request, void *reply, int64_t now_us);
/* Takes result; one that is late, doubled or of an unknown task changes nothing. */
void brain_result(Brain *brain, StepResult *take_result, int64_t now_us);
/* Takes observation. */
void brain_observe(Brain *brain, Observation *take_observation, int64_t now_us);
/* Token name let somebody in just now. Cheap: may be told for every request. */
void brain_token_used(Brain *brain, const char *name, int64_t now_us);
/* Time passed. */
void brain_tick(Brain *brain, int64_t now_us);

/* What came of the calls since the last time. The caller owns it: output_clear. */
void brain_take_output(Brain *brain, Output *ret_output);
void output_clear(Output *output);

/* Our mark on hosts; borrowed, set by brain_start. */
const char *brain_controller(const Brain *brain);

/* A live object, borrowed; for tests, the simulator and the runtime's own thread. */
const Object *brain_find(Brain *brain, Noun noun, const char *name);
/* Every live object of a noun: borrowed names, owned array. */
GPtrArray *brain_names(Brain *brain, Noun noun);

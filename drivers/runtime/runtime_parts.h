/* What runtime.c (brain and committer) and dispatch.c (orders and observations) share. */
#pragma once

#include "core/brain.h"
#include "drivers/runtime/runtime.h"

typedef struct {
  Runtime *runtime;
  Brain *brain;
} RuntimeStart;

/* Any thread. */
void runtime_push_result(Runtime *runtime, StepResult *take_result);
void runtime_push_observation(Runtime *runtime, Observation *take_observation);
/* n bytes of the kernel's randomness. */
void step_random(void *bytes, size_t n);

/* Carries orders to lanes and file workers, and what hosts show to the brain. */
typedef struct Dispatch Dispatch;

typedef struct {
  bool never_kvm, allow_plain_tcp;
  int64_t poll_us;
  int64_t look_us;  /* how long one look at whether a guest is ready may take, by its serial line six times as long; 0 = 10 s */
  const StorageGround *ground;  /* see steps.h, as the next */
  const GuestNetworks *guest_networks;
} DispatchOptions;

Dispatch *dispatch_new(Runtime *runtime, const DispatchOptions *options);
/* Begins to connect, as controller (a UUID). */
void dispatch_start(Dispatch *dispatch, const char *controller);
/* No result or observation comes after it has returned. */
void dispatch_free(Dispatch *dispatch);
/* Which hosts there are: all of them anew (of Object *, other nouns are passed over), or as a durable batch changed them. */
void dispatch_replace(Dispatch *dispatch, GPtrArray *objects);
void dispatch_apply(Dispatch *dispatch, const Batch *batch);
/* Takes order. */
void dispatch_order(Dispatch *dispatch, StepOrder *take_order);

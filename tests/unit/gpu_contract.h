/* The contract suite of the GPU family: what every back end must do, run over fake cards by test_gpu.c and over a real host with
 * mediated devices by tests/contract/contract_gpu.c. */
#pragma once

#include "drivers/gpu/gpu.h"

typedef struct {
  const char *title;
  const char *uri;         /* of the hypervisor */
  bool allow_plain_tcp;
  GpuBackend backend;
  const char *card, *type; /* a card of that kind, empty, and a type it offers */
  int most;                /* how many of that type fit; 0 = not told */
  /* The way to the host's files, owned by the suite; NULL = none. */
  Exec *(*exec)(const void *data);
  const void *data;
} GpuContract;

/* Runs the suite as one cmocka group; the number of failed tests. */
int gpu_contract_run(const GpuContract *contract);

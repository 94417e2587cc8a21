/* One request to the controller over its gateway socket, and its answer, without blocking. The answer is pulled: what the asker
 * does not take stays in the socket, so a slow reader slows the controller and nobody's memory grows. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "drivers/console/httphead.h"
#include "drivers/console/loop.h"

typedef struct Upstream Upstream;

typedef enum {
  UPSTREAM_WAIT,   /* changed() will be called */
  UPSTREAM_HEAD,   /* upstream_head has it; nothing of the body was taken yet */
  UPSTREAM_DATA,   /* body bytes */
  UPSTREAM_END,    /* the body is whole */
  UPSTREAM_FAILED, /* upstream_error has why: CONTROLLER_AWAY or TIMEOUT */
} UpstreamStep;

typedef struct {
  const char *socket_path;
  GByteArray *request; /* head and body; owned by the upstream from now on, wiped before it is freed */
  bool head_request;   /* the answer has no body, whatever it says */
  LoopTimer patience;  /* how long its head may take */
  void (*changed)(void *owner);
  void *owner;
} UpstreamAsk;

/* Connects and sends; changed() is called from the loop, never from inside. */
Upstream *upstream_new(Loop *loop, const UpstreamAsk *ask);
/* Gives up what was not finished. */
void upstream_free(Upstream *upstream);

/* Goes on: HEAD once, then DATA with *ret_n bytes at buffer, until END. buffer: at least 4 KiB. */
UpstreamStep upstream_next(Upstream *upstream, uint8_t *buffer, size_t n, size_t *ret_n);
/* After HEAD; borrowed. */
const HttpResponse *upstream_head(const Upstream *upstream);
const GError *upstream_error(const Upstream *upstream);

/* A question to the controller in JSON, and its answer: what a gateway asks for itself, such as what a ticket is good for. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "drivers/console/loop.h"

typedef struct Query Query;

/* status and document (NULL: none that could be read), or error: CONTROLLER_AWAY, TIMEOUT. All borrowed. */
typedef void (*QueryAnswer)(void *owner, int status, json_t *document, const GError *error);

typedef struct {
  const char *socket_path, *path;
  json_t *body;       /* taken, and wiped after it was sent */
  LoopTimer patience; /* for the whole of it */
  QueryAnswer answer; /* called once, from the loop, unless it is cancelled before */
  void *owner;
} QueryAsk;

/* POSTs body to path. */
Query *query_new(Loop *loop, const QueryAsk *ask);
/* Not from within answer, nor after it. NULL is nothing. */
void query_cancel(Query *query);

/* What an answer's body says, owned by the caller; NULL where it is no document. */
json_t *query_document(const char *bytes, size_t n);

/* From here on jansson wipes what it frees: tickets and passwords pass through it. Once, before threads start. */
void query_init(void);

/* A stream of changes as it comes from a server: cut into lines, and what each line of server-sent events says
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html); ours have one line of data each. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Told each line without its end. False ends the stream. */
typedef bool (*LineFn)(const char *line, void *data);

typedef struct {
  GString *rest;   /* what has no end yet */
  size_t scanned;  /* so much of it holds none */
} Lines;

/* Takes n more bytes and tells the lines that are whole now; line NULL: all is only kept. False where line said so. */
bool lines_feed(Lines *lines, const char *bytes, size_t n, LineFn line, void *data);

/* NOTHING: a line that is about the next one, or says nothing. RESET: what was told before is void. */
typedef enum { SSE_NOTHING, SSE_READY, SSE_RESET, SSE_CHANGE } SseWhat;

typedef struct {
  int64_t after;   /* the last event's number */
  char event[64];
} Sse;

/* *ret_data: of a CHANGE, its JSON; borrowed from line. */
SseWhat sse_read(Sse *sse, const char *line, const char **ret_data);

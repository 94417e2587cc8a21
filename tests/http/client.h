/* A client that says exactly what a test tells it to, over a unix socket, and reads what comes back. Every wait ends after ten
 * seconds. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int status;     /* 0: the connection ended without an answer */
  char *head;     /* header lines, as they came */
  GString *body;  /* chunks put together */
  json_t *json;   /* the body, where it is JSON */
  bool closed;    /* nothing more comes on this connection */
} Response;

void response_free(Response *response);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Response, response_free)

int client_connect(const char *path);
/* Everything, or as much as the other end takes. */
void client_send(int fd, const char *bytes, size_t n);
/* One response, to its end; of a stream without a length only the head. */
Response *client_read(int fd);
/* What came of a stream until it holds text; owned by the caller. NULL when the stream ends or ten seconds pass before. */
char *client_read_until(int fd, const char *text);
/* Whether the other end closes within the time. */
bool client_is_closed(int fd, int ms);

/* A whole exchange on a connection of its own. token may be NULL; headers: more lines, each ended by CRLF, or NULL; body: JSON,
 * or NULL. */
Response *client_ask(const char *path, const char *method, const char *target, const char *token, const char *headers,
                     const char *body);

/* The value of a header of the response, owned by the caller, or NULL. */
char *response_header(const Response *response, const char *name);
/* The problem's code, borrowed; "" where it is none. */
const char *response_code(const Response *response);

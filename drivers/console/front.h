/* The public side of one loop: connections and what they wait for. Internal to the gateway: conn.c moves a connection from
 * phase to phase, respond.c writes answers, forward.c passes requests on to the controller, door.c opens consoles. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "drivers/console/addresses.h"
#include "drivers/console/dial.h"
#include "drivers/console/files.h"
#include "drivers/console/gateway_config.h"
#include "drivers/console/httphead.h"
#include "drivers/console/loop.h"
#include "drivers/console/origins.h"
#include "drivers/console/query.h"
#include "drivers/console/registry.h"
#include "drivers/console/relay.h"
#include "drivers/console/tls.h"
#include "drivers/console/upstream.h"
#include "drivers/console/wire.h"

typedef struct Conn Conn;

/* What all loops share; nothing in it changes but the counters, which are atomic or have locks of their own. */
typedef struct {
  const GatewayConfig *config;
  const Origins *origins;
  Registry *registry;
  Addresses *addresses;
} Shared;

typedef struct {
  Shared *shared;
  Loop *loop;
  Files *files;
  Tls *tls; /* NULL: plain */
  Conn *conns; /* a list */
  int n_conns;
  bool stopping;
} Front;

/* SHAKE: TLS. HEAD: of a request; IDLE: before its first byte. BODY. WAIT: for the controller, or the guest of a CONNECT.
 * SEND: an answer from memory. STREAM: one from the controller. RELAY: a console. CLOSE: said that we are done, waits for the
 * peer. CLOSED: about to be freed. */
#define CONN_PHASES(X) X(SHAKE) X(HEAD) X(IDLE) X(BODY) X(WAIT) X(SEND) X(STREAM) X(RELAY) X(CLOSE) X(CLOSED)
typedef enum {
#define X(name) CONN_##name,
  CONN_PHASES(X)
#undef X
  N_CONN_PHASES
} ConnPhase;

struct Conn {
  Wire wire;
  Front *front;
  Conn *prev, *next;
  Deadline deadline;
  Address address;
  ConnPhase phase;
  GByteArray *in; /* read and not yet used; NULL: none */
  size_t in_scanned, head_bytes; /* of the request in hand, within in */
  /* the request in hand */
  char *line; /* method and path for the access log */
  int status;
  int64_t began_us, sent_bytes;
  bool keep_alive, head_only, korean, finished;
  /* SEND */
  GBytes *body;
  size_t body_at;
  /* BODY, WAIT, STREAM */
  GByteArray *forward; /* request to the controller */
  int64_t body_left, body_counted;
  Upstream *upstream;
  bool chunked;
  /* WAIT, RELAY */
  Query *query;
  char accept[32]; /* Sec-WebSocket-Accept; "" for CONNECT */
  Relay *relay;
};

/* ── conn.c ── */

/* Takes fd. */
void conn_new(Front *front, int fd, const Address *address);
void conn_enter(Conn *c, ConnPhase phase);
/* Goes on as far as it can. */
void conn_run(Conn *c);
/* The answer to the request in hand is on its way whole: logs it, and on to the next, or to the end. */
void conn_done(Conn *c);
/* At once, whatever is under way. */
void conn_close(Conn *c);
/* Of the loop that is about to end: false while connections are left. Consoles are ended if consoles is set. */
bool front_stop(Front *front, bool consoles);

/* ── respond.c ── */

typedef struct {
  int status;
  const char *wire, *detail; /* of a problem document */
  const char *header;        /* one more header line with its CR LF, or NULL */
} Refusal;

/* The head's first lines, with what every answer carries, no empty line yet; to be freed. */
GString *respond_head(Conn *c, int status);
/* Sends head and body (NULL: none), and enters SEND. Both are taken. */
void respond_send(Conn *c, GString *head, GBytes *body);
void respond_refusal(Conn *c, const Refusal *refusal);
void respond_http_refusal(Conn *c, HttpRefusal why);
/* A problem document of a reason, in the person's language. */
void respond_error(Conn *c, const GError *error);
/* A problem document as the controller wrote it. */
void respond_document(Conn *c, int status, json_t *document);
void respond_file(Conn *c, const HttpRequest *request);

/* ── forward.c ── */

/* Begins to pass a request on; enters BODY or WAIT, or answers. Only what has come of a body takes room. */
void forward_begin(Conn *c, const HttpRequest *request);
/* n more bytes of the body. false: there is no room for them, and the answer says so. */
bool forward_body(Conn *c, const uint8_t *bytes, size_t n);
/* The body is whole. */
void forward_send(Conn *c);
/* Pulls the answer. true: the phase has changed. */
bool forward_stream(Conn *c);
void forward_drop(Conn *c);

/* ── door.c ── */

/* GET /console with Upgrade, or CONNECT console:0; enters WAIT, or answers. */
void door_begin(Conn *c, const HttpRequest *request);
/* The ticket among the offered subprotocols, which must be exactly "binary" and one "ticket.TICKET", in any order; a slice of headers. Returns what is wrong
 * with them, or NULL. */
const Refusal *offers_read(const HttpHeaders *headers, Slice *ret_ticket);

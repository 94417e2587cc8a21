/* What the files of drivers/http share: the server, a connection (Link), and one request on its way from head to answer
 * (Exchange).
 *
 * Threads. Each door has its threads of libmicrohttpd; an Exchange belongs to the one that serves its connection. While it waits
 * (for the runtime, a password, the store) the connection is suspended and the Exchange belongs to whoever calls
 * exchange_resume(), once; then its thread goes on with `then`. */
#pragma once

#include <microhttpd.h>

#include "drivers/http/arguments.h"
#include "drivers/http/head.h"
#include "drivers/http/server.h"
#include "drivers/http/throttle.h"
#include "drivers/identity/peer.h"

typedef struct Exchange Exchange;
typedef struct Link Link;
typedef struct WatchHub WatchHub;

/* What serves an exchange: makes the response (see reply.h) or waits; false: err is the response. */
typedef bool (*ExchangeRun)(Exchange *x, GError **err);

typedef enum { DOOR_LOCAL, DOOR_GATEWAY, N_DOORS } DoorKind;

typedef struct {
  Server *server;
  DoorKind kind;
  char *path;
  struct MHD_Daemon *daemon;
} Door;

/* A connection. deadline_us: by the monotonic clock, when it is cut unless what it was set for has come; 0 = never. Atomic. */
struct Link {
  Door *door;
  int fd;
  bool has_peer;
  Peer peer;
  _Atomic int64_t deadline_us;
};

struct Server {
  HttpConfig config;
  Runtime *runtime;
  gid_t group;
  int64_t started_us;
  Door doors[N_DOORS];
  Throttle *throttle;
  GThreadPool *passwords, *readers;
  GAsyncQueue *idle_readers; /* of StoreReader */
  GString *openapi;
  gint backing_up;           /* atomic */
  WatchHub *hub;
  GThread *clock;
  gint leaving;              /* atomic: the clock ends every watch */
  gint left;                 /* atomic: and then itself */
  GMutex mutex;              /* of what follows */
  GCond changed;
  bool stopping;
  bool watches_ended;
  int waiting;               /* exchanges that were suspended and are not answered yet */
  GHashTable *links;         /* set of Link */
  GHashTable *uses;          /* token → when the runtime was told of its use last, int64_t * */

  GHashTable *gateways;      /* name → int64_t *, by the monotonic clock: when it was heard last */
};

typedef enum { STAGE_HEAD, STAGE_BODY, STAGE_WORK, STAGE_REPLIED } Stage;

struct Exchange {
  Server *server;
  Link *link;
  struct MHD_Connection *connection;
  Stage stage;
  RequestLine line;
  Head head;
  Arguments arguments;
  Lang lang;
  const char *path;
  ApiVerb verb;
  char *name;
  Caller caller;
  bool by_cookie;
  char *body;
  size_t body_bytes;
  GError *refusal;         /* found at the head, told when the body is out of the way */
  ExchangeRun then;        /* goes on after waiting */
  ExchangeRun finish;      /* of a request: adds to its answer, or fails */
  Request *request;        /* while it is made */
  Answer *answer;          /* of the runtime */
  void (*job)(Exchange *x); /* what another thread does */
  void *work;              /* of another thread: in and out; freed by free_work */
  GDestroyNotify free_work;
  GError *failure;         /* of that work */
  bool counted;            /* among server->waiting */
  bool endless;            /* the response is a stream */
  struct MHD_Response *response;
  int status;
};

/* Puts the exchange aside until exchange_resume(); then `then` goes on with it. Call right before handing it to another thread.
 * SHUTTING_DOWN. */
bool exchange_wait(Exchange *x, ExchangeRun then, GError **err);
/* Any thread. x is its own thread's again: don't touch it afterwards. */
void exchange_resume(Exchange *x);

/* Begins x->request: its verb, x's caller (which moves there) and name. */
Request *exchange_request(Exchange *x, ApiVerb verb);
/* Gives x->request to the runtime; replies with its answer, which finish, when not NULL, may add to: it sees x->answer without an
 * error, and replies itself. */
bool exchange_submit(Exchange *x, ExchangeRun finish, GError **err);

/* Runs work on a thread of pool, then goes on with `then`; SERVER_BUSY (what) where more than limit wait already. work may set
 * x->failure, which then is the response. */
bool exchange_work(Exchange *x, GThreadPool *pool, int limit, const char *what, void (*work)(Exchange *x), ExchangeRun then,
                   GError **err);
/* A GFunc for such pools. */
void exchange_work_run(void *exchange, void *data);

/* The callbacks of libmicrohttpd. */
void *exchange_on_uri(void *door, const char *uri, struct MHD_Connection *connection);
enum MHD_Result exchange_on_request(void *door, struct MHD_Connection *connection, const char *url, const char *method,
                                    const char *version, const char *upload, size_t *upload_bytes, void **exchange);
void exchange_on_done(void *door, struct MHD_Connection *connection, void **exchange, enum MHD_RequestTerminationCode code);
void link_on_change(void *door, struct MHD_Connection *connection, void **link, enum MHD_ConnectionNotificationCode code);

/* Cuts the connection unless it gets on within seconds; 0: never. */
void link_set_deadline(Link *link, int64_t seconds);
/* The thread that cuts connections which are late and keeps watches alive. data: Server. */
void *link_clock_run(void *data);

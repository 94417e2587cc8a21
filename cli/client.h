/* The command line's way to the API: over the local socket, or to a gateway by https with a token. Speaks JSON; knows nothing of nouns. */
#pragma once

#include <curl/curl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

#include "cli/sse.h"
#include "core/api.h"

typedef struct {
  char *socket;     /* of sarangd; NULL = by server */
  char *server;     /* https://HOST[:PORT] of a gateway, or NULL */
  char *token;      /* or NULL */
  char *ca_file;    /* whom to trust; NULL = the system's */
  char *context;    /* the place kept by login that is meant; NULL = the current one */
  Lang lang;        /* of what is said to people */
  bool programs;    /* what is asked for is for programs: the server tells it in English */
  bool hurry;       /* an answer that takes longer than 300 ms is none */
} Place;

/* Where to go, by flags, else environment (SARANG_SOCKET, SARANG_SERVER, SARANG_CONTEXT, SARANG_TOKEN_FILE, SARANG_CA), else the current
 * context, else the standard socket. Fields that are set already stay. NOT_FOUND, CONTEXT_OPEN, IO. */
bool place_complete(Place *place, GError **err);
void place_clear(Place *place);
/* Keeps place, which has a server and a token, as a context of that name and makes it the current one. The file is readable by its owner alone. */
bool place_save(const Place *place, const char *name, const char *user, GError **err);
/* The name a server's context gets where no other is given; owned by the caller. */
char *place_name(const char *server);
/* Forgets a context; the current one becomes "local", the socket of this machine. NOT_FOUND. */
bool place_forget(const char *name, GError **err);
/* Makes it the current one. NOT_FOUND. */
bool place_use(const char *name, GError **err);
/* Contexts as an array of { name, server, user, current }, "local" first; owned by the caller. */
bool place_list(json_t **ret_list, GError **err);

/* One request. body may be NULL. *ret_json: the answer, owned by the caller; NULL for one without JSON. *ret_bytes, if not NULL: the answer as it came, for one that is
 * not JSON. Errors: UNREACHABLE, and what the server's problem document says. */
bool client_ask(const Place *place, ApiMethod method, const char *path, json_t *body, json_t **ret_json, GBytes **ret_bytes, GError **err);

/* The same for a change of an object that must be at that generation (0: any): GENERATION where it is not. */
bool client_ask_if(const Place *place, ApiMethod method, const char *path, json_t *body, int64_t generation, json_t **ret_json, GError **err);

/* The server's problem document as the error it was made from, whatever it is; problem may be NULL. Owned by the caller. */
GError *client_problem(json_t *problem, long status);

/* Reads lines of path until the server ends it, line says so, or *stop is set, which is looked at about once a second. UNREACHABLE, and what the server's problem
 * document says; a stream that began and ended is no error. */
bool client_stream(const Place *place, const char *path, LineFn line, void *data, volatile sig_atomic_t *stop, GError **err);

/* The path of a verb for an object, escaped; owned by the caller. name NULL for verbs without. */
char *client_path(ApiVerb verb, const char *name);

/* A TLS connection to the gateway, for bytes; owned by the caller (curl_easy_cleanup). */
CURL *client_connect_raw(const Place *place, GError **err);

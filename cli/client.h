/* The command line's way to the API: over the local socket, or to a gateway by https with a token. Speaks JSON; knows nothing of nouns. */
#pragma once

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>

#include "core/api.h"

typedef struct {
  char *socket;     /* of sarangd; NULL = by server */
  char *server;     /* https://HOST[:PORT] of a gateway, or NULL */
  char *token;      /* or NULL */
  char *ca_file;    /* whom to trust; NULL = the system's */
  Lang lang;        /* of what the server says to people */
} Place;

/* Where to go, by flags, else environment (SARANG_SOCKET, SARANG_SERVER, SARANG_TOKEN_FILE, SARANG_CA), else the context that `sarang login` wrote,
 * else the standard socket. Fields that are set already stay. */
bool place_complete(Place *place, GError **err);
void place_clear(Place *place);
/* Writes the context, readable by its owner alone. */
bool place_save(const Place *place, GError **err);

/* One request. body may be NULL. *ret_json: the answer, owned by the caller; NULL for one without JSON. *ret_bytes, if not NULL: the answer as it came, for one that is
 * not JSON. Errors: UNREACHABLE, and what the server's problem document says. */
bool client_ask(const Place *place, ApiMethod method, const char *path, json_t *body, json_t **ret_json, GBytes **ret_bytes, GError **err);

/* The path of a verb for an object, escaped; owned by the caller. name NULL for verbs without. */
char *client_path(ApiVerb verb, const char *name);

/* A TLS connection to the gateway, for bytes; owned by the caller (curl_easy_cleanup). */
CURL *client_connect_raw(const Place *place, GError **err);

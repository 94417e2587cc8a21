/* Bodies of requests: JSON of strangers. Pure, fuzzed. */
#pragma once

#include <jansson.h>

#include "core/api.h"

enum { BODY_MAX_BYTES = 1 << 20, BODY_MAX_DEPTH = 32 };

/* Parses one JSON object: no duplicate names, no NUL, nothing behind it, at most 32 levels. Owned by the caller. BAD_JSON; it
 * quotes nothing of the text, which may hold a password. */
json_t *body_parse(const char *text, size_t bytes, GError **err);

/* True where body (may be NULL: none) has the members that verb takes, and those it needs. UNKNOWN_FIELD, MISSING_FIELD. */
bool body_check(ApiVerb verb, json_t *body, GError **err);

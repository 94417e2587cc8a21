/* The interface described as OpenAPI 3.1, out of the tables of verbs and nouns. Pure. */
#pragma once

#include "core/api.h"

/* The document as JSON, owned by the caller. */
GString *openapi_new(void);

/* Whether objects of noun can be listed, and so watched and described. */
bool noun_is_listed(Noun noun);

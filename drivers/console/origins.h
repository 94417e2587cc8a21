/* The names people know this gateway by. A browser says in Host whom it asks, and in Origin whose page asks: both must be one of
 * these, so that neither a foreign page nor a foreign name that leads here gets anything. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "drivers/console/httphead.h"

typedef struct Origins Origins;

/* texts: https://HOST[:PORT] (http:// where plain), NULL-terminated. BAD_VALUE. */
Origins *origins_new(const char *const *texts, GError **err);
void origins_free(Origins *origins);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Origins, origins_free)

/* Is this Host header one of ours? With or without the port that the scheme implies. */
bool origins_have_host(const Origins *origins, Slice host);
/* Is this Origin header one of ours? */
bool origins_have(const Origins *origins, Slice origin);
/* Host names and addresses without ports, as a certificate has them; NULL-terminated, owned by origins. */
const char *const *origins_names(const Origins *origins);
/* As they were given; the same. */
const char *const *origins_texts(const Origins *origins);

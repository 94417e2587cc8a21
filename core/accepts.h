/* What a GPU class accepts, best first. An entry is a type by its name (nvidia-558, whole:10de:2235), or mib:8192: any type of which a part
 * has at least so much framebuffer, whichever card gives it, the smallest first. Part of the brain. */
#pragma once

#include "core/brain_parts.h"

#define ACCEPTS_MIB "mib:"
enum { ACCEPTS_MIB_MOST = 1 << 20 };

/* What an entry asks for by size, 1 to ACCEPTS_MIB_MOST; 0 = it is a type's name. */
int64_t accepts_mib(const char *entry);
/* Whether a type of so much framebuffer (0 = its card does not tell) is acceptable; accepts may be NULL. */
bool accepts_type(const char *const *accepts, const char *type, int64_t framebuffer_mib);
/* The types that fleet's cards have of them, best first, each once: GPtrArray of borrowed strings, at least one where accepts has any, owned by the
 * caller. The strings are valid as long as accepts and the cards' shapes (ledger_fleet()). */
GPtrArray *accepts_types(Brain *b, const char *const *accepts);

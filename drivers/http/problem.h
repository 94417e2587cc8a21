/* Refusals as people and programs get them: problem documents (RFC 9457) in the language they asked for. Pure. */
#pragma once

#include <glib.h>

#include "core/error.h"

/* English or Korean, which the header prefers (RFC 9110, 12.5.4); NULL: English. */
Lang lang_pick(const char *accept_language);

/* The HTTP status of err. */
int problem_status(const GError *err);

/* {"type","title","status","detail","code","reasons":[{"code","args","text"}],"fix"}; owned by the caller. */
GString *problem_new(const GError *err, Lang lang);

/* Seconds after which trying again is worth it; 0: not unchanged. */
int problem_retry_after(const GError *err);

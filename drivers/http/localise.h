/* Refusals inside objects (why a host is not up, why a session failed) are kept as code and arguments with their English text; people get
 * that text in the language they asked for. Pure. */
#pragma once

#include "core/error.h"

/* Puts lang's text into every {"code":…,"args":{…},"text":…} of json from byte `from` on, where we know the code. */
void localise(GString *json, gsize from, Lang lang);

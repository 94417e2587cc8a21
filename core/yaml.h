/* YAML that people write, as JSON values: the subset that says data and nothing else. No anchors, aliases, tags, merge keys or directives; a key comes once; size,
 * depth and documents have limits. Plain scalars are typed by YAML 1.2's core schema: "no" is a text. Pure; any thread. */
#pragma once

#include <glib.h>
#include <jansson.h>

enum { YAML_MAX_BYTES = 4 << 20, YAML_MAX_DEPTH = 32, YAML_MAX_DOCUMENTS = 10000, YAML_MAX_NODES = 1000000 };

/* The documents of a text as an array, owned by the caller. file names it for people. YAML_REFUSED with the line, TOO_LARGE. */
json_t *yaml_read(const char *file, const char *text, gsize n, GError **err);

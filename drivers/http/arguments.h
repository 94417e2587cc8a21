/* The query of a request's target, taken apart. Internal to drivers/http. */
#pragma once

#include <glib.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  GPtrArray *pairs; /* name, value, name, value; NULL = none were given */
} Arguments;

/* Decodes them all. BAD_VALUE: not UTF-8, holds a NUL, or comes twice. */
bool arguments_read(struct MHD_Connection *connection, Arguments *ret_arguments, GError **err);
/* One more, as it stands in the target; value NULL: it has none. The same errors; arguments stays as it was. */
bool arguments_add(Arguments *arguments, const char *name, const char *value, GError **err);
void arguments_clear(Arguments *arguments);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

/* Borrowed; NULL where it was not given. */
const char *arguments_find(const Arguments *arguments, const char *name);
/* *value: a number from min to max; left alone where it was not given. BAD_VALUE. */
bool arguments_number(const Arguments *arguments, const char *name, int64_t min, int64_t max, int64_t *value, GError **err);
/* Refuses any that is not in known (NULL-terminated). UNKNOWN_FIELD. */
bool arguments_check(const Arguments *arguments, const char *const *known, GError **err);

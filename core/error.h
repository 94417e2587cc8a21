/* What can go wrong, as data: a reason is a row of reasons.def with named arguments; text is made from it at the edge, in
 * English or Korean. A GError of domain SARANG_ERROR carries the reason and its arguments, so no layer has to take
 * sentences apart. Nothing here logs, and nothing here knows HTTP beyond a status number. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* class, HTTP status, exit status of the command line, worth trying again unchanged */
#define CLASSES(X) \
  X(FAILED,       500, 1, false) \
  X(INVALID,      400, 2, false) \
  X(TOO_LARGE,    413, 2, false) \
  X(UNSUPPORTED,  501, 1, false) \
  X(NOT_FOUND,    404, 3, false) \
  X(LOGGED_OUT,   401, 4, false) \
  X(DENIED,       403, 4, false) \
  X(CONFLICT,     409, 5, false) \
  X(QUOTA,        429, 5, true) \
  X(CANCELLED,    409, 1, false) \
  X(TIMEOUT,      504, 6, true) \
  X(UNREACHABLE,  502, 7, true) \
  X(UNAVAILABLE,  503, 7, true) \
  X(NO_CAPACITY,  503, 8, true)

typedef enum {
#define X(name, http, exit, again) CLASS_##name,
  CLASSES(X)
#undef X
  N_CLASSES
} ErrorClass;

typedef enum {
#define X(name, wire, class, en, ko, fix_en, fix_ko) REASON_##name,
#include "core/reasons.def"
#undef X
  N_REASONS
} Reason;

typedef enum { LANG_EN, LANG_KO } Lang;

#define SARANG_ERROR (sarang_error_quark())
GQuark sarang_error_quark(void);

/* Sets *err (when err is not NULL) to reason with arguments: pairs of name, value, ended by NULL. Values are copied, made
 * valid UTF-8 and free of control characters, and cut at 512 bytes: they may come from guests, files or the wire. */
void error_set(GError **err, Reason reason, ...) G_GNUC_NULL_TERMINATED;

/* The same, and returns false, so that a failing function can end with it. */
bool error_false(GError **err, Reason reason, ...) G_GNUC_NULL_TERMINATED;
/* The same, and returns NULL. */
void *error_null(GError **err, Reason reason, ...) G_GNUC_NULL_TERMINATED;

/* The reason of err; REASON_INTERNAL for an error that is not ours. */
Reason error_reason(const GError *err);
/* An argument's value, borrowed from err, or NULL. */
const char *error_arg(const GError *err, const char *name);
/* The names and values of err's arguments: name0, value0, name1, … NULL; borrowed from err. */
const char *const *error_args(const GError *err);
/* A fresh error of the same reason and arguments built from a wire name and pairs, for one that came over the API or out of
 * the store; an unknown wire name becomes REASON_INTERNAL with the name as detail. Owned by the caller. */
GError *error_new_from_pairs(const char *wire, const char *const *pairs);

bool error_is(const GError *err, Reason reason);
ErrorClass error_class(const GError *err);
const char *reason_wire(Reason reason);
/* REASON_… of a wire name; N_REASONS where there is none. */
Reason reason_find(const char *wire);

int error_class_http(ErrorClass c);
int error_class_exit(ErrorClass c);
bool error_class_again(ErrorClass c);

/* One sentence in lang, without the fix; owned by the caller. */
char *error_text(const GError *err, Lang lang);
/* The next step in lang, or NULL where there is none; owned by the caller. */
char *error_fix(const GError *err, Lang lang);

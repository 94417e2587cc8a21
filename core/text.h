/* What a name and what free text may be: the one check that every room asks before it keeps text of a person, a file or the wire.
 * Names become file, domain, host and path names, so they are narrow; titles are for people, so they are wide, but hold
 * nothing that hides, reorders or breaks a line. Pure; any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { NAME_MAX_BYTES = 63, ACCOUNT_MAX_BYTES = 32, TITLE_MAX_CHARACTERS = 200 };

/* True where text is [a-z0-9][a-z0-9-]{0,62}: a DNS label that can't be taken for an option, a path or a number with a sign.
 * field names it for people ("pool", "--name"). Errors: MISSING_FIELD (NULL or empty), BAD_NAME. */
bool name_check(const char *field, const char *text, GError **err);

/* True where text is the name of a guest's account, [a-z_][a-z0-9_-]{0,31} (useradd(8)) and not "root". Errors as name_check. */
bool account_check(const char *field, const char *text, GError **err);

/* True where text is UTF-8 of at most 200 characters without control, bidirectional, invisible and line-breaking ones; it may be
 * empty. ZWJ and ZWNJ are taken: scripts and emoji need them. Errors: MISSING_FIELD (NULL), TEXT_NOT_UTF8, TEXT_HIDDEN,
 * TOO_LARGE. */
bool title_check(const char *field, const char *text, GError **err);
/* The same with a limit of the caller's. */
bool text_check(const char *field, const char *text, int max_characters, GError **err);

/* True where text is one public key as authorized_keys has it, without options: a type such as ssh-ed25519, the key in base64, and a
 * comment of at most 200 bytes or none. Errors: MISSING_FIELD, those of text_check, BAD_VALUE. */
bool ssh_key_check(const char *field, const char *text, GError **err);
/* True where text has the shape of a locale(7): "ko_KR.UTF-8", "C.UTF-8", "de_DE@euro". That a guest has it is not known. Errors as above. */
bool locale_check(const char *field, const char *text, GError **err);

/* True where path is absolute and names something below directory (absolute, without a slash at its end) by its text alone: no "..", no "." and no
 * empty part. Where directory has no link in it and path is opened without following any, what is opened is below it. NULL is not. */
bool path_is_below(const char *directory, const char *path);
/* A time of ISO 8601 with a date, with seconds or without ("2026-11-23T14:05:00Z", "2026-11-23 14:05"; without a zone it is UTC), as µs since 1970,
 * negative before. False, and 0, where it is none. */
bool date_parse(const char *text, int64_t *ret_us);
/* A time in text as µs since 1970: "90s", "15m", "2h" or "7d" from now on, or one of date_parse. False where it is neither, or the count is beyond a million. */
bool moment_parse(const char *text, int64_t now_us, int64_t *ret_us);
/* A time in µs since 1970 as "2026-11-23T14:05:00Z", owned by the caller. To whole seconds it goes down, so that nobody comes too late by it (a
 * deadline), or up, so that nobody is told too early what is there by then (an end). */
char *moment_format(int64_t us);
char *moment_format_up(int64_t us);
/* outer is inner, or somewhere above it: both absolute, in their shortest writing. */
bool path_holds(const char *outer, const char *inner);

/* A copy of at most max_characters of text that is safe on a terminal and in a log: what text_check refuses reads <U+202E>, and a
 * byte that is not UTF-8 <FF>. Owned by the caller. */
char *text_dup_visible(const char *text, int max_characters);

/* True where text is a decimal number without sign (or with "-"), space or anything else, from min to max; *ret_number only
 * then. NULL is none. */
bool number_parse(const char *text, int64_t min, int64_t max, int64_t *ret_number);

/* Passwords of people: what one may be, its argon2id hash for logging in here, and its crypt(3) hash for the account in a guest.
 * Hashing takes a tenth of a second and 64 MiB, so the caller decides on which thread and how many at a time. Any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum { PASSWORD_MIN_BYTES = 8, PASSWORD_MAX_BYTES = 128 };

/* True where text may become a password: 8 to 128 bytes of UTF-8 without control characters. BAD_VALUE, which never quotes it. */
bool password_check(const char *field, const char *text, GError **err);

/* argon2id, 64 MiB, 2 passes, as text; owned by the caller. INTERNAL where there is no memory for it. */
char *password_hash(const char *password, GError **err);

/* True where password has that hash. hash may be NULL (nobody by that name, or no password): false, after the same time. */
bool password_fits(const char *password, const char *hash);

/* Made with less work than password_hash() takes today, or by something else: to be made anew when the password is at hand. */
bool password_hash_is_old(const char *hash);

/* yescrypt as crypt(5) has it: Debian 11 and later, Fedora 35, Ubuntu 22.04 take it in /etc/shadow. Owned by the caller.
 * INTERNAL. */
char *password_guest_hash(const char *password, GError **err);

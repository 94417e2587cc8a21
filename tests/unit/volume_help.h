/* What the tests of images and volumes share: a directory of their own, programs run for their output, patched bytes. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

/* A fresh directory below the build directory's file system; tmp_remove takes it and all in it away, immutable files too. */
char *tmp_make(void);
void tmp_remove(char *path);

/* Path of name below dir, owned by the caller. */
char *tmp_path(const char *dir, const char *name);

/* Runs a program (a NULL-terminated argv in words), returns its exit status; *ret_output (may be NULL) gets both streams'
 * text. */
int run_words(char **ret_output, ...) G_GNUC_NULL_TERMINATED;
/* The same, and fails the test where the status is not 0. */
#define run_ok(...) run_ok_at(__FILE__, __LINE__, __VA_ARGS__, NULL)
void run_ok_at(const char *file, int line, ...) G_GNUC_NULL_TERMINATED;

/* Bytes of a whole file, or of its first max bytes; fails the test where it can't be read. */
GBytes *file_bytes(const char *path);
GBytes *file_head(const char *path, size_t max);
void file_write(const char *path, const void *bytes, size_t n);
char *file_sha256(const char *path);

/* Fails the test unless err is reason and (where arg is not NULL) its argument arg reads value. Frees and clears *err. */
#define assert_reason(err, reason, arg, value) assert_reason_at(__FILE__, __LINE__, err, reason, arg, value)
void assert_reason_at(const char *file, int line, GError **err, Reason reason, const char *arg, const char *value);
/* Fails the test with err's text unless ok. */
#define assert_ok(ok, err) assert_ok_at(__FILE__, __LINE__, ok, err)
void assert_ok_at(const char *file, int line, bool ok, GError *err);

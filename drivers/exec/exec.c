#include "drivers/exec/exec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { READ_TIMEOUT_S = 10, SAID_BYTES = 200 };

/* A shell says this of a program it cannot find; cat, ls and readlink say 1 or 2. */
static const char missing_words[] = "No such file or directory";

bool exec_open(const ExecOptions *options, Exec **ret_exec, GError **err)
{
  bool local = !options->address || !*options->address;
  Exec *exec;
  if (!(local ? exec_local_open : exec_ssh_open)(options, &exec, err))
    return false;
  exec->host = g_strdup(options->host);
  exec->root = g_strdup(local && options->root ? options->root : "");
  g_mutex_init(&exec->lock);
  *ret_exec = exec;
  return true;
}

void exec_close(Exec *exec)
{
  if (!exec)
    return;
  g_free(exec->host);
  g_free(exec->root);
  g_mutex_clear(&exec->lock);
  exec->driver->close(exec);
}

void exec_until(Exec *exec, int64_t until_us)
{
  exec->until_us = until_us;
  exec->together_s = until_us ? (int)MAX((until_us - g_get_monotonic_time()) / G_USEC_PER_SEC, 1) : 0;
}

char *exec_quote(const char *const *argv)
{
  GString *line = g_string_new(NULL);
  for (; *argv; argv++) {
    g_autofree char *word = g_shell_quote(*argv);
    g_string_append_printf(line, "%s%s", line->len ? " " : "", word);
  }
  return g_string_free(line, FALSE);
}

/* Some programs complain where their answer would be. */
static char *words_of(const ExecResult *result)
{
  enum { WORDS_BYTES = 200 };
  if (*result->first_error)
    return g_strdup(result->first_error);
  size_t n = result->out ? strcspn(result->out, "\r\n") : 0;
  return n ? g_strndup(result->out, MIN(n, WORDS_BYTES)) : g_strdup("it did not say why");
}

static bool ran_well(const Exec *exec, const char *const *argv, const ExecResult *result, GError **err)
{
  if (!result->status)
    return true;
  g_autofree char *status = g_strdup_printf("status %d", result->status), *words = words_of(result);
  return error_false(err, REASON_EXEC_FAILED, "host", exec->host, "command", argv[0], "status", status, "detail", words, NULL);
}

/* What a call may take now, whole seconds; TIMEOUT where less than one is left of what all may take together. */
static bool time_left(const Exec *exec, const char *command, int *timeout_s, GError **err)
{
  int64_t left_s = exec->until_us ? (exec->until_us - g_get_monotonic_time()) / G_USEC_PER_SEC : INT64_MAX;
  g_autofree char *limit = g_strdup_printf("%d s", exec->together_s);
  *timeout_s = (int)MIN(CLAMP(*timeout_s, 1, 600), left_s);
  return left_s >= 1 || error_false(err, REASON_TIMEOUT, "what", command, "limit", limit, NULL);
}

static bool run_full(Exec *exec, const char *const *argv, const char *input, int timeout_s, char **ret_text, GError **err)
{
  ExecResult result = { 0 };
  g_mutex_lock(&exec->lock);
  bool ok = time_left(exec, argv[0], &timeout_s, err) && exec->driver->run(exec, argv, input, timeout_s, &result, err);
  g_mutex_unlock(&exec->lock);
  ok = ok && ran_well(exec, argv, &result, err);
  if (ok && ret_text)
    *ret_text = g_steal_pointer(&result.out);
  g_free(result.out);
  g_free(result.first_error);
  return ok;
}

bool exec_run(Exec *exec, const char *const *argv, int timeout_s, char **ret_text, GError **err)
{
  return run_full(exec, argv, NULL, timeout_s, ret_text, err);
}

/* A path as the far side knows it; NULL for what is not absolute and plain. */
static char *path_of(const Exec *exec, const char *path, GError **err)
{
  if (path[0] != '/' || strstr(path, "/../"))
    return error_null(err, REASON_BAD_VALUE, "field", "path", "value", path, "limit", "absolute and without ..", NULL);
  return g_strconcat(exec->root, path, NULL);
}

/* Asks with argv about a path; NOT_FOUND where the far side says so. */
static bool ask_path(Exec *exec, const char *const *argv, const char *path, char **ret_text, GError **err)
{
  GError *why = NULL;
  if (run_full(exec, argv, NULL, READ_TIMEOUT_S, ret_text, &why))
    return true;
  const char *detail = error_is(why, REASON_EXEC_FAILED) ? error_arg(why, "detail") : NULL;
  if (detail && strstr(detail, missing_words)) {
    g_error_free(why);
    return error_false(err, REASON_NOT_FOUND, "kind", "file", "name", path, NULL);
  }
  g_propagate_error(err, why);
  return false;
}

bool exec_read(Exec *exec, const char *path, char **ret_text, GError **err)
{
  g_autofree char *there = path_of(exec, path, err), *limit = g_strdup_printf("%d", EXEC_FILE_MAX_BYTES + 1), *text = NULL;
  if (!there)
    return false;
  const char *argv[] = { "head", "-c", limit, "--", there, NULL };
  if (!ask_path(exec, argv, path, &text, err))
    return false;
  if (strlen(text) > EXEC_FILE_MAX_BYTES)
    return error_false(err, REASON_EXEC_TOO_MUCH, "host", exec->host, "command", path, "limit", "64 KiB", NULL);
  *ret_text = g_steal_pointer(&text);
  return true;
}

/* dd writes what it read in one piece with one write(2), opens without making the file, and says the errno's words. */
bool exec_write(Exec *exec, const char *path, const char *text, int timeout_s, GError **err)
{
  g_autofree char *there = path_of(exec, path, err), *of = there ? g_strconcat("of=", there, NULL) : NULL;
  const char *argv[] = { "dd", "bs=65536", "iflag=fullblock", "conv=nocreat,notrunc", "status=none", of, NULL };
  return there && run_full(exec, argv, text, timeout_s, NULL, err);
}

bool exec_link(Exec *exec, const char *path, char **ret_name, GError **err)
{
  g_autofree char *there = path_of(exec, path, err), *text = NULL;
  const char *argv[] = { "readlink", "-v", "--", there, NULL };
  if (!there || !ask_path(exec, argv, path, &text, err))
    return false;
  *ret_name = g_path_get_basename(g_strchomp(text));
  return true;
}

bool exec_list(Exec *exec, const char *path, GStrv *ret_names, GError **err)
{
  g_autofree char *there = path_of(exec, path, err), *text = NULL;
  const char *argv[] = { "ls", "-1A", "--", there, NULL };
  if (!there || !ask_path(exec, argv, path, &text, err))
    return false;
  *ret_names = g_strsplit(g_strchomp(text), "\n", -1);
  if (*ret_names && *ret_names[0] && !***ret_names)
    g_clear_pointer(&(*ret_names)[0], g_free);
  return true;
}

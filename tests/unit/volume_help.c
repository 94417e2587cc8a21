#include "tests/unit/volume_help.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

char *tmp_make(void)
{
  char *path = g_build_filename(g_get_tmp_dir(), "sarang-volume-XXXXXX", NULL);
  assert_non_null(g_mkdtemp(path));
  return path;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
  int none = 0, fd = S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
  if (fd >= 0) {
    (void)ioctl(fd, FS_IOC_SETFLAGS, &none);
    close(fd);
  }
  return remove(path);
}

void tmp_remove(char *path)
{
  nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  g_free(path);
}

char *tmp_path(const char *dir, const char *name) { return g_build_filename(dir, name, NULL); }

static int run_va(char **ret_output, va_list words)
{
  GPtrArray *argv = g_ptr_array_new();
  for (char *word; (word = va_arg(words, char *));)
    g_ptr_array_add(argv, word);
  g_ptr_array_add(argv, NULL);
  g_autofree char *out = NULL, *problems = NULL;
  g_autoptr(GError) err = NULL;
  int status = -1;
  if (!g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &problems, &status, &err))
    fail_msg("cannot run %s: %s", (char *)argv->pdata[0], err->message);
  g_ptr_array_free(argv, TRUE);
  if (ret_output)
    *ret_output = g_strconcat(out, problems, NULL);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run_words(char **ret_output, ...)
{
  va_list words;
  va_start(words, ret_output);
  int status = run_va(ret_output, words);
  va_end(words);
  return status;
}

void run_ok_at(const char *file, int line, ...)
{
  g_autofree char *output = NULL;
  va_list words;
  va_start(words, line);
  int status = run_va(&output, words);
  va_end(words);
  if (status != 0) {
    print_error("status %d: %s\n", status, output);
    _fail(file, line);
  }
}

GBytes *file_bytes(const char *path)
{
  char *bytes;
  size_t n;
  g_autoptr(GError) err = NULL;
  if (!g_file_get_contents(path, &bytes, &n, &err))
    fail_msg("%s", err->message);
  return g_bytes_new_take(bytes, n);
}

GBytes *file_head(const char *path, size_t max)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  uint8_t *bytes = g_malloc(max);
  ssize_t n = pread(fd, bytes, max, 0);
  assert_true(n >= 0);
  close(fd);
  return g_bytes_new_take(bytes, (size_t)n);
}

void file_write(const char *path, const void *bytes, size_t n)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
  close(fd);
}

char *file_sha256(const char *path)
{
  g_autoptr(GBytes) bytes = file_bytes(path);
  return g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
}

void assert_reason_at(const char *file, int line, GError **err, Reason reason, const char *arg, const char *value)
{
  if (!*err || !error_is(*err, reason) || (arg && g_strcmp0(error_arg(*err, arg), value))) {
    print_error("wanted %s (%s=%s), got %s\n", reason_wire(reason), arg ? arg : "-", value ? value : "-",
                *err ? (*err)->message : "no error");
    _fail(file, line);
  }
  g_clear_error(err);
}

void assert_ok_at(const char *file, int line, bool ok, GError *err)
{
  if (ok && !err)
    return;
  print_error("%s\n", err ? err->message : "false without an error");
  _fail(file, line);
}

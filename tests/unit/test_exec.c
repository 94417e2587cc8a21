/* The exec family against this machine and against a real sshd on loopback: quoting, limits, time, hostile output, lost connections, and
 * whose key the host has. */
#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "drivers/exec/exec.h"

static char *dir, *host_key;  /* of the sshd; host_key NULL: there is none here */
static int port;
static GPid sshd;
static bool over_ssh;         /* which driver the suite runs over */

#define assert_refused(call, wanted) \
  do { \
    g_autoptr(GError) why_ = NULL; \
    if (call) \
      fail_msg("%s succeeded", #call); \
    if (!error_is(why_, wanted)) \
      fail_msg("%s: %s: %s", #call, reason_wire(error_reason(why_)), why_->message); \
  } while (0)
#define E (&why_)
#define assert_ok(call) \
  do { \
    g_autoptr(GError) why_ = NULL; \
    if (!(call)) \
      fail_msg("%s: %s", #call, why_ ? why_->message : "no reason"); \
  } while (0)

/* ── the sshd ───────────────────────────────────────────────────────────── */

static bool run(const char *const *argv)
{
  int status = -1;
  return g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                      NULL, NULL, &status, NULL) && g_spawn_check_wait_status(status, NULL);
}

static char *file(const char *name)
{
  return g_build_filename(dir, name, NULL);
}

static int free_port(void)
{
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t size = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
  getsockname(fd, (struct sockaddr *)&at, &size);
  close(fd);
  return ntohs(at.sin_port);
}

static bool key_make(const char *name)
{
  g_autofree char *path = file(name);
  const char *argv[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, NULL };
  return run(argv);
}

/* "256 SHA256:… comment (ED25519)" */
static char *fingerprint(const char *name)
{
  g_autofree char *path = file(name), *text = NULL;
  const char *argv[] = { "ssh-keygen", "-lf", path, NULL };
  if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &text, NULL, NULL, NULL))
    return NULL;
  g_auto(GStrv) words = g_strsplit(text, " ", 3);
  return g_strv_length(words) == 3 ? g_strdup(words[1]) : NULL;
}

static bool answers(void)
{
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  bool ok = !connect(fd, (struct sockaddr *)&at, sizeof at);
  close(fd);
  return ok;
}

static bool sshd_start(void)
{
  g_autofree char *config = file("sshd_config"), *pub = file("user.pub"), *keys = file("authorized_keys"), *said = NULL;
  port = free_port();
  if (!key_make("host") || !key_make("user") || !key_make("stranger") || !g_file_get_contents(pub, &said, NULL, NULL))
    return false;
  g_autofree char *text = g_strdup_printf("HostKey %s/host\nListenAddress 127.0.0.1:%d\nAuthorizedKeysFile %s\nPidFile none\nUsePAM no\n"
                                          "StrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n", dir, port, keys);
  if (!g_file_set_contents(config, text, -1, NULL) || !g_file_set_contents(keys, said, -1, NULL))
    return false;
  g_mkdir_with_parents("/run/sshd", 0755);
  const char *argv[] = { "/usr/sbin/sshd", "-D", "-f", config, NULL };
  if (!g_spawn_async(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                     NULL, &sshd, NULL))
    return false;
  for (int i = 0; i < 1000 && !answers(); i++)
    g_usleep(20000);
  host_key = fingerprint("host.pub");
  return answers() && host_key;
}

static void sshd_stop(void)
{
  if (!sshd)
    return;
  kill(sshd, SIGTERM);
  waitpid(sshd, NULL, 0);
  sshd = 0;
}

static bool open_with(const char *key, const char *fingerprint_wanted, Exec **ret_exec)
{
  g_autofree char *path = file(key);
  ExecOptions options = { .host = "h1", .address = "127.0.0.1", .port = port, .user = g_get_user_name(), .key_file = path,
                          .host_key = fingerprint_wanted, .connect_timeout_s = 30 };
  return exec_open(&options, ret_exec, NULL);
}

static int up(void **state)
{
  ExecOptions local = { .host = "h1" };
  Exec *exec = NULL;
  assert_true(over_ssh ? open_with("user", host_key, &exec) : exec_open(&local, &exec, NULL));
  *state = exec;
  return 0;
}

static int down(void **state)
{
  exec_close(*state);
  return 0;
}

/* ── the suite: both drivers ────────────────────────────────────────────── */

static void arguments_arrive_as_they_were(void **state)
{
  static const char *const hostile[] = { "", " ", "a b", "'", "\"", "$(id)", "`id`", "; id", "\\", "*", "-n", "a\nb", "한글", "&& id", "~" };
  for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
    const char *argv[] = { "printf", "<%s>", hostile[i], NULL };
    g_autofree char *text = NULL, *wanted = g_strdup_printf("<%s>", hostile[i]);
    assert_ok(exec_run(*state, argv, 60, &text, E));
    assert_string_equal(text, wanted);
  }
}

static void failure_tells_status_and_first_line(void **state)
{
  const char *argv[] = { "sh", "-c", "echo one >&2; echo two >&2; exit 7", NULL };
  g_autoptr(GError) err = NULL;
  assert_false(exec_run(*state, argv, 60, NULL, &err));
  assert_true(error_is(err, REASON_EXEC_FAILED));
  assert_string_equal(error_arg(err, "status"), "status 7");
  assert_string_equal(error_arg(err, "detail"), "one");
  const char *nothing[] = { "no-such-program-here", NULL };
  assert_refused(exec_run(*state, nothing, 60, NULL, E), REASON_EXEC_FAILED);
}

static void too_much_is_refused_and_the_next_call_works(void **state)
{
  const char *endless[] = { "cat", "/dev/zero", NULL }, *text_without_end[] = { "yes", NULL }, *fine[] = { "echo", "fine", NULL };
  const char *just_fits[] = { "sh", "-c", "head -c 1048576 /dev/zero | tr '\\0' x", NULL };
  g_autofree char *text = NULL, *long_text = NULL;
  assert_refused(exec_run(*state, endless, 120, NULL, E), REASON_EXEC_TOO_MUCH);
  assert_refused(exec_run(*state, text_without_end, 120, NULL, E), REASON_EXEC_TOO_MUCH);
  assert_ok(exec_run(*state, fine, 120, &text, E));
  assert_string_equal(text, "fine\n");
  assert_ok(exec_run(*state, just_fits, 120, &long_text, E));
  assert_int_equal(strlen(long_text), EXEC_OUTPUT_MAX_BYTES);
}

static void nul_is_not_text(void **state)
{
  const char *argv[] = { "printf", "a\\000b", NULL };
  assert_refused(exec_run(*state, argv, 60, NULL, E), REASON_EXEC_TOO_MUCH);
}

static void command_that_never_ends_is_given_up(void **state)
{
  const char *silent[] = { "sleep", "600", NULL }, *fine[] = { "true", NULL };
  const char *slow_drip[] = { "sh", "-c", "while :; do echo x; sleep 0.2; done", NULL };
  const char *warm[] = { "true", NULL };
  assert_ok(exec_run(*state, warm, 120, NULL, E));
  int64_t begin_us = g_get_monotonic_time();
  assert_refused(exec_run(*state, silent, 1, NULL, E), REASON_TIMEOUT);
  assert_true(g_get_monotonic_time() - begin_us < 60 * G_USEC_PER_SEC);
  assert_ok(exec_run(*state, fine, 120, NULL, E));
  assert_refused(exec_run(*state, slow_drip, 1, NULL, E), REASON_TIMEOUT);
}

static void files_are_read_written_and_listed(void **state)
{
  g_autofree char *path = file("value"), *nowhere = file("nowhere"), *link = file("link"), *text = NULL, *name = NULL;
  g_auto(GStrv) names = NULL;
  assert_true(g_file_set_contents(path, "before\n", -1, NULL));
  g_unlink(link);
  assert_int_equal(symlink("../drivers/vfio-pci", link), 0);
  assert_ok(exec_write(*state, path, "after!\n", 60, E));
  assert_ok(exec_read(*state, path, &text, E));
  assert_string_equal(text, "after!\n");
  assert_ok(exec_link(*state, link, &name, E));
  assert_string_equal(name, "vfio-pci");
  assert_ok(exec_list(*state, dir, &names, E));
  assert_true(g_strv_contains((const char *const *)names, "value"));
  char *unused;
  assert_refused(exec_read(*state, nowhere, &unused, E), REASON_NOT_FOUND);
  assert_refused(exec_link(*state, nowhere, &unused, E), REASON_NOT_FOUND);
  assert_refused(exec_write(*state, nowhere, "x", 60, E), REASON_EXEC_FAILED); /* it is not made */
  assert_false(g_file_test(nowhere, G_FILE_TEST_EXISTS));
  assert_refused(exec_read(*state, "/etc/../etc/passwd", &unused, E), REASON_BAD_VALUE);
  assert_refused(exec_read(*state, "/dev/zero", &unused, E), REASON_EXEC_TOO_MUCH);
}

/* ── SSH alone ──────────────────────────────────────────────────────────── */

static void other_host_key_is_refused_by_name(void **state)
{
  static const char other[] = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const char *argv[] = { "true", NULL };
  g_autoptr(GError) err = NULL;
  Exec *exec;
  assert_true(open_with("user", other, &exec));
  assert_false(exec_run(exec, argv, 60, NULL, &err));
  assert_true(error_is(err, REASON_EXEC_LOGIN));
  assert_non_null(strstr(err->message, other));
  assert_non_null(strstr(err->message, host_key));
  exec_close(exec);
}

static void strangers_key_is_refused(void **state)
{
  const char *argv[] = { "true", NULL };
  Exec *exec;
  assert_true(open_with("stranger", host_key, &exec));
  assert_refused(exec_run(exec, argv, 60, NULL, E), REASON_EXEC_LOGIN);
  exec_close(exec);
}

/* The far side ends the connection in the middle of a command; the next call opens another. */
static void lost_connection_is_told_and_made_anew(void **state)
{
  const char *argv[] = { "sh", "-c", "kill -9 $PPID", NULL }, *fine[] = { "true", NULL };
  g_autoptr(GError) err = NULL;
  Exec *exec;
  assert_true(open_with("user", host_key, &exec));
  assert_false(exec_run(exec, argv, 60, NULL, &err));
  assert_true(error_is(err, REASON_HOST_UNREACHABLE) || error_is(err, REASON_EXEC_FAILED));
  g_clear_error(&err);
  for (int i = 0; i < 2 && !exec_run(exec, fine, 60, NULL, &err); i++)
    g_clear_error(&err);
  assert_null(err);
  assert_ok(exec_run(exec, fine, 60, NULL, E));
  exec_close(exec);
}

static void silent_host_is_given_up(void **state)
{
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t size = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(fd, 1), 0);
  getsockname(fd, (struct sockaddr *)&at, &size);
  g_autofree char *key = file("user");
  ExecOptions options = { .host = "h1", .address = "127.0.0.1", .port = ntohs(at.sin_port), .user = "root", .key_file = key,
                          .host_key = host_key, .connect_timeout_s = 1 };
  const char *argv[] = { "true", NULL };
  g_autoptr(GError) err = NULL;
  Exec *exec;
  int64_t begin_us = g_get_monotonic_time();
  assert_true(exec_open(&options, &exec, NULL));
  assert_false(exec_run(exec, argv, 30, NULL, &err));
  assert_true(error_is(err, REASON_TIMEOUT) || error_is(err, REASON_HOST_UNREACHABLE));
  assert_true(g_get_monotonic_time() - begin_us < 25 * G_USEC_PER_SEC);
  exec_close(exec);
  close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, up, down)
  const struct CMUnitTest suite[] = {
    T(arguments_arrive_as_they_were), T(failure_tells_status_and_first_line), T(too_much_is_refused_and_the_next_call_works),
    T(nul_is_not_text), T(command_that_never_ends_is_given_up), T(files_are_read_written_and_listed),
  };
  const struct CMUnitTest ssh_alone[] = {
    cmocka_unit_test(other_host_key_is_refused_by_name), cmocka_unit_test(strangers_key_is_refused),
    cmocka_unit_test(lost_connection_is_told_and_made_anew), cmocka_unit_test(silent_host_is_given_up),
  };
  dir = g_dir_make_tmp("sarang-exec-XXXXXX", NULL);
  int failed = cmocka_run_group_tests_name("local", suite, NULL, NULL);
  over_ssh = true;
  if (sshd_start())
    failed += cmocka_run_group_tests_name("ssh", suite, NULL, NULL) + cmocka_run_group_tests_name("ssh alone", ssh_alone, NULL, NULL);
  else
    failed++;
  sshd_stop();
  const char *rm[] = { "rm", "-rf", dir, NULL };
  run(rm);
  g_free(host_key);
  g_free(dir);
  return failed;
}

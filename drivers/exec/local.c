/* Commands of this machine: a process group of its own, so that what a time-out kills is all of it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/exec/output.h"

extern char **environ;

/* The three ends that we hold; -1 = closed. */
typedef struct {
  pid_t pid;
  int in, out, error;
  const char *input;
  size_t input_left;
} Child;

static void fd_close(int *fd)
{
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static void child_end(Child *child)
{
  fd_close(&child->in);
  fd_close(&child->out);
  fd_close(&child->error);
}

static bool start_failed(const char *host, const char *command, int number, GError **err)
{
  return error_false(err, REASON_EXEC_FAILED, "host", host, "command", command, "status", "no start", "detail", g_strerror(number),
                     NULL);
}

static char **environment(const char *root)
{
  char **all = g_get_environ();
  all = g_environ_setenv(all, "LC_ALL", "C", TRUE);
  return g_environ_setenv(all, "SARANG_ROOT", root, TRUE);
}

static int spawn(const char *const *argv, const char *root, int pipes[3][2], pid_t *ret_pid)
{
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  g_auto(GStrv) env = environment(root);
  sigset_t none;
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawn_file_actions_adddup2(&actions, pipes[0][0], 0);
  posix_spawn_file_actions_adddup2(&actions, pipes[1][1], 1);
  posix_spawn_file_actions_adddup2(&actions, pipes[2][1], 2);
  int number = posix_spawnp(ret_pid, argv[0], &actions, &attributes, (char *const *)argv, env);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return number;
}

static bool child_start(Child *child, const Exec *exec, const char *const *argv, const char *input, GError **err)
{
  int pipes[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
  *child = (Child){ .in = -1, .out = -1, .error = -1, .input = input, .input_left = input ? strlen(input) : 0 };
  int number = 0;
  /* a socket, as a write to a pipe that nobody reads would raise SIGPIPE */
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipes[0]))
    number = errno;
  for (int i = 1; i < 3 && !number; i++)
    number = pipe2(pipes[i], O_CLOEXEC) ? errno : 0;
  if (!number)
    number = spawn(argv, exec->root, pipes, &child->pid);
  fd_close(&pipes[0][0]);
  fd_close(&pipes[1][1]);
  fd_close(&pipes[2][1]);
  child->in = pipes[0][1];
  child->out = pipes[1][0];
  child->error = pipes[2][0];
  if (!child->input_left)
    fd_close(&child->in);
  else
    fcntl(child->in, F_SETFL, O_NONBLOCK);
  if (!number)
    return true;
  child_end(child);
  return start_failed(exec->host, argv[0], number, err);
}

/* false: no more of what this end says is wanted. */
static bool end_read(int *fd, short revents, bool is_error, ExecOutput *output)
{
  char bytes[16 << 10];
  if (!revents)
    return true;
  ssize_t n = read(*fd, bytes, sizeof bytes);
  if (n <= 0)
    fd_close(fd);
  return n <= 0 || exec_output_add(output, is_error, bytes, (size_t)n);
}

static void input_write(Child *child, short revents)
{
  if (!revents)
    return;
  ssize_t n = send(child->in, child->input, child->input_left, MSG_NOSIGNAL);
  if (n > 0) {
    child->input += n;
    child->input_left -= (size_t)n;
  }
  if (!child->input_left || (n < 0 && errno != EAGAIN && errno != EINTR))
    fd_close(&child->in);
}

/* Returns when it has said all, too much, or time is up (false). */
static bool converse(Child *child, int64_t until_us, ExecOutput *output)
{
  while (child->out >= 0 || child->error >= 0) {
    struct pollfd ends[3] = { { child->out, POLLIN, 0 }, { child->error, POLLIN, 0 }, { child->in, POLLOUT, 0 } };
    int64_t left_us = until_us - g_get_monotonic_time();
    if (left_us <= 0)
      return false;
    if (poll(ends, 3, (int)(left_us / 1000 + 1)) <= 0)
      continue;
    input_write(child, ends[2].revents);
    if (!end_read(&child->out, ends[0].revents, false, output) || !end_read(&child->error, ends[1].revents, true, output))
      return true;
  }
  return true;
}

/* Its exit status, once it has ended by itself or was ended at until_us (*ret_late). */
static int child_wait(const Child *child, int64_t until_us, bool *ret_late)
{
  int status = 0;
  while (waitpid(child->pid, &status, *ret_late ? 0 : WNOHANG) == 0) {
    *ret_late = g_get_monotonic_time() >= until_us;
    if (*ret_late)
      kill(-child->pid, SIGKILL);
    else
      g_usleep(1000);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool local_run(Exec *exec, const char *const *argv, const char *input, int timeout_s, ExecResult *ret_result, GError **err)
{
  int64_t until_us = g_get_monotonic_time() + timeout_s * G_USEC_PER_SEC;
  Child child;
  ExecOutput output;
  if (!child_start(&child, exec, argv, input, err))
    return false;
  exec_output_init(&output);
  bool late = !converse(&child, until_us, &output);
  child_end(&child);
  if (late || output.too_much)
    kill(-child.pid, SIGKILL);
  int status = child_wait(&child, until_us, &late);
  g_autofree char *limit = g_strdup_printf("%d s", timeout_s);
  bool ok = late ? error_false(err, REASON_TIMEOUT, "what", argv[0], "limit", limit, NULL)
                 : exec_output_end(&output, exec->host, argv[0], status, ret_result, err);
  exec_output_clear(&output);
  return ok;
}

static void local_close(Exec *exec)
{
  g_free(exec);
}

static const ExecDriver local_driver = { .name = "local", .run = local_run, .close = local_close };

bool exec_local_open(const ExecOptions *options, Exec **ret_exec, GError **err)
{
  Exec *exec = g_new0(Exec, 1);
  exec->driver = &local_driver;
  *ret_exec = exec;
  return true;
}

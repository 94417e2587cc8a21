#include "drivers/volume/image_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/volume/io.h"

enum {
  CPU_MAX_S = 30,
  FILES_MAX = 64,
  OUTPUT_MAX_BYTES = 4096,
  LOOK_EVERY_MS = 100,
  FILE_FD = 3,       /* the file under check, in the child */
  STATUS_CLEAN = 0,  /* exit statuses of qemu-img check, qemu-img(1) */
  STATUS_DAMAGED = 2,
  STATUS_LEAKS = 3,
  STATUS_NO_EXEC = 127
};
#define MEMORY_MAX_BYTES (UINT64_C(1) << 30)

typedef struct {
  pid_t pid;
  int out; /* what it says */
  char text[OUTPUT_MAX_BYTES + 1];
  size_t text_bytes;
} Child;

/* Between fork and exec only what signal handlers may do. The file under check can have any number below 3 too. */
static void child_run(const char *program, int file, int out)
{
  static const char *const argv[] = { "qemu-img", "check", "-f", "qcow2", "/proc/self/fd/3", NULL };
  static const char *const environment[] = { "PATH=/usr/bin:/bin", "LC_ALL=C", NULL };
  const struct { int what; struct rlimit limit; } limits[] = {
    { RLIMIT_CPU, { CPU_MAX_S, CPU_MAX_S } },
    { RLIMIT_AS, { MEMORY_MAX_BYTES, MEMORY_MAX_BYTES } },
    { RLIMIT_FSIZE, { 0, 0 } },
    { RLIMIT_CORE, { 0, 0 } },
    { RLIMIT_NOFILE, { FILES_MAX, FILES_MAX } },
  };
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC), file_high = fcntl(file, F_DUPFD_CLOEXEC, 10);
  int out_high = fcntl(out, F_DUPFD_CLOEXEC, 10);
  bool ok = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && null >= 0 && dup2(null, 0) == 0 && dup2(out_high, 1) == 1 &&
            dup2(out_high, 2) == 2 && dup2(file_high, FILE_FD) == FILE_FD && close_range(FILE_FD + 1, ~0U, 0) == 0;
  for (size_t i = 0; i < G_N_ELEMENTS(limits); i++)
    ok = ok && setrlimit(limits[i].what, &limits[i].limit) == 0;
  if (ok)
    execve(program, (char *const *)argv, (char *const *)environment);
  _exit(STATUS_NO_EXEC);
}

static char *find_program(GError **err)
{
  char *program = g_find_program_in_path("qemu-img");
  if (!program)
    error_set(err, REASON_IMAGE_TOOL, "detail", "there is no qemu-img", NULL);
  return program;
}

bool image_check_available(GError **err)
{
  g_autofree char *program = find_program(err);
  return program != NULL;
}

static bool child_start(Child *child, int file, GError **err)
{
  g_autofree char *program = find_program(err);
  int pipes[2];
  if (!program)
    return false;
  if (pipe2(pipes, O_CLOEXEC) < 0)
    return error_false(err, REASON_IMAGE_TOOL, "detail", g_strerror(errno), NULL);
  child->pid = fork();
  if (child->pid == 0)
    child_run(program, file, pipes[1]);
  int error = errno;
  close(pipes[1]);
  child->out = pipes[0];
  if (child->pid > 0)
    return true;
  close(child->out);
  return error_false(err, REASON_IMAGE_TOOL, "detail", g_strerror(error), NULL);
}

/* Keeps the beginning of what it says and drops the rest; false at the end. */
static bool child_hear(Child *child)
{
  char rest[1024];
  size_t room = OUTPUT_MAX_BYTES - child->text_bytes;
  ssize_t n = room ? read(child->out, child->text + child->text_bytes, room) : read(child->out, rest, sizeof rest);
  if (n > 0 && room)
    child->text_bytes += (size_t)n;
  return n > 0 || (n < 0 && errno == EINTR);
}

static bool child_wait(Child *child, const VolumeCall *call, int *ret_status, GError **err)
{
  struct pollfd said = { .fd = child->out, .events = POLLIN };
  bool ok = true;
  while (ok && (poll(&said, 1, LOOK_EVERY_MS) <= 0 || child_hear(child)))
    ok = volume_call_check(call, "the check by qemu-img", err);
  if (!ok)
    kill(child->pid, SIGKILL);
  while (waitpid(child->pid, ret_status, 0) < 0 && errno == EINTR)
    continue;
  close(child->out);
  return ok;
}

/* The first line is the first complaint; a child that was killed may have said nothing. */
static bool refuse(const Child *child, int status, GError **err)
{
  g_autofree char *line = g_strndup(child->text, strcspn(child->text, "\n"));
  if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_DAMAGED)
    return error_false(err, REASON_IMAGE_CHECK, "detail", line, NULL);
  g_autofree char *end = WIFSIGNALED(status)
                           ? g_strdup_printf("ended by signal %d (more than 30 s of processor time?)", WTERMSIG(status))
                           : g_strdup_printf("ended with status %d: %s", WEXITSTATUS(status), line);
  return error_false(err, REASON_IMAGE_TOOL, "detail", end, NULL);
}

bool image_check_file(int fd, const VolumeCall *call, GError **err)
{
  g_autofree Child *child = g_new0(Child, 1);
  int status = 0;
  if (!child_start(child, fd, err) || !child_wait(child, call, &status, err))
    return false;
  bool clean = WIFEXITED(status) && (WEXITSTATUS(status) == STATUS_CLEAN || WEXITSTATUS(status) == STATUS_LEAKS);
  return clean || refuse(child, status, err);
}

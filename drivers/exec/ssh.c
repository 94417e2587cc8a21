/* Commands of another machine, by libssh2 on a connection of this Exec alone, opened when it is first needed and again when it was
 * lost. Everything is non-blocking below and waits in one place, so every call ends at its deadline.
 * https://libssh2.org/docs.html; the fingerprint is OpenSSH's: base64 of SHA-256 without padding (ssh-keygen(1), -l). */
#include <errno.h>
#include <fcntl.h>
#include <libssh2.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/exec/output.h"

typedef struct {
  Exec base;
  char *host, *address, *user, *key_file, *host_key;
  int port, connect_timeout_s;
  int fd;                     /* -1 = not connected */
  LIBSSH2_SESSION *session;
  int64_t until_us;           /* of the call under way */
} Ssh;

static void disconnect(Ssh *ssh)
{
  if (ssh->fd >= 0)
    shutdown(ssh->fd, SHUT_RDWR); /* else freeing would like to take leave, be told to wait, and free nothing */
  if (ssh->session)
    libssh2_session_free(ssh->session);
  if (ssh->fd >= 0)
    close(ssh->fd);
  ssh->session = NULL;
  ssh->fd = -1;
}

/* ── waiting ────────────────────────────────────────────────────────────── */

static bool wait_for(Ssh *ssh, short events)
{
  struct pollfd end = { ssh->fd, events, 0 };
  int64_t left_us = ssh->until_us - g_get_monotonic_time();
  return left_us > 0 && poll(&end, 1, (int)(left_us / 1000 + 1)) > 0;
}

/* After LIBSSH2_ERROR_EAGAIN: until libssh2 can go on; false at the deadline. */
static bool go_on(Ssh *ssh)
{
  int wants = libssh2_session_block_directions(ssh->session);
  return wait_for(ssh, (short)((wants & LIBSSH2_SESSION_BLOCK_OUTBOUND ? POLLOUT : 0) |
                               (wants & LIBSSH2_SESSION_BLOCK_OUTBOUND && !(wants & LIBSSH2_SESSION_BLOCK_INBOUND) ? 0 : POLLIN)));
}

#define UNTIL_DONE(ssh, result, call) \
  do \
    (result) = (call); \
  while ((result) == LIBSSH2_ERROR_EAGAIN && go_on(ssh))

static bool late(Ssh *ssh, const char *what, GError **err)
{
  return error_false(err, REASON_TIMEOUT, "what", what, "limit", "its time", NULL);
}

/* The connection is of no more use, whatever happened. */
static bool lost(Ssh *ssh, const char *detail, GError **err)
{
  disconnect(ssh);
  return error_false(err, REASON_HOST_UNREACHABLE, "host", ssh->host, "detail", detail, NULL);
}

static bool session_failed(Ssh *ssh, const char *what, int result, GError **err)
{
  char *said = NULL;
  bool is_late = result == LIBSSH2_ERROR_EAGAIN;
  libssh2_session_last_error(ssh->session, &said, NULL, 0);
  g_autofree char *detail = g_strdup_printf("%s: %s", what, said && *said ? said : "the connection broke");
  if (!is_late)
    return lost(ssh, detail, err);
  disconnect(ssh);
  return late(ssh, what, err);
}

/* ── connecting ─────────────────────────────────────────────────────────── */

static int connect_to(Ssh *ssh, const struct addrinfo *to)
{
  int number = 0;
  socklen_t size = sizeof number;
  ssh->fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (ssh->fd < 0)
    return errno;
  if (!connect(ssh->fd, to->ai_addr, to->ai_addrlen))
    return 0;
  if (errno != EINPROGRESS)
    number = errno;
  else if (!wait_for(ssh, POLLOUT))
    number = ETIMEDOUT;
  else
    getsockopt(ssh->fd, SOL_SOCKET, SO_ERROR, &number, &size);
  if (number) {
    close(ssh->fd);
    ssh->fd = -1;
  }
  return number;
}

static bool dial(Ssh *ssh, GError **err)
{
  const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
  struct addrinfo *all = NULL;
  char port[16];
  g_snprintf(port, sizeof port, "%d", ssh->port);
  int wrong = getaddrinfo(ssh->address, port, &hints, &all);
  if (wrong)
    return lost(ssh, gai_strerror(wrong), err);
  int number = ECONNREFUSED;
  for (const struct addrinfo *to = all; to && ssh->fd < 0; to = to->ai_next)
    number = connect_to(ssh, to);
  freeaddrinfo(all);
  return ssh->fd >= 0 || lost(ssh, g_strerror(number), err);
}

static bool host_check(Ssh *ssh, GError **err)
{
  const char *hash = libssh2_hostkey_hash(ssh->session, LIBSSH2_HOSTKEY_HASH_SHA256);
  g_autofree char *text = hash ? g_base64_encode((const guchar *)hash, 32) : g_strdup("none");
  if (g_str_has_suffix(text, "="))
    text[strlen(text) - 1] = 0;
  g_autofree char *shown = g_strconcat("SHA256:", text, NULL);
  if (!g_strcmp0(shown, ssh->host_key))
    return true;
  g_autofree char *detail = g_strdup_printf("its key is %s, and %s was enrolled", shown, ssh->host_key);
  disconnect(ssh);
  return error_false(err, REASON_EXEC_LOGIN, "host", ssh->host, "detail", detail, NULL);
}

static bool login(Ssh *ssh, GError **err)
{
  int result;
  UNTIL_DONE(ssh, result, libssh2_userauth_publickey_fromfile(ssh->session, ssh->user, NULL, ssh->key_file, NULL));
  if (!result)
    return true;
  if (result == LIBSSH2_ERROR_EAGAIN)
    return session_failed(ssh, "logging in", result, err);
  char *said = NULL;
  libssh2_session_last_error(ssh->session, &said, NULL, 0);
  g_autofree char *detail = g_strdup_printf("user \"%s\" with key %s: %s", ssh->user, ssh->key_file, said ? said : "refused");
  disconnect(ssh);
  return error_false(err, REASON_EXEC_LOGIN, "host", ssh->host, "detail", detail, NULL);
}

/* ed25519 first, so that a host with keys of several kinds shows the one that was enrolled. */
static bool session_begin(Ssh *ssh, GError **err)
{
  int result;
  ssh->session = libssh2_session_init();
  if (!ssh->session)
    return lost(ssh, "no memory for a session", err);
  libssh2_session_set_blocking(ssh->session, 0);
  libssh2_session_method_pref(ssh->session, LIBSSH2_METHOD_HOSTKEY, "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256");
  UNTIL_DONE(ssh, result, libssh2_session_handshake(ssh->session, ssh->fd));
  if (result)
    return session_failed(ssh, "greeting", result, err);
  return host_check(ssh, err) && login(ssh, err);
}

static bool connected(Ssh *ssh, GError **err)
{
  if (ssh->session)
    return true;
  int64_t call_until_us = ssh->until_us;
  ssh->until_us = MIN(call_until_us, g_get_monotonic_time() + ssh->connect_timeout_s * G_USEC_PER_SEC);
  bool ok = dial(ssh, err) && session_begin(ssh, err);
  ssh->until_us = call_until_us;
  return ok;
}

/* ── commands ───────────────────────────────────────────────────────────── */

static LIBSSH2_CHANNEL *channel_open(Ssh *ssh, int *ret_result)
{
  LIBSSH2_CHANNEL *channel;
  do {
    channel = libssh2_channel_open_session(ssh->session);
    *ret_result = channel ? 0 : libssh2_session_last_errno(ssh->session);
  } while (!channel && *ret_result == LIBSSH2_ERROR_EAGAIN && go_on(ssh));
  return channel;
}

static int input_send(Ssh *ssh, LIBSSH2_CHANNEL *channel, const char *input)
{
  ssize_t n = 0;
  for (size_t left = input ? strlen(input) : 0; left && n >= 0; left -= (size_t)MAX(n, 0), input += MAX(n, 0))
    UNTIL_DONE(ssh, n, libssh2_channel_write(channel, input, left));
  if (n < 0)
    return (int)n;
  UNTIL_DONE(ssh, n, libssh2_channel_send_eof(channel));
  return (int)n;
}

/* Reads both streams until the far side has said all, or too much. */
static int output_read(Ssh *ssh, LIBSSH2_CHANNEL *channel, ExecOutput *output)
{
  char bytes[16 << 10];
  for (;;) {
    ssize_t n = libssh2_channel_read(channel, bytes, sizeof bytes);
    if (n > 0 && !exec_output_add(output, false, bytes, (size_t)n))
      return 0;
    ssize_t said = libssh2_channel_read_stderr(channel, bytes, sizeof bytes);
    if (said > 0)
      exec_output_add(output, true, bytes, (size_t)said);
    if (n > 0 || said > 0) {
      if (g_get_monotonic_time() >= ssh->until_us)
        return LIBSSH2_ERROR_EAGAIN;
      continue;
    }
    if (libssh2_channel_eof(channel))
      return 0;
    if (n != LIBSSH2_ERROR_EAGAIN && n)
      return (int)n;
    if (!go_on(ssh))
      return LIBSSH2_ERROR_EAGAIN;
  }
}

static int channel_end(Ssh *ssh, LIBSSH2_CHANNEL *channel, int *ret_status)
{
  int result;
  char *signal = NULL;
  UNTIL_DONE(ssh, result, libssh2_channel_close(channel));
  if (!result)
    UNTIL_DONE(ssh, result, libssh2_channel_wait_closed(channel));
  libssh2_channel_get_exit_signal(channel, &signal, NULL, NULL, NULL, NULL, NULL);
  *ret_status = signal ? 128 : libssh2_channel_get_exit_status(channel);
  if (signal)
    libssh2_free(ssh->session, signal);
  return result;
}

static int channel_run(Ssh *ssh, LIBSSH2_CHANNEL *channel, const char *command, const char *input, ExecOutput *output, int *ret_status)
{
  int result;
  UNTIL_DONE(ssh, result, libssh2_channel_exec(channel, command));
  if (!result)
    result = input_send(ssh, channel, input);
  if (!result)
    result = output_read(ssh, channel, output);
  return result || output->too_much ? result : channel_end(ssh, channel, ret_status);
}

/* timeout(1) on the far side ends what outlives our patience, when the connection is gone with it. */
static char *command_line(const char *const *argv, int timeout_s)
{
  g_autofree char *line = exec_quote(argv);
  return g_strdup_printf("LC_ALL=C exec timeout -k 2 %d %s", timeout_s + 1, line);
}

static bool ssh_run(Exec *exec, const char *const *argv, const char *input, int timeout_s, ExecResult *ret_result, GError **err)
{
  Ssh *ssh = (Ssh *)exec;
  int result, status = 0;
  ssh->until_us = g_get_monotonic_time() + timeout_s * G_USEC_PER_SEC;
  if (!connected(ssh, err))
    return false;
  LIBSSH2_CHANNEL *channel = channel_open(ssh, &result);
  if (!channel)
    return session_failed(ssh, "opening a channel", result, err);
  ExecOutput output;
  g_autofree char *command = command_line(argv, timeout_s);
  exec_output_init(&output);
  result = channel_run(ssh, channel, command, input, &output, &status);
  bool ok = result ? session_failed(ssh, argv[0], result, err)
                   : exec_output_end(&output, ssh->host, argv[0], status, ret_result, err);
  /* a channel with more to say would go on saying it: the connection ends with it */
  if (output.too_much)
    disconnect(ssh);
  else if (ssh->session)
    libssh2_channel_free(channel);
  exec_output_clear(&output);
  return ok;
}

static void ssh_close(Exec *exec)
{
  Ssh *ssh = (Ssh *)exec;
  disconnect(ssh);
  g_free(ssh->host);
  g_free(ssh->address);
  g_free(ssh->user);
  g_free(ssh->key_file);
  g_free(ssh->host_key);
  g_free(ssh);
}

static const ExecDriver ssh_driver = { .name = "ssh", .run = ssh_run, .close = ssh_close };

bool exec_ssh_open(const ExecOptions *options, Exec **ret_exec, GError **err)
{
  static gsize once;
  if (g_once_init_enter(&once)) {
    libssh2_init(0);
    g_once_init_leave(&once, 1);
  }
  Ssh *ssh = g_new0(Ssh, 1);
  ssh->base.driver = &ssh_driver;
  ssh->host = g_strdup(options->host);
  ssh->address = g_strdup(options->address);
  ssh->user = g_strdup(options->user ? options->user : "root");
  ssh->key_file = g_strdup(options->key_file);
  ssh->host_key = g_strdup(options->host_key);
  ssh->port = options->port ? options->port : 22;
  ssh->connect_timeout_s = CLAMP(options->connect_timeout_s, 1, 60);
  ssh->fd = -1;
  *ret_exec = &ssh->base;
  return true;
}

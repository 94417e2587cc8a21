#include "drivers/console/upstream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/error.h"

enum { READ_BYTES = 4096, CONNECT_TRIES = 200, ANSWER_MAX_BYTES = 4 << 20 };

typedef enum { PHASE_CONNECT, PHASE_SEND, PHASE_HEAD, PHASE_BODY, PHASE_END, PHASE_FAILED } Phase;

struct Upstream {
  Source source;
  Loop *loop;
  Deadline deadline;
  Turn turn;
  void (*changed)(void *owner);
  void *owner;
  char *socket_path;
  GByteArray *request;
  size_t sent;
  GByteArray *head; /* the answer's head, and what came with it of the body */
  size_t head_bytes, head_scanned, head_used;
  HttpResponse *response;
  HttpChunks chunks;
  int64_t left; /* of the body; -1: until the end */
  Phase phase;
  bool head_request, head_told, readable, writable;
  int tries;
  LoopTimer patience;
  GError *error;
};

static void tell(Turn *turn)
{
  Upstream *x = (Upstream *)((char *)turn - offsetof(Upstream, turn));
  x->changed(x->owner);
}

static void request_drop(Upstream *x)
{
  if (!x->request)
    return;
  explicit_bzero(x->request->data, x->request->len);
  g_clear_pointer(&x->request, g_byte_array_unref);
}

static void fail(Upstream *x, Reason reason, const char *name, const char *detail)
{
  if (x->phase == PHASE_FAILED)
    return;
  x->phase = PHASE_FAILED;
  error_set(&x->error, reason, name, detail, reason == REASON_TIMEOUT ? "limit" : NULL, "the time it has", NULL);
  request_drop(x);
  deadline_clear(&x->deadline);
  turn_add(x->loop, &x->turn);
}

static void fail_errno(Upstream *x) { fail(x, REASON_CONTROLLER_AWAY, "detail", g_strerror(errno)); }

static void socket_ready(Source *source, uint32_t events)
{
  Upstream *x = (Upstream *)source;
  x->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  x->writable |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
  turn_add(x->loop, &x->turn);
}

/* false: errno. A controller whose queue is full is tried again soon; the phase stays CONNECT. */
static bool connect_try(Upstream *x)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  if (strlen(x->socket_path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  g_strlcpy(address.sun_path, x->socket_path, sizeof address.sun_path);
  if (x->source.fd < 0)
    x->source.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (x->source.fd < 0)
    return false;
  if (connect(x->source.fd, (struct sockaddr *)&address, sizeof address) < 0)
    return errno == EAGAIN && ++x->tries < CONNECT_TRIES;
  x->phase = PHASE_SEND;
  x->writable = true;
  x->source.ready = socket_ready;
  return loop_watch(x->loop, &x->source);
}

static void connect_run(Upstream *x)
{
  if (!connect_try(x)) {
    fail_errno(x);
    return;
  }
  deadline_set(x->loop, &x->deadline, x->phase == PHASE_CONNECT ? TIMER_SOON : x->patience);
  if (x->phase == PHASE_SEND)
    turn_add(x->loop, &x->turn);
}

static void passed(Deadline *deadline)
{
  Upstream *x = (Upstream *)((char *)deadline - offsetof(Upstream, deadline));
  if (x->phase == PHASE_CONNECT)
    connect_run(x);
  else
    fail(x, REASON_TIMEOUT, "what", "the controller's answer");
}

Upstream *upstream_new(Loop *loop, const UpstreamAsk *ask)
{
  Upstream *x = g_new0(Upstream, 1);
  x->loop = loop;
  x->source.fd = -1;
  x->deadline.passed = passed;
  x->turn.run = tell;
  x->changed = ask->changed;
  x->owner = ask->owner;
  x->socket_path = g_strdup(ask->socket_path);
  x->request = ask->request;
  x->head_request = ask->head_request;
  x->patience = ask->patience;
  x->left = -1;
  connect_run(x);
  return x;
}

static void upstream_bury(Upstream *x)
{
  if (x->head && x->head->len)
    explicit_bzero(x->head->data, x->head->len);
  g_clear_pointer(&x->head, g_byte_array_unref);
  g_clear_error(&x->error);
  g_free(x->response);
  g_free(x->socket_path);
  g_free(x);
}

void upstream_free(Upstream *x)
{
  if (!x)
    return;
  request_drop(x);
  deadline_clear(&x->deadline);
  turn_clear(&x->turn);
  loop_close(x->loop, &x->source);
  loop_bury(x->loop, x, (GDestroyNotify)upstream_bury);
}

const HttpResponse *upstream_head(const Upstream *x) { return x->response; }
const GError *upstream_error(const Upstream *x) { return x->error; }

static void request_send(Upstream *x)
{
  while (x->writable && x->sent < x->request->len) {
    ssize_t sent = send(x->source.fd, x->request->data + x->sent, x->request->len - x->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent < 0 && errno != EAGAIN) {
      fail_errno(x);
      return;
    }
    x->writable = sent >= 0;
    x->sent += sent > 0 ? (size_t)sent : 0;
  }
  if (x->sent < x->request->len)
    return;
  request_drop(x);
  x->head = g_byte_array_new();
  x->phase = PHASE_HEAD;
}

/* > 0: bytes. 0: the controller has closed. -1: nothing now, or the upstream has failed. */
static ssize_t socket_read(Upstream *x, uint8_t *buffer, size_t n)
{
  while (x->readable) {
    ssize_t got = recv(x->source.fd, buffer, n, MSG_DONTWAIT);
    if (got >= 0)
      return got;
    if (errno == EINTR)
      continue;
    x->readable = false;
    if (errno != EAGAIN)
      fail_errno(x);
  }
  return -1;
}

static bool answer_has_body(const Upstream *x)
{
  int status = x->response->status;
  return !x->head_request && status != 204 && status != 304 && x->response->body_bytes != 0;
}

static void head_done(Upstream *x, size_t bytes)
{
  HttpRefusal why;
  x->head_bytes = x->head_used = bytes;
  x->response = g_new0(HttpResponse, 1);
  if (!http_response_parse((const char *)x->head->data, bytes, x->response, &why) || x->response->status < 200) {
    fail(x, REASON_CONTROLLER_AWAY, "detail", "it answered with something that is not HTTP");
    return;
  }
  x->left = x->response->body_bytes;
  x->phase = answer_has_body(x) ? PHASE_BODY : PHASE_END;
  deadline_clear(&x->deadline);
}

static void head_read(Upstream *x)
{
  uint8_t piece[READ_BYTES];
  ssize_t got;
  while (x->phase == PHASE_HEAD && (got = socket_read(x, piece, sizeof piece)) >= 0) {
    size_t bytes;
    HttpRefusal why;
    if (!got) {
      fail(x, REASON_CONTROLLER_AWAY, "detail", "it closed the connection without an answer");
      return;
    }
    g_byte_array_append(x->head, piece, (guint)got);
    explicit_bzero(piece, (size_t)got);
    HttpStep step = http_head_scan((const char *)x->head->data, x->head->len, &x->head_scanned, &bytes, &why);
    if (step == HTTP_READY)
      head_done(x, bytes);
    if (step == HTTP_REFUSED)
      fail(x, REASON_CONTROLLER_AWAY, "detail", "it answered with something that is not HTTP");
  }
}

/* As socket_read, but first what came along with the head. */
static ssize_t raw_read(Upstream *x, uint8_t *buffer, size_t n)
{
  size_t early = x->head->len - x->head_used;
  if (!early)
    return socket_read(x, buffer, n);
  size_t take = MIN(early, n);
  memcpy(buffer, x->head->data + x->head_used, take);
  x->head_used += take;
  return (ssize_t)take;
}

/* Leaves the body of a piece in chunked coding at its beginning. */
static void piece_decode(Upstream *x, uint8_t *buffer, size_t *n)
{
  const char *at = (const char *)buffer, *body;
  size_t left = *n, body_n, out = 0;
  HttpStep step;
  while ((step = http_chunks_next(&x->chunks, &at, &left, &body, &body_n)) == HTTP_READY && body_n) {
    memmove(buffer + out, body, body_n);
    out += body_n;
  }
  *n = out;
  if (step == HTTP_READY)
    x->phase = PHASE_END;
  if (step == HTTP_REFUSED)
    fail(x, REASON_CONTROLLER_AWAY, "detail", "its answer broke off");
}

static void piece_read(Upstream *x, uint8_t *buffer, size_t n, size_t *ret_n)
{
  size_t want = x->left >= 0 && (uint64_t)x->left < n ? (size_t)x->left : n;
  ssize_t got = raw_read(x, buffer, want);
  if (got < 0)
    return;
  bool may_end_so = x->left < 0 && !x->response->chunked;
  if (!got && may_end_so)
    x->phase = PHASE_END;
  if (!got && !may_end_so)
    fail(x, REASON_CONTROLLER_AWAY, "detail", "its answer broke off");
  *ret_n = (size_t)got;
  if (got && x->response->chunked)
    piece_decode(x, buffer, ret_n);
  if (x->left > 0 && !(x->left -= got))
    x->phase = PHASE_END;
}

static UpstreamStep body_next(Upstream *x, uint8_t *buffer, size_t n, size_t *ret_n)
{
  while (x->phase == PHASE_BODY && !*ret_n && (x->readable || x->head_used < x->head->len))
    piece_read(x, buffer, n, ret_n);
  if (x->phase == PHASE_FAILED)
    return UPSTREAM_FAILED;
  if (*ret_n)
    return UPSTREAM_DATA;
  return x->phase == PHASE_END ? UPSTREAM_END : UPSTREAM_WAIT;
}

UpstreamStep upstream_next(Upstream *x, uint8_t *buffer, size_t n, size_t *ret_n)
{
  *ret_n = 0;
  if (x->phase == PHASE_SEND)
    request_send(x);
  if (x->phase == PHASE_HEAD)
    head_read(x);
  if (x->phase == PHASE_FAILED)
    return UPSTREAM_FAILED;
  if (x->phase < PHASE_BODY)
    return UPSTREAM_WAIT;
  if (x->head_told)
    return body_next(x, buffer, n, ret_n);
  x->head_told = true;
  return UPSTREAM_HEAD;
}

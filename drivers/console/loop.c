#include "drivers/console/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 256, SPARE_PIPES = 16 };

typedef struct {
  void (*fn)(void *data);
  void *data;
} Call;

struct Loop {
  int epoll, bell;
  bool stopped;
  int64_t now_us;
  int64_t durations_us[N_LOOP_TIMERS];
  Deadline queues[N_LOOP_TIMERS]; /* heads of rings, in the order of their time */
  Turn turns;                     /* head of a ring */
  GArray *buried;                 /* of Call */
  uint8_t *scratch, *cipher;
  int pipes[SPARE_PIPES][2];
  int n_pipes;
  Source bell_source;
  GMutex lock; /* of mail */
  GArray *mail; /* of Call */
};

static int64_t monotonic_us(void) { return g_get_monotonic_time(); }

static void bell_ready(Source *source, uint32_t events)
{
  uint64_t rings;
  while (read(source->fd, &rings, sizeof rings) > 0)
    ;
}

static void ring_init(Loop *l)
{
  for (int i = 0; i < N_LOOP_TIMERS; i++)
    l->queues[i].prev = l->queues[i].next = &l->queues[i];
  l->turns.prev = l->turns.next = &l->turns;
}

Loop *loop_new(const int64_t durations_us[N_LOOP_TIMERS])
{
  Loop *l = g_new0(Loop, 1);
  memcpy(l->durations_us, durations_us, sizeof l->durations_us);
  ring_init(l);
  g_mutex_init(&l->lock);
  l->mail = g_array_new(FALSE, FALSE, sizeof(Call));
  l->buried = g_array_new(FALSE, FALSE, sizeof(Call));
  /* pages that nobody touched are not there: two more buffers cost nothing until data flows */
  l->scratch = g_malloc(SCRATCH_BYTES);
  l->cipher = g_malloc(CIPHER_BYTES);
  l->now_us = monotonic_us();
  l->epoll = epoll_create1(EPOLL_CLOEXEC);
  l->bell_source = (Source){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = bell_ready };
  if (l->epoll >= 0 && l->bell_source.fd >= 0 && loop_watch_level(l, &l->bell_source, EPOLLIN))
    return l;
  int why = errno;
  loop_free(l);
  errno = why;
  return NULL;
}

static void buried_free(Loop *l)
{
  for (guint i = 0; i < l->buried->len; i++) {
    Call *call = &g_array_index(l->buried, Call, i);
    call->fn(call->data);
  }
  g_array_set_size(l->buried, 0);
}

void loop_free(Loop *l)
{
  if (!l)
    return;
  buried_free(l);
  for (int i = 0; i < l->n_pipes; i++) {
    close(l->pipes[i][0]);
    close(l->pipes[i][1]);
  }
  loop_close(l, &l->bell_source);
  if (l->epoll >= 0)
    close(l->epoll);
  explicit_bzero(l->scratch, SCRATCH_BYTES);
  g_free(l->scratch);
  g_free(l->cipher);
  g_array_unref(l->mail);
  g_array_unref(l->buried);
  g_mutex_clear(&l->lock);
  g_free(l);
}

static void bell_ring(Loop *l)
{
  uint64_t one = 1;
  ssize_t written = write(l->bell_source.fd, &one, sizeof one);
  g_assert(written == sizeof one || errno == EAGAIN);
}

void loop_post(Loop *l, void (*fn)(void *data), void *data)
{
  Call call = { fn, data };
  g_mutex_lock(&l->lock);
  g_array_append_val(l->mail, call);
  g_mutex_unlock(&l->lock);
  bell_ring(l);
}

void loop_stop(Loop *l)
{
  __atomic_store_n(&l->stopped, true, __ATOMIC_RELEASE);
  bell_ring(l);
}

static void mail_read(Loop *l)
{
  g_mutex_lock(&l->lock);
  g_autoptr(GArray) mail = l->mail->len ? l->mail : NULL;
  if (mail)
    l->mail = g_array_new(FALSE, FALSE, sizeof(Call));
  g_mutex_unlock(&l->lock);
  for (guint i = 0; mail && i < mail->len; i++) {
    Call *call = &g_array_index(mail, Call, i);
    call->fn(call->data);
  }
}

static bool watch(Loop *l, Source *source, uint32_t events)
{
  struct epoll_event event = { .events = events, .data.ptr = source };
  return epoll_ctl(l->epoll, EPOLL_CTL_ADD, source->fd, &event) == 0;
}

bool loop_watch(Loop *l, Source *source) { return watch(l, source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET); }
bool loop_watch_level(Loop *l, Source *source, uint32_t events) { return watch(l, source, events); }

void loop_close(Loop *l, Source *source)
{
  source->ready = NULL;
  if (source->fd < 0)
    return;
  close(source->fd);
  source->fd = -1;
}

void deadline_clear(Deadline *d)
{
  if (!d->next)
    return;
  d->prev->next = d->next;
  d->next->prev = d->prev;
  d->prev = d->next = NULL;
}

void deadline_set(Loop *l, Deadline *d, LoopTimer timer)
{
  Deadline *ring = &l->queues[timer];
  deadline_clear(d);
  d->at_us = l->now_us + l->durations_us[timer];
  d->prev = ring->prev;
  d->next = ring;
  d->prev->next = d->next->prev = d;
}

void turn_clear(Turn *t)
{
  if (!t->next)
    return;
  t->prev->next = t->next;
  t->next->prev = t->prev;
  t->prev = t->next = NULL;
}

void turn_add(Loop *l, Turn *t)
{
  if (t->next)
    return;
  t->prev = l->turns.prev;
  t->next = &l->turns;
  t->prev->next = t->next->prev = t;
}

/* Only those that wait now: one that is added again has its turn after the others' events. */
static void turns_run(Loop *l)
{
  Turn now;
  if (l->turns.next == &l->turns)
    return;
  now = l->turns;
  now.prev->next = now.next->prev = &now;
  l->turns.prev = l->turns.next = &l->turns;
  while (now.next != &now) {
    Turn *t = now.next;
    turn_clear(t);
    t->run(t);
  }
}

static void deadlines_run(Loop *l)
{
  for (int i = 0; i < N_LOOP_TIMERS; i++)
    while (l->queues[i].next != &l->queues[i] && l->queues[i].next->at_us <= l->now_us) {
      Deadline *d = l->queues[i].next;
      deadline_clear(d);
      d->passed(d);
    }
}

static int wait_ms(const Loop *l)
{
  int64_t next_us = INT64_MAX;
  if (l->turns.next != &l->turns)
    return 0;
  for (int i = 0; i < N_LOOP_TIMERS; i++)
    if (l->queues[i].next != &l->queues[i])
      next_us = MIN(next_us, l->queues[i].next->at_us);
  if (next_us == INT64_MAX)
    return -1;
  int64_t left_us = next_us - monotonic_us();
  return left_us <= 0 ? 0 : (int)MIN(left_us / 1000 + 1, 60000);
}

void loop_run(Loop *l)
{
  struct epoll_event events[EVENTS];
  while (!__atomic_load_n(&l->stopped, __ATOMIC_ACQUIRE)) {
    int n = epoll_wait(l->epoll, events, EVENTS, wait_ms(l));
    l->now_us = monotonic_us();
    for (int i = 0; i < n; i++) {
      Source *source = events[i].data.ptr;
      if (source->ready)
        source->ready(source, events[i].events);
    }
    mail_read(l);
    turns_run(l);
    deadlines_run(l);
    buried_free(l);
  }
}

void loop_bury(Loop *l, void *data, GDestroyNotify free_fn)
{
  Call call = { free_fn, data };
  g_array_append_val(l->buried, call);
}

int64_t loop_now_us(const Loop *l) { return l->now_us; }
uint8_t *loop_scratch(Loop *l) { return l->scratch; }
uint8_t *loop_cipher(Loop *l) { return l->cipher; }

bool loop_pipe_take(Loop *l, int ret_pipe[2])
{
  if (l->n_pipes) {
    l->n_pipes--;
    memcpy(ret_pipe, l->pipes[l->n_pipes], sizeof l->pipes[0]);
    return true;
  }
  if (pipe2(ret_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
    return false;
  fcntl(ret_pipe[0], F_SETPIPE_SZ, PIPE_BYTES);
  return true;
}

void loop_pipe_give(Loop *l, int pipe[2], bool empty)
{
  if (empty && l->n_pipes < SPARE_PIPES) {
    memcpy(l->pipes[l->n_pipes++], pipe, sizeof l->pipes[0]);
  } else {
    close(pipe[0]);
    close(pipe[1]);
  }
  pipe[0] = pipe[1] = -1;
}

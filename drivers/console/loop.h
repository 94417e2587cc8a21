/* The gateway's event loop: one a thread, edge-triggered epoll, never blocking. It lends what only exists while data is in
 * flight: one scratch buffer and a few pipes, so that an idle connection owns neither. Everything here but loop_post and
 * loop_stop belongs to the loop's own thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

typedef struct Loop Loop;

enum {
  SCRATCH_BYTES = 256 * 1024, /* of the buffer that loop_scratch lends */
  CIPHER_BYTES = SCRATCH_BYTES + 16 * 1024,
  PIPE_BYTES = 256 * 1024,    /* asked for; users without privileges get less when they have many */
};

/* Embedded in what waits for a file descriptor. Edge-triggered: ready() is told once of each change and must remember it. */
typedef struct Source {
  int fd;
  void (*ready)(struct Source *source, uint32_t events);
} Source;

/* How long things may take: one queue each, so that setting a deadline costs nothing. */
#define LOOP_TIMERS(X) \
  X(TIMER_HANDSHAKE) X(TIMER_HEAD) X(TIMER_BODY) X(TIMER_KEEP_ALIVE) X(TIMER_PROGRESS) X(TIMER_DIAL) X(TIMER_ANSWER) \
  X(TIMER_CALL) X(TIMER_CLOSE) X(TIMER_SYNC) X(TIMER_SOON) X(TIMER_STOP)
typedef enum {
#define X(name) name,
  LOOP_TIMERS(X)
#undef X
  N_LOOP_TIMERS
} LoopTimer;

/* Embedded, zeroed at first; passed() is called once when the time is over. */
typedef struct Deadline {
  struct Deadline *prev, *next;
  int64_t at_us;
  void (*passed)(struct Deadline *deadline);
} Deadline;

/* Embedded, zeroed at first; run() is called before the loop waits again. */
typedef struct Turn {
  struct Turn *prev, *next;
  void (*run)(struct Turn *turn);
} Turn;

/* durations: of each LoopTimer, in microseconds. NULL with errno where the system has no more descriptors. */
Loop *loop_new(const int64_t durations_us[N_LOOP_TIMERS]);
void loop_free(Loop *loop);
/* Runs until loop_stop. */
void loop_run(Loop *loop);
/* Any thread. */
void loop_stop(Loop *loop);

/* Any thread: calls fn(data) on the loop's. */
void loop_post(Loop *loop, void (*fn)(void *data), void *data);

/* Watches for EPOLLIN, EPOLLOUT, EPOLLRDHUP by edges, or for the events given by level. false: errno. */
bool loop_watch(Loop *loop, Source *source);
bool loop_watch_level(Loop *loop, Source *source, uint32_t events);
/* Forgets and closes the descriptor; nothing is called for this source again. A source without one (fd < 0) is nothing. */
void loop_close(Loop *loop, Source *source);

/* Sets or moves a deadline to now + the duration of timer. */
void deadline_set(Loop *loop, Deadline *deadline, LoopTimer timer);
void deadline_clear(Deadline *deadline);

/* Has turn run soon; nothing if it is waiting already. */
void turn_add(Loop *loop, Turn *turn);
void turn_clear(Turn *turn);

/* Frees data when nothing of the current round can refer to it any more. */
void loop_bury(Loop *loop, void *data, GDestroyNotify free_fn);

/* When the current round began; monotonic. */
int64_t loop_now_us(const Loop *loop);

/* SCRATCH_BYTES, and CIPHER_BYTES for what TLS made of them. Whoever asks may use it until it returns to the loop. */
uint8_t *loop_scratch(Loop *loop);
uint8_t *loop_cipher(Loop *loop);

/* Lends an empty pipe; false where there is none to be had. Back with loop_pipe_give, which closes it unless it is empty. */
bool loop_pipe_take(Loop *loop, int ret_pipe[2]);
void loop_pipe_give(Loop *loop, int pipe[2], bool empty);

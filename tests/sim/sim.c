#include "tests/sim/sim.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_FIGURES = 9, STORM_HASTE = 8, STORM_TIMES = 6, STORY_LINES = 40, LINE_BYTES = 256, STORIES_TOLD = 6, SEED_SECONDS = 60 };

/* ── chance: splitmix64 (Steele, Lea, Flood 2014) ─────────────────────────── */

uint64_t chance_bits(Sim *s)
{
  uint64_t z = s->chance += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

int64_t chance_below(Sim *s, int64_t n) { return n > 0 ? (int64_t)(chance_bits(s) % (uint64_t)n) : 0; }
bool chance(Sim *s, int per_mille) { return chance_below(s, 1000) < per_mille; }
bool fault(Sim *s, int per_mille) { return chance(s, per_mille) && !s->quiet; }
int64_t haste_ms(Sim *s, int64_t least_ms, int64_t most_ms) { return chance_ms(s, least_ms, most_ms) / s->haste; }
int64_t chance_ms(Sim *s, int64_t least_ms, int64_t most_ms) { return 1000 * least_ms + chance_below(s, 1000 * (most_ms - least_ms) + 1); }

/* ── the story: the last lines, told when something does not hold ─────────── */

static char story[STORY_LINES][LINE_BYTES];
static unsigned story_next;
static uint64_t story_seed;
static const char *story_program;

static void story_print(int fd)
{
  for (unsigned i = story_next < STORY_LINES ? 0 : story_next - STORY_LINES; i < story_next; i++)
    dprintf(fd, "    %s\n", story[i % STORY_LINES]);
  dprintf(fd, "  replay: make sim SEEDS=1 SEED0=%" G_GUINT64_FORMAT " STORY=1\n", story_seed);
}

static void tell_v(Sim *s, const char *format, va_list args)
{
  int64_t t = s->now_us - s->start_us;
  char *line = story[story_next++ % STORY_LINES];
  int n = snprintf(line, LINE_BYTES, "12:%02d:%02d.%03d ", (int)(t / 60000000), (int)(t / 1000000 % 60), (int)(t / 1000 % 1000));
  vsnprintf(line + n, LINE_BYTES - n, format, args);
  if (s->tell)
    printf("%s\n", line);
}

void tell(Sim *s, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  tell_v(s, format, args);
  va_end(args);
}

void broken(Sim *s, const char *invariant, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  tell_v(s, format, args);
  va_end(args);
  fflush(stdout);
  dprintf(STDOUT_FILENO, "seed %" G_GUINT64_FORMAT " breaks: %s\n", story_seed, invariant);
  story_print(STDOUT_FILENO);
  _exit(1);
}

/* The brain said that it cannot go on. */
static void on_abort(int number)
{
  signal(number, SIG_DFL);
  fflush(stdout);
  dprintf(STDOUT_FILENO, "seed %" G_GUINT64_FORMAT " breaks: the brain never aborts (%s)\n", story_seed, strsignal(number));
  story_print(STDOUT_FILENO);
  _exit(1);
}

static Sim *logged;

static GLogWriterOutput on_log(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
  for (gsize i = 0; i < n; i++)
    if (logged && !strcmp(fields[i].key, "MESSAGE"))
      tell(logged, "%s", (const char *)fields[i].value);
  return G_LOG_WRITER_HANDLED;
}

/* ── time ─────────────────────────────────────────────────────────────────── */

typedef struct {
  int64_t at_us;
  uint64_t number;
  SimFn fn;
  void *data;
} SimEvent;

static int event_compare(const void *a, const void *b, void *data)
{
  const SimEvent *x = a, *y = b;
  if (x->at_us != y->at_us)
    return x->at_us < y->at_us ? -1 : 1;
  return x->number < y->number ? -1 : x->number > y->number;
}

void sim_after(Sim *s, int64_t us, SimFn fn, void *data)
{
  SimEvent *e = g_new(SimEvent, 1);
  *e = (SimEvent){ s->now_us + us, s->next_event++, fn, data };
  g_tree_insert(s->queue, e, e);
}

static void run_until(Sim *s, int64_t end_us)
{
  for (;;) {
    GTreeNode *first = g_tree_node_first(s->queue);
    SimEvent *e = first ? g_tree_node_key(first) : NULL;
    if (!e || e->at_us > end_us)
      break;
    g_tree_steal(s->queue, e);
    s->now_us = e->at_us;
    s->events++;
    e->fn(s, e->data);
    g_free(e);
  }
  s->now_us = end_us;
}

static int name_compare(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *sorted_names(GHashTable *table)
{
  GPtrArray *names = g_ptr_array_new();
  GHashTableIter i;
  void *key;
  g_hash_table_iter_init(&i, table);
  while (g_hash_table_iter_next(&i, &key, NULL))
    g_ptr_array_add(names, key);
  g_ptr_array_sort(names, name_compare);
  return names;
}

/* ── one seed ─────────────────────────────────────────────────────────────── */

static Sim *sim_new(uint64_t seed, bool tells)
{
  Sim *s = g_new0(Sim, 1);
  s->seed = s->chance = seed;
  s->tell = tells;
  s->start_us = s->now_us = INT64_C(1700000000000000);
  s->haste = g_strcmp0(g_getenv("SIM_GPU"), "storm") ? 1 : STORM_HASTE;
  s->queue = g_tree_new_full(event_compare, NULL, NULL, NULL);
  s->domains = g_ptr_array_new();
  s->volumes = g_ptr_array_new();
  s->lanes = g_ptr_array_new();
  s->lanes_by_key = g_hash_table_new(g_str_hash, g_str_equal);
  s->relays = g_ptr_array_new();
  s->closed = g_ptr_array_new();
  s->redeemed = g_hash_table_new(g_str_hash, g_str_equal);
  s->macs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  s->keys = g_hash_table_new(g_str_hash, g_str_equal);
  g_queue_init(&s->decisions);
  for (int i = 0; i < HOSTS; i++)
    g_snprintf(s->hosts[i].name, sizeof s->hosts[i].name, "h%d", i + 1);
  return s;
}

/* In every fourth story an older store is put back, in the midst of the noise. Tickets of the backup have ended by then. */
static void restore_plan(Sim *s)
{
  if (s->seed % 4)
    return;
  int64_t made_s = 60 + s->seed / 4 % 180, later_s = TICKET_LIFE_S + 10 + s->seed / 8 % 150;
  sim_after(s, made_s * SECOND_US, store_back_up, NULL);
  sim_after(s, (made_s + later_s) * SECOND_US, runtime_restore, NULL);
}

/* A noisy time, a calm one in which everything must work, and one in which everybody has left. */
static void seed_run(uint64_t seed, bool tells)
{
  Sim *s = logged = sim_new(seed, tells);
  chance_bits(s);
  store_furnish(s);
  runtime_boot(s, NULL);
  people_start(s);
  staff_start(s);
  restore_plan(s);
  gpus_begin(s);
  world_poll(s, NULL);
  int64_t noise_s = s->haste > 1 ? STORM_TIMES * NOISE_S : NOISE_S;
  run_until(s, s->start_us + noise_s * SECOND_US);
  tell(s, "── from here on nothing goes wrong any more ──");
  s->quiet = true;
  s->quiet_us = s->now_us;
  staff_mend(s);
  run_until(s, s->quiet_us + CALM_S * SECOND_US);
  check_calm(s);
  check_past(s);
  tell(s, "── everybody leaves ──");
  people_leave(s);
  world_sweep(s, STORED(s, Controller, CONTROLLER, "controller")->doubtful); /* parts of cards go by themselves once no guest has them */
  run_until(s, s->quiet_us + (CALM_S + TAIL_S) * SECOND_US);
  world_sweep(s, STORED(s, Controller, CONTROLLER, "controller")->doubtful); /* steps of before a restore that came very late */
  check_end(s);
}

static int seed_forked(uint64_t seed, bool tells, int out, uint64_t *ret_events)
{
  int pipes[2];
  if (pipe(pipes))
    return 1;
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    dup2(out, STDOUT_FILENO);
    story_seed = seed;
    g_log_set_writer_func(on_log, NULL, NULL);
    for (const int *n = (int[]){ SIGABRT, SIGTRAP, SIGSEGV, SIGVTALRM, 0 }; *n; n++)
      signal(*n, on_abort);
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){ .it_value.tv_sec = SEED_SECONDS }, NULL); /* of its own time: a busy machine is no defect */
    seed_run(seed, tells);
    fflush(stdout);
    uint64_t figures[N_FIGURES] = { logged->events, logged->crashes, logged->failed_commits, logged->gpu_steps, logged->gpu_looks,
                                    logged->claims, logged->releases, logged->reboots, logged->doubts };
    _exit(write(pipes[1], figures, sizeof figures) != sizeof figures);
  }
  close(pipes[1]);
  uint64_t figures[N_FIGURES] = { 0 };
  bool told = read(pipes[0], figures, sizeof figures) == sizeof figures;
  close(pipes[0]);
  int status = 1;
  waitpid(child, &status, 0);
  for (int i = 0; i < N_FIGURES; i++)
    ret_events[i] += figures[i];
  return status || !told;
}

int main(int argc, char **argv)
{
  story_program = argv[0];
  uint64_t seeds = argc > 1 ? g_ascii_strtoull(argv[1], NULL, 10) : 200, first = argc > 2 ? g_ascii_strtoull(argv[2], NULL, 10) : 1;
  uint64_t most_failures = argc > 4 ? g_ascii_strtoull(argv[4], NULL, 10) : UINT64_MAX;
  bool tells = argc > 3 && !strcmp(argv[3], "1");
  uint64_t failed = 0, figures[N_FIGURES] = { 0 }, ran = 0;
  FILE *nowhere = fopen("/dev/null", "w");
  for (uint64_t i = 0; i < seeds && failed < most_failures; i++, ran++)
    failed += seed_forked(first + i, tells, failed < STORIES_TOLD ? STDOUT_FILENO : fileno(nowhere), figures) != 0;
  printf("%" G_GUINT64_FORMAT " events, %" G_GUINT64_FORMAT " crashes, %" G_GUINT64_FORMAT " failed commits, %" G_GUINT64_FORMAT
         " vGPUs made or removed, %" G_GUINT64_FORMAT " looks at cards, %" G_GUINT64_FORMAT " claims, %" G_GUINT64_FORMAT " releases, %" G_GUINT64_FORMAT
         " reboots, %" G_GUINT64_FORMAT " parts of others lost in doubt\n", figures[0], figures[1], figures[2], figures[3], figures[4], figures[5],
         figures[6], figures[7], figures[8]);
  printf("%" G_GUINT64_FORMAT " passed, %" G_GUINT64_FORMAT " failed, 0 skipped\n", ran - failed, failed);
  return failed != 0;
}

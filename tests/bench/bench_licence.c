/* licence_change_ms_10k: what the controller does, in memory, when one of 1,000 people who hold a seat of a licence ends, and 10,000 wait in line for one
 * in four pools: the next is served, those in line are told again, the figures are put right. Beside it the same for a line of 1,250: eight times as long
 * should cost eight times as much at most (licence_line_growth, of the time that grows with the line). */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/brain.h"
#include "core/lifecycle.h"

enum { HELD = 1000, LONG = 10000, SHORT = LONG / 8, POOLS = 4, CHANGES = 41, REACH_MS = 10 };

typedef struct {
  Brain *brain;
  int64_t now_us;
} Bench;

static double cpu_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e3 * (double)t.tv_sec + (double)t.tv_nsec / 1e6;
}

static void random_bytes(void *data, uint8_t *bytes, size_t n)
{
  for (size_t i = 0; i < n; i++)
    bytes[i] = (uint8_t)(i * 7 + 1);
}

/* ── who holds, and who waits ─────────────────────────────────────────────── */

static void *object_of(Bench *b, Noun noun, const char *name)
{
  Object *o = object_new(&schemas[noun], noun, name);
  o->created_us = o->changed_us = b->now_us++;
  return o;
}

static void *numbered(Bench *b, Noun noun, const char *letter, int n)
{
  g_autofree char *name = g_strdup_printf("%s-%d", letter, n);
  return object_of(b, noun, name);
}

static void pool_load(Bench *b, int n)
{
  static const char *const cad[] = { "cad=1", NULL };
  Pool *p = numbered(b, NOUN_POOL, "pool", n);
  ref_set(&p->template, "none");
  ref_set(&p->image, "none");
  list_set(&p->licences, cad);
  p->max = LONG;
  p->state = POOL_PAUSED; /* it makes no desktops: those there are do */
  brain_load(&p->head, b->brain);
}

static Session *session_new(Bench *b, int n)
{
  Session *s = numbered(b, NOUN_SESSION, "s", n);
  g_autofree char *user = g_strdup_printf("u%d", n), *pool = g_strdup_printf("pool-%d", n % POOLS);
  ref_set(&s->user, user);
  ref_set(&s->pool, pool);
  return s;
}

static Desktop *desktop_new(Bench *b, int n, DesktopState state)
{
  Desktop *d = numbered(b, NOUN_DESKTOP, "d", n);
  g_autofree char *pool = g_strdup_printf("pool-%d", n % POOLS);
  ref_set(&d->pool, pool);
  ref_set(&d->host, "h");
  d->state = state;
  d->power = d->want_power = POWER_ON;
  return d;
}

static void holder_load(Bench *b, int n)
{
  static const char *const cad[] = { "cad=1", NULL };
  Session *s = session_new(b, n);
  Desktop *d = desktop_new(b, n, DESKTOP_ASSIGNED);
  text_set(&s->desktop, d->head.name);
  text_set(&d->session, s->head.name);
  s->state = SESSION_ACTIVE;
  s->prepared = s->ready = true;
  s->ends = b->now_us + (1 + n % 600) * 60 * SECOND_US;
  list_set(&s->licences, cad);
  brain_load(&d->head, b->brain);
  brain_load(&s->head, b->brain);
}

static void furnish(Bench *b, int waiting)
{
  Licence *cad = object_of(b, NOUN_LICENCE, "cad");
  cad->total = HELD;
  brain_load(&cad->head, b->brain);
  for (int i = 0; i < POOLS; i++)
    pool_load(b, i);
  for (int i = 0; i < HELD; i++)
    holder_load(b, i);
  for (int i = 0; i < POOLS * CHANGES; i++)
    brain_load(&desktop_new(b, HELD + i, DESKTOP_AVAILABLE)->head, b->brain);
  for (int i = 0; i < waiting; i++)
    brain_load(&session_new(b, HELD + i)->head, b->brain);
}

/* ── one ends ─────────────────────────────────────────────────────────────── */

static double settle(Bench *b)
{
  double began = cpu_ms();
  for (bool more = true; more;) {
    Output out;
    brain_tick(b->brain, b->now_us);
    brain_take_output(b->brain, &out);
    for (guint i = 0; i < out.replies->len; i++)
      if (g_array_index(out.replies, Reply, i).answer->error)
        g_error("%s", g_array_index(out.replies, Reply, i).answer->error->message);
    more = out.batch;
    output_clear(&out);
  }
  return cpu_ms() - began;
}

static double one_ends(Bench *b, int n)
{
  Request *r = request_new(API_SESSION_END);
  r->caller = (Caller){ .user = g_strdup("root"), .role = ROLE_ADMINISTRATOR, .logged_in = true, .local = true };
  r->name = g_strdup_printf("s-%d", n);
  double began = cpu_ms();
  brain_request(b->brain, r, b, b->now_us);
  double asked = cpu_ms() - began;
  return asked + settle(b);
}

static int compare(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* In the middle of all changes but the first: that one tells all who were never told. */
static double change_ms(int waiting)
{
  BrainOptions options = { .random = random_bytes };
  Bench b = { .brain = brain_new(&options), .now_us = INT64_C(1700000000000000) };
  double took[CHANGES];
  furnish(&b, waiting);
  brain_start(b.brain, b.now_us);
  settle(&b);
  for (int i = 0; i < CHANGES; i++) {
    g_autofree char *served = g_strdup_printf("s-%d", HELD + i);
    b.now_us += 1000;
    took[i] = one_ends(&b, i);
    const Session *s = (const Session *)brain_find(b.brain, NOUN_SESSION, served);
    if (!s || session_state_is_waiting(s->state))
      g_error("%s was not served", served);
  }
  qsort(took, CHANGES, sizeof *took, compare);
  brain_free(b.brain);
  return took[CHANGES / 2];
}

static void row(const char *name, double value, const char *unit, const char *against, double reach)
{
  printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"against\": \"%s\", \"reach\": \"<= %g\", \"holds\": %s}\n", name, value, unit, against,
         reach, value <= reach ? "true" : "false");
}

int main(void)
{
  double none = change_ms(CHANGES), few = change_ms(SHORT), many = change_ms(LONG);
  g_autofree char *lines = g_strdup_printf("%d hold a seat, %d wait; with %d %.2f CPU-ms, with %d %.2f", HELD, LONG, SHORT, few, CHANGES, none);
  row("licence_change_ms_10k", many, "CPU-ms", lines, REACH_MS);
  row("licence_line_growth", (many - none) / (few - none), "", "eight times the line, by what it adds to the time", LONG / SHORT);
  return 0;
}

/* What the store costs: a batch as a grant makes it against one single-row WAL+FULL commit of bare SQLite in the same directory, taken in turn;
 * batches that share a commit; and the load of a store of many desktops. Prints JSON lines.
 *   bench_store [DIRECTORY [DESKTOPS...]] */
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "drivers/store/store.h"

enum { ROUNDS = 2000, WARM = 600, DESKTOPS = 10000 };

static int64_t clock_us(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static int compare(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void fail(GError *err)
{
  fprintf(stderr, "bench_store: %s\n", err->message);
  exit(1);
}

static void print(const char *name, double value, const char *unit)
{
  printf("{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"}\n", name, value, unit);
}

static void print_times(const char *name, int64_t *times_us, int n)
{
  qsort(times_us, n, sizeof *times_us, compare);
  static const struct {
    const char *name;
    int per_mille;
  } rows[] = { { "p50", 500 }, { "p90", 900 }, { "p99", 990 } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = g_strdup_printf("%s_%s", name, rows[i].name);
    print(text, times_us[(int64_t)n * rows[i].per_mille / 1000], "us");
  }
}

/* ── the floor ────────────────────────────────────────────────────────────── */

typedef struct {
  sqlite3 *db;
  sqlite3_stmt *update;
} Floor;

static void floor_open(Floor *f, const char *directory)
{
  g_autofree char *path = g_build_filename(directory, "floor.db", NULL);
  sqlite3_open(path, &f->db);
  sqlite3_exec(f->db, "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;CREATE TABLE t(id INTEGER PRIMARY KEY,v INT,x TEXT);"
                      "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<1000)"
                      "INSERT INTO t SELECT i,0,hex(randomblob(60)) FROM c", NULL, NULL, NULL);
  sqlite3_prepare_v2(f->db, "UPDATE t SET v=v+1 WHERE id=?1", -1, &f->update, NULL);
}

static void floor_commit(Floor *f, int i)
{
  sqlite3_bind_int(f->update, 1, 1 + i * 37 % 1000);
  if (sqlite3_step(f->update) != SQLITE_DONE)
    exit(1);
  sqlite3_reset(f->update);
}

static void floor_close(Floor *f)
{
  sqlite3_finalize(f->update);
  sqlite3_close(f->db);
}

/* ── objects as the controller makes them ─────────────────────────────────── */

static void put(Batch *batch, Noun noun, Object *object)
{
  object->created_us = 1700000000000000;
  object->changed_us = object->created_us + batch->sequence;
  g_array_append_val(batch->changes, ((Change){ noun, CHANGE_PUT, object }));
}

static Object *numbered(Noun noun, int64_t number)
{
  g_autofree char *name = g_strdup_printf("%c-%" G_GINT64_FORMAT, schemas[noun].noun[0], number);
  return object_new(&schemas[noun], noun, name);
}

static void put_desktop(Batch *batch, int number)
{
  Desktop *d = (Desktop *)numbered(NOUN_DESKTOP, number);
  ref_set(&d->pool, "cad");
  ref_set(&d->host, number % 2 ? "host-a" : "host-b");
  ref_set(&d->storage, "fast");
  ref_set(&d->template, "linux-desktop@3");
  ref_set(&d->image, "debian@12");
  d->state = DESKTOP_AVAILABLE;
  d->power = d->want_power = POWER_ON;
  d->clone = d->vcpus = 4;
  d->memory_mib = 8192;
  d->since = 1700000000000000;
  text_set(&d->evidence, "{\"clone\":4,\"overlay\":\"new\",\"nvram\":\"new\",\"seed\":\"new\",\"agent\":\"answers\",\"users\":[]}");
  put(batch, NOUN_DESKTOP, &d->head);
}

static void put_task(Batch *batch, int64_t i)
{
  Task *t = (Task *)numbered(NOUN_TASK, i);
  t->kind = TASK_PERSONALISE;
  ref_set(&t->noun, "desktop");
  text_set(&t->object, "d-17");
  put(batch, NOUN_TASK, &t->head);
}

/* A session, its desktop, a ticket, a task and an event. */
static Batch *grant(int64_t sequence, int n_desktops)
{
  Batch *batch = batch_new(sequence);
  Session *s = (Session *)numbered(NOUN_SESSION, sequence);
  ref_set(&s->user, "kim");
  ref_set(&s->pool, "cad");
  text_set(&s->desktop, "d-17");
  put(batch, NOUN_SESSION, &s->head);
  put_desktop(batch, 1 + sequence % n_desktops);
  g_autofree char *seed = g_strdup_printf("%" G_GINT64_FORMAT, sequence);
  g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, seed, -1);
  Ticket *k = (Ticket *)object_new(&schemas[NOUN_TICKET], NOUN_TICKET, hash);
  ref_set(&k->user, "kim");
  put(batch, NOUN_TICKET, &k->head);
  put_task(batch, sequence);
  Event *e = (Event *)numbered(NOUN_EVENT, sequence);
  e->number = sequence;
  ref_set(&e->kind, "session.assigned");
  text_set(&e->object, "s-17");
  put(batch, NOUN_EVENT, &e->head);
  return batch;
}

static void drop(Object *object, void *n)
{
  store_object_drop(object);
  ++*(int *)n;
}

static void apply(Store *store, Batch **batches, int n)
{
  g_autoptr(GError) err = NULL;
  if (!store->driver->apply(store, (const Batch *const *)batches, n, 1, &err))
    fail(err);
}

static Store *open_store(const char *directory)
{
  g_autoptr(GError) err = NULL;
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", directory);
  Store *store = store_open(uri, &err);
  if (!store)
    fail(err);
  return store;
}

/* ── runs ─────────────────────────────────────────────────────────────────── */

static void run_commits(Store *store, Floor *f, int n_desktops, int64_t *sequence)
{
  static int64_t floor_us[ROUNDS], grant_us[ROUNDS];
  int64_t floor_cpu_us = 0, grant_cpu_us = 0;
  for (int i = -WARM; i < ROUNDS; i++) {
    g_autoptr(Batch) batch = grant(++*sequence, n_desktops);
    int64_t cpu0 = clock_us(CLOCK_THREAD_CPUTIME_ID), t0 = clock_us(CLOCK_MONOTONIC);
    floor_commit(f, i + WARM);
    int64_t t1 = clock_us(CLOCK_MONOTONIC), cpu1 = clock_us(CLOCK_THREAD_CPUTIME_ID);
    apply(store, (Batch *[]){ batch }, 1);
    int64_t t2 = clock_us(CLOCK_MONOTONIC), cpu2 = clock_us(CLOCK_THREAD_CPUTIME_ID);
    if (i < 0)
      continue;
    floor_us[i] = t1 - t0;
    grant_us[i] = t2 - t1;
    floor_cpu_us += cpu1 - cpu0;
    grant_cpu_us += cpu2 - cpu1;
  }
  print_times("floor_commit", floor_us, ROUNDS);
  print_times("grant_commit", grant_us, ROUNDS);
  print("grant_vs_floor_p50", (double)grant_us[ROUNDS / 2] / floor_us[ROUNDS / 2], "ratio");
  print("floor_cpu", (double)floor_cpu_us / ROUNDS, "us");
  print("grant_cpu", (double)grant_cpu_us / ROUNDS, "us");
}

static void run_groups(Store *store, int n_desktops, int group, int64_t *sequence)
{
  enum { GRANTS = 6400 };
  Batch *batches[64];
  int64_t spent_us = 0;
  for (int done = 0; done < GRANTS; done += group) {
    for (int i = 0; i < group; i++)
      batches[i] = grant(++*sequence, n_desktops);
    int64_t t0 = clock_us(CLOCK_MONOTONIC);
    apply(store, batches, group);
    spent_us += clock_us(CLOCK_MONOTONIC) - t0;
    for (int i = 0; i < group; i++)
      batch_free(batches[i]);
  }
  g_autofree char *name = g_strdup_printf("grants_in_groups_of_%d", group);
  print(name, GRANTS * 1e6 / spent_us, "1/s");
}

static void run_load(Store *store, int n_desktops)
{
  g_autoptr(GError) err = NULL;
  int64_t cpu0 = clock_us(CLOCK_THREAD_CPUTIME_ID), sequence;
  int n = 0;
  if (!store->driver->load(store, drop, &n, &sequence, &err))
    fail(err);
  g_autofree char *name = g_strdup_printf("load_%d_desktops_cpu", n_desktops);
  print(name, (clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu0) / 1000.0, "ms");
}

static void remove_files(const char *directory)
{
  GDir *dir = g_dir_open(directory, 0, NULL);
  for (const char *name; (name = g_dir_read_name(dir));) {
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_unlink(path);
  }
  g_dir_close(dir);
  g_rmdir(directory);
}

static void run(const char *parent, int n_desktops)
{
  g_autofree char *directory = g_build_filename(parent, "bench-store-XXXXXX", NULL);
  if (!g_mkdtemp(directory))
    exit(1);
  Store *store = open_store(directory);
  int64_t sequence = 1;
  g_autoptr(Batch) all = batch_new(sequence);
  for (int i = 1; i <= n_desktops; i++)
    put_desktop(all, i);
  apply(store, (Batch *[]){ all }, 1);
  store_close(store);
  int64_t t0 = clock_us(CLOCK_MONOTONIC);
  store = open_store(directory);
  print("open", (clock_us(CLOCK_MONOTONIC) - t0) / 1000.0, "ms");
  run_load(store, n_desktops);
  Floor f;
  floor_open(&f, directory);
  run_commits(store, &f, n_desktops, &sequence);
  floor_close(&f);
  run_groups(store, n_desktops, 16, &sequence);
  run_groups(store, n_desktops, 64, &sequence);
  store_close(store);
  remove_files(directory);
}

int main(int argc, char **argv)
{
  const char *parent = argc > 1 ? argv[1] : g_get_tmp_dir();
  for (int i = 2; i < argc; i++)
    run(parent, MAX(atoi(argv[i]), 1));
  if (argc < 3)
    run(parent, DESKTOPS);
  return 0;
}

/* grant_load commit FILE N                       N one-row commits of SQLite (WAL, synchronous=FULL), one after another
 * grant_load post SOCKET PATH BODY FIRST N CALLERS   N requests POST PATH, BODY with every %d replaced by FIRST, FIRST+1 …; CALLERS at a time
 * Each prints one JSON line: {"p50_us":…,"p99_us":…,"per_s":…,"failed":…}.
 * grant_load first SOCKET PATH BODY              waits until something listens there, posts BODY once, prints {"at_us":…,"failed":…}: when
 *                                                the answer was there, on the monotonic clock */
#include <glib.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int compare(const void *a, const void *b)
{
  gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
  return x < y ? -1 : x > y;
}

static void report(gint64 *took_us, int n, gint64 wall_us, int failed)
{
  qsort(took_us, n, sizeof *took_us, compare);
  printf("{\"p50_us\":%" G_GINT64_FORMAT ",\"p99_us\":%" G_GINT64_FORMAT ",\"per_s\":%.1f,\"failed\":%d}\n", took_us[n / 2], took_us[n * 99 / 100],
         n * 1e6 / wall_us, failed);
}

static void sql(sqlite3 *db, const char *text)
{
  if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
    g_error("%s: %s", text, sqlite3_errmsg(db));
}

static void run_commits(const char *file, int n)
{
  sqlite3 *db;
  if (sqlite3_open(file, &db) != SQLITE_OK)
    g_error("cannot open %s", file);
  sql(db, "PRAGMA journal_mode=WAL");
  sql(db, "PRAGMA synchronous=FULL");
  sql(db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, name TEXT, state TEXT, at INTEGER)");
  sqlite3_stmt *insert;
  sqlite3_prepare_v2(db, "INSERT INTO t(name, state, at) VALUES('d-17', 'assigned', ?)", -1, &insert, NULL);
  gint64 *took = g_new(gint64, n), start = g_get_monotonic_time();
  for (int i = 0; i < n; i++) {
    gint64 t = g_get_monotonic_time();
    sqlite3_bind_int64(insert, 1, t);
    if (sqlite3_step(insert) != SQLITE_DONE)
      g_error("%s", sqlite3_errmsg(db));
    sqlite3_reset(insert);
    took[i] = g_get_monotonic_time() - t;
  }
  report(took, n, g_get_monotonic_time() - start, 0);
  sqlite3_finalize(insert);
  sqlite3_close(db);
  g_free(took);
}

/* ── requests ─────────────────────────────────────────────────────────────── */

typedef struct {
  const char *socket, *path, *body;
  int first, n;
  gint next, failed;
  gint64 *took_us;
} Load;

/* -1 where nothing listens. */
static int try_connect(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_strlcpy(address.sun_path, path, sizeof address.sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  close(fd);
  return -1;
}

static int connect_to(const char *path)
{
  int fd = try_connect(path);
  if (fd < 0)
    g_error("cannot connect to %s", path);
  return fd;
}

/* One answer with a Content-Length; its status. */
static int read_answer(int fd)
{
  static _Thread_local char buffer[65536];
  size_t n = 0;
  for (char *end = NULL;;) {
    ssize_t got = read(fd, buffer + n, sizeof buffer - 1 - n);
    if (got <= 0)
      return 0;
    n += got;
    buffer[n] = 0;
    end = strstr(buffer, "\r\n\r\n");
    const char *length = end ? strcasestr(buffer, "content-length:") : NULL;
    if (end && (!length || n >= (size_t)(end + 4 - buffer) + atoi(length + 15)))
      return atoi(buffer + 9);
  }
}

static char *request_of(const char *path, const char *body)
{
  return g_strdup_printf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
                         strlen(body), body);
}

/* Status of the answer; 0 where none came. */
static int ask(int fd, const char *request)
{
  return write(fd, request, strlen(request)) > 0 ? read_answer(fd) : 0;
}

static void *caller(void *data)
{
  Load *load = data;
  int fd = connect_to(load->socket);
  for (int i; (i = g_atomic_int_add(&load->next, 1)) < load->n;) {
    g_autofree char *number = g_strdup_printf("%d", load->first + i);
    g_auto(GStrv) parts = g_strsplit(load->body, "%d", -1);
    g_autofree char *body = g_strjoinv(number, parts), *request = request_of(load->path, body);
    gint64 t = g_get_monotonic_time();
    int status = ask(fd, request);
    load->took_us[i] = g_get_monotonic_time() - t;
    if (status < 200 || status > 299)
      g_atomic_int_inc(&load->failed);
  }
  close(fd);
  return NULL;
}

static void run_requests(Load *load, int callers)
{
  load->took_us = g_new0(gint64, load->n);
  pthread_t *threads = g_new(pthread_t, callers);
  gint64 start = g_get_monotonic_time();
  for (int i = 0; i < callers; i++)
    pthread_create(&threads[i], NULL, caller, load);
  for (int i = 0; i < callers; i++)
    pthread_join(threads[i], NULL);
  report(load->took_us, load->n, g_get_monotonic_time() - start, load->failed);
  g_free(load->took_us);
  g_free(threads);
}

static void run_first(const char *socket, const char *path, const char *body)
{
  int fd;
  while ((fd = try_connect(socket)) < 0)
    g_usleep(500);
  g_autofree char *request = request_of(path, body);
  int status = ask(fd, request);
  printf("{\"at_us\":%" G_GINT64_FORMAT ",\"failed\":%d}\n", g_get_monotonic_time(), status < 200 || status > 299);
  close(fd);
}

int main(int argc, char **argv)
{
  if (argc == 4 && !strcmp(argv[1], "commit")) {
    run_commits(argv[2], atoi(argv[3]));
    return 0;
  }
  if (argc == 5 && !strcmp(argv[1], "first")) {
    run_first(argv[2], argv[3], argv[4]);
    return 0;
  }
  if (argc != 8 || strcmp(argv[1], "post")) {
    fprintf(stderr, "usage: grant_load commit FILE N | post SOCKET PATH BODY FIRST N CALLERS | first SOCKET PATH BODY\n");
    return 2;
  }
  Load load = { .socket = argv[2], .path = argv[3], .body = argv[4], .first = atoi(argv[5]), .n = atoi(argv[6]) };
  run_requests(&load, atoi(argv[7]));
  return 0;
}

/* grant_load commit FILE N                       N one-row commits of SQLite (WAL, synchronous=FULL), one after another
 * grant_load post SOCKET PATH BODY FIRST N CALLERS   N requests POST PATH, BODY with every %d replaced by FIRST, FIRST+1 …; CALLERS at a time
 * Each prints one JSON line: {"p50_us":…,"p99_us":…,"per_s":…,"failed":…}.
 * grant_load first SOCKET PATH BODY              waits until something listens there, posts BODY once, prints {"at_us":…,"failed":…}: when
 *                                                the answer was there, on the monotonic clock */
#include <errno.h>
#include <glib.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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

/* Status of the whole answer in text, by its Content-Length; -1 while it is not all there. */
static int answer_status(const char *text, size_t n)
{
  const char *end = strstr(text, "\r\n\r\n"), *length = end ? strcasestr(text, "content-length:") : NULL;
  return end && (!length || n >= (size_t)(end + 4 - text) + atoi(length + 15)) ? atoi(text + 9) : -1;
}

static char *request_of(const char *path, const char *body)
{
  return g_strdup_printf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
                         strlen(body), body);
}

/* One of those who ask, all on one thread: 64 threads would take the CPU from who is measured. */
typedef struct {
  int fd, i; /* i: number of its request, -1 = none under way */
  gint64 asked_us;
  size_t have;
  char text[16384];
} Caller;

typedef struct {
  GPtrArray *requests;
  int next, answered, failed;
  gint64 *took_us;
} Load;

static void caller_asks(Caller *caller, Load *load)
{
  caller->i = load->next < (int)load->requests->len ? load->next++ : -1;
  if (caller->i < 0)
    return;
  const char *request = load->requests->pdata[caller->i];
  caller->have = 0;
  caller->asked_us = g_get_monotonic_time();
  if (write(caller->fd, request, strlen(request)) != (ssize_t)strlen(request))
    g_error("write: %s", g_strerror(errno));
}

static void caller_reads(Caller *caller, Load *load)
{
  ssize_t got = read(caller->fd, caller->text + caller->have, sizeof caller->text - 1 - caller->have);
  if (got <= 0 || caller->i < 0)
    g_error("a connection ended: %s", got < 0 ? g_strerror(errno) : "by the server");
  caller->have += got;
  caller->text[caller->have] = 0;
  int status = answer_status(caller->text, caller->have);
  if (status < 0)
    return;
  load->took_us[caller->i] = g_get_monotonic_time() - caller->asked_us;
  load->failed += status < 200 || status > 299;
  load->answered++;
  caller_asks(caller, load);
}

static void callers_serve(int epoll, Load *load)
{
  struct epoll_event events[64];
  while (load->answered < (int)load->requests->len) {
    int n = epoll_wait(epoll, events, G_N_ELEMENTS(events), -1);
    for (int i = 0; i < n; i++)
      caller_reads(events[i].data.ptr, load);
  }
}

static void run_requests(const char *socket, GPtrArray *requests, int n_callers)
{
  Load load = { .requests = requests, .took_us = g_new0(gint64, requests->len) };
  Caller *callers = g_new(Caller, n_callers);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < n_callers; i++) {
    callers[i].fd = connect_to(socket);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = &callers[i] };
    epoll_ctl(epoll, EPOLL_CTL_ADD, callers[i].fd, &event);
  }
  gint64 start = g_get_monotonic_time();
  for (int i = 0; i < n_callers; i++)
    caller_asks(&callers[i], &load);
  callers_serve(epoll, &load);
  report(load.took_us, requests->len, g_get_monotonic_time() - start, load.failed);
  for (int i = 0; i < n_callers; i++)
    close(callers[i].fd);
  close(epoll);
  g_free(callers);
  g_free(load.took_us);
}

static GPtrArray *requests_of(const char *path, const char *body, int first, int n)
{
  GPtrArray *requests = g_ptr_array_new_with_free_func(g_free);
  g_auto(GStrv) parts = g_strsplit(body, "%d", -1);
  for (int i = 0; i < n; i++) {
    g_autofree char *number = g_strdup_printf("%d", first + i), *filled = g_strjoinv(number, parts);
    g_ptr_array_add(requests, request_of(path, filled));
  }
  return requests;
}

static void run_first(const char *socket, const char *path, const char *body)
{
  int fd;
  while ((fd = try_connect(socket)) < 0)
    g_usleep(500);
  g_autofree char *request = request_of(path, body);
  char text[16384] = "";
  int status = write(fd, request, strlen(request)) > 0 ? -1 : 0;
  for (size_t n = 0; status < 0;) {
    ssize_t got = read(fd, text + n, sizeof text - 1 - n);
    n += MAX(got, 0);
    status = got > 0 ? answer_status(text, n) : 0;
  }
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
  g_autoptr(GPtrArray) requests = requests_of(argv[3], argv[4], atoi(argv[5]), atoi(argv[6]));
  run_requests(argv[2], requests, atoi(argv[7]));
  return 0;
}

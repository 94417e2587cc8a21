#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "core/log.h"
#include "drivers/console/front.h"

enum { HEAD_READ_BYTES = 16 * 1024, SEND_BYTES = 64 * 1024, LOG_PATH_BYTES = 160, LOG_SEGMENT_BYTES = 40 };

/* ── the access log ── */

/* The path without its query, and without any part long enough to be a secret that got lost in it. */
static char *line_of(const HttpRequest *r)
{
  GString *line = g_string_sized_new(64);
  g_string_append_printf(line, "%.*s ", (int)r->method.n, r->method.at);
  size_t segment = 0;
  for (size_t i = 0; i < r->path.n && i < LOG_PATH_BYTES; i++) {
    segment = r->path.at[i] == '/' ? 0 : segment + 1;
    if (segment <= LOG_SEGMENT_BYTES)
      g_string_append_c(line, r->path.at[i]);
    if (segment == LOG_SEGMENT_BYTES)
      g_string_truncate(line, line->len - LOG_SEGMENT_BYTES), g_string_append(line, "...");
  }
  return g_string_free(line, FALSE);
}

static void access_log(Conn *c)
{
  if (!c->line)
    return;
  g_autofree char *status = g_strdup_printf("%d", c->status);
  g_autofree char *bytes = g_strdup_printf("%" G_GINT64_FORMAT, c->sent_bytes);
  g_autofree char *ms = g_strdup_printf("%" G_GINT64_FORMAT, (loop_now_us(c->front->loop) - c->began_us) / 1000);
  log_info("access", c->line, "status", status, "client", c->address.text, "bytes", bytes, "ms", ms);
  g_clear_pointer(&c->line, g_free);
}

/* ── phases ── */

typedef struct {
  LoopTimer timer; /* N_LOOP_TIMERS: others watch the time */
  bool (*run)(Conn *c); /* true: there may be more to do */
} PhaseRow;
static const PhaseRow phase_rows[N_CONN_PHASES];

void conn_enter(Conn *c, ConnPhase phase)
{
  c->phase = phase;
  if (phase_rows[phase].timer == N_LOOP_TIMERS)
    deadline_clear(&c->deadline);
  else
    deadline_set(c->front->loop, &c->deadline, phase_rows[phase].timer);
}

static void in_drop(Conn *c, size_t n)
{
  explicit_bzero(c->in->data, n);
  g_byte_array_remove_range(c->in, 0, (guint)n);
  if (!c->in->len)
    g_clear_pointer(&c->in, g_byte_array_unref);
  c->in_scanned = 0;
}

static void conn_bury(Conn *c)
{
  g_free(c->line);
  g_free(c);
}

void conn_close(Conn *c)
{
  Front *f = c->front;
  if (c->phase == CONN_CLOSED)
    return;
  c->phase = CONN_CLOSED;
  deadline_clear(&c->deadline);
  access_log(c);
  query_cancel(g_steal_pointer(&c->query));
  g_clear_pointer(&c->relay, relay_free);
  forward_drop(c);
  g_clear_pointer(&c->body, g_bytes_unref);
  if (c->in)
    in_drop(c, c->in->len);
  wire_done(&c->wire);
  addresses_leave(f->shared->addresses, &c->address);
  *(c->prev ? &c->prev->next : &f->conns) = c->next;
  if (c->next)
    c->next->prev = c->prev;
  f->n_conns--;
  loop_bury(f->loop, c, (GDestroyNotify)conn_bury);
}

void conn_done(Conn *c)
{
  access_log(c);
  c->status = 0;
  c->sent_bytes = 0;
  conn_enter(c, c->keep_alive && !c->front->stopping ? CONN_IDLE : CONN_CLOSE);
}

static bool shake_run(Conn *c)
{
  WireStep step = wire_shake_hands(&c->wire);
  if (step == WIRE_BROKEN)
    conn_close(c);
  if (step == WIRE_OK)
    conn_enter(c, CONN_HEAD);
  return step == WIRE_OK;
}

/* ── requests ── */

static const struct {
  const char *path;
  bool below; /* whatever begins so */
  void (*begin)(Conn *c, const HttpRequest *request);
} routes[] = {
  { "/api/v1/", true, forward_begin },
  { "/console", false, door_begin },
};

static void route(Conn *c, const HttpRequest *r)
{
  if (slice_is(r->method, "CONNECT")) {
    door_begin(c, r);
    return;
  }
  if (!origins_have_host(c->front->shared->origins, r->host)) {
    respond_refusal(c, &(Refusal){ 421, "foreign-host", "this gateway is not known by that name", NULL });
    return;
  }
  if (!http_path_is_plain(r->path)) {
    respond_http_refusal(c, HTTP_BAD_TARGET);
    return;
  }
  for (size_t i = 0; i < G_N_ELEMENTS(routes); i++)
    if (routes[i].below ? slice_has_prefix(r->path, routes[i].path) : slice_is(r->path, routes[i].path)) {
      routes[i].begin(c, r);
      return;
    }
  c->keep_alive &= !r->body_bytes;
  respond_file(c, r);
}

static void request_begin(Conn *c, size_t head_bytes)
{
  HttpRequest r;
  HttpRefusal why;
  Slice language;
  c->began_us = loop_now_us(c->front->loop);
  c->head_bytes = head_bytes;
  c->keep_alive = c->head_only = false;
  if (!http_request_parse((const char *)c->in->data, head_bytes, &r, &why)) {
    respond_http_refusal(c, why);
    in_drop(c, head_bytes);
    return;
  }
  c->keep_alive = r.keep_alive;
  c->head_only = slice_is(r.method, "HEAD");
  http_header_count(&r.headers, "accept-language", &language);
  c->korean = slice_has_prefix(language, "ko");
  if (c->front->shared->config->access)
    c->line = line_of(&r);
  route(c, &r);
  in_drop(c, head_bytes);
}

/* HEAD and IDLE: what differs is the patience. */
static bool head_run(Conn *c)
{
  uint8_t *room = loop_scratch(c->front->loop);
  for (;;) {
    size_t n = 0, bytes;
    HttpRefusal why;
    HttpStep found = c->in ? http_head_scan((const char *)c->in->data, c->in->len, &c->in_scanned, &bytes, &why) : HTTP_MORE;
    if (found == HTTP_READY)
      request_begin(c, bytes);
    if (found == HTTP_REFUSED)
      respond_http_refusal(c, why);
    if (found != HTTP_MORE)
      return true;
    WireStep step = wire_read(&c->wire, room, HEAD_READ_BYTES, &n);
    if (step == WIRE_END || step == WIRE_BROKEN)
      conn_close(c);
    if (step != WIRE_OK)
      return false;
    if (!c->in)
      c->in = g_byte_array_sized_new((guint)n);
    g_byte_array_append(c->in, room, (guint)n);
    explicit_bzero(room, n);
    if (c->phase == CONN_IDLE)
      conn_enter(c, CONN_HEAD);
  }
}

static bool body_run(Conn *c)
{
  uint8_t *room = loop_scratch(c->front->loop);
  size_t early = c->in ? MIN(c->in->len, (size_t)c->body_left) : 0, n;
  if (early) {
    if (!forward_body(c, c->in->data, early))
      return true;
    in_drop(c, early);
  }
  while (c->body_left) {
    WireStep step = wire_read(&c->wire, room, MIN((size_t)c->body_left, SEND_BYTES), &n);
    if (step == WIRE_END || step == WIRE_BROKEN)
      conn_close(c);
    if (step != WIRE_OK)
      return false;
    bool taken = forward_body(c, room, n);
    explicit_bzero(room, n);
    if (!taken)
      return true;
  }
  forward_send(c);
  return true;
}

static bool send_run(Conn *c)
{
  WireStep step;
  while ((step = wire_flush(&c->wire)) == WIRE_OK && c->body) {
    gsize all;
    const uint8_t *bytes = g_bytes_get_data(c->body, &all);
    size_t n = MIN(all - c->body_at, SEND_BYTES);
    wire_write(&c->wire, bytes + c->body_at, n, c->body_at + n < all);
    c->body_at += n;
    c->sent_bytes += (int64_t)n;
    if (c->body_at == all)
      g_clear_pointer(&c->body, g_bytes_unref);
  }
  if (step == WIRE_OK)
    conn_done(c);
  if (step == WIRE_BROKEN)
    conn_close(c);
  if (step == WIRE_AGAIN)
    conn_enter(c, CONN_SEND);
  return step == WIRE_OK;
}

static bool relay_phase_run(Conn *c)
{
  relay_run(c->relay);
  return c->phase != CONN_RELAY && c->phase != CONN_CLOSED;
}

static bool wait_run(Conn *c) { return false; }

static bool close_run(Conn *c)
{
  WireStep step = wire_flush(&c->wire);
  if (step == WIRE_OK && !c->finished) {
    c->finished = true;
    wire_finish(&c->wire);
    step = wire_flush(&c->wire);
  }
  if (step == WIRE_OK)
    shutdown(c->wire.source.fd, SHUT_WR);
  if (step == WIRE_BROKEN || wire_drain(&c->wire) == WIRE_END)
    conn_close(c);
  return false;
}

static const PhaseRow phase_rows[N_CONN_PHASES] = {
  [CONN_SHAKE] = { TIMER_HANDSHAKE, shake_run },
  [CONN_HEAD] = { TIMER_HEAD, head_run },
  [CONN_IDLE] = { TIMER_KEEP_ALIVE, head_run },
  [CONN_BODY] = { TIMER_BODY, body_run },
  [CONN_WAIT] = { N_LOOP_TIMERS, wait_run },
  [CONN_SEND] = { TIMER_PROGRESS, send_run },
  [CONN_STREAM] = { N_LOOP_TIMERS, forward_stream },
  [CONN_RELAY] = { N_LOOP_TIMERS, relay_phase_run },
  [CONN_CLOSE] = { TIMER_CLOSE, close_run },
  [CONN_CLOSED] = { N_LOOP_TIMERS, wait_run },
};

void conn_run(Conn *c)
{
  while (phase_rows[c->phase].run(c))
    ;
}

/* ── events ── */

static void conn_ready(Source *source, uint32_t events)
{
  Conn *c = (Conn *)source;
  bool gone = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
  wire_ready(&c->wire, events);
  if (gone && (c->phase == CONN_WAIT || c->phase == CONN_STREAM))
    conn_close(c); /* nobody waits for the answer any more */
  else
    conn_run(c);
}

static void conn_passed(Deadline *deadline)
{
  Conn *c = (Conn *)((char *)deadline - offsetof(Conn, deadline));
  bool told = c->phase == CONN_BODY || (c->phase == CONN_HEAD && c->in);
  if (!told) {
    conn_close(c);
    return;
  }
  forward_drop(c);
  c->keep_alive = false;
  respond_refusal(c, &(Refusal){ 408, "too-slow", "the request took too long to arrive", NULL });
  conn_run(c);
}

void conn_new(Front *f, int fd, const Address *address)
{
  int on = 1;
  Conn *c = g_new0(Conn, 1);
  c->front = f;
  c->address = *address;
  c->deadline.passed = conn_passed;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  c->next = f->conns;
  if (c->next)
    c->next->prev = c;
  f->conns = c;
  f->n_conns++;
  bool good = wire_init(&c->wire, f->loop, fd, f->tls);
  c->wire.source.ready = conn_ready;
  conn_enter(c, f->tls ? CONN_SHAKE : CONN_HEAD);
  if (!good || f->stopping || !loop_watch(f->loop, &c->wire.source))
    conn_close(c);
}

bool front_stop(Front *f, bool consoles)
{
  f->stopping = true;
  Conn *next;
  for (Conn *c = f->conns; c; c = next) {
    next = c->next;
    if (c->phase == CONN_IDLE || c->phase == CONN_SHAKE || (c->phase == CONN_HEAD && !c->in))
      conn_close(c);
    else if (c->phase == CONN_RELAY && consoles)
      relay_end(c->relay, END_STOPPING, NULL);
  }
  return !f->conns;
}

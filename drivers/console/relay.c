#include "drivers/console/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "core/log.h"
#include "drivers/console/sockets.h"
#include "drivers/console/websocket.h"

enum {
  ROOM_BEFORE = RFB_HEADROOM,     /* in the scratch: for what a filter held, or for a frame's head */
  CLIENT_READ_BYTES = 64 * 1024,
  COPY_BYTES = 16 * 1024 - WS_HEAD_MAX_BYTES,   /* of the guest's bytes in one piece, while they come in small ones */
  CIPHER_READ_BYTES = 8 * 16384 - WS_HEAD_MAX_BYTES, /* with TLS: whole records */
  FLOWS_BYTES = 4 << 20,          /* from here on it is clear that much flows */
  SPLICE_MIN_BYTES = 8 * 1024,    /* less than this is cheaper copied */
  SPLICE_MAX_BYTES = 256 * 1024,  /* in one frame; what one who stopped reading costs */
  ROUND_BYTES = 4 << 20,          /* of one direction before others have their turn: about a millisecond */
};
G_STATIC_ASSERT((int)ROOM_BEFORE >= (int)WS_HEAD_MAX_BYTES);

static const struct { const char *wire; uint16_t code; } ends[N_RELAY_ENDS] = {
#define X(name, wire, code) [name] = { wire, code },
  RELAY_ENDS(X)
#undef X
};

/* DIAL: the way to the guest is made. SHAKE: the guest's handshake. OPEN. ENDING: the guest is gone, the person is told. GONE. */
typedef enum { PHASE_DIAL, PHASE_SHAKE, PHASE_OPEN, PHASE_ENDING, PHASE_GONE } Phase;

typedef struct {
  RfbGuest guest;
  RfbViewer viewer;
} Handshakes;

struct Relay {
  Source guest;
  RelayPeer peer;
  RegistryEntry *entry;
  Deadline deadline;
  Turn turn;
  Phase phase;
  uint16_t close_code;
  char close_text[64];
  bool corked; /* a segment may wait for more bytes */
  bool flows;  /* the guest has sent much */
  bool rfb, greeted, viewer_ready, bulk, guest_readable, guest_writable, guest_hung_up, close_sent, close_heard;
  int pipe[2]; /* -1: none lent */
  uint32_t pipe_bytes, stash_bytes, stash_at;
  uint8_t *stash; /* for the guest, while it does not take it */
  Handshakes *shake; /* until both are done */
  int64_t in_bytes, out_bytes;
  RfbFilter filter;
  WsDecoder ws;
};

static void relay_gone(Relay *r)
{
  if (r->phase == PHASE_GONE)
    return;
  r->phase = PHASE_GONE;
  deadline_clear(&r->deadline);
  turn_clear(&r->turn);
  r->peer.ended(r->peer.owner);
}

static void shake_free(Relay *r)
{
  if (!r->shake)
    return;
  explicit_bzero(r->shake, sizeof *r->shake);
  g_clear_pointer(&r->shake, g_free);
}

/* Both sides have said what they must. */
static void shake_end(Relay *r)
{
  shake_free(r);
  deadline_clear(&r->deadline);
}

static void guest_leave(Relay *r, RelayEnd end)
{
  loop_close(r->peer.loop, &r->guest);
  shake_free(r);
  g_clear_pointer(&r->stash, g_free);
  if (!r->entry)
    return;
  g_autofree char *in = g_strdup_printf("%" G_GINT64_FORMAT, r->in_bytes);
  g_autofree char *out = g_strdup_printf("%" G_GINT64_FORMAT, r->out_bytes);
  log_info("console", "closed", "relay", registry_entry_id(r->entry), "reason", ends[end].wire, "bytes_in", in, "bytes_out", out);
  registry_close(r->peer.registry, r->entry, ends[end].wire, r->in_bytes, r->out_bytes);
  r->entry = NULL;
}

void relay_end(Relay *r, RelayEnd end, const char *detail)
{
  if (r->phase >= PHASE_ENDING)
    return;
  guest_leave(r, end);
  r->phase = PHASE_ENDING;
  r->close_code = ends[end].code;
  g_strlcpy(r->close_text, detail ? detail : ends[end].wire, sizeof r->close_text);
  deadline_set(r->peer.loop, &r->deadline, TIMER_CLOSE);
  turn_add(r->peer.loop, &r->turn);
}

void relay_cut(void *relay, const char *reason) { relay_end(relay, END_CUT, reason); }

/* The person is gone: there is no one to tell. */
static void client_lost(Relay *r)
{
  relay_end(r, END_CLIENT_LEFT, NULL);
  relay_gone(r);
}

static void guest_failed(Relay *r, RelayEnd end, Reason reason, const char *detail)
{
  g_autoptr(GError) error = NULL;
  error_set(&error, reason, "detail", detail, NULL);
  log_info("console", "the guest's console failed", "relay", registry_entry_id(r->entry), "why", error->message);
  bool told = r->peer.websocket;
  relay_end(r, end, NULL);
  if (!told)
    r->peer.ready(r->peer.owner, error);
}

/* ── to the person ── */

static WireStep client_send(Relay *r, WsOpcode opcode, const void *bytes, size_t n)
{
  uint8_t room[WS_HEAD_MAX_BYTES + 160];
  uint8_t *body = room + WS_HEAD_MAX_BYTES;
  g_assert(n <= sizeof room - WS_HEAD_MAX_BYTES);
  memcpy(body, bytes, n);
  size_t head = r->peer.websocket ? ws_head_before(body, opcode, n) : 0;
  return wire_write(r->peer.wire, body - head, head + n, false);
}

static void out_send(Relay *r, const RfbOut *out)
{
  if (out->n)
    client_send(r, WS_OP_BINARY, out->bytes, out->n);
}

/* OK: nothing of an earlier piece waits. */
static WireStep pending_send(Relay *r)
{
  Wire *w = r->peer.wire;
  WireStep step = wire_flush(w);
  while (step == WIRE_OK && r->pipe_bytes) {
    const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (r->corked ? SPLICE_F_MORE : 0);
    ssize_t moved = w->writable ? splice(r->pipe[0], NULL, w->source.fd, NULL, r->pipe_bytes, flags) : -1;
    if (moved < 0 && w->writable && errno == EINTR)
      continue;
    if (moved < 0 && (!w->writable || errno == EAGAIN)) {
      w->writable = false;
      return WIRE_AGAIN;
    }
    if (moved <= 0)
      return WIRE_BROKEN;
    r->pipe_bytes -= (uint32_t)moved;
  }
  if (step == WIRE_OK && r->pipe[0] >= 0)
    loop_pipe_give(r->peer.loop, r->pipe, true);
  return step;
}

/* What a read or splice from the guest gave: bytes, 0 and an end, or -1 for nothing now. */
static ssize_t guest_got(Relay *r, ssize_t got)
{
  if (got > 0) {
    r->out_bytes += got;
    if (!r->flows && r->out_bytes >= FLOWS_BYTES) {
      r->flows = true;
      socket_bound_guest(r->guest.fd, true);
    }
    return got;
  }
  if (got < 0 && errno == EINTR)
    return -1;
  r->guest_readable = false;
  if (got < 0 && errno == EAGAIN)
    return -1;
  relay_end(r, END_GUEST_CLOSED, NULL);
  return 0;
}

static WireStep piece_copy(Relay *r, size_t *ret_n)
{
  uint8_t *body = loop_scratch(r->peer.loop) + ROOM_BEFORE;
  size_t room = r->peer.wire->tls ? CIPHER_READ_BYTES : COPY_BYTES;
  ssize_t got = guest_got(r, recv(r->guest.fd, body, room, MSG_DONTWAIT));
  if (got <= 0)
    return WIRE_OK;
  r->guest_readable = (size_t)got == room || r->guest_hung_up; /* epoll(7): else nothing is left */
  *ret_n = (size_t)got;
  r->bulk = (size_t)got == room;
  size_t head = r->peer.websocket ? ws_head_before(body, WS_OP_BINARY, (uint64_t)got) : 0;
  return wire_write(r->peer.wire, body - head, head + (size_t)got, false);
}

/* The guest's bytes never come to user space: into a pipe to learn how many there are, the frame's head, out of the pipe. */
static WireStep piece_splice(Relay *r, size_t *ret_n)
{
  if (!loop_pipe_take(r->peer.loop, r->pipe)) {
    r->bulk = false;
    return WIRE_OK;
  }
  ssize_t got = splice(r->guest.fd, NULL, r->pipe[1], NULL, SPLICE_MAX_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  got = guest_got(r, got);
  if (got <= 0) {
    loop_pipe_give(r->peer.loop, r->pipe, true);
    return WIRE_OK;
  }
  *ret_n = (size_t)got;
  r->corked = got == SPLICE_MAX_BYTES; /* a pipe full of small pieces holds less: nothing is known then */
  r->pipe_bytes = (uint32_t)got;
  r->bulk = got >= SPLICE_MIN_BYTES;
  uint8_t head[WS_HEAD_MAX_BYTES];
  size_t n = r->peer.websocket ? ws_head_before(head + sizeof head, WS_OP_BINARY, (uint64_t)got) : 0;
  WireStep step = n ? wire_write(r->peer.wire, head + sizeof head - n, n, true) : WIRE_OK;
  return step == WIRE_OK ? pending_send(r) : step;
}

static void guest_to_client(Relay *r)
{
  size_t round = 0;
  WireStep step = pending_send(r);
  while (step == WIRE_OK && r->phase == PHASE_OPEN && r->guest_readable && round < ROUND_BYTES) {
    size_t n = 0;
    step = r->bulk && !r->peer.wire->tls ? piece_splice(r, &n) : piece_copy(r, &n);
    round += n;
  }
  if (step == WIRE_OK && r->corked && !r->guest_readable) {
    r->corked = false;
    socket_push(r->peer.wire->source.fd);
  }
  if (step == WIRE_BROKEN)
    client_lost(r);
  else if (step == WIRE_OK && r->phase == PHASE_OPEN && r->guest_readable)
    turn_add(r->peer.loop, &r->turn);
}

/* ── to the guest ── */

static void stash_add(Relay *r, const uint8_t *bytes, size_t n)
{
  r->stash = g_realloc(r->stash, r->stash_bytes + n);
  memcpy(r->stash + r->stash_bytes, bytes, n);
  r->stash_bytes += (uint32_t)n;
}

/* How much the guest took; the relay ends where it is gone. */
static size_t guest_write(Relay *r, const uint8_t *bytes, size_t n)
{
  size_t at = 0;
  while (at < n && r->guest_writable) {
    ssize_t sent = send(r->guest.fd, bytes + at, n - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR)
      continue;
    r->guest_writable = sent >= 0;
    if (sent < 0 && errno != EAGAIN) {
      relay_end(r, END_GUEST_CLOSED, NULL);
      return n;
    }
    at += sent > 0 ? (size_t)sent : 0;
  }
  return at;
}

static void guest_send(Relay *r, const uint8_t *bytes, size_t n)
{
  r->in_bytes += (int64_t)n;
  size_t taken = r->phase == PHASE_OPEN && !r->stash ? guest_write(r, bytes, n) : 0;
  if (taken < n)
    stash_add(r, bytes + taken, n - taken);
}

static void stash_send(Relay *r)
{
  if (!r->stash || r->phase != PHASE_OPEN)
    return;
  r->stash_at += (uint32_t)guest_write(r, r->stash + r->stash_at, r->stash_bytes - r->stash_at);
  if (r->stash && r->stash_at < r->stash_bytes)
    return;
  g_clear_pointer(&r->stash, g_free);
  r->stash_bytes = r->stash_at = 0;
}

/* false: all of it belonged to the handshake. */
static bool viewer_shake(Relay *r, uint8_t **data, size_t *n)
{
  RfbOut out = { .n = 0 };
  size_t used = 0;
  RfbStep step = rfb_viewer_feed(&r->shake->viewer, *data, *n, &used, &out);
  out_send(r, &out);
  *data += used;
  *n -= used;
  if (step == RFB_REFUSED)
    relay_end(r, END_RFB_REFUSED, NULL);
  if (step != RFB_DONE)
    return false;
  r->viewer_ready = true;
  static const uint8_t shared = 1;
  guest_send(r, &shared, 1); /* ClientInit: whoever comes may not throw others out */
  return *n > 0;
}

static void client_data(Relay *r, uint8_t *data, size_t n)
{
  if (r->rfb && !r->viewer_ready && !viewer_shake(r, &data, &n))
    return;
  RfbStep step = RFB_MORE;
  bool input = !r->rfb;
  if (r->rfb) {
    step = rfb_filter_run(&r->filter, data, n, &data, &n);
    input = r->filter.input_seen;
    r->filter.input_seen = false;
  }
  if (n)
    guest_send(r, data, n);
  if (input && r->entry)
    registry_input(r->peer.registry, r->entry);
  if (step == RFB_REFUSED)
    relay_end(r, END_RFB_REFUSED, NULL);
}

/* A pong is worth nothing to one who does not read. */
static void pong_send(Relay *r, const uint8_t *bytes, size_t n)
{
  if (wire_is_clear(r->peer.wire) && !r->pipe_bytes && !r->close_sent)
    client_send(r, WS_OP_PONG, bytes, n);
}

/* Leaves the data of all frames in one piece at room. */
static size_t frames_unwrap(Relay *r, uint8_t *room, size_t n)
{
  uint8_t *at = room, *piece;
  size_t piece_n, out = 0;
  for (;;) {
    WsEvent event = ws_next(&r->ws, &at, &n, &piece, &piece_n);
    switch (event) {
    case WS_DATA:
      memmove(room + out, piece, piece_n);
      out += piece_n;
      break;
    case WS_PING:
      pong_send(r, piece, piece_n);
      break;
    case WS_PONG:
      break;
    case WS_CLOSE:
      r->close_heard = true;
      relay_end(r, END_CLIENT_LEFT, NULL);
      return out;
    case WS_BAD:
      relay_end(r, END_CLIENT_PROTOCOL, NULL);
      r->close_code = r->close_code == WS_CODE_PROTOCOL ? r->ws.code : r->close_code;
      r->close_heard = true; /* what comes can't be read on */
      return out;
    case WS_MORE:
      return out;
    }
  }
}

/* A browser is spoken to while the guest is still on its way; a bare connection was told to wait. */
static void viewer_greet(Relay *r)
{
  RfbOut out = { .n = 0 };
  bool now = r->rfb && !r->greeted && (r->peer.websocket ? r->phase <= PHASE_OPEN : r->phase == PHASE_OPEN);
  if (!now)
    return;
  r->greeted = true;
  rfb_viewer_start(&out);
  out_send(r, &out);
}

static bool client_may_speak(const Relay *r)
{
  if (r->phase == PHASE_ENDING)
    return !r->close_heard;
  return !r->stash && (r->peer.websocket || r->phase == PHASE_OPEN);
}

static void client_to_guest(Relay *r)
{
  uint8_t *room = loop_scratch(r->peer.loop) + ROOM_BEFORE;
  size_t round = 0, n;
  while (r->phase != PHASE_GONE && client_may_speak(r) && round < ROUND_BYTES) {
    WireStep step = wire_read(r->peer.wire, room, CLIENT_READ_BYTES, &n);
    if (step == WIRE_AGAIN)
      return;
    if (step != WIRE_OK) {
      client_lost(r);
      return;
    }
    round += n;
    size_t data_n = r->peer.websocket ? frames_unwrap(r, room, n) : n;
    if (r->phase < PHASE_ENDING && data_n)
      client_data(r, room, data_n);
  }
  if (round >= ROUND_BYTES && r->phase != PHASE_GONE)
    turn_add(r->peer.loop, &r->turn);
}

/* ── the way to the guest ── */

static void guest_open(Relay *r)
{
  r->phase = PHASE_OPEN;
  if (!r->peer.websocket)
    r->peer.ready(r->peer.owner, NULL);
}

static void dial_run(Relay *r)
{
  int why = 0;
  socklen_t n = sizeof why;
  if (!r->guest_writable)
    return;
  if (getsockopt(r->guest.fd, SOL_SOCKET, SO_ERROR, &why, &n) < 0 || why) {
    guest_failed(r, END_GUEST_UNREACHABLE, REASON_GUEST_UNREACHABLE, g_strerror(why ? why : errno));
    return;
  }
  r->phase = PHASE_SHAKE;
  socket_bound_guest(r->guest.fd, false);
  if (!r->rfb)
    guest_open(r);
}

static void shake_step(Relay *r, RfbStep step, const RfbOut *out)
{
  if (out->n && guest_write(r, out->bytes, out->n) < out->n)
    guest_failed(r, END_GUEST_REFUSED, REASON_GUEST_REFUSED, "it does not read");
  if (r->phase != PHASE_SHAKE || step == RFB_MORE)
    return;
  const RfbGuest *g = &r->shake->guest;
  g_autofree char *detail = g_strdup_printf("%s%s%s", rfb_guest_fault_texts[g->fault], *g->reason ? ": " : "", g->reason);
  if (step == RFB_REFUSED)
    guest_failed(r, END_GUEST_REFUSED, REASON_GUEST_REFUSED, detail);
  else
    guest_open(r);
}

static void shake_run(Relay *r)
{
  uint8_t bytes[256];
  while (r->phase == PHASE_SHAKE && r->guest_readable) {
    ssize_t got = recv(r->guest.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    RfbOut out = { .n = 0 };
    if (got > 0) {
      RfbStep step = rfb_guest_feed(&r->shake->guest, bytes, (size_t)got, &out);
      shake_step(r, step, &out);
    } else if (got == 0) {
      guest_failed(r, END_GUEST_REFUSED, REASON_GUEST_REFUSED, "it closed the connection");
    } else if (errno == EAGAIN) {
      r->guest_readable = false;
    } else if (errno != EINTR) {
      guest_failed(r, END_GUEST_UNREACHABLE, REASON_GUEST_UNREACHABLE, g_strerror(errno));
    }
  }
}

/* ── ends ── */

static void ending_run(Relay *r)
{
  WireStep step = pending_send(r);
  if (step == WIRE_OK && r->peer.websocket && !r->close_sent) {
    uint8_t body[2 + sizeof r->close_text];
    size_t n = strlen(r->close_text);
    body[0] = (uint8_t)(r->close_code >> 8);
    body[1] = (uint8_t)r->close_code;
    memcpy(body + 2, r->close_text, n);
    step = client_send(r, WS_OP_CLOSE, body, 2 + n);
    r->close_sent = true;
  }
  bool answered = !r->peer.websocket || (r->close_sent && r->close_heard);
  if (step == WIRE_BROKEN || (step == WIRE_OK && answered))
    relay_gone(r);
}

void relay_run(Relay *r)
{
  if (r->phase == PHASE_GONE)
    return;
  viewer_greet(r);
  client_to_guest(r);
  if (r->phase == PHASE_DIAL)
    dial_run(r);
  if (r->phase == PHASE_SHAKE)
    shake_run(r);
  viewer_greet(r);
  if (r->shake && r->phase == PHASE_OPEN && (r->viewer_ready || !r->rfb))
    shake_end(r);
  stash_send(r);
  if (r->phase == PHASE_OPEN)
    guest_to_client(r);
  if (r->phase == PHASE_ENDING)
    ending_run(r);
}

static void turn_run(Turn *turn) { relay_run((Relay *)((char *)turn - offsetof(Relay, turn))); }

static void guest_ready(Source *source, uint32_t events)
{
  Relay *r = (Relay *)source;
  r->guest_hung_up |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  r->guest_readable |= r->guest_hung_up || events & EPOLLIN;
  r->guest_writable |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
  relay_run(r);
}

static void passed(Deadline *deadline)
{
  Relay *r = (Relay *)((char *)deadline - offsetof(Relay, deadline));
  if (r->phase == PHASE_DIAL)
    guest_failed(r, END_GUEST_UNREACHABLE, REASON_GUEST_UNREACHABLE, "it does not answer");
  else if (r->phase == PHASE_SHAKE)
    guest_failed(r, END_GUEST_REFUSED, REASON_GUEST_REFUSED, "it does not finish its handshake");
  else if (r->phase == PHASE_OPEN)
    relay_end(r, END_RFB_REFUSED, NULL);
  else
    relay_gone(r);
}

static Relay *relay_new(const RelayPeer *peer, const Target *target)
{
  Relay *r = g_new0(Relay, 1);
  r->peer = *peer;
  r->guest.fd = r->pipe[0] = r->pipe[1] = -1;
  r->guest.ready = guest_ready;
  r->deadline.passed = passed;
  r->turn.run = turn_run;
  r->rfb = target->protocol->rfb;
  r->filter.view_only = target->view_only;
  r->filter.clipboard = target->clipboard;
  r->shake = g_new0(Handshakes, 1);
  g_strlcpy(r->shake->guest.password, target->password, sizeof r->shake->guest.password);
  return r;
}

static bool dial_begin(Relay *r, const Target *target, GError **err)
{
  r->guest.fd = target->dial->begin(target, err);
  if (r->guest.fd < 0)
    return false;
  if (!loop_watch(r->peer.loop, &r->guest))
    return error_false(err, REASON_GUEST_UNREACHABLE, "detail", g_strerror(errno), NULL);
  deadline_set(r->peer.loop, &r->deadline, TIMER_DIAL);
  return true;
}

Relay *relay_open(const RelayPeer *peer, const Target *target, GError **err)
{
  Relay *r = relay_new(peer, target);
  g_autoptr(GError) error = NULL;
  r->entry = registry_open(peer->registry, target->relay, target->user, peer->loop, r, err);
  if (!r->entry) {
    relay_free(r);
    return NULL;
  }
  log_info("console", "opened", "relay", target->relay, "session", target->session, "user", target->user, "protocol",
           target->protocol->name);
  if (dial_begin(r, target, &error))
    return r;
  relay_end(r, END_GUEST_UNREACHABLE, NULL);
  if (peer->websocket)
    return r;
  relay_free(r);
  g_propagate_error(err, g_steal_pointer(&error));
  return NULL;
}

void relay_free(Relay *r)
{
  if (!r)
    return;
  guest_leave(r, END_CLIENT_LEFT);
  r->phase = PHASE_GONE;
  deadline_clear(&r->deadline);
  turn_clear(&r->turn);
  if (r->pipe[0] >= 0)
    loop_pipe_give(r->peer.loop, r->pipe, false);
  loop_bury(r->peer.loop, r, g_free);
}

#include "drivers/console/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KEPT_MAX_BYTES = 1 << 20 };

/* Sends or keeps; a wire that keeps something keeps the order. */
static WireStep send_or_keep(Wire *w, const uint8_t *bytes, size_t n, int flags)
{
  while (n && !w->kept && w->writable) {
    ssize_t sent = send(w->source.fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent < 0 && errno != EAGAIN) {
      w->broken = true;
      return WIRE_BROKEN;
    }
    if (sent < 0 || (size_t)sent < n)
      w->writable = false;
    if (sent > 0)
      bytes += sent, n -= (size_t)sent;
  }
  if (!n)
    return WIRE_OK;
  if (w->kept_bytes - w->kept_at + n > KEPT_MAX_BYTES) {
    w->broken = true;
    return WIRE_BROKEN;
  }
  w->kept = g_realloc(w->kept, w->kept_bytes + n);
  memcpy(w->kept + w->kept_bytes, bytes, n);
  w->kept_bytes += (uint32_t)n;
  return WIRE_AGAIN;
}

/* What GnuTLS wants to send gathers in the loop's buffer, so that many records go out by one call; it is empty again before the
 * wire's function returns. */
static ssize_t gather(gnutls_transport_ptr_t ptr, const giovec_t *pieces, int n_pieces)
{
  Wire *w = ptr;
  uint8_t *room = loop_cipher(w->loop);
  uint32_t before = w->gathered_bytes;
  for (int i = 0; i < n_pieces; i++) {
    if (pieces[i].iov_len > CIPHER_BYTES - w->gathered_bytes) {
      w->gathered_bytes = before;
      gnutls_transport_set_errno(w->tls, EMSGSIZE);
      return -1;
    }
    memcpy(room + w->gathered_bytes, pieces[i].iov_base, pieces[i].iov_len);
    w->gathered_bytes += (uint32_t)pieces[i].iov_len;
  }
  return w->gathered_bytes - before;
}

static WireStep gathered_send(Wire *w, int flags)
{
  size_t n = w->gathered_bytes;
  w->gathered_bytes = 0;
  return n ? send_or_keep(w, loop_cipher(w->loop), n, flags) : WIRE_OK;
}

bool wire_init(Wire *w, Loop *loop, int fd, Tls *tls)
{
  w->loop = loop;
  w->source.fd = fd;
  w->writable = true;
  w->shaken_hands = !tls;
  if (!tls)
    return true;
  w->tls = tls_session_new(tls);
  if (!w->tls) {
    close(fd);
    w->source.fd = -1;
    return false;
  }
  w->tls_setup = tls_ref(tls);
  gnutls_transport_set_ptr2(w->tls, (gnutls_transport_ptr_t)(intptr_t)fd, w);
  gnutls_transport_set_vec_push_function(w->tls, gather);
  return true;
}

void wire_done(Wire *w)
{
  if (w->tls)
    gnutls_deinit(w->tls);
  w->tls = NULL;
  g_clear_pointer(&w->tls_setup, tls_unref);
  g_clear_pointer(&w->kept, g_free);
  loop_close(w->loop, &w->source);
}

void wire_ready(Wire *w, uint32_t events)
{
  w->hung_up |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  w->readable |= w->hung_up || events & EPOLLIN;
  w->writable |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
}

static WireStep broken(Wire *w)
{
  w->broken = true;
  return WIRE_BROKEN;
}

WireStep wire_shake_hands(Wire *w)
{
  if (w->shaken_hands)
    return WIRE_OK;
  int result;
  do
    result = gnutls_handshake(w->tls);
  while (result < 0 && result != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(result));
  w->readable &= result != GNUTLS_E_AGAIN;
  WireStep sent = gathered_send(w, 0);
  if (sent == WIRE_BROKEN || (result < 0 && result != GNUTLS_E_AGAIN))
    return broken(w);
  w->shaken_hands = result == 0;
  return w->shaken_hands ? WIRE_OK : WIRE_AGAIN;
}

static WireStep plain_read(Wire *w, void *buffer, size_t n, size_t *ret_n)
{
  ssize_t got;
  do
    got = recv(w->source.fd, buffer, n, MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) {
    w->readable = false;
    return WIRE_AGAIN;
  }
  if (got < 0)
    return broken(w);
  *ret_n = (size_t)got;
  w->readable = (size_t)got == n || w->hung_up; /* epoll(7): less than asked for means that nothing is left */
  return got ? WIRE_OK : WIRE_END;
}

static WireStep tls_read(Wire *w, void *buffer, size_t n, size_t *ret_n)
{
  ssize_t got = gnutls_record_recv(w->tls, buffer, n);
  if (gathered_send(w, 0) == WIRE_BROKEN)
    return WIRE_BROKEN;
  if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED) {
    w->readable = got == GNUTLS_E_INTERRUPTED;
    return WIRE_AGAIN;
  }
  if (got == GNUTLS_E_PREMATURE_TERMINATION)
    return WIRE_END;
  if (got < 0)
    return broken(w);
  *ret_n = (size_t)got;
  return got ? WIRE_OK : WIRE_END;
}

WireStep wire_read(Wire *w, void *buffer, size_t n, size_t *ret_n)
{
  *ret_n = 0;
  if (w->broken)
    return WIRE_BROKEN;
  if (!w->readable)
    return WIRE_AGAIN;
  return w->tls ? tls_read(w, buffer, n, ret_n) : plain_read(w, buffer, n, ret_n);
}

WireStep wire_write(Wire *w, const void *bytes, size_t n, bool more)
{
  g_assert(n <= SCRATCH_BYTES);
  if (w->broken)
    return WIRE_BROKEN;
  if (!w->tls)
    return send_or_keep(w, bytes, n, more ? MSG_MORE : 0);
  for (size_t at = 0; at < n;) {
    ssize_t taken = gnutls_record_send(w->tls, (const uint8_t *)bytes + at, n - at);
    if (taken < 0)
      return broken(w);
    at += (size_t)taken;
  }
  return gathered_send(w, more ? MSG_MORE : 0);
}

WireStep wire_flush(Wire *w)
{
  if (w->broken)
    return WIRE_BROKEN;
  while (w->kept && w->writable) {
    ssize_t sent = send(w->source.fd, w->kept + w->kept_at, w->kept_bytes - w->kept_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent < 0 && errno != EAGAIN)
      return broken(w);
    w->writable = sent >= 0;
    w->kept_at += sent > 0 ? (uint32_t)sent : 0;
    if (w->kept_at < w->kept_bytes)
      continue;
    g_clear_pointer(&w->kept, g_free);
    w->kept_bytes = w->kept_at = 0;
  }
  return w->kept ? WIRE_AGAIN : WIRE_OK;
}

void wire_finish(Wire *w)
{
  if (w->tls && w->shaken_hands && !w->broken) {
    gnutls_bye(w->tls, GNUTLS_SHUT_WR);
    gathered_send(w, 0);
  }
}

WireStep wire_drain(Wire *w)
{
  while (w->readable) {
    ssize_t got = recv(w->source.fd, loop_scratch(w->loop), SCRATCH_BYTES, MSG_DONTWAIT);
    if (got > 0 || (got < 0 && errno == EINTR))
      continue;
    if (got < 0 && errno == EAGAIN)
      w->readable = false;
    else
      return WIRE_END;
  }
  return WIRE_AGAIN;
}

/* Bytes of one public connection, plain or TLS. What is given to a wire is taken whole: what the network does not take at once is
 * kept, and the caller gives no more until the wire is clear again. So a slow reader costs one buffer and no more. */
#pragma once

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/console/loop.h"
#include "drivers/console/tls.h"

typedef struct {
  Source source; /* owner's ready() is to set readable and writable by wire_ready */
  Loop *loop;
  gnutls_session_t tls; /* NULL: plain */
  Tls *tls_setup;
  bool readable, writable, hung_up, shaken_hands, broken;
  uint8_t *kept; /* taken, not yet sent */
  uint32_t kept_bytes, kept_at;
  uint32_t gathered_bytes; /* ciphertext in the loop's buffer */
} Wire;

typedef enum { WIRE_OK, WIRE_AGAIN, WIRE_END, WIRE_BROKEN } WireStep;

/* Takes fd; tls (NULL: plain) is referenced. false: no memory for a session; fd is closed. */
bool wire_init(Wire *w, Loop *loop, int fd, Tls *tls);
/* Closes at once. */
void wire_done(Wire *w);
/* Notes events of epoll. */
void wire_ready(Wire *w, uint32_t events);

/* Goes on with the TLS handshake; OK at once for a plain wire. */
WireStep wire_shake_hands(Wire *w);
/* Reads up to n bytes. END: the peer has closed. */
WireStep wire_read(Wire *w, void *buffer, size_t n, size_t *ret_n);
/* Takes all n bytes, at most SCRATCH_BYTES; more: another write follows at once. The wire must be clear. */
WireStep wire_write(Wire *w, const void *bytes, size_t n, bool more);
/* Sends what is kept. OK: the wire is clear. */
WireStep wire_flush(Wire *w);
static inline bool wire_is_clear(const Wire *w) { return !w->kept; }
/* Says that we are done; what is kept is still sent. */
void wire_finish(Wire *w);
/* Throws away what the peer still sends, after wire_finish: closing over it would reset the connection, and what we said last
 * would be lost. END: the peer has closed. */
WireStep wire_drain(Wire *w);

/* RFB 3.8 (RFC 6143 and the community's rfbproto) as far as a relay must know it: both security handshakes, which end here so
 * that a guest's password never leaves, and the client's messages, which are looked at for policy. What the guest says after
 * the handshake is never looked at. Pure; both sides are strangers, so every length is checked before it is believed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/names.h"

/* What passes between the clipboards of a person and of a guest. */
#define CLIPBOARD_POLICIES(X) \
  X(CLIPBOARD_NONE, "none") \
  X(CLIPBOARD_TO_GUEST, "to-guest") \
  X(CLIPBOARD_FROM_GUEST, "from-guest") \
  X(CLIPBOARD_BOTH, "both")
ENUM_DECLARE(ClipboardPolicy, clipboard_policy, CLIPBOARD_POLICIES, N_CLIPBOARD_POLICIES)

enum {
  RFB_CUT_MAX_BYTES = 1 << 20, /* of one ClientCutText; QEMU's own limit */
  RFB_HEADROOM = 32,           /* rfb_filter_run may write that far before its data */
  RFB_REASON_MAX_BYTES = 128,
};

typedef enum { RFB_MORE, RFB_DONE, RFB_REFUSED } RfbStep;

/* Bytes to send to the peer that was just heard. */
typedef struct {
  uint8_t bytes[64];
  size_t n;
} RfbOut;

/* ── towards the guest: we are the viewer ── */

#define RFB_GUEST_FAULTS(X) \
  X(RFB_GUEST_NOT_RFB, "the guest does not speak RFB") \
  X(RFB_GUEST_OLD, "the guest speaks an RFB before 3.8") \
  X(RFB_GUEST_NO_TYPE, "the guest offers no security type that we speak") \
  X(RFB_GUEST_DENIED, "the guest refused the connection or its password") \
  X(RFB_GUEST_EARLY, "the guest spoke before its turn")
typedef enum {
#define X(name, text) name,
  RFB_GUEST_FAULTS(X)
#undef X
  N_RFB_GUEST_FAULTS
} RfbGuestFault;
extern const char *const rfb_guest_fault_texts[N_RFB_GUEST_FAULTS];

/* Zeroed at first, but for the password: up to 8 bytes, NUL behind; empty for security type None. */
typedef struct {
  char password[9];
  uint8_t state, have;
  uint16_t need;
  RfbGuestFault fault;
  uint32_t reason_left;
  uint8_t reason_bytes;
  char reason[RFB_REASON_MAX_BYTES + 1]; /* what the guest said with a refusal; not to be trusted as text */
  uint8_t bytes[256];
} RfbGuest;

/* Reads what the guest said. DONE: the guest waits for ClientInit, and the password is wiped. REFUSED: fault, and perhaps
 * reason. All of data must belong to the handshake. out grows. */
RfbStep rfb_guest_feed(RfbGuest *g, const uint8_t *data, size_t n, RfbOut *out);

/* The answer to a VNC challenge (RFC 6143, 7.2.2): DES with the password's bits turned round. false: no DES to be had. */
bool rfb_vnc_response(const char *password, const uint8_t challenge[16], uint8_t ret[16]);

/* ── towards the person: we are the server ── */

/* Zeroed at first. */
typedef struct {
  uint8_t state, have;
  uint8_t bytes[12];
} RfbViewer;

/* What we say first. */
void rfb_viewer_start(RfbOut *out);
/* Reads what the viewer said. DONE: its ClientInit came; *ret_used bytes of data were the handshake's. */
RfbStep rfb_viewer_feed(RfbViewer *v, const uint8_t *data, size_t n, size_t *ret_used, RfbOut *out);

/* ── the viewer's messages ── */

typedef struct {
  bool view_only;
  ClipboardPolicy clipboard;
  /* out */
  bool input_seen;  /* key, pointer or clipboard bytes passed on since the caller last cleared it */
  uint8_t refused_type; /* of the message that made the filter refuse */
  /* inner */
  uint8_t mode, held_bytes;
  uint32_t left;
  uint8_t held[20];
} RfbFilter;

/* Reads data[0..n), wherever the stream was cut, and leaves what may go on to the guest at *ret_out, *ret_n: inside data or in
 * the RFB_HEADROOM bytes before it. Keeps at most 19 bytes itself. RFB_REFUSED: a message of unknown type or bad length;
 * *ret_n bytes before it are good.
 *  view_only      keys, pointer, clipboard, resizing are left out
 *  clipboard      towards the guest: cut text and its announcements are left out. From the guest: its VNC server gives
 *                 clipboard content only to a viewer that asked by the extended clipboard (QEMU 6.1 and later,
 *                 ui/vnc-clipboard.c); the asking is left out, or, where nothing is allowed, the extension itself
 *  power          xvp messages are always left out: power is a verb of the API
 *  encodings      those that would change what the viewer's messages look like are left out of SetEncodings */
RfbStep rfb_filter_run(RfbFilter *f, uint8_t *data, size_t n, uint8_t **ret_out, size_t *ret_n);

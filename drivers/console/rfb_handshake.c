#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "drivers/console/rfb.h"

enum { VERSION_BYTES = 12, CHALLENGE_BYTES = 16, SECURITY_NONE = 1, SECURITY_VNC = 2, REASON_READ_MAX_BYTES = 4096 };
static const char our_version[] = "RFB 003.008\n";

const char *const rfb_guest_fault_texts[N_RFB_GUEST_FAULTS] = {
#define X(name, text) [name] = text,
  RFB_GUEST_FAULTS(X)
#undef X
};

static uint32_t read_u32(const uint8_t *at) { return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static void say(RfbOut *out, const void *bytes, size_t n)
{
  if (n > sizeof out->bytes - out->n)
    n = sizeof out->bytes - out->n;
  memcpy(out->bytes + out->n, bytes, n);
  out->n += n;
}

/* major * 1000 + minor of "RFB xxx.yyy\n"; -1 for anything else. */
static int version_parse(const uint8_t *at)
{
  int number[2] = { 0, 0 };
  if (memcmp(at, "RFB ", 4) || at[7] != '.' || at[11] != '\n')
    return -1;
  for (int i = 0; i < 6; i++) {
    uint8_t digit = at[i < 3 ? 4 + i : 5 + i];
    if (digit < '0' || digit > '9')
      return -1;
    number[i / 3] = number[i / 3] * 10 + (digit - '0');
  }
  return number[0] * 1000 + number[1];
}

bool rfb_vnc_response(const char *password, const uint8_t challenge[16], uint8_t ret[16])
{
  uint8_t key[8] = { 0 };
  for (int i = 0; i < 8 && password[i]; i++)
    for (int bit = 0; bit < 8; bit++)
      key[i] |= (uint8_t)(((uint8_t)password[i] >> bit & 1) << (7 - bit));
  bool good = true;
  for (int half = 0; half < 2 && good; half++) {
    /* one block of CBC with a zero vector is ECB, which GnuTLS has no name for */
    uint8_t zero[8] = { 0 };
    gnutls_datum_t k = { key, sizeof key }, iv = { zero, sizeof zero };
    gnutls_cipher_hd_t des;
    good = gnutls_cipher_init(&des, GNUTLS_CIPHER_DES_CBC, &k, &iv) >= 0;
    if (!good)
      break;
    good = gnutls_cipher_encrypt2(des, challenge + 8 * half, 8, ret + 8 * half, 8) >= 0;
    gnutls_cipher_deinit(des);
  }
  explicit_bzero(key, sizeof key);
  return good;
}

/* ── the guest ── */

enum {
  GUEST_VERSION, GUEST_TYPE_COUNT, GUEST_TYPES, GUEST_CHALLENGE, GUEST_RESULT, GUEST_REASON_LENGTH, GUEST_REASON, GUEST_DONE,
  N_GUEST
};

static RfbStep guest_fail(RfbGuest *g, RfbGuestFault fault)
{
  g->fault = fault;
  return RFB_REFUSED;
}

static RfbStep guest_expect(RfbGuest *g, uint8_t state, uint16_t need)
{
  g->state = state;
  g->need = need;
  return RFB_MORE;
}

static RfbStep guest_version(RfbGuest *g, RfbOut *out)
{
  int version = version_parse(g->bytes);
  if (version < 0)
    return guest_fail(g, RFB_GUEST_NOT_RFB);
  if (version < 3008)
    return guest_fail(g, RFB_GUEST_OLD);
  say(out, our_version, VERSION_BYTES);
  return guest_expect(g, GUEST_TYPE_COUNT, 1);
}

static RfbStep guest_type_count(RfbGuest *g, RfbOut *out)
{
  return g->bytes[0] ? guest_expect(g, GUEST_TYPES, g->bytes[0]) : guest_expect(g, GUEST_REASON_LENGTH, 4);
}

static RfbStep guest_types(RfbGuest *g, RfbOut *out)
{
  uint8_t type = *g->password ? SECURITY_VNC : SECURITY_NONE;
  if (!memchr(g->bytes, type, g->need))
    return guest_fail(g, RFB_GUEST_NO_TYPE);
  say(out, &type, 1);
  return type == SECURITY_VNC ? guest_expect(g, GUEST_CHALLENGE, CHALLENGE_BYTES) : guest_expect(g, GUEST_RESULT, 4);
}

static RfbStep guest_challenge(RfbGuest *g, RfbOut *out)
{
  uint8_t response[CHALLENGE_BYTES];
  bool good = rfb_vnc_response(g->password, g->bytes, response);
  explicit_bzero(g->password, sizeof g->password);
  if (!good)
    return guest_fail(g, RFB_GUEST_NO_TYPE);
  say(out, response, sizeof response);
  return guest_expect(g, GUEST_RESULT, 4);
}

static RfbStep guest_result(RfbGuest *g, RfbOut *out)
{
  uint32_t result = read_u32(g->bytes);
  if (result > 1)
    return guest_fail(g, RFB_GUEST_DENIED);
  if (result)
    return guest_expect(g, GUEST_REASON_LENGTH, 4);
  g->state = GUEST_DONE;
  return RFB_DONE;
}

static RfbStep guest_reason_length(RfbGuest *g, RfbOut *out)
{
  uint32_t length = read_u32(g->bytes);
  g->reason_left = length < REASON_READ_MAX_BYTES ? length : REASON_READ_MAX_BYTES;
  return g->reason_left ? guest_expect(g, GUEST_REASON, 1) : guest_fail(g, RFB_GUEST_DENIED);
}

static RfbStep guest_reason(RfbGuest *g, RfbOut *out)
{
  if (g->reason_bytes < RFB_REASON_MAX_BYTES)
    g->reason[g->reason_bytes++] = (char)g->bytes[0];
  return --g->reason_left ? guest_expect(g, GUEST_REASON, 1) : guest_fail(g, RFB_GUEST_DENIED);
}

static RfbStep (*const guest_states[N_GUEST])(RfbGuest *, RfbOut *) = {
  [GUEST_VERSION] = guest_version,     [GUEST_TYPE_COUNT] = guest_type_count,
  [GUEST_TYPES] = guest_types,         [GUEST_CHALLENGE] = guest_challenge,
  [GUEST_RESULT] = guest_result,       [GUEST_REASON_LENGTH] = guest_reason_length,
  [GUEST_REASON] = guest_reason,
};

RfbStep rfb_guest_feed(RfbGuest *g, const uint8_t *data, size_t n, RfbOut *out)
{
  if (g->state == GUEST_VERSION && !g->need)
    g->need = VERSION_BYTES;
  for (size_t i = 0; i < n; i++) {
    if (g->state == GUEST_DONE)
      return guest_fail(g, RFB_GUEST_EARLY);
    g->bytes[g->have++] = data[i];
    if (g->have < g->need)
      continue;
    g->have = 0;
    RfbStep step = guest_states[g->state](g, out);
    if (step == RFB_REFUSED)
      explicit_bzero(g->password, sizeof g->password);
    if (step == RFB_REFUSED || (step == RFB_DONE && i + 1 == n))
      return step;
  }
  return RFB_MORE;
}

/* ── the viewer ── */

enum { VIEWER_VERSION, VIEWER_TYPE, VIEWER_INIT, VIEWER_DONE };

void rfb_viewer_start(RfbOut *out)
{
  say(out, our_version, VERSION_BYTES);
}

static RfbStep viewer_version(RfbViewer *v, RfbOut *out)
{
  static const uint8_t one_type_none[] = { 1, SECURITY_NONE };
  if (version_parse(v->bytes) < 3008)
    return RFB_REFUSED;
  say(out, one_type_none, sizeof one_type_none);
  v->state = VIEWER_TYPE;
  return RFB_MORE;
}

static RfbStep viewer_type(RfbViewer *v, RfbOut *out)
{
  static const uint8_t result_ok[4] = { 0 };
  if (v->bytes[0] != SECURITY_NONE)
    return RFB_REFUSED;
  say(out, result_ok, sizeof result_ok);
  v->state = VIEWER_INIT;
  return RFB_MORE;
}

RfbStep rfb_viewer_feed(RfbViewer *v, const uint8_t *data, size_t n, size_t *ret_used, RfbOut *out)
{
  RfbStep step = RFB_MORE;
  size_t i = 0;
  while (i < n && step == RFB_MORE) {
    v->bytes[v->have++] = data[i++];
    if (v->state == VIEWER_VERSION && v->have < VERSION_BYTES)
      continue;
    v->have = 0;
    if (v->state == VIEWER_INIT)
      v->state = VIEWER_DONE;
    step = v->state == VIEWER_DONE ? RFB_DONE : v->state == VIEWER_VERSION ? viewer_version(v, out) : viewer_type(v, out);
  }
  *ret_used = i;
  return step;
}

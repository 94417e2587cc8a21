#include "drivers/console/websocket.h"

#include <glib.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

bool ws_code_is_valid(unsigned code)
{
  return (code >= 1000 && code <= 1011 && code != 1004 && code != 1005 && code != 1006) || (code >= 3000 && code <= 4999);
}

bool ws_accept(const char *key, size_t n, char ret[WS_ACCEPT_BYTES + 1])
{
  static const char salt[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  if (n != WS_KEY_BYTES || key[22] != '=' || key[23] != '=')
    return false;
  for (size_t i = 0; i < 22; i++)
    if (!g_ascii_isalnum(key[i]) && key[i] != '+' && key[i] != '/')
      return false;
  char text[WS_KEY_BYTES + sizeof salt];
  memcpy(text, key, WS_KEY_BYTES);
  memcpy(text + WS_KEY_BYTES, salt, sizeof salt);
  uint8_t hash[20];
  if (gnutls_hash_fast(GNUTLS_DIG_SHA1, text, sizeof text - 1, hash) < 0)
    return false;
  g_autofree char *answer = g_base64_encode(hash, sizeof hash);
  memcpy(ret, answer, WS_ACCEPT_BYTES + 1);
  return true;
}

size_t ws_head_before(uint8_t *end, WsOpcode opcode, uint64_t n)
{
  size_t length_bytes = n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8;
  uint8_t *head = end - 2 - length_bytes;
  head[0] = 0x80 | opcode;
  head[1] = length_bytes == 8 ? 127 : length_bytes == 2 ? 126 : (uint8_t)n;
  for (size_t i = 0; i < length_bytes; i++)
    head[2 + i] = (uint8_t)(n >> (8 * (length_bytes - 1 - i)));
  return 2 + length_bytes;
}

static WsEvent bad(WsDecoder *d, uint16_t code)
{
  d->code = code;
  return WS_BAD;
}

static bool is_control(uint8_t opcode) { return opcode & 8; }

/* How long the head is, known from its first two bytes; the mask key is always there. */
static size_t head_whole_bytes(const WsDecoder *d)
{
  uint8_t length = d->head[1] & 0x7f;
  return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + 4;
}

static WsEvent start_check(const WsDecoder *d, uint16_t *ret_code)
{
  uint8_t opcode = d->head[0] & 0x0f, length = d->head[1] & 0x7f;
  bool final = d->head[0] & 0x80, masked = d->head[1] & 0x80;
  *ret_code = opcode == 1 ? WS_CODE_TYPE : WS_CODE_PROTOCOL;
  if ((d->head[0] & 0x70) || !masked || opcode == 1)
    return WS_BAD;
  if (is_control(opcode))
    return opcode > WS_OP_PONG || !final || length > WS_CONTROL_MAX_BYTES ? WS_BAD : WS_MORE;
  bool starts = opcode == WS_OP_BINARY;
  return (starts || opcode == WS_OP_CONTINUATION) && starts != d->in_message ? WS_MORE : WS_BAD;
}

static WsEvent head_done(WsDecoder *d)
{
  uint8_t length = d->head[1] & 0x7f;
  size_t length_bytes = length == 127 ? 8 : length == 126 ? 2 : 0;
  uint64_t n = length_bytes ? 0 : length;
  for (size_t i = 0; i < length_bytes; i++)
    n = n << 8 | d->head[2 + i];
  if ((length_bytes == 2 && n < 126) || (length_bytes == 8 && (n <= UINT16_MAX || n >> 63)))
    return bad(d, WS_CODE_PROTOCOL);
  memcpy(d->mask, d->head + 2 + length_bytes, 4);
  d->opcode = d->head[0] & 0x0f;
  d->final = d->head[0] & 0x80;
  d->left = n;
  d->head_bytes = d->control_bytes = 0;
  d->in_payload = true;
  if (is_control(d->opcode))
    return WS_MORE;
  if (n > WS_MESSAGE_MAX_BYTES - d->message_bytes)
    return bad(d, WS_CODE_TOO_BIG);
  d->message_bytes = d->final ? 0 : d->message_bytes + (uint32_t)n;
  d->in_message = !d->final;
  return WS_MORE;
}

/* Takes bytes of the head; MORE also when it is whole, then in_payload is set. */
static WsEvent head_take(WsDecoder *d, uint8_t **data, size_t *n)
{
  while (*n) {
    d->head[d->head_bytes++] = *(*data)++;
    --*n;
    uint16_t code;
    if (d->head_bytes == 2 && start_check(d, &code) == WS_BAD)
      return bad(d, code);
    if (d->head_bytes >= 2 && d->head_bytes == head_whole_bytes(d))
      return head_done(d);
  }
  return WS_MORE;
}

static void unmask(WsDecoder *d, uint8_t *data, size_t n)
{
  uint64_t wide, mask;
  memcpy(&mask, d->mask, 4);
  memcpy((uint8_t *)&mask + 4, d->mask, 4);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    memcpy(&wide, data + i, 8);
    wide ^= mask;
    memcpy(data + i, &wide, 8);
  }
  for (; i < n; i++)
    data[i] ^= d->mask[i & 3];
  uint8_t turned[4];
  for (int k = 0; k < 4; k++)
    turned[k] = d->mask[(n + k) & 3];
  memcpy(d->mask, turned, 4);
}

static WsEvent close_done(WsDecoder *d)
{
  d->code = WS_CODE_NONE;
  if (!d->control_bytes)
    return WS_CLOSE;
  if (d->control_bytes == 1)
    return bad(d, WS_CODE_PROTOCOL);
  unsigned code = d->control[0] << 8 | d->control[1];
  if (!ws_code_is_valid(code))
    return bad(d, WS_CODE_PROTOCOL);
  if (!g_utf8_validate((char *)d->control + 2, d->control_bytes - 2, NULL))
    return bad(d, WS_CODE_TEXT);
  d->code = (uint16_t)code;
  return WS_CLOSE;
}

/* MORE: the frame is not whole yet, or was an empty piece of data. */
static WsEvent payload_take(WsDecoder *d, uint8_t **data, size_t *n, uint8_t **ret, size_t *ret_n)
{
  size_t take = *n < d->left ? *n : d->left;
  uint8_t *piece = *data;
  unmask(d, piece, take);
  *data += take;
  *n -= take;
  d->left -= take;
  d->in_payload = d->left > 0;
  if (!is_control(d->opcode)) {
    *ret = piece;
    *ret_n = take;
    return take ? WS_DATA : WS_MORE;
  }
  memcpy(d->control + d->control_bytes, piece, take);
  d->control_bytes += take;
  if (d->in_payload)
    return WS_MORE;
  *ret = d->control;
  *ret_n = d->control_bytes;
  return d->opcode == WS_OP_CLOSE ? close_done(d) : d->opcode == WS_OP_PING ? WS_PING : WS_PONG;
}

WsEvent ws_next(WsDecoder *d, uint8_t **data, size_t *n, uint8_t **ret, size_t *ret_n)
{
  WsEvent event = WS_MORE;
  bool moved = true;
  while (event == WS_MORE && moved) {
    size_t before = *n;
    bool payload_is_empty = d->in_payload && !d->left;
    event = d->in_payload ? payload_take(d, data, n, ret, ret_n) : head_take(d, data, n);
    moved = *n != before || payload_is_empty;
  }
  return event;
}

/* WebSocket framing, the server's side of RFC 6455: frames of clients are read piece by piece and in place, whatever way the
 * stream was cut; heads of our own frames are written. No extension is spoken, and only binary messages are taken. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  WS_HEAD_MAX_BYTES = 10,       /* of a frame we send: unmasked */
  WS_CONTROL_MAX_BYTES = 125,   /* payload of ping, pong, close */
  WS_MESSAGE_MAX_BYTES = 1 << 20,
  WS_KEY_BYTES = 24,            /* Sec-WebSocket-Key: 16 bytes in base64 */
  WS_ACCEPT_BYTES = 28,         /* Sec-WebSocket-Accept */
};

/* RFC 6455, 7.4.1 */
enum { WS_CODE_NORMAL = 1000, WS_CODE_AWAY = 1001, WS_CODE_PROTOCOL = 1002, WS_CODE_TYPE = 1003, WS_CODE_NONE = 1005,
       WS_CODE_TEXT = 1007, WS_CODE_TOO_BIG = 1009, WS_CODE_INTERNAL = 1011 };

typedef enum { WS_OP_CONTINUATION = 0, WS_OP_BINARY = 2, WS_OP_CLOSE = 8, WS_OP_PING = 9, WS_OP_PONG = 10 } WsOpcode;

/* MORE: all data was used. DATA: a piece of a binary message. PING, PONG: a whole control frame. CLOSE: the client's close, code
 * in the decoder. BAD: the stream can't be read on; the code to close with in the decoder. */
typedef enum { WS_MORE, WS_DATA, WS_PING, WS_PONG, WS_CLOSE, WS_BAD } WsEvent;

/* Zeroed at first. */
typedef struct {
  uint64_t left;          /* payload bytes still to come */
  uint32_t message_bytes; /* of the message so far */
  uint16_t code;
  uint8_t head_bytes, control_bytes, opcode;
  bool in_payload, in_message, final;
  uint8_t mask[4];
  uint8_t head[14];
  uint8_t control[WS_CONTROL_MAX_BYTES];
} WsDecoder;

/* Takes the next event from *data, *n, which shrink. DATA: *ret points into data, unmasked in place. PING, PONG, CLOSE: *ret
 * points into d and holds until the next call. To be called until MORE, CLOSE or BAD. */
WsEvent ws_next(WsDecoder *d, uint8_t **data, size_t *n, uint8_t **ret, size_t *ret_n);

/* Writes the head of a whole frame with n bytes of payload so that it ends at end; returns its length, 2 to 10. */
size_t ws_head_before(uint8_t *end, WsOpcode opcode, uint64_t n);

/* The answer to a key as RFC 6455, 4.2.2 has it, NUL-terminated. false: key is not 16 bytes in base64. */
bool ws_accept(const char *key, size_t n, char ret[WS_ACCEPT_BYTES + 1]);

/* May this code stand in a close frame (7.4.2)? */
bool ws_code_is_valid(unsigned code);

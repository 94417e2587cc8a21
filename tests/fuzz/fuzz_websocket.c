/* Frames of a WebSocket client. The first byte says how the stream is cut: cut or whole, the same must come out. */
#include <glib.h>
#include <string.h>

#include "drivers/console/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct {
  GByteArray *data;
  GString *controls;
  WsEvent end;
  uint16_t code;
} Heard;

static WsEvent piece_read(WsDecoder *d, uint8_t *at, size_t n, Heard *h)
{
  for (;;) {
    uint8_t *piece = NULL;
    size_t piece_n = 0;
    const uint8_t *end = at + n;
    WsEvent event = ws_next(d, &at, &n, &piece, &piece_n);
    if (event == WS_DATA) {
      g_assert(piece_n && piece + piece_n <= end);
      g_byte_array_append(h->data, piece, piece_n);
    } else if (event == WS_PING || event == WS_PONG) {
      g_assert(piece_n <= WS_CONTROL_MAX_BYTES);
      g_string_append_c(h->controls, event == WS_PING ? 'P' : 'p');
      g_string_append_len(h->controls, (char *)piece, piece_n);
    } else {
      return event;
    }
  }
}

static void stream_read(const uint8_t *data, size_t n, size_t step, Heard *h)
{
  WsDecoder d = { 0 };
  h->data = g_byte_array_new();
  h->controls = g_string_new(NULL);
  h->end = WS_MORE;
  for (size_t at = 0; at < n && h->end == WS_MORE; at += step) {
    g_autofree uint8_t *copy = g_memdup2(data + at, MIN(step, n - at));
    h->end = piece_read(&d, copy, MIN(step, n - at), h);
    g_assert(d.message_bytes <= WS_MESSAGE_MAX_BYTES);
  }
  h->code = d.code;
  g_assert(h->end != WS_BAD || ws_code_is_valid(h->code));
}

static void heard_clear(Heard *h)
{
  g_byte_array_unref(h->data);
  g_string_free(h->controls, TRUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  if (!n)
    return 0;
  Heard cut, whole;
  stream_read(data + 1, n - 1, data[0] + 1, &cut);
  stream_read(data + 1, n - 1, n, &whole);
  g_assert(cut.end == whole.end && cut.code == whole.code);
  g_assert(cut.data->len == whole.data->len && (!cut.data->len || !memcmp(cut.data->data, whole.data->data, cut.data->len)));
  g_assert(g_string_equal(cut.controls, whole.controls));
  heard_clear(&cut);
  heard_clear(&whole);
  return 0;
}

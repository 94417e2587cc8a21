/* drivers/console/websocket: frames of clients, cut anywhere, and what is refused with which code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>
#include <string.h>

#include "drivers/console/websocket.h"

/* A stream in hex; `.` between bytes is for the eye. Masks are 00000000 unless the row is about masking. */
typedef struct {
  const char *hex, *data, *controls;
  WsEvent end;
  unsigned code;
} Row;

#define M "00000000"
static const Row rows[] = {
  { "8283" M "616263", "abc", "", WS_MORE, 0 },
  { "8283" "01020304" "606060", "abc", "", WS_MORE, 0 }, /* masked for real */
  { "8280" M, "", "", WS_MORE, 0 },
  { "0281" M "61" "0081" M "62" "8081" M "63", "abc", "", WS_MORE, 0 },
  { "0281" M "61" "8980" M "8081" M "62", "ab", "P()", WS_MORE, 0 }, /* a ping between fragments */
  { "8982" M "6869" "8a80" M, "", "P(hi)p()", WS_MORE, 0 },
  { "0280" M "0080" M "8080" M "8281" M "61", "a", "", WS_MORE, 0 },
  { "8880" M, "", "", WS_CLOSE, 1005 },
  { "8882" M "03e8", "", "", WS_CLOSE, 1000 },
  { "8885" M "03e9627965", "", "", WS_CLOSE, 1001 },
  { "8882" M "0fa1", "", "", WS_CLOSE, 4001 },
  { "8881" M "03", "", "", WS_BAD, 1002 },          /* close with half a code */
  { "8882" M "03ed", "", "", WS_BAD, 1002 },        /* 1005 may not be sent */
  { "8882" M "1388", "", "", WS_BAD, 1002 },        /* 5000 */
  { "8884" M "03e8c328", "", "", WS_BAD, 1007 },    /* reason is not UTF-8 */
  { "8203616263", "", "", WS_BAD, 1002 },           /* not masked */
  { "8181" M "61", "", "", WS_BAD, 1003 },          /* text */
  { "c281" M "61", "", "", WS_BAD, 1002 },          /* RSV1 */
  { "a281" M "61", "", "", WS_BAD, 1002 },          /* RSV2 */
  { "9281" M "61", "", "", WS_BAD, 1002 },          /* RSV3 */
  { "8381" M "61", "", "", WS_BAD, 1002 },          /* opcode 3 */
  { "8b80" M, "", "", WS_BAD, 1002 },               /* opcode 11 */
  { "8f80" M, "", "", WS_BAD, 1002 },
  { "0980" M, "", "", WS_BAD, 1002 },               /* fragmented ping */
  { "0880" M, "", "", WS_BAD, 1002 },               /* fragmented close */
  { "89fe007e" M, "", "", WS_BAD, 1002 },           /* ping of 126 bytes */
  { "8081" M "61", "", "", WS_BAD, 1002 },          /* continuation of nothing */
  { "0281" M "61" "8281" M "62", "a", "", WS_BAD, 1002 }, /* a new message within one */
  { "82fe0005" M "6162636465", "", "", WS_BAD, 1002 },    /* length not in its shortest form */
  { "82ff0000000000000005" M, "", "", WS_BAD, 1002 },
  { "82ff8000000000000000" M, "", "", WS_BAD, 1002 },     /* 2^63 */
  { "82ff0000000000100001" M, "", "", WS_BAD, 1009 },     /* 1 MiB and one byte */
  { "02fe0080" M, "", "", WS_MORE, 0 },
};

static GBytes *bytes_of(const char *hex)
{
  GByteArray *out = g_byte_array_new();
  for (; *hex; hex += 2) {
    uint8_t byte = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
    g_byte_array_append(out, &byte, 1);
  }
  return g_byte_array_free_to_bytes(out);
}

/* Feeds data[from..to), appends what came to the two strings. */
static WsEvent feed(WsDecoder *d, const uint8_t *bytes, size_t n, GString *data, GString *controls)
{
  g_autofree uint8_t *copy = g_memdup2(bytes, n ? n : 1);
  uint8_t *at = copy, *piece;
  size_t left = n, piece_n;
  for (;;) {
    WsEvent event = ws_next(d, &at, &left, &piece, &piece_n);
    if (event == WS_DATA)
      g_string_append_len(data, (char *)piece, piece_n);
    else if (event == WS_PING || event == WS_PONG)
      g_string_append_printf(controls, "%c(%.*s)", event == WS_PING ? 'P' : 'p', (int)piece_n, (char *)piece);
    else
      return event;
  }
}

static void row_check(const Row *row, size_t cut)
{
  g_autoptr(GBytes) stream = bytes_of(row->hex);
  gsize n;
  const uint8_t *bytes = g_bytes_get_data(stream, &n);
  g_autoptr(GString) data = g_string_new(NULL), controls = g_string_new(NULL);
  WsDecoder d = { 0 };
  WsEvent end = feed(&d, bytes, MIN(cut, n), data, controls);
  if (end == WS_MORE && cut < n)
    end = feed(&d, bytes + cut, n - cut, data, controls);
  if (end != row->end || strcmp(data->str, row->data) || strcmp(controls->str, row->controls))
    fail_msg("%s cut at %zu: end %d data \"%s\" controls \"%s\"", row->hex, cut, end, data->str, controls->str);
  if (row->code)
    assert_int_equal(d.code, row->code);
}

static void frames_are_read_wherever_they_are_cut(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    for (size_t cut = 0; cut <= strlen(rows[i].hex) / 2; cut++)
      row_check(&rows[i], cut);
}

static void frames_are_read_byte_by_byte(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GBytes) stream = bytes_of(rows[i].hex);
    gsize n;
    const uint8_t *bytes = g_bytes_get_data(stream, &n);
    g_autoptr(GString) data = g_string_new(NULL), controls = g_string_new(NULL);
    WsDecoder d = { 0 };
    WsEvent end = WS_MORE;
    for (size_t at = 0; at < n && end == WS_MORE; at++)
      end = feed(&d, bytes + at, 1, data, controls);
    assert_int_equal(end, rows[i].end);
    assert_string_equal(data->str, rows[i].data);
  }
}

static void masks_turn_with_every_cut(void **state)
{
  uint8_t plain[1000], frame[1000 + 8];
  const uint8_t mask[4] = { 0x12, 0xfe, 0x00, 0x99 };
  memcpy(frame, "\x82\xfe\x03\xe8\x12\xfe\x00\x99", 8);
  for (size_t i = 0; i < sizeof plain; i++) {
    plain[i] = (uint8_t)(i * 7);
    frame[8 + i] = plain[i] ^ mask[i & 3];
  }
  for (size_t step = 1; step < 40; step++) {
    WsDecoder d = { 0 };
    g_autoptr(GString) data = g_string_new(NULL), controls = g_string_new(NULL);
    for (size_t at = 0; at < sizeof frame; at += step)
      assert_int_equal(feed(&d, frame + at, MIN(step, sizeof frame - at), data, controls), WS_MORE);
    assert_int_equal(data->len, sizeof plain);
    assert_memory_equal(data->str, plain, sizeof plain);
  }
}

static void a_message_of_many_fragments_ends_at_its_limit(void **state)
{
  WsDecoder d = { 0 };
  g_autoptr(GString) data = g_string_new(NULL), controls = g_string_new(NULL);
  g_autofree uint8_t *frame = g_malloc0(65535 + 8);
  memcpy(frame, "\x02\xfe\xff\xff\0\0\0\0", 8);
  for (int i = 0; i < 16; i++) {
    assert_int_equal(feed(&d, frame, 65535 + 8, data, controls), WS_MORE);
    frame[0] = 0;
  }
  assert_int_equal(feed(&d, (const uint8_t *)"\x00\x90\0\0\0\0abcdefghijklmnop", 22, data, controls), WS_MORE);
  assert_int_equal(data->len, WS_MESSAGE_MAX_BYTES);
  assert_int_equal(feed(&d, (const uint8_t *)"\x80\x81\0\0\0\0a", 7, data, controls), WS_BAD);
  assert_int_equal(d.code, WS_CODE_TOO_BIG);
}

static void heads_have_the_shortest_form(void **state)
{
  static const struct { uint64_t n; const char *hex; } heads[] = {
    { 0, "8200" }, { 125, "827d" }, { 126, "827e007e" }, { 65535, "827effff" },
    { 65536, "827f0000000000010000" }, { 1ull << 40, "827f0000010000000000" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
    uint8_t room[WS_HEAD_MAX_BYTES];
    size_t n = ws_head_before(room + sizeof room, WS_OP_BINARY, heads[i].n);
    g_autoptr(GBytes) want = bytes_of(heads[i].hex);
    assert_int_equal(n, g_bytes_get_size(want));
    assert_memory_equal(room + sizeof room - n, g_bytes_get_data(want, NULL), n);
  }
}

static void key_is_answered_as_the_rfc_has_it(void **state)
{
  char answer[WS_ACCEPT_BYTES + 1];
  assert_true(ws_accept("dGhlIHNhbXBsZSBub25jZQ==", 24, answer));
  assert_string_equal(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  assert_false(ws_accept("dGhlIHNhbXBsZSBub25jZQ=", 23, answer));
  assert_false(ws_accept("dGhlIHNhbXBsZSBub25jZQAA", 24, answer));
  assert_false(ws_accept("dGhlIHNhbXBsZSBub25j Q==", 24, answer));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(frames_are_read_wherever_they_are_cut),
    cmocka_unit_test(frames_are_read_byte_by_byte),
    cmocka_unit_test(masks_turn_with_every_cut),
    cmocka_unit_test(a_message_of_many_fragments_ends_at_its_limit),
    cmocka_unit_test(heads_have_the_shortest_form),
    cmocka_unit_test(key_is_answered_as_the_rfc_has_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

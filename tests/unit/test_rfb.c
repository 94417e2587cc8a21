/* drivers/console/rfb: both handshakes and the viewer's messages, cut anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glib.h>
#include <string.h>

#include "drivers/console/rfb.h"

static GBytes *bytes_of(const char *hex)
{
  GByteArray *out = g_byte_array_new();
  for (; *hex; hex++) {
    if (*hex == ' ')
      continue;
    uint8_t byte = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
    g_byte_array_append(out, &byte, 1);
    hex++;
  }
  return g_byte_array_free_to_bytes(out);
}

static char *hex_of(const uint8_t *bytes, size_t n)
{
  GString *out = g_string_new(NULL);
  for (size_t i = 0; i < n; i++)
    g_string_append_printf(out, "%02x", bytes[i]);
  return g_string_free(out, FALSE);
}

static char *without_blanks(const char *hex)
{
  g_auto(GStrv) parts = g_strsplit(hex, " ", -1);
  return g_strjoinv("", parts);
}

/* ── the guest's handshake ── */

#define V38 "524642203030332e3030380a"
#define CHALLENGE "000102030405060708090a0b0c0d0e0f"

static const struct {
  const char *password, *says, *answers; /* answers NULL: not looked at */
  RfbStep step;
  RfbGuestFault fault;
  const char *reason;
} guests[] = {
  { "secret", V38 "0102" CHALLENGE "00000000", NULL, RFB_DONE },
  { "", V38 "0101" "00000000", V38 "01", RFB_DONE },
  { "", V38 "020201" "00000000", V38 "01", RFB_DONE },
  { "secret", "524642203030332e3838390a" "020102" CHALLENGE "00000000", NULL, RFB_DONE }, /* 3.889 */
  { "secret", V38 "0102" CHALLENGE, NULL, RFB_MORE },
  { "secret", V38 "0102" CHALLENGE "00000001" "00000003" "626164", NULL, RFB_REFUSED, RFB_GUEST_DENIED, "bad" },
  { "secret", V38 "0102" CHALLENGE "00000001" "00000000", NULL, RFB_REFUSED, RFB_GUEST_DENIED, "" },
  { "secret", V38 "0102" CHALLENGE "00000001" "ffffffff" "6161", NULL, RFB_MORE },
  { "secret", V38 "0102" CHALLENGE "00000002", NULL, RFB_REFUSED, RFB_GUEST_DENIED, "" },
  { "secret", V38 "0102" CHALLENGE "ffffffff", NULL, RFB_REFUSED, RFB_GUEST_DENIED, "" },
  { "secret", V38 "00" "00000002" "6e6f", V38, RFB_REFUSED, RFB_GUEST_DENIED, "no" },
  { "secret", V38 "0101", V38, RFB_REFUSED, RFB_GUEST_NO_TYPE, "" }, /* a guest that would let anyone in is not ours */
  { "", V38 "0102", V38, RFB_REFUSED, RFB_GUEST_NO_TYPE, "" },
  { "", V38 "0101" "00000000" "00", NULL, RFB_REFUSED, RFB_GUEST_EARLY, "" },
  { "", "524642203030332e3030330a", "", RFB_REFUSED, RFB_GUEST_OLD, "" },
  { "", "524642203030332e3030370a", "", RFB_REFUSED, RFB_GUEST_OLD, "" },
  { "", "485454502f312e31203430300a", "", RFB_REFUSED, RFB_GUEST_NOT_RFB, "" },
  { "", "524642203030332e3030380d", "", RFB_REFUSED, RFB_GUEST_NOT_RFB, "" },
  { "", "52464220303a332e3030380a", "", RFB_REFUSED, RFB_GUEST_NOT_RFB, "" },
  { "", "52464220ff332e3030380a0a", "", RFB_REFUSED, RFB_GUEST_NOT_RFB, "" },
};

static void guest_check(size_t row, size_t step_bytes)
{
  g_autoptr(GBytes) says = bytes_of(guests[row].says);
  gsize n;
  const uint8_t *bytes = g_bytes_get_data(says, &n);
  RfbGuest g = { 0 };
  g_strlcpy(g.password, guests[row].password, sizeof g.password);
  RfbOut out = { 0 };
  RfbStep step = RFB_MORE;
  for (size_t at = 0; at < n && (step == RFB_MORE || (step == RFB_DONE && at < n)); at += step_bytes)
    step = rfb_guest_feed(&g, bytes + at, MIN(step_bytes, n - at), &out);
  if (step != guests[row].step || (step == RFB_REFUSED && g.fault != guests[row].fault))
    fail_msg("row %zu by %zu bytes: step %d fault %d", row, step_bytes, step, g.fault);
  if (step == RFB_REFUSED)
    assert_string_equal(g.reason, guests[row].reason);
  if (guests[row].answers) {
    g_autofree char *answers = hex_of(out.bytes, out.n);
    assert_string_equal(answers, guests[row].answers);
  }
  if (step != RFB_MORE)
    assert_string_equal(g.password, "");
}

static void guests_are_shaken_hands_with_wherever_cut(void **state)
{
  for (size_t row = 0; row < G_N_ELEMENTS(guests); row++)
    for (size_t step_bytes = 1; step_bytes <= 64; step_bytes++)
      guest_check(row, step_bytes);
}

static void a_guests_reason_is_cut(void **state)
{
  RfbGuest g = { 0 };
  RfbOut out = { 0 };
  g_autoptr(GBytes) head = bytes_of(V38 "00" "7fffffff");
  assert_int_equal(rfb_guest_feed(&g, g_bytes_get_data(head, NULL), g_bytes_get_size(head), &out), RFB_MORE);
  uint8_t flood[8192];
  memset(flood, 'x', sizeof flood);
  assert_int_equal(rfb_guest_feed(&g, flood, sizeof flood, &out), RFB_REFUSED);
  assert_int_equal(strlen(g.reason), RFB_REASON_MAX_BYTES);
}

static void vnc_challenge_is_answered_as_other_viewers_do(void **state)
{
  /* made with the DES of another library: key = bits of each byte of the password turned round */
  static const struct { const char *password, *response; } known[] = {
    { "password", "b866924125c8eebb9debc1db61c538e2" },
    { "a", "449407fb6f71bd517aca76866568a4e2" },
    { "longer-than-8", "d7f5512dcd81e076eaf94d16cb29ec75" },
  };
  g_autoptr(GBytes) challenge = bytes_of(CHALLENGE);
  for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
    uint8_t response[16];
    assert_true(rfb_vnc_response(known[i].password, g_bytes_get_data(challenge, NULL), response));
    g_autofree char *hex = hex_of(response, 16);
    assert_string_equal(hex, known[i].response);
  }
}

/* ── the viewer's handshake ── */

static const struct {
  const char *says, *answers;
  RfbStep step;
  size_t used;
} viewers[] = {
  { V38 "0101", V38 "0101" "00000000", RFB_DONE, 14 },
  { V38 "0100" "00", V38 "0101" "00000000", RFB_DONE, 14 },
  { V38 "01", V38 "0101" "00000000", RFB_MORE, 13 },
  { V38 "02", V38 "0101", RFB_REFUSED, 13 },
  { "524642203030332e3030330a", V38, RFB_REFUSED, 12 },
  { "524642203030332e3030370a", V38, RFB_REFUSED, 12 },
  { "474554202f20485454502f31", V38, RFB_REFUSED, 12 },
};

static void viewers_are_shaken_hands_with_wherever_cut(void **state)
{
  for (size_t row = 0; row < G_N_ELEMENTS(viewers); row++)
    for (size_t step_bytes = 1; step_bytes <= 20; step_bytes++) {
      g_autoptr(GBytes) says = bytes_of(viewers[row].says);
      gsize n;
      const uint8_t *bytes = g_bytes_get_data(says, &n);
      RfbViewer v = { 0 };
      RfbOut out = { 0 };
      rfb_viewer_start(&out);
      RfbStep step = RFB_MORE;
      size_t used, all = 0;
      for (size_t at = 0; at < n && step == RFB_MORE; at += step_bytes, all += used)
        step = rfb_viewer_feed(&v, bytes + at, MIN(step_bytes, n - at), &used, &out);
      g_autofree char *answers = hex_of(out.bytes, out.n);
      if (step != viewers[row].step || strcmp(answers, viewers[row].answers) || all != viewers[row].used)
        fail_msg("row %zu by %zu: step %d used %zu answers %s", row, step_bytes, step, all, answers);
    }
}

/* ── the viewer's messages ── */

#define KEY "0401 0000 00000061"
#define POINTER "0501 0010 0020"
#define UPDATE "0301 0000 0000 0400 0300"
#define FORMAT "00000000 2018 0001 00ff 00ff 00ff 10 08 00 000000"
#define CUT "06000000 00000003 616263"
#define QEMU_KEY "ff00 0001 00000061 0000001e"
#define AUDIO "ff01 0000 ff01 0002 0302 0000ac44 ff01 0001"
#define RESIZE "fb00 0400 0300 0100 00000001 0000 0000 0400 0300 00000000"
#define FENCE "f8000000 80000001 03 616263"
#define CONTINUOUS "9601 0000 0000 0400 0300"
#define XVP "fa00 0102"
#define CUT_CAPS "06000000 fffffff8 1f000001 00100000"
#define CUT_REQUEST "06000000 fffffffc 02000001"
#define CUT_PEEK "06000000 fffffffc 04000000"
#define CUT_NOTIFY "06000000 fffffffc 08000001"
#define CUT_PROVIDE "06000000 fffffff9 10000001 aabbcc"
#define ENCODINGS "02000003 00000007 c0a1e5ce ffffff21"

static const struct {
  bool view_only;
  ClipboardPolicy clipboard;
  const char *in, *out; /* out NULL: the same as in */
  bool input;
  int refused; /* 0: taken; else the type that was refused, + 256 */
} messages[] = {
  { false, CLIPBOARD_BOTH, KEY, NULL, true },
  { false, CLIPBOARD_BOTH, POINTER, NULL, true },
  { false, CLIPBOARD_BOTH, QEMU_KEY, NULL, true },
  { false, CLIPBOARD_BOTH, UPDATE FORMAT CONTINUOUS FENCE RESIZE AUDIO, NULL, false },
  { false, CLIPBOARD_BOTH, ENCODINGS, NULL, false },
  { false, CLIPBOARD_BOTH, "02000000" KEY, NULL, true },
  { false, CLIPBOARD_BOTH, XVP KEY, KEY, true },
  /* view only */
  { true, CLIPBOARD_BOTH, KEY POINTER QEMU_KEY CUT RESIZE XVP CUT_CAPS CUT_REQUEST CUT_PROVIDE, "", false },
  { true, CLIPBOARD_BOTH, KEY UPDATE POINTER FORMAT RESIZE AUDIO CUT FENCE, UPDATE FORMAT AUDIO FENCE, false },
  { true, CLIPBOARD_BOTH, ENCODINGS, "02000003 00000007 7fffffff ffffff21", false },
  /* clipboard */
  { false, CLIPBOARD_BOTH, CUT, NULL, true },
  { false, CLIPBOARD_BOTH, CUT_PROVIDE CUT_NOTIFY, NULL, true },
  { false, CLIPBOARD_BOTH, CUT_CAPS CUT_REQUEST CUT_PEEK, NULL, false },
  { false, CLIPBOARD_NONE, CUT CUT_CAPS CUT_REQUEST CUT_PEEK CUT_NOTIFY CUT_PROVIDE UPDATE, UPDATE, false },
  { false, CLIPBOARD_NONE, ENCODINGS, "02000003 00000007 7fffffff ffffff21", false },
  { false, CLIPBOARD_TO_GUEST, CUT CUT_NOTIFY CUT_PROVIDE ENCODINGS, NULL, true },
  { false, CLIPBOARD_TO_GUEST, CUT_REQUEST CUT_PEEK UPDATE, UPDATE, false },
  { false, CLIPBOARD_TO_GUEST, CUT_CAPS, "06000000 fffffff8 19000001 00100000", false },
  { false, CLIPBOARD_TO_GUEST, "06000000 fffffff9 12000001 aabbcc", CUT_PROVIDE, true }, /* asks along with giving */
  { false, CLIPBOARD_FROM_GUEST, CUT CUT_NOTIFY CUT_PROVIDE UPDATE, UPDATE, false },
  { false, CLIPBOARD_FROM_GUEST, CUT_REQUEST CUT_PEEK ENCODINGS, NULL, false },
  { false, CLIPBOARD_FROM_GUEST, CUT_CAPS, "06000000 fffffff8 07000001 00100000", false },
  { false, CLIPBOARD_BOTH, "06000000 00000000" KEY, NULL, true },
  /* encodings that change the shape of messages: extended mouse buttons, xvp, gii */
  { false, CLIPBOARD_BOTH, "02000003 fffffec4 fffffecb fffffecf" KEY, "02000003 7fffffff 7fffffff 7fffffff" KEY, true },
  /* refused */
  { false, CLIPBOARD_BOTH, KEY "01", KEY, true, 256 + 1 },
  { false, CLIPBOARD_BOTH, "07", "", false, 256 + 7 },
  { false, CLIPBOARD_BOTH, "fc", "", false, 256 + 0xfc },
  { false, CLIPBOARD_BOTH, "fd", "", false, 256 + 0xfd },
  { true, CLIPBOARD_NONE, "47455420", "", false, 256 + 0x47 },
  { false, CLIPBOARD_BOTH, "ff02", "", false, 256 + 0xff },
  { false, CLIPBOARD_BOTH, "ff01 0003", "", false, 256 + 0xff },
  { false, CLIPBOARD_BOTH, "06000000 00100001", "", false, 256 + 6 },
  { false, CLIPBOARD_BOTH, "06000000 7fffffff", "", false, 256 + 6 },
  { false, CLIPBOARD_NONE, "06000000 80000000 00000000", "", false, 256 + 6 },
  { false, CLIPBOARD_BOTH, "06000000 ffefffff 10000001", "", false, 256 + 6 },
  { false, CLIPBOARD_BOTH, "06000000 fffffffd 10000001", "", false, 256 + 6 },
  { false, CLIPBOARD_BOTH, "f8000000 80000001 41", "", false, 256 + 0xf8 },
};

/* Runs data through f in place, as the relay does, with nothing but the promised headroom. */
static RfbStep filter_feed(RfbFilter *f, const uint8_t *data, size_t n, GByteArray *out)
{
  g_autofree uint8_t *room = g_malloc(RFB_HEADROOM + n);
  memcpy(room + RFB_HEADROOM, data, n);
  uint8_t *at;
  size_t out_n;
  RfbStep step = rfb_filter_run(f, room + RFB_HEADROOM, n, &at, &out_n);
  assert_true(at >= room && at + out_n <= room + RFB_HEADROOM + n);
  g_byte_array_append(out, at, out_n);
  return step;
}

static void message_check(size_t row, size_t first, size_t step_bytes)
{
  g_autoptr(GBytes) in = bytes_of(messages[row].in);
  gsize n;
  const uint8_t *bytes = g_bytes_get_data(in, &n);
  g_autoptr(GByteArray) out = g_byte_array_new();
  RfbFilter f = { .view_only = messages[row].view_only, .clipboard = messages[row].clipboard };
  RfbStep step = RFB_MORE;
  for (size_t at = 0, take = first; at < n && step == RFB_MORE; at += take, take = step_bytes) {
    take = MIN(take, n - at);
    step = filter_feed(&f, bytes + at, take, out);
  }
  g_autofree char *got = hex_of(out->data, out->len);
  g_autofree char *want = without_blanks(messages[row].out ? messages[row].out : messages[row].in);
  int refused = step == RFB_REFUSED ? 256 + f.refused_type : 0;
  if (strcmp(got, want) || refused != messages[row].refused || f.input_seen != messages[row].input)
    fail_msg("row %zu cut at %zu by %zu: %s, wanted %s, refused %d, input %d", row, first, step_bytes, got, want, refused,
             f.input_seen);
}

static void messages_are_filtered_wherever_cut(void **state)
{
  for (size_t row = 0; row < G_N_ELEMENTS(messages); row++) {
    for (size_t first = 0; first <= strlen(messages[row].in) / 2; first++)
      message_check(row, first, 1000);
    for (size_t step_bytes = 1; step_bytes < 8; step_bytes++)
      message_check(row, step_bytes, step_bytes);
  }
}

static void a_large_cut_text_is_left_out_or_passed_whole(void **state)
{
  g_autofree uint8_t *text = g_malloc0(RFB_CUT_MAX_BYTES);
  static const uint8_t head[] = { 6, 0, 0, 0, 0, 0x10, 0, 0 }, update[] = { 3, 1, 0, 0, 0, 0, 4, 0, 3, 0 };
  for (int allowed = 0; allowed < 2; allowed++) {
    RfbFilter f = { .clipboard = allowed ? CLIPBOARD_TO_GUEST : CLIPBOARD_FROM_GUEST };
    g_autoptr(GByteArray) out = g_byte_array_new();
    assert_int_equal(filter_feed(&f, head, sizeof head, out), RFB_MORE);
    for (size_t at = 0; at < RFB_CUT_MAX_BYTES; at += 1 << 16)
      assert_int_equal(filter_feed(&f, text + at, 1 << 16, out), RFB_MORE);
    assert_int_equal(filter_feed(&f, update, sizeof update, out), RFB_MORE);
    assert_int_equal(out->len, (allowed ? sizeof head + RFB_CUT_MAX_BYTES : 0) + sizeof update);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(guests_are_shaken_hands_with_wherever_cut),
    cmocka_unit_test(a_guests_reason_is_cut),
    cmocka_unit_test(vnc_challenge_is_answered_as_other_viewers_do),
    cmocka_unit_test(viewers_are_shaken_hands_with_wherever_cut),
    cmocka_unit_test(messages_are_filtered_wherever_cut),
    cmocka_unit_test(a_large_cut_text_is_left_out_or_passed_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

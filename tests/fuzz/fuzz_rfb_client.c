/* What a viewer says: its handshake and its messages. The first byte is the policy, the second how the stream is cut. Cut or
 * whole, the same must come out; what came out once must pass unchanged; nothing forbidden may be in it. */
#include <glib.h>
#include <string.h>

#include "drivers/console/rfb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static GByteArray *filter(const uint8_t *data, size_t n, size_t step, RfbFilter *f, RfbStep *ret_step)
{
  GByteArray *out = g_byte_array_new();
  *ret_step = RFB_MORE;
  for (size_t at = 0; at < n && *ret_step == RFB_MORE; at += step) {
    size_t take = MIN(step, n - at), piece_n;
    g_autofree uint8_t *room = g_malloc(RFB_HEADROOM + take);
    uint8_t *piece;
    memcpy(room + RFB_HEADROOM, data + at, take);
    *ret_step = rfb_filter_run(f, room + RFB_HEADROOM, take, &piece, &piece_n);
    g_assert(piece >= room && piece + piece_n <= room + RFB_HEADROOM + take);
    g_byte_array_append(out, piece, piece_n);
  }
  g_assert(out->len <= n);
  return out;
}

static bool same(const GByteArray *a, const GByteArray *b)
{
  return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static void viewer_run(const uint8_t *data, size_t n, size_t step)
{
  RfbViewer v = { 0 };
  RfbOut out = { 0 };
  RfbStep answer = RFB_MORE;
  size_t used = 0;
  rfb_viewer_start(&out);
  for (size_t at = 0; at < n && answer == RFB_MORE; at += step)
    answer = rfb_viewer_feed(&v, data + at, MIN(step, n - at), &used, &out);
  g_assert(out.n <= 18);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  if (n < 2)
    return 0;
  RfbFilter policy = { .view_only = data[0] & 1, .clipboard = data[0] >> 1 & 3 };
  size_t step = data[1] + 1;
  data += 2, n -= 2;
  RfbFilter cut_f = policy, whole_f = policy, again_f = policy;
  RfbStep cut_step, whole_step, again_step;
  g_autoptr(GByteArray) cut = filter(data, n, step, &cut_f, &cut_step);
  g_autoptr(GByteArray) whole = filter(data, n, n ? n : 1, &whole_f, &whole_step);
  g_assert(cut_step == whole_step && cut_f.refused_type == whole_f.refused_type && cut_f.input_seen == whole_f.input_seen);
  g_assert(same(cut, whole));
  g_assert(!policy.view_only || !whole_f.input_seen);
  g_autoptr(GByteArray) again = filter(whole->data, whole->len, step, &again_f, &again_step);
  g_assert(again_step == RFB_MORE);
  g_assert(again->len + again_f.held_bytes == whole->len && (!again->len || !memcmp(again->data, whole->data, again->len)));
  viewer_run(data, n, step);
  return 0;
}

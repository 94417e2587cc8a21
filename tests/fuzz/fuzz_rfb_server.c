/* What a guest says in RFB's handshake. The first byte: how the stream is cut, and whether there is a password. */
#include <glib.h>
#include <string.h>

#include "drivers/console/rfb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static RfbStep guest_run(const uint8_t *data, size_t n, size_t step, bool password, RfbGuest *g, RfbOut *out)
{
  RfbStep answer = RFB_MORE;
  memset(g, 0, sizeof *g);
  memset(out, 0, sizeof *out);
  if (password)
    strcpy(g->password, "longpass");
  for (size_t at = 0; at < n && answer != RFB_REFUSED; at += step)
    answer = rfb_guest_feed(g, data + at, MIN(step, n - at), out);
  g_assert(answer == RFB_MORE || !*g->password);
  g_assert(g->fault < N_RFB_GUEST_FAULTS && g->reason_bytes <= RFB_REASON_MAX_BYTES && !g->reason[RFB_REASON_MAX_BYTES]);
  return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  if (!n)
    return 0;
  RfbGuest cut, whole;
  RfbOut cut_out, whole_out;
  bool password = data[0] & 0x80;
  RfbStep cut_step = guest_run(data + 1, n - 1, (data[0] & 0x7f) + 1, password, &cut, &cut_out);
  RfbStep whole_step = guest_run(data + 1, n - 1, n, password, &whole, &whole_out);
  g_assert(cut_step == whole_step && cut.fault == whole.fault && !strcmp(cut.reason, whole.reason));
  g_assert(cut_out.n == whole_out.n && !memcmp(cut_out.bytes, whole_out.bytes, cut_out.n));
  return 0;
}

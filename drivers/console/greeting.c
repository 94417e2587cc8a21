#include "drivers/console/greeting.h"

#include <gio/gio.h>

#include "drivers/console/rfb.h"

enum { GREETING_BYTES = 12 };

static bool wait_for(GSocket *s, GIOCondition what, int64_t deadline_us, GError **err)
{
  int64_t left_us = MAX(deadline_us - g_get_monotonic_time(), 1);
  return g_socket_condition_timed_wait(s, what, left_us, NULL, err);
}

static GSocket *connected(const char *address, int port, int64_t deadline_us, GError **err)
{
  g_autoptr(GSocketAddress) where = g_inet_socket_address_new_from_string(address, (guint)port);
  if (!where) {
    g_set_error_literal(err, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "its address is not in numbers");
    return NULL;
  }
  g_autoptr(GSocket) s = g_socket_new(g_socket_address_get_family(where), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, err);
  g_autoptr(GError) why = NULL;
  if (!s)
    return NULL;
  g_socket_set_blocking(s, FALSE);
  if (g_socket_connect(s, where, NULL, &why))
    return g_steal_pointer(&s);
  if (!g_error_matches(why, G_IO_ERROR, G_IO_ERROR_PENDING)) {
    g_propagate_error(err, g_steal_pointer(&why));
    return NULL;
  }
  return wait_for(s, G_IO_OUT, deadline_us, err) && g_socket_check_connect_result(s, err) ? g_steal_pointer(&s) : NULL;
}

static bool greeting_read(GSocket *s, uint8_t *bytes, int64_t deadline_us, GError **err)
{
  for (gsize have = 0; have < GREETING_BYTES;) {
    if (!wait_for(s, G_IO_IN, deadline_us, err))
      return false;
    gssize got = g_socket_receive(s, (char *)bytes + have, GREETING_BYTES - have, NULL, err);
    if (!got)
      g_set_error_literal(err, G_IO_ERROR, G_IO_ERROR_CLOSED, "it hangs up without a word");
    if (got <= 0)
      return false;
    have += (gsize)got;
  }
  return true;
}

bool greeting_heard(const char *address, int port, int64_t deadline_us, char **ret_why)
{
  g_autoptr(GError) err = NULL;
  g_autoptr(GSocket) s = connected(address, port, deadline_us, &err);
  uint8_t bytes[GREETING_BYTES];
  RfbGuest guest = { .password = "" };
  RfbOut out = { .n = 0 };
  if (!s || !greeting_read(s, bytes, deadline_us, &err)) {
    *ret_why = g_strdup(err->message);
    return false;
  }
  if (rfb_guest_feed(&guest, bytes, sizeof bytes, &out) == RFB_MORE)
    return true;
  *ret_why = g_strdup(rfb_guest_fault_texts[guest.fault]);
  return false;
}

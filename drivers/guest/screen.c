/* A VNC server in a guest that is the guest's screen: its password of one connect. */
#include <string.h>

#include "drivers/guest/guest.h"

bool guest_screen_password(const Guest *guest, const char *password, int valid_s, GError **err)
{
  static const char *const argv[] = { "/usr/local/sbin/sarang-screen", NULL };
  char *lines = g_strdup_printf("version=1\npassword=%s\nseconds=%d\nend=1\n", password, valid_s);
  GuestCommand command = { argv, lines, strlen(lines) };
  bool told = guest_exec_ok(guest, &command, err);
  memset(lines, 0, strlen(lines));
  g_free(lines);
  return told;
}

/* Where a console is to be found, as the controller says it when it redeems a ticket, and how the way there begins: one row of
 * `dials` for each "via". A row gives a descriptor on which bytes of the guest come and go; how it gets them is its own
 * matter. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "drivers/console/rfb.h"

typedef struct Dial Dial;
typedef struct ConsoleProtocol ConsoleProtocol;

typedef struct {
  char *relay, *session, *user;
  const ConsoleProtocol *protocol;
  const Dial *dial;
  char *host, *path; /* path: a unix socket; else host, an address in numbers, and port */
  int port;
  char *password; /* "" where there is none */
  bool view_only;
  ClipboardPolicy clipboard;
} Target;

struct Dial {
  const char *via;
  /* Begins to connect: a non-blocking descriptor that becomes writable when the way stands, or -1 with GUEST_UNREACHABLE. */
  int (*begin)(const Target *target, GError **err);
};
extern const Dial dials[];
extern const int n_dials;

struct ConsoleProtocol {
  const char *name;
  bool rfb; /* both handshakes end here and the viewer's messages are looked at; else bytes go through unseen */
};
extern const ConsoleProtocol console_protocols[];
extern const int n_console_protocols;

/* Reads the controller's answer to a redeemed ticket. MISSING_FIELD, BAD_VALUE; CONSOLE_POLICY where rules are asked for that the
 * protocol can't keep. */
bool target_parse_json(json_t *document, Target *ret, GError **err);
/* Frees what it holds; the password is wiped. */
void target_clear(Target *target);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Target, target_clear)

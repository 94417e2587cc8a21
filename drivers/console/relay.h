/* One console: bytes between a person's wire and a guest. What the guest says is moved, not read; what the person's viewer says
 * is unwrapped, looked at for policy and passed on. Neither side is read while the other is full, so a relay that waits costs
 * what the sockets hold. Lives on one loop. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "drivers/console/dial.h"
#include "drivers/console/loop.h"
#include "drivers/console/registry.h"
#include "drivers/console/wire.h"

typedef struct Relay Relay;

/* How consoles end: what the controller is told, and the WebSocket close code; the reason in the close frame is the same text,
 * but for a cut, where it is the controller's own. The page makes sentences of them. */
#define RELAY_ENDS(X) \
  X(END_CLIENT_LEFT, "client-left", 1000) \
  X(END_STOPPING, "gateway-stopping", 1001) \
  X(END_CLIENT_PROTOCOL, "client-protocol", 1002) \
  X(END_CUT, "cut", 4001) \
  X(END_GUEST_UNREACHABLE, "guest-unreachable", 4002) \
  X(END_GUEST_CLOSED, "guest-closed", 4003) \
  X(END_GUEST_REFUSED, "guest-refused", 4004) \
  X(END_RFB_REFUSED, "rfb-refused", 4005)
typedef enum {
#define X(name, wire, code) name,
  RELAY_ENDS(X)
#undef X
  N_RELAY_ENDS
} RelayEnd;

typedef struct {
  Loop *loop;
  Registry *registry;
  Wire *wire;      /* the person's */
  bool websocket;  /* else bare bytes, and ready() first */
  /* The guest took us (error NULL), or did not: GUEST_UNREACHABLE, GUEST_REFUSED. Only without WebSocket. */
  void (*ready)(void *owner, const GError *error);
  /* It is over and the wire is to be closed. Called once, last, perhaps from within relay_run. */
  void (*ended)(void *owner);
  void *owner;
} RelayPeer;

/* Begins with the guest; nothing goes to the wire before relay_run. The target stays the caller's. GATEWAY_FULL,
 * CONSOLES_OF_USER; GUEST_UNREACHABLE at once only without WebSocket. */
Relay *relay_open(const RelayPeer *peer, const Target *target, GError **err);
/* Goes on after events of the wire, and at first. */
void relay_run(Relay *relay);
/* Ends it in order; detail: text for the close frame instead of end's own, or NULL. */
void relay_end(Relay *relay, RelayEnd end, const char *detail);
/* RegistryConfig.cut. */
void relay_cut(void *relay, const char *reason);
/* At once. */
void relay_free(Relay *relay);

/* Options of sarang-gateway; see core/config.h. */
#pragma once

#include "core/config.h"

#define GATEWAY_OPTIONS(X) \
  X(listen, LIST, "gateway", "listen", 1, 8, "0.0.0.0:8443;[::]:8443", "", \
    "addresses of the public port, ADDRESS:PORT each; port 0 is any free one") \
  X(plain, BOOL, "gateway", "plain", 0, 0, "false", "", \
    "plain HTTP, on loopback addresses alone: behind a proxy that speaks TLS, or for measuring") \
  X(origins, LIST, "gateway", "origins", 0, 16, "", "", \
    "names people know us by, as https://HOST[:PORT]; empty: the addresses we listen on, localhost and the host's name") \
  X(static_dir, PATH, "gateway", "static", 1, 4095, NULL, "", "folder of the page's files, read at start and at SIGHUP") \
  X(socket, PATH, "gateway", "socket", 1, 107, "/run/sarang/gateway.sock", "", "sarangd's socket for gateways") \
  X(state_dir, PATH, "gateway", "state-dir", 1, 4000, "/var/lib/sarang-gateway", "", "where a self-signed certificate is kept") \
  X(threads, INT, "gateway", "threads", 0, 64, "0", "", "event loops; 0: one a core, at most 4") \
  X(certificate, PATH, "tls", "certificate", 1, 4095, NULL, "", \
    "PEM file of the certificate and its chain, read at start and at SIGHUP") \
  X(key, PATH, "tls", "key", 1, 4095, NULL, "", "PEM file of its key") \
  X(self_signed, BOOL, "tls", "self-signed", 0, 0, "false", "", \
    "make a certificate in state-dir at first start, to try things out") \
  X(connections, INT, "limits", "connections", 1, 1000000, "10000", "", "of all people") \
  X(connections_per_address, INT, "limits", "connections-per-address", 0, 1000000, "256", "", \
    "of one address, or of one /64 of IPv6; 0: as many as of all") \
  X(relays, INT, "limits", "relays", 1, 1000000, "4000", "", "open consoles") \
  X(relays_per_user, INT, "limits", "relays-per-user", 1, 1000000, "16", "", "open consoles of one user") \
  X(body_kib, INT, "limits", "body", 1, 16384, "1024", "KiB", "of a request") \
  X(bodies_mib, INT, "limits", "bodies", 1, 4096, "64", "MiB", "of all requests under way together") \
  X(handshake_s, INT, "timeouts", "tls-handshake", 1, 60, "5", "s", "for a TLS handshake") \
  X(head_s, INT, "timeouts", "head", 1, 60, "5", "s", "for the head of a request") \
  X(body_s, INT, "timeouts", "body", 1, 600, "30", "s", "for its body") \
  X(keep_alive_s, INT, "timeouts", "keep-alive", 1, 3600, "60", "s", "between requests of one connection") \
  X(progress_s, INT, "timeouts", "progress", 1, 3600, "30", "s", "a reader of an answer may stand still") \
  X(answer_s, INT, "timeouts", "answer", 1, 3600, "60", "s", "for the controller's answer to a request or a ticket") \
  X(call_s, INT, "timeouts", "call", 1, 60, "5", "s", "for its answer to what the gateway tells of consoles") \
  X(dial_s, INT, "timeouts", "dial", 1, 60, "10", "s", "until both ends of a console have shaken hands") \
  X(stop_s, INT, "timeouts", "stop", 0, 3600, "10", "s", "open consoles may go on after SIGTERM") \
  X(level, CHOICE, "log", "level", 0, 0, "info", "error|warning|info|debug", "what is logged") \
  X(access, BOOL, "log", "access", 0, 0, "true", "", "a line for each request")

CONFIG_DECLARE(GatewayConfig, gateway_config, GATEWAY_OPTIONS)

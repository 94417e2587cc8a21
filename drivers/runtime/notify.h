/* What systemd is told of a daemon's life. */
#pragma once

/* sd_notify(3): a datagram to the socket that systemd names; nothing where it names none. Any thread. */
void notify_systemd(const char *state);

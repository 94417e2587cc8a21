/* The guest family: what is asked of the inside of a desktop. Its one driver so far is `agent`, the qemu-guest-agent protocol
 * over hypervisor_agent(); a GuestWire keeps it apart from any hypervisor, so that tests and the fuzzer speak to it as a guest
 * would.
 *
 * Everything a guest says is hostile: answers are taken as strict JSON (no duplicate keys, at most 1 MiB, 64 levels), fields by
 * their type, counts and lengths capped, texts made valid UTF-8 without control characters. A guest can lie; it cannot make us
 * fall.
 *
 * Threads: verbs block, on a lane thread (drivers/runtime/lanes.h, LANE_AGENT), until answered or until the Guest's deadline
 * has passed. Errors, any verb: NO_AGENT, TIMEOUT, AGENT_REFUSED (the agent's own words), GUEST_ANSWER (an answer that cannot
 * be right), and the wire's own. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/names.h"
#include "drivers/hypervisor/hypervisor.h"

enum {
  GUEST_ANSWER_MAX_BYTES = 1 << 20,
  GUEST_OUTPUT_MAX_BYTES = 64 << 10,
  GUEST_INPUT_MAX_BYTES = 256 << 10,
  GUEST_USERS_MAX = 256,
};

/* Carries one command to the guest and its answer back, as hypervisor_agent() does. */
typedef struct {
  bool (*ask)(void *owner, const char *json, int timeout_s, char **ret_json, GError **err);
  void *owner;
} GuestWire;

typedef struct GuestDriver GuestDriver;

/* A guest for the length of some calls: a value, nothing to free. */
typedef struct {
  const GuestDriver *driver;
  GuestWire wire;
  const char *name;     /* for errors; borrowed */
  int64_t deadline_us;  /* monotonic: no verb runs past it */
} Guest;

/* A domain's guest agent, reached through hypervisor. The three must outlive the Guest: where says which domain. */
typedef struct {
  Hypervisor *hypervisor;
  const char *uuid;
} GuestDomain;
Guest guest_of_domain(const GuestDomain *where, const char *name, int64_t timeout_us);
/* Any wire, spoken to by the agent driver. */
Guest guest_of_wire(GuestWire wire, const char *name, int64_t timeout_us);

/* The agent answers. */
bool guest_ping(const Guest *guest, GError **err);

typedef struct {
  char *name;
  char *domain;           /* Windows; else NULL */
  int64_t login_us;       /* wall clock of the guest */
} GuestUser;

/* Who is logged in, by guest-get-users: GuestUser *, freed with the array. TOO_LARGE over GUEST_USERS_MAX. */
bool guest_users(const Guest *guest, GPtrArray **ret_users, GError **err);

typedef struct {
  const char *const *argv;  /* argv[0] is a path; NULL-ended */
  const char *input;        /* to its standard input; may hold anything but NUL; NULL = none */
  size_t input_bytes;       /* at most GUEST_INPUT_MAX_BYTES */
} GuestCommand;

typedef struct {
  int status;       /* exit status, or 128 + signal */
  char *out, *err;  /* at most GUEST_OUTPUT_MAX_BYTES each, made valid UTF-8; never NULL */
  bool cut;         /* there was more */
} GuestResult;

void guest_result_clear(GuestResult *result);

/* Runs a program in the guest, without a shell, and waits for its end. TIMEOUT leaves it running there. */
bool guest_exec(const Guest *guest, const GuestCommand *command, GuestResult *ret_result, GError **err);
/* The same; a status other than 0 is GUEST_COMMAND with the first line of what it said. */
bool guest_exec_ok(const Guest *guest, const GuestCommand *command, GError **err);

typedef struct {
  char *interface;
  char *mac;      /* lower case, or NULL */
  char *address;  /* checked: IPv4 or IPv6 in text form */
  int prefix;
  bool ipv6;
} GuestAddress;

/* Addresses of the guest's interfaces without loopback: GuestAddress *, freed with the array. */
bool guest_addresses(const Guest *guest, GPtrArray **ret_addresses, GError **err);

/* The first max_bytes of a file in the guest; NUL-ended, raw. AGENT_REFUSED where it cannot be opened. */
bool guest_read_file(const Guest *guest, const char *path, size_t max_bytes, char **ret_text, GError **err);

/* ── drivers/guest/personalise.c: stories made of these verbs ───────────── */

/* A person as a desktop must know them. All texts are one line; of the full name guest_full_name() is what is told. */
typedef struct {
  const char *name;             /* login: [a-z_][a-z0-9_-]{0,31} */
  const char *gecos;            /* full name; NULL = none */
  const char *password_hash;    /* crypt(3); NULL = no login by password */
  const char *const *ssh_keys;  /* lines of authorized_keys, NULL-ended; NULL = none */
  const char *locale;           /* such as ko_KR.UTF-8; NULL = the template's */
} GuestPerson;

/* title as the field of passwd(5) and a guest's check of it can hold it: ":" and "," become spaces, runs of spaces one, what hides is
 * left out, what is no UTF-8 is U+FFFD, and it is cut at 128 bytes between characters. A name is decoration, so nothing is refused. NULL where nothing
 * is left; idempotent; owned by the caller. */
char *guest_full_name(const char *title);

/* Makes the guest the person's own. Where the template has /usr/local/sbin/sarang-personalise that program does it: started
 * without arguments, it reads from its standard input lines of NAME=VALUE, in this order, and must exit with 0:
 *   version=1 · name=jihye · gecos=Kim Jihye · password=$6$… · ssh_key=ssh-ed25519 … (one a key) · locale=ko_KR.UTF-8 · end=1
 * absent values have no line; `end` says that the list is whole. Else useradd or usermod, chpasswd -e and, as the person (su),
 * ~/.ssh/authorized_keys by exec (Linux). Idempotent. BAD_VALUE for a person that does not fit, GUEST_COMMAND. */
bool guest_personalise(const Guest *guest, const GuestPerson *person, GError **err);

/* Tells the guest the password of the next connect to the VNC server that is its screen: /usr/local/sbin/sarang-screen, started without arguments,
 * reads from its standard input version=1 · password=… (8 letters and digits) · seconds=… (how long it is good) · end=1, sets it, and exits with 0.
 * So a server that takes it is this guest's, whatever address was named. GUEST_COMMAND, AGENT_REFUSED (there is no such program). */
bool guest_screen_password(const Guest *guest, const char *password, int valid_s, GError **err);

/* Proves that no person is in the guest: the agent answers, reports nobody but autologin (NULL = nobody at all), and
 * /etc/passwd, where there is one, names no account from uid 1000 on but autologin. *ret_evidence: what was seen, as JSON, at
 * most 8 KiB. GUEST_NOT_CLEAN names who. */
bool guest_prove_no_one(const Guest *guest, const char *autologin, char **ret_evidence, GError **err);

/* ── drivers ────────────────────────────────────────────────────────────── */

/* NULL slots are answered UNSUPPORTED by guest.c, in one place. */
struct GuestDriver {
  const char *name;
  bool (*ping)(const Guest *guest, GError **err);
  bool (*users)(const Guest *guest, GPtrArray **ret_users, GError **err);
  bool (*exec)(const Guest *guest, const GuestCommand *command, GuestResult *ret_result, GError **err);
  bool (*addresses)(const Guest *guest, GPtrArray **ret_addresses, GError **err);
  bool (*read_file)(const Guest *guest, const char *path, size_t max_bytes, char **ret_text, GError **err);
};

extern const GuestDriver guest_agent;

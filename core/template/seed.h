/* The NoCloud seed of a desktop: a small disk labelled CIDATA from which cloud-init, cloudbase-init or the reader of our own
 * guest takes who the machine is and whose. Every text is a double-quoted YAML string written by libyaml: nothing in it can
 * become a key.
 *
 * Guests may read a strict subset of YAML, so no other keys and shapes are written than these:
 *   meta-data       instance-id, local-hostname
 *   user-data       "#cloud-config", then hostname, locale, timezone, users: a list of one map of name, gecos, lock_passwd,
 *                   hashed_passwd, ssh_authorized_keys (a list)
 *   network-config  version 2, one interface found by its MAC: dhcp4, or addresses, gateway4, nameservers
 * each key on a line of its own, in block style. Pure; any thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "drivers/guest/guest.h"

#define SEED_LABEL "CIDATA"

typedef struct {
  const char *mac;
  const char *address;            /* "10.0.0.5/24"; NULL = by DHCP, and the next two are left out */
  const char *gateway;            /* NULL = none */
  const char *const *nameservers; /* NULL-ended; NULL = none */
} SeedNetwork;

/* NULL leaves a key out, but instance_id and hostname must be there. What is in the texts is not judged here, only that it is
 * UTF-8. */
typedef struct {
  const char *instance_id;        /* the guest applies a seed once for each: "d-17.g4" */
  const char *hostname;
  const char *locale, *timezone;  /* the person's own locale goes first */
  const GuestPerson *person;      /* whose account is to be there; NULL = nobody's */
  const SeedNetwork *network;     /* NULL = the guest's own way */
} Seed;

typedef struct {
  char *meta_data, *user_data;
  char *network_config;           /* NULL = none */
} SeedFiles;

void seed_files_clear(SeedFiles *files);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SeedFiles, seed_files_clear)

/* The files' text; *ret_files is written only on success (seed_files_clear). Errors: MISSING_FIELD, TEXT_NOT_UTF8. */
bool seed_files(const Seed *seed, SeedFiles *ret_files, GError **err);

/* The disk, raw, of whole sectors, for a volume of format raw. Owned by the caller. Errors: those of seed_files(), TOO_LARGE. */
bool seed_image(const Seed *seed, GBytes **ret_image, GError **err);

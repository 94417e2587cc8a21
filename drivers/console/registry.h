/* The consoles that are open in all loops, and what the controller has not been told of them yet. Nothing is forgotten while the
 * controller is away: there are no new consoles without it, so what is kept is bounded by those that were open. Every function
 * may be called from any thread. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/console/loop.h"

typedef struct Registry Registry;
typedef struct RegistryEntry RegistryEntry;

typedef struct {
  int64_t relays, relays_per_user;
  void (*changed)(void *owner); /* something is to be told; from any thread, with no lock held */
  void (*cut)(void *relay, const char *reason); /* from the relay's loop */
  void *owner;
} RegistryConfig;

Registry *registry_new(const RegistryConfig *config);
/* All relays must be closed. */
void registry_free(Registry *registry);

/* Could one more be opened at all? GATEWAY_FULL. */
bool registry_has_room(Registry *registry, GError **err);
/* Notes an open console. relay is what cut() is called with, on loop's thread, until registry_close. GATEWAY_FULL,
 * CONSOLES_OF_USER, EXISTS. */
RegistryEntry *registry_open(Registry *registry, const char *id, const char *user, Loop *loop, void *relay, GError **err);
/* A person's input went to the guest: nearly free, to be called for every piece of it. */
void registry_input(Registry *registry, RegistryEntry *entry);
/* The console is over; entry is gone. From the relay's loop. reason must be static. */
void registry_close(Registry *registry, RegistryEntry *entry, const char *reason, int64_t in_bytes, int64_t out_bytes);
/* The controller gave a relay that never came to be. */
void registry_note_end(Registry *registry, const char *id, const char *reason);
const char *registry_entry_id(const RegistryEntry *entry);
int registry_count(Registry *registry);

/* What is to be told, as the body of POST /gateway/v1/sync without its "gateway". One at a time: then registry_told. */
json_t *registry_report(Registry *registry, bool full);
/* The report reached the controller, or not: then it is all told again. */
void registry_told(Registry *registry, bool reached);
bool registry_has_news(Registry *registry);

/* Has the relay cut on its loop; an unknown id is nothing. */
void registry_cut(Registry *registry, const char *id, const char *reason);

/* The two directories of the controller that callers over the network may name files in: images are imported out of one, backups written into the
 * other. Asked once at start; what lies in them is nobody's business here. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "core/ground.h"

typedef struct {
  char *imports, *backups;  /* absolute, without a link on the way */
} Places;

void places_clear(Places *places);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Places, places_clear)

/* Makes both, readable by us alone, where they are missing; NULL stands for "imports" and "backups" in state, which must be there. *ret is to be cleared
 * by the caller. BAD_CONFIG where one is or holds the state directory, or lies in the other (what was backed up could be imported, and read), or
 * where somebody but us and root may write to that of backups, or put another in its place; IO. */
bool places_prepare(const char *state, const char *imports, const char *backups, Places *ret, GError **err);

/* Where callers over the network may have storages: in directories (absolute, NULL-ended), apart from state and places. Cleared by the caller.
 * BAD_CONFIG for a path that is not absolute; IO. */
bool places_ground(const Places *places, const char *state, char *const *directories, StorageGround *ret, GError **err);

/* Licences as the model counts them: "cad=2", and who holds how much of each. Seats are an index of core/state.h: what is held is what the sessions
 * say that hold a desktop, so no number of it can be wrong. Pure; one owner. */
#pragma once

#include "core/model.h"
#include "core/text.h"

enum { LICENCE_SEATS_MOST = 1000000 };

/* So many seats of a licence. */
typedef struct {
  char name[NAME_MAX_BYTES + 1];
  int64_t n;
} LicenceNeed;

/* Of "cad=2", or "cad" for one; false where text is neither. */
bool licence_need_read(const char *text, LicenceNeed *ret);
/* Of a list as pools and sessions have it (NULL: empty), what cannot be read left out; how many. */
int licence_needs(char *const *list, LicenceNeed ret[LICENCES_MOST]);
/* What list wants of that licence; 0 = it does not name it. */
int64_t licence_wanted(char *const *list, const char *licence);

typedef struct Seats Seats;
Seats *seats_new(void);
void seats_free(Seats *seats);
/* A session, pool or licence comes (in) or goes, as the object is: names are borrowed in between. */
void seats_change(Seats *seats, const Object *object, bool in);

int64_t seats_held(const Seats *seats, const char *licence);
/* Names of the sessions that hold some of it, and of the pools that want any licence, by name: the array owns them. */
GPtrArray *seats_sessions(const Seats *seats, const char *licence);
GPtrArray *seats_pools(const Seats *seats);
/* Whether anything of it changed since this was asked last. */
bool seats_take_touched(Seats *seats);

/* Which objects of a noun a list holds: those the caller may see and its FIELD=value arguments name. Internal to drivers/http. */
#pragma once

#include "drivers/http/exchange.h"

enum { SELECT_LIMIT = 100, SELECT_LIMIT_MAX = 1000, SELECT_FIELDS_MAX = 8 };

typedef struct {
  const Field *field;
  const char *text;  /* borrowed from the arguments */
  int64_t number;    /* of integers, booleans and enums */
} SelectField;

typedef struct {
  Server *server;
  const Caller *caller;
  Noun noun;
  bool staff;
  unsigned hidden;
  int64_t limit;
  const char *after;  /* what follows the object of this name, in the order of the list; NULL = from the first */
  int n_fields;
  SelectField fields[SELECT_FIELDS_MAX];
} Select;

/* From x's arguments: limit, after, and fields of its noun that the caller may see. UNKNOWN_FIELD, BAD_VALUE. */
bool select_init(Select *select, Exchange *x, GError **err);

/* True where every object is taken. */
bool select_takes_all(const Select *select);
/* A PublishedFilter; select: Select. */
bool select_takes(const Object *object, void *select);

/* Appends {"items":[…],"next":…,"sequence":…} with the first limit objects; next: the last one's name where there are more, else reached: the
 * object up to which was looked, NULL where that is all. */
void select_append(const Select *select, const GPtrArray *objects, const char *reached, int64_t sequence, GString *out);

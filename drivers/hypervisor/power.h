/* What a power verb means in each state, as one table for every driver: at once done, to be acted on, or refused. */
#pragma once

#include "drivers/hypervisor/hypervisor.h"

typedef struct {
  const char *what;    /* for errors: "cannot {what} d-17" */
  unsigned done;       /* bits 1 << DOMAIN_…: the end state is there already */
  unsigned act;        /* the driver does something */
  int needs;           /* a Capability, or -1 */
} PowerRule;

extern const PowerRule power_rules[N_DOMAIN_VERBS];

/* How a verb goes on in a state. A crashed domain that the host no longer holds counts as OFF: the caller says so. */
typedef enum { POWER_DONE, POWER_ACT, POWER_REFUSED } PowerNext;

/* REFUSED sets err: DOMAIN_STATE or NO_SAVED_STATE. */
PowerNext power_next(DomainVerb verb, DomainState state, const char *domain, GError **err);

/* Which gateways were heard of, for those who look at the controller's state. Internal to drivers/http. */
#pragma once

#include "drivers/http/exchange.h"

/* Notes that x's request is of a gateway that tells of its relays. Any thread. */
void gateways_heard(Exchange *x);
/* Appends ,"gateways":[{"name":…,"heard_s":…,"consoles":…}], by name; one that was silent for an hour is forgotten. Any thread. */
void gateways_append(Server *server, Published *published, GString *out);

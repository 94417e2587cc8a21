/* What the store keeps of the past, read on threads of their own. Internal to drivers/http. */
#pragma once

#include "drivers/http/exchange.h"

/* The object that x's path names, when it is no longer among the living: NOT_FOUND where its noun has no past or it never was. */
bool history_find(Exchange *x, GError **err);

/* Closes the readers that idle. */
void history_close(Server *server);

/* What serves the verbs: by how a row is served, and for the rows that the server serves itself. Internal to drivers/http. */
#pragma once

#include "drivers/http/exchange.h"

bool list_run(Exchange *x, GError **err);
bool get_run(Exchange *x, GError **err);
bool history_run(Exchange *x, GError **err);
bool change_run(Exchange *x, GError **err);

bool login_run(Exchange *x, GError **err);
bool logout_run(Exchange *x, GError **err);
bool me_run(Exchange *x, GError **err);
bool watch_run(Exchange *x, GError **err);
bool status_run(Exchange *x, GError **err);
bool metrics_run(Exchange *x, GError **err);
bool openapi_run(Exchange *x, GError **err);
bool backup_run(Exchange *x, GError **err);

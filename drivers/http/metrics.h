/* Numbers for whoever draws curves and raises alarms. Internal to drivers/http. */
#pragma once

#include "drivers/http/exchange.h"

/* What is published, as OpenMetrics 1.0 text: the store, hosts, storages, pools, sessions, tasks, each card and each part of it. Names of desktops are
 * labels only where a part of a card is theirs, so what is told grows with the machines and pools, not with the people. Any thread. */
GString *metrics_text(Server *server);

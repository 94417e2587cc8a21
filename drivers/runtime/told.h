/* What an operator finds in the log: the events of a batch, and its failed tasks, a line each. */
#pragma once

#include "core/log.h"
#include "core/model.h"

/* How much an event of that kind matters to an operator. */
LogLevel told_level(const char *kind);
/* Logs what batch tells; call it once, when the batch is durable. Any thread. */
void told_log(const Batch *batch);

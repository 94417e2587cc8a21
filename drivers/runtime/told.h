/* What an operator finds in the log: the events of a batch, its failed tasks, and what is too frequent to be an event, a line each. */
#pragma once

#include "core/error.h"
#include "core/log.h"
#include "core/model.h"

/* How much an event of that kind matters to an operator. */
LogLevel told_level(const char *kind);
/* Logs what batch tells; call it once, when the batch is durable. Any thread. */
void told_log(const Batch *batch);
/* Logs why a person was refused, where that is no event. Any thread. */
void told_notice(const GError *refusal);

/* Structured log lines: a topic, one sentence, and fields (task, request, desktop, host …). They go to journald where there is one,
 * else to stderr with a priority prefix. Not events: an event is kept, numbered, and for people and programs. */
#pragma once

#include <glib.h>

typedef enum { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG } LogLevel;

/* Lines above level are dropped. Call once, before threads start. Default: LOG_INFO. */
void log_set_level(LogLevel level);

/* Writes one line. fields: pairs of name, value, ended by NULL; a NULL value leaves the pair out. Values are escaped: a line stays a line.
 * Any thread. At most 200 lines a second a topic are written; how many were left out is said afterwards. */
void log_write(LogLevel level, const char *topic, const char *sentence, ...) G_GNUC_NULL_TERMINATED;

#define log_error(topic, ...) log_write(LOG_ERROR, topic, __VA_ARGS__, NULL)
#define log_warning(topic, ...) log_write(LOG_WARNING, topic, __VA_ARGS__, NULL)
#define log_info(topic, ...) log_write(LOG_INFO, topic, __VA_ARGS__, NULL)
#define log_debug(topic, ...) log_write(LOG_DEBUG, topic, __VA_ARGS__, NULL)

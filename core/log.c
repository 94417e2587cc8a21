#include "core/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { LINES_A_SECOND = 200, TOPICS = 32 };

static LogLevel max_level = LOG_INFO;
static GMutex lock;
static struct { const char *topic; gint64 second; unsigned lines, dropped; } rates[TOPICS];

void log_set_level(LogLevel level)
{
  max_level = level;
}

/* true ⇔ the line may be written; *ret_dropped: lines left out since the last one written. Called with the lock held. */
static bool rate_admit(const char *topic, unsigned *ret_dropped)
{
  gint64 second = g_get_monotonic_time() / G_USEC_PER_SEC;
  *ret_dropped = 0;
  for (int i = 0; i < TOPICS; i++) {
    if (rates[i].topic && strcmp(rates[i].topic, topic))
      continue;
    rates[i].topic = topic;
    if (rates[i].second == second && rates[i].lines >= LINES_A_SECOND) {
      rates[i].dropped++;
      return false;
    }
    if (rates[i].second != second) {
      *ret_dropped = rates[i].dropped;
      rates[i].second = second;
      rates[i].lines = rates[i].dropped = 0;
    }
    rates[i].lines++;
    return true;
  }
  return true;
}

static void append_value(GString *line, const char *value)
{
  for (; *value; value++) {
    unsigned char c = *value;
    if (c == '"' || c == '\\')
      g_string_append_printf(line, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
      g_string_append_printf(line, "\\x%02x", c);
    else
      g_string_append_c(line, c);
  }
}

void log_write(LogLevel level, const char *topic, const char *sentence, ...)
{
  static const int priority[] = { 3, 4, 6, 7 };
  if (level > max_level)
    return;
  g_autoptr(GString) line = g_string_new(NULL);
  g_string_printf(line, "<%d>%s: ", priority[level], topic);
  append_value(line, sentence);
  va_list args;
  va_start(args, sentence);
  for (const char *name; (name = va_arg(args, const char *));) {
    const char *value = va_arg(args, const char *);
    if (!value)
      continue;
    g_string_append_printf(line, " %s=\"", name);
    append_value(line, value);
    g_string_append_c(line, '"');
  }
  va_end(args);
  g_mutex_lock(&lock);
  unsigned dropped;
  if (rate_admit(topic, &dropped)) {
    if (dropped)
      fprintf(stderr, "<4>%s: %u lines were left out\n", topic, dropped);
    fprintf(stderr, "%s\n", line->str);
  }
  g_mutex_unlock(&lock);
}

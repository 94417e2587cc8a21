/* What states mean to people. */
#pragma once

#include "cli/command.h"

typedef struct {
  Noun noun;
  const char *state, *means[2], *next[2], *fix[2]; /* by Lang */
} StateText;

/* Ended by a row of N_NOUNS. */
extern const StateText state_texts[];
/* NULL where there is none. */
const StateText *state_text_find(Noun noun, const char *state);
bool state_text_find_any(Noun noun);
/* "2 min 3 s"; owned by the caller. */
char *duration_text(int64_t seconds, Lang lang);
/* The error that stands on an object, as it was made; owned by the caller. NULL where there is none. */
GError *error_of_object(json_t *object);
/* What is known of an object, as JSON: kind, name, state, since, means, why, next, fixes; texts in lang. Owned by the caller. */
json_t *explain_summary(Noun noun, json_t *object, Lang lang);
/* How long ago an RFC 3339 time was, such as "2 min 3 s"; owned by the caller. */
char *age_of(const char *time, Lang lang);
/* Appends "3 available", or "사용 가능 3", to a line of such counts. */
void append_count(GString *line, json_int_t n, const char *what, Lang lang);
/* A state of a kind of object, as people read it. Borrowed. */
const char *state_said(const char *kind, const char *state, Lang lang);

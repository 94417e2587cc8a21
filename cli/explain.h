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

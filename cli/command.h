/* A command as typed: what every command understands, and the arguments of its verb. cli/sarang.c reads it, one file a family of verbs runs it. */
#pragma once

#include "cli/client.h"
#include "cli/output.h"

typedef struct {
  Place place;
  OutputForm form;
  bool no_headers, help, quiet, wait, watch;
  int64_t wait_s;        /* at most; 0 = as long as it takes */
  ApiVerb verb;          /* N_API_VERBS for a command that is not the API's */
  GPtrArray *words;      /* of char *: what stands behind noun and verb, flags taken out */
  GPtrArray *flags;      /* of char *: name, value, name, value …; the value of a flag without one is NULL */
} Command;

/* A flag's value, borrowed; NULL where it was not given. */
const char *command_flag(const Command *command, const char *name);

/* A command that is no row of the API's table. */
typedef bool (*CommandFn)(Command *command, GError **err);
typedef struct {
  const char *noun, *verb;  /* verb NULL: the noun is the whole command */
  CommandFn run;
  const char *arguments, *help;
} ExtraCommand;
/* Ended by a row of NULLs. */
extern const ExtraCommand extra_commands[];

/* Runs a row of the API's table: makes the request of words and flags, asks, waits where that was asked for, prints. */
bool command_run_api(Command *command, GError **err);
/* Asks again until the object needs no more waiting for; *json is replaced by the object as it is then. WAIT_FAILED when it came to a bad end, STILL_GOING when the
 * time is over. */
bool command_wait(Command *command, Noun noun, json_t **json, GError **err);

bool command_template_check(Command *command, GError **err);
bool command_connect(Command *command, GError **err);
bool command_login(Command *command, GError **err);
bool command_backup(Command *command, GError **err);
bool command_restore(Command *command, GError **err);

/* Help: of everything, of a noun, of a verb (N_API_VERBS: of the noun). To standard output. */
void help_print(void);
void help_print_noun(const char *noun);
void help_print_verb(ApiVerb verb);

/* A command as typed: what every command understands, and the words and flags of its own. cli/read.c makes one of argv, cli/dispatch.c finds
 * its row, one file a family of commands runs it. */
#pragma once

#include "cli/client.h"
#include "cli/output.h"
#include "core/nearest.h"

typedef struct {
  Place place;
  OutputForm form;
  OutputColor color;
  char **columns;        /* NULL = those of the form */
  bool no_headers, help, quiet, wait, watch, dry_run, version, context_given;
  int64_t wait_s;        /* at most; 0 = as long as it takes */
  int status;            /* exit status of a command that did not fail: 1 where diff found something */
  ApiVerb verb;          /* N_API_VERBS for a command that is not the API's */
  GPtrArray *words;      /* of char *: what stands behind noun and verb, flags taken out */
  GPtrArray *flags;      /* of char *: name, value, name, value …; the value of a flag without one is NULL */
} Command;

void command_clear(Command *command);

/* A flag's value, borrowed; NULL where it was not given, "" for one without a value. */
const char *command_flag(const Command *command, const char *name);

/* ── what there is: tables ────────────────────────────────────────────────── */

/* A flag of one command. value: the word that stands for what it takes; NULL = it stands alone. choices: NULL = anything. */
typedef struct {
  const char *name, *value, *help;
  const EnumNames *choices;
  const Field *field;    /* the field it sets or filters by, or NULL */
  bool needed;
} CommandFlag;

typedef bool (*CommandFn)(Command *command, GError **err);

enum { EXTRA_FLAGS = 11 };

/* A command that is no row of the API's table. */
typedef struct {
  const char *noun, *verb;  /* verb NULL: the noun is the whole command */
  CommandFn run;
  bool here;                /* it needs no server */
  int least, most;          /* words it takes; most -1 = any number */
  const char *arguments, *help;
  CommandFlag flags[EXTRA_FLAGS];  /* ended by a NULL name */
} ExtraCommand;
/* Ended by a row of NULLs. */
extern const ExtraCommand extra_commands[];
/* The row that begins with these words; verb may be NULL. NULL where there is none. */
const ExtraCommand *extra_find(const char *noun, const char *verb);

/* A flag that every command knows. */
typedef enum { TAKES_NOTHING, TAKES_VALUE, TAKES_MAYBE } Takes;
typedef struct {
  const char *name, *brief; /* "--output", "-o" or NULL */
  Takes takes;
  bool (*set)(Command *command, const char *value, GError **err);
  const char *value, *help;
  const EnumNames *choices;
} GlobalFlag;
/* Ended by a row of NULLs. */
extern const GlobalFlag global_flags[];

/* Whether the command line shows a verb: what gateways say, and what has a command of its own, it does not. */
bool verb_is_shown(ApiVerb verb);
/* API_… of the words as typed, aliases such as "ls" understood; N_API_VERBS where there is none. */
ApiVerb verb_find(const char *noun, const char *verb);
/* Whether the first word behind the verb is the object's name. */
bool verb_takes_name(ApiVerb verb);
/* The words that stand in place of flags, in their order, ended by NULL; borrowed. */
const char *const *verb_positions(ApiVerb verb);
/* Whether a name belongs to the verb's arguments. */
bool verb_has_argument(ApiVerb verb, const char *name);
/* Flags of a verb: its arguments and the fields it sets, or a list can be narrowed by. Of CommandFlag; owned by the caller. */
GArray *verb_flags(ApiVerb verb);
/* The flag of that name, or NULL. The flag is overwritten by the next call in this thread. */
const CommandFlag *verb_flag(ApiVerb verb, const char *name);
/* "sarang pool create NAME": how a verb is typed; owned by the caller. */
char *verb_usage(ApiVerb verb);

/* Reads argv into command, whose arrays exist. UNKNOWN_FLAG, NEAR_FLAG, MISSING_VALUE, BAD_VALUE, SECRET_TYPED. */
bool command_read(Command *command, char **argv, GError **err);
/* Whether a flag or field of that name is a password, which is read from the terminal or standard input. */
bool flag_is_secret(const char *name);
/* A password: of the terminal, which shows prompt and not what is typed, or the first line of standard input. NULL: there was none. Owned by the
 * caller, who overwrites it. */
char *secret_read(const char *prompt);
/* SECRET_TYPED; flag: as typed, "--password". */
bool refuse_typed_secret(const char *flag, GError **err);
/* Finds the row and runs it. */
bool command_dispatch(Command *command, GError **err);

/* ── families of commands ─────────────────────────────────────────────────── */

/* Runs a row of the API's table: makes the request of words and flags, asks, waits where that was asked for, prints. */
bool command_run_api(Command *command, GError **err);
/* A value as a field's type wants it; what does not fit goes as text, and whoever checks it says what is wrong. */
json_t *typed_value(const Field *field, const char *text);
/* Every page of a list, as one array; filters may be changed. *ret_sequence, if not NULL: as of when. */
bool command_ask_list(Command *command, ApiVerb verb, json_t *filters, json_t **ret_list, int64_t *ret_sequence, GError **err);

/* Asks again until the object needs no more waiting for; *json is replaced by the object as it is then. WAIT_FAILED when it came to a bad end,
 * STILL_GOING when the time is over, DETACHED when the person pressed Ctrl-C: what was begun goes on. */
bool command_wait(Command *command, Noun noun, json_t **json, GError **err);
/* Prints changes of a noun's objects (name NULL: of all that filters let through) as they come, until Ctrl-C or the object's end. */
bool command_watch(Command *command, Noun noun, const char *name, json_t *filters, GError **err);
/* Returns when an object of nouns, "gpu,vgpu", has changed behind that sequence, or the person wants to go. STREAM_ENDED. */
bool command_await_change(Command *command, const char *nouns, int64_t after, GError **err);

/* Adds "trouble" to the controller's state: objects in states that ask for somebody, a few of each, told as explain tells them. */
void status_add_troubles(Command *command, json_t *status, Lang lang);
/* Prints that state for people. */
void status_print(json_t *status, Lang lang);

bool command_template_check(Command *command, GError **err);
/* Looks at the template of a request before it is sent; says on standard error where its name is not the family's. TEMPLATE_FINDINGS. */
bool template_add_check(const Command *command, json_t *body, GError **err);
/* sarang plan replay without lists: what the controller recorded, or a CSV of demand, on the fleet there is and as it would be. */
bool replay_recorded(Command *command, GError **err);
bool plan_read_text(const char *path, char **ret, GError **err);
/* A file is replaced as a whole, and a new one has that mode; a device, a pipe or a link is written into, or root would lose /dev/null by naming it. IO. */
bool text_write(const char *path, const char *text, int mode, GError **err);
/* A flag's whole number from 0 to most. */
bool plan_number_flag(const char *flag, const char *text, int64_t most, int64_t *ret, GError **err);
/* sarang plan; and its text of an answer, which explain prints as well. */
bool command_plan(Command *command, GError **err);
void plan_print(json_t *plan, Lang lang);
bool command_plan_replay(Command *command, GError **err);
bool command_plan_rebalance(Command *command, GError **err);
bool command_gpu_tree(Command *command, GError **err);
bool command_gpu_watch(Command *command, GError **err);
bool command_gpu_classes(Command *command, GError **err);
bool command_gpu_release(Command *command, GError **err);
bool command_connect(Command *command, GError **err);
bool command_login(Command *command, GError **err);
bool command_logout(Command *command, GError **err);
bool command_backup(Command *command, GError **err);
bool command_restore(Command *command, GError **err);
bool command_explain(Command *command, GError **err);
bool command_apply(Command *command, GError **err);
bool command_diff(Command *command, GError **err);
bool command_export(Command *command, GError **err);
bool command_context_list(Command *command, GError **err);
bool command_context_use(Command *command, GError **err);
bool command_context_remove(Command *command, GError **err);
bool command_completion(Command *command, GError **err);
bool command_complete(Command *command, GError **err);
bool command_help(Command *command, GError **err);
bool command_version(Command *command, GError **err);

/* ── words ────────────────────────────────────────────────────────────────── */

/* Help text in lang; English where there is no Korean. Borrowed. */
const char *say(Lang lang, const char *english) G_GNUC_FORMAT(2);
/* The Korean of a help text, or NULL where it has none. Borrowed. */
const char *korean_find(const char *english);
/* How many columns of a terminal text takes, wide characters counting two. */
int text_columns(const char *text);
/* Prints text and pads it to a width of columns, wide characters counting two. */
void print_padded(const char *text, int columns);

/* Help: of everything, of a noun, of a verb, of a command that is no verb. To standard output. */
void help_print(Lang lang);
void help_print_noun(const char *noun, Lang lang);
void help_print_verb(ApiVerb verb, Lang lang);
void help_print_extra(const ExtraCommand *extra, Lang lang);

/* Says an error to a person, with its next step; the exit status. */
int report(Command *command, const GError *err);

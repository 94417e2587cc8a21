/* What the command line knows: commands that are no rows of the API's table, and each row's words and flags. Parser, help, completion and
 * manual pages read these. */
#include <string.h>

#include "cli/command.h"

#define FILE_FLAGS { "file", "FILE", "YAML to read, - for standard input; may be given again", .needed = true }
#define STATE_FLAG { "state", "DIR", "the state directory of sarangd (default /var/lib/sarang)" }

const ExtraCommand extra_commands[] = {
  { "connect", NULL, command_connect, false, 1, 1, "SESSION",
    "Open a console on a port of this machine; each viewer that comes gets a ticket of its own",
    { { "port", "N", "local port (default: a free one)" }, { "vv", "FILE", "write what remote-viewer opens, and deletes once read" },
      { "viewer", NULL, "open remote-viewer here, and end when it does" } } },
  { "explain", NULL, command_explain, false, 1, 2, "KIND NAME | KIND[.FIELD]",
    "Say where an object is in its life, since when, why, what happens next and what would help" },
  { "apply", NULL, command_apply, false, 0, 0, "-f FILE…",
    "Make hosts, storages, templates, pools and users be as YAML files say; what they do not name stays",
    { FILE_FLAGS } },
  { "diff", NULL, command_diff, false, 0, 0, "-f FILE…", "Say what apply would change: status 0 for nothing, 1 for something", { FILE_FLAGS } },
  { "export", NULL, command_export, false, 0, -1, "[NOUN…]", "Print what there is as YAML that apply takes" },
  { "template", "check", command_template_check, true, 1, -1, "FILE…", "Check template files here, without a daemon",
    { { "waive", "A,B,…", "policy rules to leave out" }, { "storage", "DIR,…", "directories of storages, where disks may lie" } } },
  { "plan", "replay", command_plan_replay, true, 0, 2, "[HOSTS.csv DEMANDS.csv]",
    "Play recorded demand on more or fewer hosts, here: who is denied, who waits how long, how much of the cards is used",
    { { "from", "DATE", "demand asked for from then on" }, { "to", "DATE", "demand asked for before then" },
      { "csv", "FILE", "demand of this list in place of what was recorded: columns as demand list -o csv prints them" },
      { "add_hosts", "FILE", "as if there were these hosts too: lines of NAME,LIKE or NAME,LIKE,CARDS; LIKE is a host there is" },
      { "without_host", "HOST", "as if that host took nothing" },
      { "hosts", "A,B,…", "of lists: percentages of the hosts, such as 100,150; 100 by default" },
      { "licences", "A=N,…", "as if there were so many seats of these licences" },
      { "patience", "SECONDS", "everybody waits so long and no longer; else each as recorded, and those of lists an hour" },
      { "svg", "FILE", "draw use, people in line, and what each host and card was used" } } },
  { "plan", "rebalance", command_plan_rebalance, false, 0, 0, "[--host HOST | --pool POOL | --profile TYPE] [--apply]",
    "Say which desktops live migration would have to move so that a host is free, or one more desktop or part of a card has a place; --apply does it",
    { { "host", "HOST", "the host to be free; without a flag the one with the fewest moves" },
      { "pool", "POOL", "the pool of which one more desktop shall have a place" },
      { "profile", "TYPE", "the part of a card that shall have a place, with --pool as what its desktop gets" },
      { "apply", NULL, "begin those moves" } } },
  { "plan", NULL, command_plan, false, 0, 0, "--pool POOL",
    "Say where more desktops of a pool would go, what stops them on each host, and the nearest ways out; nothing is done",
    { { "pool", "POOL", "whose desktops", .needed = true }, { "count", "N", "how many more; 1 by default" },
      { "add_hosts", "FILE", "as if there were these hosts too: lines of NAME,LIKE or NAME,LIKE,CARDS; LIKE is a host there is" },
      { "without_host", "HOST", "as if that host took nothing" }, { "profile", "TYPE", "as if they got parts of that type" } } },
  { "gpu", "tree", command_gpu_tree, false, 0, 0, "", "Show each host's graphics cards, their parts and who has them" },
  { "gpu", "watch", command_gpu_watch, false, 0, 0, "", "Show that tree again whenever something in it changes, until Ctrl-C" },
  { "gpu", "classes", command_gpu_classes, false, 0, 0, "",
    "List GPU classes: what they accept, how many more each could be given now on which cards, how many are claimed" },
  { "gpu", "release", command_gpu_release, false, 1, 2, "CLAIM | CARD [PART]",
    "Free a claim, named by itself or by its part of a card as gpu tree shows it, where vgpu release would",
    { { "clone", "N", "the generation it is for; as it is now by default" },
      { "force", NULL, "also what it would refuse: those that people hold, or what is not proven clean" } } },
  { "login", NULL, command_login, true, 2, 2, "https://HOST USER", "Log in to a gateway; the password is read from the terminal or standard input" },
  { "logout", NULL, command_logout, false, 0, 0, "", "Revoke this login's token and forget it" },
  { "context", "list", command_context_list, true, 0, 0, "", "List the places that login has kept" },
  { "context", "use", command_context_use, true, 1, 1, "NAME", "Talk to another of these places from now on" },
  { "context", "remove", command_context_remove, true, 1, 1, "NAME", "Forget one of them; its token is not revoked" },
  { "backup", NULL, command_backup, false, 1, 1, "FILE", "Write a consistent copy of the store to a new file on the controller" },
  { "restore", NULL, command_restore, true, 1, 1, "FILE", "Put a backup in place of the store; sarangd must not run",
    { STATE_FLAG, { "revoke_tokens", NULL, "end every login and token that the backup holds" } } },
  { "completion", NULL, command_completion, true, 1, 1, "bash|zsh", "Print what makes a shell complete commands: source <(sarang completion bash)" },
  { "help", NULL, command_help, true, 0, 2, "[NOUN [VERB]]", "Say what there is" },
  { "version", NULL, command_version, true, 0, 0, "", "Print the version" },
  { "__complete", NULL, command_complete, true, 0, -1, NULL, NULL },
  { NULL },
};

const ExtraCommand *extra_find(const char *noun, const char *verb)
{
  for (const ExtraCommand *e = extra_commands; e->noun; e++)
    if (!strcmp(e->noun, noun) && (!e->verb || !g_strcmp0(e->verb, verb)))
      return e;
  return NULL;
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

/* Where the first words of a command go when they are not the object's name. */
static const struct { ApiVerb verb; const char *words[3]; } positions[] = {
  { API_IMAGE_IMPORT, { "family", "source" } },
  { API_TEMPLATE_ADD, { "family", "xml" } },
  { API_SESSION_REQUEST, { "pool" } },
  { API_TOKEN_CREATE, { "title" } },
  { API_BACKUP, { "path" } },
};

const char *const *verb_positions(ApiVerb verb)
{
  static const char *const none[] = { NULL };
  for (size_t p = 0; p < G_N_ELEMENTS(positions); p++)
    if (positions[p].verb == verb)
      return positions[p].words;
  return none;
}

bool verb_is_shown(ApiVerb verb)
{
  const ApiRow *row = &api_rows[verb];
  return !(row->allow & MAY_GATEWAY) && (row->how != HOW_EDGE || verb == API_STATUS || verb == API_ME);
}

static const char *const aliases[][2] = {
  { "ls", "list" }, { "get", "show" }, { "describe", "show" }, { "new", "create" }, { "rm", "remove" }, { "edit", "change" }, { "set", "change" },
};
/* Verbs that mean the same for one noun or another. */
static const char *const kin[][2] = { { "add", "create" }, { "remove", "delete" }, { "remove", "revoke" } };

static ApiVerb find_kin(const char *noun, const char *verb)
{
  ApiVerb found = api_find_words(noun, verb);
  for (size_t i = 0; found == N_API_VERBS && i < G_N_ELEMENTS(kin); i++)
    for (int side = 0; side < 2 && found == N_API_VERBS; side++)
      if (!strcmp(kin[i][side], verb))
        found = api_find_words(noun, kin[i][!side]);
  return found;
}

ApiVerb verb_find(const char *noun, const char *verb)
{
  for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++)
    if (!strcmp(aliases[i][0], verb))
      verb = aliases[i][1];
  ApiVerb found = noun_find(noun) == N_NOUNS ? N_API_VERBS : find_kin(schemas[noun_find(noun)].noun, verb);
  return found != N_API_VERBS && verb_is_shown(found) ? found : N_API_VERBS;
}

bool verb_takes_name(ApiVerb verb)
{
  return strchr(api_rows[verb].path, '{') || g_str_has_prefix(api_rows[verb].args, "name");
}

static bool argument_is(const char *argument, const char *name)
{
  size_t n = strcspn(argument, "?");
  return n == strlen(name) && !strncmp(argument, name, n);
}

bool verb_has_argument(ApiVerb verb, const char *name)
{
  g_auto(GStrv) arguments = g_strsplit(api_rows[verb].args, " ", -1);
  for (char **a = arguments; *a; a++)
    if (argument_is(*a, name))
      return true;
  return false;
}

char *verb_usage(ApiVerb verb)
{
  const ApiRow *row = &api_rows[verb];
  g_autoptr(GString) text = g_string_new("sarang ");
  g_string_append_printf(text, "%s %s%s", schemas[row->noun].noun, row->verb, verb_takes_name(verb) ? " NAME" : "");
  for (const char *const *word = verb_positions(verb); *word; word++) {
    g_autofree char *upper = g_ascii_strup(strcmp(*word, "xml") && strcmp(*word, "source") ? *word : "FILE", -1);
    g_string_append_printf(text, " %s", upper);
  }
  return g_string_free(g_steal_pointer(&text), FALSE);
}

/* ── flags of verbs ───────────────────────────────────────────────────────── */

/* What verbs take beside fields. */
static const CommandFlag arguments[] = {
  { "force", NULL, "also what it would refuse: those that people hold, or what is not proven clean" },
  { "reason", "TEXT", "why, kept with the event" },
  { "by", "TIME", "denied if there is no desktop by then: 15m, 2h, 7d from now on, or a time such as 2026-11-23T14:05:00Z" },
  { "from", "TIME", "when they are to be ready; absent = now" },
  { "until", "TIME", "when they are kept no longer: 2h, 7d from now on, or a time such as 2026-11-23T14:05:00Z" },
  { "ticket", NULL, "a ticket to connect with, too" },
  { "origin", "URL", "the page a ticket is for; absent = a native viewer" },
  { "protocol", "TEXT", "what the ticket opens (default vnc)" },
  { "days", "N", "how long it is good (default 90, at most tokens.max_days of sarangd: 366)" },
  { "clone", "N", "the generation it is for: vgpu show tells it" },
  { "slot", "N", "which of the desktop's parts, from 0 on; absent = all" },
  { "password", NULL, "read a password from the terminal or standard input" },
  { "old_password", NULL, "read the old password first, to change your own" },
  { "host", "HOST", "the host to go to, or to be free" },
  { "apply", NULL, "begin those moves" },
  { "migrate", NULL, "and move what runs there to other hosts, two at a time" },
  { "pool", "POOL", "the pool of which one more desktop shall have a place" },
  { "count", "N", "how many more; 1 by default" },
  { "add_hosts", "TEXT", "as if there were these hosts too: lines of NAME,LIKE or NAME,LIKE,CARDS; LIKE is a host there is" },
  { "without_host", "HOST", "as if that host took nothing" },
  { "profile", "TYPE", "as if they got parts of that type" },
  { "limit", "N", "at most so many" },
  { "after", "NAME", "those behind that one" },
};

static const char *field_value(const Field *f)
{
  static const char *const words[] = {
    [FIELD_TEXT] = "TEXT", [FIELD_REF] = "NAME", [FIELD_INT] = "N", [FIELD_BOOL] = NULL, [FIELD_ENUM] = "WORD", [FIELD_TIME] = "TIME",
    [FIELD_LIST] = "A,B,…", [FIELD_JSON] = "JSON",
  };
  return words[f->type];
}

static CommandFlag flag_of_field(const Field *f, bool create)
{
  return (CommandFlag){ f->name, field_value(f), f->help, f->type == FIELD_ENUM ? f->names : NULL, f, create && f->flags & F_NEED };
}

static void add_arguments(GArray *flags, ApiVerb verb)
{
  g_auto(GStrv) names = g_strsplit(api_rows[verb].args, " ", -1);
  for (char **name = names; *name; name++)
    for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++)
      if (argument_is(*name, arguments[i].name)) {
        CommandFlag flag = arguments[i];
        flag.needed = flag.value && !g_str_has_suffix(*name, "?");
        g_array_append_val(flags, flag);
      }
}

static void add_argument(GArray *flags, const char *name)
{
  for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++)
    if (!strcmp(arguments[i].name, name))
      g_array_append_val(flags, arguments[i]);
}

static bool field_narrows(const Field *f)
{
  return f->flags & (F_COL | F_WIDE) && (f->type == FIELD_TEXT || f->type == FIELD_REF || f->type == FIELD_ENUM || f->type == FIELD_BOOL);
}

GArray *verb_flags(ApiVerb verb)
{
  const ApiRow *row = &api_rows[verb];
  const Schema *schema = &schemas[row->noun];
  GArray *flags = g_array_new(FALSE, FALSE, sizeof(CommandFlag));
  bool list = row->how == HOW_LIST || row->how == HOW_HISTORY, create = row->how == HOW_CREATE;
  unsigned wanted = create ? F_IN : row->how == HOW_CHANGE ? F_CHANGE : 0;
  for (int i = 0; i < schema->n_fields; i++) {
    CommandFlag flag = flag_of_field(&schema->fields[i], create);
    if (list ? field_narrows(flag.field) : (flag.field->flags & wanted) != 0)
      g_array_append_val(flags, flag);
  }
  add_arguments(flags, verb);
  if (list) {
    add_argument(flags, "limit");
    add_argument(flags, "after");
  }
  return flags;
}

const CommandFlag *verb_flag(ApiVerb verb, const char *name)
{
  static _Thread_local CommandFlag found;
  g_autoptr(GArray) flags = verb_flags(verb);
  for (guint i = 0; i < flags->len; i++)
    if (!strcmp(g_array_index(flags, CommandFlag, i).name, name)) {
      found = g_array_index(flags, CommandFlag, i);
      return &found;
    }
  return NULL;
}

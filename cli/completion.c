/* sarang completion: a few lines for a shell, which ask "sarang __complete WORDS…" for the words that may stand
 * in the last one's place. Nouns, verbs, flags and values come from the tables, names from the server, if that answers at once. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static const char bash_script[] =
    "_sarang() {\n"
    "  local IFS=$'\\n'\n"
    "  COMPREPLY=($(sarang __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "  [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default 2>/dev/null\n"
    "  return 0\n"
    "}\n"
    "complete -F _sarang sarang\n";

static const char zsh_script[] =
    "#compdef sarang\n"
    "_sarang() {\n"
    "  local -a found\n"
    "  found=(\"${(@f)$(sarang __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "  if [[ -n \"$found\" ]]; then compadd -a found; else _files; fi\n"
    "}\n"
    "compdef _sarang sarang\n";

bool command_completion(Command *c, GError **err)
{
  const char *shell = c->words->pdata[0];
  if (strcmp(shell, "bash") != 0 && strcmp(shell, "zsh") != 0)
    return error_false(err, REASON_BAD_VALUE, "field", "the shell", "value", shell, "limit", "one of bash, zsh", NULL);
  fputs(strcmp(shell, "bash") ? zsh_script : bash_script, stdout);
  return true;
}

/* ── candidates ───────────────────────────────────────────────────────────── */

typedef struct {
  Command *command;
  const char *begun;   /* what is typed of the last word */
  GHashTable *told;    /* of char *: each word is told once */
} Asked;

static void tell(Asked *a, const char *word)
{
  if (g_str_has_prefix(word, a->begun) && g_hash_table_add(a->told, g_strdup(word)))
    puts(word);
}

static void tell_flag(Asked *a, const char *name)
{
  g_autofree char *flag = g_strconcat("--", name, NULL);
  tell(a, g_strdelimit(flag, "_", '-'));
}

static void tell_choices(Asked *a, const EnumNames *choices)
{
  for (int i = 0; choices && i < choices->n; i++)
    tell(a, choices->names[i]);
}

/* Names of what there is. A server that does not answer at once is not waited for. */
static void tell_names(Asked *a, Noun noun)
{
  ApiVerb list = noun == N_NOUNS ? N_API_VERBS : api_find_words(schemas[noun].noun, "list");
  json_auto_t *filters = json_pack("{si}", "limit", 1000), *found = NULL;
  g_autoptr(GError) silent = NULL;
  a->command->place.hurry = true;
  if (list == N_API_VERBS || !place_complete(&a->command->place, &silent) || !command_ask_list(a->command, list, filters, &found, NULL, &silent))
    return;
  size_t i;
  json_t *object;
  json_array_foreach(found, i, object)
    tell(a, json_string_value(json_object_get(object, "name")));
}

/* Fields that name objects of another kind. */
static Noun noun_of_field(const char *name)
{
  g_autofree char *one = g_str_has_suffix(name, "s") ? g_strndup(name, strlen(name) - 1) : g_strdup(name);
  return noun_find(one);
}

/* ── by place ─────────────────────────────────────────────────────────────── */

static void tell_first_words(Asked *a)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    if (verb_is_shown(v))
      tell(a, schemas[api_rows[v].noun].noun);
  for (const ExtraCommand *e = extra_commands; e->noun; e++)
    if (e->help)
      tell(a, e->noun);
}

static void tell_second_words(Asked *a, const char *noun)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    if (api_rows[v].noun == noun_find(noun) && verb_is_shown(v))
      tell(a, api_rows[v].verb);
  for (const ExtraCommand *e = extra_commands; e->noun; e++)
    if (e->verb && !strcmp(e->noun, noun))
      tell(a, e->verb);
}

static void tell_flags(Asked *a, const ExtraCommand *extra, ApiVerb verb)
{
  g_autoptr(GArray) flags = verb == N_API_VERBS ? NULL : verb_flags(verb);
  for (guint i = 0; flags && i < flags->len; i++)
    tell_flag(a, g_array_index(flags, CommandFlag, i).name);
  for (const CommandFlag *f = extra ? extra->flags : NULL; f && f->name; f++)
    tell_flag(a, f->name);
  for (const GlobalFlag *g = global_flags; g->name; g++)
    tell(a, g->name);
}

/* The value of the flag before it; false where that takes none. */
static bool tell_value(Asked *a, const char *flag, ApiVerb verb)
{
  for (const GlobalFlag *g = global_flags; g->name; g++)
    if ((!strcmp(g->name, flag) || !g_strcmp0(g->brief, flag)) && g->takes == TAKES_VALUE) {
      tell_choices(a, g->choices);
      return true;
    }
  g_autofree char *name = g_str_has_prefix(flag, "--") ? g_strdelimit(g_strdup(flag + 2), "-", '_') : NULL;
  const CommandFlag *own = name && verb != N_API_VERBS ? verb_flag(verb, name) : NULL;
  if (!own || !own->value)
    return false;
  tell_choices(a, own->choices);
  if (!own->choices && noun_of_field(own->name) != N_NOUNS)
    tell_names(a, noun_of_field(own->name));
  return true;
}

static void tell_words(Asked *a, const ExtraCommand *extra, ApiVerb verb)
{
  const char *const *words = verb == N_API_VERBS ? NULL : verb_positions(verb);
  if (verb != N_API_VERBS && strchr(api_rows[verb].path, '{'))
    tell_names(a, api_rows[verb].noun);
  else if (words && words[0])
    tell_names(a, noun_of_field(words[0]));
  else if (extra && extra->run == command_connect)
    tell_names(a, NOUN_SESSION);
}

bool command_complete(Command *c, GError **err)
{
  guint n = c->words->len;
  if (!n)
    return true;
  g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  char **words = (char **)c->words->pdata;
  Asked asked = { c, words[n - 1], told };
  const char *noun = n > 1 ? words[0] : NULL, *verb_word = n > 2 ? words[1] : NULL;
  const ExtraCommand *extra = noun ? extra_find(noun, verb_word) : NULL;
  ApiVerb verb = noun && verb_word ? verb_find(noun, verb_word) : N_API_VERBS;
  if (n > 2 && tell_value(&asked, words[n - 2], verb))
    return true;
  if (asked.begun[0] == '-')
    tell_flags(&asked, extra, verb);
  else if (!noun)
    tell_first_words(&asked);
  else if (!verb_word && !extra)
    tell_second_words(&asked, noun);
  else
    tell_words(&asked, extra, verb);
  return true;
}

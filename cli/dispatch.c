/* From words to the row that runs them; and what is said where there is none, or where it fails. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "core/version.h"

/* ── what there is not ────────────────────────────────────────────────────── */

static void add_nouns(GPtrArray *names)
{
  for (Noun n = 0; n < N_NOUNS; n++)
    for (ApiVerb v = 0; v < N_API_VERBS; v++)
      if (api_rows[v].noun == n && verb_is_shown(v)) {
        g_ptr_array_add(names, (char *)schemas[n].noun);
        break;
      }
  for (const ExtraCommand *e = extra_commands; e->noun; e++)
    if (e->help)
      g_ptr_array_add(names, (char *)e->noun);
}

static void add_verbs(GPtrArray *names, const char *noun)
{
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    if (api_rows[v].noun == noun_find(noun) && verb_is_shown(v))
      g_ptr_array_add(names, (char *)api_rows[v].verb);
  for (const ExtraCommand *e = extra_commands; e->noun; e++)
    if (e->verb && !strcmp(e->noun, noun))
      g_ptr_array_add(names, (char *)e->verb);
}

static bool noun_is_known(const char *noun)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  add_nouns(names);
  g_ptr_array_add(names, NULL);
  Noun n = noun_find(noun);
  return g_strv_contains((const char *const *)names->pdata, n == N_NOUNS ? noun : schemas[n].noun);
}

static bool refuse_command(const char *noun, const char *verb, GError **err)
{
  bool known = noun_is_known(noun);
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  if (known)
    add_verbs(names, noun_find(noun) == N_NOUNS ? noun : schemas[noun_find(noun)].noun);
  else
    add_nouns(names);
  g_ptr_array_add(names, NULL);
  const char *meant = nearest(known ? verb : noun, (const char *const *)names->pdata);
  g_autofree char *typed = g_strdup_printf("sarang %s%s%s", noun, known ? " " : "", known ? verb : "");
  g_autofree char *better = meant ? g_strdup_printf("sarang %s%s%s", known ? noun : meant, known ? " " : "", known ? meant : "") : NULL;
  g_autofree char *help = g_strdup_printf("sarang%s%s --help", known ? " " : "", known ? noun : "");
  return error_false(err, meant ? REASON_NEAR_COMMAND : REASON_NO_SUCH_COMMAND, "command", typed, "nearest", better, "help", help, NULL);
}

/* ── running ──────────────────────────────────────────────────────────────── */

static char *extra_usage(const ExtraCommand *e)
{
  return g_strdup_printf("sarang %s%s%s %s", e->noun, e->verb ? " " : "", e->verb ? e->verb : "", e->arguments ? e->arguments : "");
}

static bool extra_check(Command *c, const ExtraCommand *e, GError **err)
{
  g_autofree char *usage = extra_usage(e);
  int words = (int)c->words->len;
  if (words < e->least)
    return error_false(err, REASON_MISSING_WORDS, "usage", usage, NULL);
  /* the word behind the user is meant as the password: it is not told */
  if (words > e->most && e->run == command_login)
    return refuse_typed_secret("--password", err);
  if (e->most >= 0 && words > e->most)
    return error_false(err, REASON_TOO_MANY_WORDS, "word", c->words->pdata[e->most], "usage", usage, NULL);
  for (const CommandFlag *f = e->flags; f->name; f++)
    if (f->needed && !command_flag(c, f->name))
      return error_false(err, REASON_MISSING_WORDS, "usage", usage, NULL);
  return true;
}

static bool extra_run(Command *c, const ExtraCommand *e, GError **err)
{
  if (c->help) {
    help_print_extra(e, c->place.lang);
    return true;
  }
  g_ptr_array_remove_range(c->words, 0, e->verb ? 2 : 1);
  return extra_check(c, e, err) && (e->here || place_complete(&c->place, err)) && e->run(c, err);
}

bool command_version(Command *c, GError **err)
{
  puts("sarang " SARANG_VERSION);
  return true;
}

static bool run_verb(Command *c, GError **err)
{
  if (c->help) {
    help_print_verb(c->verb, c->place.lang);
    return true;
  }
  g_ptr_array_remove_range(c->words, 0, 2);
  return place_complete(&c->place, err) && command_run_api(c, err);
}

/* Verbs that stand alone: "sarang status" is "sarang controller status". */
static const struct { const char *word; ApiVerb verb; } short_forms[] = { { "status", API_STATUS }, { "me", API_ME }, { "whoami", API_ME } };

static void expand_short_form(Command *c)
{
  for (size_t i = 0; i < G_N_ELEMENTS(short_forms); i++)
    if (c->words->len == 1 && !strcmp(c->words->pdata[0], short_forms[i].word)) {
      const ApiRow *row = &api_rows[short_forms[i].verb];
      g_ptr_array_set_size(c->words, 0);
      g_ptr_array_add(c->words, g_strdup(schemas[row->noun].noun));
      g_ptr_array_add(c->words, g_strdup(row->verb));
    }
}

bool command_dispatch(Command *c, GError **err)
{
  c->place.programs = c->form != OUTPUT_TABLE && c->form != OUTPUT_WIDE;
  if (c->version)
    return command_version(c, err);
  if (!c->words->len) {
    help_print(c->place.lang);
    return c->help || error_false(err, REASON_MISSING_WORDS, "usage", "sarang NOUN VERB [NAME] [--flags]", NULL);
  }
  expand_short_form(c);
  const char *noun = c->words->pdata[0], *verb = c->words->len > 1 ? c->words->pdata[1] : NULL;
  const ExtraCommand *extra = extra_find(noun, verb);
  if (extra)
    return extra_run(c, extra, err);
  c->verb = verb ? verb_find(noun, verb) : N_API_VERBS;
  if (c->verb != N_API_VERBS)
    return run_verb(c, err);
  if (verb || !noun_is_known(noun))
    return refuse_command(noun, verb ? verb : "", err);
  help_print_noun(noun, c->place.lang);
  return true;
}

bool command_help(Command *c, GError **err)
{
  c->help = true;
  return command_dispatch(c, err);
}

/* ── what went wrong ──────────────────────────────────────────────────────── */

/* Names of a kind that are like the one that is not there. */
static char *meant_name(Command *c, const char *kind, const char *name)
{
  Noun noun = noun_find(kind);
  ApiVerb verb = noun == N_NOUNS ? N_API_VERBS : api_find_words(schemas[noun].noun, "list");
  json_auto_t *filters = json_pack("{si}", "limit", 1000), *list = NULL;
  g_autoptr(GError) silent = NULL;
  if (verb == N_API_VERBS || api_rows[verb].how != HOW_LIST || !command_ask_list(c, verb, filters, &list, NULL, &silent))
    return NULL;
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  size_t i;
  json_t *object;
  json_array_foreach(list, i, object)
    g_ptr_array_add(names, (char *)json_string_value(json_object_get(object, "name")));
  g_ptr_array_add(names, NULL);
  /* numbered things are all alike */
  return name[0] && name[1] == '-' ? NULL : g_strdup(nearest(name, (const char *const *)names->pdata));
}

static char *fix_of(Command *c, const GError *err)
{
  if (!error_is(err, REASON_NOT_FOUND))
    return error_fix(err, c->place.lang);
  const char *kind = error_arg(err, "kind"), *name = error_arg(err, "name");
  if (c->verb == API_TOKEN_CREATE && !g_strcmp0(kind, "user") && !command_flag(c, "user"))
    return g_strdup(say(c->place.lang, "say whose token it is: --user NAME"));
  g_autofree char *meant = kind && name ? meant_name(c, kind, name) : NULL;
  if (meant)
    return g_strdup_printf(say(c->place.lang, "did you mean \"%s\"?"), meant);
  bool listed = kind && noun_find(kind) != N_NOUNS && verb_find(kind, "list") != N_API_VERBS;
  return listed ? error_fix(err, c->place.lang) : NULL;
}

int report(Command *c, const GError *err)
{
  g_autofree char *text = error_text(err, c->place.lang);
  g_autofree char *fix = fix_of(c, err);
  fprintf(stderr, "sarang: %s\n", text);
  if (fix && *fix)
    fprintf(stderr, "        %s\n", fix);
  return error_class_exit(error_class(err));
}

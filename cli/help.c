/* Help, printed from the rows that the commands are. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

enum { LEFT_COLUMNS = 30 };

int text_columns(const char *text)
{
  int n = 0;
  for (; *text; text = g_utf8_next_char(text))
    n += g_unichar_iswide(g_utf8_get_char(text)) ? 2 : 1;
  return n;
}

void print_padded(const char *text, int columns)
{
  printf("%s%*s", text, MAX(columns - text_columns(text), 0), "");
}

/* Two columns; a left one that is too long gets a line of its own. */
static void print_pair(const char *left, const char *right)
{
  printf("  ");
  print_padded(left, LEFT_COLUMNS);
  if (text_columns(left) >= LEFT_COLUMNS)
    printf("\n%*s", LEFT_COLUMNS + 2, "");
  puts(right);
}

static void print_heading(const char *english, Lang lang)
{
  printf("\n%s\n", say(lang, english));
}

/* ── flags ────────────────────────────────────────────────────────────────── */

static char *choices_text(const EnumNames *names)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (int i = 0; i < names->n; i++)
    g_string_append_printf(text, "%s%s", i ? "|" : "", names->names[i]);
  return g_string_free(g_steal_pointer(&text), FALSE);
}

static void print_global(const GlobalFlag *f, Lang lang)
{
  g_autoptr(GString) left = g_string_new(NULL);
  g_string_printf(left, "%s%s%s", f->brief ? f->brief : "", f->brief ? ", " : "    ", f->name);
  if (f->value)
    g_string_append_printf(left, f->takes == TAKES_MAYBE ? "[=%s]" : " %s", f->value);
  print_pair(left->str, say(lang, f->help));
}

static void print_flag(const CommandFlag *f, Lang lang)
{
  g_autofree char *name = g_strdelimit(g_strdup(f->name), "_", '-');
  g_autofree char *choices = f->choices ? choices_text(f->choices) : NULL;
  bool brief = choices && strlen(choices) < 24;
  g_autofree char *left = g_strdup_printf("--%s%s%s", name, f->value ? " " : "", !f->value ? "" : brief ? choices : f->value);
  g_autoptr(GString) right = g_string_new(say(lang, f->help));
  if (f->field && f->field->type == FIELD_INT && f->field->max < INT64_MAX)
    g_string_append_printf(right, " (%" G_GINT64_FORMAT "–%" G_GINT64_FORMAT ")", f->field->min, f->field->max);
  if (f->needed)
    g_string_append_printf(right, " — %s", say(lang, "needed"));
  print_pair(left, right->str);
}

/* ── commands ─────────────────────────────────────────────────────────────── */

static void print_nouns(void)
{
  for (Noun n = 0; n < N_NOUNS; n++) {
    g_autoptr(GString) verbs = g_string_new(NULL);
    for (ApiVerb v = 0; v < N_API_VERBS; v++)
      if (api_rows[v].noun == n && verb_is_shown(v))
        g_string_append_printf(verbs, "%s%s", verbs->len ? " · " : "", api_rows[v].verb);
    for (const ExtraCommand *e = extra_commands; e->noun; e++)
      if (e->verb && !strcmp(e->noun, schemas[n].noun))
        g_string_append_printf(verbs, " · %s", e->verb);
    if (verbs->len)
      printf("  %-12s %s\n", schemas[n].noun, verbs->str);
  }
}

static char *extra_typed(const ExtraCommand *e)
{
  return g_strdup_printf("%s%s%s %s", e->noun, e->verb ? " " : "", e->verb ? e->verb : "", e->arguments);
}

static void print_extras(const char *noun, Lang lang)
{
  for (const ExtraCommand *e = extra_commands; e->noun; e++) {
    g_autofree char *left = e->help && (!noun || !strcmp(e->noun, noun)) ? extra_typed(e) : NULL;
    if (left)
      print_pair(left, say(lang, e->help));
  }
}

static const struct { const char *command, *help; } examples[] = {
  { "sarang session request POOL --wait", "ask for a desktop" },
  { "sarang connect SESSION --viewer", "open it in remote-viewer" },
  { "sarang explain SESSION", "why it is as it is, and what would help" },
  { "sarang desktop list --watch", "what there is, and what becomes of it" },
};

static const struct { int status; const char *help; } statuses[] = {
  { 0, "ok" }, { 1, "failed; of diff: something differs" }, { 2, "the command or a value is wrong" }, { 3, "not found" },
  { 4, "denied, or not logged in" }, { 5, "conflict or quota" }, { 6, "the time was over, or Ctrl-C: it goes on" }, { 7, "unreachable" },
  { 8, "no capacity" },
};

void help_print(Lang lang)
{
  printf("sarang NOUN VERB [NAME] [--flags]\n%s\n\n", say(lang, "Desktops for people, on KVM and Xen hosts."));
  for (size_t i = 0; i < G_N_ELEMENTS(examples); i++) {
    printf("  ");
    print_padded(examples[i].command, 38);
    puts(say(lang, examples[i].help));
  }
  print_heading("Nouns and their verbs; sarang NOUN --help says more", lang);
  print_nouns();
  print_heading("Other commands", lang);
  print_extras(NULL, lang);
  print_heading("Flags of every command", lang);
  for (const GlobalFlag *f = global_flags; f->name; f++)
    print_global(f, lang);
  print_heading("Exit status", lang);
  for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
    printf("  %d  %s\n", statuses[i].status, say(lang, statuses[i].help));
}

void help_print_noun(const char *noun, Lang lang)
{
  Noun n = noun_find(noun);
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    g_autofree char *left = api_rows[v].noun == n && verb_is_shown(v) ? verb_usage(v) : NULL;
    if (left)
      print_pair(left + strlen("sarang "), say(lang, api_rows[v].help));
  }
  print_extras(n == N_NOUNS ? noun : schemas[n].noun, lang);
  printf("\n%s\n", say(lang, "sarang NOUN VERB --help tells the flags of one."));
}

void help_print_verb(ApiVerb verb, Lang lang)
{
  g_autofree char *usage = verb_usage(verb);
  g_autoptr(GArray) flags = verb_flags(verb);
  printf("%s%s\n  %s\n", usage, flags->len ? " [--flags]" : "", say(lang, api_rows[verb].help));
  if (flags->len)
    print_heading(api_rows[verb].how == HOW_LIST || api_rows[verb].how == HOW_HISTORY ? "Only those that have" : "Flags", lang);
  for (guint i = 0; i < flags->len; i++)
    print_flag(&g_array_index(flags, CommandFlag, i), lang);
  printf("\n%s\n", say(lang, "sarang --help tells the flags of every command."));
}

void help_print_extra(const ExtraCommand *e, Lang lang)
{
  g_autofree char *typed = extra_typed(e);
  printf("sarang %s\n  %s\n", typed, say(lang, e->help ? e->help : ""));
  if (e->flags[0].name)
    print_heading("Flags", lang);
  for (const CommandFlag *f = e->flags; f->name; f++)
    print_flag(f, lang);
  printf("\n%s\n", say(lang, "sarang --help tells the flags of every command."));
}

/* Help, printed from the rows that the commands are. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

void help_print(void)
{
  puts("sarang NOUN VERB [NAME] [--flags]   desktops for people, on KVM and Xen hosts\n\n"
       "  sarang session request POOL --wait      ask for a desktop\n"
       "  sarang connect SESSION --vv desk.vv     open it in remote-viewer\n"
       "  sarang desktop list                     what there is\n");
  for (Noun n = 0; n < N_NOUNS; n++) {
    g_autoptr(GString) verbs = g_string_new(NULL);
    for (ApiVerb v = 0; v < N_API_VERBS; v++)
      if (api_rows[v].noun == n && !(api_rows[v].allow & MAY_GATEWAY) && api_rows[v].how != HOW_EDGE)
        g_string_append_printf(verbs, "%s%s", verbs->len ? " · " : "", api_rows[v].verb);
    if (verbs->len)
      printf("  %-10s %s\n", schemas[n].noun, verbs->str);
  }
  for (const ExtraCommand *e = extra_commands; e->noun; e++)
    printf("  %s%s%s %s   %s\n", e->noun, e->verb ? " " : "", e->verb ? e->verb : "", e->arguments, e->help);
  puts("\n  -o table|wide|json|yaml|csv|name    how it is shown          --wait[=SECONDS]   until it is done\n"
       "  --socket PATH                       sarangd's own socket     --server URL       a gateway\n"
       "  --no-headers  --quiet  --lang en|ko  --ca FILE               sarang NOUN VERB --help tells the flags\n\n"
       "exit status: 0 ok · 1 failed · 2 usage · 3 not found · 4 denied or not logged in · 5 conflict or quota\n"
       "             6 still going when the time was over · 7 unreachable · 8 no capacity");
}

static void print_extra(const char *noun)
{
  for (const ExtraCommand *e = extra_commands; e->noun; e++)
    if (!strcmp(e->noun, noun))
      printf("  sarang %s%s%s %s\n      %s\n", e->noun, e->verb ? " " : "", e->verb ? e->verb : "", e->arguments, e->help);
}

void help_print_noun(const char *noun)
{
  Noun n = noun_find(noun);
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    if (api_rows[v].noun == n && !(api_rows[v].allow & MAY_GATEWAY) && api_rows[v].how != HOW_EDGE)
      printf("  sarang %s %-12s %s\n", schemas[n].noun, api_rows[v].verb, api_rows[v].help);
  print_extra(noun);
}

static const char *value_word(const Field *f)
{
  switch (f->type) {
  case FIELD_INT:
    return "N";
  case FIELD_BOOL:
    return "[yes|no]";
  case FIELD_LIST:
    return "A,B,…";
  case FIELD_JSON:
    return "JSON";
  case FIELD_ENUM:
  case FIELD_TEXT:
  case FIELD_REF:
  case FIELD_TIME:
    return "TEXT";
  }
  return "TEXT";
}

static void print_flag(const Field *f)
{
  g_autofree char *name = g_strdelimit(g_strdup(f->name), "_", '-');
  g_autofree char *left = g_strdup_printf("--%s %s", name, value_word(f));
  printf("  %-28s %s%s\n", left, f->help, f->flags & F_NEED ? " (needed)" : "");
}

void help_print_verb(ApiVerb verb)
{
  const ApiRow *row = &api_rows[verb];
  bool name = strchr(row->path, '{') || g_str_has_prefix(row->args, "name");
  printf("sarang %s %s%s [--flags]\n  %s\n", schemas[row->noun].noun, row->verb, name ? " NAME" : "", row->help);
  unsigned wanted = row->how == HOW_CREATE ? F_IN : row->how == HOW_CHANGE ? F_CHANGE : 0;
  const Schema *schema = &schemas[row->noun];
  for (int i = 0; i < schema->n_fields; i++)
    if (schema->fields[i].flags & wanted)
      print_flag(&schema->fields[i]);
  g_auto(GStrv) args = g_strsplit(row->args, " ", -1);
  for (char **a = args; *a && **a; a++)
    if (strcmp(*a, "name") && !schema_field(schema, *a))
      printf("  --%.*s%s\n", (int)strcspn(*a, "?"), *a, strchr(*a, '?') ? "" : " (needed)");
}

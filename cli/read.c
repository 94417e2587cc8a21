/* A command as typed, taken apart. Whether a flag takes the next word is known by its command's row, which the first words name. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

void command_clear(Command *c)
{
  place_clear(&c->place);
  g_strfreev(c->columns);
  g_ptr_array_unref(c->words);
  g_ptr_array_unref(c->flags);
}

const char *command_flag(const Command *command, const char *name)
{
  for (guint i = 0; i + 1 < command->flags->len; i += 2)
    if (!strcmp(command->flags->pdata[i], name))
      return command->flags->pdata[i + 1] ? command->flags->pdata[i + 1] : "";
  return NULL;
}

static const char *word(const Command *c, guint i)
{
  return i < c->words->len ? c->words->pdata[i] : NULL;
}

static const CommandFlag *extra_flag(const ExtraCommand *extra, const char *name)
{
  for (const CommandFlag *f = extra->flags; f->name; f++)
    if (!strcmp(f->name, name))
      return f;
  return NULL;
}

/* The flag of the command that was named so far. */
static const CommandFlag *own_flag(const Command *c, const char *name)
{
  const ExtraCommand *extra = c->words->len ? extra_find(word(c, 0), word(c, 1)) : NULL;
  if (extra)
    return extra_flag(extra, name);
  ApiVerb verb = c->words->len > 1 ? verb_find(word(c, 0), word(c, 1)) : N_API_VERBS;
  return verb == N_API_VERBS ? NULL : verb_flag(verb, name);
}

static void add_own_names(const Command *c, GPtrArray *names)
{
  const ExtraCommand *extra = c->words->len ? extra_find(word(c, 0), word(c, 1)) : NULL;
  for (const CommandFlag *f = extra ? extra->flags : NULL; f && f->name; f++)
    g_ptr_array_add(names, g_strdelimit(g_strconcat("--", f->name, NULL), "_", '-'));
  ApiVerb verb = !extra && c->words->len > 1 ? verb_find(word(c, 0), word(c, 1)) : N_API_VERBS;
  if (verb == N_API_VERBS)
    return;
  g_autoptr(GArray) flags = verb_flags(verb);
  for (guint i = 0; i < flags->len; i++) {
    g_autofree char *name = g_strdelimit(g_strdup(g_array_index(flags, CommandFlag, i).name), "_", '-');
    g_ptr_array_add(names, g_strconcat("--", name, NULL));
  }
}

static bool refuse_flag(const Command *c, const char *name, GError **err)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  add_own_names(c, names);
  for (const GlobalFlag *f = global_flags; f->name; f++)
    g_ptr_array_add(names, g_strdup(f->name));
  g_ptr_array_add(names, NULL);
  const char *meant = nearest(name, (const char *const *)names->pdata);
  const char *first = word(c, 0), *second = first && !extra_find(first, NULL) ? word(c, 1) : NULL;
  g_autofree char *command = g_strdup_printf("sarang%s%s%s%s", first ? " " : "", first ? first : "", second ? " " : "", second ? second : "");
  return error_false(err, meant ? REASON_NEAR_FLAG : REASON_UNKNOWN_FLAG, "flag", name, "command", command, "nearest", meant, NULL);
}

static const GlobalFlag *global_flag(const char *name)
{
  for (const GlobalFlag *f = global_flags; f->name; f++)
    if (!strcmp(f->name, name) || !g_strcmp0(f->brief, name))
      return f;
  return NULL;
}

static bool missing_value(const char *flag, const char *value, GError **err)
{
  return error_false(err, REASON_MISSING_VALUE, "flag", flag, "value", value, NULL);
}

/* *argv moves on where the next word is the value. */
static bool take_global(Command *c, const GlobalFlag *f, const char *value, char ***argv, GError **err)
{
  if (f->takes == TAKES_VALUE && !value && !(value = (*argv)[1] ? *++*argv : NULL))
    return missing_value(f->name, f->value, err);
  if (f->takes == TAKES_NOTHING && value)
    return error_false(err, REASON_BAD_VALUE, "field", f->name, "value", value, "limit", "left without a value", NULL);
  return f->set(c, value, err);
}

/* The word behind a yes-or-no flag is its value only where it is one. */
static bool is_yes_or_no(const char *text)
{
  static const char *const words[] = { "yes", "no", "true", "false", NULL };
  return text && g_strv_contains(words, text);
}

bool flag_is_secret(const char *name) { return g_str_has_suffix(name, "password"); }

char *secret_read(const char *prompt)
{
  char line[256] = "";
  const char *typed = isatty(STDIN_FILENO) ? getpass(prompt) : fgets(line, sizeof line, stdin);
  char *secret = typed ? g_strndup(typed, strcspn(typed, "\n")) : NULL;
  explicit_bzero(line, sizeof line);
  return secret;
}

bool refuse_typed_secret(const char *flag, GError **err) { return error_false(err, REASON_SECRET_TYPED, "flag", flag, NULL); }

static bool take_own(Command *c, const char *name, const char *value, char ***argv, GError **err)
{
  g_autofree char *field = g_strdelimit(g_strdup(name + 2), "-", '_');
  const CommandFlag *f = own_flag(c, field);
  if (!f)
    return refuse_flag(c, name, err);
  if (value && flag_is_secret(field))
    return refuse_typed_secret(name, err);
  bool next = f->value || (f->field && is_yes_or_no((*argv)[1]));
  if (!value && next && !(value = (*argv)[1] ? *++*argv : NULL))
    return missing_value(name, f->value, err);
  g_ptr_array_add(c->flags, g_steal_pointer(&field));
  g_ptr_array_add(c->flags, g_strdup(value));
  return true;
}

static bool take_flag(Command *c, const char *text, char ***argv, GError **err)
{
  const char *equals = text[1] == '-' ? strchr(text, '=') : NULL;
  g_autofree char *name = equals ? g_strndup(text, equals - text) : g_strdup(text);
  const char *value = equals ? equals + 1 : NULL;
  const GlobalFlag *global = global_flag(name);
  const CommandFlag *own = global && name[1] == '-' ? own_flag(c, name + 2) : NULL;
  if (global && !own)
    return take_global(c, global, value, argv, err);
  if (!strcmp(name, "-f") && own_flag(c, "file"))
    return take_own(c, "--file", value, argv, err);
  return name[1] == '-' ? take_own(c, name, value, argv, err) : refuse_flag(c, name, err);
}

bool command_read(Command *c, char **argv, GError **err)
{
  bool only_words = false;
  for (char **arg = argv + 1; *arg; arg++) {
    if (!only_words && !strcmp(*arg, "--"))
      only_words = true;
    else if (only_words || (*arg)[0] != '-' || !(*arg)[1])
      g_ptr_array_add(c->words, g_strdup(*arg));
    else if (!take_flag(c, *arg, &arg, err))
      return false;
    /* what is to be completed is not to be understood */
    only_words = only_words || (c->words->len == 1 && !strcmp(word(c, 0), "__complete"));
  }
  return true;
}

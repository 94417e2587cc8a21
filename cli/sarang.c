/* sarang: the command line. Reads a command, finds its row, runs it, says what went wrong. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

const ExtraCommand extra_commands[] = {
  { "template", "check", command_template_check, "FILE…", "Check template files here, without a daemon" },
  { "connect", NULL, command_connect, "SESSION", "Open a console on a port of this machine; --vv FILE writes what remote-viewer opens" },
  { "backup", NULL, command_backup, "FILE", "Write a consistent copy of the store to a new file on the controller" },
  { "restore", NULL, command_restore, "FILE [--state DIR]", "Put a backup in place of the store; sarangd must not run" },
  { "login", NULL, command_login, "https://HOST USER", "Log in to a gateway; the password is read from the terminal or standard input" },
  { NULL },
};

const char *command_flag(const Command *command, const char *name)
{
  for (guint i = 0; i + 1 < command->flags->len; i += 2)
    if (!strcmp(command->flags->pdata[i], name))
      return command->flags->pdata[i + 1] ? command->flags->pdata[i + 1] : "";
  return NULL;
}

/* ── flags that every command knows ───────────────────────────────────────── */

typedef enum { TAKES_NOTHING, TAKES_VALUE, TAKES_MAYBE } Takes;

typedef struct {
  const char *name;
  Takes takes;
  bool (*set)(Command *command, const char *value, GError **err);
} GlobalFlag;

static bool set_output(Command *c, const char *value, GError **err)
{
  return output_form_parse(value, &c->form) ||
         error_false(err, REASON_BAD_VALUE, "field", "-o", "value", value, "limit", "one of table, wide, json, yaml, csv, name", NULL);
}

static bool set_text(char **field, const char *value)
{
  g_free(*field);
  *field = g_strdup(value);
  return true;
}

static bool set_socket(Command *c, const char *value, GError **err) { return set_text(&c->place.socket, value); }
static bool set_server(Command *c, const char *value, GError **err) { return set_text(&c->place.server, value); }
static bool set_ca(Command *c, const char *value, GError **err) { return set_text(&c->place.ca_file, value); }
static bool set_no_headers(Command *c, const char *value, GError **err) { return c->no_headers = true; }
static bool set_help(Command *c, const char *value, GError **err) { return c->help = true; }
static bool set_quiet(Command *c, const char *value, GError **err) { return c->quiet = true; }

static bool set_wait(Command *c, const char *value, GError **err)
{
  c->wait = true;
  char *end = NULL;
  c->wait_s = value ? g_ascii_strtoll(value, &end, 10) : 0;
  if (!value || (end != value && (!*end || !strcmp(end, "s")) && c->wait_s > 0))
    return true;
  return error_false(err, REASON_BAD_VALUE, "field", "--wait", "value", value, "limit", "a number of seconds", NULL);
}

static bool set_lang(Command *c, const char *value, GError **err)
{
  bool ko = !strcmp(value, "ko");
  c->place.lang = ko ? LANG_KO : LANG_EN;
  return ko || !strcmp(value, "en") || error_false(err, REASON_BAD_VALUE, "field", "--lang", "value", value, "limit", "en or ko", NULL);
}

static const GlobalFlag global_flags[] = {
  { "-o", TAKES_VALUE, set_output }, { "--output", TAKES_VALUE, set_output }, { "--socket", TAKES_VALUE, set_socket },
  { "--server", TAKES_VALUE, set_server }, { "--ca", TAKES_VALUE, set_ca }, { "--no-headers", TAKES_NOTHING, set_no_headers },
  { "-h", TAKES_NOTHING, set_help }, { "--help", TAKES_NOTHING, set_help }, { "-q", TAKES_NOTHING, set_quiet },
  { "--quiet", TAKES_NOTHING, set_quiet }, { "--wait", TAKES_MAYBE, set_wait }, { "--lang", TAKES_VALUE, set_lang },
};

/* Words that a flag of ours takes none of: it stands alone. */
static bool flag_stands_alone(const char *name)
{
  static const char *const alone[] = { "force", "disabled", "ticket", "vv", "password", NULL };
  return g_strv_contains(alone, name) && strcmp(name, "vv");
}

static bool take_global(Command *c, const GlobalFlag *f, const char *value, char ***argv, GError **err)
{
  if (f->takes == TAKES_VALUE && !value && !(value = *++*argv))
    return error_false(err, REASON_USAGE, "what", "a value is missing at the end", "help", "", NULL);
  return f->set(c, value, err);
}

static bool take_flag(Command *c, const char *text, char ***argv, GError **err)
{
  const char *equals = text[1] == '-' ? strchr(text, '=') : NULL;
  g_autofree char *name = equals ? g_strndup(text, equals - text) : g_strdup(text);
  for (size_t i = 0; i < G_N_ELEMENTS(global_flags); i++)
    if (!strcmp(global_flags[i].name, name))
      return take_global(c, &global_flags[i], equals ? equals + 1 : NULL, argv, err);
  if (text[1] != '-')
    return error_false(err, REASON_USAGE, "what", "there is no such short flag", "help", "", NULL);
  char *field = g_strdelimit(g_strdup(name + 2), "-", '_');
  const char *value = equals ? equals + 1 : flag_stands_alone(field) ? NULL : *(*argv + 1) ? *++*argv : NULL;
  g_ptr_array_add(c->flags, field);
  g_ptr_array_add(c->flags, g_strdup(value));
  return true;
}

static bool command_read(Command *c, char **argv, GError **err)
{
  bool only_words = false;
  for (char **arg = argv + 1; *arg; arg++) {
    if (!only_words && !strcmp(*arg, "--"))
      only_words = true;
    else if (only_words || (*arg)[0] != '-' || !(*arg)[1])
      g_ptr_array_add(c->words, g_strdup(*arg));
    else if (!take_flag(c, *arg, &arg, err))
      return false;
  }
  return true;
}

/* ── finding the row ──────────────────────────────────────────────────────── */

static const ExtraCommand *extra_find(const Command *c)
{
  const char *noun = c->words->pdata[0], *verb = c->words->len > 1 ? c->words->pdata[1] : "";
  for (const ExtraCommand *e = extra_commands; e->noun; e++)
    if (!strcmp(e->noun, noun) && (!e->verb || !strcmp(e->verb, verb)))
      return e;
  return NULL;
}

static const char *verb_alias(const char *verb)
{
  static const char *const aliases[][2] = { { "ls", "list" }, { "get", "show" }, { "describe", "show" }, { "new", "create" }, { "rm", "remove" } };
  for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++)
    if (!strcmp(aliases[i][0], verb))
      return aliases[i][1];
  return verb;
}

static bool command_dispatch(Command *c, GError **err)
{
  if (!c->words->len) {
    help_print();
    return c->help || error_false(err, REASON_USAGE, "what", "a command is missing", "help", "", NULL);
  }
  const ExtraCommand *extra = extra_find(c);
  const char *noun = c->words->pdata[0];
  const char *verb = c->words->len > 1 ? verb_alias(c->words->pdata[1]) : NULL;
  if (extra && !c->help) {
    g_ptr_array_remove_range(c->words, 0, extra->verb ? 2 : 1);
    return extra->run(c, err);
  }
  c->verb = verb ? api_find_words(noun, verb) : N_API_VERBS;
  if (c->verb == N_API_VERBS) {
    bool known = noun_find(noun) != N_NOUNS || extra;
    if (known && (c->help || !verb))
      help_print_noun(noun);
    else
      error_set(err, REASON_NO_SUCH_COMMAND, "noun", noun, "verb", verb ? verb : "", "help", known ? noun : "", NULL);
    return !*err;
  }
  if (c->help) {
    help_print_verb(c->verb);
    return true;
  }
  g_ptr_array_remove_range(c->words, 0, 2);
  return command_run_api(c, err);
}

static Lang lang_of_locale(void)
{
  const char *locale = setlocale(LC_MESSAGES, NULL);
  return locale && g_str_has_prefix(locale, "ko") ? LANG_KO : LANG_EN;
}

static int report(const GError *err, Lang lang)
{
  g_autofree char *text = error_text(err, lang);
  g_autofree char *fix = error_fix(err, lang);
  fprintf(stderr, "sarang: %s\n", text);
  if (fix && *fix)
    fprintf(stderr, "        %s\n", fix);
  return error_class_exit(error_class(err));
}

int main(int argc, char **argv)
{
  setlocale(LC_ALL, "");
  Command c = { .place.lang = lang_of_locale(), .words = g_ptr_array_new_with_free_func(g_free), .flags = g_ptr_array_new_with_free_func(g_free) };
  g_autoptr(GError) err = NULL;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  bool ok = command_read(&c, argv, &err) && place_complete(&c.place, &err) && command_dispatch(&c, &err);
  int status = ok ? 0 : report(err, c.place.lang);
  place_clear(&c.place);
  g_ptr_array_unref(c.words);
  g_ptr_array_unref(c.flags);
  curl_global_cleanup();
  return status;
}

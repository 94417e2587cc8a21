/* Flags that every command knows. */
#include <string.h>

#include "cli/command.h"

static bool refuse(const char *flag, const char *value, const char *limit, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", flag, "value", value, "limit", limit, NULL);
}

static bool set_output(Command *c, const char *value, GError **err)
{
  return output_form_parse(value, &c->form) || refuse("--output", value, "one of table, wide, json, yaml, csv, name", err);
}

static bool set_color(Command *c, const char *value, GError **err)
{
  return output_color_parse(value, &c->color) || refuse("--color", value, "one of auto, always, never", err);
}

static bool set_columns(Command *c, const char *value, GError **err)
{
  g_strfreev(c->columns);
  c->columns = g_strsplit(value, ",", -1);
  return true;
}

static bool set_text(char **field, const char *value)
{
  g_free(*field);
  *field = g_strdup(value);
  return true;
}

static bool set_socket(Command *c, const char *value, GError **err) { return set_text(&c->place.socket, value); }
static bool set_ca(Command *c, const char *value, GError **err) { return set_text(&c->place.ca_file, value); }
static bool set_no_headers(Command *c, const char *value, GError **err) { return c->no_headers = true; }
static bool set_help(Command *c, const char *value, GError **err) { return c->help = true; }
static bool set_quiet(Command *c, const char *value, GError **err) { return c->quiet = true; }
static bool set_watch(Command *c, const char *value, GError **err) { return c->watch = true; }
static bool set_dry_run(Command *c, const char *value, GError **err) { return c->dry_run = true; }
static bool set_version(Command *c, const char *value, GError **err) { return c->version = true; }

static bool set_server(Command *c, const char *value, GError **err)
{
  return g_str_has_prefix(value, "https://") && value[8] ? set_text(&c->place.server, value)
                                                         : refuse("--server", value, "an address that begins with https://", err);
}

static bool set_context(Command *c, const char *value, GError **err)
{
  c->context_given = true;
  bool good = *value && !strpbrk(value, "[]\n\r");
  return good ? set_text(&c->place.context, value) : refuse("--context", value, "a name without brackets", err);
}

static bool set_wait(Command *c, const char *value, GError **err)
{
  char *end = NULL;
  c->wait = true;
  c->wait_s = value ? g_ascii_strtoll(value, &end, 10) : 0;
  bool number = end != value && (!value || !*end || !strcmp(end, "s")) && c->wait_s > 0 && c->wait_s <= 31536000;
  return !value || number || refuse("--wait", value, "a number of seconds from 1 to 31536000", err);
}

static bool set_lang(Command *c, const char *value, GError **err)
{
  bool ko = !strcmp(value, "ko");
  c->place.lang = ko ? LANG_KO : LANG_EN;
  return ko || !strcmp(value, "en") || refuse("--lang", value, "en or ko", err);
}

static const char *const lang_texts[] = { "en", "ko" };
static const EnumNames lang_names = { lang_texts, 2 };

const GlobalFlag global_flags[] = {
  { "--output", "-o", TAKES_VALUE, set_output, "FORM", "how answers are shown: table, wide, json, yaml, csv or name", &output_form_names },
  { "--columns", "-c", TAKES_VALUE, set_columns, "A,B,…", "the columns of a table or CSV" },
  { "--no-headers", NULL, TAKES_NOTHING, set_no_headers, NULL, "tables and CSV without their first line" },
  { "--color", NULL, TAKES_VALUE, set_color, "WHEN", "auto (on a terminal, unless NO_COLOR is set), always or never", &output_color_names },
  { "--wait", NULL, TAKES_MAYBE, set_wait, "SECONDS", "wait until it is done; Ctrl-C leaves it going on" },
  { "--watch", "-w", TAKES_NOTHING, set_watch, NULL, "go on showing what changes, until Ctrl-C" },
  { "--dry-run", NULL, TAKES_NOTHING, set_dry_run, NULL, "check, say what would be asked for, and ask for nothing" },
  { "--quiet", "-q", TAKES_NOTHING, set_quiet, NULL, "say nothing but errors and what was asked to be shown" },
  { "--lang", NULL, TAKES_VALUE, set_lang, "en|ko", "language for people (default: that of the locale)", &lang_names },
  { "--context", NULL, TAKES_VALUE, set_context, "NAME", "a place that login has kept, for this command alone" },
  { "--server", NULL, TAKES_VALUE, set_server, "URL", "a gateway, https://HOST[:PORT]" },
  { "--socket", NULL, TAKES_VALUE, set_socket, "PATH", "the local socket of sarangd" },
  { "--ca", NULL, TAKES_VALUE, set_ca, "FILE", "the certificate to trust a gateway by" },
  { "--help", "-h", TAKES_NOTHING, set_help, NULL, "say how this command is used" },
  { "--version", NULL, TAKES_NOTHING, set_version, NULL, "print the version" },
  { NULL },
};

/* Stories made of a guest's verbs: a person moves in; nobody is there. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "drivers/guest/guest.h"

enum { PASSWD_MAX_BYTES = 64 << 10, FULL_NAME_MAX_BYTES = 128, FIRST_PERSON_UID = 1000, NOBODY_UID = 65534, LINE_MAX_CHARACTERS = 16384 };

#define PERSONALISE "/usr/local/sbin/sarang-personalise"

/* ── a person moves in ────────────────────────────────────────────────────── */

/* Also ZWJ and ZWNJ, which a title may have: a guest takes them for a name that reads as another. */
static bool is_left_out(gunichar c)
{
  GUnicodeType type = g_unichar_type(c);
  return type == G_UNICODE_CONTROL || type == G_UNICODE_FORMAT || type == G_UNICODE_SURROGATE || (c >= 0x2060 && c <= 0x2069);
}

static bool is_gap(gunichar c)
{
  return c == ':' || c == ',' || c == '\t' || c == '\n' || g_unichar_isspace(c);
}

char *guest_full_name(const char *title)
{
  g_autofree char *valid = title ? g_utf8_make_valid(title, -1) : g_strdup("");
  g_autoptr(GString) name = g_string_new(NULL);
  bool gap = false;
  for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
    gunichar c = g_utf8_get_char(at);
    gap = gap || is_gap(c);
    if (is_gap(c) || is_left_out(c))
      continue;
    size_t space = gap && name->len;
    if (name->len + space + g_unichar_to_utf8(c, NULL) > FULL_NAME_MAX_BYTES)
      break;
    g_string_append(name, space ? " " : "");
    g_string_append_unichar(name, c);
    gap = false;
  }
  return name->len ? g_strdup(name->str) : NULL;
}

static bool line_ok(const char *field, const char *text, GError **err)
{
  if (!text || (!strpbrk(text, "\n\r") && text_check(field, text, LINE_MAX_CHARACTERS, NULL)))
    return true;
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", text, "limit", "one line of text", NULL);
}

static bool person_ok(const GuestPerson *p, GError **err)
{
  bool ok = account_check("name", p->name, err) && line_ok("password", p->password_hash, err) && line_ok("locale", p->locale, err);
  for (const char *const *k = p->ssh_keys; ok && k && *k; k++)
    ok = line_ok("ssh_key", *k, err);
  return ok;
}

static void add_line(GString *lines, const char *name, const char *value)
{
  if (value && *value)
    g_string_append_printf(lines, "%s=%s\n", name, value);
}

static char *person_lines(const GuestPerson *p)
{
  GString *lines = g_string_new("version=1\n");
  add_line(lines, "name", p->name);
  add_line(lines, "gecos", p->gecos);
  add_line(lines, "password", p->password_hash);
  for (const char *const *k = p->ssh_keys; k && *k; k++)
    add_line(lines, "ssh_key", *k);
  add_line(lines, "locale", p->locale);
  add_line(lines, "end", "1");
  return g_string_free(lines, FALSE);
}

static bool run(const Guest *guest, GError **err, const char *input, const char *const *argv)
{
  GuestCommand command = { argv, input, input ? strlen(input) : 0 };
  return guest_exec_ok(guest, &command, err);
}
#define RUN(guest, err, input, ...) run(guest, err, input, (const char *const[]){ __VA_ARGS__, NULL })

/* Whether the guest brings its own way; a guest that cannot even be asked is an error. */
static bool has_program(const Guest *guest, const char *path, bool *ret_has, GError **err)
{
  g_autofree char *head = NULL;
  g_autoptr(GError) why = NULL;
  *ret_has = guest_read_file(guest, path, 2, &head, &why);
  if (*ret_has || error_is(why, REASON_AGENT_REFUSED))
    return true;
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

static bool add_account(const Guest *guest, const GuestPerson *p, GError **err)
{
  const char *gecos = p->gecos ? p->gecos : "";
  g_autoptr(GError) why = NULL;
  if (RUN(guest, &why, NULL, "/usr/sbin/useradd", "-m", "-s", "/bin/bash", "-c", gecos, p->name))
    return true;
  enum { USERADD_EXISTS = 9 };
  if (error_is(why, REASON_GUEST_COMMAND) && atoi(error_arg(why, "status")) == USERADD_EXISTS)
    return RUN(guest, err, NULL, "/usr/sbin/usermod", "-c", gecos, p->name);
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

/* The home is the person's: what root opened or made there by name would follow their links to anywhere. So the person does it. */
static bool add_keys(const Guest *guest, const GuestPerson *p, GError **err)
{
  static const char script[] = "umask 077; mkdir -p ~/.ssh && cat >~/.ssh/authorized_keys";
  if (!p->ssh_keys || !*p->ssh_keys)
    return true;
  g_autofree char *keys = g_strjoinv("\n", (char **)p->ssh_keys);
  g_autofree char *text = g_strconcat(keys, "\n", NULL);
  return RUN(guest, err, text, "/bin/su", "-s", "/bin/sh", "-c", script, p->name);
}

static bool personalise_by_programs(const Guest *guest, const GuestPerson *p, GError **err)
{
  g_autofree char *entry = p->password_hash ? g_strdup_printf("%s:%s\n", p->name, p->password_hash) : NULL;
  return add_account(guest, p, err) && (!entry || RUN(guest, err, entry, "/usr/sbin/chpasswd", "-e")) && add_keys(guest, p, err);
}

bool guest_personalise(const Guest *guest, const GuestPerson *person, GError **err)
{
  bool has = false;
  g_autofree char *full_name = guest_full_name(person->gecos);
  GuestPerson told = *person;
  told.gecos = full_name;
  if (!person_ok(person, err) || !has_program(guest, PERSONALISE, &has, err))
    return false;
  if (!has)
    return personalise_by_programs(guest, &told, err);
  g_autofree char *lines = person_lines(&told);
  return RUN(guest, err, lines, PERSONALISE);
}

/* ── nobody is there ──────────────────────────────────────────────────────── */

static bool dirty(const Guest *guest, const char *what, const char *who, GError **err)
{
  g_autofree char *visible = text_dup_visible(who, 64);
  g_autofree char *detail = g_strdup_printf("%s %s", what, visible);
  return error_false(err, REASON_GUEST_NOT_CLEAN, "domain", guest->name, "detail", detail, NULL);
}

static bool nobody_logged_in(const Guest *guest, const char *autologin, json_t *seen, GError **err)
{
  g_autoptr(GPtrArray) users = NULL;
  if (!guest_users(guest, &users, err))
    return false;
  for (guint i = 0; i < users->len; i++) {
    const GuestUser *user = users->pdata[i];
    if (g_strcmp0(user->name, autologin))
      return dirty(guest, "logged in:", user->name, err);
    json_array_append_new(seen, json_string(user->name));
  }
  return true;
}

/* An account of a person, of a line of passwd(5): its name, owned by the caller; NULL for others. */
static char *person_of(const char *line)
{
  g_auto(GStrv) fields = g_strsplit(line, ":", -1);
  if (g_strv_length(fields) < 7)
    return NULL;
  gint64 uid = g_ascii_strtoll(fields[2], NULL, 10);
  return uid >= FIRST_PERSON_UID && uid != NOBODY_UID ? g_strdup(fields[0]) : NULL;
}

static bool no_accounts(const Guest *guest, const char *autologin, bool *ret_read, GError **err)
{
  g_autofree char *passwd = NULL;
  g_autoptr(GError) why = NULL;
  *ret_read = guest_read_file(guest, "/etc/passwd", PASSWD_MAX_BYTES, &passwd, &why);
  if (!*ret_read && error_is(why, REASON_AGENT_REFUSED))
    return true; /* there is none: not a Unix guest */
  if (!*ret_read) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  if (strlen(passwd) >= PASSWD_MAX_BYTES)
    return dirty(guest, "too many accounts to read:", "/etc/passwd", err);
  g_auto(GStrv) lines = g_strsplit(passwd, "\n", -1);
  for (char **line = lines; *line; line++) {
    g_autofree char *person = person_of(*line);
    if (person && g_strcmp0(person, autologin))
      return dirty(guest, "an account:", person, err);
  }
  return true;
}

bool guest_prove_no_one(const Guest *guest, const char *autologin, char **ret_evidence, GError **err)
{
  json_auto_t *seen = json_array();
  bool read = false;
  if (!guest_ping(guest, err) || !nobody_logged_in(guest, autologin, seen, err) || !no_accounts(guest, autologin, &read, err))
    return false;
  json_auto_t *evidence = json_pack("{sb sO so sb}", "agent", 1, "logged_in", seen, "autologin", autologin ? json_string(autologin) : json_null(),
                                    "accounts_read", read);
  char *text = json_dumps(evidence, JSON_COMPACT);
  *ret_evidence = g_strdup(text);
  free(text);
  return true;
}

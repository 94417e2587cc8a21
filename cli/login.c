/* sarang login: a token for this machine, kept in the context file. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

static char *password_read(void)
{
  char line[256] = "";
  const char *typed = isatty(STDIN_FILENO) ? getpass("Password: ") : fgets(line, sizeof line, stdin);
  char *password = g_strdup(typed ? typed : "");
  password[strcspn(password, "\n")] = 0;
  memset(line, 0, sizeof line);
  return password;
}

bool command_login(Command *c, GError **err)
{
  if (c->words->len != 2 || !g_str_has_prefix(c->words->pdata[0], "https://"))
    return error_false(err, REASON_USAGE, "what", "the gateway's https address and a user are to be named", "help", "login", NULL);
  Place place = { .server = g_strdup(c->words->pdata[0]), .ca_file = g_strdup(c->place.ca_file), .lang = c->place.lang };
  g_autofree char *password = password_read();
  json_auto_t *body = json_pack("{ss ss}", "name", c->words->pdata[1], "password", password);
  json_auto_t *answer = NULL;
  bool ok = client_ask(&place, METHOD_POST, api_rows[API_LOGIN].path, body, &answer, NULL, err);
  memset(password, 0, strlen(password));
  if (ok) {
    place.token = g_strdup(json_string_value(json_object_get(answer, "token")));
    ok = place.token ? place_save(&place, err) : error_false(err, REASON_INTERNAL, "detail", "the server gave no token", NULL);
  }
  if (ok && !c->quiet)
    fprintf(stderr, "logged in to %s as %s\n", place.server, (char *)c->words->pdata[1]);
  place_clear(&place);
  return ok;
}

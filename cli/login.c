/* sarang login, logout, context: who we are to which gateway. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static bool token_ask(Place *place, const char *user, GError **err)
{
  g_autofree char *password = secret_read(say(place->lang, "Password: "));
  if (!password)
    return error_false(err, REASON_MISSING_FIELD, "field", "password", NULL);
  json_auto_t *body = json_pack("{ss ss}", "name", user, "password", password);
  json_auto_t *answer = NULL;
  bool ok = client_ask(place, METHOD_POST, api_rows[API_LOGIN].path, body, &answer, NULL, err);
  explicit_bzero(password, strlen(password));
  if (ok)
    place->token = g_strdup(json_string_value(json_object_get(answer, "token")));
  return ok && (place->token || error_false(err, REASON_INTERNAL, "detail", "the server gave no token", NULL));
}

bool command_login(Command *c, GError **err)
{
  const char *server = c->words->pdata[0], *user = c->words->pdata[1];
  if (!g_str_has_prefix(server, "https://") || !server[8])
    return error_false(err, REASON_BAD_VALUE, "field", "the gateway", "value", server, "limit", "an address that begins with https://", NULL);
  const char *given = g_getenv("SARANG_CA"), *ca = c->place.ca_file ? c->place.ca_file : given && *given ? given : NULL;
  Place place = { .server = g_strdup(server), .ca_file = ca ? g_canonicalize_filename(ca, NULL) : NULL, .lang = c->place.lang };
  g_strchomp(place.server);
  if (g_str_has_suffix(place.server, "/"))
    place.server[strlen(place.server) - 1] = 0;
  g_autofree char *name = c->context_given ? g_strdup(c->place.context) : place_name(place.server);
  bool ok = token_ask(&place, user, err) && place_save(&place, name, user, err);
  if (ok && !c->quiet)
    fprintf(stderr, say(c->place.lang, "logged in to %s as %s; kept as context %s\n"), place.server, user, name);
  place_clear(&place);
  return ok;
}

bool command_logout(Command *c, GError **err)
{
  if (!c->place.context || !c->place.token)
    return error_false(err, REASON_LOGGED_OUT, NULL);
  g_autoptr(GError) why = NULL;
  bool revoked = client_ask(&c->place, METHOD_POST, api_rows[API_LOGOUT].path, NULL, NULL, NULL, &why);
  /* a token that is not good any more is forgotten too */
  if (!revoked && error_class(why) != CLASS_LOGGED_OUT) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  return place_forget(c->place.context, err);
}

/* ── contexts ─────────────────────────────────────────────────────────────── */

static void print_context(json_t *context)
{
  printf("%s ", json_is_true(json_object_get(context, "current")) ? "*" : " ");
  print_padded(json_string_value(json_object_get(context, "name")), 24);
  const char *user = json_string_value(json_object_get(context, "user")), *server = json_string_value(json_object_get(context, "server"));
  printf(" %s%s%s\n", user ? user : "", user ? " @ " : "", server ? server : "/run/sarang/sarangd.sock");
}

bool command_context_list(Command *c, GError **err)
{
  json_auto_t *list = NULL;
  if (!place_list(&list, err))
    return false;
  size_t i;
  json_t *context;
  bool people = c->form == OUTPUT_TABLE || c->form == OUTPUT_WIDE;
  OutputStyle style = { .form = c->form, .headers = !c->no_headers };
  if (!people)
    output_print(&style, NOUN_USER, list);
  json_array_foreach(list, i, context)
    if (people)
      print_context(context);
  return true;
}

bool command_context_use(Command *c, GError **err) { return place_use(c->words->pdata[0], err); }
bool command_context_remove(Command *c, GError **err) { return place_forget(c->words->pdata[0], err); }

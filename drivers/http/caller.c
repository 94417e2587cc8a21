#include "drivers/http/caller.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "drivers/http/cookies.h"
#include "drivers/identity/token.h"

enum { CLIENT_MAX_BYTES = 64, USES_EVERY_S = 60, USES_MANY = 4096 };

static bool token_of_header(const char *authorization, TokenText *ret_token)
{
  return !strncasecmp(authorization, "Bearer ", 7) && token_parse(authorization + 7, ret_token);
}

/* The token text that came along; *ret_given: whether any did. */
static bool token_given(Exchange *x, TokenText *ret_token, bool *ret_given)
{
  *ret_given = x->head.authorization;
  if (*ret_given)
    return token_of_header(x->head.authorization, ret_token);
  bool good = x->link->door->kind == DOOR_GATEWAY && cookies_token(x->head.cookie, ret_token, ret_given);
  x->by_cookie = *ret_given;
  return good;
}

static bool token_is_good(const Token *token, int64_t now_us)
{
  return token && (!token->expires || token->expires > now_us);
}

static gboolean use_is_old(void *token, void *told_us, void *now_us)
{
  return *(int64_t *)now_us - *(int64_t *)told_us >= USES_EVERY_S * G_USEC_PER_SEC;
}

/* Once a minute for a token, however many requests come with it. */
static void token_used(Server *server, const char *name)
{
  int64_t now_us = g_get_monotonic_time();
  g_mutex_lock(&server->mutex);
  if (g_hash_table_size(server->uses) >= USES_MANY)
    g_hash_table_foreach_remove(server->uses, use_is_old, &now_us);
  int64_t *told_us = g_hash_table_lookup(server->uses, name);
  bool tell = !told_us || use_is_old(NULL, told_us, &now_us);
  if (tell)
    g_hash_table_insert(server->uses, g_strdup(name), g_memdup2(&now_us, sizeof now_us));
  g_mutex_unlock(&server->mutex);
  if (tell)
    runtime_token_used(server->runtime, name);
}

static bool caller_by_token(Exchange *x, const TokenText *text, GError **err)
{
  Published *published = runtime_published(x->server->runtime);
  const Token *token = (const Token *)published_get(published, NOUN_TOKEN, text->name);
  const User *user = token && token->user ? (const User *)published_get(published, NOUN_USER, token->user) : NULL;
  bool fits = token_fits(text->secret, token ? token->hash : NULL);
  bool good = fits && token_is_good(token, runtime_now_us(x->server->runtime)) && user && !user->disabled;
  if (good) {
    x->caller.user = g_strdup(user->head.name);
    x->caller.token = g_strdup(text->name);
    x->caller.login = token->kind == TOKEN_LOGIN;
    x->caller.role = user->role;
    x->caller.logged_in = true;
    token_used(x->server, text->name);
  }
  published_drop((void *)token);
  published_drop((void *)user);
  return good || error_false(err, REASON_BAD_TOKEN, NULL);
}

/* The address that the gateway tells: an IP address, perhaps with a %zone, and no more. */
static bool client_find(Exchange *x, GError **err)
{
  const char *text = x->head.client;
  struct in6_addr bits;
  if (!text || x->link->door->kind != DOOR_GATEWAY)
    return true;
  g_autofree char *address = g_strndup(text, strcspn(text, "%"));
  if (strlen(text) > CLIENT_MAX_BYTES || (inet_pton(AF_INET, address, &bits) != 1 && inet_pton(AF_INET6, address, &bits) != 1))
    return error_false(err, REASON_BAD_REQUEST, "detail", "X-Sarang-Client is no IP address", NULL);
  x->caller.client = g_steal_pointer(&address);
  return true;
}

bool caller_find(Exchange *x, GError **err)
{
  const ApiRow *row = &api_rows[x->verb];
  const Link *link = x->link;
  TokenText text;
  bool given = false;
  if (!client_find(x, err))
    return false;
  /* what a gateway asks for somebody else carries that one's address, cookie or token: never the gateway's own rights */
  x->caller.gateway = link->door->kind == DOOR_GATEWAY && !x->head.client && !x->head.authorization && !x->head.cookie;
  if (row->allow & (MAY_NOBODY | MAY_GATEWAY))
    return access_check(x->verb, &x->caller, false, err);
  if (token_given(x, &text, &given))
    return caller_by_token(x, &text, err);
  if (given)
    return error_false(err, REASON_BAD_TOKEN, NULL);
  if (link->door->kind == DOOR_LOCAL && link->has_peer && link->peer.administrator) {
    x->caller.user = g_strdup(link->peer.user);
    x->caller.role = ROLE_ADMINISTRATOR;
    x->caller.logged_in = x->caller.local = true;
  }
  return x->caller.logged_in || error_false(err, REASON_LOGGED_OUT, NULL);
}

void caller_of_page(Exchange *x)
{
  json_t *body = x->request->body;
  const char *header = json_string_value(json_object_get(body, "authorization"));
  const char *cookies = json_string_value(json_object_get(body, "cookie"));
  TokenText text;
  bool given;
  bool read = header ? token_of_header(header, &text) : cookies && cookies_token(cookies, &text, &given);
  Published *published = runtime_published(x->server->runtime);
  const Token *token = read ? (const Token *)published_get(published, NOUN_TOKEN, text.name) : NULL;
  if (token && token_fits(text.secret, token->hash) && token_is_good(token, runtime_now_us(x->server->runtime)))
    x->request->caller.user = g_strdup(token->user);
  published_drop((void *)token);
  json_object_del(body, "authorization");
  json_object_del(body, "cookie");
}

bool caller_is_good(Server *server, const Caller *caller)
{
  if (caller->local)
    return true;
  Published *published = runtime_published(server->runtime);
  const Token *token = caller->token ? (const Token *)published_get(published, NOUN_TOKEN, caller->token) : NULL;
  const User *user = (const User *)published_get(published, NOUN_USER, caller->user);
  bool good =
      token_is_good(token, runtime_now_us(server->runtime)) && user && !user->disabled && (Role)user->role == caller->role;
  published_drop((void *)token);
  published_drop((void *)user);
  return good;
}

bool caller_is_staff(const Caller *caller)
{
  return caller->logged_in && ALLOW_STAFF & 1u << caller->role;
}

unsigned caller_hidden(const Caller *caller)
{
  return caller_is_staff(caller) ? F_SECRET : F_SECRET | F_STAFF;
}

bool caller_owns(Server *server, const Caller *caller, Noun noun, const Object *object)
{
  const char *held_by = noun == NOUN_DESKTOP && object ? ((const Desktop *)object)->session : NULL;
  if (!held_by)
    return object_is_mine(caller, noun, object, NULL);
  const Session *session = (const Session *)published_get(runtime_published(server->runtime), NOUN_SESSION, held_by);
  bool mine = object_is_mine(caller, noun, object, session ? session->user : NULL);
  published_drop((void *)session);
  return mine;
}

/* Whether a new object would be the caller's own: its user is them, or is left out. */
static bool creates_own(const Exchange *x, const Caller *caller)
{
  json_t *user = x->request ? json_object_get(x->request->body, "user") : NULL;
  return caller->user && (!user || !g_strcmp0(json_string_value(user), caller->user));
}

bool caller_may(const Exchange *x, const Object *object, GError **err)
{
  const Noun noun = api_rows[x->verb].noun;
  const Caller *caller = x->request ? &x->request->caller : &x->caller;
  bool mine = x->name ? object && caller_owns(x->server, caller, noun, object) : creates_own(x, caller);
  g_autoptr(GError) refusal = NULL;
  if (access_check(x->verb, caller, mine, &refusal))
    return true;
  if (caller->logged_in && x->name && !mine && !caller_is_staff(caller))
    return error_false(err, REASON_NOT_FOUND, "kind", schemas[noun].noun, "name", x->name, NULL);
  g_propagate_error(err, g_steal_pointer(&refusal));
  return false;
}

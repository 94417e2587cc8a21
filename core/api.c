#include "core/api.h"

#include <string.h>

ENUM_DEFINE(ApiMethod, api_method, API_METHODS, N_API_METHODS)

const ApiRow api_rows[N_API_VERBS] = {
#define X(NAME, noun, verb, method, path, how, allow, args, help) \
  [API_##NAME] = { NOUN_##noun, verb, METHOD_##method, path, HOW_##how, ALLOW_##allow, args, help },
#include "core/api.def"
#undef X
};

Request *request_new(ApiVerb verb)
{
  Request *request = g_new0(Request, 1);
  request->verb = verb;
  return request;
}

void request_free(Request *request)
{
  if (!request)
    return;
  g_free(request->caller.user);
  g_free(request->caller.token);
  g_free(request->caller.client);
  g_free(request->name);
  json_decref(request->body);
  g_free(request->secret_hash);
  g_free(request->guest_hash);
  g_free(request->old_hash);
  g_free(request->fresh_hash);
  g_free(request->idempotency_key);
  g_free(request);
}

Answer *answer_new(int status)
{
  Answer *answer = g_new0(Answer, 1);
  answer->status = status;
  return answer;
}

Answer *answer_new_error(GError *take_error)
{
  Answer *answer = answer_new(error_class_http(error_class(take_error)));
  answer->error = take_error;
  return answer;
}

void answer_free(Answer *answer)
{
  if (!answer)
    return;
  if (answer->object)
    object_unref(&schemas[answer->noun], answer->object);
  g_free(answer->json);
  g_clear_pointer(&answer->bytes, g_bytes_unref);
  g_clear_error(&answer->error);
  g_free(answer);
}

/* ── paths ────────────────────────────────────────────────────────────────── */

/* What one pattern of a path answers, by method; N_API_VERBS where it doesn't know that one. */
typedef struct {
  ApiVerb verbs[N_API_METHODS];
} Route;

/* Where {name} stands in every path that has one: behind the third slash, as in /api/v1/hosts/{name}/drain. */
enum { SLASHES_BEFORE_NAME = 4, PATTERN_MAX_BYTES = 128 };
static const char NAME[] = "{name}";

static GHashTable *routes_new(void)
{
  GHashTable *routes = g_hash_table_new(g_str_hash, g_str_equal);
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    Route *route = g_hash_table_lookup(routes, api_rows[v].path);
    if (!route) {
      route = g_new(Route, 1);
      for (ApiMethod m = 0; m < N_API_METHODS; m++)
        route->verbs[m] = N_API_VERBS;
      g_hash_table_insert(routes, (char *)api_rows[v].path, route);
    }
    route->verbs[api_rows[v].method] = v;
  }
  return routes;
}

/* The segment that would be the name, or NULL where path has too few. */
static const char *path_name(const char *path, size_t *ret_length)
{
  for (int slashes = 0; *path; path++)
    if (*path == '/' && ++slashes == SLASHES_BEFORE_NAME) {
      *ret_length = strcspn(path + 1, "/");
      return path + 1;
    }
  return NULL;
}

/* *ret_name: borrowed from path, NULL where the pattern has none. */
static const Route *route_find(const char *path, const char **ret_name, size_t *ret_length)
{
  static GHashTable *routes;
  if (g_once_init_enter(&routes))
    g_once_init_leave(&routes, routes_new());
  const Route *route = strchr(path, '{') ? NULL : g_hash_table_lookup(routes, path);
  *ret_name = route ? NULL : path_name(path, ret_length);
  if (!*ret_name || !*ret_length)
    return route;
  char pattern[PATTERN_MAX_BYTES];
  const char *tail = *ret_name + *ret_length;
  size_t head = *ret_name - path, rest = strlen(tail);
  if (head + sizeof NAME + rest > sizeof pattern)
    return NULL;
  memcpy(pattern, path, head);
  memcpy(pattern + head, NAME, sizeof NAME - 1);
  memcpy(pattern + head + sizeof NAME - 1, tail, rest + 1);
  return g_hash_table_lookup(routes, pattern);
}

ApiVerb api_find(ApiMethod method, const char *path, char **ret_name, GError **err)
{
  const char *name;
  size_t length = 0;
  const Route *route = route_find(path, &name, &length);
  g_autofree char *segment = route && name ? g_uri_unescape_segment(name, name + length, "/") : NULL;
  if (!route || (name && (!segment || !g_utf8_validate(segment, -1, NULL)))) {
    error_set(err, REASON_NO_SUCH_PATH, "path", path, NULL);
    return N_API_VERBS;
  }
  ApiVerb verb = method < N_API_METHODS ? route->verbs[method] : N_API_VERBS;
  if (verb == N_API_VERBS)
    error_set(err, REASON_METHOD_NOT_ALLOWED, "path", path, NULL);
  else
    *ret_name = g_steal_pointer(&segment);
  return verb;
}

unsigned api_methods(const char *path)
{
  const char *name;
  size_t length = 0;
  const Route *route = route_find(path, &name, &length);
  unsigned methods = 0;
  for (ApiMethod m = 0; route && m < N_API_METHODS; m++)
    methods |= route->verbs[m] == N_API_VERBS ? 0 : 1u << m;
  return methods;
}

ApiVerb api_find_words(const char *noun, const char *verb)
{
  Noun n = noun_find(noun);
  for (ApiVerb v = 0; v < N_API_VERBS; v++)
    if (api_rows[v].noun == n && !g_strcmp0(api_rows[v].verb, verb))
      return v;
  return N_API_VERBS;
}

static bool pool_is_mine(const Caller *caller, const Pool *pool)
{
  return !pool->users || g_strv_contains((const char *const *)pool->users, caller->user);
}

bool object_is_mine(const Caller *caller, Noun noun, const Object *object, const char *desktop_holder)
{
  const char *user = caller->user;
  if (!user || !object)
    return false;
  switch (noun) {
  case NOUN_SESSION:
    return !g_strcmp0(((const Session *)object)->user, user);
  case NOUN_DESKTOP:
    return !g_strcmp0(((const Desktop *)object)->owner, user) || !g_strcmp0(desktop_holder, user);
  case NOUN_TOKEN:
    return !g_strcmp0(((const Token *)object)->user, user);
  case NOUN_TASK:
    return !g_strcmp0(((const Task *)object)->user, user);
  case NOUN_USER:
    return !strcmp(object->name, user);
  case NOUN_POOL:
    return pool_is_mine(caller, (const Pool *)object);
  case NOUN_RESERVATION: {
    const Reservation *r = (const Reservation *)object;
    return r->users && g_strv_contains((const char *const *)r->users, user);
  }
  case NOUN_CONTROLLER:
  case NOUN_HOST:
  case NOUN_GPU:
  case NOUN_GPU_CLASS:
  case NOUN_LICENCE:
  case NOUN_VGPU:
  case NOUN_STORAGE:
  case NOUN_IMAGE:
  case NOUN_TEMPLATE:
  case NOUN_TICKET:
  case NOUN_RELAY:
  case NOUN_RECEIPT:
  case NOUN_DEMAND:
  case NOUN_EVENT:
  case N_NOUNS:
    return false;
  }
  return false;
}

bool access_check(ApiVerb verb, const Caller *caller, bool mine, GError **err)
{
  const ApiRow *row = &api_rows[verb];
  if (row->allow & MAY_GATEWAY)
    return caller->gateway || error_false(err, REASON_DENIED, "verb", row->verb, "noun", schemas[row->noun].noun, "role",
                                          caller->logged_in ? role_name(caller->role) : "nobody", NULL);
  if (row->allow & MAY_NOBODY)
    return true;
  if (!caller->logged_in)
    return error_false(err, REASON_LOGGED_OUT, NULL);
  if (!(row->allow & (1u << caller->role)) && !(row->allow & MAY_MINE && mine))
    return error_false(err, REASON_DENIED, "verb", row->verb, "noun", schemas[row->noun].noun, "role", role_name(caller->role), NULL);
  if (row->allow & BY_LOGIN && caller->token && !caller->login)
    return error_false(err, REASON_NEEDS_LOGIN, "verb", row->verb, "noun", schemas[row->noun].noun, NULL);
  return true;
}

#include "core/api.h"

#include <string.h>

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

/* true ⇔ path fits pattern; *ret_name: where {name} begins in path, with its length. */
static bool path_fits(const char *pattern, const char *path, const char **ret_name, size_t *ret_length)
{
  const char *brace = strchr(pattern, '{');
  *ret_name = NULL;
  if (!brace)
    return !strcmp(pattern, path);
  size_t head = brace - pattern;
  if (strncmp(pattern, path, head))
    return false;
  *ret_name = path + head;
  *ret_length = strcspn(*ret_name, "/");
  return *ret_length && !strcmp(strchr(brace, '}') + 1, *ret_name + *ret_length);
}

ApiVerb api_find(ApiMethod method, const char *path, char **ret_name, GError **err)
{
  bool other_method = false;
  for (ApiVerb v = 0; v < N_API_VERBS; v++) {
    const char *name;
    size_t length;
    if (!path_fits(api_rows[v].path, path, &name, &length))
      continue;
    if (api_rows[v].method != method) {
      other_method = true;
      continue;
    }
    g_autofree char *segment = name ? g_uri_unescape_segment(name, name + length, "/") : NULL;
    if (name && (!segment || !g_utf8_validate(segment, -1, NULL)))
      break;
    *ret_name = g_steal_pointer(&segment);
    return v;
  }
  error_set(err, other_method ? REASON_METHOD_NOT_ALLOWED : REASON_NO_SUCH_PATH, "path", path, NULL);
  return N_API_VERBS;
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
  case NOUN_CONTROLLER:
  case NOUN_HOST:
  case NOUN_STORAGE:
  case NOUN_IMAGE:
  case NOUN_TEMPLATE:
  case NOUN_TICKET:
  case NOUN_RELAY:
  case NOUN_RECEIPT:
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
    return caller->gateway || error_false(err, REASON_DENIED, "verb", row->verb, "noun", schemas[row->noun].noun, "role", "gateway", NULL);
  if (row->allow & MAY_NOBODY)
    return true;
  if (!caller->logged_in)
    return error_false(err, REASON_LOGGED_OUT, NULL);
  if (row->allow & (1u << caller->role) || (row->allow & MAY_MINE && mine))
    return true;
  return error_false(err, REASON_DENIED, "verb", row->verb, "noun", schemas[row->noun].noun, "role", role_name(caller->role), NULL);
}

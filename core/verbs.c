/* The brain's handlers, by verb, and those of nouns that only keep what people gave: storages, images, templates, users, tokens, tasks. */
#include "core/brain_parts.h"
#include "core/reservations.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"

enum { REFUSED_EVERY_S = 60 };

/* ── objects made from requests ───────────────────────────────────────────── */

/* The members of the body that are fields: what the verb takes beside them is left out. */
static json_t *fields_of(const Request *r, const Schema *schema)
{
  json_t *fields = json_object();
  g_auto(GStrv) extra = g_strsplit(api_rows[r->verb].args, " ", -1);
  const char *key;
  json_t *value;
  json_object_foreach(r->body, key, value) {
    bool arg = false;
    for (char **e = extra; *e && !arg; e++)
      arg = !strncmp(*e, key, strlen(key)) && (!(*e)[strlen(key)] || (*e)[strlen(key)] == '?');
    const Field *f = schema_field(schema, key);
    if (!arg || (f && f->flags & F_IN))
      json_object_set(fields, key, value);
  }
  return fields;
}

static bool object_fill(const Request *r, Noun noun, Object *object, JsonUse use, GError **err)
{
  json_t *fields = fields_of(r, &schemas[noun]);
  bool ok = object_set_json(&schemas[noun], object, fields, use, err);
  json_decref(fields);
  return ok;
}

bool verb_drop(Noun noun, void *object)
{
  object_unref(&schemas[noun], object);
  return false;
}

void *verb_new_object(Brain *b, const Request *r, Noun noun, const char *name, GError **err)
{
  if (noun != NOUN_IMAGE && noun != NOUN_TEMPLATE && noun != NOUN_TOKEN && !name_check("name", name, err))
    return NULL;
  if (name && state_find(b->state, noun, name))
    return error_null(err, REASON_EXISTS, "kind", schemas[noun].noun, "name", name, NULL);
  Object *object = object_new(&schemas[noun], noun, name);
  if (object_fill(r, noun, object, JSON_CREATE, err))
    return object;
  verb_drop(noun, object);
  return NULL;
}

void *verb_changed_object(Brain *b, const Request *r, Noun noun, GError **err)
{
  Object *object = object_dup(&schemas[noun], state_find(b->state, noun, r->name));
  if (object_fill(r, noun, object, JSON_CHANGE, err))
    return object;
  verb_drop(noun, object);
  return NULL;
}

void verb_keep(Brain *b, Noun noun, void *take_object)
{
  state_put(b->state, take_object, b->now_us);
}

/* The first object of noun whose text field names name, or NULL. */
static const Object *user_of(Brain *b, Noun noun, const char *field, const char *name)
{
  const Field *f = schema_field(&schemas[noun], field);
  g_autoptr(GPtrArray) names = state_names(b->state, noun);
  for (guint i = 0; i < names->len; i++) {
    const Object *object = state_find(b->state, noun, names->pdata[i]);
    if (f->type == FIELD_LIST ? FIELD_AT(char **, object, f) && g_strv_contains((const char *const *)FIELD_AT(char **, object, f), name)
                              : !g_strcmp0(FIELD_AT(char *, object, f), name))
      return object;
  }
  return NULL;
}

static bool unused(Brain *b, Noun noun, const char *field, const Request *r, GError **err)
{
  const Object *user = user_of(b, noun, field, r->name);
  return !user || error_false(err, REASON_IN_USE, "kind", schemas[api_rows[r->verb].noun].noun, "name", r->name, "by",
                              schemas[noun].noun, "user", user->name, NULL);
}

/* ── storages ─────────────────────────────────────────────────────────────── */

static bool storage_ok(Brain *b, const Storage *s, GError **err)
{
  for (char **h = s->hosts; h && *h; h++)
    if (!NEED(b, Host, HOST, *h, err))
      return false;
  return true;
}

/* sarangd writes there as root: a caller from elsewhere must not choose any directory of the controller for that. What somebody gave before stays. */
static bool place_may(Brain *b, const Caller *caller, const char *field, const char *path, GError **err)
{
  const StorageGround *ground = b->options.ground;
  if (caller->local || !path || storage_ground_takes(ground, path))
    return true;
  g_autofree char *directories = ground && ground->inside ? g_strjoinv(", ", ground->inside) : g_strdup("");
  return error_false(err, REASON_STORAGE_OUTSIDE, "field", field, "directories", directories, "path", path, NULL);
}

static bool places_may(Brain *b, const Caller *caller, const Storage *old, const Storage *s, GError **err)
{
  bool same = old && !g_strcmp0(old->path, s->path), same_here = old && !g_strcmp0(old->controller_path, s->controller_path);
  return (same || place_may(b, caller, "path", s->path, err)) &&
         (same_here || place_may(b, caller, "controller_path", s->controller_path, err));
}

static bool verb_storage_add(Brain *b, const Request *r, Answer *a, GError **err)
{
  Storage *s = verb_new_object(b, r, NOUN_STORAGE, request_text(r, "name"), err);
  if (!s)
    return false;
  if (!storage_ok(b, s, err) || !places_may(b, &r->caller, NULL, s, err))
    return verb_drop(NOUN_STORAGE, s);
  verb_keep(b, NOUN_STORAGE, s);
  answer_object(b, a, 201, request_text(r, "name"));
  return true;
}

static bool verb_storage_change(Brain *b, const Request *r, Answer *a, GError **err)
{
  Storage *s = verb_changed_object(b, r, NOUN_STORAGE, err);
  if (!s)
    return false;
  if (!storage_ok(b, s, err) || !places_may(b, &r->caller, GET(b, Storage, STORAGE, r->name), s, err))
    return verb_drop(NOUN_STORAGE, s);
  verb_keep(b, NOUN_STORAGE, s);
  all_pools_dirty(b); /* it may take more disks now */
  answer_object(b, a, 200, r->name);
  return true;
}

static bool verb_storage_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (!unused(b, NOUN_IMAGE, "storages", r, err) || !unused(b, NOUN_DESKTOP, "storage", r, err))
    return false;
  state_delete(b->state, NOUN_STORAGE, r->name);
  return true;
}

/* ── images and templates: versions of a family ───────────────────────────── */

int64_t next_version(Brain *b, Noun noun, const char *family)
{
  const Field *f = schema_field(&schemas[noun], "family"), *v = schema_field(&schemas[noun], "version");
  int64_t last = 0;
  g_autoptr(GPtrArray) names = state_names(b->state, noun);
  for (guint i = 0; i < names->len; i++) {
    const Object *object = state_find(b->state, noun, names->pdata[i]);
    if (!g_strcmp0(FIELD_AT(char *, object, f), family))
      last = MAX(last, FIELD_AT(int64_t, object, v));
  }
  return last + 1;
}

char *version_name(const char *family, int64_t version)
{
  return g_strdup_printf("%s@%" G_GINT64_FORMAT, family, version);
}

/* What root imports at the controller root could read anyway; a caller from elsewhere must not get at files of the controller that way. */
static bool source_may(Brain *b, const Caller *caller, const char *source, GError **err)
{
  if (caller->local || path_is_below(b->options.imports, source))
    return true;
  const char *directory = b->options.imports ? b->options.imports : "image.import_directory";
  return error_false(err, REASON_PATH_OUTSIDE, "field", "source", "directory", directory, "path", source, NULL);
}

static bool image_ok(Brain *b, const ImageVersion *image, GError **err)
{
  for (char **s = image->storages; s && *s; s++)
    if (!NEED(b, Storage, STORAGE, *s, err))
      return false;
  if (!image->storages)
    return error_false(err, REASON_MISSING_FIELD, "field", "storages", NULL);
  if (strlen(image->family) + VOLUME_MARK_BYTES > NAME_MAX_BYTES) /* the volume's name holds it, and our mark */
    return error_false(err, REASON_BAD_VALUE, "field", "family", "value", image->family, "limit", "of 54 characters at most", NULL);
  return true;
}

static bool verb_image_import(Brain *b, const Request *r, Answer *a, GError **err)
{
  ImageVersion *image = verb_new_object(b, r, NOUN_IMAGE, NULL, err);
  if (!image)
    return false;
  if (!image_ok(b, image, err) || !source_may(b, &r->caller, image->source, err))
    return verb_drop(NOUN_IMAGE, image);
  image->version = next_version(b, NOUN_IMAGE, image->family);
  image->head.name = version_name(image->family, image->version);
  g_autofree char *owner = volume_owner(b->controller, image->family);
  image->volume = g_strdup_printf("img-%s-v%" G_GINT64_FORMAT ".%s", owner, image->version, image_format_name(image->format));
  g_autofree char *name = g_strdup(image->head.name);
  verb_keep(b, NOUN_IMAGE, image);
  task_begin(b, TASK_IMPORT, NOUN_IMAGE, name, r->caller.user);
  answer_object(b, a, 202, name);
  return true;
}

static bool verb_image_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (!unused(b, NOUN_DESKTOP, "image", r, err) || !unused(b, NOUN_POOL, "image", r, err))
    return false;
  task_drop(b, GET(b, ImageVersion, IMAGE, r->name)->task);
  EDIT(b, ImageVersion, IMAGE, r->name)->state = IMAGE_DELETING;
  task_begin(b, TASK_IMAGE_DELETE, NOUN_IMAGE, r->name, r->caller.user);
  answer_object(b, a, 202, r->name);
  return true;
}

static bool verb_template_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (!unused(b, NOUN_DESKTOP, "template", r, err) || !unused(b, NOUN_POOL, "template", r, err))
    return false;
  state_delete(b->state, NOUN_TEMPLATE, r->name);
  return true;
}

/* ── users and tokens ─────────────────────────────────────────────────────── */

/* What a guest would refuse each time is refused once, here. */
static bool user_ok(const User *user, GError **err)
{
  for (char **key = user->ssh_keys; key && *key; key++)
    if (!ssh_key_check("ssh_keys", *key, err))
      return false;
  return !user->locale || !*user->locale || locale_check("locale", user->locale, err);
}

static bool verb_user_add(Brain *b, const Request *r, Answer *a, GError **err)
{
  const char *name = request_text(r, "name");
  if (!account_check("name", name, err))
    return false;
  User *user = verb_new_object(b, r, NOUN_USER, name, err);
  if (!user)
    return false;
  if (!user_ok(user, err))
    return verb_drop(NOUN_USER, user);
  text_set(&user->password_hash, r->secret_hash);
  text_set(&user->guest_hash, r->guest_hash);
  verb_keep(b, NOUN_USER, user);
  answer_object(b, a, 201, name);
  return true;
}

static bool verb_user_change(Brain *b, const Request *r, Answer *a, GError **err)
{
  User *user = verb_changed_object(b, r, NOUN_USER, err);
  if (!user)
    return false;
  if (!user_ok(user, err))
    return verb_drop(NOUN_USER, user);
  verb_keep(b, NOUN_USER, user);
  reservations_user_changed(b, r->name);
  answer_object(b, a, 200, r->name);
  return true;
}

/* Revokes the user's logins and tokens but the one called keep. */
static void tokens_revoke(Brain *b, const char *user, const char *keep)
{
  g_autoptr(GPtrArray) names = state_user_tokens(b->state, user);
  for (guint i = 0; i < names->len; i++)
    if (g_strcmp0(names->pdata[i], keep))
      state_delete(b->state, NOUN_TOKEN, names->pdata[i]);
}

static bool verb_user_password(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (!r->secret_hash)
    return error_false(err, REASON_MISSING_FIELD, "field", "password", NULL);
  User *user = EDIT(b, User, USER, r->name);
  text_set(&user->password_hash, r->secret_hash);
  text_set(&user->guest_hash, r->guest_hash);
  tokens_revoke(b, r->name, r->caller.token);
  answer_object(b, a, 200, r->name);
  return true;
}

static bool verb_user_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (!unused(b, NOUN_DESKTOP, "owner", r, err))
    return false;
  g_autoptr(GPtrArray) sessions = state_user_sessions(b->state, r->name);
  g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < sessions->len; i++)
    g_ptr_array_add(names, g_strdup(sessions->pdata[i]));
  for (guint i = 0; i < names->len; i++)
    session_end(b, names->pdata[i], END_BY_OPERATOR, r->caller.user);
  tokens_revoke(b, r->name, NULL);
  pace_forget(b, r->name);
  reservations_user_gone(b, r->name);
  state_delete(b->state, NOUN_USER, r->name);
  return true;
}

static void token_add(Brain *b, const Request *r, Answer *a, const char *user, TokenKind kind, int64_t life_s)
{
  g_autofree char *name = brain_number(b, 'k');
  Token *token = state_add(b->state, NOUN_TOKEN, name, b->now_us);
  ref_set(&token->user, user);
  token->kind = kind;
  text_set(&token->title, request_text(r, "title"));
  text_set(&token->hash, r->secret_hash);
  token->expires = life_s ? b->now_us + life_s * SECOND_US : 0;
  a->noun = NOUN_TOKEN;
  answer_object(b, a, 201, name);
}

/* As many as anybody needs, so that one who has a token cannot fill the store with more. */
static bool token_room(Brain *b, const char *user, GError **err)
{
  enum { TOKENS_A_USER = 64 };
  g_autoptr(GPtrArray) names = state_user_tokens(b->state, user);
  int held = 0;
  for (guint i = 0; i < names->len; i++) {
    const Token *token = GET(b, Token, TOKEN, names->pdata[i]);
    held += token->kind == TOKEN_API && token->expires > b->now_us;
  }
  return held < TOKENS_A_USER || error_false(err, REASON_TOKENS_HELD, "user", user, "limit", "64", NULL);
}

static bool token_days(Brain *b, const Request *r, int64_t *ret_days, GError **err)
{
  enum { DAYS = 90, DAYS_MAX = 366 };
  json_t *days = json_object_get(r->body, "days");
  int64_t most = b->options.token_days_max ? b->options.token_days_max : DAYS_MAX;
  *ret_days = days ? json_integer_value(days) : MIN(DAYS, most);
  if (*ret_days >= 1 && *ret_days <= most)
    return true;
  g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT, *ret_days), *limit = g_strdup_printf("from 1 to %" G_GINT64_FORMAT, most);
  return error_false(err, REASON_BAD_VALUE, "field", "days", "value", value, "limit", limit, NULL);
}

static bool verb_token_create(Brain *b, const Request *r, Answer *a, GError **err)
{
  const char *user = request_text(r, "user") ? request_text(r, "user") : r->caller.user;
  int64_t n;
  const char *title = request_text(r, "title");
  if (!token_days(b, r, &n, err) || !NEED(b, User, USER, user, err) || (title && !title_check("title", title, err)) || !token_room(b, user, err))
    return false;
  token_add(b, r, a, user, TOKEN_API, n * 86400);
  return true;
}

/* One event a user and minute. A name that no user has may be a password typed into the wrong field: it is not told. */
static bool login_refused(Brain *b, const Request *r, GError **err)
{
  const char *name = request_text(r, "name");
  const char *user = GET(b, User, USER, name) ? name : "";
  const int64_t *last = g_hash_table_lookup(b->refused, user);
  if (last && b->now_us - *last < REFUSED_EVERY_S * SECOND_US)
    return error_false(err, REASON_BAD_LOGIN, NULL);
  g_hash_table_replace(b->refused, g_strdup(user), g_memdup2(&b->now_us, sizeof b->now_us));
  json_auto_t *detail = json_pack("{ss?}", "from", request_text(r, "from"));
  char *text = json_dumps(detail, JSON_COMPACT);
  brain_event(b, "user.login-refused", NOUN_USER, user, NULL, text);
  free(text);
  return error_false(err, REASON_BAD_LOGIN, NULL);
}

static int64_t last_use_us(const Token *token) { return MAX(token->used, token->head.created_us); }

/* Whoever logs in again and again loses the login that was not used for the longest time; its consoles stay, as when its time is over. */
static void login_room(Brain *b, const char *user)
{
  enum { LOGINS_A_USER = 256 };
  g_autoptr(GPtrArray) names = state_user_tokens(b->state, user);
  const Token *stalest = NULL;
  int held = 0;
  for (guint i = 0; i < names->len; i++) {
    const Token *token = GET(b, Token, TOKEN, names->pdata[i]);
    held += token->kind == TOKEN_LOGIN;
    if (token->kind == TOKEN_LOGIN && (!stalest || last_use_us(token) < last_use_us(stalest)))
      stalest = token;
  }
  if (held < LOGINS_A_USER)
    return;
  consoles_outlive_token(b, stalest->head.name);
  state_delete(b->state, NOUN_TOKEN, stalest->head.name);
}

/* The server has checked the password. */
static bool verb_login(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (r->refused)
    return login_refused(b, r, err);
  const User *user = NEED(b, User, USER, r->caller.user, err);
  if (!user)
    return false;
  if (user->disabled)
    return error_false(err, REASON_USER_DISABLED, "user", r->caller.user, NULL);
  if (r->fresh_hash && !g_strcmp0(user->password_hash, r->old_hash)) /* a password that was set meanwhile stays */
    text_set(&EDIT(b, User, USER, r->caller.user)->password_hash, r->fresh_hash);
  login_room(b, r->caller.user);
  token_add(b, r, a, r->caller.user, TOKEN_LOGIN, LOGIN_LIFE_S);
  return true;
}

/* Operators log people out, but nobody who may do more than they. */
static bool verb_token_revoke(Brain *b, const Request *r, Answer *a, GError **err)
{
  const char *name = GET(b, Token, TOKEN, r->name)->user;
  const User *user = GET(b, User, USER, name);
  if (user && user->role > (int)r->caller.role && g_strcmp0(name, r->caller.user))
    return error_false(err, REASON_DENIED, "verb", "revoke", "noun", "token", "role", role_name(r->caller.role), NULL);
  state_delete(b->state, NOUN_TOKEN, r->name);
  return true;
}

static bool verb_logout(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (r->caller.token && GET(b, Token, TOKEN, r->caller.token))
    state_delete(b->state, NOUN_TOKEN, r->caller.token);
  return true;
}

/* ── tasks ────────────────────────────────────────────────────────────────── */

static bool verb_task_retry(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Task *task = GET(b, Task, TASK, r->name);
  if (task->state != TASK_WAITING)
    return error_false(err, REASON_NO_TRANSITION, "kind", "task", "state", task_state_name(task->state), "move", "be retried", NULL);
  EDIT(b, Task, TASK, r->name)->next_try = b->now_us;
  answer_object(b, a, 200, r->name);
  return true;
}

static bool verb_task_cancel(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Task *task = GET(b, Task, TASK, r->name);
  const Desktop *moving = task->kind == TASK_MIGRATE ? GET(b, Desktop, DESKTOP, task->object) : NULL;
  bool may = task->kind == TASK_PROVISION || task->kind == TASK_IMPORT || task->kind == TASK_POWER || (moving && moving->moving);
  if (!may || task_state_is_final(task->state))
    return error_false(err, REASON_NO_TRANSITION, "kind", "task", "state", task_state_name(task->state), "move", "be cancelled", NULL);
  task_cancel(b, r->name);
  answer_object(b, a, 202, r->name);
  return true;
}

const VerbFn brain_verbs[N_API_VERBS] = {
  [API_HOST_ADD] = verb_host_add,
  [API_HOST_CHANGE] = verb_host_change,
  [API_HOST_DRAIN] = verb_host_drain,
  [API_HOST_ACTIVATE] = verb_host_activate,
  [API_HOST_FENCE] = verb_host_fence,
  [API_HOST_REMOVE] = verb_host_remove,
  [API_GPU_CHANGE] = verb_gpu_change,
  [API_GPU_QUARANTINE] = verb_gpu_quarantine,
  [API_GPU_ACTIVATE] = verb_gpu_activate,
  [API_GPU_REMOVE] = verb_gpu_remove,
  [API_GPU_CLASS_ADD] = verb_gpu_class_add,
  [API_GPU_CLASS_CHANGE] = verb_gpu_class_change,
  [API_GPU_CLASS_REMOVE] = verb_gpu_class_remove,
  [API_LICENCE_ADD] = verb_licence_add,
  [API_LICENCE_CHANGE] = verb_licence_change,
  [API_LICENCE_REMOVE] = verb_licence_remove,
  [API_VGPU_RELEASE] = verb_vgpu_release,
  [API_RESERVATION_ADD] = verb_reservation_add,
  [API_RESERVATION_CHANGE] = verb_reservation_change,
  [API_RESERVATION_REMOVE] = verb_reservation_remove,
  [API_STORAGE_ADD] = verb_storage_add,
  [API_STORAGE_CHANGE] = verb_storage_change,
  [API_STORAGE_REMOVE] = verb_storage_remove,
  [API_IMAGE_IMPORT] = verb_image_import,
  [API_IMAGE_REMOVE] = verb_image_remove,
  [API_TEMPLATE_ADD] = verb_template_add,
  [API_TEMPLATE_REMOVE] = verb_template_remove,
  [API_HOST_REBALANCE] = verb_host_rebalance,
  [API_POOL_CREATE] = verb_pool_create,
  [API_POOL_CHANGE] = verb_pool_change,
  [API_POOL_PAUSE] = verb_pool_pause,
  [API_POOL_RESUME] = verb_pool_resume,
  [API_POOL_DELETE] = verb_pool_delete,
  [API_POOL_PLAN] = verb_pool_plan,
  [API_DESKTOP_START] = verb_desktop_power,
  [API_DESKTOP_SHUTDOWN] = verb_desktop_power,
  [API_DESKTOP_REBOOT] = verb_desktop_power,
  [API_DESKTOP_RESET] = verb_desktop_power,
  [API_DESKTOP_DESTROY] = verb_desktop_power,
  [API_DESKTOP_SUSPEND] = verb_desktop_power,
  [API_DESKTOP_RESUME] = verb_desktop_power,
  [API_DESKTOP_SAVE] = verb_desktop_power,
  [API_DESKTOP_RESTORE] = verb_desktop_power,
  [API_DESKTOP_DISCARD_SAVED] = verb_desktop_power,
  [API_DESKTOP_MAINTAIN] = verb_desktop_maintain,
  [API_DESKTOP_RELEASE] = verb_desktop_release,
  [API_DESKTOP_RETIRE] = verb_desktop_retire,
  [API_DESKTOP_ATTACH_GPU] = verb_desktop_attach_gpu,
  [API_DESKTOP_DETACH_GPU] = verb_desktop_detach_gpu,
  [API_DESKTOP_MIGRATE] = verb_desktop_migrate,
  [API_DESKTOP_SCREENSHOT] = verb_desktop_screenshot,
  [API_SESSION_REQUEST] = verb_session_request,
  [API_SESSION_TICKET] = verb_session_ticket,
  [API_SESSION_END] = verb_session_end,
  [API_SESSION_EXPLAIN] = verb_session_explain,
  [API_TASK_CANCEL] = verb_task_cancel,
  [API_TASK_RETRY] = verb_task_retry,
  [API_USER_ADD] = verb_user_add,
  [API_USER_CHANGE] = verb_user_change,
  [API_USER_PASSWORD] = verb_user_password,
  [API_USER_REMOVE] = verb_user_remove,
  [API_TOKEN_CREATE] = verb_token_create,
  [API_TOKEN_REVOKE] = verb_token_revoke,
  [API_LOGIN] = verb_login,
  [API_LOGOUT] = verb_logout,
  [API_GATEWAY_REDEEM] = verb_gateway_redeem,
  [API_GATEWAY_SYNC] = verb_gateway_sync,
};

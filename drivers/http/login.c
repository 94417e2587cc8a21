/* Logging in, logging out, and who one is. */
#include <string.h>

#include "core/text.h"
#include "drivers/http/body.h"
#include "drivers/http/caller.h"
#include "drivers/http/cookies.h"
#include "drivers/http/reply.h"
#include "drivers/http/runs.h"
#include "drivers/http/secrets.h"
#include "drivers/identity/password.h"

typedef struct {
  char *name, *password, *hash;
  char *fresh;  /* hash of the same password as it is made today, where hash is an older one; else NULL */
  bool fits;
} Login;

static void login_free(void *login)
{
  Login *l = login;
  g_free(l->name);
  secrets_wipe(l->password);
  secrets_wipe(l->hash);
  secrets_wipe(l->fresh);
  g_free(l);
}

static void login_job(Exchange *x)
{
  Login *l = x->work;
  l->fits = password_fits(l->password, l->hash);
  if (l->fits && password_hash_is_old(l->hash))
    l->fresh = password_hash(l->password, NULL); /* without memory for it: the next time */
}

static void refused_noted(Answer *answer, void *data)
{
  answer_free(answer);
}

/* Nobody waits for it: how long it takes would tell whether there is such a user. */
static void refused_note(Exchange *x, const char *name, const char *place)
{
  Request *r = request_new(API_LOGIN);
  r->refused = true;
  r->body = json_pack("{ss ss}", "name", name, "from", place);
  runtime_submit(x->server->runtime, r, refused_noted, NULL);
}

static bool login_checked(Exchange *x, GError **err)
{
  Login *l = x->work;
  g_autofree char *place = secrets_place(x);
  if (!l->fits) {
    refused_note(x, l->name, place);
    return error_false(err, REASON_BAD_LOGIN, NULL);
  }
  throttle_right(x->server->throttle, l->name, place);
  g_free(x->caller.user);
  x->caller.user = g_strdup(l->name);
  x->caller.logged_in = true;
  exchange_request(x, API_LOGIN);
  if (l->fresh) {
    x->request->old_hash = g_steal_pointer(&l->hash);
    x->request->fresh_hash = g_steal_pointer(&l->fresh);
  }
  /* a page says so by this header, and gets a cookie that no script can read; a program gets the token itself */
  return secrets_submit_token(x, x->link->door->kind == DOOR_GATEWAY && !g_strcmp0(x->head.csrf, "1"), err);
}

static bool login_read(Exchange *x, Login *l, GError **err)
{
  json_t *body = x->body_bytes ? body_parse(x->body, x->body_bytes, err) : NULL;
  bool ok = (body || !x->body_bytes) && body_check(API_LOGIN, body, err) && secrets_take(body, "name", &l->name, err) &&
            secrets_take(body, "password", &l->password, err);
  json_decref(body);
  /* what no user can have is not counted, as nothing may be kept of it */
  if (ok && (strlen(l->password) > PASSWORD_MAX_BYTES || !account_check("name", l->name, NULL)))
    return error_false(err, REASON_BAD_LOGIN, NULL);
  return ok;
}

bool login_run(Exchange *x, GError **err)
{
  Login *l = g_new0(Login, 1);
  x->work = l;
  x->free_work = login_free;
  g_autofree char *place = secrets_place(x);
  if (!login_read(x, l, err) || !secrets_try(x, l->name, place, err))
    return false;
  l->hash = secrets_password_hash(x->server, l->name);
  return exchange_work(x, x->server->passwords, (int)x->server->config.http_logins, "waiting logins", login_job, login_checked,
                       err);
}

static bool logged_out(Exchange *x, GError **err)
{
  reply_empty(x, 204);
  reply_header(x, "Set-Cookie", COOKIE_NAME "=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
  return true;
}

bool logout_run(Exchange *x, GError **err)
{
  if (!caller_may(x, NULL, err))
    return false;
  exchange_request(x, API_LOGOUT);
  return exchange_submit(x, logged_out, err);
}

static void append_text(GString *out, const char *name, const char *value)
{
  g_string_append_printf(out, ",\"%s\":", name);
  if (value)
    json_append_text(out, value);
  else
    g_string_append(out, "null");
}

bool me_run(Exchange *x, GError **err)
{
  const Caller *c = &x->caller;
  if (!caller_may(x, NULL, err))
    return false;
  const User *user = c->local ? NULL : (const User *)published_get(runtime_published(x->server->runtime), NOUN_USER, c->user);
  GString *text = g_string_new("{\"name\":");
  json_append_text(text, c->user);
  append_text(text, "role", role_name(c->role));
  append_text(text, "title", user ? user->title : NULL);
  append_text(text, "locale", user ? user->locale : NULL);
  append_text(text, "token", c->token);
  g_string_append_printf(text, ",\"local\":%s}", c->local ? "true" : "false");
  published_drop((void *)user);
  reply_json(x, 200, text);
  return true;
}

#include "drivers/http/secrets.h"

#include <sodium.h>
#include <string.h>

#include "drivers/http/caller.h"
#include "drivers/http/cookies.h"
#include "drivers/http/reply.h"
#include "drivers/identity/password.h"
#include "drivers/identity/token.h"

/* ── texts that must not stay ─────────────────────────────────────────────── */

void secrets_wipe(char *text)
{
  if (text)
    sodium_memzero(text, strlen(text));
  g_free(text);
}

bool secrets_take(json_t *body, const char *member, char **ret_text, GError **err)
{
  json_t *value = json_object_get(body, member);
  const char *text = json_string_value(value);
  *ret_text = NULL;
  if (!value)
    return true;
  if (!text)
    return error_false(err, REASON_BAD_VALUE, "field", member, "value", "…", "limit", "a text", NULL);
  *ret_text = g_strdup(text);
  sodium_memzero((char *)text, json_string_length(value));
  json_object_del(body, member);
  return true;
}

char *secrets_password_hash(Server *server, const char *user)
{
  const User *object = (const User *)published_get(runtime_published(server->runtime), NOUN_USER, user);
  char *hash = object && !object->disabled ? g_strdup(object->password_hash) : NULL;
  published_drop((void *)object);
  return hash;
}

bool secrets_try(Exchange *x, const char *key, const char *place, GError **err)
{
  int seconds = throttle_try(x->server->throttle, key, place, runtime_now_us(x->server->runtime));
  if (!seconds)
    return true;
  g_autofree char *text = g_strdup_printf("%d", seconds);
  return error_false(err, REASON_LOGIN_DELAYED, "seconds", text, NULL);
}

char *secrets_place(const Exchange *x)
{
  const char *client = x->request ? x->request->caller.client : x->caller.client;
  if (client)
    return g_strdup(client);
  return x->link->has_peer ? g_strdup_printf("uid %u", (unsigned)x->link->peer.uid) : g_strdup("gateway");
}

/* ── tokens ───────────────────────────────────────────────────────────────── */

typedef struct {
  char secret[TOKEN_SECRET_CHARS + 1];
  char hash[TOKEN_HASH_CHARS + 1];
  bool as_cookie;
} Minted;

static void minted_free(void *minted)
{
  sodium_memzero(minted, sizeof(Minted));
  g_free(minted);
}

static void set_cookie(Exchange *x, const char *token)
{
  g_autofree char *cookie = g_strconcat(COOKIE_NAME "=", token, "; Path=/; Secure; HttpOnly; SameSite=Strict", NULL);
  reply_header(x, "Set-Cookie", cookie);
  sodium_memzero(cookie, strlen(cookie));
}

/* The answer to a request that came before, by its idempotency key, is of another secret: a token is shown once. */
static bool show_token(Exchange *x, GError **err)
{
  const Minted *minted = x->work;
  const Object *object = x->answer->object;
  bool ours = object && x->answer->noun == NOUN_TOKEN && !g_strcmp0(((const Token *)object)->hash, minted->hash);
  g_autofree char *token = ours ? g_strconcat(object->name, ".", minted->secret, NULL) : NULL;
  if (ours && !minted->as_cookie)
    x->answer->json = g_strdup_printf("{\"token\":\"%s\"}", token);
  reply_answer(x, g_steal_pointer(&x->answer));
  if (ours && minted->as_cookie)
    set_cookie(x, token);
  if (token)
    sodium_memzero(token, strlen(token));
  return true;
}

bool secrets_submit_token(Exchange *x, bool as_cookie, GError **err)
{
  Minted *minted = g_new0(Minted, 1);
  token_make(minted->secret, minted->hash);
  minted->as_cookie = as_cookie;
  if (x->free_work)
    x->free_work(x->work);
  x->work = minted;
  x->free_work = minted_free;
  x->request->secret_hash = g_strdup(minted->hash);
  return exchange_submit(x, show_token, err);
}

/* ── new passwords ────────────────────────────────────────────────────────── */

typedef struct {
  char *new_password, *old_password;
  char *old_hash; /* what old_password must fit */
  char *key;      /* in the throttle */
  bool verify;
} NewPassword;

static void new_password_free(void *data)
{
  NewPassword *p = data;
  secrets_wipe(p->new_password);
  secrets_wipe(p->old_password);
  secrets_wipe(p->old_hash);
  g_free(p->key);
  g_free(p);
}

static void password_job(Exchange *x)
{
  NewPassword *p = x->work;
  if (p->verify && !password_fits(p->old_password, p->old_hash)) {
    error_set(&x->failure, REASON_OLD_PASSWORD, NULL);
    return;
  }
  x->request->secret_hash = password_hash(p->new_password, &x->failure);
  if (x->request->secret_hash)
    x->request->guest_hash = password_guest_hash(p->new_password, &x->failure);
}

static bool password_hashed(Exchange *x, GError **err)
{
  const NewPassword *p = x->work;
  if (p->verify)
    throttle_right(x->server->throttle, p->key, x->request->caller.token);
  return exchange_submit(x, NULL, err);
}

/* Who changes their own password proves that it is them at the keyboard, by the old one; a stolen cookie is not enough. */
static bool check_old(Exchange *x, NewPassword *p, GError **err)
{
  const Caller *caller = &x->request->caller;
  p->verify = x->verb == API_USER_PASSWORD && !caller->local && !g_strcmp0(caller->user, x->name);
  if (!p->verify)
    return true;
  if (!p->old_password)
    return error_false(err, REASON_MISSING_FIELD, "field", "old_password", NULL);
  /* apart from logins: who guesses there must not keep a person from this */
  p->key = g_strconcat("change ", x->name, NULL);
  if (!secrets_try(x, p->key, caller->token, err))
    return false;
  p->old_hash = secrets_password_hash(x->server, x->name);
  return true;
}

static bool run_password(Exchange *x, GError **err)
{
  NewPassword *p = g_new0(NewPassword, 1);
  x->work = p;
  x->free_work = new_password_free;
  json_t *body = x->request->body;
  bool taken = secrets_take(body, "password", &p->new_password, err) && secrets_take(body, "old_password", &p->old_password, err);
  if (!taken || (p->new_password && !password_check("password", p->new_password, err)) || !check_old(x, p, err))
    return false;
  if (!p->new_password)
    return exchange_submit(x, NULL, err); /* a user without one: logs in by tokens alone */
  return exchange_work(x, x->server->passwords, (int)x->server->config.http_logins, "waiting passwords", password_job,
                       password_hashed, err);
}

static bool run_token(Exchange *x, GError **err) { return secrets_submit_token(x, false, err); }

static const ExchangeRun secret_runs[N_API_VERBS] = {
  [API_USER_ADD] = run_password, [API_USER_PASSWORD] = run_password, [API_TOKEN_CREATE] = run_token,
};

bool secrets_in(ApiVerb verb) { return secret_runs[verb]; }
bool secrets_run(Exchange *x, GError **err) { return secret_runs[x->verb](x, err); }

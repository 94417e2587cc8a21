#include "tests/http/fake_runtime.h"

#include <string.h>

#include "drivers/identity/token.h"

typedef struct {
  Request *request;
  RuntimeAnswerFn answer;
  void *data;
} Asked;

struct Runtime {
  Store store;
  Published *published;
  GThread *brain;
  GAsyncQueue *queue;   /* of Asked */
  GMutex mutex;         /* of what follows */
  GCond changed;
  bool held, holding;
  int64_t sequence, number;
  GPtrArray *used;      /* names of tokens */
  GPtrArray *past;      /* of Object, oldest first */
  GError *fail_next;
  GError *failure;      /* of the store's last commit */
  Request *last;
};

static Runtime *the_runtime;

/* ── the store: history alone ─────────────────────────────────────────────── */

static StoreReader *reader_open(Store *store, GError **err)
{
  StoreReader *reader = g_new0(StoreReader, 1);
  reader->driver = store->driver;
  return reader;
}

static void reader_close(StoreReader *reader) { g_free(reader); }

static GPtrArray *history(StoreReader *reader, Noun noun, const char *before, int limit, GError **err)
{
  GPtrArray *found = g_ptr_array_new_with_free_func(published_drop);
  bool begun = !before;
  g_mutex_lock(&the_runtime->mutex);
  for (guint i = the_runtime->past->len; i-- && (int)found->len < limit;) {
    Object *object = the_runtime->past->pdata[i];
    if (object->noun == (int)noun && begun) {
      object_ref(&schemas[noun], object);
      g_ptr_array_add(found, object);
    }
    begun = begun || !strcmp(object->name, before);
  }
  g_mutex_unlock(&the_runtime->mutex);
  return found;
}

static Object *find(StoreReader *reader, Noun noun, const char *name, GError **err)
{
  Object *found = NULL;
  g_mutex_lock(&the_runtime->mutex);
  for (guint i = 0; i < the_runtime->past->len && !found; i++) {
    Object *object = the_runtime->past->pdata[i];
    if (object->noun != (int)noun || strcmp(object->name, name))
      continue;
    object_ref(&schemas[noun], object);
    found = object;
  }
  g_mutex_unlock(&the_runtime->mutex);
  return found ? found : error_null(err, REASON_NOT_FOUND, "kind", schemas[noun].noun, "name", name, NULL);
}

static bool backup(Store *store, const char *path, GError **err)
{
  return g_file_set_contents(path, "a copy", -1, NULL) || error_false(err, REASON_STORE_IO, "detail", "no", NULL);
}

static const StoreDriver fake_store = {
  .scheme = "fake", .backup = backup, .reader_open = reader_open, .reader_close = reader_close, .history = history, .find = find,
};

/* ── objects ──────────────────────────────────────────────────────────────── */

static void apply(Runtime *r, int how, void *take_object)
{
  Object *object = take_object;
  Change change = { object->noun, how, object };
  g_mutex_lock(&r->mutex);
  Batch *batch = batch_new(++r->sequence);
  g_array_append_val(batch->changes, change);
  published_apply(r->published, batch);
  g_mutex_unlock(&r->mutex);
  batch_free(batch);
}

void fake_put(Runtime *r, void *take_object) { apply(r, CHANGE_PUT, take_object); }

void fake_delete(Runtime *r, Noun noun, const char *name)
{
  const Object *object = published_get(r->published, noun, name);
  if (object)
    apply(r, CHANGE_DELETE, (void *)object);
}

void fake_archive(Runtime *r, void *take_object)
{
  g_mutex_lock(&r->mutex);
  g_ptr_array_add(r->past, take_object);
  g_mutex_unlock(&r->mutex);
}

void fake_user(Runtime *r, const char *name, Role role, const char *password_hash, bool disabled)
{
  User *user = (User *)object_new(&schemas[NOUN_USER], NOUN_USER, name);
  user->role = role;
  user->disabled = disabled;
  text_set(&user->password_hash, password_hash);
  fake_put(r, user);
}

static Token *token_add(Runtime *r, const char *user, TokenKind kind, const char *hash, int64_t life_s)
{
  g_mutex_lock(&r->mutex);
  g_autofree char *name = g_strdup_printf("k-%" G_GINT64_FORMAT, ++r->number);
  g_mutex_unlock(&r->mutex);
  Token *token = (Token *)object_new(&schemas[NOUN_TOKEN], NOUN_TOKEN, name);
  ref_set(&token->user, user);
  token->kind = kind;
  text_set(&token->hash, hash);
  token->expires = runtime_now_us(r) + life_s * G_USEC_PER_SEC;
  object_ref(&schemas[NOUN_TOKEN], &token->head);
  fake_put(r, token);
  return token;
}

static char *token_text(Runtime *r, const char *user, TokenKind kind, int64_t life_s)
{
  char secret[TOKEN_SECRET_CHARS + 1], hash[TOKEN_HASH_CHARS + 1];
  token_make(secret, hash);
  Token *token = token_add(r, user, kind, hash, life_s);
  char *text = g_strconcat(token->head.name, ".", secret, NULL);
  published_drop(token);
  return text;
}

char *fake_token(Runtime *r, const char *user, int64_t life_s) { return token_text(r, user, TOKEN_LOGIN, life_s); }
char *fake_api_token(Runtime *r, const char *user, int64_t life_s) { return token_text(r, user, TOKEN_API, life_s); }

/* ── the brain ────────────────────────────────────────────────────────────── */

static Request *request_dup(const Request *from)
{
  Request *r = request_new(from->verb);
  r->caller = from->caller;
  r->caller.user = g_strdup(from->caller.user);
  r->caller.token = g_strdup(from->caller.token);
  r->caller.client = g_strdup(from->caller.client);
  r->name = g_strdup(from->name);
  r->body = json_deep_copy(from->body);
  r->secret_hash = g_strdup(from->secret_hash);
  r->guest_hash = g_strdup(from->guest_hash);
  r->idempotency_key = g_strdup(from->idempotency_key);
  r->expect_generation = from->expect_generation;
  return r;
}

static Answer *answer_to(Runtime *r, const Request *request)
{
  Answer *answer = answer_new(200);
  if (request->verb == API_LOGIN || request->verb == API_TOKEN_CREATE) {
    const char *user = json_string_value(json_object_get(request->body, "user"));
    answer->status = 201;
    answer->noun = NOUN_TOKEN;
    answer->object = (Object *)token_add(r, user ? user : request->caller.user, TOKEN_API, request->secret_hash, 3600);
  } else if (request->verb == API_LOGOUT && request->caller.token) {
    fake_delete(r, NOUN_TOKEN, request->caller.token);
  } else {
    answer->json = g_strdup_printf("{\"verb\":%d}", request->verb);
  }
  return answer;
}

static void serve(Runtime *r, Asked *asked)
{
  g_mutex_lock(&r->mutex);
  r->holding = r->held;
  g_cond_broadcast(&r->changed);
  while (r->held)
    g_cond_wait(&r->changed, &r->mutex);
  r->holding = false;
  request_free(r->last);
  r->last = request_dup(asked->request);
  GError *error = g_steal_pointer(&r->fail_next);
  g_mutex_unlock(&r->mutex);
  asked->answer(error ? answer_new_error(error) : answer_to(r, asked->request), asked->data);
  request_free(asked->request);
  g_free(asked);
}

static void *brain_run(void *runtime)
{
  Runtime *r = runtime;
  for (Asked *asked; (asked = g_async_queue_pop(r->queue))->request;)
    serve(r, asked);
  return NULL;
}

void runtime_submit(Runtime *r, Request *take_request, RuntimeAnswerFn answer, void *data)
{
  g_async_queue_push(r->queue, g_memdup2(&(Asked){ take_request, answer, data }, sizeof(Asked)));
}

void runtime_token_used(Runtime *r, const char *token)
{
  g_mutex_lock(&r->mutex);
  g_ptr_array_add(r->used, g_strdup(token));
  g_mutex_unlock(&r->mutex);
}

int fake_uses(Runtime *r, const char *token)
{
  int n = 0;
  g_mutex_lock(&r->mutex);
  for (guint i = 0; i < r->used->len; i++)
    n += !strncmp(r->used->pdata[i], token, strlen(r->used->pdata[i]));
  g_mutex_unlock(&r->mutex);
  return n;
}

Published *runtime_published(Runtime *r) { return r->published; }
Store *runtime_store(Runtime *r) { return &r->store; }

GError *runtime_store_failure(Runtime *r)
{
  g_mutex_lock(&r->mutex);
  GError *failure = r->failure ? g_error_copy(r->failure) : NULL;
  g_mutex_unlock(&r->mutex);
  return failure;
}

void fake_fail_store(Runtime *r, GError *take_error)
{
  g_mutex_lock(&r->mutex);
  g_clear_error(&r->failure);
  r->failure = take_error;
  g_mutex_unlock(&r->mutex);
}
int64_t runtime_now_us(Runtime *r) { return g_get_real_time(); }

void fake_fail_next(Runtime *r, GError *take_error)
{
  g_mutex_lock(&r->mutex);
  r->fail_next = take_error;
  g_mutex_unlock(&r->mutex);
}

static void hold(Runtime *r, bool held)
{
  g_mutex_lock(&r->mutex);
  r->held = held;
  g_cond_broadcast(&r->changed);
  g_mutex_unlock(&r->mutex);
}

void fake_wait_held(Runtime *r)
{
  g_mutex_lock(&r->mutex);
  while (!r->holding)
    g_cond_wait(&r->changed, &r->mutex);
  g_mutex_unlock(&r->mutex);
}

void fake_hold(Runtime *r) { hold(r, true); }
void fake_release(Runtime *r) { hold(r, false); }

Request *fake_last_request(Runtime *r)
{
  g_mutex_lock(&r->mutex);
  Request *last = g_steal_pointer(&r->last);
  g_mutex_unlock(&r->mutex);
  return last;
}

Runtime *fake_runtime_new(void)
{
  Runtime *r = the_runtime = g_new0(Runtime, 1);
  r->store.driver = &fake_store;
  r->published = published_new(PUBLISHED_CHANGES);
  r->queue = g_async_queue_new();
  r->used = g_ptr_array_new_with_free_func(g_free);
  r->past = g_ptr_array_new_with_free_func(published_drop);
  g_mutex_init(&r->mutex);
  g_cond_init(&r->changed);
  r->brain = g_thread_new("fake-brain", brain_run, r);
  return r;
}

void fake_runtime_free(Runtime *r)
{
  Asked end = { 0 };
  g_async_queue_push(r->queue, &end);
  g_thread_join(r->brain);
  g_async_queue_unref(r->queue);
  published_free(r->published);
  g_ptr_array_unref(r->past);
  g_ptr_array_unref(r->used);
  g_clear_error(&r->fail_next);
  request_free(r->last);
  g_mutex_clear(&r->mutex);
  g_cond_clear(&r->changed);
  g_free(r);
  the_runtime = NULL;
}

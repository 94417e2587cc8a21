#include "drivers/http/exchange.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "drivers/http/body.h"
#include "drivers/http/caller.h"
#include "drivers/http/problem.h"
#include "drivers/http/reply.h"
#include "drivers/http/runs.h"

enum { IDEMPOTENCY_KEY_MAX_BYTES = 64 };

static const ExchangeRun how_runs[] = {
  [HOW_LIST] = list_run, [HOW_GET] = get_run, [HOW_HISTORY] = history_run,
  [HOW_CREATE] = change_run, [HOW_CHANGE] = change_run, [HOW_ACT] = change_run,
};

static const ExchangeRun edge_runs[N_API_VERBS] = {
  [API_LOGIN] = login_run, [API_LOGOUT] = logout_run, [API_ME] = me_run, [API_WATCH] = watch_run,
  [API_STATUS] = status_run, [API_OPENAPI] = openapi_run, [API_METRICS] = metrics_run, [API_BACKUP] = backup_run,
};

static ExchangeRun run_of(ApiVerb verb)
{
  return api_rows[verb].how == HOW_EDGE ? edge_runs[verb] : how_runs[api_rows[verb].how];
}

/* ── a life ───────────────────────────────────────────────────────────────── */

void *exchange_on_uri(void *data, const char *uri, struct MHD_Connection *connection)
{
  const Door *door = data;
  Exchange *x = g_new0(Exchange, 1);
  x->server = door->server;
  x->connection = connection;
  x->link = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
  head_see_uri(&x->line, uri);
  x->verb = N_API_VERBS;
  return x;
}

/* Counted until its answer is out: a server that stops waits for that. */
static bool count_waiting(Exchange *x)
{
  Server *server = x->server;
  g_mutex_lock(&server->mutex);
  bool may = x->counted || !server->stopping;
  server->waiting += may && !x->counted;
  x->counted = x->counted || may;
  g_mutex_unlock(&server->mutex);
  return may;
}

static void uncount_waiting(Exchange *x)
{
  if (!x->counted)
    return;
  g_mutex_lock(&x->server->mutex);
  x->server->waiting--;
  if (x->server->stopping) /* nobody else waits for that, and GLib asks the kernel each time */
    g_cond_broadcast(&x->server->changed);
  g_mutex_unlock(&x->server->mutex);
}

void exchange_on_done(void *data, struct MHD_Connection *connection, void **exchange, enum MHD_RequestTerminationCode code)
{
  Exchange *x = *exchange;
  if (!x)
    return;
  const HttpConfig *config = &x->server->config;
  link_set_deadline(x->link, config->http_idle_s + config->http_head_s);
  uncount_waiting(x);
  if (x->free_work)
    x->free_work(x->work);
  if (x->body)
    sodium_memzero(x->body, x->body_bytes);
  g_free(x->body);
  g_free(x->name);
  g_free(x->caller.user);
  g_free(x->caller.token);
  g_free(x->caller.client);
  arguments_clear(&x->arguments);
  request_free(x->request);
  answer_free(x->answer);
  g_clear_error(&x->refusal);
  g_clear_error(&x->failure);
  g_free(x);
  *exchange = NULL;
}

/* ── what is checked before anything runs ─────────────────────────────────── */

static ApiMethod method_find(const char *text)
{
  ApiMethod method = N_API_METHODS;
  api_method_parse(text, &method);
  return method;
}

/* A change asked for by a browser must come from our own page. */
static bool check_origin(Exchange *x, GError **err)
{
  const Head *head = &x->head;
  if (api_rows[x->verb].method == METHOD_GET)
    return true;
  if (head->origin && !origin_is_of(head->origin, head->host))
    return error_false(err, REASON_FOREIGN_ORIGIN, "origin", head->origin, "host", head->host ? head->host : "", NULL);
  if (x->by_cookie && g_strcmp0(head->csrf, "1"))
    return error_false(err, REASON_CSRF, "header", "X-Sarang-CSRF: 1", NULL);
  return true;
}

static bool check_body_head(Exchange *x, GError **err)
{
  const char *type = x->head.content_type;
  if (!x->head.body_bytes)
    return true;
  if (api_rows[x->verb].method == METHOD_GET)
    return error_false(err, REASON_BAD_REQUEST, "detail", "a GET has no body", NULL);
  size_t length = type ? strcspn(type, "; ") : 0;
  if (length != strlen("application/json") || strncasecmp(type, "application/json", length))
    return error_false(err, REASON_CONTENT_TYPE, "value", type ? type : "", "limit", "application/json", NULL);
  return true;
}

static bool check_key(const char *key, GError **err)
{
  if (!key)
    return true;
  size_t length = strlen(key);
  for (const char *c = key; *c; c++)
    if (*c <= 0x20 || *c >= 0x7f)
      length = 0;
  return (length && length <= IDEMPOTENCY_KEY_MAX_BYTES) ||
         error_false(err, REASON_BAD_VALUE, "field", "Idempotency-Key", "value", key, "limit",
                     "1 to 64 printable ASCII characters", NULL);
}

static bool check_head(Exchange *x, const char *method, GError **err)
{
  x->verb = api_find(method_find(method), x->path, &x->name, err);
  return x->verb != N_API_VERBS && arguments_read(x->connection, &x->arguments, err) && caller_find(x, err) &&
         check_origin(x, err) && check_body_head(x, err) && check_key(x->head.idempotency_key, err);
}

/* ── the stages ───────────────────────────────────────────────────────────── */

static enum MHD_Result send_response(Exchange *x)
{
  x->stage = STAGE_REPLIED;
  link_set_deadline(x->link, x->endless ? 0 : x->server->config.http_body_s);
  enum MHD_Result queued = MHD_queue_response(x->connection, x->status, x->response);
  MHD_destroy_response(x->response);
  x->response = NULL;
  return queued;
}

static enum MHD_Result go_on(Exchange *x, ExchangeRun run)
{
  GError *err = NULL;
  if (!run(x, &err))
    reply_error(x, err);
  return x->response ? send_response(x) : MHD_YES;
}

static enum MHD_Result refuse_now(Exchange *x, GError *take_err)
{
  reply_error(x, take_err);
  return send_response(x);
}

/* Refused before the body came, the connection ends; so a body that is small is read first, and the client may go on. */
static enum MHD_Result at_head(Exchange *x, const char *url, const char *method, const char *version)
{
  GError *err = NULL;
  x->stage = STAGE_BODY;
  x->line.method = method;
  x->line.version = version;
  x->path = url;
  link_set_deadline(x->link, x->server->config.http_body_s);
  if (!head_read(x->connection, &x->line, &x->head, &err))
    return refuse_now(x, err);
  x->lang = lang_pick(x->head.accept_language);
  if (x->head.body_bytes > BODY_MAX_BYTES) {
    error_set(&err, REASON_TOO_LARGE, "what", "the body", "value", x->head.content_length, "limit", "1048576 bytes", NULL);
    return refuse_now(x, err);
  }
  check_head(x, method, &x->refusal);
  return MHD_YES;
}

static enum MHD_Result at_body(Exchange *x, const char *upload, size_t *upload_bytes)
{
  size_t n = *upload_bytes;
  *upload_bytes = 0;
  if (x->refusal || x->body_bytes + n > (size_t)x->head.body_bytes)
    return x->refusal ? MHD_YES : MHD_NO;
  if (!x->body)
    x->body = g_malloc(x->head.body_bytes);
  memcpy(x->body + x->body_bytes, upload, n);
  x->body_bytes += n;
  return MHD_YES;
}

static bool run_refused(Exchange *x, GError **err)
{
  g_propagate_error(err, g_steal_pointer(&x->refusal));
  return false;
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd says which parameters */
enum MHD_Result exchange_on_request(void *door, struct MHD_Connection *connection, const char *url, const char *method,
                                    const char *version, const char *upload, size_t *upload_bytes, void **exchange)
{
  Exchange *x = *exchange;
  switch (x->stage) {
  case STAGE_HEAD:
    return at_head(x, url, method, version);
  case STAGE_BODY:
    if (*upload_bytes)
      return at_body(x, upload, upload_bytes);
    x->stage = STAGE_WORK;
    link_set_deadline(x->link, 0);
    return go_on(x, x->refusal ? run_refused : run_of(x->verb));
  case STAGE_WORK:
    return go_on(x, x->then);
  case STAGE_REPLIED:
    return MHD_NO;
  }
  return MHD_NO;
}

/* ── waiting ──────────────────────────────────────────────────────────────── */

bool exchange_wait(Exchange *x, ExchangeRun then, GError **err)
{
  if (!count_waiting(x))
    return error_false(err, REASON_SHUTTING_DOWN, NULL);
  x->then = then;
  MHD_suspend_connection(x->connection);
  return true;
}

void exchange_resume(Exchange *x) { MHD_resume_connection(x->connection); }

Request *exchange_request(Exchange *x, ApiVerb verb)
{
  x->request = request_new(verb);
  x->request->caller = x->caller;
  memset(&x->caller, 0, sizeof x->caller);
  x->request->name = g_strdup(x->name);
  return x->request;
}

static void on_answer(Answer *answer, void *exchange)
{
  Exchange *x = exchange;
  x->answer = answer;
  exchange_resume(x);
}

static bool take_answer(Exchange *x, GError **err)
{
  if (x->finish && !x->answer->error)
    return x->finish(x, err);
  reply_answer(x, g_steal_pointer(&x->answer));
  return true;
}

bool exchange_submit(Exchange *x, ExchangeRun finish, GError **err)
{
  x->finish = finish;
  if (!exchange_wait(x, take_answer, err))
    return false;
  runtime_submit(x->server->runtime, g_steal_pointer(&x->request), on_answer, x);
  return true;
}

static bool after_work(Exchange *x, GError **err)
{
  if (!x->failure)
    return x->finish(x, err);
  g_propagate_error(err, g_steal_pointer(&x->failure));
  return false;
}

void exchange_work_run(void *exchange, void *data)
{
  Exchange *x = exchange;
  x->job(x);
  exchange_resume(x);
}

bool exchange_work(Exchange *x, GThreadPool *pool, int limit, const char *what, void (*work)(Exchange *x), ExchangeRun then,
                   GError **err)
{
  if ((int)g_thread_pool_unprocessed(pool) >= limit) {
    g_autofree char *most = g_strdup_printf("%d", limit);
    return error_false(err, REASON_SERVER_BUSY, "what", what, "limit", most, NULL);
  }
  x->job = work;
  x->finish = then;
  if (!exchange_wait(x, after_work, err))
    return false;
  g_thread_pool_push(pool, x, NULL);
  return true;
}

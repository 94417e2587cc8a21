#include "core/brain_parts.h"
#include "core/licences.h"
#include "core/ledger.h"
#include "core/reservations.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBERS_AT_ONCE = 256 };

static void pending_call_free(void *call)
{
  g_free(((PendingCall *)call)->object);
  g_free(((PendingCall *)call)->host);
  g_free(((PendingCall *)call)->session);
  g_free(call);
}

static void pending_reply_clear(void *reply)
{
  PendingReply *r = reply;
  answer_free(r->answer);
  g_free(r->object);
}

static void pending_order_clear(void *order)
{
  PendingOrder *o = order;
  g_free(o->task);
  g_free(o->desktop);
  g_free(o->host);
  g_free(o->domain);
  object_unref(&schemas[NOUN_VGPU], (Object *)o->vgpu);
}

static void gate_free(void *queue)
{
  g_queue_free_full(queue, g_free);
}

Brain *brain_new(const BrainOptions *options)
{
  Brain *b = g_new0(Brain, 1);
  b->options = *options;
  b->state = state_new();
  b->replies = g_array_new(FALSE, FALSE, sizeof(PendingReply));
  g_array_set_clear_func(b->replies, pending_reply_clear);
  b->orders = g_array_new(FALSE, FALSE, sizeof(PendingOrder));
  g_array_set_clear_func(b->orders, pending_order_clear);
  b->calls = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, pending_call_free);
  b->dirty_pools = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  b->running = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  b->gates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, gate_free);
  b->refused = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->orphans = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->uses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->denials = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->measures = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->elsewhere = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->moves = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  b->left = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->gateways = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->paces = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  b->rebalancing_us = INT64_MAX;
  b->notices = g_ptr_array_new_with_free_func((GDestroyNotify)g_error_free);
  return b;
}

void brain_free(Brain *b)
{
  if (!b)
    return;
  state_free(b->state);
  g_array_unref(b->replies);
  g_array_unref(b->orders);
  g_hash_table_unref(b->calls);
  g_hash_table_unref(b->dirty_pools);
  g_hash_table_unref(b->running);
  g_hash_table_unref(b->gates);
  g_hash_table_unref(b->orphans);
  g_hash_table_unref(b->refused);
  g_hash_table_unref(b->measures);
  g_hash_table_unref(b->elsewhere);
  g_hash_table_unref(b->moves);
  g_hash_table_unref(b->left);
  g_hash_table_unref(b->gateways);
  g_hash_table_unref(b->paces);
  g_ptr_array_unref(b->notices);
  g_hash_table_unref(b->denials);
  g_clear_pointer(&b->demands, g_hash_table_unref);
  g_hash_table_unref(b->uses);
  g_clear_pointer(&b->placing, g_hash_table_unref);
  g_clear_pointer(&b->ledger, ledger_free);
  g_clear_pointer(&b->rests, g_hash_table_unref);
  g_free(b->mix);
  g_clear_pointer(&b->cards, g_hash_table_unref);
  g_clear_pointer(&b->looks, g_hash_table_unref);
  g_free(b->controller);
  g_free(b->answer_name);
  g_free(b);
}

void brain_load(Object *take_object, void *brain)
{
  state_load(((Brain *)brain)->state, take_object);
}

const char *brain_controller(const Brain *b) { return b->controller; }
const Object *brain_find(Brain *b, Noun noun, const char *name) { return state_find(b->state, noun, name); }
GPtrArray *brain_names(Brain *b, Noun noun) { return state_names(b->state, noun); }

/* ── small things the other files ask for ─────────────────────────────────── */

char *brain_number(Brain *b, char letter)
{
  const Controller *self = GET(b, Controller, CONTROLLER, "controller");
  if (b->next_number >= self->numbers)
    EDIT(b, Controller, CONTROLLER, "controller")->numbers = b->next_number + NUMBERS_AT_ONCE;
  return g_strdup_printf("%c-%" G_GINT64_FORMAT, letter, b->next_number++);
}

void brain_event(Brain *b, const char *kind, Noun noun, const char *object, const char *user, const char *detail)
{
  g_autofree char *name = g_strdup_printf("e-%" G_GINT64_FORMAT, ++b->options.last_event);
  Event *event = state_add(b->state, NOUN_EVENT, name, b->now_us);
  event->number = b->options.last_event;
  ref_set(&event->kind, kind);
  ref_set(&event->noun, schemas[noun].noun);
  text_set(&event->object, object);
  ref_set(&event->user, user ? user : b->actor);
  text_set(&event->detail, detail);
}

char *brain_error_json(const GError *err)
{
  g_autoptr(GString) out = g_string_new(NULL);
  json_append_error(out, err, LANG_EN);
  return g_string_free(g_steal_pointer(&out), FALSE);
}

GError *brain_error_of(const char *text)
{
  json_auto_t *json = text ? json_loads(text, 0, NULL) : NULL;
  const char *code = json_string_value(json_object_get(json, "code"));
  g_autoptr(GPtrArray) pairs = g_ptr_array_new();
  const char *key;
  json_t *value;
  json_object_foreach(json_object_get(json, "args"), key, value) {
    g_ptr_array_add(pairs, (char *)key);
    g_ptr_array_add(pairs, (char *)json_string_value(value));
  }
  g_ptr_array_add(pairs, NULL);
  return error_new_from_pairs(code ? code : "unknown", (const char *const *)pairs->pdata);
}

void brain_call(Brain *b, StepKind kind, const char *desktop, const char *host, const char *about)
{
  bool names_it = kind == STEP_REAP || kind == STEP_MEASURE;
  PendingOrder order = { kind, NULL, b->next_call++, g_strdup(desktop), g_strdup(host), names_it ? g_strdup(about) : NULL, NULL };
  g_array_append_val(b->orders, order);
  PendingCall *call = g_new0(PendingCall, 1);
  call->reply = b->reply;
  call->kind = kind;
  call->object = g_strdup(about);
  call->host = g_strdup(host);
  const Desktop *d = desktop ? GET(b, Desktop, DESKTOP, desktop) : NULL;
  call->session = d ? g_strdup(d->session) : NULL;
  g_hash_table_insert(b->calls, g_memdup2(&order.call, sizeof order.call), call);
}

/* Orders to free that claim whose answers have not come. */
static int reaps_of(Brain *b, const char *claim)
{
  int n = 0;
  GHashTableIter i;
  void *each;
  g_hash_table_iter_init(&i, b->calls);
  while (g_hash_table_iter_next(&i, NULL, &each)) {
    const PendingCall *call = each;
    n += call->kind == STEP_GPU_REAP && !g_strcmp0(call->object, claim);
  }
  return n;
}

void brain_call_reap(Brain *b, const Vgpu *claim, bool unproven)
{
  if (*claim->head.name && !unproven && reaps_of(b, claim->head.name))
    return; /* its answer comes */
  b->reply = NULL;
  brain_call(b, STEP_GPU_REAP, NULL, claim->host, *claim->head.name ? claim->head.name : claim->gpu);
  object_ref(&schemas[NOUN_VGPU], &claim->head);
  PendingOrder *order = &g_array_index(b->orders, PendingOrder, b->orders->len - 1);
  order->vgpu = (Vgpu *)claim;
  order->unproven = unproven;
}

void brain_dirty(Brain *b, const char *pool)
{
  if (pool)
    g_hash_table_add(b->dirty_pools, g_strdup(pool));
}

const Object *brain_need(Brain *b, Noun noun, const char *name, GError **err)
{
  const Object *object = state_find(b->state, noun, name);
  return object ? object : error_null(err, REASON_NOT_FOUND, "kind", schemas[noun].noun, "name", name ? name : "", NULL);
}

void answer_object(Brain *b, Answer *answer, int status, const char *name)
{
  answer->status = status;
  g_free(b->answer_name);
  b->answer_name = g_strdup(name);
}

const char *request_text(const Request *request, const char *member)
{
  return json_string_value(json_object_get(request->body, member));
}

/* ── requests ─────────────────────────────────────────────────────────────── */

static void reply_add(Brain *b, void *reply, Answer *take_answer, char *take_object)
{
  PendingReply r = { reply, take_answer, take_object };
  g_array_append_val(b->replies, r);
}

/* What a new object would be: for whom it is asked. */
static bool asks_for_self(const Request *r)
{
  const char *user = request_text(r, "user");
  return r->caller.user && (!user || !strcmp(user, r->caller.user));
}

static const char *desktop_holder(Brain *b, const Object *object)
{
  const char *name = ((const Desktop *)object)->session;
  const Session *session = name ? GET(b, Session, SESSION, name) : NULL;
  return session ? session->user : NULL;
}

static bool request_allowed(Brain *b, const Request *r, const Object *object, GError **err)
{
  const ApiRow *row = &api_rows[r->verb];
  const char *holder = object && row->noun == NOUN_DESKTOP ? desktop_holder(b, object) : NULL;
  const Token *by = r->caller.token ? GET(b, Token, TOKEN, r->caller.token) : NULL;
  Caller caller = r->caller;
  caller.login = by && by->kind == TOKEN_LOGIN;
  bool mine = r->name ? object_is_mine(&r->caller, row->noun, object, holder) : asks_for_self(r);
  g_autoptr(GError) denied = NULL;
  if (access_check(r->verb, &caller, mine, &denied))
    return true;
  /* who may not even see it is not told that it is there */
  bool sees = !r->name || mine || (r->caller.logged_in && r->caller.role != ROLE_USER);
  if (!sees && r->caller.logged_in)
    return error_false(err, REASON_NOT_FOUND, "kind", schemas[row->noun].noun, "name", r->name, NULL);
  g_propagate_error(err, g_steal_pointer(&denied));
  return false;
}

static bool request_checked(Brain *b, const Request *r, GError **err)
{
  const ApiRow *row = &api_rows[r->verb];
  const Object *object = r->name ? state_find(b->state, row->noun, r->name) : NULL;
  if (!request_allowed(b, r, object, err))
    return false;
  if (r->name && !object)
    return error_false(err, REASON_NOT_FOUND, "kind", schemas[row->noun].noun, "name", r->name, NULL);
  if (!r->expect_generation || !object || r->expect_generation == object->generation)
    return true;
  g_autofree char *found = g_strdup_printf("%" G_GINT64_FORMAT, object->generation);
  g_autofree char *expected = g_strdup_printf("%" G_GINT64_FORMAT, r->expect_generation);
  return error_false(err, REASON_GENERATION, "kind", schemas[row->noun].noun, "name", r->name, "found", found, "expected", expected, NULL);
}

/* ── receipts: a request that comes again with its key gets the answer it got. One that changed nothing has none: it is asked anew ── */

static char *receipt_name(const Request *r)
{
  g_autofree char *text = g_strdup_printf("%s\n%s", r->caller.user ? r->caller.user : "", r->idempotency_key);
  return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

static char *receipt_request(const Request *r)
{
  g_autofree char *body = r->body ? json_dumps(r->body, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
  g_autofree char *text = g_strdup_printf("%d\n%s\n%s", r->verb, r->name ? r->name : "", body ? body : "");
  return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

/* true ⇔ there is a receipt: the answer is made from it, or the request is refused because it is another one. */
static bool receipt_answered(Brain *b, const Request *r, Answer *answer, GError **err)
{
  g_autofree char *name = receipt_name(r);
  const Receipt *receipt = GET(b, Receipt, RECEIPT, name);
  if (!receipt)
    return false;
  g_autofree char *request = receipt_request(r);
  if (g_strcmp0(request, receipt->request)) {
    error_set(err, REASON_RECEIPT_MISMATCH, NULL);
    return true;
  }
  answer->noun = noun_find(receipt->noun);
  answer_object(b, answer, receipt->status, receipt->object);
  return true;
}

/* Of two requests that set different passwords the brain sees the same text: the second would be answered as if it were done. */
static bool key_fits(const Request *r, GError **err)
{
  return !r->idempotency_key || !r->guest_hash ||
         error_false(err, REASON_BAD_REQUEST, "detail",
                     "a request with a new password takes no Idempotency-Key: to send it again does no harm", NULL);
}

/* The receipt that gives way to another one of its person; NULL while there is room. */
static const Receipt *receipt_to_go(Brain *b, const Request *r)
{
  const Receipt *oldest;
  return state_user_receipts(b->state, r->caller.user, &oldest) < RECEIPTS_A_USER ? NULL : oldest;
}

static bool receipt_room(Brain *b, const Request *r, GError **err)
{
  const Receipt *oldest = receipt_to_go(b, r);
  if (!oldest || b->now_us - oldest->head.created_us >= RECEIPT_SURE_US)
    return true;
  g_autofree char *limit = g_strdup_printf("%d", RECEIPTS_A_USER);
  return error_false(err, REASON_KEYS_HELD, "user", r->caller.user, "limit", limit, NULL);
}

static void receipt_keep(Brain *b, const Request *r, const Answer *answer)
{
  const Receipt *oldest = receipt_to_go(b, r);
  if (oldest)
    state_delete(b->state, NOUN_RECEIPT, oldest->head.name);
  g_autofree char *name = receipt_name(r);
  Receipt *receipt = state_add(b->state, NOUN_RECEIPT, name, b->now_us);
  ref_set(&receipt->user, r->caller.user);
  receipt->request = receipt_request(r);
  receipt->status = answer->status;
  text_set(&receipt->noun, schemas[answer->noun].noun);
  text_set(&receipt->object, b->answer_name);
}

/* ── what was asked is told afterwards ────────────────────────────────────── */

static const char *const asked_events[N_API_VERBS] = {
  [API_HOST_ADD] = "host.added",          [API_HOST_CHANGE] = "host.changed",       [API_HOST_REMOVE] = "host.removed",
  [API_LICENCE_ADD] = "licence.added",    [API_LICENCE_CHANGE] = "licence.changed", [API_LICENCE_REMOVE] = "licence.removed",
  [API_RESERVATION_ADD] = "reservation.added", [API_RESERVATION_CHANGE] = "reservation.changed", [API_RESERVATION_REMOVE] = "reservation.removed",
  [API_STORAGE_ADD] = "storage.added",    [API_STORAGE_CHANGE] = "storage.changed", [API_STORAGE_REMOVE] = "storage.removed",
  [API_IMAGE_IMPORT] = "image.added",     [API_IMAGE_REMOVE] = "image.removed",
  [API_TEMPLATE_ADD] = "template.added",  [API_TEMPLATE_REMOVE] = "template.removed",
  [API_POOL_CREATE] = "pool.added",       [API_POOL_CHANGE] = "pool.changed",       [API_POOL_PAUSE] = "pool.paused",
  [API_POOL_DELETE] = "pool.deleting",
  [API_USER_ADD] = "user.added",          [API_USER_CHANGE] = "user.changed",       [API_USER_PASSWORD] = "user.password",
  [API_USER_REMOVE] = "user.removed",
  [API_TOKEN_CREATE] = "token.added",     [API_TOKEN_REVOKE] = "token.removed",
  [API_TASK_CANCEL] = "task.cancelled",
};

static char *token_user(Brain *b, const char *name)
{
  const Token *token = GET(b, Token, TOKEN, name);
  return token ? g_strdup(token->user) : NULL;
}

/* Which fields were changed (never to what: some are long), and whose token it is. */
static char *asked_detail(const Request *r, const char *whose)
{
  json_auto_t *detail = json_object();
  if (whose)
    json_object_set_new(detail, "user", json_string(whose));
  if (api_rows[r->verb].how == HOW_CHANGE) {
    json_t *fields = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(r->body, key, value)
      json_array_append_new(fields, json_string(key));
    json_object_set_new(detail, "fields", fields);
  }
  return json_object_size(detail) ? json_dumps(detail, JSON_COMPACT) : NULL;
}

static void asked_event(Brain *b, const Request *r, const char *whose)
{
  const char *name = r->name ? r->name : b->answer_name;
  g_autofree char *owner = whose ? g_strdup(whose) : token_user(b, name);
  char *detail = asked_detail(r, owner);
  brain_event(b, asked_events[r->verb], api_rows[r->verb].noun, name, NULL, detail);
  free(detail);
}

static bool request_run(Brain *b, const Request *r, Answer *answer, GError **err)
{
  if (!brain_verbs[r->verb])
    return error_false(err, REASON_UNSUPPORTED, "what", api_rows[r->verb].verb, "by", "the controller", NULL);
  if (!request_checked(b, r, err) || !key_fits(r, err))
    return false;
  answer->noun = api_rows[r->verb].noun;
  if (r->idempotency_key && receipt_answered(b, r, answer, err))
    return !*err;
  if ((r->idempotency_key && !receipt_room(b, r, err)) || !pace_allows(b, r, err))
    return false;
  int64_t before = state_changes(b->state);
  g_autofree char *whose = token_user(b, r->name);
  b->actor = r->caller.user;
  bool done = brain_verbs[r->verb](b, r, answer, err);
  if (done && asked_events[r->verb])
    asked_event(b, r, whose);
  b->actor = NULL; /* what follows follows by itself */
  bool changed = state_changes(b->state) != before;
  pace_count(b, r, done, changed || b->deferred);
  if (!done)
    return false;
  if (r->idempotency_key && !b->deferred && changed)
    receipt_keep(b, r, answer);
  return true;
}

static void reconcile_dirty(Brain *b)
{
  for (licences_follow(b); g_hash_table_size(b->dirty_pools); licences_follow(b)) {
    GHashTableIter i;
    void *key;
    g_hash_table_iter_init(&i, b->dirty_pools);
    g_hash_table_iter_next(&i, &key, NULL);
    g_autofree char *name = g_strdup(key);
    g_hash_table_remove(b->dirty_pools, name);
    pool_reconcile(b, name);
  }
  leaving_go_on(b);
  rebalancing_go_on(b);
}

void brain_request(Brain *b, Request *take_request, void *reply, int64_t now_us)
{
  g_autoptr(Request) r = take_request;
  b->now_us = now_us;
  b->reply = reply;
  b->deferred = false;
  g_clear_pointer(&b->answer_name, g_free);
  g_autoptr(Answer) answer = answer_new(200);
  GError *err = NULL;
  if (!request_run(b, r, answer, &err)) {
    reply_add(b, reply, answer_new_error(err), NULL);
    return;
  }
  reconcile_dirty(b);
  if (!b->deferred)
    reply_add(b, reply, g_steal_pointer(&answer), g_steal_pointer(&b->answer_name));
}

/* ── results, observations, time ──────────────────────────────────────────── */

static void screenshot_done(Brain *b, const PendingCall *call, StepResult *result)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, call->object);
  if (!result->error && (!d || g_strcmp0(d->session, call->session)))
    error_set(&result->error, REASON_DESKTOP_CHANGED_HANDS, "desktop", call->object, NULL);
  if (result->error) {
    reply_add(b, call->reply, answer_new_error(g_steal_pointer(&result->error)), NULL);
    return;
  }
  Answer *answer = answer_new(200);
  answer->bytes = g_steal_pointer(&result->picture);
  reply_add(b, call->reply, answer, NULL);
}

/* Its desktop's task has begun another try meanwhile. */
static bool task_frees(Brain *b, const char *claim)
{
  const Vgpu *v = GET(b, Vgpu, VGPU, claim);
  const Desktop *d = v ? GET(b, Desktop, DESKTOP, v->desktop) : NULL;
  const Task *task = d && d->task ? GET(b, Task, TASK, d->task) : NULL;
  return task && task->state == TASK_RUNNING && (task->undoing || !g_strcmp0(task->step, step_rows[STEP_GPU_RELEASE].name));
}

static void gpu_call_done(Brain *b, const PendingCall *call, StepResult *result)
{
  if (call->kind == STEP_GPU_DISCOVER) {
    if (!GET(b, Host, HOST, call->object))
      return;
    gpus_unseen(b, call->object, result->error);
    if (!result->error && result->cards)
      gpus_seen(b, call->object, result, true);
    return;
  }
  /* what is out would free the next one's: the last ends the claim */
  if (result->error || (reaps_of(b, call->object) == 1 && !task_frees(b, call->object)))
    gpu_step_ended(b, NULL, result);
  if (result->error)
    vgpu_not_freed(b, call->object, result->error);
  else if (GET(b, Gpu, GPU, call->object)) /* of a part that no claim stood for */
    brain_event(b, "gpu.orphan-removed", NOUN_GPU, call->object, NULL, NULL);
}

static void call_done(Brain *b, StepResult *result)
{
  PendingCall *call = g_hash_table_lookup(b->calls, &result->call);
  if (!call)
    return;
  if (call->kind == STEP_CONSOLE || call->kind == STEP_GUEST_CONSOLE) {
    Answer *answer = console_call_done(b, call, result);
    reply_add(b, call->reply, answer, NULL);
  } else if (call->kind == STEP_SCREENSHOT) {
    screenshot_done(b, call, result);
  } else if (call->kind == STEP_MEASURE) {
    storage_measured(b, call->object, result);
  } else if (call->kind == STEP_REAP && !result->error) {
    g_autofree char *detail = g_strdup_printf("{\"domain\":\"%s\"}", call->object); /* a UUID */
    brain_event(b, "host.orphan-removed", NOUN_HOST, call->host, NULL, detail);
  } else if (call->kind == STEP_GPU_DISCOVER || call->kind == STEP_GPU_REAP) {
    gpu_call_done(b, call, result);
  }
  g_hash_table_remove(b->calls, &result->call);
}

void brain_result(Brain *b, StepResult *take_result, int64_t now_us)
{
  g_autoptr(StepResult) result = take_result;
  b->now_us = now_us;
  if (result->task)
    task_result(b, result);
  else
    call_done(b, result);
  reconcile_dirty(b);
}

void brain_observe(Brain *b, Observation *take_observation, int64_t now_us)
{
  g_autoptr(Observation) seen = take_observation;
  b->now_us = now_us;
  if (!GET(b, Host, HOST, seen->host))
    return;
  switch (seen->kind) {
  case SAW_HOST:
    host_seen(b, seen);
    break;
  case SAW_SILENT:
    host_silent(b, seen->host, seen->error);
    break;
  case SAW_DOMAINS:
  case SAW_DOMAIN:
  case SAW_NO_DOMAIN:
    domains_seen(b, seen);
    break;
  case SAW_DEVICES:
    gpus_look(b, seen->host, 0);
    break;
  }
  reconcile_dirty(b);
}

static void object_due(Brain *b, Noun noun, const char *name)
{
  switch (noun) {
  case NOUN_TASK:
    task_due(b, name);
    return;
  case NOUN_SESSION:
    session_due(b, name);
    return;
  case NOUN_POOL:
    pool_due(b, name);
    return;
  case NOUN_RELAY:
    relay_due(b, name);
    return;
  case NOUN_DEMAND:
    demand_due(b, name);
    return;
  case NOUN_RESERVATION:
    reservation_due(b, name);
    return;
  case NOUN_TOKEN:
    consoles_outlive_token(b, name);
    state_delete(b->state, noun, name);
    return;
  case NOUN_TICKET:
  case NOUN_RECEIPT:
    state_delete(b->state, noun, name);
    return;
  case NOUN_CONTROLLER:
  case NOUN_HOST:
  case NOUN_GPU:
  case NOUN_GPU_CLASS:
  case NOUN_LICENCE:
  case NOUN_VGPU:
  case NOUN_STORAGE:
  case NOUN_IMAGE:
  case NOUN_TEMPLATE:
  case NOUN_USER:
  case NOUN_DESKTOP:
  case NOUN_EVENT:
  case N_NOUNS:
    g_assert_not_reached();
  }
}

void brain_tick(Brain *b, int64_t now_us)
{
  b->now_us = now_us;
  Noun noun;
  const char *borrowed;
  while (state_next_due(b->state, now_us, &noun, &borrowed)) {
    g_autofree char *name = g_strdup(borrowed);
    object_due(b, noun, name);
  }
  gateways_look(b);
  reconcile_dirty(b);
}

static char *uuid_random(Brain *b)
{
  uint8_t u[16];
  b->options.random(b->options.random_data, u, sizeof u);
  u[6] = (u[6] & 0x0f) | 0x40;
  u[8] = (u[8] & 0x3f) | 0x80;
  return g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5], u[6],
                         u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

void brain_start(Brain *b, int64_t now_us)
{
  b->now_us = now_us;
  /* results of calls that an earlier brain of this process made still come: none of them is an answer to ours */
  b->options.random(b->options.random_data, (uint8_t *)&b->next_call, sizeof b->next_call);
  const Controller *self = GET(b, Controller, CONTROLLER, "controller");
  if (!self) {
    Controller *fresh = state_add(b->state, NOUN_CONTROLLER, "controller", now_us);
    fresh->uuid = uuid_random(b);
    fresh->numbers = 1;
    self = fresh;
  }
  b->controller = g_strdup(self->uuid);
  b->pruned_us = now_us;
  restored_number(b);
  b->next_number = GET(b, Controller, CONTROLLER, "controller")->numbers;
  tasks_resume(b);
  gateways_start(b);
  restored_take_up(b);
  g_autoptr(GPtrArray) pools = state_names(b->state, NOUN_POOL);
  for (guint i = 0; i < pools->len; i++) {
    brain_dirty(b, pools->pdata[i]);
    if (GET(b, Pool, POOL, pools->pdata[i])->rebalance != REBALANCE_NEVER)
      rebalancing_look_soon(b);
  }
  brain_tick(b, now_us);
}

/* ── output ───────────────────────────────────────────────────────────────── */

static void reply_finish(Brain *b, PendingReply *pending, GArray *replies)
{
  Answer *answer = g_steal_pointer(&pending->answer);
  const Object *object = pending->object ? state_find(b->state, answer->noun, pending->object) : NULL;
  if (object) {
    object_ref(&schemas[answer->noun], object);
    answer->object = (Object *)object;
  }
  Reply reply = { pending->reply, answer };
  g_array_append_val(replies, reply);
}

void brain_take_output(Brain *b, Output *ret_output)
{
  uses_write(b);
  past_prune(b);
  orders_count(b);
  Output out = { .replies = g_array_new(FALSE, FALSE, sizeof(Reply)), .orders = g_ptr_array_new() };
  out.batch = state_take_batch(b->state, b->options.sequence + 1);
  if (out.batch)
    b->options.sequence++;
  out.seen = state_take_seen(b->state);
  if (b->notices->len) {
    out.notices = b->notices;
    b->notices = g_ptr_array_new_with_free_func((GDestroyNotify)g_error_free);
  }
  for (guint i = 0; i < b->replies->len; i++)
    reply_finish(b, &g_array_index(b->replies, PendingReply, i), out.replies);
  g_array_set_size(b->replies, 0);
  for (guint i = 0; i < b->orders->len; i++) {
    StepOrder *order = order_make(b, &g_array_index(b->orders, PendingOrder, i));
    if (order)
      g_ptr_array_add(out.orders, order);
  }
  g_array_set_size(b->orders, 0);
  const int64_t wakes[] = { state_wake_us(b->state), gateways_wake_us(b), past_wake_us(b), uses_wake_us(b), b->leaving_us, b->rebalancing_us };
  out.wake_us = INT64_MAX;
  for (size_t i = 0; i < G_N_ELEMENTS(wakes); i++)
    out.wake_us = MIN(out.wake_us, wakes[i]);
  *ret_output = out;
}

void output_clear(Output *output)
{
  batch_free(output->batch);
  for (guint i = 0; output->replies && i < output->replies->len; i++)
    answer_free(g_array_index(output->replies, Reply, i).answer);
  g_clear_pointer(&output->replies, g_array_unref);
  for (guint i = 0; output->orders && i < output->orders->len; i++)
    step_order_free(output->orders->pdata[i]);
  g_clear_pointer(&output->orders, g_ptr_array_unref);
  g_clear_pointer(&output->seen, g_ptr_array_unref);
  g_clear_pointer(&output->notices, g_ptr_array_unref);
  output->batch = NULL;
}

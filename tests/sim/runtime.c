/* Around the brain, the rule of drivers/runtime: batch → durable → answers and orders. Several batches may share a commit; after one that
 * failed the brain is dropped and made again of the store; a crash takes the brain, what was not delivered and what was not begun. */
#include "tests/sim/sim.h"

#include <string.h>

typedef struct {
  AnswerFn fn;
  void *data;
  char *what;
  int life;
} Waiter;

static void pump_soon(Sim *s);

static void sim_random(void *data, uint8_t *bytes, size_t n)
{
  for (size_t i = 0; i < n; i++)
    bytes[i] = (uint8_t)chance_bits(data);
}

Request *ask_new(ApiVerb verb, const char *user, const char *name, const char *body)
{
  Request *r = request_new(verb);
  r->caller = (Caller){ .user = g_strdup(user), .role = g_strcmp0(user, "root") ? ROLE_USER : ROLE_ADMINISTRATOR, .logged_in = user != NULL };
  r->caller.gateway = verb == API_GATEWAY_REDEEM || verb == API_GATEWAY_SYNC;
  r->name = g_strdup(name);
  g_autofree char *json = g_strdelimit(g_strdup(body ? body : "{}"), "'", '"');
  r->body = json_loads(json, 0, NULL);
  g_assert(r->body);
  return r;
}

/* ── going down ───────────────────────────────────────────────────────────── */

static void waiter_answer(Sim *s, Waiter *w, Answer *take_answer)
{
  if (w->life == s->life)
    w->fn(s, take_answer, w->data);
  answer_free(take_answer);
}

static void decisions_drop(Sim *s)
{
  for (Output *out; (out = g_queue_pop_head(&s->decisions));) {
    output_clear(out);
    g_free(out);
  }
}

/* Who waits is told that there is no answer, which says nothing about what was done. */
static GPtrArray *waiting;

static void waiters_lose(Sim *s)
{
  g_autoptr(GPtrArray) lost = waiting;
  waiting = g_ptr_array_new();
  for (guint i = 0; lost && i < lost->len; i++) {
    Waiter *w = lost->pdata[i];
    w->fn(s, NULL, w->data);
  }
}

static void brain_drop(Sim *s)
{
  g_clear_pointer(&s->brain, brain_free);
  s->era++;
  gpus_dropped(s);
  s->wake_us = INT64_MAX;
  decisions_drop(s);
  waiters_lose(s);
}

static void crash(Sim *s)
{
  s->crashes++;
  tell(s, "sarangd is killed");
  s->life++;
  brain_drop(s);
  lanes_crash(s);
  sim_after(s, chance_ms(s, 500, 4000), runtime_boot, NULL);
}

/* What people were promised since the backup is forgotten, and their keys with it. */
void runtime_restore(Sim *s, void *unused)
{
  tell(s, "sarangd is stopped, and the backup restored");
  s->life++;
  brain_drop(s);
  lanes_crash(s);
  store_restore(s);
  gpus_restored(s);
  g_hash_table_remove_all(s->keys);
  memset(s->pool_max, 0, sizeof s->pool_max);
  sim_after(s, chance_ms(s, 500, 4000), runtime_boot, NULL);
}

static void commit_failed(Sim *s)
{
  s->failed_commits++;
  tell(s, "sarangd drops what it knows and reads the store again");
  brain_drop(s);
  sim_after(s, SECOND_US, runtime_boot, NULL);
}

/* ── coming up ────────────────────────────────────────────────────────────── */

static void brain_fill(Sim *s)
{
  for (Noun n = 0; n < N_NOUNS; n++) {
    g_autoptr(GPtrArray) names = sorted_names(s->store.live[n]);
    for (guint i = 0; i < names->len; i++)
      brain_load(object_dup(&schemas[n], g_hash_table_lookup(s->store.live[n], names->pdata[i])), s->brain);
  }
}

void runtime_boot(Sim *s, void *unused)
{
  if (s->brain)
    return;
  BrainOptions options = { .random = sim_random, .random_data = s, .last_event = s->store.last_event, .sequence = s->store.sequence };
  for (Noun n = 0; n < N_NOUNS; n++)
    options.keep_us[n] = store_keep_us(n);
  if (!waiting)
    waiting = g_ptr_array_new();
  s->brain = brain_new(&options);
  brain_fill(s);
  check_durable(s);
  s->wake_us = INT64_MAX;
  s->boot_us = s->now_us;
  brain_start(s->brain, s->now_us);
  check_growth(s);
  tell(s, "sarangd is up, batch %" G_GINT64_FORMAT, s->store.sequence);
  if (fault(s, 50)) {
    crash(s); /* also while it is taking up what was */
    return;
  }
  pump_soon(s);
  for (int i = 0; i < HOSTS; i++)
    world_see_host(s, i);
}

/* ── commits ──────────────────────────────────────────────────────────────── */

static void reply_release(Sim *s, Reply *reply)
{
  Waiter *w = reply->reply;
  Answer *answer = g_steal_pointer(&reply->answer);
  if (!g_ptr_array_remove(waiting, w)) {
    broken(s, "a request is answered once", "a second answer to %s", w->what);
  }
  if (!strcmp(w->what, "gateway: relay sync "))
    ; /* each few seconds: no news */
  else if (answer->error)
    tell(s, "  → %s: %s", w->what, reason_wire(error_reason(answer->error)));
  else
    tell(s, "  → %s: %d %s", w->what, answer->status, answer->object ? answer->object->name : "");
  check_answer(s, answer);
  waiter_answer(s, w, answer);
}

/* A host that is enrolled, also again, is looked at. */
static void hosts_look(Sim *s, const Batch *batch)
{
  for (guint i = 0; batch && i < batch->changes->len; i++) {
    const Change *c = &g_array_index(batch->changes, Change, i);
    if (c->noun == NOUN_HOST && c->how == CHANGE_PUT && ((Host *)c->object)->state == HOST_ENROLLING)
      world_see_host(s, host_index(c->object->name));
  }
}

static void output_release(Sim *s, Output *out)
{
  hosts_look(s, out->batch);
  for (guint i = 0; i < out->replies->len; i++)
    reply_release(s, &g_array_index(out->replies, Reply, i));
  for (guint i = 0; i < out->orders->len; i++)
    lane_order(s, out->orders->pdata[i]);
  g_ptr_array_set_size(out->orders, 0);
  output_clear(out);
  g_free(out);
}

static void decisions_apply(Sim *s, GQueue *decisions)
{
  for (GList *i = decisions->head; i; i = i->next)
    if (((Output *)i->data)->batch)
      store_apply(s, ((Output *)i->data)->batch);
}

/* true ⇔ the answers may leave. */
static bool commit_works(Sim *s)
{
  bool writes = false;
  for (GList *i = s->decisions.head; i; i = i->next)
    writes = writes || ((Output *)i->data)->batch;
  if (!writes)
    return true;
  s->commits++;
  bool dies = fault(s, 3), fails = fault(s, 3), took_effect = chance(s, 500);
  if (!dies && !fails) {
    decisions_apply(s, &s->decisions);
    return true;
  }
  tell(s, "a commit %s and %s", dies ? "is cut short" : "fails", took_effect ? "took effect" : "did not take effect");
  if (took_effect)
    decisions_apply(s, &s->decisions);
  if (dies)
    crash(s);
  else
    commit_failed(s);
  return false;
}

static void commit(Sim *s, void *life)
{
  s->commit_due = false;
  if (!s->brain || !commit_works(s))
    return;
  bool all = g_queue_get_length(&s->decisions) > 0;
  Brain *brain = s->brain;
  GQueue now = s->decisions;
  g_queue_init(&s->decisions);
  for (Output *out; (out = g_queue_pop_head(&now));)
    output_release(s, out);
  if (all && brain == s->brain && !s->pump_due && s->commits % (25 * s->haste) == 0) {
    check_durable(s);
  }
}

static void wake(Sim *s, void *unused)
{
  if (!s->brain || s->wake_us > s->now_us)
    return;
  s->wake_us = INT64_MAX;
  pump_soon(s);
}

static void pump(Sim *s, void *unused)
{
  s->pump_due = false;
  if (!s->brain)
    return;
  brain_tick(s->brain, s->now_us);
  Output *out = g_new0(Output, 1);
  brain_take_output(s->brain, out);
  check_state(s);
  gpus_check(s);
  if (out->wake_us != INT64_MAX && out->wake_us != s->wake_us) {
    s->wake_us = out->wake_us;
    sim_after(s, MAX(s->wake_us - s->now_us, 0), wake, NULL);
  }
  if (!out->batch && !out->replies->len && !out->orders->len) {
    output_clear(out);
    g_free(out);
    return;
  }
  g_queue_push_tail(&s->decisions, out);
  if (!s->commit_due)
    sim_after(s, chance_ms(s, 1, fault(s, 100) ? 400 : 8), commit, NULL);
  s->commit_due = true;
}

/* What comes close together is decided together, and lands in one batch. */
static void pump_soon(Sim *s)
{
  if (!s->pump_due)
    sim_after(s, chance_ms(s, 0, 3), pump, NULL);
  s->pump_due = true;
}

/* ── what goes in ─────────────────────────────────────────────────────────── */

void runtime_ask(Sim *s, Request *take_request, AnswerFn fn, void *data)
{
  Waiter *w = g_new(Waiter, 1);
  const char *user = take_request->caller.user ? take_request->caller.user : "gateway";
  *w = (Waiter){ fn, data, g_strdup_printf("%s: %s %s %s", user, schemas[api_rows[take_request->verb].noun].noun, api_rows[take_request->verb].verb,
                                           take_request->name ? take_request->name : ""), s->life };
  if (!s->brain) {
    request_free(take_request);
    fn(s, NULL, data);
    return;
  }
  if (take_request->verb != API_GATEWAY_SYNC)
    tell(s, "%s", w->what);
  g_ptr_array_add(waiting, w);
  brain_request(s->brain, take_request, w, s->now_us);
  check_growth(s);
  pump_soon(s);
}

void runtime_result(Sim *s, StepResult *take_result)
{
  if (!s->brain || take_result->era != s->era) {
    step_result_free(take_result);
    return;
  }
  const Task *t = take_result->task ? (const Task *)brain_find(s->brain, NOUN_TASK, take_result->task) : NULL;
  bool late = t && (t->step_index != take_result->index || t->attempt != take_result->attempt);
  int64_t index = t ? t->step_index : 0;
  g_autofree char *task = g_strdup(take_result->task);
  brain_result(s->brain, take_result, s->now_us);
  t = late ? (const Task *)brain_find(s->brain, NOUN_TASK, task) : NULL;
  if (t && t->step_index != index)
    broken(s, "a result that is late or doubled changes nothing", "%s went on to step %d", task, (int)t->step_index);
  check_growth(s);
  pump_soon(s);
}

void runtime_observe(Sim *s, Observation *take_observation)
{
  if (!s->brain) {
    observation_free(take_observation);
    return;
  }
  brain_observe(s->brain, take_observation, s->now_us);
  check_growth(s);
  pump_soon(s);
}

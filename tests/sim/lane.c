/* How orders are carried out, as drivers/runtime/lanes.h promises: one after another for a domain in a lane, each with a deadline at which the
 * brain is told TIMEOUT whatever becomes of the call. A call that hangs keeps its domain's lane until it comes back. A crash of the controller
 * takes what waited; what the host was doing it goes on doing. */
#include "tests/sim/sim.h"

#include <string.h>

typedef struct {
  StepOrder *order;
  StepResult *result;
  int64_t end_us;
  int life, boot;
  bool ran, told;
} Job;

typedef struct {
  int host;
  GQueue jobs;   /* the first one runs when busy */
  bool busy;
} Lane;

static void lane_next(Sim *s, Lane *lane);

static char *job_key(const StepOrder *o)
{
  if (step_rows[o->kind].place == ON_FILES)
    return g_strdup_printf("files/%s", o->image ? o->image->head.name : o->storage->head.name);
  bool agent = step_rows[o->kind].place == ON_AGENT || (o->kind == STEP_POWER && o->verb == VERB_SHUTDOWN);
  const Vgpu *v = o->kind == STEP_GPU_REAP ? o->vgpus->pdata[0] : NULL;
  const char *desktop = o->desktop ? o->desktop->head.name : v ? v->desktop : NULL;
  g_autofree char *uuid = desktop ? desktop_domain_uuid(o->controller, desktop) : g_strdup(o->domain ? o->domain : step_rows[o->kind].name);
  return g_strdup_printf("%s/%s/%s", o->host ? o->host->head.name : "", agent ? "agent" : "call", uuid);
}

static Lane *lane_of(Sim *s, const StepOrder *o)
{
  g_autofree char *key = job_key(o);
  Lane *lane = g_hash_table_lookup(s->lanes_by_key, key);
  if (lane)
    return lane;
  lane = g_new0(Lane, 1);
  lane->host = o->host ? host_index(o->host->head.name) : -1;
  g_queue_init(&lane->jobs);
  g_ptr_array_add(s->lanes, lane);
  g_hash_table_insert(s->lanes_by_key, g_steal_pointer(&key), lane);
  return lane;
}

static void told(Sim *s, Job *job, GError *take_error)
{
  if (job->told) {
    g_clear_error(&take_error);
    return;
  }
  job->told = true;
  StepResult *result = take_error ? step_result_new(job->order) : g_steal_pointer(&job->result);
  if (take_error) {
    g_clear_error(&result->error);
    result->error = take_error;
  }
  const StepOrder *o = job->order;
  if (result->error)
    tell(s, "  %s of %s: %s", step_rows[o->kind].name, o->desktop ? o->desktop->head.name : "", reason_wire(error_reason(result->error)));
  else if (o->kind != STEP_GPU_DISCOVER)
    tell(s, "  %s of %s: done", step_rows[o->kind].name, o->desktop ? o->desktop->head.name : "");
  runtime_result(s, result);
}

static GError *error_of(Reason reason, const StepOrder *o)
{
  GError *err = NULL;
  error_set(&err, reason, "what", step_rows[o->kind].name, "host", o->host ? o->host->head.name : "", NULL);
  return err;
}

/* ── one call ─────────────────────────────────────────────────────────────── */

typedef enum { GOES_WELL, FAILS_BEFORE, FAILS_AFTER, COMES_TWICE, ENDS_LATE, N_FATES } Fate;

typedef struct {
  Lane *lane;
  Job *job;
  Fate fate;
} Call;

static void again(Sim *s, void *result)
{
  runtime_result(s, result);
}

static StepResult *result_copy(const StepOrder *o, const StepResult *r)
{
  StepResult *copy = step_result_new(o);
  copy->power = r->power;
  copy->clone = r->clone;
  copy->evidence = g_strdup(r->evidence);
  copy->address = g_strdup(r->address);
  copy->port = r->port;
  copy->password = g_strdup(r->password);
  return copy;
}

static SimDomain *domain_at(Sim *s, const StepOrder *o)
{
  return o->desktop && o->host ? world_domain_of(s, o->desktop->head.name, host_index(o->host->head.name)) : NULL;
}

static void call_run(Sim *s, Call *c)
{
  Job *job = c->job;
  if (c->fate == FAILS_BEFORE) {
    job->result->error = error_of(REASON_HYPERVISOR_REFUSED, job->order);
    return;
  }
  g_clear_error(&job->result->error);
  SimDomain *d = domain_at(s, job->order);
  bool agent = step_rows[job->order->kind].place == ON_AGENT;
  s->cut = job->life != s->life;
  if (agent && d && d->boot != job->boot)
    job->result->error = error_of(REASON_NO_AGENT, job->order); /* it was asked of a guest that is no more */
  else
    job->result->error = world_do(s, job->order, job->result);
  if (c->fate == FAILS_AFTER && !job->result->error)
    job->result->error = error_of(REASON_HYPERVISOR_REFUSED, job->order);
}

static void call_over(Sim *s, void *data)
{
  Call *c = data;
  Job *job = c->job;
  SimHost *host = c->lane->host < 0 ? NULL : &s->hosts[c->lane->host];
  if (host && host->health == SIM_HUNG) {
    sim_after(s, SECOND_US, call_over, c); /* when the host goes on, so does the call */
    return;
  }
  if (host && host->health == SIM_DEAD)
    job->result->error = error_of(REASON_HOST_UNREACHABLE, job->order);
  else
    call_run(s, c);
  if (job->told && !job->result->error)
    tell(s, "  late: %s of %s took effect", step_rows[job->order->kind].name, job->order->desktop ? job->order->desktop->head.name : "");
  if (!job->told && c->fate == COMES_TWICE && !job->result->error)
    sim_after(s, chance_ms(s, 0, 20000), again, result_copy(job->order, job->result));
  told(s, job, NULL);
  g_queue_pop_head(&c->lane->jobs);
  c->lane->busy = false;
  lane_next(s, c->lane);
  g_free(c);
}

static void deadline(Sim *s, void *data)
{
  Job *job = data;
  if (!job->told)
    told(s, job, error_of(REASON_TIMEOUT, job->order));
}

static int64_t call_time(Sim *s, Lane *lane, const StepOrder *o)
{
  bool slow = lane->host >= 0 && s->hosts[lane->host].health == SIM_SLOW;
  SimDomain *d = o->kind == STEP_READY ? world_domain_of(s, o->desktop->head.name, lane->host) : NULL;
  if (d && d->power == POWER_ON && d->booted_us == INT64_MAX)
    return o->timeout_us + SECOND_US;
  if (d && d->power == POWER_ON)
    return MAX(d->booted_us - s->now_us, 0) + chance_ms(s, 1, 500);
  if (o->kind == STEP_MIGRATE)
    return chance_ms(s, 300, 40000);
  return chance_ms(s, 5, slow ? 20000 : 400);
}

static void lane_next(Sim *s, Lane *lane)
{
  while (!lane->busy && !g_queue_is_empty(&lane->jobs)) {
    Job *job = g_queue_peek_head(&lane->jobs);
    if (job->told || job->life != s->life) {
      g_queue_pop_head(&lane->jobs); /* it ran out of time, or of a controller, before its turn came */
      continue;
    }
    Call *c = g_new0(Call, 1);
    *c = (Call){ lane, job, GOES_WELL };
    int64_t time = call_time(s, lane, job->order);
    bool agent = step_rows[job->order->kind].place == ON_AGENT;
    if (fault(s, 40))
      c->fate = chance_below(s, N_FATES);
    else if (agent && fault(s, 30))
      c->fate = ENDS_LATE;
    if (c->fate == ENDS_LATE && job->order->kind == STEP_MIGRATE) /* one that is told to end does, and that is told long before its time is over */
      time += chance_ms(s, 1, 90000);
    else if (c->fate == ENDS_LATE) /* guests hang longer than hosts, and what waits behind them with them */
      time = job->order->timeout_us + chance_ms(s, 1, agent ? 90000 : 30000);
    SimDomain *d = domain_at(s, job->order);
    job->boot = d ? d->boot : 0;
    lane->busy = true;
    sim_after(s, time, call_over, c);
  }
}

void lane_order(Sim *s, StepOrder *take_order)
{
  Job *job = g_new0(Job, 1);
  take_order->era = s->era;
  gpus_ordered(s, take_order);
  *job = (Job){ take_order, step_result_new(take_order), s->now_us + take_order->timeout_us, s->life, 0, false, false };
  if (take_order->kind != STEP_CONSOLE && take_order->kind != STEP_GPU_DISCOVER)
    tell(s, "  order %s of %s%s%s (%s, try %d)", step_rows[take_order->kind].name, take_order->desktop ? take_order->desktop->head.name : "",
         take_order->host ? " on " : "", take_order->host ? take_order->host->head.name : "", take_order->task ? take_order->task : "no task",
         take_order->attempt);
  Lane *lane = lane_of(s, take_order);
  if (lane->host >= 0 && s->hosts[lane->host].silent) {
    told(s, job, error_of(REASON_HOST_UNREACHABLE, take_order)); /* the breaker is open */
    return;
  }
  if (!take_order->host && step_rows[take_order->kind].place != ON_FILES) {
    told(s, job, error_of(REASON_NOT_FOUND, take_order));
    return;
  }
  /* the brain gives up by itself a little later than the lane; now and then the lane is the later one */
  sim_after(s, take_order->timeout_us + (fault(s, 20) ? 20 * SECOND_US : 0), deadline, job);
  g_queue_push_tail(&lane->jobs, job);
  lane_next(s, lane);
}

void lanes_crash(Sim *s)
{
  for (guint i = 0; i < s->lanes->len; i++) {
    Lane *lane = s->lanes->pdata[i];
    while (g_queue_get_length(&lane->jobs) > (lane->busy ? 1 : 0))
      g_queue_pop_tail(&lane->jobs);
  }
}

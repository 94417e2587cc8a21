/* Live migration: each step looks at one host and says what is there. None starts a domain; what is ended or forgotten is a half that never ran, or a
 * definition of what runs elsewhere. */
#include "drivers/runtime/steps_parts.h"

enum { GIVE_UP_US = 45 * 1000 * 1000, STOP_S = 40 };

static const char *desktop_of(const StepRun *run) { return run->order->desktop->head.name; }

/* *ret_facts NULL: it is not there. */
static bool look(StepRun *run, const char *uuid, DomainFacts **ret_facts, GError **err)
{
  g_autoptr(GError) why = NULL;
  *ret_facts = NULL;
  if (hypervisor_look(run->hypervisor, uuid, ret_facts, &why) || error_is(why, REASON_NOT_FOUND))
    return true;
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

static bool is_active(const DomainFacts *facts) { return facts && (facts->state == DOMAIN_ON || facts->state == DOMAIN_SUSPENDED); }

/* What a migration has made over there until it ends: paused, and nowhere written down. */
static bool is_half(const DomainFacts *facts) { return facts && facts->state == DOMAIN_SUSPENDED && facts->transient; }

static bool runs_twice(const StepRun *run, GError **err)
{
  return error_false(err, REASON_RUNS_TWICE, "desktop", desktop_of(run), "host", run->order->host->head.name, NULL);
}

bool run_leave(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(DomainFacts) facts = NULL;
  if (!look(run, uuid, &facts, err))
    return false;
  if (is_active(facts))
    return runs_twice(run, err);
  return !facts || hypervisor_undefine(run->hypervisor, uuid, err);
}

bool run_aim(StepRun *run, GError **err)
{
  return run_leave(run, err) && run_find_disk(run, err);
}

bool run_migrate(StepRun *run, GError **err)
{
  const StepOrder *o = run->order;
  g_autofree char *uuid = step_uuid(o), *listen = NULL;
  g_autoptr(DomainFacts) facts = NULL;
  const char *uri = o->other ? hypervisor_migrate_uri(o->other->migrate_uri, o->other->uri) : NULL;
  if (!uri)
    return error_false(err, REASON_MOVE_UNKNOWN_WAY, "host", o->other ? o->other->head.name : "", NULL);
  if (!(listen = hypervisor_console_address(o->other->uri, o->other->console_address, err)) ||
      !look(run, uuid, &facts, err))
    return false;
  if (!facts)
    return true; /* it has gone: where to, the next step sees */
  if (!step_meant(run, uuid, err))
    return false;
  Migration how = {
    .to = uri, .listen = listen, .tunnel = o->other->migrate_way == MIGRATE_TUNNEL, .tls = o->other->migrate_way == MIGRATE_TLS,
    .coherent = o->storage && o->storage->coherent, .most_mib_s = o->host->migrate_mib_s, .downtime_ms = (int)o->host->migrate_pause_ms,
    .until_us = run->deadline_us - GIVE_UP_US, .progress = run->progress, .data = run->progress_data,
  };
  if (g_get_monotonic_time() >= how.until_us) /* the looks hung, and whoever asked may have turned back since */
    return error_false(err, REASON_TIMEOUT, "what", "the looks before a move", "limit", "its time", NULL);
  g_autoptr(GError) why = NULL;
  if (hypervisor_migrate(run->hypervisor, uuid, &how, &why) || error_is(why, REASON_NOT_FOUND))
    return true;
  g_propagate_error(err, g_steal_pointer(&why));
  return false;
}

bool run_arrive(StepRun *run, GError **err)
{
  const Desktop *d = run->order->desktop;
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(DomainFacts) facts = NULL;
  if (!look(run, uuid, &facts, err))
    return false;
  if (!facts || is_half(facts) || !facts->owner.ours || facts->owner.generation != d->clone)
    return error_false(err, REASON_NOT_ARRIVED, "desktop", d->head.name, "host", run->order->host->head.name, NULL);
  if (!power_state_parse(domain_state_name(facts->state), &run->result->power))
    run->result->power = POWER_UNKNOWN;
  return true;
}

bool run_stay(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(DomainFacts) facts = NULL;
  g_autoptr(GError) why = NULL;
  if (!hypervisor_migrate_stop(run->hypervisor, uuid, STOP_S, &why) && !error_is(why, REASON_UNSUPPORTED)) {
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
  }
  if (!look(run, uuid, &facts, err))
    return false;
  run->result->power = POWER_OFF;
  return !facts || power_state_parse(domain_state_name(facts->state), &run->result->power) || true;
}

/* The desktop is active at its own host: the step before has seen it. */
bool run_sweep(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(DomainFacts) facts = NULL;
  if (!look(run, uuid, &facts, err))
    return false;
  if (!facts)
    return true;
  if (is_active(facts) && !is_half(facts))
    return runs_twice(run, err);
  return (!is_active(facts) || hypervisor_power(run->hypervisor, uuid, DOMAIN_DESTROY, err)) && hypervisor_undefine(run->hypervisor, uuid, err);
}

#include "drivers/runtime/steps.h"

#include <string.h>

#include "drivers/runtime/steps_parts.h"

static bool power_seen(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  g_autoptr(DomainFacts) facts = NULL;
  if (!hypervisor_look(run->hypervisor, uuid, &facts, err))
    return false;
  if (!power_state_parse(domain_state_name(facts->state), &run->result->power))
    run->result->power = POWER_UNKNOWN;
  return true;
}

/* A domain that is not there is as off as can be. */
static bool ignore_missing(bool ok, GError **err)
{
  if (ok || !error_is(*err, REASON_NOT_FOUND))
    return ok;
  g_clear_error(err);
  return true;
}

static bool run_start(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  if (step_reads_serial(run->order)) {
    SerialText text = { 0 };
    if (!hypervisor_serial(run->hypervisor, uuid, 0, &text, err))
      return false;
    serial_text_clear(&text);
  }
  if (step_runs_without_gpu(run->order) && !ignore_missing(hypervisor_power(run->hypervisor, uuid, DOMAIN_DESTROY, err), err))
    return false;
  run->result->power = POWER_ON; /* as the host has just said: the guest's own words are the next step's */
  return hypervisor_power(run->hypervisor, uuid, DOMAIN_START, err);
}

static bool run_power_off(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  run->result->power = POWER_OFF;
  return ignore_missing(hypervisor_power(run->hypervisor, uuid, DOMAIN_DESTROY, err), err);
}

static bool run_undefine(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  return ignore_missing(hypervisor_undefine(run->hypervisor, uuid, err), err);
}

static bool run_power(StepRun *run, GError **err)
{
  static const DomainVerb verbs[N_POWER_VERBS] = {
    [VERB_START] = DOMAIN_START, [VERB_SHUTDOWN] = DOMAIN_SHUTDOWN, [VERB_REBOOT] = DOMAIN_REBOOT, [VERB_RESET] = DOMAIN_RESET,
    [VERB_DESTROY] = DOMAIN_DESTROY, [VERB_SUSPEND] = DOMAIN_SUSPEND, [VERB_RESUME] = DOMAIN_RESUME, [VERB_SAVE] = DOMAIN_SAVE,
    [VERB_RESTORE] = DOMAIN_RESTORE, [VERB_DISCARD_SAVED] = DOMAIN_FORGET_SAVED,
  };
  g_autofree char *uuid = step_uuid(run->order);
  if (!step_meant(run, uuid, err))
    return false;
  bool ok = run->order->verb == VERB_SHUTDOWN
              ? hypervisor_shutdown(run->hypervisor, uuid, run->order->desktop->clone,
                                    run->deadline_us - g_get_monotonic_time() - 5 * G_USEC_PER_SEC, err)
              : hypervisor_power(run->hypervisor, uuid, verbs[run->order->verb], err);
  return ok && power_seen(run, err);
}

static bool run_console(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  if (!step_meant(run, uuid, err))
    return false;
  run->result->password = step_password_new();
  const Host *host = run->order->host;
  run->result->address = hypervisor_console_address(host->uri, host->console_address, err);
  if (!run->result->address)
    return false;
  ConsoleKey key = { CONSOLE_VNC, run->result->password, STEP_PASSWORD_S };
  DomainConsole console = { 0 };
  if (!hypervisor_console(run->hypervisor, uuid, &key, &console, err))
    return false;
  run->result->port = console.port;
  domain_console_clear(&console);
  return true;
}

static bool run_screenshot(StepRun *run, GError **err)
{
  g_autofree char *uuid = step_uuid(run->order);
  return step_meant(run, uuid, err) && hypervisor_screenshot(run->hypervisor, uuid, &run->result->picture, err);
}

static bool run_reap(StepRun *run, GError **err)
{
  const char *uuid = run->order->domain;
  return ignore_missing(hypervisor_power(run->hypervisor, uuid, DOMAIN_DESTROY, err), err) &&
         ignore_missing(hypervisor_undefine(run->hypervisor, uuid, err), err);
}

typedef bool (*RunFn)(StepRun *run, GError **err);

static const RunFn runs[N_STEPS] = {
  [STEP_CLONE] = run_clone,
  [STEP_SEED] = run_seed,
  [STEP_SEED_PERSON] = run_seed_person,
  [STEP_FIND_DISK] = run_find_disk,
  [STEP_DEFINE] = run_define,
  [STEP_START] = run_start,
  [STEP_READY] = run_ready,
  [STEP_PERSONALISE] = run_personalise,
  [STEP_POWER_OFF] = run_power_off,
  [STEP_UNDEFINE] = run_undefine,
  [STEP_DELETE_OLD] = run_delete_old,
  [STEP_DELETE_VOLUMES] = run_delete_volumes,
  [STEP_PROVE] = run_prove,
  [STEP_POWER] = run_power,
  [STEP_IMPORT] = run_import,
  [STEP_DELETE_IMAGE] = run_delete_image,
  [STEP_CONSOLE] = run_console,
  [STEP_GUEST_CONSOLE] = run_guest_console,
  [STEP_SCREENSHOT] = run_screenshot,
  [STEP_REAP] = run_reap,
  [STEP_MEASURE] = run_measure,
  [STEP_GPU_MAKE] = run_gpu_make,
  [STEP_GPU_RELEASE] = run_gpu_release,
  [STEP_GPU_REAP] = run_gpu_release,
  [STEP_GPU_PLUG] = run_gpu_plug,
  [STEP_GPU_UNPLUG] = run_gpu_unplug,
  [STEP_AIM] = run_aim,
  [STEP_MIGRATE] = run_migrate,
  [STEP_ARRIVE] = run_arrive,
  [STEP_LEAVE] = run_leave,
  [STEP_STAY] = run_stay,
  [STEP_SWEEP] = run_sweep,
  [STEP_GPU_DISCOVER] = run_gpu_discover,
};

void step_run(StepRun *run)
{
  GError *err = NULL;
  if (!runs[run->order->kind](run, &err))
    run->result->error = err;
}

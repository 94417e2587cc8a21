/* Steps made real: what a StepOrder means in terms of hypervisors, volumes and guests. Each is idempotent. Called on lane threads or file workers, with
 * everything it needs in the order. */
#pragma once

#include <gio/gio.h>

#include "core/ground.h"
#include "core/guestnet.h"
#include "core/step.h"
#include "drivers/hypervisor/hypervisor.h"

/* What hosts have already found valid: the desktops of a pool differ in names alone, and a look at the whole schema costs a host tens of ms. Any thread. */
typedef struct StepMemo StepMemo;
StepMemo *step_memo_new(void);
void step_memo_free(StepMemo *memo);

typedef struct {
  bool allow_plain_tcp;
  bool never_kvm;
  StepMemo *memo;  /* NULL = a host looks at every definition */
  const StorageGround *ground;  /* storages in it lead nowhere else, see VolumesOptions; NULL = none is held to anything */
  const GuestNetworks *guest_networks;  /* where servers in guests may be dialled; NULL = nowhere */
} StepOptions;

/* Runs order with the host's connection (NULL for one on files) and fills result (error included) by deadline_us, monotonic.
 * progress, if not NULL, hears of IMPORT's percentage. */
typedef struct {
  const StepOrder *order;
  StepResult *result;
  Hypervisor *hypervisor;
  const StepOptions *options;
  int64_t deadline_us;
  GCancellable *cancel;
  void (*progress)(int pct, void *data);
  void *progress_data;
  bool not_yet;  /* out: READY looked, and the guest is not there yet: look again */
} StepRun;

void step_run(StepRun *run);

/* Whether the step waits for a line on the serial console. It must share the connection that starts domains, which collects what they say. */
bool step_listens(const StepOrder *order);

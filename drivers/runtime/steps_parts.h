/* What the files of the steps share: steps.c (power, consoles), steps_disk.c (disks, domains), steps_image.c, steps_guest.c (readiness, people, proof), steps_screen.c (screens that are servers in guests), steps_move.c (live migration). */
#pragma once

#include "core/template/domain.h"
#include "drivers/guest/guest.h"
#include "drivers/runtime/steps.h"
#include "drivers/volume/volume.h"

bool run_clone(StepRun *run, GError **err);
bool run_seed(StepRun *run, GError **err);
bool run_seed_person(StepRun *run, GError **err);
bool run_find_disk(StepRun *run, GError **err);
bool run_define(StepRun *run, GError **err);
bool run_delete_old(StepRun *run, GError **err);
bool run_delete_volumes(StepRun *run, GError **err);
bool run_measure(StepRun *run, GError **err);
bool run_import(StepRun *run, GError **err);
bool run_delete_image(StepRun *run, GError **err);
bool run_ready(StepRun *run, GError **err);
bool run_personalise(StepRun *run, GError **err);
bool run_prove(StepRun *run, GError **err);
bool run_aim(StepRun *run, GError **err);
bool run_migrate(StepRun *run, GError **err);
bool run_arrive(StepRun *run, GError **err);
bool run_leave(StepRun *run, GError **err);
bool run_stay(StepRun *run, GError **err);
bool run_sweep(StepRun *run, GError **err);
bool run_gpu_discover(StepRun *run, GError **err);
bool run_gpu_make(StepRun *run, GError **err);
bool run_gpu_release(StepRun *run, GError **err);
bool run_gpu_plug(StepRun *run, GError **err);
bool run_gpu_unplug(StepRun *run, GError **err);
/* The <hostdev>s of the parts of the order, owned by the caller; *ret_screen: one of them is the guest's screen. */
bool step_hostdevs(const StepRun *run, GStrv *ret_xmls, bool *ret_screen, GError **err);
/* A part was made since the domain was started last: if it runs, it runs without. */
bool step_runs_without_gpu(const StepOrder *order);

/* A storage, by the driver that follows from what is known of it and of host, which may be NULL. */
Volumes *step_storage_open(const StepRun *run, const Storage *storage, const Host *host, GError **err);
/* The domain's UUID; owned by the caller. */
char *step_uuid(const StepOrder *order);
/* The domain is of the generation that the order speaks of; else DESKTOP_PASSED_ON: it was reset since, and may be somebody else's.
 * Orders of one lane keep their order for a domain; one that waited in another lane (for a guest) may come after a reset. */
bool step_meant(const StepRun *run, const char *uuid, GError **err);
/* The person as a guest must know them; borrowed from user. */
GuestPerson step_person(const User *user);
/* The template of the order, read; owned by the caller. */
DomainTemplate *step_template(const StepOrder *order, GError **err);
bool step_reads_serial(const StepOrder *order);
/* memo may be NULL: nothing is known, and nothing is kept. */
bool step_memo_has(StepMemo *memo, const char *key);
void step_memo_add(StepMemo *memo, const char *key);
/* Eight characters of 64: VNC's passwords hold no more. Good for one connect, for some seconds; owned by the caller. */
char *step_password_new(void);
/* How long such a password is good: the gateway connects at once. */
enum { STEP_PASSWORD_S = 20 };
/* The guest of the generation that the order speaks of, asked through wire, which must outlive it; until the step's deadline. */
typedef struct {
  const StepRun *run;
  const char *uuid;
} MeantGuest;
Guest step_meant_guest(const MeantGuest *wire);
/* The server in the guest that is its screen greets; else why not, and whether to look again (run->not_yet). */
bool step_screen_ready(StepRun *run, const DomainTemplate *t, GError **err);
bool run_guest_console(StepRun *run, GError **err);
/* n bytes of the kernel's randomness. */
void step_random(void *bytes, size_t n);

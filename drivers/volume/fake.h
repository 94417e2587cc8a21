/* The script of the fake storage: what its next calls do instead of working. The fake is the driver VOLUMES_FAKE; a storage
 * is known by its path, lives in this process, outlives its Volumes as a disk outlives a mount, and keeps bytes sparsely (a
 * fresh overlay costs some 400 bytes). Any thread. */
#pragma once

#include "drivers/volume/volume.h"

#define VOLUME_VERBS(X) \
  X(VOLUME_VERB_OPEN, "open") X(VOLUME_VERB_SPACE, "space") X(VOLUME_VERB_LIST, "list") X(VOLUME_VERB_LOOK, "look") \
  X(VOLUME_VERB_READ, "read") X(VOLUME_VERB_PUT, "put") X(VOLUME_VERB_COPY, "copy") X(VOLUME_VERB_DELETE, "delete")
ENUM_DECLARE(VolumeVerb, volume_verb, VOLUME_VERBS, N_VOLUME_VERBS)

/* FAIL: IO error, nothing done. AFTER: done, then an IO error, as when the answer is lost. SLOW: as long as delay_us, then
 * done. HANG: until deadline or cancellation. CUT: a put stops after cut_bytes of content with an IO error. */
#define VOLUME_FAULTS(X) \
  X(VOLUME_FAULT_FAIL, "fail") X(VOLUME_FAULT_AFTER, "after") X(VOLUME_FAULT_SLOW, "slow") X(VOLUME_FAULT_HANG, "hang") \
  X(VOLUME_FAULT_CUT, "cut")
ENUM_DECLARE(VolumeFault, volume_fault, VOLUME_FAULTS, N_VOLUME_FAULTS)

typedef struct {
  VolumeVerb verb;
  VolumeFault fault;
  int times; /* so many calls of the verb; -1 = all from now on */
  int64_t delay_us, cut_bytes;
} VolumeFakeFault;

/* Takes the place of the verb's fault; times 0 ends it. */
void volume_fake_script(const char *path, const VolumeFakeFault *fault);
/* Bytes that may be allocated on it (default: 1 TiB). */
void volume_fake_resize(const char *path, int64_t total_bytes);
/* Puts a file there behind everybody's back, foreign names too; bytes NULL: takes one away. */
void volume_fake_plant(const char *path, const char *name, GBytes *bytes);
/* The disk is gone, with all that was on it. No Volumes of it may be open. */
void volume_fake_forget(const char *path);

/* What `nvidia-smi mig` prints, parsed strictly: https://docs.nvidia.com/datacenter/tesla/mig-user-guide/ (GPU instance profiles,
 * placements, instances). Pure. */
#pragma once

#include "core/error.h"

typedef struct {
  char *name;       /* "1g.10gb", "1g.10gb+me" */
  int id;           /* of the profile */
  int free, total;
  int size;         /* memory slices, of -lgipp; 0 until told */
  GArray *starts;   /* of int, of -lgipp: where one may begin now */
} MigProfile;

typedef struct {
  char *profile;
  int profile_id, id;   /* id: GPU instance */
  int start, size;
} MigInstance;

void mig_profile_free(MigProfile *profile);
void mig_instance_free(MigInstance *instance);

/* -lgip. GPtrArray of MigProfile *. GPU_FACTS where a row of the table is another than is known here. */
bool mig_profiles_parse(const char *host, const char *text, GPtrArray **ret_profiles, GError **err);
/* -lgipp: fills size and starts. A profile that is not among them is left out. */
bool mig_placements_parse(const char *host, const char *text, GPtrArray *profiles, GError **err);
/* -lgi. GPtrArray of MigInstance *; none where it says that there are none. */
bool mig_instances_parse(const char *host, const char *text, GPtrArray **ret_instances, GError **err);

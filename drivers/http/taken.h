/* How much of each host is taken, for lists, single hosts and streams of changes: summed from the published desktops. Internal to drivers/http. */
#pragma once

#include "drivers/runtime/published.h"

typedef struct Taken Taken;

/* host: its name, or NULL for all. Any thread. */
Taken *taken_new(Published *published, const char *host);
void taken_free(Taken *taken);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Taken, taken_free)

/* What the desktops of one host have. */
typedef struct {
  int64_t desktops, vcpus, memory_mib;
  int64_t huge_mib;   /* of those whose memory is huge pages: not in memory_mib */
} TakenSum;
TakenSum taken_of(const Taken *taken, const char *host);

/* Adds "desktops", "vcpus_used", "vcpus_total", "memory_used_mib", "memory_total_mib", "huge_used_mib" and "huge_free_mib" to the JSON object that
 * out ends with. */
void taken_append(const Taken *taken, const Host *host, GString *out);

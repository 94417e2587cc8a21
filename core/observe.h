/* Observations: what was seen on a host, as values. Drivers make them, the brain compares them with what it wants. SAW_DEVICES: its cards, or
 * what is on them, may have changed; it holds nothing more, as they are read again. */
#pragma once

#include "core/model.h"

typedef enum { SAW_HOST, SAW_SILENT, SAW_DOMAINS, SAW_DOMAIN, SAW_NO_DOMAIN, SAW_DEVICES } ObservationKind;

typedef struct {
  char uuid[37];      /* lower case */
  char *desktop;      /* of our owner element; NULL = foreign */
  bool ours;          /* the owner element names this controller */
  bool transient;     /* it runs without a definition: somebody took that away */
  int64_t clone;      /* generation in the owner element */
  PowerState power;
  char **parts;       /* devices of the host in it, as it runs: mediated ones by UUID, functions by PCI address; NULL = none */
  int64_t looked_us;  /* when the look began, by the clock the brain is told */
} DomainSeen;

typedef struct {
  ObservationKind kind;
  char *host;
  /* of SAW_HOST */
  char *hostname, *uuid, *virt_type, *hypervisor;
  int64_t cpus, memory_mib, page_kib, huge_mib;
  char *cells, *cpu_model, *cpu_features;  /* NULL = it does not tell */
  GPtrArray *domains;  /* of DomainSeen *: SAW_DOMAINS has all of the host, SAW_DOMAIN one */
  char gone[37];       /* of SAW_NO_DOMAIN: the UUID that is not there */
  GError *error;       /* of SAW_SILENT */
} Observation;

Observation *observation_new(ObservationKind kind, const char *host);
DomainSeen *observation_add_domain(Observation *observation, const char *uuid);
void observation_free(Observation *observation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Observation, observation_free)

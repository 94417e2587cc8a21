#include "core/observe.h"

static void domain_seen_free(void *domain)
{
  g_free(((DomainSeen *)domain)->desktop);
  g_strfreev(((DomainSeen *)domain)->parts);
  g_free(domain);
}

Observation *observation_new(ObservationKind kind, const char *host)
{
  Observation *o = g_new0(Observation, 1);
  o->kind = kind;
  o->host = g_strdup(host);
  o->domains = g_ptr_array_new_with_free_func(domain_seen_free);
  return o;
}

DomainSeen *observation_add_domain(Observation *observation, const char *uuid)
{
  DomainSeen *domain = g_new0(DomainSeen, 1);
  g_strlcpy(domain->uuid, uuid, sizeof domain->uuid);
  g_ptr_array_add(observation->domains, domain);
  return domain;
}

void observation_free(Observation *observation)
{
  if (!observation)
    return;
  g_ptr_array_unref(observation->domains);
  g_clear_error(&observation->error);
  g_free(observation->host);
  g_free(observation->hostname);
  g_free(observation->cells);
  g_free(observation->cpu_model);
  g_free(observation->cpu_features);
  g_free(observation->uuid);
  g_free(observation->virt_type);
  g_free(observation->hypervisor);
  g_free(observation);
}

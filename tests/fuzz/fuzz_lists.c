/* Fuzzes the lists that people bring to `sarang plan`: recorded demand, hosts and pods of a trace, hosts as there are others. The first byte says
 * which. What is not taken is refused by name. */
#include <stdint.h>

#include "core/placement/trace.h"
#include "core/placing.h"
#include "core/recorded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_demand(const char *text, GError **err)
{
  g_autoptr(Recorded) recorded = recorded_new();
  json_auto_t *pools = json_pack("[{s:s, s:i}]", "name", "p", "max", 3);
  recorded_load(recorded, NOUN_POOL, pools);
  return recorded_add_csv(recorded, text, err);
}

static bool read_hosts(const char *text, GError **err)
{
  g_autoptr(Fleet) f = fleet_new(1);
  return trace_add_hosts(f, text, "", err);
}

static bool read_pods(const char *text, GError **err)
{
  g_autoptr(Fleet) f = fleet_new(1);
  Policy policy = policy_of(POLICY_SPREAD);
  g_autoptr(GArray) demands = trace_read_demands(f, text, &policy, err);
  for (guint i = 0; demands && i < demands->len; i++)
    g_assert(g_array_index(demands, TraceDemand, i).gpu_milli >= 0);
  return demands;
}

static bool read_more(const char *text, GError **err)
{
  g_autoptr(Fleet) f = fleet_new(1);
  HostSpec h1 = { .name = "h1", .state = "up", .vcpus = 8000, .memory_mib = 8192 };
  int host;
  return fleet_add_host(f, &h1, &host, err) && plan_add_hosts(f, text, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static bool (*const readers[])(const char *, GError **) = { read_demand, read_hosts, read_pods, read_more };
  if (!size)
    return 0;
  g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
  g_autoptr(GError) err = NULL;
  bool read = readers[*data % G_N_ELEMENTS(readers)](text, &err);
  g_assert(read == !err && (read || err->domain == SARANG_ERROR));
  return 0;
}

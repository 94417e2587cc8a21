#include "core/model.h"

ENUM_DEFINE(HostState, host_state, HOST_STATES, N_HOST_STATES)
ENUM_DEFINE(DesktopState, desktop_state, DESKTOP_STATES, N_DESKTOP_STATES)
ENUM_DEFINE(PowerState, power_state, POWER_STATES, N_POWER_STATES)
ENUM_DEFINE(SessionState, session_state, SESSION_STATES, N_SESSION_STATES)
ENUM_DEFINE(TaskState, task_state, TASK_STATES, N_TASK_STATES)
ENUM_DEFINE(TaskKind, task_kind, TASK_KINDS, N_TASK_KINDS)
ENUM_DEFINE(MigrateWay, migrate_way, MIGRATE_WAYS, N_MIGRATE_WAYS)
ENUM_DEFINE(PowerVerb, power_verb, POWER_VERBS, N_POWER_VERBS)
ENUM_DEFINE(GpuState, gpu_state, GPU_STATES, N_GPU_STATES)
ENUM_DEFINE(VgpuState, vgpu_state, VGPU_STATES, N_VGPU_STATES)
ENUM_DEFINE(ImageState, image_state, IMAGE_STATES, N_IMAGE_STATES)
ENUM_DEFINE(ImageFormat, image_format, IMAGE_FORMATS, N_IMAGE_FORMATS)
ENUM_DEFINE(PoolKind, pool_kind, POOL_KINDS, N_POOL_KINDS)
ENUM_DEFINE(PoolState, pool_state, POOL_STATES, N_POOL_STATES)
ENUM_DEFINE(PoolNuma, pool_numa, POOL_NUMAS, N_POOL_NUMAS)
ENUM_DEFINE(NumaCell, numa_cell, NUMA_CELLS, N_NUMA_CELLS)
ENUM_DEFINE(PoolPolicy, pool_policy, POOL_POLICIES, N_POOL_POLICIES)
ENUM_DEFINE(PoolRebalance, pool_rebalance, POOL_REBALANCES, N_POOL_REBALANCES)
ENUM_DEFINE(ReservationState, reservation_state, RESERVATION_STATES, N_RESERVATION_STATES)
ENUM_DEFINE(DiskMode, disk_mode, DISK_MODES, N_DISK_MODES)
ENUM_DEFINE(PersonaliseMode, personalise_mode, PERSONALISE_MODES, N_PERSONALISE_MODES)
ENUM_DEFINE(ClipboardMode, clipboard_mode, CLIPBOARD_MODES, N_CLIPBOARD_MODES)
ENUM_DEFINE(Role, role, ROLES, N_ROLES)
ENUM_DEFINE(TokenKind, token_kind, TOKEN_KINDS, N_TOKEN_KINDS)
ENUM_DEFINE(DemandOutcome, demand_outcome, DEMAND_OUTCOMES, N_DEMAND_OUTCOMES)
ENUM_DEFINE(EndReason, end_reason, END_REASONS, N_END_REASONS)

#define STRUCT Controller
static const Field CONTROLLER_table[] = { CONTROLLER_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Host
static const Field HOST_table[] = { HOST_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Gpu
static const Field GPU_table[] = { GPU_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT GpuClass
static const Field GPU_CLASS_table[] = { GPU_CLASS_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Licence
static const Field LICENCE_table[] = { LICENCE_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Storage
static const Field STORAGE_table[] = { STORAGE_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT ImageVersion
static const Field IMAGE_table[] = { IMAGE_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT TemplateVersion
static const Field TEMPLATE_table[] = { TEMPLATE_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Pool
static const Field POOL_table[] = { POOL_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT User
static const Field USER_table[] = { USER_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Reservation
static const Field RESERVATION_table[] = { RESERVATION_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Token
static const Field TOKEN_table[] = { TOKEN_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Desktop
static const Field DESKTOP_table[] = { DESKTOP_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Vgpu
static const Field VGPU_table[] = { VGPU_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Session
static const Field SESSION_table[] = { SESSION_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Ticket
static const Field TICKET_table[] = { TICKET_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Relay
static const Field RELAY_table[] = { RELAY_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Task
static const Field TASK_table[] = { TASK_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT DemandRow
static const Field DEMAND_table[] = { DEMAND_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Receipt
static const Field RECEIPT_table[] = { RECEIPT_FIELDS(FIELD_ROW_) };
#undef STRUCT
#define STRUCT Event
static const Field EVENT_table[] = { EVENT_FIELDS(FIELD_ROW_) };
#undef STRUCT

const Schema schemas[N_NOUNS] = {
#define X(NAME, noun, plural, Struct) [NOUN_##NAME] = { noun, plural, sizeof(Struct), NAME##_table, G_N_ELEMENTS(NAME##_table) },
  NOUNS(X)
#undef X
};

Noun noun_find(const char *text)
{
  for (Noun n = 0; n < N_NOUNS; n++)
    if (!g_strcmp0(schemas[n].noun, text) || !g_strcmp0(schemas[n].plural, text))
      return n;
  return N_NOUNS;
}

enum { OVERCOMMIT_CPUS_PCT = 400 };

int64_t host_offer_vcpus(const Host *h)
{
  int64_t pct = h->cpu_overcommit_pct ? h->cpu_overcommit_pct : OVERCOMMIT_CPUS_PCT;
  return capacity_of(h->vcpus ? h->vcpus : h->host_cpus, h->vcpus ? 100 : pct, h->cpu_reserve);
}

int64_t host_offer_mib(const Host *h)
{
  int64_t pct = h->memory_overcommit_pct ? h->memory_overcommit_pct : 100;
  int64_t reserve = h->memory_reserve_mib || h->memory_mib ? h->memory_reserve_mib : h->host_memory_mib / 10;
  return capacity_of(h->memory_mib ? h->memory_mib : MAX(0, h->host_memory_mib - h->huge_mib), h->memory_mib ? 100 : pct, reserve);
}

static void change_clear(void *change)
{
  Change *c = change;
  object_unref(&schemas[c->noun], c->object);
}

Batch *batch_new(int64_t sequence)
{
  Batch *batch = g_new0(Batch, 1);
  batch->sequence = sequence;
  batch->changes = g_array_new(FALSE, FALSE, sizeof(Change));
  g_array_set_clear_func(batch->changes, change_clear);
  batch->prunes = g_array_new(FALSE, FALSE, sizeof(Prune));
  return batch;
}

void batch_free(Batch *batch)
{
  if (!batch)
    return;
  g_array_unref(batch->changes);
  g_array_unref(batch->prunes);
  g_free(batch);
}

/* Graphics cards of the simulated hosts, with the vendors' rules: parts take units, a card may take one type at a time, GPU instances have places, and
 * what can be made changes with every part. What a look at them tells. */
#include "tests/sim/gpu_inside.h"

#include <string.h>

static const SimType mdev_types[] = { { "m-1", 1 }, { "m-2", 2 }, { NULL, 0 } };
static const SimType function_types[] = { { "f-1", 1 }, { "f-2", 2 }, { "f-4", UNITS }, { NULL, 0 } };
static const SimType plain_types[] = { { "vf", 1 }, { NULL, 0 } };
static const SimType instance_types[] = { { "i-1", 1 }, { "i-2", 2 }, { NULL, 0 } };
static const SimType whole_types[] = { { "whole", UNITS }, { NULL, 0 } };

const SimType *types_of(const SimCard *card, int *ret_n)
{
  static const SimType *const all[N_GPU_BACKENDS] = {
    [GPU_MDEV] = mdev_types, [GPU_VENDOR_VF] = function_types, [GPU_SRIOV] = plain_types, [GPU_MIG] = instance_types, [GPU_WHOLE] = whole_types,
  };
  const SimType *types = all[card->backend];
  for (*ret_n = 0; types[*ret_n].id; ++*ret_n)
    ;
  return types;
}

/* A claim on a whole card names the card, too. */
const SimType *type_of(const SimCard *card, const char *id)
{
  int n;
  const SimType *types = types_of(card, &n);
  if (card->backend == GPU_WHOLE && !g_strcmp0(id, "whole:10de:2235"))
    return types;
  for (int i = 0; i < n; i++)
    if (!g_strcmp0(types[i].id, id))
      return &types[i];
  return NULL;
}

static void part_free(void *part)
{
  g_free(((SimPart *)part)->claim);
  g_free(((SimPart *)part)->function_claim);
  g_free(part);
}

static void card_new(Sim *s, int host, int bus, GpuBackend backend)
{
  SimCard *card = g_new0(SimCard, 1);
  bool any = backend == GPU_MDEV || backend == GPU_VENDOR_VF;
  card->host = host;
  card->backend = backend;
  g_snprintf(card->address, sizeof card->address, "0000:%02x:00.0", bus);
  card->same_type_only = any && chance(s, 400);
  bool none = backend == GPU_MDEV || backend == GPU_WHOLE || (backend == GPU_MIG && chance(s, 100)); /* nobody enabled them */
  card->n_functions = none ? 0 : backend == GPU_SRIOV && chance(s, 300) ? FUNCTIONS - 1 : FUNCTIONS;
  card->parts = g_ptr_array_new_with_free_func(part_free);
  g_ptr_array_add(s->cards, card);
}

void gpus_furnish(Sim *s)
{
  static const GpuBackend backends[] = { GPU_MDEV, GPU_VENDOR_VF, GPU_MIG, GPU_SRIOV, GPU_WHOLE };
  s->cards = g_ptr_array_new();
  s->tried = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  for (int host = 0; s->has_gpus && host < HOSTS; host++)
    for (int bus = 0; bus < 2; bus++)
      card_new(s, host, 8 + bus, bus ? backends[chance_below(s, 5)] : backends[chance_below(s, 3)]);
}

/* ── one card ─────────────────────────────────────────────────────────────── */

SimCard *card_at(Sim *s, int host, const char *address)
{
  for (guint i = 0; i < s->cards->len; i++) {
    SimCard *card = s->cards->pdata[i];
    if (card->host == host && !g_strcmp0(card->address, address))
      return card;
  }
  return NULL;
}

static int units_used(const SimCard *card)
{
  int used = 0;
  for (guint i = 0; i < card->parts->len; i++)
    used += type_of(card, ((SimPart *)card->parts->pdata[i])->type)->size;
  return used;
}

bool place_free(const SimCard *card, int start, int size)
{
  for (guint i = 0; i < card->parts->len; i++) {
    const SimPart *p = card->parts->pdata[i];
    int other = type_of(card, p->type)->size;
    if (start < p->start + other && p->start < start + size)
      return false;
  }
  return true;
}

static bool type_allowed(const SimCard *card, const SimType *type)
{
  const SimPart *first = card->parts->len ? card->parts->pdata[0] : NULL;
  return !card->same_type_only || !first || !strcmp(first->type, type->id);
}

int place_for(const SimCard *card, const SimType *type)
{
  int start = 0;
  while (start < UNITS && !place_free(card, start, type->size))
    start += type->size;
  return start < UNITS ? start : -1;
}

static int idle_functions(const SimCard *card)
{
  int idle = card->n_functions;
  for (guint i = 0; i < card->parts->len; i++)
    idle -= ((SimPart *)card->parts->pdata[i])->address[0] != '\0';
  return idle;
}

static int places(const SimCard *card, const SimType *type)
{
  int n = 0;
  for (int start = 0; start < UNITS; start += type->size)
    n += place_free(card, start, type->size);
  return n;
}

bool has_room(const SimCard *card, const SimType *type)
{
  switch (card->backend) {
  case GPU_MDEV:
    return type_allowed(card, type) && units_used(card) + type->size <= UNITS;
  case GPU_VENDOR_VF:
    return type_allowed(card, type) && idle_functions(card) && place_for(card, type) >= 0;
  case GPU_SRIOV:
    return idle_functions(card);
  case GPU_MIG:
    return places(card, type) > 0;
  case GPU_WHOLE:
  case N_GPU_BACKENDS:
    break;
  }
  return !card->parts->len;
}

void function_address(const SimCard *card, int function, char ret_address[GPU_ADDRESS_BYTES])
{
  g_strlcpy(ret_address, card->address, GPU_ADDRESS_BYTES);
  ret_address[11] = (char)('1' + function);
}

bool function_idle(const SimCard *card, char ret_address[GPU_ADDRESS_BYTES])
{
  for (int f = 0; f < card->n_functions; f++) {
    function_address(card, f, ret_address);
    if (!part_at(card, "", ret_address))
      return true;
  }
  ret_address[0] = '\0';
  return false;
}

SimFunction *function_at(SimCard *card, const char *address)
{
  int function = address && address[0] ? address[11] - '1' : FUNCTIONS;
  if (card->backend == GPU_WHOLE)
    return &card->functions[0];
  return function >= 0 && function < card->n_functions ? &card->functions[function] : NULL;
}

SimPart *part_at(const SimCard *card, const char *uuid, const char *address)
{
  for (guint i = 0; i < card->parts->len; i++) {
    SimPart *p = card->parts->pdata[i];
    if (p->uuid[0] ? !g_strcmp0(p->uuid, uuid) : p->address[0] && !g_strcmp0(p->address, address))
      return p;
  }
  return NULL;
}

SimPart *instance_at(const SimCard *card, const char *type, int start)
{
  for (guint i = 0; i < card->parts->len; i++) {
    SimPart *p = card->parts->pdata[i];
    if (p->start == start && !g_strcmp0(p->type, type))
      return p;
  }
  return NULL;
}

SimPart *part_add(Sim *s, SimCard *card, const char *type, const char *uuid, const char *address, int start)
{
  SimPart *p = g_new0(SimPart, 1);
  g_strlcpy(p->type, type, sizeof p->type);
  g_strlcpy(p->uuid, uuid ? uuid : "", sizeof p->uuid);
  g_strlcpy(p->address, address ? address : "", sizeof p->address);
  p->start = start;
  g_ptr_array_add(card->parts, p);
  s->gpu_steps++;
  return p;
}

const char *part_key(const Vgpu *v, const Gpu *gpu)
{
  return gpu && gpu->backend == GPU_MDEV ? v->uuid : v->address;
}

SimDomain *user_of(Sim *s, int host, const SimPart *part)
{
  const char *key = part->uuid[0] ? part->uuid : part->address;
  for (guint i = 0; i < s->domains->len; i++) {
    SimDomain *d = s->domains->pdata[i];
    bool runs = d->power == POWER_ON || d->power == POWER_SUSPENDED;
    if (d->host == host && runs && d->gpus && g_strv_contains((const char *const *)d->gpus, key))
      return d;
  }
  return NULL;
}

/* ── what is seen ─────────────────────────────────────────────────────────── */

/* As the vendor's list has it, which says whether, and nothing of types that cannot be made now. */
static void add_listed_type(const SimCard *card, const SimType *from, GpuCard *seen)
{
  if (!has_room(card, from))
    return;
  GpuType *type = gpu_card_add_type(seen, from->id);
  type->framebuffer_mib = 1024 * from->size;
  type->free = idle_functions(card);
}

static void add_placed_type(const SimCard *card, const SimType *from, GpuCard *seen)
{
  GpuType *type = gpu_card_add_type(seen, from->id);
  type->max = UNITS / from->size;
  type->free = places(card, from);
  type->size = from->size;
  type->framebuffer_mib = 1024 * from->size;
  for (int start = 0; start < UNITS; start += from->size)
    if (place_free(card, start, from->size))
      g_array_append_val(type->starts, start);
}

static void add_counted_type(const SimCard *card, const SimType *from, GpuCard *seen)
{
  GpuType *type = gpu_card_add_type(seen, from->id);
  bool plain = card->backend == GPU_SRIOV;
  type->max = plain ? card->n_functions : UNITS / from->size;
  type->free = plain ? idle_functions(card) : !type_allowed(card, from) ? 0 : (UNITS - units_used(card)) / from->size;
}

static void add_types(const SimCard *card, GpuCard *seen)
{
  int n;
  const SimType *types = types_of(card, &n);
  for (int i = 0; i < n; i++)
    if (card->backend == GPU_VENDOR_VF)
      add_listed_type(card, &types[i], seen);
    else if (card->backend == GPU_MIG)
      add_placed_type(card, &types[i], seen);
    else
      add_counted_type(card, &types[i], seen);
}

static void add_idle_functions(const SimCard *card, GpuCard *seen)
{
  for (int f = 0; f < card->n_functions; f++) {
    char address[GPU_ADDRESS_BYTES];
    function_address(card, f, address);
    if (!part_at(card, "", address))
      gpu_card_add_function(seen, address);
  }
}

static GpuCard *card_seen(const SimCard *card, const char *controller)
{
  GpuCard *seen = gpu_card_new(card->address, card->backend);
  seen->vendor_id = 0x10de;
  seen->device_id = 0x2235;
  seen->model = g_strdup("S40");
  seen->same_type_only = card->backend == GPU_MDEV && card->same_type_only;
  seen->broken = card->broken ? g_strdup("Xid 79") : NULL;
  add_types(card, seen);
  add_idle_functions(card, seen);
  for (guint i = 0; i < card->parts->len; i++) {
    const SimPart *p = card->parts->pdata[i];
    GpuPart *part = gpu_card_add_part(seen, p->type);
    bool placed = card->backend == GPU_VENDOR_VF || card->backend == GPU_MIG;
    g_strlcpy(part->uuid, p->uuid, sizeof part->uuid);
    g_strlcpy(part->address, p->address, sizeof part->address);
    part->start = placed ? p->start : -1;
    part->marked = p->uuid[0] && gpu_uuid_is_ours(controller, p->uuid);
  }
  return seen;
}

static void card_drop(void *card) { gpu_card_free(card); }

void look(Sim *s, const StepOrder *o, StepResult *r, const char *address)
{
  int host = host_index(o->host->head.name);
  if (!r->cards)
    r->cards = g_ptr_array_new_with_free_func(card_drop);
  r->looked_us = s->now_us;
  for (guint i = 0; i < s->cards->len; i++) {
    const SimCard *card = s->cards->pdata[i];
    if (card->host == host && !card->gone && (!address || !strcmp(card->address, address)))
      g_ptr_array_add(r->cards, card_seen(card, o->controller));
  }
}

/* Cards in the engine's numbers. A card tells how many of a type it would take when empty, and how many more now; the first makes the shares, the
 * second is held against them: where the card says less than its parts explain, the difference is held, so that nobody counts on it. */
#include "core/ledger.h"

#include <string.h>

#include "core/accepts.h"

char *card_profile_name(const GpuCard *card, const char *type)
{
  return card->backend == GPU_WHOLE ? g_strdup_printf("whole:%04x:%04x", card->vendor_id, card->device_id) : g_strdup(type);
}

/* By the name that its card has for it, or the one that claims have. */
static const GpuType *type_find(const GpuCard *card, const char *name)
{
  for (guint i = 0; i < card->types->len; i++) {
    const GpuType *type = card->types->pdata[i];
    g_autofree char *profile = card_profile_name(card, type->id);
    if (!g_strcmp0(type->id, name) || !g_strcmp0(profile, name))
      return type;
  }
  return NULL;
}

/* ── shares ───────────────────────────────────────────────────────────────── */

/* Units of a card whose parts have places; 0 = they have none. */
static int card_units(const GpuCard *card)
{
  int units = 0;
  for (guint i = 0; i < card->types->len; i++) {
    const GpuType *t = card->types->pdata[i];
    units = MAX(units, t->size * MAX(t->max, 1));
  }
  return units <= SLOTS_MOST ? units : 0;
}

static bool has_place(const GpuCard *card, const GpuType *type)
{
  return type->size > 0 && card_units(card) > 0;
}

static int share_of(const GpuCard *card, const GpuType *type)
{
  int64_t share = has_place(card, type) ? (int64_t)CARD_WHOLE * type->size / card_units(card) : CARD_WHOLE / MAX(type->max, 1);
  return (int)CLAMP(share, 1, CARD_WHOLE);
}

static uint32_t slots_at(const GpuType *type, int start)
{
  return (uint32_t)(((UINT64_C(1) << type->size) - 1) << start);
}

/* Where its card ever told that one may begin: a 4g part begins at 0 alone, where a 3g one, of the same size, has two places. */
static uint32_t starts_of(const GpuCard *card, const GpuType *type)
{
  uint32_t starts = 0;
  for (int i = 0; has_place(card, type) && i + type->size <= SLOTS_MOST; i++)
    starts |= type->places & (UINT32_C(1) << i);
  return starts;
}

/* Its card says that no more of it can be, although what is there leaves a place: there are rules beside places. */
static bool is_denied(const GpuCard *card, const GpuType *type, uint32_t starts)
{
  uint32_t held = 0;
  for (guint i = 0; i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    const GpuType *of = gpu_card_type(card, part->type);
    if (of && part->start >= 0 && part->start + of->size <= SLOTS_MOST)
      held |= slots_at(of, part->start);
  }
  for (int i = 0; !type->free && i < SLOTS_MOST; i++)
    if (starts >> i & 1 && !(held & slots_at(type, i)))
      return true;
  return false;
}

static bool shape_has(const CardShape *shape, const GpuCard *card, const char *type)
{
  g_autofree char *name = card_profile_name(card, type);
  for (int p = 0; p < shape->n; p++)
    if (!strcmp(shape->profiles[p].name, name))
      return true;
  return false;
}

/* A type that nobody asks for has no name in the fleet: where all parts are of one type, it has the whole card. */
CardExtent card_extent(const CardShape *shape, const GpuCard *card, const char *type, int start)
{
  const GpuType *t = type_find(card, type);
  if (!t || (card->same_type_only && !shape_has(shape, card, type)))
    return (CardExtent){ card->same_type_only ? CARD_WHOLE : 0, 0 };
  bool placed = has_place(card, t) && start >= 0 && start + t->size <= SLOTS_MOST;
  return (CardExtent){ share_of(card, t), placed ? slots_at(t, start) : 0 };
}

/* ── shapes ───────────────────────────────────────────────────────────────── */

static bool is_asked_for(Brain *b, const char *profile, int64_t framebuffer_mib)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_GPU_CLASS);
  for (guint i = 0; i < names->len; i++) {
    const GpuClass *class = GET(b, GpuClass, GPU_CLASS, names->pdata[i]);
    if (accepts_type((const char *const *)class->accepts, profile, framebuffer_mib))
      return true;
  }
  return false;
}

const GpuPart *card_loose_instance(const GpuCard *card, const GPtrArray *claims, const char *type)
{
  for (guint i = 0; card->backend == GPU_MIG && i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    if (!part->address[0] && (!type || !g_strcmp0(part->type, type)) && !gpu_part_is_claimed(part, claims))
      return part;
  }
  return NULL;
}

static void profile_add(Brain *b, CardShape *s, const GpuCard *card, const GpuType *type)
{
  g_autofree char *name = card_profile_name(card, type->id);
  uint32_t starts = starts_of(card, type);
  if (s->n == PROFILES_MOST || !is_asked_for(b, name, type->framebuffer_mib))
    return;
  if (has_place(card, type) && (!starts || is_denied(card, type, starts)))
    return;
  s->heads[s->n] = type->heads;
  s->profiles[s->n++] = (ProfileSpec){ g_steal_pointer(&name), type->framebuffer_mib, share_of(card, type), starts ? type->size : 0, starts };
}

/* Why it may not be asked at all, or NULL. */
static const char *closed_why(const Gpu *gpu, const GpuCard *card)
{
  if (gpu->state != GPU_READY)
    return gpu_state_name(gpu->state);
  return card->console && !gpu->give_console ? "the host's own screen is on it" : NULL;
}

static char *shape_key(const CardShape *s)
{
  GString *key = g_string_new(NULL);
  g_string_append_printf(key, "%d %d", s->backend, s->same_type);
  for (int i = 0; i < s->n; i++)
    g_string_append_printf(key, "|%s %d %d %d %x %" G_GINT64_FORMAT, s->profiles[i].name, s->profiles[i].share, s->profiles[i].slots, s->heads[i],
                           s->profiles[i].starts, s->profiles[i].framebuffer_mib);
  return g_string_free(key, FALSE);
}

CardShape *card_shape_new(Brain *b, const Gpu *gpu)
{
  const GpuCard *card = gpu_picture(b, gpu);
  const char *closed = closed_why(gpu, card);
  CardShape *s = g_new0(CardShape, 1);
  s->backend = card->backend;
  s->same_type = card->same_type_only;
  g_autoptr(GPtrArray) claims = gpu_claims(b, gpu->head.name);
  for (guint i = 0; !closed && i < card->types->len; i++) {
    const GpuType *type = card->types->pdata[i];
    if (!card_loose_instance(card, claims, type->id))
      profile_add(b, s, card, type);
  }
  g_autofree char *key = shape_key(s), *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, key, -1);
  s->name = g_strdup_printf("%s%s%s%s\x1f%.8s", gpu->model ? gpu->model : "a card", closed ? " (" : "", closed ? closed : "", closed ? ")" : "", sum);
  return s;
}

void card_shape_free(void *shape)
{
  CardShape *s = shape;
  for (int i = 0; i < s->n; i++)
    g_free((char *)s->profiles[i].name);
  g_free(s->name);
  g_free(s);
}

/* ── what is held ─────────────────────────────────────────────────────────── */

static void hold_add(GArray *holds, const GpuCard *card, const char *type, CardExtent extent)
{
  CardHold hold = { card_profile_name(card, type), extent };
  g_array_append_val(holds, hold);
}

static void hold_clear(void *hold)
{
  g_free(((CardHold *)hold)->profile);
}

/* What the parts that are seen leave. */
static CardExtent left_by_parts(const CardShape *shape, const GpuCard *card)
{
  CardExtent left = { CARD_WHOLE, 0 };
  for (guint i = 0; i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    CardExtent e = card_extent(shape, card, part->type, part->start);
    left.share = MAX(0, left.share - e.share);
    left.slots |= e.slots;
  }
  return left;
}

bool card_has_room(Brain *b, const Gpu *gpu)
{
  const GpuCard *card = gpu_picture(b, gpu);
  CardShape *shape = card_shape_new(b, gpu);
  g_autoptr(GPtrArray) claims = gpu_claims(b, gpu->head.name);
  int left = left_by_parts(shape, card).share;
  bool room = false;
  for (guint i = 0; i < claims->len; i++) {
    const Vgpu *claim = claims->pdata[i];
    left -= vgpu_part(b, claim) ? 0 : card_extent(shape, card, claim->type, claim->start).share;
  }
  for (guint i = 0; i < card->types->len; i++) {
    const GpuType *t = card->types->pdata[i];
    room |= shape_has(shape, card, t->id) && share_of(card, t) <= left && (!has_place(card, t) || t->free > 0);
  }
  card_shape_free(shape);
  return room;
}

/* Of a type without places: what must be held so that no more fit than the card says. A card that tells only whether says all it can. */
static int excess_of(const GpuCard *card, const GpuType *type, int left)
{
  const GpuPart *first = card->parts->len ? card->parts->pdata[0] : NULL;
  bool tells_whether = card->backend == GPU_VENDOR_VF && type->free > 0, other = card->same_type_only && first && g_strcmp0(first->type, type->id);
  bool untouched = !first && type->max > 0 && type->free >= type->max;
  int share = share_of(card, type);
  if (tells_whether || other || untouched || left / share <= type->free)
    return 0;
  return left - ((type->free + 1) * share - 1);
}

static bool places_are_gone(const GpuCard *card, const CardShape *shape)
{
  bool any = false, left = false;
  for (guint i = 0; i < card->types->len; i++) {
    const GpuType *t = card->types->pdata[i];
    any = any || has_place(card, t);
    left = left || t->free > 0;
  }
  return shape->n && any && !left;
}

/* Functions are what guests get: without one, room on the card is none. */
static bool gives_functions(const GpuCard *card)
{
  return card->backend != GPU_MDEV && card->backend != GPU_WHOLE;
}

static bool functions_are_gone(const GpuCard *card)
{
  return gives_functions(card) && !card->functions->len;
}

/* Fewer functions than places: what must be held so that no more parts fit than there are functions, as far as the largest type that fits still
 * does. Instances that wait for their function have one of these. */
static int excess_of_functions(const GpuCard *card, const CardShape *shape, int left)
{
  int idle = (int)card->functions->len, most = 0, largest = 0;
  for (guint i = 0; i < card->parts->len; i++)
    idle -= !((const GpuPart *)card->parts->pdata[i])->address[0];
  for (guint i = 0; i < card->types->len; i++) {
    const GpuType *t = card->types->pdata[i];
    int share = share_of(card, t), room = has_place(card, t) ? MIN(left / share, t->free) : left / share;
    if (!shape_has(shape, card, t->id) || share > left)
      continue;
    largest = MAX(largest, share);
    most = room > idle ? MAX(most, left - ((MAX(idle, 0) + 1) * share - 1)) : most;
  }
  return MIN(most, left - largest);
}

static CardExtent denied_by_card(const GpuCard *card, const CardShape *shape)
{
  CardExtent left = left_by_parts(shape, card);
  int most = 0;
  if (places_are_gone(card, shape) || functions_are_gone(card))
    return (CardExtent){ left.share, ~left.slots };
  for (guint i = 0; i < card->types->len; i++) {
    const GpuType *t = card->types->pdata[i];
    if (!has_place(card, t) && shape_has(shape, card, t->id))
      most = MAX(most, excess_of(card, t, left.share));
  }
  if (gives_functions(card))
    most = MAX(most, excess_of_functions(card, shape, left.share));
  return (CardExtent){ most, 0 };
}

GArray *card_holds_new(Brain *b, const Gpu *gpu, const CardShape *shape)
{
  GArray *holds = g_array_new(FALSE, FALSE, sizeof(CardHold));
  g_array_set_clear_func(holds, hold_clear);
  const GpuCard *card = gpu_picture(b, gpu);
  const GpuPart *first = card->parts->len ? card->parts->pdata[0] : NULL;
  g_autoptr(GPtrArray) claims = gpu_claims(b, gpu->head.name);
  for (guint i = 0; i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    if (!gpu_part_is_claimed(part, claims))
      hold_add(holds, card, part->type, card_extent(shape, card, part->type, part->start));
  }
  CardExtent denied = denied_by_card(card, shape);
  if (denied.share)
    hold_add(holds, card, first ? first->type : shape->n ? shape->profiles[0].name : "", denied);
  return holds;
}

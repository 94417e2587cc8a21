/* Graphics cards: what was seen of each, the parts in it that claims name, and the cards whose driver refuses. */
#include "core/gpus.h"

#include "core/gpu_json.h"

#include <string.h>

enum { REFUSALS_MOST = 2, REFUSES_S = 300 };

static void picture_free(void *picture)
{
  CardPicture *p = picture;
  gpu_card_free(p->card);
  g_free(p->refused_type);
  g_free(p->refused);
  g_free(p);
}

/* ── pictures ─────────────────────────────────────────────────────────────── */

CardPicture *gpu_picture_of(Brain *b, const Gpu *gpu)
{
  if (!b->cards)
    b->cards = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, picture_free);
  CardPicture *picture = g_hash_table_lookup(b->cards, gpu->head.name);
  if (!picture) {
    picture = g_new0(CardPicture, 1);
    picture->card = gpu_card_read(gpu);
    g_hash_table_insert(b->cards, g_strdup(gpu->head.name), picture);
  }
  return picture;
}

const GpuCard *gpu_picture(Brain *b, const Gpu *gpu)
{
  return gpu_picture_of(b, gpu)->card;
}

/* A claim on a whole card names the card too: whole:1002:73a3. */
static bool type_is_of(const char *type, const char *claimed)
{
  size_t n = strlen(type);
  return claimed && !strncmp(type, claimed, n) && (!claimed[n] || claimed[n] == ':');
}

/* A part and the claim on it name each other: by UUID where parts have one, by the function otherwise, and by its place alone as long as it has none:
 * an instance is made before its function. At another place than the claimed one it is
 * somebody else's, who was quicker. */
static bool part_is_of(const GpuPart *part, const Vgpu *claim)
{
  if (!type_is_of(part->type, claim->type) || (part->start >= 0 && claim->start >= 0 && part->start != claim->start))
    return false;
  if (!part->uuid[0] && !part->address[0])
    return part->start >= 0 && part->start == claim->start;
  return part->uuid[0] ? !g_strcmp0(part->uuid, claim->uuid) : claim->address && !strcmp(part->address, claim->address);
}

const GpuPart *vgpu_part(Brain *b, const Vgpu *claim)
{
  const Gpu *gpu = GET(b, Gpu, GPU, claim->gpu);
  const GpuCard *card = gpu && gpu->state != GPU_STATE_GONE ? gpu_picture(b, gpu) : NULL;
  for (guint i = 0; card && i < card->parts->len; i++)
    if (part_is_of(card->parts->pdata[i], claim))
      return card->parts->pdata[i];
  return NULL;
}

GPtrArray *gpu_claims(Brain *b, const char *gpu)
{
  g_autoptr(GPtrArray) names = state_gpu_claims(b->state, gpu);
  GPtrArray *claims = g_ptr_array_new();
  for (guint i = 0; i < names->len; i++)
    g_ptr_array_add(claims, (Vgpu *)GET(b, Vgpu, VGPU, names->pdata[i]));
  return claims;
}

bool gpu_part_is_claimed(const GpuPart *part, const GPtrArray *claims)
{
  for (guint i = 0; i < claims->len; i++)
    if (part_is_of(part, claims->pdata[i]))
      return true;
  return false;
}

void gpu_set_state(Brain *b, const char *name, GpuState state)
{
  Gpu *gpu = EDIT(b, Gpu, GPU, name);
  gpu->state = state;
  gpu->since = b->now_us;
  g_autofree char *kind = g_strconcat("gpu.", gpu_state_name(state), NULL);
  brain_event(b, kind, NOUN_GPU, name, NULL, NULL);
  const Gpu *now = GET(b, Gpu, GPU, name);
  g_autoptr(GPtrArray) pools = state_names(b->state, NOUN_POOL);
  for (guint i = 0; now->state == GPU_READY && i < pools->len; i++)
    brain_dirty(b, pools->pdata[i]);
}

/* ── a driver that refuses ────────────────────────────────────────────────── */

static void refusals_forget(CardPicture *picture)
{
  picture->refusals = 0;
  g_clear_pointer(&picture->refused_type, g_free);
  g_clear_pointer(&picture->refused, g_free);
}

bool gpu_is_refusing(Brain *b, const Gpu *gpu)
{
  return gpu_picture_of(b, gpu)->refused != NULL;
}

void gpu_refusals_follow(Brain *b, const char *name, const GpuCard *card)
{
  CardPicture *picture = gpu_picture_of(b, GET(b, Gpu, GPU, name));
  if (card->broken)
    refusals_forget(picture);
  else if (picture->refused && b->now_us - picture->refused_us >= REFUSES_S * SECOND_US)
    g_clear_pointer(&picture->refused, g_free);
}

void gpu_forgive(Brain *b, const char *name)
{
  const Gpu *gpu = GET(b, Gpu, GPU, name);
  if (!gpu)
    return;
  bool marked = gpu_is_refusing(b, gpu) && gpu->state == GPU_BROKEN;
  GpuState well = gpu->quarantined ? GPU_QUARANTINED : GPU_READY;
  refusals_forget(gpu_picture_of(b, gpu));
  if (!marked)
    return;
  text_set(&EDIT(b, Gpu, GPU, name)->error, NULL);
  gpu_set_state(b, name, well);
}

static bool is_alike(const Gpu *a, const Gpu *b)
{
  return a != b && a->backend == b->backend && !g_strcmp0(a->pci_id, b->pci_id);
}

/* Others of its kind on its host; of a host with one alone, in the fleet. Owned by the caller. */
static GPtrArray *others_alike(Brain *b, const Gpu *gpu)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_GPU);
  GPtrArray *here = g_ptr_array_new_with_free_func(g_free), *elsewhere = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < names->len; i++) {
    const Gpu *other = GET(b, Gpu, GPU, names->pdata[i]);
    bool usable = other->state == GPU_READY || (other->state == GPU_BROKEN && gpu_is_refusing(b, other));
    if (usable && is_alike(gpu, other))
      g_ptr_array_add(g_strcmp0(other->host, gpu->host) ? elsewhere : here, g_strdup(names->pdata[i]));
  }
  GPtrArray *asked = here->len ? here : elsewhere, *rest = here->len ? elsewhere : here;
  g_ptr_array_unref(rest);
  return asked;
}

/* One that is the last may not go: it is the type then, not the cards. */
static bool may_be_marked(Brain *b, const Gpu *gpu, const char *type)
{
  g_autoptr(GPtrArray) others = others_alike(b, gpu);
  for (guint i = 0; i < others->len; i++)
    if (GET(b, Gpu, GPU, others->pdata[i])->state == GPU_READY)
      return true;
  for (guint i = 0; i < others->len; i++)
    if (!g_strcmp0(gpu_picture_of(b, GET(b, Gpu, GPU, others->pdata[i]))->refused_type, type))
      gpu_forgive(b, others->pdata[i]);
  return false;
}

bool gpu_refused_again(Brain *b, const char *name, const char *type, const GError *err)
{
  const Gpu *gpu = GET(b, Gpu, GPU, name);
  if (!gpu || (gpu->state != GPU_READY && !gpu_is_refusing(b, gpu)))
    return false;
  CardPicture *picture = gpu_picture_of(b, gpu);
  if (++picture->refusals < REFUSALS_MOST)
    return false;
  if (!gpu_is_refusing(b, gpu) && !may_be_marked(b, gpu, type)) {
    refusals_forget(picture);
    return false;
  }
  g_free(picture->refused);
  picture->refused = brain_error_json(err);
  text_set(&picture->refused_type, type);
  picture->refused_us = b->now_us;
  text_set(&EDIT(b, Gpu, GPU, name)->error, picture->refused);
  if (GET(b, Gpu, GPU, name)->state != GPU_BROKEN)
    gpu_set_state(b, name, GPU_BROKEN);
  return true;
}

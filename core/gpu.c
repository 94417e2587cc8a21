#include "core/gpu.h"

#include <string.h>

ENUM_DEFINE(GpuBackend, gpu_backend, GPU_BACKENDS, N_GPU_BACKENDS)
ENUM_DEFINE(GpuDisplay, gpu_display, GPU_DISPLAYS, N_GPU_DISPLAYS)

/* "xxxxxxxx-xxxx-8": of a UUID of ours, what the controller alone decides */
enum { MARK_CHARS = 15 };

static void type_free(void *data)
{
  GpuType *type = data;
  g_free(type->id);
  g_free(type->title);
  g_array_unref(type->starts);
  g_free(type);
}

static void part_free(void *data)
{
  GpuPart *part = data;
  g_free(part->type);
  g_free(part);
}

GpuCard *gpu_card_new(const char *address, GpuBackend backend)
{
  GpuCard *card = g_new0(GpuCard, 1);
  g_strlcpy(card->address, address, sizeof card->address);
  card->backend = backend;
  card->numa_node = card->iommu_group = -1;
  card->types = g_ptr_array_new_with_free_func(type_free);
  card->parts = g_ptr_array_new_with_free_func(part_free);
  card->functions = g_ptr_array_new_with_free_func(g_free);
  return card;
}

GpuType *gpu_card_add_type(GpuCard *card, const char *id)
{
  GpuType *type = g_new0(GpuType, 1);
  type->id = g_strdup(id);
  type->starts = g_array_new(FALSE, FALSE, sizeof(int));
  g_ptr_array_add(card->types, type);
  return type;
}

GpuType *gpu_card_type(const GpuCard *card, const char *id)
{
  for (guint i = 0; i < card->types->len; i++)
    if (!g_strcmp0(((GpuType *)card->types->pdata[i])->id, id))
      return card->types->pdata[i];
  return NULL;
}

GpuPart *gpu_card_add_part(GpuCard *card, const char *type)
{
  GpuPart *part = g_new0(GpuPart, 1);
  part->type = g_strdup(type);
  part->start = part->iommu_group = -1;
  g_ptr_array_add(card->parts, part);
  return part;
}

void gpu_card_add_function(GpuCard *card, const char *address)
{
  g_ptr_array_add(card->functions, g_strdup(address));
}

void gpu_card_free(GpuCard *card)
{
  if (!card)
    return;
  g_free(card->vendor);
  g_free(card->model);
  g_free(card->driver);
  g_free(card->serial);
  g_free(card->broken);
  g_free(card->unread);
  g_ptr_array_unref(card->types);
  g_ptr_array_unref(card->parts);
  g_ptr_array_unref(card->functions);
  g_free(card);
}

bool gpu_address_check(const char *text)
{
  static const char shape[] = "xxxx:xx:xx.o";
  if (!text || strlen(text) != sizeof shape - 1)
    return false;
  for (size_t i = 0; i < sizeof shape - 1; i++) {
    bool hex = g_ascii_isxdigit(text[i]) && !g_ascii_isupper(text[i]);
    bool octal = text[i] >= '0' && text[i] <= '7';
    if (shape[i] == 'x' ? !hex : shape[i] == 'o' ? !octal : text[i] != shape[i])
      return false;
  }
  return true;
}

/* 64 hexadecimal digits of SHA-256, over fields that cannot run into each other. */
static char *digest(const char *controller, const char *claim, int64_t generation)
{
  g_autofree char *text = claim ? g_strdup_printf("sarang gpu part\n%s\n%s\n%" G_GINT64_FORMAT, controller, claim, (gint64)generation)
                                : g_strdup_printf("sarang gpu controller\n%s", controller);
  return g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
}

static void mark_of(const char *controller, char ret_mark[MARK_CHARS + 1])
{
  g_autofree char *hex = digest(controller, NULL, 0);
  g_snprintf(ret_mark, MARK_CHARS + 1, "%.8s-%.4s-8", hex, hex + 8);
}

void gpu_part_uuid(const char *controller, const char *claim, int64_t generation, char ret_uuid[GPU_UUID_TEXT_BYTES])
{
  static const char variants[] = "89ab";
  char mark[MARK_CHARS + 1];
  g_autofree char *hex = digest(controller, claim, generation);
  mark_of(controller, mark);
  g_snprintf(ret_uuid, GPU_UUID_TEXT_BYTES, "%s%.3s-%c%.3s-%.12s", mark, hex, variants[g_ascii_xdigit_value(hex[3]) & 3], hex + 4,
             hex + 7);
}

bool gpu_uuid_is_ours(const char *controller, const char *uuid)
{
  char mark[MARK_CHARS + 1];
  if (!controller || !uuid || !g_uuid_string_is_valid(uuid))
    return false;
  mark_of(controller, mark);
  return !g_ascii_strncasecmp(uuid, mark, MARK_CHARS);
}

/* ── what a card tells only while it is empty ─────────────────────────────── */

/* The type with most framebuffer has all of the card's. */
static int framebuffer_of(const GpuCard *card)
{
  int most = 0;
  for (guint i = 0; i < card->types->len; i++)
    most = MAX(most, ((GpuType *)card->types->pdata[i])->framebuffer_mib);
  return most;
}

static int seen_of(const GpuCard *card, const GpuType *type)
{
  int seen = type->free;
  for (guint i = 0; i < card->parts->len; i++)
    seen += !g_strcmp0(((GpuPart *)card->parts->pdata[i])->type, type->id);
  return seen;
}

static bool is_same_device(const GpuCard *a, const GpuCard *b)
{
  return a->backend == b->backend && a->vendor_id == b->vendor_id && a->device_id == b->device_id;
}

/* Functions list what could be made beside what is there: with one part on the card only types that go with it, on a full card none. What it gave
 * once it gives again. */
static void types_remember(const GpuCard *was, GpuCard *card)
{
  bool tells_all = card->types->len && !card->parts->len;
  for (guint i = 0; !tells_all && i < was->types->len && card->types->len < GPU_TYPES_MOST; i++) {
    const GpuType *known = was->types->pdata[i];
    if (gpu_card_type(card, known->id))
      continue;
    GpuType *type = gpu_card_add_type(card, known->id);
    g_free(type->title);
    type->title = g_strdup(known->title);
    type->framebuffer_mib = known->framebuffer_mib;
    type->heads = known->heads;
    type->width = known->width;
    type->height = known->height;
  }
}

/* Not every card tells how many of a type it takes when empty. Then its framebuffer does, where the largest type is known: on a card that was never
 * seen empty it is the most that was ever seen of the type, which may be too much. It is made then, and the card says that it is full. */
static int most_of(const GpuCard *was, const GpuCard *card, const GpuType *type, int framebuffer_mib)
{
  const GpuType *known = gpu_card_type(was, type->id);
  int all = framebuffer_mib && type->framebuffer_mib ? framebuffer_mib / type->framebuffer_mib : 0;
  if (all && !card->parts->len)
    return all;
  int most = known ? MAX(all, known->max) : all;
  return known && all ? most : MAX(most, seen_of(card, type));
}

/* Every function that is free lists the type, and all of them together have the card's framebuffer. What is listed at all goes once: the card
 * knows best. */
static int left_of(const GpuCard *card, const GpuType *type)
{
  int used = seen_of(card, type) - type->free;
  return MAX(type->max - used, 1);
}

enum { PLACES_MOST = 32 };

static uint32_t place_bit(int start) { return start >= 0 && start < PLACES_MOST ? UINT32_C(1) << start : 0; }

/* A card tells where a part may begin beside what it has now, and where it has one there is a place. */
static uint32_t places_of(const GpuCard *was, const GpuCard *card, const GpuType *type)
{
  const GpuType *known = gpu_card_type(was, type->id);
  uint32_t places = type->places | (known ? known->places : 0);
  for (guint i = 0; i < type->starts->len; i++)
    places |= place_bit(g_array_index(type->starts, int, i));
  for (guint i = 0; i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    if (type->size && !g_strcmp0(part->type, type->id))
      places |= place_bit(part->start);
  }
  return places;
}

static int compare_types(const void *a, const void *b)
{
  return strcmp((*(GpuType *const *)a)->id, (*(GpuType *const *)b)->id);
}

/* Functions do not say whether all parts of their card must be of one type: a card with room for more of the type that it has, and for no
 * other, does. It is as it was last seen where that cannot be told. */
static bool is_of_one_type(const GpuCard *was, const GpuCard *card)
{
  const GpuPart *first = card->parts->len ? card->parts->pdata[0] : NULL;
  bool more = false;
  for (guint i = 0; first && i < card->types->len; i++) {
    const GpuType *type = card->types->pdata[i];
    bool same = !g_strcmp0(type->id, first->type);
    if (type->free > 0 && !same)
      return false;
    more |= type->free > 0;
  }
  return more || was->same_type_only;
}

void gpu_card_remember(GpuCard *card, const GpuCard *was)
{
  bool known = is_same_device(was, card), shares = card->backend == GPU_VENDOR_VF;
  g_autoptr(GpuCard) empty = gpu_card_new(card->address, card->backend);
  was = known ? was : empty;
  if (shares) {
    card->same_type_only |= is_of_one_type(was, card);
    types_remember(was, card);
  }
  int framebuffer_mib = shares ? MAX(framebuffer_of(was), framebuffer_of(card)) : 0;
  for (guint i = 0; i < card->types->len; i++) {
    GpuType *type = card->types->pdata[i];
    if (type->max <= 0)
      type->max = most_of(was, card, type, framebuffer_mib);
    if (type->max > 0)
      type->free = MIN(type->free, left_of(card, type));
    type->places = places_of(was, card, type);
  }
  g_ptr_array_sort(card->types, compare_types);
}

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

/* What is kept of a card in its object: its types and parts as JSON, made only when they differ from what is kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/gpu_json.h"

static char *dump(json_t *take_json)
{
  char *text = json_dumps(take_json, JSON_COMPACT), *copy = g_strdup(text);
  free(text);
  json_decref(take_json);
  return copy;
}

static void set_number(json_t *object, const char *key, int value, int absent)
{
  if (value != absent)
    json_object_set_new(object, key, json_integer(value));
}

static json_t *type_json(const GpuType *type)
{
  json_t *o = json_pack("{s:s, s:i}", "id", type->id, "free", type->free);
  if (type->title && strcmp(type->title, type->id))
    json_object_set_new(o, "title", json_string(type->title));
  set_number(o, "max", type->max, 0);
  set_number(o, "framebuffer_mib", type->framebuffer_mib, 0);
  set_number(o, "heads", type->heads, 0);
  set_number(o, "width", type->width, 0);
  set_number(o, "height", type->height, 0);
  set_number(o, "size", type->size, 0);
  set_number(o, "places", (int)type->places, 0);
  if (type->size) {
    json_t *starts = json_array();
    for (guint i = 0; i < type->starts->len; i++)
      json_array_append_new(starts, json_integer(g_array_index(type->starts, int, i)));
    json_object_set_new(o, "starts", starts);
  }
  return o;
}

char *gpu_types_json(const GpuCard *card)
{
  json_t *all = json_array();
  for (guint i = 0; i < card->types->len; i++)
    json_array_append_new(all, type_json(card->types->pdata[i]));
  return dump(all);
}

static json_t *part_json(const GpuPart *part)
{
  json_t *o = json_object();
  json_object_set_new(o, "type", json_string(part->type));
  if (part->uuid[0])
    json_object_set_new(o, "uuid", json_string(part->uuid));
  if (part->address[0])
    json_object_set_new(o, "address", json_string(part->address));
  set_number(o, "start", part->start, -1);
  set_number(o, "iommu_group", part->iommu_group, -1);
  if (part->marked)
    json_object_set_new(o, "marked", json_true());
  if (part->dirty)
    json_object_set_new(o, "dirty", json_true());
  return o;
}

char *gpu_parts_json(const GpuCard *card)
{
  json_t *all = json_array();
  for (guint i = 0; i < card->parts->len; i++)
    json_array_append_new(all, part_json(card->parts->pdata[i]));
  for (guint i = 0; i < card->functions->len; i++) /* without a type: nobody has it */
    json_array_append_new(all, json_pack("{s:s}", "address", card->functions->pdata[i]));
  return dump(all);
}

/* ── and back ─────────────────────────────────────────────────────────────── */

static int number(const json_t *object, const char *key, int absent)
{
  const json_t *value = json_object_get(object, key);
  return json_is_integer(value) ? (int)json_integer_value(value) : absent;
}

static void read_type(GpuCard *card, const json_t *o)
{
  const char *id = json_string_value(json_object_get(o, "id"));
  GpuType *type = gpu_card_add_type(card, id ? id : "");
  type->title = g_strdup(json_string_value(json_object_get(o, "title")));
  type->free = number(o, "free", 0);
  type->max = number(o, "max", 0);
  type->framebuffer_mib = number(o, "framebuffer_mib", 0);
  type->heads = number(o, "heads", 0);
  type->width = number(o, "width", 0);
  type->height = number(o, "height", 0);
  type->size = number(o, "size", 0);
  type->places = (uint32_t)number(o, "places", 0);
  size_t i;
  json_t *start;
  json_array_foreach(json_object_get(o, "starts"), i, start) {
    int at = (int)json_integer_value(start);
    g_array_append_val(type->starts, at);
  }
}

static void read_part(GpuCard *card, const json_t *o)
{
  const char *uuid = json_string_value(json_object_get(o, "uuid")), *address = json_string_value(json_object_get(o, "address"));
  const char *type_id = json_string_value(json_object_get(o, "type"));
  if (!type_id) {
    gpu_card_add_function(card, address ? address : "");
    return;
  }
  GpuPart *part = gpu_card_add_part(card, type_id);
  g_strlcpy(part->uuid, uuid ? uuid : "", sizeof part->uuid);
  g_strlcpy(part->address, address ? address : "", sizeof part->address);
  part->start = number(o, "start", -1);
  part->iommu_group = number(o, "iommu_group", -1);
  part->marked = json_is_true(json_object_get(o, "marked"));
  part->dirty = json_is_true(json_object_get(o, "dirty"));
}

GpuCard *gpu_card_read(const Gpu *gpu)
{
  GpuCard *card = gpu_card_new(gpu->address ? gpu->address : "", gpu->backend);
  unsigned vendor = 0, device = 0;
  if (gpu->pci_id && sscanf(gpu->pci_id, "%4x:%4x", &vendor, &device) == 2) {
    card->vendor_id = (uint16_t)vendor;
    card->device_id = (uint16_t)device;
  }
  card->same_type_only = gpu->same_type_only;
  card->console = gpu->console;
  json_auto_t *types = gpu->types ? json_loads(gpu->types, 0, NULL) : NULL, *parts = gpu->parts ? json_loads(gpu->parts, 0, NULL) : NULL;
  size_t i;
  json_t *o;
  json_array_foreach(types, i, o)
    read_type(card, o);
  json_array_foreach(parts, i, o)
    read_part(card, o);
  return card;
}

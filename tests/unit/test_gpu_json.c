/* What is kept of a card in its object comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/gpu_json.h"


static GpuType *type_add(GpuCard *card, const char *id, int max, int left)
{
  GpuType *type = gpu_card_add_type(card, id);
  type->max = max;
  type->free = left;
  return type;
}

/* An A40 as its driver tells it: so many of each type are left. */
static GpuCard *card_new(int eights, int twenty_fours, bool same_type_only)
{
  GpuCard *card = gpu_card_new("0000:3b:00.0", GPU_MDEV);
  card->same_type_only = same_type_only;
  type_add(card, "nvidia-558", 6, eights);
  type_add(card, "nvidia-561", 2, twenty_fours);
  return card;
}

static void what_is_kept_of_a_card_reads_back(void **state)
{
  g_autoptr(GpuCard) card = card_new(5, 1, true);
  GpuPart *part = gpu_card_add_part(card, "nvidia-558");
  g_strlcpy(part->uuid, "c0ffee00-0000-8000-8000-000000000001", sizeof part->uuid);
  part->marked = true;
  gpu_card_add_function(card, "0000:3b:00.4");
  Gpu *gpu = (Gpu *)object_new(&schemas[NOUN_GPU], NOUN_GPU, "g-1");
  gpu->types = gpu_types_json(card);
  gpu->parts = gpu_parts_json(card);
  g_autoptr(GpuCard) back = gpu_card_read(gpu);
  g_autofree char *types = gpu_types_json(back), *parts = gpu_parts_json(back);
  assert_string_equal(types, gpu->types);
  assert_string_equal(parts, gpu->parts);
  assert_int_equal(back->parts->len, 1);
  assert_int_equal(back->functions->len, 1);
  object_unref(&schemas[NOUN_GPU], &gpu->head);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_kept_of_a_card_reads_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

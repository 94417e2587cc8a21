/* Which card gets the next part: rows of cards, claims and classes, and what must come of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/gpu_pick.h"


static GpuType *type_add(GpuCard *card, const char *id, int max, int left)
{
  GpuType *type = gpu_card_add_type(card, id);
  type->max = max;
  type->free = left;
  return type;
}

static void box_add(GArray *boxes, const char *name, GpuCard *card)
{
  Gpu *gpu = (Gpu *)object_new(&schemas[NOUN_GPU], NOUN_GPU, name);
  gpu->backend = card->backend;
  text_set(&gpu->address, card->address);
  GpuBox box = { gpu, card, g_array_new(FALSE, FALSE, sizeof(GpuPending)), 0 };
  g_array_append_val(boxes, box);
}

static void box_clear(void *data)
{
  GpuBox *box = data;
  g_array_unref(box->pending);
  gpu_card_free((GpuCard *)box->card);
  object_unref(&schemas[NOUN_GPU], (Object *)box->gpu);
}

static GArray *boxes_new(void)
{
  GArray *boxes = g_array_new(FALSE, FALSE, sizeof(GpuBox));
  g_array_set_clear_func(boxes, box_clear);
  return boxes;
}

static GpuClass *class_new(const char *const *accepts)
{
  GpuClass *class = (GpuClass *)object_new(&schemas[NOUN_GPU_CLASS], NOUN_GPU_CLASS, "cad");
  list_set(&class->accepts, accepts);
  return class;
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

static const char *const eights_first[] = { "nvidia-558", "nvidia-561", NULL };

static void the_card_that_strands_fewest_is_taken(void **state)
{
  static const struct {
    int free[2][2];
    bool same;
    guint wanted;
    const char *why;
  } rows[] = {
    { { { 6, 2 }, { 5, 1 } }, false, 1, "an empty card loses one of two 24s, the other one none more" },
    { { { 6, 2 }, { 5, 0 } }, true, 1, "one type at a time: an empty card would lose all its 24s" },
    { { { 3, 1 }, { 2, 0 } }, false, 1, "no 24 fits the second any more" },
    { { { 0, 0 }, { 6, 2 } }, false, 1, "the first is full" },
    { { { 4, 0 }, { 2, 0 } }, false, 1, "equal otherwise: the fuller card" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GArray) boxes = boxes_new();
    box_add(boxes, "g-1", card_new(rows[i].free[0][0], rows[i].free[0][1], rows[i].same));
    box_add(boxes, "g-2", card_new(rows[i].free[1][0], rows[i].free[1][1], rows[i].same));
    GpuClass *class = class_new(eights_first);
    g_autoptr(GString) why = g_string_new(NULL);
    GpuPick pick;
    bool found = gpu_pick(class, boxes, &pick, why);
    if (!found || pick.box != rows[i].wanted)
      print_error("%s\n", rows[i].why);
    assert_true(found);
    assert_int_equal(pick.box, rows[i].wanted);
    assert_string_equal(pick.type, "nvidia-558");
    object_unref(&schemas[NOUN_GPU_CLASS], &class->head);
  }
}

static void the_class_s_order_goes_before_all(void **state)
{
  g_autoptr(GArray) boxes = boxes_new();
  box_add(boxes, "g-1", card_new(0, 1, false));
  box_add(boxes, "g-2", card_new(1, 1, false));
  GpuClass *class = class_new(eights_first);
  g_autoptr(GString) why = g_string_new(NULL);
  GpuPick pick;
  assert_true(gpu_pick(class, boxes, &pick, why));
  assert_int_equal(pick.box, 1);
  gpu_box_take(boxes, &pick);
  assert_true(gpu_pick(class, boxes, &pick, why)); /* the one 8 is claimed now, although the card was not seen with it yet */
  assert_string_equal(pick.type, "nvidia-561");
  assert_int_equal(pick.rank, 1);
  object_unref(&schemas[NOUN_GPU_CLASS], &class->head);
}

static void functions_and_places_are_claimed_one_by_one(void **state)
{
  GpuCard *card = gpu_card_new("0000:81:00.0", GPU_VENDOR_VF);
  GpuType *type = type_add(card, "nvidia-1150", 2, 2);
  type->size = 4;
  for (int start = 0; start < 8; start += 4)
    g_array_append_val(type->starts, start);
  gpu_card_add_function(card, "0000:81:00.4");
  gpu_card_add_function(card, "0000:81:00.5");
  g_autoptr(GArray) boxes = boxes_new();
  box_add(boxes, "g-1", card);
  GpuClass *class = class_new((const char *const[]){ "nvidia-1150", NULL });
  g_autoptr(GString) why = g_string_new(NULL);
  GpuPick pick;
  for (int i = 0; i < 2; i++) {
    assert_true(gpu_pick(class, boxes, &pick, why));
    assert_int_equal(pick.start, 4 * i);
    assert_string_equal(pick.address, i ? "0000:81:00.5" : "0000:81:00.4");
    gpu_box_take(boxes, &pick);
  }
  assert_false(gpu_pick(class, boxes, &pick, why));
  assert_string_equal(why->str, "g-1 (card, 0000:81:00.0): nvidia-1150: 0 of 2 free now, 2 claimed by us, 0 foreign");
  object_unref(&schemas[NOUN_GPU_CLASS], &class->head);
}

static void a_refusal_names_each_card_s_rule(void **state)
{
  g_autoptr(GArray) boxes = boxes_new();
  box_add(boxes, "g-1", card_new(6, 2, false));
  ((Gpu *)g_array_index(boxes, GpuBox, 0).gpu)->state = GPU_QUARANTINED;
  GpuCard *screen = gpu_card_new("0000:01:00.0", GPU_WHOLE);
  screen->vendor_id = 0x10de;
  screen->device_id = 0x2235;
  screen->console = true;
  type_add(screen, "whole", 1, 1);
  box_add(boxes, "g-2", screen);
  box_add(boxes, "g-3", gpu_card_new("0000:02:00.0", GPU_MDEV));
  GpuClass *class = class_new((const char *const[]){ "nvidia-558", "whole:10de:2235", NULL });
  g_autoptr(GString) why = g_string_new(NULL);
  GpuPick pick;
  assert_false(gpu_pick(class, boxes, &pick, why));
  assert_string_equal(why->str, "g-1 (card, 0000:3b:00.0): it is quarantined; "
                                "g-2 (card, 0000:01:00.0): the host's own screen is on it (gpu change --give_console gives it away); "
                                "g-3 (card, 0000:02:00.0): it has no type of the class");
  ((Gpu *)g_array_index(boxes, GpuBox, 1).gpu)->give_console = true;
  assert_true(gpu_pick(class, boxes, &pick, why));
  assert_string_equal(pick.address, "0000:01:00.0");
  class->display = GPU_DISPLAY_ON;
  assert_false(gpu_pick(class, boxes, &pick, why)); /* whole cards have no display of the host's */
  object_unref(&schemas[NOUN_GPU_CLASS], &class->head);
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
    cmocka_unit_test(the_card_that_strands_fewest_is_taken),
    cmocka_unit_test(the_class_s_order_goes_before_all),
    cmocka_unit_test(functions_and_places_are_claimed_one_by_one),
    cmocka_unit_test(a_refusal_names_each_card_s_rule),
    cmocka_unit_test(what_is_kept_of_a_card_reads_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

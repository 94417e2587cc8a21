/* What a card with functions tells only while it is empty is kept: how large it is, and the types that its functions no longer list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "tests/unit/brain_world.h"

#define CARD "0000:41:00.0"

enum { FUNCTIONS = 16, CARD_MIB = 49152 };

static const struct {
  const char *id;
  int mib;
} types[] = { { "48q", CARD_MIB }, { "24q", CARD_MIB / 2 }, { "8q", CARD_MIB / 6 } };

/* As the vendor's driver has it: with parts of one type (NULL: none) the idle functions list that type alone, or nothing when the card is full. */
static GpuCard *card_of(const char *type, int used)
{
  GpuCard *card = gpu_card_new(CARD, GPU_VENDOR_VF);
  card->vendor_id = 0x10de;
  for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
    bool fits = !used || (!strcmp(types[i].id, type) && (used + 1) * types[i].mib <= CARD_MIB);
    GpuType *t = fits ? gpu_card_add_type(card, types[i].id) : NULL;
    if (!t)
      continue;
    t->framebuffer_mib = types[i].mib;
    t->free = FUNCTIONS - used;
  }
  for (int i = 0; i < FUNCTIONS; i++) {
    g_autofree char *function = g_strdup_printf("0000:41:%02x.%d", (4 + i) / 8, (4 + i) % 8);
    if (i < used)
      g_strlcpy(gpu_card_add_part(card, type)->address, function, GPU_ADDRESS_BYTES);
    else
      gpu_card_add_function(card, function);
  }
  return card;
}

static const GpuType *type_of(const GpuCard *card, const char *id)
{
  for (guint i = 0; i < card->types->len; i++)
    if (!strcmp(((GpuType *)card->types->pdata[i])->id, id))
      return card->types->pdata[i];
  return NULL;
}

static void size_of_a_card_is_that_of_when_it_was_empty(void **state)
{
  for (int used = 0; used <= 6; used++) {
    g_autoptr(GpuCard) was = card_of(NULL, 0), now = card_of("8q", used), nothing = gpu_card_new(CARD, GPU_VENDOR_VF);
    gpu_card_remember(was, nothing);
    gpu_card_remember(now, was);
    assert_int_equal(now->types->len, 3);
    assert_int_equal(type_of(now, "8q")->max, 6);
    assert_int_equal(type_of(now, "24q")->max, 2);
    assert_int_equal(type_of(now, "24q")->free, used ? 0 : 2);
    assert_int_equal(type_of(now, "8q")->free, 6 - used); /* of more functions, what the card has room for */
    for (guint i = 1; i < now->types->len; i++)
      assert_true(strcmp(((GpuType *)now->types->pdata[i - 1])->id, ((GpuType *)now->types->pdata[i])->id) < 0);
  }
}

/* Met with parts of others on it: it may be asked for more, until it is seen empty. */
static void card_never_seen_empty_is_not_called_full(void **state)
{
  g_autoptr(GpuCard) nothing = gpu_card_new(CARD, GPU_VENDOR_VF), first = card_of("8q", 1), again = card_of("8q", 2), empty = card_of(NULL, 0);
  gpu_card_remember(first, nothing);
  assert_true(type_of(first, "8q")->max >= 6);
  gpu_card_remember(again, first);
  assert_true(type_of(again, "8q")->max >= 6);
  gpu_card_remember(empty, again);
  assert_int_equal(type_of(empty, "8q")->max, 6);
}

static void another_card_in_its_place_is_known_afresh(void **state)
{
  g_autoptr(GpuCard) nothing = gpu_card_new(CARD, GPU_VENDOR_VF), was = card_of(NULL, 0), now = card_of("8q", 6);
  gpu_card_remember(was, nothing);
  now->device_id = 1;
  gpu_card_remember(now, was);
  assert_int_equal(now->types->len, 0);
  g_autoptr(GpuCard) mdev = gpu_card_new(CARD, GPU_MDEV);
  gpu_card_remember(mdev, was);
  assert_int_equal(mdev->types->len, 0);
}

/* A card had one part: it was called full until it was empty again. */
static void desktops_that_come_one_by_one_fill_the_card(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_look(w, card_of(NULL, 0));
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['8q']}")->error);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'gpu','template':'linux','image':'linux','gpu_class':'small','min':1,'max':9}")->error);
  for (int used = 1; used <= 6; used++) {
    assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), used);
    assert_null(WORLD_GET(w, Pool, POOL, "gpu")->error);
    world_look(w, card_of("8q", used));
    g_autofree char *more = g_strdup_printf("{'min':%d}", used + 1);
    assert_null(world_ask(w, API_POOL_CHANGE, NULL, "gpu", more)->error);
  }
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), 6);
  assert_non_null(strstr(WORLD_GET(w, Pool, POOL, "gpu")->error, "6 claimed by us, 0 foreign"));
  assert_null(strstr(WORLD_GET(w, Pool, POOL, "gpu")->error, "does not offer"));
  world_free(w);
}

/* What the card lists no more was taken for its word on room, and half of it stood empty. */
static void types_that_others_ask_for_do_not_fill_the_card(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_look(w, card_of(NULL, 0));
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['8q']}")->error);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'large','accepts':['24q']}")->error);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'s','template':'linux','image':'linux','gpu_class':'small','min':2,'max':9}")->error);
  world_look(w, card_of("8q", 2));
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'l','template':'linux','image':'linux','gpu_class':'large','min':1,'max':1}")->error);
  assert_non_null(WORLD_GET(w, Pool, POOL, "l")->error); /* all of its parts are of one type */
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "s", "{'min':6}")->error);
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), 6);
  world_free(w);
}

/* With a type beside the others' the rule is another one. */
static void card_of_mixed_sizes_is_not_of_one_type(void **state)
{
  g_autoptr(GpuCard) nothing = gpu_card_new(CARD, GPU_VENDOR_VF), one = card_of("8q", 1), mixed = card_of("8q", 1);
  one->same_type_only = mixed->same_type_only = false;
  GpuType *beside = gpu_card_add_type(mixed, "24q");
  beside->framebuffer_mib = CARD_MIB / 2;
  beside->free = 1;
  gpu_card_remember(one, nothing);
  gpu_card_remember(mixed, nothing);
  assert_true(one->same_type_only);
  assert_false(mixed->same_type_only);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(size_of_a_card_is_that_of_when_it_was_empty),
    cmocka_unit_test(card_never_seen_empty_is_not_called_full),
    cmocka_unit_test(another_card_in_its_place_is_known_afresh),
    cmocka_unit_test(desktops_that_come_one_by_one_fill_the_card),
    cmocka_unit_test(types_that_others_ask_for_do_not_fill_the_card),
    cmocka_unit_test(card_of_mixed_sizes_is_not_of_one_type),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a GPU class accepts by size: the smallest type that has enough, from whichever card; what has none is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/accepts.h"
#include "tests/unit/brain_world.h"

static void type_add(GpuCard *card, const char *id, int framebuffer_mib, int max)
{
  GpuType *type = gpu_card_add_type(card, id);
  type->framebuffer_mib = framebuffer_mib;
  type->max = max;
  type->free = max;
}

/* A card that tells sizes, the largest first, and of one type none; all its parts are of one type. Somebody else has a part, or nobody (NULL). */
static GpuCard *card_new(const char *foreign)
{
  GpuCard *card = gpu_card_new("0000:65:00.0", GPU_MDEV);
  card->same_type_only = true;
  type_add(card, "m-24", 24576, 1);
  type_add(card, "m-8", 8192, 3);
  type_add(card, "m-4", 4096, 6);
  type_add(card, "m-2", 2048, 12);
  type_add(card, "m-none", 0, 4);
  if (foreign)
    g_strlcpy(gpu_card_add_part(card, foreign)->uuid, "00000000-0000-4000-8000-000000000001", GPU_UUID_TEXT_BYTES);
  return card;
}

static const GError *class_add(World *w, const char *accepts)
{
  g_autofree char *body = g_strdup_printf("{'name':'c','accepts':[%s]}", accepts);
  return world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, body)->error;
}

/* The type of the one part that a pool of one desktop got; NULL where it got none. */
static const char *type_given(World *w)
{
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'gpu','template':'linux','image':'linux','gpu_class':'c','min':1,'max':1}");
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
  return names->len ? WORLD_GET(w, Vgpu, VGPU, names->pdata[0])->type : NULL;
}

static const struct {
  const char *accepts, *foreign, *given;  /* given: NULL = none */
} rows[] = {
  { "'mib:4096'", NULL, "m-4" },  { "'mib:4097'", NULL, "m-8" },      { "'mib:1'", NULL, "m-2" },  { "'mib:24576'", NULL, "m-24" },
  { "'mib:4096'", "m-8", "m-8" }, { "'m-24','mib:1'", NULL, "m-24" }, { "'mib:99999'", NULL, NULL }, { "'mib:99999','m-none'", NULL, "m-none" },
  { "'mib:9000'", "m-8", NULL },  { "'no-such','mib:8192'", NULL, "m-8" },
};

static void smallest_type_that_has_enough_is_given(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = world_new();
    world_furnish(w, 0, 0, 0);
    assert_null(class_add(w, rows[i].accepts));
    world_look(w, card_new(rows[i].foreign));
    const char *given = type_given(w);
    if (g_strcmp0(given, rows[i].given))
      fail_msg("%s: %s", rows[i].accepts, given ? given : "none");
    const char *why = WORLD_GET(w, Pool, POOL, "gpu")->error;
    assert_true(rows[i].given ? !why : why != NULL);
    world_free(w);
  }
}

static void card_that_comes_later_counts(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  assert_null(class_add(w, "'mib:4096'"));
  assert_null(type_given(w));
  world_look(w, card_new(NULL));
  world_settle(w);
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(names->len, 1);
  assert_string_equal(WORLD_GET(w, Vgpu, VGPU, names->pdata[0])->type, "m-4");
  world_free(w);
}

static void size_that_is_none_is_refused(void **state)
{
  const char *const bad[] = { "'mib:0'", "'mib:'", "'mib:8G'", "'mib:-1'", "'mib:1048577'", "'m-4','mib:x'" };
  World *w = world_new();
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_true(error_is(class_add(w, bad[i]), REASON_BAD_VALUE));
  assert_null(class_add(w, "'mib:1048576'"));
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(smallest_type_that_has_enough_is_given),
    cmocka_unit_test(card_that_comes_later_counts),
    cmocka_unit_test(size_that_is_none_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

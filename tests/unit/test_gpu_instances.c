/* GPU instances in the brain: a guest gets the function that an instance has, so a card without an idle function has no room, and by that function the
 * part is found in the guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

#define CARD "0000:41:00.0"

/* Seven slices; the first used ones are instances with a function each, and so many functions are idle. */
static GpuCard *card_of(int used, int idle)
{
  GpuCard *card = gpu_card_new(CARD, GPU_MIG);
  GpuType *type = gpu_card_add_type(card, "1g.10gb");
  type->max = 7;
  type->free = 7 - used;
  type->size = 1;
  for (int start = used; start < 7; start++)
    g_array_append_val(type->starts, start);
  for (int i = 0; i < used + idle; i++) {
    g_autofree char *function = g_strdup_printf("0000:41:00.%d", i + 1);
    GpuPart *part = i < used ? gpu_card_add_part(card, "1g.10gb") : NULL;
    if (!part) {
      gpu_card_add_function(card, function);
      continue;
    }
    g_strlcpy(part->address, function, sizeof part->address);
    part->start = i;
  }
  return card;
}

static World *world_with(GpuCard *take_card, int desktops)
{
  g_autofree char *pool = g_strdup_printf("{'name':'gpu','template':'linux','image':'linux','gpu_class':'small','min':%d,'max':%d}", desktops, desktops);
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_look(w, take_card);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['1g.10gb']}")->error);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, pool)->error);
  return w;
}

static GPtrArray *claims_of(World *w) { return brain_names(w->brain, NOUN_VGPU); }

static void seen_with(World *w, const Vgpu *claim, const char *part)
{
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(w->brain), claim->desktop);
  Observation *o = observation_new(SAW_DOMAIN, "h1");
  DomainSeen *seen = observation_add_domain(o, uuid);
  seen->ours = true;
  seen->desktop = g_strdup(claim->desktop);
  seen->clone = claim->clone;
  seen->power = POWER_ON;
  seen->parts = g_strdupv((char *[]){ (char *)part, NULL });
  seen->looked_us = w->now_us;
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

/* It was looked for by a UUID that nothing on the host has: every desktop lost its GPU at the next look at its host. */
static void guest_has_the_function_of_its_instance(void **state)
{
  World *w = world_with(card_of(0, 7), 1);
  world_look(w, card_of(1, 6));
  g_autoptr(GPtrArray) claims = claims_of(w);
  assert_int_equal(claims->len, 1);
  const Vgpu *claim = WORLD_GET(w, Vgpu, VGPU, claims->pdata[0]);
  g_autofree char *desktop = g_strdup(claim->desktop);
  assert_int_equal(claim->state, VGPU_ATTACHED);
  assert_string_equal(claim->address, "0000:41:00.1");
  w->now_us += 60 * G_USEC_PER_SEC;
  seen_with(w, claim, "0000:41:00.1");
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_AVAILABLE);
  assert_null(world_event(w, "vgpu.missing"));
  seen_with(w, WORLD_GET(w, Vgpu, VGPU, claims->pdata[0]), "0000:41:00.7");
  assert_non_null(world_event(w, "vgpu.missing"));
  world_free(w);
}

/* Five slices are free, one function is idle. */
static void card_gives_no_more_instances_than_it_has_functions(void **state)
{
  World *w = world_with(card_of(2, 1), 3);
  g_autoptr(GPtrArray) claims = claims_of(w);
  assert_int_equal(claims->len, 1);
  assert_string_equal(WORLD_GET(w, Vgpu, VGPU, claims->pdata[0])->address, "0000:41:00.3");
  world_free(w);
}

static void card_without_functions_gives_nothing(void **state)
{
  World *w = world_with(card_of(0, 0), 1);
  g_autoptr(GPtrArray) claims = claims_of(w);
  assert_int_equal(claims->len, 0);
  assert_non_null(WORLD_GET(w, Pool, POOL, "gpu")->error);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(guest_has_the_function_of_its_instance),
    cmocka_unit_test(card_gives_no_more_instances_than_it_has_functions),
    cmocka_unit_test(card_without_functions_gives_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

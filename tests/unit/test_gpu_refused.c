/* A card whose driver refuses to make a part: who claims next goes elsewhere, what the card gave stays as it is, and one bad type takes no host all its
 * cards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

#define TYPE "nvidia-558"

enum { AGAIN_S = 60, LATER_S = 301 };

static struct {
  char bad[GPU_ADDRESS_BYTES];  /* the card that refuses; "all" */
  GString *asked;               /* the bus of each card that was asked */
  bool first;                   /* the one that is asked first is the bad one */
} host;

static GError *host_answers(World *w, const StepOrder *o)
{
  GError *err = NULL;
  if (o->kind != STEP_GPU_MAKE)
    return NULL;
  const char *card = ((Gpu *)o->gpus->pdata[0])->address;
  if (host.first)
    g_strlcpy(host.bad, card, sizeof host.bad);
  host.first = false;
  g_string_append_printf(host.asked, "%.2s ", card + strlen("0000:"));
  if (!strcmp(host.bad, card) || !strcmp(host.bad, "all"))
    error_set(&err, REASON_GPU_REFUSED, "host", "h1", "what", "write", "detail", "Input/output error", NULL);
  return err;
}

static GpuCard *card_at(int bus)
{
  g_autofree char *address = g_strdup_printf("0000:%02x:00.0", (unsigned)bus);
  GpuCard *card = gpu_card_new(address, GPU_VENDOR_VF);
  GpuType *t = gpu_card_add_type(card, TYPE);
  t->max = t->free = 4;
  for (int i = 1; i <= 4; i++) {
    g_autofree char *function = g_strdup_printf("%.11s%d", address, i);
    gpu_card_add_function(card, function);
  }
  return card;
}

/* Parts as they are claimed and made stand on their cards. */
static void look(World *w, int n)
{
  GpuCard *cards[4];
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
  for (int i = 0; i < n; i++) {
    cards[i] = card_at(0x65 + i);
    for (guint k = 0; k < names->len; k++) {
      const Vgpu *v = WORLD_GET(w, Vgpu, VGPU, names->pdata[k]);
      if (v->state == VGPU_ATTACHED && !strncmp(v->address, cards[i]->address, strlen("0000:65")))
        g_strlcpy(gpu_card_add_part(cards[i], TYPE)->address, v->address, GPU_ADDRESS_BYTES);
    }
  }
  world_look_at(w, cards, n);
}

static World *world_with(int cards, const char *bad)
{
  World *w = world_new();
  host.asked = g_string_new(NULL);
  g_strlcpy(host.bad, bad ? bad : "", sizeof host.bad);
  host.first = !bad;
  world_furnish(w, 0, 0, 0);
  w->answer = host_answers;
  look(w, cards);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['" TYPE "']}")->error);
  return w;
}

static void pool_of(World *w, int n)
{
  g_autofree char *body = g_strdup_printf("{'name':'gpu','template':'linux','image':'linux','gpu_class':'small','min':%d,'max':4}", n);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->error);
}

static void world_done(World *w)
{
  g_string_free(host.asked, TRUE);
  world_free(w);
}

/* Until a look some minutes later, or an operator. */
static void who_claims_next_goes_elsewhere(void **state)
{
  for (int operator = 0; operator < 2; operator++) {
    World *w = world_with(2, NULL);
    pool_of(w, 1);
    assert_int_equal(world_gpu_at(w, host.bad)->state, GPU_READY); /* once is nothing yet */
    world_pass(w, AGAIN_S);
    world_pass(w, AGAIN_S);
    assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), 1);
    g_autofree char *wanted = g_strdup_printf("%.2s %.2s %s ", host.bad + 5, host.bad + 5, g_str_has_prefix(host.bad, "0000:65") ? "66" : "65");
    assert_string_equal(host.asked->str, wanted);
    for (int i = 0; i < 2; i++) {
      const Gpu *bad = world_gpu_at(w, host.bad);
      assert_int_equal(bad->state, GPU_BROKEN);
      assert_true(bad->error && strstr(bad->error, "gpu-refused") && strstr(bad->error, "Input/output error"));
      look(w, 2);
    }
    g_autofree char *name = g_strdup(world_gpu_at(w, host.bad)->head.name);
    if (operator)
      assert_null(world_ask(w, API_GPU_ACTIVATE, NULL, name, NULL)->error);
    else
      world_pass(w, LATER_S);
    look(w, 2);
    assert_int_equal(world_gpu_at(w, host.bad)->state, GPU_READY);
    assert_null(world_gpu_at(w, host.bad)->error);
    world_same_fleet(w);
    world_done(w);
  }
}

/* Its guests run on: nothing says that they do not. */
static void what_the_card_gave_before_stays(void **state)
{
  World *w = world_with(2, "none");
  g_autofree char *other = g_strdup(world_gpu_at(w, "0000:66:00.0")->head.name);
  assert_null(world_ask(w, API_GPU_QUARANTINE, NULL, other, NULL)->error);
  pool_of(w, 1);
  look(w, 2);
  g_strlcpy(host.bad, "0000:65:00.0", sizeof host.bad);
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "gpu", "{'min':2}")->error);
  assert_null(world_ask(w, API_GPU_ACTIVATE, NULL, other, NULL)->error);
  world_pass(w, AGAIN_S);
  world_pass(w, AGAIN_S);
  look(w, 2);
  assert_string_equal(host.asked->str, "65 65 65 66 ");
  assert_int_equal(world_gpu_at(w, host.bad)->state, GPU_BROKEN);
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), 2);
  assert_int_equal(world_count(w, NOUN_DESKTOP, DESKTOP_AVAILABLE), 2);
  assert_null(world_event(w, "vgpu.missing"));
  world_done(w);
}

/* Each card refuses it: the type is bad, or the host, and other types may be as well as ever. */
static void one_bad_type_takes_no_host_all_its_cards(void **state)
{
  World *w = world_with(3, "all");
  int marked = 0;
  pool_of(w, 1);
  for (int i = 0; i < 30; i++) {
    world_pass(w, AGAIN_S);
    int broken = world_count(w, NOUN_GPU, GPU_BROKEN);
    assert_int_equal(broken + world_count(w, NOUN_GPU, GPU_READY), 3);
    assert_true(broken < 3);
    marked = MAX(marked, broken);
  }
  assert_true(marked > 0);
  world_done(w);
}

/* There is nowhere else: it stays in use, and is tried again. */
static void the_only_card_stays_in_use(void **state)
{
  World *w = world_with(1, "all");
  pool_of(w, 1);
  world_pass(w, AGAIN_S);
  world_pass(w, AGAIN_S);
  assert_int_equal(world_count(w, NOUN_GPU, GPU_READY), 1);
  world_done(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(who_claims_next_goes_elsewhere),
    cmocka_unit_test(what_the_card_gave_before_stays),
    cmocka_unit_test(one_bad_type_takes_no_host_all_its_cards),
    cmocka_unit_test(the_only_card_stays_in_use),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is taken of a card in the engine's numbers: our claims, what others made, and what the card says of itself, each counted once. The fleet that is
 * kept is compared with one made anew after each story. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/ledger.h"
#include "tests/unit/brain_world.h"

#define ADDRESS "0000:65:00.0"

typedef struct {
  const char *type;
  int n;
} Parts;

/* small: four a card, large: one, other: two, and no class accepts it. */
static GpuCard *card_new(bool same_type, int small_free, Parts foreign)
{
  static const struct { const char *id; int max; } types[] = { { "small", 4 }, { "large", 1 }, { "other", 2 } };
  GpuCard *card = gpu_card_new(ADDRESS, GPU_MDEV);
  card->same_type_only = same_type;
  for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
    GpuType *type = gpu_card_add_type(card, types[i].id);
    type->max = types[i].max;
    type->free = i ? types[i].max * small_free / 4 : small_free;
  }
  for (int i = 0; i < foreign.n; i++)
    g_snprintf(gpu_card_add_part(card, foreign.type)->uuid, GPU_UUID_TEXT_BYTES, "00000000-0000-4000-8000-%012d", i);
  return card;
}

static World *world_with(GpuCard *card)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'any','accepts':['small','large']}")->error);
  world_look(w, card);
  return w;
}

static void pool_add(World *w, int n)
{
  g_autofree char *body = g_strdup_printf("{'name':'gpu','template':'linux','image':'linux','gpu_class':'any','vcpus':1,'memory_mib':64,"
                                          "'min':%d,'max':9}", n);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->error);
}

static int card_free(World *w)
{
  Fleet *f = ledger_fleet(w->brain);
  g_autofree char *why = NULL;
  if (!fleet_check(f, &why))
    fail_msg("the fleet does not add up: %s", why);
  return fleet_card_free(f, fleet_find_host(f, "h1"), 0);
}

static int claims(World *w, VgpuState state) { return world_count(w, NOUN_VGPU, state); }

static const char *only(World *w, Noun noun)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, noun);
  assert_int_equal(names->len, 1);
  return brain_find(w->brain, noun, names->pdata[0])->name;
}

/* ── what a card says ─────────────────────────────────────────────────────── */

static const struct {
  const char *why;
  bool same_type;
  int small_free;
  Parts foreign;
  int left;   /* of 1000 */
  int fit;    /* desktops with a small part, of which there can be four */
} rows[] = {
  { "an empty card", false, 4, { NULL, 0 }, 1000, 4 },
  { "what others made is theirs", false, 3, { "small", 1 }, 750, 3 },
  { "another type of theirs", false, 2, { "other", 1 }, 500, 2 },
  { "the whole card is theirs", false, 0, { "large", 1 }, 0, 0 },
  { "less is free than its parts explain: nobody counts on the difference", false, 2, { NULL, 0 }, 749, 2 },
  { "the same beside a part", false, 1, { "small", 1 }, 499, 1 },
  { "nothing is free, and nothing shows why", false, 0, { NULL, 0 }, 249, 0 },
  { "more is free than its parts leave: the parts count", false, 4, { "small", 2 }, 500, 2 },
  { "all of one type: theirs is the one", true, 3, { "small", 1 }, 750, 3 },
  { "all of one type, and it is one that nobody asks for", true, 0, { "other", 1 }, 0, 0 },
  { "all of one type: another one than is asked for first", true, 0, { "large", 1 }, 0, 0 },
};

static void what_others_have_and_what_a_card_lacks_is_not_counted_on(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = world_with(card_new(rows[i].same_type, rows[i].small_free, rows[i].foreign));
    int left = card_free(w);
    w->hold = true;
    pool_add(w, 5);
    int fit = claims(w, VGPU_CLAIMED);
    if (left != rows[i].left || fit != rows[i].fit)
      fail_msg("%s: %d of 1000 left, %d fit", rows[i].why, left, fit);
    assert_int_equal(card_free(w), left - 250 * fit);
    assert_non_null(WORLD_GET(w, Pool, POOL, "gpu")->error);
    world_same_fleet(w);
    world_free(w);
  }
}

/* ── what is ours ─────────────────────────────────────────────────────────── */

/* The card with the parts of all claims, and as many of others. */
static GpuCard *card_with_claims(World *w, int foreign)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
  GpuCard *card = card_new(false, MAX(0, 4 - (int)names->len - foreign), (Parts){ "small", foreign });
  for (guint i = 0; i < names->len; i++) {
    GpuPart *part = gpu_card_add_part(card, "small");
    g_strlcpy(part->uuid, WORLD_GET(w, Vgpu, VGPU, names->pdata[i])->uuid, sizeof part->uuid);
    part->marked = true;
  }
  return card;
}

static void a_claim_counts_once_before_and_after_its_part_is_seen(void **state)
{
  World *w = world_with(card_new(false, 4, (Parts){ NULL, 0 }));
  w->hold = true;
  pool_add(w, 2);
  assert_int_equal(claims(w, VGPU_CLAIMED), 2);
  assert_int_equal(card_free(w), 500);
  world_release(w);
  world_settle(w);
  world_look(w, card_with_claims(w, 0));
  assert_int_equal(card_free(w), 500);
  world_look(w, card_with_claims(w, 1));
  assert_int_equal(card_free(w), 250);
  world_same_fleet(w);
  world_free(w);
}

static void a_quarantined_card_offers_nothing_and_keeps_what_it_gave(void **state)
{
  World *w = world_with(card_new(false, 4, (Parts){ NULL, 0 }));
  pool_add(w, 1);
  world_look(w, card_with_claims(w, 0));
  g_autofree char *gpu = g_strdup(only(w, NOUN_GPU));
  assert_null(world_ask(w, API_GPU_QUARANTINE, NULL, gpu, NULL)->error);
  assert_int_equal(card_free(w), 750);
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "gpu", "{'min':2}")->error);
  assert_int_equal(claims(w, VGPU_ATTACHED), 1);
  assert_int_equal(claims(w, VGPU_CLAIMED), 0);
  assert_non_null(strstr(WORLD_GET(w, Pool, POOL, "gpu")->error, "none of the 1 cards of host h1 offers that vGPU"));
  world_same_fleet(w);
  assert_null(world_ask(w, API_GPU_ACTIVATE, NULL, gpu, NULL)->error);
  assert_int_equal(claims(w, VGPU_ATTACHED) + claims(w, VGPU_CLAIMED) + claims(w, VGPU_MADE), 2);
  assert_int_equal(card_free(w), 500);
  world_same_fleet(w);
  world_free(w);
}

static const Gpu *gpu_at(const World *w, const char *address)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_GPU);
  for (guint i = 0; i < names->len; i++)
    if (!strcmp(WORLD_GET(w, Gpu, GPU, names->pdata[i])->address, address))
      return WORLD_GET(w, Gpu, GPU, names->pdata[i]);
  fail_msg("no card at %s", address);
  return NULL;
}

static GpuCard *card_of_serial(const char *address, const char *serial)
{
  GpuCard *card = card_new(false, 4, (Parts){ NULL, 0 });
  g_strlcpy(card->address, address, sizeof card->address);
  g_free(card->serial);
  card->serial = g_strdup(serial);
  return card;
}

/* Over a fault, another slot, and another card in the slot that it had. */
static void quarantine_is_the_cards_until_an_operator_ends_it(void **state)
{
  static const char here[] = "0000:41:00.0", there[] = "0000:61:00.0";
  World *w = world_with(card_of_serial(here, "S1"));
  g_autofree char *gpu = g_strdup(gpu_at(w, here)->head.name);
  assert_null(world_ask(w, API_GPU_QUARANTINE, NULL, gpu, NULL)->error);
  GpuCard *broken = card_of_serial(here, "S1");
  broken->broken = g_strdup("it fell off the bus");
  world_look(w, broken);
  assert_int_equal(gpu_at(w, here)->state, GPU_BROKEN);
  world_look(w, card_of_serial(here, "S1"));
  assert_int_equal(gpu_at(w, here)->state, GPU_QUARANTINED);
  world_look(w, card_of_serial(there, "S1"));
  assert_int_equal(gpu_at(w, here)->state, GPU_STATE_GONE);
  assert_int_equal(gpu_at(w, there)->state, GPU_QUARANTINED);
  world_look(w, card_of_serial(here, "S2"));
  assert_int_equal(gpu_at(w, here)->state, GPU_QUARANTINED);
  assert_null(world_ask(w, API_GPU_ACTIVATE, NULL, gpu, NULL)->error);
  assert_int_equal(gpu_at(w, here)->state, GPU_READY);
  world_look(w, card_of_serial(here, "S2"));
  assert_int_equal(gpu_at(w, here)->state, GPU_READY);
  assert_true(gpu_at(w, there)->quarantined);
  world_free(w);
}

static void what_is_let_go_of_counts_until_the_card_is_seen_without_it(void **state)
{
  World *w = world_with(card_new(false, 4, (Parts){ NULL, 0 }));
  pool_add(w, 1);
  world_look(w, card_with_claims(w, 0));
  g_autofree char *desktop = g_strdup(only(w, NOUN_DESKTOP));
  w->hold = true;
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "gpu", "{'min':0}")->error);
  assert_null(world_ask(w, API_DESKTOP_RETIRE, NULL, desktop, NULL)->error);
  assert_int_equal(claims(w, VGPU_RELEASING), 1);
  assert_int_equal(card_free(w), 750);
  world_same_fleet(w);
  w->hold = false;
  world_release(w);
  world_settle(w);
  g_autoptr(GPtrArray) left = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(left->len, 0);
  assert_int_equal(card_free(w), 750);
  world_look(w, card_new(false, 4, (Parts){ NULL, 0 }));
  assert_int_equal(card_free(w), 1000);
  world_same_fleet(w);
  world_free(w);
}

/* A reset lets go of the part and claims the next in its place: never both, and the release of the old one frees nothing of the new. */
static void a_reset_goes_on_in_its_own_place(void **state)
{
  World *w = world_with(card_new(false, 4, (Parts){ NULL, 0 }));
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ann','role':'user'}")->error);
  pool_add(w, 1);
  world_look(w, card_with_claims(w, 3));
  assert_int_equal(card_free(w), 0);
  g_autofree char *before = g_strdup(only(w, NOUN_VGPU)), *desktop = g_strdup(only(w, NOUN_DESKTOP));
  assert_null(world_ask(w, API_SESSION_REQUEST, "ann", NULL, "{'pool':'gpu'}")->error);
  g_autofree char *session = g_strdup(WORLD_GET(w, Desktop, DESKTOP, desktop)->session);
  w->hold = true;
  assert_null(world_ask(w, API_SESSION_END, "ann", session, NULL)->error);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->clone, 2);
  assert_int_equal(WORLD_GET(w, Vgpu, VGPU, before)->state, VGPU_RELEASING);
  assert_int_equal(claims(w, VGPU_CLAIMED), 1);
  assert_int_equal(card_free(w), 0);
  world_same_fleet(w);
  w->hold = false;
  world_release(w);
  world_settle(w);
  assert_null(WORLD_GET(w, Vgpu, VGPU, before));
  assert_int_equal(WORLD_GET(w, Vgpu, VGPU, only(w, NOUN_VGPU))->clone, 2);
  assert_int_equal(card_free(w), 0);
  world_same_fleet(w);
  world_free(w);
}

static void a_restart_counts_the_same(void **state)
{
  World *w = world_with(card_new(false, 4, (Parts){ NULL, 0 }));
  pool_add(w, 2);
  world_look(w, card_with_claims(w, 1));
  g_autoptr(GPtrArray) desktops = brain_names(w->brain, NOUN_DESKTOP);
  assert_int_equal(desktops->len, 2);
  w->hold = true;
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "gpu", "{'min':1}")->error);
  assert_null(world_ask(w, API_DESKTOP_RETIRE, NULL, desktops->pdata[0], NULL)->error);
  assert_int_equal(claims(w, VGPU_RELEASING), 1);
  assert_int_equal(card_free(w), 250);
  g_autofree char *before = ledger_text(w->brain, false);
  world_crash(w);
  g_autofree char *after = ledger_text(w->brain, false);
  assert_string_equal(before, after);
  assert_int_equal(claims(w, VGPU_RELEASING), 1);
  world_same_fleet(w);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_others_have_and_what_a_card_lacks_is_not_counted_on),
    cmocka_unit_test(a_claim_counts_once_before_and_after_its_part_is_seen),
    cmocka_unit_test(a_quarantined_card_offers_nothing_and_keeps_what_it_gave),
    cmocka_unit_test(quarantine_is_the_cards_until_an_operator_ends_it),
    cmocka_unit_test(what_is_let_go_of_counts_until_the_card_is_seen_without_it),
    cmocka_unit_test(a_reset_goes_on_in_its_own_place),
    cmocka_unit_test(a_restart_counts_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

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

/* A place on the card is none without a function to give: of so many functions, idle ones. */
static void fewer_functions_than_places_are_the_room(void **state)
{
  static const struct { int functions, max; const char *larger; int left, fit; } all[] = {
    { 8, 8, NULL, 1000, 8 }, { 9, 8, NULL, 1000, 8 }, { 2, 8, NULL, 374, 2 }, { 1, 8, NULL, 249, 1 }, { 0, 8, NULL, 0, 0 },
    { 2, 8, "large", 1000, 2 }, /* as far as a larger one still fits */
  };
  for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
    GpuCard *card = gpu_card_new("0000:65:00.0", GPU_VENDOR_VF);
    GpuType *type = gpu_card_add_type(card, "small");
    type->max = all[i].max;
    type->free = all[i].functions;
    if (all[i].larger) {
      type = gpu_card_add_type(card, all[i].larger);
      type->max = type->free = 1;
    }
    for (int n = 0; n < all[i].functions; n++) {
      g_autofree char *address = g_strdup_printf("0000:65:%02x.%x", (unsigned)(n + 4) / 8, (unsigned)(n + 4) % 8);
      gpu_card_add_function(card, address);
    }
    World *w = world_with(card);
    int left = card_free(w);
    w->hold = true;
    pool_add(w, 9);
    int fit = claims(w, VGPU_CLAIMED);
    if (left != all[i].left || fit != all[i].fit)
      fail_msg("%d functions: %d of 1000 left, %d fit", all[i].functions, left, fit);
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
  g_autofree char *gpu = g_strdup(world_gpu_at(w, here)->head.name);
  assert_null(world_ask(w, API_GPU_QUARANTINE, NULL, gpu, NULL)->error);
  GpuCard *broken = card_of_serial(here, "S1");
  broken->broken = g_strdup("it fell off the bus");
  world_look(w, broken);
  assert_int_equal(world_gpu_at(w, here)->state, GPU_BROKEN);
  world_look(w, card_of_serial(here, "S1"));
  assert_int_equal(world_gpu_at(w, here)->state, GPU_QUARANTINED);
  world_look(w, card_of_serial(there, "S1"));
  assert_int_equal(world_gpu_at(w, here)->state, GPU_STATE_GONE);
  assert_int_equal(world_gpu_at(w, there)->state, GPU_QUARANTINED);
  world_look(w, card_of_serial(here, "S2"));
  assert_int_equal(world_gpu_at(w, here)->state, GPU_QUARANTINED);
  assert_null(world_ask(w, API_GPU_ACTIVATE, NULL, gpu, NULL)->error);
  assert_int_equal(world_gpu_at(w, here)->state, GPU_READY);
  world_look(w, card_of_serial(here, "S2"));
  assert_int_equal(world_gpu_at(w, here)->state, GPU_READY);
  assert_true(world_gpu_at(w, there)->quarantined);
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

/* ── places ───────────────────────────────────────────────────────────────── */

/* told: its places as a text of digits. */
static void type_placed(GpuCard *card, const char *id, int max, int free, int size, const char *told)
{
  GpuType *type = gpu_card_add_type(card, id);
  type->max = max;
  type->free = free;
  type->size = size;
  for (; *told; told++) {
    int start = *told - '0';
    g_array_append_val(type->starts, start);
  }
}

static void part_placed(GpuCard *card, const char *type, int start)
{
  GpuPart *part = gpu_card_add_part(card, type);
  part->start = start;
  g_strlcpy(part->address, "0000:65:00.4", sizeof part->address);
}

/* One a card, but at any place that is told: its only place was the first, and that was taken. */
static void a_part_of_which_there_is_one_lies_wherever_its_card_says(void **state)
{
  static const struct { const char *told; int start; } places[] = { { "123456", 1 }, { "5", 5 } };
  for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
    GpuCard *card = gpu_card_new(ADDRESS, GPU_MIG);
    type_placed(card, "1g.5gb", 7, 6, 1, "123456");
    type_placed(card, "1g.5gb+me", 1, 1, 1, places[i].told);
    type_placed(card, "7g.40gb", 1, 0, 8, "");
    part_placed(card, "1g.5gb", 0);
    gpu_card_add_function(card, "0000:65:00.5");
    World *w = world_with(card);
    assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'media','accepts':['1g.5gb+me']}")->error);
    assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL,
                          "{'name':'gpu','template':'linux','image':'linux','gpu_class':'media','min':1,'max':1}")->error);
    assert_int_equal(WORLD_GET(w, Vgpu, VGPU, only(w, NOUN_VGPU))->start, places[i].start);
    world_same_fleet(w);
    world_free(w);
  }
}

/* An A100 on which others have a part, or none: what lies beside it, and whether it has one of its own already. */
static GpuCard *a100_with(const char *theirs, int start, bool fourth, bool media)
{
  GpuCard *card = gpu_card_new(ADDRESS, GPU_MIG);
  type_placed(card, "3g.20gb", 2, theirs ? 1 : 2, 4, theirs ? "4" : "04");
  type_placed(card, "4g.20gb", 1, fourth, 4, fourth ? "0" : "");
  type_placed(card, "1g.5gb+me", 1, media, 1, media ? "123456" : "");
  type_placed(card, "7g.40gb", 1, !theirs, 8, theirs ? "" : "0");
  if (theirs)
    part_placed(card, theirs, start);
  gpu_card_add_function(card, "0000:65:00.5");
  return card;
}

static int claimed_of(World *w, const char *type)
{
  g_autofree char *class = g_strdup_printf("{'name':'one','accepts':['%s']}", type);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, class)->error);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL,
                        "{'name':'gpu','template':'linux','image':'linux','gpu_class':'one','min':1,'max':1}")->error);
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
  world_same_fleet(w);
  return names->len ? (int)WORLD_GET(w, Vgpu, VGPU, names->pdata[0])->start : -1;
}

/* Two parts of 3g fit, so one of 4g, which is as large, was claimed at the second's place, refused, and claimed there again. */
static void a_part_is_claimed_only_where_its_card_ever_said(void **state)
{
  static const struct {
    const char *why, *theirs;
    int start;
    bool before, media;   /* it was seen empty before */
    const char *asked;
    int claimed;
  } rows_of[] = {
    { "nothing is there", NULL, 0, false, true, "4g.20gb", 0 },
    { "theirs is at its only place", "1g.5gb+me", 0, false, false, "4g.20gb", -1 },
    { "the same, of a card that was seen empty", "1g.5gb+me", 0, true, false, "4g.20gb", -1 },
    { "its like has another place", "1g.5gb+me", 0, true, false, "3g.20gb", 4 },
    { "one a card, and that is theirs", "1g.5gb+me", 0, true, false, "1g.5gb+me", -1 },
    { "one a card, and theirs is another", "3g.20gb", 0, true, true, "1g.5gb+me", 4 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows_of); i++) {
    World *w = world_with(a100_with(rows_of[i].before ? NULL : rows_of[i].theirs, rows_of[i].start, rows_of[i].before || !rows_of[i].theirs, true));
    world_look(w, a100_with(rows_of[i].theirs, rows_of[i].start, !rows_of[i].theirs, rows_of[i].media));
    int claimed = claimed_of(w, rows_of[i].asked);
    if (claimed != rows_of[i].claimed)
      fail_msg("%s: claimed at %d", rows_of[i].why, claimed);
    world_free(w);
  }
}

/* What the card tells counts beside what is known of its kind: no multiple of the size, and a place all the same. */
static void a_place_that_the_card_tells_is_one(void **state)
{
  GpuCard *card = gpu_card_new(ADDRESS, GPU_MIG);
  type_placed(card, "4g.20gb", 1, 1, 4, "3");
  type_placed(card, "1g.5gb", 7, 4, 1, "123456");
  GpuPart *theirs = gpu_card_add_part(card, "1g.5gb");
  theirs->start = 0;
  gpu_card_add_function(card, "0000:65:00.5");
  World *w = world_with(card);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'big','accepts':['4g.20gb']}")->error);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL,
                        "{'name':'gpu','template':'linux','image':'linux','gpu_class':'big','min':1,'max':1}")->error);
  assert_int_equal(WORLD_GET(w, Vgpu, VGPU, only(w, NOUN_VGPU))->start, 3);
  world_free(w);
}

/* Others made it for a container: each desktop of that type was given theirs, refused, and claimed on that card again. */
static void an_instance_of_others_without_a_function_keeps_its_type_off_the_card(void **state)
{
  static const struct { const char *theirs, *address; int claims; } rows_of[] = {
    { "1g.5gb", "", 0 }, { "1g.5gb", "0000:65:00.4", 1 }, { "2g.10gb", "", 1 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows_of); i++) {
    GpuCard *card = gpu_card_new(ADDRESS, GPU_MIG);
    type_placed(card, "1g.5gb", 7, 5, 1, "23456");
    type_placed(card, "2g.10gb", 3, 2, 2, "24");
    type_placed(card, "7g.40gb", 1, 0, 8, "");
    part_placed(card, rows_of[i].theirs, 0);
    g_strlcpy(((GpuPart *)card->parts->pdata[0])->address, rows_of[i].address, GPU_ADDRESS_BYTES);
    gpu_card_add_function(card, "0000:65:00.5");
    World *w = world_with(card);
    const char *why = WORLD_GET(w, Gpu, GPU, only(w, NOUN_GPU))->error;
    assert_int_equal(why && strstr(why, "gpu-not-ours") && strstr(why, rows_of[i].theirs), !rows_of[i].address[0]);
    claimed_of(w, "1g.5gb");
    g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
    assert_int_equal(names->len, rows_of[i].claims);
    world_free(w);
  }
}

/* ── many kinds ───────────────────────────────────────────────────────────── */

static void card_drop(void *card) { gpu_card_free(card); }

/* A look at the host, with n whole cards of kinds from first on. */
static void host_shows(World *w, const char *host, int first, int n)
{
  w->hold = true;
  assert_null(world_ask(w, API_HOST_CHANGE, NULL, host, "{'starts':4}")->error);
  StepOrder *look = NULL;
  for (guint i = 0; i < w->held->len && !look; i++) {
    const StepOrder *o = w->held->pdata[i];
    if (o->kind == STEP_GPU_DISCOVER && !strcmp(o->host->head.name, host))
      look = g_ptr_array_steal_index(w->held, i);
  }
  assert_non_null(look);
  StepResult *result = step_result_new(look);
  result->cards = g_ptr_array_new_with_free_func(card_drop);
  result->looked_us = ++w->now_us;
  for (int i = 0; i < n; i++) {
    g_autofree char *address = g_strdup_printf("0000:%02x:00.0", (unsigned)i + 1);
    GpuCard *card = gpu_card_new(address, GPU_WHOLE);
    card->vendor_id = 0x1002;
    card->device_id = (uint16_t)(first + i);
    GpuType *type = gpu_card_add_type(card, "whole");
    type->max = type->free = 1;
    g_ptr_array_add(result->cards, card);
  }
  brain_result(w->brain, result, w->now_us);
  step_order_free(look);
  w->hold = false;
  world_release(w);
  world_settle(w);
}

enum { CARDS_A_HOST = 16 };

/* Hosts a, b, c …, each with cards of kinds of its own, all of which a class accepts. */
static World *world_of_kinds(int hosts, int kinds)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  for (int i = 0; i < kinds; i++) {
    g_autofree char *class = g_strdup_printf("{'name':'k%d','accepts':['whole:1002:%04x']}", i, (unsigned)i + 1);
    assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, class)->error);
  }
  for (int h = 0; h < hosts; h++) {
    char name[] = { (char)('a' + h), '\0' };
    world_host_add(w, name, "");
    host_shows(w, name, 1 + h * CARDS_A_HOST, MIN(CARDS_A_HOST, kinds - h * CARDS_A_HOST));
  }
  return w;
}

static int told_too_many(World *w)
{
  int n = 0;
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_GPU);
  for (guint i = 0; i < names->len; i++) {
    const char *why = WORLD_GET(w, Gpu, GPU, names->pdata[i])->error;
    n += why && strstr(why, "too-large") && strstr(why, "\"64\"");
  }
  return n;
}

/* The 33rd kind got nothing, whichever that was, and nobody said so. */
static void each_kind_of_card_counts_and_what_is_beyond_the_limit_says_so(void **state)
{
  static const struct { int hosts, kinds, told; } worlds[] = { { 3, 40, 0 }, { 4, 64, 0 }, { 5, 70, 6 } };
  for (size_t i = 0; i < G_N_ELEMENTS(worlds); i++) {
    int offered = 0;
    World *w = world_of_kinds(worlds[i].hosts, worlds[i].kinds);
    for (int h = 0; h < worlds[i].hosts; h++) {
      char name[] = { (char)('a' + h), '\0' };
      Fleet *f = ledger_fleet(w->brain);
      int host = fleet_find_host(f, name);
      for (int card = 0; card < CARDS_A_HOST && *ledger_card(w->brain, host, card) == 'g'; card++)
        offered += fleet_card_free(f, host, card) == CARD_WHOLE;
    }
    for (int h = 0; h < worlds[i].hosts; h++) { /* looks tell of the fleet as it was asked last */
      char name[] = { (char)('a' + h), '\0' };
      host_shows(w, name, 1 + h * CARDS_A_HOST, MIN(CARDS_A_HOST, worlds[i].kinds - h * CARDS_A_HOST));
    }
    assert_int_equal(offered, worlds[i].kinds - worlds[i].told);
    assert_int_equal(told_too_many(w), worlds[i].told);
    world_same_fleet(w);
    world_free(w);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_others_have_and_what_a_card_lacks_is_not_counted_on), cmocka_unit_test(fewer_functions_than_places_are_the_room),
    cmocka_unit_test(a_claim_counts_once_before_and_after_its_part_is_seen),
    cmocka_unit_test(a_quarantined_card_offers_nothing_and_keeps_what_it_gave),
    cmocka_unit_test(quarantine_is_the_cards_until_an_operator_ends_it),
    cmocka_unit_test(what_is_let_go_of_counts_until_the_card_is_seen_without_it),
    cmocka_unit_test(a_reset_goes_on_in_its_own_place),
    cmocka_unit_test(a_restart_counts_the_same),
    cmocka_unit_test(a_part_of_which_there_is_one_lies_wherever_its_card_says),
    cmocka_unit_test(a_part_is_claimed_only_where_its_card_ever_said),
    cmocka_unit_test(a_place_that_the_card_tells_is_one),
    cmocka_unit_test(an_instance_of_others_without_a_function_keeps_its_type_off_the_card),
    cmocka_unit_test(each_kind_of_card_counts_and_what_is_beyond_the_limit_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

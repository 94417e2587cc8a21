/* Claims and the cards they are on, as looks and releases tell of them: what a guest may have left something in is nobody else's before it is
 * clean, and what a look tells otherwise for a while takes nobody's desktop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

#define CARD "0000:65:00.0"

enum { LONG_S = 1200 };

/* What fails, and why; and what was asked for. */
static struct {
  StepKind fails;
  Reason reason;
  int reaps;
  bool resets_fail;  /* also of what no task works on */
} host;

static GError *host_answers(World *w, const StepOrder *order)
{
  GError *err = NULL;
  host.reaps += order->kind == STEP_GPU_REAP;
  if (order->kind == STEP_GPU_REAP && order->unproven)
    return NULL;
  if (order->kind == host.fails || (order->kind == STEP_GPU_REAP && host.resets_fail))
    error_set(&err, host.reason, "what", "0000:65:00.4", "host", "h1", "detail", "no reset", "card", CARD, "type", "t", NULL);
  return err;
}

/* Of n functions the first used ones have a type. */
static GpuCard *card_of(GpuBackend backend, const char *type, int n, int used)
{
  GpuCard *card = gpu_card_new(CARD, backend);
  GpuType *t = gpu_card_add_type(card, type);
  t->max = n;
  t->free = n - used;
  for (int i = 0; i < n; i++) {
    g_autofree char *function = g_strdup_printf("0000:65:%02x.%d", (4 + i) / 8, (4 + i) % 8);
    if (i < used)
      g_strlcpy(gpu_card_add_part(card, type)->address, function, GPU_ADDRESS_BYTES);
    else
      gpu_card_add_function(card, function);
  }
  return card;
}

static GpuCard *functions_of(int n, int used) { return card_of(GPU_VENDOR_VF, "nvidia-558", n, used); }

static World *world_with(GpuCard *take_card, const char *type)
{
  g_autofree char *class = g_strdup_printf("{'name':'small','accepts':['%s']}", type);
  World *w = world_new();
  host.fails = STEP_NONE, host.reaps = 0, host.resets_fail = false;
  world_furnish(w, 0, 0, 0);
  w->answer = host_answers;
  world_look(w, take_card);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, class)->error);
  return w;
}

static void pool_of(World *w, int n)
{
  g_autofree char *body = g_strdup_printf("{'name':'gpu','template':'linux','image':'linux','offer_s':604800,'gpu_class':'small','min':%d,'max':%d}", n, n);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->error);
}

static const char *held_by_jihye(World *w)
{
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'gpu'}");
  assert_null(a->error);
  return WORLD_GET(w, Session, SESSION, a->object->name)->desktop;
}

static const Gpu *only_card(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_GPU);
  assert_int_equal(names->len, 1);
  return WORLD_GET(w, Gpu, GPU, names->pdata[0]);
}

static const Vgpu *only_claim(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(names->len, 1);
  return WORLD_GET(w, Vgpu, VGPU, names->pdata[0]);
}

static int events_of(World *w, const char *kind)
{
  int n = 0;
  for (guint i = 0; i < w->events->len; i++)
    n += !g_strcmp0(((Event *)w->events->pdata[i])->kind, kind);
  return n;
}

static bool says(const char *json, const char *word) { return json && strstr(json, word); }

/* ── a release that was not confirmed ─────────────────────────────────────── */

/* The first thing a release does is to take the type away: from then on the card shows nothing there, reset or not. */
static void a_function_whose_reset_is_not_confirmed_was_freed(void **state)
{
  World *w = world_with(functions_of(2, 0), "nvidia-558");
  pool_of(w, 1);
  g_autofree char *desktop = g_strdup(held_by_jihye(w));
  world_look(w, functions_of(2, 1));
  assert_int_equal(only_claim(w)->state, VGPU_ATTACHED);
  host.fails = STEP_GPU_RELEASE, host.reason = REASON_GPU_DIRTY, host.resets_fail = true;
  assert_null(world_ask(w, API_DESKTOP_DETACH_GPU, NULL, desktop, NULL)->error);
  for (int i = 0; i < 8; i++)
    world_pass(w, 60);
  for (int i = 0; i < 20; i++) {
    world_pass(w, LONG_S);
    world_look(w, functions_of(2, 0));
    assert_int_equal(only_claim(w)->state, VGPU_RELEASING);
    assert_true(says(only_claim(w)->error, "gpu-dirty"));
    assert_true(says(only_card(w)->error, "gpu-differs") && says(only_card(w)->error, "\"stuck\":\"1\""));
    assert_null(WORLD_GET(w, Desktop, DESKTOP, desktop)->task); /* its person was locked out of it until the card was clean */
    assert_null(WORLD_GET(w, Desktop, DESKTOP, desktop)->error);
    assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_ASSIGNED);
  }
  assert_true(host.reaps >= 19); /* it goes on being tried */
  assert_int_equal(events_of(w, "desktop.gpu-detached"), 1);
  assert_int_equal(events_of(w, "vgpu.not-freed"), 1);
  host.fails = STEP_NONE, host.resets_fail = false;
  for (int i = 0; i < 2; i++) { /* the first one has it freed, the next one tells */
    world_pass(w, LONG_S);
    world_look(w, functions_of(2, 0));
  }
  g_autoptr(GPtrArray) none = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(none->len, 0);
  assert_null(only_card(w)->error);
  world_free(w);
}

/* A claim that no task works on: that of a desktop whose making was called off. */
static World *world_with_left_over(GpuCard *take_card, const char *type)
{
  World *w = world_with(take_card, type);
  w->hold = true;
  pool_of(w, 5); /* the host makes four at a time */
  assert_null(world_ask(w, API_POOL_CHANGE, NULL, "gpu", "{'min':0}")->error);
  g_autoptr(GPtrArray) tasks = brain_names(w->brain, NOUN_TASK);
  for (guint i = 0; i < tasks->len; i++)
    if (WORLD_GET(w, Task, TASK, tasks->pdata[i])->state == TASK_PENDING)
      assert_null(world_ask(w, API_TASK_CANCEL, NULL, tasks->pdata[i], NULL)->error);
  w->hold = false;
  world_release(w);
  world_settle(w);
  assert_null(world_ask(w, API_POOL_DELETE, NULL, "gpu", NULL)->error);
  return w;
}

static void what_nobody_works_on_is_released_not_forgotten(void **state)
{
  static const struct {
    GpuBackend backend;
    const char *type;
    int reaps;
  } rows[] = { { GPU_VENDOR_VF, "nvidia-558", 1 }, { GPU_SRIOV, "vf", 1 }, { GPU_MDEV, "m-1", 0 } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = world_with_left_over(card_of(rows[i].backend, rows[i].type, 6, 0), rows[i].type);
    assert_int_equal(world_count(w, NOUN_VGPU, VGPU_RELEASING), 1);
    host.fails = STEP_GPU_REAP, host.reason = REASON_GPU_DIRTY;
    for (int k = 0; k < 3 && rows[i].reaps; k++) {
      world_pass(w, 60);
      world_look(w, card_of(rows[i].backend, rows[i].type, 6, 0));
      assert_int_equal(only_claim(w)->state, VGPU_RELEASING);
      assert_true(says(only_claim(w)->error, "gpu-dirty"));
      assert_int_equal(host.reaps, k + 1);
    }
    assert_int_equal(events_of(w, "vgpu.not-freed"), rows[i].reaps);
    host.fails = STEP_NONE;
    host.reaps = 0;
    world_look(w, card_of(rows[i].backend, rows[i].type, 6, 0));
    g_autoptr(GPtrArray) none = brain_names(w->brain, NOUN_VGPU);
    assert_int_equal(none->len, 0);
    assert_int_equal(host.reaps, rows[i].reaps);
    world_free(w);
  }
}

/* ── a look that tells otherwise ──────────────────────────────────────────── */

static GpuCard *mig_of(int used)
{
  GpuCard *card = card_of(GPU_MIG, "1g.5gb", 4, used);
  GpuType *type = card->types->pdata[0];
  type->size = 1;
  for (int i = 0; i < 4; i++)
    g_array_append_val(type->starts, i);
  for (guint i = 0; i < card->parts->len; i++)
    ((GpuPart *)card->parts->pdata[i])->start = (int)i;
  return card;
}

/* nvidia-smi said nothing for one look, and the card was taken for one whose functions have types: every part was missing. */
static void a_card_that_shows_itself_otherwise_took_its_desktops(void **state)
{
  World *w = world_with(mig_of(0), "1g.5gb");
  pool_of(w, 1);
  g_autofree char *desktop = g_strdup(held_by_jihye(w));
  world_look(w, mig_of(1));
  assert_int_equal(only_claim(w)->state, VGPU_ATTACHED);
  for (int i = 0; i < 3; i++) {
    world_look(w, functions_of(4, 1));
    assert_int_equal(only_claim(w)->state, VGPU_ATTACHED);
    assert_null(only_claim(w)->error);
    assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_ASSIGNED);
    assert_int_equal(only_card(w)->state, GPU_UNSEEN);
    assert_int_equal(only_card(w)->backend, GPU_MIG);
    assert_true(says(only_card(w)->error, "gpu-changed"));
    assert_int_equal(events_of(w, "gpu.changed"), 1);
  }
  world_look(w, mig_of(1));
  assert_int_equal(only_card(w)->state, GPU_READY);
  assert_null(only_card(w)->error);
  assert_int_equal(only_card(w)->foreign_parts, 0);
  assert_null(world_ask(w, API_SESSION_END, NULL, WORLD_GET(w, Desktop, DESKTOP, desktop)->session, NULL)->error);
  assert_null(world_ask(w, API_POOL_DELETE, NULL, "gpu", NULL)->error);
  world_look(w, mig_of(0));
  world_look(w, functions_of(4, 0)); /* nothing of it is claimed: it is what it is */
  assert_int_equal(only_card(w)->backend, GPU_VENDOR_VF);
  assert_int_equal(only_card(w)->state, GPU_READY);
  world_free(w);
}

/* It was lost until somebody started it anew, although guest and part were well. */
static void a_part_that_is_seen_again_is_its_desktop_s_as_before(void **state)
{
  for (int broken = 0; broken < 2; broken++) {
    World *w = world_with(functions_of(4, 0), "nvidia-558");
    pool_of(w, 1);
    g_autofree char *desktop = g_strdup(held_by_jihye(w));
    GpuCard *otherwise = functions_of(4, broken);
    otherwise->broken = broken ? g_strdup("it does not answer") : NULL;
    world_look(w, functions_of(4, 1));
    world_look(w, otherwise);
    assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_LOST);
    assert_int_equal(only_claim(w)->state, VGPU_CLAIMED);
    assert_non_null(only_claim(w)->error);
    world_look(w, functions_of(4, 1));
    assert_int_equal(only_claim(w)->state, VGPU_ATTACHED);
    assert_true(only_claim(w)->tries > 0); /* to be freed at its end, as what we made */
    assert_null(only_claim(w)->error);
    assert_null(only_card(w)->error);
    assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_USED);
    assert_null(WORLD_GET(w, Desktop, DESKTOP, desktop)->error);
    world_free(w);
  }
}

/* A look that missed it once, or told of something else in its place: nobody has let go of it, and what is there is ours to free, seen again or not. */
static void a_part_that_was_missed_while_its_guest_ran_stays_ours_to_free(void **state)
{
  for (int unread = 0; unread < 2; unread++) {
    World *w = world_with(functions_of(4, 0), "nvidia-558");
    pool_of(w, 1);
    world_look(w, functions_of(4, 1));
    assert_int_equal(only_claim(w)->state, VGPU_ATTACHED);
    host.fails = STEP_GPU_RELEASE, host.reason = REASON_GPU_DIRTY; /* to look at what it is told */
    GpuCard *otherwise = functions_of(4, 0);
    otherwise->unread = unread ? g_strdup("what it said") : NULL;
    world_look(w, otherwise);
    assert_int_equal(events_of(w, "vgpu.missing"), !unread);
    assert_int_equal(only_card(w)->state, unread ? GPU_UNSEEN : GPU_READY);
    assert_true(WORLD_GET(w, Vgpu, VGPU, "v-4")->tries > 0);
    assert_int_equal(WORLD_GET(w, Vgpu, VGPU, "v-4")->state, unread ? VGPU_ATTACHED : VGPU_RELEASING); /* a desktop of nobody's is retired without it */
    world_free(w);
  }
}

/* ── MIG: an instance, then a function for it ─────────────────────────────── */

/* Its driver has made no functions: nothing of it could be given, and each try left an instance. */
static void a_mig_card_without_functions_is_no_place(void **state)
{
  GpuCard *bare = mig_of(0);
  g_ptr_array_set_size(bare->functions, 0);
  World *w = world_with(bare, "1g.5gb");
  pool_of(w, 1);
  g_autoptr(GPtrArray) none = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(none->len, 0);
  assert_non_null(WORLD_GET(w, Pool, POOL, "gpu")->error);
  world_look(w, mig_of(0));
  assert_int_equal(only_claim(w)->state, VGPU_ATTACHED);
  assert_null(only_claim(w)->uuid); /* nothing on the host has one */
  assert_string_equal(only_claim(w)->address, "0000:65:00.4");
  world_free(w);
}

/* The instance is there, nothing is on it, and it is claimed: it was counted as others' for ever. */
static void an_instance_without_its_function_is_its_claim_s_and_goes_with_it(void **state)
{
  static const struct {
    Reason reason;
    int goes;
  } rows[] = { { REASON_GPU_FULL, 1 }, { REASON_GPU_DIRTY, 1 }, { REASON_GPU_NOT_OURS, 0 }, { REASON_GPU_GONE, 0 } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = world_with(mig_of(0), "1g.5gb");
    host.fails = STEP_GPU_MAKE, host.reason = rows[i].reason;
    w->hold = true;
    pool_of(w, 1);
    g_autofree char *claim = g_strdup(only_claim(w)->head.name);
    while (((StepOrder *)w->held->pdata[0])->kind != STEP_GPU_MAKE) {
      world_release(w);
      world_settle(w);
    }
    world_release(w);
    const Vgpu *left = WORLD_GET(w, Vgpu, VGPU, claim);
    assert_int_equal(left && left->state == VGPU_RELEASING, rows[i].goes);
    GpuCard *half = mig_of(1);
    *((GpuPart *)half->parts->pdata[0])->address = '\0';
    world_look(w, half);
    assert_int_equal(only_card(w)->foreign_parts, 0);
    world_free(w);
  }
}

/* ── another card in its place ────────────────────────────────────────────── */

static GpuCard *whole_of(uint16_t vendor, uint16_t device, const char *serial, bool given)
{
  GpuCard *card = gpu_card_new(CARD, GPU_WHOLE);
  card->vendor_id = vendor;
  card->device_id = device;
  card->serial = g_strdup(serial);
  GpuType *type = gpu_card_add_type(card, "whole");
  type->max = 1;
  type->free = !given;
  if (given)
    g_strlcpy(gpu_card_add_part(card, "whole")->address, CARD, GPU_ADDRESS_BYTES);
  return card;
}

/* The host came up with another card in that slot, and the claim was as well as before. */
static void a_claim_on_a_card_was_one_on_whatever_lay_at_its_address(void **state)
{
  static const struct {
    uint16_t vendor, device;
    const char *serial;
  } others[] = { { 0x10de, 0x2235, NULL }, { 0x1002, 0x73a3, "B" } };
  for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
    World *w = world_with(whole_of(0x1002, 0x73a3, "A", false), "whole:1002:73a3");
    pool_of(w, 1);
    g_autofree char *desktop = g_strdup(held_by_jihye(w));
    assert_string_equal(only_claim(w)->type, "whole:1002:73a3");
    world_look(w, whole_of(0x1002, 0x73a3, "A", true));
    assert_int_equal(only_claim(w)->state, VGPU_ATTACHED);
    assert_int_equal(only_card(w)->foreign_parts, 0);
    world_look(w, whole_of(0x1002, 0x73a3, NULL, true)); /* what it does not tell for once is no other number */
    assert_null(world_event(w, "gpu.changed"));
    world_look(w, whole_of(0x1002, 0x73a3, "A", true));
    for (int k = 0; k < 2; k++) {
      world_look(w, whole_of(others[i].vendor, others[i].device, others[i].serial, true));
      assert_int_equal(events_of(w, "gpu.changed"), 1);
      assert_int_equal(only_card(w)->state, GPU_UNSEEN);
      assert_true(says(only_claim(w)->error, "gpu-changed") && says(only_claim(w)->error, "1002:73a3 A"));
      assert_int_equal(only_claim(w)->state, VGPU_CLAIMED);
      assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_LOST);
    }
    world_look(w, whole_of(0x1002, 0x73a3, "A", true)); /* put back */
    assert_int_equal(only_card(w)->state, GPU_READY);
    assert_null(only_claim(w)->error);
    assert_int_equal(only_claim(w)->state, VGPU_ATTACHED);
    world_free(w);
  }
}

static void a_card_that_nobody_claims_is_taken_as_what_it_is_and_told(void **state)
{
  World *w = world_with(whole_of(0x1002, 0x73a3, "A", false), "whole:1002:73a3");
  world_look(w, whole_of(0x10de, 0x2235, "C", false));
  assert_int_equal(events_of(w, "gpu.changed"), 1);
  assert_int_equal(only_card(w)->state, GPU_READY);
  assert_string_equal(only_card(w)->pci_id, "10de:2235");
  world_look(w, whole_of(0x10de, 0x2235, "C", false));
  assert_int_equal(events_of(w, "gpu.changed"), 1);
  world_free(w);
}

/* Its claim names the card, and so took nothing of it: each desktop more of the pool was sent to the same one, and failed there. */
static void a_whole_card_was_free_for_the_next_desktop_although_it_was_claimed(void **state)
{
  World *w = world_with(whole_of(0x1002, 0x73a3, "A", false), "whole:1002:73a3");
  pool_of(w, 2);
  for (int i = 0; i < 2; i++) {
    g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
    assert_int_equal(names->len, 1);
    assert_int_equal(events_of(w, "vgpu.claimed"), 1);
    assert_true(says(WORLD_GET(w, Pool, POOL, "gpu")->error, "have room for 0 of 1 such vGPUs"));
    assert_true(says(WORLD_GET(w, Pool, POOL, "gpu")->error, "1 claimed by us, 0 foreign"));
    world_look(w, whole_of(0x1002, 0x73a3, "A", true));
    world_pass(w, LONG_S);
  }
  world_free(w);
}

/* ── why not ──────────────────────────────────────────────────────────────── */

static void who_asked_for_what_no_card_has_is_told_what_there_is(void **state)
{
  World *w = world_with(functions_of(4, 0), "nvidia-588"); /* a slip of the pen */
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'gpu','template':'linux','image':'linux','offer_s':604800,'gpu_class':'small','min':1,'max':1}");
  const char *why = WORLD_GET(w, Pool, POOL, "gpu")->error;
  assert_true(says(why, "offers nvidia-558, and class small accepts nvidia-588"));
  assert_null(world_ask(w, API_GPU_QUARANTINE, NULL, only_card(w)->head.name, NULL)->error);
  world_pass(w, LONG_S);
  assert_true(says(WORLD_GET(w, Pool, POOL, "gpu")->error, "quarantined"));
  world_free(w);
}

/* Of a class with two types the first alone was looked at: the other card "offers nvidia-558, and class small accepts nvidia-588 nvidia-558". */
static void who_takes_either_of_two_types_is_told_of_each_card_by_its_own(void **state)
{
  World *w = world_with(functions_of(1, 0), "nvidia-588','nvidia-558");
  GpuCard *other = card_of(GPU_VENDOR_VF, "nvidia-588", 1, 0);
  g_strlcpy(other->address, "0000:66:00.0", GPU_ADDRESS_BYTES);
  world_look_at(w, (GpuCard *[]){ functions_of(1, 0), other }, 2);
  pool_of(w, 3);
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), 2);
  const char *why = WORLD_GET(w, Pool, POOL, "gpu")->error;
  assert_true(says(why, "the 2 cards of host h1 have room for 0 of 1 such vGPUs"));
  for (const char **card = (const char *[]){ CARD, "0000:66:00.0", NULL }; *card; card++) {
    g_autofree char *told = g_strdup_printf("%s): 1 claimed by us, 0 foreign; a card of host h1 has 0 of 1000 parts free, 1000 wanted", *card);
    assert_true(says(why, told));
  }
  assert_false(says(why, "offers"));
  const char *plan = world_ask(w, API_POOL_PLAN, NULL, "gpu", NULL)->json;
  assert_true(says(plan, "has 0 of 1000 parts free, 1000 wanted"));
  assert_false(says(plan, "does not offer"));
  world_free(w);
}

/* Its reset never works: an operator may take it for clean, which is kept with the name, and nothing else is forced. */
static void a_claim_whose_reset_never_works_is_freed_by_force_alone(void **state)
{
  World *w = world_with_left_over(functions_of(6, 0), "nvidia-558");
  g_autofree char *claim = g_strdup(only_claim(w)->head.name);
  g_autofree char *plain = g_strdup_printf("{'clone':%d}", (int)only_claim(w)->clone), *force = g_strdup_printf("{'clone':%d,'force':true}", (int)only_claim(w)->clone);
  const Answer *a = world_ask(w, API_VGPU_RELEASE, NULL, claim, force);
  assert_true(error_is(a->error, REASON_VGPU_NOT_DIRTY)); /* its release was not refused yet */
  host.resets_fail = true, host.reason = REASON_GPU_DIRTY;
  assert_null(world_ask(w, API_VGPU_RELEASE, NULL, claim, plain)->error);
  assert_true(says(only_claim(w)->error, "gpu-dirty"));
  a = world_ask(w, API_VGPU_RELEASE, "jihye", claim, force);
  assert_non_null(a->error); /* a person's is not an operator's word */
  assert_int_equal(events_of(w, "vgpu.forced"), 0);
  assert_null(world_ask(w, API_VGPU_RELEASE, NULL, claim, force)->error);
  g_autoptr(GPtrArray) none = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(none->len, 0);
  const Event *event = world_event(w, "vgpu.forced");
  assert_string_equal(event->user, "root");
  assert_true(says(event->detail, "gpu-dirty"));
  world_free(w);
}

static int reaps_out(const World *w)
{
  int n = 0;
  for (guint i = 0; i < w->held->len; i++)
    n += ((StepOrder *)w->held->pdata[i])->kind == STEP_GPU_REAP;
  return n;
}

/* Each look ordered one more, and those behind the one that freed it would have freed what the next desktop had there. */
static void a_claim_is_freed_by_one_order_and_ends_with_the_last(void **state)
{
  World *w = world_with_left_over(functions_of(6, 0), "nvidia-558");
  g_autofree char *claim = g_strdup(only_claim(w)->head.name);
  g_autofree char *plain = g_strdup_printf("{'clone':%d}", (int)only_claim(w)->clone), *force = g_strdup_printf("{'clone':%d,'force':true}", (int)only_claim(w)->clone);
  host.resets_fail = true, host.reason = REASON_GPU_DIRTY;
  assert_null(world_ask(w, API_VGPU_RELEASE, NULL, claim, plain)->error);
  host.resets_fail = false;
  w->hold = true;
  for (int i = 0; i < 3; i++) {
    assert_null(world_ask(w, API_VGPU_RELEASE, NULL, claim, plain)->error);
    assert_int_equal(reaps_out(w), 1);
  }
  assert_null(world_ask(w, API_VGPU_RELEASE, NULL, claim, force)->error);
  assert_int_equal(reaps_out(w), 2);
  StepOrder *first = g_ptr_array_steal_index(w->held, 0);
  assert_int_equal(first->kind, STEP_GPU_REAP);
  StepResult *freed = step_result_new(first);
  step_result_add_vgpu(freed, first->vgpus->pdata[0]);
  brain_result(w->brain, freed, w->now_us);
  step_order_free(first);
  world_settle(w);
  assert_int_equal(only_claim(w)->state, VGPU_RELEASING); /* the other one may be at it */
  w->hold = false;
  world_release(w);
  world_settle(w);
  g_autoptr(GPtrArray) none = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(none->len, 0);
  world_free(w);
}

/* The run in which a function was found dirty is kept: a first try takes its type away, and only that run's end cleans it. */
static void a_claim_remembers_in_which_run_it_was_found_dirty(void **state)
{
  World *w = world_with_left_over(functions_of(6, 0), "nvidia-558");
  w->hold = true;
  g_autofree char *claim = g_strdup(only_claim(w)->head.name), *plain = g_strdup_printf("{'clone':%d}", (int)only_claim(w)->clone);
  static const char *const runs[] = { "11111111-1111-4111-8111-111111111111", "" };
  for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
    assert_null(world_ask(w, API_VGPU_RELEASE, NULL, claim, plain)->error);
    StepOrder *order = g_ptr_array_steal_index(w->held, 0);
    StepResult *result = step_result_new(order);
    error_set(&result->error, REASON_GPU_DIRTY, "what", "0000:65:00.4", "host", "h1", "detail", "no reset", "boot", runs[i], NULL);
    brain_result(w->brain, result, w->now_us);
    step_order_free(order);
    world_settle(w);
    assert_true(!g_strcmp0(only_claim(w)->boot, *runs[i] ? runs[i] : NULL));
  }
  world_free(w);
}

static void a_card_without_functions_says_so(void **state)
{
  World *w = world_with(functions_of(4, 4), "nvidia-558");
  assert_null(only_card(w)->error); /* full is no fault */
  world_look(w, functions_of(0, 0));
  assert_true(says(only_card(w)->error, "place-card-functions"));
  world_look(w, functions_of(4, 0));
  assert_null(only_card(w)->error);
  world_free(w);
}

static void a_whole_card_without_a_name_can_be_none(void **state)
{
  World *w = world_with(functions_of(4, 0), "nvidia-558");
  const Answer *a = world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'all','accepts':['whole']}");
  assert_true(error_is(a->error, REASON_BAD_VALUE));
  a = world_ask(w, API_GPU_CLASS_CHANGE, NULL, "small", "{'accepts':['nvidia-558','whole']}");
  assert_true(error_is(a->error, REASON_BAD_VALUE));
  world_free(w);
}

static void a_card_that_is_there_is_not_removed_and_what_to_do_is_told(void **state)
{
  World *w = world_with(functions_of(4, 0), "nvidia-558");
  const Answer *a = world_ask(w, API_GPU_REMOVE, NULL, only_card(w)->head.name, NULL);
  assert_true(error_is(a->error, REASON_GPU_PRESENT));
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_function_whose_reset_is_not_confirmed_was_freed),
    cmocka_unit_test(what_nobody_works_on_is_released_not_forgotten),
    cmocka_unit_test(a_card_that_shows_itself_otherwise_took_its_desktops),
    cmocka_unit_test(a_part_that_is_seen_again_is_its_desktop_s_as_before),
    cmocka_unit_test(a_part_that_was_missed_while_its_guest_ran_stays_ours_to_free),
    cmocka_unit_test(a_mig_card_without_functions_is_no_place),
    cmocka_unit_test(an_instance_without_its_function_is_its_claim_s_and_goes_with_it),
    cmocka_unit_test(a_claim_on_a_card_was_one_on_whatever_lay_at_its_address),
    cmocka_unit_test(a_card_that_nobody_claims_is_taken_as_what_it_is_and_told),
    cmocka_unit_test(a_whole_card_was_free_for_the_next_desktop_although_it_was_claimed),
    cmocka_unit_test(who_asked_for_what_no_card_has_is_told_what_there_is),
    cmocka_unit_test(who_takes_either_of_two_types_is_told_of_each_card_by_its_own),
    cmocka_unit_test(a_claim_whose_reset_never_works_is_freed_by_force_alone), cmocka_unit_test(a_card_without_functions_says_so),
    cmocka_unit_test(a_claim_is_freed_by_one_order_and_ends_with_the_last), cmocka_unit_test(a_claim_remembers_in_which_run_it_was_found_dirty),
    cmocka_unit_test(a_whole_card_without_a_name_can_be_none),
    cmocka_unit_test(a_card_that_is_there_is_not_removed_and_what_to_do_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What others made on a card since it was looked at is not taken for ours: who counts how often a part was ordered, and what the step makes of it. A
 * function has no mark, so nothing else tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/gpu/fake_cards.h"
#include "drivers/hypervisor/fake.h"
#include "drivers/runtime/steps_parts.h"
#include "tests/unit/brain_world.h"

#define CARD "0000:65:00.0"

/* ── the brain ────────────────────────────────────────────────────────────── */

/* What each order to make said of its first claim, "+" where it may be made already; and what the host says to the next ones. */
static struct {
  GString *said;
  Reason reason;
  int times;
} host;

static GError *host_answers(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (order->kind != STEP_GPU_MAKE)
    return NULL;
  const Vgpu *claim = order->vgpus->pdata[0];
  g_string_append_printf(host.said, "%s%s ", claim->address + strlen("0000:65:00."), vgpu_may_be_made(claim) ? "+" : "");
  if (host.times-- > 0)
    error_set(&err, host.reason, "host", "h1", "what", claim->address, "card", CARD, "type", claim->type, "detail", "", "limit", "60 s", NULL);
  return err;
}

/* Functions .4 and .5, of which others, or we, have those that are named. */
static GpuCard *card_with(const char *taken)
{
  GpuCard *card = gpu_card_new(CARD, GPU_VENDOR_VF);
  GpuType *type = gpu_card_add_type(card, "nvidia-558");
  type->max = 2;
  for (char function = '4'; function <= '5'; function++) {
    char address[GPU_ADDRESS_BYTES] = CARD;
    address[11] = function;
    if (strchr(taken, function)) {
      g_strlcpy(gpu_card_add_part(card, "nvidia-558")->address, address, GPU_ADDRESS_BYTES);
      continue;
    }
    gpu_card_add_function(card, address);
    type->free++;
  }
  return card;
}

static World *world_with_card(Reason reason, int times)
{
  World *w = world_new();
  host.said = g_string_new(NULL);
  host.reason = reason;
  host.times = times;
  world_furnish(w, 0, 0, 0);
  w->answer = host_answers;
  world_look(w, card_with(""));
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['nvidia-558']}")->error);
  return w;
}

static void pool_wants_one(World *w)
{
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'gpu','template':'linux','image':'linux','gpu_class':'small','min':1,'max':1}")->error);
}

static void said(World *w, const char *wanted)
{
  assert_string_equal(host.said->str, wanted);
  g_string_free(host.said, TRUE);
  world_free(w);
}

static void first_order_may_not_find_it_made(void **state)
{
  World *w = world_with_card(REASON_GPU_REFUSED, 0);
  pool_wants_one(w);
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), 1);
  said(w, "4 ");
}

static void order_that_failed_may_have_made_it(void **state)
{
  World *w = world_with_card(REASON_GPU_REFUSED, 2);
  pool_wants_one(w);
  world_pass(w, 30);
  world_pass(w, 30);
  said(w, "4 4+ 4+ ");
}

/* kill -9 with the order on its way: the one that comes after counts as the same attempt of the task, and not as the first of the claim. */
static void order_that_was_out_in_a_crash_may_have_made_it(void **state)
{
  World *w = world_with_card(REASON_GPU_REFUSED, 0);
  w->hold = true;
  pool_wants_one(w);
  while (w->held->len && ((StepOrder *)w->held->pdata[0])->kind != STEP_GPU_MAKE) {
    world_release(w);
    world_settle(w);
  }
  assert_int_equal(w->held->len, 1);
  assert_false(vgpu_may_be_made(((StepOrder *)w->held->pdata[0])->vgpus->pdata[0]));
  w->hold = false;
  world_crash(w);
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), 1);
  said(w, "4+ ");
}

static GError *host_is_told_to_free(World *w, const StepOrder *order)
{
  if (order->kind == STEP_GPU_RELEASE && order->vgpus->len)
    g_string_append_printf(host.said, "free after %d ", (int)((Vgpu *)order->vgpus->pdata[0])->tries);
  return host_answers(w, order);
}

/* Its desktop was given up in the batch that would have ordered its part: what others make in its place just then was freed for it. */
static void order_that_never_went_out_counted(void **state)
{
  World *w = world_with_card(REASON_GPU_REFUSED, 0);
  w->hold = true;
  pool_wants_one(w);
  while (((StepOrder *)w->held->pdata[0])->kind != STEP_SEED) {
    world_release(w);
    world_settle(w);
  }
  world_release(w);
  w->answer = host_is_told_to_free;
  assert_null(world_ask(w, API_POOL_DELETE, NULL, "gpu", NULL)->error);
  w->hold = false;
  world_release(w);
  world_settle(w);
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_RELEASING), 0);
  said(w, "free after 0 ");
}

/* The task's second attempt is the first of the claim that came instead; what the card has, this picture does not say, and so it is the same place. */
static void claim_that_comes_instead_begins_anew(void **state)
{
  World *w = world_with_card(REASON_GPU_NOT_OURS, 1);
  pool_wants_one(w);
  world_pass(w, 30);
  assert_non_null(world_event(w, "vgpu.refused"));
  said(w, "4 4 ");
}

static void desktop_off(World *w, const char *name)
{
  assert_null(world_ask(w, API_DESKTOP_DESTROY, NULL, name, NULL)->error);
  w->now_us += G_USEC_PER_SEC;
}

static void part_that_is_not_there_any_more_is_ordered_as_the_first_time(void **state)
{
  World *w = world_with_card(REASON_GPU_REFUSED, 0);
  pool_wants_one(w);
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'gpu'}");
  assert_null(a->error);
  g_autofree char *name = g_strdup(WORLD_GET(w, Session, SESSION, a->object->name)->desktop);
  desktop_off(w, name);
  world_look(w, card_with("4")); /* as it was left */
  assert_null(world_ask(w, API_DESKTOP_START, NULL, name, NULL)->error);
  desktop_off(w, name);
  world_look(w, card_with("")); /* its host was off, too */
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_CLAIMED), 1);
  assert_null(world_ask(w, API_DESKTOP_START, NULL, name, NULL)->error);
  said(w, "4 4+ 4 ");
}

/* A line of its host's that nobody understands: whose its parts are did not change, and nothing new is claimed. */
static void card_that_was_not_understood_keeps_what_it_gave(void **state)
{
  World *w = world_with_card(REASON_GPU_REFUSED, 0);
  pool_wants_one(w);
  GpuCard *card = card_with("");
  card->unread = g_strdup("its files say \"x\"");
  w->now_us += 60 * G_USEC_PER_SEC;
  world_look(w, card);
  g_autoptr(GPtrArray) cards = brain_names(w->brain, NOUN_GPU);
  g_autofree char *name = g_strdup(cards->pdata[0]);
  const Gpu *gpu = WORLD_GET(w, Gpu, GPU, name);
  assert_int_equal(gpu->state, GPU_UNSEEN);
  assert_non_null(strstr(gpu->error, "gpu-facts"));
  assert_int_equal(world_count(w, NOUN_VGPU, VGPU_ATTACHED), 1);
  assert_int_equal(world_count(w, NOUN_DESKTOP, DESKTOP_AVAILABLE), 1);
  world_look(w, card_with("4"));
  assert_int_equal(WORLD_GET(w, Gpu, GPU, name)->state, GPU_READY);
  assert_null(WORLD_GET(w, Gpu, GPU, name)->error);
  said(w, "4 ");
}

/* ── the step ─────────────────────────────────────────────────────────────── */

static StepResult *step_of(Hypervisor *hypervisor, StepKind kind, VgpuState claimed, int tries)
{
  static Host h1 = { .head = { .name = (char *)"h1" } };
  static Gpu gpu = { .head = { .name = (char *)"g-1" }, .address = (char *)"0000:41:00.0", .backend = GPU_VENDOR_VF };
  static Vgpu claim = { .head = { .name = (char *)"v-1" }, .gpu = (char *)"g-1", .desktop = (char *)"d-1", .type = (char *)"nvidia-558", .clone = 1,
                        .start = -1, .address = (char *)"0000:41:00.4" };
  static const StepOptions plain = { 0 };
  claim.state = claimed;
  claim.tries = tries;
  void *claims[] = { &claim }, *cards[] = { &gpu };
  GPtrArray vgpus = { claims, 1 }, gpus = { cards, 1 };
  StepOrder order = { .kind = kind, .controller = (char *)"11111111-2222-4333-8444-555555555555", .host = &h1, .vgpus = &vgpus, .gpus = &gpus };
  StepRun step = { .order = &order, .result = step_result_new(&order), .hypervisor = hypervisor, .options = &plain,
                   .deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC };
  step_run(&step);
  return step.result;
}

static StepResult *step_make(Hypervisor *hypervisor, VgpuState claimed, int tries)
{
  return step_of(hypervisor, STEP_GPU_MAKE, claimed, tries);
}

typedef struct {
  char *dir;
  Hypervisor *hypervisor;
} Place;

static int place_up(void **state)
{
  Place *p = g_new0(Place, 1);
  p->dir = g_dir_make_tmp("sarang-again-XXXXXX", NULL);
  g_autofree char *uri = g_strdup_printf("fake:again?gpus=%s", p->dir);
  HypervisorOptions options = { .uri = uri, .host = "h1", .controller = "11111111-2222-4333-8444-555555555555" };
  assert_true(fake_cards_add(p->dir, "0000:41:00.0", "a40", NULL));
  assert_true(hypervisor_open(&options, &p->hypervisor, NULL));
  *state = p;
  return 0;
}

static int place_down(void **state)
{
  Place *p = *state;
  hypervisor_close(p->hypervisor);
  fake_forget();
  fake_tree_del(p->dir);
  g_free(p->dir);
  g_free(p);
  return 0;
}

static void step_takes_what_is_there_only_for_a_later_try(void **state)
{
  Place *p = *state;
  assert_int_equal(fake_cards_write(p->dir, "/sys/bus/pci/devices/0000:41:00.4/nvidia/current_vgpu_type", "558"), 0);
  g_autoptr(StepResult) first = step_make(p->hypervisor, VGPU_CLAIMED, 1), second = step_make(p->hypervisor, VGPU_CLAIMED, 2);
  assert_true(error_is(first->error, REASON_GPU_NOT_OURS));
  assert_null(first->vgpus);
  assert_null(second->error);
  assert_int_equal(second->vgpus->len, 1);
}

static char *type_now(const Place *p)
{
  char *type = NULL;
  g_autofree char *file = g_build_filename(p->dir, "sys/bus/pci/devices/0000:41:00.4/nvidia/current_vgpu_type", NULL);
  assert_true(g_file_get_contents(file, &type, NULL, NULL));
  return g_strstrip(type);
}

/* A release goes by files alone; the look before it may not be told what is there. */
static void step_frees_nothing_that_it_cannot_see(void **state)
{
  Place *p = *state;
  g_autofree char *silent = g_build_filename(p->dir, "smi-silent", NULL);
  assert_int_equal(fake_cards_write(p->dir, "/sys/bus/pci/devices/0000:41:00.4/nvidia/current_vgpu_type", "558"), 0);
  assert_true(g_file_set_contents(silent, "failed status 9: no driver", -1, NULL));
  g_autoptr(StepResult) never = step_of(p->hypervisor, STEP_GPU_RELEASE, VGPU_RELEASING, 0);
  g_autofree char *theirs = type_now(p);
  assert_string_equal(theirs, "558");
}

/* The claim ends either way. */
static void step_frees_what_is_there_only_for_a_claim_that_was_ordered(void **state)
{
  Place *p = *state;
  assert_int_equal(fake_cards_write(p->dir, "/sys/bus/pci/devices/0000:41:00.4/nvidia/current_vgpu_type", "558"), 0);
  g_autoptr(StepResult) never = step_of(p->hypervisor, STEP_GPU_RELEASE, VGPU_RELEASING, 0);
  g_autofree char *theirs = type_now(p);
  g_autoptr(StepResult) once = step_of(p->hypervisor, STEP_GPU_RELEASE, VGPU_RELEASING, 1);
  g_autofree char *freed = type_now(p);
  assert_null(never->error);
  assert_int_equal(never->vgpus->len, 1);
  assert_string_equal(theirs, "558");
  assert_null(once->error);
  assert_string_equal(freed, "0");
}

static void function_says(const Place *p, const char *function, const char *type)
{
  g_autofree char *file = g_build_filename(p->dir, "sys/bus/pci/devices", function, "nvidia/current_vgpu_type", NULL);
  assert_true(g_file_set_contents(file, type, -1, NULL));
}

/* A guest may run with it: one that were made anew would have it switched off. What its files do not take stands in nobody's way. */
static void card_that_cannot_be_looked_at_is_not_one_without_the_part(void **state)
{
  static const struct { const char *smi, *ours, *next; bool known; } rows[] = {
    { "", "558\n", "0\n", true },
    { "failed status 15: GPU is lost", "558\n", "0\n", true },
    { "", "558\n", "x\n", true },
    { "", "x\n", "0\n", false },
  };
  Place *p = *state;
  g_autofree char *silent = g_build_filename(p->dir, "smi-silent", NULL);
  g_autoptr(StepResult) made = step_make(p->hypervisor, VGPU_CLAIMED, 1);
  assert_null(made->error);
  assert_true(((VgpuDone *)made->vgpus->pdata[0])->fresh);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    assert_true(g_file_set_contents(silent, rows[i].smi, -1, NULL));
    function_says(p, "0000:41:00.4", rows[i].ours);
    function_says(p, "0000:41:00.5", rows[i].next);
    g_autoptr(StepResult) again = step_make(p->hypervisor, VGPU_ATTACHED, 2);
    if (!again->error != rows[i].known || (again->error && !error_is(again->error, REASON_GPU_FACTS)))
      fail_msg("row %d: %s", (int)i, again->error ? again->error->message : "done");
    assert_true(!rows[i].known == !again->vgpus);
    assert_false(again->vgpus && ((VgpuDone *)again->vgpus->pdata[0])->fresh);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(first_order_may_not_find_it_made), cmocka_unit_test(order_that_failed_may_have_made_it),
    cmocka_unit_test(order_that_was_out_in_a_crash_may_have_made_it), cmocka_unit_test(claim_that_comes_instead_begins_anew),
    cmocka_unit_test(order_that_never_went_out_counted),
    cmocka_unit_test(card_that_was_not_understood_keeps_what_it_gave),
    cmocka_unit_test(part_that_is_not_there_any_more_is_ordered_as_the_first_time),
    cmocka_unit_test_setup_teardown(step_takes_what_is_there_only_for_a_later_try, place_up, place_down),
    cmocka_unit_test_setup_teardown(step_frees_nothing_that_it_cannot_see, place_up, place_down),
    cmocka_unit_test_setup_teardown(step_frees_what_is_there_only_for_a_claim_that_was_ordered, place_up, place_down),
    cmocka_unit_test_setup_teardown(card_that_cannot_be_looked_at_is_not_one_without_the_part, place_up, place_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

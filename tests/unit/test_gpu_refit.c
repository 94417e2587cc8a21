/* A person's desktop that is off, and whose card is not what it was: it starts with another one that its class allows, and its disk is never the price. The
 * whole brain over a host that knows what is made, what is defined and which cards are dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

#define FIRST "0000:65:00.0"
#define SECOND "0000:66:00.0"
#define TYPE "nvidia-558"

enum { LONG_S = 1200 };

static struct {
  const char *dead;       /* address of a card that is not there */
  GpuBackend backend;     /* in which all cards give parts; N_GPU_BACKENDS: as each was last seen */
  GHashTable *made;       /* claims */
  GString *defined, *steps;
  bool saves;
} host;

static void host_new(void)
{
  host.dead = NULL, host.backend = N_GPU_BACKENDS, host.saves = false;
  host.made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  host.defined = g_string_new(NULL);
  host.steps = g_string_new(NULL);
}

static void host_done(void)
{
  g_hash_table_unref(host.made);
  g_string_free(host.defined, TRUE);
  g_string_free(host.steps, TRUE);
}

/* What would stand in the definition for a part. */
static char *device_of(const Vgpu *v, const Gpu *gpu)
{
  return g_strdup_printf("%s:%s ", gpu_backend_name((GpuBackend)gpu->backend), gpu->backend == GPU_MDEV ? v->uuid : v->address);
}

static char *devices_of(const StepOrder *o)
{
  GString *all = g_string_new(NULL);
  for (guint i = 0; o->vgpus && i < o->vgpus->len; i++) {
    g_autofree char *one = device_of(o->vgpus->pdata[i], o->gpus->pdata[i]);
    g_string_append(all, one);
  }
  return g_string_free(all, FALSE);
}

static GError *make_one(const Vgpu *v, const Gpu *gpu)
{
  GError *err = NULL;
  bool there = gpu && g_strcmp0(gpu->address, host.dead) && (host.backend == N_GPU_BACKENDS || gpu->backend == (int)host.backend);
  if (!there)
    error_set(&err, REASON_GPU_GONE, "host", "h1", "card", gpu ? gpu->address : v->gpu, NULL);
  else
    g_hash_table_add(host.made, g_strdup(v->head.name));
  return err;
}

static GError *host_answers(World *w, const StepOrder *o)
{
  g_autofree char *devices = devices_of(o);
  GError *err = NULL;
  g_string_append_printf(host.steps, "%s ", step_rows[o->kind].name);
  for (guint i = 0; o->kind == STEP_GPU_MAKE && i < o->vgpus->len && !err; i++)
    err = make_one(o->vgpus->pdata[i], o->gpus->pdata[i]);
  if (o->kind == STEP_DEFINE)
    g_string_assign(host.defined, devices);
  bool starts = o->kind == STEP_START || (o->kind == STEP_POWER && o->verb == VERB_START);
  for (guint i = 0; starts && o->kind == STEP_START && i < o->vgpus->len; i++)
    assert_true(g_hash_table_contains(host.made, ((Vgpu *)o->vgpus->pdata[i])->head.name));
  return err;
}

static void host_fills(World *w, const StepOrder *o, StepResult *result)
{
  if (host.saves && o->kind == STEP_POWER && o->verb == VERB_SAVE)
    result->power = POWER_SAVED;
}

/* ── cards ────────────────────────────────────────────────────────────────── */

static GpuCard *card_at(const char *address, GpuBackend backend, int max)
{
  GpuCard *card = gpu_card_new(address, backend);
  GpuType *t = gpu_card_add_type(card, TYPE);
  t->max = t->free = max;
  for (int i = 0; i < max && backend != GPU_MDEV; i++) {
    g_autofree char *function = g_strdup_printf("%.11s%d", address, i + 1);
    gpu_card_add_function(card, function);
  }
  return card;
}

static GpuCard *mdev_at(const char *address) { return card_at(address, GPU_MDEV, 4); }
static GpuCard *functions_at(const char *address) { return card_at(address, GPU_VENDOR_VF, 4); }

/* The part of a claim as it stands on its card. */
static GpuCard *with_part(GpuCard *card, const Vgpu *v)
{
  GpuPart *part = gpu_card_add_part(card, TYPE);
  g_strlcpy(part->uuid, v->uuid ? v->uuid : "", sizeof part->uuid);
  g_strlcpy(part->address, v->address ? v->address : "", sizeof part->address);
  part->marked = v->uuid != NULL;
  ((GpuType *)card->types->pdata[0])->free--;
  for (guint i = 0; i < card->functions->len; i++)
    if (!g_strcmp0(card->functions->pdata[i], part->address))
      g_ptr_array_remove_index(card->functions, i);
  return card;
}

static void look(World *w, GpuCard *first, GpuCard *second)
{
  GpuCard *cards[] = { first ? first : second, second };
  world_look_at(w, cards, (first != NULL) + (second != NULL));
}

/* ── a person's desktop, off, with a part of the first card ───────────────── */

typedef struct {
  World *w;
  char *desktop;
} Owned;

static const Desktop *desktop_of(const Owned *o) { return WORLD_GET(o->w, Desktop, DESKTOP, o->desktop); }

static const Vgpu *claim_in(const Owned *o, bool releasing)
{
  g_autoptr(GPtrArray) names = brain_names(o->w->brain, NOUN_VGPU);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = WORLD_GET(o->w, Vgpu, VGPU, names->pdata[i]);
    if (!strcmp(v->desktop, o->desktop) && (v->state == VGPU_RELEASING) == releasing)
      return v;
  }
  return NULL;
}

static const Vgpu *claim_of(const Owned *o) { return claim_in(o, false); }

static const Gpu *card_of(World *w, const char *address)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_GPU);
  for (guint i = 0; i < names->len; i++) {
    const Gpu *gpu = WORLD_GET(w, Gpu, GPU, names->pdata[i]);
    if (!g_strcmp0(gpu->address, address))
      return gpu;
  }
  fail_msg("no card at %s", address);
  return NULL;
}

static Owned owned_new(GpuCard *take_first)
{
  Owned o = { world_new(), NULL };
  host_new();
  world_furnish(o.w, 0, 0, 0);
  o.w->answer = host_answers;
  o.w->fill = host_fills;
  look(o.w, take_first, NULL);
  assert_null(world_ask(o.w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['" TYPE "']}")->error);
  assert_null(world_ask(o.w, API_POOL_CREATE, NULL, NULL,
                        "{'name':'own','kind':'dedicated','template':'linux','image':'linux','gpu_class':'small','offer_s':604800,'min':1,'max':1}")->error);
  const Answer *a = world_ask(o.w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'own'}");
  assert_null(a->error);
  o.desktop = g_strdup(WORLD_GET(o.w, Session, SESSION, a->object->name)->desktop);
  assert_int_equal(claim_of(&o)->state, VGPU_ATTACHED);
  return o;
}

static void owned_done(Owned *o)
{
  g_free(o->desktop);
  world_free(o->w);
  host_done();
}

static void power(Owned *o, ApiVerb verb)
{
  assert_null(world_ask(o->w, verb, NULL, o->desktop, NULL)->error);
  world_pass(o->w, LONG_S);
}

static Owned off_new(GpuCard *take_first)
{
  Owned o = owned_new(take_first);
  power(&o, API_DESKTOP_DESTROY);
  assert_int_equal(desktop_of(&o)->power, POWER_OFF);
  g_string_truncate(host.steps, 0);
  return o;
}

/* It runs with a part that is made and that its definition names; and it is the desktop of before, with its disk. */
static void runs_on(const Owned *o, const char *address)
{
  const Vgpu *v = claim_of(o);
  const Desktop *d = desktop_of(o);
  assert_non_null(d);
  assert_int_equal(d->power, POWER_ON);
  assert_null(d->task);
  assert_null(d->error);
  assert_int_equal(d->state, DESKTOP_ASSIGNED);
  assert_int_equal(d->clone, 1);
  assert_string_equal(d->owner, "jihye");
  assert_non_null(v);
  assert_int_equal(v->state, VGPU_ATTACHED);
  assert_true(g_hash_table_contains(host.made, v->head.name));
  const Gpu *gpu = WORLD_GET(o->w, Gpu, GPU, v->gpu);
  assert_string_equal(gpu->address, address);
  g_autofree char *device = device_of(v, gpu);
  assert_string_equal(host.defined->str, device);
  assert_null(strstr(host.steps->str, "clone"));
  assert_null(strstr(host.steps->str, "undefine"));
  assert_null(strstr(host.steps->str, "delete"));
  world_same_fleet(o->w);
}

static bool says(const char *json, const char *word) { return json && strstr(json, word); }

static GpuCard *broken_at(const char *address)
{
  GpuCard *card = mdev_at(address);
  card->broken = g_strdup("it does not answer");
  return card;
}

/* ── its card is gone, or broken ──────────────────────────────────────────── */

/* "host has no card any more", at each start, beside one that is free. */
static void a_desktop_whose_card_is_gone_or_broken_never_started_again(void **state)
{
  for (int broken = 0; broken < 2; broken++) {
    Owned o = off_new(mdev_at(FIRST));
    look(o.w, broken ? broken_at(FIRST) : NULL, mdev_at(SECOND));
    host.dead = FIRST;
    assert_non_null(claim_of(&o)); /* it may be back before the desktop is wanted */
    power(&o, API_DESKTOP_START);
    runs_on(&o, SECOND);
    assert_string_equal(host.steps->str, "gpu-make define power ");
    look(o.w, broken ? broken_at(FIRST) : NULL, with_part(mdev_at(SECOND), claim_of(&o)));
    assert_null(claim_in(&o, true));
    runs_on(&o, SECOND);
    if (!broken)
      assert_null(world_ask(o.w, API_GPU_REMOVE, NULL, card_of(o.w, FIRST)->head.name, NULL)->error);
    owned_done(&o);
  }
}

/* The card died since it was looked at last: the host says so at the start. */
static void a_card_that_is_found_gone_at_the_start_is_another_s_place(void **state)
{
  Owned o = off_new(mdev_at(FIRST));
  look(o.w, with_part(mdev_at(FIRST), claim_of(&o)), mdev_at(SECOND));
  host.dead = FIRST;
  for (int i = 0; i < 6 && desktop_of(&o)->power != POWER_ON; i++) {
    if (!desktop_of(&o)->task)
      assert_null(world_ask(o.w, API_DESKTOP_START, NULL, o.desktop, NULL)->error);
    look(o.w, NULL, mdev_at(SECOND));
    world_pass(o.w, LONG_S);
  }
  runs_on(&o, SECOND);
  owned_done(&o);
}

static void seen_on(const Owned *o)
{
  Observation *on = observation_new(SAW_DOMAIN, "h1");
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(o->w->brain), o->desktop);
  DomainSeen *seen = observation_add_domain(on, uuid);
  seen->ours = true;
  seen->desktop = g_strdup(o->desktop);
  seen->clone = 1;
  seen->power = POWER_ON;
  brain_observe(o->w->brain, on, o->w->now_us);
  world_settle(o->w);
}

/* libvirt's event that the guest is on came before its answer to the start: the guest counted as one that ran before the part was made. */
static void a_start_whose_news_came_first_lost_its_desktop(void **state)
{
  Owned o = off_new(mdev_at(FIRST));
  look(o.w, NULL, mdev_at(SECOND));
  host.dead = FIRST;
  o.w->hold = true;
  assert_null(world_ask(o.w, API_DESKTOP_START, NULL, o.desktop, NULL)->error);
  while (((StepOrder *)o.w->held->pdata[0])->kind != STEP_POWER) {
    world_release(o.w);
    world_settle(o.w);
  }
  seen_on(&o);
  o.w->hold = false;
  world_release(o.w);
  world_settle(o.w);
  look(o.w, NULL, with_part(mdev_at(SECOND), claim_of(&o)));
  runs_on(&o, SECOND);
  owned_done(&o);
}

/* ── its card is another now ──────────────────────────────────────────────── */

/* The host's driver was brought up to date: mediated devices before, functions with types since, and every desktop of before is off. */
static void an_upgrade_to_functions_shut_the_card_and_all_its_desktops_out(void **state)
{
  Owned o = off_new(mdev_at(FIRST));
  g_autofree char *was = g_strdup(claim_of(&o)->head.name);
  host.backend = GPU_VENDOR_VF;
  look(o.w, functions_at(FIRST), NULL);
  assert_non_null(world_event(o.w, "gpu.changed"));
  assert_null(WORLD_GET(o.w, Vgpu, VGPU, was));
  assert_int_equal(card_of(o.w, FIRST)->state, GPU_READY);
  assert_int_equal(card_of(o.w, FIRST)->backend, GPU_VENDOR_VF);
  assert_null(card_of(o.w, FIRST)->error);
  assert_int_equal(desktop_of(&o)->state, DESKTOP_ASSIGNED);
  power(&o, API_DESKTOP_START);
  runs_on(&o, FIRST);
  assert_null(claim_of(&o)->uuid);
  owned_done(&o);
}

/* Nobody looked at it between the upgrade and the start; and its person asks, not an operator. */
static void a_wake_finds_another_card_too(void **state)
{
  Owned o = off_new(mdev_at(FIRST));
  assert_null(world_ask(o.w, API_SESSION_END, NULL, desktop_of(&o)->session, NULL)->error);
  host.backend = GPU_VENDOR_VF;
  const Answer *a = world_ask(o.w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'own'}");
  assert_null(a->error);
  assert_int_equal(desktop_of(&o)->power, POWER_OFF);
  for (int i = 0; i < 3 && desktop_of(&o)->power != POWER_ON; i++) { /* each try is held against what was seen since the last one */
    look(o.w, functions_at(FIRST), NULL);
    world_pass(o.w, LONG_S);
  }
  runs_on(&o, FIRST);
  assert_null(claim_of(&o)->uuid);
  owned_done(&o);
}

/* What shows at a claimed place may be the very part, seen as something else: it is neither forgotten nor given on. */
static void a_part_that_may_be_the_claimed_one_is_not_forgotten(void **state)
{
  Owned o = off_new(functions_at(FIRST));
  GpuCard *otherwise = with_part(functions_at(FIRST), claim_of(&o)), *again = with_part(functions_at(FIRST), claim_of(&o));
  otherwise->backend = GPU_SRIOV;
  look(o.w, otherwise, NULL);
  assert_null(claim_of(&o));
  assert_non_null(claim_in(&o, true));
  assert_int_equal(card_of(o.w, FIRST)->state, GPU_UNSEEN);
  look(o.w, again, NULL);
  assert_non_null(strstr(host.steps->str, "gpu-reap"));
  assert_null(claim_in(&o, true));
  assert_int_equal(card_of(o.w, FIRST)->state, GPU_READY);
  look(o.w, functions_at(FIRST), NULL);
  power(&o, API_DESKTOP_START);
  runs_on(&o, FIRST);
  owned_done(&o);
}

/* One that runs keeps what it has, whatever the card looks like. */
static void a_desktop_that_runs_keeps_its_claim(void **state)
{
  Owned o = owned_new(mdev_at(FIRST));
  look(o.w, functions_at(FIRST), NULL);
  assert_int_equal(claim_of(&o)->state, VGPU_ATTACHED);
  assert_int_equal(card_of(o.w, FIRST)->state, GPU_UNSEEN);
  owned_done(&o);
}

/* ── no room ──────────────────────────────────────────────────────────────── */

static void without_room_it_is_told_how_much_there_is_and_the_disk_stays(void **state)
{
  Owned o = off_new(mdev_at(FIRST));
  GpuCard *full = card_at(SECOND, GPU_MDEV, 1);
  gpu_card_add_part(full, TYPE)->marked = false;
  g_strlcpy(((GpuPart *)full->parts->pdata[0])->uuid, "f0000000-0000-4000-8000-000000000001", GPU_UUID_TEXT_BYTES);
  ((GpuType *)full->types->pdata[0])->free = 0;
  look(o.w, NULL, full);
  host.dead = FIRST;
  for (int i = 0; i < 2; i++) {
    assert_null(world_ask(o.w, API_DESKTOP_START, NULL, o.desktop, NULL)->error);
    for (int k = 0; k < 8; k++)
      world_pass(o.w, LONG_S);
    assert_null(desktop_of(&o)->task);
    assert_int_equal(desktop_of(&o)->power, POWER_OFF);
    assert_int_equal(desktop_of(&o)->state, DESKTOP_ASSIGNED);
    assert_true(says(desktop_of(&o)->error, "no-gpu") && says(desktop_of(&o)->error, "1000 parts free"));
    assert_null(strstr(host.steps->str, "power"));
    assert_null(strstr(host.steps->str, "delete"));
  }
  look(o.w, NULL, card_at(SECOND, GPU_MDEV, 1)); /* whoever had it has gone */
  power(&o, API_DESKTOP_START);
  runs_on(&o, SECOND);
  owned_done(&o);
}

/* ── saved ────────────────────────────────────────────────────────────────── */

/* What is in its memory is that part; the way out is its owner's to take. */
static void a_saved_desktop_says_why_it_cannot_go_on(void **state)
{
  Owned o = owned_new(mdev_at(FIRST));
  host.saves = true;
  power(&o, API_DESKTOP_SAVE);
  assert_int_equal(desktop_of(&o)->power, POWER_SAVED);
  g_autofree char *claim = g_strdup(claim_of(&o)->head.name);
  g_string_truncate(host.steps, 0);
  look(o.w, NULL, mdev_at(SECOND));
  host.dead = FIRST;
  for (int i = 0; i < 2; i++) {
    power(&o, i ? API_DESKTOP_RESTORE : API_DESKTOP_START);
    for (int k = 0; k < 8; k++)
      world_pass(o.w, LONG_S);
    assert_null(desktop_of(&o)->task);
    assert_int_equal(desktop_of(&o)->power, POWER_SAVED);
    assert_true(says(desktop_of(&o)->error, "gpu-saved") && says(desktop_of(&o)->error, FIRST));
    assert_string_equal(claim_of(&o)->head.name, claim);
    assert_null(strstr(host.steps->str, "define"));
  }
  power(&o, API_DESKTOP_DESTROY); /* here: its memory is thrown away */
  assert_int_equal(desktop_of(&o)->power, POWER_OFF);
  power(&o, API_DESKTOP_START);
  runs_on(&o, SECOND);
  owned_done(&o);
}

static void a_saved_desktop_keeps_its_claim_on_a_card_that_changed(void **state)
{
  Owned o = owned_new(mdev_at(FIRST));
  host.saves = true;
  power(&o, API_DESKTOP_SAVE);
  look(o.w, functions_at(FIRST), NULL);
  assert_non_null(claim_of(&o));
  assert_int_equal(card_of(o.w, FIRST)->state, GPU_UNSEEN);
  power(&o, API_DESKTOP_DESTROY);
  look(o.w, functions_at(FIRST), NULL);
  assert_null(claim_of(&o));
  assert_int_equal(card_of(o.w, FIRST)->state, GPU_READY);
  owned_done(&o);
}

/* ── an operator ──────────────────────────────────────────────────────────── */

static const Answer *release(Owned *o, const Vgpu *v)
{
  return world_ask(o->w, API_VGPU_RELEASE, NULL, v->head.name, "{'clone':1}");
}

static void a_claim_on_a_lost_card_is_released_without_its_desktop(void **state)
{
  Owned o = owned_new(mdev_at(FIRST));
  assert_int_equal(error_reason(release(&o, claim_of(&o))->error), REASON_VGPU_HELD);
  g_autofree char *fix = error_fix(o.w->last->error, LANG_EN);
  assert_null(strstr(fix, "retire"));
  power(&o, API_DESKTOP_DESTROY);
  look(o.w, with_part(mdev_at(FIRST), claim_of(&o)), NULL);
  assert_int_equal(error_reason(release(&o, claim_of(&o))->error), REASON_VGPU_HELD); /* the card is well */
  look(o.w, NULL, mdev_at(SECOND));
  assert_null(release(&o, claim_of(&o))->error);
  assert_null(claim_of(&o));
  assert_null(world_ask(o.w, API_GPU_REMOVE, NULL, card_of(o.w, FIRST)->head.name, NULL)->error);
  g_string_truncate(host.steps, 0);
  power(&o, API_DESKTOP_START);
  runs_on(&o, SECOND);
  owned_done(&o);
}

/* Undone as a making is, it took the definition with the firmware's and the TPM's memory, and the parts from a guest that came up. */
static void a_start_that_is_called_off_leaves_everything_where_it_is(void **state)
{
  static const StepKind at[] = { STEP_GPU_MAKE, STEP_DEFINE, STEP_POWER };
  for (size_t i = 0; i < G_N_ELEMENTS(at); i++) {
    Owned o = off_new(mdev_at(FIRST));
    o.w->hold = true;
    assert_null(world_ask(o.w, API_DESKTOP_START, NULL, o.desktop, NULL)->error);
    while (((StepOrder *)o.w->held->pdata[0])->kind != at[i]) {
      world_release(o.w);
      world_settle(o.w);
    }
    g_autofree char *task = g_strdup(desktop_of(&o)->task);
    assert_null(world_ask(o.w, API_TASK_CANCEL, NULL, task, NULL)->error);
    o.w->hold = false;
    world_release(o.w);
    world_pass(o.w, LONG_S);
    assert_null(desktop_of(&o)->task);
    assert_int_equal(WORLD_GET(o.w, Task, TASK, task) ? WORLD_GET(o.w, Task, TASK, task)->state : TASK_CANCELLED, TASK_CANCELLED);
    assert_non_null(claim_of(&o));
    assert_null(strstr(host.steps->str, "undefine"));
    assert_null(strstr(host.steps->str, "gpu-release"));
    power(&o, API_DESKTOP_START);
    runs_on(&o, FIRST);
    owned_done(&o);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_desktop_whose_card_is_gone_or_broken_never_started_again),
    cmocka_unit_test(a_card_that_is_found_gone_at_the_start_is_another_s_place),
    cmocka_unit_test(a_start_whose_news_came_first_lost_its_desktop),
    cmocka_unit_test(an_upgrade_to_functions_shut_the_card_and_all_its_desktops_out),
    cmocka_unit_test(a_wake_finds_another_card_too),
    cmocka_unit_test(a_part_that_may_be_the_claimed_one_is_not_forgotten),
    cmocka_unit_test(a_desktop_that_runs_keeps_its_claim),
    cmocka_unit_test(without_room_it_is_told_how_much_there_is_and_the_disk_stays),
    cmocka_unit_test(a_saved_desktop_says_why_it_cannot_go_on),
    cmocka_unit_test(a_saved_desktop_keeps_its_claim_on_a_card_that_changed),
    cmocka_unit_test(a_claim_on_a_lost_card_is_released_without_its_desktop),
    cmocka_unit_test(a_start_that_is_called_off_leaves_everything_where_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

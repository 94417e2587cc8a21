/* Parts of graphics cards taken out of a desktop that runs, and plugged in again: the whole brain over a host of three facts. Whatever fails, and
 * wherever the controller dies, claim, definition, card and guest say the same in the end, and nothing is taken from under one that still names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/brain_world.h"

enum { SLOTS = 2, LONG_S = 1200 };

/* What is so on the host, a claim's name each; and what goes wrong next. */
static struct {
  GHashTable *made, *defined, *inside;
  GString *steps;      /* that were done, in order */
  StepKind fails;
  Reason reason;
  int times;
} host;

static void host_done(void)
{
  g_clear_pointer(&host.made, g_hash_table_unref);
  g_clear_pointer(&host.defined, g_hash_table_unref);
  g_clear_pointer(&host.inside, g_hash_table_unref);
  if (host.steps)
    g_string_free(host.steps, TRUE);
  memset(&host, 0, sizeof host);
}

static void host_new(void)
{
  host_done();
  host.made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  host.defined = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  host.inside = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  host.steps = g_string_new(NULL);
}

static void part_goes(StepKind kind, const char *claim)
{
  if (kind == STEP_GPU_UNPLUG)
    g_hash_table_remove(host.inside, claim);
  if (kind != STEP_GPU_RELEASE)
    return;
  assert_false(g_hash_table_contains(host.inside, claim));
  assert_false(g_hash_table_contains(host.defined, claim));
  g_hash_table_remove(host.made, claim);
}

static void part_comes(StepKind kind, const char *claim)
{
  if (kind == STEP_GPU_MAKE)
    g_hash_table_add(host.made, g_strdup(claim));
  if (kind == STEP_DEFINE)
    g_hash_table_add(host.defined, g_strdup(claim));
  if (kind != STEP_GPU_PLUG && kind != STEP_START)
    return;
  assert_true(g_hash_table_contains(host.made, claim));
  g_hash_table_add(host.inside, g_strdup(claim));
}

/* As the host does it: each step may come twice. */
static void host_does(const StepOrder *order)
{
  if (order->kind == STEP_DEFINE)
    g_hash_table_remove_all(host.defined);
  if (order->kind == STEP_START)
    g_hash_table_remove_all(host.inside);
  for (guint i = 0; order->vgpus && i < order->vgpus->len; i++) {
    const Vgpu *claim = order->vgpus->pdata[i];
    part_goes(order->kind, claim->head.name);
    part_comes(order->kind, claim->head.name);
  }
  g_string_append_printf(host.steps, "%s ", step_rows[order->kind].name);
}

static GError *host_answers(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (order->kind != host.fails || !host.times) {
    host_does(order);
    return NULL;
  }
  host.times--;
  error_set(&err, host.reason, "domain", "d", "name", "ua", "detail", "", "host", "h1", "template", "linux/1", "what", order->task, "limit", "15 s",
            NULL);
  return err;
}

/* Each part has a function beside it. */
static void card_with_sound(World *w, const StepOrder *order, StepResult *result)
{
  for (guint i = 0; order->kind == STEP_GPU_MAKE && result->vgpus && i < result->vgpus->len; i++)
    g_snprintf(((VgpuDone *)result->vgpus->pdata[i])->beside[0], GPU_ADDRESS_BYTES, "0000:65:00.%u", i + 1);
}

/* ── a desktop with two parts that jihye has ──────────────────────────────── */

typedef struct {
  World *w;
  char *desktop;
} Held;

static const Desktop *desktop_of(const Held *h) { return WORLD_GET(h->w, Desktop, DESKTOP, h->desktop); }

static GpuCard *card_of_four(void)
{
  GpuCard *card = gpu_card_new("0000:65:00.0", GPU_MDEV);
  GpuType *type = gpu_card_add_type(card, "m-1");
  type->max = type->free = 4;
  return card;
}

static Held held_with(const char *display, WorldFillFn fill)
{
  Held h = { world_new(), NULL };
  h.w->fill = fill;
  g_autofree char *class = g_strdup_printf("{'name':'small','accepts':['m-1'],'display':'%s'}", display);
  host_new();
  world_furnish(h.w, 0, 0, 0);
  h.w->answer = host_answers;
  world_look(h.w, card_of_four());
  assert_null(world_ask(h.w, API_GPU_CLASS_ADD, NULL, NULL, class)->error);
  assert_null(world_ask(h.w, API_POOL_CREATE, NULL, NULL,
                        "{'name':'gpu','template':'linux','image':'linux','offer_s':604800,'gpu_class':'small','gpus':2,'min':1,'max':1}")->error);
  const Answer *a = world_ask(h.w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'gpu'}");
  assert_null(a->error);
  h.desktop = g_strdup(WORLD_GET(h.w, Session, SESSION, a->object->name)->desktop);
  assert_int_equal(desktop_of(&h)->power, POWER_ON);
  g_string_truncate(host.steps, 0);
  return h;
}

static Held held_new(const char *display)
{
  return held_with(display, NULL);
}

static void held_done(Held *h)
{
  g_free(h->desktop);
  world_free(h->w);
  host_done();
}

static const Answer *detach(Held *h, const char *body) { return world_ask(h->w, API_DESKTOP_DETACH_GPU, NULL, h->desktop, body); }
static const Answer *attach(Held *h, const char *body) { return world_ask(h->w, API_DESKTOP_ATTACH_GPU, NULL, h->desktop, body); }

/* Claims of the desktop in that state. */
static int claims_in(Held *h, VgpuState state) { return world_count(h->w, NOUN_VGPU, state); }

/* So many parts, and claim, definition, card and guest say the same. */
static void agree(Held *h, int n)
{
  g_autoptr(GPtrArray) names = brain_names(h->w->brain, NOUN_VGPU);
  assert_null(desktop_of(h)->task);
  assert_int_equal(names->len, n);
  for (guint i = 0; i < names->len; i++) {
    assert_int_equal(WORLD_GET(h->w, Vgpu, VGPU, names->pdata[i])->state, VGPU_ATTACHED);
    assert_true(g_hash_table_contains(host.inside, names->pdata[i]));
    assert_true(g_hash_table_contains(host.defined, names->pdata[i]));
    assert_true(g_hash_table_contains(host.made, names->pdata[i]));
  }
  assert_int_equal(g_hash_table_size(host.inside), n);
  assert_int_equal(g_hash_table_size(host.defined), n);
  assert_int_equal(g_hash_table_size(host.made), n);
}

static void refused(const Answer *a, Reason reason)
{
  assert_non_null(a->error);
  if (!error_is(a->error, reason))
    fail_msg("refused otherwise: %s", a->error->message);
}

/* ── what is refused ──────────────────────────────────────────────────────── */

static void what_cannot_be_is_refused_with_its_reason(void **state)
{
  Held h = held_new("off");
  refused(attach(&h, "{}"), REASON_GPU_NOT_OUT);
  refused(attach(&h, "{'slot':0}"), REASON_GPU_NOT_OUT);
  refused(attach(&h, "{'slot':5}"), REASON_GPU_NOT_OUT);
  refused(detach(&h, "{'slot':2}"), REASON_GPU_NOT_IN);
  refused(detach(&h, "{'slot':7}"), REASON_GPU_NOT_IN);
  assert_string_equal(host.steps->str, "");
  agree(&h, 2);
  assert_null(detach(&h, "{'slot':1}")->error);
  refused(detach(&h, "{'slot':1}"), REASON_GPU_NOT_IN);
  refused(attach(&h, "{'slot':0}"), REASON_GPU_NOT_OUT);
  agree(&h, 1);
  held_done(&h);
}

static void one_that_is_busy_off_or_nobody_s_keeps_its_parts(void **state)
{
  Held h = held_new("off");
  h.w->hold = true;
  assert_null(detach(&h, "{'slot':1}")->error);
  refused(detach(&h, "{'slot':0}"), REASON_DESKTOP_BUSY);
  refused(attach(&h, "{'slot':1}"), REASON_DESKTOP_BUSY);
  h.w->hold = false;
  world_release(h.w);
  world_settle(h.w);
  Observation *off = observation_new(SAW_DOMAIN, "h1");
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(h.w->brain), h.desktop);
  DomainSeen *seen = observation_add_domain(off, uuid);
  seen->ours = true;
  seen->desktop = g_strdup(h.desktop);
  seen->clone = desktop_of(&h)->clone;
  seen->power = POWER_OFF;
  brain_observe(h.w->brain, off, h.w->now_us);
  world_settle(h.w);
  refused(detach(&h, "{}"), REASON_DESKTOP_NOT_ON);
  refused(attach(&h, "{}"), REASON_DESKTOP_NOT_ON);
  held_done(&h);
}

static const Vgpu *claim_in(const Held *h, int64_t slot)
{
  g_autoptr(GPtrArray) names = brain_names(h->w->brain, NOUN_VGPU);
  for (guint i = 0; i < names->len; i++) {
    const Vgpu *v = WORLD_GET(h->w, Vgpu, VGPU, names->pdata[i]);
    if (!g_strcmp0(v->desktop, h->desktop) && v->slot == slot)
      return v;
  }
  fail_msg("nothing is in slot %d", (int)slot);
  return NULL;
}

/* What a look tells that began so long ago: it runs, with the parts of these slots, but for that one function. */
static void seen_but_for(const Held *h, int64_t slots, int64_t ago_us, const char *missing)
{
  Observation *o = observation_new(SAW_DOMAIN, "h1");
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(h->w->brain), h->desktop);
  g_autoptr(GStrvBuilder) parts = g_strv_builder_new();
  DomainSeen *seen = observation_add_domain(o, uuid);
  seen->ours = true;
  seen->desktop = g_strdup(h->desktop);
  seen->clone = desktop_of(h)->clone;
  seen->power = POWER_ON;
  for (int64_t slot = 0; slot < 2; slot++) {
    if (!(slots >> slot & 1))
      continue;
    const Vgpu *v = claim_in(h, slot);
    g_strv_builder_add(parts, v->uuid);
    for (char **function = v->beside; function && *function; function++)
      if (strcmp(*function, missing))
        g_strv_builder_add(parts, *function);
  }
  seen->parts = g_strv_builder_end(parts);
  seen->looked_us = h->w->now_us - ago_us;
  brain_observe(h->w->brain, o, h->w->now_us);
  world_settle(h->w);
}

static void seen_with(const Held *h, int64_t slots, int64_t ago_us)
{
  seen_but_for(h, slots, ago_us, "");
}

/* By somebody on the host, or by an unplug of ours that came after nobody waited for it any more. */
static void one_that_runs_without_its_part_is_not_shown_as_well(void **state)
{
  Held h = held_new("off");
  h.w->now_us += 60 * G_USEC_PER_SEC;
  seen_with(&h, 3, 0);
  assert_int_equal(desktop_of(&h)->state, DESKTOP_ASSIGNED);
  seen_with(&h, 1, 58 * G_USEC_PER_SEC); /* just started when that look began: what was known of it may be older */
  assert_int_equal(desktop_of(&h)->state, DESKTOP_ASSIGNED);
  seen_with(&h, 1, 0);
  assert_int_equal(desktop_of(&h)->state, DESKTOP_LOST);
  assert_non_null(strstr(desktop_of(&h)->error, "gpu-left"));
  assert_null(claim_in(&h, 0)->error);
  assert_int_equal(claim_in(&h, 1)->state, VGPU_MADE);
  assert_non_null(strstr(claim_in(&h, 1)->error, "gpu-left"));
  assert_null(world_ask(h.w, API_DESKTOP_DESTROY, NULL, h.desktop, NULL)->error);
  assert_null(world_ask(h.w, API_DESKTOP_START, NULL, h.desktop, NULL)->error);
  assert_int_equal(desktop_of(&h)->state, DESKTOP_USED);
  assert_null(claim_in(&h, 1)->error);
  agree(&h, 2);
  held_done(&h);
}

/* A card without its sound is not what its guest was given; libvirt takes neither out of a guest that runs, but on Xen. */
static void a_card_of_several_functions_is_all_of_them(void **state)
{
  Held h = held_with("off", card_with_sound);
  assert_int_equal(claim_in(&h, 1)->state, VGPU_ATTACHED);
  refused(detach(&h, "{'slot':1}"), REASON_GPU_ONE_SLOT);
  refused(detach(&h, "{}"), REASON_GPU_ONE_SLOT);
  assert_int_equal(desktop_of(&h)->unplugged, 0);
  h.w->now_us += 60 * G_USEC_PER_SEC;
  seen_with(&h, 3, 0);
  assert_int_equal(desktop_of(&h)->state, DESKTOP_ASSIGNED);
  seen_but_for(&h, 3, 0, "0000:65:00.2");
  assert_int_equal(desktop_of(&h)->state, DESKTOP_LOST);
  assert_non_null(strstr(claim_in(&h, 1)->error, "gpu-left"));
  assert_null(claim_in(&h, 0)->error);
  held_done(&h);
}

static void a_card_of_several_functions_leaves_a_guest_of_xen(void **state)
{
  Held h = held_with("off", card_with_sound);
  world_host_answers(h.w, "h1", "xen");
  assert_null(detach(&h, "{'slot':1}")->error);
  agree(&h, 1);
  held_done(&h);
}

static void one_that_nobody_has_keeps_its_parts(void **state)
{
  Held h = held_new("off");
  assert_null(world_ask(h.w, API_POOL_CHANGE, NULL, "gpu", "{'min':2,'max':2}")->error);
  g_autoptr(GPtrArray) names = brain_names(h.w->brain, NOUN_DESKTOP);
  assert_int_equal(names->len, 2);
  const char *idle = strcmp(names->pdata[0], h.desktop) ? names->pdata[0] : names->pdata[1];
  refused(world_ask(h.w, API_DESKTOP_DETACH_GPU, NULL, idle, NULL), REASON_DESKTOP_NOT_HELD);
  refused(world_ask(h.w, API_DESKTOP_ATTACH_GPU, NULL, idle, NULL), REASON_DESKTOP_NOT_HELD);
  held_done(&h);
}

static void the_part_that_is_the_screen_stays(void **state)
{
  Held h = held_new("on");
  refused(detach(&h, "{}"), REASON_GPU_IS_SCREEN);
  refused(detach(&h, "{'slot':0}"), REASON_GPU_IS_SCREEN);
  assert_null(detach(&h, "{'slot':1}")->error);
  agree(&h, 1);
  held_done(&h);
}

static void a_card_that_others_filled_meanwhile_refuses_and_the_slot_stays_out(void **state)
{
  Held h = held_new("off");
  assert_null(detach(&h, "{}")->error);
  agree(&h, 0);
  GpuCard *full = card_of_four();
  ((GpuType *)full->types->pdata[0])->free = 0;
  for (int i = 0; i < 4; i++)
    g_snprintf(gpu_card_add_part(full, "m-1")->uuid, GPU_UUID_TEXT_BYTES, "00000000-0000-4000-8000-00000000000%d", i);
  world_look(h.w, full);
  refused(attach(&h, "{}"), REASON_NO_GPU);
  assert_int_equal(desktop_of(&h)->unplugged, 3);
  agree(&h, 0);
  world_look(h.w, card_of_four());
  assert_null(attach(&h, "{}")->error);
  agree(&h, 2);
  held_done(&h);
}

/* ── in order ─────────────────────────────────────────────────────────────── */

static void a_part_is_freed_after_the_guest_and_the_definition_let_go(void **state)
{
  static const char *const steps[] = { "", "gpu-unplug ", "gpu-unplug define ", "gpu-unplug define gpu-release " };
  Held h = held_new("off");
  h.w->hold = true;
  assert_null(detach(&h, "{'slot':1}")->error);
  for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
    assert_string_equal(host.steps->str, steps[i]);
    assert_int_equal(claims_in(&h, VGPU_ATTACHED), i ? 1 : 2); /* until the guest's event, the claim says that it is in */
    assert_int_equal(claims_in(&h, VGPU_RELEASING), i == 1 || i == 2);
    world_release(h.w);
    world_settle(h.w);
  }
  agree(&h, 1);
  held_done(&h);
}

static void a_part_is_claimed_before_the_host_hears_of_it(void **state)
{
  Held h = held_new("off");
  assert_null(detach(&h, "{}")->error);
  g_string_truncate(host.steps, 0);
  h.w->hold = true;
  int batches = h.w->batches;
  assert_null(attach(&h, "{'slot':0}")->error);
  assert_true(h.w->batches > batches);
  assert_string_equal(host.steps->str, "");
  assert_int_equal(h.w->held->len, 1);
  const StepOrder *first = h.w->held->pdata[0];
  assert_int_equal(first->kind, STEP_GPU_MAKE);
  assert_int_equal(first->vgpus->len, 1);
  assert_non_null(WORLD_GET(h.w, Vgpu, VGPU, ((Vgpu *)first->vgpus->pdata[0])->head.name));
  assert_non_null(world_event(h.w, "vgpu.claimed"));
  h.w->hold = false;
  world_release(h.w);
  world_settle(h.w);
  assert_string_equal(host.steps->str, "gpu-make define gpu-plug ");
  agree(&h, 1);
  held_done(&h);
}

/* ── what goes wrong ──────────────────────────────────────────────────────── */

static void a_guest_that_keeps_its_part_has_it(void **state)
{
  Held h = held_new("off");
  host.fails = STEP_GPU_UNPLUG, host.reason = REASON_DEVICE_STAYS, host.times = 1;
  assert_null(detach(&h, "{'slot':1}")->error);
  assert_non_null(world_event(h.w, "desktop.gpu-not-detached"));
  assert_int_equal(desktop_of(&h)->unplugged, 0);
  agree(&h, 2);
  assert_null(detach(&h, "{'slot':1}")->error);
  agree(&h, 1);
  held_done(&h);
}

/* The worker never answered, and the time is over; its answer comes much later. */
static void an_answer_past_its_deadline_changes_nothing(void **state)
{
  Held h = held_new("off");
  h.w->hold = true;
  assert_null(detach(&h, "{'slot':1}")->error);
  world_pass(h.w, LONG_S);
  assert_null(desktop_of(&h)->task);
  assert_int_equal(claims_in(&h, VGPU_ATTACHED), 2);
  assert_int_equal(desktop_of(&h)->unplugged, 0);
  h.w->hold = false;
  world_release(h.w);
  world_settle(h.w);
  assert_string_equal(host.steps->str, "gpu-unplug ");
  assert_int_equal(claims_in(&h, VGPU_ATTACHED), 2);
  assert_null(detach(&h, "{'slot':1}")->error); /* who asks again brings all to agree */
  agree(&h, 1);
  held_done(&h);
}

/* The guest let go, and the definition went on naming the part, which was freed: the next start found nothing there. */
static void a_definition_that_could_not_be_made_kept_naming_a_freed_part(void **state)
{
  static const Reason reasons[] = { REASON_HYPERVISOR_REFUSED, REASON_TEMPLATE_REFUSED, REASON_TIMEOUT };
  for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
    Held h = held_new("off");
    host.fails = STEP_DEFINE, host.reason = reasons[i], host.times = 9;
    assert_null(detach(&h, "{'slot':1}")->error);
    for (int k = 0; k < 2; k++)
      world_pass(h.w, 1);
    assert_true(host.times > 0);
    assert_int_equal(claims_in(&h, VGPU_RELEASING), 1); /* the part is kept as long as the definition names it */
    assert_int_equal(g_hash_table_size(host.made), 2);
    for (int k = 0; k < 20; k++)
      world_pass(h.w, LONG_S);
    assert_int_equal(host.times, 0);
    agree(&h, 1);
    held_done(&h);
  }
}

static void whatever_fails_for_good_all_agree(void **state)
{
  static const struct { bool attaches; StepKind fails; int parts; } rows[] = {
    { true, STEP_GPU_MAKE, 0 }, { true, STEP_DEFINE, 0 }, { true, STEP_GPU_PLUG, 0 },
    { false, STEP_GPU_UNPLUG, 2 }, { false, STEP_DEFINE, 0 },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    Held h = held_new("off");
    if (rows[i].attaches)
      assert_null(detach(&h, "{}")->error);
    host.fails = rows[i].fails, host.reason = REASON_HYPERVISOR_REFUSED, host.times = rows[i].fails == STEP_GPU_UNPLUG ? 1 : 5;
    assert_null((rows[i].attaches ? attach : detach)(&h, "{}")->error);
    for (int k = 0; k < 20; k++)
      world_pass(h.w, LONG_S);
    agree(&h, rows[i].parts);
    assert_int_equal(desktop_of(&h)->unplugged, rows[i].parts ? 0 : 3);
    held_done(&h);
  }
}

static void see_host(Held *h, bool answers)
{
  Observation *o = observation_new(answers ? SAW_HOST : SAW_SILENT, "h1");
  if (answers)
    o->hostname = g_strdup("h1");
  else
    error_set(&o->error, REASON_TIMEOUT, "what", "h1", "limit", "15 s", NULL);
  brain_observe(h->w->brain, o, h->w->now_us);
  world_settle(h->w);
}

static void a_host_that_was_away_in_between_is_waited_for(void **state)
{
  for (int after = 0; after < 3; after++) {
    for (int attaches = 0; attaches < 2; attaches++) {
      static const StepKind fails[2][3] = { { STEP_GPU_UNPLUG, STEP_DEFINE, STEP_GPU_RELEASE }, { STEP_GPU_MAKE, STEP_DEFINE, STEP_GPU_PLUG } };
      Held h = held_new("off");
      if (attaches)
        assert_null(detach(&h, "{}")->error);
      host.fails = fails[attaches][after], host.reason = REASON_HOST_UNREACHABLE, host.times = 3;
      assert_null((attaches ? attach : detach)(&h, "{}")->error);
      see_host(&h, false);
      world_pass(h.w, 20);
      assert_non_null(desktop_of(&h)->task);
      see_host(&h, true);
      for (int k = 0; k < 5; k++)
        world_pass(h.w, 60);
      agree(&h, attaches ? 2 : 0);
      held_done(&h);
    }
  }
}

/* The controller dies with an order out: nobody hears whether it was done. */
static void wherever_the_controller_dies_it_goes_on(void **state)
{
  for (int attaches = 0; attaches < 2; attaches++)
    for (int dies = 0; dies < 3; dies++)
      for (int done = 0; done < 2; done++) {
        Held h = held_new("off");
        if (attaches)
          assert_null(detach(&h, "{}")->error);
        h.w->hold = true;
        assert_null((attaches ? attach : detach)(&h, "{}")->error);
        for (int i = 0; i < dies; i++) {
          world_release(h.w);
          world_settle(h.w);
        }
        assert_int_equal(h.w->held->len, 1);
        if (done)
          host_does(h.w->held->pdata[0]);
        h.w->hold = false;
        world_crash(h.w);
        agree(&h, attaches ? 2 : 0);
        held_done(&h);
      }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_cannot_be_is_refused_with_its_reason),
    cmocka_unit_test(one_that_is_busy_off_or_nobody_s_keeps_its_parts),
    cmocka_unit_test(one_that_runs_without_its_part_is_not_shown_as_well),
    cmocka_unit_test(one_that_nobody_has_keeps_its_parts), cmocka_unit_test(a_card_of_several_functions_is_all_of_them),
    cmocka_unit_test(a_card_of_several_functions_leaves_a_guest_of_xen),
    cmocka_unit_test(the_part_that_is_the_screen_stays),
    cmocka_unit_test(a_card_that_others_filled_meanwhile_refuses_and_the_slot_stays_out),
    cmocka_unit_test(a_part_is_freed_after_the_guest_and_the_definition_let_go),
    cmocka_unit_test(a_part_is_claimed_before_the_host_hears_of_it),
    cmocka_unit_test(a_guest_that_keeps_its_part_has_it),
    cmocka_unit_test(an_answer_past_its_deadline_changes_nothing),
    cmocka_unit_test(a_definition_that_could_not_be_made_kept_naming_a_freed_part),
    cmocka_unit_test(whatever_fails_for_good_all_agree),
    cmocka_unit_test(a_host_that_was_away_in_between_is_waited_for),
    cmocka_unit_test(wherever_the_controller_dies_it_goes_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

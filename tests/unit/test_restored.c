/* A store older than the world: what a restored backup calls clean may have had somebody in it since. And hosts that show desktops of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/lifecycle.h"
#include "tests/unit/brain_world.h"

static void random_bytes(void *data, uint8_t *bytes, size_t n)
{
  memset(bytes, 42, n);
}

/* The brain ends, and one begins with what it had in its store; restored: as a restore marks it. */
static void again(World *w, bool restored)
{
  BrainOptions options = { .random = random_bytes };
  Brain *next = brain_new(&options);
  world_settle(w);
  for (Noun noun = 0; noun < NOUN_EVENT; noun++) {
    g_autoptr(GPtrArray) names = brain_names(w->brain, noun);
    for (guint i = 0; i < names->len; i++) {
      Object *kept = object_dup(&schemas[noun], brain_find(w->brain, noun, names->pdata[i]));
      if (noun == NOUN_CONTROLLER)
        ((Controller *)kept)->restored = restored;
      brain_load(kept, next);
    }
  }
  brain_free(w->brain);
  w->brain = next;
  brain_start(next, w->now_us);
  world_settle(w);
}

/* Kept before such were judged when they are given: the daemon begins, the person has a desktop, and who changes the user is told what is wrong. */
static void a_user_kept_with_a_bad_key_keeps_nobody_out(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  User *old = (User *)WORLD_GET(w, User, USER, "jihye");
  list_set(&old->ssh_keys, (const char *const[]){ "not a key", NULL });
  g_free(old->locale);
  old->locale = g_strdup("foo bar");
  again(w, true);
  assert_string_equal(WORLD_GET(w, User, USER, "jihye")->ssh_keys[0], "not a key");
  assert_null(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'cad'}")->error);
  const Answer *a = world_ask(w, API_USER_CHANGE, NULL, "jihye", "{'title':'Jihye'}");
  assert_true(error_is(a->error, REASON_BAD_VALUE));
  assert_string_equal(error_arg(a->error, "field"), "ssh_keys");
  assert_null(world_ask(w, API_USER_CHANGE, NULL, "jihye", "{'ssh_keys':[],'locale':''}")->error);
  world_free(w);
}

static char *only_desktop(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  assert_int_equal(names->len, 1);
  return g_strdup(names->pdata[0]);
}

static void see(World *w, const char *host, const char *desktop, int64_t clone)
{
  g_autofree char *uuid = desktop_domain_uuid(brain_controller(w->brain), desktop);
  Observation *o = observation_new(SAW_DOMAINS, host);
  DomainSeen *seen = observation_add_domain(o, uuid);
  seen->desktop = g_strdup(desktop);
  seen->ours = true;
  seen->clone = clone;
  seen->power = POWER_ON;
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

static void host_tells(World *w, const char *host, const char *uuid)
{
  Observation *o = observation_new(SAW_HOST, host);
  o->hostname = g_strdup(host);
  o->uuid = g_strdup(uuid);
  o->cpus = 4;
  o->memory_mib = 4096;
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

static bool is_ordered(World *w, StepKind kind)
{
  for (guint i = 0; i < w->held->len; i++)
    if (((StepOrder *)w->held->pdata[i])->kind == kind)
      return true;
  return false;
}

static void a_clean_desktop_of_a_backup_is_replaced(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *before = only_desktop(w);
  again(w, false);
  g_autofree char *same = only_desktop(w);
  assert_string_equal(same, before);
  again(w, true);
  g_autofree char *after = only_desktop(w);
  assert_string_not_equal(after, before);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, after)->state, DESKTOP_AVAILABLE);
  assert_true(g_ascii_strtoll(after + 2, NULL, 10) > 1 << 24); /* no number of it was ever in the world */
  again(w, false); /* and that was that */
  g_autofree char *later = only_desktop(w);
  assert_string_equal(later, after);
  world_free(w);
}

static void a_spare_of_a_dedicated_pool_waits_for_an_operator(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'own','kind':'dedicated','template':'linux','image':'linux','min':1,'max':2}");
  g_autofree char *name = only_desktop(w);
  again(w, true);
  const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, name);
  assert_int_equal(d->state, DESKTOP_QUARANTINED);
  assert_non_null(strstr(d->error, "restored"));
  world_free(w);
}

static void a_persons_desktop_outlives_a_restore(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  g_autofree char *session = g_strdup(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'cad'}")->object->name);
  g_autofree char *name = only_desktop(w);
  again(w, true);
  assert_true(session_state_is_live(WORLD_GET(w, Session, SESSION, session)->state));
  /* but its host has passed it on since */
  see(w, "h1", name, 2);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, name)->state, DESKTOP_QUARANTINED);
  assert_int_equal(WORLD_GET(w, Session, SESSION, session)->state, SESSION_ENDED);
  world_free(w);
}

static void an_orphan_after_a_restore_is_kept(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  w->hold = true;
  for (int restored = 0; restored < 2; restored++) {
    again(w, restored);
    see(w, "h1", "d-900", 1);
    world_pass(w, 31);
    see(w, "h1", "d-900", 1);
    assert_int_equal(is_ordered(w, STEP_REAP), !restored);
    w->hold = false;
    world_release(w);
    w->hold = true;
  }
  world_free(w);
}

/* Its host may have been told since the backup to make what the backup has as claimed and no more. */
static void a_claim_of_a_backup_may_be_made(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  GpuCard *card = gpu_card_new("0000:65:00.0", GPU_VENDOR_VF);
  GpuType *type = gpu_card_add_type(card, "nvidia-558");
  type->max = type->free = 1;
  gpu_card_add_function(card, "0000:65:00.4");
  world_look(w, card);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['nvidia-558']}")->error);
  w->hold = true;
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'gpu','template':'linux','image':'linux','gpu_class':'small','min':1,'max':1}")->error);
  for (int restored = 0; restored < 2; restored++) {
    g_autoptr(GPtrArray) before = brain_names(w->brain, NOUN_VGPU);
    text_set(&((Vgpu *)WORLD_GET(w, Vgpu, VGPU, before->pdata[0]))->boot, "11111111-1111-4111-8111-111111111111");
    again(w, restored);
    g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_VGPU);
    assert_int_equal(names->len, 1);
    const Vgpu *claim = WORLD_GET(w, Vgpu, VGPU, names->pdata[0]);
    assert_int_equal(vgpu_may_be_made(claim), restored);
    assert_int_equal(claim->boot == NULL, restored); /* nor is it known in which run of its host it was made last */
  }
  world_free(w);
}

/* One machine enrolled twice, or a desktop moved by hand: its person was thrown out after half a minute. */
static void a_desktop_seen_on_another_host_is_not_touched(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *name = only_desktop(w);
  world_ask(w, API_HOST_ADD, NULL, NULL, "{'name':'h2','uri':'fake:h1'}");
  host_tells(w, "h2", NULL);
  w->hold = true;
  for (int i = 0; i < 3; i++) {
    see(w, "h2", name, 1);
    world_pass(w, 31);
  }
  assert_false(is_ordered(w, STEP_REAP));
  see(w, "h2", "d-900", 1);
  world_pass(w, 31);
  see(w, "h2", "d-900", 1);
  assert_true(is_ordered(w, STEP_REAP)); /* so it would have been seen */
  world_free(w);
}

static void one_machine_is_one_host(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  host_tells(w, "h1", "6f1c6f5e-6a1b-4b86-9d8e-0c1f9a6f2a11");
  world_ask(w, API_HOST_ADD, NULL, NULL, "{'name':'h2','uri':'fake:same'}");
  host_tells(w, "h2", "6f1c6f5e-6a1b-4b86-9d8e-0c1f9a6f2a11");
  host_tells(w, "h1", "6f1c6f5e-6a1b-4b86-9d8e-0c1f9a6f2a11");
  assert_int_equal(WORLD_GET(w, Host, HOST, "h1")->state, HOST_UP);
  assert_int_equal(WORLD_GET(w, Host, HOST, "h2")->state, HOST_UNREACHABLE);
  assert_non_null(strstr(WORLD_GET(w, Host, HOST, "h2")->error, "exists"));
  host_tells(w, "h2", "6f1c6f5e-6a1b-4b86-9d8e-0c1f9a6f2a12");
  assert_int_equal(WORLD_GET(w, Host, HOST, "h2")->state, HOST_UP);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_clean_desktop_of_a_backup_is_replaced),
    cmocka_unit_test(a_spare_of_a_dedicated_pool_waits_for_an_operator),
    cmocka_unit_test(a_persons_desktop_outlives_a_restore),
    cmocka_unit_test(an_orphan_after_a_restore_is_kept), cmocka_unit_test(a_claim_of_a_backup_may_be_made),
    cmocka_unit_test(a_desktop_seen_on_another_host_is_not_touched),
    cmocka_unit_test(one_machine_is_one_host),
    cmocka_unit_test(a_user_kept_with_a_bad_key_keeps_nobody_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

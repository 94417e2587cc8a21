/* Turns at cards, and the time that what is asked of a card may take: a card that hangs costs itself and nobody else. */
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <gio/gio.h>

#include "drivers/gpu/fake_cards.h"
#include "drivers/gpu/turns.h"
#include "drivers/hypervisor/fake.h"
#include "drivers/runtime/steps.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555";
static const char card[] = "0000:41:00.0", other[] = "0000:42:00.0";

static int64_t in_s(double seconds)
{
  return g_get_monotonic_time() + (int64_t)(seconds * G_USEC_PER_SEC);
}

/* ── turns ──────────────────────────────────────────────────────────────── */

static void each_card_of_each_host_has_a_turn_of_its_own(void **state)
{
  enum { HOSTS = 20, CARDS = 16 }; /* more than any table of locks that names could share */
  g_autoptr(GPtrArray) held = g_ptr_array_new();
  for (int i = 0; i < HOSTS * CARDS; i++) {
    g_autofree char *host = g_strdup_printf("h%d", i / CARDS), *at = g_strdup_printf("0000:%02x:00.0", i % CARDS);
    CardTurn *turn = NULL;
    assert_true(card_turn_take(host, at, in_s(1), &turn, NULL));
    g_ptr_array_add(held, turn);
  }
  assert_int_equal(card_turns(), HOSTS * CARDS);
  for (guint i = 0; i < held->len; i++)
    card_turn_end(held->pdata[i]);
  assert_int_equal(card_turns(), 0);
}

static void who_waits_too_long_is_told_which_card_it_is(void **state)
{
  g_autoptr(CardTurn) first = NULL, second = NULL;
  g_autoptr(GError) err = NULL;
  assert_true(card_turn_take("h1", card, 0, &first, NULL));
  assert_false(card_turn_take("h1", card, in_s(0.05), &second, &err));
  assert_true(error_is(err, REASON_GPU_BUSY));
  assert_string_equal(err->message, "card 0000:41:00.0 of host \"h1\" was at another order for 1 s and has not ended it");
  assert_int_equal(card_turns(), 1);
}

static void *wait_for_turn(void *data)
{
  CardTurn *turn = NULL;
  bool mine = card_turn_take("h1", card, in_s(60), &turn, NULL);
  card_turn_end(turn);
  return GINT_TO_POINTER(mine);
}

static void who_waits_has_it_when_it_is_let_go(void **state)
{
  CardTurn *turn = NULL;
  GThread *waiting[4];
  assert_true(card_turn_take("h1", card, 0, &turn, NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(waiting); i++)
    waiting[i] = g_thread_new("waiting", wait_for_turn, NULL);
  card_turn_end(turn);
  for (size_t i = 0; i < G_N_ELEMENTS(waiting); i++)
    assert_true(GPOINTER_TO_INT(g_thread_join(waiting[i])));
  assert_int_equal(card_turns(), 0);
}

/* ── a host whose card hangs ────────────────────────────────────────────── */

typedef struct {
  char *dir, *pipe;
  Hypervisor *hypervisor;
  Exec *exec;
  GpuHost host;
} Stand;

static int up(void **state)
{
  Stand *s = g_new0(Stand, 1);
  s->dir = g_dir_make_tmp("sarang-turns-XXXXXX", NULL);
  assert_true(fake_cards_add(s->dir, card, "l40s", NULL) && fake_cards_add(s->dir, other, "l40s", NULL));
  g_autofree char *uri = g_strdup_printf("fake:turns?gpus=%s", s->dir);
  HypervisorOptions options = { .uri = uri, .host = "h1", .controller = controller };
  assert_true(hypervisor_open(&options, &s->hypervisor, NULL));
  assert_true(gpu_exec_open(s->hypervisor, NULL, &s->exec, NULL));
  s->host = (GpuHost){ s->hypervisor, s->exec, "h1", controller };
  *state = s;
  return 0;
}

static int down(void **state)
{
  Stand *s = *state;
  exec_close(s->exec);
  hypervisor_close(s->hypervisor);
  fake_forget();
  fake_tree_del(s->dir);
  g_free(s->dir);
  g_free(s->pipe);
  g_free(s);
  return 0;
}

/* A file that its driver answers never: opening a pipe that nobody writes to. */
static void hang(Stand *s)
{
  s->pipe = g_strdup_printf("%s/sys/bus/pci/devices/%s/sriov_totalvfs", s->dir, card);
  g_unlink(s->pipe);
  assert_int_equal(mkfifo(s->pipe, 0600), 0);
}

static GpuOrder order_for(const char *at, const char *function)
{
  return (GpuOrder){ .card = at, .backend = GPU_VENDOR_VF, .type = "nvidia-1152", .claim = "v-1", .generation = 1, .address = function, .start = -1 };
}

static void order_to_a_card_that_is_at_another_says_so_and_others_go_on(void **state)
{
  Stand *s = *state;
  g_autoptr(GpuCard) seen = NULL, free_one = NULL;
  assert_true(gpu_look(&s->host, card, &seen, NULL) && gpu_look(&s->host, other, &free_one, NULL));
  GpuOrder order = order_for(card, seen->functions->pdata[0]), elsewhere = order_for(other, free_one->functions->pdata[0]);
  order.type = elsewhere.type = ((GpuType *)seen->types->pdata[0])->id;
  g_autoptr(CardTurn) hung = NULL;
  assert_true(card_turn_take("h1", card, 0, &hung, NULL));
  exec_until(s->exec, in_s(2));
  const struct { bool (*ask)(const GpuHost *, const GpuOrder *, GError **); } rows[] = { { gpu_release }, { gpu_reset } };
  GpuHandle handle;
  g_autoptr(GError) err = NULL;
  assert_false(gpu_make(&s->host, &order, &handle, &err));
  assert_true(error_is(err, REASON_GPU_BUSY));
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) why = NULL;
    assert_false(rows[i].ask(&s->host, &order, &why));
    assert_true(error_is(why, REASON_GPU_BUSY));
  }
  exec_until(s->exec, 0);
  assert_true(gpu_make(&s->host, &elsewhere, &handle, NULL));
  card_turn_end(g_steal_pointer(&hung));
  assert_true(gpu_make(&s->host, &order, &handle, NULL));
  assert_int_equal(card_turns(), 0);
}

static void look_at_a_host_that_hangs_ends_before_its_step_does(void **state)
{
  enum { STEP_S = 8 }; /* of which what it takes to tell is kept */
  static const StepOptions plain = { 0 };
  Stand *s = *state;
  Host host = { .head = { .refs = 1, .noun = NOUN_HOST, .name = (char *)"h1" } };
  StepOrder order = { .kind = STEP_GPU_DISCOVER, .controller = (char *)controller, .host = &host };
  hang(s);
  StepRun step = { .order = &order, .result = step_result_new(&order), .hypervisor = s->hypervisor, .options = &plain, .deadline_us = in_s(STEP_S) };
  step_run(&step);
  assert_true(g_get_monotonic_time() < step.deadline_us);
  assert_true(error_is(step.result->error, REASON_TIMEOUT));
  step_result_free(step.result);
}

static void what_takes_several_calls_has_one_limit(void **state)
{
  static const char *const quick[] = { "true", NULL }, *const slow[] = { "sleep", "60", NULL };
  const ExecOptions options = { .host = "h1" };
  g_autoptr(GError) err = NULL, later = NULL;
  Exec *exec = NULL;
  assert_true(exec_open(&options, &exec, NULL));
  exec_until(exec, in_s(2.5));
  assert_true(exec_run(exec, quick, 30, NULL, NULL));
  int64_t began_us = g_get_monotonic_time();
  assert_false(exec_run(exec, slow, 50, NULL, &err));
  assert_true(error_is(err, REASON_TIMEOUT));
  assert_true(g_get_monotonic_time() - began_us < 30 * G_USEC_PER_SEC);
  assert_false(exec_run(exec, quick, 30, NULL, &later));
  assert_string_equal(later->message, "true took longer than 2 s");
  exec_until(exec, 0);
  assert_true(exec_run(exec, quick, 30, NULL, NULL));
  exec_close(exec);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_card_of_each_host_has_a_turn_of_its_own),
    cmocka_unit_test(who_waits_too_long_is_told_which_card_it_is),
    cmocka_unit_test(who_waits_has_it_when_it_is_let_go),
    cmocka_unit_test_setup_teardown(order_to_a_card_that_is_at_another_says_so_and_others_go_on, up, down),
    cmocka_unit_test_setup_teardown(look_at_a_host_that_hangs_ends_before_its_step_does, up, down),
    cmocka_unit_test(what_takes_several_calls_has_one_limit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

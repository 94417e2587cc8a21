/* Who guesses passwords is slowed down, and nobody else. Time is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <malloc.h>
#include <string.h>

#include "drivers/http/throttle.h"

#define S INT64_C(1000000)

static int64_t now;

static int set_up(void **state)
{
  *state = throttle_new();
  now = 1000000 * S;
  return 0;
}

static int tear_down(void **state)
{
  throttle_free(*state);
  return 0;
}

/* Wrong tries until one is delayed; how long. */
static int guess(Throttle *t, const char *user, const char *address, int most)
{
  for (int i = 0; i < most; i++) {
    int seconds = throttle_try(t, user, address, now);
    if (seconds)
      return seconds;
  }
  return 0;
}

static void delays_double_up_to_a_limit(void **state)
{
  static const int wanted[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900 };
  Throttle *t = *state;
  for (int i = 0; i < THROTTLE_FREE_TRIES - 1; i++) {
    g_autofree char *user = g_strdup_printf("u%d", i);
    assert_int_equal(throttle_try(t, user, "192.0.2.1", now), 0);
  }
  for (size_t i = 0; i < G_N_ELEMENTS(wanted); i++) {
    g_autofree char *user = g_strdup_printf("v%zu", i);
    assert_int_equal(throttle_try(t, user, "192.0.2.1", now), 0);
    assert_int_equal(throttle_try(t, user, "192.0.2.1", now), wanted[i]);
    now += wanted[i] * S - 1;
    assert_int_equal(throttle_try(t, user, "192.0.2.1", now), 1);
    now += 1;
  }
}

static void a_crowd_of_addresses_is_slowed_down_for_one_user(void **state)
{
  Throttle *t = *state;
  int delayed = 0;
  for (int i = 0; i < 100; i++) {
    g_autofree char *address = g_strdup_printf("198.51.100.%d", i);
    delayed += throttle_try(t, "alice", address, now) > 0;
  }
  assert_int_equal(delayed, 100 - THROTTLE_FREE_TRIES);
  now += THROTTLE_USER_MAX_S * S;
  assert_int_equal(throttle_try(t, "alice", "203.0.113.1", now), 0); /* a stranger waits a minute at most */
}

static void a_known_place_is_not_locked_out(void **state)
{
  Throttle *t = *state;
  assert_int_equal(throttle_try(t, "alice", "192.0.2.1", now), 0);
  throttle_right(t, "alice", "192.0.2.1");
  assert_true(guess(t, "alice", "198.51.100.7", 20) > 0);
  assert_int_equal(throttle_try(t, "alice", "192.0.2.1", now), 0);
  throttle_right(t, "alice", "192.0.2.1");
  assert_true(guess(t, "bob", "192.0.2.1", 20) > 0); /* from behind the same address */
  assert_int_equal(throttle_try(t, "alice", "192.0.2.1", now), 0);
}

static void a_known_place_cannot_guess_for_ever(void **state)
{
  Throttle *t = *state;
  assert_int_equal(throttle_try(t, "alice", "192.0.2.1", now), 0);
  throttle_right(t, "alice", "192.0.2.1");
  assert_int_equal(guess(t, "alice", "192.0.2.1", 20), 1);
}

/* Each costs a hash, right or wrong: who logs in for ever leaves room for others. */
static void right_passwords_have_a_measure_too(void **state)
{
  Throttle *t = *state;
  assert_int_equal(throttle_try(t, "alice", "192.0.2.1", now), 0);
  throttle_right(t, "alice", "192.0.2.1");
  int taken = 0;
  for (int i = 0; i < 600; i++, now += S / 10) {
    if (throttle_try(t, "alice", "192.0.2.1", now))
      continue;
    throttle_right(t, "alice", "192.0.2.1");
    taken++;
  }
  assert_int_equal(taken, THROTTLE_TRIES_BURST + THROTTLE_TRIES_PER_MINUTE - 1); /* the minute's last is due as it ends */
  assert_true(throttle_try(t, "alice", "192.0.2.1", now - S) > 0);
  assert_int_equal(throttle_try(t, "bob", "192.0.2.1", now), 0);
}

static void one_own_account_buys_no_free_guesses(void **state)
{
  Throttle *t = *state;
  bool delayed = false;
  for (int i = 0; i < 20 && !delayed; i++) {
    delayed = throttle_try(t, "victim", "192.0.2.1", now) > 0;
    if (!throttle_try(t, "mallory", "192.0.2.1", now))
      throttle_right(t, "mallory", "192.0.2.1");
  }
  assert_true(delayed);
}

static void an_ipv6_network_is_one_place(void **state)
{
  static const struct { const char *address; bool same;
  } rows[] = {
    { "2001:db8::1", true },  { "2001:db8::ffff:1", true }, { "2001:db8:0:1::1", false },
    { "2001:db9::1", false }, { "192.0.2.1", false },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    Throttle *t = throttle_new();
    for (int n = 0; n < 20; n++) {
      g_autofree char *user = g_strdup_printf("u%d", n);
      throttle_try(t, user, "2001:db8::2", now);
    }
    assert_int_equal(throttle_try(t, "other", rows[i].address, now) > 0, rows[i].same);
    throttle_free(t);
  }
}

static void an_hour_of_peace_is_forgiven(void **state)
{
  Throttle *t = *state;
  assert_true(guess(t, "alice", "192.0.2.1", 20) > 0);
  now += 2 * 3600 * S;
  for (int i = 0; i < THROTTLE_FREE_TRIES; i++)
    assert_int_equal(throttle_try(t, "alice", "192.0.2.1", now), 0);
  assert_int_equal(throttle_try(t, "alice", "192.0.2.1", now), 1);
}

static void memory_is_bounded(void **state)
{
  Throttle *t = *state;
  assert_true(guess(t, "first", "192.0.2.1", 20) > 0);
  for (int i = 0; i < THROTTLE_ENTRIES; i++) {
    g_autofree char *user = g_strdup_printf("u%d", i), *address = g_strdup_printf("a%d", i);
    throttle_try(t, user, address, now);
  }
  assert_int_equal(throttle_try(t, "first", "192.0.2.1", now), 0); /* forgotten */
}

/* Whoever is refused changes nothing: invented names push nobody out who is being guarded. */
static void refused_tries_leave_no_trace(void **state)
{
  Throttle *t = *state;
  assert_true(guess(t, "mallory", "192.0.2.1", 20) > 0);
  assert_true(guess(t, "victim", "192.0.2.2", 20) > 0);
  for (int i = 0; i < 2 * THROTTLE_ENTRIES; i++) {
    g_autofree char *user = g_strdup_printf("u%d", i);
    assert_true(throttle_try(t, user, "192.0.2.1", now) > 0);
  }
  assert_true(throttle_try(t, "victim", "203.0.113.1", now) > 0);
}

/* Who is forgotten first is whose last counted try is longest ago; being asked for and refused keeps nobody. */
static void the_oldest_tries_are_forgotten_first(void **state)
{
  Throttle *t = *state;
  assert_true(guess(t, "old", "192.0.2.1", 20) > 0);
  now += S / 2;
  assert_true(guess(t, "young", "192.0.2.2", 20) > 0);
  for (int i = 0; i < THROTTLE_ENTRIES / 2 - 1; i++) {
    g_autofree char *user = g_strdup_printf("u%d", i), *address = g_strdup_printf("a%d", i);
    assert_int_equal(throttle_try(t, "old", "192.0.2.1", now), 1);
    assert_int_equal(throttle_try(t, user, address, now), 0);
  }
  assert_true(throttle_try(t, "young", "192.0.2.2", now) > 0);
  assert_int_equal(throttle_try(t, "old", "203.0.113.1", now), 0);
}

static void long_names_take_no_room(void **state)
{
  enum { NAME_BYTES = 900 << 10, NAMES = 64 };
  Throttle *t = *state;
  g_autofree char *name = g_strnfill(NAME_BYTES, 'x');
  size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (int i = 0; i < NAMES; i++) {
    g_autofree char *address = g_strdup_printf("192.0.2.%d", i);
    name[0] = (char)('!' + i);
    assert_int_equal(throttle_try(t, name, address, now), 0);
  }
  assert_true(mallinfo2().uordblks + mallinfo2().hblkhd < before + NAME_BYTES);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(delays_double_up_to_a_limit, set_up, tear_down),
    cmocka_unit_test_setup_teardown(a_crowd_of_addresses_is_slowed_down_for_one_user, set_up, tear_down),
    cmocka_unit_test_setup_teardown(a_known_place_is_not_locked_out, set_up, tear_down),
    cmocka_unit_test_setup_teardown(a_known_place_cannot_guess_for_ever, set_up, tear_down),
    cmocka_unit_test_setup_teardown(right_passwords_have_a_measure_too, set_up, tear_down),
    cmocka_unit_test_setup_teardown(one_own_account_buys_no_free_guesses, set_up, tear_down),
    cmocka_unit_test_setup_teardown(an_ipv6_network_is_one_place, set_up, tear_down),
    cmocka_unit_test_setup_teardown(an_hour_of_peace_is_forgiven, set_up, tear_down),
    cmocka_unit_test_setup_teardown(memory_is_bounded, set_up, tear_down),
    cmocka_unit_test_setup_teardown(refused_tries_leave_no_trace, set_up, tear_down),
    cmocka_unit_test_setup_teardown(the_oldest_tries_are_forgotten_first, set_up, tear_down),
    cmocka_unit_test_setup_teardown(long_names_take_no_room, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

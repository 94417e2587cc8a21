/* So many at once, and so many a minute: what may be taken when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <glib.h>

#include "core/rate.h"

#define S INT64_C(1000000)

static const int64_t START = INT64_C(1700000000000000);

/* How many can be taken at that time, up to most. */
static int taken(const Rate *rate, int64_t *full_us, int64_t now_us, int most)
{
  int n = 0;
  while (n < most && !rate_wait_us(rate, *full_us, now_us)) {
    *full_us = rate_take(rate, *full_us, now_us);
    n++;
  }
  return n;
}

static const struct {
  Rate rate;
  int64_t after_us; /* the burst was taken */
  int wanted;
  const char *why;
} rows[] = {
  { { 60, 60 }, 0, 0, "nothing is left" },
  { { 60, 60 }, S - 1, 0, "not a microsecond early" },
  { { 60, 60 }, S, 1, "one comes back each second" },
  { { 60, 60 }, 10 * S, 10, "ten in ten" },
  { { 60, 60 }, 3600 * S, 60, "no more than at first, however long nobody asked" },
  { { 1, 60 }, S, 1, "one at a time" },
  { { 5, 1 }, 59 * S, 0, "one a minute" },
  { { 5, 1 }, 60 * S, 1, "one a minute" },
  { { 600, 600 }, S, 10, "ten a second" },
  { { 1000000, 1000000 }, 60, 1, "the most that the configuration takes" },
  { { 3, 60 }, -S, 0, "a clock that went back gives nothing" },
  { { 3, 60 }, -3600 * S, 0, "nor takes more than there is" },
};

static void what_was_taken_comes_back(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    int64_t full_us = 0;
    const Rate *rate = &rows[i].rate;
    assert_int_equal(taken(rate, &full_us, START, 2000000), rate->burst);
    int n = taken(rate, &full_us, START + rows[i].after_us, 2000000);
    if (n != rows[i].wanted)
      fail_msg("row %zu, %s: %d, not %d", i, rows[i].why, n, rows[i].wanted);
  }
}

static void the_wait_is_exact(void **state)
{
  const Rate rate = { 4, 20 };
  int64_t full_us = 0, now_us = START;
  taken(&rate, &full_us, now_us, 4);
  for (int i = 0; i < 100; i++) {
    int64_t wait_us = rate_wait_us(&rate, full_us, now_us);
    assert_true(wait_us > 0 && wait_us <= 3 * S);
    assert_int_equal(rate_wait_us(&rate, full_us, now_us + wait_us - 1), 1);
    now_us += wait_us;
    assert_int_equal(taken(&rate, &full_us, now_us, 9), 1);
  }
  assert_int_equal(now_us, START + 100 * 3 * S);
}

/* In any stretch of time that begins anywhere. */
static void no_way_of_asking_gets_more(void **state)
{
  const Rate rate = { 10, 120 };
  int64_t full_us = 0, n = 0;
  g_autoptr(GRand) chance = g_rand_new_with_seed(7);
  for (int64_t now_us = START; now_us < START + 600 * S; now_us += g_rand_int_range(chance, 0, 4000000)) {
    n += taken(&rate, &full_us, now_us, g_rand_int_range(chance, 0, 20));
    assert_true(n <= 10 + (now_us - START) * 2 / S);
  }
  assert_true(n > 900); /* and who asks gets most of it */
}

/* An operator who becomes a user: what they took is counted in the user's measure. */
static void a_smaller_rate_is_waited_for_no_longer_than_its_own(void **state)
{
  const Rate large = { 600, 600 }, small = { 2, 60 };
  int64_t full_us = 0;
  taken(&large, &full_us, START, 600);
  assert_int_equal(rate_wait_us(&small, full_us, START), S);
}

static void without_a_bound_nobody_waits(void **state)
{
  assert_int_equal(rate_wait_us(&(Rate){ 1, 0 }, INT64_MAX / 2, START), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_taken_comes_back),
    cmocka_unit_test(the_wait_is_exact),
    cmocka_unit_test(no_way_of_asking_gets_more),
    cmocka_unit_test(a_smaller_rate_is_waited_for_no_longer_than_its_own),
    cmocka_unit_test(without_a_bound_nobody_waits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

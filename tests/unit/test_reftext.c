#include "core/reftext.h"

#include <glib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdint.h>
#include <string.h>

static void one_copy_of_each_text(void **state)
{
  char *a = reftext_intern("cad"), *b = reftext_intern("cad"), *c = reftext_intern("cad-2"), *d = reftext_intern("");
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, c);
  assert_string_equal(c, "cad-2");
  assert_string_equal(d, "");
  reftext_drop(a);
  assert_string_equal(b, "cad");
  char *e = reftext_share(b);
  reftext_drop(b);
  assert_ptr_equal(reftext_intern("cad"), e);
  reftext_drop(e);
  reftext_drop(e);
  reftext_drop(c);
  reftext_drop(d);
}

enum { ROUNDS = 60000 };

/* Every text lives for a moment only, so that last drops and interning meet all the time. */
static void *intern_and_drop(void *data)
{
  static const char *const texts[] = { "pool", "host" };
  uintptr_t wrong = 0;
  for (int i = 0; i < ROUNDS; i++) {
    const char *text = texts[i % 2];
    char *mine = reftext_intern(text), *shared = reftext_share(mine);
    wrong += strcmp(mine, text) != 0;
    reftext_drop(mine);
    wrong += strcmp(shared, text) != 0;
    reftext_drop(shared);
  }
  return (void *)wrong;
}

/* GLib 2.74's own interning fails this with "g_atomic_ref_count_inc: assertion 'old_value > 0' failed". */
static void interning_meets_the_last_drop(void **state)
{
  GThread *threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = g_thread_new("intern", intern_and_drop, NULL);
  for (int i = 0; i < 4; i++)
    assert_null(g_thread_join(threads[i]));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_copy_of_each_text),
    cmocka_unit_test(interning_meets_the_last_drop),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

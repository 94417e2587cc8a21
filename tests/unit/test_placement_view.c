/* A view of a fleet is a copy: whatever is claimed, given back and moved in it comes out as in a full copy, and what is under it stays as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/placement/plan.h"

enum { HOSTS = 12, CLASSES = 5, STEPS = 120, SEEDS = 40 };

static Fleet *fleet_some(GRand *rand)
{
  static const CardModelSpec model = { .name = "gpu", .any_share = true };
  Fleet *f = fleet_new(1);
  assert_true(fleet_add_model(f, &model, NULL));
  fleet_put_licence(f, "cad", 20, 0);
  for (int i = 0; i < HOSTS; i++) {
    CardSpec cards[2] = { { "gpu", 0 }, { "gpu", 0 } };
    g_autofree char *name = g_strdup_printf("h%d", i);
    HostSpec spec = { .name = name, .state = "up", .vcpus = 16000 + 4000 * g_rand_int_range(rand, 0, 3), .memory_mib = 65536, .n_cards = i % 3,
                      .cards = cards };
    assert_true(fleet_add_host(f, &spec, &(int){ 0 }, NULL));
  }
  return f;
}

static DemandClass *class_some(Fleet *f, int i)
{
  static const LicenceWish cad[] = { { "cad", 1 } };
  Demand d = { .vcpus = 1000 * (i + 1), .memory_mib = 1024 * (i + 1), .policy = policy_of(i % 2 ? POLICY_SPREAD : POLICY_PACK),
               .gpu = { .count = i == 2 ? 1 : i == 4 ? 2 : 0, .share = 250, .apart = i == 4 }, .licences = cad,
               .n_licences = i == 1, .group = i == 3 ? "g" : NULL, .group_rule = i == 3 ? GROUP_APART : GROUP_NONE };
  DemandClass *class = demand_class(f, &d, NULL);
  assert_non_null(class);
  return class;
}

static bool claim_one(Fleet *f, int class, ClaimId *ret)
{
  g_autoptr(DemandClass) c = class_some(f, class);
  Place place;
  ClaimTerms terms = { .movable = class != 2, .tag = 1 + class };
  return place_find(c, &place, NULL) && place_claim(c, &place, &terms, ret, NULL);
}

static ClaimId any_claim(const Fleet *f, guint32 draw)
{
  ClaimId id = { -1, 0 };
  for (int i = 0; id.number < 0 && i < HOSTS; i++)
    id = claim_first(f, (int)((draw + i) % HOSTS));
  for (guint32 hops = (draw >> 8) % 4; hops && id.number >= 0 && claim_next(f, id).number >= 0; hops--)
    id = claim_next(f, id);
  return id;
}

/* One step, the same on whatever fleet says the same. */
static void step(Fleet *f, guint32 draw)
{
  ClaimId id = any_claim(f, draw), fresh;
  Place place;
  DemandClass *class;
  switch (draw >> 16 & 3) {
  case 0:
    claim_one(f, (int)(draw >> 20) % CLASSES, &fresh);
    return;
  case 1:
    assert_true(id.number < 0 || place_release(f, id, NULL));
    return;
  case 2:
    assert_true(id.number < 0 || place_set_movable(f, id, draw & 1, NULL));
    return;
  case 3:
    if (claim_find(f, id, NULL, NULL, &class) && place_find(class, &place, NULL))
      place_move(f, id, &place, &fresh, NULL);
  }
}

static char *fleet_text(const Fleet *f)
{
  GString *text = g_string_new(NULL);
  for (int h = 0; h < fleet_hosts(f); h++) {
    g_autofree char *line = fleet_host_text(f, h);
    g_string_append_printf(text, "%s:", line);
    for (ClaimId id = claim_first(f, h); id.number >= 0; id = claim_next(f, id)) {
      ClaimTerms terms;
      Place place;
      assert_true(claim_find(f, id, &place, &terms, NULL) && place.host == h);
      g_string_append_printf(text, " %d.%u/%d/%d", id.number, id.generation, (int)terms.tag, terms.movable);
    }
    g_string_append_c(text, '\n');
  }
  g_string_append_printf(text, "%d claims", (int)fleet_claims(f));
  return g_string_free(text, FALSE);
}

static void whole(const Fleet *f)
{
  g_autofree char *why = NULL;
  if (!fleet_check(f, &why))
    fail_msg("%s", why);
}

static void same(const Fleet *a, const Fleet *b)
{
  g_autofree char *one = fleet_text(a), *other = fleet_text(b);
  assert_string_equal(one, other);
}

static void a_view_is_a_copy_and_changes_nothing_under_it(void **state)
{
  for (guint32 seed = 0; seed < SEEDS; seed++) {
    GRand *rand = g_rand_new_with_seed(seed);
    g_autoptr(Fleet) f = fleet_some(rand);
    for (int i = 0; i < STEPS; i++)
      step(f, g_rand_int(rand));
    g_autofree char *before = fleet_text(f);
    Fleet *view = fleet_view(f);
    g_autoptr(Fleet) copy = fleet_dup(f);
    same(view, copy);
    for (int i = 0; i < STEPS; i++) {
      guint32 draw = g_rand_int(rand);
      step(view, draw);
      step(copy, draw);
      same(view, copy);
    }
    whole(view);
    Fleet *second = fleet_view(view);
    g_autoptr(Fleet) flat = fleet_dup(view);
    for (int i = 0; i < STEPS; i++) {
      guint32 draw = g_rand_int(rand);
      step(second, draw);
      step(flat, draw);
    }
    same(second, flat);
    whole(second);
    whole(flat);
    fleet_free(second);
    same(view, copy);
    fleet_free(view);
    g_autofree char *after = fleet_text(f);
    assert_string_equal(before, after);
    whole(f);
    g_rand_free(rand);
  }
}

static void what_a_plan_moves_stays_where_it_is(void **state)
{
  GRand *rand = g_rand_new_with_seed(7);
  g_autoptr(Fleet) f = fleet_some(rand);
  ClaimId id;
  for (int i = 0; i < 2 * HOSTS; i++)
    claim_one(f, i % 2 ? 3 : 1, &id);
  g_autofree char *before = fleet_text(f);
  int host = 0;
  while (claim_first(f, host).number < 0)
    host++;
  g_autoptr(GArray) stays = NULL, moves = plan_leave_host_partly(f, host, &stays);
  assert_true(moves->len + stays->len > 0);
  g_autofree char *after = fleet_text(f);
  assert_string_equal(before, after);
  g_rand_free(rand);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_view_is_a_copy_and_changes_nothing_under_it),
    cmocka_unit_test(what_a_plan_moves_stays_where_it_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

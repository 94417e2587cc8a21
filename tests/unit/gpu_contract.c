#include "tests/unit/gpu_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/contract_assert.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555";
static const char other_controller[] = "99999999-8888-4777-8666-555555555555";

enum { PARTS_MAX = 64 };

typedef struct {
  Hypervisor *hypervisor;
  Exec *exec;
  GpuHost host;
} Stand;

static const GpuContract *running;

/* ── helpers ────────────────────────────────────────────────────────────── */

static GpuCard *look(Stand *stand)
{
  GpuCard *card = NULL;
  assert_ok(gpu_look(&stand->host, running->card, &card, E));
  return card;
}

static const GpuType *type_of(const GpuCard *card)
{
  for (guint i = 0; i < card->types->len; i++) {
    const GpuType *type = card->types->pdata[i];
    if (!strcmp(type->id, running->type))
      return type;
  }
  return NULL;
}

static int free_now(Stand *stand)
{
  g_autoptr(GpuCard) card = look(stand);
  const GpuType *type = type_of(card);
  return type ? type->free : 0;
}

/* An order for the n-th claim, on what the card says is free now, as the brain would make it. *room holds its address. */
static GpuOrder order_for(Stand *stand, int n, char room[GPU_ADDRESS_BYTES])
{
  static char claims[PARTS_MAX][16];
  g_autoptr(GpuCard) card = look(stand);
  const GpuType *type = type_of(card);
  g_snprintf(claims[n], sizeof claims[n], "v-%d", n);
  GpuOrder order = { .card = running->card, .backend = running->backend, .type = running->type, .claim = claims[n], .generation = 1,
                     .start = -1 };
  if (type && type->starts->len)
    order.start = g_array_index(type->starts, int, 0);
  room[0] = 0;
  if (card->functions->len)
    g_strlcpy(room, card->functions->pdata[0], GPU_ADDRESS_BYTES);
  else if (running->backend == GPU_WHOLE)
    g_strlcpy(room, running->card, GPU_ADDRESS_BYTES);
  order.address = *room ? room : NULL;
  return order;
}

static const GpuPart *part_find(const GpuCard *card, const GpuHandle *handle)
{
  for (guint i = 0; i < card->parts->len; i++) {
    const GpuPart *part = card->parts->pdata[i];
    if (running->backend == GPU_MDEV ? !strcmp(part->uuid, handle->uuid) : !strcmp(part->address, handle->address))
      return part;
  }
  return NULL;
}

static int stand_up(void **state)
{
  Stand *stand = g_new0(Stand, 1);
  HypervisorOptions options = { .uri = running->uri, .host = "h1", .controller = controller,
                                .allow_plain_tcp = running->allow_plain_tcp, .domain_events = true };
  assert_ok(hypervisor_open(&options, &stand->hypervisor, E));
  stand->exec = running->exec ? running->exec(running->data) : NULL;
  stand->host = (GpuHost){ stand->hypervisor, stand->exec, "h1", controller };
  *state = stand;
  return 0;
}

static int stand_down(void **state)
{
  Stand *stand = *state;
  exec_close(stand->exec);
  hypervisor_close(stand->hypervisor);
  g_free(stand);
  return 0;
}

/* ── tests ──────────────────────────────────────────────────────────────── */

static void card_tells_what_it_is_and_gives(void **state)
{
  g_autoptr(GpuCard) card = look(*state);
  assert_int_equal(card->backend, running->backend);
  assert_true(card->vendor_id != 0);
  assert_non_null(card->driver);
  assert_null(card->broken);
  const GpuType *type = type_of(card);
  assert_non_null(type);
  assert_true(type->free > 0);
  assert_non_null(type->title);
  assert_int_equal(card->parts->len, 0);
}

static void made_part_is_in_the_inventory_until_released(void **state)
{
  Stand *stand = *state;
  char room[GPU_ADDRESS_BYTES];
  GpuOrder order = order_for(stand, 0, room);
  GpuHandle handle, again;
  int before = free_now(stand);
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  g_autoptr(GpuCard) card = look(stand);
  const GpuPart *part = part_find(card, &handle);
  assert_non_null(part);
  assert_string_equal(part->type, running->type);
  assert_int_equal(part->marked, running->backend == GPU_MDEV);
  assert_true(free_now(stand) < before);
  order.again = true;
  assert_ok(gpu_make(&stand->host, &order, &again, E)); /* an order that is carried out twice */
  assert_string_equal(again.uuid, handle.uuid);
  assert_string_equal(again.address, handle.address);
  assert_ok(gpu_release(&stand->host, &order, E));
  assert_ok(gpu_release(&stand->host, &order, E));
  g_autoptr(GpuCard) after = look(stand);
  assert_int_equal(after->parts->len, 0);
  assert_int_equal(free_now(stand), before);
}

static void card_gives_until_it_is_full_and_again_what_comes_back(void **state)
{
  Stand *stand = *state;
  char rooms[PARTS_MAX][GPU_ADDRESS_BYTES];
  GpuOrder orders[PARTS_MAX];
  GpuHandle handle;
  int n = 0;
  for (; n < PARTS_MAX - 1 && free_now(stand) > 0; n++) {
    orders[n] = order_for(stand, n, rooms[n]);
    assert_ok(gpu_make(&stand->host, &orders[n], &handle, E));
  }
  if (running->most)
    assert_int_equal(n, running->most);
  GpuOrder late = orders[n - 1];
  late.claim = "v-late";
  late.generation = 7;
  assert_refused(gpu_make(&stand->host, &late, &handle, E), running->backend == GPU_MDEV ? REASON_GPU_FULL : REASON_GPU_NOT_OURS);
  assert_ok(gpu_release(&stand->host, &orders[0], E));
  assert_true(free_now(stand) > 0);
  orders[0] = order_for(stand, 0, rooms[0]);
  assert_ok(gpu_make(&stand->host, &orders[0], &handle, E));
  for (int i = 0; i < n; i++)
    assert_ok(gpu_release(&stand->host, &orders[i], E));
}

/* An order that names the same place and is not the claim's: by its generation where parts have a mark, else by the type, by the card whose function it is, or by
 * what the card is. */
static GpuOrder stale_of(const GpuOrder *order)
{
  static const char *const types[N_GPU_BACKENDS] = {
    [GPU_MDEV] = NULL, [GPU_VENDOR_VF] = "nvidia-9999", [GPU_SRIOV] = NULL, [GPU_MIG] = "9g.999gb", [GPU_WHOLE] = "whole:ffff:ffff",
  };
  GpuOrder stale = *order;
  stale.again = true;
  stale.generation = 2;
  stale.type = types[running->backend] ? types[running->backend] : order->type;
  stale.card = running->backend == GPU_SRIOV ? "00ff:ff:1f.7" : order->card;
  return stale;
}

static void release_of_what_is_not_the_claims_frees_nothing(void **state)
{
  Stand *stand = *state;
  char room[GPU_ADDRESS_BYTES];
  GpuHandle handle;
  GpuOrder order = order_for(stand, 0, room), stale = stale_of(&order);
  /* of the others nothing has such a mark, is at such a place, or is such a card */
  bool told = running->backend == GPU_VENDOR_VF || running->backend == GPU_SRIOV;
  assert_ok(gpu_make(&stand->host, &order, &handle, E));
  if (told)
    assert_refused(gpu_release(&stand->host, &stale, E), REASON_GPU_NOT_OURS);
  else
    assert_ok(gpu_release(&stand->host, &stale, E));
  g_autoptr(GpuCard) card = look(stand);
  const GpuPart *part = part_find(card, &handle);
  assert_non_null(part);
  assert_string_equal(part->type, running->type);
  order.address = running->backend == GPU_MIG ? handle.address : order.address;
  assert_ok(gpu_release(&stand->host, &order, E));
}

/* By another controller, on what is free in both pictures: what has no mark is there as ordered, and not ours. */
static void other_controllers_parts_stay(void **state)
{
  Stand *stand = *state;
  char room[GPU_ADDRESS_BYTES];
  GpuHandle handle, ours;
  GpuOrder order = order_for(stand, 0, room);
  HypervisorOptions options = { .uri = running->uri, .host = "h1", .controller = other_controller,
                                .allow_plain_tcp = running->allow_plain_tcp };
  Hypervisor *theirs;
  assert_ok(hypervisor_open(&options, &theirs, E));
  GpuHost them = { theirs, stand->exec, "h1", other_controller };
  assert_ok(gpu_make(&them, &order, &handle, E));
  g_autoptr(GpuCard) card = look(stand);
  const GpuPart *part = part_find(card, &handle);
  assert_non_null(part);
  assert_false(part->marked);
  if (running->backend == GPU_MDEV) {
    assert_refused(hypervisor_mdev_destroy(stand->hypervisor, handle.uuid, E), REASON_GPU_NOT_OURS);
    assert_ok(gpu_release(&stand->host, &order, E)); /* ours is gone; theirs is not meant */
  } else {
    assert_refused(gpu_make(&stand->host, &order, &ours, E), REASON_GPU_NOT_OURS);
  }
  g_autoptr(GpuCard) after = look(stand);
  assert_non_null(part_find(after, &handle));
  order.address = running->backend == GPU_MIG ? handle.address : order.address;
  assert_ok(gpu_release(&them, &order, E));
  hypervisor_close(theirs);
}

/* What gives parts of itself is one card, and none of its functions another. */
static void card_is_one_whatever_it_is_made_of(void **state)
{
  Stand *stand = *state;
  g_autoptr(GPtrArray) cards = NULL;
  int n = 0;
  assert_ok(gpu_discover(&stand->host, &cards, E));
  for (guint i = 0; i < cards->len; i++)
    n += !strncmp(((GpuCard *)cards->pdata[i])->address, running->card, strlen("0000:41:00"));
  assert_int_equal(n, 1);
}

static void missing_card_and_type_are_refused(void **state)
{
  Stand *stand = *state;
  char room[GPU_ADDRESS_BYTES];
  GpuHandle handle;
  GpuOrder order = order_for(stand, 0, room), nowhere = order, other = order;
  nowhere.card = "00ff:ff:1f.7";
  nowhere.address = NULL;
  assert_refused(gpu_make(&stand->host, &nowhere, &handle, E), REASON_GPU_GONE);
  nowhere.card = "not a card";
  assert_refused(gpu_make(&stand->host, &nowhere, &handle, E), REASON_BAD_VALUE);
  other.type = "nvidia-9999";
  assert_refused(gpu_make(&stand->host, &other, &handle, E), running->backend == GPU_WHOLE ? REASON_GPU_GONE : REASON_GPU_FULL);
  g_autoptr(GpuCard) card = look(stand);
  assert_int_equal(card->parts->len, 0);
}

/* Mediated devices alone do without them. */
static void files_out_of_reach_are_told(void **state)
{
  Stand *stand = *state;
  char room[GPU_ADDRESS_BYTES];
  GpuHandle handle;
  GpuOrder order = order_for(stand, 0, room);
  GpuHost without = stand->host;
  without.exec = NULL;
  if (running->backend != GPU_MDEV) {
    assert_refused(gpu_make(&without, &order, &handle, E), REASON_GPU_NEEDS_EXEC);
    assert_refused(gpu_release(&without, &order, E), REASON_GPU_NEEDS_EXEC);
    return;
  }
  assert_ok(gpu_make(&without, &order, &handle, E));
  g_autoptr(GpuCard) card = look(stand);
  assert_non_null(part_find(card, &handle));
  assert_ok(gpu_release(&without, &order, E));
}

int gpu_contract_run(const GpuContract *contract)
{
#define T(f) cmocka_unit_test_setup_teardown(f, stand_up, stand_down)
  const struct CMUnitTest tests[] = {
    T(card_tells_what_it_is_and_gives), T(made_part_is_in_the_inventory_until_released),
    T(card_gives_until_it_is_full_and_again_what_comes_back), T(release_of_what_is_not_the_claims_frees_nothing),
    T(other_controllers_parts_stay), T(card_is_one_whatever_it_is_made_of), T(missing_card_and_type_are_refused), T(files_out_of_reach_are_told),
  };
  running = contract;
  return cmocka_run_group_tests_name(contract->title, tests, NULL, NULL);
}

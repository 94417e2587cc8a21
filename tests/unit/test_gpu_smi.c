/* nvidia-smi alone knows which cards are in MIG mode, and it may fail or leave a card out: that card is not judged, and every other goes on. */
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gpu_place.h"

#define T4 "0000:21:00.0"
#define A40 "0000:41:00.0"
#define L40S "0000:42:00.0"
#define OLDER "0000:43:00.0"
#define FLEX "0000:51:00.0"
#define W6800 "0000:65:00.0"
#define A100 "0000:81:00.0"
#define BESIDE "0000:82:00.0"

/* A part of each back end. type, address: of a claim on it; needs: what its parts are is nvidia-smi's to tell. */
static const struct {
  const char *model, *card, *type, *address;
  GpuBackend backend;
  bool needs;
} cards[] = {
  { "t4", T4, "nvidia-233", NULL, GPU_MDEV, false },
  { "a40mdev", OLDER, "nvidia-558", NULL, GPU_MDEV, false },
  { "a40", A40, "nvidia-558", "0000:41:00.4", GPU_VENDOR_VF, false },
  { "l40s", L40S, "nvidia-1155", "0000:42:00.4", GPU_VENDOR_VF, false },
  { "flex170", FLEX, "vf", "0000:51:00.4", GPU_SRIOV, false },
  { "w6800", W6800, "whole", W6800, GPU_WHOLE, false },
  { "a100", A100, "1g.5gb", NULL, GPU_MIG, true },
  { "a100", BESIDE, "1g.5gb", NULL, GPU_MIG, true },
};

static int place_up(void **state)
{
  GpuPlaceCard all[G_N_ELEMENTS(cards) + 1] = { 0 };
  for (size_t i = 0; i < G_N_ELEMENTS(cards); i++)
    all[i] = (GpuPlaceCard){ cards[i].card, cards[i].model };
  *state = gpu_place_new(all);
  return 0;
}

static int place_down(void **state)
{
  gpu_place_free(*state);
  return 0;
}

static GpuOrder order_of(size_t i, char *address)
{
  const char *function = *address ? address : cards[i].address;
  return (GpuOrder){ .card = cards[i].card, .backend = cards[i].backend, .type = cards[i].type, .claim = cards[i].card, .generation = 1, .again = true,
                     .start = cards[i].backend == GPU_MIG ? 4 : -1, .address = cards[i].backend == GPU_MDEV ? NULL : function };
}

/* Each look tells of every card; wrong: addresses of those that are not judged. words: nvidia-smi's, that they bear. */
static void looked_at(const GpuPlace *p, const char *wrong, const char *words)
{
  g_autoptr(GPtrArray) found = NULL;
  assert_true(gpu_discover(&p->host, &found, NULL));
  assert_int_equal(found->len, G_N_ELEMENTS(cards));
  for (guint i = 0; i < found->len; i++) {
    const GpuCard *all = found->pdata[i];
    g_autoptr(GpuCard) one = NULL;
    bool out = strstr(wrong, all->address);
    assert_true(gpu_look(&p->host, all->address, &one, NULL));
    if (!all->unread != !out || g_strcmp0(all->unread, one->unread))
      fail_msg("%s: %s, alone %s", all->address, all->unread, one->unread);
    if (out && (!strstr(all->unread, words) || !strstr(all->unread, all->address)))
      fail_msg("%s: %s", all->address, all->unread);
    assert_null(all->broken);
    assert_int_equal(all->parts->len, 1);
    if (!out && all->types->len == 0)
      fail_msg("%s has no types", all->address);
  }
}

/* One NVIDIA card that fell off the bus stopped every card of its host: whole cards and functions of other vendors, mediated devices. */
static void only_cards_that_it_must_tell_of_are_not_judged(void **state)
{
  static const struct { const char *silent, *wrong, *words; } rows[] = {
    { "", "", "" },
    { "failed status 9: NVIDIA-SMI has failed", A40 " " L40S " " A100 " " BESIDE, "status 9: NVIDIA-SMI has failed" },
    { A100, A100, "does not tell of card" },
    { A40, A40, "does not tell of card" },
    { T4, "", "" },
  };
  GpuPlace *p = *state;
  char addresses[G_N_ELEMENTS(cards)][GPU_ADDRESS_BYTES] = { { 0 } };
  for (size_t i = 0; i < G_N_ELEMENTS(cards); i++) {
    GpuOrder order = order_of(i, addresses[i]);
    GpuHandle handle;
    assert_true(gpu_make(&p->host, &order, &handle, NULL));
    g_strlcpy(addresses[i], handle.address, GPU_ADDRESS_BYTES);
  }
  for (size_t k = 0; k < G_N_ELEMENTS(rows); k++) {
    gpu_place_put(p, "smi-silent", rows[k].silent);
    looked_at(p, rows[k].wrong, rows[k].words);
    for (size_t i = 0; i < G_N_ELEMENTS(cards); i++) {
      GpuOrder order = order_of(i, addresses[i]);
      GpuHandle handle;
      g_autoptr(GpuCard) card = NULL;
      g_autoptr(GError) looked = NULL, made = NULL;
      bool out = cards[i].needs && strstr(rows[k].wrong, cards[i].card);
      if (gpu_look_part(&p->host, &order, &card, &looked) == out || gpu_make(&p->host, &order, &handle, &made) == out)
        fail_msg("%s on %s: %s, %s", rows[k].silent, cards[i].card, looked ? looked->message : "looked", made ? made->message : "made");
      assert_true(!out || (error_is(looked, REASON_GPU_FACTS) && strstr(looked->message, rows[k].words) && error_is(made, REASON_GPU_FACTS)));
      assert_true(out || (card->backend == cards[i].backend && card->parts->len == 1));
    }
  }
  for (size_t i = 0; i < G_N_ELEMENTS(cards); i++) {
    GpuOrder order = order_of(i, addresses[i]);
    g_autoptr(GError) released = NULL;
    gpu_place_put(p, "smi-silent", "failed status 9: NVIDIA-SMI has failed");
    assert_int_equal(gpu_release(&p->host, &order, &released), !cards[i].needs);
    assert_true(!cards[i].needs || error_is(released, REASON_GPU_FACTS));
    gpu_place_put(p, "smi-silent", "");
    assert_true(gpu_release(&p->host, &order, NULL));
  }
}

/* It complains where its list of GPU instances would be: what is on the card is not known, which is not the same as nothing, nor as a card that is broken. */
static void gpu_instances_that_are_not_told_are_not_none(void **state)
{
  enum { MIG = 6 };
  GpuPlace *p = *state;
  GpuHandle handle;
  char address[GPU_ADDRESS_BYTES] = "";
  GpuOrder order = order_of(MIG, address);
  g_autoptr(GError) released = NULL, looked = NULL;
  g_autoptr(GpuCard) card = NULL, left = NULL, part = NULL;
  assert_true(gpu_make(&p->host, &order, &handle, NULL));
  order.address = handle.address;
  gpu_place_put(p, "smi-fails", "Insufficient Permissions");
  assert_true(!gpu_release(&p->host, &order, &released) && error_is(released, REASON_GPU_REFUSED));
  assert_non_null(strstr(released->message, "Insufficient Permissions"));
  assert_true(gpu_look(&p->host, A100, &card, NULL));
  assert_true(!card->broken && strstr(card->unread, "Insufficient Permissions"));
  assert_true(!gpu_look_part(&p->host, &order, &part, &looked) && error_is(looked, REASON_GPU_FACTS));
  gpu_place_put(p, "smi-fails", "");
  assert_true(gpu_release(&p->host, &order, NULL));
  assert_true(gpu_look(&p->host, A100, &left, NULL));
  assert_true(!left->unread && !left->parts->len);
}

/* The command itself, run by this machine's shell with such a program before it in PATH; "" = there is none. */
static void it_is_heard_by_what_it_says_and_how_it_ends(void **state)
{
#define LINE(address) "echo '0000" address ", [N/A], 1'; "
  static const struct { const char *program, *wrong, *words; } rows[] = {
    { "", "", "" },
    { LINE(A40) LINE(L40S) LINE(T4) LINE(OLDER) LINE(BESIDE) "echo '0000" A100 ", Enabled, 4'", "", "" },
    { "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", T4 OLDER A40 L40S A100 BESIDE, "status 18: Failed to initialize NVML" },
    { "echo 'Unable to determine the device handle' >&2; exit 15", T4 OLDER A40 L40S A100 BESIDE, "status 15: Unable to determine" },
    { "case \"$*\" in *-i*" T4 "*|*-i*" A40 "*) echo 'Unable to determine the device handle for GPU'; exit 15 ;; "
      "*-i\\ *) echo 'WARNING: infoROM is corrupted'; echo \"0000$2, Disabled, 1\" ;; *) echo 'Unable to determine the device handle'; exit 15 ;; esac", T4 A40, "status 15: Unable to determine" },
    { "exit 0", T4 OLDER A40 L40S A100 BESIDE, "does not tell" },
    { LINE(A40) LINE(L40S) LINE(T4) LINE(OLDER) LINE(BESIDE) "echo '0000" A100 ", [GPU requires reset], 4'", A100, "[GPU requires reset]" },
  };
  GpuPlace *p = *state;
  g_autofree char *bin = g_build_filename(p->dir, "bin", NULL), *program = g_build_filename(bin, "nvidia-smi", NULL);
  g_autofree char *before = g_strdup(g_getenv("PATH")), *path = g_strconcat(bin, ":", before, NULL);
  const ExecOptions options = { .host = "h1", .root = p->dir };
  GpuHost host = p->host;
  assert_true(exec_open(&options, &host.exec, NULL));
  g_mkdir_with_parents(bin, 0700);
  g_setenv("PATH", path, TRUE);
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GpuView) view = NULL;
    g_autofree char *script = g_strdup_printf("#!/bin/sh\n%s\n", rows[i].program);
    g_unlink(program);
    if (*rows[i].program)
      assert_true(g_file_set_contents_full(program, script, -1, G_FILE_SET_CONTENTS_NONE, 0700, NULL));
    assert_true(gpu_view_read(&host, &view, NULL));
    for (size_t k = 0; k < G_N_ELEMENTS(cards); k++) {
      g_autofree char *untold = gpu_view_untold(view, cards[k].card);
      if (!untold != !strstr(rows[i].wrong, cards[k].card) || (untold && !strstr(untold, rows[i].words)))
        fail_msg("row %d, %s: %s", (int)i, cards[k].card, untold);
    }
    assert_int_equal(gpu_view_find(view, A100)->mig, i == 1);
  }
  g_setenv("PATH", before, TRUE);
  exec_close(host.exec);
}

int main(void)
{
#define P(f) cmocka_unit_test_setup_teardown(f, place_up, place_down)
  const struct CMUnitTest tests[] = {
    P(only_cards_that_it_must_tell_of_are_not_judged), P(gpu_instances_that_are_not_told_are_not_none), P(it_is_heard_by_what_it_says_and_how_it_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Why a card gives nothing, in Korean: each reason as the brain really makes it, every number of the English text in the Korean one, and no English
 * word left but names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/brain_parts.h"
#include "tests/unit/brain_world.h"

/* Two kinds of parts on four units; used: so many of them are somebody else's, of that type and from these starts. */
static GpuCard *card_new(GpuBackend backend, const char *type, int used, const int *starts)
{
  GpuCard *card = gpu_card_new("0000:65:00.0", backend);
  card->model = g_strdup("L40S");
  for (int size = 1; size <= 2; size++) {
    g_autofree char *id = g_strdup_printf("m-%d", size);
    GpuType *t = gpu_card_add_type(card, id);
    t->max = 4 / size;
    t->size = starts ? size : 0;
    t->free = used ? (starts && size == 1 ? 4 - used : 0) : t->max;
  }
  for (int i = 0; i < used; i++) {
    GpuPart *part = gpu_card_add_part(card, type);
    g_snprintf(part->uuid, sizeof part->uuid, "00000000-0000-4000-8000-00000000000%d", i);
    part->start = starts ? starts[i] : -1;
  }
  return card;
}

static GpuCard *card_full(void) { return card_new(GPU_MDEV, "m-2", 2, NULL); }
static GpuCard *card_whole(void) { return card_new(GPU_MDEV, "m-2", 0, NULL); }
static GpuCard *card_without_screen(void) { return card_new(GPU_VENDOR_VF, "m-2", 0, NULL); }

static GpuCard *card_apart(void)
{
  GpuCard *card = card_new(GPU_MIG, "m-1", 2, (const int[]){ 0, 2 });
  gpu_card_add_function(card, "0000:65:00.6");
  ((GpuType *)card->types->pdata[1])->places = 1 << 0 | 1 << 2; /* where its card said once that an m-2 may begin */
  return card;
}

static GpuCard *card_without_functions(void)
{
  return card_new(GPU_MIG, "m-1", 0, (const int[]){ 0 });
}

static GpuCard *card_of_two_screens(void)
{
  GpuCard *card = card_whole();
  for (guint i = 0; i < card->types->len; i++)
    ((GpuType *)card->types->pdata[i])->heads = 2;
  return card;
}

static GpuCard *card_of_one_type(void)
{
  GpuCard *card = card_new(GPU_MDEV, "m-1", 1, NULL);
  card->same_type_only = true;
  return card;
}

static GpuCard *card_broken(void)
{
  GpuCard *card = card_whole();
  card->broken = g_strdup("its driver does not answer");
  return card;
}

static GpuCard *card_of_console(void)
{
  GpuCard *card = card_new(GPU_MDEV, "m-2", 0, NULL);
  card->console = true;
  return card;
}

static const struct {
  const char *why;
  GpuCard *(*card)(void);  /* NULL = the host has none */
  ApiVerb then;            /* done to the card; N_API_VERBS = nothing */
  const char *display, *korean;
} rows[] = {
  { "all of it is taken", card_full, N_API_VERBS, "off", "점유" },
  { "what is left is not side by side", card_apart, N_API_VERBS, "off", "위치" },
  { "in use as another type", card_of_one_type, N_API_VERBS, "off", "같은 유형" },
  { "broken", card_broken, N_API_VERBS, "off", "고장" },
  { "taken out by an operator", card_whole, API_GPU_QUARANTINE, "off", "격리" },
  { "the host's own screen", card_of_console, N_API_VERBS, "off", "호스트 자신의 화면에 쓰임" },
  { "it shows nothing", card_without_screen, N_API_VERBS, "on", "display=off인 클래스를 쓰고" },
  { "no function is idle", card_without_functions, N_API_VERBS, "off", "쉬는 것이 없습니다. 호스트에서 더 켜십시오: /usr/lib/nvidia/sriov-manage -e 0000:65:00.0" },
  { "too few screens", card_of_two_screens, N_API_VERBS, "off','heads':3,'title':'x", "화면 3개를 원하지만 받아들이는 유형의 화면은 2개까지" },
  { "there is none", NULL, N_API_VERBS, "off", "카드" },
};

static void no_english(const char *korean, const char *why)
{
  static const char *const names[] = { "gpu", "small", "large", "vGPU", "GPU", "MiB", "vCPU", "NUMA", "Sarang", "L40S", "display", "off", "sarang", "screen", "server", "guest", "usr", "lib", "nvidia", "sriov-manage", "sriov", "numvfs", NULL };
  for (const char *at = korean; *at;) {
    size_t n = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    g_autofree char *word = g_strndup(at, n);
    if (n >= 3 && g_ascii_isalpha(*at) && !g_strv_contains(names, word) && !strpbrk(word, "0123456789"))
      fail_msg("%s: \"%s\" is English in: %s", why, word, korean);
    at += MAX(n, 1);
  }
}

static void every_number(const char *english, const char *korean)
{
  for (const char *at = english; *at;) {
    size_t n = strspn(at, "0123456789");
    g_autofree char *number = g_strndup(at, n);
    if (n && !strstr(korean, number))
      fail_msg("%s is not in: %s\nof: %s", number, korean, english);
    at += MAX(n, 1);
  }
}

static void said_in_korean(const GError *err, const char *why, const char *word)
{
  g_autofree char *english = error_text(err, LANG_EN), *korean = error_text(err, LANG_KO);
  no_english(korean, why);
  every_number(english, korean);
  if (!strstr(korean, word))
    fail_msg("%s: no %s in: %s\nof: %s", why, word, korean, english);
}

static void every_reason_of_a_card_is_said_in_korean(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = world_new();
    g_autofree char *class = g_strdup_printf("{'name':'small','accepts':['m-2'],'display':'%s'}", rows[i].display);
    world_furnish(w, 0, 0, 0);
    if (rows[i].card)
      world_look(w, rows[i].card());
    g_autoptr(GPtrArray) cards = brain_names(w->brain, NOUN_GPU);
    assert_int_equal(cards->len, rows[i].card ? 1 : 0);
    if (rows[i].then != N_API_VERBS)
      assert_null(world_ask(w, rows[i].then, NULL, cards->pdata[0], NULL)->error);
    assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, class)->error);
    assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'large','accepts':['m-1']}")->error);
    world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'gpu','template':'linux','image':'linux','gpu_class':'small','min':1,'max':1}");
    const Pool *pool = WORLD_GET(w, Pool, POOL, "gpu");
    assert_non_null(pool->error);
    g_autoptr(GError) err = brain_error_of(pool->error);
    assert_int_equal(error_reason(err), REASON_NO_PLACE);
    said_in_korean(err, rows[i].why, rows[i].korean);
    world_free(w);
  }
}

/* The two languages of a reason say the same arguments, and who gets a fix gets it in both. */
static void reasons_say_the_same_in_both_languages(void **state)
{
  static const struct { const char *wire, *english, *korean, *fix_en, *fix_ko; } all[] = {
#define X(name, wire, class, en, ko, fix_en, fix_ko) { wire, en, ko, fix_en, fix_ko },
#include "core/reasons.def"
#undef X
  };
  int cards = 0;
  for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
    bool card = strstr(all[i].wire, "gpu") || g_str_has_prefix(all[i].wire, "place-card");
    cards += card;
    for (const char *at = card ? strchr(all[i].english, '{') : NULL; at; at = strchr(at + 1, '{')) {
      g_autofree char *argument = g_strndup(at, strcspn(at, "}") + 1);
      if (!strstr(all[i].korean, argument))
        fail_msg("%s: %s is not in the Korean text", all[i].wire, argument);
    }
    if (card && !*all[i].fix_en != !*all[i].fix_ko)
      fail_msg("%s: its fix is in one language alone", all[i].wire);
  }
  assert_true(cards > 15);
}

static void a_desktop_whose_card_went_is_told_in_korean(void **state)
{
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_NO_GPU, "class", "small", "host", "h1", "cards", "its card is gone, and there was no other", NULL);
  said_in_korean(err, "its card is gone", "카드가 없어졌");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_reason_of_a_card_is_said_in_korean),
    cmocka_unit_test(reasons_say_the_same_in_both_languages),
    cmocka_unit_test(a_desktop_whose_card_went_is_told_in_korean),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

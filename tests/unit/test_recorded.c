/* Recorded demand on a fleet that the API told of: what can be reckoned by hand, what is refused with line and column, what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/lifecycle.h"
#include "core/recorded.h"
#include "core/state.h"
#include "tests/unit/brain_world.h"

#define HEAD "asked,pool,user,granted,ended,vcpus,memory_mib,count\n"

static void load(Recorded *r, World *w, Noun noun)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, noun);
  json_auto_t *list = json_array();
  for (guint i = 0; i < names->len; i++) {
    g_autoptr(GString) text = g_string_new(NULL);
    object_append_json(&schemas[noun], brain_find(w->brain, noun, names->pdata[i]), text);
    json_t *json = json_loads(text->str, 0, NULL);
    assert_non_null(json);
    json_array_append_new(list, json);
  }
  recorded_load(r, noun, list);
}

/* A host of eight vCPUs; a pool of desktops of four, at most so many. */
static Recorded *eight_vcpus(World **ret_world, int most)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'vcpus':8,'memory_mib':16384}");
  g_autofree char *pool =
    g_strdup_printf("{'name':'p','template':'linux','image':'linux','vcpus':4,'memory_mib':4096,'min':0,'max':%d}", most);
  assert_int_equal(world_ask(w, API_POOL_CREATE, NULL, NULL, pool)->status, 201);
  Recorded *r = recorded_new();
  static const Noun nouns[] = { NOUN_HOST, NOUN_STORAGE, NOUN_IMAGE, NOUN_TEMPLATE, NOUN_POOL, NOUN_DESKTOP };
  for (size_t i = 0; i < G_N_ELEMENTS(nouns); i++)
    load(r, w, nouns[i]);
  *ret_world = w;
  return r;
}

typedef struct {
  const char *why, *lines, *add_hosts, *without_host;
  int most, patience_s, placed, denied, full, p95_s;
  double used_pct;
} Row;

static const Row rows[] = {
  { "two fit", "0,p,a,0,100,,,\n50,p,b,50,150,,,\n", NULL, NULL, 9, 0, 2, 0, 0, 0, 50 },
  { "the third waits for the first", "0,p,a,0,100,,,\n10,p,b,10,300,,,\n40,p,c,40,50,,,\n", NULL, NULL, 9, 60, 3, 0, 0, 60, 87.5 },
  { "or gives up", "0,p,a,0,100,,,\n10,p,b,10,300,,,\n40,p,c,40,50,,,\n", NULL, NULL, 9, 59, 2, 1, 0, 0, 87.5 },
  { "one more host", "0,p,a,0,100,,,\n10,p,b,10,300,,,\n40,p,c,40,50,,,\n", "h2,h1\n", NULL, 9, 0, 3, 0, 0, 0, 43.75 },
  { "none at all", "0,p,a,0,100,,,\n10,p,b,,,,,\n", NULL, "h1", 9, 0, 0, 2, 0, 0, 0 },
  { "a pool that is full is no lack of hosts", "0,p,a,0,100,,,\n10,p,b,10,100,,,\n", NULL, NULL, 1, 0, 1, 1, 1, 0, 50 },
  { "sizes of then", "0,p,a,0,100,8,,\n10,p,b,10,100,2,,\n", NULL, NULL, 9, 0, 1, 1, 0, 0, 100 },
  { "so many at once", "0,p,,0,100,,,2\n0,p,,0,100,1,,3\n10,p,,,,,,1\n", NULL, NULL, 9, 0, 2, 4, 0, 0, 100 },
};

static void waits_denials_and_use_are_those_one_can_reckon(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w;
    g_autoptr(Recorded) r = eight_vcpus(&w, rows[i].most);
    g_autofree char *text = g_strconcat(HEAD, rows[i].lines, NULL);
    g_autoptr(GError) err = NULL;
    ReplayResult result;
    g_autoptr(GArray) uses = NULL;
    int left_out;
    RecordedPlan plan = { .patience_us = rows[i].patience_s * G_USEC_PER_SEC, .add_hosts = rows[i].add_hosts, .without_host = rows[i].without_host };
    if (!recorded_add_csv(r, text, &err) || !recorded_play(r, &plan, &result, &uses, &left_out, &err))
      fail_msg("%s: %s", rows[i].why, err->message);
    if (result.placed != rows[i].placed || result.denied != rows[i].denied || result.denied_full != rows[i].full ||
        result.wait_p95_us != rows[i].p95_s * G_USEC_PER_SEC || result.used_pct < rows[i].used_pct - 0.01 || result.used_pct > rows[i].used_pct + 0.01)
      fail_msg("%s: %d placed, %d denied, %d by pool, p95 %d s, %.2f %%", rows[i].why, (int)result.placed, (int)result.denied, (int)result.denied_full,
               (int)(result.wait_p95_us / G_USEC_PER_SEC), result.used_pct);
    assert_int_equal(left_out, 0);
    assert_int_equal(uses->len, rows[i].without_host ? 0 : rows[i].add_hosts ? 2 : 1);
    world_free(w);
  }
}

/* ── with cards ───────────────────────────────────────────────────────────── */

/* A card that takes two halves, or one whole; all its parts are of one type. */
static GpuCard *card_of_two(void)
{
  GpuCard *card = gpu_card_new("0000:65:00.0", GPU_MDEV);
  GpuType *half = gpu_card_add_type(card, "half"), *whole = gpu_card_add_type(card, "full");
  card->same_type_only = true;
  half->max = half->free = 2;
  whole->max = whole->free = 1;
  return card;
}

/* A host of 64 vCPUs with that card; pools of desktops with a half, and with all of it. */
static Recorded *one_card(World **ret_world)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_look(w, card_of_two());
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'halves','accepts':['half'],'display':'off'}")->error);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'wholes','accepts':['full'],'display':'off'}")->error);
  assert_int_equal(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','gpu_class':'halves','max':9}")->status, 201);
  assert_int_equal(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'q','template':'linux','image':'linux','gpu_class':'wholes','max':9}")->status, 201);
  Recorded *r = recorded_new();
  static const Noun nouns[] = { NOUN_HOST, NOUN_GPU, NOUN_GPU_CLASS, NOUN_STORAGE, NOUN_IMAGE, NOUN_TEMPLATE, NOUN_POOL, NOUN_DESKTOP, NOUN_VGPU };
  for (size_t i = 0; i < G_N_ELEMENTS(nouns); i++)
    load(r, w, nouns[i]);
  *ret_world = w;
  return r;
}

typedef struct {
  const char *why, *lines, *add_hosts, *without_host;
  int patience_s, cards, placed, denied, p50_s, p95_s;
  double used_pct;
} CardRow;

static const CardRow card_rows[] = {
  { "two halves share the card", "0,p,0,100\n0,p,0,100\n100,p,100,110\n", NULL, NULL, 0, 1, 3, 0, 0, 0, 100 },
  { "the third waits for one of them", "0,p,0,100\n0,p,0,200\n40,p,40,140\n", NULL, NULL, 60, 1, 3, 0, 0, 60, 100 },
  { "or is denied", "0,p,0,100\n0,p,0,200\n40,p,40,140\n", NULL, NULL, 59, 1, 2, 1, 0, 0, 100 },
  { "a whole waits for both halves", "0,p,0,100\n0,p,0,80\n20,q,20,140\n", NULL, NULL, 100, 1, 3, 0, 0, 80, 100 },
  { "one more such host", "0,p,0,100\n0,p,0,80\n20,q,20,140\n", "h2,h1\n", NULL, 0, 2, 3, 0, 0, 0, 50 },
  { "a host of its cards without one", "0,p,0,100\n0,p,0,80\n20,q,20,140\n", "name,like,cards\nh2,h1,0\n", NULL, 0, 1, 2, 1, 0, 0, 100 },
  { "three cards in the place of one", "0,q,0,100\n0,q,0,80\n20,q,20,140\n", "h2,h1,3\n", "h1", 0, 3, 3, 0, 0, 0, 200.0 / 3 },
};

static double card_use(const GArray *uses, int i)
{
  for (guint k = 0; k < uses->len; k++) {
    const ReplayUse *u = &g_array_index(uses, ReplayUse, k);
    if (u->card >= 0 && !i--)
      return u->card_pct;
  }
  return -1;
}

static void demand_of_gpu_classes_is_placed_on_cards(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(card_rows); i++) {
    const CardRow *row = &card_rows[i];
    World *w;
    g_autoptr(Recorded) r = one_card(&w);
    g_autofree char *text = g_strconcat("asked,pool,granted,ended\n", row->lines, NULL);
    g_autoptr(GError) err = NULL;
    ReplayResult result;
    g_autoptr(GArray) uses = NULL;
    int left_out;
    RecordedPlan plan = { .patience_us = row->patience_s * G_USEC_PER_SEC, .add_hosts = row->add_hosts, .without_host = row->without_host };
    if (!recorded_add_csv(r, text, &err) || !recorded_play(r, &plan, &result, &uses, &left_out, &err))
      fail_msg("%s: %s", row->why, err->message);
    bool same = result.cards == row->cards && result.placed == row->placed && result.denied == row->denied && left_out == 0 &&
                result.wait_p50_us == row->p50_s * G_USEC_PER_SEC && result.wait_p95_us == row->p95_s * G_USEC_PER_SEC;
    if (!same || result.used_pct < row->used_pct - 0.01 || result.used_pct > row->used_pct + 0.01 || card_use(uses, 0) < 0)
      fail_msg("%s: %d cards, %d placed, %d denied, waits %d and %d s, %.2f %%", row->why, (int)result.cards, (int)result.placed, (int)result.denied,
               (int)(result.wait_p50_us / G_USEC_PER_SEC), (int)(result.wait_p95_us / G_USEC_PER_SEC), result.used_pct);
    world_free(w);
  }
}

static void use_is_told_card_by_card(void **state)
{
  World *w;
  g_autoptr(Recorded) r = one_card(&w);
  ReplayResult result;
  g_autoptr(GArray) uses = NULL;
  int left_out;
  RecordedPlan plan = { .patience_us = 1, .add_hosts = "h2,h1,2\n", .without_host = "h1" };
  assert_true(recorded_add_csv(r, "asked,pool,granted,ended\n0,q,0,100\n0,p,0,50\n100,p,100,101\n", NULL));
  assert_true(recorded_play(r, &plan, &result, &uses, &left_out, NULL));
  double first = card_use(uses, 0), second = card_use(uses, 1);
  assert_true(MAX(first, second) > 99.9 && MAX(first, second) < 100.1); /* the whole one all the time, a half of the other one half of it */
  assert_true(MIN(first, second) > 24.9 && MIN(first, second) < 25.1);
  const char *const titles[] = { "then" };
  g_autofree char *svg = replay_svg(&result, titles, 1, uses, LANG_EN);
  assert_non_null(strstr(svg, "graphics cards in use"));
  assert_non_null(strstr(svg, "h2 · 1"));
  world_free(w);
}

static void wrong_numbers_of_cards_are_refused(void **state)
{
  static const char *const lists[] = { "h2,h1,17\n", "h2,h1,-1\n", "h2,h1,x\n", "h2,h1,1,1\n", "h2\n", "h2,h1,\nh3,plain,1\n" };
  World *w;
  g_autoptr(Recorded) r = one_card(&w);
  world_host_add(w, "plain", "");
  load(r, w, NOUN_HOST);
  assert_true(recorded_add_csv(r, "asked,pool\n0,p\n", NULL));
  for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
    ReplayResult result;
    int left_out;
    g_autoptr(GError) err = NULL;
    RecordedPlan plan = { .patience_us = 1, .add_hosts = lists[i] };
    if (recorded_play(r, &plan, &result, NULL, &left_out, &err) || !error_is(err, REASON_BAD_VALUE))
      fail_msg("%s: %s", lists[i], err ? err->message : "taken");
  }
  world_free(w);
}

static void what_spreadsheets_write_is_read(void **state)
{
  static const char *const lists[] = {
    "\xef\xbb\xbf\"asked\",\"pool\",\"count\"\r\n\"2026-01-05\",\"p\",\"2\"\r\n", "asked;pool;count\r\n2026-01-05;p;2\r\n",
    "\xef\xbb\xbf" "asked\tpool\n2026-01-05\tp\n2026-01-05\tp", "title,asked,pool\n\"a, \"\"b\"\"\nc\",2026-01-05,p\n,\"2026-01-05\", p \n",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
    World *w;
    g_autoptr(Recorded) r = eight_vcpus(&w, 9);
    g_autoptr(GError) err = NULL;
    ReplayResult result;
    int left_out;
    RecordedPlan plan = { .patience_us = 1 };
    if (!recorded_add_csv(r, lists[i], &err) || !recorded_play(r, &plan, &result, NULL, &left_out, &err))
      fail_msg("list %d: %s", (int)i, err->message);
    assert_int_equal(result.placed, 2);
    world_free(w);
  }
}

static void nothing_to_play_is_said_in_numbers(void **state)
{
  World *w;
  g_autoptr(Recorded) r = eight_vcpus(&w, 9);
  ReplayResult result;
  int left_out;
  RecordedPlan plan = { .patience_us = 1 };
  g_autoptr(GError) none = NULL, late = NULL;
  assert_false(recorded_play(r, &plan, &result, NULL, &left_out, &none));
  assert_true(error_is(none, REASON_NO_DEMAND));
  assert_string_equal(error_arg(none, "rows"), "0");
  assert_true(recorded_add_csv(r, HEAD "0,p,a,0,100,,,\n", NULL));
  plan.from_us = 50 * G_USEC_PER_SEC;
  assert_false(recorded_play(r, &plan, &result, NULL, &left_out, &late));
  assert_true(error_is(late, REASON_NO_DEMAND));
  assert_string_equal(error_arg(late, "outside"), "1");
  world_free(w);
}

static void lists_that_are_wrong_say_where(void **state)
{
  static const struct { const char *text, *field; } bad[] = {
    { HEAD "0,p,a,0,100,,,\nsoon,p,,,,,,\n", "line 3, column asked" }, { HEAD ",p,a,0,100,,,\n", "line 2, column asked" },
    { HEAD "0,none,a,0,100,,,\n", "line 2, column pool" }, { HEAD "0,,a,0,100,,,\n", "line 2, column pool" },
    { HEAD "0,p,a,0,100,513,,\n", "line 2, column vcpus" }, { HEAD "0,p,a,0,100,-1,,\n", "line 2, column vcpus" },
    { HEAD "0,p,a,0,100,,,100001\n", "line 2, column count" }, { HEAD "\n\n0,p,a,9,8,,,\n", "line 4, column ended" },
    { HEAD "0,p,a,0,99999999999999999999,,,\n", "line 2, column ended" }, { "asked,user\n0,a\n", "line 1, column pool" },
    { "asked,pool,gpu_class\n0,p,none\n", "line 2, column gpu_class" }, { "\xff\xfe\x01", "line 1, column asked" }, { HEAD "0,\"p,a,0,100,,,\n", "line 2" },
    { "asked;pool\n\n0;\"p\"q\n", "line 3" }, { "", "the list" },
    { "asked,pool,Asked\n0,p,0\n", "line 1, column asked" }, { "asked,pool,licences\n0,p,cad=x\n", "line 2, column licences" },
    { "asked,pool,by\n0,p,soon\n", "line 2, column by" },
  };
  World *w;
  g_autoptr(Recorded) r = eight_vcpus(&w, 9);
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    g_autoptr(GError) err = NULL;
    assert_false(recorded_add_csv(r, bad[i].text, &err));
    if (!error_is(err, REASON_BAD_VALUE) || strcmp(error_arg(err, "field"), bad[i].field) != 0)
      fail_msg("row %d: %s", (int)i, err->message);
    assert_true(*error_arg(err, "limit"));
  }
  world_free(w);
}

static void rows_of_the_api_are_played_and_sessions_go_on(void **state)
{
  World *w;
  g_autoptr(Recorded) r = eight_vcpus(&w, 9);
  json_auto_t *demands = json_loads("[{\"asked\":\"2026-01-01T08:00:00Z\",\"granted\":\"2026-01-01T08:01:00Z\",\"ended\":\"2026-01-01T09:01:00Z\","
                                    "\"pool\":\"p\",\"vcpus\":4,\"memory_mib\":4096,\"session\":\"s-1\"},"
                                    "{\"asked\":\"2026-01-01T08:30:00Z\",\"ended\":\"2026-01-01T08:40:00Z\",\"pool\":\"p\",\"vcpus\":8,\"memory_mib\":1024},"
                                    "{\"asked\":\"2026-01-01T08:30:00Z\",\"pool\":\"p\",\"session\":\"s-9\"},"
                                    "{\"asked\":\"2026-01-01T08:30:00Z\",\"ended\":\"2026-01-01T08:40:00Z\",\"pool\":\"gone\",\"vcpus\":1}]", 0, NULL);
  json_auto_t *sessions = json_loads("[{\"created\":\"2026-01-02T08:00:00Z\",\"pool\":\"p\",\"user\":\"a\"}]", 0, NULL);
  assert_true(recorded_add_rows(r, demands, NULL) && recorded_add_sessions(r, sessions, w->now_us, NULL));
  ReplayResult result;
  int left_out;
  RecordedPlan plan = { .patience_us = 600 * G_USEC_PER_SEC };
  assert_true(recorded_play(r, &plan, &result, NULL, &left_out, NULL));
  assert_int_equal(result.arrived, 3);
  assert_int_equal(result.denied, 1);
  assert_int_equal(left_out, 1);
  assert_true(recorded_time("2026-01-02", &plan.from_us));
  assert_true(recorded_play(r, &plan, &result, NULL, &left_out, NULL));
  assert_int_equal(result.arrived, 1);
  world_free(w);
}

static void plots_hold_no_markup_of_names(void **state)
{
  World *w;
  g_autoptr(Recorded) r = eight_vcpus(&w, 9);
  ReplayResult result;
  g_autoptr(GArray) uses = NULL;
  int left_out;
  RecordedPlan plan = { .patience_us = 1 };
  assert_true(recorded_add_csv(r, HEAD "0,p,a,0,100,,,\n50,p,b,50,150,,,\n", NULL) && recorded_play(r, &plan, &result, &uses, &left_out, NULL));
  const char *const titles[] = { "<script>&" };
  g_autofree char *svg = replay_svg(&result, titles, 1, uses, LANG_KO), *table = replay_table(&result, titles, 1, LANG_EN);
  assert_null(strstr(svg, "<script"));
  assert_non_null(strstr(svg, "h1"));
  assert_non_null(strstr(table, "50.0 %"));
  world_free(w);
}

/* ── licences and patience ────────────────────────────────────────────────── */

typedef struct {
  const char *why, *lines, *licences;
  int patience_s, placed, denied, seats, most_s;   /* patience_s -1: as recorded */
} SeatRow;

#define SEATS_HEAD "asked,pool,granted,ended,by,outcome,licences,tries,last\n"

static const SeatRow seat_rows[] = {
  { "without a place one is refused at once", "0,p,0,100\n0,p,0,100\n10,p,10,50\n", NULL, -1, 2, 1, 0, 0 },
  { "with a deadline one waits so long", "0,p,0,100\n0,p,0,100\n10,p,10,50,100\n10,p,10,50,99\n", NULL, -1, 3, 1, 0, 90 },
  { "who asks again is as patient as that", "0,p,0,100\n0,p,0,100\n10,p,110,150,,,,3,40\n20,p,,,,denied,,2,60\n", NULL, -1, 3, 1, 0, 90 },
  { "for a seat one waits for ever", "0,c,0,1000,,,cad=1\n5,c,5,10,,,cad=1\n", NULL, -1, 2, 0, 0, 995 },
  { "or as long as one did", "0,c,0,1000,,,cad=1\n5,c,,900,,given-up,cad=1\n5,c,,1000,,given-up,cad=1\n", NULL, -1, 2, 1, 1, 995 },
  { "or until the deadline", "0,c,0,1000,,,cad=1\n5,c,,,900,,cad=1\n", NULL, -1, 1, 1, 1, 0 },
  { "more seats are bought", "0,c,0,1000,,,cad=1\n5,c,,,900,,cad=1\n", "cad=2", -1, 2, 0, 0, 0 },
  { "all are given back", "0,c,0,1000,,,cad=1\n", "cad=0", -1, 0, 1, 1, 0 },
  { "what a list does not say is as the pool has it", "asked", NULL, 9, 1, 1, 1, 0 },
  { "one that none is counted of is no hindrance", "0,c,0,1000,,,old=1\n5,c,5,10,,,old=1\n", NULL, -1, 2, 0, 0, 0 },
  { "who wants fewer overtakes", "0,c,0,100,,,cad=1\n5,c,5,10,,,cad=2\n6,p,6,16\n", "cad=2", -1, 3, 0, 0, 95 },
};

static void who_waits_for_what_is_as_the_controller_has_it(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(seat_rows); i++) {
    const SeatRow *row = &seat_rows[i];
    World *w;
    g_autoptr(Recorded) r = eight_vcpus(&w, 9);
    assert_int_equal(world_ask(w, API_LICENCE_ADD, NULL, NULL, "{'name':'cad','total':1}")->status, 201);
    assert_int_equal(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'c','template':'linux','image':'linux','vcpus':1,'memory_mib':64,'max':9,'licences':['cad']}")
                     ->status, 201);
    load(r, w, NOUN_LICENCE);
    load(r, w, NOUN_POOL);
    g_autofree char *text = strcmp(row->lines, "asked") ? g_strconcat(SEATS_HEAD, row->lines, NULL) : g_strdup("asked,pool,granted,ended\n0,c,0,100\n5,c,5,9\n");
    g_autoptr(GError) err = NULL;
    ReplayResult result;
    int left_out;
    RecordedPlan plan = { .patience_us = row->patience_s < 0 ? RECORDED_PATIENCE : row->patience_s * G_USEC_PER_SEC, .licences = row->licences };
    if (!recorded_add_csv(r, text, &err) || !recorded_play(r, &plan, &result, NULL, &left_out, &err))
      fail_msg("%s: %s", row->why, err->message);
    if (result.placed != row->placed || result.denied != row->denied || result.denied_seats != row->seats ||
        result.wait_most_us != row->most_s * G_USEC_PER_SEC)
      fail_msg("%s: %d placed, %d denied, %d for seats, at most %d s", row->why, (int)result.placed, (int)result.denied, (int)result.denied_seats,
               (int)(result.wait_most_us / G_USEC_PER_SEC));
    world_free(w);
  }
}

/* ── what really happened ─────────────────────────────────────────────────── */

enum { STEP_S = 30, STEPS = 120, DAYS = 6 };

/* Pools p (at most three) and r share a host with room for four of their desktops; those of c have all the room they want and three seats. */
static World *a_day(void)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'vcpus':16,'memory_mib':16384}");
  world_host_add(w, "h2", ",'vcpus':1000,'memory_mib':16384");
  assert_null(world_ask(w, API_LICENCE_ADD, NULL, NULL, "{'name':'cad','total':3}")->error);
  static const char *const pools[] = { "'p','hosts':['h1'],'vcpus':4,'memory_mib':4096,'max':3", "'r','hosts':['h1'],'vcpus':4,'memory_mib':4096,'max':9",
                                       "'c','hosts':['h2'],'vcpus':1,'memory_mib':64,'max':99,'licences':['cad']" };
  for (size_t i = 0; i < G_N_ELEMENTS(pools); i++) {
    g_autofree char *body = g_strdup_printf("{'name':%s,'template':'linux','image':'linux','surplus_s':1,'offer_s':31536000}", pools[i]);
    const Answer *a = world_ask(w, API_POOL_CREATE, NULL, NULL, body);
    if (a->error)
      fail_msg("%s", a->error->message);
  }
  return w;
}

static void some_end(World *w, GRand *rand)
{
  g_autoptr(GPtrArray) names = names_copy(brain_names(w->brain, NOUN_SESSION)); /* which go with them */
  for (guint i = 0; i < names->len; i++) {
    const Session *s = WORLD_GET(w, Session, SESSION, names->pdata[i]);
    bool waits = session_state_is_waiting(s->state);
    w->now_us += 1000; /* who goes first is told by the time alone */
    if (s->state != SESSION_ENDED && !g_rand_int_range(rand, 0, waits ? 40 : 12))
      world_ask(w, API_SESSION_END, NULL, names->pdata[i], NULL);
  }
}

static bool sessions_open(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_SESSION);
  for (guint i = 0; i < names->len; i++)
    if (!session_state_is_final(WORLD_GET(w, Session, SESSION, names->pdata[i])->state))
      return true;
  return false;
}

static void somebody_asks(World *w, GRand *rand, int n)
{
  static const char *const pools[] = { "p", "r", "c", "c" }, *const bys[] = { "", "", ",'by':'3m'", ",'by':'10m'" };
  g_autofree char *user = g_strdup_printf("{'name':'u%d'}", n);
  g_autofree char *body = g_strdup_printf("{'pool':'%s','user':'u%d'%s}", pools[g_rand_int_range(rand, 0, 4)], n, bys[g_rand_int_range(rand, 0, 4)]);
  world_ask(w, API_USER_ADD, NULL, NULL, user);
  world_ask(w, API_SESSION_REQUEST, NULL, NULL, body);
}

static int compare_waits(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* What became of all who asked that day, as its rows have it. */
static void rows_sum(const GPtrArray *asked, ReplayResult *ret)
{
  g_autoptr(GArray) waits = g_array_new(FALSE, FALSE, sizeof(int64_t));
  *ret = (ReplayResult){ .arrived = asked->len };
  for (guint i = 0; i < asked->len; i++) {
    const DemandRow *d = asked->pdata[i];
    int64_t waited = d->granted - d->asked;
    ret->denied += !d->granted;
    if (d->granted)
      g_array_append_val(waits, waited);
  }
  g_array_sort(waits, compare_waits);
  ret->placed = waits->len;
  ret->wait_p50_us = g_array_index(waits, int64_t, waits->len / 2);
  ret->wait_p95_us = g_array_index(waits, int64_t, waits->len * 95 / 100);
  ret->wait_most_us = g_array_index(waits, int64_t, waits->len - 1);
}

static Recorded *recorded_of(World *w)
{
  static const Noun nouns[] = { NOUN_HOST, NOUN_STORAGE, NOUN_IMAGE, NOUN_TEMPLATE, NOUN_LICENCE, NOUN_POOL };
  Recorded *r = recorded_new();
  json_auto_t *list = json_array();
  for (size_t i = 0; i < G_N_ELEMENTS(nouns); i++)
    load(r, w, nouns[i]);
  for (guint i = 0; i < w->demands->len; i++) {
    g_autoptr(GString) text = g_string_new(NULL);
    object_append_json(&schemas[NOUN_DEMAND], w->demands->pdata[i], text);
    json_array_append_new(list, json_loads(text->str, 0, NULL));
  }
  assert_true(recorded_add_rows(r, list, NULL));
  return r;
}

static bool near(int64_t a_us, int64_t b_us)
{
  return ABS(a_us - b_us) <= STEP_S * G_USEC_PER_SEC;
}

/* The controller's own day with hosts that do as they are told, and the same day played from what it recorded. */
static void a_day_is_played_as_it_was(void **state)
{
  int denied = 0, waited = 0;
  for (guint32 seed = 1; seed <= DAYS; seed++) {
    World *w = a_day();
    GRand *rand = g_rand_new_with_seed(seed);
    for (int step = 0; step < STEPS; step++) {
      some_end(w, rand);
      for (int s = 0; s < STEP_S / 2; s++)
        world_pass(w, 1); /* what was theirs goes, one a second and pool */
      if (g_rand_int_range(rand, 0, 3))
        somebody_asks(w, rand, step);
      world_pass(w, STEP_S / 2);
    }
    while (sessions_open(w)) {
      some_end(w, rand);
      world_pass(w, STEP_S);
    }
    world_pass(w, 1000); /* who was refused does not come again */
    g_autoptr(Recorded) r = recorded_of(w);
    ReplayResult real, played;
    int left_out;
    RecordedPlan plan = { .patience_us = RECORDED_PATIENCE };
    rows_sum(w->demands, &real);
    assert_true(recorded_play(r, &plan, &played, NULL, &left_out, NULL));
    if (played.arrived != real.arrived || played.denied != real.denied || !near(played.wait_p50_us, real.wait_p50_us) ||
        !near(played.wait_p95_us, real.wait_p95_us) || !near(played.wait_most_us, real.wait_most_us))
      fail_msg("day %u: of %d %d were denied, waits %d, %d and %d s; played: of %d %d, waits %d, %d and %d s", seed, (int)real.arrived, (int)real.denied,
               (int)(real.wait_p50_us / 1000000), (int)(real.wait_p95_us / 1000000), (int)(real.wait_most_us / 1000000), (int)played.arrived,
               (int)played.denied, (int)(played.wait_p50_us / 1000000), (int)(played.wait_p95_us / 1000000), (int)(played.wait_most_us / 1000000));
    denied += (int)real.denied;
    waited += real.wait_most_us > 3 * STEP_S * G_USEC_PER_SEC;
    g_rand_free(rand);
    world_free(w);
  }
  assert_true(denied > 10 * DAYS && waited == DAYS); /* these days had something to play */
}

static void names_of_hosts_and_cards_are_drawn_as_text(void **state)
{
  ReplayResult result = { .hosts = 1, .span_us = REPLAY_POINTS };
  ReplayUse rows_of_uses[] = { { (char *)"a\x1b[2J<b>&", NULL, -1, 1, 1, 1 }, { (char *)"h", (char *)"A\x01\xff\"'<x>", 0, 0, 0, 1 } };
  const char *const titles[] = { "t" };
  g_autoptr(GArray) uses = g_array_new(FALSE, FALSE, sizeof(ReplayUse));
  g_array_append_vals(uses, rows_of_uses, 2);
  g_autofree char *svg = replay_svg(&result, titles, 1, uses, LANG_EN);
  for (const char *at = svg; *at; at++)
    assert_true((unsigned char)*at >= ' ' || *at == '\n');
  assert_true(g_utf8_validate(svg, -1, NULL));
  assert_null(strstr(svg, "<b>"));
  assert_null(strstr(svg, "<x>"));
  assert_null(strstr(svg, "&#x1"));
  assert_non_null(strstr(svg, "&lt;b&gt;&amp;"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(waits_denials_and_use_are_those_one_can_reckon),
    cmocka_unit_test(demand_of_gpu_classes_is_placed_on_cards),
    cmocka_unit_test(use_is_told_card_by_card),
    cmocka_unit_test(wrong_numbers_of_cards_are_refused),
    cmocka_unit_test(what_spreadsheets_write_is_read),
    cmocka_unit_test(nothing_to_play_is_said_in_numbers),
    cmocka_unit_test(lists_that_are_wrong_say_where),
    cmocka_unit_test(rows_of_the_api_are_played_and_sessions_go_on),
    cmocka_unit_test(plots_hold_no_markup_of_names),
    cmocka_unit_test(who_waits_for_what_is_as_the_controller_has_it),
    cmocka_unit_test(a_day_is_played_as_it_was),
    cmocka_unit_test(names_of_hosts_and_cards_are_drawn_as_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

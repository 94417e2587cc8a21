/* Where a pool's desktops go, as its fields say: the whole brain over hosts of rows. The fleet that is kept is compared with one made anew after
 * each row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/ledger.h"
#include "tests/unit/brain_world.h"

/* Alike but for what is said here. */
static World *three_hosts(void)
{
  return world_of_three(",'labels':['ssd','rack-1'],'cpu_overcommit_pct':200", ",'labels':['rack-1'],'cpu_overcommit_pct':200",
                        ",'labels':['rack-2'],'cpu_overcommit_pct':200");
}

static const struct {
  const char *why, *fields;
  int wanted;
  int a, b, c;      /* desktops there; -1 = any */
  const char *told; /* in the pool's error */
} rows[] = {
  { "spread is what a pool without GPUs does", "", 3, 1, 1, 1, NULL },
  { "spread", "'policy':'spread'", 6, 2, 2, 2, NULL },
  { "a label that must be there", "'labels':['ssd']", 2, 2, 0, 0, NULL },
  { "both labels", "'labels':['ssd','rack-2']", 1, 0, 0, 0, "lacks the label" },
  { "a label that should be there", "'policy':'pack','prefers':['rack-2']", 1, 0, 0, 1, NULL },
  { "only these hosts", "'hosts':['b','c'],'policy':'spread'", 2, 0, 1, 1, NULL },
  { "one of the group a host", "'group':'lic','group_rule':'apart','policy':'pack'", 3, 1, 1, 1, NULL },
  { "no fourth host for the group", "'group':'lic','group_rule':'apart'", 4, 1, 1, 1, "of the group \\\"lic\\\" already" },
  { "full: 8 vCPUs a host", "'vcpus':8", 4, 1, 1, 1, "has 0 of 8 vCPUs free, 8 wanted" },
  { "more memory than any has", "'memory_mib':20000", 1, 0, 0, 0, "MiB free, 20000 wanted" },
};

static void a_pool_s_fields_say_where_its_desktops_go(void **state)
{
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = three_hosts();
    bool sized = strstr(rows[i].fields, "vcpus") || strstr(rows[i].fields, "memory_mib");
    g_autofree char *body = g_strdup_printf("{'name':'p','template':'linux','image':'linux'%s%s%s,'min':%d,'max':%d}",
                                            sized ? "" : ",'vcpus':1,'memory_mib':1024", *rows[i].fields ? "," : "", rows[i].fields,
                                            rows[i].wanted, rows[i].wanted);
    assert_int_equal(world_ask(w, API_POOL_CREATE, NULL, NULL, body)->status, 201);
    int a = world_on_host(w, "a"), b = world_on_host(w, "b"), c = world_on_host(w, "c");
    if (a != rows[i].a || b != rows[i].b || c != rows[i].c)
      fail_msg("%s: %d, %d and %d", rows[i].why, a, b, c);
    const char *error = WORLD_GET(w, Pool, POOL, "p")->error;
    if (rows[i].told ? !error || !strstr(error, rows[i].told) : error != NULL)
      fail_msg("%s: %s", rows[i].why, error);
    world_same_fleet(w);
    world_free(w);
  }
}

static void packed_desktops_share_a_host(void **state)
{
  World *w = three_hosts();
  world_ask(w, API_POOL_CREATE, NULL, NULL,
            "{'name':'p','template':'linux','image':'linux','vcpus':1,'memory_mib':1024,'policy':'pack','min':5,'max':5}");
  int most = MAX(MAX(world_on_host(w, "a"), world_on_host(w, "b")), world_on_host(w, "c"));
  assert_int_equal(most, 5);
  world_same_fleet(w);
  world_free(w);
}

static void a_weight_that_is_none_is_refused(void **state)
{
  World *w = three_hosts();
  const Answer *a = world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','weights':['keep-cpu=3'],'max':1}");
  assert_non_null(a->error);
  assert_true(error_is(a->error, REASON_BAD_VALUE));
  a = world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','weights':['keep-gpu=0','image=50'],'max':1}");
  assert_int_equal(a->status, 201);
  world_free(w);
}

static void what_a_host_keeps_for_itself_is_not_handed_out(void **state)
{
  World *w = three_hosts();
  world_ask(w, API_HOST_CHANGE, NULL, "b", "{'cpu_reserve':8}");
  world_ask(w, API_HOST_CHANGE, NULL, "c", "{'memory_reserve_mib':16000}");
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','vcpus':1,'memory_mib':1024,'min':4,'max':4}");
  assert_int_equal(world_on_host(w, "a"), 4);
  world_ask(w, API_HOST_CHANGE, NULL, "b", "{'cpu_reserve':0}");
  world_same_fleet(w);
  world_free(w);
}

static void hosts_come_and_go_and_the_fleet_with_them(void **state)
{
  World *w = three_hosts();
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','vcpus':1,'memory_mib':1024,'min':6,'max':9}");
  world_same_fleet(w);
  world_host_add(w, "d", "");
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'min':9}");
  assert_true(world_on_host(w, "d") > 0);
  world_same_fleet(w);
  world_ask(w, API_HOST_REMOVE, NULL, "h1", NULL);
  world_ask(w, API_HOST_DRAIN, NULL, "a", NULL);
  world_pass(w, 60);
  world_same_fleet(w);
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'group':'lic','group_rule':'together'}");
  world_same_fleet(w);
  world_free(w);
}

/* ── what if ──────────────────────────────────────────────────────────────── */

static json_t *plan(World *w, const char *body)
{
  const Answer *a = world_ask(w, API_POOL_PLAN, NULL, "p", body);
  assert_null(a->error);
  return json_loads(a->json, 0, NULL);
}

static int number(json_t *object, const char *name) { return (int)json_integer_value(json_object_get(object, name)); }

static void a_plan_tells_the_same_as_doing_it_and_does_nothing(void **state)
{
  World *w = three_hosts();
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','vcpus':4,'memory_mib':1024,'min':0,'max':99}");
  g_autofree char *before = ledger_text(w->brain, false);
  int batches = w->batches;
  json_auto_t *all = plan(w, "{'count':8}"), *fewer = plan(w, "{'count':8,'without_host':'b'}"), *more = plan(w, "{'count':8,'add_hosts':'d,a'}");
  assert_int_equal(number(all, "placed"), 6);
  assert_int_equal(number(fewer, "placed"), 4);
  assert_int_equal(number(more, "placed"), 8);
  assert_null(json_object_get(more, "hosts_stopped"));
  json_t *first = json_array_get(json_object_get(all, "hosts_stopped"), 0);
  assert_string_equal(json_string_value(json_object_get(first, "rule")), "vcpus");
  assert_int_equal(number(first, "n"), 3);
  const char *text = json_string_value(json_object_get(json_object_get(first, "reason"), "text"));
  assert_non_null(strstr(text, "has 0 of 8 vCPUs free, 4 wanted"));
  g_autofree char *after = ledger_text(w->brain, false);
  assert_string_equal(before, after);
  assert_int_equal(w->batches, batches);
  world_ask(w, API_POOL_CHANGE, NULL, "p", "{'min':8}");
  assert_int_equal(world_on_host(w, "a") + world_on_host(w, "b") + world_on_host(w, "c"), 6);
  world_free(w);
}

static void a_plan_of_what_is_not_there_is_refused(void **state)
{
  static const struct { const char *body; Reason reason; } bad[] = {
    { "{'count':0}", REASON_BAD_VALUE }, { "{'count':10001}", REASON_BAD_VALUE }, { "{'without_host':'x'}", REASON_NOT_FOUND },
    { "{'add_hosts':'d,x'}", REASON_NOT_FOUND }, { "{'add_hosts':'d'}", REASON_BAD_VALUE }, { "{'add_hosts':'b,a'}", REASON_EXISTS }, { "{'add_hosts':'D\\u001b[2J,a'}", REASON_BAD_NAME },
    { "{'profile':'nvidia-558'}", REASON_BAD_VALUE },
  };
  World *w = three_hosts();
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','min':0,'max':9}");
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
    const Answer *a = world_ask(w, API_POOL_PLAN, NULL, "p", bad[i].body);
    if (!a->error || !error_is(a->error, bad[i].reason))
      fail_msg("%s: %s", bad[i].body, a->error ? a->error->message : "taken");
  }
  world_free(w);
}

static void a_plan_knows_the_max_and_the_types_there_are(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  GpuCard *card = gpu_card_new("0000:65:00.0", GPU_MDEV);
  GpuType *half = gpu_card_add_type(card, "half");
  half->max = half->free = 2;
  world_look(w, card);
  world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'halves','accepts':['half'],'display':'off'}");
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','gpu_class':'halves','min':0,'max':1}");
  json_auto_t *fits = plan(w, "{'count':1,'profile':'half'}"), *more = plan(w, "{'count':2}");
  assert_int_equal(number(fits, "placed"), 1);
  assert_null(json_object_get(fits, "beyond_max"));
  assert_int_equal(number(more, "placed"), 2);
  const char *text = json_string_value(json_object_get(json_object_get(more, "beyond_max"), "text"));
  assert_true(g_str_has_prefix(text, "pool \"p\" takes 1 of them: it has 0 of at most 1 desktops; sarang pool change p --max 2 lets it have"));
  const Answer *a = world_ask(w, API_POOL_PLAN, NULL, "p", "{'profile':'nosuch'}");
  assert_true(a->error && error_is(a->error, REASON_BAD_VALUE));
  assert_string_equal(error_arg(a->error, "field"), "profile");
  assert_string_equal(error_arg(a->error, "value"), "nosuch");
  world_free(w);
}

static void a_denied_request_is_kept_with_what_it_asked_for(void **state)
{
  World *w = three_hosts();
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','vcpus':9,'memory_mib':1024,'min':0,'max':9}");
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'p'}");
  assert_true(a->error && error_is(a->error, REASON_NO_ROOM));
  const char *detail = world_event(w, "session.denied")->detail;
  assert_non_null(strstr(detail, "\"vcpus\":9"));
  assert_non_null(strstr(detail, "\"memory_mib\":1024"));
  world_free(w);
}

/* With 200 hosts: those who may list them read a few, a person reads how many there are and whom to ask. */
static void a_refusal_is_short_and_names_hosts_to_staff_alone(void **state)
{
  World *w = three_hosts();
  for (int i = 0; i < 196; i++) {
    g_autofree char *name = g_strdup_printf("secret-%d", i), *label = g_strdup_printf(",'labels':['%s','only-%d']", i % 7 ? "x" : "ssd", i);
    world_host_add(w, name, label);
  }
  world_ask(w, API_POOL_CREATE, NULL, NULL,
            "{'name':'p','template':'linux','image':'linux','labels':['ssd'],'vcpus':9,'memory_mib':20000,'min':0,'max':9}");
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'p'}");
  assert_true(a->error && error_is(a->error, REASON_NO_ROOM));
  assert_string_equal(error_arg(a->error, "counts"), "not for this pool 170, memory 28, maintenance 1, processors 1");
  g_autofree char *person = error_text(a->error, LANG_EN), *fix = error_fix(a->error, LANG_EN);
  assert_null(strstr(person, "secret"));
  assert_null(error_arg(a->error, "hosts"));
  assert_non_null(strstr(fix, "operator"));
  a = world_ask(w, API_SESSION_REQUEST, NULL, NULL, "{'pool':'p','user':'jihye'}");
  assert_true(a->error && error_is(a->error, REASON_NO_PLACE));
  g_autofree char *staff = error_text(a->error, LANG_EN), *korean = error_text(a->error, LANG_KO);
  assert_non_null(strstr(staff, "hosts, at best: host "));
  assert_true(strlen(staff) < 1024 && strlen(korean) < 2048);
  assert_true(strlen(world_event(w, "session.denied")->detail) < 2048);
  world_free(w);
}

static void a_session_that_waits_is_told_what_it_waits_for(void **state)
{
  World *w = three_hosts();
  w->hold = true;
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','vcpus':8,'memory_mib':1024,'min':3,'max':9}");
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'p'}");
  assert_int_equal(a->status, 201);
  g_autofree char *session = g_strdup(a->object->name);
  a = world_ask(w, API_SESSION_EXPLAIN, NULL, session, NULL);
  assert_null(a->error);
  json_auto_t *told = json_loads(a->json, 0, NULL);
  assert_int_equal(number(told, "coming"), 3);
  assert_int_equal(number(told, "placed"), 0);
  assert_int_equal(number(told, "hosts_in_all"), 4);
  world_free(w);
}

/* A card for four parts, so many of them somebody else's. */
static GpuCard *card_with_foreign(int n)
{
  GpuCard *card = gpu_card_new("0000:65:00.0", GPU_MDEV);
  GpuType *type = gpu_card_add_type(card, "m-1");
  type->max = 4;
  type->free = 4 - n;
  for (int i = 0; i < n; i++)
    g_snprintf(gpu_card_add_part(card, "m-1")->uuid, GPU_UUID_TEXT_BYTES, "00000000-0000-4000-8000-00000000000%d", i);
  return card;
}

/* Two are claimed, and before they are made others took three of the card's four: the second one has what the first leaves, and that is all there
 * is when the first one goes. */
static void who_was_first_on_a_crowded_card_was_forgotten(void **state)
{
  for (int goes = 0; goes < 2; goes++) {
    World *w = world_new();
    world_furnish(w, 0, 0, 0);
    world_look(w, card_with_foreign(0));
    assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['m-1']}")->error);
    w->hold = true;
    assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'p','template':'linux','image':'linux','gpu_class':'small','min':2,'max':2}")->error);
    world_same_fleet(w);
    world_look(w, card_with_foreign(3));
    world_same_fleet(w);
    w->hold = false;
    world_release(w);
    world_settle(w);
    g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
    assert_int_equal(names->len, 2);
    assert_null(world_ask(w, API_DESKTOP_RETIRE, NULL, names->pdata[goes], NULL)->error);
    world_same_fleet(w);
    assert_int_equal(world_on_host(w, "h1"), 1);
    world_free(w);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_pool_s_fields_say_where_its_desktops_go),
    cmocka_unit_test(packed_desktops_share_a_host),
    cmocka_unit_test(a_weight_that_is_none_is_refused),
    cmocka_unit_test(what_a_host_keeps_for_itself_is_not_handed_out),
    cmocka_unit_test(hosts_come_and_go_and_the_fleet_with_them),
    cmocka_unit_test(a_plan_tells_the_same_as_doing_it_and_does_nothing),
    cmocka_unit_test(a_plan_of_what_is_not_there_is_refused),
    cmocka_unit_test(a_plan_knows_the_max_and_the_types_there_are),
    cmocka_unit_test(a_denied_request_is_kept_with_what_it_asked_for),
    cmocka_unit_test(a_refusal_is_short_and_names_hosts_to_staff_alone),
    cmocka_unit_test(who_was_first_on_a_crowded_card_was_forgotten),
    cmocka_unit_test(a_session_that_waits_is_told_what_it_waits_for),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

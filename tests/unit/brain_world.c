#include "tests/unit/brain_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/cells.h"
#include "core/ledger.h"

static void random_bytes(void *data, uint8_t *bytes, size_t n)
{
  World *w = data;
  for (size_t i = 0; i < n; i++)
    bytes[i] = (uint8_t)((w->random = w->random * 1103515245u + 12345u) >> 16); /* of C's own example: long enough for every ticket */
}

static void demand_drop(void *demand)
{
  object_unref(&schemas[NOUN_DEMAND], demand);
}

static void event_drop(void *event)
{
  object_unref(&schemas[NOUN_EVENT], event);
}

static World *world_make(int64_t events_s, Rate people, Rate staff)
{
  World *w = g_new0(World, 1);
  w->now_us = INT64_C(1700000000000000);
  w->held = g_ptr_array_new();
  w->demands = g_ptr_array_new_with_free_func(demand_drop);
  w->events = g_ptr_array_new_with_free_func(event_drop);
  static char *inside[] = { (char *)"/srv", NULL }, *apart[] = { (char *)"/srv/own", (char *)"/var/lib/sarang", NULL };
  static const StorageGround ground = { inside, apart };
  w->options = (BrainOptions){ .random = random_bytes, .random_data = w, .imports = WORLD_IMPORTS, .ground = &ground,
                               .keep_us = { [NOUN_EVENT] = events_s * G_USEC_PER_SEC }, .rate = people, .staff_rate = staff };
  w->notices = g_ptr_array_new_with_free_func((GDestroyNotify)g_error_free);
  w->prunes = g_array_new(FALSE, FALSE, sizeof(Prune));
  w->brain = brain_new(&w->options);
  brain_start(w->brain, w->now_us);
  world_settle(w);
  return w;
}

World *world_new(void) { return world_new_keeping(0); }
World *world_new_keeping(int64_t events_s) { return world_make(events_s, (Rate){ 0 }, (Rate){ 0 }); }
World *world_new_paced(Rate people, Rate staff) { return world_make(0, people, staff); }

void world_free(World *w)
{
  for (guint i = 0; i < w->held->len; i++)
    step_order_free(w->held->pdata[i]);
  g_ptr_array_unref(w->held);
  g_ptr_array_unref(w->events);
  g_ptr_array_unref(w->demands);
  g_ptr_array_unref(w->notices);
  g_array_unref(w->prunes);
  answer_free(w->last);
  brain_free(w->brain);
  g_free(w);
}

/* A host does to every part what is asked of it. */
static void parts_done(StepResult *result, const StepOrder *order)
{
  bool tells = order->kind == STEP_GPU_MAKE || order->kind == STEP_GPU_RELEASE || order->kind == STEP_GPU_UNPLUG ||
               order->kind == STEP_GPU_REAP;
  for (guint i = 0; tells && order->vgpus && i < order->vgpus->len; i++) {
    const Vgpu *claim = order->vgpus->pdata[i];
    VgpuDone *done = step_result_add_vgpu(result, claim);
    done->start = (int)claim->start;
    done->fresh = order->kind == STEP_GPU_MAKE && claim->state != VGPU_ATTACHED;
  }
}

static StepResult *result_of(World *w, const StepOrder *order)
{
  StepResult *result = step_result_new(order);
  result->error = w->answer ? w->answer(w, order) : NULL;
  if (result->error)
    return result;
  parts_done(result, order);
  if (order->kind == STEP_START || order->kind == STEP_READY)
    result->power = POWER_ON;
  if (order->kind == STEP_POWER && (order->verb == VERB_DESTROY || order->verb == VERB_SHUTDOWN))
    result->power = POWER_OFF;
  if (order->kind == STEP_POWER && (order->verb == VERB_START || order->verb == VERB_RESTORE))
    result->power = POWER_ON;
  if (order->kind == STEP_CLONE || order->kind == STEP_PROVE) {
    result->clone = order->desktop->clone;
    result->evidence = g_strdup("{\"seen\":true}");
  }
  if (order->kind == STEP_CONSOLE || order->kind == STEP_GUEST_CONSOLE) {
    result->address = g_strdup("127.0.0.1");
    result->port = 5901;
    result->password = g_strdup("secret");
  }
  if (order->kind == STEP_IMPORT) {
    result->sha256 = g_strdup("00");
    result->size_bytes = result->virtual_bytes = 1 << 20;
  }
  if (w->fill)
    w->fill(w, order, result);
  return result;
}

static void events_keep(World *w, const Batch *batch)
{
  for (guint i = 0; batch && i < batch->changes->len; i++) {
    const Change *c = &g_array_index(batch->changes, Change, i);
    if (c->noun != NOUN_EVENT && !(c->noun == NOUN_DEMAND && c->how == CHANGE_ARCHIVE))
      continue;
    object_ref(&schemas[c->noun], c->object);
    g_ptr_array_add(c->noun == NOUN_EVENT ? w->events : w->demands, c->object);
  }
}

const Event *world_event(World *w, const char *kind)
{
  for (guint i = w->events->len; i--;) {
    const Event *event = w->events->pdata[i];
    if (!g_strcmp0(event->kind, kind))
      return event;
  }
  return NULL;
}

static bool settle_once(World *w)
{
  Output out;
  brain_take_output(w->brain, &out);
  events_keep(w, out.batch);
  if (out.batch)
    g_array_append_vals(w->prunes, out.batch->prunes->data, out.batch->prunes->len);
  for (guint i = 0; out.notices && i < out.notices->len; i++)
    g_ptr_array_add(w->notices, g_error_copy(out.notices->pdata[i]));
  w->batches += out.batch != NULL;
  bool some = out.batch || out.replies->len || out.orders->len;
  for (guint i = 0; i < out.replies->len; i++) {
    Reply *reply = &g_array_index(out.replies, Reply, i);
    answer_free(w->last);
    w->last = g_steal_pointer(&reply->answer);
    w->answers++;
  }
  int64_t out_wake_us = out.wake_us;
  g_autoptr(GPtrArray) orders = out.orders;
  out.orders = NULL;
  output_clear(&out);
  for (guint i = 0; i < orders->len; i++) {
    StepOrder *order = orders->pdata[i];
    if (order->kind != STEP_MEASURE) {
      g_ptr_array_add(w->held, order);
      continue;
    }
    StepResult *result = step_result_new(order); /* at once: no story waits for it */
    result->total_bytes = w->total_bytes;
    result->free_bytes = w->free_bytes;
    brain_result(w->brain, result, w->now_us);
    step_order_free(order);
  }
  w->wake_us = out_wake_us;
  if (!w->hold)
    world_release(w);
  return some;
}

void world_release(World *w)
{
  g_autoptr(GPtrArray) orders = w->held;
  w->held = g_ptr_array_new();
  for (guint i = 0; i < orders->len; i++) {
    brain_result(w->brain, result_of(w, orders->pdata[i]), w->now_us);
    step_order_free(orders->pdata[i]);
  }
}

void world_settle(World *w)
{
  while (settle_once(w))
    ;
}

void world_pass(World *w, int64_t seconds)
{
  w->now_us += seconds * G_USEC_PER_SEC;
  brain_tick(w->brain, w->now_us);
  world_settle(w);
}

void world_crash(World *w)
{
  g_autoptr(Brain) dead = w->brain;
  w->brain = brain_new(&w->options);
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    g_autoptr(GPtrArray) names = brain_names(dead, noun);
    for (guint i = 0; i < names->len; i++)
      brain_load(object_dup(&schemas[noun], brain_find(dead, noun, names->pdata[i])), w->brain);
  }
  for (guint i = 0; i < w->held->len; i++)
    step_order_free(w->held->pdata[i]);
  g_ptr_array_set_size(w->held, 0);
  brain_start(w->brain, w->now_us);
  world_settle(w);
}

static void card_drop(void *card) { gpu_card_free(card); }

static void look_answered(World *w, GpuCard *const *take_cards, int n, bool without_files)
{
  bool held = w->hold;
  w->hold = true;
  world_ask(w, API_HOST_CHANGE, NULL, "h1", "{'starts':4}"); /* which has it looked at */
  StepOrder *look = NULL;
  for (guint i = 0; i < w->held->len && !look; i++)
    if (((StepOrder *)w->held->pdata[i])->kind == STEP_GPU_DISCOVER)
      look = g_ptr_array_steal_index(w->held, i);
  g_assert(look);
  StepResult *result = step_result_new(look);
  result->cards = g_ptr_array_new_with_free_func(card_drop);
  result->looked_us = ++w->now_us;
  result->without_files = without_files;
  for (int i = 0; i < n; i++)
    g_ptr_array_add(result->cards, take_cards[i]);
  brain_result(w->brain, result, w->now_us);
  step_order_free(look);
  w->hold = held;
  world_settle(w);
}

void world_look(World *w, GpuCard *take_card) { look_answered(w, &take_card, take_card != NULL, !take_card); }
void world_look_at(World *w, GpuCard *const *take_cards, int n) { look_answered(w, take_cards, n, false); }

const Answer *world_ask(World *w, ApiVerb verb, const char *user, const char *name, const char *body)
{
  Request *r = request_new(verb);
  bool gateway = verb == API_GATEWAY_REDEEM || verb == API_GATEWAY_SYNC;
  r->caller = (Caller){ .user = g_strdup(user || gateway ? user : "root"), .role = ROLE_ADMINISTRATOR, .logged_in = true, .local = !user };
  const User *known = user ? WORLD_GET(w, User, USER, user) : NULL;
  if (user)
    r->caller.role = known ? (Role)known->role : ROLE_USER;
  r->caller.token = user ? g_strdup(w->token) : NULL;
  r->caller.gateway = gateway;
  r->name = g_strdup(name);
  g_autofree char *json = g_strdelimit(g_strdup(body ? body : "{}"), "'", '"');
  r->body = json_loads(json, 0, NULL);
  g_assert(r->body);
  int before = w->answers;
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  return w->answers > before ? w->last : NULL;
}

void world_answered(const Answer *a, int status)
{
  if (a->error)
    fail_msg("%s", a->error->message);
  assert_int_equal(a->status, status);
}

const Session *world_session_is(World *w, const char *name, SessionState state)
{
  const Session *s = WORLD_GET(w, Session, SESSION, name);
  assert_non_null(s);
  assert_string_equal(session_state_name(s->state), session_state_name(state));
  return s;
}

const Session *world_session_holds(World *w, const char *name)
{
  const Session *s = WORLD_GET(w, Session, SESSION, name);
  if (!s || !session_state_is_live(s->state))
    fail_msg("%s is %s", name, s ? session_state_name(s->state) : "no more");
  return s;
}

World *world_one_seat(const char *fields)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  world_answered(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ann'}"), 201);
  world_answered(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'bea'}"), 201);
  world_answered(world_ask(w, API_LICENCE_ADD, NULL, NULL, "{'name':'cad','total':1}"), 201);
  g_autofree char *pool = g_strdup_printf("{'name':'p','template':'linux','image':'linux','vcpus':1,'memory_mib':256,'min':2,'max':2,"
                                          "'licences':['cad']%s}", fields);
  world_answered(world_ask(w, API_POOL_CREATE, NULL, NULL, pool), 201);
  return w;
}

/* What the stories take for granted must hold. */
static void must(const Answer *answer)
{
  if (!answer || answer->error)
    g_error("the world cannot be furnished: %s", answer ? answer->error->message : "no answer");
}

static char *with_text(const char *xml, const char *old, const char *new)
{
  const char *at = strstr(xml, old);
  g_assert(at);
  return g_strdup_printf("%.*s%s%s", (int)(at - xml), xml, new, at + strlen(old));
}

void world_template_add(World *w, const char *family, const char *cpu, const char *gpu)
{
  static const char CPU[] = "<cpu mode=\"host-model\"/>", GPU[] = "<sarang:gpu need=\"optional\"/>";
  g_autofree char *file = NULL;
  bool read = g_file_get_contents("templates/linux-desktop.xml", &file, NULL, NULL);
  g_assert(read);
  g_autofree char *half = with_text(file, CPU, cpu ? cpu : CPU), *xml = with_text(half, GPU, gpu ? gpu : GPU);
  Request *r = request_new(API_TEMPLATE_ADD);
  r->caller = (Caller){ .user = g_strdup("root"), .role = ROLE_ADMINISTRATOR, .logged_in = true };
  r->body = json_pack("{ss ss}", "family", family, "xml", xml);
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  must(w->last);
}

void world_furnish(World *w, int min, int spare, int max)
{
  must(world_ask(w, API_HOST_ADD, NULL, NULL, "{'name':'h1','uri':'fake:h1','vcpus':60000,'memory_mib':100000000,'starts':4}"));
  Observation *o = observation_new(SAW_HOST, "h1");
  o->hostname = g_strdup("h1");
  o->cpus = 64;
  o->memory_mib = 1 << 20;
  brain_observe(w->brain, o, w->now_us);
  must(world_ask(w, API_STORAGE_ADD, NULL, NULL, "{'name':'disk','path':'/srv/disk'}"));
  must(world_ask(w, API_IMAGE_IMPORT, NULL, NULL, "{'family':'linux','format':'qcow2','storages':['disk'],'source':'/srv/linux.qcow2'}"));
  world_template_add(w, "linux", NULL, NULL);
  must(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'jihye','title':'Kim Jihye'}"));
  must(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'minsu'}"));
  g_autofree char *pool = g_strdup_printf("{'name':'cad','template':'linux','image':'linux','offer_s':604800,'min':%d,'spare':%d,'max':%d}", min, spare, max);
  must(world_ask(w, API_POOL_CREATE, NULL, NULL, pool));
}

void world_host_is(World *w, const char *name, int n_cells, int64_t huge_mib, int64_t page_kib, const char *features)
{
  HostCells cells = { .n = n_cells };
  for (int i = 0; i < n_cells; i++) {
    bool cpus[HOST_CPUS_MAX] = { false };
    for (int cpu = 0; cpu < 4 / n_cells; cpu++)
      cpus[i * 4 / n_cells + cpu] = true;
    cells.cells[i] = (HostCell){ .id = i, .memory_mib = 16384 / n_cells, .huge_mib = huge_mib / n_cells };
    cell_set_cpus(&cells.cells[i], cpus);
  }
  Observation *o = observation_new(SAW_HOST, name);
  o->hostname = g_strdup(name);
  o->virt_type = g_strdup("kvm");
  o->cpus = 4;
  o->memory_mib = 16384;
  o->cells = host_cells_text(&cells);
  o->huge_mib = huge_mib;
  o->page_kib = page_kib;
  o->cpu_model = g_strdup(features ? "EPYC" : NULL);
  o->cpu_features = g_strdup(features);
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

void world_host_answers(World *w, const char *name, const char *virt_type)
{
  Observation *o = observation_new(SAW_HOST, name);
  o->hostname = g_strdup(name);
  o->virt_type = g_strdup(virt_type);
  o->cpus = 4;
  o->memory_mib = 16384;
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

void world_host_add(World *w, const char *name, const char *fields)
{
  g_autofree char *body = g_strdup_printf("{'name':'%s','uri':'fake:%s'%s}", name, name, fields);
  must(world_ask(w, API_HOST_ADD, NULL, NULL, body));
  world_host_answers(w, name, "kvm");
}

World *world_of_three(const char *a, const char *b, const char *c)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 0);
  must(world_ask(w, API_HOST_DRAIN, NULL, "h1", NULL));
  world_host_add(w, "a", a);
  world_host_add(w, "b", b);
  world_host_add(w, "c", c);
  return w;
}

void world_same_fleet(World *w)
{
  g_autofree char *kept = ledger_text(w->brain, false), *anew = ledger_text(w->brain, true);
  g_assert_cmpstr(kept, ==, anew);
}

int world_on_host(World *w, const char *host)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  int n = 0;
  for (guint i = 0; i < names->len; i++)
    n += !strcmp(WORLD_GET(w, Desktop, DESKTOP, names->pdata[i])->host, host);
  return n;
}

const Gpu *world_gpu_at(const World *w, const char *address)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_GPU);
  for (guint i = 0; i < names->len; i++)
    if (!strcmp(WORLD_GET(w, Gpu, GPU, names->pdata[i])->address, address))
      return WORLD_GET(w, Gpu, GPU, names->pdata[i]);
  fail_msg("no card at %s", address);
  return NULL;
}

int world_count(World *w, Noun noun, int state)
{
  const Field *f = schema_field(&schemas[noun], "state");
  g_autoptr(GPtrArray) names = brain_names(w->brain, noun);
  int n = 0;
  for (guint i = 0; i < names->len; i++)
    n += FIELD_AT(int, brain_find(w->brain, noun, names->pdata[i]), f) == state;
  return n;
}

/* What was found wrong in the brain, by the simulator and by reading, each as the smallest story of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/lifecycle.h"
#include "tests/unit/brain_world.h"

#define DESKTOPS(w, state) world_count(w, NOUN_DESKTOP, DESKTOP_##state)

static void host_seen(World *w, ObservationKind kind)
{
  Observation *o = observation_new(kind, "h1");
  if (kind == SAW_SILENT)
    error_set(&o->error, REASON_TIMEOUT, "what", "h1", "limit", "15 s", NULL);
  else
    o->hostname = g_strdup("h1");
  brain_observe(w->brain, o, w->now_us);
}

static void host_tells_uuid(World *w, const char *host, const char *uuid)
{
  Observation *o = observation_new(SAW_HOST, host);
  o->hostname = g_strdup(host);
  o->uuid = g_strdup(uuid);
  brain_observe(w->brain, o, w->now_us);
  world_settle(w);
}

/* Of two hosts with one UUID the one that was enrolled later was refused, whoever had told it first. */
static void an_older_host_could_call_itself_a_newer_one(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  host_tells_uuid(w, "h1", "11111111-1111-4111-8111-111111111111");
  w->now_us += G_USEC_PER_SEC;
  assert_int_equal(world_ask(w, API_HOST_ADD, NULL, NULL, "{'name':'h2','uri':'fake:h2'}")->status, 201);
  host_tells_uuid(w, "h2", "22222222-2222-4222-8222-222222222222");
  host_tells_uuid(w, "h1", "22222222-2222-4222-8222-222222222222");
  host_tells_uuid(w, "h2", "22222222-2222-4222-8222-222222222222");
  assert_int_equal(WORLD_GET(w, Host, HOST, "h2")->state, HOST_UP);
  assert_int_equal(WORLD_GET(w, Host, HOST, "h1")->state, HOST_UNREACHABLE);
  assert_non_null(strstr(WORLD_GET(w, Host, HOST, "h1")->error, "h2"));
  host_tells_uuid(w, "h1", "33333333-3333-4333-8333-333333333333"); /* a libvirtd without a UUID of its machine makes one at each start */
  assert_int_equal(WORLD_GET(w, Host, HOST, "h1")->state, HOST_UP);
  world_free(w);
}

static int looks;

static GError *count_looks(World *w, const StepOrder *order)
{
  looks += order->kind == STEP_GPU_DISCOVER;
  return NULL;
}

/* A look of its own comes with the poll, half a minute later at most; by then a desktop could have been made on what was gone. */
static void cards_that_changed_were_seen_with_the_next_poll(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  world_settle(w);
  w->answer = count_looks;
  looks = 0;
  host_seen(w, SAW_HOST);
  world_settle(w);
  int polled = looks;
  for (int i = 0; i < 3; i++) {
    host_seen(w, SAW_DEVICES);
    world_settle(w);
  }
  assert_int_equal(looks, polled + 3);
  host_seen(w, SAW_HOST);
  world_settle(w);
  assert_int_equal(looks, polled + 3);
  world_free(w);
}

/* A pool waited for what another pool's desktop had taken until something else befell it. */
static void room_that_another_pool_left_was_not_looked_at(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, names->pdata[0]);
  g_autofree char *one = g_strdup_printf("{'memory_mib':%" G_GINT64_FORMAT "}", d->memory_mib);
  assert_null(world_ask(w, API_HOST_CHANGE, NULL, "h1", one)->error);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'late','template':'linux','image':'linux','min':1,'max':1}")->error);
  assert_non_null(WORLD_GET(w, Pool, POOL, "late")->error);
  assert_null(world_ask(w, API_POOL_DELETE, NULL, "cad", NULL)->error);
  assert_null(WORLD_GET(w, Pool, POOL, "late")->error);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 1);
  world_free(w);
}

/* A card of a back end that takes files of its host, as a look tells it. */
static void look_answered(World *w, bool with_files)
{
  GpuCard *card = with_files ? gpu_card_new("0000:65:00.0", GPU_VENDOR_VF) : NULL;
  if (card)
    g_ptr_array_add(card->functions, g_strdup("0000:65:00.4"));
  world_look(w, card);
}

static const Gpu *only_card(World *w)
{
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_GPU);
  assert_int_equal(names->len, 1);
  return WORLD_GET(w, Gpu, GPU, names->pdata[0]);
}

static void a_card_was_gone_when_its_host_lost_its_ssh_address(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  look_answered(w, true);
  assert_int_equal(only_card(w)->state, GPU_READY);
  look_answered(w, false);
  assert_int_equal(only_card(w)->state, GPU_UNSEEN);
  assert_non_null(strstr(only_card(w)->error, "gpu-needs-exec"));
  look_answered(w, true);
  assert_int_equal(only_card(w)->state, GPU_READY);
  assert_null(only_card(w)->error);
  look_answered(w, false);
  const Answer *a = world_ask(w, API_GPU_REMOVE, NULL, only_card(w)->head.name, NULL); /* nobody has anything of it */
  assert_null(a->error);
  world_free(w);
}

/* With places for two parts of a type, a part at start if that is one. */
static GpuCard *card_with_places(const char *function, int start)
{
  GpuCard *card = gpu_card_new("0000:65:00.0", GPU_MIG);
  GpuType *type = gpu_card_add_type(card, "1g.5gb");
  type->size = type->free = 1;
  type->max = 2;
  int place = start ? 0 : 2;
  g_array_append_val(type->starts, place);
  if (start < 0) {
    gpu_card_add_function(card, function);
    gpu_card_add_function(card, "0000:65:00.7");
    return card;
  }
  GpuPart *part = gpu_card_add_part(card, "1g.5gb");
  g_strlcpy(part->address, function, sizeof part->address);
  part->start = start;
  return card;
}

/* Another was quicker: the function is the claimed one, of the claimed type, and what stands behind it is not ours. */
static void a_part_at_another_place_was_taken_for_ours(void **state)
{
  static const struct { int start, foreign; } rows[] = { { 0, 0 }, { 2, 1 } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    World *w = world_new();
    world_furnish(w, 0, 0, 1);
    world_look(w, card_with_places("0000:65:00.4", -1));
    assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['1g.5gb']}")->error);
    w->hold = true; /* the claim stands, and nothing was made */
    assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'gpu','template':'linux','image':'linux','gpu_class':'small','min':1,'max':1}")->error);
    g_autoptr(GPtrArray) claims = brain_names(w->brain, NOUN_VGPU);
    assert_int_equal(claims->len, 1);
    assert_int_equal(WORLD_GET(w, Vgpu, VGPU, claims->pdata[0])->start, 0);
    assert_string_equal(WORLD_GET(w, Vgpu, VGPU, claims->pdata[0])->address, "0000:65:00.4");
    world_look(w, card_with_places("0000:65:00.4", rows[i].start));
    assert_int_equal(only_card(w)->foreign_parts, rows[i].foreign);
    world_free(w);
  }
}

static void guest_screen_add(World *w)
{
  g_autofree char *shipped = NULL;
  assert_true(g_file_get_contents("templates/linux-desktop.xml", &shipped, NULL, NULL));
  g_autoptr(GString) xml = g_string_new(shipped);
  assert_true(g_string_replace(xml, "<sarang:guest ", "<sarang:screen server=\"guest\"/><sarang:guest ", 1));
  Request *r = request_new(API_TEMPLATE_ADD);
  r->caller = (Caller){ .user = g_strdup("root"), .role = ROLE_ADMINISTRATOR, .logged_in = true };
  r->body = json_pack("{ss ss}", "family", "own", "xml", xml->str);
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  assert_null(w->last->error);
}

/* Functions draw on no screen of the host's: a class that wants one finds them only for a template whose server in the guest shows what they draw,
 * and then no part is a screen. */
static void a_part_without_a_display_is_for_templates_with_a_screen_in_the_guest(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  guest_screen_add(w);
  assert_true(WORLD_GET(w, TemplateVersion, TEMPLATE, "own@1")->guest_screen);
  assert_false(WORLD_GET(w, TemplateVersion, TEMPLATE, "linux@1")->guest_screen);
  world_look(w, card_with_places("0000:65:00.4", -1));
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['1g.5gb'],'display':'on'}")->error);
  w->hold = true;
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'gpu','template':'linux','image':'linux','gpu_class':'small','min':1,'max':1}")->error);
  const char *why = WORLD_GET(w, Pool, POOL, "gpu")->error;
  assert_true(why && strstr(why, "class small wants a display (on)") && strstr(why, "use a class with display=off, and <sarang:screen server="));
  g_autoptr(GPtrArray) none = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(none->len, 0);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'own','template':'own','image':'linux','gpu_class':'small','min':1,'max':1}")->error);
  g_autoptr(GPtrArray) claims = brain_names(w->brain, NOUN_VGPU);
  assert_int_equal(claims->len, 1);
  assert_int_equal(WORLD_GET(w, Vgpu, VGPU, claims->pdata[0])->display, GPU_DISPLAY_OFF);
  world_free(w);
}

static void no_display_is_wanted_and_none_is_spoken_of(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  world_look(w, card_with_places("0000:65:00.4", -1));
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'small','accepts':['1g.5gb'],'display':'off'}")->error);
  assert_null(world_ask(w, API_GPU_CLASS_ADD, NULL, NULL, "{'name':'other','accepts':['x-1'],'display':'on'}")->error);
  static const char *const pools[] = { "small", "other" };
  for (size_t i = 0; i < G_N_ELEMENTS(pools); i++) {
    g_autofree char *body = g_strdup_printf("{'name':'%s','template':'linux','image':'linux','gpu_class':'%s','min':9,'max':9}", pools[i], pools[i]);
    world_ask(w, API_POOL_CREATE, NULL, NULL, body);
    assert_non_null(WORLD_GET(w, Pool, POOL, pools[i])->error);
    assert_null(strstr(WORLD_GET(w, Pool, POOL, pools[i])->error, "wants a display"));
  }
  world_free(w);
}

/* Its host has no picture of what the guest shows, and where QEMU has a screen beside it that is another one. */
static void a_screen_in_the_guest_is_no_hosts_to_photograph(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  guest_screen_add(w);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'own','template':'own','image':'linux','min':1,'max':1}")->error);
  assert_null(world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'plain','template':'linux','image':'linux','min':1,'max':1}")->error);
  g_autoptr(GPtrArray) desktops = brain_names(w->brain, NOUN_DESKTOP);
  assert_int_equal(desktops->len, 2);
  for (guint i = 0; i < desktops->len; i++) {
    bool in_guest = !strcmp(WORLD_GET(w, Desktop, DESKTOP, desktops->pdata[i])->pool, "own");
    const Answer *a = world_ask(w, API_DESKTOP_SCREENSHOT, NULL, desktops->pdata[i], NULL);
    assert_int_equal(in_guest, a->error && error_is(a->error, REASON_SCREEN_IN_GUEST));
    if (in_guest)
      assert_string_equal(error_arg(a->error, "desktop"), desktops->pdata[i]);
  }
  world_free(w);
}

static void an_administrator_elsewhere_names_no_file_for_a_hosts_cards(void **state)
{
  static const struct { const char *field, *value; } refused[] = { { "ssh_key", "/etc/ssh/ssh_host_ed25519_key" }, { "ssh_address", "local" } };
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  assert_null(world_ask(w, API_USER_ADD, NULL, NULL, "{'name':'ada','role':'administrator'}")->error);
  for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
    g_autofree char *change = g_strdup_printf("{'%s':'%s'}", refused[i].field, refused[i].value);
    g_autofree char *add = g_strdup_printf("{'name':'h2','uri':'test:///default','%s':'%s'}", refused[i].field, refused[i].value);
    const Answer *a = world_ask(w, API_HOST_ADD, "ada", NULL, add);
    assert_true(error_is(a->error, REASON_PRIVATE_FILES));
    assert_string_equal(error_arg(a->error, "field"), refused[i].field);
    assert_null(WORLD_GET(w, Host, HOST, "h2"));
    assert_true(error_is(world_ask(w, API_HOST_CHANGE, "ada", "h1", change)->error, REASON_PRIVATE_FILES));
  }
  static const char enrolled[] = "{'ssh_address':'h1.example','ssh_key':'/etc/sarang/key','ssh_host_key':'SHA256:x'}";
  assert_null(world_ask(w, API_HOST_CHANGE, NULL, "h1", enrolled)->error);
  assert_null(world_ask(w, API_HOST_CHANGE, "ada", "h1", "{'vcpus':8}")->error); /* what root named stays */
  assert_string_equal(WORLD_GET(w, Host, HOST, "h1")->ssh_key, "/etc/sarang/key");
  world_free(w);
}

static void events_stayed_in_memory_for_ever(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 2);
  g_autoptr(GPtrArray) events = brain_names(w->brain, NOUN_EVENT);
  assert_int_equal(events->len, 0);
  world_free(w);
}

static void a_desktop_being_made_could_not_be_retired(void **state)
{
  World *w = world_new();
  w->hold = true;
  world_furnish(w, 1, 0, 1);
  world_release(w); /* the import */
  world_settle(w);
  assert_int_equal(DESKTOPS(w, PROVISIONING), 1);
  g_autoptr(GPtrArray) names = brain_names(w->brain, NOUN_DESKTOP);
  g_autofree char *name = g_strdup(names->pdata[0]);
  assert_int_equal(world_ask(w, API_DESKTOP_RETIRE, NULL, name, NULL)->status, 202);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, name)->state, DESKTOP_RETIRING);
  world_free(w);
}

static void a_desktop_ready_on_a_host_gone_silent_was_offered(void **state)
{
  World *w = world_new();
  w->hold = true;
  world_furnish(w, 1, 0, 1);
  for (int step = 0; step < 5; step++) { /* the import, and all but the last step */
    world_release(w);
    world_settle(w);
  }
  assert_int_equal(DESKTOPS(w, WAIT_READY), 1);
  host_seen(w, SAW_SILENT);
  world_release(w);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 0);
  assert_int_equal(DESKTOPS(w, LOST), 1);
  world_settle(w);
  world_free(w);
}

static char *session_of(World *w, const char *user)
{
  const Answer *a = world_ask(w, API_SESSION_REQUEST, user, NULL, "{'pool':'cad'}");
  assert_non_null(a);
  assert_null(a->error);
  return g_strdup(a->object->name);
}

/* Asks, and answers the step only after the session has ended and somebody else has the desktop. */
static const Answer *answered_late(World *w, ApiVerb verb, const char *user, const char *name, const char *body, const char *session)
{
  w->hold = true;
  assert_null(world_ask(w, verb, user, name, body));
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  int before = w->answers;
  w->hold = false;
  world_release(w);
  world_settle(w);
  return w->answers > before ? w->last : NULL;
}

static void a_console_was_opened_for_a_session_that_had_ended(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 1);
  g_autofree char *session = session_of(w, "jihye");
  const Answer *a = world_ask(w, API_SESSION_TICKET, "jihye", session, "{}");
  json_auto_t *json = json_loads(a->json, 0, NULL);
  g_autofree char *body = g_strdup_printf("{'ticket':'%s','protocol':'vnc'}", json_string_value(json_object_get(json, "ticket")));
  a = answered_late(w, API_GATEWAY_REDEEM, NULL, NULL, body, session);
  assert_non_null(a);
  assert_non_null(a->error);
  assert_string_equal(reason_wire(error_reason(a->error)), "bad-ticket");
  world_free(w);
}

static void a_picture_was_of_the_next_persons_screen(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 1);
  g_autofree char *session = session_of(w, "jihye");
  g_autofree char *desktop = g_strdup(WORLD_GET(w, Session, SESSION, session)->desktop);
  const Answer *a = answered_late(w, API_DESKTOP_SCREENSHOT, "jihye", desktop, NULL, session);
  assert_non_null(a);
  assert_non_null(a->error);
  assert_string_equal(reason_wire(error_reason(a->error)), "desktop-changed-hands");
  world_free(w);
}

static GError *guest_names_somebody(World *w, const StepOrder *order)
{
  GError *err = NULL;
  if (order->kind == STEP_PROVE)
    error_set(&err, REASON_GUEST_NOT_CLEAN, NULL);
  g_assert_cmpint(order->kind, !=, STEP_DELETE_VOLUMES);
  return err;
}

static char *quarantined(World *w)
{
  g_autofree char *session = session_of(w, "jihye");
  char *desktop = g_strdup(WORLD_GET(w, Session, SESSION, session)->desktop);
  w->answer = guest_names_somebody;
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  for (int i = 0; i < 5; i++)
    world_pass(w, 61);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_QUARANTINED);
  return desktop;
}

/* Undoing the reset took the disk, the domain and the guest that was to be looked at. */
static void a_quarantined_desktop_was_destroyed_before_anyone_looked(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 1);
  g_autofree char *name = quarantined(w);
  const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, name);
  assert_int_equal(d->power, POWER_ON);
  assert_non_null(d->error);
  world_free(w);
}

static void a_quarantined_desktop_could_only_be_destroyed(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 1, 2);
  g_autofree char *name = quarantined(w);
  w->answer = NULL;
  assert_string_equal(reason_wire(error_reason(world_ask(w, API_DESKTOP_RELEASE, NULL, name, NULL)->error)), "missing-field");
  assert_int_equal(world_ask(w, API_DESKTOP_RELEASE, NULL, name, "{'reason':'the guest lied'}")->status, 202);
  const Desktop *d = WORLD_GET(w, Desktop, DESKTOP, name);
  assert_int_equal(d->state, DESKTOP_AVAILABLE);
  assert_int_equal(d->clone, 3);
  assert_string_equal(reason_wire(error_reason(world_ask(w, API_DESKTOP_RELEASE, NULL, name, "{'reason':'x'}")->error)), "no-transition");
  world_free(w);
}

/* Nobody was in it, but its person had switched it off: the next one got it like that. */
static void a_desktop_given_back_off_was_available(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  world_ask(w, API_POOL_CHANGE, NULL, "cad", "{'personalise':'none'}");
  g_autofree char *session = session_of(w, "jihye");
  g_autofree char *desktop = g_strdup(WORLD_GET(w, Session, SESSION, session)->desktop);
  assert_int_equal(world_ask(w, API_DESKTOP_DESTROY, "jihye", desktop, NULL)->status, 202);
  w->hold = true;
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_WAIT_READY);
  w->hold = false;
  world_release(w);
  world_settle(w);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_AVAILABLE);
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->power, POWER_ON);
  world_free(w);
}

static void login(World *w, const char *old, const char *fresh)
{
  Request *r = request_new(API_LOGIN);
  r->caller = (Caller){ .user = g_strdup("jihye"), .role = ROLE_USER, .logged_in = true };
  r->secret_hash = g_strdup("token");
  r->old_hash = g_strdup(old);
  r->fresh_hash = g_strdup(fresh);
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  assert_int_equal(w->last->status, 201);
}

/* A hash made with less work than today's stayed for ever. */
static void an_old_hash_outlived_every_login(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  login(w, "older", "newer"); /* the password was changed while this login was checked: it has none of these */
  assert_null(WORLD_GET(w, User, USER, "jihye")->password_hash);
  Request *r = request_new(API_USER_PASSWORD);
  r->caller = (Caller){ .user = g_strdup("root"), .role = ROLE_ADMINISTRATOR, .logged_in = true };
  r->name = g_strdup("jihye");
  r->secret_hash = g_strdup("older");
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  login(w, "older", "newer");
  assert_string_equal(WORLD_GET(w, User, USER, "jihye")->password_hash, "newer");
  world_free(w);
}

static const Answer *user_added(World *w, const char *body)
{
  Request *r = request_new(API_USER_ADD);
  r->caller = (Caller){ .user = g_strdup("root"), .role = ROLE_ADMINISTRATOR, .logged_in = true };
  r->idempotency_key = g_strdup("once");
  r->body = json_loads(body, 0, NULL);
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  return w->last;
}

static void a_key_is_for_one_request(void **state)
{
  World *w = world_new();
  assert_int_equal(user_added(w, "{\"name\":\"yuna\",\"title\":\"Y\"}")->status, 201);
  assert_int_equal(user_added(w, "{\"title\":\"Y\",\"name\":\"yuna\"}")->status, 201); /* the same, said otherwise */
  const Answer *other = user_added(w, "{\"name\":\"sora\",\"title\":\"Y\"}");
  assert_non_null(other->error);
  assert_string_equal(reason_wire(error_reason(other->error)), "idempotency-mismatch");
  assert_null(WORLD_GET(w, User, USER, "sora"));
  world_free(w);
}

static const Answer *keyed(World *w, ApiVerb verb, const char *user, const char *key, json_t *take_body)
{
  Request *r = request_new(verb);
  r->caller = (Caller){ .user = g_strdup(user), .role = strcmp(user, "root") ? ROLE_USER : ROLE_ADMINISTRATOR, .logged_in = true };
  r->idempotency_key = g_strdup(key);
  r->body = take_body;
  brain_request(w->brain, r, w, w->now_us);
  world_settle(w);
  return w->last;
}

static int receipts(World *w)
{
  g_autoptr(GPtrArray) all = brain_names(w->brain, NOUN_RECEIPT);
  return all->len;
}

/* One person who asked again and again for the session they held filled store and memory with receipts. */
static void what_changed_nothing_leaves_no_receipt(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  int before = receipts(w);
  assert_int_equal(keyed(w, API_SESSION_REQUEST, "jihye", "a", json_pack("{ss}", "pool", "cad"))->status, 201);
  assert_int_equal(receipts(w), before + 1);
  g_autofree char *session = g_strdup(w->last->object->name);
  for (int i = 0; i < 50; i++) {
    g_autofree char *key = g_strdup_printf("k%d", i);
    assert_int_equal(keyed(w, API_SESSION_REQUEST, "jihye", key, json_pack("{ss}", "pool", "cad"))->status, 200);
    assert_string_equal(w->last->object->name, session);
  }
  assert_non_null(keyed(w, API_SESSION_REQUEST, "minsu", "b", json_pack("{ss}", "pool", "cad"))->error); /* full: an event at most */
  assert_non_null(keyed(w, API_SESSION_REQUEST, "minsu", "c", json_pack("{ss}", "pool", "none"))->error);
  assert_int_equal(receipts(w), before + 1);
  world_free(w);
}

static const Answer *user_keyed(World *w, const char *by, int number)
{
  g_autofree char *name = g_strdup_printf("u%d", number);
  return keyed(w, API_USER_ADD, by, name, json_pack("{ss}", "name", name));
}

static void a_person_has_so_many_receipts_and_no_more(void **state)
{
  World *w = world_new();
  for (int i = 0; i < RECEIPTS_A_USER; i++, w->now_us += SECOND_US / 10)
    assert_int_equal(user_keyed(w, "root", i)->status, 201);
  assert_int_equal(receipts(w), RECEIPTS_A_USER);
  const Answer *a = user_keyed(w, "root", 5000);
  assert_non_null(a->error);
  assert_string_equal(reason_wire(error_reason(a->error)), "keys-held");
  assert_string_equal(error_arg(a->error, "limit"), "1000");
  assert_null(WORLD_GET(w, User, USER, "u5000"));
  assert_int_equal(user_keyed(w, "root", 0)->status, 201); /* a retry within its life answers the same */
  assert_int_equal(receipts(w), RECEIPTS_A_USER);
  w->now_us = w->now_us - RECEIPTS_A_USER * SECOND_US / 10 + RECEIPT_SURE_US;
  assert_int_equal(user_keyed(w, "root", 5000)->status, 201);
  assert_int_equal(receipts(w), RECEIPTS_A_USER);
  assert_int_equal(user_keyed(w, "root", 1)->status, 201);     /* still known */
  assert_int_equal(user_keyed(w, "root", 5000)->status, 201);
  a = user_keyed(w, "root", 5001);                             /* the next oldest is a tenth of a second too young */
  assert_string_equal(reason_wire(error_reason(a->error)), "keys-held");
  a = user_keyed(w, "root", 0);                                /* the oldest gave way: asked anew, with nowhere to keep another */
  assert_string_equal(reason_wire(error_reason(a->error)), "keys-held");
  world_pass(w, 86400);
  assert_int_equal(receipts(w), 0);
  world_free(w);
}

static HostState host_state(World *w, const char *name) { return WORLD_GET(w, Host, HOST, name)->state; }

static void a_draining_host_came_back_up(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *session = session_of(w, "jihye");
  assert_int_equal(world_ask(w, API_HOST_DRAIN, NULL, "h1", NULL)->status, 202);
  host_seen(w, SAW_SILENT);
  assert_int_equal(host_state(w, "h1"), HOST_UNREACHABLE);
  host_seen(w, SAW_HOST);
  world_settle(w);
  assert_int_equal(host_state(w, "h1"), HOST_DRAINING);
  world_free(w);
}

static void a_host_away_could_not_be_drained(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  host_seen(w, SAW_SILENT);
  assert_int_equal(world_ask(w, API_HOST_DRAIN, NULL, "h1", NULL)->status, 202);
  host_seen(w, SAW_HOST);
  world_settle(w);
  assert_int_equal(host_state(w, "h1"), HOST_MAINTENANCE); /* its one desktop went */
  world_free(w);
}

static void a_host_that_is_drained_is_drained_again(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  assert_int_equal(world_ask(w, API_HOST_DRAIN, NULL, "h1", NULL)->status, 202);
  world_settle(w);
  assert_int_equal(host_state(w, "h1"), HOST_MAINTENANCE);
  int64_t generation = WORLD_GET(w, Host, HOST, "h1")->head.generation;
  const Answer *again = world_ask(w, API_HOST_DRAIN, NULL, "h1", NULL);
  assert_int_equal(again->status, 202);
  world_settle(w);
  assert_int_equal(host_state(w, "h1"), HOST_MAINTENANCE);
  assert_int_equal(WORLD_GET(w, Host, HOST, "h1")->head.generation, generation);
  assert_true(WORLD_GET(w, Host, HOST, "h1")->drain);
  world_free(w);
}

static void a_host_in_use_again_gave_its_desktops_away(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 0, 1);
  g_autofree char *session = session_of(w, "jihye");
  g_autofree char *desktop = g_strdup(WORLD_GET(w, Session, SESSION, session)->desktop);
  world_ask(w, API_HOST_DRAIN, NULL, "h1", NULL);
  assert_int_equal(world_ask(w, API_HOST_ACTIVATE, NULL, "h1", NULL)->status, 200);
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  assert_non_null(WORLD_GET(w, Desktop, DESKTOP, desktop));
  assert_int_equal(WORLD_GET(w, Desktop, DESKTOP, desktop)->state, DESKTOP_AVAILABLE);
  world_free(w);
}

static void a_drain_forgot_that_a_desktop_was_to_go(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'own','kind':'dedicated','template':'linux','image':'linux','min':1,'max':1}");
  const Answer *a = world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'own'}");
  g_autofree char *session = g_strdup(a->object->name), *desktop = g_strdup(WORLD_GET(w, Session, SESSION, session)->desktop);
  world_ask(w, API_DESKTOP_RETIRE, NULL, desktop, NULL);
  world_ask(w, API_HOST_DRAIN, NULL, "h1", NULL);
  world_ask(w, API_SESSION_END, "jihye", session, NULL);
  assert_null(WORLD_GET(w, Desktop, DESKTOP, desktop));
  world_free(w);
}

/* "2 desktops are held by people", of a pool that had one. */
static void a_desktop_with_an_owner_was_held_twice(void **state)
{
  World *w = world_new();
  world_furnish(w, 0, 0, 1);
  world_ask(w, API_POOL_CREATE, NULL, NULL, "{'name':'own','kind':'dedicated','template':'linux','image':'linux','min':1,'max':1}");
  assert_null(world_ask(w, API_SESSION_REQUEST, "jihye", NULL, "{'pool':'own'}")->error);
  const Answer *a = world_ask(w, API_POOL_DELETE, NULL, "own", NULL);
  assert_true(error_is(a->error, REASON_POOL_IN_USE));
  g_autofree char *text = error_text(a->error, LANG_EN);
  assert_string_equal(text, "people hold desktops of pool \"own\": 1");
  world_free(w);
}

static void lost_desktops_made_room_beyond_the_maximum(void **state)
{
  World *w = world_new();
  world_furnish(w, 2, 0, 2);
  world_ask(w, API_HOST_ADD, NULL, NULL, "{'name':'h2','uri':'fake:h2','vcpus':60000,'memory_mib':100000000}");
  Observation *o = observation_new(SAW_HOST, "h2");
  o->hostname = g_strdup("h2");
  brain_observe(w->brain, o, w->now_us);
  host_seen(w, SAW_SILENT);
  world_settle(w);
  assert_int_equal(DESKTOPS(w, LOST), 2);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 0);
  world_free(w);
}

static void what_min_and_spare_do_not_need_stayed_for_ever(void **state)
{
  World *w = world_new();
  world_furnish(w, 1, 2, 9);
  g_autofree char *one = session_of(w, "jihye"), *two = session_of(w, "minsu");
  assert_int_equal(DESKTOPS(w, AVAILABLE), 2);
  world_ask(w, API_SESSION_END, "jihye", one, NULL);
  world_ask(w, API_SESSION_END, "minsu", two, NULL);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 4);
  world_pass(w, 1000);
  g_autofree char *again = session_of(w, "jihye"); /* for some of that time only one is too many */
  world_ask(w, API_SESSION_END, "jihye", again, NULL);
  world_pass(w, 790);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 4);
  world_pass(w, 20);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 3);
  world_pass(w, 1810);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 2);
  world_pass(w, 7200);
  assert_int_equal(DESKTOPS(w, AVAILABLE), 2);
  world_free(w);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_quarantined_desktop_was_destroyed_before_anyone_looked),
    cmocka_unit_test(a_quarantined_desktop_could_only_be_destroyed),
    cmocka_unit_test(a_desktop_given_back_off_was_available),
    cmocka_unit_test(an_old_hash_outlived_every_login),
    cmocka_unit_test(a_key_is_for_one_request),
    cmocka_unit_test(what_changed_nothing_leaves_no_receipt),
    cmocka_unit_test(a_person_has_so_many_receipts_and_no_more),
    cmocka_unit_test(a_draining_host_came_back_up),
    cmocka_unit_test(a_host_away_could_not_be_drained),
    cmocka_unit_test(a_host_that_is_drained_is_drained_again),
    cmocka_unit_test(an_older_host_could_call_itself_a_newer_one),
    cmocka_unit_test(a_host_in_use_again_gave_its_desktops_away),
    cmocka_unit_test(a_drain_forgot_that_a_desktop_was_to_go),
    cmocka_unit_test(a_desktop_with_an_owner_was_held_twice),
    cmocka_unit_test(lost_desktops_made_room_beyond_the_maximum),
    cmocka_unit_test(what_min_and_spare_do_not_need_stayed_for_ever),
    cmocka_unit_test(a_console_was_opened_for_a_session_that_had_ended),
    cmocka_unit_test(a_picture_was_of_the_next_persons_screen),
    cmocka_unit_test(cards_that_changed_were_seen_with_the_next_poll),
    cmocka_unit_test(a_card_was_gone_when_its_host_lost_its_ssh_address),
    cmocka_unit_test(a_part_at_another_place_was_taken_for_ours),
    cmocka_unit_test(a_part_without_a_display_is_for_templates_with_a_screen_in_the_guest),
    cmocka_unit_test(no_display_is_wanted_and_none_is_spoken_of),
    cmocka_unit_test(a_screen_in_the_guest_is_no_hosts_to_photograph),
    cmocka_unit_test(an_administrator_elsewhere_names_no_file_for_a_hosts_cards),
    cmocka_unit_test(room_that_another_pool_left_was_not_looked_at),
    cmocka_unit_test(events_stayed_in_memory_for_ever),
    cmocka_unit_test(a_desktop_being_made_could_not_be_retired),
    cmocka_unit_test(a_desktop_ready_on_a_host_gone_silent_was_offered),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

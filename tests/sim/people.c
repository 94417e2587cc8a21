/* People and the gateway between them and their desktops. A person who gets no answer asks again with the same key. */
#include "tests/sim/sim.h"

#include <string.h>

static void person_act(Sim *s, void *person);

static void person_later(Sim *s, Person *p, int64_t least_ms, int64_t most_ms)
{
  sim_after(s, chance_ms(s, least_ms, most_ms), person_act, p);
}

static void set(char **field, const char *value)
{
  g_free(*field);
  *field = g_strdup(value);
}

static bool session_over(Sim *s, const char *name)
{
  const Session *session = STORED(s, Session, SESSION, name);
  return !session || session_state_is_final(session->state);
}

/* ── asking for a desktop ─────────────────────────────────────────────────── */

static void ticket_take(Person *p, const Answer *a)
{
  json_auto_t *json = a->json ? json_loads(a->json, 0, NULL) : NULL;
  const char *ticket = json_string_value(json_object_get(json, "ticket"));
  if (ticket)
    set(&p->ticket, ticket);
}

static void asked(Sim *s, Answer *a, void *person)
{
  Person *p = person;
  p->asked = false;
  if (!a) {
    tell(s, "%s gets no answer", p->name);
    return; /* and asks again, with the same key */
  }
  if (a->error) {
    g_clear_pointer(&p->key, g_free);
    return;
  }
  const char *before = g_hash_table_lookup(s->keys, p->key);
  if (before && strcmp(before, a->object ? a->object->name : "") && a->object)
    broken(s, "what is asked twice with one key is done once", "%s got %s, then %s", p->name, before, a->object->name);
  if (a->object) {
    g_hash_table_insert(s->keys, g_strdup(p->key), g_strdup(a->object->name));
    set(&p->session, a->object->name);
  }
  ticket_take(p, a);
  if (fault(s, 50))
    return; /* the answer got lost behind us: the same key again */
  g_clear_pointer(&p->key, g_free);
}

/* Half of them sit at a page, the others at a viewer that has none. */
static const char *page_of(const Person *p)
{
  return p->bit % 2 ? "https://desk.example" : NULL;
}

static void ask(Sim *s, Person *p)
{
  static const char *pools[POOLS] = { "cad", "web", "own" };
  if (!p->key) {
    p->key = g_strdup_printf("%s-%d", p->name, p->keys++);
    set(&p->pool, pools[chance_below(s, POOLS)]);
  }
  g_autofree char *body = g_strdup_printf("{'pool':'%s','ticket':true}", p->pool);
  Request *r = ask_new(API_SESSION_REQUEST, p->name, NULL, body);
  if (page_of(p))
    json_object_set_new(r->body, "origin", json_string(page_of(p)));
  r->idempotency_key = g_strdup(p->key);
  p->asked = true;
  runtime_ask(s, r, asked, p);
}

/* ── connecting ───────────────────────────────────────────────────────────── */

static void ticketed(Sim *s, Answer *a, void *person)
{
  Person *p = person;
  p->asked = false;
  if (a && !a->error)
    ticket_take(p, a);
}

static void ticket_ask(Sim *s, Person *p)
{
  Request *r = ask_new(API_SESSION_TICKET, p->name, p->session, NULL);
  if (page_of(p))
    json_object_set_new(r->body, "origin", json_string(page_of(p)));
  p->asked = true;
  runtime_ask(s, r, ticketed, p);
}

typedef struct {
  Person *person;
  char *ticket;
  const char *never; /* why it must not open anything, or NULL */
} Redeeming;

static void relay_take(Sim *s, Person *p, const Answer *a)
{
  json_auto_t *json = json_loads(a->json, 0, NULL);
  const char *session = json_string_value(json_object_get(json, "session"));
  const Session *held = STORED(s, Session, SESSION, session);
  const Desktop *d = held ? STORED(s, Desktop, DESKTOP, held->desktop) : NULL;
  if (strcmp(json_string_value(json_object_get(json, "user")), p->name))
    broken(s, "a console is its ticket's person's", "%s was given the console of another", p->name);
  if (!d || fault(s, 50))
    return; /* the browser is gone before the console opened */
  SimDomain *domain = world_domain_of(s, d->head.name, host_index(d->host));
  if (!domain || domain->power == POWER_OFF)
    return;
  GatewayRelay *r = g_new0(GatewayRelay, 1);
  *r = (GatewayRelay){ .name = g_strdup(json_string_value(json_object_get(json, "relay"))), .session = g_strdup(session), .person = p->bit, .boot = domain->boot };
  g_strlcpy(r->uuid, domain->uuid, sizeof r->uuid);
  g_ptr_array_add(s->relays, r);
  world_type(s, r);
}

static void redeemed(Sim *s, Answer *a, void *data)
{
  Redeeming *r = data;
  r->person->asked = false;
  if (a && !a->error) {
    if (!g_hash_table_add(s->redeemed, g_strdup(r->ticket)))
      broken(s, "a ticket opens one console", "%s got in twice with one ticket", r->person->name);
    if (r->never)
      broken(s, r->never, "%s got in", r->person->name);
    relay_take(s, r->person, a);
  }
  g_free(r->ticket);
  g_free(r);
}

static const Ticket *ticket_known(Sim *s, const char *ticket)
{
  g_autofree char *name = g_strndup(ticket, strcspn(ticket, "."));
  return s->brain ? (const Ticket *)brain_find(s->brain, NOUN_TICKET, name) : NULL;
}

static bool disabled(Sim *s, const Person *p)
{
  return ((const User *)brain_find(s->brain, NOUN_USER, p->name))->disabled;
}

static bool off_pool(Sim *s, const Person *p, const char *session)
{
  const Session *held = (const Session *)brain_find(s->brain, NOUN_SESSION, session);
  const Pool *pool = held ? (const Pool *)brain_find(s->brain, NOUN_POOL, held->pool) : NULL;
  return pool && pool->users && !g_strv_contains((const char *const *)pool->users, p->name);
}

static const char GUESS[] = ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/* As the brain knows it at this moment, which is when it decides. */
static const char *never_opens(Sim *s, const Person *p, const char *ticket, const char *page)
{
  const Ticket *known = ticket_known(s, ticket);
  if (!known)
    return s->brain ? "a ticket that is no more opens nothing" : NULL;
  if (g_str_has_suffix(ticket, GUESS))
    return "a ticket opens nothing without its secret";
  if (known->expires <= s->now_us)
    return "a ticket opens nothing once its time is over";
  if (disabled(s, p))
    return "a ticket of a disabled user opens nothing";
  if (off_pool(s, p, known->session))
    return "who is taken off a pool opens nothing of it";
  return g_strcmp0(page, page_of(p)) ? "a ticket opens nothing for another page" : NULL;
}

static void redeem_at(Sim *s, Person *p, const char *ticket, const char *page)
{
  g_autofree char *body = g_strdup_printf("{'ticket':'%s','protocol':'vnc'}", ticket);
  Redeeming *r = g_new(Redeeming, 1);
  *r = (Redeeming){ p, g_strdup(ticket), never_opens(s, p, ticket, page) };
  Request *request = ask_new(API_GATEWAY_REDEEM, NULL, NULL, body);
  if (page)
    json_object_set_new(request->body, "origin", json_string(page));
  p->asked = true;
  runtime_ask(s, request, redeemed, r);
}

static void redeem(Sim *s, Person *p, const char *ticket)
{
  redeem_at(s, p, ticket, page_of(p));
}

/* Somebody else has got hold of it, at another page. */
static void redeem_elsewhere(Sim *s, Person *p, const char *ticket)
{
  redeem_at(s, p, ticket, "https://evil.example");
}

/* Somebody knows its number alone. */
static void redeem_guessed(Sim *s, Person *p, const char *ticket)
{
  g_autofree char *guess = g_strdup_printf("%.*s%s", (int)strcspn(ticket, "."), ticket, GUESS);
  redeem_at(s, p, guess, page_of(p));
}

/* At the very moment at which its time is over. */
static void redeem_last(Sim *s, void *person)
{
  Person *p = person;
  g_autofree char *ticket = g_steal_pointer(&p->last_ticket);
  if (!p->asked)
    redeem(s, p, ticket);
}

static void ticket_hold(Sim *s, Person *p, char *take_ticket)
{
  const Ticket *known = p->last_ticket ? NULL : ticket_known(s, take_ticket);
  if (!known) {
    g_free(take_ticket);
    return;
  }
  p->last_ticket = take_ticket;
  sim_after(s, MAX(known->expires - s->now_us, 0), redeem_last, p);
}

/* ── at the desktop ───────────────────────────────────────────────────────── */

static GatewayRelay *relay_of(Sim *s, const Person *p)
{
  for (guint i = 0; i < s->relays->len; i++) {
    GatewayRelay *r = s->relays->pdata[i];
    if (r->person == p->bit && !g_strcmp0(r->session, p->session))
      return r;
  }
  return NULL;
}

static void relay_close(Sim *s, GatewayRelay *r)
{
  g_ptr_array_add(s->closed, g_strdup(r->name));
  g_ptr_array_remove(s->relays, r);
}

static void answered(Sim *s, Answer *a, void *person)
{
  ((Person *)person)->asked = false;
}

static void end(Sim *s, Person *p)
{
  p->asked = true;
  runtime_ask(s, ask_new(API_SESSION_END, p->name, p->session, NULL), answered, p);
}

static void press_power(Sim *s, Person *p, const char *desktop)
{
  ApiVerb verb = API_DESKTOP_START + chance_below(s, API_DESKTOP_RESTORE - API_DESKTOP_START + 1);
  p->asked = true;
  runtime_ask(s, ask_new(verb, p->name, desktop, NULL), answered, p);
}

static void sit(Sim *s, Person *p, const Session *session)
{
  GatewayRelay *r = relay_of(s, p);
  int64_t what = chance_below(s, 100);
  if (r && !world_type(s, r))
    relay_close(s, r);
  else if (r && what < 15)
    relay_close(s, r);
  else if (what < 25)
    end(s, p);
  else if (what < 33)
    press_power(s, p, session->desktop);
  else if (what < 38 && p->used_ticket)
    redeem(s, p, p->used_ticket);
  else if (!r && p->ticket) {
    g_free(p->used_ticket);
    p->used_ticket = g_steal_pointer(&p->ticket);
    if (what < 45)
      redeem_elsewhere(s, p, p->used_ticket);
    else if (what < 48)
      redeem_guessed(s, p, p->used_ticket);
    else
      redeem(s, p, p->used_ticket);
  } else if (p->ticket && what < 60) {
    ticket_hold(s, p, g_steal_pointer(&p->ticket));
  } else if (!r || what > 85) {
    ticket_ask(s, p);
  }
}

static void wait_or_go(Sim *s, Person *p)
{
  if (p->used_ticket && chance(s, 100))
    redeem(s, p, p->used_ticket);
  else if (chance(s, 80))
    end(s, p);
}

/* Who leaves looks once more for what is theirs: a backup may have brought back what they had ended. */
static void recall(Sim *s, Person *p)
{
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[NOUN_SESSION]);
  for (guint i = 0; i < names->len && !p->session; i++) {
    const Session *session = STORED(s, Session, SESSION, names->pdata[i]);
    if (!strcmp(session->user, p->name) && !session_state_is_final(session->state))
      set(&p->session, session->head.name);
  }
}

static void person_act(Sim *s, void *person)
{
  Person *p = person;
  person_later(s, p, 1000, 20000);
  if (p->asked)
    return;
  if (p->key) {
    ask(s, p);
    return;
  }
  if (p->session && session_over(s, p->session))
    g_clear_pointer(&p->session, g_free);
  if (!p->session && s->over)
    recall(s, p);
  const Session *session = STORED(s, Session, SESSION, p->session);
  if (!session && !s->over)
    ask(s, p);
  else if (session && s->over)
    end(s, p);
  else if (session && session->ready)
    sit(s, p, session);
  else if (session)
    wait_or_go(s, p);
}

/* ── the gateway ──────────────────────────────────────────────────────────── */

typedef struct {
  GPtrArray *named, *closed, *must_go;
  bool full;
  int gateway;
} Sync;

static void gateway_sync(Sim *s, void *unused);

static GatewayRelay *relay_named(Sim *s, const char *name)
{
  for (guint i = 0; i < s->relays->len; i++)
    if (!strcmp(((GatewayRelay *)s->relays->pdata[i])->name, name))
      return s->relays->pdata[i];
  return NULL;
}

static void synced(Sim *s, Answer *a, void *data)
{
  Sync *sync = data;
  s->gateway_full = !a || a->error;
  if (s->gateway_full || sync->gateway != s->gateway)
    return;
  json_auto_t *json = json_loads(a->json, 0, NULL);
  s->gateway_full = json_is_true(json_object_get(json, "full"));
  size_t i;
  json_t *entry;
  json_array_foreach(json_object_get(json, "cut"), i, entry) {
    GatewayRelay *r = relay_named(s, json_string_value(json_object_get(entry, "relay")));
    if (r) {
      tell(s, "the gateway cuts %s of %s", r->name, s->people[r->person].name);
      relay_close(s, r);
    }
  }
  for (guint k = 0; k < sync->named->len; k++) {
    GatewayRelay *r = relay_named(s, sync->named->pdata[k]);
    if (r)
      r->told = true;
  }
  for (guint k = 0; k < sync->must_go->len; k++)
    if (relay_named(s, sync->must_go->pdata[k]))
      broken(s, "relays of ended sessions are cut by the next sync", "%s is still open", (char *)sync->must_go->pdata[k]);
}

static json_t *names_json(GPtrArray *names)
{
  json_t *list = json_array();
  for (guint i = 0; i < names->len; i++)
    json_array_append_new(list, json_string(names->pdata[i]));
  return list;
}

static bool shut_out(Sim *s, const GatewayRelay *relay)
{
  const Person *p = &s->people[relay->person];
  return s->brain && (disabled(s, p) || off_pool(s, p, relay->session));
}

static Request *sync_request(Sim *s, Sync *sync)
{
  Request *r = ask_new(API_GATEWAY_SYNC, NULL, NULL, NULL);
  g_autoptr(GPtrArray) opened = g_ptr_array_new();
  for (guint i = 0; i < s->relays->len; i++) {
    GatewayRelay *relay = s->relays->pdata[i];
    g_ptr_array_add(sync->named, relay->name);
    if (!relay->told)
      g_ptr_array_add(opened, relay->name);
    if (sync->full && (session_over(s, relay->session) || shut_out(s, relay)))
      g_ptr_array_add(sync->must_go, relay->name);
  }
  json_object_set_new(r->body, "gateway", json_sprintf("g%d", sync->gateway));
  json_object_set_new(r->body, "full", json_boolean(sync->full));
  json_object_set_new(r->body, "opened", names_json(opened));
  json_object_set_new(r->body, "open", names_json(sync->named));
  json_object_set_new(r->body, "closed", names_json(s->closed));
  return r;
}

/* It says goodbye to nobody; another of another name takes its place. */
static void gateway_dies(Sim *s)
{
  tell(s, "gateway g%d dies with %d consoles", s->gateway, (int)s->relays->len);
  g_ptr_array_set_size(s->relays, 0);
  g_ptr_array_set_size(s->closed, 0);
  s->gateway++;
  s->gateway_full = true;
}

static void gateway_sync(Sim *s, void *unused)
{
  if (fault(s, 10))
    gateway_dies(s);
  sim_after(s, (s->over ? 20 : 3) * SECOND_US, gateway_sync, NULL);
  for (guint i = s->relays->len; i-- > 0;)
    if (!world_type(s, s->relays->pdata[i]) || fault(s, 5))
      relay_close(s, s->relays->pdata[i]);
  Sync *sync = g_new0(Sync, 1);
  *sync = (Sync){ g_ptr_array_new(), NULL, g_ptr_array_new(), s->gateway_full || chance(s, 400), s->gateway };
  runtime_ask(s, sync_request(s, sync), synced, sync);
  if (chance(s, 900))
    g_ptr_array_set_size(s->closed, 0); /* else they are told twice */
}

void people_start(Sim *s)
{
  s->gateway_full = true;
  s->gateway = 1;
  for (int i = 0; i < PEOPLE; i++)
    person_later(s, &s->people[i], 20000, 120000);
  gateway_sync(s, NULL);
}

void people_leave(Sim *s)
{
  s->over = true;
}

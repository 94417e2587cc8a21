/* Consoles: tickets, the relays that gateways hold, and which of them must be cut. */
#include "core/brain_parts.h"

#include <string.h>

enum { TICKET_BYTES = 32, CLIENT_MAX_BYTES = 64, TICKETS_A_USER = 32 };

/* ── who may sit at a console ─────────────────────────────────────────────── */

/* Who may act on its session: the session's own person, as long as its pool is theirs, and operators. Asked anew each time: rights go. */
static bool user_may_watch(Brain *b, const char *name, const Session *s)
{
  const User *user = GET(b, User, USER, name);
  if (!user)
    return !g_strcmp0(name, "root");
  Caller caller = { .user = user->head.name, .role = user->role, .logged_in = true };
  const Object *pool = state_find(b->state, NOUN_POOL, s->pool);
  bool own = !g_strcmp0(s->user, name) && object_is_mine(&caller, NOUN_POOL, pool, NULL);
  return !user->disabled && access_check(API_SESSION_TICKET, &caller, own, NULL);
}

/* Whose looking in is their coming: its person's, and root's at the controller, who opens it for them. Staff who look do not come for anybody. */
static bool comes_to(Brain *b, const char *user, const Session *s)
{
  return !g_strcmp0(s->user, user) || !GET(b, User, USER, user);
}

static bool token_revoked(Brain *b, const char *token)
{
  return token && !GET(b, Token, TOKEN, token);
}

void consoles_outlive_token(Brain *b, const char *token)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_RELAY);
  for (guint i = 0; i < names->len; i++)
    if (!g_strcmp0(GET(b, Relay, RELAY, names->pdata[i])->token, token))
      text_set(&EDIT(b, Relay, RELAY, names->pdata[i])->token, NULL);
}

/* ── tickets ──────────────────────────────────────────────────────────────── */

/* base64url without padding (RFC 4648, section 5) */
static char *base64url(const uint8_t *bytes, size_t n)
{
  char *text = g_base64_encode(bytes, n);
  g_strdelimit(text, "+", '-');
  g_strdelimit(text, "/", '_');
  text[strcspn(text, "=")] = 0;
  return text;
}

/* Root at the controller asks for others. */
bool ticket_room(Brain *b, const Request *r, GError **err)
{
  if (r->caller.local || state_user_tickets(b->state, r->caller.user) < TICKETS_A_USER)
    return true;
  g_autofree char *limit = g_strdup_printf("%d", TICKETS_A_USER);
  return error_false(err, REASON_TICKETS_HELD, "user", r->caller.user, "limit", limit, NULL);
}

/* NULL for a name without its secret. */
static const Ticket *ticket_find(Brain *b, const char *text)
{
  const char *dot = text ? strchr(text, '.') : NULL;
  g_autofree char *name = dot ? g_strndup(text, dot - text) : NULL;
  const Ticket *ticket = name ? GET(b, Ticket, TICKET, name) : NULL;
  g_autofree char *hash = ticket ? g_compute_checksum_for_string(G_CHECKSUM_SHA256, dot + 1, -1) : NULL;
  return ticket && !g_strcmp0(hash, ticket->hash) ? ticket : NULL;
}

char *ticket_make(Brain *b, const Session *session, const Request *r)
{
  uint8_t bits[TICKET_BYTES];
  b->options.random(b->options.random_data, bits, sizeof bits);
  g_autofree char *secret = base64url(bits, sizeof bits);
  g_autofree char *name = brain_number(b, 't'); /* by its number it stands behind the ones before: a name by chance would stand anywhere */
  Ticket *ticket = state_add(b->state, NOUN_TICKET, name, b->now_us);
  ticket->hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, secret, -1);
  ref_set(&ticket->user, r->caller.user);
  text_set(&ticket->session, session->head.name);
  text_set(&ticket->desktop, session->desktop);
  ref_set(&ticket->protocol, "vnc");
  ref_set(&ticket->origin, request_text(r, "origin"));
  text_set(&ticket->token, r->caller.token);
  ticket->expires = b->now_us + TICKET_LIFE_S * SECOND_US;
  if (comes_to(b, ticket->user, session))
    session_take(b, session->head.name, ticket->expires);
  char *json = g_strdup_printf("{\"ticket\":\"%s.%s\",\"protocol\":\"vnc\",\"valid_s\":%d}", name, secret, TICKET_LIFE_S);
  memset(secret, 0, strlen(secret));
  return json;
}

bool verb_session_ticket(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Session *s = GET(b, Session, SESSION, r->name);
  const char *protocol = request_text(r, "protocol");
  if (protocol && strcmp(protocol, "vnc"))
    return error_false(err, REASON_BAD_VALUE, "field", "protocol", "value", protocol, "limit", "vnc", NULL);
  const Desktop *d = session_state_is_live(s->state) && s->desktop ? GET(b, Desktop, DESKTOP, s->desktop) : NULL;
  if (d && !s->ready && s->error) {
    g_propagate_error(err, brain_error_of(s->error));
    return false;
  }
  if (!session_state_is_live(s->state) || !s->ready)
    return error_false(err, REASON_SESSION_NOT_READY, "session", r->name, "state", session_state_name(s->state), NULL);
  if (!r->caller.local && !user_may_watch(b, r->caller.user, s))
    return error_false(err, REASON_NOT_FOUND, "kind", "pool", "name", s->pool, NULL);
  if (!ticket_room(b, r, err))
    return false;
  answer_object(b, a, 201, r->name);
  a->json = ticket_make(b, s, r);
  return true;
}

/* ── a gateway trades a ticket ────────────────────────────────────────────── */

static bool ticket_fits(Brain *b, const Ticket *ticket, const Request *r, GError **err)
{
  const Session *s = ticket ? GET(b, Session, SESSION, ticket->session) : NULL;
  const Desktop *d = s && s->desktop ? GET(b, Desktop, DESKTOP, s->desktop) : NULL;
  bool known = ticket && ticket->expires > b->now_us && s && d && session_state_is_live(s->state) && s->prepared &&
               !g_strcmp0(d->session, s->head.name) && !g_strcmp0(ticket->desktop, s->desktop);
  if (r->caller.user && ticket && g_strcmp0(r->caller.user, ticket->user)) /* somebody else's page: it was taken there, or foisted on them */
    return error_false(err, REASON_BAD_TICKET, NULL);
  if (!known || !user_may_watch(b, ticket->user, s) || token_revoked(b, ticket->token) ||
      g_strcmp0(ticket->protocol, request_text(r, "protocol")) || g_strcmp0(ticket->origin, request_text(r, "origin")))
    return error_false(err, REASON_BAD_TICKET, NULL);
  if (!s->ready)
    return error_false(err, REASON_DESKTOP_OFF, "desktop", d->head.name, "state", power_state_name(d->power), NULL);
  return true;
}

static Relay *relay_add(Brain *b, const Ticket *ticket)
{
  g_autofree char *name = brain_number(b, 'r');
  Relay *relay = state_add(b->state, NOUN_RELAY, name, b->now_us);
  text_set(&relay->session, ticket->session);
  ref_set(&relay->user, ticket->user);
  text_set(&relay->desktop, ticket->desktop);
  text_set(&relay->token, ticket->token);
  return relay;
}

/* Who got in, from where and to whose desktop stays on record, before anything is shown. */
static void redeem_tell(Brain *b, const Ticket *ticket, const char *relay, const char *client)
{
  const Session *s = GET(b, Session, SESSION, ticket->session);
  json_auto_t *detail = json_pack("{ss ss ss ss*}", "relay", relay, "desktop", ticket->desktop, "of", s->user, "client",
                                  client && strlen(client) <= CLIENT_MAX_BYTES ? client : NULL);
  g_autofree char *text = json_dumps(detail, JSON_COMPACT);
  brain_event(b, "session.console", NOUN_SESSION, ticket->session, ticket->user, text);
}

bool verb_gateway_redeem(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Ticket *ticket = ticket_find(b, request_text(r, "ticket"));
  if (!ticket_fits(b, ticket, r, err))
    return false;
  const Desktop *shown = GET(b, Desktop, DESKTOP, ticket->desktop);
  bool in_guest = desktop_screen_in_guest(b, shown);
  Relay *relay = relay_add(b, ticket);
  ref_set(&relay->host, in_guest ? NULL : shown->host);
  redeem_tell(b, ticket, relay->head.name, request_text(r, "client"));
  g_autofree char *name = g_strdup(ticket->head.name);
  g_autofree char *session = g_strdup(ticket->session);
  g_autofree char *desktop = g_strdup(ticket->desktop);
  state_delete(b->state, NOUN_TICKET, name); /* single use, whatever comes of it */
  Session *s = EDIT(b, Session, SESSION, session);
  SessionState to;
  if (session_next(s->state, SESSION_REDEEM, &to, NULL))
    s->state = to;
  /* here bytes of a person may begin, and nothing later could be durable before them */
  Desktop *d = EDIT(b, Desktop, DESKTOP, desktop);
  d->touched = true;
  if (d->state == DESKTOP_ASSIGNED)
    desktop_move(b, desktop, MOVE_USE);
  brain_call(b, in_guest ? STEP_GUEST_CONSOLE : STEP_CONSOLE, desktop, d->host, relay->head.name);
  b->deferred = true;
  return true;
}

static void relay_closed(Brain *b, const char *name);

/* What it shows is a screen of a host that its desktop has left: a new ticket leads to the other one. A server in the guest went with it. */
static bool has_moved_away(Brain *b, const Relay *relay)
{
  const Desktop *d = relay->host ? GET(b, Desktop, DESKTOP, relay->desktop) : NULL;
  return d && g_strcmp0(d->host, relay->host);
}

bool relay_must_go(Brain *b, const Relay *relay)
{
  if (has_moved_away(b, relay))
    return true;
  const Session *s = GET(b, Session, SESSION, relay->session);
  return !s || !session_state_is_live(s->state) || !user_may_watch(b, relay->user, s) || token_revoked(b, relay->token);
}

/* Who has the desktop hears it as an answer; who runs the house finds it beside the desktop. */
static void screen_refused(Brain *b, const PendingCall *call, const Relay *relay, const GError *why)
{
  if (call->kind != STEP_GUEST_CONSOLE || !relay || !why)
    return;
  g_autofree char *detail = brain_error_json(why);
  brain_event(b, "desktop.screen-refused", NOUN_DESKTOP, relay->desktop, relay->user, detail);
}

Answer *console_call_done(Brain *b, const PendingCall *call, StepResult *result)
{
  const Relay *relay = GET(b, Relay, RELAY, call->object);
  screen_refused(b, call, relay, result->error);
  if (result->error || !relay || relay_must_go(b, relay)) {
    if (relay)
      relay_closed(b, call->object);
    GError *err = g_steal_pointer(&result->error);
    if (!err)
      error_set(&err, REASON_BAD_TICKET, NULL);
    return answer_new_error(err);
  }
  const Session *s = GET(b, Session, SESSION, relay->session);
  const Pool *pool = s ? GET(b, Pool, POOL, s->pool) : NULL;
  const char *via = call->kind == STEP_GUEST_CONSOLE ? "guest" : "direct";
  json_t *target = json_pack("{ss ss ss ss ss ss si ss sb ss}", "relay", call->object, "session", relay->session, "user", relay->user,
                             "protocol", "vnc", "via", via, "host", result->address, "port", result->port, "password",
                             result->password, "view_only", 0, "clipboard", clipboard_mode_name(pool ? pool->clipboard : CLIPBOARD_NONE));
  Answer *answer = answer_new(200);
  answer->noun = NOUN_RELAY;
  answer->json = json_dumps(target, JSON_COMPACT);
  json_decref(target);
  return answer;
}

/* ── what gateways tell ───────────────────────────────────────────────────── */

static void relay_opened(Brain *b, const char *name, const char *gateway)
{
  Relay *relay = EDIT(b, Relay, RELAY, name);
  relay->open = true;
  relay->seen = b->now_us;
  ref_set(&relay->gateway, gateway);
  const Session *s = GET(b, Session, SESSION, relay->session);
  SessionState to;
  if (!s || !session_next(s->state, SESSION_OPEN, &to, NULL))
    return;
  Session *open = EDIT(b, Session, SESSION, relay->session);
  if (open->state != (int)to)
    brain_event(b, "session.active", NOUN_SESSION, open->head.name, open->user, NULL);
  open->state = to;
  open->connected = b->now_us;
  if (comes_to(b, relay->user, open))
    open->take_by = 0;
}

static void relay_closed(Brain *b, const char *name)
{
  g_autofree char *session = g_strdup(GET(b, Relay, RELAY, name)->session);
  state_delete(b->state, NOUN_RELAY, name);
  g_autoptr(GPtrArray) others = state_session_relays(b->state, session);
  const Session *s = GET(b, Session, SESSION, session);
  SessionState to;
  if (others->len || !s || !session_next(s->state, SESSION_CLOSE, &to, NULL))
    return;
  Session *closed = EDIT(b, Session, SESSION, session);
  closed->state = to;
  closed->disconnected = b->now_us;
  brain_event(b, "session.disconnected", NOUN_SESSION, session, closed->user, NULL);
}

void relay_due(Brain *b, const char *name)
{
  relay_closed(b, name); /* redeemed, but the gateway never said that it opened */
}

static const char *entry_name(json_t *entry)
{
  return json_is_string(entry) ? json_string_value(entry) : json_string_value(json_object_get(entry, "relay"));
}

static bool list_has(json_t *list, const char *name)
{
  size_t i;
  json_t *entry;
  json_array_foreach(list, i, entry)
    if (!g_strcmp0(entry_name(entry), name))
      return true;
  return false;
}

/* true ⇔ it was heard of before. */
static bool gateway_heard(Brain *b, const char *name)
{
  Gateway *known = g_hash_table_lookup(b->gateways, name), heard = { b->now_us + GATEWAY_SILENT_S * SECOND_US, false };
  if (known)
    *known = heard;
  else
    g_hash_table_insert(b->gateways, g_strdup(name), g_memdup2(&heard, sizeof heard));
  return known;
}

void gateways_start(Brain *b)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_RELAY);
  for (guint i = 0; i < names->len; i++) {
    const Relay *relay = GET(b, Relay, RELAY, names->pdata[i]);
    if (relay->open && relay->gateway)
      gateway_heard(b, relay->gateway);
  }
}

static void gateway_gone(Brain *b, const char *gateway)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_RELAY);
  g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < names->len; i++) {
    const Relay *relay = GET(b, Relay, RELAY, names->pdata[i]);
    if (relay->open && !g_strcmp0(relay->gateway, gateway))
      g_ptr_array_add(gone, g_strdup(relay->head.name));
  }
  for (guint i = 0; i < gone->len; i++)
    relay_closed(b, gone->pdata[i]);
}

void gateways_look(Brain *b)
{
  GHashTableIter i;
  void *name, *value;
  g_hash_table_iter_init(&i, b->gateways);
  while (g_hash_table_iter_next(&i, &name, &value)) {
    Gateway *gateway = value;
    if (gateway->look_us > b->now_us)
      continue;
    if (gateway->missed) {
      gateway_gone(b, name);
      g_hash_table_iter_remove(&i);
    } else {
      *gateway = (Gateway){ b->now_us + GATEWAY_SILENT_S * SECOND_US, true };
    }
  }
}

int64_t gateways_wake_us(Brain *b)
{
  int64_t wake_us = INT64_MAX;
  GHashTableIter i;
  void *value;
  g_hash_table_iter_init(&i, b->gateways);
  while (g_hash_table_iter_next(&i, NULL, &value))
    wake_us = MIN(wake_us, ((Gateway *)value)->look_us);
  return wake_us;
}

static void sync_closed(Brain *b, json_t *closed)
{
  size_t i;
  json_t *entry;
  json_array_foreach(closed, i, entry) {
    const char *name = entry_name(entry);
    if (name && GET(b, Relay, RELAY, name))
      relay_closed(b, name);
  }
}

static void sync_opened(Brain *b, json_t *opened, const char *gateway)
{
  size_t i;
  json_t *entry;
  json_array_foreach(opened, i, entry) {
    const char *name = entry_name(entry);
    const Relay *relay = name ? GET(b, Relay, RELAY, name) : NULL;
    if (relay && !relay->open)
      relay_opened(b, name, gateway);
  }
}

/* With a full list: what it does not name is closed. Returns what must be cut, a JSON array. */
static json_t *sync_compare(Brain *b, const char *gateway, json_t *open)
{
  json_t *cut = json_array();
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_RELAY);
  g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < names->len; i++) {
    const Relay *relay = GET(b, Relay, RELAY, names->pdata[i]);
    if (!relay->open || g_strcmp0(relay->gateway, gateway))
      continue;
    if (open && !list_has(open, relay->head.name))
      g_ptr_array_add(gone, g_strdup(relay->head.name));
    else if (relay_must_go(b, relay))
      json_array_append_new(cut, json_pack("{ss ss}", "relay", relay->head.name, "reason", has_moved_away(b, relay) ? "moved" : "session-ended"));
  }
  for (guint i = 0; i < gone->len; i++)
    relay_closed(b, gone->pdata[i]);
  return cut;
}

/* Relays that the gateway holds and we never heard of, or no longer know. */
static void cut_unknown(Brain *b, json_t *open, json_t *cut)
{
  size_t i;
  json_t *entry;
  json_array_foreach(open, i, entry) {
    const char *name = entry_name(entry);
    if (name && !GET(b, Relay, RELAY, name))
      json_array_append_new(cut, json_pack("{ss ss}", "relay", name, "reason", "unknown"));
  }
}

bool verb_gateway_sync(Brain *b, const Request *r, Answer *a, GError **err)
{
  const char *gateway = request_text(r, "gateway");
  if (!gateway || strlen(gateway) > 63)
    return error_false(err, REASON_MISSING_FIELD, "field", "gateway", NULL);
  bool known = gateway_heard(b, gateway); /* one that comes back from a silence holds consoles that we have closed */
  json_t *open = json_is_true(json_object_get(r->body, "full")) ? json_object_get(r->body, "open") : NULL;
  sync_opened(b, json_object_get(r->body, "opened"), gateway);
  sync_opened(b, open, gateway);
  sync_closed(b, json_object_get(r->body, "closed"));
  json_t *cut = sync_compare(b, gateway, open);
  cut_unknown(b, open, cut);
  json_t *answer = json_pack("{so sb}", "cut", cut, "full", !known && !open);
  a->json = json_dumps(answer, JSON_COMPACT);
  json_decref(answer);
  return true;
}

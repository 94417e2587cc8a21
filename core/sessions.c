/* Sessions: a person's hold on a desktop, from the request to its end. */
#include "core/brain_parts.h"
#include "core/licences.h"
#include "core/placing.h"
#include "core/reservations.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

enum { DENIAL_S = 60 };

/* by: whose doing it is; NULL = whoever asked for what is being done. */
static Session *session_move_by(Brain *b, const char *name, SessionMove move, const char *by, const char *detail)
{
  Session *s = EDIT(b, Session, SESSION, name);
  SessionState to;
  if (!session_next(s->state, move, &to, NULL))
    g_error("session %s: a session that is %s cannot %s", name, session_state_name(s->state), session_move_name(move));
  s->state = to;
  g_autofree char *kind = g_strconcat("session.", session_state_name(to), NULL);
  brain_event(b, kind, NOUN_SESSION, name, by, detail);
  return s;
}

static Session *session_move(Brain *b, const char *name, SessionMove move)
{
  return session_move_by(b, name, move, GET(b, Session, SESSION, name)->user, NULL);
}

static PersonaliseMode personalise_mode(Brain *b, const Desktop *d)
{
  const Pool *pool = GET(b, Pool, POOL, d->pool);
  const TemplateVersion *t = GET(b, TemplateVersion, TEMPLATE, d->template);
  PersonaliseMode mode = pool ? pool->personalise : PERSONALISE_NONE;
  return mode == PERSONALISE_TEMPLATE ? (t ? (PersonaliseMode)t->personalise : PERSONALISE_NONE) : mode;
}

/* What brings the person's account into a desktop that is on; N_TASK_KINDS = nothing has to. */
static TaskKind personalise_task(Brain *b, const Desktop *d, const char *user)
{
  switch (personalise_mode(b, d)) {
  case PERSONALISE_AGENT:
    return TASK_PERSONALISE;
  case PERSONALISE_SEED: /* one that has it is not started anew: its person may have left work in it. root needs none */
    return GET(b, User, USER, user) && g_strcmp0(d->seeded, user) ? TASK_RESEED : N_TASK_KINDS;
  case PERSONALISE_NONE:
  case PERSONALISE_TEMPLATE: /* a template names none of itself */
  case N_PERSONALISE_MODES:
    return N_TASK_KINDS;
  }
  return N_TASK_KINDS;
}

void session_assign(Brain *b, const char *name, const char *desktop)
{
  const Pool *pool = GET(b, Pool, POOL, GET(b, Session, SESSION, name)->pool);
  bool waited = GET(b, Session, SESSION, name)->state == SESSION_QUEUED;
  Session *s = session_move(b, name, waited ? SESSION_OFFER : SESSION_ASSIGN);
  s->assigned = b->now_us;
  s->take_by = b->now_us + pool_offer_us(pool);
  s->ends = pool->lasts_s ? b->now_us + pool->lasts_s * SECOND_US : 0;
  s->warns = s->ends ? MAX(b->now_us, s->ends - pool_warn_us(pool)) : 0;
  list_set(&s->licences, (const char *const *)pool->licences); /* as they are now: what is held does not change with the pool */
  text_set(&s->error, NULL);
  text_set(&s->desktop, desktop);
  const Desktop *seen = GET(b, Desktop, DESKTOP, desktop);
  ref_set(&s->host, seen->host);
  bool fresh = seen->state == DESKTOP_AVAILABLE;
  Desktop *d = fresh ? desktop_move(b, desktop, MOVE_ASSIGN) : EDIT(b, Desktop, DESKTOP, desktop);
  text_set(&d->session, name);
  if (pool->kind == POOL_DEDICATED)
    ref_set(&d->owner, s->user);
  TaskKind personalise = personalise_task(b, d, s->user);
  if (personalise != N_TASK_KINDS)
    d->touched = true; /* from the moment it is wanted: nobody can tell how far it came */
  else
    s->prepared = s->ready = true;
  task_drop(b, d->task); /* what an earlier session asked of it is not waited for */
  if (!fresh) { /* its owner may have left it off, or starting again */
    d->want_power = POWER_ON;
    s->prepared = s->ready = false;
    text_set(&s->task, task_begin(b, TASK_WAKE, NOUN_DESKTOP, desktop, s->user));
  } else if (personalise != N_TASK_KINDS) {
    text_set(&s->task, task_begin(b, personalise, NOUN_DESKTOP, desktop, s->user));
  }
}

/* Nobody can take what is not there yet: the time to come runs from when the desktop is ready. */
static void offer_begins(Brain *b, Session *s)
{
  const Pool *pool = GET(b, Pool, POOL, s->pool);
  if (s->take_by && pool)
    s->take_by = b->now_us + pool_offer_us(pool);
}

void session_take(Brain *b, const char *name, int64_t until_us)
{
  if (GET(b, Session, SESSION, name)->state == SESSION_OFFERED)
    session_move(b, name, SESSION_ASSIGN);
  int64_t take_by_us = GET(b, Session, SESSION, name)->take_by;
  if (take_by_us && take_by_us < until_us)
    EDIT(b, Session, SESSION, name)->take_by = until_us;
}

/* A person's own desktop is the only one for them: while it cannot be had, nobody waits in line for another. */
static bool owned_usable(Brain *b, const Desktop *owned, GError **err)
{
  if (desktop_is_migrating(b, owned))
    return error_false(err, REASON_DESKTOP_BUSY, "desktop", owned->head.name, "task", owned->task, "kind", task_kind_name(TASK_MIGRATE), NULL);
  if (owned->state == DESKTOP_ASSIGNED && !owned->session)
    return true;
  return error_false(err, REASON_DESKTOP_AWAY, "desktop", owned->head.name, "state", desktop_state_name(owned->state), "host", owned->host, NULL);
}

static const Desktop *own_or_none(Brain *b, const char *pool, const char *user, bool *ret_owns)
{
  const Desktop *owned = state_owned_desktop(b->state, pool, user);
  *ret_owns = owned;
  return owned && owned_usable(b, owned, NULL) ? owned : NULL;
}

/* Who has waited longest of those for whom a desktop is there: of a dedicated pool their own, of another one that is kept for nobody else. */
static const Session *next_of_queue(Brain *b, const Pool *pool, const Keeping *kept, const Desktop **ret_desktop)
{
  const Desktop *available = state_pool_available(b->state, pool->head.name);
  g_autoptr(GPtrArray) line = state_pool_line(b->state, pool->head.name);
  g_autoptr(Misses) misses = pool->licences ? misses_of(b) : NULL;
  for (guint i = 0; i < line->len; i++) {
    const Session *s = line->pdata[i];
    bool owns = false;
    const Desktop *own = pool->kind == POOL_DEDICATED ? own_or_none(b, pool->head.name, s->user, &owns) : NULL;
    *ret_desktop = owns ? own : keeping_lets(kept, s->user) ? available : NULL;
    if (*ret_desktop && licences_fit_beside(b, misses, pool, s->user) > 0)
      return s;
  }
  return NULL;
}

const Session *pool_next_served(Brain *b, const Pool *pool, const Desktop **ret_desktop)
{
  const Session *first = state_pool_waiting(b->state, pool->head.name);
  const Desktop *available = state_pool_available(b->state, pool->head.name);
  if (!first || (!available && pool->kind != POOL_DEDICATED) || (!reservations_begun(b) && licences_fit(b, pool, NULL) <= 0))
    return NULL;
  *ret_desktop = available;
  if (pool->kind != POOL_DEDICATED && !reservations_begun(b))
    return first;
  g_autoptr(Keeping) kept = keeping_of(b, pool->head.name);
  return next_of_queue(b, pool, kept, ret_desktop);
}

void sessions_serve(Brain *b, const char *pool)
{
  const Pool *p = GET(b, Pool, POOL, pool);
  if (p && p->licences) {
    licences_serve(b);
    return;
  }
  for (const Desktop *d; p;) {
    const Session *s = pool_next_served(b, p, &d);
    if (!s)
      return;
    g_autofree char *session = g_strdup(s->head.name);
    g_autofree char *desktop = g_strdup(d->head.name);
    session_assign(b, session, desktop);
  }
}

/* Why nobody can be let in now; NULL = nothing hinders. */
static GError *hindrance(Brain *b, const Session *s, const Desktop *d)
{
  g_autoptr(GError) known = d->error ? brain_error_of(d->error) : NULL;
  const Task *task = d->task ? GET(b, Task, TASK, d->task) : NULL;
  bool coming = task && (task->kind == TASK_HEAL || task->kind == TASK_WAKE);
  GError *err = NULL;
  bool partless = error_is(known, REASON_GPU_PART_MISSING) || error_is(known, REASON_GPU_LEFT) || error_is(known, REASON_GPU_CARD_BAD) ||
                  error_is(known, REASON_GPU_CHANGED);
  if (d->state == DESKTOP_LOST && partless) /* its host answers */
    err = g_steal_pointer(&known);
  else if (d->state == DESKTOP_LOST || (s->prepared && d->power == POWER_UNKNOWN)) /* back with its host, it has to be seen first */
    error_set(&err, REASON_DESKTOP_AWAY, "desktop", d->head.name, "state", desktop_state_name(DESKTOP_LOST), "host", d->host, NULL);
  else if (s->prepared && (error_is(known, REASON_DESKTOP_VANISHED) || error_is(known, REASON_DESKTOP_ELSEWHERE)))
    err = g_steal_pointer(&known);
  else if (s->prepared && coming)
    error_set(&err, REASON_DESKTOP_BUSY, "desktop", d->head.name, "task", d->task, "kind", task_kind_name(task->kind), NULL);
  else if (s->prepared && d->power != POWER_ON)
    error_set(&err, REASON_DESKTOP_OFF, "desktop", d->head.name, "state", power_state_name(d->power), NULL);
  return err;
}

void session_refresh(Brain *b, const char *desktop)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  const Session *s = d && d->session ? GET(b, Session, SESSION, d->session) : NULL;
  if (!s || !session_state_is_live(s->state))
    return;
  g_autoptr(GError) err = hindrance(b, s, d);
  g_autofree char *why = err ? brain_error_json(err) : NULL;
  bool ready = s->prepared && !err;
  if (ready == s->ready && !g_strcmp0(why, s->error))
    return;
  if (ready != s->ready)
    brain_event(b, ready ? "session.ready" : "session.away", NOUN_SESSION, s->head.name, ready ? s->user : NULL, why);
  Session *fresh = EDIT(b, Session, SESSION, d->session);
  fresh->ready = ready;
  text_set(&fresh->error, why);
}

void session_woken(Brain *b, const char *desktop)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  const Session *held = d->session ? GET(b, Session, SESSION, d->session) : NULL;
  TaskKind personalise = held && !held->prepared ? personalise_task(b, d, held->user) : N_TASK_KINDS;
  if (personalise == N_TASK_KINDS) {
    session_personalised(b, desktop, NULL);
    return;
  }
  Session *s = EDIT(b, Session, SESSION, d->session);
  text_set(&s->task, task_begin(b, personalise, NOUN_DESKTOP, desktop, s->user));
}

void session_personalised(Brain *b, const char *desktop, const GError *err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  const Session *s = d->session ? GET(b, Session, SESSION, d->session) : NULL;
  if (!s)
    return;
  g_autofree char *name = g_strdup(s->head.name);
  if (!err) {
    Session *prepared = EDIT(b, Session, SESSION, name);
    if (!prepared->prepared)
      offer_begins(b, prepared);
    prepared->prepared = true;
    text_set(&prepared->task, NULL);
    session_refresh(b, desktop);
    return;
  }
  g_free(EDIT(b, Session, SESSION, name)->error);
  EDIT(b, Session, SESSION, name)->error = brain_error_json(err);
  session_end(b, name, END_FAILED, NULL);
}

void session_end(Brain *b, const char *name, EndReason reason, const char *user)
{
  const Session *s = GET(b, Session, SESSION, name);
  if (session_state_is_final(s->state))
    return;
  /* names of people and reasons need no escapes */
  g_autofree char *detail = g_strdup_printf("{\"reason\":\"%s\",\"user\":\"%s\"}", end_reason_name(reason), s->user);
  Session *ended = session_move_by(b, name, SESSION_END, user, detail);
  if (ended->state == SESSION_ENDING)
    /* its tickets open nothing from now on, and its relays are cut at the gateway's next sync */
    ended = session_move_by(b, name, SESSION_GONE, user, detail);
  ended->reason = reason;
  ended->ended = b->now_us;
  demand_close(b, ended);
  ended->ready = ended->prepared = false;
  ended->take_by = 0;
  if (reason != END_FAILED && reason != END_HOST_LOST && reason != END_DENIED)
    g_clear_pointer(&ended->error, g_free); /* what hindered it is over with it */
  text_set(&ended->task, NULL);
  if (!ended->desktop || !GET(b, Desktop, DESKTOP, ended->desktop))
    return;
  g_autofree char *desktop = g_strdup(ended->desktop);
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  if (!g_strcmp0(d->session, name))
    desktop_release(b, desktop);
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

const Session *session_of(Brain *b, const char *user, const char *pool)
{
  g_autoptr(GPtrArray) names = state_user_sessions(b->state, user);
  for (guint i = 0; i < names->len; i++) {
    const Session *s = GET(b, Session, SESSION, names->pdata[i]);
    if (!session_state_is_final(s->state) && !g_strcmp0(s->pool, pool))
      return s;
  }
  return NULL;
}

static bool refuse_restrained(const Pool *pool, GError **err)
{
  g_autoptr(GError) why = brain_error_of(pool->error);
  g_autofree char *text = pool->error ? error_text(why, LANG_EN) : g_strdup("");
  return error_false(err, REASON_POOL_RESTRAINED, "pool", pool->head.name, "error", text, NULL);
}

/* There are some, for others. */
static bool refuse_kept(Brain *b, const Pool *pool, const Keeping *kept, GError **err)
{
  int64_t until_us = INT64_MAX;
  for (guint i = 0; i < kept->all->len; i++) {
    const Kept *k = &g_array_index(kept->all, Kept, i);
    until_us = k->ready ? MIN(until_us, k->r->until) : until_us;
  }
  g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc((until_us + SECOND_US - 1) / SECOND_US);
  g_autofree char *until = g_date_time_format(date, "%Y-%m-%dT%H:%M:%SZ"), *n = g_strdup_printf("%" G_GINT64_FORMAT, kept->ready);
  return error_false(err, REASON_POOL_RESERVED, "pool", pool->head.name, "kept", n, "until", until, NULL);
}

/* A pool that cannot serve one more behind those before now nor soon: why, in numbers, and what would help first. */
static bool refuse_full(Brain *b, const Pool *pool, const char *user, int before, GError **err)
{
  PoolUse use = state_pool_use(b->state, pool->head.name);
  g_autoptr(Keeping) kept = keeping_of(b, pool->head.name);
  int coming = use.by_state[DESKTOP_PROVISIONING] + use.by_state[DESKTOP_WAIT_READY] + use.by_state[DESKTOP_RESETTING];
  if (keeping_expects(kept, user) || (kept ? MIN(coming, kept->coming) > before - kept->waiting : coming > before))
    return true; /* one is on its way for this session too */
  int standing = use.total - use.by_state[DESKTOP_RETIRING] - use.by_state[DESKTOP_QUARANTINED];
  g_autofree char *max = g_strdup_printf("%" G_GINT64_FORMAT, pool->max);
  g_autofree char *held = g_strdup_printf("%d", use.by_state[DESKTOP_ASSIGNED] + use.by_state[DESKTOP_USED]);
  g_autofree char *coming_text = g_strdup_printf("%d", coming);
  g_autofree char *waiting = g_strdup_printf("%d", use.waiting);
  if (pool->state == POOL_RESTRAINED)
    return refuse_restrained(pool, err);
  if (standing >= pool->max && kept && kept->ready)
    return refuse_kept(b, pool, kept, err);
  if (standing >= pool->max)
    return error_false(err, REASON_POOL_FULL, "pool", pool->head.name, "max", max, "held", held, "coming", coming_text, "waiting", waiting, NULL);
  DesktopPlace place;
  return image_resolve(b, pool->image, err) && template_resolve(b, pool->template, err) && place_pick(b, pool, &place, err);
}

static bool pool_usable(Brain *b, const Pool *pool, const Caller *caller, const char *user, GError **err)
{
  if (pool->users && !g_strv_contains((const char *const *)pool->users, user))
    return error_false(err, REASON_NOT_FOUND, "kind", "pool", "name", pool->head.name, NULL);
  if (pool->state == POOL_PAUSED || pool->state == POOL_DELETING)
    return error_false(err, REASON_POOL_CLOSED, "pool", pool->head.name, "state", pool_state_name(pool->state), NULL);
  return true;
}

static bool user_usable(Brain *b, const char *name, const Caller *caller, GError **err)
{
  const User *user = GET(b, User, USER, name);
  bool local = caller->local && !g_strcmp0(name, caller->user); /* root at the controller needs no account */
  if (!user && local)
    return true;
  if (!user)
    return error_false(err, REASON_NOT_FOUND, "kind", "user", "name", name ? name : "", NULL);
  if (user->disabled)
    return error_false(err, REASON_USER_DISABLED, "user", name, NULL);
  return true;
}

static bool wants_ticket(const Request *r)
{
  return json_is_true(json_object_get(r->body, "ticket"));
}

static void answer_ticket(Brain *b, const Request *r, Answer *a, const char *session)
{
  const Session *s = GET(b, Session, SESSION, session);
  if (wants_ticket(r) && s->desktop)
    a->json = ticket_make(b, s, r);
}

static gboolean denial_is_old(void *key, void *written_us, void *now_us)
{
  return *(int64_t *)now_us - *(int64_t *)written_us >= DENIAL_S * SECOND_US;
}

/* The reason, and what was asked for: demand that was not met is counted by it. Owned by the caller. */
static char *denied_detail(Brain *b, const char *pool, const GError *why)
{
  Wish w;
  g_autofree char *text = brain_error_json(why);
  const Pool *p = GET(b, Pool, POOL, pool);
  if (!wish_of(b, p, &w, NULL))
    return g_steal_pointer(&text);
  json_auto_t *detail = json_loads(text, 0, NULL);
  json_object_set_new(detail, "vcpus", json_integer(p->vcpus ? p->vcpus : w.template->vcpus));
  json_object_set_new(detail, "memory_mib", json_integer(p->memory_mib ? p->memory_mib : w.template->memory_mib));
  for (char **l = p->licences; l && *l; l++) {
    json_t *list = json_object_get(detail, "licences");
    if (!list)
      json_object_set_new(detail, "licences", list = json_array());
    json_array_append_new(list, json_string(*l));
  }
  if (w.class) {
    json_object_set_new(detail, "gpu_class", json_string(w.class->head.name));
    json_object_set_new(detail, "gpus", json_integer(w.gpus));
  }
  char *all = json_dumps(detail, JSON_COMPACT), *copy = g_strdup(all);
  free(all);
  return copy;
}

/* Once a minute for a person and a pool: who asks in a loop must not fill the history. Whether it was written. */
static bool denied_event(Brain *b, const char *pool, const char *user, const GError *why)
{
  g_autofree char *key = g_strconcat(pool, " ", user, NULL);
  g_hash_table_foreach_remove(b->denials, denial_is_old, &b->now_us);
  if (g_hash_table_contains(b->denials, key))
    return false;
  g_hash_table_insert(b->denials, g_steal_pointer(&key), g_memdup2(&b->now_us, sizeof b->now_us));
  g_autofree char *detail = denied_detail(b, pool, why);
  brain_event(b, "session.denied", NOUN_POOL, pool, user, detail);
  return true;
}

/* Which hosts there are, and what of them failed, is for those who may list them. */
static void tell_person(GError **err)
{
  g_autoptr(GError) staff = NULL;
  if (!error_is(*err, REASON_NO_PLACE) && !error_is(*err, REASON_POOL_RESTRAINED))
    return;
  staff = g_steal_pointer(err);
  Reason reason = error_is(staff, REASON_NO_PLACE) ? REASON_NO_ROOM : REASON_POOL_STOPPED;
  const char *counts = error_arg(staff, "counts");
  error_set(err, reason, "pool", error_arg(staff, "pool"), counts ? "counts" : NULL, counts, NULL);
}

/* ── deadlines ────────────────────────────────────────────────────────────── */

enum { BY_MOST_DAYS = 30 };

/* *ret_us: 0 = it has none. */
static bool deadline_read(Brain *b, const Request *r, int64_t *ret_us, GError **err)
{
  const json_t *by = json_object_get(r->body, "by");
  const char *text = json_string_value(by), *limit = NULL;
  *ret_us = 0;
  if (!by || json_is_null(by))
    return true;
  if (!text || !moment_parse(text, b->now_us, ret_us))
    limit = "a time from now on such as 90s, 15m, 2h or 7d, or one such as 2026-11-23T14:05:00Z";
  else if (*ret_us <= b->now_us)
    limit = "a time to come";
  else if (*ret_us > b->now_us + BY_MOST_DAYS * 86400 * SECOND_US)
    limit = "at most 30 days from now";
  return !limit || error_false(err, REASON_BAD_VALUE, "field", "by", "value", text ? text : "?", "limit", limit, NULL);
}

/* Why it has no desktop yet. Owned by the caller. */
static GError *waits_for(Brain *b, const Session *s)
{
  const Pool *pool = GET(b, Pool, POOL, s->pool);
  GError *why = licence_wait(b, s);
  if (why || !pool || !refuse_full(b, pool, s->user, state_pool_use(b->state, s->pool).waiting - 1, &why))
    return why;
  g_autofree char *text = moment_format(s->by);
  error_set(&why, REASON_DEADLINE_PASSED, "pool", s->pool, "by", text, NULL);
  return why;
}

/* Its deadline has come, and it still waits. */
static void session_deny(Brain *b, const char *name)
{
  const Session *s = GET(b, Session, SESSION, name);
  g_autoptr(GError) why = waits_for(b, s);
  if (why)
    denied_event(b, s->pool, s->user, why);
  if (why)
    tell_person(&why); /* it is shown to whose session it is */
  g_autofree char *text = why ? brain_error_json(why) : NULL;
  text_set(&EDIT(b, Session, SESSION, name)->error, text);
  session_end(b, name, END_DENIED, NULL);
}

/* When it ends is told with it. */
static void session_warn(Brain *b, const char *name)
{
  const Session *s = GET(b, Session, SESSION, name);
  g_autoptr(GDateTime) ends = g_date_time_new_from_unix_utc(s->ends / SECOND_US);
  g_autofree char *at = g_date_time_format(ends, "%Y-%m-%dT%H:%M:%SZ"), *detail = g_strdup_printf("{\"ends\":\"%s\"}", at);
  session_move_by(b, name, SESSION_WARN, s->user, detail);
}

static EndReason end_reason_now(Brain *b, const Session *s)
{
  if (s->ends && s->ends <= b->now_us)
    return END_OVER;
  return s->take_by && s->take_by <= b->now_us ? END_OFFER : END_TIMEOUT;
}

static void session_held_due(Brain *b, const char *name)
{
  const Session *s = GET(b, Session, SESSION, name);
  int64_t back_us = session_back_us(s, GET(b, Pool, POOL, s->pool));
  if (back_us && back_us <= b->now_us)
    session_end(b, name, end_reason_now(b, s), NULL);
  else if (s->state == SESSION_ACTIVE && s->warns && s->warns <= b->now_us)
    session_warn(b, name);
  else
    EDIT(b, Session, SESSION, name); /* filed anew: its pool gives more time than it did */
}

void session_due(Brain *b, const char *name)
{
  const Session *s = GET(b, Session, SESSION, name);
  if (session_state_is_final(s->state))
    state_archive(b->state, NOUN_SESSION, name);
  else if (session_state_is_waiting(s->state))
    session_deny(b, name);
  else
    session_held_due(b, name);
}

/* The person's session that is there, asked for again: in line its deadline is the one that was said last. */
static void session_again(Brain *b, const Request *r, Answer *a, const Session *held, int64_t by_us)
{
  g_autofree char *name = g_strdup(held->head.name);
  if (by_us && session_state_is_waiting(held->state))
    EDIT(b, Session, SESSION, name)->by = by_us;
  answer_object(b, a, 200, name);
  answer_ticket(b, r, a, name);
}

/* There is a desktop that user may have. */
static bool pool_gives(Brain *b, const Pool *pool, const char *user)
{
  g_autoptr(Keeping) kept = keeping_of(b, pool->head.name);
  return state_pool_available(b->state, pool->head.name) && keeping_lets(kept, user);
}

bool verb_session_request(Brain *b, const Request *r, Answer *a, GError **err)
{
  const char *user = request_text(r, "user") ? request_text(r, "user") : r->caller.user;
  const Pool *pool = NEED(b, Pool, POOL, request_text(r, "pool"), err);
  int64_t by_us;
  if (!pool || !user_usable(b, user, &r->caller, err) || !pool_usable(b, pool, &r->caller, user, err) ||
      (wants_ticket(r) && !ticket_room(b, r, err)) || !deadline_read(b, r, &by_us, err))
    return false;
  const Session *held = session_of(b, user, pool->head.name);
  if (held) {
    session_again(b, r, a, held, by_us);
    return true;
  }
  const Desktop *owned = pool->kind == POOL_DEDICATED ? state_owned_desktop(b->state, pool->head.name, user) : NULL;
  if (owned && !owned_usable(b, owned, err))
    return false;
  int before = state_pool_use(b->state, pool->head.name).waiting;
  g_autoptr(GError) full = NULL;
  bool room = owned || pool_gives(b, pool, user) || refuse_full(b, pool, user, before, &full);
  bool waits = !room && by_us && (error_is(full, REASON_POOL_FULL) || error_is(full, REASON_POOL_RESERVED) || error_is(full, REASON_NO_PLACE));
  if (!room && !waits)
    g_propagate_error(err, g_steal_pointer(&full));
  if ((!room && !waits) || !licences_enough(b, pool, err)) {
    if (denied_event(b, pool->head.name, user, *err))
      demand_denied(b, pool->head.name, user, *err);
    if (r->caller.role == ROLE_USER)
      tell_person(err);
    return false;
  }
  g_autofree char *name = brain_number(b, 's');
  Session *s = state_add(b->state, NOUN_SESSION, name, b->now_us);
  ref_set(&s->user, user);
  ref_set(&s->pool, pool->head.name);
  s->by = by_us;
  if (waits) {
    tell_person(&full);
    s->error = brain_error_json(full); /* until it has one, or is told of a licence */
  }
  demand_follow(b, s);
  if (b->options.page_url)
    s->connect = g_strdup_printf("{\"url\":\"%s/#/session/%s\"}", b->options.page_url, name);
  if (owned && !pool->licences)
    session_assign(b, name, owned->head.name);
  else
    sessions_serve(b, pool->head.name);
  if (GET(b, Session, SESSION, name)->state == SESSION_REQUESTED)
    session_move(b, name, SESSION_QUEUE);
  brain_dirty(b, pool->head.name);
  answer_object(b, a, 201, name);
  answer_ticket(b, r, a, name);
  return true;
}

bool verb_session_end(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Session *s = GET(b, Session, SESSION, r->name);
  bool own = !g_strcmp0(s->user, r->caller.user);
  session_end(b, r->name, own ? END_BY_USER : END_BY_OPERATOR, r->caller.user);
  answer_object(b, a, 200, r->name);
  return true;
}

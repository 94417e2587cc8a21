#include "core/reservations.h"

#include <string.h>

#include "core/licences.h"
#include "core/placing.h"
#include "core/text.h"

enum { RESERVATIONS_MOST = 500, UNTIL_MOST_DAYS = 366 };

/* ── those whose time has come ────────────────────────────────────────────── */

/* Who is named comes before whoever comes: what is left of one's people is in no reservation of others. */
static int compare_reservations(const void *a, const void *b)
{
  const Reservation *x = *(const Reservation *const *)a, *y = *(const Reservation *const *)b;
  if (!x->users != !y->users)
    return x->users ? -1 : 1;
  if (x->from != y->from)
    return x->from < y->from ? -1 : 1;
  return strcmp(x->head.name, y->head.name);
}

/* pool NULL: of all pools. NULL = there are none. */
static GPtrArray *begun_of(Brain *b, const char *pool)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_RESERVATION), all = g_ptr_array_new();
  for (guint i = 0; i < names->len; i++) {
    const Reservation *r = GET(b, Reservation, RESERVATION, names->pdata[i]);
    if (r->state != RESERVATION_PLANNED && (!pool || !g_strcmp0(r->pool, pool)))
      g_ptr_array_add(all, (void *)r);
  }
  g_ptr_array_sort(all, compare_reservations);
  return all->len ? g_steal_pointer(&all) : NULL;
}

bool reservations_begun(Brain *b)
{
  g_autoptr(GPtrArray) begun = begun_of(b, NULL);
  return begun;
}

static bool is_for(const Reservation *r, const char *user)
{
  return !r->users || (user && g_strv_contains((const char *const *)r->users, user));
}

/* A session counts for one reservation; counted: names of sessions that count already. */
static void kept_count(Kept *k, const Session *s, GHashTable *counted)
{
  bool waits = session_state_is_waiting(s->state);
  if ((!waits && !session_state_is_live(s->state)) || k->used + k->waiting >= k->r->count || !g_hash_table_add(counted, s->head.name))
    return;
  k->waiting += waits;
  k->used += !waits;
}

static bool may_ask(Brain *b, const Pool *pool, const char *name)
{
  const User *user = GET(b, User, USER, name);
  return user && !user->disabled && pool && (!pool->users || g_strv_contains((const char *const *)pool->users, name));
}

/* How many may still come: a person has one session of a pool at most, so what is kept beyond them nobody gets. */
static int64_t count_named(Brain *b, Kept *k, GHashTable *counted)
{
  int64_t may_come = 0;
  const Pool *pool = GET(b, Pool, POOL, k->r->pool);
  for (char **user = k->r->users; *user; user++) {
    const Session *s = session_of(b, *user, k->r->pool);
    int64_t waiting = k->waiting;
    if (s)
      kept_count(k, s, counted);
    may_come += s ? k->waiting > waiting : may_ask(b, pool, *user);
  }
  return may_come;
}

/* Whoever comes has come since it began: who was there before has what others ask for. */
static void count_anybody(Brain *b, Kept *k, GHashTable *counted)
{
  g_autoptr(GPtrArray) desktops = state_pool_desktops(b->state, k->r->pool), line = state_pool_line(b->state, k->r->pool);
  for (guint i = 0; i < desktops->len; i++) {
    const char *name = GET(b, Desktop, DESKTOP, desktops->pdata[i])->session;
    const Session *s = name ? GET(b, Session, SESSION, name) : NULL;
    if (s && s->assigned >= reservation_begins_us(k->r))
      kept_count(k, s, counted);
  }
  for (guint i = 0; i < line->len; i++)
    kept_count(k, line->pdata[i], counted);
}

static void kept_add(Brain *b, Keeping *all, const Reservation *r, GHashTable *counted)
{
  Kept k = { .r = r };
  int64_t may_come = INT64_MAX;
  if (r->users)
    may_come = count_named(b, &k, counted);
  else
    count_anybody(b, &k, counted);
  k.missing = MIN(MAX(0, r->count - k.used), may_come);
  k.ready = MIN(k.missing, all->free);
  k.coming = MIN(k.missing - k.ready, all->coming);
  all->free -= k.ready;
  all->ready += k.ready;
  all->coming -= k.coming;
  all->missing += k.missing;
  all->waiting += k.waiting;
  g_array_append_val(all->all, k);
}

Keeping *keeping_of(Brain *b, const char *pool)
{
  g_autoptr(GPtrArray) begun = begun_of(b, pool);
  if (!begun)
    return NULL;
  PoolUse use = state_pool_use(b->state, pool);
  const int *n = use.by_state;
  g_autoptr(GHashTable) counted = g_hash_table_new(g_str_hash, g_str_equal);
  Keeping *all = g_new0(Keeping, 1);
  all->all = g_array_new(FALSE, FALSE, sizeof(Kept));
  all->free = use.ready;
  all->coming = n[DESKTOP_DEFINED] + n[DESKTOP_PROVISIONING] + n[DESKTOP_WAIT_READY] + n[DESKTOP_RESETTING] + n[DESKTOP_AVAILABLE] - use.ready;
  for (guint i = 0; i < begun->len; i++)
    kept_add(b, all, begun->pdata[i], counted);
  return all;
}

void keeping_free(Keeping *keeping)
{
  if (!keeping)
    return;
  g_array_unref(keeping->all);
  g_free(keeping);
}

bool keeping_lets(const Keeping *keeping, const char *user)
{
  if (!keeping || keeping->free > 0)
    return true;
  for (guint i = 0; i < keeping->all->len; i++) {
    const Kept *k = &g_array_index(keeping->all, Kept, i);
    if (k->ready > 0 && is_for(k->r, user))
      return true;
  }
  return false;
}

bool keeping_expects(const Keeping *keeping, const char *user)
{
  for (guint i = 0; keeping && i < keeping->all->len; i++) {
    const Kept *k = &g_array_index(keeping->all, Kept, i);
    if (k->ready + k->coming > k->waiting && is_for(k->r, user))
      return true;
  }
  return false;
}

/* ── seats ────────────────────────────────────────────────────────────────── */

typedef struct {
  const char *licence, *pool, *user;  /* who asks */
  const Reservation *of;              /* what is kept for this one is wanted; or NULL */
  int64_t others, own;                /* seats kept for others than who asks; for of */
} SeatWalk;

static void misses_add(Brain *b, Misses *m, const char *pool)
{
  g_autoptr(Keeping) keeping = keeping_of(b, pool);
  for (guint i = 0; keeping && i < keeping->all->len; i++) {
    const Kept *k = &g_array_index(keeping->all, Kept, i);
    g_hash_table_insert(m->missing, (void *)k->r, GINT_TO_POINTER((int)k->missing));
  }
}

Misses *misses_of(Brain *b)
{
  GPtrArray *begun = begun_of(b, NULL);
  if (!begun)
    return NULL;
  Misses *m = g_new0(Misses, 1);
  m->begun = begun;
  m->missing = g_hash_table_new(NULL, NULL);
  for (guint i = 0; i < begun->len; i++)
    if (!g_hash_table_contains(m->missing, begun->pdata[i]))
      misses_add(b, m, ((const Reservation *)begun->pdata[i])->pool);
  return m;
}

void misses_free(Misses *misses)
{
  if (!misses)
    return;
  g_ptr_array_unref(misses->begun);
  g_hash_table_unref(misses->missing);
  g_free(misses);
}

/* Free seats go to reservations in their order. */
static void seats_walk(Brain *b, const Misses *m, SeatWalk *w, int64_t free)
{
  for (guint i = 0; m && i < m->begun->len; i++) {
    const Reservation *r = m->begun->pdata[i];
    const Pool *pool = GET(b, Pool, POOL, r->pool);
    int64_t n = pool ? licence_wanted(pool->licences, w->licence) : 0;
    int64_t missing = GPOINTER_TO_INT(g_hash_table_lookup(m->missing, r)), take = n ? MIN(missing * n, MAX(0, free)) : 0;
    free -= take;
    if (r == w->of)
      w->own = take;
    else if (!w->user || g_strcmp0(r->pool, w->pool) || !is_for(r, w->user))
      w->others += take;
  }
}

int64_t reservations_seats(Brain *b, const Misses *misses, const char *licence, const char *pool, const char *user, int64_t free)
{
  SeatWalk w = { .licence = licence, .pool = pool, .user = user };
  seats_walk(b, misses, &w, free);
  return w.others;
}

/* For how many sessions of it seats are kept. */
static int64_t seats_for(Brain *b, const Misses *m, const Reservation *r, const Pool *pool, GError **ret_why)
{
  LicenceNeed needs[LICENCES_MOST];
  int n = licence_needs(pool->licences, needs);
  int64_t least = INT64_MAX, missing = m ? GPOINTER_TO_INT(g_hash_table_lookup(m->missing, r)) : 0;
  for (int i = 0; i < n; i++) {
    SeatWalk w = { .licence = needs[i].name, .of = r };
    seats_walk(b, m, &w, licences_free(b, needs[i].name));
    least = MIN(least, w.own / needs[i].n);
    if (w.own / needs[i].n < missing && !*ret_why)
      *ret_why = licences_kept_error(b, &needs[i], needs[i].n * missing, w.others);
  }
  return least;
}

/* ── what is told of one ──────────────────────────────────────────────────── */

static GError *full_error(Brain *b, const Pool *pool)
{
  GError *err = NULL;
  PoolUse use = state_pool_use(b->state, pool->head.name);
  const int *n = use.by_state;
  int coming = n[DESKTOP_PROVISIONING] + n[DESKTOP_WAIT_READY] + n[DESKTOP_RESETTING];
  const int64_t numbers[] = { pool->max, n[DESKTOP_ASSIGNED] + n[DESKTOP_USED], coming, use.waiting };
  char texts[G_N_ELEMENTS(numbers)][24];
  for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
    g_snprintf(texts[i], sizeof texts[i], "%" G_GINT64_FORMAT, numbers[i]);
  error_set(&err, REASON_POOL_FULL, "pool", pool->head.name, "max", texts[0], "held", texts[1], "coming", texts[2], "waiting", texts[3], NULL);
  return err;
}

/* Desktops that count against the pool's max. */
static int64_t standing(Brain *b, const Pool *pool)
{
  PoolUse use = state_pool_use(b->state, pool->head.name);
  return use.total - use.by_state[DESKTOP_RETIRING] - use.by_state[DESKTOP_QUARANTINED];
}

/* Owned by the caller; NULL = nothing hinders, they are only not there yet. */
static GError *short_error(Brain *b, const Pool *pool)
{
  GError *err = NULL;
  if (pool->state == POOL_PAUSED || pool->state == POOL_DELETING)
    error_set(&err, REASON_POOL_CLOSED, "pool", pool->head.name, "state", pool_state_name(pool->state), NULL);
  else if (pool->error)
    err = brain_error_of(pool->error);
  else if (standing(b, pool) >= pool->max)
    err = full_error(b, pool);
  return err;
}

/* So many of those that it names may have a desktop of the pool; owned by the caller. */
static GError *people_error(const Reservation *r, int64_t people)
{
  GError *err = NULL;
  g_autofree char *n = g_strdup_printf("%" G_GINT64_FORMAT, people), *count = g_strdup_printf("%" G_GINT64_FORMAT, r->count);
  error_set(&err, REASON_RESERVATION_PEOPLE, "reservation", r->head.name, "pool", r->pool, "n", n, "count", count, NULL);
  return err;
}

static void state_tell(Brain *b, const char *name, ReservationState state, const char *why)
{
  if (GET(b, Reservation, RESERVATION, name)->state == (int)state)
    return;
  EDIT(b, Reservation, RESERVATION, name)->state = state;
  brain_event(b, state == RESERVATION_HELD ? "reservation.held" : "reservation.short", NOUN_RESERVATION, name, NULL, why);
}

static void kept_tell(Brain *b, const Misses *m, const Pool *pool, const Kept *k)
{
  g_autofree char *name = g_strdup(k->r->head.name);
  g_autoptr(GError) why = NULL;
  int64_t seats = seats_for(b, m, k->r, pool, &why), ready = MIN(k->ready, seats), held = k->used + MIN(k->ready + k->coming, seats);
  bool all = held >= k->r->count;
  if (!all && !why && held < k->used + k->missing)
    why = short_error(b, pool);
  if (!all && !why && k->used + k->missing < k->r->count)
    why = people_error(k->r, k->used + k->missing);
  g_autofree char *text = !all && why ? brain_error_json(why) : NULL;
  const Reservation *r = k->r;
  if (r->held != held || r->ready != ready || r->used != k->used || g_strcmp0(r->error, text)) {
    Reservation *seen = SEE(b, Reservation, RESERVATION, name);
    seen->held = held;
    seen->ready = ready;
    seen->used = k->used;
    text_set(&seen->error, text);
  }
  state_tell(b, name, all ? RESERVATION_HELD : RESERVATION_SHORT, text);
}

void reservations_tell(Brain *b, const char *pool)
{
  const Pool *p = GET(b, Pool, POOL, pool);
  g_autoptr(Keeping) keeping = p ? keeping_of(b, pool) : NULL;
  g_autoptr(Misses) misses = keeping && p->licences ? misses_of(b) : NULL;
  for (guint i = 0; keeping && i < keeping->all->len; i++)
    kept_tell(b, misses, p, &g_array_index(keeping->all, Kept, i));
}

/* ── time ─────────────────────────────────────────────────────────────────── */

static void reservation_end(Brain *b, const char *name, const char *event)
{
  g_autofree char *pool = g_strdup(GET(b, Reservation, RESERVATION, name)->pool);
  brain_event(b, event, NOUN_RESERVATION, name, NULL, NULL);
  state_delete(b->state, NOUN_RESERVATION, name);
  brain_dirty(b, pool); /* what was kept is there for all */
}

void reservation_due(Brain *b, const char *name)
{
  const Reservation *r = GET(b, Reservation, RESERVATION, name);
  if (r->until <= b->now_us) {
    reservation_end(b, name, "reservation.over");
    return;
  }
  brain_event(b, "reservation.begun", NOUN_RESERVATION, name, NULL, NULL);
  EDIT(b, Reservation, RESERVATION, name)->state = RESERVATION_HELD; /* what is not is told by its pool, in this very batch */
  brain_dirty(b, r->pool);
}

void reservations_drop(Brain *b, const char *pool)
{
  g_autoptr(GPtrArray) names = names_copy(state_names(b->state, NOUN_RESERVATION));
  for (guint i = 0; i < names->len; i++)
    if (!g_strcmp0(GET(b, Reservation, RESERVATION, names->pdata[i])->pool, pool))
      reservation_end(b, names->pdata[i], "reservation.removed");
}

/* ── people ───────────────────────────────────────────────────────────────── */

static bool names_user(const Reservation *r, const char *user)
{
  return r->users && g_strv_contains((const char *const *)r->users, user);
}

void reservations_user_changed(Brain *b, const char *user)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_RESERVATION);
  for (guint i = 0; i < names->len; i++) {
    const Reservation *r = GET(b, Reservation, RESERVATION, names->pdata[i]);
    if (names_user(r, user))
      brain_dirty(b, r->pool);
  }
}

static char **users_without(char **users, const char *user)
{
  g_autoptr(GStrvBuilder) left = g_strv_builder_new();
  for (; *users; users++)
    if (strcmp(*users, user))
      g_strv_builder_add(left, *users);
  return g_strv_builder_end(left);
}

void reservations_user_gone(Brain *b, const char *user)
{
  g_autoptr(GPtrArray) names = names_copy(state_names(b->state, NOUN_RESERVATION));
  for (guint i = 0; i < names->len; i++) {
    const Reservation *r = GET(b, Reservation, RESERVATION, names->pdata[i]);
    if (!names_user(r, user))
      continue;
    g_auto(GStrv) left = users_without(r->users, user);
    if (!left[0]) { /* without names it would be for whoever comes */
      reservation_end(b, names->pdata[i], "reservation.removed");
      continue;
    }
    Reservation *changed = EDIT(b, Reservation, RESERVATION, names->pdata[i]);
    g_strfreev(changed->users);
    changed->users = g_steal_pointer(&left);
    brain_event(b, "reservation.changed", NOUN_RESERVATION, changed->head.name, NULL, NULL);
    brain_dirty(b, changed->pool);
  }
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

static bool bad(const char *field, const char *value, const char *limit, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", value ? value : "?", "limit", limit, NULL);
}

/* A field of the request that is a moment; *us stays where it is not given. */
static bool moment_read(Brain *b, const Request *r, const char *field, int64_t *us, GError **err)
{
  const json_t *value = json_object_get(r->body, field);
  const char *text = json_string_value(value);
  if (!value || json_is_null(value))
    return true;
  if (!text || !moment_parse(text, b->now_us, us))
    return bad(field, text, "a time from now on such as 90s, 15m, 2h or 7d, or one such as 2026-11-23T14:05:00Z", err);
  if (*us < b->now_us)
    return bad(field, text, "a time to come", err);
  return *us <= b->now_us + UNTIL_MOST_DAYS * 86400 * SECOND_US || bad(field, text, "at most 366 days from now", err);
}

static bool times_read(Brain *b, const Request *r, Reservation *v, GError **err)
{
  if (!moment_read(b, r, "from", &v->from, err) || !moment_read(b, r, "until", &v->until, err))
    return false;
  if (!v->until)
    return error_false(err, REASON_MISSING_FIELD, "field", "until", NULL);
  return v->until > v->from || bad("until", request_text(r, "until"), "later than from", err);
}

/* Who is named twice is one. */
static void users_once(Reservation *v)
{
  g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
  g_autoptr(GStrvBuilder) once = g_strv_builder_new();
  for (char **user = v->users; user && *user; user++)
    if (g_hash_table_add(seen, *user))
      g_strv_builder_add(once, *user);
  if (!v->users || g_hash_table_size(seen) == g_strv_length(v->users))
    return;
  g_auto(GStrv) all = v->users;
  v->users = g_strv_builder_end(once);
}

static bool users_ok(Brain *b, const Reservation *v, const Pool *pool, GError **err)
{
  for (char **user = v->users; user && *user; user++) {
    if (!NEED(b, User, USER, *user, err))
      return false;
    if (pool->users && !g_strv_contains((const char *const *)pool->users, *user))
      return bad("users", *user, "people who may use the pool", err);
  }
  return true;
}

static bool reservation_ok(Brain *b, const Request *r, const Reservation *v, GError **err)
{
  const Pool *pool = NEED(b, Pool, POOL, v->pool, err);
  if (!pool)
    return false;
  if (pool->kind == POOL_DEDICATED)
    return bad("pool", v->pool, "a floating pool: a dedicated one keeps its desktops for their owners anyway", err);
  if (pool->state == POOL_DELETING)
    return error_false(err, REASON_POOL_CLOSED, "pool", v->pool, "state", pool_state_name(pool->state), NULL);
  g_autofree char *count = g_strdup_printf("%" G_GINT64_FORMAT, v->count);
  g_autofree char *limit = g_strdup_printf("at most max, which is %" G_GINT64_FORMAT, pool->max);
  bool names = json_object_get(r->body, "users"); /* who was named before may have lost the pool since: that hinders no other change */
  return (v->count <= pool->max || bad("count", count, limit, err)) && (!names || users_ok(b, v, pool, err));
}

/* How many of its people have a desktop of the pool, or may. */
static int64_t people_of(Brain *b, const Reservation *v, const Pool *pool)
{
  int64_t n = 0;
  for (char **user = v->users; *user; user++)
    n += may_ask(b, pool, *user) || session_of(b, *user, v->pool);
  return n;
}

/* Whether there would be room for it now: things may change until then, so that is told, and refuses nothing. */
static void room_tell(Brain *b, Reservation *v)
{
  const Pool *pool = GET(b, Pool, POOL, v->pool);
  g_autoptr(Keeping) keeping = keeping_of(b, v->pool);
  int64_t ready = keeping ? keeping->free : state_pool_use(b->state, v->pool).ready;
  for (guint i = 0; keeping && i < keeping->all->len; i++) {
    const Kept *k = &g_array_index(keeping->all, Kept, i);
    if (!strcmp(k->r->head.name, v->head.name)) /* it is changed while it is held */
      ready += k->used + k->ready + k->coming;
  }
  int64_t people = v->users ? people_of(b, v, pool) : v->count, useful = MIN(v->count, people);
  ready = MIN(useful, ready);
  int64_t wanted = useful - ready, may = MIN(wanted, MAX(0, pool->max - standing(b, pool)));
  g_autoptr(GError) why = NULL;
  int64_t placed = may ? plan_room(b, pool, (int)may, &why) : 0;
  if (!why && may < wanted)
    why = full_error(b, pool);
  if (!why && useful < v->count)
    why = people_error(v, people);
  v->fits = ready + placed;
  g_autofree char *text = why ? brain_error_json(why) : NULL;
  text_set(&v->error, text);
}

/* Kept as one whose time comes, even if that is now; or as it is, if its time has come and still has. */
static void reservation_keep(Brain *b, Reservation *take_v)
{
  bool has_come = reservation_begins_us(take_v) <= b->now_us, begins = has_come && take_v->state == RESERVATION_PLANNED;
  if (!has_come) {
    take_v->state = RESERVATION_PLANNED;
    take_v->held = take_v->ready = take_v->used = 0;
  }
  users_once(take_v);
  room_tell(b, take_v);
  g_autofree char *name = g_strdup(take_v->head.name), *pool = g_strdup(take_v->pool);
  verb_keep(b, NOUN_RESERVATION, take_v);
  if (begins)
    reservation_due(b, name);
  brain_dirty(b, pool);
}

static bool reservation_room(Brain *b, GError **err)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_RESERVATION);
  g_autofree char *n = g_strdup_printf("%u", names->len), *limit = g_strdup_printf("%d", RESERVATIONS_MOST);
  return names->len < RESERVATIONS_MOST || error_false(err, REASON_TOO_LARGE, "what", "the list of reservations", "value", n, "limit", limit, NULL);
}

bool verb_reservation_add(Brain *b, const Request *r, Answer *a, GError **err)
{
  const char *name = request_text(r, "name");
  Reservation *v = reservation_room(b, err) ? verb_new_object(b, r, NOUN_RESERVATION, name, err) : NULL;
  if (!v)
    return false;
  v->from = b->now_us;
  if (!times_read(b, r, v, err) || !reservation_ok(b, r, v, err))
    return verb_drop(NOUN_RESERVATION, v);
  reservation_keep(b, v);
  answer_object(b, a, 201, name);
  return true;
}

bool verb_reservation_change(Brain *b, const Request *r, Answer *a, GError **err)
{
  Reservation *v = verb_changed_object(b, r, NOUN_RESERVATION, err);
  if (!v)
    return false;
  if (!times_read(b, r, v, err) || !reservation_ok(b, r, v, err))
    return verb_drop(NOUN_RESERVATION, v);
  reservation_keep(b, v);
  answer_object(b, a, 200, r->name);
  return true;
}

bool verb_reservation_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  brain_dirty(b, GET(b, Reservation, RESERVATION, r->name)->pool);
  state_delete(b->state, NOUN_RESERVATION, r->name);
  return true;
}

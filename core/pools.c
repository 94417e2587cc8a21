/* Pools: how many desktops there should be, where the next one goes, and when growth stops. */
#include "core/brain_parts.h"
#include "core/licences.h"
#include "core/reservations.h"
#include "core/placing.h"

#include <stdlib.h>
#include <string.h>

enum { STARTS_MOST = 64 };

/* ── versions ─────────────────────────────────────────────────────────────── */

const ImageVersion *image_resolve(Brain *b, const char *name, GError **err)
{
  const ImageVersion *exact = strchr(name, '@') ? GET(b, ImageVersion, IMAGE, name) : NULL;
  const ImageVersion *best = exact && exact->state == IMAGE_READY ? exact : NULL;
  bool known = exact;
  g_autoptr(GPtrArray) names = exact ? g_ptr_array_new() : state_names(b->state, NOUN_IMAGE);
  for (guint i = 0; i < names->len; i++) {
    const ImageVersion *v = GET(b, ImageVersion, IMAGE, names->pdata[i]);
    if (g_strcmp0(v->family, name))
      continue;
    known = true;
    if (v->state == IMAGE_READY && (!best || v->version > best->version))
      best = v;
  }
  if (best)
    return best;
  if (known)
    return error_null(err, REASON_IMAGE_NOT_READY, "image", name, NULL);
  return error_null(err, REASON_NOT_FOUND, "kind", "image", "name", name, NULL);
}

const TemplateVersion *template_resolve(Brain *b, const char *name, GError **err)
{
  const TemplateVersion *best = GET(b, TemplateVersion, TEMPLATE, name);
  g_autoptr(GPtrArray) names = best ? g_ptr_array_new() : state_names(b->state, NOUN_TEMPLATE);
  for (guint i = 0; i < names->len; i++) {
    const TemplateVersion *v = GET(b, TemplateVersion, TEMPLATE, names->pdata[i]);
    if (!g_strcmp0(v->family, name) && (!best || v->version > best->version))
      best = v;
  }
  return best ? best : error_null(err, REASON_NOT_FOUND, "kind", "template", "name", name, NULL);
}

/* ── how many ─────────────────────────────────────────────────────────────── */

typedef struct {
  int standing;   /* that are or will be of use */
  int lost;       /* with their host: they count against the maximum, for they may come back */
  int wanted;
} Balance;

static Balance pool_balance(Brain *b, const Pool *pool)
{
  PoolUse use = state_pool_use(b->state, pool->head.name);
  const int *n = use.by_state;
  int coming = n[DESKTOP_DEFINED] + n[DESKTOP_PROVISIONING] + n[DESKTOP_WAIT_READY] + n[DESKTOP_RESETTING];
  int held = n[DESKTOP_ASSIGNED] + n[DESKTOP_USED];
  Balance balance = { .standing = coming + n[DESKTOP_AVAILABLE] + held, .lost = n[DESKTOP_LOST] };
  g_autoptr(Keeping) kept = keeping_of(b, pool->head.name);
  int64_t others = use.waiting - (kept ? kept->waiting : 0); /* who waits for what is kept for them is counted with that */
  /* who waits far back in the line of a licence needs no desktop yet */
  int64_t demand = held + licences_worth(b, pool, others) + (kept ? kept->missing : 0) + pool->spare;
  balance.wanted = (int)MIN(MAX(demand, pool->min), pool->max);
  return balance;
}

static bool grow(Brain *b, const char *name)
{
  const Pool *pool = GET(b, Pool, POOL, name);
  DesktopPlace place;
  g_autoptr(GError) err = NULL;
  if (place_pick(b, pool, &place, &err)) {
    desktop_create(b, pool, &place);
    return true;
  }
  g_autofree char *why = brain_error_json(err);
  if (g_strcmp0(pool->error, why))
    text_set(&EDIT(b, Pool, POOL, name)->error, why);
  if (error_is(err, REASON_NO_PLACE))
    rebalancing_wanted(b);
  return false;
}

/* It has what it wants, or wants no more. */
static void pool_settled(Brain *b, const char *name)
{
  if (!GET(b, Pool, POOL, name)->error)
    return;
  g_clear_pointer(&EDIT(b, Pool, POOL, name)->error, g_free);
  rebalancing_settled(b, name);
}

void pools_wake(Brain *b)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_POOL);
  for (guint i = 0; i < names->len; i++)
    if (GET(b, Pool, POOL, names->pdata[i])->error)
      brain_dirty(b, names->pdata[i]);
}

void all_pools_dirty(Brain *b)
{
  g_autoptr(GPtrArray) pools = state_names(b->state, NOUN_POOL);
  for (guint i = 0; i < pools->len; i++)
    brain_dirty(b, pools->pdata[i]);
}

/* How many were too many, at the least, since there were any: what comes and goes within that time is kept. */
static void surplus_note(Brain *b, const char *name, int surplus)
{
  const Pool *pool = GET(b, Pool, POOL, name);
  int64_t least = pool->surplus_since ? MIN(pool->surplus, surplus) : surplus;
  if (pool->surplus == MAX(least, 0))
    return;
  Pool *noted = EDIT(b, Pool, POOL, name);
  noted->surplus = MAX(least, 0);
  noted->surplus_since = !noted->surplus ? 0 : noted->surplus_since ? noted->surplus_since : b->now_us;
}

static void shrink(Brain *b, const char *name, int64_t surplus)
{
  while (surplus-- > 0) {
    const Desktop *d = state_pool_available(b->state, name);
    if (!d)
      return;
    g_autofree char *desktop = g_strdup(d->head.name);
    desktop_retire(b, desktop);
  }
}

/* How many were too many for long enough, once; see surplus_due. */
static int64_t surplus_take(Brain *b, const char *name)
{
  const Pool *pool = GET(b, Pool, POOL, name);
  int64_t surplus = pool->surplus_since ? 0 : pool->surplus;
  if (!surplus)
    return 0;
  EDIT(b, Pool, POOL, name)->surplus = 0;
  return pool->state == POOL_READY ? surplus : 0;
}

static void delete_when_empty(Brain *b, const char *name)
{
  if (state_pool_use(b->state, name).total)
    return;
  brain_event(b, "pool.gone", NOUN_POOL, name, NULL, NULL);
  state_delete(b->state, NOUN_POOL, name);
}

void pool_reconcile(Brain *b, const char *name)
{
  const Pool *pool = GET(b, Pool, POOL, name);
  if (!pool)
    return;
  if (pool->state == POOL_DELETING) {
    delete_when_empty(b, name);
    return;
  }
  Balance balance = pool_balance(b, pool);
  if (pool->state == POOL_READY) {
    bool grew = true;
    int missing = MIN(balance.wanted - balance.standing, (int)pool->max - balance.standing - balance.lost);
    for (; missing > 0 && grew; missing--)
      grew = grow(b, name);
    if (grew)
      pool_settled(b, name);
  }
  sessions_serve(b, name);
  shrink(b, name, balance.standing + balance.lost - pool->max);
  balance = pool_balance(b, GET(b, Pool, POOL, name));
  int64_t surplus = surplus_take(b, name), too_many = MIN(surplus, balance.standing - balance.wanted);
  if (too_many > 0) {
    shrink(b, name, too_many);
    balance = pool_balance(b, GET(b, Pool, POOL, name));
  }
  surplus_note(b, name, balance.standing - balance.wanted);
  reservations_tell(b, name);
}

/* ── the brake ────────────────────────────────────────────────────────────── */

void pool_failed(Brain *b, const char *name, const GError *err)
{
  if (!GET(b, Pool, POOL, name))
    return;
  Pool *pool = EDIT(b, Pool, POOL, name);
  if (!pool->errors++)
    pool->errors_since = b->now_us;
  g_free(pool->error);
  pool->error = brain_error_json(err);
  if (pool->errors < BRAKE_ERRORS || pool->state != POOL_READY)
    return;
  pool->state = POOL_RESTRAINED;
  brain_event(b, "pool.restrained", NOUN_POOL, name, NULL, pool->error);
}

static void pool_release_brake(Brain *b, const char *name)
{
  Pool *pool = EDIT(b, Pool, POOL, name);
  pool->errors = 0;
  pool->errors_since = 0;
  if (pool->state != POOL_RESTRAINED && pool->state != POOL_PAUSED)
    return;
  pool->state = POOL_READY;
  g_clear_pointer(&pool->error, g_free);
  brain_event(b, "pool.ready", NOUN_POOL, name, NULL, NULL);
  brain_dirty(b, name);
}

/* They go when all that is due at this moment has been said: a reservation that begins now wants them. */
static void surplus_due(Brain *b, const char *name)
{
  EDIT(b, Pool, POOL, name)->surplus_since = 0;
  brain_dirty(b, name);
}

void pool_due(Brain *b, const char *name)
{
  int64_t surplus_us = pool_surplus_due_us(GET(b, Pool, POOL, name));
  if (surplus_us && surplus_us <= b->now_us) {
    surplus_due(b, name);
    return;
  }
  Pool *pool = EDIT(b, Pool, POOL, name);
  if (pool->state == POOL_PAUSED) {
    pool->errors = 0;
    pool->errors_since = 0;
    return;
  }
  pool_release_brake(b, name);
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

static bool pool_refs_ok(Brain *b, const Pool *pool, GError **err)
{
  if (!licences_ok(b, pool, err))
    return false;
  for (char **s = pool->storages; s && *s; s++)
    if (!NEED(b, Storage, STORAGE, *s, err))
      return false;
  for (char **h = pool->hosts; h && *h; h++)
    if (!NEED(b, Host, HOST, *h, err))
      return false;
  g_autoptr(GError) not_ready = NULL;
  if (!image_resolve(b, pool->image, &not_ready) && !error_is(not_ready, REASON_IMAGE_NOT_READY)) {
    g_propagate_error(err, g_steal_pointer(&not_ready));
    return false;
  }
  const TemplateVersion *t = template_resolve(b, pool->template, err);
  const GpuClass *class;
  int64_t gpus;
  Policy policy;
  if (!t || !gpu_wish(b, pool, t, &class, &gpus, err) || !pool_policy_read(pool, class, &policy, err))
    return false;
  if (pool->personalise != PERSONALISE_SEED || t->seed)
    return true;
  g_autofree char *limit = g_strdup_printf("agent or none: guests of %s read no seed", t->head.name);
  return error_false(err, REASON_BAD_VALUE, "field", "personalise", "value", "seed", "limit", limit, NULL);
}

/* What is to be there can be: more than max never is. */
static bool pool_sizes_ok(const Pool *pool, GError **err)
{
  const struct { const char *name; int64_t n; } sizes[] = { { "min", pool->min }, { "spare", pool->spare } };
  g_autofree char *limit = g_strdup_printf("at most max, which is %" G_GINT64_FORMAT, pool->max);
  for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
    g_autofree char *n = g_strdup_printf("%" G_GINT64_FORMAT, sizes[i].n);
    if (sizes[i].n > pool->max)
      return error_false(err, REASON_BAD_VALUE, "field", sizes[i].name, "value", n, "limit", limit, NULL);
  }
  return true;
}

/* Hours that are to be named are. */
static bool pool_window_ok(const Pool *pool, GError **err)
{
  int from, to;
  const char *text = pool->rebalance_window;
  if (text && !rebalance_window_read(text, &from, &to))
    return error_false(err, REASON_BAD_VALUE, "field", "rebalance_window", "value", text, "limit", "two times of the day, such as 22:00-06:00", NULL);
  return text || pool->rebalance != REBALANCE_WINDOW ||
         error_false(err, REASON_BAD_VALUE, "field", "rebalance", "value", "window", "limit", "with rebalance_window, such as 22:00-06:00", NULL);
}

static bool pool_ok(Brain *b, const Pool *pool, GError **err)
{
  return pool_refs_ok(b, pool, err) && pool_sizes_ok(pool, err) && pool_window_ok(pool, err);
}

bool verb_pool_create(Brain *b, const Request *r, Answer *a, GError **err)
{
  Pool *pool = verb_new_object(b, r, NOUN_POOL, request_text(r, "name"), err);
  if (!pool)
    return false;
  if (!pool_ok(b, pool, err))
    return verb_drop(NOUN_POOL, pool);
  verb_keep(b, NOUN_POOL, pool);
  brain_dirty(b, request_text(r, "name"));
  answer_object(b, a, 201, request_text(r, "name"));
  return true;
}

bool verb_pool_change(Brain *b, const Request *r, Answer *a, GError **err)
{
  Pool *probe = verb_changed_object(b, r, NOUN_POOL, err);
  if (!probe)
    return false;
  if (!pool_ok(b, probe, err))
    return verb_drop(NOUN_POOL, probe);
  verb_keep(b, NOUN_POOL, probe);
  rebalancing_look_soon(b);
  brain_dirty(b, r->name);
  answer_object(b, a, 200, r->name);
  return true;
}

bool verb_pool_pause(Brain *b, const Request *r, Answer *a, GError **err)
{
  Pool *pool = EDIT(b, Pool, POOL, r->name);
  if (pool->state != POOL_DELETING)
    pool->state = POOL_PAUSED;
  answer_object(b, a, 200, r->name);
  return true;
}

bool verb_pool_resume(Brain *b, const Request *r, Answer *a, GError **err)
{
  pool_release_brake(b, r->name);
  brain_dirty(b, r->name);
  answer_object(b, a, 200, r->name);
  return true;
}

static void pool_empty(Brain *b, const char *name)
{
  g_autoptr(GPtrArray) names = names_copy(state_pool_desktops(b->state, name));
  for (guint i = 0; i < names->len; i++) {
    Desktop *d = EDIT(b, Desktop, DESKTOP, names->pdata[i]);
    d->retire = true;
    g_autofree char *session = g_strdup(d->session);
    if (session)
      session_end(b, session, END_POOL_DELETED, NULL);
    else
      desktop_retire(b, names->pdata[i]);
  }
}

static void pool_end_waiting(Brain *b, const char *name)
{
  const Session *s;
  while ((s = state_pool_waiting(b->state, name))) {
    g_autofree char *session = g_strdup(s->head.name);
    session_end(b, session, END_POOL_DELETED, NULL);
  }
}

bool verb_pool_delete(Brain *b, const Request *r, Answer *a, GError **err)
{
  int held = state_pool_use(b->state, r->name).held;
  if (held && !json_is_true(json_object_get(r->body, "force"))) {
    g_autofree char *n = g_strdup_printf("%d", held);
    return error_false(err, REASON_POOL_IN_USE, "pool", r->name, "held", n, NULL);
  }
  EDIT(b, Pool, POOL, r->name)->state = POOL_DELETING;
  reservations_drop(b, r->name);
  pool_end_waiting(b, r->name);
  pool_empty(b, r->name);
  brain_dirty(b, r->name);
  answer_object(b, a, 202, r->name);
  return true;
}

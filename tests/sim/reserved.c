/* What reservations promise: their people are served while something is kept for them, and nobody else gets that. */
#include "core/lifecycle.h"
#include "tests/sim/sim.h"

#include <string.h>

#define LIVE(s, Type, NOUN, name) ((const Type *)brain_find((s)->brain, NOUN_##NOUN, name))

/* A reservation whose time has come, and its pool as it is at this moment. */
typedef struct {
  const Reservation *r;
  int64_t ready, used;
  int64_t missing;      /* that its people may still ask for */
  int changing;         /* desktops of the pool that changed since the last look */
  bool left;            /* somebody who counted left since then */
  const Session *waits; /* one of its people in line */
} Reserved;

static bool is_for(const Reservation *r, const Session *s)
{
  return !r->users || g_strv_contains((const char *const *)r->users, s->user);
}

static void desktops_count(Sim *s, Reserved *v)
{
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_DESKTOP);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = LIVE(s, Desktop, DESKTOP, names->pdata[i]);
    if (strcmp(d->pool, v->r->pool))
      continue;
    v->ready += d->state == DESKTOP_AVAILABLE && !d->owner && !d->task;
    v->changing += d->head.changed_us >= s->reserved_us;
  }
}

/* Those that may ask for what is kept; -1 = who may changed since the last look. */
static int64_t askers(Sim *s, const Reservation *r, const GPtrArray *sessions)
{
  int64_t n = 0;
  const Pool *pool = LIVE(s, Pool, POOL, r->pool);
  if (pool->users && pool->head.changed_us >= s->reserved_us)
    return -1;
  for (char **name = r->users; *name; name++) {
    const User *user = LIVE(s, User, USER, *name);
    bool lives = false, waits = false;
    for (guint i = 0; i < sessions->len; i++) {
      const Session *session = sessions->pdata[i];
      lives |= !strcmp(session->user, *name) && session_state_is_live(session->state);
      waits |= !strcmp(session->user, *name) && session_state_is_waiting(session->state);
    }
    if (user && user->head.changed_us >= s->reserved_us)
      return -1;
    n += !lives && (waits || (user && !user->disabled && (!pool->users || g_strv_contains((const char *const *)pool->users, *name))));
  }
  return n;
}

static void session_count(Sim *s, Reserved *v, const Session *session)
{
  if (!is_for(v->r, session))
    return;
  bool since = v->r->users || session->assigned >= reservation_begins_us(v->r);
  v->used += since && session_state_is_live(session->state);
  v->left |= session->ended >= s->reserved_us;
  if (session_state_is_waiting(session->state))
    v->waits = session;
}

/* Only where nothing else happened to the pool since the last look: what there was when it was given is then known. */
static void check_others(Sim *s, const Reserved *v, const Session *session)
{
  bool given_now = session_state_is_live(session->state) && session->assigned >= s->reserved_us;
  if (is_for(v->r, session) || !given_now || v->changing != 1 || v->left || v->r->head.changed_us >= s->reserved_us)
    return;
  if (v->ready < v->missing)
    broken(s, "what is kept for some goes to nobody else", "%s of %s got %s, and %d are ready for the %d that %s has not used", session->head.name,
           session->user, session->desktop, (int)v->ready, (int)v->missing, v->r->head.name);
}

static void check_one(Sim *s, const Reservation *r)
{
  Reserved v = { .r = r };
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_SESSION), of_pool = g_ptr_array_new();
  for (guint i = 0; i < names->len; i++) {
    const Session *session = LIVE(s, Session, SESSION, names->pdata[i]);
    if (!strcmp(session->pool, r->pool))
      g_ptr_array_add(of_pool, (void *)session);
  }
  desktops_count(s, &v);
  for (guint i = 0; i < of_pool->len; i++)
    session_count(s, &v, of_pool->pdata[i]);
  v.missing = r->users ? MIN(r->count - v.used, askers(s, r, of_pool)) : r->count - v.used;
  if (v.waits && v.ready && v.used < r->count)
    broken(s, "who has a reservation is served while something is kept", "%s of %s waits, %d are ready, and %s has used %d of %d", v.waits->head.name,
           v.waits->user, (int)v.ready, r->head.name, (int)v.used, (int)r->count);
  for (guint i = 0; i < of_pool->len; i++)
    check_others(s, &v, of_pool->pdata[i]);
}

void check_reserved(Sim *s)
{
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_RESERVATION);
  for (guint i = 0; i < names->len; i++) {
    const Reservation *r = LIVE(s, Reservation, RESERVATION, names->pdata[i]);
    if (r->until <= s->now_us)
      broken(s, "a reservation is over when its time is", "%s is %s", r->head.name, reservation_state_name(r->state));
    if (r->state != RESERVATION_PLANNED)
      check_one(s, r);
    else if (reservation_begins_us(r) <= s->now_us)
      broken(s, "a reservation begins in time", "%s is planned", r->head.name);
  }
  s->reserved_us = s->now_us;
}

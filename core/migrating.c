/* Live migration as the brain sees it: who may go where, what each step of a move means, and what is true when one of them was not answered.
 * The claim over there stands before anything is done; the desktop's host changes once, when it was seen over there and is no more here. Whatever
 * happens on the way, both hosts are asked before either is believed, and no domain is ever started by a move. */
#include "core/ledger.h"
#include "core/placing.h"
#include "drivers/hypervisor/hypervisor.h"

#include <string.h>

/* Looks that began before a move ended are told after it; the list of a busy host takes its time. */
enum { MOVES_A_HOST = 2, LEFT_S = 60 };

typedef struct {
  int64_t until_us;
  char host[];
} Left;

const char *host_migrate_uri(const Host *h)
{
  return hypervisor_migrate_uri(h->migrate_uri, h->uri);
}

/* ── what is seen of hosts meanwhile ──────────────────────────────────────── */

bool desktop_is_migrating(Brain *b, const Desktop *d)
{
  const Task *task = d->task ? GET(b, Task, TASK, d->task) : NULL;
  return d->moving || (task && task->kind == TASK_MIGRATE);
}

bool migrate_explains(Brain *b, const Desktop *d, const char *host)
{
  const Task *task = d->task ? GET(b, Task, TASK, d->task) : NULL;
  if (task && task->kind == TASK_MIGRATE && (!g_strcmp0(task->from, host) || !g_strcmp0(task->to, host)))
    return true;
  const Left *left = g_hash_table_lookup(b->left, d->head.name);
  if (left && b->now_us >= left->until_us)
    g_hash_table_remove(b->left, d->head.name);
  else if (left)
    return !strcmp(left->host, host);
  return false;
}

static gboolean left_is_old(void *desktop, void *left, void *brain)
{
  return ((Brain *)brain)->now_us >= ((Left *)left)->until_us;
}

static void left_note(Brain *b, const char *desktop, const char *host)
{
  Left *left = g_malloc(sizeof *left + strlen(host) + 1);
  left->until_us = b->now_us + LEFT_S * SECOND_US;
  memcpy(left->host, host, strlen(host) + 1);
  g_hash_table_foreach_remove(b->left, left_is_old, b);
  g_hash_table_replace(b->left, g_strdup(desktop), left);
}

/* ── steps ────────────────────────────────────────────────────────────────── */

void order_turn(Brain *b, StepOrder *order, const Task *task)
{
  bool over_there = order->kind == STEP_AIM || order->kind == STEP_ARRIVE || order->kind == STEP_SWEEP;
  const Object *here = task->from ? state_find(b->state, NOUN_HOST, task->from) : NULL;
  const Object *there = task->to ? state_find(b->state, NOUN_HOST, task->to) : NULL;
  object_unref(&schemas[NOUN_HOST], (Object *)order->host);
  if (here)
    object_ref(&schemas[NOUN_HOST], here);
  if (there)
    object_ref(&schemas[NOUN_HOST], there);
  order->host = (Host *)(over_there ? there : here);
  order->other = (Host *)(over_there ? here : there);
}

static int index_of(StepKind step)
{
  int n, i = 0;
  const StepKind *steps = task_steps(TASK_MIGRATE, &n);
  while (i < n && steps[i] != step)
    i++;
  return i;
}

static char *way_json(const Task *task)
{
  g_autofree char *pool = task->room_for ? g_strdup_printf(",\"room_for\":\"%s\"", task->room_for) : g_strdup("");
  return g_strdup_printf("{\"from\":\"%s\",\"to\":\"%s\"%s}", task->from, task->to, pool); /* names need no escapes */
}

/* It is there, and was seen to be no more here: in one batch it is that host's, and what it held of this one is free. */
void migrate_arrived(Brain *b, const Task *task)
{
  g_autofree char *name = g_strdup(task->object), *from = g_strdup(task->from), *to = g_strdup(task->to), *detail = way_json(task);
  Desktop *d = EDIT(b, Desktop, DESKTOP, name);
  ref_set(&d->host, to);
  ref_set(&d->moving, NULL);
  g_autofree char *session = g_strdup(d->session), *pool = g_strdup(d->pool);
  if (session && GET(b, Session, SESSION, session))
    ref_set(&EDIT(b, Session, SESSION, session)->host, to);
  g_hash_table_remove(b->elsewhere, name);
  left_note(b, name, from);
  brain_event(b, "desktop.migrated", NOUN_DESKTOP, name, task->user, detail);
  brain_dirty(b, pool);
  host_check_empty(b, from);
  pools_wake(b);
}

/* Not here: then it is asked for over there, whatever was wrong. */
void migrate_stay_told(Brain *b, const char *name, const StepResult *result)
{
  const Task *task = GET(b, Task, TASK, name);
  bool active = result->power == POWER_ON || result->power == POWER_SUSPENDED;
  if (active) {
    desktop_set_power(b, task->object, result->power);
    return;
  }
  Task *turned = EDIT(b, Task, TASK, name);
  turned->undoing = false;
  turned->step_index = index_of(STEP_ARRIVE);
}

bool migrate_is_told_apart(StepKind step, const GError *err)
{
  return step == STEP_ARRIVE && !error_is(err, REASON_NOT_ARRIVED);
}

void migrate_failed(Brain *b, const Task *task, const GError *err)
{
  g_autofree char *why = brain_error_json(err), *name = g_strdup(task->object);
  brain_event(b, "desktop.not-migrated", NOUN_DESKTOP, name, task->user, why);
  if (error_is(err, REASON_NOT_ARRIVED)) /* both were asked, and neither has it */
    desktop_set_power(b, name, POWER_OFF);
  rebalancing_move_failed(b, task, err);
  desktop_settled(b, name);
  leaving_move_failed(b, name, why);
}

/* ── a host is said to be off ─────────────────────────────────────────────── */

static void source_is_off(Brain *b, const char *name)
{
  Task *task = EDIT(b, Task, TASK, name);
  task->undoing = false;
  task->step_index = index_of(STEP_ARRIVE);
  task->attempt = 0;
  task_advance(b, name);
}

static void target_is_off(Brain *b, const char *name)
{
  const Task *task = GET(b, Task, TASK, name);
  g_autoptr(GError) err = NULL;
  error_set(&err, REASON_NOT_ARRIVED, "desktop", task->object, "host", task->to, NULL);
  Task *lost = EDIT(b, Task, TASK, name);
  g_free(lost->error);
  lost->error = brain_error_json(err);
  lost->undoing = true;
  lost->step_index = -1;
  task_advance(b, name);
}

void migrate_host_off(Brain *b, const char *host)
{
  g_autoptr(GPtrArray) names = names_copy(state_names(b->state, NOUN_TASK));
  for (guint i = 0; i < names->len; i++) {
    const Task *task = GET(b, Task, TASK, names->pdata[i]);
    const Desktop *d = task->kind == TASK_MIGRATE && !task_state_is_final(task->state) ? GET(b, Desktop, DESKTOP, task->object) : NULL;
    if (!d || !d->moving)
      continue;
    if (!g_strcmp0(task->from, host))
      source_is_off(b, names->pdata[i]);
    else if (!g_strcmp0(task->to, host) && !task->undoing && task->step_index == index_of(STEP_ARRIVE))
      target_is_off(b, names->pdata[i]);
  }
}

/* ── who may go where ─────────────────────────────────────────────────────── */

static bool way_known(Brain *b, const char *name, GError **err)
{
  const Host *to = NEED(b, Host, HOST, name, err);
  return to && (host_migrate_uri(to) || error_false(err, REASON_MOVE_UNKNOWN_WAY, "host", name, NULL));
}

/* A host sends and takes so many at a time: each is as much memory as the network carries. */
static int moves_of(Brain *b, const char *host)
{
  return GPOINTER_TO_INT(g_hash_table_lookup(b->moves, host));
}

static void moves_change(Brain *b, const char *host, int by)
{
  int n = moves_of(b, host) + by;
  if (n)
    g_hash_table_replace(b->moves, g_strdup(host), GINT_TO_POINTER(n));
  else
    g_hash_table_remove(b->moves, host);
}

void migrate_count(Brain *b, const Task *task, int by)
{
  moves_change(b, task->from, by);
  moves_change(b, task->to, by);
}

bool migrate_is_any(Brain *b)
{
  return g_hash_table_size(b->moves);
}

bool migrate_is_full(Brain *b, const char *host)
{
  return moves_of(b, host) >= MOVES_A_HOST;
}

static bool not_crowded(Brain *b, const char *host, GError **err)
{
  int n = moves_of(b, host);
  g_autofree char *text = g_strdup_printf("%d", n);
  return n < MOVES_A_HOST || error_false(err, REASON_MOVES_ENOUGH, "host", host, "n", text, NULL);
}

/* to: where it is to go; NULL = the best host that can take it. Owned by the caller; NULL with why there is none. */
static char *target_find(Brain *b, const Desktop *d, const char *to, GError **err)
{
  Fleet *f = ledger_fleet(b);
  int host = to ? fleet_find_host(f, to) : -1;
  ClaimId claim;
  Place place;
  if (to && !g_strcmp0(d->host, to))
    return error_null(err, REASON_MOVE_SAME, "desktop", d->head.name, "host", to, NULL);
  if (to && !way_known(b, to, err))
    return NULL;
  if (!ledger_claim(b, d->head.name, &claim) || (to && host < 0))
    return error_null(err, REASON_NOT_FOUND, "kind", "host", "name", to ? to : d->host, NULL);
  g_autoptr(GError) why = NULL;
  if (plan_move(f, claim, host, &place, &why))
    return g_strdup(fleet_host_name(f, place.host));
  if (to && error_is(why, REASON_PLACE_FEATURE))
    return error_null(err, REASON_MOVE_UNLIKE, "desktop", d->head.name, "host", to, "from", d->host, NULL);
  g_propagate_error(err, to ? g_steal_pointer(&why) : stay_error(b, STAY_NOWHERE, d, d->host));
  return NULL;
}

bool migrate_begin(Brain *b, const char *name, const char *to, const char *user, const char **ret_task, GError **err)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, name);
  Stay stay = desktop_stay(b, d);
  if (d->task && (stay == STAY_TASK || stay == STAY_RETIRING)) {
    const Task *busy = GET(b, Task, TASK, d->task);
    return error_false(err, REASON_DESKTOP_BUSY, "desktop", name, "task", d->task, "kind", task_kind_name(busy->kind), NULL);
  }
  if (stay != STAY_NOT) {
    g_propagate_error(err, stay_error(b, stay, d, d->host));
    return false;
  }
  g_autofree char *from = g_strdup(d->host); /* whether hosts are full is asked first: it is cheap, and of a long plan most are refused so */
  if (!not_crowded(b, from, err) || (to && !not_crowded(b, to, err)))
    return false;
  g_autofree char *target = target_find(b, d, to, err);
  if (!target || !not_crowded(b, target, err))
    return false;
  ref_set(&EDIT(b, Desktop, DESKTOP, name)->moving, target);
  *ret_task = task_begin_migrate(b, name, from, target, user);
  return true;
}

bool verb_desktop_migrate(Brain *b, const Request *r, Answer *a, GError **err)
{
  const char *task;
  if (!migrate_begin(b, r->name, request_text(r, "host"), r->caller.user, &task, err))
    return false;
  a->noun = NOUN_TASK;
  answer_object(b, a, 202, task);
  return true;
}

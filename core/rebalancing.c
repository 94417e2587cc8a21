/* Rebalance by policy. Where a pool wants one more desktop and no host has room for it, desktops of pools that allow it now are moved, by live
 * migration, until a host has: few for each desktop that gets a place, so many an hour of each pool, each desktop once an hour at most, and nothing
 * while anything else is on its way.
 *
 * Nothing of a plan is kept. What a plan moves, it moves to room that is free, so nobody loses a place; when its moves are over the rest is planned
 * afresh, and it ends with one more desktop that has a place. So it comes to rest: where all have theirs, or where no moves help. */
#include <stdio.h>
#include <string.h>

#include "core/ledger.h"
#include "core/placing.h"

/* What comes free within LACK_S needs no moves. */
enum {
  LACK_S = 10, LOOK_EVERY_S = 120, PLANS_MOST = 8, ROOM_MOVES_MOST = 4, MOVES_PER_HOUR = 12, HOUR_S = 3600, REST_S = 3600,
  FAILED_FIRST_S = 900, FAILED_DOUBLED_MOST = 4,
};

/* ── when ─────────────────────────────────────────────────────────────────── */

static void look_by(Brain *b, int64_t at_us)
{
  b->rebalancing_us = MIN(b->rebalancing_us, at_us);
}

void rebalancing_look_soon(Brain *b)
{
  look_by(b, b->now_us + LACK_S * SECOND_US);
}

void rebalancing_wanted(Brain *b)
{
  look_by(b, MAX(b->now_us + LACK_S * SECOND_US, b->rebalanced_us + LOOK_EVERY_S * SECOND_US));
}

void rebalancing_move_over(Brain *b)
{
  if (b->rebalancing_us != INT64_MAX)
    b->rebalancing_us = b->now_us;
}

/* ── whose desktops may be moved ──────────────────────────────────────────── */

static bool time_read(const char *text, int *ret_minute)
{
  for (int i = 0; i < 5; i++)
    if (i == 2 ? text[i] != ':' : !g_ascii_isdigit(text[i]))
      return false;
  int hour = 10 * (text[0] - '0') + text[1] - '0', minute = 10 * (text[3] - '0') + text[4] - '0';
  *ret_minute = 60 * hour + minute;
  return minute < 60 && (hour < 24 || (hour == 24 && !minute));
}

bool rebalance_window_read(const char *text, int *ret_from, int *ret_to)
{
  return strlen(text) == strlen("22:00-06:00") && text[5] == '-' && time_read(text, ret_from) && time_read(text + 6, ret_to) && *ret_from < 24 * 60 &&
         *ret_from != *ret_to;
}

static int minute_now(const Brain *b)
{
  return b->options.minute ? b->options.minute(b->now_us) : (int)(b->now_us / (60 * SECOND_US) % (24 * 60));
}

static bool allows_now(const Brain *b, const Pool *pool)
{
  int from, to, now;
  switch ((PoolRebalance)pool->rebalance) {
  case REBALANCE_ALWAYS:
    return true;
  case REBALANCE_WINDOW:
    if (!pool->rebalance_window || !rebalance_window_read(pool->rebalance_window, &from, &to))
      return false;
    now = minute_now(b);
    return from < to ? now >= from && now < to : now >= from || now < to;
  case REBALANCE_NEVER:
  case N_POOL_REBALANCES:
    break;
  }
  return false;
}

static bool hour_is_over(const Brain *b, const Pool *pool)
{
  return b->now_us - pool->rebalance_since >= HOUR_S * SECOND_US || b->now_us < pool->rebalance_since;
}

static int moves_left(const Brain *b, const Pool *pool)
{
  int64_t most = pool->rebalance_per_hour ? pool->rebalance_per_hour : MOVES_PER_HOUR;
  return allows_now(b, pool) ? (int)MAX(0, most - (hour_is_over(b, pool) ? 0 : pool->rebalance_moves)) : 0;
}

typedef struct {
  Brain *brain;
  GHashTable *left;   /* pool → how many of its desktops may be moved now; borrowed names */
} Allowed;

/* A MoveRule. */
static bool may_be_moved(uint64_t tag, void *data)
{
  const Allowed *allowed = data;
  Brain *b = allowed->brain;
  g_autofree char *name = ledger_desktop(tag);
  const Desktop *d = tag ? GET(b, Desktop, DESKTOP, name) : NULL;
  if (!d || !g_hash_table_lookup(allowed->left, d->pool) || leaving_rests(b, name))
    return false;
  return !d->moved || b->now_us - d->moved >= REST_S * SECOND_US || b->now_us < d->moved;
}

/* ── who lacks room ───────────────────────────────────────────────────────── */

/* Pools that somebody was refused a desktop of a moment ago, for want of room: who asks again would get one. */
static GHashTable *pools_refused(Brain *b)
{
  GHashTable *pools = g_hash_table_new(g_str_hash, g_str_equal);
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_DEMAND);
  for (guint i = 0; i < names->len; i++) {
    const DemandRow *d = GET(b, DemandRow, DEMAND, names->pdata[i]);
    if (d->outcome == DEMAND_DENIED && !d->session && !g_strcmp0(d->reason, reason_wire(REASON_NO_PLACE)))
      g_hash_table_add(pools, (char *)d->pool);
  }
  return pools;
}

static bool is_lacking(Brain *b, const Pool *pool, GHashTable *refused)
{
  g_autoptr(GError) why = pool->error ? brain_error_of(pool->error) : NULL;
  if (pool->state != POOL_READY || error_is(why, REASON_NO_PLACE))
    return pool->state == POOL_READY;
  bool asked = g_hash_table_contains(refused, pool->head.name);
  return asked && !state_pool_available(b->state, pool->head.name) && state_pool_use(b->state, pool->head.name).total < pool->max;
}

void rebalancing_settled(Brain *b, const char *name)
{
  const Pool *pool = GET(b, Pool, POOL, name);
  if (!pool->rebalance_error && !pool->rebalance_next && !pool->rebalance_fails)
    return;
  Pool *settled = EDIT(b, Pool, POOL, name);
  text_set(&settled->rebalance_error, NULL);
  settled->rebalance_next = settled->rebalance_fails = 0;
}

static int compare_names(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of pools without room, in their order; of the others nothing is said any more. */
static GPtrArray *lacking_pools(Brain *b)
{
  g_autoptr(GHashTable) refused = pools_refused(b);
  g_autoptr(GPtrArray) names = names_copy(state_names(b->state, NOUN_POOL));
  GPtrArray *lacking = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < names->len; i++)
    if (is_lacking(b, GET(b, Pool, POOL, names->pdata[i]), refused))
      g_ptr_array_add(lacking, g_strdup(names->pdata[i]));
    else
      rebalancing_settled(b, names->pdata[i]);
  g_ptr_array_sort(lacking, compare_names);
  return lacking;
}

/* ── one pool ─────────────────────────────────────────────────────────────── */

/* "cad-2q", or "8 vCPU, 16384 MiB": what one more desktop of it takes. Owned by the caller. */
static char *size_text(const Wish *w)
{
  int64_t vcpus = w->pool->vcpus ? w->pool->vcpus : w->template->vcpus;
  int64_t memory_mib = w->pool->memory_mib ? w->pool->memory_mib : w->template->memory_mib;
  return w->class ? g_strdup(w->class->head.name) : g_strdup_printf("%d vCPU, %d MiB", (int)vcpus, (int)memory_mib);
}

static const char *pool_of_move(Brain *b, const Move *m)
{
  g_autofree char *name = ledger_desktop(m->tag);
  return GET(b, Desktop, DESKTOP, name)->pool;
}

/* Few moves, and no pool's more than it allows now: a plan of which half is made helps nobody. */
static bool is_worth_it(Brain *b, const Wish *w, const GArray *moves, GHashTable *left, GError **err)
{
  g_autofree char *size = size_text(w), *n = g_strdup_printf("%u", moves->len), *most = g_strdup_printf("%d", ROOM_MOVES_MOST);
  if (moves->len > ROOM_MOVES_MOST)
    return error_false(err, REASON_ROOM_MANY, "size", size, "pool", w->pool->head.name, "n", n, "most", most, NULL);
  for (guint i = 0; i < moves->len; i++) {
    const char *of = pool_of_move(b, &g_array_index(moves, Move, i));
    int takes = 0, allows = GPOINTER_TO_INT(g_hash_table_lookup(left, of));
    for (guint j = 0; j < moves->len; j++)
      takes += !strcmp(pool_of_move(b, &g_array_index(moves, Move, j)), of);
    g_autofree char *allows_text = g_strdup_printf("%d", allows), *takes_text = g_strdup_printf("%d", takes);
    if (takes > allows)
      return error_false(err, REASON_ROOM_SPENT, "size", size, "pool", w->pool->head.name, "n", takes_text, "of", of, "left", allows_text, NULL);
  }
  return true;
}

static void say(Brain *b, const char *name, const GError *why)
{
  g_autofree char *json = why ? brain_error_json(why) : NULL;
  if (g_strcmp0(GET(b, Pool, POOL, name)->rebalance_error, json))
    text_set(&EDIT(b, Pool, POOL, name)->rebalance_error, json);
}

/* It has begun: on whose account, and what for. */
static void move_note(Brain *b, const char *pool, const char *size, const char *desktop, const char *task)
{
  g_autofree char *name = g_strdup(task);
  g_autoptr(GError) why = NULL;
  Task *begun = EDIT(b, Task, TASK, name);
  ref_set(&begun->room_for, pool);
  error_set(&why, REASON_ROOM_MOVE, "desktop", desktop, "from", begun->from, "to", begun->to, "size", size, "pool", pool, NULL);
  Desktop *d = EDIT(b, Desktop, DESKTOP, desktop);
  d->moved = b->now_us;
  Pool *of = EDIT(b, Pool, POOL, d->pool);
  if (hour_is_over(b, of)) {
    of->rebalance_since = b->now_us;
    of->rebalance_moves = 0;
  }
  of->rebalance_moves++;
  g_autofree char *detail = brain_error_json(why);
  brain_event(b, "pool.room-made", NOUN_POOL, pool, NULL, detail);
  brain_event(b, "desktop.room-made", NOUN_DESKTOP, desktop, NULL, detail);
}

/* Later than it is ever put off to: the clock was set back since. */
static bool is_put_off(const Brain *b, const Pool *pool)
{
  return pool->rebalance_next > b->now_us && pool->rebalance_next <= b->now_us + ((int64_t)FAILED_FIRST_S << FAILED_DOUBLED_MOST) * SECOND_US;
}

static void put_off(Brain *b, const char *name, const GError *why)
{
  Pool *pool = EDIT(b, Pool, POOL, name);
  int64_t wait_s = FAILED_FIRST_S << MIN(pool->rebalance_fails, FAILED_DOUBLED_MOST);
  pool->rebalance_fails++;
  pool->rebalance_next = b->now_us + wait_s * SECOND_US;
  g_free(pool->rebalance_error);
  pool->rebalance_error = brain_error_json(why);
}

/* In their order, as many as the hosts take now; what is left is planned again when these have arrived. */
static bool moves_begin(Brain *b, const char *pool, const char *size, const GArray *ways)
{
  guint i = 0;
  g_autoptr(GError) refused = NULL;
  for (; i < ways->len; i++) {
    const Way *way = &g_array_index(ways, Way, i);
    const char *task;
    if (!migrate_begin(b, way->desktop, way->to, NULL, &task, &refused))
      break;
    move_note(b, pool, size, way->desktop, task);
  }
  if (!i)
    put_off(b, pool, refused);
  else
    say(b, pool, NULL);
  return i;
}

/* The first moves of a plan that makes room for one more desktop of it; whether any are begun. */
static bool room_make(Brain *b, const char *name, GHashTable *left)
{
  Fleet *f = ledger_fleet(b);
  const Pool *pool = GET(b, Pool, POOL, name);
  Wish w;
  if (!wish_of(b, pool, &w, NULL))
    return false;
  g_autoptr(GPtrArray) classes = wish_classes(b, f, &w, NULL);
  Allowed allowed = { b, left };
  g_autoptr(GError) none = NULL, why = NULL;
  g_autoptr(GArray) moves = classes ? room_moves(f, classes, &(MoveRule){ may_be_moved, &allowed }, &none) : NULL;
  g_autofree char *size = size_text(&w);
  if (!moves)
    error_set(&why, REASON_ROOM_NONE, "size", size, "pool", name, NULL);
  if (!moves || !moves->len || !is_worth_it(b, &w, moves, left, &why)) {
    say(b, name, why);
    return false;
  }
  g_autoptr(GArray) ways = ways_new(f, moves);
  return moves_begin(b, name, size, ways);
}

/* ── all of them ──────────────────────────────────────────────────────────── */

/* Pool → how many of its desktops may be moved now, where that is any; *ret_ever: whether some pool's ever may. */
static GHashTable *allowed_now(Brain *b, bool *ret_ever)
{
  GHashTable *left = g_hash_table_new(g_str_hash, g_str_equal);
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_POOL);
  *ret_ever = false;
  for (guint i = 0; i < names->len; i++) {
    const Pool *pool = GET(b, Pool, POOL, names->pdata[i]);
    int n = moves_left(b, pool);
    *ret_ever |= pool->rebalance != REBALANCE_NEVER;
    if (n)
      g_hash_table_insert(left, (char *)pool->head.name, GINT_TO_POINTER(n));
  }
  return left;
}

/* A few of those that lack room, each time others first. */
static void rooms_make(Brain *b, const GPtrArray *lacking, GHashTable *left)
{
  guint first = b->rebalance_turn, n = MIN(lacking->len, PLANS_MOST);
  for (guint i = 0; i < n; i++) {
    const char *name = lacking->pdata[(first + i) % lacking->len];
    b->rebalance_turn = first + i + 1;
    if (!is_put_off(b, GET(b, Pool, POOL, name)) && room_make(b, name, left))
      return;
  }
}

void rebalancing_go_on(Brain *b)
{
  if (b->rebalancing_us > b->now_us)
    return;
  bool ever;
  b->rebalancing_us = INT64_MAX;
  g_autoptr(GPtrArray) lacking = lacking_pools(b);
  g_autoptr(GHashTable) left = allowed_now(b, &ever);
  for (guint i = 0; !ever && i < lacking->len; i++)
    rebalancing_settled(b, lacking->pdata[i]);
  if (!ever || !lacking->len)
    return;
  b->rebalancing_us = b->now_us + LOOK_EVERY_S * SECOND_US;
  if (migrate_is_any(b))
    return;
  b->rebalanced_us = b->now_us;
  rooms_make(b, lacking, left);
}

void rebalancing_move_failed(Brain *b, const Task *task, const GError *err)
{
  if (!task->room_for || !GET(b, Pool, POOL, task->room_for))
    return;
  g_autoptr(GError) failed = NULL;
  g_autofree char *why = error_text(err, LANG_EN), *name = g_strdup(task->room_for);
  error_set(&failed, REASON_ROOM_MOVE_FAILED, "desktop", task->object, "from", task->from, "to", task->to, "pool", name, "why", why, NULL);
  put_off(b, name, failed);
  brain_event(b, "pool.room-not-made", NOUN_POOL, name, NULL, GET(b, Pool, POOL, name)->rebalance_error);
}

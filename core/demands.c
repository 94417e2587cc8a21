/* What is asked for, met or denied, so that it can be played back on other fleets (sarang plan replay).
 *
 * A session says all of it while it lives; when it ends, one row is written and is history at once. Who was denied has no session: that row stays
 * open, and being refused again within minutes is the same demand, not another one; a session that is granted meanwhile takes the row over.
 * So a person who asks each second is one demand. Events would not do: they count refusals, and go with the rest of what happened. */
#include <string.h>

#include "core/placing.h"

/* Rows beyond are history at once: what is open stays in memory. */
enum { OPEN_MOST = 10000 };

static char *demand_key(const char *pool, const char *user)
{
  return g_strconcat(pool, " ", user ? user : "", NULL);
}

static void open_note(Brain *b, const DemandRow *d)
{
  g_hash_table_replace(b->demands, demand_key(d->pool, d->user), g_strdup(d->head.name));
}

static GHashTable *open_rows(Brain *b)
{
  if (b->demands)
    return b->demands;
  b->demands = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_DEMAND);
  for (guint i = 0; i < names->len; i++)
    open_note(b, GET(b, DemandRow, DEMAND, names->pdata[i]));
  return b->demands;
}

static const DemandRow *open_find(Brain *b, const char *pool, const char *user)
{
  g_autofree char *key = demand_key(pool, user);
  return GET(b, DemandRow, DEMAND, g_hash_table_lookup(open_rows(b), key));
}

/* It is over, and history from now on. */
static void row_end(Brain *b, DemandRow *d, int64_t ended_us)
{
  g_autofree char *key = demand_key(d->pool, d->user), *name = g_strdup(d->head.name);
  d->ended = ended_us;
  if (!g_strcmp0(g_hash_table_lookup(open_rows(b), key), name))
    g_hash_table_remove(b->demands, key);
  state_archive(b->state, NOUN_DEMAND, name);
}

typedef struct {
  int64_t vcpus, memory_mib, gpus;
  const char *gpu_class;   /* borrowed, or NULL */
  char *const *licences;   /* borrowed, or NULL */
} Sizes;

/* What a desktop of the pool is; where its template or class is gone there is nothing to say. */
static Sizes sizes_of_pool(Brain *b, const Pool *pool)
{
  Wish w;
  if (!pool || !wish_of(b, pool, &w, NULL))
    return (Sizes){ 0 };
  return (Sizes){ pool->vcpus ? pool->vcpus : w.template->vcpus, pool->memory_mib ? pool->memory_mib : w.template->memory_mib,
                  w.class ? w.gpus : 0, w.class ? w.class->head.name : NULL, pool->licences };
}

static Sizes sizes_of_session(Brain *b, const Session *session)
{
  const Desktop *d = session->desktop ? GET(b, Desktop, DESKTOP, session->desktop) : NULL;
  return d ? (Sizes){ d->vcpus, d->memory_mib, d->gpus, d->gpu_class, session->licences } : sizes_of_pool(b, GET(b, Pool, POOL, session->pool));
}

static void row_size(DemandRow *d, Sizes sizes)
{
  d->vcpus = sizes.vcpus;
  d->memory_mib = sizes.memory_mib;
  d->gpus = sizes.gpus;
  ref_set(&d->gpu_class, sizes.gpu_class);
  list_set(&d->licences, (const char *const *)sizes.licences);
}

static DemandRow *row_new(Brain *b, const char *pool, const char *user)
{
  g_autofree char *name = brain_number(b, 'q');
  DemandRow *d = state_add(b->state, NOUN_DEMAND, name, b->now_us);
  ref_set(&d->pool, pool);
  ref_set(&d->user, user);
  d->asked = b->now_us;
  return d;
}

/* Everything is asked before a row is touched: a question to an index would file it half written. */
void demand_denied(Brain *b, const char *pool, const char *user, const GError *why)
{
  const DemandRow *open = open_find(b, pool, user);
  bool many = !open && g_hash_table_size(open_rows(b)) >= OPEN_MOST;
  Sizes sizes = sizes_of_pool(b, GET(b, Pool, POOL, pool));
  DemandRow *d = open ? EDIT(b, DemandRow, DEMAND, open->head.name) : row_new(b, pool, user);
  row_size(d, sizes);
  d->outcome = DEMAND_DENIED;
  d->tries++;
  d->last = b->now_us;
  text_set(&d->reason, reason_wire(error_reason(why)));
  if (error_is(why, REASON_NO_PLACE))
    rebalancing_wanted(b);
  if (many)
    row_end(b, d, b->now_us);
  else if (!open)
    open_note(b, d);
}

void demand_follow(Brain *b, const Session *session)
{
  const DemandRow *open = open_find(b, session->pool, session->user);
  if (open && !open->session)
    text_set(&EDIT(b, DemandRow, DEMAND, open->head.name)->session, session->head.name);
}

/* At its deadline: by what it waited for then. */
static void row_denied(Brain *b, DemandRow *d, const Session *session)
{
  g_autoptr(GError) why = session->error ? brain_error_of(session->error) : NULL;
  d->tries++;
  d->last = b->now_us;
  text_set(&d->reason, why ? reason_wire(error_reason(why)) : NULL);
}

void demand_close(Brain *b, const Session *session)
{
  const DemandRow *open = open_find(b, session->pool, session->user);
  bool same = open && !g_strcmp0(open->session, session->head.name);
  Sizes sizes = sizes_of_session(b, session);
  DemandRow *d = same ? EDIT(b, DemandRow, DEMAND, open->head.name) : row_new(b, session->pool, session->user);
  row_size(d, sizes);
  if (!same)
    d->asked = session->head.created_us;
  text_set(&d->session, session->head.name);
  d->granted = session->assigned;
  d->by = session->by;
  d->outcome = session->assigned ? DEMAND_GRANTED : session->reason == END_DENIED ? DEMAND_DENIED : DEMAND_GIVEN_UP;
  if (d->outcome == DEMAND_DENIED)
    row_denied(b, d, session);
  row_end(b, d, b->now_us);
}

void demand_due(Brain *b, const char *name)
{
  DemandRow *d = EDIT(b, DemandRow, DEMAND, name);
  row_end(b, d, d->last);
}

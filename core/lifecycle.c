#include "core/lifecycle.h"

#include <string.h>

ENUM_DEFINE(DesktopMove, desktop_move, DESKTOP_MOVES, N_DESKTOP_MOVES)
ENUM_DEFINE(SessionMove, session_move, SESSION_MOVES, N_SESSION_MOVES)
ENUM_DEFINE(HostMove, host_move, HOST_MOVES, N_HOST_MOVES)

typedef struct {
  int from, move, to;
} Transition;

static const Transition desktop_table[] = {
  { DESKTOP_DEFINED, MOVE_PROVISION, DESKTOP_PROVISIONING },
  { DESKTOP_DEFINED, MOVE_RETIRE, DESKTOP_RETIRING },
  { DESKTOP_PROVISIONING, MOVE_STARTED, DESKTOP_WAIT_READY },
  { DESKTOP_PROVISIONING, MOVE_FAIL, DESKTOP_ERROR },
  { DESKTOP_PROVISIONING, MOVE_RETIRE, DESKTOP_RETIRING },
  { DESKTOP_WAIT_READY, MOVE_READY, DESKTOP_AVAILABLE },
  { DESKTOP_WAIT_READY, MOVE_FAIL, DESKTOP_ERROR },
  { DESKTOP_WAIT_READY, MOVE_RETIRE, DESKTOP_RETIRING },
  { DESKTOP_AVAILABLE, MOVE_ASSIGN, DESKTOP_ASSIGNED },
  { DESKTOP_AVAILABLE, MOVE_RECOVER, DESKTOP_WAIT_READY },
  { DESKTOP_AVAILABLE, MOVE_MAINTAIN, DESKTOP_MAINTENANCE },
  { DESKTOP_AVAILABLE, MOVE_RETIRE, DESKTOP_RETIRING },
  /* cancelled before use: back as it was if nothing of a person got in, else through a reset */
  { DESKTOP_ASSIGNED, MOVE_CANCEL, DESKTOP_AVAILABLE },
  { DESKTOP_ASSIGNED, MOVE_RECOVER, DESKTOP_WAIT_READY },
  { DESKTOP_ASSIGNED, MOVE_USE, DESKTOP_USED },
  { DESKTOP_ASSIGNED, MOVE_RESET, DESKTOP_RESETTING },
  { DESKTOP_ASSIGNED, MOVE_RETIRE, DESKTOP_RETIRING },
  { DESKTOP_ASSIGNED, MOVE_FAIL, DESKTOP_ERROR },
  /* a dedicated desktop waits for its owner's next session as assigned */
  { DESKTOP_USED, MOVE_KEEP, DESKTOP_ASSIGNED },
  { DESKTOP_USED, MOVE_RESET, DESKTOP_RESETTING },
  { DESKTOP_USED, MOVE_RETIRE, DESKTOP_RETIRING },
  { DESKTOP_RESETTING, MOVE_PROVEN, DESKTOP_AVAILABLE },
  { DESKTOP_RESETTING, MOVE_SUSPECT, DESKTOP_QUARANTINED },
  { DESKTOP_RESETTING, MOVE_FAIL, DESKTOP_ERROR },
  { DESKTOP_RESETTING, MOVE_RETIRE, DESKTOP_RETIRING },
  { DESKTOP_ERROR, MOVE_RETIRE, DESKTOP_RETIRING },
  /* its host knows more of it than we do: a backup was put back */
  { DESKTOP_PROVISIONING, MOVE_SUSPECT, DESKTOP_QUARANTINED },
  { DESKTOP_WAIT_READY, MOVE_SUSPECT, DESKTOP_QUARANTINED },
  { DESKTOP_AVAILABLE, MOVE_SUSPECT, DESKTOP_QUARANTINED },
  { DESKTOP_ASSIGNED, MOVE_SUSPECT, DESKTOP_QUARANTINED },
  { DESKTOP_USED, MOVE_SUSPECT, DESKTOP_QUARANTINED },
  { DESKTOP_LOST, MOVE_SUSPECT, DESKTOP_QUARANTINED },
  { DESKTOP_QUARANTINED, MOVE_RESET, DESKTOP_RESETTING },
  { DESKTOP_QUARANTINED, MOVE_RETIRE, DESKTOP_RETIRING },
  { DESKTOP_MAINTENANCE, MOVE_RESET, DESKTOP_RESETTING },
  { DESKTOP_MAINTENANCE, MOVE_RETIRE, DESKTOP_RETIRING },
  { DESKTOP_RETIRING, MOVE_RETIRE, DESKTOP_RETIRING },
  /* a host lost: whatever it was, nobody knows; a host back: looked at as at a start */
  { DESKTOP_PROVISIONING, MOVE_LOSE, DESKTOP_LOST },
  { DESKTOP_WAIT_READY, MOVE_LOSE, DESKTOP_LOST },
  { DESKTOP_AVAILABLE, MOVE_LOSE, DESKTOP_LOST },
  { DESKTOP_ASSIGNED, MOVE_LOSE, DESKTOP_LOST },
  { DESKTOP_USED, MOVE_LOSE, DESKTOP_LOST },
  { DESKTOP_RESETTING, MOVE_LOSE, DESKTOP_LOST },
  { DESKTOP_LOST, MOVE_RESET, DESKTOP_RESETTING },
  { DESKTOP_LOST, MOVE_RECOVER, DESKTOP_WAIT_READY },
  { DESKTOP_LOST, MOVE_FOUND_HELD, DESKTOP_ASSIGNED },
  { DESKTOP_LOST, MOVE_FOUND_USED, DESKTOP_USED },
  { DESKTOP_LOST, MOVE_RETIRE, DESKTOP_RETIRING },
};

static const Transition session_table[] = {
  { SESSION_REQUESTED, SESSION_ASSIGN, SESSION_ASSIGNED },
  { SESSION_REQUESTED, SESSION_QUEUE, SESSION_QUEUED },
  { SESSION_REQUESTED, SESSION_END, SESSION_ENDED },
  { SESSION_QUEUED, SESSION_OFFER, SESSION_OFFERED },
  { SESSION_QUEUED, SESSION_ASSIGN, SESSION_ASSIGNED },
  { SESSION_QUEUED, SESSION_END, SESSION_ENDED },
  { SESSION_OFFERED, SESSION_ASSIGN, SESSION_ASSIGNED },
  { SESSION_OFFERED, SESSION_REDEEM, SESSION_CONNECTING },
  { SESSION_OFFERED, SESSION_END, SESSION_ENDING },
  { SESSION_ASSIGNED, SESSION_REDEEM, SESSION_CONNECTING },
  { SESSION_ASSIGNED, SESSION_END, SESSION_ENDING },
  { SESSION_CONNECTING, SESSION_REDEEM, SESSION_CONNECTING },
  { SESSION_CONNECTING, SESSION_OPEN, SESSION_ACTIVE },
  { SESSION_CONNECTING, SESSION_CLOSE, SESSION_DISCONNECTED },
  { SESSION_CONNECTING, SESSION_END, SESSION_ENDING },
  { SESSION_ACTIVE, SESSION_REDEEM, SESSION_ACTIVE },
  { SESSION_ACTIVE, SESSION_OPEN, SESSION_ACTIVE },
  { SESSION_ACTIVE, SESSION_CLOSE, SESSION_DISCONNECTED },
  { SESSION_ACTIVE, SESSION_WARN, SESSION_WARNED },
  { SESSION_ACTIVE, SESSION_END, SESSION_ENDING },
  { SESSION_DISCONNECTED, SESSION_REDEEM, SESSION_CONNECTING },
  { SESSION_DISCONNECTED, SESSION_OPEN, SESSION_ACTIVE },
  { SESSION_DISCONNECTED, SESSION_END, SESSION_ENDING },
  { SESSION_WARNED, SESSION_REDEEM, SESSION_WARNED },
  { SESSION_WARNED, SESSION_OPEN, SESSION_WARNED },
  { SESSION_WARNED, SESSION_CLOSE, SESSION_DISCONNECTED },
  { SESSION_WARNED, SESSION_END, SESSION_ENDING },
  { SESSION_ENDING, SESSION_GONE, SESSION_ENDED },
};

static const Transition host_table[] = {
  { HOST_ENROLLING, HOST_SEEN, HOST_UP },
  { HOST_ENROLLING, HOST_SEEN_DRAINING, HOST_DRAINING },
  { HOST_ENROLLING, HOST_SILENT, HOST_UNREACHABLE },
  { HOST_ENROLLING, HOST_DRAIN, HOST_DRAINING },
  { HOST_UP, HOST_SEEN, HOST_UP },
  { HOST_UP, HOST_SILENT, HOST_UNREACHABLE },
  { HOST_UP, HOST_DRAIN, HOST_DRAINING },
  { HOST_DRAINING, HOST_SEEN, HOST_DRAINING },
  { HOST_DRAINING, HOST_EMPTY, HOST_MAINTENANCE },
  { HOST_DRAINING, HOST_SILENT, HOST_UNREACHABLE },
  { HOST_DRAINING, HOST_ACTIVATE, HOST_UP },
  { HOST_MAINTENANCE, HOST_SEEN, HOST_MAINTENANCE },
  { HOST_MAINTENANCE, HOST_ACTIVATE, HOST_ENROLLING },
  /* what an operator wants of a host outlasts its silence */
  { HOST_UNREACHABLE, HOST_SEEN, HOST_UP },
  { HOST_UNREACHABLE, HOST_SEEN_DRAINING, HOST_DRAINING },
  { HOST_UNREACHABLE, HOST_FENCE, HOST_FENCED },
  { HOST_FENCED, HOST_SEEN, HOST_UP },
  { HOST_FENCED, HOST_SEEN_DRAINING, HOST_DRAINING },
};

static const Transition *transition_find(const Transition *table, int n, int from, int move)
{
  for (int i = 0; i < n; i++)
    if (table[i].from == from && table[i].move == move)
      return &table[i];
  return NULL;
}

#define NEXT(kind, table, State, state_name, move_name) \
  const Transition *t = transition_find(table, G_N_ELEMENTS(table), from, move); \
  if (!t) \
    return error_false(err, REASON_NO_TRANSITION, "kind", kind, "state", state_name(from), "move", move_name(move), NULL); \
  *ret_to = (State)t->to; \
  return true;

bool desktop_next(DesktopState from, DesktopMove move, DesktopState *ret_to, GError **err)
{
  NEXT("desktop", desktop_table, DesktopState, desktop_state_name, desktop_move_name)
}

bool session_next(SessionState from, SessionMove move, SessionState *ret_to, GError **err)
{
  NEXT("session", session_table, SessionState, session_state_name, session_move_name)
}

bool host_next(HostState from, HostMove move, HostState *ret_to, GError **err)
{
  NEXT("host", host_table, HostState, host_state_name, host_move_name)
}

bool desktop_state_is_starting(DesktopState state)
{
  return state == DESKTOP_PROVISIONING || state == DESKTOP_WAIT_READY || state == DESKTOP_RESETTING;
}

bool session_state_is_final(SessionState state) { return state == SESSION_ENDED; }

bool session_state_is_waiting(SessionState state) { return state == SESSION_REQUESTED || state == SESSION_QUEUED; }

bool session_state_is_live(SessionState state)
{
  return state == SESSION_OFFERED || state == SESSION_ASSIGNED || state == SESSION_CONNECTING || state == SESSION_ACTIVE ||
         state == SESSION_DISCONNECTED || state == SESSION_WARNED;
}

bool task_state_is_final(TaskState state) { return state == TASK_DONE || state == TASK_FAILED || state == TASK_CANCELLED; }

bool host_state_is_reachable(HostState state)
{
  return state == HOST_UP || state == HOST_DRAINING;
}

int64_t task_due_us(const Task *task)
{
  return task_state_is_final(task->state) ? task->ended + FINISHED_KEEP_S * SECOND_US : task->next_try;
}

int64_t pool_offer_us(const Pool *pool) { return (pool->offer_s ? pool->offer_s : OFFER_S) * SECOND_US; }
int64_t pool_warn_us(const Pool *pool) { return (pool->warn_s ? pool->warn_s : WARN_S) * SECOND_US; }

/* The first of two times, of which 0 is none. */
static int64_t first_us(int64_t a, int64_t b) { return a && b ? MIN(a, b) : MAX(a, b); }

int64_t session_ends_us(const Session *session, const Pool *pool)
{
  bool away = session->state == SESSION_DISCONNECTED && pool && pool->disconnected_s;
  return first_us(away ? session->disconnected + pool->disconnected_s * SECOND_US : 0, session->ends);
}

int64_t session_back_us(const Session *session, const Pool *pool)
{
  bool held = session->state != SESSION_CONNECTING && session->prepared; /* who is about to get in is let in; what is not there yet nobody can take */
  return first_us(session_ends_us(session, pool), held ? session->take_by : 0);
}

int64_t session_due_us(const Session *session, const Pool *pool)
{
  if (session->state == SESSION_ENDED)
    return session->ended + FINISHED_KEEP_S * SECOND_US;
  if (session_state_is_waiting(session->state))
    return session->by;
  return first_us(session_back_us(session, pool), session->state == SESSION_ACTIVE ? session->warns : 0);
}

int session_compare_came(const Session *a, const Session *b)
{
  if (a->head.created_us != b->head.created_us)
    return a->head.created_us < b->head.created_us ? -1 : 1;
  size_t x = strlen(a->head.name), y = strlen(b->head.name);
  return x != y ? (x < y ? -1 : 1) : strcmp(a->head.name, b->head.name);
}

int64_t pool_surplus_due_us(const Pool *pool)
{
  return pool->surplus_since ? pool->surplus_since + (pool->surplus_s ? pool->surplus_s : SURPLUS_S) * SECOND_US : 0;
}

int64_t pool_due_us(const Pool *pool)
{
  return first_us(pool->errors ? pool->errors_since + BRAKE_WINDOW_S * SECOND_US : 0, pool_surplus_due_us(pool));
}

int64_t demand_due_us(const DemandRow *demand)
{
  return demand->session ? 0 : demand->last + DEMAND_AGAIN_S * SECOND_US;
}

int64_t reservation_begins_us(const Reservation *r)
{
  return MAX(1, r->from - (r->lead_s ? r->lead_s : LEAD_S) * SECOND_US);
}

/* By its state, not by the clock: one that was set back takes nothing from anybody. */
int64_t reservation_due_us(const Reservation *r)
{
  return r->state == RESERVATION_PLANNED ? MIN(reservation_begins_us(r), r->until) : r->until;
}

int64_t relay_due_us(const Relay *relay)
{
  return relay->open ? 0 : relay->head.created_us + RELAY_OPEN_S * SECOND_US;
}

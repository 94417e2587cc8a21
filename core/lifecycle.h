/* The lives of desktops, sessions and hosts as tables: what may follow what, and when an object must be looked at again. Pure; asked by the brain.
 * A transition that is not in a table is a CONFLICT that names both states. */
#pragma once

#include "core/error.h"
#include "core/model.h"

#define DESKTOP_MOVES(X) \
  X(MOVE_PROVISION, "provision") X(MOVE_STARTED, "started") X(MOVE_READY, "ready") X(MOVE_ASSIGN, "assign") X(MOVE_CANCEL, "cancel") \
  X(MOVE_USE, "use") X(MOVE_KEEP, "keep") X(MOVE_RESET, "reset") X(MOVE_PROVEN, "proven") X(MOVE_SUSPECT, "suspect") \
  X(MOVE_FAIL, "fail") X(MOVE_RECOVER, "recover") X(MOVE_LOSE, "lose") X(MOVE_FOUND_HELD, "found-held") X(MOVE_FOUND_USED, "found-used") \
  X(MOVE_MAINTAIN, "maintain") X(MOVE_RETIRE, "retire")
ENUM_DECLARE(DesktopMove, desktop_move, DESKTOP_MOVES, N_DESKTOP_MOVES)

/* Where a move leads; false with NO_TRANSITION where the table has no such row. */
bool desktop_next(DesktopState from, DesktopMove move, DesktopState *ret_to, GError **err);

#define SESSION_MOVES(X) \
  X(SESSION_ASSIGN, "assign") X(SESSION_REDEEM, "redeem") X(SESSION_OPEN, "open") X(SESSION_CLOSE, "close") X(SESSION_WARN, "warn") \
  X(SESSION_QUEUE, "queue") X(SESSION_OFFER, "offer") X(SESSION_END, "end") X(SESSION_GONE, "gone")
ENUM_DECLARE(SessionMove, session_move, SESSION_MOVES, N_SESSION_MOVES)

bool session_next(SessionState from, SessionMove move, SessionState *ret_to, GError **err);

#define HOST_MOVES(X) \
  X(HOST_SEEN, "seen") X(HOST_SEEN_DRAINING, "seen-draining") X(HOST_SILENT, "silent") X(HOST_DRAIN, "drain") X(HOST_EMPTY, "empty") X(HOST_ACTIVATE, "activate") X(HOST_FENCE, "fence")
ENUM_DECLARE(HostMove, host_move, HOST_MOVES, N_HOST_MOVES)

bool host_next(HostState from, HostMove move, HostState *ret_to, GError **err);

/* On its way to being available: counts against the host's parallel starts. */
bool desktop_state_is_starting(DesktopState state);
bool session_state_is_final(SessionState state);
/* In line for a desktop. */
bool session_state_is_waiting(SessionState state);
/* Holds a desktop. */
bool session_state_is_live(SessionState state);
/* Who asked first comes first, as strcmp says it; at the same moment by number. */
int session_compare_came(const Session *a, const Session *b);
bool task_state_is_final(TaskState state);
/* May be given new desktops, or have its desktops worked on. */
bool host_state_is_reachable(HostState state);

/* How long things last, in µs. */
#define SECOND_US (INT64_C(1000000))
enum { TICKET_LIFE_S = 60, LOGIN_LIFE_S = 12 * 3600, BRAKE_WINDOW_S = 600, BRAKE_ERRORS = 3, SURPLUS_S = 1800, FINISHED_KEEP_S = 60, RELAY_OPEN_S = 30,
       OFFER_S = 600, WARN_S = 300, LEAD_S = 900,
       GATEWAY_SILENT_S = 30, DEMAND_AGAIN_S = 900 };
#define RECEIPT_LIFE_US (24 * 3600 * SECOND_US)
/* So many a person; beyond them the oldest gives way, but none before this time: a retry that is about to come finds it. */
enum { RECEIPTS_A_USER = 1000 };
#define RECEIPT_SURE_US (600 * SECOND_US)

/* When an object is to be looked at again, in µs since 1970; 0 = never. */
int64_t task_due_us(const Task *task);
int64_t session_due_us(const Session *session, const Pool *pool);
/* When a session that holds a desktop ends: its time is over, or its person has been away for long enough. */
int64_t session_ends_us(const Session *session, const Pool *pool);
/* The same, or its person has not come at all. */
int64_t session_back_us(const Session *session, const Pool *pool);
/* What a pool says, or does not. */
int64_t pool_offer_us(const Pool *pool);
int64_t pool_warn_us(const Pool *pool);
int64_t pool_due_us(const Pool *pool);
/* When the desktops that were too many go. */
int64_t pool_surplus_due_us(const Pool *pool);
int64_t relay_due_us(const Relay *relay);
/* When a reservation begins to be held; when it is to be looked at again. */
int64_t reservation_begins_us(const Reservation *reservation);
int64_t reservation_due_us(const Reservation *reservation);
/* When demand that was denied has not come again for so long that another try is another demand. */
int64_t demand_due_us(const DemandRow *demand);

/* What the files of the brain share: brain.c (dispatch, output, time), engine.c (tasks), desktops.c, sessions.c, pools.c, hosts.c,
 * consoles.c and the handlers of verbs. Nobody else includes this. */
#pragma once

#include "core/brain.h"
#include "core/lifecycle.h"
#include "core/state.h"

/* A request whose answer waits for a step without a task. */
typedef struct {
  void *reply;
  StepKind kind;
  char *object;     /* what it is about, by kind: relay, desktop, domain */
  char *host;       /* or NULL */
  char *session;    /* that held the desktop when it was asked, or NULL: the answer is for nobody else */
} PendingCall;

/* An answer being made: its object is looked up when the batch is closed. */
typedef struct {
  void *reply;
  Answer *answer;
  char *object;
} PendingReply;

/* An order being made: its objects are looked up when the batch is closed. */
typedef struct {
  StepKind kind;
  char *task;       /* or NULL */
  uint64_t call;
  char *desktop, *host;
  char *domain;     /* of REAP; of MEASURE the storage */
  Vgpu *vgpu;       /* of GPU_REAP: the claim, or one made up for a part without a claim; a reference */
  bool unproven;    /* of GPU_REAP: an operator takes it for clean */
} PendingOrder;

/* A gateway as it was heard last. Silence counts only when it was looked at twice: between the two looks one that is alive has spoken, also
 * where the clock was set forward. */
typedef struct {
  int64_t look_us;  /* when it is looked at next */
  bool missed;      /* at the look before it had said nothing */
} Gateway;

/* When a storage was measured last, and whether an answer is outstanding. */
typedef struct {
  int64_t at_us;
  bool asked;
} Measure;

typedef struct Ledger Ledger;

struct Brain {
  BrainOptions options;
  State *state;
  int64_t now_us;
  int64_t next_number;
  uint64_t next_call;
  char *controller;
  GArray *replies;          /* of PendingReply */
  GArray *orders;           /* of PendingOrder */
  GHashTable *calls;        /* call → PendingCall */
  GHashTable *dirty_pools;  /* set of names: to be reconciled before the output is taken */
  GHashTable *running;      /* host → how many of its tasks run that start desktops */
  GHashTable *gates;        /* host → GQueue of task names that wait for such a place */
  GHashTable *orphans;      /* domain UUID → when it was seen first without a desktop, int64_t * */
  GHashTable *measures;     /* storage → Measure */
  GHashTable *elsewhere;    /* desktop → host where its domain was seen, though we did not put it there */
  GHashTable *left;         /* desktop → the host that it left a moment ago, as migrating.c keeps it */
  GHashTable *gateways;     /* name → Gateway: those heard of lately */
  GHashTable *refused;      /* user, or "" for names there are not → when a refused login was noted last, int64_t * */
  GHashTable *denials;      /* "POOL USER" → when such a denial was written last, int64_t * */
  GHashTable *demands;      /* "POOL USER" → open row of demand that was denied; NULL = not gathered yet */
  GHashTable *paces;        /* user → Pace: how fast they had things changed lately */
  GPtrArray *notices;       /* of GError *: for the log alone */
  GHashTable *uses;         /* token → when it was used last, int64_t *: not written yet */
  int64_t uses_written_us;
  int64_t pruned_us;        /* when old history was let go last */
  GHashTable *cards;        /* gpu → CardPicture: its object's types and parts, read */
  struct Ledger *ledger;    /* the fleet of the model; NULL = nobody asked yet */
  GHashTable *placing;      /* pool → GPtrArray of DemandClass: what it asks for, with what is known of it */
  GHashTable *moves;        /* host → how many desktops are on their way from it or to it */
  int64_t rebalancing_us;   /* when pools without room are looked at for moves that make some; INT64_MAX = there is no need */
  int64_t rebalanced_us;    /* when they were looked at last */
  guint rebalance_turn;     /* which of them is looked at first */
  int64_t leaving_us;       /* when hosts that are to be left are looked at again; INT64_MAX = there are none */
  GHashTable *rests;        /* desktop → Rest: whose move failed a moment ago; NULL = none */
  char *mix;                /* what the fleet was told of the demand mix */
  GHashTable *looks;        /* host → when its cards were last asked for, int64_t * */
  void *reply;              /* of the request being handled */
  const char *actor;        /* who asked for what is being done; NULL = nobody, it follows by itself */
  bool deferred;            /* its answer comes later */
  char *answer_name;        /* the object it answers */
};

/* ── brain.c ── */
/* The next name of a letter: "d-17". Owned by the caller. */
char *brain_number(Brain *b, char letter);
/* An event, kept and numbered. user NULL = whoever asked for what is being done. detail: JSON or NULL. */
void brain_event(Brain *b, const char *kind, Noun noun, const char *object, const char *user, const char *detail);
/* err as JSON for an object's error field; owned by the caller. */
char *brain_error_json(const GError *err);
/* The error that such JSON tells of; owned by the caller. */
GError *brain_error_of(const char *json);
/* An order without a task; its result comes to the call's own end. */
void brain_call(Brain *b, StepKind kind, const char *desktop, const char *host, const char *about);
/* GPU_REAP of a claim, unless one is under way, or of one made up for a part that has none; takes a reference. unproven: also where its reset is not
 * confirmed, and behind one that is under way. A claim ends with the last of them: a function has no mark, and a late one would free the next one's. */
void brain_call_reap(Brain *b, const Vgpu *claim, bool unproven);
void brain_dirty(Brain *b, const char *pool);
/* A live object or NOT_FOUND. */
const Object *brain_need(Brain *b, Noun noun, const char *name, GError **err);
#define NEED(b, Type, NOUN, name, err) ((const Type *)brain_need(b, NOUN_##NOUN, name, err))
#define GET(b, Type, NOUN, name) FIND((b)->state, Type, NOUN, name)
#define SEE(b, Type, NOUN, name) ((Type *)state_observe((b)->state, NOUN_##NOUN, name))
#define EDIT(b, Type, NOUN, name) ((Type *)state_edit((b)->state, NOUN_##NOUN, name, (b)->now_us))
/* The answer's object is name as it is when the batch is closed. */
void answer_object(Brain *b, Answer *answer, int status, const char *name);
/* A text member of the request's body, borrowed, or NULL. */
const char *request_text(const Request *request, const char *member);

/* ── engine.c ── */
/* Begins a task of kind on an object; its name, borrowed until the task is changed. */
const char *task_begin(Brain *b, TaskKind kind, Noun noun, const char *object, const char *user);
/* The same on a desktop, some seconds from now; not of a kind that needs a place on its host. */
void task_begin_in(Brain *b, int64_t seconds, TaskKind kind, const char *desktop);
const char *task_begin_power(Brain *b, PowerVerb verb, const char *desktop, const char *user);
/* A desktop on its way from one host to another; it is claimed over there. */
const char *task_begin_migrate(Brain *b, const char *desktop, const char *from, const char *to, const char *user);
/* Orders the step at hand, whatever was ordered before: its result is not taken any more. */
void task_advance(Brain *b, const char *name);
void task_due(Brain *b, const char *task);
void task_result(Brain *b, StepResult *result);
/* Ends it as cancelled without undoing anything: what follows takes over. */
void task_drop(Brain *b, const char *task);
/* Stops it, and undoes what it did. */
void task_cancel(Brain *b, const char *task);
/* At start: what was running is tried again. */
void tasks_resume(Brain *b);
/* Tasks that wait for this host are tried now. */
void tasks_wake_host(Brain *b, const char *host);
/* Fills what an order needs from the objects as they are now. */
StepOrder *order_make(Brain *b, const PendingOrder *pending);
/* What of the orders that order_make() will make has to be durable before they go out. */
void orders_count(Brain *b);

/* Where one more desktop goes. */
typedef struct {
  const Host *host;
  const Storage *storage;
  NumaCell cell;
} DesktopPlace;

/* ── desktops.c ── */
/* Moves a desktop along its table; its event is written. A move the table lacks is our own mistake. */
Desktop *desktop_move(Brain *b, const char *name, DesktopMove move);
bool desktop_can(const Desktop *desktop, DesktopMove move);
void desktop_set_error(Brain *b, const char *name, const GError *err);
/* A new desktop of pool, on its way. */
void desktop_create(Brain *b, const Pool *pool, const DesktopPlace *place);
/* Nobody holds it any more: back to its pool by the one way that is right for what it has been through. */
void desktop_release(Brain *b, const char *name);
/* On its way to being destroyed. */
void desktop_retire(Brain *b, const char *name);
/* What follows from a step done, a task done, a task failed. */
void desktop_step_done(Brain *b, const Task *task, const StepResult *result);
void desktop_task_done(Brain *b, const Task *task);
void desktop_task_failed(Brain *b, const Task *task, const GError *err);
/* A move of it is over, wherever it is now: what had to wait for that comes about. */
void desktop_settled(Brain *b, const char *name);
void desktop_set_power(Brain *b, const char *name, PowerState power);
/* A disk of the next generation, and the proof of it, before anybody gets it. */
void desktop_reset(Brain *b, const char *name);
/* On again and ready before anybody gets it. */
void desktop_recover(Brain *b, const char *name);
/* Without an agent nothing in the guest can bear witness: such a desktop is destroyed and replaced. */
bool desktop_can_prove(Brain *b, const Desktop *d);
/* It is to go, or its host is to be emptied: a draining host is asked anew each time, so that one in use again gives nothing away. */
bool desktop_must_go(Brain *b, const Desktop *d);
/* It is without a part that it was promised. */
bool desktop_lacks_gpu(Brain *b, const char *name);
void desktop_tell_gpu_missing(Brain *b, const char *name, const char *why);
/* It runs without what it was made with: another one takes its place. */
void desktop_retire_without_gpu(Brain *b, const char *name);

/* ── desktops_seen.c ── */
/* seen is NULL where the host has no such domain. */
void desktop_seen(Brain *b, const char *name, const DomainSeen *seen);
/* Its domain runs on a host where we did not put it: it is not made again. */
void desktop_moved(Brain *b, const char *name);
void desktop_lose(Brain *b, const char *name, const GError *err);
/* Its host is back: looked at as if the controller had just started. */
void desktop_find(Brain *b, const char *name);
/* Its host's cards were looked at: a desktop whose GPU is missing is not shown as well. */
void desktop_gpus_seen(Brain *b, const char *name);
/* A task of it has ended: what its cards lost meanwhile is told now. */
void desktop_task_over(Brain *b, const char *name);

/* ── migrating.c ── */
/* URI at which other hosts reach that one's libvirtd, borrowed; NULL = nobody said. */
const char *host_migrate_uri(const Host *h);
/* What is seen of it on either host is not the truth yet: the task's steps ask for that. */
bool desktop_is_migrating(Brain *b, const Desktop *d);
/* That it is seen on a host that is not its own comes of a move of ours, now or a moment ago. */
bool migrate_explains(Brain *b, const Desktop *d, const char *host);
/* The order is for the host at that end of the way where its step belongs. */
void order_turn(Brain *b, StepOrder *order, const Task *task);
void migrate_arrived(Brain *b, const Task *task);
/* STAY was answered while the task is undone: it goes on being undone, or turns to where the desktop must be. */
void migrate_stay_told(Brain *b, const char *task, const StepResult *result);
/* Where it is cannot be told by that failure: it is asked again, for ever. */
bool migrate_is_told_apart(StepKind step, const GError *err);
void migrate_failed(Brain *b, const Task *task, const GError *err);
/* An operator says that the host is off: moves from it are asked for at their other end, those that should have arrived there are over. */
void migrate_host_off(Brain *b, const char *host);
/* Claims a place (to: on that host; NULL = on the best) and begins. *ret_task: borrowed. DESKTOP_BUSY, MOVE_… and PLACE_… with why not. */
bool migrate_begin(Brain *b, const char *desktop, const char *to, const char *user, const char **ret_task, GError **err);
bool verb_desktop_migrate(Brain *b, const Request *r, Answer *a, GError **err);
/* Whether as many leave or reach a host as may at a time; whether any host's do at all. */
bool migrate_is_full(Brain *b, const char *host);
bool migrate_is_any(Brain *b);
/* A task of a move has begun (1) or is over (-1). */
void migrate_count(Brain *b, const Task *task, int by);

/* ── leaving.c ── */
/* The host is left by moving what runs there, until it is empty or used again. */
void host_leave_begin(Brain *b, const char *host);
void host_leave_end(Brain *b, const char *host);
/* Moves that are due are begun. */
void leaving_go_on(Brain *b);
/* A host has become one to leave, or a move is over: there may be the next. */
void leaving_look_soon(Brain *b);
/* why: JSON of a reason. It rests for a while. */
void leaving_move_failed(Brain *b, const char *desktop, const char *why);

/* Its move failed a moment ago, and is not made again yet. */
bool leaving_rests(Brain *b, const char *desktop);

/* ── rebalancing.c ── */
/* Moves are begun that make room for pools without, where the pools of those who move allow it now. */
void rebalancing_go_on(Brain *b);
/* Somebody wants a desktop, and no host has room for it: looked at in a moment, and not more than once in some minutes. */
void rebalancing_wanted(Brain *b);
/* What may be moved is another matter now. */
void rebalancing_look_soon(Brain *b);
/* A move is over: there may be the next. */
void rebalancing_move_over(Brain *b);
/* A move that made room for a pool failed; why: JSON of a reason. No more are made for it for a while. */
void rebalancing_move_failed(Brain *b, const Task *task, const GError *err);
/* The pool has what it wanted: nothing is said of its moves any more. */
void rebalancing_settled(Brain *b, const char *pool);
/* "22:00-06:00" as minutes of the day, from the first up to the second; false where it is no such text, or no time at all. */
bool rebalance_window_read(const char *text, int *ret_from, int *ret_to);

/* ── gpus.c, gpu_pictures.c ── */
enum { GPU_LOOK_AGE_S = 55 }; /* hosts are polled each 30 s: a second poll that comes a moment early is the minute's look all the same */
/* What a host's cards look like now; all: those that are not among them are gone. looked_us: when the look began. */
void gpus_seen(Brain *b, const char *host, const StepResult *result, bool all);
/* Why a look came to nothing; NULL = it did not. */
void gpus_unseen(Brain *b, const char *host, const GError *err);
/* Asks for a look, if the last one is that old. At most two a minute come of what passes by itself. */
void gpus_look(Brain *b, const char *host, int64_t age_s);
/* What was seen of a card, borrowed until it is seen again. */
const GpuCard *gpu_picture(Brain *b, const Gpu *gpu);
void gpus_forget(Brain *b, const char *host);
/* Our claims on a card, of const Vgpu *: a borrowed view until one of them changes, the array is the caller's. */
GPtrArray *gpu_claims(Brain *b, const char *gpu);
/* One of these claims names that part of their card. */
/* Why nothing more can be given of a card of virtual functions: it has none, or all are given or claimed though there is room. NULL = it is not so. */
GError *gpu_functions_why(Brain *b, const Gpu *gpu);
bool gpu_part_is_claimed(const GpuPart *part, const GPtrArray *claims);
/* At its last look another card was in its place, or it gives parts in another way than when what is claimed was made. */
bool gpu_is_changed(const Gpu *gpu);
/* The part of a claim as its card shows it, or NULL. */
const GpuPart *vgpu_part(Brain *b, const Vgpu *claim);

/* ── vgpus.c ── */
/* The class of a pool's desktops, or NULL; *ret_n: how many parts. NOT_FOUND for one that is named and not there. */
bool gpu_wish(Brain *b, const Pool *pool, const TemplateVersion *template, const GpuClass **ret_class, int64_t *ret_n, GError **err);
/* A claim that is let go of, and whose part the same slot's next claim takes over. */
bool vgpu_is_succeeded(Brain *b, const Vgpu *claim);
/* Claims what the desktop lacks at its generation: where it was before if that card can, else where placement says. NO_GPU. */
bool vgpus_claim(Brain *b, const char *desktop, GError **err);
/* Claims of generations up to clone are let go of (INT64_MAX: all). */
void vgpus_let_go(Brain *b, const char *desktop, int64_t clone);
/* The desktop is no more, and its hardware was never touched or is released: what is left of its claims goes. */
void vgpus_drop(Brain *b, const char *desktop);
/* Whether a step of the task on this desktop has anything to do. */
bool gpu_step_is_idle(Brain *b, const Task *task, StepKind step);
/* Every part that the desktop has a right to is claimed and made. NO_GPU, GPU_PART_MISSING. */
bool vgpus_complete(Brain *b, const char *desktop, GError **err);
/* GPU_MAKE failed with *err: of a desktop that is saved, whose card can no longer give what its memory knows, *err is GPU_SAVED afterwards. */
void vgpus_saved_tell(Brain *b, const char *desktop, GError **err);
/* Nothing runs, and nothing waits to go on. */
bool desktop_is_off(const Desktop *d);
/* Before an order of GPU_MAKE or GPU_RELEASE. */
void gpu_step_begins(Brain *b, const Task *task, StepKind step);
/* An order to make its parts goes out with this batch: whoever comes after a crash knows that it may have been carried out. */
void gpu_order_leaves(Brain *b, const Task *task);
/* What GPU_MAKE, GPU_RELEASE or GPU_REAP did, also where it failed in the end. */
void gpu_step_ended(Brain *b, const Task *task, const StepResult *result);
void vgpus_started(Brain *b, const char *desktop);
/* The claim that is its desktop's now, in that slot; NULL = there is none. */
const Vgpu *claim_of_slot(Brain *b, const Desktop *d, int64_t slot);
bool slot_is_out(const Desktop *d, int64_t slot);
/* Marks the claims whose part is not in the desktop's domain, which runs and was started with it: taken out behind our back, or by an unplug
 * that came later than anybody waited. Whether there are any. */
bool vgpus_left(Brain *b, const char *desktop, const DomainSeen *seen);
/* Why the desktop lacks a part that it has a right to, as JSON, owned by the caller; NULL = it lacks none. */
char *vgpus_missing(Brain *b, const char *desktop);
/* The claims a step is about, as references in slot order. */
void order_add_vgpus(Brain *b, StepOrder *order, const Task *task, const char *desktop);
void order_add_vgpu(Brain *b, StepOrder *order, const Vgpu *claim);
void vgpu_set_error(Brain *b, const char *name, const GError *err);
/* Of a desktop that is off and has no task: its card was looked at and does not have it. It is claimed again, not made, and nothing there is ours. */
void vgpu_seen_missing(Brain *b, const char *name);
void vgpu_set_state(Brain *b, const char *name, VgpuState state);
/* Whether people are shown a server in its guest; then no part is its screen, whatever the class says. */
bool desktop_screen_in_guest(Brain *b, const Desktop *d);
void vgpu_end(Brain *b, const char *name, const char *event);
/* The host did not free what was let go of: the claim says so until it does. No claim of that name: nothing. */
void vgpu_not_freed(Brain *b, const char *name, const GError *err);

/* ── restored.c ── */
/* At start, before anything gets a number: numbers go on far past all that may have been handed out since the backup. */
void restored_number(Brain *b);
/* At start, when the tasks have their places again: desktops that the backup calls clean are replaced, or wait for an operator. */
void restored_take_up(Brain *b);
/* A domain of that name may be of a desktop made after the backup: it is nobody's to remove. */
bool restored_doubts(Brain *b, const char *desktop);
/* Into quarantine, and its session ends. */
void desktop_suspect(Brain *b, const char *name, const GError *err);

/* ── past.c ── */
/* Before a batch is taken: some of the history that is too old goes with it. */
void past_prune(Brain *b);
/* When past_prune has something to do, also where nothing else has; INT64_MAX for never. */
int64_t past_wake_us(Brain *b);

/* ── uses.c ── */
/* Before a batch is taken: which tokens were used since the last time, where that is a minute ago. */
void uses_write(Brain *b);
/* When uses_write has something to do; INT64_MAX for never. */
int64_t uses_wake_us(Brain *b);

/* ── paces.c ── */
/* Whether who asks may have one more thing changed now: TOO_FAST. Nothing is counted yet. */
bool pace_allows(Brain *b, const Request *r, GError **err);
/* What came of it: whether it was done, and whether that changed or ordered anything. */
void pace_count(Brain *b, const Request *r, bool done, bool changed);
/* There is no such user any more. */
void pace_forget(Brain *b, const char *user);

/* ── sessions.c ── */
/* The pool's waiting sessions take what is available. */
void sessions_serve(Brain *b, const char *pool);
/* The grant: session, desktop, licences, task and event in one batch. */
void session_assign(Brain *b, const char *name, const char *desktop);
/* The session that a person has in a pool and that is not over, or NULL. */
const Session *session_of(Brain *b, const char *user, const char *pool);
/* Who of the pool's line would be given a desktop now, with its seats, and which; NULL = nobody waits, or there is none for them. */
const Session *pool_next_served(Brain *b, const Pool *pool, const Desktop **ret_desktop);
/* Its desktop is on and ready: what else it needs. */
void session_woken(Brain *b, const char *desktop);
/* What became of its desktop: whether its person may be let in now, and if not, why. */
void session_refresh(Brain *b, const char *desktop);
void session_personalised(Brain *b, const char *desktop, const GError *err);
void session_end(Brain *b, const char *name, EndReason reason, const char *user);
void session_due(Brain *b, const char *name);
/* Its person is about to come, until then at the latest: what is offered is theirs so long. */
void session_take(Brain *b, const char *name, int64_t until_us);

/* ── demands.c ── */
/* user was refused a desktop of pool, for want of room. */
void demand_denied(Brain *b, const char *pool, const char *user, const GError *why);
/* A session was taken into line: what its person was refused a moment ago was the same demand. */
void demand_follow(Brain *b, const Session *session);
/* The session is over: what it asked for, and when it got it, is kept. */
void demand_close(Brain *b, const Session *session);
/* Nobody came back for it. */
void demand_due(Brain *b, const char *name);

/* ── consoles.c ── */
/* Its console may not stay open: the session has ended, or its person may no longer watch. */
bool relay_must_go(Brain *b, const Relay *relay);
void relay_due(Brain *b, const char *name);
/* The answer to the gateway, owned by the caller. */
Answer *console_call_done(Brain *b, const PendingCall *call, StepResult *result);
/* At start: gateways whose consoles are open have until the second look to be heard. */
void gateways_start(Brain *b);
/* The consoles of gateways that fell silent are closed. */
void gateways_look(Brain *b);
/* When gateways_look has something to do; INT64_MAX for never. */
int64_t gateways_wake_us(Brain *b);
/* Whether who asks may have one more ticket: TICKETS_HELD. */
bool ticket_room(Brain *b, const Request *request, GError **err);
/* A ticket for session and who asks for it, as JSON members ("ticket":…) of an answer; owned by the caller. */
char *ticket_make(Brain *b, const Session *session, const Request *request);
/* A token's time is over: unlike one that was revoked it cuts no console. */
void consoles_outlive_token(Brain *b, const char *token);

/* ── storages.c ── */
/* A host answers: what it has and was not measured lately is measured through it. */
void storages_look(Brain *b, const char *host);
void storage_measured(Brain *b, const char *name, const StepResult *result);
/* Bytes that are free for one more copy, less what copies under way will take; INT64_MAX where nobody has measured it. */
int64_t storage_room_bytes(Brain *b, const Storage *storage);

/* ── placing.c ── */
/* A place for one more desktop of pool; NO_PLACE with the first failing rule of the hosts. */
bool place_pick(Brain *b, const Pool *pool, DesktopPlace *ret_place, GError **err);

/* ── plugging.c ── */
/* Whether a step of plugging or unplugging is about that claim. */
bool plug_step_takes(Brain *b, StepKind step, const Task *task, const Vgpu *claim);
/* A detach is not waited for any more: what its guest still has stays its own, and what has left is found missing at the next look. */
void detach_dropped(Brain *b, const char *desktop);
/* An attach or a detach came to nothing: the desktop is told as what it has. */
void plug_failed(Brain *b, const Task *task, const GError *err);

/* ── pools.c ── */
void pool_reconcile(Brain *b, const char *name);
void pool_failed(Brain *b, const char *name, const GError *err);
void pool_due(Brain *b, const char *name);
/* Room has come: pools that had none for what they lack look again. */
void pools_wake(Brain *b);
/* All of them are planned again: there may be room where there was none. */
void all_pools_dirty(Brain *b);
/* The version that NAME or NAME@N stands for: the newest that is usable. NOT_FOUND, IMAGE_NOT_READY. */
const ImageVersion *image_resolve(Brain *b, const char *name, GError **err);
const TemplateVersion *template_resolve(Brain *b, const char *name, GError **err);

/* ── hosts.c ── */
void host_seen(Brain *b, const Observation *seen);
void host_silent(Brain *b, const char *name, const GError *err);
void domains_seen(Brain *b, const Observation *seen);
void host_check_empty(Brain *b, const char *name);

/* ── verbs: NULL where a verb is not the brain's ── */
typedef bool (*VerbFn)(Brain *b, const Request *request, Answer *answer, GError **err);
extern const VerbFn brain_verbs[N_API_VERBS];
/* A new object of the request's fields, not kept yet, after its name was checked; NULL with an error. */
void *verb_new_object(Brain *b, const Request *r, Noun noun, const char *name, GError **err);
/* A copy of the request's object with the request's changes, not kept yet; NULL with an error. */
void *verb_changed_object(Brain *b, const Request *r, Noun noun, GError **err);
void verb_keep(Brain *b, Noun noun, void *take_object);
/* Drops what was not kept; false, so that a failing handler can end with it. */
bool verb_drop(Noun noun, void *object);
bool verb_session_request(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_session_ticket(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_session_end(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gateway_redeem(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gateway_sync(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_desktop_attach_gpu(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_desktop_detach_gpu(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_desktop_screenshot(Brain *b, const Request *r, Answer *a, GError **err);
/* The number of the next version of a family, and the name it makes: FAMILY@VERSION, owned by the caller. */
int64_t next_version(Brain *b, Noun noun, const char *family);
char *version_name(const char *family, int64_t version);
bool verb_template_add(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gpu_change(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gpu_quarantine(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gpu_activate(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gpu_remove(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gpu_class_add(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gpu_class_change(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_gpu_class_remove(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_licence_add(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_licence_change(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_licence_remove(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_vgpu_release(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_host_add(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_host_change(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_host_drain(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_host_activate(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_host_rebalance(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_host_fence(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_host_remove(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_pool_create(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_pool_change(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_pool_pause(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_pool_resume(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_pool_plan(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_session_explain(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_pool_delete(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_desktop_power(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_desktop_maintain(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_desktop_release(Brain *b, const Request *r, Answer *a, GError **err);
bool verb_desktop_retire(Brain *b, const Request *r, Answer *a, GError **err);

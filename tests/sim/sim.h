/* A simulated world around the real brain: virtual time, one seed for every chance, faults on purpose. The parts share one Sim:
 * sim.c (time, chance, story), store.c (what is durable), runtime.c (batch → durable → answers and orders, crashes), world.c (hosts, domains,
 * disks), lane.c (how steps are carried out), people.c (who asks for desktops), staff.c (operators and what befalls hosts), check.c (what must
 * hold). Nothing here depends on addresses, the clock or the machine: a seed tells the same story every time. */
#pragma once

#include "core/brain.h"
#include "core/lifecycle.h"

enum { HOSTS = 3, PEOPLE = 6, POOLS = 3, NOISE_S = 600, CALM_S = 300, TAIL_S = 2400 };

typedef struct Sim Sim;
typedef void (*SimFn)(Sim *sim, void *data);

/* ── the store ── */
typedef struct {
  GHashTable *live[N_NOUNS];   /* name → Object, a copy of its own: what brains do to theirs later is not durable */
  GHashTable *gone;            /* set of "noun/name": deleted or archived */
  GHashTable *past[N_NOUNS];   /* history: number → when it was changed last, both int64_t * */
  int64_t sequence, last_event, pruned;
} SimStore;

/* ── the world ── */
typedef struct {
  char *name, *desktop;
  int64_t clone, of;           /* generation in its name, and of its bytes */
  bool seed, written;
  uint32_t writers;            /* people whose bytes are in it, a bit each */
} Volume;

typedef struct {
  char uuid[37];
  char *desktop;
  int host;
  bool defined;
  int64_t clone;               /* in the owner mark */
  Volume *next_disk, *disk;    /* of the definition; of what runs */
  PowerState power;
  bool lies;                   /* its agent names somebody where nobody is, as long as it runs */
  char **next_gpus, **gpus;    /* UUID or address of each part: of the definition; of what runs */
  int64_t gpu_lost_us;         /* since when a part is missing under it; 0 = none is */
  bool gpu_slipped;            /* a whole card under it has gone and come back: between two looks that leaves nothing to see */
  int boot;                    /* counts starts: an agent's answer belongs to one */
  int64_t booted_us;           /* when its agent answers; INT64_MAX = never */
  bool half;                   /* what a migration makes over there until it ends */
  const char *stays;           /* the task whose migration of it was told to end */
} SimDomain;

/* claim NULL: others made it. A GPU instance without a function has no address. */
typedef struct {
  char uuid[GPU_UUID_TEXT_BYTES], address[GPU_ADDRESS_BYTES], type[16];
  int start;
  char *claim;
  int64_t clone;
  char *function_claim;        /* of a GPU instance: who gave it its function; NULL = others */
  bool runs;                   /* of others: with a guest of theirs */
} SimPart;

/* used_by: the claim whose guest had it since its last reset, NULL = clean. Until unwell_us its resets fail. */
typedef struct {
  char *used_by;
  int64_t unwell_us;
} SimFunction;

enum { FUNCTIONS = 4 };

typedef struct {
  int host;
  char address[GPU_ADDRESS_BYTES];
  GpuBackend backend;
  bool same_type_only, gone, broken;
  GPtrArray *parts;            /* of SimPart * */
  int n_functions;
  SimFunction functions[FUNCTIONS];  /* of a card that is given whole, the first is it */
} SimCard;

typedef enum { SIM_UP, SIM_SLOW, SIM_HUNG, SIM_DEAD } HostHealth;

typedef struct {
  char name[8];
  HostHealth health;
  bool silent;                 /* as the controller was told */
  int64_t well_us;             /* since when */
} SimHost;

/* ── people ── */
typedef struct {
  char name[16];
  int bit;
  char *session, *pool, *key, *ticket, *used_ticket, *last_ticket;
  int keys;
  bool asked;                  /* an answer is outstanding */
} Person;

/* A console that the gateway holds open. */
typedef struct {
  char *name, *session, uuid[37];
  int person, boot;
  bool told;
} GatewayRelay;

struct Sim {
  uint64_t seed, chance;
  int64_t now_us, start_us;
  uint64_t next_event, events;
  GTree *queue;
  bool quiet, over;            /* no more faults; nobody asks any more */
  bool tell;                   /* the story as it happens */
  SimStore store, backup;      /* backup: a copy of it as it once was; sequence 0 = there is none */
  Brain *brain;                /* NULL = down */
  int life;                    /* of the process: +1 a crash */
  int era;                     /* of the brain: +1 each time it is dropped */
  bool pump_due, commit_due;
  int64_t wake_us;
  GQueue decisions;            /* of Output * */
  int boots, commits, crashes, failed_commits;
  SimHost hosts[HOSTS];
  GPtrArray *domains, *volumes, *lanes;
  GHashTable *lanes_by_key;
  bool has_gpus;
  int haste;                   /* people, operators and what befalls cards are this much faster; 1 = as in life */
  GPtrArray *cards;            /* of SimCard * */
  uint64_t gpu_steps, gpu_looks;  /* parts made and removed by anybody, hosts looked at */
  uint64_t claims, releases, reboots;  /* claims that became durable, claims that ended, hosts that lost power */
  unsigned foreign_parts;
  GHashTable *tried;           /* claim → how many orders to make it have left */
  int64_t calls_left;          /* before the way to the host is cut under the step that runs */
  bool cut;                    /* the controller that asked for it is dead: no more than the call it was in is carried out */
  uint64_t doubts;             /* parts of others that were lost to a claim whose answer had not come */
  int64_t boot_us;             /* when the controller came up last */
  Person people[PEOPLE];
  GPtrArray *relays;           /* that the gateway holds, of GatewayRelay * */
  GPtrArray *closed;           /* names it has still to tell */
  bool gateway_full;
  int gateway;                 /* counts the processes: each has a name of its own */
  GHashTable *redeemed;        /* tickets that opened something */
  GHashTable *keys;            /* idempotency key → object it answered */
  GHashTable *macs;            /* network address → the desktop that has it, and back; for ever */
  int64_t newest_desktop, quiet_us, reserved_us;
  int64_t pool_max[POOLS];
};

/* ── sim.c ── */
uint64_t chance_bits(Sim *s);
int64_t chance_below(Sim *s, int64_t n);
/* true in pct of 100 cases; never once the world is quiet. */
bool fault(Sim *s, int per_mille);
/* pct of 100 cases, also when quiet. */
bool chance(Sim *s, int per_mille);
int64_t chance_ms(Sim *s, int64_t least_ms, int64_t most_ms);  /* in µs */
int64_t haste_ms(Sim *s, int64_t least_ms, int64_t most_ms);   /* the same, divided by the story's haste */
void sim_after(Sim *s, int64_t us, SimFn fn, void *data);
void tell(Sim *s, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Says what does not hold, tells the story and ends the process. */
void broken(Sim *s, const char *invariant, const char *format, ...) G_GNUC_PRINTF(3, 4) G_GNUC_NORETURN;
GPtrArray *sorted_names(GHashTable *table);

/* ── store.c ── */
void store_furnish(Sim *s);
void store_apply(Sim *s, const Batch *batch);
/* How long history of a noun is kept, in µs; 0 = for ever. */
int64_t store_keep_us(Noun noun);
/* The numbers of what is kept of a noun's history, the oldest first: of int64_t *, borrowed. */
GPtrArray *store_past(Sim *s, Noun noun);
/* A copy of what is durable now; and that copy in its place, marked as a restore marks it. */
void store_back_up(Sim *s, void *unused);
void store_restore(Sim *s);
const Object *store_find(Sim *s, Noun noun, const char *name);
#define STORED(s, Type, NOUN, name) ((const Type *)store_find(s, NOUN_##NOUN, name))
char *object_text(const Object *object);
/* Whether two objects of a noun are the same in all that is durable: their heads, and every field but what was only observed. */
bool object_is_same(const Object *a, const Object *b);

/* ── runtime.c ── */
typedef void (*AnswerFn)(Sim *s, Answer *answer, void *data);  /* answer NULL = the connection was lost */
void runtime_boot(Sim *s, void *unused);
/* sarangd is stopped, the backup put in the store's place, and it starts again. */
void runtime_restore(Sim *s, void *unused);
void runtime_ask(Sim *s, Request *take_request, AnswerFn fn, void *data);
void runtime_result(Sim *s, StepResult *take_result);
void runtime_observe(Sim *s, Observation *take_observation);
Request *ask_new(ApiVerb verb, const char *user, const char *name, const char *body) ;

/* ── world.c ── */
SimDomain *world_domain(Sim *s, const char *uuid);
SimDomain *world_domain_of(Sim *s, const char *desktop, int host);
int host_index(const char *name);
/* Does a step; NULL = it worked, and result is filled. */
GError *world_do(Sim *s, const StepOrder *order, StepResult *result);
void domain_power(Sim *s, SimDomain *d, PowerState power);
void world_see_host(Sim *s, int host);
void world_poll(Sim *s, void *unused);
void world_host_dies(Sim *s, int host, bool forgets);
void world_domain_vanishes(Sim *s, SimDomain *domain, bool disk_too);
bool world_has_volume(Sim *s, const char *name);
/* The backup that was put back does not know it: its desktop, or this generation of it, was made later. */
bool world_domain_is_unknown(Sim *s, const SimDomain *domain);
/* Somebody removes by hand what is of desktops that a restored store does not know. */
void world_sweep(Sim *s, int64_t doubtful);
/* false = the console behind it is gone. */
bool world_type(Sim *s, const GatewayRelay *relay);

/* ── gpus.c, gpu_*.c ── */
/* Why a part is not made, or a start refused: a guest runs with the function that was made after the backup which was put back. Any other guest
 * that has it is a function given away twice. */
#define GPU_HELD_UNKNOWN "device in use by a guest that the backup did not know"
void gpus_furnish(Sim *s);
void gpus_begin(Sim *s);
void gpus_mend(Sim *s);
/* Parts that a restored store does not know, and that have no mark, are removed by hand. */
void gpus_sweep(Sim *s);
GError *gpus_do(Sim *s, const StepOrder *order, StepResult *result);
GError *gpus_plug(Sim *s, const StepOrder *o, SimDomain *d);
GError *gpus_unplug(Sim *s, const StepOrder *o, SimDomain *d, StepResult *r);
void gpus_define(SimDomain *d, const StepOrder *order);
bool gpus_runs_without(const StepOrder *o);
GError *gpus_start(Sim *s, SimDomain *d);
void gpus_host_dies(Sim *s, int host);
/* An order to make them leaves; a controller that may have sent one dies, or forgets that it has. */
void gpus_ordered(Sim *s, const StepOrder *o);
void gpus_dropped(Sim *s);
/* The backup was put back: what guests of claims that it does not know left in functions is nobody's knowledge. */
void gpus_restored(Sim *s);
void gpus_check(Sim *s);
void gpus_check_end(Sim *s);

/* ── lane.c ── */
void lane_order(Sim *s, StepOrder *take_order);
void lanes_crash(Sim *s);

/* ── people.c, staff.c ── */
void people_start(Sim *s);
void people_leave(Sim *s);
void staff_start(Sim *s);
void staff_mend(Sim *s);

/* ── check.c ── */
void check_growth(Sim *s);
void check_state(Sim *s);
/* Of reservations: who is served, and what nobody else gets. */
void check_reserved(Sim *s);
void check_durable(Sim *s);
void check_fleet(Sim *s);
void check_past(Sim *s);
void check_answer(Sim *s, const Answer *answer);
/* At the end of a time in which nothing went wrong. */
void check_calm(Sim *s);
void check_end(Sim *s);

/* Steps: what is done to the world, one at a time, by workers. The brain orders a step as a value that holds references to everything it needs, the worker
 * answers with a result. Both name task, place and attempt, so an answer that comes late or twice is known as such. Steps are idempotent. */
#pragma once

#include "core/error.h"
#include "core/model.h"

/* Which workers run it: a host's call threads, a host's agent threads, or workers for files of the controller's own. */
typedef enum { ON_HOST, ON_AGENT, ON_FILES } StepPlace;

/* X(NAME, "wire", where, seconds it may take, tries, undone by) */
#define STEPS(X) \
  X(CLONE, "clone-disk", HOST, 600, 3, DELETE_VOLUMES)        /* the disk of this generation: overlay or copy */ \
  X(SEED, "seed", HOST, 30, 3, NONE)                     /* NoCloud seed of this generation */ \
  X(SEED_PERSON, "seed-person", HOST, 30, 3, NONE)       /* the same with the account of whoever has the desktop */ \
  X(FIND_DISK, "find-disk", HOST, 60, 3, NONE)           /* the disk of this generation is still there */ \
  X(DEFINE, "define", HOST, 30, 3, UNDEFINE) \
  X(START, "start", HOST, 90, 3, POWER_OFF)              /* one that runs without a part that was made since is switched off first */ \
  X(READY, "wait-ready", AGENT, 300, 1, NONE)            /* agent, port or line on the serial console, as the template says */ \
  X(PERSONALISE, "personalise", AGENT, 60, 2, NONE)      /* the person's account into the guest */ \
  X(POWER_OFF, "power-off", HOST, 60, 5, NONE)           /* pull the plug */ \
  X(UNDEFINE, "undefine", HOST, 60, 5, NONE)             /* with NVRAM, TPM and saved memory */ \
  X(DELETE_OLD, "delete-old", HOST, 60, 3, NONE)         /* volumes of earlier generations */ \
  X(DELETE_VOLUMES, "delete-volumes", HOST, 60, 5, NONE) /* all volumes of the desktop */ \
  X(PROVE, "prove", AGENT, 60, 3, NONE)                  /* the evidence that a reset is one */ \
  X(POWER, "power", HOST, 120, 1, NONE) \
  X(IMPORT, "import", FILES, 86400, 3, DELETE_IMAGE) \
  X(DELETE_IMAGE, "delete-image", FILES, 600, 3, NONE) \
  X(CONSOLE, "console", HOST, 10, 1, NONE)               /* a fresh, expiring password; where the console is. No task */ \
  X(GUEST_CONSOLE, "guest-console", AGENT, 25, 1, NONE)  /* the same of a server in the guest: its agent is asked. No task */ \
  X(SCREENSHOT, "screenshot", HOST, 20, 1, NONE)         /* no task */ \
  X(REAP, "reap", HOST, 60, 1, NONE)                     /* a domain of ours that no desktop stands for. No task */ \
  X(MEASURE, "measure", FILES, 30, 1, NONE)              /* how much room a storage has. No task */ \
  X(GPU_MAKE, "gpu-make", HOST, 60, 5, GPU_RELEASE)      /* the parts that are claimed for this generation, on their cards */ \
  X(GPU_RELEASE, "gpu-release", HOST, 60, 5, NONE)       /* the parts that are let go of, each by its generation */ \
  X(GPU_PLUG, "gpu-plug", HOST, 60, 3, NONE)             /* parts that are made, into the domain as it runs */ \
  X(GPU_UNPLUG, "gpu-unplug", HOST, 45, 1, NONE)         /* out of it again: until the guest has let go of them */ \
  X(AIM, "aim", HOST, 60, 2, SWEEP)                      /* over there: the disk is to be seen, and nothing of the desktop is */ \
  X(MIGRATE, "migrate", AGENT, 1800, 1, STAY)            /* until it is gone from here, or will not go */ \
  X(ARRIVE, "arrive", HOST, 60, 5, NONE)                 /* over there: it is active */ \
  X(LEAVE, "leave", HOST, 60, 3, NONE)                   /* what it left behind */ \
  X(STAY, "stay", HOST, 60, 5, NONE)                     /* no migration is under way any more: whether it is still here */ \
  X(SWEEP, "sweep", HOST, 60, 3, NONE)                   /* over there: what a move that did not come about left */ \
  X(GPU_DISCOVER, "gpu-discover", HOST, 30, 1, NONE)     /* what cards the host has and what is on them. No task */ \
  X(GPU_REAP, "gpu-reap", HOST, 60, 1, NONE)             /* a part of ours that no desktop stands for. No task */

typedef enum {
#define X(name, ...) STEP_##name,
  STEPS(X)
#undef X
  STEP_NONE,
  N_STEPS = STEP_NONE
} StepKind;

typedef struct {
  const char *name;
  StepPlace place;
  int timeout_s, tries;
  StepKind undo;
} StepRow;

extern const StepRow step_rows[N_STEPS];

/* The steps of a kind of task; *ret_n of them. */
const StepKind *task_steps(TaskKind kind, int *ret_n);

typedef struct {
  StepKind kind;
  char *task;            /* whose step it is; NULL for one without a task */
  int index, attempt;
  uint64_t call;         /* names it where there is no task */
  int era;               /* of the brain that ordered it, set by who carries orders: what an earlier one ordered answers nobody */
  int64_t timeout_us;
  char *controller;      /* our mark on hosts */
  /* references; NULL where a step has no use for it */
  Host *host;
  Host *other;           /* of a migration: the host at its other end */
  Storage *storage;
  Desktop *desktop;
  Pool *pool;
  TemplateVersion *template;
  ImageVersion *image;
  Session *session;
  User *person;
  GPtrArray *storages;   /* of Storage *: of IMPORT and DELETE_IMAGE */
  GPtrArray *hosts;      /* of Host *, one beside each storage: a host that has it; NULL = none is there */
  GPtrArray *house;      /* of Host *: all there are, for READY and GUEST_CONSOLE of a screen in the guest: it may have none of their addresses */
  PowerVerb verb;
  char *domain;          /* of REAP: the domain's UUID */
  GPtrArray *vgpus;      /* of Vgpu *: of DEFINE, START and GPU_MAKE the desktop's parts by slot, of the others those they are about */
  GPtrArray *gpus;       /* of Gpu *, beside each its card; NULL = there is none */
  bool unproven;         /* of GPU_REAP: an operator takes it for clean */
} StepOrder;

/* What became of one claim in GPU_MAKE, GPU_RELEASE or GPU_REAP. */
typedef struct {
  char *vgpu;
  int64_t clone;
  char uuid[GPU_UUID_TEXT_BYTES], address[GPU_ADDRESS_BYTES];
  GpuBeside beside;
  char boot[GPU_UUID_TEXT_BYTES];
  int start;
  bool fresh;            /* of GPU_MAKE: it was not there; a guest that runs does not have it */
} VgpuDone;

typedef struct {
  StepKind kind;
  char *task;
  int index, attempt;
  uint64_t call;
  int era;               /* the order's */
  bool progress_only;    /* the step goes on */
  int progress_pct;
  GError *error;         /* NULL = it worked */
  PowerState power;      /* as seen afterwards; POWER_UNKNOWN = not looked at */
  int64_t clone;         /* of CLONE and PROVE: which generation the evidence is about */
  char *evidence;        /* of CLONE and PROVE: a JSON object */
  char *sha256;          /* of IMPORT, as the next two */
  int64_t size_bytes, virtual_bytes;
  int64_t total_bytes, free_bytes;  /* of MEASURE */
  char *address;         /* of CONSOLE and GUEST_CONSOLE, as the next two */
  int port;
  char *password;
  GBytes *picture;       /* of SCREENSHOT: PNG */
  GPtrArray *vgpus;      /* of GPU_MAKE, GPU_RELEASE, GPU_UNPLUG and GPU_REAP, of VgpuDone *: the claims it was done for, also where it failed at one behind them */
  GPtrArray *cards;      /* of GpuCard *: as seen afterwards; of GPU_DISCOVER all of the host. NULL = not looked at */
  int64_t looked_us;     /* when that look began, by the clock the brain is told */
  bool without_files;    /* the host's files were out of reach: of cards that take them nothing is known */
} StepResult;

void step_order_free(StepOrder *order);
/* An empty result that names order. */
StepResult *step_result_new(const StepOrder *order);
void step_result_free(StepResult *result);
/* Whether an earlier order than this claim's own, which is out now, may have made it already: of a task that tried before or died with the controller, or
 * because it was there. What else is found made in its place is others'. */
bool vgpu_may_be_made(const Vgpu *claim);
/* Adds what was done for claim; the address and place may be filled in by the caller. */
VgpuDone *step_result_add_vgpu(StepResult *result, const Vgpu *claim);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StepOrder, step_order_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StepResult, step_result_free)

/* Names that follow from ids alone, so that every try finds the same things. Owned by the caller. */
char *desktop_domain_uuid(const char *controller, const char *desktop);   /* RFC 4122 version 5 */
/* The network card's address, of a range of this controller's own: locally administered (IEEE 802c, quadrant AAI), 12 bits of the controller, 32 of
 * the desktop's number, which is never handed out twice. */
char *desktop_mac(const char *controller, const char *desktop);
char *desktop_disk_volume(const char *desktop, int64_t clone);             /* d-17.g4.qcow2 */
char *desktop_seed_volume(const char *desktop, int64_t clone);             /* d-17.g4.seed.img */

/* Whose the volumes of a desktop or an image are, for their names: d-17-3fa81b2c, linux-3fa81b2c, with a hash of the controller, as several may share a
 * storage. VOLUME_MARK_BYTES longer than of; owned by the caller. */
enum { VOLUME_MARK_BYTES = 9 };
char *volume_owner(const char *controller, const char *of);

/* A small world for tests of the brain: requests go in by one call, orders are answered as a row of tests says, time is what the test makes it. */
#pragma once

#include "core/brain.h"

typedef struct World World;

/* What the world says to an order; NULL = it works. The error is the brain's then. */
typedef GError *(*WorldFn)(World *world, const StepOrder *order);
/* More of what became of one that worked. */
typedef void (*WorldFillFn)(World *world, const StepOrder *order, StepResult *result);

struct World {
  Brain *brain;
  BrainOptions options; /* that it was made with */
  int64_t now_us;
  GPtrArray *held;    /* orders not answered yet, of StepOrder * */
  WorldFn answer;     /* NULL = every order works */
  WorldFillFn fill;   /* NULL = no more to say */
  int64_t total_bytes, free_bytes;  /* of every storage; 0 = it cannot tell */
  int batches;        /* that had to become durable */
  bool hold;          /* keep orders for later: world_release */
  GPtrArray *events;  /* every one so far, of Event * */
  GPtrArray *demands; /* every one that is over, of DemandRow * */
  GArray *prunes;     /* every one so far, of Prune */
  GPtrArray *notices; /* every one so far, of GError * */
  int64_t wake_us;    /* when the brain wants to be told the time next */
  Answer *last;       /* the last answer that came */
  int answers;
  uint32_t random;
  const char *token;  /* that users come with; borrowed, NULL = none */
};

#define WORLD_IMPORTS "/srv/imports" /* whose files may be imported over the network */

World *world_new(void);
/* The same, whose history of events is kept for so long. */
World *world_new_keeping(int64_t events_s);
/* The same, where people and staff have things changed no faster than that. */
World *world_new_paced(Rate people, Rate staff);
void world_free(World *world);
/* A host, a storage, an image and a template, all ready; and a pool with these sizes. */
void world_furnish(World *world, int min, int spare, int max);

/* A host is looked at, and is of that kind. */
void world_host_answers(World *world, const char *name, const char *virt_type);
/* It is looked at, and is a machine of 4 CPUs and 16 GiB with that in huge pages of page_kib, even among its cells; features may be NULL. */
void world_host_is(World *world, const char *name, int cells, int64_t huge_mib, int64_t page_kib, const char *features);
/* The shipped Linux template as family, with that text in place of its <cpu>, and of its <gpu> where gpu is not NULL. */
void world_template_add(World *world, const char *family, const char *cpu, const char *gpu);
/* One more host of 4 CPUs and 16 GiB, looked at; fields is more of its JSON, beginning with a comma, or "". */
void world_host_add(World *world, const char *name, const char *fields);
/* A furnished world without desktops whose h1 takes none: they can be on a, b and c, with those fields. */
World *world_of_three(const char *a, const char *b, const char *c);
/* The fleet that the brain keeps is the one it would make anew. */
void world_same_fleet(World *world);

/* Asks as root at the controller, or over the network as user where it is not NULL; body is JSON with single quotes. The answer is world->last. */
const Answer *world_ask(World *world, ApiVerb verb, const char *user, const char *name, const char *body);
/* That this was the answer's status; fails with the words of its error where it has one. */
void world_answered(const Answer *answer, int status);
/* The session in that state. */
const Session *world_session_is(World *world, const char *name, SessionState state);
/* The session, which lives: with a desktop or in line for one. */
const Session *world_session_holds(World *world, const char *name);
/* A pool p of two desktops, for which there is one seat of licence cad; users ann and bea. fields is more of its JSON, beginning with a comma, or "". */
World *world_one_seat(const char *fields);
/* Takes what the brain put out, answers its orders, until nothing comes any more. */
void world_settle(World *world);
void world_release(World *world);
void world_pass(World *world, int64_t seconds);
/* The controller dies and begins again with what is durable; nobody hears what became of the orders that were out. */
void world_crash(World *world);
/* The next look at the cards of h1 tells of this one alone, which it takes; NULL = that there was no way to the host's files. */
void world_look(World *world, GpuCard *take_card);
/* The same of n of them. */
void world_look_at(World *world, GpuCard *const *take_cards, int n);
#define WORLD_GET(world, Type, NOUN, name) ((const Type *)brain_find((world)->brain, NOUN_##NOUN, name))
/* The newest event of a kind, borrowed; NULL where none came. */
const Event *world_event(World *world, const char *kind);
/* How many objects of noun are in a state. */
int world_count(World *world, Noun noun, int state);
/* How many desktops are on that host. */
int world_on_host(World *world, const char *host);
/* The card at that PCI address; there is one. */
const Gpu *world_gpu_at(const World *world, const char *address);

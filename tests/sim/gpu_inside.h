/* What the files of the simulated cards share: gpu_cards.c (the cards), gpus.c (what drivers do on them, call by call), gpu_guests.c (domains and their
 * parts), gpu_outsiders.c (what befalls cards), gpu_check.c (what must hold). Nobody else includes this.
 *
 * What a card shows is what a real one shows: only a mediated device's UUID says whose it is. For whom a part was made, and whose guest used a function
 * last, is known here and nowhere else: no deed asks it, checks alone do. */
#pragma once

#include "tests/sim/sim.h"

enum { UNITS = 4 };

typedef struct {
  const char *id;
  int size;
} SimType;

const SimType *types_of(const SimCard *card, int *ret_n);
const SimType *type_of(const SimCard *card, const char *id);
SimCard *card_at(Sim *s, int host, const char *address);
bool place_free(const SimCard *card, int start, int size);
/* The first place of the card that would take one, or -1. */
int place_for(const SimCard *card, const SimType *type);
/* Whether the card would take one more: of functions, whether an idle one could become one. */
bool has_room(const SimCard *card, const SimType *type);
void function_address(const SimCard *card, int function, char ret_address[GPU_ADDRESS_BYTES]);
/* The first function that is nothing yet; "" in ret_address and false where there is none. */
bool function_idle(const SimCard *card, char ret_address[GPU_ADDRESS_BYTES]);
/* What is kept of a function, or of a card that is given whole; NULL = the card has none of that address. */
SimFunction *function_at(SimCard *card, const char *address);
SimPart *part_at(const SimCard *card, const char *uuid, const char *address);
/* A GPU instance, with a function or without; NULL = none is there. */
SimPart *instance_at(const SimCard *card, const char *type, int start);
SimPart *part_add(Sim *s, SimCard *card, const char *type, const char *uuid, const char *address, int start);
/* Of a guest's parts, what its domain calls them. */
const char *part_key(const Vgpu *v, const Gpu *gpu);
/* The domain that runs with it, or NULL. */
SimDomain *user_of(Sim *s, int host, const SimPart *part);
/* What a look tells, into r. address NULL: all cards of the host. */
void look(Sim *s, const StepOrder *o, StepResult *r, const char *address);

/* Made after the backup that was put back, on what has no mark: nobody can tell for which claim, of the same desktop or of one that is not known. */
bool is_forgotten(Sim *s, const SimPart *part, const char *desktop);
/* A part of others becomes v's. As long as no answer has told whether it is there, what stands in a claim's place counts as made for it, and what
 * others put there just then is lost to them (docs/gpu.md): that is counted. In any other case it is a theft. */
void part_take(Sim *s, SimPart *part, const Vgpu *v, bool in_doubt);

/* Others do something on the card. */
void others_act(Sim *s, SimCard *card);

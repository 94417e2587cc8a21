/* A fake host with cards in a directory of its own, for tests of the GPU family: one for each test, or one that a program's tests share. */
#pragma once

#include "drivers/gpu/fake_cards.h"
#include "drivers/gpu/view.h"

/* Whose parts the mark of a place's host says. */
extern const char gpu_place_controller[];

typedef struct {
  const char *address, *model;  /* of fake_cards.h */
} GpuPlaceCard;

typedef struct {
  char *dir;
  GpuHost host;   /* "h1" */
  bool shared;    /* its directory is the program's */
} GpuPlace;

/* cards: up to one without an address. */
GpuPlace *gpu_place_new(const GpuPlaceCard *cards);
/* The same of a directory that is there; more: parameters of the fake host, such as "&as=xen". At the end the directory's host is rebooted. */
GpuPlace *gpu_place_in(const char *dir, const char *more);
void gpu_place_free(GpuPlace *place);
/* A new directory with these cards, for gpu_place_in(); owned by the caller, and taken away by gpu_place_dir_free(). */
char *gpu_place_dir(const GpuPlaceCard *cards);
void gpu_place_dir_free(char *dir);

/* A file below the directory; NULL takes it away. */
void gpu_place_put(const GpuPlace *place, const char *name, const char *text);
/* The card's own number of that type; 0 where it tells none such. */
int gpu_place_free_of(const GpuPlace *place, const char *card, const char *type);
/* A domain of desktop d-1 that has the part. */
void gpu_place_define(const GpuPlace *place, const char *uuid, const GpuHandle *handle);

/* What the fake's files share: models, and small files of a directory. */
#pragma once

#include "drivers/gpu/fake_cards.h"

enum { FAKE_TYPES = 24, FAKE_STARTS = 8 };

typedef struct {
  const char *id;     /* "vgpu_mdpy-hd"; a number for vendor functions; a profile for MIG */
  const char *title;
  int size;           /* of the card's capacity */
  int number;         /* MIG: the profile's */
  int starts[FAKE_STARTS], n_starts;  /* MIG */
} FakeType;

typedef struct {
  const char *name;
  GpuBackend backend;
  const char *class, *vendor, *device, *driver, *vendor_name, *title;
  int capacity, vfs;
  int beside;         /* functions behind the first: sound, USB-C and its UCSI */
  bool same_type, console;
  FakeType types[FAKE_TYPES];
} FakeModel;

/* NULL where the function is none of ours, or a virtual one. */
const FakeModel *fake_model_of(const char *dir, const char *address);

/* A small file below dir; "" where there is none. Owned by the caller. */
char *fake_get(const char *dir, const char *format, ...) G_GNUC_PRINTF(2, 3);
void fake_put(const char *dir, const char *text, const char *format, ...) G_GNUC_PRINTF(3, 4);
void fake_del(const char *dir, const char *format, ...) G_GNUC_PRINTF(2, 3);
bool fake_has(const char *dir, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Names in a directory below dir, sorted; empty where there is none. Owned by the caller. */
GStrv fake_names(const char *dir, const char *below);
void fake_link(const char *dir, const char *to, const char *format, ...) G_GNUC_PRINTF(3, 4);

#define FAKE_PCI "sys/bus/pci/devices"
/* The virtual functions of a card, by number; NULL-ended. */
GStrv fake_functions(const char *dir, const char *card);
/* Writes every function's list of creatable types anew. */
void fake_creatable(const char *dir, const char *card);
/* The card of a virtual function; else the function itself. Owned by the caller. */
char *fake_card_of(const char *dir, const char *function);
/* How many more of a type a card, or a function, of mediated devices has. */
int fake_mdev_free(const char *dir, const char *parent, const FakeModel *model, const FakeType *type);

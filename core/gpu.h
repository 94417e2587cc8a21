/* What a graphics card can give and what it has given, as values: drivers/gpu reads them off a host, the brain compares them with its
 * claims. A part is whatever a guest gets of a card: a mediated device, a virtual function, a GPU instance behind one, or the whole card.
 *
 * What makes a part ours. A mediated device carries our mark in its UUID (gpu_part_uuid). A function or a whole card has no room for a
 * mark: it is ours while the store holds a claim on it, or a domain with our owner element has it. Whatever else is in use is foreign:
 * shown, counted, never changed. */
#pragma once

#include <stdint.h>

#include "core/error.h"
#include "core/names.h"

enum { GPU_UUID_TEXT_BYTES = 37, GPU_ADDRESS_BYTES = 13 };

/* Kinds of parts that a card may tell of; the largest known tells 60. One that tells more is not read. */
enum { GPU_TYPES_MOST = 256 };

/* Functions of a card that a guest gets beside the first: a slot has eight at most. Addresses, "" behind the last. */
enum { GPU_BESIDE_MOST = 7 };
typedef char GpuBeside[GPU_BESIDE_MOST][GPU_ADDRESS_BYTES];

/* mdev: mediated devices by the host's node device driver. vendor-vf: a type is written to a virtual function's own node. sr-iov: a
 * virtual function as it is. mig: a GPU instance, then a vGPU on it. whole: the card itself. */
#define GPU_BACKENDS(X) \
  X(GPU_MDEV, "mdev") X(GPU_VENDOR_VF, "vendor-vf") X(GPU_SRIOV, "sr-iov") X(GPU_MIG, "mig") X(GPU_WHOLE, "whole")
ENUM_DECLARE(GpuBackend, gpu_backend, GPU_BACKENDS, N_GPU_BACKENDS)

/* What a guest sees of a part, decided with the claim. on: the part is the guest's screen and the host's console shows it (mediated
 * devices alone). off: it computes and may be unplugged while the guest runs. */
#define GPU_DISPLAYS(X) X(GPU_DISPLAY_OFF, "off") X(GPU_DISPLAY_ON, "on") X(GPU_DISPLAY_RAMFB, "ramfb")
ENUM_DECLARE(GpuDisplay, gpu_display, GPU_DISPLAYS, N_GPU_DISPLAYS)

/* A kind of part, as the card names it now. The numbers of a card's types change with every claim on it: they are read, never computed. */
typedef struct {
  char *id;              /* "nvidia-558", "vgpu_mdpy-hd", "1g.10gb", "whole" */
  char *title;           /* "NVIDIA A40-8Q"; or as id */
  int framebuffer_mib;   /* 0 = not told; as the next three */
  int heads, width, height;
  int max;               /* of this type alone on an empty card; 0 = not told */
  int free;              /* how many more of it could be made now, at most: of vendor functions the card tells only whether */
  int size;              /* units of the card's placements that one takes; 0 = it may be anywhere */
  GArray *starts;        /* of int: where one may begin now; empty where size is 0 */
  uint32_t places;       /* bit n: one may begin at n, as far as the card ever told of it or had one there; below 32 */
} GpuType;

/* A part in use. */
typedef struct {
  char uuid[GPU_UUID_TEXT_BYTES];     /* of a mediated device, lower case; "" for others */
  char address[GPU_ADDRESS_BYTES];    /* of the function or card; "" for mediated devices */
  char *type;                         /* as GpuType.id */
  int start;                          /* -1 = the card does not tell places */
  int iommu_group;                    /* -1 = none */
  bool marked;                        /* the UUID has our mark */
  bool dirty;                         /* released, its reset not yet confirmed */
} GpuPart;

typedef struct {
  char address[GPU_ADDRESS_BYTES];    /* PCI, "0000:08:00.0" */
  GpuBackend backend;
  uint16_t vendor_id, device_id;
  char *vendor, *model, *driver, *serial;  /* NULL = not told */
  int numa_node, iommu_group;         /* -1 = none */
  bool same_type_only;                /* all its parts must be of one type at a time */
  bool console;                       /* the host's own screen is on it */
  char *broken;                       /* why it cannot be used, in the host's words; NULL = it can */
  char *unread;                       /* what its host says of it and nobody understands: the rest is not to be relied on; NULL = all was read */
  GPtrArray *types, *parts;           /* of GpuType *, GpuPart *; owned */
  GPtrArray *functions;               /* of char *: addresses of its virtual functions that nobody has, by number; owned */
} GpuCard;

GpuCard *gpu_card_new(const char *address, GpuBackend backend);
GpuType *gpu_card_add_type(GpuCard *card, const char *id);
/* The card's type of that id, which may be NULL; NULL where it tells none such. */
GpuType *gpu_card_type(const GpuCard *card, const char *id);
GpuPart *gpu_card_add_part(GpuCard *card, const char *type);
void gpu_card_add_function(GpuCard *card, const char *address);
void gpu_card_free(GpuCard *card);
/* Adds to a card just read what it tells only while it is empty, from what was known of it before: was may be a card of another kind. Functions of
 * vendors list what could be made beside what is there, so types that they list no more are kept with none free, and max, where the card does not tell it,
 * is by the card's whole framebuffer. A place that it told once is one: no rule makes another. Types are sorted by id: hosts list them as they please,
 * and an order is no news. */
void gpu_card_remember(GpuCard *card, const GpuCard *was);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GpuCard, gpu_card_free)

/* true ⇔ text is a PCI address "dddd:bb:ss.f" in lower case hexadecimal. */
bool gpu_address_check(const char *text);

/* The UUID of the mediated device for a claim at a generation: RFC 9562 version 8, its first 48 bits of the controller, the rest of claim
 * and generation. Every try finds the same one, and a host's list shows which are ours even where the store has forgotten them. */
void gpu_part_uuid(const char *controller, const char *claim, int64_t generation, char ret_uuid[GPU_UUID_TEXT_BYTES]);
bool gpu_uuid_is_ours(const char *controller, const char *uuid);

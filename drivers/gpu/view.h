/* One reading of a host's cards: what libvirt's node devices tell (hostile XML, parsed strictly) and what the host's files tell
 * (one command, whatever the number of cards). Back ends are asked about it; nothing here acts. */
#pragma once

#include "drivers/gpu/gpu.h"

/* A type of mediated devices as the card offers it now. */
typedef struct {
  char *id, *title, *description;
  int free;
} ViewType;

/* A PCI function: a card, or one of its virtual functions. Numbers that nobody told are -1, texts NULL. */
typedef struct {
  char address[GPU_ADDRESS_BYTES];
  char *node;               /* libvirt's name of it; NULL = only files tell of it */
  uint32_t class;           /* 0x030000 */
  uint16_t vendor_id, device_id;
  char *vendor, *model, *driver, *serial;
  int numa_node, iommu_group;
  char physical[GPU_ADDRESS_BYTES];  /* of a virtual function: its card; "" for others */
  GStrv group;              /* addresses of all functions in its IOMMU group */
  GPtrArray *types;         /* of ViewType: mediated ones */
  int boot_vga, vfs, max_vfs;
  char *override;           /* driver_override */
  int vgpu_type;            /* nvidia/current_vgpu_type; -1 = not told, which is not 0: none */
  int gpu_instance;         /* nvidia/gpu_instance_id */
  int placement;            /* nvidia/placement_id */
  bool mig;                 /* MIG mode is on */
  bool listed;              /* nvidia-smi told of it, and of its MIG mode */
  char *smi_said;           /* what it said in place of that mode; NULL = nothing */
  char *wrong;              /* the first that was told of it and is not understood; NULL = nothing */
  GPtrArray *creatable;     /* of ViewType without free: nvidia/creatable_vgpu_types; NULL = there is no such file */
} ViewFunction;

typedef struct {
  char uuid[GPU_UUID_TEXT_BYTES];
  char parent[GPU_ADDRESS_BYTES];
  char *type;
  int iommu_group;
} ViewMdev;

struct GpuView {
  const char *only;         /* the card that is asked about: others need not be told truly; NULL = all are */
  GPtrArray *functions;     /* of ViewFunction, by address */
  GPtrArray *mdevs;         /* of ViewMdev */
  bool has_files;
  char boot[GPU_UUID_TEXT_BYTES];  /* the host's run; "" = not told */
  bool smi_ran;             /* there is an nvidia-smi, and it worked */
  char *smi_failed;         /* what it said in place of that; NULL = it did not fail, or there is none */
  bool xen_told, xen_directio;  /* whether Xen says what it can, and can give devices away */
};

/* A host with more than these is not believed. */
enum { VIEW_CARDS_MAX = 64, VIEW_FUNCTIONS_MAX = 1024, VIEW_MDEVS_MAX = 1024 };

/* One list call, and one command where the host has an Exec. What cannot be parsed makes the function unusable that it is about; GPU_FACTS where it is about
 * none, or there are more than may be. A PCI domain above ffff is none of ours. */
bool gpu_view_read(const GpuHost *host, GpuView **ret_view, GError **err);
void gpu_view_free(GpuView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GpuView, gpu_view_free)

/* Why nobody knows whether the card is in MIG mode, and so what its parts are: NVIDIA's driver has it, the host has an nvidia-smi, and that did not tell of
 * it. NULL where nothing is wanting. Owned by the caller. Pure. */
char *gpu_view_untold(const GpuView *view, const char *card);

ViewFunction *gpu_view_find(const GpuView *view, const char *address);

/* Reads node device XML into view: nothing for devices that are neither cards nor mediated devices. GPU_FACTS as gpu_view_read(). Pure. */
bool gpu_view_node(GpuView *view, const char *host, const char *xml, GError **err);
/* Reads the lines of the command. Pure. */
bool gpu_view_files(GpuView *view, const char *host, const char *text, GError **err);
/* Whether a whole reading is within the limits; else GPU_FACTS with the numbers. Pure. */
bool gpu_view_few(const GpuView *view, const char *host, GError **err);
GpuView *gpu_view_new(void);

/* "0000:08:00.0" of libvirt's "pci_0000_08_00_0"; false where it is no such name. */
bool gpu_address_of_node(const char *node, char ret_address[GPU_ADDRESS_BYTES]);

/* Whether mediated devices are made on the card or on functions of it: then neither is given away otherwise. */
bool mdev_is_on(const GpuView *view, const char *card);
/* What every card begins with: identity, console, and what keeps it from being used. */
GpuCard *gpu_card_of(const GpuView *view, const ViewFunction *function, GpuBackend backend);
/* GPU_FACTS where something of the function, or card, was not understood: nothing is done by the rest. NULL is none, and well. */
bool gpu_view_told(const GpuHost *host, const ViewFunction *function, GError **err);
/* GPU_FACTS with these words, where there are any. */
bool gpu_unread(const GpuHost *host, const char *words, GError **err);
/* Refusals that all back ends share. */
bool gpu_refused(const GpuHost *host, const char *what, GError *why, GError **err);
bool gpu_full(const GpuHost *host, const GpuOrder *order, const char *detail, GError **err);
bool gpu_gone(const GpuHost *host, const char *card, GError **err);
bool gpu_not_ours(const GpuHost *host, const char *what, const char *detail, GError **err);
/* What has no mark was found as it is ordered: true where an earlier order of this claim may have made it so, else GPU_NOT_OURS. */
bool gpu_made_before(const GpuHost *host, const GpuOrder *order, const char *what, GError **err);
/* GPU_NOT_OURS where another domain than the order's runs with that function; address may be NULL. */
bool gpu_nobody_elses(const GpuHost *host, const GpuOrder *order, const char *address, GError **err);
/* A file of a PCI function; owned by the caller. */
char *gpu_file(const char *address, const char *name);

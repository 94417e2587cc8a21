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
  int vgpu_type;            /* nvidia/current_vgpu_type */
  int gpu_instance;         /* nvidia/gpu_instance_id */
  int placement;            /* nvidia/placement_id */
  bool mig;                 /* MIG mode is on */
  GPtrArray *creatable;     /* of ViewType without free: nvidia/creatable_vgpu_types; NULL = there is no such file */
} ViewFunction;

typedef struct {
  char uuid[GPU_UUID_TEXT_BYTES];
  char parent[GPU_ADDRESS_BYTES];
  char *type;
  int iommu_group;
} ViewMdev;

struct GpuView {
  GPtrArray *functions;     /* of ViewFunction, by address */
  GPtrArray *mdevs;         /* of ViewMdev */
  bool has_files;
  bool xen_told, xen_directio;  /* whether Xen says what it can, and can give devices away */
};

/* One list call, and one command where the host has an Exec. GPU_FACTS for what cannot be parsed. */
bool gpu_view_read(const GpuHost *host, GpuView **ret_view, GError **err);
void gpu_view_free(GpuView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GpuView, gpu_view_free)

ViewFunction *gpu_view_find(const GpuView *view, const char *address);

/* Reads node device XML into view: nothing for devices that are neither cards nor mediated devices. Pure. */
bool gpu_view_node(GpuView *view, const char *host, const char *xml, GError **err);
/* Reads the lines of the command. Pure. */
bool gpu_view_files(GpuView *view, const char *host, const char *text, GError **err);
GpuView *gpu_view_new(void);

/* "0000:08:00.0" of libvirt's "pci_0000_08_00_0"; false where it is no such name. */
bool gpu_address_of_node(const char *node, char ret_address[GPU_ADDRESS_BYTES]);

/* What every card begins with: identity, console, and what keeps it from being used. */
GpuCard *gpu_card_of(const GpuView *view, const ViewFunction *function, GpuBackend backend);
/* Refusals that all back ends share. */
bool gpu_refused(const GpuHost *host, const char *what, GError *why, GError **err);
bool gpu_full(const GpuHost *host, const GpuOrder *order, const char *detail, GError **err);
bool gpu_gone(const GpuHost *host, const char *card, GError **err);
bool gpu_not_ours(const GpuHost *host, const char *what, const char *detail, GError **err);
/* A file of a PCI function; owned by the caller. */
char *gpu_file(const char *address, const char *name);

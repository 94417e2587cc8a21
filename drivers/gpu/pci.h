/* PCI functions of a host, by its sysfs: which driver has one, its reset, who uses it. Asked by the back ends that pass functions. On a Xen
 * host, dom0's sysfs: https://wiki.xenproject.org/wiki/Xen_PCI_Passthrough, drivers/xen/xen-pciback/pci_stub.c of Linux.
 * https://docs.kernel.org/PCI/sysfs-pci.html, https://docs.kernel.org/driver-api/vfio.html, driver_override in
 * https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-bus-pci */
#pragma once

#include "drivers/gpu/view.h"

/* How a kind of host gives functions to its guests. */
typedef struct {
  const char *driver;    /* that has a function while it is given away, by its name in sysfs */
  const char *module;    /* that the driver is in */
  const char *slots;     /* file of functions that the driver takes whenever the host chooses anew; NULL = it has none */
  const char *no_slot;   /* file that takes one off it */
  bool groups;           /* sysfs has IOMMU groups. Xen keeps the IOMMU for itself */
  bool asks_xenstore;    /* guests that libvirt does not know of, and that no write to sysfs stops for, are in Xen's store */
} PciPass;

/* Static. */
const PciPass *pci_pass(const GpuHost *host);
/* Whether it is given away, to whoever it may be. */
bool pci_is_passed(const GpuHost *host, const ViewFunction *function);
/* The same of any function, by its file now. */
bool pci_ask_passed(const GpuHost *host, const char *address, bool *ret_passed, GError **err);

/* GPU_IN_USE where a domain that runs, whoever owns it, has the function; the domain is named. own: UUID of one that may, as whose is known; NULL. */
bool pci_unused(const GpuHost *host, const char *address, const char *own, GError **err);
/* The same of several (char *), asked once. */
bool pci_all_unused(const GpuHost *host, const GPtrArray *addresses, const char *own, GError **err);
/* Gives functions (char *) to the driver for guests, whose module is loaded if need be, and reads that it has them. Those that it has already stay so. Where one
 * fails, all that this call took are the first driver's again. */
bool pci_bind(const GpuHost *host, const GPtrArray *addresses, GError **err);
/* Takes it from that driver and lets the host choose again; again false: it stays without a driver. Whatever has it, it is not kept for guests any more. */
bool pci_unbind(const GpuHost *host, const char *address, bool again, GError **err);
/* Function-level reset; GPU_DIRTY where the function has none or it failed. */
bool pci_reset(const GpuHost *host, const char *address, GError **err);
/* The same at the end of the order's part, of which the host's files told view before anything was done: a host that was started anew since it was made, and
 * shows it unused, has reset it, too. */
bool pci_reset_last(const GpuHost *host, const GpuOrder *order, const GpuView *view, const char *address, GError **err);
/* The same of a function that goes with a card's first, which was reset: it may have none of its own. */
bool pci_reset_beside(const GpuHost *host, const char *address, GError **err);
/* Ends the asking for a file that may be absent: asked says that it was there and read; else true ⇔ it is not there, and why is taken. */
bool pci_absent(bool asked, GError *why, GError **err);
/* Writes a file of the function. GPU_IN_USE for EBUSY, GPU_REFUSED for the rest. */
bool pci_write(const GpuHost *host, const char *address, const char *name, const char *text, GError **err);
/* Numbers and titles in type names: GiB of "NVIDIA A40-8Q" as MiB; 0 where the name tells none. */
int nvidia_framebuffer_mib(const char *title);
/* Screens that a guest can have of such a type, by its series: where the driver tells names alone; 0 where the name tells none. */
int nvidia_heads(const char *title);

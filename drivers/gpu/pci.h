/* PCI functions of a host, by its sysfs: which driver has one, its reset, who uses it. Asked by the back ends that pass functions.
 * https://docs.kernel.org/PCI/sysfs-pci.html, https://docs.kernel.org/driver-api/vfio.html, driver_override in
 * https://www.kernel.org/doc/Documentation/ABI/testing/sysfs-bus-pci */
#pragma once

#include "drivers/gpu/view.h"

#define PCI_PASS_DRIVER "vfio-pci"

/* GPU_IN_USE where a domain that runs, whoever owns it, has the function; the domain is named. */
bool pci_unused(const GpuHost *host, const char *address, GError **err);
/* Gives the function to the driver, and reads that it has it. Ok where it has it already. */
bool pci_bind(const GpuHost *host, const char *address, const char *driver, GError **err);
/* Takes it from vfio-pci and lets the host choose again; probe false: it stays without a driver. */
bool pci_unbind(const GpuHost *host, const char *address, bool probe, GError **err);
/* Function-level reset; GPU_DIRTY where the function has none or it failed. */
bool pci_reset(const GpuHost *host, const char *address, GError **err);
/* Writes a file of the function. GPU_IN_USE for EBUSY, GPU_REFUSED for the rest. */
bool pci_write(const GpuHost *host, const char *address, const char *name, const char *text, GError **err);
/* Numbers and titles in type names: GiB of "NVIDIA A40-8Q" as MiB; 0 where the name tells none. */
int nvidia_framebuffer_mib(const char *title);

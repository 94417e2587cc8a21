/* A virtual function whose type is a file of its own: what MIG-backed vGPUs share with the others. */
#pragma once

#include "drivers/gpu/pci.h"

/* Whether it is one, of that card. */
bool vendor_vf_of(const ViewFunction *function, const char *card);
/* Writes the type's number (0 = none), and reads it again. GPU_IN_USE, GPU_REFUSED, GPU_DIRTY. */
bool vendor_vf_set(const GpuHost *host, const char *address, int type, GError **err);

/* What a host can, as libvirt's XML of its capabilities tells it. */
#pragma once

#include "drivers/hypervisor/hypervisor.h"

/* Fills uuid and virt_types of *facts; what xml does not tell, or not as it should, stays as it is. Any thread. */
void capabilities_xml_read(const char *xml, HostFacts *facts);

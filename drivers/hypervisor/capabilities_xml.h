/* What a host can, as libvirt's XML of its capabilities tells it: https://libvirt.org/formatcaps.html and formatdomaincaps.html. A host is a
 * stranger: what is not as it should be, or beyond a limit, is left out. Any thread. */
#pragma once

#include "drivers/hypervisor/hypervisor.h"

/* Fills uuid, virt_types, cells, page_kib, huge_mib and cpu_model of *facts; what xml does not tell stays as it is. Of several sizes of huge pages
 * the one with the most memory counts; what is in the others is taken off memory_mib. */
void capabilities_xml_read(const char *xml, HostFacts *facts);

/* The host's CPU as the hypervisor would give it to a guest of mode host-model, as a <cpu> of its own; or the <cpu> of capabilities. NULL where xml tells none.
 * Owned by the caller. */
char *capabilities_xml_cpu(const char *xml);
/* What a guest may require, one word each, between spaces: the features that cpu (a <cpu> with its model's features written out) requires, and the models that
 * domain (domain capabilities, or NULL) calls usable. NULL for nothing. Owned by the caller. */
char *capabilities_xml_words(const char *cpu, const char *domain);

/* The parts of a domain's tree that Sarang reads or sets: memory, processors, boot, disks, network, screens, agent. Each verb
 * changes what it names and nothing else. Which values is core/template/domain.c's to say. Any thread that owns the tree. */
#pragma once

#include "core/model.h"
#include "core/template/xml.h"
#include "drivers/hypervisor/hypervisor.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

/* The disk that holds the guest: the first one that is neither a CD-ROM, a floppy nor a LUN; NULL where there is none. */
xmlNode *machine_system_disk(const xmlNode *root);
/* The first interface, or NULL. */
xmlNode *machine_interface(const xmlNode *root);
/* The <devices> element, made where there is none. */
xmlNode *machine_devices(xmlNode *root);

/* Memory as /domain/memory says, in MiB rounded up; 0 where it says nothing that can be read. */
int64_t machine_memory_mib(const xmlNode *root);
/* /domain/vcpu; 1 where it says nothing. */
int64_t machine_vcpus(const xmlNode *root);
/* <currentMemory> follows where it was the same, and is never more. TEMPLATE_FIXED where NUMA cells make up the memory. */
bool machine_set_memory_mib(xmlNode *root, int64_t mib, GError **err);
/* A topology follows: one socket, threads a core as before where that divides. TEMPLATE_FIXED where <vcpus> lists them. */
bool machine_set_vcpus(xmlNode *root, int64_t vcpus, GError **err);

/* What its memory and processors ask of a host. */
typedef struct {
  bool huge;          /* its memory is huge pages */
  int64_t page_kib;   /* of that size; 0 = of whatever the host has. -1: of several sizes */
  bool one_cell;      /* <numatune> binds its memory to one cell */
  bool cpu_of_host;   /* its CPU is whatever the host's is */
  GPtrArray *cpu;     /* features and the model that it must have, owned */
} MachineNeeds;

void machine_needs_read(const xmlNode *root, MachineNeeds *ret_needs);
void machine_needs_clear(MachineNeeds *needs);
/* Huge pages are of that size. */
void machine_set_page_kib(xmlNode *root, int64_t kib);
/* Memory and CPUs are those of one NUMA cell of the host, which has these: what the file pins otherwise goes. numatune: the hypervisor binds memory. */
void machine_set_cell(xmlNode *root, int cell, const char *cpus, bool numatune);

/* Without acceleration some things can't be: the host's own CPU model becomes `maximum`, a named one loses its promises
 * (check='none', no required features), and Hyper-V enlightenments, which only KVM has, go. Seen with libvirt 9.0, QEMU 7.2. */
void machine_fit_tcg(xmlNode *root);

/* kernel NULL: none is booted directly, and a command line goes too (QEMU takes none then). initrd may be NULL. */
void machine_set_kernel(xmlNode *root, const char *kernel, const char *initrd);
/* On the system disk, which is made (virtio, or xen) where there is none. */
void machine_set_disk(xmlNode *root, const char *path, ImageFormat format);
/* Adds a raw disk on the system disk's bus, read-only where that bus can have one. */
void machine_add_seed(xmlNode *root, const char *path);
/* network: a libvirt network, "bridge:NAME" or "user". */
void machine_set_network(xmlNode *root, const char *network);
/* Of the first network card, where there is one, whatever its author wrote there. mac may be NULL: it is left as it is. */
void machine_set_mac(xmlNode *root, const char *mac);

/* Every VNC and SPICE screen listens on address: VNC on port where it is not 0, else where the host finds room. closed: nobody
 * gets in until a password is set (an empty one shuts the door, and only a screen that has one can be given another while it
 * runs). */
void machine_set_screens(xmlNode *root, const char *address, int port, bool closed);
/* Makes a screen of that kind where there is none. */
void machine_ensure_screen(xmlNode *root, const char *kind);
void machine_ensure_agent(xmlNode *root);

/* Whether the host's devices can be passed to such a guest: not to a PVH guest of Xen ("passthrough not yet supported for x86 PVH guests",
 * libxl 4.17). */
bool machine_takes_hostdevs(const xmlNode *root);
/* Adds a device of the host, one <hostdev> element. One whose address in the guest has multifunction and no bus gets a slot that nothing else is in, and those
 * behind it whose addresses have no bus either are functions of that slot, too. Errors: those of xml_parse(). */
bool machine_add_hostdev(xmlNode *root, const char *xml, GError **err);
/* No video of QEMU's own: the console then shows what a part of a graphics card draws. On Xen there is no console then. */
void machine_hide_video(xmlNode *root);

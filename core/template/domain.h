/* One desktop's domain XML, made of a template and what was decided for that desktop. The template's tree is copied, the nodes
 * that DomainSpec speaks of are set, everything else stays as its author wrote it; then the result is read again and held to the
 * policy. Pure: it looks at no file. Any thread. */
#pragma once

#include "core/model.h"
#include "core/template/lint.h"
#include "core/template/machine.h"
#include "core/template/template.h"
#include "drivers/hypervisor/hypervisor.h"

typedef struct {
  const char *name, *uuid;       /* uuid as g_uuid_string_is_valid() */
  VirtType type;                 /* what the host runs: with VIRT_QEMU the file is fitted to software emulation */
  int64_t memory_mib, vcpus;     /* 0 = as the template and its arguments say */
  const TemplateArgument *arguments;
  size_t n_arguments;
  const char *disk;              /* the system disk's file on the host */
  ImageFormat disk_format;       /* written down: never probed */
  const char *seed;              /* raw NoCloud image on the host; NULL = none */
  const char *kernel, *initrd;   /* files on the host that came with the image; NULL = none */
  const char *network;           /* a libvirt network, "bridge:NAME" or "user"; NULL = as the template says */
  const char *mac;               /* NULL = the host makes one up */
  const char *listen;            /* address of VNC and SPICE on the host, "127.0.0.1" */
  int vnc_port;                  /* 0 = the host finds one */
  const char *const *hostdevs;   /* parts of graphics cards, as <hostdev> elements of the controller's own making; NULL = none */
  int64_t page_kib;              /* size of its huge pages, where the file has such; 0 = as the file says */
  const char *cell_cpus;         /* CPUs of the NUMA cell that it is bound to; NULL = to none */
  int cell;                      /* that cell */
  bool gpu_screen;               /* the first of them is the guest's screen: there is no other */
  bool guest_screen;             /* a server in the guest shows what they draw: with hostdevs there is no video of QEMU's */
  /* the mark that makes the domain ours, see DOMAIN_OWNER_XMLNS; pool and template (FAMILY@VERSION) are for people */
  const char *controller, *desktop, *pool, *template_version;
  int64_t generation;
} DomainSpec;

/* *ret_xml is owned by the caller. No screen in it can be entered until hypervisor_console() has set a password (Xen takes none:
 * there the address is the only guard). Errors: those of template_arguments_check(); BAD_NAME, BAD_VALUE (uuid, mac, listen,
 * paths that are not absolute); TEMPLATE_HOST (made for another hypervisor); TEMPLATE_FIXED (memory or CPUs can't be changed);
 * TEMPLATE_KERNEL (needs a kernel, none given); TEMPLATE_NO_HOSTDEV; TEMPLATE_POLICY (by lint_domain()). */
bool template_domain(const DomainTemplate *template, const DomainSpec *spec, const LintPolicy *policy, char **ret_xml,
                     GError **err);

/* Memory and virtual CPUs of a desktop made with these arguments, before the pool's own say, and what else it asks of a host: what placement claims. needs is
 * to be cleared. Errors: those of template_arguments_check(); TEMPLATE_VALUE (huge pages of several sizes). */
bool template_resources(const DomainTemplate *template, const TemplateArgument *arguments, size_t n_arguments,
                        int64_t *ret_memory_mib, int64_t *ret_vcpus, MachineNeeds *ret_needs, GError **err);

/* A template: a libvirt domain XML with one element of ours in its <metadata>, which says what people and the controller need to
 * know of it. Reading one asks nothing of the outside; making a desktop's domain of it is core/template/domain.h, the policy it
 * is held to core/template/lint.h. Format: docs/templates.md. A read template is never changed and may be used by any thread. */
#pragma once

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/names.h"

#define TEMPLATE_NAMESPACE "urn:sarang:template:1"

#define TEMPLATE_READY_KINDS(X) X(READY_BY_AGENT, "agent") X(READY_BY_TCP, "tcp") X(READY_BY_SERIAL, "serial")
ENUM_DECLARE(TemplateReadyKind, template_ready, TEMPLATE_READY_KINDS, N_TEMPLATE_READY_KINDS)

/* How a person's account gets into the guest. */
#define TEMPLATE_PERSONALISE_KINDS(X) \
  X(PERSONALISE_BY_AGENT, "agent") X(PERSONALISE_BY_SEED, "seed") X(PERSONALISE_BY_NOBODY, "none")
ENUM_DECLARE(TemplatePersonalise, template_personalise, TEMPLATE_PERSONALISE_KINDS, N_TEMPLATE_PERSONALISE_KINDS)

#define TEMPLATE_GPU_NEEDS(X) X(GPU_NEED_NONE, "none") X(GPU_NEED_OPTIONAL, "optional") X(GPU_NEED_REQUIRED, "required")
ENUM_DECLARE(TemplateGpuNeed, template_gpu_need, TEMPLATE_GPU_NEEDS, N_TEMPLATE_GPU_NEEDS)

/* Whether the guest boots from its disk, or from a kernel that comes with its image. */
#define TEMPLATE_KERNELS(X) X(KERNEL_NO, "no") X(KERNEL_OPTIONAL, "optional") X(KERNEL_REQUIRED, "required")
ENUM_DECLARE(TemplateKernel, template_kernel, TEMPLATE_KERNELS, N_TEMPLATE_KERNELS)

/* Whose picture a viewer gets, and how the password of one in the guest comes there. */
#define TEMPLATE_SCREENS(X) X(SCREEN_BY_HOST, "host") X(SCREEN_BY_GUEST, "guest")
ENUM_DECLARE(TemplateScreen, template_screen, TEMPLATE_SCREENS, N_TEMPLATE_SCREENS)
#define TEMPLATE_SCREEN_KEYS(X) X(SCREEN_KEY_BY_AGENT, "agent") X(SCREEN_KEY_NONE, "none")
ENUM_DECLARE(TemplateScreenKey, template_screen_key, TEMPLATE_SCREEN_KEYS, N_TEMPLATE_SCREEN_KEYS)

/* VNC and SPICE are the host's consoles; RDP and SSH are servers in the guest. */
#define TEMPLATE_PROTOCOLS(X) X(OFFER_VNC, "vnc") X(OFFER_SPICE, "spice") X(OFFER_RDP, "rdp") X(OFFER_SSH, "ssh")
ENUM_DECLARE(TemplateProtocol, template_protocol, TEMPLATE_PROTOCOLS, N_TEMPLATE_PROTOCOLS)

#define TEMPLATE_GUEST_SYSTEMS(X) X(SYSTEM_LINUX, "linux") X(SYSTEM_WINDOWS, "windows") X(SYSTEM_OTHER, "other")
ENUM_DECLARE(TemplateGuestSystem, template_guest_system, TEMPLATE_GUEST_SYSTEMS, N_TEMPLATE_GUEST_SYSTEMS)

#define TEMPLATE_PARAMETER_TYPES(X) \
  X(PARAMETER_INT, "int") X(PARAMETER_SIZE, "size") X(PARAMETER_TEXT, "text") X(PARAMETER_ENUM, "enum")
ENUM_DECLARE(TemplateParameterType, template_parameter_type, TEMPLATE_PARAMETER_TYPES, N_TEMPLATE_PARAMETER_TYPES)

/* Units of a size, as libvirt spells them; each is 1024 of the one before. */
#define TEMPLATE_SIZE_UNITS(X) X(UNIT_BYTES, "bytes") X(UNIT_KIB, "KiB") X(UNIT_MIB, "MiB") X(UNIT_GIB, "GiB") X(UNIT_TIB, "TiB")
ENUM_DECLARE(TemplateSizeUnit, template_size_unit, TEMPLATE_SIZE_UNITS, N_TEMPLATE_SIZE_UNITS)

enum { TEMPLATE_MAX_PARAMETERS = 64, TEMPLATE_MAX_CHOICES = 64, TEMPLATE_MAX_READY_S = 3600 };

typedef struct {
  char *name;
  char *title[2];           /* by Lang; NULL where the author gave none */
  TemplateParameterType type;
  int64_t min, max;         /* INT: the number; SIZE: in unit; TEXT: characters */
  TemplateSizeUnit size_unit;
  char *unit;               /* as people read it; NULL = none */
  char *standard;           /* the default, as text that template_argument_parse() takes */
  char **choices;           /* ENUM: what it may be; else NULL */
  char **paths;             /* where it applies, at least one; see xml_find_path() */
} TemplateParameter;

typedef struct {
  bool offered;
  int port;  /* RDP, SSH: in the guest; 0 for consoles of the host */
} TemplateOffer;

typedef struct {
  char *name;
  char *title[2];       /* by Lang; both there */
  char *image;          /* family of the image it was made for; a pool may name another */
  TemplateKernel kernel;
  char *network;        /* see DomainSpec.network; NULL = interfaces stay as the file has them */
  TemplateGpuNeed gpu;
  char *gpu_class;      /* of its desktops where a pool names none; NULL = none */
  bool near;            /* memory and CPUs are of the NUMA cell that its cards hang on */
  char *gpu_parameter;  /* one of its parameters, whose value names a class; NULL = none */
  TemplateOffer protocols[N_TEMPLATE_PROTOCOLS];
  TemplateScreen screen;
  int screen_port;      /* SCREEN_BY_GUEST: where its VNC server listens */
  TemplateScreenKey screen_key;
  TemplateGuestSystem system;
  char *autologin;      /* the guest's own account that may be logged in after a reset; NULL = none */
  TemplatePersonalise personalise;
  bool seed;            /* the guest reads a NoCloud seed disk */
  TemplateReadyKind ready;
  int ready_port;       /* READY_BY_TCP */
  char *ready_line;     /* READY_BY_SERIAL: this text stands in a line of the serial console */
  int64_t ready_timeout_us;
  bool is_xen;          /* the file is for Xen; else for QEMU, with or without KVM */
  GPtrArray *parameters;  /* of TemplateParameter * */
  xmlDoc *doc;          /* the file as read; never changed */
} DomainTemplate;

/* Reads a template file. *ret_template belongs to the caller (template_free). Errors: those of xml_parse(); each with line:
 * TEMPLATE_ROOT, TEMPLATE_METADATA, TEMPLATE_NAMESPACE, TEMPLATE_UNKNOWN, TEMPLATE_MISSING, TEMPLATE_TOO_MANY, TEMPLATE_VALUE,
 * TEMPLATE_PATH. Nothing here judges whether it is safe: lint_template() does. */
bool template_parse(const char *bytes, size_t len, DomainTemplate **ret_template, GError **err);
void template_free(DomainTemplate *template);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DomainTemplate, template_free)

/* Whether something of it goes through a guest agent: readiness, personalising, or the password of a screen in the guest. */
bool template_needs_agent(const DomainTemplate *template);

/* Whether text can name a network: a libvirt network, "bridge:NAME", or "user". */
bool template_network_is(const char *text);

/* A person's value for a parameter. */
typedef struct {
  const char *name, *value;
} TemplateArgument;

/* The parameter called name, borrowed, or NULL. */
const TemplateParameter *template_parameter_find(const DomainTemplate *template, const char *name);

/* Checks value against parameter and gives it as it will stand in the XML: a size ("4GiB", or "4096": in the parameter's unit)
 * as a number of the parameter's unit. Owned by the caller. Errors: BAD_VALUE, and those of title_check(). */
bool template_argument_parse(const TemplateParameter *parameter, const char *value, char **ret_text, GError **err);

/* Whether every argument names a parameter and fits it, no name twice. Errors: UNKNOWN_FIELD, EXISTS, those of
 * template_argument_parse(). */
bool template_arguments_check(const DomainTemplate *template, const TemplateArgument *arguments, size_t n_arguments,
                              GError **err);

/* ── the vocabulary: what may stand in our metadata element; the reader, the docs' test and `explain` use the same rows ── */

typedef enum {
#define X(id, ...) TEMPLATE_ELEMENT_##id,
#include "core/template/elements.def"
#undef X
  N_TEMPLATE_ELEMENTS
} TemplateElementId;

typedef struct {
  const char *name, *parent;  /* parent is "template", "parameter", or NULL for the template element itself */
  const char *must, *may;     /* attributes, words */
  int min, max;               /* how many of it */
  const char *en, *ko;
} TemplateElement;

extern const TemplateElement template_elements[N_TEMPLATE_ELEMENTS];

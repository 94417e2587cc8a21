#include "core/template/template.h"

#include <string.h>

ENUM_DEFINE(TemplateReadyKind, template_ready, TEMPLATE_READY_KINDS, N_TEMPLATE_READY_KINDS)
ENUM_DEFINE(TemplatePersonalise, template_personalise, TEMPLATE_PERSONALISE_KINDS, N_TEMPLATE_PERSONALISE_KINDS)
ENUM_DEFINE(TemplateGpuNeed, template_gpu_need, TEMPLATE_GPU_NEEDS, N_TEMPLATE_GPU_NEEDS)
ENUM_DEFINE(TemplateKernel, template_kernel, TEMPLATE_KERNELS, N_TEMPLATE_KERNELS)
ENUM_DEFINE(TemplateScreen, template_screen, TEMPLATE_SCREENS, N_TEMPLATE_SCREENS)
ENUM_DEFINE(TemplateScreenKey, template_screen_key, TEMPLATE_SCREEN_KEYS, N_TEMPLATE_SCREEN_KEYS)
ENUM_DEFINE(TemplateProtocol, template_protocol, TEMPLATE_PROTOCOLS, N_TEMPLATE_PROTOCOLS)
ENUM_DEFINE(TemplateGuestSystem, template_guest_system, TEMPLATE_GUEST_SYSTEMS, N_TEMPLATE_GUEST_SYSTEMS)
ENUM_DEFINE(TemplateParameterType, template_parameter_type, TEMPLATE_PARAMETER_TYPES, N_TEMPLATE_PARAMETER_TYPES)
ENUM_DEFINE(TemplateSizeUnit, template_size_unit, TEMPLATE_SIZE_UNITS, N_TEMPLATE_SIZE_UNITS)

const TemplateElement template_elements[N_TEMPLATE_ELEMENTS] = {
#define X(id, name, parent, must, may, min, max, read, en, ko) \
  [TEMPLATE_ELEMENT_##id] = { name, parent, must, may, min, max, en, ko },
#include "core/template/elements.def"
#undef X
};

void template_free(DomainTemplate *template)
{
  if (!template)
    return;
  g_free(template->name);
  g_free(template->title[LANG_EN]);
  g_free(template->title[LANG_KO]);
  g_free(template->image);
  g_free(template->network);
  g_free(template->gpu_class);
  g_free(template->gpu_parameter);
  g_free(template->autologin);
  g_free(template->ready_line);
  g_clear_pointer(&template->parameters, g_ptr_array_unref);
  g_clear_pointer(&template->doc, xmlFreeDoc);
  g_free(template);
}

bool template_needs_agent(const DomainTemplate *template)
{
  bool key = template->screen == SCREEN_BY_GUEST && template->screen_key == SCREEN_KEY_BY_AGENT;
  return key || template->ready == READY_BY_AGENT || template->personalise == PERSONALISE_BY_AGENT;
}

bool template_network_is(const char *text)
{
  static const char BRIDGE[] = "bridge:";
  static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  const char *name = g_str_has_prefix(text, BRIDGE) ? text + strlen(BRIDGE) : text;
  return *name && *name != '-' && strlen(name) <= 63 && strspn(name, LETTERS) == strlen(name);
}

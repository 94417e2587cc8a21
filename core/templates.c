/* The brain's handler for templates: read, held to the policy, kept as the next version of their family. */
#include <string.h>

#include "core/brain_parts.h"
#include "core/template/domain.h"

static bool template_allowed(Brain *b, const DomainTemplate *t, const TemplateVersion *version, GError **err)
{
  LintPolicy policy = { .waived = (const char *const *)version->waive };
  return lint_waived_check(policy.waived, err) && lint_template(t, &policy, err);
}

static void needs_keep(TemplateVersion *version, MachineNeeds *needs)
{
  version->huge_pages = needs->huge;
  version->page_kib = needs->page_kib;
  version->one_cell = needs->one_cell;
  version->cpu_of_host = needs->cpu_of_host;
  g_ptr_array_add(needs->cpu, NULL);
  list_set(&version->cpu, (const char *const *)needs->cpu->pdata);
  machine_needs_clear(needs);
}

static bool template_fill(TemplateVersion *version, const DomainTemplate *t, GError **err)
{
  text_set(&version->title_en, t->title[LANG_EN]);
  text_set(&version->title_ko, t->title[LANG_KO]);
  text_set(&version->autologin, t->autologin);
  version->agent = template_needs_agent(t);
  static const PersonaliseMode modes[N_TEMPLATE_PERSONALISE_KINDS] = {
    [PERSONALISE_BY_AGENT] = PERSONALISE_AGENT, [PERSONALISE_BY_SEED] = PERSONALISE_SEED, [PERSONALISE_BY_NOBODY] = PERSONALISE_NONE,
  };
  version->personalise = modes[t->personalise];
  version->seed = t->seed;
  const TemplateParameter *class = t->gpu_parameter ? template_parameter_find(t, t->gpu_parameter) : NULL;
  ref_set(&version->gpu_class, t->gpu_class ? t->gpu_class : class ? class->standard : NULL);
  ref_set(&version->gpu_parameter, t->gpu_parameter);
  version->gpu_needed = t->gpu == GPU_NEED_REQUIRED;
  version->guest_screen = t->screen == SCREEN_BY_GUEST;
  version->ready_s = t->ready_timeout_us / SECOND_US;
  version->near = t->near;
  MachineNeeds needs;
  if (!template_resources(t, NULL, 0, &version->memory_mib, &version->vcpus, &needs, err))
    return false;
  needs_keep(version, &needs);
  return true;
}

bool verb_template_add(Brain *b, const Request *r, Answer *a, GError **err)
{
  TemplateVersion *version = verb_new_object(b, r, NOUN_TEMPLATE, NULL, err);
  if (!version)
    return false;
  g_autoptr(DomainTemplate) t = NULL;
  if (!template_parse(version->xml, strlen(version->xml), &t, err) || !template_allowed(b, t, version, err) ||
      !template_fill(version, t, err))
    return verb_drop(NOUN_TEMPLATE, version);
  version->version = next_version(b, NOUN_TEMPLATE, version->family);
  version->head.name = version_name(version->family, version->version);
  g_autofree char *name = g_strdup(version->head.name);
  verb_keep(b, NOUN_TEMPLATE, version);
  answer_object(b, a, 201, name);
  return true;
}

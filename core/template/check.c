#include "core/template/check.h"

#include "core/template/xml.h"

#include <stdlib.h>
#include <string.h>

void template_finding_free(TemplateFinding *finding)
{
  g_free(finding->rule);
  for (Lang lang = LANG_EN; lang <= LANG_KO; lang++) {
    g_free(finding->text[lang]);
    g_free(finding->fix[lang]);
  }
  g_free(finding);
}

static TemplateFinding *add(GPtrArray *findings, int line, char *rule)
{
  TemplateFinding *finding = g_new0(TemplateFinding, 1);
  finding->line = line;
  finding->rule = rule;
  g_ptr_array_add(findings, finding);
  return finding;
}

/* The line has a field of its own: it is not said twice. */
static char *without_line(char *text)
{
  const char *colon = strstr(text, ": ");
  if (colon && (g_str_has_prefix(text, "line ") || g_ascii_isdigit(*text)))
    memmove(text, colon + 2, strlen(colon + 2) + 1);
  return text;
}

static void add_error(GPtrArray *findings, const GError *err)
{
  const char *line = error_arg(err, "line");
  TemplateFinding *finding = add(findings, line ? atoi(line) : 0, g_strdup(reason_wire(error_reason(err))));
  for (Lang lang = LANG_EN; lang <= LANG_KO; lang++) {
    finding->text[lang] = error_text(err, lang);
    finding->fix[lang] = error_fix(err, lang);
    if (line)
      without_line(finding->text[lang]);
  }
}

static void add_lint(GPtrArray *findings, const LintFinding *found)
{
  static const char *const waivers[] = { "an administrator may waive this rule for a template",
                                         "관리자가 템플릿에 이 규칙을 면제할 수 있습니다" };
  TemplateFinding *finding = add(findings, found->line, g_strconcat("policy:", lint_rule_name(found->rule), NULL));
  for (Lang lang = LANG_EN; lang <= LANG_KO; lang++) {
    finding->text[lang] = g_strdup_printf("%s: %s", found->what, lint_rule_text(found->rule, lang));
    finding->fix[lang] = lint_rule_waive(found->rule) == WAIVE_NEVER ? NULL : g_strdup(waivers[lang]);
  }
}

static void add_schema(void *sink, int line, const char *text)
{
  TemplateFinding *finding = add(sink, line, g_strdup("schema"));
  finding->text[LANG_EN] = g_strdup(text);
  finding->text[LANG_KO] = g_strdup(text);
}

static int compare(gconstpointer a, gconstpointer b)
{
  const TemplateFinding *const *x = a, *const *y = b;
  return ((*x)->line > (*y)->line) - ((*x)->line < (*y)->line);
}

GPtrArray *template_check(const char *bytes, size_t len, const LintPolicy *policy, const DomainSchema *schema, int64_t schema_limit_us)
{
  GPtrArray *findings = g_ptr_array_new_with_free_func((GDestroyNotify)template_finding_free);
  g_autoptr(GError) err = NULL;
  g_autoptr(xmlDoc) doc = NULL;
  if (!xml_parse(bytes, len, &doc, &err)) {
    add_error(findings, err);
    return findings;
  }
  g_autoptr(DomainTemplate) template = NULL;
  if (!template_parse(bytes, len, &template, &err))
    add_error(findings, err);
  g_autoptr(GPtrArray) lint = lint_list(doc, template ? template->network : NULL, policy);
  for (guint i = 0; i < lint->len; i++)
    add_lint(findings, lint->pdata[i]);
  bool valid;
  g_autoptr(GError) none = NULL;
  if (schema && !domain_schema_check(schema, doc, schema_limit_us, add_schema, findings, &valid, &none))
    add_error(findings, none);
  g_ptr_array_sort(findings, compare);
  return findings;
}

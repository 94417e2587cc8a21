/* docs/templates.md tells the rows that the code has: UPDATE_DOCS=1 writes them anew. Runs from the project's root. */
#include "core/template/lint.h"
#include "core/template/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define PAGE "docs/templates.md"

static char *element_rows(void)
{
  GString *rows = g_string_new("| element | in | how many | attributes (*must be there*) | meaning |\n|---|---|---|---|---|\n");
  for (int i = 0; i < N_TEMPLATE_ELEMENTS; i++) {
    const TemplateElement *e = &template_elements[i];
    g_autofree char *count = e->min == e->max ? g_strdup_printf("%d", e->min) : g_strdup_printf("%d–%d", e->min, e->max);
    g_autofree char *must = *e->must ? g_strdup_printf("*%s*", e->must) : g_strdup("");
    g_string_append_printf(rows, "| `<%s>` | %s%s%s | %s | %s%s%s | %s |\n", e->name, e->parent ? "`<" : "`<metadata>`",
                           e->parent ? e->parent : "", e->parent ? ">`" : "", count, must, *e->must && *e->may ? " " : "", e->may, e->en);
  }
  return g_string_free(rows, FALSE);
}

static char *rule_rows(void)
{
  static const char *const waive[] = { [WAIVE_NEVER] = "no", [WAIVE_RULE] = "yes", [WAIVE_TREE] = "yes, with all below" };
  GString *rows = g_string_new("| rule | why | may be waived |\n|---|---|---|\n");
  for (int i = 0; i < N_LINT_RULES; i++) {
    LintRule rule = (LintRule)i;
    g_string_append_printf(rows, "| `%s` | %s | %s |\n", lint_rule_name(rule), lint_rule_text(rule, LANG_EN), waive[lint_rule_waive(rule)]);
  }
  return g_string_free(rows, FALSE);
}

/* What stands between the comment that begins with "name:" and "/name". */
static void assert_part(const char *name, const char *wanted)
{
  g_autofree char *page = NULL, *open = g_strdup_printf("<!-- %s:", name), *close = g_strdup_printf("<!-- /%s -->", name);
  assert_true(g_file_get_contents(PAGE, &page, NULL, NULL));
  char *begin = strstr(page, open), *end = strstr(page, close);
  assert_non_null(begin);
  assert_non_null(end);
  begin = strchr(begin, '\n') + 1;
  if (g_getenv("UPDATE_DOCS")) {
    g_autofree char *head = g_strndup(page, (gsize)(begin - page)), *text = g_strconcat(head, wanted, end, NULL);
    assert_true(g_file_set_contents(PAGE, text, -1, NULL));
    return;
  }
  g_autofree char *is = g_strndup(begin, (gsize)(end - begin));
  assert_string_equal(is, wanted);
}

static void elements(void **state)
{
  g_autofree char *rows = element_rows();
  assert_part("elements", rows);
}

static void rules(void **state)
{
  g_autofree char *rows = rule_rows();
  assert_part("rules", rows);
}

/* The page's example is a template: what people copy must work. */
static void the_example_is_a_template(void **state)
{
  g_autofree char *page = NULL;
  assert_true(g_file_get_contents(PAGE, &page, NULL, NULL));
  char *begin = strstr(page, "```xml\n"), *end = begin ? strstr(begin + 7, "```") : NULL;
  assert_non_null(end);
  g_autofree char *example = g_strndup(begin + 7, (gsize)(end - begin - 7));
  g_autofree char *text = g_strconcat("<domain type='kvm'>", example, "<memory/><devices><disk type='file'><target dev='vda' bus='virtio'/></disk>"
                                      "</devices></domain>", NULL);
  g_autoptr(GError) err = NULL;
  g_autoptr(DomainTemplate) template = NULL;
  if (!template_parse(text, strlen(text), &template, &err))
    fail_msg("%s", err->message);
  assert_true(lint_template(template, &(LintPolicy){ 0 }, NULL));
  assert_int_equal(template->parameters->len, 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(elements),
    cmocka_unit_test(rules),
    cmocka_unit_test(the_example_is_a_template),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

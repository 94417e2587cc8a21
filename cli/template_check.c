/* sarang template check: everything that can be said of a template file without a daemon. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "core/template/check.h"

static int check_file(const char *path, const char *bytes, size_t n, const LintPolicy *policy, const DomainSchema *schema, Lang lang)
{
  g_autoptr(GPtrArray) findings = template_check(bytes, n, policy, schema, SCHEMA_LIMIT_US);
  for (guint i = 0; i < findings->len; i++) {
    const TemplateFinding *f = findings->pdata[i];
    printf("%s:%d: %s: %s\n", path, f->line, f->rule, f->text[lang]);
    if (f->fix[lang])
      printf("    %s\n", f->fix[lang]);
  }
  if (!findings->len)
    printf("%s: ok\n", path);
  return findings->len;
}

static bool directories_check(char **directories, GError **err)
{
  for (char **d = directories; *d; d++)
    if (**d != '/')
      return error_false(err, REASON_BAD_VALUE, "field", "--storage", "value", *d, "limit", "an absolute path", NULL);
  return true;
}

/* What the file calls itself, and that libvirt's schema takes it: the controller checks all else, and says it better. */
bool template_add_check(const Command *c, json_t *body, GError **err)
{
  const char *xml = json_string_value(json_object_get(body, "xml")), *family = json_string_value(json_object_get(body, "family"));
  g_autoptr(DomainTemplate) t = NULL;
  g_autoptr(DomainSchema) schema = NULL;
  if (!xml || !template_parse(xml, strlen(xml), &t, NULL))
    return true;
  if (t->name && g_strcmp0(t->name, family) && !c->quiet)
    fprintf(stderr, say(c->place.lang, "sarang: the file calls itself \"%s\"; it becomes a version of \"%s\"\n"), t->name, family);
  const LintPolicy policy = { .waived = (const char *const[]){ NULL } };
  bool looked = domain_schema_open(DOMAIN_SCHEMA_PATH, &schema, NULL);
  g_autoptr(GPtrArray) findings = looked ? template_check(xml, strlen(xml), &policy, schema, SCHEMA_LIMIT_US) : NULL;
  int n = 0;
  for (guint i = 0; findings && i < findings->len; i++) {
    const TemplateFinding *f = findings->pdata[i];
    if ((!strcmp(f->rule, "schema") || !strcmp(f->rule, reason_wire(REASON_SCHEMA_LIMIT))) && ++n)
      fprintf(stderr, "%d: %s: %s\n", f->line, f->rule, f->text[c->place.lang]);
  }
  g_autofree char *count = g_strdup_printf("%d", n);
  return !n || error_false(err, REASON_TEMPLATE_FINDINGS, "n", count, NULL);
}

bool command_template_check(Command *c, GError **err)
{
  const char *waive = command_flag(c, "waive"), *storage = command_flag(c, "storage");
  g_auto(GStrv) waived = g_strsplit(waive ? waive : "", ",", -1), directories = g_strsplit(storage ? storage : "", ",", -1);
  LintPolicy policy = { .waived = (const char *const *)waived, .directories = (const char *const *)directories };
  if (!lint_waived_check(policy.waived, err) || !directories_check(directories, err))
    return false;
  g_autoptr(DomainSchema) schema = NULL;
  g_autoptr(GError) no_schema = NULL;
  if (!domain_schema_open(DOMAIN_SCHEMA_PATH, &schema, &no_schema))
    fprintf(stderr, "sarang: libvirt's schema is left out: %s\n", no_schema->message);
  int findings = 0;
  for (guint i = 0; i < c->words->len; i++) {
    const char *path = c->words->pdata[i];
    g_autofree char *bytes = NULL;
    gsize n;
    g_autoptr(GError) why = NULL;
    if (!g_file_get_contents(path, &bytes, &n, &why))
      return error_false(err, REASON_IO, "action", "read", "path", path, "detail", why->message, NULL);
    findings += check_file(path, bytes, n, &policy, schema, c->place.lang);
  }
  g_autofree char *n = g_strdup_printf("%d", findings);
  return !findings || error_false(err, REASON_TEMPLATE_FINDINGS, "n", n, NULL);
}

#include "drivers/schema/schema.h"

#include "core/error.h"

#include <libxml/relaxng.h>

enum { MAX_FINDINGS = 20 };

struct DomainSchema {
  xmlRelaxNG *grammar;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNGParserCtxt, xmlRelaxNGFreeParserCtxt)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlRelaxNGValidCtxt, xmlRelaxNGFreeValidCtxt)

static void keep_first(void *data, xmlError *error)
{
  char **detail = data;
  if (!*detail && error->message)
    *detail = g_strstrip(g_strdup(error->message));
}

bool domain_schema_open(const char *path, DomainSchema **ret_schema, GError **err)
{
  g_autofree char *detail = NULL;
  if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return error_false(err, REASON_IO, "action", "read", "path", path, "detail", "no such file; install libvirt's schemas", NULL);
  g_autoptr(xmlRelaxNGParserCtxt) parser = xmlRelaxNGNewParserCtxt(path);
  xmlRelaxNGSetParserStructuredErrors(parser, (xmlStructuredErrorFunc)keep_first, &detail);
  xmlRelaxNG *grammar = xmlRelaxNGParse(parser);
  if (!grammar)
    return error_false(err, REASON_IO, "action", "read", "path", path, "detail", detail ? detail : "not a schema", NULL);
  *ret_schema = g_new(DomainSchema, 1);
  (*ret_schema)->grammar = grammar;
  return true;
}

void domain_schema_close(DomainSchema *schema)
{
  if (schema)
    xmlRelaxNGFree(schema->grammar);
  g_free(schema);
}

typedef struct {
  SchemaFinding finding;
  void *sink;
  int n;
} Telling;

static void tell(void *data, xmlError *error)
{
  Telling *telling = data;
  if (telling->n++ >= MAX_FINDINGS || !telling->finding)
    return;
  g_autofree char *text = g_strstrip(g_strdup(error->message ? error->message : "not valid"));
  int line = error->node ? (int)xmlGetLineNo(error->node) : error->line;
  telling->finding(telling->sink, line, text);
}

bool domain_schema_check(const DomainSchema *schema, xmlDoc *doc, SchemaFinding finding, void *sink)
{
  g_autoptr(xmlRelaxNGValidCtxt) ctxt = xmlRelaxNGNewValidCtxt(schema->grammar);
  Telling telling = { .finding = finding, .sink = sink };
  xmlRelaxNGSetValidStructuredErrors(ctxt, (xmlStructuredErrorFunc)tell, &telling);
  return xmlRelaxNGValidateDoc(ctxt, doc) == 0;
}

#include "core/error.h"
#include "core/template/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static xmlDoc *parse(const char *text)
{
  xmlDoc *doc = NULL;
  assert_true(xml_parse(text, strlen(text), &doc, NULL));
  return doc;
}

static void assert_refused(const char *bytes, size_t len, const char *message)
{
  g_autoptr(GError) err = NULL;
  xmlDoc *doc = NULL;
  assert_false(xml_parse(bytes, len, &doc, &err));
  assert_null(doc);
  assert_string_equal(err->message, message);
}

#define DOCTYPE(line) "line " line ": a DOCTYPE or entity declaration is not taken"
#define SYNTAX(line, detail) "line " line ": not well-formed XML: " detail
#define ENCODING "line 1: the encoding is declared as something else than UTF-8"

static void refused(void **state)
{
  static const struct { const char *text, *message; } rows[] = {
    { "<!DOCTYPE domain><domain/>", DOCTYPE("1") },
    { "<?xml version='1.0'?>\n<!-- a -->\n<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>\n<d>&x;</d>", DOCTYPE("3") },
    { "<!DOCTYPE d [<!ENTITY a 'b'><!ENTITY c '&a;&a;&a;&a;'>]><d>&c;</d>", DOCTYPE("1") },
    { "<!DOCTYPE d SYSTEM 'http://127.0.0.1:1/x.dtd'><d/>", DOCTYPE("1") },
    { "<d>\n<!ENTITY a 'b'></d>", DOCTYPE("2") },
    { "<d a='\n<!--'/><!DOCTYPE d>", DOCTYPE("2") },
    { "<d>&undeclared;</d>", SYNTAX("1", "Entity 'undeclared' not defined") },
    { "<d a='&undeclared;'/>", SYNTAX("1", "Entity 'undeclared' not defined") },
    { "", SYNTAX("1", "Document is empty") },
    { "\n\n<d>", SYNTAX("3", "Premature end of data in tag d line 3") },
    { "<d/><e/>", SYNTAX("1", "Extra content at the end of the document") },
    { "<d a='1' a='2'/>", SYNTAX("1", "Attribute a redefined") },
    { "<d>&#0;</d>", SYNTAX("1", "xmlParseCharRef: invalid xmlChar value 0") },
    { "<d>\x01</d>", SYNTAX("1", "PCDATA invalid Char value 1") },
    { "<x:d/>", NULL },
    { "<?xml version='1.0' encoding='EUC-KR'?><d/>", ENCODING },
    { "<?xml\nversion='1.0' encoding = \"UTF-16\"?><d/>", ENCODING },
    { "<?xml version='1.0' encoding='UTF-7'?>+ADw-d/+AD4-", ENCODING },
    { "<d>\n\xff</d>", "line 2: not valid UTF-8" },
    { "\xff\xfe<\0d\0", "line 1: not valid UTF-8" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    if (rows[i].message)
      assert_refused(rows[i].text, strlen(rows[i].text), rows[i].message);
    else
      xmlFreeDoc(parse(rows[i].text)); /* an undeclared prefix is a matter of the schema, not of the reader */
  }
}

static void a_nul_byte_is_not_utf8(void **state)
{
  static const char text[] = "<d>\n\n\0</d>";
  assert_refused(text, sizeof text - 1, "line 3: not valid UTF-8");
}

static char *repeat(const char *unit, int n)
{
  GString *text = g_string_new(NULL);
  while (n--)
    g_string_append(text, unit);
  return g_string_free(text, FALSE);
}

static void deep_nesting_is_refused(void **state)
{
  g_autofree char *open = repeat("<d>\n", 20000);
  assert_refused(open, strlen(open), "line 101: elements are nested deeper than 100 levels");
  g_autofree char *in = repeat("<d>", XML_MAX_DEPTH_LEVELS), *out = repeat("</d>", XML_MAX_DEPTH_LEVELS);
  g_autofree char *most = g_strconcat(in, out, NULL), *more = g_strconcat("<a>", in, out, "</a>", NULL);
  g_autoptr(xmlDoc) doc = parse(most);
  assert_refused(more, strlen(more), "line 1: elements are nested deeper than 100 levels");
}

static void siblings_are_not_depth(void **state)
{
  g_autofree char *many = repeat("<e a='>'/><e b=\"/>\"></e><!-- <e> --><?pi <e> ?><![CDATA[<e>]]>", 500);
  g_autofree char *text = g_strconcat("<d>", many, "</d>", NULL);
  g_autoptr(xmlDoc) doc = parse(text);
  assert_int_equal(xmlChildElementCount(xmlDocGetRootElement(doc)), 1000);
}

static void long_attributes_are_refused(void **state)
{
  g_autofree char *most = g_strnfill(XML_MAX_ATTRIBUTE_BYTES - 1, 'x');
  g_autofree char *taken = g_strdup_printf("<d a='%s'/>", most), *more = g_strdup_printf("<d\n a='%sxx'/>", most);
  g_autoptr(xmlDoc) doc = parse(taken);
  assert_refused(more, strlen(more), "line 2: an attribute is longer than 65536 bytes");
}

static void a_document_of_10_mb_is_refused(void **state)
{
  g_autofree char *value = g_strnfill(10 << 20, 'x'), *text = g_strdup_printf("<d a='%s'/>", value);
  assert_refused(text, strlen(text), "the XML has 10485769 bytes, more than the limit of 1048576");
}

/* libxml2 compares each attribute with each: 200,000 of them took it minutes. */
static void many_attributes_are_refused_before_they_cost(void **state)
{
  GString *text = g_string_new("<!-- <a ' --><d x='>'");
  for (int i = 0; i < 60000; i++)
    g_string_append_printf(text, " a%d=''", i);
  g_string_append(text, "/>");
  assert_refused(text->str, text->len, "line 1: an element has more than 64 attributes");
  g_string_free(text, TRUE);
}

static void xinclude_stays_an_element(void **state)
{
  g_autoptr(xmlDoc) doc = parse("<d xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='/etc/passwd' parse='text'/></d>");
  g_autofree char *text = xml_format(doc);
  assert_non_null(strstr(text, "<xi:include href=\"/etc/passwd\" parse=\"text\"/>"));
  assert_null(strstr(text, "root:"));
}

static void text_is_never_markup(void **state)
{
  static const char HOSTILE[] = "</d><x a='&lt;\"'>]]>&amp;&#10;\xf0\x9f\x98\x80";
  g_autoptr(xmlDoc) doc = parse("<d><e/></d>");
  xmlNode *root = xmlDocGetRootElement(doc);
  xml_set(root, "a", HOSTILE);
  xml_set_text(xml_ensure(root, "e"), HOSTILE);
  g_autofree char *text = xml_format(doc);
  g_autoptr(xmlDoc) back = parse(text);
  g_autofree char *attribute = xml_dup(xmlDocGetRootElement(back), "a");
  g_autofree char *content = xml_dup_text(xml_find(xmlDocGetRootElement(back), "e"));
  assert_string_equal(attribute, HOSTILE);
  assert_string_equal(content, HOSTILE);
  assert_int_equal(xmlChildElementCount(xmlDocGetRootElement(back)), 1);
}

static void paths(void **state)
{
  static const struct { const char *path; int line; const char *attribute; } rows[] = {
    { "/domain", 1, NULL },
    { "/domain/vcpu", 2, NULL },
    { "/domain/disk", 3, NULL },
    { "/domain/disk[1]", 3, NULL },
    { "/domain/disk[2]/target/@dev", 5, "dev" },
    { "/domain/disk[3]", 0, NULL },
    { "/domain/disk[0]", 0, NULL },
    { "/domain/disk[x]", 0, NULL },
    { "/domain/disk[1", 0, NULL },
    { "/domain/disk[1]x", 0, NULL },
    { "/domain/disk[99999999999999999999]", 0, NULL },
    { "/domain/", 0, NULL },
    { "/domain//vcpu", 0, NULL },
    { "//vcpu", 0, NULL },
    { "domain/vcpu", 0, NULL },
    { "/domain/*", 0, NULL },
    { "/domain/../domain", 0, NULL },
    { "/domain/@", 0, NULL },
    { "/domain/@a/b", 0, NULL },
    { "/@a", 0, NULL },
    { "", 0, NULL },
  };
  g_autoptr(xmlDoc) doc = parse("<domain>\n<vcpu/>\n<disk/>\n<disk>\n<target dev='vda'/></disk></domain>");
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const char *attribute = "unset";
    xmlNode *node = xml_find_path(doc, rows[i].path, &attribute);
    assert_int_equal(node ? xml_line(node) : 0, rows[i].line);
    if (rows[i].attribute)
      assert_string_equal(attribute, rows[i].attribute);
    else if (node)
      assert_null(attribute);
  }
}

static void new_elements_are_indented(void **state)
{
  g_autoptr(xmlDoc) doc = parse("<d>\n  <e/>\n</d>");
  xmlNode *node = xml_append(xmlDocGetRootElement(doc), "f");
  xml_append(node, "g");
  g_autofree char *text = xml_format(doc);
  assert_string_equal(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<d>\n  <e/>\n  <f>\n    <g/>\n  </f>\n</d>\n");
  xml_remove(node);
  g_autofree char *without = xml_format(doc);
  assert_string_equal(without, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<d>\n  <e/>\n</d>\n");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(refused),
    cmocka_unit_test(a_nul_byte_is_not_utf8),
    cmocka_unit_test(deep_nesting_is_refused),
    cmocka_unit_test(siblings_are_not_depth),
    cmocka_unit_test(long_attributes_are_refused),
    cmocka_unit_test(a_document_of_10_mb_is_refused),
    cmocka_unit_test(many_attributes_are_refused_before_they_cost),
    cmocka_unit_test(xinclude_stays_an_element),
    cmocka_unit_test(text_is_never_markup),
    cmocka_unit_test(paths),
    cmocka_unit_test(new_elements_are_indented),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

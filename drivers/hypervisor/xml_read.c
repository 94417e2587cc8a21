#include "drivers/hypervisor/xml_read.h"

#include <glib.h>
#include <libxml/parser.h>
#include <stdbool.h>
#include <string.h>

enum { XML_MAX_BYTES = 4 << 20 };

const char *xml_verdict_text(XmlVerdict verdict)
{
  switch (verdict) {
  case XML_TAKEN:
    return "it is fine";
  case XML_EMPTY:
    return "it is empty";
  case XML_TOO_LONG:
    return "it is longer than 4 MiB";
  case XML_DOCTYPE:
    return "it has a DOCTYPE";
  case XML_BROKEN:
    return "it is not well-formed";
  }
  return "?";
}

static void on_doctype(void *parser, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
  xmlParserCtxt *context = parser;
  *(bool *)context->_private = true;
  xmlStopParser(context);
}

static void parser_init(void)
{
  static gsize once;
  if (g_once_init_enter(&once)) {
    xmlInitParser();
    g_once_init_leave(&once, 1);
  }
}

xmlDoc *xml_doc_read(const char *xml, XmlVerdict *ret_verdict)
{
  XmlVerdict unasked, *verdict = ret_verdict ? ret_verdict : &unasked;
  size_t bytes = xml ? strlen(xml) : 0;
  *verdict = !bytes ? XML_EMPTY : bytes > XML_MAX_BYTES ? XML_TOO_LONG : XML_TAKEN;
  if (*verdict != XML_TAKEN)
    return NULL;
  parser_init();
  xmlParserCtxt *context = xmlNewParserCtxt();
  bool doctype = false;
  context->_private = &doctype;
  context->sax->internalSubset = on_doctype;
  xmlDoc *doc = xmlCtxtReadMemory(context, xml, (int)bytes, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
  xmlFreeParserCtxt(context);
  if (doc && !doctype)
    return doc;
  xmlFreeDoc(doc);
  *verdict = doctype ? XML_DOCTYPE : XML_BROKEN;
  return NULL;
}

#include "drivers/hypervisor/device_xml.h"

#include <glib.h>
#include <libxml/xpath.h>
#include <string.h>

#include "drivers/hypervisor/xml_hostdev.h"
#include "drivers/hypervisor/xml_read.h"

static inline void doc_free(xmlDoc **doc) { xmlFreeDoc(*doc); }
#define XML_DOC __attribute__((cleanup(doc_free))) xmlDoc *

/* The text at an XPath expression, "" where there is none; owned by the caller. */
static char *text_at(xmlDoc *doc, const char *expression)
{
  xmlXPathContext *xpath = xmlXPathNewContext(doc);
  xmlXPathObject *found = xpath ? xmlXPathEvalExpression(BAD_CAST expression, xpath) : NULL;
  xmlChar *text = found ? xmlXPathCastToString(found) : NULL;
  char *copy = g_strstrip(g_strdup(text ? (char *)text : ""));
  xmlFree(text);
  xmlXPathFreeObject(found);
  xmlXPathFreeContext(xpath);
  return copy;
}

static bool count_at(xmlDoc *doc, const char *path)
{
  g_autofree char *expression = g_strdup_printf("string(count(%s))", path);
  g_autofree char *count = text_at(doc, expression);
  return *count && strcmp(count, "0");
}

DeviceKind device_xml_kind(const char *xml, char **ret_parent)
{
  XML_DOC doc = xml_doc_read(xml, NULL);
  if (!doc)
    return DEVICE_OTHER;
  g_autofree char *class = text_at(doc, "string(/device/capability[@type='pci']/class)");
  g_autofree char *parent = text_at(doc, "string(/device/parent)");
  bool mdev = count_at(doc, "/device/capability[@type='mdev']");
  bool card = g_str_has_prefix(class, "0x03") || count_at(doc, "/device/capability/capability[@type='mdev_types']");
  *ret_parent = g_steal_pointer(&parent);
  return mdev ? DEVICE_MDEV : card ? DEVICE_CARD : DEVICE_OTHER;
}

int device_xml_free(const char *xml, const char *type)
{
  XML_DOC doc = xml_doc_read(xml, NULL);
  xmlXPathContext *xpath = doc ? xmlXPathNewContext(doc) : NULL;
  xmlXPathObject *found = xpath ? xmlXPathEvalExpression(BAD_CAST "//capability[@type='mdev_types']/type", xpath) : NULL;
  int free_ones = -1;
  for (int i = 0; found && found->nodesetval && i < found->nodesetval->nodeNr; i++) {
    xmlNode *node = found->nodesetval->nodeTab[i];
    xmlChar *id = xmlGetNoNsProp(node, BAD_CAST "id");
    for (xmlNode *child = node->children; id && child && !strcmp((char *)id, type); child = child->next) {
      xmlChar *text = xmlStrEqual(child->name, BAD_CAST "availableInstances") ? xmlNodeGetContent(child) : NULL;
      guint64 number;
      if (text && g_ascii_string_to_unsigned(g_strstrip((char *)text), 10, 0, G_MAXINT, &number, NULL))
        free_ones = (int)number;
      xmlFree(text);
    }
    xmlFree(id);
  }
  xmlXPathFreeObject(found);
  xmlXPathFreeContext(xpath);
  return free_ones;
}

static char *doc_text(xmlDoc *doc)
{
  xmlBuffer *buffer = xmlBufferCreate();
  xmlNodeDump(buffer, doc, xmlDocGetRootElement(doc), 0, 0);
  char *text = g_strdup((const char *)xmlBufferContent(buffer));
  xmlBufferFree(buffer);
  return text;
}

/* https://libvirt.org/formatnode.html: type, parent and UUID are what mdevctl needs */
char *device_xml_mdev(const char *parent, const char *type, const char *uuid)
{
  XML_DOC doc = xmlNewDoc(BAD_CAST "1.0");
  xmlNode *device = xmlNewDocNode(doc, NULL, BAD_CAST "device", NULL);
  xmlDocSetRootElement(doc, device);
  xmlNewTextChild(device, NULL, BAD_CAST "parent", BAD_CAST parent);
  xmlNode *capability = xmlNewChild(device, NULL, BAD_CAST "capability", NULL);
  xmlNewProp(capability, BAD_CAST "type", BAD_CAST "mdev");
  xmlNewProp(xmlNewChild(capability, NULL, BAD_CAST "type", NULL), BAD_CAST "id", BAD_CAST type);
  xmlNewTextChild(capability, NULL, BAD_CAST "uuid", BAD_CAST uuid);
  return doc_text(doc);
}

char *device_xml_alias(const char *xml)
{
  XML_DOC doc = xml_doc_read(xml, NULL);
  g_autofree char *alias = doc ? text_at(doc, "string(/*/alias/@name)") : g_strdup("");
  return g_str_has_prefix(alias, "ua-") ? g_steal_pointer(&alias) : NULL;
}

char *device_xml_hostdev(const char *xml)
{
  XML_DOC doc = xml_doc_read(xml, NULL);
  xmlNode *top = doc ? xmlDocGetRootElement(doc) : NULL;
  return top && xmlStrEqual(top->name, BAD_CAST "hostdev") ? xml_hostdev(top) : NULL;
}

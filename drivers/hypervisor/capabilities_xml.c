#include "drivers/hypervisor/capabilities_xml.h"

#include <libxml/xpath.h>
#include <string.h>

#include "drivers/hypervisor/xml_read.h"

static char *xpath_text(xmlXPathContext *xpath, const char *expression)
{
  xmlXPathObject *found = xmlXPathEvalExpression(BAD_CAST expression, xpath);
  xmlChar *text = found ? xmlXPathCastToString(found) : NULL;
  char *copy = g_strdup(text ? (char *)text : "");
  xmlFree(text);
  xmlXPathFreeObject(found);
  return copy;
}

void capabilities_xml_read(const char *xml, HostFacts *facts)
{
  xmlDoc *doc = xml_doc_read(xml, NULL);
  xmlXPathContext *xpath = doc ? xmlXPathNewContext(doc) : NULL;
  if (!xpath)
    return;
  g_autofree char *uuid = xpath_text(xpath, "string(/capabilities/host/uuid)");
  if (g_uuid_string_is_valid(uuid))
    g_strlcpy(facts->uuid, uuid, sizeof facts->uuid);
  for (VirtType type = 0; type < N_VIRT_TYPES; type++) {
    g_autofree char *expression =
      g_strdup_printf("string(count(/capabilities/guest/arch/domain[@type='%s']))", virt_type_name(type));
    g_autofree char *count = xpath_text(xpath, expression);
    if (strcmp(count, "0"))
      facts->virt_types |= 1u << type;
  }
  xmlXPathFreeContext(xpath);
  xmlFreeDoc(doc);
}

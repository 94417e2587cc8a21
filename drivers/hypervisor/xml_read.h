/* XML that hosts tell, read as a stranger's. For the drivers that ask hosts: hypervisor, volume and gpu. */
#pragma once

#include <libxml/tree.h>

/* Why xml_doc_read refused, for people. */
typedef enum { XML_TAKEN, XML_EMPTY, XML_TOO_LONG, XML_DOCTYPE, XML_BROKEN } XmlVerdict;
const char *xml_verdict_text(XmlVerdict verdict);

/* The document, of at most 4 MiB, to be freed by the caller; NULL with the verdict, which may be NULL. A DOCTYPE ends the reading where it
 * begins: nothing that it declares is ever looked at. No network, no output. Any thread. */
xmlDoc *xml_doc_read(const char *xml, XmlVerdict *ret_verdict);

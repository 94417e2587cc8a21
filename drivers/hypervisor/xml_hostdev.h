/* A <hostdev> of domain XML as the device it names. Asked by the two readers of XML here. */
#pragma once

#include <libxml/tree.h>

/* A mediated device's UUID in lower case, or a PCI address "0000:65:00.4"; NULL for what is neither. Owned by the caller. */
char *xml_hostdev(xmlNode *hostdev);

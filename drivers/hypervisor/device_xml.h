/* Reads and writes the little XML of host devices that both drivers need: what kind a node device is, how many of a type are
 * free, the alias of a device. What a card is in full is read by drivers/gpu. Pure. */
#pragma once

#include <stdbool.h>

/* CARD: a PCI function of class 03 (display), or one that offers mediated devices. */
typedef enum { DEVICE_OTHER, DEVICE_CARD, DEVICE_MDEV } DeviceKind;

/* DEVICE_OTHER for what is no node device. *ret_parent: owned by the caller; may be NULL afterwards. */
DeviceKind device_xml_kind(const char *xml, char **ret_parent);
/* availableInstances of a type; -1 where the card has no such type or tells no number. */
int device_xml_free(const char *xml, const char *type);
/* A mediated device to be made. Owned by the caller. */
char *device_xml_mdev(const char *parent, const char *type, const char *uuid);
/* The alias of a device for a domain, when it is one a user may give ("ua-…"); NULL. Owned by the caller. */
char *device_xml_alias(const char *xml);
/* What a <hostdev> names: a mediated device's UUID in lower case, or a PCI address "0000:65:00.4"; NULL. Owned by the caller. */
char *device_xml_hostdev(const char *xml);

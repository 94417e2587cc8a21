/* XML that we did not write, read so that it can't reach out or wear us down, and the few tree verbs that templates need.
 * Reading: no network, DTD, entity or XInclude; UTF-8 only; limits on size, depth, attributes. Writing: nodes only, never text
 * glued together. Thin over libxml2; holds no state; any thread, but a document belongs to one thread at a time. */
#pragma once

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

enum {
  XML_MAX_BYTES = 1 << 20,
  XML_MAX_DEPTH_LEVELS = 100,
  XML_MAX_ATTRIBUTE_BYTES = 64 << 10,
  XML_MAX_ATTRIBUTES = 64, /* of one element; libxml2 compares each with each */
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlDoc, xmlFreeDoc)

/* Reads a whole document. The caller owns *ret_doc (xmlFreeDoc). Errors, each with the line: XML_SIZE, XML_UTF8, XML_ENCODING,
 * XML_DOCTYPE, XML_DEPTH, XML_ATTRIBUTE, XML_ATTRIBUTES, XML_SYNTAX. */
bool xml_parse(const char *bytes, size_t len, xmlDoc **ret_doc, GError **err);
/* The document as UTF-8 text ending with a newline; owned by the caller. */
char *xml_format(xmlDoc *doc);

/* The line node began on in the text it was read from. */
int xml_line(const xmlNode *node);
/* Whether node is an element called name without a namespace. */
bool xml_is(const xmlNode *node, const char *name);
/* The first child element called name without a namespace, or the first child element at all where name is NULL; NULL if none. */
xmlNode *xml_find(const xmlNode *parent, const char *name);
/* The next sibling element that is called as node is, or any where any_name. */
xmlNode *xml_next(const xmlNode *node, bool any_name);
/* The element or, for a path that ends in "/@name", the element that would hold the attribute:
 * "/domain/devices/disk[2]/target/@dev", counted from 1. NULL where there is none or path is not spelled so; *ret_attribute
 * points into path, or is NULL. */
xmlNode *xml_find_path(const xmlDoc *doc, const char *path, const char **ret_attribute);

/* An attribute's value without namespace, or NULL; owned by the caller. */
char *xml_dup(const xmlNode *node, const char *attribute);
/* The text below node, spaces at its ends taken off; owned by the caller, never NULL. */
char *xml_dup_text(const xmlNode *node);
/* Whether the attribute is there and has that value. */
bool xml_has(const xmlNode *node, const char *attribute, const char *value);

/* A new last child, on a line of its own, indented as its depth asks. Borrowed. */
xmlNode *xml_append(xmlNode *parent, const char *name);
/* The first child called name; made when there is none. Borrowed. */
xmlNode *xml_ensure(xmlNode *parent, const char *name);
/* The same, made right behind sibling. Borrowed. */
xmlNode *xml_ensure_behind(xmlNode *sibling, const char *name);
/* Any text is taken as it is: it is escaped where it is written. A NULL value takes the attribute off. */
void xml_set(xmlNode *node, const char *attribute, const char *value);
void xml_set_number(xmlNode *node, const char *attribute, int64_t value);
void xml_set_text(xmlNode *node, const char *text);
/* Takes node, and the blank text in front of it, out of its document and frees it. */
void xml_remove(xmlNode *node);
/* The same with all child elements of parent called name without a namespace. */
void xml_remove_all(xmlNode *parent, const char *name);

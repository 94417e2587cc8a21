#include "core/template/xml.h"

#include "core/error.h"

#include <libxml/parser.h>
#include <string.h>

/* ── the gate: what libxml2 is not even shown ──────────────────────────────
 * A lexical pass that agrees with any XML parser on well-formed text; where text is not well-formed, the parser stops there.
 * It refuses before the parser has spent anything. */

typedef struct {
  const char *at, *end;
  int line, depth;
} Scan;

static bool refuse(const Scan *scan, Reason reason, GError **err)
{
  g_autofree char *line = g_strdup_printf("%d", scan->line);
  return error_false(err, reason, "line", line, NULL);
}

static bool starts(const Scan *scan, const char *text)
{
  size_t n = strlen(text);
  return (size_t)(scan->end - scan->at) >= n && !memcmp(scan->at, text, n);
}

static void step(Scan *scan, size_t n)
{
  for (; n && scan->at < scan->end; n--)
    scan->line += *scan->at++ == '\n';
}

static void skip_past(Scan *scan, const char *mark)
{
  while (scan->at < scan->end && !starts(scan, mark))
    step(scan, 1);
  step(scan, strlen(mark));
}

/* From an opening quote to behind the closing one. */
static bool scan_value(Scan *scan, GError **err)
{
  const char *close = memchr(scan->at + 1, *scan->at, (size_t)(scan->end - scan->at - 1));
  size_t n = (size_t)((close ? close : scan->end - 1) - scan->at);
  if (n > XML_MAX_ATTRIBUTE_BYTES)
    return refuse(scan, REASON_XML_ATTRIBUTE, err);
  step(scan, n + 1);
  return true;
}

/* From "<" of a start or end tag to behind its ">". */
static bool scan_tag(Scan *scan, GError **err)
{
  bool closes = starts(scan, "</");
  if (!closes && ++scan->depth > XML_MAX_DEPTH_LEVELS)
    return refuse(scan, REASON_XML_DEPTH, err);
  for (int attributes = 0; scan->at < scan->end && *scan->at != '>'; ) {
    if (*scan->at != '"' && *scan->at != '\'') {
      closes |= starts(scan, "/>");
      step(scan, 1);
      continue;
    }
    if (++attributes > XML_MAX_ATTRIBUTES)
      return refuse(scan, REASON_XML_ATTRIBUTES, err);
    if (!scan_value(scan, err))
      return false;
  }
  step(scan, 1);
  scan->depth -= closes;
  return true;
}

/* "<?xml … encoding='X'?>" may say nothing but UTF-8. */
static bool scan_declaration(Scan *scan, GError **err)
{
  Scan from = *scan;
  skip_past(scan, "?>");
  g_autofree char *text = g_ascii_strdown(from.at, scan->at - from.at);
  const char *encoding = strstr(text, "encoding");
  if (!encoding)
    return true;
  encoding += strlen("encoding");
  encoding += strspn(encoding, " \t\r\n=");
  if (g_str_has_prefix(encoding, "\"utf-8\"") || g_str_has_prefix(encoding, "'utf-8'"))
    return true;
  return refuse(&from, REASON_XML_ENCODING, err);
}

static bool scan_markup(Scan *scan, GError **err)
{
  if (starts(scan, "<!--"))
    skip_past(scan, "-->");
  else if (starts(scan, "<![CDATA["))
    skip_past(scan, "]]>");
  else if (starts(scan, "<?xml") && scan->end - scan->at > 5 && g_ascii_isspace(scan->at[5]))
    return scan_declaration(scan, err);
  else if (starts(scan, "<?"))
    skip_past(scan, "?>");
  else if (starts(scan, "<!"))
    return refuse(scan, REASON_XML_DOCTYPE, err);
  else
    return scan_tag(scan, err);
  return true;
}

static bool utf8_check(const char *bytes, size_t len, GError **err)
{
  const char *bad;
  if (g_utf8_validate_len(bytes, len, &bad))
    return true;
  Scan scan = { .at = bytes, .end = bad, .line = 1 };
  step(&scan, len);
  return refuse(&scan, REASON_XML_UTF8, err);
}

static bool gate(const char *bytes, size_t len, GError **err)
{
  if (len > XML_MAX_BYTES) {
    g_autofree char *value = g_strdup_printf("%zu", len);
    g_autofree char *limit = g_strdup_printf("%d", XML_MAX_BYTES);
    return error_false(err, REASON_XML_SIZE, "value", value, "limit", limit, NULL);
  }
  if (!utf8_check(bytes, len, err))
    return false;
  Scan scan = { .at = bytes, .end = bytes + len, .line = 1 };
  while (scan.at < scan.end) {
    if (*scan.at != '<')
      step(&scan, 1);
    else if (!scan_markup(&scan, err))
      return false;
  }
  return true;
}

/* ── reading and writing ─────────────────────────────────────────────────── */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(xmlParserCtxt, xmlFreeParserCtxt)

static bool syntax_error(xmlParserCtxt *ctxt, GError **err)
{
  xmlError *last = xmlCtxtGetLastError(ctxt);
  g_autofree char *line = g_strdup_printf("%d", last && last->line > 0 ? last->line : 1);
  g_autofree char *detail = g_strdup(last && last->message ? last->message : "not XML");
  return error_false(err, REASON_XML_SYNTAX, "line", line, "detail", g_strstrip(detail), NULL);
}

bool xml_parse(const char *bytes, size_t len, xmlDoc **ret_doc, GError **err)
{
  static gsize once;
  if (g_once_init_enter(&once)) {
    xmlInitParser();
    g_once_init_leave(&once, 1);
  }
  if (!gate(bytes, len, err))
    return false;
  g_autoptr(xmlParserCtxt) ctxt = xmlNewParserCtxt();
  int options = XML_PARSE_NONET | XML_PARSE_IGNORE_ENC | XML_PARSE_BIG_LINES | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
  g_autoptr(xmlDoc) doc = xmlCtxtReadMemory(ctxt, bytes, (int)len, NULL, "UTF-8", options);
  if (!doc || !xmlDocGetRootElement(doc))
    return syntax_error(ctxt, err);
  g_assert(!doc->intSubset && !doc->extSubset);
  *ret_doc = g_steal_pointer(&doc);
  return true;
}

char *xml_format(xmlDoc *doc)
{
  xmlChar *text = NULL;
  int len = 0;
  xmlDocDumpMemoryEnc(doc, &text, &len, "UTF-8");
  g_assert(text);
  char *copy = g_strndup((const char *)text, (size_t)len);
  xmlFree(text);
  return copy;
}

/* ── looking ─────────────────────────────────────────────────────────────── */

int xml_line(const xmlNode *node) { return (int)xmlGetLineNo(node); }

static bool is_called(const xmlNode *node, const char *name, size_t len)
{
  return node->type == XML_ELEMENT_NODE && !node->ns && strlen((const char *)node->name) == len && !memcmp(node->name, name, len);
}

bool xml_is(const xmlNode *node, const char *name) { return is_called(node, name, strlen(name)); }

static bool fits(const xmlNode *node, const char *name)
{
  return node->type == XML_ELEMENT_NODE && (!name || xml_is(node, name));
}

xmlNode *xml_find(const xmlNode *parent, const char *name)
{
  xmlNode *child = parent->children;
  while (child && !fits(child, name))
    child = child->next;
  return child;
}

xmlNode *xml_next(const xmlNode *node, bool any_name)
{
  xmlNode *next = node->next;
  while (next && !fits(next, any_name ? NULL : (const char *)node->name))
    next = next->next;
  return next;
}

static xmlNode *find_nth(xmlNode *child, const char *name, size_t len, int nth)
{
  for (; child; child = child->next)
    if (is_called(child, name, len) && --nth == 0)
      break;
  return child;
}

/* Takes "/name" or "/name[3]" off *path. */
static bool path_step(const char **path, const char **ret_name, size_t *ret_len, int *ret_nth)
{
  static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  const char *name = *path + 1;
  size_t len = strspn(name, LETTERS);
  const char *rest = name + len;
  int nth = 1;
  if (*rest == '[') {
    char *end;
    nth = g_ascii_isdigit(rest[1]) ? (int)strtol(rest + 1, &end, 10) : 0;
    if (nth < 1 || *end != ']')
      return false;
    rest = end + 1;
  }
  *path = rest;
  *ret_name = name;
  *ret_len = len;
  *ret_nth = nth;
  return len && (*rest == '/' || !*rest);
}

xmlNode *xml_find_path(const xmlDoc *doc, const char *path, const char **ret_attribute)
{
  xmlNode *node = (xmlNode *)doc;
  *ret_attribute = NULL;
  if (*path != '/')
    return NULL;
  while (node && *path) {
    const char *name;
    size_t len;
    int nth;
    if (g_str_has_prefix(path, "/@")) {
      *ret_attribute = path + 2;
      return **ret_attribute && !strpbrk(*ret_attribute, "/[]@: ") && node->type == XML_ELEMENT_NODE ? node : NULL;
    }
    if (!path_step(&path, &name, &len, &nth))
      return NULL;
    node = find_nth(node->children, name, len, nth);
  }
  return node;
}

static char *take(xmlChar *text)
{
  char *copy = g_strdup((const char *)text);
  if (text)
    xmlFree(text);
  return copy;
}

char *xml_dup(const xmlNode *node, const char *attribute) { return take(xmlGetNoNsProp(node, BAD_CAST attribute)); }

char *xml_dup_text(const xmlNode *node)
{
  char *text = take(xmlNodeGetContent(node));
  return text ? g_strstrip(text) : g_strdup("");
}

bool xml_has(const xmlNode *node, const char *attribute, const char *value)
{
  g_autofree char *found = xml_dup(node, attribute);
  return !g_strcmp0(found, value);
}

/* ── changing ────────────────────────────────────────────────────────────── */

static int depth_of(const xmlNode *node)
{
  int depth = 0;
  while ((node = node->parent) && node->type == XML_ELEMENT_NODE)
    depth++;
  return depth;
}

static xmlNode *new_blank(xmlNode *parent, int depth)
{
  g_autofree char *text = g_strdup_printf("\n%*s", 2 * depth, "");
  return xmlNewDocText(parent->doc, BAD_CAST text);
}

xmlNode *xml_append(xmlNode *parent, const char *name)
{
  int depth = depth_of(parent);
  xmlNode *last = parent->last;
  if (last && xmlIsBlankNode(last)) {
    xmlUnlinkNode(last);
    xmlFreeNode(last);
  }
  xmlAddChild(parent, new_blank(parent, depth + 1));
  xmlNode *node = xmlAddChild(parent, xmlNewDocNode(parent->doc, NULL, BAD_CAST name, NULL));
  xmlAddChild(parent, new_blank(parent, depth));
  g_assert(node);
  return node;
}

xmlNode *xml_ensure_behind(xmlNode *sibling, const char *name)
{
  xmlNode *found = xml_find(sibling->parent, name);
  if (found)
    return found;
  xmlNode *blank = xmlAddNextSibling(sibling, new_blank(sibling->parent, depth_of(sibling)));
  xmlNode *node = xmlAddNextSibling(blank, xmlNewDocNode(sibling->doc, NULL, BAD_CAST name, NULL));
  g_assert(node);
  return node;
}

xmlNode *xml_ensure(xmlNode *parent, const char *name)
{
  xmlNode *child = xml_find(parent, name);
  return child ? child : xml_append(parent, name);
}

void xml_set(xmlNode *node, const char *attribute, const char *value)
{
  if (value)
    xmlSetProp(node, BAD_CAST attribute, BAD_CAST value);
  else
    xmlUnsetNsProp(node, NULL, BAD_CAST attribute);
}

void xml_set_number(xmlNode *node, const char *attribute, int64_t value)
{
  g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
  xml_set(node, attribute, text);
}

void xml_set_text(xmlNode *node, const char *text)
{
  while (node->children) {
    xmlNode *child = node->children;
    xmlUnlinkNode(child);
    xmlFreeNode(child);
  }
  xmlAddChild(node, xmlNewDocText(node->doc, BAD_CAST text));
}

void xml_remove(xmlNode *node)
{
  xmlNode *before = node->prev;
  if (before && xmlIsBlankNode(before)) {
    xmlUnlinkNode(before);
    xmlFreeNode(before);
  }
  xmlUnlinkNode(node);
  xmlFreeNode(node);
}

void xml_remove_all(xmlNode *parent, const char *name)
{
  for (xmlNode *child; (child = xml_find(parent, name));)
    xml_remove(child);
}

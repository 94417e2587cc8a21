#include "drivers/hypervisor/capabilities_xml.h"

#include <libxml/xpath.h>
#include <string.h>

#include "core/cells.h"
#include "drivers/hypervisor/xml_read.h"

enum { WORD_BYTES = 64, WORDS_BYTES = 16 << 10, PAGE_SIZES_MAX = 8, SMALLEST_HUGE_KIB = 1024 };

/* ── reading ────────────────────────────────────────────────────────────── */

static char *xpath_text(xmlXPathContext *xpath, const char *expression)
{
  xmlXPathObject *found = xmlXPathEvalExpression(BAD_CAST expression, xpath);
  xmlChar *text = found ? xmlXPathCastToString(found) : NULL;
  char *copy = g_strdup(text ? (char *)text : "");
  xmlFree(text);
  xmlXPathFreeObject(found);
  return copy;
}

/* The first element of that name beside node, itself included. */
static xmlNode *named(xmlNode *node, const char *name)
{
  while (node && (node->type != XML_ELEMENT_NODE || strcmp((const char *)node->name, name) != 0))
    node = node->next;
  return node;
}

static xmlNode *child_of(const xmlNode *node, const char *name)
{
  return node ? named(node->children, name) : NULL;
}

static xmlNode *next_of(const xmlNode *node)
{
  return named(node->next, (const char *)node->name);
}

/* Whether the attribute has that value; standard: where it is not there. */
static bool has(const xmlNode *node, const char *attribute, const char *value, bool standard)
{
  xmlChar *text = xmlGetProp(node, BAD_CAST attribute);
  bool same = text ? !strcmp((const char *)text, value) : standard;
  xmlFree(text);
  return same;
}

static bool number_of(xmlChar *text, int64_t max, int64_t *ret_number)
{
  guint64 number;
  bool ok = text && g_ascii_string_to_unsigned(g_strstrip((char *)text), 10, 0, (guint64)max, &number, NULL);
  if (ok)
    *ret_number = (int64_t)number;
  xmlFree(text);
  return ok;
}

static bool attribute_number(const xmlNode *node, const char *attribute, int64_t max, int64_t *ret_number)
{
  return number_of(xmlGetProp(node, BAD_CAST attribute), max, ret_number);
}

/* ── cells ──────────────────────────────────────────────────────────────── */

/* Pages of one size, cell by cell. */
typedef struct {
  int64_t kib, mib[HOST_CELLS_MAX], sum_mib;
} PageSize;

typedef struct {
  HostCells cells;
  int n_sizes;
  PageSize sizes[PAGE_SIZES_MAX];
} CellsRead;

static PageSize *page_size(CellsRead *r, int64_t kib)
{
  for (int i = 0; i < r->n_sizes; i++)
    if (r->sizes[i].kib == kib)
      return &r->sizes[i];
  if (r->n_sizes == PAGE_SIZES_MAX)
    return NULL;
  r->sizes[r->n_sizes] = (PageSize){ .kib = kib };
  return &r->sizes[r->n_sizes++];
}

/* A cell that claims more in pages than it has is not believed. */
static void pages_read(const xmlNode *cell, CellsRead *r, int64_t memory_mib)
{
  for (xmlNode *pages = child_of(cell, "pages"); pages; pages = next_of(pages)) {
    int64_t kib, count;
    if (!has(pages, "unit", "KiB", true) || !attribute_number(pages, "size", INT64_C(1) << 30, &kib) || kib < SMALLEST_HUGE_KIB ||
        !number_of(xmlNodeGetContent(pages), INT64_C(1) << 31, &count) || kib * count / 1024 > memory_mib)
      continue;
    PageSize *size = count ? page_size(r, kib) : NULL;
    if (!size)
      continue;
    size->sum_mib += kib * count / 1024 - size->mib[r->cells.n];
    size->mib[r->cells.n] = kib * count / 1024;
  }
}

static bool cpus_read(const xmlNode *node, HostCell *cell)
{
  bool cpus[HOST_CPUS_MAX] = { false };
  int64_t id;
  for (xmlNode *cpu = child_of(child_of(node, "cpus"), "cpu"); cpu; cpu = next_of(cpu))
    if (attribute_number(cpu, "id", HOST_CPUS_MAX - 1, &id))
      cpus[id] = true;
  return cell_set_cpus(cell, cpus);
}

/* One without CPUs or memory of its own holds no desktop. */
static void cell_read(const xmlNode *node, CellsRead *r)
{
  int64_t id, kib;
  xmlNode *memory = child_of(node, "memory");
  HostCell *cell = &r->cells.cells[r->cells.n];
  if (!memory || !has(memory, "unit", "KiB", true) || !number_of(xmlNodeGetContent(memory), (int64_t)INT32_MAX << 10, &kib) || kib < 1024)
    return;
  if (r->cells.n == HOST_CELLS_MAX || !attribute_number(node, "id", HOST_CELLS_MAX - 1, &id) || host_cell_find(&r->cells, id))
    return;
  *cell = (HostCell){ .id = (int)id, .memory_mib = kib >> 10 };
  if (!cpus_read(node, cell))
    return;
  pages_read(node, r, cell->memory_mib);
  r->cells.n++;
}

static void cells_read(const xmlNode *host, HostFacts *facts)
{
  CellsRead r = { 0 };
  const PageSize *most = NULL;
  for (xmlNode *cell = child_of(child_of(child_of(host, "topology"), "cells"), "cell"); cell; cell = next_of(cell))
    cell_read(cell, &r);
  for (int i = 0; i < r.n_sizes; i++)
    if (!most || r.sizes[i].sum_mib > most->sum_mib)
      most = &r.sizes[i];
  for (int i = 0; most && i < r.cells.n; i++)
    r.cells.cells[i].huge_mib = most->mib[i];
  int64_t others_mib = most ? -most->sum_mib : 0;
  for (int i = 0; i < r.n_sizes; i++)
    others_mib += r.sizes[i].sum_mib;
  facts->memory_mib = MAX(0, facts->memory_mib - others_mib);
  g_free(facts->cells);
  facts->cells = host_cells_text(&r.cells);
  facts->page_kib = most ? most->kib : 0;
  facts->huge_mib = most ? most->sum_mib : 0;
}

/* ── processors ─────────────────────────────────────────────────────────── */

static int compare_words(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Adds text as a word, if it is one; it is freed. */
static void word_take(GPtrArray *words, xmlChar *text)
{
  size_t n = text ? strlen(g_strstrip((char *)text)) : 0;
  bool ok = n && n < WORD_BYTES && strspn((char *)text, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._+-") == n;
  if (ok)
    g_ptr_array_add(words, g_strdup((char *)text));
  xmlFree(text);
}

/* In order, each once; what is beyond the limit is left out. NULL for none. */
static char *words_join(GPtrArray *words)
{
  GString *text = g_string_new(NULL);
  g_ptr_array_sort(words, compare_words);
  for (guint i = 0; i < words->len; i++) {
    const char *word = words->pdata[i];
    bool again = i && !strcmp(word, words->pdata[i - 1]);
    if (!again && text->len + strlen(word) < WORDS_BYTES)
      g_string_append_printf(text, "%s%s", text->len ? " " : "", word);
  }
  return g_string_free(text, !text->len);
}

static void features_add(const xmlNode *cpu, GPtrArray *words)
{
  for (xmlNode *feature = child_of(cpu, "feature"); feature; feature = next_of(feature))
    if (has(feature, "policy", "require", true))
      word_take(words, xmlGetProp(feature, BAD_CAST "name"));
}

static xmlNode *mode_of(const xmlNode *domain, const char *name)
{
  xmlNode *mode = child_of(child_of(domain, "cpu"), "mode");
  while (mode && !(has(mode, "name", name, false) && has(mode, "supported", "yes", false)))
    mode = next_of(mode);
  return mode;
}

static void models_add(const xmlNode *domain, GPtrArray *words)
{
  for (xmlNode *model = child_of(mode_of(domain, "custom"), "model"); model; model = next_of(model))
    if (has(model, "usable", "yes", false))
      word_take(words, xmlNodeGetContent(model));
}

static void cpu_read(const xmlNode *host, HostFacts *facts)
{
  g_autoptr(GPtrArray) model = g_ptr_array_new_with_free_func(g_free);
  xmlNode *name = child_of(child_of(host, "cpu"), "model");
  if (name)
    word_take(model, xmlNodeGetContent(name));
  g_free(facts->cpu_model);
  facts->cpu_model = words_join(model);
}

char *capabilities_xml_cpu(const char *xml)
{
  xmlDoc *doc = xml_doc_read(xml, NULL);
  xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL, *cpu = mode_of(root, "host-model");
  xmlBuffer *buffer = xmlBufferCreate();
  if (!cpu)
    cpu = child_of(child_of(root, "host"), "cpu");
  if (cpu) {
    xmlNodeSetName(cpu, BAD_CAST "cpu");
    xmlUnsetProp(cpu, BAD_CAST "name");
    xmlUnsetProp(cpu, BAD_CAST "supported");
    xmlNodeDump(buffer, doc, cpu, 0, 0);
  }
  char *text = cpu ? g_strdup((const char *)xmlBufferContent(buffer)) : NULL;
  xmlBufferFree(buffer);
  xmlFreeDoc(doc);
  return text;
}

char *capabilities_xml_words(const char *cpu, const char *domain)
{
  g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
  xmlDoc *cpu_doc = xml_doc_read(cpu, NULL), *domain_doc = xml_doc_read(domain, NULL);
  if (cpu_doc)
    features_add(xmlDocGetRootElement(cpu_doc), words);
  if (domain_doc)
    models_add(xmlDocGetRootElement(domain_doc), words);
  xmlFreeDoc(cpu_doc);
  xmlFreeDoc(domain_doc);
  return words_join(words);
}

/* ── all of it ──────────────────────────────────────────────────────────── */

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
  xmlNode *host = child_of(xmlDocGetRootElement(doc), "host");
  if (host) {
    cells_read(host, facts);
    cpu_read(host, facts);
  }
  xmlXPathFreeContext(xpath);
  xmlFreeDoc(doc);
}

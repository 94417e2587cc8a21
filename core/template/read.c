#include "core/template/template.h"

#include "core/template/machine.h"
#include "core/template/parameter.h"
#include "core/template/xml.h"
#include "core/text.h"

#include <string.h>

enum { MAX_LINE_CHARACTERS = 200, MAX_NETWORK_CHARACTERS = 63, MAX_TEXT_CHARACTERS = 4096, STANDARD_TEXT_CHARACTERS = 200, USUAL_VNC_PORT = 5900 };

/* ── refusals with a line ────────────────────────────────────────────────── */

static bool refuse(const xmlNode *node, Reason reason, const char *name, const char *value, GError **err)
{
  g_autofree char *line = g_strdup_printf("%d", xml_line(node));
  return error_false(err, reason, "line", line, "element", (const char *)node->name, name, value, NULL);
}

static bool refuse_unknown(const xmlNode *node, const char *what, const char *known, GError **err)
{
  g_autofree char *line = g_strdup_printf("%d", xml_line(node));
  return error_false(err, REASON_TEMPLATE_UNKNOWN, "line", line, "what", what, "known", known, NULL);
}

static bool refuse_value(const xmlNode *node, const char *attribute, const char *value, const char *limit, GError **err)
{
  g_autofree char *line = g_strdup_printf("%d", xml_line(node));
  g_autofree char *what = attribute ? g_strdup_printf("%s of <%s>", attribute, node->name) : g_strdup_printf("<%s>", node->name);
  g_autofree char *shown = text_dup_visible(value, 80);
  return error_false(err, REASON_TEMPLATE_VALUE, "line", line, "what", what, "value", shown, "limit", limit, NULL);
}

/* A check of core/text.h said no: the same, with the line. */
static bool refuse_text(const xmlNode *node, const char *attribute, const char *value, const GError *why, GError **err)
{
  const char *limit = error_arg(why, "limit");
  return refuse_value(node, attribute, value, limit ? limit : why->message, err);
}

/* ── attributes ──────────────────────────────────────────────────────────── */

static bool has_word(const char *words, const char *word)
{
  g_auto(GStrv) list = g_strsplit(words, " ", -1);
  return g_strv_contains((const char *const *)list, word);
}

static bool attributes_check(const xmlNode *node, const TemplateElement *element, GError **err)
{
  for (const xmlAttr *a = node->properties; a; a = a->next) {
    if (!a->ns && (has_word(element->must, (const char *)a->name) || has_word(element->may, (const char *)a->name)))
      continue;
    g_autofree char *what = g_strdup_printf("attribute %s of <%s>", a->name, node->name);
    g_autofree char *known = g_strstrip(g_strdup_printf("%s %s", element->must, element->may));
    return refuse_unknown(node, what, known, err);
  }
  g_auto(GStrv) must = g_strsplit(element->must, " ", -1);
  for (char **name = must; *name; name++)
    if (**name && !xmlHasNsProp((xmlNode *)node, BAD_CAST *name, NULL))
      return refuse(node, REASON_TEMPLATE_MISSING, "what", *name, err);
  return true;
}

static bool read_name(const xmlNode *node, const char *attribute, char **ret_name, GError **err)
{
  g_autofree char *text = xml_dup(node, attribute);
  g_autoptr(GError) why = NULL;
  if (!name_check(attribute, text, &why))
    return refuse_text(node, attribute, text, why, err);
  *ret_name = g_steal_pointer(&text);
  return true;
}

/* The attribute as one of names, or standard where it is not there. */
static bool read_word(const xmlNode *node, const char *attribute, const EnumNames *names, int standard, int *ret_value,
                      GError **err)
{
  g_autofree char *text = xml_dup(node, attribute);
  *ret_value = standard;
  if (!text)
    return true;
  for (int i = 0; i < names->n; i++)
    if (!strcmp(names->names[i], text)) {
      *ret_value = i;
      return true;
    }
  g_autofree char *limit = g_strdup(names->names[0]);
  for (int i = 1; i < names->n; i++) {
    g_autofree char *longer = g_strconcat(limit, " | ", names->names[i], NULL);
    g_free(g_steal_pointer(&limit));
    limit = g_steal_pointer(&longer);
  }
  return refuse_value(node, attribute, text, limit, err);
}

static bool read_number(const xmlNode *node, const char *attribute, int64_t min, int64_t max, int64_t *number, GError **err)
{
  g_autofree char *text = xml_dup(node, attribute);
  if (!text || number_parse(text, min, max, number))
    return true;
  g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT "…%" G_GINT64_FORMAT, min, max);
  return refuse_value(node, attribute, text, limit, err);
}

static bool read_line_of_text(const xmlNode *node, const char *attribute, int max_characters, char **ret_text, GError **err)
{
  g_autofree char *text = attribute ? xml_dup(node, attribute) : xml_dup_text(node);
  g_autoptr(GError) why = NULL;
  if (!text_check(attribute ? attribute : "text", text, max_characters, &why))
    return refuse_text(node, attribute, text, why, err);
  if (!*text)
    return refuse_value(node, attribute, text, "not empty", err);
  g_free(*ret_text);
  *ret_text = g_steal_pointer(&text);
  return true;
}

/* ── elements ────────────────────────────────────────────────────────────── */

typedef struct {
  DomainTemplate *template;
  TemplateParameter *parameter; /* the one being read, or NULL */
} Target;

typedef bool (*Read)(const xmlNode *node, const Target *target, GError **err);

static bool read_children(const xmlNode *parent, const Target *target, GError **err);

static bool read_template(const xmlNode *node, const Target *target, GError **err)
{
  return read_name(node, "name", &target->template->name, err);
}

static bool read_title(const xmlNode *node, const Target *target, GError **err)
{
  static const char *const langs[] = { "en", "ko" };
  static const EnumNames names = { langs, 2 };
  int lang;
  if (!read_word(node, "lang", &names, LANG_EN, &lang, err))
    return false;
  char **title = target->parameter ? target->parameter->title : target->template->title;
  if (title[lang])
    return refuse_value(node, "lang", langs[lang], "given once", err);
  return read_line_of_text(node, NULL, TITLE_MAX_CHARACTERS, &title[lang], err);
}

static bool read_image(const xmlNode *node, const Target *target, GError **err)
{
  int kernel;
  if (!read_word(node, "kernel", &template_kernel_names, KERNEL_NO, &kernel, err))
    return false;
  target->template->kernel = (TemplateKernel)kernel;
  return read_name(node, "name", &target->template->image, err);
}

static bool read_network(const xmlNode *node, const Target *target, GError **err)
{
  char **network = &target->template->network;
  if (!read_line_of_text(node, "name", MAX_NETWORK_CHARACTERS, network, err))
    return false;
  return template_network_is(*network) || refuse_value(node, "name", *network, "NAME | bridge:NAME | user", err);
}

static const char *const no_yes_words[] = { "no", "yes" };
static const EnumNames no_yes = { no_yes_words, G_N_ELEMENTS(no_yes_words) };

static bool read_gpu(const xmlNode *node, const Target *target, GError **err)
{
  int need, near;
  if (!read_word(node, "need", &template_gpu_need_names, GPU_NEED_NONE, &need, err) || !read_word(node, "near", &no_yes, false, &near, err))
    return false;
  target->template->near = near;
  target->template->gpu = (TemplateGpuNeed)need;
  return (!xmlHasProp((xmlNode *)node, BAD_CAST "class") || read_name(node, "class", &target->template->gpu_class, err)) &&
         (!xmlHasProp((xmlNode *)node, BAD_CAST "parameter") || read_name(node, "parameter", &target->template->gpu_parameter, err));
}

static bool read_protocol(const xmlNode *node, const Target *target, GError **err)
{
  static const int usual_ports[N_TEMPLATE_PROTOCOLS] = { [OFFER_RDP] = 3389, [OFFER_SSH] = 22 };
  int protocol;
  if (!read_word(node, "name", &template_protocol_names, OFFER_VNC, &protocol, err))
    return false;
  if (target->template->protocols[protocol].offered)
    return refuse_value(node, "name", template_protocol_name((TemplateProtocol)protocol), "given once", err);
  int64_t port = usual_ports[protocol];
  g_autofree char *text = xml_dup(node, "port");
  if (!port && text)
    return refuse_value(node, "port", text, "left out: the host chooses the port of its consoles", err);
  if (!read_number(node, "port", 1, 65535, &port, err))
    return false;
  target->template->protocols[protocol] = (TemplateOffer){ .offered = true, .port = (int)port };
  return true;
}

static bool read_screen(const xmlNode *node, const Target *target, GError **err)
{
  static const char *const guests_alone[] = { "port", "password" };
  DomainTemplate *t = target->template;
  int screen, key;
  int64_t port = USUAL_VNC_PORT;
  if (!read_word(node, "server", &template_screen_names, SCREEN_BY_HOST, &screen, err) ||
      !read_word(node, "password", &template_screen_key_names, SCREEN_KEY_BY_AGENT, &key, err) ||
      !read_number(node, "port", 1, 65535, &port, err))
    return false;
  for (size_t i = 0; screen == SCREEN_BY_HOST && i < G_N_ELEMENTS(guests_alone); i++) {
    g_autofree char *text = xml_dup(node, guests_alone[i]);
    if (text)
      return refuse_value(node, guests_alone[i], text, "left out: the host sees to its own screens", err);
  }
  t->screen = (TemplateScreen)screen;
  t->screen_key = (TemplateScreenKey)key;
  t->screen_port = screen == SCREEN_BY_GUEST ? (int)port : 0;
  return true;
}

static bool read_guest(const xmlNode *node, const Target *target, GError **err)
{
  DomainTemplate *t = target->template;
  int system, personalise, seed;
  if (!read_word(node, "os", &template_guest_system_names, SYSTEM_OTHER, &system, err) ||
      !read_word(node, "personalise", &template_personalise_names, PERSONALISE_BY_NOBODY, &personalise, err) ||
      !read_word(node, "seed", &no_yes, false, &seed, err))
    return false;
  t->system = (TemplateGuestSystem)system;
  t->personalise = (TemplatePersonalise)personalise;
  t->seed = seed;
  if (personalise == PERSONALISE_BY_SEED && !seed)
    return refuse_value(node, "seed", "no", "yes where personalise is seed", err);
  t->autologin = xml_dup(node, "autologin");
  g_autoptr(GError) why = NULL;
  if (t->autologin && !account_check("autologin", t->autologin, &why))
    return refuse_text(node, "autologin", t->autologin, why, err);
  return true;
}

/* What each kind of readiness needs is the attribute of that name, and no other's. */
static bool ready_attribute_check(const xmlNode *node, const char *attribute, bool needed, GError **err)
{
  g_autofree char *text = xml_dup(node, attribute);
  if (needed && !text)
    return refuse(node, REASON_TEMPLATE_MISSING, "what", attribute, err);
  if (!needed && text)
    return refuse_value(node, attribute, text, "left out for this kind of readiness", err);
  return true;
}

static bool read_ready(const xmlNode *node, const Target *target, GError **err)
{
  DomainTemplate *t = target->template;
  int kind;
  int64_t port = 0, timeout_s = 300;
  if (!read_word(node, "by", &template_ready_names, READY_BY_AGENT, &kind, err) ||
      !ready_attribute_check(node, "port", kind == READY_BY_TCP, err) ||
      !ready_attribute_check(node, "line", kind == READY_BY_SERIAL, err) ||
      !read_number(node, "port", 1, 65535, &port, err) ||
      !read_number(node, "timeout", 1, TEMPLATE_MAX_READY_S, &timeout_s, err))
    return false;
  t->ready = (TemplateReadyKind)kind;
  t->ready_port = (int)port;
  t->ready_timeout_us = timeout_s * G_USEC_PER_SEC;
  return kind != READY_BY_SERIAL || read_line_of_text(node, "line", MAX_LINE_CHARACTERS, &t->ready_line, err);
}

static bool read_value(const xmlNode *node, const Target *target, GError **err)
{
  TemplateParameter *p = target->parameter;
  g_autofree char *text = NULL;
  if (p->type != PARAMETER_ENUM)
    return refuse_unknown(node, "<value>", "a parameter of type enum has values", err);
  if (!read_line_of_text(node, NULL, TITLE_MAX_CHARACTERS, &text, err))
    return false;
  guint n = p->choices ? g_strv_length(p->choices) : 0;
  p->choices = g_renew(char *, p->choices, n + 2);
  p->choices[n] = g_steal_pointer(&text);
  p->choices[n + 1] = NULL;
  return true;
}

/* ── parameters ──────────────────────────────────────────────────────────── */

static bool takes_value(const xmlDoc *doc, const char *path)
{
  const char *attribute;
  if (g_str_has_prefix(path, "/domain/metadata"))
    return false;
  xmlNode *node = xml_find_path(doc, path, &attribute);
  return node && (attribute ? xmlHasNsProp(node, BAD_CAST attribute, NULL) != NULL : !xml_find(node, NULL));
}

static bool read_paths(const xmlNode *node, const Target *target, GError **err)
{
  TemplateParameter *p = target->parameter;
  g_autofree char *text = xml_dup(node, "at");
  g_autofree char *line = g_strdup_printf("%d", xml_line(node));
  g_auto(GStrv) words = g_strsplit_set(g_strstrip(text), " \t\r\n", -1);
  g_autoptr(GPtrArray) paths = g_ptr_array_new();
  for (char **word = words; *word; word++) {
    if (!**word)
      continue;
    if (!takes_value(node->doc, *word))
      return error_false(err, REASON_TEMPLATE_PATH, "line", line, "parameter", p->name, "path", *word, NULL);
    g_ptr_array_add(paths, *word);
  }
  if (!paths->len)
    return error_false(err, REASON_TEMPLATE_PATH, "line", line, "parameter", p->name, "path", "", NULL);
  g_ptr_array_add(paths, NULL);
  p->paths = g_strdupv((char **)paths->pdata);
  return true;
}

static bool read_unit(const xmlNode *node, const Target *target, GError **err)
{
  TemplateParameter *p = target->parameter;
  int unit = UNIT_BYTES;
  if (p->type == PARAMETER_SIZE && !read_word(node, "unit", &template_size_unit_names, UNIT_BYTES, &unit, err))
    return false;
  p->size_unit = (TemplateSizeUnit)unit;
  if (p->type == PARAMETER_SIZE)
    p->unit = g_strdup(template_size_unit_name(p->size_unit));
  else if (xmlHasNsProp((xmlNode *)node, BAD_CAST "unit", NULL))
    return read_line_of_text(node, "unit", 16, &p->unit, err);
  return true;
}

static bool read_range(const xmlNode *node, const Target *target, GError **err)
{
  static const struct { int64_t lowest, highest, min, max; } ranges[N_TEMPLATE_PARAMETER_TYPES] = {
    [PARAMETER_INT] = { -G_MAXINT32, G_MAXINT32, 0, G_MAXINT32 },
    [PARAMETER_SIZE] = { 0, (int64_t)1 << 50, 0, (int64_t)1 << 50 },
    [PARAMETER_TEXT] = { 0, MAX_TEXT_CHARACTERS, 0, STANDARD_TEXT_CHARACTERS },
    [PARAMETER_ENUM] = { 1, 0, 0, 0 },
  };
  TemplateParameter *p = target->parameter;
  p->min = ranges[p->type].min;
  p->max = ranges[p->type].max;
  return read_number(node, "min", ranges[p->type].lowest, ranges[p->type].highest, &p->min, err) &&
         read_number(node, "max", MAX(p->min, ranges[p->type].lowest), ranges[p->type].highest, &p->max, err);
}

static bool read_standard(const xmlNode *node, const Target *target, GError **err)
{
  TemplateParameter *p = target->parameter;
  g_autofree char *text = NULL;
  g_autoptr(GError) why = NULL;
  p->standard = xml_dup(node, "default");
  if (!template_argument_parse(p, p->standard, &text, &why))
    return refuse_text(node, "default", p->standard, why, err);
  return true;
}

static bool read_parameter(const xmlNode *node, const Target *target, GError **err)
{
  g_autoptr(TemplateParameter) parameter = g_new0(TemplateParameter, 1);
  const Target inner = { .template = target->template, .parameter = parameter };
  int type;
  if (!read_name(node, "name", &parameter->name, err) ||
      !read_word(node, "type", &template_parameter_type_names, PARAMETER_TEXT, &type, err))
    return false;
  parameter->type = (TemplateParameterType)type;
  if (template_parameter_find(target->template, parameter->name))
    return refuse_value(node, "name", parameter->name, "a name that no other parameter has", err);
  if (!read_unit(node, &inner, err) || !read_range(node, &inner, err) || !read_children(node, &inner, err))
    return false;
  if (type == PARAMETER_ENUM && !parameter->choices)
    return refuse(node, REASON_TEMPLATE_MISSING, "what", "<value>", err);
  if (!read_standard(node, &inner, err) || !read_paths(node, &inner, err))
    return false;
  g_ptr_array_add(target->template->parameters, g_steal_pointer(&parameter));
  return true;
}

static const Read readers[N_TEMPLATE_ELEMENTS] = {
#define X(id, name, parent, must, may, min, max, read, en, ko) [TEMPLATE_ELEMENT_##id] = read_##read,
#include "core/template/elements.def"
#undef X
};

/* ── walking ─────────────────────────────────────────────────────────────── */

static bool is_ours(const xmlNode *node) { return node->ns && !strcmp((const char *)node->ns->href, TEMPLATE_NAMESPACE); }

static char *dup_known(const char *parent)
{
  GString *known = g_string_new(NULL);
  for (int i = 0; i < N_TEMPLATE_ELEMENTS; i++)
    if (!g_strcmp0(template_elements[i].parent, parent))
      g_string_append_printf(known, "%s<%s>", known->len ? " " : "", template_elements[i].name);
  return g_string_free(known, FALSE);
}

static bool element_find(const xmlNode *node, int *ret_i, GError **err)
{
  const char *parent = (const char *)node->parent->name;
  if (!is_ours(node))
    return refuse(node, REASON_TEMPLATE_NAMESPACE, "namespace", node->ns ? (const char *)node->ns->href : "", err);
  for (int i = 0; i < N_TEMPLATE_ELEMENTS; i++)
    if (!g_strcmp0(template_elements[i].parent, parent) && !strcmp(template_elements[i].name, (const char *)node->name)) {
      *ret_i = i;
      return true;
    }
  g_autofree char *known = dup_known(parent);
  g_autofree char *what = g_strdup_printf("<%s> in <%s>", node->name, parent);
  return refuse_unknown(node, what, known, err);
}

/* What an element of row i holds beside its attributes: elements, text, or nothing. */
static bool content_check(const xmlNode *node, int i, GError **err)
{
  int unused;
  if (readers[i] == read_parameter)
    return true;
  if (xml_find(node, NULL))
    return element_find(xml_find(node, NULL), &unused, err);
  g_autofree char *text = xml_dup_text(node);
  if (!*text || readers[i] == read_title || readers[i] == read_value)
    return true;
  g_autofree char *what = g_strdup_printf("text in <%s>", node->name);
  return refuse_unknown(node, what, template_elements[i].must, err);
}

static bool child_read(const xmlNode *node, const Target *target, int *counts, GError **err)
{
  int i = 0;
  if (!element_find(node, &i, err))
    return false;
  if (++counts[i] > template_elements[i].max) {
    g_autofree char *line = g_strdup_printf("%d", xml_line(node));
    g_autofree char *limit = g_strdup_printf("%d", template_elements[i].max);
    g_autofree char *what = g_strdup_printf("<%s>", node->name);
    return error_false(err, REASON_TEMPLATE_TOO_MANY, "line", line, "what", what, "limit", limit, NULL);
  }
  return attributes_check(node, &template_elements[i], err) && content_check(node, i, err) && readers[i](node, target, err);
}

static bool read_children(const xmlNode *parent, const Target *target, GError **err)
{
  int counts[N_TEMPLATE_ELEMENTS] = { 0 };
  for (const xmlNode *node = parent->children; node; node = node->next) {
    if (node->type == XML_COMMENT_NODE || xmlIsBlankNode(node))
      continue;
    if (node->type != XML_ELEMENT_NODE)
      return refuse_unknown(node, "text between elements", "elements", err);
    if (!child_read(node, target, counts, err))
      return false;
  }
  for (int i = 0; i < N_TEMPLATE_ELEMENTS; i++) {
    g_autofree char *what = g_strdup_printf("<%s>", template_elements[i].name);
    if (!g_strcmp0(template_elements[i].parent, (const char *)parent->name) && counts[i] < template_elements[i].min)
      return refuse(parent, REASON_TEMPLATE_MISSING, "what", what, err);
  }
  return true;
}

static const xmlNode *find_template(const xmlNode *root, GError **err)
{
  const xmlNode *metadata = xml_find(root, "metadata"), *found = NULL;
  for (const xmlNode *node = metadata ? xml_find(metadata, NULL) : NULL; node; node = xml_next(node, true)) {
    if (strcmp((const char *)node->name, "template") != 0)
      continue;
    if (!is_ours(node)) {
      refuse(node, REASON_TEMPLATE_NAMESPACE, "namespace", node->ns ? (const char *)node->ns->href : "", err);
      return NULL;
    }
    if (found) {
      g_autofree char *line = g_strdup_printf("%d", xml_line(node));
      return error_null(err, REASON_TEMPLATE_TOO_MANY, "line", line, "what", "<template>", "limit", "1", NULL);
    }
    found = node;
  }
  if (!found)
    refuse(metadata ? metadata : root, REASON_TEMPLATE_METADATA, "namespace", TEMPLATE_NAMESPACE, err);
  return found;
}

static bool agent_check(const xmlNode *node, const DomainTemplate *t, GError **err)
{
  if (t->is_xen && template_needs_agent(t))
    return refuse_value(node, "agent", "agent", "something else on Xen: libvirt reaches no guest agent there", err);
  return true;
}

/* A serial line is listened to among the host's own calls, where nobody may wait for a guest. */
static bool screen_check(const xmlNode *node, const DomainTemplate *t, GError **err)
{
  const xmlNode *ready = xml_find(node, NULL);
  while (ready && strcmp((const char *)ready->name, "ready") != 0)
    ready = xml_next(ready, true);
  return t->screen != SCREEN_BY_GUEST || t->ready != READY_BY_SERIAL ||
         refuse_value(ready, "by", "serial", "agent or tcp where the screen is a server in the guest", err);
}

static bool gpu_check(const xmlNode *node, const DomainTemplate *t, GError **err)
{
  const xmlNode *gpu = xml_find(node, NULL);
  while (gpu && strcmp((const char *)gpu->name, "gpu") != 0)
    gpu = xml_next(gpu, true);
  if (t->gpu_parameter && !template_parameter_find(t, t->gpu_parameter))
    return refuse_value(gpu, "parameter", t->gpu_parameter, "one of its parameters", err);
  if (t->gpu == GPU_NEED_NONE && (t->gpu_class || t->gpu_parameter || t->near))
    return refuse_value(gpu, "need", "none", "optional or required where a class is named or near is yes", err);
  if (t->gpu != GPU_NEED_NONE && !machine_takes_hostdevs(xmlDocGetRootElement(t->doc)))
    return refuse_value(gpu, "need", template_gpu_need_name(t->gpu), "none with a PVH guest: libxl passes no device to one", err);
  return true;
}

static bool title_complete(const xmlNode *node, DomainTemplate *t, GError **err)
{
  if (!t->title[LANG_EN])
    return refuse(node, REASON_TEMPLATE_MISSING, "what", "<title lang=\"en\">", err);
  if (!t->title[LANG_KO])
    t->title[LANG_KO] = g_strdup(t->title[LANG_EN]);
  return true;
}

bool template_parse(const char *bytes, size_t len, DomainTemplate **ret_template, GError **err)
{
  g_autoptr(DomainTemplate) template = g_new0(DomainTemplate, 1);
  template->parameters = g_ptr_array_new_with_free_func((GDestroyNotify)template_parameter_free);
  if (!xml_parse(bytes, len, &template->doc, err))
    return false;
  const xmlNode *root = xmlDocGetRootElement(template->doc);
  const Target target = { .template = template };
  if (!xml_is(root, "domain"))
    return refuse(root, REASON_TEMPLATE_ROOT, "name", (const char *)root->name, err);
  template->is_xen = xml_has(root, "type", "xen");
  const xmlNode *node = find_template(root, err);
  if (!node || !attributes_check(node, &template_elements[TEMPLATE_ELEMENT_TEMPLATE], err) ||
      !read_template(node, &target, err) || !read_children(node, &target, err) || !title_complete(node, template, err) ||
      !agent_check(node, template, err) || !screen_check(node, template, err) || !gpu_check(node, template, err))
    return false;
  *ret_template = g_steal_pointer(&template);
  return true;
}

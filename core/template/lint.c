#include "core/template/lint.h"

#include "core/template/machine.h"
#include "core/template/xml.h"
#include "core/text.h"
#include "drivers/volume/volume.h"

#include <string.h>

typedef struct {
  const LintPolicy *policy;
  const LintTarget *target;   /* NULL: a template's own file, where the controller has set nothing yet */
  const char *network;        /* the one our metadata or the target names; NULL = none */
  const xmlNode *root;
  bool waived[N_LINT_RULES];
  GString *path;              /* of the element being looked at */
  GPtrArray *findings;
} Lint;

/* Where node breaks the rule: what goes behind its path, owned by the caller; NULL where it doesn't. */
typedef char *(*Breaks)(const Lint *lint, const xmlNode *node);

/* ── paths of files ──────────────────────────────────────────────────────── */

static const char *const firmware_files[] = {
  "/usr/share/OVMF/*", "/usr/share/ovmf/*", "/usr/share/edk2/*", "/usr/share/AAVMF/*", "/usr/share/qemu/*",
  "/usr/share/seabios/*",
  "/usr/lib/xen/boot/*", "/usr/lib/xen-*/boot/*", NULL,
};
static const char *const emulator_files[] = {
  "/usr/bin/qemu-system-*", "/usr/bin/qemu-kvm", "/usr/bin/kvm", "/usr/libexec/qemu-kvm", "/usr/libexec/xen-qemu-system-i386",
  "/usr/lib/xen/bin/qemu-*", "/usr/lib/xen-*/bin/qemu-*", NULL,
};
static const char *const random_files[] = { "/dev/random", "/dev/urandom", "/dev/hwrng", NULL };

static const struct { const char *name; const char *const *files; } file_sets[] = {
  { "@firmware", firmware_files }, { "@emulator", emulator_files }, { "@random", random_files },
};

/* Only such a path is inside a directory when its text says so. */
static bool is_plain(const char *path)
{
  return *path == '/' && !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") && !g_str_has_suffix(path, "/.") &&
         !g_str_has_suffix(path, "/..");
}

static bool is_under(const char *path, const char *directory)
{
  size_t n = strlen(directory);
  while (n && directory[n - 1] == '/')
    n--;
  return n && !strncmp(path, directory, n) && path[n] == '/' && path[n + 1];
}

/* A desktop's volume or an image's, by its name: but for the ones that the controller gives, it is somebody else's. */
static bool is_anothers_volume(const Lint *lint, const char *path)
{
  VolumeName name;
  const char *slash = strrchr(path, '/');
  bool given = lint->target && (!g_strcmp0(path, lint->target->disk) || !g_strcmp0(path, lint->target->seed));
  return slash && !given && volume_name_parse(slash + 1, &name);
}

static bool is_in_storage(const Lint *lint, const char *path)
{
  if (is_anothers_volume(lint, path))
    return false;
  for (const char *const *d = lint->policy->directories; d && *d; d++)
    if (is_plain(path) && is_under(path, *d))
      return true;
  return false;
}

/* These two files and not their directory: it may be /boot, or /etc. */
static bool is_images_boot_file(const Lint *lint, const char *path)
{
  const LintTarget *t = lint->target;
  return t && is_plain(path) && !is_anothers_volume(lint, path) && (!g_strcmp0(path, t->kernel) || !g_strcmp0(path, t->initrd));
}

static bool is_in_set(const Lint *lint, const char *set, const char *path)
{
  if (!strcmp(set, "@storage"))
    return is_in_storage(lint, path);
  if (!strcmp(set, "@boot"))
    return is_in_storage(lint, path) || is_images_boot_file(lint, path);
  for (size_t i = 0; i < G_N_ELEMENTS(file_sets); i++)
    for (const char *const *file = file_sets[i].files; !strcmp(file_sets[i].name, set) && *file; file++)
      if (is_plain(path) && g_pattern_match_simple(*file, path))
        return true;
  return false;
}

/* ── what words can't decide ─────────────────────────────────────────────── */

static char *nothing(void) { return g_strdup(""); }

static char *attribute_text(const xmlNode *node, const char *attribute)
{
  g_autofree char *value = xml_dup(node, attribute);
  g_autofree char *shown = text_dup_visible(value ? value : "", 80);
  return g_strdup_printf("/@%s=\"%s\"", attribute, shown);
}

/* libvirt reads many elements and all attributes by their bare name: a prefix would hide them from us alone. */
static char *has_namespace(const Lint *lint, const xmlNode *node)
{
  if (node->ns)
    return nothing();
  for (const xmlAttr *a = node->properties; a; a = a->next)
    if (a->ns)
      return g_strdup_printf("/@%s:%s", a->ns->prefix, a->name);
  return NULL;
}

static char *has_nvram_file(const Lint *lint, const xmlNode *node)
{
  g_autofree char *text = xml_dup_text(node);
  return *text || xml_find(node, NULL) || !xml_has(node, "type", NULL) ? nothing() : NULL;
}

static char *is_weak_label(const Lint *lint, const xmlNode *node)
{
  bool dynamic = xml_has(node, "type", NULL) || xml_has(node, "type", "dynamic");
  bool relabels = xml_has(node, "relabel", NULL) || xml_has(node, "relabel", "yes");
  return dynamic && relabels && !xml_find(node, NULL) ? NULL : nothing();
}

static char *has_attribute(const Lint *lint, const xmlNode *node)
{
  return node->properties ? attribute_text(node, (const char *)node->properties->name) : NULL;
}

/* mode='bind' says that libvirt makes the socket; channel names a SPICE port, which is the client's. */
static char *is_wrong_end(const Lint *lint, const xmlNode *node)
{
  for (const xmlAttr *a = node->properties; a; a = a->next) {
    const char *name = (const char *)a->name;
    if (strcmp(name, "channel") != 0 && !(!strcmp(name, "mode") && xml_has(node, "mode", "bind")))
      return attribute_text(node, name);
  }
  return NULL;
}

static bool has_file(const xmlNode *disk, const char *file)
{
  xmlNode *source = xml_find(disk, "source");
  return source && xml_has(source, "file", file);
}

static char *is_wrong_system_disk(const Lint *lint, const xmlNode *node)
{
  if (node != machine_system_disk(lint->root))
    return NULL;
  xmlNode *source = xml_find(node, "source"), *driver = xml_find(node, "driver");
  if (xml_find(node, "backingStore"))
    return g_strdup("/backingStore");
  if (xml_find(node, "mirror"))
    return g_strdup("/mirror");
  if (!lint->target)
    return source ? g_strdup("/source") : NULL;
  bool right = source && !xml_next(source, false) && driver && xml_has(driver, "type", lint->target->format) &&
               has_file(node, lint->target->disk);
  return right ? NULL : g_strdup("/source");
}

static char *is_shared_disk(const Lint *lint, const xmlNode *node)
{
  bool is_seed = lint->target && lint->target->seed && has_file(node, lint->target->seed);
  bool ours = is_seed || node == machine_system_disk(lint->root);
  bool empty = !xml_find(node, "source");
  return ours || empty || xml_has(node, "device", "cdrom") || xml_find(node, "readonly") ? NULL : nothing();
}

static bool is_on_network(const xmlNode *interface, const char *network)
{
  static const char BRIDGE[] = "bridge:";
  bool is_bridge = g_str_has_prefix(network, BRIDGE);
  const char *type = is_bridge ? "bridge" : "network";
  xmlNode *source = xml_find(interface, "source");
  return xml_has(interface, "type", type) && source && xml_has(source, type, is_bridge ? network + strlen(BRIDGE) : network);
}

/* In a template's own file the first interface may be anything of the kinds that are taken: it will be set. */
static char *is_wrong_network(const Lint *lint, const xmlNode *node)
{
  bool is_first = node == machine_interface(lint->root);
  if (xml_has(node, "type", "user") || (is_first && lint->network && (!lint->target || is_on_network(node, lint->network))))
    return NULL;
  return attribute_text(node, "type");
}

static char *has_password(const Lint *lint, const xmlNode *node)
{
  return xml_has(node, "passwd", NULL) || xml_has(node, "passwd", "") ? NULL : g_strdup("/@passwd");
}

static char *is_wrong_listen(const Lint *lint, const xmlNode *node)
{
  if (!lint->target)
    return NULL;
  if (xml_find(node, "listen") || !xml_has(node, "socket", NULL))
    return g_strdup("/listen");
  return xml_has(node, "listen", lint->target->listen) ? NULL : attribute_text(node, "listen");
}

static char *is_fixed_cid(const Lint *lint, const xmlNode *node)
{
  return xml_has(node, "address", NULL) || xml_has(node, "auto", "yes") ? NULL : attribute_text(node, "address");
}

static char *names_host_path(const Lint *lint, const xmlNode *node);

/* ── the table ───────────────────────────────────────────────────────────── */

typedef struct {
  const char *name;
  LintWaive waive;
  const char *paths, *attribute, *allowed;
  Breaks breaks;
  const char *text[2];
} Row;

static const Row rows[N_LINT_RULES] = {
#define X(id, name, waive, paths, attribute, allowed, function, en, ko) \
  [LINT_##id] = { name, WAIVE_##waive, paths, attribute, allowed, function, { en, ko } },
#include "core/template/rules.def"
#undef X
};

const char *lint_rule_name(LintRule rule) { return rows[rule].name; }
const char *lint_rule_text(LintRule rule, Lang lang) { return rows[rule].text[lang]; }
LintWaive lint_rule_waive(LintRule rule) { return rows[rule].waive; }

LintRule lint_rule_find(const char *name)
{
  int rule = 0;
  while (rule < N_LINT_RULES && g_strcmp0(rows[rule].name, name) != 0)
    rule++;
  return (LintRule)rule;
}

bool lint_waived_check(const char *const *waived, GError **err)
{
  for (; waived && *waived; waived++) {
    LintRule rule = lint_rule_find(*waived);
    g_autofree char *shown = text_dup_visible(*waived, 80);
    if (rule == N_LINT_RULES)
      return error_false(err, REASON_NOT_FOUND, "kind", "rule", "name", shown, NULL);
    if (rows[rule].waive == WAIVE_NEVER)
      return error_false(err, REASON_LINT_NO_WAIVER, "rule", shown, NULL);
  }
  return true;
}

/* ── asking the table ────────────────────────────────────────────────────── */

static bool has_word(const char *words, const char *word)
{
  size_t n = strlen(word);
  if (!n || strchr(word, ' '))
    return false;
  for (const char *at = words; (at = strstr(at, word)); at += n)
    if ((at == words || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
      return true;
  return false;
}

static bool is_at(const char *path, const xmlNode *node, const char *pattern, size_t n)
{
  const char *name = (const char *)node->name;
  if (n >= 2 && !memcmp(pattern, "//", 2))
    return n == 2 || (strlen(name) == n - 2 && !memcmp(name, pattern + 2, n - 2));
  if (pattern[n - 1] == '*')
    return !strncmp(path, pattern, n - 1) && path[n - 1] && !strchr(path + n - 1, '/');
  return strlen(path) == n && !memcmp(path, pattern, n);
}

static bool applies(const Row *row, const char *path, const xmlNode *node)
{
  for (const char *pattern = row->paths; *pattern; pattern += *pattern == ' ') {
    size_t n = strcspn(pattern, " ");
    if (is_at(path, node, pattern, n))
      return true;
    pattern += n;
  }
  return false;
}

static bool is_allowed(const Lint *lint, const Row *row, const char *value)
{
  if (!row->allowed)
    return false;
  return *row->allowed == '@' ? is_in_set(lint, row->allowed, value) : has_word(row->allowed, value);
}

static char *value_breaks(const Lint *lint, const Row *row, const xmlNode *node)
{
  bool is_text = !strcmp(row->attribute, ".");
  if (!strcmp(row->attribute, "name()"))
    return node->ns || !is_allowed(lint, row, (const char *)node->name) ? nothing() : NULL;
  g_autofree char *value = is_text ? xml_dup_text(node) : xml_dup(node, row->attribute);
  if (!value || (is_text && !*value) || is_allowed(lint, row, value))
    return NULL;
  if (!is_text)
    return attribute_text(node, row->attribute);
  g_autofree char *shown = text_dup_visible(value, 80);
  return g_strdup_printf("=\"%s\"", shown);
}

static char *row_breaks(const Lint *lint, const Row *row, const xmlNode *node)
{
  if (!applies(row, lint->path->str, node))
    return NULL;
  if (row->breaks)
    return row->breaks(lint, node);
  return row->attribute ? value_breaks(lint, row, node) : nothing();
}

/* A row that names a set of paths for this place has judged it already. */
static bool is_judged(const Lint *lint, const xmlNode *node, const char *attribute)
{
  for (const Row *row = rows; row < rows + N_LINT_RULES; row++)
    if (row->allowed && *row->allowed == '@' && !strcmp(row->attribute, attribute) && applies(row, lint->path->str, node))
      return true;
  return false;
}

/* A relative path is one too: QEMU's working directory is "/". */
static bool is_host_path(const Lint *lint, const xmlNode *node, const char *attribute, const char *value)
{
  static const char FILES[] = "file path dir socket rendernode logFile evdev tap vhost";
  if (!*value || (*value != '/' && !has_word(FILES, attribute)))
    return false;
  return !is_in_storage(lint, value) && !is_judged(lint, node, attribute);
}

static char *names_host_path(const Lint *lint, const xmlNode *node)
{
  static const char PROSE[] = "/domain/title /domain/description /domain/os/cmdline /domain/os/initarg";
  for (const xmlAttr *a = node->properties; a; a = a->next) {
    g_autofree char *value = xml_dup(node, (const char *)a->name);
    if (value && is_host_path(lint, node, (const char *)a->name, g_strchug(value)))
      return attribute_text(node, (const char *)a->name);
  }
  g_autofree char *text = xml_find(node, NULL) ? g_strdup("") : xml_dup_text(node);
  if (has_word(PROSE, lint->path->str) || !is_host_path(lint, node, ".", text))
    return NULL;
  g_autofree char *shown = text_dup_visible(text, 80);
  return g_strdup_printf("=\"%s\"", shown);
}

/* ── walking ─────────────────────────────────────────────────────────────── */

static void add_finding(Lint *lint, int rule, const xmlNode *node, const char *where)
{
  LintFinding *finding = g_new0(LintFinding, 1);
  finding->rule = (LintRule)rule;
  finding->line = xml_line(node);
  finding->what = g_strconcat(lint->path->str, where, NULL);
  g_ptr_array_add(lint->findings, finding);
}

/* True where what is below node is to be looked at. */
static bool look(Lint *lint, const xmlNode *node)
{
  for (int rule = 0; rule < N_LINT_RULES; rule++) {
    g_autofree char *where = row_breaks(lint, &rows[rule], node);
    if (!where)
      continue;
    if (!lint->waived[rule])
      add_finding(lint, rule, node, where);
    if (!lint->waived[rule] || rows[rule].waive == WAIVE_TREE)
      return !(rows[rule].waive == WAIVE_TREE);
  }
  return true;
}

static void walk(Lint *lint, const xmlNode *node)
{
  gsize before = lint->path->len;
  g_string_append_c(lint->path, '/');
  if (node->ns && node->ns->prefix)
    g_string_append_printf(lint->path, "%s:", node->ns->prefix);
  g_string_append(lint->path, (const char *)node->name);
  bool is_metadata = node->parent == lint->root && xml_is(node, "metadata");
  if (!is_metadata && look(lint, node))
    for (const xmlNode *child = xml_find(node, NULL); child; child = xml_next(child, true))
      walk(lint, child);
  g_string_truncate(lint->path, before);
}

void lint_finding_free(LintFinding *finding)
{
  g_free(finding->what);
  g_free(finding);
}

static GPtrArray *list_all(xmlDoc *doc, const char *network, const LintPolicy *policy, const LintTarget *target)
{
  Lint lint = {
    .policy = policy, .target = target, .network = network, .root = xmlDocGetRootElement(doc), .path = g_string_new(NULL),
    .findings = g_ptr_array_new_with_free_func((GDestroyNotify)lint_finding_free),
  };
  for (const char *const *name = policy->waived; name && *name; name++) {
    LintRule rule = lint_rule_find(*name);
    if (rule < N_LINT_RULES && rows[rule].waive != WAIVE_NEVER)
      lint.waived[rule] = true;
  }
  walk(&lint, lint.root);
  g_string_free(lint.path, TRUE);
  return lint.findings;
}

static bool refuse_first(GPtrArray *findings, GError **err)
{
  g_autoptr(GPtrArray) list = findings;
  if (!list->len)
    return true;
  const LintFinding *first = list->pdata[0];
  g_autofree char *line = g_strdup_printf("%d", first->line);
  return error_false(err, REASON_TEMPLATE_POLICY, "line", line, "what", first->what, "rule", rows[first->rule].name, NULL);
}

GPtrArray *lint_list(xmlDoc *doc, const char *network, const LintPolicy *policy) { return list_all(doc, network, policy, NULL); }

bool lint_template(const DomainTemplate *template, const LintPolicy *policy, GError **err)
{
  return refuse_first(lint_list(template->doc, template->network, policy), err);
}

bool lint_domain(xmlDoc *domain, const LintPolicy *policy, const LintTarget *target, GError **err)
{
  return refuse_first(list_all(domain, target->network, policy, target), err);
}

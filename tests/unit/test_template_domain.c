/* Template and parameters → domain XML: the golden files of tests/golden/domain (UPDATE_GOLDEN=1 writes them anew), each valid
 * by libvirt's own schema; and what the controller doesn't set comes out as it went in, compared as canonical XML. Runs from the
 * project's root. */
#include "core/template/domain.h"
#include "core/template/lint.h"
#include "core/template/xml.h"
#include "drivers/schema/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <libxml/c14n.h>
#include <string.h>

static const char *const storage[] = { "/srv/sarang", NULL };
static const LintPolicy policy = { .directories = storage };
static DomainSchema *schema;

static int open_schema(void **state)
{
  GError *err = NULL;
  if (domain_schema_open(DOMAIN_SCHEMA_PATH, &schema, &err))
    return 0;
  print_error("%s\n", err->message);
  g_error_free(err);
  return -1;
}

static int close_schema(void **state)
{
  domain_schema_close(schema);
  return 0;
}

static DomainSpec spec_of(VirtType type)
{
  return (DomainSpec){
    .name = "cad-17", .uuid = "6f1c6f5e-6a1b-4b86-9d8e-0c1f9a6f2a11", .type = type, .disk = "/srv/sarang/cad-17.g1.qcow2",
    .disk_format = FORMAT_QCOW2, .mac = "52:54:00:12:34:56", .listen = "127.0.0.1", .controller = "0b7f5c0e-6a0b-4f0e-8c53-5c3f1b2a9d10",
    .desktop = "d-17", .pool = "cad", .template_version = "cad@3", .generation = 12,
  };
}

static DomainTemplate *load(const char *folder, const char *name)
{
  g_autofree char *path = g_strdup_printf("%s/%s.xml", folder, name), *text = NULL;
  gsize len;
  g_autoptr(GError) err = NULL;
  if (!g_file_get_contents(path, &text, &len, &err))
    fail_msg("%s", err->message);
  DomainTemplate *template = NULL;
  if (!template_parse(text, len, &template, &err))
    fail_msg("%s: %s", path, err->message);
  return template;
}

static char *make(const DomainTemplate *template, const DomainSpec *spec)
{
  g_autoptr(GError) err = NULL;
  char *xml = NULL;
  if (!template_domain(template, spec, &policy, &xml, &err))
    fail_msg("%s: %s", template->name, err->message);
  return xml;
}

static void print_finding(void *sink, int line, const char *text) { print_error("%s:%d: %s\n", (const char *)sink, line, text); }

static void assert_schema_takes(xmlDoc *doc, const char *what)
{
  bool valid;
  g_autoptr(GError) err = NULL;
  if (!domain_schema_check(schema, doc, 60 * G_USEC_PER_SEC, print_finding, (void *)what, &valid, &err))
    fail_msg("%s: %s", what, err->message);
  assert_true(valid);
}

static xmlDoc *parse_valid(const char *what, const char *xml)
{
  xmlDoc *doc = NULL;
  assert_true(xml_parse(xml, strlen(xml), &doc, NULL));
  assert_schema_takes(doc, what);
  return doc;
}

/* ── golden ──────────────────────────────────────────────────────────────── */

static void assert_golden(const char *name, const char *xml)
{
  g_autofree char *path = g_strdup_printf("tests/golden/domain/%s.xml", name), *wanted = NULL;
  if (g_getenv("UPDATE_GOLDEN"))
    assert_true(g_file_set_contents(path, xml, -1, NULL));
  if (!g_file_get_contents(path, &wanted, NULL, NULL))
    fail_msg("%s is missing; UPDATE_GOLDEN=1 writes it", path);
  assert_string_equal(xml, wanted);
}

static void golden(void **state)
{
  static const TemplateArgument bigger[] = { { "memory", "4GiB" }, { "vcpus", "6" }, { "width", "1920" }, { "height", "1080" } };
  static const TemplateArgument windows[] = { { "vcpus", "8" }, { "memory", "16384" } };
  static const struct {
    const char *name, *template;
    VirtType type;
    const TemplateArgument *arguments;
    size_t n_arguments;
    const char *seed, *kernel, *network;
    int64_t memory_mib, vcpus;
    int vnc_port;
  } rows[] = {
    { "linux-desktop.kvm", "linux-desktop", VIRT_KVM, .seed = "/srv/sarang/cad-17.g1.seed.img" },
    { "linux-desktop.qemu.kernel", "linux-desktop", VIRT_QEMU, bigger, G_N_ELEMENTS(bigger), "/srv/sarang/cad-17.g1.seed.img",
      "/srv/sarang/linux-desktop.vmlinux", "user" },
    { "linux-workstation.kvm", "linux-workstation", VIRT_KVM, .seed = "/srv/sarang/cad-17.g1.seed.img" },
    { "linux-cli.kvm.pool", "linux-cli", VIRT_KVM, .network = "bridge:br0", .memory_mib = 2048, .vcpus = 3, .vnc_port = 5907 },
    { "windows-desktop.kvm", "windows-desktop", VIRT_KVM, windows, G_N_ELEMENTS(windows), "/srv/sarang/cad-17.g1.seed.img" },
    { "windows-desktop.qemu", "windows-desktop", VIRT_QEMU },
    { "xen-linux.xen", "xen-linux", VIRT_XEN, .seed = "/srv/sarang/cad-17.g1.seed.img", .network = "bridge:xenbr0" },
    { "micro.qemu", "micro", VIRT_QEMU },
    { "micro.test", "micro", VIRT_TEST },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(DomainTemplate) template = load("templates", rows[i].template);
    DomainSpec spec = spec_of(rows[i].type);
    spec.arguments = rows[i].arguments;
    spec.n_arguments = rows[i].n_arguments;
    spec.seed = rows[i].seed;
    spec.kernel = rows[i].kernel;
    spec.initrd = rows[i].kernel ? "/srv/sarang/linux-desktop.initrd" : NULL;
    spec.network = rows[i].network;
    spec.memory_mib = rows[i].memory_mib;
    spec.vcpus = rows[i].vcpus;
    spec.vnc_port = rows[i].vnc_port;
    g_autofree char *xml = make(template, &spec);
    xmlFreeDoc(parse_valid(rows[i].name, xml));
    assert_golden(rows[i].name, xml);
  }
}

static DomainTemplate *load_guest_screen(void)
{
  g_autofree char *shipped = NULL;
  assert_true(g_file_get_contents("templates/linux-cli.xml", &shipped, NULL, NULL));
  g_autoptr(GString) text = g_string_new(shipped);
  assert_int_equal(g_string_replace(text, "<sarang:protocol name=\"vnc\"/>", "<sarang:protocol name=\"vnc\"/><sarang:screen server=\"guest\"/>", 0), 1);
  DomainTemplate *template = NULL;
  assert_true(template_parse(text->str, text->len, &template, NULL));
  return template;
}

/* A part without a display and a server in the guest: no idle second screen. Without a part the server shows QEMU's own video, which stays. */
static void a_screen_in_the_guest_leaves_no_idle_video(void **state)
{
  static const char *const part[] = { "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\"><source>"
    "<address domain=\"0x0000\" bus=\"0x41\" slot=\"0x00\" function=\"0x4\"/></source><alias name=\"ua-v-1\"/></hostdev>", NULL };
  g_autoptr(DomainTemplate) template = load_guest_screen(), shown_by_host = load("templates", "linux-cli");
  DomainSpec spec = spec_of(VIRT_KVM);
  spec.guest_screen = true;
  g_autofree char *without = make(template, &spec);
  assert_non_null(strstr(without, "<model type=\"vga\""));
  spec.hostdevs = part;
  g_autofree char *with = make(template, &spec);
  assert_null(strstr(with, "<model type=\"vga\""));
  assert_null(strstr(with, "sarang:screen"));
  xmlFreeDoc(parse_valid("linux-cli.kvm.guest-screen", with));
  assert_golden("linux-cli.kvm.guest-screen", with);
  spec.guest_screen = false;
  g_autofree char *computes = make(shown_by_host, &spec);
  assert_non_null(strstr(computes, "<model type=\"vga\""));
}

#define CARD_FUNCTION(n, alias, multifunction) \
  "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\"><source><address domain=\"0x0000\" bus=\"0x65\" slot=\"0x00\" function=\"0x" n "\"/></source>" \
  "<alias name=\"" alias "\"/><address type=\"pci\" function=\"0x" n "\"" multifunction "/></hostdev>"

/* On PCI Express a slot is a port of its own, behind those that the template has; on i440fx the highest that the template leaves. */
static void functions_of_a_card_are_in_one_slot(void **state)
{
  static const char *const two_cards[] = { CARD_FUNCTION("0", "ua-v-1", " multifunction=\"on\""), CARD_FUNCTION("1", "ua-v-1-1", ""),
    "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\"><source><address domain=\"0x0000\" bus=\"0x41\" slot=\"0x00\" function=\"0x4\"/></source>"
    "<alias name=\"ua-v-2\"/></hostdev>",
    CARD_FUNCTION("0", "ua-v-3", " multifunction=\"on\""), CARD_FUNCTION("1", "ua-v-3-1", ""), CARD_FUNCTION("2", "ua-v-3-2", ""), NULL };
  static const struct { const char *golden, *template, *from, *to; } rows[] = {
    { "linux-workstation.kvm.cards", "linux-workstation", "<controller type=\"usb\" model=\"none\"/>",
      "<controller type=\"usb\" model=\"none\"/><controller type=\"pci\" index=\"1\" model=\"pcie-root-port\"/>" },
    { "linux-cli.kvm.cards", "linux-cli", "<controller type=\"usb\" model=\"none\"/>",
      "<controller type=\"usb\" model=\"none\"/><controller type=\"virtio-serial\" index=\"0\"><address type=\"pci\" domain=\"0x0000\" bus=\"0x00\" "
      "slot=\"0x1f\" function=\"0x0\"/></controller>" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *path = g_strdup_printf("templates/%s.xml", rows[i].template), *shipped = NULL;
    assert_true(g_file_get_contents(path, &shipped, NULL, NULL));
    g_autoptr(GString) text = g_string_new(shipped);
    assert_int_equal(g_string_replace(text, rows[i].from, rows[i].to, 0), 1);
    g_autoptr(DomainTemplate) template = NULL;
    g_autoptr(GError) err = NULL;
    if (!template_parse(text->str, text->len, &template, &err))
      fail_msg("%s: %s", rows[i].golden, err->message);
    DomainSpec spec = spec_of(VIRT_KVM);
    spec.seed = i ? NULL : "/srv/sarang/cad-17.g1.seed.img";
    spec.hostdevs = two_cards;
    g_autofree char *xml = make(template, &spec);
    xmlFreeDoc(parse_valid(rows[i].golden, xml));
    assert_golden(rows[i].golden, xml);
  }
}

/* libxl knows no video of type none: there the whole screen goes. With the host's own screen the part computes beside it. */
static void a_card_on_xen_leaves_no_screen_that_libxl_would_refuse(void **state)
{
  static const char *const part[] = { "<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\"><source>"
    "<address domain=\"0x0000\" bus=\"0x65\" slot=\"0x00\" function=\"0x0\"/></source><alias name=\"ua-v-1\"/></hostdev>", NULL };
  g_autoptr(DomainTemplate) template = load("templates", "xen-linux");
  DomainSpec spec = spec_of(VIRT_XEN);
  spec.seed = "/srv/sarang/cad-17.seed.iso";
  spec.hostdevs = part;
  g_autofree char *computes = make(template, &spec);
  assert_non_null(strstr(computes, "<graphics type=\"vnc\""));
  assert_non_null(strstr(computes, "<model type=\"vga\""));
  spec.guest_screen = true;
  g_autofree char *alone = make(template, &spec);
  assert_null(strstr(alone, "<graphics"));
  assert_null(strstr(alone, "<video"));
  assert_non_null(strstr(alone, "bus=\"0x65\""));
  xmlFreeDoc(parse_valid("xen-linux with a card", alone));
}

/* The class may come from the pool, whatever the template says. */
static void a_card_for_a_pvh_guest_is_refused(void **state)
{
  static const char *const part[] = { "<hostdev/>", NULL };
  g_autofree char *shipped = NULL;
  assert_true(g_file_get_contents("templates/xen-linux.xml", &shipped, NULL, NULL));
  g_autoptr(GString) text = g_string_new(shipped);
  assert_int_equal(g_string_replace(text, "machine=\"xenfv\">hvm", "machine=\"xenpvh\">xenpvh", 0), 1);
  g_autoptr(DomainTemplate) template = NULL;
  g_autoptr(GError) err = NULL;
  assert_true(template_parse(text->str, text->len, &template, NULL));
  DomainSpec spec = spec_of(VIRT_XEN);
  g_autofree char *without = make(template, &spec), *with = NULL;
  spec.hostdevs = part;
  assert_false(template_domain(template, &spec, &policy, &with, &err));
  assert_true(error_is(err, REASON_TEMPLATE_NO_HOSTDEV));
}

static void shipped_templates_are_clean(void **state)
{
  g_autoptr(GDir) dir = g_dir_open("templates", 0, NULL);
  int n = 0;
  for (const char *file; (file = g_dir_read_name(dir)); n++) {
    g_autofree char *name = g_strndup(file, strlen(file) - strlen(".xml"));
    g_autoptr(DomainTemplate) template = load("templates", name);
    assert_string_equal(template->name, name);
    assert_schema_takes(template->doc, name);
    assert_true(lint_template(template, &(LintPolicy){ 0 }, NULL));
    assert_true(template->title[LANG_KO] && strcmp(template->title[LANG_EN], template->title[LANG_KO]) != 0);
  }
  assert_int_equal(n, 6);
}

/* ── what we don't know survives ─────────────────────────────────────────── */

static void drop(xmlNode *parent, const char *name)
{
  if (parent)
    xml_remove_all(parent, name);
}

static void drop_attributes(xmlNode *node, const char *words)
{
  g_auto(GStrv) names = g_strsplit(words, " ", -1);
  for (char **name = names; node && *name; name++)
    xml_set(node, *name, NULL);
}

static void drop_blanks(xmlNode *node)
{
  xmlNode *next;
  for (xmlNode *child = node->children; child; child = next) {
    next = child->next;
    if (xmlIsBlankNode(child)) {
      xmlUnlinkNode(child);
      xmlFreeNode(child);
    } else if (child->type == XML_ELEMENT_NODE) {
      drop_blanks(child);
    }
  }
}

static void drop_ours(xmlNode *metadata)
{
  xmlNode *next;
  for (xmlNode *node = xml_find(metadata, NULL); node; node = next) {
    next = xml_next(node, true);
    if (node->ns && g_str_has_prefix((const char *)node->ns->href, "urn:sarang:"))
      xml_remove(node);
  }
}

static void drop_screens(xmlNode *devices)
{
  for (xmlNode *screen = devices ? xml_find(devices, "graphics") : NULL; screen; screen = xml_next(screen, false)) {
    drop_attributes(screen, "autoport port tlsPort websocket socket passwd passwdValidTo connected listen");
    drop(screen, "listen");
  }
}

/* What DomainSpec speaks of, and nothing else: taken off before and after, the rest must be the same. */
static void drop_what_is_set(xmlNode *root, VirtType type)
{
  xmlNode *devices = xml_find(root, "devices"), *cpu = xml_find(root, "cpu"), *os = xml_find(root, "os");
  xmlNode *disk = devices ? xml_find(devices, "disk") : NULL, *interface = devices ? xml_find(devices, "interface") : NULL;
  drop_attributes(root, "type id");
  drop(root, "name");
  drop(root, "uuid");
  drop_ours(xml_find(root, "metadata"));
  drop_screens(devices);
  while (disk && xml_has(disk, "device", "floppy"))
    disk = xml_next(disk, false);
  drop_attributes(disk, "type device");
  if (disk && xml_find(disk, "driver"))
    drop_attributes(xml_find(disk, "driver"), "name type");
  if (disk && xml_find(disk, "driver") && !xml_find(disk, "driver")->properties)
    drop(disk, "driver");
  drop(disk, "source");
  drop_attributes(interface, "type");
  drop(interface, "source");
  drop(interface, "mac");
  if (type == VIRT_QEMU) {
    drop_attributes(cpu, "mode check");
    drop(xml_find(root, "features"), "hyperv");
    xmlNode *timer = xml_find(root, "clock") ? xml_find(xml_find(root, "clock"), "timer") : NULL;
    while (timer && !xml_has(timer, "name", "hypervclock"))
      timer = xml_next(timer, false);
    if (timer)
      xml_remove(timer);
  }
  if (type == VIRT_XEN)
    drop(os, "kernel");
}

static char *canonical(xmlDoc *doc, VirtType type)
{
  drop_what_is_set(xmlDocGetRootElement(doc), type);
  drop_blanks(xmlDocGetRootElement(doc));
  xmlChar *text = NULL;
  assert_true(xmlC14NDocDumpMemory(doc, NULL, XML_C14N_1_0, NULL, 1, &text) >= 0);
  char *copy = g_strdup((const char *)text);
  xmlFree(text);
  return copy;
}

static void what_we_do_not_know_survives(void **state)
{
  static const struct { const char *name; VirtType type; const char *added; } rows[] = {
    { "numa", VIRT_KVM, "graphics" },
    { "sev", VIRT_KVM, "graphics" },
    { "multimedia", VIRT_KVM, "interface" },
    { "features", VIRT_KVM, "graphics channel" },
    { "features", VIRT_QEMU, "graphics channel" },
    { "memory-devices", VIRT_KVM, "interface graphics" },
    { "xen-pv", VIRT_XEN, "" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(DomainTemplate) template = load("tests/golden/corpus", rows[i].name);
    DomainSpec spec = spec_of(rows[i].type);
    spec.kernel = rows[i].type == VIRT_XEN ? "/srv/sarang/vmlinux" : NULL;
    g_autofree char *xml = make(template, &spec);
    g_autoptr(xmlDoc) after = parse_valid(rows[i].name, xml);
    g_autoptr(xmlDoc) before = xmlCopyDoc(template->doc, 1);
    g_auto(GStrv) added = g_strsplit(rows[i].added, " ", -1);
    for (char **device = added; *device; device++)
      drop(xml_find(xmlDocGetRootElement(after), "devices"), *device);
    g_autofree char *was = canonical(before, rows[i].type), *is = canonical(after, rows[i].type);
    assert_string_equal(is, was);
    assert_true(strlen(is) > 500);
  }
}

/* The comparison above must see a change: one attribute deep in what is not ours. */
static void the_comparison_sees_a_change(void **state)
{
  g_autoptr(DomainTemplate) template = load("tests/golden/corpus", "numa");
  g_autoptr(xmlDoc) changed = xmlCopyDoc(template->doc, 1), before = xmlCopyDoc(template->doc, 1);
  const char *attribute;
  xml_set(xml_find_path(changed, "/domain/cputune/vcpupin", &attribute), "cpuset", "1");
  g_autofree char *was = canonical(before, VIRT_KVM), *is = canonical(changed, VIRT_KVM);
  assert_string_not_equal(is, was);
}

/* ── the corpus: nearly every element of libvirt's schema ──────────────────── */

/* The rule, line and place of every finding; beside the file as NAME.refused, where there is one. */
static char *told(const GPtrArray *findings)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < findings->len; i++) {
    const LintFinding *f = findings->pdata[i];
    g_string_append_printf(text, "%d %s %s\n", f->line, lint_rule_name(f->rule), f->what);
  }
  return g_string_free(text, FALSE);
}

static bool is_never_made(const GPtrArray *findings)
{
  for (guint i = 0; i < findings->len; i++)
    if (lint_rule_waive(((LintFinding *)findings->pdata[i])->rule) == WAIVE_NEVER)
      return true;
  return false;
}

/* Every rule waived, so that what is refused survives too once somebody allows it. */
static void assert_survives(const DomainTemplate *template, const char *name)
{
  const char *waived[N_LINT_RULES + 1] = { NULL };
  for (int rule = 0; rule < N_LINT_RULES; rule++)
    waived[rule] = lint_rule_name((LintRule)rule);
  VirtType type = template->is_xen ? VIRT_XEN : VIRT_KVM;
  DomainSpec spec = spec_of(type);
  g_autoptr(GError) err = NULL;
  g_autofree char *xml = NULL;
  if (!template_domain(template, &spec, &(LintPolicy){ .directories = storage, .waived = waived }, &xml, &err))
    fail_msg("%s: %s", name, err->message);
  g_autoptr(xmlDoc) after = parse_valid(name, xml), before = xmlCopyDoc(template->doc, 1);
  g_autofree char *was = canonical(before, type), *is = canonical(after, type);
  assert_string_equal(is, was);
}

static void assert_taken_or_refused(const char *name)
{
  g_autoptr(DomainTemplate) template = load("tests/golden/corpus", name);
  assert_schema_takes(template->doc, name);
  g_autoptr(GPtrArray) findings = lint_list(template->doc, template->network, &policy);
  g_autofree char *path = g_strdup_printf("tests/golden/corpus/%s.refused", name), *wanted = NULL, *is = told(findings);
  if (g_getenv("UPDATE_GOLDEN") && findings->len)
    assert_true(g_file_set_contents(path, is, -1, NULL));
  bool refused = g_file_get_contents(path, &wanted, NULL, NULL);
  if (strcmp(is, refused ? wanted : "") != 0)
    fail_msg("%s: found\n%swanted\n%s", name, is, refused ? wanted : "");
  if (!is_never_made(findings))
    assert_survives(template, name);
}

/* Those that a screen, interface or channel is added to are compared by what_we_do_not_know_survives(). */
static void every_file_is_taken_or_refused_by_rule_and_line(void **state)
{
  static const char *const others[] = { "bare", "numa", "sev", "multimedia", "features", "memory-devices", "xen-pv", NULL };
  g_autoptr(GDir) dir = g_dir_open("tests/golden/corpus", 0, NULL);
  int n = 0;
  for (const char *file; (file = g_dir_read_name(dir));) {
    g_autofree char *name = g_str_has_suffix(file, ".xml") ? g_strndup(file, strlen(file) - strlen(".xml")) : NULL;
    if (!name || g_strv_contains(others, name))
      continue;
    assert_taken_or_refused(name);
    n++;
  }
  assert_true(n >= 40);
}

/* ── what is set ─────────────────────────────────────────────────────────── */

static void assert_value(xmlDoc *doc, const char *path, const char *wanted)
{
  const char *attribute;
  xmlNode *node = xml_find_path(doc, path, &attribute);
  g_autofree char *value = !node ? NULL : attribute ? xml_dup(node, attribute) : xml_dup_text(node);
  if (g_strcmp0(value, wanted))
    fail_msg("%s is %s, not %s", path, value ? value : "absent", wanted ? wanted : "absent");
}

static xmlDoc *make_doc(const char *corpus, const DomainSpec *spec)
{
  g_autoptr(DomainTemplate) template = load("tests/golden/corpus", corpus);
  g_autofree char *xml = make(template, spec);
  return parse_valid(corpus, xml);
}

static void a_bare_machine_gets_what_it_needs(void **state)
{
  DomainSpec spec = spec_of(VIRT_QEMU);
  spec.seed = "/srv/sarang/seed.img";
  g_autoptr(xmlDoc) doc = make_doc("bare", &spec);
  assert_value(doc, "/domain/devices/disk[1]/source/@file", "/srv/sarang/cad-17.g1.qcow2");
  assert_value(doc, "/domain/devices/disk[1]/driver/@type", "qcow2");
  assert_value(doc, "/domain/devices/disk[1]/target/@dev", "vda");
  assert_value(doc, "/domain/devices/disk[2]/source/@file", "/srv/sarang/seed.img");
  assert_value(doc, "/domain/devices/disk[2]/driver/@type", "raw");
  assert_value(doc, "/domain/devices/disk[2]/target/@dev", "vdb");
  assert_value(doc, "/domain/devices/disk[2]/readonly", "");
  assert_value(doc, "/domain/devices/interface/source/@network", "default");
  assert_value(doc, "/domain/devices/interface/mac/@address", "52:54:00:12:34:56");
  assert_value(doc, "/domain/devices/interface/model/@type", "virtio");
  assert_value(doc, "/domain/devices/graphics/@type", "vnc");
  assert_value(doc, "/domain/devices/graphics/@listen", "127.0.0.1");
  assert_value(doc, "/domain/devices/graphics/@passwd", "");
  assert_value(doc, "/domain/devices/channel/target/@name", "org.qemu.guest_agent.0");
}

static void every_screen_is_closed_and_listens_where_told(void **state)
{
  DomainSpec spec = spec_of(VIRT_KVM);
  spec.listen = "::1";
  spec.vnc_port = 5910;
  g_autoptr(xmlDoc) doc = make_doc("multimedia", &spec);
  assert_value(doc, "/domain/devices/graphics[1]/@type", "spice");
  assert_value(doc, "/domain/devices/graphics[1]/@listen", "::1");
  assert_value(doc, "/domain/devices/graphics[1]/@port", "-1");
  assert_value(doc, "/domain/devices/graphics[1]/@autoport", "yes");
  assert_value(doc, "/domain/devices/graphics[1]/@tlsPort", NULL);
  assert_value(doc, "/domain/devices/graphics[1]/@passwd", "");
  assert_value(doc, "/domain/devices/graphics[1]/listen", NULL);
  assert_value(doc, "/domain/devices/graphics[2]/@port", "5910");
  assert_value(doc, "/domain/devices/graphics[2]/@autoport", "no");
  assert_value(doc, "/domain/devices/graphics[2]/@websocket", NULL);
  assert_value(doc, "/domain/devices/graphics[2]/@passwd", "");
  assert_value(doc, "/domain/devices/graphics[3]", NULL);
}

static void xen_takes_no_password_and_its_own_bus(void **state)
{
  DomainSpec spec = spec_of(VIRT_XEN);
  spec.kernel = "/srv/sarang/vmlinux";
  spec.initrd = "/srv/sarang/initrd";
  spec.seed = "/srv/sarang/seed.img";
  g_autoptr(xmlDoc) doc = make_doc("xen-pv", &spec);
  assert_value(doc, "/domain/devices/graphics/@passwd", NULL);
  assert_value(doc, "/domain/devices/disk[1]/driver/@name", "qemu");
  assert_value(doc, "/domain/devices/disk[2]/target/@dev", "xvdb");
  assert_value(doc, "/domain/os/kernel", "/srv/sarang/vmlinux");
  assert_value(doc, "/domain/os/initrd", "/srv/sarang/initrd");
  assert_value(doc, "/domain/os/cmdline", "console=hvc0");
}

static void the_domain_says_whose_it_is(void **state)
{
  DomainSpec spec = spec_of(VIRT_KVM);
  g_autoptr(DomainTemplate) template = load("tests/golden/corpus", "features");
  g_autofree char *xml = make(template, &spec);
  assert_non_null(strstr(xml, "<sarang:owner xmlns:sarang=\"" DOMAIN_OWNER_XMLNS "\" controller=\"0b7f5c0e-6a0b-4f0e-8c53-5c3f1b2a9d10\" "
                              "desktop=\"d-17\" generation=\"12\" pool=\"cad\" template=\"cad@3\"/>"));
  assert_null(strstr(xml, TEMPLATE_NAMESPACE));
  assert_non_null(strstr(xml, "http://example.com/app"));
}

static void memory_and_processors_stay_consistent(void **state)
{
  DomainSpec spec = spec_of(VIRT_KVM);
  spec.memory_mib = 2048;
  spec.vcpus = 6;
  g_autoptr(xmlDoc) doc = make_doc("features", &spec);
  assert_value(doc, "/domain/memory", "2048");
  assert_value(doc, "/domain/vcpu", "6");
  assert_value(doc, "/domain/cpu/topology/@sockets", "1");
  assert_value(doc, "/domain/cpu/topology/@cores", "3");
  assert_value(doc, "/domain/cpu/topology/@threads", "2");
  spec.vcpus = 5;
  g_autoptr(xmlDoc) odd = make_doc("features", &spec);
  assert_value(odd, "/domain/cpu/topology/@cores", "5");
  assert_value(odd, "/domain/cpu/topology/@threads", "1");
}

static void without_kvm(void **state)
{
  DomainSpec spec = spec_of(VIRT_QEMU);
  g_autoptr(xmlDoc) of_host = make_doc("features", &spec), named = make_doc("numa", &spec);
  assert_value(of_host, "/domain/@type", "qemu");
  assert_value(of_host, "/domain/cpu/@mode", "maximum");
  assert_value(of_host, "/domain/cpu/@check", "none");
  assert_value(of_host, "/domain/cpu/feature/@policy", "disable");
  assert_value(of_host, "/domain/features/hyperv", NULL);
  assert_value(of_host, "/domain/features/kvm/hidden/@state", "on");
  assert_value(of_host, "/domain/clock/timer[2]/@name", "kvmclock");
  assert_value(of_host, "/domain/clock/timer[3]", NULL);
  assert_value(named, "/domain/cpu/@mode", "custom");
  assert_value(named, "/domain/cpu/@check", "none");
  assert_value(named, "/domain/cpu/model", "Skylake-Server");
  assert_value(named, "/domain/cpu/feature[1]/@name", "vmx");
  assert_value(named, "/domain/cpu/feature[2]", NULL);
}

static void a_desktop_in_a_cell_is_bound_to_it(void **state)
{
  static const struct { const char *name; VirtType type; } rows[] = { { "cell.kvm", VIRT_KVM }, { "cell.xen", VIRT_XEN } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(DomainTemplate) template = rows[i].type == VIRT_XEN ? load("templates", "xen-linux") : load("tests/golden/corpus", "cell");
    DomainSpec spec = spec_of(rows[i].type);
    spec.page_kib = 2048;
    spec.cell = 1;
    spec.cell_cpus = "8-15,24-31";
    g_autofree char *xml = make(template, &spec);
    xmlFreeDoc(parse_valid(rows[i].name, xml));
    assert_golden(rows[i].name, xml);
  }
}

static void what_a_template_asks_of_a_host(void **state)
{
  static const struct {
    const char *why, *xml;
    bool huge, one_cell, cpu_of_host;
    int page_kib;
    const char *cpu;
  } rows[] = {
    { "nothing", "<domain/>", false, false, false, 0, "" },
    { "huge pages", "<domain><memoryBacking><hugepages/></memoryBacking></domain>", true, false, false, 0, "" },
    { "of 1 GiB", "<domain><memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking></domain>", true, false, false, 1 << 20, "" },
    { "of one size twice", "<domain><memoryBacking><hugepages><page size='2048' nodeset='0'/><page size='2' unit='M' nodeset='1'/></hugepages>"
                           "</memoryBacking></domain>", true, false, false, 2048, "" },
    { "of two sizes", "<domain><memoryBacking><hugepages><page size='2048'/><page size='1' unit='G'/></hugepages></memoryBacking></domain>", true,
      false, false, -1, "" },
    { "other backing", "<domain><memoryBacking><locked/></memoryBacking></domain>", false, false, false, 0, "" },
    { "one cell", "<domain><numatune><memory mode='strict' nodeset='7'/></numatune></domain>", false, true, false, 0, "" },
    { "one cell, strict by itself", "<domain><numatune><memory nodeset='0'/></numatune></domain>", false, true, false, 0, "" },
    { "two cells", "<domain><numatune><memory mode='strict' nodeset='0-1'/></numatune></domain>", false, false, false, 0, "" },
    { "as may be", "<domain><numatune><memory mode='preferred' nodeset='0'/></numatune></domain>", false, false, false, 0, "" },
    { "numad's choice", "<domain><numatune><memory placement='auto'/></numatune></domain>", false, false, false, 0, "" },
    { "the host's CPU", "<domain><cpu mode='host-passthrough'/></domain>", false, false, true, 0, "" },
    { "and a feature of it", "<domain><cpu mode='host-model'><feature policy='require' name='vmx'/><feature policy='disable' name='mpx'/></cpu></domain>",
      false, false, true, 0, "vmx" },
    { "a model", "<domain><cpu mode='custom' match='exact'><model>EPYC</model><feature name='aes'/><feature policy='force' name='ss'/></cpu></domain>",
      false, false, false, 0, "EPYC aes" },
    { "a model that is not checked", "<domain><cpu mode='custom' check='none'><model>qemu64</model><feature name='aes'/></cpu></domain>", false, false,
      false, 0, "" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(xmlDoc) doc = NULL;
    assert_true(xml_parse(rows[i].xml, strlen(rows[i].xml), &doc, NULL));
    MachineNeeds needs;
    machine_needs_read(xmlDocGetRootElement(doc), &needs);
    g_ptr_array_add(needs.cpu, NULL);
    g_autofree char *cpu = g_strjoinv(" ", (char **)needs.cpu->pdata);
    if (needs.huge != rows[i].huge || needs.one_cell != rows[i].one_cell || needs.cpu_of_host != rows[i].cpu_of_host ||
        needs.page_kib != rows[i].page_kib || strcmp(cpu, rows[i].cpu))
      fail_msg("%s: huge %d of %d, one cell %d, CPU of the host %d, \"%s\"", rows[i].why, needs.huge, (int)needs.page_kib, needs.one_cell,
               needs.cpu_of_host, cpu);
    machine_needs_clear(&needs);
  }
}

static void what_placement_claims(void **state)
{
  static const TemplateArgument arguments[] = { { "memory", "3GiB" }, { "vcpus", "4" } };
  g_autoptr(DomainTemplate) desktop = load("templates", "linux-desktop"), numa = load("tests/golden/corpus", "numa");
  int64_t memory_mib, vcpus;
  MachineNeeds needs;
  g_autoptr(GError) err = NULL;
  assert_true(template_resources(desktop, NULL, 0, &memory_mib, &vcpus, &needs, NULL));
  machine_needs_clear(&needs);
  assert_int_equal(memory_mib, 1536);
  assert_int_equal(vcpus, 2);
  assert_true(template_resources(desktop, arguments, 2, &memory_mib, &vcpus, &needs, NULL));
  machine_needs_clear(&needs);
  assert_int_equal(memory_mib, 3072);
  assert_int_equal(vcpus, 4);
  assert_false(template_resources(numa, NULL, 0, &memory_mib, &vcpus, &needs, &err));
  assert_true(error_is(err, REASON_TEMPLATE_VALUE)); /* pages of 2 MiB and of 1 GiB: a host's are counted by one size */
}

/* ── refusals ────────────────────────────────────────────────────────────── */

static void assert_spec_refused(const char *folder, const char *name, const DomainSpec *spec, const char *message)
{
  g_autoptr(DomainTemplate) template = load(folder, name);
  g_autoptr(GError) err = NULL;
  char *xml = NULL;
  if (template_domain(template, spec, &policy, &xml, &err))
    fail_msg("made although: %s", message);
  assert_null(xml);
  assert_string_equal(err->message, message);
}

#define REFUSED(field, value_, message) \
  do { \
    DomainSpec spec = spec_of(VIRT_KVM); \
    spec.field = value_; \
    assert_spec_refused("templates", "linux-desktop", &spec, message); \
  } while (0)

#define NOT_A_NAME " is not a name: [a-z0-9][a-z0-9-]{0,62}"

static void wrong_decisions(void **state)
{
  REFUSED(name, "../x", "name \"../x\"" NOT_A_NAME);
  REFUSED(name, "-x", "name \"-x\"" NOT_A_NAME);
  REFUSED(name, "a\nb", "name \"a<U+000A>b\"" NOT_A_NAME);
  REFUSED(name, "a\xe2\x80\xae", "name \"a<U+202E>\"" NOT_A_NAME);
  REFUSED(pool, "</domain>", "pool \"</domain>\"" NOT_A_NAME);
  REFUSED(desktop, NULL, "desktop is missing");
  REFUSED(uuid, "x", "uuid is \"x\", but must be a UUID");
  REFUSED(mac, "52:54:00:12:34", "mac is \"52:54:00:12:34\", but must be xx:xx:xx:xx:xx:xx, not a group's");
  REFUSED(mac, "53:54:00:12:34:56", "mac is \"53:54:00:12:34:56\", but must be xx:xx:xx:xx:xx:xx, not a group's");
  REFUSED(listen, "localhost", "listen is \"localhost\", but must be an IP address");
  REFUSED(network, "bridge:", "network is \"bridge:\", but must be NAME | bridge:NAME | user");
  REFUSED(network, "a'/><x", "network is \"a'/><x\", but must be NAME | bridge:NAME | user");
  REFUSED(disk, "disk.qcow2", "disk is \"disk.qcow2\", but must be an absolute path of a file, without \"..\"");
  REFUSED(disk, "/srv/sarang/../x", "disk is \"/srv/sarang/../x\", but must be an absolute path of a file, without \"..\"");
  REFUSED(disk, NULL, "disk is missing");
  REFUSED(vnc_port, 70000, "VNC port is \"70000\", but must be 0…65535");
  REFUSED(vcpus, -1, "vcpus is \"-1\", but must be 0…4096");
  REFUSED(memory_mib, 1 << 25, "memory is \"33554432\", but must be 0…16777216 MiB");
  REFUSED(type, VIRT_XEN, "template \"linux-desktop\" is for kvm, qemu, the host runs xen");
}

static void what_a_template_fixes(void **state)
{
  DomainSpec spec = spec_of(VIRT_KVM);
  spec.memory_mib = 1024;
  assert_spec_refused("tests/golden/corpus", "numa", &spec, "the memory can't be changed: /domain/cpu/numa fixes it");
  spec.memory_mib = 0;
  spec.vcpus = 4;
  assert_spec_refused("tests/golden/corpus", "memory-devices", &spec, "the number of virtual CPUs can't be changed: /domain/vcpus fixes it");
  spec = spec_of(VIRT_XEN);
  assert_spec_refused("tests/golden/corpus", "xen-pv", &spec,
                      "template \"xen-pv\" boots a kernel that comes with the image, and this image has none");
}

/* The result is read again and held to the policy: what was decided is no exception. */
static void decisions_are_linted_too(void **state)
{
  DomainSpec spec = spec_of(VIRT_KVM);
  spec.disk = "/etc/shadow";
  g_autoptr(DomainTemplate) template = load("templates", "micro");
  g_autoptr(GError) err = NULL;
  char *xml = NULL;
  assert_false(template_domain(template, &spec, &policy, &xml, &err));
  assert_true(error_is(err, REASON_TEMPLATE_POLICY));
  assert_string_equal(error_arg(err, "rule"), "disk-file");
  assert_string_equal(error_arg(err, "what"), "/domain/devices/disk/source/@file=\"/etc/shadow\"");
}

#define WITH_PARAMETER(at) \
  "<domain type='kvm'><name>t</name><metadata><s:template xmlns:s='urn:sarang:template:1' name='t'><s:title lang='en'>t</s:title>" \
  "<s:image name='i'/><s:protocol name='vnc'/><s:guest os='linux'/><s:ready by='tcp' port='22'/>" \
  "<s:parameter name='p' type='text' default='x' max='4000' at='" at "'/></s:template></metadata>" \
  "<description>x</description><memory>65536</memory><os><type>hvm</type></os><devices><emulator/><disk><target dev='vda'/></disk>" \
  "<disk device='cdrom'><source file='x'/><target dev='hdc'/></disk></devices></domain>"

static bool make_with(const char *text, const char *value, char **ret_xml, GError **err)
{
  g_autoptr(DomainTemplate) template = NULL;
  assert_true(template_parse(text, strlen(text), &template, NULL));
  const TemplateArgument argument = { "p", value };
  DomainSpec spec = spec_of(VIRT_KVM);
  spec.arguments = &argument;
  spec.n_arguments = 1;
  return template_domain(template, &spec, &policy, ret_xml, err);
}

static void hostile_arguments_stay_text(void **state)
{
  static const char *const values[] = {
    "</description></domain><domain>", "&lt;&amp;&#10;&xxe;", "]]>", "<!--", "$(id) %n {name}", "a'b\"c", "\xf0\x9f\x98\x80",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
    g_autofree char *xml = NULL;
    g_autoptr(GError) err = NULL;
    static const char text[] = "<domain type='kvm'><name>t</name><metadata><s:template xmlns:s='urn:sarang:template:1' name='t'>"
      "<s:title lang='en'>t</s:title><s:image name='i'/><s:protocol name='vnc'/><s:guest os='linux'/><s:ready by='tcp' port='22'/>"
      "<s:parameter name='p' type='text' default='x' at='/domain/description /domain/title'/></s:template></metadata>"
      "<title/><description>x</description><memory>65536</memory><os><type>hvm</type></os></domain>";
    if (!make_with(text, values[i], &xml, &err))
      fail_msg("%s", err->message);
    g_autoptr(xmlDoc) doc = NULL;
    assert_true(xml_parse(xml, strlen(xml), &doc, NULL));
    assert_value(doc, "/domain/description", values[i]);
    assert_value(doc, "/domain/title", values[i]);
  }
}

static void an_argument_opens_no_host_path(void **state)
{
  static const struct { const char *text, *value, *rule; } rows[] = {
    { WITH_PARAMETER("/domain/devices/emulator"), "/bin/sh", "emulator" },
    { WITH_PARAMETER("/domain/devices/disk[2]/source/@file"), "/etc/shadow", "disk-file" },
    { WITH_PARAMETER("/domain/devices/disk[2]/source/@file"), "/srv/sarang/../../etc/shadow", "disk-file" },
    { WITH_PARAMETER("/domain/devices/disk[2]/source/@file"), "etc/shadow", "disk-file" },
    { WITH_PARAMETER("/domain/devices/disk[2]/@device"), "disk", "disk-shared" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *xml = NULL;
    g_autoptr(GError) err = NULL;
    if (make_with(rows[i].text, rows[i].value, &xml, &err))
      fail_msg("row %zu was made", i);
    assert_true(error_is(err, REASON_TEMPLATE_POLICY));
    if (!g_str_equal(rows[i].rule, "disk-shared"))
      assert_string_equal(error_arg(err, "rule"), rows[i].rule);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(golden),
    cmocka_unit_test(functions_of_a_card_are_in_one_slot),
    cmocka_unit_test(a_screen_in_the_guest_leaves_no_idle_video), cmocka_unit_test(a_card_on_xen_leaves_no_screen_that_libxl_would_refuse),
    cmocka_unit_test(a_card_for_a_pvh_guest_is_refused),
    cmocka_unit_test(shipped_templates_are_clean),
    cmocka_unit_test(what_we_do_not_know_survives),
    cmocka_unit_test(the_comparison_sees_a_change),
    cmocka_unit_test(every_file_is_taken_or_refused_by_rule_and_line),
    cmocka_unit_test(a_bare_machine_gets_what_it_needs),
    cmocka_unit_test(every_screen_is_closed_and_listens_where_told),
    cmocka_unit_test(xen_takes_no_password_and_its_own_bus),
    cmocka_unit_test(the_domain_says_whose_it_is),
    cmocka_unit_test(memory_and_processors_stay_consistent),
    cmocka_unit_test(without_kvm),
    cmocka_unit_test(a_desktop_in_a_cell_is_bound_to_it),
    cmocka_unit_test(what_a_template_asks_of_a_host),
    cmocka_unit_test(what_placement_claims),
    cmocka_unit_test(wrong_decisions),
    cmocka_unit_test(what_a_template_fixes),
    cmocka_unit_test(decisions_are_linted_too),
    cmocka_unit_test(hostile_arguments_stay_text),
    cmocka_unit_test(an_argument_opens_no_host_path),
  };
  return cmocka_run_group_tests(tests, open_schema, close_schema);
}

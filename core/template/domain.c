#include "core/template/domain.h"

#include "core/template/machine.h"
#include "core/template/xml.h"
#include "core/text.h"

#include <gio/gio.h>
#include <string.h>

/* by VirtType: the domain's type attribute */
static const char *const domain_types[N_VIRT_TYPES] = { VIRT_TYPES(ENUM_TEXT_) };

/* ── what was decided, checked ───────────────────────────────────────────── */

static bool bad_value(const char *field, const char *value, const char *limit, GError **err)
{
  g_autofree char *shown = text_dup_visible(value ? value : "", 80);
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", shown, "limit", limit, NULL);
}

static bool path_check(const char *field, const char *path, bool needed, GError **err)
{
  if (!path && !needed)
    return true;
  if (!path)
    return error_false(err, REASON_MISSING_FIELD, "field", field, NULL);
  if (!text_check(field, path, 4096, err))
    return false;
  if (*path != '/' || strstr(path, "/../") || g_str_has_suffix(path, "/..") || g_str_has_suffix(path, "/"))
    return bad_value(field, path, "an absolute path of a file, without \"..\"", err);
  return true;
}

static bool is_mac(const char *mac)
{
  if (strlen(mac) != 17)
    return false;
  for (int i = 0; i < 17; i++)
    if (i % 3 == 2 ? mac[i] != ':' : !g_ascii_isxdigit(mac[i]))
      return false;
  return !(g_ascii_xdigit_value(mac[1]) & 1);
}

static bool network_check(const char *network, GError **err)
{
  return !network || template_network_is(network) || bad_value("network", network, "NAME | bridge:NAME | user", err);
}

static bool names_check(const DomainSpec *spec, GError **err)
{
  return name_check("name", spec->name, err) && name_check("controller", spec->controller, err) &&
         name_check("desktop", spec->desktop, err) && name_check("pool", spec->pool, err) &&
         text_check("template", spec->template_version, 80, err);
}

static bool number_check(const char *field, int64_t number, int64_t max, const char *unit, GError **err)
{
  if (number >= 0 && number <= max)
    return true;
  g_autofree char *value = g_strdup_printf("%" G_GINT64_FORMAT, number);
  g_autofree char *limit = g_strdup_printf("0…%" G_GINT64_FORMAT "%s", max, unit);
  return bad_value(field, value, limit, err);
}

static bool spec_check(const DomainSpec *spec, GError **err)
{
  if (!names_check(spec, err) || !path_check("disk", spec->disk, true, err) || !path_check("seed", spec->seed, false, err) ||
      !path_check("kernel", spec->kernel, false, err) || !path_check("initrd", spec->initrd, false, err) ||
      !network_check(spec->network, err))
    return false;
  if (!spec->uuid || !g_uuid_string_is_valid(spec->uuid))
    return bad_value("uuid", spec->uuid, "a UUID", err);
  if (spec->mac && !is_mac(spec->mac))
    return bad_value("mac", spec->mac, "xx:xx:xx:xx:xx:xx, not a group's", err);
  if (!spec->listen || !g_hostname_is_ip_address(spec->listen))
    return bad_value("listen", spec->listen, "an IP address", err);
  return number_check("memory", spec->memory_mib, 1 << 24, " MiB", err) && number_check("vcpus", spec->vcpus, 4096, "", err) &&
         number_check("VNC port", spec->vnc_port, 65535, "", err);
}

static bool host_check(const DomainTemplate *template, const DomainSpec *spec, GError **err)
{
  static const bool fits[N_VIRT_TYPES][2] = {
    [VIRT_QEMU] = { true, false }, [VIRT_KVM] = { true, false }, [VIRT_XEN] = { false, true }, [VIRT_TEST] = { true, true },
  };
  if (!fits[spec->type][template->is_xen])
    return error_false(err, REASON_TEMPLATE_HOST, "template", template->name, "for", template->is_xen ? "xen" : "kvm, qemu",
                       "type", domain_types[spec->type], NULL);
  if (template->kernel == KERNEL_REQUIRED && !spec->kernel)
    return error_false(err, REASON_TEMPLATE_KERNEL, "template", template->name, NULL);
  return true;
}

/* ── the tree ────────────────────────────────────────────────────────────── */

static void set_value(xmlDoc *doc, const TemplateParameter *parameter, const char *path, const char *text)
{
  const char *attribute;
  xmlNode *node = xml_find_path(doc, path, &attribute);
  g_assert(node);
  if (attribute) {
    xml_set(node, attribute, text);
    return;
  }
  xml_set_text(node, text);
  if (parameter->type == PARAMETER_SIZE)
    xml_set(node, "unit", parameter->unit);
}

static const char *value_of(const TemplateParameter *parameter, const TemplateArgument *arguments, size_t n_arguments)
{
  for (size_t i = 0; i < n_arguments; i++)
    if (!strcmp(arguments[i].name, parameter->name))
      return arguments[i].value;
  return parameter->standard;
}

static bool set_parameters(xmlDoc *doc, const DomainTemplate *template, const TemplateArgument *arguments, size_t n, GError **err)
{
  if (!template_arguments_check(template, arguments, n, err))
    return false;
  for (guint i = 0; i < template->parameters->len; i++) {
    const TemplateParameter *parameter = template->parameters->pdata[i];
    g_autofree char *text = NULL;
    if (!template_argument_parse(parameter, value_of(parameter, arguments, n), &text, err))
      return false;
    for (char **path = parameter->paths; *path; path++)
      set_value(doc, parameter, *path, text);
  }
  return true;
}

/* A parameter has written over <memory> or <vcpu> alone. The file's number is put back, and the wanted one is set as a pool's
 * would be: so what depends on it follows. */
static bool set_memory(xmlNode *root, const xmlNode *file, int64_t mib, GError **err)
{
  if (!mib)
    mib = machine_memory_mib(root);
  if (mib == machine_memory_mib(file))
    return true;
  xmlNode *memory = xml_ensure(root, "memory"), *was = xml_find(file, "memory");
  g_autofree char *text = was ? xml_dup_text(was) : g_strdup("0"), *unit = was ? xml_dup(was, "unit") : NULL;
  xml_set_text(memory, text);
  xml_set(memory, "unit", unit);
  return machine_set_memory_mib(root, mib, err);
}

static bool set_vcpus(xmlNode *root, const xmlNode *file, int64_t vcpus, GError **err)
{
  if (!vcpus)
    vcpus = machine_vcpus(root);
  if (vcpus == machine_vcpus(file))
    return true;
  g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, machine_vcpus(file));
  xml_set_text(xml_ensure(root, "vcpu"), text);
  return machine_set_vcpus(root, vcpus, err);
}

static void set_identity(xmlNode *root, const DomainSpec *spec)
{
  xml_set(root, "type", domain_types[spec->type]);
  xml_set(root, "id", NULL);
  xmlNode *name = xml_ensure(root, "name");
  xml_set_text(name, spec->name);
  /* at the end it is valid too, but libxml2, by which libvirt validates, then takes some machines for wrong */
  xml_set_text(xml_ensure_behind(name, "uuid"), spec->uuid);
}

static void set_devices(xmlNode *root, const DomainTemplate *template, const DomainSpec *spec)
{
  const char *network = spec->network ? spec->network : template->network;
  machine_set_disk(root, spec->disk, spec->disk_format);
  if (spec->seed)
    machine_add_seed(root, spec->seed);
  if (network)
    machine_set_network(root, network);
  machine_set_mac(root, spec->mac);
  if (template->protocols[OFFER_VNC].offered)
    machine_ensure_screen(root, "vnc");
  if (template->protocols[OFFER_SPICE].offered)
    machine_ensure_screen(root, "spice");
  machine_set_screens(root, spec->listen, spec->vnc_port, spec->type != VIRT_XEN);
  if (template_needs_agent(template))
    machine_ensure_agent(root);
}

static void remove_metadata(xmlNode *metadata)
{
  xmlNode *next;
  for (xmlNode *node = xml_find(metadata, NULL); node; node = next) {
    next = xml_next(node, true);
    const char *href = node->ns ? (const char *)node->ns->href : "";
    if (!strcmp(href, TEMPLATE_NAMESPACE) || !strcmp(href, DOMAIN_OWNER_XMLNS))
      xml_remove(node);
  }
}

static void set_owner(xmlNode *root, const DomainSpec *spec)
{
  xmlNode *metadata = xml_ensure(root, "metadata");
  remove_metadata(metadata);
  xmlNode *owner = xml_append(metadata, DOMAIN_OWNER_ELEMENT);
  xmlSetNs(owner, xmlNewNs(owner, BAD_CAST DOMAIN_OWNER_XMLNS, BAD_CAST "sarang"));
  xml_set(owner, "controller", spec->controller);
  xml_set(owner, "desktop", spec->desktop);
  xml_set_number(owner, "generation", spec->generation);
  xml_set(owner, "pool", spec->pool);
  xml_set(owner, "template", spec->template_version);
}

static bool patch(xmlDoc *doc, const DomainTemplate *template, const DomainSpec *spec, GError **err)
{
  xmlNode *root = xmlDocGetRootElement(doc);
  const xmlNode *file = xmlDocGetRootElement(template->doc);
  if (!set_parameters(doc, template, spec->arguments, spec->n_arguments, err) || !set_memory(root, file, spec->memory_mib, err) ||
      !set_vcpus(root, file, spec->vcpus, err))
    return false;
  if (spec->page_kib)
    machine_set_page_kib(root, spec->page_kib);
  if (spec->cell_cpus)
    machine_set_cell(root, spec->cell, spec->cell_cpus, spec->type != VIRT_XEN);
  set_identity(root, spec);
  if (spec->type == VIRT_QEMU)
    machine_fit_tcg(root);
  if (template->kernel != KERNEL_NO)
    machine_set_kernel(root, spec->kernel, spec->initrd);
  set_devices(root, template, spec);
  set_owner(root, spec);
  return true;
}

static LintTarget target_of(const DomainTemplate *template, const DomainSpec *spec)
{
  return (LintTarget){
    .disk = spec->disk, .format = image_format_name(spec->disk_format), .seed = spec->seed, .listen = spec->listen,
    .network = spec->network ? spec->network : template->network, .kernel = spec->kernel, .initrd = spec->initrd,
  };
}

/* After the policy, which lets no template name a device of the host: these are the controller's own, and counted. */
static char *with_hostdevs(xmlDoc *doc, const DomainTemplate *template, const DomainSpec *spec, GError **err)
{
  xmlNode *root = xmlDocGetRootElement(doc);
  if (!machine_takes_hostdevs(root))
    return error_null(err, REASON_TEMPLATE_NO_HOSTDEV, "template", template->name, NULL);
  if (spec->gpu_screen || spec->guest_screen)
    machine_hide_video(root);
  for (const char *const *xml = spec->hostdevs; *xml; xml++)
    if (!machine_add_hostdev(root, *xml, err))
      return NULL;
  return xml_format(doc);
}

bool template_domain(const DomainTemplate *template, const DomainSpec *spec, const LintPolicy *policy, char **ret_xml,
                     GError **err)
{
  if (!spec_check(spec, err) || !host_check(template, spec, err))
    return false;
  g_autoptr(xmlDoc) doc = xmlCopyDoc(template->doc, 1);
  if (!patch(doc, template, spec, err))
    return false;
  g_autofree char *xml = xml_format(doc);
  g_autoptr(xmlDoc) back = NULL;
  const LintTarget target = target_of(template, spec);
  if (!xml_parse(xml, strlen(xml), &back, err) || !lint_domain(back, policy, &target, err))
    return false;
  if (!spec->hostdevs || !spec->hostdevs[0])
    *ret_xml = g_steal_pointer(&xml);
  else
    *ret_xml = with_hostdevs(back, template, spec, err);
  return *ret_xml != NULL;
}

bool template_resources(const DomainTemplate *template, const TemplateArgument *arguments, size_t n_arguments,
                        int64_t *ret_memory_mib, int64_t *ret_vcpus, MachineNeeds *ret_needs, GError **err)
{
  g_autoptr(xmlDoc) doc = xmlCopyDoc(template->doc, 1);
  if (!set_parameters(doc, template, arguments, n_arguments, err))
    return false;
  const xmlNode *root = xmlDocGetRootElement(doc);
  *ret_memory_mib = machine_memory_mib(root);
  *ret_vcpus = machine_vcpus(root);
  machine_needs_read(root, ret_needs);
  if (ret_needs->page_kib >= 0)
    return true;
  machine_needs_clear(ret_needs);
  g_autofree char *line = g_strdup_printf("%d", xml_line(xml_find(xmlDocGetRootElement(template->doc), "memoryBacking")));
  return error_false(err, REASON_TEMPLATE_VALUE, "line", line, "what", "size", "value", "several sizes", "limit", "one size of huge pages", NULL);
}

/* Fuzzes the way of a template: read, linted, made into a domain for every kind of host. What is taken must keep the promises of
 * template.h and domain.h: nothing of the host's is named that the policy doesn't allow, screens are shut, the disk is the one given. */
#include <string.h>

#include "core/template/check.h"
#include "core/template/domain.h"
#include "core/template/machine.h"
#include "core/template/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK "/srv/sarang/d-17.g1.qcow2"
static const char *const storage[] = { "/srv/sarang", NULL };
static const LintPolicy policy = { .directories = storage };

static void check_screens(const xmlNode *devices)
{
  for (xmlNode *screen = xml_find(devices, "graphics"); screen; screen = xml_next(screen, false)) {
    g_assert(xml_has(screen, "listen", "127.0.0.1") && !xml_find(screen, "listen") && xml_has(screen, "socket", NULL));
    g_assert(xml_has(screen, "passwd", "") || xml_has(screen, "passwd", NULL));
  }
}

static void check_disks(const xmlNode *root, const xmlNode *devices)
{
  xmlNode *system = machine_system_disk(root);
  g_assert(system && xml_has(xml_find(system, "source"), "file", DISK));
  for (xmlNode *disk = xml_find(devices, "disk"); disk; disk = xml_next(disk, false)) {
    xmlNode *source = xml_find(disk, "source");
    g_autofree char *file = source ? xml_dup(source, "file") : NULL;
    g_assert(!file || (g_str_has_prefix(file, "/srv/sarang/") && !strstr(file, "..")));
  }
}

static void check_domain(const char *text)
{
  g_autoptr(xmlDoc) doc = NULL;
  g_assert(xml_parse(text, strlen(text), &doc, NULL));
  const xmlNode *root = xmlDocGetRootElement(doc), *devices = xml_find(root, "devices");
  g_assert(devices && !xml_find(devices, "hostdev") && !xml_find(devices, "filesystem") && !xml_find(devices, "shmem"));
  g_assert(strstr(text, DOMAIN_OWNER_XMLNS) && !strstr(text, "qemu:commandline"));
  check_screens(devices);
  check_disks(root, devices);
}

static void make_domains(const DomainTemplate *template)
{
  for (int type = 0; type < N_VIRT_TYPES; type++) {
    const DomainSpec spec = {
      .name = "cad-17", .uuid = "6f1c6f5e-6a1b-4b86-9d8e-0c1f9a6f2a11", .type = (VirtType)type, .disk = DISK,
      .seed = type % 2 ? "/srv/sarang/seed.img" : NULL, .kernel = "/srv/sarang/vmlinux", .listen = "127.0.0.1", .controller = "c",
      .desktop = "d-17", .pool = "p", .template_version = "t@1", .memory_mib = type % 2 ? 3000 : 0, .vcpus = type % 2 ? 3 : 0,
    };
    g_autofree char *xml = NULL;
    if (template_domain(template, &spec, &policy, &xml, NULL))
      check_domain(xml);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autoptr(GPtrArray) findings = template_check((const char *)data, size, &policy, NULL, 0);
  g_autoptr(DomainTemplate) template = NULL;
  g_autoptr(GError) err = NULL;
  if (!template_parse((const char *)data, size, &template, &err)) {
    g_assert(err && findings->len > 0);
    return 0;
  }
  int64_t memory_mib, vcpus;
  MachineNeeds needs;
  if (template_resources(template, NULL, 0, &memory_mib, &vcpus, &needs, &err))
    machine_needs_clear(&needs);
  else
    g_assert(error_is(err, REASON_TEMPLATE_VALUE));
  make_domains(template);
  return 0;
}

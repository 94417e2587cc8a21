/* How a desktop is defined on its host: on libvirt's own test driver, which validates as the real one does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <libvirt/libvirt.h>

#include "drivers/runtime/steps_parts.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555";

typedef struct {
  Hypervisor *hypervisor;
  char *uuid;
  StepOrder order;     /* its objects are the place's */
  Desktop desktop;
  Host host;
  Storage storage;
  ImageVersion image;
  TemplateVersion template;
} Place;

static Place *place_new(const char *xml)
{
  Place *p = g_new0(Place, 1);
  HypervisorOptions options = { .uri = "test:///default", .controller = controller };
  assert_true(hypervisor_open(&options, &p->hypervisor, NULL));
  p->uuid = desktop_domain_uuid(controller, "d-1");
  p->desktop = (Desktop){ .head = { .refs = 1, .noun = NOUN_DESKTOP, .name = (char *)"d-1" }, .clone = 1, .vcpus = 1, .memory_mib = 1024 };
  p->desktop.mac = desktop_mac(controller, "d-1");
  p->host = (Host){ .head = { .name = (char *)"h1" }, .virt_type = (char *)"test" };
  p->storage = (Storage){ .head = { .name = (char *)"disk" }, .path = (char *)"/srv/disk" };
  p->image = (ImageVersion){ .head = { .name = (char *)"linux@1" }, .format = FORMAT_QCOW2 };
  p->template = (TemplateVersion){ .head = { .name = (char *)"linux@1" }, .xml = (char *)xml };
  p->desktop.pool = (char *)"cad";
  p->desktop.template = (char *)"linux@1";
  p->order = (StepOrder){ .kind = STEP_DEFINE, .controller = (char *)controller, .desktop = &p->desktop, .host = &p->host, .storage = &p->storage,
                          .image = &p->image, .template = &p->template };
  return p;
}

static void place_free(Place *p)
{
  hypervisor_undefine(p->hypervisor, p->uuid, NULL);
  hypervisor_close(p->hypervisor);
  g_free(p->uuid);
  g_free(p->desktop.mac);
  g_free(p);
}

static StepResult *run(Place *p, StepKind kind)
{
  p->order.kind = kind;
  static const StepOptions plain = { 0 };
  StepRun step = { .order = &p->order, .result = step_result_new(&p->order), .hypervisor = p->hypervisor, .options = &plain,
                   .deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC };
  step_run(&step);
  return step.result;
}

static char *template_text(const char *find, const char *put)
{
  g_autofree char *text = NULL;
  assert_true(g_file_get_contents("templates/linux-cli.xml", &text, NULL, NULL));
  g_auto(GStrv) parts = g_strsplit(text, find, 2);
  assert_non_null(parts[1]);
  return g_strjoinv(put, parts);
}

static char *defined_xml(Place *p)
{
  virConnectPtr conn = virConnectOpen("test:///default");
  virDomainPtr domain = virDomainLookupByUUIDString(conn, p->uuid);
  assert_non_null(domain);
  char *xml = virDomainGetXMLDesc(domain, 0), *copy = g_strdup(xml);
  free(xml);
  virDomainFree(domain);
  virConnectClose(conn);
  return copy;
}

/* Every definition drew a new one: a reset desktop was a stranger to DHCP and to licences. */
static void a_desktop_keeps_its_network_address(void **state)
{
  g_autofree char *xml = template_text("</devices>", "</devices>");
  Place *p = place_new(xml);
  for (p->desktop.clone = 1; p->desktop.clone < 3; p->desktop.clone++) {
    g_autoptr(StepResult) result = run(p, STEP_DEFINE);
    if (result->error)
      fail_msg("%s", result->error->message);
    g_autofree char *defined = defined_xml(p);
    assert_non_null(strstr(defined, p->desktop.mac));
  }
  place_free(p);
}

/* libvirt drops what it does not know without a word; asked to validate, it says so. */
static void a_template_the_host_finds_invalid_was_taken(void **state)
{
  g_autofree char *xml = template_text("<clock offset=\"utc\"/>", "<clock offset='utc' warp='9'/>");
  Place *p = place_new(xml);
  g_autoptr(StepResult) result = run(p, STEP_DEFINE);
  assert_non_null(result->error);
  assert_string_equal(reason_wire(error_reason(result->error)), "template-refused");
  assert_non_null(strstr(result->error->message, "linux@1"));
  assert_non_null(strstr(result->error->message, "h1"));
  place_free(p);
}

/* Its claim is the machine's own: libvirt tells what it bound. */
static void a_desktop_is_bound_to_the_cell_it_was_claimed_in(void **state)
{
  g_autofree char *xml = template_text("<vcpu>1</vcpu>", "<memoryBacking><hugepages/></memoryBacking><vcpu>1</vcpu>");
  Place *p = place_new(xml);
  p->host.cells = (char *)"[{\"id\":0,\"cpus\":\"0-3\",\"memory_mib\":4096,\"huge_mib\":0},{\"id\":1,\"cpus\":\"4-7\",\"memory_mib\":4096,\"huge_mib\":0}]";
  p->host.page_kib = 2048;
  p->desktop.cell = CELL_1;
  g_autoptr(StepResult) result = run(p, STEP_DEFINE);
  if (result->error)
    fail_msg("%s", result->error->message);
  g_autofree char *defined = defined_xml(p);
  assert_non_null(strstr(defined, "<vcpu placement='static' cpuset='4-7'>1</vcpu>"));
  assert_non_null(strstr(defined, "<memory mode='strict' nodeset='1'/>"));
  assert_non_null(strstr(defined, "<page size='2048' unit='KiB'/>"));
  p->desktop.cell = CELL_ANY;
  g_autoptr(StepResult) free = run(p, STEP_DEFINE);
  g_autofree char *loose = defined_xml(p);
  assert_null(free->error);
  assert_null(strstr(loose, "numatune"));
  p->desktop.cell = CELL_2;
  g_autoptr(StepResult) gone = run(p, STEP_DEFINE);
  assert_int_equal(error_reason(gone->error), REASON_CELL_GONE);
  place_free(p);
}

#define CDROM(file) "</disk><disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='" file "'/>" \
  "<target dev='sda' bus='sata'/><readonly/></disk>"

/* The directory of an image's kernel was open to the template: it could attach whatever lies beside it. */
static void a_kernel_opens_itself_and_not_its_directory(void **state)
{
  static const char *const refused[] = { CDROM("/etc/shadow"), CDROM("/etc/vmlinuz"), CDROM("/boot/grub/grub.cfg") };
  g_autofree char *text = NULL;
  assert_true(g_file_get_contents("templates/linux-desktop.xml", &text, NULL, NULL));
  Place *p = place_new(text);
  p->image.kernel = (char *)"/etc/vmlinuz";
  p->image.initrd = (char *)"/boot/initrd.img";
  g_autoptr(StepResult) taken = run(p, STEP_DEFINE);
  if (taken->error)
    fail_msg("%s", taken->error->message);
  g_autofree char *defined = defined_xml(p);
  assert_non_null(strstr(defined, "<kernel>/etc/vmlinuz</kernel>"));
  assert_non_null(strstr(defined, "<initrd>/boot/initrd.img</initrd>"));
  g_auto(GStrv) parts = g_strsplit(text, "</disk>", 2);
  for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
    g_autofree char *xml = g_strjoinv(refused[i], parts);
    p->template.xml = xml;
    g_autoptr(StepResult) result = run(p, STEP_DEFINE);
    assert_non_null(result->error);
    assert_int_equal(error_reason(result->error), REASON_TEMPLATE_POLICY);
    assert_string_equal(error_arg(result->error, "rule"), "disk-file");
  }
  place_free(p);
}

static void network_addresses_are_one_a_desktop(void **state)
{
  static const char other[] = "21111111-2222-4333-8444-555555555555";
  g_autofree char *one = desktop_mac(controller, "d-1"), *two = desktop_mac(controller, "d-2"), *far = desktop_mac(controller, "d-16777217"),
                  *again = desktop_mac(controller, "d-1"), *abroad = desktop_mac(other, "d-1");
  assert_string_equal(one, again);
  assert_string_not_equal(one, two);
  assert_string_not_equal(one, far);
  assert_string_not_equal(one, abroad);
  assert_int_equal(strlen(one), 17);
  assert_int_equal(one[1], '2'); /* locally administered, of one card */
}

static char *file_put(const char *directory, const char *owner)
{
  g_autofree char *name = g_strconcat(owner, ".g1.qcow2", NULL);
  char *path = g_build_filename(directory, name, NULL);
  assert_true(g_file_set_contents(path, "precious", -1, NULL));
  return path;
}

/* Two controllers on one storage, or one installed anew: what was refused was then undone, by name. */
static void a_disk_of_another_controller_was_deleted(void **state)
{
  Place *p = place_new(NULL);
  g_autofree char *directory = g_dir_make_tmp("sarang-steps-XXXXXX", NULL);
  g_autofree char *ours = volume_owner(controller, "d-1");
  g_autofree char *theirs = volume_owner("22222222-2222-4333-8444-555555555555", "d-1");
  g_autofree char *mine = file_put(directory, ours), *other = file_put(directory, theirs), *plain = file_put(directory, "d-1");
  p->host.uri = (char *)"test:///default";
  p->storage.path = p->storage.controller_path = directory;
  g_autoptr(StepResult) deleted = run(p, STEP_DELETE_VOLUMES);
  assert_null(deleted->error);
  assert_false(g_file_test(mine, G_FILE_TEST_EXISTS));
  assert_int_equal(remove(other), 0);
  assert_int_equal(remove(plain), 0);
  assert_int_equal(remove(directory), 0);
  place_free(p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_desktop_keeps_its_network_address),
    cmocka_unit_test(a_template_the_host_finds_invalid_was_taken),
    cmocka_unit_test(a_desktop_is_bound_to_the_cell_it_was_claimed_in),
    cmocka_unit_test(a_kernel_opens_itself_and_not_its_directory),
    cmocka_unit_test(network_addresses_are_one_a_desktop),
    cmocka_unit_test(a_disk_of_another_controller_was_deleted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

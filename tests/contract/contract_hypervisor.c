/* The contract suite of the hypervisor family on real hosts:
 *   contract_hypervisor [--plain-tcp] [--linux] --dir HERE=THERE URI... HERE is a directory of this machine with the lab's
 * guests (micro.img, and with --linux linux.qcow2, vmlinux, initrd); THERE is what the hosts call it. Disks are made in
 * HERE/contract. Guests are emulated: <domain type='qemu'>. */
#include <glib/gstdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/hypervisor_contract.h"

typedef struct {
  char *here, *there;
} Dir;

static void disk_make(const Dir *dir, const char *name, bool with_agent)
{
  g_autofree char *disks = g_build_filename(dir->here, "contract", NULL);
  g_autofree char *disk = g_strdup_printf("%s/%s.img", disks, name);
  g_mkdir_with_parents(disks, 0755);
  if (with_agent) {
    g_autofree char *base = g_build_filename(dir->there, "linux.qcow2", NULL);
    const char *argv[] = { "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", base, "-F", "qcow2", disk, "1G", NULL };
    g_unlink(disk);
    assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    return;
  }
  g_autofree char *base = g_build_filename(dir->here, "micro.img", NULL), *bytes = NULL;
  gsize n;
  if (g_file_test(disk, G_FILE_TEST_EXISTS))
    return;
  assert_true(g_file_get_contents(base, &bytes, &n, NULL));
  assert_true(g_file_set_contents(disk, bytes, (gssize)n, NULL));
}

static char *build(const ContractDomain *domain, const void *data)
{
  const Dir *dir = data;
  g_autofree char *metadata = contract_metadata(domain);
  g_autofree char *boot = domain->with_agent
    ? g_strdup_printf("<kernel>%s/vmlinux</kernel><initrd>%s/initrd</initrd>"
                      "<cmdline>console=ttyS0 quiet nokaslr no_timer_check mitigations=off cryptomgr.notests</cmdline>",
                      dir->there, dir->there)
    : g_strdup("<boot dev='hd'/>");
  disk_make(dir, domain->name, domain->with_agent);
  return g_strdup_printf(
    "<domain type='qemu'><name>%s</name><uuid>%s</uuid>%s<memory unit='MiB'>%d</memory><vcpu>1</vcpu>"
    "<os><type arch='x86_64' machine='pc'>hvm</type>%s</os><features><acpi/><apic/></features>"
    "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu><clock offset='utc'/>"
    "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
    "<disk type='file' device='disk'><driver name='qemu' type='%s' cache='none'/><source file='%s/contract/%s.img'/>"
    "<target dev='vda' bus='virtio'/></disk><controller type='usb' index='0' model='none'/>"
    "<serial type='pty'><target port='0'/></serial>%s%s<video><model type='vga'/></video><memballoon model='none'/>"
    "</devices></domain>",
    domain->name, domain->uuid, metadata, domain->with_agent ? 128 : 2, boot, domain->with_agent ? "qcow2" : "raw", dir->there,
    domain->name,
    domain->with_agent ? "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>" : "",
    domain->with_console ? "<graphics type='vnc' port='-1' autoport='yes' passwd=''/>" : "");
}

int main(int argc, char **argv)
{
  g_autofree char *dir_text = NULL;
  gboolean plain = FALSE, with_linux = FALSE;
  const GOptionEntry entries[] = {
    { "dir", 0, 0, G_OPTION_ARG_STRING, &dir_text, "where the guests are, here and on the hosts", "HERE=THERE" },
    { "linux", 0, 0, G_OPTION_ARG_NONE, &with_linux, "boot the Linux guest too", NULL },
    { "plain-tcp", 0, 0, G_OPTION_ARG_NONE, &plain, "allow qemu+tcp", NULL },
    { 0 },
  };
  g_autoptr(GOptionContext) options = g_option_context_new("URI...");
  g_option_context_add_main_entries(options, entries, NULL);
  char *equals = NULL;
  if (!g_option_context_parse(options, &argc, &argv, NULL) || !dir_text || !(equals = strchr(dir_text, '=')) || argc < 2) {
    g_autofree char *help = g_option_context_get_help(options, TRUE, NULL);
    fputs(help, stderr);
    return 2;
  }
  *equals = 0;
  Dir dir = { dir_text, equals + 1 };
  int failed = 0;
  for (int i = 1; i < argc; i++) {
    Contract contract = { .uri = argv[i], .allow_plain_tcp = plain, .has_agent_guest = with_linux, .boot_s = 90,
                          .xml = build, .data = &dir };
    failed += contract_run(&contract);
  }
  return failed != 0;
}

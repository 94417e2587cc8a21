#include "core/template/check.h"
#include "core/template/lint.h"
#include "core/template/xml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include <sys/wait.h>

#define LIMIT_US (60 * G_USEC_PER_SEC)

static const char *const storage[] = { "/srv/sarang/", "/var/lib/images", NULL };

static bool broken[N_LINT_RULES];

/* Line 1: domain; line 2: what the test puts under it; line 4: what it puts under devices. The system disk stands on line 3. */
static char *machine(const char *top, const char *device)
{
  return g_strdup_printf("<domain type='kvm'><metadata><x:y xmlns:x='urn:x' file='/etc/passwd'>/etc/passwd</x:y></metadata>\n%s\n<devices>"
                         "<disk type='file'><driver name='qemu' type='qcow2'/><target dev='vda'/></disk>\n%s\n</devices></domain>",
                         top, device);
}

/* "rule:line what, …" of all findings. */
static char *findings_of(const char *xml, const char *network, const LintPolicy *policy)
{
  g_autoptr(xmlDoc) doc = NULL;
  GError *err = NULL;
  if (!xml_parse(xml, strlen(xml), &doc, &err))
    fail_msg("%s", err->message);
  g_autoptr(GPtrArray) list = lint_list(doc, network, policy);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < list->len; i++) {
    const LintFinding *f = list->pdata[i];
    broken[f->rule] = true;
    g_string_append_printf(text, "%s%s:%d %s", i ? ", " : "", lint_rule_name(f->rule), f->line, f->what);
  }
  return g_string_free(text, FALSE);
}

typedef struct {
  const char *xml, *findings; /* findings "" = clean */
} Row;

static void assert_rows(const Row *rows, size_t n, bool is_device)
{
  const LintPolicy policy = { .directories = storage };
  for (size_t i = 0; i < n; i++) {
    g_autofree char *xml = is_device ? machine("", rows[i].xml) : machine(rows[i].xml, "");
    g_autofree char *found = findings_of(xml, "default", &policy);
    assert_string_equal(found, rows[i].findings);
  }
}

static void what_stands_under_the_domain(void **state)
{
  static const Row rows[] = {
    { "<os firmware='efi'><type>hvm</type></os><vcpu cpuset='0-3'>4</vcpu>", "" },
    { "<description>/etc/passwd</description><title>/x</title>", "" },
    { "<os><cmdline>/init</cmdline></os>", "" },
    { "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><q:arg value='-x'/></q:commandline>",
      "hypervisor-args:2 /domain/q:commandline" },
    { "<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'/>", "hypervisor-args:2 /domain/commandline" },
    { "<o:override xmlns:o='http://libvirt.org/schemas/domain/qemu/1.0'/>", "hypervisor-args:2 /domain/o:override" },
    { "<memory xmlns:a='urn:a' a:unit='KiB'/>", "hypervisor-args:2 /domain/memory/@a:unit" },
    { "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='/etc/passwd'/>", "hypervisor-args:2 /domain/xi:include" },
    { "<metadata xmlns='urn:x'><file>/etc/passwd</file></metadata>", "hypervisor-args:2 /domain/metadata" },
    { "<newthing/>", "element-unknown:2 /domain/newthing" },
    { "<bootloader>/usr/bin/pygrub</bootloader>", "bootloader:2 /domain/bootloader" },
    { "<os><loader>/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/></os>", "" },
    { "<os><loader>/usr/lib/xen-4.17/boot/hvmloader</loader></os>", "" },
    { "<os><loader>/tmp/evil.fd</loader></os>", "firmware:2 /domain/os/loader=\"/tmp/evil.fd\"" },
    { "<os><loader>/usr/share/OVMF/../../../tmp/evil.fd</loader></os>", "firmware:2 /domain/os/loader=\"/usr/share/OVMF/../../../tmp/evil.fd\"" },
    { "<os><loader>/srv/sarang/x.fd</loader></os>", "firmware:2 /domain/os/loader=\"/srv/sarang/x.fd\"" },
    { "<os><nvram template='/etc/passwd'/></os>", "firmware-variables:2 /domain/os/nvram/@template=\"/etc/passwd\"" },
    { "<os><nvram>/srv/sarang/one-for-all.fd</nvram></os>", "nvram:2 /domain/os/nvram" },
    { "<os><nvram type='file'><source file='/srv/sarang/x'/></nvram></os>", "nvram:2 /domain/os/nvram" },
    { "<os><kernel>/srv/sarang/vmlinuz</kernel><initrd>/var/lib/images/a/initrd</initrd></os>", "" },
    { "<os><kernel>/boot/vmlinuz</kernel></os>", "boot-file:2 /domain/os/kernel=\"/boot/vmlinuz\"" },
    { "<os><initrd>/srv/sarang</initrd></os>", "boot-file:2 /domain/os/initrd=\"/srv/sarang\"" },
    { "<os><initrd>/srv/sarang-evil/x</initrd></os>", "boot-file:2 /domain/os/initrd=\"/srv/sarang-evil/x\"" },
    { "<os><initrd>srv/sarang/x</initrd></os>", "boot-file:2 /domain/os/initrd=\"srv/sarang/x\"" },
    { "<os><initrd>/srv/sarang//../../etc/x</initrd></os>", "boot-file:2 /domain/os/initrd=\"/srv/sarang//../../etc/x\"" },
    { "<os><initrd>/srv/sarang/..</initrd></os>", "boot-file:2 /domain/os/initrd=\"/srv/sarang/..\"" },
    { "<os><acpi><table type='slic'>/etc/passwd</table></acpi></os>", "boot-file:2 /domain/os/acpi/table=\"/etc/passwd\"" },
    { "<os><dtb>/etc/passwd</dtb></os>", "boot-file:2 /domain/os/dtb=\"/etc/passwd\"" },
    { "<seclabel type='dynamic' model='selinux' relabel='yes'/>", "" },
    { "<seclabel type='none'/>", "seclabel:2 /domain/seclabel" },
    { "<seclabel type='dynamic' relabel='no'/>", "seclabel:2 /domain/seclabel" },
    { "<seclabel type='static'><label>0:0</label></seclabel>", "seclabel:2 /domain/seclabel" },
    { "<seclabel><baselabel>unconfined</baselabel></seclabel>", "seclabel:2 /domain/seclabel" },
    { "<resource><partition>/machine/other</partition></resource>", "host-path:2 /domain/resource/partition=\"/machine/other\"" },
    { "<sysinfo type='fwcfg'><entry name='opt/x' file='/etc/shadow'/></sysinfo>", "host-path:2 /domain/sysinfo/entry/@file=\"/etc/shadow\"" },
    { "<sysinfo type='fwcfg'><entry name='opt/x' file='etc/shadow'/></sysinfo>", "host-path:2 /domain/sysinfo/entry/@file=\"etc/shadow\"" },
    { "<blkiotune><device><path>/dev/sda</path></device></blkiotune>", "host-path:2 /domain/blkiotune/device/path=\"/dev/sda\"" },
    { "<launchSecurity type='sev'><policy>0x3</policy></launchSecurity>", "" },
    { "<cpu><future><thing where=' /etc/x'/></future></cpu>", "host-path:2 /domain/cpu/future/thing/@where=\" /etc/x\"" },
  };
  assert_rows(rows, G_N_ELEMENTS(rows), false);
}

#define D "/domain/devices/"

static void disks(void **state)
{
  static const Row rows[] = {
    { "<disk type='file' device='cdrom'><target dev='sda'/></disk>", "" },
    { "<disk type='file' device='cdrom'><source file='/srv/sarang/a.iso'/><target dev='sda'/></disk>", "" },
    { "<disk type='file'><source file='/srv/sarang/tools.img'/><target dev='vdb'/><readonly/></disk>", "" },
    { "<disk type='file'><source file='/srv/sarang/tools.img'/><target dev='vdb'/></disk>", "disk-shared:4 " D "disk" },
    { "<disk type='file' device='floppy'><source file='/srv/sarang/f.img'/></disk>", "disk-shared:4 " D "disk" },
    { "<disk type='file' device='cdrom'><source file='/srv/sarang/d-1-3fa81b2c.g1.qcow2'/></disk>",
      "disk-file:4 " D "disk/source/@file=\"/srv/sarang/d-1-3fa81b2c.g1.qcow2\"" }, /* another's volume */
    { "<disk type='file' device='cdrom'><source file='/srv/sarang/sub/img-linux-v3.raw'/></disk>",
      "disk-file:4 " D "disk/source/@file=\"/srv/sarang/sub/img-linux-v3.raw\"" },
    { "<disk type='file' device='cdrom'><source file='/srv/sarang/d-1.g1.qcow2.iso'/></disk>", "" },
    { "<disk type='file' device='cdrom'><source file='/etc/shadow'/></disk>", "disk-file:4 " D "disk/source/@file=\"/etc/shadow\"" },
    { "<disk type='file' device='cdrom'><source file='srv/sarang/x'/></disk>", "disk-file:4 " D "disk/source/@file=\"srv/sarang/x\"" },
    { "<disk type='file' device='cdrom'><source dev='/dev/sda'/></disk>", "host-source:4 " D "disk/source/@dev=\"/dev/sda\"" },
    { "<disk type='file' device='cdrom'><source startupPolicy='optional' x:file='/etc/shadow' xmlns:x='urn:x'/></disk>",
      "hypervisor-args:4 " D "disk/source/@x:file" },
    { "<disk type='file' device='cdrom'><x:source file='/etc/shadow' xmlns:x='urn:x'/></disk>", "hypervisor-args:4 " D "disk/x:source" },
    { "<disk type='block'><source dev='/dev/sda'/></disk>", "disk-block:4 " D "disk/@type=\"block\"" },
    { "<disk type='network'><source protocol='nbd'/></disk>", "disk-network:4 " D "disk/@type=\"network\"" },
    { "<disk type='dir'><source dir='/etc'/></disk>", "disk-type:4 " D "disk/@type=\"dir\"" },
    { "<disk type='volume'><source pool='p' volume='v'/></disk>", "disk-type:4 " D "disk/@type=\"volume\"" },
    { "<disk type='nvme'/>", "disk-type:4 " D "disk/@type=\"nvme\"" },
    { "<disk type='vhostuser'/>", "disk-type:4 " D "disk/@type=\"vhostuser\"" },
    { "<disk type='file block'/>", "disk-block:4 " D "disk/@type=\"file block\"" },
    { "<disk type='file' device='cdrom'><encryption format='luks'/></disk>", "host-secret:4 " D "disk/encryption" },
    { "<disk type='file' device='cdrom'><auth username='x'/></disk>", "host-secret:4 " D "disk/auth" },
    { "<disk type='file' device='cdrom'><source file='/srv/sarang/x'><seclabel relabel='no'/></source></disk>",
      "seclabel:4 " D "disk/source/seclabel" },
  };
  assert_rows(rows, G_N_ELEMENTS(rows), true);
}

static void the_system_disk_is_the_controllers(void **state)
{
  static const Row rows[] = {
    { "<source file='/srv/sarang/x.qcow2'/>", "disk-system:1 " D "disk/source" },
    { "<backingStore/>", "disk-system:1 " D "disk/backingStore" },
    { "<mirror/>", "disk-system:1 " D "disk/mirror" },
    { "<serial>x</serial>", "" },
  };
  const LintPolicy policy = { .directories = storage };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *xml = g_strdup_printf("<domain type='kvm'><devices><disk type='file' device='cdrom'/><disk type='file' device='disk'>%s"
                                           "</disk></devices></domain>", rows[i].xml);
    g_autofree char *found = findings_of(xml, NULL, &policy);
    assert_string_equal(found, rows[i].findings);
  }
}

static void devices(void **state)
{
  static const Row rows[] = {
    { "<emulator>/usr/bin/qemu-system-x86_64</emulator>", "" },
    { "<emulator>/usr/bin/qemu-system-x86_64/../../bin/sh</emulator>", "emulator:4 " D "emulator=\"/usr/bin/qemu-system-x86_64/../../bin/sh\"" },
    { "<emulator>/bin/sh</emulator>", "emulator:4 " D "emulator=\"/bin/sh\"" },
    { "<emulator>qemu</emulator>", "emulator:4 " D "emulator=\"qemu\"" },
    { "<teleporter/>", "device-unknown:4 " D "teleporter" },
    { "<hostdev mode='subsystem' type='pci'><source><address bus='1'/></source></hostdev>", "host-device:4 " D "hostdev" },
    { "<filesystem type='mount'><source dir='/'/></filesystem>", "filesystem:4 " D "filesystem" },
    { "<shmem name='x'/>", "shared-memory:4 " D "shmem" },
    { "<lease><target path='/x'/></lease>", "lease:4 " D "lease" },
    { "<serial type='pty'/><console type='pty'/><parallel type='null'/>", "" },
    { "<channel type='unix'><source mode='bind'/><target name='org.qemu.guest_agent.0'/></channel>", "" },
    { "<channel type='unix'><source mode='connect' path='/run/libvirt/libvirt-sock'/></channel>",
      "character-path:4 " D "channel/source/@mode=\"connect\"" },
    { "<channel type='unix'><source path='run/x'/></channel>", "character-path:4 " D "channel/source/@path=\"run/x\"" },
    { "<channel type='spiceport'><source channel='a'/></channel><channel type='qemu-vdagent'><source><clipboard copypaste='yes'/></source></channel>", "" },
    { "<serial type='file'><source path='/x'/></serial>", "character-device:4 " D "serial/@type=\"file\"" },
    { "<serial type='dev'/>", "character-device:4 " D "serial/@type=\"dev\"" },
    { "<console type='tcp'/>", "character-device:4 " D "console/@type=\"tcp\"" },
    { "<channel type='udp'/>", "character-device:4 " D "channel/@type=\"udp\"" },
    { "<channel type='dbus'/>", "character-device:4 " D "channel/@type=\"dbus\"" },
    { "<parallel type='pipe'/>", "character-device:4 " D "parallel/@type=\"pipe\"" },
    { "<redirdev type='tcp'/>", "character-device:4 " D "redirdev/@type=\"tcp\"" },
    { "<serial type='pty'><source path='/dev/pts/1'/></serial>", "character-path:4 " D "serial/source/@path=\"/dev/pts/1\"" },
    { "<serial type='pty'><log file='/srv/sarang/log'/></serial>", "character-log:4 " D "serial/log" },
    { "<console type='pty' tty='/dev/pts/1'/>", "host-path:4 " D "console/@tty=\"/dev/pts/1\"" },
    { "<smartcard mode='host'/>", "smartcard:4 " D "smartcard/@mode=\"host\"" },
    { "<input type='tablet'/><input type='passthrough'/>", "input:4 " D "input/@type=\"passthrough\"" },
    { "<input type='evdev'/>", "input:4 " D "input/@type=\"evdev\"" },
    { "<audio type='spice'/><audio type='none'/>", "" },
    { "<audio type='pulseaudio'/>", "audio:4 " D "audio/@type=\"pulseaudio\"" },
    { "<audio type='file' path='x'/>", "audio:4 " D "audio/@type=\"file\"" },
    { "<tpm><backend type='emulator' version='2.0'/></tpm>", "" },
    { "<tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>", "tpm:4 " D "tpm/backend/@type=\"passthrough\"" },
    { "<tpm><backend type='external'/></tpm>", "tpm:4 " D "tpm/backend/@type=\"external\"" },
    { "<tpm><backend type='emulator'><source type='file' path='/srv/sarang/tpm'/></backend></tpm>", "tpm-state:4 " D "tpm/backend/source" },
    { "<rng><backend model='random'>/dev/urandom</backend></rng><rng><backend model='builtin'/></rng>", "" },
    { "<rng><backend model='random'>/dev/sda</backend></rng>", "random-file:4 " D "rng/backend=\"/dev/sda\"" },
    { "<rng><backend model='egd' type='udp'/></rng>", "random:4 " D "rng/backend/@model=\"egd\"" },
    { "<vsock><cid auto='yes'/></vsock><vsock><cid auto='yes' address='3'/></vsock>", "" },
    { "<vsock><cid auto='no' address='3'/></vsock>", "vsock:4 " D "vsock/cid/@address=\"3\"" },
    { "<memory model='nvdimm'><source><path>/srv/sarang/n</path></source></memory>", "memory-file:4 " D "memory/source/path" },
    { "<graphics type='vnc' listen='0.0.0.0' port='5900'><listen type='address' address='0.0.0.0'/></graphics>", "" },
    { "<graphics type='vnc' passwd='secret'/>", "screen-password:4 " D "graphics/@passwd" },
    { "<graphics type='sdl' display=':0'/>", "screen-type:4 " D "graphics/@type=\"sdl\"" },
    { "<graphics type='egl-headless'><gl rendernode='/dev/dri/renderD128'/></graphics>", "screen-type:4 " D "graphics/@type=\"egl-headless\"" },
    { "<graphics type='spice'><gl enable='yes'/></graphics>", "screen-gpu:4 " D "graphics/gl/@enable=\"yes\"" },
    { "<video><driver vgaconf='on'/><model><acceleration rendernode='/dev/dri/renderD128'/></model></video>",
      "host-path:4 " D "video/model/acceleration/@rendernode=\"/dev/dri/renderD128\"" },
    { "<controller type='pci'><driver iommu='on'/></controller><watchdog/><panic/><iommu/><hub/><redirfilter/><memballoon/><sound/>", "" },
  };
  assert_rows(rows, G_N_ELEMENTS(rows), true);
}

static void interfaces(void **state)
{
  static const Row rows[] = {
    { "<interface type='network'><source network='x'/></interface>", "" },
    { "<interface type='bridge'><source bridge='x'/></interface>", "" },
    { "<interface type='user'/><interface type='user'/>", "" },
    { "<interface type='user'/><interface type='network'><source network='x'/></interface>",
      "interface-network:4 " D "interface/@type=\"network\"" },
    { "<interface type='direct'><source dev='eth0'/></interface>", "interface-type:4 " D "interface/@type=\"direct\"" },
    { "<interface type='hostdev'/>", "interface-type:4 " D "interface/@type=\"hostdev\"" },
    { "<interface type='ethernet'><script path='x'/></interface>", "interface-type:4 " D "interface/@type=\"ethernet\"" },
    { "<interface type='vdpa'/>", "interface-type:4 " D "interface/@type=\"vdpa\"" },
    { "<interface type='vhostuser'/>", "interface-type:4 " D "interface/@type=\"vhostuser\"" },
    { "<interface type='mcast'/>", "interface-type:4 " D "interface/@type=\"mcast\"" },
    { "<interface type='bridge'><script path='x'/></interface>", "interface-host:4 " D "interface/script/@path=\"x\"" },
    { "<interface type='bridge'><target dev='tap7'/></interface>", "interface-host:4 " D "interface/target/@dev=\"tap7\"" },
    { "<interface type='bridge'><backend tap='/dev/net/tun'/></interface>", "interface-host:4 " D "interface/backend/@tap=\"/dev/net/tun\"" },
    { "<interface type='network'><rom file='x.rom'/></interface>", "host-path:4 " D "interface/rom/@file=\"x.rom\"" },
    { "<interface type='network'><source dev='eth0'/></interface>", "host-source:4 " D "interface/source/@dev=\"eth0\"" },
  };
  assert_rows(rows, G_N_ELEMENTS(rows), true);
}

static void without_a_network_of_ours_no_interface_of_the_hosts(void **state)
{
  g_autofree char *xml = machine("", "<interface type='network'><source network='x'/></interface>");
  g_autofree char *found = findings_of(xml, NULL, &(LintPolicy){ 0 });
  assert_string_equal(found, "interface-network:4 " D "interface/@type=\"network\"");
}

static void every_finding_is_told(void **state)
{
  g_autofree char *xml = machine("<os><kernel>/boot/a</kernel></os><seclabel type='none'/>", "<shmem name='x'/><graphics type='sdl'/>");
  g_autofree char *found = findings_of(xml, NULL, &(LintPolicy){ 0 });
  assert_string_equal(found, "boot-file:2 /domain/os/kernel=\"/boot/a\", seclabel:2 /domain/seclabel, shared-memory:4 " D "shmem, "
                             "screen-type:4 " D "graphics/@type=\"sdl\"");
}

static void waivers(void **state)
{
  static const struct { const char *waived[4], *device, *findings; } rows[] = {
    { { "filesystem" }, "<filesystem><source dir='/etc'/></filesystem>", "" },
    { { "host-device" }, "<hostdev><source><address/></source></hostdev><shmem/>", "shared-memory:4 " D "shmem" },
    { { "emulator" }, "<emulator>/opt/qemu</emulator>", "" },
    { { "host-path" }, "<emulator>/opt/qemu</emulator>", "emulator:4 " D "emulator=\"/opt/qemu\"" },
    { { "disk-file" }, "<disk type='file' device='cdrom'><source file='/x'/></disk>", "" },
    { { "disk-shared" }, "<disk type='file'><source file='/x'/></disk>", "disk-file:4 " D "disk/source/@file=\"/x\"" },
    { { "screen-password" }, "<graphics type='vnc' passwd='x'/>", "screen-password:4 " D "graphics/@passwd" },
    { { "no-such-rule" }, "<shmem/>", "shared-memory:4 " D "shmem" },
    { { "interface-network" }, "<interface type='network'/><interface type='bridge'/>", "" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    const LintPolicy policy = { .waived = rows[i].waived };
    g_autofree char *xml = machine("", rows[i].device);
    g_autofree char *found = findings_of(xml, NULL, &policy);
    assert_string_equal(found, rows[i].findings);
  }
}

static void only_rules_that_may_be_waived(void **state)
{
  const char *good[] = { "host-path", "filesystem", NULL }, *unknown[] = { "host-path", "x", NULL }, *never[] = { "disk-system", NULL };
  g_autoptr(GError) err = NULL, second = NULL;
  assert_true(lint_waived_check(good, NULL));
  assert_true(lint_waived_check(NULL, NULL));
  assert_false(lint_waived_check(unknown, &err));
  assert_string_equal(err->message, "there is no rule \"x\"");
  assert_false(lint_waived_check(never, &second));
  assert_string_equal(second->message, "rule \"disk-system\" can't be waived");
}

static void rules_have_texts_and_names(void **state)
{
  for (int i = 0; i < N_LINT_RULES; i++) {
    LintRule rule = (LintRule)i;
    assert_int_equal(lint_rule_find(lint_rule_name(rule)), rule);
    assert_true(strlen(lint_rule_text(rule, LANG_EN)) > 10);
    assert_true(strlen(lint_rule_text(rule, LANG_KO)) > 10);
    assert_string_not_equal(lint_rule_text(rule, LANG_EN), lint_rule_text(rule, LANG_KO));
  }
  assert_int_equal(lint_rule_find("x"), N_LINT_RULES);
}

/* ── domains ─────────────────────────────────────────────────────────────── */

#define OURS "<disk type='file'><driver type='qcow2'/><source file='/srv/sarang/d'/></disk>"
#define SCREEN "<graphics type='vnc' listen='127.0.0.1' passwd=''/>"

static void a_domain_holds_what_was_decided(void **state)
{
  static const Row rows[] = {
    { OURS SCREEN "<interface type='bridge'><source bridge='br0'/></interface>", "" },
    { OURS "<disk type='file'><source file='/srv/sarang/seed'/></disk>", "" },
    { OURS "<disk type='file'><source file='/srv/sarang/other'/></disk>", "disk-shared" },
    { "<disk type='file'><driver type='raw'/><source file='/srv/sarang/d'/></disk>", "disk-system" },
    { "<disk type='file'><driver type='qcow2'/><source file='/srv/sarang/e'/></disk>", "disk-system" },
    { "<disk type='file'><driver type='qcow2'/><source file='/srv/sarang/d'/><source file='/srv/sarang/e'/></disk>", "disk-system" },
    { "<disk type='file'><driver type='qcow2'/><source file='/srv/sarang/d'/><backingStore><source file='/etc/x'/></backingStore></disk>", "disk-system" },
    { OURS "<graphics type='vnc' listen='0.0.0.0'/>", "screen-listen" },
    { OURS "<graphics type='vnc'/>", "screen-listen" },
    { OURS "<graphics type='vnc' listen='127.0.0.1'><listen type='address' address='0.0.0.0'/></graphics>", "screen-listen" },
    { OURS "<graphics type='vnc' listen='127.0.0.1' socket='/srv/sarang/s'/>", "screen-listen" },
    { OURS "<graphics type='spice' listen='::1'/>", "screen-listen" },
    { OURS "<interface type='bridge'><source bridge='br1'/></interface>", "interface-network" },
    { OURS "<interface type='network'><source network='br0'/></interface>", "interface-network" },
    { OURS SCREEN "</devices><devices>" "<graphics type='vnc' listen='0.0.0.0'/>", "screen-listen" },
  };
  const LintPolicy policy = { .directories = storage };
  const LintTarget target = { "/srv/sarang/d", "qcow2", "/srv/sarang/seed", "bridge:br0", "127.0.0.1" };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *xml = g_strdup_printf("<domain type='kvm'><devices>%s</devices></domain>", rows[i].xml);
    g_autoptr(xmlDoc) doc = NULL;
    g_autoptr(GError) err = NULL;
    assert_true(xml_parse(xml, strlen(xml), &doc, NULL));
    assert_int_equal(lint_domain(doc, &policy, &target, &err), !*rows[i].findings);
    if (!*rows[i].findings)
      continue;
    assert_string_equal(error_arg(err, "rule"), rows[i].findings);
    broken[lint_rule_find(rows[i].findings)] = true;
  }
}

static void a_type_nobody_knows(void **state)
{
  g_autofree char *found = findings_of("<domain type='lxc'><os><init>/sbin/init</init></os></domain>", NULL, &(LintPolicy){ 0 });
  assert_string_equal(found, "domain-type:1 /domain/@type=\"lxc\", host-path:1 /domain/os/init=\"/sbin/init\"");
}

/* ── the whole check of a file ───────────────────────────────────────────── */

static void assert_check(const char *text, const char *wanted)
{
  g_autoptr(DomainSchema) schema = NULL;
  assert_true(domain_schema_open(DOMAIN_SCHEMA_PATH, &schema, NULL));
  g_autoptr(GPtrArray) findings = template_check(text, strlen(text), &(LintPolicy){ 0 }, schema, LIMIT_US);
  GString *told = g_string_new(NULL);
  for (guint i = 0; i < findings->len; i++) {
    const TemplateFinding *f = findings->pdata[i];
    g_string_append_printf(told, "%d %s: %s\n", f->line, f->rule, f->text[LANG_EN]);
    assert_non_null(f->text[LANG_KO]);
  }
  assert_string_equal(told->str, wanted);
  g_string_free(told, TRUE);
}

static void a_file_is_checked_as_a_whole(void **state)
{
  assert_check("<domain>\n<!DOCTYPE x></domain>", "2 xml-doctype: a DOCTYPE or entity declaration is not taken\n");
  assert_check("<domain type='kvm'>\n<name>a</name>\n<memory>1</memory><os><type>hvm</type></os>\n<devices>\n<shmem name='x'/></devices></domain>",
               "1 template-metadata: <metadata> holds no <template> of namespace urn:sarang:template:1\n"
               "5 policy:shared-memory: /domain/devices/shmem: no memory is shared between guests or with the host\n");
  g_autofree char *good = NULL;
  assert_true(g_file_get_contents("templates/windows-desktop.xml", &good, NULL, NULL));
  assert_check(good, "");
}

static void the_schema_has_a_say(void **state)
{
  g_autofree char *good = NULL;
  assert_true(g_file_get_contents("templates/micro.xml", &good, NULL, NULL));
  g_autoptr(GString) bad = g_string_new(good);
  assert_int_equal(g_string_replace(bad, "<vcpu>1</vcpu>", "<vcpu>one</vcpu>", 1), 1);
  g_autoptr(DomainSchema) schema = NULL;
  assert_true(domain_schema_open(DOMAIN_SCHEMA_PATH, &schema, NULL));
  g_autoptr(GPtrArray) findings = template_check(bad->str, bad->len, &(LintPolicy){ 0 }, schema, LIMIT_US);
  assert_true(findings->len >= 1);
  for (guint i = 0; i < findings->len; i++)
    assert_string_equal(((TemplateFinding *)findings->pdata[i])->rule, "schema");
}

/* As hostile as can be within what the gate lets through: libxml2 compares each of some 60,000 elements with each. */
static char *entangled(size_t bytes)
{
  GString *text = g_string_new("<domain type='kvm'>\n<name>a</name><memory>1</memory><os><type>hvm</type></os><metadata>");
  while (text->len < bytes)
    g_string_append(text, "<a xmlns='u:x'/>");
  g_string_append(text, "</metadata></domain>");
  return g_string_free(text, FALSE);
}

static bool no_child_is_left(void) { return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD; }

static void the_schema_has_no_time_without_end(void **state)
{
  g_autofree char *text = entangled(XML_MAX_BYTES - 100);
  g_autoptr(DomainSchema) schema = NULL;
  assert_true(domain_schema_open(DOMAIN_SCHEMA_PATH, &schema, NULL));
  g_autoptr(GPtrArray) findings = template_check(text, strlen(text), &(LintPolicy){ 0 }, schema, G_USEC_PER_SEC / 4); /* to its end takes 9 s */
  const TemplateFinding *f = findings->pdata[0];
  assert_string_equal(f->rule, "schema-limit");
  assert_string_equal(f->text[LANG_EN], "libvirt's schema came to no end with it within 0.25 s");
  assert_non_null(strstr(f->text[LANG_KO], "0.25 s"));
  assert_string_equal(f->fix[LANG_EN], "take out what the machine does not need; virt-xml-validate FILE domain looks without a limit");
  assert_true(no_child_is_left());
}

/* CPU of this thread: what a busy machine or a sanitizer makes slow is not what is asked. */
static int64_t lint_cpu_us(size_t bytes)
{
  g_autofree char *text = entangled(bytes);
  struct timespec begun, ended;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begun);
  g_autoptr(GPtrArray) findings = template_check(text, strlen(text), &(LintPolicy){ 0 }, NULL, 0);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
  assert_true(findings->len > 0);
  return (ended.tv_sec - begun.tv_sec) * G_USEC_PER_SEC + (ended.tv_nsec - begun.tv_nsec) / 1000;
}

/* The controller asks no schema; it looks at each element, not at each with each: sixteen times the file would take 256 times as long. */
static void what_the_controller_looks_at_grows_with_the_file(void **state)
{
  int64_t small_us = lint_cpu_us(XML_MAX_BYTES / 16), large_us = lint_cpu_us(XML_MAX_BYTES - 100);
  assert_true(large_us < 80 * MAX(small_us, 1000));
}

static void a_schema_that_is_not_there(void **state)
{
  g_autoptr(GError) err = NULL, second = NULL;
  DomainSchema *schema = NULL;
  assert_false(domain_schema_open("build/none.rng", &schema, &err));
  assert_string_equal(err->message, "cannot read \"build/none.rng\": no such file; install libvirt's schemas");
  assert_false(domain_schema_open("templates/micro.xml", &schema, &second));
  assert_true(error_is(second, REASON_IO));
  assert_null(schema);
}

/* A rule that nothing breaks is a rule nobody tested. */
static void every_rule_was_broken_by_a_test_above(void **state)
{
  for (int rule = 0; rule < N_LINT_RULES; rule++)
    if (!broken[rule])
      fail_msg("no test breaks %s", lint_rule_name((LintRule)rule));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_stands_under_the_domain),
    cmocka_unit_test(disks),
    cmocka_unit_test(the_system_disk_is_the_controllers),
    cmocka_unit_test(devices),
    cmocka_unit_test(interfaces),
    cmocka_unit_test(without_a_network_of_ours_no_interface_of_the_hosts),
    cmocka_unit_test(every_finding_is_told),
    cmocka_unit_test(waivers),
    cmocka_unit_test(only_rules_that_may_be_waived),
    cmocka_unit_test(rules_have_texts_and_names),
    cmocka_unit_test(a_domain_holds_what_was_decided),
    cmocka_unit_test(a_type_nobody_knows),
    cmocka_unit_test(a_file_is_checked_as_a_whole),
    cmocka_unit_test(the_schema_has_a_say),
    cmocka_unit_test(the_schema_has_no_time_without_end),
    cmocka_unit_test(what_the_controller_looks_at_grows_with_the_file),
    cmocka_unit_test(a_schema_that_is_not_there),
    cmocka_unit_test(every_rule_was_broken_by_a_test_above),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

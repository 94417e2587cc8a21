/* A GPU desktop by plain libvirt calls: what any program must at least do to bring one up. A mediated device by the node device driver, then the domain
 * that has it, on one connection that is open already.
 *   gpu_plain URI CARD TYPE XML
 * CARD is the node device of a card (pci_0000_00_0a_0); XML a file with the domain, in which @NAME@, @UUID@ and @MDEV@ stand for what differs. Prints one
 * JSON line, {"seconds":…}: from the first call until the domain runs. Then it takes both away. */
#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>

static G_GNUC_NORETURN void fail(const char *what)
{
  fprintf(stderr, "gpu_plain: %s: %s\n", what, virGetLastErrorMessage());
  exit(1);
}

static char *domain_xml(const char *file, const char *mdev)
{
  g_autofree char *text = NULL, *uuid = g_uuid_string_random();
  if (!g_file_get_contents(file, &text, NULL, NULL))
    fail(file);
  g_autoptr(GString) xml = g_string_new(text);
  g_string_replace(xml, "@NAME@", "plain", 0);
  g_string_replace(xml, "@UUID@", uuid, 0);
  g_string_replace(xml, "@MDEV@", mdev, 0);
  return g_string_free(g_steal_pointer(&xml), FALSE);
}

static void quiet(void *data, virErrorPtr error) {}

int main(int argc, char **argv)
{
  if (argc != 5)
    return 2;
  virSetErrorFunc(NULL, quiet);
  virConnectPtr conn = virConnectOpen(argv[1]);
  if (!conn)
    fail("connect");
  g_autofree char *mdev = g_uuid_string_random(), *xml = domain_xml(argv[4], mdev);
  g_autofree char *device_xml = g_strdup_printf("<device><parent>%s</parent><capability type='mdev'><type id='%s'/><uuid>%s</uuid></capability></device>",
                                                argv[2], argv[3], mdev);
  gint64 start = g_get_monotonic_time();
  virNodeDevicePtr device = virNodeDeviceCreateXML(conn, device_xml, 0);
  if (!device)
    fail("node device");
  virDomainPtr domain = virDomainCreateXML(conn, xml, 0);
  int state = -1;
  if (!domain || virDomainGetState(domain, &state, NULL, 0) < 0 || state != VIR_DOMAIN_RUNNING)
    fail("domain");
  printf("{\"seconds\": %.4f}\n", (double)(g_get_monotonic_time() - start) / 1e6);
  if (virDomainDestroy(domain) < 0 || virNodeDeviceDestroy(device) < 0)
    fail("take away");
  virDomainFree(domain);
  virNodeDeviceFree(device);
  virConnectClose(conn);
  return 0;
}

/* Desktops by plain libvirt calls: what any program must at least do to bring them up. For each an overlay, a definition, a start; one
 * connection a host, THREADS callers on it, hosts in turn.
 *   provision_plain up|down N THREADS DIRECTORY IMAGE BYTES (XML URI)...
 * XML is a file with a host's domain in which @NAME@, @UUID@ and @DISK@ stand for what differs; IMAGE a raw image of BYTES in DIRECTORY. `up`
 * prints one JSON line, {"seconds":…}: from the first call to the last one's return, connections being open before; `down` removes it all. */
#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *directory, *image, *bytes;
  int n, hosts;
  bool up;
} Job;

typedef struct {
  const Job *job;
  char *xml;
  virConnectPtr conn;
  virStoragePoolPtr pool;
  gint next; /* its desktops are next, next + hosts … */
} Host;

static G_GNUC_NORETURN void fail(const char *what, const char *name)
{
  fprintf(stderr, "provision_plain: %s %s: %s\n", what, name, virGetLastErrorMessage());
  exit(1);
}

static char *fill(const Host *host, int number)
{
  g_autoptr(GString) xml = g_string_new(host->xml);
  g_autofree char *name = g_strdup_printf("plain-%d", number), *uuid = g_uuid_string_random();
  g_autofree char *disk = g_strdup_printf("%s/plain-%d.qcow2", host->job->directory, number);
  g_string_replace(xml, "@NAME@", name, 0);
  g_string_replace(xml, "@UUID@", uuid, 0);
  g_string_replace(xml, "@DISK@", disk, 0);
  return g_string_free(g_steal_pointer(&xml), FALSE);
}

static void make(Host *host, int number)
{
  const Job *job = host->job;
  g_autofree char *volume_xml = g_strdup_printf("<volume><name>plain-%d.qcow2</name><capacity>%s</capacity><target><format type='qcow2'/></target>"
                                                "<backingStore><path>%s/%s</path><format type='raw'/></backingStore></volume>",
                                                number, job->bytes, job->directory, job->image);
  virStorageVolPtr volume = virStorageVolCreateXML(host->pool, volume_xml, 0);
  if (!volume)
    fail("volume on", virConnectGetURI(host->conn));
  virStorageVolFree(volume);
  g_autofree char *xml = fill(host, number);
  virDomainPtr domain = virDomainDefineXML(host->conn, xml);
  if (!domain || virDomainCreate(domain) < 0)
    fail("domain on", virConnectGetURI(host->conn));
  virDomainFree(domain);
}

static void undo(Host *host, int number)
{
  g_autofree char *name = g_strdup_printf("plain-%d", number), *file = g_strconcat(name, ".qcow2", NULL);
  virDomainPtr domain = virDomainLookupByName(host->conn, name);
  virStorageVolPtr volume = virStorageVolLookupByName(host->pool, file);
  if (!domain || virDomainDestroy(domain) < 0 || virDomainUndefine(domain) < 0 || !volume || virStorageVolDelete(volume, 0) < 0)
    fail("remove", name);
  virStorageVolFree(volume);
  virDomainFree(domain);
}

static void *caller(void *data)
{
  Host *host = data;
  for (int i; (i = g_atomic_int_add(&host->next, host->job->hosts)) < host->job->n;)
    (host->job->up ? make : undo)(host, i);
  return NULL;
}

static void host_open(Host *host, const char *xml_file, const char *uri)
{
  if (!g_file_get_contents(xml_file, &host->xml, NULL, NULL))
    fail("read", xml_file);
  host->conn = virConnectOpen(uri);
  if (!host->conn)
    fail("connect to", uri);
  host->pool = virStoragePoolLookupByTargetPath(host->conn, host->job->directory);
  g_autofree char *xml = g_strdup_printf("<pool type='dir'><name>plain</name><target><path>%s</path></target></pool>", host->job->directory);
  if (!host->pool)
    host->pool = virStoragePoolCreateXML(host->conn, xml, 0);
  if (!host->pool || virStoragePoolRefresh(host->pool, 0) < 0)
    fail("pool", xml);
}

static void host_close(Host *host)
{
  g_free(host->xml);
  virStoragePoolFree(host->pool);
  virConnectClose(host->conn);
}

static double run(Host *hosts, int n_hosts, int n_threads)
{
  g_autofree pthread_t *threads = g_new(pthread_t, n_hosts * n_threads);
  gint64 start = g_get_monotonic_time();
  for (int i = 0; i < n_hosts * n_threads; i++)
    pthread_create(&threads[i], NULL, caller, &hosts[i % n_hosts]);
  for (int i = 0; i < n_hosts * n_threads; i++)
    pthread_join(threads[i], NULL);
  return (g_get_monotonic_time() - start) / 1e6;
}

static void quiet(void *data, virErrorPtr error) {}

int main(int argc, char **argv)
{
  enum { FIRST = 7 };
  if (argc < FIRST + 2 || (argc - FIRST) % 2) {
    fprintf(stderr, "usage: provision_plain up|down N THREADS DIRECTORY IMAGE BYTES (XML URI)...\n");
    return 2;
  }
  virSetErrorFunc(NULL, quiet);
  Job job = { .directory = argv[4], .image = argv[5], .bytes = argv[6], .n = atoi(argv[2]), .hosts = (argc - FIRST) / 2, .up = !strcmp(argv[1], "up") };
  g_autofree Host *hosts = g_new0(Host, job.hosts);
  for (int i = 0; i < job.hosts; i++) {
    hosts[i] = (Host){ .job = &job, .next = i };
    host_open(&hosts[i], argv[FIRST + 2 * i], argv[FIRST + 2 * i + 1]);
  }
  printf("{\"seconds\":%.4f}\n", run(hosts, job.hosts, atoi(argv[3])));
  for (int i = 0; i < job.hosts; i++)
    host_close(&hosts[i]);
  return 0;
}

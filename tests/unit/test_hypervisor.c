/* The hypervisor family without a host: the contract over fake and libvirt's test driver, URIs, and how the fake is told to
 * misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <malloc.h>

#include "drivers/hypervisor/fake.h"
#include "drivers/hypervisor/knock.h"
#include "tests/unit/hypervisor_contract.h"

static const char controller[] = "11111111-2222-4333-8444-555555555555";

/* ── builders ───────────────────────────────────────────────────────────── */

static char *build(const ContractDomain *domain, const void *type)
{
  static const char agent[] = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";
  g_autofree char *metadata = contract_metadata(domain);
  return g_strdup_printf("<domain type='%s'><name>%s</name><uuid>%s</uuid>%s<memory unit='MiB'>64</memory><vcpu>2</vcpu>"
                         "<os><type>hvm</type></os><devices><interface type='network'><source network='default'/></interface>"
                         "<serial type='pty'/>%s%s</devices></domain>",
                         (const char *)type, domain->name, domain->uuid, metadata,
                         domain->with_console ? "<graphics type='vnc' port='-1' autoport='yes' passwd=''/>" : "",
                         domain->with_agent ? agent : "");
}

/* ── URIs ───────────────────────────────────────────────────────────────── */

static void uris_are_taken_or_refused_for_a_reason(void **state)
{
  static const struct { const char *uri; bool plain; const char *wrong; } rows[] = {
    { "qemu:///system", false, NULL },
    { "qemu:///session", false, NULL },
    { "qemu:///system?socket=/run/other/libvirt-sock", false, NULL },
    { "qemu+unix:///system?socket=/run/other/libvirt-sock", false, NULL },
    { "qemu+tls://host1/system", false, NULL },
    { "qemu+tls://host1:16514/system?pkipath=/etc/sarang/pki", false, NULL },
    { "qemu+tcp://10.77.0.11/system", true, NULL },
    { "xen:///", false, NULL },
    { "xen:///system", false, NULL },
    { "test:///default", false, NULL },
    { "fake:h1", false, NULL },
    { "fake:h1?boot_ms=50&cpus=8", false, NULL },
    { "qemu+tcp://10.77.0.11/system", false, "plain TCP" },
    { "qemu+ssh://root@host1/system", false, "no driver" },
    { "esx://host/", false, "no driver" },
    { "qemu://host1/system", false, "stays on the machine" },
    { "qemu+tls:///system", false, "host is missing" },
    { "qemu:///embed?root=/tmp/x", false, "path" },
    { "qemu:///system?command=/bin/sh", false, "parameter is not allowed" },
    { "qemu:///system?socket=/a;command=/bin/sh", false, "parameter is not allowed" },
    { "qemu+tls://h/system?no_verify=1", false, "parameter is not allowed" },
    { "qemu+tls://h/system?pkipath=relative", false, "absolute path" },
    { "qemu+tls://u:secret@h/system", false, "password" },
    { "qemu:///system#x", false, "fragment" },
    { "qemu:///sys tem", false, "character" },
    { "qemu:///system\n", false, "character" },
    { "test:///", false, "path" },
    { "fake:", false, "name" },
    { "nonsense", false, "not a URI" },
    { "", false, "not a URI" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    GError *err = NULL;
    bool ok = hypervisor_uri_check(rows[i].uri, rows[i].plain, &err);
    if (ok != !rows[i].wrong)
      fail_msg("%s: %s", rows[i].uri, ok ? "taken" : err->message);
    if (!ok && (!error_is(err, REASON_BAD_URI) || !strstr(err->message, rows[i].wrong) || strstr(err->message, "secret")))
      fail_msg("%s: %s", rows[i].uri, err->message);
    g_clear_error(&err);
  }
}

/* What an administrator elsewhere may not have root open at the controller. */
static void uris_that_name_what_is_the_controllers(void **state)
{
  static const char *const private[] = {
    "fake:h1", "fake:h1?state=/etc/passwd", "FAKE:h1", "test:///etc/shadow", "test:////default", "test:///default/x", "test:///default?x=1",
    "qemu:///system?socket=/run/docker.sock", "qemu+unix:///session?socket=/a", "qemu+tls://h/system?pkipath=/root", "xen:///?socket=/a", "",
  };
  static const char *const open[] = {
    "qemu:///system", "qemu:///session", "qemu+unix:///system", "qemu+tls://host1:16514/system", "qemu+tcp://10.77.0.11/system", "xen:///",
    "xen+tls://h/", "test:///default",
  };
  for (size_t i = 0; i < G_N_ELEMENTS(private); i++)
    if (!hypervisor_uri_is_private(private[i]))
      fail_msg("%s is open to callers elsewhere", private[i]);
  for (size_t i = 0; i < G_N_ELEMENTS(open); i++)
    if (hypervisor_uri_is_private(open[i]))
      fail_msg("%s is kept from callers elsewhere", open[i]);
}

/* A host that says where its screens are would say where the gateway connects to. */
static void where_screens_are_is_not_the_hosts_to_say(void **state)
{
  static const struct { const char *uri, *told, *address; } rows[] = {
    { "qemu:///system", NULL, "127.0.0.1" }, { "xen:///", NULL, "127.0.0.1" }, { "fake:h1", NULL, "127.0.0.1" },
    { "qemu:///system", "10.0.0.1", "10.0.0.1" }, { "qemu+tls://h1/system", "10.0.0.1", "10.0.0.1" },
    { "qemu+tls://192.0.2.7:16514/system", NULL, "192.0.2.7" }, { "xen+tls://[2001:db8::7]/", NULL, "2001:db8::7" },
    { "qemu+tls://h1/system", NULL, NULL }, { "xen+tls://h1.example/", NULL, NULL },
    { "qemu+tls://192.0.2.7/system", "h1", NULL }, { "qemu:///system", "localhost", NULL }, { "qemu:///system", "fe80::1%eth0", NULL },
    { "qemu+tls://h1/system", "2001:db8::7", "2001:db8::7" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    g_autofree char *address = hypervisor_console_address(rows[i].uri, rows[i].told, &err);
    if (g_strcmp0(address, rows[i].address) || !address != (err && error_is(err, REASON_CONSOLE_ADDRESS)))
      fail_msg("%s, told %s: %s", rows[i].uri, rows[i].told ? rows[i].told : "nothing", address ? address : err ? err->message : "nothing");
  }
}

/* libvirt quotes the line that it could not read. */
static void a_file_that_is_no_xml_is_not_told(void **state)
{
  static const char *const files[] = { "root:$y$secret:1::\n", "<node>$y$secret</nod>", "<x>$y$secret</x>", "<node><cpu><mhz>$y$secret</mhz></cpu></node>" };
  g_autofree char *path = NULL;
  int fd = g_file_open_tmp("sarang-uri-XXXXXX", &path, NULL);
  assert_true(fd >= 0);
  close(fd);
  g_autofree char *uri = g_strconcat("test://", path, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
    g_autoptr(GError) err = NULL;
    HypervisorOptions options = { .uri = uri, .host = "h1", .controller = controller };
    Hypervisor *hypervisor = NULL;
    assert_true(g_file_set_contents(path, files[i], -1, NULL));
    if (hypervisor_open(&options, &hypervisor, &err))
      hypervisor_close(hypervisor); /* it took what it understood */
    else if (!error_is(err, REASON_HOST_UNREACHABLE) || strstr(err->message, "secret"))
      fail_msg("%s", err->message);
    assert_true(i || err);
  }
  assert_int_equal(unlink(path), 0);
}

/* ── the fake is told what to do ────────────────────────────────────────── */

static Hypervisor *open_fake(const char *uri, GError **err)
{
  HypervisorOptions options = { .uri = uri, .controller = controller };
  Hypervisor *hypervisor = NULL;
  hypervisor_open(&options, &hypervisor, err);
  return hypervisor;
}

static void put_domain(Hypervisor *hypervisor, const char *uuid, const char *name)
{
  ContractDomain domain = { uuid, name, controller, 1, true, true };
  g_autofree char *xml = build(&domain, "kvm");
  assert_true(hypervisor_define(hypervisor, xml, false, NULL));
}

static void fake_obeys_faults(void **state)
{
  g_autoptr(GError) err = NULL;
  Hypervisor *hypervisor = open_fake("fake:faults", &err);
  const char *uuid = "00000000-0000-4000-8000-000000000001";
  put_domain(hypervisor, uuid, "d1");
  assert_true(fake_do("faults", "fail start 2 disk-in-use", NULL));
  for (int i = 0; i < 2; i++) {
    assert_false(hypervisor_power(hypervisor, uuid, DOMAIN_START, &err));
    assert_true(error_is(err, REASON_DISK_IN_USE));
    g_clear_error(&err);
  }
  assert_true(hypervisor_power(hypervisor, uuid, DOMAIN_START, &err));
  assert_true(fake_do("faults", "die", NULL));
  assert_false(hypervisor_power(hypervisor, uuid, DOMAIN_START, &err));
  assert_true(error_is(err, REASON_HOST_UNREACHABLE));
  g_clear_error(&err);
  assert_null(open_fake("fake:faults", &err));
  assert_true(error_is(err, REASON_HOST_UNREACHABLE));
  g_clear_error(&err);
  hypervisor_close(hypervisor);
  assert_true(fake_do("faults", "live", NULL));
  hypervisor = open_fake("fake:faults", &err);
  g_autoptr(DomainFacts) facts = NULL;
  assert_true(hypervisor_look(hypervisor, uuid, &facts, &err));
  assert_int_equal(facts->state, DOMAIN_OFF); /* the power was out; what was defined still is */
  hypervisor_close(hypervisor);
}

static void fake_tells_the_machine_it_was_told_to_be(void **state)
{
  HostFacts facts = { 0 };
  Hypervisor *hypervisor = open_fake("fake:machine?cpus=7&memory_mib=1000&cells=2&huge_mib=301&page_kib=1048576&cpu=EPYC&features=aes,avx2", NULL);
  assert_true(hypervisor_host(hypervisor, &facts, NULL));
  assert_string_equal(facts.cells, "[{\"id\":0,\"cpus\":\"0-2\",\"memory_mib\":500,\"huge_mib\":150},"
                                   "{\"id\":1,\"cpus\":\"3-6\",\"memory_mib\":500,\"huge_mib\":151}]");
  assert_int_equal(facts.huge_mib, 301);
  assert_int_equal(facts.page_kib, 1048576);
  assert_string_equal(facts.cpu_model, "EPYC");
  assert_string_equal(facts.cpu_features, "aes avx2");
  host_facts_clear(&facts);
  hypervisor_close(hypervisor);
  assert_null(open_fake("fake:machine2?cells=9", NULL));
}

static void fake_refuses_what_it_does_not_know(void **state)
{
  static const char *const bad[] = { "", "explode", "fail start", "fail no-such-call 1 timeout", "fail start 1 no-such-reason",
                                     "power nobody on", "hang list x", "deaf nobody on" };
  for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
    assert_false(fake_do("odd", bad[i], NULL));
  GError *err = NULL;
  assert_null(open_fake("fake:odd2?no_such=1", &err));
  assert_true(error_is(err, REASON_BAD_URI));
  g_clear_error(&err);
}

static void fake_host_survives_a_restart(void **state)
{
  g_autofree char *dir = g_dir_make_tmp("sarang-fake-XXXXXX", NULL);
  g_autofree char *path = g_build_filename(dir, "state", NULL), *uri = g_strdup_printf("fake:kept?state=%s", path);
  const char *uuid = "00000000-0000-4000-8000-000000000002", *gone = "00000000-0000-4000-8000-000000000003";
  for (int run = 0; run < 3; run++) {
    GError *err = NULL;
    Hypervisor *hypervisor = open_fake(uri, &err);
    assert_null(err);
    g_autoptr(GPtrArray) domains = NULL;
    if (run == 0) {
      put_domain(hypervisor, uuid, "kept");
      put_domain(hypervisor, gone, "gone");
      assert_true(hypervisor_power(hypervisor, uuid, DOMAIN_START, NULL));
      assert_true(hypervisor_undefine(hypervisor, gone, NULL));
      assert_true(fake_do("kept", "account kept jihye", NULL));
    }
    assert_true(hypervisor_list(hypervisor, &domains, &err));
    assert_int_equal(domains->len, 1);
    const DomainFacts *facts = domains->pdata[0];
    assert_string_equal(facts->uuid, uuid);
    assert_int_equal(facts->state, DOMAIN_ON);
    assert_true(facts->owner.ours);
    assert_string_equal(facts->owner.desktop, "d-17");
    hypervisor_close(hypervisor);
    fake_forget(); /* as the end of the process would */
  }
  g_autofree char *text = NULL;
  assert_true(g_file_get_contents(path, &text, NULL, NULL));
  assert_non_null(strstr(text, "account\t00000000-0000-4000-8000-000000000002\tjihye"));
  unlink(path);
  rmdir(dir);
}

static void fake_obeys_its_control_file(void **state)
{
  g_autofree char *dir = g_dir_make_tmp("sarang-fake-XXXXXX", NULL);
  g_autofree char *path = g_build_filename(dir, "control", NULL), *uri = g_strdup_printf("fake:told?control=%s", path);
  Hypervisor *hypervisor = open_fake(uri, NULL);
  assert_true(g_file_set_contents(path, "foreign stranger\nfail list 1 time", -1, NULL));
  g_autoptr(GPtrArray) domains = NULL;
  assert_true(hypervisor_list(hypervisor, &domains, NULL)); /* half a line is not yet one */
  assert_int_equal(domains->len, 1);
  assert_false(((DomainFacts *)domains->pdata[0])->owner.ours);
  FILE *file = fopen(path, "a");
  fputs("out\n", file);
  fclose(file);
  GError *err = NULL;
  GPtrArray *none;
  assert_false(hypervisor_list(hypervisor, &none, &err));
  assert_true(error_is(err, REASON_TIMEOUT));
  g_error_free(err);
  hypervisor_close(hypervisor);
  unlink(path);
  rmdir(dir);
}

static void fake_domain_costs_at_most_300_bytes(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* the sanitizers' allocators tell nothing of ours */
#endif
  enum { DOMAINS = 10000 };
  Hypervisor *hypervisor = open_fake("fake:big", NULL);
  struct mallinfo2 before = mallinfo2();
  for (int i = 0; i < DOMAINS; i++) {
    char uuid[UUID_TEXT_BYTES], name[32];
    snprintf(uuid, sizeof uuid, "00000000-0000-4000-8000-%012d", i);
    snprintf(name, sizeof name, "sarang-d-%d", i);
    put_domain(hypervisor, uuid, name);
    assert_true(hypervisor_power(hypervisor, uuid, DOMAIN_START, NULL));
  }
  struct mallinfo2 after = mallinfo2();
  size_t each = (after.uordblks - before.uordblks) / DOMAINS;
  print_message("fake: %zu bytes a running domain\n", each);
  assert_true(each <= 300);
  hypervisor_close(hypervisor);
}

/* ── a host that takes no connections ─────────────────────────────────────── */

static int listen_at(struct sockaddr_in *at)
{
  socklen_t n = sizeof *at;
  *at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)at, sizeof *at) && !listen(fd, 0) && !getsockname(fd, (struct sockaddr *)at, &n));
  return fd;
}

/* With nobody who accepts, its queue is full after some: then the kernel drops what comes, as a host without power does. */
static void fill_queue(const struct sockaddr_in *at, int *fds, int n)
{
  for (int i = 0; i < n; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fds[i] >= 0);
    connect(fds[i], (const struct sockaddr *)at, sizeof *at);
  }
}

static void a_try_into_nothing_held_its_thread_for_minutes(void **state)
{
  struct sockaddr_in at;
  int listening = listen_at(&at), fds[8];
  fill_queue(&at, fds, G_N_ELEMENTS(fds));
  g_autofree char *uri = g_strdup_printf("qemu+tcp://127.0.0.1:%d/system", ntohs(at.sin_port));
  HypervisorOptions options = { .uri = uri, .host = "h1", .controller = controller, .allow_plain_tcp = true, .knock = true };
  Hypervisor *hypervisor = NULL;
  g_autoptr(GError) err = NULL;
  int64_t begin_us = g_get_monotonic_time();
  assert_false(hypervisor_open(&options, &hypervisor, &err));
  assert_true(error_is(err, REASON_HOST_UNREACHABLE));
  assert_in_range(g_get_monotonic_time() - begin_us, 0, (KNOCK_MS + 1500) * 1000);
  for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
    close(fds[i]);
  close(listening);
}

static void only_tcp_ports_are_knocked_at(void **state)
{
  struct sockaddr_in at;
  close(listen_at(&at)); /* nobody is there any more */
  const struct { const char *way; bool opens; } rows[] = { { "qemu+tcp", false }, { "qemu+tls", false }, { "qemu+unix", true } };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *uri = g_strdup_printf("%s://127.0.0.1:%d/system", rows[i].way, ntohs(at.sin_port));
    g_autoptr(GError) err = NULL;
    if (knock(uri, "h1", &err) != rows[i].opens)
      fail_msg("%s", uri);
    assert_int_equal(rows[i].opens, !error_is(err, REASON_HOST_UNREACHABLE));
  }
  assert_true(knock("qemu:///system", "h1", NULL));
  assert_true(knock("test:///default", "h1", NULL));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(uris_are_taken_or_refused_for_a_reason),
    cmocka_unit_test(uris_that_name_what_is_the_controllers),
    cmocka_unit_test(where_screens_are_is_not_the_hosts_to_say),
    cmocka_unit_test(a_file_that_is_no_xml_is_not_told),
    cmocka_unit_test(fake_obeys_faults),
    cmocka_unit_test(fake_tells_the_machine_it_was_told_to_be),
    cmocka_unit_test(fake_refuses_what_it_does_not_know),
    cmocka_unit_test(fake_host_survives_a_restart),
    cmocka_unit_test(fake_obeys_its_control_file),
    cmocka_unit_test(fake_domain_costs_at_most_300_bytes),
    cmocka_unit_test(a_try_into_nothing_held_its_thread_for_minutes),
    cmocka_unit_test(only_tcp_ports_are_knocked_at),
  };
  Contract on_fake = { .uri = "fake:contract?cells=3&huge_mib=100", .has_agent_guest = true, .xml = build, .data = "kvm" };
  Contract on_test = { .uri = "test:///default", .gives_address = true, .xml = build, .data = "test" };
  int failed = contract_run(&on_fake) + contract_run(&on_test) + cmocka_run_group_tests(tests, NULL, NULL);
  fake_forget();
  return failed;
}

/* What hosts tell of domains: who owns one decides whether it may be removed, so nothing in the XML may make it look ours. */
#include "drivers/hypervisor/domain_xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define CONTROLLER "9e2c5b0e-5d56-4a3b-9f0e-1c2d3e4f5a6b"
#define OWNER(xmlns) "<o:owner xmlns:o='" xmlns "' controller='" CONTROLLER "' desktop='d-7' generation='3'/>"
#define DOMAIN(metadata, devices) \
  "<domain type='kvm'><name>sarang-d-7</name><uuid>6F1C6F5E-6A1B-4B86-9D8E-0C1F9A6F2A11</uuid><memory unit='GiB'>2</memory><vcpu>4</vcpu>" \
  "<metadata>" metadata "</metadata><devices>" devices "</devices></domain>"

static char *repeat(const char *unit, int n)
{
  GString *text = g_string_new(NULL);
  while (n--)
    g_string_append(text, unit);
  return g_string_free(text, FALSE);
}

static void a_domain_is_read(void **state)
{
  DomainXml d;
  assert_true(domain_xml_parse(DOMAIN(OWNER(DOMAIN_OWNER_XMLNS),
                                      "<channel><target name='org.qemu.guest_agent.0' state='connected'/></channel><serial/>"
                                      "<graphics type='vnc' port='5901' listen='10.0.0.1'/><disk><source file='/srv/a'/></disk>"),
                               CONTROLLER, &d, NULL));
  assert_string_equal(d.uuid, "6f1c6f5e-6a1b-4b86-9d8e-0c1f9a6f2a11");
  assert_string_equal(d.name, "sarang-d-7");
  assert_true(d.owner.ours);
  assert_int_equal(d.owner.generation, 3);
  assert_int_equal(d.memory_mib, 2048);
  assert_int_equal(d.vcpus, 4);
  assert_int_equal(d.agent, AGENT_CONNECTED);
  assert_true(d.has_serial);
  assert_int_equal(d.consoles->len, 1);
  assert_int_equal(g_array_index(d.consoles, DomainConsole, 0).port, 5901);
  domain_xml_clear(&d);
}

static void only_our_mark_in_its_place_makes_it_ours(void **state)
{
  static const char *const rows[] = {
    DOMAIN("", ""),
    DOMAIN("<owner controller='" CONTROLLER "' desktop='d-7' generation='3'/>", ""),                      /* no namespace */
    DOMAIN(OWNER("http://example.com/xmlns"), ""),                                                        /* another's */
    DOMAIN(OWNER(DOMAIN_OWNER_XMLNS "/"), ""),
    DOMAIN("<x>" OWNER(DOMAIN_OWNER_XMLNS) "</x>", ""),                                                   /* deeper */
    DOMAIN("", OWNER(DOMAIN_OWNER_XMLNS)),                                                                /* elsewhere */
    DOMAIN("<!--" OWNER(DOMAIN_OWNER_XMLNS) "-->", ""),
    DOMAIN("<o:owner xmlns:o='" DOMAIN_OWNER_XMLNS "' controller='another' desktop='d-7' generation='3'/>", ""),
    DOMAIN("<o:owner xmlns:o='" DOMAIN_OWNER_XMLNS "' o:controller='" CONTROLLER "'/>", ""),
    DOMAIN("<o:Owner xmlns:o='" DOMAIN_OWNER_XMLNS "' controller='" CONTROLLER "'/>", ""),
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    DomainXml d;
    assert_true(domain_xml_parse(rows[i], CONTROLLER, &d, NULL));
    if (d.owner.ours)
      fail_msg("%s is ours", rows[i]);
    domain_xml_clear(&d);
  }
  DomainXml d;
  assert_true(domain_xml_parse(DOMAIN(OWNER(DOMAIN_OWNER_XMLNS), ""), NULL, &d, NULL));
  assert_false(d.owner.ours); /* nobody's, as nobody asks */
  domain_xml_clear(&d);
}

static void assert_refused(const char *xml, const char *detail)
{
  g_autoptr(GError) err = NULL;
  DomainXml d;
  DomainOwner owner;
  char *device;
  assert_false(domain_xml_parse(xml, CONTROLLER, &d, &err));
  assert_true(error_is(err, REASON_BAD_DOMAIN_XML));
  assert_string_equal(error_arg(err, "detail"), detail);
  assert_false(domain_xml_has_alias(xml, "ua-x"));
  assert_false(domain_xml_console_key(xml, CONSOLE_VNC, "x", 1, &device, NULL));
  assert_false(domain_owner_parse(xml, CONTROLLER, &owner, NULL));
}

static void device_is_found_by_its_alias(void **state)
{
  static const char xml[] = "<domain><devices><disk><alias name='ua-a'/></disk><hostdev type='pci'><alias name='ua-v-1'/></hostdev>"
                            "<hostdev type='mdev'><alias name='ua-v-12'/></hostdev></devices></domain>";
  g_autofree char *device = domain_xml_device(xml, "ua-v-1");
  assert_string_equal(device, "<hostdev type=\"pci\"><alias name=\"ua-v-1\"/></hostdev>");
  assert_null(domain_xml_device(xml, "ua-v-2"));
  assert_null(domain_xml_device("<network/>", "ua-v-1"));
}

static void what_is_no_domain_is_refused(void **state)
{
  static const struct { const char *xml, *detail; } rows[] = {
    { "", "it is empty" },
    { "x", "it is not well-formed" },
    { "<domain>", "it is not well-formed" },
    { "<domain><name>a</domain>", "it is not well-formed" },
    { "<domain/><domain/>", "it is not well-formed" },
    { "<domain>&lol;</domain>", "it is not well-formed" },
    { "<network/>", "its root element is another" },
    { "<!DOCTYPE domain><domain/>", "it has a DOCTYPE" },
    { "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>", "it has a DOCTYPE" },
    { "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><domain><name>&x;</name></domain>", "it has a DOCTYPE" },
    { "<!DOCTYPE d [<!ATTLIST domain type CDATA 'kvm'>]><domain/>", "it has a DOCTYPE" },
    { "<?xml version='1.0'?><!-- a --><!DOCTYPE d [ this is not even a declaration", "it has a DOCTYPE" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    assert_refused(rows[i].xml, rows[i].detail);
}

/* Text that grows a thousand times with each of ten lines: it ends where the DOCTYPE begins. */
static void entities_are_never_expanded(void **state)
{
  GString *xml = g_string_new("<!DOCTYPE d [<!ENTITY a0 'aaaaaaaaaa'>");
  for (int i = 1; i < 30; i++) {
    g_autofree char *one = g_strdup_printf("&a%d;", i - 1), *ten = repeat(one, 10);
    g_string_append_printf(xml, "<!ENTITY a%d '%s'>", i, ten);
  }
  g_string_append(xml, "]><domain><name a='&a29;'>&a29;</name></domain>");
  int64_t begun_us = g_get_monotonic_time();
  assert_refused(xml->str, "it has a DOCTYPE");
  assert_true(g_get_monotonic_time() - begun_us < G_USEC_PER_SEC);
  g_string_free(xml, TRUE);
}

static void what_is_huge_is_refused(void **state)
{
  g_autofree char *blanks = g_strnfill(4 << 20, ' '), *much = g_strconcat("<domain>", blanks, "</domain>", NULL);
  assert_refused(much, "it is longer than 4 MiB");
  g_autofree char *open = repeat("<a>", 100000), *shut = repeat("</a>", 100000);
  g_autofree char *deep = g_strconcat("<domain>", open, shut, "</domain>", NULL);
  assert_refused(deep, "it is not well-formed");
}

static void numbers_do_not_run_over(void **state)
{
  DomainXml d;
  assert_true(domain_xml_parse("<domain><memory unit='TiB'>99999999999999999999</memory><vcpu>-4</vcpu><devices><graphics type='vnc' port='-1'/>"
                               "<graphics type='vnc' port='99999999'/><hostdev type='pci'><source><address bus='0x1ff' slot='zz'/></source>"
                               "</hostdev></devices></domain>", CONTROLLER, &d, NULL));
  assert_true(d.memory_mib >= 0);
  assert_int_equal(d.vcpus, 0);
  assert_int_equal(d.consoles->len, 1); /* the one whose port is -1 has none */
  assert_int_equal(g_array_index(d.consoles, DomainConsole, 0).port, 65535);
  assert_string_equal(d.hostdevs[0], "0000:00:00.0");
  domain_xml_clear(&d);
}

/* The mark alone, as libvirt gives it: chosen by its namespace there, so it has none here. */
static void the_mark_alone_is_read(void **state)
{
  DomainOwner owner;
  assert_true(domain_owner_parse("<owner controller='" CONTROLLER "' desktop='d-7' generation='9'/>", CONTROLLER, &owner, NULL));
  assert_true(owner.ours);
  assert_int_equal(owner.generation, 9);
  domain_owner_clear(&owner);
  assert_true(domain_owner_parse(NULL, CONTROLLER, &owner, NULL));
  assert_false(owner.ours);
  assert_false(domain_owner_parse("<!DOCTYPE owner><owner controller='" CONTROLLER "'/>", CONTROLLER, &owner, NULL));
}

/* A password is text: it ends no attribute. */
static void a_password_stays_in_its_attribute(void **state)
{
  g_autofree char *device = NULL;
  assert_true(domain_xml_console_key(DOMAIN("", "<graphics type='vnc' port='1'/>"), CONSOLE_VNC, "a'\"<&", 1700000000, &device, NULL));
  assert_non_null(strstr(device, "passwd=\"a'&quot;&lt;&amp;\""));
  assert_non_null(strstr(device, "passwdValidTo=\"2023-11-14T22:13:20\""));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_domain_is_read),
    cmocka_unit_test(only_our_mark_in_its_place_makes_it_ours),
    cmocka_unit_test(device_is_found_by_its_alias), cmocka_unit_test(what_is_no_domain_is_refused),
    cmocka_unit_test(entities_are_never_expanded),
    cmocka_unit_test(what_is_huge_is_refused),
    cmocka_unit_test(numbers_do_not_run_over),
    cmocka_unit_test(the_mark_alone_is_read),
    cmocka_unit_test(a_password_stays_in_its_attribute),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What hosts tell of their cells, huge pages and processors, as libvirt 9.0 writes it; and what strangers might write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/cells.h"
#include "drivers/hypervisor/capabilities_xml.h"

#define TWO_CELLS \
  "<capabilities><host><uuid>4c4c4544-0034-3910-8051-b4c04f4e3132</uuid>" \
  "<cpu><arch>x86_64</arch><model>Skylake-Server-IBRS</model><vendor>Intel</vendor><microcode version='33581318'/>" \
  "<topology sockets='1' dies='1' cores='4' threads='2'/><feature name='ds'/><feature name='avx512_vnni'/><pages unit='KiB' size='4'/></cpu>" \
  "<topology><cells num='2'>" \
  "<cell id='0'><memory unit='KiB'>33554432</memory><pages unit='KiB' size='4'>4194304</pages><pages unit='KiB' size='2048'>4096</pages>" \
  "<pages unit='KiB' size='1048576'>2</pages><distances><sibling id='0' value='10'/><sibling id='1' value='21'/></distances>" \
  "<cpus num='4'><cpu id='0' socket_id='0' core_id='0' siblings='0,8'/><cpu id='2'/><cpu id='1'/><cpu id='8'/></cpus></cell>" \
  "<cell id='1'><memory unit='KiB'>33554432</memory><pages unit='KiB' size='2048'>1024</pages><pages unit='KiB' size='1048576'>0</pages>" \
  "<cpus num='4'><cpu id='4'/><cpu id='5'/><cpu id='6'/><cpu id='12'/></cpus></cell>" \
  "</cells></topology></host>" \
  "<guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch></guest></capabilities>"

static HostFacts facts_of(const char *xml)
{
  HostFacts facts = { .memory_mib = 65536 };
  capabilities_xml_read(xml, &facts);
  return facts;
}

static void a_host_tells_its_cells_pages_and_model(void **state)
{
  HostFacts facts = facts_of(TWO_CELLS);
  assert_string_equal(facts.cells, "[{\"id\":0,\"cpus\":\"0-2,8\",\"memory_mib\":32768,\"huge_mib\":8192},"
                                   "{\"id\":1,\"cpus\":\"4-6,12\",\"memory_mib\":32768,\"huge_mib\":2048}]");
  assert_int_equal(facts.page_kib, 2048);
  assert_int_equal(facts.huge_mib, 10240);
  assert_int_equal(facts.memory_mib, 65536 - 2048); /* two pages of 1 GiB are nobody's */
  assert_string_equal(facts.cpu_model, "Skylake-Server-IBRS");
  assert_null(facts.cpu_features); /* the model's own are not written there */
  assert_int_equal(facts.virt_types, 1u << VIRT_QEMU | 1u << VIRT_KVM);
  host_facts_clear(&facts);
}

static void cells_are_read_as_they_were_written(void **state)
{
  HostFacts facts = facts_of(TWO_CELLS);
  HostCells cells;
  host_cells_read(facts.cells, &cells);
  g_autofree char *again = host_cells_text(&cells);
  assert_string_equal(again, facts.cells);
  assert_int_equal(cells.n, 2);
  assert_int_equal(cells.cells[1].n_cpus, 4);
  assert_ptr_equal(host_cell_find(&cells, 1), &cells.cells[1]);
  assert_null(host_cell_find(&cells, 2));
  host_facts_clear(&facts);
}

#define CELL(id, memory, more) "<cell id='" id "'><memory unit='KiB'>" memory "</memory>" more "</cell>"
#define CPU "<cpus><cpu id='0'/></cpus>"
#define HOST(cells) "<capabilities><host><topology><cells>" cells "</cells></topology></host></capabilities>"
#define ONE(huge) "[{\"id\":0,\"cpus\":\"0\",\"memory_mib\":1024,\"huge_mib\":" huge "}]"

static void what_is_not_as_it_should_be_is_left_out(void **state)
{
  static const struct { const char *why, *xml, *cells; } rows[] = {
    { "no cells at all", "<capabilities><host/></capabilities>", NULL },
    { "not XML", "<capabilities><host>", NULL },
    { "a cell of memory alone", HOST(CELL("0", "1048576", "<cpus num='0'/>")), NULL },
    { "a cell of CPUs alone", HOST(CELL("0", "0", CPU)), NULL },
    { "a unit nobody writes", HOST("<cell id='0'><memory unit='MiB'>1024</memory>" CPU "</cell>"), NULL },
    { "an id beyond the last cell", HOST(CELL("8", "1048576", CPU)), NULL },
    { "an id that is no number", HOST(CELL("-1", "1048576", CPU)), NULL },
    { "more memory than there can be", HOST(CELL("0", "9223372036854775807", CPU)), NULL },
    { "a CPU beyond the last", HOST(CELL("0", "1048576", "<cpus><cpu id='4096'/></cpus>")), NULL },
    { "the same cell again", HOST(CELL("0", "1048576", CPU) CELL("0", "2097152", CPU)), ONE("0") },
    { "more pages than memory", HOST(CELL("0", "1048576", CPU "<pages unit='KiB' size='2048'>513</pages>")), ONE("0") },
    { "pages whose product overflows", HOST(CELL("0", "1048576", CPU "<pages size='1073741824'>9223372036854775807</pages>")), ONE("0") },
    { "ordinary pages", HOST(CELL("0", "1048576", CPU "<pages unit='KiB' size='64'>16384</pages>")), ONE("0") },
    { "one size told twice", HOST(CELL("0", "1048576", CPU "<pages size='2048'>4</pages><pages size='2048'>8</pages>")), ONE("16") },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    HostFacts facts = facts_of(rows[i].xml);
    if (g_strcmp0(facts.cells, rows[i].cells))
      fail_msg("%s: %s", rows[i].why, facts.cells ? facts.cells : "no cells");
    assert_true(facts.memory_mib >= 0);
    host_facts_clear(&facts);
  }
}

static void no_more_cells_are_taken_than_can_be_counted(void **state)
{
  g_autoptr(GString) xml = g_string_new("<capabilities><host><topology><cells>");
  for (int i = 0; i < 64; i++)
    g_string_append_printf(xml, "<cell id='%d'><memory unit='KiB'>1048576</memory><cpus><cpu id='%d'/></cpus></cell>", i, i);
  g_string_append(xml, "</cells></topology></host></capabilities>");
  HostFacts facts = facts_of(xml->str);
  HostCells cells;
  host_cells_read(facts.cells, &cells);
  assert_int_equal(cells.n, HOST_CELLS_MAX);
  assert_int_equal(cells.cells[7].id, 7);
  host_facts_clear(&facts);
}

/* Machines that count CPUs in turn have long lists; one that is too long for us is not cut short, or desktops would be bound to half a cell. */
static void a_list_of_cpus_is_whole_or_not_there(void **state)
{
  bool cpus[HOST_CPUS_MAX] = { false };
  HostCell cell = { 0 };
  for (int i = 0; i < 256; i += 2)
    cpus[i] = true;
  assert_true(cell_set_cpus(&cell, cpus));
  assert_int_equal(cell.n_cpus, 128);
  for (int i = 0; i < HOST_CPUS_MAX; i += 2)
    cpus[i] = true;
  assert_false(cell_set_cpus(&cell, cpus));
}

static void text_that_is_no_cells_gives_none(void **state)
{
  static const char *const texts[] = {
    "", "null", "{}", "[1]", "[{\"id\":0}]", "[{\"id\":0,\"cpus\":\"\",\"memory_mib\":1}]", "[{\"id\":0,\"cpus\":\"3-1\",\"memory_mib\":1}]",
    "[{\"id\":0,\"cpus\":\"0-\",\"memory_mib\":1}]", "[{\"id\":0,\"cpus\":\"0,,1\",\"memory_mib\":1}]", "[{\"id\":9,\"cpus\":\"0\",\"memory_mib\":1}]",
    "[{\"id\":0,\"cpus\":\"0\",\"memory_mib\":1,\"huge_mib\":2}]", "[{\"id\":0,\"cpus\":\"0-99999999999999999999\",\"memory_mib\":1}]",
  };
  HostCells cells;
  for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
    host_cells_read(texts[i], &cells);
    if (cells.n)
      fail_msg("%s", texts[i]);
  }
  host_cells_read(NULL, &cells);
  assert_int_equal(cells.n, 0);
}

#define DOMAIN_CAPS \
  "<domainCapabilities><domain>kvm</domain><cpu><mode name='host-passthrough' supported='yes'/><mode name='maximum' supported='yes'/>" \
  "<mode name='host-model' supported='yes'><model fallback='forbid'>Skylake-Server-IBRS</model><vendor>Intel</vendor>" \
  "<feature policy='require' name='ss'/><feature policy='disable' name='mpx'/></mode>" \
  "<mode name='custom' supported='yes'><model usable='yes'>qemu64</model><model usable='no'>Icelake-Server</model>" \
  "<model usable='unknown'>pentium</model><model usable='yes'>Nehalem</model></mode></cpu></domainCapabilities>"

static void what_kvm_would_give_is_asked_as_a_cpu_of_its_own(void **state)
{
  g_autofree char *cpu = capabilities_xml_cpu(DOMAIN_CAPS), *machine = capabilities_xml_cpu(TWO_CELLS);
  assert_string_equal(cpu, "<cpu><model fallback=\"forbid\">Skylake-Server-IBRS</model><vendor>Intel</vendor>"
                           "<feature policy=\"require\" name=\"ss\"/><feature policy=\"disable\" name=\"mpx\"/></cpu>");
  assert_true(g_str_has_prefix(machine, "<cpu><arch>x86_64</arch><model>Skylake-Server-IBRS</model>"));
  assert_null(capabilities_xml_cpu("<domainCapabilities><cpu><mode name='host-model' supported='no'/></cpu></domainCapabilities>"));
  assert_null(capabilities_xml_cpu(NULL));
}

static void words_are_what_is_required_and_what_is_usable(void **state)
{
  static const char CPU_WHOLE[] = "<cpu mode='custom' match='exact'><model fallback='forbid'>Skylake-Server-IBRS</model>"
    "<feature policy='require' name='ss'/><feature policy='require' name='avx2'/><feature policy='disable' name='mpx'/><feature name='aes'/>"
    "<feature policy='require' name='avx2'/><feature policy='require' name='a b'/><feature policy='require' name='&lt;'/><feature policy='require'/></cpu>";
  g_autofree char *words = capabilities_xml_words(CPU_WHOLE, DOMAIN_CAPS), *none = capabilities_xml_words("<cpu/>", NULL);
  assert_string_equal(words, "Nehalem aes avx2 qemu64 ss");
  assert_null(none);
}

static void words_have_an_end(void **state)
{
  g_autoptr(GString) xml = g_string_new("<cpu>");
  for (int i = 0; i < 5000; i++)
    g_string_append_printf(xml, "<feature name='feature%d'/>", i);
  g_string_append(xml, "</cpu>");
  g_autofree char *words = capabilities_xml_words(xml->str, NULL);
  assert_in_range(strlen(words), 16000, 16384);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_host_tells_its_cells_pages_and_model),
    cmocka_unit_test(cells_are_read_as_they_were_written),
    cmocka_unit_test(what_is_not_as_it_should_be_is_left_out),
    cmocka_unit_test(no_more_cells_are_taken_than_can_be_counted),
    cmocka_unit_test(a_list_of_cpus_is_whole_or_not_there),
    cmocka_unit_test(text_that_is_no_cells_gives_none),
    cmocka_unit_test(what_kvm_would_give_is_asked_as_a_cpu_of_its_own),
    cmocka_unit_test(words_are_what_is_required_and_what_is_usable),
    cmocka_unit_test(words_have_an_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "core/template/template.h"
#include "core/template/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

/* A template of six lines; what a test is about stands on line 4 or, as attributes and so on, where a row puts it. */
#define HEAD "<domain type='kvm'><name>t</name><metadata>\n<s:template xmlns:s='urn:sarang:template:1' name='t'>\n"
#define BODY \
  "<s:title lang='en'>T</s:title><s:image name='i'/><s:protocol name='vnc'/><s:guest os='linux'/><s:ready by='agent'/>\n"
#define TAIL \
  "</s:template></metadata>\n<memory unit='MiB'>512</memory><vcpu>1</vcpu><os><type>hvm</type></os>" \
  "<devices><disk><target dev='vda'/></disk></devices></domain>"

static DomainTemplate *read_text(const char *text, GError **err)
{
  DomainTemplate *template = NULL;
  bool ok = template_parse(text, strlen(text), &template, err);
  assert_int_equal(ok, template != NULL);
  return template;
}

static void assert_refused(const char *text, const char *message)
{
  g_autoptr(GError) err = NULL;
  g_autoptr(DomainTemplate) template = read_text(text, &err);
  if (template)
    fail_msg("taken: %s", text);
  assert_string_equal(err->message, message);
}

static void all_that_can_be_said(void **state)
{
  g_autoptr(DomainTemplate) t = read_text(
    "<domain type='kvm'><metadata><s:template xmlns:s='urn:sarang:template:1' name='cad'>"
    "<!-- a comment --><s:title lang='en'>CAD &amp; more</s:title><s:title lang='ko'>설계</s:title>"
    "<s:image name='cad-image' kernel='optional'/><s:network name='bridge:br0'/><s:gpu need='required' class='cad-4g' parameter='bus'/>"
    "<s:protocol name='vnc'/><s:protocol name='rdp'/><s:protocol name='ssh' port='2222'/><s:screen server='host'/>"
    "<s:guest os='windows' autologin='kiosk' personalise='seed' seed='yes'/>"
    "<s:ready by='serial' line='login: ' timeout='77'/>"
    "<s:parameter name='memory' type='size' unit='GiB' default='4' min='2' max='64' at='/domain/memory /domain/currentMemory'>"
    "<s:title lang='ko'>메모리</s:title></s:parameter>"
    "<s:parameter name='bus' type='enum' default='sata' at='/domain/devices/disk[2]/target/@bus'>"
    "<s:value>virtio</s:value><s:value>sata</s:value></s:parameter>"
    "</s:template></metadata><memory>1</memory><currentMemory>1</currentMemory>"
    "<devices><disk/><disk><target bus='ide'/></disk></devices></domain>", NULL);
  assert_non_null(t);
  assert_string_equal(t->name, "cad");
  assert_string_equal(t->title[LANG_EN], "CAD & more");
  assert_string_equal(t->title[LANG_KO], "설계");
  assert_string_equal(t->image, "cad-image");
  assert_int_equal(t->kernel, KERNEL_OPTIONAL);
  assert_string_equal(t->network, "bridge:br0");
  assert_int_equal(t->gpu, GPU_NEED_REQUIRED);
  assert_string_equal(t->gpu_class, "cad-4g");
  assert_string_equal(t->gpu_parameter, "bus");
  assert_true(t->protocols[OFFER_VNC].offered);
  assert_false(t->protocols[OFFER_SPICE].offered);
  assert_int_equal(t->protocols[OFFER_RDP].port, 3389);
  assert_int_equal(t->protocols[OFFER_SSH].port, 2222);
  assert_int_equal(t->screen, SCREEN_BY_HOST);
  assert_int_equal(t->system, SYSTEM_WINDOWS);
  assert_string_equal(t->autologin, "kiosk");
  assert_int_equal(t->personalise, PERSONALISE_BY_SEED);
  assert_true(t->seed);
  assert_int_equal(t->ready, READY_BY_SERIAL);
  assert_string_equal(t->ready_line, "login: ");
  assert_int_equal(t->ready_timeout_us, 77000000);
  assert_false(t->is_xen);
  assert_int_equal(t->parameters->len, 2);
  const TemplateParameter *memory = template_parameter_find(t, "memory"), *bus = template_parameter_find(t, "bus");
  assert_int_equal(memory->type, PARAMETER_SIZE);
  assert_int_equal(memory->size_unit, UNIT_GIB);
  assert_int_equal(memory->max, 64);
  assert_string_equal(memory->paths[1], "/domain/currentMemory");
  assert_string_equal(memory->title[LANG_KO], "메모리");
  assert_string_equal(bus->choices[1], "sata");
  assert_string_equal(bus->standard, "sata");
  assert_null(template_parameter_find(t, "cpu"));
}

static void what_is_left_out(void **state)
{
  g_autoptr(DomainTemplate) t = read_text(HEAD BODY TAIL, NULL);
  assert_non_null(t);
  assert_string_equal(t->title[LANG_KO], "T");
  assert_int_equal(t->kernel, KERNEL_NO);
  assert_null(t->network);
  assert_int_equal(t->gpu, GPU_NEED_NONE);
  assert_null(t->autologin);
  assert_int_equal(t->personalise, PERSONALISE_BY_NOBODY);
  assert_false(t->seed);
  assert_int_equal(t->ready_timeout_us, 300000000);
  assert_int_equal(t->parameters->len, 0);
  assert_int_equal(t->screen, SCREEN_BY_HOST);
  assert_int_equal(t->screen_port, 0);
}

static void a_screen_in_the_guest(void **state)
{
  static const struct { const char *attributes; int port; TemplateScreenKey key; } rows[] = {
    { "", 5900, SCREEN_KEY_BY_AGENT }, { " port='5999'", 5999, SCREEN_KEY_BY_AGENT }, { " password='none'", 5900, SCREEN_KEY_NONE },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = g_strconcat(HEAD, BODY, "<s:screen server='guest'", rows[i].attributes, "/>", TAIL, NULL);
    g_autoptr(DomainTemplate) t = read_text(text, NULL);
    assert_non_null(t);
    assert_int_equal(t->screen, SCREEN_BY_GUEST);
    assert_int_equal(t->screen_port, rows[i].port);
    assert_int_equal(t->screen_key, rows[i].key);
    assert_true(template_needs_agent(t));
  }
}

static void not_a_template(void **state)
{
  static const struct { const char *text, *message; } rows[] = {
    { "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>", "line 1: a DOCTYPE or entity declaration is not taken" },
    { "<domain>&xxe;</domain>", "line 1: not well-formed XML: Entity 'xxe' not defined" },
    { "<network/>", "line 1: the root element is <network>, not <domain>" },
    { "<domain xmlns='urn:x'/>", "line 1: the root element is <domain>, not <domain>" },
    { "<domain/>", "line 1: <metadata> holds no <template> of namespace urn:sarang:template:1" },
    { "<domain>\n<metadata><x xmlns='urn:x'/></metadata></domain>", "line 2: <metadata> holds no <template> of namespace urn:sarang:template:1" },
    { "<domain><metadata>\n<s:template xmlns:s='urn:sarang:template:2' name='t'/></metadata></domain>",
      "line 2: <template> is in namespace \"urn:sarang:template:2\", not in urn:sarang:template:1" },
    { "<domain><metadata><template name='t'/></metadata></domain>", "line 1: <template> is in namespace \"\", not in urn:sarang:template:1" },
    { "<domain><metadata><s:template xmlns:s='urn:sarang:template:1' name='t'/>\n<s:template xmlns:s='urn:sarang:template:1' name='u'/>"
      "</metadata></domain>", "line 2: <template> is one too many, 1 may be there" },
    { "<domain xmlns:s='urn:sarang:template:1'><metadata><s:template/></metadata></domain>", "line 1: <template> lacks name" },
    { HEAD TAIL, "line 2: <template> lacks <title>" },
    { HEAD BODY "text" TAIL, "line 4: text between elements is not known in a template" },
    { HEAD "<s:title lang='en'>T</s:title>" TAIL, "line 2: <template> lacks <image>" },
    { HEAD "<s:title lang='ko'>T</s:title><s:image name='i'/><s:protocol name='vnc'/><s:guest os='linux'/><s:ready by='agent'/>" TAIL,
      "line 2: <template> lacks <title lang=\"en\">" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    assert_refused(rows[i].text, rows[i].message);
}

#define NAME_LIMIT ", but must be [a-z0-9][a-z0-9-]{0,62}"

/* element on line 3, refusal without "line 3: " */
static void wrong_elements(void **state)
{
  static const struct { const char *element, *message; } rows[] = {
    { "<s:colour/>", "<colour> in <template> is not known in a template" },
    { "<gpu need='none'/>", "<gpu> is in namespace \"\", not in urn:sarang:template:1" },
    { "<s:gpu need='none' model='x'/>", "attribute model of <gpu> is not known in a template" },
    { "<s:gpu s:need='none'/>", "attribute need of <gpu> is not known in a template" },
    { "<s:gpu/>", "<gpu> lacks need" },
    { "<s:gpu need='some'/>", "need of <gpu> is \"some\", but must be none | optional | required" },
    { "<s:gpu need='none' class='cad-4g'/>", "need of <gpu> is \"none\", but must be optional or required where a class is named or near is yes" },
    { "<s:gpu need='required' class='Cad'/>", "class of <gpu> is \"Cad\"" NAME_LIMIT },
    { "<s:gpu need='required' parameter='card'/>", "parameter of <gpu> is \"card\", but must be one of its parameters" },
    { "<s:gpu need='none'/><s:gpu need='none'/>", "<gpu> is one too many, 1 may be there" },
    { "<s:gpu need='none'>x</s:gpu>", "text in <gpu> is not known in a template" },
    { "<s:gpu need='none'><s:x/></s:gpu>", "<x> in <gpu> is not known in a template" },
    { "<s:title lang='fr'>x</s:title>", "lang of <title> is \"fr\", but must be en | ko" },
    { "<s:title lang='ko'></s:title>", "<title> is \"\", but must be not empty" },
    { "<s:title lang='ko'>a<b/></s:title>", "<b> is in namespace \"\", not in urn:sarang:template:1" },
    { "<s:title lang='ko'>a\xe2\x80\xae" "b</s:title>", "<title> is \"a<U+202E>b\", but must be text holds U+202E at character 2, which is a "
      "control, invisible or text-reordering character" },
    { "<s:image name='../i'/>", "<image> is one too many, 1 may be there" },
    { "<s:network name=''/>", "name of <network> is \"\", but must be not empty" },
    { "<s:network name='-n'/>", "name of <network> is \"-n\", but must be NAME | bridge:NAME | user" },
    { "<s:network name='a/b'/>", "name of <network> is \"a/b\", but must be NAME | bridge:NAME | user" },
    { "<s:protocol name='x11'/>", "name of <protocol> is \"x11\", but must be vnc | spice | rdp | ssh" },
    { "<s:protocol name='spice' port='1'/>", "port of <protocol> is \"1\", but must be left out: the host chooses the port of its consoles" },
    { "<s:protocol name='rdp' port='65536'/>", "port of <protocol> is \"65536\", but must be 1…65535" },
    { "<s:protocol name='rdp' port='0x1'/>", "port of <protocol> is \"0x1\", but must be 1…65535" },
    { "<s:screen/>", "<screen> lacks server" },
    { "<s:screen server='cloud'/>", "server of <screen> is \"cloud\", but must be host | guest" },
    { "<s:screen server='host' port='5900'/>", "port of <screen> is \"5900\", but must be left out: the host sees to its own screens" },
    { "<s:screen server='host' password='none'/>", "password of <screen> is \"none\", but must be left out: the host sees to its own screens" },
    { "<s:screen server='guest' port='0'/>", "port of <screen> is \"0\", but must be 1…65535" },
    { "<s:screen server='guest' password='letmein'/>", "password of <screen> is \"letmein\", but must be agent | none" },
    { "<s:screen server='guest' address='10.0.0.1'/>", "attribute address of <screen> is not known in a template" },
    { "<s:screen server='guest'/><s:screen server='guest'/>", "<screen> is one too many, 1 may be there" },
    { "<s:protocol name='vnc'/>", "name of <protocol> is \"vnc\", but must be given once" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = g_strconcat("<domain type='kvm'><name>t</name><metadata>\n<s:template xmlns:s='urn:sarang:template:1' name='t'>",
                                        BODY, rows[i].element, "\n" TAIL, NULL);
    g_autofree char *message = g_strconcat("line 3: ", rows[i].message, NULL);
    assert_refused(text, message);
  }
}

/* Xen's libxl: "passthrough not yet supported for x86 PVH guests" */
static void card_for_a_pvh_guest_is_refused(void **state)
{
  static const struct { const char *type, *need; bool taken; } rows[] = {
    { "<type machine='xenpvh'>xenpvh</type>", "required", false }, { "<type>xenpvh</type>", "optional", false },
    { "<type machine='xenpvh'>xenpvh</type>", "none", true }, { "<type machine='xenpv'>linux</type>", "required", true },
    { "<type machine='xenfv'>hvm</type>", "required", true },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = g_strdup_printf("<domain type='xen'><metadata><s:template xmlns:s='urn:sarang:template:1' name='t'>"
                                            "<s:title lang='en'>T</s:title><s:image name='i'/><s:protocol name='vnc'/><s:gpu need='%s'/>"
                                            "<s:guest os='linux'/><s:ready by='tcp' port='22'/></s:template></metadata><os>%s</os></domain>",
                                            rows[i].need, rows[i].type);
    g_autoptr(GError) err = NULL;
    g_autoptr(DomainTemplate) template = read_text(text, &err);
    g_autofree char *message = g_strdup_printf("line 1: need of <gpu> is \"%s\", but must be none with a PVH guest: libxl passes no device to one",
                                               rows[i].need);
    if (rows[i].taken != (template != NULL) || (err && strcmp(err->message, message) != 0))
      fail_msg("%s, %s: %s", rows[i].type, rows[i].need, err ? err->message : "taken");
  }
}

static void wrong_values(void **state)
{
  static const struct { const char *guest_and_ready, *message; } rows[] = {
    { "<s:guest os='beos'/><s:ready by='agent'/>", "os of <guest> is \"beos\", but must be linux | windows | other" },
    { "<s:guest os='linux' autologin='root'/><s:ready by='agent'/>",
      "autologin of <guest> is \"root\", but must be [a-z_][a-z0-9_-]{0,31}, not root" },
    { "<s:guest os='linux' autologin='a&#10;b'/><s:ready by='agent'/>",
      "autologin of <guest> is \"a<U+000A>b\", but must be [a-z_][a-z0-9_-]{0,31}, not root" },
    { "<s:guest os='linux' personalise='seed'/><s:ready by='agent'/>", "seed of <guest> is \"no\", but must be yes where personalise is seed" },
    { "<s:guest os='linux' seed='true'/><s:ready by='agent'/>", "seed of <guest> is \"true\", but must be no | yes" },
    { "<s:guest os='linux'/><s:ready by='ping'/>", "by of <ready> is \"ping\", but must be agent | tcp | serial" },
    { "<s:guest os='linux'/><s:ready by='tcp'/>", "<ready> lacks port" },
    { "<s:guest os='linux'/><s:ready by='serial'/>", "<ready> lacks line" },
    { "<s:guest os='linux'/><s:ready by='serial' line=''/>", "line of <ready> is \"\", but must be not empty" },
    { "<s:guest os='linux'/><s:ready by='agent' port='22'/>", "port of <ready> is \"22\", but must be left out for this kind of readiness" },
    { "<s:guest os='linux'/><s:ready by='tcp' port='0'/>", "port of <ready> is \"0\", but must be 1…65535" },
    { "<s:guest os='linux'/><s:ready by='agent' timeout='3601'/>", "timeout of <ready> is \"3601\", but must be 1…3600" },
    { "<s:guest os='linux'/><s:ready by='agent' timeout=' 9'/>", "timeout of <ready> is \" 9\", but must be 1…3600" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = g_strconcat(HEAD "<s:title lang='en'>T</s:title><s:image name='i'/><s:protocol name='vnc'/>",
                                        rows[i].guest_and_ready, TAIL, NULL);
    g_autofree char *message = g_strconcat("line 3: ", rows[i].message, NULL);
    assert_refused(text, message);
  }
}

static void wrong_names(void **state)
{
  static const struct { const char *name, *shown; } rows[] = {
    { "../t", "../t" }, { "-t", "-t" }, { "a&lt;&amp;&gt;b", "a<&>b" }, { "a&#10;b", "a<U+000A>b" }, { "t\xe2\x80\xae", "t<U+202E>" }, { "T", "T" },
    { "", "" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = g_strdup_printf("<domain xmlns:s='urn:sarang:template:1'><metadata><s:template name='%s'/></metadata></domain>",
                                            rows[i].name);
    g_autofree char *message = *rows[i].shown ? g_strdup_printf("line 1: name of <template> is \"%s\"" NAME_LIMIT, rows[i].shown) :
                                                g_strdup("line 1: name of <template> is \"\", but must be name is missing");
    assert_refused(text, message);
  }
}

static void a_nul_in_a_name_is_not_text(void **state)
{
  static const char text[] = "<domain><metadata><s:template xmlns:s='urn:sarang:template:1' name='a\0b'/></metadata></domain>";
  g_autoptr(GError) err = NULL;
  DomainTemplate *template = NULL;
  assert_false(template_parse(text, sizeof text - 1, &template, &err));
  assert_string_equal(err->message, "line 1: not valid UTF-8");
}

#define PARAMETER(attributes) "<s:parameter " attributes "/>"
#define AT " at='/domain/vcpu'"

static void wrong_parameters(void **state)
{
  static const struct { const char *element, *message; } rows[] = {
    { PARAMETER("name='p' type='float' default='1'" AT), "type of <parameter> is \"float\", but must be int | size | text | enum" },
    { PARAMETER("name='P' type='int' default='1'" AT), "name of <parameter> is \"P\"" NAME_LIMIT },
    { PARAMETER("name='p' type='int'" AT), "<parameter> lacks default" },
    { PARAMETER("name='p' type='int' default='1'"), "<parameter> lacks at" },
    { PARAMETER("name='p' type='int' default='9' min='1' max='8'" AT), "default of <parameter> is \"9\", but must be 1…8" },
    { PARAMETER("name='p' type='int' default='x'" AT), "default of <parameter> is \"x\", but must be 0…2147483647" },
    { PARAMETER("name='p' type='int' default='1' min='x'" AT), "min of <parameter> is \"x\", but must be -2147483647…2147483647" },
    { PARAMETER("name='p' type='int' default='1' min='5' max='4'" AT), "max of <parameter> is \"4\", but must be 5…2147483647" },
    { PARAMETER("name='p' type='size' default='1' unit='MB'" AT), "unit of <parameter> is \"MB\", but must be bytes | KiB | MiB | GiB | TiB" },
    { PARAMETER("name='p' type='size' default='1' unit='GiB' min='2'" AT), "default of <parameter> is \"1\", but must be 2…1125899906842624 GiB" },
    { PARAMETER("name='p' type='text' default='abc' max='2'" AT), "default of <parameter> is \"abc\", but must be 2" },
    { PARAMETER("name='p' type='enum' default='a'" AT), "<parameter> lacks <value>" },
    { "<s:parameter name='p' type='enum' default='c'" AT "><s:value>a</s:value><s:value>b</s:value></s:parameter>",
      "default of <parameter> is \"c\", but must be a | b" },
    { "<s:parameter name='p' type='int' default='1'" AT "><s:value>a</s:value></s:parameter>", "<value> is not known in a template" },
    { "<s:parameter name='p' type='int' default='1'" AT "><s:image name='x'/></s:parameter>", "<image> in <parameter> is not known in a template" },
    { PARAMETER("name='p' type='int' default='1'" AT) PARAMETER("name='p' type='int' default='1'" AT),
      "name of <parameter> is \"p\", but must be a name that no other parameter has" },
#define NOTHING_AT(path) \
  { PARAMETER("name='p' type='int' default='1' at='" path "'"), "parameter \"p\" applies at \"" path "\", where nothing takes a value" }
    NOTHING_AT("/domain/none"),
    NOTHING_AT("/domain/os"),
    NOTHING_AT("/domain/vcpu/@none"),
    NOTHING_AT("//vcpu"),
    NOTHING_AT("/domain/devices/disk[2]/target/@dev"),
    NOTHING_AT("/domain/metadata/template"),
    NOTHING_AT("/"),
    { PARAMETER("name='p' type='int' default='1' at='  '"), "parameter \"p\" applies at \"\", where nothing takes a value" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autofree char *text = g_strconcat("<domain type='kvm'><name>t</name><metadata>\n<s:template xmlns:s='urn:sarang:template:1' name='t'>",
                                        BODY, rows[i].element, "\n" TAIL, NULL);
    g_autofree char *message = g_strconcat("line 3: ", rows[i].message, NULL);
    assert_refused(text, message);
  }
}

static void on_xen_there_is_no_agent(void **state)
{
  assert_refused("<domain type='xen'><metadata><s:template xmlns:s='urn:sarang:template:1' name='t'>" BODY "</s:template></metadata></domain>",
                 "line 1: agent of <template> is \"agent\", but must be something else on Xen: libvirt reaches no guest agent there");
}

static const DomainTemplate *with_parameters(void)
{
  static DomainTemplate *template;
  if (!template)
    template = read_text("<domain type='kvm'><metadata><s:template xmlns:s='urn:sarang:template:1' name='t'>" BODY
                         "<s:parameter name='n' type='int' default='1' min='1' max='8' at='/domain/vcpu'/>"
                         "<s:parameter name='m' type='size' unit='MiB' default='512' min='256' max='4096' at='/domain/memory'/>"
                         "<s:parameter name='t' type='text' default='x' min='1' max='5' at='/domain/description'/>"
                         "<s:parameter name='e' type='enum' default='a' at='/domain/title'><s:value>a</s:value><s:value>b</s:value></s:parameter>"
                         "</s:template></metadata><vcpu/><memory/><description/><title/></domain>", NULL);
  assert_non_null(template);
  return template;
}

static void arguments(void **state)
{
  static const struct { const char *name, *value, *text, *message; } rows[] = {
    { "n", "8", "8", NULL },
    { "n", "0", NULL, "n is \"0\", but must be 1…8" },
    { "n", "9", NULL, "n is \"9\", but must be 1…8" },
    { "n", "99999999999999999999", NULL, "n is \"99999999999999999999\", but must be 1…8" },
    { "n", "2 ", NULL, "n is \"2 \", but must be 1…8" },
    { "n", "+2", NULL, "n is \"+2\", but must be 1…8" },
    { "n", "", NULL, "n is \"\", but must be 1…8" },
    { "m", "1024", "1024", NULL },
    { "m", "1024MiB", "1024", NULL },
    { "m", "2GiB", "2048", NULL },
    { "m", "2 GiB", "2048", NULL },
    { "m", "1048576KiB", "1024", NULL },
    { "m", "1048577KiB", NULL, "m is \"1048577KiB\", but must be 256…4096 MiB" },
    { "m", "1GB", NULL, "m is \"1GB\", but must be 256…4096 MiB" },
    { "m", "-1", NULL, "m is \"-1\", but must be 256…4096 MiB" },
    { "m", "9223372036854775807TiB", NULL, "m is \"9223372036854775807TiB\", but must be 256…4096 MiB" },
    { "m", "17592186044416TiB", NULL, "m is \"17592186044416TiB\", but must be 256…4096 MiB" },
    { "m", "4097", NULL, "m is \"4097\", but must be 256…4096 MiB" },
    { "t", "</a>&", "</a>&", NULL },
    { "t", "", NULL, "t is \"\", but must be ≥ 1" },
    { "t", "123456", NULL, "t is 6 characters, more than the limit of 5" },
    { "t", "a\nb", NULL, "t holds U+000A at character 2, which is a control, invisible or text-reordering character" },
    { "e", "b", "b", NULL },
    { "e", "c", NULL, "e is \"c\", but must be a | b" },
    { "e", "\xe2\x80\xae", NULL, "e is \"<U+202E>\", but must be a | b" },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    g_autoptr(GError) err = NULL;
    g_autofree char *text = NULL;
    assert_int_equal(template_argument_parse(template_parameter_find(with_parameters(), rows[i].name), rows[i].value, &text, &err),
                     rows[i].text != NULL);
    if (rows[i].text)
      assert_string_equal(text, rows[i].text);
    else
      assert_string_equal(err->message, rows[i].message);
  }
}

static void arguments_name_parameters_once(void **state)
{
  const TemplateArgument twice[] = { { "n", "1" }, { "n", "2" } }, unknown[] = { { "../x", "1" } };
  g_autoptr(GError) err = NULL, second = NULL;
  assert_false(template_arguments_check(with_parameters(), twice, 2, &err));
  assert_string_equal(err->message, "parameter \"n\" exists already");
  assert_false(template_arguments_check(with_parameters(), unknown, 1, &second));
  assert_string_equal(second->message, "\"../x\" is not known here");
  g_autofree char *fix = error_fix(second, LANG_EN);
  assert_string_equal(fix, "known: n m t e");
  assert_true(template_arguments_check(with_parameters(), twice, 1, NULL));
}

static int drop_parameters(void **state)
{
  template_free((DomainTemplate *)with_parameters());
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_screen_in_the_guest),
    cmocka_unit_test(all_that_can_be_said),
    cmocka_unit_test(what_is_left_out),
    cmocka_unit_test(not_a_template),
    cmocka_unit_test(wrong_elements),
    cmocka_unit_test(card_for_a_pvh_guest_is_refused), cmocka_unit_test(wrong_values),
    cmocka_unit_test(wrong_names),
    cmocka_unit_test(a_nul_in_a_name_is_not_text),
    cmocka_unit_test(wrong_parameters),
    cmocka_unit_test(on_xen_there_is_no_agent),
    cmocka_unit_test(arguments),
    cmocka_unit_test(arguments_name_parameters_once),
  };
  return cmocka_run_group_tests(tests, NULL, drop_parameters);
}

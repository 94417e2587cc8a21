#include "drivers/hypervisor/flavours.h"

#include <string.h>

#include "core/error.h"
#include "core/guestnet.h"

ENUM_DEFINE(Capability, capability, CAPABILITIES, N_CAPABILITIES)
ENUM_DEFINE(VirtType, virt_type, VIRT_TYPES, N_VIRT_TYPES)
ENUM_DEFINE(FlavourKind, flavour, FLAVOURS, N_FLAVOURS)

const HypervisorFlavour hypervisor_flavours[N_FLAVOURS] = {
  [FLAVOUR_QEMU] = { FLAVOUR_QEMU, "KVM/QEMU by libvirt", { NULL } },
  [FLAVOUR_XEN] = { FLAVOUR_XEN, "Xen by libvirt", {
    [CAN_RESET] = "libxl has no reset button: destroy and start",
    [CAN_AGENT] = "libxl has no channel to a guest agent",
    [CAN_CONSOLE_PASSWORD] = "libxl changes no console of a running domain: its password stands in the XML",
    [CAN_SCREENSHOT] = "libxl takes no pictures",
    [CAN_BULK_STATE] = "libxl has no statistics of all domains: each is asked for its state",
    [CAN_NVRAM] = "libxl keeps no UEFI variables or TPM state that could be forgotten",
    [CAN_MDEV] = "libxl passes whole PCI cards and virtual functions only",
    [CAN_MIGRATE] = "libxl cannot be asked how far it is, nor told to stop",
  } },
  [FLAVOUR_TEST] = { FLAVOUR_TEST, "libvirt's own test driver", {
    [CAN_AGENT] = "there are no guests",
    [CAN_CONSOLE_PASSWORD] = "there are no consoles",
    [CAN_SERIAL] = "there are no guests",
    [CAN_NVRAM] = "there are no guests",
    [CAN_MDEV] = "there are no cards",
    [CAN_PCI] = "there are no cards",
    [CAN_PLUG] = "there are no guests",
    [CAN_MIGRATE] = "there is no other host",
  } },
  [FLAVOUR_FAKE] = { FLAVOUR_FAKE, "a host in memory", { NULL } },
};

static const UriRow uri_rows[] = {
  { "qemu",      FLAVOUR_QEMU, &hypervisor_libvirt, URI_LOCAL,  "/system /session", "socket" },
  { "qemu+unix", FLAVOUR_QEMU, &hypervisor_libvirt, URI_LOCAL,  "/system /session", "socket" },
  { "qemu+tls",  FLAVOUR_QEMU, &hypervisor_libvirt, URI_REMOTE, "/system", "pkipath" },
  { "qemu+tcp",  FLAVOUR_QEMU, &hypervisor_libvirt, URI_PLAIN,  "/system", "" },
  { "xen",       FLAVOUR_XEN,  &hypervisor_libvirt, URI_LOCAL,  "/ /system", "socket" },
  { "xen+unix",  FLAVOUR_XEN,  &hypervisor_libvirt, URI_LOCAL,  "/ /system", "socket" },
  { "xen+tls",   FLAVOUR_XEN,  &hypervisor_libvirt, URI_REMOTE, "/ /system", "pkipath" },
  { "xen+tcp",   FLAVOUR_XEN,  &hypervisor_libvirt, URI_PLAIN,  "/ /system", "" },
  { "test",      FLAVOUR_TEST, &hypervisor_libvirt, URI_LOCAL,  NULL, "" },
  { "fake",      FLAVOUR_FAKE, &hypervisor_fake,    URI_NAME,   NULL, NULL },
};

static const UriRow *row_find(const char *scheme)
{
  for (size_t i = 0; i < G_N_ELEMENTS(uri_rows); i++)
    if (!strcmp(uri_rows[i].scheme, scheme))
      return &uri_rows[i];
  return NULL;
}

static bool word_in(const char *words, const char *word)
{
  g_auto(GStrv) list = g_strsplit(words, " ", -1);
  return *word && g_strv_contains((const char *const *)list, word);
}

static const char *path_wrong(const UriRow *row, GUri *uri)
{
  const char *host = g_uri_get_host(uri), *path = g_uri_get_path(uri);
  if (row->where == URI_NAME)
    return !host && *path ? NULL : "a name must follow, such as fake:h1";
  if (row->where == URI_LOCAL && host && *host)
    return "this transport stays on the machine: write +tls for another one";
  if (row->where != URI_LOCAL && (!host || !*host))
    return "the host is missing";
  if (!row->paths)
    return path[0] == '/' && path[1] ? NULL : "a path must follow, such as test:///default";
  return word_in(row->paths, path) ? NULL : "its path must be one such as /system";
}

/* libvirt also splits at ';': what it would see as a parameter must be seen here. */
static const char *parameters_wrong(const UriRow *row, GUri *uri)
{
  const char *query = g_uri_get_query(uri);
  if (!query || !row->parameters)
    return NULL;
  g_autoptr(GHashTable) all = g_uri_parse_params(query, -1, "&;", G_URI_PARAMS_NONE, NULL);
  if (!all)
    return "its parameters are not NAME=VALUE";
  GHashTableIter iter;
  const char *name, *value;
  g_hash_table_iter_init(&iter, all);
  while (g_hash_table_iter_next(&iter, (void **)&name, (void **)&value)) {
    if (!word_in(row->parameters, name))
      return "this parameter is not allowed with that transport";
    if (value[0] != '/')
      return "its parameter must be an absolute path";
  }
  return NULL;
}

static const char *uri_wrong(const UriRow *row, GUri *uri, bool allow_plain_tcp)
{
  if (g_uri_get_password(uri))
    return "a password has no place in a URI";
  if (g_uri_get_fragment(uri))
    return "it has a fragment";
  if (row->where == URI_PLAIN && !allow_plain_tcp)
    return "plain TCP is neither encrypted nor authenticated: the configuration must allow it";
  const char *wrong = path_wrong(row, uri);
  return wrong ? wrong : parameters_wrong(row, uri);
}

const UriRow *uri_row(const char *text, bool allow_plain_tcp, GError **err)
{
  for (const char *c = text; *c; c++)
    if (*c <= ' ' || *c >= 0x7f)
      return error_null(err, REASON_BAD_URI, "uri", text, "detail", "it has a character that belongs in no URI", NULL);
  g_autoptr(GUri) uri = strlen(text) <= 1024 ? g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD, NULL) : NULL;
  if (!uri)
    return error_null(err, REASON_BAD_URI, "uri", text, "detail", "it is not a URI", NULL);
  const UriRow *row = row_find(g_uri_get_scheme(uri));
  const char *wrong = row ? uri_wrong(row, uri, allow_plain_tcp) : "there is no driver for that scheme";
  if (!wrong)
    return row;
  g_autofree char *shown = g_uri_to_string_partial(uri, G_URI_HIDE_PASSWORD);
  return error_null(err, REASON_BAD_URI, "uri", shown, "detail", wrong, NULL);
}

bool hypervisor_uri_check(const char *uri, bool allow_plain_tcp, GError **err)
{
  return uri_row(uri, allow_plain_tcp, err) != NULL;
}

bool hypervisor_uri_is_private(const char *text)
{
  g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);
  const UriRow *row = uri ? row_find(g_uri_get_scheme(uri)) : NULL;
  if (!row || row->where == URI_NAME || g_uri_get_query(uri))
    return true;
  return !row->paths && strcmp(g_uri_get_path(uri), "/default") != 0;
}

bool hypervisor_uri_names_host(const char *text)
{
  g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);
  const UriRow *row = uri ? row_find(g_uri_get_scheme(uri)) : NULL;
  return row && row->where != URI_LOCAL;
}

const char *hypervisor_migrate_uri(const char *said, const char *own)
{
  if (said)
    return said;
  return own && hypervisor_uri_names_host(own) ? own : NULL;
}

char *hypervisor_console_address(const char *text, const char *told, GError **err)
{
  GuestAddressBits bits;
  if (told && guest_address_parse(told, &bits))
    return g_strdup(told);
  if (told)
    return error_null(err, REASON_CONSOLE_ADDRESS, "uri", text, "detail", "what was given is a name, and a gateway looks none up", NULL);
  g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);
  const UriRow *row = uri ? row_find(g_uri_get_scheme(uri)) : NULL;
  if (!row || row->where == URI_LOCAL || row->where == URI_NAME)
    return g_strdup("127.0.0.1");
  const char *host = g_uri_get_host(uri);
  if (host && g_hostname_is_ip_address(host))
    return g_strdup(host);
  return error_null(err, REASON_CONSOLE_ADDRESS, "uri", text, "detail", "its host is a name, which may mean another address there", NULL);
}

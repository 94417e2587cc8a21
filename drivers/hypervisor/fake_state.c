/* What of a fake host survives the process: a text file, a line a change, written as it happens, so that a daemon killed with
 * -9 finds the host as it left it. Read and rewritten when the host is opened. Fields are separated by tabs, which no field may
 * hold.
 *   domain UUID NAME DESKTOP CONTROLLER GENERATION VCPUS MEMORY DISKS GRAPHICS FLAGS STATE HOSTDEVS · account UUID LOGIN · gone UUID */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "drivers/hypervisor/fake_world.h"

enum { FLAG_AGENT = 1, FLAG_SERIAL = 2, FLAG_BOOTED = 4, DOMAIN_FIELDS = 14 };

static void append(FakeHost *host, const char *line)
{
  if (host->state_fd < 0)
    return;
  ssize_t ignored = write(host->state_fd, line, strlen(line));
  (void)ignored; /* a full disk costs a fake its memory, nothing else */
}

static char *domain_line(const FakeDomain *domain)
{
  char uuid[UUID_TEXT_BYTES];
  fake_domain_uuid(domain, uuid);
  int flags = (domain->has_agent ? FLAG_AGENT : 0) | (domain->has_serial ? FLAG_SERIAL : 0) | (domain->booted ? FLAG_BOOTED : 0);
  g_autofree char *devices = domain->devices ? g_strjoinv(",", domain->devices) : g_strdup("");
  g_autofree char *defined = domain->defined ? g_strjoinv(",", domain->defined) : g_strdup("");
  return g_strdup_printf("domain\t%s\t%s\t%s\t%s\t%" G_GINT64_FORMAT "\t%d\t%d\t%u\t%d\t%d\t%d\t%s\t%s\n", uuid, domain->name,
                         domain->desktop ? domain->desktop : "", domain->controller ? domain->controller : "",
                         (gint64)domain->generation, domain->vcpus, domain->memory_mib, domain->disks, domain->graphics, flags,
                         domain->state, devices, defined);
}

static char *account_line(const FakeDomain *domain, const char *account)
{
  char uuid[UUID_TEXT_BYTES];
  fake_domain_uuid(domain, uuid);
  return g_strdup_printf("account\t%s\t%s\n", uuid, account);
}

void fake_state_domain(FakeHost *host, const FakeDomain *domain)
{
  if (host->state_fd < 0)
    return;
  g_autofree char *line = domain_line(domain);
  append(host, line);
}

void fake_state_gone(FakeHost *host, const FakeDomain *domain)
{
  char uuid[UUID_TEXT_BYTES];
  fake_domain_uuid(domain, uuid);
  g_autofree char *line = g_strdup_printf("gone\t%s\n", uuid);
  append(host, line);
}

void fake_state_account(FakeHost *host, const FakeDomain *domain, const char *account)
{
  g_autofree char *line = account_line(domain, account);
  append(host, line);
}

/* ── reading ────────────────────────────────────────────────────────────── */

static FakeDomain *domain_ensure(FakeHost *host, const char *uuid, const char *name)
{
  FakeDomain *domain = fake_domain_find(host, uuid);
  if (domain)
    return domain;
  domain = g_new0(FakeDomain, 1);
  fake_uuid_parse(uuid, domain->uuid);
  domain->name = g_strdup(name);
  fake_domain_add(host, domain);
  return domain;
}

static void load_domain(FakeHost *host, char **f)
{
  FakeDomain *domain = domain_ensure(host, f[1], f[2]);
  uint32_t disks = (uint32_t)g_ascii_strtoull(f[8], NULL, 10);
  int flags = atoi(f[10]);
  if (domain->disks != disks)
    g_clear_pointer(&domain->guest, fake_guest_free);
  g_free(domain->desktop);
  domain->desktop = *f[3] ? g_strdup(f[3]) : NULL;
  domain->controller = *f[4] ? g_string_chunk_insert_const(host->texts, f[4]) : NULL;
  domain->generation = g_ascii_strtoll(f[5], NULL, 10);
  domain->vcpus = (uint16_t)atoi(f[6]);
  domain->memory_mib = atoi(f[7]);
  domain->disks = disks;
  domain->graphics = (uint8_t)atoi(f[9]);
  domain->has_agent = flags & FLAG_AGENT;
  domain->has_serial = flags & FLAG_SERIAL;
  int state = atoi(f[11]);
  g_strfreev(domain->devices);
  g_strfreev(domain->defined);
  domain->devices = *f[12] ? g_strsplit(f[12], ",", -1) : NULL;
  domain->defined = *f[13] ? g_strsplit(f[13], ",", -1) : NULL;
  fake_domain_set(host, domain, state >= 0 && state < N_DOMAIN_STATES ? (DomainState)state : DOMAIN_OFF);
  domain->booted = fake_is_active(domain); /* whatever was booting has come up since */
  domain->port = domain->booted ? (uint16_t)(5900 + host->port++ % 50000) : 0;
}

static void load_line(FakeHost *host, const char *line)
{
  g_auto(GStrv) f = g_strsplit(line, "\t", -1);
  guint n = g_strv_length(f);
  if (n == DOMAIN_FIELDS && !strcmp(f[0], "domain")) {
    load_domain(host, f);
    return;
  }
  FakeDomain *domain = n > 1 ? fake_domain_find(host, f[1]) : NULL;
  if (domain && n == 3 && !strcmp(f[0], "account"))
    fake_guest_account(domain, f[2]);
  else if (domain && n == 2 && !strcmp(f[0], "gone"))
    fake_domain_remove(host, domain);
}

static void load(FakeHost *host)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents(host->parameters.state_path, &text, NULL, NULL))
    return;
  for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
    *end = 0;
    load_line(host, line);
  }
}

static void save(FakeHost *host)
{
  GHashTableIter iter;
  void *each;
  g_hash_table_iter_init(&iter, host->domains);
  while (g_hash_table_iter_next(&iter, &each, NULL)) {
    const FakeDomain *domain = each;
    fake_state_domain(host, domain);
    const GPtrArray *accounts = fake_guest_accounts(domain->guest);
    for (guint i = 0; accounts && i < accounts->len; i++)
      fake_state_account(host, domain, accounts->pdata[i]);
  }
}

bool fake_state_open(FakeHost *host, GError **err)
{
  const char *path = host->parameters.state_path;
  load(host);
  g_autofree char *fresh = g_strconcat(path, ".new", NULL);
  host->state_fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (host->state_fd >= 0)
    save(host);
  if (host->state_fd >= 0 && !rename(fresh, path))
    return true;
  return error_false(err, REASON_IO, "action", "write", "path", path, "detail", g_strerror(errno), NULL);
}

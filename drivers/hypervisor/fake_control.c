/* How the fake is told what to do: parameters of its URI, and command lines by call or from a control file. */
#include <stdio.h>
#include <string.h>

#include "core/cells.h"
#include "core/log.h"
#include "drivers/gpu/fake_cards.h"
#include "drivers/hypervisor/fake_world.h"

/* ── parameters ─────────────────────────────────────────────────────────── */

static const struct { const char *name; size_t offset; int64_t max; } number_rows[] = {
  { "cpus", offsetof(FakeParameters, cpus), 65536 },
  { "boot_ms", offsetof(FakeParameters, boot_ms), 3600000 },
  { "shutdown_ms", offsetof(FakeParameters, shutdown_ms), 3600000 },
  { "latency_ms", offsetof(FakeParameters, latency_ms), 3600000 },
  { "console", offsetof(FakeParameters, console_port), 65535 },
  { "cells", offsetof(FakeParameters, cells), HOST_CELLS_MAX },
  { "page_kib", offsetof(FakeParameters, page_kib), 1 << 30 },
  { "huge_mib", offsetof(FakeParameters, huge_mib), INT32_MAX },
  { "migrate_ms", offsetof(FakeParameters, migrate_ms), 3600000 },
};

static const struct { const char *name; size_t offset; } text_rows[] = {
  { "ready", offsetof(FakeParameters, ready) },
  { "state", offsetof(FakeParameters, state_path) },
  { "control", offsetof(FakeParameters, control_path) },
  { "gpus", offsetof(FakeParameters, gpus) },
  { "cpu", offsetof(FakeParameters, cpu) },
  { "features", offsetof(FakeParameters, features) },
};

static bool number_take(const char *text, int64_t max, int64_t *ret_value)
{
  guint64 value;
  if (!g_ascii_string_to_unsigned(text, 10, 0, (guint64)max, &value, NULL))
    return false;
  *ret_value = (int64_t)value;
  return true;
}

static bool parameter_take(FakeParameters *parameters, const char *name, const char *value)
{
  int64_t number;
  for (size_t i = 0; i < G_N_ELEMENTS(number_rows); i++)
    if (!strcmp(number_rows[i].name, name)) {
      bool ok = number_take(value, number_rows[i].max, &number);
      if (ok)
        *(int *)((char *)parameters + number_rows[i].offset) = (int)number;
      return ok;
    }
  for (size_t i = 0; i < G_N_ELEMENTS(text_rows); i++)
    if (!strcmp(text_rows[i].name, name)) {
      char **text = (char **)((char *)parameters + text_rows[i].offset);
      g_free(*text);
      *text = g_strdup(value);
      return true;
    }
  if (!strcmp(name, "as"))
    return parameters->xen = !strcmp(value, "xen");
  return !strcmp(name, "memory_mib") && number_take(value, INT64_C(1) << 40, &parameters->memory_mib);
}

void fake_parameters_clear(FakeParameters *parameters)
{
  g_free(parameters->ready);
  g_free(parameters->state_path);
  g_free(parameters->control_path);
  g_free(parameters->gpus);
  g_free(parameters->cpu);
  g_free(parameters->features);
  *parameters = (FakeParameters){ 0 };
}

static bool query_take(FakeParameters *parameters, const char *query)
{
  g_autoptr(GHashTable) all = query ? g_uri_parse_params(query, -1, "&;", G_URI_PARAMS_NONE, NULL) : NULL;
  GHashTableIter iter;
  void *name, *value;
  if (!all)
    return !query;
  g_hash_table_iter_init(&iter, all);
  while (g_hash_table_iter_next(&iter, &name, &value))
    if (!parameter_take(parameters, name, value))
      return false;
  return true;
}

bool fake_parameters_take(FakeHost *host, const char *text, GError **err)
{
  if (host->opened)
    return true;
  g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_ENCODED_QUERY, NULL);
  FakeParameters parameters = { .cpus = 16, .memory_mib = 65536, .page_kib = 2048, .shutdown_ms = 20, .ready = g_strdup("sarang: ready") };
  if (!uri || !query_take(&parameters, g_uri_get_query(uri))) {
    fake_parameters_clear(&parameters);
    return error_false(err, REASON_BAD_URI, "uri", text, "detail", "the fake does not know that parameter or value", NULL);
  }
  fake_parameters_clear(&host->parameters);
  host->parameters = parameters;
  if (parameters.state_path && !fake_state_open(host, err))
    return false;
  host->opened = true;
  if (parameters.xen && parameters.gpus)
    fake_cards_xen(parameters.gpus);
  if (parameters.control_path)
    fake_control_watch();
  return true;
}

/* ── commands ───────────────────────────────────────────────────────────── */

typedef struct {
  FakeHost *host;
  FakeDomain *domain;   /* rows with a domain: found */
  FakeCall call;        /* rows with a call: parsed */
  char **words;         /* the command itself is words[0] */
} Command;

static bool bad(const char *field, const char *value, const char *limit, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", value, "limit", limit, NULL);
}

static bool count_take(const char *word, int *ret_count, GError **err)
{
  int64_t count = -1;
  if (strcmp(word, "always") && !number_take(word, 1000000, &count))
    return bad("count", word, "a number or always", err);
  *ret_count = (int)count;
  return true;
}

static bool switch_take(const char *word, bool *ret_on, GError **err)
{
  *ret_on = !strcmp(word, "on");
  return *ret_on || !strcmp(word, "off") || bad("switch", word, "on or off", err);
}

static bool do_fail(const Command *command, GError **err)
{
  FakeFault *fault = &command->host->faults[command->call];
  Reason reason = reason_find(command->words[3]);
  if (reason == N_REASONS)
    return bad("reason", command->words[3], "a reason's wire name", err);
  fault->reason = reason;
  return count_take(command->words[2], &fault->fail, err);
}

static bool do_slow(const Command *command, GError **err)
{
  return count_take(command->words[2], &command->host->faults[command->call].slow_ms, err);
}

static bool do_hang(const Command *command, GError **err)
{
  return count_take(command->words[2], &command->host->faults[command->call].hang, err);
}

static bool do_migration(const Command *command, GError **err)
{
  if (!fake_migration_parse(command->words[1], &command->host->way))
    return bad("way", command->words[1], "one of FAKE_MIGRATIONS", err);
  return count_take(command->words[2], &command->host->ways, err);
}

static bool do_release(const Command *command, GError **err)
{
  for (FakeCall call = 0; call < N_FAKE_CALLS; call++)
    command->host->faults[call].hang = 0;
  command->host->release++;
  pthread_cond_broadcast(&command->host->changed);
  return true;
}

static bool do_freeze(const Command *command, GError **err)
{
  command->host->frozen = true;
  return true;
}

static bool do_thaw(const Command *command, GError **err)
{
  command->host->frozen = false;
  pthread_cond_broadcast(&command->host->changed);
  return true;
}

static bool do_lose(const Command *command, GError **err)
{
  fake_host_lose(command->host, "libvirtd closed the connection");
  return true;
}

static bool do_die(const Command *command, GError **err)
{
  GHashTableIter iter;
  void *domain;
  command->host->dead = true;
  fake_host_lose(command->host, "the host does not answer");
  g_hash_table_iter_init(&iter, command->host->domains);
  while (g_hash_table_iter_next(&iter, &domain, NULL))
    if (fake_is_active(domain))
      fake_domain_set(command->host, domain, DOMAIN_OFF);
  return true;
}

static bool do_live(const Command *command, GError **err)
{
  command->host->boots += command->host->dead;
  command->host->dead = false;
  return true;
}

static bool do_reboot(const Command *command, GError **err)
{
  do_die(command, err);
  if (command->host->parameters.gpus)
    fake_cards_reboot(command->host->parameters.gpus);
  return do_live(command, err);
}

static bool do_power(const Command *command, GError **err)
{
  DomainState state;
  if (!domain_state_parse(command->words[2], &state))
    return bad("state", command->words[2], "off, on, suspended, saved or crashed", err);
  if (state == DOMAIN_ON && !fake_is_active(command->domain))
    fake_domain_start(command->host, command->domain);
  else
    fake_domain_set(command->host, command->domain, state);
  return true;
}

static bool do_gone(const Command *command, GError **err)
{
  fake_domain_remove(command->host, command->domain);
  return true;
}

static bool do_foreign(const Command *command, GError **err)
{
  if (fake_domain_find_any(command->host, command->words[1]))
    return error_false(err, REASON_EXISTS, "kind", "domain", "name", command->words[1], NULL);
  FakeDomain *domain = g_new0(FakeDomain, 1);
  g_autofree char *uuid = g_uuid_string_random();
  fake_uuid_parse(uuid, domain->uuid);
  domain->name = g_strdup(command->words[1]);
  domain->vcpus = 1;
  domain->memory_mib = 1024;
  fake_domain_add(command->host, domain);
  fake_domain_start(command->host, domain);
  return true;
}

static bool cards_dir(const Command *command, const char **ret_dir, GError **err)
{
  *ret_dir = command->host->parameters.gpus;
  return *ret_dir || bad("command", command->words[0], "given to a host with gpus=DIR", err);
}

static bool do_card(const Command *command, GError **err)
{
  const char *dir;
  bool ok = cards_dir(command, &dir, err) && fake_cards_add(dir, command->words[1], command->words[2], err);
  if (ok)
    fake_devices_changed(command->host);
  return ok;
}

static bool do_nocard(const Command *command, GError **err)
{
  const char *dir;
  if (!cards_dir(command, &dir, err))
    return false;
  fake_cards_lose(dir, command->words[1]);
  fake_devices_changed(command->host);
  return true;
}

static bool do_mdev(const Command *command, GError **err)
{
  const char *dir;
  g_autofree char *uuid = g_uuid_string_random();
  bool ok = cards_dir(command, &dir, err) &&
            fake_cards_mdev_create(dir, command->host->name, command->words[1], command->words[2], uuid, err);
  if (ok)
    fake_devices_changed(command->host);
  return ok;
}

static bool do_sticky(const Command *command, GError **err)
{
  bool on;
  bool ok = switch_take(command->words[2], &on, err);
  if (ok)
    command->domain->sticky = on;
  return ok;
}

static bool do_deaf(const Command *command, GError **err)
{
  bool on;
  bool ok = switch_take(command->words[2], &on, err);
  if (ok)
    command->domain->deaf = on;
  return ok;
}

static bool do_agent(const Command *command, GError **err)
{
  bool on;
  bool ok = switch_take(command->words[2], &on, err);
  if (ok) {
    command->domain->agent_off = !on;
    fake_domain_changed(command->host, command->domain);
  }
  return ok;
}

static bool do_transient(const Command *command, GError **err)
{
  bool on;
  bool ok = switch_take(command->words[2], &on, err);
  if (ok) {
    command->domain->transient = on;
    fake_domain_changed(command->host, command->domain);
  }
  return ok;
}

static bool do_mute(const Command *command, GError **err)
{
  return switch_take(command->words[1], &command->host->mute, err);
}

static bool do_user(const Command *command, GError **err)
{
  fake_guest_login(command->domain, command->words[2]);
  return true;
}

static bool do_account(const Command *command, GError **err)
{
  fake_guest_account(command->domain, command->words[2]);
  fake_state_account(command->host, command->domain, command->words[2]);
  return true;
}

static bool do_lease(const Command *command, GError **err)
{
  g_free(command->domain->lease);
  command->domain->lease = g_strdup(command->words[2]);
  return true;
}

static bool do_claim(const Command *command, GError **err)
{
  g_free(command->domain->told);
  command->domain->told = g_strdup(command->words[2]);
  return true;
}

static bool do_serial(const Command *command, GError **err)
{
  g_autofree char *line = g_strjoinv(" ", command->words + 2);
  fake_domain_write(command->host, command->domain, line);
  return true;
}

/* first: what the first word after the command is */
static const struct {
  const char *name;
  enum { NOTHING, CALL, DOMAIN, NAME } first;
  guint words;
  bool more;
  bool (*run)(const Command *command, GError **err);
} command_rows[] = {
  { "fail", CALL, 4, false, do_fail },
  { "slow", CALL, 3, false, do_slow },
  { "hang", CALL, 3, false, do_hang },
  { "migration", NAME, 3, false, do_migration },
  { "release", NOTHING, 1, false, do_release },
  { "freeze", NOTHING, 1, false, do_freeze },
  { "thaw", NOTHING, 1, false, do_thaw },
  { "lose", NOTHING, 1, false, do_lose },
  { "die", NOTHING, 1, false, do_die },
  { "live", NOTHING, 1, false, do_live },
  { "power", DOMAIN, 3, false, do_power },
  { "gone", DOMAIN, 2, false, do_gone },
  { "transient", DOMAIN, 3, false, do_transient },
  { "mute", NAME, 2, false, do_mute },
  { "foreign", NAME, 2, false, do_foreign },
  { "deaf", DOMAIN, 3, false, do_deaf },
  { "card", NAME, 3, false, do_card },
  { "nocard", NAME, 2, false, do_nocard },
  { "mdev", NAME, 3, false, do_mdev },
  { "reboot", NOTHING, 1, false, do_reboot },
  { "sticky", DOMAIN, 3, false, do_sticky },
  { "agent", DOMAIN, 3, false, do_agent },
  { "user", DOMAIN, 3, false, do_user },
  { "account", DOMAIN, 3, false, do_account },
  { "lease", DOMAIN, 3, false, do_lease },
  { "claim", DOMAIN, 3, false, do_claim },
  { "serial", DOMAIN, 3, true, do_serial },
};

static bool first_take(Command *command, int first, GError **err)
{
  const char *word = command->words[1];
  if (first == CALL && !fake_call_parse(word, &command->call))
    return bad("call", word, "a verb of the hypervisor contract", err);
  if (first == DOMAIN && !(command->domain = fake_domain_find_any(command->host, word)))
    return error_false(err, REASON_NOT_FOUND, "kind", "domain", "name", word, NULL);
  return true;
}

/* Lock held. */
static bool obey(FakeHost *host, const char *line, GError **err)
{
  g_auto(GStrv) words = g_strsplit(line, " ", 64);
  Command command = { .host = host, .words = words };
  guint n = g_strv_length(words);
  for (size_t i = 0; n && i < G_N_ELEMENTS(command_rows); i++) {
    if (strcmp(command_rows[i].name, words[0]))
      continue;
    if (n != command_rows[i].words && !(command_rows[i].more && n > command_rows[i].words))
      return bad("command", line, "as many words as drivers/hypervisor/fake.h says", err);
    return first_take(&command, command_rows[i].first, err) && command_rows[i].run(&command, err);
  }
  return bad("command", line, "one of drivers/hypervisor/fake.h", err);
}

bool fake_do(const char *name, const char *line, GError **err)
{
  FakeHost *host = fake_host(name);
  pthread_mutex_lock(&host->lock);
  bool ok = obey(host, line, err);
  pthread_mutex_unlock(&host->lock);
  return ok;
}

/* ── the control file ───────────────────────────────────────────────────── */

/* What was appended since the last look, up to its last whole line; NULL = nothing. */
static char *appended(FakeHost *host)
{
  FILE *file = fopen(host->parameters.control_path, "re");
  if (!file)
    return NULL;
  char text[8192];
  size_t n = fseek(file, host->control_offset, SEEK_SET) ? 0 : fread(text, 1, sizeof text, file);
  fclose(file);
  while (n && text[n - 1] != '\n')
    n--;
  host->control_offset += (int64_t)n;
  return n ? g_strndup(text, n) : NULL;
}

void fake_control_poll(FakeHost *host)
{
  pthread_mutex_lock(&host->lock);
  g_autofree char *text = host->parameters.control_path ? appended(host) : NULL;
  g_auto(GStrv) lines = text ? g_strsplit(text, "\n", -1) : NULL;
  for (char **line = lines; line && *line; line++) {
    g_autoptr(GError) err = NULL;
    if (**line && !obey(host, *line, &err))
      log_warning("fake", "a command could not be obeyed", "host", host->name, "error", err->message);
  }
  pthread_mutex_unlock(&host->lock);
}

/* ── for tests ──────────────────────────────────────────────────────────── */

bool fake_figures(const char *name, FakeFigures *ret_figures)
{
  FakeHost *host = fake_host_find(name);
  if (!host)
    return false;
  pthread_mutex_lock(&host->lock);
  *ret_figures = (FakeFigures){
    .connections = (int)host->connections->len,
    .domains = (int)g_hash_table_size(host->domains),
    .running = host->running,
    .hung = host->hung,
  };
  memcpy(ret_figures->calls, host->calls, sizeof host->calls);
  pthread_mutex_unlock(&host->lock);
  return true;
}

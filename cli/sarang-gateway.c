/* sarang-gateway: options, signals, and the gateway. Everything it does is in drivers/console/. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "core/config.h"
#include "core/error.h"
#include "core/log.h"
#include "core/version.h"
#include "drivers/console/gateway.h"
#include "drivers/runtime/notify.h"

enum { EXIT_USAGE = 2 };

typedef struct {
  char *file;
  gboolean dump, version;
  GStrvBuilder *sets;
} Options;

/* Options that people type often; each is a --set of its own. */
static const struct { const char *name, *sets, *help; bool flag; } shortcuts[] = {
  { "listen", "gateway.listen=", "address of the public port, ADDRESS:PORT; several with ;", false },
  { "origins", "gateway.origins=", "names people know us by, https://HOST[:PORT]; several with ;", false },
  { "static", "gateway.static=", "folder of the page's files", false },
  { "socket", "gateway.socket=", "sarangd's socket for gateways", false },
  { "state-dir", "gateway.state-dir=", "where a self-signed certificate is kept", false },
  { "certificate", "tls.certificate=", "PEM file of the certificate", false },
  { "key", "tls.key=", "PEM file of its key", false },
  { "self-signed", "tls.self-signed=true", "make a certificate, to try things out", true },
  { "plain", "gateway.plain=true", "plain HTTP, on loopback addresses alone", true },
};

static gboolean shortcut_take(const char *name, const char *value, gpointer data, GError **err)
{
  Options *o = data;
  for (size_t i = 0; i < G_N_ELEMENTS(shortcuts); i++)
    if (!strcmp(name + 2, shortcuts[i].name)) {
      g_autofree char *set = g_strconcat(shortcuts[i].sets, shortcuts[i].flag ? "" : value, NULL);
      g_strv_builder_add(o->sets, set);
    }
  return TRUE;
}

static gboolean set_take(const char *name, const char *value, gpointer data, GError **err)
{
  Options *o = data;
  g_strv_builder_add(o->sets, value);
  return TRUE;
}

static bool options_parse(int *argc, char ***argv, Options *o, GError **err)
{
  GOptionEntry entries[G_N_ELEMENTS(shortcuts) + 5] = {
    { "config", 'c', 0, G_OPTION_ARG_FILENAME, &o->file, "configuration file", "FILE" },
    { "set", 's', 0, G_OPTION_ARG_CALLBACK, set_take, "one option over the file's", "GROUP.KEY=VALUE" },
    { "dump-config", 0, 0, G_OPTION_ARG_NONE, &o->dump, "print every option with its value, limits and default", NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &o->version, "print the version and end", NULL },
  };
  for (size_t i = 0; i < G_N_ELEMENTS(shortcuts); i++)
    entries[4 + i] = (GOptionEntry){ shortcuts[i].name, 0, shortcuts[i].flag ? G_OPTION_FLAG_NO_ARG : 0, G_OPTION_ARG_CALLBACK,
                                     shortcut_take, shortcuts[i].help, shortcuts[i].flag ? NULL : "VALUE" };
  g_autoptr(GOptionContext) context = g_option_context_new("- the only door for people: page, API and consoles on one port");
  GOptionGroup *group = g_option_group_new("", "", "", o, NULL);
  g_option_group_add_entries(group, entries);
  g_option_context_set_main_group(context, group);
  if (!g_option_context_parse(context, argc, argv, err))
    return false;
  if (*argc > 1)
    return error_false(err, REASON_UNKNOWN_FIELD, "field", (*argv)[1], "known", "--help lists the options", NULL);
  return true;
}

/* Connections need descriptors; a core file would hold tickets. */
static void limits_set(const GatewayConfig *config)
{
  struct rlimit files = { 0 }, none = { 0, 0 };
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  setrlimit(RLIMIT_CORE, &none);
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  rlim_t wanted = (rlim_t)(config->connections + 2 * config->relays + 64);
  if (files.rlim_cur < wanted) {
    g_autofree char *have = g_strdup_printf("%llu", (unsigned long long)files.rlim_cur);
    g_autofree char *want = g_strdup_printf("%llu", (unsigned long long)wanted);
    log_warning("gateway", "fewer file descriptors than the limits need", "have", have, "want", want);
  }
}

static void reload(Gateway *gateway)
{
  g_autoptr(GError) err = NULL;
  if (gateway_reload(gateway, &err))
    log_info("gateway", "certificate and files were read again");
  else
    log_error("gateway", "certificate and files stay as they were", "why", err->message);
}

/* Serves until told to end; a second signal ends it at once. */
static void serve(Gateway *gateway, const GatewayConfig *config, const sigset_t *signals)
{
  int signal_number;
  while (!sigwait(signals, &signal_number) && signal_number == SIGHUP)
    reload(gateway);
  notify_systemd("STOPPING=1");
  log_info("gateway", "stopping");
  gateway_stop(gateway);
  int64_t until_us = g_get_monotonic_time() + (config->stop_s + 5) * G_USEC_PER_SEC;
  struct timespec no_wait = { 0, 0 };
  while (!gateway_wait(gateway, MIN(until_us, g_get_monotonic_time() + G_USEC_PER_SEC / 10)))
    if (sigtimedwait(signals, NULL, &no_wait) > 0 || g_get_monotonic_time() >= until_us)
      break;
}

static int run(const Options *o, GError **err)
{
  g_auto(GStrv) sets = g_strv_builder_end(o->sets);
  GatewayConfig *config = NULL;
  sigset_t signals;
  if (!config_load(&gateway_config_table, o->file, (const char *const *)sets, &config, err))
    return EXIT_USAGE;
  if (o->dump) {
    g_autofree char *text = config_dump(&gateway_config_table, config);
    fputs(text, stdout);
    config_free(&gateway_config_table, config);
    return 0;
  }
  log_set_level((LogLevel)config->level);
  limits_set(config);
  signal(SIGPIPE, SIG_IGN);
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  Gateway *gateway = gateway_new(config, err);
  if (gateway) {
    notify_systemd("READY=1");
    serve(gateway, config, &signals);
  }
  gateway_free(gateway);
  config_free(&gateway_config_table, config);
  return gateway ? 0 : error_class_exit(error_class(*err));
}

int main(int argc, char **argv)
{
  g_autoptr(GStrvBuilder) sets = g_strv_builder_new();
  Options o = { .sets = sets };
  g_autoptr(GError) err = NULL;
  setlocale(LC_ALL, "");
  int status = options_parse(&argc, &argv, &o, &err) ? 0 : EXIT_USAGE;
  if (!status && o.version)
    puts("sarang-gateway " SARANG_VERSION);
  else if (!status)
    status = run(&o, &err);
  if (err) {
    g_autofree char *text = error_text(err, LANG_EN), *fix = error_fix(err, LANG_EN);
    fprintf(stderr, "sarang-gateway: %s%s%s\n", text, fix ? "; " : "", fix ? fix : "");
  }
  g_free(o.file);
  return status;
}

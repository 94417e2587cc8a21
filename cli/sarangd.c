/* sarangd: options, wiring, signals. What it does is in core/ and drivers/. */
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/guestnet.h"
#include "core/log.h"
#include "drivers/http/server.h"
#include "drivers/runtime/notify.h"
#include "drivers/runtime/places.h"
#include "drivers/runtime/runtime.h"
#include "core/version.h"
#include "drivers/store/store.h"

#define SARANGD_OPTIONS(X) \
  X(state, PATH, "state", "directory", 0, 4096, "/var/lib/sarang", "", "where the store is; made if it is missing, readable by us alone") \
  X(page_url, TEXT, "page", "url", 8, 255, "https://localhost:8443", "", "where people find the gateway's page, without a slash at the end") \
  X(requests, INT, "limits", "requests", 1, 1000000, "4096", "requests", "requests that may wait to be decided") \
  X(changes_burst, INT, "limits", "changes_burst", 1, 1000000, "60", "changes", \
    "that a person of role user or viewer has made at once over the network") \
  X(changes, INT, "limits", "changes_per_minute", 0, 1000000, "60", "changes", "that such a person has made a minute for ever; 0 = without bound") \
  X(staff_burst, INT, "limits", "staff_changes_burst", 1, 1000000, "600", "changes", \
    "that an operator or administrator has made at once over the network") \
  X(staff_changes, INT, "limits", "staff_changes_per_minute", 0, 1000000, "600", "changes", \
    "that such a one has made a minute for ever; 0 = without bound") \
  X(acceleration, CHOICE, "hosts", "acceleration", 0, 0, "auto", "auto|never", "auto: KVM where a host offers it; never: guests are emulated") \
  X(plain_tcp, BOOL, "hosts", "plain_tcp", 0, 0, "false", "", "take hosts by qemu+tcp, which neither encrypts nor asks who calls: for labs") \
  X(poll_s, INT, "hosts", "poll_s", 1, 3600, "30", "seconds", "between looks at each host beside its events") \
  X(guest_networks, LIST, "console", "guest_networks", 0, 64, "", "networks", \
    "where screens that are servers in guests may be, such as 10.20.0.0/16: sarangd and gateways connect to what guests name there; " \
    "empty: nowhere") \
  X(imports, PATH, "image", "import_directory", 1, 4000, NULL, "", \
    "where images must lie that are imported over the network; unset: imports in the state directory") \
  X(storages, LIST, "storage", "directories", 0, 64, "/srv;/var/lib/libvirt/images;/var/lib/xen/images", "directories", \
    "where storages must lie that are made over the network: sarangd writes there as root; elsewhere root on the local socket makes them") \
  X(event_days, INT, "history", "events_days", 0, 36500, "400", "days", "how long events are kept, who did what among them; 0 = for ever") \
  X(task_days, INT, "history", "tasks_days", 0, 36500, "30", "days", "how long finished tasks are kept; 0 = for ever") \
  X(session_days, INT, "history", "sessions_days", 0, 36500, "400", "days", "how long ended sessions are kept; 0 = for ever") \
  X(demand_days, INT, "history", "demands_days", 0, 36500, "800", "days", \
    "how long it is kept what was asked for, met or denied: for plan replay; 0 = for ever") \
  X(token_days, INT, "tokens", "max_days", 1, 3650, "366", "days", "how long a token for programs may last") \
  X(log_level, CHOICE, "log", "level", 0, 0, "info", "error|warning|info|debug", "what is logged") \
  HTTP_OPTIONS(X)

CONFIG_DECLARE(DaemonConfig, daemon_config, SARANGD_OPTIONS)
CONFIG_DEFINE(DaemonConfig, daemon_config, SARANGD_OPTIONS)

typedef struct {
  char *config_file;
  char **sets;
  gboolean dump, check, version;
} Arguments;

static void arguments_clear(Arguments *a)
{
  g_free(a->config_file);
  g_strfreev(a->sets);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

static bool arguments_parse(int *argc, char ***argv, Arguments *a, GError **err)
{
  const GOptionEntry entries[] = {
    { "config", 'c', 0, G_OPTION_ARG_FILENAME, &a->config_file, 
      "read options from FILE (default /etc/sarang/sarangd.conf, where there is one)", "FILE" },
    { "set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &a->sets, "one option, over the file; may be given again", "GROUP.KEY=VALUE" },
    { "dump-config", 0, 0, G_OPTION_ARG_NONE, &a->dump, "print the options that hold, each with its help, and end", NULL },
    { "check-store", 0, 0, G_OPTION_ARG_NONE, &a->check, "check the whole store and end", NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &a->version, "print the version and end", NULL },
    { NULL },
  };
  g_autoptr(GOptionContext) context = g_option_context_new("- the controller of Sarang");
  g_option_context_add_main_entries(context, entries, NULL);
  return g_option_context_parse(context, argc, argv, err);
}

static bool state_directory(const char *path, GError **err)
{
  if (g_mkdir_with_parents(path, 0700) == 0 && access(path, R_OK | W_OK | X_OK) == 0)
    return true;
  return error_false(err, REASON_IO, "action", "use", "path", path, "detail", g_strerror(errno), NULL);
}

/* /run is empty after each start of the machine. */
static bool socket_directory(const char *socket, GError **err)
{
  g_autofree char *dir = g_path_get_dirname(socket);
  return g_mkdir_with_parents(dir, 0755) == 0 || error_false(err, REASON_IO, "action", "make", "path", dir, "detail", g_strerror(errno), NULL);
}

static gboolean on_signal(void *loop)
{
  g_main_loop_quit(loop);
  return G_SOURCE_CONTINUE;
}

static void notify_ready(void)
{
  log_info("sarangd", "ready");
  notify_systemd("READY=1");
}

static bool serve(const DaemonConfig *config, const char *store_uri, GError **err)
{
  g_auto(Places) places = { 0 };
  g_auto(StorageGround) ground = { 0 };
  GuestNetworks networks;
  if (!guest_networks_parse((const char *const *)config->guest_networks, &networks, err) ||
      !places_prepare(config->state, config->imports, config->http_backups, &places, err) ||
      !places_ground(&places, config->state, config->storages, &ground, err))
    return false;
  RuntimeOptions options = {
    .store_uri = store_uri, .page_url = config->page_url, .requests_max = config->requests, .never_kvm = config->acceleration == 1,
    .allow_plain_tcp = config->plain_tcp, .poll_us = config->poll_s * G_USEC_PER_SEC,
    .guest_networks = &networks, .imports = places.imports, .ground = &ground, .token_days_max = config->token_days,
    .keep_days = { [NOUN_EVENT] = config->event_days, [NOUN_TASK] = config->task_days, [NOUN_SESSION] = config->session_days,
                   [NOUN_DEMAND] = config->demand_days },
    .rate = { config->changes_burst, config->changes }, .staff_rate = { config->staff_burst, config->staff_changes },
  };
  Runtime *runtime = runtime_new(&options, err);
  if (!runtime)
    return false;
  HttpConfig http = HTTP_CONFIG_OF_CONFIG();
  http.http_backups = places.backups;
  bool there = socket_directory(http.http_socket, err) && socket_directory(http.http_gateway_socket, err);
  Server *server = there ? server_open(&http, runtime, err) : NULL;
  if (server) {
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_unix_signal_add(SIGTERM, on_signal, loop);
    g_unix_signal_add(SIGINT, on_signal, loop);
    notify_ready();
    g_main_loop_run(loop);
    notify_systemd("STOPPING=1");
    log_info("sarangd", "stopping");
  }
  server_close(server);
  runtime_free(runtime);
  return server != NULL;
}

static bool check_store(const char *uri, GError **err)
{
  Store *store = store_open(uri, err);
  bool ok = store && store->driver->check(store, err);
  store_close(store);
  if (ok)
    puts("the store is whole");
  return ok;
}

static bool run(const Arguments *a, GError **err)
{
  static const char standard[] = "/etc/sarang/sarangd.conf";
  DaemonConfig *config = NULL;
  const char *file = a->config_file ? a->config_file : g_file_test(standard, G_FILE_TEST_EXISTS) ? standard : NULL;
  if (!config_load(&daemon_config_table, file, (const char *const *)a->sets, &config, err))
    return false;
  log_set_level(config->log_level);
  g_autofree char *uri = g_strdup_printf("sqlite:%s/sarang.db", config->state);
  bool ok = true;
  if (a->dump) {
    g_autofree char *text = config_dump(&daemon_config_table, config);
    fputs(text, stdout);
  } else {
    ok = state_directory(config->state, err);
    if (ok)
      ok = a->check ? check_store(uri, err) : serve(config, uri, err);
  }
  config_free(&daemon_config_table, config);
  return ok;
}

/* jemalloc reads it before main. Four arenas: with one for each thread the memory of a busy minute is kept once for every thread; a second
 * after it was freed it goes back to the system. Where libc's malloc is linked it is a string that nobody reads. */
const char *malloc_conf = "narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:true";

int main(int argc, char **argv)
{
  setlocale(LC_ALL, "");
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error of the write, and the store says so */
  g_auto(Arguments) a = { 0 };
  g_autoptr(GError) err = NULL;
  if (!arguments_parse(&argc, &argv, &a, &err)) {
    fprintf(stderr, "sarangd: %s\n", err->message);
    return 2;
  }
  if (a.version) {
    puts("sarangd " SARANG_VERSION);
    return 0;
  }
  if (run(&a, &err))
    return 0;
  g_autofree char *fix = error_fix(err, LANG_EN);
  fprintf(stderr, "sarangd: %s%s%s\n", err->message, fix ? "; " : "", fix ? fix : "");
  return error_class_exit(error_class(err));
}

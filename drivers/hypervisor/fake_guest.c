/* The inside of a fake guest: what qemu-guest-agent would answer, a few accounts, files and programs. */
#include <jansson.h>
#include <string.h>

#include "drivers/hypervisor/fake_world.h"

enum { ANSWER_FLAGS = JSON_COMPACT, FILES_MAX = 64, FILE_MAX_BYTES = 1 << 20 };

#define PERSONALISE "/usr/local/sbin/sarang-personalise"

typedef struct {
  char *path;
  size_t at;
} Handle;

typedef struct {
  int status;
  GString *out, *err;
} Process;

struct FakeGuest {
  GPtrArray *accounts;    /* of char *: beyond the template's own */
  GPtrArray *logins;      /* of char * */
  GHashTable *files;      /* path → GString */
  GHashTable *handles;    /* number → Handle */
  GHashTable *processes;  /* pid → Process */
  int next;
};

/* One command on its way. */
typedef struct {
  FakeHost *host;
  FakeDomain *domain;
  FakeGuest *guest;
  const json_t *arguments;
  const char *refused;    /* set instead of an answer */
  bool disappeared;       /* the agent went without an answer */
} Ask;

/* ── life ───────────────────────────────────────────────────────────────── */

static void handle_free(void *data)
{
  Handle *handle = data;
  g_free(handle->path);
  g_free(handle);
}

static void process_free(void *data)
{
  Process *process = data;
  g_string_free(process->out, TRUE);
  g_string_free(process->err, TRUE);
  g_free(process);
}

static void file_free(void *file)
{
  g_string_free(file, TRUE);
}

FakeGuest *fake_guest_ensure(FakeDomain *domain)
{
  if (domain->guest)
    return domain->guest;
  FakeGuest *guest = domain->guest = g_new0(FakeGuest, 1);
  guest->accounts = g_ptr_array_new_with_free_func(g_free);
  guest->logins = g_ptr_array_new_with_free_func(g_free);
  guest->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, file_free);
  guest->handles = g_hash_table_new_full(NULL, NULL, NULL, handle_free);
  guest->processes = g_hash_table_new_full(NULL, NULL, NULL, process_free);
  guest->next = 1000;
  return guest;
}

void fake_guest_free(FakeGuest *guest)
{
  if (!guest)
    return;
  g_ptr_array_unref(guest->accounts);
  g_ptr_array_unref(guest->logins);
  g_hash_table_unref(guest->files);
  g_hash_table_unref(guest->handles);
  g_hash_table_unref(guest->processes);
  g_free(guest);
}

void fake_guest_boot(FakeGuest *guest)
{
  g_ptr_array_set_size(guest->logins, 0);
  g_hash_table_remove_all(guest->handles);
  g_hash_table_remove_all(guest->processes);
}

static void name_add(GPtrArray *names, const char *name)
{
  if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
    g_ptr_array_add(names, g_strdup(name));
}

void fake_guest_login(FakeDomain *domain, const char *login) { name_add(fake_guest_ensure(domain)->logins, login); }
void fake_guest_account(FakeDomain *domain, const char *login) { name_add(fake_guest_ensure(domain)->accounts, login); }
const GPtrArray *fake_guest_accounts(const FakeGuest *guest) { return guest ? guest->accounts : NULL; }

/* ── arguments ──────────────────────────────────────────────────────────── */

static const char *text_argument(const Ask *ask, const char *name)
{
  return json_string_value(json_object_get(ask->arguments, name));
}

static int64_t number_argument(const Ask *ask, const char *name)
{
  return json_integer_value(json_object_get(ask->arguments, name));
}

static json_t *refuse(Ask *ask, const char *why)
{
  ask->refused = why;
  return NULL;
}

static json_t *base64(const GString *text)
{
  g_autofree char *coded = g_base64_encode((const guchar *)text->str, text->len);
  return json_string(coded);
}

/* ── programs ───────────────────────────────────────────────────────────── */

static int run_echo(const Ask *ask, const char *const *argv, const GString *input, Process *process)
{
  for (const char *const *word = argv; *word; word++)
    g_string_append_printf(process->out, "%s%s", word == argv ? "" : " ", *word);
  g_string_append_c(process->out, '\n');
  return 0;
}

static int run_cat(const Ask *ask, const char *const *argv, const GString *input, Process *process)
{
  g_string_append_len(process->out, input->str, (gssize)input->len);
  return 0;
}

static int run_true(const Ask *ask, const char *const *argv, const GString *input, Process *process) { return 0; }
static int run_false(const Ask *ask, const char *const *argv, const GString *input, Process *process) { return 1; }

/* See guest_personalise() in drivers/guest/guest.h for what it reads. */
static int run_personalise(const Ask *ask, const char *const *argv, const GString *input, Process *process)
{
  g_auto(GStrv) lines = g_strsplit(input->str, "\n", -1);
  const char *name = NULL;
  bool whole = false;
  for (char **line = lines; *line; line++) {
    if (g_str_has_prefix(*line, "name="))
      name = *line + strlen("name=");
    whole |= !strcmp(*line, "end=1");
  }
  if (!name || !whole) {
    g_string_append(process->err, "the list has no name, or no end\n");
    return 2;
  }
  fake_guest_account(ask->domain, name);
  fake_state_account(ask->host, ask->domain, name);
  return 0;
}

/* See guest_screen_password() in drivers/guest/guest.h. What it was told last is in a file. */
static int run_screen(const Ask *ask, const char *const *argv, const GString *input, Process *process)
{
  g_hash_table_replace(ask->guest->files, g_strdup("/run/sarang-screen"), g_string_new_len(input->str, (gssize)input->len));
  return strstr(input->str, "end=1\n") ? 0 : 2;
}

static const struct { const char *path; int (*run)(const Ask *, const char *const *, const GString *, Process *); } programs[] = {
  { "/bin/echo", run_echo },
  { "/bin/cat", run_cat },
  { "/bin/true", run_true },
  { "/bin/false", run_false },
  { PERSONALISE, run_personalise },
  { "/usr/local/sbin/sarang-screen", run_screen },
};

static json_t *run_exec(Ask *ask)
{
  const char *path = text_argument(ask, "path"), *coded = text_argument(ask, "input-data");
  for (size_t i = 0; path && i < G_N_ELEMENTS(programs); i++) {
    if (strcmp(programs[i].path, path))
      continue;
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const json_t *words = json_object_get(ask->arguments, "arg");
    for (size_t k = 0; k < json_array_size(words); k++)
      g_ptr_array_add(argv, (void *)json_string_value(json_array_get(words, k)));
    g_ptr_array_add(argv, NULL);
    gsize bytes = 0;
    g_autofree guchar *raw = coded ? g_base64_decode(coded, &bytes) : NULL;
    GString *input = g_string_new_len((const char *)raw, (gssize)bytes);
    Process *process = g_new0(Process, 1);
    process->out = g_string_new(NULL);
    process->err = g_string_new(NULL);
    process->status = programs[i].run(ask, (const char *const *)argv->pdata, input, process);
    g_string_free(input, TRUE);
    int pid = ask->guest->next++;
    g_hash_table_insert(ask->guest->processes, GINT_TO_POINTER(pid), process);
    return json_pack("{s:i}", "pid", pid);
  }
  return refuse(ask, "Guest agent command failed, error was 'Failed to execute child process (No such file or directory)'");
}

static json_t *run_exec_status(Ask *ask)
{
  int pid = (int)number_argument(ask, "pid");
  Process *process = g_hash_table_lookup(ask->guest->processes, GINT_TO_POINTER(pid));
  if (!process)
    return refuse(ask, "Invalid parameter 'pid'");
  json_t *answer = json_pack("{s:b, s:i}", "exited", 1, "exitcode", process->status);
  if (process->out->len)
    json_object_set_new(answer, "out-data", base64(process->out));
  if (process->err->len)
    json_object_set_new(answer, "err-data", base64(process->err));
  g_hash_table_remove(ask->guest->processes, GINT_TO_POINTER(pid));
  return answer;
}

/* ── files ──────────────────────────────────────────────────────────────── */

static GString *passwd(const FakeGuest *guest)
{
  GString *text = g_string_new("root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
                               "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
  for (guint i = 0; i < guest->accounts->len; i++)
    g_string_append_printf(text, "%s:x:%u:%u::/home/%s:/bin/bash\n", (char *)guest->accounts->pdata[i], 1000 + i, 1000 + i,
                           (char *)guest->accounts->pdata[i]);
  return text;
}

static json_t *run_file_open(Ask *ask)
{
  const char *path = text_argument(ask, "path");
  if (!path)
    return refuse(ask, "Parameter 'path' is missing");
  if (!strcmp(path, PERSONALISE))
    g_hash_table_replace(ask->guest->files, g_strdup(path), g_string_new("#!/bin/sh\n"));
  if (!strcmp(path, "/etc/passwd"))
    g_hash_table_replace(ask->guest->files, g_strdup(path), passwd(ask->guest));
  if (!g_hash_table_contains(ask->guest->files, path))
    return refuse(ask, "failed to open file: No such file or directory");
  Handle *handle = g_new0(Handle, 1);
  handle->path = g_strdup(path);
  int number = ask->guest->next++;
  g_hash_table_insert(ask->guest->handles, GINT_TO_POINTER(number), handle);
  return json_integer(number);
}

static Handle *handle_find(Ask *ask, GString **ret_file)
{
  Handle *handle = g_hash_table_lookup(ask->guest->handles, GINT_TO_POINTER((int)number_argument(ask, "handle")));
  *ret_file = handle ? g_hash_table_lookup(ask->guest->files, handle->path) : NULL;
  if (!*ret_file)
    refuse(ask, "handle has not been found");
  return *ret_file ? handle : NULL;
}

static json_t *run_file_read(Ask *ask)
{
  GString *file;
  Handle *handle = handle_find(ask, &file);
  int64_t wanted = number_argument(ask, "count");
  if (!handle)
    return NULL;
  size_t bytes = MIN(file->len - MIN(handle->at, file->len), (size_t)CLAMP(wanted, 0, 48 << 10));
  g_autofree char *coded = g_base64_encode((const guchar *)file->str + handle->at, bytes);
  handle->at += bytes;
  return json_pack("{s:I, s:s, s:b}", "count", (json_int_t)bytes, "buf-b64", coded, "eof", handle->at >= file->len);
}

static json_t *run_file_close(Ask *ask)
{
  int number = (int)number_argument(ask, "handle");
  if (!g_hash_table_remove(ask->guest->handles, GINT_TO_POINTER(number)))
    return refuse(ask, "handle has not been found");
  return json_object();
}

/* ── the other commands ─────────────────────────────────────────────────── */

static json_t *run_nothing(Ask *ask) { return json_object(); }
static json_t *run_sync(Ask *ask) { return json_integer(number_argument(ask, "id")); }

static json_t *run_users(Ask *ask)
{
  json_t *users = json_array();
  for (guint i = 0; i < ask->guest->logins->len; i++)
    json_array_append_new(users, json_pack("{s:s, s:f}", "user", ask->guest->logins->pdata[i], "login-time", 1700000000.5));
  return users;
}

static json_t *run_set_password(Ask *ask)
{
  const char *user = text_argument(ask, "username");
  bool known = user && (!strcmp(user, "root") || g_ptr_array_find_with_equal_func(ask->guest->accounts, user, g_str_equal, NULL));
  return known ? json_object() : refuse(ask, "child process has failed to set user password");
}

static json_t *run_interfaces(Ask *ask)
{
  const uint8_t *u = ask->domain->uuid;
  g_autofree char *mac = g_strdup_printf("52:54:00:%02x:%02x:%02x", u[13], u[14], u[15]);
  g_autofree char *own = g_strdup_printf("10.%d.%d.%d", u[13], u[14], u[15]);
  const char *address = ask->domain->told ? ask->domain->told : own;
  return json_pack("[{s:s, s:[{s:s, s:s, s:i}]}, {s:s, s:s, s:[{s:s, s:s, s:i}]}]",
                   "name", "lo", "ip-addresses", "ip-address", "127.0.0.1", "ip-address-type", "ipv4", "prefix", 8,
                   "name", "eth0", "hardware-address", mac,
                   "ip-addresses", "ip-address", address, "ip-address-type", "ipv4", "prefix", 8);
}

static json_t *run_osinfo(Ask *ask)
{
  return json_pack("{s:s, s:s, s:s}", "id", "debian", "name", "Debian GNU/Linux", "version-id", "12");
}

static json_t *run_info(Ask *ask)
{
  return json_pack("{s:s, s:[]}", "version", "7.2.0", "supported_commands");
}

static const struct { const char *name; json_t *(*run)(Ask *ask); } commands[] = {
  { "guest-ping", run_nothing },
  { "guest-sync", run_sync },
  { "guest-info", run_info },
  { "guest-get-osinfo", run_osinfo },
  { "guest-get-users", run_users },
  { "guest-exec", run_exec },
  { "guest-exec-status", run_exec_status },
  { "guest-set-user-password", run_set_password },
  { "guest-network-get-interfaces", run_interfaces },
  { "guest-file-open", run_file_open },
  { "guest-file-read", run_file_read },
  { "guest-file-flush", run_nothing },
  { "guest-file-close", run_file_close },
};

bool fake_guest_ask(FakeHost *host, FakeDomain *domain, const char *text, char **ret_json, GError **err)
{
  json_t *command = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  const char *name = json_string_value(json_object_get(command, "execute"));
  Ask ask = { host, domain, fake_guest_ensure(domain), json_object_get(command, "arguments"), "The command has not been found", false };
  json_t *answer = NULL;
  for (size_t i = 0; name && i < G_N_ELEMENTS(commands); i++)
    if (!strcmp(commands[i].name, name)) {
      ask.refused = NULL;
      answer = commands[i].run(&ask);
    }
  if (answer) {
    json_t *whole = json_pack("{s:o}", "return", answer);
    char *json = json_dumps(whole, ANSWER_FLAGS);
    *ret_json = g_strdup(json);
    free(json);
    json_decref(whole);
  } else if (ask.disappeared) {
    error_set(err, REASON_NO_AGENT, "domain", domain->name, "detail", "the agent disappeared while executing the command", NULL);
  } else {
    error_set(err, REASON_AGENT_REFUSED, "domain", domain->name, "command", name ? name : "?", "detail", ask.refused, NULL);
  }
  json_decref(command);
  return answer;
}

/* The qemu-guest-agent protocol (QEMU's docs/interop/qemu-ga-ref): one JSON command, one JSON answer. */
#include <gio/gio.h>
#include <jansson.h>
#include <string.h>

#include "core/text.h"
#include "drivers/guest/guest.h"

enum { ANSWER_DEPTH_LEVELS = 64, POLL_FIRST_US = 20000, POLL_MOST_US = 250000, CALL_MOST_S = 30, NAME_CHARACTERS = 256, ADDRESSES_MAX = 256 };

static bool unusable(const Guest *guest, const char *command, const char *detail, GError **err)
{
  return error_false(err, REASON_GUEST_ANSWER, "domain", guest->name, "command", command, "detail", detail, NULL);
}

/* ── one command ──────────────────────────────────────────────────────────── */

/* Seconds that one call may take: libvirt counts in whole ones. 0 = the guest's time is over. */
static int seconds_left(const Guest *guest)
{
  int64_t left = guest->deadline_us - g_get_monotonic_time();
  return left <= 0 ? 0 : (int)MIN((left + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC, CALL_MOST_S);
}

static bool too_deep(const char *text)
{
  int depth = 0;
  bool quoted = false;
  for (; *text; text++) {
    if (quoted && *text == '\\' && text[1])
      text++;
    else if (*text == '"')
      quoted = !quoted;
    else if (!quoted && (*text == '[' || *text == '{') && ++depth > ANSWER_DEPTH_LEVELS)
      return true;
    else if (!quoted && (*text == ']' || *text == '}'))
      depth--;
  }
  return false;
}

/* The "return" member of an answer, with a reference; NULL with GUEST_ANSWER. */
static json_t *answer_read(const Guest *guest, const char *command, const char *text, GError **err)
{
  if (strlen(text) > GUEST_ANSWER_MAX_BYTES || too_deep(text)) {
    unusable(guest, command, "it is too large", err);
    return NULL;
  }
  json_auto_t *answer = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  json_t *value = json_object_get(answer, "return");
  if (value)
    return json_incref(value);
  unusable(guest, command, "it is not the JSON that is wanted", err);
  return NULL;
}

/* Takes arguments (NULL = none). The answer is owned by the caller; NULL with an error. */
static json_t *ask(const Guest *guest, const char *command, json_t *take_arguments, GError **err)
{
  json_auto_t *arguments = take_arguments;
  json_auto_t *request = json_pack("{ss}", "execute", command);
  if (arguments)
    json_object_set(request, "arguments", arguments);
  int seconds = seconds_left(guest);
  if (!seconds)
    return error_null(err, REASON_TIMEOUT, "what", command, "limit", "the guest's time", NULL);
  char *text = json_dumps(request, JSON_COMPACT);
  g_autofree char *answer = NULL;
  bool ok = guest->wire.ask(guest->wire.owner, text, seconds, &answer, err);
  memset(text, 0, strlen(text)); /* it may hold a password's hash */
  g_free(text);
  return ok ? answer_read(guest, command, answer, err) : NULL;
}

static bool done(json_t *take_answer)
{
  json_decref(take_answer);
  return take_answer != NULL;
}

static bool agent_ping(const Guest *guest, GError **err)
{
  return done(ask(guest, "guest-ping", NULL, err));
}

/* ── who is there ─────────────────────────────────────────────────────────── */

static void user_free(void *user)
{
  GuestUser *u = user;
  g_free(u->name);
  g_free(u->domain);
  g_free(u);
}

static bool user_read(const Guest *guest, json_t *entry, GPtrArray *users, GError **err)
{
  const char *name = json_string_value(json_object_get(entry, "user")), *domain = json_string_value(json_object_get(entry, "domain"));
  if (!name)
    return unusable(guest, "guest-get-users", "a user has no name", err);
  GuestUser *user = g_new0(GuestUser, 1);
  user->name = text_dup_visible(name, NAME_CHARACTERS);
  user->domain = domain ? text_dup_visible(domain, NAME_CHARACTERS) : NULL;
  double login = json_number_value(json_object_get(entry, "login-time"));
  user->login_us = login > 0 && login < 1e11 ? (int64_t)(login * G_USEC_PER_SEC) : 0;
  g_ptr_array_add(users, user);
  return true;
}

static bool agent_users(const Guest *guest, GPtrArray **ret_users, GError **err)
{
  json_auto_t *list = ask(guest, "guest-get-users", NULL, err);
  if (!list)
    return false;
  if (!json_is_array(list))
    return unusable(guest, "guest-get-users", "it is not a list", err);
  if (json_array_size(list) > GUEST_USERS_MAX)
    return error_false(err, REASON_TOO_LARGE, "what", "the list of users", "value", "longer", "limit", "256", NULL);
  g_autoptr(GPtrArray) users = g_ptr_array_new_with_free_func(user_free);
  size_t i;
  json_t *entry;
  json_array_foreach(list, i, entry)
    if (!user_read(guest, entry, users, err))
      return false;
  *ret_users = g_steal_pointer(&users);
  return true;
}

/* ── programs ─────────────────────────────────────────────────────────────── */

static json_t *exec_arguments(const GuestCommand *command)
{
  json_t *arguments = json_pack("{ss sb}", "path", command->argv[0], "capture-output", 1);
  json_t *list = json_array();
  for (const char *const *a = command->argv + 1; *a; a++)
    json_array_append_new(list, json_string(*a));
  json_object_set_new(arguments, "arg", list);
  if (command->input) {
    g_autofree char *input = g_base64_encode((const guchar *)command->input, command->input_bytes);
    json_object_set_new(arguments, "input-data", json_string(input));
  }
  return arguments;
}

static char *output_read(json_t *status, const char *member, bool *cut)
{
  const char *text = json_string_value(json_object_get(status, member));
  gsize n = 0;
  g_autofree guchar *bytes = text ? g_base64_decode(text, &n) : NULL;
  *cut = *cut || n > GUEST_OUTPUT_MAX_BYTES;
  return g_utf8_make_valid(bytes ? (char *)bytes : "", MIN(n, GUEST_OUTPUT_MAX_BYTES));
}

/* A guest may name any number: what no system has becomes the nearest that one has. */
static int status_read(json_t *status)
{
  json_t *code = json_object_get(status, "exitcode"), *signal = json_object_get(status, "signal");
  if (json_is_integer(code))
    return (int)CLAMP(json_integer_value(code), G_MININT32, G_MAXINT32);
  return 128 + (int)CLAMP(json_integer_value(signal), 0, 127);
}

static void result_read(json_t *status, GuestResult *ret_result)
{
  GuestResult result = { .status = status_read(status) };
  result.cut = json_is_true(json_object_get(status, "out-truncated")) || json_is_true(json_object_get(status, "err-truncated"));
  result.out = output_read(status, "out-data", &result.cut);
  result.err = output_read(status, "err-data", &result.cut);
  *ret_result = result;
}

static bool exec_wait(const Guest *guest, int64_t pid, const char *program, GuestResult *ret_result, GError **err)
{
  for (int64_t pause_us = POLL_FIRST_US;; pause_us = MIN(pause_us * 2, POLL_MOST_US)) {
    json_auto_t *status = ask(guest, "guest-exec-status", json_pack("{sI}", "pid", (json_int_t)pid), err);
    if (!status)
      return false;
    if (!json_is_boolean(json_object_get(status, "exited")))
      return unusable(guest, "guest-exec-status", "it does not say whether the program ended", err);
    if (json_is_true(json_object_get(status, "exited"))) {
      result_read(status, ret_result);
      return true;
    }
    if (g_get_monotonic_time() + pause_us > guest->deadline_us)
      return error_false(err, REASON_TIMEOUT, "what", program, "limit", "the guest's time", NULL);
    g_usleep(pause_us); /* the protocol has no event for a program's end */
  }
}

static bool agent_exec(const Guest *guest, const GuestCommand *command, GuestResult *ret_result, GError **err)
{
  if (command->input_bytes > GUEST_INPUT_MAX_BYTES)
    return error_false(err, REASON_TOO_LARGE, "what", "the program's input", "value", "longer", "limit", "256 KiB", NULL);
  json_auto_t *started = ask(guest, "guest-exec", exec_arguments(command), err);
  if (!started)
    return false;
  json_t *pid = json_object_get(started, "pid");
  if (!json_is_integer(pid))
    return unusable(guest, "guest-exec", "there is no pid", err);
  return exec_wait(guest, json_integer_value(pid), command->argv[0], ret_result, err);
}

/* ── addresses ────────────────────────────────────────────────────────────── */

static void address_free(void *address)
{
  GuestAddress *a = address;
  g_free(a->interface);
  g_free(a->mac);
  g_free(a->address);
  g_free(a);
}

/* "52:54:00:ab:cd:ef", or NULL for what is none. */
static char *mac_dup(const char *text)
{
  bool is_mac = text && strlen(text) == 17 && strspn(text, "0123456789abcdefABCDEF:") == 17;
  return is_mac ? g_ascii_strdown(text, -1) : NULL;
}

static void address_read(json_t *interface, json_t *entry, GPtrArray *addresses)
{
  const char *text = json_string_value(json_object_get(entry, "ip-address")), *name = json_string_value(json_object_get(interface, "name"));
  const char *mac = json_string_value(json_object_get(interface, "hardware-address"));
  g_autoptr(GInetAddress) parsed = text ? g_inet_address_new_from_string(text) : NULL;
  if (!parsed || g_inet_address_get_is_loopback(parsed) || addresses->len >= ADDRESSES_MAX)
    return;
  GuestAddress *a = g_new0(GuestAddress, 1);
  a->interface = text_dup_visible(name ? name : "", NAME_CHARACTERS);
  a->mac = mac_dup(mac);
  a->address = g_inet_address_to_string(parsed);
  a->ipv6 = g_inet_address_get_family(parsed) == G_SOCKET_FAMILY_IPV6;
  a->prefix = CLAMP((int)json_integer_value(json_object_get(entry, "prefix")), 0, a->ipv6 ? 128 : 32);
  g_ptr_array_add(addresses, a);
}

static bool agent_addresses(const Guest *guest, GPtrArray **ret_addresses, GError **err)
{
  json_auto_t *list = ask(guest, "guest-network-get-interfaces", NULL, err);
  if (!list)
    return false;
  if (!json_is_array(list))
    return unusable(guest, "guest-network-get-interfaces", "it is not a list", err);
  GPtrArray *addresses = g_ptr_array_new_with_free_func(address_free);
  size_t i, k;
  json_t *interface, *entry;
  json_array_foreach(list, i, interface)
    json_array_foreach(json_object_get(interface, "ip-addresses"), k, entry)
      address_read(interface, entry, addresses);
  *ret_addresses = addresses;
  return true;
}

/* ── files ────────────────────────────────────────────────────────────────── */

/* A handle of the guest's; < 0 with an error. */
static int64_t file_open(const Guest *guest, const char *path, GError **err)
{
  json_auto_t *handle = ask(guest, "guest-file-open", json_pack("{ss ss}", "path", path, "mode", "r"), err);
  if (!handle)
    return -1;
  if (json_is_integer(handle) && json_integer_value(handle) >= 0)
    return json_integer_value(handle);
  unusable(guest, "guest-file-open", "it is no handle", err);
  return -1;
}

static bool file_close(const Guest *guest, int64_t handle, GError **err)
{
  return done(ask(guest, "guest-file-close", json_pack("{sI}", "handle", (json_int_t)handle), err));
}

static bool agent_read_file(const Guest *guest, const char *path, size_t max_bytes, char **ret_text, GError **err)
{
  int64_t handle = file_open(guest, path, err);
  if (handle < 0)
    return false;
  json_auto_t *read = ask(guest, "guest-file-read", json_pack("{sI sI}", "handle", (json_int_t)handle, "count", (json_int_t)max_bytes), err);
  const char *text = json_string_value(json_object_get(read, "buf-b64"));
  bool closed = file_close(guest, handle, NULL);
  if (!read || !closed)
    return read ? unusable(guest, "guest-file-close", "the file stays open", err) : false;
  if (!text)
    return unusable(guest, "guest-file-read", "there is no content", err);
  gsize n;
  g_autofree guchar *bytes = g_base64_decode(text, &n);
  *ret_text = g_strndup((char *)bytes, MIN(n, max_bytes));
  return true;
}

const GuestDriver guest_agent = {
  .name = "the guest agent",
  .ping = agent_ping,
  .users = agent_users,
  .exec = agent_exec,
  .addresses = agent_addresses,
  .read_file = agent_read_file,
};

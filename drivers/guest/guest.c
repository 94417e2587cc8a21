#include "drivers/guest/guest.h"

#include <string.h>


static bool ask_domain(void *owner, const char *json, int timeout_s, char **ret_json, GError **err)
{
  const GuestDomain *where = owner;
  return hypervisor_agent(where->hypervisor, where->uuid, json, timeout_s, ret_json, err);
}

Guest guest_of_wire(GuestWire wire, const char *name, int64_t timeout_us)
{
  return (Guest){ &guest_agent, wire, name, g_get_monotonic_time() + timeout_us };
}

Guest guest_of_domain(const GuestDomain *where, const char *name, int64_t timeout_us)
{
  return guest_of_wire((GuestWire){ ask_domain, (void *)where }, name, timeout_us);
}

/* The one place where a driver's gap is told. */
#define ASK(verb, what, ...) \
  (guest->driver->verb ? guest->driver->verb(guest, __VA_ARGS__) \
                       : error_false(err, REASON_UNSUPPORTED, "what", what, "by", guest->driver->name, NULL))

bool guest_ping(const Guest *guest, GError **err) { return ASK(ping, "ping", err); }

bool guest_users(const Guest *guest, GPtrArray **ret_users, GError **err)
{
  return ASK(users, "who is logged in", ret_users, err);
}

bool guest_exec(const Guest *guest, const GuestCommand *command, GuestResult *ret_result, GError **err)
{
  return ASK(exec, "running programs", command, ret_result, err);
}

bool guest_addresses(const Guest *guest, GPtrArray **ret_addresses, GError **err)
{
  return ASK(addresses, "addresses", ret_addresses, err);
}

bool guest_read_file(const Guest *guest, const char *path, size_t max_bytes, char **ret_text, GError **err)
{
  return ASK(read_file, "reading files", path, max_bytes, ret_text, err);
}

void guest_result_clear(GuestResult *result)
{
  g_clear_pointer(&result->out, g_free);
  g_clear_pointer(&result->err, g_free);
}

static char *first_line(const char *text)
{
  return g_strndup(text, strcspn(text, "\n"));
}

bool guest_exec_ok(const Guest *guest, const GuestCommand *command, GError **err)
{
  GuestResult result = { 0 };
  if (!guest_exec(guest, command, &result, err))
    return false;
  bool ok = result.status == 0;
  if (!ok) {
    g_autofree char *said = first_line(*result.err ? result.err : result.out);
    g_autofree char *status = g_strdup_printf("%d", result.status);
    error_set(err, REASON_GUEST_COMMAND, "program", command->argv[0], "domain", guest->name, "status", status, "detail", said, NULL);
  }
  guest_result_clear(&result);
  return ok;
}

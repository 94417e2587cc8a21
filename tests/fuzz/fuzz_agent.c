/* Fuzzes what a hostile guest may answer: the input is split at newlines into the answers to one command after another, the
 * last one repeated. Every verb and both stories are told to such a guest; whatever they take must keep the promises of
 * guest.h. */
#include <string.h>

#include "drivers/guest/guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A guest that reads its answers from a script. */
typedef struct {
  char **answers;
  int next, asked;
} Script;

enum { ANSWERS_MAX = 64, ASKED_MAX = 200 };

static bool answer(void *owner, const char *json, int timeout_s, char **ret_json, GError **err)
{
  Script *script = owner;
  g_assert(timeout_s >= 1 && g_str_has_prefix(json, "{\"execute\":\"guest-"));
  if (++script->asked > ASKED_MAX || !script->answers[script->next])
    return error_false(err, REASON_NO_AGENT, "domain", "d-1", "detail", "the script is over", NULL);
  *ret_json = g_strdup(script->answers[script->next]);
  if (script->answers[script->next + 1])
    script->next++;
  return true;
}

static void check_text(const char *text, size_t max_bytes)
{
  g_assert(text && strlen(text) <= max_bytes && g_utf8_validate(text, -1, NULL));
}

static void tell_lists(const Guest *guest)
{
  g_autoptr(GPtrArray) users = NULL, addresses = NULL;
  if (guest_users(guest, &users, NULL)) {
    g_assert(users->len <= GUEST_USERS_MAX);
    for (guint i = 0; i < users->len; i++)
      check_text(((GuestUser *)users->pdata[i])->name, 4096);
  }
  if (!guest_addresses(guest, &addresses, NULL))
    return;
  for (guint i = 0; i < addresses->len; i++) {
    const GuestAddress *a = addresses->pdata[i];
    check_text(a->address, 64);
    check_text(a->interface, 4096);
    g_assert(a->prefix >= 0 && a->prefix <= (a->ipv6 ? 128 : 32));
    g_assert(!a->mac || strspn(a->mac, "0123456789abcdef:") == strlen(a->mac));
  }
}

static void tell_programs(const Guest *guest)
{
  const char *const argv[] = { "/bin/true", NULL };
  const GuestCommand command = { .argv = argv };
  GuestResult result = { 0 };
  if (guest_exec(guest, &command, &result, NULL)) {
    check_text(result.out, 3 * GUEST_OUTPUT_MAX_BYTES); /* an invalid byte becomes a character of three */
    check_text(result.err, 3 * GUEST_OUTPUT_MAX_BYTES);
  }
  guest_result_clear(&result);
  g_autofree char *text = NULL;
  if (guest_read_file(guest, "/etc/passwd", 1024, &text, NULL))
    g_assert(strlen(text) <= 1024);
}

static void tell_stories(const Guest *guest)
{
  const GuestPerson person = { .name = "jihye", .gecos = "Kim Jihye", .password_hash = "$6$x$y", .locale = "ko_KR.UTF-8" };
  guest_personalise(guest, &person, NULL);
  g_autofree char *evidence = NULL;
  if (guest_prove_no_one(guest, "user", &evidence, NULL))
    check_text(evidence, 8192);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup((const char *)data, size);
  g_auto(GStrv) answers = g_strsplit(text, "\n", ANSWERS_MAX);
  static void (*const verbs[])(const Guest *) = { tell_lists, tell_programs, tell_stories };
  for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
    Script script = { .answers = answers };
    Guest guest = guest_of_wire((GuestWire){ answer, &script }, "d-1", 30 * 1000);
    verbs[i](&guest);
  }
  return 0;
}

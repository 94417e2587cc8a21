/* The query of a request's target, and the cookies that come with it. */
#include <glib.h>
#include <string.h>

#include "core/error.h"
#include "drivers/http/arguments.h"
#include "drivers/http/cookies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* As libmicrohttpd takes it apart, which hands it on undecoded. */
static bool query_read(const char *query, Arguments *arguments, GError **err)
{
  g_auto(GStrv) parts = g_strsplit(query, "&", -1);
  for (char **part = parts; *part; part++) {
    char *value = strchr(*part, '=');
    if (value)
      *value++ = '\0';
    if ((**part || value) && !arguments_add(arguments, *part, value, err))
      return false;
  }
  return true;
}

static void arguments_are_good(const Arguments *arguments)
{
  for (guint i = 0; arguments->pairs && i < arguments->pairs->len; i += 2) {
    const char *name = arguments->pairs->pdata[i], *value = arguments->pairs->pdata[i + 1];
    g_assert(g_utf8_validate(name, -1, NULL) && g_utf8_validate(value, -1, NULL));
    g_assert(arguments_find(arguments, name) == value); /* none comes twice */
    const char *const only[] = { name, NULL };
    g_assert(arguments_check(arguments, only, NULL) == (arguments->pairs->len == 2));
  }
}

static void number_is_good(const Arguments *arguments)
{
  int64_t number = -1;
  g_autoptr(GError) err = NULL;
  bool read = arguments_number(arguments, "limit", 1, 1000, &number, &err);
  g_assert(read ? !err && (number == -1 || (number >= 1 && number <= 1000)) : number == -1 && error_is(err, REASON_BAD_VALUE));
}

static void query_check(const char *text)
{
  g_auto(Arguments) arguments = { 0 };
  g_autoptr(GError) err = NULL;
  bool read = query_read(text, &arguments, &err);
  g_assert(read == !err && (read || error_is(err, REASON_BAD_VALUE)));
  arguments_are_good(&arguments);
  number_is_good(&arguments);
}

static int count(const char *text, const char *what)
{
  int n = 0;
  for (; (text = strstr(text, what)); n++)
    text += strlen(what);
  return n;
}

static void cookies_check(const char *text)
{
  TokenText token;
  bool given = false;
  if (!cookies_token(text, &token, &given))
    return;
  g_autofree char *cookie = g_strconcat(COOKIE_NAME "=", token.name, ".", token.secret, NULL);
  g_assert(given && strstr(text, cookie) && strlen(token.secret) == TOKEN_SECRET_CHARS);
  g_auto(GStrv) parts = g_strsplit(text, ";", -1);
  int ours = 0;
  for (char **part = parts; *part; part++)
    ours += g_str_has_prefix(*part + strspn(*part, " "), COOKIE_NAME "=");
  g_assert(ours == 1 && count(text, COOKIE_NAME) >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  g_autofree char *text = g_strndup((const char *)data, n);
  query_check(text);
  cookies_check(text);
  bool given = true;
  TokenText token;
  g_assert(!cookies_token(NULL, &token, &given) && !given);
  return 0;
}

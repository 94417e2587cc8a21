#include "drivers/http/cookies.h"

#include <glib.h>
#include <string.h>

/* The value of our cookie, or NULL; *ret_twice where there are several, which nobody can tell apart. */
static const char *cookie_find(const char *cookies, size_t *ret_length, bool *ret_twice)
{
  static const char name[] = COOKIE_NAME "=";
  const char *found = NULL;
  for (const char *at = cookies; at && *at; at += strspn(at, "; ")) {
    size_t length = strcspn(at, ";");
    if (!strncmp(at, name, sizeof name - 1)) {
      *ret_twice = found;
      found = at + sizeof name - 1;
      *ret_length = length - (sizeof name - 1);
    }
    at += length;
  }
  return found;
}

bool cookies_token(const char *cookies, TokenText *ret_token, bool *ret_given)
{
  size_t length = 0;
  bool twice = false;
  const char *cookie = cookie_find(cookies, &length, &twice);
  *ret_given = cookie;
  g_autofree char *text = cookie && length < 128 ? g_strndup(cookie, length) : NULL;
  return text && !twice && token_parse(text, ret_token);
}

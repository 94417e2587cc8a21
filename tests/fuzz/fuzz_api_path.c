/* Paths, and the small texts of a head: hosts, origins, tokens, languages. */
#include <glib.h>
#include <string.h>

#include "core/api.h"
#include "drivers/http/head.h"
#include "drivers/http/problem.h"
#include "drivers/identity/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void path_check(ApiMethod method, const char *path)
{
  g_autoptr(GError) err = NULL;
  g_autofree char *name = NULL;
  ApiVerb verb = api_find(method, path, &name, &err);
  g_assert((verb == N_API_VERBS) == !!err);
  if (err) {
    g_assert(!name);
    return;
  }
  g_assert(api_rows[verb].method == method && api_methods(path) & 1u << method);
  g_assert(!name == !strchr(api_rows[verb].path, '{'));
  g_assert(!name || (*name && !strchr(name, '/') && g_utf8_validate(name, -1, NULL)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
  if (!n)
    return 0;
  g_autofree char *text = g_strndup((const char *)data + 1, n - 1);
  path_check(data[0] % (N_API_METHODS + 1), text);
  RequestLine line;
  head_see_uri(&line, text);
  g_assert(!line.uri_is_good || text[0] == '/');
  TokenText token;
  if (token_parse(text, &token)) {
    g_autofree char *again = g_strconcat(token.name, ".", token.secret, NULL);
    g_assert(!strcmp(again, text));
  }
  if (host_is_good(text)) {
    g_assert(*text && !strpbrk(text, "/@ \r\n?#"));
    g_autofree char *origin = g_strconcat("https://", text, NULL), *other = g_strconcat(origin, "x", NULL);
    g_assert(origin_is_of(origin, text) && !origin_is_of(other, text) && !origin_is_of(text, text));
  }
  lang_pick(text);
  return 0;
}

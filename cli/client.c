#include "cli/client.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

enum { ANSWER_MAX_BYTES = 64 << 20, TIMEOUT_S = 120 };

static char *context_file(void)
{
  return g_build_filename(g_get_user_config_dir(), "sarang", "context", NULL);
}

void place_clear(Place *place)
{
  g_free(place->socket);
  g_free(place->server);
  if (place->token)
    memset(place->token, 0, strlen(place->token));
  g_free(place->token);
  g_free(place->ca_file);
}

static char *key_dup(GKeyFile *file, const char *key)
{
  return g_key_file_get_string(file, "sarang", key, NULL);
}

static void place_from_context(Place *place)
{
  g_autofree char *path = context_file();
  g_autoptr(GKeyFile) file = g_key_file_new();
  if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
    return;
  place->server = key_dup(file, "server");
  place->token = place->token ? place->token : key_dup(file, "token");
  place->ca_file = place->ca_file ? place->ca_file : key_dup(file, "ca");
}

static bool token_from_file(Place *place, GError **err)
{
  const char *path = g_getenv("SARANG_TOKEN_FILE");
  if (place->token || !path)
    return true;
  g_autoptr(GError) why = NULL;
  if (!g_file_get_contents(path, &place->token, NULL, &why))
    return error_false(err, REASON_IO, "action", "read", "path", path, "detail", why->message, NULL);
  g_strstrip(place->token);
  return true;
}

bool place_complete(Place *place, GError **err)
{
  if (!place->socket && !place->server) {
    place->socket = g_strdup(g_getenv("SARANG_SOCKET"));
    place->server = g_strdup(g_getenv("SARANG_SERVER"));
  }
  if (!place->ca_file)
    place->ca_file = g_strdup(g_getenv("SARANG_CA"));
  if (!token_from_file(place, err))
    return false;
  if (!place->socket && !place->server)
    place_from_context(place);
  if (!place->socket && !place->server)
    place->socket = g_strdup("/run/sarang/sarangd.sock");
  return true;
}

bool place_save(const Place *place, GError **err)
{
  g_autofree char *path = context_file();
  g_autofree char *dir = g_path_get_dirname(path);
  g_autoptr(GKeyFile) file = g_key_file_new();
  g_key_file_set_string(file, "sarang", "server", place->server);
  g_key_file_set_string(file, "sarang", "token", place->token);
  if (place->ca_file)
    g_key_file_set_string(file, "sarang", "ca", place->ca_file);
  gsize n;
  g_autofree char *text = g_key_file_to_data(file, &n, NULL);
  g_autoptr(GError) why = NULL;
  g_mkdir_with_parents(dir, 0700);
  if (g_file_set_contents_full(path, text, n, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &why))
    return true;
  return error_false(err, REASON_IO, "action", "write", "path", path, "detail", why->message, NULL);
}

/* ── one request ──────────────────────────────────────────────────────────── */

static size_t collect(char *bytes, size_t size, size_t n, void *into)
{
  GByteArray *all = into;
  if (all->len + size * n > ANSWER_MAX_BYTES)
    return 0;
  g_byte_array_append(all, (guint8 *)bytes, size * n);
  return size * n;
}

static CURL *handle_new(const Place *place)
{
  CURL *curl = curl_easy_init();
  g_assert(curl);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, place->socket ? "http" : "https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  if (place->socket)
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, place->socket);
  if (place->ca_file)
    curl_easy_setopt(curl, CURLOPT_CAINFO, place->ca_file);
  return curl;
}

static struct curl_slist *headers_new(const Place *place, bool body)
{
  struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
  headers = curl_slist_append(headers, place->lang == LANG_KO ? "Accept-Language: ko" : "Accept-Language: en");
  headers = curl_slist_append(headers, "Expect:");
  if (body)
    headers = curl_slist_append(headers, "Content-Type: application/json");
  if (place->token) {
    g_autofree char *line = g_strconcat("Authorization: Bearer ", place->token, NULL);
    headers = curl_slist_append(headers, line);
  }
  return headers;
}

/* The server's problem document as the error it was made from. */
static void problem_error(json_t *problem, long status, GError **err)
{
  json_t *first = json_array_get(json_object_get(problem, "reasons"), 0);
  const char *code = json_string_value(json_object_get(problem, "code"));
  g_autoptr(GPtrArray) pairs = g_ptr_array_new();
  const char *key;
  json_t *value;
  json_object_foreach(json_object_get(first, "args"), key, value) {
    g_ptr_array_add(pairs, (char *)key);
    g_ptr_array_add(pairs, (char *)json_string_value(value));
  }
  g_ptr_array_add(pairs, NULL);
  if (!code) {
    g_autofree char *detail = g_strdup_printf("the server answered with status %ld", status);
    error_set(err, REASON_INTERNAL, "detail", detail, NULL);
    return;
  }
  g_propagate_error(err, error_new_from_pairs(code, (const char *const *)pairs->pdata));
}

static bool answer_take(CURL *curl, GByteArray *bytes, json_t **ret_json, GBytes **ret_bytes, GError **err)
{
  long status;
  const char *type = NULL;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
  bool is_json = type && strstr(type, "json");
  json_auto_t *json = is_json ? json_loadb((char *)bytes->data, bytes->len, JSON_DECODE_ANY, NULL) : NULL;
  if (status >= 400 || status < 200) {
    problem_error(json, status, err);
    return false;
  }
  if (ret_json)
    *ret_json = json_incref(json);
  if (ret_bytes)
    *ret_bytes = is_json ? NULL : g_bytes_new(bytes->data, bytes->len);
  return true;
}

bool client_ask(const Place *place, ApiMethod method, const char *path, json_t *body, json_t **ret_json, GBytes **ret_bytes, GError **err)
{
  static const char *const names[] = { [METHOD_GET] = "GET", [METHOD_POST] = "POST", [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE" };
  CURL *curl = handle_new(place);
  g_autofree char *url = g_strconcat(place->socket ? "http://localhost" : place->server, path, NULL);
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  char *text = body ? json_dumps(body, JSON_COMPACT) : method == METHOD_GET ? NULL : g_strdup("{}");
  struct curl_slist *headers = headers_new(place, text);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, bytes);
  if (text)
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, names[method]);
  CURLcode code = curl_easy_perform(curl);
  bool ok = code == CURLE_OK ? answer_take(curl, bytes, ret_json, ret_bytes, err)
                             : error_false(err, REASON_SERVER_UNREACHABLE, "server", place->socket ? place->socket : place->server, "detail",
                                           curl_easy_strerror(code), NULL);
  if (text)
    memset(text, 0, strlen(text)); /* it may hold a password */
  g_free(text);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return ok;
}

char *client_path(ApiVerb verb, const char *name)
{
  const char *pattern = api_rows[verb].path, *brace = strchr(pattern, '{');
  if (!brace)
    return g_strdup(pattern);
  g_autofree char *escaped = g_uri_escape_string(name ? name : "", "@", FALSE);
  return g_strdup_printf("%.*s%s%s", (int)(brace - pattern), pattern, escaped, strchr(brace, '}') + 1);
}

CURL *client_connect_raw(const Place *place, GError **err)
{
  if (!place->server)
    return error_null(err, REASON_NEEDS_GATEWAY, NULL);
  Place remote = { .server = place->server, .ca_file = place->ca_file };
  CURL *curl = handle_new(&remote);
  curl_easy_setopt(curl, CURLOPT_URL, place->server);
  curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  CURLcode code = curl_easy_perform(curl);
  if (code == CURLE_OK)
    return curl;
  curl_easy_cleanup(curl);
  return error_null(err, REASON_SERVER_UNREACHABLE, "server", place->server, "detail", curl_easy_strerror(code), NULL);
}

#include "cli/client.h"

#include <string.h>

enum { ANSWER_MAX_BYTES = 64 << 20, TIMEOUT_S = 120, SILENCE_S = 60, HURRY_MS = 300 };

/* Why nothing came back. */
static bool refuse_transfer(const Place *place, CURLcode code, GError **err)
{
  bool untrusted = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
  return error_false(err, untrusted ? REASON_SERVER_UNTRUSTED : REASON_SERVER_UNREACHABLE, "server", place->socket ? place->socket : place->server,
                     "detail", curl_easy_strerror(code), NULL);
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
  headers = curl_slist_append(headers, place->lang == LANG_KO && !place->programs ? "Accept-Language: ko" : "Accept-Language: en");
  headers = curl_slist_append(headers, "Expect:");
  if (body)
    headers = curl_slist_append(headers, "Content-Type: application/json");
  if (place->token) {
    g_autofree char *line = g_strconcat("Authorization: Bearer ", place->token, NULL);
    headers = curl_slist_append(headers, line);
  }
  return headers;
}

GError *client_problem(json_t *problem, long status)
{
  json_t *first = json_array_get(json_object_get(problem, "reasons"), 0), *value;
  const char *code = json_string_value(json_object_get(problem, "code")), *key;
  g_autoptr(GPtrArray) pairs = g_ptr_array_new();
  json_object_foreach(json_object_get(first, "args"), key, value)
    if (json_is_string(value)) {
      g_ptr_array_add(pairs, (char *)key);
      g_ptr_array_add(pairs, (char *)json_string_value(value));
    }
  g_ptr_array_add(pairs, NULL);
  if (code)
    return error_new_from_pairs(code, (const char *const *)pairs->pdata);
  g_autofree char *detail = g_strdup_printf("the server answered with status %ld", status);
  GError *err = NULL;
  error_set(&err, REASON_INTERNAL, "detail", detail, NULL);
  return err;
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
    g_propagate_error(err, client_problem(json, status));
    return false;
  }
  if (ret_json)
    *ret_json = json_incref(json);
  if (ret_bytes)
    *ret_bytes = is_json ? NULL : g_bytes_new(bytes->data, bytes->len);
  return true;
}

typedef struct {
  ApiMethod method;
  const char *path;
  json_t *body;         /* or NULL */
  int64_t generation;   /* 0 = any */
} Asked;

static bool ask(const Place *place, const Asked *asked, json_t **ret_json, GBytes **ret_bytes, GError **err)
{
  CURL *curl = handle_new(place);
  g_autofree char *url = g_strconcat(place->socket ? "http://localhost" : place->server, asked->path, NULL);
  g_autoptr(GByteArray) bytes = g_byte_array_new();
  char *text = asked->body ? json_dumps(asked->body, JSON_COMPACT) : asked->method == METHOD_GET ? NULL : g_strdup("{}");
  struct curl_slist *headers = headers_new(place, text);
  if (asked->generation) {
    g_autofree char *line = g_strdup_printf("If-Match: \"%" G_GINT64_FORMAT "\"", asked->generation);
    headers = curl_slist_append(headers, line);
  }
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, place->hurry ? (long)HURRY_MS : TIMEOUT_S * 1000L);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, bytes);
  if (text)
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, api_method_name(asked->method));
  CURLcode code = curl_easy_perform(curl);
  bool ok = code == CURLE_OK ? answer_take(curl, bytes, ret_json, ret_bytes, err)
                             : refuse_transfer(place, code, err);
  if (text)
    memset(text, 0, strlen(text)); /* it may hold a password */
  g_free(text);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return ok;
}

bool client_ask(const Place *place, ApiMethod method, const char *path, json_t *body, json_t **ret_json, GBytes **ret_bytes, GError **err)
{
  const Asked asked = { method, path, body, 0 };
  return ask(place, &asked, ret_json, ret_bytes, err);
}

bool client_ask_if(const Place *place, ApiMethod method, const char *path, json_t *body, int64_t generation, json_t **ret_json, GError **err)
{
  const Asked asked = { method, path, body, generation };
  return ask(place, &asked, ret_json, NULL, err);
}

/* ── streams ──────────────────────────────────────────────────────────────── */

typedef struct {
  LineFn line;
  void *data;
  Lines lines;
  bool status_ok;
  CURL *curl;
} Stream;

static size_t stream_collect(char *bytes, size_t size, size_t n, void *into)
{
  Stream *s = into;
  long status = 0;
  curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
  s->status_ok = status == 200;
  if (!lines_feed(&s->lines, bytes, size * n, s->status_ok ? s->line : NULL, s->data))
    return 0;
  return s->lines.rest->len > ANSWER_MAX_BYTES ? 0 : size * n;
}

static int stream_progress(void *stop, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
  return stop && *(volatile sig_atomic_t *)stop;
}

bool client_stream(const Place *place, const char *path, LineFn line, void *data, volatile sig_atomic_t *stop, GError **err)
{
  CURL *curl = handle_new(place);
  Stream stream = { line, data, { g_string_new(NULL), 0 }, false, curl };
  g_autofree char *url = g_strconcat(place->socket ? "http://localhost" : place->server, path, NULL);
  struct curl_slist *headers = headers_new(place, false);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, stream_collect);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &stream);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, stream_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)stop);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L); /* a stream gives signs of life every 15 seconds */
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
  CURLcode code = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  bool refused = status >= 400;
  if (refused) {
    json_auto_t *problem = json_loadb(stream.lines.rest->str, stream.lines.rest->len, JSON_DECODE_ANY, NULL);
    g_propagate_error(err, client_problem(problem, status));
  } else if (!status) {
    refuse_transfer(place, code, err);
  }
  g_string_free(stream.lines.rest, TRUE);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return !refused && status;
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
  refuse_transfer(place, code, err);
  return NULL;
}

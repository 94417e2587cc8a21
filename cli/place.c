/* Where commands go: this machine's socket, or a gateway that login has kept. The file of contexts holds tokens, so nobody else may read it. */
#include <string.h>
#include <sys/stat.h>

#include "cli/client.h"

static const char LOCAL[] = "local";

void place_clear(Place *place)
{
  g_free(place->socket);
  g_free(place->server);
  if (place->token)
    memset(place->token, 0, strlen(place->token));
  g_free(place->token);
  g_free(place->ca_file);
  g_free(place->context);
}

/* ── the file ─────────────────────────────────────────────────────────────── */

static char *contexts_path(void)
{
  return g_build_filename(g_get_user_config_dir(), "sarang", "contexts", NULL);
}

static char *group_of(const char *name)
{
  return g_strconcat("context ", name, NULL);
}

static bool mode_check(const char *path, GError **err)
{
  struct stat about;
  if (stat(path, &about) || !(about.st_mode & 077))
    return true;
  g_autofree char *mode = g_strdup_printf("%04o", about.st_mode & 07777);
  return error_false(err, REASON_CONTEXT_OPEN, "path", path, "mode", mode, NULL);
}

/* An empty one where there is no file. */
static GKeyFile *contexts_load(GError **err)
{
  g_autofree char *path = contexts_path();
  g_autoptr(GKeyFile) file = g_key_file_new();
  g_autoptr(GError) why = NULL;
  if (!mode_check(path, err))
    return NULL;
  if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &why) || g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return g_steal_pointer(&file);
  return error_null(err, REASON_IO, "action", "read", "path", path, "detail", why->message, NULL);
}

static bool contexts_save(GKeyFile *file, GError **err)
{
  g_autofree char *path = contexts_path();
  g_autofree char *dir = g_path_get_dirname(path);
  gsize n;
  g_autofree char *text = g_key_file_to_data(file, &n, NULL);
  g_autoptr(GError) why = NULL;
  g_mkdir_with_parents(dir, 0700);
  if (g_file_set_contents_full(path, text, n, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &why))
    return true;
  return error_false(err, REASON_IO, "action", "write", "path", path, "detail", why->message, NULL);
}

static bool context_check(GKeyFile *file, const char *name, GError **err)
{
  g_autofree char *group = group_of(name);
  return !strcmp(name, LOCAL) || g_key_file_has_group(file, group) || error_false(err, REASON_NOT_FOUND, "kind", "context", "name", name, NULL);
}

/* ── completing ───────────────────────────────────────────────────────────── */

static void take_text(char **field, GKeyFile *file, const char *group, const char *key)
{
  if (!*field)
    *field = g_key_file_get_string(file, group, key, NULL);
}

static bool take_context(Place *place, GKeyFile *file, const char *name, GError **err)
{
  if (!context_check(file, name, err))
    return false;
  g_autofree char *group = group_of(name);
  take_text(&place->server, file, group, "server");
  take_text(&place->token, file, group, "token");
  take_text(&place->ca_file, file, group, "ca");
  g_free(place->context);
  place->context = g_strdup(name);
  return true;
}

/* A context with that server, which then has the token for it. */
static char *context_of_server(GKeyFile *file, const char *server)
{
  g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
  for (char **g = groups; *g; g++) {
    g_autofree char *found = g_key_file_get_string(file, *g, "server", NULL);
    if (!g_strcmp0(found, server) && g_str_has_prefix(*g, "context "))
      return g_strdup(*g + strlen("context "));
  }
  return NULL;
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

static bool place_from_contexts(Place *place, GError **err)
{
  g_autoptr(GKeyFile) file = contexts_load(err);
  if (!file)
    return false;
  g_autofree char *name = g_strdup(place->context);
  if (place->server && !name)
    name = context_of_server(file, place->server);
  else if (!name)
    name = g_key_file_get_string(file, "sarang", "current", NULL);
  return !name || take_context(place, file, name, err);
}

bool place_complete(Place *place, GError **err)
{
  if (!place->socket && !place->server && !place->context) {
    place->socket = g_strdup(g_getenv("SARANG_SOCKET"));
    place->server = g_strdup(g_getenv("SARANG_SERVER"));
    place->context = g_strdup(g_getenv("SARANG_CONTEXT"));
  }
  if (!place->ca_file)
    place->ca_file = g_strdup(g_getenv("SARANG_CA"));
  if (!token_from_file(place, err) || (!place->socket && !place->token && !place_from_contexts(place, err)))
    return false;
  if (!place->socket && !place->server)
    place->socket = g_strdup("/run/sarang/sarangd.sock");
  return true;
}

/* ── keeping ──────────────────────────────────────────────────────────────── */

char *place_name(const char *server)
{
  const char *host = strstr(server, "://") ? strstr(server, "://") + 3 : server;
  return g_strndup(host, strcspn(host, ":/"));
}

bool place_save(const Place *place, const char *name, const char *user, GError **err)
{
  g_autoptr(GKeyFile) file = contexts_load(err);
  g_autofree char *group = group_of(name);
  if (!file)
    return false;
  g_key_file_remove_group(file, group, NULL);
  g_key_file_set_string(file, "sarang", "current", name);
  g_key_file_set_string(file, group, "server", place->server);
  g_key_file_set_string(file, group, "user", user);
  g_key_file_set_string(file, group, "token", place->token);
  if (place->ca_file)
    g_key_file_set_string(file, group, "ca", place->ca_file);
  return contexts_save(file, err);
}

bool place_use(const char *name, GError **err)
{
  g_autoptr(GKeyFile) file = contexts_load(err);
  if (!file || !context_check(file, name, err))
    return false;
  g_key_file_set_string(file, "sarang", "current", name);
  return contexts_save(file, err);
}

bool place_forget(const char *name, GError **err)
{
  g_autoptr(GKeyFile) file = contexts_load(err);
  g_autofree char *group = group_of(name);
  if (!file || !context_check(file, name, err))
    return false;
  g_key_file_remove_group(file, group, NULL);
  g_autofree char *current = g_key_file_get_string(file, "sarang", "current", NULL);
  if (!g_strcmp0(current, name))
    g_key_file_set_string(file, "sarang", "current", LOCAL);
  return contexts_save(file, err);
}

bool place_list(json_t **ret_list, GError **err)
{
  g_autoptr(GKeyFile) file = contexts_load(err);
  if (!file)
    return false;
  g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
  g_autofree char *current = g_key_file_get_string(file, "sarang", "current", NULL);
  *ret_list = json_pack("[{sssnsnsb}]", "name", LOCAL, "server", "user", "current", !current || !strcmp(current, LOCAL));
  for (char **g = groups; *g; g++) {
    if (!g_str_has_prefix(*g, "context "))
      continue;
    const char *name = *g + strlen("context ");
    g_autofree char *server = g_key_file_get_string(file, *g, "server", NULL), *user = g_key_file_get_string(file, *g, "user", NULL);
    json_array_append_new(*ret_list, json_pack("{sssssssb}", "name", name, "server", server ? server : "", "user", user ? user : "", "current",
                                               !g_strcmp0(current, name)));
  }
  return true;
}

#include "tests/http/scene.h"

#include <glib/gstdio.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#include "drivers/identity/password.h"

CONFIG_DECLARE(SceneConfig, scene_config, HTTP_OPTIONS)
CONFIG_DEFINE(SceneConfig, scene_config, HTTP_OPTIONS)

static const char *const names[N_NOUNS] = {
  [NOUN_HOST] = "h1", [NOUN_STORAGE] = "st1", [NOUN_IMAGE] = "base@1", [NOUN_TEMPLATE] = "linux@1", [NOUN_POOL] = "office",
  [NOUN_USER] = "alice", [NOUN_TOKEN] = "k-90", [NOUN_DESKTOP] = "d-1", [NOUN_SESSION] = "s-1", [NOUN_TASK] = "t-1",
  [NOUN_GPU] = "g-1", [NOUN_GPU_CLASS] = "cad-4g", [NOUN_LICENCE] = "cad", [NOUN_RESERVATION] = "class", [NOUN_VGPU] = "v-1",
};

const char *scene_object(Noun noun) { return names[noun] ? names[noun] : ""; }

static void *make(Noun noun) { return object_new(&schemas[noun], noun, names[noun]); }

static void put_objects(Runtime *r)
{
  static const char *const alice_alone[] = { "alice", NULL };
  fake_put(r, make(NOUN_HOST));
  fake_put(r, make(NOUN_GPU));
  fake_put(r, make(NOUN_GPU_CLASS));
  fake_put(r, make(NOUN_LICENCE));
  fake_put(r, make(NOUN_VGPU));
  fake_put(r, make(NOUN_STORAGE));
  fake_put(r, make(NOUN_IMAGE));
  fake_put(r, make(NOUN_TEMPLATE));
  Pool *pool = make(NOUN_POOL);
  list_set(&pool->users, alice_alone);
  fake_put(r, pool);
  Reservation *reservation = make(NOUN_RESERVATION);
  list_set(&reservation->users, alice_alone);
  fake_put(r, reservation);
  Session *session = make(NOUN_SESSION);
  ref_set(&session->user, "alice");
  text_set(&session->desktop, "d-1");
  fake_put(r, session);
  Desktop *desktop = make(NOUN_DESKTOP);
  text_set(&desktop->session, "s-1");
  fake_put(r, desktop);
  Task *task = make(NOUN_TASK);
  ref_set(&task->user, "alice");
  fake_put(r, task);
  Token *token = make(NOUN_TOKEN);
  ref_set(&token->user, "alice");
  fake_put(r, token);
}

static void put_people(Scene *s)
{
  g_autofree char *hash = password_hash(ALICES_PASSWORD, NULL);
  fake_user(s->runtime, "alice", ROLE_USER, hash, false);
  fake_user(s->runtime, "bob", ROLE_USER, NULL, false);
  fake_user(s->runtime, "vera", ROLE_VIEWER, NULL, false);
  fake_user(s->runtime, "otto", ROLE_OPERATOR, NULL, false);
  fake_user(s->runtime, "ada", ROLE_ADMINISTRATOR, NULL, false);
  fake_user(s->runtime, "dora", ROLE_ADMINISTRATOR, hash, true);
  s->alice = fake_token(s->runtime, "alice", 3600);
  s->bob = fake_token(s->runtime, "bob", 3600);
  s->viewer = fake_token(s->runtime, "vera", 3600);
  s->operator = fake_token(s->runtime, "otto", 3600);
  s->administrator = fake_token(s->runtime, "ada", 3600);
  s->expired = fake_token(s->runtime, "ada", -1);
  s->disabled = fake_token(s->runtime, "dora", 3600);
  s->unknown = g_strdup("k-123456.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  s->wrong = g_strdup(s->administrator);
  char *last = s->wrong + strlen(s->wrong) - 1;
  *last = *last == 'A' ? 'E' : 'A';
}

Scene *scene_new(const char *const *sets)
{
  Scene *s = g_new0(Scene, 1);
  s->runtime = fake_runtime_new();
  s->dir = g_dir_make_tmp("sarang-http-XXXXXX", NULL);
  s->local = g_build_filename(s->dir, "local.sock", NULL);
  s->gateway = g_build_filename(s->dir, "gateway.sock", NULL);
  s->backups = g_build_filename(s->dir, "backups", NULL);
  g_assert_true(!g_mkdir(s->backups, 0700));
  put_people(s);
  put_objects(s->runtime);
  SceneConfig *config = NULL;
  GError *err = NULL;
  g_assert_true(config_parse(&scene_config_table, NULL, sets, &config, &err));
  HttpConfig http = HTTP_CONFIG_OF_CONFIG();
  http.http_socket = s->local;
  http.http_gateway_socket = s->gateway;
  http.http_gateway_group = NULL;
  http.http_backups = s->backups;
  struct group *own = getgrgid(getgid());
  http.http_group = own ? own->gr_name : NULL;
  s->server = server_open(&http, s->runtime, &err);
  g_assert_no_error(err);
  config_free(&scene_config_table, config);
  return s;
}

void scene_free(Scene *s)
{
  server_close(s->server);
  fake_runtime_free(s->runtime);
  g_assert_false(g_file_test(s->local, G_FILE_TEST_EXISTS));
  g_assert_true(!g_rmdir(s->backups));
  g_rmdir(s->dir);
  char **texts[] = { &s->dir, &s->local, &s->gateway, &s->backups, &s->alice, &s->bob, &s->viewer, &s->operator, &s->administrator,
                     &s->expired, &s->disabled, &s->unknown, &s->wrong };
  for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
    g_free(*texts[i]);
  g_free(s);
}

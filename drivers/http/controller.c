/* The controller itself: its state, its interface, copies of its store. */
#include <string.h>
#include <sys/stat.h>

#include "core/text.h"
#include "core/version.h"
#include "drivers/http/body.h"
#include "drivers/http/caller.h"
#include "drivers/http/gateways.h"
#include "drivers/http/metrics.h"
#include "drivers/http/openapi.h"
#include "drivers/http/reply.h"
#include "drivers/http/runs.h"

static void append_counts(Published *published, GString *out)
{
  const char *between = "";
  g_string_append(out, ",\"counts\":{");
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    if (!noun_is_listed(noun) || noun == NOUN_EVENT)
      continue;
    g_string_append_printf(out, "%s\"%s\":%" G_GINT64_FORMAT, between, schemas[noun].plural, published_count(published, noun));
    between = ",";
  }
  g_string_append_c(out, '}');
}

/* How many objects of a noun are in which state. */
static void append_states_of(Published *published, Noun noun, const Field *state, GString *out)
{
  g_autoptr(GPtrArray) objects = published_list(published, noun, NULL, 0, NULL, NULL);
  g_autofree int64_t *n = g_new0(int64_t, state->names->n);
  for (guint i = 0; i < objects->len; i++)
    n[FIELD_AT(int, objects->pdata[i], state)]++;
  const char *between = "";
  for (int s = 0; s < state->names->n; s++) {
    if (!n[s])
      continue;
    g_string_append_printf(out, "%s\"%s\":%" G_GINT64_FORMAT, between, state->names->names[s], n[s]);
    between = ",";
  }
}

static void append_states(Published *published, GString *out)
{
  const char *between = "";
  g_string_append(out, ",\"states\":{");
  for (Noun noun = 0; noun < N_NOUNS; noun++) {
    const Field *state = noun_is_listed(noun) ? schema_field(&schemas[noun], "state") : NULL;
    if (!state)
      continue;
    g_string_append_printf(out, "%s\"%s\":{", between, schemas[noun].plural);
    append_states_of(published, noun, state, out);
    g_string_append_c(out, '}');
    between = ",";
  }
  g_string_append_c(out, '}');
}

/* Whether what is asked becomes durable, and if not, why: the code and the sentence of the last commit. */
static void append_store(Runtime *runtime, GString *out)
{
  g_autoptr(GError) failure = runtime_store_failure(runtime);
  g_string_append_printf(out, ",\"store\":{\"state\":\"%s\"", failure ? "failed" : "ok");
  if (failure) {
    g_autofree char *text = error_text(failure, LANG_EN);
    g_string_append(out, ",\"code\":");
    json_append_text(out, reason_wire(error_reason(failure)));
    g_string_append(out, ",\"error\":");
    json_append_text(out, text);
  }
  g_string_append_c(out, '}');
}

bool status_run(Exchange *x, GError **err)
{
  if (!caller_may(x, NULL, err))
    return false;
  Published *published = runtime_published(x->server->runtime);
  int64_t uptime_s = (g_get_monotonic_time() - x->server->started_us) / G_USEC_PER_SEC;
  GString *text = g_string_new("{\"version\":\"" SARANG_VERSION "\"");
  g_string_append_printf(text, ",\"sequence\":%" G_GINT64_FORMAT ",\"uptime_s\":%" G_GINT64_FORMAT, published_sequence(published),
                         uptime_s);
  if (caller_is_staff(&x->caller)) {
    append_store(x->server->runtime, text);
    append_counts(published, text);
    append_states(published, text);
    gateways_append(x->server, published, text);
  }
  g_string_append_c(text, '}');
  reply_json(x, 200, text);
  return true;
}

bool metrics_run(Exchange *x, GError **err)
{
  if (!caller_may(x, NULL, err))
    return false;
  g_autoptr(GBytes) text = g_string_free_to_bytes(metrics_text(x->server));
  reply_bytes(x, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", text);
  return true;
}

bool openapi_run(Exchange *x, GError **err)
{
  reply_static(x, x->server->openapi);
  return true;
}

/* ── backup ───────────────────────────────────────────────────────────────── */

static void backup_job(Exchange *x)
{
  Store *store = runtime_store(x->server->runtime);
  const char *path = json_string_value(json_object_get(x->request->body, "path"));
  if (!store->driver->backup)
    error_set(&x->failure, REASON_UNSUPPORTED, "what", "backup", "by", store->driver->scheme, NULL);
  else
    store->driver->backup(store, path, &x->failure);
  g_atomic_int_set(&x->server->backing_up, 0);
}

static bool backed_up(Exchange *x, GError **err)
{
  const char *path = json_string_value(json_object_get(x->request->body, "path"));
  struct stat about = { 0 };
  bool seen = !stat(path, &about);
  GString *text = g_string_new("{\"path\":");
  json_append_text(text, path);
  g_string_append_printf(text, ",\"bytes\":%" G_GINT64_FORMAT "}", seen ? (int64_t)about.st_size : 0);
  reply_json(x, 201, text);
  return true;
}

/* Root at the controller may write wherever root may. Others get a new file right in the one directory, which only root can write to: so there is no
 * link in it that we could be led through. */
static bool may_write(const Exchange *x, const char *path, GError **err)
{
  const char *directory = x->server->config.http_backups;
  const Caller *caller = &x->request->caller;
  if (caller->local || (path_is_below(directory, path) && !strchr(path + strlen(directory) + 1, '/')))
    return true;
  return error_false(err, REASON_PATH_OUTSIDE, "field", "path", "directory", directory ? directory : "backup.directory", "path", path, NULL);
}

static bool check_path(const Exchange *x, json_t *path, GError **err)
{
  const char *text = json_string_value(path);
  if (!text || text[0] != '/' || strlen(text) != json_string_length(path) || strlen(text) >= 4096)
    return error_false(err, REASON_BAD_VALUE, "field", "path", "value", text ? text : "…", "limit", "an absolute path", NULL);
  return may_write(x, text, err);
}

bool backup_run(Exchange *x, GError **err)
{
  exchange_request(x, API_BACKUP)->body = x->body_bytes ? body_parse(x->body, x->body_bytes, err) : NULL;
  json_t *body = x->request->body;
  if ((x->body_bytes && !body) || !caller_may(x, NULL, err) || !body_check(API_BACKUP, body, err) ||
      !check_path(x, json_object_get(body, "path"), err))
    return false;
  if (!g_atomic_int_compare_and_exchange(&x->server->backing_up, 0, 1))
    return error_false(err, REASON_SERVER_BUSY, "what", "backups under way", "limit", "1", NULL);
  if (exchange_work(x, x->server->readers, 1 << 20, "backups", backup_job, backed_up, err))
    return true;
  g_atomic_int_set(&x->server->backing_up, 0);
  return false;
}

#include "drivers/http/gateways.h"

#include <string.h>

enum { FORGOTTEN_S = 3600, GATEWAYS_MAX = 1000 };

static gboolean is_old(gpointer name, gpointer heard_us, gpointer now_us)
{
  return *(int64_t *)now_us - *(int64_t *)heard_us > (int64_t)FORGOTTEN_S * G_USEC_PER_SEC;
}

static void forget(Server *server)
{
  int64_t now_us = g_get_monotonic_time();
  g_hash_table_foreach_remove(server->gateways, is_old, &now_us);
}

void gateways_heard(Exchange *x)
{
  const char *name = json_string_value(json_object_get(x->request->body, "gateway"));
  int64_t now_us = g_get_monotonic_time();
  Server *server = x->server;
  if (!name)
    return;
  g_mutex_lock(&server->mutex);
  forget(server);
  if (g_hash_table_size(server->gateways) < GATEWAYS_MAX || g_hash_table_contains(server->gateways, name))
    g_hash_table_replace(server->gateways, g_strdup(name), g_memdup2(&now_us, sizeof now_us));
  g_mutex_unlock(&server->mutex);
}

static bool is_open(const Object *object, void *gateway)
{
  const Relay *relay = (const Relay *)object;
  return relay->open && !g_strcmp0(relay->gateway, gateway);
}

static int by_name(const void *a, const void *b)
{
  return name_compare(*(char *const *)a, *(char *const *)b);
}

/* Names and times, a copy: those who tell of gateways do not wait. */
static GPtrArray *gateways_copy(Server *server, GArray *heard_us)
{
  GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
  GHashTableIter i;
  gpointer name;
  g_mutex_lock(&server->mutex);
  forget(server);
  g_hash_table_iter_init(&i, server->gateways);
  while (g_hash_table_iter_next(&i, &name, NULL))
    g_ptr_array_add(names, g_strdup(name));
  g_ptr_array_sort(names, by_name);
  for (guint n = 0; n < names->len; n++)
    g_array_append_vals(heard_us, g_hash_table_lookup(server->gateways, names->pdata[n]), 1);
  g_mutex_unlock(&server->mutex);
  return names;
}

void gateways_append(Server *server, Published *published, GString *out)
{
  g_autoptr(GArray) heard_us = g_array_new(FALSE, FALSE, sizeof(int64_t));
  g_autoptr(GPtrArray) names = gateways_copy(server, heard_us);
  int64_t now_us = g_get_monotonic_time();
  g_string_append(out, ",\"gateways\":[");
  for (guint n = 0; n < names->len; n++) {
    g_autoptr(GPtrArray) open = published_list(published, NOUN_RELAY, NULL, 0, is_open, names->pdata[n]);
    g_string_append(out, n ? ",{\"name\":" : "{\"name\":");
    json_append_text(out, names->pdata[n]);
    g_string_append_printf(out, ",\"heard_s\":%" G_GINT64_FORMAT ",\"consoles\":%u}",
                           (now_us - g_array_index(heard_us, int64_t, n)) / G_USEC_PER_SEC, open->len);
  }
  g_string_append_c(out, ']');
}

#include "drivers/console/origins.h"

#include <string.h>

#include "core/error.h"

struct Origins {
  char **texts; /* lower case, without the port that the scheme implies */
  char **hosts; /* what Host may say, lower case */
  char **names;
};

static const struct { const char *scheme, *port; } schemes[] = { { "https://", ":443" }, { "http://", ":80" } };

typedef struct {
  GStrvBuilder *texts, *hosts, *names;
} Builders;

static bool bad(const char *text, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", "gateway.origins", "value", text, "limit",
                     "https://HOST or https://HOST:PORT", NULL);
}

/* The colon before the port, or NULL; what stands in brackets is an address. */
static const char *port_find(const char *host)
{
  const char *bracket = strrchr(host, ']');
  return strchr(bracket ? bracket : host, ':');
}

static bool host_is_good(const char *host)
{
  const char *port = port_find(host);
  size_t n = port ? (size_t)(port - host) : strlen(host);
  bool port_is_good = !port || (port[1] && strspn(port + 1, "0123456789") == strlen(port + 1));
  return n && port_is_good && strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-._[]:") >= n;
}

static bool origin_add(Builders *b, const char *given, GError **err)
{
  g_autofree char *text = g_ascii_strdown(given, -1);
  for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
    if (!g_str_has_prefix(text, schemes[i].scheme))
      continue;
    char *host = text + strlen(schemes[i].scheme);
    if (!host_is_good(host))
      return bad(given, err);
    if (g_str_has_suffix(host, schemes[i].port))
      host[strlen(host) - strlen(schemes[i].port)] = '\0';
    g_strv_builder_add(b->texts, text);
    g_strv_builder_add(b->hosts, host);
    g_autofree char *with_port = port_find(host) ? NULL : g_strconcat(host, schemes[i].port, NULL);
    if (with_port)
      g_strv_builder_add(b->hosts, with_port);
    const char *port = port_find(host);
    g_autofree char *name = port ? g_strndup(host, port - host) : g_strdup(host);
    g_strv_builder_add(b->names, name);
    return true;
  }
  return bad(given, err);
}

Origins *origins_new(const char *const *texts, GError **err)
{
  g_autoptr(GStrvBuilder) t = g_strv_builder_new(), h = g_strv_builder_new(), n = g_strv_builder_new();
  Builders b = { t, h, n };
  for (; *texts; texts++)
    if (!origin_add(&b, *texts, err))
      return NULL;
  Origins *origins = g_new0(Origins, 1);
  origins->texts = g_strv_builder_end(t);
  origins->hosts = g_strv_builder_end(h);
  origins->names = g_strv_builder_end(n);
  return origins;
}

void origins_free(Origins *o)
{
  if (!o)
    return;
  g_strfreev(o->texts);
  g_strfreev(o->hosts);
  g_strfreev(o->names);
  g_free(o);
}

bool origins_have_host(const Origins *o, Slice host)
{
  for (char **h = o->hosts; *h; h++)
    if (slice_is_nocase(host, *h))
      return true;
  return false;
}

bool origins_have(const Origins *o, Slice origin)
{
  for (char **t = o->texts; *t; t++)
    if (slice_is(origin, *t))
      return true;
  return false;
}

const char *const *origins_names(const Origins *o) { return (const char *const *)o->names; }
const char *const *origins_texts(const Origins *o) { return (const char *const *)o->texts; }

/* Storages as the engine counts them: what each takes of desktops' disks at their full size, and what is on it. One that has no such size is
 * counted nowhere: it takes any. */
#include "core/ledger_parts.h"

#include <string.h>

static int64_t mib_of(int64_t bytes)
{
  return (bytes + (1 << 20) - 1) >> 20;
}

int64_t image_disk_mib(const ImageVersion *image)
{
  return image ? MIN(mib_of(image->virtual_bytes), INT32_MAX) : 0;
}

bool storage_is_counted(const Storage *s)
{
  return s->disks_mib || (s->disk_overcommit_pct && s->total_bytes);
}

static bool holds(const ImageVersion *image, const char *storage)
{
  return image->state == IMAGE_READY && image->storages && g_strv_contains((const char *const *)image->storages, storage);
}

/* What an operator said, else of the file system what images leave, times the ratio. */
static int64_t storage_offer_mib(Brain *b, const Storage *s, const GPtrArray *images)
{
  int64_t bytes = s->total_bytes;
  for (guint i = 0; !s->disks_mib && i < images->len; i++) {
    const ImageVersion *image = GET(b, ImageVersion, IMAGE, images->pdata[i]);
    bytes -= holds(image, s->head.name) ? image->size_bytes : 0;
  }
  int64_t mib = s->disks_mib ? s->disks_mib : (MAX(0, bytes) >> 20) * s->disk_overcommit_pct / 100;
  return MIN(mib, INT32_MAX);
}

static bool is_own(const Storage *s)
{
  return s->hosts && s->hosts[0] && !s->hosts[1];
}

static void store_clear(void *store)
{
  g_ptr_array_unref(((Store *)store)->images);
}

static Store store_of(Brain *b, const Storage *storage, GPtrArray *images, int *n_shared)
{
  Store s = { .storage = storage, .images = g_ptr_array_new() };
  bool counted = storage_is_counted(storage);
  s.count = !counted ? STORE_BOUNDLESS : is_own(storage) ? STORE_OWN : (*n_shared)++ < SHARED_MOST ? STORE_SHARED : STORE_TOO_MANY;
  s.offer_mib = counted ? storage_offer_mib(b, storage, images) : 0;
  for (guint k = 0; storage->hosts && k < images->len; k++)
    if (holds(GET(b, ImageVersion, IMAGE, images->pdata[k]), storage->head.name))
      g_ptr_array_add(s.images, images->pdata[k]);
  return s;
}

GArray *ledger_stores_new(Brain *b)
{
  int n_shared = 0;
  GArray *stores = g_array_new(FALSE, FALSE, sizeof(Store));
  g_array_set_clear_func(stores, store_clear);
  g_autoptr(GPtrArray) names = ledger_names(b, NOUN_STORAGE), images = ledger_names(b, NOUN_IMAGE);
  for (guint i = 0; i < names->len; i++) {
    Store s = store_of(b, GET(b, Storage, STORAGE, names->pdata[i]), images, &n_shared);
    g_array_append_val(stores, s);
  }
  return stores;
}

void ledger_stores_share(Fleet *f, const GArray *stores)
{
  for (guint i = 0; i < stores->len; i++) {
    const Store *s = &g_array_index(stores, Store, i);
    if (s->count == STORE_SHARED)
      fleet_add_shared(f, s->storage->head.name, "shared", s->offer_mib, NULL);
  }
}

/* ── of one host ──────────────────────────────────────────────────────────── */

/* Of a storage that the engine has no place for nobody would count what is on it: the host is as if it had it not. */
static bool store_enters(HostMaking *m, const Store *s)
{
  const char *name = s->storage->head.name;
  if (s->count == STORE_BOUNDLESS)
    return true;
  bool own = s->count == STORE_OWN;
  if (s->count == STORE_TOO_MANY || m->n_disks == DISKS_MOST || (own && m->n_disks == DISKS_OWN))
    return false;
  m->disks[m->n_disks++] = (DiskSpec){ own ? "own" : "shared", own ? s->offer_mib : 0, own ? NULL : name, name };
  g_string_append_printf(m->text, "|%s %" G_GINT64_FORMAT, name, own ? s->offer_mib : -1);
  return true;
}

static void store_make(HostMaking *m, const Store *s)
{
  if (!store_enters(m, s))
    return;
  g_ptr_array_add(m->stores, s->storage->head.name);
  g_string_append_printf(m->text, "|%s", s->storage->head.name);
  for (guint k = 0; k < s->images->len; k++) {
    g_ptr_array_add(m->images, s->images->pdata[k]);
    g_string_append_printf(m->text, " %s", (char *)s->images->pdata[k]);
  }
}

/* Its own come first, as the engine wants them. */
void storages_make(const GArray *stores, const char *host, HostMaking *m)
{
  for (int own = 1; own >= 0; own--)
    for (guint i = 0; i < stores->len; i++) {
      const Store *s = &g_array_index(stores, Store, i);
      bool has = !s->storage->hosts || g_strv_contains((const char *const *)s->storage->hosts, host);
      if (has && (s->count == STORE_OWN) == (own == 1))
        store_make(m, s);
    }
  g_ptr_array_add(m->stores, NULL);
  g_ptr_array_add(m->images, NULL);
  m->spec.n_disks = m->n_disks;
  m->spec.disks = m->disks;
}

/* ── what is on them ──────────────────────────────────────────────────────── */

static const char *disk_name(const HostEntry *host, int disk)
{
  return host->disks->pdata[disk];
}

int host_disk_own(const HostEntry *host, const char *storage)
{
  for (int i = 0; storage && i < host->n_own; i++)
    if (!strcmp(disk_name(host, i), storage))
      return i;
  return -1;
}

const char *host_disk_shared(const HostEntry *host, const char *storage)
{
  for (guint i = host->n_own; storage && i < host->disks->len; i++)
    if (!strcmp(disk_name(host, (int)i), storage))
      return disk_name(host, (int)i);
  return NULL;
}

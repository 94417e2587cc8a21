/* What a host is to the engine: what it offers, its storages with the images on them, its cards. */
#include "core/ledger_parts.h"

#include <string.h>

/* A storage as hosts see it, read once for many of them. */
typedef struct {
  const Storage *storage;
  GPtrArray *images;  /* names of the versions it holds, borrowed */
} Store;

static void store_clear(void *store)
{
  g_ptr_array_unref(((Store *)store)->images);
}

GArray *ledger_stores_new(Brain *b)
{
  GArray *stores = g_array_new(FALSE, FALSE, sizeof(Store));
  g_array_set_clear_func(stores, store_clear);
  g_autoptr(GPtrArray) names = ledger_names(b, NOUN_STORAGE), images = ledger_names(b, NOUN_IMAGE);
  for (guint i = 0; i < names->len; i++) {
    Store s = { GET(b, Storage, STORAGE, names->pdata[i]), g_ptr_array_new() };
    for (guint k = 0; s.storage->hosts && k < images->len; k++) {
      const ImageVersion *image = GET(b, ImageVersion, IMAGE, images->pdata[k]);
      if (image->state == IMAGE_READY && image->storages && g_strv_contains((const char *const *)image->storages, names->pdata[i]))
        g_ptr_array_add(s.images, images->pdata[k]);
    }
    g_array_append_val(stores, s);
  }
  return stores;
}

static void holds_clear(void *holds)
{
  g_array_unref(*(GArray **)holds);
}

void making_clear(HostMaking *m)
{
  g_ptr_array_unref(m->stores);
  g_ptr_array_unref(m->images);
  g_clear_pointer(&m->gpus, g_ptr_array_unref);
  g_clear_pointer(&m->shapes, g_ptr_array_unref);
  g_array_unref(m->cards);
  g_array_unref(m->holds);
  g_string_free(m->text, TRUE);
}

int ledger_shape_find(const Ledger *l, const char *name)
{
  for (guint i = 0; i < l->shapes->len; i++)
    if (!strcmp(((CardShape *)l->shapes->pdata[i])->name, name))
      return (int)i;
  return -1;
}

typedef struct {
  CardSpec spec;
  const char *gpu;
  const CardShape *shape;
} CardMaking;

static int compare_cards(const void *a, const void *b)
{
  const CardMaking *x = a, *y = b;
  int by_spec = card_spec_compare(&x->spec, &y->spec);
  return by_spec ? by_spec : strcmp(x->gpu, y->gpu);
}

static void card_put(Brain *b, HostMaking *m, const CardMaking *c)
{
  GArray *holds = card_holds_new(b, GET(b, Gpu, GPU, c->gpu), c->shape);
  g_array_append_val(m->cards, c->spec);
  g_array_append_val(m->holds, holds);
  g_ptr_array_add(m->gpus, g_strdup(c->gpu));
  g_ptr_array_add(m->shapes, (CardShape *)c->shape);
  g_string_append_printf(m->text, "|%s %s", c->gpu, c->spec.model);
  for (guint i = 0; i < holds->len; i++) {
    const CardHold *h = &g_array_index(holds, CardHold, i);
    g_string_append_printf(m->text, " %s/%d/%x", h->profile, h->extent.share, h->extent.slots);
  }
}

static void cards_keep(Brain *b, const HostEntry *known, HostMaking *m)
{
  for (guint i = 0; i < known->gpus->len; i++) {
    const CardShape *s = known->shapes->pdata[i];
    card_put(b, m, &(CardMaking){ { s->name, 0 }, known->gpus->pdata[i], s });
  }
}

/* false: a card is of a shape that the fleet does not know yet. */
static bool cards_make(Brain *b, const Ledger *l, const char *host, HostMaking *m)
{
  g_autoptr(GPtrArray) names = state_host_gpus(b->state, host);
  g_autoptr(GArray) cards = g_array_new(FALSE, FALSE, sizeof(CardMaking));
  for (guint i = 0; i < names->len; i++) {
    CardShape *shape = card_shape_new(b, GET(b, Gpu, GPU, names->pdata[i]));
    int known = ledger_shape_find(l, shape->name);
    card_shape_free(shape);
    if (known < 0)
      return false;
    if (known >= MODELS_MOST)
      continue;
    const CardShape *s = l->shapes->pdata[known];
    CardMaking c = { { s->name, 0 }, names->pdata[i], s };
    g_array_append_val(cards, c);
  }
  g_array_sort(cards, compare_cards);
  for (guint i = 0; i < cards->len && i < CARDS_MOST; i++)
    card_put(b, m, &g_array_index(cards, CardMaking, i));
  return true;
}

static void storages_make(const GArray *stores, const char *host, HostMaking *m)
{
  for (guint i = 0; i < stores->len; i++) {
    const Store *s = &g_array_index(stores, Store, i);
    if (s->storage->hosts && !g_strv_contains((const char *const *)s->storage->hosts, host))
      continue;
    g_ptr_array_add(m->stores, s->storage->head.name);
    g_string_append_printf(m->text, "|%s", s->storage->head.name);
    for (guint k = 0; k < s->images->len; k++) {
      g_ptr_array_add(m->images, s->images->pdata[k]);
      g_string_append_printf(m->text, " %s", (char *)s->images->pdata[k]);
    }
  }
  g_ptr_array_add(m->stores, NULL);
  g_ptr_array_add(m->images, NULL);
}

bool host_make(Brain *b, const Ledger *l, const Host *h, const GArray *stores, const HostEntry *known, HostMaking *m)
{
  g_autofree char *labels = h->labels ? g_strjoinv(" ", h->labels) : g_strdup("");
  *m = (HostMaking){ .stores = g_ptr_array_new(), .images = g_ptr_array_new(), .gpus = g_ptr_array_new_with_free_func(g_free),
                     .shapes = g_ptr_array_new(),
                     .cards = g_array_new(FALSE, FALSE, sizeof(CardSpec)), .holds = g_array_new(FALSE, FALSE, sizeof(GArray *)),
                     .text = g_string_new(NULL) };
  g_array_set_clear_func(m->holds, holds_clear);
  m->spec = (HostSpec){ .name = h->head.name, .state = host_state_name(h->state), .vcpus = MIN(1000 * host_offer_vcpus(h), INT32_MAX),
                        .memory_mib = MIN(host_offer_mib(h), INT32_MAX), .labels = (const char *const *)h->labels };
  m->features[0] = h->virt_type;
  m->spec.features = m->features;
  g_string_append_printf(m->text, "%s %s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %s", m->spec.state, h->virt_type ? h->virt_type : "",
                         m->spec.vcpus, m->spec.memory_mib, labels);
  storages_make(stores, h->head.name, m);
  if (known)
    cards_keep(b, known, m);
  else if (!cards_make(b, l, h->head.name, m))
    return false;
  m->spec.stores = (const char *const *)m->stores->pdata;
  m->spec.images = (const char *const *)m->images->pdata;
  m->spec.cards = (const CardSpec *)m->cards->data;
  m->spec.n_cards = (int)m->cards->len;
  return true;
}

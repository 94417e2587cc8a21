/* What a host is to the engine: what it offers, its storages with the images on them, its cards. */
#include "core/ledger_parts.h"
#include "core/placement/intern.h"
#include "drivers/hypervisor/hypervisor.h"

#include <string.h>

static void holds_clear(void *holds)
{
  g_array_unref(*(GArray **)holds);
}

void making_clear(HostMaking *m)
{
  g_ptr_array_unref(m->features);
  g_free(m->cpu);
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
  g_string_append_printf(m->text, "|%s %s %d", c->gpu, c->spec.model, c->spec.cell);
  for (guint i = 0; i < holds->len; i++) {
    const CardHold *h = &g_array_index(holds, CardHold, i);
    g_string_append_printf(m->text, " %s/%d/%x", h->profile, h->extent.share, h->extent.slots);
  }
}

/* The cell it hangs on, in the order of the making; -1: the host does not say, or of none that counts. */
static int card_cell(Brain *b, const HostMaking *m, const char *gpu)
{
  const Gpu *g = GET(b, Gpu, GPU, gpu);
  const HostCell *cell = g ? host_cell_find(&m->cells, g->numa_node) : NULL;
  return cell ? (int)(cell - m->cells.cells) : m->cells.n ? -1 : 0;
}

static void cards_keep(Brain *b, const HostEntry *known, HostMaking *m)
{
  for (guint i = 0; i < known->gpus->len; i++) {
    const CardShape *s = known->shapes->pdata[i];
    const char *gpu = known->gpus->pdata[i];
    card_put(b, m, &(CardMaking){ { s->name, card_cell(b, m, gpu) }, gpu, s });
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
    CardMaking c = { { s->name, card_cell(b, m, names->pdata[i]) }, names->pdata[i], s };
    g_array_append_val(cards, c);
  }
  g_array_sort(cards, compare_cards);
  for (guint i = 0; i < cards->len && i < CARDS_MOST; i++)
    card_put(b, m, &g_array_index(cards, CardMaking, i));
  return true;
}

/* ── cells and CPUs ───────────────────────────────────────────────────────── */

/* What a host hands out is shared out among its cells by the CPUs and the ordinary memory that each has; huge pages are where they are. */
static void cells_make(const Host *h, HostMaking *m)
{
  int64_t cpus = 0, memory_mib = 0;
  host_cells_read(h->cells, &m->cells);
  for (int i = 0; i < m->cells.n; i++) {
    cpus += m->cells.cells[i].n_cpus;
    memory_mib += m->cells.cells[i].memory_mib - m->cells.cells[i].huge_mib;
  }
  for (int i = 0; i < m->cells.n; i++) {
    const HostCell *c = &m->cells.cells[i];
    int64_t ordinary_mib = memory_mib ? m->spec.memory_mib * (c->memory_mib - c->huge_mib) / memory_mib : 0;
    m->cell_specs[i] = (CellSpec){ m->spec.vcpus * c->n_cpus / cpus, ordinary_mib, c->huge_mib };
    g_string_append_printf(m->text, "|%d %d %" G_GINT64_FORMAT " %" G_GINT64_FORMAT, c->id, c->n_cpus, ordinary_mib, c->huge_mib);
  }
  m->spec.n_cells = m->cells.n;
  m->spec.cells = m->cell_specs;
}

int host_cell_index(const HostEntry *host, NumaCell cell)
{
  for (int i = 0; i < host->n_cells; i++)
    if (host->cells[i] == (int)cell - CELL_0)
      return i;
  return -1;
}

static bool cells_same(const HostEntry *known, const HostMaking *m)
{
  bool same = known->n_cells == m->cells.n;
  for (int i = 0; same && i < m->cells.n; i++)
    same = known->cells[i] == m->cells.cells[i].id;
  return same;
}

/* Emulated ones are those of the program that emulates. */
static bool is_emulated(const Host *h)
{
  return !g_strcmp0(h->virt_type, virt_type_name(VIRT_QEMU));
}

static uint64_t cpu_digest(const Host *h)
{
  g_autofree char *all = is_emulated(h) ? g_strdup(h->hypervisor) : g_strconcat(h->cpu_model ? h->cpu_model : "", "|", h->cpu_features, NULL);
  return hash_text(all ? all : "");
}

char *host_cpu_word(uint64_t cpu)
{
  return g_strdup_printf("CPU %016" G_GINT64_MODIFIER "x", cpu);
}

static int compare_words(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *templates_cpu(Brain *b)
{
  GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
  g_autoptr(GPtrArray) names = ledger_names(b, NOUN_TEMPLATE);
  for (guint i = 0; i < names->len; i++)
    for (char **w = GET(b, TemplateVersion, TEMPLATE, names->pdata[i])->cpu; w && *w; w++)
      if (!g_ptr_array_find_with_equal_func(words, *w, g_str_equal, NULL))
        g_ptr_array_add(words, g_strdup(*w));
  g_ptr_array_sort(words, compare_words);
  return words;
}

/* Whether the word stands in text, between spaces. */
static bool has_word(const char *text, const char *word)
{
  size_t n = strlen(word);
  for (const char *at = text; (at = strstr(at, word)); at += n)
    if ((at == text || at[-1] == ' ') && (!at[n] || at[n] == ' '))
      return true;
  return false;
}

/* Where nothing is known of the CPU, and where what is required is left out of the domain, nothing is refused for it. */
static void features_make(const Ledger *l, const Host *h, HostMaking *m)
{
  m->cpu_digest = cpu_digest(h);
  m->cpu = host_cpu_word(m->cpu_digest);
  g_ptr_array_add(m->features, m->cpu);
  for (guint i = 0; i < l->cpu->len; i++)
    if (!h->cpu_features || is_emulated(h) || has_word(h->cpu_features, l->cpu->pdata[i]))
      g_ptr_array_add(m->features, l->cpu->pdata[i]);
  if (h->virt_type)
    g_ptr_array_add(m->features, h->virt_type);
  if (host_migrate_uri(h))
    g_ptr_array_add(m->features, (char *)CAN_COME);
  for (guint i = 0; i < m->features->len; i++)
    g_string_append_printf(m->text, " %s", (char *)m->features->pdata[i]);
  g_ptr_array_add(m->features, NULL);
  m->spec.features = (const char *const *)m->features->pdata;
}

bool host_make(Brain *b, const Ledger *l, const Host *h, const GArray *stores, const HostEntry *known, HostMaking *m)
{
  g_autofree char *labels = h->labels ? g_strjoinv(" ", h->labels) : g_strdup("");
  *m = (HostMaking){ .features = g_ptr_array_new(), .stores = g_ptr_array_new(),
                     .images = g_ptr_array_new(), .gpus = g_ptr_array_new_with_free_func(g_free),
                     .shapes = g_ptr_array_new(),
                     .cards = g_array_new(FALSE, FALSE, sizeof(CardSpec)), .holds = g_array_new(FALSE, FALSE, sizeof(GArray *)),
                     .text = g_string_new(NULL) };
  g_array_set_clear_func(m->holds, holds_clear);
  m->spec = (HostSpec){ .name = h->head.name, .state = host_state_name(h->state), .vcpus = MIN(1000 * host_offer_vcpus(h), INT32_MAX),
                        .memory_mib = MIN(host_offer_mib(h), INT32_MAX), .huge_mib = MIN(h->huge_mib, INT32_MAX),
                        .page_kib = MIN(h->page_kib, INT32_MAX), .labels = (const char *const *)h->labels };
  g_string_append_printf(m->text, "%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT " %s", m->spec.state,
                         m->spec.vcpus, m->spec.memory_mib, m->spec.huge_mib, m->spec.page_kib, labels);
  cells_make(h, m);
  features_make(l, h, m);
  storages_make(stores, h->head.name, m);
  if (known && cells_same(known, m))
    cards_keep(b, known, m);
  else if (!cards_make(b, l, h->head.name, m))
    return false;
  m->spec.stores = (const char *const *)m->stores->pdata;
  m->spec.images = (const char *const *)m->images->pdata;
  m->spec.cards = (const CardSpec *)m->cards->data;
  m->spec.n_cards = (int)m->cards->len;
  return true;
}

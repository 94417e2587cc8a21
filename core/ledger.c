#include "core/ledger_parts.h"
#include "core/placement/intern.h"
#include "core/placing.h"

#include <string.h>

static void host_entry_free(void *data)
{
  HostEntry *e = data;
  g_free(e->text);
  g_ptr_array_unref(e->gpus);
  g_ptr_array_unref(e->shapes);
  g_ptr_array_unref(e->disks);
  g_free(e);
}

static void desktop_entry_free(void *data)
{
  DesktopEntry *e = data;
  g_free(e->shared);
  g_clear_pointer(&e->more, g_array_unref);
  g_free(e);
}

void ledger_free(Ledger *l)
{
  if (!l)
    return;
  g_hash_table_unref(l->hosts);
  g_hash_table_unref(l->desktops);
  fleet_free(l->fleet);
  g_ptr_array_unref(l->shapes);
  g_ptr_array_unref(l->cpu);
  g_free(l->pools);
  g_free(l->storages);
  g_free(l);
}

static int compare_texts(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *ledger_names(Brain *b, Noun noun)
{
  GPtrArray *names = state_names(b->state, noun);
  g_ptr_array_sort(names, compare_texts);
  return names;
}

static GPtrArray *sorted_keys(GHashTable *set)
{
  GPtrArray *keys = g_ptr_array_new();
  GHashTableIter i;
  void *key;
  g_hash_table_iter_init(&i, set);
  while (g_hash_table_iter_next(&i, &key, NULL))
    g_ptr_array_add(keys, key);
  g_ptr_array_sort(keys, compare_texts);
  return keys;
}

char *ledger_desktop(uint64_t tag)
{
  return g_strdup_printf("d-%" G_GUINT64_FORMAT, tag);
}

/* ── one host anew ────────────────────────────────────────────────────────── */

/* All that hold something on the host, in one order: claims of those that are gone as well. */
static GPtrArray *holders_on(Brain *b, const char *host)
{
  g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(GPtrArray) names = state_host_desktops(b->state, host), gpus = state_host_gpus(b->state, host);
  g_autoptr(GPtrArray) coming = state_host_coming(b->state, host);
  for (guint i = 0; i < names->len; i++)
    g_hash_table_add(set, g_strdup(names->pdata[i]));
  for (guint i = 0; i < coming->len; i++)
    g_hash_table_add(set, g_strdup(coming->pdata[i]));
  for (guint i = 0; i < gpus->len; i++) {
    g_autoptr(GPtrArray) claims = state_gpu_claims(b->state, gpus->pdata[i]);
    for (guint k = 0; k < claims->len; k++)
      g_hash_table_add(set, g_strdup(GET(b, Vgpu, VGPU, claims->pdata[k])->desktop));
  }
  g_autoptr(GPtrArray) keys = sorted_keys(set);
  GPtrArray *sorted = g_ptr_array_new_with_free_func(g_free);
  for (guint i = 0; i < keys->len; i++)
    g_ptr_array_add(sorted, g_strdup(keys->pdata[i]));
  return sorted;
}

static void host_empty(Ledger *l, int host)
{
  for (ClaimId id = claim_first(l->fleet, host); id.number >= 0; id = claim_first(l->fleet, host)) {
    ClaimTerms terms;
    claim_find(l->fleet, id, NULL, &terms, NULL);
    g_autofree char *desktop = ledger_desktop(terms.tag);
    if (terms.tag && g_hash_table_contains(l->desktops, desktop))
      desktop_take_out(l, desktop);
    else
      place_release(l->fleet, id, NULL);
  }
}

static void disks_keep(HostEntry *e, const HostMaking *m)
{
  e->disks = g_ptr_array_new_with_free_func(g_free);
  e->n_own = 0;
  for (int i = 0; i < m->n_disks; i++) {
    g_ptr_array_add(e->disks, g_strdup(m->disks[i].store));
    e->n_own += !m->disks[i].shared;
  }
}

static bool host_enter(Ledger *l, const char *name, HostMaking *m)
{
  HostEntry *e = g_hash_table_lookup(l->hosts, name);
  if (e) {
    host_empty(l, e->number);
    if (!fleet_put_host(l->fleet, e->number, &m->spec, NULL))
      return false;
    g_free(e->text);
    g_ptr_array_unref(e->gpus);
    g_ptr_array_unref(e->shapes);
    g_ptr_array_unref(e->disks);
  } else {
    int number;
    if (!fleet_add_host(l->fleet, &m->spec, &number, NULL))
      return false;
    e = g_new0(HostEntry, 1);
    e->number = number;
    g_hash_table_insert(l->hosts, g_strdup(name), e);
  }
  e->text = g_strdup(m->text->str);
  e->gpus = g_steal_pointer(&m->gpus);
  e->shapes = g_steal_pointer(&m->shapes);
  disks_keep(e, m);
  e->crowded = false;
  e->cpu = m->cpu_digest;
  e->n_cells = m->cells.n;
  for (int i = 0; i < m->cells.n; i++)
    e->cells[i] = (int8_t)m->cells.cells[i].id;
  holds_put(l->fleet, e, m);
  return true;
}

/* What may be otherwise on a host since it was entered. */
typedef enum {
  RENEW_OWN,      /* its own numbers, and what is held of its cards */
  RENEW_CARDS,    /* its cards as well */
  RENEW_ALL,      /* all that is put on it, again in order */
} Renewal;

/* false: the fleet has to be made anew. */
static bool host_renew_own(Brain *b, Ledger *l, const char *name, const GArray *stores, Renewal what, bool *ret_entered)
{
  const Host *h = GET(b, Host, HOST, name);
  const HostEntry *e = g_hash_table_lookup(l->hosts, name);
  g_auto(HostMaking) m = { 0 };
  *ret_entered = false;
  if (!h)
    return true;
  if (!host_make(b, l, h, stores, what == RENEW_CARDS ? NULL : e, &m))
    return false;
  if (e && what != RENEW_ALL && !strcmp(e->text, m.text->str))
    return true;
  *ret_entered = host_enter(l, name, &m);
  return *ret_entered;
}

static void holders_put(Brain *b, Ledger *l, const char *host)
{
  g_autoptr(GPtrArray) holders = holders_on(b, host);
  for (guint i = 0; i < holders->len; i++) {
    g_auto(Holding) holding;
    holding_make(b, l, holders->pdata[i], &holding);
    desktop_take_out(l, holders->pdata[i]);
    desktop_put(b, l, holders->pdata[i], &holding);
  }
}

static bool host_renew(Brain *b, Ledger *l, const char *name, const GArray *stores, Renewal what)
{
  bool entered, known = host_renew_own(b, l, name, stores, what, &entered);
  if (entered)
    holders_put(b, l, name);
  return known;
}

/* ── all of it ────────────────────────────────────────────────────────────── */

/* Those that offer something come first: what is beyond the limit is best missed. */
static int compare_shapes(const void *a, const void *b)
{
  const CardShape *x = *(CardShape *const *)a, *y = *(CardShape *const *)b;
  return !x->n == !y->n ? strcmp(x->name, y->name) : !x->n - !y->n;
}

/* Of the fleet as it was asked last: a look may not make it anew. */
bool ledger_leaves_out(Brain *b, const Gpu *gpu, int *ret_shapes)
{
  *ret_shapes = b->ledger ? (int)b->ledger->shapes->len : 0;
  if (*ret_shapes <= MODELS_MOST)
    return false;
  CardShape *shape = card_shape_new(b, gpu);
  bool out = ledger_shape_find(b->ledger, shape->name) >= MODELS_MOST;
  card_shape_free(shape);
  return out;
}

static void shapes_gather(Brain *b, Ledger *l)
{
  g_autoptr(GPtrArray) names = ledger_names(b, NOUN_GPU);
  for (guint i = 0; i < names->len; i++) {
    CardShape *shape = card_shape_new(b, GET(b, Gpu, GPU, names->pdata[i]));
    if (ledger_shape_find(l, shape->name) >= 0)
      card_shape_free(shape);
    else
      g_ptr_array_add(l->shapes, shape);
  }
  g_ptr_array_sort(l->shapes, compare_shapes);
  for (guint i = 0; i < l->shapes->len && i < MODELS_MOST; i++) {
    const CardShape *s = l->shapes->pdata[i];
    CardModelSpec spec = { .name = s->name, .same_type = s->same_type, .n_profiles = s->n, .profiles = s->profiles };
    for (int p = 0; p < s->n; p++)
      spec.framebuffer_mib = MAX(spec.framebuffer_mib, s->profiles[p].framebuffer_mib);
    fleet_add_model(l->fleet, &spec, NULL);
  }
}

static void list_tell(GString *text, char *const *list)
{
  for (; list && *list; list++)
    g_string_append_printf(text, ",%s", *list);
  g_string_append_c(text, ';');
}

/* What of storages is in the claims: who has them; and of shared ones what they take. */
static char *storages_text(const GArray *stores)
{
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < stores->len; i++) {
    const Store *s = &g_array_index(stores, Store, i);
    g_string_append_printf(text, "%s %d %" G_GINT64_FORMAT, s->storage->head.name, s->count, s->count == STORE_SHARED ? s->offer_mib : 0);
    list_tell(text, s->storage->hosts);
  }
  return g_string_free(text, FALSE);
}

/* What of pools is in the claims, their groups and where their desktops may be; and of templates, what they require of CPUs. */
static char *pools_text(Brain *b)
{
  GString *text = g_string_new(NULL);
  g_autoptr(GPtrArray) names = ledger_names(b, NOUN_POOL);
  for (guint i = 0; i < names->len; i++) {
    const Pool *p = GET(b, Pool, POOL, names->pdata[i]);
    g_string_append_printf(text, "%s %s %d %d", p->head.name, p->group ? p->group : "", p->group_rule, p->policy);
    list_tell(text, p->weights);
    list_tell(text, p->labels);
    list_tell(text, p->prefers);
    list_tell(text, p->hosts);
  }
  g_autoptr(GPtrArray) cpu = templates_cpu(b);
  for (guint i = 0; i < cpu->len; i++)
    g_string_append_printf(text, "\n%s", (char *)cpu->pdata[i]);
  return g_string_free(text, FALSE);
}

static Ledger *ledger_new(Brain *b)
{
  Ledger *l = g_new0(Ledger, 1);
  l->fleet = fleet_new(0);
  l->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, host_entry_free);
  l->desktops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, desktop_entry_free);
  l->shapes = g_ptr_array_new_with_free_func(card_shape_free);
  l->cpu = templates_cpu(b);
  l->pools = pools_text(b);
  shapes_gather(b, l);
  g_autoptr(GPtrArray) names = ledger_names(b, NOUN_HOST);
  g_autoptr(GArray) stores = ledger_stores_new(b);
  l->storages = storages_text(stores);
  ledger_stores_share(l->fleet, stores);
  for (guint i = 0; i < names->len; i++) {
    bool entered;
    host_renew_own(b, l, names->pdata[i], stores, RENEW_ALL, &entered);
  }
  for (guint i = 0; i < names->len; i++) /* where a desktop may go names hosts that the fleet must know by then */
    holders_put(b, l, names->pdata[i]);
  return l;
}

/* ── kept true ────────────────────────────────────────────────────────────── */

static bool pools_differ(Brain *b, const Ledger *l)
{
  g_autofree char *now = pools_text(b);
  return strcmp(now, l->pools) != 0;
}

static bool storages_differ(Brain *b, const Ledger *l)
{
  g_autoptr(GArray) stores = ledger_stores_new(b);
  g_autofree char *now = storages_text(stores);
  return strcmp(now, l->storages) != 0;
}

static void names_join(GHashTable *set, GHashTable *names)
{
  GHashTableIter i;
  void *name;
  g_hash_table_iter_init(&i, names);
  while (g_hash_table_iter_next(&i, &name, NULL))
    g_hash_table_add(set, g_strdup(name));
}

/* What a card tells may change what each part of it takes. */
static void holders_touch(Brain *b, Touched *t)
{
  g_autoptr(GPtrArray) hosts = sorted_keys(t->cards);
  for (guint i = 0; i < hosts->len; i++) {
    g_autoptr(GPtrArray) holders = holders_on(b, hosts->pdata[i]);
    for (guint k = 0; k < holders->len; k++)
      g_hash_table_add(t->desktops, g_strdup(holders->pdata[k]));
  }
}

static bool hosts_follow(Brain *b, Ledger *l, Touched *t)
{
  names_join(t->hosts, t->cards);
  names_join(t->hosts, t->claims);
  bool all = t->storages || t->images, known = true;
  if (!all && !g_hash_table_size(t->hosts))
    return true;
  g_autoptr(GArray) stores = ledger_stores_new(b);
  g_autoptr(GPtrArray) names = all ? ledger_names(b, NOUN_HOST) : sorted_keys(t->hosts);
  for (guint i = 0; known && i < names->len; i++)
    known = host_renew(b, l, names->pdata[i], stores, g_hash_table_contains(t->cards, names->pdata[i]) ? RENEW_CARDS : RENEW_OWN);
  holders_touch(b, t);
  return known;
}

static void whole_add(GHashTable *whole, const HostEntry *host, const Ledger *l)
{
  if (host && host->crowded)
    g_hash_table_add(whole, g_strdup(fleet_host_name(l->fleet, host->number)));
}

/* Where it matters who was put first, all of the host's are put again. */
static void desktop_follow(Brain *b, Ledger *l, const char *name, GHashTable *whole)
{
  const DesktopEntry *e = g_hash_table_lookup(l->desktops, name);
  g_auto(Holding) h;
  holding_make(b, l, name, &h);
  bool same = e ? e->digest == hash_text(h.text->str) : !h.desktop && !h.claims->len;
  if (e && same)
    place_set_movable(l->fleet, e->first, h.stay == STAY_NOT, NULL);
  if (same)
    return;
  if (e)
    whole_add(whole, g_hash_table_lookup(l->hosts, fleet_host_name(l->fleet, e->host)), l);
  desktop_take_out(l, name);
  desktop_put(b, l, name, &h);
  whole_add(whole, h.host, l);
}

static bool desktops_follow(Brain *b, Ledger *l, Touched *t)
{
  g_autoptr(GHashTable) whole = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  bool known = true;
  GHashTableIter i;
  void *name;
  g_hash_table_iter_init(&i, t->desktops);
  while (g_hash_table_iter_next(&i, &name, NULL))
    desktop_follow(b, l, name, whole);
  if (!g_hash_table_size(whole))
    return true;
  g_autoptr(GArray) stores = ledger_stores_new(b);
  g_autoptr(GPtrArray) names = sorted_keys(whole);
  for (guint k = 0; known && k < names->len; k++)
    known = host_renew(b, l, names->pdata[k], stores, RENEW_ALL);
  return known;
}

static bool ledger_follow(Brain *b, Ledger *l, Touched *t)
{
  if (t->gone || t->classes || (t->pools && pools_differ(b, l)) || ((t->storages || t->images) && storages_differ(b, l)))
    return false;
  return hosts_follow(b, l, t) && desktops_follow(b, l, t);
}

Fleet *ledger_fleet(Brain *b)
{
  Touched *t = state_touched(b->state);
  bool fresh = !b->ledger || !ledger_follow(b, b->ledger, t);
  if (fresh) {
    placing_forget(b);
    g_clear_pointer(&b->ledger, ledger_free);
    b->ledger = ledger_new(b);
  }
  bool pools = fresh || t->pools;
  touched_clear(t);
  if (pools)
    placing_mix(b, b->ledger->fleet);
  return b->ledger->fleet;
}

static const HostEntry *entry_of(Brain *b, int host)
{
  return g_hash_table_lookup(b->ledger->hosts, fleet_host_name(b->ledger->fleet, host));
}

const char *ledger_card(Brain *b, int host, int card)
{
  const HostEntry *e = entry_of(b, host);
  return card < (int)e->gpus->len ? e->gpus->pdata[card] : "?";
}

NumaCell ledger_cell(Brain *b, int host, int index)
{
  const HostEntry *e = entry_of(b, host);
  return index >= 0 && index < e->n_cells ? CELL_0 + (NumaCell)e->cells[index] : CELL_ANY;
}

int ledger_cell_index(Brain *b, int host, NumaCell cell)
{
  return host_cell_index(entry_of(b, host), cell);
}

bool ledger_storage_room(Brain *b, const char *host, const char *storage, int64_t *ret_mib)
{
  int number = fleet_find_host(b->ledger->fleet, host);
  return number >= 0 && fleet_store_free(b->ledger->fleet, number, storage, ret_mib);
}

bool ledger_claim(Brain *b, const char *desktop, ClaimId *ret_claim)
{
  const DesktopEntry *e = g_hash_table_lookup(b->ledger->desktops, desktop);
  if (e)
    *ret_claim = e->first;
  return e;
}

GPtrArray *ledger_shapes(Brain *b)
{
  return b->ledger->shapes;
}

static int movable_on(const Fleet *f, int host)
{
  int n = 0;
  for (ClaimId id = claim_first(f, host); id.number >= 0; id = claim_next(f, id)) {
    ClaimTerms terms;
    n += claim_find(f, id, NULL, &terms, NULL) && terms.movable;
  }
  return n;
}

static void stores_tell(Brain *b, const Fleet *f, int host, GString *text)
{
  int64_t free_mib;
  g_autoptr(GPtrArray) names = ledger_names(b, NOUN_STORAGE);
  for (guint i = 0; host >= 0 && i < names->len; i++)
    if (fleet_store_free(f, host, names->pdata[i], &free_mib))
      g_string_append_printf(text, "  %s %" G_GINT64_FORMAT " MiB\n", (char *)names->pdata[i], free_mib);
}

char *ledger_text(Brain *b, bool anew)
{
  Fleet *kept = ledger_fleet(b);
  Ledger *other = anew ? ledger_new(b) : NULL;
  const Fleet *f = other ? other->fleet : kept;
  GString *text = g_string_new(NULL);
  g_autoptr(GPtrArray) names = ledger_names(b, NOUN_HOST);
  for (guint i = 0; i < names->len; i++) {
    int host = fleet_find_host(f, names->pdata[i]);
    g_autofree char *line = host < 0 ? g_strdup("not there") : fleet_host_text(f, host);
    g_string_append_printf(text, "%s: %s, %d can move\n", (char *)names->pdata[i], line, host < 0 ? 0 : movable_on(f, host));
    stores_tell(b, f, host, text);
  }
  ledger_free(other);
  return g_string_free(text, FALSE);
}

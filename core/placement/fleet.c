/* The fleet: what there is and what is free. */
#include "core/placement/parts.h"

int64_t capacity_of(int64_t capacity, int overcommit_pct, int64_t reserve)
{
  return MAX(0, capacity * overcommit_pct / 100 - reserve);
}

/* ── life ─────────────────────────────────────────────────────────────────── */

static void kind_free(void *data)
{
  HostKind *k = data;
  g_free(k->text);
  g_free(k->state);
  g_free(k->weight);
  id_set_done(&k->labels);
  id_set_done(&k->features);
  id_set_done(&k->images);
  id_set_done(&k->stores);
  id_set_done(&k->boundless);
  g_free(k);
}

Fleet *fleet_new(uint64_t seed)
{
  Fleet *f = g_new0(Fleet, 1);
  f->seed = seed;
  words_init(&f->words);
  f->names = g_hash_table_new(g_str_hash, g_str_equal);
  f->host_names = g_ptr_array_new_with_free_func(g_free);
  f->kinds = g_ptr_array_new_with_free_func(kind_free);
  f->kind_ids = g_hash_table_new(g_str_hash, g_str_equal);
  f->licences = g_hash_table_new_full(NULL, NULL, NULL, g_free);
  f->groups = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_hash_table_unref);
  GArray **words[] = { &f->kind, &f->bucket, &f->next, &f->before, &f->first_card, &f->generation, &f->first_claim };
  for (guint i = 0; i < G_N_ELEMENTS(words); i++)
    *words[i] = g_array_new(FALSE, TRUE, sizeof(uint32_t));
  f->cards = g_array_sized_new(FALSE, TRUE, sizeof(CardState), 1); /* never NULL: copied and compared with no card too */
  f->buckets = g_array_new(FALSE, TRUE, sizeof(Bucket));
  f->born = g_array_new(FALSE, TRUE, sizeof(Born));
  f->claims = g_array_new(FALSE, TRUE, sizeof(ClaimRow));
  f->free_bucket = f->free_claim = -1;
  f->classes = g_hash_table_new(g_str_hash, g_str_equal);
  f->class_list = g_ptr_array_new();
  return f;
}

static void models_free(Fleet *f)
{
  for (int m = 0; m < f->n_models; m++) {
    g_free(f->models[m].name);
    for (int p = 0; p < f->models[m].n_profiles; p++)
      g_free(f->models[m].profiles[p].name);
  }
  for (int i = 0; i < f->n_shared; i++)
    g_free(f->shared[i].name);
}

void fleet_free(Fleet *f)
{
  if (!f)
    return;
  g_clear_pointer(&f->changed, g_hash_table_unref);
  for (int i = f->borrowed; i < claims_len(f); i++) {
    g_free(claim_at(f, i)->parts);
    g_clear_pointer(&claim_at(f, i)->class, demand_class_unref);
  }
  while (f->class_list->len)
    class_orphan(f->class_list->pdata[f->class_list->len - 1]);
  mix_free(f->mix);
  models_free(f);
  GArray *arrays[] = { f->kind, f->bucket, f->next, f->before, f->first_card, f->generation, f->first_claim, f->cards,
                       f->buckets, f->born, f->claims };
  for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
    g_array_unref(arrays[i]);
  GHashTable *tables[] = { f->names, f->kind_ids, f->licences, f->groups, f->classes };
  for (guint i = 0; i < G_N_ELEMENTS(tables); i++)
    g_hash_table_unref(tables[i]);
  g_ptr_array_unref(f->host_names);
  g_ptr_array_unref(f->kinds);
  g_ptr_array_unref(f->class_list);
  words_done(&f->words);
  g_free(f->table);
  g_free(f);
}

/* ── card models, shared storages, licences ───────────────────────────────── */

static bool profile_ok(const ProfileSpec *p, GError **err)
{
  uint64_t last = p->starts ? 63 - __builtin_clzll(p->starts) : 0;
  bool placed = p->slots > 0 && p->starts && last + p->slots <= SLOTS_MOST;
  if (p->share >= 1 && p->share <= CARD_WHOLE && (placed || (!p->slots && !p->starts)))
    return true;
  return error_false(err, REASON_BAD_VALUE, "field", "profile", "value", p->name, "limit",
                     "of a share from 1 to 1000, with starts that leave room for its slots", NULL);
}

static int model_find(const Fleet *f, const char *name)
{
  for (int m = 0; m < f->n_models; m++)
    if (!strcmp(f->models[m].name, name))
      return m;
  return -1;
}

static bool too_many(GError **err, const char *what, int n, int most)
{
  g_autofree char *number = g_strdup_printf("the number of %s", what);
  g_autofree char *value = g_strdup_printf("%d", n), *limit = g_strdup_printf("%d", most);
  return error_false(err, REASON_TOO_LARGE, "what", number, "value", value, "limit", limit, NULL);
}

bool fleet_add_model(Fleet *f, const CardModelSpec *spec, GError **err)
{
  if (model_find(f, spec->name) >= 0)
    return error_false(err, REASON_EXISTS, "kind", "card model", "name", spec->name, NULL);
  if (f->n_models == MODELS_MOST)
    return too_many(err, "card models", f->n_models + 1, MODELS_MOST);
  if (spec->n_profiles > PROFILES_MOST)
    return too_many(err, "profiles", spec->n_profiles, PROFILES_MOST);
  for (int p = 0; p < spec->n_profiles; p++)
    if (!profile_ok(&spec->profiles[p], err))
      return false;
  CardModel *m = &f->models[f->n_models++];
  *m = (CardModel){ g_strdup(spec->name), hash_text(spec->name), spec->framebuffer_mib, spec->same_type, spec->any_share, spec->n_profiles, {} };
  for (int p = 0; p < spec->n_profiles; p++) {
    const ProfileSpec *s = &spec->profiles[p];
    m->profiles[p] = (Profile){ g_strdup(s->name), words_id(&f->words, s->name), s->framebuffer_mib, s->share, s->slots, s->starts };
  }
  return true;
}

bool fleet_add_shared(Fleet *f, const char *name, const char *kind, int64_t capacity_mib, GError **err)
{
  for (int i = 0; i < f->n_shared; i++)
    if (!strcmp(f->shared[i].name, name))
      return error_false(err, REASON_EXISTS, "kind", "storage", "name", name, NULL);
  if (f->n_shared == SHARED_MOST)
    return error_false(err, REASON_TOO_LARGE, "what", "the number of shared storages", "value", "65", "limit", "64", NULL);
  f->shared[f->n_shared++] = (SharedDisk){ g_strdup(name), words_id(&f->words, kind), capacity_mib, 0 };
  return true;
}

static SharedDisk *shared_find(const Fleet *f, const char *name)
{
  for (int i = 0; i < f->n_shared; i++)
    if (!strcmp(f->shared[i].name, name))
      return (SharedDisk *)&f->shared[i];
  return NULL;
}

void fleet_shared_take(Fleet *f, const char *name, int64_t mib)
{
  SharedDisk *s = shared_find(f, name);
  g_assert(s);
  s->used += mib;
}

void fleet_shared_clear(Fleet *f)
{
  for (int i = 0; i < f->n_shared; i++)
    f->shared[i].used = 0;
}

bool fleet_store_free(const Fleet *f, int host, const char *store, int64_t *ret_free_mib)
{
  const HostState *s = &bucket_of(f, host)->state;
  const HostKind *k = kind_at(f, s->kind);
  for (int i = 0; i < k->n_disks; i++) {
    if (!k->disk_store[i] || strcmp(words_text(&f->words, k->disk_store[i] - 1), store))
      continue;
    const SharedDisk *shared = k->shared[i] < 0 ? NULL : &f->shared[k->shared[i]];
    *ret_free_mib = shared ? shared->capacity - shared->used : s->disk[i];
    return true;
  }
  return false;
}

Licence *licence_of(const Fleet *f, uint32_t id)
{
  return g_hash_table_lookup(f->licences, GUINT_TO_POINTER(id));
}

Licence *licence_made(Fleet *f, uint32_t id)
{
  Licence *l = licence_of(f, id);
  if (l)
    return l;
  l = g_new0(Licence, 1);
  g_hash_table_insert(f->licences, GUINT_TO_POINTER(id), l);
  return l;
}

void fleet_put_licence(Fleet *f, const char *name, int64_t total, int64_t elsewhere)
{
  Licence *l = licence_made(f, words_id(&f->words, name));
  l->total = total;
  l->elsewhere = elsewhere;
}

/* ── kinds of hosts ───────────────────────────────────────────────────────── */

static bool numbers_ok(const HostSpec *spec, GError **err)
{
  bool ok = spec->n_cards <= CARDS_MOST && spec->n_cells <= CELLS_MOST && spec->n_disks <= DISKS_MOST;
  ok = ok && spec->vcpus >= 0 && spec->vcpus <= INT32_MAX && spec->memory_mib >= 0 && spec->memory_mib <= INT32_MAX;
  ok = ok && spec->huge_mib >= 0 && spec->huge_mib <= INT32_MAX && spec->page_kib >= 0 && spec->page_kib <= INT32_MAX;
  for (int i = 0; ok && i < spec->n_disks; i++)
    ok = spec->disks[i].capacity_mib >= 0 && spec->disks[i].capacity_mib <= INT32_MAX && (spec->disks[i].shared || i < DISKS_OWN);
  return ok || error_false(err, REASON_TOO_LARGE, "what", "the size of a host", "value", spec->name, "limit",
                           "16 cards, 8 NUMA cells, 8 storages (2 of its own, first), 2 million vCPUs, 2 PiB", NULL);
}

static bool kind_disks(Fleet *f, HostKind *k, const HostSpec *spec, GError **err)
{
  k->n_disks = spec->n_disks;
  for (int i = 0; i < spec->n_disks; i++) {
    const DiskSpec *d = &spec->disks[i];
    k->disk_kind[i] = words_id(&f->words, d->kind);
    k->disk_store[i] = d->store ? words_id(&f->words, d->store) + 1 : 0;
    k->shared[i] = -1;
    if (!d->shared)
      k->full.disk[i] = (int32_t)d->capacity_mib;
    for (int j = 0; d->shared && j < f->n_shared; j++)
      if (!strcmp(f->shared[j].name, d->shared))
        k->shared[i] = j;
    if (d->shared && k->shared[i] < 0)
      return error_false(err, REASON_NOT_FOUND, "kind", "storage", "name", d->shared, NULL);
  }
  return true;
}

static bool is_counted(const HostSpec *spec, const char *store)
{
  for (int i = 0; i < spec->n_disks; i++)
    if (!g_strcmp0(spec->disks[i].store, store))
      return true;
  return false;
}

static IdSet boundless_stores(Fleet *f, const HostSpec *spec)
{
  g_autoptr(GPtrArray) names = g_ptr_array_new();
  for (const char *const *s = spec->stores; s && *s; s++)
    if (!is_counted(spec, *s))
      g_ptr_array_add(names, (char *)*s);
  g_ptr_array_add(names, NULL);
  return id_set_new(&f->words, (const char *const *)names->pdata);
}

int card_spec_compare(const CardSpec *a, const CardSpec *b)
{
  uint64_t x = hash_text(a->model), y = hash_text(b->model);
  return x != y ? (x > y ? 1 : -1) : a->cell - b->cell;
}

typedef struct {
  uint64_t hash;
  int model, cell;
} CardPlan;

static int compare_plans(const void *a, const void *b)
{
  const CardPlan *x = a, *y = b;
  return x->hash != y->hash ? (x->hash > y->hash ? 1 : -1) : x->cell - y->cell;
}

/* n cards in the order that hosts have theirs in. */
static void kind_lay_cards(HostKind *k, CardPlan *plan, int n)
{
  qsort(plan, n, sizeof *plan, compare_plans);
  k->full.n_cards = (uint8_t)n;
  memset(k->full.cards, 0, sizeof k->full.cards);
  k->models = 0;
  for (int i = n - 1; i >= 0; i--) {
    bool ends = i == n - 1 || compare_plans(&plan[i], &plan[i + 1]);
    k->model[i] = (uint8_t)plan[i].model;
    k->cell[i] = (uint8_t)plan[i].cell;
    k->run_end[i] = ends ? (uint8_t)(i + 1) : k->run_end[i + 1];
    k->models |= UINT64_C(1) << plan[i].model;
    k->full.cards[i] = (CardState){ CARD_WHOLE, 0, 0 };
  }
}

static bool kind_cards(Fleet *f, HostKind *k, const HostSpec *spec, GError **err)
{
  CardPlan plan[CARDS_MOST] = {};
  for (int i = 0; i < spec->n_cards; i++) {
    int m = model_find(f, spec->cards[i].model), cell = spec->cards[i].cell;
    if (m < 0)
      return error_false(err, REASON_NOT_FOUND, "kind", "card model", "name", spec->cards[i].model, NULL);
    if (cell < -1 || cell >= MAX(1, spec->n_cells))
      return error_false(err, REASON_BAD_VALUE, "field", "the NUMA cell of a card", "value", spec->name, "limit", "one of the host's", NULL);
    plan[i] = (CardPlan){ f->models[m].hash, m, cell };
  }
  kind_lay_cards(k, plan, spec->n_cards);
  return true;
}

static int compare_words(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void append_list(GString *text, const char *what, const char *const *list)
{
  g_autoptr(GPtrArray) sorted = g_ptr_array_new();
  for (; list && *list; list++)
    g_ptr_array_add(sorted, (char *)*list);
  g_ptr_array_sort(sorted, compare_words);
  g_string_append_printf(text, "|%s", what);
  for (guint i = 0; i < sorted->len; i++)
    g_string_append_printf(text, "\x1f%s", (char *)sorted->pdata[i]);
}

/* Content in words, so that neither numbers given out on the way nor the order of hosts get into it. */
static char *kind_text(const Fleet *f, const HostKind *k, const HostSpec *spec)
{
  GString *text = g_string_new(spec->state);
  g_string_append_printf(text, "|%d %d %d of %d", k->full.vcpus, k->full.memory, k->full.huge, k->page_kib);
  append_list(text, "labels", spec->labels);
  append_list(text, "features", spec->features);
  append_list(text, "images", spec->images);
  append_list(text, "stores", spec->stores);
  for (int i = 0; i < spec->n_disks; i++)
    g_string_append_printf(text, "|%s %s %s %d", spec->disks[i].kind, spec->disks[i].shared ? spec->disks[i].shared : "",
                           spec->disks[i].store ? spec->disks[i].store : "", spec->disks[i].shared ? 0 : k->full.disk[i]);
  for (int i = 0; i < spec->n_cards; i++)
    g_string_append_printf(text, "|%s@%d", f->models[k->model[i]].name, k->cell[i]);
  for (int i = 0; i < spec->n_cells; i++)
    g_string_append_printf(text, "|%d %d %d", k->full.cells[i].vcpus, k->full.cells[i].memory, k->full.cells[i].huge);
  return g_string_free(text, FALSE);
}

static HostKind *kind_new(Fleet *f, const HostSpec *spec, GError **err)
{
  HostKind *k = g_new0(HostKind, 1);
  k->full.vcpus = (int32_t)spec->vcpus;
  k->full.memory = (int32_t)spec->memory_mib;
  k->full.huge = (int32_t)spec->huge_mib;
  k->page_kib = (int32_t)spec->page_kib;
  k->full.n_cells = (uint8_t)spec->n_cells;
  for (int i = 0; i < spec->n_cells; i++)
    k->full.cells[i] = (CellState){ (int32_t)spec->cells[i].vcpus, (int32_t)spec->cells[i].memory_mib, (int32_t)spec->cells[i].huge_mib };
  if (!kind_disks(f, k, spec, err) || !kind_cards(f, k, spec, err)) {
    kind_free(k);
    return NULL;
  }
  k->state = g_strdup(spec->state);
  k->up = !strcmp(spec->state, "up");
  k->labels = id_set_new(&f->words, spec->labels);
  k->features = id_set_new(&f->words, spec->features);
  k->images = id_set_new(&f->words, spec->images);
  k->stores = id_set_new(&f->words, spec->stores);
  k->boundless = boundless_stores(f, spec);
  k->text = kind_text(f, k, spec);
  k->hash = hash_text(k->text);
  return k;
}

/* Another of that content, but for what its text, which is eaten, tells. */
static HostKind *kind_dup(const HostKind *old, char *take_text)
{
  HostKind *k = g_memdup2(old, sizeof *old);
  k->state = g_strdup(old->state);
  k->text = take_text;
  k->hash = hash_text(k->text);
  k->weight = NULL;
  IdSet *sets[] = { &k->labels, &k->features, &k->images, &k->stores, &k->boundless };
  for (guint i = 0; i < G_N_ELEMENTS(sets); i++)
    sets[i]->ids = g_memdup2(sets[i]->ids, sets[i]->n * sizeof(uint32_t));
  return k;
}

/* The number of an equal kind, else k's own; k is eaten. */
static uint32_t kind_intern(Fleet *f, HostKind *k)
{
  uint32_t known = GPOINTER_TO_UINT(g_hash_table_lookup(f->kind_ids, k->text));
  if (known) {
    kind_free(k);
    return known - 1;
  }
  k->full.kind = f->kinds->len;
  g_ptr_array_add(f->kinds, k);
  g_hash_table_insert(f->kind_ids, k->text, GUINT_TO_POINTER(f->kinds->len));
  return f->kinds->len - 1;
}

/* ── hosts ────────────────────────────────────────────────────────────────── */

static void sum_add(FleetSum *sum, const HostState *s, int sign)
{
  sum->vcpus += sign * s->vcpus;
  sum->memory_mib += sign * s->memory;
  sum->huge_mib += sign * s->huge;
  for (int i = 0; i < s->n_cards; i++)
    sum->cards += sign * s->cards[i].free;
}

static int host_append(Fleet *f, const char *spec_name, uint32_t kind)
{
  uint32_t zero = 0;
  int32_t none = -1, first = (int32_t)f->cards->len;
  HostState full = kind_at(f, kind)->full;
  int host = (int)f->kind->len;
  g_array_append_val(f->kind, kind);
  g_array_append_val(f->bucket, zero);
  g_array_append_val(f->next, none);
  g_array_append_val(f->before, none);
  g_array_append_val(f->first_card, first);
  g_array_append_val(f->generation, zero);
  g_array_append_val(f->first_claim, none);
  g_array_append_vals(f->cards, full.cards, full.n_cards);
  char *name = g_strdup(spec_name);
  g_ptr_array_add(f->host_names, name);
  g_hash_table_insert(f->names, name, GINT_TO_POINTER(host + 1));
  sum_add(&f->capacity, &full, 1);
  f->n_cards += full.n_cards;
  bucket_enter(f, host, &full);
  return host;
}

static bool name_free(const Fleet *f, const char *name, GError **err)
{
  return fleet_find_host(f, name) < 0 || error_false(err, REASON_EXISTS, "kind", "host", "name", name, NULL);
}

bool fleet_add_host(Fleet *f, const HostSpec *spec, int *ret_host, GError **err)
{
  HostKind *k = name_free(f, spec->name, err) && numbers_ok(spec, err) ? kind_new(f, spec, err) : NULL;
  if (!k)
    return false;
  *ret_host = host_append(f, spec->name, kind_intern(f, k));
  return true;
}

/* So many of the cards that the kind has, in their order and from the first again. */
static uint32_t kind_with_cards(Fleet *f, const HostKind *old, int n)
{
  CardPlan plan[CARDS_MOST] = {};
  HostKind *k = kind_dup(old, g_strdup_printf("%s|%d cards", old->text, n));
  for (int i = 0; i < n; i++) {
    int from = i % old->full.n_cards;
    plan[i] = (CardPlan){ f->models[old->model[from]].hash, old->model[from], (int8_t)old->cell[from] };
  }
  kind_lay_cards(k, plan, n);
  return kind_intern(f, k);
}

bool fleet_add_like(Fleet *f, const char *name, int like, int n_cards, GError **err)
{
  uint32_t kind = *u32_at(f->kind, like);
  const HostKind *k = kind_at(f, kind);
  if (!name_free(f, name, err))
    return false;
  if (n_cards > CARDS_MOST || (n_cards > 0 && !k->full.n_cards))
    return error_false(err, REASON_BAD_VALUE, "field", "cards", "value", name, "limit", "at most 16, and like those of a host that has cards", NULL);
  host_append(f, name, n_cards < 0 || n_cards == k->full.n_cards ? kind : kind_with_cards(f, k, n_cards));
  return true;
}

/* Its cards lie where they lay if there are no more of them. */
static void host_lay_cards(Fleet *f, int host, int had, const HostState *full)
{
  int32_t at = *i32_at(f->first_card, host);
  if (full->n_cards > had) {
    at = (int32_t)f->cards->len;
    g_array_append_vals(f->cards, full->cards, full->n_cards);
  } else {
    memcpy(&g_array_index(f->cards, CardState, at), full->cards, full->n_cards * sizeof *full->cards);
  }
  *i32_at(f->first_card, host) = at;
}

bool fleet_put_host(Fleet *f, int host, const HostSpec *spec, GError **err)
{
  g_assert(*i32_at(f->first_claim, host) < 0);
  HostKind *k = numbers_ok(spec, err) ? kind_new(f, spec, err) : NULL;
  if (!k)
    return false;
  HostState was = kind_at(f, *u32_at(f->kind, host))->full;
  uint32_t kind = kind_intern(f, k);
  HostState full = kind_at(f, kind)->full;
  sum_add(&f->capacity, &was, -1);
  sum_add(&f->capacity, &full, 1);
  f->n_cards += full.n_cards - was.n_cards;
  host_lay_cards(f, host, was.n_cards, &full);
  *u32_at(f->kind, host) = kind;
  bucket_move(f, host, &full);
  return true;
}

/* A kind like another but for its state; found again when a host comes back. */
static uint32_t kind_in_state(Fleet *f, const HostKind *old, const char *state)
{
  HostKind *k = kind_dup(old, g_strconcat(state, strchr(old->text, '|'), NULL));
  g_free(k->state);
  k->state = g_strdup(state);
  k->up = !strcmp(state, "up");
  return kind_intern(f, k);
}

void fleet_set_state(Fleet *f, int host, const char *state)
{
  HostState now = bucket_of(f, host)->state;
  now.kind = kind_in_state(f, kind_at(f, now.kind), state);
  *u32_at(f->kind, host) = now.kind;
  bucket_move(f, host, &now);
}

int fleet_hosts(const Fleet *f)
{
  return (int)f->kind->len;
}

int fleet_cards(const Fleet *f)
{
  return f->n_cards;
}

int fleet_find_host(const Fleet *f, const char *name)
{
  return GPOINTER_TO_INT(g_hash_table_lookup(f->names, name)) - 1;
}

const char *fleet_host_name(const Fleet *f, int host)
{
  return f->host_names->pdata[host];
}

uint32_t fleet_host_generation(const Fleet *f, int host)
{
  return *u32_at(f->generation, host);
}

FleetSum fleet_capacity(const Fleet *f, int host)
{
  FleetSum sum = {};
  if (host == NO_HOST)
    return f->capacity;
  sum_add(&sum, &kind_at(f, *u32_at(f->kind, host))->full, 1);
  return sum;
}

FleetSum fleet_used(const Fleet *f, int host)
{
  if (host == NO_HOST)
    return f->used;
  FleetSum sum = fleet_capacity(f, host);
  sum_add(&sum, &bucket_of(f, host)->state, -1);
  return sum;
}

int fleet_card_free(const Fleet *f, int host, int card)
{
  return cards_of(f, host)[card].free;
}

bool fleet_host_is_up(const Fleet *f, int host)
{
  return kind_at(f, *u32_at(f->kind, host))->up;
}

int fleet_host_cards(const Fleet *f, int host)
{
  return kind_at(f, *u32_at(f->kind, host))->full.n_cards;
}

const char *fleet_card_model(const Fleet *f, int host, int card)
{
  return f->models[kind_at(f, *u32_at(f->kind, host))->model[card]].name;
}

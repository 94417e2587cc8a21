/* The rules that can say no, one function each, in one table. A placement asks them by state of a host; an explanation asks the
 * same functions, so that the two can't differ. */
#include "core/placement/parts.h"

static const char *const rule_names[N_RULES] = {
#define X(rule, wire, reason) [rule] = wire,
  RULES(X)
#undef X
};

const char *rule_name(Rule rule)
{
  return rule_names[rule];
}

static void note(Finding *f, int64_t wanted, int64_t free, int64_t capacity)
{
  if (f)
    *f = (Finding){ wanted, free, capacity, NULL };
}

static void note_word(Finding *f, const char *word)
{
  if (f)
    *f = (Finding){ 1, 0, 0, word };
}

/* ── cards ────────────────────────────────────────────────────────────────── */

int card_start(const Need *need, CardState card, int from)
{
  uint64_t one = (UINT64_C(1) << need->slots) - 1;
  for (uint32_t starts = need->starts & ~((UINT32_C(1) << from) - 1); starts; starts &= starts - 1) {
    int start = __builtin_ctz(starts);
    if (!(card.slots & (one << start)))
      return start;
  }
  return -1;
}

CardState card_take(const Need *need, CardState card, int start)
{
  card.free -= need->share;
  card.type = need->type;
  if (need->slots)
    card.slots |= (uint32_t)(((UINT64_C(1) << need->slots) - 1) << start);
  return card;
}

/* Equal lengths: taking the lowest free start again and again leaves room for the most. */
int card_room(const Need *need, CardState card)
{
  if (!need->share || card.free < need->share || (card.type && need->type != card.type))
    return 0;
  if (!need->slots)
    return card.free / need->share;
  int room = 0;
  for (int start = 0; card.free >= need->share && (start = card_start(need, card, start)) >= 0; room++)
    card = card_take(need, card, start);
  return room;
}

Rule filter_card(const DemandClass *c, const HostKind *k, int card, CardState state, Finding *finding)
{
  const Need *need = &c->need[k->model[card]];
  const CardModel *model = &c->fleet->models[k->model[card]];
  note(finding, need->share, state.free, CARD_WHOLE);
  if (finding)
    finding->word = state.type ? model->profiles[state.type - 1].name : model->name;
  if (!need->share)
    return RULE_CARD_MODEL;
  if (state.type && state.type != need->type)
    return RULE_CARD_TYPE;
  if (state.free < need->share)
    return RULE_CARD_SHARE;
  return card_room(need, state) ? RULE_NONE : RULE_CARD_SLOTS;
}

/* vGPUs that fit on the cards of a cell (NO_CELL: of the host), counted up to what is wanted. */
static int cards_room(const DemandClass *c, const HostKind *k, const HostState *s, int cell)
{
  int room = 0;
  for (int i = 0; i < s->n_cards && room < c->count; i++) {
    if (cell != NO_CELL && k->cell[i] != cell)
      continue;
    int fits = card_room(&c->need[k->model[i]], s->cards[i]);
    room += c->apart ? MIN(fits, 1) : fits;
  }
  return MIN(room, c->count);
}

/* ── what hangs on the kind of host ───────────────────────────────────────── */

static bool kind_up(const DemandClass *c, const HostKind *k, Finding *f)
{
  if (!k->up)
    note_word(f, k->state);
  return k->up || c->stays;
}

static bool has_all(const DemandClass *c, const IdSet *has, const IdSet *wanted, Finding *f)
{
  uint32_t id;
  if (!id_set_lacks(has, wanted, &id))
    return true;
  note_word(f, words_text(&c->fleet->words, id));
  return false;
}

static bool kind_labels(const DemandClass *c, const HostKind *k, Finding *f)
{
  return has_all(c, &k->labels, &c->labels, f);
}

static bool kind_features(const DemandClass *c, const HostKind *k, Finding *f)
{
  return has_all(c, &k->features, &c->features, f);
}

static bool has_one(const IdSet *has, const IdSet *wanted)
{
  for (int i = 0; i < wanted->n; i++)
    if (id_set_has(has, wanted->ids[i]))
      return true;
  return false;
}

static bool kind_stores(const DemandClass *c, const HostKind *k, Finding *f)
{
  if (has_one(&k->stores, &c->stores))
    return true;
  if (c->any_store)
    note_word(f, c->image ? words_text(&c->fleet->words, c->image - 1) : "it");
  return !c->any_store;
}

/* A demand that names storages and no kind of disk goes to one of these whose room nobody counts. */
static bool disk_is_boundless(const DemandClass *c, const HostKind *k)
{
  return c->any_store && !c->disk_kind && has_one(&k->boundless, &c->stores);
}

static bool disk_serves(const DemandClass *c, const HostKind *k, int disk)
{
  bool store = !c->any_store || (k->disk_store[disk] && id_set_has(&c->stores, k->disk_store[disk] - 1));
  return store && (!c->disk_kind || k->disk_kind[disk] == c->disk_kind - 1);
}

static bool kind_disks(const DemandClass *c, const HostKind *k, Finding *f)
{
  for (int i = 0; c->disk && i < k->n_disks; i++)
    if (disk_serves(c, k, i))
      return true;
  if (disk_is_boundless(c, k))
    return true;
  if (c->disk)
    note_word(f, c->disk_kind ? words_text(&c->fleet->words, c->disk_kind - 1) : "any");
  return !c->disk;
}

static bool kind_model(const DemandClass *c, const HostKind *k, Finding *f)
{
  if (!c->count || (c->models & k->models))
    return true;
  note(f, c->count, 0, k->full.n_cards);
  return false;
}

static const struct {
  Rule rule;
  bool (*fits)(const DemandClass *c, const HostKind *k, Finding *f);
} kind_rules[] = {
  { RULE_STATE, kind_up }, { RULE_LABEL, kind_labels }, { RULE_FEATURE, kind_features }, { RULE_STORES, kind_stores },
  { RULE_DISK_KIND, kind_disks }, { RULE_MODEL, kind_model },
};

Rule filter_kind(const DemandClass *c, const HostKind *k, Finding *finding)
{
  for (guint i = 0; i < G_N_ELEMENTS(kind_rules); i++)
    if (!kind_rules[i].fits(c, k, finding))
      return kind_rules[i].rule;
  return RULE_NONE;
}

/* ── what hangs on what is free ───────────────────────────────────────────── */

static bool state_vcpus(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f)
{
  note(f, c->vcpus, s->vcpus, k->full.vcpus);
  return c->vcpus <= s->vcpus;
}

static bool state_memory(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f)
{
  note(f, c->memory, s->memory, k->full.memory);
  return c->memory <= s->memory;
}

static bool state_huge(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f)
{
  bool size = !c->page_kib || c->page_kib == k->page_kib;
  note(f, c->huge, size ? s->huge : 0, size ? k->full.huge : 0);
  return !c->huge || (size && c->huge <= s->huge);
}

static int64_t disk_free(const DemandClass *c, const HostKind *k, const HostState *s, int disk)
{
  const SharedDisk *shared = k->shared[disk] < 0 ? NULL : &c->fleet->shared[k->shared[disk]];
  return shared ? shared->capacity - shared->used : s->disk[disk];
}

int state_disk(const DemandClass *c, const HostKind *k, const HostState *s)
{
  for (int i = 0; c->disk && i < k->n_disks; i++)
    if (disk_serves(c, k, i) && disk_free(c, k, s, i) >= c->disk)
      return i;
  return -1;
}

bool shared_full(const DemandClass *c, const Place *p)
{
  const HostKind *k = kind_at(c->fleet, *u32_at(c->fleet->kind, p->host));
  return p->disk >= 0 && k->shared[p->disk] >= 0 && disk_free(c, k, &k->full, p->disk) < c->disk;
}

static bool state_disks(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f)
{
  if (!c->disk || state_disk(c, k, s) >= 0 || disk_is_boundless(c, k))
    return true;
  int64_t most = INT64_MIN;
  int roomiest = 0;
  for (int i = 0; i < k->n_disks; i++)
    if (disk_serves(c, k, i) && disk_free(c, k, s, i) > most) {
      most = disk_free(c, k, s, i);
      roomiest = i;
    }
  const SharedDisk *shared = k->shared[roomiest] < 0 ? NULL : &c->fleet->shared[k->shared[roomiest]];
  note(f, c->disk, MAX(0, most), shared ? shared->capacity : k->full.disk[roomiest]);
  if (f)
    f->word = words_text(&c->fleet->words, k->disk_store[roomiest] ? k->disk_store[roomiest] - 1 : k->disk_kind[roomiest]);
  return false;
}

bool state_cell(const DemandClass *c, const HostState *s, int cell)
{
  const CellState *free = &s->cells[cell];
  return c->vcpus <= free->vcpus && c->memory <= free->memory && c->huge <= free->huge;
}

static bool cell_may(const DemandClass *c, int cell)
{
  return !c->in_cell || c->in_cell == cell + 1;
}

/* Of what the roomiest cell has too little of; where each would do alone, of CPUs. Told in 1/1000, as CPUs are. */
static void note_cells(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f)
{
  CellState most = { INT32_MIN, INT32_MIN, INT32_MIN }, whole = { 0 };
  for (int i = 0; i < s->n_cells; i++) {
    most = (CellState){ MAX(most.vcpus, s->cells[i].vcpus), MAX(most.memory, s->cells[i].memory), MAX(most.huge, s->cells[i].huge) };
    const CellState *full = &k->full.cells[i];
    whole = (CellState){ MAX(whole.vcpus, full->vcpus), MAX(whole.memory, full->memory), MAX(whole.huge, full->huge) };
  }
  bool cpus = c->vcpus > most.vcpus, memory = c->memory > most.memory, huge = c->huge > most.huge;
  if (cpus || (!memory && !huge))
    note(f, c->vcpus, most.vcpus, whole.vcpus);
  else
    note(f, INT64_C(1000) * (memory ? c->memory : c->huge), INT64_C(1000) * (memory ? most.memory : most.huge),
         INT64_C(1000) * (memory ? whole.memory : whole.huge));
  if (f)
    f->word = cpus || (!memory && !huge) ? "vCPU" : memory ? "MiB" : "MiB (huge pages)";
}

static bool state_cells(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f)
{
  for (int i = 0; i < s->n_cells; i++)
    if (!c->one_cell || (cell_may(c, i) && state_cell(c, s, i)))
      return true;
  if (!c->one_cell || !s->n_cells)
    return true;
  note_cells(c, k, s, f);
  return false;
}

static bool state_cards(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f)
{
  int room = c->count ? cards_room(c, k, s, NO_CELL) : 0;
  note(f, c->count, room, s->n_cards);
  return room == c->count;
}

static bool state_near(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f)
{
  int most = 0;
  if (!c->near || !c->count || !s->n_cells)
    return true;
  for (int i = 0; i < s->n_cells; i++) {
    int room = cell_may(c, i) ? cards_room(c, k, s, i) : 0;
    if (room == c->count && state_cell(c, s, i))
      return true;
    most = MAX(most, room);
  }
  note(f, c->count, most, s->n_cells);
  return false;
}

static const struct {
  Rule rule;
  bool (*fits)(const DemandClass *c, const HostKind *k, const HostState *s, Finding *f);
} state_rules[] = {
  { RULE_VCPUS, state_vcpus }, { RULE_MEMORY, state_memory }, { RULE_HUGE, state_huge }, { RULE_DISK, state_disks },
  { RULE_CELL, state_cells }, { RULE_CARDS, state_cards }, { RULE_NEAR, state_near },
};

/* Most demands ask for nothing of the rules between memory and cards, and nearly all of the time nobody wants to know why not. */
static bool asks_little(const DemandClass *c)
{
  return !c->huge && !c->disk && !c->one_cell && !c->near;
}

Rule filter_state(const DemandClass *c, const HostKind *k, const HostState *s, Finding *finding)
{
  if (!finding && asks_little(c))
    return c->vcpus > s->vcpus ? RULE_VCPUS : c->memory > s->memory ? RULE_MEMORY : state_cards(c, k, s, NULL) ? RULE_NONE : RULE_CARDS;
  for (guint i = 0; i < G_N_ELEMENTS(state_rules); i++)
    if (!state_rules[i].fits(c, k, s, finding))
      return state_rules[i].rule;
  return RULE_NONE;
}

/* ── what hangs on one host, and on all ───────────────────────────────────── */

static int compare_hosts(const void *a, const void *b)
{
  return *(const int32_t *)a - *(const int32_t *)b;
}

GHashTable *group_hosts(const DemandClass *c)
{
  GHashTable *hosts = c->group ? g_hash_table_lookup(c->fleet->groups, GUINT_TO_POINTER(c->group)) : NULL;
  return hosts && g_hash_table_size(hosts) ? hosts : NULL;
}

Rule filter_host(const DemandClass *c, int host, Finding *finding)
{
  int32_t key = host;
  if (c->not_host == host + 1) {
    note(finding, 1, 0, 0);
    return RULE_HOSTS;
  }
  if (c->hosts && !(c->hosts->len && bsearch(&key, c->hosts->data, c->hosts->len, sizeof key, compare_hosts))) {
    note(finding, 1, 0, c->hosts->len);
    return RULE_HOSTS;
  }
  GHashTable *members = c->group_rule ? group_hosts(c) : NULL;
  if (!members)
    return RULE_NONE;
  int here = GPOINTER_TO_INT(g_hash_table_lookup(members, GINT_TO_POINTER(host)));
  note(finding, 1, here, g_hash_table_size(members));
  if (finding)
    finding->word = words_text(&c->fleet->words, c->group - 1);
  if (c->group_rule == GROUP_APART && here)
    return RULE_GROUP_APART;
  return c->group_rule == GROUP_TOGETHER && !here ? RULE_GROUP_TOGETHER : RULE_NONE;
}

Rule filter_fleet(const DemandClass *c, Finding *finding)
{
  for (int i = 0; i < c->n_licences; i++) {
    const Licence *l = licence_of(c->fleet, c->licences[i].id);
    int64_t total = l ? l->total : 0, free = l ? total - l->elsewhere - l->used : 0;
    if (c->licences[i].n <= free)
      continue;
    note(finding, c->licences[i].n, MAX(0, free), total);
    if (finding)
      finding->word = words_text(&c->fleet->words, c->licences[i].id);
    return RULE_LICENCE;
  }
  return RULE_NONE;
}

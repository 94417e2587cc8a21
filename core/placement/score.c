/* How good a fit is. The worth of a host's cards is what the demands that are really asked for could use of them, as an expectation
 * over the demand mix; the first part of a score is the worth that a placement destroys beyond what it uses. That is the
 * fragmentation gradient of Weng et al., "Beware of Fragmentation", USENIX ATC 2023, with each card's own rules (one type a card,
 * positions, whole cards) in the place of a bare share. The second part looks further: cards whose host has too little CPU or
 * memory left for what usually comes with a vGPU will strand, long before no demand at all fits any more. */
#include "core/placement/parts.h"

enum {
  MIX_ONE = 1 << 16,      /* the weights of a mix add up to this */
  LANES = 8,              /* columns are padded to what one vector takes */
  STEP = 40,              /* losses closer than this, in 1/1000 of a card, are one: tightness decides between them */
  REACH_PCT = 40,         /* how much the second part weighs; 10 to 60 do about as well on the openb lists */
  VCPUS_A_SHARE = 50,     /* tightness: what is left of CPU and of cards on one scale, in 1/1000 */
  TERM = 1000             /* a term that says no weighs as much as one whole card lost */
};

typedef struct {
  int16_t usable[COLUMNS_MOST];   /* of the card's free share, by each column's demand */
  int16_t room[COLUMNS_MOST];     /* vGPUs of that demand, at most its count */
} Row;

/* The same of all cards of a host. */
typedef struct {
  int16_t usable[COLUMNS_MOST], room[COLUMNS_MOST];
} Sums;

/* Each class that follows asks for the sums of a state anew: of those that were asked last they are kept. */
enum { KEPT_SUMS = 512 };

typedef struct {
  uint32_t bucket, serial;        /* serial 0: nothing is kept */
  Sums sums;
} KeptSums;

struct Mix {
  int n_items, n_columns, width;
  DemandClass **items;            /* sorted by column; references */
  int32_t *weight, *vcpus, *memory;
  int32_t *fits;                  /* room for the weights of those that fit, padded as vcpus and memory are */
  KeptSums *kept;                 /* KEPT_SUMS of them, by bucket; NULL: none yet */
  int16_t *column_end;            /* items of column c end before column_end[c] */
  int16_t count[COLUMNS_MOST];
  int64_t vcpus_a_card, memory_a_card;  /* what comes with a whole card's worth of vGPUs, on the mean */
  GHashTable *rows[MODELS_MOST];  /* card_key → Row */
  Row *plain[MODELS_MOST][CARD_WHOLE + 1];  /* the same for cards without type and slots */
};

/* ── the mix ──────────────────────────────────────────────────────────────── */

typedef struct {
  DemandClass *class;
  int64_t weight, column_weight;
  int column;
} Item;

static bool column_equal(const DemandClass *a, const DemandClass *b)
{
  return a->count == b->count && a->apart == b->apart && !memcmp(a->need, b->need, sizeof a->need);
}

static int compare_items(const void *a, const void *b)
{
  const Item *x = a, *y = b;
  if (x->column_weight != y->column_weight)
    return x->column_weight < y->column_weight ? 1 : -1;
  return x->column != y->column ? x->column - y->column : strcmp(x->class->text, y->class->text);
}

/* Items with a vGPU, each with its column: those that ask the same of cards. */
static int items_gather(Item *items, DemandClass *const *classes, const int64_t *weights, int n)
{
  int found = 0, columns = 0;
  for (int i = 0; i < n; i++) {
    if (!classes[i]->count || weights[i] <= 0)
      continue;
    int same = 0;
    while (same < found && !column_equal(items[same].class, classes[i]))
      same++;
    items[found] = (Item){ classes[i], weights[i], 0, same < found ? items[same].column : columns++ };
    found++;
  }
  g_autofree int64_t *sums = g_new0(int64_t, columns + 1);
  for (int i = 0; i < found; i++)
    sums[items[i].column] += items[i].weight;
  for (int i = 0; i < found; i++)
    items[i].column_weight = sums[items[i].column];
  return found;
}

/* Rounded up, so that nothing is divided by 0. */
static void mix_means(Mix *m)
{
  int64_t vcpus = 0, memory = 0, share = 1;
  for (int i = 0; i < m->n_items; i++) {
    vcpus += (int64_t)m->weight[i] * m->vcpus[i];
    memory += (int64_t)m->weight[i] * m->memory[i];
    share += (int64_t)m->weight[i] * m->items[i]->need_milli;
  }
  m->vcpus_a_card = (int64_t)((double)vcpus * CARD_WHOLE / (double)share) + 1;
  m->memory_a_card = (int64_t)((double)memory * CARD_WHOLE / (double)share) + 1;
}

static Mix *mix_new(const Item *items, int n, int64_t total)
{
  Mix *m = g_new0(Mix, 1);
  m->items = g_new0(DemandClass *, n + 1);
  m->weight = g_new0(int32_t, n + LANES);
  m->vcpus = g_new0(int32_t, n + LANES);
  m->memory = g_new0(int32_t, n + LANES);
  m->fits = g_new0(int32_t, n + LANES);
  m->column_end = g_new0(int16_t, COLUMNS_MOST);
  for (int i = 0; i < n; i++) {
    if (!i || items[i].column != items[i - 1].column)
      m->n_columns++;
    if (m->n_columns > COLUMNS_MOST) {
      m->n_columns = COLUMNS_MOST;
      break;
    }
    m->items[i] = demand_class_ref(items[i].class);
    m->weight[i] = (int32_t)(items[i].weight * MIX_ONE / total);
    m->vcpus[i] = items[i].class->vcpus;
    m->memory[i] = items[i].class->memory;
    m->count[m->n_columns - 1] = (int16_t)items[i].class->count;
    m->column_end[m->n_columns - 1] = (int16_t)(i + 1);
    m->n_items = i + 1;
  }
  mix_means(m);
  m->width = (m->n_columns + LANES - 1) / LANES * LANES;
  return m;
}

static void rows_free(Mix *m)
{
  for (int i = 0; i < MODELS_MOST; i++) {
    g_clear_pointer(&m->rows[i], g_hash_table_unref);
    for (int free = 0; free <= CARD_WHOLE; free++)
      g_clear_pointer(&m->plain[i][free], g_free);
  }
}

void mix_free(Mix *m)
{
  if (!m)
    return;
  for (int i = 0; i < m->n_items; i++)
    demand_class_unref(m->items[i]);
  rows_free(m);
  g_free(m->items);
  g_free(m->weight);
  g_free(m->vcpus);
  g_free(m->memory);
  g_free(m->fits);
  g_free(m->kept);
  g_free(m->column_end);
  g_free(m);
}

/* What was made out of the old mix is void. */
static void mix_changed(Fleet *f)
{
  f->mix_version++;
  for (guint i = 0; i < f->kinds->len; i++)
    g_clear_pointer(&kind_at(f, i)->weight, g_free);
  for (guint b = 0; b < f->buckets->len; b++)
    bucket_at(f, b)->worth_known = false;
}

void fleet_set_mix(Fleet *f, DemandClass *const *classes, const int64_t *weights, int n)
{
  g_autofree Item *items = g_new0(Item, n + 1);
  int found = items_gather(items, classes, weights, n);
  int64_t total = 0;
  for (int i = 0; i < found; i++)
    total += items[i].weight;
  qsort(items, found, sizeof *items, compare_items);
  Mix *fresh = mix_new(items, found, MAX(total, 1));
  mix_free(f->mix);
  f->mix = fresh;
  mix_changed(f);
}

void mix_dup(Fleet *to, const Fleet *from)
{
  const Mix *m = from->mix;
  if (!m)
    return;
  g_autofree DemandClass **classes = g_new0(DemandClass *, m->n_items + 1);
  g_autofree int64_t *weights = g_new0(int64_t, m->n_items + 1);
  for (int i = 0; i < m->n_items; i++) {
    classes[i] = class_dup(m->items[i], to);
    weights[i] = m->weight[i];
  }
  fleet_set_mix(to, classes, weights, m->n_items);
  for (int i = 0; i < m->n_items; i++)
    demand_class_unref(classes[i]);
}

/* ── worth ────────────────────────────────────────────────────────────────── */

static Row *row_new(const Mix *m, int model, CardState card)
{
  Row *row = g_new0(Row, 1);
  for (int c = 0; c < m->n_columns; c++) {
    const DemandClass *d = m->items[c ? m->column_end[c - 1] : 0];
    int room = card_room(&d->need[model], card);
    row->room[c] = (int16_t)MIN(room, d->apart ? 1 : d->count);
    row->usable[c] = (int16_t)(!room ? 0 : d->need[model].slots ? MIN(card.free, room * d->need[model].share) : card.free);
  }
  return row;
}

static const Row *row_of(Mix *m, int model, CardState card)
{
  if (!card.type && !card.slots) {
    if (!m->plain[model][card.free])
      m->plain[model][card.free] = row_new(m, model, card);
    return m->plain[model][card.free];
  }
  if (!m->rows[model])
    m->rows[model] = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  int64_t key = (int64_t)card_key(card);
  Row *row = g_hash_table_lookup(m->rows[model], &key);
  if (!row) {
    row = row_new(m, model, card);
    g_hash_table_insert(m->rows[model], g_memdup2(&key, sizeof key), row);
  }
  return row;
}

static const int32_t *kind_weights(const Mix *m, HostKind *k)
{
  if (!k->weight) {
    k->weight = g_new0(int32_t, m->n_items + LANES);
    for (int i = 0; i < m->n_items; i++)
      k->weight[i] = filter_kind(m->items[i], k, NULL) == RULE_NONE ? m->weight[i] : 0;
  }
  return k->weight;
}

/* Four at a time: the compiler finds none by itself at -O2. */
enum { VECTOR = 4 };
typedef int32_t Vector __attribute__((vector_size(VECTOR * sizeof(int32_t)), aligned(sizeof(int32_t)), may_alias));

static Vector *vector_at(int32_t *numbers, int i) { return (Vector *)(void *)&numbers[i]; }

/* How much of the mix each column still brings to a host that has so much left besides its cards. */
static void weights_left(const Mix *m, const int32_t *weight, const HostState *s, int32_t *left)
{
  const Vector vcpus = (Vector){ 0 } + s->vcpus, memory = (Vector){ 0 } + s->memory;
  int32_t *fits = m->fits;
  for (int i = 0; i < m->n_items; i += VECTOR)
    *vector_at(fits, i) = (*vector_at(m->vcpus, i) <= vcpus) & (*vector_at(m->memory, i) <= memory) & *vector_at((int32_t *)weight, i);
  const int16_t *end = m->column_end;
  const int32_t *item = fits;
  for (int c = 0; c < m->n_columns; c++) {
    int32_t sum = 0;
    for (const int32_t *last = fits + end[c]; item < last; item++)
      sum += *item;
    left[c] = sum;
  }
}

static void sums_make(Mix *m, const HostKind *k, const HostState *s, Sums *sums)
{
  memset(sums, 0, sizeof *sums);
  for (int i = 0; i < s->n_cards; i++) {
    const Row *row = row_of(m, k->model[i], s->cards[i]);
    for (int c = 0; c < m->width; c++) {
      sums->usable[c] += row->usable[c];
      sums->room[c] += row->room[c];
    }
  }
}

/* Those of a bucket's state; number is its bucket's, whose cards s has. */
static const Sums *sums_of(Mix *m, const HostKind *k, const HostState *s, uint32_t number, uint32_t serial)
{
  if (!m->kept)
    m->kept = g_new0(KeptSums, KEPT_SUMS);
  KeptSums *kept = &m->kept[number % KEPT_SUMS];
  if (kept->serial == serial && kept->bucket == number)
    return &kept->sums;
  sums_make(m, k, s, &kept->sums);
  kept->bucket = number;
  kept->serial = serial;
  return &kept->sums;
}

static void sums_change(const Mix *m, Sums *sums, const Row *old, const Row *new)
{
  for (int c = 0; c < m->width; c++) {
    sums->usable[c] += new->usable[c] - old->usable[c];
    sums->room[c] += new->room[c] - old->room[c];
  }
}

/* In 1/MIX_ONE of 1/1000 of a card: at most 16 cards × 1000 × 65536 < 2^31. */
static int32_t sums_worth(const Mix *m, const int32_t *left, const Sums *sums)
{
  int32_t worth = 0;
  for (int c = 0; c < m->n_columns; c++)
    worth += sums->room[c] >= m->count[c] ? left[c] * sums->usable[c] : 0;
  return worth;
}

static int32_t changed_worth(const Mix *m, const int32_t *left, const Sums *sums, const Row *old, const Row *new)
{
  int32_t worth = 0;
  for (int c = 0; c < m->n_columns; c++) {
    bool room = sums->room[c] + new->room[c] - old->room[c] >= m->count[c];
    worth += room ? left[c] * (sums->usable[c] + new->usable[c] - old->usable[c]) : 0;
  }
  return worth;
}

/* ── the cards of one demand ──────────────────────────────────────────────── */

typedef struct {
  const DemandClass *c;
  Mix *mix;             /* NULL: nothing is known of demand, the tightest card wins */
  HostKind *k;
  HostState *s;         /* cards change here */
  int cell;
  uint32_t taken;       /* cards that have one of this demand's already */
  int32_t left[COLUMNS_MOST];
  Sums sums;
} Cards;

typedef struct {
  int card;
  CardState after;
  int64_t rank;         /* most is best */
} Option;

static void option_try(Cards *w, int card, int start, Option *best)
{
  CardState before = w->s->cards[card];
  CardState after = card_take(&w->c->need[w->k->model[card]], before, start);
  int model = w->k->model[card];
  int64_t worth = !w->mix ? 0 : changed_worth(w->mix, w->left, &w->sums, row_of(w->mix, model, before), row_of(w->mix, model, after));
  int64_t rank = worth * 2048 + CARD_WHOLE - after.free;
  if (best->card >= 0 && rank <= best->rank)
    return;
  *best = (Option){ card, after, rank };
}

static bool card_usable(const Cards *w, int i)
{
  if (w->cell != NO_CELL && w->k->cell[i] != w->cell)
    return false;
  if (w->c->apart && (w->taken & (1u << i)))
    return false;
  return card_room(&w->c->need[w->k->model[i]], w->s->cards[i]) > 0;
}

static bool like_before(const Cards *w, int i)
{
  return i && w->k->run_end[i] == w->k->run_end[i - 1] && card_equal(w->s->cards[i], w->s->cards[i - 1]) && !w->taken;
}

/* One vGPU onto the card, and the place on it, that keep most of the worth. Several by position go to the lowest free start, so
 * that the first does not shut out the next. */
static bool cards_take_one(Cards *w)
{
  Option best = { .card = -1 };
  for (int i = 0; i < w->s->n_cards; i++) {
    if (like_before(w, i) || !card_usable(w, i))
      continue;
    const Need *need = &w->c->need[w->k->model[i]];
    if (!need->slots) {
      option_try(w, i, 0, &best);
      continue;
    }
    int last = w->c->count > 1 ? 0 : SLOTS_MOST - 1;
    for (int start = 0, from = 0; from <= last && (start = card_start(need, w->s->cards[i], from)) >= 0; from = start + 1)
      option_try(w, i, start, &best);
  }
  if (best.card < 0)
    return false;
  int model = w->k->model[best.card];
  if (w->mix)
    sums_change(w->mix, &w->sums, row_of(w->mix, model, w->s->cards[best.card]), row_of(w->mix, model, best.after));
  w->s->cards[best.card] = best.after;
  w->taken |= 1u << best.card;
  return true;
}

/* Puts all vGPUs of the demand on cards of s; *ret_worth is what the host is worth then. */
static bool cards_take(const DemandClass *c, HostKind *k, HostState *s, int cell, const Sums *known, int32_t *ret_worth)
{
  Cards w;
  w.c = c;
  w.mix = c->policy.fragments ? c->fleet->mix : NULL;
  w.k = k;
  w.s = s;
  w.cell = cell;
  w.taken = 0;
  if (w.mix) {
    weights_left(w.mix, kind_weights(w.mix, k), s, w.left);
    w.sums = *known;
  }
  for (int i = 0; i < c->count; i++)
    if (!cards_take_one(&w))
      return false;
  *ret_worth = w.mix ? sums_worth(w.mix, w.left, &w.sums) : 0;
  return true;
}

static int32_t state_worth(Mix *m, HostKind *k, const HostState *s, const Sums *sums)
{
  int32_t left[COLUMNS_MOST];
  weights_left(m, kind_weights(m, k), s, left);
  return sums_worth(m, left, sums);
}

/* ── the score ────────────────────────────────────────────────────────────── */

/* How much of its cards the host's CPU and memory still reach for, in 1/1000 of a card. */
static int64_t state_reach(const Mix *m, const HostState *s)
{
  int64_t cards = 0;
  for (int i = 0; i < s->n_cards; i++)
    cards += s->cards[i].free;
  int64_t by_vcpus = (int64_t)s->vcpus * CARD_WHOLE / m->vcpus_a_card;
  int64_t by_memory = (int64_t)s->memory * CARD_WHOLE / m->memory_a_card;
  return MIN(cards, MIN(by_vcpus, by_memory));
}

/* Tighter is less: hosts with fewer cards first, then what is left of cards and CPU. */
static uint64_t tightness(const HostState *s)
{
  int64_t left = s->vcpus / VCPUS_A_SHARE;
  for (int i = 0; i < s->n_cards; i++)
    left += s->cards[i].free;
  return (uint64_t)s->n_cards << 11 | (uint64_t)MIN(left / 12, 2047);
}

/* What is left of the host afterwards, 0 (full) to 1000 (empty): the mean over what it has of CPU, memory and cards. */
static int64_t left_permille(const HostKind *k, const HostState *s)
{
  int64_t sum = 0, of = 0, cards = 0;
  if (k->full.vcpus)
    sum += 1000 * (int64_t)s->vcpus / k->full.vcpus, of++;
  if (k->full.memory)
    sum += 1000 * (int64_t)s->memory / k->full.memory, of++;
  for (int i = 0; i < s->n_cards; i++)
    cards += s->cards[i].free;
  if (s->n_cards)
    sum += cards / s->n_cards, of++;
  return of ? sum / of : 0;
}

static int64_t lacking(const IdSet *has, const IdSet *wanted)
{
  int lacks = 0;
  for (int i = 0; i < wanted->n; i++)
    lacks += !id_set_has(has, wanted->ids[i]);
  return wanted->n ? TERM * lacks / wanted->n : 0;
}

static uint64_t score_key(const DemandClass *c, const HostKind *k, const HostState *after, int64_t loss)
{
  const Policy *p = &c->policy;
  int64_t left = left_permille(k, after);
  int64_t score = p->fragments * loss + p->pack * left + p->spread * (1000 - left);
  score += p->keep_gpu && !c->count && k->full.n_cards ? p->keep_gpu * TERM : 0;
  score += p->image && c->image && !id_set_has(&k->images, c->image - 1) ? p->image * TERM : 0;
  score += p->prefer ? p->prefer * lacking(&k->labels, &c->prefers) : 0;
  int64_t weight = MAX(1, p->fragments + p->pack + p->spread);
  int step = p->fragments ? STEP : 1;
  int64_t steps = (score + 100 * (int64_t)step * (INT64_C(1) << 20)) / (weight * step);
  return (uint64_t)steps << 16 | tightness(after);
}

bool score_fit(const DemandClass *c, HostKind *k, const HostState *s, Bucket *bucket, Fit *ret_fit)
{
  Mix *m = c->policy.fragments ? c->fleet->mix : NULL;
  int32_t before = 0;
  Sums own;
  const Sums *sums = &own;
  if (m && bucket)
    sums = sums_of(m, k, s, (uint32_t)(bucket - bucket_at(c->fleet, 0)), bucket->serial);
  else if (m)
    sums_make(m, k, s, &own);
  if (m)
    before = bucket && bucket->worth_known ? bucket->worth : state_worth(m, k, s, sums);
  if (m && bucket) {
    bucket->worth = before;
    bucket->worth_known = true;
  }
  bool any = false;
  int cells = c->one_cell && s->n_cells ? s->n_cells : 1;
  for (int i = 0; i < cells; i++) {
    int cell = c->one_cell && s->n_cells ? i : NO_CELL;
    if (cell != NO_CELL && ((c->in_cell && c->in_cell != cell + 1) || !state_cell(c, s, cell)))
      continue;
    Fit fit = { .cell = cell, .disk = state_disk(c, k, s), .after = *s };
    int32_t worth = 0;
    state_take(c, &fit.after, cell, fit.disk >= 0 && k->shared[fit.disk] < 0 ? fit.disk : -1);
    if (!cards_take(c, k, &fit.after, c->near ? cell : NO_CELL, sums, &worth))
      continue;
    int64_t loss = m ? ((int64_t)before - worth) / MIX_ONE + REACH_PCT * (state_reach(m, s) - state_reach(m, &fit.after)) / 100 : 0;
    fit.key = score_key(c, k, &fit.after, loss);
    if (!any || fit.key < ret_fit->key)
      *ret_fit = fit;
    any = true;
  }
  return any;
}

/* Licences: seats that a session holds as long as it holds a desktop. They are given with the desktop, never before it: a desktop that nobody has
 * holds none. Who waits longest is served first, whichever pool it is in, as long as everything else is there for it. */
#include "core/licences.h"
#include "core/reservations.h"

#include <string.h>

/* Of those in line only so many are told again how far it is: the rest knows from when it came. */
enum { TOLD_MOST = 256 };

/* ── what is free ─────────────────────────────────────────────────────────── */

static int64_t licence_total(Brain *b, const char *name)
{
  const Licence *l = GET(b, Licence, LICENCE, name);
  return l ? l->total : 0;
}

int64_t licences_free(Brain *b, const char *name)
{
  return licence_total(b, name) - seats_held(state_seats(b->state), name);
}

/* What of these is for that user of the pool, or (NULL) for anybody. */
static int64_t free_for(Brain *b, const Misses *misses, const char *licence, const char *pool, const char *user)
{
  int64_t free = licences_free(b, licence);
  return free - reservations_seats(b, misses, licence, pool, user, free);
}

int64_t licences_fit(Brain *b, const Pool *pool, const char *user)
{
  g_autoptr(Misses) misses = pool->licences ? misses_of(b) : NULL;
  return licences_fit_beside(b, misses, pool, user);
}

int64_t licences_fit_beside(Brain *b, const Misses *misses, const Pool *pool, const char *user)
{
  LicenceNeed needs[LICENCES_MOST];
  int n = licence_needs(pool->licences, needs);
  int64_t fit = INT_MAX;
  for (int i = 0; i < n; i++)
    fit = MIN(fit, MAX(0, free_for(b, misses, needs[i].name, pool->head.name, user) / needs[i].n));
  return fit;
}

/* Whether the first who waits in the pool waits longest of all who want one of its licences, and can have it one day. */
static bool pool_has_head(Brain *b, const Pool *pool)
{
  const Session *first = state_pool_waiting(b->state, pool->head.name);
  g_autoptr(GPtrArray) pools = seats_pools(state_seats(b->state));
  LicenceNeed needs[LICENCES_MOST];
  int n = licence_needs(pool->licences, needs), led = n;
  if (!first || !licences_enough(b, pool, NULL))
    return false;
  bool behind[LICENCES_MOST] = { false };
  for (guint i = 0; i < pools->len && led; i++) {
    const Pool *other = GET(b, Pool, POOL, pools->pdata[i]);
    const Session *s = other == pool ? NULL : state_pool_waiting(b->state, other->head.name);
    if (!s || session_compare_came(first, s) < 0 || !licences_enough(b, other, NULL))
      continue;
    for (int k = 0; k < n; k++)
      if (!behind[k] && licence_wanted(other->licences, needs[k].name)) {
        behind[k] = true;
        led--;
      }
  }
  return led > 0;
}

int64_t licences_worth(Brain *b, const Pool *pool, int64_t waiting)
{
  int64_t fit = waiting ? licences_fit(b, pool, NULL) : 0;
  if (waiting <= fit)
    return waiting;
  return fit + pool_has_head(b, pool);
}

bool licences_ok(Brain *b, const Pool *pool, GError **err)
{
  LicenceNeed need;
  for (char **l = pool->licences; l && *l; l++) {
    if (!licence_need_read(*l, &need))
      return error_false(err, REASON_BAD_VALUE, "field", "licences", "value", *l, "limit", "NAME=N, such as cad=1", NULL);
    if (!NEED(b, Licence, LICENCE, need.name, err))
      return false;
    for (char **other = pool->licences; other != l; other++) {
      LicenceNeed before;
      if (licence_need_read(*other, &before) && !strcmp(before.name, need.name))
        return error_false(err, REASON_BAD_VALUE, "field", "licences", "value", *l, "limit", "each licence once", NULL);
    }
  }
  return true;
}

bool licences_enough(Brain *b, const Pool *pool, GError **err)
{
  LicenceNeed needs[LICENCES_MOST];
  int n = licence_needs(pool->licences, needs);
  for (int i = 0; i < n; i++) {
    int64_t total = licence_total(b, needs[i].name);
    g_autofree char *in_all = g_strdup_printf("%" G_GINT64_FORMAT, total), *wanted = g_strdup_printf("%" G_GINT64_FORMAT, needs[i].n);
    if (needs[i].n > total)
      return error_false(err, REASON_LICENCE_FEW, "licence", needs[i].name, "total", in_all, "wanted", wanted, "pool", pool->head.name, NULL);
  }
  return true;
}

/* ── the line ─────────────────────────────────────────────────────────────── */

/* A holder whose time is known. */
typedef struct {
  int64_t ends_us, n;
  int64_t freed;        /* seats that are free by then: its own and those of who ends before */
  bool sure;            /* and all of these ends are set: who is away can come back */
  const char *session;  /* borrowed until the batch is closed */
} End;

/* One licence while the line is gone through. */
typedef struct {
  int64_t total, held;
  int64_t before, wanted;  /* sessions of the line that want it so far, and how much */
  GArray *ends;            /* of End, the first first; NULL = nobody asked yet */
} Line;

/* What the sessions of a pool want, read once for all of them. */
typedef struct {
  int n;
  LicenceNeed needs[LICENCES_MOST];
  Line *lines[LICENCES_MOST];
} Wants;

/* All who wait for a desktop in pools that want licences, and what of. */
typedef struct {
  Brain *b;
  GHashTable *lines;  /* licence → Line */
  GHashTable *wants;  /* pool → Wants */
  GArray *waiting;    /* of Waiting, who came first first */
  Misses *reserved;   /* seats may be kept for some of them; NULL = for none */
} Queue;

typedef struct {
  const Session *session;  /* borrowed until the batch is closed */
  Wants *wants;
} Waiting;

static void line_free(void *data)
{
  Line *line = data;
  if (line->ends)
    g_array_unref(line->ends);
  g_free(line);
}

static void queue_clear(Queue *q)
{
  g_hash_table_unref(q->lines);
  g_hash_table_unref(q->wants);
  g_array_unref(q->waiting);
  misses_free(q->reserved);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Queue, queue_clear)

static int compare_ends(const void *a, const void *b)
{
  const End *x = a, *y = b;
  return x->ends_us != y->ends_us ? (x->ends_us < y->ends_us ? -1 : 1) : strcmp(x->session, y->session);
}

static GArray *ends_new(Brain *b, const char *licence)
{
  GArray *ends = g_array_new(FALSE, FALSE, sizeof(End));
  g_autoptr(GPtrArray) names = seats_sessions(state_seats(b->state), licence);
  for (guint i = 0; i < names->len; i++) {
    const Session *s = GET(b, Session, SESSION, names->pdata[i]);
    int64_t ends_us = session_ends_us(s, GET(b, Pool, POOL, s->pool));
    End end = { ends_us, licence_wanted(s->licences, licence), 0, ends_us == s->ends, s->head.name };
    if (ends_us)
      g_array_append_val(ends, end);
  }
  g_array_sort(ends, compare_ends);
  int64_t freed = 0;
  bool sure = true;
  for (guint i = 0; i < ends->len; i++) {
    End *end = &g_array_index(ends, End, i);
    end->freed = freed += end->n;
    end->sure = sure = sure && end->sure;
  }
  return ends;
}

static Line *line_of(Queue *q, const char *licence)
{
  Line *line = g_hash_table_lookup(q->lines, licence);
  if (line)
    return line;
  line = g_new0(Line, 1);
  line->total = licence_total(q->b, licence);
  line->held = seats_held(state_seats(q->b->state), licence);
  g_hash_table_insert(q->lines, g_strdup(licence), line);
  return line;
}

static Wants *wants_of(Queue *q, const Pool *pool)
{
  Wants *w = g_hash_table_lookup(q->wants, pool->head.name);
  if (w)
    return w;
  w = g_new0(Wants, 1);
  w->n = licence_needs(pool->licences, w->needs);
  for (int i = 0; i < w->n; i++)
    w->lines[i] = line_of(q, w->needs[i].name);
  g_hash_table_insert(q->wants, g_strdup(pool->head.name), w);
  return w;
}

static int compare_waiting(const void *a, const void *b)
{
  return session_compare_came(((const Waiting *)a)->session, ((const Waiting *)b)->session);
}

static void queue_fill(Queue *q, Brain *b)
{
  g_autoptr(GPtrArray) pools = seats_pools(state_seats(b->state));
  *q = (Queue){ b, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, line_free), g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
                g_array_new(FALSE, FALSE, sizeof(Waiting)), misses_of(b) };
  for (guint i = 0; i < pools->len; i++) {
    Wants *wants = wants_of(q, GET(b, Pool, POOL, pools->pdata[i]));
    g_autoptr(GPtrArray) line = state_pool_line(b->state, pools->pdata[i]);
    for (guint k = 0; k < line->len; k++) {
      Waiting waiting = { line->pdata[k], wants };
      g_array_append_val(q->waiting, waiting);
    }
  }
  g_array_sort(q->waiting, compare_waiting);
}

static const Waiting *waiting_at(const Queue *q, guint i) { return &g_array_index(q->waiting, Waiting, i); }

/* Whoever comes behind has one more before. */
static void wants_join(Wants *w)
{
  for (int i = 0; i < w->n; i++) {
    w->lines[i]->before++;
    w->lines[i]->wanted += w->needs[i].n;
  }
}

/* The first licence that there is too little of for one more now; -1 = there is enough of each. */
static int wants_short(const Wants *w)
{
  for (int i = 0; i < w->n; i++)
    if (w->needs[i].n > w->lines[i]->total - w->lines[i]->held)
      return i;
  return -1;
}

/* The holder whose end leaves n more than who came before wants, if ends that are known do; NULL = they do not. */
static const End *line_end(Queue *q, const LicenceNeed *need, int64_t n)
{
  Line *line = line_of(q, need->name);
  int64_t missing = line->wanted + need->n * n - (line->total - line->held);
  if (!line->ends)
    line->ends = ends_new(q->b, need->name);
  guint from = 0, to = line->ends->len;
  while (from < to) {
    guint middle = (from + to) / 2;
    if (g_array_index(line->ends, End, middle).freed >= missing)
      to = middle;
    else
      from = middle + 1;
  }
  return from < line->ends->len ? &g_array_index(line->ends, End, from) : NULL;
}

/* Whether they are free for it by then whatever comes. Of several seats one alone goes to who wants no more, and so does one of several licences. */
static bool end_is_sure(const End *end, const Wants *w, int i)
{
  return end->sure && w->n == 1 && w->needs[i].n == 1;
}

/* ── why a session waits ──────────────────────────────────────────────────── */

/* When it is free, and whether that is too late for who has a deadline; owned by the caller. */
static char *when_text(const End *end, bool sure, int64_t by_us)
{
  g_autofree char *at = end ? moment_format_up(end->ends_us) : NULL, *by = by_us ? moment_format(by_us) : NULL;
  if (!end)
    return g_strdup("no end is set");
  if (by_us && end->ends_us > by_us)
    return sure ? g_strdup_printf("free at %s at the latest, and its deadline is %s", at, by)
                : g_strdup_printf("free at %s as things are now, and its deadline is %s", at, by);
  return g_strdup_printf(sure ? "free at %s at the latest" : "free at %s as things are now", at);
}

static GError *full_error(Queue *q, const Session *s, const Wants *w, int i)
{
  GError *err = NULL;
  const Line *line = w->lines[i];
  const LicenceNeed *need = &w->needs[i];
  const End *end = line_end(q, need, 1);
  g_autofree char *when = when_text(end, end && end_is_sure(end, w, i), s->by);
  const int64_t numbers[] = { line->total, line->held, need->n, line->before };
  char texts[G_N_ELEMENTS(numbers)][24];
  for (size_t k = 0; k < G_N_ELEMENTS(numbers); k++)
    g_snprintf(texts[k], sizeof texts[k], "%" G_GINT64_FORMAT, numbers[k]);
  if (need->n > line->total)
    error_set(&err, REASON_LICENCE_FEW, "licence", need->name, "total", texts[0], "wanted", texts[2], "pool", s->pool, NULL);
  else
    error_set(&err, REASON_LICENCE_FULL, "licence", need->name, "total", texts[0], "held", texts[1], "wanted", texts[2], "before", texts[3],
              "when", when, NULL);
  return err;
}

GError *licences_kept_error(Brain *b, const LicenceNeed *need, int64_t wanted, int64_t kept)
{
  GError *err = NULL;
  const int64_t numbers[] = { licence_total(b, need->name), seats_held(state_seats(b->state), need->name), wanted, kept };
  char texts[G_N_ELEMENTS(numbers)][24];
  for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
    g_snprintf(texts[i], sizeof texts[i], "%" G_GINT64_FORMAT, numbers[i]);
  error_set(&err, REASON_LICENCE_KEPT, "licence", need->name, "total", texts[0], "held", texts[1], "wanted", texts[2], "kept", texts[3], NULL);
  return err;
}

/* Owned by the caller; NULL = there are seats for it. */
static GError *waiting_error(Queue *q, const Waiting *w)
{
  const Session *s = w->session;
  const Wants *wants = w->wants;
  int lacks = wants_short(wants);
  if (lacks >= 0)
    return full_error(q, s, wants, lacks);
  for (int i = 0; i < wants->n && q->reserved; i++) {
    int64_t free = wants->lines[i]->total - wants->lines[i]->held;
    int64_t kept = reservations_seats(q->b, q->reserved, wants->needs[i].name, s->pool, s->user, free);
    if (wants->needs[i].n > free - kept)
      return licences_kept_error(q->b, &wants->needs[i], wants->needs[i].n, kept);
  }
  return NULL;
}

GError *licence_wait(Brain *b, const Session *session)
{
  g_auto(Queue) q;
  queue_fill(&q, b);
  for (guint i = 0; i < q.waiting->len; i++) {
    const Waiting *w = waiting_at(&q, i);
    if (!strcmp(w->session->head.name, session->head.name))
      return waiting_error(&q, w);
    wants_join(w->wants);
  }
  return NULL;
}

/* As brain_error_json() writes it: to read thousands of them at each change would take longer than all the rest. */
static bool is_of_licences(const char *json)
{
  static const Reason reasons[] = { REASON_LICENCE_FULL, REASON_LICENCE_FEW, REASON_LICENCE_KEPT };
  for (size_t i = 0; json && i < G_N_ELEMENTS(reasons); i++) {
    char start[64];
    g_snprintf(start, sizeof start, "{\"code\":\"%s\"", reason_wire(reasons[i]));
    if (g_str_has_prefix(json, start))
      return true;
  }
  return false;
}

static void session_tell(Queue *q, const Waiting *w, bool again)
{
  const Session *s = w->session;
  bool told = is_of_licences(s->error), fits = wants_short(w->wants) < 0;
  if (fits ? !told && !q->reserved : told && !again)
    return;
  g_autoptr(GError) why = waiting_error(q, w);
  if (!why && !told)
    return;
  g_autofree char *text = why ? brain_error_json(why) : NULL;
  if (g_strcmp0(text, s->error))
    text_set(&EDIT(q->b, Session, SESSION, s->head.name)->error, text);
}

/* Tells all in line what they wait for, and counts for each licence how many they are. */
static void line_tell(Queue *q)
{
  for (guint i = 0; i < q->waiting->len; i++) {
    const Waiting *w = waiting_at(q, i);
    session_tell(q, w, i < TOLD_MOST);
    wants_join(w->wants);
  }
}

static char *over_text(const Line *line)
{
  g_autoptr(GError) err = NULL;
  g_autofree char *held = g_strdup_printf("%" G_GINT64_FORMAT, line->held), *total = g_strdup_printf("%" G_GINT64_FORMAT, line->total);
  if (line->held <= line->total)
    return NULL;
  error_set(&err, REASON_LICENCE_OVER, "held", held, "total", total, NULL);
  return brain_error_json(err);
}

static void figures_tell(Queue *q)
{
  Brain *b = q->b;
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_LICENCE);
  for (guint i = 0; i < names->len; i++) {
    const Licence *l = GET(b, Licence, LICENCE, names->pdata[i]);
    g_autofree char *name = g_strdup(l->head.name);
    const Line *line = line_of(q, name);
    g_autofree char *over = over_text(line);
    if (l->held == line->held && l->waiting == line->before && !g_strcmp0(l->error, over))
      continue;
    Licence *seen = SEE(b, Licence, LICENCE, name);
    seen->held = line->held;
    seen->waiting = line->before;
    text_set(&seen->error, over);
  }
}

/* ── giving them ──────────────────────────────────────────────────────────── */

/* Who has waited longest of those for whom there are seats and a desktop. */
static const Session *next_served(Brain *b, const Desktop **ret_desktop)
{
  const Session *best = NULL;
  g_autoptr(GPtrArray) pools = seats_pools(state_seats(b->state));
  for (guint i = 0; i < pools->len; i++) {
    const Pool *pool = GET(b, Pool, POOL, pools->pdata[i]);
    const Desktop *desktop;
    const Session *s = pool_next_served(b, pool, &desktop);
    if (!s || (best && session_compare_came(best, s) < 0))
      continue;
    best = s;
    *ret_desktop = desktop;
  }
  return best;
}

void licences_serve(Brain *b)
{
  const Session *s;
  const Desktop *d;
  while ((s = next_served(b, &d))) {
    g_autofree char *session = g_strdup(s->head.name), *desktop = g_strdup(d->head.name);
    session_assign(b, session, desktop);
  }
}

/* Pools with people in line grow by what is free for them. */
static void pools_look(Brain *b)
{
  g_autoptr(GPtrArray) pools = seats_pools(state_seats(b->state));
  for (guint i = 0; i < pools->len; i++)
    if (state_pool_use(b->state, pools->pdata[i]).waiting)
      brain_dirty(b, pools->pdata[i]);
}

void licences_follow(Brain *b)
{
  if (!seats_take_touched(state_seats(b->state)))
    return;
  g_auto(Queue) q;
  licences_serve(b);
  queue_fill(&q, b);
  line_tell(&q);
  figures_tell(&q);
  pools_look(b);
  seats_take_touched(state_seats(b->state)); /* that was us */
}

/* ── plans ────────────────────────────────────────────────────────────────── */

int licences_ask(Brain *b, Fleet *f, const Pool *pool, LicenceNeed needs[LICENCES_MOST], LicenceWish wishes[LICENCES_MOST])
{
  int n = licence_needs(pool->licences, needs);
  g_autoptr(Misses) misses = n ? misses_of(b) : NULL;
  for (int i = 0; i < n; i++) {
    int64_t total = licence_total(b, needs[i].name);
    fleet_put_licence(f, needs[i].name, total, total - free_for(b, misses, needs[i].name, pool->head.name, NULL));
    wishes[i] = (LicenceWish){ needs[i].name, (int)needs[i].n };
  }
  return n;
}

/* Of whom an end frees enough for the n sessions that are asked for. */
static GError *fix_end(Queue *q, const Wants *w, int i, int64_t n)
{
  GError *err = NULL;
  const char *licence = w->needs[i].name;
  const End *end = line_end(q, &w->needs[i], n);
  const Session *s = end ? GET(q->b, Session, SESSION, end->session) : NULL;
  g_autofree char *at = end ? moment_format_up(end->ends_us) : NULL, *held = g_strdup_printf("%" G_GINT64_FORMAT, w->lines[i]->held);
  if (s && end_is_sure(end, w, i))
    error_set(&err, REASON_PLACE_FIX_LICENCE_END, "licence", licence, "at", at, "session", s->head.name, "user", s->user, NULL);
  else if (s)
    error_set(&err, REASON_PLACE_FIX_LICENCE_MAY_END, "licence", licence, "at", at, "session", s->head.name, "user", s->user, NULL);
  else if (w->lines[i]->held)
    error_set(&err, REASON_PLACE_FIX_LICENCE_OPEN, "licence", licence, "held", held, NULL);
  return err;
}

static GError *fix_buy(const Line *line, const LicenceNeed *need, int64_t n)
{
  GError *err = NULL;
  int64_t more = line->wanted + need->n * n - (line->total - line->held);
  g_autofree char *seats = g_strdup_printf("%" G_GINT64_FORMAT, more), *total = g_strdup_printf("%" G_GINT64_FORMAT, line->total + more);
  error_set(&err, REASON_PLACE_FIX_LICENCE_BUY, "licence", need->name, "seats", seats, "total", total, NULL);
  return err;
}

static void fix_add(json_t *fixes, const char *kind, GError *take_why)
{
  g_autoptr(GError) why = take_why;
  g_autofree char *text = why ? brain_error_json(why) : NULL;
  if (why)
    json_array_append_new(fixes, json_pack("{s:s, s:o}", "kind", kind, "reason", json_loads(text, 0, NULL)));
}

void licences_plan(Brain *b, const Pool *pool, const Session *session, int64_t n, json_t *out)
{
  g_auto(Queue) q;
  queue_fill(&q, b);
  json_t *list = json_array(), *fixes = json_object_get(out, "fixes");
  const Wants *w = wants_of(&q, pool);
  for (guint i = 0; i < q.waiting->len && waiting_at(&q, i)->session != session; i++)
    wants_join(waiting_at(&q, i)->wants);
  for (int i = 0; i < w->n; i++) {
    const Line *line = w->lines[i];
    const LicenceNeed *need = &w->needs[i];
    bool short_of = line->wanted + need->n * n > line->total - line->held;
    json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I}", "licence", need->name, "wanted", (json_int_t)need->n, "total",
                                          (json_int_t)line->total, "held", (json_int_t)line->held, "before", (json_int_t)line->before));
    if (!short_of || !fixes)
      continue;
    fix_add(fixes, "licence-end", fix_end(&q, w, i, n));
    fix_add(fixes, "licence-buy", fix_buy(line, need, n));
  }
  json_object_set_new(out, "licences", list);
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

bool verb_licence_add(Brain *b, const Request *r, Answer *a, GError **err)
{
  Licence *licence = verb_new_object(b, r, NOUN_LICENCE, request_text(r, "name"), err);
  if (!licence)
    return false;
  verb_keep(b, NOUN_LICENCE, licence);
  answer_object(b, a, 201, request_text(r, "name"));
  return true;
}

bool verb_licence_change(Brain *b, const Request *r, Answer *a, GError **err)
{
  Licence *licence = verb_changed_object(b, r, NOUN_LICENCE, err);
  if (!licence)
    return false;
  verb_keep(b, NOUN_LICENCE, licence);
  answer_object(b, a, 200, r->name);
  return true;
}

bool verb_licence_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  Seats *seats = state_seats(b->state);
  g_autoptr(GPtrArray) pools = seats_pools(seats), sessions = seats_sessions(seats, r->name);
  for (guint i = 0; i < pools->len; i++)
    if (licence_wanted(GET(b, Pool, POOL, pools->pdata[i])->licences, r->name))
      return error_false(err, REASON_IN_USE, "kind", "licence", "name", r->name, "by", "pool", "user", pools->pdata[i], NULL);
  if (sessions->len)
    return error_false(err, REASON_IN_USE, "kind", "licence", "name", r->name, "by", "session", "user", sessions->pdata[0], NULL);
  state_delete(b->state, NOUN_LICENCE, r->name);
  return true;
}

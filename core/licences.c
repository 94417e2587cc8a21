/* Licences: seats that a session holds as long as it holds a desktop. They are given with the desktop, never before it: a desktop that nobody has
 * holds none. Who waits longest is served first, whichever pool it is in, as long as everything else is there for it. */
#include "core/licences.h"

#include <string.h>

/* Of those in line only so many are told again how far it is: the rest knows from when it came. */
enum { TOLD_MOST = 256 };

/* ── what is free ─────────────────────────────────────────────────────────── */

static int64_t licence_total(Brain *b, const char *name)
{
  const Licence *l = GET(b, Licence, LICENCE, name);
  return l ? l->total : 0;
}

static int64_t licence_free(Brain *b, const char *name)
{
  return licence_total(b, name) - seats_held(state_seats(b->state), name);
}

int64_t licences_fit(Brain *b, const Pool *pool)
{
  LicenceNeed needs[LICENCES_MOST];
  int n = licence_needs(pool->licences, needs);
  int64_t fit = INT_MAX;
  for (int i = 0; i < n; i++)
    fit = MIN(fit, MAX(0, licence_free(b, needs[i].name) / needs[i].n));
  return fit;
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
  const char *session;  /* borrowed until the batch is closed */
} End;

/* One licence while the line is gone through. */
typedef struct {
  int64_t total, held;
  int64_t before, wanted;  /* sessions of the line that want it so far, and how much */
  GArray *ends;            /* of End, the first first */
} Line;

static void line_free(void *line)
{
  g_array_unref(((Line *)line)->ends);
  g_free(line);
}

static int compare_ends(const void *a, const void *b)
{
  const End *x = a, *y = b;
  return x->ends_us != y->ends_us ? (x->ends_us < y->ends_us ? -1 : 1) : strcmp(x->session, y->session);
}

static Line *line_new(Brain *b, const char *licence)
{
  Seats *seats = state_seats(b->state);
  Line *line = g_new0(Line, 1);
  line->total = licence_total(b, licence);
  line->held = seats_held(seats, licence);
  line->ends = g_array_new(FALSE, FALSE, sizeof(End));
  g_autoptr(GPtrArray) names = seats_sessions(seats, licence);
  for (guint i = 0; i < names->len; i++) {
    const Session *s = GET(b, Session, SESSION, names->pdata[i]);
    End end = { session_due_us(s, GET(b, Pool, POOL, s->pool)), licence_wanted(s->licences, licence), s->head.name };
    if (end.ends_us)
      g_array_append_val(line->ends, end);
  }
  g_array_sort(line->ends, compare_ends);
  return line;
}

static Line *line_of(Brain *b, GHashTable *lines, const char *licence)
{
  Line *line = g_hash_table_lookup(lines, licence);
  if (!line)
    g_hash_table_insert(lines, g_strdup(licence), line = line_new(b, licence));
  return line;
}

/* The holder whose end leaves n more than who came before wants, if ends that are known do; NULL = they do not. */
static const End *line_end(const Line *line, int64_t n)
{
  int64_t missing = line->wanted + n - (line->total - line->held);
  for (guint i = 0; i < line->ends->len; i++) {
    const End *end = &g_array_index(line->ends, End, i);
    missing -= end->n;
    if (missing <= 0)
      return end;
  }
  return NULL;
}

static char *time_text(int64_t us)
{
  g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc((us + SECOND_US - 1) / SECOND_US);
  return g_date_time_format(date, "%Y-%m-%dT%H:%M:%SZ");
}

/* Sessions that wait for a desktop in pools that want licences, who came first first: of const Session *, borrowed until the batch is closed. */
static int compare_came(const void *a, const void *b)
{
  const Session *x = *(const Session *const *)a, *y = *(const Session *const *)b;
  if (x->head.created_us != y->head.created_us)
    return x->head.created_us < y->head.created_us ? -1 : 1;
  size_t nx = strlen(x->head.name), ny = strlen(y->head.name);
  return nx != ny ? (nx < ny ? -1 : 1) : strcmp(x->head.name, y->head.name);
}

static GPtrArray *waiting_all(Brain *b)
{
  GPtrArray *all = g_ptr_array_new();
  g_autoptr(GPtrArray) pools = seats_pools(state_seats(b->state));
  for (guint i = 0; i < pools->len; i++) {
    g_autoptr(GPtrArray) queue = state_pool_queue(b->state, pools->pdata[i]);
    for (guint k = 0; k < queue->len; k++)
      g_ptr_array_add(all, (void *)GET(b, Session, SESSION, queue->pdata[k]));
  }
  g_ptr_array_sort(all, compare_came);
  return all;
}

/* ── why a session waits ──────────────────────────────────────────────────── */

/* When it is free, and whether that is too late for who has a deadline; owned by the caller. */
static char *when_text(const End *end, int64_t by_us)
{
  g_autofree char *at = end ? time_text(end->ends_us) : NULL, *by = by_us ? time_text(by_us) : NULL;
  if (end && by_us && end->ends_us > by_us)
    return g_strdup_printf("free at %s at the latest, and its deadline is %s", at, by);
  return end ? g_strdup_printf("free at %s at the latest", at) : g_strdup("no end is set");
}

static GError *full_error(const Line *line, const LicenceNeed *need, const Session *s)
{
  GError *err = NULL;
  g_autofree char *when = when_text(line_end(line, need->n), s->by);
  const int64_t numbers[] = { line->total, line->held, need->n, line->before };
  char texts[G_N_ELEMENTS(numbers)][24];
  for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
    g_snprintf(texts[i], sizeof texts[i], "%" G_GINT64_FORMAT, numbers[i]);
  if (need->n > line->total)
    error_set(&err, REASON_LICENCE_FEW, "licence", need->name, "total", texts[0], "wanted", texts[2], "pool", s->pool, NULL);
  else
    error_set(&err, REASON_LICENCE_FULL, "licence", need->name, "total", texts[0], "held", texts[1], "wanted", texts[2], "before", texts[3],
              "when", when, NULL);
  return err;
}

/* The first licence of its pool that there is too little of for one more; then it joins the line. NULL = there is enough of each. */
static GError *line_join(Brain *b, GHashTable *lines, const Session *s)
{
  const Pool *pool = GET(b, Pool, POOL, s->pool);
  GError *why = NULL;
  LicenceNeed needs[LICENCES_MOST];
  int n = pool ? licence_needs(pool->licences, needs) : 0;
  for (int i = 0; i < n; i++) {
    Line *line = line_of(b, lines, needs[i].name);
    if (!why && needs[i].n > line->total - line->held)
      why = full_error(line, &needs[i], s);
  }
  for (int i = 0; i < n; i++) {
    Line *line = line_of(b, lines, needs[i].name);
    line->before++;
    line->wanted += needs[i].n;
  }
  return why;
}

GError *licence_wait(Brain *b, const Session *session)
{
  g_autoptr(GHashTable) lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, line_free);
  g_autoptr(GPtrArray) waiting = waiting_all(b);
  for (guint i = 0; i < waiting->len; i++) {
    const Session *s = waiting->pdata[i];
    g_autoptr(GError) why = line_join(b, lines, s);
    if (!strcmp(s->head.name, session->head.name))
      return g_steal_pointer(&why);
  }
  return NULL;
}

static bool is_of_licences(const char *json)
{
  g_autoptr(GError) known = json ? brain_error_of(json) : NULL;
  return error_is(known, REASON_LICENCE_FULL) || error_is(known, REASON_LICENCE_FEW);
}

static void session_tell(Brain *b, const Session *s, const GError *why, bool again)
{
  g_autofree char *text = why ? brain_error_json(why) : NULL;
  bool told = is_of_licences(s->error);
  if (!g_strcmp0(text, s->error) || (!why && !told) || (why && told && !again))
    return;
  text_set(&EDIT(b, Session, SESSION, s->head.name)->error, text);
}

/* Tells all in line what they wait for, and counts for each licence how many they are. */
static void line_tell(Brain *b, GHashTable *lines)
{
  g_autoptr(GPtrArray) waiting = waiting_all(b);
  for (guint i = 0; i < waiting->len; i++) {
    g_autoptr(GError) why = line_join(b, lines, waiting->pdata[i]);
    session_tell(b, waiting->pdata[i], why, i < TOLD_MOST);
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

static void figures_tell(Brain *b, GHashTable *lines)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_LICENCE);
  for (guint i = 0; i < names->len; i++) {
    const Licence *l = GET(b, Licence, LICENCE, names->pdata[i]);
    g_autofree char *name = g_strdup(l->head.name);
    const Line *line = line_of(b, lines, name);
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
    const Session *s = licences_fit(b, pool) > 0 ? pool_next_served(b, pool, &desktop) : NULL;
    if (!s || (best && compare_came(&best, &s) < 0))
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
  g_autoptr(GHashTable) lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, line_free);
  licences_serve(b);
  line_tell(b, lines);
  figures_tell(b, lines);
  pools_look(b);
  seats_take_touched(state_seats(b->state)); /* that was us */
}

/* ── plans ────────────────────────────────────────────────────────────────── */

int licences_ask(Brain *b, Fleet *f, const Pool *pool, LicenceNeed needs[LICENCES_MOST], LicenceWish wishes[LICENCES_MOST])
{
  int n = licence_needs(pool->licences, needs);
  for (int i = 0; i < n; i++) {
    fleet_put_licence(f, needs[i].name, licence_total(b, needs[i].name), seats_held(state_seats(b->state), needs[i].name));
    wishes[i] = (LicenceWish){ needs[i].name, (int)needs[i].n };
  }
  return n;
}

/* Of whom an end frees enough for the n sessions that are asked for. */
static GError *fix_end(Brain *b, const Line *line, const LicenceNeed *need, int64_t n)
{
  GError *err = NULL;
  const End *end = line_end(line, need->n * n);
  const Session *s = end ? GET(b, Session, SESSION, end->session) : NULL;
  g_autofree char *at = end ? time_text(end->ends_us) : NULL, *held = g_strdup_printf("%" G_GINT64_FORMAT, line->held);
  if (s)
    error_set(&err, REASON_PLACE_FIX_LICENCE_END, "licence", need->name, "at", at, "session", s->head.name, "user", s->user, NULL);
  else if (line->held)
    error_set(&err, REASON_PLACE_FIX_LICENCE_OPEN, "licence", need->name, "held", held, NULL);
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
  g_autoptr(GHashTable) lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, line_free);
  g_autoptr(GPtrArray) waiting = waiting_all(b);
  json_t *list = json_array(), *fixes = json_object_get(out, "fixes");
  LicenceNeed needs[LICENCES_MOST];
  int count = licence_needs(pool->licences, needs);
  for (guint i = 0; i < waiting->len && waiting->pdata[i] != session; i++) {
    g_autoptr(GError) why = line_join(b, lines, waiting->pdata[i]);
  }
  for (int i = 0; i < count; i++) {
    const Line *line = line_of(b, lines, needs[i].name);
    bool short_of = line->wanted + needs[i].n * n > line->total - line->held;
    json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I, s:I}", "licence", needs[i].name, "wanted", (json_int_t)needs[i].n, "total",
                                          (json_int_t)line->total, "held", (json_int_t)line->held, "before", (json_int_t)line->before));
    if (!short_of || !fixes)
      continue;
    fix_add(fixes, "licence-end", fix_end(b, line, &needs[i], n));
    fix_add(fixes, "licence-buy", fix_buy(line, &needs[i], n));
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

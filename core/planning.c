/* What if, and why not: the placement engine asked on a copy of the fleet. Nothing here changes anything. */
#include <stdlib.h>
#include <string.h>

#include "core/accepts.h"
#include "core/csv.h"
#include "core/ledger.h"
#include "core/licences.h"
#include "core/placing.h"
#include "core/text.h"

enum { COUNT_MOST = 10000, ADDED_MOST = 10000, TOLD_HOSTS = 12, TOLD_CARDS = 5 };

/* ── the fleet as it would be ─────────────────────────────────────────────── */

static bool bad(const char *field, const char *value, const char *limit, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", value, "limit", limit, NULL);
}

static bool host_add_like(Fleet *f, int line, char **fields, GError **err)
{
  g_autofree char *where = g_strdup_printf("add_hosts, line %d", line), *row = g_strjoinv(",", fields);
  guint n = g_strv_length(fields);
  int64_t cards = -1;
  if ((n != 2 && n != 3) || (n == 3 && *fields[2] && !number_parse(fields[2], 0, CARDS_MOST, &cards)))
    return bad(where, row, "lines of NAME,LIKE or NAME,LIKE,CARDS: a new host, one there is that it is like, and how many cards it has (0 to 16)",
               err);
  if (!name_check(where, fields[0], err)) /* it is printed, and drawn */
    return false;
  int like = fleet_find_host(f, fields[1]);
  if (like < 0)
    return error_false(err, REASON_NOT_FOUND, "kind", "host", "name", fields[1], NULL);
  return fleet_add_like(f, fields[0], like, (int)cards, err);
}

static bool is_head(char **fields)
{
  bool two = !g_strcmp0(fields[0], "name") && !g_strcmp0(fields[1], "like");
  return two && (!fields[2] || !strcmp(fields[2], "cards"));
}

bool plan_add_hosts(Fleet *f, const char *text, GError **err)
{
  Csv csv = csv_open(text ? text : "");
  for (int added = 0;;) {
    g_auto(GStrv) fields = NULL;
    if (!csv_next(&csv, &fields, err))
      return false;
    if (!fields)
      return true;
    if (is_head(fields))
      continue;
    if (++added > ADDED_MOST)
      return error_false(err, REASON_TOO_LARGE, "what", "add_hosts", "value", "10001 lines", "limit", "10000", NULL);
    if (!host_add_like(f, csv.line, fields, err))
      return false;
  }
}

bool plan_leave_out(Fleet *f, const char *name, GError **err)
{
  int host = name ? fleet_find_host(f, name) : 0;
  if (host < 0)
    return error_false(err, REASON_NOT_FOUND, "kind", "host", "name", name, NULL);
  if (name)
    fleet_set_state(f, host, "left out");
  return true;
}

/* ── in JSON ──────────────────────────────────────────────────────────────── */

static json_t *reason_json(const GError *why)
{
  g_autofree char *text = brain_error_json(why);
  return json_loads(text, 0, NULL);
}

static json_t *stopped_json(const Fleet *f, const GArray *all, guint most)
{
  json_t *list = json_array();
  for (guint i = 0; i < all->len && i < most; i++) {
    const Stopped *s = &g_array_index(all, Stopped, i);
    g_autoptr(GError) why = explain_error(f, s->host, s->rule, &s->finding);
    json_array_append_new(list, json_pack("{s:i, s:s, s:o}", "n", s->n, "rule", rule_name(s->rule), "reason", reason_json(why)));
  }
  return list;
}

static json_t *fixes_json(const Fleet *f, const GArray *fixes, int64_t now_us)
{
  json_t *list = json_array();
  for (guint i = 0; i < fixes->len; i++) {
    const Fix *fix = &g_array_index(fixes, Fix, i);
    g_autoptr(GError) why = fix_error(f, fix, now_us);
    json_array_append_new(list, json_pack("{s:s, s:o}", "kind", fix_kind_name(fix->kind), "reason", reason_json(why)));
  }
  return list;
}

static void why_json(json_t *out, const Fleet *f, const Explanation *e, int64_t now_us)
{
  json_object_set_new(out, "hosts_in_all", json_integer(e->hosts));
  json_object_set_new(out, "hosts_with_room", json_integer(e->fit));
  json_object_set_new(out, "hosts_stopped", stopped_json(f, e->stopped, TOLD_HOSTS));
  json_object_set_new(out, "cards_stopped", stopped_json(f, e->stopped_cards, TOLD_CARDS));
  json_object_set_new(out, "fixes", fixes_json(f, e->fixes, now_us));
}

/* ── places for n more ────────────────────────────────────────────────────── */

/* The first class that has a place takes it. */
static bool take_one(GPtrArray *classes, int *ret_host)
{
  for (guint i = 0; i < classes->len; i++) {
    Place place;
    ClaimId id;
    if (place_find(classes->pdata[i], &place, NULL) && place_claim(classes->pdata[i], &place, NULL, &id, NULL)) {
      *ret_host = place.host;
      return true;
    }
  }
  return false;
}

static json_t *places_json(const Fleet *f, const int *counts, int hosts)
{
  json_t *list = json_array();
  for (int h = 0; h < hosts; h++)
    if (counts[h])
      json_array_append_new(list, json_pack("{s:s, s:i}", "host", fleet_host_name(f, h), "desktops", counts[h]));
  return list;
}

/* The desktop of the pool that comes back first by itself: its person left, or has not come yet, and has so long for it. */
static const Session *first_back(Brain *b, const Pool *pool)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_SESSION);
  const Session *first = NULL;
  for (guint i = 0; i < names->len; i++) {
    const Session *s = GET(b, Session, SESSION, names->pdata[i]);
    bool has = session_state_is_live(s->state) && s->desktop && !g_strcmp0(s->pool, pool->head.name);
    int64_t due_us = has ? session_back_us(s, pool) : 0;
    if (due_us && (!first || due_us < session_back_us(first, pool)))
      first = s;
  }
  return first;
}

/* When its desktop is free for another; the desktop of a dedicated pool never is. */
static GError *back_error(Brain *b, const Pool *pool, const Session *s)
{
  GError *why = NULL;
  int64_t due_us = session_back_us(s, pool);
  Reason soon = due_us == s->take_by ? REASON_PLACE_FIX_OFFER : REASON_PLACE_FIX_BACK;
  g_autofree char *minutes = g_strdup_printf("%d", (int)((MAX(0, due_us - b->now_us) + 60 * SECOND_US - 1) / (60 * SECOND_US)));
  g_autofree char *at = moment_format_up(due_us);
  if (due_us == s->ends)
    error_set(&why, REASON_PLACE_FIX_OVER, "at", at, "desktop", s->desktop, "session", s->head.name, "user", s->user, NULL);
  else
    error_set(&why, soon, "minutes", minutes, "desktop", s->desktop, "session", s->head.name, NULL);
  return why;
}

static void fix_add_back(Brain *b, const Pool *pool, json_t *out)
{
  json_t *fixes = json_object_get(out, "fixes");
  PoolUse use = state_pool_use(b->state, pool->head.name);
  int held = use.by_state[DESKTOP_ASSIGNED] + use.by_state[DESKTOP_USED];
  if (!fixes || pool->kind == POOL_DEDICATED || !held)
    return;
  const Session *s = first_back(b, pool);
  g_autofree char *n = g_strdup_printf("%d", held);
  g_autoptr(GError) why = s ? back_error(b, pool, s) : NULL;
  if (!why)
    error_set(&why, REASON_PLACE_FIX_OPEN, "pool", pool->head.name, "held", n, NULL);
  json_array_append_new(fixes, json_pack("{s:s, s:o}", "kind", "comes-back", "reason", reason_json(why)));
}

int plan_room(Brain *b, const Pool *pool, int count, GError **why)
{
  Wish w;
  LicenceNeed needs[LICENCES_MOST];
  LicenceWish wishes[LICENCES_MOST];
  if (!wish_of(b, pool, &w, why))
    return 0;
  g_autoptr(Fleet) f = fleet_view(ledger_fleet(b));
  w.licences = wishes;
  w.n_licences = licences_ask(b, f, pool, needs, wishes);
  g_autoptr(GPtrArray) classes = wish_classes(b, f, &w, why);
  int placed = 0, host;
  while (classes && placed < count && take_one(classes, &host))
    placed++;
  if (!classes || placed == count)
    return placed;
  g_autoptr(Explanation) e = explain_any(classes, false);
  const Stopped *first = e->stopped->len ? &g_array_index(e->stopped, Stopped, 0) : NULL;
  DesktopPlace place;
  GError *stops = first ? explain_error(f, first->host, first->rule, &first->finding) : NULL;
  if (stops)
    g_propagate_error(why, stops);
  else
    place_pick(b, pool, &place, why);
  return placed;
}

/* session: in line for it, or NULL. */
static json_t *plan_json(Brain *b, Fleet *f, const Wish *wish, const Session *session, int count, GError **err)
{
  LicenceNeed needs[LICENCES_MOST];
  LicenceWish wishes[LICENCES_MOST];
  Wish asked = *wish, *w = &asked;
  asked.licences = wishes;
  asked.n_licences = licences_ask(b, f, wish->pool, needs, wishes);
  g_autoptr(GPtrArray) classes = wish_classes(b, f, w, err);
  if (!classes)
    return NULL;
  g_autofree int *counts = g_new0(int, fleet_hosts(f) + 1);
  int placed = 0, host;
  for (; placed < count && take_one(classes, &host); placed++)
    counts[host]++;
  json_t *out = json_pack("{s:s, s:i, s:i}", "pool", w->pool->head.name, "count", count, "placed", placed);
  json_object_set_new(out, "places", places_json(f, counts, fleet_hosts(f)));
  if (placed < count) {
    g_autoptr(Explanation) e = explain_any(classes, true);
    why_json(out, f, e, b->now_us);
    if (!e->stopped->len || g_array_index(e->stopped, Stopped, 0).rule != RULE_LICENCE)
      fix_add_back(b, w->pool, out);
  }
  licences_plan(b, w->pool, session, count, out);
  return out;
}

static bool answer_json(Answer *a, json_t *take_json)
{
  json_auto_t *json = take_json;
  a->json = json ? json_dumps(json, JSON_COMPACT) : NULL;
  a->status = 200;
  return json;
}

static bool count_read(const Request *r, int *ret_count, GError **err)
{
  const json_t *value = json_object_get(r->body, "count");
  int64_t n = value ? json_integer_value(value) : 1;
  *ret_count = (int)n;
  g_autofree char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
  return (n >= 1 && n <= COUNT_MOST) || bad("count", text, "a whole number from 1 to 10000", err);
}

static bool shape_has(const CardShape *shape, const char *type)
{
  for (int i = 0; i < shape->n; i++)
    if (!strcmp(shape->profiles[i].name, type))
      return true;
  return false;
}

/* Some card there is, whoever has it now, is cut into such parts; else no host could say more than that it has none. */
static bool profile_known(Brain *b, const char *profile, GError **err)
{
  const char *const only[] = { profile, NULL };
  g_autoptr(GPtrArray) types = accepts_types(b, only);
  const GPtrArray *shapes = ledger_shapes(b);
  for (guint i = 0; i < shapes->len * types->len; i++)
    if (shape_has(shapes->pdata[i / types->len], types->pdata[i % types->len]))
      return true;
  return bad("profile", profile, "a type that one of the cards has: sarang gpu tree", err);
}

/* Hosts know nothing of how many desktops a pool may have. */
static void max_tell(Brain *b, const Pool *pool, json_t *out)
{
  PoolUse use = state_pool_use(b->state, pool->head.name);
  int64_t standing = use.total - use.by_state[DESKTOP_RETIRING] - use.by_state[DESKTOP_QUARANTINED], left = MAX(0, pool->max - standing);
  int64_t placed = json_integer_value(json_object_get(out, "placed"));
  const int64_t numbers[] = { left, standing, pool->max, standing + placed };
  char texts[G_N_ELEMENTS(numbers)][24];
  for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
    g_snprintf(texts[i], sizeof texts[i], "%" G_GINT64_FORMAT, numbers[i]);
  if (placed <= left)
    return;
  g_autoptr(GError) why = NULL;
  error_set(&why, REASON_PLACE_MAX, "pool", pool->head.name, "left", texts[0], "standing", texts[1], "max", texts[2], "enough", texts[3], NULL);
  json_object_set_new(out, "beyond_max", reason_json(why));
}

bool verb_pool_plan(Brain *b, const Request *r, Answer *a, GError **err)
{
  Wish w;
  int count;
  if (!count_read(r, &count, err) || !wish_of(b, GET(b, Pool, POOL, r->name), &w, err))
    return false;
  w.profile = request_text(r, "profile");
  if (w.profile && !w.class)
    return bad("profile", w.profile, "for a pool with a GPU class", err);
  g_autoptr(Fleet) f = fleet_view(ledger_fleet(b)); /* with it come the types of its cards */
  if (w.profile && !profile_known(b, w.profile, err))
    return false;
  if (!plan_add_hosts(f, request_text(r, "add_hosts"), err) || !plan_leave_out(f, request_text(r, "without_host"), err))
    return false;
  json_t *out = plan_json(b, f, &w, NULL, count, err);
  if (out)
    max_tell(b, w.pool, out);
  return answer_json(a, out);
}

/* ── one session ──────────────────────────────────────────────────────────── */

bool verb_session_explain(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Session *s = GET(b, Session, SESSION, r->name);
  const Pool *pool = NEED(b, Pool, POOL, s->pool, err);
  Wish w;
  if (!pool || !wish_of(b, pool, &w, err))
    return false;
  PoolUse use = state_pool_use(b->state, s->pool);
  g_autoptr(Fleet) f = fleet_view(ledger_fleet(b));
  json_t *out = plan_json(b, f, &w, s, 1, err);
  if (!out)
    return false;
  json_object_set_new(out, "session", json_string(s->head.name));
  json_object_set_new(out, "state", json_string(session_state_name(s->state)));
  json_object_set_new(out, "waiting", json_integer(use.waiting));
  int coming = use.by_state[DESKTOP_PROVISIONING] + use.by_state[DESKTOP_WAIT_READY] + use.by_state[DESKTOP_RESETTING];
  json_object_set_new(out, "coming", json_integer(coming));
  if (s->desktop)
    json_object_set_new(out, "desktop", json_string(s->desktop));
  if (s->host)
    json_object_set_new(out, "host", json_string(s->host));
  return answer_json(a, out);
}

/* What if, and why not: the placement engine asked on a copy of the fleet. Nothing here changes anything. */
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"
#include "core/ledger.h"
#include "core/placing.h"

enum { COUNT_MOST = 10000, ADDED_MOST = 10000, TOLD_HOSTS = 12, TOLD_CARDS = 5 };

/* ── the fleet as it would be ─────────────────────────────────────────────── */

static bool bad(const char *field, const char *value, const char *limit, GError **err)
{
  return error_false(err, REASON_BAD_VALUE, "field", field, "value", value, "limit", limit, NULL);
}

static bool host_add_like(Fleet *f, int line, char **fields, GError **err)
{
  g_autofree char *where = g_strdup_printf("add_hosts, line %d", line), *row = g_strjoinv(",", fields);
  if (g_strv_length(fields) != 2)
    return bad(where, row, "lines of NAME,LIKE: a new host, and one there is that it is like", err);
  int like = fleet_find_host(f, fields[1]);
  if (like < 0)
    return error_false(err, REASON_NOT_FOUND, "kind", "host", "name", fields[1], NULL);
  return fleet_add_like(f, fields[0], like, err);
}

static bool is_head(char **fields)
{
  return !g_strcmp0(fields[0], "name") && !g_strcmp0(fields[1], "like") && !fields[2];
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

static json_t *plan_json(Brain *b, Fleet *f, const Wish *w, int count, GError **err)
{
  g_autoptr(GPtrArray) classes = wish_classes(b, f, w, err);
  if (!classes)
    return NULL;
  g_autofree int *counts = g_new0(int, fleet_hosts(f) + 1);
  int placed = 0, host;
  for (; placed < count && take_one(classes, &host); placed++)
    counts[host]++;
  json_t *out = json_pack("{s:s, s:i, s:i}", "pool", w->pool->head.name, "count", count, "placed", placed);
  json_object_set_new(out, "places", places_json(f, counts, fleet_hosts(f)));
  if (placed == count)
    return out;
  g_autoptr(Explanation) e = explain_new(classes->pdata[0]);
  why_json(out, f, e, b->now_us);
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

bool verb_pool_plan(Brain *b, const Request *r, Answer *a, GError **err)
{
  Wish w;
  int count;
  if (!count_read(r, &count, err) || !wish_of(b, GET(b, Pool, POOL, r->name), &w, err))
    return false;
  w.profile = request_text(r, "profile");
  if (w.profile && !w.class)
    return bad("profile", w.profile, "for a pool with a GPU class", err);
  g_autoptr(Fleet) f = fleet_view(ledger_fleet(b));
  if (!plan_add_hosts(f, request_text(r, "add_hosts"), err) || !plan_leave_out(f, request_text(r, "without_host"), err))
    return false;
  return answer_json(a, plan_json(b, f, &w, count, err));
}

/* ── one session ──────────────────────────────────────────────────────────── */

/* The desktop of the pool that comes back first by itself: its person left, and has so long to return. */
static const Session *first_back(Brain *b, const Pool *pool)
{
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_SESSION);
  const Session *first = NULL;
  for (guint i = 0; i < names->len; i++) {
    const Session *s = GET(b, Session, SESSION, names->pdata[i]);
    int64_t due_us = s->desktop && !g_strcmp0(s->pool, pool->head.name) ? session_due_us(s, pool) : 0;
    if (due_us && (!first || due_us < session_due_us(first, pool)))
      first = s;
  }
  return first;
}

static void fix_add_back(Brain *b, const Pool *pool, json_t *out)
{
  const Session *s = first_back(b, pool);
  json_t *fixes = json_object_get(out, "fixes");
  if (!s || !fixes)
    return;
  g_autoptr(GError) why = NULL;
  g_autofree char *minutes = g_strdup_printf("%d", (int)(MAX(0, session_due_us(s, pool) - b->now_us) / (60 * SECOND_US)));
  error_set(&why, REASON_PLACE_FIX_BACK, "minutes", minutes, "desktop", s->desktop, "session", s->head.name, NULL);
  json_array_append_new(fixes, json_pack("{s:s, s:o}", "kind", "comes-back", "reason", reason_json(why)));
}

bool verb_session_explain(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Session *s = GET(b, Session, SESSION, r->name);
  const Pool *pool = NEED(b, Pool, POOL, s->pool, err);
  Wish w;
  if (!pool || !wish_of(b, pool, &w, err))
    return false;
  PoolUse use = state_pool_use(b->state, s->pool);
  g_autoptr(Fleet) f = fleet_view(ledger_fleet(b));
  json_t *out = plan_json(b, f, &w, 1, err);
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
  fix_add_back(b, pool, out);
  return answer_json(a, out);
}

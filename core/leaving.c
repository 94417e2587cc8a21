/* Hosts that are drained by moving what runs there: as many desktops at a time as a host sends, one after the other until none is left that can go.
 * Nothing of it is kept but that the host is to be left: after a crash it goes on. */
#include "core/ledger.h"

/* What was in the way may have gone meanwhile; a move that failed is not made again at once. */
enum { LOOK_EVERY_S = 15, FAILED_REST_S = 900 };

typedef struct {
  int64_t until_us;
  char *why;   /* JSON of the reason */
} Rest;

static void rest_free(void *rest)
{
  g_free(((Rest *)rest)->why);
  g_free(rest);
}

void leaving_look_soon(Brain *b)
{
  b->leaving_us = b->now_us;
}

void leaving_move_failed(Brain *b, const char *desktop, const char *why)
{
  if (!b->rests)
    b->rests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, rest_free);
  Rest *rest = g_new(Rest, 1);
  *rest = (Rest){ b->now_us + FAILED_REST_S * SECOND_US, g_strdup(why) };
  g_hash_table_replace(b->rests, g_strdup(desktop), rest);
}

static const Rest *rest_of(Brain *b, const char *desktop)
{
  const Rest *rest = b->rests ? g_hash_table_lookup(b->rests, desktop) : NULL;
  if (rest && rest->until_us <= b->now_us) {
    g_hash_table_remove(b->rests, desktop);
    return NULL;
  }
  return rest;
}

bool leaving_rests(Brain *b, const char *desktop)
{
  return rest_of(b, desktop);
}

static bool is_leaving(const Host *h)
{
  return h->leaving && h->state == HOST_DRAINING;
}

/* ── one host ─────────────────────────────────────────────────────────────── */

static void wait_rests(GArray *waits, const char *desktop, const Rest *rest)
{
  g_autoptr(GError) failed = brain_error_of(rest->why), why = NULL;
  g_autofree char *text = error_text(failed, LANG_EN);
  error_set(&why, REASON_MOVE_RESTS, "why", text, NULL);
  wait_add(waits, STAY_RESTS, why, desktop);
}

/* It goes now, or its turn comes; refused: why it does not, or NULL. */
static void wait_begun(Brain *b, GArray *waits, const char *desktop, const char *host, const GError *refused)
{
  const Desktop *d = GET(b, Desktop, DESKTOP, desktop);
  bool later = !refused || error_is(refused, REASON_MOVES_ENOUGH);
  Stay stay = d->moving ? STAY_WAY : later ? STAY_TURN : STAY_NOWHERE;
  g_autoptr(GError) why = later ? stay_error(b, stay, d, host) : g_error_copy(refused);
  wait_add(waits, stay, why, desktop);
}

static void waits_note(Brain *b, const char *host, GArray *waits)
{
  int n;
  g_autoptr(GError) err = NULL;
  g_autofree char *why = waits_text(waits, &n), *count = g_strdup_printf("%d", n);
  if (*why)
    error_set(&err, REASON_MOVE_STAYS_WHY, "host", host, "n", count, "why", why, NULL);
  g_autofree char *json = err ? brain_error_json(err) : NULL;
  if (g_strcmp0(GET(b, Host, HOST, host)->stays, json))
    text_set(&EDIT(b, Host, HOST, host)->stays, json);
}

static void host_leave(Brain *b, const char *host)
{
  const Fleet *f = ledger_fleet(b);
  g_autoptr(GArray) stays = NULL, waits = waits_new();
  g_autoptr(GArray) moves = plan_leave_host_partly(f, fleet_find_host(f, host), &stays), ways = ways_new(f, moves);
  waits_add_claims(b, f, stays, waits);
  for (guint i = 0; i < ways->len; i++) {
    const Way *way = &g_array_index(ways, Way, i);
    const Rest *rest = rest_of(b, way->desktop);
    const char *task;
    g_autoptr(GError) refused = NULL;
    if (rest) {
      wait_rests(waits, way->desktop, rest);
      continue;
    }
    if (!migrate_is_full(b, host))
      migrate_begin(b, way->desktop, way->to, NULL, &task, &refused);
    wait_begun(b, waits, way->desktop, host, refused);
  }
  waits_note(b, host, waits);
}

/* ── all of them ──────────────────────────────────────────────────────────── */

void leaving_go_on(Brain *b)
{
  if (b->leaving_us > b->now_us)
    return;
  b->leaving_us = INT64_MAX;
  g_autoptr(GPtrArray) names = names_copy(state_names(b->state, NOUN_HOST));
  for (guint i = 0; i < names->len; i++) {
    if (!is_leaving(GET(b, Host, HOST, names->pdata[i])))
      continue;
    host_leave(b, names->pdata[i]);
    b->leaving_us = b->now_us + LOOK_EVERY_S * SECOND_US;
  }
}

void host_leave_begin(Brain *b, const char *host)
{
  Host *h = EDIT(b, Host, HOST, host);
  h->leaving = true;
  leaving_look_soon(b);
}

void host_leave_end(Brain *b, const char *host)
{
  const Host *h = GET(b, Host, HOST, host);
  if (!h->leaving && !h->stays)
    return;
  Host *stays = EDIT(b, Host, HOST, host);
  stays->leaving = false;
  text_set(&stays->stays, NULL);
}

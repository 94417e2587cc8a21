/* Moves that free a host or make room: the engine's plans over the fleet that is kept, with what live migration cannot move and why. They are told,
 * and begun where that was asked for. */
#include <string.h>

#include "core/ledger.h"
#include "core/placing.h"

enum { LOOKED_MOST = 2000, NAMED_MOST = 8, MOVES_MOST = 1000, STAYS_BYTES = 360 };

/* ── what stays ───────────────────────────────────────────────────────────── */

static const char *const stay_names[N_STAYS] = {
#define X(name, wire, reason) [name] = wire,
  STAYS(X)
#undef X
};

/* Rules of templates that keep guests off their host; where one is waived, they are on it. */
static const char *const tying_rules[] = { "host-device", "filesystem", "shared-memory", "lease", "disk-block", "device-unknown" };

static const char *tying_rule(Brain *b, const Desktop *d)
{
  const TemplateVersion *t = GET(b, TemplateVersion, TEMPLATE, d->template);
  for (size_t i = 0; t && t->waive && i < G_N_ELEMENTS(tying_rules); i++)
    if (g_strv_contains((const char *const *)t->waive, tying_rules[i]))
      return tying_rules[i];
  return NULL;
}

static bool disk_is_local(Brain *b, const Desktop *d)
{
  const Storage *storage = GET(b, Storage, STORAGE, d->storage);
  return !storage || (storage->hosts && g_strv_length(storage->hosts) < 2);
}

/* Those of KVM and QEMU can be asked how far they are, and stopped. */
static const Host *host_of_no_kind(Brain *b, const Desktop *d)
{
  const Host *host = GET(b, Host, HOST, d->host);
  return host && host->virt_type && strcmp(host->virt_type, "kvm") && strcmp(host->virt_type, "qemu") ? host : NULL;
}

static const Host *host_away(Brain *b, const Desktop *d)
{
  const Host *host = GET(b, Host, HOST, d->host);
  bool there = host && (host->state == HOST_UP || host->state == HOST_DRAINING || host->state == HOST_MAINTENANCE);
  return there ? NULL : host;
}

Stay desktop_stay(Brain *b, const Desktop *d)
{
  if (d->state == DESKTOP_RETIRING)
    return STAY_RETIRING;
  if (d->gpus)
    return STAY_CARD;
  if (tying_rule(b, d))
    return STAY_DEVICE;
  if (disk_is_local(b, d))
    return STAY_DISK;
  if (d->cell != CELL_ANY)
    return STAY_CELL;
  if (host_of_no_kind(b, d))
    return STAY_KIND;
  if (host_away(b, d))
    return STAY_HOST;
  if (d->task)
    return STAY_TASK;
  return d->power == POWER_ON || d->power == POWER_SUSPENDED ? STAY_NOT : STAY_STATE;
}

bool stay_is_for_good(Stay stay)
{
  return stay != STAY_NOT && stay < STAY_HOST;
}

GError *fix_error(const Fleet *f, const Fix *fix, int64_t now_us)
{
  ClaimTerms terms;
  if (fix->kind != FIX_MOVE || !claim_find(f, fix->claim, NULL, &terms, NULL))
    return explain_fix_error(f, fix, now_us);
  GError *err = NULL;
  g_autofree char *desktop = ledger_desktop(terms.tag);
  error_set(&err, REASON_PLACE_FIX_MOVE, "claim", desktop, "host", fleet_host_name(f, fix->host), "to", fleet_host_name(f, fix->to.host), NULL);
  return err;
}

/* "nvidia-558, nvidia-558": what it has claimed; owned by the caller. */
static char *parts_text(Brain *b, const Desktop *d)
{
  g_autoptr(GPtrArray) names = state_desktop_claims(b->state, d->head.name);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < names->len; i++)
    g_string_append_printf(text, "%s%s", i ? ", " : "", GET(b, Vgpu, VGPU, names->pdata[i])->type);
  return g_string_free(text, FALSE);
}

GError *stay_error(Brain *b, Stay stay, const Desktop *d, const char *host)
{
  static const Reason reasons[N_STAYS] = {
#define X(name, wire, reason) [name] = REASON_##reason,
    STAYS(X)
#undef X
  };
  GError *err = NULL;
  if (!d) {
    error_set(&err, reasons[stay], "host", host, NULL);
    return err;
  }
  const char *rule = tying_rule(b, d);
  const Host *away = host_away(b, d), *on = GET(b, Host, HOST, d->host);
  const char *state = stay == STAY_HOST && away ? host_state_name(away->state) : power_state_name(d->power);
  g_autofree char *parts = parts_text(b, d), *vcpus = g_strdup_printf("%d", (int)d->vcpus), *memory = g_strdup_printf("%d", (int)d->memory_mib);
  error_set(&err, reasons[stay], "host", host, "parts", *parts ? parts : d->gpu_class, "template", d->template, "rule", rule ? rule : "", "storage",
            d->storage, "kind", on && on->virt_type ? on->virt_type : "", "state", state, "task",
            d->task ? d->task : "", "to", d->moving ? d->moving : "", "vcpus", vcpus, "memory", memory, NULL);
  return err;
}

/* Those that stay for one reason. */
typedef struct {
  Stay stay;
  int n;
  GError *why;       /* of the first */
  char *text;        /* that, as it is told */
  json_t *desktops;  /* some of them */
} Group;

static void group_clear(void *data)
{
  Group *g = data;
  g_clear_error(&g->why);
  g_free(g->text);
  json_decref(g->desktops);
}

GArray *waits_new(void)
{
  GArray *groups = g_array_new(FALSE, FALSE, sizeof(Group));
  g_array_set_clear_func(groups, group_clear);
  return groups;
}

static Group *group_of(GArray *groups, Stay stay, const GError *why)
{
  g_autofree char *text = error_text(why, LANG_EN);
  for (guint i = 0; i < groups->len; i++) {
    Group *g = &g_array_index(groups, Group, i);
    if (g->stay == stay && !strcmp(text, g->text))
      return g;
  }
  Group fresh = { stay, 0, g_error_copy(why), g_steal_pointer(&text), json_array() };
  g_array_append_val(groups, fresh);
  return &g_array_index(groups, Group, groups->len - 1);
}

void wait_add(GArray *waits, Stay stay, const GError *why, const char *desktop)
{
  Group *g = group_of(waits, stay, why);
  if (desktop && json_array_size(g->desktops) < NAMED_MOST)
    json_array_append_new(g->desktops, json_string(desktop));
  g->n++;
}

/* A claim that cannot go; nowhere: it could, were there room for it. */
static void stay_add(Brain *b, const Fleet *f, ClaimId id, GArray *groups, bool nowhere)
{
  ClaimTerms terms;
  Place place;
  if (!claim_find(f, id, &place, &terms, NULL) || (terms.movable && !nowhere))
    return;
  g_autofree char *name = ledger_desktop(terms.tag);
  const char *host = fleet_host_name(f, place.host);
  const Desktop *d = terms.tag ? GET(b, Desktop, DESKTOP, name) : NULL;
  Stay stay = terms.movable ? STAY_NOWHERE : !terms.tag ? STAY_FOREIGN : d ? desktop_stay(b, d) : STAY_GONE;
  if (d && d->moving && !g_strcmp0(d->host, host))
    stay = STAY_WAY;
  if (stay == STAY_NOT)
    stay = STAY_CARD; /* a part of a card that it is letting go of */
  g_autoptr(GError) why = stay_error(b, stay, d, host);
  wait_add(groups, stay, why, terms.tag ? name : NULL);
}

void waits_add_claims(Brain *b, const Fleet *f, const GArray *claims, GArray *waits)
{
  for (guint i = 0; i < claims->len; i++)
    stay_add(b, f, g_array_index(claims, ClaimId, i), waits, true);
}

static void group_tell(GString *text, const Group *g)
{
  json_t *name;
  size_t i;
  if (text->len > STAYS_BYTES) {
    g_string_append(text, g_str_has_suffix(text->str, "; …") ? "" : "; …");
    return;
  }
  g_string_append(text, text->len ? "; " : "");
  json_array_foreach(g->desktops, i, name)
    g_string_append_printf(text, "%s%s", i ? ", " : "", json_string_value(name));
  g_string_append_printf(text, "%s%s%s", g->n > (int)json_array_size(g->desktops) && i ? ", …" : "", i ? ": " : "", g->text);
}

static int compare_groups(const void *a, const void *b)
{
  const Group *x = a, *y = b;
  return x->stay != y->stay ? (int)x->stay - (int)y->stay : strcmp(x->text, y->text);
}

char *waits_text(GArray *waits, int *ret_n)
{
  GString *text = g_string_new(NULL);
  g_array_sort(waits, compare_groups);
  *ret_n = 0;
  for (guint i = 0; i < waits->len; i++) {
    const Group *g = &g_array_index(waits, Group, i);
    *ret_n += g->stay == STAY_FOREIGN || g->stay == STAY_GONE ? 0 : g->n;
    group_tell(text, g);
  }
  return g_string_free(text, FALSE);
}

/* How many of them that word is said of, or (N_STAYS) any but that they are on their way. */
static int count_of(const GArray *groups, Stay stay)
{
  int n = 0;
  for (guint i = 0; i < groups->len; i++) {
    const Group *g = &g_array_index(groups, Group, i);
    n += (stay == N_STAYS ? g->stay != STAY_WAY : g->stay == stay) ? g->n : 0;
  }
  return n;
}

/* What no plan moves, of the first claims of all hosts. */
static void stays_of_all(Brain *b, const Fleet *f, GArray *groups)
{
  int looked = 0;
  for (int h = 0; h < fleet_hosts(f) && looked < LOOKED_MOST; h++)
    for (ClaimId id = claim_first(f, h); id.number >= 0 && looked < LOOKED_MOST; id = claim_next(f, id), looked++)
      stay_add(b, f, id, groups, false);
}

/* ── in JSON ──────────────────────────────────────────────────────────────── */

static json_t *error_json(const GError *why)
{
  g_autofree char *text = brain_error_json(why);
  return json_loads(text, 0, NULL);
}

static json_t *stays_json(const GArray *groups)
{
  json_t *list = json_array();
  for (guint i = 0; i < groups->len; i++) {
    const Group *g = &g_array_index(groups, Group, i);
    if (g->stay == STAY_WAY)
      continue;
    json_array_append_new(list, json_pack("{s:i, s:s, s:O, s:o}", "n", g->n, "kind", stay_names[g->stay], "desktops", g->desktops, "reason",
                                          error_json(g->why)));
  }
  return list;
}

static void moves_json(json_t *out, const Fleet *f, const GArray *moves)
{
  json_t *list = json_array();
  int64_t memory_mib = 0;
  for (guint i = 0; moves && i < moves->len; i++) {
    const Move *m = &g_array_index(moves, Move, i);
    g_autofree char *desktop = ledger_desktop(m->tag);
    memory_mib += m->cost_mib;
    if (i < MOVES_MOST)
      json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "desktop", desktop, "from", fleet_host_name(f, m->from), "to",
                                            fleet_host_name(f, m->to.host), "memory_mib", (json_int_t)m->cost_mib));
  }
  json_object_set_new(out, "moves_in_all", json_integer(moves ? moves->len : 0));
  json_object_set_new(out, "memory_mib", json_integer(memory_mib));
  json_object_set_new(out, "moves", list);
}

/* refused: why the goal is not reached, or NULL. */
static json_t *rebalance_json(const char *goal, const Fleet *f, const GArray *moves, const GArray *groups, const GError *refused)
{
  json_t *out = json_pack("{s:s, s:b}", "goal", goal, "reached", !refused);
  moves_json(out, f, moves);
  json_object_set_new(out, "stays", stays_json(groups));
  json_object_set_new(out, "under_way", json_integer(count_of(groups, STAY_WAY)));
  if (refused)
    json_object_set_new(out, "reason", error_json(refused));
  return out;
}

/* ── the goals ────────────────────────────────────────────────────────────── */

/* What leaves host, of f: all that can, or (whole) nothing where not all can. NULL then. */
static json_t *leave_json(Brain *b, const Fleet *f, const char *goal, int host, bool whole)
{
  const char *name = fleet_host_name(f, host);
  g_autoptr(GArray) stays = NULL, groups = waits_new();
  g_autoptr(GArray) moves = plan_leave_host_partly(f, host, &stays);
  g_autoptr(GError) refused = NULL;
  waits_add_claims(b, f, stays, groups);
  int bound = count_of(groups, N_STAYS);
  g_autofree char *n = g_strdup_printf("%d", bound);
  if (bound)
    error_set(&refused, REASON_MOVE_STAYS, "host", name, "n", n, NULL);
  if (refused && whole)
    return NULL;
  json_t *out = rebalance_json(goal, f, moves, groups, refused);
  json_object_set_new(out, "host", json_string(name));
  return out;
}

static json_t *free_host(Brain *b, const Fleet *f, const char *name, GError **err)
{
  int host = fleet_find_host(f, name);
  return host >= 0 ? leave_json(b, f, "host", host, false) : error_null(err, REASON_NOT_FOUND, "kind", "host", "name", name, NULL);
}

/* Somebody has begun to empty it: desktops are on their way from it, and not to make room for others. */
static bool is_being_left(Brain *b, const char *host)
{
  if (!g_hash_table_contains(b->moves, host))
    return false;
  g_autoptr(GPtrArray) names = state_host_desktops(b->state, host);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = GET(b, Desktop, DESKTOP, names->pdata[i]);
    const Task *task = d->moving && d->task ? GET(b, Task, TASK, d->task) : NULL;
    if (task && task->kind == TASK_MIGRATE && !task->room_for)
      return true;
  }
  return false;
}

/* A host that is being emptied stays the goal until it is: while some of its desktops are on their way another one would look cheaper, and in the
 * end none would be free. NULL = there is no such host, or not all that is left there can go. */
static json_t *free_goal(Brain *b, const Fleet *f)
{
  g_autoptr(Fleet) used = plan_used_hosts(f);
  for (int h = 0; h < fleet_hosts(f); h++) {
    const Host *host = GET(b, Host, HOST, fleet_host_name(f, h));
    bool drained = host && host->leaving && host->state == HOST_DRAINING;
    json_t *out = drained ? leave_json(b, f, "any-host", h, false)
                  : host && is_being_left(b, host->head.name) ? leave_json(b, used, "any-host", h, true)
                                                               : NULL;
    if (out)
      return out;
  }
  return NULL;
}

static json_t *free_any(Brain *b, const Fleet *f)
{
  json_t *going = free_goal(b, f);
  if (going)
    return going;
  g_autoptr(GError) refused = NULL;
  g_autoptr(GArray) moves = plan_free_a_host(f, &refused), groups = waits_new();
  int host = moves && moves->len ? g_array_index(moves, Move, 0).from : plan_empty_host(f);
  if (!moves && host >= 0) { /* no other one can be emptied without filling it */
    g_clear_error(&refused);
    moves = g_array_new(FALSE, FALSE, sizeof(Move));
  }
  if (refused)
    stays_of_all(b, f, groups);
  json_t *out = rebalance_json("any-host", f, moves, groups, refused);
  if (host >= 0)
    json_object_set_new(out, "host", json_string(fleet_host_name(f, host)));
  return out;
}

/* The one with fewer, the first of equals; the other is given up. Either may be NULL. */
static GArray *fewer_moves(GArray *take_first, GArray *take_second)
{
  bool second = take_second && (!take_first || take_second->len < take_first->len);
  GArray *kept = second ? take_second : take_first, *rest = second ? take_first : take_second;
  g_clear_pointer(&rest, g_array_unref);
  return kept;
}

GArray *room_moves(const Fleet *f, GPtrArray *classes, const MoveRule *rule, GError **ret_refused)
{
  GArray *best = NULL;
  for (guint i = 0; i < classes->len && !(best && !best->len); i++) {
    g_autoptr(GError) why = NULL;
    GArray *moves = plan_make_room(f, classes->pdata[i], rule, &why);
    if (!moves && !*ret_refused)
      *ret_refused = g_steal_pointer(&why);
    best = fewer_moves(best, moves);
  }
  if (best)
    g_clear_error(ret_refused);
  return best;
}

/* The part of a card alone, without CPUs or memory. */
static GPtrArray *part_classes(Fleet *f, const char *profile, GError **err)
{
  Demand d = { .gpu = { .count = 1, .profile = profile }, .policy = policy_of(POLICY_FRAGMENTS) };
  DemandClass *class = demand_class(f, &d, err);
  GPtrArray *classes = class ? g_ptr_array_new_with_free_func((GDestroyNotify)demand_class_unref) : NULL;
  if (class)
    g_ptr_array_add(classes, class);
  return classes;
}

static json_t *make_room(Brain *b, Fleet *f, const Pool *pool, const char *profile, GError **err)
{
  Wish w = { 0 };
  if (pool && !wish_of(b, pool, &w, err))
    return NULL;
  if (pool && profile && !w.class) {
    error_set(err, REASON_BAD_VALUE, "field", "profile", "value", profile, "limit", "for a pool with a GPU class", NULL);
    return NULL;
  }
  w.profile = profile;
  g_autoptr(GPtrArray) classes = pool ? wish_classes(b, f, &w, err) : part_classes(f, profile, err);
  if (!classes)
    return NULL;
  g_autoptr(GError) refused = NULL;
  g_autoptr(GArray) moves = room_moves(f, classes, NULL, &refused), groups = waits_new();
  if (refused)
    stays_of_all(b, f, groups);
  json_t *out = rebalance_json("room", f, moves, groups, refused);
  if (pool)
    json_object_set_new(out, "pool", json_string(pool->head.name));
  if (profile)
    json_object_set_new(out, "profile", json_string(profile));
  return out;
}

/* ── making the moves ─────────────────────────────────────────────────────── */

static void way_clear(void *way)
{
  g_free(((Way *)way)->desktop);
  g_free(((Way *)way)->to);
}

GArray *ways_new(const Fleet *f, const GArray *moves)
{
  GArray *ways = g_array_new(FALSE, FALSE, sizeof(Way));
  g_array_set_clear_func(ways, way_clear);
  for (guint i = 0; i < moves->len; i++) {
    const Move *m = &g_array_index(moves, Move, i);
    Way way = { ledger_desktop(m->tag), g_strdup(fleet_host_name(f, m->to.host)) };
    g_array_append_val(ways, way);
  }
  return ways;
}

/* In their order, as many as the hosts take now; each is asked for afresh, and one that is not begun says why. */
static void moves_begin(Brain *b, json_t *plan, const char *user)
{
  int begun = 0;
  size_t i;
  json_t *move;
  json_array_foreach(json_object_get(plan, "moves"), i, move) {
    g_autoptr(GError) why = NULL;
    const char *task, *name = json_string_value(json_object_get(move, "desktop"));
    if (migrate_begin(b, name, json_string_value(json_object_get(move, "to")), user, &task, &why)) {
      json_object_set_new(move, "task", json_string(task));
      begun++;
    } else {
      json_object_set_new(move, "reason", error_json(why));
    }
  }
  json_object_set_new(plan, "begun", json_integer(begun));
}

bool verb_host_rebalance(Brain *b, const Request *r, Answer *a, GError **err)
{
  const char *host = request_text(r, "host"), *pool = request_text(r, "pool"), *profile = request_text(r, "profile");
  const Pool *of = NULL;
  bool apply = json_is_true(json_object_get(r->body, "apply"));
  if (apply && !(ALLOW_OPS & 1u << r->caller.role)) /* viewers are told the plan alone */
    return error_false(err, REASON_DENIED, "verb", "rebalance", "noun", "host", "role", role_name(r->caller.role), NULL);
  if (host && (pool || profile))
    return error_false(err, REASON_BAD_VALUE, "field", "host", "value", host, "limit", "alone: a host to be free, or room for a pool or a profile",
                       NULL);
  if (pool && !(of = NEED(b, Pool, POOL, pool, err)))
    return false;
  Fleet *f = ledger_fleet(b);
  json_auto_t *json = host ? free_host(b, f, host, err) : of || profile ? make_room(b, f, of, profile, err) : free_any(b, f);
  if (json && apply)
    moves_begin(b, json, r->caller.user);
  a->json = json ? json_dumps(json, JSON_COMPACT) : NULL;
  a->status = 200;
  return json;
}

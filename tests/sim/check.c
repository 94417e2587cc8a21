/* What must hold, whatever happens. Each has a name, which is what a failing seed says first. */
#include "core/brain_parts.h"
#include "core/ledger.h"
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { CALM_AFTER_S = 150 };

#define LIVE(s, Type, NOUN, name) ((const Type *)((name) ? brain_find((s)->brain, NOUN_##NOUN, name) : NULL))

typedef void (*EachFn)(Sim *s, const Object *object);

static void each(Sim *s, Noun noun, EachFn fn)
{
  g_autoptr(GPtrArray) names = brain_names(s->brain, noun);
  for (guint i = 0; i < names->len; i++)
    fn(s, brain_find(s->brain, noun, names->pdata[i]));
}

/* ── people and disks ─────────────────────────────────────────────────────── */

static uint32_t bit_of(Sim *s, const char *user)
{
  for (int i = 0; user && i < PEOPLE; i++)
    if (!strcmp(s->people[i].name, user))
      return 1u << i;
  return 0;
}

static const char *stranger(Sim *s, uint32_t bits)
{
  return s->people[__builtin_ctz(bits)].name;
}

/* From before a restore: a backup knows nothing of what became of it since. */
static bool is_doubtful(Sim *s, const Desktop *d)
{
  return g_ascii_strtoll(d->head.name + 2, NULL, 10) < LIVE(s, Controller, CONTROLLER, "controller")->doubtful;
}

static void check_disk(Sim *s, const Desktop *d, const char *holder)
{
  SimDomain *domain = world_domain_of(s, d->head.name, host_index(d->host));
  if (!domain || domain->power == POWER_OFF || !domain->disk)
    return;
  if (is_doubtful(s, d) && domain->clone != d->clone)
    return; /* nobody is let in: the driver looks at the mark, and the host's next word quarantines it */
  uint32_t others = domain->disk->writers & ~bit_of(s, holder) & ~bit_of(s, d->owner);
  if (others && d->state != DESKTOP_LOST)
    broken(s, "a desktop handed out holds no disk that another person wrote to", "%s (%s, for %s) runs on %s, where %s wrote", d->head.name,
           desktop_state_name(d->state), holder ? holder : "anybody", domain->disk->name, stranger(s, others));
}

static void check_mac(Sim *s, const Desktop *d)
{
  const char *had = d->mac ? g_hash_table_lookup(s->macs, d->mac) : "nobody", *before = g_hash_table_lookup(s->macs, d->head.name);
  if (!had && !before) {
    if (!STORED(s, Desktop, DESKTOP, d->head.name))
      return; /* nobody outside knows of it yet, and a crash forgets it */
    g_hash_table_insert(s->macs, g_strdup(d->mac), g_strdup(d->head.name));
    g_hash_table_insert(s->macs, g_strdup(d->head.name), g_strdup(d->mac));
  } else if (g_strcmp0(had, d->head.name) || g_strcmp0(before, d->mac)) {
    broken(s, "a network address is one desktop's, for life", "%s has %s, as %s had", d->head.name, d->mac, had);
  }
}

static void check_kept(Sim *s, const Desktop *d)
{
  g_autofree char *disk = desktop_disk_volume(d->head.name, d->clone);
  if (!is_doubtful(s, d) && !world_has_volume(s, disk))
    broken(s, "what is quarantined is kept", "%s has no disk any more", d->head.name);
}

static bool is_migrating(Sim *s, const Desktop *d)
{
  const Task *task = LIVE(s, Task, TASK, d->task);
  return task && task->kind == TASK_MIGRATE;
}

/* Whatever moves, dies, comes back or is told late. */
static void check_alone(Sim *s, const Desktop *d)
{
  const SimDomain *first = NULL;
  if (is_doubtful(s, d))
    return; /* it may have been moved since the backup, to a host that did not answer since */
  for (guint i = 0; i < s->domains->len; i++) {
    const SimDomain *other = s->domains->pdata[i];
    if (other->power != POWER_ON || strcmp(other->desktop, d->head.name))
      continue;
    if (first)
      broken(s, "a desktop runs on one host at most", "%s runs on h%d and on h%d", d->head.name, first->host + 1, other->host + 1);
    first = other;
  }
}

static void check_available(Sim *s, const Desktop *d)
{
  if (is_migrating(s, d))
    return; /* nobody gets it before it is known where it is, and how */
  if (d->session || d->task || (d->touched && !d->owner))
    broken(s, "what is available is free and clean", "%s has session %s, task %s, touched %d", d->head.name, d->session, d->task, d->touched);
  if (d->power != POWER_ON)
    broken(s, "what is available is on", "%s is %s", d->head.name, power_state_name(d->power));
  const Host *host = LIVE(s, Host, HOST, d->host);
  if (host->state == HOST_UNREACHABLE || host->state == HOST_FENCED)
    broken(s, "nothing on a lost host is available", "%s on %s", d->head.name, d->host);
}

/* What desktops and running tasks hold of the hosts. */
typedef struct {
  int64_t starting, memory_mib, huge_mib, vcpus;
  int64_t cell_vcpus[N_NUMA_CELLS];
} Claims;

static Claims claims[HOSTS];

static void claim_count(Sim *s, const Desktop *d, const char *host, NumaCell cell)
{
  const TemplateVersion *t = LIVE(s, TemplateVersion, TEMPLATE, d->template);
  Claims *c = &claims[host_index(host)];
  *(t && t->huge_pages ? &c->huge_mib : &c->memory_mib) += d->memory_mib;
  c->vcpus += d->vcpus;
  c->cell_vcpus[cell] += d->vcpus;
}

static void check_desktop(Sim *s, const Object *object)
{
  const Desktop *d = (const Desktop *)object;
  claim_count(s, d, d->host, d->cell);
  if (d->moving)
    claim_count(s, d, d->moving, CELL_ANY);
  check_alone(s, d);
  check_mac(s, d);
  const Session *session = LIVE(s, Session, SESSION, d->session);
  if (d->session && (!session || !session_state_is_live(session->state) || g_strcmp0(session->desktop, d->head.name)))
    broken(s, "one live session a desktop, one desktop a session", "%s names %s", d->head.name, d->session);
  if (d->state == DESKTOP_AVAILABLE)
    check_available(s, d);
  if (d->state == DESKTOP_QUARANTINED)
    check_kept(s, d);
  if ((d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED) && !d->session && !d->owner && !is_migrating(s, d))
    broken(s, "what is assigned is somebody's", "%s is %s and nobody's", d->head.name, desktop_state_name(d->state));
  const Task *task = LIVE(s, Task, TASK, d->task);
  if (d->task && (!task || task_state_is_final(task->state)))
    broken(s, "a desktop's task is one that works", "%s names %s", d->head.name, d->task);
  if (session || d->state == DESKTOP_AVAILABLE)
    check_disk(s, d, session ? session->user : NULL);
}

static void check_session(Sim *s, const Object *object)
{
  const Session *session = (const Session *)object;
  if (!session_state_is_live(session->state))
    return;
  const Desktop *d = LIVE(s, Desktop, DESKTOP, session->desktop);
  if (!d || g_strcmp0(d->session, session->head.name))
    broken(s, "one live session a desktop, one desktop a session", "%s holds %s, which names %s", session->head.name, session->desktop,
           d ? d->session : "nothing: it is gone");
  bool there = (d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED) && d->power == POWER_ON;
  if (session->take_by && session->prepared && session->take_by <= s->now_us && session->state != SESSION_CONNECTING)
    broken(s, "what nobody takes in time is offered to the next", "%s is %s, and should have been taken", session->head.name,
           session_state_name(session->state));
  if (session->ends && session->ends <= s->now_us)
    broken(s, "a session ends when its time is over", "%s is %s", session->head.name, session_state_name(session->state));
  if (session->state == SESSION_ACTIVE && session->warns && session->warns <= s->now_us)
    broken(s, "who sits at a desktop is warned before the time is over", "%s is active", session->head.name);
  if (session->ready && !there)
    broken(s, "a session is ready only while its desktop is on", "%s is ready, %s is %s and %s", session->head.name, d->head.name,
           desktop_state_name(d->state), power_state_name(d->power));
}

/* ── tasks and places ─────────────────────────────────────────────────────── */

static void check_failed(Sim *s, const Task *t)
{
  bool calm = s->quiet && t->head.created_us > s->quiet_us + CALM_AFTER_S * SECOND_US;
  bool full = t->error && strstr(t->error, "\"no-gpu\""); /* others took the room while its card was away */
  bool kept = t->error && strstr(t->error, GPU_HELD_UNKNOWN); /* nobody may end that guest: the start says so, and from then on the look at the part */
  if (calm && t->kind != TASK_POWER && !full && !kept)
    broken(s, "in a calm world no task fails", "%s (%s of %s) failed at %s: %s", t->head.name, task_kind_name(t->kind), t->object, t->step, t->error);
}

static void check_task(Sim *s, const Object *object)
{
  const Task *t = (const Task *)object;
  if (t->state == TASK_FAILED)
    check_failed(s, t);
  if (task_state_is_final(t->state))
    return;
  const Desktop *d = LIVE(s, Desktop, DESKTOP, t->object);
  if (!d || g_strcmp0(d->task, t->head.name))
    broken(s, "one task a desktop", "%s works on %s, which names %s", t->head.name, t->object, d ? d->task : "nothing: it is gone");
  bool starts = t->kind == TASK_PROVISION || t->kind == TASK_RESET || t->kind == TASK_RECOVER;
  if (starts && t->state != TASK_PENDING)
    claims[host_index(d->host)].starting++;
}

static void check_host(Sim *s, const Object *object)
{
  const Host *h = (const Host *)object;
  if (h->drain && h->state == HOST_UP)
    broken(s, "a host that is to be emptied takes nothing new", "%s is up", h->head.name);
  const Claims *c = &claims[host_index(h->head.name)];
  if (c->starting > h->starts)
    broken(s, "no more starts at a time than a host takes", "%s: %d of %d", h->head.name, (int)c->starting, (int)h->starts);
  if (c->memory_mib > h->memory_mib || c->vcpus > h->vcpus)
    broken(s, "claims add up to no more than a host has", "%s: %d of %d MiB", h->head.name, (int)c->memory_mib, (int)h->memory_mib);
  if (c->huge_mib > h->huge_mib)
    broken(s, "huge pages are no more than a host has", "%s: %d of %d MiB", h->head.name, (int)c->huge_mib, (int)h->huge_mib);
  for (int cell = CELL_0; cell < N_NUMA_CELLS; cell++)
    if (c->cell_vcpus[cell] > h->vcpus / 2)
      broken(s, "no cell has more than its half", "%s: %d of %d vCPUs in %s", h->head.name, (int)c->cell_vcpus[cell], (int)h->vcpus / 2,
             numa_cell_name(cell));
}

/* ── pools ────────────────────────────────────────────────────────────────── */

static int64_t number_of(const char *name) { return g_ascii_strtoll(name + 2, NULL, 10); }

static const char *const pools[POOLS] = { "cad", "web", "own" };

/* Of a pool: its desktops that are or will be of use; those that wait for their owner, which nobody may take away; the number of the newest. */
typedef struct {
  int standing, owned;
  int64_t newest;
} PoolSum;

static void pools_sum(Sim *s, PoolSum sums[POOLS])
{
  g_autoptr(GPtrArray) names = brain_names(s->brain, NOUN_DESKTOP);
  memset(sums, 0, POOLS * sizeof *sums);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = LIVE(s, Desktop, DESKTOP, names->pdata[i]);
    int pool = 0;
    while (strcmp(d->pool, pools[pool]))
      pool++;
    sums[pool].newest = MAX(sums[pool].newest, number_of(d->head.name));
    sums[pool].standing += d->state <= DESKTOP_RESETTING || d->state == DESKTOP_LOST;
    sums[pool].owned += d->state <= DESKTOP_RESETTING && d->owner;
  }
}

void check_growth(Sim *s)
{
  int64_t newest = s->newest_desktop;
  PoolSum sums[POOLS];
  pools_sum(s, sums);
  for (int i = 0; i < POOLS; i++) {
    const Pool *pool = LIVE(s, Pool, POOL, pools[i]);
    if (sums[i].newest > s->newest_desktop && sums[i].standing > MAX(pool->max, s->pool_max[i]))
      broken(s, "a pool does not grow beyond its maximum", "%s has %d of %d", pools[i], sums[i].standing, (int)pool->max);
    s->pool_max[i] = pool->max;
    newest = MAX(newest, sums[i].newest);
  }
  s->newest_desktop = newest;
}

void check_state(Sim *s)
{
  memset(claims, 0, sizeof claims);
  each(s, NOUN_DESKTOP, check_desktop);
  each(s, NOUN_SESSION, check_session);
  each(s, NOUN_TASK, check_task);
  each(s, NOUN_HOST, check_host);
  check_reserved(s);
}

/* ── what is durable ──────────────────────────────────────────────────────── */

static void check_same(Sim *s, Noun noun, const char *name)
{
  const Object *here = brain_find(s->brain, noun, name), *there = store_find(s, noun, name);
  if (here && there && object_is_same(here, there))
    return;
  g_autofree char *a = here ? object_text(here) : g_strdup("nothing");
  g_autofree char *b = there ? object_text(there) : g_strdup("nothing");
  broken(s, "replaying the store gives the same state", "%s %s is %s, in the store %s", schemas[noun].noun, name, a, b);
}

void check_durable(Sim *s)
{
  for (Noun n = 0; n < N_NOUNS; n++) {
    g_autoptr(GPtrArray) here = brain_names(s->brain, n);
    for (guint i = 0; i < here->len; i++)
      check_same(s, n, here->pdata[i]);
    g_autoptr(GPtrArray) there = sorted_names(s->store.live[n]);
    for (guint i = 0; i < there->len; i++)
      check_same(s, n, there->pdata[i]);
  }
}

/* What placement counts on, kept up to now, is what the objects would make of it from nothing. */
void check_fleet(Sim *s)
{
  g_autofree char *kept = ledger_text(s->brain, false), *anew = ledger_text(s->brain, true);
  if (strcmp(kept, anew))
    broken(s, "the fleet that is kept is the fleet that is", "kept:\n%s\nanew:\n%s", kept, anew);
}

/* While people come and go, something is written each minute, and old history goes with it. */
void check_past(Sim *s)
{
  enum { LATE_S = 180 };
  for (Noun n = 0; n < N_NOUNS; n++) {
    g_autoptr(GPtrArray) numbers = store_past(s, n);
    for (guint i = 0; i + 1 < numbers->len; i++) {
      int64_t age_us = s->now_us - *(int64_t *)g_hash_table_lookup(s->store.past[n], numbers->pdata[i]);
      if (age_us > store_keep_us(n) + LATE_S * SECOND_US)
        broken(s, "history that is old enough goes", "%s %d is %d s old", schemas[n].noun, (int)*(int64_t *)numbers->pdata[i], (int)(age_us / SECOND_US));
    }
  }
}

void check_answer(Sim *s, const Answer *a)
{
  if (!a->object)
    return;
  const Object *there = store_find(s, a->noun, a->object->name);
  g_autofree char *key = g_strdup_printf("%d/%s", a->noun, a->object->name);
  bool known = there ? there->generation >= a->object->generation : g_hash_table_contains(s->store.gone, key);
  g_autofree char *told = object_text(a->object);
  g_autofree char *kept = there ? object_text(there) : NULL;
  if (!known || (there && there->generation == a->object->generation && strcmp(told, kept)))
    broken(s, "nothing acknowledged is lost", "told %s, kept %s", told, kept);
}

/* ── the end of the calm time: everybody is at work ───────────────────────── */

static void calm_session(Sim *s, const Object *object)
{
  const Session *session = (const Session *)object;
  const Desktop *d = session_state_is_live(session->state) ? LIVE(s, Desktop, DESKTOP, session->desktop) : NULL;
  if (!d || d->task)
    return;
  const SimDomain *domain = world_domain_of(s, d->head.name, host_index(d->host));
  if (!domain || domain->clone != d->clone)
    broken(s, "what somebody has is there, or made again", "%s of %s has no domain on %s", d->head.name, session->head.name, d->host);
  bool without_gpu = d->state == DESKTOP_LOST && d->gpus && d->error; /* theirs to switch off: it gets its parts at its next start */
  if (session->prepared && domain->power == POWER_ON && !session->ready && !without_gpu && d->since < s->now_us - CALM_AFTER_S * SECOND_US)
    broken(s, "who can be let in is let in", "%s is on, %s not ready: %s", d->head.name, session->head.name, session->error);
}

void check_calm(Sim *s)
{
  if (s->brain)
    each(s, NOUN_SESSION, calm_session);
}

/* ── the end: everybody has left, nothing fails any more ──────────────────── */

static void end_task(Sim *s, const Object *object)
{
  const Task *t = (const Task *)object;
  if (!task_state_is_final(t->state))
    broken(s, "in a quiet world every task ends", "%s (%s of %s) is %s at %s: %s", t->head.name, task_kind_name(t->kind), t->object,
           task_state_name(t->state), t->step, t->error);
}

static void end_session(Sim *s, const Object *object)
{
  const Session *session = (const Session *)object;
  if (!session_state_is_final(session->state))
    broken(s, "in a quiet world no session is stuck", "%s of %s is %s", session->head.name, session->user, session_state_name(session->state));
}

static void end_desktop(Sim *s, const Object *object)
{
  const Desktop *d = (const Desktop *)object;
  bool rests = d->state == DESKTOP_AVAILABLE || d->state == DESKTOP_QUARANTINED || (d->state == DESKTOP_ASSIGNED && d->owner);
  if (!rests)
    broken(s, "in a quiet world every desktop comes to rest", "%s of %s is %s", d->head.name, d->pool, desktop_state_name(d->state));
}

static void end_pool(Sim *s, const Object *object)
{
  const Pool *p = (const Pool *)object;
  PoolSum sums[POOLS];
  pools_sum(s, sums);
  int pool = 0;
  while (strcmp(p->head.name, pools[pool]))
    pool++;
  int n = sums[pool].standing, owned = sums[pool].owned;
  int64_t wanted = MIN(MAX(p->min, p->kind == POOL_DEDICATED ? 0 : p->spare), p->max), most = MAX(MIN(MAX(p->min, p->spare + owned), p->max), owned);
  DesktopPlace place;
  if (n < wanted && place_pick(s->brain, p, &place, NULL))
    broken(s, "in a quiet world a pool that lacks desktops has no room", "%s has %d of %d, and %s takes one more: %s", p->head.name, n, (int)wanted,
           place.host->head.name, p->error);
  if (p->state != POOL_READY || n > most || (n < wanted && !p->error))
    broken(s, "in a quiet world pools have their size", "%s is %s with %d (%d owned) of %d to %d", p->head.name, pool_state_name(p->state), n, owned, (int)wanted,
           (int)most);
}

/* Where a host was said to be off to which a desktop had gone, its definition is there when it is back: that is told, and an operator's. */
static bool is_told_elsewhere(Sim *s, const SimDomain *domain)
{
  const char *host = g_hash_table_lookup(s->brain->elsewhere, domain->desktop);
  return domain->power == POWER_OFF && host && !strcmp(host, s->hosts[domain->host].name);
}

static void end_world(Sim *s)
{
  for (guint i = 0; i < s->domains->len; i++) {
    const SimDomain *domain = s->domains->pdata[i];
    const Desktop *d = LIVE(s, Desktop, DESKTOP, domain->desktop);
    if (d && is_told_elsewhere(s, domain))
      continue;
    if (!d || host_index(d->host) != domain->host || d->clone != domain->clone)
      broken(s, "no domain of ours is left behind", "%s of %s on h%d", domain->uuid, domain->desktop, domain->host + 1);
  }
  for (guint i = 0; i < s->volumes->len; i++) {
    const Volume *v = s->volumes->pdata[i];
    const Desktop *d = LIVE(s, Desktop, DESKTOP, v->desktop);
    if (!d || d->clone != v->clone)
      broken(s, "no volume of ours is left behind", "%s", v->name);
  }
  if (s->relays->len)
    broken(s, "relays of ended sessions are cut by the next sync", "%s is open", ((GatewayRelay *)s->relays->pdata[0])->name);
}

static void end_relay(Sim *s, const Object *object)
{
  broken(s, "in a quiet world no relay is left", "%s", object->name);
}

static void end_ticket(Sim *s, const Object *object)
{
  broken(s, "in a quiet world no ticket is left", "%s", object->name);
}

void check_end(Sim *s)
{
  if (!s->brain)
    broken(s, "in a quiet world the controller is up", "it is not");
  each(s, NOUN_TASK, end_task);
  each(s, NOUN_SESSION, end_session);
  each(s, NOUN_DESKTOP, end_desktop);
  each(s, NOUN_POOL, end_pool);
  each(s, NOUN_RELAY, end_relay);
  each(s, NOUN_TICKET, end_ticket);
  end_world(s);
  gpus_check_end(s);
  check_durable(s);
  check_fleet(s);
}

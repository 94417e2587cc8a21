/* Operators, and what befalls hosts. */
#include "tests/sim/sim.h"

#include <string.h>

static void ignored(Sim *s, Answer *a, void *data) {}

static void order(Sim *s, ApiVerb verb, const char *name, const char *body)
{
  runtime_ask(s, ask_new(verb, "root", name, body), ignored, NULL);
}

/* ── what befalls hosts ───────────────────────────────────────────────────── */

static void host_heals(Sim *s, void *host)
{
  SimHost *h = host;
  if (h->health != SIM_UP)
    tell(s, "%s is well again", h->name);
  if (h->health != SIM_UP)
    h->well_us = s->now_us;
  h->health = SIM_UP;
}

static void host_suffers(Sim *s)
{
  SimHost *h = &s->hosts[chance_below(s, HOSTS)];
  if (h->health != SIM_UP)
    return;
  h->health = SIM_SLOW + chance_below(s, 3);
  static const char *what[] = { "is up", "becomes slow", "hangs", "is dead" };
  bool forgets = chance(s, 300);
  tell(s, "%s %s%s", h->name, what[h->health], h->health == SIM_DEAD && forgets ? " and forgets its domains" : "");
  if (h->health == SIM_DEAD)
    world_host_dies(s, host_index(h->name), forgets);
  sim_after(s, haste_ms(s, 5000, 240000), host_heals, h);
}

/* Of the desktops that are somebody's: to the others it befalls by way of their host. */
static void domain_vanishes(Sim *s)
{
  g_autoptr(GPtrArray) held = g_ptr_array_new();
  for (guint i = 0; i < s->domains->len; i++) {
    SimDomain *domain = s->domains->pdata[i];
    const Desktop *d = STORED(s, Desktop, DESKTOP, domain->desktop);
    if (d && d->session && d->clone == domain->clone && s->hosts[domain->host].health == SIM_UP)
      g_ptr_array_add(held, domain);
  }
  bool disk_too = chance(s, 250);
  if (held->len)
    world_domain_vanishes(s, held->pdata[chance_below(s, held->len)], disk_too);
}

/* ── operators ────────────────────────────────────────────────────────────── */

static const char *some(Sim *s, Noun noun)
{
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[noun]);
  return names->len ? names->pdata[chance_below(s, names->len)] : NULL;
}

static void pool_resized(Sim *s, const char *pool)
{
  g_autofree char *body = g_strdup_printf("{'max':%d}", (int)(2 + chance_below(s, 5)));
  order(s, API_POOL_CHANGE, pool, body);
}

/* Only what is known to be off is said to be off. */
static void host_fenced(Sim *s, const char *host)
{
  const Host *h = STORED(s, Host, HOST, host);
  if (h->state == HOST_UNREACHABLE && s->hosts[host_index(host)].health == SIM_DEAD)
    order(s, API_HOST_FENCE, host, NULL);
}

static void some_order(Sim *s)
{
  static const ApiVerb simple[] = { API_HOST_DRAIN, API_HOST_ACTIVATE, API_HOST_ACTIVATE, API_POOL_PAUSE, API_POOL_RESUME, API_POOL_RESUME,
                                    API_DESKTOP_RETIRE, API_DESKTOP_MAINTAIN, API_DESKTOP_MAINTAIN, API_TASK_CANCEL, API_TASK_RETRY, API_SESSION_END };
  int64_t what = chance_below(s, G_N_ELEMENTS(simple) + 4);
  if (what < (int64_t)G_N_ELEMENTS(simple)) {
    const char *name = some(s, api_rows[simple[what]].noun);
    if (name)
      order(s, simple[what], name, NULL);
  } else if (what == G_N_ELEMENTS(simple)) {
    pool_resized(s, some(s, NOUN_POOL));
  } else if (what == G_N_ELEMENTS(simple) + 1) {
    order(s, API_USER_CHANGE, some(s, NOUN_USER), chance(s, 400) ? "{'disabled':true}" : "{'disabled':false}");
  } else if (what == G_N_ELEMENTS(simple) + 2) {
    order(s, API_POOL_CHANGE, some(s, NOUN_POOL), chance(s, 400) ? "{'users':['jihye','minsu','yuna']}" : "{'users':[]}");
  }
}

/* An operator has looked at it. */
static void release_some(Sim *s)
{
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[NOUN_DESKTOP]);
  for (guint i = 0; i < names->len; i++)
    if (STORED(s, Desktop, DESKTOP, names->pdata[i])->state == DESKTOP_QUARANTINED && chance(s, 100))
      order(s, API_DESKTOP_RELEASE, names->pdata[i], "{'reason':'a guest that lies'}");
}

static void attach_again(Sim *s, void *name)
{
  if (!s->quiet && STORED(s, Desktop, DESKTOP, (const char *)name))
    order(s, API_DESKTOP_ATTACH_GPU, name, NULL);
}

static void cancel_some(Sim *s, void *name)
{
  const Desktop *d = STORED(s, Desktop, DESKTOP, (const char *)name);
  if (!s->quiet && d && d->moving && d->task)
    order(s, API_TASK_CANCEL, d->task, NULL);
}

/* To wherever there is room, or to a host that is named; some are called back. */
static void move_some(Sim *s)
{
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[NOUN_DESKTOP]);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = STORED(s, Desktop, DESKTOP, names->pdata[i]);
    if (d->task || d->gpus || d->power != POWER_ON || !chance(s, 60))
      continue;
    g_autofree char *body = g_strdup_printf("{'host':'h%d'}", (int)chance_below(s, HOSTS) + 1);
    order(s, API_DESKTOP_MIGRATE, names->pdata[i], chance(s, 300) ? body : NULL);
    if (chance(s, 150))
      sim_after(s, chance_ms(s, 100, 40000), cancel_some, (void *)g_intern_string(names->pdata[i]));
  }
}

/* Out of what somebody works with, and in again: soon, as others wait for what was freed. */
static void plug_some(Sim *s)
{
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[NOUN_DESKTOP]);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = STORED(s, Desktop, DESKTOP, names->pdata[i]);
    if (!d->gpus || d->power != POWER_ON || !chance(s, 60))
      continue;
    order(s, API_DESKTOP_DETACH_GPU, names->pdata[i], NULL);
    for (int tries = 0; tries < 3; tries++)
      sim_after(s, chance_ms(s, 100, 4000), attach_again, (void *)g_intern_string(names->pdata[i]));
  }
}

/* In haste desktops come and go all the time, and claims with them. */
static void desktops_churn(Sim *s, void *unused)
{
  if (s->quiet)
    return;
  sim_after(s, chance_ms(s, 100, 1500), desktops_churn, NULL);
  g_autoptr(GPtrArray) names = sorted_names(s->store.live[NOUN_DESKTOP]);
  for (guint i = names->len; i-- > 0;) /* one that goes already goes no faster */
    if (STORED(s, Desktop, DESKTOP, names->pdata[i])->state == DESKTOP_RETIRING)
      g_ptr_array_remove_index(names, i);
  if (names->len)
    order(s, API_DESKTOP_RETIRE, names->pdata[chance_below(s, names->len)], NULL);
}

/* One a pool at a time, for some people or for whoever comes; some are taken back. */
static void reserve_some(Sim *s)
{
  const char *pool = chance(s, 500) ? "cad" : "web";
  g_autofree char *name = g_strconcat("r-", pool, NULL);
  const Reservation *there = STORED(s, Reservation, RESERVATION, name);
  int from_s = (int)chance_below(s, 120), lasts_s = 30 + (int)chance_below(s, 300), first = (int)chance_below(s, PEOPLE);
  const char *one = s->people[first].name, *other = s->people[(first + 1) % PEOPLE].name;
  g_autofree char *users = chance(s, 250) ? g_strdup("") : g_strdup_printf("'%s','%s'", one, other);
  g_autofree char *body = g_strdup_printf("{'name':'%s','pool':'%s','count':%d,'lead_s':%d,'from':'%ds','until':'%ds','users':[%s]}", name, pool,
                                          1 + (int)chance_below(s, 2), 1 + (int)chance_below(s, 60), from_s + 1, from_s + lasts_s, users);
  if (!there)
    order(s, API_RESERVATION_ADD, NULL, body);
  else if (chance(s, 300))
    order(s, API_RESERVATION_REMOVE, name, NULL);
  else
    order(s, API_RESERVATION_CHANGE, name, chance(s, 500) ? "{'count':1}" : "{'until':'400s'}");
}

static void staff_act(Sim *s, void *unused)
{
  if (s->quiet)
    return;
  sim_after(s, haste_ms(s, 3000, 40000), staff_act, NULL);
  if (chance(s, 350))
    host_suffers(s);
  else if (chance(s, 200))
    domain_vanishes(s);
  else
    some_order(s);
  release_some(s);
  move_some(s);
  if (chance(s, 300))
    reserve_some(s);
  if (s->has_gpus)
    plug_some(s);
  for (int i = 0; i < HOSTS; i++)
    if (chance(s, 200))
      host_fenced(s, s->hosts[i].name);
}

void staff_start(Sim *s)
{
  sim_after(s, chance_ms(s, 30000, 90000), staff_act, NULL);
  if (s->haste > 1)
    desktops_churn(s, NULL);
}

static void pool_mended(Sim *s, const char *pool)
{
  order(s, API_POOL_RESUME, pool, NULL);
  if (STORED(s, Pool, POOL, pool)->users)
    order(s, API_POOL_CHANGE, pool, "{'users':[]}");
}

/* Everything is put right: what is away comes back, what was taken out is put back. */
static void mend(Sim *s, void *unused)
{
  for (int i = 0; i < HOSTS; i++) {
    host_heals(s, &s->hosts[i]);
    const Host *h = STORED(s, Host, HOST, s->hosts[i].name);
    if (h->state == HOST_DRAINING || h->state == HOST_MAINTENANCE)
      order(s, API_HOST_ACTIVATE, h->head.name, NULL);
  }
  g_autoptr(GPtrArray) reservations = sorted_names(s->store.live[NOUN_RESERVATION]);
  for (guint i = 0; i < reservations->len; i++)
    order(s, API_RESERVATION_REMOVE, reservations->pdata[i], NULL);
  g_autoptr(GPtrArray) pools = sorted_names(s->store.live[NOUN_POOL]);
  for (guint i = 0; i < pools->len; i++)
    pool_mended(s, pools->pdata[i]);
  for (int i = 0; i < PEOPLE; i++)
    if (STORED(s, User, USER, s->people[i].name)->disabled)
      order(s, API_USER_CHANGE, s->people[i].name, "{'disabled':false}");
  g_autoptr(GPtrArray) desktops = sorted_names(s->store.live[NOUN_DESKTOP]);
  for (guint i = 0; i < desktops->len; i++) {
    const Desktop *d = STORED(s, Desktop, DESKTOP, desktops->pdata[i]);
    g_autofree char *disk = desktop_disk_volume(d->head.name, d->clone);
    bool worthless = d->owner && !world_has_volume(s, disk); /* nobody has a copy of what its owner had */
    if (d->state == DESKTOP_MAINTENANCE || d->state == DESKTOP_QUARANTINED || worthless)
      order(s, API_DESKTOP_RETIRE, d->head.name, NULL);
  }
}

void staff_mend(Sim *s)
{
  gpus_mend(s);
  for (guint i = 0; i < s->domains->len; i++) {
    SimDomain *d = s->domains->pdata[i];
    d->booted_us = MIN(d->booted_us, s->now_us + 30 * SECOND_US);
  }
  mend(s, NULL);
  for (int i = 1; i <= 4; i++)
    sim_after(s, i * 30 * SECOND_US, mend, NULL);
}

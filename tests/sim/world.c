/* Hosts with their domains, disks and guests: what steps do there, and what is seen of it. Whose bytes are in a disk is known here and nowhere else. */
#include "tests/sim/sim.h"

#include <string.h>

enum { POLL_S = 30, QUIET_POLL_S = 45 };

int host_index(const char *name) { return name[1] - '1'; }

SimDomain *world_domain(Sim *s, const char *uuid)
{
  for (guint i = 0; i < s->domains->len; i++)
    if (!strcmp(((SimDomain *)s->domains->pdata[i])->uuid, uuid))
      return s->domains->pdata[i];
  return NULL;
}

SimDomain *world_domain_of(Sim *s, const char *desktop, int host)
{
  for (guint i = 0; i < s->domains->len; i++) {
    SimDomain *d = s->domains->pdata[i];
    if (d->host == host && !strcmp(d->desktop, desktop))
      return d;
  }
  return NULL;
}

static Volume *volume_find(Sim *s, const char *name)
{
  for (guint i = 0; i < s->volumes->len; i++)
    if (!strcmp(((Volume *)s->volumes->pdata[i])->name, name))
      return s->volumes->pdata[i];
  return NULL;
}

bool world_has_volume(Sim *s, const char *name) { return volume_find(s, name); }

/* ── seen from outside ────────────────────────────────────────────────────── */

static void see(Sim *s, void *observation)
{
  const Observation *o = observation;
  if (o->kind == SAW_SILENT && !s->hosts[host_index(o->host)].silent)
    observation_free(observation); /* it answered since: lanes tell what becomes of a host in its order */
  else
    runtime_observe(s, observation);
}

static void add_seen(const Sim *s, Observation *o, const SimDomain *d)
{
  DomainSeen *seen = observation_add_domain(o, d->uuid);
  seen->desktop = g_strdup(d->desktop);
  seen->ours = true;
  seen->clone = d->clone;
  seen->power = d->power;
  seen->parts = g_strdupv(d->gpus);
  seen->looked_us = s->now_us;
}

static void see_power(Sim *s, SimDomain *d)
{
  if (s->hosts[d->host].health != SIM_UP || fault(s, 100))
    return;
  Observation *o = observation_new(SAW_DOMAIN, s->hosts[d->host].name);
  add_seen(s, o, d);
  sim_after(s, chance_ms(s, 1, 900), see, o);
}

static void domain_forget(Sim *s, SimDomain *d)
{
  if (s->hosts[d->host].health == SIM_UP && !fault(s, 100)) {
    Observation *o = observation_new(SAW_NO_DOMAIN, s->hosts[d->host].name);
    g_strlcpy(o->gone, d->uuid, sizeof o->gone);
    sim_after(s, chance_ms(s, 1, 900), see, o);
  }
  g_ptr_array_remove(s->domains, d);
}

void domain_power(Sim *s, SimDomain *d, PowerState power)
{
  if (d->power == power)
    return;
  if (power == POWER_ON && d->power != POWER_SUSPENDED) {
    d->boot = ++s->boots;
    d->disk = d->next_disk;
    if (d->disk)
      d->disk->written = true;
    g_autofree char *name = desktop_seed_volume(d->desktop, d->clone);
    Volume *seed = volume_find(s, name);
    if (d->disk && seed)
      d->disk->writers |= seed->writers; /* the guest reads it as it boots */
    d->lies = fault(s, 20);
    d->booted_us = fault(s, 20) ? INT64_MAX : s->now_us + haste_ms(s, 4000, 30000);
  }
  d->power = power;
  if (power == POWER_OFF && !d->defined)
    domain_forget(s, d);
  else
    see_power(s, d);
}

static void see_domains(Sim *s, int host)
{
  Observation *o = observation_new(SAW_DOMAINS, s->hosts[host].name);
  for (guint i = 0; i < s->domains->len; i++) {
    SimDomain *d = s->domains->pdata[i];
    if (d->host == host)
      add_seen(s, o, d);
  }
  sim_after(s, chance_ms(s, 1, fault(s, 100) ? 3000 : 50), see, o);
}

void world_see_host(Sim *s, int host)
{
  SimHost *h = &s->hosts[host];
  if (h->health == SIM_DEAD || h->health == SIM_HUNG) {
    h->silent = true;
    Observation *o = observation_new(SAW_SILENT, h->name);
    error_set(&o->error, REASON_TIMEOUT, "what", h->name, "limit", "15 s", NULL);
    sim_after(s, chance_ms(s, 1, 3000), see, o);
    return;
  }
  h->silent = false;
  Observation *o = observation_new(SAW_HOST, h->name);
  o->hostname = g_strdup(h->name);
  o->virt_type = g_strdup("kvm");
  o->cpus = 8;
  o->memory_mib = 65536;
  if (host % 2) {
    o->cells = g_strdup("[{\"id\":0,\"cpus\":\"0-3\",\"memory_mib\":32768,\"huge_mib\":0},{\"id\":1,\"cpus\":\"4-7\",\"memory_mib\":32768,\"huge_mib\":16384}]");
    o->huge_mib = 16384;
    o->page_kib = 2048;
  }
  sim_after(s, 1000, see, o);
  see_domains(s, host);
}

static void host_poll(Sim *s, int host)
{
  SimHost *h = &s->hosts[host];
  bool answers = h->health == SIM_UP || h->health == SIM_SLOW;
  if (answers == h->silent)
    world_see_host(s, host);
  else if (answers)
    see_domains(s, host);
}

void world_poll(Sim *s, void *unused)
{
  for (int i = 0; i < HOSTS; i++)
    host_poll(s, i);
  sim_after(s, (s->over ? QUIET_POLL_S : POLL_S / 2) * SECOND_US, world_poll, NULL);
}

void world_host_dies(Sim *s, int host, bool forgets)
{
  gpus_host_dies(s, host);
  for (guint i = s->domains->len; i-- > 0;) {
    SimDomain *d = s->domains->pdata[i];
    if (d->host != host)
      continue;
    d->power = POWER_OFF;
    if (forgets || !d->defined)
      g_ptr_array_remove_index(s->domains, i);
  }
}

/* virsh destroy and undefine, and sometimes rm: by somebody to whom it was in the way. */
void world_domain_vanishes(Sim *s, SimDomain *d, bool disk_too)
{
  Volume *disk = d->next_disk;
  tell(s, "somebody removes %s of %s from h%d%s", d->uuid, d->desktop, d->host + 1, disk_too && disk ? ", and its disk" : "");
  d->defined = false;
  if (d->power == POWER_OFF || d->power == POWER_SAVED)
    domain_forget(s, d);
  else
    domain_power(s, d, POWER_OFF);
  if (disk_too && disk)
    g_ptr_array_remove(s->volumes, disk);
}

/* ── steps ────────────────────────────────────────────────────────────────── */

static GError *refuse(Reason reason, const char *what)
{
  GError *err = NULL;
  error_set(&err, reason, "kind", "domain", "name", what, "what", what, NULL);
  return err;
}

static Volume *volume_new(Sim *s, const StepOrder *o, char *take_name, bool seed)
{
  Volume *v = g_new0(Volume, 1);
  v->name = take_name;
  v->desktop = g_strdup(o->desktop->head.name);
  v->clone = v->of = o->desktop->clone;
  v->seed = seed;
  g_ptr_array_add(s->volumes, v);
  return v;
}

static GError *do_clone(Sim *s, const StepOrder *o, StepResult *r)
{
  g_autofree char *name = desktop_disk_volume(o->desktop->head.name, o->desktop->clone);
  Volume *v = volume_find(s, name);
  if (v && v->written)
    return refuse(REASON_QCOW2_NOT_FRESH, name);
  bool fresh = !v;
  if (fresh)
    v = volume_new(s, o, g_steal_pointer(&name), false);
  g_autofree char *before = desktop_disk_volume(o->desktop->head.name, o->desktop->clone - 1);
  Volume *old = volume_find(s, before);
  if (old && fresh && fault(s, 60)) { /* a storage that gives back what it had: its evidence is of the old generation */
    v->writers = old->writers;
    v->of--;
    tell(s, "  the storage gives %s the bytes of %s", v->name, old->name);
  }
  r->clone = v->of;
  r->evidence = g_strdup_printf("{\"volume\":\"%s\",\"fresh\":true}", v->name);
  return NULL;
}

static GError *do_find_disk(Sim *s, const StepOrder *o)
{
  g_autofree char *name = desktop_disk_volume(o->desktop->head.name, o->desktop->clone);
  return volume_find(s, name) ? NULL : refuse(REASON_DISK_GONE, name);
}

/* Whose account is in it: nobody's, or a person's. */
static GError *do_seed(Sim *s, const StepOrder *o, const char *person)
{
  g_autofree char *name = desktop_seed_volume(o->desktop->head.name, o->desktop->clone);
  Volume *seed = volume_find(s, name);
  if (!seed)
    seed = volume_new(s, o, g_steal_pointer(&name), true);
  seed->writers = 0;
  for (int i = 0; person && i < PEOPLE; i++)
    if (!strcmp(s->people[i].name, person))
      seed->writers |= 1u << i;
  return NULL;
}

static GError *do_define(Sim *s, const StepOrder *o)
{
  g_autofree char *uuid = desktop_domain_uuid(o->controller, o->desktop->head.name);
  g_autofree char *disk = desktop_disk_volume(o->desktop->head.name, o->desktop->clone);
  SimDomain *d = world_domain_of(s, o->desktop->head.name, host_index(o->host->head.name));
  if (!d) {
    d = g_new0(SimDomain, 1);
    g_strlcpy(d->uuid, uuid, sizeof d->uuid);
    d->desktop = g_strdup(o->desktop->head.name);
    d->host = host_index(o->host->head.name);
    d->power = POWER_OFF;
    g_ptr_array_add(s->domains, d);
  }
  d->defined = true;
  d->clone = o->desktop->clone;
  d->next_disk = volume_find(s, disk);
  gpus_define(d, o);
  return NULL;
}

static GError *do_start(Sim *s, const StepOrder *o, SimDomain *d, StepResult *r)
{
  if (!d)
    return refuse(REASON_NOT_FOUND, o->desktop->head.name);
  if (d->power != POWER_ON && (!d->next_disk || !volume_find(s, d->next_disk->name)))
    return refuse(REASON_HYPERVISOR_REFUSED, "its disk is not there");
  if (gpus_runs_without(o))
    domain_power(s, d, POWER_OFF);
  GError *err = d->power == POWER_ON || d->power == POWER_SUSPENDED ? NULL : gpus_start(s, d);
  if (err)
    return err;
  domain_power(s, d, POWER_ON);
  r->power = POWER_ON;
  return NULL;
}

static GError *do_undefine(Sim *s, SimDomain *d)
{
  if (!d)
    return NULL;
  d->defined = false;
  if (d->power == POWER_OFF || d->power == POWER_SAVED)
    domain_forget(s, d);
  return NULL;
}

static GError *do_delete(Sim *s, const StepOrder *o, int64_t keep)
{
  for (guint i = s->volumes->len; i-- > 0;) {
    Volume *v = s->volumes->pdata[i];
    if (!strcmp(v->desktop, o->desktop->head.name) && v->clone != keep)
      g_ptr_array_remove_index(s->volumes, i); /* what runs keeps the file it has open */
  }
  return NULL;
}

static GError *agent_up(Sim *s, const SimDomain *d, const StepOrder *o)
{
  if (!d)
    return refuse(REASON_NOT_FOUND, o->desktop->head.name);
  if (d->power != POWER_ON)
    return refuse(REASON_DESKTOP_OFF, o->desktop->head.name);
  return s->now_us < d->booted_us ? refuse(REASON_NO_AGENT, o->desktop->head.name) : NULL;
}

/* Drivers look at the mark first: a call that waited behind a guest that hung may find the next one's desktop. */
static GError *passed_on(const SimDomain *d, const StepOrder *o)
{
  return d && d->clone != o->desktop->clone ? refuse(REASON_DESKTOP_PASSED_ON, o->desktop->head.name) : NULL;
}

static GError *do_personalise(Sim *s, const StepOrder *o, SimDomain *d)
{
  GError *err = passed_on(d, o);
  if (!err)
    err = agent_up(s, d, o);
  if (err || !o->person)
    return err;
  for (int i = 0; i < PEOPLE; i++)
    if (!strcmp(s->people[i].name, o->person->head.name))
      d->disk->writers |= 1u << i;
  d->disk->written = true;
  return NULL;
}

/* Guests lie: they name nobody where somebody is, and some name somebody where nobody is. */
static GError *do_prove(Sim *s, const StepOrder *o, SimDomain *d, StepResult *r)
{
  GError *err = agent_up(s, d, o);
  if (err)
    return err;
  if (d->clone != o->desktop->clone)
    return refuse(REASON_NO_PROOF, o->desktop->head.name);
  if (d->lies)
    return refuse(REASON_GUEST_NOT_CLEAN, o->desktop->head.name);
  r->clone = d->clone;
  r->evidence = g_strdup("{\"users\":[]}");
  return NULL;
}

static GError *do_ready(Sim *s, const StepOrder *o, SimDomain *d, StepResult *r)
{
  GError *err = agent_up(s, d, o);
  r->power = d ? d->power : POWER_UNKNOWN;
  return err;
}

static GError *do_power(Sim *s, const StepOrder *o, SimDomain *d, StepResult *r)
{
  static const PowerState after[N_POWER_VERBS] = {
    [VERB_START] = POWER_ON, [VERB_SHUTDOWN] = POWER_OFF, [VERB_REBOOT] = POWER_ON, [VERB_RESET] = POWER_ON, [VERB_DESTROY] = POWER_OFF,
    [VERB_SUSPEND] = POWER_SUSPENDED, [VERB_RESUME] = POWER_ON, [VERB_SAVE] = POWER_SAVED, [VERB_RESTORE] = POWER_ON,
    [VERB_DISCARD_SAVED] = POWER_OFF,
  };
  if (!d)
    return refuse(REASON_NOT_FOUND, o->desktop->head.name);
  GError *late = passed_on(d, o);
  if (late)
    return late;
  bool running = d->power == POWER_ON || (d->power == POWER_SUSPENDED && o->verb == VERB_DESTROY); /* the plug can be pulled of either */
  bool wants_off = o->verb == VERB_START || o->verb == VERB_RESUME || o->verb == VERB_RESTORE;
  if (running == wants_off && after[o->verb] != d->power)
    return refuse(REASON_DOMAIN_STATE, o->desktop->head.name);
  if (!running && after[o->verb] == POWER_ON && (!d->next_disk || !volume_find(s, d->next_disk->name)))
    return refuse(REASON_HYPERVISOR_REFUSED, "its disk is not there");
  GError *err = after[o->verb] == POWER_ON && !running && d->power != POWER_SUSPENDED ? gpus_start(s, d) : NULL;
  if (err)
    return err;
  domain_power(s, d, after[o->verb]);
  r->power = after[o->verb];
  return NULL;
}

static GError *do_console(const StepOrder *o, SimDomain *d, StepResult *r)
{
  GError *late = passed_on(d, o);
  if (late)
    return late;
  if (!d || d->power != POWER_ON)
    return refuse(REASON_DOMAIN_STATE, o->desktop ? o->desktop->head.name : "");
  r->address = g_strdup("127.0.0.1");
  r->port = 5900;
  r->password = g_strdup("secret");
  return NULL;
}

/* ── live migration ───────────────────────────────────────────────────────── */

static bool is_active(const SimDomain *d) { return d && (d->power == POWER_ON || d->power == POWER_SUSPENDED); }

static void domain_drop(Sim *s, SimDomain *d)
{
  d->defined = false;
  d->power = POWER_OFF;
  domain_forget(s, d);
}

static GError *do_aim(Sim *s, const StepOrder *o, SimDomain *there)
{
  if (is_active(there))
    return refuse(REASON_RUNS_TWICE, o->desktop->head.name);
  if (there)
    domain_drop(s, there);
  return do_find_disk(s, o);
}

/* The paused half that a move makes over there; it is left behind where both libvirtds lose each other. */
static void half_left(Sim *s, const SimDomain *d, int host)
{
  SimDomain *half = g_new0(SimDomain, 1);
  g_strlcpy(half->uuid, d->uuid, sizeof half->uuid);
  half->desktop = g_strdup(d->desktop);
  half->host = host;
  half->clone = d->clone;
  half->half = true;
  half->power = POWER_SUSPENDED;
  g_ptr_array_add(s->domains, half);
}

static GError *do_migrate(Sim *s, const StepOrder *o, SimDomain *d)
{
  int to = host_index(o->other->head.name);
  if (!d)
    return NULL; /* it has gone */
  GError *late = passed_on(d, o);
  if (late)
    return late;
  if (!is_active(d))
    return refuse(REASON_DOMAIN_STATE, o->desktop->head.name);
  if (d->stays && !strcmp(d->stays, o->task))
    return refuse(REASON_MIGRATION_STOPPED, o->desktop->head.name); /* it was told to end before this one had its turn */
  SimDomain *there = world_domain_of(s, o->desktop->head.name, to);
  if (s->hosts[to].health == SIM_DEAD || s->hosts[to].health == SIM_HUNG || there || fault(s, 150)) {
    if (!there && fault(s, 300))
      half_left(s, d, to);
    return refuse(REASON_MIGRATION_FAILED, o->desktop->head.name);
  }
  tell(s, "  %s goes from h%d to h%d", d->desktop, d->host + 1, to + 1);
  if (s->hosts[d->host].health == SIM_UP && !fault(s, 100)) {
    Observation *gone = observation_new(SAW_NO_DOMAIN, s->hosts[d->host].name);
    g_strlcpy(gone->gone, d->uuid, sizeof gone->gone);
    sim_after(s, chance_ms(s, 1, 900), see, gone);
  }
  d->host = to;
  d->boot = ++s->boots; /* consoles and agents are reached by other ways now */
  see_power(s, d);
  return NULL;
}

static GError *do_arrive(const StepOrder *o, const SimDomain *there, StepResult *r)
{
  if (!there || there->half || there->clone != o->desktop->clone)
    return refuse(REASON_NOT_ARRIVED, o->desktop->head.name);
  r->power = there->power;
  return NULL;
}

static GError *do_leave(Sim *s, const StepOrder *o, SimDomain *d)
{
  if (is_active(d))
    return refuse(REASON_RUNS_TWICE, o->desktop->head.name);
  if (d)
    domain_drop(s, d);
  return NULL;
}

static void do_stay(const StepOrder *o, SimDomain *d, StepResult *r)
{
  if (d)
    d->stays = g_intern_string(o->task);
  r->power = d ? d->power : POWER_OFF;
}

static GError *do_sweep(Sim *s, const StepOrder *o, SimDomain *there)
{
  if (is_active(there) && !there->half)
    return refuse(REASON_RUNS_TWICE, o->desktop->head.name);
  if (there)
    domain_drop(s, there);
  return NULL;
}

static GError *do_reap(Sim *s, const StepOrder *o)
{
  SimDomain *d = world_domain(s, o->domain);
  if (!d)
    return NULL;
  d->defined = false;
  if (d->power == POWER_OFF)
    domain_forget(s, d);
  else
    domain_power(s, d, POWER_OFF);
  return NULL;
}

GError *world_do(Sim *s, const StepOrder *o, StepResult *r)
{
  GError *err;
  SimDomain *d = o->desktop && o->host ? world_domain_of(s, o->desktop->head.name, host_index(o->host->head.name)) : NULL;
  switch (o->kind) {
  case STEP_CLONE:
    return do_clone(s, o, r);
  case STEP_SEED:
    return do_seed(s, o, NULL);
  case STEP_SEED_PERSON:
    return do_seed(s, o, o->person ? o->person->head.name : NULL);
  case STEP_FIND_DISK:
    return do_find_disk(s, o);
  case STEP_DEFINE:
    return do_define(s, o);
  case STEP_START:
    return do_start(s, o, d, r);
  case STEP_READY:
    return do_ready(s, o, d, r);
  case STEP_PERSONALISE:
    return do_personalise(s, o, d);
  case STEP_POWER_OFF:
    if (d)
      domain_power(s, d, POWER_OFF);
    r->power = POWER_OFF;
    return NULL;
  case STEP_UNDEFINE:
    return do_undefine(s, d);
  case STEP_DELETE_OLD:
    return do_delete(s, o, o->desktop->clone);
  case STEP_DELETE_VOLUMES:
    return do_delete(s, o, 0);
  case STEP_PROVE:
    return do_prove(s, o, d, r);
  case STEP_POWER:
    return do_power(s, o, d, r);
  case STEP_CONSOLE:
  case STEP_GUEST_CONSOLE:
    return do_console(o, d, r);
  case STEP_REAP:
    return do_reap(s, o);
  case STEP_AIM:
    return do_aim(s, o, d);
  case STEP_MIGRATE:
    return do_migrate(s, o, d);
  case STEP_ARRIVE:
    return do_arrive(o, d, r);
  case STEP_LEAVE:
    return do_leave(s, o, d);
  case STEP_STAY:
    do_stay(o, d, r);
    return NULL;
  case STEP_SWEEP:
    return do_sweep(s, o, d);
  case STEP_MEASURE:
    r->total_bytes = 1 << 30;
    r->free_bytes = chance_below(s, r->total_bytes);
    return NULL;
  case STEP_GPU_MAKE:
  case STEP_GPU_RELEASE:
  case STEP_GPU_DISCOVER:
  case STEP_GPU_REAP:
    return gpus_do(s, o, r);
  case STEP_GPU_PLUG:
    err = passed_on(d, o);
    return err ? err : gpus_plug(s, o, d);
  case STEP_GPU_UNPLUG:
    err = passed_on(d, o);
    return err ? err : gpus_unplug(s, o, d, r);
  case STEP_SCREENSHOT:
  case STEP_IMPORT:
  case STEP_DELETE_IMAGE:
  case STEP_NONE:
    return NULL;
  }
  return NULL;
}

/* A person types: the bytes land in the disk of what runs behind the console, as long as that is what was opened. */
bool world_type(Sim *s, const GatewayRelay *r)
{
  SimDomain *d = world_domain(s, r->uuid);
  if (!d || d->boot != r->boot || d->power == POWER_OFF || d->power == POWER_SAVED)
    return false;
  if (d->power == POWER_ON && d->disk)
    d->disk->writers |= 1u << r->person;
  return true;
}

static bool is_unknown(Sim *s, const char *desktop, int64_t doubtful)
{
  return !STORED(s, Desktop, DESKTOP, desktop) && g_ascii_strtoll(desktop + 2, NULL, 10) < doubtful;
}

bool world_domain_is_unknown(Sim *s, const SimDomain *domain)
{
  int64_t doubtful = STORED(s, Controller, CONTROLLER, "controller")->doubtful;
  const Desktop *d = STORED(s, Desktop, DESKTOP, domain->desktop);
  return g_ascii_strtoll(domain->desktop + 2, NULL, 10) < doubtful && (!d || domain->clone > d->clone);
}

void world_sweep(Sim *s, int64_t doubtful)
{
  for (guint i = s->domains->len; i-- > 0;) {
    SimDomain *d = s->domains->pdata[i];
    const Desktop *known = STORED(s, Desktop, DESKTOP, d->desktop);
    bool old = g_ascii_strtoll(d->desktop + 2, NULL, 10) < doubtful; /* it may have moved since the backup */
    bool astray = known && host_index(known->host) != d->host && (d->half || old);
    if (s->hosts[d->host].health == SIM_UP && (astray || is_unknown(s, d->desktop, doubtful))) {
      tell(s, "an operator removes the domain of %s", d->desktop);
      g_ptr_array_remove_index(s->domains, i);
    }
  }
  for (guint i = s->volumes->len; i-- > 0;)
    if (is_unknown(s, ((Volume *)s->volumes->pdata[i])->desktop, doubtful))
      g_ptr_array_remove_index(s->volumes, i);
  gpus_sweep(s);
}

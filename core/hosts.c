/* Hosts: enrolling them, what is seen of them, and what their loss means. */
#include "core/brain_parts.h"
#include "drivers/hypervisor/hypervisor.h"

#include <stdlib.h>
#include <string.h>

enum { ORPHAN_GRACE_S = 30, ORPHANS_MAX = 256, ORPHAN_KEPT_S = 600 };

static bool host_move(Brain *b, const char *name, HostMove move, GError **err)
{
  const Host *h = GET(b, Host, HOST, name);
  HostState to;
  if (!host_next(h->state, move, &to, err))
    return false;
  if (to == (HostState)h->state)
    return true;
  EDIT(b, Host, HOST, name)->state = to;
  g_autofree char *kind = g_strconcat("host.", host_state_name(to), NULL);
  brain_event(b, kind, NOUN_HOST, name, NULL, to == HOST_UNREACHABLE ? GET(b, Host, HOST, name)->error : NULL);
  return true;
}

static GPtrArray *desktops_on(Brain *b, const char *host)
{
  return names_copy(state_host_desktops(b->state, host));
}

/* What it does not tell this time it may have told before, of the same CPU. */
static const char *features_of(const Host *h, const Observation *seen)
{
  bool same = !g_strcmp0(h->cpu_model, seen->cpu_model) && !g_strcmp0(h->virt_type, seen->virt_type) && !g_strcmp0(h->hypervisor, seen->hypervisor);
  return !seen->cpu_features && seen->cpu_model && same ? h->cpu_features : seen->cpu_features;
}

static bool machine_same(const Host *h, const Observation *seen)
{
  return h->host_cpus == seen->cpus && h->host_memory_mib == seen->memory_mib && h->page_kib == seen->page_kib && h->huge_mib == seen->huge_mib &&
         !g_strcmp0(h->cells, seen->cells) && !g_strcmp0(h->cpu_model, seen->cpu_model) && !g_strcmp0(h->cpu_features, features_of(h, seen));
}

static bool facts_same(const Host *h, const Observation *seen)
{
  return !g_strcmp0(h->hostname, seen->hostname) && !g_strcmp0(h->uuid, seen->uuid) && !g_strcmp0(h->virt_type, seen->virt_type) &&
         !g_strcmp0(h->hypervisor, seen->hypervisor) && machine_same(h, seen) && !h->error;
}

static void facts_keep(Brain *b, const Observation *seen)
{
  Host *h = EDIT(b, Host, HOST, seen->host);
  g_autofree char *features = g_strdup(features_of(h, seen));
  text_set(&h->hostname, seen->hostname);
  text_set(&h->uuid, seen->uuid);
  text_set(&h->virt_type, seen->virt_type);
  text_set(&h->hypervisor, seen->hypervisor);
  h->host_cpus = seen->cpus;
  h->host_memory_mib = seen->memory_mib;
  h->page_kib = seen->page_kib;
  h->huge_mib = seen->huge_mib;
  text_set(&h->cells, seen->cells);
  ref_set(&h->cpu_model, seen->cpu_model);
  ref_set(&h->cpu_features, features);
  h->seen = b->now_us;
  g_clear_pointer(&h->error, g_free);
}

static bool was_first(const Host *a, const Host *b)
{
  return a->head.created_us != b->head.created_us ? a->head.created_us < b->head.created_us : strcmp(a->head.name, b->head.name) < 0;
}

/* Another host that is this very machine, and was known as it first; NULL where there is none. A host that tells a UUID other than it did is the
 * newcomer, however long it has been here: else one of them could call itself any other and silence that one. */
static const Host *twin_of(Brain *b, const Host *h, const char *uuid)
{
  if (!uuid || !*uuid)
    return NULL;
  bool newcomer = g_strcmp0(h->uuid, uuid) != 0;
  const Host *twin = NULL;
  g_autoptr(GPtrArray) names = state_machine_hosts(b->state, uuid);
  for (guint i = 0; i < names->len; i++) {
    const Host *other = GET(b, Host, HOST, names->pdata[i]);
    if (other != h && (newcomer || was_first(other, h)) && (!twin || was_first(other, twin)))
      twin = other;
  }
  return twin;
}

void host_seen(Brain *b, const Observation *seen)
{
  const Host *h = GET(b, Host, HOST, seen->host);
  const Host *twin = twin_of(b, h, seen->uuid);
  if (twin) {
    g_autoptr(GError) err = NULL;
    error_set(&err, REASON_EXISTS, "kind", "the same machine as host", "name", twin->head.name, NULL);
    host_silent(b, seen->host, err);
    return;
  }
  bool back = !host_state_is_reachable(h->state) && h->state != HOST_MAINTENANCE;
  bool other_machine = !machine_same(h, seen);
  if (facts_same(h, seen))
    SEE(b, Host, HOST, seen->host)->seen = b->now_us;
  else
    facts_keep(b, seen);
  storages_look(b, seen->host);
  if (other_machine)
    all_pools_dirty(b); /* there may be room now */
  if (!back) {
    gpus_look(b, seen->host, GPU_LOOK_AGE_S);
    return;
  }
  host_move(b, seen->host, h->drain ? HOST_SEEN_DRAINING : HOST_SEEN, NULL);
  g_autoptr(GPtrArray) names = desktops_on(b, seen->host);
  for (guint i = 0; i < names->len; i++)
    desktop_find(b, names->pdata[i]);
  tasks_wake_host(b, seen->host);
  leaving_look_soon(b);
  host_check_empty(b, seen->host);
  gpus_look(b, seen->host, 1);
  all_pools_dirty(b);
}

void host_silent(Brain *b, const char *name, const GError *err)
{
  const Host *h = GET(b, Host, HOST, name);
  g_autofree char *why = brain_error_json(err);
  if (g_strcmp0(h->error, why))
    text_set(&EDIT(b, Host, HOST, name)->error, why);
  h = GET(b, Host, HOST, name);
  if (!host_move(b, name, HOST_SILENT, NULL))
    return; /* it was not counted on */
  g_autoptr(GPtrArray) names = desktops_on(b, name);
  for (guint i = 0; i < names->len; i++)
    desktop_lose(b, names->pdata[i], err);
  all_pools_dirty(b);
}

void host_check_empty(Brain *b, const char *name)
{
  const Host *h = name ? GET(b, Host, HOST, name) : NULL;
  if (!h || h->state != HOST_DRAINING || state_host_use(b->state, name).desktops)
    return;
  host_leave_end(b, name);
  host_move(b, name, HOST_EMPTY, NULL);
}

/* ── domains ──────────────────────────────────────────────────────────────── */

static void orphan_event(Brain *b, const char *kind, const char *host, const DomainSeen *seen)
{
  json_auto_t *detail = json_pack("{ss ss}", "desktop", seen->desktop, "domain", seen->uuid);
  char *text = json_dumps(detail, JSON_COMPACT);
  brain_event(b, kind, NOUN_HOST, host, NULL, text);
  free(text);
}

static gboolean orphan_is_old(void *uuid, void *since, void *brain)
{
  return ((Brain *)brain)->now_us - *(int64_t *)since >= ORPHAN_KEPT_S * SECOND_US;
}

/* What a host invents must not fill the memory and the events: so much of it is known at a time, and the rest waits for a later look. */
static bool orphans_full(Brain *b)
{
  if (g_hash_table_size(b->orphans) >= ORPHANS_MAX)
    g_hash_table_foreach_remove(b->orphans, orphan_is_old, b);
  return g_hash_table_size(b->orphans) >= ORPHANS_MAX;
}

/* A domain of ours without a desktop is what a late step left: it goes, after a time in which its desktop might still turn up. */
static void orphan_seen(Brain *b, const char *host, const DomainSeen *seen)
{
  int64_t *since = g_hash_table_lookup(b->orphans, seen->uuid);
  bool stays = restored_doubts(b, seen->desktop);
  if (!since && orphans_full(b))
    return;
  if (!since) {
    g_hash_table_insert(b->orphans, g_strdup(seen->uuid), g_memdup2(&b->now_us, sizeof b->now_us));
    if (stays)
      orphan_event(b, "host.orphan-kept", host, seen);
    return;
  }
  if (stays)
    return; /* an operator's to look at */
  if (b->now_us - *since < ORPHAN_GRACE_S * SECOND_US)
    return;
  g_hash_table_remove(b->orphans, seen->uuid);
  b->reply = NULL;
  brain_call(b, STEP_REAP, NULL, host, seen->uuid);
}

/* The domain of a desktop that we know, on a host where we did not put it: one machine was enrolled twice, or somebody moved it by hand. A person may
 * be in it: it is told, once, and never touched. */
static void elsewhere_seen(Brain *b, const char *host, const DomainSeen *seen)
{
  if (migrate_explains(b, GET(b, Desktop, DESKTOP, seen->desktop), host))
    return;
  g_hash_table_replace(b->elsewhere, g_strdup(seen->desktop), g_strdup(host));
  desktop_moved(b, seen->desktop);
  g_autofree char *key = g_strconcat(host, "/", seen->uuid, NULL);
  if (g_hash_table_contains(b->orphans, key) || orphans_full(b))
    return;
  g_hash_table_insert(b->orphans, g_steal_pointer(&key), g_memdup2(&b->now_us, sizeof b->now_us));
  orphan_event(b, "host.desktop-elsewhere", host, seen);
}

static void domain_seen(Brain *b, const char *host, const DomainSeen *seen)
{
  if (!seen->ours || !seen->desktop)
    return; /* foreign */
  const Desktop *d = GET(b, Desktop, DESKTOP, seen->desktop);
  if (!d)
    orphan_seen(b, host, seen);
  else if (g_strcmp0(d->host, host))
    elsewhere_seen(b, host, seen);
  else
    desktop_seen(b, seen->desktop, seen);
}

static void elsewhere_forget(Brain *b, const char *host, GHashTable *there)
{
  GHashTableIter i;
  void *desktop, *found;
  g_hash_table_iter_init(&i, b->elsewhere);
  while (g_hash_table_iter_next(&i, &desktop, &found))
    if (!strcmp(found, host) && !g_hash_table_contains(there, desktop))
      g_hash_table_iter_remove(&i);
}

/* Desktops that should be on the host and are in no list of it. */
static void missing_seen(Brain *b, const Observation *all)
{
  g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
  for (guint i = 0; i < all->domains->len; i++) {
    const DomainSeen *seen = all->domains->pdata[i];
    if (seen->ours && seen->desktop)
      g_hash_table_add(there, seen->desktop);
  }
  elsewhere_forget(b, all->host, there);
  g_autoptr(GPtrArray) names = desktops_on(b, all->host);
  for (guint i = 0; i < names->len; i++)
    if (!g_hash_table_contains(there, names->pdata[i]))
      desktop_seen(b, names->pdata[i], NULL);
}

static void gone_seen(Brain *b, const Observation *seen)
{
  g_autoptr(GPtrArray) names = desktops_on(b, seen->host);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *uuid = desktop_domain_uuid(b->controller, names->pdata[i]);
    if (!strcmp(uuid, seen->gone))
      desktop_seen(b, names->pdata[i], NULL);
  }
}

void domains_seen(Brain *b, const Observation *seen)
{
  const Host *h = GET(b, Host, HOST, seen->host);
  if (!host_state_is_reachable(h->state))
    return; /* its facts come first */
  for (guint i = 0; i < seen->domains->len; i++)
    domain_seen(b, seen->host, seen->domains->pdata[i]);
  if (seen->kind == SAW_DOMAINS) {
    missing_seen(b, seen);
    gpus_look(b, seen->host, GPU_LOOK_AGE_S);
  } else if (seen->kind == SAW_NO_DOMAIN) {
    gone_seen(b, seen);
  }
}

/* ── verbs ────────────────────────────────────────────────────────────────── */

/* sarangd opens it as root: a caller from elsewhere must not get at files and sockets of the controller that way. */
static bool uri_may(const Caller *caller, const char *uri, GError **err)
{
  return caller->local || !hypervisor_uri_is_private(uri) || error_false(err, REASON_PRIVATE_URI, "uri", uri, NULL);
}

/* Neither by way of the cards: files of the controller, and the controller as a host, are named on it alone. */
static bool files_may(const Request *r, GError **err)
{
  static const char *const fields[] = { "ssh_key", "ssh_address" };
  for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
    const char *value = r->caller.local ? NULL : request_text(r, fields[i]);
    if (value && (!i || !strcmp(value, "local")))
      return error_false(err, REASON_PRIVATE_FILES, "field", fields[i], "value", value, NULL);
  }
  return true;
}

/* A key is no good without knowing whom it is shown to: the host's own is enrolled with it, never trusted at first sight. */
static bool ssh_ok(const Request *r, const Host *h, GError **err)
{
  bool remote = h->ssh_address && strcmp(h->ssh_address, "local") != 0;
  if (!files_may(r, err))
    return false;
  if (remote && !h->ssh_key)
    return error_false(err, REASON_MISSING_FIELD, "field", "ssh_key", NULL);
  if (remote && !h->ssh_host_key)
    return error_false(err, REASON_MISSING_FIELD, "field", "ssh_host_key", NULL);
  if (h->ssh_host_key && !g_str_has_prefix(h->ssh_host_key, "SHA256:"))
    return error_false(err, REASON_BAD_VALUE, "field", "ssh_host_key", "value", h->ssh_host_key, "limit", "a fingerprint such as SHA256:…", NULL);
  return true;
}

/* The other hosts open it as root: it is held to what a host's own URI is held to. */
static bool migrate_ok(Brain *b, const Request *r, const Host *h, GError **err)
{
  if (!h->migrate_uri)
    return true;
  if (!hypervisor_uri_check(h->migrate_uri, b->options.allow_plain_tcp, err))
    return false;
  if (request_text(r, "migrate_uri") && !uri_may(&r->caller, h->migrate_uri, err))
    return false;
  return hypervisor_uri_names_host(h->migrate_uri) || error_false(err, REASON_BAD_URI, "uri", h->migrate_uri, "detail", "it names no host", NULL);
}

/* Told now: else everything would be well until the first person wants to see something. */
static bool console_ok(const Host *h, GError **err)
{
  g_autofree char *address = hypervisor_console_address(h->uri, h->console_address, err);
  return address != NULL;
}

bool verb_host_add(Brain *b, const Request *r, Answer *a, GError **err)
{
  Host *h = verb_new_object(b, r, NOUN_HOST, request_text(r, "name"), err);
  if (!h)
    return false;
  if (!hypervisor_uri_check(h->uri, b->options.allow_plain_tcp, err) || !uri_may(&r->caller, h->uri, err) || !ssh_ok(r, h, err) ||
      !console_ok(h, err) || !migrate_ok(b, r, h, err))
    return verb_drop(NOUN_HOST, h);
  if (!h->starts)
    h->starts = 4;
  verb_keep(b, NOUN_HOST, h);
  answer_object(b, a, 201, request_text(r, "name"));
  return true;
}

bool verb_host_change(Brain *b, const Request *r, Answer *a, GError **err)
{
  Host *h = verb_changed_object(b, r, NOUN_HOST, err);
  if (!h)
    return false;
  if (!ssh_ok(r, h, err) || !console_ok(h, err) || !migrate_ok(b, r, h, err))
    return verb_drop(NOUN_HOST, h);
  verb_keep(b, NOUN_HOST, h);
  gpus_look(b, r->name, 0);
  all_pools_dirty(b);
  answer_object(b, a, 200, r->name);
  return true;
}

bool verb_host_drain(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Host *h = GET(b, Host, HOST, r->name);
  bool away = h->state == HOST_UNREACHABLE || h->state == HOST_FENCED; /* it will come back draining */
  if (h->state == HOST_MAINTENANCE) { /* it is drained: nothing to do, nothing that anybody hears of */
    answer_object(b, a, 202, r->name);
    return true;
  }
  if (h->state != HOST_DRAINING && !away && !host_move(b, r->name, HOST_DRAIN, err))
    return false;
  EDIT(b, Host, HOST, r->name)->drain = true;
  if (json_is_true(json_object_get(r->body, "migrate")))
    host_leave_begin(b, r->name);
  g_autoptr(GPtrArray) names = desktops_on(b, r->name);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = GET(b, Desktop, DESKTOP, names->pdata[i]);
    if (d->state == DESKTOP_AVAILABLE && !d->owner)
      desktop_retire(b, names->pdata[i]);
  }
  host_check_empty(b, r->name);
  all_pools_dirty(b);
  answer_object(b, a, 202, r->name);
  return true;
}

bool verb_host_activate(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Host *h = GET(b, Host, HOST, r->name);
  bool away = h->drain && (h->state == HOST_UNREACHABLE || h->state == HOST_FENCED);
  if (!away && !host_move(b, r->name, HOST_ACTIVATE, err))
    return false;
  EDIT(b, Host, HOST, r->name)->drain = false;
  host_leave_end(b, r->name);
  all_pools_dirty(b);
  answer_object(b, a, 200, r->name);
  return true;
}

/* An operator says that it is off: what it held is given up, and replaced elsewhere. */
bool verb_host_fence(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (!host_move(b, r->name, HOST_FENCE, err))
    return false;
  migrate_host_off(b, r->name);
  g_autoptr(GPtrArray) names = desktops_on(b, r->name);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = GET(b, Desktop, DESKTOP, names->pdata[i]);
    g_autofree char *session = g_strdup(d->session);
    if (session)
      session_end(b, session, END_HOST_LOST, r->caller.user);
    if (!d->owner)
      desktop_retire(b, names->pdata[i]);
  }
  all_pools_dirty(b);
  answer_object(b, a, 200, r->name);
  return true;
}

bool verb_host_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  int desktops = state_host_use(b->state, r->name).desktops;
  if (desktops) {
    g_autofree char *n = g_strdup_printf("%d", desktops);
    return error_false(err, REASON_HOST_IN_USE, "host", r->name, "desktops", n, NULL);
  }
  gpus_forget(b, r->name);
  state_delete(b->state, NOUN_HOST, r->name);
  a->status = 200;
  return true;
}

#include "core/state_parts.h"

#include <string.h>

#include "core/lifecycle.h"

static void pool_index_free(void *index)
{
  PoolIndex *p = index;
  g_hash_table_unref(p->desktops);
  g_tree_unref(p->waiting);
  g_free(p);
}

static void host_index_free(void *index)
{
  g_hash_table_unref(((HostIndex *)index)->desktops);
  g_hash_table_unref(((HostIndex *)index)->coming);
  g_free(index);
}

static int timer_compare(const void *a, const void *b, void *data)
{
  const Slot *x = a, *y = b;
  if (x->due_us != y->due_us)
    return x->due_us < y->due_us ? -1 : 1;
  return x->object->noun != y->object->noun ? x->object->noun - y->object->noun : strcmp(x->object->name, y->object->name);
}

static GHashTable *set_new(void)
{
  return g_hash_table_new(g_str_hash, g_str_equal);
}

void indexes_init(State *state)
{
  state->pools = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, pool_index_free);
  state->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, host_index_free);
  GHashTable **groups[] = { &state->user_sessions, &state->user_tickets, &state->user_tokens, &state->session_relays, &state->machine_hosts,
                            &state->host_gpus, &state->gpu_claims, &state->desktop_claims };
  for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
    *groups[i] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
  state->user_receipts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free); /* their links lie in the slots */
  state->seats = seats_new();
  state->timers = g_tree_new_full(timer_compare, NULL, NULL, NULL);
}

void indexes_done(State *state)
{
  g_tree_unref(state->timers);
  g_hash_table_unref(state->pools);
  g_hash_table_unref(state->hosts);
  g_hash_table_unref(state->user_sessions);
  g_hash_table_unref(state->user_tickets);
  g_hash_table_unref(state->user_tokens);
  g_hash_table_unref(state->session_relays);
  g_hash_table_unref(state->machine_hosts);
  g_hash_table_unref(state->user_receipts);
  g_hash_table_unref(state->host_gpus);
  g_hash_table_unref(state->gpu_claims);
  g_hash_table_unref(state->desktop_claims);
  seats_free(state->seats);
  if (state->touched) {
    g_hash_table_unref(state->touched->hosts);
    g_hash_table_unref(state->touched->cards);
    g_hash_table_unref(state->touched->claims);
    g_hash_table_unref(state->touched->desktops);
    g_free(state->touched);
  }
}

/* ── indexes: file and unfile are each other's mirror. An object leaves them before another takes its place, so they borrow its name ── */

/* Who came first is first, however often it was changed meanwhile. */
static int compare_slots(const void *a, const void *b, void *data)
{
  return session_compare_came((const Session *)((const Slot *)a)->object, (const Session *)((const Slot *)b)->object);
}

static PoolIndex *pool_index(State *state, const char *name)
{
  PoolIndex *p = g_hash_table_lookup(state->pools, name);
  if (p)
    return p;
  p = g_new0(PoolIndex, 1);
  g_queue_init(&p->available);
  p->waiting = g_tree_new_full(compare_slots, NULL, NULL, NULL);
  p->desktops = set_new();
  g_hash_table_insert(state->pools, g_strdup(name), p);
  return p;
}

static HostIndex *host_index(State *state, const char *name)
{
  HostIndex *h = g_hash_table_lookup(state->hosts, name);
  if (h)
    return h;
  h = g_new0(HostIndex, 1);
  h->desktops = set_new();
  h->coming = set_new();
  g_hash_table_insert(state->hosts, g_strdup(name), h);
  return h;
}

static void name_change(GHashTable *set, const char *name, bool in)
{
  if (in)
    g_hash_table_add(set, (char *)name);
  else
    g_hash_table_remove(set, name);
}

static void group_change(GHashTable *groups, const char *group, const char *name, bool in)
{
  if (!group)
    return;
  GHashTable *set = g_hash_table_lookup(groups, group);
  if (!set) {
    set = set_new();
    g_hash_table_insert(groups, g_strdup(group), set);
  }
  name_change(set, name, in);
  if (!g_hash_table_size(set))
    g_hash_table_remove(groups, group);
}

static void queue_change(GQueue *queue, Slot *slot, bool in)
{
  if (in)
    g_queue_push_tail_link(queue, &slot->link);
  else
    g_queue_unlink(queue, &slot->link);
}

static void use_change(HostUse *use, const Desktop *d, int one)
{
  use->desktops += one;
  use->starting += desktop_state_is_starting(d->state) ? one : 0;
  use->vcpus += one * d->vcpus;
  use->memory_mib += one * d->memory_mib;
}

static void desktop_index(State *state, Slot *slot, bool in)
{
  const Desktop *d = (const Desktop *)slot->object;
  int one = in ? 1 : -1;
  PoolIndex *p = pool_index(state, d->pool);
  p->use.total += one;
  p->use.by_state[d->state] += one;
  p->use.held += d->owner || d->state == DESKTOP_ASSIGNED || d->state == DESKTOP_USED ? one : 0;
  name_change(p->desktops, d->head.name, in);
  if (d->state == DESKTOP_AVAILABLE && !d->owner && !d->task)
    queue_change(&p->available, slot, in);
  if (d->moving) {
    HostIndex *there = host_index(state, d->moving);
    use_change(&there->use, d, one);
    name_change(there->coming, d->head.name, in);
  }
  if (!d->host)
    return;
  HostIndex *h = host_index(state, d->host);
  use_change(&h->use, d, one);
  name_change(h->desktops, d->head.name, in);
}

static void session_index(State *state, Slot *slot, bool in)
{
  const Session *s = (const Session *)slot->object;
  group_change(state->user_sessions, s->user, s->head.name, in);
  if (!session_state_is_waiting(s->state))
    return;
  PoolIndex *p = pool_index(state, s->pool);
  p->use.waiting += in ? 1 : -1;
  if (in)
    g_tree_insert(p->waiting, slot, slot);
  else
    g_tree_remove(p->waiting, slot);
}

static void receipt_index(State *state, Slot *slot, bool in)
{
  const Receipt *r = (const Receipt *)slot->object;
  const char *user = r->user ? r->user : "";
  GQueue *queue = g_hash_table_lookup(state->user_receipts, user);
  if (!queue) {
    queue = g_new0(GQueue, 1);
    g_hash_table_insert(state->user_receipts, g_strdup(user), queue);
  }
  queue_change(queue, slot, in);
  if (g_queue_is_empty(queue))
    g_hash_table_remove(state->user_receipts, user);
}

static void vgpu_index(State *state, Slot *slot, bool in)
{
  const Vgpu *v = (const Vgpu *)slot->object;
  group_change(state->gpu_claims, v->gpu, v->head.name, in);
  group_change(state->desktop_claims, v->desktop, v->head.name, in);
}

static int64_t object_due_us(State *state, const Object *object)
{
  switch ((Noun)object->noun) {
  case NOUN_TASK:
    return task_due_us((const Task *)object);
  case NOUN_SESSION: {
    const Session *s = (const Session *)object;
    return session_due_us(s, FIND(state, Pool, POOL, s->pool));
  }
  case NOUN_POOL:
    return pool_due_us((const Pool *)object);
  case NOUN_TICKET:
    return ((const Ticket *)object)->expires;
  case NOUN_TOKEN:
    return ((const Token *)object)->expires;
  case NOUN_RELAY:
    return relay_due_us((const Relay *)object);
  case NOUN_RECEIPT:
    return object->created_us + RECEIPT_LIFE_US;
  case NOUN_DEMAND:
    return demand_due_us((const DemandRow *)object);
  case NOUN_RESERVATION:
    return reservation_due_us((const Reservation *)object);
  case NOUN_CONTROLLER:
  case NOUN_HOST:
  case NOUN_GPU:
  case NOUN_GPU_CLASS:
  case NOUN_LICENCE:
  case NOUN_VGPU:
  case NOUN_STORAGE:
  case NOUN_IMAGE:
  case NOUN_TEMPLATE:
  case NOUN_USER:
  case NOUN_DESKTOP:
  case NOUN_EVENT:
  case N_NOUNS:
    return 0;
  }
  return 0;
}

static void timer_index(State *state, Slot *slot, bool in)
{
  if (!in) {
    if (slot->due_us)
      g_tree_remove(state->timers, slot);
    slot->due_us = 0;
    return;
  }
  slot->due_us = object_due_us(state, slot->object);
  if (slot->due_us)
    g_tree_insert(state->timers, slot, slot);
}

/* ── what others keep account of ──────────────────────────────────────────── */

static void name_touch(GHashTable *set, const char *name)
{
  if (name && !g_hash_table_contains(set, name))
    g_hash_table_add(set, g_strdup(name));
}

void slot_touch(State *state, const Object *object)
{
  Touched *t = state->touched;
  if (!t)
    return;
  if (object->noun == NOUN_DESKTOP)
    name_touch(t->desktops, object->name);
  else if (object->noun == NOUN_HOST)
    name_touch(t->hosts, object->name);
  else if (object->noun == NOUN_GPU)
    name_touch(t->cards, ((const Gpu *)object)->host);
  else if (object->noun == NOUN_VGPU) {
    name_touch(t->claims, ((const Vgpu *)object)->host);
    name_touch(t->desktops, ((const Vgpu *)object)->desktop);
  }
  t->pools = t->pools || object->noun == NOUN_POOL || object->noun == NOUN_TEMPLATE || object->noun == NOUN_IMAGE;
  t->images = t->images || object->noun == NOUN_IMAGE;
  t->storages = t->storages || object->noun == NOUN_STORAGE;
  t->classes = t->classes || object->noun == NOUN_GPU_CLASS;
}

void slot_index(State *state, Slot *slot, bool in)
{
  if (slot->indexed == in)
    return;
  slot->indexed = in;
  if (in && !slot->observed)
    slot_touch(state, slot->object);
  slot->observed = false;
  if (slot->object->noun == NOUN_DESKTOP)
    desktop_index(state, slot, in);
  else if (slot->object->noun == NOUN_SESSION)
    session_index(state, slot, in);
  else if (slot->object->noun == NOUN_HOST)
    group_change(state->machine_hosts, ((const Host *)slot->object)->uuid, slot->object->name, in);
  else if (slot->object->noun == NOUN_RELAY)
    group_change(state->session_relays, ((const Relay *)slot->object)->session, slot->object->name, in);
  else if (slot->object->noun == NOUN_TICKET)
    group_change(state->user_tickets, ((const Ticket *)slot->object)->user, slot->object->name, in);
  else if (slot->object->noun == NOUN_TOKEN)
    group_change(state->user_tokens, ((const Token *)slot->object)->user, slot->object->name, in);
  else if (slot->object->noun == NOUN_RECEIPT)
    receipt_index(state, slot, in);
  else if (slot->object->noun == NOUN_GPU)
    group_change(state->host_gpus, ((const Gpu *)slot->object)->host, slot->object->name, in);
  else if (slot->object->noun == NOUN_VGPU)
    vgpu_index(state, slot, in);
  seats_change(state->seats, slot->object, in);
  timer_index(state, slot, in);
}

void settle(State *state)
{
  for (guint i = 0; i < state->unsettled->len; i++)
    slot_index(state, state->unsettled->pdata[i], true);
  g_ptr_array_set_size(state->unsettled, 0);
}

void unsettle(State *state, Slot *slot)
{
  if (!slot->indexed)
    return;
  slot_index(state, slot, false);
  g_ptr_array_add(state->unsettled, slot);
}

/* ── what the indexes answer ──────────────────────────────────────────────── */

static void add_name(void *name, void *value, void *array)
{
  g_ptr_array_add(array, name);
}

static GPtrArray *names_of(GHashTable *set)
{
  GPtrArray *names = g_ptr_array_new();
  if (set)
    g_hash_table_foreach(set, add_name, names);
  return names;
}

GPtrArray *state_names(State *state, Noun noun)
{
  settle(state);
  return names_of(state->slots[noun]);
}

PoolUse state_pool_use(State *state, const char *pool)
{
  settle(state);
  const PoolIndex *p = pool_index(state, pool);
  PoolUse use = p->use;
  use.ready = (int)p->available.length;
  return use;
}

static const Object *queue_head(GQueue *queue)
{
  return queue->head ? ((Slot *)queue->head->data)->object : NULL;
}

const Desktop *state_pool_available(State *state, const char *pool)
{
  settle(state);
  return (const Desktop *)queue_head(&pool_index(state, pool)->available);
}

const Session *state_pool_waiting(State *state, const char *pool)
{
  settle(state);
  GTreeNode *first = g_tree_node_first(pool_index(state, pool)->waiting);
  return first ? (const Session *)((Slot *)g_tree_node_key(first))->object : NULL;
}

GPtrArray *state_pool_line(State *state, const char *pool)
{
  settle(state);
  GPtrArray *line = g_ptr_array_new();
  for (GTreeNode *at = g_tree_node_first(pool_index(state, pool)->waiting); at; at = g_tree_node_next(at))
    g_ptr_array_add(line, ((Slot *)g_tree_node_key(at))->object);
  return line;
}

Seats *state_seats(State *state)
{
  settle(state);
  return state->seats;
}

HostUse state_host_use(State *state, const char *host)
{
  settle(state);
  return host_index(state, host)->use;
}

GPtrArray *state_host_desktops(State *state, const char *host)
{
  settle(state);
  return names_of(host_index(state, host)->desktops);
}

GPtrArray *state_host_coming(State *state, const char *host)
{
  settle(state);
  return names_of(host_index(state, host)->coming);
}

GPtrArray *state_pool_desktops(State *state, const char *pool)
{
  settle(state);
  return names_of(pool_index(state, pool)->desktops);
}

GPtrArray *state_user_sessions(State *state, const char *user)
{
  settle(state);
  return names_of(g_hash_table_lookup(state->user_sessions, user));
}

int state_user_tickets(State *state, const char *user)
{
  settle(state);
  GHashTable *tickets = user ? g_hash_table_lookup(state->user_tickets, user) : NULL;
  return tickets ? (int)g_hash_table_size(tickets) : 0;
}

int state_user_receipts(State *state, const char *user, const Receipt **ret_oldest)
{
  settle(state);
  GQueue *receipts = g_hash_table_lookup(state->user_receipts, user ? user : "");
  *ret_oldest = receipts ? (const Receipt *)queue_head(receipts) : NULL;
  return receipts ? (int)g_queue_get_length(receipts) : 0;
}

GPtrArray *state_session_relays(State *state, const char *session)
{
  settle(state);
  return names_of(g_hash_table_lookup(state->session_relays, session));
}

static int compare_numbers(const char *a, const char *b)
{
  size_t x = strlen(a), y = strlen(b);
  return x != y ? (x < y ? -1 : 1) : strcmp(a, b);
}

static int compare_numbered(const void *a, const void *b)
{
  return compare_numbers(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *group_names(State *state, GHashTable *groups, const char *group)
{
  settle(state);
  g_autoptr(GPtrArray) borrowed = names_of(group ? g_hash_table_lookup(groups, group) : NULL);
  GPtrArray *names = g_ptr_array_new_full(borrowed->len, g_free);
  for (guint i = 0; i < borrowed->len; i++)
    g_ptr_array_add(names, g_strdup(borrowed->pdata[i]));
  g_ptr_array_sort(names, compare_numbered);
  return names;
}

GPtrArray *state_host_gpus(State *state, const char *host) { return group_names(state, state->host_gpus, host); }
GPtrArray *state_machine_hosts(State *state, const char *uuid) { return group_names(state, state->machine_hosts, uuid); }
GPtrArray *state_user_tokens(State *state, const char *user) { return group_names(state, state->user_tokens, user); }
GPtrArray *state_gpu_claims(State *state, const char *gpu) { return group_names(state, state->gpu_claims, gpu); }
GPtrArray *state_desktop_claims(State *state, const char *desktop) { return group_names(state, state->desktop_claims, desktop); }

const Desktop *state_owned_desktop(State *state, const char *pool, const char *owner)
{
  g_autoptr(GPtrArray) names = state_pool_desktops(state, pool);
  for (guint i = 0; i < names->len; i++) {
    const Desktop *d = FIND(state, Desktop, DESKTOP, names->pdata[i]);
    if (!g_strcmp0(d->owner, owner) && d->state != DESKTOP_RETIRING)
      return d;
  }
  return NULL;
}

GPtrArray *names_copy(GPtrArray *take_names)
{
  GPtrArray *copies = g_ptr_array_new_full(take_names->len, g_free);
  for (guint i = 0; i < take_names->len; i++)
    g_ptr_array_add(copies, g_strdup(take_names->pdata[i]));
  g_ptr_array_unref(take_names);
  return copies;
}

Touched *state_touched(State *state)
{
  settle(state);
  if (!state->touched) {
    state->touched = g_new0(Touched, 1);
    state->touched->hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    state->touched->cards = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    state->touched->claims = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    state->touched->desktops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  }
  return state->touched;
}

void touched_clear(Touched *touched)
{
  g_hash_table_remove_all(touched->hosts);
  g_hash_table_remove_all(touched->cards);
  g_hash_table_remove_all(touched->claims);
  g_hash_table_remove_all(touched->desktops);
  touched->pools = touched->images = touched->storages = touched->classes = touched->gone = false;
}

static const Slot *first_timer(State *state)
{
  settle(state);
  GTreeNode *node = g_tree_node_first(state->timers);
  return node ? g_tree_node_key(node) : NULL;
}

bool state_next_due(State *state, int64_t now_us, Noun *ret_noun, const char **ret_name)
{
  const Slot *slot = first_timer(state);
  if (!slot || slot->due_us > now_us)
    return false;
  *ret_noun = slot->object->noun;
  *ret_name = slot->object->name;
  return true;
}

int64_t state_wake_us(State *state)
{
  const Slot *slot = first_timer(state);
  return slot ? slot->due_us : INT64_MAX;
}

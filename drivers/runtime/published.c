#include "drivers/runtime/published.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LIST_CHUNK = 512 };

/* One noun's objects twice: found by name, and in natural order. Both point into the same objects; the references are the order's. */
typedef struct {
  GHashTable *by_name; /* set of Object * */
  GPtrArray *ordered;  /* of Object * */
} Set;

typedef struct {
  int64_t sequence;
  const Object *object;
  int how;
  bool last;
} Entry;

struct Published {
  pthread_rwlock_t lock; /* over all that follows: held to move pointers, never to free or to call out */
  Set sets[N_NOUNS];
  int64_t sequence;
  Entry *ring;
  uint64_t n_ring, start, head; /* entries start … head - 1 are there, each at its number modulo n_ring */
  int64_t floor;                /* every change of a later batch than this is in the ring */

  pthread_mutex_t watch_lock; /* over watches and their armed */
  GPtrArray *watches;
};

struct PublishedWatch {
  Published *published;
  int fd;
  bool armed;    /* wants to be woken; under watch_lock */
  bool lost;     /* begins with a reset */
  uint64_t next; /* number of the entry it has not seen yet */
};

void published_drop(void *object)
{
  const Object *o = object;
  if (o)
    object_unref(&schemas[o->noun], o);
}

static Object *take_ref(const Object *object)
{
  object_ref(&schemas[object->noun], object);
  return (Object *)object;
}

/* ── order of names ───────────────────────────────────────────────────────── */

static size_t digits_of(const char *text)
{
  size_t n = 0;
  while (g_ascii_isdigit(text[n]))
    n++;
  return n;
}

static const char *skip_zeros(const char *text)
{
  while (*text == '0')
    text++;
  return text;
}

int name_compare(const char *a, const char *b)
{
  const char *x = a, *y = b;
  while (*x && *y) {
    if (!g_ascii_isdigit(*x) || !g_ascii_isdigit(*y)) {
      if (*x != *y)
        return (unsigned char)*x - (unsigned char)*y;
      x++, y++;
      continue;
    }
    x = skip_zeros(x);
    y = skip_zeros(y);
    size_t n = digits_of(x), m = digits_of(y);
    int order = n != m ? (n < m ? -1 : 1) : memcmp(x, y, n);
    if (order)
      return order;
    x += n;
    y += m;
  }
  return *x || *y ? (unsigned char)*x - (unsigned char)*y : strcmp(a, b);
}

static int compare_objects(const void *a, const void *b)
{
  return name_compare((*(Object *const *)a)->name, (*(Object *const *)b)->name);
}

/* Index of the first object that is not before name, or, with behind, of the first one behind it. */
static guint position(const Set *set, const char *name, bool behind)
{
  guint low = 0, high = set->ordered->len;
  /* what is made is mostly the newest of its kind: the last, without a search through memory that nobody has looked at for long */
  if (high && name_compare(((Object *)set->ordered->pdata[high - 1])->name, name) < 0)
    return high;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    int order = name_compare(((Object *)set->ordered->pdata[middle])->name, name);
    if (order < 0 || (behind && order == 0))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* ── sets ─────────────────────────────────────────────────────────────────── */

static guint object_hash(const void *object) { return g_str_hash(((const Object *)object)->name); }
static gboolean object_same_name(const void *a, const void *b) { return !strcmp(((const Object *)a)->name, ((const Object *)b)->name); }

static void set_init(Set *set)
{
  set->by_name = g_hash_table_new(object_hash, object_same_name);
  set->ordered = g_ptr_array_new();
}

static void set_done(Set *set)
{
  g_hash_table_unref(set->by_name);
  g_ptr_array_set_free_func(set->ordered, published_drop);
  g_ptr_array_unref(set->ordered);
}

static Object *set_find(const Set *set, const char *name)
{
  const Object key = { .name = (char *)name };
  return g_hash_table_lookup(set->by_name, &key);
}

/* dropped takes the reference of what was there before. */
static void set_put(Set *set, Object *object, GPtrArray *dropped)
{
  Object *old = set_find(set, object->name);
  guint at = position(set, object->name, false);
  if (old) {
    g_ptr_array_add(dropped, old);
    set->ordered->pdata[at] = object;
  } else {
    g_ptr_array_insert(set->ordered, at, object);
  }
  g_hash_table_add(set->by_name, object);
}

static void set_remove(Set *set, const char *name, GPtrArray *dropped)
{
  Object *old = set_find(set, name);
  if (!old)
    return;
  g_hash_table_remove(set->by_name, old);
  g_ptr_array_remove_index(set->ordered, position(set, name, false));
  g_ptr_array_add(dropped, old);
}

/* ── ring ─────────────────────────────────────────────────────────────────── */

static Entry *ring_at(const Published *p, uint64_t number)
{
  return &p->ring[number % p->n_ring];
}

static void ring_forget_first(Published *p, GPtrArray *dropped)
{
  Entry *entry = ring_at(p, p->start++);
  p->floor = entry->sequence;
  g_ptr_array_add(dropped, (Object *)entry->object);
}

static void ring_put(Published *p, Entry entry, GPtrArray *dropped)
{
  if (p->head - p->start == p->n_ring)
    ring_forget_first(p, dropped);
  *ring_at(p, p->head++) = entry;
}

/* ── in ───────────────────────────────────────────────────────────────────── */

static void wake_watches(Published *p)
{
  pthread_mutex_lock(&p->watch_lock);
  for (guint i = 0; i < p->watches->len; i++) {
    PublishedWatch *watch = p->watches->pdata[i];
    if (watch->armed)
      eventfd_write(watch->fd, 1);
    watch->armed = false;
  }
  pthread_mutex_unlock(&p->watch_lock);
}

static void apply_change(Published *p, const Batch *batch, guint i, GPtrArray *dropped)
{
  const Change *c = &g_array_index(batch->changes, Change, i);
  Set *set = &p->sets[c->noun];
  if (c->how != CHANGE_PUT)
    set_remove(set, c->object->name, dropped);
  else if (c->noun != NOUN_EVENT)
    set_put(set, take_ref(c->object), dropped);
  ring_put(p, (Entry){ batch->sequence, take_ref(c->object), c->how, i + 1 == batch->changes->len }, dropped);
}

void published_see(Published *p, GPtrArray *objects)
{
  g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(published_drop);
  pthread_rwlock_wrlock(&p->lock);
  for (guint i = 0; i < objects->len; i++) {
    const Object *object = objects->pdata[i];
    Set *set = &p->sets[object->noun];
    if (set_find(set, object->name))
      set_put(set, take_ref(object), dropped);
  }
  pthread_rwlock_unlock(&p->lock);
}

void published_apply(Published *p, const Batch *batch)
{
  g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(published_drop);
  pthread_rwlock_wrlock(&p->lock);
  g_assert(batch->sequence > p->sequence);
  for (guint i = 0; i < batch->changes->len; i++)
    apply_change(p, batch, i, dropped);
  p->sequence = batch->sequence;
  pthread_rwlock_unlock(&p->lock);
  wake_watches(p);
}

static void set_fill(Set *set)
{
  g_ptr_array_sort(set->ordered, compare_objects);
  for (guint i = 0; i < set->ordered->len; i++)
    g_hash_table_add(set->by_name, set->ordered->pdata[i]);
}

void published_replace(Published *p, GPtrArray *objects, int64_t sequence)
{
  Set sets[N_NOUNS], old[N_NOUNS];
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    set_init(&sets[noun]);
  for (guint i = 0; i < objects->len; i++) {
    Object *object = objects->pdata[i];
    objects->pdata[i] = NULL; /* a destroy function of the caller's finds nothing */
    g_ptr_array_add(sets[object->noun].ordered, object);
  }
  g_ptr_array_set_size(objects, 0);
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    set_fill(&sets[noun]);
  g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(published_drop);
  pthread_rwlock_wrlock(&p->lock);
  memcpy(old, p->sets, sizeof old);
  memcpy(p->sets, sets, sizeof sets);
  while (p->start < p->head)
    ring_forget_first(p, dropped);
  if (sequence != p->sequence)
    p->start = ++p->head; /* a number that nobody has seen: all are behind */
  p->sequence = p->floor = sequence;
  pthread_rwlock_unlock(&p->lock);
  wake_watches(p);
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    set_done(&old[noun]);
}

/* ── out ──────────────────────────────────────────────────────────────────── */

int64_t published_sequence(Published *p)
{
  pthread_rwlock_rdlock(&p->lock);
  int64_t sequence = p->sequence;
  pthread_rwlock_unlock(&p->lock);
  return sequence;
}

int64_t published_count(Published *p, Noun noun)
{
  pthread_rwlock_rdlock(&p->lock);
  int64_t n = p->sets[noun].ordered->len;
  pthread_rwlock_unlock(&p->lock);
  return n;
}

const Object *published_get(Published *p, Noun noun, const char *name)
{
  pthread_rwlock_rdlock(&p->lock);
  Object *object = set_find(&p->sets[noun], name);
  if (object)
    take_ref(object);
  pthread_rwlock_unlock(&p->lock);
  return object;
}

/* References of up to max objects behind after; returns how many. */
static guint take_chunk(Published *p, Noun noun, const char *after, guint max, Object **ret_objects)
{
  pthread_rwlock_rdlock(&p->lock);
  const Set *set = &p->sets[noun];
  guint at = after ? position(set, after, true) : 0;
  guint n = MIN(max, set->ordered->len - at);
  for (guint i = 0; i < n; i++)
    ret_objects[i] = take_ref(set->ordered->pdata[at + i]);
  pthread_rwlock_unlock(&p->lock);
  return n;
}

GPtrArray *published_list(Published *p, Noun noun, const char *after, int limit, PublishedFilter filter, void *data)
{
  GPtrArray *rows = g_ptr_array_new_with_free_func(published_drop);
  g_autofree char *cursor = g_strdup(after);
  guint wanted = limit > 0 ? (guint)limit : G_MAXUINT, n = LIST_CHUNK, asked = LIST_CHUNK;
  while (rows->len < wanted && n == asked) {
    Object *chunk[LIST_CHUNK];
    asked = filter ? LIST_CHUNK : MIN(LIST_CHUNK, wanted - rows->len);
    n = take_chunk(p, noun, cursor, asked, chunk);
    if (n == asked) {
      g_free(cursor);
      cursor = g_strdup(chunk[n - 1]->name);
    }
    for (guint i = 0; i < n; i++)
      if (rows->len < wanted && (!filter || filter(chunk[i], data)))
        g_ptr_array_add(rows, chunk[i]);
      else
        published_drop(chunk[i]);
  }
  return rows;
}

/* ── watches ──────────────────────────────────────────────────────────────── */

/* The first entry of a batch later than after. */
static uint64_t ring_find(const Published *p, int64_t after)
{
  uint64_t low = p->start, high = p->head;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (ring_at(p, middle)->sequence <= after)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

PublishedWatch *published_watch_new(Published *p, int64_t after)
{
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0)
    return NULL;
  PublishedWatch *watch = g_new0(PublishedWatch, 1);
  watch->published = p;
  watch->fd = fd;
  pthread_rwlock_rdlock(&p->lock);
  watch->lost = after >= 0 && (after < p->floor || after > p->sequence);
  watch->next = after < 0 ? p->head : ring_find(p, after);
  pthread_rwlock_unlock(&p->lock);
  pthread_mutex_lock(&p->watch_lock);
  g_ptr_array_add(p->watches, watch);
  pthread_mutex_unlock(&p->watch_lock);
  return watch;
}

void published_watch_free(PublishedWatch *watch)
{
  if (!watch)
    return;
  pthread_mutex_lock(&watch->published->watch_lock);
  g_ptr_array_remove_fast(watch->published->watches, watch);
  pthread_mutex_unlock(&watch->published->watch_lock);
  close(watch->fd);
  g_free(watch);
}

int published_watch_fd(const PublishedWatch *watch)
{
  return watch->fd;
}

static WatchNews take_news(PublishedWatch *watch, PublishedChange *ret_change)
{
  Published *p = watch->published;
  WatchNews news = WATCH_NOTHING;
  pthread_rwlock_rdlock(&p->lock);
  if (watch->lost || watch->next < p->start) {
    news = WATCH_RESET;
    watch->lost = false;
    watch->next = p->head;
    *ret_change = (PublishedChange){ .sequence = p->sequence };
  } else if (watch->next < p->head) {
    news = WATCH_CHANGE;
    const Entry *entry = ring_at(p, watch->next++);
    *ret_change = (PublishedChange){ entry->sequence, entry->last, entry->how, take_ref(entry->object) };
  }
  pthread_rwlock_unlock(&p->lock);
  return news;
}

/* Armed before it looks again, so that no change falls between looking and waiting. */
static WatchNews arm_and_look(PublishedWatch *watch, PublishedChange *ret_change)
{
  eventfd_t woken;
  eventfd_read(watch->fd, &woken);
  pthread_mutex_lock(&watch->published->watch_lock);
  watch->armed = true;
  pthread_mutex_unlock(&watch->published->watch_lock);
  return take_news(watch, ret_change);
}

WatchNews published_watch_next(PublishedWatch *watch, int timeout_ms, PublishedChange *ret_change)
{
  int64_t deadline_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
  WatchNews news = take_news(watch, ret_change);
  while (!news && !(news = arm_and_look(watch, ret_change))) {
    int64_t left_us = deadline_us - g_get_monotonic_time();
    if (left_us <= 0)
      return WATCH_NOTHING;
    struct pollfd poll_fd = { watch->fd, POLLIN, 0 };
    poll(&poll_fd, 1, (int)((left_us + 999) / 1000));
  }
  return news;
}

/* ── life ─────────────────────────────────────────────────────────────────── */

Published *published_new(int n_changes)
{
  g_assert(n_changes > 0);
  Published *p = g_new0(Published, 1);
  /* a writer that waits goes first: readers come without a gap, and the committer must not starve */
  pthread_rwlockattr_t attributes;
  pthread_rwlockattr_init(&attributes);
  pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&p->lock, &attributes);
  pthread_rwlockattr_destroy(&attributes);
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    set_init(&p->sets[noun]);
  p->n_ring = n_changes;
  p->ring = g_new0(Entry, n_changes);
  pthread_mutex_init(&p->watch_lock, NULL);
  p->watches = g_ptr_array_new();
  return p;
}

void published_free(Published *p)
{
  if (!p)
    return;
  g_assert(!p->watches->len);
  g_autoptr(GPtrArray) dropped = g_ptr_array_new_with_free_func(published_drop);
  while (p->start < p->head)
    ring_forget_first(p, dropped);
  for (Noun noun = 0; noun < N_NOUNS; noun++)
    set_done(&p->sets[noun]);
  g_free(p->ring);
  g_ptr_array_unref(p->watches);
  pthread_mutex_destroy(&p->watch_lock);
  pthread_rwlock_destroy(&p->lock);
  g_free(p);
}

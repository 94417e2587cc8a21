/* What is durable: a map of objects, changed by batches and by nothing else. */
#include "tests/sim/sim.h"

#include <string.h>

static void object_drop(void *object)
{
  object_unref(&schemas[((Object *)object)->noun], object);
}

const Object *store_find(Sim *s, Noun noun, const char *name)
{
  return name ? g_hash_table_lookup(s->store.live[noun], name) : NULL;
}

char *object_text(const Object *object)
{
  GString *out = g_string_new(NULL);
  object_append_json_without(&schemas[object->noun], object, F_SEEN, out); /* what was only observed need not be durable */
  return g_string_free(out, FALSE);
}

static bool list_is_same(char *const *a, char *const *b)
{
  static char *const none[] = { NULL };
  return g_strv_equal((const char *const *)(a ? a : none), (const char *const *)(b ? b : none));
}

static bool field_is_same(const Object *a, const Object *b, const Field *f)
{
  switch (f->type) {
  case FIELD_TEXT:
  case FIELD_REF:
  case FIELD_JSON:
    return !g_strcmp0(FIELD_AT(char *, a, f), FIELD_AT(char *, b, f));
  case FIELD_INT:
  case FIELD_TIME:
    return FIELD_AT(int64_t, a, f) == FIELD_AT(int64_t, b, f);
  case FIELD_BOOL:
    return FIELD_AT(bool, a, f) == FIELD_AT(bool, b, f);
  case FIELD_ENUM:
    return FIELD_AT(int, a, f) == FIELD_AT(int, b, f);
  case FIELD_LIST:
    return list_is_same(FIELD_AT(char **, a, f), FIELD_AT(char **, b, f));
  }
  return false;
}

bool object_is_same(const Object *a, const Object *b)
{
  const Schema *schema = &schemas[a->noun];
  bool same = a->noun == b->noun && !strcmp(a->name, b->name) && a->generation == b->generation && a->created_us == b->created_us &&
              a->changed_us == b->changed_us;
  for (int i = 0; same && i < schema->n_fields; i++)
    same = schema->fields[i].flags & F_SEEN || field_is_same(a, b, &schema->fields[i]);
  return same;
}

static void put(Sim *s, Object *take_object)
{
  g_hash_table_replace(s->store.live[take_object->noun], take_object->name, take_object);
}

/* ── history ──────────────────────────────────────────────────────────────── */

int64_t store_keep_us(Noun noun)
{
  static const int64_t keep_s[N_NOUNS] = { [NOUN_EVENT] = 300, [NOUN_TASK] = 120, [NOUN_SESSION] = 240 };
  return keep_s[noun] * SECOND_US;
}

static int64_t number_of(const Object *o) { return g_ascii_strtoll(o->name + 2, NULL, 10); }

static void past_add(Sim *s, const Object *o)
{
  int64_t number = number_of(o);
  if (store_keep_us(o->noun))
    g_hash_table_insert(s->store.past[o->noun], g_memdup2(&number, sizeof number), g_memdup2(&o->changed_us, sizeof o->changed_us));
}

static int number_compare(const void *a, const void *b)
{
  int64_t x = **(int64_t *const *)a, y = **(int64_t *const *)b;
  return (x > y) - (x < y);
}

GPtrArray *store_past(Sim *s, Noun noun)
{
  GPtrArray *numbers = g_ptr_array_new();
  GHashTableIter i;
  void *number;
  g_hash_table_iter_init(&i, s->store.past[noun]);
  while (g_hash_table_iter_next(&i, &number, NULL))
    g_ptr_array_add(numbers, number);
  g_ptr_array_sort(numbers, number_compare);
  return numbers;
}

static void prune_apply(Sim *s, const Prune *p)
{
  GHashTable *past = s->store.past[p->noun];
  if (!store_keep_us(p->noun) || p->before_us > s->now_us - store_keep_us(p->noun))
    broken(s, "only history that is old enough goes", "%s of %d s ago", schemas[p->noun].plural, (int)((s->now_us - p->before_us) / SECOND_US));
  g_autoptr(GPtrArray) numbers = store_past(s, p->noun);
  for (guint i = 0; i + 1 < numbers->len && i < p->max; i++)
    if (*(int64_t *)g_hash_table_lookup(past, numbers->pdata[i]) < p->before_us)
      s->store.pruned += g_hash_table_remove(past, numbers->pdata[i]);
}

static void event_apply(Sim *s, const Event *e)
{
  past_add(s, &e->head);
  if (e->number != s->store.last_event + 1)
    broken(s, "event numbers have no gaps", "event %" G_GINT64_FORMAT " (%s) follows %" G_GINT64_FORMAT, e->number, e->kind, s->store.last_event);
  s->store.last_event = e->number;
  if (e->object && !g_str_has_prefix(e->kind, "desktop.power"))
    tell(s, "  event %" G_GINT64_FORMAT ": %s %s%s%s", e->number, e->kind, e->object, e->user ? " by " : "", e->user ? e->user : "");
}

static void change_apply(Sim *s, const Change *c)
{
  if (c->noun == NOUN_EVENT) {
    event_apply(s, (const Event *)c->object);
    return;
  }
  if (c->how == CHANGE_PUT) {
    s->claims += c->noun == NOUN_VGPU && !store_find(s, NOUN_VGPU, c->object->name);
    put(s, object_dup(&schemas[c->noun], c->object));
    return;
  }
  if (!g_hash_table_remove(s->store.live[c->noun], c->object->name))
    tell(s, "%s %s came and went in one batch", schemas[c->noun].noun, c->object->name);
  else
    s->releases += c->noun == NOUN_VGPU;
  g_hash_table_add(s->store.gone, g_strdup_printf("%d/%s", c->noun, c->object->name));
  if (c->how == CHANGE_ARCHIVE)
    past_add(s, c->object);
}

void store_apply(Sim *s, const Batch *batch)
{
  if (batch->sequence != s->store.sequence + 1)
    broken(s, "batches follow one another", "batch %" G_GINT64_FORMAT " after %" G_GINT64_FORMAT, batch->sequence, s->store.sequence);
  s->store.sequence = batch->sequence;
  for (guint i = 0; i < batch->changes->len; i++)
    change_apply(s, &g_array_index(batch->changes, Change, i));
  for (guint i = 0; i < batch->prunes->len; i++)
    prune_apply(s, &g_array_index(batch->prunes, Prune, i));
}

/* ── backups ──────────────────────────────────────────────────────────────── */

static GHashTable *past_new(void) { return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free); }

static GHashTable *past_copy(GHashTable *from)
{
  GHashTable *to = past_new();
  GHashTableIter i;
  void *number, *changed_us;
  g_hash_table_iter_init(&i, from);
  while (g_hash_table_iter_next(&i, &number, &changed_us))
    g_hash_table_insert(to, g_memdup2(number, sizeof(int64_t)), g_memdup2(changed_us, sizeof(int64_t)));
  return to;
}

static GHashTable *live_copy(GHashTable *from)
{
  GHashTable *to = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, object_drop);
  GHashTableIter i;
  void *object;
  g_hash_table_iter_init(&i, from);
  while (g_hash_table_iter_next(&i, NULL, &object)) {
    Object *copy = object_dup(&schemas[((Object *)object)->noun], object);
    g_hash_table_insert(to, copy->name, copy);
  }
  return to;
}

void store_back_up(Sim *s, void *unused)
{
  tell(s, "a backup is made, batch %" G_GINT64_FORMAT, s->store.sequence);
  s->backup = s->store;
  for (Noun n = 0; n < N_NOUNS; n++) {
    s->backup.live[n] = live_copy(s->store.live[n]);
    s->backup.past[n] = past_copy(s->store.past[n]);
  }
}

void store_restore(Sim *s)
{
  for (Noun n = 0; n < N_NOUNS; n++) {
    g_hash_table_unref(s->store.live[n]);
    g_hash_table_unref(s->store.past[n]);
  }
  s->store = s->backup;
  s->backup.sequence = 0;
  ((Controller *)store_find(s, NOUN_CONTROLLER, "controller"))->restored = true;
}

/* ── what is there when the story begins ──────────────────────────────────── */

static void *seeded(Sim *s, Noun noun, const char *name)
{
  Object *o = object_new(&schemas[noun], noun, name);
  o->created_us = o->changed_us = s->now_us;
  put(s, o);
  return o;
}

static void template_seed(Sim *s, const char *family, bool agent)
{
  g_autofree char *name = g_strconcat(family, "@1", NULL);
  TemplateVersion *t = seeded(s, NOUN_TEMPLATE, name);
  ref_set(&t->family, family);
  t->version = 1;
  t->vcpus = 2;
  t->memory_mib = 4096;
  t->ready_s = 120;
  t->agent = agent;
  text_set(&t->xml, "");
}

static void pool_seed(Sim *s, const char *name, const char *template, PoolKind kind, PersonaliseMode personalise)
{
  Pool *p = seeded(s, NOUN_POOL, name);
  p->kind = kind;
  ref_set(&p->template, template);
  ref_set(&p->image, "linux");
  p->personalise = personalise;
  p->min = chance_below(s, 2);
  p->spare = 1 + chance_below(s, 2);
  p->max = 2 + chance_below(s, 4);
  p->surplus_s = 30 + chance_below(s, 600);
  p->disconnected_s = chance(s, 500) ? 120 : 0;
  p->offer_s = chance(s, 500) ? 30 + chance_below(s, 90) : 0;
  p->lasts_s = chance(s, 300) ? 120 + chance_below(s, 600) : 0;
  p->warn_s = chance(s, 500) ? 60 : 0;
}

static void class_seed(Sim *s, const char *name, const char *const *accepts)
{
  GpuClass *class = seeded(s, NOUN_GPU_CLASS, name);
  list_set(&class->accepts, accepts);
}

static void gpus_seed(Sim *s)
{
  class_seed(s, "small", (const char *const[]){ "m-1", "f-1", "i-1", "vf", NULL });
  class_seed(s, "big", (const char *const[]){ "f-2", "m-2", "i-2", NULL });
  class_seed(s, "render", (const char *const[]){ "whole:10de:2235", "m-2", "vf", NULL });
  static const char *const classes[POOLS] = { "small", "big", "render" }, *const pools[POOLS] = { "cad", "web", "own" };
  for (int i = 0; s->has_gpus && i < POOLS; i++) {
    Pool *p = (Pool *)store_find(s, NOUN_POOL, pools[i]);
    if (i && s->haste == 1 && chance(s, 300))
      continue;
    ref_set(&p->gpu_class, classes[chance(s, 300) ? 0 : i]);
    p->gpus = chance(s, 300) ? 2 : 0;
  }
}

/* Worlds without cards have desktops bound to cells, or in huge pages. */
static void memory_seed(Sim *s)
{
  static const char *const bound[] = { "cad", "own" };
  for (size_t i = 0; !s->has_gpus && s->seed % 2 && i < G_N_ELEMENTS(bound); i++)
    ((Pool *)store_find(s, NOUN_POOL, bound[i]))->numa = NUMA_ONE_CELL;
  if (!s->has_gpus && s->seed % 3 == 0)
    ((TemplateVersion *)store_find(s, NOUN_TEMPLATE, "mute@1"))->huge_pages = true;
}

static void hosts_seed(Sim *s)
{
  for (int i = 0; i < HOSTS; i++) {
    Host *h = seeded(s, NOUN_HOST, s->hosts[i].name);
    g_autofree char *uri = g_strconcat("fake:", h->head.name, NULL);
    text_set(&h->uri, uri);
    h->vcpus = 16;
    h->memory_mib = 4096 * (3 + chance_below(s, 6));
    h->starts = 1 + chance_below(s, 3);
  }
}

void store_furnish(Sim *s)
{
  for (Noun n = 0; n < N_NOUNS; n++) {
    s->store.live[n] = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, object_drop);
    s->store.past[n] = past_new();
  }
  s->store.gone = g_hash_table_new(g_str_hash, g_str_equal);
  static const char *names[PEOPLE] = { "jihye", "minsu", "yuna", "taeho", "sora", "junho" };
  for (int i = 0; i < PEOPLE; i++) {
    g_strlcpy(s->people[i].name, names[i], sizeof s->people[i].name);
    s->people[i].bit = i;
    seeded(s, NOUN_USER, names[i]);
  }
  hosts_seed(s);
  Storage *disk = seeded(s, NOUN_STORAGE, "disk");
  text_set(&disk->path, "/srv/disk");
  ImageVersion *image = seeded(s, NOUN_IMAGE, "linux@1");
  ref_set(&image->family, "linux");
  image->version = 1;
  image->state = IMAGE_READY;
  list_set(&image->storages, (const char *const[]){ "disk", NULL });
  text_set(&image->volume, "img-linux-v1.qcow2");
  template_seed(s, "desk", true);
  template_seed(s, "mute", false);
  pool_seed(s, "cad", "desk", POOL_FLOATING, PERSONALISE_AGENT);
  pool_seed(s, "web", chance(s, 500) ? "mute" : "desk", POOL_FLOATING, chance(s, 500) ? PERSONALISE_SEED : PERSONALISE_NONE);
  pool_seed(s, "own", "desk", POOL_DEDICATED, PERSONALISE_AGENT);
  s->has_gpus = g_getenv("SIM_GPU") || chance(s, 500);
  gpus_seed(s);
  memory_seed(s);
  gpus_furnish(s);
}

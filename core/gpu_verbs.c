/* The brain's handlers for graphics cards, claims on them, and classes. */
#include "core/gpus.h"

#include <string.h>

#include "core/accepts.h"
#include "core/ledger.h"
#include "core/nearest.h"
#include "core/text.h"

/* ── cards ────────────────────────────────────────────────────────────────── */

/* One that is broken, gone or unseen stays that, and is what was said when it is well again. */
static void gpu_moved(Brain *b, const Request *r, Answer *a, GpuState state)
{
  if (state == GPU_READY)
    gpu_forgive(b, r->name);
  Gpu *gpu = EDIT(b, Gpu, GPU, r->name);
  gpu->quarantined = state == GPU_QUARANTINED;
  if ((gpu->state == GPU_READY || gpu->state == GPU_QUARANTINED) && gpu->state != (int)state) {
    gpu->state = state;
    gpu->since = b->now_us;
  }
  g_autofree char *kind = g_strconcat("gpu.", gpu_state_name(state), NULL);
  brain_event(b, kind, NOUN_GPU, r->name, r->caller.user, NULL);
  g_autoptr(GPtrArray) pools = state_names(b->state, NOUN_POOL);
  for (guint i = 0; i < pools->len; i++)
    brain_dirty(b, pools->pdata[i]);
  answer_object(b, a, 200, r->name);
}

bool verb_gpu_quarantine(Brain *b, const Request *r, Answer *a, GError **err)
{
  gpu_moved(b, r, a, GPU_QUARANTINED);
  return true;
}

bool verb_gpu_activate(Brain *b, const Request *r, Answer *a, GError **err)
{
  gpu_moved(b, r, a, GPU_READY);
  return true;
}

bool verb_gpu_change(Brain *b, const Request *r, Answer *a, GError **err)
{
  Gpu *gpu = verb_changed_object(b, r, NOUN_GPU, err);
  if (!gpu)
    return false;
  verb_keep(b, NOUN_GPU, gpu);
  answer_object(b, a, 200, r->name);
  return true;
}

bool verb_gpu_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Gpu *gpu = GET(b, Gpu, GPU, r->name);
  g_autoptr(GPtrArray) claims = state_gpu_claims(b->state, r->name);
  if (gpu->state != GPU_STATE_GONE && gpu->state != GPU_UNSEEN)
    return error_false(err, REASON_GPU_PRESENT, "gpu", r->name, "state", gpu_state_name(gpu->state), "host", gpu->host, NULL);
  if (claims->len)
    return error_false(err, REASON_IN_USE, "kind", "gpu", "name", r->name, "by", "vgpu", "user", claims->pdata[0], NULL);
  if (b->cards)
    g_hash_table_remove(b->cards, r->name);
  state_delete(b->state, NOUN_GPU, r->name);
  a->status = 200;
  return true;
}

/* ── claims ───────────────────────────────────────────────────────────────── */

/* Nothing runs with it, and its card cannot be asked for it: the desktop's next start claims another. */
static bool may_go_before(Brain *b, const Desktop *d, const Vgpu *v)
{
  const Gpu *gpu = GET(b, Gpu, GPU, v->gpu);
  bool lost = !gpu || (gpu->state != GPU_READY && gpu->state != GPU_QUARANTINED) || gpu_is_changed(gpu);
  return lost && desktop_is_off(d);
}

/* Its release is told to wait for a reset that is not confirmed. */
static bool is_dirty(const Vgpu *v)
{
  g_autoptr(GError) told = v->state == VGPU_RELEASING && v->error ? brain_error_of(v->error) : NULL;
  return error_is(told, REASON_GPU_DIRTY);
}

/* Its desktop's task waits to try the release again: no order of it is out. It goes on as if it had worked. */
static bool waits_for_reset(Brain *b, const Desktop *d, const Vgpu *v)
{
  const Task *task = GET(b, Task, TASK, d->task);
  return task && task->state == TASK_WAITING && is_dirty(v);
}

/* Names the generation it frees, so that a late word cannot free the next one's. A desktop's own claim goes with the desktop's reset or end, as long
 * as its card can give it. */
bool verb_vgpu_release(Brain *b, const Request *r, Answer *a, GError **err)
{
  const Vgpu *v = GET(b, Vgpu, VGPU, r->name);
  int64_t clone = json_integer_value(json_object_get(r->body, "clone"));
  g_autofree char *found = g_strdup_printf("%" G_GINT64_FORMAT, v->clone), *expected = g_strdup_printf("%" G_GINT64_FORMAT, clone);
  if (clone != v->clone)
    return error_false(err, REASON_GENERATION, "kind", "vgpu", "name", r->name, "found", found, "expected", expected, NULL);
  const Desktop *d = GET(b, Desktop, DESKTOP, v->desktop);
  bool force = json_is_true(json_object_get(r->body, "force"));
  bool busy = d && d->task && !(force && waits_for_reset(b, d, v));
  if (busy || (d && v->state != VGPU_RELEASING && !may_go_before(b, d, v)))
    return error_false(err, REASON_VGPU_HELD, "vgpu", r->name, "desktop", v->desktop, "state", desktop_state_name(d->state), NULL);
  if (force && !is_dirty(v))
    return error_false(err, REASON_VGPU_NOT_DIRTY, "vgpu", r->name, "state", vgpu_state_name(v->state), NULL);
  if (force) /* whoever gets the next one's data asks who it was */
    brain_event(b, "vgpu.forced", NOUN_VGPU, r->name, r->caller.user, v->error);
  vgpu_set_state(b, r->name, VGPU_RELEASING);
  brain_call_reap(b, GET(b, Vgpu, VGPU, r->name), force);
  answer_object(b, a, 202, r->name);
  return true;
}

/* ── classes ──────────────────────────────────────────────────────────────── */

static bool type_name_ok(const char *name)
{
  size_t n = strlen(name);
  for (const char *c = name; *c; c++)
    if (!g_ascii_isalnum(*c) && !strchr("-_.:+", *c))
      return false;
  return n > 0 && n <= 100;
}

static bool class_ok(const GpuClass *class, GError **err)
{
  for (char **t = class->accepts; t && *t; t++)
    if (!type_name_ok(*t) || !strcmp(*t, "whole") || (g_str_has_prefix(*t, ACCEPTS_MIB) && !accepts_mib(*t)))
      return error_false(err, REASON_BAD_VALUE, "field", "accepts", "value", *t, "limit",
                         "a type such as nvidia-558, whole:10de:2235, or mib:8192 for any with so much framebuffer", NULL);
  return class->accepts ? true : error_false(err, REASON_MISSING_FIELD, "field", "accepts", NULL);
}

/* What every card that is known can give, gone ones aside, as classes name it. GHashTable of type → its framebuffer in MiB. */
static GHashTable *types_known(Brain *b)
{
  GHashTable *types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr(GPtrArray) names = state_names(b->state, NOUN_GPU);
  for (guint i = 0; i < names->len; i++) {
    const Gpu *gpu = GET(b, Gpu, GPU, names->pdata[i]);
    const GpuCard *card = gpu_picture(b, gpu);
    for (guint t = 0; gpu->state != GPU_STATE_GONE && t < card->types->len; t++) {
      const GpuType *type = card->types->pdata[t];
      g_hash_table_insert(types, card_profile_name(card, type->id), GINT_TO_POINTER(type->framebuffer_mib));
    }
  }
  return types;
}

static bool is_known(GHashTable *types, const char *entry)
{
  const char *const one[] = { entry, NULL };
  GHashTableIter i;
  void *type, *mib;
  g_hash_table_iter_init(&i, types);
  while (g_hash_table_iter_next(&i, &type, &mib))
    if (accepts_type(one, type, GPOINTER_TO_INT(mib)))
      return true;
  return false;
}

static int compare_names(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What was meant, or where nothing is like it some of what there is. */
static void near_add(GPtrArray *known, const char *entry, GPtrArray *near)
{
  enum { SOME = 4 };
  const char *meant = accepts_mib(entry) ? NULL : nearest(entry, (const char *const *)known->pdata);
  if (meant && !g_ptr_array_find_with_equal_func(near, meant, g_str_equal, NULL))
    g_ptr_array_add(near, (char *)meant);
  for (guint i = 0; !meant && i + 1 < known->len && near->len < SOME; i++)
    if (!g_ptr_array_find_with_equal_func(near, known->pdata[i], g_str_equal, NULL))
      g_ptr_array_add(near, known->pdata[i]);
}

static char *words_of(GPtrArray *words)
{
  g_ptr_array_add(words, NULL);
  return g_strjoinv(" ", (char **)words->pdata);
}

/* A class may name what comes later, and a slip of a finger looks the same: the answer says so. */
static void class_warn(Brain *b, const GpuClass *class, Answer *a)
{
  g_autoptr(GHashTable) types = types_known(b);
  g_autoptr(GPtrArray) known = g_ptr_array_new(), unknown = g_ptr_array_new(), near = g_ptr_array_new();
  g_autoptr(GError) err = NULL;
  GHashTableIter i;
  void *name;
  g_hash_table_iter_init(&i, types);
  while (g_hash_table_iter_next(&i, &name, NULL))
    g_ptr_array_add(known, name);
  g_ptr_array_sort(known, compare_names);
  g_ptr_array_add(known, NULL);
  for (char **t = class->accepts; t && *t; t++)
    if (!is_known(types, *t)) {
      g_ptr_array_add(unknown, *t);
      near_add(known, *t, near);
    }
  if (!unknown->len)
    return;
  bool some = near->len;
  g_autofree char *what = words_of(unknown), *like = words_of(near);
  error_set(&err, some ? REASON_GPU_TYPE_UNKNOWN : REASON_GPU_TYPE_NONE, "class", class->head.name, "types", what, "near", like, NULL);
  g_autofree char *why = brain_error_json(err);
  a->json = g_strdup_printf("{\"warning\":%s}", why);
}

bool verb_gpu_class_add(Brain *b, const Request *r, Answer *a, GError **err)
{
  GpuClass *class = verb_new_object(b, r, NOUN_GPU_CLASS, request_text(r, "name"), err);
  if (!class)
    return false;
  if (!class_ok(class, err))
    return verb_drop(NOUN_GPU_CLASS, class);
  verb_keep(b, NOUN_GPU_CLASS, class);
  class_warn(b, GET(b, GpuClass, GPU_CLASS, request_text(r, "name")), a);
  answer_object(b, a, 201, request_text(r, "name"));
  return true;
}

bool verb_gpu_class_change(Brain *b, const Request *r, Answer *a, GError **err)
{
  GpuClass *class = verb_changed_object(b, r, NOUN_GPU_CLASS, err);
  if (!class)
    return false;
  if (!class_ok(class, err))
    return verb_drop(NOUN_GPU_CLASS, class);
  verb_keep(b, NOUN_GPU_CLASS, class);
  g_autoptr(GPtrArray) pools = state_names(b->state, NOUN_POOL);
  for (guint i = 0; i < pools->len; i++)
    brain_dirty(b, pools->pdata[i]);
  class_warn(b, GET(b, GpuClass, GPU_CLASS, r->name), a);
  answer_object(b, a, 200, r->name);
  return true;
}

static bool unused_by(Brain *b, Noun noun, const char *class, GError **err)
{
  const Field *f = schema_field(&schemas[noun], "gpu_class");
  g_autoptr(GPtrArray) names = state_names(b->state, noun);
  for (guint i = 0; i < names->len; i++)
    if (!g_strcmp0(FIELD_AT(char *, state_find(b->state, noun, names->pdata[i]), f), class))
      return error_false(err, REASON_IN_USE, "kind", "gpu-class", "name", class, "by", schemas[noun].noun, "user", names->pdata[i], NULL);
  return true;
}

bool verb_gpu_class_remove(Brain *b, const Request *r, Answer *a, GError **err)
{
  if (!unused_by(b, NOUN_POOL, r->name, err) || !unused_by(b, NOUN_DESKTOP, r->name, err) || !unused_by(b, NOUN_TEMPLATE, r->name, err))
    return false;
  state_delete(b->state, NOUN_GPU_CLASS, r->name);
  return true;
}
